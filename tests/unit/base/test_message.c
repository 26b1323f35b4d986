#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/message.h"

static void verbs_have_names(void **state)
{
	assert_string_equal(verb_name(VERB_READ), "read");
	assert_string_equal(verb_name(VERB_WRITE), "update");
	assert_string_equal(verb_name(VERB_DELETE), "delete");
	assert_string_equal(verb_name(VERB_LIST), "list");
	assert_string_equal(verb_name(VERB_PATCH), "patch");
	assert_string_equal(verb_name(VERB_SCAN), "scan");
}

static void path_is_split(void **state)
{
	struct path p;

	assert_int_equal(path_parse(span_str("sys/rotate/config"), &p, NULL), ST_OK);
	assert_string_equal(p.text, "sys/rotate/config");
	assert_int_equal(p.n, 17);
	assert_int_equal(p.segments, 3);
	assert_false(p.folder);
	assert_true(span_eq_str(path_segment(&p, 0), "sys"));
	assert_true(span_eq_str(path_segment(&p, 1), "rotate"));
	assert_true(span_eq_str(path_segment(&p, 2), "config"));
	assert_true(span_eq_str(path_span(&p), "sys/rotate/config"));

	assert_int_equal(path_parse(span_str("kv/a b/...x/\xc3\xa4/"), &p, NULL), ST_OK);
	assert_int_equal(p.segments, 4);
	assert_true(p.folder);
	assert_true(span_eq_str(path_span(&p), "kv/a b/...x/\xc3\xa4/"));
	assert_true(span_eq_str(path_segment(&p, 3), "\xc3\xa4"));

	assert_int_equal(path_parse(span_str("x"), &p, NULL), ST_OK);
	assert_int_equal(p.segments, 1);
	assert_int_equal(p.n, 1);
}

static void path_limits(void **state)
{
	char text[2 * PATH_MAX_LEN];
	struct path p;

	memset(text, 'a', sizeof(text));
	assert_int_equal(path_parse(span_of(text, PATH_MAX_LEN), &p, NULL), ST_OK);
	assert_int_equal(p.n, PATH_MAX_LEN);
	assert_int_equal(strlen(p.text), PATH_MAX_LEN);
	assert_int_equal(path_parse(span_of(text, PATH_MAX_LEN + 1), &p, NULL), ST_INVALID);
	text[PATH_MAX_LEN - 1] = '/';
	assert_int_equal(path_parse(span_of(text, PATH_MAX_LEN), &p, NULL), ST_OK);
	assert_true(p.folder);

	for (size_t i = 1; i < sizeof(text); i += 2)
		text[i] = '/';
	assert_int_equal(path_parse(span_of(text, 2 * PATH_SEGMENTS - 1), &p, NULL), ST_OK);
	assert_int_equal(p.segments, PATH_SEGMENTS);
	assert_int_equal(path_parse(span_of(text, 2 * PATH_SEGMENTS), &p, NULL), ST_OK);
	assert_int_equal(p.segments, PATH_SEGMENTS);
	assert_int_equal(path_parse(span_of(text, 2 * PATH_SEGMENTS + 1), &p, NULL), ST_INVALID);
}

