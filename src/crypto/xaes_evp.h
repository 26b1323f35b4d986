/* XAES-256-GCM by OpenSSL EVP: every processor.  Private to crypto/. */
#ifndef CRYPTO_XAES_EVP_H
#define CRYPTO_XAES_EVP_H

#include "crypto/aead_impl.h"

extern const struct aead_impl xaes_evp;

#endif
