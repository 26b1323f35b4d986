#include "cli/input.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#define INPUT_MAX  ((size_t)32 << 20)
#define SECRET_MAX ((size_t)16 << 10)

/* The signal that came while the echo was off; it is raised again once the echo is back. */
static volatile sig_atomic_t caught;

static void catch_signal(int signal)
{
	caught = signal;
}

static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP};
#define N_SIGNALS (sizeof signals / sizeof signals[0])

/*
 * One line from standard input, without its end.  ST_NOT_FOUND when there is none.  wait: the signals' mask while it waits, which the caller
 * has blocked otherwise, so that one that comes just before the wait ends it too; NULL: as they are.
 */
static enum status read_line(struct builder *ret, const sigset_t *wait)
{
	struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
	ssize_t n;
	char c;

	for (;;) {
		if (wait != NULL && ppoll(&in, 1, NULL, wait) < 0)
			return ST_IO;
		n = read(STDIN_FILENO, &c, 1);
		if (n < 0)
			return ST_IO;
		if (n == 0 && ret->n == 0)
			return ST_NOT_FOUND;
		if (n == 0 || c == '\n')
			break;
		builder_u8(ret, (uint8_t)c);
	}
	if (ret->n > 0 && ret->p[ret->n - 1] == '\r')
		ret->p[--ret->n] = 0;
	return builder_status(ret);
}

static enum status read_hidden_line(const char *prompt, struct builder *ret)
{
	struct sigaction act = {.sa_handler = catch_signal}, before[N_SIGNALS];
	struct termios shown, hidden;
	sigset_t block, mask;
	enum status s;
	size_t i;

	if (tcgetattr(STDIN_FILENO, &shown) != 0)
		return ST_IO;
	caught = 0;
	(void)sigemptyset(&block);
	for (i = 0; i < N_SIGNALS; i++) {
		(void)sigaction(signals[i], &act, &before[i]);
		(void)sigaddset(&block, signals[i]);
	}
	(void)sigprocmask(SIG_BLOCK, &block, &mask);
	hidden = shown;
	hidden.c_lflag &= ~(tcflag_t)ECHO;
	hidden.c_lflag |= ECHONL;
	if (tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden) == 0) {
		(void)fputs(prompt, stderr);
		(void)fflush(stderr);
		s = read_line(ret, &mask);
		(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &shown);
	} else {
		s = ST_IO;
	}
	(void)sigprocmask(SIG_SETMASK, &mask, NULL);
	for (i = 0; i < N_SIGNALS; i++)
		(void)sigaction(signals[i], &before[i], NULL);
	if (caught != 0)
		(void)raise(caught);
	return s;
}

enum status input_secret(char *arg, const char *prompt, struct builder *ret, struct err *err)
{
	enum status s = ST_OK;

	builder_init(ret, SECRET_MAX);
	if (arg == NULL && !isatty(STDIN_FILENO))
		return err_set(
		    err, ST_INVALID,
		    "there is no terminal to ask on; use \"-\" to read from standard input");
	if (arg == NULL) {
		s = read_hidden_line(prompt, ret);
	} else if (strcmp(arg, "-") == 0) {
		s = read_line(ret, NULL);
	} else {
		builder_str(ret, arg);
		s = builder_status(ret);
		memset(arg, '*', strlen(arg));
	}
	if (s == ST_NOT_FOUND || (s == ST_OK && ret->n == 0))
		s = err_set(err, ST_INVALID, "nothing was entered");
	else if (s != ST_OK)
		(void)err_set(err, s, "cannot read what was entered: %s", status_text(s));
	if (s != ST_OK)
		builder_free(ret);
	return s;
}

enum status input_file(const char *path, struct builder *ret, struct err *err)
{
	const bool standard = strcmp(path, "-") == 0;
	FILE *f = standard ? stdin : fopen(path, "re");
	uint8_t part[4096];
	enum status s;
	size_t n;

