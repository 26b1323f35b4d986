/*
 * Authenticated encryption, one shot only: nothing of a plaintext is handed out before its tag was checked.
 * One table of ciphers; AES-GCM has two implementations (libipsec-mb on x86-64, OpenSSL EVP everywhere), byte-equal.
 * Sources: NIST SP 800-38D (GCM).
 */
#ifndef CRYPTO_AEAD_H
#define CRYPTO_AEAD_H

#include "base/bytes.h"

enum aead_alg { AEAD_AES128_GCM, AEAD_AES256_GCM, AEAD_ALG_COUNT };

#define AEAD_TAG_LEN 16
#define AEAD_GCM_NONCE_LEN 12
/* SP 800-38D, 8.3: at most 2^32 invocations of a key with random 96-bit nonces. */
#define AEAD_GCM_HARD_LIMIT (UINT64_C(1) << 32)
/* Longest plaintext of one call that we accept (the standard allows 2^36 - 32). */
#define AEAD_TEXT_MAX ((size_t)1 << 31)

struct aead_info {
	const char *name;
	size_t key_len;
	size_t nonce_len;
	uint64_t hard_limit; /* encryptions under one key with random nonces; 0: none */
};
const struct aead_info *aead_info(enum aead_alg alg);

/* aead_setup(name, err): choose the AES-GCM implementation for keys made from now on: "mb", "evp", or NULL for the best of this machine.
 * Before threads.  ST_UNSUPPORTED when this processor or build lacks it.  aead_impl(): the chosen one's name. */
MUST_USE enum status aead_setup(const char *name, struct err *err);
const char *aead_impl(void);

/* An expanded key, in guarded memory.  Immutable: any number of threads may use it at once. */
struct aead_key;

/* aead_key_new(alg, key, ret): key.n must be the cipher's key_len (ST_INVALID).  ST_NOMEM.  aead_key_free: wiped. */
MUST_USE enum status aead_key_new(enum aead_alg alg, struct span key, struct aead_key **ret);
void aead_key_free(struct aead_key **k);

/*
 * aead_seal(k, nonce, aad, plain, ret): ret receives plain.n bytes of ciphertext and the 16-byte tag; it may be
 * plain.p (in place) and must not overlap it otherwise.  nonce.n must be the cipher's (MUST).  ST_LIMIT: text too long.
 * CT: lengths may show in timing, nothing else.
 */
MUST_USE enum status aead_seal(const struct aead_key *k, struct span nonce, struct span aad, struct span plain, uint8_t *ret);
/*
 * aead_open(k, nonce, aad, sealed, ret): sealed is ciphertext and tag; ret receives sealed.n - 16 bytes and may be sealed.p.
 * ST_CORRUPT when it is too short or the tag is wrong; ret's bytes are then zero.  CT: as aead_seal.
 */
MUST_USE enum status aead_open(const struct aead_key *k, struct span nonce, struct span aad, struct span sealed, uint8_t *ret);

#endif
