/*
 * Counts of uses against a model, on one thread: claims by loops on new and on old snapshots, reservations, closings and notes of decryptions whose transactions
 * are undone or cannot be committed, restarts, clean and not.  After each step:
 *   - the durable record is not below what callers were allowed;
 *   - no version is used more often than it may be;
 *   - the count that is shown is the number of claims that were taken and not given back, exactly;
 * after a clean restart that is the count; after another one it is at most two blocks higher.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "../barrier/rig.h"
#include "engine/transit_uses.h"

#define VERSIONS 4
#define TODAY    20000u

/* One version as it should be. */
struct should {
	struct key_id id;
	uint64_t limit;
	uint64_t taken;       /* claimed and not given back, answered or not */
	uint64_t peak;        /* the most of it since the store was opened */
	uint64_t allowed;     /* of it what a caller was told he may */
	uint64_t outstanding; /* of `allowed`, what may still be given back */
	uint64_t decryptions;
	struct uses *uses;
};

static struct model {
	struct rig *rig;
	struct uses_table *table, *empty;
	struct random_seeded dice;
	struct should v[VERSIONS];
	uint32_t today;
	bool
	    reading; /* a reader is under way, so the store cannot be reopened now, as it is after an unknown outcome */
} m;

static uint64_t roll(uint64_t below)
{
	uint64_t r;

	random_fill(&m.dice.random, (uint8_t *)&r, sizeof r);
	return r % below;
}

static uint64_t some_number(void)
{
	static const uint64_t sizes[] = {1, 1, 2, 7, 100, 1000, 30000, 50000, USES_BLOCK, 100000};

	return 1 + roll(sizes[roll(sizeof sizes / sizeof *sizes)]);
}

/* ---- where it is ---- */

struct place {
	struct view view;
	struct uses_of of;
};

static const struct uses_of *place(struct place *p, struct txn *t, size_t i)
{
	view_init(&p->view, t, span_str("engine/one/"));
	p->of = (struct uses_of){.v = &p->view,
	                         .name = span_str("key"),
	                         .id = &m.v[i].id,
	                         .version = (uint32_t)i + 1,
	                         .today = m.today};
	return &p->of;
}

/* A step on the writer's or a reader's transaction. */
struct step {
	size_t i;
	uint64_t n;
	enum status got;
	struct uses_counts counts;
	void (*meanwhile)(void);
};

static enum status open_fn(void *arg, struct txn *t, struct err *err)
{
	struct step *s = arg;
	struct place p;

	return uses_open(m.table, place(&p, t, s->i), &m.v[s->i].uses, err);
}

/* In memory from now on, by a reader. */
static void have(size_t i)
{
	struct step s = {.i = i};

	if (m.v[i].uses == NULL)
		assert_int_equal(rig_read(m.rig, open_fn, &s, NULL), ST_OK);
}

/* ---- what is shown, and what is durable ---- */

static enum status counts_fn(void *arg, struct txn *t, struct err *err)
{
	struct step *s = arg;
	struct place p;

	return uses_counts(m.table, place(&p, t, s->i), &s->counts, err);
}

/* Of a table without a memory. */
static enum status record_fn(void *arg, struct txn *t, struct err *err)
{
	struct step *s = arg;
	struct place p;

	return uses_counts(m.empty, place(&p, t, s->i), &s->counts, err);
}

static void check(void)
{
	for (size_t i = 0; i < VERSIONS; i++) {
		struct should *v = &m.v[i];
		struct step shown = {.i = i}, stored = {.i = i};

		assert_int_equal(rig_read(m.rig, counts_fn, &shown, NULL), ST_OK);
		assert_int_equal(rig_read(m.rig, record_fn, &stored, NULL), ST_OK);
		assert_int_equal(shown.counts.encryptions, v->taken);
		assert_int_equal(shown.counts.decryptions, v->decryptions);
		assert_true(stored.counts.encryptions >= v->allowed);
		assert_true(stored.counts.decryptions <= v->decryptions);
		assert_true(v->allowed <= v->taken);
		if (v->peak < v->taken)
			v->peak = v->taken;
		assert_true(stored.counts.encryptions <= v->peak + 2 * USES_BLOCK);
	}
}

