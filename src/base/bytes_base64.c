/* Hex, base64 and base64url (RFC 4648 sections 4, 5 and 8). */
#include "base/bytes.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

static const char digits[] = "0123456789abcdef";

void builder_hex(struct builder *b, struct span s)
{
	size_t n;

	if (!size_mul(s.n, 2, &n))
		n = SIZE_MAX; /* no builder has that room: fails with ST_LIMIT */
	uint8_t *out = builder_room(b, n);
	if (out == NULL)
		return;
	for (size_t i = 0; i < s.n; i++) {
		out[2 * i] = (uint8_t)digits[s.p[i] >> 4];
		out[2 * i + 1] = (uint8_t)digits[s.p[i] & 15];
	}
	builder_took(b, n);
}

/* The value of a hex digit of either case; above 15 for other bytes. */
static unsigned hex_value(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return (unsigned)c - '0';
	unsigned letter = c | 0x20u;
	return letter >= 'a' && letter <= 'f' ? letter - 'a' + 10 : 16;
}

enum status builder_unhex(struct builder *b, struct span s)
{
	if (s.n % 2 != 0)
		return ST_INVALID;
	uint8_t *out = builder_room(b, s.n / 2);
	if (out == NULL)
		return builder_status(b);
	for (size_t i = 0; i < s.n / 2; i++) {
		unsigned high = hex_value(s.p[2 * i]), low = hex_value(s.p[2 * i + 1]);
		if (high > 15 || low > 15) {
			wipe(out, i);
			return ST_INVALID;
		}
		out[i] = (uint8_t)(high << 4 | low);
	}
	builder_took(b, s.n / 2);
	return ST_OK;
}

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* clang-format off */
/* One more than the value of each letter; 0 for bytes that are none. */
static const uint8_t values[256] = {
	['A'] = 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26,
	['a'] = 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 52,
	['0'] = 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, ['+'] = 63, ['/'] = 64,
};
/* clang-format on */

/* The value of c; above 63 when it is no letter. */
static uint32_t value_of(uint8_t c)
{
	return values[c] - UINT32_C(1);
}

/* Whole groups and the padded rest, of n bytes at p. */
static void encode_tail(const uint8_t *p, size_t n, uint8_t *out)
{
	for (; n >= 3; n -= 3, p += 3, out += 4) {
		uint32_t v = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
		out[0] = (uint8_t)letters[v >> 18];
		out[1] = (uint8_t)letters[v >> 12 & 63];
		out[2] = (uint8_t)letters[v >> 6 & 63];
		out[3] = (uint8_t)letters[v & 63];
	}
	if (n == 0)
		return;
	uint32_t v = (uint32_t)p[0] << 16 | (n == 2 ? (uint32_t)p[1] << 8 : 0);
	out[0] = (uint8_t)letters[v >> 18];
	out[1] = (uint8_t)letters[v >> 12 & 63];
	out[2] = (uint8_t)(n == 2 ? letters[v >> 6 & 63] : '=');
	out[3] = '=';
}

/* padding(s): how many '=' end s, a text of whole groups; 0, 1 or 2. */
static size_t padding(struct span s)
{
	if (s.n == 0 || s.p[s.n - 1] != '=')
		return 0;
	return s.p[s.n - 2] == '=' ? 2 : 1;
}

/* Three bytes from four letters; false when one is none. */
static bool decode_group(const uint8_t *p, uint8_t *out)
{
	uint32_t a = value_of(p[0]), b = value_of(p[1]), c = value_of(p[2]), d = value_of(p[3]);

	if ((a | b | c | d) > 63)
		return false;
	uint32_t v = a << 18 | b << 12 | c << 6 | d;
	out[0] = (uint8_t)(v >> 16);
	out[1] = (uint8_t)(v >> 8);
	out[2] = (uint8_t)v;
	return true;
}

/* The last group when it is padded; its unused bits must be zero, else two texts would mean the same bytes. */
static bool decode_padded(const uint8_t *p, size_t pads, uint8_t *out)
{
	uint32_t a = value_of(p[0]), b = value_of(p[1]), c = pads == 1 ? value_of(p[2]) : 0;

	if ((a | b | c) > 63 || (pads == 1 ? c & 3 : b & 15) != 0)
		return false;
	out[0] = (uint8_t)(a << 2 | b >> 4);
	if (pads == 1)
		out[1] = (uint8_t)(b << 4 | c >> 2);
	return true;
}

