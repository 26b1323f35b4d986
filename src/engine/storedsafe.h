/*
 * The engine "storedsafe": vaults that users share, and who may do what in each.  Below a mount:
 *
 *   last                       8: the number of vaults that were ever made
 *   last_object                8: the number of objects that were ever made
 *   vault/ID/info              what the vault is
 *   vault/ID/member/XXXXXXXX   a member's level; the user's id in hex
 *   vault/ID/key/NAME          a named key of the vault, as the object that it is there
 *   user/XXXXXXXX/ID           empty: the user is a member there
 *   keys/...                   all named keys, as a mount of transit has them, by the names "VAULT.NAME"
 *
 * The StoredSafe dialect reaches the mount at "storedsafe/"; operators reach any by the Vault dialect.
 */
#ifndef ENGINE_STOREDSAFE_H
#define ENGINE_STOREDSAFE_H

#include "engine/transit.h"

/* The engine's object.  keys: made with storedsafe_manner; the owner's. */
struct storedsafe {
	const char *version;    /* of the server */
	uint64_t max_file_size; /* bytes of a file that a request can bring */
	struct transit *keys;
};

/* How transit speaks here. */
extern const struct transit_manner storedsafe_manner;

extern const struct engine engine_storedsafe;

#endif
