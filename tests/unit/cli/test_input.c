/* NAME=VALUE arguments, files, and secrets from arguments and standard input. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli/input.h"

#define PATH_LEN 256

static char folder[] = "/tmp/keyturn-input-XXXXXX";

static int make_folder(void **state)
{
	return mkdtemp(folder) == NULL ? -1 : 0;
}

static int remove_folder(void **state)
{
	char command[PATH_LEN];

	(void)snprintf(command, sizeof command, "rm -r %s", folder);
	return system(command) == 0 ? 0 : -1;
}

/* A file with these bytes; its name, behind `front`, into buf. */
static char *put_file(char buf[static PATH_LEN], const char *front, const char *name,
                      const char *bytes, size_t n)
{
	char path[PATH_LEN];
	FILE *f;

	(void)snprintf(path, sizeof path, "%s/%s", folder, name);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, n, f), n);
	assert_int_equal(fclose(f), 0);
	(void)snprintf(buf, PATH_LEN, "%s%s", front, path);
	return buf;
}

static void expect_object(json_t *object, const char *text)
{
	json_t *want = json_loads(text, 0, NULL);

	assert_non_null(want);
	if (!json_equal(object, want))
		fail_msg("wanted %s", text);
	json_decref(want);
	json_decref(object);
}

static enum status pairs(char **args, json_t **ret, struct err *err)
{
	size_t n = 0;

	while (args[n] != NULL)
		n++;
	*err = (struct err){0};
	return input_pairs(args, n, ret, err);
}

#define ARGS(...) ((char *[]){__VA_ARGS__, NULL})

static void test_pairs(void **state)
{
	char file[PATH_LEN], json[PATH_LEN];
	json_t *object = NULL;
	struct err err;

	assert_int_equal(input_pairs(NULL, 0, &object, &err), ST_OK);
	expect_object(object, "{}");
	assert_int_equal(pairs(ARGS((char[]){"a=1"}, (char[]){"b="}, (char[]){"c=x=y"},
	                            (char[]){"d=\\@x"}, (char[]){"e=\\x"}),
	                       &object, &err),
	                 ST_OK);
	expect_object(object,
	              "{\"a\":\"1\",\"b\":\"\",\"c\":\"x=y\",\"d\":\"@x\",\"e\":\"\\\\x\"}");
	assert_int_equal(
	    pairs(ARGS((char[]){"a=1"}, (char[]){"a=2"}, (char[]){"a=3"}), &object, &err), ST_OK);
	expect_object(object, "{\"a\":[\"1\",\"2\",\"3\"]}");
	(void)put_file(file, "f=@", "plain", "line\nend\n", 9);
	(void)put_file(json, "@", "object.json", "{\"n\":1,\"a\":{\"b\":[true,null]}}", 29);
	assert_int_equal(pairs(ARGS(file, json, (char[]){"z=1"}), &object, &err), ST_OK);
	expect_object(object,
	              "{\"f\":\"line\\nend\\n\",\"n\":1,\"a\":{\"b\":[true,null]},\"z\":\"1\"}");
}

static void test_pairs_refused(void **state)
{
	char array[PATH_LEN], broken[PATH_LEN], twice[PATH_LEN], binary[PATH_LEN];
	const struct {
		char *arg;
		enum status status;
	} cases[] = {
	    {(char[]){"novalue"}, ST_INVALID},
	    {(char[]){"=1"}, ST_INVALID},
	    {(char[]){""}, ST_INVALID},
	    {(char[]){"a=\xff"}, ST_INVALID},
	    {(char[]){"\xff=1"}, ST_INVALID},
	    {(char[]){"a=@/nonexistent/file"}, ST_IO},
	    {(char[]){"@/nonexistent/file"}, ST_IO},
	    {put_file(array, "@", "array", "[1]", 3), ST_INVALID},
	    {put_file(broken, "@", "broken", "{\"a\":", 5), ST_INVALID},
	    {put_file(twice, "@", "twice", "{\"a\":1,\"a\":2}", 13), ST_INVALID},
	    {put_file(binary, "a=@", "binary", "\x00\xfe", 2), ST_INVALID},
	};
	json_t *object = NULL;
	struct err err;
	size_t i;

	for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		assert_int_equal(pairs(ARGS((char[]){"x=1"}, cases[i].arg), &object, &err),
		                 cases[i].status);
		assert_null(object);
		assert_string_not_equal(err.text, "");
	}
}

