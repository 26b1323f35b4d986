/*
 * The engine "storedsafe": vaults that users share, and who may do what in each.  Below a mount:
 *
 *   last                       8: the number of vaults that were ever made
 *   vault/ID/info              what the vault is
 *   vault/ID/member/XXXXXXXX   a member's level; the user's id in hex
 *   vault/ID/keys/...          the vault's named keys: a view of its own, as a mount of transit has it
 *   user/XXXXXXXX/ID           empty: the user is a member there
 *
 * The StoredSafe dialect reaches the mount at "storedsafe/"; operators reach any by the Vault dialect.
 */
#ifndef ENGINE_STOREDSAFE_H
#define ENGINE_STOREDSAFE_H

#include "engine/engine.h"

/* The engine's object. */
struct storedsafe {
	const char *version; /* of the server */
};

extern const struct engine engine_storedsafe;

#endif
