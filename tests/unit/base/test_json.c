/*
 * The JSON reader.  The tables are our own; they follow RFC 8259 section by section and the sorts of mistakes that
 * github.com/nst/JSONTestSuite collects in its n_ files.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/json_scan.h"

/* The linker sends the allocations of our objects here (see meson.build). */
void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);

static size_t allocations; /* so far */
static size_t failing;     /* the one that fails; 0: none */

static bool fails_now(void)
{
	return ++allocations == failing;
}

void *__wrap_malloc(size_t n)
{
	return fails_now() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails_now() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
	return fails_now() ? NULL : __real_realloc(p, n);
}

/* A text in memory of exactly its size, so that a sanitizer sees each byte read beyond; parsed. */
struct parsed {
	uint8_t *text;
	struct json doc;
	struct err err;
	enum status status;
	size_t allocations; /* during the parsing */
};

static void parse_span(struct parsed *t, struct span text, const struct json_limits *limits)
{
	*t = (struct parsed){.text = __real_malloc(text.n > 0 ? text.n : 1)};
	assert_non_null(t->text);
	if (text.n > 0)
		memcpy(t->text, text.p, text.n);
	json_init(&t->doc);
	allocations = 0;
	t->status = json_parse(&t->doc, t->text, text.n, limits, &t->err);
	t->allocations = allocations;
	if (t->status != ST_OK) {
		assert_null(json_root(&t->doc));
		assert_int_equal(t->err.status, t->status);
		assert_non_null(
		    strstr(t->err.text, t->status == ST_NOMEM ? "memory" : " at byte "));
	}
}

static void parse(struct parsed *t, const char *text)
{
	parse_span(t, span_str(text), NULL);
}

static void drop(struct parsed *t)
{
	json_free(&t->doc);
	free(t->text);
}

/* What json_copy makes of the parsed text. */
static void expect_copy(struct parsed *t, struct span want)
{
	struct builder b = {0};
	struct json_writer w;

	json_writer_init(&w, &b);
	json_copy(&w, json_root(&t->doc));
	assert_int_equal(builder_status(&b), ST_OK);
	if (!span_eq(builder_span(&b), want))
		fail_msg("got %.*s, want %.*s", (int)b.n, (char *)b.p, (int)want.n,
		         (const char *)want.p);
	builder_free(&b);
}

/* Text, and how it is written again; NULL: the same. */
static const struct {
	const char *text, *again;
} good[] = {
    /* literals and white space */
    {"null", NULL},
    {"true", NULL},
    {"false", NULL},
    {" \t\r\nnull\n\r\t ", "null"},
    /* numbers, kept as text */
    {"0", NULL},
    {"-0", NULL},
    {"1", NULL},
    {"-1", NULL},
    {"10", NULL},
    {"1234567890123456789012345678901234567890", NULL},
    {"0.5", NULL},
    {"-0.0", NULL},
    {"1.000", NULL},
    {"1e1", NULL},
    {"1E1", NULL},
    {"1e+1", NULL},
    {"1e-1", NULL},
    {"0e0", NULL},
    {"0E+00", NULL},
    {"-1.25e-0017", NULL},
    {"1e999999", NULL},
    {"[0]", NULL},
    {"[-0,0.1,1e0]", NULL},
    /* strings */
    {"\"\"", NULL},
    {"\"a\"", NULL},
    {"\"\x7f\"", NULL},
    {"\"0123456789abcde\"", NULL},
    {"\"0123456789abcdef\"", NULL},
    {"\"0123456789abcdefg\"", NULL},
    {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\\"\\\\/\\b\\f\\n\\r\\t\""},
    {"\"\\u0000\"", NULL},
    {"\"a\\u0000b\"", NULL},
    {"\"\\u001F\\u007f\"", "\"\\u001f\x7f\""},
    {"\"\\u0041\"", "\"A\""},
    {"\"\\u00e9\"", "\"\xc3\xa9\""},
    {"\"\\u00E9\"", "\"\xc3\xa9\""},
    {"\"\\u07ff\\u0800\"", "\"\xdf\xbf\xe0\xa0\x80\""},
    {"\"\\u20aC\"", "\"\xe2\x82\xac\""},
    {"\"\\ud7ff\\ue000\"", "\"\xed\x9f\xbf\xee\x80\x80\""},
    {"\"\\uffff\"", "\"\xef\xbf\xbf\""},
    {"\"\\uD834\\uDD1E\"", "\"\xf0\x9d\x84\x9e\""},
    {"\"\\ud800\\udc00\"", "\"\xf0\x90\x80\x80\""},
    {"\"\\uDBFF\\uDFFF\"", "\"\xf4\x8f\xbf\xbf\""},
    {"\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"", NULL},
    {"\"\xe2\x80\xa8\xe2\x80\xa9\"", NULL},
    {"\"\\\\u0041\"", "\"\\\\u0041\""},
    {"\"before \\n after, which is longer than one vector\"", NULL},
    {"\"\\n\\n\xc3\xa9 mixed \\u00e9 and \\ud83d\\ude00 ends\"",
     "\"\\n\\n\xc3\xa9 mixed \xc3\xa9 and \xf0\x9f\x98\x80 ends\""},
    {"\"/\"", NULL},
    {"\"[{,:}]\"", NULL},
    /* arrays */
    {"[]", NULL},
    {" [ ] ", "[]"},
    {"[[]]", NULL},
    {"[[],[[]],[]]", NULL},
    {"[1,2,3]", NULL},
    {"[ 1 , \"a\" , null , true , false , {} , [] ]", "[1,\"a\",null,true,false,{},[]]"},
    {"[1\n,2]", "[1,2]"},
    {"[true,[false,[null]]]", NULL},
    /* objects */
    {"{}", NULL},
    {"{ }", "{}"},
    {"{\"a\":1}", NULL},
    {"{ \"a\" : 1 , \"b\" : [ ] }", "{\"a\":1,\"b\":[]}"},
    {"{\"\":0}", NULL},
    {"{\"\":0,\"a\":1}", NULL},
    {"{\"\\u0000\":1,\"\":2,\"\\u0000\\u0000\":3}", NULL},
    {"{\"a\":{\"a\":{\"a\":1}}}", NULL},
    {"{\"a\":1,\"A\":2,\"a \":3}", NULL},
    {"{\"\\u0062\":\"\\u0061\"}", "{\"b\":\"a\"}"},
    {"[{\"a\":1},{\"a\":2},{\"a\":3}]", NULL},
    {"{\"x\":[{\"id\":\"a\"}],\"y\":{},\"z\":[[],{}]}", NULL},
    {"{\"\xc3\xa9\":1,\"e\\u0301\":2}", "{\"\xc3\xa9\":1,\"e\xcc\x81\":2}"},
};

static void good_texts(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct parsed t;
		parse(&t, good[i].text);
		if (t.status != ST_OK)
			fail_msg("refused: %s: %s", good[i].text, t.err.text);
		expect_copy(&t, span_str(good[i].again != NULL ? good[i].again : good[i].text));
		drop(&t);
	}
}

