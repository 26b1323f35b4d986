/*
 * AES-OFB against NIST SP 800-38A, F.4 (both key sizes), and against its definition (6.4): blocks of AES alone, each the one before enciphered.
 * In place and out of place, any length, one key in many threads, everything that must be refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <string.h>

#include "crypto/ofb.h"
#include "crypto/random.h"
#include "crypto/secret.h"

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

/* F.4: the same IV and plaintext for every key size. */
#define IV_F4 "000102030405060708090a0b0c0d0e0f"
#define TEXT_F4                                                            \
	"6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51" \
	"30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710"

static const struct {
	const char *key, *cipher;
} cases[] = {
    /* F.4.1, F.4.2 */
    {"2b7e151628aed2a6abf7158809cf4f3c",
     "3b3fd92eb72dad20333449f8e83cfb4a7789508d16918f03f53c52dac54ed825"
     "9740051e9c5fecf64344f7a82260edcc304c6528f659c77866a510d9c1d6ae5e"},
    /* F.4.5, F.4.6 */
    {"603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
     "dc7e84bfda79164b7ecd8486985d38604febdc6740d20b3ac88f6ad82a4fb08d"
     "71ab47a086e86eedf39d1c5bba97c4080126141d67f37be8538f5a8be740e484"},
};

static struct span unhex(const char *text, uint8_t *buf, size_t cap)
{
	struct builder b;

	builder_init_fixed(&b, buf, cap);
	assert_int_equal(builder_unhex(&b, span_str(text)), ST_OK);
	return builder_span(&b);
}

static struct ofb_key *key_new(struct span raw)
{
	struct ofb_key *k = NULL;

	assert_int_equal(ofb_key_new(raw, &k), ST_OK);
	return k;
}

static void published_cases(void **state)
{
	uint8_t key_b[32], iv[OFB_IV_LEN], plain[64], cipher[64], out[65];

	(void)state;
	assert_int_equal(unhex(IV_F4, iv, sizeof iv).n, sizeof iv);
	assert_int_equal(unhex(TEXT_F4, plain, sizeof plain).n, sizeof plain);
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct ofb_key *k = key_new(unhex(cases[i].key, key_b, sizeof key_b));

		assert_int_equal(unhex(cases[i].cipher, cipher, sizeof cipher).n, sizeof cipher);
		/* Of each length, which are the first bytes of the whole; in turn on one context. */
		for (size_t n = 0; n <= sizeof plain; n++) {
			memset(out, 0xcc, sizeof out);
			assert_int_equal(ofb_crypt(k, iv, span_of(plain, n), out), ST_OK);
			assert_memory_equal(out, cipher, n);
			assert_int_equal(out[n], 0xcc);
			assert_int_equal(ofb_crypt(k, iv, span_of(out, n), out), ST_OK);
			assert_memory_equal(out, plain, n);
			assert_int_equal(out[n], 0xcc);
		}
		ofb_key_free(&k);
		assert_null(k);
	}
}

/* ------------------------------------------------------------ the definition */

/* Output block after output block, each AES of the one before. */
static void by_definition(struct span key, const uint8_t *iv, const uint8_t *text, size_t n,
                          uint8_t *out)
{
	const EVP_CIPHER *aes = key.n == 16 ? EVP_aes_128_ecb() : EVP_aes_256_ecb();
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	uint8_t block[16];
	int made;

	assert_non_null(c);
	assert_int_equal(EVP_EncryptInit_ex(c, aes, NULL, key.p, NULL), 1);
	memcpy(block, iv, sizeof block);
	for (size_t i = 0; i < n; i++) {
		if (i % 16 == 0)
			assert_int_equal(EVP_EncryptUpdate(c, block, &made, block, 16), 1);
		out[i] = text[i] ^ block[i % 16];
	}
	EVP_CIPHER_CTX_free(c);
}

#define BIG ((size_t)200001)

