/* The wheel of deadlines against a plain array. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "http/wheel.h"

#define NODES 300

static struct wheel wheel;
static struct wheel_node nodes[NODES];
static uint64_t expected[NODES]; /* deadline, or WHEEL_NEVER when in no wheel */
static uint64_t turned_to;
static size_t expirations;
static struct wheel_node *also_remove; /* the next expiry takes this one out */

static void on_expired(struct wheel_node *n)
{
	size_t i = (size_t)(n - nodes);
	assert_null(n->next);
	assert_true(expected[i] <= turned_to);
	expected[i] = WHEEL_NEVER;
	expirations++;
	if (also_remove != NULL) {
		wheel_del(also_remove);
		expected[also_remove - nodes] = WHEEL_NEVER;
		also_remove = NULL;
	}
}

static void turn(uint64_t to)
{
	turned_to = to;
	wheel_turn(&wheel, to, on_expired);
	for (size_t i = 0; i < NODES; i++)
		assert_true(expected[i] > to || expected[i] == WHEEL_NEVER);
}

static int begin(void **state)
{
	(void)state;
	memset(nodes, 0, sizeof(nodes));
	memset(expected, 0xff, sizeof(expected));
	wheel_init(&wheel, 1000);
	turned_to = 1000;
	expirations = 0;
	return 0;
}

static void set(size_t i, uint64_t deadline)
{
	wheel_set(&wheel, &nodes[i], deadline);
	expected[i] =
	    deadline > turned_to ? deadline : turned_to + 1; /* a past one at the next tick */
}

static void test_expires_once(void **state)
{
	(void)state;
	set(0, 1003);
	turn(1001);
	turn(1002);
	assert_int_equal(expirations, 0);
	turn(1003);
	assert_int_equal(expirations, 1);
	turn(5000);
	assert_int_equal(expirations, 1);
}

static void test_later_and_earlier(void **state)
{
	(void)state;
	set(0, 1003);
	set(0, 1010); /* later: nothing moves until the slot comes up */
	turn(1009);
	assert_int_equal(expirations, 0);
	set(0, 1500);
	set(0, 1012);
	turn(1012);
	assert_int_equal(expirations, 1);
}

static void test_past_and_never(void **state)
{
	(void)state;
	set(0, 5);
	set(1, WHEEL_NEVER);
	turn(1001);
	assert_int_equal(expirations, 1);
	turn(100000);
	assert_int_equal(expirations, 1);
	assert_non_null(nodes[1].next);
	wheel_del(&nodes[1]);
	wheel_del(&nodes[1]);
	assert_null(nodes[1].next);
}

static void test_removed_by_another(void **state)
{
	(void)state;
	set(0, 1005);
	set(1, 1005);
	set(2, 1005);
	also_remove = &nodes[2];
	turn(1005);
	assert_int_equal(expirations, 2);
}

static void test_farther_than_a_round(void **state)
{
	(void)state;
	set(0, 1000 + 10 * WHEEL_SLOTS + 7);
	for (uint64_t t = 1001; t < 1000 + 10 * WHEEL_SLOTS + 7; t++)
		turn(t);
	assert_int_equal(expirations, 0);
	turn(1000 + 10 * WHEEL_SLOTS + 7);
	assert_int_equal(expirations, 1);
}

static void test_random(void **state)
{
	uint64_t now = 1000;
	unsigned seed = 7;
	(void)state;
	for (int round = 0; round < 20000; round++) {
		size_t i = (size_t)rand_r(&seed) % NODES;
		int what = rand_r(&seed) % 10;
		if (what < 6) {
			set(i, now + (uint64_t)rand_r(&seed) % 1500);
		} else if (what < 7) {
			wheel_del(&nodes[i]);
			expected[i] = WHEEL_NEVER;
		} else {
			now += what == 9 && round % 50 == 0 ? 2000 : (uint64_t)rand_r(&seed) % 3;
			turn(now);
		}
	}
	assert_true(expirations > 1000);
}

static void test_take_all(void **state)
{
	struct wheel_node ring;
	size_t n = 0;
	(void)state;
	for (size_t i = 0; i < NODES; i++)
		set(i, 1000 + i * 7);
	wheel_take_all(&wheel, &ring);
	for (struct wheel_node *p; (p = wheel_pop(&ring)) != NULL; n++)
		expected[p - nodes] = WHEEL_NEVER;
	assert_int_equal(n, NODES);
	turn(100000);
	assert_int_equal(expirations, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(test_expires_once, begin),
	    cmocka_unit_test_setup(test_later_and_earlier, begin),
	    cmocka_unit_test_setup(test_past_and_never, begin),
	    cmocka_unit_test_setup(test_removed_by_another, begin),
	    cmocka_unit_test_setup(test_farther_than_a_round, begin),
	    cmocka_unit_test_setup(test_random, begin),
	    cmocka_unit_test_setup(test_take_all, begin),
	};
	return cmocka_run_group_tests_name("http/wheel", tests, NULL, NULL);
}
