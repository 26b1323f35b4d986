/*
 * What runs for each item of a request allocates nothing: neither on the heap nor from the pool of locked memory, whose functions are
 * wrapped (and with the pool no lock is taken, since its lock is the only one here).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "crypto/aead.h"
#include "crypto/digest.h"
#include "crypto/kdf.h"
#include "crypto/ofb.h"
#include "crypto/random.h"
#include "crypto/secret.h"

static unsigned allocated;

void *__real_secret_pool_get(size_t n);
void *__wrap_secret_pool_get(size_t n);
void *__real_malloc(size_t n);
void *__wrap_malloc(size_t n);
void *__real_calloc(size_t n, size_t m);
void *__wrap_calloc(size_t n, size_t m);

void *__wrap_secret_pool_get(size_t n)
{
	allocated++;
	return __real_secret_pool_get(n);
}

void *__wrap_malloc(size_t n)
{
	allocated++;
	return __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t m)
{
	allocated++;
	return __real_calloc(n, m);
}

static void an_allocation_is_seen(void **state)
{
	unsigned before = allocated;
	struct secret *s = NULL;

	(void)state;
	assert_int_equal(secret_new(10, &s), ST_OK);
	assert_true(allocated > before);
	secret_free(&s);
}

static void sealing_and_opening(void **state)
{
	uint8_t nonce[AEAD_NONCE_MAX], text[116] = {0}, raw[32] = {1};

	(void)state;
	for (enum aead_alg alg = 0; alg < AEAD_ALG_COUNT; alg++) {
		const struct span n = span_of(nonce, aead_info(alg)->nonce_len), none = {NULL, 0};
		struct aead_key *k = NULL;
		unsigned before;

		assert_int_equal(aead_key_new(alg, span_of(raw, aead_info(alg)->key_len), &k),
		                 ST_OK);
		random_fill(&random_system, nonce, sizeof nonce); /* this thread's generator */
		assert_int_equal(aead_seal(k, n, none, span_of(text, 100), text), ST_OK);
		assert_int_equal(aead_open(k, n, none, span_of(text, 116), text), ST_OK);
		before = allocated;
		for (unsigned i = 0; i < 100; i++) {
			random_fill(&random_system, nonce, sizeof nonce);
			assert_int_equal(aead_seal(k, n, none, span_of(text, 100), text), ST_OK);
			assert_int_equal(aead_open(k, n, none, span_of(text, 116), text), ST_OK);
			assert_int_equal(aead_open(k, n, none, span_of(text, 116), text),
			                 ST_CORRUPT);
		}
		assert_int_equal(allocated, before);
		aead_key_free(&k);
	}
}

static void streams(void **state)
{
	static const size_t key_lens[] = {16, 32};
	uint8_t iv[OFB_IV_LEN], text[100] = {0}, raw[32] = {1};

	(void)state;
	for (size_t n = 0; n < 2; n++) {
		struct ofb_key *k = NULL;
		unsigned before;

		assert_int_equal(ofb_key_new(span_of(raw, key_lens[n]), &k), ST_OK);
		random_fill(&random_system, iv, sizeof iv); /* this thread's generator */
		assert_int_equal(ofb_crypt(k, iv, span_of(text, sizeof text), text), ST_OK);
		before = allocated;
		for (unsigned i = 0; i < 100; i++) {
			random_fill(&random_system, iv, sizeof iv);
			assert_int_equal(ofb_crypt(k, iv, span_of(text, i), text), ST_OK);
		}
		assert_int_equal(allocated, before);
		ofb_key_free(&k);
	}
}

/* With libipsec-mb, keys too. */
static void placing_keys(void **state)
{
	const size_t pool = aead_impl()[0] == 'm' ? 0 : 1;
	uint8_t raw[32] = {1};
	struct arena a = {0};

	(void)state;
	for (enum aead_alg alg = 0; alg < AEAD_ALG_COUNT; alg++) {
		void *mem = arena_alloc64(&a, aead_key_size(alg));
		struct aead_key *k = NULL;
		unsigned before;

		assert_non_null(mem);
		before = allocated;
		for (unsigned i = 0; i < 10; i++) {
			assert_int_equal(
			    aead_key_place(alg, span_of(raw, aead_info(alg)->key_len), mem, &k),
			    ST_OK);
			aead_key_clear(&k);
		}
		assert_true(allocated == before || pool > 0);
	}
	arena_free(&a);
}

static void hashing(void **state)
{
	uint8_t key[200] = {1}, out[DIGEST_LEN_MAX];
	const struct span part = span_of(key, sizeof key);
	struct hmac_key *k = NULL;
	unsigned before;

	(void)state;
	assert_int_equal(hmac_key_new(part, &k), ST_OK);
	assert_int_equal(digest_mac(DIGEST_SHA1, part, &part, 1, out),
	                 ST_OK); /* its scratch memory */
	before = allocated;
	hmac_sha256(k, &part, 1, out);
	sha256(&part, 1, out);
	for (enum digest_alg alg = DIGEST_SHA1; alg <= DIGEST_SHA2_512; alg++) {
		assert_int_equal(digest_of(alg, &part, 1, out), ST_OK);
		assert_int_equal(digest_mac(alg, part, &part, 1, out), ST_OK);
	}
	assert_int_equal(allocated, before);
	hmac_key_free(&k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(an_allocation_is_seen),
	    cmocka_unit_test(sealing_and_opening),
	    cmocka_unit_test(streams),
	    cmocka_unit_test(placing_keys),
	    cmocka_unit_test(hashing),
	};
	struct err err = {0};

	if (secret_setup(SECRET_BUDGET_DEFAULT, &err) != ST_OK)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
