/*
 * User record, "user/XXXXXXXX" (its id in hex): 1 version 1 | 4 status | 8 created | 8 step of the last TOTP code | 4 era | with 4-byte lengths: username, full name, email, hash of the
 * passphrase, TOTP secret, and three names of devices.  "name/HASH": 4 id.  "users": 4, the id given last.
 */
#include "core/login_user.h"

#include <inttypes.h>
#include <string.h>

#include "base/utf8.h"

#define RECORD_VERSION 1
#define RECORD_MAX     4096

static struct span user_path(struct login_path *p, uint32_t id)
{
	return login_path(p, "user/%08" PRIx32, id);
}

static struct span name_path(struct login_path *p, const struct hmac_key *key, struct span username)
{
	char hash[LOGIN_HASH_LEN + 1];

	login_hash(key, LOGIN_USERNAME, username, hash);
	return login_path(p, "name/%s", hash);
}

enum status user_check_text(const char *name, struct span text, size_t min, size_t max,
                            struct err *err)
{
	size_t characters = 0;

	while (text.n > 0) {
		size_t n = utf8_length(text);

		if (n == 0 || text.p[0] < 0x20 || text.p[0] == 0x7f)
			return err_set(err, ST_INVALID, "%s holds a character that is not allowed",
			               name);
		text = span_from(text, n);
		characters++;
	}
	if (characters < min || characters > max)
		return err_set(err, ST_INVALID, "%s must have %zu to %zu characters", name, min,
		               max);
	return ST_OK;
}

bool user_can_log_in(const struct user *u)
{
	return (u->status & USER_ACTIVE) != 0 && (u->status & USER_ESCROW) == 0;
}

/* ---- the record ---- */

static enum status put_record(const struct view *view, const struct user *u, struct err *err)
{
	uint8_t *room = view_alloc(view, RECORD_MAX); /* holds the TOTP secret */
	struct login_path p;
	struct builder b;

	if (room == NULL)
		return err_set(err, ST_NOMEM, "no locked memory");
	builder_init_fixed(&b, room, RECORD_MAX);
	builder_u8(&b, RECORD_VERSION);
	builder_u32(&b, u->status);
	builder_u64(&b, (uint64_t)u->created_ns);
	builder_u64(&b, u->totp_step);
	builder_u32(&b, u->era);
	builder_lv(&b, u->username);
	builder_lv(&b, u->fullname);
	builder_lv(&b, u->email);
	builder_lv(&b, u->passphrase);
	builder_lv(&b, u->totp);
	for (size_t i = 0; i < USER_YUBIKEYS_MAX; i++)
		builder_lv(&b, span_str(u->yubikey[i]));
	if (builder_status(&b) != ST_OK)
		return err_set(err, ST_INVALID, "the user's data are too long");
	return view_put(view, user_path(&p, u->id), builder_span(&b), err);
}

static enum status parse(struct span record, struct user *u)
{
	struct cursor c = cursor_of(record);
	struct span device;
	uint64_t created;
	uint8_t version;

	if (cursor_u8(&c, &version) != ST_OK || version != RECORD_VERSION ||
	    cursor_u32(&c, &u->status) != ST_OK || cursor_u64(&c, &created) != ST_OK ||
	    cursor_u64(&c, &u->totp_step) != ST_OK || cursor_u32(&c, &u->era) != ST_OK ||
	    cursor_lv(&c, &u->username) != ST_OK || cursor_lv(&c, &u->fullname) != ST_OK ||
	    cursor_lv(&c, &u->email) != ST_OK || cursor_lv(&c, &u->passphrase) != ST_OK ||
	    cursor_lv(&c, &u->totp) != ST_OK)
		return ST_CORRUPT;
	u->created_ns = (int64_t)created;
	for (size_t i = 0; i < USER_YUBIKEYS_MAX; i++)
		if (cursor_lv(&c, &device) != ST_OK ||
		    span_cstr(device, u->yubikey[i], sizeof u->yubikey[i]) != ST_OK)
			return ST_CORRUPT;
	return cursor_end(&c);
}

enum status user_find(const struct view *view, uint32_t id, struct user *ret, struct err *err)
{
	struct user u = {.id = id};
	struct login_path p;
	struct span record;
	enum status st = view_get(view, user_path(&p, id), &record, err);

	if (st != ST_OK)
		return st;
	if (parse(record, &u) != ST_OK)
		return err_set(err, ST_CORRUPT, "the record of a user is damaged");
	*ret = u;
	return ST_OK;
}

enum status user_stamp(const struct view *view, uint32_t id, uint8_t ret[static VIEW_STAMP_LEN],
                       struct err *err)
{
	struct login_path p;

	return view_stamp(view, user_path(&p, id), ret, err);
}

static enum status get_id(const struct view *view, struct span path, uint32_t *ret, struct err *err)
{
	struct span record;
	struct cursor c;
	uint32_t id;
	enum status st = view_get(view, path, &record, err);

