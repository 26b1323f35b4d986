/* Initialising, unsealing, sealing, and what everybody may know about it. */
#include <stdlib.h>
#include <string.h>

#include "core/login_session.h"
#include "core/sys_impl.h"
#include "crypto/ct.h"

/* What must be right for a share to leave or enter as text. */
#define SHARE_TEXT_MAX (2 * SEAL_SHARE_MAX + 2)
/* The answer to an initialisation: each share in both spellings with its quotes, the root token, the names. */
#define INIT_ANSWER_MAX(shares) ((shares)*2 * (SHARE_TEXT_MAX + 3) + 512)

/* ---- the records of a new store ---- */

struct populate {
	struct sys *sys;
	char *root; /* 129 bytes: "" or the chosen id; then the token */
	const char *path;
};

static enum status put_cluster(const struct sys *s, struct txn *t, struct err *err)
{
	char id[UUID_LEN];
	struct builder b = {0};
	struct json_writer w;
	struct view v;
	enum status st;

	random_uuid(s->config.random, id);
	json_writer_init(&w, &b);
	json_begin_object(&w);
	json_put_string(&w, "id", span_of(id, sizeof id));
	json_name(&w, "name");
	if (s->config.cluster_name != NULL) {
		json_cstr(&w, s->config.cluster_name);
	} else {
		char name[32];
		struct builder n;

		builder_init_fixed(&n, name, sizeof name);
		builder_fmt(&n, "keyturn-cluster-%.8s", id);
		json_string(&w, builder_span(&n));
	}
	json_end_object(&w);
	view_init(&v, t, span_str(SYS_CLUSTER_PREFIX));
	st = builder_status(&b);
	if (st == ST_OK)
		st = view_put(&v, span_str("local"), builder_span(&b), err);
	builder_free(&b);
	return st;
}

static enum status populate(void *ctx, struct txn *t, struct err *err)
{
	struct populate *p = ctx;
	struct sys *s = p->sys;
	const struct policy_table *none = NULL, *policies = NULL;
	struct token_key *key = NULL;
	struct view tokens, names;
	int64_t now_ns = clock_wall_ns(s->config.clock);
	uint8_t *salt = txn_alloc(t, SHA256_LEN);
	enum status st;

	if (salt == NULL)
		return err_set(err, ST_NOMEM, "no locked memory");
	random_fill(s->config.random, salt, SHA256_LEN);
	view_init(&tokens, t, span_str(TOKEN_PREFIX));
	view_init(&names, t, span_str(SYS_POLICY_PREFIX));
	st = view_put(&tokens, span_str("salt"), span_of(salt, SHA256_LEN), err);
	if (st == ST_OK)
		st = token_key_new(span_of(salt, SHA256_LEN), &key);
	if (st == ST_OK)
		st = token_root(&tokens, key, s->config.random, p->root, now_ns, p->path, err);
	if (st == ST_OK)
		st = policy_table_load(&names, &none, err);
	if (st == ST_OK)
		st = policy_table_put(none, &names, span_str("default"),
		                      span_str(policy_default_text), now_ns, &policies, err);
	if (st == ST_OK)
		st = put_cluster(s, t, err);
	policy_table_unref(&policies);
	policy_table_unref(&none);
	token_key_unref(&key);
	return st;
}

/* ---- loading the world at unseal ---- */

static enum status load_cluster(struct txn *t, struct core_world *w, struct err *err)
{
	const struct json_value *id, *name;
	struct span record;
	struct json doc;
	struct view v;
	uint8_t *copy;
	enum status st;

	view_init(&v, t, span_str(SYS_CLUSTER_PREFIX));
	st = view_get(&v, span_str("local"), &record, err);
	if (st != ST_OK)
		return err_wrap(err, ST_CORRUPT, "the cluster's record");
	copy = txn_alloc(t, record.n + 1);
	if (copy == NULL)
		return err_set(err, ST_NOMEM, "no locked memory");
	memcpy(copy, record.p, record.n);
	json_init(&doc);
	st = json_parse(&doc, copy, record.n, NULL, err);
	id = st == ST_OK ? json_member(json_root(&doc), "id") : NULL;
	name = st == ST_OK ? json_member(json_root(&doc), "name") : NULL;
	if (id == NULL || name == NULL ||
	    span_cstr(id->text, w->cluster_id, sizeof w->cluster_id) != ST_OK ||
	    span_cstr(name->text, w->cluster_name, sizeof w->cluster_name) != ST_OK)
		st = err_set(err, ST_CORRUPT, "the cluster's record is damaged");
	json_free(&doc);
	return st;
}

