/* Mounts: sys/mounts, sys/mounts/:path, its tune, and sys/remount. */
#include <string.h>

#include "core/purge.h"
#include "core/sys_impl.h"

static struct span bare_path(struct span path)
{
	while (path.n > 0 && path.p[path.n - 1] == '/')
		path.n--;
	return path;
}

static void put_options(struct json_writer *w, const struct mount *m)
{
	json_name(w, "options");
	if (m->version[0] == 0) {
		json_null(w);
		return;
	}
	json_begin_object(w);
	json_put_cstr(w, "version", m->version);
	json_end_object(w);
}

static void put_mount(struct json_writer *w, const struct sys *s, const struct mount *m)
{
	bool is_sys = m->engine == &engine_sys;

	json_begin_object(w);
	json_put_cstr(w, "accessor", m->accessor);
	json_name(w, "config");
	json_begin_object(w);
	json_put_int(w, "default_lease_ttl", m->default_lease_ttl_s);
	json_put_bool(w, "force_no_cache", 0);
	json_put_int(w, "max_lease_ttl", m->max_lease_ttl_s);
	if (is_sys) {
		json_name(w, "passthrough_request_headers");
		json_begin_array(w);
		json_cstr(w, "Accept");
		json_end_array(w);
	}
	json_end_object(w);
	json_put_cstr(w, "deprecation_status", "supported");
	json_put_cstr(w, "description", m->description);
	json_put_bool(w, "external_entropy_access", 0);
	json_put_bool(w, "local", m->engine == &engine_cubbyhole);
	put_options(w, m);
	json_put_cstr(w, "plugin_version", "");
	json_put_cstr(w, "running_plugin_version", s->config.version);
	json_put_cstr(w, "running_sha256", "");
	json_put_bool(w, "seal_wrap", is_sys);
	json_put_cstr(w, "type", m->engine->type);
	json_put_cstr(w, "uuid", m->uuid);
	json_end_object(w);
}

enum status sys_mounts_op(struct op *op)
{
	const struct mounts *mounts = sys_world(op)->mounts;
	struct json_writer w;

	json_writer_init(&w, &op->ans->data);
	json_begin_object(&w);
	for (size_t i = 0; i < mounts_count(mounts); i++) {
		const struct mount *m = mounts_at(mounts, i);

		if (span_starts(span_of(m->path, m->n), span_str("auth/")))
			continue;
		json_name_span(&w, span_of(m->path, m->n));
		put_mount(&w, op->self, m);
	}
	json_end_object(&w);
	op->ans->shape = ANSWER_DATA_TOP;
	return op->ans->status = builder_status(&op->ans->data);
}

/* The mount that the call names; NULL with the answer filled in when there is none. */
static const struct mount *named(struct op *op, struct span path)
{
	const struct mount *m;

	path = bare_path(path);
	m = mounts_at_path(sys_world(op)->mounts, path);
	if (m == NULL)
		answer_fail(op->ans, ST_INVALID, "No secret engine mount at %.*s/", (int)path.n,
		            (const char *)path.p);
	return m;
}

enum status sys_mount_read_op(struct op *op)
{
	const struct mount *m = named(op, op->arg[0]);
	struct json_writer w;

	if (m == NULL)
		return op->ans->status;
	json_writer_init(&w, &op->ans->data);
	put_mount(&w, op->self, m);
	op->ans->shape = ANSWER_DATA_TOP;
	return op->ans->status = builder_status(&op->ans->data);
}

/* ---- parameters ---- */

/* A lease length among `o`'s members, with the text that clients know when it is none. */
static enum status get_ttl(struct op *op, const struct json_value *o, const char *name,
                           const char *what, int64_t *ret_s)
{
	const struct json_value *v = json_member(o, name);
	int64_t ns = 0, s;

	if (v == NULL || v->type == JSON_NULL)
		return ST_OK;
	if (v->type == JSON_STRING && (v->text.n == 0 || span_eq_str(v->text, "system"))) {
		*ret_s = 0;
		return ST_OK;
	}
	if (v->type == JSON_NUMBER && json_i64(v, &s) == ST_OK && s >= 0 &&
	    s <= INT64_MAX / NS_PER_S) {
		*ret_s = s;
		return ST_OK;
	}
	if (v->type != JSON_STRING || duration_parse(v->text, &ns, NULL) != ST_OK || ns < 0)
		return answer_fail(op->ans, ST_INVALID, "unable to parse %s TTL of %.*s", what,
		                   (int)(v->text.n < 64 ? v->text.n : 64), (const char *)v->text.p);
	*ret_s = ns / NS_PER_S;
	return ST_OK;
}

/* A parameter that is an object, or NULL: missing or null. */
static enum status get_object(struct op *op, const char *name, const struct json_value **ret)
{
	const struct json_value *v = request_member(op->req, name);

