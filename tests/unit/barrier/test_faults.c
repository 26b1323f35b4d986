/*
 * Every storage call of a group fails once, for each kind of call and each way a commit can end: nothing acknowledged is lost, nothing
 * failed is visible, no count is too low.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "rig.h"

#define GROUP 16

/* What the group of each round does: replaces, adds, deletes, and in one kind rotates. */
static enum status replace(void *arg, struct txn *t, struct err *err)
{
	return txn_put(t, span_str("kept"), span_str(arg), err);
}

static enum status add(void *arg, struct txn *t, struct err *err)
{
	enum status st = txn_put(t, span_str("added/1"), span_str(arg), err);

	return st == ST_OK ? txn_put(t, span_str("added/2"), span_str(arg), err) : st;
}

static enum status take_away(void *arg, struct txn *t, struct err *err)
{
	(void)arg;
	return txn_delete(t, span_str("doomed"), err);
}

static enum status rotate(void *arg, struct txn *t, struct err *err)
{
	return *(int *)arg ? rotate_now(t, CAUSE_MANUAL, err) : ST_OK;
}

#define JOBS 4

static void run_group(struct rig *r, int rotating, enum status ret[static JOBS])
{
	char now[] = "new";
	struct rig_job *j[JOBS];

	rig_hold(r);
	j[0] = rig_submit(r, replace, now);
	j[1] = rig_submit(r, add, now);
	j[2] = rig_submit(r, rotate, &rotating);
	j[3] = rig_submit(r, take_away, NULL);
	rig_release(r);
	for (int i = 0; i < JOBS; i++)
		ret[i] = rig_wait(&j[i], NULL);
}

static void begin_state(struct rig *r)
{
	assert_int_equal(rig_put(r, "kept", "old"), ST_OK);
	assert_int_equal(rig_put(r, "doomed", "old"), ST_OK);
	assert_int_equal(rig_delete(r, "added/1"), ST_OK);
	assert_int_equal(rig_delete(r, "added/2"), ST_OK);
}

static enum status look(void *arg, struct txn *t, struct err *err)
{
	const enum status *was = arg;
	struct span v;

	assert_int_equal(txn_get(t, span_str("kept"), &v, err), ST_OK);
	assert_true(span_eq_str(v, was[0] == ST_OK ? "new" : "old"));
	assert_int_equal(txn_exists(t, span_str("added/1"), err),
	                 was[1] == ST_OK ? ST_OK : ST_NOT_FOUND);
	assert_int_equal(txn_exists(t, span_str("added/2"), err),
	                 was[1] == ST_OK ? ST_OK : ST_NOT_FOUND);
	assert_int_equal(txn_exists(t, span_str("doomed"), err),
	                 was[3] == ST_OK ? ST_NOT_FOUND : ST_OK);
	return ST_OK;
}

/* After a group: what was answered is what is there, for readers, for the writer, and after a restart. */
static void answers_are_true(struct rig *r, enum status answer[static JOBS], uint32_t active)
{
	struct err err = {0};

	assert_int_equal(rig_active(r), active + (answer[2] == ST_OK ? 1 : 0));
	assert_int_equal(rig_read(r, look, answer, &err), ST_OK);
	assert_int_equal(rig_do(r, look, answer), ST_OK);
	/* The next commit counts what a failed one encrypted. */
	assert_int_equal(rig_put(r, "later", "v"), ST_OK);
	rig_recount(r, 0);
}

static void one_fault(struct rig *r, const struct faultstore_plan *plan, int rotating,
                      bool *ret_hit)
{
	enum status answer[JOBS];
	struct err err = {0};
	uint32_t active;

	begin_state(r);
	active = rig_active(r);
	faultstore_order(r->store, plan);
	run_group(r, rotating, answer);
	*ret_hit = faultstore_failures(r->store) > 0;
	faultstore_mend(r->store);
	if (!rotating && answer[2] == ST_OK)
		active--; /* it did nothing: answers_are_true expects one more */
	answers_are_true(r, answer, active);
	if (*ret_hit && plan->nth % 3 == 0) {
		rig_stop(r);
		rig_start(r);
		assert_int_equal(rig_open(r, &err), ST_OK);
		answers_are_true(r, answer, active);
	}
}

static void each_call_fails_once(void **state)
{
	static const enum faultstore_call calls[] = {FAULTSTORE_WRITE_BEGIN, FAULTSTORE_GET,
	                                             FAULTSTORE_SEEK,        FAULTSTORE_PUT,
	                                             FAULTSTORE_DEL,         FAULTSTORE_COMMIT};
	struct rig *r = rig_new(GROUP, NULL);
	unsigned faults = 0;

	(void)state;
	for (size_t c = 0; c < sizeof calls / sizeof calls[0]; c++) {
		for (int rotating = 0; rotating < 2; rotating++) {
			struct faultstore_plan plan = {.call = calls[c], .status = ST_IO};
			bool hit = true;

			for (plan.nth = 1; hit; plan.nth++) {
				one_fault(r, &plan, rotating, &hit);
				faults += hit;
			}
		}
	}
	assert_true(faults > 20);
	rig_free(&r);
}

