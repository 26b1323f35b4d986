#include "base/bytes.h"

#include <string.h>

struct span span_of(const void *p, size_t n)
{
	MUST(p != NULL || n == 0);
	return (struct span){.p = p, .n = n};
}

struct span span_str(const char *s)
{
	return span_of(s, strlen(s));
}

bool span_eq(struct span a, struct span b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

bool span_eq_str(struct span a, const char *s)
{
	return span_eq(a, span_str(s));
}

bool span_eq_word(struct span a, const char *word)
{
	if (a.n != strlen(word))
		return false;
	for (size_t i = 0; i < a.n; i++) {
		uint8_t c = a.p[i];

		if ((c >= 'A' && c <= 'Z' ? c + 'a' - 'A' : c) != (uint8_t)word[i])
			return false;
	}
	return true;
}

int span_cmp(struct span a, struct span b)
{
	size_t common = a.n < b.n ? a.n : b.n;
	int order = common > 0 ? memcmp(a.p, b.p, common) : 0;

	if (order != 0)
		return order;
	return (a.n > b.n) - (a.n < b.n);
}

bool span_starts(struct span s, struct span prefix)
{
	return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}

bool span_ends(struct span s, struct span suffix)
{
	return s.n >= suffix.n &&
	       (suffix.n == 0 || memcmp(s.p + (s.n - suffix.n), suffix.p, suffix.n) == 0);
}

struct span span_from(struct span s, size_t at)
{
	MUST(at <= s.n);
	return at == 0 ? s : span_of(s.p + at, s.n - at);
}

enum status span_cstr(struct span s, char *buf, size_t cap)
{
	if (s.n > 0 && memchr(s.p, '\0', s.n) != NULL)
		return ST_INVALID;
	if (s.n >= cap)
		return ST_LIMIT;
	if (s.n > 0)
		memcpy(buf, s.p, s.n);
	buf[s.n] = '\0';
	return ST_OK;
}

bool size_add(size_t a, size_t b, size_t *ret)
{
	size_t sum;

	if (__builtin_add_overflow(a, b, &sum))
		return false;
	*ret = sum;
	return true;
}

bool size_mul(size_t a, size_t b, size_t *ret)
{
	size_t product;

	if (__builtin_mul_overflow(a, b, &product))
		return false;
	*ret = product;
	return true;
}

void wipe(void *p, size_t n)
{
	if (n > 0)
		explicit_bzero(p, n);
}

struct cursor cursor_of(struct span s)
{
	return (struct cursor){.p = s.p, .left = s.n};
}

enum status cursor_span(struct cursor *c, size_t n, struct span *ret)
{
	MUST(c->p != NULL || c->left == 0);
	if (n > c->left)
		return ST_CORRUPT;
	*ret = span_of(c->p, n);
	if (n > 0)
		c->p += n;
	c->left -= n;
	return ST_OK;
}

/* The big-endian number of n <= 8 bytes. */
static enum status read_number(struct cursor *c, size_t n, uint64_t *ret)
{
	struct span s;
	enum status st = cursor_span(c, n, &s);

	if (st != ST_OK)
		return st;
	uint64_t v = 0;
	for (size_t i = 0; i < n; i++)
		v = v << 8 | s.p[i];
	*ret = v;
	return ST_OK;
}

enum status cursor_u8(struct cursor *c, uint8_t *ret)
{
	uint64_t v;
	enum status st = read_number(c, sizeof(*ret), &v);

	if (st == ST_OK)
		*ret = (uint8_t)v;
	return st;
}

enum status cursor_u16(struct cursor *c, uint16_t *ret)
{
	uint64_t v;
	enum status st = read_number(c, sizeof(*ret), &v);

	if (st == ST_OK)
		*ret = (uint16_t)v;
	return st;
}

enum status cursor_u32(struct cursor *c, uint32_t *ret)
{
	uint64_t v;
	enum status st = read_number(c, sizeof(*ret), &v);

	if (st == ST_OK)
		*ret = (uint32_t)v;
	return st;
}

enum status cursor_u64(struct cursor *c, uint64_t *ret)
{
	return read_number(c, sizeof(*ret), ret);
}

enum status cursor_copy(struct cursor *c, uint8_t *ret, size_t n)
{
	struct span s;
	enum status st = cursor_span(c, n, &s);

	if (st == ST_OK && n > 0)
		memcpy(ret, s.p, n);
	return st;
}

enum status cursor_lv(struct cursor *c, struct span *ret)
{
	struct cursor ahead = *c;
	uint32_t n;
	enum status st = cursor_u32(&ahead, &n);

	if (st == ST_OK)
		st = cursor_span(&ahead, n, ret);
	if (st == ST_OK)
		*c = ahead;
	return st;
}

enum status cursor_end(const struct cursor *c)
{
	return c->left == 0 ? ST_OK : ST_CORRUPT;
}
