/*
 * AES-GCM: the test cases of the GCM specification (D. McGrew and J. Viega, "The Galois/Counter Mode of Operation", appendix B; those
 * with a 96-bit nonce) for each implementation, in place and out of place; the implementations against each other; everything that
 * must be refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "child.h"
#include "crypto/aead.h"
#include "crypto/random.h"
#include "crypto/secret.h"

#define KEY_A   "feffe9928665731c6d6a8f9467308308"
#define ZERO16  "00000000000000000000000000000000"
#define ZERO12  "000000000000000000000000"
#define NONCE_A "cafebabefacedbaddecaf888"
#define AAD_A   "feedfacedeadbeeffeedfacedeadbeefabaddad2"
#define TEXT_A                                                                                     \
	"d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e24" \
	"49"                                                                                       \
	"a6b525b16aedf5aa0de657ba637b39"
#define C128_A                                                                                     \
	"42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e21d514b25466931c7d8f6a5a" \
	"ac"                                                                                       \
	"84aa051ba30b396a0aac973d58e091"
#define C256_A                                                                                     \
	"522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b10" \
	"56"                                                                                       \
	"828838c5f61e6393ba7a0abcc9f662"

static const struct {
	const char *name, *key, *nonce, *aad, *plain, *sealed; /* sealed: ciphertext and tag */
} cases[] = {
    {"1", ZERO16, ZERO12, "", "", "58e2fccefa7e3061367f1d57a4e7455a"},
    {"2", ZERO16, ZERO12, "", ZERO16,
     "0388dace60b6a392f328c2b971b2fe78ab6e47d42cec13bdf53a67b21257bddf"},
    {"3", KEY_A, NONCE_A, "", TEXT_A "1aafd255",
     C128_A "473f5985"
            "4d5c2af327cd64a62cf35abd2ba6fab4"},
    {"4", KEY_A, NONCE_A, AAD_A, TEXT_A, C128_A "5bc94fbc3221a5db94fae95ae7121a47"},
    {"13", ZERO16 ZERO16, ZERO12, "", "", "530f8afbc74536b9a963b4f1c4cb738b"},
    {"14", ZERO16 ZERO16, ZERO12, "", ZERO16,
     "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919"},
    {"15", KEY_A KEY_A, NONCE_A, "", TEXT_A "1aafd255",
     C256_A "898015ad"
            "b094dac5d93471bdec1a502270e3cc6c"},
    {"16", KEY_A KEY_A, NONCE_A, AAD_A, TEXT_A, C256_A "76fc6ece0f4e1768cddf8853bb2d551b"},
};

/* Best first, as aead_setup(NULL) chooses. */
#ifdef __x86_64__
static const char *const impls[] = {"mb", "evp"};
#else
static const char *const impls[] = {"evp"};
#endif
#define IMPLS (sizeof impls / sizeof impls[0])

static struct span unhex(const char *text, uint8_t *buf, size_t cap)
{
	struct builder b;

	builder_init_fixed(&b, buf, cap);
	assert_int_equal(builder_unhex(&b, span_str(text)), ST_OK);
	return builder_span(&b);
}

static bool all_zero(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] != 0)
			return false;
	return true;
}

static struct aead_key *key_new(const char *impl, struct span key)
{
	enum aead_alg alg = key.n == 16 ? AEAD_AES128_GCM : AEAD_AES256_GCM;
	struct aead_key *k = NULL;
	struct err err = {0};

	assert_int_equal(aead_setup(impl, &err), ST_OK);
	assert_string_equal(aead_impl(), impl);
	assert_int_equal(aead_key_new(alg, key, &k), ST_OK);
	return k;
}

static void check_case(const char *impl, size_t i)
{
	uint8_t key_b[32], nonce_b[12], aad_b[64], plain_b[64], sealed_b[80], out[81];
	struct span nonce = unhex(cases[i].nonce, nonce_b, sizeof nonce_b);
	struct span aad = unhex(cases[i].aad, aad_b, sizeof aad_b);
	struct span plain = unhex(cases[i].plain, plain_b, sizeof plain_b);
	struct span sealed = unhex(cases[i].sealed, sealed_b, sizeof sealed_b);
	struct aead_key *k = key_new(impl, unhex(cases[i].key, key_b, sizeof key_b));

	out[sealed.n] = 0xcc;
	assert_int_equal(aead_seal(k, nonce, aad, plain, out), ST_OK);
	assert_memory_equal(out, sealed.p, sealed.n);
	assert_int_equal(out[sealed.n], 0xcc);

	if (plain.n > 0)
		memcpy(out, plain.p, plain.n);
	assert_int_equal(aead_seal(k, nonce, aad, span_of(out, plain.n), out), ST_OK);
	assert_memory_equal(out, sealed.p, sealed.n);

	assert_int_equal(aead_open(k, nonce, aad, span_of(out, sealed.n), out), ST_OK);
	assert_memory_equal(out, plain_b, plain.n);

	memset(out, 0xcc, sizeof out);
	assert_int_equal(aead_open(k, nonce, aad, sealed, out), ST_OK);
	assert_memory_equal(out, plain_b, plain.n);
	assert_int_equal(out[plain.n], 0xcc);
	aead_key_free(&k);
}

