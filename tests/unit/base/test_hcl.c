#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/hcl.h"

/* The linker leads the module's allocations here (--wrap); `allowed` counts down to the one that fails. */
static int allowed = -1;
void *__real_malloc(size_t n);
void *__wrap_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__wrap_realloc(void *p, size_t n);

static int fails(void)
{
	if (allowed < 0)
		return 0;
	return allowed-- == 0;
}

void *__wrap_malloc(size_t n)
{
	return fails() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
	return fails() ? NULL : __real_realloc(p, n);
}

static struct hcl *parse(const char *text)
{
	struct err err = {0};
	struct hcl *h = NULL;

	if (hcl_parse(span_str(text), &h, &err) != ST_OK)
		fail_msg("%s: %s", text, err.text);
	return h;
}

static void show_span(struct builder *b, struct span s)
{
	builder_str(b, "\"");
	builder_add(b, s);
	builder_str(b, "\"");
}

/* The tree as text: objects as (key:label value ...), lists as [..], scalars with a letter for their type. */
static void show(struct builder *b, const struct hcl_value *v)
{
	switch (v->type) {
	case HCL_STRING:
		show_span(b, v->text);
		break;
	case HCL_NUMBER:
		builder_str(b, "n");
		builder_add(b, v->text);
		break;
	case HCL_BOOL:
		builder_str(b, "b");
		builder_add(b, v->text);
		break;
	case HCL_LIST:
		builder_str(b, "[");
		for (size_t i = 0; i < v->n; i++)
			show(b, &v->list[i]);
		builder_str(b, "]");
		break;
	case HCL_OBJECT:
		builder_str(b, "(");
		for (size_t i = 0; i < v->n; i++) {
			builder_add(b, v->items[i].key);
			for (size_t k = 0; k < v->items[i].n_labels; k++) {
				builder_str(b, ":");
				builder_add(b, v->items[i].labels[k]);
			}
			builder_str(b, " ");
			show(b, v->items[i].value);
		}
		builder_str(b, ")");
		break;
	default:
		fail();
	}
}

