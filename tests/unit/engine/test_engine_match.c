/* Which operation of a table a path and a verb mean, and what its pattern's ":name" and "*" stand for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "engine/engine.h"

static enum status handle(struct op *op)
{
	(void)op;
	return ST_OK;
}

static const struct operation operations[] = {
    {"root-list", VERB_LIST, "", OP_READ, 0, handle, NULL},
    {"word", VERB_READ, "word", OP_READ, 0, handle, NULL},
    {"word-write", VERB_WRITE, "word", OP_WRITE, 0, handle, NULL},
    {"two", VERB_WRITE, "word/two", OP_WRITE, 0, handle, NULL},
    {"named", VERB_READ, "keys/:name", OP_READ, 0, handle, NULL},
    {"named-tail", VERB_WRITE, "keys/:name/rotate", OP_WRITE, 0, handle, NULL},
    {"named-two", VERB_READ, "keys/:name/versions/:n", OP_READ, 0, handle, NULL},
    {"middle", VERB_READ, "mounts/*/tune", OP_READ, 0, handle, NULL},
    {"rest", VERB_READ, "mounts/*", OP_READ, 0, handle, NULL},
    {"rest-delete", VERB_DELETE, "mounts/*", OP_WRITE, 0, handle, NULL},
};
static const struct engine table = {"test", operations, sizeof operations / sizeof *operations};

static const struct stream_kind lines = {.content_type = "application/x-ndjson", .item_max = 8};
static const struct operation streaming_ops[] = {
    {"plain", VERB_WRITE, "plain/:name", OP_WRITE, 0, handle, NULL},
    {"first", VERB_WRITE, "both/fixed", OP_WRITE, 0, handle, NULL},
    {"stream", VERB_WRITE, "flow/:name", OP_STREAM, 0, handle, NULL, .stream = &lines},
    {"second", VERB_WRITE, "both/:name", OP_STREAM, 0, handle, NULL, .stream = &lines},
    {"look", VERB_READ, "flow/:name", OP_READ, 0, handle, NULL},
};
static const struct engine streaming = {.type = "streaming",
                                        .operations = streaming_ops,
                                        .n_operations =
                                            sizeof streaming_ops / sizeof *streaming_ops};

static const struct operation everything_ops[] = {
    {"all", VERB_READ, "*", OP_READ, 0, handle, NULL},
};
static const struct engine everything = {"all", everything_ops, 1};

static enum status match(const struct engine *e, const char *text, unsigned first, enum verb verb,
                         const struct operation **op, struct span *args)
{
	static struct path path; /* args look into it */

	assert_int_equal(path_parse(span_str(text), &path, NULL), ST_OK);
	return engine_match(e, &path, first, verb, op, args);
}

