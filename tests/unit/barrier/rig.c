#include "rig.h"

#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "barrier/record.h"
#include "base/log.h"

int rig_process(void **state)
{
	struct err err = {0};

	(void)state;
	if (secret_setup((size_t)1 << 20, &err) != ST_OK ||
	    log_setup(LOG_OFF, LOG_STANDARD, NULL, &err) != ST_OK ||
	    aead_setup(NULL, &err) != ST_OK) {
		fprintf(stderr, "%s\n", err.text);
		return -1;
	}
	return 0;
}

/* ---- jobs that are waited for ---- */

struct rig_job {
	struct writer_job job; /* first member */
	struct rig *rig;
	rig_fn *fn;
	void *arg;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	int done;
	enum status status;
	struct err err;
};

static enum status run(struct writer_job *job, struct txn *t, struct err *err)
{
	struct rig_job *j = (struct rig_job *)(void *)job;

	return j->fn(j->arg, t, err);
}

static void done(struct writer_job *job, enum status st, const struct err *err)
{
	struct rig_job *j = (struct rig_job *)(void *)job;

	pthread_mutex_lock(&j->lock);
	j->status = st;
	if (err != NULL)
		j->err = *err;
	j->done = 1;
	pthread_cond_signal(&j->cond);
	pthread_mutex_unlock(&j->lock);
}

static struct rig_job *submit(struct rig *r, rig_fn *fn, void *arg, enum writer_job_kind kind)
{
	struct rig_job *j = calloc(1, sizeof *j);

	assert_non_null(j);
	j->job.run = run;
	j->job.done = done;
	j->job.kind = kind;
	j->rig = r;
	j->fn = fn;
	j->arg = arg;
	pthread_mutex_init(&j->lock, NULL);
	pthread_cond_init(&j->cond, NULL);
	writer_submit(r->writer, &j->job);
	return j;
}

struct rig_job *rig_submit(struct rig *r, rig_fn *fn, void *arg)
{
	return submit(r, fn, arg, JOB_WRITE);
}

enum status rig_wait(struct rig_job **job, struct err *err)
{
	struct rig_job *j = *job;
	enum status st;

	pthread_mutex_lock(&j->lock);
	while (!j->done)
		pthread_cond_wait(&j->cond, &j->lock);
	pthread_mutex_unlock(&j->lock);
	st = j->status;
	if (err != NULL)
		*err = j->err;
	pthread_mutex_destroy(&j->lock);
	pthread_cond_destroy(&j->cond);
	free(j);
	*job = NULL;
	return st;
}

enum status rig_do_err(struct rig *r, rig_fn *fn, void *arg, struct err *err)
{
	struct rig_job *j = rig_submit(r, fn, arg);

	return rig_wait(&j, err);
}

enum status rig_do(struct rig *r, rig_fn *fn, void *arg)
{
	return rig_do_err(r, fn, arg, NULL);
}

static enum status control(struct rig *r, rig_fn *fn, void *arg, struct err *err)
{
	struct rig_job *j = submit(r, fn, arg, JOB_CONTROL);

	return rig_wait(&j, err);
}

/* ---- holding the writer ---- */

static pthread_mutex_t hold_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t hold_cond = PTHREAD_COND_INITIALIZER;
static int held, let_go;
static struct rig_job *hold_job;

static enum status hold_fn(void *arg, struct txn *t, struct err *err)
{
	(void)arg;
	(void)t;
	(void)err;
	pthread_mutex_lock(&hold_lock);
	held = 1;
	pthread_cond_broadcast(&hold_cond);
	while (!let_go)
		pthread_cond_wait(&hold_cond, &hold_lock);
	pthread_mutex_unlock(&hold_lock);
	return ST_OK;
}

void rig_hold(struct rig *r)
{
	held = let_go = 0;
	hold_job = submit(r, hold_fn, NULL, JOB_CONTROL);
	pthread_mutex_lock(&hold_lock);
	while (!held)
		pthread_cond_wait(&hold_cond, &hold_lock);
	pthread_mutex_unlock(&hold_lock);
}

void rig_release(struct rig *r)
{
	(void)r;
	pthread_mutex_lock(&hold_lock);
	let_go = 1;
	pthread_cond_broadcast(&hold_cond);
	pthread_mutex_unlock(&hold_lock);
	assert_int_equal(rig_wait(&hold_job, NULL), ST_OK);
}

/* ---- loops ---- */

struct rig_loop {
	struct loop loop; /* first member */
	pthread_mutex_t lock;
	struct task *tasks, **last;
	struct reader *reader;
	void (*turn)(void *arg, struct reader *reader);
	void *arg;
	_Atomic int stop;
	pthread_t thread;
};

