#include "base/json_scan.h"

#include <string.h>

#if defined(__x86_64__)
#include <emmintrin.h>
#endif

static bool is_plain(uint8_t c)
{
	return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

size_t json_plain_scalar(struct span s)
{
	size_t n = 0;

	while (n < s.n && is_plain(s.p[n]))
		n++;
	return n;
}

#if defined(__x86_64__)

/* One bit for each of 16 bytes that is not plain. */
static unsigned special_of(__m128i v)
{
	/* signed: bytes of 0x80 and above are less than a space, too */
	__m128i special = _mm_cmplt_epi8(v, _mm_set1_epi8(' '));

	special = _mm_or_si128(special, _mm_cmpeq_epi8(v, _mm_set1_epi8('"')));
	special = _mm_or_si128(special, _mm_cmpeq_epi8(v, _mm_set1_epi8('\\')));
	return (unsigned)_mm_movemask_epi8(special);
}

/* Fewer than 16 bytes: the same in two loads that overlap, for names and values are short. */
static size_t plain_short(struct span s)
{
	uint64_t first, last;
	uint32_t first32, last32;
	__m128i v;

	if (s.n >= 8) {
		memcpy(&first, s.p, 8);
		memcpy(&last, s.p + s.n - 8, 8);
		v = _mm_set_epi64x((long long)last, (long long)first);
	} else if (s.n >= 4) {
		memcpy(&first32, s.p, 4);
		memcpy(&last32, s.p + s.n - 4, 4);
		v = _mm_set1_epi64x((long long)((uint64_t)last32 << 32 | first32));
	} else {
		return json_plain_scalar(s);
	}
	return special_of(v) == 0 ? s.n : json_plain_scalar(s);
}

size_t json_plain(struct span s)
{
	size_t at = 0;

	if (s.n < 16)
		return plain_short(s);
	for (; s.n - at >= 16; at += 16) {
		unsigned mask =
		    special_of(_mm_loadu_si128((const __m128i *)(const void *)(s.p + at)));

		if (mask != 0)
			return at + (size_t)__builtin_ctz(mask);
	}
	if (at == s.n ||
	    special_of(_mm_loadu_si128((const __m128i *)(const void *)(s.p + s.n - 16))) == 0)
		return s.n;
	return at + json_plain_scalar(span_from(s, at));
}

#else

size_t json_plain(struct span s)
{
	return json_plain_scalar(s);
}

#endif
