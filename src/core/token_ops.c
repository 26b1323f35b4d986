#include "core/token_ops_impl.h"

#include <string.h>

#include "core/policy_table.h"

#define EXPIRE_A_SLICE 64

const struct core_world *token_ops_world(const struct op *op)
{
	return world_core(txn_world(op->view.txn));
}

/* Something that cached callers rely on has changed. */
static enum status raise_generation(struct txn *t)
{
	struct core_world *w;
	enum status st = world_copy(world_core(txn_world(t)), &w);

	if (st != ST_OK)
		return st;
	w->token_gen = world_generation();
	st = txn_set_world(t, &w->base);
	world_drop(&w);
	return st;
}

enum status token_ops_seconds(struct op *op, const char *name, int64_t *ret_s)
{
	int64_t ns;
	enum status st = request_duration(op->req, name, &ns, &op->ans->err);

	if (st == ST_NOT_FOUND)
		return ST_OK;
	if (st != ST_OK)
		return op->ans->status = st;
	if (ns < 0)
		return answer_fail(op->ans, ST_INVALID, "%s must be positive", name);
	*ret_s = ns / NS_PER_S + (ns % NS_PER_S != 0 ? 1 : 0);
	return ST_OK;
}

/* ---- times ---- */

/* The end of a token that lives ttl_s from now; beyond what nanoseconds can say: as late as they can. */
int64_t token_ops_end(int64_t now_ns, int64_t ttl_s)
{
	int64_t ns;

	if (__builtin_mul_overflow(ttl_s, NS_PER_S, &ns) || __builtin_add_overflow(now_ns, ns, &ns))
		return INT64_MAX;
	return ns;
}

