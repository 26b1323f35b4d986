#include "base/json_scan.h"

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

size_t json_plain(struct span s)
{
	const __m128i quote = _mm_set1_epi8('"'), backslash = _mm_set1_epi8('\\');
	const __m128i space = _mm_set1_epi8(' ');
	size_t at = 0;

	for (; s.n - at >= 16; at += 16) {
		__m128i v = _mm_loadu_si128((const __m128i *)(const void *)(s.p + at));
		/* signed: bytes of 0x80 and above are less than a space, too */
		__m128i special = _mm_cmplt_epi8(v, space);
		special = _mm_or_si128(special, _mm_cmpeq_epi8(v, quote));
		special = _mm_or_si128(special, _mm_cmpeq_epi8(v, backslash));
		unsigned mask = (unsigned)_mm_movemask_epi8(special);
		if (mask != 0)
			return at + (size_t)__builtin_ctz(mask);
	}
	return at + json_plain_scalar(span_from(s, at));
}

#else

size_t json_plain(struct span s)
{
	return json_plain_scalar(s);
}

#endif
