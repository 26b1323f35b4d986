/* The stanzas of a compiled policy; shared by policy.c, which makes them, and policy_acl.c, which unites them. */
#ifndef CORE_POLICY_RULE_H
#define CORE_POLICY_RULE_H

#include "base/hcl.h"
#include "core/policy.h"

/* One of allowed_parameters or denied_parameters: a name, and the values it is about; none of them: any value. */
struct policy_param {
	struct span name;
	const struct hcl_value *values;
	size_t n;
};

struct policy_params {
	struct policy_param *p;
	size_t n;
};

enum policy_match { MATCH_EXACT, MATCH_PREFIX, MATCH_WILDCARD };

/* One `path "P" { }`.  All spans lie in the policy's text. */
struct policy_rule {
	enum policy_match match;
	struct span path; /* without the "*" at its end */
	bool glob;        /* MATCH_WILDCARD only: there was one */
	size_t
	    first_wildcard; /* MATCH_WILDCARD only: where the first "+" segment stands, and how many there are */
	size_t wildcards;
	uint32_t capabilities; /* with CAP_DENY among them nothing else matters */
	struct policy_params allowed;
	struct policy_params denied;
	struct span *required;
	size_t n_required;
	uint64_t pagination_limit;   /* 0: none */
	int64_t min_wrapping_ttl_ns; /* 0: none */
	int64_t max_wrapping_ttl_ns; /* 0: none */
	int64_t expires_ns;          /* INT64_MAX: never */
};

/* policy_rules(p, ret_n): in the order of the text; valid while p is. */
const struct policy_rule *policy_rules(const struct policy *p, size_t *ret_n);

/*
 * policy_params_pass(stanzas, n, data): whether a request with this body (an object, or NULL) keeps to what the n stanzas of one
 * path say together about parameters: all required ones there, none denied, all allowed.
 */
bool policy_params_pass(const struct policy_rule *const *stanzas, size_t n,
                        const struct json_value *data);

#endif
