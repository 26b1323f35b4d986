#include "base/json.h"
#include "base/utf8.h"

#include <string.h>

#include "base/json_scan.h"

void json_writer_init(struct json_writer *w, struct builder *b)
{
	*w = (struct json_writer){.b = b};
}

static uint64_t level_bit(const struct json_writer *w)
{
	return UINT64_C(1) << w->depth;
}

static bool in_object(const struct json_writer *w)
{
	return (w->object & level_bit(w)) != 0;
}

/* A name or a value of a container begins: is a comma due?  Outside of all containers there is one value only. */
static bool take_comma(struct json_writer *w)
{
	bool due = (w->comma & level_bit(w)) != 0;

	MUST(w->depth > 0 || !due);
	w->comma |= level_bit(w);
	return due;
}

/* A value begins.  Behind a name the comma was written before the name. */
static bool begin(struct json_writer *w)
{
	MUST(w->named == in_object(w));
	if (!w->named)
		return take_comma(w);
	w->named = false;
	return false;
}

/* A value of few bytes that needs no escapes. */
static void plain(struct json_writer *w, struct span text)
{
	if (begin(w))
		builder_u8(w->b, ',');
	builder_add(w->b, text);
}

static void escape_ascii(struct builder *b, uint8_t c)
{
	static const char bytes[] = "\"\\\b\f\n\r\t", names[] = "\"\\bfnrt";
	const char *found = c != '\0' ? strchr(bytes, c) : NULL;

	if (found == NULL) {
		builder_fmt(b, "\\u%04x", (unsigned)c);
		return;
	}
	builder_u8(b, '\\');
	builder_u8(b, (uint8_t)names[found - bytes]);
}

/* What stands at the start of s and is not plain; returns its length. */
static size_t put_special(struct builder *b, struct span s)
{
	if (s.p[0] < 0x80) {
		escape_ascii(b, s.p[0]);
		return 1;
	}
	size_t n = utf8_length(s);
	if (n == 0) {
		builder_str(b, "\xef\xbf\xbd"); /* U+FFFD */
		return 1;
	}
	builder_add(b, span_of(s.p, n));
	return n;
}

static void put_escaped(struct builder *b, struct span s)
{
	while (s.n > 0 && builder_status(b) == ST_OK) {
		size_t n = json_plain(s);
		builder_add(b, span_of(s.p, n));
		s = span_from(s, n);
		if (s.n > 0)
			s = span_from(s, put_special(b, s));
	}
}

/* put_quoted(b, comma, s, after): a comma if one is due, s in quotes, and the string `after`.  Most strings are plain: one room, one copy. */
static void put_quoted(struct builder *b, bool comma, struct span s, const char *after)
{
	if (json_plain(s) != s.n) {
		builder_str(b, comma ? ",\"" : "\"");
		put_escaped(b, s);
		builder_u8(b, '"');
		builder_str(b, after);
		return;
	}
	size_t tail = strlen(after), n;
	if (!size_add(s.n, tail + (comma ? 3 : 2), &n))
		n = SIZE_MAX; /* no builder has that room */
	uint8_t *p = builder_room(b, n);
	if (p == NULL)
		return;
	n = 0;
	if (comma)
		p[n++] = ',';
	p[n++] = '"';
	if (s.n > 0)
		memcpy(p + n, s.p, s.n);
	n += s.n;
	p[n++] = '"';
	memcpy(p + n, after, tail);
	builder_took(b, n + tail);
}

static void begin_container(struct json_writer *w, uint8_t bracket, bool object)
{
	if (begin(w))
		builder_u8(w->b, ',');
	MUST(w->depth < JSON_WRITER_DEPTH);
	w->depth++;
	w->comma &= ~level_bit(w);
	w->object = object ? w->object | level_bit(w) : w->object & ~level_bit(w);
	builder_u8(w->b, bracket);
}

static void end_container(struct json_writer *w, uint8_t bracket)
{
	MUST(w->depth > 0 && !w->named);
	w->depth--;
	builder_u8(w->b, bracket);
}

void json_members(struct json_writer *w, struct span text)
{
	MUST(in_object(w) && !w->named);
	if (take_comma(w))
		builder_u8(w->b, ',');
	builder_add(w->b, text);
}

void json_begin_object(struct json_writer *w)
{
	begin_container(w, '{', true);
}

void json_end_object(struct json_writer *w)
{
	MUST(in_object(w));
	end_container(w, '}');
}