static void cases_of_the_specification(void **state)
{
	(void)state;
	for (size_t m = 0; m < IMPLS; m++)
		for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
			check_case(impls[m], i);
}

/* ------------------------------------------------------------ one against the other */

#define BIG ((size_t)200000)

/* Seals by one, opens by the other, in place; equal bytes on the way. */
static void check_agree(struct aead_key *mb, struct aead_key *evp, size_t plain_n, size_t aad_n)
{
	static uint8_t plain[BIG], aad[BIG], x[BIG + 16], y[BIG + 16];
	uint8_t nonce[12];

	random_fill(&random_system, plain, plain_n);
	random_fill(&random_system, aad, aad_n);
	random_fill(&random_system, nonce, sizeof nonce);
	assert_int_equal(
	    aead_seal(mb, span_of(nonce, 12), span_of(aad, aad_n), span_of(plain, plain_n), x),
	    ST_OK);
	assert_int_equal(
	    aead_seal(evp, span_of(nonce, 12), span_of(aad, aad_n), span_of(plain, plain_n), y),
	    ST_OK);
	assert_memory_equal(x, y, plain_n + 16);
	assert_int_equal(
	    aead_open(evp, span_of(nonce, 12), span_of(aad, aad_n), span_of(x, plain_n + 16), x),
	    ST_OK);
	assert_int_equal(
	    aead_open(mb, span_of(nonce, 12), span_of(aad, aad_n), span_of(y, plain_n + 16), y),
	    ST_OK);
	assert_memory_equal(x, plain, plain_n);
	assert_memory_equal(y, plain, plain_n);
}

static void implementations_agree(void **state)
{
	static const size_t more[] = {511,  512,  513,  767,  768,   769,   1023,
	                              1024, 1025, 4095, 4097, 16384, 65537, BIG};
	static const size_t key_lens[] = {16, 32};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		uint8_t raw[32];
		struct aead_key *mb, *evp;

		random_fill(&random_system, raw, sizeof raw);
		mb = key_new(impls[0], span_of(raw, key_lens[i]));
		evp = key_new("evp", span_of(raw, key_lens[i]));
		for (size_t n = 0; n < 400; n++) {
			check_agree(mb, evp, n, n * 7 % 67);
			check_agree(mb, evp, n % 50, n);
		}
		for (size_t m = 0; m < sizeof more / sizeof more[0]; m++) {
			check_agree(mb, evp, more[m], 20);
			check_agree(mb, evp, 33, more[m]);
		}
		aead_key_free(&mb);
		aead_key_free(&evp);
	}
}

/* ------------------------------------------------------------ refusals */

/* Opening must fail and leave zeros, out of place and in place. */
static void check_corrupt(const struct aead_key *k, struct span nonce, struct span aad,
                          struct span sealed)
{
	uint8_t out[200];

	assert_true(sealed.n >= 16 && sealed.n < sizeof out);
	memset(out, 0xcc, sizeof out);
	assert_int_equal(aead_open(k, nonce, aad, sealed, out), ST_CORRUPT);
	assert_true(all_zero(out, sealed.n - 16));
	assert_int_equal(out[sealed.n - 16], 0xcc);
	memcpy(out, sealed.p, sealed.n);
	assert_int_equal(aead_open(k, nonce, aad, span_of(out, sealed.n), out), ST_CORRUPT);
	assert_true(all_zero(out, sealed.n - 16));
}

static void flip(uint8_t *p, size_t bit)
{
	p[bit / 8] ^= (uint8_t)(1U << bit % 8);
}

