/*
 * Requests: what OpenSSL sees in them, with and without a template.  Chains: those that fit a key, and every way not to.  The certificates are made here, by
 * OpenSSL.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/cert.h"
#include "crypto/pkey_text.h"
#include "pkeys.h"

static EVP_PKEY *theirs(enum pkey_alg alg)
{
	struct secret *der = NULL;
	const uint8_t *p;
	EVP_PKEY *k;

	assert_int_equal(pkey_pkcs8(pkeys[alg], &der), ST_OK);
	p = secret_bytes(der);
	k = d2i_AutoPrivateKey(NULL, &p, (long)secret_len(der));
	assert_non_null(k);
	secret_free(&der);
	return k;
}

static void take_bio(BIO *bio, struct builder *ret)
{
	char *p = NULL;
	long n = BIO_get_mem_data(bio, &p);

	builder_add(ret, span_of(p, (size_t)n));
	assert_int_equal(builder_status(ret), ST_OK);
	BIO_free(bio);
}

/* ------------------------------------------------------------ requests */

static X509_REQ *parsed(struct span pem)
{
	BIO *bio = BIO_new_mem_buf(pem.p, (int)pem.n);
	X509_REQ *r = PEM_read_bio_X509_REQ(bio, NULL, NULL, NULL);

	assert_non_null(r);
	BIO_free(bio);
	return r;
}

/* The request of `alg` made with the template, whose signature holds under its own key, which is ours. */
static X509_REQ *request_of(enum pkey_alg alg, struct span template)
{
	struct builder pem = {0};
	struct err err = {0};
	EVP_PKEY *k = theirs(alg), *in;
	X509_REQ *r;

	assert_int_equal(cert_request(pkeys[alg], template, &pem, &err), ST_OK);
	assert_true(
	    span_starts(builder_span(&pem), span_str("-----BEGIN CERTIFICATE REQUEST-----\n")));
	assert_true(span_ends(builder_span(&pem), span_str("-----END CERTIFICATE REQUEST-----\n")));
	r = parsed(builder_span(&pem));
	in = X509_REQ_get0_pubkey(r);
	assert_non_null(in);
	assert_int_equal(EVP_PKEY_eq(in, k), 1);
	assert_int_equal(X509_REQ_verify(r, k), 1);
	assert_int_equal(X509_REQ_get_version(r), 0);
	EVP_PKEY_free(k);
	builder_free(&pem);
	return r;
}

static void requests_without_a_template(void **state)
{
	static const int signatures[PKEY_ALG_COUNT] = {
	    [PKEY_ED25519] = NID_ED25519,
	    [PKEY_P256] = NID_ecdsa_with_SHA256,
	    [PKEY_P384] = NID_ecdsa_with_SHA384,
	    [PKEY_P521] = NID_ecdsa_with_SHA512,
	    [PKEY_RSA2048] = NID_sha256WithRSAEncryption,
	    [PKEY_RSA3072] = NID_sha256WithRSAEncryption,
	    [PKEY_RSA4096] = NID_sha256WithRSAEncryption,
	};

	(void)state;
	for (enum pkey_alg alg = 0; alg < PKEY_ALG_COUNT; alg++) {
		X509_REQ *r = request_of(alg, span_of(NULL, 0));

		assert_int_equal(X509_NAME_entry_count(X509_REQ_get_subject_name(r)), 0);
		assert_int_equal(X509_REQ_get_attr_count(r), 0);
		assert_int_equal(X509_REQ_get_signature_nid(r), signatures[alg]);
		X509_REQ_free(r);
	}
}