static enum status load_parts(struct sys *s, struct txn *t, struct core_world *w, struct err *err)
{
	const struct mount_builtin builtin[] = {
	    {"sys/", "sys/", &engine_sys, s,
	     "system endpoints used for control, policy and debugging"},
	    {"auth/token/", TOKEN_PREFIX, &engine_token, &s->tokens, "token based credentials"},
	    {"auth/storedsafe/", LOGIN_PREFIX, &engine_login, &s->logins,
	     "users who log in by the StoredSafe API"},
	    {"cubbyhole/", "logical/cubbyhole/", &engine_cubbyhole, NULL,
	     "per-token private secret storage"},
	};
	struct view v;
	struct span salt;
	enum status st;

	view_init(&v, t, span_str(TOKEN_PREFIX));
	st = view_get(&v, span_str("salt"), &salt, err);
	if (st != ST_OK)
		return err_wrap(err, ST_CORRUPT, "the salt of the tokens");
	st = token_key_new(salt, &w->token_key);
	if (st == ST_OK)
		st = token_key_derive(salt, "keyturn log-in v1", &w->login_key);
	if (st != ST_OK)
		return err_set(err, st, "no locked memory");
	view_init(&v, t, span_str(LOGIN_PREFIX));
	st = login_settings_load(&v, &w->login, err);
	if (st != ST_OK)
		return st;
	view_init(&v, t, span_str(SYS_POLICY_PREFIX));
	st = policy_table_load(&v, &w->policies, err);
	if (st != ST_OK)
		return st;
	view_init(&v, t, span_str(SYS_MOUNT_PREFIX));
	st = mounts_load(&v, s->config.engines, builtin, sizeof builtin / sizeof *builtin,
	                 &w->mounts, err);
	if (st != ST_OK)
		return st;
	view_init(&v, t, span_str(SYS_AUDIT_PREFIX));
	st = audit_load(s->config.audit, &v, s->config.random, &w->salts, err);
	return st == ST_OK ? load_cluster(t, w, err) : st;
}

static enum status plan_work(struct sys *s, struct txn *t, struct err *err)
{
	struct view tokens, logins;
	int64_t at;
	enum status st;

	sched_clear(s->config.sched);
	view_init(&tokens, t, span_str(TOKEN_PREFIX));
	st = token_next_expiry(&tokens, &at, err);
	if (st != ST_OK)
		return st;
	sched_at(s->config.sched, s->tokens.expiry_work, at);
	view_init(&logins, t, span_str(LOGIN_PREFIX));
	st = session_next_expiry(&logins, &at, err);
	if (st != ST_OK)
		return st;
	sched_at(s->config.sched, s->logins.expiry_work, at);
	sched_at(s->config.sched, s->purge_work, SCHED_NOW);
	upkeep_opened(s->config.upkeep);
	return ST_OK;
}

static enum status load(void *ctx, struct txn *t, const struct world **ret, struct err *err)
{
	struct sys *s = ctx;
	struct core_world *w;
	enum status st = world_copy(NULL, &w);

	if (st != ST_OK)
		return err_set(err, st, "no memory");
	w->token_gen = world_generation();
	w->policy_gen = world_generation();
	st = load_parts(s, t, w, err);
	if (st == ST_OK)
		st = plan_work(s, t, err);
	if (st != ST_OK) {
		world_drop(&w);
		return st;
	}
	memcpy(s->cluster_name, w->cluster_name, sizeof s->cluster_name);
	memcpy(s->cluster_id, w->cluster_id, sizeof s->cluster_id);
	*ret = &w->base;
	return ST_OK;
}

