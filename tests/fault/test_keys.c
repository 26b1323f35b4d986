/*
 * Memory that runs out in crypto/: each call with its first allocation failing, then its second, and so on until it needs no more; once with that one
 * alone, once with all behind it.  Whatever happens:
 *   - the answer is ST_NOMEM, or what it would have been with all the memory in the world: never another verdict;
 *   - nothing comes out with ST_NOMEM, and nothing leaks: the heap is the sanitizer's to watch, locked memory is counted here;
 *   - the same call, made again, gives the same.
 * OpenSSL's allocations are among them.  Each call is made once before, since OpenSSL keeps what it fetched.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "crypto/aead.h"
#include "crypto/cert.h"
#include "crypto/decimal.h"
#include "crypto/digest.h"
#include "crypto/kwp.h"
#include "crypto/ofb.h"
#include "crypto/pkey_crypt.h"
#include "crypto/pkey_sign.h"
#include "crypto/pkey_text.h"
#include "crypto/secret.h"
#include "fault/alloc.h"

#define NTH_MAX 10000

/* What the calls work on. */
static struct world {
	enum pkey_alg alg;
	enum aead_alg aead;
	struct pkey *key, *public, *other;
	struct pkey_parts parts;
	struct secret *pkcs8;
	struct builder spki, spki_pem, chain, chain_pem, template;
	uint8_t sig[PKEY_SIG_MAX], sealed[PKEY_CRYPT_MAX], wrapped[64];
	size_t sig_n, sealed_n;
	struct pkey_how how;
} w;

#define TEXT span_str("some text that is signed and sealed")

/* ------------------------------------------------------------ the calls; each frees what it got and returns what it was told */

static enum status keep(enum status s, struct pkey **k)
{
	if (s == ST_OK && pkey_alg(*k) != w.alg)
		s = ST_CORRUPT;
	if (s != ST_OK && *k != NULL)
		s = ST_CORRUPT;
	pkey_unref(k);
	return s;
}

static enum status keep_secret(enum status s, struct secret **text)
{
	if ((s == ST_OK) != (*text != NULL))
		s = ST_FULL;
	secret_free(text);
	return s;
}

static enum status keep_builder(enum status s, struct builder *b)
{
	builder_free(b);
	return s;
}

static enum status generate(void)
{
	struct pkey *k = NULL;

	return keep(pkey_generate(w.alg, &k), &k);
}

static enum status from_parts_checked(void)
{
	struct pkey *k = NULL;

	return keep(pkey_from_parts(w.alg, &w.parts, PKEY_CHECKED, &k), &k);
}

static enum status from_private_alone(void)
{
	const struct pkey_parts p = {.d = w.parts.d};
	struct pkey *k = NULL;

	return keep(pkey_from_parts(w.alg, &p, PKEY_TRUSTED, &k), &k);
}

static enum status from_pkcs8(void)
{
	struct pkey *k = NULL;

	return keep(pkey_from_pkcs8(secret_span(w.pkcs8), PKEY_TRUSTED, &k), &k);
}

static enum status from_spki(void)
{
	struct pkey *k = NULL;

	return keep(pkey_from_spki(builder_span(&w.spki), &k), &k);
}

static enum status from_spki_pem(void)
{
	struct pkey *k = NULL;

	return keep(pkey_from_spki_pem(builder_span(&w.spki_pem), &k), &k);
}

static enum status parts(void)
{
	struct pkey_parts p = {0};
	enum status s = pkey_parts(w.key, &p);

	pkey_parts_free(&p);
	return s;
}

static enum status to_spki_pem(void)
{
	struct builder b = {0};
	enum status s = pkey_spki_pem(w.key, &b);

	return keep_builder(s, &b);
}

static enum status to_pkcs8_pem(void)
{
	struct secret *text = NULL;

	return keep_secret(pkey_pkcs8_pem(w.key, &text), &text);
}

static enum status to_export(void)
{
	struct secret *text = NULL;

	return keep_secret(pkey_export(w.key, &text), &text);
}

