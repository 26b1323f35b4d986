/* Who may do what in a vault.  "vault/ID/member/XXXXXXXX": 1 version 1 | 1 level.  "user/XXXXXXXX/ID": empty. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "engine/storedsafe_impl.h"

#define RECORD_VERSION 1

const char *member_level_name(enum member_level level)
{
	switch (level) {
	case LEVEL_READ:
		return "Read";
	case LEVEL_WRITE:
		return "Write";
	case LEVEL_ADMIN:
		return "Admin";
	case LEVEL_NONE:
		break;
	}
	return "";
}

/* ---- records ---- */

static struct span member_path(struct vault_path *p, const char *id, uint32_t user)
{
	int n = snprintf(p->text, sizeof p->text, "vault/%s/member/%08" PRIx32, id, user);

	MUST(n > 0 && (size_t)n < sizeof p->text);
	return span_of(p->text, (size_t)n);
}

static struct span user_path(struct vault_path *p, uint32_t user, const char *id)
{
	int n = snprintf(p->text, sizeof p->text, "user/%08" PRIx32 "/%s", user, id);

	MUST(n > 0 && (size_t)n < sizeof p->text);
	return span_of(p->text, (size_t)n);
}

static enum status load(const struct op *op, const char *id, uint32_t user, enum member_level *ret,
                        struct err *err)
{
	struct vault_path p;
	struct span record;
	struct cursor c;
	uint8_t version, level;
	enum status st = view_get(&op->view, member_path(&p, id, user), &record, err);

	if (st != ST_OK)
		return st;
	c = cursor_of(record);
	if (cursor_u8(&c, &version) != ST_OK || version != RECORD_VERSION ||
	    cursor_u8(&c, &level) != ST_OK || cursor_end(&c) != ST_OK ||
	    (level != LEVEL_READ && level != LEVEL_WRITE && level != LEVEL_ADMIN))
		return err_set(err, ST_CORRUPT, "the record of a vault's member is damaged");
	*ret = (enum member_level)level;
	return ST_OK;
}

enum status member_level(const struct op *op, struct span id, uint32_t user, enum member_level *ret,
                         struct err *err)
{
	struct vault v;
	enum status st = vault_find(op, id, &v, err);

	if (st == ST_OK)
		st = load(op, v.id, user, ret, err);
	if (st == ST_NOT_FOUND) {
		*ret = LEVEL_NONE;
		st = ST_OK;
	}
	return st;
}

enum status member_stamp(const struct op *op, const char *id, uint32_t user,
                         uint8_t ret[static VIEW_STAMP_LEN], struct err *err)
{
	struct vault_path p;

	return view_stamp(&op->view, member_path(&p, id, user), ret, err);
}

enum status member_put(const struct op *op, const char *id, uint32_t user, enum member_level level,
                       struct err *err)
{
	uint8_t record[2] = {RECORD_VERSION, (uint8_t)level};
	struct vault_path p;
	enum status st =
	    view_put(&op->view, member_path(&p, id, user), span_of(record, sizeof record), err);

	return st == ST_OK ? view_put(&op->view, user_path(&p, user, id), span_of(NULL, 0), err)
	                   : st;
}

enum status member_remove(const struct op *op, const char *id, uint32_t user, struct err *err)
{
	struct vault_path p;
	enum status st = view_delete(&op->view, member_path(&p, id, user), err);

	return st == ST_OK ? view_delete(&op->view, user_path(&p, user, id), err) : st;
}

enum status member_vaults(const struct op *op, uint32_t user, view_visit *visit, void *arg,
                          struct err *err)
{
	struct vault_path p;
	struct span folder = user_path(&p, user, "");

	return view_list(&op->view, folder, span_of(NULL, 0), 0, visit, arg, err);
}

/* ---- all members of a vault ---- */

struct walk {
	const struct op *op;
	const char *id;
	enum status (*visit)(struct walk *w, uint32_t user, enum member_level level);
	struct json_writer w;
	size_t members, admins;
	struct err *err;
};

static enum status walk_one(void *arg, struct span name)
{
	struct walk *w = arg;
	enum member_level level;
	struct builder b;
	struct cursor c;
	uint32_t user;
	uint8_t be[4];
	enum status st;

