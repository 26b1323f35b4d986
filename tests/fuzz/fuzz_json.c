/*
 * json: the reader and the writer on any bytes.
 *   - jansson takes and refuses the same texts and finds the same values, save for the differences that
 *     tests/unit/base/test_json_oracle.c names, and for the depth that ours is told to keep to;
 *   - a parsed text, written by json_copy, is parsed to the very same tree, and written again to the very same bytes, which jansson reads as
 *     the same values too;
 *   - narrow limits refuse with ST_LIMIT or do what wide ones do; skip and count of each value agree with what lies below it.
 */
#include <stdlib.h>
#include <string.h>

#include "../unit/base/json_oracle.h"
#include "base/json.h"
#include "base/utf8.h"
#include "fuzz.h"

/* Everything that a tree says, as bytes; numbers as text. */
static uint32_t dump(struct builder *b, const struct json_value *v, unsigned depth)
{
	const struct json_value *m = json_first(v);
	uint32_t values = 1;

	MUST(v->type <= JSON_OBJECT && depth <= JSON_DEPTH_MAX);
	builder_u8(b, (uint8_t)v->type);
	builder_lv(b, v->name);
	builder_lv(b, v->text);
	MUST(utf8_valid(v->name) && utf8_valid(v->text));
	if (v->type == JSON_ARRAY || v->type == JSON_OBJECT) {
		builder_u32(b, v->count);
		for (uint32_t i = 0; i < v->count; i++, m = json_next(m)) {
			MUST(v->type == JSON_OBJECT || m->name.n == 0);
			MUST(v->type != JSON_OBJECT || json_member_span(v, m->name) == m);
			values += dump(b, m, depth + 1);
		}
	} else {
		MUST(v->count == 0);
	}
	MUST(v->skip == values);
	return values;
}

static void oracle_number(struct builder *b, struct span text)
{
	char *digits = malloc(text.n + 1);
	int64_t i;

	MUST(digits != NULL && span_cstr(text, digits, text.n + 1) == ST_OK);
	struct json_value v = {.type = JSON_NUMBER, .text = text};
	if (strpbrk(digits, ".eE") != NULL)
		oracle_dump_real(b, strtod(digits, NULL));
	else if (json_i64(&v, &i) == ST_OK)
		oracle_dump_integer(b, i);
	else
		builder_str(b, "beyond 64 bits;");
	free(digits);
}

/* The values as the oracle dumps them. */
static void oracle_dump(struct builder *b, const struct json_value *v)
{
	static const char words[] = "zftnsao"; /* in the order of enum json_type */
	const struct json_value *m = json_first(v);

	if (v->type == JSON_NUMBER) {
		oracle_number(b, v->text);
		return;
	}
	builder_u8(b, (uint8_t)words[v->type]);
	if (v->type == JSON_STRING)
		builder_lv(b, v->text);
	if (v->type == JSON_ARRAY || v->type == JSON_OBJECT)
		builder_u32(b, v->count);
	for (uint32_t i = 0; i < v->count; i++, m = json_next(m)) {
		if (v->type == JSON_OBJECT)
			builder_lv(b, m->name);
		oracle_dump(b, m);
	}
}

static bool same(struct builder *a, struct builder *b)
{
	MUST(builder_status(a) == ST_OK && builder_status(b) == ST_OK);
	return span_eq(builder_span(a), builder_span(b));
}

static enum status parse(struct json *doc, struct span text, const struct json_limits *limits,
                         uint8_t **ret_memory)
{
	struct err err = {0};

	json_init(doc);
	*ret_memory = fuzz_copy(text);
	enum status st = json_parse(doc, *ret_memory, text.n, limits, &err);
	MUST((st == ST_OK) == (json_root(doc) != NULL));
	MUST(st == ST_OK || err.text[0] != '\0');
	return st;
}

static void end(struct json *doc, uint8_t *memory)
{
	json_free(doc);
	free(memory);
}

static void check_oracle(struct span text, const struct json_value *root, enum status st)
{
	struct builder ours = {0}, theirs = {0};

	if (text.n > 0 && memchr(text.p, 0, text.n) != NULL) {
		MUST(st != ST_OK); /* jansson passes over one behind a number */
		return;
	}
	enum oracle_verdict verdict = oracle_read(text, &theirs);
	if (st == ST_OK)
		oracle_dump(&ours, root);
	if (st == ST_OK)
		MUST(verdict == ORACLE_NARROWER ||
		     (verdict == ORACLE_TAKEN && same(&ours, &theirs)));
	if (st == ST_INVALID)
		MUST(verdict != ORACLE_TAKEN);
	builder_free(&ours);
	builder_free(&theirs);
}

static void write(struct builder *b, const struct json_value *root)
{
	struct json_writer w;

	json_writer_init(&w, b);
	json_copy(&w, root);
	MUST(builder_status(b) == ST_OK && utf8_valid(builder_span(b)));
}

static void check_written(const struct json_value *root, struct builder *tree)
{
	struct builder text = {0}, text2 = {0}, tree2 = {0};
	struct json doc;
	uint8_t *memory;

	write(&text, root);
	MUST(parse(&doc, builder_span(&text), NULL, &memory) == ST_OK);
	(void)dump(&tree2, json_root(&doc), 0);
	MUST(same(tree, &tree2));
	write(&text2, json_root(&doc));
	MUST(same(&text, &text2));
	check_oracle(builder_span(&text), root, ST_OK);
	end(&doc, memory);
	builder_free(&text);
	builder_free(&text2);
	builder_free(&tree2);
}

/* Limits taken from the text itself, so that all sizes come up. */
static void check_limits(struct span text, enum status wide, struct builder *tree)
{
	uint8_t pick = text.n > 0 ? text.p[text.n / 2] : 0;
	const struct json_limits narrow = {
	    .depth = 1 + pick % 7, .values = 1 + pick % 31, .string = pick % 13};
	struct builder tree2 = {0};
	struct json doc;
	uint8_t *memory;
	enum status st = parse(&doc, text, &narrow, &memory);

	MUST(st == wide || st == ST_LIMIT || (wide == ST_LIMIT && st == ST_INVALID));
	if (st == ST_OK) {
		(void)dump(&tree2, json_root(&doc), 0);
		MUST(same(tree, &tree2));
	}
	end(&doc, memory);
	builder_free(&tree2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct span text = span_of(data, n);
	struct builder tree = {0};
	struct json doc;
	uint8_t *memory;
	enum status st = parse(&doc, text, NULL, &memory);

	MUST(st == ST_OK || st == ST_INVALID || st == ST_LIMIT);
	check_oracle(text, json_root(&doc), st);
	if (st == ST_OK) {
		(void)dump(&tree, json_root(&doc), 0);
		check_written(json_root(&doc), &tree);
	}
	check_limits(text, st, &tree);
	end(&doc, memory);
	builder_free(&tree);
	return 0;
}
