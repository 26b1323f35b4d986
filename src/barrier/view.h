/*
 * A transaction limited to one prefix: all that engines, and the parts of core, ever get.  Whoever holds a view cannot name a path outside
 * its prefix.  Folders are a way to see paths: "a/b" and "a/c" lie in the folder "a/".
 */
#ifndef BARRIER_VIEW_H
#define BARRIER_VIEW_H

#include "base/bytes.h"

struct txn;

#define VIEW_PREFIX_MAX 160

struct view {
	struct txn *txn;
	char prefix[VIEW_PREFIX_MAX];
	size_t n;
};

/* view_init(v, t, prefix): prefix ends in '/' and is shorter than VIEW_PREFIX_MAX (MUST).  view_below(v, from, folder): the view of one folder of another. */
void view_init(struct view *v, struct txn *t, struct span prefix);
void view_below(struct view *v, const struct view *from, struct span folder);

/* As txn_get, txn_exists, txn_put, txn_delete; path is below the prefix and not empty. */
MUST_USE enum status view_get(const struct view *v, struct span path, struct span *ret,
                              struct err *err);
MUST_USE enum status view_exists(const struct view *v, struct span path, struct err *err);
MUST_USE enum status view_put(const struct view *v, struct span path, struct span value,
                              struct err *err);
MUST_USE enum status view_delete(const struct view *v, struct span path, struct err *err);

/*
 * view_list(v, folder, after, limit, visit, arg, err): the names in a folder ("" or ending in '/'), in order: "x" for a record, "y/" for a folder
 * below; those after `after` (empty: all), at most limit (0: all).  Costs by the names, not by what lies below them.  visit(arg, name): a status
 * other than ST_OK ends the listing and is returned.  ST_OK also when there is none.
 */
typedef enum status view_visit(void *arg, struct span name);
MUST_USE enum status view_list(const struct view *v, struct span folder, struct span after,
                               size_t limit, view_visit *visit, void *arg, struct err *err);

/* view_first(v, ret, err): some path of this view, below the prefix (the first); ST_NOT_FOUND when it is empty.  Valid until the next call with the transaction. */
MUST_USE enum status view_first(const struct view *v, struct span *ret, struct err *err);

/*
 * view_stamp(v, path, ret, err): what identifies the stored value as of this transaction, without decrypting it: nonce and tag of its record, a new random
 * nonce each time it is written.  Two equal stamps of one path: the same value.  On the writer a value that an earlier handler of this group wrote has no record
 * yet: its stamp is one that never comes again.  ST_NOT_FOUND; ST_CORRUPT.  view_number(v): as txn_number.
 */
#define VIEW_STAMP_LEN 28
MUST_USE enum status view_stamp(const struct view *v, struct span path,
                                uint8_t ret[static VIEW_STAMP_LEN], struct err *err);
uint64_t view_number(const struct view *v);

/*
 * view_note(v, text, err): a line for the audit about what was done here that no request asked for: the text of a JSON object, shown as it is, so without
 * anything secret.  It is written after the change is committed and published; it goes with the change when that is undone or its group fails.  ST_LIMIT: longer
 * than VIEW_NOTE_MAX, or far too many in one group.  ST_NEEDS_WRITER: on a reader's transaction.  ST_NOMEM.
 */
#define VIEW_NOTE_MAX 1024
MUST_USE enum status view_note(const struct view *v, struct span text, struct err *err);

/*
 * view_alloc(v, n): scratch in locked memory, until the transaction ends; NULL: no memory.  view_alloc64: aligned to 64, for expanded keys.
 * view_can_write(v): on the writer.
 */
uint8_t *view_alloc(const struct view *v, size_t n);
void *view_alloc64(const struct view *v, size_t n);
bool view_can_write(const struct view *v);

/*
 * view_durable(v): what it shows is on the disk for good: not on the writer, and not in the moment in which a commit can be seen already but has not yet been
 * acknowledged.  view_term(v): the active term; what is written in this transaction is stored under it or a later one.
 */
bool view_durable(const struct view *v);
uint32_t view_term(const struct view *v);
/*
 * view_now(v): writer only (MUST): the wall time of the present group, which never goes back, not even when the clock is set back or the store is opened again: what is
 * due is due by this time, so what says when must be written by it.
 */
int64_t view_now(const struct view *v);

#endif