static enum status match(void)
{
	return pkey_match(w.key, w.public);
}

static enum status match_other(void)
{
	return pkey_match(w.key, w.other);
}

static enum status sign(void)
{
	uint8_t sig[PKEY_SIG_MAX];
	enum status s;
	size_t n = 0;

	s = pkey_sign(w.key, &w.how, TEXT, sig, &n);
	return s == ST_OK ? pkey_verify(w.public, &w.how, TEXT, span_of(sig, n)) : s;
}

static enum status verify(void)
{
	return pkey_verify(w.public, &w.how, TEXT, span_of(w.sig, w.sig_n));
}

static enum status verify_wrong(void)
{
	return pkey_verify(w.public, &w.how, span_str("other text"), span_of(w.sig, w.sig_n));
}

/* With contexts that must be made first. */
static enum status verify_afresh(void)
{
	struct pkey *k = NULL;
	enum status s = pkey_from_spki(builder_span(&w.spki), &k);

	if (s == ST_OK)
		s = pkey_verify(k, &w.how, TEXT, span_of(w.sig, w.sig_n));
	pkey_unref(&k);
	return s;
}

static enum status encrypt(void)
{
	uint8_t out[PKEY_CRYPT_MAX];
	struct secret *text = NULL;
	enum status s;
	size_t n = 0;

	s = pkey_encrypt(w.key, DIGEST_SHA2_256, span_str("text"), out, &n);
	if (s != ST_OK)
		return s;
	return keep_secret(pkey_decrypt(w.key, DIGEST_SHA2_256, span_of(out, n), &text), &text);
}

static enum status decrypt(void)
{
	struct secret *text = NULL;

	return keep_secret(
	    pkey_decrypt(w.key, DIGEST_SHA2_256, span_of(w.sealed, w.sealed_n), &text), &text);
}

static enum status decrypt_wrong(void)
{
	struct secret *text = NULL;

	return keep_secret(
	    pkey_decrypt(w.key, DIGEST_SHA2_384, span_of(w.sealed, w.sealed_n), &text), &text);
}

static enum status request(void)
{
	struct builder b = {0};
	enum status s = cert_request(w.key, span_of(NULL, 0), &b, NULL);

	return keep_builder(s, &b);
}

static enum status request_by_template(void)
{
	struct builder b = {0};
	enum status s = cert_request(w.key, builder_span(&w.template), &b, NULL);

	return keep_builder(s, &b);
}

static enum status chain_read(void)
{
	struct builder b = {0};
	enum status s = cert_chain_read(builder_span(&w.chain_pem), &b, NULL);

	return keep_builder(s, &b);
}

static enum status chain_check(void)
{
	return cert_chain_check(w.key, builder_span(&w.chain), NULL);
}

static enum status chain_check_other(void)
{
	return cert_chain_check(w.other, builder_span(&w.chain), NULL);
}

static const uint8_t kek[KWP_KEY_LEN] = {1};

static enum status wrap(void)
{
	uint8_t out[KWP_LEN(32)];

	return kwp_wrap(span_of(kek, sizeof kek), span_of(kek, 32), out);
}

static enum status unwrap(void)
{
	struct secret *text = NULL;

	return keep_secret(
	    kwp_unwrap(span_of(kek, sizeof kek), span_of(w.wrapped, KWP_LEN(32)), &text), &text);
}

static enum status unwrap_wrong(void)
{
	struct secret *text = NULL;

	return keep_secret(
	    kwp_unwrap(span_of(kek, sizeof kek), span_of(w.wrapped, KWP_LEN(24)), &text), &text);
}

static enum status digest_sha3(void)
{
	uint8_t out[DIGEST_LEN_MAX];
	const struct span text = TEXT;

	return digest_of(DIGEST_SHA3_256, &text, 1, out);
}

static enum status mac_sha3(void)
{
	uint8_t out[DIGEST_LEN_MAX];
	const struct span text = TEXT;

	return digest_mac(DIGEST_SHA3_512, text, &text, 1, out);
}

