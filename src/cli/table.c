/* The tables of output.h. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "cli/output.h"

#define GAP 4

void table_init(struct table *t, size_t columns)
{
	*t = (struct table){.columns = columns};
}

void table_free(struct table *t)
{
	builder_free(&t->text);
	free(t->ends);
	*t = (struct table){0};
}

/* The cell that was written into t->text ends here. */
static void end_cell(struct table *t)
{
	size_t *grown;

	if (t->n == t->cap) {
		t->cap = t->cap == 0 ? 32 : t->cap * 2;
		grown = reallocarray(t->ends, t->cap, sizeof *grown);
		if (grown == NULL) {
			t->failed = ST_NOMEM;
			t->cap = t->n;
			return;
		}
		t->ends = grown;
	}
	t->ends[t->n++] = t->text.n;
}

static void put_text(struct table *t, struct span s)
{
	size_t i;

	for (i = 0; i < s.n; i++) {
		if ((s.p[i] < ' ' && s.p[i] != '\n' && s.p[i] != '\t') || s.p[i] == 0x7f)
			builder_fmt(&t->text, "\\x%02x", (unsigned)s.p[i]);
		else
			builder_u8(&t->text, s.p[i]);
	}
}

void table_cell(struct table *t, const char *text)
{
	put_text(t, span_str(text));
	end_cell(t);
}

void table_fmt(struct table *t, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	table_cell(t, text);
}

void table_head(struct table *t, const char *const *names)
{
	char dashes[64];
	size_t i, n;

	for (i = 0; i < t->columns; i++)
		table_cell(t, names[i]);
	for (i = 0; i < t->columns; i++) {
		n = strlen(names[i]);
		MUST(n < sizeof dashes);
		memset(dashes, '-', n);
		dashes[n] = '\0';
		table_cell(t, dashes);
	}
}

static int compare_names(const void *a, const void *b)
{
	const char *const *x = a;
	const char *const *y = b;

	return strcmp(*x, *y);
}

/* The member names in order; free() the array.  NULL without memory (or members). */
static const char **sorted_names(json_t *object)
{
	const size_t n = json_object_size(object);
	const char **names = n == 0 ? NULL : calloc(n, sizeof *names);
	const char *name = NULL;
	json_t *value = NULL;
	size_t i = 0;

	if (names == NULL)
		return NULL;
	json_object_foreach(object, name, value) names[i++] = name;
	qsort(names, n, sizeof *names, compare_names);
	return names;
}

static void put_value(struct table *t, json_t *v);

static void put_list(struct table *t, const json_t *v)
{
	size_t i;

	builder_str(&t->text, "[");
	for (i = 0; i < json_array_size(v); i++) {
		if (i > 0)
			builder_str(&t->text, " ");
		put_value(t, json_array_get(v, i));
	}
	builder_str(&t->text, "]");
}

static void put_map(struct table *t, json_t *object)
{
	const char **names = sorted_names(object);
	size_t i;

	if (names == NULL && json_object_size(object) > 0)
		t->failed = ST_NOMEM;
	builder_str(&t->text, "map[");
	for (i = 0; names != NULL && i < json_object_size(object); i++) {
		if (i > 0)
			builder_str(&t->text, " ");
		put_text(t, span_str(names[i]));
		builder_str(&t->text, ":");
		put_value(t, json_object_get(object, names[i]));
	}
	builder_str(&t->text, "]");
	free(names);
}

static void put_real(struct table *t, const json_t *v)
{
	char text[64];
	size_t n = json_dumpb(v, text, sizeof text, JSON_ENCODE_ANY);

	put_text(t, span_of(text, n <= sizeof text ? n : 0));
}

static void put_value(struct table *t, json_t *v)
{
	switch (json_typeof(v)) {
	case JSON_OBJECT:
		put_map(t, v);
		break;
	case JSON_ARRAY:
		put_list(t, v);
		break;
	case JSON_STRING:
		put_text(t, span_of(json_string_value(v), json_string_length(v)));
		break;
	case JSON_INTEGER:
		builder_fmt(&t->text, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
		break;
	case JSON_REAL:
		put_real(t, v);
		break;
	case JSON_TRUE:
		builder_str(&t->text, "true");
		break;
	case JSON_FALSE:
		builder_str(&t->text, "false");
		break;
	case JSON_NULL:
		builder_str(&t->text, "<nil>");
		break;
	}
}

void table_json(struct table *t, json_t *v)
{
	if (v != NULL)
		put_value(t, v);
	end_cell(t);
}

void table_row(struct table *t, const char *key, json_t *v)
{
	table_cell(t, key);
	table_json(t, v);
}

void table_object(struct table *t, json_t *object)
{
	const char **names = sorted_names(object);
	size_t i;

	if (names == NULL && json_object_size(object) > 0)
		t->failed = ST_NOMEM;
	for (i = 0; names != NULL && i < json_object_size(object); i++)
		table_row(t, names[i], json_object_get(object, names[i]));
	free(names);
}

static struct span cell(const struct table *t, size_t i)
{
	const size_t from = i == 0 ? 0 : t->ends[i - 1];

	if (t->ends[i] == from)
		return span_str("n/a");
	return span_of(t->text.p + from, t->ends[i] - from);
}

/* Characters, not bytes, of UTF-8. */
static size_t width(struct span s)
{
	size_t n = 0;
	size_t i;

	for (i = 0; i < s.n; i++)
		n += (s.p[i] & 0xc0) != 0x80;
	return n;
}

enum status table_print(const struct table *t, FILE *out)
{
	size_t widest[16] = {0};
	size_t i, column, w;
	struct span s;

	if (t->failed != ST_OK || builder_status(&t->text) != ST_OK)
		return ST_NOMEM;
	MUST(t->columns > 0 && t->columns <= sizeof widest / sizeof widest[0] &&
	     t->n % t->columns == 0);
	for (i = 0; i < t->n; i++) {
		w = width(cell(t, i));
		column = i % t->columns;
		widest[column] = w > widest[column] ? w : widest[column];
	}
	for (i = 0; i < t->n; i++) {
		s = cell(t, i);
		column = i % t->columns;
		(void)fwrite(s.p, 1, s.n, out);
		if (column + 1 == t->columns)
			(void)fputc('\n', out);
		else
			(void)fprintf(out, "%*s", (int)(widest[column] - width(s) + GAP), "");
	}
	return ST_OK;
}
