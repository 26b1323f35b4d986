/*
 * The reader.  One pass over the text without recursion: begin_value reads a scalar or opens a container, step goes one
 * token on in the innermost open container.  While a container is open its `skip` holds the index of the
 * container around it, so the values themselves are the stack.
 */
#include "base/json.h"
#include "base/utf8.h"

#include <stdlib.h>
#include <string.h>

#include "base/json_names.h"
#include "base/json_scan.h"

/* Index of no container. */
#define NONE UINT32_MAX

const struct json_limits json_limits_default = {
    .depth = 64, .values = 1000000, .string = UINT32_C(32) << 20};

struct reader {
	uint8_t *p; /* next byte; start <= p <= end */
	uint8_t *start;
	uint8_t *end;
	struct json *doc;
	const struct json_limits *limits;
	uint32_t open; /* innermost open container, or NONE */
	uint32_t depth;
	struct err *err;
};

/* The reason never quotes the text: it may be a secret's. */
static enum status refuse(const struct reader *r, const uint8_t *at, const char *reason)
{
	return err_set(r->err, ST_INVALID, "%s at byte %zu", reason, (size_t)(at - r->start));
}

static enum status refuse_end(const struct reader *r)
{
	return refuse(r, r->end, "unexpected end");
}

static enum status over_limit(const struct reader *r, const uint8_t *at, const char *what)
{
	return err_set(r->err, ST_LIMIT, "%s at byte %zu", what, (size_t)(at - r->start));
}

