/* Keyed hashes, key derivation, password hashing.  Sources: FIPS 198-1 (HMAC), RFC 5869 (HKDF), RFC 9106 (argon2id). */
#ifndef CRYPTO_KDF_H
#define CRYPTO_KDF_H

#include "crypto/secret.h"

#define SHA256_LEN 32

/* A prepared HMAC-SHA-256 key (inner and outer state) in guarded memory; immutable, any thread. */
struct hmac_key;
MUST_USE enum status hmac_key_new(struct span key, struct hmac_key **ret);
void hmac_key_free(struct hmac_key **k);
/* hmac_sha256(k, parts, n, mac): over the parts in order; no allocation.  CT: lengths only. */
void hmac_sha256(const struct hmac_key *k, const struct span *parts, size_t n, uint8_t mac[static SHA256_LEN]);
/* sha256(parts, n, digest): plain, for public data. */
void sha256(const struct span *parts, size_t n, uint8_t digest[static SHA256_LEN]);

/* hkdf_sha256(ikm, salt, info, ret): RFC 5869 extract and expand into all secret_len(ret) bytes (at most 255 * 32, MUST). */
void hkdf_sha256(struct span ikm, struct span salt, struct span info, struct secret *ret);

/*
 * password_hash(password, ret): argon2id in the encoded form "$argon2id$...", NUL-terminated; takes tens of ms and 64 MiB: on the pool only.
 * password_verify: ST_DENIED when it does not match, ST_INVALID when the hash is malformed.
 */
#define PASSWORD_HASH_MAX 128
MUST_USE enum status password_hash(struct span password, char ret[static PASSWORD_HASH_MAX]);
MUST_USE enum status password_verify(const char *hash, struct span password);

#endif
