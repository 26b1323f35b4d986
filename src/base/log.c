#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"

#define TEXT_MAX 2048
/* An escaped byte takes up to six; and the time, the level, the module and the braces come to it. */
#define LINE_MAX_LEN (TEXT_MAX * 6 + 512)

/*
 * The file's descriptor keeps its number for the life of the process: reopening puts the new file under the old
 * number, so that a thread in the middle of a write never meets a closed one.
 */
static _Atomic int sink = STDERR_FILENO;
static _Atomic int threshold = LOG_INFO;
static enum log_format line_format = LOG_STANDARD;
static char *file_name;

static const struct {
	const char *word;  /* in the configuration and in JSON */
	const char *shown; /* in standard lines, one width */
} levels[] = {
    [LOG_TRACE] = {"trace", "[TRACE]"}, [LOG_DEBUG] = {"debug", "[DEBUG]"},
    [LOG_INFO] = {"info", "[INFO] "},   [LOG_WARN] = {"warn", "[WARN] "},
    [LOG_ERROR] = {"error", "[ERROR]"}, [LOG_OFF] = {"off", ""},
};

enum status log_level_parse(struct span s, enum log_level *ret)
{
	for (unsigned i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
		if (span_eq_str(s, levels[i].word)) {
			*ret = (enum log_level)i;
			return ST_OK;
		}
	}
	return ST_INVALID;
}

enum status log_format_parse(struct span s, enum log_format *ret)
{
	if (span_eq_str(s, "standard"))
		*ret = LOG_STANDARD;
	else if (span_eq_str(s, "json"))
		*ret = LOG_JSON;
	else
		return ST_INVALID;
	return ST_OK;
}

static int open_file(const char *name)
{
	return open(name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

enum status log_setup(enum log_level level, enum log_format format, const char *file,
                      struct err *err)
{
	int fd = STDERR_FILENO, old;
	char *name = NULL;

	if (file != NULL) {
		name = strdup(file);
		if (name == NULL)
			return err_set(err, ST_NOMEM, "log file: out of memory");
		fd = open_file(file);
		if (fd < 0) {
			int e = errno;

			free(name);
			return err_set(err, ST_IO, "log file %s: %s", file, strerror(e));
		}
	}
	old = atomic_exchange(&sink, fd);
	if (old != STDERR_FILENO)
		(void)close(old);
	free(file_name);
	file_name = name;
	line_format = format;
	log_set_level(level);
	return ST_OK;
}

void log_set_level(enum log_level level)
{
	atomic_store_explicit(&threshold, (int)level, memory_order_relaxed);
}

bool log_on(enum log_level level)
{
	return level != LOG_OFF &&
	       (int)level >= atomic_load_explicit(&threshold, memory_order_relaxed);
}

void log_reopen(void)
{
	int fd, e;

	if (file_name == NULL)
		return;
	fd = open_file(file_name);
	if (fd >= 0 && dup3(fd, atomic_load(&sink), O_CLOEXEC) >= 0) {
		(void)close(fd);
		return;
	}
	e = errno;
	if (fd >= 0)
		(void)close(fd);
	log_error("log", "cannot reopen %s, going on with the old file: %s", file_name,
	          strerror(e));
}

/* Nothing in a text may end the line or steer a terminal: control characters, C1 ones included, are shown. */
static void put_shown(struct builder *b, struct span s)
{
	for (size_t i = 0; i < s.n; i++) {
		uint8_t c = s.p[i];

		if (c == '\n')
			builder_str(b, "\\n");
		else if (c == '\r')
			builder_str(b, "\\r");
		else if (c == '\t')
			builder_str(b, "\\t");
		else if (c < 0x20 || c == 0x7f)
			builder_fmt(b, "\\x%02x", (unsigned)c);
		else if (c == 0xc2 && i + 1 < s.n && s.p[i + 1] >= 0x80 && s.p[i + 1] <= 0x9f)
			builder_fmt(b, "\\u%04x", (unsigned)s.p[++i]);
		else
			builder_u8(b, c);
	}
}

static void put_standard(struct builder *b, enum log_level level, struct span module,
                         struct span text, int64_t now_ns)
{
	rfc3339(b, now_ns);
	builder_str(b, " ");
	builder_str(b, levels[level].shown);
	builder_str(b, " ");
	put_shown(b, module);
	builder_str(b, ": ");
	put_shown(b, text);
}

static void put_json(struct builder *b, enum log_level level, struct span module, struct span text,
                     int64_t now_ns)
{
	struct json_writer w;
	char time_buf[64];
	struct builder time;

	builder_init_fixed(&time, time_buf, sizeof(time_buf));
	rfc3339(&time, now_ns);
	json_writer_init(&w, b);
	json_begin_object(&w);
	json_put_cstr(&w, "@level", levels[level].word);
	json_put_string(&w, "@message", text);
	json_put_string(&w, "@module", module);
	json_put_string(&w, "@timestamp", builder_span(&time));
	json_end_object(&w);
}

/* One write, so that lines of several threads and processes never mix; what fails is lost: there is nobody left to tell. */
static void put_line(const struct builder *b)
{
	ssize_t n;

	if (builder_status(b) != ST_OK)
		return;
	do
		n = write(atomic_load(&sink), b->p, b->n);
	while (n < 0 && errno == EINTR);
}

void log_line(enum log_level level, const char *module, const char *fmt, ...)
{
	char text[TEXT_MAX], line[LINE_MAX_LEN];
	struct builder b;
	int64_t now_ns;
	va_list args;
	int saved = errno, n;

	if (!log_on(level))
		return;
	va_start(args, fmt);
	n = vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	if (n >= (int)sizeof(text))
		(void)snprintf(text + sizeof(text) - 4, 4, "...");
	now_ns = clock_wall_ns(&clock_system);
	builder_init_fixed(&b, line, sizeof(line));
	if (line_format == LOG_JSON)
		put_json(&b, level, span_str(module), span_str(n < 0 ? fmt : text), now_ns);
	else
		put_standard(&b, level, span_str(module), span_str(n < 0 ? fmt : text), now_ns);
	builder_str(&b, "\n");
	put_line(&b);
	errno = saved;
}
