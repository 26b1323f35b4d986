#include "core/token_ops.h"

#include <string.h>

#include "core/policy_table.h"
#include "core/token_cache.h"
#include "core/world.h"

#define ID_MAX         128
#define NAME_MAX_LEN   128
#define EXPIRE_A_SLICE 64

static const struct core_world *world_of(const struct op *op)
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

/* ---- the parameters of a new token ---- */

/* What a caller asks for, and the memory that its spans lie in. */
struct wish {
	struct token token;
	char id[ID_MAX + 1];
	char names[TOKEN_POLICIES_MAX][POLICY_NAME_MAX];
	char display[NAME_MAX_LEN + 8];
	struct builder meta;
	bool orphan;
	bool no_default;
	int64_t ttl_s;
};

/* A length in whole seconds, rounded up: half a second is not "none". */
static enum status get_seconds(struct op *op, const char *name, int64_t *ret_s)
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

static bool has_policy(const struct token *t, struct span name)
{
	for (size_t i = 0; i < t->n_policies; i++)
		if (span_eq(t->policies[i], name))
			return true;
	return false;
}

/* Keep the list sorted and without repeats. */
static enum status add_policy(struct wish *w, struct span name)
{
	struct token *t = &w->token;
	struct span clean;
	size_t at = 0;

	if (t->n_policies == TOKEN_POLICIES_MAX)
		return ST_LIMIT;
	if (policy_name_clean(name, w->names[t->n_policies], POLICY_NAME_MAX, &clean) != ST_OK)
		return ST_LIMIT;
	if (clean.n == 0 || has_policy(t, clean))
		return ST_OK;
	while (at < t->n_policies && span_cmp(t->policies[at], clean) < 0)
		at++;
	memmove(t->policies + at + 1, t->policies + at, (t->n_policies - at) * sizeof *t->policies);
	t->policies[at] = clean;
	t->n_policies++;
	return ST_OK;
}

static bool caller_has(const struct op *op, struct span name)
{
	for (size_t i = 0; i < op->caller->n_policies; i++)
		if (span_eq(op->caller->policies[i], name))
			return true;
	return false;
}

/* sudo on the path of the call: more than the caller's own policies may be given away, all but root. */
static bool privileged(const struct op *op)
{
	return op->caller->root || op->caller->sudo;
}

/* A child can do no more than its parent, unless the parent has sudo here. */
static enum status check_subset(struct op *op, const struct wish *w)
{
	for (size_t i = 0; i < w->token.n_policies; i++) {
		struct span name = w->token.policies[i];

		if (op->caller->root || caller_has(op, name))
			continue;
		if (!privileged(op) || span_eq_str(name, "root"))
			return answer_fail(op->ans, ST_INVALID,
			                   "child policies must be subset of parent");
	}
	return ST_OK;
}

static enum status add_policies(struct op *op, struct wish *w, const struct span *names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (add_policy(w, names[i]) != ST_OK)
			return answer_fail(
			    op->ans, ST_INVALID,
			    "a token has at most %d policies, with names of at most %d bytes",
			    TOKEN_POLICIES_MAX, POLICY_NAME_MAX);
	return ST_OK;
}

/* Those that were asked for, or the caller's; "default" comes by itself where the caller could give it. */
static enum status get_policies(struct op *op, struct wish *w)
{
	const struct span by_itself = span_str("default");
	struct span names[TOKEN_POLICIES_MAX];
	size_t n = 0;
	enum status st =
	    request_list(op->req, "policies", names, TOKEN_POLICIES_MAX, &n, &op->ans->err);

	if (st != ST_OK && st != ST_NOT_FOUND)
		return op->ans->status = st;
	if (st == ST_OK && n > 0)
		st = add_policies(op, w, names, n);
	else
		st = add_policies(op, w, op->caller->policies, op->caller->n_policies);
	if (st == ST_OK)
		st = check_subset(op, w);
	if (st == ST_OK && !w->no_default && !has_policy(&w->token, span_str("root")) &&
	    (privileged(op) || caller_has(op, by_itself)))
		st = add_policies(op, w, &by_itself, 1);
	if (st == ST_OK && w->token.n_policies == 0)
		st = answer_fail(op->ans, ST_INVALID, "token must have at least one policy");
	return st;
}

static void warn_unknown(struct op *op, const struct wish *w)
{
	for (size_t i = 0; i < w->token.n_policies; i++) {
		struct span name = w->token.policies[i];

		if (!span_eq_str(name, "root") &&
		    policy_table_find(world_of(op)->policies, name) == NULL)
			answer_warn(op->ans, "Policy \"%.*s\" does not exist", (int)name.n,
			            (const char *)name.p);
	}
}

static enum status get_text(struct op *op, struct wish *w)
{
	struct token *t = &w->token;
	const struct json_value *meta = request_member(op->req, "meta"), *v;
	struct span name = {0}, id = {0};
	struct json_writer jw;
	struct builder b;
	enum status st = request_string(op->req, "display_name", &name, &op->ans->err);

