/* Automatic rotation: no term ever does more encryptions than it may, and none stays active beyond its interval. */
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <cmocka.h>

#include "rig.h"

#define HOUR (3600 * NS_PER_S)

static struct rotate_settings settings(uint64_t max_operations, int64_t interval_ns)
{
	struct rotate_settings s = rotate_settings_default;

	s.max_operations = max_operations;
	s.interval_ns = interval_ns;
	return s;
}

static void set(struct rig *r, uint64_t max_operations, int64_t interval_ns)
{
	struct rotate_settings s = settings(max_operations, interval_ns);
	struct err err = {0};

	assert_int_equal(rig_set(r, &s, &err), ST_OK);
}

static void put_n(struct rig *r, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(rig_put(r, "same", "value"), ST_OK);
}

struct burst {
	struct random_seeded *r;
	unsigned most;
};

static enum status put_burst(void *arg, struct txn *t, struct err *err)
{
	struct burst *b = arg;
	uint8_t dice[2];
	char path[16];
	enum status st = ST_OK;

	random_fill(&b->r->random, dice, sizeof dice);
	for (unsigned i = 0; st == ST_OK && i <= dice[0] % b->most; i++) {
		snprintf(path, sizeof path, "p%u", (dice[1] + i) % 97u);
		st = txn_put(t, span_str(path), span_str("v"), err);
	}
	return st;
}

static void terms_within(struct rig *r, uint64_t most)
{
	uint32_t active = rig_active(r);

	for (uint32_t i = 1; i <= active; i++) {
		assert_true(atomic_load(&r->encrypted[i]) <= most);
		assert_true(rig_usage(r, i).encryptions <= most);
	}
}

static void max_operations_is_never_passed(void **state)
{
	struct rig *r = rig_new(8, NULL);
	struct random_seeded random;
	struct burst b = {&random, 30};
	struct rig_job *j[7];
	struct err err = {0};

	(void)state;
	random_seeded_init(&random, 1);
	set(r, 100, 0);
	for (int round = 0; round < 120; round++) {
		rig_hold(r);
		for (int i = 0; i < 7; i++)
			j[i] = rig_submit(r, put_burst, &b);
		rig_release(r);
		for (int i = 0; i < 7; i++)
			assert_int_equal(rig_wait(&j[i], NULL), ST_OK);
	}
	assert_true(rig_active(r) > 80);
	terms_within(r, 100);
	rig_recount(r, 0);
	for (unsigned i = 0; i < atomic_load(&r->n_events); i++) {
		assert_int_equal(r->events[i].cause, CAUSE_MAX_OPERATIONS);
		assert_int_equal(r->events[i].new_term, r->events[i].old_term + 1);
		assert_int_equal(r->events[i].old_encryptions,
		                 rig_usage(r, r->events[i].old_term).encryptions);
	}
	/* Not even the allowances of unclean stops pass it. */
	for (int i = 0; i < 40; i++) {
		put_n(r, 7);
		rig_crash(r);
		rig_start(r);
		assert_int_equal(rig_open(r, &err), ST_OK);
		terms_within(r, 100);
	}
	rig_free(&r);
}

static enum status put_150(void *arg, struct txn *t, struct err *err)
{
	enum status st = ST_OK;
	char path[16];

	(void)arg;
	for (unsigned i = 0; st == ST_OK && i < 150; i++) {
		snprintf(path, sizeof path, "q%u", i);
		st = txn_put(t, span_str(path), span_str("v"), err);
	}
	return st;
}

static void more_at_once_than_a_term_may(void **state)
{
	struct rig *r = rig_new(8, NULL);

	(void)state;
	set(r, 100, 0);
	put_n(r, 3);
	assert_int_equal(rig_do(r, put_150, NULL), ST_LIMIT);
	terms_within(r, 100);
	set(r, 1000, 0);
	assert_int_equal(rig_do(r, put_150, NULL), ST_OK);
	rig_recount(r, 0);
	rig_free(&r);
}