enum status sys_init(struct sys *s, unsigned shares, unsigned threshold, const char *root_token,
                     struct secret **ret_shares, char ret_root[static 129], struct err *err)
{
	struct populate p = {.sys = s, .root = ret_root, .path = "auth/token/root"};

	ret_root[0] = 0;
	if (root_token != NULL) {
		if (span_cstr(span_str(root_token), ret_root, 129) != ST_OK)
			return err_set(err, ST_INVALID, "a token id has at most 128 characters");
		p.path = "auth/token/create";
	}
	return seal_init(s->config.seal, shares, threshold, populate, &p, ret_shares, err);
}

enum status sys_unseal(struct sys *s, struct span share, struct err *err)
{
	return seal_offer(s->config.seal, share, load, s, err);
}

/* ---- what everybody may ask ---- */

static void put_cluster_members(struct json_writer *w, const char *name, const char *id)
{
	json_put_cstr(w, "cluster_name", name);
	json_put_cstr(w, "cluster_id", id);
}

/* name and id of the cluster: NULL while nothing is open. */
static enum status put_seal_status(struct op *op, const char *cluster_name, const char *cluster_id)
{
	struct sys *s = op->self;
	struct seal_status st;
	struct json_writer w;

	seal_status(s->config.seal, &st);
	json_writer_init(&w, &op->ans->data);
	json_begin_object(&w);
	json_put_cstr(&w, "type", "shamir");
	json_put_bool(&w, "initialized", st.state != SEAL_ABSENT);
	json_put_bool(&w, "sealed", st.state != SEAL_OPEN);
	json_put_uint(&w, "t", st.threshold);
	json_put_uint(&w, "n", st.shares);
	json_put_uint(&w, "progress", st.progress);
	json_put_cstr(&w, "nonce", st.nonce);
	json_put_cstr(&w, "version", s->config.version);
	json_put_cstr(&w, "build_date", "");
	json_put_cstr(&w, "commit_date", "");
	json_put_bool(&w, "migration", 0);
	json_put_bool(&w, "recovery_seal", 0);
	json_put_cstr(&w, "storage_type", s->config.storage_type);
	if (cluster_name != NULL)
		put_cluster_members(&w, cluster_name, cluster_id);
	json_end_object(&w);
	op->ans->shape = ANSWER_BARE;
	return op->ans->status = builder_status(&op->ans->data);
}

enum status sys_seal_status_op(struct op *op)
{
	if (op->view.txn == NULL)
		return put_seal_status(op, NULL, NULL);
	return put_seal_status(op, sys_world(op)->cluster_name, sys_world(op)->cluster_id);
}

/* A status that the caller chooses for a state: ?sealedcode=200. */
static enum status chosen_code(struct op *op, const char *name, unsigned *code)
{
	int64_t v;
	enum status st = request_int(op->req, name, &v, &op->ans->err);

	if (st == ST_NOT_FOUND)
		return ST_OK;
	if (st == ST_OK && (v < 200 || v > 599))
		st = err_set(&op->ans->err, ST_INVALID, "%s must be a status between 200 and 599",
		             name);
	if (st == ST_OK)
		*code = (unsigned)v;
	return st;
}

enum status sys_health_op(struct op *op)
{
	struct sys *s = op->self;
	struct seal_status st;
	struct json_writer w;
	unsigned code = 200;
	enum status ok = ST_OK;

