/*
 * A small bounded pool of workers for slow work (key generation, RSA, large batches of signatures) between the loop and the handler.
 * A full pool refuses: the caller answers 503.
 */
#ifndef CORE_POOL_H
#define CORE_POOL_H

#include <stdint.h>

#include "base/status.h"

struct slow;

struct pool;

/* Work, embedded in its owner, which keeps it until run has returned. */
struct pool_job {
	void (*run)(struct pool_job *); /* on a worker's thread */
	struct pool_job *next;
};

/* pool_new(threads, waiting, ret, err): at least one thread; at most `waiting` jobs not yet begun. */
MUST_USE enum status pool_new(unsigned threads, unsigned waiting, struct pool **ret,
                              struct err *err);
/* pool_free(p): runs what waits, ends the threads. */
void pool_free(struct pool **p);
/* pool_submit(p, job): any thread; ST_BUSY when full (job was not taken). */
MUST_USE enum status pool_submit(struct pool *p, struct pool_job *job);

/* pool_later(p, work): run an engine's slow work that no request waits for, then free it.  Any thread; ST_BUSY as pool_submit, ST_NOMEM: it was not taken. */
MUST_USE enum status pool_later(struct pool *p, struct slow *work);

/* pool_drain(p): wait until no job waits or runs; by then nobody else may submit.  Not on a worker's thread. */
void pool_drain(struct pool *p);

struct pool_stats {
	uint64_t jobs, refused; /* taken; not taken, as it was full */
	uint64_t waiting;       /* now */
};
/* Any thread. */
void pool_stats(struct pool *p, struct pool_stats *ret);

#endif
