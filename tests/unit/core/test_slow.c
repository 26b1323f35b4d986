/*
 * Slow work: it runs on a worker between the loop and the handler, with rights looked at again; a full pool refuses; a token is charged once; what was under way
 * when the store closes is never seen, and all of it is gone before the last commit.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/house.h"

/* ---- a door at which works wait ---- */

static struct {
	pthread_mutex_t lock;
	pthread_cond_t moved;
	unsigned arrived;
	bool open;
	unsigned dropped; /* a thread was told to forget everything */
} door = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, true, 0};

static void door_set(bool open)
{
	pthread_mutex_lock(&door.lock);
	door.open = open;
	door.arrived = 0;
	door.dropped = 0;
	pthread_cond_broadcast(&door.moved);
	pthread_mutex_unlock(&door.lock);
}

static void door_pass(void)
{
	pthread_mutex_lock(&door.lock);
	door.arrived++;
	pthread_cond_broadcast(&door.moved);
	while (!door.open)
		pthread_cond_wait(&door.moved, &door.lock);
	pthread_mutex_unlock(&door.lock);
}

static void door_await(unsigned n)
{
	pthread_mutex_lock(&door.lock);
	while (door.arrived < n)
		pthread_cond_wait(&door.moved, &door.lock);
	pthread_mutex_unlock(&door.lock);
}

static void door_await_drop(void)
{
	pthread_mutex_lock(&door.lock);
	while (door.dropped == 0)
		pthread_cond_wait(&door.moved, &door.lock);
	pthread_mutex_unlock(&door.lock);
}

/* ---- the engine ---- */

static struct toy {
	atomic_uint made, ran, freed, prepared, handled;
	atomic_uint alive_at_closing, closings;
	_Atomic enum status prepare_answer; /* of "plain" */
} toy;

static unsigned alive(void)
{
	return atomic_load(&toy.made) - atomic_load(&toy.freed);
}

struct work {
	struct slow slow; /* first member */
	char mount[64];   /* where it was made */
	pthread_t worker;
	unsigned answer;
};

static void work_run(struct slow *slow)
{
	struct work *w = (struct work *)(void *)slow;

	door_pass();
	w->worker = pthread_self();
	w->answer = 42;
	atomic_fetch_add(&toy.ran, 1);
}

static void work_free(struct slow **slow)
{
	free(*slow);
	*slow = NULL;
	atomic_fetch_add(&toy.freed, 1);
}

static enum status make_work(struct op *op)
{
	struct work *w = calloc(1, sizeof *w);

	assert_non_null(w);
	w->slow = (struct slow){work_run, work_free};
	assert_int_equal(span_cstr(op->mount->path, w->mount, sizeof w->mount), ST_OK);
	atomic_fetch_add(&toy.made, 1);
	op->slow = &w->slow;
	return ST_PENDING;
}

static enum status prepare(struct op *op)
{
	assert_null(op->slow);
	assert_false(view_can_write(&op->view));
	atomic_fetch_add(&toy.prepared, 1);
	return make_work(op);
}

/* Whoever gets a work gets its own, done. */
static void check_work(const struct op *op)
{
	const struct work *w = (const struct work *)(const void *)op->slow;

	atomic_fetch_add(&toy.handled, 1);
	assert_int_equal(w->answer, 42);
	assert_true(span_eq_str(op->mount->path, w->mount));
	assert_false(pthread_equal(pthread_self(), w->worker));
}

static enum status read_op(struct op *op)
{
	if (op->slow == NULL)
		return make_work(op);
	check_work(op);
	op->ans->shape = ANSWER_EMPTY;
	return ST_OK;
}

static enum status write_op(struct op *op)
{
	enum status st;

	assert_true(view_can_write(&op->view));
	st = view_put(&op->view, op->arg[0], span_str("x"), &op->ans->err);
	if (st != ST_OK)
		return st;
	if (op->slow == NULL)
		return make_work(op);
	check_work(op);
	op->ans->shape = ANSWER_EMPTY;
	return ST_OK;
}

static enum status has_op(struct op *op)
{
	op->ans->shape = ANSWER_EMPTY;
	return view_exists(&op->view, op->arg[0], &op->ans->err);
}

/* Never content with what was done. */
static enum status restless_op(struct op *op)
{
	if (op->slow != NULL)
		check_work(op);
	return make_work(op);
}

static enum status prepare_plain(struct op *op)
{
	enum status st = atomic_load(&toy.prepare_answer);