	builder_init_fixed(&b, be, sizeof be);
	if (name.n != 8 || builder_unhex(&b, name) != ST_OK)
		return err_set(w->err, ST_CORRUPT, "a record that is no member's lies among them");
	c = cursor_of(builder_span(&b));
	st = cursor_u32(&c, &user);
	MUST(st == ST_OK);
	st = load(w->op, w->id, user, &level, w->err);
	if (st != ST_OK)
		return st;
	w->members++;
	if (level == LEVEL_ADMIN)
		w->admins++;
	return w->visit != NULL ? w->visit(w, user, level) : ST_OK;
}

static enum status walk(struct walk *w)
{
	struct vault_path p;

	return view_list(&w->op->view, vault_path(&p, w->id, "member/"), span_of(NULL, 0), 0,
	                 walk_one, w, w->err);
}

static enum status remove_one(struct walk *w, uint32_t user, enum member_level level)
{
	(void)level;
	return member_remove(w->op, w->id, user, w->err);
}

enum status member_remove_all(const struct op *op, const char *id, struct err *err)
{
	struct walk w = {.op = op, .id = id, .visit = remove_one, .err = err};

	return walk(&w);
}

static enum status list_one(struct walk *w, uint32_t user, enum member_level level)
{
	struct user_facts facts;
	enum status st = w->op->find_user(w->op, user, &facts, w->err);

	if (st != ST_OK)
		return st == ST_NOT_FOUND
		           ? err_set(w->err, ST_CORRUPT, "the record of a user is missing")
		           : st;
	json_begin_object(&w->w);
	storedsafe_put_number(&w->w, "id", user);
	json_put_string(&w->w, "username", facts.username);
	json_put_string(&w->w, "fullname", facts.fullname);
	json_put_string(&w->w, "email", facts.email);
	storedsafe_put_number(&w->w, "status", facts.status);
	storedsafe_put_number(&w->w, "groupstatus", (uint64_t)level);
	json_end_object(&w->w);
	return ST_OK;
}

enum status storedsafe_member_list(struct op *op)
{
	struct vault v;
	struct walk w = {.op = op, .id = v.id, .visit = list_one, .err = &op->ans->err};
	enum status st = vault_named(op, &v);

	if (st != ST_OK)
		return st;
	json_writer_init(&w.w, &op->ans->data);
	json_begin_object(&w.w);
	json_name(&w.w, "vaultmembers");
	json_begin_array(&w.w);
	st = walk(&w);
	if (st != ST_OK)
		return op->ans->status = st;
	json_end_array(&w.w);
	json_end_object(&w.w);
	op->ans->shape = ANSWER_DATA;
	return op->ans->status = builder_status(&op->ans->data);
}

/* ---- changing ---- */

/* A vault, a user, and what the user is there now. */
struct membership {
	struct vault vault;
	uint32_t user;
	enum member_level level; /* LEVEL_NONE: no member */
};

static enum status read_user(struct op *op, uint32_t *ret)
{
	struct span arg = op->arg[1];
	uint64_t id = 0;

	for (size_t i = 0; i < arg.n && id <= UINT32_MAX; i++)
		id = arg.p[i] >= '0' && arg.p[i] <= '9' ? id * 10 + (uint64_t)(arg.p[i] - '0')
		                                        : UINT64_MAX / 2;
	if (id == 0 || id > UINT32_MAX)
		return answer_fail(op->ans, ST_NOT_FOUND, "no such user");
	*ret = (uint32_t)id;
	return ST_OK;
}

static enum status read_membership(struct op *op, struct membership *ret)
{
	enum status st = vault_named(op, &ret->vault);

	if (st == ST_OK)
		st = read_user(op, &ret->user);
	if (st != ST_OK)
		return st;
	st = load(op, ret->vault.id, ret->user, &ret->level, &op->ans->err);
	if (st == ST_NOT_FOUND) {
		ret->level = LEVEL_NONE;
		st = ST_OK;
	}
	return op->ans->status = st;
}

static enum status read_level(struct op *op, enum member_level *ret)
{
	int64_t level;
	enum status st = request_int(op->req, "status", &level, &op->ans->err);

