/* OpenSSL's objects for the digests.  Private to crypto/. */
#ifndef CRYPTO_DIGEST_EVP_H
#define CRYPTO_DIGEST_EVP_H

#include <openssl/evp.h>

#include "crypto/digest.h"

/* digest_evp(alg): fetched once, for the life of the process; NULL when it could not be (no memory).  Any thread. */
const EVP_MD *digest_evp(enum digest_alg alg);

#endif