static void check_tampering(const char *impl, size_t plain_n)
{
	uint8_t raw[32] = {1}, nonce[12] = {2}, aad[20] = {3}, text[150] = {4};
	struct aead_key *k = key_new(impl, span_of(raw, 32)), *other;
	const struct span n = span_of(nonce, 12), a = span_of(aad, 20),
	                  s = span_of(text, plain_n + 16);

	assert_int_equal(aead_seal(k, n, a, span_of(text, plain_n), text), ST_OK);
	for (size_t bit = 0; bit < s.n * 8; bit++) {
		flip(text, bit);
		check_corrupt(k, n, a, s);
		flip(text, bit);
	}
	for (size_t bit = 0; bit < sizeof aad * 8; bit++) {
		flip(aad, bit);
		check_corrupt(k, n, a, s);
		flip(aad, bit);
	}
	for (size_t bit = 0; bit < sizeof nonce * 8; bit++) {
		flip(nonce, bit);
		check_corrupt(k, n, a, s);
		flip(nonce, bit);
	}
	check_corrupt(k, n, span_of(aad, 19), s);
	check_corrupt(k, n, span_of(NULL, 0), s);
	for (size_t cut = 16; cut < s.n; cut++)
		check_corrupt(k, n, a, span_of(text, cut));
	raw[31] ^= 1;
	other = key_new(impl, span_of(raw, 32));
	check_corrupt(other, n, a, s);
	aead_key_free(&other);
	/* After all that the key still opens what is right. */
	assert_int_equal(aead_open(k, n, a, s, text), ST_OK);
	assert_int_equal(text[0], plain_n > 0 ? 4 : text[0]);
	aead_key_free(&k);
}

static void tampering_is_seen_and_leaves_zeros(void **state)
{
	static const size_t lens[] = {0, 1, 15, 16, 17, 100};

	(void)state;
	for (size_t m = 0; m < IMPLS; m++)
		for (size_t i = 0; i < sizeof lens / sizeof lens[0]; i++)
			check_tampering(impls[m], lens[i]);
}

static void lengths_are_checked(void **state)
{
	uint8_t raw[32] = {0}, nonce[12] = {0}, buf[32];

	(void)state;
	for (size_t m = 0; m < IMPLS; m++) {
		struct aead_key *k = key_new(impls[m], span_of(raw, 32));
		struct span n = span_of(nonce, 12), none = {NULL, 0};

		memset(buf, 0xcc, sizeof buf);
		for (size_t i = 0; i < 16; i++)
			assert_int_equal(aead_open(k, n, none, span_of(raw, i), buf), ST_CORRUPT);
		assert_int_equal(aead_open(k, n, none, none, buf), ST_CORRUPT);
		/* These texts are not there; the length alone must refuse them. */
		assert_int_equal(aead_seal(k, n, none, span_of(raw, AEAD_TEXT_MAX + 1), buf),
		                 ST_LIMIT);
		assert_int_equal(aead_seal(k, n, span_of(raw, AEAD_TEXT_MAX + 1), none, buf),
		                 ST_LIMIT);
		assert_int_equal(aead_open(k, n, none, span_of(raw, AEAD_TEXT_MAX + 17), buf),
		                 ST_LIMIT);
		assert_int_equal(
		    aead_open(k, n, span_of(raw, AEAD_TEXT_MAX + 1), span_of(raw, 32), buf),
		    ST_LIMIT);
		assert_int_equal(aead_seal(k, n, none, span_of(raw, SIZE_MAX), buf), ST_LIMIT);
		for (size_t i = 0; i < sizeof buf; i++)
			assert_int_equal(buf[i], 0xcc);
		aead_key_free(&k);
		assert_null(k);
		aead_key_free(&k);
	}
}

static void key_lengths_are_checked(void **state)
{
	struct aead_key *k = NULL;
	uint8_t raw[64] = {0};

	(void)state;
	for (size_t m = 0; m < IMPLS; m++) {
		assert_int_equal(aead_setup(impls[m], NULL), ST_OK);
		for (size_t n = 0; n <= sizeof raw; n++) {
			if (n != 16)
				assert_int_equal(aead_key_new(AEAD_AES128_GCM, span_of(raw, n), &k),
				                 ST_INVALID);
			if (n != 32)
				assert_int_equal(aead_key_new(AEAD_AES256_GCM, span_of(raw, n), &k),
				                 ST_INVALID);
		}
		assert_null(k);
	}
}

static int wrong_nonce(void)
{
	uint8_t raw[32] = {0}, out[16];
	struct aead_key *k = NULL;

	if (aead_key_new(AEAD_AES256_GCM, span_of(raw, 32), &k) != ST_OK)
		return 1;
	return (int)aead_seal(k, span_of(raw, 11), span_of(NULL, 0), span_of(NULL, 0), out);
}

static int wrong_alg(void)
{
	return (int)aead_info(AEAD_ALG_COUNT)->key_len;
}

static void misuse_aborts(void **state)
{
	(void)state;
	assert_int_equal(aead_setup(NULL, NULL), ST_OK);
	assert_int_equal(child_signal(wrong_nonce), SIGABRT);
	assert_int_equal(child_signal(wrong_alg), SIGABRT);
}