	assert_null(op->slow);
	return st == ST_OK || st == ST_NEEDS_WRITER ? st : answer_fail(op->ans, st, "as told");
}

static enum status plain_op(struct op *op)
{
	assert_null(op->slow);
	assert_int_equal(view_can_write(&op->view),
	                 atomic_load(&toy.prepare_answer) == ST_NEEDS_WRITER);
	op->ans->shape = ANSWER_EMPTY;
	return ST_OK;
}

/* Makes work and fails all the same; takes its work away from itself. */
static enum status careless_op(struct op *op)
{
	if (op->slow != NULL) {
		check_work(op);
		op->slow = NULL;
		op->ans->shape = ANSWER_EMPTY;
		return ST_OK;
	}
	(void)make_work(op);
	return answer_fail(op->ans, ST_INVALID, "as told");
}

static const struct operation operations[] = {
    {"read", VERB_WRITE, "read", OP_READ, 0, read_op, NULL, prepare},
    {"write", VERB_WRITE, "write/:name", OP_WRITE, 0, write_op, NULL, prepare},
    {"late-read", VERB_WRITE, "late-read", OP_READ, 0, read_op, NULL, NULL},
    {"late-write", VERB_WRITE, "late-write/:name", OP_WRITE, 0, write_op, NULL, NULL},
    {"has", VERB_READ, "has/:name", OP_READ, 0, has_op, NULL, NULL},
    {"restless-read", VERB_WRITE, "restless-read", OP_READ, 0, restless_op, NULL, NULL},
    {"restless-write", VERB_WRITE, "restless-write", OP_WRITE, 0, restless_op, NULL, prepare},
    {"plain", VERB_WRITE, "plain", OP_READ, 0, plain_op, NULL, prepare_plain},
    {"careless", VERB_WRITE, "careless", OP_READ, 0, careless_op, NULL, NULL},
    {"careless-prepare", VERB_WRITE, "careless-prepare", OP_READ, 0, careless_op, NULL,
     careless_op},
    {"taken", VERB_WRITE, "taken", OP_READ, 0, careless_op, NULL, prepare},
};

static enum status closing(void *self, void *thread, const struct view *mount, struct err *err)
{
	(void)self;
	(void)thread;
	(void)mount;
	(void)err;
	atomic_fetch_add(&toy.closings, 1);
	atomic_fetch_add(&toy.alive_at_closing, alive());
	return ST_OK;
}

static enum status thread_new(void *self, void **ret)
{
	*ret = self;
	return ST_OK;
}

static void thread_drop(void *thread)
{
	assert_ptr_equal(thread, &toy);
	pthread_mutex_lock(&door.lock);
	door.dropped++;
	pthread_cond_broadcast(&door.moved);
	pthread_mutex_unlock(&door.lock);
}

static const struct engine_life life = {
    .thread_new = thread_new, .thread_drop = thread_drop, .closing = closing};
static const struct engine engine_toy = {"toy", operations, sizeof operations / sizeof *operations,
                                         &life};

/* ---- the house ---- */

static struct house *open_house(void)
{
	struct house *h;

	memset(&toy, 0, sizeof toy);
	door_set(true);
	h = house_with(&engine_toy, &toy, NULL);
	house_open(h);
	assert_int_equal(house_ask(h, VERB_WRITE, "sys/mounts/t", h->root, "{\"type\":\"toy\"}"),
	                 ST_OK);
	return h;
}

static void free_house(struct house **h)
{
	house_free(h);
	assert_int_equal(alive(), 0);
	assert_int_equal(atomic_load(&toy.alive_at_closing), 0);
}

static struct house_call *send(struct house *h, const char *path)
{
	return house_send(h, VERB_WRITE, path, h->root, "{}");
}

static enum status ask(struct house *h, const char *path)
{
	return house_ask(h, VERB_WRITE, path, h->root, "{}");
}

static bool has(struct house *h, const char *name)
{
	char path[64];

	(void)snprintf(path, sizeof path, "t/has/%s", name);
	return house_ask(h, VERB_READ, path, h->root, NULL) == ST_OK;
}

static void unseal(struct house *h)
{
	char body[256];

	(void)snprintf(body, sizeof body, "{\"key\":\"%s\"}", h->share);
	assert_int_equal(house_ask(h, VERB_WRITE, "sys/unseal", "", body), ST_OK);
}

