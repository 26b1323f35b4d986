/* The pool: all jobs run, once, on other threads; a full pool refuses; the end runs what waits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#include "core/pool.h"
#include "engine/engine.h"

/* A door that jobs wait at, and that counts them. */
static struct {
	pthread_mutex_t lock;
	pthread_cond_t moved;
	unsigned arrived;
	bool open;
} door = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, false};

static void door_shut(void)
{
	pthread_mutex_lock(&door.lock);
	door.arrived = 0;
	door.open = false;
	pthread_mutex_unlock(&door.lock);
}

static void door_open(void)
{
	pthread_mutex_lock(&door.lock);
	door.open = true;
	pthread_cond_broadcast(&door.moved);
	pthread_mutex_unlock(&door.lock);
}

static void wait_for_arrivals(unsigned n)
{
	pthread_mutex_lock(&door.lock);
	while (door.arrived < n)
		pthread_cond_wait(&door.moved, &door.lock);
	pthread_mutex_unlock(&door.lock);
}

struct counted {
	struct pool_job job; /* first member */
	unsigned runs;
	unsigned order; /* when it ran, from 0 */
	pthread_t by;
};

static _Atomic unsigned ran;

static void run_counted(struct pool_job *job)
{
	struct counted *c = (struct counted *)(void *)job;

	c->runs++;
	c->by = pthread_self();
	c->order = atomic_fetch_add(&ran, 1);
}

static void run_at_door(struct pool_job *job)
{
	pthread_mutex_lock(&door.lock);
	door.arrived++;
	pthread_cond_broadcast(&door.moved);
	while (!door.open)
		pthread_cond_wait(&door.moved, &door.lock);
	pthread_mutex_unlock(&door.lock);
	run_counted(job);
}

static void jobs_at_door(struct pool *p, struct counted *jobs, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		jobs[i] = (struct counted){.job = {.run = run_at_door}};
		assert_int_equal(pool_submit(p, &jobs[i].job), ST_OK);
		wait_for_arrivals(i + 1);
	}
}

static struct pool *new_pool(unsigned threads, unsigned waiting)
{
	struct pool *p = NULL;

	door_shut();
	atomic_store(&ran, 0);
	assert_int_equal(pool_new(threads, waiting, &p, NULL), ST_OK);
	return p;
}

static void all_run_once(void **state)
{
	enum { N = 500 };
	struct pool *p = new_pool(3, N);
	struct counted *jobs = calloc(N, sizeof *jobs);

	(void)state;
	assert_non_null(jobs);
	for (size_t i = 0; i < N; i++) {
		jobs[i].job.run = run_counted;
		assert_int_equal(pool_submit(p, &jobs[i].job), ST_OK);
	}
	pool_free(&p);
	assert_null(p);
	for (size_t i = 0; i < N; i++) {
		assert_int_equal(jobs[i].runs, 1);
		assert_false(pthread_equal(jobs[i].by, pthread_self()));
	}
	free(jobs);
}

/* As many at once as there are threads. */
static void side_by_side(void **state)
{
	struct pool *p = new_pool(4, 1);
	struct counted jobs[4];

	(void)state;
	jobs_at_door(p, jobs, 4);
	door_open();
	pool_free(&p);
	for (size_t i = 0; i < 4; i++)
		for (size_t j = 0; j < i; j++)
			assert_false(pthread_equal(jobs[i].by, jobs[j].by));
}

static void full_pool_refuses(void **state)
{
	struct pool *p = new_pool(1, 2);
	struct counted busy,
	    waiting[2] = {{.job = {.run = run_counted}}, {.job = {.run = run_counted}}};
	struct counted refused = {.job = {.run = run_counted}};

	(void)state;
	jobs_at_door(p, &busy, 1);
	assert_int_equal(pool_submit(p, &waiting[0].job), ST_OK);
	assert_int_equal(pool_submit(p, &waiting[1].job), ST_OK);
	assert_int_equal(pool_submit(p, &refused.job), ST_BUSY);
	assert_int_equal(pool_submit(p, &refused.job), ST_BUSY);
	door_open();
	pool_free(&p);
	assert_int_equal(refused.runs, 0);
	assert_int_equal(waiting[0].runs + waiting[1].runs, 2);
}

/* Room comes back when a worker takes a job, also after the queue was empty. */
static void takes_again(void **state)
{
	enum { ROUNDS = 20 };
	struct pool *p = new_pool(1, 1);
	struct counted busy[ROUNDS], next[ROUNDS];

	(void)state;
	for (unsigned i = 0; i < ROUNDS; i++) {
		door_shut();
		jobs_at_door(p, &busy[i], 1);
		next[i] = (struct counted){.job = {.run = run_at_door}};
		assert_int_equal(pool_submit(p, &next[i].job), ST_OK);
		door_open();
		wait_for_arrivals(2);
		while (atomic_load(&ran) < (i + 1) * 2)
			sched_yield();
	}
	pool_free(&p);
	for (unsigned i = 0; i < ROUNDS; i++)
		assert_int_equal(busy[i].runs + next[i].runs, 2);
}

static void in_order(void **state)
{
	struct pool *p = new_pool(1, 10);
	struct counted busy, jobs[10];

	(void)state;
	jobs_at_door(p, &busy, 1);
	for (size_t i = 0; i < 10; i++) {
		jobs[i] = (struct counted){.job = {.run = run_counted}};
		assert_int_equal(pool_submit(p, &jobs[i].job), ST_OK);
	}
	door_open();
	pool_free(&p);
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(jobs[i].order, i + 1);
}

