/* What a good passphrase is: named policies, each a list of rules. */
#ifndef ENGINE_PASSPHRASE_H
#define ENGINE_PASSPHRASE_H

#include "base/bytes.h"

#define PASSPHRASE_POLICY_NONE    16
#define PASSPHRASE_POLICY_DEFAULT 7

/* What a rule is about: how many characters there are, of some kind, or whether there may be any, at the start, at the end. */
enum passphrase_test {
	PASSPHRASE_MIN_LENGTH,
	PASSPHRASE_MIN_LOWERCASE,
	PASSPHRASE_MIN_UPPERCASE,
	PASSPHRASE_MIN_NUMERIC,
	PASSPHRASE_MIN_NONALPHANUMERIC
};

struct passphrase_rule {
	enum passphrase_test test;
	unsigned value;
};
#define PASSPHRASE_RULES_MAX 5

struct passphrase_policy {
	unsigned id;
	const char *name;
	struct passphrase_rule rules[PASSPHRASE_RULES_MAX];
	size_t n_rules;
};

/* passphrase_policy(id): NULL: there is none.  passphrase_policies(ret_n): all, in the order of their ids. */
const struct passphrase_policy *passphrase_policy(uint64_t id);
const struct passphrase_policy *passphrase_policies(size_t *ret_n);

/* passphrase_rule_name(r): "min_length".  passphrase_keeps(r, text): does the text keep the rule?  Characters beyond ASCII count as non-alphanumeric ones. */
const char *passphrase_rule_name(const struct passphrase_rule *r);
bool passphrase_keeps(const struct passphrase_rule *r, struct span text);

#endif
