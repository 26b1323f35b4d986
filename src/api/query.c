#include "api/query.h"

#include <string.h>

#include "base/utf8.h"

static int hex_value(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* application/x-www-form-urlencoded text, decoded behind what `to` holds. */
static enum status decode_query(struct span raw, struct builder *to, struct span *ret)
{
	size_t at = to->n;

	for (size_t i = 0; i < raw.n; i++) {
		uint8_t c = raw.p[i];

		if (c == '+') {
			c = ' ';
		} else if (c == '%') {
			int high = i + 2 < raw.n ? hex_value(raw.p[i + 1]) : -1;
			int low = i + 2 < raw.n ? hex_value(raw.p[i + 2]) : -1;

			if (high < 0 || low < 0)
				return ST_INVALID;
			c = (uint8_t)(high * 16 + low);
			i += 2;
		}
		if (c == 0)
			return ST_INVALID;
		builder_u8(to, c);
	}
	if (builder_status(to) != ST_OK)
		return ST_LIMIT;
	*ret = span_of(to->p + at, to->n - at);
	return utf8_valid(*ret) ? ST_OK : ST_INVALID;
}

enum status query_parse(struct span raw, struct builder *room, struct request *req)
{
	enum status st;

	req->n_query = 0;
	builder_reset(room);
	if (raw.n > 0 && builder_room(room, raw.n) == NULL)
		return builder_status(room);
	while (raw.n > 0) {
		const uint8_t *amp = memchr(raw.p, '&', raw.n);
		struct span pair = span_of(raw.p, amp != NULL ? (size_t)(amp - raw.p) : raw.n);
		const uint8_t *eq = pair.n > 0 ? memchr(pair.p, '=', pair.n) : NULL;
		struct span name = span_of(pair.p, eq != NULL ? (size_t)(eq - pair.p) : pair.n);

		raw = span_from(raw, pair.n + (amp != NULL ? 1u : 0u));
		if (pair.n == 0)
			continue;
		if (req->n_query == QUERY_MAX)
			return ST_LIMIT;
		st = decode_query(name, room, &req->query[req->n_query].name);
		if (st == ST_OK)
			st = decode_query(eq != NULL ? span_from(pair, name.n + 1)
			                             : span_of(NULL, 0),
			                  room, &req->query[req->n_query].value);
		if (st != ST_OK)
			return st;
		req->n_query++;
	}
	return ST_OK;
}
