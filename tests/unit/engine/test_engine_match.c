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

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_is_meant),
	    cmocka_unit_test(what_does_not_exist),
	    cmocka_unit_test(other_verbs_are_told_apart_from_nothing),
	    cmocka_unit_test(below_mounts_of_any_depth),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
