/*
 * The types of named keys: one table, which every part of transit reads, so that nothing asks for a name twice.
 * Names and numbers: the Vault and OpenBao transit API and its backup format; xaes-256-gcm is ours (C2SP XAES-256-GCM); the OFB types are StoredSafe's.
 */
#ifndef ENGINE_TRANSIT_TYPE_H
#define ENGINE_TRANSIT_TYPE_H

#include "crypto/aead.h"
#include "crypto/pkey.h"

/* Stored in key records: never renumber. */
enum key_type {
	KEY_AES128_GCM = 0,
	KEY_AES256_GCM = 1,
	KEY_CHACHA20_POLY1305 = 2,
	KEY_XCHACHA20_POLY1305 = 3,
	KEY_XAES256_GCM = 4,
	KEY_ED25519 = 5,
	KEY_P256 = 6,
	KEY_P384 = 7,
	KEY_P521 = 8,
	KEY_RSA2048 = 9,
	KEY_RSA3072 = 10,
	KEY_RSA4096 = 11,
	KEY_HMAC = 12,
	KEY_AES128_OFB = 13,
	KEY_AES256_OFB = 14,
	KEY_TYPES
};

/* What a key's material is. */
enum key_family {
	FAMILY_AEAD,
	FAMILY_ED25519,
	FAMILY_EC,
	FAMILY_RSA,
	FAMILY_HMAC,
	FAMILY_OFB /* hides and does not authenticate: no associated data */
};

/* The APIs, by the types that they have: what one does not offer is as unknown there as any other word. */
enum key_offer { OFFER_VAULT = 1u << 0, OFFER_STOREDSAFE = 1u << 1 };

#define KEY_HMAC_MIN  32
#define KEY_HMAC_MAX  512
#define KEY_NO_NUMBER (-1)

struct key_type_info {
	const char *name; /* as in the API */
	enum key_family family;
	unsigned offered;        /* bits of enum key_offer */
	enum aead_alg aead;      /* FAMILY_AEAD */
	enum pkey_alg pkey;      /* the asymmetric ones */
	size_t key_len;          /* bytes of symmetric material; 0: variable (hmac) or asymmetric */
	const char *public_name; /* "P-256": how a public key is called; NULL: symmetric */
	int reference_number; /* in the reference's backups; KEY_NO_NUMBER: it has no such type */
	bool encrypts;        /* encrypt, decrypt, rewrap, data keys */
	bool signs;
	bool derives; /* may be made with derived = true */
	bool slow;    /* making one, or working with its private key, is for the pool */
};

const struct key_type_info *key_type_info(enum key_type t);
/* key_type_offered(t, offer): whether that API has this type. */
bool key_type_offered(enum key_type t, enum key_offer offer);
/* key_type_find(name, offer, ret): of those that this API has; ST_NOT_FOUND.  key_type_of_reference(number, ret): by the number in a backup, of all; ST_NOT_FOUND. */
MUST_USE enum status key_type_find(struct span name, enum key_offer offer, enum key_type *ret);
MUST_USE enum status key_type_of_reference(int64_t number, enum key_type *ret);
/* key_type_is_cipher(t): whether it is a symmetric one that encrypts: it takes max_operations, and streams. */
bool key_type_is_cipher(enum key_type t);
/* key_type_bound(t): encryptions under one version after which its nonces are no longer safe (AEAD_HARD_LIMIT_96, OFB_HARD_LIMIT); 0: none. */
uint64_t key_type_bound(enum key_type t);

#endif
