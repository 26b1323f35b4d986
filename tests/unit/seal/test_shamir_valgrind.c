/*
 * Run under valgrind's memcheck, as crypto's test_ct_valgrind: key, coefficients and shares are marked as undefined, so a branch or a table index that
 * depends on one is an error that memcheck counts.  The x coordinates are public.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>
#include <valgrind/memcheck.h>

#include "seal/shamir.h"

#define SECRET(p, n) (void)VALGRIND_MAKE_MEM_UNDEFINED((p), (n))
#define PUBLIC(p, n) (void)VALGRIND_MAKE_MEM_DEFINED((p), (n))
#define KEY_LEN      32
#define SHARES       5
#define THRESHOLD    3

static unsigned seen(void)
{
	return (unsigned)VALGRIND_COUNT_ERRORS;
}

/* Coefficients are asked for THRESHOLD bytes at a time; what else is asked for puts the x coordinates in order. */
static void fill(const struct random *r, uint8_t *p, size_t n)
{
	static uint8_t next;

	(void)r;
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)(next += 37);
	if (n == THRESHOLD)
		SECRET(p, n);
}

static const struct random random_marked = {.fill = fill};

static struct secret *new_key(void)
{
	struct secret *key;

	assert_int_equal(secret_new(KEY_LEN, &key), ST_OK);
	memset(secret_bytes(key), 0x5a, KEY_LEN);
	SECRET(secret_bytes(key), KEY_LEN);
	return key;
}

/* What the tests of the module itself see: the key's bytes, now public. */
static void check_key(struct secret *key)
{
	PUBLIC(secret_bytes(key), KEY_LEN);
	for (size_t i = 0; i < KEY_LEN; i++)
		assert_int_equal(secret_bytes(key)[i], 0x5a);
}

static void a_planted_leak_is_seen(void **state)
{
	struct secret *key = new_key();
	volatile unsigned sink = 0;
	unsigned before = seen();

	(void)state;
	assert_true(RUNNING_ON_VALGRIND);
	if (secret_bytes(key)[7] == 1)
		sink = 1;
	assert_int_equal(seen(), before + 1);
	assert_int_equal(sink, 0);
	secret_free(&key);
}

static void splitting_and_joining(void **state)
{
	struct secret *key = new_key(), *again, *shares[SHARES];
	unsigned before = seen();

	(void)state;
	assert_int_equal(shamir_split(key, SHARES, THRESHOLD, &random_marked, shares), ST_OK);
	assert_int_equal(secret_new(KEY_LEN, &again), ST_OK);
	assert_int_equal(shamir_join(shares + 1, THRESHOLD, again), ST_OK);
	assert_int_equal(seen(), before);
	check_key(again);
	/* The shares were secret all the way: the test would be blind otherwise. */
	for (unsigned i = 0; i < SHARES; i++) {
		assert_int_not_equal(
		    VALGRIND_CHECK_MEM_IS_DEFINED(secret_bytes(shares[i]), KEY_LEN), 0);
		assert_int_equal(
		    VALGRIND_CHECK_MEM_IS_DEFINED(secret_bytes(shares[i]) + KEY_LEN, 1), 0);
		secret_free(&shares[i]);
	}
	secret_free(&again);
	secret_free(&key);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_planted_leak_is_seen),
	    cmocka_unit_test(splitting_and_joining),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
