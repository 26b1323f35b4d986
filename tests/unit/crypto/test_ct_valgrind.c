/*
 * Run under valgrind's memcheck: secret bytes are marked as undefined, so every branch and every table index that depends on one is an
 * error that memcheck counts.  The first case plants such a branch and a table index, and so proves that they would be seen.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>
#include <valgrind/memcheck.h>

#include "crypto/ct.h"

#define SECRET(p, n) (void)VALGRIND_MAKE_MEM_UNDEFINED((p), (n))
#define PUBLIC(p, n) (void)VALGRIND_MAKE_MEM_DEFINED((p), (n))

static unsigned seen(void)
{
	return (unsigned)VALGRIND_COUNT_ERRORS;
}

static void a_planted_leak_is_seen(void **state)
{
	static const uint8_t table[256] = {1, 2, 3};
	volatile uint8_t secret = 0x12, sink = 0;
	uint8_t from_table;
	unsigned before;

	(void)state;
	assert_true(RUNNING_ON_VALGRIND);
	SECRET((void *)(uintptr_t)&secret, 1);
	before = seen();
	if (secret == 3)
		sink = 1;
	assert_int_equal(seen(), before + 1);
	from_table = ((const volatile uint8_t *)table)[secret];
	assert_int_equal(seen(), before + 2);
	PUBLIC(&from_table, 1);
	assert_int_equal(from_table, 0);
	assert_int_equal(sink, 0);
}

static void comparing_and_selecting(void **state)
{
	uint8_t a[32], b[32], results[4];
	unsigned before = seen();
	bool equal, differ;

	(void)state;
	memset(a, 0x41, sizeof a);
	memset(b, 0x41, sizeof b);
	SECRET(a, sizeof a);
	SECRET(b, sizeof b);
	equal = ct_equal(span_of(a, 32), span_of(b, 32));
	b[7] ^= 1;
	differ = ct_equal(span_of(a, 32), span_of(b, 32));
	results[0] = ct_select(ct_is_zero((uint8_t)(a[0] ^ b[0])), a[1], 0);
	results[1] = ct_is_zero(a[0]);
	ct_xor(a, b, sizeof a);
	assert_int_equal(seen(), before);
	PUBLIC(&equal, sizeof equal);
	PUBLIC(&differ, sizeof differ);
	PUBLIC(results, sizeof results);
	PUBLIC(a, sizeof a);
	assert_true(equal);
	assert_false(differ);
	assert_int_equal(results[0], 0x41);
	assert_int_equal(results[1], 0);
	assert_int_equal(a[7], 1);
}

static void arithmetic(void **state)
{
	uint8_t secret[2] = {0x57, 0x83}, results[2];
	unsigned before = seen();

	(void)state;
	SECRET(secret, sizeof secret);
	results[0] = gf256_mul(secret[0], secret[1]);
	results[1] = gf256_mul(secret[0], gf256_inv(secret[0]));
	assert_int_equal(seen(), before);
	PUBLIC(results, sizeof results);
	assert_int_equal(results[0], 0xc1);
	assert_int_equal(results[1], 1);
}

/* Encoding shows nothing.  Decoding shows one thing at its end: whether the text was well-formed. */
static void hex(void **state)
{
	uint8_t raw[16] = {0xde, 0xad, 0xbe, 0xef}, back[16];
	unsigned before = seen();
	enum status s;
	char text[32];
	size_t n = 0;

	(void)state;
	SECRET(raw, sizeof raw);
	ct_hex(span_of(raw, sizeof raw), text);
	assert_int_equal(seen(), before);
	s = ct_unhex(span_of(text, sizeof text), back, sizeof back, &n);
	assert_int_equal(seen(), before + 1);
	assert_int_equal(s, ST_OK);
	assert_int_equal(n, sizeof back);
	PUBLIC(raw, sizeof raw);
	PUBLIC(back, sizeof back);
	assert_memory_equal(raw, back, sizeof raw);
}

static void base64(void **state)
{
	uint8_t raw[31] = {0xde, 0xad, 0xbe, 0xef}, back[31];
	char text[BASE64_LEN(sizeof raw)];
	unsigned before = seen();
	enum status s;
	size_t n = 0;

	(void)state;
	SECRET(raw, sizeof raw);
	ct_base64(span_of(raw, sizeof raw), text);
	assert_int_equal(seen(), before);
	/* The last two characters say how long the key is: public. */
	PUBLIC(text + sizeof text - 2, 2);
	s = ct_unbase64(span_of(text, sizeof text), back, sizeof back, &n);
	assert_int_equal(seen(), before + 1);
	assert_int_equal(s, ST_OK);
	assert_int_equal(n, sizeof back);
	PUBLIC(raw, sizeof raw);
	PUBLIC(back, sizeof back);
	assert_memory_equal(raw, back, sizeof raw);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_planted_leak_is_seen),
	    cmocka_unit_test(comparing_and_selecting),
	    cmocka_unit_test(arithmetic),
	    cmocka_unit_test(hex),
	    cmocka_unit_test(base64),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
