/*
 * A named key: a head record that says what it is and which versions there are, and one record a version, so that a key may have any
 * number of versions and rotating costs the same at each.
 *
 *   key/NAME               the head (no secret)
 *   version/ID/XXXXXXXX    one version's material; ID: 16 random bytes in hex, so that a key that is deleted and made again is another
 *   usage/ID/XXXXXXXX      its counts (transit_uses.h)
 *   due/XXXXXXXXXXXXXXXX/NAME  when it is to be rotated (wall time in ns, in hex): the next one is the first name
 *
 * Whatever changes a version writes the head anew too, so the stamp of the head tells a thread whether what it has in its cache is still
 * true: one look into the storage after each commit, no decryption.  Bytes in docs/formats.md.
 */
#ifndef ENGINE_TRANSIT_KEY_H
#define ENGINE_TRANSIT_KEY_H

#include <stdatomic.h>

#include "crypto/secret.h"
#include "engine/engine.h"
#include "engine/transit_type.h"
#include "engine/transit_uses.h"

/* A key's name as the API has it, and as it is stored: the StoredSafe engine puts the vault's id and a dot before it. */
#define KEY_NAME_MAX     128
#define KEY_STORED_MAX   (KEY_NAME_MAX + 33)
#define KEY_VERSIONS_MAX ((uint32_t)1 << 30)

/* Periods of automatic rotation. */
#define KEY_AUTO_ROTATE_LEAST_S 3600
#define KEY_AUTO_ROTATE_MOST_S  (INT64_C(100) * 366 * 86400)

/* What was done last with a backup: when, with which latest version.  time_ns 0: never. */
struct key_mark {
	int64_t time_ns;
	uint32_t version;
};

/* The head, as stored.  Versions 1 to latest exist, less those below min_available. */
struct key_head {
	struct key_id id;
	enum key_type type;
	bool derived, convergent, exportable, plaintext_backup, deletion_allowed;
	bool imported,
	    import_rotation; /* imported: material came from outside; import_rotation: it may be rotated here */
	bool soft_deleted;
	uint32_t latest;
	uint32_t min_decryption; /* at least 1 */
	uint32_t min_encryption; /* 0: the latest */
	uint32_t min_available;  /* 0: all; versions below are gone for good */
	uint32_t key_size;       /* hmac: bytes; else 0 */
	uint32_t auto_rotate_s;  /* 0: never */
	int64_t due_ns;          /* when it is rotated next; 0: never */
	uint64_t max_operations; /* as set; 0: key_type_bound */
	uint32_t
	    max_versions; /* 0: any number; else the oldest beyond it are destroyed when they were not used for retire_after_s */
	uint32_t oldest;  /* versions below it were destroyed for that */
	int64_t retire_after_s;
	uint64_t changes; /* rises with each change */
	struct key_mark backup, restored;
};

enum version_state { VERSION_USABLE, VERSION_DISABLED, VERSION_DESTROYED };
/* key_bound(head): encryptions that one version may do; USES_LIMIT_MAX when nothing bounds it. */
uint64_t key_bound(const struct key_head *h);

/* An ed25519 private key: 32 bytes seed, 32 bytes public key (as the reference stores, exports and derives from). */
#define KEY_ED25519_LEN 64
/* A chain of certificates as stored, in bytes. */
#define KEY_CHAIN_MAX 65536u
#define KEY_SEED_LEN  32

/* What a version is made of.  `private_key`: symmetric material; KEY_ED25519_LEN bytes; PKCS#8 DER.  Empty: only the public half is known. */
struct version_data {
	enum version_state state;
	bool rewrap_only;  /* decrypt is refused, rewrap is not */
	bool uses_unknown; /* it came from outside: how often it was used there, nobody can tell */
	int64_t created_ns;
	int64_t destroyed_ns;
	uint32_t first_term,
	    last_term; /* storage terms under which it may have been stored; last_term: known once it is destroyed */
	struct span private_key; /* in locked memory */
	struct span
	    mac_key; /* in locked memory: 32 bytes for HMAC; of an hmac key the key itself */
	struct span public_key; /* SPKI DER; asymmetric keys */
	struct span
	    chain; /* certificates as DER, each with a 32-bit length before it; may be empty */
};

/* A version as a thread uses it: immutable, counted references, any thread (the pool too).  All secrets in guarded memory. */
struct key_version {
	atomic_uint refs;
	struct key_id id;
	uint32_t number;
	enum version_state state;
	bool rewrap_only;
	int64_t created_ns;
	struct aead_key *aead; /* FAMILY_AEAD, when not derived */
	struct ofb_key *ofb;   /* FAMILY_OFB */
	struct secret
	    *material; /* symmetric material, ed25519 seed of a derived key; NULL: the others */
	struct secret *mac_key;
	struct pkey *pkey; /* asymmetric keys that are not derived */
	bool has_private;
	struct uses *uses;
	/* the cache's: the record it was read from, and the head's `changes` as of which it was compared */
	uint8_t stamp[VIEW_STAMP_LEN];
	uint64_t seen;
};
const struct key_version *key_version_ref(const struct key_version *v);
void key_version_unref(const struct key_version **v);

/* A key as a thread knows it, as of its transaction.  Valid until the thread's next key_find. */
struct named_key {
	struct key_head head;
	struct span name;
};

struct transit;
struct transit_thread;

