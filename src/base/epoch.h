/*
 * Reclamation by quiescent states, on C11 atomics.  Readers (event loops, pool workers) look at shared immutable
 * objects through atomic pointers and take no lock; whoever replaces an object hands the old one to epoch_retire, and it
 * is freed once every online reader has passed a quiescent state (or gone offline) since.
 *
 * Source of the idea: T. E. Hart et al., "Performance of memory reclamation for lockless synchronization" (2007), QSBR.
 */
#ifndef BASE_EPOCH_H
#define BASE_EPOCH_H

#include "base/status.h"

struct epoch;        /* one domain */
struct epoch_reader; /* one thread of it */

MUST_USE enum status epoch_new(struct epoch **ret);
/* epoch_free(e): frees all that waits; no reader may be registered any more. */
void epoch_free(struct epoch **e);

/* epoch_join(e, ret): register the calling thread; it starts offline.  At most EPOCH_READERS_MAX (ST_LIMIT). */
#define EPOCH_READERS_MAX 256
MUST_USE enum status epoch_join(struct epoch *e, struct epoch_reader **ret);
void epoch_leave(struct epoch_reader **r);

/*
 * The reader's thread only.  While online, what it loads from published pointers stays valid until its next call of
 * epoch_quiet or epoch_offline.  A thread that may block (polls) goes offline first.
 */
void epoch_online(struct epoch_reader *r);
void epoch_quiet(struct epoch_reader *r);
void epoch_offline(struct epoch_reader *r);

/*
 * epoch_retire(e, object, destroy): after `object` can no longer be found by new readers: destroy(object) will be called by a
 * later epoch_retire, epoch_poll or epoch_free, when nobody can hold it.  Never fails: without memory for the note it waits
 * for the readers and destroys at once, so the caller must not be online itself.  One writer thread at a time (the caller's
 * duty).  destroy may retire more.
 */
void epoch_retire(struct epoch *e, void *object, void (*destroy)(void *object));
/* epoch_poll(e): destroy what can be; returns how many still wait.  Writer thread.  epoch_drain(e): wait until none waits; never on a reader's thread. */
size_t epoch_poll(struct epoch *e);
void epoch_drain(struct epoch *e);

#endif