#define END "unexpected end"

/* Text, reason, and the byte it is about; -1: the end. */
static const struct {
	const char *text, *reason;
	int at;
} bad[] = {
    /* nothing, or not enough */
    {"", END, -1},
    {" \n", END, -1},
    {"[", END, -1},
    {"[ ", END, -1},
    {"[1", END, -1},
    {"[1,", END, -1},
    {"[1, ", END, -1},
    {"[[", END, -1},
    {"{", END, -1},
    {"{ ", END, -1},
    {"{\"", END, -1},
    {"{\"a", END, -1},
    {"{\"a\"", END, -1},
    {"{\"a\" ", END, -1},
    {"{\"a\":", END, -1},
    {"{\"a\": ", END, -1},
    {"{\"a\":1", END, -1},
    {"{\"a\":1,", END, -1},
    {"n", END, -1},
    {"nul", END, -1},
    {"[tru", END, -1},
    {"fals", END, -1},
    {"-", END, -1},
    {"1.", END, -1},
    {"1e", END, -1},
    {"1e+", END, -1},
    {"-0.", END, -1},
    {"\"", END, -1},
    {"\"a", END, -1},
    {"\"\\", END, -1},
    {"\"\\\"", END, -1},
    {"\"\\u", END, -1},
    {"\"\\u00", END, -1},
    {"\"\\ud800", END, -1},
    {"\"\\ud800\\", END, -1},
    {"\"\\ud800\\u", END, -1},
    {"\"\\ud800\\udc0", END, -1},
    {"\"\xc3", END, -1},
    {"\"\xe2\x82", END, -1},
    {"\"\xf0\x9f\x98", END, -1},
    /* what is no value */
    {"nulL", "expected a value", 0},
    {"Null", "expected a value", 0},
    {"True", "expected a value", 0},
    {"tRue", "expected a value", 0},
    {"nan", "expected a value", 0},
    {"NaN", "expected a value", 0},
    {"Infinity", "expected a value", 0},
    {"-Infinity", "expected a digit", 1},
    {"undefined", "expected a value", 0},
    {"'a'", "expected a value", 0},
    {"a", "expected a value", 0},
    {"*", "expected a value", 0},
    {"<null>", "expected a value", 0},
    {"]", "expected a value", 0},
    {"}", "expected a value", 0},
    {",", "expected a value", 0},
    {":", "expected a value", 0},
    {"\\u0031", "expected a value", 0},
    {"\xef\xbb\xbf{}", "expected a value", 0},
    {"\xef\xbb\xbf", "expected a value", 0},
    {"\xff", "expected a value", 0},
    {"\xc2\xa0"
     "1",
     "expected a value", 0},
    {"\xe2\x81\xa0[]", "expected a value", 0},
    {"\f[]", "expected a value", 0},
    {"\v1", "expected a value", 0},
    {"// comment\n1", "expected a value", 0},
    {"/* comment */1", "expected a value", 0},
    /* behind the value */
    {"1 2", "text after", 2},
    {"[]x", "text after", 2},
    {"[]]", "text after", 2},
    {"{}}", "text after", 2},
    {"[][]", "text after", 2},
    {"{},", "text after", 2},
    {"null#", "text after", 4},
    {"truefalse", "text after", 4},
    {"\"a\"\"b\"", "text after", 3},
    {"\"a\"x", "text after", 3},
    {"{}//", "text after", 2},
    {"{}/**/", "text after", 2},
    {"[1]\xc3\xa5", "text after", 3},
    /* numbers */
    {"01", "text after", 1},
    {"00", "text after", 1},
    {"-01", "text after", 2},
    {"012.3", "text after", 1},
    {"+1", "expected a value", 0},
    {"++1", "expected a value", 0},
    {"--1", "expected a digit", 1},
    {"-a", "expected a digit", 1},
    {"- 1", "expected a digit", 1},
    {".5", "expected a value", 0},
    {"-.5", "expected a digit", 1},
    {"1.a", "expected a digit", 2},
    {"[1.]", "expected a digit", 3},
    {"1.e1", "expected a digit", 2},
    {"1ea", "expected a digit", 2},
    {"[1e]", "expected a digit", 3},
    {"[1e+]", "expected a digit", 4},
    {"1e++1", "expected a digit", 3},
    {"1e1.5", "text after", 3},
    {"1.2.3", "text after", 3},
    {"1e1e1", "text after", 3},
    {"0x1f", "text after", 1},
    {"0b1", "text after", 1},
    {"1_000", "text after", 1},
    {"1,000", "text after", 1},
    {"1f", "text after", 1},
    {"[1 000]", "expected ','", 3},
    {"[-]", "expected a digit", 2},
    {"\xef\xbc\x91", "expected a value", 0},
    {"1\xef\xbc\x91", "text after", 1},
    /* arrays */
    {"[1 2]", "expected ','", 3},
    {"[1:2]", "expected ','", 2},
    {"[\"a\" \"b\"]", "expected ','", 5},
    {"[1}", "expected ','", 2},
    {"[,]", "expected a value", 1},
    {"[,1]", "expected a value", 1},
    {"[1,]", "expected a value", 3},
    {"[1,,2]", "expected a value", 3},
    {"[1,,]", "expected a value", 3},
    {"[1;2]", "expected ','", 2},
    {"[}", "expected a value", 1},
    {"[\"a\",}", "expected a value", 5},
    {"[a]", "expected a value", 1},
    {"[1]2", "text after", 3},
    {"[3[4]]", "expected ','", 2},
    {"[\"x\"", END, -1},
    {"[\"\": 1]", "expected ','", 3},
    /* objects */
    {"{,}", "expected a member name", 1},
    {"{]", "expected a member name", 1},
    {"{[", "expected a member name", 1},
    {"{1:1}", "expected a member name", 1},
    {"{a:1}", "expected a member name", 1},
    {"{'a':1}", "expected a member name", 1},
    {"{null:1}", "expected a member name", 1},
    {"{\"a\"}", "expected ':'", 4},
    {"{\"a\",1}", "expected ':'", 4},
    {"{\"a\" 1}", "expected ':'", 5},
    {"{\"a\"=1}", "expected ':'", 4},
    {"{\"a\"::1}", "expected a value", 5},
    {"{\"a\":}", "expected a value", 5},
    {"{\"a\":,\"b\":1}", "expected a value", 5},
    {"{\"a\":1,}", "expected a member name", 7},
    {"{\"a\":1,,\"b\":2}", "expected a member name", 7},
    {"{\"a\":1 \"b\":2}", "expected ','", 7},
    {"{\"a\":1;\"b\":2}", "expected ','", 6},
    {"{\"a\":1]", "expected ','", 6},
    {"{\"a\":1 1}", "expected ','", 7},
    {"{\"a\":1:2}", "expected ','", 6},
    {"{\"a\":\"b\"}#", "text after", 9},
    {"{\"a\":1,2}", "expected a member name", 7},
    {"{\"a\":1,\"a\":1}", "duplicate", 7},
    {"{\"a\":1,\"\\u0061\":1}", "duplicate", 7},
    {"{\"\":1,\"\":1}", "duplicate", 6},
    {"[{\"x\":[],\"y\":{},\"x\":null}]", "duplicate", 16},
    {"{\"o\":{\"a\":1,\"b\":2,\"a\":3}}", "duplicate", 18},
    /* strings */
    {"\"\n\"", "control character", 1},
    {"\"\t\"", "control character", 1},
    {"\"a\x1f\"", "control character", 2},
    {"\"0123456789abcdef\x01\"", "control character", 17},
    {"{\"a\nb\":1}", "control character", 3},
    {"\"\\\n\"", "unknown escape", 1},
    {"\"\\x41\"", "unknown escape", 1},
    {"\"\\0\"", "unknown escape", 1},
    {"\"\\a\"", "unknown escape", 1},
    {"\"\\'\"", "unknown escape", 1},
    {"\"\\U0041\"", "unknown escape", 1},
    {"\"\\ \"", "unknown escape", 1},
    {"\"\\B\"", "unknown escape", 1},
    {"\"\\\xc3\xa9\"", "unknown escape", 1},
    {"\"\\u\"", "hex digit", 3},
    {"\"\\u004\"", "hex digit", 6},
    {"\"\\u00g0\"", "hex digit", 5},
    {"\"\\u+041\"", "hex digit", 3},
    {"\"\\u 041\"", "hex digit", 3},
    {"\"\\u{41}\"", "hex digit", 3},
    {"\"\\u004\xc3\"", "hex digit", 6},
    {"\"\\ud800\"", "lone surrogate", 1},
    {"\"\\udbffx\"", "lone surrogate", 1},
    {"\"\\udc00\"", "lone surrogate", 1},
    {"\"\\udfff\"", "lone surrogate", 1},
    {"\"\\ud800\\n\"", "lone surrogate", 1},
    {"\"\\ud800\\u0041\"", "lone surrogate", 1},
    {"\"\\ud800\\ud800\"", "lone surrogate", 1},
    {"\"\\ud800\\ud800\\udc00\"", "lone surrogate", 1},
    {"\"\\udc00\\ud800\"", "lone surrogate", 1},
    {"\"\\ud800\\u12g4\"", "hex digit", 11},
    {"\"x\\n\\ude00y\"", "lone surrogate", 4},
    /* UTF-8 */
    {"\"\x80\"", "UTF-8", 1},
    {"\"\xbf\"", "UTF-8", 1},
    {"\"\xc0\xaf\"", "UTF-8", 1},
    {"\"\xc1\x81\"", "UTF-8", 1},
    {"\"\xc3\"", "UTF-8", 1},
    {"\"\xc3(\"", "UTF-8", 1},
    {"\"\xe0\x80\xaf\"", "UTF-8", 1},
    {"\"\xe2\x82\"", "UTF-8", 1},
    {"\"\xed\xa0\x80\"", "UTF-8", 1},
    {"\"\xed\xbf\xbf\"", "UTF-8", 1},
    {"\"\xed\xa0\x80", "UTF-8", 1},
    {"\"\xf4\x90\x80\x80", "UTF-8", 1},
    {"\"\xf0\x80\x80\x80\"", "UTF-8", 1},
    {"\"\xf0\x9f\x98\"", "UTF-8", 1},
    {"\"\xf4\x90\x80\x80\"", "UTF-8", 1},
    {"\"\xf5\x80\x80\x80\"", "UTF-8", 1},
    {"\"\xf8\x88\x80\x80\x80\"", "UTF-8", 1},
    {"\"\xfe\"", "UTF-8", 1},
    {"\"\xff\"", "UTF-8", 1},
    {"\"ab\\ncd\xe9\"", "UTF-8", 7},
    {"{\"\xff\":1}", "UTF-8", 2},
};

