/* AES-GCM by libipsec-mb (x86-64 with AES-NI and PCLMULQDQ). */
#ifndef CRYPTO_GCM_MB_H
#define CRYPTO_GCM_MB_H

#include "crypto/aead_impl.h"

extern const struct aead_impl gcm_mb;

#endif
