/* Vaults.  "vault/ID/info": 1 version 1 | 8 created | 4 policy | with 4-byte lengths: name, description. */
#include <string.h>

#include "engine/storedsafe_impl.h"
#include "engine/passphrase.h"

#define RECORD_VERSION 1

/* ---- records ---- */

bool vault_id_valid(struct span id)
{
	for (size_t i = 0; i < id.n; i++)
		if (memchr(random_base62, id.p[i], 62) == NULL)
			return false;
	return id.n > 0 && id.n <= VAULT_ID_MAX;
}

enum status vault_find(const struct op *op, struct span id, struct vault *ret, struct err *err)
{
	struct vault v = {.policy = 0};
	struct vault_path p;
	struct span record;
	struct cursor c;
	uint64_t created;
	uint8_t version;
	enum status st;

	if (!vault_id_valid(id) || span_cstr(id, v.id, sizeof v.id) != ST_OK)
		return ST_NOT_FOUND;
	st = view_get(&op->view, vault_path(&p, v.id, "info"), &record, err);
	if (st != ST_OK)
		return st;
	c = cursor_of(record);
	if (cursor_u8(&c, &version) != ST_OK || version != RECORD_VERSION ||
	    cursor_u64(&c, &created) != ST_OK || cursor_u32(&c, &v.policy) != ST_OK ||
	    cursor_lv(&c, &v.name) != ST_OK || cursor_lv(&c, &v.description) != ST_OK ||
	    cursor_end(&c) != ST_OK)
		return err_set(err, ST_CORRUPT, "the record of a vault is damaged");
	v.created_ns = (int64_t)created;
	*ret = v;
	return ST_OK;
}

enum status vault_put(const struct op *op, const struct vault *v, struct err *err)
{
	struct builder b = {0};
	struct vault_path p;
	enum status st;

	builder_u8(&b, RECORD_VERSION);
	builder_u64(&b, (uint64_t)v->created_ns);
	builder_u32(&b, v->policy);
	builder_lv(&b, v->name);
	builder_lv(&b, v->description);
	st = builder_status(&b);
	if (st == ST_OK)
		st = view_put(&op->view, vault_path(&p, v->id, "info"), builder_span(&b), err);
	builder_free(&b);
	return st;
}

enum status vault_named(struct op *op, struct vault *ret)
{
	enum status st = vault_find(op, op->arg[0], ret, &op->ans->err);

	if (st == ST_NOT_FOUND)
		return answer_fail(op->ans, st, "no such vault");
	return op->ans->status = st;
}

/* Ids are numbers. */
static enum status next_id(struct op *op, char ret[static VAULT_ID_MAX + 1])
{
	struct builder b;
	uint64_t n;
	enum status st = storedsafe_next_number(op, "last", &n, &op->ans->err);

	if (st != ST_OK)
		return st;
	builder_init_fixed(&b, ret, VAULT_ID_MAX);
	builder_dec(&b, n);
	ret[b.n] = 0;
	return ST_OK;
}

/* ---- showing ---- */

static void put_vault(struct json_writer *w, const struct vault *v, enum member_level level)
{
	json_begin_object(w);
	json_put_cstr(w, "id", v->id);
	json_put_string(w, "groupname", v->name);
	storedsafe_put_number(w, "policy", v->policy);
	json_put_string(w, "description", v->description);
	if (level != LEVEL_NONE) {
		storedsafe_put_number(w, "status", (uint64_t)level);
		json_put_cstr(w, "statustext", member_level_name(level));
	}
	json_end_object(w);
}

struct listing {
	struct json_writer w;
	const struct op *op;
	enum { PART_NAMES, PART_INFO } part; /* an operator's listing has two */
	size_t n;
};

static enum status list_mine(void *arg, struct span id)
{
	struct listing *l = arg;
	enum member_level level;
	struct vault v;
	enum status st = vault_find(l->op, id, &v, &l->op->ans->err);

	if (st == ST_OK)
		st = member_level(l->op, span_str(v.id), l->op->caller->user, &level,
		                  &l->op->ans->err);
	if (st == ST_OK)
		put_vault(&l->w, &v, level);
	return st == ST_NOT_FOUND
	           ? err_set(&l->op->ans->err, ST_CORRUPT, "the record of a vault is missing")
	           : st;
}