/* A request of another key, with a subject, extensions and a password. */
static void template_make(const char *label, struct builder *ret)
{
	X509_REQ *r = X509_REQ_new();
	X509_NAME *name = X509_NAME_new();
	EVP_PKEY *k = theirs(PKEY_P384);
	STACK_OF(X509_EXTENSION) *exts = sk_X509_EXTENSION_new_null();
	X509_EXTENSION *san = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name,
	                                          "DNS:keys.example.org,IP:192.0.2.7");
	BIO *bio = BIO_new(BIO_s_mem());
	uint8_t *der = NULL;
	int n;

	assert_true(r != NULL && name != NULL && exts != NULL && san != NULL && bio != NULL);
	assert_int_equal(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
	                                            (const uint8_t *)"Käthe", -1, -1, 0),
	                 1);
	assert_int_equal(X509_REQ_set_subject_name(r, name), 1);
	assert_true(sk_X509_EXTENSION_push(exts, san) > 0);
	assert_int_equal(X509_REQ_add_extensions(r, exts), 1);
	assert_int_equal(X509_REQ_add1_attr_by_NID(r, NID_pkcs9_challengePassword, MBSTRING_UTF8,
	                                           (const uint8_t *)"word", -1),
	                 1);
	assert_int_equal(X509_REQ_set_pubkey(r, k), 1);
	assert_true(X509_REQ_sign(r, k, EVP_sha384()) > 0);
	n = i2d_X509_REQ(r, &der);
	assert_true(n > 0);
	assert_true(PEM_write_bio(bio, label, "", der, n) > 0);
	take_bio(bio, ret);
	OPENSSL_free(der);
	sk_X509_EXTENSION_pop_free(exts, X509_EXTENSION_free);
	X509_NAME_free(name);
	X509_REQ_free(r);
	EVP_PKEY_free(k);
}

static void a_template_keeps_all_but_the_key(void **state)
{
	static const char *const labels[] = {"CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct builder template = {0};

		template_make(labels[i], &template);
		for (enum pkey_alg alg = 0; alg < PKEY_ALG_COUNT; alg++) {
			X509_REQ *r = request_of(alg, builder_span(&template)), *was;
			BIO *bio = BIO_new_mem_buf(template.p, (int)template.n);
			STACK_OF(X509_EXTENSION) * exts;

			was = PEM_read_bio_X509_REQ(bio, NULL, NULL, NULL);
			assert_non_null(was);
			assert_int_equal(X509_NAME_cmp(X509_REQ_get_subject_name(r),
			                               X509_REQ_get_subject_name(was)),
			                 0);
			assert_int_equal(X509_NAME_entry_count(X509_REQ_get_subject_name(r)), 1);
			assert_int_equal(X509_REQ_get_attr_count(r), 2);
			exts = X509_REQ_get_extensions(r);
			assert_int_equal(sk_X509_EXTENSION_num(exts), 1);
			sk_X509_EXTENSION_pop_free(exts, X509_EXTENSION_free);
			BIO_free(bio);
			X509_REQ_free(was);
			X509_REQ_free(r);
		}
		builder_free(&template);
	}
}

static void check_no_template(struct span template)
{
	struct builder out = {0};
	struct err err = {0};

	builder_str(&out, "before");
	assert_int_equal(cert_request(pkeys[PKEY_P256], template, &out, &err), ST_INVALID);
	assert_non_null(strstr(err.text, "template"));
	assert_true(span_eq_str(builder_span(&out), "before"));
	builder_free(&out);
}

static void what_is_no_template_is_refused(void **state)
{
	struct builder good = {0}, other = {0};

	(void)state;
	template_make("CERTIFICATE REQUEST", &good);
	template_make("CERTIFICATE", &other);
	check_no_template(span_str(" "));
	check_no_template(span_str("hello"));
	check_no_template(
	    span_str("-----BEGIN CERTIFICATE REQUEST-----\n-----END CERTIFICATE REQUEST-----\n"));
	check_no_template(span_str(
	    "-----BEGIN CERTIFICATE REQUEST-----\nMAA=\n-----END CERTIFICATE REQUEST-----\n"));
	check_no_template(builder_span(&other));
	for (size_t n = 1; n < good.n - 1; n++)
		check_no_template(span_of(good.p, n));
	builder_free(&good);
	builder_free(&other);
}