static void bad_paths_are_refused(void **state)
{
	static const struct {
		const char *text, *reason;
	} bad[] = {
	    {"", "empty"},
	    {"/", "empty segment"},
	    {"/a", "empty segment"},
	    {"a//b", "empty segment"},
	    {"a//", "empty segment"},
	    {".", "\"..\""},
	    {"..", "\"..\""},
	    {"a/./b", "\"..\""},
	    {"a/../b", "\"..\""},
	    {"a/..", "\"..\""},
	    {"a/../", "\"..\""},
	    {"a\tb", "control"},
	    {"a\x1f", "control"},
	    {"a\x7f", "control"},
	    {"\xff", "UTF-8"},
	    {"a\xc0\xaf", "UTF-8"},
	    {"a\xc3", "UTF-8"},
	    {"\xc3/\xa4", "UTF-8"},
	    {"\xed\xa0\x80", "UTF-8"},
	    {"\xe0\x80\xaf", "UTF-8"},
	    {"\xf4\x90\x80\x80", "UTF-8"},
	    {"\xf0\x9f\x94", "UTF-8"},
	    {"\x80", "UTF-8"},
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct path p = {.segments = 42};
		struct err err = {0};

		if (path_parse(span_str(bad[i].text), &p, &err) != ST_INVALID)
			fail_msg("%s is taken", bad[i].text);
		if (strstr(err.text, bad[i].reason) == NULL)
			fail_msg("%s: %s", bad[i].text, err.text);
		assert_int_equal(p.segments, 42);
	}
	assert_int_equal(path_parse(span_of("a\0b", 3), &(struct path){0}, NULL), ST_INVALID);
	assert_int_equal(
	    path_parse(span_str("\xf0\x9f\x94\x91/\xe2\x82\xac"), &(struct path){0}, NULL), ST_OK);
}

static void escapes_are_decoded_once(void **state)
{
	char buf[16];
	struct span s;

	assert_int_equal(path_unescape(span_str("a%20b/%c3%A4"), buf, sizeof(buf), &s, NULL),
	                 ST_OK);
	assert_true(span_eq_str(s, "a b/\xc3\xa4"));
	assert_int_equal(path_unescape(span_str("%2520+"), buf, sizeof(buf), &s, NULL), ST_OK);
	assert_true(span_eq_str(s, "%20+"));
	assert_int_equal(path_unescape(span_str("%2e%2E"), buf, sizeof(buf), &s, NULL), ST_OK);
	assert_true(span_eq_str(s, ".."));
	assert_int_equal(path_unescape(span_str(""), buf, sizeof(buf), &s, NULL), ST_OK);
	assert_int_equal(s.n, 0);
	assert_int_equal(path_unescape(span_str("0123456789abcdef"), buf, sizeof(buf), &s, NULL),
	                 ST_OK);
	assert_int_equal(s.n, 16);
}

static void bad_escapes_are_refused(void **state)
{
	static const char *const bad[] = {"%",   "a%2",  "%zz",  "%2g",   "%g2", "%-1",
	                                  "% 1", "%2f",  "%2F",  "a%00b", "%0a", "%1F",
	                                  "%7f", "a\nb", "\x7f", "%%20"};
	char buf[16];
	struct span s = {0};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct err err = {0};

		if (path_unescape(span_str(bad[i]), buf, sizeof(buf), &s, &err) != ST_INVALID)
			fail_msg("%s is taken", bad[i]);
		assert_int_not_equal(err.text[0], 0);
		assert_null(s.p);
	}
	assert_int_equal(path_unescape(span_str("0123456789abcdefg"), buf, sizeof(buf), &s, NULL),
	                 ST_LIMIT);
	assert_null(s.p);
}

static void answers_keep_and_lose(void **state)
{
	struct answer a;

	answer_init(&a);
	assert_int_equal(a.status, ST_OK);
	assert_int_equal(a.shape, ANSWER_EMPTY);
	builder_str(&a.data, "{}");
	answer_warn(&a, "first \"%d\"", 1);
	answer_warn(&a, "second");
	assert_true(span_eq_str(builder_span(&a.warnings), "\"first \\\"1\\\"\",\"second\""));
	assert_int_equal(answer_fail(&a, ST_DENIED, "%s denied", "permission"), ST_DENIED);
	assert_int_equal(a.status, ST_DENIED);
	assert_int_equal(a.err.status, ST_DENIED);
	assert_string_equal(a.err.text, "permission denied");
	assert_int_equal(answer_fail(&a, ST_INVALID, "wrapped: %s", a.err.text), ST_INVALID);
	assert_string_equal(a.err.text, "wrapped: permission denied");
	a.shape = ANSWER_DATA;
	a.http_status = 418;

	answer_reset(&a);
	assert_int_equal(a.status, ST_OK);
	assert_int_equal(a.shape, ANSWER_EMPTY);
	assert_int_equal(a.http_status, 0);
	assert_int_equal(a.err.text[0], 0);
	assert_int_equal(a.data.n, 0);
	assert_int_equal(a.warnings.n, 0);
	assert_non_null(a.data.p);

	answer_free(&a);
	assert_null(a.data.p);
	answer_free(&a);
	answer_free(NULL);
}

