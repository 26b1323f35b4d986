#include "core/gate_impl.h"

#include <stdlib.h>
#include <string.h>

/* ---- where a call runs ---- */

struct gate_place gate_on_loop(struct gate *g, struct txn *t, const struct gate_loop *l)
{
	return (struct gate_place){.gate = g,
	                           .txn = t,
	                           .world = world_core(txn_world(t)),
	                           .cache = l->cache,
	                           .sessions = l->sessions,
	                           .threads = &l->threads};
}

struct gate_place gate_on_writer(struct gate *g, struct txn *t)
{
	return (struct gate_place){.gate = g,
	                           .txn = t,
	                           .world = world_core(txn_world(t)),
	                           .cache = g->writer_cache,
	                           .sessions = g->writer_sessions};
}

/* ---- audit and the way out ---- */

struct audit_subject gate_subject(const struct gate_call *call)
{
	const struct token *who = &call->who;
	struct audit_subject s = {.req = &call->req,
	                          .operation = call->operation != NULL ? call->operation
	                                                               : verb_name(call->req.verb)};

	if (who->hash[0] != 0) {
		s.policies = who->policies;
		s.n_policies = who->n_policies;
		s.accessor = span_str(who->accessor);
		s.display_name = who->display_name;
	} else if (call->accessor[0] != 0) {
		s.accessor = span_str(call->accessor);
		s.display_name = span_str(call->username);
	}
	s.mount = span_str(call->mount_path);
	s.mount_type = call->mount_type;
	return s;
}

/* Keep for the answer's audit what will be gone by then. */
static enum status remember(struct gate_call *call, const struct known *known,
                            const struct core_world *world)
{
	const struct token *t = known != NULL ? &known->token : NULL;

	if (world != NULL)
		call->salts = audit_salts_ref(world->salts);
	return t == NULL ? ST_OK : token_copy(t, &call->who);
}

static bool to_audit(const struct gate_call *call)
{
	return audit_on(call->gate->config.audit) &&
	       (call->op == NULL || (call->op->flags & OP_NO_AUDIT) == 0);
}

/* Audit the request; st is what authorize said.  Any status but ST_OK: it could not be audited, and is not carried out. */
static enum status audit_in(struct gate_call *call, const struct gate_place *at,
                            const struct gate_pass *p, enum status st)
{
	struct audit_subject s;
	struct err err = {0};

	if (!to_audit(call))
		return ST_OK;
	call->audited = true;
	if (remember(call, p != NULL ? p->known : NULL, at->world) != ST_OK)
		return answer_fail(&call->ans, ST_NOMEM, "no memory for the audit");
	s = gate_subject(call);
	if (audit_request(call->gate->config.audit, call->salts, &s,
	                  st == ST_OK ? NULL : err_text(&call->ans.err, st), &err) != ST_OK)
		return answer_fail(&call->ans, ST_IO, "the request could not be audited: %s",
		                   err_text(&err, ST_IO));
	return ST_OK;
}

void gate_count(struct gate_call *call)
{
	struct gate_loop *l = call->loop->ctx;
	enum gate_outcome o;

	if (call->ans.status == ST_OK || call->ans.status == ST_NOT_FOUND)
		o = OUT_OK;
	else if (call->ans.status == ST_DENIED || call->ans.status == ST_NO_SESSION)
		o = OUT_DENIED;
	else if (call->ans.status == ST_INVALID || call->ans.status == ST_EXISTS ||
	         call->ans.status == ST_NO_ROUTE || call->ans.status == ST_UNSUPPORTED)
		o = OUT_REFUSED;
	else
		o = OUT_FAILED;
	atomic_fetch_add_explicit(&l->outcomes[o], 1, memory_order_relaxed);
}

/* The shares and the root token of a new store exist nowhere else: no audit may withhold them. */
static bool must_answer(const struct gate_call *call)
{
	return call->op != NULL && call->op->kind == OP_CONTROL &&
	       (call->op->flags & OP_NO_TOKEN) != 0;
}

bool gate_changed(const struct gate_call *call)
{
	if (call->ans.status != ST_OK || call->op == NULL || call->op->kind == OP_STREAM)
		return false;
	return call->op->kind != OP_READ || call->changed;
}

