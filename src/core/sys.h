/*
 * The built-in mount "sys/": seal and initialisation, rotation, mounts, policies, capabilities, metrics.  It calls controls and gets no keys.
 */
#ifndef CORE_SYS_H
#define CORE_SYS_H

#include "base/clock.h"
#include "core/audit.h"
#include "core/metrics.h"
#include "core/sched.h"
#include "core/upkeep.h"
#include "engine/engine.h"
#include "seal/seal.h"

struct sys;

struct sys_config {
	struct seal *seal;
	struct sched *sched;
	const struct engine_table *engines; /* that operators can mount */
	struct upkeep *upkeep;
	struct audit *audit;
	struct metrics *metrics;
	const struct clock *clock;
	const struct random *random;
	const char *version;
	const char *storage_type; /* "lmdb", "inmem" */
	const char *cluster_name; /* NULL: made up at initialisation */
	int64_t default_lease_ttl_s, max_lease_ttl_s;
	bool
	    smartcards; /* a listener asks clients for certificates, so that users can log in with them */
};

extern const struct engine engine_sys;

/* sys_new(config, ret, err): the strings must outlive it.  Registers its periodic work with the scheduler. */
MUST_USE enum status sys_new(const struct sys_config *config, struct sys **ret, struct err *err);
void sys_free(struct sys **s);

/* sys_rotated: the writer committed a rotation.  sys_noted: a change with a note for the audit.  sys_token_ended: a token had its last use.  sys_closed: the store was sealed.  On the writer's thread. */
void sys_rotated(void *sys, const struct rotation_event *e);
void sys_noted(void *sys, struct span text);
void sys_token_ended(void *sys);
void sys_closed(struct sys *s);

/*
 * What -dev and tests do without HTTP, on the writer's thread as control jobs.  sys_init(s, shares, threshold, root_token, ret_shares, ret_root, err): root_token: a chosen id, or
 * NULL.  ret_root: 129 bytes.  sys_unseal(s, share, err): one share; seal_status tells whether the store is open.
 */
MUST_USE enum status sys_init(struct sys *s, unsigned shares, unsigned threshold,
                              const char *root_token, struct secret **ret_shares,
                              char ret_root[static 129], struct err *err);
MUST_USE enum status sys_unseal(struct sys *s, struct span share, struct err *err);
/* sys_mount_engine(s, t, "secret", "kv", description, err): a mount, on the writer's transaction t. */
MUST_USE enum status sys_mount_engine(struct sys *s, struct txn *t, const char *path,
                                      const char *type, const char *description, struct err *err);

#endif