static void each_commit_ends_each_way(void **state)
{
	static const enum faultstore_commit ways[] = {
	    FAULTSTORE_NOT_DONE, FAULTSTORE_UNKNOWN_BUT_DONE, FAULTSTORE_UNKNOWN_AND_NOT_DONE};
	struct rig *r = rig_new(GROUP, NULL);

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		for (int rotating = 0; rotating < 2; rotating++) {
			struct faultstore_plan plan = {.call = FAULTSTORE_COMMIT,
			                               .nth = 1,
			                               .status = ST_IO,
			                               .commit = ways[i]};
			enum status answer[JOBS];
			uint32_t active;

			begin_state(r);
			active = rig_active(r);
			faultstore_order(r->store, &plan);
			run_group(r, rotating, answer);
			assert_int_equal(faultstore_failures(r->store), 1);
			faultstore_mend(r->store);
			for (int j = 0; j < JOBS; j++)
				assert_int_equal(answer[j], ways[i] == FAULTSTORE_UNKNOWN_BUT_DONE
				                                ? ST_OK
				                                : ST_IO);
			answers_are_true(r, answer,
			                 active - (!rotating && answer[2] == ST_OK ? 1 : 0));
		}
	}
	rig_free(&r);
}

static void a_full_store_says_so(void **state)
{
	const struct faultstore_plan plan = {.call = FAULTSTORE_PUT, .nth = 1, .status = ST_FULL};
	struct rig *r = rig_new(GROUP, NULL);

	(void)state;
	faultstore_order(r->store, &plan);
	assert_int_equal(rig_put(r, "a", "v"), ST_FULL);
	faultstore_mend(r->store);
	assert_int_equal(rig_put(r, "a", "v"), ST_OK);
	rig_recount(r, 0);
	rig_free(&r);
}

/* Many failed groups, then a crash: what they encrypted may be on the disk, so the count may not be lower. */
static void failed_groups_then_a_crash(void **state)
{
	const struct faultstore_plan plan = {
	    .call = FAULTSTORE_COMMIT, .nth = 1, .repeat = FAULTSTORE_FOR_EVER, .status = ST_IO};
	struct rig *r = rig_new(GROUP, NULL);
	struct usage u;
	struct err err = {0};

	(void)state;
	assert_int_equal(rig_put(r, "a", "v"), ST_OK);
	faultstore_order(r->store, &plan);
	for (int i = 0; i < 100; i++)
		assert_int_equal(rig_put(r, "a", "w"), ST_IO);
	rig_crash(r);
	rig_start(r);
	assert_int_equal(rig_open(r, &err), ST_OK);
	u = rig_usage(r, 1);
	assert_true(u.encryptions >= atomic_load(&r->encrypted[1]));
	assert_true(u.encryptions <= 1 + GROUP);
	rig_free(&r);
}

/* The same with every second commit failing, and a crash at the end. */
static void every_commit_number_then_a_crash(void **state)
{
	(void)state;
	for (size_t nth = 1; nth < 12; nth++) {
		const struct faultstore_plan plan = {.call = FAULTSTORE_COMMIT,
		                                     .nth = nth,
		                                     .repeat = FAULTSTORE_FOR_EVER,
		                                     .status = ST_IO};
		struct rig *r = rig_new(GROUP, NULL);
		struct err err = {0};
		uint64_t acknowledged = 0;

		faultstore_order(r->store, &plan);
		for (unsigned i = 0; i < 12; i++) {
			char path[16];
			enum status st;

			snprintf(path, sizeof path, "p%u", i);
			st = i % 4 == 3 ? rig_rotate(r) : rig_put(r, path, "v");
			acknowledged += st == ST_OK && i % 4 != 3;
		}
		rig_crash(r);
		rig_start(r);
		assert_int_equal(rig_open(r, &err), ST_OK);
		uint64_t records = 0;
		for (uint32_t t = 1; t <= rig_active(r); t++) {
			assert_true(rig_usage(r, t).encryptions >=
			            (t < rig_active(r) ? atomic_load(&r->encrypted[t]) : 0));
			assert_int_equal(rig_usage(r, t).records, rig_records(r, t));
			records += rig_records(r, t);
		}
		assert_int_equal(records, acknowledged);
		rig_free(&r);
	}
}

/* ---- opening and closing ---- */