static int64_t smaller(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* ---- answers ---- */

static void put_list(struct json_writer *w, const char *name, const struct token *t)
{
	json_name(w, name);
	json_begin_array(w);
	for (size_t i = 0; i < t->n_policies; i++)
		json_string(w, t->policies[i]);
	json_end_array(w);
}

static void put_meta(struct json_writer *w, const char *name, const struct token *t)
{
	json_name(w, name);
	if (t->meta.n == 0)
		json_null(w);
	else
		json_raw(w, t->meta);
}

enum status token_ops_put_auth(struct op *op, const struct token *t, struct span text)
{
	struct json_writer w;

	json_writer_init(&w, &op->ans->auth);
	json_begin_object(&w);
	json_put_string(&w, "client_token", text);
	json_put_cstr(&w, "accessor", t->accessor);
	put_list(&w, "policies", t);
	put_list(&w, "token_policies", t);
	put_meta(&w, "metadata", t);
	json_put_int(&w, "lease_duration", t->ttl_s);
	json_put_bool(&w, "renewable", t->renewable);
	json_put_cstr(&w, "entity_id", "");
	json_put_cstr(&w, "token_type", "service");
	json_put_bool(&w, "orphan", t->orphan);
	json_put_null(&w, "mfa_requirement");
	json_put_int(&w, "num_uses", t->num_uses);
	json_end_object(&w);
	op->ans->shape = ANSWER_AUTH;
	return op->ans->status = builder_status(&op->ans->auth);
}

static enum status put_token(struct op *op, const struct token *t, struct span text, int64_t uses)
{
	struct json_writer w;

	json_writer_init(&w, &op->ans->data);
	json_begin_object(&w);
	json_put_cstr(&w, "accessor", t->accessor);
	json_put_int(&w, "creation_time", t->created_ns / NS_PER_S);
	json_put_int(&w, "creation_ttl", t->creation_ttl_s);
	json_put_string(&w, "display_name", t->display_name);
	json_put_cstr(&w, "entity_id", "");
	rfc3339_put(&w, "expire_time", t->expire_ns);
	json_put_int(&w, "explicit_max_ttl", t->explicit_max_ttl_s);
	json_put_string(&w, "id", text);
	rfc3339_put(&w, "issue_time", t->created_ns);
	put_meta(&w, "meta", t);
	json_put_int(&w, "num_uses", uses);
	json_put_bool(&w, "orphan", t->orphan);
	json_put_string(&w, "path", t->path);
	if (t->period_s > 0)
		json_put_int(&w, "period", t->period_s);
	put_list(&w, "policies", t);
	json_put_bool(&w, "renewable", t->renewable);
	json_put_int(&w, "ttl", t->expire_ns == 0 ? 0 : (t->expire_ns - op->now_ns) / NS_PER_S);
	json_put_cstr(&w, "type", "service");
	json_end_object(&w);
	op->ans->shape = ANSWER_DATA;
	return op->ans->status = builder_status(&op->ans->data);
}

/* ---- looking up ---- */

static enum status look_up(struct op *op, const char *hash, struct span text, enum status missing,
                           const char *why)
{
	struct token t;
	int64_t uses;
	enum status st = token_find(&op->view, hash, op->now_ns, &t, NULL, &op->ans->err);

	if (st == ST_NOT_FOUND)
		return answer_fail(op->ans, missing, "%s", why);
	if (st != ST_OK)
		return op->ans->status = st;
	st = token_uses(&op->view, &t, &uses, &op->ans->err);
	if (st == ST_OK)
		st = put_token(op, &t, text, t.num_uses > 0 && uses == 0 ? -1 : uses);
	token_free(&t);
	return op->ans->status = st;
}

static enum status lookup_self_op(struct op *op)
{
	return look_up(op, op->caller->hash, op->req->token, ST_DENIED, "permission denied");
}

/* The token that a call names, in the body. */
static enum status named_token(struct op *op, struct span *ret_text, char *ret_hash)
{
	enum status st = request_string(op->req, "token", ret_text, &op->ans->err);

	if (st == ST_NOT_FOUND || (st == ST_OK && ret_text->n == 0))
		return answer_fail(op->ans, ST_INVALID, "missing token ID");
	if (st != ST_OK)
		return op->ans->status = st;
	token_hash(token_ops_world(op)->token_key, *ret_text, ret_hash);
	return ST_OK;
}

static enum status lookup_op(struct op *op)
{
	char hash[TOKEN_HASH_LEN + 1];
	struct span text;
	enum status st;

	if (request_member(op->req, "token") == NULL)
		return lookup_self_op(op);
	st = named_token(op, &text, hash);
	return st == ST_OK ? look_up(op, hash, text, ST_DENIED, "bad token") : st;
}

static enum status named_accessor(struct op *op, char *ret_hash)
{
	struct span accessor;
	enum status st = request_string(op->req, "accessor", &accessor, &op->ans->err);

	if (st == ST_NOT_FOUND || (st == ST_OK && accessor.n == 0))
		return answer_fail(op->ans, ST_INVALID, "missing accessor");
	if (st != ST_OK)
		return op->ans->status = st;
	st = token_by_accessor(&op->view, accessor, ret_hash, &op->ans->err);
	if (st == ST_NOT_FOUND)
		return answer_fail(op->ans, ST_INVALID, "invalid accessor");
	return op->ans->status = st;
}

static enum status lookup_accessor_op(struct op *op)
{
	char hash[TOKEN_HASH_LEN + 1];
	enum status st = named_accessor(op, hash);

	return st == ST_OK ? look_up(op, hash, span_of(NULL, 0), ST_INVALID, "invalid accessor")
	                   : st;
}

static enum status list_name(void *arg, struct span name)
{
	json_string(arg, name);
	return ST_OK;
}

static enum status accessors_op(struct op *op)
{
	struct json_writer w;
	enum status st;

	json_writer_init(&w, &op->ans->data);
	json_begin_object(&w);
	json_name(&w, "keys");
	json_begin_array(&w);
	st = view_list(&op->view, span_str("accessor/"), span_of(NULL, 0),
	               op->page_limit > SIZE_MAX ? 0 : (size_t)op->page_limit, list_name, &w,
	               &op->ans->err);
	if (st != ST_OK)
		return op->ans->status = st;
	json_end_array(&w);
	json_end_object(&w);
	op->ans->shape = ANSWER_DATA;
	return op->ans->status = builder_status(&op->ans->data);
}

/* ---- renewing ---- */

/* The moment at which a token ends for good, however often it is renewed. */
static int64_t last_end(const struct token_ops *o, const struct token *t)
{
	int64_t end =
	    t->period_s > 0 ? INT64_MAX : token_ops_end(t->created_ns, o->max_lease_ttl_s);

	if (t->explicit_max_ttl_s > 0)
		end = smaller(end, token_ops_end(t->created_ns, t->explicit_max_ttl_s));
	return end;
}

/* In nanoseconds, so that no rounding carries the end past the last one. */
static enum status lengthen(struct op *op, const struct token *before, int64_t increment_s,
                            struct token *after)
{
	int64_t last = last_end(op->self, before), ttl = before->ttl_s;

	if (!before->renewable || before->expire_ns == 0)
		return answer_fail(op->ans, ST_INVALID, "lease is not renewable");
	if (last <= op->now_ns)
		return answer_fail(op->ans, ST_INVALID, "past the max TTL, cannot renew");
	if (before->period_s > 0)
		ttl = before->period_s;
	else if (increment_s > 0)
		ttl = increment_s;
	*after = *before;
	after->expire_ns = smaller(token_ops_end(op->now_ns, ttl), last);
	after->ttl_s = (after->expire_ns - op->now_ns) / NS_PER_S;
	if (after->ttl_s == 0) /* less than a second is left */
		after->ttl_s = 1;
	return ST_OK;
}

static enum status renew(struct op *op, const char *hash, struct span text, enum status missing)
{
	struct token_ops *o = op->self;
	struct token before, after;
	int64_t increment_s = 0;
	enum status st = token_ops_seconds(op, "increment", &increment_s);

	if (st != ST_OK)
		return st;
	st = token_find(&op->view, hash, op->now_ns, &before, NULL, &op->ans->err);
	if (st == ST_NOT_FOUND)
		return answer_fail(op->ans, missing,
		                   missing == ST_DENIED ? "permission denied" : "token not found");
	if (st != ST_OK)
		return op->ans->status = st;
	st = lengthen(op, &before, increment_s, &after);
	if (st == ST_OK)
		st = token_update(&op->view, &before, &after, &op->ans->err);
	if (st == ST_OK)
		st = raise_generation(op->view.txn);
	if (st == ST_OK) {
		sched_at(o->sched, o->expiry_work, after.expire_ns);
		st = token_ops_put_auth(op, &after, text);
	}
	token_free(&before);
	return op->ans->status = st;
}

static enum status renew_self_op(struct op *op)
{
	return renew(op, op->caller->hash, op->req->token, ST_DENIED);
}

static enum status renew_op(struct op *op)
{
	char hash[TOKEN_HASH_LEN + 1];
	struct span text;
	enum status st = named_token(op, &text, hash);

	return st == ST_OK ? renew(op, hash, text, ST_INVALID) : st;
}

static enum status renew_accessor_op(struct op *op)
{
	char hash[TOKEN_HASH_LEN + 1];
	enum status st = named_accessor(op, hash);

	return st == ST_OK ? renew(op, hash, span_of(NULL, 0), ST_INVALID) : st;
}

/* ---- revoking ---- */

static enum status revoke(struct op *op, const char *hash)
{
	struct token_ops *o = op->self;
	enum status st = token_revoke(&op->view, hash, &op->ans->err);

	op->ans->shape = ANSWER_EMPTY;
	if (st == ST_NOT_FOUND)
		return op->ans->status = ST_OK;
	if (st == ST_OK)
		st = raise_generation(op->view.txn);
	if (st == ST_OK)
		sched_at(o->sched, o->purge_work, SCHED_NOW);
	return op->ans->status = st;
}

static enum status revoke_self_op(struct op *op)
{
	return revoke(op, op->caller->hash);
}

static enum status revoke_op(struct op *op)
{
	char hash[TOKEN_HASH_LEN + 1];
	struct span text;
	enum status st = named_token(op, &text, hash);

	return st == ST_OK ? revoke(op, hash) : st;
}

static enum status revoke_accessor_op(struct op *op)
{
	char hash[TOKEN_HASH_LEN + 1];
	enum status st = named_accessor(op, hash);

	return st == ST_OK ? revoke(op, hash) : st;
}

/* ---- the table ---- */

static const struct operation operations[] = {
    {"token-create", VERB_WRITE, "create", OP_WRITE, 0, token_ops_create, NULL},
    {"token-create-orphan", VERB_WRITE, "create-orphan", OP_WRITE, OP_SUDO, token_ops_create_orphan,
     NULL},
    {"token-lookup-self", VERB_READ, "lookup-self", OP_READ, 0, lookup_self_op, NULL},
    {"token-lookup-self", VERB_WRITE, "lookup-self", OP_READ, 0, lookup_self_op, NULL},
    {"token-lookup", VERB_WRITE, "lookup", OP_READ, 0, lookup_op, NULL},
    {"token-lookup-self", VERB_READ, "lookup", OP_READ, 0, lookup_self_op, NULL},
    {"token-lookup-accessor", VERB_WRITE, "lookup-accessor", OP_READ, 0, lookup_accessor_op, NULL},
    {"token-accessors", VERB_LIST, "accessors", OP_READ, OP_SUDO, accessors_op, NULL},
    {"token-renew-self", VERB_WRITE, "renew-self", OP_WRITE, 0, renew_self_op, NULL},
    {"token-renew", VERB_WRITE, "renew", OP_WRITE, 0, renew_op, NULL},
    {"token-renew-accessor", VERB_WRITE, "renew-accessor", OP_WRITE, 0, renew_accessor_op, NULL},
    {"token-revoke-self", VERB_WRITE, "revoke-self", OP_WRITE, 0, revoke_self_op, NULL},
    {"token-revoke", VERB_WRITE, "revoke", OP_WRITE, 0, revoke_op, NULL},
    {"token-revoke-accessor", VERB_WRITE, "revoke-accessor", OP_WRITE, 0, revoke_accessor_op, NULL},
};

const struct engine engine_token = {"token", operations, sizeof operations / sizeof *operations};

/* ---- expiry ---- */

static enum status expiry_work(void *ctx, struct txn *t, int64_t now_ns, int64_t *ret_next_ns,
                               struct err *err)
{
	struct token_ops *o = ctx;
	struct view tokens;
	size_t n;
	enum status st;

	view_init(&tokens, t, span_str(TOKEN_PREFIX));
	st = token_expire(&tokens, now_ns, EXPIRE_A_SLICE, &n, err);
	if (st == ST_OK && n == 0)
		return token_next_expiry(&tokens, ret_next_ns, err);
	if (st == ST_OK)
		st = raise_generation(t);
	sched_at(o->sched, o->purge_work, SCHED_NOW);
	*ret_next_ns = SCHED_NOW; /* looked at once more: this group's commit may fail */
	return st;
}

void token_ops_setup(struct token_ops *o)
{
	o->expiry_work = sched_add(o->sched, "token expiry", expiry_work, o);
}
