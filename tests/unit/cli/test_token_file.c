/* The token that login keeps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "cli/token_file.h"

static char home[64];

static int make_home(void **state)
{
	(void)snprintf(home, sizeof home, "/tmp/keyturn-home-XXXXXX");
	return mkdtemp(home) == NULL ? -1 : 0;
}

static int remove_home(void **state)
{
	char command[128];

	(void)snprintf(command, sizeof command, "rm -r %s", home);
	return system(command) == 0 ? 0 : -1;
}

static void put_file(const char *name, const char *text)
{
	char path[128];
	FILE *f;

	(void)snprintf(path, sizeof path, "%s/%s", home, name);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void expect_token(const char *want)
{
	struct builder b = {0};
	struct err err = {0};

	assert_int_equal(token_file_read(home, &b, &err), ST_OK);
	assert_true(span_eq_str(builder_span(&b), want));
	builder_free(&b);
}

static void test_ours_first_then_the_other(void **state)
{
	expect_token("");
	put_file(".vault-token", "s.vault\n");
	expect_token("s.vault");
	put_file(".keyturn-token", "s.ours");
	expect_token("s.ours");
	put_file(".keyturn-token", "s.ours \r\n\n");
	expect_token("s.ours");
}

static void test_written_for_the_owner_only(void **state)
{
	struct err err = {0};
	struct stat st;
	char path[128];

	put_file(".keyturn-token", "an older one that is longer");
	(void)snprintf(path, sizeof path, "%s/.keyturn-token", home);
	assert_int_equal(chmod(path, 0666), 0);
	assert_int_equal(token_file_write(home, span_str("s.new"), &err), ST_OK);
	expect_token("s.new");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(st.st_size, 5);
}

static void test_what_cannot_be(void **state)
{
	struct builder b = {0};
	struct err err = {0};
	char path[128], large[20001];

	assert_int_equal(token_file_write("/nonexistent", span_str("s.new"), &err), ST_IO);
	memset(large, 'a', sizeof large - 1);
	large[sizeof large - 1] = '\0';
	put_file(".keyturn-token", large);
	assert_int_equal(token_file_read(home, &b, &err), ST_LIMIT);
	builder_free(&b);
	(void)snprintf(path, sizeof path, "%s/.keyturn-token", home);
	assert_int_equal(remove(path), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(token_file_read(home, &b, &err), ST_IO);
	assert_non_null(strstr(err.text, ".keyturn-token"));
	builder_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_ours_first_then_the_other, make_home, remove_home),
	    cmocka_unit_test_setup_teardown(test_written_for_the_owner_only, make_home,
	                                    remove_home),
	    cmocka_unit_test_setup_teardown(test_what_cannot_be, make_home, remove_home),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