/* ---- on the writer, with what can go wrong ---- */

enum fate { GOES_WELL, IS_UNDONE, NOT_COMMITTED, UNKNOWN_DONE, UNKNOWN_NOT_DONE, FATES };

static enum fate some_fate(void)
{
	return roll(3) != 0 ? GOES_WELL : (enum fate)roll(m.reading ? UNKNOWN_DONE : FATES);
}

struct errand {
	rig_fn *fn;
	void *arg;
	enum fate fate;
};

static enum status errand_fn(void *arg, struct txn *t, struct err *err)
{
	struct errand *e = arg;
	enum status st = e->fn(e->arg, t, err);

	return st == ST_OK && e->fate == IS_UNDONE ? err_set(err, ST_CONFLICT, "as told") : st;
}

static enum status write_with(enum fate fate, rig_fn *fn, void *arg)
{
	static const enum faultstore_commit how[FATES] = {
	    [NOT_COMMITTED] = FAULTSTORE_NOT_DONE,
	    [UNKNOWN_DONE] = FAULTSTORE_UNKNOWN_BUT_DONE,
	    [UNKNOWN_NOT_DONE] = FAULTSTORE_UNKNOWN_AND_NOT_DONE};
	struct errand e = {.fn = fn, .arg = arg, .fate = fate};
	enum status st;

	if (fate >= NOT_COMMITTED) {
		const struct faultstore_plan plan = {.call = FAULTSTORE_COMMIT,
		                                     .nth = 1,
		                                     .repeat = FAULTSTORE_ONCE,
		                                     .status = ST_IO,
		                                     .commit = how[fate]};
		faultstore_order(m.rig->store, &plan);
	}
	st = rig_do(m.rig, errand_fn, &e);
	faultstore_mend(m.rig->store);
	return st;
}

/* ---- claims ---- */

/* As a handler on a loop: claims, and looks once whether more was reserved. */
static enum status claim_fn(void *arg, struct txn *t, struct err *err)
{
	struct step *s = arg;
	struct place p;
	const struct uses_of *of = place(&p, t, s->i);

	m.reading = true;
	if (s->meanwhile != NULL)
		s->meanwhile();
	m.reading = false;
	s->got = uses_claim(m.v[s->i].uses, s->n);
	if (s->got == ST_NEEDS_WRITER && uses_pull(m.v[s->i].uses, of, err) == ST_OK)
		s->got = uses_claim(m.v[s->i].uses, s->n);
	(void)uses_wanted(m.table, m.v[s->i].uses);
	return ST_OK;
}

static void take(size_t i, uint64_t n)
{
	struct should *v = &m.v[i];

	assert_true(n <= v->limit && v->taken <= v->limit - n);
	v->taken += n;
	v->allowed += n;
	v->outstanding += n;
}

static enum status claim_on_loop(size_t i, uint64_t n, void (*meanwhile)(void))
{
	struct step s = {.i = i, .n = n, .meanwhile = meanwhile};

	have(i);
	assert_int_equal(rig_read(m.rig, claim_fn, &s, NULL), ST_OK);
	if (s.got == ST_OK)
		take(i, n);
	else
		assert_int_equal(s.got, ST_NEEDS_WRITER);
	return s.got;
}

/* As a handler that was run again there: what it claimed it gives back when it fails. */
static enum status reserve_fn(void *arg, struct txn *t, struct err *err)
{
	struct step *s = arg;
	struct place p;
	const struct uses_of *of = place(&p, t, s->i);
	struct should *v = &m.v[s->i];

	if (v->uses == NULL)
		assert_int_equal(uses_open(m.table, of, &v->uses, err), ST_OK);
	s->got = uses_reserve(v->uses, of, s->n, v->limit, err);
	(void)uses_wanted(m.table, v->uses);
	return s->got;
}

