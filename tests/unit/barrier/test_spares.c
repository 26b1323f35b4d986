#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "barrier/spares.h"
#include "rig.h"

#define RUSH     4 /* rotations after which slots are made ahead */
#define TERMS    1000
#define PATIENCE 30000 /* ms until something that must come is given up */

static struct rlimit file_size;

/* Slots in files of a folder, spares over them, and what is known of each term. */
struct bench {
	char folder[64];
	struct clock_manual clock;
	struct random_seeded random;
	struct slots *slots;
	struct spares *spares;
	uint32_t active;
	uint8_t committed[TERMS][SLOT_SECRET_LEN];
};

static void start(struct bench *b)
{
	struct err err = {0};

	assert_int_equal(spares_new(b->slots, &b->clock.clock, &b->random.random, &b->spares, &err),
	                 ST_OK);
	assert_int_equal(spares_start(b->spares, &err), ST_OK);
}

static struct bench *bench_new(bool in_files)
{
	static const uint8_t id[STORE_ID_LEN] = {1};
	struct bench *b = calloc(1, sizeof *b);
	struct err err = {0};

	assert_non_null(b);
	strcpy(b->folder, "/tmp/test_spares.XXXXXX");
	assert_non_null(mkdtemp(b->folder));
	clock_manual_init(&b->clock, NS_PER_S, 1000 * NS_PER_S);
	random_seeded_init(&b->random, 7);
	assert_int_equal(slots_open(in_files ? b->folder : NULL, &b->slots, &err), ST_OK);
	slots_bind(b->slots, id);
	start(b);
	return b;
}

static void bench_free(struct bench **b)
{
	char path[96];

	spares_stop((*b)->spares);
	spares_free(&(*b)->spares);
	assert_null((*b)->spares);
	slots_close(&(*b)->slots);
	for (int i = 0; i < 2; i++) {
		snprintf(path, sizeof path, "%s/slots.%d", (*b)->folder, i);
		unlink(path);
	}
	rmdir((*b)->folder);
	free(*b);
}

/* The secret that is got for a term. */
static enum status get(struct bench *b, uint32_t term, uint8_t ret[static SLOT_SECRET_LEN])
{
	struct secret *s;
	struct err err = {0};
	enum status st;

	assert_int_equal(secret_new(SLOT_SECRET_LEN, &s), ST_OK);
	st = spares_get(b->spares, term, s, &err);
	memcpy(ret, secret_bytes(s), SLOT_SECRET_LEN);
	secret_free(&s);
	return st;
}

/* What the files hold for a term; zeros: nothing. */
static void stored(struct bench *b, uint32_t term, uint8_t ret[static SLOT_SECRET_LEN])
{
	struct secret *s;
	struct err err = {0};
	enum status st;

	assert_int_equal(secret_new(SLOT_SECRET_LEN, &s), ST_OK);
	st = slots_read(b->slots, term, s, &err);
	assert_true(st == ST_OK || st == ST_NOT_FOUND);
	memcpy(ret, secret_bytes(s), SLOT_SECRET_LEN);
	secret_free(&s);
}

static bool is_stored(struct bench *b, uint32_t term, const uint8_t want[static SLOT_SECRET_LEN])
{
	uint8_t s[SLOT_SECRET_LEN];

	stored(b, term, s);
	return memcmp(s, want, sizeof s) == 0;
}

static bool nothing_stored(struct bench *b, uint32_t term)
{
	return is_stored(b, term, (const uint8_t[SLOT_SECRET_LEN]){0});
}

/* n rotations that are committed together. */
static void rotate(struct bench *b, uint32_t n)
{
	for (uint32_t i = 1; i <= n; i++) {
		uint8_t *s = b->committed[b->active + i];

		assert_int_equal(get(b, b->active + i, s), ST_OK);
		assert_true(is_stored(b, b->active + i, s));
	}
	b->active += n;
	spares_advance(b->spares, b->active);
}

static void rotations(struct bench *b, uint32_t n)
{
	while (n-- > 0)
		rotate(b, 1);
}

