#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "rig.h"

static void create_open_close(void **state)
{
	struct rig *r = rig_closed(16, NULL);
	struct err err = {0};
	char buf[8];

	(void)state;
	assert_int_equal(rig_put(r, "a", "1"), ST_SEALED);
	assert_int_equal(rig_create(r, NULL, NULL, &err), ST_EXISTS);
	assert_int_equal(rig_open(r, &err), ST_OK);
	assert_int_equal(rig_active(r), 1);
	assert_int_equal(rig_put(r, "a", "1"), ST_OK);
	rig_close(r);
	rig_close(r); /* closed already: fine */
	assert_int_equal(atomic_load(&r->closed), 1);
	assert_int_equal(rig_put(r, "a", "2"), ST_SEALED);
	assert_int_equal(rig_open(r, &err), ST_OK);
	assert_int_equal(rig_get(r, "a", buf, sizeof buf), ST_OK);
	assert_string_equal(buf, "1");
	rig_stop(r);
	rig_start(r);
	assert_int_equal(rig_open(r, &err), ST_OK);
	assert_int_equal(rig_get(r, "a", buf, sizeof buf), ST_OK);
	rig_recount(r, 0);
	rig_free(&r);
}

static enum status populate(void *arg, struct txn *t, struct err *err)
{
	enum status st = txn_put(t, span_str("made/at/birth"), span_str("yes"), err);

	return st == ST_OK ? *(enum status *)arg : st;
}

static enum status raw_fn(void *arg, struct txn *t, struct err *err)
{
	struct rig *r = arg;
	struct builder b = {0};
	enum status st;

	(void)t;
	st = writer_get_raw(r->writer, "core/none", &b, err);
	assert_int_equal(st, ST_NOT_FOUND);
	st = writer_get_raw(r->writer, "core/raw", &b, err);
	if (st == ST_OK)
		assert_true(span_eq_str(builder_span(&b), "as it is"));
	builder_free(&b);
	return st;
}

/* Both in a control job and, as the writer is idle then, in one that writes. */
static enum status raw_status(struct rig *r)
{
	struct err err = {0};
	enum status st;

	rig_hold(r);
	st = raw_fn(r, NULL, &err);
	rig_release(r);
	return st;
}

static void a_failed_create_leaves_nothing(void **state)
{
	struct rig *r = rig_closed(16, NULL);
	struct storage_config config = {0};
	enum status fails = ST_BUSY, works = ST_OK;
	struct err err = {0};
	char buf[8];

	(void)state;
	/* A second store, empty. */
	rig_stop(r);
	r->store->driver->close(&r->store);
	assert_int_equal(storage_mem.open(&config, &r->inner, &err), ST_OK);
	assert_int_equal(faultstore_wrap(r->inner, &r->store), ST_OK);
	rig_start(r);
	assert_int_equal(rig_open(r, &err), ST_CORRUPT);
	assert_int_equal(rig_create(r, populate, &fails, &err), ST_BUSY);
	assert_int_equal(rig_open(r, &err), ST_CORRUPT);
	assert_int_equal(raw_status(r), ST_NOT_FOUND);
	assert_int_equal(rig_create(r, populate, &works, &err), ST_OK);
	assert_int_equal(raw_status(r), ST_OK);
	assert_int_equal(rig_open(r, &err), ST_OK);
	assert_int_equal(rig_get(r, "made/at/birth", buf, sizeof buf), ST_OK);
	assert_int_equal(raw_status(r), ST_OK);
	rig_recount(r, 0);
	rig_free(&r);
}

static void wrong_root_key(void **state)
{
	struct rig *r = rig_closed(16, NULL);
	struct secret *swap = r->wrap;
	struct err err = {0};

	(void)state;
	r->wrap = r->mac;
	r->mac = swap;
	assert_int_equal(rig_open(r, &err), ST_CORRUPT);
	assert_int_equal(rig_put(r, "a", "1"), ST_SEALED);
	r->mac = r->wrap;
	r->wrap = swap;
	assert_int_equal(rig_open(r, &err), ST_OK);
	assert_int_equal(rig_put(r, "a", "1"), ST_OK);
	rig_free(&r);
}

