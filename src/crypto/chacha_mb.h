/* ChaCha20-Poly1305 and XChaCha20-Poly1305 by libipsec-mb (x86-64).  Private to crypto/. */
#ifndef CRYPTO_CHACHA_MB_H
#define CRYPTO_CHACHA_MB_H

#include "crypto/aead_impl.h"

extern const struct aead_impl chacha_mb, xchacha_mb;

#endif
