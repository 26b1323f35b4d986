#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/message.h"
#include "base/utf8.h"

const char *verb_name(enum verb v)
{
	static const char *const names[VERB_COUNT] = {
	    [VERB_READ] = "read", [VERB_WRITE] = "update", [VERB_DELETE] = "delete",
	    [VERB_LIST] = "list", [VERB_PATCH] = "patch",  [VERB_SCAN] = "scan",
	};

	MUST(v < VERB_COUNT);
	return names[v];
}

static bool is_control(uint8_t c)
{
	return c < 0x20 || c == 0x7f;
}

static enum status check_characters(struct span text, struct err *err)
{
	while (text.n > 0) {
		size_t n = utf8_length(text);

		if (n == 0)
			return err_set(err, ST_INVALID, "the path is not valid UTF-8");
		if (is_control(text.p[0]))
			return err_set(err, ST_INVALID, "the path holds a control character");
		text = span_from(text, n);
	}
	return ST_OK;
}

static enum status check_segment(struct span s, struct err *err)
{
	if (s.n == 0)
		return err_set(err, ST_INVALID, "the path has an empty segment");
	if (span_eq_str(s, ".") || span_eq_str(s, ".."))
		return err_set(err, ST_INVALID, "the path has a segment \".\" or \"..\"");
	return ST_OK;
}

/* body: the text without its trailing slash. */
static enum status split(struct span body, struct path *p, struct err *err)
{
	size_t start = 0;

	for (size_t i = 0; i <= body.n; i++) {
		if (i < body.n && body.p[i] != '/')
			continue;
		if (p->segments == PATH_SEGMENTS)
			return err_set(err, ST_INVALID, "the path has more than %d segments",
			               PATH_SEGMENTS);
		if (check_segment(span_of(body.p + start, i - start), err) != ST_OK)
			return ST_INVALID;
		p->start[p->segments] = (uint16_t)start;
		p->len[p->segments] = (uint16_t)(i - start);
		p->segments++;
		start = i + 1;
	}
	return ST_OK;
}

enum status path_parse(struct span text, struct path *ret, struct err *err)
{
	struct path p = {0};
	struct span body = text;

	if (text.n > PATH_MAX_LEN)
		return err_set(err, ST_INVALID, "the path is longer than %d bytes", PATH_MAX_LEN);
	if (text.n == 0)
		return err_set(err, ST_INVALID, "the path is empty");
	if (check_characters(text, err) != ST_OK)
		return ST_INVALID;
	p.folder = text.p[text.n - 1] == '/';
	if (p.folder)
		body.n--;
	if (split(body, &p, err) != ST_OK)
		return ST_INVALID;
	MUST(span_cstr(text, p.text, sizeof(p.text)) == ST_OK);
	p.n = (uint16_t)text.n;
	*ret = p;
	return ST_OK;
}

static int hex_digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The character at the start of *raw, decoded once; *raw moves behind it. */
static enum status unescape_one(struct span *raw, uint8_t *ret, struct err *err)
{
	int high, low;
	uint8_t c = raw->p[0];

	if (c != '%') {
		*raw = span_from(*raw, 1);
		*ret = c;
		return ST_OK;
	}
	if (raw->n < 3)
		return err_set(err, ST_INVALID, "the path ends inside a %%-escape");
	high = hex_digit(raw->p[1]);
	low = hex_digit(raw->p[2]);
	if (high < 0 || low < 0)
		return err_set(err, ST_INVALID, "the path has a malformed %%-escape");
	c = (uint8_t)(high << 4 | low);
	/* decoded, it would count as a separator that the client did not write */
	if (c == '/')
		return err_set(err, ST_INVALID, "the path has an encoded slash");
	*raw = span_from(*raw, 3);
	*ret = c;
	return ST_OK;
}

enum status path_unescape(struct span raw, char *buf, size_t cap, struct span *ret, struct err *err)
{
	struct builder b;
	uint8_t c = 0;

	builder_init_fixed(&b, buf, cap);
	while (raw.n > 0) {
		if (unescape_one(&raw, &c, err) != ST_OK)
			return ST_INVALID;
		if (is_control(c))
			return err_set(err, ST_INVALID, "the path holds a control character");
		builder_u8(&b, c);
	}
	if (builder_status(&b) != ST_OK)
		return err_set(err, ST_LIMIT, "the path is too long");
	*ret = span_of(buf, b.n);
	return ST_OK;
}

