/*
 * Periodic and deferred work, in one queue, on the writer's thread: each kind of work says when it wants to run next, runs as part of a group
 * of writes, and is tried again with growing delay when it fails.  No thread and no timer of its own: the writer asks when it is due.
 */
#ifndef CORE_SCHED_H
#define CORE_SCHED_H

#include "barrier/txn.h"

struct sched;

#define SCHED_NEVER INT64_MAX
#define SCHED_NOW   INT64_MIN
#define SCHED_MAX   16

MUST_USE enum status sched_new(struct sched **ret);
void sched_free(struct sched **s);

/*
 * sched_add(s, name, run, ctx): before threads; returns the work's number.  run(ctx, t, now_ns, ret_next_ns, err): does a slice and says when it wants to run
 * again (wall time; SCHED_NOW: at once, after the writes that wait).  On failure what it changed is dropped and it is tried again after 1 s, 2 s ... 5 min.
 */
unsigned sched_add(struct sched *s, const char *name,
                   enum status (*run)(void *ctx, struct txn *t, int64_t now_ns,
                                      int64_t *ret_next_ns, struct err *err),
                   void *ctx);

/* sched_on_lost(s, number, lost): before threads; lost(ctx): what the last run changed could not be committed; it is planned for at once already. */
void sched_on_lost(struct sched *s, unsigned number, void (*lost)(void *ctx));

/* sched_at(s, number, at_ns): run it at this time if that is earlier than what is planned.  sched_clear: nothing is planned any more (sealed).  Writer's thread. */
void sched_at(struct sched *s, unsigned number, int64_t at_ns);
void sched_clear(struct sched *s);

/* For the writer's hooks: the earliest planned time; one run of everything whose time has come; its group could not be committed. */
int64_t sched_due_at(void *sched);
MUST_USE enum status sched_run(void *sched, struct txn *t, int64_t now_ns, struct err *err);

void sched_lost(void *sched);

#endif
