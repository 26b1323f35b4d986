/*
 * What the gate looks at for every request, as one immutable object that belongs to a commit number: mounts, policies, the key of the
 * token hashes, the audit salts.  A handler that changes one of them makes a successor of the world and sets it on its transaction.
 */
#ifndef CORE_WORLD_H
#define CORE_WORLD_H

#include "barrier/snapshot.h"
#include "core/audit.h"
#include "core/login.h"
#include "core/mount.h"
#include "core/policy_table.h"
#include "crypto/kdf.h"

/* The keyed hash under which tokens are named; counted, in guarded memory. */
struct token_key;

struct core_world {
	struct world base; /* first */
	const struct mounts *mounts;
	const struct policy_table *policies;
	const struct audit_salts *salts;
	struct token_key *token_key;
	struct token_key
	    *login_key; /* of the hashes below LOGIN_PREFIX; derived from the same salt */
	struct login_settings login;
	/*
	 * Numbers that never come again: a cached token is good while both are what they were.  token_gen rises when a token that exists is
	 * revoked, renewed or changed; policy_gen with every change of a policy.
	 */
	uint64_t token_gen, policy_gen;
	char cluster_name[64];
	char cluster_id[UUID_LEN + 1];
};

/* world_core(w): the world of a transaction.  */
const struct core_world *world_core(const struct world *w);
/* world_copy(from, ret): a successor that shares all members, to be changed by its maker before anybody else sees it; from NULL: an empty one. */
MUST_USE enum status world_copy(const struct core_world *from, struct core_world **ret);
/* world_drop(w): a successor that was not set. */
void world_drop(struct core_world **w);
/* world_generation(): the next number that never came before.  Any thread. */
uint64_t world_generation(void);

/* token_key_new(salt, ret), token_key_ref, token_key_unref: any thread.  token_key_derive(salt, info, ret): the same under a key of its own for each info (HKDF). */
MUST_USE enum status token_key_new(struct span salt, struct token_key **ret);
MUST_USE enum status token_key_derive(struct span salt, const char *info, struct token_key **ret);
struct token_key *token_key_ref(struct token_key *k);
void token_key_unref(struct token_key **k);
const struct hmac_key *token_key_hmac(const struct token_key *k);

#endif