static void expect_bad(struct span text, const char *reason, size_t at)
{
	struct parsed t;
	char place[40];

	(void)snprintf(place, sizeof(place), " at byte %zu", at);
	parse_span(&t, text, NULL);
	if (t.status != ST_INVALID || strstr(t.err.text, reason) == NULL ||
	    !span_ends(span_str(t.err.text), span_str(place)))
		fail_msg("%.*s: want %s%s, got %s: %s", (int)text.n, (const char *)text.p, reason,
		         place, status_name(t.status), t.err.text);
	drop(&t);
}

static void bad_texts(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct span text = span_str(bad[i].text);
		expect_bad(text, bad[i].reason, bad[i].at < 0 ? text.n : (size_t)bad[i].at);
	}
}

static void bad_texts_with_nul(void **state)
{
	(void)state;
	expect_bad(span_of("\0", 1), "expected a value", 0);
	expect_bad(span_of("1\0", 2), "text after", 1);
	expect_bad(span_of("[1\0]", 4), "expected ','", 2);
	expect_bad(span_of("\"a\0b\"", 5), "control character", 2);
	expect_bad(span_of("\"\\\0\"", 4), "unknown escape", 1);
	expect_bad(span_of("{\"a\"\0:1}", 8), "expected ':'", 4);
	expect_bad(span_of("{}\0{}", 5), "text after", 2);
	expect_bad(span_of(NULL, 0), END, 0);
}

