/* AES key wrap with padding, under a 256-bit key.  Source: RFC 5649 (NIST SP 800-38F, KWP). */
#ifndef CRYPTO_KWP_H
#define CRYPTO_KWP_H

#include "crypto/secret.h"

#define KWP_KEY_LEN  32
#define KWP_TEXT_MAX ((size_t)1 << 16)
/* Bytes of a wrapped text of n bytes. */
#define KWP_LEN(n) (((n) + 7) / 8 * 8 + 8)

/*
 * kwp_wrap(key, text, ret): key has KWP_KEY_LEN bytes (MUST); text 1 to KWP_TEXT_MAX bytes (ST_LIMIT), usually a key; KWP_LEN(text.n) bytes go to
 * ret.  ST_NOMEM.  CT: lengths only.
 * kwp_unwrap(key, wrapped, ret): ST_CORRUPT when it was not wrapped under this key, ST_LIMIT when it is longer than wrapping makes.
 * CT: lengths, and the verdict.
 */
MUST_USE enum status kwp_wrap(struct span key, struct span text, uint8_t *ret);
MUST_USE enum status kwp_unwrap(struct span key, struct span wrapped, struct secret **ret);

#endif
