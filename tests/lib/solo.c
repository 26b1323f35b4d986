#include "solo.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <pthread.h>
#include <cmocka.h>

#include "base/log.h"

#define START_NS (INT64_C(1767323045) * NS_PER_S) /* 2026-01-02T03:04:05Z */

int solo_process(void **state)
{
	struct err err = {0};

	(void)state;
	if (secret_setup((size_t)1 << 20, &err) != ST_OK ||
	    log_setup(LOG_OFF, LOG_STANDARD, NULL, &err) != ST_OK ||
	    aead_setup(NULL, &err) != ST_OK) {
		(void)fprintf(stderr, "%s\n", err.text);
		return -1;
	}
	return 0;
}

/* ---- life ---- */

static void new_writer(struct solo *s)
{
	const struct writer_config config = {.readers = s->readers,
	                                     .storage = s->storage,
	                                     .slots = s->slots,
	                                     .clock = &s->clock.clock,
	                                     .random = &s->random.random};

	assert_int_equal(writer_new(&config, &s->writer, NULL), ST_OK);
}

void solo_init(struct solo *s, uint64_t seed)
{
	const struct storage_config config = {0};

	memset(s, 0, sizeof *s);
	clock_manual_init(&s->clock, START_NS, NS_PER_S);
	random_seeded_init(&s->random, seed);
	assert_int_equal(storage_mem.open(&config, &s->storage, NULL), ST_OK);
	assert_int_equal(slots_open(NULL, &s->slots, NULL), ST_OK);
	assert_int_equal(readers_new(s->storage, &s->readers), ST_OK);
	new_writer(s);
}

void solo_start(struct solo *s)
{
	assert_int_equal(writer_start(s->writer, NULL), ST_OK);
	s->started = true;
}

static void end_writer(struct solo *s)
{
	if (s->started)
		writer_stop(s->writer);
	s->started = false;
	writer_free(&s->writer);
}

void solo_restart(struct solo *s)
{
	end_writer(s);
	new_writer(s);
}

void solo_free(struct solo *s)
{
	end_writer(s);
	readers_free(&s->readers);
	slots_close(&s->slots);
	storage_mem.close(&s->storage);
}

static void destroy_world(struct world *w)
{
	free(w);
}

enum status solo_load(void *ctx, struct txn *t, const struct world **ret_world, struct err *err)
{
	struct world *w = calloc(1, sizeof *w);

	(void)ctx;
	(void)t;
	(void)err;
	assert_non_null(w);
	atomic_init(&w->refs, 1);
	w->destroy = destroy_world;
	*ret_world = w;
	return ST_OK;
}

static enum status no_records(void *ctx, struct txn *t, struct err *err)
{
	(void)ctx;
	(void)t;
	(void)err;
	return ST_OK;
}

static enum status make_and_open(void *arg, struct txn *t, struct err *err)
{
	static const uint8_t key[TERM_KEY_LEN] = "a key of the tests, not of a use";
	static const uint8_t id[STORE_ID_LEN] = "id of the store";
	struct solo *s = arg;
	struct secret *k;
	enum status st;

	(void)t;
	assert_int_equal(secret_from(span_of(key, sizeof key), &k), ST_OK);
	st = writer_create(s->writer, k, k, id, NULL, 0, no_records, NULL, err);
	if (st == ST_OK)
		st = writer_open(s->writer, k, k, solo_load, NULL, err);
	secret_free(&k);
	return st;
}

void solo_open(struct solo *s)
{
	assert_int_equal(solo_control(s, make_and_open, s, NULL), ST_OK);
}

/* ---- jobs that are waited for ---- */

struct solo_job {
	struct writer_job job; /* first member */
	solo_fn *fn;
	void *arg;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool done;
	enum status status;
	struct err err;
};

static enum status run(struct writer_job *job, struct txn *t, struct err *err)
{
	struct solo_job *j = (struct solo_job *)(void *)job;

	return j->fn(j->arg, t, err);
}

static void done(struct writer_job *job, enum status st, const struct err *err)
{
	struct solo_job *j = (struct solo_job *)(void *)job;

	pthread_mutex_lock(&j->lock);
	j->status = st;
	if (err != NULL)
		j->err = *err;
	j->done = true;
	pthread_cond_signal(&j->cond);
	pthread_mutex_unlock(&j->lock);
}

static enum status wait_for(struct solo *s, enum writer_job_kind kind, solo_fn *fn, void *arg,
                            struct err *err)
{
	struct solo_job j = {.job = {.run = run, .done = done, .kind = kind},
	                     .fn = fn,
	                     .arg = arg,
	                     .lock = PTHREAD_MUTEX_INITIALIZER,
	                     .cond = PTHREAD_COND_INITIALIZER};

	writer_submit(s->writer, &j.job);
	pthread_mutex_lock(&j.lock);
	while (!j.done)
		pthread_cond_wait(&j.cond, &j.lock);
	pthread_mutex_unlock(&j.lock);
	pthread_mutex_destroy(&j.lock);
	pthread_cond_destroy(&j.cond);
	if (err != NULL)
		*err = j.err;
	return j.status;
}

enum status solo_write(struct solo *s, solo_fn *fn, void *arg, struct err *err)
{
	return wait_for(s, JOB_WRITE, fn, arg, err);
}

enum status solo_control(struct solo *s, solo_fn *fn, void *arg, struct err *err)
{
	return wait_for(s, JOB_CONTROL, fn, arg, err);
}

/* ---- records as they lie ---- */

static struct storage_txn *raw_begin(struct solo *s)
{
	struct storage_txn *t = NULL;

	assert_int_equal(storage_mem.write_begin(s->storage, &t, NULL), ST_OK);
	return t;
}

void solo_raw_put(struct solo *s, const char *path, struct span value)
{
	struct storage_txn *t = raw_begin(s);

	assert_int_equal(storage_mem.put(t, span_str(path), value, NULL), ST_OK);
	assert_int_equal(storage_mem.commit(&t, NULL), STORAGE_DONE);
}

void solo_raw_delete(struct solo *s, const char *path)
{
	struct storage_txn *t = raw_begin(s);

	assert_int_equal(storage_mem.del(t, span_str(path), NULL), ST_OK);
	assert_int_equal(storage_mem.commit(&t, NULL), STORAGE_DONE);
}

void solo_raw_get(struct solo *s, const char *path, struct builder *out)
{
	struct storage_txn *t = raw_begin(s);
	struct span value;

	assert_int_equal(storage_mem.get(t, span_str(path), &value, NULL), ST_OK);
	builder_add(out, value);
	storage_mem.abort(&t);
	assert_int_equal(builder_status(out), ST_OK);
}

void solo_raw_all(struct solo *s, struct builder *out)
{
	struct storage_txn *t = raw_begin(s);
	struct builder from = {0};
	struct span key, value;

	while (storage_mem.seek(t, builder_span(&from), &key, &value, NULL) == ST_OK) {
		builder_add(out, value);
		builder_reset(&from);
		builder_add(&from, key);
		builder_u8(&from, 0);
	}
	builder_free(&from);
	storage_mem.abort(&t);
	assert_int_equal(builder_status(out), ST_OK);
}
