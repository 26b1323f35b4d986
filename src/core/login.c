/* Settings: 1 version 1 | 8 timeout | 8 rotation | 8 grace, nanoseconds. */
#include "core/login.h"

#include <stdarg.h>
#include <stdio.h>

#include "crypto/ct.h"

#define SETTINGS_VERSION 1
#define MINUTES(n)       ((n)*60 * NS_PER_S)
#define DAYS(n)          (MINUTES(24 * 60) * (n))

const struct login_settings login_settings_default = {MINUTES(60), MINUTES(15), MINUTES(5)};

enum status login_settings_check(const struct login_settings *s, struct err *err)
{
	if (s->timeout_ns < NS_PER_S || s->timeout_ns > DAYS(366))
		return err_set(err, ST_INVALID, "session_timeout must be between 1s and 366 days");
	if (s->rotation_ns < NS_PER_S || s->rotation_ns > DAYS(366))
		return err_set(err, ST_INVALID, "token_rotation must be between 1s and 366 days");
	if (s->grace_ns < 0 || s->grace_ns > s->rotation_ns)
		return err_set(err, ST_INVALID, "token_grace must be at most token_rotation");
	return ST_OK;
}

enum status login_settings_load(const struct view *view, struct login_settings *ret,
                                struct err *err)
{
	struct login_settings s;
	struct cursor c;
	struct span record;
	uint64_t timeout, rotation, grace;
	uint8_t version;
	enum status st = view_get(view, span_str("settings"), &record, err);

	if (st == ST_NOT_FOUND) {
		*ret = login_settings_default;
		return ST_OK;
	}
	if (st != ST_OK)
		return st;
	c = cursor_of(record);
	if (cursor_u8(&c, &version) != ST_OK || version != SETTINGS_VERSION ||
	    cursor_u64(&c, &timeout) != ST_OK || cursor_u64(&c, &rotation) != ST_OK ||
	    cursor_u64(&c, &grace) != ST_OK || cursor_end(&c) != ST_OK)
		return err_set(err, ST_CORRUPT, "the settings of log-ins are damaged");
	s = (struct login_settings){(int64_t)timeout, (int64_t)rotation, (int64_t)grace};
	if (login_settings_check(&s, err) != ST_OK)
		return err_wrap(err, ST_CORRUPT, "the settings of log-ins");
	*ret = s;
	return ST_OK;
}

enum status login_settings_put(const struct view *view, const struct login_settings *s,
                               struct err *err)
{
	uint8_t record[25];
	struct builder b;

	builder_init_fixed(&b, record, sizeof record);
	builder_u8(&b, SETTINGS_VERSION);
	builder_u64(&b, (uint64_t)s->timeout_ns);
	builder_u64(&b, (uint64_t)s->rotation_ns);
	builder_u64(&b, (uint64_t)s->grace_ns);
	return view_put(view, span_str("settings"), builder_span(&b), err);
}

void login_mac(const struct hmac_key *key, enum login_kind kind, struct span a, struct span b,
               uint8_t ret[static SHA256_LEN])
{
	/* The length of the first text keeps it apart from the second. */
	uint8_t head[5];
	struct builder h;
	struct span parts[3] = {{head, sizeof head}, a, b};

	builder_init_fixed(&h, head, sizeof head);
	builder_u8(&h, (uint8_t)kind);
	builder_u32(&h, (uint32_t)a.n);
	hmac_sha256(key, parts, 3, ret);
}

void login_hash(const struct hmac_key *key, enum login_kind kind, struct span text,
                char ret[static LOGIN_HASH_LEN + 1])
{
	uint8_t mac[SHA256_LEN];

	login_mac(key, kind, text, span_of(NULL, 0), mac);
	ct_hex(span_of(mac, sizeof mac), ret);
	ret[LOGIN_HASH_LEN] = 0;
}

struct span login_path(struct login_path *p, const char *fmt, ...)
{
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(p->text, sizeof p->text, fmt, args);
	va_end(args);
	MUST(n > 0 && (size_t)n < sizeof p->text);
	return span_of(p->text, (size_t)n);
}
