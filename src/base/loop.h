/* What the rest of the tree may know of an event loop; http implements it. */
#ifndef BASE_LOOP_H
#define BASE_LOOP_H

#include <stdint.h>

#include "base/status.h"

/* A piece of work for another thread; embedded in its owner, which keeps it alive until it ran. */
struct task {
	void (*run)(struct task *);
	struct task *next; /* the queue's */
};

/*
 * One event loop on a thread of its own.  `ctx` is for the module that answers requests (its read transaction, caches);
 * set once before the loop starts, used only on the loop's thread.
 */
struct loop {
	/* post(loop, task): run the task on the loop's thread, soon, in the order of posting.  Any thread; never fails, never blocks. */
	void (*post)(struct loop *, struct task *);
	/* turn_end: called on the loop's thread before it polls, when turn_begin was called since it polled last. */
	void (*turn_end)(void *ctx);
	unsigned index; /* 0, 1, ... */
	void *ctx;
};

#endif
