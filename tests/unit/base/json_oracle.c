#include "json_oracle.h"

#include <jansson.h>

void oracle_dump_integer(struct builder *b, int64_t v)
{
	builder_fmt(b, "i%lld;", (long long)v);
}

void oracle_dump_real(struct builder *b, double v)
{
	builder_fmt(b, "r%a;", v);
}

static void dump(struct builder *b, json_t *j);

static void dump_array(struct builder *b, json_t *j)
{
	size_t n = json_array_size(j);

	builder_u8(b, 'a');
	builder_u32(b, (uint32_t)n);
	for (size_t i = 0; i < n; i++)
		dump(b, json_array_get(j, i));
}

/* jansson keeps the order of the text. */
static void dump_object(struct builder *b, json_t *j)
{
	builder_u8(b, 'o');
	builder_u32(b, (uint32_t)json_object_size(j));
	for (void *at = json_object_iter(j); at != NULL; at = json_object_iter_next(j, at)) {
		builder_lv(b, span_str(json_object_iter_key(at)));
		dump(b, json_object_iter_value(at));
	}
}

static void dump(struct builder *b, json_t *j)
{
	switch (json_typeof(j)) {
	case JSON_NULL:
		builder_u8(b, 'z');
		break;
	case JSON_FALSE:
		builder_u8(b, 'f');
		break;
	case JSON_TRUE:
		builder_u8(b, 't');
		break;
	case JSON_INTEGER:
		oracle_dump_integer(b, json_integer_value(j));
		break;
	case JSON_REAL:
		oracle_dump_real(b, json_real_value(j));
		break;
	case JSON_STRING:
		builder_u8(b, 's');
		builder_lv(b, span_of(json_string_value(j), json_string_length(j)));
		break;
	case JSON_ARRAY:
		dump_array(b, j);
		break;
	case JSON_OBJECT:
		dump_object(b, j);
		break;
	default:
		MUST(j == NULL);
	}
}

enum oracle_verdict oracle_read(struct span text, struct builder *dump_to)
{
	json_error_t error;
	json_t *j = json_loadb((const char *)text.p, text.n,
	                       JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);

	if (j == NULL) {
		enum json_error_code code = json_error_code(&error);
		return code == json_error_null_byte_in_key || code == json_error_numeric_overflow
		           ? ORACLE_NARROWER
		           : ORACLE_REFUSED;
	}
	dump(dump_to, j);
	json_decref(j);
	return ORACLE_TAKEN;
}