/* On the loop's thread: audit the answer, then give it to the dialect. */
static void complete(struct gate_call *call)
{
	struct err err = {0};

	gate_slow_end(call);
	if (gate_stream_begins(call))
		return;
	if (call->audited) {
		struct audit_subject s = gate_subject(call);
		bool written = gate_changed(call);

		if (audit_response(call->gate->config.audit, call->salts, &s, &call->ans, &err) !=
		        ST_OK &&
		    !must_answer(call)) {
			answer_reset(&call->ans);
			answer_fail(&call->ans, ST_IO, "%sthe answer could not be audited: %s",
			            written ? "the change was made, but " : "",
			            err_text(&err, ST_IO));
		}
		gate_forget(call);
	}
	gate_count(call);
	call->done(call);
}

void gate_forget(struct gate_call *call)
{
	audit_salts_unref(&call->salts);
	token_free(&call->who);
	call->who.hash[0] = 0;
	call->audited = false;
}

static struct gate_call *call_of_task(struct task *task)
{
	return (struct gate_call *)(void *)((char *)task - offsetof(struct gate_call, task));
}

static void complete_task(struct task *task)
{
	complete(call_of_task(task));
}

const char *gate_closed_text(enum status st, const struct err *err)
{
	return st == ST_SEALED ? "Vault is sealed" : err_text(err, st);
}

static struct gate_call *call_of(struct writer_job *job)
{
	return (struct gate_call *)(void *)((char *)job - offsetof(struct gate_call, job));
}

/* From the writer's thread back to the loop. */
static void send_back(struct gate_call *call)
{
	call->task.run = complete_task;
	call->loop->post(call->loop, &call->task);
}

/* ---- on the writer ---- */

/* The last use of a token with limited uses ends it, with what depends on it. */
enum status gate_end_token(const struct gate_place *at, const char *hash, struct err *err)
{
	struct core_world *w;
	struct view tokens;
	enum status st;

	view_init(&tokens, at->txn, span_str(TOKEN_PREFIX));
	st = token_revoke(&tokens, hash, err);
	if (st != ST_OK)
		return st == ST_NOT_FOUND ? ST_OK : st;
	st = world_copy(world_core(txn_world(at->txn)), &w);
	if (st != ST_OK)
		return st;
	w->token_gen = world_generation();
	st = txn_set_world(at->txn, &w->base);
	world_drop(&w);
	if (st == ST_OK)
		at->gate->config.token_ended(at->gate->config.sys_self);
	return st;
}

/* Take one use of the caller's token, if it has a limited number; with the last one it ends. */
static enum status charge(const struct gate_place *at, const struct known *known, bool *ret_last,
                          struct err *err)
{
	struct view tokens;
	int64_t left;
	enum status st;

	*ret_last = false;
	if (known == NULL || known->token.num_uses == 0)
		return ST_OK;
	view_init(&tokens, at->txn, span_str(TOKEN_PREFIX));
	st = token_use(&tokens, &known->token, &left, err);
	if (st == ST_OK)
		*ret_last = left == 0;
	return st;
}

void gate_ran(const struct gate_pass *p, const struct gate_call *call)
{
	if (p->op.nudge)
		upkeep_wake(call->gate->config.upkeep, p->mount, SCHED_NOW);
	else if (call->ans.status == ST_OK && p->op.wake_ns != INT64_MAX)
		upkeep_wake(call->gate->config.upkeep, p->mount, p->op.wake_ns);
}

static void run_handler(struct gate_pass *p, struct gate_call *call, struct txn *t)
{
	struct txn_mark mark;

	txn_mark(t, &mark);
	call->ans.status = gate_handle(p, call);
	call->changed = p->op.changed;
	if (call->ans.status == ST_OK || p->op.keep)
		txn_release(t, &mark);
	else
		txn_undo(t, &mark);
	gate_ran(p, call);
}

/*
 * In its turn on the writer, against the latest state.  What is returned here is about what the gate itself records; the handler's answer is in
 * call->ans.  A request that is refused costs a use as well.  ST_PENDING: slow work comes first; nothing is recorded, the use is taken when the call comes again.
 */
static enum status run_write(struct writer_job *job, struct txn *t, struct err *err)
{
	struct gate_call *call = call_of(job);
	struct gate_place at = gate_on_writer(call->gate, t);
	char hash[TOKEN_HASH_LEN + 1] = "";
	struct gate_pass p;
	bool last;
	enum status verdict, st;

