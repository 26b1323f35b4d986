/*
 * "apikey/LL/HASH" (LL: length of the key, two digits): empty; the length is there because old clients send passphrase, key and one-time code in one string, which can only be taken
 * apart when it is known how long keys are.  "apikey-name/NAME": 1 version 1 | 8 created | LL/HASH.
 */
#include "core/login_apikey.h"

#include <string.h>

#define RECORD_VERSION 1
#define REST_LEN       (3 + LOGIN_HASH_LEN)

bool login_apikey_name_valid(struct span name)
{
	if (name.n == 0 || name.n > APIKEY_NAME_MAX || name.p[0] == '.')
		return false;
	for (size_t i = 0; i < name.n; i++)
		if (memchr(random_base62, name.p[i], 62) == NULL &&
		    memchr("._-", name.p[i], 3) == NULL)
			return false;
	return true;
}

static struct span key_path(struct login_path *p, const struct hmac_key *key, struct span text)
{
	char hash[LOGIN_HASH_LEN + 1];

	login_hash(key, LOGIN_APIKEY, text, hash);
	return login_path(p, "apikey/%02zu/%s", text.n, hash);
}

static struct span name_path(struct login_path *p, struct span name)
{
	return login_path(p, "apikey-name/%.*s", (int)name.n, (const char *)name.p);
}

static enum status check_chosen(const char *text, struct err *err)
{
	size_t n = strlen(text);

	if (n < APIKEY_MIN)
		return err_set(err, ST_INVALID, "an API key has %d to %d characters", APIKEY_MIN,
		               APIKEY_MAX);
	for (size_t i = 0; i < n; i++)
		if (text[i] <= ' ' || text[i] > '~')
			return err_set(err, ST_INVALID,
			               "an API key is printable ASCII without blanks");
	return ST_OK;
}

static enum status is_free(const struct view *view, struct span path, const char *what,
                           struct err *err)
{
	enum status st = view_exists(view, path, err);

	if (st == ST_OK)
		return err_set(err, ST_EXISTS, "%s", what);
	return st == ST_NOT_FOUND ? ST_OK : st;
}

enum status login_apikey_create(const struct view *view, const struct hmac_key *key,
                                const struct random *random, struct span name,
                                char text[static APIKEY_MAX + 1], int64_t now_ns, struct err *err)
{
	uint8_t record[1 + 8 + REST_LEN];
	struct login_path by_key, by_name;
	struct span path;
	struct builder b;
	enum status st;

	if (!login_apikey_name_valid(name))
		return err_set(err, ST_INVALID,
		               "the name of an API key is 1 to %d letters, digits, '.', '_' or '-'",
		               APIKEY_NAME_MAX);
	if (text[0] == 0) {
		random_text(random, random_base62, text, APIKEY_LEN);
		text[APIKEY_LEN] = 0;
	}
	st = check_chosen(text, err);
	if (st != ST_OK)
		return st;
	path = key_path(&by_key, key, span_str(text));
	st = is_free(view, name_path(&by_name, name), "there is an API key with this name already",
	             err);
	if (st == ST_OK)
		st = is_free(view, path, "this API key is in use already", err);
	if (st == ST_OK)
		st = view_put(view, path, span_of(NULL, 0), err);
	if (st != ST_OK)
		return st;
	builder_init_fixed(&b, record, sizeof record);
	builder_u8(&b, RECORD_VERSION);
	builder_u64(&b, (uint64_t)now_ns);
	builder_add(&b, span_from(path, strlen("apikey/")));
	return view_put(view, name_path(&by_name, name), builder_span(&b), err);
}

static enum status load(const struct view *view, struct span name, int64_t *ret_created_ns,
                        struct span *ret_rest, struct err *err)
{
	struct login_path p;
	struct span record, rest;
	struct cursor c;
	uint64_t created;
	uint8_t version;
	enum status st = view_get(view, name_path(&p, name), &record, err);