static void each_call_of_open_fails_once(void **state)
{
	static const enum faultstore_call calls[] = {FAULTSTORE_WRITE_BEGIN, FAULTSTORE_GET,
	                                             FAULTSTORE_PUT, FAULTSTORE_COMMIT};
	struct rig *r = rig_closed(GROUP, NULL);
	struct err err = {0};
	uint64_t count = 0;
	char buf[8];

	(void)state;
	for (size_t c = 0; c < sizeof calls / sizeof calls[0]; c++) {
		for (size_t nth = 1;; nth++) {
			struct faultstore_plan plan = {
			    .call = calls[c], .nth = nth, .status = ST_IO};
			size_t failures;
			enum status st;

			faultstore_order(r->store, &plan);
			st = rig_open(r, &err);
			failures = faultstore_failures(r->store);
			faultstore_mend(r->store);
			assert_int_equal(st, failures > 0 ? ST_IO : ST_OK);
			if (st != ST_OK) {
				assert_int_equal(rig_put(r, "a", "v"), ST_SEALED);
				assert_int_equal(rig_open(r, &err), ST_OK);
			}
			assert_int_equal(rig_put(r, "a", "v"), ST_OK);
			count++;
			/* A failed open is no unclean stop. */
			assert_int_equal(rig_usage(r, 1).encryptions, count);
			assert_int_equal(rig_get(r, "a", buf, sizeof buf), ST_OK);
			rig_close(r);
			if (failures == 0)
				break;
		}
	}
	assert_true(count > 10);
	rig_free(&r);
}

static void each_commit_of_open_unknown(void **state)
{
	static const enum faultstore_commit ways[] = {FAULTSTORE_UNKNOWN_BUT_DONE,
	                                              FAULTSTORE_UNKNOWN_AND_NOT_DONE};
	struct rig *r = rig_new(GROUP, NULL);
	struct err err = {0};

	(void)state;
	assert_int_equal(rig_put(r, "a", "v"), ST_OK);
	for (int i = 0; i < 2; i++) {
		for (size_t nth = 1; nth <= 2; nth++) {
			struct faultstore_plan plan = {.call = FAULTSTORE_COMMIT,
			                               .nth = nth,
			                               .status = ST_IO,
			                               .commit = ways[i]};
			enum status st;

			rig_close(r);
			faultstore_order(r->store, &plan);
			st = rig_open(r, &err);
			assert_int_equal(faultstore_failures(r->store), 1);
			faultstore_mend(r->store);
			assert_int_equal(st, i == 0 ? ST_OK : ST_IO);
			if (st != ST_OK)
				assert_int_equal(rig_open(r, &err), ST_OK);
			rig_recount(r, 0);
		}
	}
	rig_free(&r);
}

/* The mark that cannot be cleared counts as an unclean stop: too much, never too little. */
static void a_close_that_fails(void **state)
{
	/* The last commit, and the one that only clears the mark. */
	const struct faultstore_plan plan = {
	    .call = FAULTSTORE_COMMIT, .nth = 1, .repeat = FAULTSTORE_FOR_EVER, .status = ST_IO};
	struct rig *r = rig_new(GROUP, NULL);
	struct err err = {0};

	(void)state;
	assert_int_equal(rig_put(r, "a", "v"), ST_OK);
	faultstore_order(r->store, &plan);
	rig_close(r);
	faultstore_mend(r->store);
	assert_int_equal(rig_put(r, "a", "v"), ST_SEALED);
	assert_int_equal(rig_open(r, &err), ST_OK);
	assert_int_equal(rig_usage(r, 1).encryptions, 1 + GROUP);
	rig_free(&r);
}

static void each_call_of_create_fails_once(void **state)
{
	static const enum faultstore_call calls[] = {FAULTSTORE_WRITE_BEGIN, FAULTSTORE_GET,
	                                             FAULTSTORE_PUT, FAULTSTORE_COMMIT};
	char value[] = "new";
	struct err err = {0};

	(void)state;
	for (size_t c = 0; c < sizeof calls / sizeof calls[0]; c++) {
		for (size_t nth = 1, failures = 1; failures > 0; nth++) {
			struct rig *r = rig_closed(GROUP, NULL);
			struct storage_config config = {0};
			struct faultstore_plan plan = {
			    .call = calls[c], .nth = nth, .status = ST_IO};
			enum status st;

			rig_stop(r);
			r->store->driver->close(&r->store);
			assert_int_equal(storage_mem.open(&config, &r->inner, &err), ST_OK);
			assert_int_equal(faultstore_wrap(r->inner, &r->store), ST_OK);
			rig_start(r);
			faultstore_order(r->store, &plan);
			st = rig_create(r, add, value, &err);
			failures = faultstore_failures(r->store);
			faultstore_mend(r->store);
			assert_int_equal(st, failures > 0 ? ST_IO : ST_OK);
			if (st != ST_OK) {
				assert_int_equal(rig_open(r, &err), ST_CORRUPT);
				assert_int_equal(rig_create(r, add, value, &err), ST_OK);
			}
			assert_int_equal(rig_open(r, &err), ST_OK);
			rig_recount(r, 0);
			rig_free(&r);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_call_fails_once),
	    cmocka_unit_test(each_commit_ends_each_way),
	    cmocka_unit_test(a_full_store_says_so),
	    cmocka_unit_test(failed_groups_then_a_crash),
	    cmocka_unit_test(every_commit_number_then_a_crash),
	    cmocka_unit_test(each_call_of_open_fails_once),
	    cmocka_unit_test(each_commit_of_open_unknown),
	    cmocka_unit_test(a_close_that_fails),
	    cmocka_unit_test(each_call_of_create_fails_once),
	};

	return cmocka_run_group_tests(tests, rig_process, NULL);
}