/* Each control byte, in a string of each length around a vector's. */
static void control_bytes_in_strings(void **state)
{
	(void)state;
	for (uint8_t c = 0; c < 0x20; c++) {
		for (size_t before = 0; before < 40; before++) {
			char text[64];
			memset(text, 'x', sizeof(text));
			text[0] = text[before + 3] = '"';
			text[before + 1] = (char)c;
			expect_bad(span_of(text, before + 4), "control character", before + 1);
		}
	}
}

/* Every proper prefix of a text that is a container, as if the connection had broken. */
static void every_prefix_ends_unexpectedly(void **state)
{
	static const char text[] = "{\"a\": [1.5e+7, -0, true, false, null, "
	                           "\"x\\n\\u00e9\\ud83d\\ude00\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"
	                           "\"], \"b\": {}, \"c\\\\\": \"\"} ";
	struct parsed t;
	struct span whole = span_str(text);

	(void)state;
	parse_span(&t, span_of(whole.p, whole.n - 1), NULL);
	assert_int_equal(t.status, ST_OK);
	drop(&t);
	for (size_t n = 0; n < whole.n - 1; n++)
		expect_bad(span_of(whole.p, n), END, n);
}

static const struct json_value *member(const struct json_value *o, const char *name)
{
	const struct json_value *v = json_member(o, name);

	assert_non_null(v);
	return v;
}

