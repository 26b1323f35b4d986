/*
 * The life of an engine with objects of its own: they are made, dropped and freed; its mounts are ticked on the writer when they should be; what it keeps in memory
 * is stored before the store closes; its notes are in the audit when their change is durable, and only then.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/house.h"

#define MOUNTS_MAX 16

/* ---- the engine ---- */

/* What a thread keeps. */
struct toy_thread {
	unsigned used;
};

struct toy_mount {
	char path[32];
	unsigned ticks, closings;
	int64_t ticked_at;
};

static struct toy {
	atomic_uint made, dropped, freed, closed;
	unsigned dropped_before_closing; /* loops' objects, as closing saw it */
	struct toy_mount mounts[MOUNTS_MAX];
	size_t n;
	const struct toy_thread *writers, *loops;
	enum status tick_answer, closing_answer;
	const char *closing_fails_at;
	int64_t next_ns;
	bool tick_waits;
	sem_t ticking, go_on;
} toy;

static struct toy_mount *toy_mount(struct span path)
{
	for (size_t i = 0; i < toy.n; i++)
		if (span_eq_str(path, toy.mounts[i].path))
			return &toy.mounts[i];
	assert_true(toy.n < MOUNTS_MAX);
	assert_int_equal(span_cstr(path, toy.mounts[toy.n].path, sizeof toy.mounts[toy.n].path),
	                 ST_OK);
	return &toy.mounts[toy.n++];
}

static enum status thread_new(void *self, void **ret)
{
	struct toy_thread *t = calloc(1, sizeof *t);

	assert_ptr_equal(self, &toy);
	atomic_fetch_add(&toy.made, 1);
	*ret = t;
	return t != NULL ? ST_OK : ST_NOMEM;
}

static void thread_drop(void *thread)
{
	((struct toy_thread *)thread)->used = 0;
	atomic_fetch_add(&toy.dropped, 1);
}

static void thread_free(void **thread)
{
	free(*thread);
	*thread = NULL;
	atomic_fetch_add(&toy.freed, 1);
}

static enum status tick(void *self, void *thread, const struct view *mount,
                        const struct mount_facts *facts, int64_t now_ns, int64_t *ret_next_ns,
                        struct err *err)
{
	struct toy_mount *m = toy_mount(facts->path);
	char text[16];

	assert_ptr_equal(self, &toy);
	assert_non_null(thread);
	if (toy.writers != NULL)
		assert_ptr_equal(thread, toy.writers);
	m->ticks++;
	m->ticked_at = now_ns;
	if (toy.tick_waits) {
		toy.tick_waits = false;
		sem_post(&toy.ticking);
		sem_wait(&toy.go_on);
	}
	(void)snprintf(text, sizeof text, "%u", m->ticks);
	assert_int_equal(view_put(mount, span_str("ticks"), span_str(text), err), ST_OK);
	assert_int_equal(view_note(mount, span_str("{\"what\":\"tick\"}"), err), ST_OK);
	if (toy.tick_answer != ST_OK)
		return err_set(err, toy.tick_answer, "as told");
	*ret_next_ns = toy.next_ns;
	return ST_OK;
}

static enum status closing(void *self, void *thread, const struct view *mount, struct err *err)
{
	struct span value;

	assert_ptr_equal(self, &toy);
	assert_non_null(thread);
	assert_true(view_can_write(mount));
	toy.dropped_before_closing = atomic_load(&toy.dropped);
	if (view_get(mount, span_str("name"), &value, err) == ST_OK) {
		struct toy_mount *m = toy_mount(value);

		m->closings++;
		assert_int_equal(view_put(mount, span_str("closed"), value, err), ST_OK);
		if (toy.closing_fails_at != NULL && strcmp(m->path, toy.closing_fails_at) == 0)
			return err_set(err, ST_IO, "as told");
	}
	return toy.closing_answer;
}

static void closed(void *self)
{
	assert_ptr_equal(self, &toy);
	atomic_fetch_add(&toy.closed, 1);
}

