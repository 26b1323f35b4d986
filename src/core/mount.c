#include "core/mount.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct mounts {
	atomic_uint refs;
	size_t n;
	struct mount mounts[]; /* by path */
};

static struct mounts *table_new(size_t n)
{
	struct mounts *m = calloc(1, sizeof *m + n * sizeof m->mounts[0]);

	if (m != NULL)
		atomic_init(&m->refs, 1);
	return m;
}

const struct mounts *mounts_ref(const struct mounts *m)
{
	struct mounts *mine = (struct mounts *)(uintptr_t)m;

	if (m != NULL)
		atomic_fetch_add_explicit(&mine->refs, 1, memory_order_relaxed);
	return m;
}

void mounts_unref(const struct mounts **m)
{
	struct mounts *mine = (struct mounts *)(uintptr_t)*m;

	*m = NULL;
	if (mine != NULL && atomic_fetch_sub_explicit(&mine->refs, 1, memory_order_acq_rel) == 1)
		free(mine);
}

static struct span mount_path(const struct mount *m)
{
	return span_of(m->path, m->n);
}

/* Is path the mount's own ("kv", "kv/") or below it ("kv/x")? */
static bool covers(const struct mount *m, struct span path)
{
	struct span bare = span_of(m->path, m->n - 1);

	return span_starts(path, mount_path(m)) || span_eq(path, bare);
}

/*
 * No mount lies below another, so at most one covers a path, and it stands where the path with its slash would, or just before.  With the slash,
 * "kv" is sorted behind "kv-2/" as "kv/" is.
 */
