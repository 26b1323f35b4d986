#include "lib/house_impl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* ---- waiting for another thread ---- */

void latch_init(struct latch *l)
{
	*l = (struct latch){PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false};
}

void latch_open(struct latch *l)
{
	pthread_mutex_lock(&l->lock);
	l->open = true;
	pthread_cond_broadcast(&l->cond);
	pthread_mutex_unlock(&l->lock);
}

void latch_await(struct latch *l)
{
	pthread_mutex_lock(&l->lock);
	while (!l->open)
		pthread_cond_wait(&l->cond, &l->lock);
	pthread_mutex_unlock(&l->lock);
}

/* ---- the loop ---- */

void house_post(struct loop *loop, struct task *task)
{
	struct house_loop *l = (struct house_loop *)(void *)loop;

	pthread_mutex_lock(&l->lock);
	task->next = NULL;
	*l->last = task;
	l->last = &task->next;
	pthread_cond_signal(&l->more);
	pthread_mutex_unlock(&l->lock);
}

/* All that waits; NULL: the end. */
static struct task *take(struct house_loop *l)
{
	struct task *t;

	pthread_mutex_lock(&l->lock);
	while (l->first == NULL && !l->ending)
		pthread_cond_wait(&l->more, &l->lock);
	t = l->first;
	l->first = NULL;
	l->last = &l->first;
	pthread_mutex_unlock(&l->lock);
	return t;
}

static void run(struct task *t)
{
	struct task *next;

	for (; t != NULL; t = next) {
		next = t->next;
		t->run(t);
	}
}

static void *loop_main(void *arg)
{
	struct house_loop *l = arg;
	struct task *t;

	while ((t = take(l)) != NULL) {
		run(t);
		l->loop.turn_end(l->loop.ctx);
	}
	return NULL;
}

void house_turn(struct house *h)
{
	assert_int_equal(h->loop.runner, HOUSE_TEST);
	h->loop.loop.turn_end(h->loop.loop.ctx);
	run(take(&h->loop));
}

void house_loop_init(struct house_loop *l, enum house_runner runner)
{
	*l = (struct house_loop){.loop.post = house_post, .runner = runner};
	l->last = &l->first;
	pthread_mutex_init(&l->lock, NULL);
	pthread_cond_init(&l->more, NULL);
}

void house_loop_start(struct house_loop *l)
{
	if (l->runner == HOUSE_THREAD)
		assert_int_equal(pthread_create(&l->thread, NULL, loop_main, l), 0);
}

void house_loop_stop(struct house_loop *l)
{
	if (l->runner == HOUSE_THREAD) {
		pthread_mutex_lock(&l->lock);
		l->ending = true;
		pthread_cond_signal(&l->more);
		pthread_mutex_unlock(&l->lock);
		pthread_join(l->thread, NULL);
	}
	pthread_mutex_destroy(&l->lock);
	pthread_cond_destroy(&l->more);
}

/* ---- work on the loop ---- */

struct errand {
	struct task task; /* first member */
	void (*fn)(void *arg);
	void *arg;
	struct latch done;
};

static void errand_run(struct task *task)
{
	struct errand *e = (struct errand *)(void *)task;

	e->fn(e->arg);
	latch_open(&e->done);
}

void house_on_loop(struct house *h, void (*fn)(void *arg), void *arg)
{
	struct errand e = {.task.run = errand_run, .fn = fn, .arg = arg};

	assert_int_equal(h->loop.runner, HOUSE_THREAD);
	latch_init(&e.done);
	house_post(&h->loop.loop, &e.task);
	latch_await(&e.done);
}

static void pass(void *arg)
{
	(void)arg;
}

void house_flush(struct house *h)
{
	house_on_loop(h, pass, NULL);
}

/* ---- work on the writer ---- */

struct errand_job {
	struct writer_job job; /* first member */
	struct house *house;
	enum status (*fn)(void *arg, struct txn *t, struct err *err);
	void *arg;
	enum status status;
	struct latch done;
	/* HOUSE_TEST: it comes back by the loop, which goes on meanwhile */
	struct task back;
	bool is_back;
};

static enum status job_run(struct writer_job *job, struct txn *t, struct err *err)
{
	struct errand_job *j = (struct errand_job *)(void *)job;

	return j->fn(j->arg, t, err);
}

