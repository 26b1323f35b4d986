/* The members of sys, and the handlers that its files give to its table. */
#ifndef CORE_SYS_IMPL_H
#define CORE_SYS_IMPL_H

#include "core/login_ops.h"
#include "core/sys.h"
#include "core/token_ops.h"
#include "core/world.h"

struct sys {
	struct sys_config config;
	struct token_ops tokens;
	struct login_ops logins;
	unsigned purge_work;
	/* of the open store; the writer's thread only, for control operations, which have no world at hand */
	char cluster_name[64];
	char cluster_id[UUID_LEN + 1];
};

/* sys_world(op): the world of a call with a transaction.  sys_view(op, prefix, ret): a view of one of sys's own prefixes. */
const struct core_world *sys_world(const struct op *op);
void sys_view(const struct op *op, const char *prefix, struct view *ret);
/* sys_set_world(op, w): the call's successor world (taken over). */
MUST_USE enum status sys_set_world(struct op *op, struct core_world *w);

#define SYS_MOUNT_PREFIX   "sys/mount/"
#define SYS_POLICY_PREFIX  "sys/policy/"
#define SYS_AUDIT_PREFIX   "sys/audit/"
#define SYS_CLUSTER_PREFIX "sys/cluster/"

/* sys_seal.c */
enum status sys_health_op(struct op *op);
enum status sys_seal_status_op(struct op *op);
enum status sys_leader_op(struct op *op);
enum status sys_init_read_op(struct op *op);
enum status sys_init_op(struct op *op);
enum status sys_unseal_op(struct op *op);
enum status sys_seal_op(struct op *op);
/* sys_rotate.c */
enum status sys_rotate_op(struct op *op);
enum status sys_rotate_config_read_op(struct op *op);
enum status sys_rotate_config_op(struct op *op);
enum status sys_key_status_op(struct op *op);
enum status sys_terms_op(struct op *op);
/* sys_mount.c */
enum status sys_mounts_op(struct op *op);
enum status sys_mount_read_op(struct op *op);
enum status sys_mount_op(struct op *op);
enum status sys_unmount_op(struct op *op);
enum status sys_tune_read_op(struct op *op);
enum status sys_tune_op(struct op *op);
enum status sys_remount_op(struct op *op);
/* sys_policy.c */
enum status sys_policy_list_op(struct op *op);
enum status sys_policy_old_list_op(struct op *op);
enum status sys_policy_read_op(struct op *op);
enum status sys_policy_old_read_op(struct op *op);
enum status sys_policy_write_op(struct op *op);
enum status sys_policy_delete_op(struct op *op);
enum status sys_capabilities_op(struct op *op);
enum status sys_capabilities_accessor_op(struct op *op);
enum status sys_capabilities_self_op(struct op *op);

#endif
