/* libipsec-mb, for the ciphers that use it (*_mb.c).  Private to crypto/. */
#ifndef CRYPTO_MB_H
#define CRYPTO_MB_H

#include <intel-ipsec-mb.h>

#include "base/bytes.h"

/*
 * mb_manager(): the one manager of the process, made at the first call and kept; NULL when the processor lacks AES-NI or PCLMULQDQ.  Any
 * thread.  A manager is a queue of jobs, which must not be shared, and beside it a table of function pointers, set once when it is
 * made.  Only the pointers are used; the functions they name work on the key, the context and the buffers of the call and
 * touch nothing of the manager.  mb_usable(): there is one.
 */
const IMB_MGR *mb_manager(void);
bool mb_usable(void);

/* mb_readable(s): s.p, or a place where nothing is when s is empty: the library refuses NULL even where nothing is to be read, and says so
 * only through an errno that nobody can share. */
const uint8_t *mb_readable(struct span s);

#endif