/* Any byte of a template changed: refused, or a request like any other. */
static void hostile_templates(void **state)
{
	struct builder good = {0};
	uint8_t *p;

	(void)state;
	template_make("CERTIFICATE REQUEST", &good);
	p = malloc(good.n);
	assert_non_null(p);
	memcpy(p, good.p, good.n);
	for (size_t at = 0; at < good.n; at++) {
		for (unsigned v = 0; v < 256; v += 37) {
			struct builder out = {0};
			enum status s;

			p[at] = (uint8_t)v;
			s = cert_request(pkeys[PKEY_ED25519], span_of(p, good.n), &out, NULL);
			assert_true(s == ST_OK || s == ST_INVALID);
			if (s == ST_OK) {
				X509_REQ *r = parsed(builder_span(&out));

				assert_int_equal(X509_REQ_verify(r, X509_REQ_get0_pubkey(r)), 1);
				X509_REQ_free(r);
			}
			builder_free(&out);
		}
		p[at] = good.p[at];
	}
	free(p);
	builder_free(&good);
}

static void public_keys_request_nothing(void **state)
{
	struct pkey *k = pkeys_public(PKEY_P256);
	struct builder out = {0};
	struct err err = {0};
	char room[20];

	(void)state;
	assert_int_equal(cert_request(k, span_of(NULL, 0), &out, &err), ST_UNAVAILABLE);
	assert_int_equal(out.n, 0);
	builder_init_fixed(&out, room, sizeof room);
	assert_int_equal(cert_request(pkeys[PKEY_P256], span_of(NULL, 0), &out, &err), ST_LIMIT);
	pkey_unref(&k);
}

/* ------------------------------------------------------------ chains */

enum role { LEAF, AUTHORITY, PLAIN }; /* PLAIN says nothing about itself */

static void cert_make(enum pkey_alg alg, enum role role, const char *name, struct builder *ret)
{
	static long serial;
	X509 *x = X509_new();
	EVP_PKEY *k = theirs(alg), *issuer = theirs(PKEY_P256);
	BIO *bio = BIO_new(BIO_s_mem());
	X509_NAME *n = X509_NAME_new();

	assert_true(x != NULL && bio != NULL && n != NULL);
	assert_int_equal(X509_set_version(x, 2), 1);
	assert_int_equal(ASN1_INTEGER_set(X509_get_serialNumber(x), ++serial), 1);
	assert_int_equal(
	    X509_NAME_add_entry_by_txt(n, "CN", MBSTRING_ASC, (const uint8_t *)name, -1, -1, 0), 1);
	assert_int_equal(X509_set_subject_name(x, n), 1);
	assert_int_equal(X509_set_issuer_name(x, n), 1);
	assert_non_null(X509_gmtime_adj(X509_getm_notBefore(x), 0));
	assert_non_null(X509_gmtime_adj(X509_getm_notAfter(x), 3600));
	assert_int_equal(X509_set_pubkey(x, k), 1);
	if (role != PLAIN) {
		X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, NID_basic_constraints,
		                                        role == LEAF ? "CA:FALSE" : "CA:TRUE");

		assert_non_null(e);
		assert_int_equal(X509_add_ext(x, e, -1), 1);
		X509_EXTENSION_free(e);
	}
	assert_true(X509_sign(x, issuer, EVP_sha256()) > 0);
	assert_int_equal(PEM_write_bio_X509(bio, x), 1);
	take_bio(bio, ret);
	X509_NAME_free(n);
	EVP_PKEY_free(k);
	EVP_PKEY_free(issuer);
	X509_free(x);
}

static void chain_of(struct span pem, struct builder *ret)
{
	struct err err = {0};

	assert_int_equal(cert_chain_read(pem, ret, &err), ST_OK);
}