static void setup_chooses(void **state)
{
	struct err err = {0};

	(void)state;
	assert_int_equal(aead_setup("evp", &err), ST_OK);
	assert_string_equal(aead_impl(), "evp");
	assert_int_equal(aead_setup("rot13", &err), ST_UNSUPPORTED);
	assert_non_null(strstr(err.text, "rot13"));
	assert_int_equal(aead_setup("", NULL), ST_UNSUPPORTED);
	assert_string_equal(aead_impl(), "evp"); /* a refusal changes nothing */
	assert_int_equal(aead_setup(NULL, &err), ST_OK);
	assert_string_equal(aead_impl(), impls[0]);
}

static void the_table_says_what_the_ciphers_need(void **state)
{
	(void)state;
	assert_string_equal(aead_info(AEAD_AES128_GCM)->name, "aes128-gcm");
	assert_string_equal(aead_info(AEAD_AES256_GCM)->name, "aes256-gcm");
	assert_int_equal(aead_info(AEAD_AES128_GCM)->key_len, 16);
	assert_int_equal(aead_info(AEAD_AES256_GCM)->key_len, 32);
	for (enum aead_alg a = AEAD_AES128_GCM; a < AEAD_ALG_COUNT; a++) {
		assert_int_equal(aead_info(a)->nonce_len, 12);
		assert_true(aead_info(a)->hard_limit == UINT64_C(4294967296));
	}
}

static void a_freed_key_is_wiped(void **state)
{
	(void)state;
	for (size_t m = 0; m < IMPLS; m++) {
		uint8_t raw[32];
		struct aead_key *k, *keep;
		const uint8_t *p;

		memset(raw, 0x99, sizeof raw);
		keep = key_new(impls[m], span_of(raw, 32));
		k = key_new(impls[m], span_of(raw, 32));
		p = (const uint8_t *)k;
		assert_false(all_zero(p, 64));
		aead_key_free(&k);
		/* The table of an expanded key is about a kilobyte; EVP's part here is a pointer. */
		assert_true(all_zero(p, strcmp(impls[m], "mb") == 0 ? 1024 : 64));
		aead_key_free(&keep);
	}
}

/* ------------------------------------------------------------ threads */

static void *seal_and_open(void *arg)
{
	const struct aead_key *k = arg;
	uint8_t plain[333], opened[333], sealed[333 + 16], nonce[12];
	uintptr_t bad = 0;

	for (unsigned i = 0; i < 3000; i++) {
		size_t n = i % sizeof plain;

		random_fill(&random_system, plain, sizeof plain);
		random_fill(&random_system, nonce, sizeof nonce);
		bad |= aead_seal(k, span_of(nonce, 12), span_of(&i, sizeof i), span_of(plain, n),
		                 sealed) != ST_OK;
		bad |= aead_open(k, span_of(nonce, 12), span_of(&i, sizeof i),
		                 span_of(sealed, n + 16), opened) != ST_OK;
		bad |= memcmp(plain, opened, n) != 0;
		sealed[0] ^= 1;
		bad |= aead_open(k, span_of(nonce, 12), span_of(&i, sizeof i),
		                 span_of(sealed, n + 16), opened) != ST_CORRUPT;
	}
	return (void *)bad;
}

/* More threads than EVP's shelf has places. */
static void threads_share_a_key(void **state)
{
	enum { N = 12 };

	(void)state;
	for (size_t m = 0; m < IMPLS; m++) {
		uint8_t raw[32] = {7};
		struct aead_key *k = key_new(impls[m], span_of(raw, 32));
		pthread_t threads[N];
		void *bad;

		for (size_t i = 0; i < N; i++)
			assert_int_equal(pthread_create(&threads[i], NULL, seal_and_open, k), 0);
		for (size_t i = 0; i < N; i++) {
			assert_int_equal(pthread_join(threads[i], &bad), 0);
			assert_null(bad);
		}
		aead_key_free(&k);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(cases_of_the_specification),
	    cmocka_unit_test(implementations_agree),
	    cmocka_unit_test(tampering_is_seen_and_leaves_zeros),
	    cmocka_unit_test(lengths_are_checked),
	    cmocka_unit_test(key_lengths_are_checked),
	    cmocka_unit_test(misuse_aborts),
	    cmocka_unit_test(setup_chooses),
	    cmocka_unit_test(the_table_says_what_the_ciphers_need),
	    cmocka_unit_test(a_freed_key_is_wiped),
	    cmocka_unit_test(threads_share_a_key),
	};
	struct err err = {0};

	if (secret_setup(SECRET_BUDGET_DEFAULT, &err) != ST_OK)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