struct span path_span(const struct path *p)
{
	return span_of(p->text, p->n);
}

struct span path_segment(const struct path *p, unsigned i)
{
	MUST(i < p->segments);
	return span_of(p->text + p->start[i], p->len[i]);
}

void answer_init(struct answer *a)
{
	*a = (struct answer){0};
}

void answer_reset(struct answer *a)
{
	struct answer kept = {.data = a->data, .auth = a->auth, .warnings = a->warnings};

	builder_reset(&kept.data);
	builder_reset(&kept.auth);
	builder_reset(&kept.warnings);
	*a = kept;
}

void answer_free(struct answer *a)
{
	if (a == NULL)
		return;
	builder_free(&a->data);
	builder_free(&a->auth);
	builder_free(&a->warnings);
	answer_init(a);
}

void answer_take(struct answer *a, struct builder *data)
{
	size_t max = a->data.max;

	builder_free(&a->data);
	a->data = *data;
	a->data.max = max;
	*data = (struct builder){.max = 0};
}

void answer_warn(struct answer *a, const char *fmt, ...)
{
	char text[ERR_TEXT_MAX];
	struct json_writer w;
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	if (a->warnings.n > 0)
		builder_str(&a->warnings, ",");
	json_writer_init(&w, &a->warnings);
	json_cstr(&w, text);
}

enum status answer_fail(struct answer *a, enum status status, const char *fmt, ...)
{
	char text[ERR_TEXT_MAX]; /* apart: an argument may be a->err.text itself */
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	a->status = status;
	return err_set(&a->err, status, "%s", text);
}

const struct json_value *request_member(const struct request *r, const char *name)
{
	return json_member(r->data, name);
}

/*
 * A parameter's JSON value, or for one of the query its text alone.  ST_NOT_FOUND when there is none.  A member of the body
 * hides a query parameter of its name even when it is null.
 */
static enum status find(const struct request *r, const char *name, const struct json_value **ret,
                        struct span *ret_text)
{
	const struct json_value *v = request_member(r, name);

	if (v != NULL) {
		if (v->type == JSON_NULL)
			return ST_NOT_FOUND;
		*ret = v;
		*ret_text = v->text;
		return ST_OK;
	}
	for (unsigned i = 0; i < r->n_query; i++) {
		if (span_eq_str(r->query[i].name, name)) {
			*ret = NULL;
			*ret_text = r->query[i].value;
			return ST_OK;
		}
	}
	return ST_NOT_FOUND;
}

static bool is_string(const struct json_value *v)
{
	return v == NULL || v->type == JSON_STRING;
}

static bool is_number(const struct json_value *v)
{
	return v != NULL && v->type == JSON_NUMBER;
}

static enum status wrong_type(const char *name, const char *wanted, struct err *err)
{
	return err_set(err, ST_INVALID, "parameter \"%s\" must be %s", name, wanted);
}

enum status request_string(const struct request *r, const char *name, struct span *ret,
                           struct err *err)
{
	const struct json_value *v;
	struct span text;

	if (find(r, name, &v, &text) != ST_OK)
		return ST_NOT_FOUND;
	if (!is_string(v))
		return wrong_type(name, "a string", err);
	*ret = text;
	return ST_OK;
}

enum status request_int_text(struct span s, int64_t *ret)
{
	bool negative = s.n > 0 && s.p[0] == '-';
	int64_t v = 0;

	if (s.n > 0 && (s.p[0] == '-' || s.p[0] == '+'))
		s = span_from(s, 1);
	if (s.n == 0)
		return ST_INVALID;
	for (size_t i = 0; i < s.n; i++) {
		int digit = s.p[i] - '0';

		/* towards the sign from the start, so that the lowest number fits */
		if (digit < 0 || digit > 9 || __builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, negative ? -digit : digit, &v))
			return ST_INVALID;
	}
	*ret = v;
	return ST_OK;
}

enum status request_int(const struct request *r, const char *name, int64_t *ret, struct err *err)
{
	const struct json_value *v;
	struct span text;
	enum status s = ST_INVALID;
	int64_t n = 0;