	if (v != NULL && v->type != JSON_NULL && v->type != JSON_OBJECT)
		return answer_fail(op->ans, ST_INVALID, "parameter \"%s\" must be an object", name);
	*ret = v != NULL && v->type == JSON_OBJECT ? v : NULL;
	return ST_OK;
}

static enum status get_lease(struct op *op, const struct json_value *o, struct mount *m)
{
	const struct sys *s = op->self;
	int64_t most;
	enum status st = get_ttl(op, o, "default_lease_ttl", "default", &m->default_lease_ttl_s);

	if (st == ST_OK)
		st = get_ttl(op, o, "max_lease_ttl", "max", &m->max_lease_ttl_s);
	if (st != ST_OK)
		return st;
	most = m->max_lease_ttl_s != 0 ? m->max_lease_ttl_s : s->config.max_lease_ttl_s;
	if (m->default_lease_ttl_s > most)
		return answer_fail(op->ans, ST_INVALID,
		                   "given default lease TTL greater than given max lease TTL");
	return ST_OK;
}

static enum status get_description(struct op *op, struct mount *m)
{
	struct span text;
	enum status st = request_string(op->req, "description", &text, &op->ans->err);

	if (st == ST_NOT_FOUND)
		return ST_OK;
	if (st == ST_OK && span_cstr(text, m->description, sizeof m->description) != ST_OK)
		st = err_set(&op->ans->err, ST_INVALID,
		             "a description has at most %d bytes and no NUL", MOUNT_TEXT_MAX - 1);
	return op->ans->status = st;
}

/* options: {"version": "1"}; kv version 2 is another engine, which does not exist yet. */
static enum status get_options(struct op *op, struct span type, struct mount *m)
{
	const struct json_value *options, *version;
	enum status st = get_object(op, "options", &options);

	if (st != ST_OK)
		return st;
	version = json_member(options, "version");
	if (span_eq_str(type, "kv-v2") || (version != NULL && span_eq_str(version->text, "2")))
		return answer_fail(
		    op->ans, ST_INVALID,
		    "kv version 2 is not available in this version: mount kv version 1");
	if (version == NULL || version->type == JSON_NULL)
		return ST_OK;
	if ((version->type != JSON_STRING && version->type != JSON_NUMBER) ||
	    !span_eq_str(version->text, "1"))
		return answer_fail(op->ans, ST_INVALID, "options: version must be \"1\"");
	m->version[0] = '1';
	m->version[1] = 0;
	return ST_OK;
}

static enum status get_type(struct op *op, struct mount *m)
{
	const struct sys *s = op->self;
	struct span type;
	enum status st = request_string(op->req, "type", &type, &op->ans->err);

	if (st != ST_OK || type.n == 0)
		return answer_fail(op->ans, ST_INVALID,
		                   "backend type must be specified as a string");
	st = get_options(op, type, m);
	if (st != ST_OK)
		return st;
	if (span_eq_str(type, "kv-v1") || span_eq_str(type, "generic"))
		type = span_str("kv");
	if (mount_set_engine(m, s->config.engines, type) != ST_OK)
		return answer_fail(op->ans, ST_INVALID, "plugin not found in the catalog: %.*s",
		                   (int)(type.n < 64 ? type.n : 64), (const char *)type.p);
	return ST_OK;
}

/* ---- changes ---- */

static enum status set_mounts(struct op *op, const struct mounts *mounts)
{
	struct core_world *w;
	enum status st = world_copy(sys_world(op), &w);

	if (st != ST_OK) {
		mounts_unref(&mounts);
		return st;
	}
	mounts_unref(&w->mounts);
	w->mounts = mounts;
	return sys_set_world(op, w);
}

static enum status store(struct op *op, const struct mount *m)
{
	const struct mounts *next;
	struct view v;
	enum status st;

	sys_view(op, SYS_MOUNT_PREFIX, &v);
	st = mounts_put(sys_world(op)->mounts, &v, m, &next, &op->ans->err);
	if (st == ST_OK)
		st = set_mounts(op, next);
	return op->ans->status = st;
}

enum status sys_mount_op(struct op *op)
{
	struct mount m = {0};
	const struct json_value *config = NULL;
	char accessor[8];
	struct builder b;
	enum status st;

	op->ans->shape = ANSWER_EMPTY;
	st = get_type(op, &m);
	if (st == ST_OK)
		st = get_object(op, "config", &config);
	if (st == ST_OK)
		st = get_lease(op, config, &m);
	if (st == ST_OK)
		st = get_description(op, &m);
	if (st != ST_OK)
		return st;
	st = mount_check_path(sys_world(op)->mounts, op->arg[0], NULL, m.path, &op->ans->err);
	if (st != ST_OK)
		return op->ans->status = st;
	random_uuid(op->random, m.uuid);
	random_text(op->random, "0123456789abcdef", accessor, sizeof accessor);
	builder_init_fixed(&b, m.accessor, sizeof m.accessor - 1);
	builder_fmt(&b, "%s_%.*s", m.engine->type, (int)sizeof accessor, accessor);
	return store(op, &m);
}