void json_begin_array(struct json_writer *w)
{
	begin_container(w, '[', false);
}

void json_end_array(struct json_writer *w)
{
	MUST(!in_object(w));
	end_container(w, ']');
}

void json_name_span(struct json_writer *w, struct span name)
{
	MUST(in_object(w) && !w->named);
	put_quoted(w->b, take_comma(w), name, ":");
	w->named = true;
}

void json_name(struct json_writer *w, const char *name)
{
	json_name_span(w, span_str(name));
}

void json_string(struct json_writer *w, struct span s)
{
	put_quoted(w->b, begin(w), s, "");
}

void json_cstr(struct json_writer *w, const char *s)
{
	json_string(w, span_str(s));
}

void json_int(struct json_writer *w, int64_t v)
{
	uint64_t m = (uint64_t)v;

	if (v >= 0) {
		json_uint(w, m);
		return;
	}
	plain(w, span_str("-"));
	builder_dec(w->b, ~m + 1);
}

void json_uint(struct json_writer *w, uint64_t v)
{
	if (begin(w))
		builder_u8(w->b, ',');
	builder_dec(w->b, v);
}

void json_bool(struct json_writer *w, int truth)
{
	plain(w, span_str(truth ? "true" : "false"));
}

void json_null(struct json_writer *w)
{
	plain(w, span_str("null"));
}

void json_raw(struct json_writer *w, struct span text)
{
	plain(w, text);
}

static void put_scalar(struct builder *b, const struct json_value *v)
{
	switch (v->type) {
	case JSON_NULL:
		builder_str(b, "null");
		break;
	case JSON_FALSE:
		builder_str(b, "false");
		break;
	case JSON_TRUE:
		builder_str(b, "true");
		break;
	case JSON_NUMBER:
		builder_add(b, v->text);
		break;
	case JSON_STRING:
		put_quoted(b, false, v->text, "");
		break;
	case JSON_ARRAY:
	case JSON_OBJECT:
	default:
		MUST(v->type != JSON_ARRAY && v->type != JSON_OBJECT);
	}
}

/* A container whose members were not all written yet. */
struct open {
	const struct json_value *container;
	const struct json_value *next;
	uint32_t left;
};

/*
 * Not through the writer's own levels: what was read may nest deeper than what we write ourselves.  The stack suffices, as the
 * reader refuses what is deeper than JSON_DEPTH_MAX.
 */
static void put_container(struct builder *b, const struct json_value *v)
{
	struct open stack[JSON_DEPTH_MAX];
	size_t depth = 0;

	for (;;) {
		if (v->type == JSON_ARRAY || v->type == JSON_OBJECT) {
			MUST(depth < JSON_DEPTH_MAX);
			builder_u8(b, v->type == JSON_OBJECT ? '{' : '[');
			stack[depth++] = (struct open){v, json_first(v), v->count};
		} else {
			put_scalar(b, v);
		}
		struct open *o = &stack[depth - 1];
		while (o->left == 0) {
			builder_u8(b, o->container->type == JSON_OBJECT ? '}' : ']');
			if (--depth == 0)
				return;
			o--;
		}
		v = o->next;
		bool comma = o->left < o->container->count;
		o->left--;
		o->next = json_next(v);
		if (o->container->type == JSON_OBJECT)
			put_quoted(b, comma, v->name, ":");
		else if (comma)
			builder_u8(b, ',');
	}
}

void json_copy(struct json_writer *w, const struct json_value *v)
{
	if (begin(w))
		builder_u8(w->b, ',');
	if (v->type == JSON_ARRAY || v->type == JSON_OBJECT)
		put_container(w->b, v);
	else
		put_scalar(w->b, v);
}

void json_put_string(struct json_writer *w, const char *name, struct span s)
{
	json_name(w, name);
	json_string(w, s);
}

void json_put_cstr(struct json_writer *w, const char *name, const char *s)
{
	json_name(w, name);
	json_cstr(w, s);
}

void json_put_int(struct json_writer *w, const char *name, int64_t v)
{
	json_name(w, name);
	json_int(w, v);
}

void json_put_uint(struct json_writer *w, const char *name, uint64_t v)
{
	json_name(w, name);
	json_uint(w, v);
}

void json_put_bool(struct json_writer *w, const char *name, int truth)
{
	json_name(w, name);
	json_bool(w, truth);
}

void json_put_null(struct json_writer *w, const char *name)
{
	json_name(w, name);
	json_null(w);
}