static const struct engine_life life = {.thread_new = thread_new,
                                        .thread_drop = thread_drop,
                                        .thread_free = thread_free,
                                        .tick = tick,
                                        .closing = closing,
                                        .closed = closed};

static enum status answer_text(struct op *op, struct span text)
{
	struct json_writer w;

	json_writer_init(&w, &op->ans->data);
	json_begin_object(&w);
	json_put_string(&w, "v", text);
	json_end_object(&w);
	op->ans->shape = ANSWER_DATA;
	return op->ans->status = builder_status(&op->ans->data);
}

static enum status get_op(struct op *op)
{
	struct span value;
	enum status st = view_get(&op->view, op->arg[0], &value, &op->ans->err);

	assert_ptr_equal(op->self, &toy);
	toy.loops = op->thread;
	return st == ST_OK ? answer_text(op, value) : st;
}

/* Stores its mount's path under "name". */
static enum status name_op(struct op *op)
{
	assert_ptr_equal(op->self, &toy);
	assert_true(op->wake_ns == INT64_MAX);
	toy.writers = op->thread;
	op->ans->shape = ANSWER_EMPTY;
	return view_put(&op->view, span_str("name"), op->mount->path, &op->ans->err);
}

static enum status wake_op(struct op *op)
{
	int64_t at_s, fail = 0;

	assert_int_equal(request_int(op->req, "at", &at_s, &op->ans->err), ST_OK);
	(void)!request_int(op->req, "fail", &fail, &op->ans->err);
	op->wake_ns = op->now_ns + at_s * NS_PER_S;
	op->ans->shape = ANSWER_EMPTY;
	return fail != 0 ? answer_fail(op->ans, ST_CONFLICT, "as told") : ST_OK;
}

static enum status nudge_op(struct op *op)
{
	assert_false(view_can_write(&op->view));
	op->nudge = true;
	op->ans->shape = ANSWER_EMPTY;
	return ST_OK;
}

/* A note, with a change; ?fail=1: fails then. */
static enum status note_op(struct op *op)
{
	int64_t fail = 0;
	enum status st = view_note(&op->view, span_str("{\"what\":\"a change\"}"), &op->ans->err);

	(void)!request_int(op->req, "fail", &fail, &op->ans->err);
	op->ans->shape = ANSWER_EMPTY;
	if (st == ST_OK)
		st = view_put(&op->view, span_str("noted"), span_str("x"), &op->ans->err);
	return st == ST_OK && fail != 0 ? answer_fail(op->ans, ST_CONFLICT, "as told") : st;
}

static const struct operation operations[] = {
    {"get", VERB_READ, "get/:name", OP_READ, 0, get_op, NULL},
    {"name", VERB_WRITE, "name", OP_WRITE, 0, name_op, NULL},
    {"wake", VERB_WRITE, "wake", OP_WRITE, 0, wake_op, NULL},
    {"nudge", VERB_WRITE, "nudge", OP_READ, 0, nudge_op, NULL},
    {"note", VERB_WRITE, "note", OP_WRITE, 0, note_op, NULL},
};

static const struct engine engine_toy = {"toy", operations, sizeof operations / sizeof *operations,
                                         &life};

/* ---- the house ---- */

static char audit_file[64];

static struct house *toy_house(const char *file)
{
	toy = (struct toy){.next_ns = INT64_MAX};
	assert_int_equal(sem_init(&toy.ticking, 0, 0), 0);
	assert_int_equal(sem_init(&toy.go_on, 0, 0), 0);
	return house_with(&engine_toy, &toy, file);
}

static void mount_toy(struct house *h, const char *name)
{
	char path[64];

	(void)snprintf(path, sizeof path, "sys/mounts/%s", name);
	assert_int_equal(house_ask(h, VERB_WRITE, path, h->root, "{\"type\":\"toy\"}"), ST_OK);
	(void)snprintf(path, sizeof path, "%s/name", name);
	assert_int_equal(house_ask(h, VERB_WRITE, path, h->root, "{}"), ST_OK);
	house_settle(h);
}

