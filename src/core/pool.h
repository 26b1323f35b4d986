/*
 * A small bounded pool of workers for slow work (argon2id, key generation, large batches of signatures) between the loop and the writer.
 * A full pool refuses: the caller answers 503.
 */
#ifndef CORE_POOL_H
#define CORE_POOL_H

#include "base/status.h"

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

#endif
