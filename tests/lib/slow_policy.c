#include "slow_policy.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "core/policy.h"

static bool at_plus(const char *pattern, const char *at)
{
	return *at == '+' && (at == pattern || at[-1] == '/') && (at[1] == '/' || at[1] == '\0');
}

static size_t pluses(const char *pattern)
{
	size_t n = 0;

	for (const char *c = pattern; *c != '\0'; c++)
		n += at_plus(pattern, c);
	return n;
}

static bool has_star(const char *pattern)
{
	size_t n = strlen(pattern);

	return n > 0 && pattern[n - 1] == '*';
}

static bool matches(const char *pattern, const char *at, const char *path)
{
	if (at_plus(pattern, at)) {
		while (*path != '\0' && *path != '/')
			path++;
		return matches(pattern, at + 1, path);
	}
	if (*at == '*' && at[1] == '\0')
		return true;
	if (*at == '\0' || *path == '\0')
		return *at == *path;
	return *at == *path && matches(pattern, at + 1, path + 1);
}

static size_t first_wildcard(const char *pattern)
{
	const char *c = pattern;

	while (*c != '\0' && !at_plus(pattern, c) && !(*c == '*' && c[1] == '\0'))
		c++;
	return (size_t)(c - pattern);
}

/* The documented five steps. */
static bool better(const char *a, const char *b)
{
	size_t length_a = strlen(a) - has_star(a), length_b = strlen(b) - has_star(b);

	if (first_wildcard(a) != first_wildcard(b))
		return first_wildcard(a) > first_wildcard(b);
	if (has_star(a) != has_star(b))
		return !has_star(a);
	if (pluses(a) != pluses(b))
		return pluses(a) < pluses(b);
	if (length_a != length_b)
		return length_a > length_b;
	return strcmp(a, b) > 0;
}

static const struct slow_rule *exact(const struct slow_policy *s, const char *path)
{
	for (size_t i = 0; i < s->n; i++) {
		const char *pattern = s->rules[i].pattern;

		if (pluses(pattern) == 0 && !has_star(pattern) && strcmp(pattern, path) == 0)
			return &s->rules[i];
	}
	return NULL;
}

static const struct slow_rule *best_of(const struct slow_policy *s, const char *path)
{
	const struct slow_rule *best = NULL;

	for (size_t i = 0; i < s->n; i++) {
		const char *pattern = s->rules[i].pattern;

		if ((pluses(pattern) > 0 || has_star(pattern)) && matches(pattern, pattern, path) &&
		    (best == NULL || better(pattern, best->pattern)))
			best = &s->rules[i];
	}
	return best;
}

void slow_policy_add(struct slow_policy *s, const char *pattern, uint32_t capabilities)
{
	struct slow_rule *r = NULL;

	for (size_t i = 0; i < s->n; i++) {
		if (strcmp(s->rules[i].pattern, pattern) == 0)
			r = &s->rules[i];
	}
	if (r == NULL) {
		MUST(s->n < SLOW_RULES && strlen(pattern) < SLOW_TEXT);
		r = &s->rules[s->n++];
		(void)snprintf(r->pattern, sizeof(r->pattern), "%s", pattern);
	}
	r->capabilities |= capabilities;
	if (r->capabilities & CAP_DENY)
		r->capabilities = CAP_DENY;
}

uint32_t slow_policy_capabilities(const struct slow_policy *s, const char *path)
{
	const struct slow_rule *found[4] = {NULL};
	char bare[SLOW_TEXT];
	size_t n = strlen(path);

	MUST(n < SLOW_TEXT);
	(void)snprintf(bare, sizeof(bare), "%s", path);
	if (n == 0 || path[n - 1] != '/') {
		found[0] = exact(s, path);
		if (found[0] == NULL)
			found[0] = best_of(s, path);
		return found[0] == NULL ? 0 : found[0]->capabilities;
	}
	bare[n - 1] = '\0';
	found[0] = exact(s, path);
	found[1] = exact(s, bare);
	found[2] = found[0] == NULL && found[1] == NULL ? best_of(s, path) : NULL;
	found[3] = found[1] == NULL ? best_of(s, bare) : NULL;
	for (int i = 0; i < 4; i++) {
		if (found[i] != NULL && (found[i]->capabilities & CAP_DENY))
			return CAP_DENY;
	}
	for (int i = 0; i < 4; i++) {
		if (found[i] != NULL)
			return found[i]->capabilities;
	}
	return 0;
}