static void values_are_found(void **state)
{
	struct parsed t;

	(void)state;
	parse(&t, "{\"s\":\"a\\u0000b\",\"n\":-1.5,\"t\":true,\"f\":false,\"z\":null,\"l\":[1,[2,3]"
	          ",{\"x\":4}],\"o\":{\"\":\"e\"},\"n\\u0000\":7}");
	assert_int_equal(t.status, ST_OK);
	const struct json_value *root = json_root(&t.doc);
	assert_int_equal(root->type, JSON_OBJECT);
	assert_int_equal(root->count, 8);
	assert_int_equal(root->skip, t.doc.n);
	assert_int_equal(root->name.n, 0);
	assert_int_equal(member(root, "s")->type, JSON_STRING);
	assert_true(span_eq(member(root, "s")->text, span_of("a\0b", 3)));
	assert_true(span_eq_str(member(root, "s")->name, "s"));
	assert_int_equal(member(root, "n")->type, JSON_NUMBER);
	assert_true(span_eq_str(member(root, "n")->text, "-1.5"));
	assert_int_equal(member(root, "t")->type, JSON_TRUE);
	assert_int_equal(member(root, "f")->type, JSON_FALSE);
	assert_int_equal(member(root, "z")->type, JSON_NULL);
	assert_int_equal(member(root, "z")->text.n, 0);
	assert_true(span_eq_str(member(member(root, "o"), "")->text, "e"));
	assert_true(span_eq_str(json_member_span(root, span_of("n\0", 2))->text, "7"));
	assert_null(json_member(root, "missing"));
	assert_null(json_member(root, "x"));
	assert_null(json_member(root, ""));
	assert_null(json_member(NULL, "s"));
	assert_null(json_member(member(root, "l"), "x"));
	assert_null(json_member(member(root, "s"), "s"));

	const struct json_value *l = member(root, "l"), *v = json_first(l);
	assert_int_equal(l->count, 3);
	assert_int_equal(l->skip, 7);
	assert_true(span_eq_str(v->text, "1"));
	assert_int_equal(v->skip, 1);
	assert_int_equal(v->name.n, 0);
	v = json_next(v);
	assert_int_equal(v->type, JSON_ARRAY);
	assert_int_equal(v->count, 2);
	v = json_next(v);
	assert_int_equal(v->type, JSON_OBJECT);
	assert_true(span_eq_str(member(v, "x")->text, "4"));
	assert_ptr_equal(json_next(v), member(root, "o"));
	drop(&t);
}