	if (st != ST_OK)
		return st;
	c = cursor_of(record);
	if (cursor_u8(&c, &version) != ST_OK || version != RECORD_VERSION ||
	    cursor_u64(&c, &created) != ST_OK || cursor_span(&c, REST_LEN, &rest) != ST_OK ||
	    cursor_end(&c) != ST_OK)
		return err_set(err, ST_CORRUPT, "the record of an API key is damaged");
	*ret_created_ns = (int64_t)created;
	*ret_rest = rest;
	return ST_OK;
}

enum status login_apikey_revoke(const struct view *view, struct span name, struct err *err)
{
	struct login_path p;
	struct span rest;
	int64_t created_ns;
	enum status st;

	if (!login_apikey_name_valid(name))
		return ST_NOT_FOUND;
	st = load(view, name, &created_ns, &rest, err);
	if (st == ST_OK)
		st = view_delete(
		    view, login_path(&p, "apikey/%.*s", (int)rest.n, (const char *)rest.p), err);
	return st == ST_OK ? view_delete(view, name_path(&p, name), err) : st;
}

enum status login_apikey_check(const struct view *view, const struct hmac_key *key,
                               struct span text, struct err *err)
{
	struct login_path p;
	enum status st;

	if (text.n < APIKEY_MIN || text.n > APIKEY_MAX)
		return ST_DENIED;
	st = view_exists(view, key_path(&p, key, text), err);
	return st == ST_NOT_FOUND ? ST_DENIED : st;
}

/* ---- at the end of a longer text ---- */

struct lengths {
	uint8_t of[APIKEY_MAX + 1]; /* 1: there are keys of this length */
};

static enum status note_length(void *arg, struct span name)
{
	struct lengths *l = arg;

	if (name.n == 3 && name.p[0] >= '0' && name.p[0] <= '9' && name.p[1] >= '0' &&
	    name.p[1] <= '9') {
		size_t n = (size_t)(name.p[0] - '0') * 10 + (size_t)(name.p[1] - '0');

		if (n <= APIKEY_MAX)
			l->of[n] = 1;
	}
	return ST_OK;
}

enum status login_apikey_behind(const struct view *view, const struct hmac_key *key,
                                struct span text, size_t *ret_n, struct err *err)
{
	struct lengths l = {{0}};
	enum status st =
	    view_list(view, span_str("apikey/"), span_of(NULL, 0), 0, note_length, &l, err);

	if (st != ST_OK)
		return st;
	for (size_t n = APIKEY_MIN; n <= APIKEY_MAX && n <= text.n; n++) {
		if (l.of[n] == 0)
			continue;
		st = login_apikey_check(view, key, span_from(text, text.n - n), err);
		if (st == ST_OK)
			*ret_n = n;
		if (st != ST_DENIED)
			return st;
	}
	return ST_DENIED;
}

struct walk {
	const struct view *view;
	enum status (*visit)(void *arg, struct span name, int64_t created_ns);
	void *arg;
	struct err *err;
};

static enum status walk_one(void *arg, struct span name)
{
	struct walk *w = arg;
	char own[APIKEY_NAME_MAX + 1];
	struct span rest;
	int64_t created_ns;
	enum status st;

	if (span_cstr(name, own, sizeof own) != ST_OK)
		return err_set(w->err, ST_CORRUPT, "the record of an API key is damaged");
	st = load(w->view, span_str(own), &created_ns, &rest, w->err);
	return st == ST_OK ? w->visit(w->arg, span_str(own), created_ns) : st;
}

enum status login_apikey_each(const struct view *view,
                              enum status (*visit)(void *arg, struct span name, int64_t created_ns),
                              void *arg, struct err *err)
{
	struct walk w = {view, visit, arg, err};

	return view_list(view, span_str("apikey-name/"), span_of(NULL, 0), 0, walk_one, &w, err);
}
