/*
 * The happy path:
 *
 *   --BOUNDARY CRLF
 *   Content-Disposition: form-data; name="user_cert"; filename="eva.pem" CRLF
 *   Content-Type: application/x-pem-file CRLF
 *   CRLF
 *   content CRLF
 *   --BOUNDARY-- [CRLF]
 *
 * What can go wrong: another beginning; a delimiter that goes on; an end that does not come; headers without a disposition, with two, with one that is not form-data or has no name; a
 * name twice; a transfer encoding.
 */
#include "api/multipart.h"

#include <string.h>

#include "base/utf8.h"

#define PART_HEADERS_MAX 16
#define CRLF             "\r\n"

/* ---- words ---- */

static uint8_t lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 'a' - 'A') : c;
}

/* RFC 9110 section 5.6.2. */
static bool is_token(uint8_t c)
{
	return (c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'z') ||
	       (c != 0 && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static struct span take(struct cursor *c, size_t n)
{
	struct span s;

	MUST(cursor_span(c, n, &s) == ST_OK);
	return s;
}

static bool next_is(const struct cursor *c, uint8_t byte)
{
	return c->left > 0 && *c->p == byte;
}

static void skip_blanks(struct cursor *c)
{
	while (next_is(c, ' ') || next_is(c, '\t'))
		(void)take(c, 1);
}

static struct span take_token(struct cursor *c)
{
	size_t n = 0;

	while (n < c->left && is_token(c->p[n]))
		n++;
	return take(c, n);
}

/* What stands between quotes, as it stands there; a backslash keeps a quote from ending it. */
static enum status take_quoted(struct cursor *c, struct span *ret)
{
	size_t n = 0;

	(void)take(c, 1);
	while (n < c->left && c->p[n] != '"')
		n += c->p[n] == '\\' && n + 1 < c->left ? 2 : 1;
	if (n >= c->left)
		return ST_INVALID;
	*ret = take(c, n);
	(void)take(c, 1);
	return ST_OK;
}

/* "; name=value" of a header; ST_NOT_FOUND at its end. */
static enum status next_parameter(struct cursor *c, struct span *ret_name, struct span *ret_value)
{
	struct span name, value;

	skip_blanks(c);
	if (c->left == 0)
		return ST_NOT_FOUND;
	if (!next_is(c, ';'))
		return ST_INVALID;
	(void)take(c, 1);
	skip_blanks(c);
	if (c->left == 0)
		return ST_NOT_FOUND;
	name = take_token(c);
	if (name.n == 0 || !next_is(c, '='))
		return ST_INVALID;
	(void)take(c, 1);
	if (next_is(c, '"')) {
		if (take_quoted(c, &value) != ST_OK)
			return ST_INVALID;
	} else {
		value = take_token(c);
		if (value.n == 0)
			return ST_INVALID;
	}
	*ret_name = name;
	*ret_value = value;
	return ST_OK;
}

/* ---- the boundary ---- */

static bool boundary_valid(struct span s)
{
	if (s.n == 0 || s.n > MULTIPART_BOUNDARY_MAX || s.p[s.n - 1] == ' ')
		return false;
	for (size_t i = 0; i < s.n; i++) {
		uint8_t c = s.p[i];

		if (!(c >= '0' && c <= '9') && !(lower(c) >= 'a' && lower(c) <= 'z') &&
		    (c == 0 || strchr("'()+_,-./:=? ", c) == NULL))
			return false;
	}
	return true;
}

enum status multipart_boundary(struct span content_type, struct span *ret, struct err *err)
{
	static const char type[] = "multipart/form-data";
	struct cursor c = cursor_of(content_type);
	struct span boundary = {0}, name, value;
	enum status st;

	skip_blanks(&c);
	if (c.left < sizeof type - 1 || !span_eq_word(span_of(c.p, sizeof type - 1), type))
		return ST_NOT_FOUND;
	(void)take(&c, sizeof type - 1);
	if (c.left > 0 && !next_is(&c, ';') && !next_is(&c, ' ') && !next_is(&c, '\t'))
		return ST_NOT_FOUND;
	while ((st = next_parameter(&c, &name, &value)) == ST_OK) {
		if (!span_eq_word(name, "boundary"))
			continue;
		if (boundary.n > 0 || !boundary_valid(value))
			return err_set(err, ST_INVALID, "the boundary of the form is malformed");
		boundary = value;
	}
	if (st == ST_INVALID || boundary.n == 0)
		return err_set(err, ST_INVALID, "a form needs a boundary in Content-Type");
	*ret = boundary;
	return ST_OK;
}

/* ---- headers of a part ---- */

struct part_head {
	struct multipart_part part;
	enum { NO_DISPOSITION, DISPOSITION } seen;
};

static bool name_valid(struct span name)
{
	if (name.n == 0)
		return false;
	while (name.n > 0) {
		size_t n = utf8_length(name);

		if (n == 0 || name.p[0] < 0x20 || name.p[0] == 0x7f || name.p[0] == '"' ||
		    name.p[0] == '\\')
			return false;
		name = span_from(name, n);
	}
	return true;
}

static enum status read_disposition(struct cursor c, struct part_head *h, struct err *err)
{
	struct span name, value;
	enum status st;

	if (h->seen == DISPOSITION)
		return err_set(err, ST_INVALID, "a part of the form has two dispositions");
	h->seen = DISPOSITION;
	if (!span_eq_word(take_token(&c), "form-data"))
		return err_set(err, ST_INVALID, "a part of the form is no form-data");
	while ((st = next_parameter(&c, &name, &value)) == ST_OK) {
		if (span_eq_word(name, "filename") || span_eq_word(name, "filename*"))
			h->part.kind = MULTIPART_FILE;
		if (!span_eq_word(name, "name"))
			continue;
		if (h->part.name.n > 0 || !name_valid(value))
			return err_set(err, ST_INVALID,
			               "the name of a part of the form is malformed");
		h->part.name = value;
	}
	if (st == ST_INVALID || h->part.name.n == 0)
		return err_set(err, ST_INVALID, "a part of the form has no name");
	return ST_OK;
}

/* What a transfer may be encoded as when it is not. */
static bool is_plain(struct cursor c)
{
	struct span word = take_token(&c);

	return span_eq_word(word, "binary") || span_eq_word(word, "8bit") ||
	       span_eq_word(word, "7bit");
}

static enum status read_header(struct span line, struct part_head *h, struct err *err)
{
	struct cursor c = cursor_of(line);
	struct span name = take_token(&c);

	if (name.n == 0 || !next_is(&c, ':'))
		return err_set(err, ST_INVALID, "a header of a part of the form is malformed");
	(void)take(&c, 1);
	skip_blanks(&c);
	if (span_eq_word(name, "content-disposition"))
		return read_disposition(c, h, err);
	if (span_eq_word(name, "content-transfer-encoding") && !is_plain(c))
		return err_set(err, ST_INVALID, "a part of the form is encoded for its transfer");
	return ST_OK;
}

/* The next line, its CR LF taken too; none: ST_INVALID. */
static enum status take_line(struct cursor *c, struct span *ret)
{
	const uint8_t *end = c->left > 0 ? memmem(c->p, c->left, CRLF, 2) : NULL;

	if (end == NULL)
		return ST_INVALID;
	*ret = take(c, (size_t)(end - c->p));
	(void)take(c, 2);
	return ST_OK;
}

static enum status read_headers(struct cursor *c, struct part_head *h, struct err *err)
{
	struct span line;
	enum status st;

	for (unsigned i = 0; i <= PART_HEADERS_MAX; i++) {
		if (take_line(c, &line) != ST_OK)
			return err_set(err, ST_INVALID,
			               "the form ends within the headers of a part");
		if (line.n == 0)
			return h->seen == DISPOSITION
			           ? ST_OK
			           : err_set(err, ST_INVALID, "a part of the form has no name");
		st = read_header(line, h, err);
		if (st != ST_OK)
			return st;
	}
	return err_set(err, ST_INVALID, "a part of the form has too many headers");
}

/* ---- parts ---- */

/* A delimiter as it stands behind a content: CR LF, two hyphens, the boundary. */
struct delimiter {
	uint8_t text[4 + MULTIPART_BOUNDARY_MAX];
	size_t n;
};

static struct delimiter delimiter_of(struct span boundary)
{
	struct delimiter d;
	struct builder b;

	builder_init_fixed(&b, d.text, sizeof d.text);
	builder_str(&b, CRLF "--");
	builder_add(&b, boundary);
	MUST(builder_status(&b) == ST_OK);
	d.n = b.n;
	return d;
}

static bool take_if(struct cursor *c, struct span want)
{
	if (c->left < want.n || memcmp(c->p, want.p, want.n) != 0)
		return false;
	(void)take(c, want.n);
	return true;
}

enum after { A_PART, THE_END };

/* What stands behind a delimiter. */
static enum status take_after(struct cursor *c, enum after *ret, struct err *err)
{
	if (take_if(c, span_str(CRLF))) {
		*ret = A_PART;
		return ST_OK;
	}
	if (take_if(c, span_str("--")) && (c->left == 0 || take_if(c, span_str(CRLF))) &&
	    c->left == 0) {
		*ret = THE_END;
		return ST_OK;
	}
	return err_set(err, ST_INVALID, "a boundary of the form does not end as it should");
}

static enum status take_content(struct cursor *c, const struct delimiter *d, struct span *ret,
                                struct err *err)
{
	const uint8_t *end = c->left > 0 ? memmem(c->p, c->left, d->text, d->n) : NULL;

	if (end == NULL)
		return err_set(err, ST_INVALID, "the form has no last boundary");
	*ret = take(c, (size_t)(end - c->p));
	(void)take(c, d->n);
	return ST_OK;
}

static bool is_taken(struct span name, const struct multipart_part *parts, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (span_eq(parts[i].name, name))
			return true;
	return false;
}

static enum status take_part(struct cursor *c, const struct delimiter *d,
                             struct multipart_part *ret, struct err *err)
{
	struct part_head h = {.part = {.kind = MULTIPART_FIELD}};
	enum status st = read_headers(c, &h, err);

	if (st == ST_OK)
		st = take_content(c, d, &h.part.content, err);
	if (st == ST_OK)
		*ret = h.part;
	return st;
}

enum status multipart_parse(struct span body, struct span boundary, struct multipart_part *parts,
                            size_t cap, size_t *ret_n, struct err *err)
{
	struct delimiter d = delimiter_of(boundary);
	struct cursor c = cursor_of(body);
	enum after after = A_PART;
	size_t n = 0;
	enum status st;

	if (!take_if(&c, span_of(d.text + 2, d.n - 2)))
		return err_set(err, ST_INVALID, "the form does not begin with its boundary");
	st = take_after(&c, &after, err);
	while (st == ST_OK && after == A_PART) {
		if (n == cap)
			return err_set(err, ST_LIMIT, "the form has more than %zu parts", cap);
		st = take_part(&c, &d, &parts[n], err);
		if (st == ST_OK && is_taken(parts[n].name, parts, n))
			st = err_set(err, ST_INVALID, "two parts of the form have the same name");
		if (st == ST_OK)
			st = take_after(&c, &after, err);
		n++;
	}
	if (st == ST_OK && n == 0)
		st = err_set(err, ST_INVALID, "the form is empty");
	if (st == ST_OK)
		*ret_n = n;
	return st;
}