/* Until what is being made is ready. */
static void await(struct bench *b, uint32_t least)
{
	for (int ms = 0; spares_ready(b->spares) < least; ms++) {
		assert_true(ms < PATIENCE);
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	}
}

static void all_committed_are_stored(struct bench *b)
{
	for (uint32_t t = 1; t <= b->active; t++)
		assert_true(is_stored(b, t, b->committed[t]));
}

static void all_differ(struct bench *b)
{
	for (uint32_t t = 2; t <= b->active; t++)
		for (uint32_t u = 1; u < t; u++)
			assert_memory_not_equal(b->committed[t], b->committed[u], SLOT_SECRET_LEN);
}

static void disk_full(void)
{
	struct rlimit none = {.rlim_cur = 0, .rlim_max = file_size.rlim_max};

	assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
}

static void disk_free(void)
{
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &file_size), 0);
}

/* ---- when ---- */

static void nothing_is_made_ahead_without_a_rush(void **state)
{
	struct bench *b = bench_new(true);

	(void)state;
	for (int i = 0; i < 20; i++) {
		rotations(b, RUSH - 1);
		clock_manual_advance(&b->clock, NS_PER_S + 1);
	}
	spares_close(b->spares); /* waits for what would be under way */
	for (uint32_t t = 1; t < 2 * SLOTS_AT_ONCE; t++)
		assert_true(nothing_stored(b, b->active + t));
	all_committed_are_stored(b);
	bench_free(&b);
}

static void a_rush_makes_slots_ahead(void **state)
{
	struct bench *b = bench_new(true);
	uint8_t ahead[SLOT_SECRET_LEN];

	(void)state;
	for (int i = 0; i < RUSH; i++) {
		assert_int_equal(spares_ready(b->spares), 0);
		rotations(b, 1);
		clock_manual_advance(&b->clock, NS_PER_S);
	}
	await(b, SLOTS_AT_ONCE);
	assert_int_equal(spares_ready(b->spares), SLOTS_AT_ONCE);
	stored(b, b->active + 1, ahead);
	rotations(b, 1);
	assert_memory_equal(b->committed[b->active], ahead, SLOT_SECRET_LEN);
	assert_int_equal(spares_ready(b->spares), SLOTS_AT_ONCE - 1);
	bench_free(&b);
}

static void more_are_made_when_few_are_left(void **state)
{
	struct bench *b = bench_new(true);

	(void)state;
	rotations(b, RUSH);
	await(b, SLOTS_AT_ONCE);
	rotations(b, SLOTS_AT_ONCE / 2 - 1);
	assert_int_equal(spares_ready(b->spares), SLOTS_AT_ONCE / 2 + 1);
	rotations(b, 1);
	await(b, SLOTS_AT_ONCE / 2 + SLOTS_AT_ONCE);
	/* Faster than the thread, perhaps: it does not matter. */
	rotations(b, 5 * SLOTS_AT_ONCE);
	all_committed_are_stored(b);
	all_differ(b);
	bench_free(&b);
}

static void old_ones_are_not_used_after_the_rush(void **state)
{
	struct bench *b = bench_new(true);
	uint8_t ahead[SLOT_SECRET_LEN];

	(void)state;
	rotations(b, RUSH);
	await(b, SLOTS_AT_ONCE);
	clock_manual_advance(&b->clock, NS_PER_S + 1);
	for (int i = 0; i < RUSH - 1; i++) {
		stored(b, b->active + 1, ahead);
		rotations(b, 1);
		assert_memory_not_equal(b->committed[b->active], ahead, SLOT_SECRET_LEN);
		assert_int_equal(spares_ready(b->spares), 0);
	}
	rotations(b, 1); /* another rush */
	await(b, SLOTS_AT_ONCE);
	all_committed_are_stored(b);
	bench_free(&b);
}

static void slots_in_memory_are_made_when_needed(void **state)
{
	struct bench *b = bench_new(false);

	(void)state;
	rotations(b, 50);
	assert_int_equal(spares_ready(b->spares), 0);
	assert_true(nothing_stored(b, b->active + 1));
	all_committed_are_stored(b);
	all_differ(b);
	bench_free(&b);
}

