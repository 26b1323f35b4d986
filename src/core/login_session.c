/*
 * Session record: 1 version 1 | 4 user | 4 era | 8 created | 8 expires | 8 number | 8 turned | 8 before | 24 accessor.  Beside it "expiry/TIME/HASH", empty.
 *
 * Using a session costs no write, but for the first call with a new token and one call in each SLACK-th part of the timeout: a record says when the session ends at the
 * earliest, plus that part.
 */
#include "core/login_session.h"

#include <inttypes.h>
#include <string.h>

#include "crypto/ct.h"

#define RECORD_VERSION 1
#define SECRET_LEN     24
#define TURN_LEN       ((size_t)16) /* bytes of the hash that goes with the secret */
#define SLACK          64

_Static_assert(SECRET_LEN + 2 * TURN_LEN == SESSION_TEXT_LEN, "a token is a secret and a hash");

static struct span session_path(struct login_path *p, const char *name)
{
	return login_path(p, "session/%s", name);
}

static struct span expiry_path(struct login_path *p, int64_t expire_ns, const char *name)
{
	return login_path(p, "expiry/%016" PRIx64 "/%s", (uint64_t)expire_ns, name);
}

/* ---- the record ---- */

static enum status put(const struct view *view, const struct session *s, struct err *err)
{
	uint8_t record[1 + 4 + 4 + 5 * 8 + SESSION_ACCESSOR_LEN];
	struct login_path p;
	struct builder b;
	enum status st;

	builder_init_fixed(&b, record, sizeof record);
	builder_u8(&b, RECORD_VERSION);
	builder_u32(&b, s->user);
	builder_u32(&b, s->era);
	builder_u64(&b, (uint64_t)s->created_ns);
	builder_u64(&b, (uint64_t)s->expire_ns);
	builder_u64(&b, s->number);
	builder_u64(&b, (uint64_t)s->turned_ns);
	builder_u64(&b, (uint64_t)s->before_ns);
	builder_str(&b, s->accessor);
	st = builder_status(&b);
	MUST(st == ST_OK && b.n == sizeof record);
	st = view_put(view, session_path(&p, s->name), builder_span(&b), err);
	if (st == ST_OK)
		st = view_put(view, expiry_path(&p, s->expire_ns, s->name), span_of(NULL, 0), err);
	return st;
}

static enum status get_i64(struct cursor *c, int64_t *ret)
{
	uint64_t v;
	enum status st = cursor_u64(c, &v);

	if (st == ST_OK)
		*ret = (int64_t)v;
	return st;
}

static enum status parse(struct span record, struct session *s)
{
	struct cursor c = cursor_of(record);
	struct span accessor;
	uint8_t version;

	if (cursor_u8(&c, &version) != ST_OK || version != RECORD_VERSION ||
	    cursor_u32(&c, &s->user) != ST_OK || cursor_u32(&c, &s->era) != ST_OK ||
	    get_i64(&c, &s->created_ns) != ST_OK || get_i64(&c, &s->expire_ns) != ST_OK ||
	    cursor_u64(&c, &s->number) != ST_OK || get_i64(&c, &s->turned_ns) != ST_OK ||
	    get_i64(&c, &s->before_ns) != ST_OK ||
	    cursor_span(&c, SESSION_ACCESSOR_LEN, &accessor) != ST_OK || cursor_end(&c) != ST_OK ||
	    span_cstr(accessor, s->accessor, sizeof s->accessor) != ST_OK)
		return ST_CORRUPT;
	return ST_OK;
}

static enum status load(const struct view *view, const char *name, struct session *ret,
                        struct err *err)
{
	struct session s = {.user = 0};
	struct login_path p;
	struct span record;
	enum status st = view_get(view, session_path(&p, name), &record, err);

	if (st != ST_OK)
		return st;
	if (parse(record, &s) != ST_OK)
		return err_set(err, ST_CORRUPT, "the record of a session is damaged");
	memcpy(s.name, name, LOGIN_HASH_LEN);
	*ret = s;
	return ST_OK;
}

/* ---- tokens ---- */

