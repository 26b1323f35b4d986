/* Loops read while the writer writes, rotates, settles unknown outcomes, closes and opens again. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdio.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "barrier/view.h"
#include "rig.h"

#define LOOPS 3

static void states(void **state)
{
	struct rig *r = rig_closed(16, NULL);
	struct loop loop = {0};
	struct reader *reader;
	struct txn *t, *again;
	struct err err = {0};

	(void)state;
	assert_int_equal(reader_new(r->readers, &loop, NULL, NULL, &reader, &err), ST_OK);
	assert_int_equal(reader_begin(reader, &t, &err), ST_SEALED);
	reader_turn_end(reader);
	reader_turn_end(reader); /* nothing was read since: fine */
	assert_int_equal(rig_open(r, &err), ST_OK);
	assert_int_equal(reader_begin(reader, &t, &err), ST_OK);
	assert_int_equal(reader_begin(reader, &again, &err), ST_OK);
	assert_ptr_equal(again, t);
	assert_false(txn_can_write(t));
	reader_turn_end(reader);
	reader_close(&reader);
	assert_null(reader);
	reader_close(&reader);
	rig_free(&r);
}

static void read_faults(void **state)
{
	static const enum faultstore_call calls[] = {FAULTSTORE_READ_OPEN, FAULTSTORE_RENEW,
	                                             FAULTSTORE_GET};
	struct rig *r = rig_new(16, NULL);
	struct loop loop = {0};
	struct err err = {0};

	(void)state;
	assert_int_equal(rig_put(r, "p", "v"), ST_OK);
	for (size_t i = 0; i < 3; i++) {
		struct faultstore_plan plan = {.call = calls[i], .nth = 1, .status = ST_IO};
		struct reader *reader;
		struct span v;
		struct txn *t;
		enum status st;

		assert_int_equal(reader_new(r->readers, &loop, NULL, NULL, &reader, &err), ST_OK);
		faultstore_order(r->store, &plan);
		st = reader_begin(reader, &t, &err);
		if (calls[i] == FAULTSTORE_GET) {
			assert_int_equal(st, ST_OK);
			st = txn_get(t, span_str("p"), &v, &err);
		}
		assert_int_equal(st, calls[i] == FAULTSTORE_GET ? ST_IO : ST_UNAVAILABLE);
		assert_int_equal(reader_begin(reader, &t, &err), ST_OK);
		assert_int_equal(txn_get(t, span_str("p"), &v, &err), ST_OK);
		reader_turn_end(reader);
		reader_close(&reader);
		faultstore_mend(r->store);
	}
	rig_free(&r);
}

/* Each begin sees all that was answered before it, also within one turn of the loop. */
static void fresh_within_a_turn(void **state)
{
	struct rig *r = rig_new(16, NULL);
	struct loop loop = {0};
	struct reader *reader;
	struct span v;
	struct txn *t;
	struct err err = {0};

	(void)state;
	assert_int_equal(reader_new(r->readers, &loop, NULL, NULL, &reader, &err), ST_OK);
	assert_int_equal(rig_put(r, "p", "1"), ST_OK);
	assert_int_equal(reader_begin(reader, &t, &err), ST_OK);
	assert_int_equal(rig_put(r, "p", "2"), ST_OK);
	assert_int_equal(rig_rotate(r), ST_OK);
	/* This one stays on its snapshot ... */
	assert_int_equal(txn_get(t, span_str("p"), &v, &err), ST_OK);
	assert_true(span_eq_str(v, "1"));
	assert_int_equal(keyring_active(txn_keyring(t)), 1);
	/* ... the next does not. */
	assert_int_equal(reader_begin(reader, &t, &err), ST_OK);
	assert_int_equal(txn_get(t, span_str("p"), &v, &err), ST_OK);
	assert_true(span_eq_str(v, "2"));
	assert_int_equal(keyring_active(txn_keyring(t)), 2);
	reader_turn_end(reader);
	reader_close(&reader);
	rig_free(&r);
}

