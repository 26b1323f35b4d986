#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/utf8.h"

static void every_code_point(void **state)
{
	uint8_t out[4];

	for (uint32_t code = 0; code <= 0x10ffff; code++) {
		size_t want = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;

		if (code >= 0xd800 && code <= 0xdfff)
			want = 0;
		assert_int_equal(utf8_encode(code, out), want);
		if (want == 0)
			continue;
		assert_int_equal(utf8_length(span_of(out, want)), want);
		if (want > 1)
			assert_int_equal(utf8_length(span_of(out, want - 1)), 0);
	}
	assert_int_equal(utf8_encode(0x110000, out), 0);
	assert_int_equal(utf8_encode(UINT32_MAX, out), 0);
}

/* All texts of four bytes over the edges of the ranges: as many are good as there are characters made of such bytes. */
static void nothing_but_code_points(void **state)
{
	static const uint8_t edges[] = {0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf,
	                                0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xec, 0xed,
	                                0xee, 0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xff};
	const size_t n = sizeof(edges);

	for (size_t i = 0; i < n * n * n * n; i++) {
		uint8_t text[4] = {edges[i % n], edges[i / n % n], edges[i / n / n % n],
		                   edges[i / n / n / n]},
		        again[4];
		size_t length = utf8_length(span_of(text, 4));
		uint32_t code = text[0];

		if (length == 0)
			continue;
		if (length > 1)
			code &= 0x7fu >> length;
		for (size_t k = 1; k < length; k++) {
			assert_int_equal(text[k] & 0xc0, 0x80);
			code = code << 6 | (text[k] & 0x3f);
		}
		/* the shortest form, and no surrogate */
		assert_int_equal(utf8_encode(code, again), length);
		assert_memory_equal(text, again, length);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_code_point),
	    cmocka_unit_test(nothing_but_code_points),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