	if (f == NULL)
		return err_set(err, ST_IO, "%s: %s", path, strerror(errno));
	builder_init(ret, INPUT_MAX);
	do {
		n = fread(part, 1, sizeof part, f);
		builder_add(ret, span_of(part, n));
	} while (n > 0 && builder_status(ret) == ST_OK);
	wipe(part, sizeof part);
	s = ferror(f) ? ST_IO : builder_status(ret);
	if (!standard)
		(void)fclose(f);
	if (s == ST_OK)
		return ST_OK;
	builder_free(ret);
	return err_set(err, s, "%s: %s", path,
	               s == ST_LIMIT ? "larger than 32 MiB" : "cannot be read");
}

static enum status merge_file(const char *path, json_t *object, struct err *err)
{
	struct builder text = {0};
	json_error_t why;
	json_t *more;
	enum status s;

	s = input_file(path, &text, err);
	if (s != ST_OK)
		return s;
	more =
	    json_loadb((const char *)text.p, text.n, JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, &why);
	builder_free(&text);
	if (!json_is_object(more))
		s = err_set(err, ST_INVALID, "%s: %s", path,
		            more != NULL ? "no JSON object" : why.text);
	else if (json_object_update(object, more) != 0)
		s = err_set(err, ST_NOMEM, "out of memory");
	json_decref(more);
	return s;
}

/* The value behind "k=": text, file, or standard input. */
static enum status pair_value(const char *value, json_t **ret, struct err *err)
{
	struct builder text = {0};
	enum status s = ST_OK;
	json_t *v;

	if (value[0] == '@')
		s = input_file(value + 1, &text, err);
	else if (strcmp(value, "-") == 0)
		s = input_file(value, &text, err);
	else
		builder_str(&text, value[0] == '\\' && value[1] == '@' ? value + 1 : value);
	if (s != ST_OK)
		return s;
	v = json_stringn(text.n > 0 ? (const char *)text.p : "", text.n);
	builder_free(&text);
	if (v == NULL)
		return err_set(err, ST_INVALID, "a value is not UTF-8; encode it (base64) first");
	*ret = v;
	return ST_OK;
}

/* object[name] = v; a second value makes a list of both.  Takes v over. */
static int add_member(json_t *object, const char *name, json_t *v)
{
	json_t *before = json_object_get(object, name);
	json_t *list;

	if (before == NULL)
		return json_object_set_new(object, name, v);
	if (json_is_array(before))
		return json_array_append_new(before, v);
	list = json_array();
	if (list == NULL || json_array_append(list, before) != 0) {
		json_decref(list);
		json_decref(v);
		return -1;
	}
	if (json_array_append_new(list, v) != 0) {
		json_decref(list);
		return -1;
	}
	return json_object_set_new(object, name, list);
}

static enum status add_pair(const char *arg, json_t *object, struct err *err)
{
	const char *equals = strchr(arg, '=');
	json_t *v = NULL;
	enum status s;
	char *name;
	int failed;

	if (arg[0] == '@')
		return merge_file(arg + 1, object, err);
	if (strcmp(arg, "-") == 0)
		return merge_file(arg, object, err);
	if (equals == NULL || equals == arg)
		return err_set(err, ST_INVALID, "\"%.60s\" is neither NAME=VALUE, @FILE nor -",
		               arg);
	s = pair_value(equals + 1, &v, err);
	if (s != ST_OK)
		return s;
	name = strndup(arg, (size_t)(equals - arg));
	if (name == NULL) {
		json_decref(v);
		return err_set(err, ST_NOMEM, "out of memory");
	}
	failed = add_member(object, name, v);
	free(name);
	return failed == 0 ? ST_OK : err_set(err, ST_INVALID, "a name is not UTF-8");
}

enum status input_pairs(char *const *args, size_t n, json_t **ret, struct err *err)
{
	json_t *object = json_object();
	enum status s = ST_OK;
	size_t i;

	if (object == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	for (i = 0; i < n && s == ST_OK; i++)
		s = add_pair(args[i], object, err);
	if (s != ST_OK) {
		json_decref(object);
		return s;
	}
	*ret = object;
	return ST_OK;
}
