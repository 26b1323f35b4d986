/* ChaCha20-Poly1305 and XChaCha20-Poly1305 by libsodium: every processor.  Private to crypto/. */
#ifndef CRYPTO_CHACHA_SODIUM_H
#define CRYPTO_CHACHA_SODIUM_H

#include "crypto/aead_impl.h"

extern const struct aead_impl chacha_sodium, xchacha_sodium;

#endif