static struct house *open_house(const char *file)
{
	struct house *h = toy_house(file);

	house_open(h);
	house_settle(h);
	mount_toy(h, "a");
	mount_toy(h, "b");
	return h;
}

static void seal(struct house *h)
{
	assert_int_equal(house_ask(h, VERB_WRITE, "sys/seal", h->root, NULL), ST_OK);
}

static void unseal(struct house *h)
{
	char body[256];

	(void)snprintf(body, sizeof body, "{\"key\":\"%s\"}", h->share);
	assert_int_equal(house_ask(h, VERB_WRITE, "sys/unseal", "", body), ST_OK);
	house_settle(h);
}

static unsigned ticks(const char *path)
{
	return toy_mount(span_str(path))->ticks;
}

static void do_wake(struct house *h, const char *target, enum status expected)
{
	assert_int_equal(house_ask(h, VERB_WRITE, target, h->root, "{}"), expected);
}

static void nudge(struct house *h, const char *name)
{
	char path[64];

	(void)snprintf(path, sizeof path, "%s/nudge", name);
	assert_int_equal(house_ask(h, VERB_WRITE, path, h->root, "{}"), ST_OK);
}

static bool has(struct house *h, const char *target, const char *value)
{
	char v[32];

	if (house_ask(h, VERB_READ, target, h->root, NULL) != ST_OK)
		return false;
	house_member(&h->data, "v", v, sizeof v);
	return strcmp(v, value) == 0;
}

static uint64_t unclean_stops(const struct house *h)
{
	struct writer_stats s;

	writer_stats(h->writer, &s);
	return s.unclean_stops;
}

static unsigned lines_with(const char *what)
{
	char line[4096];
	unsigned n = 0;
	FILE *f = fopen(audit_file, "re");

	assert_non_null(f);
	while (fgets(line, sizeof line, f) != NULL)
		n += strstr(line, what) != NULL;
	assert_int_equal(fclose(f), 0);
	return n;
}

static struct house *audited_house(void)
{
	int fd;

	(void)snprintf(audit_file, sizeof audit_file, "/tmp/keyturn-life-XXXXXX");
	fd = mkstemp(audit_file);
	assert_true(fd >= 0);
	assert_int_equal(close(fd), 0);
	return open_house(audit_file);
}

static void free_audited(struct house **h)
{
	house_free(h);
	assert_int_equal(unlink(audit_file), 0);
}

static enum status nothing(void *arg, struct txn *t, struct err *err)
{
	(void)arg;
	(void)t;
	(void)err;
	return ST_OK;
}

/* ---- objects ---- */

static void each_thread_has_an_object(void **state)
{
	struct house *h = open_house(NULL);

	(void)state;
	assert_int_equal(atomic_load(&toy.made), 2); /* one loop, the writer */
	assert_true(has(h, "a/get/name", "a/"));
	assert_non_null(toy.writers);
	assert_non_null(toy.loops);
	assert_ptr_not_equal(toy.loops, toy.writers);
	assert_int_equal(atomic_load(&toy.dropped), 0);
	seal(h);
	assert_int_equal(atomic_load(&toy.dropped), 2);
	assert_int_equal(atomic_load(&toy.closed), 1);
	unseal(h);
	assert_true(has(h, "a/get/name", "a/"));
	assert_int_equal(atomic_load(&toy.made), 2);
	assert_int_equal(atomic_load(&toy.freed), 0);
	house_free(&h);
	assert_int_equal(atomic_load(&toy.closed), 2);
	assert_int_equal(atomic_load(&toy.freed), 2);
}

static void a_house_that_never_opens_frees_them(void **state)
{
	struct house *h = toy_house(NULL);

	(void)state;
	house_free(&h);
	assert_int_equal(atomic_load(&toy.freed), 2);
	assert_int_equal(atomic_load(&toy.closed), 0);
}

