/* Constant-time tools against plain references; codecs against malformed text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "crypto/ct.h"

/* The product as the definition says it: multiply the polynomials, then divide by x^8 + x^4 + x^3 + x + 1. */
static unsigned slow_mul(unsigned a, unsigned b)
{
	unsigned product = 0;

	for (unsigned i = 0; i < 8; i++)
		if ((b >> i & 1) != 0)
			product ^= a << i;
	for (unsigned i = 15; i-- > 8;)
		if ((product >> i & 1) != 0)
			product ^= 0x11bU << (i - 8);
	return product;
}

static void gf256_product_is_right_for_all_pairs(void **state)
{
	(void)state;
	for (unsigned a = 0; a < 256; a++)
		for (unsigned b = 0; b < 256; b++)
			assert_int_equal(gf256_mul((uint8_t)a, (uint8_t)b), slow_mul(a, b));
	/* FIPS 197, 4.2 */
	assert_int_equal(gf256_mul(0x57, 0x83), 0xc1);
	assert_int_equal(gf256_mul(0x57, 0x13), 0xfe);
}

static void gf256_inverse_is_right_for_all(void **state)
{
	(void)state;
	assert_int_equal(gf256_inv(0), 0);
	for (unsigned a = 1; a < 256; a++)
		assert_int_equal(slow_mul(a, gf256_inv((uint8_t)a)), 1);
}

static void equal_sees_every_bit(void **state)
{
	uint8_t a[40], b[40];

	(void)state;
	memset(a, 0x3c, sizeof a);
	memset(b, 0x3c, sizeof b);
	assert_true(ct_equal(span_of(a, sizeof a), span_of(b, sizeof b)));
	assert_true(ct_equal(span_of(NULL, 0), span_of(b, 0)));
	assert_false(ct_equal(span_of(a, 39), span_of(b, 40)));
	assert_false(ct_equal(span_of(a, 1), span_of(b, 0)));
	for (size_t bit = 0; bit < sizeof b * 8; bit++) {
		b[bit / 8] ^= (uint8_t)(1U << bit % 8);
		assert_false(ct_equal(span_of(a, sizeof a), span_of(b, sizeof b)));
		b[bit / 8] ^= (uint8_t)(1U << bit % 8);
	}
}

static void select_and_is_zero(void **state)
{
	(void)state;
	for (unsigned x = 0; x < 256; x++) {
		assert_int_equal(ct_is_zero((uint8_t)x), x == 0 ? 0xff : 0);
		assert_int_equal(ct_select(0xff, (uint8_t)x, (uint8_t)~x), x);
		assert_int_equal(ct_select(0, (uint8_t)x, (uint8_t)~x), (uint8_t)~x);
	}
}

static void xor_changes_n_bytes(void **state)
{
	uint8_t a[4] = {1, 2, 3, 4};
	const uint8_t b[4] = {0xff, 2, 0, 9};

	(void)state;
	ct_xor(a, b, 3);
	assert_memory_equal(a, ((uint8_t[]){0xfe, 0, 3, 4}), 4);
	ct_xor(a, b, 0);
	assert_memory_equal(a, ((uint8_t[]){0xfe, 0, 3, 4}), 4);
}

/* ------------------------------------------------------------ codecs */

typedef enum status decoder(struct span text, uint8_t *out, size_t cap, size_t *ret_n);

/* Refused: the status, nothing said about a length, nothing left in the buffer. */
static void refused(decoder *decode, struct span text, size_t cap, enum status want)
{
	uint8_t out[64];
	size_t n = 777;

	assert_true(cap <= sizeof out);
	memset(out, 0xdd, sizeof out);
	assert_int_equal(decode(text, out, cap, &n), want);
	assert_int_equal(n, 777);
	for (size_t i = 0; i < sizeof out; i++)
		assert_int_equal(out[i], i < cap ? 0 : 0xdd);
}

static void decoded(decoder *decode, const char *text, const void *want, size_t want_n)
{
	uint8_t out[64];
	size_t n = 777;

	memset(out, 0xdd, sizeof out);
	assert_int_equal(decode(span_str(text), out, want_n, &n), ST_OK);
	assert_int_equal(n, want_n);
	assert_memory_equal(out, want, want_n);
	assert_int_equal(out[want_n], 0xdd);
}

static void hex_both_ways(void **state)
{
	uint8_t all[256], back[256];
	char text[513];
	size_t n;

	(void)state;
	for (unsigned i = 0; i < 256; i++)
		all[i] = (uint8_t)i;
	text[512] = 'x';
	ct_hex(span_of(all, 256), text);
	assert_int_equal(text[512], 'x');
	assert_memory_equal(text, "000102030405060708090a0b0c0d0e0f10", 34);
	assert_memory_equal(text + 506, "fdfeff", 6);
	assert_int_equal(ct_unhex(span_of(text, 512), back, 256, &n), ST_OK);
	assert_int_equal(n, 256);
	assert_memory_equal(back, all, 256);
	decoded(ct_unhex, "", "", 0);
	decoded(ct_unhex, "DEADbeef", "\xde\xad\xbe\xef", 4);
}

