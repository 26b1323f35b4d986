/* A thread's own bit of guarded memory, for what a cipher derives for one message and forgets.  Private to crypto/. */
#ifndef CRYPTO_SCRATCH_H
#define CRYPTO_SCRATCH_H

#include <stddef.h>

#define SCRATCH_BYTES ((size_t)1152)

/*
 * scratch_get(): SCRATCH_BYTES of this thread, aligned to 64, allocated at its first call and given back when it ends; NULL when no memory
 * can be locked.  The caller wipes what it wrote before it returns, and calls nothing in between that uses it too.
 */
void *scratch_get(void);

#endif
