/* One-time codes: published vectors, codes that were used, that are early or late, and what is not a code at all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>
#include <yubikey.h>

#include "base/clock.h"
#include "crypto/otp.h"

static int setup(void **state)
{
	struct err err = {0};

	(void)state;
	return secret_setup(SECRET_BUDGET_DEFAULT, &err) == ST_OK && otp_setup() == ST_OK ? 0 : -1;
}

/* ---- TOTP ---- */

/* RFC 6238, appendix B: the secret of SHA-1, times and the last six of the eight digits. */
#define RFC_SECRET "12345678901234567890"

static enum status check(int64_t seconds, const char *code, uint64_t after, uint64_t *ret)
{
	return totp_check(span_str(RFC_SECRET), span_str(code), seconds * NS_PER_S, after, ret);
}

static void codes_of_the_rfc(void **state)
{
	static const struct {
		int64_t at;
		const char *code;
	} vectors[] = {{59, "287082"},         {1111111109, "081804"}, {1111111111, "050471"},
	               {1234567890, "005924"}, {2000000000, "279037"}, {20000000000, "353130"}};

	(void)state;
	for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
		uint64_t step = 0;

		if (vectors[i].at > INT64_MAX / NS_PER_S)
			continue;
		assert_int_equal(check(vectors[i].at, vectors[i].code, 0, &step), ST_OK);
		assert_int_equal(step, vectors[i].at / 30);
	}
}

static void a_code_is_good_one_step_early_or_late_and_no_more(void **state)
{
	uint64_t step = 0;

	(void)state;
	assert_int_equal(check(1111111111 + 30, "050471", 0, &step), ST_OK);
	assert_int_equal(step, 1111111111 / 30);
	assert_int_equal(check(1111111111 - 30, "050471", 0, &step), ST_OK);
	assert_int_equal(step, 1111111111 / 30);
	assert_int_equal(check(1111111111 + 60, "050471", 0, &step), ST_DENIED);
	assert_int_equal(check(1111111111 - 61, "050471", 0, &step), ST_DENIED);
}

static void a_step_is_taken_once(void **state)
{
	uint64_t step = 77;

	(void)state;
	assert_int_equal(check(59, "287082", 1, &step), ST_DENIED);
	assert_int_equal(check(59, "287082", 2, &step), ST_DENIED);
	assert_int_equal(step, 77);
	assert_int_equal(check(59, "287082", 0, &step), ST_OK);
}

static void what_is_no_code(void **state)
{
	static const char *const bad[] = {"",       "2",        "28708", "2870822",
	                                  "287083", "94287082", "28708 "};
	uint64_t step = 77;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(check(59, bad[i], 0, &step), ST_DENIED);
	assert_int_equal(totp_check(span_of(NULL, 0), span_str("287082"), 59 * NS_PER_S, 0, &step),
	                 ST_DENIED);
	assert_int_equal(check(0, "755224", 0, &step), ST_DENIED); /* step 0 cannot be remembered */
	assert_int_equal(check(-100, "287082", 0, &step), ST_DENIED);
	assert_int_equal(step, 77);
}

/* ---- base32 ---- */

static void base32_of_the_rfc(void **state)
{
	/* RFC 4648, section 10, less the padding */
	static const char *const pairs[][2] = {{"f", "MY"},           {"fo", "MZXQ"},
	                                       {"foo", "MZXW6"},      {"foob", "MZXW6YQ"},
	                                       {"fooba", "MZXW6YTB"}, {"foobar", "MZXW6YTBOI"}};

	(void)state;
	for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
		struct span plain = span_str(pairs[i][0]);
		uint8_t back[16];
		char text[32] = "";
		size_t n = 0;

		base32_encode(plain, text);
		assert_string_equal(text, pairs[i][1]);
		assert_int_equal(strlen(text), BASE32_LEN(plain.n));
		assert_int_equal(base32_decode(span_str(text), back, plain.n, &n), ST_OK);
		assert_true(span_eq(span_of(back, n), plain));
	}
}

static void base32_as_people_write_it(void **state)
{
	uint8_t back[16];
	size_t n = 0;

	(void)state;
	assert_int_equal(base32_decode(span_str("mzxw 6ytb-oi======"), back, sizeof back, &n),
	                 ST_OK);
	assert_true(span_eq_str(span_of(back, n), "foobar"));
}

static void what_is_no_base32(void **state)
{
	static const char *const bad[] = {"",   "=",  "M",    "MZX", "MZXW6Y", "M1",  "M8",
	                                  "M0", "M@", "MZ[A", "MZ",  "M\n",    "MZ=Q"};
	uint8_t back[16];
	size_t n = 99;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(base32_decode(span_str(bad[i]), back, sizeof back, &n),
		                 ST_INVALID);
	assert_int_equal(base32_decode(span_str("MZXW6YTBOI"), back, 5, &n), ST_LIMIT);
	assert_int_equal(n, 99);
}

