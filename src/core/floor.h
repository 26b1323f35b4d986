/*
 * The floor above the writer: who answers what the writer has to tell (struct writer_hooks).
 *
 * The writer is built before those who need it; so its hooks lead to this struct, which its owner fills when all are built, before the writer's
 * thread starts.
 */
#ifndef CORE_FLOOR_H
#define CORE_FLOOR_H

#include "barrier/writer.h"

struct gate;
struct sched;
struct sys;
struct upkeep;

struct floor {
	struct sched *sched;
	struct upkeep *upkeep;
	struct sys *sys;
	struct gate *gate;
};

/* floor_hooks(f): the hooks, with f as their ctx; f is kept.  term_made and encrypted, which tests count with, are NULL. */
struct writer_hooks floor_hooks(struct floor *f);

#endif
