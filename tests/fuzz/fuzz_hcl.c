/*
 * hcl: the reader of configuration and policy text, in both spellings.
 *   - the text is not changed and not read past its end; errors name a place inside the text, and ST_OK is said twice or never;
 *   - no tree is deeper than the limit; its strings are UTF-8; places are in the text;
 *   - a tree written out again, plainly, is read to the same tree;
 *   - what the native reader takes as a JSON text, and json_parse takes too, has the same values; hcl_blocks visits only objects.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hcl.h"
#include "base/utf8.h"
#include "base/json.h"
#include "fuzz.h"

#define DEPTH_MAX 33 /* the root, and 32 below it */

struct place {
	unsigned lines, columns;
};

static void check_place(const struct place *p, unsigned line, unsigned column)
{
	MUST(line >= 1 && line <= p->lines && column >= 1 && column <= p->columns);
}

/* Everything that a tree says but its places. */
static void dump(struct builder *b, const struct hcl_value *v, const struct place *p,
                 unsigned depth)
{
	MUST(v->type <= HCL_OBJECT && depth <= DEPTH_MAX && utf8_valid(v->text));
	if (p != NULL)
		check_place(p, v->line, v->column);
	builder_u8(b, (uint8_t)v->type);
	builder_lv(b, v->text);
	builder_u32(b, (uint32_t)v->n);
	for (size_t i = 0; v->type == HCL_LIST && i < v->n; i++)
		dump(b, &v->list[i], p, depth + 1);
	for (size_t i = 0; v->type == HCL_OBJECT && i < v->n; i++) {
		const struct hcl_item *item = &v->items[i];

		if (p != NULL)
			check_place(p, item->line, item->column);
		MUST(utf8_valid(item->key));
		builder_lv(b, item->key);
		builder_u32(b, (uint32_t)item->n_labels);
		for (size_t k = 0; k < item->n_labels; k++)
			builder_lv(b, item->labels[k]);
		MUST(item->n_labels == 0 || item->value->type == HCL_OBJECT);
		dump(b, item->value, p, depth + 1);
	}
}

static void put_string(struct builder *b, struct span s)
{
	builder_u8(b, '"');
	for (size_t i = 0; i < s.n; i++) {
		uint8_t c = s.p[i];

		if (c < 0x20 || c == 0x7f || c == '"' || c == '\\')
			builder_fmt(b, "\\u%04x", c);
		else
			builder_u8(b, c);
	}
	builder_u8(b, '"');
}

static void put_value(struct builder *b, const struct hcl_value *v);

static void put_items(struct builder *b, const struct hcl_value *v)
{
	for (size_t i = 0; i < v->n; i++) {
		const struct hcl_item *item = &v->items[i];

		put_string(b, item->key);
		for (size_t k = 0; k < item->n_labels; k++) {
			builder_u8(b, ' ');
			put_string(b, item->labels[k]);
		}
		builder_str(b, item->n_labels > 0 ? " " : " = ");
		put_value(b, item->value);
		builder_u8(b, '\n');
	}
}

static void put_value(struct builder *b, const struct hcl_value *v)
{
	switch (v->type) {
	case HCL_STRING:
		put_string(b, v->text);
		break;
	case HCL_NUMBER:
	case HCL_BOOL:
		builder_add(b, v->text);
		break;
	case HCL_LIST:
		builder_u8(b, '[');
		for (size_t i = 0; i < v->n; i++) {
			put_value(b, &v->list[i]);
			builder_u8(b, ',');
		}
		builder_u8(b, ']');
		break;
	case HCL_OBJECT:
		builder_str(b, "{\n");
		put_items(b, v);
		builder_u8(b, '}');
		break;
	default:
		MUST(v->type <= HCL_OBJECT);
	}
}

static void check_written(const struct hcl *h, const struct builder *tree)
{
	struct builder text = {0}, again = {0};
	struct hcl *h2 = NULL;
	struct err err = {0};

	put_items(&text, hcl_root(h));
	MUST(builder_status(&text) == ST_OK);
	MUST(hcl_parse(builder_span(&text), &h2, &err) == ST_OK);
	dump(&again, hcl_root(h2), NULL, 0);
	MUST(span_eq(builder_span(&again), builder_span(tree)));
	builder_free(&text);
	builder_free(&again);
	hcl_free(&h2);
}

