#include "core/pool.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "engine/engine.h"

struct pool {
	pthread_mutex_t lock; /* guards all members up to the threads */
	pthread_cond_t work;  /* a job waits, or the pool ends */
	struct pool_job *first, **last;
	pthread_cond_t idle; /* no job waits or runs */
	unsigned waiting, waiting_max, running;
	uint64_t jobs, refused;
	bool ending;
	unsigned n_threads;
	pthread_t threads[];
};

/* The next job; NULL: the pool ends and none is left. */
static struct pool_job *take(struct pool *p)
{
	struct pool_job *job;

	pthread_mutex_lock(&p->lock);
	while (p->first == NULL && !p->ending)
		pthread_cond_wait(&p->work, &p->lock);
	job = p->first;
	if (job != NULL) {
		p->first = job->next;
		if (p->first == NULL)
			p->last = &p->first;
		p->waiting--;
		p->running++;
	}
	pthread_mutex_unlock(&p->lock);
	return job;
}

static void ended(struct pool *p)
{
	pthread_mutex_lock(&p->lock);
	if (--p->running == 0 && p->waiting == 0)
		pthread_cond_broadcast(&p->idle);
	pthread_mutex_unlock(&p->lock);
}

static void *work(void *arg)
{
	struct pool *p = arg;
	struct pool_job *job;

	/* Once run has returned, the job is its owner's again. */
	while ((job = take(p)) != NULL) {
		job->run(job);
		ended(p);
	}
	return NULL;
}

enum status pool_new(unsigned threads, unsigned waiting, struct pool **ret, struct err *err)
{
	struct pool *p;
	int e;

	MUST(threads > 0 && waiting > 0);
	p = calloc(1, sizeof *p + threads * sizeof p->threads[0]);
	if (p == NULL)
		return err_set(err, ST_NOMEM, "no memory for the pool of workers");
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->work, NULL);
	pthread_cond_init(&p->idle, NULL);
	p->last = &p->first;
	p->waiting_max = waiting;
	for (; p->n_threads < threads; p->n_threads++) {
		e = pthread_create(&p->threads[p->n_threads], NULL, work, p);
		if (e != 0) {
			pool_free(&p);
			return err_set(err, ST_NOMEM, "cannot start a worker: %s", strerror(e));
		}
	}
	*ret = p;
	return ST_OK;
}

void pool_free(struct pool **p)
{
	struct pool *mine = *p;

	*p = NULL;
	if (mine == NULL)
		return;
	pthread_mutex_lock(&mine->lock);
	mine->ending = true;
	pthread_cond_broadcast(&mine->work);
	pthread_mutex_unlock(&mine->lock);
	for (unsigned i = 0; i < mine->n_threads; i++)
		pthread_join(mine->threads[i], NULL);
	MUST(mine->first == NULL);
	pthread_cond_destroy(&mine->work);
	pthread_cond_destroy(&mine->idle);
	pthread_mutex_destroy(&mine->lock);
	free(mine);
}

enum status pool_submit(struct pool *p, struct pool_job *job)
{
	enum status st = ST_BUSY;

	pthread_mutex_lock(&p->lock);
	MUST(!p->ending);
	if (p->waiting < p->waiting_max) {
		job->next = NULL;
		*p->last = job;
		p->last = &job->next;
		p->waiting++;
		p->jobs++;
		pthread_cond_signal(&p->work);
		st = ST_OK;
	} else {
		p->refused++;
	}
	pthread_mutex_unlock(&p->lock);
	return st;
}

void pool_drain(struct pool *p)
{
	pthread_mutex_lock(&p->lock);
	while (p->waiting > 0 || p->running > 0)
		pthread_cond_wait(&p->idle, &p->lock);
	pthread_mutex_unlock(&p->lock);
}

void pool_stats(struct pool *p, struct pool_stats *ret)
{
	pthread_mutex_lock(&p->lock);
	*ret = (struct pool_stats){.jobs = p->jobs, .refused = p->refused, .waiting = p->waiting};
	pthread_mutex_unlock(&p->lock);
}

/* ---- work that nobody waits for ---- */

struct later {
	struct pool_job job; /* first */
	struct slow *work;
};

static void later_run(struct pool_job *job)
{
	struct later *l = (struct later *)(void *)job;

	l->work->run(l->work);
	l->work->free(&l->work);
	free(l);
}

enum status pool_later(struct pool *p, struct slow *work)
{
	struct later *l = calloc(1, sizeof *l);
	enum status st;

	if (l == NULL)
		return ST_NOMEM;
	l->job.run = later_run;
	l->work = work;
	st = pool_submit(p, &l->job);
	if (st != ST_OK)
		free(l);
	return st;
}