static void integers(void **state)
{
	static const struct {
		const char *text;
		enum status i, u;
		int64_t i_value;
		uint64_t u_value;
	} cases[] = {
	    {"0", ST_OK, ST_OK, 0, 0},
	    {"-0", ST_OK, ST_OK, 0, 0},
	    {"7", ST_OK, ST_OK, 7, 7},
	    {"-7", ST_OK, ST_INVALID, -7, 0},
	    {"-1", ST_OK, ST_INVALID, -1, 0},
	    {"-9", ST_OK, ST_INVALID, -9, 0},
	    {"9223372036854775807", ST_OK, ST_OK, INT64_MAX, (uint64_t)INT64_MAX},
	    {"9223372036854775808", ST_INVALID, ST_OK, 0, UINT64_C(9223372036854775808)},
	    {"-9223372036854775807", ST_OK, ST_INVALID, -INT64_MAX, 0},
	    {"-9223372036854775808", ST_OK, ST_INVALID, INT64_MIN, 0},
	    {"-9223372036854775809", ST_INVALID, ST_INVALID, 0, 0},
	    {"-9223372036854775810", ST_INVALID, ST_INVALID, 0, 0},
	    {"18446744073709551615", ST_INVALID, ST_OK, 0, UINT64_MAX},
	    {"18446744073709551616", ST_INVALID, ST_INVALID, 0, 0},
	    {"18446744073709551620", ST_INVALID, ST_INVALID, 0, 0},
	    {"99999999999999999999", ST_INVALID, ST_INVALID, 0, 0},
	    {"184467440737095516150", ST_INVALID, ST_INVALID, 0, 0},
	    {"340282366920938463463374607431768211456", ST_INVALID, ST_INVALID, 0, 0},
	    {"1.0", ST_INVALID, ST_INVALID, 0, 0},
	    {"-0.0", ST_INVALID, ST_INVALID, 0, 0},
	    {"1e0", ST_INVALID, ST_INVALID, 0, 0},
	    {"1E2", ST_INVALID, ST_INVALID, 0, 0},
	    {"\"1\"", ST_INVALID, ST_INVALID, 0, 0},
	    {"true", ST_INVALID, ST_INVALID, 0, 0},
	    {"null", ST_INVALID, ST_INVALID, 0, 0},
	    {"[1]", ST_INVALID, ST_INVALID, 0, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct parsed t;
		int64_t s = -77;
		uint64_t u = 77;
		parse(&t, cases[i].text);
		assert_int_equal(t.status, ST_OK);
		assert_int_equal(json_i64(json_root(&t.doc), &s), cases[i].i);
		assert_int_equal(json_u64(json_root(&t.doc), &u), cases[i].u);
		assert_true(s == (cases[i].i == ST_OK ? cases[i].i_value : -77));
		assert_true(u == (cases[i].u == ST_OK ? cases[i].u_value : 77));
		drop(&t);
	}
	int64_t s = 5;
	uint64_t u = 5;
	assert_int_equal(json_i64(NULL, &s), ST_INVALID);
	assert_int_equal(json_u64(NULL, &u), ST_INVALID);
}

static void expect_limited(const char *text, struct json_limits limits, enum status want)
{
	struct parsed t;

	parse_span(&t, span_str(text), &limits);
	if (t.status != want)
		fail_msg("%s: got %s, want %s", text, status_name(t.status), status_name(want));
	drop(&t);
}

static void limits_hold_to_the_last_one(void **state)
{
	const struct json_limits small = {.depth = 2, .values = 4, .string = 5};

	(void)state;
	expect_limited("[[]]", small, ST_OK);
	expect_limited("[[[]]]", small, ST_LIMIT);
	expect_limited("[{\"a\":[]}]", small, ST_LIMIT);
	expect_limited("[[],[],[]]", small, ST_OK);
	expect_limited("[1,2,3]", small, ST_OK);
	expect_limited("[1,2,3,4]", small, ST_LIMIT);
	expect_limited("[1,2,3,[]]", small, ST_LIMIT);
	expect_limited("\"12345\"", small, ST_OK);
	expect_limited("\"123456\"", small, ST_LIMIT);
	expect_limited("\"1234\\u00410\"", small, ST_LIMIT);
	expect_limited("\"1234\\u0041\"", small, ST_OK);
	expect_limited("{\"12345\":1}", small, ST_OK);
	expect_limited("{\"123456\":1}", small, ST_LIMIT);
	expect_limited("12345", small, ST_OK);
	expect_limited("123456", small, ST_LIMIT);
	expect_limited("1", (struct json_limits){.values = 1, .string = 1}, ST_OK);
	expect_limited("[]", (struct json_limits){.values = 1, .string = 1}, ST_LIMIT);
	expect_limited("1", (struct json_limits){.string = 1}, ST_LIMIT);
	expect_limited("\"\"", (struct json_limits){.values = 1}, ST_OK);
}

/* n opening brackets and as many closing ones. */
static enum status parse_nested(size_t n, const struct json_limits *limits)
{
	struct builder b = {0};
	struct parsed t;

	for (size_t i = 0; i < n; i++)
		builder_str(&b, i % 2 == 0 ? "[" : "{\"a\":");
	for (size_t i = n; i > 0; i--)
		builder_u8(&b, (i - 1) % 2 == 0 ? ']' : '}');
	/* an odd depth ends in an array, an even one in an object without value */
	assert_int_equal(n % 2, 1);
	parse_span(&t, builder_span(&b), limits);
	enum status st = t.status;
	if (st == ST_OK) {
		assert_int_equal(t.doc.n, n);
		expect_copy(&t, builder_span(&b));
	}
	drop(&t);
	builder_free(&b);
	return st;
}

static void depth(void **state)
{
	struct json_limits deepest = json_limits_default;

	(void)state;
	assert_int_equal(json_limits_default.depth, 64);
	assert_int_equal(json_limits_default.values, 1000000);
	assert_int_equal(json_limits_default.string, 32 << 20);
	deepest.depth = JSON_DEPTH_MAX;
	assert_int_equal(parse_nested(63, NULL), ST_OK);
	assert_int_equal(parse_nested(65, NULL), ST_LIMIT);
	assert_int_equal(parse_nested(JSON_DEPTH_MAX - 1, &deepest), ST_OK);
	assert_int_equal(parse_nested(JSON_DEPTH_MAX + 1, &deepest), ST_LIMIT);
	assert_int_equal(parse_nested(1000001, &deepest), ST_LIMIT);
	deepest.depth = 63;
	assert_int_equal(parse_nested(63, &deepest), ST_OK);
	deepest.depth = 62;
	assert_int_equal(parse_nested(63, &deepest), ST_LIMIT);
}

/* An object of n members m0, m1 ...; the name of member `twin` is that of member `of`. */
static void put_object(struct builder *b, size_t n, size_t twin, size_t of)
{
	builder_u8(b, '{');
	for (size_t i = 0; i < n; i++)
		builder_fmt(b, "%s\"a common prefix \\u006d%zu\":[%zu]", i > 0 ? "," : "",
		            i == twin ? of : i, i);
	builder_u8(b, '}');
}

static void duplicates_in_objects_of_many_sizes(void **state)
{
	static const size_t sizes[] = {2,  3,  15, 16, 17,  18,  31,  32,
	                               63, 64, 65, 66, 127, 128, 129, 1000};

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		size_t n = sizes[i];
		const size_t pairs[][2] = {
		    {1, 0}, {n - 1, 0}, {n - 1, n - 2}, {n / 2, 0}, {n - 1, n / 2}};
		struct builder b = {0};
		struct parsed t;
		put_object(&b, n, n, 0);
		parse_span(&t, builder_span(&b), NULL);
		assert_int_equal(t.status, ST_OK);
		assert_int_equal(json_root(&t.doc)->count, n);
		drop(&t);
		for (size_t p = 0; p < sizeof(pairs) / sizeof(pairs[0]); p++) {
			if (pairs[p][0] == pairs[p][1])
				continue;
			builder_reset(&b);
			put_object(&b, n, pairs[p][0], pairs[p][1]);
			parse_span(&t, builder_span(&b), NULL);
			assert_int_equal(t.status, ST_INVALID);
			assert_non_null(strstr(t.err.text, "duplicate member name"));
			drop(&t);
		}
		builder_free(&b);
	}
}