/* n letters at p, a multiple of four, the padding among them. */
static bool decode_tail(struct span s, uint8_t *out)
{
	size_t pads = padding(s);
	size_t whole = pads > 0 ? s.n - 4 : s.n;

	for (size_t i = 0; i < whole; i += 4, out += 3) {
		if (!decode_group(s.p + i, out))
			return false;
	}
	return pads == 0 || decode_padded(s.p + whole, pads, out);
}

void base64_encode_scalar(struct span s, uint8_t *out)
{
	encode_tail(s.p, s.n, out);
}

enum status base64_decode_scalar(struct span s, uint8_t *out, size_t *ret_n)
{
	if (s.n % 4 != 0 || !decode_tail(s, out))
		return ST_INVALID;
	*ret_n = s.n / 4 * 3 - padding(s);
	return ST_OK;
}

/*
 * The SIMD halves take as much as they can from the front and leave the rest to the tail functions above; each returns how
 * many input bytes it took.  decode_front stops before a vector that holds a byte that is no letter, so that padding
 * and errors have one home.  They never write beyond what the whole text decodes to.
 *
 * Source of the method: W. Mula, D. Lemire, "Faster Base64 Encoding and Decoding Using AVX2 Instructions" (2018).
 */
#if defined(__x86_64__)

#define SSSE3 __attribute__((target("ssse3")))
#define AVX2  __attribute__((target("avx2")))

/* clang-format off */
/* Which byte of 12 goes where, so that each 32-bit lane holds the three bytes b a c b of one group. */
#define SPREAD 1, 0, 2, 1, 4, 3, 5, 4, 7, 6, 8, 7, 10, 9, 11, 10
/* Distance from a value to its letter, by class: 0 for a-z, 1..10 digits, 11 '+', 12 '/', 13 A-Z. */
#define TO_LETTER 'a' - 26, -4, -4, -4, -4, -4, -4, -4, -4, -4, -4, '+' - 62, '/' - 63, 'A', 0, 0
/*
 * A byte is a letter if no bit is set both at its high and at its low nibble: bit 0 stands for high nibble 2 (there only b
 * and f are letters), 1 for 3 (0-9), 2 for 4 and 6 (1-f), 3 for 5 and 7 (0-a), 4 for all others (none).
 */
#define WRONG_LOW 0x15, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x13, 0x1a, 0x1b, 0x1b, 0x1b, 0x1a
#define WRONG_HIGH 0x10, 0x10, 0x01, 0x02, 0x04, 0x08, 0x04, 0x08, 0x10, 0x10, 0x10, 0x10, 0x10, 0x10, 0x10, 0x10
/* Distance from a letter to its value, by high nibble; one less for '/'. */
#define TO_VALUE 0, 63 - '/', 62 - '+', 52 - '0', -65, -65, 26 - 'a', 26 - 'a', 0, 0, 0, 0, 0, 0, 0, 0
/* Which byte of four 24-bit numbers in 32-bit lanes goes where. */
#define GATHER 2, 1, 0, 6, 5, 4, 10, 9, 8, 14, 13, 12, -1, -1, -1, -1
/* clang-format on */

SSSE3 static size_t encode_ssse3(const uint8_t *p, size_t n, uint8_t *out)
{
	const __m128i spread = _mm_setr_epi8(SPREAD), to_letter = _mm_setr_epi8(TO_LETTER);
	size_t at = 0;

	for (; n - at >= 16; at += 12, out += 16) {
		__m128i v = _mm_loadu_si128((const __m128i *)(const void *)(p + at));
		v = _mm_shuffle_epi8(v, spread);
		/* four 6-bit values a lane: two by a shift down, two by a shift up, as multiplications */
		__m128i ac = _mm_and_si128(v, _mm_set1_epi32(0x0fc0fc00));
		__m128i bd = _mm_and_si128(v, _mm_set1_epi32(0x003f03f0));
		ac = _mm_mulhi_epu16(ac, _mm_set1_epi32(0x04000040));
		bd = _mm_mullo_epi16(bd, _mm_set1_epi32(0x01000010));
		v = _mm_or_si128(ac, bd);
		__m128i class = _mm_subs_epu8(v, _mm_set1_epi8(51));
		__m128i capital = _mm_cmpgt_epi8(_mm_set1_epi8(26), v);
		class = _mm_or_si128(class, _mm_and_si128(capital, _mm_set1_epi8(13)));
		v = _mm_add_epi8(v, _mm_shuffle_epi8(to_letter, class));
		_mm_storeu_si128((__m128i *)(void *)out, v);
	}
	return at;
}

