/* Status codes, the caller-owned error text, and the assertion of programmers' errors. */
#ifndef BASE_STATUS_H
#define BASE_STATUS_H

#include <stddef.h>

/*
 * Every fallible function of the tree returns one of these.  Callers branch on the code, never on
 * a text.  X(name, text shown when no detail was given)
 */
#define STATUS_LIST(X)                                             \
	X(OK, "ok")                                                \
	X(INVALID, "invalid input")                                \
	X(NOT_FOUND, "not found")                                  \
	X(EXISTS, "already exists")                                \
	X(CONFLICT, "the state changed meanwhile")                 \
	X(DENIED, "permission denied")                             \
	X(SEALED, "sealed")                                        \
	X(CORRUPT, "stored or received data fails its check")      \
	X(UNCERTAIN, "the outcome of the write is not known")      \
	X(NOMEM, "out of memory")                                  \
	X(IO, "input or output failed")                            \
	X(FULL, "no room left")                                    \
	X(LIMIT, "over a limit")                                   \
	X(UNSUPPORTED, "unsupported operation")                    \
	X(NO_ROUTE, "unsupported path")                            \
	X(BUSY, "too much waits already")                          \
	X(UNAVAILABLE, "not available in this state")              \
	X(NEEDS_WRITER, "must run on the writer")                  \
	X(PENDING, "answered later")                               \
	X(NO_SESSION, "not logged in")

enum status {
#define STATUS_ENUM(name, text) ST_##name,
	STATUS_LIST(STATUS_ENUM)
#undef STATUS_ENUM
	ST_COUNT
};

#define MUST_USE __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, first) __attribute__((format(printf, fmt, first)))

/* Room for the detail of one error, cut at the end when longer.  Never holds a secret. */
#define ERR_TEXT_MAX 400

/* Caller-owned.  Clear it with `struct err err = {0}` before use; read it only after a failure. */
struct err {
	enum status status;
	char text[ERR_TEXT_MAX];
};

/* status_name(s): the code's name, "NOT_FOUND".  status_text(s): its general text.  Any thread; constant strings. */
const char *status_name(enum status s);
const char *status_text(enum status s);

/*
 * err_set(e, s, fmt, ...): store s and the formatted text in e (e may be NULL) and return s, so that a
 * failing function ends in `return err_set(err, ST_INVALID, "...")`.  s must not be ST_OK.
 */
enum status err_set(struct err *e, enum status s, const char *fmt, ...) PRINTF_LIKE(3, 4);

/*
 * err_wrap(e, s, fmt, ...): put "context: " before the text that e holds already (or before s's general
 * text when it holds none), store s and return it.
 */
enum status err_wrap(struct err *e, enum status s, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* err_text(e, s): e's text, or s's general text when e is NULL or empty.  Never NULL. */
const char *err_text(const struct err *e, enum status s);

/*
 * MUST(condition): a broken precondition of the program itself; aborts in every build after one line on
 * stderr that names file, line and condition.  Disk, network, input and allocation never end here.
 */
#define MUST(cond) ((cond) ? (void)0 : must_fail(__FILE__, __LINE__, #cond))
_Noreturn void must_fail(const char *file, int line, const char *cond);

#endif