/* A key in its own memory and one in memory of the caller, a message sealed, opened, and not opened. */
static enum status ciphers(void)
{
	const struct aead_info *info = aead_info(w.aead);
	const struct span key = span_of(kek, info->key_len), none = {NULL, 0};
	uint8_t nonce[AEAD_NONCE_MAX] = {0}, text[48] = {0};
	const struct span n = span_of(nonce, info->nonce_len);
	struct aead_key *k = NULL, *placed = NULL;
	struct arena a = {0};
	enum status s = ST_NOMEM;
	void *mem = arena_alloc64(&a, aead_key_size(w.aead));

	if (mem != NULL)
		s = aead_key_new(w.aead, key, &k);
	if (s == ST_OK)
		s = aead_key_place(w.aead, key, mem, &placed);
	if (s == ST_OK)
		s = aead_seal(k, n, none, span_of(text, 32), text);
	if (s == ST_OK)
		s = aead_open(placed, n, none, span_of(text, 48), text);
	if (s == ST_OK) {
		s = aead_open(placed, n, none, span_of(text, 48), text);
		s = s == ST_CORRUPT ? ST_OK : s;
	}
	aead_key_free(&k);
	aead_key_clear(&placed);
	arena_free(&a);
	return s;
}

/* A key, and a text there and back; nothing of it comes out when memory is lacking. */
static enum status stream(size_t key_len)
{
	static const uint8_t iv[OFB_IV_LEN] = {2}, zeros[20];
	uint8_t text[] = "some text, 20 bytes.";
	const struct span t = span_of(text, 20);
	struct ofb_key *k = NULL;
	enum status s = ofb_key_new(span_of(kek, key_len), &k);

	if ((s == ST_OK) != (k != NULL))
		return ST_FULL;
	for (int i = 0; s == ST_OK && i < 2; i++) {
		s = ofb_crypt(k, iv, t, text);
		if (s != ST_OK && memcmp(text, zeros, sizeof zeros) != 0)
			s = ST_CORRUPT;
	}
	if (s == ST_OK && !span_eq_str(t, "some text, 20 bytes."))
		s = ST_CORRUPT;
	ofb_key_free(&k);
	return s;
}

static enum status stream_128(void)
{
	return stream(16);
}

static enum status stream_256(void)
{
	return stream(32);
}

/* ------------------------------------------------------------ each, without each allocation */

struct call {
	const char *name;
	enum status (*run)(void);
	enum status want;
};

/* Pieces of locked memory in use, but for what OpenSSL notes down about failures. */
static size_t locked_now(void)
{
	ERR_clear_error();
	return alloc_locked();
}

static void run_starved(const struct call *c, size_t nth, enum alloc_repeat repeat, size_t *failed)
{
	enum status s;

	alloc_arm(nth, repeat);
	s = c->run();
	*failed = alloc_disarm();
	if (s != c->want && (s != ST_NOMEM || *failed == 0))
		fail_msg("%s, %zu of %s: %s", c->name, nth,
		         w.key != NULL ? pkey_info(w.alg)->name : "a cipher", status_name(s));
	s = c->run();
	if (s != c->want)
		fail_msg("%s, again after %zu: %s", c->name, nth, status_name(s));
}

static void check_starved(const struct call *c, enum alloc_repeat repeat)
{
	size_t nth = 1, failed = 1;

	for (; failed > 0; nth++) {
		size_t locked = locked_now();

		assert_true(nth < NTH_MAX);
		run_starved(c, nth, repeat, &failed);
		if (locked_now() <= locked)
			continue;
		/* OpenSSL may keep something for the next time, once; what is lost each time is a leak. */
		locked = locked_now();
		run_starved(c, nth, repeat, &failed);
		if (locked_now() > locked)
			fail_msg("%s leaks after %zu", c->name, nth);
	}
}

static void check_calls(const struct call *calls, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(calls[i].run(), calls[i].want);
		check_starved(&calls[i], ALLOC_ONCE);
		check_starved(&calls[i], ALLOC_FOR_EVER);
	}
}