struct put_args {
	const char *path, *value;
	enum status answer;
	int rotate;
	const char *must_see, *must_not_see;
};

static enum status put_and_answer(void *arg, struct txn *t, struct err *err)
{
	struct put_args *a = arg;
	enum status st = txn_put(t, span_str(a->path), span_str(a->value), err);

	if (a->must_see != NULL)
		assert_int_equal(txn_exists(t, span_str(a->must_see), err), ST_OK);
	if (a->must_not_see != NULL)
		assert_int_equal(txn_exists(t, span_str(a->must_not_see), err), ST_NOT_FOUND);
	if (st == ST_OK && a->rotate)
		st = rotate_now(t, CAUSE_MANUAL, err);
	if (st != ST_OK)
		return st;
	return a->answer == ST_OK ? ST_OK : err_set(err, a->answer, "refused by %s", a->path);
}

static void a_failed_job_is_undone_alone(void **state)
{
	struct rig *r = rig_new(64, NULL);
	struct put_args a[] = {
	    {"one", "1", ST_OK, 0, NULL, NULL},
	    {"two", "2", ST_DENIED, 1, "one", NULL},
	    {"one", "changed", ST_CONFLICT, 0, "one", "two"},
	    {"three", "3", ST_OK, 1, "one", "two"},
	    {"four", "4", ST_LIMIT, 1, "three", NULL},
	};
	struct rig_job *j[5];
	struct writer_stats before, after;
	struct err err;
	char buf[8];

	(void)state;
	writer_stats(r->writer, &before);
	rig_hold(r);
	for (int i = 0; i < 5; i++)
		j[i] = rig_submit(r, put_and_answer, &a[i]);
	rig_release(r);
	for (int i = 0; i < 5; i++) {
		err = (struct err){0};
		assert_int_equal(rig_wait(&j[i], &err), a[i].answer);
		if (a[i].answer != ST_OK)
			assert_non_null(strstr(err.text, a[i].path));
	}
	writer_stats(r->writer, &after);
	assert_int_equal(after.groups, before.groups + 1);
	assert_int_equal(after.commits, before.commits + 1);
	assert_int_equal(rig_get(r, "one", buf, sizeof buf), ST_OK);
	assert_string_equal(buf, "1");
	assert_int_equal(rig_get(r, "two", buf, sizeof buf), ST_NOT_FOUND);
	assert_int_equal(rig_get(r, "three", buf, sizeof buf), ST_OK);
	assert_int_equal(rig_get(r, "four", buf, sizeof buf), ST_NOT_FOUND);
	assert_int_equal(rig_active(r), 2);
	assert_int_equal(atomic_load(&r->n_events), 1);
	assert_int_equal(r->events[0].cause, CAUSE_MANUAL);
	/* Both records were sealed at the commit: under the new term. */
	assert_int_equal(rig_usage(r, 1).records, 0);
	assert_int_equal(rig_usage(r, 2).records, 2);
	rig_recount(r, 0);
	rig_stop(r);
	rig_start(r);
	assert_int_equal(rig_open(r, &err), ST_OK);
	assert_int_equal(rig_active(r), 2);
	rig_recount(r, 0);
	rig_free(&r);
}

static void jobs_run_in_order(void **state)
{
	struct rig *r = rig_new(8, NULL);
	struct put_args a[200];
	struct rig_job *j[200];
	char path[201][12], buf[8];

	(void)state;
	for (int i = 0; i < 201; i++)
		snprintf(path[i], sizeof path[i], "p%03d", i);
	rig_hold(r);
	for (int i = 0; i < 200; i++) {
		a[i] = (struct put_args){path[i],    "v", ST_OK, 0, i > 0 ? path[i - 1] : NULL,
		                         path[i + 1]};
		j[i] = rig_submit(r, put_and_answer, &a[i]);
	}
	rig_release(r);
	for (int i = 0; i < 200; i++)
		assert_int_equal(rig_wait(&j[i], NULL), ST_OK);
	assert_int_equal(rig_get(r, "p199", buf, sizeof buf), ST_OK);
	rig_recount(r, 0);
	rig_free(&r);
}

