/* Record "lock/user/XXXXXXXX" or "lock/name/XXXX": 1 version 1 | 4 failures in a row | 8 time of the last one | 8 until when it waits. */
#include "core/login_lock.h"

#include <inttypes.h>

#define RECORD_VERSION 1

struct lock {
	uint32_t failures;
	int64_t last_ns, until_ns;
};

static struct span path_of(struct login_path *p, const struct hmac_key *key,
                           const struct lock_who *who)
{
	uint8_t mac[SHA256_LEN];

	if (who->user != 0)
		return login_path(p, "lock/user/%08" PRIx32, who->user);
	login_mac(key, LOGIN_USERNAME, who->username, span_of(NULL, 0), mac);
	_Static_assert(LOCK_NAMES == 65536, "two bytes of the hash");
	return login_path(p, "lock/name/%02x%02x", mac[0], mac[1]);
}

/* Nothing stored, or nothing that still counts: no failures. */
static enum status load(const struct view *view, struct span path, int64_t now_ns, struct lock *ret,
                        struct err *err)
{
	struct lock l = {0};
	struct span record;
	struct cursor c;
	uint64_t last, until;
	uint8_t version;
	enum status st = view_get(view, path, &record, err);

	if (st == ST_NOT_FOUND) {
		*ret = l;
		return ST_OK;
	}
	if (st != ST_OK)
		return st;
	c = cursor_of(record);
	if (cursor_u8(&c, &version) != ST_OK || version != RECORD_VERSION ||
	    cursor_u32(&c, &l.failures) != ST_OK || cursor_u64(&c, &last) != ST_OK ||
	    cursor_u64(&c, &until) != ST_OK || cursor_end(&c) != ST_OK)
		return err_set(err, ST_CORRUPT, "the record of failed log-ins is damaged");
	l.last_ns = (int64_t)last;
	l.until_ns = (int64_t)until;
	/* A clock that was set back must not lock anybody out for longer than the longest wait. */
	if (l.last_ns > now_ns) {
		l.until_ns -= l.last_ns - now_ns;
		l.last_ns = now_ns;
	}
	if (now_ns - l.last_ns > LOCK_FORGET_S * NS_PER_S)
		l = (struct lock){0};
	*ret = l;
	return ST_OK;
}

enum status login_lock_check(const struct view *view, const struct hmac_key *key,
                             const struct lock_who *who, int64_t now_ns, int64_t *ret_wait_s,
                             struct err *err)
{
	struct login_path p;
	struct lock l;
	enum status st = load(view, path_of(&p, key, who), now_ns, &l, err);

	if (st != ST_OK)
		return st;
	*ret_wait_s = l.until_ns > now_ns ? (l.until_ns - now_ns - 1) / NS_PER_S + 1 : 0;
	return ST_OK;
}

static int64_t wait_s(uint32_t failures)
{
	uint32_t over;

	if (failures < LOCK_FREE)
		return 0;
	over = failures - LOCK_FREE;
	return over < 10 && (INT64_C(1) << over) < LOCK_MOST_S ? INT64_C(1) << over : LOCK_MOST_S;
}

enum status login_lock_failed(const struct view *view, const struct hmac_key *key,
                              const struct lock_who *who, int64_t now_ns, struct err *err)
{
	uint8_t record[1 + 4 + 8 + 8];
	struct login_path p;
	struct span path = path_of(&p, key, who);
	struct builder b;
	struct lock l;
	enum status st = load(view, path, now_ns, &l, err);

	if (st != ST_OK)
		return st;
	if (l.failures < UINT32_MAX)
		l.failures++;
	builder_init_fixed(&b, record, sizeof record);
	builder_u8(&b, RECORD_VERSION);
	builder_u32(&b, l.failures);
	builder_u64(&b, (uint64_t)now_ns);
	builder_u64(&b, (uint64_t)(now_ns + wait_s(l.failures) * NS_PER_S));
	return view_put(view, path, builder_span(&b), err);
}

enum status login_lock_passed(const struct view *view, const struct hmac_key *key,
                              const struct lock_who *who, struct err *err)
{
	struct login_path p;

	return view_delete(view, path_of(&p, key, who), err);
}