static void post(struct loop *loop, struct task *task)
{
	struct rig_loop *l = (struct rig_loop *)(void *)loop;

	pthread_mutex_lock(&l->lock);
	task->next = NULL;
	*l->last = task;
	l->last = &task->next;
	pthread_mutex_unlock(&l->lock);
}

static void run_tasks(struct rig_loop *l)
{
	struct task *t, *next;

	pthread_mutex_lock(&l->lock);
	t = l->tasks;
	l->tasks = NULL;
	l->last = &l->tasks;
	pthread_mutex_unlock(&l->lock);
	for (; t != NULL; t = next) {
		next = t->next;
		t->run(t);
	}
}

static void *loop_main(void *arg)
{
	struct rig_loop *l = arg;

	while (!atomic_load(&l->stop)) {
		run_tasks(l);
		l->turn(l->arg, l->reader);
		reader_turn_end(l->reader);
		sched_yield();
	}
	return NULL;
}

struct rig_loop *rig_loop_start(struct rig *r, void (*turn)(void *arg, struct reader *reader),
                                void (*drop)(void *arg), void *arg)
{
	struct rig_loop *l = calloc(1, sizeof *l);
	struct err err = {0};

	assert_non_null(l);
	l->loop.post = post;
	l->last = &l->tasks;
	l->turn = turn;
	l->arg = arg;
	pthread_mutex_init(&l->lock, NULL);
	assert_int_equal(reader_new(r->readers, &l->loop, drop, arg, &l->reader, &err), ST_OK);
	assert_int_equal(pthread_create(&l->thread, NULL, loop_main, l), 0);
	return l;
}

void rig_loop_stop(struct rig_loop **l)
{
	atomic_store(&(*l)->stop, 1);
	pthread_join((*l)->thread, NULL);
	run_tasks(*l);
	reader_close(&(*l)->reader);
	pthread_mutex_destroy(&(*l)->lock);
	free(*l);
	*l = NULL;
}

static void never_posted(struct loop *loop, struct task *task)
{
	(void)loop;
	(void)task;
	abort();
}

enum status rig_read(struct rig *r, rig_fn *fn, void *arg, struct err *err)
{
	struct loop loop = {.post = never_posted};
	struct reader *reader;
	struct txn *t;
	enum status st;

	assert_int_equal(reader_new(r->readers, &loop, NULL, NULL, &reader, err), ST_OK);
	st = reader_begin(reader, &t, err);
	if (st == ST_OK)
		st = fn(arg, t, err);
	reader_turn_end(reader);
	reader_close(&reader);
	return st;
}

/* ---- hooks ---- */

static void on_rotated(void *ctx, const struct rotation_event *e)
{
	struct rig *r = ctx;
	unsigned n = atomic_load(&r->n_events);

	assert_true(n < RIG_EVENTS);
	r->events[n] = *e;
	atomic_store(&r->n_events, n + 1);
}

static void on_made(void *ctx, uint32_t term)
{
	struct rig *r = ctx;

	assert_true(term < RIG_TERMS);
	atomic_store(&r->encrypted[term], 0);
}

static void on_encrypted(void *ctx, uint32_t term)
{
	struct rig *r = ctx;

	atomic_fetch_add(&r->encrypted[term], 1);
}

static void on_closed(void *ctx)
{
	struct rig *r = ctx;

	atomic_fetch_add(&r->closed, 1);
}

static int64_t due_at(void *ctx)
{
	struct rig *r = ctx;

	return atomic_load(&r->due_at);
}

static enum status on_due(void *ctx, struct txn *t, int64_t now_ns, struct err *err)
{
	struct rig *r = ctx;

	assert_true(now_ns >= atomic_load(&r->due_at));
	return r->due(r, t, err);
}

static void on_lost(void *ctx)
{
	struct rig *r = ctx;

	atomic_fetch_add(&r->lost, 1);
}

static enum status on_closing(void *ctx, struct txn *t, struct err *err)
{
	struct rig *r = ctx;

	return r->closing != NULL ? r->closing(r, t, err) : ST_OK;
}

static void on_noted(void *ctx, struct span text)
{
	struct rig *r = ctx;

	builder_add(&r->notes, text);
	atomic_fetch_add(&r->n_notes, 1);
}

/* ---- life ---- */

void rig_start(struct rig *r)
{
	struct writer_config config = {
	    .storage = r->store,
	    .slots = r->slots,
	    .clock = &r->clock.clock,
	    .random = &r->random.random,
	    .group_records = r->group_records,
	    .hooks = {.ctx = r,
	              .rotated = on_rotated,
	              .due_at = due_at,
	              .due = on_due,
	              .due_lost = on_lost,
	              .noted = on_noted,
	              .closing = on_closing,
	              .closed = on_closed,
	              .term_made = on_made,
	              .encrypted = on_encrypted},
	};
	struct err err = {0};

	assert_int_equal(readers_new(r->store, &r->readers), ST_OK);
	config.readers = r->readers;
	assert_int_equal(writer_new(&config, &r->writer, &err), ST_OK);
	assert_int_equal(writer_start(r->writer, &err), ST_OK);
}