/* Names of which each is the beginning of the next, zero bytes among them: alike for a careless hash or compare. */
static void names_of_zero_bytes_are_distinct(void **state)
{
	struct builder b = {0};
	struct parsed t;

	(void)state;
	builder_u8(&b, '{');
	for (size_t n = 0; n < 100; n++) {
		builder_str(&b, n > 0 ? ",\"" : "\"");
		for (size_t i = 0; i < n; i++)
			builder_str(&b, "\\u0000");
		builder_str(&b, "\":0");
	}
	builder_u8(&b, '}');
	parse_span(&t, builder_span(&b), NULL);
	assert_int_equal(t.status, ST_OK);
	assert_int_equal(json_root(&t.doc)->count, 100);
	assert_int_equal(json_next(json_first(json_root(&t.doc)))->name.n, 1);
	drop(&t);
	builder_free(&b);
}

static void put_array(struct builder *b, size_t n)
{
	builder_u8(b, '[');
	for (size_t i = 0; i < n; i++)
		builder_fmt(b, "%s%zu", i > 0 ? "," : "", i);
	builder_u8(b, ']');
}

static void small_documents_need_no_memory(void **state)
{
	struct builder b = {0};
	struct parsed t;

	(void)state;
	put_array(&b, JSON_INLINE - 1);
	parse_span(&t, builder_span(&b), NULL);
	assert_int_equal(t.status, ST_OK);
	assert_int_equal(t.doc.n, JSON_INLINE);
	assert_int_equal(t.allocations, 0);
	drop(&t);
	builder_reset(&b);
	builder_u8(&b, '{');
	for (int i = 1; i < JSON_INLINE; i++)
		builder_fmt(&b, "%s\"%d\":%d", i > 1 ? "," : "", i, i);
	builder_u8(&b, '}');
	parse_span(&t, builder_span(&b), NULL);
	assert_int_equal(t.status, ST_OK);
	assert_int_equal(t.doc.n, JSON_INLINE);
	assert_int_equal(t.allocations, 0);
	drop(&t);
	builder_reset(&b);
	put_array(&b, JSON_INLINE);
	parse_span(&t, builder_span(&b), NULL);
	assert_int_equal(t.status, ST_OK);
	assert_int_equal(t.allocations, 1);
	drop(&t);
	builder_free(&b);
}

