#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"

static char folder[] = "/tmp/test_log_XXXXXX";
static char file[64], moved[64];

static int make_folder(void **state)
{
	if (mkdtemp(folder) == NULL)
		return -1;
	(void)snprintf(file, sizeof(file), "%s/log", folder);
	(void)snprintf(moved, sizeof(moved), "%s/moved", folder);
	return 0;
}

static int remove_folder(void **state)
{
	(void)unlink(file);
	(void)unlink(moved);
	return rmdir(folder);
}

/* Each test begins with an empty file and ends on stderr. */
static int clean(void **state)
{
	(void)unlink(file);
	(void)unlink(moved);
	return log_setup(LOG_OFF, LOG_STANDARD, NULL, NULL) == ST_OK ? 0 : -1;
}

static size_t slurp(const char *name, char *buf, size_t cap)
{
	FILE *f = fopen(name, "r");
	size_t n;

	assert_non_null(f);
	n = fread(buf, 1, cap - 1, f);
	assert_int_equal(fclose(f), 0);
	buf[n] = '\0';
	return n;
}

static void words_are_read(void **state)
{
	static const char *const words[] = {"trace", "debug", "info", "warn", "error", "off"};
	enum log_level level = LOG_OFF;
	enum log_format format = LOG_STANDARD;

	for (int i = 0; i < 6; i++) {
		assert_int_equal(log_level_parse(span_str(words[i]), &level), ST_OK);
		assert_int_equal((int)level, i);
	}
	assert_int_equal(log_level_parse(span_str("loud"), &level), ST_INVALID);
	assert_int_equal(log_level_parse(span_str(""), &level), ST_INVALID);
	assert_int_equal(log_level_parse(span_str("INFO"), &level), ST_INVALID);
	assert_int_equal((int)level, LOG_OFF);
	assert_int_equal(log_format_parse(span_str("json"), &format), ST_OK);
	assert_int_equal(format, LOG_JSON);
	assert_int_equal(log_format_parse(span_str("xml"), &format), ST_INVALID);
	assert_int_equal(format, LOG_JSON);
	assert_int_equal(log_format_parse(span_str("standard"), &format), ST_OK);
	assert_int_equal(format, LOG_STANDARD);
}

static void levels_decide(void **state)
{
	char buf[1024];

	assert_int_equal(log_setup(LOG_WARN, LOG_STANDARD, file, NULL), ST_OK);
	assert_true(log_on(LOG_ERROR));
	assert_true(log_on(LOG_WARN));
	assert_false(log_on(LOG_INFO));
	assert_false(log_on(LOG_OFF));
	log_info("m", "one");
	log_warn("m", "two");
	log_set_level(LOG_TRACE);
	log_trace("m", "three");
	log_set_level(LOG_OFF);
	log_error("m", "four");
	assert_false(log_on(LOG_ERROR));
	(void)slurp(file, buf, sizeof(buf));
	assert_null(strstr(buf, "one"));
	assert_non_null(strstr(buf, " [WARN]  m: two\n"));
	assert_non_null(strstr(buf, " [TRACE] m: three\n"));
	assert_null(strstr(buf, "four"));
}

static void a_line_begins_with_its_time(void **state)
{
	char buf[1024];
	int64_t before = clock_wall_ns(&clock_system), t = 0;

	assert_int_equal(log_setup(LOG_INFO, LOG_STANDARD, file, NULL), ST_OK);
	log_info("keyring", "term %d", 7);
	(void)slurp(file, buf, sizeof(buf));
	assert_non_null(strchr(buf, ' '));
	assert_int_equal(rfc3339_parse(span_of(buf, (size_t)(strchr(buf, ' ') - buf)), &t), ST_OK);
	assert_true(t >= before && t <= clock_wall_ns(&clock_system));
	assert_string_equal(strchr(buf, ' '), " [INFO]  keyring: term 7\n");
}

static void texts_cannot_break_the_line(void **state)
{
	char buf[1024];

	assert_int_equal(log_setup(LOG_INFO, LOG_STANDARD, file, NULL), ST_OK);
	log_info("m\n", "a\nb\rc\td\x1b[31m\x7f \xc2\x9b \xc3\xa4");
	(void)slurp(file, buf, sizeof(buf));
	assert_non_null(strstr(buf, "m\\n: a\\nb\\rc\\td\\x1b[31m\\x7f \\u009b \xc3\xa4\n"));
	assert_ptr_equal(strchr(buf, '\n'), buf + strlen(buf) - 1);
}

