/*
 * Counts of uses while loops claim and give back, and the writer reserves, closes, notes and now and then cannot commit: all at once, for the thread
 * sanitizer.  Each loop looks all the time whether a durable record is below what was allowed, and whether a limit was passed; at the end the counts are exact.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "../barrier/rig.h"
#include "engine/transit_uses.h"

#define LOOPS    3
#define VERSIONS 3
#define TODAY    20000u

static struct shared {
	struct rig *rig;
	struct uses_table *table, *empty;
	struct one {
		struct key_id id;
		uint64_t limit;
		struct uses *uses;
		atomic_ullong allowed, returned; /* by loops and by the writer */
		uint64_t lost;                   /* claimed by the writer, whose commit failed */
		atomic_ullong decryptions;
		atomic_bool dry; /* a loop needs the writer */
	} v[VERSIONS];
	atomic_uint below, beyond; /* what must not be */
} s;

struct looper {
	struct random_seeded dice;
	uint64_t turns, claims;
};

struct place {
	struct view view;
	struct uses_of of;
};

static const struct uses_of *place(struct place *p, struct txn *t, size_t i)
{
	view_init(&p->view, t, span_str("engine/one/"));
	p->of = (struct uses_of){.v = &p->view,
	                         .name = span_str("key"),
	                         .id = &s.v[i].id,
	                         .version = (uint32_t)i + 1,
	                         .today = TODAY};
	return &p->of;
}

static uint32_t roll(struct random_seeded *dice, uint32_t below)
{
	uint32_t r;

	random_fill(&dice->random, (uint8_t *)&r, sizeof r);
	return r % below;
}

/* ---- a loop ---- */

static void claim(struct looper *l, size_t i, const struct uses_of *of)
{
	struct one *v = &s.v[i];
	uint64_t n = 1 + roll(&l->dice, i == 0 ? 5 : 3000);
	enum status st = uses_claim(v->uses, n);

	if (st == ST_NEEDS_WRITER && uses_pull(v->uses, of, NULL) == ST_OK)
		st = uses_claim(v->uses, n);
	(void)uses_wanted(s.table, v->uses);
	if (st != ST_OK) {
		atomic_store(&v->dry, true);
		return;
	}
	l->claims++;
	atomic_fetch_add(&v->allowed, n);
	if (roll(&l->dice, 4) == 0) {
		uint64_t back = 1 + roll(&l->dice, (uint32_t)n);

		atomic_fetch_add(&v->returned, back);
		uses_return(v->uses, back);
	}
	if (roll(&l->dice, 4) == 0) {
		atomic_fetch_add(&v->decryptions, 2);
		uses_decrypted(v->uses, 2, TODAY);
	}
}

/* What was allowed before this snapshot was taken is in its record, but for what was given back since. */
static void look(size_t i, uint64_t allowed, const struct uses_of *of)
{
	struct one *v = &s.v[i];
	struct uses_counts counts;
	struct err err = {0};
	uint64_t returned;

	if (!view_durable(of->v) || uses_counts(s.empty, of, &counts, &err) != ST_OK)
		return;
	returned = atomic_load(&v->returned);
	if (allowed > returned && counts.encryptions < allowed - returned)
		atomic_fetch_add(&s.below, 1);
	if (allowed > returned && allowed - returned > v->limit)
		atomic_fetch_add(&s.beyond, 1);
}

static void turn(void *arg, struct reader *reader)
{
	struct looper *l = arg;
	size_t i = roll(&l->dice, VERSIONS);
	uint64_t allowed = atomic_load(&s.v[i].allowed);
	struct place p;
	struct txn *t;
	struct err err = {0};

	if (reader_begin(reader, &t, &err) != ST_OK)
		return;
	look(i, allowed, place(&p, t, i));
	for (unsigned n = roll(&l->dice, 4); n > 0; n--)
		claim(l, i, place(&p, t, i));
	l->turns++;
}

/* ---- the writer ---- */

static enum status open_all(void *arg, struct txn *t, struct err *err)
{
	(void)arg;
	for (size_t i = 0; i < VERSIONS; i++) {
		struct place p;

		assert_int_equal(uses_open(s.table, place(&p, t, i), &s.v[i].uses, err), ST_OK);
	}
	return ST_OK;
}

struct errand {
	size_t i;
	uint64_t n;
	enum status reserved;
};

static enum status reserve_fn(void *arg, struct txn *t, struct err *err)
{
	struct errand *e = arg;
	struct place p;

	e->reserved = uses_reserve(s.v[e->i].uses, place(&p, t, e->i), e->n, s.v[e->i].limit, err);
	return e->reserved == ST_LIMIT ? ST_OK : e->reserved;
}

/* As a handler that a dry loop sent. */
static void reserve(size_t i, uint64_t n)
{
	struct errand e = {.i = i, .n = n, .reserved = ST_PENDING};
	enum status st = rig_do(s.rig, reserve_fn, &e);

	if (e.reserved == ST_OK && st == ST_OK)
		atomic_fetch_add(&s.v[i].allowed, n);
	else if (e.reserved == ST_OK)
		s.v[i].lost += n;
}

static enum status tick_fn(void *arg, struct txn *t, struct err *err)
{
	struct place p;
	struct uses_of of = {.today = TODAY};
	struct uses *u;
	enum status st = ST_OK;