	seal_status(s->config.seal, &st);
	if (st.state == SEAL_ABSENT) {
		code = 501;
		ok = chosen_code(op, "uninitcode", &code);
	} else if (st.state != SEAL_OPEN) {
		code = 503;
		ok = chosen_code(op, "sealedcode", &code);
	} else {
		ok = chosen_code(op, "activecode", &code);
	}
	if (ok != ST_OK)
		return op->ans->status = ok;
	json_writer_init(&w, &op->ans->data);
	json_begin_object(&w);
	json_put_bool(&w, "initialized", st.state != SEAL_ABSENT);
	json_put_bool(&w, "sealed", st.state != SEAL_OPEN);
	json_put_bool(&w, "standby", st.state != SEAL_OPEN);
	json_put_bool(&w, "performance_standby", 0);
	json_put_cstr(&w, "replication_performance_mode",
	              st.state == SEAL_OPEN ? "disabled" : "unknown");
	json_put_cstr(&w, "replication_dr_mode", st.state == SEAL_OPEN ? "disabled" : "unknown");
	json_put_int(&w, "server_time_utc", op->now_ns / NS_PER_S);
	json_put_cstr(&w, "version", s->config.version);
	if (op->view.txn != NULL)
		put_cluster_members(&w, sys_world(op)->cluster_name, sys_world(op)->cluster_id);
	json_end_object(&w);
	op->ans->shape = ANSWER_BARE;
	op->ans->http_status = code;
	return op->ans->status = builder_status(&op->ans->data);
}

enum status sys_leader_op(struct op *op)
{
	struct json_writer w;

	json_writer_init(&w, &op->ans->data);
	json_begin_object(&w);
	json_put_bool(&w, "ha_enabled", 0);
	json_put_bool(&w, "is_self", 0);
	json_put_cstr(&w, "leader_address", "");
	json_put_cstr(&w, "leader_cluster_address", "");
	json_put_bool(&w, "performance_standby", 0);
	json_end_object(&w);
	op->ans->shape = ANSWER_BARE;
	return op->ans->status = builder_status(&op->ans->data);
}

enum status sys_init_read_op(struct op *op)
{
	struct sys *s = op->self;
	struct seal_status st;
	struct json_writer w;

	seal_status(s->config.seal, &st);
	json_writer_init(&w, &op->ans->data);
	json_begin_object(&w);
	json_put_bool(&w, "initialized", st.state != SEAL_ABSENT);
	json_end_object(&w);
	op->ans->shape = ANSWER_BARE;
	return op->ans->status = builder_status(&op->ans->data);
}

/* ---- control ---- */

enum share_text { SHARE_HEX, SHARE_BASE64 };

static void put_shares(struct json_writer *w, const char *name, struct secret **shares, unsigned n,
                       enum share_text form)
{
	char text[SHARE_TEXT_MAX];

	json_name(w, name);
	json_begin_array(w);
	for (unsigned i = 0; i < n; i++) {
		struct span share = secret_span(shares[i]);

		if (form == SHARE_HEX) {
			ct_hex(share, text);
			json_string(w, span_of(text, 2 * share.n));
		} else {
			ct_base64(share, text);
			json_string(w, span_of(text, BASE64_LEN(share.n)));
		}
	}
	json_end_array(w);
	wipe(text, sizeof text);
}

/* Clients send 0, "" and empty lists for what they do not want. */
static bool is_asked_for(const struct json_value *v)
{
	if (v == NULL || v->type == JSON_NULL || v->type == JSON_FALSE)
		return false;
	if (v->type == JSON_STRING)
		return v->text.n > 0;
	if (v->type == JSON_NUMBER)
		return !span_eq_str(v->text, "0");
	return v->type == JSON_TRUE || v->count > 0;
}

/* Nothing that protects the shares may be passed over in silence. */
static enum status refuse_unknown_init(struct op *op)
{
	static const char *const later[] = {"pgp_keys",          "root_token_pgp_key",
	                                    "recovery_shares",   "recovery_threshold",
	                                    "recovery_pgp_keys", "stored_shares"};

	for (size_t i = 0; i < sizeof later / sizeof *later; i++) {
		if (is_asked_for(request_member(op->req, later[i])))
			return answer_fail(op->ans, ST_INVALID, "%s is not supported by this seal",
			                   later[i]);
	}
	return ST_OK;
}

enum status sys_init_op(struct op *op)
{
	struct sys *s = op->self;
	struct secret *parts[255] = {0};
	struct json_writer w;
	char root[129] = "";
	int64_t shares = 0, threshold = 0;
	enum status st = request_int(op->req, "secret_shares", &shares, &op->ans->err);