static void a_reopened_store_is_forgotten_by_the_loops(void **state)
{
	struct house *h = open_house(NULL);

	(void)state;
	house_fail_commit(h, FAULTSTORE_UNKNOWN_BUT_DONE);
	do_wake(h, "a/name", ST_OK);
	assert_int_equal(atomic_load(&toy.dropped), 1); /* the loop's */
	assert_int_equal(atomic_load(&toy.closed), 0);
	house_free(&h);
}

/* ---- ticks ---- */

static void every_mount_is_ticked_after_unsealing(void **state)
{
	struct house *h = open_house(NULL);

	(void)state;
	assert_int_equal(
	    house_ask(h, VERB_WRITE, "sys/mounts/secret", h->root, "{\"type\":\"kv\"}"), ST_OK);
	house_later(h, 1000);
	assert_int_equal(toy.mounts[0].ticks + toy.mounts[1].ticks, 0);
	seal(h);
	unseal(h);
	assert_int_equal(ticks("a/"), 1);
	assert_int_equal(ticks("b/"), 1);
	assert_true(has(h, "a/get/ticks", "1"));
	house_later(h, 1000000); /* it wanted no more */
	assert_int_equal(ticks("a/"), 1);
	house_free(&h);
}

static void a_handler_says_when(void **state)
{
	struct house *h = open_house(NULL);

	(void)state;
	do_wake(h, "a/wake?at=100", ST_OK);
	do_wake(h, "a/wake?at=300", ST_OK);
	do_wake(h, "b/wake?at=200&fail=1", ST_CONFLICT);
	house_later(h, 99);
	assert_int_equal(ticks("a/"), 0);
	house_later(h, 1);
	assert_int_equal(ticks("a/"), 1);
	house_later(h, 1000);
	assert_int_equal(ticks("a/"), 1);
	assert_int_equal(ticks("b/"), 0);
	house_free(&h);
}

static void a_tick_says_when(void **state)
{
	struct house *h = open_house(NULL);

	(void)state;
	toy.next_ns = clock_wall_ns(&h->clock.clock) + 500 * NS_PER_S;
	do_wake(h, "a/wake?at=0", ST_OK);
	house_settle(h);
	assert_int_equal(ticks("a/"), 1);
	house_later(h, 499);
	assert_int_equal(ticks("a/"), 1);
	toy.next_ns = INT64_MAX;
	house_later(h, 1);
	assert_int_equal(ticks("a/"), 2);
	assert_int_equal(ticks("b/"), 0);
	assert_true(has(h, "a/get/ticks", "2"));
	house_free(&h);
}

static void many_nudges_are_one_tick(void **state)
{
	struct house *h = open_house(NULL);

	(void)state;
	house_hold(h);
	for (int i = 0; i < 50; i++)
		nudge(h, "a");
	house_release(h);
	house_settle(h);
	assert_int_equal(ticks("a/"), 1);
	assert_int_equal(ticks("b/"), 0);
	nudge(h, "a");
	nudge(h, "b");
	house_settle(h);
	assert_int_equal(ticks("a/"), 2);
	assert_int_equal(ticks("b/"), 1);
	house_free(&h);
}

/* More mounts than a loop keeps jobs for. */
static void no_nudge_is_lost_in_a_crowd(void **state)
{
	struct house *h = open_house(NULL);
	char name[8];

	(void)state;
	for (int i = 0; i < 12; i++) {
		(void)snprintf(name, sizeof name, "m%02d", i);
		mount_toy(h, name);
	}
	house_hold(h);
	for (int i = 0; i < 12; i++) {
		(void)snprintf(name, sizeof name, "m%02d", i);
		nudge(h, name);
	}
	house_release(h);
	house_settle(h);
	for (int i = 0; i < 12; i++) {
		(void)snprintf(name, sizeof name, "m%02d/", i);
		assert_true(ticks(name) >= 1);
	}
	house_free(&h);
}