	if (st == ST_OK || st == ST_NOT_FOUND)
		st = request_string(op->req, "id", &id, &op->ans->err);
	if (st != ST_OK && st != ST_NOT_FOUND)
		return op->ans->status = st;
	if (name.n > NAME_MAX_LEN)
		return answer_fail(op->ans, ST_INVALID, "a display name has at most %d bytes",
		                   NAME_MAX_LEN);
	builder_init_fixed(&b, w->display, sizeof w->display);
	builder_str(&b, name.n > 0 ? "token-" : "token");
	builder_add(&b, name);
	t->display_name = builder_span(&b);
	if (id.n > 0 && !op->caller->sudo)
		return answer_fail(op->ans, ST_INVALID,
		                   "root or sudo privileges required to specify token id");
	if (span_cstr(id, w->id, sizeof w->id) != ST_OK || strchr(w->id, '.') != NULL ||
	    strchr(w->id, '/') != NULL)
		return answer_fail(op->ans, ST_INVALID,
		                   "a token id has at most %d characters, and no '.' or '/'",
		                   ID_MAX);
	if (meta == NULL || meta->type == JSON_NULL)
		return ST_OK;
	if (meta->type != JSON_OBJECT)
		return answer_fail(op->ans, ST_INVALID, "meta must be an object of strings");
	v = json_first(meta);
	for (uint32_t i = 0; i < meta->count; i++, v = json_next(v))
		if (v->type != JSON_STRING)
			return answer_fail(op->ans, ST_INVALID,
			                   "meta must be an object of strings");
	json_writer_init(&jw, &w->meta);
	json_copy(&jw, meta);
	if (w->meta.n > 64 * 1024)
		return answer_fail(op->ans, ST_INVALID, "meta must not be larger than 64 KiB");
	t->meta = builder_span(&w->meta);
	return op->ans->status = builder_status(&w->meta);
}

static enum status get_flags(struct op *op, struct wish *w)
{
	struct token *t = &w->token;
	struct span type = {0};
	struct err *err = &op->ans->err;
	bool no_parent = false;
	enum status st;

	t->renewable = true;
	st = request_bool(op->req, "renewable", &t->renewable, err);
	if (st == ST_OK || st == ST_NOT_FOUND)
		st = request_bool(op->req, "no_parent", &no_parent, err);
	if (st == ST_OK || st == ST_NOT_FOUND)
		st = request_bool(op->req, "no_default_policy", &w->no_default, err);
	if (st == ST_OK || st == ST_NOT_FOUND)
		st = request_int(op->req, "num_uses", &t->num_uses, err);
	if (st == ST_OK || st == ST_NOT_FOUND)
		st = request_string(op->req, "type", &type, err);
	if (st != ST_OK && st != ST_NOT_FOUND)
		return op->ans->status = st;
	if (t->num_uses < 0)
		return answer_fail(op->ans, ST_INVALID, "number of uses cannot be negative");
	if (span_eq_str(type, "batch"))
		return answer_fail(op->ans, ST_INVALID,
		                   "batch tokens are not available in this version");
	if (type.n > 0 && !span_eq_str(type, "service"))
		return answer_fail(op->ans, ST_INVALID, "invalid 'token_type' value");
	w->orphan = w->orphan || no_parent;
	if (w->orphan && !op->caller->sudo)
		return answer_fail(op->ans, ST_INVALID,
		                   "root or sudo privileges required to create orphan token");
	return ST_OK;
}

static enum status get_times(struct op *op, struct wish *w)
{
	struct token *t = &w->token;
	int64_t lease_s = 0;
	enum status st = get_seconds(op, "ttl", &w->ttl_s);

	if (st == ST_OK)
		st = get_seconds(op, "lease", &lease_s);
	if (st == ST_OK)
		st = get_seconds(op, "explicit_max_ttl", &t->explicit_max_ttl_s);
	if (st == ST_OK)
		st = get_seconds(op, "period", &t->period_s);
	if (st != ST_OK)
		return st;
	if (w->ttl_s == 0)
		w->ttl_s = lease_s;
	if (t->period_s > 0 && !op->caller->sudo)
		return answer_fail(op->ans, ST_INVALID,
		                   "root or sudo privileges required to create periodic token");
	return ST_OK;
}

/* ---- times ---- */

/* The end of a token that lives ttl_s from now; beyond what nanoseconds can say: as late as they can. */
static int64_t end_of(int64_t now_ns, int64_t ttl_s)
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

