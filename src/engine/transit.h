/*
 * Transit: named keys that encrypt, decrypt, rewrap, sign and rotate for callers who never see them.  Source of the calls' shapes: the HashiCorp Vault and
 * OpenBao transit API; what is ours is told in docs/transit.md.
 */
#ifndef ENGINE_TRANSIT_H
#define ENGINE_TRANSIT_H

#include "engine/engine.h"

struct transit;

struct transit_config {
	const char *prefix; /* of ciphertexts: "vault:v" */
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