/* Where keys are worked on: the view of a mount, and what engine and thread keep beside it. */
struct key_place {
	const struct view *view;
	struct span mount; /* its path, "transit/", for the audit */
	struct transit *transit;
	struct transit_thread *thread;
	const struct random *random;
	int64_t now_ns;
};
struct key_place key_place_of(const struct op *op);
/* key_uses_of(p, k, version): which counts.  key_uses_there(of, err): its version is there; ST_NOT_FOUND: it was removed. */
struct uses_of key_uses_of(const struct key_place *p, const struct named_key *k, uint32_t version);
MUST_USE enum status key_uses_there(const struct uses_of *of, struct err *err);

/* key_name_valid(name): letters, digits and '_', between them also '-' and '.', as the reference allows; at most KEY_NAME_MAX bytes. */
bool key_name_valid(struct span name);
/* key_stored_valid(name): can a key be stored by this name: a letter, a digit or '_', and more of them, '-' and '.'; at most KEY_STORED_MAX bytes. */
bool key_stored_valid(struct span name);

/* key_find(p, name, ret, err): ST_NOT_FOUND (no text), ST_CORRUPT, ST_NOMEM, ST_IO. */
MUST_USE enum status key_find(const struct key_place *p, struct span name,
                              const struct named_key **ret, struct err *err);
/*
 * key_get_version(p, k, number, ret, err): ready for use; valid until the thread's next key_get_version (keep it longer with key_version_ref).  ST_NOT_FOUND:
 * there is no such version (any more).  Also disabled ones; a destroyed one has no material.
 */
MUST_USE enum status key_get_version(const struct key_place *p, const struct named_key *k,
                                     uint32_t number, const struct key_version **ret,
                                     struct err *err);
/* key_read_version(p, id, number, ret, err): the record itself; spans in the transaction's memory. */
MUST_USE enum status key_read_version(const struct key_place *p, const struct key_id *id,
                                      uint32_t number, struct version_data *ret, struct err *err);

/*
 * Changing: on the writer (ST_NEEDS_WRITER elsewhere).  Each changes the records in this transaction; *k or *head is what the caller wants to be true.
 *
 * key_make(p, name, head, version, ret, err): a new key with version 1; head: type and settings (id, latest and due are filled in).  ST_EXISTS.
 * key_add_version(p, name, head, version, err): one more version, the latest; the one before gives back its unused uses; head is updated and written.
 * key_put_head(p, name, head, err): settings changed.
 * key_put_version(p, name, head, number, version, err): one version changed (state, certificates); the head is written, too.
 * key_trim(p, head, up_to, err): versions from head->min_available (or 1) up to but without up_to are gone for good; the caller then puts the head.
 * key_delete(p, name, head, err): everything.
 * Records of many versions are removed in slices, by key_purge(p, ret, err), which a tick calls until it says KEY_PURGE_DONE.
 */
MUST_USE enum status key_make(const struct key_place *p, struct span name, struct key_head *head,
                              struct version_data *version, struct err *err);
MUST_USE enum status key_add_version(const struct key_place *p, struct span name,
                                     struct key_head *head, struct version_data *version,
                                     struct err *err);
MUST_USE enum status key_put_head(const struct key_place *p, struct span name,
                                  struct key_head *head, struct err *err);
MUST_USE enum status key_put_version(const struct key_place *p, struct span name,
                                     struct key_head *head, uint32_t number,
                                     const struct version_data *version, struct err *err);
MUST_USE enum status key_trim(const struct key_place *p, const struct key_head *head,
                              uint32_t up_to, struct err *err);
MUST_USE enum status key_delete(const struct key_place *p, struct span name,
                                const struct key_head *head, struct err *err);

enum key_purge_state { KEY_PURGE_DONE, KEY_PURGE_MORE };
MUST_USE enum status key_purge(const struct key_place *p, enum key_purge_state *ret,
                               struct err *err);

/*
 * key_material_new(type, key_size, random, ret, err): fresh material of this type.  RSA takes seconds: on the pool (key_type_info's `slow`).  ST_NOMEM, ST_UNAVAILABLE.
 * key_material_from_pkey(type, k, m): the material of an asymmetric key, whole or public half; m is zeroed before.  The caller adds mac_key.
 * key_material_data(m, ret): as version_data, which points into m.  key_material_free: wiped; fine when zeroed.
 */
#define KEY_MAC_LEN 32
struct key_material {
	struct secret *private_key;
	struct secret *mac_key;
	struct builder public_key;
};
MUST_USE enum status key_material_new(enum key_type type, uint32_t key_size,
                                      const struct random *random, struct key_material *ret,
                                      struct err *err);
MUST_USE enum status key_material_from_pkey(enum key_type type, const struct pkey *k,
                                            struct key_material *m);
void key_material_free(struct key_material *m);
void key_material_data(const struct key_material *m, struct version_data *ret);

#define KEY_SOFT_DELETED_TEXT "refusing to use soft-deleted key"

/* key_rotate(p, k, material, cause, err): key_add_version with fresh material (made here when NULL), a note for the audit when it is automatic (cause "max_operations",
 * "auto_rotate_period"; NULL: on request).  ST_INVALID with a text: the key was imported and may not be rotated here. */
MUST_USE enum status key_rotate(const struct key_place *p, const struct named_key *k,
                                const struct key_material *material, const char *cause,
                                struct err *err);

#endif
