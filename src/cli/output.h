/* What the command line prints: tables as people know them, JSON, YAML. */
#ifndef CLI_OUTPUT_H
#define CLI_OUTPUT_H

#include <stdio.h>

#include <jansson.h>

#include "base/bytes.h"

enum output_format { OUTPUT_TABLE, OUTPUT_JSON, OUTPUT_YAML };

/* output_format_parse("table" | "json" | "yaml", ret): ST_INVALID for other words. */
MUST_USE enum status output_format_parse(const char *word, enum output_format *ret);

/*
 * A table is filled cell by cell, row by row, and printed with columns four blanks apart; an empty cell is "n/a".  Control characters
 * other than line end and tab are written as \xNN: no answer may steer the terminal.  What it held is wiped.  A failure (memory)
 * is remembered and comes back from table_print.
 */
struct table {
	size_t columns;
	struct builder text; /* the cells, one after another */
	size_t *ends;        /* where each ends */
	size_t n, cap;
	enum status failed;
};

void table_init(struct table *t, size_t columns);
void table_free(struct table *t);
/* table_head(t, names): the first row, t->columns names, and a row of dashes below. */
void table_head(struct table *t, const char *const *names);
void table_cell(struct table *t, const char *text);
void table_fmt(struct table *t, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* table_json(t, v): a value as text: strings as they are, "<nil>", [a b], map[k:v]; NULL gives an empty cell. */
void table_json(struct table *t, json_t *v);
/* table_row(t, key, v), table_object(t, object): two columns; an object's members in the order of their names. */
void table_row(struct table *t, const char *key, json_t *v);
void table_object(struct table *t, json_t *object);
MUST_USE enum status table_print(const struct table *t, FILE *out);

/* output_value(out, format, v): any value as JSON or YAML (OUTPUT_TABLE: as JSON), with a line end. */
MUST_USE enum status output_value(FILE *out, enum output_format format, json_t *v);

/* output_text(out, s): text from the server, control characters (but line end and tab) as \xNN. */
void output_text(FILE *out, const char *s);

/* output_data(answer): its `data` when that is an object, its `auth` likewise, else the answer itself.  Borrowed. */
json_t *output_data(json_t *answer);
/* output_secret(out, answer): the Key/Value table of an answer: lease, token, wrapping, data. */
MUST_USE enum status output_secret(FILE *out, json_t *answer);
/* output_find(answer, name): what -field=NAME means in this answer; a new reference, or NULL. */
json_t *output_find(json_t *answer, const char *name);
/* output_field(out, format, v): a string raw (with a line end on a terminal only), else as JSON or YAML. */
MUST_USE enum status output_field(FILE *out, enum output_format format, json_t *v);

#endif