AVX2 static size_t encode_avx2(const uint8_t *p, size_t n, uint8_t *out)
{
	const __m256i spread = _mm256_setr_epi8(SPREAD, SPREAD);
	const __m256i to_letter = _mm256_setr_epi8(TO_LETTER, TO_LETTER);
	size_t at = 0;

	for (; n - at >= 28; at += 24, out += 32) {
		__m256i v = _mm256_loadu2_m128i((const __m128i *)(const void *)(p + at + 12),
		                                (const __m128i *)(const void *)(p + at));
		v = _mm256_shuffle_epi8(v, spread);
		__m256i ac = _mm256_and_si256(v, _mm256_set1_epi32(0x0fc0fc00));
		__m256i bd = _mm256_and_si256(v, _mm256_set1_epi32(0x003f03f0));
		ac = _mm256_mulhi_epu16(ac, _mm256_set1_epi32(0x04000040));
		bd = _mm256_mullo_epi16(bd, _mm256_set1_epi32(0x01000010));
		v = _mm256_or_si256(ac, bd);
		__m256i class = _mm256_subs_epu8(v, _mm256_set1_epi8(51));
		__m256i capital = _mm256_cmpgt_epi8(_mm256_set1_epi8(26), v);
		class = _mm256_or_si256(class, _mm256_and_si256(capital, _mm256_set1_epi8(13)));
		v = _mm256_add_epi8(v, _mm256_shuffle_epi8(to_letter, class));
		_mm256_storeu_si256((__m256i *)(void *)out, v);
	}
	return at;
}

/* 16 letters to 12 bytes, of which 16 are stored: 8 letters more must follow. */
SSSE3 static size_t decode_ssse3(const uint8_t *p, size_t n, uint8_t *out)
{
	const __m128i wrong_low = _mm_setr_epi8(WRONG_LOW), wrong_high = _mm_setr_epi8(WRONG_HIGH);
	const __m128i to_value = _mm_setr_epi8(TO_VALUE), gather = _mm_setr_epi8(GATHER);
	const __m128i nibble = _mm_set1_epi8(0x0f);
	size_t at = 0;

	for (; n - at >= 24; at += 16, out += 12) {
		__m128i v = _mm_loadu_si128((const __m128i *)(const void *)(p + at));
		__m128i high = _mm_and_si128(_mm_srli_epi32(v, 4), nibble);
		__m128i wrong = _mm_and_si128(_mm_shuffle_epi8(wrong_low, _mm_and_si128(v, nibble)),
		                              _mm_shuffle_epi8(wrong_high, high));
		if (_mm_movemask_epi8(_mm_cmpeq_epi8(wrong, _mm_setzero_si128())) != 0xffff)
			break;
		__m128i slash = _mm_cmpeq_epi8(v, _mm_set1_epi8('/'));
		v = _mm_add_epi8(v, _mm_shuffle_epi8(to_value, _mm_add_epi8(high, slash)));
		v = _mm_maddubs_epi16(v, _mm_set1_epi32(0x01400140)); /* a << 6 | b */
		v = _mm_madd_epi16(v, _mm_set1_epi32(0x00011000));    /* ab << 12 | cd */
		_mm_storeu_si128((__m128i *)(void *)out, _mm_shuffle_epi8(v, gather));
	}
	return at;
}

/* 32 letters to 24 bytes, of which 28 are stored: 8 letters more must follow. */
AVX2 static size_t decode_avx2(const uint8_t *p, size_t n, uint8_t *out)
{
	const __m256i wrong_low = _mm256_setr_epi8(WRONG_LOW, WRONG_LOW);
	const __m256i wrong_high = _mm256_setr_epi8(WRONG_HIGH, WRONG_HIGH);
	const __m256i to_value = _mm256_setr_epi8(TO_VALUE, TO_VALUE);
	const __m256i gather = _mm256_setr_epi8(GATHER, GATHER);
	const __m256i nibble = _mm256_set1_epi8(0x0f);
	size_t at = 0;

	for (; n - at >= 40; at += 32, out += 24) {
		__m256i v = _mm256_loadu_si256((const __m256i *)(const void *)(p + at));
		__m256i high = _mm256_and_si256(_mm256_srli_epi32(v, 4), nibble);
		__m256i low = _mm256_and_si256(v, nibble);
		if (!_mm256_testz_si256(_mm256_shuffle_epi8(wrong_low, low),
		                        _mm256_shuffle_epi8(wrong_high, high)))
			break;
		__m256i slash = _mm256_cmpeq_epi8(v, _mm256_set1_epi8('/'));
		__m256i shift = _mm256_shuffle_epi8(to_value, _mm256_add_epi8(high, slash));
		v = _mm256_add_epi8(v, shift);
		v = _mm256_maddubs_epi16(v, _mm256_set1_epi32(0x01400140));
		v = _mm256_madd_epi16(v, _mm256_set1_epi32(0x00011000));
		v = _mm256_shuffle_epi8(v, gather);
		/* in this order: the low half's last four bytes are filler */
		_mm_storeu_si128((__m128i *)(void *)out, _mm256_castsi256_si128(v));
		_mm_storeu_si128((__m128i *)(void *)(out + 12), _mm256_extracti128_si256(v, 1));
	}
	return at;
}

