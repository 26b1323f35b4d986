/* AES-GCM by libipsec-mb (x86-64 with AES-NI and PCLMULQDQ).  Private to crypto/. */
#ifndef CRYPTO_GCM_MB_H
#define CRYPTO_GCM_MB_H

#include "crypto/aead_impl.h"
#include "crypto/mb.h"

extern const struct aead_impl gcm_mb;

/* One message under a key that was expanded already, by one of the manager's functions; as aead_impl's seal and open. */
void gcm_mb_seal_by(aes_gcm_enc_dec_t seal, const struct gcm_key_data *key, const uint8_t *nonce,
                    struct span aad, struct span plain, uint8_t *ret);
enum status gcm_mb_open_by(aes_gcm_enc_dec_t open, const struct gcm_key_data *key,
                           const uint8_t *nonce, struct span aad, struct span sealed, uint8_t *ret);

#endif