static void trees(void **state)
{
	static const struct {
		const char *text, *tree;
	} cases[] = {
	    {"", "()"},
	    {" \n\t# only a comment", "()"},
	    {"a = 1", "(a n1)"},
	    {"a=1 b=2", "(a n1b n2)"},
	    {"a = 1, b = 2,", "(a n1b n2)"},
	    {"\"quoted key\" = true", "(quoted key btrue)"},
	    {"a-b_c.d = false", "(a-b_c.d bfalse)"},
	    {"a = -1.5e+3 b = 0x1F c = 0755 d = 1E2", "(a n-1.5e+3b n0x1Fc n0755d n1E2)"},
	    {"a = []", "(a [])"},
	    {"a = [1, \"x\", true, [2], {b = 3},]", "(a [n1\"x\"btrue[n2](b n3)])"},
	    {"a = {}", "(a ())"},
	    {"a {}", "(a ())"},
	    {"a { b = 1 } a { b = 2 }", "(a (b n1)a (b n2))"},
	    {"path \"secret/*\" { capabilities = [\"read\"] nosuch = 1 }",
	     "(path:secret/* (capabilities [\"read\"]nosuch n1))"},
	    {"audit \"file\" \"name\" {\n x = \"1\" }", "(audit:file:name (x \"1\"))"},
	    {"storage inmem {}", "(storage:inmem ())"},
	    {"a b c d e f g h i {}", "(a:b:c:d:e:f:g:h:i ())"},
	    {"a = 1 # c\nb = 2 // c\n/* c\n * c */ c /* */ = /**/ 3", "(a n1b n2c n3)"},
	    {"a = \"\\a\\b\\f\\n\\r\\t\\v\\\\\\\"\"", "(a \"\a\b\f\n\r\t\v\\\"\")"},
	    {"a = \"\\101\\x42\\u00e4\\U0001f511\"", "(a \"AB\xc3\xa4\xf0\x9f\x94\x91\")"},
	    {"a = \"\xc3\xa4\t/\"", "(a \"\xc3\xa4\t/\")"},
	    {"a = <<EOT\none\n  two\nEOT\nb = 1", "(a \"one\n  two\n\"b n1)"},
	    {"a = <<EOT\nEOT", "(a \"\")"},
	    {"a = <<EOT\r\none\r\nEOT\r\n", "(a \"one\r\n\")"},
	    {"a = <<EOT\nEOTX\n EOT \nEOT\n", "(a \"EOTX\n EOT \n\")"},
	    {"a = <<EOT\n\"\\n # not a comment\nEOT\n", "(a \"\"\\n # not a comment\n\")"},
	    {"a = <<-EOT\n    one\n      two\n\n    EOT\nb = 1", "(a \"one\n  two\n\n\"b n1)"},
	    {"a = <<-EOT\n  one\n    two\n    EOT\n", "(a \"  one\n    two\n\")"},
	    {"a = [<<X\nin a list\nX\n, 2]", "(a [\"in a list\n\"n2])"},
	    {"\xef\xbb\xbf"
	     "a = 1",
	     "(a n1)"},
	    {"a = 1\r\nb = 2\r\n", "(a n1b n2)"},
	    {"true = 1", "(true n1)"},
	    /* the same as JSON */
	    {"{}", "()"},
	    {" \n{\"a\": 1, \"b\": [true, false, \"x\", [], {}]}\n",
	     "(a n1b [btruebfalse\"x\"[]()])"},
	    {"{\"path\": {\"a/b\": {\"c\": -0.5e1}}}", "(path (a/b (c n-0.5e1)))"},
	    {"{\"a\": \"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e4\\ud83d\\udd11\"}",
	     "(a \"\"\\/\b\f\n\r\t\xc3\xa4\xf0\x9f\x94\x91\")"},
	    {"{\"a\": 1, \"a\": 2}", "(a n1a n2)"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct hcl *h = parse(cases[i].text);
		struct builder b = {0};

		show(&b, hcl_root(h));
		builder_u8(&b, 0);
		assert_int_equal(builder_status(&b), ST_OK);
		if (strcmp((const char *)b.p, cases[i].tree) != 0)
			fail_msg("%s\n%s\n%s", cases[i].text, (const char *)b.p, cases[i].tree);
		builder_free(&b);
		hcl_free(&h);
		assert_null(h);
	}
}

static void bad_texts(void **state)
{
	static const struct {
		const char *text, *error;
	} bad[] = {
	    {"path {", "At 1:7: object expected closing RBRACE got: EOF"},
	    {"a", "At 1:2: expected '=' or a block got: EOF"},
	    {"a =", "At 1:4: expected a value got: EOF"},
	    {"a = b", "At 1:5: expected a value got: IDENT"},
	    {"a = TRUE", "At 1:5: expected a value"},
	    {"a = null", "At 1:5: expected a value"},
	    {"a \"l\" = 1", "At 1:7: nested object expected: LBRACE got: ASSIGN"},
	    {"a \"l\" \"m\" 5", "At 1:11: expected"},
	    {"= 1", "At 1:1: expected a key"},
	    {"a = 1,, b = 2", "At 1:7: expected a key got: COMMA"},
	    {", a = 1", "At 1:1: expected a key"},
	    {"a = 1 }", "At 1:7: expected a key"},
	    {"a = [1 2]", "At 1:8: error parsing list, expected comma or list end, got: NUMBER"},
	    {"a = [1", "At 1:7: error parsing list"},
	    {"a = [,]", "At 1:6: expected a value"},
	    {"a = [1,,2]", "At 1:8: expected a value"},
	    {"a = {b = 1", "At 1:11: object expected closing RBRACE"},
	    {"a = {1 = 2}", "At 1:6: object expected closing RBRACE got: NUMBER"},
	    {"a = {b}", "At 1:7: expected '=' or a block"},
	    {"a : 1", "At 1:3: unexpected character"},
	    {"a = 1; b = 2", "At 1:6: unexpected character"},
	    {"a = 'x'", "At 1:5: unexpected character"},
	    {"\xc3\xa4 = 1", "At 1:1: unexpected character"},
	    {"a = \"\xc3\xa4\" b = ]", "At 1:13: expected a value"},
	    {"\n\n  a = ]", "At 3:7: expected a value"},
	    {"a = \"x", "At 1:5: literal not terminated"},
	    {"a = \"x\ny\"", "At 1:5: literal not terminated"},
	    {"a = \"\\", "At 1:6: invalid escape"},
	    {"a = \"\\q\"", "At 1:6: invalid escape"},
	    {"a = \"\\/\"", "At 1:6: invalid escape"},
	    {"a = \"\\u12\"", "At 1:6: invalid escape"},
	    {"a = \"\\u12g4\"", "At 1:6: invalid escape"},
	    {"a = \"\\ud83d\\udd11\"", "At 1:6: a string must not hold"},
	    {"a = \"\\U00110000\"", "At 1:6: a string must not hold"},
	    {"a = \"\\u0000\"", "At 1:6: a string must not hold"},
	    {"a = \"\\000\"", "At 1:6: a string must not hold"},
	    {"a = \"\\x80\"", "At 1:6: invalid escape"},
	    {"a = \"\\08\"", "At 1:6: invalid escape"},
	    {"a = \"\\377\"", "At 1:6: invalid escape"},
	    {"a = \"\x01\"", "At 1:6: control character"},
	    {"a = \"\x7f\"", "At 1:6: control character"},
	    {"a = \"\xff\"", "At 1:6: invalid UTF-8"},
	    {"# \xff", "At 1:3: invalid UTF-8"},
	    {"a = 1 /* x", "At 1:7: comment not terminated"},
	    {"a = 1 /* x *", "At 1:7: comment not terminated"},
	    {"a = <<EOT\nx\n", "At 1:5: heredoc not terminated"},
	    {"a = <<EOT\nx\nEOTX", "At 1:5: heredoc not terminated"},
	    {"a = <<\nx\n", "At 1:5: heredoc without a mark"},
	    {"a = <<EOT x\nEOT\n", "At 1:10: a heredoc's mark must end its line"},
	    {"a = <<EOT", "At 1:10: a heredoc's mark must end its line"},
	    {"a = 1h", "At 1:5: malformed number"},
	    {"a = 1.", "At 1:5: malformed number"},
	    {"a = 1.2.3", "At 1:5: malformed number"},
	    {"a = -", "At 1:5: malformed number"},
	    {"a = 0x", "At 1:5: malformed number"},
	    {"a = 0xg", "At 1:5: malformed number"},
	    {"a = 1e", "At 1:5: malformed number"},
	    {"a = 1e+", "At 1:5: malformed number"},
	    {"a = +1", "At 1:5: unexpected character"},
	    {"a = .5", "At 1:5: unexpected character"},
	    {"a b c d e f g h i j {}", "too many labels"},
	    /* JSON */
	    {"{", "At 1:2: object expected closing RBRACE got: EOF"},
	    {"{} x", "At 1:4: expected the end of the text"},
	    {"{}{}", "At 1:3: expected the end of the text"},
	    {"{\"a\" 1}", "At 1:6: expected a colon"},
	    {"{\"a\" {}}", "At 1:6: expected a colon"},
	    {"{\"a\" \"b\" {}}", "At 1:6: expected a colon"},
	    {"{\"a\" = 1}", "At 1:6: unexpected character"},
	    {"{a: 1}", "At 1:2: object expected closing RBRACE got: IDENT"},
	    {"{\"a\": 1,}", "At 1:9: expected a name"},
	    {"{\"a\": 1 \"b\": 2}", "At 1:9: object expected closing RBRACE or a comma"},
	    {"{\"a\": [1,]}", "At 1:10: expected a value"},
	    {"{\"a\": null}", "At 1:7: expected a value"},
	    {"{\"a\": 01}", "At 1:7: malformed number"},
	    {"{\"a\": 0x1}", "At 1:7: malformed number"},
	    {"{\"a\": \"\\v\"}", "At 1:8: invalid escape"},
	    {"{\"a\": \"\\x41\"}", "At 1:8: invalid escape"},
	    {"{\"a\": \"\\101\"}", "At 1:8: invalid escape"},
	    {"{\"a\": \"\\ud83d\"}", "At 1:8: invalid escape"},
	    {"{\"a\": \"\\ud83d\\u0041\"}", "At 1:8: invalid escape"},
	    {"{\"a\": \"\\udd11\"}", "At 1:8: a string must not hold"},
	    {"{\"a\": \"\t\"}", "At 1:8: control character"},
	    {"{\"a\": 1} # c", "At 1:10: unexpected character"},
	    {"{\"a\": <<X\nX\n}", "At 1:7: unexpected character"},
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct err err = {0};
		struct hcl *h = NULL;
		enum status s = hcl_parse(span_str(bad[i].text), &h, &err);

		if (s != ST_INVALID)
			fail_msg("%s is taken", bad[i].text);
		if (strstr(err.text, bad[i].error) == NULL)
			fail_msg("%s\n%s\n%s", bad[i].text, err.text, bad[i].error);
		assert_null(h);
	}
	assert_int_equal(hcl_parse(span_of("a\0=1", 4), &(struct hcl *){0}, NULL), ST_INVALID);
}

static void limits(void **state)
{
	static char big[(1 << 20) + 1];
	struct hcl *h = NULL;
	struct err err = {0};
	char deep[200] = "a = ";

	memset(big, '\n', sizeof(big));
	assert_int_equal(hcl_parse(span_of(big, sizeof(big)), &h, &err), ST_LIMIT);
	assert_int_equal(hcl_parse(span_of(big, sizeof(big) - 1), &h, NULL), ST_OK);
	hcl_free(&h);
	memset(deep + 4, '[', 32);
	memset(deep + 36, ']', 32);
	assert_int_equal(hcl_parse(span_str(deep), &h, NULL), ST_OK);
	hcl_free(&h);
	memset(deep + 4, '[', 33);
	memset(deep + 37, ']', 33);
	assert_int_equal(hcl_parse(span_str(deep), &h, &err), ST_LIMIT);
	assert_non_null(strstr(err.text, "At 1:37: nested deeper than 32"));
	assert_null(h);
}

static void positions(void **state)
{
	struct hcl *h = parse("one = 1\n\n  two \"x\" {\n\tthree = [1,\n 2]\n}");
	const struct hcl_item *two = hcl_find(hcl_root(h), "two");
	const struct hcl_item *three = hcl_find(two->value, "three");

	assert_int_equal(two->line, 3);
	assert_int_equal(two->column, 3);
	assert_int_equal(two->value->line, 3);
	assert_int_equal(two->value->column, 11);
	assert_int_equal(three->line, 4);
	assert_int_equal(three->column, 2);
	assert_int_equal(three->value->list[1].line, 5);
	assert_int_equal(three->value->list[1].column, 2);
	hcl_free(&h);
}

static void the_tree_owns_its_text(void **state)
{
	char text[] = "a = \"value\"";
	struct hcl *h = parse(text);

	memset(text, 'x', sizeof(text) - 1);
	assert_true(span_eq_str(hcl_find(hcl_root(h), "a")->value->text, "value"));
	hcl_free(&h);
	hcl_free(&h);
}

static void the_last_item_is_found(void **state)
{
	struct hcl *h = parse("a = 1 b = 2 a = 3");

	assert_true(span_eq_str(hcl_find(hcl_root(h), "a")->value->text, "3"));
	assert_null(hcl_find(hcl_root(h), "c"));
	assert_null(hcl_find(hcl_find(hcl_root(h), "b")->value, "c"));
	assert_null(hcl_find(NULL, "c"));
	hcl_free(&h);
}

struct seen {
	struct builder b;
	size_t n_labels;
	size_t stop_at;
};

static enum status note(void *arg, const struct span *labels, const struct hcl_value *body,
                        struct err *err)
{
	struct seen *seen = arg;

	for (size_t i = 0; i < seen->n_labels; i++) {
		builder_add(&seen->b, labels[i]);
		builder_str(&seen->b, ":");
	}
	show(&seen->b, body);
	if (seen->stop_at > 0 && --seen->stop_at == 0)
		return err_set(err, ST_DENIED, "enough");
	return ST_OK;
}

static void blocks_in_every_spelling(void **state)
{
	static const struct {
		const char *text;
		size_t n_labels;
		const char *seen;
	} cases[] = {
	    {"path \"a\" { x = 1 } other = 1 path \"b\" { x = 2 }", 1, "a:(x n1)b:(x n2)"},
	    {"{\"path\": {\"a\": {\"x\": 1}, \"b\": {\"x\": 2}}}", 1, "a:(x n1)b:(x n2)"},
	    {"{\"path\": [{\"a\": {\"x\": 1}}, {\"b\": {\"x\": 2}}]}", 1, "a:(x n1)b:(x n2)"},
	    {"{\"path\": {\"a\": [{\"x\": 1}, {\"x\": 2}]}}", 1, "a:(x n1)a:(x n2)"},
	    {"audit \"file\" \"n\" { x = 1 }", 2, "file:n:(x n1)"},
	    {"{\"audit\": {\"file\": {\"n\": {\"x\": 1}}}}", 2, "file:n:(x n1)"},
	    {"audit \"file\" { n = { x = 1 } }", 2, "file:n:(x n1)"},
	    {"telemetry { x = 1 }", 0, "(x n1)"},
	    {"telemetry = { x = 1 }", 0, "(x n1)"},
	    {"{\"telemetry\": [{\"x\": 1}, {}]}", 0, "(x n1)()"},
	    {"other { x = 1 }", 0, ""},
	    {"{\"path\": []}", 1, ""},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct hcl *h = parse(cases[i].text);
		struct seen seen = {.n_labels = cases[i].n_labels};
		const char *key = cases[i].n_labels == 1   ? "path"
		                  : cases[i].n_labels == 2 ? "audit"
		                                           : "telemetry";

		assert_int_equal(hcl_blocks(hcl_root(h), key, cases[i].n_labels, note, &seen, NULL),
		                 ST_OK);
		if (!span_eq_str(builder_span(&seen.b), cases[i].seen))
			fail_msg("%s: %.*s", cases[i].text, (int)seen.b.n, (const char *)seen.b.p);
		builder_free(&seen.b);
		hcl_free(&h);
	}
}

static void bad_blocks(void **state)
{
	static const struct {
		const char *text;
		size_t n_labels;
		const char *error;
	} bad[] = {
	    {"b \"x\" { }", 0, "At 1:1: \"b\" has too many labels"},
	    {"b \"x\" \"y\" { }", 1, "At 1:1: \"b\" has too many labels"},
	    {"b = 1", 0, "At 1:5: \"b\" must be an object"},
	    {"b = 1", 1, "At 1:5: \"b\" needs a label and a body"},
	    {"b { x = 1 }", 1, "At 1:9: \"b\" must be an object"},
	    {"b = [1]", 0, "At 1:6: \"b\" must be an object"},
	    {"b = [[{}]]", 0, "At 1:6: \"b\" must be an object"},
	    {"{\"b\": {\"x\": {\"y\": 1}}}", 2, "At 1:19: \"b\" must be an object"},
	    {"b \"x\" \"y\" { c \"z\" \"w\" { } }", 3, "At 1:13: \"b\" has too many labels"},
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct hcl *h = parse(bad[i].text);
		struct seen seen = {.n_labels = bad[i].n_labels};
		struct err err = {0};

		if (hcl_blocks(hcl_root(h), "b", bad[i].n_labels, note, &seen, &err) != ST_INVALID)
			fail_msg("%s is taken", bad[i].text);
		assert_string_equal(err.text, bad[i].error);
		builder_free(&seen.b);
		hcl_free(&h);
	}
}

static void a_visit_can_stop(void **state)
{
	struct hcl *h = parse("{\"p\": [{\"a\": {}}, {\"b\": {}}, {\"c\": {}}]}");
	struct seen seen = {.n_labels = 1, .stop_at = 2};
	struct err err = {0};

	assert_int_equal(hcl_blocks(hcl_root(h), "p", 1, note, &seen, &err), ST_DENIED);
	assert_string_equal(err.text, "enough");
	assert_true(span_eq_str(builder_span(&seen.b), "a:()b:()"));
	builder_free(&seen.b);
	hcl_free(&h);
}

static void every_allocation_may_fail(void **state)
{
	static const char text[] =
	    "a = 1 b \"l\" { c = [1, 2, 3, 4, 5, {d = 6}] } e = {} f = [] g = 1 h = 2 i = 3";
	enum status s = ST_NOMEM;
	int failures = 0;

	for (; s != ST_OK; failures++) {
		struct hcl *h = NULL;

		allowed = failures;
		s = hcl_parse(span_str(text), &h, NULL);
		allowed = -1;
		if (s != ST_OK) {
			assert_int_equal(s, ST_NOMEM);
			assert_null(h);
		}
		hcl_free(&h);
	}
	assert_true(failures > 10);
}

/* Any bytes give a tree or an error, and nothing else. */
static void garbage(void **state)
{
	static const char *const words[] = {
	    "a",  "path ", "\"x\"", "=",    "{",    "}",  "[",       "]",      ",",      "\n",
	    "1",  "-2.5",  "true",  "#",    "/*",   "*/", "//",      "<<E\n",  "<<-E\n", "E\n",
	    "\\", "\"",    ":",     "\xc3", "\xa4", " ",  "{\"a\":", "\\u00e4"};
	uint32_t random = 12345;
	unsigned good = 0;

	for (int round = 0; round < 20000; round++) {
		char text[256];
		size_t n = 0;
		struct err err = {0};
		struct hcl *h = NULL;

		for (int i = 0; i < 12; i++) {
			random = random * 1664525 + 1013904223;
			n += (size_t)snprintf(
			    text + n, sizeof(text) - n, "%s",
			    words[(random >> 16) % (sizeof(words) / sizeof(words[0]))]);
		}
		if (hcl_parse(span_of(text, n), &h, &err) == ST_OK)
			good++;
		else
			assert_true(strncmp(err.text, "At ", 3) == 0);
		hcl_free(&h);
	}
	assert_true(good > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(trees),
	    cmocka_unit_test(bad_texts),
	    cmocka_unit_test(limits),
	    cmocka_unit_test(positions),
	    cmocka_unit_test(the_tree_owns_its_text),
	    cmocka_unit_test(the_last_item_is_found),
	    cmocka_unit_test(blocks_in_every_spelling),
	    cmocka_unit_test(bad_blocks),
	    cmocka_unit_test(a_visit_can_stop),
	    cmocka_unit_test(every_allocation_may_fail),
	    cmocka_unit_test(garbage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