/* What stands behind the secret in token `number`. */
static void turn(const struct hmac_key *key, struct span secret, uint64_t number,
                 char out[static 2 * TURN_LEN])
{
	uint8_t be[8], mac[SHA256_LEN];
	struct builder b;

	builder_init_fixed(&b, be, sizeof be);
	builder_u64(&b, number);
	login_mac(key, LOGIN_TOKEN, secret, builder_span(&b), mac);
	ct_hex(span_of(mac, TURN_LEN), out);
	wipe(mac, sizeof mac);
}

static void token_text(const struct hmac_key *key, struct span secret, uint64_t number,
                       char out[static SESSION_TEXT_LEN + 1])
{
	memcpy(out, secret.p, SECRET_LEN);
	turn(key, secret, number, out + SECRET_LEN);
	out[SESSION_TEXT_LEN] = 0;
}

/* Which token of the session is it?  All three that may be good are computed in any case. */
static enum status number_of(const struct hmac_key *key, const struct session *s, struct span text,
                             uint64_t *ret)
{
	struct span secret = span_of(text.p, SECRET_LEN), shown = span_from(text, SECRET_LEN);
	enum status st = ST_NO_SESSION;
	char want[2 * TURN_LEN];

	for (uint64_t i = 0; i < 3; i++) {
		uint64_t number = s->number - 1 + i;

		turn(key, secret, number, want);
		if (!ct_equal(span_of(want, sizeof want), shown) || (i == 0 && s->number == 0))
			continue;
		*ret = number;
		st = ST_OK;
	}
	wipe(want, sizeof want);
	return st;
}

static int64_t add_ns(int64_t a, int64_t b)
{
	return a > INT64_MAX - b ? INT64_MAX : a + b;
}

enum status session_start(const struct view *view, const struct hmac_key *key,
                          const struct random *random, const struct login_settings *settings,
                          uint32_t user, uint32_t era, int64_t now_ns, struct session *ret,
                          char ret_text[static SESSION_TEXT_LEN + 1], struct err *err)
{
	struct session s = {.user = user, .era = era, .created_ns = now_ns, .turned_ns = now_ns};
	char secret[SECRET_LEN];
	enum status st;

	random_text(random, random_base62, secret, sizeof secret);
	random_text(random, random_base62, s.accessor, SESSION_ACCESSOR_LEN);
	login_hash(key, LOGIN_SESSION, span_of(secret, sizeof secret), s.name);
	s.expire_ns = add_ns(now_ns, settings->timeout_ns + settings->timeout_ns / SLACK);
	st = put(view, &s, err);
	if (st == ST_OK) {
		token_text(key, span_of(secret, sizeof secret), 0, ret_text);
		*ret = s;
	}
	wipe(secret, sizeof secret);
	return st;
}

enum status session_judge(struct session_use *use, const struct login_settings *settings,
                          int64_t now_ns)
{
	const struct session *s = &use->session;

	if (now_ns >= s->expire_ns || (use->number < s->number && now_ns >= s->before_ns))
		return ST_NO_SESSION;
	use->due = use->number > s->number || s->expire_ns - now_ns < settings->timeout_ns;
	use->next_number = use->number > s->number ? use->number : s->number;
	if (use->next_number == s->number && now_ns >= add_ns(s->turned_ns, settings->rotation_ns))
		use->next_number++;
	return ST_OK;
}

void session_next(struct session_use *use, const struct hmac_key *key, struct span text)
{
	token_text(key, span_of(text.p, SECRET_LEN), use->next_number, use->next);
}

enum status session_find(const struct view *view, const struct hmac_key *key,
                         const struct login_settings *settings, struct span text, int64_t now_ns,
                         struct session_use *ret, struct err *err)
{
	struct session_use use = {.due = false};
	char name[LOGIN_HASH_LEN + 1];
	enum status st;

	if (text.n != SESSION_TEXT_LEN)
		return ST_NO_SESSION;
	login_hash(key, LOGIN_SESSION, span_of(text.p, SECRET_LEN), name);
	st = load(view, name, &use.session, err);
	if (st == ST_NOT_FOUND)
		return ST_NO_SESSION;
	if (st == ST_OK)
		st = number_of(key, &use.session, text, &use.number);
	if (st == ST_OK)
		st = session_judge(&use, settings, now_ns);
	if (st != ST_OK)
		return st;
	session_next(&use, key, text);
	*ret = use;
	return ST_OK;
}

