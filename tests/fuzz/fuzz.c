#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "crypto/aead.h"
#include "crypto/secret.h"

void fuzz_process(void)
{
	struct err err = {0};

	MUST(secret_setup((size_t)1 << 20, &err) == ST_OK);
	MUST(aead_setup(NULL, &err) == ST_OK);
	MUST(log_setup(LOG_OFF, LOG_STANDARD, NULL, &err) == ST_OK);
}

uint8_t *fuzz_copy(struct span s)
{
	uint8_t *p = malloc(s.n > 0 ? s.n : 1);

	MUST(p != NULL);
	if (s.n > 0)
		memcpy(p, s.p, s.n);
	return p;
}

uint8_t fuzz_u8(struct cursor *c)
{
	uint8_t v = 0;

	return cursor_u8(c, &v) == ST_OK ? v : 0;
}

uint32_t fuzz_u32(struct cursor *c)
{
	uint32_t v = 0;

	for (int i = 0; i < 4; i++)
		v = v << 8 | fuzz_u8(c);
	return v;
}

struct span fuzz_span(struct cursor *c, size_t n)
{
	struct span s = {0};

	MUST(cursor_span(c, n < c->left ? n : c->left, &s) == ST_OK);
	return s;
}

struct span fuzz_lv(struct cursor *c)
{
	size_t n = fuzz_u8(c);

	return fuzz_span(c, n);
}

struct span fuzz_line(struct cursor *c)
{
	const uint8_t *end = c->left > 0 ? memchr(c->p, '\n', c->left) : NULL;
	struct span s = fuzz_span(c, end != NULL ? (size_t)(end - c->p) : c->left);

	(void)fuzz_u8(c);
	return s;
}

struct span fuzz_rest(struct cursor *c)
{
	return fuzz_span(c, c->left);
}

static size_t mutate_once(struct cursor *c, uint8_t *p, size_t cap, size_t n)
{
	uint8_t how = fuzz_u8(c);
	size_t at = n > 0 ? (fuzz_u8(c) | (size_t)fuzz_u8(c) << 8) % n : 0;
	struct span more;

	switch (how % 8) {
	case 0: /* one bit */
		if (n > 0)
			p[at] ^= (uint8_t)(1u << (how >> 5));
		return n;
	case 1:
		if (n > 0)
			p[at] = fuzz_u8(c);
		return n;
	case 2:
		return at;
	case 3: /* bytes put over it */
		more = fuzz_lv(c);
		more.n = more.n < n - at ? more.n : n - at;
		if (more.n > 0)
			memcpy(p + at, more.p, more.n);
		return n;
	case 4: /* appended */
		more = fuzz_lv(c);
		more.n = more.n < cap - n ? more.n : cap - n;
		if (more.n > 0)
			memcpy(p + n, more.p, more.n);
		return n + more.n;
	case 5: /* the front goes */
		memmove(p, p + at, n - at);
		return n - at;
	case 6: /* all of it is the input's */
		more = fuzz_lv(c);
		more.n = more.n < cap ? more.n : cap;
		if (more.n > 0)
			memcpy(p, more.p, more.n);
		return more.n;
	default:
		return n;
	}
}

size_t fuzz_mutate(struct cursor *c, uint8_t *p, size_t cap, size_t n)
{
	for (unsigned i = fuzz_u8(c) % 4; i > 0; i--)
		n = mutate_once(c, p, cap, n);
	return n;
}