/* ---- what else a rotation meets ---- */

/* Asked for at once, while they are being made or not even begun: it waits and gets what was made. */
static void not_ready_yet(void **state)
{
	struct bench *b = bench_new(true);

	(void)state;
	rotations(b, RUSH);
	assert_int_equal(get(b, b->active + 1, b->committed[b->active + 1]), ST_OK);
	assert_int_equal(spares_ready(b->spares), SLOTS_AT_ONCE);
	assert_true(is_stored(b, b->active + 1, b->committed[b->active + 1]));
	bench_free(&b);
}

static void a_rush_that_ends_while_they_are_made(void **state)
{
	struct bench *b = bench_new(true);
	uint8_t ahead[SLOT_SECRET_LEN];

	(void)state;
	rotations(b, RUSH);
	clock_manual_advance(&b->clock, NS_PER_S + 1);
	rotations(b, 1);
	assert_int_equal(spares_ready(b->spares), 0);
	all_committed_are_stored(b);
	stored(b, b->active + 1, ahead); /* of those that were made */
	rotations(b, 1);
	assert_memory_not_equal(b->committed[b->active], ahead, SLOT_SECRET_LEN);
	bench_free(&b);
}

static void several_rotations_in_one_commit(void **state)
{
	struct bench *b = bench_new(true);

	(void)state;
	rotate(b, RUSH);
	for (int i = 0; i < 40; i++)
		rotate(b, 7);
	await(b, 1);
	rotate(b, 7);
	all_committed_are_stored(b);
	all_differ(b);
	bench_free(&b);
}

/* The same slot serves the next try: it is durable, and no term's. */
static void undone_rotation(void **state)
{
	struct bench *b = bench_new(true);
	uint8_t first[SLOT_SECRET_LEN], again[SLOT_SECRET_LEN];

	(void)state;
	rotations(b, RUSH);
	await(b, SLOTS_AT_ONCE);
	assert_int_equal(get(b, b->active + 1, first), ST_OK);
	assert_int_equal(get(b, b->active + 2, again), ST_OK);
	assert_memory_not_equal(first, again, SLOT_SECRET_LEN);
	assert_int_equal(get(b, b->active + 1, again), ST_OK);
	assert_memory_equal(first, again, SLOT_SECRET_LEN);
	rotations(b, 1);
	assert_memory_equal(b->committed[b->active], first, SLOT_SECRET_LEN);
	bench_free(&b);
}

/* Without a spare each try makes its own, as the last one may be half written. */
static void undone_rotation_without_a_spare(void **state)
{
	struct bench *b = bench_new(true);
	uint8_t first[SLOT_SECRET_LEN];

	(void)state;
	rotations(b, 1);
	assert_int_equal(get(b, 2, first), ST_OK);
	rotations(b, 1);
	assert_memory_not_equal(b->committed[2], first, SLOT_SECRET_LEN);
	all_committed_are_stored(b);
	bench_free(&b);
}

static void they_cannot_be_made(void **state)
{
	struct bench *b = bench_new(true);
	uint8_t s[SLOT_SECRET_LEN];
	enum status st;

	(void)state;
	rotations(b, RUSH - 1);
	assert_int_equal(get(b, RUSH, b->committed[RUSH]), ST_OK);
	disk_full();
	spares_advance(b->spares, b->active = RUSH);
	st = get(b, RUSH + 1, s); /* waits for those that fail, then fails itself */
	disk_free();
	assert_int_equal(st, ST_FULL);
	assert_int_equal(spares_ready(b->spares), 0);
	rotations(b, 1); /* makes its own, and a commit tries to make more */
	await(b, SLOTS_AT_ONCE);
	rotations(b, SLOTS_AT_ONCE);
	all_committed_are_stored(b);
	bench_free(&b);
}

/* ---- sealing ---- */