static void a_limit_set_below_the_count_rotates_at_once(void **state)
{
	struct rig *r = rig_new(8, NULL);

	(void)state;
	put_n(r, 50);
	set(r, 1000, 0);
	assert_int_equal(rig_active(r), 1);
	set(r, 40, 0);
	assert_int_equal(rig_active(r), 2);
	assert_int_equal(rig_settings(r).max_operations, 40);
	assert_int_equal(atomic_load(&r->n_events), 1);
	assert_int_equal(r->events[0].cause, CAUSE_MAX_OPERATIONS);
	assert_int_equal(r->events[0].old_encryptions, 50);
	rig_recount(r, 0);
	rig_free(&r);
}

/* ---- the interval ---- */

static void the_interval_rotates_by_itself(void **state)
{
	struct rig *r = rig_new(8, NULL);

	(void)state;
	set(r, 1000, 24 * HOUR);
	clock_manual_advance(&r->clock, 24 * HOUR - 1);
	rig_settle(r);
	assert_int_equal(atomic_load(&r->n_events), 0);
	clock_manual_advance(&r->clock, 1);
	rig_settle(r);
	assert_int_equal(atomic_load(&r->n_events), 1);
	assert_int_equal(r->events[0].cause, CAUSE_INTERVAL);
	assert_int_equal(rig_active(r), 2);
	/* Not again before another interval. */
	clock_manual_advance(&r->clock, 24 * HOUR - 1);
	rig_settle(r);
	assert_int_equal(rig_active(r), 2);
	clock_manual_advance(&r->clock, 1);
	rig_settle(r);
	assert_int_equal(rig_active(r), 3);
	rig_recount(r, 0);
	rig_free(&r);
}

static void clock_jumps(void **state)
{
	struct rig *r = rig_new(8, NULL);
	int64_t start = clock_wall_ns(&r->clock.clock);

	(void)state;
	set(r, 1000, 24 * HOUR);
	/* Forth: it is due, once. */
	clock_manual_set_wall(&r->clock, start + 100 * HOUR);
	rig_settle(r);
	assert_int_equal(rig_active(r), 2);
	/* Back: the term grows no younger; its age goes on by the other clock. */
	clock_manual_advance(&r->clock, 12 * HOUR);
	rig_settle(r);
	clock_manual_set_wall(&r->clock, start - 1000 * HOUR);
	rig_settle(r);
	assert_int_equal(rig_active(r), 2);
	clock_manual_advance(&r->clock, 12 * HOUR - 1);
	rig_settle(r);
	assert_int_equal(rig_active(r), 2);
	clock_manual_advance(&r->clock, 1);
	rig_settle(r);
	assert_int_equal(rig_active(r), 3);
	rig_free(&r);
}

static void clock_set_back_over_a_restart(void **state)
{
	struct rig *r = rig_new(8, NULL);
	int64_t start = clock_wall_ns(&r->clock.clock);
	struct err err = {0};

	(void)state;
	set(r, 1000, 24 * HOUR);
	clock_manual_advance(&r->clock, 23 * HOUR);
	rig_stop(r);
	clock_manual_set_wall(&r->clock, start - 500 * HOUR);
	rig_start(r);
	assert_int_equal(rig_open(r, &err), ST_OK);
	rig_settle(r);
	assert_int_equal(rig_active(r), 1);
	clock_manual_advance(&r->clock, HOUR - 1);
	rig_settle(r);
	assert_int_equal(rig_active(r), 1);
	clock_manual_advance(&r->clock, 1);
	rig_settle(r);
	assert_int_equal(rig_active(r), 2);
	rig_free(&r);
}

/* After a crash it is as old as the last commit knew. */
static void clock_set_back_over_a_crash(void **state)
{
	struct rig *r = rig_new(8, NULL);
	int64_t start = clock_wall_ns(&r->clock.clock);
	struct err err = {0};

	(void)state;
	set(r, 1000, 24 * HOUR);
	clock_manual_advance(&r->clock, 23 * HOUR);
	assert_int_equal(rig_put(r, "p", "v"), ST_OK);
	rig_crash(r);
	clock_manual_set_wall(&r->clock, start - 500 * HOUR);
	rig_start(r);
	assert_int_equal(rig_open(r, &err), ST_OK);
	clock_manual_advance(&r->clock, HOUR - 1);
	rig_settle(r);
	assert_int_equal(rig_active(r), 1);
	clock_manual_advance(&r->clock, 1);
	rig_settle(r);
	assert_int_equal(rig_active(r), 2);
	rig_free(&r);
}

