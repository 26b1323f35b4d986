/* Deferred work: when it runs, that failures are tried again with growing delay, and that what a failed run changed is gone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "core/sched.h"
#include "lib/solo.h"

/* A piece of work that notes when it ran and answers as it was told. */
struct note {
	int64_t ran_at[64];
	size_t times;
	int64_t next;
	enum status answer;
	const char *path;    /* written in each run; NULL: nothing */
	struct sched *sched; /* plans `other` for at once; NULL: does not */
	unsigned other;
};

static enum status work(void *ctx, struct txn *t, int64_t now_ns, int64_t *ret_next_ns,
                        struct err *err)
{
	struct note *n = ctx;

	assert_true(n->times < 64);
	n->ran_at[n->times++] = now_ns;
	if (n->path != NULL)
		assert_int_equal(txn_put(t, span_str(n->path), span_str("x"), err), ST_OK);
	if (n->sched != NULL)
		sched_at(n->sched, n->other, SCHED_NOW);
	if (n->answer != ST_OK)
		return err_set(err, n->answer, "as told");
	*ret_next_ns = n->next;
	return ST_OK;
}

struct run {
	struct sched *sched;
	int64_t now_ns;
};

static enum status run_fn(void *arg, struct txn *t, struct err *err)
{
	struct run *r = arg;

	return sched_run(r->sched, t, r->now_ns, err);
}

static struct solo solo;
static struct sched *sched;

static void run_at(int64_t now_ns)
{
	struct run r = {sched, now_ns};

	assert_int_equal(solo_write(&solo, run_fn, &r, NULL), ST_OK);
}

static int before_each(void **state)
{
	(void)state;
	solo_init(&solo, 1);
	solo_start(&solo);
	solo_open(&solo);
	return sched_new(&sched) == ST_OK ? 0 : -1;
}

static int after_each(void **state)
{
	(void)state;
	sched_free(&sched);
	assert_null(sched);
	solo_free(&solo);
	return 0;
}

static void nothing_planned_never_runs(void **state)
{
	struct note n = {.next = SCHED_NEVER};

	(void)state;
	assert_int_equal(sched_due_at(sched), SCHED_NEVER);
	(void)sched_add(sched, "work", work, &n);
	assert_int_equal(sched_due_at(sched), SCHED_NEVER);
	run_at(INT64_MAX - 1);
	assert_int_equal(n.times, 0);
}

static void the_earliest_plan_counts(void **state)
{
	struct note n = {.next = SCHED_NEVER};
	unsigned number = sched_add(sched, "work", work, &n);

	(void)state;
	sched_at(sched, number, 500);
	sched_at(sched, number, 900);
	assert_int_equal(sched_due_at(sched), 500);
	sched_at(sched, number, 300);
	assert_int_equal(sched_due_at(sched), 300);
	run_at(299);
	assert_int_equal(n.times, 0);
	run_at(300);
	assert_int_equal(n.times, 1);
	assert_int_equal(n.ran_at[0], 300);
	assert_int_equal(sched_due_at(sched), SCHED_NEVER);
	run_at(1000);
	assert_int_equal(n.times, 1);
}

static void work_says_when_it_wants_to_run_again(void **state)
{
	struct note n = {.next = 700};
	unsigned number = sched_add(sched, "work", work, &n);

	(void)state;
	sched_at(sched, number, SCHED_NOW);
	run_at(100);
	assert_int_equal(sched_due_at(sched), 700);
	n.next = SCHED_NOW;
	run_at(700);
	assert_int_equal(sched_due_at(sched), SCHED_NOW);
	run_at(700);
	assert_int_equal(n.times, 3);
}

static void each_kind_by_itself(void **state)
{
	struct note a = {.next = SCHED_NEVER}, b = {.next = SCHED_NEVER};
	unsigned first = sched_add(sched, "a", work, &a), second = sched_add(sched, "b", work, &b);

	(void)state;
	assert_int_not_equal(first, second);
	sched_at(sched, first, 10);
	sched_at(sched, second, 20);
	run_at(15);
	assert_int_equal(a.times, 1);
	assert_int_equal(b.times, 0);
	assert_int_equal(sched_due_at(sched), 20);
	a.answer = ST_IO;
	sched_at(sched, first, 30);
	run_at(30); /* the failure of one does not hold the other up */
	assert_int_equal(b.times, 1);
}

static void one_can_plan_another(void **state)
{
	struct note later = {.next = SCHED_NEVER}, n = {.next = SCHED_NEVER};
	unsigned other = sched_add(sched, "other", work, &later),
	         number = sched_add(sched, "work", work, &n);

	(void)state;
	n.sched = sched;
	n.other = other;
	sched_at(sched, number, 10);
	run_at(10);
	assert_int_equal(sched_due_at(sched), SCHED_NOW);
	run_at(10);
	assert_int_equal(later.times, 1);
	assert_int_equal(sched_due_at(sched), SCHED_NEVER);
}

