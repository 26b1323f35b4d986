/*
 * One event loop on its own thread: events (libevent, core only), posted tasks, the wheel of deadlines, accepting.  Private to http.
 *
 * A turn: poll and handle events; run the connections that have more to do at once (`again`); bury closed ones; tell
 * the upper floor that the turn ends.
 */
#ifndef HTTP_WORKER_H
#define HTTP_WORKER_H

#include <event2/event.h>
#include <event2/event_struct.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "base/loop.h"
#include "http/h1_parse.h"
#include "http/h1_reply.h"
#include "http/server.h"
#include "http/tls.h"
#include "http/wheel.h"

struct conn;
struct h1;

/* One listening socket as a worker sees it. */
struct acceptor {
	struct event ev;
	struct worker *worker;
	struct tls *tls; /* NULL: plain */
	int fd;
	int family;
	bool armed; /* ev is added */
};

/* What all workers share; belongs to the server, constant after its start but for the counter. */
struct shared {
	const struct server_config *config; /* defaults filled in */
	const struct clock *clock;
	struct api *api;
	struct h1_limits limits;
	_Atomic size_t connections;
	_Atomic int64_t last_full_log_ns;
};

/* Written by the worker alone, read by anybody. */
struct counters {
	_Atomic uint64_t connections_now, connections_total, requests, bytes_in, bytes_out, refused;
};

struct worker {
	struct loop loop; /* first: the upper floor holds this */
	struct shared *shared;
	struct event_base *base;
	struct event wake, tick, rest;
	int wake_fd;
	_Atomic(struct task *) tasks; /* newest first */
	pthread_t thread;
	bool running;
	struct acceptor *acceptors;
	size_t n_acceptors;

	struct wheel wheel;
	int64_t start_ns;
	char date[HTTP_DATE_ROOM];
	struct conn *again, **again_end;
	struct conn *dead;
	struct conn *spare_conns;
	struct h1 *spare_h1s;
	size_t n_spare_conns, n_spare_h1s;
	size_t n_freed_h1s,
	    n_freed_before; /* since the last trim, and of these before the last tick */
	bool stopping, quitting;
	struct counters counters;
	struct task stop_task, kill_task, quit_task;
	_Atomic bool accepts_no_more; /* set when the stop task ran */
};

/* worker_init(w, shared, index): everything but the acceptors and the thread.  worker_clear: frees what init made and all connections. */
MUST_USE enum status worker_init(struct worker *w, struct shared *shared, unsigned index,
                                 struct err *err);
void worker_clear(struct worker *w);
MUST_USE enum status worker_start(struct worker *w, struct err *err);
/* worker_stop: no more accepting, idle connections close, the others after their answer.  worker_kill: all connections close now.
 * worker_quit: the thread ends, after a last turn; it waits for it.  Any thread but the worker's. */
void worker_stop(struct worker *w);
void worker_kill(struct worker *w);
void worker_quit(struct worker *w);

/* For connections, on the worker's thread. */
struct worker *worker_of(struct loop *l);
/* worker_ticks(ms): a time as ticks, rounded up, so that deadlines are never early.  worker_deadline(w, ms): that long from now. */
uint64_t worker_deadline(const struct worker *w, uint64_t ms);
/* worker_again(w, c): conn_again(c) later in this turn or in the next, before anything blocks.  worker_bury(w, c): free c when the turn ends. */
void worker_again(struct worker *w, struct conn *c);
void worker_bury(struct worker *w, struct conn *c);

static inline void count(_Atomic uint64_t *counter, uint64_t n)
{
	/* one writer: no locked instruction needed */
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
	                      memory_order_relaxed);
}

#endif
