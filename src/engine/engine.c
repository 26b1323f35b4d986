#include "engine/engine.h"

#include <string.h>

/* The segments from `at` up to the last one, which is `word`. */
static bool fits_middle(const char *word, const struct path *path, unsigned at, struct span *arg)
{
	unsigned last = path->segments - 1u;

	if (at + 1u > last || !span_eq_str(path_segment(path, last), word))
		return false;
	*arg = span_of(path->text + path->start[at],
	               (size_t)(path->start[last] - 1 - path->start[at]));
	return true;
}

/* Does the pattern fit?  `*` takes the rest of the text, a trailing slash included. */
static bool fits(const char *pattern, const struct path *path, unsigned first, struct span *args)
{
	unsigned at = first;
	size_t n_args = 0;

	while (*pattern != 0) {
		const char *end = strchrnul(pattern, '/');
		size_t n = (size_t)(end - pattern);

		if (pattern[0] == '*' && *end == 0) {
			MUST(n_args < OP_ARGS_MAX);
			args[n_args] = at < path->segments
			                   ? span_from(path_span(path), path->start[at])
			                   : span_of(NULL, 0);
			return true;
		}
		if (pattern[0] == '*')
			return n_args < OP_ARGS_MAX &&
			       fits_middle(end + 1, path, at, &args[n_args]);
		if (at == path->segments)
			return false;
		if (pattern[0] == ':') {
			MUST(n_args < OP_ARGS_MAX);
			args[n_args++] = path_segment(path, at);
		} else if (!span_eq(path_segment(path, at), span_of(pattern, n))) {
			return false;
		}
		at++;
		pattern = *end == '/' ? end + 1 : end;
	}
	return at == path->segments;
}

/* The first byte of the first segment; 0: there is none. */
static char initial_of(const struct path *path, unsigned first)
{
	return first < path->segments ? path->text[path->start[first]] : '\0';
}

/* Cheap, for tables of many patterns: false when the pattern cannot fit. */
static bool may_fit(const char *pattern, char initial)
{
	return pattern[0] == initial || pattern[0] == ':' || pattern[0] == '*';
}

enum status engine_match(const struct engine *e, const struct path *path, unsigned first,
                         enum verb verb, const struct operation **ret_op, struct span *args)
{
	const struct operation *other = NULL;
	struct span found[OP_ARGS_MAX];
	char initial = initial_of(path, first);

	for (size_t i = 0; i < e->n_operations; i++) {
		const struct operation *o = &e->operations[i];

		if (!may_fit(o->pattern, initial) || (other != NULL && o->verb != verb))
			continue;
		memset(found, 0, sizeof found);
		if (!fits(o->pattern, path, first, found))
			continue;
		if (o->verb == verb) {
			memcpy(args, found, sizeof found);
			*ret_op = o;
			return ST_OK;
		}
		other = o;
	}
	if (other == NULL)
		return ST_NO_ROUTE;
	*ret_op = other;
	return ST_UNSUPPORTED;
}

bool engine_streams(const struct engine *e, const struct path *path, unsigned first, enum verb verb)
{
	struct span args[OP_ARGS_MAX];

	/* asked for each write: most engines have none, and most paths are of another length or another word */
	for (size_t i = 0; i < e->n_operations; i++) {
		const struct operation *o = &e->operations[i];

		if (o->kind == OP_STREAM && o->verb == verb && fits(o->pattern, path, first, args))
			return engine_match(e, path, first, verb, &o, args) == ST_OK &&
			       o->kind == OP_STREAM;
	}
	return false;
}

enum status stream_line(const struct stream_visit *v, size_t max, uint8_t **ret_line, size_t *ret_n,
                        size_t *ret_whole, struct err *err)
{
	uint8_t *p = v->in + v->used;
	size_t left = v->n - v->used, n, whole;
	const uint8_t *lf = left > 0 ? memchr(p, '\n', left) : NULL;

	n = lf != NULL ? (size_t)(lf - p) : left;
	whole = lf != NULL ? n + 1 : n;
	/* a CR at the end of what came may belong to the line's end */
	if (n > 0 && p[n - 1] == '\r' && (lf != NULL || v->end == STREAM_GOES_ON))
		n--;
	if (n > max)
		return err_set(err, ST_LIMIT, "a line is longer than %zu bytes", max);
	if (left == 0 || (lf == NULL && v->end == STREAM_GOES_ON))
		return ST_NOT_FOUND;
	*ret_line = p;
	*ret_n = n;
	*ret_whole = whole;
	return ST_OK;
}
