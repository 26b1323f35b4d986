/*
 * Authenticated encryption, one shot only: nothing of a plaintext is handed out before its tag was checked.
 * One table of ciphers; each has two implementations, byte-equal: libipsec-mb's on x86-64, and one for everywhere (AES by OpenSSL's EVP,
 * ChaCha20 by libsodium).
 * Sources: NIST SP 800-38D (GCM), RFC 8439 (ChaCha20-Poly1305), draft-irtf-cfrg-xchacha-03 (XChaCha20-Poly1305), C2SP XAES-256-GCM.
 */
#ifndef CRYPTO_AEAD_H
#define CRYPTO_AEAD_H

#include "base/bytes.h"

enum aead_alg {
	AEAD_AES128_GCM,
	AEAD_AES256_GCM,
	AEAD_CHACHA20_POLY1305,
	AEAD_XCHACHA20_POLY1305,
	AEAD_XAES256_GCM,
	AEAD_ALG_COUNT
};

#define AEAD_TAG_LEN       16
#define AEAD_GCM_NONCE_LEN 12
#define AEAD_NONCE_MAX     24
/*
 * SP 800-38D, 8.3: at most 2^32 invocations of a key with random 96-bit nonces.  The bound is that of two nonces being equal, so it holds for
 * every cipher with such a nonce; those with 192 bits have none.
 */
#define AEAD_HARD_LIMIT_96  (UINT64_C(1) << 32)
#define AEAD_GCM_HARD_LIMIT AEAD_HARD_LIMIT_96
/* Longest plaintext of one call that we accept (the standard allows 2^36 - 32). */
#define AEAD_TEXT_MAX ((size_t)1 << 31)

struct aead_info {
	const char *name;
	size_t key_len;
	size_t nonce_len;
	uint64_t hard_limit; /* encryptions under one key with random nonces; 0: none */
};
const struct aead_info *aead_info(enum aead_alg alg);

/* aead_setup(name, err): choose the implementations for keys made from now on: "mb", "evp", or NULL for the best of this machine.
 * Before threads.  ST_UNSUPPORTED when this processor or build lacks it.  aead_impl(): the chosen one's name. */
MUST_USE enum status aead_setup(const char *name, struct err *err);
const char *aead_impl(void);

/* An expanded key, in guarded memory.  Immutable: any number of threads may use it at once. */
struct aead_key;

/* aead_key_new(alg, key, ret): key.n must be the cipher's key_len (ST_INVALID).  ST_NOMEM.  aead_key_free: wiped. */
MUST_USE enum status aead_key_new(enum aead_alg alg, struct span key, struct aead_key **ret);
void aead_key_free(struct aead_key **k);

/*
 * The same in memory of the caller, for keys that are derived for one item: with "mb" it takes no lock and allocates nothing.
 * aead_key_size(alg): the bytes it takes, a multiple of 64, now that aead_setup has chosen.
 * aead_key_place(alg, key, mem, ret): mem is locked memory of that size, aligned to 64 (MUST; arena_alloc64 gives it) and stays the
 * caller's; it may hold anything.  ST_INVALID as aead_key_new; ST_NOMEM ("evp" keeps a context elsewhere).
 * aead_key_clear: ends what aead_key_place began, always: the memory is wiped and may be used again.  Never aead_key_free.
 */
size_t aead_key_size(enum aead_alg alg);
MUST_USE enum status aead_key_place(enum aead_alg alg, struct span key, void *mem,
                                    struct aead_key **ret);
void aead_key_clear(struct aead_key **k);

/*
 * aead_seal(k, nonce, aad, plain, ret): ret receives plain.n bytes of ciphertext and the 16-byte tag; it may be
 * plain.p (in place) and must not overlap it otherwise.  nonce.n must be the cipher's (MUST).  ST_LIMIT: text too long.
 * ST_NOMEM: no memory for what is derived from the key, or for EVP; ret then holds nothing of use.
 * CT: lengths may show in timing, nothing else.
 */
MUST_USE enum status aead_seal(const struct aead_key *k, struct span nonce, struct span aad,
                               struct span plain, uint8_t *ret);
/*
 * aead_open(k, nonce, aad, sealed, ret): sealed is ciphertext and tag; ret receives sealed.n - 16 bytes and may be sealed.p.
 * ST_CORRUPT when it is too short or the tag is wrong; ret's bytes are then zero.  ST_NOMEM: as aead_seal, and zeros.  CT: as aead_seal.
 */
MUST_USE enum status aead_open(const struct aead_key *k, struct span nonce, struct span aad,
                               struct span sealed, uint8_t *ret);

#endif