/* A token that may do everything below t/, this often. */
static void limited_token(struct house *h, unsigned uses, char buf[static 64])
{
	char body[128];

	house_policy(h, "all", "t/*", "read\\\",\\\"update");
	(void)snprintf(body, sizeof body, "{\"policies\":[\"all\"],\"num_uses\":%u}", uses);
	house_token(h, body, buf);
}

/* What is left of its uses; -1: it has ended. */
static int left(struct house *h, const char *token)
{
	char body[128];
	const char *at;

	(void)snprintf(body, sizeof body, "{\"token\":\"%s\"}", token);
	if (house_ask(h, VERB_WRITE, "auth/token/lookup", h->root, body) != ST_OK)
		return -1;
	at = strstr((const char *)h->data.p, "\"num_uses\":");
	assert_non_null(at);
	return atoi(at + strlen("\"num_uses\":"));
}

/* ---- the way ---- */

static void work_is_done_before_the_handler(void **state)
{
	static const char *const paths[] = {"t/read", "t/write/a", "t/late-read", "t/late-write/b"};
	struct house *h = open_house();

	(void)state;
	for (unsigned i = 0; i < sizeof paths / sizeof *paths; i++) {
		assert_int_equal(ask(h, paths[i]), ST_OK);
		assert_int_equal(atomic_load(&toy.ran), i + 1);
		assert_int_equal(atomic_load(&toy.handled), i + 1);
		assert_int_equal(alive(), 0);
	}
	assert_int_equal(atomic_load(&toy.prepared), 2);
	assert_true(has(h, "a"));
	assert_true(has(h, "b"));
	free_house(&h);
}

static void who_needs_none_goes_on(void **state)
{
	static const enum status answers[] = {ST_OK, ST_NEEDS_WRITER, ST_INVALID};
	struct house *h = open_house();

	(void)state;
	for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
		atomic_store(&toy.prepare_answer, answers[i]);
		assert_int_equal(ask(h, "t/plain"), answers[i] == ST_INVALID ? ST_INVALID : ST_OK);
	}
	assert_string_equal(h->text, "as told");
	assert_int_equal(atomic_load(&toy.ran), 0);
	free_house(&h);
}

static void whatever_is_left_is_freed(void **state)
{
	struct house *h = open_house();

	(void)state;
	assert_int_equal(ask(h, "t/careless"), ST_INVALID);
	assert_int_equal(ask(h, "t/careless-prepare"), ST_INVALID);
	assert_int_equal(ask(h, "t/taken"), ST_OK);
	assert_int_equal(atomic_load(&toy.made), 3);
	assert_int_equal(atomic_load(&toy.ran), 1);
	assert_int_equal(alive(), 0);
	free_house(&h);
}

static void the_loop_and_the_writer_go_on_meanwhile(void **state)
{
	struct house *h = open_house();
	struct house_call *slow;

	(void)state;
	door_set(false);
	slow = send(h, "t/write/a");
	door_await(1);
	assert_false(has(h, "a"));
	assert_int_equal(ask(h, "t/plain"), ST_OK);
	assert_int_equal(house_ask(h, VERB_WRITE, "sys/mounts/kv", h->root, "{\"type\":\"kv\"}"),
	                 ST_OK);
	door_set(true);
	assert_int_equal(house_wait(h, &slow), ST_OK);
	assert_true(has(h, "a"));
	free_house(&h);
}

static void a_full_pool_refuses(void **state)
{
	struct house *h = open_house();
	struct house_call *c[1 + HOUSE_WAITING];

	(void)state;
	door_set(false);
	c[0] = send(h, "t/read");
	door_await(1);
	for (size_t i = 1; i <= HOUSE_WAITING; i++)
		c[i] = send(h, i % 2 == 0 ? "t/read" : "t/late-write/a");
	house_policy(h, "any", "any", "read"); /* behind it, those before are in the pool */
	assert_int_equal(ask(h, "t/read"), ST_BUSY);
	assert_non_null(strstr(h->text, "try again later"));
	assert_int_equal(ask(h, "t/late-write/b"), ST_BUSY);
	assert_false(has(h, "b"));
	door_set(true);
	for (size_t i = 0; i <= HOUSE_WAITING; i++)
		assert_int_equal(house_wait(h, &c[i]), ST_OK);
	assert_int_equal(ask(h, "t/read"), ST_OK);
	free_house(&h);
}

