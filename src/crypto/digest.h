/* Hashes and keyed hashes of a chosen algorithm, one shot.  Sources: FIPS 180-4 (SHA-1, SHA-2), FIPS 202 (SHA-3), FIPS 198-1 (HMAC). */
#ifndef CRYPTO_DIGEST_H
#define CRYPTO_DIGEST_H

#include "base/bytes.h"

enum digest_alg {
	DIGEST_SHA1,
	DIGEST_SHA2_224,
	DIGEST_SHA2_256,
	DIGEST_SHA2_384,
	DIGEST_SHA2_512,
	DIGEST_SHA3_224,
	DIGEST_SHA3_256,
	DIGEST_SHA3_384,
	DIGEST_SHA3_512,
	DIGEST_ALG_COUNT
};

#define DIGEST_LEN_MAX 64

/* digest_name(alg): as the Vault API writes it, "sha2-256".  digest_len(alg): bytes of a digest.  Constant, any thread. */
const char *digest_name(enum digest_alg alg);
size_t digest_len(enum digest_alg alg);

/* digest_find(name, ret): the algorithm of that name, in just that spelling; ST_NOT_FOUND. */
MUST_USE enum status digest_find(struct span name, enum digest_alg *ret);

/*
 * digest_of(alg, parts, n, ret): over n parts in order, into digest_len(alg) bytes at ret.  ST_NOMEM, from SHA-3 only: OpenSSL keeps its state;
 * the others allocate nothing and succeed.  Any thread.  CT: lengths only.
 */
MUST_USE enum status digest_of(enum digest_alg alg, const struct span *parts, size_t n,
                               uint8_t *ret);

/*
 * digest_mac(alg, key, parts, n, ret): HMAC under a key of any length, in locked memory.  No allocation but SHA-3's and, at a thread's first call,
 * its scratch memory: ST_NOMEM.  Any thread.  CT: lengths only.  With one key over and over, kdf.h's hmac_sha256 costs half.
 */
MUST_USE enum status digest_mac(enum digest_alg alg, struct span key, const struct span *parts,
                                size_t n, uint8_t *ret);

#endif
