#include "vectors.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "crypto/secret.h"

static const char *vectors_dir;

int vectors_main(int argc, char **argv, const struct CMUnitTest *tests, size_t n)
{
	struct err err = {0};

	if (argc != 2) {
		(void)fprintf(stderr, "usage: %s DIRECTORY\n", argv[0]);
		return 2;
	}
	vectors_dir = argv[1];
	if (secret_setup(SECRET_BUDGET_DEFAULT, &err) != ST_OK) {
		(void)fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	return _cmocka_run_group_tests("vectors", tests, n, NULL, NULL);
}

void vectors_path(const char *name, char *buf, size_t cap)
{
	int n = snprintf(buf, cap, "%s/%s", vectors_dir, name);

	assert_true(n > 0 && (size_t)n < cap);
}

size_t vectors_run(const char *name, bool (*run)(const json_t *group, const json_t *test))
{
	json_error_t error;
	json_t *doc, *group, *test;
	size_t i, j, done = 0;
	char path[1024];

	vectors_path(name, path, sizeof path);
	doc = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
	if (doc == NULL)
		fail_msg("%s: %s", path, error.text);
	json_array_foreach(json_object_get(doc, "testGroups"), i, group)
	    json_array_foreach(json_object_get(group, "tests"), j, test) done +=
	    run(group, test) ? 1 : 0;
	json_decref(doc);
	return done;
}

void holds_at(bool condition, const char *what, const char *where, long long number)
{
	if (!condition)
		fail_msg("%s %lld: %s", where, number, what);
}

void holds(bool condition, const char *what, const json_t *test)
{
	holds_at(condition, what, "tcId", json_integer_value(json_object_get(test, "tcId")));
}

const char *json_text(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	if (text == NULL)
		fail_msg("no text \"%s\"", name);
	return text;
}

void json_unhex(struct builder *b, const json_t *object, const char *name)
{
	builder_init(b, 0);
	assert_int_equal(builder_unhex(b, span_str(json_text(object, name))), ST_OK);
}

json_int_t json_number(const json_t *object, const char *name)
{
	const json_t *n = json_object_get(object, name);

	assert_true(json_is_integer(n));
	return json_integer_value(n);
}

enum verdict json_verdict(const json_t *test)
{
	const char *result = json_text(test, "result");

	if (strcmp(result, "valid") == 0)
		return VALID;
	if (strcmp(result, "acceptable") == 0)
		return ACCEPTABLE;
	assert_string_equal(result, "invalid");
	return INVALID;
}

bool json_is_valid(const json_t *test)
{
	enum verdict v = json_verdict(test);

	holds(v != ACCEPTABLE, "nobody decided what to do with it", test);
	return v == VALID;
}

bool json_has_flag(const json_t *test, const char *flag)
{
	const json_t *flags = json_object_get(test, "flags"), *f;
	size_t i;

	json_array_foreach(flags, i, f) if (strcmp(json_string_value(f), flag) == 0) return true;
	return false;
}