/* What somebody else wrote, within narrow limits; the answer that comes next has its own. */
static void answers_take(void **state)
{
	struct answer a;
	struct builder text;

	answer_init(&a);
	builder_str(&a.data, "{\"old\":1}");
	builder_init(&text, 100);
	builder_str(&text, "{}");
	answer_take(&a, &text);
	assert_true(span_eq_str(builder_span(&a.data), "{}"));
	assert_null(text.p);
	answer_reset(&a);
	assert_non_null(builder_room(&a.data, 1000));
	assert_int_equal(builder_status(&a.data), ST_OK);
	answer_free(&a);
}

/* A request with the body `text` and the query a=1&list=x,y&s=q&n=null-in-body. */
struct world {
	uint8_t text[600];
	struct json doc;
	struct request r;
};

static void world_open(struct world *w, const char *text)
{
	*w = (struct world){0};
	json_init(&w->doc);
	assert_true(strlen(text) < sizeof(w->text));
	memcpy(w->text, text, strlen(text));
	assert_int_equal(json_parse(&w->doc, w->text, strlen(text), NULL, NULL), ST_OK);
	w->r.data = json_root(&w->doc);
	w->r.query[0] = (struct query){span_str("a"), span_str("1")};
	w->r.query[1] = (struct query){span_str("list"), span_str("x,y")};
	w->r.query[2] = (struct query){span_str("s"), span_str("q")};
	w->r.query[3] = (struct query){span_str("nil"), span_str("5")};
	w->r.n_query = 4;
}

static void world_close(struct world *w)
{
	json_free(&w->doc);
}

static void body_comes_before_query(void **state)
{
	struct world w;
	struct span s = {0};
	int64_t n = 0;
	bool truth = false;

	world_open(&w, "{\"s\":\"body\",\"nil\":null}");
	assert_non_null(request_member(&w.r, "s"));
	assert_null(request_member(&w.r, "a"));
	assert_int_equal(request_string(&w.r, "s", &s, NULL), ST_OK);
	assert_true(span_eq_str(s, "body"));
	assert_int_equal(request_string(&w.r, "a", &s, NULL), ST_OK);
	assert_true(span_eq_str(s, "1"));
	assert_int_equal(request_int(&w.r, "a", &n, NULL), ST_OK);
	assert_int_equal(n, 1);
	assert_int_equal(request_bool(&w.r, "a", &truth, NULL), ST_OK);
	assert_true(truth);
	assert_int_equal(request_duration(&w.r, "a", &n, NULL), ST_OK);
	assert_int_equal(n, NS_PER_S);
	assert_int_equal(request_int(&w.r, "nil", &n, NULL), ST_NOT_FOUND);
	assert_int_equal(request_string(&w.r, "none", &s, NULL), ST_NOT_FOUND);
	assert_int_equal(n, NS_PER_S);
	w.r.data = NULL;
	assert_int_equal(request_string(&w.r, "s", &s, NULL), ST_OK);
	assert_true(span_eq_str(s, "q"));
	assert_int_equal(request_int(&w.r, "nil", &n, NULL), ST_OK);
	assert_int_equal(n, 5);
	world_close(&w);
}

static void wrong_type(enum status s, struct err *err, const char *name)
{
	assert_int_equal(s, ST_INVALID);
	assert_int_equal(err->status, ST_INVALID);
	assert_non_null(strstr(err->text, name));
	*err = (struct err){0};
}

