/*
 * Handlers, and the slow work that comes before them.
 *
 * A call's work is touched by one thread at a time: by its loop, or by the writer while the call is there, or by a worker from gate_slow_begin until the
 * worker's last word (state).  Calls with work are in a list of their loop, so that the loop can free it all when the store closes: the writer stands still
 * then (readers_stop), and what a worker holds it marks DROPPED, for the worker to free.  gate_stopped waits for those.
 */
#include <string.h>

#include "core/gate_impl.h"

/* ---- handlers ---- */

static void free_work(struct gate_call *call)
{
	if (call->slow.work != NULL)
		call->slow.work->free(&call->slow.work);
	call->slow.work = NULL;
}

/* The work that was done is for this operation of this mount: another may be mounted there by now. */
static bool fits(const struct gate_call *call, const struct gate_pass *p)
{
	return call->slow.work != NULL && call->slow.op == call->op &&
	       strcmp(call->slow.mount, p->mount->uuid) == 0;
}

void gate_slow_give(struct gate_pass *p, const struct gate_call *call)
{
	p->op.slow = fits(call, p) ? call->slow.work : NULL;
}

enum status gate_slow_take(struct gate_pass *p, struct gate_call *call, enum status st)
{
	bool is_new = p->op.slow != (fits(call, p) ? call->slow.work : NULL);

	if (is_new) {
		free_work(call);
		call->slow.work = p->op.slow;
		call->slow.op = call->op;
		memcpy(call->slow.mount, p->mount->uuid, sizeof call->slow.mount);
	}
	MUST(st != ST_PENDING || (call->slow.work != NULL && is_new));
	if (st == ST_PENDING && call->slow.rounds == OP_ROUNDS_MAX)
		return answer_fail(&call->ans, ST_BUSY,
		                   "the state changes too fast for this: try again later");
	return st;
}

static enum status run(struct gate_pass *p, struct gate_call *call,
                       enum status (*fn)(struct op *op))
{
	unsigned n_query = call->req.n_query;
	enum status st;

	gate_slow_give(p, call);
	if (p->bound)
		call->req.n_query = 0;
	st = fn(&p->op);
	call->req.n_query = n_query; /* the audit tells what was sent */
	return gate_slow_take(p, call, st);
}

enum status gate_handle(struct gate_pass *p, struct gate_call *call)
{
	return run(p, call, call->op->handle);
}

enum status gate_prepare(struct gate_pass *p, struct gate_call *call)
{
	return call->op->prepare == NULL ? ST_OK : run(p, call, call->op->prepare);
}

/* ---- the loop's list ---- */

static void link_call(struct gate_loop *l, struct gate_call *call)
{
	struct gate_slow *s = &call->slow;

	if (s->at != NULL)
		return;
	s->next = l->slow;
	s->at = &l->slow;
	if (s->next != NULL)
		s->next->slow.at = &s->next;
	l->slow = call;
}

static void unlink_call(struct gate_call *call)
{
	struct gate_slow *s = &call->slow;

	if (s->at == NULL)
		return;
	*s->at = s->next;
	if (s->next != NULL)
		s->next->slow.at = s->at;
	s->at = NULL;
	s->next = NULL;
}

/* ---- the work ---- */

static void work(struct pool_job *job)
{
	struct gate_call *call =
	    (struct gate_call *)(void *)((char *)job - offsetof(struct gate_call, slow.job));
	enum gate_slow_state at_work = SLOW_AT_WORK;

	if (atomic_load_explicit(&call->slow.state, memory_order_relaxed) == SLOW_AT_WORK)
		call->slow.work->run(call->slow.work);
	if (!atomic_compare_exchange_strong_explicit(&call->slow.state, &at_work, SLOW_IDLE,
	                                             memory_order_acq_rel, memory_order_acquire)) {
		free_work(call);
		atomic_store_explicit(&call->slow.state, SLOW_IDLE, memory_order_release);
	}
	call->loop->post(call->loop, &call->task);
}

enum status gate_slow_begin(struct gate_call *call, void (*done)(struct task *))
{
	struct gate_slow *s = &call->slow;

	link_call(call->loop->ctx, call);
	s->rounds++;
	call->task.run = done;
	if (s->work == NULL) { /* freed on the way from the writer, as the store was opened anew */
		call->loop->post(call->loop, &call->task);
		return ST_OK;
	}
	s->job.run = work;
	atomic_store_explicit(&s->state, SLOW_AT_WORK, memory_order_relaxed);
	if (pool_submit(call->gate->config.pool, &s->job) == ST_OK)
		return ST_OK;
	atomic_store_explicit(&s->state, SLOW_IDLE, memory_order_relaxed);
	return answer_fail(&call->ans, ST_BUSY,
	                   "too much slow work waits already: try again later");
}

void gate_slow_end(struct gate_call *call)
{
	MUST(atomic_load_explicit(&call->slow.state, memory_order_acquire) == SLOW_IDLE);
	unlink_call(call);
	free_work(call);
}

void gate_slow_drop(struct gate_loop *l)
{
	for (struct gate_call *call = l->slow; call != NULL; call = call->slow.next) {
		enum gate_slow_state at_work = SLOW_AT_WORK;

		if (!atomic_compare_exchange_strong_explicit(&call->slow.state, &at_work,
		                                             SLOW_DROPPED, memory_order_acq_rel,
		                                             memory_order_acquire) &&
		    at_work == SLOW_IDLE)
			free_work(call);
	}
}

void gate_stopped(struct gate *g)
{
	pool_drain(g->config.pool);
}