	if (find(r, name, &v, &text) != ST_OK)
		return ST_NOT_FOUND;
	if (is_number(v))
		s = json_i64(v, &n);
	else if (is_string(v))
		s = request_int_text(text, &n);
	if (s != ST_OK)
		return wrong_type(name, "an integer", err);
	*ret = n;
	return ST_OK;
}

/* The words of Go's strconv.ParseBool. */
static enum status parse_bool(struct span s, bool *ret)
{
	static const char *const words[] = {"0", "f", "F", "false", "False", "FALSE",
	                                    "1", "t", "T", "true",  "True",  "TRUE"};
	const size_t n = sizeof(words) / sizeof(words[0]);

	for (size_t i = 0; i < n; i++) {
		if (span_eq_str(s, words[i])) {
			*ret = i >= n / 2;
			return ST_OK;
		}
	}
	return ST_INVALID;
}

enum status request_bool(const struct request *r, const char *name, bool *ret, struct err *err)
{
	const struct json_value *v;
	struct span text;

	if (find(r, name, &v, &text) != ST_OK)
		return ST_NOT_FOUND;
	if (v != NULL && (v->type == JSON_TRUE || v->type == JSON_FALSE)) {
		*ret = v->type == JSON_TRUE;
		return ST_OK;
	}
	if ((is_string(v) || is_number(v)) && parse_bool(text, ret) == ST_OK)
		return ST_OK;
	return wrong_type(name, "true or false", err);
}

enum status request_duration(const struct request *r, const char *name, int64_t *ret_ns,
                             struct err *err)
{
	const struct json_value *v;
	struct span text;
	int64_t ns = 0;
	bool good = false;

	if (find(r, name, &v, &text) != ST_OK)
		return ST_NOT_FOUND;
	if (is_number(v))
		good = json_i64(v, &ns) == ST_OK && !__builtin_mul_overflow(ns, NS_PER_S, &ns);
	else if (is_string(v)) /* clients send "" for "none" */
		good = text.n == 0 || duration_parse(text, &ns, NULL) == ST_OK;
	if (!good)
		return wrong_type(name, "a duration, as a number of seconds or like \"1h30m\"",
		                  err);
	*ret_ns = ns;
	return ST_OK;
}

static struct span trim(struct span s)
{
	while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t'))
		s = span_from(s, 1);
	while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
		s.n--;
	return s;
}

/* Empty items are dropped, so "" is the empty list. */
static enum status split_list(struct span text, struct span *items, size_t cap, size_t *ret_n)
{
	size_t n = 0, start = 0;

	for (size_t i = 0; text.n > 0 && i <= text.n; i++) {
		struct span item;

		if (i < text.n && text.p[i] != ',')
			continue;
		item = trim(span_of(text.p + start, i - start));
		start = i + 1;
		if (item.n == 0)
			continue;
		if (n == cap)
			return ST_LIMIT;
		items[n++] = item;
	}
	*ret_n = n;
	return ST_OK;
}

static enum status array_list(const struct json_value *array, struct span *items, size_t cap,
                              size_t *ret_n)
{
	const struct json_value *v = json_first(array);

	if (array->count > cap)
		return ST_LIMIT;
	for (uint32_t i = 0; i < array->count; i++, v = json_next(v)) {
		if (v->type != JSON_STRING)
			return ST_INVALID;
		items[i] = v->text;
	}
	*ret_n = array->count;
	return ST_OK;
}

enum status request_list(const struct request *r, const char *name, struct span *items, size_t cap,
                         size_t *ret_n, struct err *err)
{
	const struct json_value *v;
	struct span text;
	enum status s = ST_INVALID;

	if (find(r, name, &v, &text) != ST_OK)
		return ST_NOT_FOUND;
	if (is_string(v))
		s = split_list(text, items, cap, ret_n);
	else if (v->type == JSON_ARRAY)
		s = array_list(v, items, cap, ret_n);
	if (s == ST_LIMIT)
		return err_set(err, s, "parameter \"%s\" has more than %zu items", name, cap);
	if (s != ST_OK)
		return wrong_type(name, "a list of strings", err);
	return ST_OK;
}