static void what_is_meant(void **state)
{
	static const struct {
		const char *path;
		enum verb verb;
		const char *name, *arg0, *arg1;
	} cases[] = {
	    {"m/word", VERB_READ, "word", "", ""},
	    {"m/word/", VERB_READ, "word", "", ""},
	    {"m/word", VERB_WRITE, "word-write", "", ""},
	    {"m/word/two", VERB_WRITE, "two", "", ""},
	    {"m", VERB_LIST, "root-list", "", ""},
	    {"m/", VERB_LIST, "root-list", "", ""},
	    {"m/keys/a", VERB_READ, "named", "a", ""},
	    {"m/keys/a/", VERB_READ, "named", "a", ""},
	    {"m/keys/rotate", VERB_READ, "named", "rotate", ""},
	    {"m/keys/a/rotate", VERB_WRITE, "named-tail", "a", ""},
	    {"m/keys/*/versions/:n", VERB_READ, "named-two", "*", ":n"},
	    {"m/keys/k/versions/7", VERB_READ, "named-two", "k", "7"},
	    {"m/mounts/a/tune", VERB_READ, "middle", "a", ""},
	    {"m/mounts/a/b/c/tune", VERB_READ, "middle", "a/b/c", ""},
	    {"m/mounts/tune/tune", VERB_READ, "middle", "tune", ""},
	    {"m/mounts/a/tune/", VERB_READ, "middle", "a", ""},
	    {"m/mounts/tune", VERB_READ, "rest", "tune", ""},
	    {"m/mounts/a/tune/b", VERB_READ, "rest", "a/tune/b", ""},
	    {"m/mounts/a/tunes", VERB_READ, "rest", "a/tunes", ""},
	    {"m/mounts", VERB_READ, "rest", "", ""},
	    {"m/mounts/", VERB_READ, "rest", "", ""},
	    {"m/mounts/a/", VERB_READ, "rest", "a/", ""},
	    {"m/mounts/a/tune", VERB_DELETE, "rest-delete", "a/tune", ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const struct operation *op = NULL;
		struct span args[OP_ARGS_MAX] = {{NULL, 0}};

		assert_int_equal(match(&table, cases[i].path, 1, cases[i].verb, &op, args), ST_OK);
		assert_string_equal(op->name, cases[i].name);
		assert_true(span_eq_str(args[0], cases[i].arg0));
		assert_true(span_eq_str(args[1], cases[i].arg1));
		assert_int_equal(args[2].n, 0);
	}
}

static void what_does_not_exist(void **state)
{
	static const char *const paths[] = {
	    "m/Word", "m/wor",      "m/words",           "m/keys",  "m/word/two/x",   "m/keys/",
	    "m/x",    "m/keys/a/b", "m/keys/a/versions", "m/mount", "m/keys/a/b/c/d", "m/word/x"};

	(void)state;
	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
		for (enum verb v = VERB_READ; v < VERB_COUNT; v++) {
			const struct operation *op = NULL;
			struct span args[OP_ARGS_MAX] = {{NULL, 0}};

			assert_int_equal(match(&table, paths[i], 1, v, &op, args), ST_NO_ROUTE);
			assert_null(op);
			assert_null(args[0].p);
		}
}

static void other_verbs_are_told_apart_from_nothing(void **state)
{
	static const struct {
		const char *path;
		enum verb verb;
	} cases[] = {
	    {"m/word", VERB_DELETE},   {"m/word", VERB_LIST},           {"m/word", VERB_PATCH},
	    {"m/word", VERB_SCAN},     {"m/word/two", VERB_READ},       {"m/keys/a", VERB_WRITE},
	    {"m/mounts/a", VERB_LIST}, {"m/mounts/a", VERB_WRITE},      {"m", VERB_READ},
	    {"m", VERB_SCAN},          {"m/mounts/a/tune", VERB_WRITE},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const struct operation *op = NULL;
		struct span args[OP_ARGS_MAX] = {{NULL, 0}};

		assert_int_equal(match(&table, cases[i].path, 1, cases[i].verb, &op, args),
		                 ST_UNSUPPORTED);
		assert_non_null(op);
		assert_int_not_equal(op->verb, cases[i].verb);
		assert_null(args[0].p); /* nothing is written */
	}
}

/* The mount may be of several segments; the path may end within or just behind it. */
static void below_mounts_of_any_depth(void **state)
{
	static const struct {
		const char *path;
		unsigned first;
		const char *arg;
	} cases[] = {{"a", 1, ""},      {"a/", 1, ""},     {"a/b", 1, "b"},
	             {"a/b/", 1, "b/"}, {"a/b/c", 2, "c"}, {"a/b/c/d", 2, "c/d"},
	             {"a/b", 2, ""},    {"a/b/", 2, ""},   {"a/*/+", 1, "*/+"}};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const struct operation *op = NULL;
		struct span args[OP_ARGS_MAX] = {{NULL, 0}};

		assert_int_equal(
		    match(&everything, cases[i].path, cases[i].first, VERB_READ, &op, args), ST_OK);
		assert_true(span_eq_str(args[0], cases[i].arg));
	}
}

static bool streams(const char *text, enum verb verb)
{
	struct path path;

	assert_int_equal(path_parse(span_str(text), &path, NULL), ST_OK);
	return engine_streams(&streaming, &path, 1, verb);
}

/* As engine_match has it: the first that fits. */
static void what_streams(void **state)
{
	(void)state;
	assert_true(streams("m/flow/a", VERB_WRITE));
	assert_true(streams("m/flow/a/", VERB_WRITE));
	assert_true(streams("m/both/a", VERB_WRITE));
	assert_false(streams("m/both/fixed", VERB_WRITE));
	assert_false(streams("m/flow/a", VERB_READ));
	assert_false(streams("m/flow/a", VERB_DELETE));
	assert_false(streams("m/flow/a/b", VERB_WRITE));
	assert_false(streams("m/flow", VERB_WRITE));
	assert_false(streams("m/plain/a", VERB_WRITE));
	assert_false(streams("m", VERB_WRITE));
}