static void a_handler_that_is_never_content_is_refused(void **state)
{
	struct house *h = open_house();

	(void)state;
	assert_int_equal(ask(h, "t/restless-read"), ST_BUSY);
	assert_int_equal(atomic_load(&toy.ran), OP_ROUNDS_MAX);
	assert_int_equal(ask(h, "t/restless-write"), ST_BUSY);
	assert_int_equal(atomic_load(&toy.ran), 2 * OP_ROUNDS_MAX);
	assert_int_equal(alive(), 0);
	free_house(&h);
}

/* ---- looked at again ---- */

static void a_right_lost_meanwhile_is_lost(void **state)
{
	static const char *const paths[] = {"t/read", "t/write/a"};
	struct house *h = open_house();
	char token[64], body[128];

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct house_call *slow;

		limited_token(h, 0, token);
		door_set(false);
		slow = house_send(h, VERB_WRITE, paths[i], token, "{}");
		door_await(1);
		(void)snprintf(body, sizeof body, "{\"token\":\"%s\"}", token);
		assert_int_equal(house_ask(h, VERB_WRITE, "auth/token/revoke", h->root, body),
		                 ST_OK);
		door_set(true);
		assert_int_equal(house_wait(h, &slow), ST_DENIED);
	}
	assert_int_equal(atomic_load(&toy.handled), 0);
	assert_false(has(h, "a"));
	free_house(&h);
}

/* Another mount at the same path gets no work that was made for the one before. */
static void work_belongs_to_its_mount(void **state)
{
	struct house *h = open_house();
	struct house_call *slow, *gone;

	(void)state;
	door_set(false);
	slow = send(h, "t/read");
	door_await(1);
	gone = send(h, "t/write/a");
	assert_int_equal(house_ask(h, VERB_DELETE, "sys/mounts/t", h->root, NULL), ST_OK);
	assert_int_equal(house_ask(h, VERB_WRITE, "sys/mounts/t", h->root, "{\"type\":\"toy\"}"),
	                 ST_OK);
	door_set(true);
	assert_int_equal(house_wait(h, &slow), ST_OK);
	assert_int_equal(house_wait(h, &gone), ST_OK);
	assert_int_equal(atomic_load(&toy.ran), 4); /* all of it once more */
	assert_int_equal(atomic_load(&toy.handled), 2);
	door_set(false);
	slow = house_send(h, VERB_WRITE, "t/read", h->root, "{\"v\":1}");
	door_await(1);
	assert_int_equal(house_ask(h, VERB_DELETE, "sys/mounts/t", h->root, NULL), ST_OK);
	assert_int_equal(house_ask(h, VERB_WRITE, "sys/mounts/t", h->root, "{\"type\":\"kv\"}"),
	                 ST_OK);
	door_set(true);
	assert_int_equal(house_wait(h, &slow), ST_OK); /* a value at t/read */
	assert_int_equal(atomic_load(&toy.handled), 2);
	free_house(&h);
}

/* ---- uses of tokens ---- */

static void a_use_is_taken_once(void **state)
{
	static const struct {
		const char *path;
		enum status answer;
	} cases[] = {{"t/read", ST_OK},
	             {"t/write/a", ST_OK},
	             {"t/late-read", ST_OK},
	             {"t/late-write/b", ST_OK},
	             {"t/plain", ST_OK},
	             {"t/careless", ST_INVALID},
	             {"t/careless-prepare", ST_INVALID},
	             {"t/restless-read", ST_BUSY},
	             {"t/restless-write", ST_BUSY},
	             {"t/none", ST_NO_ROUTE}};
	struct house *h = open_house();
	char token[64];

	(void)state;
	atomic_store(&toy.prepare_answer, ST_NEEDS_WRITER);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		limited_token(h, 2, token);
		assert_int_equal(house_ask(h, VERB_WRITE, cases[i].path, token, "{}"),
		                 cases[i].answer);
		assert_int_equal(left(h, token), 1);
		assert_int_equal(house_ask(h, VERB_WRITE, cases[i].path, token, "{}"),
		                 cases[i].answer);
		assert_int_equal(left(h, token), -1); /* the last one serves too */
		assert_int_equal(house_ask(h, VERB_WRITE, cases[i].path, token, "{}"), ST_DENIED);
	}
	free_house(&h);
}

