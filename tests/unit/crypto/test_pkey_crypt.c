/* RSA-OAEP: every digest and key, ours read by OpenSSL and theirs by us, limits, what must be refused, threads.  Published vectors: test_vectors_crypt.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <string.h>

#include "crypto/pkey_crypt.h"
#include "crypto/pkey_sign.h"
#include "crypto/pkey_text.h"
#include "pkeys.h"

static const enum digest_alg digests[] = {DIGEST_SHA1,     DIGEST_SHA2_224, DIGEST_SHA2_256,
                                          DIGEST_SHA2_384, DIGEST_SHA2_512, DIGEST_SHA3_256};
#define DIGESTS (sizeof digests / sizeof digests[0])

static void check_there_and_back(enum pkey_alg alg, enum digest_alg digest, size_t n)
{
	static uint8_t text[PKEY_CRYPT_MAX];
	uint8_t sealed[PKEY_CRYPT_MAX + 1], again[PKEY_CRYPT_MAX];
	struct secret *back = NULL;
	size_t len = 0;

	memset(text, (int)n, sizeof text);
	sealed[PKEY_CRYPT_MAX] = 0xcc;
	assert_int_equal(pkey_encrypt(pkeys[alg], digest, span_of(text, n), sealed, &len), ST_OK);
	assert_int_equal(sealed[PKEY_CRYPT_MAX], 0xcc);
	assert_int_equal(len, pkey_info(alg)->len);
	assert_int_equal(pkey_decrypt(pkeys[alg], digest, span_of(sealed, len), &back), ST_OK);
	assert_int_equal(secret_len(back), n);
	assert_memory_equal(secret_bytes(back), text, n);
	secret_free(&back);
	/* Random: never the same twice. */
	assert_int_equal(pkey_encrypt(pkeys[alg], digest, span_of(text, n), again, &len), ST_OK);
	assert_true(memcmp(sealed, again, len) != 0);
}

static void there_and_back(void **state)
{
	(void)state;
	for (enum pkey_alg alg = PKEY_RSA2048; alg < PKEY_ALG_COUNT; alg++) {
		for (size_t i = 0; i < DIGESTS; i++) {
			const size_t most = pkey_crypt_max(pkeys[alg], digests[i]);

			assert_int_equal(most,
			                 pkey_info(alg)->len - 2 * digest_len(digests[i]) - 2);
			check_there_and_back(alg, digests[i], 0);
			check_there_and_back(alg, digests[i], 1);
			check_there_and_back(alg, digests[i], 32);
			check_there_and_back(alg, digests[i], most);
		}
	}
}

static EVP_PKEY_CTX *theirs(enum pkey_alg alg)
{
	struct secret *der = NULL;
	const uint8_t *p;
	EVP_PKEY_CTX *c;
	EVP_PKEY *k;

	assert_int_equal(pkey_pkcs8(pkeys[alg], &der), ST_OK);
	p = secret_bytes(der);
	k = d2i_AutoPrivateKey(NULL, &p, (long)secret_len(der));
	assert_non_null(k);
	c = EVP_PKEY_CTX_new_from_pkey(NULL, k, NULL);
	assert_non_null(c);
	EVP_PKEY_free(k);
	secret_free(&der);
	return c;
}

/* As `openssl pkeyutl` and Go's EncryptOAEP do it: one digest for both, no label. */
static void openssl_understands_us(void **state)
{
	uint8_t sealed[PKEY_CRYPT_MAX], text[PKEY_CRYPT_MAX];
	EVP_PKEY_CTX *c = theirs(PKEY_RSA2048);
	struct secret *back = NULL;
	size_t n = 0, len = sizeof text;

	(void)state;
	assert_int_equal(
	    pkey_encrypt(pkeys[PKEY_RSA2048], DIGEST_SHA2_256, span_str("hello"), sealed, &n),
	    ST_OK);
	assert_int_equal(EVP_PKEY_decrypt_init(c), 1);
	assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(c, RSA_PKCS1_OAEP_PADDING), 1);
	assert_int_equal(EVP_PKEY_CTX_set_rsa_oaep_md(c, EVP_sha256()), 1);
	assert_int_equal(EVP_PKEY_decrypt(c, text, &len, sealed, n), 1);
	assert_true(span_eq_str(span_of(text, len), "hello"));
	assert_int_equal(EVP_PKEY_encrypt_init(c), 1);
	assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(c, RSA_PKCS1_OAEP_PADDING), 1);
	assert_int_equal(EVP_PKEY_CTX_set_rsa_oaep_md(c, EVP_sha256()), 1);
	n = sizeof sealed;
	assert_int_equal(EVP_PKEY_encrypt(c, sealed, &n, (const uint8_t *)"back", 4), 1);
	assert_int_equal(
	    pkey_decrypt(pkeys[PKEY_RSA2048], DIGEST_SHA2_256, span_of(sealed, n), &back), ST_OK);
	assert_true(span_eq_str(secret_span(back), "back"));
	secret_free(&back);
	EVP_PKEY_CTX_free(c);
}

static void limits(void **state)
{
	static uint8_t text[PKEY_CRYPT_MAX + 1];
	uint8_t sealed[PKEY_CRYPT_MAX];
	size_t n = 5;

	(void)state;
	for (enum pkey_alg alg = PKEY_RSA2048; alg < PKEY_ALG_COUNT; alg++) {
		const size_t most = pkey_crypt_max(pkeys[alg], DIGEST_SHA2_256);

		assert_int_equal(
		    pkey_encrypt(pkeys[alg], DIGEST_SHA2_256, span_of(text, most + 1), sealed, &n),
		    ST_LIMIT);
		assert_int_equal(pkey_encrypt(pkeys[alg], DIGEST_SHA2_256,
		                              span_of(text, sizeof text), sealed, &n),
		                 ST_LIMIT);
		assert_int_equal(n, 5);
	}
}

