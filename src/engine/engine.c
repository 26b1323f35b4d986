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

enum status engine_match(const struct engine *e, const struct path *path, unsigned first,
                         enum verb verb, const struct operation **ret_op, struct span *args)
{
	const struct operation *other = NULL;
	struct span found[OP_ARGS_MAX];

	for (size_t i = 0; i < e->n_operations; i++) {
		const struct operation *o = &e->operations[i];

		memset(found, 0, sizeof found);
		if ((other != NULL && o->verb != verb) || !fits(o->pattern, path, first, found))
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