static void job_back(struct task *task)
{
	((struct errand_job *)(void *)((char *)task - offsetof(struct errand_job, back)))->is_back =
	    true;
}

static void job_done(struct writer_job *job, enum status st, const struct err *err)
{
	struct errand_job *j = (struct errand_job *)(void *)job;

	(void)err;
	j->status = st;
	j->back.run = job_back;
	if (j->house->loop.runner == HOUSE_TEST)
		house_post(&j->house->loop.loop, &j->back);
	else
		latch_open(&j->done);
}

static void job_start(struct house *h, struct errand_job *j, enum writer_job_kind kind)
{
	j->job = (struct writer_job){.run = job_run, .done = job_done, .kind = kind};
	j->house = h;
	latch_init(&j->done);
	writer_submit(h->writer, &j->job);
}

static enum status job_await(struct house *h, struct errand_job *j)
{
	if (h->loop.runner == HOUSE_THREAD)
		latch_await(&j->done);
	while (h->loop.runner == HOUSE_TEST && !j->is_back)
		house_turn(h);
	return j->status;
}

enum status house_write(struct house *h,
                        enum status (*fn)(void *arg, struct txn *t, struct err *err), void *arg)
{
	struct errand_job j = {.fn = fn, .arg = arg};

	job_start(h, &j, JOB_WRITE);
	return job_await(h, &j);
}

enum status house_control(struct house *h,
                          enum status (*fn)(void *arg, struct txn *t, struct err *err), void *arg)
{
	struct errand_job j = {.fn = fn, .arg = arg};

	job_start(h, &j, JOB_CONTROL);
	return job_await(h, &j);
}

static struct latch held, released;
static struct errand_job holding;

static enum status hold_fn(void *arg, struct txn *t, struct err *err)
{
	(void)arg;
	(void)t;
	(void)err;
	latch_open(&held);
	latch_await(&released);
	return ST_OK;
}

void house_hold(struct house *h)
{
	latch_init(&held);
	latch_init(&released);
	holding = (struct errand_job){.fn = hold_fn};
	job_start(h, &holding, JOB_CONTROL);
	latch_await(&held);
}

void house_release(struct house *h)
{
	house_flush(h);
	latch_open(&released);
	latch_await(&holding.done);
}

/* ---- the writer's time ---- */

static enum status nothing(void *arg, struct txn *t, struct err *err)
{
	(void)arg;
	(void)t;
	(void)err;
	return ST_OK;
}

static enum status due_fn(void *arg, struct txn *t, struct err *err)
{
	struct house *h = arg;

	(void)t;
	(void)err;
	return sched_due_at(h->sched) <= clock_wall_ns(&h->clock.clock) ? ST_PENDING : ST_OK;
}

bool house_due(struct house *h)
{
	writer_wake(h->writer);
	/* what is due runs behind the jobs of a group */
	(void)house_write(h, nothing, NULL);
	return house_write(h, due_fn, h) == ST_PENDING;
}

void house_settle(struct house *h)
{
	while (house_due(h))
		;
}

void house_later(struct house *h, int64_t seconds)
{
	clock_manual_advance(&h->clock, seconds * NS_PER_S);
	house_settle(h);
}

void house_fail_commit(struct house *h, enum faultstore_commit how)
{
	const struct faultstore_plan plan = {.call = FAULTSTORE_COMMIT,
	                                     .nth = 1,
	                                     .repeat = FAULTSTORE_ONCE,
	                                     .status = ST_IO,
	                                     .commit = how};

	faultstore_order(h->store, &plan);
}

/* ---- the end ---- */

struct stopping {
	struct task task; /* first member */
	struct house *house;
	bool stopped;
};

static void *stop_main(void *arg)
{
	struct stopping *s = arg;

	writer_stop(s->house->writer);
	house_post(&s->house->loop.loop, &s->task);
	return NULL;
}

static void stop_done(struct task *task)
{
	((struct stopping *)(void *)task)->stopped = true;
}

void house_writer_stop(struct house *h)
{
	struct stopping s = {.task.run = stop_done, .house = h};
	pthread_t thread;

	if (h->loop.runner == HOUSE_THREAD) {
		writer_stop(h->writer);
		return;
	}
	/* The test runs the loop, so somebody else has to wait. */
	assert_int_equal(pthread_create(&thread, NULL, stop_main, &s), 0);
	while (!s.stopped)
		house_turn(h);
	pthread_join(thread, NULL);
}