static void large_documents(void **state)
{
	struct builder b = {0};
	struct parsed t;

	(void)state;
	put_array(&b, 999999);
	parse_span(&t, builder_span(&b), NULL);
	assert_int_equal(t.status, ST_OK);
	assert_int_equal(t.doc.n, 1000000);
	const struct json_value *v = json_first(json_root(&t.doc));
	for (uint64_t i = 0; i < 999999; i++, v = json_next(v)) {
		uint64_t got = 0;
		assert_int_equal(json_u64(v, &got), ST_OK);
		assert_true(got == i);
	}
	drop(&t);
	builder_reset(&b);
	put_array(&b, 1000000);
	parse_span(&t, builder_span(&b), NULL);
	assert_int_equal(t.status, ST_LIMIT);
	drop(&t);
	builder_free(&b);
}

/* Fail the first allocation, then the second ...; each time nothing is left, and at last it works. */
static void memory_runs_out(void **state)
{
	struct builder b = {0};
	size_t refused = 0;

	(void)state;
	builder_u8(&b, '[');
	put_object(&b, 300, 300, 0);
	builder_u8(&b, ',');
	put_array(&b, 3000);
	builder_u8(&b, ']');
	for (;;) {
		struct parsed t;
		failing = refused + 1;
		parse_span(&t, builder_span(&b), NULL);
		failing = 0;
		enum status st = t.status;
		drop(&t);
		if (st == ST_OK)
			break;
		assert_int_equal(st, ST_NOMEM);
		refused++;
	}
	assert_true(refused >= 3); /* the values grow, and the set of names */
	builder_free(&b);
}

static void a_document_is_parsed_into_again(void **state)
{
	struct json doc;
	struct err err = {0};
	struct builder big = {0};
	char one[] = "{\"a\":1}", broken[] = "[1,2", two[] = "[true]";

	(void)state;
	put_array(&big, 500);
	json_init(&doc);
	assert_null(json_root(&doc));
	assert_int_equal(json_parse(&doc, (uint8_t *)one, strlen(one), NULL, &err), ST_OK);
	assert_int_equal(doc.n, 2);
	assert_int_equal(json_parse(&doc, big.p, big.n, NULL, &err), ST_OK);
	assert_int_equal(doc.n, 501);
	assert_int_equal(json_parse(&doc, (uint8_t *)broken, strlen(broken), NULL, NULL),
	                 ST_INVALID);
	assert_null(json_root(&doc));
	assert_int_equal(json_parse(&doc, (uint8_t *)two, strlen(two), NULL, &err), ST_OK);
	assert_int_equal(json_root(&doc)->count, 1);
	assert_int_equal(json_first(json_root(&doc))->type, JSON_TRUE);
	json_free(&doc);
	assert_null(json_root(&doc));
	json_free(&doc);
	json_free(NULL);
	builder_free(&big);
}

static void errors_do_not_quote_the_text(void **state)
{
	static const char *const texts[] = {
	    "{\"password\":\"hunter2\" x}", "{\"password\":\"hunter2\\q\"}",
	    "{\"password\":\"hunter2\",\"password\":1}", "\"hunter2"};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct parsed t;
		parse(&t, texts[i]);
		assert_int_equal(t.status, ST_INVALID);
		assert_null(strstr(t.err.text, "hunter2"));
		assert_null(strstr(t.err.text, "password"));
		drop(&t);
	}
}

/* All bytes in all places of texts of all lengths up to three vectors: the fast scan and its twin agree. */
static void fast_scan_equals_scalar(void **state)
{
	uint8_t text[48];

	(void)state;
	for (size_t n = 0; n <= sizeof(text); n++) {
		for (size_t at = 0; at < n; at++) {
			for (unsigned c = 0; c < 256; c++) {
				bool special = c < 0x20 || c >= 0x80 || c == '"' || c == '\\';
				memset(text, 'x', sizeof(text));
				text[at] = (uint8_t)c;
				size_t want = special ? at : n;
				assert_int_equal(json_plain_scalar(span_of(text, n)), want);
				assert_int_equal(json_plain(span_of(text, n)), want);
			}
		}
	}
	assert_int_equal(json_plain(span_of(NULL, 0)), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(good_texts),
	    cmocka_unit_test(bad_texts),
	    cmocka_unit_test(bad_texts_with_nul),
	    cmocka_unit_test(control_bytes_in_strings),
	    cmocka_unit_test(every_prefix_ends_unexpectedly),
	    cmocka_unit_test(values_are_found),
	    cmocka_unit_test(integers),
	    cmocka_unit_test(limits_hold_to_the_last_one),
	    cmocka_unit_test(depth),
	    cmocka_unit_test(duplicates_in_objects_of_many_sizes),
	    cmocka_unit_test(names_of_zero_bytes_are_distinct),
	    cmocka_unit_test(small_documents_need_no_memory),
	    cmocka_unit_test(large_documents),
	    cmocka_unit_test(memory_runs_out),
	    cmocka_unit_test(a_document_is_parsed_into_again),
	    cmocka_unit_test(errors_do_not_quote_the_text),
	    cmocka_unit_test(fast_scan_equals_scalar),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