	answer_reset(&call->ans);
	verdict = gate_authorize(&p, &at, call);
	st = charge(&at, p.known, &last, err);
	if (st == ST_NOT_FOUND) {
		answer_fail(&call->ans, ST_DENIED, "permission denied");
		return ST_OK;
	}
	if (st == ST_OK)
		st = gate_session_touch(&at, call, &p.session, err);
	if (st != ST_OK)
		return st;
	if (last)
		memcpy(hash, p.known->token.hash, sizeof hash);
	if (verdict == ST_OK && call->stage == GATE_WRITE) {
		run_handler(&p, call, t);
		if (call->ans.status == ST_PENDING)
			return ST_PENDING;
	}
	if (last && verdict == ST_OK && gate_stream_keeps(call, hash))
		return ST_OK;
	return last ? gate_end_token(&at, hash, err) : ST_OK;
}

/* The loop has refused it already; all that is left to do is to charge for it. */
static enum status run_charge(struct writer_job *job, struct txn *t, struct err *err)
{
	struct gate_call *call = call_of(job);
	struct gate_place at = gate_on_writer(call->gate, t);
	char hash[TOKEN_HASH_LEN + 1] = "";
	const struct known *known = NULL;
	struct gate_pass p = {.known = NULL};
	bool last;
	enum status st;

	if (call->req.token_kind == TOKEN_KIND_SESSION) {
		struct answer refusal = call->ans; /* stays what it is */

		st = gate_identify(&p, &at, call);
		call->ans = refusal;
		return st == ST_OK ? gate_session_touch(&at, call, &p.session, err) : ST_OK;
	}
	st = token_cache_get(at.cache, t, call->req.token, call->req.now_ns, &known, err);

	if (st == ST_OK)
		st = charge(&at, known, &last, err);
	if (st != ST_OK)
		return st == ST_NOT_FOUND ? ST_OK : st;
	if (!last)
		return ST_OK;
	memcpy(hash, known->token.hash, sizeof hash);
	return gate_end_token(&at, hash, err);
}

/* Alone on the writer: what has no transaction. */
static enum status run_control(struct writer_job *job, struct txn *t, struct err *err)
{
	struct gate_call *call = call_of(job);
	struct op op = {
	    .req = &call->req,
	    .ans = &call->ans,
	    .self = call->gate->config.sys_self,
	    .random = call->gate->config.random,
	    .now_ns = call->req.now_ns,
	};

	(void)t;
	(void)err;
	call->ans.status = call->op->handle(&op);
	return ST_OK;
}

static void submit(struct gate_call *call, enum gate_stage stage);
static void pending_task(struct task *task);

static void job_done(struct writer_job *job, enum status st, const struct err *err)
{
	struct gate_call *call = call_of(job);

	if (st == ST_PENDING) {
		call->task.run = pending_task;
		call->loop->post(call->loop, &call->task);
		return;
	}
	if (st != ST_OK) {
		answer_reset(&call->ans);
		answer_fail(&call->ans, st, "%s", gate_closed_text(st, err));
	} else if (call->stage == GATE_CHECK && call->ans.status == ST_OK) {
		submit(call, GATE_CONTROL);
		return;
	}
	send_back(call);
}

static void submit(struct gate_call *call, enum gate_stage stage)
{
	call->stage = stage;
	call->job = (struct writer_job){
	    .run = stage == GATE_CONTROL  ? run_control
	           : stage == GATE_CHARGE ? run_charge
	                                  : run_write,
	    .done = job_done,
	    .kind = stage == GATE_CONTROL ? JOB_CONTROL : JOB_WRITE,
	};
	writer_submit(call->gate->config.writer, &call->job);
}

/* ---- on the loop ---- */

/* It ends here: what there is to charge for is charged. */
static void refuse(struct gate_call *call)
{
	if (call->limited)
		submit(call, GATE_CHARGE);
	else
		complete(call);
}

static void worked_task(struct task *task);

/* There is slow work to do first. */
static void work_first(struct gate_call *call)
{
	if (gate_slow_begin(call, worked_task) != ST_OK)
		refuse(call);
}

static void nudge(struct gate_pass *p, const struct gate_call *call)
{
	if (p->op.nudge)
		gate_nudge(call->loop->ctx, call->gate->config.writer, p->mount);
	p->op.nudge = false;
}

/* To the handler, here or on the writer. */
static void carry_on(struct gate_pass *p, struct gate_call *call)
{
	enum status st;

	if (call->op->kind == OP_CONTROL) {
		submit(call, p->known != NULL ? GATE_CHECK : GATE_CONTROL);
		return;
	}
	if (call->op->kind == OP_WRITE || call->limited) {
		submit(call, GATE_WRITE);
		return;
	}
	st = gate_handle(p, call);
	nudge(p, call);
	if (st == ST_NEEDS_WRITER) {
		submit(call, GATE_WRITE);
		return;
	}
	if (st == ST_PENDING) {
		work_first(call);
		return;
	}
	call->ans.status = st;
	complete(call);
}

