/* One certificate: what is read from it in each form that it may have, and what is none.  They are made here, by OpenSSL. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <string.h>

#include "crypto/x509.h"

#define FROM  1700000000
#define UNTIL 1800000000

static EVP_PKEY *key;
static struct builder der, pem; /* of the certificate that most tests read */
static struct err err;

/* A certificate that nobody signed but itself; attributes: pairs of name and value, NULL at the end. */
static X509 *made(const char *const *attributes, long serial)
{
	X509 *x = X509_new();
	X509_NAME *name = X509_get_subject_name(x);

	for (; *attributes != NULL; attributes += 2)
		assert_int_equal(X509_NAME_add_entry_by_txt(name, attributes[0], MBSTRING_UTF8,
		                                            (const uint8_t *)attributes[1], -1, -1,
		                                            0),
		                 1);
	assert_int_equal(X509_set_issuer_name(x, name), 1);
	assert_int_equal(ASN1_INTEGER_set(X509_get_serialNumber(x), serial), 1);
	assert_non_null(ASN1_TIME_set(X509_getm_notBefore(x), FROM));
	assert_non_null(ASN1_TIME_set(X509_getm_notAfter(x), UNTIL));
	assert_int_equal(X509_set_pubkey(x, key), 1);
	assert_true(X509_sign(x, key, NULL) > 0);
	return x;
}

static void to_der(X509 *x, struct builder *ret)
{
	uint8_t *p = NULL;
	int n = i2d_X509(x, &p);

	assert_true(n > 0);
	builder_reset(ret);
	builder_add(ret, span_of(p, (size_t)n));
	OPENSSL_free(p);
}

static void to_pem(X509 *x, struct builder *ret)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *p = NULL;
	long n;

	assert_int_equal(PEM_write_bio_X509(bio, x), 1);
	n = BIO_get_mem_data(bio, &p);
	builder_reset(ret);
	builder_add(ret, span_of(p, (size_t)n));
	BIO_free(bio);
}

static int setup(void **state)
{
	static const char *const eva[] = {"CN",  "Eva Åkesson", "OU", "one", "OU",
	                                  "two", "1.2.3.4",     "x",  NULL};
	struct err e = {0};
	X509 *x;

	(void)state;
	assert_int_equal(secret_setup(SECRET_BUDGET_DEFAULT, &e), ST_OK);
	key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	x = made(eva, 0xabc);
	to_der(x, &der);
	to_pem(x, &pem);
	X509_free(x);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	EVP_PKEY_free(key);
	builder_free(&der);
	builder_free(&pem);
	return 0;
}

static enum status visit(void *arg, struct span type, struct span value)
{
	struct builder *b = arg;

	builder_add(b, type);
	builder_u8(b, '=');
	builder_add(b, value);
	builder_u8(b, ';');
	return ST_OK;
}

static void assert_is_evas(struct span text)
{
	struct x509 *c = NULL;
	struct builder names = {0};
	uint8_t fingerprint[SHA256_LEN];
	struct span whole = builder_span(&der);

	assert_int_equal(x509_read(text, &c, &err), ST_OK);
	assert_true(span_eq(x509_der(c), whole));
	sha256(&whole, 1, fingerprint);
	assert_memory_equal(x509_fingerprint(c), fingerprint, SHA256_LEN);
	assert_string_equal(x509_serial(c), "0abc");
	assert_int_equal(x509_from_s(c), FROM);
	assert_int_equal(x509_until_s(c), UNTIL);
	assert_int_equal(x509_each(c, X509_SUBJECT, visit, &names), ST_OK);
	assert_int_equal(x509_each(c, X509_ISSUER, visit, &names), ST_OK);
	builder_u8(&names, 0);
	assert_string_equal((const char *)names.p, "CN=Eva Åkesson;OU=one;OU=two;1.2.3.4=x;"
	                                           "CN=Eva Åkesson;OU=one;OU=two;1.2.3.4=x;");
	builder_free(&names);
	x509_free(&c);
	assert_null(c);
}

static void test_der_and_pem_and_base64(void **state)
{
	struct builder b = {0};

	(void)state;
	assert_is_evas(builder_span(&der));
	assert_is_evas(builder_span(&pem));
	builder_str(&b, "0 s:CN = Eva\n   i:CN = Eva\n");
	builder_add(&b, builder_span(&pem));
	builder_str(&b, "some words behind it");
	assert_is_evas(builder_span(&b));
	builder_reset(&b);
	builder_base64(&b, builder_span(&der));
	assert_is_evas(builder_span(&b));
	builder_free(&b);
}