static void claim_on_writer(size_t i, uint64_t n, enum fate fate)
{
	struct should *v = &m.v[i];
	struct step s = {.i = i, .n = n, .got = ST_PENDING};
	bool fits = n <= v->limit && v->taken <= v->limit - n;
	enum status st = write_with(fate, reserve_fn, &s);

	if (s.got ==
	    ST_PENDING) { /* what the writer stores before a group failed: it was not run */
		assert_true(st != ST_OK && fate >= NOT_COMMITTED);
		return;
	}
	assert_int_equal(s.got, fits ? ST_OK : ST_LIMIT);
	if (!fits)
		return;
	if (st == ST_OK) {
		take(i, n);
		return;
	}
	if (fate == IS_UNDONE)
		uses_return(v->uses, n);
	else
		v->taken += n; /* the ciphertexts were made, though nobody got them */
}

static void give_back(size_t i)
{
	struct should *v = &m.v[i];
	uint64_t n;

	if (v->outstanding == 0)
		return;
	n = 1 + roll(v->outstanding);
	uses_return(v->uses, n);
	v->taken -= n;
	v->allowed -= n;
	v->outstanding -= n;
}

/* Items that are done can no longer be given back. */
static void finish(size_t i)
{
	m.v[i].outstanding -= roll(m.v[i].outstanding + 1);
}

/* ---- what the writer does beside ---- */

static enum status tick_fn(void *arg, struct txn *t, struct err *err)
{
	struct place p;
	struct uses_of of = {.today = m.today};
	struct uses *u;
	enum status st = ST_OK;

	(void)arg;
	(void)place(&p, t, 0);
	while (st == ST_OK && (u = uses_next_wanted(m.table, &p.view, &of)) != NULL) {
		size_t i = of.version - 1;

		assert_true(i < VERSIONS && u == m.v[i].uses);
		st = uses_reserve_more(u, &of, m.v[i].limit, err);
		if (st == ST_LIMIT)
			assert_true(m.v[i].taken >= m.v[i].limit);
		st = st == ST_LIMIT ? ST_OK : st;
		uses_unref(&u);
	}
	return st;
}

static enum status close_fn(void *arg, struct txn *t, struct err *err)
{
	struct step *s = arg;
	struct place p;

	return uses_close(m.table, place(&p, t, s->i), err);
}

static enum status is_there(const struct uses_of *of, struct err *err)
{
	(void)of;
	(void)err;
	return ST_OK;
}

static enum status close_key_fn(void *arg, struct txn *t, struct err *err)
{
	struct step *s = arg;
	struct place p;
	const struct uses_of *of = place(&p, t, s->i);

	return uses_close_all(m.table, of->v, of->id, m.today, is_there, err);
}

static enum status flush_one(void *arg, struct uses *u, const struct uses_of *of)
{
	return uses_flush(u, of, arg);
}

static enum status flush_fn(void *arg, struct txn *t, struct err *err)
{
	struct place p;

	(void)arg;
	(void)place(&p, t, 0);
	return uses_each(m.table, &p.view, m.today, flush_one, err);
}

/* Another limit: all that is reserved under the old one is given back. */
static void change_limit(size_t i, enum fate fate)
{
	struct step s = {.i = i};
	uint64_t limit = 1 + roll(m.v[i].taken + 3 * USES_BLOCK);

	if (write_with(fate, close_key_fn, &s) == ST_OK)
		m.v[i].limit = limit;
}

static void some_write(void)
{
	struct step s = {.i = roll(VERSIONS)};

	switch (roll(5)) {
	case 0:
		claim_on_writer(s.i, some_number(), some_fate());
		break;
	case 1:
		(void)write_with(some_fate(), tick_fn, NULL);
		break;
	case 2:
		(void)write_with(some_fate(), close_fn, &s);
		break;
	case 3:
		(void)write_with(some_fate(), flush_fn, NULL);
		break;
	default:
		change_limit(s.i, some_fate());
		break;
	}
}

/* ---- restarts ---- */

static enum status closing(struct rig *r, struct txn *t, struct err *err)
{
	struct place p;

	(void)r;
	(void)place(&p, t, 0);
	return uses_close_all(m.table, &p.view, NULL, 0, is_there, err);
}

static void forget(void)
{
	for (size_t i = 0; i < VERSIONS; i++) {
		uses_unref(&m.v[i].uses);
		m.v[i].outstanding = 0;
	}
	uses_table_clear(m.table);
}