/* ---- random operations against a model, recounted ---- */

#define PATHS 60

struct ops {
	struct random_seeded r;
	int has[PATHS];
	unsigned value[PATHS];
};

static void path_of(unsigned i, char buf[static 24])
{
	snprintf(buf, 24, "%s/%u", i % 2 == 0 ? "kv" : "zz/deep", i);
}

static enum status random_ops(void *arg, struct txn *t, struct err *err)
{
	struct ops *o = arg, was = *o;
	uint8_t dice[3];
	char path[24], value[16];
	enum status st = ST_OK;

	random_fill(&o->r.random, dice, sizeof dice);
	for (unsigned n = dice[0] % 12; st == ST_OK && n > 0; n--) {
		uint8_t d[4];
		unsigned i;

		random_fill(&o->r.random, d, sizeof d);
		i = d[0] % PATHS;
		path_of(i, path);
		if (d[1] < 150) {
			o->has[i] = 1;
			o->value[i] = (unsigned)d[2] << 8 | d[3];
			snprintf(value, sizeof value, "%u", o->value[i]);
			st = txn_put(t, span_str(path), span_str(value), err);
		} else if (d[1] < 245) {
			o->has[i] = 0;
			st = txn_delete(t, span_str(path), err);
		} else {
			st = rotate_now(t, CAUSE_MANUAL, err);
		}
	}
	if (st == ST_OK && dice[1] > 220)
		st = ST_CONFLICT;
	if (st != ST_OK) {
		was.r = o->r;
		*o = was;
	}
	return st;
}

static enum status same_values(void *arg, struct txn *t, struct err *err)
{
	struct ops *o = arg;
	char path[24], value[16];
	struct span v;

	for (unsigned i = 0; i < PATHS; i++) {
		path_of(i, path);
		assert_int_equal(txn_get(t, span_str(path), &v, err),
		                 o->has[i] ? ST_OK : ST_NOT_FOUND);
		snprintf(value, sizeof value, "%u", o->value[i]);
		if (o->has[i])
			assert_true(span_eq_str(v, value));
	}
	return ST_OK;
}

static void counts_are_exact(void **state)
{
	struct rig *r = rig_new(32, NULL);
	struct rig_job *j[20];
	struct err err = {0};
	static struct ops o;

	(void)state;
	random_seeded_init(&o.r, 99);
	for (int round = 0; round < 40; round++) {
		rig_hold(r);
		for (int i = 0; i < 20; i++)
			j[i] = rig_submit(r, random_ops, &o);
		rig_release(r);
		for (int i = 0; i < 20; i++) {
			enum status st = rig_wait(&j[i], NULL);

			assert_true(st == ST_OK || st == ST_CONFLICT);
		}
		assert_int_equal(rig_read(r, same_values, &o, &err), ST_OK);
		rig_recount(r, 0);
		if (round % 8 == 7) {
			rig_stop(r);
			rig_start(r);
			assert_int_equal(rig_open(r, &err), ST_OK);
			assert_int_equal(rig_do(r, same_values, &o), ST_OK);
			rig_recount(r, 0);
		}
	}
	assert_true(rig_active(r) > 20);
	rig_free(&r);
}

/* ---- the running mark ---- */

static uint64_t count(struct rig *r)
{
	return rig_usage(r, 0).encryptions;
}