/* text[used..) as a visit offers it. */
static enum status line(const char *text, size_t used, enum stream_end end, struct span *ret,
                        size_t *ret_whole)
{
	static uint8_t buf[64];
	struct stream_visit v = {.in = buf, .n = strlen(text), .end = end, .used = used};
	struct err err = {0};
	uint8_t *p = NULL;
	size_t n = 0, whole = 0;
	enum status st;

	memcpy(buf, text, v.n);
	st = stream_line(&v, 8, &p, &n, &whole, &err);
	assert_int_equal(err.text[0] != 0, st == ST_LIMIT);
	assert_int_equal(p != NULL, st == ST_OK);
	*ret = span_of(p, n);
	*ret_whole = whole;
	return st;
}

static void lines_are_found(void **state)
{
	static const struct {
		const char *text;
		size_t used;
		enum stream_end end;
		enum status status;
		const char *line;
		size_t whole;
	} cases[] = {
	    {"a\nb\n", 0, STREAM_GOES_ON, ST_OK, "a", 2},
	    {"a\nb\n", 2, STREAM_GOES_ON, ST_OK, "b", 2},
	    {"a\nb\n", 4, STREAM_GOES_ON, ST_NOT_FOUND, "", 0},
	    {"a\nb\n", 4, STREAM_LAST, ST_NOT_FOUND, "", 0},
	    {"", 0, STREAM_LAST, ST_NOT_FOUND, "", 0},
	    {"ab", 0, STREAM_GOES_ON, ST_NOT_FOUND, "", 0},
	    {"ab", 0, STREAM_LAST, ST_OK, "ab", 2},
	    {"\n", 0, STREAM_GOES_ON, ST_OK, "", 1},
	    {"\r\n", 0, STREAM_GOES_ON, ST_OK, "", 2},
	    {"a\r\nb", 0, STREAM_GOES_ON, ST_OK, "a", 3},
	    {"a\rb\n", 0, STREAM_GOES_ON, ST_OK, "a\rb", 4},
	    {"a\r", 0, STREAM_GOES_ON, ST_NOT_FOUND, "", 0},
	    {"a\r", 0, STREAM_LAST, ST_OK, "a\r", 2},
	    {"12345678\n", 0, STREAM_GOES_ON, ST_OK, "12345678", 9},
	    {"12345678\r\n", 0, STREAM_GOES_ON, ST_OK, "12345678", 10},
	    {"12345678\r", 0, STREAM_GOES_ON, ST_NOT_FOUND, "", 0},
	    {"12345678\r", 0, STREAM_LAST, ST_LIMIT, "", 0},
	    {"12345678", 0, STREAM_GOES_ON, ST_NOT_FOUND, "", 0},
	    {"12345678", 0, STREAM_LAST, ST_OK, "12345678", 8},
	    {"123456789\n", 0, STREAM_GOES_ON, ST_LIMIT, "", 0},
	    {"123456789", 0, STREAM_GOES_ON, ST_LIMIT, "", 0},
	    {"123456789", 0, STREAM_LAST, ST_LIMIT, "", 0},
	    {"a\n123456789", 0, STREAM_GOES_ON, ST_OK, "a", 2},
	    {"a\n123456789", 2, STREAM_GOES_ON, ST_LIMIT, "", 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct span found;
		size_t whole;

		assert_int_equal(line(cases[i].text, cases[i].used, cases[i].end, &found, &whole),
		                 cases[i].status);
		assert_true(span_eq_str(found, cases[i].line));
		assert_int_equal(whole, cases[i].whole);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_streams),
	    cmocka_unit_test(lines_are_found),
	    cmocka_unit_test(what_is_meant),
	    cmocka_unit_test(what_does_not_exist),
	    cmocka_unit_test(other_verbs_are_told_apart_from_nothing),
	    cmocka_unit_test(below_mounts_of_any_depth),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
