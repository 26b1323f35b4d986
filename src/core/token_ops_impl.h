/* What the files of token_ops share. */
#ifndef CORE_TOKEN_OPS_IMPL_H
#define CORE_TOKEN_OPS_IMPL_H

#include "core/token_cache.h"
#include "core/token_ops.h"
#include "core/world.h"

/* token_ops_world(op): the world of a call. */
const struct core_world *token_ops_world(const struct op *op);

/* token_ops_seconds(op, name, ret): a parameter that is a length of time; ST_OK and *ret untouched when there is none; fails with the answer filled in. */
MUST_USE enum status token_ops_seconds(struct op *op, const char *name, int64_t *ret_s);

/* token_ops_end(now, ttl): the end of a token that lives ttl_s from now; INT64_MAX when nanoseconds cannot say it. */
int64_t token_ops_end(int64_t now_ns, int64_t ttl_s);

/* token_ops_put_auth(op, t, text): the answer of creating and renewing; text: the token itself, or empty. */
MUST_USE enum status token_ops_put_auth(struct op *op, const struct token *t, struct span text);

/* token_ops_create.c */
enum status token_ops_create(struct op *op);
enum status token_ops_create_orphan(struct op *op);

#endif
