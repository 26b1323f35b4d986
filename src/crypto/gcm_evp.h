/* AES-GCM by OpenSSL EVP: every processor.  Private to crypto/. */
#ifndef CRYPTO_GCM_EVP_H
#define CRYPTO_GCM_EVP_H

#include "crypto/aead_impl.h"
#include "crypto/evp_shelf.h"

extern const struct aead_impl gcm_evp;

/* gcm_evp_cipher(alg): EVP's AES-GCM with the key of that length, fetched once; NULL when it could not be. */
const EVP_CIPHER *gcm_evp_cipher(enum aead_alg alg);

/* One message by a context of the shelf; key is NULL when the context has one.  As aead_impl's seal and open. */
enum status gcm_evp_seal_by(struct evp_shelf *s, const uint8_t *key, const uint8_t *nonce,
                            struct span aad, struct span plain, uint8_t *ret);
enum status gcm_evp_open_by(struct evp_shelf *s, const uint8_t *key, const uint8_t *nonce,
                            struct span aad, struct span sealed, uint8_t *ret);

#endif
