/*
 * A thread's expanded term keys: a bounded cache over the keyring, so that reading records of any number of terms costs a
 * fixed amount of locked memory and no lock.  One thread.
 */
#ifndef BARRIER_TERM_KEYS_H
#define BARRIER_TERM_KEYS_H

#include "barrier/keyring.h"

#define TERM_KEYS 64

struct term_keys {
	uint32_t number[TERM_KEYS]; /* 0: empty; term t stands at t % TERM_KEYS */
	struct aead_key *key[TERM_KEYS];
};

/* term_keys_get(c, k, term, ret, err): the expanded key, valid until the next call with another term, forget or drop.  Errors of keyring_key. */
MUST_USE enum status term_keys_get(struct term_keys *c, const struct keyring *k, uint32_t term,
                                   const struct aead_key **ret, struct err *err);
/* term_keys_forget: one term (its commit failed, or it was retired); term_keys_drop: all, wiped. */
void term_keys_forget(struct term_keys *c, uint32_t term);
void term_keys_drop(struct term_keys *c);

#endif
