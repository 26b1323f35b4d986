/*
 * JSON (RFC 8259): a strict in-place reader and a direct writer.
 *
 * The reader takes the caller's buffer, unescapes strings where they stand and describes the text by an array of
 * values.  It refuses what RFC 8259 does not define or leaves open: invalid UTF-8, lone surrogates, duplicate
 * member names, control characters, trailing text, a byte order mark.  Numbers are kept as text.  Limits (depth,
 * values, bytes of a string) are part of the call.
 */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include "base/bytes.h"

enum json_type {
	JSON_NULL,
	JSON_FALSE,
	JSON_TRUE,
	JSON_NUMBER,
	JSON_STRING,
	JSON_ARRAY,
	JSON_OBJECT
};

/*
 * One value.  Values lie in the order of the text: a container's members follow it directly, `skip` counts the
 * values from here to the next sibling (1 for a scalar), `count` the members of a container.
 */
struct json_value {
	enum json_type type;
	uint32_t skip;
	uint32_t count;
	struct span name; /* member name, unescaped; empty in arrays and at the root */
	struct span text; /* string: unescaped; number: as written; else empty */
};

struct json_limits {
	uint32_t depth;
	uint32_t values;
	uint32_t string;
};
extern const struct json_limits
    json_limits_default; /* 64 levels, 1,000,000 values, 32 MiB a string */

#define JSON_INLINE 32
/* The most that limits->depth may ask for (MUST). */
#define JSON_DEPTH_MAX 256

/* A parsed text.  The values point into the caller's buffer, which must outlive it. */
struct json {
	struct json_value *values;
	uint32_t n;
	uint32_t cap;
	struct json_value small[JSON_INLINE];
};

/*
 * json_parse(doc, text, n, limits, err): parse all n bytes at text (modified in place, also on failure).  limits NULL means
 * the default.  ST_INVALID with position and reason ("unexpected end", ...), ST_LIMIT, ST_NOMEM; doc is then empty.
 * A doc may be parsed into again; json_free frees what it grew.  json_init before the first use.
 */
void json_init(struct json *doc);
MUST_USE enum status json_parse(struct json *doc, uint8_t *text, size_t n,
                                const struct json_limits *limits, struct err *err);
void json_free(struct json *doc);

/* json_strings(doc, members, n): doc becomes an object of strings, for what came in another form than JSON: n < JSON_INLINE names that differ, and any bytes, which must outlive it. */
struct json_string_member {
	struct span name, text;
};
void json_strings(struct json *doc, const struct json_string_member *members, size_t n);

/* json_root(doc): the outermost value; NULL when nothing is parsed. */
const struct json_value *json_root(const struct json *doc);
/* json_member(object, name): its member, or NULL (also when object is NULL or no object). */
const struct json_value *json_member(const struct json_value *object, const char *name);
const struct json_value *json_member_span(const struct json_value *object, struct span name);
/* Iterate: for (i = 0, v = json_first(c); i < c->count; i++, v = json_next(v)).  json_first(c) is c + 1. */
const struct json_value *json_first(const struct json_value *container);
const struct json_value *json_next(const struct json_value *value);
/* json_i64(v, ret), json_u64: a JSON number that is an integer in range, else ST_INVALID. */
MUST_USE enum status json_i64(const struct json_value *v, int64_t *ret);
MUST_USE enum status json_u64(const struct json_value *v, uint64_t *ret);

/*
 * The writer puts text straight into a builder and knows only where a comma belongs.  Failures are the builder's.
 * Balance and order of calls are the caller's duty (MUST).  Strings must be valid UTF-8; what is not is written as U+FFFD.
 */
/*
 * jansson, which the command line links, owns three of these names: the linker sees ours under others.  No file includes both
 * headers.
 */
#define JSON_LINKED_AS(name) __asm__("keyturn_" name)

#define JSON_WRITER_DEPTH 63 /* levels it opens itself; json_copy goes as deep as the reader */
struct json_writer {
	struct builder *b;
	uint64_t comma;  /* one bit a level: something stands before */
	uint64_t object; /* one bit a level: it is an object */
	uint8_t depth;
	bool named;
};

void json_writer_init(struct json_writer *w, struct builder *b);
void json_begin_object(struct json_writer *w);
void json_end_object(struct json_writer *w);
void json_begin_array(struct json_writer *w);
void json_end_array(struct json_writer *w);
void json_name(struct json_writer *w, const char *name);
void json_name_span(struct json_writer *w, struct span name);
void json_string(struct json_writer *w, struct span s) JSON_LINKED_AS("json_string");
void json_cstr(struct json_writer *w, const char *s);
void json_int(struct json_writer *w, int64_t v);
void json_uint(struct json_writer *w, uint64_t v);
void json_bool(struct json_writer *w, int truth);
void json_null(struct json_writer *w) JSON_LINKED_AS("json_null");
/* json_raw(w, text): text that is JSON already; one value, not empty.  json_copy(w, v): a parsed value with all below it. */
void json_raw(struct json_writer *w, struct span text);
void json_copy(struct json_writer *w, const struct json_value *v) JSON_LINKED_AS("json_copy");
/* json_members(w, text): members of the object that is being written, as JSON text without braces; not empty. */
void json_members(struct json_writer *w, struct span text);
/* name and value in one call */
void json_put_string(struct json_writer *w, const char *name, struct span s);
void json_put_cstr(struct json_writer *w, const char *name, const char *s);
void json_put_int(struct json_writer *w, const char *name, int64_t v);
void json_put_uint(struct json_writer *w, const char *name, uint64_t v);
void json_put_bool(struct json_writer *w, const char *name, int truth);
void json_put_null(struct json_writer *w, const char *name);

#endif
