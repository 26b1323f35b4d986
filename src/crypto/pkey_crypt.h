/*
 * Encryption with RSA: OAEP without a label, MGF1 with the same digest.  Source: RFC 8017, 7.1.  PKCS#1 v1.5 encryption is not offered.
 */
#ifndef CRYPTO_PKEY_CRYPT_H
#define CRYPTO_PKEY_CRYPT_H

#include "crypto/digest.h"
#include "crypto/pkey.h"

#define PKEY_CRYPT_MAX 512

/* pkey_crypt_max(k, digest): the longest text that can be encrypted; 0 for a key that is not RSA. */
size_t pkey_crypt_max(const struct pkey *k, enum digest_alg digest);

/*
 * pkey_encrypt(k, digest, text, out, ret_n): as many bytes as the modulus has.  ST_UNSUPPORTED: not RSA.  ST_LIMIT: text too long.  ST_NOMEM.
 * Any thread.
 */
MUST_USE enum status pkey_encrypt(const struct pkey *k, enum digest_alg digest, struct span text,
                                  uint8_t out[static PKEY_CRYPT_MAX], size_t *ret_n);

/*
 * pkey_decrypt(k, digest, sealed, ret): ST_CORRUPT when it was not encrypted so with this key, its length included.  ST_UNSUPPORTED: not RSA.
 * ST_UNAVAILABLE: no private key.  ST_NOMEM.  CT: the verdict, as far as OpenSSL (no oracle beyond it).
 */
MUST_USE enum status pkey_decrypt(const struct pkey *k, enum digest_alg digest, struct span sealed,
                                  struct secret **ret);

#endif
