/*
 * The changes of a group of writes, in the order of their paths, not yet in the storage: the latest value or deletion of
 * each path.  Changes behind a mark can be undone.  Values are plaintext, in the arena (locked memory).  One thread.
 */
#ifndef BARRIER_OVERLAY_H
#define BARRIER_OVERLAY_H

#include "crypto/secret.h"

struct change {
	struct span path;
	struct span value;
	bool deleted;
};

struct overlay_undo;

struct overlay {
	struct arena *arena;
	struct change **sorted; /* n of them, by path */
	size_t n, cap;
	struct overlay_undo *undo;
	size_t n_undo, cap_undo;
};

void overlay_init(struct overlay *o, struct arena *arena);
void overlay_free(struct overlay *o);
/* overlay_reset: forget everything (the arena is the owner's to reset). */
void overlay_reset(struct overlay *o);

/* overlay_put, overlay_delete: copies path and value.  ST_NOMEM. */
MUST_USE enum status overlay_put(struct overlay *o, struct span path, struct span value);
MUST_USE enum status overlay_delete(struct overlay *o, struct span path);

/* overlay_find(o, path): the change of this path, or NULL.  overlay_from(o, from): index of the first change whose path is >= from; o->n at the end. */
const struct change *overlay_find(const struct overlay *o, struct span path);
size_t overlay_from(const struct overlay *o, struct span from);

/* overlay_mark(o): where we are.  overlay_undo(o, mark): as it was then. */
size_t overlay_mark(const struct overlay *o);
void overlay_undo(struct overlay *o, size_t mark);

#endif
