/* What OpenSSL has under a name, fetched once: a fetch for each use is slow.  Private to crypto/. */
#ifndef CRYPTO_EVP_FETCH_H
#define CRYPTO_EVP_FETCH_H

#include <openssl/evp.h>

/*
 * evp_fetch_cipher(place, name), evp_fetch_md: fetched at the first call that finds memory, and kept at place (which starts as NULL) for the life of the
 * process.  NULL without memory.  Any thread.
 */
const EVP_CIPHER *evp_fetch_cipher(EVP_CIPHER *_Atomic *place, const char *name);
const EVP_MD *evp_fetch_md(EVP_MD *_Atomic *place, const char *name);

#endif
