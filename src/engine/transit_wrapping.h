/*
 * Wrapping keys for their way between servers, as PKCS#11 calls it CKM_RSA_AES_KEY_WRAP: a fresh AES-256 key under RSA-OAEP, and under that key, by
 * AES-KWP (RFC 5649), what is wrapped.  And the mount's key to which others wrap.  Private to engine/transit*.
 */
#ifndef ENGINE_TRANSIT_WRAPPING_H
#define ENGINE_TRANSIT_WRAPPING_H

#include "crypto/digest.h"
#include "crypto/pkey.h"
#include "engine/engine.h"

#define WRAPPED_KEY_LEN 512u /* the AES key, under an RSA-4096 key */

/* The stored key of the mount: PKCS#8, in the transaction's memory, and SubjectPublicKeyInfo. */
struct wrapping_record {
	struct span private_key, public_key;
};
/* wrapping_read(v, ret, err): ST_NOT_FOUND: nobody has asked for it yet.  ST_CORRUPT. */
MUST_USE enum status wrapping_read(const struct view *v, struct wrapping_record *ret,
                                   struct err *err);

/* wrapping_hash(r, name, ret, err): the parameter of that name: "SHA256" (when there is none) and the like, in any case.  ST_INVALID with a text. */
MUST_USE enum status wrapping_hash(const struct request *r, const char *name, enum digest_alg *ret,
                                   struct err *err);

/*
 * On the pool:
 * unwrap_key(k, hash, blob, ret): what was wrapped for the private RSA key k.  ST_INVALID: it was not, or is damaged; which of the two layers fails is not
 * told.  ST_NOMEM.
 * wrap_key(k, hash, text, out): the other way, appended to out.  ST_INVALID: k is too small for the hash.  ST_NOMEM.
 */
MUST_USE enum status unwrap_key(const struct pkey *k, enum digest_alg hash, struct span blob,
                                struct secret **ret);
MUST_USE enum status wrap_key(const struct pkey *k, enum digest_alg hash, struct span text,
                              struct builder *out);

#endif
