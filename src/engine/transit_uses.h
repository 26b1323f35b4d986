/*
 * How often a version of a named key was used: exact while the server runs and after a clean stop, never too low after any other.
 *
 * Encryptions happen on the loops and are not written down one by one.  A block of uses is reserved in the version's usage record
 * before any of it is claimed; a loop claims what a request needs with one atomic operation; the next block is reserved in the
 * background when half of one is left.  So the limit is never passed, nobody waits, and an unclean stop counts at most two blocks
 * that were not used.
 *
 *   claimed <= reserved (memory) <= encryptions of the durable record <= limit
 *
 * The counts in memory are shared by all threads.  A loop that runs out looks at the record in its own snapshot (uses_pull), which counts if
 * that snapshot is durable and not older than the writer's last change; when it still lacks uses the call goes to the writer, which
 * reserves (uses_reserve).  A version that is rotated away from is closed: what is left of its block is given back, and whoever
 * still encrypts under it goes to the writer once, which opens it again.
 *
 * A usage record lies at usage/ID/VERSION in the mount: 1 version 1 | 1 open | 8 encryptions | 8 decryptions | 4 last day.  Open: the
 * encryptions are reserved ones.
 */
#ifndef ENGINE_TRANSIT_USES_H
#define ENGINE_TRANSIT_USES_H

#include "barrier/view.h"

/* Names a key for ever, whatever it is called. */
#define KEY_ID_LEN 16
struct key_id {
	uint8_t b[KEY_ID_LEN];
};

/* Uses reserved at once. */
#define USES_BLOCK ((uint64_t)1 << 16)
/* No limit is higher. */
#define USES_LIMIT_MAX ((uint64_t)1 << 47)

/* All counts of a server's named keys. */
struct uses_table;
MUST_USE enum status uses_table_new(struct uses_table **ret);
void uses_table_free(struct uses_table **t);
/* uses_table_clear(t): the store was sealed.  Nobody holds a reference any more. */
void uses_table_clear(struct uses_table *t);

/* The counts of one version.  References are counted; any thread. */
struct uses;
struct uses *uses_ref(struct uses *u);
void uses_unref(struct uses **u);

/* Which version: of the key `name`, in the mount of view v. */
struct uses_of {
	const struct view *v;
	struct span name;
	const struct key_id *id;
	uint32_t version;
	uint32_t
	    today; /* uses_day of now: a version that an unclean stop left open was used up to this day, for all we know */
};

/*
 * uses_open(t, of, ret, err): from the table, else from the record, else (none: never used) nothing used.  ST_CORRUPT, ST_NOMEM, ST_IO.  Takes a lock for
 * a moment: not for each request.  Any thread.
 */
MUST_USE enum status uses_open(struct uses_table *t, const struct uses_of *of, struct uses **ret,
                               struct err *err);
/* uses_day(now_ns): days since 1970 of a wall time. */
uint32_t uses_day(int64_t now_ns);

/*
 * On any thread, without a lock:
 * uses_claim(u, n): n uses for the encryptions that follow.  ST_NEEDS_WRITER: not so many are reserved.
 * uses_return(u, n): of what was claimed n were not used.
 * uses_pull(u, of, err): ST_OK: more was reserved meanwhile, claim again.  ST_NEEDS_WRITER: it was not.
 * uses_wanted(u): true once when the next block should be reserved: the caller sees to it that the writer looks (uses_next_wanted).
 * uses_decrypted(u, n, today): n decryptions; n 0: some other use of the key, which only the day of its last use tells.
 */
MUST_USE enum status uses_claim(struct uses *u, uint64_t n);
void uses_return(struct uses *u, uint64_t n);
MUST_USE enum status uses_pull(struct uses *u, const struct uses_of *of, struct err *err);
bool uses_wanted(struct uses_table *t, struct uses *u);
void uses_decrypted(struct uses *u, uint64_t n, uint32_t today);

/*
 * On the writer, with its view in `of`; each changes the record in this transaction.  limit: 1 to USES_LIMIT_MAX.
 * uses_reserve(u, of, n, limit, err): claim n, and reserve a block beyond them.  ST_LIMIT: only fewer are left.
 * uses_reserve_more(u, of, limit, err): the next block, nothing claimed; none when a whole one is left.  ST_LIMIT: none is left.
 * uses_close(t, of, err): the exact count; the rest of the block is given back, or, of one that an unclean stop left, counts as used.
 * uses_flush(u, of, err): decryptions and day, when they changed (uses_dirty).
 */
MUST_USE enum status uses_reserve(struct uses *u, const struct uses_of *of, uint64_t n,
                                  uint64_t limit, struct err *err);
MUST_USE enum status uses_reserve_more(struct uses *u, const struct uses_of *of, uint64_t limit,
                                       struct err *err);
MUST_USE enum status uses_close(struct uses_table *t, const struct uses_of *of, struct err *err);
bool uses_dirty(const struct uses *u);
MUST_USE enum status uses_flush(struct uses *u, const struct uses_of *of, struct err *err);
/* uses_write(v, id, version, counts, err): the first record of a version that was never used here (restored from a backup). */
struct uses_counts;
MUST_USE enum status uses_write(const struct view *v, const struct key_id *id, uint32_t version,
                                const struct uses_counts *counts, struct err *err);
/* uses_erase(v, id, version, err): the record goes, with its key. */
MUST_USE enum status uses_erase(const struct view *v, const struct key_id *id, uint32_t version,
                                struct err *err);

/*
 * On the writer's thread:
 * uses_next_wanted(t, v, ret_name, ret_version): the next version of this mount that wants a block (uses_wanted); a reference.  NULL: none.
 * uses_each(t, v, visit, arg): every version of this mount that is in memory; a status other than ST_OK ends it and is returned.
 */
struct uses *uses_next_wanted(struct uses_table *t, const struct view *v, struct uses_of *ret);
typedef enum status uses_visit(void *arg, struct uses *u, const struct uses_of *of);
MUST_USE enum status uses_each(struct uses_table *t, const struct view *v, uint32_t today,
                               uses_visit *visit, void *arg);
/*
 * uses_close_all(t, v, id, today, there, err): uses_close of every version of a key, or (id NULL) of the mount, that is in memory and still there.  Looks at all there
 * are.  there(of, err): ST_NOT_FOUND: the version was removed, so nothing of it is written down.
 */
typedef enum status uses_there(const struct uses_of *of, struct err *err);
MUST_USE enum status uses_close_all(struct uses_table *t, const struct view *v,
                                    const struct key_id *id, uint32_t today, uses_there *there,
                                    struct err *err);

/*
 * uses_evict(t, v, now_ns, there, err): when more than USES_KEPT versions are in memory, those of this mount that no thread holds are closed, a few at a time, and some
 * seconds later forgotten, so that memory and the last words before sealing stay bounded.
 */
#define USES_KEPT ((size_t)16384)
MUST_USE enum status uses_evict(struct uses_table *t, const struct view *v, int64_t now_ns,
                                uses_there *there, struct err *err);

struct uses_counts {
	uint64_t encryptions;
	uint64_t decryptions;
	uint32_t last_day; /* 0: never */
};
/* uses_counts(t, of, ret, err): as of now, from memory, else from the record. */
MUST_USE enum status uses_counts(struct uses_table *t, const struct uses_of *of,
                                 struct uses_counts *ret, struct err *err);

#endif