static void test_when_it_is_valid(void **state)
{
	const int64_t s = INT64_C(1000000000);
	struct x509 *c = NULL;

	(void)state;
	assert_int_equal(x509_read(builder_span(&der), &c, &err), ST_OK);
	assert_false(x509_valid_at(c, FROM * s - 1));
	assert_true(x509_valid_at(c, FROM * s));
	assert_true(x509_valid_at(c, UNTIL * s + s - 1));
	assert_false(x509_valid_at(c, UNTIL * s + s));
	x509_free(&c);
}

static void assert_none(struct span text, enum status want, const char *part)
{
	struct x509 *c = NULL;

	err = (struct err){0};
	assert_int_equal(x509_read(text, &c, &err), want);
	assert_null(c);
	if (strstr(err_text(&err, want), part) == NULL)
		assert_string_equal(err_text(&err, want), part);
}

static void test_what_is_no_certificate(void **state)
{
	struct builder b = {0};

	(void)state;
	assert_none(span_str(""), ST_INVALID, "no certificate");
	assert_none(span_str("hello"), ST_INVALID, "no certificate");
	assert_none(span_str("aGVsbG8="), ST_INVALID, "no certificate");
	assert_none(span_str("-----BEGIN CERTIFICATE-----\n"), ST_INVALID, "no certificate");
	assert_none(span_str("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
	            ST_INVALID, "no certificate");
	for (size_t n = 0; n < der.n; n++)
		assert_none(span_of(der.p, n), ST_INVALID, "no certificate");
	builder_add(&b, builder_span(&der));
	builder_u8(&b, 0);
	assert_none(builder_span(&b), ST_INVALID, "no certificate");
	builder_reset(&b);
	builder_add(&b, builder_span(&pem));
	builder_add(&b, builder_span(&pem));
	assert_none(builder_span(&b), ST_INVALID, "more than one");
	builder_reset(&b);
	builder_add(&b, builder_span(&pem));
	builder_str(&b, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
	assert_none(builder_span(&b), ST_INVALID, "more than one");
	builder_free(&b);
}

static void test_what_is_too_large(void **state)
{
	static char text[X509_DER_MAX + 1];
	const char *many[2 * (X509_NAME_MAX + 1) + 1] = {NULL};
	struct builder b = {0};
	X509 *x;

	(void)state;
	memset(text, 'x', sizeof text);
	assert_none(span_of(text, sizeof text), ST_INVALID, "no certificate");
	text[0] = 0x30;
	text[1] = (char)0x82;
	assert_none(span_of(text, sizeof text), ST_LIMIT, "16384");
	for (size_t i = 0; i < 5; i++)
		builder_add(&b, span_of(text, sizeof text));
	assert_none(builder_span(&b), ST_LIMIT, "16384");
	for (size_t i = 0; i <= X509_NAME_MAX; i++) {
		many[2 * i] = "OU";
		many[2 * i + 1] = "x";
	}
	x = made(many, 1);
	to_der(x, &b);
	assert_none(builder_span(&b), ST_INVALID, "no certificate");
	X509_free(x);
	builder_free(&b);
}

static void test_a_negative_serial_number(void **state)
{
	static const char *const nobody[] = {NULL};
	X509 *x = made(nobody, -5);
	struct builder b = {0}, names = {0};
	struct x509 *c = NULL;

	(void)state;
	to_der(x, &b);
	assert_int_equal(x509_read(builder_span(&b), &c, &err), ST_OK);
	assert_string_equal(x509_serial(c), "-05");
	assert_int_equal(x509_each(c, X509_SUBJECT, visit, &names), ST_OK);
	assert_int_equal(names.n, 0);
	x509_free(&c);
	X509_free(x);
	builder_free(&b);
}

/* Every byte changed in turn: read or refused, and what is read can be shown. */
static void test_changed_bytes(void **state)
{
	(void)state;
	for (size_t i = 0; i < der.n; i++) {
		for (unsigned bit = 0; bit < 8; bit++) {
			struct x509 *c = NULL;
			struct builder names = {0};

			der.p[i] ^= (uint8_t)(1u << bit);
			if (x509_read(builder_span(&der), &c, &err) == ST_OK) {
				enum status st = x509_each(c, X509_SUBJECT, visit, &names);

				assert_true(st == ST_OK || st == ST_CORRUPT);
			}
			x509_free(&c);
			builder_free(&names);
			der.p[i] ^= (uint8_t)(1u << bit);
		}
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_der_and_pem_and_base64),
	    cmocka_unit_test(test_when_it_is_valid),
	    cmocka_unit_test(test_what_is_no_certificate),
	    cmocka_unit_test(test_what_is_too_large),
	    cmocka_unit_test(test_a_negative_serial_number),
	    cmocka_unit_test(test_changed_bytes),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