static void check_definition(struct span raw, const struct ofb_key *k, size_t n)
{
	static uint8_t text[BIG], want[BIG], got[BIG];
	uint8_t iv[OFB_IV_LEN];

	random_fill(&random_system, text, n);
	random_fill(&random_system, iv, sizeof iv);
	by_definition(raw, iv, text, n, want);
	assert_int_equal(ofb_crypt(k, iv, span_of(text, n), got), ST_OK);
	assert_memory_equal(got, want, n);
	/* In place, and back. */
	assert_int_equal(ofb_crypt(k, iv, span_of(got, n), got), ST_OK);
	assert_memory_equal(got, text, n);
}

static void any_length_is_as_defined(void **state)
{
	static const size_t key_lens[] = {16, 32};

	(void)state;
	for (size_t i = 0; i < COUNT(key_lens); i++) {
		uint8_t bytes[32];
		struct span raw = span_of(bytes, key_lens[i]);
		struct ofb_key *k;

		random_fill(&random_system, bytes, sizeof bytes);
		k = key_new(raw);
		for (size_t n = 0; n < 300; n++)
			check_definition(raw, k, n);
		check_definition(raw, k, BIG);
		ofb_key_free(&k);
	}
}

/* ------------------------------------------------------------ threads */

enum { THREADS = 12, ROUNDS = 300 }; /* more threads than a key keeps contexts */

static void *crypt_much(void *arg)
{
	const struct ofb_key *k = arg;
	uint8_t iv[OFB_IV_LEN], text[100], out[100];

	for (unsigned i = 0; i < ROUNDS; i++) {
		size_t n = i % sizeof text;

		random_fill(&random_system, iv, sizeof iv);
		random_fill(&random_system, text, sizeof text);
		memcpy(out, text, sizeof text);
		if (ofb_crypt(k, iv, span_of(out, n), out) != ST_OK ||
		    ofb_crypt(k, iv, span_of(out, n), out) != ST_OK ||
		    memcmp(out, text, sizeof text) != 0)
			return arg;
	}
	return NULL;
}

static void many_threads_use_one_key(void **state)
{
	uint8_t raw[32] = {1};
	struct ofb_key *k = key_new(span_of(raw, sizeof raw));
	pthread_t threads[THREADS];
	void *failed;

	(void)state;
	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, crypt_much, k), 0);
	for (size_t i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(threads[i], &failed), 0);
		assert_null(failed);
	}
	ofb_key_free(&k);
}

/* ------------------------------------------------------------ refusals */

static void key_lengths_are_checked(void **state)
{
	uint8_t raw[64] = {0};
	struct ofb_key *k = NULL;

	(void)state;
	for (size_t n = 0; n <= sizeof raw; n++)
		if (n != 16 && n != 32)
			assert_int_equal(ofb_key_new(span_of(raw, n), &k), ST_INVALID);
	assert_null(k);
	ofb_key_free(&k);
}

static void a_text_may_be_too_long(void **state)
{
	uint8_t raw[16] = {0}, iv[OFB_IV_LEN] = {0}, out[16];
	struct ofb_key *k = key_new(span_of(raw, sizeof raw));

	(void)state;
	memset(out, 0xcc, sizeof out);
	/* These texts are not there; the length alone must refuse them. */
	assert_int_equal(ofb_crypt(k, iv, span_of(raw, OFB_TEXT_MAX + 1), out), ST_LIMIT);
	assert_int_equal(ofb_crypt(k, iv, span_of(raw, SIZE_MAX), out), ST_LIMIT);
	for (size_t i = 0; i < sizeof out; i++)
		assert_int_equal(out[i], 0xcc);
	ofb_key_free(&k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(published_cases),          cmocka_unit_test(any_length_is_as_defined),
	    cmocka_unit_test(many_threads_use_one_key), cmocka_unit_test(key_lengths_are_checked),
	    cmocka_unit_test(a_text_may_be_too_long),
	};
	struct err err = {0};

	if (secret_setup(SECRET_BUDGET_DEFAULT, &err) != ST_OK)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