static void failures_wait_longer_and_longer(void **state)
{
	static const int64_t waits_s[] = {1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300};
	struct note n = {.next = SCHED_NEVER, .answer = ST_IO};
	unsigned number = sched_add(sched, "work", work, &n);
	int64_t now = 1000 * NS_PER_S;

	(void)state;
	sched_at(sched, number, now);
	for (size_t i = 0; i < sizeof waits_s / sizeof *waits_s; i++) {
		run_at(now);
		assert_int_equal(n.times, i + 1);
		assert_int_equal(sched_due_at(sched), now + waits_s[i] * NS_PER_S);
		sched_at(sched, number, SCHED_NOW); /* nobody shortens the wait */
		assert_int_equal(sched_due_at(sched), now + waits_s[i] * NS_PER_S);
		run_at(now + waits_s[i] * NS_PER_S - 1);
		assert_int_equal(n.times, i + 1);
		now += waits_s[i] * NS_PER_S;
	}
	n.answer = ST_OK;
	run_at(now);
	assert_int_equal(sched_due_at(sched), SCHED_NEVER);
	n.answer = ST_IO;
	sched_at(sched, number, now);
	run_at(now);
	assert_int_equal(sched_due_at(sched), now + NS_PER_S); /* begins anew */
}

static enum status exists_fn(void *arg, struct txn *t, struct err *err)
{
	return txn_exists(t, span_str(arg), err);
}

static void what_a_failed_run_changed_is_gone(void **state)
{
	struct note good = {.next = SCHED_NEVER, .path = "good"},
	            bad = {.next = SCHED_NEVER, .path = "bad", .answer = ST_IO};
	char good_path[] = "good", bad_path[] = "bad";

	(void)state;
	sched_at(sched, sched_add(sched, "good", work, &good), SCHED_NOW);
	sched_at(sched, sched_add(sched, "bad", work, &bad), SCHED_NOW);
	run_at(1);
	assert_int_equal(solo_write(&solo, exists_fn, good_path, NULL), ST_OK);
	assert_int_equal(solo_write(&solo, exists_fn, bad_path, NULL), ST_NOT_FOUND);
}

static void sealing_forgets_all_plans(void **state)
{
	struct note a = {.next = SCHED_NEVER, .answer = ST_IO}, b = {.next = SCHED_NEVER};
	unsigned first = sched_add(sched, "a", work, &a), second = sched_add(sched, "b", work, &b);

	(void)state;
	sched_at(sched, first, 1);
	run_at(1);
	sched_at(sched, second, 5);
	sched_clear(sched);
	assert_int_equal(sched_due_at(sched), SCHED_NEVER);
	run_at(INT64_MAX - 1);
	assert_int_equal(a.times, 1);
	assert_int_equal(b.times, 0);
	sched_at(sched, first, 7); /* no wait is left over */
	assert_int_equal(sched_due_at(sched), 7);
}

static void note_lost(void *ctx)
{
	struct note *n = ctx;

	n->next = 42;
}

static void what_was_not_committed_is_due_again(void **state)
{
	struct note a = {.next = 5000 * NS_PER_S}, b = {.next = SCHED_NEVER},
	            c = {.next = SCHED_NEVER, .answer = ST_IO};
	unsigned first = sched_add(sched, "a", work, &a), second = sched_add(sched, "b", work, &b),
	         third = sched_add(sched, "c", work, &c);

	(void)state;
	sched_on_lost(sched, first, note_lost);
	sched_lost(sched); /* nothing ran */
	assert_int_equal(sched_due_at(sched), SCHED_NEVER);
	sched_at(sched, first, 10);
	sched_at(sched, third, 10);
	run_at(10);
	sched_lost(sched);
	assert_int_equal(a.next, 42);
	assert_int_equal(sched_due_at(sched), SCHED_NOW);
	run_at(11);
	assert_int_equal(a.times, 2);
	assert_int_equal(b.times, 0);
	assert_int_equal(c.times, 1); /* it failed by itself, and waits for that */
	assert_int_equal(sched_due_at(sched), 42);
	a.next = SCHED_NEVER;
	run_at(42);
	sched_at(sched, second, 50);
	run_at(50);
	sched_lost(sched); /* only the last run was lost */
	run_at(51);
	assert_int_equal(a.times, 3);
	assert_int_equal(b.times, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(nothing_planned_never_runs, before_each, after_each),
	    cmocka_unit_test_setup_teardown(the_earliest_plan_counts, before_each, after_each),
	    cmocka_unit_test_setup_teardown(work_says_when_it_wants_to_run_again, before_each,
	                                    after_each),
	    cmocka_unit_test_setup_teardown(each_kind_by_itself, before_each, after_each),
	    cmocka_unit_test_setup_teardown(one_can_plan_another, before_each, after_each),
	    cmocka_unit_test_setup_teardown(failures_wait_longer_and_longer, before_each,
	                                    after_each),
	    cmocka_unit_test_setup_teardown(what_a_failed_run_changed_is_gone, before_each,
	                                    after_each),
	    cmocka_unit_test_setup_teardown(sealing_forgets_all_plans, before_each, after_each),
	    cmocka_unit_test_setup_teardown(what_was_not_committed_is_due_again, before_each,
	                                    after_each),
	};

	return cmocka_run_group_tests(tests, solo_process, NULL);
}
