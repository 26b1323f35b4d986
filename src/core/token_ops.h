/* The built-in mount "auth/token/": creating, looking up, renewing and revoking tokens. */
#ifndef CORE_TOKEN_OPS_H
#define CORE_TOKEN_OPS_H

#include "core/sched.h"
#include "core/token.h"
#include "engine/engine.h"

/* The mount's object. */
struct token_ops {
	struct sched *sched;
	unsigned expiry_work;
	unsigned purge_work; /* of sys: what revoking leaves behind */
	int64_t default_lease_ttl_s, max_lease_ttl_s;
};

extern const struct engine engine_token;

/* token_ops_setup(o): registers the expiry with the scheduler; the other members are set. */
void token_ops_setup(struct token_ops *o);

/* token_root(view, key, random, text, now_ns, path, err): a root token without end.  text: as token_create. */
MUST_USE enum status token_root(const struct view *view, const struct token_key *key,
                                const struct random *random, char text[static 129], int64_t now_ns,
                                const char *path, struct err *err);

/* policy_name_clean(name, buf, cap, ret): lower case, as policies are named everywhere; ST_LIMIT when longer than cap. */
MUST_USE enum status policy_name_clean(struct span name, char *buf, size_t cap, struct span *ret);

#endif