static void a_full_pool_takes_a_use(void **state)
{
	static const char *const paths[] = {"t/read", "t/late-write/a"};
	struct house *h = open_house();
	struct house_call *c[1 + HOUSE_WAITING];
	char token[64];

	(void)state;
	limited_token(h, 3, token);
	door_set(false);
	c[0] = send(h, "t/read");
	door_await(1);
	for (size_t i = 1; i <= HOUSE_WAITING; i++)
		c[i] = send(h, "t/read");
	for (int i = 0; i < 2; i++) {
		assert_int_equal(house_ask(h, VERB_WRITE, paths[i], token, "{}"), ST_BUSY);
		assert_int_equal(left(h, token), 2 - i);
	}
	door_set(true);
	for (size_t i = 0; i <= HOUSE_WAITING; i++)
		assert_int_equal(house_wait(h, &c[i]), ST_OK);
	free_house(&h);
}

/* ---- commits that fail ---- */

static void work_for_a_failed_group_is_done_all_the_same(void **state)
{
	struct house *h = open_house();
	struct house_call *slow, *other;

	(void)state;
	house_hold(h);
	slow = send(h, "t/late-write/a");
	other = house_send(h, VERB_WRITE, "sys/mounts/kv", h->root, "{\"type\":\"kv\"}");
	house_fail_commit(h, FAULTSTORE_NOT_DONE);
	house_release(h);
	assert_int_equal(house_wait(h, &other), ST_IO);
	assert_int_equal(house_wait(h, &slow), ST_OK);
	assert_true(has(h, "a"));
	free_house(&h);
}

/* The loops forget everything; the calls go on, or are told to come again. */
static void a_reopened_store_has_no_old_work(void **state)
{
	static const enum faultstore_commit how[] = {FAULTSTORE_UNKNOWN_BUT_DONE,
	                                             FAULTSTORE_UNKNOWN_AND_NOT_DONE};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct house *h = open_house();
		struct house_call *at_work, *waits, *late, *other;
		enum status st;

		door_set(false);
		at_work = send(h, "t/read");
		door_await(1);
		waits = send(h, "t/write/a");
		house_hold(h);
		late = send(h, "t/late-write/b");
		other = house_send(h, VERB_WRITE, "sys/mounts/kv", h->root, "{\"type\":\"kv\"}");
		house_fail_commit(h, how[i]);
		house_release(h);
		assert_int_equal(house_wait(h, &other), i == 0 ? ST_OK : ST_IO);
		door_set(true);
		st = house_wait(h, &at_work);
		assert_true(st == ST_OK || st == ST_UNAVAILABLE);
		st = house_wait(h, &waits);
		assert_true(st == ST_OK || st == ST_UNAVAILABLE);
		assert_int_equal(house_wait(h, &late), ST_OK);
		assert_true(has(h, "b"));
		free_house(&h);
	}
}

/* ---- sealing ---- */

static void a_seal_waits_for_what_runs_and_drops_the_rest(void **state)
{
	struct house *h = open_house();
	struct house_call *c[1 + HOUSE_WAITING], *seal;

	(void)state;
	door_set(false);
	c[0] = send(h, "t/read");
	door_await(1);
	for (size_t i = 1; i <= HOUSE_WAITING; i++)
		c[i] = send(h, i % 2 == 0 ? "t/read" : "t/write/a");
	house_flush(h);
	seal = house_send(h, VERB_WRITE, "sys/seal", h->root, NULL);
	door_await_drop();
	assert_int_equal(atomic_load(&toy.closings), 0);
	assert_int_equal(alive(), 1 + HOUSE_WAITING);
	door_set(true);
	assert_int_equal(house_wait(h, &seal), ST_OK);
	assert_int_equal(alive(), 0);
	assert_int_equal(atomic_load(&toy.closings), 1);
	for (size_t i = 0; i <= HOUSE_WAITING; i++) {
		assert_int_equal(house_wait(h, &c[i]), ST_SEALED);
		assert_string_equal(h->text, "Vault is sealed");
	}
	assert_int_equal(atomic_load(&toy.handled), 0);
	unseal(h);
	assert_false(has(h, "a"));
	assert_int_equal(ask(h, "t/write/a"), ST_OK);
	free_house(&h);
}

/* A seal whose rights nobody checks, so that it stands in the queue at once. */
struct sealing {
	struct writer_job job; /* first member */
	struct seal *seal;
};

static enum status seal_run(struct writer_job *job, struct txn *t, struct err *err)
{
	(void)t;
	(void)err;
	seal_close(((struct sealing *)(void *)job)->seal);
	return ST_OK;
}

