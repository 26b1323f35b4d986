#include <stdlib.h>

#include "core/purge.h"
#include "core/sys_impl.h"

const struct core_world *sys_world(const struct op *op)
{
	return world_core(txn_world(op->view.txn));
}

void sys_view(const struct op *op, const char *prefix, struct view *ret)
{
	view_init(ret, op->view.txn, span_str(prefix));
}

enum status sys_set_world(struct op *op, struct core_world *w)
{
	enum status st = txn_set_world(op->view.txn, &w->base);

	world_drop(&w);
	return st;
}

/* ---- metrics and audit ---- */

static enum status metrics_op(struct op *op)
{
	struct sys *s = op->self;
	struct span format = {0};
	enum status st = request_string(op->req, "format", &format, &op->ans->err);

	if (st != ST_OK && st != ST_NOT_FOUND)
		return op->ans->status = st;
	if (span_eq_str(format, "prometheus")) {
		metrics_prometheus(s->config.metrics, &op->ans->data);
		op->ans->shape = ANSWER_TEXT;
		op->ans->content_type = "text/plain; version=0.0.4; charset=utf-8";
	} else if (format.n == 0 || span_eq_str(format, "json")) {
		metrics_json(s->config.metrics, op->now_ns, &op->ans->data);
		op->ans->shape = ANSWER_BARE;
	} else {
		return answer_fail(op->ans, ST_INVALID,
		                   "format must be \"prometheus\" or \"json\"");
	}
	return op->ans->status = builder_status(&op->ans->data);
}

static enum status audit_hash_op(struct op *op)
{
	char device[129];
	struct span input, name = op->arg[0];
	struct json_writer w;
	struct builder hash = {0};
	enum status st = request_string(op->req, "input", &input, &op->ans->err);

	if (st == ST_NOT_FOUND)
		return answer_fail(op->ans, ST_INVALID, "the \"input\" parameter is empty");
	if (st != ST_OK)
		return op->ans->status = st;
	while (name.n > 0 && name.p[name.n - 1] == '/')
		name.n--;
	st = span_cstr(name, device, sizeof device);
	if (st == ST_OK)
		st = audit_hash(sys_world(op)->salts, device, input, &hash);
	if (st == ST_OK && builder_status(&hash) != ST_OK) {
		builder_free(&hash);
		return answer_fail(op->ans, ST_NOMEM, "no memory for a hash");
	}
	if (st != ST_OK) {
		builder_free(&hash);
		return answer_fail(op->ans, ST_INVALID, "unknown audit backend: %.*s",
		                   (int)(name.n < 64 ? name.n : 64), (const char *)name.p);
	}
	json_writer_init(&w, &op->ans->data);
	json_begin_object(&w);
	json_put_string(&w, "hash", builder_span(&hash));
	json_end_object(&w);
	builder_free(&hash);
	op->ans->shape = ANSWER_DATA_TOP;
	return op->ans->status = builder_status(&op->ans->data);
}

/* ---- the table ---- */

#define OPEN_TO_ALL (OP_NO_TOKEN | OP_ANY_STATE)
#define QUIET       (OPEN_TO_ALL | OP_NO_AUDIT)