static void due_while_sealed(void **state)
{
	struct rig *r = rig_new(8, NULL);
	struct err err = {0};

	(void)state;
	set(r, 1000, 24 * HOUR);
	rig_close(r);
	clock_manual_advance(&r->clock, 30 * HOUR);
	rig_settle(r);
	assert_int_equal(atomic_load(&r->n_events), 0);
	assert_int_equal(rig_open(r, &err), ST_OK);
	rig_settle(r);
	assert_int_equal(rig_active(r), 2);
	assert_int_equal(r->events[0].cause, CAUSE_INTERVAL);
	rig_recount(r, 0);
	rig_free(&r);
}

/* ---- off ---- */

static void off_counts_on(void **state)
{
	struct rig *r = rig_new(8, NULL);
	struct rotate_settings s = settings(20, 24 * HOUR);
	struct err err = {0};

	(void)state;
	s.enabled = false;
	assert_int_equal(rig_set(r, &s, &err), ST_OK);
	put_n(r, 60);
	clock_manual_advance(&r->clock, 100 * HOUR);
	rig_settle(r);
	assert_int_equal(rig_active(r), 1);
	assert_int_equal(rig_usage(r, 1).encryptions, 60);
	/* On again: what is overdue happens at once. */
	s.enabled = true;
	assert_int_equal(rig_set(r, &s, &err), ST_OK);
	assert_int_equal(rig_active(r), 2);
	rig_recount(r, 0);
	rig_free(&r);
}

/* The usage record of term 1 says this many encryptions. */
static void set_count(struct rig *r, uint64_t encryptions)
{
	const struct storage_driver *d = r->inner->driver;
	struct usage u = rig_usage(r, 1);
	struct hmac_key *mac;
	struct storage_txn *t;
	struct builder b = {0};
	struct err err = {0};

	rig_stop(r);
	assert_int_equal(hmac_key_new(secret_span(r->mac), &mac), ST_OK);
	u.encryptions = encryptions;
	usage_encode(mac, 1, &u, &b);
	assert_int_equal(d->write_begin(r->inner, &t, &err), ST_OK);
	assert_int_equal(d->put(t, span_str("core/usage/00000001"), builder_span(&b), &err), ST_OK);
	assert_int_equal(d->commit(&t, &err), STORAGE_DONE);
	builder_free(&b);
	hmac_key_free(&mac);
	rig_start(r);
	assert_int_equal(rig_open(r, &err), ST_OK);
}

static enum status put_one(void *arg, struct txn *t, struct err *err)
{
	return txn_put(t, span_str(arg), span_str("v"), err);
}

static void the_hard_bound(void **state)
{
	struct rig *r = rig_new(8, NULL);
	struct rotate_settings s = settings(1000, 0);
	char path[] = "p";
	struct err err = {0};
	unsigned done = 0;

	(void)state;
	s.enabled = false;
	assert_int_equal(rig_set(r, &s, &err), ST_OK);
	assert_int_equal(rig_put(r, "old", "v"), ST_OK);
	set_count(r, AEAD_GCM_HARD_LIMIT - 20);
	while (rig_do_err(r, put_one, path, &err) == ST_OK)
		assert_true(++done <= 20);
	assert_true(done >= 12);
	assert_int_equal(rig_do_err(r, put_one, path, &err), ST_UNAVAILABLE);
	assert_non_null(strstr(err.text, "2^32"));
	assert_int_equal(rig_usage(r, 1).encryptions, AEAD_GCM_HARD_LIMIT - 20 + done);
	/* What encrypts nothing still works: deleting, settings. */
	assert_int_equal(rig_delete(r, "old"), ST_OK);
	s.interval_ns = 48 * HOUR;
	assert_int_equal(rig_set(r, &s, &err), ST_OK);
	/* And so does the way out. */
	assert_int_equal(rig_rotate(r), ST_OK);
	assert_int_equal(rig_put(r, "p", "v"), ST_OK);
	assert_int_equal(rig_usage(r, 2).encryptions, 1);
	rig_free(&r);
}

