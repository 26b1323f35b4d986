/*
 * Encrypting, decrypting and rewrapping one item under a named key: what single calls, batches, streams and data keys have in common.  The item's
 * texts are where the request left them; the result goes straight into the answer.
 */
#ifndef ENGINE_TRANSIT_CRYPT_H
#define ENGINE_TRANSIT_CRYPT_H

#include "engine/transit_key.h"
#include "engine/transit_text.h"

/* One item; absent texts are empty. */
struct crypt_item {
	struct span plaintext;    /* base64 */
	struct span ciphertext;   /* "vault:v1:..." */
	struct span context, aad; /* base64 */
	struct span reference;
	int64_t key_version; /* 0: the latest */
};

#define CRYPT_NONCES 1536
/* Older versions for which a batch claims uses beforehand; one that names more is worked on by the writer. */
#define CRYPT_PINNED 8

struct crypt_pinned {
	const struct key_version *version;
	uint64_t claims; /* not yet used */
};

/* What the pool made of an item of an RSA key: its plaintext, or why there is none. */
struct crypt_opened {
	struct secret *plain;
	struct item_error error;
};

/* A run of items under one key, on one thread, within one transaction.  Zeroed, then crypt_begin; crypt_end wipes. */
struct crypt {
	const struct key_place *place;
	const struct named_key *key;
	const struct key_head *head;
	const char *prefix;             /* "vault:v" */
	const struct key_version *from; /* decrypted under last */
	const struct key_version *to;   /* encrypted under last */
	char begin[32];                 /* "vault:v7:" of `to`; begin_n bytes */
	size_t begin_n;
	struct builder text; /* what is worked on: nonce, text, tag */
	struct builder context, aad;
	const struct crypt_opened *opened; /* RSA: of the present item */
	/* of derived keys: what was derived from (derived_of, derived_context) */
	struct secret *derived;
	void *derived_room;
	struct aead_key *derived_key;
	const struct key_version *derived_of;
	struct builder derived_context;
	/* counting */
	const struct key_version *claimed; /* uses of this version were claimed ... */
	uint64_t claims;                   /* ... so many, and are not yet used */
	struct crypt_pinned pinned[CRYPT_PINNED];
	size_t n_pinned;
	uint32_t
	    lacking; /* after ST_NEEDS_WRITER: of which version uses are to be reserved; 0: of the latest */
	uint32_t
	    used_up; /* set by who knows: the writer found that this version may do no more; 0: none */
	uint64_t decrypted; /* under `from`, not yet counted */
	uint8_t nonces[CRYPT_NONCES];
	size_t nonces_left;
};

void crypt_begin(struct crypt *c, const struct key_place *place, const struct named_key *k,
                 const char *prefix);
/* crypt_end(c): gives unused claims back, counts decryptions, wipes. */
void crypt_end(struct crypt *c);

/*
 * crypt_claim(c, op, n, err): n encryptions under the latest version.  On the writer it reserves, and rotates when the version's limit is reached (then
 * c->key is found anew).  ST_NEEDS_WRITER: run again there.  ST_INVALID: more than one version may do.  Sets op->nudge when the next block is due.
 */
MUST_USE enum status crypt_claim(struct crypt *c, struct op *op, uint64_t n, struct err *err);
/*
 * crypt_claim_items(c, op, items, n, err): as crypt_claim, for what these items will encrypt; on a loop also under the older versions that they name, so that
 * none is encrypted, and counted, before it is found that the writer has to do it.
 */
MUST_USE enum status crypt_claim_items(struct crypt *c, struct op *op,
                                       const struct crypt_item *items, size_t n, struct err *err);

/*
 * crypt_reserve(c, version, err): on the writer: a block of uses of an older version, for items that name it.  ST_LIMIT: it may do no more.  ST_NOT_FOUND: there is
 * no such version any more.
 */
MUST_USE enum status crypt_reserve(struct crypt *c, uint32_t version, struct err *err);

/*
 * crypt_encrypt(c, i, out, ret_version, ret_error): appends the ciphertext's text.  crypt_decrypt(c, i, out, ret_error): appends the plaintext's base64.
 * crypt_rewrap(c, i, how, out, ret_version, ret_error): decrypts, and encrypts under i->key_version or the latest; KEEP_CURRENT: what is under that version already is
 * verified, if its type can tell, and given back as it is (*ret_rewrapped false).
 * ST_INVALID: ret_error says why, and out is as it was.  ST_NEEDS_WRITER: an older version's uses must be reserved.
 */
MUST_USE enum status crypt_encrypt(struct crypt *c, const struct crypt_item *i, struct builder *out,
                                   uint32_t *ret_version, struct item_error *ret_error);
MUST_USE enum status crypt_decrypt(struct crypt *c, const struct crypt_item *i, struct builder *out,
                                   struct item_error *ret_error);
enum crypt_current { ENCRYPT_ANEW, KEEP_CURRENT };
MUST_USE enum status crypt_rewrap(struct crypt *c, const struct crypt_item *i,
                                  enum crypt_current how, struct builder *out,
                                  uint32_t *ret_version, bool *ret_rewrapped,
                                  struct item_error *ret_error);
/* crypt_encrypt_bytes(c, i, plain, out, ret_version, ret_error): as crypt_encrypt, of bytes instead of i->plaintext (data keys). */
MUST_USE enum status crypt_encrypt_bytes(struct crypt *c, const struct crypt_item *i,
                                         struct span plain, struct builder *out,
                                         uint32_t *ret_version, struct item_error *ret_error);

#endif
