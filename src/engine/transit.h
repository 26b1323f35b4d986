/*
 * Transit: named keys that encrypt, decrypt, rewrap, sign and rotate for callers who never see them.  Source of the calls' shapes: the HashiCorp Vault and
 * OpenBao transit API; what is ours is told in docs/transit.md.
 */
#ifndef ENGINE_TRANSIT_H
#define ENGINE_TRANSIT_H

#include "engine/engine.h"

struct transit;

/* What is another way of saying the same in each API that named keys are reached by. */
struct transit_manner {
	const char *prefix;  /* of ciphertexts: "vault:v" */
	const char *batch;   /* the member of a request that has many items: "batch_input" */
	const char *results; /* and of its answer: "batch_results" */
	const char *to;      /* the version that a rewrap is to use: "key_version" */
	const char *no_key;  /* what is said when there is none */
	const char *
	    unreadable; /* of a ciphertext that cannot be decrypted, whatever the reason; NULL: the reason */
	bool version_is_text; /* key_version is a string in answers */
	/*
	 * makes_keys: encrypting makes a key that is not there.  fails_whole: the status of a batch in which something failed says so; else a warning
	 * does, unless the server itself failed at an item, or all failed for which a key or a version was made: then the call fails.
	 * fills_items: items are answered with all members, empty ones too.  tells_version: what was decrypted comes with the version that
	 * encrypted it.  strict: texts are in the one form that this API writes, without line ends; beside a batch nothing may stand that belongs into its items.
	 */
	bool makes_keys, fails_whole, fills_items, tells_version, strict;
};
extern const struct transit_manner transit_manner_vault;

struct transit_config {
	const struct transit_manner *manner;
	/*
	 * make_later(ctx, work): run this on the pool and free it; nobody waits for it.  ST_BUSY: the pool is full; ST_NOMEM (then it was not taken).  For keys that take long
	 * to make and are due to be rotated.  Writer's thread.
	 */
	enum status (*make_later)(void *ctx, struct slow *work);
	void *ctx;
};

extern const struct engine engine_transit;

/* transit_new(config, ret): the engine's object, for the table of engines; ST_NOMEM.  transit_free: threads have ended. */
MUST_USE enum status transit_new(const struct transit_config *config, struct transit **ret);
void transit_free(struct transit **t);

#endif