	if (st != ST_OK)
		return st;
	c = cursor_of(record);
	if (cursor_u32(&c, &id) != ST_OK || cursor_end(&c) != ST_OK)
		return err_set(err, ST_CORRUPT, "a record of the users is damaged");
	*ret = id;
	return ST_OK;
}

static enum status put_id(const struct view *view, struct span path, uint32_t id, struct err *err)
{
	uint8_t be[4];
	struct builder b;

	builder_init_fixed(&b, be, sizeof be);
	builder_u32(&b, id);
	return view_put(view, path, builder_span(&b), err);
}

enum status user_by_name(const struct view *view, const struct hmac_key *key, struct span username,
                         struct user *ret, struct err *err)
{
	struct login_path p;
	uint32_t id;
	enum status st = get_id(view, name_path(&p, key, username), &id, err);

	if (st != ST_OK)
		return st;
	st = user_find(view, id, ret, err);
	return st == ST_NOT_FOUND ? err_set(err, ST_CORRUPT, "the record of a user is missing")
	                          : st;
}

/* ---- changing ---- */

static enum status name_is_free(const struct view *view, struct span path, struct err *err)
{
	enum status st = view_exists(view, path, err);

	if (st == ST_OK)
		return err_set(err, ST_EXISTS, "there is a user with this username already");
	return st == ST_NOT_FOUND ? ST_OK : st;
}

enum status user_create(const struct view *view, const struct hmac_key *key, struct user *u,
                        struct err *err)
{
	struct login_path name;
	struct span path = name_path(&name, key, u->username);
	uint32_t last = 0;
	enum status st = name_is_free(view, path, err);

	if (st == ST_OK)
		st = get_id(view, span_str("users"), &last, err);
	if (st == ST_NOT_FOUND)
		st = ST_OK;
	if (st == ST_OK && last == UINT32_MAX)
		st = err_set(err, ST_LIMIT, "there are no more user ids");
	if (st != ST_OK)
		return st;
	u->id = last + 1;
	st = put_id(view, span_str("users"), u->id, err);
	if (st == ST_OK)
		st = put_id(view, path, u->id, err);
	return st == ST_OK ? put_record(view, u, err) : st;
}

static bool has_device(const struct user *u, const char *name)
{
	for (size_t i = 0; i < USER_YUBIKEYS_MAX; i++)
		if (strcmp(u->yubikey[i], name) == 0)
			return true;
	return false;
}

/* Whoever logged in with what was before must not go on. */
static bool ends_sessions(const struct user *before, const struct user *u)
{
	for (size_t i = 0; i < USER_YUBIKEYS_MAX; i++)
		if (before->yubikey[i][0] != 0 && !has_device(u, before->yubikey[i]))
			return true;
	return !span_eq(before->passphrase, u->passphrase) || !span_eq(before->totp, u->totp) ||
	       (user_can_log_in(before) && !user_can_log_in(u));
}

enum status user_put(const struct view *view, const struct hmac_key *key, const struct user *before,
                     const struct user *changed, struct err *err)
{
	struct user now = *changed;
	const struct user *u = &now;
	struct login_path was, is;
	struct span path;
	enum status st;

	MUST(before->id == u->id && u->id != 0);
	now.era = before->era + ends_sessions(before, changed);
	if (span_eq(before->username, u->username))
		return put_record(view, u, err);
	path = name_path(&is, key, u->username);
	st = name_is_free(view, path, err);
	if (st == ST_OK)
		st = view_delete(view, name_path(&was, key, before->username), err);
	if (st == ST_OK)
		st = put_id(view, path, u->id, err);
	return st == ST_OK ? put_record(view, u, err) : st;
}

/* ---- all of them ---- */

struct walk {
	const struct view *view;
	enum status (*visit)(void *arg, const struct user *u);
	void *arg;
	struct err *err;
};

static enum status walk_one(void *arg, struct span name)
{
	struct walk *w = arg;
	struct user u;
	uint8_t be[4];
	struct builder b;
	struct cursor c;
	uint32_t id;
	enum status st;

	builder_init_fixed(&b, be, sizeof be);
	if (name.n != 8 || builder_unhex(&b, name) != ST_OK)
		return err_set(w->err, ST_CORRUPT, "a record that is no user's lies among them");
	c = cursor_of(builder_span(&b));
	st = cursor_u32(&c, &id);
	MUST(st == ST_OK);
	st = user_find(w->view, id, &u, w->err);
	return st == ST_OK ? w->visit(w->arg, &u) : st;
}

enum status user_each(const struct view *view,
                      enum status (*visit)(void *arg, const struct user *u), void *arg,
                      struct err *err)
{
	struct walk w = {view, visit, arg, err};

	return view_list(view, span_str("user/"), span_of(NULL, 0), 0, walk_one, &w, err);
}