enum status sys_unmount_op(struct op *op)
{
	struct sys *s = op->self;
	struct span path = bare_path(op->arg[0]);
	const struct mount *m = mounts_at_path(sys_world(op)->mounts, path);
	const struct mounts *next;
	struct view v;
	enum status st;

	op->ans->shape = ANSWER_EMPTY;
	if (m == NULL)
		return op->ans->status = ST_OK;
	if (m->builtin)
		return answer_fail(op->ans, ST_INVALID, "cannot unmount \"%s\"", m->path);
	sys_view(op, SYS_MOUNT_PREFIX, &v);
	st = purge_prefix(op->view.txn, span_str(m->prefix), &op->ans->err);
	if (st == ST_OK)
		st = mounts_remove(sys_world(op)->mounts, &v, m, &next, &op->ans->err);
	if (st == ST_OK)
		st = set_mounts(op, next);
	if (st == ST_OK)
		sched_at(s->config.sched, s->purge_work, SCHED_NOW);
	return op->ans->status = st;
}

enum status sys_tune_read_op(struct op *op)
{
	const struct sys *s = op->self;
	const struct mount *m = named(op, op->arg[0]);
	struct json_writer w;

	if (m == NULL)
		return op->ans->status;
	json_writer_init(&w, &op->ans->data);
	json_begin_object(&w);
	json_put_int(&w, "default_lease_ttl",
	             m->default_lease_ttl_s != 0 ? m->default_lease_ttl_s
	                                         : s->config.default_lease_ttl_s);
	json_put_cstr(&w, "description", m->description);
	json_put_bool(&w, "force_no_cache", 0);
	json_put_int(&w, "max_lease_ttl",
	             m->max_lease_ttl_s != 0 ? m->max_lease_ttl_s : s->config.max_lease_ttl_s);
	put_options(&w, m);
	json_end_object(&w);
	op->ans->shape = ANSWER_DATA_TOP;
	return op->ans->status = builder_status(&op->ans->data);
}

enum status sys_tune_op(struct op *op)
{
	const struct mount *m = named(op, op->arg[0]);
	struct mount changed;
	enum status st;

	op->ans->shape = ANSWER_EMPTY;
	if (m == NULL)
		return op->ans->status;
	if (m->builtin)
		return answer_fail(op->ans, ST_INVALID, "cannot tune \"%s\"", m->path);
	changed = *m;
	st = get_lease(op, op->req->data, &changed);
	if (st == ST_OK)
		st = get_description(op, &changed);
	return st == ST_OK ? store(op, &changed) : st;
}

enum status sys_remount_op(struct op *op)
{
	const struct mount *m;
	struct mount moved;
	struct span from, to;
	char id[UUID_LEN];
	struct json_writer w;
	enum status st = request_string(op->req, "from", &from, &op->ans->err);

	if (st == ST_OK)
		st = request_string(op->req, "to", &to, &op->ans->err);
	if (st != ST_OK || from.n == 0 || to.n == 0)
		return answer_fail(op->ans, ST_INVALID,
		                   "both 'from' and 'to' path must be specified as a string");
	m = mounts_at_path(sys_world(op)->mounts, bare_path(from));
	if (m == NULL || m->builtin)
		return answer_fail(op->ans, ST_INVALID, "no mount that can be moved at %.*s",
		                   (int)from.n, (const char *)from.p);
	moved = *m;
	memset(moved.path, 0, sizeof moved.path);
	st = mount_check_path(sys_world(op)->mounts, to, m, moved.path, &op->ans->err);
	if (st == ST_OK)
		st = store(op, &moved);
	if (st != ST_OK)
		return op->ans->status = st;
	answer_warn(
	    op->ans,
	    "The mount was moved at once; the migration_id is given for clients that wait for one");
	random_uuid(op->random, id);
	json_writer_init(&w, &op->ans->data);
	json_begin_object(&w);
	json_put_string(&w, "migration_id", span_of(id, sizeof id));
	json_end_object(&w);
	op->ans->shape = ANSWER_DATA_TOP;
	return op->ans->status = builder_status(&op->ans->data);
}

enum status sys_mount_engine(struct sys *s, struct txn *t, const char *path, const char *type,
                             const char *description, struct err *err)
{
	struct request req = {.n_query = 2,
	                      .query = {{span_str("type"), span_str(type)},
	                                {span_str("description"), span_str(description)}}};
	struct answer ans;
	struct op op = {.req = &req,
	                .ans = &ans,
	                .self = s,
	                .random = s->config.random,
	                .now_ns = clock_wall_ns(s->config.clock)};
	enum status st;

	answer_init(&ans);
	view_init(&op.view, t, span_str("sys/"));
	op.arg[0] = span_str(path);
	st = sys_mount_op(&op);
	if (st != ST_OK)
		err_set(err, st, "%s", err_text(&ans.err, st));
	answer_free(&ans);
	return st;
}
