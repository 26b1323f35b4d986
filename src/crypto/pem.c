#include "crypto/pem.h"

#include <stdio.h>
#include <string.h>

#include "crypto/ct.h"

#define LINE_BYTES 48 /* 64 characters */
#define LABEL_MAX  64

static const char begin[] = "-----BEGIN ", end[] = "-----END ", dashes[] = "-----";

/* ------------------------------------------------------------ writing */

size_t pem_len(const char *label, size_t n)
{
	const size_t lines = (n + LINE_BYTES - 1) / LINE_BYTES;

	return strlen(begin) + strlen(end) + 2 * (strlen(label) + strlen(dashes) + 1) +
	       BASE64_LEN(n) + lines;
}

static char *put(char *out, const char *text)
{
	const size_t n = strlen(text);

	memcpy(out, text, n);
	return out + n;
}

static char *put_edge(char *out, const char *edge, const char *label)
{
	return put(put(put(put(out, edge), label), dashes), "\n");
}

void pem_write(const char *label, struct span der, char *out)
{
	out = put_edge(out, begin, label);
	while (der.n > 0) {
		size_t n = der.n < LINE_BYTES ? der.n : LINE_BYTES;

		ct_base64(span_of(der.p, n), out);
		out = put(out + BASE64_LEN(n), "\n");
		der = span_from(der, n);
	}
	(void)put_edge(out, end, label);
}

/* ------------------------------------------------------------ reading */

/* The next line without its end, which may be CR LF; the last one may have none. */
static bool line_next(struct cursor *c, struct span *ret)
{
	const uint8_t *feed;
	struct span line;

	if (c->left == 0)
		return false;
	feed = memchr(c->p, '\n', c->left);
	MUST(cursor_span(c, feed == NULL ? c->left : (size_t)(feed - c->p) + 1, &line) == ST_OK);
	while (line.n > 0 && memchr("\r\n \t", line.p[line.n - 1], 4) != NULL)
		line.n--;
	*ret = line;
	return true;
}

/* The line is BEGIN, or END, of this label. */
static bool is_edge(struct span line, const char *edge, const char *label)
{
	char want[LABEL_MAX + 32];
	int n = snprintf(want, sizeof want, "%s%s%s", edge, label, dashes);

	MUST(n > 0 && (size_t)n < sizeof want);
	return span_eq_str(line, want);
}

static bool is_blank(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* The lines up to END, without white space, onto text. */
static enum status body_read(struct cursor *c, const char *label, struct builder *text)
{
	struct span line;

	while (line_next(c, &line)) {
		if (span_starts(line, span_str(dashes)))
			return is_edge(line, end, label) && text->n > 0 ? ST_OK : ST_INVALID;
		for (size_t i = 0; i < line.n; i++)
			if (!is_blank(line.p[i]))
				builder_u8(text, line.p[i]);
	}
	return ST_INVALID;
}

enum status pem_next(struct cursor *c, const char *label, struct builder *ret)
{
	struct builder text = {0};
	struct span line;
	enum status s = ST_NOT_FOUND;

	while (s == ST_NOT_FOUND && line_next(c, &line)) {
		if (!span_starts(line, span_str(begin)))
			continue;
		s = is_edge(line, begin, label) ? body_read(c, label, &text) : ST_INVALID;
	}
	if (builder_status(&text) != ST_OK)
		s = builder_status(&text);
	if (s == ST_OK)
		s = builder_unbase64(ret, builder_span(&text));
	builder_free(&text);
	return s;
}
