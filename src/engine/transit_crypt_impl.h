/* What the files of a run share.  Private to engine/transit_crypt and transit_claim. */
#ifndef ENGINE_TRANSIT_CRYPT_IMPL_H
#define ENGINE_TRANSIT_CRYPT_IMPL_H

#include "engine/transit_crypt.h"

/* crypt_find_version(c, number, at, e): version `number` into *at, which is c->from or c->to.  ST_INVALID: e says why not. */
MUST_USE enum status crypt_find_version(struct crypt *c, uint32_t number,
                                        const struct key_version **at, struct item_error *e);

/*
 * transit_claim.c: crypt_take_claim(c, e): one encryption under c->to, of the claimed ones, or (a version that the caller named) by itself.  ST_INVALID: e says why not;
 * ST_NEEDS_WRITER: c->lacking is set.  crypt_give_back_claims(c): those that were not used.
 */
MUST_USE enum status crypt_take_claim(struct crypt *c, struct item_error *e);
void crypt_give_back_claims(struct crypt *c);

#endif