/* What a view tells of its transaction: durable once the commit that it shows was acknowledged, never on the writer; the term; memory for expanded keys. */
static enum status look(void *arg, struct txn *t, struct err *err)
{
	struct view v;

	(void)arg;
	(void)err;
	view_init(&v, t, span_str("p/"));
	assert_true(view_can_write(&v));
	assert_false(view_durable(&v));
	assert_int_equal(view_term(&v), 2);
	return ST_OK;
}

static void what_a_view_tells(void **state)
{
	struct rig *r = rig_new(16, NULL);
	struct loop loop = {0};
	struct reader *reader;
	struct txn *t;
	struct view v;
	struct err err = {0};

	(void)state;
	assert_int_equal(reader_new(r->readers, &loop, NULL, NULL, &reader, &err), ST_OK);
	assert_int_equal(rig_rotate(r), ST_OK);
	assert_int_equal(reader_begin(reader, &t, &err), ST_OK);
	view_init(&v, t, span_str("p/"));
	assert_true(view_durable(&v));
	assert_int_equal(view_term(&v), 2);
	for (size_t n = 1; n < 200; n += 33)
		assert_int_equal((uintptr_t)view_alloc64(&v, n) % 64, 0);
	reader_turn_end(reader);
	assert_int_equal(rig_do(r, look, NULL), ST_OK);
	reader_close(&reader);
	rig_free(&r);
}

/* ---- loops beside the writer ---- */

struct load {
	_Atomic uint64_t reads, refused, dropped;
	uint64_t last; /* the loop's */
};

static enum status put_pair(void *arg, struct txn *t, struct err *err)
{
	unsigned n = *(unsigned *)arg;
	char value[24], path[24];
	enum status st;

	snprintf(value, sizeof value, "%u", n);
	st = txn_put(t, span_str("pair/a"), span_str(value), err);
	if (st == ST_OK)
		st = txn_put(t, span_str("pair/b"), span_str(value), err);
	/* Records that stay under many old terms. */
	snprintf(path, sizeof path, "old/%03u", n % 150);
	if (st == ST_OK && n % 2 == 0)
		st = txn_put(t, span_str(path), span_str(value), err);
	if (st == ST_OK && n % 3 == 0)
		st = rotate_now(t, CAUSE_MANUAL, err);
	return st;
}

static unsigned value_at(struct txn *t, const char *path)
{
	struct err err = {0};
	char text[24];
	struct span v;

	MUST(txn_get(t, span_str(path), &v, &err) == ST_OK);
	MUST(span_cstr(v, text, sizeof text) == ST_OK);
	return (unsigned)strtoul(text, NULL, 10);
}

/* Whatever fails here aborts: cmocka cannot be left on another thread. */
static void read_turn(void *arg, struct reader *reader)
{
	struct load *l = arg;
	struct err err = {0};
	struct span at, from = span_str("old/"), v;
	struct txn *t;
	unsigned a;

	for (int i = 0; i < 3; i++) {
		enum status st = reader_begin(reader, &t, &err);

		if (st != ST_OK) {
			MUST(st == ST_SEALED || st == ST_UNAVAILABLE);
			atomic_fetch_add(&l->refused, 1);
			return;
		}
		a = value_at(t, "pair/a");
		MUST(a == value_at(t, "pair/b"));
		MUST(a >= l->last);
		l->last = a;
		while (txn_next(t, from, &at, &err) == ST_OK && span_starts(at, span_str("old/"))) {
			uint8_t key[32];

			MUST(at.n < sizeof key);
			memcpy(key, at.p, at.n);
			key[at.n] = 0;
			MUST(txn_get(t, span_of(key, at.n), &v, &err) == ST_OK);
			from = span_of(memcpy(txn_alloc(t, sizeof key), key, sizeof key), at.n + 1);
		}
		from = span_str("old/");
		atomic_fetch_add(&l->reads, 1);
	}
}

static void drop(void *arg)
{
	struct load *l = arg;

	atomic_fetch_add(&l->dropped, 1);
}

static void start(struct rig *r, struct rig_loop *loops[static LOOPS],
                  struct load load[static LOOPS])
{
	unsigned zero = 0;