static void the_default_limit_rotates_below_the_hard_bound(void **state)
{
	struct rig *r = rig_new(8, NULL);

	(void)state;
	set_count(r, ROTATE_MAX_OPERATIONS_DEFAULT - 9);
	assert_int_equal(rig_put(r, "p", "v"), ST_OK);
	assert_int_equal(rig_active(r), 1);
	assert_int_equal(rig_put(r, "p", "v"), ST_OK);
	assert_int_equal(rig_active(r), 2);
	assert_int_equal(rig_usage(r, 1).encryptions, ROTATE_MAX_OPERATIONS_DEFAULT - 8);
	assert_int_equal(rig_usage(r, 2).encryptions, 1);
	rig_free(&r);
}

/* ---- when no new term can be made ---- */

static char folder[64];
static struct rlimit file_size;

static int make_folder(void **state)
{
	(void)state;
	signal(SIGXFSZ, SIG_IGN);
	strcpy(folder, "/tmp/test_limits.XXXXXX");
	return mkdtemp(folder) == NULL || getrlimit(RLIMIT_FSIZE, &file_size) != 0;
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

/* No file can be written any more, or all again. */
static void disk_full(void)
{
	struct rlimit none = {.rlim_cur = 0, .rlim_max = file_size.rlim_max};

	assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
}

static void disk_free(void)
{
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &file_size), 0);
}

static uint64_t failed(struct rig *r)
{
	struct writer_stats s;

	writer_stats(r->writer, &s);
	return s.rotations_failed;
}

static void writes_are_refused_rather_than_the_limit_passed(void **state)
{
	struct rig *r = rig_new(8, folder);
	char path[] = "p";
	struct err err = {0};
	enum status manual;
	unsigned done = 0;

	(void)state;
	set(r, 30, 0);
	disk_full();
	while (rig_do_err(r, put_one, path, &err) == ST_OK)
		done++;
	assert_int_equal(rig_do_err(r, put_one, path, &err), ST_UNAVAILABLE);
	manual = rig_rotate(r);
	disk_free();
	assert_int_equal(manual, ST_FULL);
	assert_int_equal(done, 30 - 8);
	assert_non_null(strstr(err.text, "no new term can be made"));
	assert_true(failed(r) >= 2);
	assert_int_equal(rig_active(r), 1);
	/* Nothing stands in the way once there is room. */
	assert_int_equal(rig_put(r, "p", "v"), ST_OK);
	assert_int_equal(rig_active(r), 2);
	terms_within(r, 30);
	rig_recount(r, 0);
	rig_free(&r);
}

static void a_failed_interval_rotation_is_retried(void **state)
{
	struct rig *r = rig_new(8, folder);

	(void)state;
	set(r, 1000, 24 * HOUR);
	disk_full();
	clock_manual_advance(&r->clock, 24 * HOUR);
	rig_settle(r);
	rig_settle(r);
	assert_int_equal(failed(r), 1); /* not again and again while the clock stands */
	assert_int_equal(rig_put(r, "p", "v"), ST_OK); /* writes go on */
	assert_int_equal(failed(r), 1);
	clock_manual_advance(&r->clock, NS_PER_S);
	rig_settle(r);
	assert_int_equal(failed(r), 2);
	disk_free();
	clock_manual_advance(&r->clock, NS_PER_S);
	rig_settle(r);
	assert_int_equal(rig_active(r), 1); /* twice the wait by now */
	clock_manual_advance(&r->clock, NS_PER_S);
	rig_settle(r);
	assert_int_equal(rig_active(r), 2);
	rig_recount(r, 0);
	rig_free(&r);
}

