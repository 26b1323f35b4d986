/*
 * The JSON reader against jansson on made-up texts, half of them damaged, from a fixed seed.  Both must take or refuse the same
 * texts and find the same values in what they take.  Allowed differences, each recognised by jansson's own error code:
 *   - jansson refuses member names with a zero byte; ours takes them (RFC 8259 allows them);
 *   - jansson refuses integers beyond 64 bits and reals beyond a double; ours keeps numbers as text.
 * jansson may nest deeper, but the texts here are too short for that.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "json_oracle.h"

#define ROUNDS 120000

/* xorshift64 */
static uint64_t seed = 0x4b657974726e2121;

static size_t below(size_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (size_t)(seed >> 20) % n;
}

static const char *const spaces[] = {"", "", "", "", " ", "\n", "\t\r "};
static const char *const names[] = {
    "\"a\"",       "\"b\"",        "\"c\"",       "\"\"",
    "\"\\u0061\"", "\"\xc3\xa9\"", "\"\\u00e9\"", "\"long name of a member\"",
    "\"d\"",       "\"e\"",        "\"f\"",       "\"\\u0000\""};
static const char *const scalars[] = {
    "null",
    "true",
    "false",
    "0",
    "-0",
    "1",
    "-17",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "0.5",
    "-1.25e-3",
    "1E+2",
    "1e400",
    "123456789012345678901234567890",
    "\"\"",
    "\"abc\"",
    "\"\\n\\t\\\"\\\\\\/\"",
    "\"\\u0000\"",
    "\"a\\u0000b\"",
    "\"\\u20ac\\ud83d\\ude00\"",
    "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"",
    "\"a longer text that fills more than one vector\"",
    "\"sixteen bytes...\\u00e9 and then some more bytes\"",
};
/* What damage puts in. */
static const char *const bits[] = {
    "\"",
    "\\",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "0",
    "-",
    ".",
    "e",
    "+",
    " ",
    "\n",
    "u",
    "\\u",
    "d800",
    "\\ud83d",
    "\\ude00",
    "\xc3",
    "\xa9",
    "\xed\xa0\x80",
    "\xff",
    "\x01",
    "\x7f",
    "null",
    "tru",
    "/",
    "\xef\xbb\xbf",
    "\"a\":1,",
    "'",
};

#define PICK(table) ((table)[below(sizeof(table) / sizeof((table)[0]))])

static void put_value(struct builder *b, unsigned levels);

static void put_members(struct builder *b, unsigned levels, bool object)
{
	size_t n = below(5);

	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			builder_u8(b, ',');
		builder_str(b, PICK(spaces));
		if (object) {
			builder_str(b, PICK(names));
			builder_str(b, PICK(spaces));
			builder_u8(b, ':');
		}
		put_value(b, levels);
	}
	builder_str(b, PICK(spaces));
}

static void put_value(struct builder *b, unsigned levels)
{
	size_t kind = levels > 0 ? below(4) : 0;

	builder_str(b, PICK(spaces));
	if (kind < 2) {
		builder_str(b, PICK(scalars));
	} else {
		builder_u8(b, kind == 2 ? '{' : '[');
		put_members(b, levels - 1, kind == 2);
		builder_u8(b, kind == 2 ? '}' : ']');
	}
	builder_str(b, PICK(spaces));
}

/* One damage: bytes left out, bytes put in, or one byte changed. */
static void damage(struct builder *b)
{
	struct builder out = {0};
	struct span s = builder_span(b);
	size_t at = below(s.n + 1), cut = below(4), left = s.n - at;

	builder_add(&out, span_of(s.p, at));
	if (cut == 0 && left > 0)
		cut = below(left);
	else if (cut > left)
		cut = left;
	if (below(3) > 0)
		builder_str(&out, PICK(bits));
	if (below(8) == 0)
		builder_u8(&out, (uint8_t)below(256));
	builder_add(&out, span_from(s, at + (below(2) == 0 ? cut : 0)));
	assert_int_equal(builder_status(&out), ST_OK);
	builder_free(b);
	*b = out;
}

