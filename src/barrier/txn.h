/*
 * A transaction of plaintext values by path, over a storage transaction.  Reads are open on both kinds; changes wait as an
 * overlay and exist on the writer's only: on a reader's, txn_put and txn_delete answer ST_NEEDS_WRITER, which a handler passes on, and
 * is run again on the writer.  Paths below "core/" are the barrier's own and cannot be named here (MUST).
 */
#ifndef BARRIER_TXN_H
#define BARRIER_TXN_H

#include "barrier/keyring.h"
#include "barrier/snapshot.h"
#include "barrier/usage.h"

struct txn;

/* txn_get(t, path, ret, err): the value, in locked memory, valid until the transaction ends.  ST_NOT_FOUND; ST_CORRUPT names the term
 * when a record fails its check or is under a retired term. */
MUST_USE enum status txn_get(struct txn *t, struct span path, struct span *ret, struct err *err);
/* txn_exists: as txn_get, without decrypting. */
MUST_USE enum status txn_exists(struct txn *t, struct span path, struct err *err);
/* txn_stamp(t, path, ret, err): as view_stamp. */
#define TXN_STAMP_LEN 28
MUST_USE enum status txn_stamp(struct txn *t, struct span path, uint8_t ret[static TXN_STAMP_LEN],
                               struct err *err);
/* txn_next(t, from, ret, err): the first path >= from; ST_NOT_FOUND at the end.  Valid until the next call with t. */
MUST_USE enum status txn_next(struct txn *t, struct span from, struct span *ret, struct err *err);

/* txn_put, txn_delete (of a missing path: fine).  ST_INVALID: path over STORAGE_KEY_MAX.  ST_LIMIT: value over STORAGE_VALUE_MAX.  ST_NOMEM, ST_NEEDS_WRITER. */
MUST_USE enum status txn_put(struct txn *t, struct span path, struct span value, struct err *err);
MUST_USE enum status txn_delete(struct txn *t, struct span path, struct err *err);

/* What belongs to this transaction: the keyring (on the writer: with what earlier handlers of the group did) and the world. */
const struct keyring *txn_keyring(const struct txn *t);
const struct world *txn_world(const struct txn *t);
/* txn_usage(t, term, ret, err): counts of a term as of this transaction (on the writer: without what the group will add). */
MUST_USE enum status txn_usage(struct txn *t, uint32_t term, struct usage *ret, struct err *err);
/* txn_number(t): the commit number that it sees (reader) or will have (writer). */
uint64_t txn_number(const struct txn *t);
/* txn_can_write(t): it is the writer's.  txn_durable(t): a reader's, of a commit that was acknowledged (a snapshot can be a moment ahead of that). */
bool txn_can_write(const struct txn *t);
bool txn_durable(const struct txn *t);
/* txn_now(t): as view_now. */
int64_t txn_now(const struct txn *t);

/*
 * Only on the writer's transaction (ST_NEEDS_WRITER elsewhere).
 * txn_set_world(t, w): the world from this group on; takes a reference of its own.  txn_set_rotation(t, s): new settings of automatic rotation.
 */
MUST_USE enum status txn_set_world(struct txn *t, const struct world *w);
MUST_USE enum status txn_set_rotation(struct txn *t, const struct rotate_settings *s);

/* txn_note(t, text, err): as view_note; the writer hands it to its hook `noted`. */
#define TXN_NOTE_MAX 1024
MUST_USE enum status txn_note(struct txn *t, struct span text, struct err *err);

/* txn_mark(t, ret), txn_undo(t, mark): drop every change made since, values, world and keyring alike.  Writer only (MUST). */
struct txn_mark {
	size_t overlay;
	size_t raw;
	const struct keyring *keyring;
	const struct world *world;
	size_t events;
	size_t notes, note_bytes;
};
void txn_mark(struct txn *t, struct txn_mark *ret);
/* txn_undo or txn_release must follow each txn_mark. */
void txn_undo(struct txn *t, struct txn_mark *mark);
void txn_release(struct txn *t, struct txn_mark *mark);

/* txn_alloc(t, n): scratch in locked memory, until the transaction ends; NULL: no memory.  txn_alloc64: aligned to 64. */
uint8_t *txn_alloc(struct txn *t, size_t n);
void *txn_alloc64(struct txn *t, size_t n);

#endif