static void test_a_secret_from_an_argument_is_covered(void **state)
{
	char arg[] = "s.secret";
	char empty[] = "";
	struct builder b = {0};
	struct err err = {0};

	assert_int_equal(input_secret(arg, "", &b, &err), ST_OK);
	assert_true(span_eq_str(builder_span(&b), "s.secret"));
	assert_string_equal(arg, "********");
	builder_free(&b);
	assert_int_equal(input_secret(empty, "", &b, &err), ST_INVALID);
	assert_int_equal(b.n, 0);
}

/* Run input_secret with this as standard input. */
static enum status from_stdin(const char *bytes, char *arg, struct builder *b)
{
	struct err err = {0};
	const int before = dup(STDIN_FILENO);
	enum status s;
	int ends[2];

	assert_true(before >= 0);
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(write(ends[1], bytes, strlen(bytes)), strlen(bytes));
	(void)close(ends[1]);
	assert_int_equal(dup2(ends[0], STDIN_FILENO), STDIN_FILENO);
	(void)close(ends[0]);
	s = input_secret(arg, "Key: ", b, &err);
	assert_int_equal(dup2(before, STDIN_FILENO), STDIN_FILENO);
	(void)close(before);
	return s;
}

static void test_a_secret_from_standard_input(void **state)
{
	static const char *const good[] = {"s.secret", "s.secret\n", "s.secret\r\n",
	                                   "s.secret\nmore\n"};
	char dash[] = "-";
	char large[20001];
	struct builder b = {0};
	size_t i;

	for (i = 0; i < sizeof good / sizeof good[0]; i++) {
		assert_int_equal(from_stdin(good[i], dash, &b), ST_OK);
		assert_true(span_eq_str(builder_span(&b), "s.secret"));
		builder_free(&b);
	}
	assert_int_equal(from_stdin("", dash, &b), ST_INVALID);
	assert_int_equal(from_stdin("\n", dash, &b), ST_INVALID);
	memset(large, 'a', sizeof large - 1);
	large[sizeof large - 1] = '\0';
	assert_int_equal(from_stdin(large, dash, &b), ST_LIMIT);
	/* a pipe is no terminal to ask on */
	assert_int_equal(from_stdin("s.secret\n", NULL, &b), ST_INVALID);
	assert_int_equal(b.n, 0);
}

static void test_files(void **state)
{
	char path[PATH_LEN];
	struct builder b = {0};
	struct err err = {0};

	assert_int_equal(input_file(put_file(path, "", "some", "a\0b", 3), &b, &err), ST_OK);
	assert_true(span_eq(builder_span(&b), span_of("a\0b", 3)));
	builder_free(&b);
	assert_int_equal(input_file(put_file(path, "", "none", "", 0), &b, &err), ST_OK);
	assert_int_equal(b.n, 0);
	builder_free(&b);
	assert_int_equal(input_file(folder, &b, &err), ST_IO);
	assert_int_equal(input_file("/nonexistent/file", &b, &err), ST_IO);
	assert_non_null(strstr(err.text, "/nonexistent/file"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_pairs),
	    cmocka_unit_test(test_pairs_refused),
	    cmocka_unit_test(test_a_secret_from_an_argument_is_covered),
	    cmocka_unit_test(test_a_secret_from_standard_input),
	    cmocka_unit_test(test_files),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