static const struct operation operations[] = {
    {"health", VERB_READ, "health", OP_READ, QUIET, sys_health_op, NULL},
    {"seal-status", VERB_READ, "seal-status", OP_READ, QUIET, sys_seal_status_op, NULL},
    {"leader", VERB_READ, "leader", OP_READ, QUIET, sys_leader_op, NULL},
    {"init-status", VERB_READ, "init", OP_READ, QUIET, sys_init_read_op, NULL},
    {"init", VERB_WRITE, "init", OP_CONTROL, OPEN_TO_ALL, sys_init_op, NULL},
    {"unseal", VERB_WRITE, "unseal", OP_CONTROL, OPEN_TO_ALL, sys_unseal_op, NULL},
    {"seal", VERB_WRITE, "seal", OP_CONTROL, OP_SUDO, sys_seal_op, NULL},

    {"rotate", VERB_WRITE, "rotate", OP_WRITE, OP_SUDO, sys_rotate_op, NULL},
    {"rotate", VERB_WRITE, "rotate/keyring", OP_WRITE, OP_SUDO, sys_rotate_op, NULL},
    {"rotate-config-read", VERB_READ, "rotate/config", OP_READ, 0, sys_rotate_config_read_op, NULL},
    {"rotate-config", VERB_WRITE, "rotate/config", OP_WRITE, 0, sys_rotate_config_op, NULL},
    {"rotate-config-read", VERB_READ, "rotate/keyring/config", OP_READ, 0,
     sys_rotate_config_read_op, NULL},
    {"rotate-config", VERB_WRITE, "rotate/keyring/config", OP_WRITE, 0, sys_rotate_config_op, NULL},
    {"rotate-terms", VERB_READ, "rotate/terms", OP_READ, 0, sys_terms_op, NULL},
    {"rotate-terms", VERB_LIST, "rotate/terms", OP_READ, 0, sys_terms_op, NULL},
    {"key-status", VERB_READ, "key-status", OP_READ, 0, sys_key_status_op, NULL},

    {"mounts", VERB_READ, "mounts", OP_READ, 0, sys_mounts_op, NULL},
    {"mount-tune-read", VERB_READ, "mounts/*/tune", OP_READ, 0, sys_tune_read_op, NULL},
    {"mount-tune", VERB_WRITE, "mounts/*/tune", OP_WRITE, 0, sys_tune_op, NULL},
    {"mount-read", VERB_READ, "mounts/*", OP_READ, 0, sys_mount_read_op, NULL},
    {"mount", VERB_WRITE, "mounts/*", OP_WRITE, 0, sys_mount_op, NULL},
    {"unmount", VERB_DELETE, "mounts/*", OP_WRITE, 0, sys_unmount_op, NULL},
    {"remount", VERB_WRITE, "remount", OP_WRITE, OP_SUDO, sys_remount_op, NULL},

    {"policy-list", VERB_LIST, "policies/acl", OP_READ, 0, sys_policy_list_op, NULL},
    {"policy-list", VERB_READ, "policies/acl", OP_READ, 0, sys_policy_list_op, NULL},
    {"policy-read", VERB_READ, "policies/acl/:name", OP_READ, 0, sys_policy_read_op, NULL},
    {"policy-write", VERB_WRITE, "policies/acl/:name", OP_WRITE, 0, sys_policy_write_op, NULL},
    {"policy-delete", VERB_DELETE, "policies/acl/:name", OP_WRITE, 0, sys_policy_delete_op, NULL},
    {"policy-list", VERB_LIST, "policy", OP_READ, 0, sys_policy_old_list_op, NULL},
    {"policy-list", VERB_READ, "policy", OP_READ, 0, sys_policy_old_list_op, NULL},
    {"policy-read", VERB_READ, "policy/:name", OP_READ, 0, sys_policy_old_read_op, NULL},
    {"policy-write", VERB_WRITE, "policy/:name", OP_WRITE, 0, sys_policy_write_op, NULL},
    {"policy-delete", VERB_DELETE, "policy/:name", OP_WRITE, 0, sys_policy_delete_op, NULL},

    {"capabilities", VERB_WRITE, "capabilities", OP_READ, 0, sys_capabilities_op, NULL},
    {"capabilities-self", VERB_WRITE, "capabilities-self", OP_READ, 0, sys_capabilities_self_op,
     NULL},
    {"capabilities-accessor", VERB_WRITE, "capabilities-accessor", OP_READ, 0,
     sys_capabilities_accessor_op, NULL},

    {"metrics", VERB_READ, "metrics", OP_READ, 0, metrics_op, NULL},
    {"audit-hash", VERB_WRITE, "audit-hash/*", OP_READ, 0, audit_hash_op, NULL},
};

const struct engine engine_sys = {"system", operations, sizeof operations / sizeof *operations};

/* ---- life ---- */

#define PURGE_A_SLICE 256

static enum status purge_work(void *ctx, struct txn *t, int64_t now_ns, int64_t *ret_next_ns,
                              struct err *err)
{
	size_t n;
	enum status st = purge_slice(t, PURGE_A_SLICE, &n, err);

	(void)ctx;
	(void)now_ns;
	*ret_next_ns = st == ST_NOT_FOUND ? SCHED_NEVER : SCHED_NOW;
	return st == ST_NOT_FOUND ? ST_OK : st;
}

enum status sys_new(const struct sys_config *config, struct sys **ret, struct err *err)
{
	struct sys *s = calloc(1, sizeof *s);

	if (s == NULL)
		return err_set(err, ST_NOMEM, "no memory for sys");
	s->config = *config;
	s->purge_work = sched_add(config->sched, "purging", purge_work, s);
	s->tokens = (struct token_ops){
	    .sched = config->sched,
	    .purge_work = s->purge_work,
	    .default_lease_ttl_s = config->default_lease_ttl_s,
	    .max_lease_ttl_s = config->max_lease_ttl_s,
	};
	token_ops_setup(&s->tokens);
	s->logins = (struct login_ops){
	    .sched = config->sched, .version = config->version, .smartcards = config->smartcards};
	login_ops_setup(&s->logins);
	*ret = s;
	return ST_OK;
}

void sys_free(struct sys **s)
{
	free(*s);
	*s = NULL;
}

void sys_rotated(void *sys, const struct rotation_event *e)
{
	struct sys *s = sys;

	audit_rotated(s->config.audit, e);
}

void sys_noted(void *sys, struct span text)
{
	struct sys *s = sys;

	audit_noted(s->config.audit, text);
}

void sys_token_ended(void *sys)
{
	struct sys *s = sys;

	sched_at(s->config.sched, s->purge_work, SCHED_NOW);
}

void sys_closed(struct sys *s)
{
	sched_clear(s->config.sched);
}