void rig_stop(struct rig *r)
{
	writer_stop(r->writer);
	writer_free(&r->writer);
	readers_free(&r->readers);
}

void rig_crash(struct rig *r)
{
	const struct faultstore_plan dead = {.call = FAULTSTORE_WRITE_BEGIN,
	                                     .nth = 1,
	                                     .repeat = FAULTSTORE_FOR_EVER,
	                                     .status = ST_IO};

	faultstore_order(r->store, &dead);
	rig_stop(r);
	faultstore_mend(r->store);
}

static enum status put_nothing(void *arg, struct txn *t, struct err *err)
{
	(void)arg;
	(void)t;
	(void)err;
	return ST_OK;
}

struct create_args {
	struct rig *r;
	rig_fn *populate;
	void *arg;
};

static enum status create_fn(void *arg, struct txn *t, struct err *err)
{
	struct create_args *a = arg;
	struct writer_raw raw = {.path = "core/raw", .value = span_str("as it is")};

	assert_null(t);
	return writer_create(a->r->writer, a->r->wrap, a->r->mac, a->r->id, &raw, 1, a->populate,
	                     a->arg, err);
}

enum status rig_create(struct rig *r, rig_fn *populate, void *arg, struct err *err)
{
	struct create_args a = {r, populate != NULL ? populate : put_nothing, arg};

	return control(r, create_fn, &a, err);
}

static enum status load_nothing(void *ctx, struct txn *t, const struct world **ret, struct err *err)
{
	(void)ctx;
	(void)t;
	(void)err;
	*ret = NULL;
	return ST_OK;
}

static enum status open_fn(void *arg, struct txn *t, struct err *err)
{
	struct rig *r = arg;

	(void)t;
	return writer_open(r->writer, r->wrap, r->mac, load_nothing, NULL, err);
}

enum status rig_open(struct rig *r, struct err *err)
{
	return control(r, open_fn, r, err);
}

static enum status close_fn(void *arg, struct txn *t, struct err *err)
{
	struct rig *r = arg;

	(void)t;
	(void)err;
	writer_close(r->writer);
	return ST_OK;
}

void rig_close(struct rig *r)
{
	assert_int_equal(control(r, close_fn, r, NULL), ST_OK);
}

static enum status nothing(void *arg, struct txn *t, struct err *err)
{
	(void)arg;
	(void)t;
	(void)err;
	return ST_OK;
}

void rig_settle(struct rig *r)
{
	struct rig_job *j;

	/* The first may run before the writer looked at the clock; the second runs after a group that did. */
	for (int i = 0; i < 2; i++) {
		writer_wake(r->writer);
		j = rig_submit(r, nothing, NULL);
		(void)rig_wait(&j, NULL);
	}
}

struct rig *rig_closed(uint32_t group_records, const char *slot_folder)
{
	struct rig *r = calloc(1, sizeof *r);
	struct storage_config config = {0};
	struct err err = {0};
	uint8_t bytes[32];

	assert_non_null(r);
	assert_int_equal(storage_mem.open(&config, &r->inner, &err), ST_OK);
	assert_int_equal(faultstore_wrap(r->inner, &r->store), ST_OK);
	/* The year 2100: the writer's real timer never fires, the tests wake it. */
	clock_manual_init(&r->clock, INT64_C(4102444800) * NS_PER_S, 1000 * NS_PER_S);
	random_seeded_init(&r->random, 42);
	r->group_records = group_records;
	atomic_store(&r->due_at, INT64_MAX);
	assert_int_equal(slots_open(slot_folder, &r->slots, &err), ST_OK);
	random_fill(&r->random.random, bytes, sizeof bytes);
	assert_int_equal(secret_from(span_of(bytes, sizeof bytes), &r->wrap), ST_OK);
	random_fill(&r->random.random, bytes, sizeof bytes);
	assert_int_equal(secret_from(span_of(bytes, sizeof bytes), &r->mac), ST_OK);
	random_fill(&r->random.random, r->id, sizeof r->id);
	rig_start(r);
	assert_int_equal(rig_create(r, NULL, NULL, &err), ST_OK);
	return r;
}

struct rig *rig_new(uint32_t group_records, const char *slot_folder)
{
	struct rig *r = rig_closed(group_records, slot_folder);
	struct err err = {0};

