/* Keys that the tests of pkey share: one of each algorithm, generated once. */
#ifndef TESTS_CRYPTO_PKEYS_H
#define TESTS_CRYPTO_PKEYS_H

#include "crypto/pkey.h"

extern struct pkey *pkeys[PKEY_ALG_COUNT];

/* pkeys_setup(state), pkeys_teardown(state): for cmocka's group; guarded memory is set up too. */
int pkeys_setup(void **state);
int pkeys_teardown(void **state);

/* pkeys_public(alg): the public half alone; the caller's. */
struct pkey *pkeys_public(enum pkey_alg alg);

#endif