static void open_again(bool clean)
{
	struct err err = {0};

	assert_int_equal(rig_open(m.rig, &err), ST_OK);
	for (size_t i = 0; i < VERSIONS; i++) {
		struct should *v = &m.v[i];
		struct step s = {.i = i};

		assert_int_equal(rig_read(m.rig, counts_fn, &s, NULL), ST_OK);
		if (clean) {
			assert_int_equal(s.counts.encryptions, v->taken);
			assert_int_equal(s.counts.decryptions, v->decryptions);
		} else {
			assert_true(s.counts.encryptions >= v->allowed);
			assert_true(s.counts.encryptions <= v->peak + 2 * USES_BLOCK);
			assert_true(s.counts.decryptions <= v->decryptions);
		}
		v->taken = v->allowed = v->peak = s.counts.encryptions;
		v->decryptions = s.counts.decryptions;
	}
}

static void restart_cleanly(void)
{
	rig_close(m.rig);
	forget();
	open_again(true);
}

static void crash(void)
{
	rig_crash(m.rig);
	forget();
	rig_start(m.rig);
	open_again(false);
}

/* ---- the whole ---- */

static void begin(uint64_t seed)
{
	m = (struct model){.rig = rig_new(0, NULL), .today = TODAY};
	random_seeded_init(&m.dice, seed);
	assert_int_equal(uses_table_new(&m.table), ST_OK);
	assert_int_equal(uses_table_new(&m.empty), ST_OK);
	m.rig->closing = closing;
	for (size_t i = 0; i < VERSIONS; i++) {
		/* one key of two versions, and others */
		m.v[i].id.b[0] = (uint8_t)(i < 2 ? 1 : i);
		m.v[i].limit = i == 0 ? 10 : i == 1 ? 5 * USES_BLOCK / 2 : USES_LIMIT_MAX;
	}
}

static void end(void)
{
	forget();
	rig_free(&m.rig);
	uses_table_free(&m.table);
	uses_table_free(&m.empty);
}

static void step(void)
{
	size_t i = roll(VERSIONS);

	switch (roll(16)) {
	case 0:
	case 1:
	case 2:
		(void)claim_on_loop(i, some_number(), NULL);
		break;
	case 3:
	case 4:
		(void)claim_on_loop(i, some_number(), some_write);
		break;
	case 5:
	case 6:
		give_back(i);
		break;
	case 7:
		finish(i);
		break;
	case 8:
		have(i);
		uses_decrypted(m.v[i].uses, i, m.today);
		m.v[i].decryptions += i;
		break;
	case 9:
		m.today++;
		break;
	case 10:
		if (roll(4) == 0)
			restart_cleanly();
		break;
	case 11:
		if (roll(4) == 0)
			crash();
		break;
	default:
		some_write();
		break;
	}
}

/* KEYTURN_EXAMPLES=20: twenty times as many. */
static void agrees_with_the_model(void **state)
{
	const char *factor = getenv("KEYTURN_EXAMPLES");
	uint64_t seeds = 30 * (factor != NULL ? strtoull(factor, NULL, 10) : 1);

	(void)state;
	for (uint64_t seed = 1; seed <= seeds; seed++) {
		begin(seed);
		for (unsigned n = 0; n < 300; n++) {
			step();
			check();
		}
		restart_cleanly();
		end();
	}
}

/* ---- what the model found, and what it cannot see ---- */

/* Whatever became of the last record that memory made, the one of a clean stop is exact. */
static void a_closing_that_is_lost(void **state)
{
	static const enum fate lost[] = {IS_UNDONE, NOT_COMMITTED, UNKNOWN_NOT_DONE};
	struct step s = {.i = 2};

	(void)state;
	for (size_t i = 0; i < sizeof lost / sizeof *lost; i++) {
		begin(1);
		claim_on_writer(2, 5, GOES_WELL);
		uses_decrypted(m.v[2].uses, 3, m.today);
		m.v[2].decryptions = 3;
		assert_int_not_equal(write_with(lost[i], close_fn, &s), ST_OK);
		check();
		restart_cleanly();
		check();
		end();
	}
}