static void an_unclean_stop_adds_one_allowance(void **state)
{
	struct rig *r = rig_new(20, NULL);
	struct writer_stats s;
	struct err err = {0};
	uint64_t before;

	(void)state;
	for (int i = 0; i < 5; i++)
		assert_int_equal(rig_put(r, "a", "1"), ST_OK);
	before = count(r);
	assert_int_equal(before, 5);
	for (uint64_t crashes = 1; crashes <= 3; crashes++) {
		rig_crash(r);
		rig_start(r);
		assert_int_equal(rig_open(r, &err), ST_OK);
		assert_int_equal(count(r), before + 20 * crashes);
		writer_stats(r->writer, &s);
		assert_int_equal(s.unclean_stops, 1);
	}
	rig_recount(r, 60);
	rig_free(&r);
}

static void a_clean_stop_adds_nothing(void **state)
{
	struct rig *r = rig_new(20, NULL);
	struct writer_stats s;
	struct err err = {0};

	(void)state;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(rig_put(r, "a", "1"), ST_OK);
		rig_stop(r);
		rig_start(r);
		assert_int_equal(rig_open(r, &err), ST_OK);
		assert_int_equal(rig_put(r, "a", "1"), ST_OK);
		rig_close(r);
		assert_int_equal(rig_open(r, &err), ST_OK);
		assert_int_equal(count(r), 2 * ((uint64_t)i + 1));
		writer_stats(r->writer, &s);
		assert_int_equal(s.unclean_stops, 0);
	}
	rig_recount(r, 0);
	rig_free(&r);
}

/* Created and never opened, or failed to open: nothing was encrypted, nothing is added. */
static enum status refuse_load(void *ctx, struct txn *t, const struct world **ret, struct err *err)
{
	(void)ctx;
	(void)t;
	(void)ret;
	return err_set(err, ST_BUSY, "not today");
}

static void a_failed_open_adds_nothing(void **state)
{
	struct rig *r = rig_closed(20, NULL);
	struct err err = {0};

	(void)state;
	for (int i = 0; i < 3; i++) {
		rig_hold(r); /* the writer's thread waits: this one may stand in for it */
		assert_int_equal(writer_open(r->writer, r->wrap, r->mac, refuse_load, NULL, &err),
		                 ST_BUSY);
		rig_release(r);
		assert_int_equal(rig_put(r, "a", "1"), ST_SEALED);
	}
	rig_crash(r);
	rig_start(r);
	assert_int_equal(rig_open(r, &err), ST_OK);
	assert_int_equal(count(r), 0);
	rig_free(&r);
}

static enum status put_many(void *arg, struct txn *t, struct err *err)
{
	enum status st = ST_OK;
	char path[24];

	for (unsigned i = 0; st == ST_OK && i < *(unsigned *)arg; i++) {
		snprintf(path, sizeof path, "many/%u", i);
		st = txn_put(t, span_str(path), span_str("v"), err);
	}
	return st;
}

/* A group larger than the limit is allowed for first, and does not leave its allowance behind. */
static void a_large_group(void **state)
{
	struct rig *r = rig_new(20, NULL);
	struct err err = {0};
	unsigned n = 500;

	(void)state;
	assert_int_equal(rig_do(r, put_many, &n), ST_OK);
	assert_int_equal(count(r), 500);
	rig_recount(r, 0);
	rig_crash(r);
	rig_start(r);
	assert_int_equal(rig_open(r, &err), ST_OK);
	assert_int_equal(count(r), 520);
	rig_free(&r);
}

/* ---- stopping ---- */

static enum status never(void *arg, struct txn *t, struct err *err)
{
	(void)arg;
	(void)t;
	(void)err;
	abort();
}

static void after_stop(void **state)
{
	struct rig *r = rig_new(20, NULL);
	struct rig_job *j;
	struct err err = {0};

	(void)state;
	assert_int_equal(rig_put(r, "a", "1"), ST_OK);
	writer_stop(r->writer);
	j = rig_submit(r, never, NULL);
	assert_int_equal(rig_wait(&j, &err), ST_SEALED);
	assert_true(err.text[0] != 0);
	rig_free(&r);
}