/* A job may be its own memory's end. */
static void run_and_free(struct pool_job *job)
{
	free(job);
	atomic_fetch_add(&ran, 1);
}

static void not_touched_after_run(void **state)
{
	struct pool *p = new_pool(2, 100);

	(void)state;
	for (size_t i = 0; i < 100; i++) {
		struct pool_job *job = calloc(1, sizeof *job);

		assert_non_null(job);
		job->run = run_and_free;
		assert_int_equal(pool_submit(p, job), ST_OK);
	}
	pool_free(&p);
	assert_int_equal(atomic_load(&ran), 100);
}

static void *open_later(void *arg)
{
	wait_for_arrivals(*(unsigned *)arg);
	door_open();
	return NULL;
}

static void a_drained_pool_has_done_all(void **state)
{
	struct pool *p = new_pool(2, 10);
	struct counted jobs[12];
	struct pool_stats s;
	unsigned both = 2;
	pthread_t thread;

	(void)state;
	pool_drain(p); /* nothing is there: at once */
	for (size_t i = 0; i < 12; i++) {
		jobs[i] = (struct counted){.job = {.run = run_at_door}};
		if (i == 2)
			wait_for_arrivals(2); /* so that there is room for ten more */
		assert_int_equal(pool_submit(p, &jobs[i].job), ST_OK);
	}
	assert_int_equal(pool_submit(p, &jobs[0].job), ST_BUSY);
	pool_stats(p, &s);
	assert_int_equal(s.jobs, 12);
	assert_int_equal(s.refused, 1);
	assert_int_equal(s.waiting, 10);
	assert_int_equal(pthread_create(&thread, NULL, open_later, &both), 0);
	pool_drain(p);
	assert_int_equal(atomic_load(&ran), 12);
	pool_stats(p, &s);
	assert_int_equal(s.waiting, 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	pool_free(&p);
}

/* Several threads hand over at once; each job is either refused or run. */
#define SUBMITTERS 4
#define EACH       200

struct submitter {
	struct pool *pool;
	struct counted jobs[EACH];
	unsigned taken;
};

static void *submit_all(void *arg)
{
	struct submitter *s = arg;

	for (size_t i = 0; i < EACH; i++) {
		s->jobs[i].job.run = run_counted;
		s->taken += pool_submit(s->pool, &s->jobs[i].job) == ST_OK;
	}
	return NULL;
}

static void many_submitters(void **state)
{
	struct pool *p = new_pool(2, 8);
	struct submitter *s = calloc(SUBMITTERS, sizeof *s);
	pthread_t threads[SUBMITTERS];
	unsigned taken = 0, runs = 0;

	(void)state;
	assert_non_null(s);
	for (size_t i = 0; i < SUBMITTERS; i++) {
		s[i].pool = p;
		assert_int_equal(pthread_create(&threads[i], NULL, submit_all, &s[i]), 0);
	}
	for (size_t i = 0; i < SUBMITTERS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	pool_free(&p);
	for (size_t i = 0; i < SUBMITTERS; i++) {
		taken += s[i].taken;
		for (size_t j = 0; j < EACH; j++) {
			assert_in_range(s[i].jobs[j].runs, 0, 1);
			runs += s[i].jobs[j].runs;
		}
	}
	assert_int_equal(runs, taken);
	assert_true(taken > 0);
	free(s);
}

struct work {
	struct slow slow;       /* first */
	struct counted counted; /* waits at the door */
	atomic_uint runs, frees;
};

static void work_run(struct slow *slow)
{
	struct work *w = (struct work *)(void *)slow;

	atomic_fetch_add(&w->runs, 1);
	run_at_door(&w->counted.job);
}

static void work_free(struct slow **slow)
{
	struct work *w = (struct work *)(void *)*slow;

	assert_int_equal(atomic_load(&w->runs), 1);
	*slow = NULL;
	atomic_fetch_add(&w->frees, 1);
}

/* An engine's work that nobody waits for: run once, then freed; refused by a full pool, which takes nothing of it. */
static void later(void **state)
{
	struct work works[3] = {{.slow = {work_run, work_free}},
	                        {.slow = {work_run, work_free}},
	                        {.slow = {work_run, work_free}}};
	struct pool *p;
	struct err err = {0};

	(void)state;
	door_shut();
	assert_int_equal(pool_new(1, 1, &p, &err), ST_OK);
	assert_int_equal(pool_later(p, &works[0].slow), ST_OK);
	wait_for_arrivals(1);
	assert_int_equal(pool_later(p, &works[1].slow), ST_OK);
	assert_int_equal(pool_later(p, &works[2].slow), ST_BUSY);
	door_open();
	pool_drain(p);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(atomic_load(&works[i].runs), i < 2);
		assert_int_equal(atomic_load(&works[i].frees), i < 2);
	}
	pool_free(&p);
}

static void free_of_none(void **state)
{
	struct pool *p = NULL;

	(void)state;
	pool_free(&p);
	p = new_pool(2, 1);
	pool_free(&p);
	assert_null(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(all_run_once),
	    cmocka_unit_test(side_by_side),
	    cmocka_unit_test(full_pool_refuses),
	    cmocka_unit_test(takes_again),
	    cmocka_unit_test(in_order),
	    cmocka_unit_test(not_touched_after_run),
	    cmocka_unit_test(many_submitters),
	    cmocka_unit_test(free_of_none),
	    cmocka_unit_test(a_drained_pool_has_done_all),
	    cmocka_unit_test(later),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