static void what_is_returned_while_closed(void **state)
{
	struct step s = {.i = 2};

	(void)state;
	begin(1);
	claim_on_writer(2, 100, GOES_WELL);
	assert_int_equal(write_with(GOES_WELL, close_fn, &s), ST_OK);
	uses_return(m.v[2].uses, 30);
	m.v[2].taken = m.v[2].allowed = 70;
	check();
	claim_on_writer(2, 1, GOES_WELL);
	uses_return(m.v[2].uses, 1);
	m.v[2].taken = m.v[2].allowed = 70;
	check();
	restart_cleanly();
	check();
	end();
}

static uint32_t last_day(size_t i)
{
	struct step s = {.i = i};

	assert_int_equal(rig_read(m.rig, counts_fn, &s, NULL), ST_OK);
	return s.counts.last_day;
}

/* Reserving is no use; after an unclean stop each day is one until somebody looks, and from then on that day. */
static void the_day_of_the_last_use(void **state)
{
	struct step s = {.i = 2};

	(void)state;
	begin(1);
	have(2);
	assert_int_equal(last_day(2), 0);
	claim_on_writer(2, 1, GOES_WELL);
	assert_int_equal(last_day(2), 0);
	uses_decrypted(m.v[2].uses, 0, m.today);
	assert_int_equal(last_day(2), TODAY);
	m.today++;
	assert_int_equal(last_day(2), TODAY);
	uses_decrypted(m.v[2].uses, 0, m.today);
	uses_decrypted(m.v[2].uses, 0, m.today - 1); /* a loop whose clock is a little behind */
	assert_int_equal(last_day(2), TODAY + 1);
	restart_cleanly();
	m.today++;
	assert_int_equal(last_day(2), TODAY + 1);
	claim_on_writer(2, 1, GOES_WELL);
	crash();
	m.today++;
	assert_int_equal(last_day(2), TODAY + 3);
	assert_int_equal(write_with(GOES_WELL, close_fn, &s), ST_OK);
	m.today++;
	assert_int_equal(last_day(2), TODAY + 3);
	restart_cleanly();
	assert_int_equal(last_day(2), TODAY + 3);
	end();
}

/* Nothing is left of a block when the limit is the block's end, and none is asked for in vain. */
static void a_limit_is_reached(void **state)
{
	(void)state;
	begin(1);
	for (unsigned n = 0; n < 10; n++)
		claim_on_writer(0, 1, GOES_WELL);
	assert_int_equal(claim_on_loop(0, 1, NULL), ST_NEEDS_WRITER);
	claim_on_writer(0, 1, GOES_WELL); /* finds ST_LIMIT */
	assert_int_equal(write_with(GOES_WELL, tick_fn, NULL), ST_OK);
	check();
	give_back(0);
	assert_int_equal(claim_on_loop(0, 1, NULL), ST_OK);
	check();
	end();
}

/* The next block is there before the one that is used ends: the loops never need the writer, once it looks when it is told to. */
static void loops_do_not_run_dry(void **state)
{
	(void)state;
	begin(1);
	claim_on_writer(2, 1, GOES_WELL);
	for (unsigned n = 0; n < 400; n++) {
		assert_int_equal(claim_on_loop(2, 1000, NULL), ST_OK);
		assert_int_equal(write_with(GOES_WELL, tick_fn, NULL), ST_OK);
	}
	check();
	end();
}

/* ---- what nobody holds is forgotten, when there is too much of it ---- */

static enum status fill_fn(void *arg, struct txn *t, struct err *err)
{
	struct place p;
	struct uses_of of = *place(&p, t, 0);
	struct key_id id = {{9}};
	struct uses *u;

	(void)arg;
	of.id = &id;
	for (uint32_t n = 0; n < USES_KEPT; n++) {
		id.b[0] = (uint8_t)(n >> 8);
		id.b[1] = (uint8_t)n;
		of.version = 1000 + n;
		assert_int_equal(uses_open(m.table, &of, &u, err), ST_OK);
		uses_unref(&u);
	}
	return ST_OK;
}

static enum status one_more(void *arg, struct uses *u, const struct uses_of *of)
{
	size_t *n = arg;