static void strings(void **state)
{
	struct world w;
	struct err err = {0};
	struct span s = span_str("before");

	world_open(&w, "{\"num\":1,\"truth\":true,\"list\":[],\"obj\":{},\"empty\":\"\"}");
	wrong_type(request_string(&w.r, "num", &s, &err), &err, "num");
	wrong_type(request_string(&w.r, "truth", &s, &err), &err, "truth");
	wrong_type(request_string(&w.r, "list", &s, &err), &err, "list");
	wrong_type(request_string(&w.r, "obj", &s, &err), &err, "obj");
	assert_true(span_eq_str(s, "before"));
	assert_int_equal(request_string(&w.r, "empty", &s, NULL), ST_OK);
	assert_int_equal(s.n, 0);
	world_close(&w);
}

static void integers(void **state)
{
	static const char *const bad[] = {"frac", "word", "empty", "truth", "list", "big",
	                                  "bigs", "low",  "sign",  "space", "hex"};
	struct world w;
	struct err err = {0};
	int64_t n = 0;

	world_open(&w, "{\"i\":-7,\"s\":\"42\",\"plus\":\"+3\",\"max\":\"9223372036854775807\","
	               "\"min\":\"-9223372036854775808\","
	               "\"frac\":1.5,\"word\":\"ten\",\"empty\":\"\",\"truth\":true,\"list\":[1],"
	               "\"big\":9223372036854775808,"
	               "\"bigs\":\"9223372036854775808\",\"low\":\"-9223372036854775809\",\"sign\":"
	               "\"-\",\"space\":\" 1\","
	               "\"hex\":\"0x1\"}");
	assert_int_equal(request_int(&w.r, "i", &n, NULL), ST_OK);
	assert_int_equal(n, -7);
	assert_int_equal(request_int(&w.r, "s", &n, NULL), ST_OK);
	assert_int_equal(n, 42);
	assert_int_equal(request_int(&w.r, "plus", &n, NULL), ST_OK);
	assert_int_equal(n, 3);
	assert_int_equal(request_int(&w.r, "max", &n, NULL), ST_OK);
	assert_int_equal(n, INT64_MAX);
	assert_int_equal(request_int(&w.r, "min", &n, NULL), ST_OK);
	assert_true(n == INT64_MIN);
	n = 8;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		wrong_type(request_int(&w.r, bad[i], &n, &err), &err, bad[i]);
	assert_int_equal(n, 8);
	world_close(&w);
}

static void booleans(void **state)
{
	static const char *const bad[] = {"two", "word", "empty", "list", "twos"};
	struct world w;
	struct err err = {0};
	bool truth = false;

	world_open(&w, "{\"t\":true,\"f\":false,\"ts\":\"True\",\"fs\":\"0\",\"one\":1,\"zero\":0,"
	               "\"two\":2,\"word\":\"yes\",\"empty\":\"\",\"list\":[],\"twos\":\"tRUE\"}");
	assert_int_equal(request_bool(&w.r, "t", &truth, NULL), ST_OK);
	assert_true(truth);
	assert_int_equal(request_bool(&w.r, "f", &truth, NULL), ST_OK);
	assert_false(truth);
	assert_int_equal(request_bool(&w.r, "ts", &truth, NULL), ST_OK);
	assert_true(truth);
	assert_int_equal(request_bool(&w.r, "fs", &truth, NULL), ST_OK);
	assert_false(truth);
	assert_int_equal(request_bool(&w.r, "one", &truth, NULL), ST_OK);
	assert_true(truth);
	assert_int_equal(request_bool(&w.r, "zero", &truth, NULL), ST_OK);
	assert_false(truth);
	truth = true;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		wrong_type(request_bool(&w.r, bad[i], &truth, &err), &err, bad[i]);
	assert_true(truth);
	world_close(&w);
}

