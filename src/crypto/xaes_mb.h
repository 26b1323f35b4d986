/* XAES-256-GCM by libipsec-mb and the processor's AES instructions (x86-64).  Private to crypto/. */
#ifndef CRYPTO_XAES_MB_H
#define CRYPTO_XAES_MB_H

#include "crypto/aead_impl.h"

extern const struct aead_impl xaes_mb;

#endif