	assert_int_equal(rig_open(r, &err), ST_OK);
	return r;
}

void rig_free(struct rig **r)
{
	if ((*r)->writer != NULL)
		rig_stop(*r);
	slots_close(&(*r)->slots);
	builder_free(&(*r)->notes);
	secret_free(&(*r)->wrap);
	secret_free(&(*r)->mac);
	(*r)->store->driver->close(&(*r)->store);
	free(*r);
	*r = NULL;
}

/* ---- shorthands ---- */

struct pair {
	const char *path, *value;
};

static enum status put_fn(void *arg, struct txn *t, struct err *err)
{
	struct pair *p = arg;

	return txn_put(t, span_str(p->path), span_str(p->value), err);
}

static enum status delete_fn(void *arg, struct txn *t, struct err *err)
{
	struct pair *p = arg;

	return txn_delete(t, span_str(p->path), err);
}

enum status rig_put(struct rig *r, const char *path, const char *value)
{
	struct pair p = {path, value};

	return rig_do(r, put_fn, &p);
}

enum status rig_delete(struct rig *r, const char *path)
{
	struct pair p = {path, NULL};

	return rig_do(r, delete_fn, &p);
}

static enum status rotate_fn(void *arg, struct txn *t, struct err *err)
{
	(void)arg;
	return rotate_now(t, CAUSE_MANUAL, err);
}

enum status rig_rotate(struct rig *r)
{
	return rig_do(r, rotate_fn, NULL);
}

static enum status set_fn(void *arg, struct txn *t, struct err *err)
{
	(void)err;
	return txn_set_rotation(t, arg);
}

enum status rig_set(struct rig *r, const struct rotate_settings *s, struct err *err)
{
	struct rotate_settings mine = *s;

	return rig_do_err(r, set_fn, &mine, err);
}

struct get_args {
	const char *path;
	char *buf;
	size_t cap;
};

static enum status get_fn(void *arg, struct txn *t, struct err *err)
{
	struct get_args *a = arg;
	struct span v;
	enum status st = txn_get(t, span_str(a->path), &v, err);

	return st == ST_OK ? span_cstr(v, a->buf, a->cap) : st;
}

enum status rig_get(struct rig *r, const char *path, char *buf, size_t cap)
{
	struct get_args a = {path, buf, cap};

	return rig_do(r, get_fn, &a);
}

struct look_args {
	uint32_t term;
	struct usage usage;
	uint32_t active;
	struct rotate_settings settings;
};

static enum status look_fn(void *arg, struct txn *t, struct err *err)
{
	struct look_args *a = arg;

	a->active = keyring_active(txn_keyring(t));
	a->settings = *keyring_settings(txn_keyring(t));
	return txn_usage(t, a->term == 0 ? a->active : a->term, &a->usage, err);
}

struct usage rig_usage(struct rig *r, uint32_t term)
{
	struct look_args a = {.term = term};

	assert_int_equal(rig_do(r, look_fn, &a), ST_OK);
	return a.usage;
}

uint32_t rig_active(struct rig *r)
{
	struct look_args a = {0};

	assert_int_equal(rig_do(r, look_fn, &a), ST_OK);
	return a.active;
}

struct rotate_settings rig_settings(struct rig *r)
{
	struct look_args a = {0};

	assert_int_equal(rig_do(r, look_fn, &a), ST_OK);
	return a.settings;
}

/* ---- recount ---- */

uint64_t rig_records(struct rig *r, uint32_t term)
{
	const struct storage_driver *d = r->inner->driver;
	struct storage_txn *t;
	struct span key, value, from = span_of(NULL, 0);
	uint8_t at[STORAGE_KEY_MAX + 1];
	struct err err = {0};
	uint64_t n = 0;
	uint32_t under;

	assert_int_equal(d->read_open(r->inner, &t, &err), ST_OK);
	assert_int_equal(d->renew(t, &err), ST_OK);
	while (d->seek(t, from, &key, &value, &err) == ST_OK) {
		if (!span_starts(key, span_str("core/"))) {
			assert_int_equal(record_term(value, &under), ST_OK);
			n += under == term;
		}
		memcpy(at, key.p, key.n);
		at[key.n] = 0;
		from = span_of(at, key.n + 1);
	}
	d->read_close(&t);
	return n;
}

void rig_recount(struct rig *r, uint64_t extra)
{
	uint32_t active = rig_active(r);

	for (uint32_t i = 1; i <= active; i++) {
		struct usage u = rig_usage(r, i);

		assert_int_equal(u.records, rig_records(r, i));
		assert_int_equal(u.encryptions,
		                 atomic_load(&r->encrypted[i]) + (i == active ? extra : 0));
	}
}
