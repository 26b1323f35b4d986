/*
 * The keyring: every term, the active one, and the settings of automatic rotation.
 *
 * A `struct keyring` is immutable; a change makes a successor, which shares the append-only table of terms with it, so
 * that rotating costs the same at any number of terms.  The writer commits a successor's records and publishes it; readers hold the
 * one of their snapshot.  Reference counted: any thread may ref and unref.
 *
 * On disk: one record a term (`core/term/XXXXXXXX`), and the head (`core/head`), which names the active term and carries a keyed
 * hash over itself and, by exclusive or, over all term records.  Byte by byte in docs/formats.md.
 */
#ifndef BARRIER_KEYRING_H
#define BARRIER_KEYRING_H

#include "barrier/slots.h"
#include "crypto/aead.h"
#include "crypto/kdf.h"
#include "crypto/random.h"
#include "storage/storage.h"

#define KEYRING_HEAD_PATH "core/head"
#define KEYRING_TERM_PATH "core/term/%08x"
#define TERM_KEY_LEN      32
/* Terms that a store can have; a rotation beyond is ST_LIMIT. */
#define KEYRING_TERMS_MAX ((uint32_t)1 << 24)

enum term_state { TERM_ACTIVE, TERM_DECRYPT_ONLY, TERM_RETIRED };
enum term_cause {
	CAUSE_INIT = 1,
	CAUSE_MANUAL,
	CAUSE_MAX_OPERATIONS,
	CAUSE_INTERVAL,
	CAUSE_IMPORT
};
const char *term_state_name(enum term_state s); /* "active", "decrypt_only", "retired" */
const char *term_cause_name(
    enum term_cause c); /* "init", "manual", "max_operations", "interval", "import" */

struct term_info {
	uint32_t number;
	enum term_state state;
	enum term_cause cause;
	int64_t install_ns; /* wall time */
	int64_t retire_ns;  /* 0: not retired */
};

/* Automatic rotation.  Bounds and defaults: NIST SP 800-38D, 8.3, with 10 % left. */
#define ROTATE_MAX_OPERATIONS_DEFAULT UINT64_C(3865470566)
#define ROTATE_MAX_OPERATIONS_LEAST   UINT64_C(1000000)
#define ROTATE_INTERVAL_LEAST_NS      (INT64_C(24) * 3600 * NS_PER_S)
#define ROTATE_INTERVAL_MOST_NS       (INT64_C(2562047) * 3600 * NS_PER_S)
#define ROTATE_INTERVAL_TEXT_MAX      48

struct rotate_settings {
	uint64_t max_operations;
	int64_t interval_ns;                          /* 0: none */
	char interval_text[ROTATE_INTERVAL_TEXT_MAX]; /* as it was set; "" when none */
	bool enabled;
	bool sweep;
	bool retire;
	uint32_t sweep_rate;
};
extern const struct rotate_settings rotate_settings_default;

struct keyring;

/*
 * keyring_new(wrap, mac, id, ret): a keyring without terms.  wrap: the term-wrapping key (32 bytes); mac: the key of the keyed hashes
 * (32 bytes); both are copied.  ST_NOMEM.
 */
MUST_USE enum status keyring_new(const struct secret *wrap, const struct secret *mac,
                                 const uint8_t id[static STORE_ID_LEN], struct keyring **ret);
const struct keyring *keyring_ref(const struct keyring *k);
void keyring_unref(const struct keyring **k);

/*
 * keyring_append(from, key, slot, cause, install_ns, random, ret, record, err): the successor in which a new term is active.  key and
 * slot: TERM_KEY_LEN and SLOT_SECRET_LEN random bytes, copied as needed.  `record` receives the term's record, opened again and
 * compared before this returns (ST_CORRUPT when it differs: nothing may be committed).  The caller has the slot synced before it commits
 * the record and the successor's head.  Successors of one keyring are made by one thread (the writer's).
 */
MUST_USE enum status keyring_append(const struct keyring *from, const struct secret *key,
                                    const struct secret *slot, enum term_cause cause,
                                    int64_t install_ns, const struct random *random,
                                    struct keyring **ret, struct builder *record, struct err *err);

/* keyring_with_settings, keyring_with_allowance: successors that differ in that alone. */
MUST_USE enum status keyring_with_settings(const struct keyring *from,
                                           const struct rotate_settings *s, struct keyring **ret);
MUST_USE enum status keyring_with_allowance(const struct keyring *from, uint32_t records,
                                            struct keyring **ret);

/* keyring_head(k, out): the head record. */
void keyring_head(const struct keyring *k, struct builder *out);

/*
 * keyring_load(t, slots, wrap, mac, ret, err): read head, term records and slots; check all hashes.  ST_CORRUPT: a record is missing, changed, or
 * of another root key.  ST_NOT_FOUND: slots of live terms are missing or foreign; the text names the terms.  ST_IO, ST_NOMEM.
 * Nothing is changed, save that a torn slot copy is repaired and slots of retired terms are overwritten again.
 */
MUST_USE enum status keyring_load(struct storage_txn *t, struct slots *slots,
                                  const struct secret *wrap, const struct secret *mac,
                                  struct keyring **ret, struct err *err);

uint32_t keyring_active(
    const struct keyring *k); /* number of the active term; also how many there are */
uint32_t keyring_allowance(
    const struct keyring
        *k); /* records of an unfinished group that may be uncounted; 0: stopped clean */
const struct rotate_settings *keyring_settings(const struct keyring *k);
const uint8_t *keyring_store_id(const struct keyring *k);
const struct hmac_key *keyring_mac_key(const struct keyring *k);
/* keyring_info(k, number, ret): ST_NOT_FOUND for a number that this keyring does not have. */
MUST_USE enum status keyring_info(const struct keyring *k, uint32_t number, struct term_info *ret);

/* keyring_key(k, number, ret, err): a new expanded key of a term, the caller's to free.  ST_CORRUPT for an unknown or retired term; the text names it. */
MUST_USE enum status keyring_key(const struct keyring *k, uint32_t number, struct aead_key **ret,
                                 struct err *err);

#endif
