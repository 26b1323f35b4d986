/*
 * What belongs to one commit number: the keyring, and the upper floor's immutable objects (policies, mounts) as a "world".
 *
 * The writer hangs the successor beside the current snapshot *before* it commits, and publishes it afterwards.  A reader picks by
 * the number of its own storage snapshot: the newest one that is not newer than its data.  So data and objects always
 * belong together, without a lock.
 */
#ifndef BARRIER_SNAPSHOT_H
#define BARRIER_SNAPSHOT_H

#include <stdatomic.h>

#include "barrier/keyring.h"
#include "base/epoch.h"

/* First member of the upper floor's immutable objects.  destroy is called when the last holder let go, on any thread. */
struct world {
	atomic_uint refs;
	void (*destroy)(struct world *);
};
const struct world *world_ref(const struct world *w);
void world_unref(const struct world **w); /* NULL inside is fine */

struct snapshot {
	uint64_t id; /* number of the commit */
	const struct keyring *keyring;
	const struct world *world;
	_Atomic(struct snapshot *) next;
};

struct snapshots {
	struct epoch *epoch;
	_Atomic(struct snapshot *) published; /* NULL: sealed */
	struct snapshot *hung; /* the writer's: beside the published one, commit under way */
};

/* snapshots_hang(s, id, keyring, world): the writer, before its commit; takes references.  ST_NOMEM.  With nothing published yet it only remembers it. */
MUST_USE enum status snapshots_hang(struct snapshots *s, uint64_t id, const struct keyring *k,
                                    const struct world *w);
/* snapshots_publish: the commit is done.  snapshots_unhang: it was not.  The one replaced is freed when no reader can hold it. */
void snapshots_publish(struct snapshots *s);
void snapshots_unhang(struct snapshots *s);
/* snapshots_clear: nothing is published any more (sealing); readers have stopped or will find nothing. */
void snapshots_clear(struct snapshots *s);

/* snapshots_pick(start, id): from `start` (loaded from `published` before the storage snapshot numbered id was taken) the one that belongs to id. */
const struct snapshot *snapshots_pick(const struct snapshot *start, uint64_t id);

#endif