static enum status list_own(struct op *op)
{
	struct listing l = {.op = op};
	enum status st;

	json_writer_init(&l.w, &op->ans->data);
	json_begin_object(&l.w);
	json_name(&l.w, "vaults");
	json_begin_array(&l.w);
	st = member_vaults(op, op->caller->user, list_mine, &l, &op->ans->err);
	if (st != ST_OK)
		return op->ans->status = st;
	json_end_array(&l.w);
	json_end_object(&l.w);
	op->ans->shape = ANSWER_DATA;
	return op->ans->status = builder_status(&op->ans->data);
}

/* name: "ID/" */
static enum status list_any(void *arg, struct span name)
{
	struct listing *l = arg;
	struct vault v;
	enum status st = vault_find(l->op, span_of(name.p, name.n - 1), &v, &l->op->ans->err);

	if (st == ST_NOT_FOUND)
		return ST_OK;
	if (st != ST_OK)
		return st;
	l->n++;
	if (l->part == PART_NAMES) {
		json_cstr(&l->w, v.id);
		return ST_OK;
	}
	json_name(&l->w, v.id);
	put_vault(&l->w, &v, LEVEL_NONE);
	return ST_OK;
}

static enum status list_all(struct op *op)
{
	struct listing l = {.op = op};
	enum status st;

	json_writer_init(&l.w, &op->ans->data);
	json_begin_object(&l.w);
	json_name(&l.w, "keys");
	json_begin_array(&l.w);
	st = view_list(&op->view, span_str("vault/"), span_of(NULL, 0), 0, list_any, &l,
	               &op->ans->err);
	if (st != ST_OK)
		return op->ans->status = st;
	json_end_array(&l.w);
	json_name(&l.w, "key_info");
	json_begin_object(&l.w);
	l.part = PART_INFO;
	st = view_list(&op->view, span_str("vault/"), span_of(NULL, 0), 0, list_any, &l,
	               &op->ans->err);
	if (st != ST_OK)
		return op->ans->status = st;
	json_end_object(&l.w);
	json_end_object(&l.w);
	op->ans->shape = ANSWER_DATA;
	return op->ans->status = l.n == 0 ? ST_NOT_FOUND : builder_status(&op->ans->data);
}

enum status storedsafe_vault_list(struct op *op)
{
	return op->caller->user != 0 ? list_own(op) : list_all(op);
}

static enum status put_answer(struct op *op, const struct vault *v, enum member_level level,
                              const char *message)
{
	struct json_writer w;

	json_writer_init(&w, &op->ans->data);
	json_begin_object(&w);
	json_name(&w, "vault");
	json_begin_array(&w);
	put_vault(&w, v, level);
	json_end_array(&w);
	if (message != NULL) {
		json_put_cstr(&w, "message", message);
	} else {
		json_name(&w, "objects");
		json_begin_array(&w);
		json_end_array(&w);
		json_name(&w, "templates");
		json_begin_array(&w);
		json_end_array(&w);
	}
	json_end_object(&w);
	op->ans->shape = ANSWER_DATA;
	return op->ans->status = builder_status(&op->ans->data);
}

enum status storedsafe_vault_read(struct op *op)
{
	struct vault v;
	enum status st = vault_named(op, &v);

	return st == ST_OK ? put_answer(op, &v, op->caller->level, NULL) : st;
}

/* ---- changing ---- */

static enum status check_text(struct op *op, const char *name, struct span text, size_t max)
{
	size_t n;

	if (storedsafe_characters(text, &n) != ST_OK || n > max)
		return answer_fail(op->ans, ST_INVALID,
		                   "%s must have at most %zu characters, none of control", name,
		                   max);
	return ST_OK;
}

/* What was sent, over what v holds. */
static enum status read_members(struct op *op, struct vault *v)
{
	int64_t policy;
	enum status st = request_string(op->req, "vaultname", &v->name, &op->ans->err);

