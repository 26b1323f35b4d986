/*
 * How an event loop reads: its storage handle, the snapshot that belongs to it, its expanded term keys and its scratch memory.
 * One a loop; everything on the loop's thread, save readers_stop and readers_go, which are the writer's.
 */
#ifndef BARRIER_READER_H
#define BARRIER_READER_H

#include "barrier/snapshot.h"
#include "barrier/txn.h"
#include "base/loop.h"
#include "storage/storage.h"

struct reader;

/* All readers of one store, and what they share with its writer. */
struct readers;
MUST_USE enum status readers_new(struct storage *storage, struct readers **ret);
void readers_free(struct readers **r); /* every reader closed */
struct snapshots *readers_snapshots(struct readers *r);
struct epoch *readers_epoch(struct readers *r);

/* reader_new(r, loop, drop, ctx, ret, err): before the loop starts.  drop(ctx): called on the loop's thread when keys must go (readers_stop), for
 * what the upper floor caches; may be NULL. */
MUST_USE enum status reader_new(struct readers *r, struct loop *loop, void (*drop)(void *ctx),
                                void *ctx, struct reader **ret, struct err *err);
/* reader_close(r): the loop's thread has ended. */
void reader_close(struct reader **r);

/*
 * reader_begin(r, ret, err): a transaction on the newest snapshot; the one of this turn when nothing was committed since.
 * ST_SEALED: nothing is published.  ST_UNAVAILABLE: the store is being reopened, or cannot be read.  What the transaction gave is valid until the next
 * reader_begin or reader_turn_end.
 */
MUST_USE enum status reader_begin(struct reader *r, struct txn **ret, struct err *err);
/* reader_turn_end(r): the loop is about to poll: let go of the snapshot, wipe scratch memory. */
void reader_turn_end(struct reader *r);

/*
 * readers_stop(r): make every reader close its storage handle and drop keys, scratch memory and the upper floor's caches; returns when all
 * have.  Until readers_go, reader_begin refuses.  Never on a loop's thread.  Loops must be running or their readers closed.
 */
void readers_stop(struct readers *r);
void readers_go(struct readers *r);

#endif
