#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[ST_COUNT] = {
#define STATUS_NAME(name, text) [ST_##name] = #name,
    STATUS_LIST(STATUS_NAME)
#undef STATUS_NAME
};

static const char *const texts[ST_COUNT] = {
#define STATUS_TEXT(name, text) [ST_##name] = text,
    STATUS_LIST(STATUS_TEXT)
#undef STATUS_TEXT
};

const char *status_name(enum status s)
{
	MUST((size_t)s < ST_COUNT);
	return names[s];
}

const char *status_text(enum status s)
{
	MUST((size_t)s < ST_COUNT);
	return texts[s];
}

/* Texts end up in JSON answers, so a cut must not leave half a UTF-8 character: drop it. */
static void trim_half_character(char *text, size_t n)
{
	size_t tail = 0;

	while (tail < 3 && tail < n && ((unsigned char)text[n - 1 - tail] & 0xc0) == 0x80)
		tail++;
	if (tail == n)
		return;
	unsigned char lead = (unsigned char)text[n - 1 - tail];
	size_t want = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : lead >= 0xc0 ? 1 : 0;
	if (tail < want)
		text[n - 1 - tail] = '\0';
}

/* format(out, fmt, ap): returns the length of what stands in out. */
static size_t format(char out[static ERR_TEXT_MAX], const char *fmt, va_list ap)
    __attribute__((format(printf, 2, 0)));

static size_t format(char out[static ERR_TEXT_MAX], const char *fmt, va_list ap)
{
	int n = vsnprintf(out, ERR_TEXT_MAX, fmt, ap);

	MUST(n >= 0);
	if ((size_t)n < ERR_TEXT_MAX)
		return (size_t)n;
	trim_half_character(out, ERR_TEXT_MAX - 1);
	return strlen(out);
}

enum status err_set(struct err *e, enum status s, const char *fmt, ...)
{
	char text[ERR_TEXT_MAX]; /* the arguments may point into e */
	va_list ap;

	MUST(s != ST_OK && (size_t)s < ST_COUNT);
	if (e == NULL)
		return s;
	va_start(ap, fmt);
	size_t n = format(text, fmt, ap);
	va_end(ap);
	memcpy(e->text, text, n + 1);
	e->status = s;
	return s;
}

enum status err_wrap(struct err *e, enum status s, const char *fmt, ...)
{
	char text[ERR_TEXT_MAX];
	va_list ap;

	MUST(s != ST_OK && (size_t)s < ST_COUNT);
	if (e == NULL)
		return s;
	va_start(ap, fmt);
	size_t n = format(text, fmt, ap);
	va_end(ap);
	const char *inner = e->text[0] != '\0' ? e->text : texts[s];
	int more = snprintf(text + n, sizeof(text) - n, ": %s", inner);
	MUST(more >= 0);
	if ((size_t)more >= sizeof(text) - n)
		trim_half_character(text, sizeof(text) - 1);
	memcpy(e->text, text, strlen(text) + 1);
	e->status = s;
	return s;
}

const char *err_text(const struct err *e, enum status s)
{
	return e != NULL && e->text[0] != '\0' ? e->text : status_text(s);
}

void must_fail(const char *file, int line, const char *cond)
{
	(void)fprintf(stderr, "%s:%d: broken precondition: %s\n", file, line, cond);
	abort();
}
