/* Structured lines to stderr or a file.  There is no way to pass a secret: values are numbers, and strings meant to be read. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/bytes.h"

enum log_level { LOG_TRACE, LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR, LOG_OFF };
enum log_format { LOG_STANDARD, LOG_JSON };

/* log_level_parse("info"), log_format_parse("standard"|"json"): ST_INVALID for other words. */
MUST_USE enum status log_level_parse(struct span s, enum log_level *ret);
MUST_USE enum status log_format_parse(struct span s, enum log_format *ret);

/* log_setup(level, format, file): once, before threads; file NULL means stderr.  ST_IO when the file cannot be opened.
 * log_set_level, log_reopen: any thread, at any time (SIGHUP). */
MUST_USE enum status log_setup(enum log_level level, enum log_format format, const char *file, struct err *err);
void log_set_level(enum log_level level);
void log_reopen(void);
bool log_on(enum log_level level);

/*
 * log_line(level, module, fmt, ...): one line, written with one write(2): time, level, module, text.  Control characters and
 * line ends in the text are escaped.  Any thread.  Use the macros.
 */
void log_line(enum log_level level, const char *module, const char *fmt, ...) PRINTF_LIKE(3, 4);
#define log_trace(module, ...) log_line(LOG_TRACE, module, __VA_ARGS__)
#define log_debug(module, ...) log_line(LOG_DEBUG, module, __VA_ARGS__)
#define log_info(module, ...) log_line(LOG_INFO, module, __VA_ARGS__)
#define log_warn(module, ...) log_line(LOG_WARN, module, __VA_ARGS__)
#define log_error(module, ...) log_line(LOG_ERROR, module, __VA_ARGS__)

#endif
