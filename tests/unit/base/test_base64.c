/* Hex and base64.  Vectors: RFC 4648 section 10; the malformed texts are our own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"

static const struct {
	const char *plain, *hex, *base64;
} vectors[] = {
    {"", "", ""},
    {"f", "66", "Zg=="},
    {"fo", "666f", "Zm8="},
    {"foo", "666f6f", "Zm9v"},
    {"foob", "666f6f62", "Zm9vYg=="},
    {"fooba", "666f6f6261", "Zm9vYmE="},
    {"foobar", "666f6f626172", "Zm9vYmFy"},
};

static void rfc_vectors(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
		struct builder b = {0};
		builder_hex(&b, span_str(vectors[i].plain));
		assert_true(span_eq_str(builder_span(&b), vectors[i].hex));
		builder_reset(&b);
		builder_base64(&b, span_str(vectors[i].plain));
		assert_true(span_eq_str(builder_span(&b), vectors[i].base64));
		builder_reset(&b);
		assert_int_equal(builder_unhex(&b, span_str(vectors[i].hex)), ST_OK);
		assert_true(span_eq_str(builder_span(&b), vectors[i].plain));
		builder_reset(&b);
		assert_int_equal(builder_unbase64(&b, span_str(vectors[i].base64)), ST_OK);
		assert_true(span_eq_str(builder_span(&b), vectors[i].plain));
		builder_free(&b);
	}
}

static void every_byte_through_hex(void **state)
{
	struct builder text = {0}, back = {0};
	uint8_t all[256];

	(void)state;
	for (size_t i = 0; i < sizeof(all); i++)
		all[i] = (uint8_t)i;
	builder_hex(&text, span_of(all, sizeof(all)));
	assert_memory_equal(text.p, "000102030405060708090a0b0c0d0e0f10", 34);
	assert_int_equal(builder_unhex(&back, builder_span(&text)), ST_OK);
	assert_true(span_eq(builder_span(&back), span_of(all, sizeof(all))));
	builder_reset(&back);
	assert_int_equal(builder_unhex(&back, span_str("aAbBcCdDeEfF")), ST_OK);
	assert_true(span_eq_str(builder_span(&back), "\xaa\xbb\xcc\xdd\xee\xff"));
	builder_free(&text);
	builder_free(&back);
}

static void malformed_hex(void **state)
{
	struct builder b = {0};

	(void)state;
	builder_str(&b, "kept");
	assert_int_equal(builder_unhex(&b, span_str("0")), ST_INVALID);
	assert_int_equal(builder_unhex(&b, span_str("001")), ST_INVALID);
	assert_int_equal(builder_unhex(&b, span_str(" 00")), ST_INVALID);
	assert_int_equal(builder_unhex(&b, span_str("0x00")), ST_INVALID);
	assert_int_equal(builder_unhex(&b, span_of("00\0", 4)), ST_INVALID);
	for (unsigned c = 0; c < 256; c++) {
		uint8_t high[] = {'0', '0', (uint8_t)c, '0'}, low[] = {'0', '0', '0', (uint8_t)c};
		if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'))
			continue;
		assert_int_equal(builder_unhex(&b, span_of(high, 4)), ST_INVALID);
		assert_int_equal(builder_unhex(&b, span_of(low, 4)), ST_INVALID);
	}
	assert_true(span_eq_str(builder_span(&b), "kept"));
	assert_int_equal(builder_status(&b), ST_OK);
	builder_free(&b);
}

static void malformed_base64(void **state)
{
	static const char *const bad[] = {
	    "=",        "==",    "===",    "====",       "A",     "A=",         "A==",
	    "A===",     "AA",    "AA=",    "AAA",        "AAAAA", "=AAA",       "A=AA",
	    "AA=A",     "AB==",  "AP==",   "AAB=",       "AAD=",  "QQ=A",       "AA-_",
	    "AA A",     " AAA",  "AAA ",   "AAA\n",      "AA\nA", "AA==AAAA",   "AAA=AAAA",
	    "AAAA====", "AAAA=", "AAAAAA", "A\xc3\xa9Z", "AAA.",  "AAAA\r\nAA", "AA==\n",
	    "AA==AA==", "AAA,",  "AAA@",   "AAA[",       "AAA`",  "AAA{",       "AAA:",
	};
	struct builder b = {0};
	uint8_t out[64];
	size_t n = 77;

	(void)state;
	builder_str(&b, "kept");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(builder_unbase64(&b, span_str(bad[i])), ST_INVALID);
		assert_int_equal(base64_decode(span_str(bad[i]), out, &n), ST_INVALID);
		assert_int_equal(base64_decode_scalar(span_str(bad[i]), out, &n), ST_INVALID);
	}
	assert_int_equal(base64_decode(span_of("AA\0A", 4), out, &n), ST_INVALID);
	assert_int_equal(n, 77);
	assert_true(span_eq_str(builder_span(&b), "kept"));
	assert_int_equal(builder_status(&b), ST_OK);
	builder_free(&b);
}

/* Of the 64 letters before the padding only those with zero unused bits are canonical. */
static void one_text_for_each_value(void **state)
{
	static const char letters[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	uint8_t out[3];
	size_t n, good2 = 0, good3 = 0;

	(void)state;
	for (size_t i = 0; i < 64; i++) {
		char two[] = {'A', letters[i], '=', '='}, three[] = {'A', 'A', letters[i], '='};
		if (base64_decode(span_of(two, 4), out, &n) == ST_OK) {
			assert_int_equal(n, 1);
			assert_int_equal(i % 16, 0);
			good2++;
		}
		if (base64_decode(span_of(three, 4), out, &n) == ST_OK) {
			assert_int_equal(n, 2);
			assert_int_equal(i % 4, 0);
			good3++;
		}
	}
	assert_int_equal(good2, 4);
	assert_int_equal(good3, 16);
}

/* A small generator (xorshift64), so that each run sees the same bytes. */
static uint64_t next(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

static void fill(uint64_t *seed, uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)(next(seed) >> 32);
}

/* Both codecs on memory of exactly the size, so that a sanitizer sees each byte written or read beyond. */
static void round_trip(struct span s)
{
	size_t n = BASE64_LEN(s.n), back_n = 0, scalar_n = 0;
	uint8_t *text = malloc(n + 1), *twin = malloc(n + 1), *back = malloc(s.n + 1);

	assert_true(text != NULL && twin != NULL && back != NULL);
	text[n] = twin[n] = back[s.n] = 0xee;
	base64_encode(s, text);
	base64_encode_scalar(s, twin);
	assert_memory_equal(text, twin, n);
	assert_int_equal(text[n], 0xee);
	assert_int_equal(base64_decode(span_of(text, n), back, &back_n), ST_OK);
	assert_int_equal(back_n, s.n);
	assert_true(span_eq(span_of(back, back_n), s));
	assert_int_equal(base64_decode_scalar(span_of(text, n), back, &scalar_n), ST_OK);
	assert_int_equal(scalar_n, s.n);
	assert_true(span_eq(span_of(back, scalar_n), s));
	assert_int_equal(back[s.n], 0xee);
	free(text);
	free(twin);
	free(back);
}

static void simd_equals_scalar_on_all_lengths(void **state)
{
	uint8_t bytes[400];
	uint64_t seed = 0x4b657974;

	(void)state;
	for (size_t n = 0; n <= sizeof(bytes); n++) {
		fill(&seed, bytes, n);
		uint8_t *exact = malloc(n + 1);
		assert_non_null(exact);
		memcpy(exact, bytes, n);
		round_trip(span_of(exact, n));
		free(exact);
	}
}

/* Each of the 64 values in each place of a vector. */
static void simd_knows_every_letter_in_every_lane(void **state)
{
	uint8_t bytes[96];

	(void)state;
	for (unsigned v = 0; v < 64; v++) {
		for (size_t i = 0; i < sizeof(bytes); i += 3) {
			uint32_t group =
			    v << 18 | ((v + 7) & 63) << 12 | ((v + 21) & 63) << 6 | (63 - v);
			bytes[i] = (uint8_t)(group >> 16);
			bytes[i + 1] = (uint8_t)(group >> 8);
			bytes[i + 2] = (uint8_t)group;
		}
		round_trip(span_of(bytes, sizeof(bytes)));
	}
}

/* All 256 bytes in each place of texts of several lengths: both decoders give the same answer. */
static void simd_equals_scalar_on_one_wrong_byte(void **state)
{
	static const size_t lengths[] = {4, 24, 28, 40, 44, 72, 80, 100};
	uint8_t bytes[75], text[100], a[75], b[75];
	uint64_t seed = 99;
	size_t good = 0, bad = 0;

	(void)state;
	fill(&seed, bytes, sizeof(bytes));
	base64_encode_scalar(span_of(bytes, sizeof(bytes)), text);
	for (size_t l = 0; l < sizeof(lengths) / sizeof(lengths[0]); l++) {
		for (size_t at = 0; at < lengths[l]; at++) {
			uint8_t kept = text[at];
			for (unsigned c = 0; c < 256; c++) {
				size_t n_a = 0, n_b = 0;
				text[at] = (uint8_t)c;
				struct span s = span_of(text, lengths[l]);
				enum status st = base64_decode_scalar(s, a, &n_a);
				assert_int_equal(base64_decode(s, b, &n_b), st);
				assert_int_equal(n_a, n_b);
				assert_true(st != ST_OK || memcmp(a, b, n_a) == 0);
				good += st == ST_OK;
				bad += st != ST_OK;
			}
			text[at] = kept;
		}
	}
	assert_int_equal(good + bad, (4 + 24 + 28 + 40 + 44 + 72 + 80 + 100) * 256);
	assert_true(good >= (4 + 24 + 28 + 40 + 44 + 72 + 80 + 100) * 64 - 8 * 64);
	assert_true(bad >= (4 + 24 + 28 + 40 + 44 + 72 + 80 + 100) * 191);
}

/* A decoder never writes beyond what the text decodes to, also when the text is wrong. */
static void decoding_stays_in_bounds(void **state)
{
	uint64_t seed = 7;

	(void)state;
	for (size_t round = 0; round < 20000; round++) {
		uint8_t bytes[120], text[BASE64_LEN(120)], out[121];
		size_t n = next(&seed) % (sizeof(bytes) + 1), got = 0, twin_got = 0;
		uint8_t twin[121];
		fill(&seed, bytes, n);
		base64_encode(span_of(bytes, n), text);
		size_t text_n = BASE64_LEN(n);
		for (size_t wrong = next(&seed) % 3; wrong > 0 && text_n > 0; wrong--)
			text[next(&seed) % text_n] = (uint8_t)next(&seed);
		memset(out, 0xee, sizeof(out));
		enum status st = base64_decode(span_of(text, text_n), out, &got);
		assert_int_equal(base64_decode_scalar(span_of(text, text_n), twin, &twin_got), st);
		assert_int_equal(got, twin_got);
		assert_true(st != ST_OK || memcmp(out, twin, got) == 0);
		for (size_t i = text_n / 4 * 3; i < sizeof(out); i++)
			assert_int_equal(out[i], 0xee);
	}
}

static void decoding_fits_an_exact_buffer(void **state)
{
	uint8_t buf[2];
	struct builder b;

	(void)state;
	builder_init_fixed(&b, buf, 2);
	assert_int_equal(builder_unbase64(&b, span_str("Zm9v")), ST_LIMIT);
	builder_reset(&b);
	assert_int_equal(builder_unbase64(&b, span_str("Zm8=")), ST_OK);
	assert_true(span_eq_str(builder_span(&b), "fo"));
	builder_free(&b);
}

/* The text of the standard alphabet that says the same. */
static void as_standard(struct span url, struct builder *ret)
{
	for (size_t i = 0; i < url.n; i++)
		builder_u8(ret, url.p[i] == '-' ? '+' : url.p[i] == '_' ? '/' : url.p[i]);
	while (ret->n % 4 != 0)
		builder_u8(ret, '=');
}

static void url_is_the_same_in_other_letters(void **state)
{
	uint8_t bytes[200];

	(void)state;
	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (uint8_t)(i * 167 + 251);
	for (size_t n = 0; n <= sizeof bytes; n++) {
		struct span plain = span_of(bytes, n);
		struct builder url = {0}, want = {0}, got = {0};

		builder_str(&url, "kept");
		builder_base64url(&url, plain);
		assert_int_equal(builder_status(&url), ST_OK);
		assert_int_equal(url.n, 4 + (n * 4 + 2) / 3);
		builder_base64(&want, plain);
		as_standard(span_from(builder_span(&url), 4), &got);
		assert_true(span_eq(builder_span(&got), builder_span(&want)));
		builder_reset(&got);
		builder_str(&got, "kept");
		assert_int_equal(builder_unbase64url(&got, span_from(builder_span(&url), 4)),
		                 ST_OK);
		assert_true(span_eq(span_from(builder_span(&got), 4), plain));
		builder_free(&url);
		builder_free(&want);
		builder_free(&got);
	}
}

static void malformed_url(void **state)
{
	static const char *const texts[] = {
	    "A",
	    "AB",
	    "AAB",
	    "AA==",
	    "AAA=",
	    "AA=",
	    "AAAA=",
	    "AAAAA",
	    "A+AA",
	    "A/AA",
	    "AA/",
	    "AA\n",
	    " AAAA",
	    "AAAA ",
	    "AA AA",
	    "AA.AA",
	    "=",
	    "====",
	    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA+AAA"};
	struct builder b = {0};

	(void)state;
	builder_str(&b, "kept");
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		assert_int_equal(builder_unbase64url(&b, span_str(texts[i])), ST_INVALID);
	for (unsigned c = 0; c < 256; c++) {
		bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		              (c >= '0' && c <= '9') || c == '-' || c == '_';

		for (size_t at = 0; at < 8; at++) {
			uint8_t text[] = "AAAAAAAA";
			enum status st;

			text[at] = (uint8_t)c;
			st = builder_unbase64url(&b, span_of(text, 8));
			assert_int_equal(st, letter ? ST_OK : ST_INVALID);
			if (st == ST_OK)
				builder_cut(&b, 4);
		}
	}
	assert_int_equal(builder_status(&b), ST_OK);
	assert_true(span_eq_str(builder_span(&b), "kept"));
	builder_free(&b);
}

static void url_that_does_not_fit(void **state)
{
	uint8_t room[8];
	struct builder b;

	(void)state;
	builder_init_fixed(&b, room, sizeof room);
	builder_base64url(&b, span_str("seven!!"));
	assert_int_equal(builder_status(&b), ST_LIMIT);
	assert_int_equal(b.n, 0);
	builder_init_fixed(&b, room, sizeof room);
	assert_int_equal(builder_unbase64url(&b, span_str("AAAAAA")), ST_LIMIT);
	assert_int_equal(b.n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(rfc_vectors),
	    cmocka_unit_test(every_byte_through_hex),
	    cmocka_unit_test(malformed_hex),
	    cmocka_unit_test(malformed_base64),
	    cmocka_unit_test(one_text_for_each_value),
	    cmocka_unit_test(simd_equals_scalar_on_all_lengths),
	    cmocka_unit_test(simd_knows_every_letter_in_every_lane),
	    cmocka_unit_test(simd_equals_scalar_on_one_wrong_byte),
	    cmocka_unit_test(decoding_stays_in_bounds),
	    cmocka_unit_test(decoding_fits_an_exact_buffer),
	    cmocka_unit_test(url_is_the_same_in_other_letters),
	    cmocka_unit_test(malformed_url),
	    cmocka_unit_test(url_that_does_not_fit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