static void skip_space(struct reader *r)
{
	uint8_t *p = r->p;

	while (p < r->end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
		p++;
	r->p = p;
}

/* hex4(r, p, ret): the four hex digits at p. */
static enum status hex4(const struct reader *r, const uint8_t *p, uint32_t *ret)
{
	uint32_t v = 0;

	for (size_t i = 0; i < 4; i++, p++) {
		if (p == r->end)
			return refuse_end(r);
		uint32_t letter = *p | 0x20u;
		if (*p >= '0' && *p <= '9')
			v = v << 4 | (*p - (uint32_t)'0');
		else if (letter >= 'a' && letter <= 'f')
			v = v << 4 | (letter - 'a' + 10);
		else
			return refuse(r, p, "expected a hex digit");
	}
	*ret = v;
	return ST_OK;
}

/* low_surrogate(r, p, ret): the escape of a low surrogate at p, which must follow the high one at `high`. */
static enum status low_surrogate(const struct reader *r, const uint8_t *high, const uint8_t *p,
                                 uint32_t *ret)
{
	uint32_t low;

	if (p == r->end || (p[0] == '\\' && p + 1 == r->end))
		return refuse_end(r);
	if (p[0] != '\\' || p[1] != 'u')
		return refuse(r, high, "lone surrogate");
	enum status st = hex4(r, p + 2, &low);
	if (st != ST_OK)
		return st;
	if (low < 0xdc00 || low > 0xdfff)
		return refuse(r, high, "lone surrogate");
	*ret = low;
	return ST_OK;
}

/* \uXXXX or a pair of them at *src; leaves *src behind it and *dst behind its UTF-8, which is never longer. */
static enum status unescape_unicode(const struct reader *r, uint8_t **src, uint8_t **dst)
{
	uint8_t *p = *src;
	uint32_t code, low = 0;
	enum status st = hex4(r, p + 2, &code);

	if (st != ST_OK)
		return st;
	p += 6;
	if (code >= 0xdc00 && code <= 0xdfff)
		return refuse(r, *src, "lone surrogate");
	if (code >= 0xd800 && code <= 0xdbff) {
		st = low_surrogate(r, *src, p, &low);
		if (st != ST_OK)
			return st;
		code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
		p += 6;
	}
	*src = p;
	*dst += utf8_encode(code, *dst);
	return ST_OK;
}

static enum status unescape(const struct reader *r, uint8_t **src, uint8_t **dst)
{
	static const char names[] = "\"\\/bfnrt", bytes[] = "\"\\/\b\f\n\r\t";

	if (r->end - *src < 2)
		return refuse_end(r);
	uint8_t c = (*src)[1];
	if (c == 'u')
		return unescape_unicode(r, src, dst);
	const char *found = c != '\0' ? strchr(names, c) : NULL;
	if (found == NULL)
		return refuse(r, *src, "unknown escape");
	*(*dst)++ = (uint8_t)bytes[found - names];
	*src += 2;
	return ST_OK;
}

/* What is wrong with the bytes at p, which begin no UTF-8 character. */
static enum status refuse_utf8(const struct reader *r, const uint8_t *p)
{
	size_t want = *p >= 0xf0 ? 4 : *p >= 0xe0 ? 3 : 2;
	size_t left = (size_t)(r->end - p);

	for (size_t i = 1; i < left && i < want; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return refuse(r, p, "invalid UTF-8");
	}
	if (*p < 0xc2 || *p > 0xf4 || left >= want)
		return refuse(r, p, "invalid UTF-8");
	return refuse_end(r);
}

/* Move a run of bytes that stand for themselves, or one character of several bytes. */
static enum status move_run(const struct reader *r, uint8_t **src, uint8_t **dst)
{
	struct span rest = span_of(*src, (size_t)(r->end - *src));
	size_t n = **src < 0x80 ? json_plain(rest) : utf8_length(rest);

	if (n == 0)
		return **src < 0x80 ? refuse(r, *src, "control character in a string")
		                    : refuse_utf8(r, *src);
	if (*dst != *src)
		memmove(*dst, *src, n);
	*src += n;
	*dst += n;
	return ST_OK;
}

/* A string from `first` whose first byte that is not plain stands at p; leaves *ret_end behind the closing quote. */
static enum status read_careful(const struct reader *r, const uint8_t *first, uint8_t *p,
                                struct span *ret, uint8_t **ret_end)
{
	uint8_t *dst = p;

	while (p < r->end && *p != '"') {
		enum status st = *p == '\\' ? unescape(r, &p, &dst) : move_run(r, &p, &dst);
		if (st != ST_OK)
			return st;
	}
	if (p == r->end)
		return refuse_end(r);
	*ret = span_of(first, (size_t)(dst - first));
	*ret_end = p + 1;
	return ST_OK;
}

/* The string whose quote is the next byte. */
static enum status read_string(struct reader *r, struct span *ret)
{
	uint8_t *first = r->p + 1, *after = first;
	uint8_t *p = first + json_plain(span_of(first, (size_t)(r->end - first)));
	struct span s = span_of(first, (size_t)(p - first));

	if (p < r->end && *p == '"') {
		after = p + 1;
	} else {
		enum status st = read_careful(r, first, p, &s, &after);
		if (st != ST_OK)
			return st;
	}
	if (s.n > r->limits->string)
		return over_limit(r, r->p, "string too long");
	*ret = s;
	r->p = after;
	return ST_OK;
}

/* digits(r, p, ret): one digit or more at p; *ret is behind them. */
static enum status digits(const struct reader *r, const uint8_t *p, const uint8_t **ret)
{
	if (p == r->end)
		return refuse_end(r);
	if (*p < '0' || *p > '9')
		return refuse(r, p, "expected a digit");
	while (p < r->end && *p >= '0' && *p <= '9')
		p++;
	*ret = p;
	return ST_OK;
}

/* The number (RFC 8259 section 6) whose first byte is the next one. */
static enum status read_number(struct reader *r, struct span *ret)
{
	const uint8_t *p = r->p;
	enum status st = ST_OK;

	if (*p == '-')
		p++;
	if (p < r->end && *p == '0')
		p++; /* nothing but a fraction or an exponent may follow */
	else
		st = digits(r, p, &p);
	if (st == ST_OK && p < r->end && *p == '.')
		st = digits(r, p + 1, &p);
	if (st == ST_OK && p < r->end && (*p == 'e' || *p == 'E')) {
		p++;
		if (p < r->end && (*p == '+' || *p == '-'))
			p++;
		st = digits(r, p, &p);
	}
	if (st != ST_OK)
		return st;
	struct span text = span_of(r->p, (size_t)(p - r->p));
	if (text.n > r->limits->string)
		return over_limit(r, r->p, "number too long");
	*ret = text;
	r->p += text.n;
	return ST_OK;
}

static enum status read_word(struct reader *r, const char *word)
{
	struct span want = span_str(word), rest = span_of(r->p, (size_t)(r->end - r->p));

	if (!span_starts(rest, want))
		return span_starts(want, rest) ? refuse_end(r)
		                               : refuse(r, r->p, "expected a value");
	r->p += want.n;
	return ST_OK;
}

static enum status grow(struct reader *r)
{
	struct json *doc = r->doc;
	struct json_value *old = doc->values != doc->small ? doc->values : NULL;
	size_t cap = (size_t)doc->cap * 4, bytes;

	if (cap > r->limits->values)
		cap = r->limits->values;
	if (!size_mul(cap, sizeof(*old), &bytes))
		return err_set(r->err, ST_NOMEM, "out of memory");
	struct json_value *values = realloc(old, bytes);
	if (values == NULL)
		return err_set(r->err, ST_NOMEM, "out of memory");
	if (old == NULL)
		memcpy(values, doc->small, doc->n * sizeof(*values));
	doc->values = values;
	doc->cap = (uint32_t)cap;
	return ST_OK;
}

/* add(r, value): hang one more value into the innermost open container. */
static enum status add(struct reader *r, struct json_value value)
{
	struct json *doc = r->doc;

	if (doc->n >= r->limits->values)
		return over_limit(r, r->p, "too many values");
	if (doc->n == doc->cap) {
		enum status st = grow(r);
		if (st != ST_OK)
			return st;
	}
	doc->values[doc->n++] = value;
	if (r->open != NONE)
		doc->values[r->open].count++;
	return ST_OK;
}

static enum status open_container(struct reader *r, struct span name, enum json_type type)
{
	if (r->depth >= r->limits->depth)
		return over_limit(r, r->p, "nested too deeply");
	enum status st = add(r, (struct json_value){.type = type, .skip = r->open, .name = name});
	if (st != ST_OK)
		return st;
	r->open = r->doc->n - 1;
	r->depth++;
	r->p++;
	return ST_OK;
}

static enum status close_container(struct reader *r)
{
	struct json_value *v = &r->doc->values[r->open];
	const struct json_value *twice = NULL;
	uint32_t around = v->skip;

	v->skip = r->doc->n - r->open;
	if (v->type == JSON_OBJECT && v->count > 1) {
		enum status st = json_names_check(v, &twice);
		if (st != ST_OK)
			return err_set(r->err, st, "%s", status_text(st));
		if (twice != NULL)
			return refuse(r, twice->name.p - 1, "duplicate member name");
	}
	r->open = around;
	r->depth--;
	r->p++;
	return ST_OK;
}

/* A scalar, or the opening of a container; r->p < r->end. */
static enum status begin_value(struct reader *r, struct span name)
{
	struct json_value v = {.name = name, .skip = 1};
	enum status st;

	switch (*r->p) {
	case '{':
		return open_container(r, name, JSON_OBJECT);
	case '[':
		return open_container(r, name, JSON_ARRAY);
	case '"':
		v.type = JSON_STRING;
		st = read_string(r, &v.text);
		break;
	case 't':
		v.type = JSON_TRUE;
		st = read_word(r, "true");
		break;
	case 'f':
		v.type = JSON_FALSE;
		st = read_word(r, "false");
		break;
	case 'n':
		v.type = JSON_NULL;
		st = read_word(r, "null");
		break;
	default:
		if (*r->p != '-' && (*r->p < '0' || *r->p > '9'))
			return refuse(r, r->p, "expected a value");
		v.type = JSON_NUMBER;
		st = read_number(r, &v.text);
		break;
	}
	return st == ST_OK ? add(r, v) : st;
}

/* A member's name and colon; leaves r->p at its value. */
static enum status read_name(struct reader *r, struct span *ret)
{
	struct span name;

	if (*r->p != '"')
		return refuse(r, r->p, "expected a member name");
	enum status st = read_string(r, &name);
	if (st != ST_OK)
		return st;
	skip_space(r);
	if (r->p == r->end)
		return refuse_end(r);
	if (*r->p != ':')
		return refuse(r, r->p, "expected ':'");
	r->p++;
	skip_space(r);
	if (r->p == r->end)
		return refuse_end(r);
	*ret = name;
	return ST_OK;
}

/* One step inside the innermost open container: its end, or its next member. */
static enum status step(struct reader *r)
{
	bool object = r->doc->values[r->open].type == JSON_OBJECT;
	bool empty = r->doc->values[r->open].count == 0;
	struct span name = {0};

	skip_space(r);
	if (r->p == r->end)
		return refuse_end(r);
	if (*r->p == (object ? '}' : ']'))
		return close_container(r);
	if (!empty) {
		if (*r->p != ',')
			return refuse(r, r->p,
			              object ? "expected ',' or '}'" : "expected ',' or ']'");
		r->p++;
		skip_space(r);
		if (r->p == r->end)
			return refuse_end(r);
	}
	if (object) {
		enum status st = read_name(r, &name);
		if (st != ST_OK)
			return st;
	}
	return begin_value(r, name);
}

static enum status read_text(struct reader *r)
{
	skip_space(r);
	if (r->p == r->end)
		return refuse_end(r);
	enum status st = begin_value(r, (struct span){0});
	while (st == ST_OK && r->open != NONE)
		st = step(r);
	if (st != ST_OK)
		return st;
	skip_space(r);
	return r->p == r->end ? ST_OK : refuse(r, r->p, "text after the value");
}

void json_init(struct json *doc)
{
	doc->values = doc->small;
	doc->n = 0;
	doc->cap = JSON_INLINE;
}

void json_free(struct json *doc)
{
	if (doc == NULL)
		return;
	if (doc->values != doc->small)
		free(doc->values);
	json_init(doc);
}

enum status json_parse(struct json *doc, uint8_t *text, size_t n, const struct json_limits *limits,
                       struct err *err)
{
	struct reader r = {
	    .p = text, .start = text, .end = text, .doc = doc, .open = NONE, .err = err};

	MUST(text != NULL || n == 0);
	r.limits = limits != NULL ? limits : &json_limits_default;
	MUST(r.limits->depth <= JSON_DEPTH_MAX);
	if (n > 0)
		r.end = text + n;
	doc->n = 0;
	enum status st = read_text(&r);
	if (st != ST_OK)
		doc->n = 0;
	return st;
}

void json_strings(struct json *doc, const struct json_string_member *members, size_t n)
{
	const uint32_t count = (uint32_t)n;

	MUST(n < JSON_INLINE && n < doc->cap);
	doc->values[0] =
	    (struct json_value){.type = JSON_OBJECT, .skip = count + 1, .count = count};
	for (size_t i = 0; i < n; i++)
		doc->values[i + 1] = (struct json_value){.type = JSON_STRING,
		                                         .skip = 1,
		                                         .name = members[i].name,
		                                         .text = members[i].text};
	doc->n = count + 1;
}

const struct json_value *json_root(const struct json *doc)
{
	return doc->n > 0 ? &doc->values[0] : NULL;
}

const struct json_value *json_member_span(const struct json_value *object, struct span name)
{
	if (object == NULL || object->type != JSON_OBJECT)
		return NULL;
	const struct json_value *v = json_first(object);
	for (uint32_t i = 0; i < object->count; i++, v = json_next(v)) {
		if (span_eq(v->name, name))
			return v;
	}
	return NULL;
}

const struct json_value *json_member(const struct json_value *object, const char *name)
{
	return json_member_span(object, span_str(name));
}

const struct json_value *json_first(const struct json_value *container)
{
	return container + 1;
}

const struct json_value *json_next(const struct json_value *value)
{
	return value + value->skip;
}

/* The digits of an integer without its sign; ST_INVALID when v is no integer or its size is over `most`. */
static enum status magnitude(struct span digits_of, uint64_t most, uint64_t *ret)
{
	uint64_t v = 0;

	for (size_t i = 0; i < digits_of.n; i++) {
		uint8_t c = digits_of.p[i];
		if (c < '0' || c > '9')
			return ST_INVALID;
		uint64_t digit = c - (uint64_t)'0';
		if (digit > most || v > (most - digit) / 10)
			return ST_INVALID;
		v = v * 10 + digit;
	}
	*ret = v;
	return ST_OK;
}

enum status json_u64(const struct json_value *v, uint64_t *ret)
{
	if (v == NULL || v->type != JSON_NUMBER)
		return ST_INVALID;
	if (v->text.p[0] == '-') /* only -0 will do */
		return magnitude(span_from(v->text, 1), 0, ret);
	return magnitude(v->text, UINT64_MAX, ret);
}

enum status json_i64(const struct json_value *v, int64_t *ret)
{
	uint64_t m;

	if (v == NULL || v->type != JSON_NUMBER)
		return ST_INVALID;
	bool negative = v->text.p[0] == '-';
	uint64_t most = (uint64_t)INT64_MAX + (negative ? 1 : 0);
	if (magnitude(negative ? span_from(v->text, 1) : v->text, most, &m) != ST_OK)
		return ST_INVALID;
	if (negative)
		*ret = m == 0 ? 0 : -(int64_t)(m - 1) - 1;
	else
		*ret = (int64_t)m;
	return ST_OK;
}