static void seal_done(struct writer_job *job, enum status st, const struct err *err)
{
	(void)job;
	(void)st;
	(void)err;
}

/* Done already, and waiting behind the seal for the writer. */
static void work_behind_a_seal_is_dropped(void **state)
{
	struct house *h = open_house();
	struct house_call *slow, *late;
	struct sealing sealing = {.job = {.run = seal_run, .done = seal_done, .kind = JOB_CONTROL},
	                          .seal = h->seal};

	(void)state;
	house_hold(h);
	writer_submit(h->writer, &sealing.job);
	slow = send(h, "t/write/a");
	late = send(h, "t/late-write/b");
	house_flush(h);
	pool_drain(h->pool);
	house_flush(h);
	assert_int_equal(atomic_load(&toy.ran), 1);
	assert_int_equal(alive(), 1);
	house_release(h);
	assert_int_equal(house_wait(h, &slow), ST_SEALED);
	assert_int_equal(house_wait(h, &late), ST_SEALED);
	assert_int_equal(alive(), 0);
	assert_int_equal(atomic_load(&toy.closings), 1);
	assert_int_equal(atomic_load(&toy.handled), 0);
	free_house(&h);
}

static void a_stop_answers_what_is_at_work(void **state)
{
	struct house *h = open_house();
	struct house_call *c[3];

	(void)state;
	for (size_t i = 0; i < 3; i++)
		c[i] = send(h, i == 0 ? "t/read" : "t/write/a");
	writer_stop(h->writer);
	assert_int_equal(alive(), 0);
	for (size_t i = 0; i < 3; i++) {
		enum status st = house_wait(h, &c[i]);

		assert_true(st == ST_OK || st == ST_SEALED);
	}
	free_house(&h);
}

/* Everything at once: works of all kinds, refusals, seals between them. */
static void seals_under_load(void **state)
{
	static const char *const paths[] = {"t/read",           "t/write/a",  "t/late-read",
	                                    "t/late-write/b",   "t/plain",    "t/restless-read",
	                                    "t/restless-write", "t/careless", "t/taken"};
	struct house *h = open_house();
	struct random_seeded random;

	(void)state;
	random_seeded_init(&random, 5);
	for (unsigned round = 0; round < 60; round++) {
		struct house_call *c[24], *seal = NULL;
		uint8_t dice[24];
		unsigned when;

		random_fill(&random.random, dice, sizeof dice);
		when = dice[0] % 24;
		for (unsigned i = 0; i < 24; i++) {
			c[i] = send(h, paths[dice[i] % (sizeof paths / sizeof *paths)]);
			if (i == when)
				seal = house_send(h, VERB_WRITE, "sys/seal", h->root, NULL);
		}
		assert_int_equal(house_wait(h, &seal), ST_OK);
		for (unsigned i = 0; i < 24; i++) {
			enum status st = house_wait(h, &c[i]);

			assert_true(st == ST_OK || st == ST_SEALED || st == ST_BUSY ||
			            st == ST_INVALID);
		}
		assert_int_equal(alive(), 0);
		unseal(h);
	}
	assert_int_equal(atomic_load(&toy.closings), 60);
	free_house(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(work_is_done_before_the_handler),
	    cmocka_unit_test(who_needs_none_goes_on),
	    cmocka_unit_test(whatever_is_left_is_freed),
	    cmocka_unit_test(the_loop_and_the_writer_go_on_meanwhile),
	    cmocka_unit_test(a_full_pool_refuses),
	    cmocka_unit_test(a_handler_that_is_never_content_is_refused),
	    cmocka_unit_test(a_right_lost_meanwhile_is_lost),
	    cmocka_unit_test(work_belongs_to_its_mount),
	    cmocka_unit_test(a_use_is_taken_once),
	    cmocka_unit_test(a_full_pool_takes_a_use),
	    cmocka_unit_test(work_for_a_failed_group_is_done_all_the_same),
	    cmocka_unit_test(a_reopened_store_has_no_old_work),
	    cmocka_unit_test(a_seal_waits_for_what_runs_and_drops_the_rest),
	    cmocka_unit_test(work_behind_a_seal_is_dropped),
	    cmocka_unit_test(a_stop_answers_what_is_at_work),
	    cmocka_unit_test(seals_under_load),
	};

	return cmocka_run_group_tests(tests, house_process, NULL);
}
