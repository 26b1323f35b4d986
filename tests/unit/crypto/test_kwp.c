/*
 * AES-KWP: all lengths there and back, everything that must be refused.  RFC 5649's examples are for 192-bit keys; published vectors for 256 bits are in
 * test_vectors_crypt.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <string.h>

#include "child.h"
#include "crypto/kwp.h"
#include "crypto/random.h"

static uint8_t key[KWP_KEY_LEN];
#define KEY span_of(key, sizeof key)

static void there_and_back(void **state)
{
	static uint8_t text[2500], wrapped[KWP_LEN(sizeof text) + 1];

	(void)state;
	random_fill(&random_system, key, sizeof key);
	random_fill(&random_system, text, sizeof text);
	for (size_t n = 1; n <= sizeof text; n += n < 200 ? 1 : 97) {
		struct secret *back = NULL;

		assert_true(KWP_LEN(n) % 8 == 0 && KWP_LEN(n) >= n + 8 && KWP_LEN(n) < n + 16);
		wrapped[KWP_LEN(n)] = 0xcc;
		assert_int_equal(kwp_wrap(KEY, span_of(text, n), wrapped), ST_OK);
		assert_int_equal(wrapped[KWP_LEN(n)], 0xcc);
		assert_int_equal(kwp_unwrap(KEY, span_of(wrapped, KWP_LEN(n)), &back), ST_OK);
		assert_int_equal(secret_len(back), n);
		assert_memory_equal(secret_bytes(back), text, n);
		secret_free(&back);
	}
}

static void check_refused(struct span wrapped)
{
	struct secret *back = NULL;

	assert_int_equal(kwp_unwrap(KEY, wrapped, &back), ST_CORRUPT);
	assert_null(back);
}

static void every_bit_counts(void **state)
{
	static const size_t lens[] = {1, 7, 8, 9, 32, 33};
	uint8_t text[40] = {1}, wrapped[KWP_LEN(40)];

	(void)state;
	for (size_t i = 0; i < sizeof lens / sizeof lens[0]; i++) {
		const size_t n = KWP_LEN(lens[i]);

		assert_int_equal(kwp_wrap(KEY, span_of(text, lens[i]), wrapped), ST_OK);
		for (size_t bit = 0; bit < n * 8; bit++) {
			wrapped[bit / 8] ^= (uint8_t)(1U << bit % 8);
			check_refused(span_of(wrapped, n));
			wrapped[bit / 8] ^= (uint8_t)(1U << bit % 8);
		}
		for (size_t cut = 0; cut < n; cut++)
			check_refused(span_of(wrapped, cut));
		for (size_t bit = 0; bit < sizeof key * 8; bit++) {
			key[bit / 8] ^= (uint8_t)(1U << bit % 8);
			check_refused(span_of(wrapped, n));
			key[bit / 8] ^= (uint8_t)(1U << bit % 8);
		}
	}
	check_refused(span_of(NULL, 0));
}

static void lengths_have_limits(void **state)
{
	static uint8_t text[KWP_TEXT_MAX + 1], wrapped[KWP_LEN(KWP_TEXT_MAX) + 8];
	struct secret *back = NULL;

	(void)state;
	assert_int_equal(kwp_wrap(KEY, span_of(text, 0), wrapped), ST_LIMIT);
	assert_int_equal(kwp_wrap(KEY, span_of(text, KWP_TEXT_MAX + 1), wrapped), ST_LIMIT);
	assert_int_equal(kwp_wrap(KEY, span_of(text, KWP_TEXT_MAX), wrapped), ST_OK);
	assert_int_equal(kwp_unwrap(KEY, span_of(wrapped, KWP_LEN(KWP_TEXT_MAX)), &back), ST_OK);
	assert_int_equal(secret_len(back), KWP_TEXT_MAX);
	secret_free(&back);
	assert_int_equal(kwp_unwrap(KEY, span_of(wrapped, sizeof wrapped), &back), ST_LIMIT);
	assert_null(back);
}

static int short_key(void)
{
	uint8_t wrapped[16];

	return (int)kwp_wrap(span_of(key, 16), span_of(key, 8), wrapped);
}

static void misuse_aborts(void **state)
{
	(void)state;
	assert_int_equal(child_signal(short_key), SIGABRT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(there_and_back),
	    cmocka_unit_test(every_bit_counts),
	    cmocka_unit_test(lengths_have_limits),
	    cmocka_unit_test(misuse_aborts),
	};
	struct err err = {0};

	if (secret_setup(SECRET_BUDGET_DEFAULT, &err) != ST_OK)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
