/* AES-GCM by OpenSSL EVP: every processor. */
#ifndef CRYPTO_GCM_EVP_H
#define CRYPTO_GCM_EVP_H

#include "crypto/aead_impl.h"

extern const struct aead_impl gcm_evp;

#endif