	assert_int_equal(rig_do(r, put_pair, &zero), ST_OK);
	for (int i = 0; i < LOOPS; i++) {
		load[i] = (struct load){0};
		loops[i] = rig_loop_start(r, read_turn, drop, &load[i]);
	}
}

static void stop(struct rig_loop *loops[static LOOPS], struct load load[static LOOPS])
{
	for (int i = 0; i < LOOPS; i++) {
		rig_loop_stop(&loops[i]);
		assert_true(atomic_load(&load[i].reads) > 0);
	}
}

/* Until every loop has read so often. */
static void wait_reads(struct load load[static LOOPS], uint64_t n)
{
	for (int i = 0; i < LOOPS; i++)
		while (atomic_load(&load[i].reads) < n)
			sched_yield();
}

static void every_read_decrypts(void **state)
{
	struct rig *r = rig_new(16, NULL);
	struct rig_loop *loops[LOOPS];
	static struct load load[LOOPS];

	(void)state;
	start(r, loops, load);
	for (unsigned n = 1; n < 400; n++)
		assert_int_equal(rig_do(r, put_pair, &n), ST_OK);
	wait_reads(load, 50);
	for (int i = 0; i < LOOPS; i++)
		assert_int_equal(atomic_load(&load[i].refused), 0);
	assert_true(rig_active(r) > 100);
	stop(loops, load);
	rig_recount(r, 0);
	rig_free(&r);
}

static void failed_and_unknown_commits(void **state)
{
	static const enum faultstore_commit ways[] = {
	    FAULTSTORE_NOT_DONE, FAULTSTORE_UNKNOWN_BUT_DONE, FAULTSTORE_UNKNOWN_AND_NOT_DONE};
	struct rig *r = rig_new(16, NULL);
	struct rig_loop *loops[LOOPS];
	static struct load load[LOOPS];
	struct writer_stats s;

	(void)state;
	start(r, loops, load);
	for (unsigned n = 1; n < 200; n++) {
		struct faultstore_plan plan = {
		    .call = FAULTSTORE_COMMIT, .nth = 1, .status = ST_IO, .commit = ways[n % 3]};

		if (n % 2 == 0)
			faultstore_order(r->store, &plan);
		assert_int_equal(rig_do(r, put_pair, &n), n % 2 == 1 || n % 3 == 1 ? ST_OK : ST_IO);
		faultstore_mend(r->store);
	}
	wait_reads(load, 50);
	writer_stats(r->writer, &s);
	assert_true(s.unknown > 50);
	for (int i = 0; i < LOOPS; i++)
		assert_int_equal(atomic_load(&load[i].dropped), s.unknown);
	stop(loops, load);
	assert_int_equal(rig_put(r, "later", "v"), ST_OK);
	rig_recount(r, 0);
	rig_free(&r);
}

static void closing_and_opening(void **state)
{
	struct rig *r = rig_new(16, NULL);
	struct rig_loop *loops[LOOPS];
	static struct load load[LOOPS];
	struct err err = {0};

	(void)state;
	start(r, loops, load);
	for (unsigned n = 1; n <= 20; n++) {
		assert_int_equal(rig_do(r, put_pair, &n), ST_OK);
		rig_close(r);
		/* Every loop has let go of its keys by now. */
		for (int i = 0; i < LOOPS; i++)
			assert_int_equal(atomic_load(&load[i].dropped), n);
		assert_int_equal(rig_open(r, &err), ST_OK);
	}
	wait_reads(load, atomic_load(&load[0].reads) + 1);
	stop(loops, load);
	rig_recount(r, 0);
	rig_free(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(states),
	    cmocka_unit_test(read_faults),
	    cmocka_unit_test(fresh_within_a_turn),
	    cmocka_unit_test(what_a_view_tells),
	    cmocka_unit_test(every_read_decrypts),
	    cmocka_unit_test(failed_and_unknown_commits),
	    cmocka_unit_test(closing_and_opening),
	};

	return cmocka_run_group_tests(tests, rig_process, NULL);
}
