/*
 * A named key as its backup tells it: base64 of a JSON text, {"policy": ..., "archived_keys": ...}, in the reference's form (OpenBao, keysutil.Policy), so that
 * backups go both ways; what the reference lacks stands in members called "keyturn", which it passes over.  docs/formats.md describes it.  Private to
 * engine/transit*.
 */
#ifndef ENGINE_TRANSIT_BACKUP_H
#define ENGINE_TRANSIT_BACKUP_H

#include "engine/transit_key.h"

/* Versions of one backup, and bytes of its text, at most: what one transaction and one request take. */
#define BACKUP_VERSIONS_MAX 10000u
#define BACKUP_TEXT_MAX     ((size_t)31 << 20)

/* A type that the reference does not have. */
#define BACKUP_TYPE_OURS (-1)

struct backup_version {
	struct version_data data;
	bool counted; /* the backup says how often it was used */
	struct uses_counts counts;
};

/* All it says.  Zeroed, then backup_read; backup_free wipes. */
struct backup {
	struct arena room; /* whatever is secret, and all that the spans of the versions point to */
	struct span name;
	struct key_head head; /* without id, due and changes */
	uint32_t first;       /* number of the first version */
	size_t n;             /* first + n - 1 is head.latest */
	struct backup_version *versions;
};

/*
 * On the pool, since it takes as long as there are keys; `since` (NULL: none): end when the store closes, with ST_UNAVAILABLE.
 *
 * backup_read(b, text, offer, random, since, err): text: as backup gave it; offer: the types that may be in it.  Every key is checked.  ST_INVALID with a text: the caller's mistake; ST_LIMIT with a text: too
 * many versions; ST_NOMEM.  b is then as if zeroed.  backup_read_json: the same from the JSON text, in locked memory, which is modified.
 */
struct slow_since;
MUST_USE enum status backup_read(struct backup *b, struct span text, enum key_offer offer,
                                 const struct random *random, const struct slow_since *since,
                                 struct err *err);
MUST_USE enum status backup_read_json(struct backup *b, uint8_t *json, size_t n,
                                      enum key_offer offer, const struct random *random,
                                      const struct slow_since *since, struct err *err);
void backup_free(struct backup *b);

/* backup_write(b, out, since, err): the text, appended to out; all versions `counted`.  ST_INVALID with a text: it would be longer than BACKUP_TEXT_MAX.  ST_NOMEM,
 * ST_CORRUPT. */
MUST_USE enum status backup_write(const struct backup *b, struct builder *out,
                                  const struct slow_since *since, struct err *err);

/*
 * backup_copy(b, p, k, err): all of a key, as of this transaction.  ST_INVALID with a text: it has too many versions.  backup_put(b, p, name, ret_head, err): a new key from a
 * backup, in this transaction; whether one of that name is there was asked before.  On the writer.
 */
MUST_USE enum status backup_copy(struct backup *b, const struct key_place *p,
                                 const struct named_key *k, struct err *err);
MUST_USE enum status backup_put(const struct backup *b, const struct key_place *p, struct span name,
                                struct key_head *ret_head, struct err *err);

/* States of versions, as "keyturn" members call them. */
const char *backup_state_name(enum version_state s);
MUST_USE enum status backup_state_find(struct span name, enum version_state *ret);

#endif