/* ------------------------------------------------------------ keys */

static void world_begin(enum pkey_alg alg)
{
	memset(&w, 0, sizeof w);
	w.alg = alg;
	w.how.digest = DIGEST_SHA3_256;
	assert_int_equal(pkey_generate(alg, &w.key), ST_OK);
	assert_int_equal(pkey_generate(alg, &w.other), ST_OK);
	assert_int_equal(pkey_parts(w.key, &w.parts), ST_OK);
	assert_int_equal(pkey_pkcs8(w.key, &w.pkcs8), ST_OK);
	assert_int_equal(pkey_spki(w.key, &w.spki), ST_OK);
	assert_int_equal(pkey_spki_pem(w.key, &w.spki_pem), ST_OK);
	assert_int_equal(pkey_from_spki(builder_span(&w.spki), &w.public), ST_OK);
	assert_int_equal(pkey_sign(w.key, &w.how, TEXT, w.sig, &w.sig_n), ST_OK);
	assert_int_equal(cert_request(w.other, span_of(NULL, 0), &w.template, NULL), ST_OK);
	if (pkey_info(alg)->kind == PKEY_KIND_RSA)
		assert_int_equal(
		    pkey_encrypt(w.key, DIGEST_SHA2_256, span_str("text"), w.sealed, &w.sealed_n),
		    ST_OK);
}

static void world_end(void)
{
	pkey_unref(&w.key);
	pkey_unref(&w.other);
	pkey_unref(&w.public);
	pkey_parts_free(&w.parts);
	secret_free(&w.pkcs8);
	builder_free(&w.spki);
	builder_free(&w.spki_pem);
	builder_free(&w.chain);
	builder_free(&w.chain_pem);
	builder_free(&w.template);
}

static const struct call every_kind[] = {
    {"pkey_from_parts", from_parts_checked, ST_OK},
    {"pkey_from_pkcs8", from_pkcs8, ST_OK},
    {"pkey_from_spki", from_spki, ST_OK},
    {"pkey_from_spki_pem", from_spki_pem, ST_OK},
    {"pkey_parts", parts, ST_OK},
    {"pkey_spki_pem", to_spki_pem, ST_OK},
    {"pkey_pkcs8_pem", to_pkcs8_pem, ST_OK},
    {"pkey_export", to_export, ST_OK},
    {"pkey_match", match, ST_OK},
    {"pkey_match, another", match_other, ST_CONFLICT},
    {"pkey_sign", sign, ST_OK},
    {"pkey_verify", verify, ST_OK},
    {"pkey_verify, wrong", verify_wrong, ST_DENIED},
    {"pkey_verify, afresh", verify_afresh, ST_OK},
    {"cert_request", request, ST_OK},
    {"cert_request, template", request_by_template, ST_OK},
};

static void small_keys(void **state)
{
	static const struct call more[] = {
	    {"pkey_generate", generate, ST_OK},
	    {"pkey_from_parts, private", from_private_alone, ST_OK},
	};

	(void)state;
	for (enum pkey_alg alg = PKEY_ED25519; alg <= PKEY_P256; alg++) {
		world_begin(alg);
		check_calls(every_kind, sizeof every_kind / sizeof every_kind[0]);
		check_calls(more, sizeof more / sizeof more[0]);
		world_end();
	}
}

static void rsa_keys(void **state)
{
	static const struct call more[] = {
	    {"pkey_encrypt", encrypt, ST_OK},
	    {"pkey_decrypt", decrypt, ST_OK},
	    {"pkey_decrypt, wrong", decrypt_wrong, ST_CORRUPT},
	};

	(void)state;
	world_begin(PKEY_RSA2048);
	check_calls(every_kind, sizeof every_kind / sizeof every_kind[0]);
	check_calls(more, sizeof more / sizeof more[0]);
	world_end();
}

