/*
 * A thread's memory of who its callers are: token and compiled rights, good as long as the world says that nothing of it changed.  Bounded; one
 * thread (each loop has one, and the writer).
 */
#ifndef CORE_TOKEN_CACHE_H
#define CORE_TOKEN_CACHE_H

#include "barrier/txn.h"
#include "core/token.h"

struct token_cache;

/* One known caller; valid until the next token_cache_get or drop. */
struct known {
	struct token token;
	struct acl *acl;
	int64_t until_ns; /* token, ancestors and rights are good until then */
	uint64_t token_gen, policy_gen;
};

MUST_USE enum status token_cache_new(struct token_cache **ret);
void token_cache_free(struct token_cache **c);
/* token_cache_drop: forget all (sealing). */
void token_cache_drop(struct token_cache *c);

/* token_cache_get(c, t, text, now_ns, ret, err): who holds this token, as of transaction t.  ST_NOT_FOUND: nobody.  ST_CORRUPT, ST_NOMEM, ST_IO. */
MUST_USE enum status token_cache_get(struct token_cache *c, struct txn *t, struct span text,
                                     int64_t now_ns, const struct known **ret, struct err *err);

/* acl_of(world, token, now_ns, ret, err): the rights that a token's policies grant; names without a policy grant nothing.  The caller's to free. */
MUST_USE enum status acl_of(const struct core_world *world, const struct token *token,
                            int64_t now_ns, struct acl **ret, struct err *err);

#endif
