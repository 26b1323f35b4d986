/* What the toy server's files share. */
#ifndef TOY_H
#define TOY_H

#include <pthread.h>
#include <time.h>

#include "api/api.h"

/* Something for the other thread, which hands it back to the loop when it is due. */
struct job {
	struct task task;
	struct exchange *x;
	struct timespec due;
	struct job *next;
};

/* Summed over all loops. */
struct toy_streams {
	_Atomic unsigned long begun, over, aborted, paused;
	_Atomic unsigned long long input, output;
	_Atomic unsigned long most; /* bytes offered at once */
};

struct api {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct job *jobs;
	bool ending;
	_Atomic unsigned long turns, states, late;
	struct toy_streams streams;
};

/* What a stream was asked to do; see toy_stream.c. */
struct toy_stream {
	unsigned long pause, over, item, out, ms, answer;
	unsigned long lines; /* answered */
	unsigned long until; /* so many lines: then a pause */
	bool open, paused;
};

/* What the toy keeps for each exchange, to see that api_forget comes exactly once. */
struct memory {
	unsigned requests;
	struct job job;
	struct toy_stream stream;
};

/* toy_number(query, "name=") : 0 when it is not there.  toy_later(api, x, run, ms): run(&memory.job.task) on the loop, after so long. */
unsigned long toy_number(struct span query, const char *name);
void toy_later(struct api *api, struct exchange *x, void (*run)(struct task *), unsigned long ms);
/* toy_stream_handle(api, x): /stream; everything else of the stream is api_stream's and api_abort's. */
void toy_stream_handle(struct api *api, struct exchange *x);

#endif
