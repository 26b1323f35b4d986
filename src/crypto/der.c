#include "crypto/der.h"

#include <string.h>

#define LENGTH_MAX ((size_t)0xffff)

/* ------------------------------------------------------------ reading */

bool der_next_is(const struct cursor *c, uint8_t tag)
{
	return c->left > 0 && c->p[0] == tag;
}

/* X.690, 10.1: the shortest form. */
static enum status read_length(struct cursor *c, size_t *ret)
{
	uint8_t first, b;
	uint16_t w;

	if (cursor_u8(c, &first) != ST_OK)
		return ST_INVALID;
	if (first < 0x80) {
		*ret = first;
		return ST_OK;
	}
	if (first == 0x81) {
		if (cursor_u8(c, &b) != ST_OK || b < 0x80)
			return ST_INVALID;
		*ret = b;
		return ST_OK;
	}
	if (first != 0x82 || cursor_u16(c, &w) != ST_OK || w < 0x100)
		return ST_INVALID;
	*ret = w;
	return ST_OK;
}

enum status der_read(struct cursor *c, uint8_t tag, struct span *ret)
{
	struct cursor try = *c;
	struct span body;
	uint8_t found;
	size_t n;

	if (cursor_u8(&try, &found) != ST_OK || found != tag)
		return ST_INVALID;
	if (read_length(&try, &n) != ST_OK || cursor_span(&try, n, &body) != ST_OK)
		return ST_INVALID;
	*c = try;
	*ret = body;
	return ST_OK;
}

enum status der_enter(struct cursor *c, uint8_t tag, struct cursor *ret)
{
	struct span body;

	if (der_read(c, tag, &body) != ST_OK)
		return ST_INVALID;
	*ret = cursor_of(body);
	return ST_OK;
}

enum status der_uint(struct cursor *c, struct span *ret)
{
	struct cursor try = *c;
	struct span body;

	/* X.690, 8.3.2: the first nine bits are not all equal. */
	if (der_read(&try, DER_INTEGER, &body) != ST_OK || body.n == 0 || body.p[0] >= 0x80)
		return ST_INVALID;
	if (body.p[0] == 0) {
		if (body.n > 1 && body.p[1] < 0x80)
			return ST_INVALID;
		body = span_from(body, 1);
	}
	*c = try;
	*ret = body;
	return ST_OK;
}

enum status der_version(struct cursor *c, uint8_t max, uint8_t *ret)
{
	struct cursor try = *c;
	struct span v;

	if (der_uint(&try, &v) != ST_OK || v.n > 1 || (v.n == 1 && v.p[0] > max))
		return ST_INVALID;
	*c = try;
	*ret = v.n == 0 ? 0 : v.p[0];
	return ST_OK;
}

enum status der_bits(struct cursor *c, struct span *ret)
{
	struct cursor try = *c;
	struct span body;

	if (der_read(&try, DER_BITS, &body) != ST_OK || body.n == 0 || body.p[0] != 0)
		return ST_INVALID;
	*c = try;
	*ret = span_from(body, 1);
	return ST_OK;
}

enum status der_end(const struct cursor *c)
{
	return c->left == 0 ? ST_OK : ST_INVALID;
}

/* ------------------------------------------------------------ writing */

void der_writer_init(struct der_writer *w, uint8_t *buf, size_t cap)
{
	*w = (struct der_writer){.buf = buf, .at = cap, .cap = cap};
}

void der_raw(struct der_writer *w, struct span s)
{
	if (w->failed || s.n > w->at) {
		w->failed = true;
		return;
	}
	w->at -= s.n;
	if (s.n > 0)
		memcpy(w->buf + w->at, s.p, s.n);
}

static void put_byte(struct der_writer *w, size_t v)
{
	const uint8_t b = (uint8_t)v;

	der_raw(w, span_of(&b, 1));
}

size_t der_mark(const struct der_writer *w)
{
	return w->at;
}

void der_close(struct der_writer *w, size_t mark, uint8_t tag)
{
	const size_t n = mark - w->at;

	if (w->failed || n > LENGTH_MAX) {
		w->failed = true;
		return;
	}
	if (n < 0x80) {
		put_byte(w, n);
	} else if (n < 0x100) {
		put_byte(w, n);
		put_byte(w, 0x81);
	} else {
		put_byte(w, n & 0xff);
		put_byte(w, n >> 8);
		put_byte(w, 0x82);
	}
	put_byte(w, tag);
}

void der_put(struct der_writer *w, uint8_t tag, struct span s)
{
	size_t mark = der_mark(w);

	der_raw(w, s);
	der_close(w, mark, tag);
}

void der_put_uint(struct der_writer *w, struct span s)
{
	size_t mark = der_mark(w);

	while (s.n > 0 && s.p[0] == 0)
		s = span_from(s, 1);
	der_raw(w, s);
	if (s.n == 0 || s.p[0] >= 0x80)
		put_byte(w, 0);
	der_close(w, mark, DER_INTEGER);
}

void der_close_bits(struct der_writer *w, size_t mark)
{
	put_byte(w, 0);
	der_close(w, mark, DER_BITS);
}

struct span der_written(const struct der_writer *w)
{
	MUST(!w->failed);
	return span_of(w->buf + w->at, w->cap - w->at);
}