static void dump_number(struct builder *b, struct span text)
{
	char digits[100];
	int64_t i;

	assert_int_equal(span_cstr(text, digits, sizeof(digits)), ST_OK);
	if (strpbrk(digits, ".eE") != NULL) {
		oracle_dump_real(b, strtod(digits, NULL));
		return;
	}
	struct json_value v = {.type = JSON_NUMBER, .text = text};
	if (json_i64(&v, &i) == ST_OK)
		oracle_dump_integer(b, i);
	else
		builder_str(b, "beyond 64 bits;");
}

static void dump(struct builder *b, const struct json_value *v)
{
	static const char words[] = "zftnsao"; /* in the order of enum json_type */
	const struct json_value *m = json_first(v);

	if (v->type == JSON_NUMBER) {
		dump_number(b, v->text);
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
		dump(b, m);
	}
}

/* What our writer makes of the text: jansson must find the same values in it. */
static void expect_same_again(const struct json_value *root, struct span want)
{
	struct builder b = {0}, again = {0};
	struct json_writer w;

	json_writer_init(&w, &b);
	json_copy(&w, root);
	assert_int_equal(builder_status(&b), ST_OK);
	if (oracle_read(builder_span(&b), &again) != ORACLE_TAKEN ||
	    !span_eq(builder_span(&again), want))
		fail_msg("written again: %.*s", (int)b.n, (char *)b.p);
	builder_free(&again);
	builder_free(&b);
}

struct tally {
	size_t taken, refused, differed;
};

static void compare(const struct builder *text, struct tally *tally)
{
	struct builder ours = {0}, theirs = {0};
	struct json doc;
	struct err err = {0};
	uint8_t *exact = malloc(text->n + 1);

	assert_non_null(exact);
	memcpy(exact, text->p, text->n);
	json_init(&doc);
	enum status st = json_parse(&doc, exact, text->n, NULL, &err);
	enum oracle_verdict verdict = oracle_read(builder_span(text), &theirs);
	if (st == ST_OK)
		dump(&ours, json_root(&doc));
	if (st == ST_OK && verdict == ORACLE_TAKEN &&
	    span_eq(builder_span(&ours), builder_span(&theirs))) {
		tally->taken++;
		expect_same_again(json_root(&doc), builder_span(&theirs));
	} else if (st == ST_INVALID && verdict == ORACLE_REFUSED) {
		tally->refused++;
	} else if (verdict == ORACLE_NARROWER && (st == ST_OK || st == ST_INVALID)) {
		tally->differed++;
	} else {
		fail_msg("ours: %s %s; jansson: %d; text: %.*s", status_name(st), err.text,
		         (int)verdict, (int)text->n, (char *)text->p);
	}
	builder_free(&ours);
	builder_free(&theirs);
	json_free(&doc);
	free(exact);
}

static void both_readers_agree(void **state)
{
	struct tally whole = {0}, damaged = {0};

	(void)state;
	for (size_t round = 0; round < ROUNDS; round++) {
		struct builder b = {0};
		put_value(&b, 4);
		if (round % 2 == 0) {
			compare(&b, &whole);
		} else {
			for (size_t n = 1 + below(3); n > 0; n--)
				damage(&b);
			builder_str(&b, ""); /* memory, also for nothing */
			compare(&b, &damaged);
		}
		builder_free(&b);
	}
	/* all three outcomes came up often, so the comparison says something */
	assert_int_equal(whole.taken + whole.refused + whole.differed + damaged.taken +
	                     damaged.refused + damaged.differed,
	                 ROUNDS);
	assert_true(whole.taken > ROUNDS / 4);
	assert_true(whole.refused > 500);
	assert_true(whole.differed > 500);
	assert_true(damaged.taken > 500);
	assert_true(damaged.refused > ROUNDS / 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(both_readers_agree)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
