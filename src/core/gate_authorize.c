/* Verdicts: who calls, what there is at the path, and whether the one may do this to the other. */
#include "core/gate_impl.h"

#include <string.h>

#include "core/login_ops.h"

/* The object of this thread for the mount's engine. */
static void *gate_thread(const struct gate_place *at, const struct mount *m)
{
	if (at->threads == NULL)
		return upkeep_thread(at->gate->config.upkeep, m);
	return m->slot < ENGINES_MAX ? at->threads->of[m->slot] : NULL;
}

static void set_op(struct gate_pass *p, const struct gate_place *at, struct gate_call *call,
                   const struct mount *m)
{
	const struct gate_config *c = &at->gate->config;

	mount_get_facts(m, c->default_lease_ttl_s, c->max_lease_ttl_s, &p->facts);
	p->mount = m;
	p->op.req = &call->req;
	p->op.ans = &call->ans;
	p->op.mount = &p->facts;
	p->op.self = m->self;
	p->op.thread = gate_thread(at, m);
	p->op.wake_ns = INT64_MAX;
	p->op.random = c->random;
	p->op.now_ns = call->req.now_ns;
	p->op.find_user = login_find_user;
	view_init(&p->op.view, at->txn, span_str(m->prefix));
}

/* The token, if one is needed: who calls.  ST_DENIED for none, an unknown or an ended one. */
static enum status identify(struct gate_pass *p, const struct gate_place *at,
                            struct gate_call *call)
{
	struct err err = {0};
	const struct token *t;
	enum status st;

	if (call->req.token_kind == TOKEN_KIND_SESSION)
		return gate_identify(p, at, call);
	if (call->req.token.n == 0)
		return answer_fail(&call->ans, ST_DENIED, "permission denied");
	st =
	    token_cache_get(at->cache, at->txn, call->req.token, call->req.now_ns, &p->known, &err);
	if (st == ST_NOT_FOUND)
		return answer_fail(&call->ans, ST_DENIED, "permission denied");
	if (st != ST_OK)
		return answer_fail(&call->ans, st, "%s", err_text(&err, st));
	t = &p->known->token;
	call->limited = t->num_uses > 0;
	p->caller = (struct caller){
	    .hash = t->hash,
	    .accessor = span_str(t->accessor),
	    .display_name = t->display_name,
	    .type = TOKEN_SERVICE,
	    .policies = t->policies,
	    .n_policies = t->n_policies,
	};
	p->op.caller = &p->caller;
	return ST_OK;
}

static enum status wanted(struct gate_pass *p, struct gate_call *call, enum capability *ret)
{
	static const enum capability of[VERB_COUNT] = {
	    [VERB_READ] = CAP_READ, [VERB_WRITE] = CAP_UPDATE, [VERB_DELETE] = CAP_DELETE,
	    [VERB_LIST] = CAP_LIST, [VERB_PATCH] = CAP_PATCH,  [VERB_SCAN] = CAP_SCAN,
	};
	struct err err = {0};
	enum status st;

	*ret = of[call->req.verb];
	call->operation = verb_name(call->req.verb);
	if (call->req.verb != VERB_WRITE || call->op == NULL || call->op->exists == NULL)
		return ST_OK;
	st = call->op->exists(&p->op, &err);
	if (st == ST_NOT_FOUND) {
		*ret = CAP_CREATE;
		call->operation = "create";
		return ST_OK;
	}
	return st == ST_OK ? st : answer_fail(&call->ans, st, "%s", err_text(&err, st));
}

/*
 * One slash at the end means nothing to an operation, save to a listing: "a/" is allowed only when "a" is too, so that a rule for "a/" and what
 * lies below does not reach "a" itself.
 */
static void check_rights(const struct known *known, const struct request *r, enum capability cap,
                         struct acl_verdict *ret)
{
	struct span bare = path_span(&r->path);
	struct acl_verdict v;

	acl_check(known->acl, bare, cap, r->data, ret);
	if (!r->path.folder || r->verb == VERB_LIST || r->verb == VERB_SCAN)
		return;
	bare.n--;
	acl_check(known->acl, bare, cap, r->data, &v);
	ret->allowed = ret->allowed && v.allowed;
	ret->sudo = ret->sudo && v.sudo;
	ret->bound = ret->bound || v.bound;
	if (v.min_wrapping_ttl_ns > ret->min_wrapping_ttl_ns)
		ret->min_wrapping_ttl_ns = v.min_wrapping_ttl_ns;
}

/* What the policies of the caller say to this; of a session, what its user may do. */
static enum status judge(struct gate_pass *p, struct gate_call *call)
{
	struct acl_verdict v;
	enum capability cap;
	enum status st;

	if (p->caller.user != 0)
		return gate_judge(p, call);
	st = wanted(p, call, &cap);
	if (st != ST_OK)
		return st;
	check_rights(p->known, &call->req, cap, &v);
	p->caller.sudo = v.sudo || v.root;
	p->caller.root = v.root;
	p->op.page_limit = v.pagination_limit;
	p->bound = v.bound && (call->req.verb == VERB_WRITE || call->req.verb == VERB_PATCH);
	if (!v.allowed || v.min_wrapping_ttl_ns > 0 ||
	    (call->op != NULL && (call->op->flags & OP_SUDO) != 0 && !p->caller.sudo))
		return answer_fail(&call->ans, ST_DENIED, "permission denied");
	return ST_OK;
}

/* Token, mount, operation, policy: may this call go on, and to what? */
enum status gate_authorize(struct gate_pass *p, const struct gate_place *at, struct gate_call *call)
{
	const struct mount *m = mounts_find(at->world->mounts, &call->req.path);
	enum status match = ST_NO_ROUTE, st;

	memset(p, 0, sizeof *p);
	call->limited = false;
	call->op = NULL;
	call->operation = verb_name(call->req.verb);
	call->mount_path[0] = 0;
	call->mount_type = NULL;
	if (m != NULL) {
		set_op(p, at, call, m);
		memcpy(call->mount_path, m->path, m->n + 1);
		call->mount_type = m->engine->type;
		match = engine_match(m->engine, &call->req.path, m->segments, call->req.verb,
		                     &call->op, p->op.arg);
	}
	if (call->op == NULL || (call->op->flags & OP_NO_TOKEN) == 0) {
		if (match != ST_OK)
			call->op = NULL;
		st = identify(p, at, call);
		if (st == ST_OK)
			st = judge(p, call);
		if (st != ST_OK)
			return st;
	}
	if (m == NULL)
		return answer_fail(&call->ans, ST_NO_ROUTE,
		                   "no handler for route \"%s\". route entry not found.",
		                   call->req.path.text);
	if (match == ST_NO_ROUTE)
		return answer_fail(&call->ans, match, "unsupported path");
	if (match != ST_OK)
		return answer_fail(&call->ans, match, "unsupported operation");
	return gate_stream_admit(p, call);
}
