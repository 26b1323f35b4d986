/*
 * AES in output feedback mode (NIST SP 800-38A, 6.4), for records of peers that use it.  It hides a text and nothing more: whoever changes
 * a bit of the ciphertext changes that bit of the plaintext, and nobody notices.  Hence not in the table of aead.h: what seals
 * a record cannot choose it.
 */
#ifndef CRYPTO_OFB_H
#define CRYPTO_OFB_H

#include "base/bytes.h"

#define OFB_IV_LEN 16 /* the block of AES */
/* Longest text of one call that we accept: 2^27 blocks. */
#define OFB_TEXT_MAX ((size_t)1 << 31)
/*
 * Messages under one key with random IVs.  A key stream is the IV enciphered again and again, so two messages give each other away when
 * the IV of one is a block of the other's stream: for q messages of at most L blocks a chance of about q^2 L / 2^128.  With 2^32 messages
 * of the longest text, 2^27 blocks, that is 2^-37 (SP 800-38D asks 2^-32 of GCM), and all their blocks together, 2^59, stay below the 2^64
 * at which streams of one permutation are told from chance.
 */
#define OFB_HARD_LIMIT (UINT64_C(1) << 32)

/* An expanded key, in guarded memory.  Immutable: any number of threads may use it at once. */
struct ofb_key;

/* ofb_key_new(key, ret): AES-128 or AES-256 by the key's length, 16 or 32 bytes (else ST_INVALID).  ST_NOMEM.  ofb_key_free: wiped. */
MUST_USE enum status ofb_key_new(struct span key, struct ofb_key **ret);
void ofb_key_free(struct ofb_key **k);

/*
 * ofb_crypt(k, iv, text, ret): encrypts, and decrypts, which is the same.  ret receives text.n bytes; it may be text.p (in place) and must not
 * overlap it otherwise.  An IV must never be used twice with one key for encrypting: draw it at random.  ST_LIMIT: text too long.  ST_NOMEM: for
 * EVP, when more threads than usual are at work; ret's bytes are then zero.  CT: the length may show in timing, nothing else.
 */
MUST_USE enum status ofb_crypt(const struct ofb_key *k, const uint8_t iv[static OFB_IV_LEN],
                               struct span text, uint8_t *ret);

#endif