/* It once was tried again at once, for ever, when the slots could be written and the commit could not. */
static void an_interval_rotation_that_cannot_be_committed_waits_too(void **state)
{
	const struct faultstore_plan plan = {
	    .call = FAULTSTORE_COMMIT, .nth = 1, .repeat = FAULTSTORE_FOR_EVER, .status = ST_FULL};
	struct rig *r = rig_new(8, NULL);
	size_t tried;

	(void)state;
	set(r, 1000, 24 * HOUR);
	faultstore_order(r->store, &plan);
	clock_manual_advance(&r->clock, 24 * HOUR);
	rig_settle(r);
	tried = faultstore_calls(r->store, FAULTSTORE_COMMIT);
	assert_int_equal(tried, 1);
	rig_settle(r);
	assert_int_equal(faultstore_calls(r->store, FAULTSTORE_COMMIT), 1);
	assert_int_equal(failed(r), 1);
	faultstore_mend(r->store);
	clock_manual_advance(&r->clock, NS_PER_S);
	rig_settle(r);
	assert_int_equal(rig_active(r), 2);
	rig_recount(r, 0);
	rig_free(&r);
}

static void a_limit_that_needs_a_term_is_refused_without_one(void **state)
{
	struct rotate_settings s = settings(10, 0);
	struct rig *r = rig_new(8, folder);
	struct err err = {0};
	enum status st;

	(void)state;
	put_n(r, 20);
	disk_full();
	st = rig_set(r, &s, &err);
	disk_free();
	assert_int_equal(st, ST_UNAVAILABLE);
	assert_int_equal(rig_settings(r).max_operations, ROTATE_MAX_OPERATIONS_DEFAULT);
	assert_int_equal(rig_active(r), 1);
	rig_free(&r);
}

/* ---- the rules ---- */

static void check_settings(void **state)
{
	static const struct {
		uint64_t max;
		int64_t interval;
		enum status want;
	} rows[] = {
	    {1000000, 0, ST_OK},
	    {999999, 0, ST_INVALID},
	    {0, 0, ST_INVALID},
	    {3865470566, 0, ST_OK},
	    {3865470567, 0, ST_INVALID},
	    {UINT64_MAX, 0, ST_INVALID},
	    {1000000, 24 * HOUR, ST_OK},
	    {1000000, 24 * HOUR - 1, ST_INVALID},
	    {1000000, 1, ST_INVALID},
	    {1000000, -1, ST_INVALID},
	    {1000000, INT64_MIN, ST_INVALID},
	    {1000000, INT64_C(2562047) * HOUR, ST_OK},
	    {1000000, INT64_C(2562047) * HOUR + 1, ST_INVALID},
	};
	struct err err;

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct rotate_settings s = settings(rows[i].max, rows[i].interval);

		assert_int_equal(rotate_check(&s, &err), rows[i].want);
	}
	struct rotate_settings s = settings(1, 0);
	assert_int_equal(rotate_check(&s, &err), ST_INVALID);
	assert_string_equal(err.text, "max_operations must be in the range [1000000,3865470566]");
	s = settings(1000000, HOUR);
	assert_int_equal(rotate_check(&s, &err), ST_INVALID);
	assert_string_equal(err.text, "interval must be greater or equal to 24h0m0s");
}

int main(void)
{
#define IN_FOLDER(name) cmocka_unit_test_setup_teardown(name, make_folder, drop_folder)
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(max_operations_is_never_passed),
	    cmocka_unit_test(more_at_once_than_a_term_may),
	    cmocka_unit_test(a_limit_set_below_the_count_rotates_at_once),
	    cmocka_unit_test(the_interval_rotates_by_itself),
	    cmocka_unit_test(clock_jumps),
	    cmocka_unit_test(clock_set_back_over_a_restart),
	    cmocka_unit_test(clock_set_back_over_a_crash),
	    cmocka_unit_test(due_while_sealed),
	    cmocka_unit_test(off_counts_on),
	    cmocka_unit_test(the_hard_bound),
	    cmocka_unit_test(the_default_limit_rotates_below_the_hard_bound),
	    IN_FOLDER(writes_are_refused_rather_than_the_limit_passed),
	    IN_FOLDER(a_failed_interval_rotation_is_retried),
	    cmocka_unit_test(an_interval_rotation_that_cannot_be_committed_waits_too),
	    IN_FOLDER(a_limit_that_needs_a_term_is_refused_without_one),
	    cmocka_unit_test(check_settings),
	};

	return cmocka_run_group_tests(tests, rig_process, NULL);
}
