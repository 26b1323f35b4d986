/*
 * Streams: calls whose body comes in pieces, for hours perhaps.
 *
 * Opening is that of any call: authorize, audit, handler (on the writer for a token of limited uses, which is charged one).  Then each visit is as if it
 * were a call of its own: a transaction on the newest snapshot, authorize, chunk; nothing of it is held until the next.  What chunk cannot do without the
 * writer is reserved there, authorized there too; slow work goes to the pool.
 *
 * It ends: with the body; by a failure; refused, because token, policy or mount are not what they were; because the store was closed meanwhile, be it open again;
 * or because the client is gone.  In each case once: the audit's second line, with totals, then the operation's `end`.
 */
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#include "core/gate_impl.h"

/* The end of a token whose last use opened a stream: a job of its own, which outlives the call. */
struct last_use {
	struct writer_job job; /* first member */
	struct gate *gate;
	char hash[TOKEN_HASH_LEN + 1]; /* "": it was not the last use */
};

struct gate_stream {
	const struct operation *op;
	char mount[UUID_LEN + 1];
	unsigned closings; /* of the gate, as it began */
	enum { STREAM_OPENING, STREAM_OPEN, STREAM_PAUSING } stage;
	enum status
	    reserved; /* what the last reservation came to; its text is in the answer until the next visit */
	struct last_use *last_use; /* NULL: the token's uses are not limited */
	struct stream_totals totals;
	uint64_t bytes_in, bytes_out;
	alignas(max_align_t) unsigned char state[];
};

/* ---- is it one? ---- */

/* Nothing is known of what is mounted: an engine's operation below any path. */
static bool might_stream(const struct gate *g, const struct request *r)
{
	const struct engine_table *t = g->config.engines;

	for (size_t i = 0; i < t->n; i++)
		for (unsigned first = 1; first < r->path.segments; first++)
			if (engine_streams(t->entries[i].engine, &r->path, first, r->verb))
				return true;
	return false;
}

bool gate_streams(struct gate *g, const struct gate_call *call)
{
	struct gate_loop *l = call->loop->ctx;
	const struct request *r = &call->req;
	struct err err = {0};
	const struct mount *m;
	struct txn *t;

	if (reader_begin(l->reader, &t, &err) != ST_OK)
		return might_stream(g, r);
	m = mounts_find(world_core(txn_world(t))->mounts, &r->path);
	return m != NULL && engine_streams(m->engine, &r->path, m->segments, r->verb);
}

/* ---- opening ---- */

static void stream_free(struct gate_call *call)
{
	struct gate_stream *s = call->stream;

	call->stream = NULL;
	if (s->op->stream->end != NULL)
		s->op->stream->end(s->state);
	wipe(s->state, s->op->stream->state_n);
	free(s->last_use);
	free(s);
}

static enum status stream_new(const struct gate_pass *p, struct gate_call *call)
{
	const struct stream_kind *kind = call->op->stream;
	struct gate_stream *s;

	MUST(kind != NULL && call->op->verb == VERB_WRITE);
	s = calloc(1, sizeof *s + kind->state_n);
	if (s != NULL && p->known != NULL && p->known->token.num_uses > 0) {
		s->last_use = calloc(1, sizeof *s->last_use);
		if (s->last_use == NULL) {
			free(s);
			s = NULL;
		}
	}
	if (s == NULL)
		return answer_fail(&call->ans, ST_NOMEM, "no memory for a stream");
	s->op = call->op;
	memcpy(s->mount, p->mount->uuid, sizeof s->mount);
	s->closings = atomic_load_explicit(&call->gate->closings, memory_order_relaxed);
	call->stream = s;
	return ST_OK;
}

enum status gate_stream_admit(struct gate_pass *p, struct gate_call *call)
{
	struct gate_stream *s = call->stream;
	enum status st;

