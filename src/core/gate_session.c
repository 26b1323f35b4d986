/* Users who logged in, as callers: the second source of verdicts. */
#include <string.h>

#include "core/gate_impl.h"

static enum status no_session(struct gate_call *call)
{
	return answer_fail(&call->ans, ST_NO_SESSION, "not logged in, or no longer");
}

enum status gate_identify(struct gate_pass *p, const struct gate_place *at, struct gate_call *call)
{
	const struct hmac_key *key = token_key_hmac(at->world->login_key);
	struct err err = {0};
	struct view logins;
	const struct known_session *k;
	enum status st;

	view_init(&logins, at->txn, span_str(LOGIN_PREFIX));
	st = session_cache_get(at->sessions, &logins, key, &at->world->login, call->req.token,
	                       call->req.now_ns, &k, &err);
	if (st != ST_OK)
		return st == ST_NO_SESSION ? no_session(call)
		                           : answer_fail(&call->ans, st, "%s", err_text(&err, st));
	p->session = k->use;
	memcpy(call->username, k->username, sizeof call->username);
	call->limited = p->session.due;
	memcpy(call->next_token, p->session.next, sizeof call->next_token);
	memcpy(call->accessor, p->session.session.accessor, sizeof call->accessor);
	p->caller = (struct caller){
	    .user = k->use.session.user,
	    .status = k->status,
	    .hash = p->session.session.name,
	    .accessor = span_str(call->accessor),
	    .display_name = span_str(call->username),
	    .type = TOKEN_SERVICE,
	};
	p->op.caller = &p->caller;
	return ST_OK;
}

static enum status denied(struct gate_call *call)
{
	return answer_fail(&call->ans, ST_DENIED, "permission denied");
}

/* The level in the vault that the path names. */
static enum status check_level(struct gate_pass *p, struct gate_call *call, enum member_level least)
{
	struct err err = {0};
	enum status st;

	if (p->mount->engine->level == NULL)
		return denied(call);
	st = p->mount->engine->level(&p->op, p->caller.user, &p->caller.level, &err);
	if (st != ST_OK)
		return answer_fail(&call->ans, st, "%s", err_text(&err, st));
	return p->caller.level >= least ? ST_OK : denied(call);
}

/* What would be made needs more than what is there. */
static enum status check_create(struct gate_pass *p, struct gate_call *call,
                                enum member_level least)
{
	struct err err = {0};
	enum status st;

	call->operation = verb_name(call->req.verb);
	if (call->op->exists == NULL || call->req.verb != VERB_WRITE)
		return ST_OK;
	st = call->op->exists(&p->op, &err);
	if (st == ST_OK)
		return ST_OK;
	if (st != ST_NOT_FOUND)
		return answer_fail(&call->ans, st, "%s", err_text(&err, st));
	call->operation = "create";
	return p->caller.level >= least ? ST_OK : denied(call);
}

/* Is it the user itself whom the path names? */
static bool is_self(const struct gate_pass *p, const struct gate_call *call)
{
	char id[16];
	struct builder b;

	builder_init_fixed(&b, id, sizeof id);
	builder_dec(&b, p->caller.user);
	return span_eq(p->op.arg[0], builder_span(&b)) || span_eq_str(p->op.arg[0], call->username);
}

/* The capability that is needed, if one is. */
static bool has_status(const struct gate_pass *p, const struct gate_call *call)
{
	const struct need *need = &call->op->need;

	return need->status == 0 || (p->caller.status & need->status) != 0 ||
	       (need->who == NEED_SELF && is_self(p, call));
}

enum status gate_judge(struct gate_pass *p, struct gate_call *call)
{
	const struct need *need;
	enum status st = ST_OK;

	if (call->op == NULL) /* there is nothing at the path, which authorize says next */
		return ST_OK;
	need = &call->op->need;
	if (need->who == NEED_OPERATOR || (call->op->flags & OP_SUDO) != 0 || !has_status(p, call))
		return denied(call);
	if (need->level != LEVEL_NONE)
		st = check_level(p, call, need->level);
	return st == ST_OK ? check_create(p, call, need->create_level) : st;
}

enum status gate_session_touch(const struct gate_place *at, const struct gate_call *call,
                               const struct session_use *session, struct err *err)
{
	struct view logins;

	if (!session->due)
		return ST_OK;
	view_init(&logins, at->txn, span_str(LOGIN_PREFIX));
	return session_touch(&logins, &at->world->login, session, call->req.now_ns, err);
}