static size_t encode_front(const uint8_t *p, size_t n, uint8_t *out)
{
	size_t took = 0;

	if (__builtin_cpu_supports("avx2"))
		took = encode_avx2(p, n, out);
	if (n - took >= 16 && __builtin_cpu_supports("ssse3"))
		took += encode_ssse3(p + took, n - took, out + took / 3 * 4);
	return took;
}

static size_t decode_front(const uint8_t *p, size_t n, uint8_t *out)
{
	size_t took = 0;

	if (__builtin_cpu_supports("avx2"))
		took = decode_avx2(p, n, out);
	if (n - took >= 24 && __builtin_cpu_supports("ssse3"))
		took += decode_ssse3(p + took, n - took, out + took / 4 * 3);
	return took;
}

#else

static size_t encode_front(const uint8_t *p, size_t n, uint8_t *out)
{
	return 0;
}

static size_t decode_front(const uint8_t *p, size_t n, uint8_t *out)
{
	return 0;
}
#endif

void base64_encode(struct span s, uint8_t *out)
{
	size_t took = encode_front(s.p, s.n, out);

	if (took < s.n)
		encode_tail(s.p + took, s.n - took, out + took / 3 * 4);
}

enum status base64_decode(struct span s, uint8_t *out, size_t *ret_n)
{
	if (s.n % 4 != 0)
		return ST_INVALID;
	size_t took = decode_front(s.p, s.n, out);
	if (!decode_tail(span_from(s, took), out + took / 4 * 3))
		return ST_INVALID;
	*ret_n = s.n / 4 * 3 - padding(s);
	return ST_OK;
}

void builder_base64(struct builder *b, struct span s)
{
	size_t n = SIZE_MAX; /* what no builder has room for */

	if (s.n <= SIZE_MAX / 2)
		n = BASE64_LEN(s.n);
	uint8_t *out = builder_room(b, n);
	if (out == NULL)
		return;
	base64_encode(s, out);
	builder_took(b, n);
}

enum status builder_unbase64(struct builder *b, struct span s)
{
	size_t n;

	if (s.n % 4 != 0)
		return ST_INVALID;
	size_t most = s.n / 4 * 3 - padding(s);
	uint8_t *out = builder_room(b, most);
	if (out == NULL)
		return builder_status(b);
	if (base64_decode(s, out, &n) != ST_OK) {
		wipe(out, most);
		return ST_INVALID;
	}
	builder_took(b, n);
	return ST_OK;
}

void builder_base64url(struct builder *b, struct span s)
{
	size_t before = b->n;

	builder_base64(b, s);
	if (b->failed != ST_OK)
		return;
	for (size_t i = before; i < b->n; i++) {
		if (b->p[i] == '+')
			b->p[i] = '-';
		else if (b->p[i] == '/')
			b->p[i] = '_';
	}
	builder_cut(b, b->n - (3 - s.n % 3) % 3);
}

/* The letter of the other alphabet; what belongs to neither becomes '=', which no decoder takes there. */
static uint8_t letter_of_url(uint8_t c)
{
	if (c == '-')
		return '+';
	if (c == '_')
		return '/';
	return value_of(c) > 63 || c == '+' || c == '/' ? '=' : c;
}

enum status builder_unbase64url(struct builder *b, struct span s)
{
	size_t pads = (4 - s.n % 4) % 4, whole, n;
	enum status st;

	if (pads == 3)
		return ST_INVALID;
	if (!size_add(s.n, pads, &whole) || !size_mul(whole, 2, &n))
		n = whole = SIZE_MAX; /* what no builder has room for */
	/* The bytes, and behind them the text in the other alphabet. */
	uint8_t *out = builder_room(b, n);
	if (out == NULL)
		return builder_status(b);
	uint8_t *text = out + whole;
	for (size_t i = 0; i < whole; i++)
		text[i] = i < s.n ? letter_of_url(s.p[i]) : '=';
	/* Nothing at the end of the text itself may pass as padding. */
	st = s.n > 0 && text[s.n - 1] == '=' ? ST_INVALID
	                                     : base64_decode(span_of(text, whole), out, &n);
	wipe(text, whole);
	if (st == ST_OK)
		builder_took(b, n);
	else
		wipe(out, whole);
	return st;
}