/* A certificate of the key, signed by itself; or an authority's, of another. */
static void cert_add(const struct pkey *key, const char *constraints)
{
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, NID_basic_constraints, constraints);
	struct secret *pkcs8 = NULL;
	X509 *x = X509_new();
	uint8_t *der = NULL;
	const uint8_t *p;
	EVP_PKEY *k;
	int n;

	assert_int_equal(pkey_pkcs8(key, &pkcs8), ST_OK);
	p = secret_bytes(pkcs8);
	k = d2i_AutoPrivateKey(NULL, &p, (long)secret_len(pkcs8));
	assert_true(e != NULL && x != NULL && k != NULL);
	assert_true(X509_set_version(x, 2) == 1 && X509_set_pubkey(x, k) == 1 &&
	            X509_add_ext(x, e, -1) == 1);
	assert_non_null(X509_gmtime_adj(X509_getm_notBefore(x), 0));
	assert_non_null(X509_gmtime_adj(X509_getm_notAfter(x), 3600));
	assert_true(X509_sign(x, k, w.alg == PKEY_ED25519 ? NULL : EVP_sha256()) > 0);
	n = i2d_X509(x, &der);
	assert_true(n > 0);
	builder_lv(&w.chain, span_of(der, (size_t)n));
	OPENSSL_free(der);
	X509_EXTENSION_free(e);
	X509_free(x);
	EVP_PKEY_free(k);
	secret_free(&pkcs8);
}

static void chains(void **state)
{
	static const struct call calls[] = {
	    {"cert_chain_read", chain_read, ST_OK},
	    {"cert_chain_check", chain_check, ST_OK},
	    {"cert_chain_check, another", chain_check_other, ST_INVALID},
	};

	static const enum pkey_alg algs[] = {PKEY_ED25519, PKEY_P256, PKEY_RSA2048};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		world_begin(algs[i]);
		cert_add(w.key, "CA:FALSE");
		cert_add(w.other, "CA:TRUE");
		assert_int_equal(cert_chain_pem(builder_span(&w.chain), &w.chain_pem), ST_OK);
		check_calls(calls, sizeof calls / sizeof calls[0]);
		world_end();
	}
}

/* ------------------------------------------------------------ the rest */

static void wrapping_and_hashing(void **state)
{
	static const struct call calls[] = {
	    {"kwp_wrap", wrap, ST_OK},
	    {"kwp_unwrap", unwrap, ST_OK},
	    {"kwp_unwrap, wrong", unwrap_wrong, ST_CORRUPT},
	    {"digest_of", digest_sha3, ST_OK},
	    {"digest_mac", mac_sha3, ST_OK},
	};

	(void)state;
	memset(&w, 0, sizeof w);
	assert_int_equal(kwp_wrap(span_of(kek, sizeof kek), span_of(kek, 32), w.wrapped), ST_OK);
	check_calls(calls, sizeof calls / sizeof calls[0]);
}

static void every_cipher(void **state)
{
	static const char *const suites[] = {NULL, "evp"};
	static const struct call call = {"a cipher", ciphers, ST_OK};

	(void)state;
	memset(&w, 0, sizeof w);
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(aead_setup(suites[i], NULL), ST_OK);
		for (w.aead = 0; w.aead < AEAD_ALG_COUNT; w.aead++)
			check_calls(&call, 1);
	}
}

/* Not called before: memory may be lacking for what is fetched once, and the next call must find it all the same. */
static void streams(void **state)
{
	static const struct call calls[] = {{"AES-128-OFB", stream_128, ST_OK},
	                                    {"AES-256-OFB", stream_256, ST_OK}};

	(void)state;
	memset(&w, 0, sizeof w);
	for (size_t i = 0; i < 2; i++) {
		check_starved(&calls[i], ALLOC_FOR_EVER);
		check_starved(&calls[i], ALLOC_ONCE);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(wrapping_and_hashing),
	    cmocka_unit_test(every_cipher),
	    cmocka_unit_test(streams),
	    cmocka_unit_test(small_keys),
	    cmocka_unit_test(rsa_keys),
	    cmocka_unit_test(chains),
	};
	struct err err = {0};

	if (secret_setup(SECRET_BUDGET_DEFAULT, &err) != ST_OK)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