/* verdict: what authorize said; its text is in the answer. */
static void dispatch(struct gate_pass *p, struct gate_call *call, enum status verdict)
{
	enum status st;

	if (verdict != ST_OK) {
		refuse(call);
		return;
	}
	st = gate_prepare(p, call);
	nudge(p, call);
	if (st == ST_OK) {
		carry_on(p, call);
	} else if (st == ST_NEEDS_WRITER) {
		submit(call, GATE_WRITE);
	} else if (st == ST_PENDING) {
		work_first(call);
	} else {
		call->ans.status = st;
		refuse(call);
	}
}

/* The handler on the writer wants work to be done. */
static void pending_task(struct task *task)
{
	work_first(call_of_task(task));
}

/* The work is done: everything is looked at again. */
static void worked_task(struct task *task)
{
	struct gate_call *call = call_of_task(task);
	struct gate_loop *l = call->loop->ctx;
	struct err err = {0};
	struct gate_place at;
	struct gate_pass p;
	struct txn *t;
	enum status st = reader_begin(l->reader, &t, &err);

	answer_reset(&call->ans);
	if (st != ST_OK) {
		answer_fail(&call->ans, st, "%s", gate_closed_text(st, &err));
		complete(call);
		return;
	}
	at = gate_on_loop(call->gate, t, l);
	st = gate_authorize(&p, &at, call);
	if (st == ST_OK)
		carry_on(&p, call);
	else
		refuse(call);
}

/* Sealed, not initialised or being reopened: only what exists in any state. */
static void submit_closed(struct gate *g, struct gate_call *call, enum status why,
                          const struct err *err)
{
	struct gate_place at = {.gate = g};
	struct op op = {.req = &call->req,
	                .ans = &call->ans,
	                .self = g->config.sys_self,
	                .random = g->config.random,
	                .now_ns = call->req.now_ns};
	enum status st = ST_NO_ROUTE;

	call->op = NULL;
	call->operation = verb_name(call->req.verb);
	if (span_eq_str(path_segment(&call->req.path, 0), "sys"))
		st = engine_match(g->config.sys, &call->req.path, 1, call->req.verb, &call->op,
		                  op.arg);
	if (call->op == NULL || (call->op->flags & OP_ANY_STATE) == 0) {
		call->op = NULL;
		st = answer_fail(&call->ans, why, "%s", gate_closed_text(why, err));
	} else if (st != ST_OK) {
		st = answer_fail(&call->ans, ST_UNSUPPORTED, "unsupported operation");
	}
	if (audit_in(call, &at, NULL, st) != ST_OK || st != ST_OK) {
		complete(call);
	} else if (call->op->kind == OP_CONTROL) {
		submit(call, GATE_CONTROL);
	} else {
		call->ans.status = call->op->handle(&op);
		complete(call);
	}
}

void gate_submit(struct gate *g, struct gate_call *call)
{
	struct gate_loop *l = call->loop->ctx;
	struct err err = {0};
	struct gate_place at;
	struct gate_pass p;
	struct txn *t;
	enum status st = reader_begin(l->reader, &t, &err);

	random_uuid(g->config.random, call->req.id);
	call->req.id[UUID_LEN] = 0;
	call->req.now_ns = clock_wall_ns(g->config.clock);
	call->gate = g;
	call->salts = NULL;
	call->audited = false;
	call->changed = false;
	call->stream = NULL;
	call->who.memory = NULL;
	call->who.hash[0] = 0;
	call->next_token[0] = 0;
	call->accessor[0] = 0;
	call->username[0] = 0;
	call->mount_path[0] = 0;
	call->mount_type = NULL;
	call->limited = false;
	call->slow = (struct gate_slow){.state = SLOW_IDLE};
	if (st != ST_OK) {
		submit_closed(g, call, st, &err);
		return;
	}
	at = gate_on_loop(g, t, l);
	st = gate_authorize(&p, &at, call);
	if (audit_in(call, &at, &p, st) != ST_OK)
		complete(call);
	else
		dispatch(&p, call, st);
}

/* ---- life ---- */

static void drop_cache(void *ctx)
{
	struct gate_loop *l = ctx;

	gate_slow_drop(l);
	token_cache_drop(l->cache);
	session_cache_drop(l->sessions);
	engine_threads_drop(&l->threads);
}

