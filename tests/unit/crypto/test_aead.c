/*
 * The ciphers, by each implementation, in place and out of place, against published cases: AES-GCM (D. McGrew and J. Viega, "The
 * Galois/Counter Mode of Operation", appendix B; those with a 96-bit nonce), ChaCha20-Poly1305 (RFC 8439, 2.8.2), XChaCha20-Poly1305
 * (draft-irtf-cfrg-xchacha-03, A.3.1), XAES-256-GCM (C2SP XAES-256-GCM, "Test vectors" and "Accumulated randomized tests"); the
 * implementations against each other; everything that must be refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "child.h"
#include "crypto/aead.h"
#include "crypto/random.h"
#include "crypto/scratch.h"
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

#define KEY_C "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f"
#define AAD_C "50515253c0c1c2c3c4c5c6c7"
#define TEXT_C                                                                                     \
	"4c616469657320616e642047656e746c656d656e206f662074686520636c617373206f66202739393a204966" \
	"204920636f756c64206f6666657220796f75206f6e6c79206f6e652074697020666f72207468652066757475" \
	"72652c2073756e73637265656e20776f756c642062652069742e"
#define SEALED_C                                                                                   \
	"d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fafb69" \
	"da92728b1a71de0a9e060b2905d6a5b67ecd3b3692ddbd7f2d778b8c9803aee328091b58fab324e4fad67594" \
	"5585808b4831d7bc3ff4def08e4b7a9de576d26586cec64b61161ae10b594f09e26a7e902ecbd0600691"
#define SEALED_X                                                                                   \
	"bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb731c7f1b0b4aa6440bf3a82f" \
	"4eda7e39ae64c6708c54c216cb96b72e1213b4522f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f" \
	"76b2383565d3fff921f9664c97637da9768812f615c68b13b52ec0875924c1c7987947deafd8780acf49"
/* "ABCDEFGHIJKLMNOPQRSTUVWX", "XAES-256-GCM", "c2sp.org/XAES-256-GCM" */
#define NONCE_X  "4142434445464748494a4b4c4d4e4f505152535455565758"
#define TEXT_X   "584145532d3235362d47434d"
#define AAD_X    "633273702e6f72672f584145532d3235362d47434d"
#define ONES16   "01010101010101010101010101010101"
#define THREES16 "03030303030303030303030303030303"