static void hex_refuses_what_is_none(void **state)
{
	(void)state;
	refused(ct_unhex, span_str("0"), 8, ST_INVALID);
	refused(ct_unhex, span_str("012"), 8, ST_INVALID);
	refused(ct_unhex, span_str(" 01"), 8, ST_INVALID);
	refused(ct_unhex, span_str("01 "), 8, ST_INVALID);
	refused(ct_unhex, span_str("0x01"), 8, ST_INVALID);
	refused(ct_unhex, span_str("01\n0"), 8, ST_INVALID);
	refused(ct_unhex, span_of("0\0", 2), 8, ST_INVALID);
	refused(ct_unhex, span_str("0102030405"), 4, ST_LIMIT);
	for (unsigned c = 0; c < 256; c++) {
		uint8_t text[4] = {'0', (uint8_t)c, 'a', '0'}, out[2];
		size_t n;

		if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'))
			assert_int_equal(ct_unhex(span_of(text, 4), out, 2, &n), ST_OK);
		else
			refused(ct_unhex, span_of(text, 4), 2, ST_INVALID);
	}
}

/* RFC 4648, section 10. */
static const char *const base64_pairs[][2] = {
    {"", ""},
    {"f", "Zg=="},
    {"fo", "Zm8="},
    {"foo", "Zm9v"},
    {"foob", "Zm9vYg=="},
    {"fooba", "Zm9vYmE="},
    {"foobar", "Zm9vYmFy"},
};

static void base64_both_ways(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof base64_pairs / sizeof base64_pairs[0]; i++) {
		const char *plain = base64_pairs[i][0], *text = base64_pairs[i][1];
		char out[16];

		memset(out, '!', sizeof out);
		ct_base64(span_str(plain), out);
		assert_memory_equal(out, text, strlen(text));
		assert_int_equal(out[strlen(text)], '!');
		decoded(ct_unbase64, text, plain, strlen(plain));
	}
	decoded(ct_unbase64, "+/+/", "\xfb\xff\xbf", 3);
}

/* Every length and byte value, against the codec of base/, which is a different one. */
static void base64_agrees_with_the_fast_codec(void **state)
{
	uint8_t raw[256], back[256], text[BASE64_LEN(256)];
	char own[BASE64_LEN(256)];
	size_t n;

	(void)state;
	for (size_t len = 0; len <= 256; len++) {
		for (size_t i = 0; i < len; i++)
			raw[i] = (uint8_t)(i * 67 + len * 13);
		base64_encode_scalar(span_of(raw, len), text);
		ct_base64(span_of(raw, len), own);
		assert_memory_equal(own, text, BASE64_LEN(len));
		assert_int_equal(ct_unbase64(span_of(own, BASE64_LEN(len)), back, len, &n), ST_OK);
		assert_int_equal(n, len);
		assert_memory_equal(back, raw, len);
	}
}

static void base64_refuses_what_is_none(void **state)
{
	static const char *const bad[] = {
	    "Z",        "Zg",       "Zg=",      "Zm9vZ",    "Zm9vZm8", "====",
	    "=Zm9",     "Z===",     "Zg==Zm9v", "Zm=v",     "Z=9v",    "Zg= =",
	    "Zm9v\n",   "Zm9 ",     " Zm9",     "Zm9v====", "Zm9-",    "Zm9_",
	    "Zm8=Zm8=", "Zm9v Zm9", "Zh==",     "Zk==",     "Zo==",    "Zv==",
	    "Zm9=",     "Zm+=",     "Zm/=",     "QQ=A",     "Q\x80==", "\xff\xff\xff\xff",
	};

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		refused(ct_unbase64, span_str(bad[i]), 12, ST_INVALID);
	refused(ct_unbase64, span_of("Zm\0v", 4), 12, ST_INVALID);
	refused(ct_unbase64, span_str("Zm9vZm9v"), 5, ST_LIMIT);
	refused(ct_unbase64, span_str("Zm8="), 1, ST_LIMIT);
	refused(ct_unbase64, span_str("Zg=="), 0, ST_LIMIT);
	for (unsigned c = 0; c < 256; c++) {
		uint8_t text[4] = {'A', (uint8_t)c, 'A', 'A'}, out[3];
		size_t n;

		if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		    c == '+' || c == '/')
			assert_int_equal(ct_unbase64(span_of(text, 4), out, 3, &n), ST_OK);
		else
			refused(ct_unbase64, span_of(text, 4), 3, ST_INVALID);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(gf256_product_is_right_for_all_pairs),
	    cmocka_unit_test(gf256_inverse_is_right_for_all),
	    cmocka_unit_test(equal_sees_every_bit),
	    cmocka_unit_test(select_and_is_zero),
	    cmocka_unit_test(xor_changes_n_bytes),
	    cmocka_unit_test(hex_both_ways),
	    cmocka_unit_test(hex_refuses_what_is_none),
	    cmocka_unit_test(base64_both_ways),
	    cmocka_unit_test(base64_agrees_with_the_fast_codec),
	    cmocka_unit_test(base64_refuses_what_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