static const struct mount *find(const struct mounts *m, struct span path)
{
	char slashed[PATH_MAX_LEN + 2];
	size_t lo = 0, hi = m->n;
	struct span key;

	if (path.n > PATH_MAX_LEN)
		return NULL;
	memcpy(slashed, path.p, path.n);
	slashed[path.n] = '/';
	key = span_of(slashed, path.n + 1);
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (covers(&m->mounts[mid], path))
			return &m->mounts[mid];
		if (span_cmp(mount_path(&m->mounts[mid]), key) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

const struct mount *mounts_find(const struct mounts *m, const struct path *path)
{
	return find(m, path_span(path));
}

const struct mount *mounts_at_path(const struct mounts *m, struct span path)
{
	const struct mount *found;

	if (path.n == 0)
		return NULL;
	found = find(m, path);
	if (found == NULL || path.n + (path.p[path.n - 1] == '/' ? 0u : 1u) != found->n)
		return NULL;
	return found;
}

size_t mounts_count(const struct mounts *m)
{
	return m->n;
}

const struct mount *mounts_at(const struct mounts *m, size_t i)
{
	MUST(i < m->n);
	return &m->mounts[i];
}

const struct mount *mounts_by_uuid(const struct mounts *m, const char *uuid)
{
	for (size_t i = 0; i < m->n; i++)
		if (strcmp(m->mounts[i].uuid, uuid) == 0)
			return &m->mounts[i];
	return NULL;
}

enum status mount_set_engine(struct mount *m, const struct engine_table *engines, struct span type)
{
	size_t slot = engine_find(engines, type);

	if (slot == engines->n)
		return ST_NOT_FOUND;
	m->engine = engines->entries[slot].engine;
	m->self = engines->entries[slot].self;
	m->slot = slot;
	return ST_OK;
}

void mount_get_facts(const struct mount *m, int64_t default_lease_ttl_s, int64_t max_lease_ttl_s,
                     struct mount_facts *ret)
{
	*ret = (struct mount_facts){
	    .path = mount_path(m),
	    .default_lease_ttl_s =
	        m->default_lease_ttl_s != 0 ? m->default_lease_ttl_s : default_lease_ttl_s,
	    .max_lease_ttl_s = m->max_lease_ttl_s != 0 ? m->max_lease_ttl_s : max_lease_ttl_s,
	};
}

static enum status reserved(struct span path, struct err *err)
{
	static const char *const own[] = {"sys/", "auth/", "cubbyhole/", "identity/", "audit/"};

	for (size_t i = 0; i < sizeof own / sizeof *own; i++)
		if (span_starts(path, span_str(own[i])))
			return err_set(err, ST_INVALID, "cannot mount \"%.*s\"", (int)path.n,
			               (const char *)path.p);
	return ST_OK;
}

enum status mount_check_path(const struct mounts *m, struct span path, const struct mount *except,
                             char ret[static MOUNT_PATH_MAX + 2], struct err *err)
{
	struct path p;
	struct span whole;
	char buf[MOUNT_PATH_MAX + 2];
	enum status st = path_parse(path, &p, err);

	if (st != ST_OK)
		return st;
	if (path.n > MOUNT_PATH_MAX)
		return err_set(err, ST_INVALID, "a mount's path has at most %d bytes",
		               MOUNT_PATH_MAX);
	if (memchr(path.p, '*', path.n) != NULL || memchr(path.p, '+', path.n) != NULL)
		return err_set(err, ST_INVALID, "a mount's path must not hold '*' or '+'");
	memcpy(buf, path.p, path.n);
	buf[path.n] = '/';
	whole = span_of(buf, path.n + (p.folder ? 0u : 1u));
	buf[whole.n] = 0;
	st = reserved(whole, err);
	if (st != ST_OK)
		return st;
	for (size_t i = 0; i < m->n; i++) {
		const struct mount *other = &m->mounts[i];

		if (other != except &&
		    (covers(other, whole) || span_starts(mount_path(other), whole)))
			return err_set(err, ST_INVALID, "path is already in use at %s",
			               other->path);
	}
	memcpy(ret, buf, whole.n + 1);
	return ST_OK;
}

/* ---- successors ---- */

static unsigned count_segments(struct span path)
{
	unsigned n = 0;

	for (size_t i = 0; i < path.n; i++)
		n += path.p[i] == '/' ? 1 : 0;
	return n;
}

/* The table with `put` (NULL: nothing) in place of the one with this uuid. */
static enum status successor(const struct mounts *m, const char *uuid, const struct mount *put,
                             const struct mounts **ret)
{
	struct mounts *new = table_new(m->n + 1);
	bool placed = put == NULL;

	if (new == NULL)
		return ST_NOMEM;
	for (size_t i = 0; i < m->n; i++) {
		const struct mount *at = &m->mounts[i];

		if (strcmp(at->uuid, uuid) == 0)
			continue;
		if (!placed && span_cmp(mount_path(put), mount_path(at)) < 0) {
			new->mounts[new->n++] = *put;
			placed = true;
		}
		new->mounts[new->n++] = *at;
	}
	if (!placed)
		new->mounts[new->n++] = *put;
	*ret = new;
	return ST_OK;
}

/* ---- records ---- */

static enum status put_record(const struct view *view, const struct mount *m, struct err *err)
{
	struct builder b = {0};
	struct json_writer w;
	enum status st;

	json_writer_init(&w, &b);
	json_begin_object(&w);
	json_put_cstr(&w, "path", m->path);
	json_put_cstr(&w, "type", m->engine->type);
	json_put_cstr(&w, "accessor", m->accessor);
	json_put_cstr(&w, "description", m->description);
	json_put_cstr(&w, "version", m->version);
	json_put_int(&w, "default_lease_ttl", m->default_lease_ttl_s);
	json_put_int(&w, "max_lease_ttl", m->max_lease_ttl_s);
	json_end_object(&w);
	st = builder_status(&b);
	if (st == ST_OK)
		st = view_put(view, span_str(m->uuid), builder_span(&b), err);
	builder_free(&b);
	return st;
}

static enum status member_text(const struct json_value *o, const char *name, char *buf, size_t cap)
{
	const struct json_value *v = json_member(o, name);

	if (v == NULL || v->type != JSON_STRING)
		return ST_CORRUPT;
	return span_cstr(v->text, buf, cap);
}

static enum status parse_record(const struct json_value *o, const struct engine_table *engines,
                                struct mount *m)
{
	char type[32];

	if (member_text(o, "path", m->path, sizeof m->path) != ST_OK ||
	    member_text(o, "type", type, sizeof type) != ST_OK ||
	    member_text(o, "accessor", m->accessor, sizeof m->accessor) != ST_OK ||
	    member_text(o, "description", m->description, sizeof m->description) != ST_OK ||
	    member_text(o, "version", m->version, sizeof m->version) != ST_OK ||
	    json_member(o, "default_lease_ttl") == NULL ||
	    json_member(o, "max_lease_ttl") == NULL ||
	    json_i64(json_member(o, "default_lease_ttl"), &m->default_lease_ttl_s) != ST_OK ||
	    json_i64(json_member(o, "max_lease_ttl"), &m->max_lease_ttl_s) != ST_OK)
		return ST_CORRUPT;
	m->n = strlen(m->path);
	if (mount_set_engine(m, engines, span_str(type)) != ST_OK || m->n < 2 ||
	    m->path[m->n - 1] != '/')
		return ST_CORRUPT;
	m->segments = count_segments(mount_path(m));
	return ST_OK;
}

static void set_prefix(struct mount *m)
{
	struct builder b;

	builder_init_fixed(&b, m->prefix, sizeof m->prefix - 1);
	builder_fmt(&b, "logical/%s/", m->uuid);
	MUST(builder_status(&b) == ST_OK);
}

struct loading {
	const struct view *view;
	const struct engine_table *engines;
	const struct mounts *table;
	struct err *err;
};

static enum status load_one(struct loading *l, struct mount *m)
{
	char path[MOUNT_PATH_MAX + 2];
	struct json doc;
	struct span record;
	uint8_t *copy;
	enum status st = view_get(l->view, span_str(m->uuid), &record, l->err);

	if (st != ST_OK)
		return st;
	copy = view_alloc(l->view, record.n + 1);
	if (copy == NULL)
		return ST_NOMEM;
	memcpy(copy, record.p, record.n);
	json_init(&doc);
	st = json_parse(&doc, copy, record.n, NULL, l->err);
	if (st == ST_OK)
		st = parse_record(json_root(&doc), l->engines, m);
	json_free(&doc);
	/* An old record put back may stand where another mount is now. */
	if (st == ST_OK)
		st = mount_check_path(l->table, mount_path(m), NULL, path, l->err);
	return st;
}

/* The storage may hold names that we never made. */
static enum status load_visit(void *arg, struct span name)
{
	struct loading *l = arg;
	const struct mounts *next;
	struct mount m = {0};
	enum status st = name.n == UUID_LEN ? span_cstr(name, m.uuid, sizeof m.uuid) : ST_CORRUPT;

	if (st == ST_OK)
		st = load_one(l, &m);
	if (st == ST_NOMEM || st == ST_IO)
		return st;
	if (st != ST_OK)
		return err_set(l->err, ST_CORRUPT, "the record of mount %.*s is damaged",
		               (int)name.n, (const char *)name.p);
	set_prefix(&m);
	st = successor(l->table, m.uuid, &m, &next);
	if (st != ST_OK)
		return st;
	mounts_unref(&l->table);
	l->table = next;
	return ST_OK;
}

static enum status add_builtin(const struct mounts **table, const struct mount_builtin *b)
{
	struct mount m = {
	    .engine = b->engine, .self = b->self, .slot = ENGINES_MAX, .builtin = true};
	const struct mounts *next;
	struct builder text;
	enum status st;

	m.n = strlen(b->path);
	MUST(m.n < sizeof m.path && strlen(b->prefix) < sizeof m.prefix &&
	     strlen(b->description) < sizeof m.description);
	memcpy(m.path, b->path, m.n);
	memcpy(m.prefix, b->prefix, strlen(b->prefix));
	memcpy(m.description, b->description, strlen(b->description));
	m.segments = count_segments(mount_path(&m));
	builder_init_fixed(&text, m.uuid, sizeof m.uuid - 1);
	builder_fmt(&text, "builtin-%s", b->engine->type);
	builder_init_fixed(&text, m.accessor, sizeof m.accessor - 1);
	builder_fmt(&text, "%s_builtin", b->engine->type);
	st = successor(*table, m.uuid, &m, &next);
	if (st != ST_OK)
		return st;
	mounts_unref(table);
	*table = next;
	return ST_OK;
}

enum status mounts_load(const struct view *view, const struct engine_table *engines,
                        const struct mount_builtin *builtin, size_t n, const struct mounts **ret,
                        struct err *err)
{
	struct loading l = {.view = view, .engines = engines, .table = table_new(0), .err = err};
	enum status st = l.table == NULL ? ST_NOMEM : ST_OK;

	for (size_t i = 0; st == ST_OK && i < n; i++)
		st = add_builtin(&l.table, &builtin[i]);
	if (st == ST_OK)
		st = view_list(view, span_of(NULL, 0), span_of(NULL, 0), 0, load_visit, &l, err);
	if (st != ST_OK) {
		mounts_unref(&l.table);
		return st == ST_NOMEM ? err_set(err, st, "no memory for the mounts") : st;
	}
	*ret = l.table;
	return ST_OK;
}

enum status mounts_put(const struct mounts *m, const struct view *view, const struct mount *mount,
                       const struct mounts **ret, struct err *err)
{
	struct mount own = *mount;
	enum status st;

	own.n = strlen(own.path);
	own.segments = count_segments(mount_path(&own));
	set_prefix(&own);
	st = put_record(view, &own, err);
	return st == ST_OK ? successor(m, own.uuid, &own, ret) : st;
}

enum status mounts_remove(const struct mounts *m, const struct view *view,
                          const struct mount *mount, const struct mounts **ret, struct err *err)
{
	enum status st = view_delete(view, span_str(mount->uuid), err);

	return st == ST_OK ? successor(m, mount->uuid, NULL, ret) : st;
}