static void check_chain(enum pkey_alg alg, struct span pem, enum status want, const char *says)
{
	struct builder chain = {0};
	struct err err = {0};

	chain_of(pem, &chain);
	assert_int_equal(cert_chain_check(pkeys[alg], builder_span(&chain), &err), want);
	if (says != NULL)
		assert_non_null(strstr(err.text, says));
	builder_free(&chain);
}

static void chains_that_fit(void **state)
{
	(void)state;
	for (enum pkey_alg alg = 0; alg < PKEY_ALG_COUNT; alg++) {
		struct builder pem = {0}, chain = {0}, again = {0};

		cert_make(alg, alg % 2 == 0 ? LEAF : PLAIN, "leaf", &pem);
		check_chain(alg, builder_span(&pem), ST_OK, NULL);
		cert_make(PKEY_P384, AUTHORITY, "intermediate", &pem);
		cert_make(PKEY_P256, AUTHORITY, "root", &pem);
		check_chain(alg, builder_span(&pem), ST_OK, NULL);
		/* And back to the very text. */
		chain_of(builder_span(&pem), &chain);
		assert_int_equal(cert_chain_pem(builder_span(&chain), &again), ST_OK);
		assert_true(span_eq(builder_span(&pem), builder_span(&again)));
		builder_free(&pem);
		builder_free(&chain);
		builder_free(&again);
	}
}

static void chains_that_do_not_fit(void **state)
{
	struct builder pem = {0};

	(void)state;
	cert_make(PKEY_P256, LEAF, "leaf", &pem);
	for (enum pkey_alg alg = 0; alg < PKEY_ALG_COUNT; alg++)
		if (alg != PKEY_P256)
			check_chain(alg, builder_span(&pem), ST_INVALID, "another key");
	cert_make(PKEY_P384, LEAF, "leaf", &pem);
	check_chain(PKEY_P256, builder_span(&pem), ST_INVALID, "certificate 2");
	builder_reset(&pem);
	cert_make(PKEY_P256, LEAF, "leaf", &pem);
	cert_make(PKEY_P384, AUTHORITY, "authority", &pem);
	cert_make(PKEY_P384, PLAIN, "plain", &pem);
	check_chain(PKEY_P256, builder_span(&pem), ST_INVALID, "certificate 3");
	builder_reset(&pem);
	cert_make(PKEY_P256, AUTHORITY, "authority", &pem);
	check_chain(PKEY_P256, builder_span(&pem), ST_INVALID, "an authority's");
	/* The leaf last. */
	cert_make(PKEY_P256, LEAF, "leaf", &pem);
	check_chain(PKEY_P256, builder_span(&pem), ST_INVALID, NULL);
	builder_free(&pem);
}

static void check_unreadable(struct span pem, enum status want, const char *says)
{
	struct builder chain = {0};
	struct err err = {0};

	builder_str(&chain, "before");
	assert_int_equal(cert_chain_read(pem, &chain, &err), want);
	assert_non_null(strstr(err.text, says));
	assert_true(span_eq_str(builder_span(&chain), "before"));
	builder_free(&chain);
}

static void what_is_no_chain_is_refused(void **state)
{
	struct builder pem = {0};
	size_t one;

	(void)state;
	check_unreadable(span_of(NULL, 0), ST_INVALID, "no certificate");
	check_unreadable(span_str("hello\n"), ST_INVALID, "no certificate");
	check_unreadable(span_str("-----BEGIN PUBLIC KEY-----\nMAA=\n-----END PUBLIC KEY-----\n"),
	                 ST_INVALID, "certificate 1");
	check_unreadable(span_str("-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"),
	                 ST_INVALID, "certificate 1");
	cert_make(PKEY_P256, LEAF, "leaf", &pem);
	one = pem.n;
	builder_str(&pem, "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n");
	check_unreadable(builder_span(&pem), ST_INVALID, "certificate 2");
	for (size_t n = 30; n < one - 1; n++)
		check_unreadable(span_of(pem.p, n), ST_INVALID, "certificate 1");
	builder_free(&pem);
}