static void set_times(struct op *op, const struct token_ops *o, struct wish *w)
{
	struct token *t = &w->token;
	bool root = has_policy(t, span_str("root"));
	int64_t most = o->max_lease_ttl_s, ttl = w->ttl_s;

	t->created_ns = op->now_ns;
	if (root && ttl == 0 && t->explicit_max_ttl_s == 0 && t->period_s == 0) {
		t->renewable = false; /* it never ends */
		return;
	}
	if (t->period_s > 0) {
		t->period_s = smaller(t->period_s, most);
		ttl = t->period_s;
	} else if (ttl == 0) {
		ttl = o->default_lease_ttl_s;
	} else if (ttl > most) {
		answer_warn(op->ans,
		            "TTL of \"%llds\" exceeded the effective max_ttl of \"%llds\"; TTL "
		            "value is capped accordingly",
		            (long long)ttl, (long long)most);
	}
	ttl = smaller(ttl, most);
	if (t->explicit_max_ttl_s > 0)
		ttl = smaller(ttl, t->explicit_max_ttl_s);
	t->creation_ttl_s = ttl;
	t->ttl_s = ttl;
	t->expire_ns = end_of(op->now_ns, ttl);
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

static enum status put_auth(struct op *op, const struct token *t, struct span text)
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

static void put_time(struct json_writer *w, const char *name, int64_t ns)
{
	char text[40];
	struct builder b;

	if (ns == 0) {
		json_put_null(w, name);
		return;
	}
	builder_init_fixed(&b, text, sizeof text);
	rfc3339(&b, ns);
	json_put_string(w, name, builder_span(&b));
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
	put_time(&w, "expire_time", t->expire_ns);
	json_put_int(&w, "explicit_max_ttl", t->explicit_max_ttl_s);
	json_put_string(&w, "id", text);
	put_time(&w, "issue_time", t->created_ns);
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

/* ---- creating ---- */

static enum status get_wish(struct op *op, struct wish *w)
{
	enum status st = get_flags(op, w);

	if (st == ST_OK)
		st = get_text(op, w);
	if (st == ST_OK)
		st = get_times(op, w);
	if (st == ST_OK)
		st = get_policies(op, w);
	return st;
}

/* What a new token must not give its maker: uses that it has not, or a life without end. */
static enum status check_maker(struct op *op, const struct token *made)
{
	struct token maker;
	enum status st =
	    token_find(&op->view, op->caller->hash, op->now_ns, &maker, NULL, &op->ans->err);

	if (st == ST_NOT_FOUND)
		return answer_fail(op->ans, ST_DENIED, "permission denied");
	if (st != ST_OK)
		return op->ans->status = st;
	if (maker.num_uses > 0)
		st = answer_fail(op->ans, ST_INVALID,
		                 "restricted use token cannot generate child tokens");
	else if (made->expire_ns == 0 && maker.expire_ns != 0)
		st = answer_fail(op->ans, ST_INVALID,
		                 "expiring root tokens cannot create non-expiring root tokens");
	token_free(&maker);
	return st;
}

static enum status create(struct op *op, struct wish *w)
{
	struct token_ops *o = op->self;
	struct token *t = &w->token;
	enum status st = get_wish(op, w);

	if (st != ST_OK)
		return st;
	set_times(op, o, w);
	st = check_maker(op, t);
	if (st != ST_OK)
		return st;
	warn_unknown(op, w);
	t->orphan = w->orphan;
	if (!w->orphan)
		memcpy(t->parent, op->caller->hash, TOKEN_HASH_LEN);
	t->path = path_span(&op->req->path);
	st = token_create(&op->view, world_of(op)->token_key, op->random, t, w->id, &op->ans->err);
	if (st != ST_OK)
		return op->ans->status = st;
	if (t->expire_ns != 0)
		sched_at(o->sched, o->expiry_work, t->expire_ns);
	return put_auth(op, t, span_str(w->id));
}

static enum status create_with(struct op *op, const struct wish *start)
{
	struct wish w = *start;
	enum status st = create(op, &w);

	builder_free(&w.meta);
	wipe(w.id, sizeof w.id);
	return st;
}

static enum status create_op(struct op *op)
{
	const struct wish start = {.orphan = false};

	return create_with(op, &start);
}

static enum status create_orphan_op(struct op *op)
{
	const struct wish start = {.orphan = true};

	return create_with(op, &start);
}

enum status token_root(const struct view *view, const struct token_key *key,
                       const struct random *random, char text[static 129], int64_t now_ns,
                       const char *path, struct err *err)
{
	struct token t = {
	    .created_ns = now_ns,
	    .orphan = true,
	    .display_name = span_str(text[0] == 0 ? "root" : "token"),
	    .path = span_str(path),
	    .policies = {span_str("root")},
	    .n_policies = 1,
	};

	return token_create(view, key, random, &t, text, err);
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
	token_hash(world_of(op)->token_key, *ret_text, ret_hash);
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
	int64_t end = t->period_s > 0 ? INT64_MAX : end_of(t->created_ns, o->max_lease_ttl_s);

	if (t->explicit_max_ttl_s > 0)
		end = smaller(end, end_of(t->created_ns, t->explicit_max_ttl_s));
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
	after->expire_ns = smaller(end_of(op->now_ns, ttl), last);
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
	enum status st = get_seconds(op, "increment", &increment_s);

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
		st = put_auth(op, &after, text);
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
    {"token-create", VERB_WRITE, "create", OP_WRITE, 0, create_op, NULL},
    {"token-create-orphan", VERB_WRITE, "create-orphan", OP_WRITE, OP_SUDO, create_orphan_op, NULL},
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
