/*
 * What engines do on the writer's thread unasked (struct engine_life): ticks, mount by mount, when their time has come; what is to be stored before
 * the store closes; and the writer's own objects of the engines.  One piece of work of the scheduler; the times that mounts want are kept in memory,
 * as each is asked anew after unsealing.  Everything but _new and _free on the writer's thread.
 */
#ifndef CORE_UPKEEP_H
#define CORE_UPKEEP_H

#include "core/mount.h"
#include "core/sched.h"

struct upkeep;

struct upkeep_config {
	const struct engine_table *engines;
	struct sched *sched;
	int64_t default_lease_ttl_s, max_lease_ttl_s;
};

/* upkeep_new(config, ret, err): makes the writer's objects of the engines; ST_NOMEM. */
MUST_USE enum status upkeep_new(const struct upkeep_config *config, struct upkeep **ret,
                                struct err *err);
void upkeep_free(struct upkeep **u);

/* upkeep_thread(u, m): the writer's object of a mount's engine; NULL: it has none. */
void *upkeep_thread(const struct upkeep *u, const struct mount *m);

/* upkeep_wake(u, m, at_ns): tick the mount at this time if that is earlier than planned.  upkeep_nudge(u, uuid): now; "": all mounts.  One that failed
 * is not hurried. */
void upkeep_wake(struct upkeep *u, const struct mount *m, int64_t at_ns);
void upkeep_nudge(struct upkeep *u, const char *uuid);

/* upkeep_opened(u): the store is being unsealed: all mounts are ticked soon.  upkeep_closing(u, t, err): for the writer's hook of that name; one mount that
 * fails is logged and leaves the others alone.  upkeep_closed(u): it was sealed. */
void upkeep_opened(struct upkeep *u);
MUST_USE enum status upkeep_closing(struct upkeep *u, struct txn *t, struct err *err);
void upkeep_closed(struct upkeep *u);

#endif