static void closed_nothing_is_ready(void **state)
{
	struct bench *b = bench_new(true);
	uint8_t ahead[SLOT_SECRET_LEN];

	(void)state;
	for (int i = 0; i < 20; i++) {
		rotations(b, RUSH);
		if (i % 2 == 0)
			await(b, SLOTS_AT_ONCE);
		spares_close(b->spares);
		assert_int_equal(spares_ready(b->spares), 0);
		stored(b, b->active + 1, ahead);
		rotations(b, 1);
		assert_memory_not_equal(b->committed[b->active], ahead, SLOT_SECRET_LEN);
		spares_close(b->spares);
		spares_close(b->spares);
	}
	all_committed_are_stored(b);
	bench_free(&b);
}

static void stopped_and_started(void **state)
{
	struct bench *b = bench_new(true);

	(void)state;
	for (int i = 0; i < 10; i++) {
		rotations(b, RUSH + 1);
		spares_stop(b->spares);
		if (i % 2 == 0) {
			spares_free(&b->spares);
			start(b);
		} else {
			struct err err = {0};

			rotations(b, 10); /* without a thread */
			assert_int_equal(spares_ready(b->spares), 0);
			assert_int_equal(spares_start(b->spares, &err), ST_OK);
		}
	}
	all_committed_are_stored(b);
	bench_free(&b);
}

/* Whatever comes in whatever order: the slot of a committed term is never written again. */
static void random_steps(void **state)
{
	struct bench *b = bench_new(true);
	uint8_t dice[2], s[SLOT_SECRET_LEN];

	(void)state;
	while (b->active < TERMS - 20) {
		random_fill(&b->random.random, dice, sizeof dice);
		if (dice[0] < 180)
			rotate(b, 1);
		else if (dice[0] < 200)
			rotate(b, 1 + dice[1] % 10);
		else if (dice[0] < 220) /* undone */
			for (uint32_t i = 1; i <= 1 + dice[1] % 3u; i++)
				assert_int_equal(get(b, b->active + i, s), ST_OK);
		else if (dice[0] < 235)
			clock_manual_advance(&b->clock, dice[1] * NS_PER_S / 100);
		else if (dice[0] < 245)
			await(b, 0);
		else
			spares_close(b->spares);
	}
	spares_close(b->spares);
	all_committed_are_stored(b);
	bench_free(&b);
}

/* ---- with the writer ---- */

static char folder[64];

static int make_folder(void **state)
{
	(void)state;
	strcpy(folder, "/tmp/test_spares.XXXXXX");
	return mkdtemp(folder) == NULL;
}

static int drop_folder(void **state)
{
	char path[96];

	(void)state;
	for (int i = 0; i < 2; i++) {
		snprintf(path, sizeof path, "%s/slots.%d", folder, i);
		unlink(path);
	}
	return rmdir(folder);
}

static enum status rotate_and_fail(void *arg, struct txn *t, struct err *err)
{
	enum status st = rotate_now(t, CAUSE_MANUAL, err);

	(void)arg;
	if (st == ST_OK)
		st = txn_put(t, span_str("undone"), span_str("v"), err);
	return st == ST_OK ? ST_INVALID : st;
}

/* A value under each of the next n terms. */
static void rush(struct rig *r, unsigned n)
{
	char path[16];

	for (unsigned i = 0; i < n; i++) {
		uint32_t term = rig_active(r) + 1;

		assert_int_equal(rig_rotate(r), ST_OK);
		assert_int_equal(rig_active(r), term);
		snprintf(path, sizeof path, "t%u", term);
		assert_int_equal(rig_put(r, path, path), ST_OK);
	}
}

/* After a restart, clean or not, every value is read under its own term. */
static void all_terms_open(struct rig *r)
{
	char path[16], value[16];
	struct err err = {0};

	for (int i = 0; i < 2; i++) {
		if (i == 0)
			rig_stop(r);
		else
			rig_crash(r);
		rig_start(r);
		assert_int_equal(rig_open(r, &err), ST_OK);
		for (uint32_t t = 2; t <= rig_active(r); t++) {
			enum status st;

			snprintf(path, sizeof path, "t%u", t);
			st = rig_get(r, path, value, sizeof value);
			assert_true(st == ST_OK || st == ST_NOT_FOUND);
			assert_int_equal(rig_records(r, t), st == ST_OK ? 1 : 0);
			if (st == ST_OK)
				assert_string_equal(value, path);
		}
	}
	rig_recount(r, 8); /* what the crash may have left */
}