static void chains_have_a_length(void **state)
{
	struct builder pem = {0}, chain = {0}, longer = {0};
	struct err err = {0};
	struct cursor c;
	struct span last = {0};

	(void)state;
	cert_make(PKEY_P256, LEAF, "leaf", &pem);
	for (size_t i = 1; i < CERT_CHAIN_MAX; i++)
		cert_make(PKEY_P384, AUTHORITY, "authority", &pem);
	check_chain(PKEY_P256, builder_span(&pem), ST_OK, NULL);
	chain_of(builder_span(&pem), &chain);
	cert_make(PKEY_P384, AUTHORITY, "authority", &pem);
	check_unreadable(builder_span(&pem), ST_LIMIT, "at most");
	/* A list that did not come from PEM. */
	c = cursor_of(builder_span(&chain));
	while (c.left > 0)
		assert_int_equal(cursor_lv(&c, &last), ST_OK);
	builder_add(&longer, builder_span(&chain));
	builder_lv(&longer, last);
	assert_int_equal(cert_chain_check(pkeys[PKEY_P256], builder_span(&longer), &err), ST_LIMIT);
	builder_free(&pem);
	builder_free(&chain);
	builder_free(&longer);
}

/* Lists from a backup: cut, changed, with something behind a certificate. */
static void hostile_lists(void **state)
{
	struct builder pem = {0}, chain = {0}, out = {0};
	struct span der;
	struct cursor c;
	uint8_t *p;

	(void)state;
	cert_make(PKEY_ED25519, LEAF, "leaf", &pem);
	cert_make(PKEY_P256, AUTHORITY, "authority", &pem);
	chain_of(builder_span(&pem), &chain);
	assert_int_equal(cert_chain_check(pkeys[PKEY_ED25519], span_of(NULL, 0), NULL), ST_INVALID);
	p = malloc(chain.n);
	assert_non_null(p);
	memcpy(p, chain.p, chain.n);
	c = cursor_of(builder_span(&chain));
	assert_int_equal(cursor_lv(&c, &der), ST_OK);
	for (size_t n = 0; n < chain.n; n++) {
		const bool whole = n == der.n + 4; /* the first certificate alone */

		assert_int_equal(cert_chain_check(pkeys[PKEY_ED25519], span_of(p, n), NULL),
		                 whole ? ST_OK : ST_INVALID);
		builder_reset(&out);
		assert_int_equal(cert_chain_pem(span_of(p, n), &out),
		                 whole || n == 0 ? ST_OK : ST_INVALID);
	}
	for (size_t bit = 0; bit < chain.n * 8; bit++) {
		enum status s;

		p[bit / 8] ^= (uint8_t)(1U << bit % 8);
		s = cert_chain_check(pkeys[PKEY_ED25519], span_of(p, chain.n), NULL);
		assert_true(s == ST_OK || s == ST_INVALID);
		p[bit / 8] ^= (uint8_t)(1U << bit % 8);
	}
	free(p);
	builder_reset(&out);
	builder_u32(&out, (uint32_t)der.n + 1);
	builder_add(&out, der);
	builder_u8(&out, 0);
	assert_int_equal(cert_chain_check(pkeys[PKEY_ED25519], builder_span(&out), NULL),
	                 ST_INVALID);
	builder_free(&pem);
	builder_free(&chain);
	builder_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(requests_without_a_template),
	    cmocka_unit_test(a_template_keeps_all_but_the_key),
	    cmocka_unit_test(what_is_no_template_is_refused),
	    cmocka_unit_test(hostile_templates),
	    cmocka_unit_test(public_keys_request_nothing),
	    cmocka_unit_test(chains_that_fit),
	    cmocka_unit_test(chains_that_do_not_fit),
	    cmocka_unit_test(what_is_no_chain_is_refused),
	    cmocka_unit_test(chains_have_a_length),
	    cmocka_unit_test(hostile_lists),
	};

	return cmocka_run_group_tests(tests, pkeys_setup, pkeys_teardown);
}
