/* Members of a backup's JSON: their types, bounds and encodings. */
#include <string.h>

#include "base/clock.h"
#include "crypto/ct.h"
#include "crypto/decimal.h"
#include "engine/transit_backup_impl.h"

#define ZERO_TIME "0001-01-01T00:00:00Z"

bool member_given(const struct json_value *v)
{
	return v != NULL && v->type != JSON_NULL;
}

enum status member_wrong(struct reading *r, const char *name, const char *wanted)
{
	return r->number == 0
	           ? err_set(r->err, ST_INVALID, "\"%s\" of the backup must be %s", name, wanted)
	           : err_set(r->err, ST_INVALID, "\"%s\" of version %u of the backup must be %s",
	                     name, r->number, wanted);
}

/* Each leaves *ret as it is when the member is absent or null. */
enum status member_int(struct reading *r, const struct json_value *o, const char *name,
                       int64_t least, int64_t most, int64_t *ret)
{
	const struct json_value *v = json_member(o, name);
	int64_t n;

	if (!member_given(v))
		return ST_OK;
	if (v->type != JSON_NUMBER || json_i64(v, &n) != ST_OK || n < least || n > most)
		return member_wrong(r, name, "a whole number within its bounds");
	*ret = n;
	return ST_OK;
}

enum status member_u32(struct reading *r, const struct json_value *o, const char *name,
                       uint32_t most, uint32_t *ret)
{
	int64_t v = *ret;
	enum status st = member_int(r, o, name, 0, most, &v);

	if (st == ST_OK)
		*ret = (uint32_t)v;
	return st;
}

enum status member_u64(struct reading *r, const struct json_value *o, const char *name,
                       uint64_t most, uint64_t *ret)
{
	int64_t v = (int64_t)*ret;
	enum status st = member_int(r, o, name, 0, (int64_t)most, &v);

	if (st == ST_OK)
		*ret = (uint64_t)v;
	return st;
}

enum status member_bool(struct reading *r, const struct json_value *o, const char *name, bool *ret)
{
	const struct json_value *v = json_member(o, name);

	if (!member_given(v))
		return ST_OK;
	if (v->type != JSON_TRUE && v->type != JSON_FALSE)
		return member_wrong(r, name, "true or false");
	*ret = v->type == JSON_TRUE;
	return ST_OK;
}

enum status member_text(struct reading *r, const struct json_value *o, const char *name,
                        struct span *ret)
{
	const struct json_value *v = json_member(o, name);

	if (!member_given(v))
		return ST_OK;
	if (v->type != JSON_STRING)
		return member_wrong(r, name, "a string");
	*ret = v->text;
	return ST_OK;
}

/* An object; *ret is NULL when there is none. */
enum status member_object(struct reading *r, const struct json_value *o, const char *name,
                          const struct json_value **ret)
{
	const struct json_value *v = json_member(o, name);

	*ret = NULL;
	if (!member_given(v))
		return ST_OK;
	if (v->type != JSON_OBJECT)
		return member_wrong(r, name, "an object");
	*ret = v;
	return ST_OK;
}

enum status member_time(struct reading *r, const struct json_value *o, const char *name,
                        int64_t *ret)
{
	struct span text = {0};
	int64_t ns;
	enum status st = member_text(r, o, name, &text);

	if (st != ST_OK || text.n == 0 || span_eq_str(text, ZERO_TIME))
		return st;
	if (rfc3339_parse(text, &ns) != ST_OK || ns < 0)
		return member_wrong(r, name, "a time since 1970 (RFC 3339)");
	*ret = ns;
	return ST_OK;
}

enum status member_no_memory(struct reading *r)
{
	return err_set(r->err, ST_NOMEM, "no locked memory for a backup");
}

/* A copy in the backup's room. */
enum status member_keep(struct reading *r, struct span from, struct span *ret)
{
	uint8_t *p = arena_alloc(&r->b->room, from.n + 1);

	if (p == NULL)
		return member_no_memory(r);
	if (from.n > 0)
		memcpy(p, from.p, from.n);
	*ret = span_of(p, from.n);
	return ST_OK;
}

/* The bytes of a base64 text. */
enum status member_unbase64(struct reading *r, const char *name, struct span text, struct span *ret)
{
	size_t cap = text.n / 4 * 3, n;
	uint8_t *p = arena_alloc(&r->b->room, cap + 1);

	if (p == NULL)
		return member_no_memory(r);
	if (ct_unbase64(text, p, cap, &n) != ST_OK)
		return member_wrong(r, name, "base64");
	*ret = span_of(p, n);
	return ST_OK;
}

/* Empty when it is absent, null or "". */
enum status member_bytes(struct reading *r, const struct json_value *o, const char *name,
                         struct span *ret)
{
	struct span text = {0};
	enum status st = member_text(r, o, name, &text);

	*ret = span_of(NULL, 0);
	return st == ST_OK && text.n > 0 ? member_unbase64(r, name, text, ret) : st;
}

/* A big number as n bytes; empty when it is absent or null. */
enum status member_number_value(struct reading *r, const struct json_value *v, const char *name,
                                size_t n, struct span *ret)
{
	uint8_t *p;
	enum status st;

	*ret = span_of(NULL, 0);
	if (!member_given(v))
		return ST_OK;
	if (v->type != JSON_NUMBER)
		return member_wrong(r, name, "a number");
	p = arena_alloc(&r->b->room, n);
	if (p == NULL)
		return member_no_memory(r);
	st = decimal_parse(v->text, p, n);
	if (st == ST_NOMEM)
		return member_no_memory(r);
	if (st != ST_OK)
		return member_wrong(r, name, "a whole number that fits the type of the key");
	*ret = span_of(p, n);
	return ST_OK;
}

enum status member_number(struct reading *r, const struct json_value *o, const char *name, size_t n,
                          struct span *ret)
{
	return member_number_value(r, json_member(o, name), name, n, ret);
}