	if ((call->op->kind == OP_STREAM) != (call->body == GATE_BODY_STREAM))
		return answer_fail(&call->ans, ST_BUSY,
		                   call->body == GATE_BODY_STREAM
		                       ? "what is mounted here has just changed: try again"
		                       : "the body of this call is a stream");
	if (call->op->kind != OP_STREAM)
		return ST_OK;
	if (p->bound)
		return answer_fail(&call->ans, ST_DENIED,
		                   "a policy limits the parameters of this path: that cannot be "
		                   "checked in a stream");
	if (s == NULL) {
		st = stream_new(p, call);
		if (st != ST_OK)
			return st;
		s = call->stream;
	}
	if (s->op != call->op || strcmp(s->mount, p->mount->uuid) != 0)
		return answer_fail(&call->ans, ST_BUSY,
		                   "what is mounted here has changed since the stream began");
	p->op.stream_state = s->state;
	p->op.stream_totals = &s->totals;
	return ST_OK;
}

bool gate_stream_keeps(struct gate_call *call, const char *hash)
{
	struct gate_stream *s = call->stream;

	if (s == NULL || s->last_use == NULL || call->ans.status != ST_OK)
		return false;
	memcpy(s->last_use->hash, hash, sizeof s->last_use->hash);
	return true;
}

bool gate_stream_begins(struct gate_call *call)
{
	struct gate_loop *l = call->loop->ctx;

	if (call->stream == NULL)
		return false;
	if (call->ans.status != ST_OK) {
		stream_free(call);
		return false;
	}
	/* the salts are keys: taken again for the audit of the end */
	audit_salts_unref(&call->salts);
	call->stream->stage = STREAM_OPEN;
	atomic_fetch_add_explicit(&l->streams.begun, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&l->streams.open, 1, memory_order_relaxed);
	call->begun(call);
	return true;
}

const struct stream_kind *gate_stream_kind(const struct gate_call *call)
{
	return call->stream->op->stream;
}

/* ---- the end ---- */

static enum status run_last_use(struct writer_job *job, struct txn *t, struct err *err)
{
	struct last_use *u = (struct last_use *)(void *)job;
	struct gate_place at = gate_on_writer(u->gate, t);

	return gate_end_token(&at, u->hash, err);
}

/* When it could not be done: the token has no uses left, and ends with its time. */
static void last_use_done(struct writer_job *job, enum status st, const struct err *err)
{
	(void)st;
	(void)err;
	free(job);
}

static void end_last_use(struct gate_call *call)
{
	struct last_use *u = call->stream->last_use;

	if (u == NULL || u->hash[0] == 0)
		return;
	call->stream->last_use = NULL;
	u->gate = call->gate;
	u->job = (struct writer_job){.run = run_last_use, .done = last_use_done, .kind = JOB_WRITE};
	writer_submit(call->gate->config.writer, &u->job);
}

static void put_totals(struct answer *a, const struct gate_stream *s)
{
	struct json_writer w;

	a->shape = ANSWER_DATA;
	builder_reset(&a->data);
	json_writer_init(&w, &a->data);
	json_begin_object(&w);
	json_put_uint(&w, "items", s->totals.items);
	json_put_uint(&w, "failed", s->totals.failed);
	json_put_uint(&w, "bytes_in", s->bytes_in);
	json_put_uint(&w, "bytes_out", s->bytes_out);
	json_end_object(&w);
}

/* The answer's status and text say how it ended.  world: NULL: the store is closed. */
static enum status audit_end(struct gate_call *call, const struct core_world *world,
                             struct err *err)
{
	struct audit_subject subject = gate_subject(call);

	if (!call->audited)
		return ST_OK;
	if (world != NULL)
		call->salts = audit_salts_ref(world->salts);
	put_totals(&call->ans, call->stream);
	return audit_response(call->gate->config.audit, call->salts, &subject, &call->ans, err);
}

/* All is said, and audited. */
static void close_stream(struct gate_call *call)
{
	struct gate_stream *s = call->stream;
	struct gate_loop *l = call->loop->ctx;

	gate_slow_end(call);
	atomic_fetch_sub_explicit(&l->streams.open, 1, memory_order_relaxed);
	gate_count(call);
	end_last_use(call);
	call->op = s->op;
	stream_free(call);
	gate_forget(call);
}