	(void)arg;
	(void)place(&p, t, 0);
	while (st == ST_OK && (u = uses_next_wanted(s.table, &p.view, &of)) != NULL) {
		st = uses_reserve_more(u, &of, s.v[of.version - 1].limit, err);
		st = st == ST_LIMIT ? ST_OK : st;
		uses_unref(&u);
	}
	return st;
}

static enum status close_fn(void *arg, struct txn *t, struct err *err)
{
	struct errand *e = arg;
	struct place p;

	return uses_close(s.table, place(&p, t, e->i), err);
}

static enum status is_there(const struct uses_of *of, struct err *err)
{
	(void)of;
	(void)err;
	return ST_OK;
}

static enum status close_key_fn(void *arg, struct txn *t, struct err *err)
{
	struct errand *e = arg;
	struct place p;
	const struct uses_of *of = place(&p, t, e->i);

	return uses_close_all(s.table, of->v, of->id, TODAY, is_there, err);
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
	return uses_each(s.table, &p.view, TODAY, flush_one, err);
}

static void some_write(struct random_seeded *dice)
{
	struct errand e = {.i = roll(dice, VERSIONS)};
	struct faultstore_plan plan = {.call = FAULTSTORE_COMMIT,
	                               .nth = 1,
	                               .repeat = FAULTSTORE_ONCE,
	                               .status = ST_IO,
	                               .commit = (enum faultstore_commit)roll(dice, 3)};

	if (roll(dice, 8) == 0)
		faultstore_order(s.rig->store, &plan);
	for (size_t i = 0; i < VERSIONS; i++)
		if (atomic_exchange(&s.v[i].dry, false))
			reserve(i, 1 + roll(dice, i == 0 ? 5 : 3000));
	switch (roll(dice, 6)) {
	case 0:
		(void)rig_do(s.rig, close_fn, &e);
		break;
	case 1:
		(void)rig_do(s.rig, close_key_fn, &e);
		break;
	case 2:
		(void)rig_do(s.rig, flush_fn, NULL);
		break;
	default:
		(void)rig_do(s.rig, tick_fn, NULL);
		break;
	}
	faultstore_mend(s.rig->store);
}

/* ---- the whole ---- */

static enum status closing(struct rig *r, struct txn *t, struct err *err)
{
	struct place p;

	(void)r;
	(void)place(&p, t, 0);
	return uses_close_all(s.table, &p.view, NULL, 0, is_there, err);
}

static enum status counts_fn(void *arg, struct txn *t, struct err *err)
{
	struct uses_table *table = arg;

	for (size_t i = 0; i < VERSIONS; i++) {
		struct one *v = &s.v[i];
		struct uses_counts counts;
		struct place p;

		assert_int_equal(uses_counts(table, place(&p, t, i), &counts, err), ST_OK);
		assert_int_equal(counts.encryptions,
		                 atomic_load(&v->allowed) + v->lost - atomic_load(&v->returned));
		assert_int_equal(counts.decryptions, atomic_load(&v->decryptions));
		assert_true(counts.encryptions <= v->limit);
	}
	return ST_OK;
}

static void begin(void)
{
	assert_int_equal(uses_table_new(&s.table), ST_OK);
	assert_int_equal(uses_table_new(&s.empty), ST_OK);
	s.rig = rig_new(0, NULL);
	s.rig->closing = closing;
	for (size_t i = 0; i < VERSIONS; i++) {
		s.v[i].id.b[0] = (uint8_t)(i / 2);
		s.v[i].limit = i == 0 ? 2000 : i == 1 ? 20 * USES_BLOCK : USES_LIMIT_MAX;
	}
	assert_int_equal(rig_do(s.rig, open_all, NULL), ST_OK);
}

static void forget(void)
{
	for (size_t i = 0; i < VERSIONS; i++)
		uses_unref(&s.v[i].uses);
	uses_table_clear(s.table);
}

static void everybody_at_once(void **state)
{
	const char *factor = getenv("KEYTURN_EXAMPLES");
	unsigned rounds = 10000 * (factor != NULL ? (unsigned)strtoul(factor, NULL, 10) : 1);
	struct looper l[LOOPS] = {{.turns = 0}};
	struct rig_loop *loops[LOOPS];
	struct random_seeded dice;
	struct err err = {0};
	uint64_t claims = 0;

	(void)state;
	begin();
	random_seeded_init(&dice, 100);
	for (size_t i = 0; i < LOOPS; i++) {
		random_seeded_init(&l[i].dice, i);
		loops[i] = rig_loop_start(s.rig, turn, NULL, &l[i]);
	}
	for (unsigned n = 0; n < rounds; n++)
		some_write(&dice);
	for (size_t i = 0; i < LOOPS; i++) {
		rig_loop_stop(&loops[i]);
		assert_true(l[i].turns > 0);
		claims += l[i].claims;
	}
	assert_true(claims > 0);
	assert_int_equal(atomic_load(&s.below), 0);
	assert_int_equal(atomic_load(&s.beyond), 0);
	assert_int_equal(rig_read(s.rig, counts_fn, s.table, NULL), ST_OK);
	rig_close(s.rig);
	forget();
	assert_int_equal(rig_open(s.rig, &err), ST_OK);
	assert_int_equal(rig_read(s.rig, counts_fn, s.empty, NULL), ST_OK);
	forget();
	rig_free(&s.rig);
	uses_table_free(&s.table);
	uses_table_free(&s.empty);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(everybody_at_once),
	};

	return cmocka_run_group_tests(tests, rig_process, NULL);
}
