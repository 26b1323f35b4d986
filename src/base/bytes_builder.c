#include "base/bytes.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_CAP 256

static size_t limit_of(const struct builder *b)
{
	return b->max != 0 ? b->max : BUILDER_MAX_DEFAULT;
}

static void check(const struct builder *b)
{
	MUST(b->n <= b->cap && (b->p != NULL || b->cap == 0));
	MUST(b->fixed || b->cap <= limit_of(b));
}

void builder_init(struct builder *b, size_t max)
{
	*b = (struct builder){.max = max};
}

void builder_init_fixed(struct builder *b, void *buf, size_t cap)
{
	MUST(buf != NULL);
	*b = (struct builder){.p = buf, .cap = cap, .max = cap, .fixed = true};
}

void builder_reset(struct builder *b)
{
	check(b);
	wipe(b->p, b->n);
	b->n = 0;
	b->failed = ST_OK;
}

void builder_free(struct builder *b)
{
	if (b == NULL)
		return;
	check(b);
	wipe(b->p, b->cap);
	if (!b->fixed)
		free(b->p);
	*b = (struct builder){0};
}

enum status builder_status(const struct builder *b)
{
	return b->failed;
}

struct span builder_span(const struct builder *b)
{
	return span_of(b->p, b->n);
}

static void fail(struct builder *b, enum status s)
{
	if (b->failed == ST_OK)
		b->failed = s;
}

/* Move to memory of at least `need` bytes.  Not by realloc, which would leave the old bytes on the heap. */
static void grow(struct builder *b, size_t need)
{
	size_t max = limit_of(b);

	if (b->fixed || need > max) {
		fail(b, ST_LIMIT);
		return;
	}
	size_t cap = b->cap > max / 2 ? max : b->cap * 2;
	if (cap < FIRST_CAP)
		cap = max < FIRST_CAP ? max : FIRST_CAP;
	if (cap < need)
		cap = need;
	uint8_t *p = malloc(cap);
	if (p == NULL) {
		fail(b, ST_NOMEM);
		return;
	}
	if (b->n > 0)
		memcpy(p, b->p, b->n);
	wipe(b->p, b->cap);
	free(b->p);
	b->p = p;
	b->cap = cap;
}

uint8_t *builder_room(struct builder *b, size_t n)
{
	size_t need;

	/* On every path of every answer: the room that is there comes first, the rest of the checks when it has to grow. */
	MUST(b->n <= b->cap);
	if (b->failed == ST_OK && b->p != NULL && n <= b->cap - b->n)
		return b->p + b->n;
	check(b);
	if (b->failed != ST_OK)
		return NULL;
	if (!size_add(b->n, n, &need))
		fail(b, ST_LIMIT);
	else
		grow(b, need);
	return b->failed == ST_OK ? b->p + b->n : NULL;
}

void builder_took(struct builder *b, size_t k)
{
	MUST(b->failed == ST_OK && b->n <= b->cap && k <= b->cap - b->n);
	b->n += k;
}

void builder_rewind(struct builder *b)
{
	MUST(b->n <= b->cap);
	b->n = 0;
	b->failed = ST_OK;
}

void builder_cut(struct builder *b, size_t n)
{
	check(b);
	MUST(n <= b->n);
	if (n == b->n)
		return;
	wipe(b->p + n, b->n - n);
	b->n = n;
}

void builder_add(struct builder *b, struct span s)
{
	uint8_t *p = builder_room(b, s.n);

	if (p == NULL || s.n == 0)
		return;
	memcpy(p, s.p, s.n);
	b->n += s.n;
}

/* The low n bytes of v, big-endian. */
static void add_number(struct builder *b, uint64_t v, size_t n)
{
	uint8_t *p = builder_room(b, n);

	if (p == NULL)
		return;
	for (size_t i = n; i > 0; i--) {
		p[i - 1] = (uint8_t)v;
		v >>= 8;
	}
	b->n += n;
}

void builder_u8(struct builder *b, uint8_t v)
{
	add_number(b, v, sizeof(v));
}

void builder_u16(struct builder *b, uint16_t v)
{
	add_number(b, v, sizeof(v));
}

void builder_u32(struct builder *b, uint32_t v)
{
	add_number(b, v, sizeof(v));
}

void builder_u64(struct builder *b, uint64_t v)
{
	add_number(b, v, sizeof(v));
}

void builder_lv(struct builder *b, struct span s)
{
	size_t need;

	if (s.n > UINT32_MAX || !size_add(s.n, sizeof(uint32_t), &need)) {
		fail(b, ST_LIMIT);
		return;
	}
	if (builder_room(b, need) == NULL)
		return; /* all or nothing: no length without its bytes */
	builder_u32(b, (uint32_t)s.n);
	builder_add(b, s);
}

void builder_str(struct builder *b, const char *s)
{
	builder_add(b, span_str(s));
}

void builder_dec(struct builder *b, uint64_t v)
{
	uint8_t digits[20]; /* 2^64 - 1 has 20 */
	size_t at = sizeof(digits);

	do {
		digits[--at] = (uint8_t)('0' + v % 10);
		v /= 10;
	} while (v > 0);
	builder_add(b, span_of(digits + at, sizeof(digits) - at));
}

/* A text too long for the stack; n is its length. */
static void add_long_text(struct builder *b, size_t n, const char *fmt, va_list ap)
    __attribute__((format(printf, 3, 0)));

static void add_long_text(struct builder *b, size_t n, const char *fmt, va_list ap)
{
	if (builder_room(b, n) == NULL)
		return;
	char *text =
	    malloc(n + 1); /* vsnprintf needs a place for its NUL, the builder may have none */
	if (text == NULL) {
		fail(b, ST_NOMEM);
		return;
	}
	int again = vsnprintf(text, n + 1, fmt, ap);
	MUST(again >= 0 && (size_t)again == n);
	builder_add(b, span_of(text, n));
	wipe(text, n + 1);
	free(text);
}

void builder_fmt(struct builder *b, const char *fmt, ...)
{
	char text[512];
	va_list ap, again;

	if (b->failed != ST_OK)
		return;
	va_start(ap, fmt);
	va_copy(again, ap);
	int n = vsnprintf(text, sizeof(text), fmt, ap);
	MUST(n >= 0);
	if ((size_t)n < sizeof(text))
		builder_add(b, span_of(text, (size_t)n));
	else
		add_long_text(b, (size_t)n, fmt, again);
	wipe(text, sizeof(text));
	va_end(again);
	va_end(ap);
}