/* ---- Yubico OTP ---- */

static const uint8_t key[YUBICO_KEY_LEN] = "0123456789abcde";
static const uint8_t private_id[YUBICO_PRIVATE_LEN] = {1, 2, 3, 4, 5, 6};

/* What a device with this key would type. */
static void type_code(uint16_t counter, uint8_t use, char out[YUBICO_OTP_LEN + 1])
{
	yubikey_token_st token = {.ctr = counter, .use = use, .tstpl = 7, .rnd = 0x1234};

	memcpy(token.uid, private_id, sizeof token.uid);
	token.crc = (uint16_t)~yubikey_crc16((const uint8_t *)&token, sizeof token - 2);
	memcpy(out, "cccccccbcdef", YUBICO_PUBLIC_LEN);
	yubikey_generate(&token, key, out + YUBICO_PUBLIC_LEN);
	out[YUBICO_OTP_LEN] = 0;
}

static void a_code_of_the_device(void **state)
{
	char otp[YUBICO_OTP_LEN + 1];
	uint32_t counter = 0;

	(void)state;
	type_code(0x1234, 5, otp);
	assert_int_equal(yubico_open(key, private_id, span_str(otp), &counter), ST_OK);
	assert_int_equal(counter, 0x123405);
	type_code(0x9234, 5, otp); /* the high bit tells of the caps-lock key */
	assert_int_equal(yubico_open(key, private_id, span_str(otp), &counter), ST_OK);
	assert_int_equal(counter, 0x123405);
}

static void what_is_no_code_of_the_device(void **state)
{
	static const uint8_t other_key[YUBICO_KEY_LEN] = "another key of 1";
	static const uint8_t other_id[YUBICO_PRIVATE_LEN] = {1, 2, 3, 4, 5, 7};
	char otp[YUBICO_OTP_LEN + 2], changed[YUBICO_OTP_LEN + 1];
	uint32_t counter = 77;

	(void)state;
	type_code(9, 1, otp);
	assert_int_equal(yubico_open(other_key, private_id, span_str(otp), &counter), ST_DENIED);
	assert_int_equal(yubico_open(key, other_id, span_str(otp), &counter), ST_DENIED);
	for (size_t i = YUBICO_PUBLIC_LEN; i < YUBICO_OTP_LEN; i++) {
		memcpy(changed, otp, sizeof changed);
		changed[i] = changed[i] == 'c' ? 'd' : 'c';
		assert_int_equal(yubico_open(key, private_id, span_str(changed), &counter),
		                 ST_DENIED);
		changed[i] = 'a'; /* no digit of ModHex */
		assert_int_equal(yubico_open(key, private_id, span_str(changed), &counter),
		                 ST_DENIED);
	}
	assert_int_equal(yubico_open(key, private_id, span_of(otp, 43), &counter), ST_DENIED);
	otp[YUBICO_OTP_LEN] = 'c';
	assert_int_equal(yubico_open(key, private_id, span_of(otp, 45), &counter), ST_DENIED);
	assert_int_equal(yubico_open(key, private_id, span_of(NULL, 0), &counter), ST_DENIED);
	assert_int_equal(counter, 77);
}

static void names_of_devices(void **state)
{
	(void)state;
	assert_true(yubico_public_valid(span_str("cbdefghijkln")));
	assert_false(yubico_public_valid(span_str("cbdefghijkl")));
	assert_false(yubico_public_valid(span_str("cbdefghijklnr")));
	assert_false(yubico_public_valid(span_str("cbdefghijkla")));
	assert_false(yubico_public_valid(span_str("CBDEFGHIJKLN")));
	assert_false(yubico_public_valid(span_of(NULL, 0)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(codes_of_the_rfc),
	    cmocka_unit_test(a_code_is_good_one_step_early_or_late_and_no_more),
	    cmocka_unit_test(a_step_is_taken_once),
	    cmocka_unit_test(what_is_no_code),
	    cmocka_unit_test(base32_of_the_rfc),
	    cmocka_unit_test(base32_as_people_write_it),
	    cmocka_unit_test(what_is_no_base32),
	    cmocka_unit_test(a_code_of_the_device),
	    cmocka_unit_test(what_is_no_code_of_the_device),
	    cmocka_unit_test(names_of_devices),
	};

	return cmocka_run_group_tests_name("otp", tests, setup, NULL);
}