	if (st == ST_NOT_FOUND)
		return answer_fail(op->ans, ST_INVALID, "status is missing");
	if (st != ST_OK)
		return op->ans->status = st;
	if (level != LEVEL_READ && level != LEVEL_WRITE && level != LEVEL_ADMIN)
		return answer_fail(op->ans, ST_INVALID,
		                   "status must be 1 (Read), 2 (Write) or 4 (Admin)");
	*ret = (enum member_level)level;
	return ST_OK;
}

static enum status say(struct op *op, const char *message)
{
	struct json_writer w;

	json_writer_init(&w, &op->ans->data);
	json_begin_object(&w);
	json_put_cstr(&w, "message", message);
	json_end_object(&w);
	op->ans->shape = ANSWER_DATA;
	return op->ans->status = builder_status(&op->ans->data);
}

/* Without an Admin nobody could manage the vault any more. */
static enum status check_last_admin(struct op *op, const struct membership *m)
{
	struct walk w = {.op = op, .id = m->vault.id, .err = &op->ans->err};
	enum status st;

	if (m->level != LEVEL_ADMIN)
		return ST_OK;
	st = walk(&w);
	if (st != ST_OK)
		return op->ans->status = st;
	if (w.admins <= 1)
		return answer_fail(op->ans, ST_INVALID,
		                   "the last Admin of a vault can be neither removed nor demoted");
	return ST_OK;
}

/* Only users who can still do something may join. */
static enum status check_joining(struct op *op, const struct membership *m)
{
	struct walk w = {.op = op, .id = m->vault.id, .err = &op->ans->err};
	struct user_facts facts;
	enum status st = op->find_user(op, m->user, &facts, &op->ans->err);

	if (st == ST_NOT_FOUND)
		return answer_fail(op->ans, st, "no such user");
	if (st == ST_OK)
		st = walk(&w);
	if (st != ST_OK)
		return op->ans->status = st;
	if ((facts.status & USER_ACTIVE) == 0)
		return answer_fail(op->ans, ST_INVALID, "the user is not active");
	if (w.members >= VAULT_MEMBERS_MAX)
		return answer_fail(op->ans, ST_INVALID, "a vault has at most %d members",
		                   VAULT_MEMBERS_MAX);
	return ST_OK;
}

enum status storedsafe_member_add(struct op *op)
{
	struct membership m;
	enum member_level level;
	enum status st = read_membership(op, &m);

	if (st == ST_OK)
		st = read_level(op, &level);
	if (st != ST_OK)
		return st;
	if (m.level != LEVEL_NONE)
		return answer_fail(op->ans, ST_EXISTS, "the user is a member already");
	st = check_joining(op, &m);
	if (st != ST_OK)
		return st;
	st = member_put(op, m.vault.id, m.user, level, &op->ans->err);
	return st == ST_OK ? say(op, "User added") : (op->ans->status = st);
}

enum status storedsafe_member_edit(struct op *op)
{
	struct membership m;
	enum member_level level;
	enum status st = read_membership(op, &m);

	if (st == ST_OK)
		st = read_level(op, &level);
	if (st != ST_OK)
		return st;
	if (m.level == LEVEL_NONE)
		return answer_fail(op->ans, ST_NOT_FOUND, "the user is no member of the vault");
	if (level != LEVEL_ADMIN)
		st = check_last_admin(op, &m);
	if (st != ST_OK)
		return st;
	st = member_put(op, m.vault.id, m.user, level, &op->ans->err);
	return st == ST_OK ? say(op, "User updated") : (op->ans->status = st);
}

enum status storedsafe_member_remove(struct op *op)
{
	struct membership m;
	enum status st = read_membership(op, &m);

	if (st != ST_OK)
		return st;
	if (m.level == LEVEL_NONE)
		return answer_fail(op->ans, ST_NOT_FOUND, "the user is no member of the vault");
	st = check_last_admin(op, &m);
	if (st != ST_OK)
		return st;
	st = member_remove(op, m.vault.id, m.user, &op->ans->err);
	return st == ST_OK ? say(op, "User removed from vault") : (op->ans->status = st);
}