	if (st == ST_NOT_FOUND)
		st = request_string(op->req, "groupname", &v->name, &op->ans->err);
	if (st != ST_OK && st != ST_NOT_FOUND)
		return op->ans->status = st;
	if (v->name.n == 0)
		return answer_fail(op->ans, ST_INVALID, "vaultname is missing");
	st = request_string(op->req, "description", &v->description, &op->ans->err);
	if (st == ST_OK || st == ST_NOT_FOUND)
		st = request_int(op->req, "policy", &policy, &op->ans->err);
	if (st == ST_OK) {
		if (policy < 0 || passphrase_policy((uint64_t)policy) == NULL)
			return answer_fail(op->ans, ST_INVALID, "there is no policy %lld",
			                   (long long)policy);
		v->policy = (uint32_t)policy;
	} else if (st != ST_NOT_FOUND) {
		return op->ans->status = st;
	}
	st = check_text(op, "vaultname", v->name, VAULT_NAME_MAX);
	return st == ST_OK ? check_text(op, "description", v->description, VAULT_DESCRIPTION_MAX)
	                   : st;
}

/* The first member: who asks, or whom the operator names. */
static enum status read_owner(struct op *op, uint32_t *ret)
{
	struct user_facts facts;
	int64_t id;
	enum status st;

	if (op->caller->user != 0) {
		*ret = op->caller->user;
		return ST_OK;
	}
	st = request_int(op->req, "user", &id, &op->ans->err);
	if (st == ST_NOT_FOUND)
		return answer_fail(op->ans, ST_INVALID,
		                   "user is missing: the id of the vault's first Admin");
	if (st == ST_OK)
		st = id > 0 && id <= UINT32_MAX
		         ? op->find_user(op, (uint32_t)id, &facts, &op->ans->err)
		         : ST_NOT_FOUND;
	if (st == ST_NOT_FOUND)
		return answer_fail(op->ans, ST_INVALID, "there is no such user");
	if (st != ST_OK)
		return op->ans->status = st;
	*ret = facts.id;
	return ST_OK;
}

enum status storedsafe_vault_create(struct op *op)
{
	struct vault v = {.created_ns = op->now_ns, .policy = PASSPHRASE_POLICY_NONE};
	uint32_t owner = 0;
	enum status st = read_members(op, &v);

	if (st == ST_OK)
		st = read_owner(op, &owner);
	if (st != ST_OK)
		return st;
	if (v.description.n == 0)
		v.description = v.name;
	st = next_id(op, v.id);
	if (st == ST_OK)
		st = vault_put(op, &v, &op->ans->err);
	if (st == ST_OK)
		st = member_put(op, v.id, owner, LEVEL_ADMIN, &op->ans->err);
	if (st != ST_OK)
		return op->ans->status = st;
	return put_answer(op, &v, LEVEL_ADMIN, "Vault created");
}

enum status storedsafe_vault_edit(struct op *op)
{
	struct vault v;
	enum status st = vault_named(op, &v);

	if (st == ST_OK)
		st = read_members(op, &v);
	if (st != ST_OK)
		return st;
	st = vault_put(op, &v, &op->ans->err);
	if (st != ST_OK)
		return op->ans->status = st;
	return put_answer(op, &v, op->caller->level, "Vault updated");
}

/* Anything in the vault but its name and its members. */
static enum status check_empty(struct op *op, const struct vault *v)
{
	struct vault_path p;
	struct view keys;
	struct span path;
	enum status st;

	view_below(&keys, &op->view, vault_path(&p, v->id, "key/"));
	st = view_first(&keys, &path, &op->ans->err);
	if (st == ST_OK)
		return answer_fail(op->ans, ST_INVALID,
		                   "the vault must be empty: it still has encryption keys");
	return st == ST_NOT_FOUND ? ST_OK : (op->ans->status = st);
}

enum status storedsafe_vault_delete(struct op *op)
{
	struct vault_path p;
	struct vault v;
	enum status st = vault_named(op, &v);

	if (st == ST_OK)
		st = check_empty(op, &v);
	if (st != ST_OK)
		return st;
	st = member_remove_all(op, v.id, &op->ans->err);
	if (st == ST_OK)
		st = view_delete(&op->view, vault_path(&p, v.id, "info"), &op->ans->err);
	if (st != ST_OK)
		return op->ans->status = st;
	builder_str(&op->ans->data, "{\"message\":\"Vault deleted\"}");
	op->ans->shape = ANSWER_DATA;
	return op->ans->status = builder_status(&op->ans->data);
}