static void same_as_json(const struct hcl_value *v, const struct json_value *j)
{
	static const enum json_type type_of[] = {[HCL_STRING] = JSON_STRING,
	                                         [HCL_NUMBER] = JSON_NUMBER,
	                                         [HCL_BOOL] = JSON_TRUE,
	                                         [HCL_LIST] = JSON_ARRAY,
	                                         [HCL_OBJECT] = JSON_OBJECT};
	const struct json_value *m = json_first(j);

	MUST(j->type == type_of[v->type] || (v->type == HCL_BOOL && j->type == JSON_FALSE));
	if (v->type == HCL_STRING || v->type == HCL_NUMBER)
		MUST(span_eq(v->text, j->text));
	if (v->type == HCL_BOOL)
		MUST(span_eq_str(v->text, j->type == JSON_TRUE ? "true" : "false"));
	if (v->type != HCL_LIST && v->type != HCL_OBJECT)
		return;
	MUST(v->n == j->count);
	for (size_t i = 0; i < v->n; i++, m = json_next(m)) {
		MUST(v->type == HCL_LIST || span_eq(v->items[i].key, m->name));
		same_as_json(v->type == HCL_LIST ? &v->list[i] : v->items[i].value, m);
	}
}

static void check_json(const struct hcl *h, struct span text)
{
	uint8_t *copy = fuzz_copy(text);
	struct json doc;
	size_t at = 0;

	while (at < text.n && strchr(" \t\r\n", text.p[at]) != NULL && text.p[at] != 0)
		at++;
	json_init(&doc);
	if (at < text.n && text.p[at] == '{' && json_parse(&doc, copy, text.n, NULL, NULL) == ST_OK)
		same_as_json(hcl_root(h), json_root(&doc));
	json_free(&doc);
	free(copy);
}

static enum status visit(void *arg, const struct span *labels, const struct hcl_value *body,
                         struct err *err)
{
	size_t n = *(const size_t *)arg;

	(void)err;
	MUST(body->type == HCL_OBJECT);
	for (size_t i = 0; i < n; i++)
		MUST(utf8_valid(labels[i]));
	return ST_OK;
}

static void check_blocks(const struct hcl *h)
{
	const struct hcl_value *root = hcl_root(h);

	for (size_t i = 0; i < root->n; i++) {
		char key[64];

		if (span_cstr(root->items[i].key, key, sizeof key) != ST_OK)
			continue;
		MUST(span_eq_str(hcl_find(root, key)->key, key));
		for (size_t n = 0; n <= 8; n++) {
			struct err err = {0};
			enum status st = hcl_blocks(root, key, n, visit, &n, &err);

			MUST(st == ST_OK || (st == ST_INVALID && err.text[0] != '\0'));
		}
	}
}

static struct place extent(struct span text)
{
	struct place p = {.lines = 1, .columns = (unsigned)text.n + 1};

	for (size_t i = 0; i < text.n; i++)
		p.lines += text.p[i] == '\n';
	return p;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	uint8_t *copy = fuzz_copy(span_of(data, n));
	struct builder tree = {0};
	struct hcl *h = NULL;
	struct err err = {0};
	struct place p = extent(span_of(data, n));
	enum status st = hcl_parse(span_of(copy, n), &h, &err);

	MUST(n == 0 || memcmp(copy, data, n) == 0);
	MUST(st == ST_OK || st == ST_INVALID || st == ST_LIMIT);
	if (st == ST_OK) {
		dump(&tree, hcl_root(h), &p, 0);
		check_written(h, &tree);
		check_json(h, span_of(data, n));
		check_blocks(h);
	} else {
		unsigned line = 0, column = 0;

		MUST(sscanf(err.text, "At %u:%u: ", &line, &column) == 2 && h == NULL);
		check_place(&p, line, column);
	}
	hcl_free(&h);
	builder_free(&tree);
	free(copy);
	return 0;
}
