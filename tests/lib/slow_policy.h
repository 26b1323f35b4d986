/*
 * What policies grant, answered slowly: patterns are strings, matched character by character, and all that match are compared with each
 * other by the documented steps.  The reference for core/policy in its unit test and its fuzz target.
 */
#ifndef LIB_SLOW_POLICY_H
#define LIB_SLOW_POLICY_H

#include <stddef.h>
#include <stdint.h>

#define SLOW_RULES 64
#define SLOW_TEXT  128 /* room for a pattern or a path with its NUL */

struct slow_rule {
	char pattern[SLOW_TEXT];
	uint32_t capabilities;
};

/* Zeroed: no rules. */
struct slow_policy {
	struct slow_rule rules[SLOW_RULES];
	size_t n;
};

/* slow_policy_add(s, pattern, capabilities): one stanza more; those of one pattern are united.  The pattern has no leading slash. */
void slow_policy_add(struct slow_policy *s, const char *pattern, uint32_t capabilities);
/* slow_policy_capabilities(s, path): what is granted there; 0: nothing; CAP_DENY alone: denied. */
uint32_t slow_policy_capabilities(const struct slow_policy *s, const char *path);

#endif