static void json_lines_are_json(void **state)
{
	uint8_t buf[1024];
	struct json doc;
	size_t n;
	int64_t t;

	assert_int_equal(log_setup(LOG_INFO, LOG_JSON, file, NULL), ST_OK);
	log_error("core", "say \"%s\"\n", "hi");
	n = slurp(file, (char *)buf, sizeof(buf));
	assert_int_equal(buf[n - 1], '\n');
	json_init(&doc);
	assert_int_equal(json_parse(&doc, buf, n, NULL, NULL), ST_OK);
	assert_int_equal(json_root(&doc)->count, 4);
	assert_true(span_eq_str(json_member(json_root(&doc), "@level")->text, "error"));
	assert_true(span_eq_str(json_member(json_root(&doc), "@module")->text, "core"));
	assert_true(span_eq_str(json_member(json_root(&doc), "@message")->text, "say \"hi\"\n"));
	assert_int_equal(rfc3339_parse(json_member(json_root(&doc), "@timestamp")->text, &t),
	                 ST_OK);
	json_free(&doc);
}

static void long_texts_are_cut(void **state)
{
	static char text[10000], buf[20000];
	size_t n;

	memset(text, '\n', sizeof(text) - 1);
	assert_int_equal(log_setup(LOG_INFO, LOG_STANDARD, file, NULL), ST_OK);
	log_info("m", "%s", text);
	n = slurp(file, buf, sizeof(buf));
	assert_true(n > 4000 && n < 5000);
	assert_string_equal(buf + n - 6, "\\n...\n");
}

static void files_that_do_not_open(void **state)
{
	struct err err = {0};
	char name[80];

	(void)snprintf(name, sizeof(name), "%s/none/log", folder);
	assert_int_equal(log_setup(LOG_INFO, LOG_STANDARD, name, &err), ST_IO);
	assert_non_null(strstr(err.text, name));
}

static void reopening_follows_the_name(void **state)
{
	char buf[1024];
	struct stat st;

	assert_int_equal(log_setup(LOG_INFO, LOG_STANDARD, file, NULL), ST_OK);
	log_info("m", "one");
	assert_int_equal(rename(file, moved), 0);
	log_info("m", "two");
	log_reopen();
	log_info("m", "three");
	(void)slurp(moved, buf, sizeof(buf));
	assert_non_null(strstr(buf, "one"));
	assert_non_null(strstr(buf, "two"));
	assert_null(strstr(buf, "three"));
	(void)slurp(file, buf, sizeof(buf));
	assert_non_null(strstr(buf, "three"));
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
}

static void a_failed_reopening_keeps_the_old_file(void **state)
{
	char buf[1024];

	assert_int_equal(log_setup(LOG_INFO, LOG_STANDARD, file, NULL), ST_OK);
	assert_int_equal(rename(file, moved), 0);
	assert_int_equal(mkdir(file, 0700), 0);
	log_reopen();
	log_info("m", "still here");
	assert_int_equal(rmdir(file), 0);
	(void)slurp(moved, buf, sizeof(buf));
	assert_non_null(strstr(buf, "cannot reopen"));
	assert_non_null(strstr(buf, "still here"));
}

#define WRITERS 4
#define LINES   200

static void *write_lines(void *arg)
{
	for (int i = 0; i < LINES; i++) {
		log_info("thread", "%s %d end", (const char *)arg, i);
		if (i % 50 == 0)
			log_reopen();
	}
	return NULL;
}

static void threads_do_not_mix_lines(void **state)
{
	static char names[WRITERS][2] = {"a", "b", "c", "d"}, buf[1 << 17];
	pthread_t threads[WRITERS];
	int lines = 0;

	assert_int_equal(log_setup(LOG_INFO, LOG_STANDARD, file, NULL), ST_OK);
	for (int i = 0; i < WRITERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, write_lines, names[i]), 0);
	for (int i = 0; i < WRITERS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	(void)slurp(file, buf, sizeof(buf));
	for (char *line = strtok(buf, "\n"); line != NULL; line = strtok(NULL, "\n"), lines++) {
		assert_non_null(strstr(line, " [INFO]  thread: "));
		assert_string_equal(line + strlen(line) - 4, " end");
	}
	assert_int_equal(lines, WRITERS * LINES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_teardown(words_are_read, clean),
	    cmocka_unit_test_teardown(levels_decide, clean),
	    cmocka_unit_test_teardown(a_line_begins_with_its_time, clean),
	    cmocka_unit_test_teardown(texts_cannot_break_the_line, clean),
	    cmocka_unit_test_teardown(json_lines_are_json, clean),
	    cmocka_unit_test_teardown(long_texts_are_cut, clean),
	    cmocka_unit_test_teardown(files_that_do_not_open, clean),
	    cmocka_unit_test_teardown(reopening_follows_the_name, clean),
	    cmocka_unit_test_teardown(a_failed_reopening_keeps_the_old_file, clean),
	    cmocka_unit_test_teardown(threads_do_not_mix_lines, clean),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