static void durations(void **state)
{
	static const char *const bad[] = {"word", "frac", "truth", "big", "list"};
	struct world w;
	struct err err = {0};
	int64_t ns = 0;

	world_open(&w, "{\"n\":90,\"s\":\"1h30m\",\"secs\":\"60\",\"neg\":\"-1h\",\"empty\":\"\","
	               "\"word\":\"soon\",\"frac\":1.5,"
	               "\"truth\":true,\"big\":9223372037,\"list\":[]}");
	assert_int_equal(request_duration(&w.r, "n", &ns, NULL), ST_OK);
	assert_int_equal(ns, 90 * NS_PER_S);
	assert_int_equal(request_duration(&w.r, "s", &ns, NULL), ST_OK);
	assert_int_equal(ns, 5400 * NS_PER_S);
	assert_int_equal(request_duration(&w.r, "secs", &ns, NULL), ST_OK);
	assert_int_equal(ns, 60 * NS_PER_S);
	assert_int_equal(request_duration(&w.r, "neg", &ns, NULL), ST_OK);
	assert_int_equal(ns, -3600 * NS_PER_S);
	assert_int_equal(request_duration(&w.r, "empty", &ns, NULL), ST_OK);
	assert_int_equal(ns, 0);
	ns = 3;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		wrong_type(request_duration(&w.r, bad[i], &ns, &err), &err, bad[i]);
	assert_int_equal(ns, 3);
	world_close(&w);
}

static void lists(void **state)
{
	struct world w;
	struct err err = {0};
	struct span items[3];
	size_t n = 99;

	world_open(&w, "{\"arr\":[\"a\",\"b, c\",\"\"],\"none\":[],\"text\":\" p , "
	               ",q,\",\"empty\":\"\",\"mixed\":[\"a\",1],"
	               "\"num\":5,\"long\":[\"1\",\"2\",\"3\",\"4\"],\"longs\":\"1,2,3,4\"}");
	assert_int_equal(request_list(&w.r, "mixed", items, 3, &n, &err), ST_INVALID);
	assert_non_null(strstr(err.text, "mixed"));
	assert_int_equal(request_list(&w.r, "num", items, 3, &n, NULL), ST_INVALID);
	assert_int_equal(request_list(&w.r, "long", items, 3, &n, NULL), ST_LIMIT);
	assert_int_equal(request_list(&w.r, "longs", items, 3, &n, NULL), ST_LIMIT);
	assert_int_equal(request_list(&w.r, "absent", items, 3, &n, NULL), ST_NOT_FOUND);
	assert_int_equal(n, 99);
	assert_int_equal(request_list(&w.r, "arr", items, 3, &n, NULL), ST_OK);
	assert_int_equal(n, 3);
	assert_true(span_eq_str(items[1], "b, c"));
	assert_true(span_eq_str(items[2], ""));
	assert_int_equal(request_list(&w.r, "none", items, 3, &n, NULL), ST_OK);
	assert_int_equal(n, 0);
	assert_int_equal(request_list(&w.r, "text", items, 3, &n, NULL), ST_OK);
	assert_int_equal(n, 2);
	assert_true(span_eq_str(items[0], "p"));
	assert_true(span_eq_str(items[1], "q"));
	assert_int_equal(request_list(&w.r, "empty", items, 3, &n, NULL), ST_OK);
	assert_int_equal(n, 0);
	assert_int_equal(request_list(&w.r, "list", items, 3, &n, NULL), ST_OK);
	assert_int_equal(n, 2);
	assert_true(span_eq_str(items[1], "y"));
	world_close(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(verbs_have_names),
	    cmocka_unit_test(path_is_split),
	    cmocka_unit_test(path_limits),
	    cmocka_unit_test(bad_paths_are_refused),
	    cmocka_unit_test(escapes_are_decoded_once),
	    cmocka_unit_test(bad_escapes_are_refused),
	    cmocka_unit_test(answers_keep_and_lose),
	    cmocka_unit_test(answers_take),
	    cmocka_unit_test(body_comes_before_query),
	    cmocka_unit_test(strings),
	    cmocka_unit_test(integers),
	    cmocka_unit_test(booleans),
	    cmocka_unit_test(durations),
	    cmocka_unit_test(lists),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
