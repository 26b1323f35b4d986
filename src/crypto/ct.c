/* Constant-time tools: no branch and no table index depends on a secret byte. */
#include "crypto/ct.h"

/*
 * A value the compiler cannot see through, so that it cannot turn the masks below back into branches.
 */
static inline unsigned opaque(unsigned x)
{
	__asm__("" : "+r"(x));
	return x;
}

/* 0xff when lo <= x <= hi, else 0; all below 256. */
static unsigned in_range(unsigned x, unsigned lo, unsigned hi)
{
	unsigned below = (x - lo) >> 8, above = (hi - x) >> 8;

	return ~opaque(below | above) & 0xff;
}

bool ct_equal(struct span a, struct span b)
{
	unsigned diff = 0;

	if (a.n != b.n)
		return false;
	for (size_t i = 0; i < a.n; i++)
		diff |= opaque((unsigned)(a.p[i] ^ b.p[i]));
	return diff == 0;
}

uint8_t ct_select(uint8_t mask, uint8_t a, uint8_t b)
{
	return (uint8_t)((a & opaque(mask)) | (b & ~opaque(mask)));
}

uint8_t ct_is_zero(uint8_t x)
{
	return (uint8_t)(opaque((unsigned)x - 1) >> 8);
}

void ct_xor(uint8_t *dst, const uint8_t *src, size_t n)
{
	for (size_t i = 0; i < n; i++)
		dst[i] ^= src[i];
}

/* ------------------------------------------------------------ GF(256) */

uint8_t gf256_mul(uint8_t a, uint8_t b)
{
	unsigned x = a, sum = 0;

	for (unsigned bit = 0; bit < 8; bit++) {
		sum ^= x & (0U - (opaque((unsigned)b >> bit) & 1));
		x = (x << 1) ^ (0x11b & (0U - opaque(x >> 7)));
	}
	return (uint8_t)sum;
}

uint8_t gf256_inv(uint8_t a)
{
	/* a^254 = a^2 * a^4 * ... * a^128: the powers 2 to 128 add up to 254. */
	uint8_t power = a, product = 1;

	for (unsigned i = 0; i < 7; i++) {
		power = gf256_mul(power, power);
		product = gf256_mul(product, power);
	}
	return product;
}

/* ------------------------------------------------------------ hex */

static char hex_digit(unsigned v)
{
	return (char)('0' + v + (in_range(v, 10, 15) & ('a' - '0' - 10)));
}

void ct_hex(struct span bytes, char *out)
{
	for (size_t i = 0; i < bytes.n; i++) {
		out[2 * i] = hex_digit((unsigned)bytes.p[i] >> 4);
		out[2 * i + 1] = hex_digit(bytes.p[i] & 15U);
	}
}

/* The value of digit c; *bad gets bits set when it is none. */
static unsigned hex_value(unsigned c, unsigned *bad)
{
	unsigned digit = in_range(c, '0', '9'), lower = in_range(c, 'a', 'f'),
	         upper = in_range(c, 'A', 'F');

	*bad |= ~(digit | lower | upper) & 0xff;
	return (digit & (c - '0')) | (lower & (c - 'a' + 10)) | (upper & (c - 'A' + 10));
}

enum status ct_unhex(struct span text, uint8_t *out, size_t cap, size_t *ret_n)
{
	size_t n = text.n / 2;
	unsigned bad = 0;

	if (text.n % 2 != 0) {
		wipe(out, cap);
		return ST_INVALID;
	}
	if (n > cap) {
		wipe(out, cap);
		return ST_LIMIT;
	}
	for (size_t i = 0; i < n; i++) {
		unsigned hi = hex_value(text.p[2 * i], &bad),
		         lo = hex_value(text.p[2 * i + 1], &bad);

		out[i] = (uint8_t)(hi << 4 | lo);
	}
	if (bad != 0) {
		wipe(out, cap);
		return ST_INVALID;
	}
	*ret_n = n;
	return ST_OK;
}

/* ------------------------------------------------------------ base64 */

static char base64_digit(unsigned v)
{
	return (char)((in_range(v, 0, 25) & (v + 'A')) | (in_range(v, 26, 51) & (v - 26 + 'a')) |
	              (in_range(v, 52, 61) & (v - 52 + '0')) | (in_range(v, 62, 62) & '+') |
	              (in_range(v, 63, 63) & '/'));
}

void ct_base64(struct span bytes, char *out)
{
	size_t i = 0, left;
	uint32_t v;

	for (; i + 3 <= bytes.n; i += 3, out += 4) {
		v = (uint32_t)bytes.p[i] << 16 | (uint32_t)bytes.p[i + 1] << 8 | bytes.p[i + 2];
		out[0] = base64_digit(v >> 18);
		out[1] = base64_digit(v >> 12 & 63);
		out[2] = base64_digit(v >> 6 & 63);
		out[3] = base64_digit(v & 63);
	}
	left = bytes.n - i;
	if (left == 0)
		return;
	v = (uint32_t)bytes.p[i] << 16 | (left == 2 ? (uint32_t)bytes.p[i + 1] << 8 : 0);
	out[0] = base64_digit(v >> 18);
	out[1] = base64_digit(v >> 12 & 63);
	out[2] = '=';
	if (left == 2)
		out[2] = base64_digit(v >> 6 & 63);
	out[3] = '=';
}

static unsigned base64_value(unsigned c, unsigned *bad)
{
	unsigned upper = in_range(c, 'A', 'Z'), lower = in_range(c, 'a', 'z'),
	         digit = in_range(c, '0', '9');
	unsigned plus = in_range(c, '+', '+'), slash = in_range(c, '/', '/');

	*bad |= ~(upper | lower | digit | plus | slash) & 0xff;
	return (upper & (c - 'A')) | (lower & (c - 'a' + 26)) | (digit & (c - '0' + 52)) |
	       (plus & 62) | (slash & 63);
}

/* The bytes of one group of four characters, `pads` of them '=' at the end. */
static void base64_group(const uint8_t *in, unsigned pads, uint8_t *out, unsigned *bad)
{
	uint32_t v = 0;

	for (unsigned i = 0; i < 4; i++)
		v = v << 6 | (i < 4 - pads ? base64_value(in[i], bad) : 0);
	out[0] = (uint8_t)(v >> 16);
	if (pads < 2)
		out[1] = (uint8_t)(v >> 8);
	if (pads < 1)
		out[2] = (uint8_t)v;
	/* Bits that no byte uses are zero in the one canonical form. */
	if (pads == 2)
		*bad |= v >> 8 & 0xff;
	if (pads == 1)
		*bad |= v & 0xff;
}

/* Padding is public: it follows from the length. */
static unsigned base64_pads(struct span text)
{
	if (text.n == 0 || text.p[text.n - 1] != '=')
		return 0;
	return text.p[text.n - 2] == '=' ? 2 : 1;
}

enum status ct_unbase64(struct span text, uint8_t *out, size_t cap, size_t *ret_n)
{
	unsigned pads, bad = 0;
	size_t n;

	if (text.n % 4 != 0) {
		wipe(out, cap);
		return ST_INVALID;
	}
	pads = base64_pads(text);
	n = text.n / 4 * 3 - pads;
	if (n > cap) {
		wipe(out, cap);
		return ST_LIMIT;
	}
	for (size_t i = 0; i < text.n / 4; i++)
		base64_group(text.p + 4 * i, i + 1 == text.n / 4 ? pads : 0, out + 3 * i, &bad);
	if (bad != 0) {
		wipe(out, cap);
		return ST_INVALID;
	}
	*ret_n = n;
	return ST_OK;
}