static void check_corrupt(enum pkey_alg alg, enum digest_alg digest, struct span sealed)
{
	struct secret *back = NULL;

	assert_int_equal(pkey_decrypt(pkeys[alg], digest, sealed, &back), ST_CORRUPT);
	assert_null(back);
}

static void what_is_not_for_the_key_is_refused(void **state)
{
	uint8_t sealed[PKEY_CRYPT_MAX + 1] = {0};
	size_t n = 0;

	(void)state;
	assert_int_equal(
	    pkey_encrypt(pkeys[PKEY_RSA2048], DIGEST_SHA2_256, span_str("hello"), sealed, &n),
	    ST_OK);
	for (size_t bit = 0; bit < n * 8; bit += 31) {
		sealed[bit / 8] ^= (uint8_t)(1U << bit % 8);
		check_corrupt(PKEY_RSA2048, DIGEST_SHA2_256, span_of(sealed, n));
		sealed[bit / 8] ^= (uint8_t)(1U << bit % 8);
	}
	for (size_t cut = 0; cut < n; cut += 15)
		check_corrupt(PKEY_RSA2048, DIGEST_SHA2_256, span_of(sealed, cut));
	check_corrupt(PKEY_RSA2048, DIGEST_SHA2_256, span_of(sealed, n + 1));
	check_corrupt(PKEY_RSA2048, DIGEST_SHA1, span_of(sealed, n));
	check_corrupt(PKEY_RSA3072, DIGEST_SHA2_256, span_of(sealed, n));
	check_corrupt(PKEY_RSA2048, DIGEST_SHA2_256, span_of(NULL, 0));
	memset(sealed, 0, n);
	check_corrupt(PKEY_RSA2048, DIGEST_SHA2_256, span_of(sealed, n));
	memset(sealed, 0xff, n);
	check_corrupt(PKEY_RSA2048, DIGEST_SHA2_256, span_of(sealed, n));
}

static void what_a_key_cannot_do(void **state)
{
	uint8_t sealed[PKEY_CRYPT_MAX] = {0};
	struct pkey *public = pkeys_public(PKEY_RSA2048);
	struct secret *back = NULL;
	size_t n = 0;

	(void)state;
	for (enum pkey_alg alg = 0; alg <= PKEY_P521; alg++) {
		assert_int_equal(pkey_crypt_max(pkeys[alg], DIGEST_SHA2_256), 0);
		assert_int_equal(
		    pkey_encrypt(pkeys[alg], DIGEST_SHA2_256, span_str("x"), sealed, &n),
		    ST_UNSUPPORTED);
		assert_int_equal(
		    pkey_decrypt(pkeys[alg], DIGEST_SHA2_256, span_of(sealed, 256), &back),
		    ST_UNSUPPORTED);
	}
	assert_int_equal(pkey_encrypt(public, DIGEST_SHA2_256, span_str("x"), sealed, &n), ST_OK);
	assert_int_equal(pkey_decrypt(public, DIGEST_SHA2_256, span_of(sealed, n), &back),
	                 ST_UNAVAILABLE);
	assert_int_equal(
	    pkey_decrypt(pkeys[PKEY_RSA2048], DIGEST_SHA2_256, span_of(sealed, n), &back), ST_OK);
	secret_free(&back);
	pkey_unref(&public);
}

/* Encrypting, decrypting and signing at once, with contexts that give way to others. */
static void *use_everything(void *arg)
{
	const struct pkey_how how = {.digest = DIGEST_SHA2_384};
	uint8_t sealed[PKEY_CRYPT_MAX], sig[PKEY_SIG_MAX];
	struct pkey *k = arg;
	uintptr_t bad = 0;
	size_t n = 0;

	for (unsigned i = 0; i < 30; i++) {
		struct secret *back = NULL;
		const enum digest_alg digest = digests[i % DIGESTS];

		bad |= pkey_encrypt(k, digest, span_of(&i, sizeof i), sealed, &n) != ST_OK;
		bad |= pkey_decrypt(k, digest, span_of(sealed, n), &back) != ST_OK;
		bad |= !span_eq(secret_span(back), span_of(&i, sizeof i));
		secret_free(&back);
		bad |= pkey_sign(k, &how, span_str("x"), sig, &n) != ST_OK;
		bad |= pkey_verify(k, &how, span_str("x"), span_of(sig, n)) != ST_OK;
	}
	return (void *)bad;
}

static void threads_share_a_key(void **state)
{
	enum { N = 10 };
	pthread_t threads[N];
	void *bad;

	(void)state;
	for (size_t i = 0; i < N; i++)
		assert_int_equal(
		    pthread_create(&threads[i], NULL, use_everything, pkeys[PKEY_RSA2048]), 0);
	for (size_t i = 0; i < N; i++) {
		assert_int_equal(pthread_join(threads[i], &bad), 0);
		assert_null(bad);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(there_and_back),
	    cmocka_unit_test(openssl_understands_us),
	    cmocka_unit_test(limits),
	    cmocka_unit_test(what_is_not_for_the_key_is_refused),
	    cmocka_unit_test(what_a_key_cannot_do),
	    cmocka_unit_test(threads_share_a_key),
	};

	return cmocka_run_group_tests(tests, pkeys_setup, pkeys_teardown);
}
