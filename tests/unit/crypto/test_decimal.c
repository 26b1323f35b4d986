/* Large numbers as decimal text, against OpenSSL's conversion, and what is no number. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <openssl/bn.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "child.h"
#include "crypto/decimal.h"
#include "crypto/random.h"
#include "crypto/scratch.h"
#include "crypto/secret.h"

#define TEXT_MAX DECIMAL_LEN(DECIMAL_BYTES_MAX)

static void check_text(struct span number, const char *want)
{
	static char out[TEXT_MAX + 1];
	size_t n = 0;

	out[DECIMAL_LEN(number.n)] = '#';
	assert_int_equal(decimal_text(number, out, &n), ST_OK);
	assert_int_equal(out[DECIMAL_LEN(number.n)], '#');
	assert_int_equal(n, strlen(want));
	assert_memory_equal(out, want, n);
}

static void small_numbers(void **state)
{
	static const struct {
		const char *text;
		uint8_t bytes[5];
	} cases[] = {{"0", {0}},
	             {"1", {0, 0, 0, 0, 1}},
	             {"9", {0, 0, 0, 0, 9}},
	             {"10", {0, 0, 0, 0, 10}},
	             {"255", {0, 0, 0, 0, 255}},
	             {"256", {0, 0, 0, 1, 0}},
	             {"999999999", {0, 0x3b, 0x9a, 0xc9, 0xff}},
	             {"1000000000", {0, 0x3b, 0x9a, 0xca, 0}},
	             {"4294967295", {0, 255, 255, 255, 255}},
	             {"4294967296", {1, 0, 0, 0, 0}},
	             {"1099511627775", {255, 255, 255, 255, 255}}};
	uint8_t out[6];

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		check_text(span_of(cases[i].bytes, 5), cases[i].text);
		memset(out, 0xcc, sizeof out);
		assert_int_equal(decimal_parse(span_str(cases[i].text), out, 5), ST_OK);
		assert_memory_equal(out, cases[i].bytes, 5);
		assert_int_equal(out[5], 0xcc);
	}
	check_text(span_of(NULL, 0), "0");
	assert_int_equal(decimal_parse(span_str("0"), out, 0), ST_OK);
}

/* All lengths, of bytes and of leading zeros. */
static void numbers_agree_with_openssl(void **state)
{
	static uint8_t bytes[DECIMAL_BYTES_MAX], back[DECIMAL_BYTES_MAX];

	(void)state;
	for (unsigned i = 0; i < 700; i++) {
		size_t n = i < 560 ? i : DECIMAL_BYTES_MAX - (i - 560), zeros = i % 7;
		BIGNUM *b;
		char *text;

		random_fill(&random_system, bytes, n);
		memset(bytes, i % 5 == 0 ? 0xff : 0, zeros < n ? zeros : n);
		b = BN_bin2bn(bytes, (int)n, NULL);
		assert_non_null(b);
		text = BN_bn2dec(b);
		assert_non_null(text);
		check_text(span_of(bytes, n), text);
		assert_int_equal(decimal_parse(span_str(text), back, n), ST_OK);
		assert_memory_equal(back, bytes, n);
		OPENSSL_free(text);
		BN_free(b);
	}
}

static void what_does_not_fit_is_refused(void **state)
{
	static const struct {
		const char *text;
		size_t n;
	} cases[] = {{"1", 0},
	             {"256", 1},
	             {"65536", 2},
	             {"99999", 2},
	             {"4294967296", 4},
	             {"1000000000000000000000000000000000000000000000000000000000", 8},
	             {"18446744073709551616", 8}};
	uint8_t out[9];

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		memset(out, 0xcc, sizeof out);
		assert_int_equal(decimal_parse(span_str(cases[i].text), out, cases[i].n), ST_LIMIT);
		for (size_t j = 0; j < cases[i].n; j++)
			assert_int_equal(out[j], 0);
		assert_int_equal(out[cases[i].n], 0xcc);
	}
	assert_int_equal(decimal_parse(span_str("18446744073709551615"), out, 8), ST_OK);
}

static void what_is_no_number_is_refused(void **state)
{
	static const char *const cases[] = {"",   "-1", "+1",  "00",  "01",  " 1",   "1 ",
	                                    "1.", "1e", "0x1", "1/1", "1:1", "123a", "\xb1"};
	uint8_t out[4];

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		memset(out, 0xcc, sizeof out);
		assert_int_equal(decimal_parse(span_str(cases[i]), out, sizeof out), ST_INVALID);
		for (size_t j = 0; j < sizeof out; j++)
			assert_int_equal(out[j], 0);
	}
	assert_int_equal(decimal_parse(span_of("1\0", 2), out, sizeof out), ST_INVALID);
	for (unsigned c = 0; c < 256; c++) {
		const uint8_t text[2] = {'1', (uint8_t)c};

		assert_int_equal(decimal_parse(span_of(text, 2), out, sizeof out),
		                 c >= '0' && c <= '9' ? ST_OK : ST_INVALID);
	}
}

static void nothing_stays_in_scratch_memory(void **state)
{
	static char out[TEXT_MAX];
	static uint8_t bytes[DECIMAL_BYTES_MAX];
	const uint8_t *scratch = scratch_get();
	size_t n;

	(void)state;
	assert_non_null(scratch);
	memset(bytes, 0x99, sizeof bytes);
	for (size_t len = 1; len <= sizeof bytes; len += 11) {
		assert_int_equal(decimal_text(span_of(bytes, len), out, &n), ST_OK);
		for (size_t i = 0; i < SCRATCH_BYTES; i++)
			assert_int_equal(scratch[i], 0);
	}
}

static int too_large(void)
{
	static uint8_t bytes[DECIMAL_BYTES_MAX + 1];

	return (int)decimal_parse(span_str("1"), bytes, sizeof bytes);
}

static void misuse_aborts(void **state)
{
	(void)state;
	assert_int_equal(child_signal(too_large), SIGABRT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(small_numbers),
	    cmocka_unit_test(numbers_agree_with_openssl),
	    cmocka_unit_test(what_does_not_fit_is_refused),
	    cmocka_unit_test(what_is_no_number_is_refused),
	    cmocka_unit_test(nothing_stays_in_scratch_memory),
	    cmocka_unit_test(misuse_aborts),
	};
	struct err err = {0};

	if (secret_setup(SECRET_BUDGET_DEFAULT, &err) != ST_OK)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