static void turn_end(void *ctx)
{
	struct gate_loop *l = ctx;

	reader_turn_end(l->reader);
}

enum status gate_new(const struct gate_config *config, struct gate **ret, struct err *err)
{
	struct gate *g = calloc(1, sizeof *g);

	if (g == NULL || token_cache_new(&g->writer_cache) != ST_OK ||
	    session_cache_new(&g->writer_sessions) != ST_OK) {
		gate_free(&g);
		return err_set(err, ST_NOMEM, "no memory for the gate");
	}
	g->config = *config;
	*ret = g;
	return ST_OK;
}

static void loop_free(struct gate_loop **l)
{
	if (*l == NULL)
		return;
	reader_close(&(*l)->reader);
	token_cache_free(&(*l)->cache);
	session_cache_free(&(*l)->sessions);
	engine_threads_free(&(*l)->threads);
	free(*l);
	*l = NULL;
}

void gate_free(struct gate **g)
{
	if (*g == NULL)
		return;
	for (size_t i = 0; i < GATE_LOOPS_MAX; i++)
		loop_free(&(*g)->loops[i]);
	token_cache_free(&(*g)->writer_cache);
	session_cache_free(&(*g)->writer_sessions);
	free(*g);
	*g = NULL;
}

void gate_closed(struct gate *g)
{
	atomic_fetch_add_explicit(&g->closings, 1, memory_order_relaxed);
	token_cache_drop(g->writer_cache);
	session_cache_drop(g->writer_sessions);
	upkeep_closed(g->config.upkeep);
}

enum status gate_join(struct gate *g, struct loop *loop, struct err *err)
{
	struct gate_loop *l = calloc(1, sizeof *l);
	enum status st = ST_NOMEM;

	MUST(loop->index < GATE_LOOPS_MAX && g->loops[loop->index] == NULL);
	if (l == NULL || token_cache_new(&l->cache) != ST_OK ||
	    session_cache_new(&l->sessions) != ST_OK ||
	    engine_threads_init(&l->threads, g->config.engines) != ST_OK) {
		err_set(err, st, "no memory for a loop");
		goto fail;
	}
	gate_nudges_init(l, g->config.upkeep);
	st = reader_new(g->config.readers, loop, drop_cache, l, &l->reader, err);
	if (st != ST_OK)
		goto fail;
	loop->ctx = l;
	loop->turn_end = turn_end;
	g->loops[loop->index] = l;
	return ST_OK;
fail:
	loop_free(&l);
	return st;
}

static void stream_metrics(const struct gate *g, struct metrics_out *out)
{
	uint64_t open = 0, begun = 0, items = 0, failed = 0;

	for (size_t i = 0; i < GATE_LOOPS_MAX; i++) {
		struct gate_loop *l = g->loops[i];

		if (l == NULL)
			continue;
		open += atomic_load_explicit(&l->streams.open, memory_order_relaxed);
		begun += atomic_load_explicit(&l->streams.begun, memory_order_relaxed);
		items += atomic_load_explicit(&l->streams.items, memory_order_relaxed);
		failed += atomic_load_explicit(&l->streams.failed, memory_order_relaxed);
	}
	metric_put(out, METRIC_GAUGE, "keyturn_streams", "streams under way", open);
	metric_put(out, METRIC_COUNTER, "keyturn_streams_total", "streams begun", begun);
	metric_put(out, METRIC_COUNTER, "keyturn_stream_items_total", "items of streams done",
	           items);
	metric_put(out, METRIC_COUNTER, "keyturn_stream_items_failed_total",
	           "items of streams answered with an error", failed);
}

void gate_metrics(void *gate, struct metrics_out *out)
{
	static const char *const names[OUT_COUNT] = {
	    "keyturn_requests_answered_total", "keyturn_requests_refused_total",
	    "keyturn_requests_denied_total", "keyturn_requests_failed_total"};
	static const char *const help[OUT_COUNT] = {
	    "requests carried out (also those that found nothing)",
	    "requests with a mistake of the caller's",
	    "requests without the right to what they asked for",
	    "requests that the server could not carry out"};
	struct gate *g = gate;

	for (size_t o = 0; o < OUT_COUNT; o++) {
		uint64_t sum = 0;

		for (size_t i = 0; i < GATE_LOOPS_MAX; i++)
			if (g->loops[i] != NULL)
				sum += atomic_load_explicit(&g->loops[i]->outcomes[o],
				                            memory_order_relaxed);
		metric_put(out, METRIC_COUNTER, names[o], help[o], sum);
	}
	stream_metrics(g, out);
}