static void put_last_line(struct builder *out, const char *text)
{
	struct json_writer w;

	json_writer_init(&w, out);
	json_begin_object(&w);
	json_put_cstr(&w, "stream_error", text);
	json_end_object(&w);
	builder_u8(out, '\n');
}

/* st: ST_OK, or what is in the answer. */
static enum stream_step over(struct gate_call *call, const struct core_world *world,
                             struct stream_visit *v, size_t out_before)
{
	struct answer *a = &call->ans;
	struct err err = {0};

	if (a->status != ST_OK)
		put_last_line(v->out, err_text(&a->err, a->status));
	call->stream->bytes_in += v->used;
	call->stream->bytes_out += v->out->n - out_before;
	if (audit_end(call, world, &err) != ST_OK)
		put_last_line(v->out, "the end of the stream could not be audited");
	close_stream(call);
	return STREAM_OVER;
}

void gate_stream_abort(struct gate_call *call)
{
	struct gate_loop *l = call->loop->ctx;
	const struct core_world *world = NULL;
	struct err err = {0};
	struct txn *t;

	MUST(call->stream != NULL && call->stream->stage == STREAM_OPEN);
	if (reader_begin(l->reader, &t, &err) == ST_OK)
		world = world_core(txn_world(t));
	answer_reset(&call->ans);
	answer_fail(&call->ans, ST_UNAVAILABLE, "the connection ended before the stream did");
	(void)audit_end(call, world,
	                &err); /* nobody is left to be told; the device's failure is logged */
	close_stream(call);
}

/* ---- pauses: uses are reserved, slow work is done ---- */

static struct gate_call *call_of(struct writer_job *job)
{
	return (struct gate_call *)(void *)((char *)job - offsetof(struct gate_call, job));
}

static enum status run_reserve(struct writer_job *job, struct txn *t, struct err *err)
{
	struct gate_call *call = call_of(job);
	struct gate_place at = gate_on_writer(call->gate, t);
	struct txn_mark mark;
	struct gate_pass p;

	(void)err;
	answer_reset(&call->ans);
	if (gate_authorize(&p, &at, call) != ST_OK)
		return ST_OK; /* the answer says so */
	txn_mark(t, &mark);
	call->ans.status = call->op->stream->reserve(&p.op);
	if (call->ans.status == ST_OK)
		txn_release(t, &mark);
	else
		txn_undo(t, &mark);
	gate_ran(&p, call);
	return ST_OK;
}

static void resumed_task(struct task *task)
{
	struct gate_call *call =
	    (struct gate_call *)(void *)((char *)task - offsetof(struct gate_call, task));

	call->stream->stage = STREAM_OPEN;
	call->stream->reserved = call->ans.status;
	call->resumed(call);
}

static void reserve_done(struct writer_job *job, enum status st, const struct err *err)
{
	struct gate_call *call = call_of(job);

	if (st != ST_OK) {
		answer_reset(&call->ans);
		answer_fail(&call->ans, st, "%s", gate_closed_text(st, err));
	}
	call->task.run = resumed_task;
	call->loop->post(call->loop, &call->task);
}

static enum stream_step reserve(struct gate_call *call)
{
	MUST(call->op->stream->reserve != NULL);
	call->stream->stage = STREAM_PAUSING;
	call->job =
	    (struct writer_job){.run = run_reserve, .done = reserve_done, .kind = JOB_WRITE};
	writer_submit(call->gate->config.writer, &call->job);
	return STREAM_PAUSE;
}

/* The work is done, or was dropped because the store was closed: either way chunk sees. */
static void worked_task(struct task *task)
{
	struct gate_call *call =
	    (struct gate_call *)(void *)((char *)task - offsetof(struct gate_call, task));

	call->ans.status = ST_OK;
	resumed_task(task);
}

