/* What the implementations of XAES-256-GCM share: the arithmetic around AES.  Source: C2SP XAES-256-GCM, "Detailed key derivation
 * algorithm".  Private to crypto/. */
#ifndef CRYPTO_XAES_H
#define CRYPTO_XAES_H

#include <stdint.h>

/* xaes_k1(l, k1): steps 1 and 2; l is AES-256 of a zero block, k1 may be l.  CT: shows nothing. */
void xaes_k1(const uint8_t l[static 16], uint8_t k1[static 16]);

/* xaes_blocks(k1, nonce, out): M1 xor K1 and M2 xor K1 of the first 12 bytes of the nonce; AES-256 of both is the message's key. */
void xaes_blocks(const uint8_t k1[static 16], const uint8_t nonce[static 12],
                 uint8_t out[static 32]);

/* The message's nonce is what follows the first 12 bytes. */
#define XAES_NONCE_AT 12

#endif
