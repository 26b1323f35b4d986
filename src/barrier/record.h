/*
 * The stored record: 4-byte big-endian term, 1 version byte, 12-byte nonce, ciphertext, 16-byte tag.  The path is the
 * associated data.  Version 2 is AES-256-GCM with a random 96-bit nonce, byte-compatible with HashiCorp Vault's barrier
 * (source: the layout in Vault's documentation "Security model" and "Architecture", checked against its records).
 */
#ifndef BARRIER_RECORD_H
#define BARRIER_RECORD_H

#include "crypto/aead.h"
#include "crypto/random.h"

#define RECORD_VERSION  2
#define RECORD_HEAD_LEN (4 + 1 + AEAD_GCM_NONCE_LEN)
#define RECORD_OVERHEAD (RECORD_HEAD_LEN + AEAD_TAG_LEN)

/*
 * record_seal(term, key, random, path, plain, out): append the record of `plain` to out.  ST_LIMIT or ST_NOMEM.
 * One encryption under the key: the caller counts it, whatever comes of the record.
 */
MUST_USE enum status record_seal(uint32_t term, const struct aead_key *key,
                                 const struct random *random, struct span path, struct span plain,
                                 struct builder *out);

/* record_term(stored, ret): the term a record is under, without decrypting.  ST_CORRUPT when it is too short to be a record. */
MUST_USE enum status record_term(struct span stored, uint32_t *ret);

/* record_stamp(stored, ret): its nonce and its tag.  ST_CORRUPT when it is too short to be a record. */
#define RECORD_STAMP_LEN (AEAD_GCM_NONCE_LEN + AEAD_TAG_LEN)
MUST_USE enum status record_stamp(struct span stored, uint8_t ret[static RECORD_STAMP_LEN]);

/* record_plain_len(stored): bytes of plaintext in it; record_term was ST_OK. */
size_t record_plain_len(struct span stored);

/* record_open(key, path, stored, ret): decrypt into ret, which has room for record_plain_len bytes.  ST_CORRUPT: another version, a wrong
 * key or path, or changed bytes; ret is then zero. */
MUST_USE enum status record_open(const struct aead_key *key, struct span path, struct span stored,
                                 uint8_t *ret);

#endif
