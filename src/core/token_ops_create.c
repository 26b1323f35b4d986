/* Creating a token: what the caller asks for, what it may have, and when it ends. */
#include "core/token_ops_impl.h"

#include <string.h>

#include "core/policy_table.h"

#define ID_MAX       128
#define NAME_MAX_LEN 128

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
		    policy_table_find(token_ops_world(op)->policies, name) == NULL)
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
	enum status st = token_ops_seconds(op, "ttl", &w->ttl_s);

	if (st == ST_OK)
		st = token_ops_seconds(op, "lease", &lease_s);
	if (st == ST_OK)
		st = token_ops_seconds(op, "explicit_max_ttl", &t->explicit_max_ttl_s);
	if (st == ST_OK)
		st = token_ops_seconds(op, "period", &t->period_s);
	if (st != ST_OK)
		return st;
	if (w->ttl_s == 0)
		w->ttl_s = lease_s;
	if (t->period_s > 0 && !op->caller->sudo)
		return answer_fail(op->ans, ST_INVALID,
		                   "root or sudo privileges required to create periodic token");
	return ST_OK;
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
	t->expire_ns = token_ops_end(op->now_ns, ttl);
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
	st = token_create(&op->view, token_ops_world(op)->token_key, op->random, t, w->id,
	                  &op->ans->err);
	if (st != ST_OK)
		return op->ans->status = st;
	if (t->expire_ns != 0)
		sched_at(o->sched, o->expiry_work, t->expire_ns);
	return token_ops_put_auth(op, t, span_str(w->id));
}

static enum status create_with(struct op *op, const struct wish *start)
{
	struct wish w = *start;
	enum status st = create(op, &w);

	builder_free(&w.meta);
	wipe(w.id, sizeof w.id);
	return st;
}

enum status token_ops_create(struct op *op)
{
	const struct wish start = {.orphan = false};

	return create_with(op, &start);
}

enum status token_ops_create_orphan(struct op *op)
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