/* A pool that is full ends the stream: the answer says so. */
static enum stream_step work_first(struct gate_call *call)
{
	call->stream->stage = STREAM_PAUSING;
	if (gate_slow_begin(call, worked_task) == ST_OK)
		return STREAM_PAUSE;
	call->stream->stage = STREAM_OPEN;
	return STREAM_OVER;
}

/* ---- visits ---- */

/* Transaction and rights for one visit.  Else the answer says why not; *ret_at->world may be there all the same. */
static enum status enter(struct gate_pass *p, struct gate_call *call, struct gate_place *at)
{
	struct gate_loop *l = call->loop->ctx;
	struct gate *g = call->gate;
	struct err err = {0};
	struct txn *t;
	enum status st = reader_begin(l->reader, &t, &err);

	if (st == ST_OK) {
		*at = gate_on_loop(g, t, l);
		if (call->stream->closings !=
		    atomic_load_explicit(&g->closings, memory_order_relaxed))
			st = ST_SEALED;
	}
	if (call->stream->reserved != ST_OK)
		return call->stream->reserved;
	answer_reset(&call->ans);
	if (st != ST_OK)
		return answer_fail(&call->ans, st, "%s", gate_closed_text(st, &err));
	call->req.now_ns = clock_wall_ns(g->config.clock);
	return gate_authorize(p, at, call);
}

/* After a chunk that did what it could: what is left, and why? */
static enum stream_step go_on(struct gate_call *call, const struct stream_visit *v)
{
	size_t left = v->n - v->used, most = call->stream->op->stream->item_max;

	if (left == 0)
		return v->end == STREAM_LAST ? STREAM_OVER : STREAM_MORE;
	if (v->out->n >= v->out_full)
		return STREAM_FULL;
	MUST(v->end == STREAM_GOES_ON);
	if (left <= most + 1) /* half of a line end may be among it */
		return STREAM_MORE;
	answer_fail(&call->ans, ST_LIMIT, "an item is longer than %zu bytes", most);
	return STREAM_OVER;
}

static void tally(struct gate_loop *l, const struct stream_totals *before,
                  const struct stream_totals *now)
{
	atomic_fetch_add_explicit(&l->streams.items, now->items - before->items,
	                          memory_order_relaxed);
	atomic_fetch_add_explicit(&l->streams.failed, now->failed - before->failed,
	                          memory_order_relaxed);
}

enum stream_step gate_stream(struct gate_call *call, struct stream_visit *v)
{
	struct gate_stream *s = call->stream;
	struct stream_totals before = s->totals;
	size_t out_before = v->out->n;
	struct gate_place at = {.gate = call->gate};
	enum stream_step step = STREAM_OVER;
	struct gate_pass p;
	enum status st;

	MUST(s->stage == STREAM_OPEN);
	st = enter(&p, call, &at);
	if (st == ST_OK) {
		gate_slow_give(&p, call);
		st = s->op->stream->chunk(&p.op, v);
		MUST(v->used <= v->n);
		if (v->used > 0)
			call->slow.rounds = 0;
		st = gate_slow_take(&p, call, st);
		tally(call->loop->ctx, &before, &s->totals);
		if (p.op.nudge)
			gate_nudge(call->loop->ctx, call->gate->config.writer, p.mount);
	}
	if (st == ST_OK && builder_status(v->out) != ST_OK)
		st = answer_fail(&call->ans, ST_NOMEM, "no memory for the answer");
	if (st == ST_OK) {
		answer_reset(&call->ans); /* whatever it was used for on the way */
		step = go_on(call, v);
	} else if (st == ST_NEEDS_WRITER) {
		step = reserve(call);
	} else if (st == ST_PENDING) {
		step = work_first(call);
	} else {
		call->ans.status = st;
	}
	if (step == STREAM_OVER)
		return over(call, at.world, v, out_before);
	s->bytes_in += v->used;
	s->bytes_out += v->out->n - out_before;
	return step;
}
