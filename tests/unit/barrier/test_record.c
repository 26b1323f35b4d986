#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <string.h>
#include <cmocka.h>

#include "barrier/record.h"
#include "rig.h"

static const uint8_t key_a[32] = {1, 2, 3}, key_b[32] = {1, 2, 4};

static struct aead_key *key_of(const uint8_t bytes[static 32])
{
	struct aead_key *k;

	assert_int_equal(aead_key_new(AEAD_AES256_GCM, span_of(bytes, 32), &k), ST_OK);
	return k;
}

static void seal(uint32_t term, const struct aead_key *k, const char *path, struct span plain,
                 struct builder *out)
{
	*out = (struct builder){0};
	assert_int_equal(record_seal(term, k, &random_system, span_str(path), plain, out), ST_OK);
}

static void round_trip(void **state)
{
	static const size_t lengths[] = {0, 1, 15, 16, 17, 1000, 70000};
	static uint8_t plain[70000], back[70000];
	struct aead_key *k = key_of(key_a);

	(void)state;
	for (size_t i = 0; i < sizeof plain; i++)
		plain[i] = (uint8_t)(i * 7);
	for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
		struct builder b;
		uint32_t term = 0;

		seal(0x01020304, k, "p", span_of(plain, lengths[i]), &b);
		assert_int_equal(b.n, lengths[i] + RECORD_OVERHEAD);
		assert_int_equal(record_term(builder_span(&b), &term), ST_OK);
		assert_int_equal(term, 0x01020304);
		assert_int_equal(record_plain_len(builder_span(&b)), lengths[i]);
		assert_int_equal(record_open(k, span_str("p"), builder_span(&b), back), ST_OK);
		assert_memory_equal(back, plain, lengths[i]);
		builder_free(&b);
	}
	aead_key_free(&k);
}

static void appends_behind_what_is_there(void **state)
{
	struct aead_key *k = key_of(key_a);
	struct builder b = {0};
	uint8_t back[3];

	(void)state;
	builder_str(&b, "head");
	assert_int_equal(record_seal(9, k, &random_system, span_str("p"), span_str("abc"), &b),
	                 ST_OK);
	assert_memory_equal(b.p, "head", 4);
	assert_int_equal(record_open(k, span_str("p"), span_from(builder_span(&b), 4), back),
	                 ST_OK);
	builder_free(&b);
	aead_key_free(&k);
}

static void no_room(void **state)
{
	struct aead_key *k = key_of(key_a);
	uint8_t buf[RECORD_OVERHEAD + 2];
	struct builder b;

	(void)state;
	builder_init_fixed(&b, buf, sizeof buf);
	assert_int_equal(record_seal(9, k, &random_system, span_str("p"), span_str("abc"), &b),
	                 ST_LIMIT);
	aead_key_free(&k);
}

static void truncated(void **state)
{
	struct aead_key *k = key_of(key_a);
	struct builder b;
	uint8_t back[64];
	uint32_t term;

	(void)state;
	seal(7, k, "p", span_str("forty-two bytes of plaintext, or nearly so"), &b);
	for (size_t n = 0; n < b.n; n++) {
		struct span cut = span_of(b.p, n);

		memset(back, 0xaa, sizeof back);
		assert_int_equal(record_open(k, span_str("p"), cut, back), ST_CORRUPT);
		for (size_t i = 0; n >= RECORD_OVERHEAD && i < n - RECORD_OVERHEAD; i++)
			assert_int_equal(back[i], 0);
		assert_int_equal(record_term(cut, &term), n < RECORD_OVERHEAD ? ST_CORRUPT : ST_OK);
	}
	builder_free(&b);
	aead_key_free(&k);
}

/* The term alone is not covered by the tag: its key is. */
static void every_byte_changed(void **state)
{
	struct aead_key *k = key_of(key_a);
	struct builder b;
	uint8_t back[3];

	(void)state;
	seal(7, k, "p", span_str("abc"), &b);
	for (size_t i = 4; i < b.n; i++) {
		b.p[i] ^= 1;
		memset(back, 0xaa, sizeof back);
		assert_int_equal(record_open(k, span_str("p"), builder_span(&b), back), ST_CORRUPT);
		assert_memory_equal(back, "\0\0\0", 3);
		b.p[i] ^= 1;
	}
	assert_int_equal(record_open(k, span_str("p"), builder_span(&b), back), ST_OK);
	builder_free(&b);
	aead_key_free(&k);
}