enum status session_stamp(const struct view *view, const char *name,
                          uint8_t ret[static VIEW_STAMP_LEN], struct err *err)
{
	struct login_path p;

	return view_stamp(view, session_path(&p, name), ret, err);
}

enum status session_touch(const struct view *view, const struct login_settings *settings,
                          const struct session_use *use, int64_t now_ns, struct err *err)
{
	struct session s = use->session;
	struct login_path p;
	enum status st;

	if (use->number > s.number) {
		s.number = use->number;
		s.turned_ns = now_ns;
		s.before_ns = add_ns(now_ns, settings->grace_ns);
	}
	s.expire_ns = add_ns(now_ns, settings->timeout_ns + settings->timeout_ns / SLACK);
	st = view_delete(view, expiry_path(&p, use->session.expire_ns, s.name), err);
	return st == ST_OK ? put(view, &s, err) : st;
}

/* ---- ends ---- */

enum status session_end(const struct view *view, const char *name, struct err *err)
{
	struct session s;
	struct login_path p;
	enum status st = load(view, name, &s, err);

	if (st == ST_NOT_FOUND)
		return ST_OK;
	if (st == ST_OK)
		st = view_delete(view, expiry_path(&p, s.expire_ns, name), err);
	if (st == ST_OK)
		st = view_delete(view, session_path(&p, name), err);
	return st;
}

/* The first link below "expiry/": 16 hex digits of time, a slash, the session's name.  A name that we never made is due at once, and nobody's. */
struct expiry {
	int64_t at_ns;
	char name[LOGIN_HASH_LEN + 1];
	struct span path; /* below "expiry/"; the transaction's */
};

static enum status first_expiry(const struct view *links, struct expiry *ret, struct err *err)
{
	struct expiry e = {.at_ns = 0};
	struct span path;
	uint8_t be[8];
	struct builder b;
	uint64_t at;
	uint8_t *own;
	enum status st = view_first(links, &path, err);

	if (st != ST_OK)
		return st;
	own = view_alloc(links, path.n);
	if (own == NULL)
		return err_set(err, ST_NOMEM, "no locked memory");
	memcpy(own, path.p, path.n);
	e.path = span_of(own, path.n);
	builder_init_fixed(&b, be, sizeof be);
	if (path.n == 17 + LOGIN_HASH_LEN && own[16] == '/' &&
	    builder_unhex(&b, span_of(own, 16)) == ST_OK &&
	    span_cstr(span_from(e.path, 17), e.name, sizeof e.name) == ST_OK) {
		struct cursor c = cursor_of(builder_span(&b));

		st = cursor_u64(&c, &at);
		MUST(st == ST_OK);
		e.at_ns = (int64_t)at;
	}
	*ret = e;
	return ST_OK;
}

enum status session_next_expiry(const struct view *view, int64_t *ret_ns, struct err *err)
{
	struct view links;
	struct expiry e;
	enum status st;

	view_below(&links, view, span_str("expiry/"));
	st = first_expiry(&links, &e, err);
	if (st != ST_OK && st != ST_NOT_FOUND)
		return st;
	*ret_ns = st == ST_OK ? e.at_ns : INT64_MAX;
	return ST_OK;
}

enum status session_expire(const struct view *view, int64_t now_ns, size_t most, size_t *ret_n,
                           struct err *err)
{
	struct view links;
	struct login_path p;
	struct expiry e;
	size_t n;
	enum status st;

	view_below(&links, view, span_str("expiry/"));
	for (n = 0; n < most; n++) {
		st = first_expiry(&links, &e, err);
		if (st == ST_NOT_FOUND || (st == ST_OK && e.at_ns > now_ns))
			break;
		if (st == ST_OK && e.name[0] != 0)
			st = view_delete(view, session_path(&p, e.name), err);
		if (st == ST_OK)
			st = view_delete(&links, e.path, err);
		if (st != ST_OK)
			return st;
	}
	*ret_n = n;
	return ST_OK;
}