static void a_nudge_during_a_tick_is_another_tick(void **state)
{
	struct house *h = open_house(NULL);

	(void)state;
	toy.tick_waits = true;
	nudge(h, "a");
	while (sem_wait(&toy.ticking) != 0)
		;
	nudge(h, "a");
	nudge(h, "a");
	sem_post(&toy.go_on);
	house_settle(h);
	assert_int_equal(ticks("a/"), 2);
	house_free(&h);
}

static void a_nudge_of_an_unmounted_engine_is_nothing(void **state)
{
	struct house *h = open_house(NULL);
	struct house_call *unmount;

	(void)state;
	house_hold(h);
	unmount = house_send(h, VERB_DELETE, "sys/mounts/a", h->root, NULL);
	nudge(h, "a");
	house_release(h);
	assert_int_equal(house_wait(h, &unmount), ST_OK);
	house_settle(h);
	assert_int_equal(ticks("a/"), 0);
	house_free(&h);
}

static void a_failed_tick_is_undone_and_tried_again(void **state)
{
	struct house *h = open_house(NULL);

	(void)state;
	toy.tick_answer = ST_IO;
	nudge(h, "a");
	house_settle(h);
	assert_int_equal(ticks("a/"), 1);
	assert_false(has(h, "a/get/ticks", "1"));
	nudge(h, "a"); /* nobody hurries it */
	nudge(h, "b"); /* nor does it hold others up */
	house_settle(h);
	assert_int_equal(ticks("a/"), 1);
	assert_int_equal(ticks("b/"), 1);
	house_later(h, 1);
	assert_int_equal(ticks("a/"), 2);
	house_later(h, 1);
	assert_int_equal(ticks("a/"), 2);
	toy.tick_answer = ST_OK;
	house_later(h, 1);
	assert_int_equal(ticks("a/"), 3);
	assert_true(has(h, "a/get/ticks", "3"));
	house_later(h, 1000);
	assert_int_equal(ticks("a/"), 3);
	house_free(&h);
}

static void a_tick_whose_commit_failed_runs_again(void **state)
{
	struct house *h = open_house(NULL);

	(void)state;
	house_hold(h);
	house_fail_commit(h, FAULTSTORE_NOT_DONE);
	nudge(h, "a");
	house_release(h);
	(void)house_write(h, nothing, NULL); /* behind the nudge, in its group or not */
	assert_int_equal(ticks("a/"), 1);
	house_later(h, 60);
	assert_int_equal(ticks("a/"), 2);
	assert_true(has(h, "a/get/ticks", "2"));
	house_later(h, 1000);
	assert_int_equal(ticks("a/"), 2);
	house_free(&h);
}

/* ---- closing ---- */

static void what_was_in_memory_is_stored_at_the_seal(void **state)
{
	struct house *h = open_house(NULL);

	(void)state;
	seal(h);
	assert_int_equal(toy_mount(span_str("a/"))->closings, 1);
	assert_int_equal(toy_mount(span_str("b/"))->closings, 1);
	assert_int_equal(toy.dropped_before_closing,
	                 1); /* the loop's; the writer's is for the closing */
	unseal(h);
	assert_int_equal(unclean_stops(h), 0);
	assert_true(has(h, "a/get/closed", "a/"));
	assert_true(has(h, "b/get/closed", "b/"));
	house_free(&h);
	assert_int_equal(toy_mount(span_str("a/"))->closings, 2);
}

static void one_that_fails_to_close_hinders_nobody(void **state)
{
	struct house *h = open_house(NULL);

	(void)state;
	toy.closing_fails_at = "a/";
	seal(h);
	unseal(h);
	assert_int_equal(unclean_stops(h), 0);
	assert_false(has(h, "a/get/closed", "a/"));
	assert_true(has(h, "b/get/closed", "b/"));
	house_free(&h);
}

