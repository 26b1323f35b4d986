/* Constant-time tools.  CT: lengths may show in timing, contents never; no table is indexed by a secret byte. */
#ifndef CRYPTO_CT_H
#define CRYPTO_CT_H

#include "base/bytes.h"

/* ct_equal(a, b): same length and bytes.  Only the lengths show. */
bool ct_equal(struct span a, struct span b);
/* ct_select(mask, a, b): a where mask is 0xff, b where it is 0. */
uint8_t ct_select(uint8_t mask, uint8_t a, uint8_t b);
/* ct_is_zero(x): 0xff when x is 0, else 0. */
uint8_t ct_is_zero(uint8_t x);
/* ct_xor(dst, src, n): dst ^= src. */
void ct_xor(uint8_t *dst, const uint8_t *src, size_t n);

/* GF(256) modulo x^8 + x^4 + x^3 + x + 1 (FIPS 197): product, and inverse by x^254; gf256_inv(0) is 0. */
uint8_t gf256_mul(uint8_t a, uint8_t b);
uint8_t gf256_inv(uint8_t a);

/* Codec of key text (shares, key import): constant-time hex and base64 (RFC 4648, padded).  decode into at
 * most cap bytes: ST_INVALID when malformed, ST_LIMIT when it is longer than cap; out is then wiped. */
MUST_USE enum status ct_unhex(struct span text, uint8_t *out, size_t cap, size_t *ret_n);
MUST_USE enum status ct_unbase64(struct span text, uint8_t *out, size_t cap, size_t *ret_n);
void ct_hex(struct span bytes, char *out);    /* 2 n characters, no NUL */
void ct_base64(struct span bytes, char *out); /* BASE64_LEN(n) characters, no NUL */

#endif
