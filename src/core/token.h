/*
 * Service tokens.  Only a keyed hash of a token is stored; a record holds its rights, its times and the hash of its parent, whose end is its own.
 *
 * Records, all below "sys/token/" (docs/formats.md):
 *   id/HASH                 the token            accessor/ACCESSOR      its hash
 *   child/PARENT/HASH       empty: a link        expiry/TIME/HASH       empty, in the order of time
 *   uses/HASH               what is left of a limited number of uses
 * Revoking deletes the token's own records at once, in one transaction; a lookup asks for every ancestor, so its descendants are dead from then
 * on too.  Their records, and the token's cubbyhole, are purged in slices (core/purge).
 */
#ifndef CORE_TOKEN_H
#define CORE_TOKEN_H

#include "barrier/view.h"
#include "base/clock.h"
#include "core/world.h"

#define TOKEN_HASH_LEN     64 /* hex digits */
#define TOKEN_TEXT_LEN     26 /* "s." and 24 */
#define TOKEN_ACCESSOR_LEN 24
#define TOKEN_POLICIES_MAX 64
#define TOKEN_PREFIX       "sys/token/"

/* Times in nanoseconds of wall time or seconds of length; 0 where there is none. */
struct token {
	char hash[TOKEN_HASH_LEN + 1];
	char parent[TOKEN_HASH_LEN + 1]; /* "": orphan */
	char accessor[TOKEN_ACCESSOR_LEN + 1];
	int64_t created_ns;
	int64_t creation_ttl_s;
	int64_t ttl_s;     /* as last granted */
	int64_t expire_ns; /* 0: never */
	int64_t explicit_max_ttl_s;
	int64_t period_s;
	int64_t num_uses; /* as created; 0: unlimited.  What is left stands in uses/ */
	bool renewable;
	bool orphan;
	struct span display_name, path, meta; /* meta: JSON object or empty */
	struct span policies[TOKEN_POLICIES_MAX];
	size_t n_policies;
	uint8_t *memory; /* what the spans look at; token_free */
	size_t n_memory;
};

/* token_hash(key, text, ret): the name under which a token is stored; NUL-terminated hex.  CT: the text's length may show in timing, nothing else. */
void token_hash(const struct token_key *key, struct span text, char ret[static TOKEN_HASH_LEN + 1]);

/*
 * token_find(view, hash, now_ns, ret, ret_until_ns, err): the token with this hash, itself and all its ancestors there and not expired, else ST_NOT_FOUND.  *ret_until_ns (may be NULL):
 * when the first of them expires, INT64_MAX: never.  view: of TOKEN_PREFIX, any transaction.  token_free: NULL memory is fine.
 */
MUST_USE enum status token_find(const struct view *view, const char *hash, int64_t now_ns,
                                struct token *ret, int64_t *ret_until_ns, struct err *err);
void token_free(struct token *t);
/* token_copy(t, ret): with memory of its own.  ST_NOMEM. */
MUST_USE enum status token_copy(const struct token *t, struct token *ret);

/* token_by_accessor(view, accessor, ret, err): the hash.  ST_NOT_FOUND. */
MUST_USE enum status token_by_accessor(const struct view *view, struct span accessor,
                                       char ret[static TOKEN_HASH_LEN + 1], struct err *err);

/*
 * token_create(view, key, random, t, text, err): store a token; t's hash, accessor and creation are filled in.  text: in, an id of the caller's choice, or "" for a
 * new one, which is written there.  ST_EXISTS: the id is in use.  Writer only.
 */
MUST_USE enum status token_create(const struct view *view, const struct token_key *key,
                                  const struct random *random, struct token *t,
                                  char text[static 129], struct err *err);

/* token_update(view, before, after, err): store changed times.  Writer only.  The caller raises the world's token_gen. */
MUST_USE enum status token_update(const struct view *view, const struct token *before,
                                  const struct token *after, struct err *err);

/* token_revoke(view, hash, err): see above; ST_NOT_FOUND when there is none.  Writer only.  The caller raises the world's token_gen. */
MUST_USE enum status token_revoke(const struct view *view, const char *hash, struct err *err);

/* token_uses(view, t, ret, err): what is left of a limited number.  token_use(view, t, ret_left, err): takes one; 0 left: revoke it after this call.  Writer only. */
MUST_USE enum status token_uses(const struct view *view, const struct token *t, int64_t *ret,
                                struct err *err);
MUST_USE enum status token_use(const struct view *view, const struct token *t, int64_t *ret_left,
                               struct err *err);

/*
 * token_next_expiry(view, ret_ns, err): when the next token expires; INT64_MAX: none will.  token_expire(view, now_ns, most, ret_n, err): revoke up to `most` whose
 * time has come.  Writer only.
 */
MUST_USE enum status token_next_expiry(const struct view *view, int64_t *ret_ns, struct err *err);
MUST_USE enum status token_expire(const struct view *view, int64_t now_ns, size_t most,
                                  size_t *ret_n, struct err *err);

#endif