static void a_closing_that_cannot_be_committed_is_a_clean_stop(void **state)
{
	struct house *h = open_house(NULL);

	(void)state;
	house_fail_commit(h, FAULTSTORE_NOT_DONE);
	seal(h);
	unseal(h);
	assert_int_equal(unclean_stops(h), 0);
	assert_false(has(h, "a/get/closed", "a/"));
	assert_false(has(h, "b/get/closed", "b/"));
	house_free(&h);
}

static void a_closing_of_unknown_outcome_is_settled(void **state)
{
	static const enum faultstore_commit how[] = {FAULTSTORE_UNKNOWN_BUT_DONE,
	                                             FAULTSTORE_UNKNOWN_AND_NOT_DONE};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct house *h = open_house(NULL);

		house_fail_commit(h, how[i]);
		seal(h);
		unseal(h);
		assert_int_equal(unclean_stops(h), 0);
		assert_int_equal(has(h, "a/get/closed", "a/"), i == 0);
		house_free(&h);
	}
}

/* ---- notes ---- */

static void a_note_is_audited_with_its_change(void **state)
{
	struct house *h = audited_house();

	(void)state;
	do_wake(h, "a/note", ST_OK);
	assert_int_equal(lines_with("\"type\":\"event\",\"event\":{\"what\":\"a change\"}}"), 1);
	do_wake(h, "a/note?fail=1", ST_CONFLICT);
	house_fail_commit(h, FAULTSTORE_NOT_DONE);
	do_wake(h, "a/note", ST_IO);
	assert_int_equal(lines_with("a change"), 1);
	house_fail_commit(h, FAULTSTORE_UNKNOWN_AND_NOT_DONE);
	do_wake(h, "a/note", ST_IO);
	assert_int_equal(lines_with("a change"), 1);
	house_fail_commit(h, FAULTSTORE_UNKNOWN_BUT_DONE);
	do_wake(h, "a/note", ST_OK);
	assert_int_equal(lines_with("a change"), 2);
	free_audited(&h);
}

static void a_tick_is_audited_when_it_counts(void **state)
{
	struct house *h = audited_house();

	(void)state;
	toy.tick_answer = ST_IO;
	nudge(h, "a");
	house_settle(h);
	assert_int_equal(ticks("a/"), 1);
	assert_int_equal(lines_with("\"event\""), 0);
	toy.tick_answer = ST_OK;
	house_later(h, 1);
	assert_int_equal(ticks("a/"), 2);
	assert_int_equal(lines_with("\"event\":{\"what\":\"tick\"}"), 1);
	free_audited(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_thread_has_an_object),
	    cmocka_unit_test(a_house_that_never_opens_frees_them),
	    cmocka_unit_test(a_reopened_store_is_forgotten_by_the_loops),
	    cmocka_unit_test(every_mount_is_ticked_after_unsealing),
	    cmocka_unit_test(a_handler_says_when),
	    cmocka_unit_test(a_tick_says_when),
	    cmocka_unit_test(many_nudges_are_one_tick),
	    cmocka_unit_test(no_nudge_is_lost_in_a_crowd),
	    cmocka_unit_test(a_nudge_during_a_tick_is_another_tick),
	    cmocka_unit_test(a_nudge_of_an_unmounted_engine_is_nothing),
	    cmocka_unit_test(a_failed_tick_is_undone_and_tried_again),
	    cmocka_unit_test(a_tick_whose_commit_failed_runs_again),
	    cmocka_unit_test(what_was_in_memory_is_stored_at_the_seal),
	    cmocka_unit_test(one_that_fails_to_close_hinders_nobody),
	    cmocka_unit_test(a_closing_that_cannot_be_committed_is_a_clean_stop),
	    cmocka_unit_test(a_closing_of_unknown_outcome_is_settled),
	    cmocka_unit_test(a_note_is_audited_with_its_change),
	    cmocka_unit_test(a_tick_is_audited_when_it_counts),
	};

	return cmocka_run_group_tests(tests, house_process, NULL);
}
