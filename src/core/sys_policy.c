/* Policies (sys/policies/acl, sys/policy) and what they come to (sys/capabilities). */
#include <string.h>

#include "core/sys_impl.h"
#include "core/token_cache.h"

enum status policy_name_clean(struct span name, char *buf, size_t cap, struct span *ret)
{
	if (name.n > cap)
		return ST_LIMIT;
	for (size_t i = 0; i < name.n; i++)
		buf[i] = (char)(name.p[i] >= 'A' && name.p[i] <= 'Z' ? name.p[i] + ('a' - 'A')
		                                                     : name.p[i]);
	*ret = span_of(buf, name.n);
	return ST_OK;
}

static void put_names(struct json_writer *w, const char *name, const struct op *op)
{
	const struct policy_table *t = sys_world(op)->policies;
	uint64_t most = op->page_limit != 0 ? op->page_limit : UINT64_MAX;

	json_name(w, name);
	json_begin_array(w);
	for (size_t i = 0; i < policy_table_count(t) && i < most; i++)
		json_string(w, policy_table_at(t, i)->name);
	if (policy_table_count(t) < most)
		json_cstr(w, "root");
	json_end_array(w);
}

enum status sys_policy_list_op(struct op *op)
{
	struct json_writer w;

	json_writer_init(&w, &op->ans->data);
	json_begin_object(&w);
	put_names(&w, "keys", op);
	json_end_object(&w);
	op->ans->shape = ANSWER_DATA;
	return op->ans->status = builder_status(&op->ans->data);
}

enum status sys_policy_old_list_op(struct op *op)
{
	struct json_writer w;

	json_writer_init(&w, &op->ans->data);
	json_begin_object(&w);
	put_names(&w, "keys", op);
	put_names(&w, "policies", op);
	json_end_object(&w);
	op->ans->shape = ANSWER_DATA_TOP;
	return op->ans->status = builder_status(&op->ans->data);
}

static enum status put_policy(struct op *op, const char *member)
{
	char buf[POLICY_NAME_MAX];
	struct span name, text = {0};
	const struct policy_entry *e;
	struct json_writer w;
	bool root;

	if (policy_name_clean(op->arg[0], buf, sizeof buf, &name) != ST_OK)
		return op->ans->status = ST_NOT_FOUND;
	root = span_eq_str(name, "root");
	e = policy_table_find(sys_world(op)->policies, name);
	if (e == NULL && !root)
		return op->ans->status = ST_NOT_FOUND;
	if (e != NULL)
		text = e->text;
	json_writer_init(&w, &op->ans->data);
	json_begin_object(&w);
	json_put_bool(&w, "allow_slashes_in_identity_templates", 0);
	json_put_bool(&w, "allow_wildcards_in_identity_templates", 0);
	json_put_bool(&w, "cas_required", 0);
	if (e != NULL)
		rfc3339_put(&w, "modified", e->modified_ns);
	json_put_string(&w, "name", name);
	json_put_string(&w, member, text);
	json_put_uint(&w, "version", e != NULL ? e->version : 0);
	json_end_object(&w);
	return op->ans->status = builder_status(&op->ans->data);
}

enum status sys_policy_read_op(struct op *op)
{
	op->ans->shape = ANSWER_DATA;
	return put_policy(op, "policy");
}

enum status sys_policy_old_read_op(struct op *op)
{
	op->ans->shape = ANSWER_DATA_TOP;
	return put_policy(op, "rules");
}

static enum status set_policies(struct op *op, const struct policy_table *policies)
{
	struct core_world *w;
	enum status st = world_copy(sys_world(op), &w);

	if (st != ST_OK) {
		policy_table_unref(&policies);
		return st;
	}
	policy_table_unref(&w->policies);
	w->policies = policies;
	w->policy_gen = world_generation();
	return sys_set_world(op, w);
}

enum status sys_policy_write_op(struct op *op)
{
	char buf[POLICY_NAME_MAX];
	const struct policy_table *next;
	struct span name, text;
	struct view v;
	enum status st;

	op->ans->shape = ANSWER_EMPTY;
	if (policy_name_clean(op->arg[0], buf, sizeof buf, &name) != ST_OK)
		return answer_fail(op->ans, ST_INVALID, "a policy's name has at most %d characters",
		                   POLICY_NAME_MAX);
	if (span_eq_str(name, "root"))
		return answer_fail(op->ans, ST_INVALID, "cannot update \"root\" policy");
	st = request_string(op->req, "policy", &text, &op->ans->err);
	if (st == ST_NOT_FOUND)
		st = request_string(op->req, "rules", &text, &op->ans->err);
	if (st == ST_NOT_FOUND || (st == ST_OK && text.n == 0))
		return answer_fail(op->ans, ST_INVALID, "'policy' parameter not supplied or empty");
	if (st != ST_OK)
		return op->ans->status = st;
	sys_view(op, SYS_POLICY_PREFIX, &v);
	st = policy_table_put(sys_world(op)->policies, &v, name, text, op->now_ns, &next,
	                      &op->ans->err);
	if (st == ST_OK)
		st = set_policies(op, next);
	return op->ans->status = st;
}

enum status sys_policy_delete_op(struct op *op)
{
	char buf[POLICY_NAME_MAX];
	const struct policy_table *next;
	struct span name;
	struct view v;
	enum status st;