static void what_waits_is_finished(void **state)
{
	struct rig *r = rig_new(20, NULL);
	struct put_args a[50];
	struct rig_job *j[50];
	struct err err = {0};
	char path[50][12], buf[8];

	(void)state;
	for (int i = 0; i < 50; i++) {
		snprintf(path[i], sizeof path[i], "p%d", i);
		a[i] = (struct put_args){path[i], "v", ST_OK, 0, NULL, NULL};
		j[i] = rig_submit(r, put_and_answer, &a[i]);
	}
	rig_stop(r);
	for (int i = 0; i < 50; i++)
		assert_int_equal(rig_wait(&j[i], NULL), ST_OK);
	rig_start(r);
	assert_int_equal(rig_open(r, &err), ST_OK);
	for (int i = 0; i < 50; i++)
		assert_int_equal(rig_get(r, path[i], buf, sizeof buf), ST_OK);
	rig_free(&r);
}

/* ---- periodic work ---- */

static _Atomic int due_ran;

static enum status due_put(struct rig *r, struct txn *t, struct err *err)
{
	atomic_fetch_add(&due_ran, 1);
	atomic_store(&r->due_at, INT64_MAX);
	return txn_put(t, span_str("due"), span_str("done"), err);
}

static enum status due_fails(struct rig *r, struct txn *t, struct err *err)
{
	atomic_fetch_add(&due_ran, 1);
	(void)r;
	assert_int_equal(txn_put(t, span_str("half"), span_str("done"), err), ST_OK);
	return err_set(err, ST_BUSY, "not today");
}

static void periodic_work(void **state)
{
	struct rig *r = rig_new(20, NULL);
	int64_t start = clock_wall_ns(&r->clock.clock);
	char buf[8];

	(void)state;
	atomic_store(&due_ran, 0);
	r->due = due_put;
	atomic_store(&r->due_at, start + 10 * NS_PER_S);
	rig_settle(r);
	assert_int_equal(atomic_load(&due_ran), 0);
	clock_manual_advance(&r->clock, 10 * NS_PER_S);
	rig_settle(r);
	assert_int_equal(atomic_load(&due_ran), 1);
	assert_int_equal(rig_get(r, "due", buf, sizeof buf), ST_OK);
	rig_recount(r, 0);
	rig_free(&r);
}

static void failing_periodic_work_waits(void **state)
{
	struct rig *r = rig_new(20, NULL);
	char buf[8];

	(void)state;
	atomic_store(&due_ran, 0);
	r->due = due_fails;
	atomic_store(&r->due_at, clock_wall_ns(&r->clock.clock));
	rig_settle(r);
	rig_settle(r);
	/* However often the writer looked: the clock stands still, so it was tried once. */
	assert_int_equal(atomic_load(&due_ran), 1);
	clock_manual_advance(&r->clock, NS_PER_S);
	rig_settle(r);
	assert_int_equal(atomic_load(&due_ran), 2);
	clock_manual_advance(&r->clock, NS_PER_S);
	rig_settle(r);
	assert_int_equal(atomic_load(&due_ran), 2);
	clock_manual_advance(&r->clock, NS_PER_S);
	rig_settle(r);
	assert_int_equal(atomic_load(&due_ran), 3);
	assert_int_equal(rig_get(r, "half", buf, sizeof buf), ST_NOT_FOUND);
	rig_free(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(create_open_close),
	    cmocka_unit_test(a_failed_create_leaves_nothing),
	    cmocka_unit_test(wrong_root_key),
	    cmocka_unit_test(a_failed_job_is_undone_alone),
	    cmocka_unit_test(jobs_run_in_order),
	    cmocka_unit_test(counts_are_exact),
	    cmocka_unit_test(an_unclean_stop_adds_one_allowance),
	    cmocka_unit_test(a_clean_stop_adds_nothing),
	    cmocka_unit_test(a_failed_open_adds_nothing),
	    cmocka_unit_test(a_large_group),
	    cmocka_unit_test(after_stop),
	    cmocka_unit_test(what_waits_is_finished),
	    cmocka_unit_test(periodic_work),
	    cmocka_unit_test(failing_periodic_work_waits),
	};

	return cmocka_run_group_tests(tests, rig_process, NULL);
}