static const struct {
	enum aead_alg alg;
	const char *key, *nonce, *aad, *plain, *sealed; /* sealed: ciphertext and tag */
} cases[] = {
    {AEAD_AES128_GCM, ZERO16, ZERO12, "", "", "58e2fccefa7e3061367f1d57a4e7455a"},
    {AEAD_AES128_GCM, ZERO16, ZERO12, "", ZERO16,
     "0388dace60b6a392f328c2b971b2fe78ab6e47d42cec13bdf53a67b21257bddf"},
    {AEAD_AES128_GCM, KEY_A, NONCE_A, "", TEXT_A "1aafd255",
     C128_A "473f5985"
            "4d5c2af327cd64a62cf35abd2ba6fab4"},
    {AEAD_AES128_GCM, KEY_A, NONCE_A, AAD_A, TEXT_A, C128_A "5bc94fbc3221a5db94fae95ae7121a47"},
    {AEAD_AES256_GCM, ZERO16 ZERO16, ZERO12, "", "", "530f8afbc74536b9a963b4f1c4cb738b"},
    {AEAD_AES256_GCM, ZERO16 ZERO16, ZERO12, "", ZERO16,
     "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919"},
    {AEAD_AES256_GCM, KEY_A KEY_A, NONCE_A, "", TEXT_A "1aafd255",
     C256_A "898015ad"
            "b094dac5d93471bdec1a502270e3cc6c"},
    {AEAD_AES256_GCM, KEY_A KEY_A, NONCE_A, AAD_A, TEXT_A,
     C256_A "76fc6ece0f4e1768cddf8853bb2d551b"},
    {AEAD_CHACHA20_POLY1305, KEY_C, "070000004041424344454647", AAD_C, TEXT_C, SEALED_C},
    {AEAD_XCHACHA20_POLY1305, KEY_C, "404142434445464748494a4b4c4d4e4f5051525354555657", AAD_C,
     TEXT_C, SEALED_X},
    /* The first bit of L is 0, and 1. */
    {AEAD_XAES256_GCM, ONES16 ONES16, NONCE_X, "", TEXT_X,
     "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271"},
    {AEAD_XAES256_GCM, THREES16 THREES16, NONCE_X, AAD_X, TEXT_X,
     "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d"},
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

static struct aead_key *key_new(const char *impl, enum aead_alg alg, const uint8_t *key)
{
	struct aead_key *k = NULL;
	struct err err = {0};

	assert_int_equal(aead_setup(impl, &err), ST_OK);
	assert_string_equal(aead_impl(), impl);
	assert_int_equal(aead_key_new(alg, span_of(key, aead_info(alg)->key_len), &k), ST_OK);
	return k;
}

static void check_case(const char *impl, size_t i)
{
	uint8_t key_b[32], nonce_b[24], aad_b[64], plain_b[128], sealed_b[144], out[145];
	struct span key = unhex(cases[i].key, key_b, sizeof key_b);
	struct span nonce = unhex(cases[i].nonce, nonce_b, sizeof nonce_b);
	struct span aad = unhex(cases[i].aad, aad_b, sizeof aad_b);
	struct span plain = unhex(cases[i].plain, plain_b, sizeof plain_b);
	struct span sealed = unhex(cases[i].sealed, sealed_b, sizeof sealed_b);
	struct aead_key *k;

	assert_int_equal(key.n, aead_info(cases[i].alg)->key_len);
	k = key_new(impl, cases[i].alg, key.p);
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

static void published_cases(void **state)
{
	(void)state;
	for (size_t m = 0; m < IMPLS; m++)
		for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
			check_case(impls[m], i);
}

/* A stream of SHAKE-128: all that may be needed of it, made at once. */
struct stream {
	uint8_t *p;
	size_t at, n;
};

static void stream_make(struct stream *s, size_t n)
{
	EVP_MD_CTX *c = EVP_MD_CTX_new();

	*s = (struct stream){.p = malloc(n), .n = n};
	assert_non_null(s->p);
	assert_non_null(c);
	assert_int_equal(EVP_DigestInit_ex(c, EVP_shake128(), NULL), 1);
	assert_int_equal(EVP_DigestFinalXOF(c, s->p, n), 1);
	EVP_MD_CTX_free(c);
}

static struct span stream_take(struct stream *s, size_t n)
{
	s->at += n;
	assert_true(s->at <= s->n);
	return span_of(s->p + s->at - n, n);
}

static void check_accumulated(const char *impl)
{
	enum { ROUNDS = 10000 };
	static const char want[] =
	    "e6b9edf2df6cec60c8cbd864e2211b597fb69a529160cd040d56c0c210081939";
	uint8_t want_b[32], got[32], out[255 + 16], back[255];
	EVP_MD_CTX *sum = EVP_MD_CTX_new();
	struct stream s;

	stream_make(&s, (size_t)ROUNDS * (32 + 24 + 2 * 256));
	assert_non_null(sum);
	assert_int_equal(EVP_DigestInit_ex(sum, EVP_shake128(), NULL), 1);
	for (unsigned i = 0; i < ROUNDS; i++) {
		struct span key = stream_take(&s, 32), nonce = stream_take(&s, 24);
		struct span plain = stream_take(&s, stream_take(&s, 1).p[0]);
		struct span aad = stream_take(&s, stream_take(&s, 1).p[0]);
		struct aead_key *k = key_new(impl, AEAD_XAES256_GCM, key.p);

		assert_int_equal(aead_seal(k, nonce, aad, plain, out), ST_OK);
		assert_int_equal(EVP_DigestUpdate(sum, out, plain.n + 16), 1);
		assert_int_equal(aead_open(k, nonce, aad, span_of(out, plain.n + 16), back), ST_OK);
		assert_memory_equal(back, plain.p, plain.n);
		aead_key_free(&k);
	}
	assert_int_equal(EVP_DigestFinalXOF(sum, got, sizeof got), 1);
	assert_memory_equal(got, unhex(want, want_b, sizeof want_b).p, sizeof got);
	EVP_MD_CTX_free(sum);
	free(s.p);
}

static void xaes_accumulated(void **state)
{
	(void)state;
	for (size_t m = 0; m < IMPLS; m++)
		check_accumulated(impls[m]);
}

/* ------------------------------------------------------------ one against the other */

#define BIG ((size_t)200000)

/* Seals by one, opens by the other, in place; equal bytes on the way. */
static void check_agree(enum aead_alg alg, struct aead_key *mb, struct aead_key *evp,
                        size_t plain_n, size_t aad_n)
{
	static uint8_t plain[BIG], aad[BIG], x[BIG + 16], y[BIG + 16];
	uint8_t raw[AEAD_NONCE_MAX];
	const struct span nonce = span_of(raw, aead_info(alg)->nonce_len), a = span_of(aad, aad_n);

	random_fill(&random_system, plain, plain_n);
	random_fill(&random_system, aad, aad_n);
	random_fill(&random_system, raw, sizeof raw);
	assert_int_equal(aead_seal(mb, nonce, a, span_of(plain, plain_n), x), ST_OK);
	assert_int_equal(aead_seal(evp, nonce, a, span_of(plain, plain_n), y), ST_OK);
	assert_memory_equal(x, y, plain_n + 16);
	assert_int_equal(aead_open(evp, nonce, a, span_of(x, plain_n + 16), x), ST_OK);
	assert_int_equal(aead_open(mb, nonce, a, span_of(y, plain_n + 16), y), ST_OK);
	assert_memory_equal(x, plain, plain_n);
	assert_memory_equal(y, plain, plain_n);
}

static void implementations_agree(void **state)
{
	static const size_t more[] = {511,  512,  513,  767,  768,   769,   1023,
	                              1024, 1025, 4095, 4097, 16384, 65537, BIG};

	(void)state;
	for (enum aead_alg alg = 0; alg < AEAD_ALG_COUNT; alg++) {
		uint8_t raw[32];
		struct aead_key *mb, *evp;

		random_fill(&random_system, raw, sizeof raw);
		mb = key_new(impls[0], alg, raw);
		evp = key_new("evp", alg, raw);
		for (size_t n = 0; n < 400; n++) {
			check_agree(alg, mb, evp, n, n * 7 % 67);
			check_agree(alg, mb, evp, n % 50, n);
		}
		for (size_t m = 0; m < sizeof more / sizeof more[0]; m++) {
			check_agree(alg, mb, evp, more[m], 20);
			check_agree(alg, mb, evp, 33, more[m]);
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

static void check_tampering(const char *impl, enum aead_alg alg, size_t plain_n)
{
	uint8_t raw[32] = {1}, nonce[AEAD_NONCE_MAX] = {2}, aad[20] = {3}, text[150] = {4};
	struct aead_key *k = key_new(impl, alg, raw), *other;
	const struct span n = span_of(nonce, aead_info(alg)->nonce_len), a = span_of(aad, 20),
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
	for (size_t bit = 0; bit < n.n * 8; bit++) {
		flip(nonce, bit);
		check_corrupt(k, n, a, s);
		flip(nonce, bit);
	}
	check_corrupt(k, n, span_of(aad, 19), s);
	check_corrupt(k, n, span_of(NULL, 0), s);
	for (size_t cut = 16; cut < s.n; cut++)
		check_corrupt(k, n, a, span_of(text, cut));
	raw[aead_info(alg)->key_len - 1] ^= 1;
	other = key_new(impl, alg, raw);
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
		for (enum aead_alg alg = 0; alg < AEAD_ALG_COUNT; alg++)
			for (size_t i = 0; i < sizeof lens / sizeof lens[0]; i++)
				check_tampering(impls[m], alg, lens[i]);
}

static void check_lengths(const char *impl, enum aead_alg alg)
{
	uint8_t raw[32] = {0}, nonce[AEAD_NONCE_MAX] = {0}, buf[32];
	struct aead_key *k = key_new(impl, alg, raw);
	struct span n = span_of(nonce, aead_info(alg)->nonce_len), none = {NULL, 0};

	memset(buf, 0xcc, sizeof buf);
	for (size_t i = 0; i < 16; i++)
		assert_int_equal(aead_open(k, n, none, span_of(raw, i), buf), ST_CORRUPT);
	assert_int_equal(aead_open(k, n, none, none, buf), ST_CORRUPT);
	/* These texts are not there; the length alone must refuse them. */
	assert_int_equal(aead_seal(k, n, none, span_of(raw, AEAD_TEXT_MAX + 1), buf), ST_LIMIT);
	assert_int_equal(aead_seal(k, n, span_of(raw, AEAD_TEXT_MAX + 1), none, buf), ST_LIMIT);
	assert_int_equal(aead_open(k, n, none, span_of(raw, AEAD_TEXT_MAX + 17), buf), ST_LIMIT);
	assert_int_equal(aead_open(k, n, span_of(raw, AEAD_TEXT_MAX + 1), span_of(raw, 32), buf),
	                 ST_LIMIT);
	assert_int_equal(aead_seal(k, n, none, span_of(raw, SIZE_MAX), buf), ST_LIMIT);
	for (size_t i = 0; i < sizeof buf; i++)
		assert_int_equal(buf[i], 0xcc);
	aead_key_free(&k);
	assert_null(k);
	aead_key_free(&k);
}

static void lengths_are_checked(void **state)
{
	(void)state;
	for (size_t m = 0; m < IMPLS; m++)
		for (enum aead_alg alg = 0; alg < AEAD_ALG_COUNT; alg++)
			check_lengths(impls[m], alg);
}

static void key_lengths_are_checked(void **state)
{
	struct arena a = {0};
	struct aead_key *k = NULL;
	uint8_t raw[64] = {0};

	(void)state;
	for (size_t m = 0; m < IMPLS; m++) {
		assert_int_equal(aead_setup(impls[m], NULL), ST_OK);
		for (enum aead_alg alg = 0; alg < AEAD_ALG_COUNT; alg++) {
			void *mem = arena_alloc64(&a, aead_key_size(alg));

			assert_non_null(mem);
			for (size_t n = 0; n <= sizeof raw; n++) {
				if (n == aead_info(alg)->key_len)
					continue;
				assert_int_equal(aead_key_new(alg, span_of(raw, n), &k),
				                 ST_INVALID);
				assert_int_equal(aead_key_place(alg, span_of(raw, n), mem, &k),
				                 ST_INVALID);
			}
		}
		assert_null(k);
	}
	arena_free(&a);
}

/* ------------------------------------------------------------ placed keys */

/* The same bytes as a key that was allocated gives, from memory that held something else before. */
static void check_placed(const char *impl, enum aead_alg alg, struct arena *a)
{
	uint8_t raw[32], nonce[AEAD_NONCE_MAX] = {5}, text[100] = {6}, x[116], y[116];
	const struct span n = span_of(nonce, aead_info(alg)->nonce_len), none = {NULL, 0};
	const struct span key = span_of(raw, aead_info(alg)->key_len);
	struct aead_key *k = NULL, *other;
	size_t size;
	void *mem;

	random_fill(&random_system, raw, sizeof raw);
	other = key_new(impl, alg, raw);
	size = aead_key_size(alg);
	assert_int_equal(size % 64, 0);
	(void)arena_alloc(a, 16); /* so that the next is not aligned by chance */
	mem = arena_alloc64(a, size);
	assert_non_null(mem);
	for (unsigned round = 0; round < 3; round++) {
		memset(mem, 0xcc, size);
		assert_int_equal(aead_key_place(alg, key, mem, &k), ST_OK);
		assert_ptr_equal(k, mem);
		assert_int_equal(aead_seal(k, n, none, span_of(text, sizeof text), x), ST_OK);
		assert_int_equal(aead_seal(other, n, none, span_of(text, sizeof text), y), ST_OK);
		assert_memory_equal(x, y, sizeof x);
		assert_int_equal(aead_open(k, n, none, span_of(x, sizeof x), x), ST_OK);
		assert_memory_equal(x, text, sizeof text);
		aead_key_clear(&k);
		assert_null(k);
		assert_true(all_zero(mem, size));
	}
	aead_key_clear(&k);
	aead_key_free(&other);
}

static void a_key_in_memory_of_the_caller(void **state)
{
	struct arena a = {0};

	(void)state;
	for (size_t m = 0; m < IMPLS; m++)
		for (enum aead_alg alg = 0; alg < AEAD_ALG_COUNT; alg++)
			check_placed(impls[m], alg, &a);
	arena_free(&a);
}

static int wrong_nonce(void)
{
	uint8_t raw[32] = {0}, out[16];
	struct aead_key *k = NULL;

	if (aead_key_new(AEAD_AES256_GCM, span_of(raw, 32), &k) != ST_OK)
		return 1;
	return (int)aead_seal(k, span_of(raw, 11), span_of(NULL, 0), span_of(NULL, 0), out);
}

static int placed_askew(void)
{
	uint8_t raw[32] = {0};
	struct aead_key *k = NULL;
	uint8_t *mem = secret_alloc(aead_key_size(AEAD_AES256_GCM) + 16);

	if (mem == NULL)
		return 1;
	return (int)aead_key_place(AEAD_AES256_GCM, span_of(raw, 32), mem + 16, &k);
}

static int placed_and_freed(void)
{
	uint8_t raw[32] = {0};
	struct aead_key *k = NULL;
	void *mem = secret_alloc(aead_key_size(AEAD_AES256_GCM));

	if (mem == NULL || aead_key_place(AEAD_AES256_GCM, span_of(raw, 32), mem, &k) != ST_OK)
		return 1;
	aead_key_free(&k);
	return 0;
}

static int new_and_cleared(void)
{
	uint8_t raw[32] = {0};
	struct aead_key *k = NULL;

	if (aead_key_new(AEAD_AES256_GCM, span_of(raw, 32), &k) != ST_OK)
		return 1;
	aead_key_clear(&k);
	return 0;
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
	assert_int_equal(child_signal(placed_askew), SIGABRT);
	assert_int_equal(child_signal(placed_and_freed), SIGABRT);
	assert_int_equal(child_signal(new_and_cleared), SIGABRT);
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
	static const struct {
		const char *name;
		size_t key_len, nonce_len;
		uint64_t hard_limit;
	} want[AEAD_ALG_COUNT] = {
	    [AEAD_AES128_GCM] = {"aes128-gcm", 16, 12, UINT64_C(4294967296)},
	    [AEAD_AES256_GCM] = {"aes256-gcm", 32, 12, UINT64_C(4294967296)},
	    [AEAD_CHACHA20_POLY1305] = {"chacha20-poly1305", 32, 12, UINT64_C(4294967296)},
	    [AEAD_XCHACHA20_POLY1305] = {"xchacha20-poly1305", 32, 24, 0},
	    [AEAD_XAES256_GCM] = {"xaes-256-gcm", 32, 24, 0},
	};

	(void)state;
	for (enum aead_alg a = 0; a < AEAD_ALG_COUNT; a++) {
		assert_string_equal(aead_info(a)->name, want[a].name);
		assert_int_equal(aead_info(a)->key_len, want[a].key_len);
		assert_int_equal(aead_info(a)->nonce_len, want[a].nonce_len);
		assert_true(aead_info(a)->hard_limit == want[a].hard_limit);
		assert_true(aead_info(a)->nonce_len <= AEAD_NONCE_MAX);
	}
}

static void a_freed_key_is_wiped(void **state)
{
	(void)state;
	for (size_t m = 0; m < IMPLS; m++) {
		for (enum aead_alg alg = 0; alg < AEAD_ALG_COUNT; alg++) {
			uint8_t raw[32];
			struct aead_key *k, *keep;
			const uint8_t *p;

			memset(raw, 0x99, sizeof raw);
			keep = key_new(impls[m], alg, raw);
			k = key_new(impls[m], alg, raw);
			p = (const uint8_t *)k;
			assert_false(all_zero(p, 64));
			aead_key_free(&k);
			assert_true(all_zero(p, aead_key_size(alg)));
			aead_key_free(&keep);
		}
	}
}

/* Nor is anything left in the thread's scratch memory, whatever came out. */
static void what_a_message_derived_is_wiped(void **state)
{
	uint8_t raw[32], nonce[AEAD_NONCE_MAX] = {1}, text[48] = {0};
	const uint8_t *scratch = scratch_get();

	(void)state;
	assert_non_null(scratch);
	memset(raw, 0x77, sizeof raw);
	for (size_t m = 0; m < IMPLS; m++) {
		for (enum aead_alg alg = 0; alg < AEAD_ALG_COUNT; alg++) {
			const struct span n = span_of(nonce, aead_info(alg)->nonce_len),
			                  none = {NULL, 0};
			struct aead_key *k = key_new(impls[m], alg, raw);

			assert_true(all_zero(scratch, SCRATCH_BYTES));
			assert_int_equal(aead_seal(k, n, none, span_of(text, 32), text), ST_OK);
			assert_true(all_zero(scratch, SCRATCH_BYTES));
			assert_int_equal(aead_open(k, n, none, span_of(text, 48), text), ST_OK);
			assert_true(all_zero(scratch, SCRATCH_BYTES));
			assert_int_equal(aead_open(k, n, none, span_of(text, 48), text),
			                 ST_CORRUPT);
			assert_true(all_zero(scratch, SCRATCH_BYTES));
			aead_key_free(&k);
		}
	}
}

/* ------------------------------------------------------------ threads */

struct shared {
	const struct aead_key *k;
	size_t nonce_len;
};

static void *seal_and_open(void *arg)
{
	const struct shared *shared = arg;
	const struct aead_key *k = shared->k;
	uint8_t plain[333], opened[333], sealed[333 + 16], nonce[AEAD_NONCE_MAX] = {0};
	const struct span nonce_span = span_of(nonce, shared->nonce_len);
	uintptr_t bad = 0;

	for (unsigned i = 0; i < 1000; i++) {
		size_t n = i % sizeof plain;

		random_fill(&random_system, plain, sizeof plain);
		random_fill(&random_system, nonce, sizeof nonce);
		bad |= aead_seal(k, nonce_span, span_of(&i, sizeof i), span_of(plain, n), sealed) !=
		       ST_OK;
		bad |= aead_open(k, nonce_span, span_of(&i, sizeof i), span_of(sealed, n + 16),
		                 opened) != ST_OK;
		bad |= memcmp(plain, opened, n) != 0;
		sealed[0] ^= 1;
		bad |= aead_open(k, nonce_span, span_of(&i, sizeof i), span_of(sealed, n + 16),
		                 opened) != ST_CORRUPT;
	}
	return (void *)bad;
}

/* More threads than EVP's shelf has places. */
static void check_threads(const char *impl, enum aead_alg alg)
{
	enum { N = 12 };
	uint8_t raw[32] = {7};
	struct aead_key *k = key_new(impl, alg, raw);
	struct shared shared = {k, aead_info(alg)->nonce_len};
	pthread_t threads[N];
	void *bad;

	for (size_t i = 0; i < N; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, seal_and_open, &shared), 0);
	for (size_t i = 0; i < N; i++) {
		assert_int_equal(pthread_join(threads[i], &bad), 0);
		assert_null(bad);
	}
	aead_key_free(&k);
}

static void threads_share_a_key(void **state)
{
	(void)state;
	for (size_t m = 0; m < IMPLS; m++)
		for (enum aead_alg alg = 0; alg < AEAD_ALG_COUNT; alg++)
			check_threads(impls[m], alg);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(published_cases),
	    cmocka_unit_test(xaes_accumulated),
	    cmocka_unit_test(a_key_in_memory_of_the_caller),
	    cmocka_unit_test(what_a_message_derived_is_wiped),
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
