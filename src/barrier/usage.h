/*
 * Usage of terms: how many encryptions were done under a term and how many stored records are under it now.  One record a
 * term (`core/usage/XXXXXXXX`), never inside a record that holds a key, written in the transaction that writes the records; it holds no
 * secret and carries an HMAC-SHA-256, path included.  Kept for ever.
 */
#ifndef BARRIER_USAGE_H
#define BARRIER_USAGE_H

#include "barrier/keyring.h"

#define USAGE_PATH "core/usage/%08x"

struct usage {
	uint64_t encryptions;
	uint64_t records;
	int64_t
	    seen_ns; /* the highest wall time seen while the term was active: its age never goes back */
};

/* usage_encode(mac, term, u, out): the record, appended to the empty builder out. */
void usage_encode(const struct hmac_key *mac, uint32_t term, const struct usage *u,
                  struct builder *out);

/* usage_load(t, mac, term, ret, err): ST_CORRUPT when it is missing or damaged (every term has one).  Any transaction. */
MUST_USE enum status usage_load(struct storage_txn *t, const struct hmac_key *mac, uint32_t term,
                                struct usage *ret, struct err *err);

#endif