	(void)u;
	(void)of;
	++*n;
	return ST_OK;
}

struct evict {
	int64_t now_ns;
	size_t left;
};

static enum status evict_fn(void *arg, struct txn *t, struct err *err)
{
	struct evict *e = arg;
	struct place p;
	enum status st;

	place(&p, t, 0);
	st = uses_evict(m.table, &p.view, e->now_ns, is_there, err);
	e->left = 0;
	assert_int_equal(uses_each(m.table, &p.view, TODAY, one_more, &e->left), ST_OK);
	return st;
}

static void what_nobody_holds_is_forgotten(void **state)
{
	struct evict e = {.now_ns = NS_PER_S};
	struct step stored = {.i = 2};

	(void)state;
	begin(1);
	claim_on_writer(2, 5, GOES_WELL);
	claim_on_writer(3, 5, GOES_WELL);
	finish(2);
	uses_unref(&m.v[2].uses);
	assert_int_equal(write_with(GOES_WELL, evict_fn, &e), ST_OK);
	assert_int_equal(e.left, 2); /* there is not too much of it */
	assert_int_equal(rig_read(m.rig, fill_fn, NULL, NULL), ST_OK);
	assert_int_equal(write_with(GOES_WELL, evict_fn, &e), ST_OK);
	assert_int_equal(rig_read(m.rig, record_fn, &stored, NULL), ST_OK);
	assert_int_equal(stored.counts.encryptions, 5); /* its block was given back */
	e.now_ns += 5 * NS_PER_S;
	assert_int_equal(write_with(GOES_WELL, evict_fn, &e), ST_OK);
	assert_int_equal(e.left,
	                 USES_KEPT + 2); /* somebody may still look at the record from before */
	e.now_ns += 20 * NS_PER_S;
	assert_int_equal(write_with(GOES_WELL, evict_fn, &e), ST_OK);
	assert_int_equal(e.left, 1); /* the one that is held */
	check();
	claim_on_writer(2, 5, GOES_WELL);
	check();
	end();
}

static enum status pull_fn(void *arg, struct txn *t, struct err *err)
{
	struct step *s = arg;
	struct place p;

	(void)!uses_pull(m.v[s->i].uses, place(&p, t, s->i), err); /* as far as there is more */
	return ST_OK;
}

static enum status more_fn(void *arg, struct txn *t, struct err *err)
{
	struct step *s = arg;
	struct place p;

	return uses_reserve_more(m.v[s->i].uses, place(&p, t, s->i), m.v[s->i].limit, err);
}

/* Many claims that are given back ask for blocks, one after another: what is reserved stays within two blocks of what is used. */
static void returned_claims_pile_up_no_blocks(void **state)
{
	struct step s = {.i = 1}, stored = {.i = 1};

	(void)state;
	begin(3);
	m.v[1].limit = USES_LIMIT_MAX;
	claim_on_writer(1, 1, GOES_WELL);
	for (unsigned i = 0; i < 20; i++) {
		have(1);
		s.got = uses_claim(m.v[1].uses, 50000);
		if (s.got == ST_OK)
			uses_return(m.v[1].uses, 50000);
		assert_int_equal(write_with(GOES_WELL, more_fn, &s), ST_OK);
		assert_int_equal(rig_read(m.rig, pull_fn, &s, NULL), ST_OK);
	}
	assert_int_equal(rig_read(m.rig, record_fn, &stored, NULL), ST_OK);
	assert_in_range(stored.counts.encryptions, 1 + USES_BLOCK, 1 + 2 * USES_BLOCK);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(agrees_with_the_model),
	    cmocka_unit_test(a_closing_that_is_lost),
	    cmocka_unit_test(what_is_returned_while_closed),
	    cmocka_unit_test(the_day_of_the_last_use),
	    cmocka_unit_test(a_limit_is_reached),
	    cmocka_unit_test(loops_do_not_run_dry),
	    cmocka_unit_test(returned_claims_pile_up_no_blocks),
	    cmocka_unit_test(what_nobody_holds_is_forgotten),
	};

	return cmocka_run_group_tests(tests, rig_process, NULL);
}
