#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/status.h"

static void names_and_texts_are_there_and_differ(void **state)
{
	(void)state;
	for (int i = 0; i < ST_COUNT; i++) {
		assert_true(strlen(status_name((enum status)i)) > 0);
		assert_true(strlen(status_text((enum status)i)) > 0);
		for (int j = 0; j < i; j++) {
			assert_string_not_equal(status_name((enum status)i),
			                        status_name((enum status)j));
			assert_string_not_equal(status_text((enum status)i),
			                        status_text((enum status)j));
		}
	}
	assert_string_equal(status_name(ST_OK), "OK");
	assert_string_equal(status_name(ST_NOT_FOUND), "NOT_FOUND");
	assert_string_equal(status_text(ST_NOT_FOUND), "not found");
	assert_string_equal(status_name(ST_PENDING), "PENDING");
}

static void set_formats_and_returns_its_code(void **state)
{
	struct err e = {0};

	(void)state;
	assert_int_equal(err_set(&e, ST_INVALID, "%s: %d", "limit", 7), ST_INVALID);
	assert_int_equal(e.status, ST_INVALID);
	assert_string_equal(e.text, "limit: 7");
	assert_int_equal(err_set(&e, ST_IO, "gone"), ST_IO);
	assert_int_equal(e.status, ST_IO);
	assert_string_equal(e.text, "gone");
	assert_int_equal(err_set(NULL, ST_BUSY, "nobody listens"), ST_BUSY);
	assert_int_equal(err_wrap(NULL, ST_FULL, "nobody listens"), ST_FULL);
}

static void wrap_puts_context_before(void **state)
{
	struct err e = {0};

	(void)state;
	(void)err_set(&e, ST_IO, "disk");
	assert_int_equal(err_wrap(&e, ST_UNCERTAIN, "commit %u", 3u), ST_UNCERTAIN);
	assert_int_equal(e.status, ST_UNCERTAIN);
	assert_string_equal(e.text, "commit 3: disk");
	(void)err_wrap(&e, ST_UNCERTAIN, "rotate");
	assert_string_equal(e.text, "rotate: commit 3: disk");
}

static void wrap_of_nothing_takes_the_general_text(void **state)
{
	struct err e = {0};

	(void)state;
	assert_int_equal(err_wrap(&e, ST_SEALED, "read"), ST_SEALED);
	assert_string_equal(e.text, "read: sealed");
}

static void arguments_may_point_into_the_error(void **state)
{
	struct err e = {0};

	(void)state;
	(void)err_set(&e, ST_IO, "abc");
	(void)err_set(&e, ST_IO, "<%s>", e.text);
	assert_string_equal(e.text, "<abc>");
	(void)err_wrap(&e, ST_IO, "%s", e.text);
	assert_string_equal(e.text, "<abc>: <abc>");
}

static void text_falls_back(void **state)
{
	struct err e = {0};

	(void)state;
	assert_string_equal(err_text(NULL, ST_DENIED), "permission denied");
	assert_string_equal(err_text(&e, ST_DENIED), "permission denied");
	(void)err_set(&e, ST_DENIED, "no");
	assert_string_equal(err_text(&e, ST_DENIED), "no");
}

static void long_texts_are_cut_at_the_end(void **state)
{
	struct err e = {0};
	char text[2 * ERR_TEXT_MAX];

	(void)state;
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	(void)err_set(&e, ST_INVALID, "%s", text);
	assert_int_equal(strlen(e.text), ERR_TEXT_MAX - 1);
	(void)err_wrap(&e, ST_INVALID, "front");
	assert_int_equal(strlen(e.text), ERR_TEXT_MAX - 1);
	assert_memory_equal(e.text, "front: xxx", 10);
	(void)err_wrap(&e, ST_INVALID, "%s", text);
	assert_int_equal(strlen(e.text), ERR_TEXT_MAX - 1);
	text[ERR_TEXT_MAX - 1] = '\0'; /* the longest that fits */
	(void)err_set(&e, ST_INVALID, "%s", text);
	assert_string_equal(e.text, text);
}

/* A text of `lead` letters and then 600 bytes of one UTF-8 character again and again. */
static size_t cut_length(size_t lead, const char *character)
{
	struct err e = {0};
	char text[1000] = {0};
	size_t n = strlen(character);

	memset(text, 'x', lead);
	for (size_t at = lead; at + n < 600; at += n)
		memcpy(text + at, character, n);
	(void)err_set(&e, ST_INVALID, "%s", text);
	assert_memory_equal(e.text, text, strlen(e.text));
	return strlen(e.text);
}

static void a_cut_leaves_no_half_character(void **state)
{
	(void)state;
	for (size_t lead = 0; lead < 8; lead++) {
		size_t room = ERR_TEXT_MAX - 1;
		assert_int_equal(cut_length(lead, "\xc3\xa9"), lead + (room - lead) / 2 * 2);
		assert_int_equal(cut_length(lead, "\xe2\x82\xac"), lead + (room - lead) / 3 * 3);
		assert_int_equal(cut_length(lead, "\xf0\x9f\x98\x80"),
		                 lead + (room - lead) / 4 * 4);
	}
}

/* The signal that ends a child which breaks a precondition; its stderr goes to text. */
static int signal_of(void (*broken)(void), char *text, size_t cap)
{
	int ends[2], status;

	assert_int_equal(pipe(ends), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		(void)dup2(ends[1], STDERR_FILENO);
		(void)signal(SIGABRT, SIG_DFL);
		broken();
		_exit(0);
	}
	(void)close(ends[1]);
	ssize_t n = read(ends[0], text, cap - 1);
	assert_true(n >= 0);
	text[n] = '\0';
	(void)close(ends[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void one_is_two(void)
{
	int one = 1;

	MUST(one == 2);
}

static void one_is_one(void)
{
	int one = 1;

	MUST(one == 1);
}

static void set_ok(void)
{
	struct err e = {0};

	(void)err_set(&e, ST_OK, "no error");
}

static void must_names_file_and_condition_and_aborts(void **state)
{
	char text[300];

	(void)state;
	assert_int_equal(signal_of(one_is_two, text, sizeof(text)), SIGABRT);
	assert_non_null(strstr(text, "test_status.c:"));
	assert_non_null(strstr(text, "one == 2"));
	assert_int_equal(strchr(text, '\n') - text, strlen(text) - 1);
	assert_int_equal(signal_of(one_is_one, text, sizeof(text)), 0);
	assert_string_equal(text, "");
	assert_int_equal(signal_of(set_ok, text, sizeof(text)), SIGABRT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(names_and_texts_are_there_and_differ),
	    cmocka_unit_test(set_formats_and_returns_its_code),
	    cmocka_unit_test(wrap_puts_context_before),
	    cmocka_unit_test(wrap_of_nothing_takes_the_general_text),
	    cmocka_unit_test(arguments_may_point_into_the_error),
	    cmocka_unit_test(text_falls_back),
	    cmocka_unit_test(long_texts_are_cut_at_the_end),
	    cmocka_unit_test(a_cut_leaves_no_half_character),
	    cmocka_unit_test(must_names_file_and_condition_and_aborts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