static enum status rotate_fn(void *arg, struct txn *t, struct err *err)
{
	(void)arg;
	return rotate_now(t, CAUSE_MANUAL, err);
}

static void the_writer_rotates_in_a_rush(void **state)
{
	struct rig *r = rig_new(8, folder);
	struct rig_job *j[6];
	uint32_t before;

	(void)state;
	rush(r, 3 * SLOTS_AT_ONCE);
	assert_int_equal(rig_do(r, rotate_and_fail, NULL), ST_INVALID);
	rush(r, 2);
	before = rig_active(r);
	rig_hold(r);
	for (int i = 0; i < 6; i++)
		j[i] = rig_submit(r, i % 2 == 0 ? rotate_and_fail : rotate_fn, NULL);
	rig_release(r);
	for (int i = 0; i < 6; i++)
		assert_int_equal(rig_wait(&j[i], NULL), i % 2 == 0 ? ST_INVALID : ST_OK);
	assert_int_equal(rig_active(r), before + 3);
	rush(r, 2);
	all_terms_open(r);
	rig_free(&r);
}

static void a_commit_that_fails_in_a_rush(void **state)
{
	static const enum faultstore_commit ways[] = {
	    FAULTSTORE_NOT_DONE, FAULTSTORE_UNKNOWN_BUT_DONE, FAULTSTORE_UNKNOWN_AND_NOT_DONE};
	struct faultstore_plan plan = {
	    .call = FAULTSTORE_COMMIT, .nth = 1, .repeat = FAULTSTORE_ONCE, .status = ST_IO};
	struct rig *r = rig_new(8, folder);

	(void)state;
	for (int i = 0; i < 30; i++) {
		uint32_t before = rig_active(r);
		enum status want = i % 3 == 1 ? ST_OK : ST_IO;

		plan.commit = ways[i % 3];
		faultstore_order(r->store, &plan);
		assert_int_equal(rig_rotate(r), want);
		faultstore_mend(r->store);
		assert_int_equal(rig_active(r), before + (want == ST_OK ? 1 : 0));
		rush(r, 3);
	}
	all_terms_open(r);
	rig_free(&r);
}

static void sealed_in_a_rush(void **state)
{
	struct rig *r = rig_new(8, folder);
	struct err err = {0};

	(void)state;
	for (unsigned i = 0; i < 20; i++) {
		rush(r, i % 7); /* sometimes while slots are being made */
		rig_close(r);
		assert_int_equal(rig_open(r, &err), ST_OK);
	}
	all_terms_open(r);
	rig_free(&r);
}

static int setup(void **state)
{
	signal(SIGXFSZ, SIG_IGN);
	return getrlimit(RLIMIT_FSIZE, &file_size) != 0 ? -1 : rig_process(state);
}

int main(void)
{
#define IN_FOLDER(name) cmocka_unit_test_setup_teardown(name, make_folder, drop_folder)
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(nothing_is_made_ahead_without_a_rush),
	    cmocka_unit_test(a_rush_makes_slots_ahead),
	    cmocka_unit_test(more_are_made_when_few_are_left),
	    cmocka_unit_test(old_ones_are_not_used_after_the_rush),
	    cmocka_unit_test(slots_in_memory_are_made_when_needed),
	    cmocka_unit_test(not_ready_yet),
	    cmocka_unit_test(a_rush_that_ends_while_they_are_made),
	    cmocka_unit_test(several_rotations_in_one_commit),
	    cmocka_unit_test(undone_rotation),
	    cmocka_unit_test(undone_rotation_without_a_spare),
	    cmocka_unit_test(they_cannot_be_made),
	    cmocka_unit_test(closed_nothing_is_ready),
	    cmocka_unit_test(stopped_and_started),
	    cmocka_unit_test(random_steps),
	    IN_FOLDER(the_writer_rotates_in_a_rush),
	    IN_FOLDER(a_commit_that_fails_in_a_rush),
	    IN_FOLDER(sealed_in_a_rush),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