	op->ans->shape = ANSWER_EMPTY;
	if (policy_name_clean(op->arg[0], buf, sizeof buf, &name) != ST_OK)
		return op->ans->status = ST_OK;
	if (span_eq_str(name, "root"))
		return answer_fail(op->ans, ST_INVALID, "cannot delete \"root\" policy");
	if (span_eq_str(name, "default"))
		return answer_fail(op->ans, ST_INVALID, "cannot delete default policy");
	sys_view(op, SYS_POLICY_PREFIX, &v);
	st = policy_table_remove(sys_world(op)->policies, &v, name, &next, &op->ans->err);
	if (st == ST_NOT_FOUND)
		return op->ans->status = ST_OK;
	if (st == ST_OK)
		st = set_policies(op, next);
	return op->ans->status = st;
}

/* ---- capabilities ---- */

#define CAPABILITY_PATHS_MAX 256

static void put_set(struct json_writer *w, uint32_t set)
{
	const char *names[CAPABILITY_COUNT];
	size_t n = capability_names(set, names);

	json_begin_array(w);
	for (size_t i = 0; i < n; i++)
		json_cstr(w, names[i]);
	json_end_array(w);
}

static enum status get_paths(struct op *op, struct span *paths, size_t *ret_n)
{
	enum status st =
	    request_list(op->req, "paths", paths, CAPABILITY_PATHS_MAX, ret_n, &op->ans->err);

	if (st == ST_NOT_FOUND)
		st = request_list(op->req, "path", paths, CAPABILITY_PATHS_MAX, ret_n,
		                  &op->ans->err);
	if (st == ST_NOT_FOUND || (st == ST_OK && *ret_n == 0))
		return answer_fail(op->ans, ST_INVALID, "paths must be supplied");
	return op->ans->status = st;
}

static bool named_before(const struct span *paths, size_t i)
{
	for (size_t j = 0; j < i; j++)
		if (span_eq(paths[j], paths[i]))
			return true;
	return false;
}

/* A path that has the name of a member of the envelope cannot stand beside it. */
static bool is_envelope(struct span path)
{
	static const char *const names[] = {"request_id",     "lease_id", "renewable",
	                                    "lease_duration", "data",     "wrap_info",
	                                    "warnings",       "auth"};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (span_eq_str(path, names[i]))
			return true;
	return false;
}

static enum status put_capabilities(struct op *op, const struct acl *acl)
{
	struct span paths[CAPABILITY_PATHS_MAX];
	struct json_writer w;
	size_t n;
	enum status st = get_paths(op, paths, &n);

	if (st != ST_OK)
		return st;
	json_writer_init(&w, &op->ans->data);
	json_begin_object(&w);
	op->ans->shape = ANSWER_DATA_TOP;
	for (size_t i = 0; i < n; i++) {
		struct span path = paths[i];

		if (named_before(paths, i))
			continue;
		if (is_envelope(path))
			op->ans->shape = ANSWER_DATA;
		if (path.n > 0 && path.p[0] == '/')
			path = span_from(path, 1);
		json_name_span(&w, paths[i]);
		put_set(&w, acl_capabilities(acl, path));
		if (n == 1 && !span_eq_str(paths[i], "capabilities")) {
			json_name(&w, "capabilities");
			put_set(&w, acl_capabilities(acl, path));
		}
	}
	json_end_object(&w);
	return op->ans->status = builder_status(&op->ans->data);
}

/* What the holder of the token with this hash may do. */
static enum status capabilities_of(struct op *op, const char *hash)
{
	struct token t;
	struct acl *acl;
	struct view tokens;
	enum status st;

	view_init(&tokens, op->view.txn, span_str(TOKEN_PREFIX));
	st = token_find(&tokens, hash, op->now_ns, &t, NULL, &op->ans->err);
	if (st == ST_NOT_FOUND)
		return answer_fail(op->ans, ST_INVALID, "invalid token");
	if (st != ST_OK)
		return op->ans->status = st;
	st = acl_of(sys_world(op), &t, op->now_ns, &acl, &op->ans->err);
	token_free(&t);
	if (st != ST_OK)
		return op->ans->status = st;
	st = put_capabilities(op, acl);
	acl_free(&acl);
	return st;
}

enum status sys_capabilities_self_op(struct op *op)
{
	MUST(op->caller != NULL);
	return capabilities_of(op, op->caller->hash);
}

enum status sys_capabilities_op(struct op *op)
{
	char hash[TOKEN_HASH_LEN + 1];
	struct span text;
	enum status st = request_string(op->req, "token", &text, &op->ans->err);

	if (st == ST_NOT_FOUND || (st == ST_OK && text.n == 0))
		return answer_fail(op->ans, ST_INVALID, "no token found");
	if (st != ST_OK)
		return op->ans->status = st;
	token_hash(sys_world(op)->token_key, text, hash);
	return capabilities_of(op, hash);
}

enum status sys_capabilities_accessor_op(struct op *op)
{
	char hash[TOKEN_HASH_LEN + 1];
	struct span accessor;
	struct view tokens;
	enum status st = request_string(op->req, "accessor", &accessor, &op->ans->err);

	if (st == ST_NOT_FOUND)
		return answer_fail(op->ans, ST_INVALID, "no accessor found");
	if (st != ST_OK)
		return op->ans->status = st;
	view_init(&tokens, op->view.txn, span_str(TOKEN_PREFIX));
	st = token_by_accessor(&tokens, accessor, hash, &op->ans->err);
	if (st == ST_NOT_FOUND)
		return answer_fail(op->ans, ST_INVALID, "invalid accessor");
	return st == ST_OK ? capabilities_of(op, hash) : (op->ans->status = st);
}