static void wrong_path_or_key(void **state)
{
	struct aead_key *a = key_of(key_a), *other = key_of(key_b);
	struct builder b;
	uint8_t back[3];

	(void)state;
	seal(7, a, "path", span_str("abc"), &b);
	assert_int_equal(record_open(a, span_str("pati"), builder_span(&b), back), ST_CORRUPT);
	assert_int_equal(record_open(a, span_str("pat"), builder_span(&b), back), ST_CORRUPT);
	assert_int_equal(record_open(a, span_str("path2"), builder_span(&b), back), ST_CORRUPT);
	assert_int_equal(record_open(a, span_of(NULL, 0), builder_span(&b), back), ST_CORRUPT);
	assert_int_equal(record_open(other, span_str("path"), builder_span(&b), back), ST_CORRUPT);
	assert_int_equal(record_open(a, span_str("path"), builder_span(&b), back), ST_OK);
	builder_free(&b);
	aead_key_free(&a);
	aead_key_free(&other);
}

static void every_other_version(void **state)
{
	struct aead_key *k = key_of(key_a);
	struct builder b;
	uint8_t back[3];

	(void)state;
	seal(7, k, "p", span_str("abc"), &b);
	for (int v = 0; v < 256; v++) {
		b.p[4] = (uint8_t)v;
		assert_int_equal(record_open(k, span_str("p"), builder_span(&b), back),
		                 v == RECORD_VERSION ? ST_OK : ST_CORRUPT);
	}
	builder_free(&b);
	aead_key_free(&k);
}

static void nonces_differ(void **state)
{
	struct aead_key *k = key_of(key_a);
	struct builder a, b;

	(void)state;
	seal(7, k, "p", span_str("abc"), &a);
	seal(7, k, "p", span_str("abc"), &b);
	assert_memory_not_equal(a.p + 5, b.p + 5, AEAD_GCM_NONCE_LEN);
	builder_free(&a);
	builder_free(&b);
	aead_key_free(&k);
}

static void fixed_nonce(const struct random *r, uint8_t *p, size_t n)
{
	(void)r;
	assert_int_equal(n, 12);
	memcpy(p, "\xca\xfe\xba\xbe\xfa\xce\xdb\xad\xde\xca\xf8\x88", 12);
}

/*
 * The layout of Vault's barrier around a published vector: test case 16 of "The Galois/Counter Mode of Operation (GCM)", McGrew and Viega,
 * whose associated data stands in the place of the path.
 */
static void vault_layout(void **state)
{
	static const char expect[] =
	    "0000012c"
	    "02"
	    "cafebabefacedbaddecaf888"
	    "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
	    "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
	    "76fc6ece0f4e1768cddf8853bb2d551b";
	const struct random r = {.fill = fixed_nonce};
	struct builder key = {0}, aad = {0}, plain = {0}, want = {0}, out = {0};
	struct aead_key *k;

	(void)state;
	assert_int_equal(
	    builder_unhex(&key, span_str("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f94"
	                                 "67308308")),
	    ST_OK);
	assert_int_equal(builder_unhex(&aad, span_str("feedfacedeadbeeffeedfacedeadbeefabaddad2")),
	                 ST_OK);
	assert_int_equal(
	    builder_unhex(&plain, span_str("d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303"
	                                   "d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de6"
	                                   "57ba637b39")),
	    ST_OK);
	assert_int_equal(builder_unhex(&want, span_str(expect)), ST_OK);
	k = key_of(key.p);
	assert_int_equal(record_seal(300, k, &r, builder_span(&aad), builder_span(&plain), &out),
	                 ST_OK);
	assert_int_equal(out.n, want.n);
	assert_memory_equal(out.p, want.p, want.n);
	aead_key_free(&k);
	builder_free(&key);
	builder_free(&aad);
	builder_free(&plain);
	builder_free(&want);
	builder_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(round_trip),
	    cmocka_unit_test(appends_behind_what_is_there),
	    cmocka_unit_test(no_room),
	    cmocka_unit_test(truncated),
	    cmocka_unit_test(every_byte_changed),
	    cmocka_unit_test(wrong_path_or_key),
	    cmocka_unit_test(every_other_version),
	    cmocka_unit_test(nonces_differ),
	    cmocka_unit_test(vault_layout),
	};

	return cmocka_run_group_tests(tests, rig_process, NULL);
}
