/* The last commit of a store: what the upper floor stores in it, exactly counted, and what remains when it fails. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "rig.h"

static unsigned records;
static enum status answer;
static _Atomic unsigned ran, dropped;
static unsigned dropped_before;

static enum status put_last(struct rig *r, struct txn *t, struct err *err)
{
	char path[24];

	assert_null(atomic_load(&readers_snapshots(r->readers)->published));
	atomic_fetch_add(&ran, 1);
	dropped_before = atomic_load(&dropped);
	for (unsigned i = 0; i < records; i++) {
		(void)snprintf(path, sizeof path, "last/%u", i);
		assert_int_equal(txn_put(t, span_str(path), span_str("x"), err), ST_OK);
	}
	assert_int_equal(txn_note(t, span_str("{\"last\":1}"), err), ST_OK);
	return answer == ST_OK ? ST_OK : err_set(err, answer, "as told");
}

static struct rig *rig_with_last(unsigned n)
{
	struct rig *r = rig_new(16, NULL);

	records = n;
	answer = ST_OK;
	atomic_store(&ran, 0);
	r->closing = put_last;
	assert_int_equal(rig_put(r, "a", "1"), ST_OK);
	return r;
}

/* Opened again: were the last records kept, and all of them? */
static bool kept(struct rig *r, uint64_t unclean)
{
	struct writer_stats s;
	struct err err = {0};
	char path[24], buf[8];
	unsigned n = 0;

	assert_int_equal(rig_open(r, &err), ST_OK);
	writer_stats(r->writer, &s);
	assert_int_equal(s.unclean_stops, unclean);
	for (unsigned i = 0; i < records; i++) {
		(void)snprintf(path, sizeof path, "last/%u", i);
		n += rig_get(r, path, buf, sizeof buf) == ST_OK;
	}
	assert_true(n == 0 || n == records);
	assert_int_equal(rig_get(r, "a", buf, sizeof buf), ST_OK);
	return n > 0;
}

static void it_is_stored_with_the_mark(void **state)
{
	/* in the usual allowance, above it, and nothing but a note */
	static const unsigned sizes[] = {1, 15, 16, 17, 100, 0};

	(void)state;
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		struct rig *r = rig_with_last(sizes[i]);

		rig_close(r);
		assert_int_equal(atomic_load(&ran), 1);
		assert_int_equal(atomic_load(&r->n_notes), 1);
		assert_int_equal(atomic_load(&r->closed), 1);
		assert_int_equal(kept(r, 0), sizes[i] > 0);
		rig_recount(r, 0);
		rig_stop(r); /* once more, by a stop */
		assert_int_equal(atomic_load(&ran), 2);
		rig_start(r);
		assert_int_equal(kept(r, 0), sizes[i] > 0);
		rig_recount(r, 0);
		rig_free(&r);
	}
}

static void turn(void *arg, struct reader *reader)
{
	struct err err = {0};
	struct txn *t;

	(void)arg;
	if (reader_begin(reader, &t, &err) == ST_OK) {
		struct span v;

		assert_int_equal(txn_get(t, span_str("a"), &v, &err), ST_OK);
	}
}

static void drop(void *arg)
{
	(void)arg;
	atomic_fetch_add(&dropped, 1);
}

static void every_loop_has_stopped_by_then(void **state)
{
	struct rig *r = rig_with_last(3);
	struct rig_loop *one, *two;

	(void)state;
	atomic_store(&dropped, 0);
	one = rig_loop_start(r, turn, drop, NULL);
	two = rig_loop_start(r, turn, drop, NULL);
	rig_close(r);
	assert_int_equal(dropped_before, 2);
	rig_loop_stop(&one);
	rig_loop_stop(&two);
	assert_true(kept(r, 0));
	rig_free(&r);
}

static void what_fails_is_left_out(void **state)
{
	struct rig *r = rig_with_last(5);

	(void)state;
	answer = ST_IO;
	rig_close(r);
	assert_int_equal(atomic_load(&r->n_notes), 0);
	assert_false(kept(r, 0));
	rig_recount(r, 0);
	rig_free(&r);
}

/* Each call of the storage fails once: the mark is cleared all the same, with the records or without, and counts are never too low. */
static void a_fault_at_each_call(void **state)
{
	static const enum faultstore_call calls[] = {FAULTSTORE_PUT, FAULTSTORE_COMMIT,
	                                             FAULTSTORE_GET, FAULTSTORE_WRITE_BEGIN};

	(void)state;
	for (size_t c = 0; c < sizeof calls / sizeof *calls; c++) {
		bool hit = true;

		for (size_t nth = 1; hit; nth++) {
			struct rig *r = rig_with_last(40);
			struct faultstore_plan plan = {
			    .call = calls[c], .nth = nth, .status = ST_IO};

			faultstore_order(r->store, &plan);
			rig_close(r);
			hit = faultstore_failures(r->store) > 0;
			faultstore_mend(r->store);
			assert_int_equal(kept(r, 0), !hit);
			rig_recount(r, 0);
			rig_free(&r);
		}
	}
}

static void a_storage_that_stays_broken_is_an_unclean_stop(void **state)
{
	const struct faultstore_plan plan = {.call = FAULTSTORE_COMMIT,
	                                     .nth = 1,
	                                     .repeat = FAULTSTORE_FOR_EVER,
	                                     .status = ST_IO};
	struct rig *r = rig_with_last(5);

	(void)state;
	faultstore_order(r->store, &plan);
	rig_close(r);
	faultstore_mend(r->store);
	assert_int_equal(atomic_load(&r->n_notes), 0);
	assert_false(kept(r, 1));
	rig_recount(r, 16 - 5); /* the allowance, of which five were used */
	rig_free(&r);
}

static void an_unknown_outcome_is_settled(void **state)
{
	static const enum faultstore_commit how[] = {FAULTSTORE_UNKNOWN_BUT_DONE,
	                                             FAULTSTORE_UNKNOWN_AND_NOT_DONE};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct rig *r = rig_with_last(5);
		const struct faultstore_plan plan = {
		    .call = FAULTSTORE_COMMIT, .nth = 1, .status = ST_IO, .commit = how[i]};
		struct rig_loop *loop = rig_loop_start(r, turn, drop, NULL);

		faultstore_order(r->store, &plan);
		rig_close(r);
		rig_loop_stop(&loop);
		assert_int_equal(kept(r, 0), i == 0);
		rig_recount(r, 0);
		rig_free(&r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(it_is_stored_with_the_mark),
	    cmocka_unit_test(every_loop_has_stopped_by_then),
	    cmocka_unit_test(what_fails_is_left_out),
	    cmocka_unit_test(a_fault_at_each_call),
	    cmocka_unit_test(a_storage_that_stays_broken_is_an_unclean_stop),
	    cmocka_unit_test(an_unknown_outcome_is_settled),
	};

	return cmocka_run_group_tests(tests, rig_process, NULL);
}