	if (st == ST_OK || st == ST_NOT_FOUND)
		st = request_int(op->req, "secret_threshold", &threshold, &op->ans->err);
	if (st == ST_OK || st == ST_NOT_FOUND)
		st = seal_check(shares, threshold, &op->ans->err);
	if (st == ST_OK)
		st = refuse_unknown_init(op);
	/* Room first: once the store is made, its shares exist nowhere but in this answer. */
	if (st == ST_OK && builder_room(&op->ans->data, INIT_ANSWER_MAX((size_t)shares)) == NULL)
		st = answer_fail(op->ans, ST_NOMEM, "no memory for the shares");
	if (st == ST_OK)
		st = sys_init(s, (unsigned)shares, (unsigned)threshold, NULL, parts, root,
		              &op->ans->err);
	if (st != ST_OK)
		goto out;
	json_writer_init(&w, &op->ans->data);
	json_begin_object(&w);
	put_shares(&w, "keys", parts, (unsigned)shares, SHARE_HEX);
	put_shares(&w, "keys_base64", parts, (unsigned)shares, SHARE_BASE64);
	json_put_cstr(&w, "root_token", root);
	json_end_object(&w);
	for (int64_t i = 0; i < shares; i++)
		secret_free(&parts[i]);
	op->ans->shape = ANSWER_BARE;
	st = builder_status(&op->ans->data);
out:
	wipe(root, sizeof root);
	return op->ans->status = st;
}

/* Hex or base64, as recorded; into guarded memory. */
static enum status decode_share(struct span text, struct secret **ret)
{
	struct secret *room;
	size_t n;
	enum status st;

	if (text.n == 0 || text.n > 256)
		return ST_INVALID;
	st = secret_new(256, &room);
	if (st != ST_OK)
		return st;
	st = ct_unhex(text, secret_bytes(room), 256, &n);
	if (st != ST_OK)
		st = ct_unbase64(text, secret_bytes(room), 256, &n);
	if (st == ST_OK)
		st = secret_from(span_of(secret_bytes(room), n), ret);
	secret_free(&room);
	return st;
}

/* The same as seen by a control operation, on the writer's thread. */
static enum status put_control_status(struct op *op)
{
	struct sys *s = op->self;
	struct seal_status st;

	seal_status(s->config.seal, &st);
	return st.state == SEAL_OPEN ? put_seal_status(op, s->cluster_name, s->cluster_id)
	                             : put_seal_status(op, NULL, NULL);
}

enum status sys_unseal_op(struct op *op)
{
	struct sys *s = op->self;
	struct seal_status before;
	struct secret *share;
	struct span text;
	bool reset = false;
	enum status st = request_bool(op->req, "reset", &reset, &op->ans->err);

	if (st != ST_OK && st != ST_NOT_FOUND)
		return op->ans->status = st;
	if (reset) {
		seal_reset(s->config.seal);
		return put_control_status(op);
	}
	st = request_string(op->req, "key", &text, &op->ans->err);
	if (st == ST_NOT_FOUND || (st == ST_OK && text.n == 0))
		return answer_fail(
		    op->ans, ST_INVALID,
		    "'key' must be specified in request body as JSON, or 'reset' set to true");
	if (st != ST_OK)
		return op->ans->status = st;
	st = decode_share(text, &share);
	if (st == ST_NOMEM)
		return answer_fail(op->ans, st, "no locked memory");
	if (st != ST_OK)
		return answer_fail(op->ans, ST_INVALID,
		                   "'key' must be a valid hex or base64 string");
	seal_status(s->config.seal, &before);
	st = sys_unseal(s, secret_span(share), &op->ans->err);
	secret_free(&share);
	if (st == ST_UNAVAILABLE &&
	    before.state == SEAL_ABSENT) /* not initialised: the caller's mistake */
		st = ST_INVALID;
	if (st == ST_NOT_FOUND) /* slots are missing: not what "not found" says to a client */
		st = ST_CORRUPT;
	return st == ST_OK ? put_control_status(op) : (op->ans->status = st);
}

enum status sys_seal_op(struct op *op)
{
	struct sys *s = op->self;

	seal_close(s->config.seal);
	op->ans->shape = ANSWER_EMPTY;
	return op->ans->status = ST_OK;
}
