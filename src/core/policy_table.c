#include "core/policy_table.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

const char policy_default_text[] =
    "# Allow tokens to look up their own properties\n"
    "path \"auth/token/lookup-self\" {\n    capabilities = [\"read\"]\n}\n\n"
    "# Allow tokens to renew themselves\n"
    "path \"auth/token/renew-self\" {\n    capabilities = [\"update\"]\n}\n\n"
    "# Allow tokens to revoke themselves\n"
    "path \"auth/token/revoke-self\" {\n    capabilities = [\"update\"]\n}\n\n"
    "# Allow a token to look up its own capabilities on a path\n"
    "path \"sys/capabilities-self\" {\n    capabilities = [\"update\"]\n}\n\n"
    "# Allow a token to manage its own cubbyhole\n"
    "path \"cubbyhole/*\" {\n    capabilities = [\"create\", \"read\", \"update\", \"delete\", "
    "\"list\"]\n}\n";

/* Entries are shared between tables, so they are counted themselves. */
struct entry {
	struct policy_entry public; /* first */
	atomic_uint refs;
};

struct policy_table {
	atomic_uint refs;
	size_t n;
	struct entry *entries[]; /* by name */
};

static void entry_unref(struct entry *e)
{
	if (e == NULL || atomic_fetch_sub_explicit(&e->refs, 1, memory_order_acq_rel) != 1)
		return;
	policy_unref(&e->public.policy);
	free(e->public.memory);
	free(e);
}

static enum status entry_new(struct span name, struct span text, uint64_t version,
                             int64_t modified_ns, struct entry **ret, struct err *err)
{
	struct entry *e = calloc(1, sizeof *e);
	uint8_t *memory = malloc(name.n + text.n + 1);
	enum status st = ST_NOMEM;

	if (e == NULL || memory == NULL) {
		err_set(err, st, "no memory for a policy");
		goto fail;
	}
	memcpy(memory, name.p, name.n);
	if (text.n > 0)
		memcpy(memory + name.n, text.p, text.n);
	atomic_init(&e->refs, 1);
	e->public = (struct policy_entry){
	    .name = span_of(memory, name.n),
	    .text = span_of(memory + name.n, text.n),
	    .version = version,
	    .modified_ns = modified_ns,
	    .memory = memory,
	};
	st = policy_parse(e->public.name, e->public.text, &e->public.policy, err);
	if (st != ST_OK)
		goto fail;
	*ret = e;
	return ST_OK;
fail:
	free(memory);
	free(e);
	return st;
}

static struct policy_table *table_new(size_t n)
{
	struct policy_table *t = calloc(1, sizeof *t + n * sizeof t->entries[0]);

	if (t != NULL)
		atomic_init(&t->refs, 1);
	return t;
}

const struct policy_table *policy_table_ref(const struct policy_table *t)
{
	struct policy_table *mine = (struct policy_table *)(uintptr_t)t;

	if (t != NULL)
		atomic_fetch_add_explicit(&mine->refs, 1, memory_order_relaxed);
	return t;
}

void policy_table_unref(const struct policy_table **t)
{
	struct policy_table *mine = (struct policy_table *)(uintptr_t)*t;

	*t = NULL;
	if (mine == NULL || atomic_fetch_sub_explicit(&mine->refs, 1, memory_order_acq_rel) != 1)
		return;
	for (size_t i = 0; i < mine->n; i++)
		entry_unref(mine->entries[i]);
	free(mine);
}

/* The first entry whose name is >= name. */
static size_t position(const struct policy_table *t, struct span name)
{
	size_t lo = 0, hi = t->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (span_cmp(t->entries[mid]->public.name, name) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static bool is_at(const struct policy_table *t, size_t i, struct span name)
{
	return i < t->n && span_eq(t->entries[i]->public.name, name);
}

const struct policy_entry *policy_table_find(const struct policy_table *t, struct span name)
{
	size_t i = position(t, name);

	return is_at(t, i, name) ? &t->entries[i]->public : NULL;
}

size_t policy_table_count(const struct policy_table *t)
{
	return t->n;
}

const struct policy_entry *policy_table_at(const struct policy_table *t, size_t i)
{
	MUST(i < t->n);
	return &t->entries[i]->public;
}

/* The table with `e` (taken over; NULL: nothing) in place of what has this name. */
static enum status successor(const struct policy_table *t, struct span name, struct entry *e,
                             const struct policy_table **ret)
{
	size_t at = position(t, name), gone = is_at(t, at, name) ? 1 : 0, come = e != NULL ? 1 : 0;
	struct policy_table *new = table_new(t->n - gone + come);

	if (new == NULL)
		return ST_NOMEM;
	for (size_t i = 0; i < at; i++)
		new->entries[new->n++] = t->entries[i];
	for (size_t i = at + gone; i < t->n; i++)
		new->entries[come + new->n++] = t->entries[i];
	for (size_t i = 0; i < new->n + come; i++) {
		if (come == 1 && i == at)
			continue;
		atomic_fetch_add_explicit(&new->entries[i]->refs, 1, memory_order_relaxed);
	}
	if (come == 1)
		new->entries[at] = e;
	new->n += come;
	*ret = new;
	return ST_OK;
}

/* ---- records ---- */

static enum status put_record(const struct view *view, const struct policy_entry *e,
                              struct err *err)
{
	struct builder b = {0};
	struct json_writer w;
	enum status st;

	json_writer_init(&w, &b);
	json_begin_object(&w);
	json_put_uint(&w, "version", e->version);
	json_put_int(&w, "modified_ns", e->modified_ns);
	json_put_string(&w, "policy", e->text);
	json_end_object(&w);
	st = builder_status(&b);
	if (st == ST_OK)
		st = view_put(view, e->name, builder_span(&b), err);
	builder_free(&b);
	return st;
}

static enum status load_one(const struct view *view, struct span name, struct entry **ret,
                            struct err *err)
{
	struct json doc;
	struct span record;
	const struct json_value *root, *text;
	uint64_t version;
	int64_t modified;
	uint8_t *copy;
	enum status st = view_get(view, name, &record, err);

	if (st != ST_OK)
		return st;
	json_init(&doc);
	copy = view_alloc(view, record.n + 1);
	if (copy == NULL)
		return err_set(err, ST_NOMEM, "no memory for a policy");
	memcpy(copy, record.p, record.n);
	st = json_parse(&doc, copy, record.n, NULL, err);
	root = st == ST_OK ? json_root(&doc) : NULL;
	text = json_member(root, "policy");
	if (st == ST_OK &&
	    (text == NULL || text->type != JSON_STRING || json_member(root, "version") == NULL ||
	     json_member(root, "modified_ns") == NULL ||
	     json_u64(json_member(root, "version"), &version) != ST_OK ||
	     json_i64(json_member(root, "modified_ns"), &modified) != ST_OK))
		st = ST_CORRUPT;
	if (st == ST_OK)
		st = entry_new(name, text->text, version, modified, ret, err);
	json_free(&doc);
	return st;
}

struct loading {
	const struct view *view;
	const struct policy_table *table;
	struct err *err;
};

static enum status load_visit(void *arg, struct span name)
{
	struct loading *l = arg;
	const struct policy_table *next;
	char own[POLICY_NAME_MAX + 1];
	struct entry *e;
	enum status st = span_cstr(name, own, sizeof own);

	if (st == ST_OK)
		st = load_one(l->view, span_str(own), &e, l->err);
	if (st == ST_NOMEM || st == ST_IO)
		return st;
	if (st != ST_OK) /* also what has a name that we never gave */
		return err_set(l->err, ST_CORRUPT, "the record of policy %.*s is damaged",
		               (int)name.n, (const char *)name.p);
	st = successor(l->table, e->public.name, e, &next);
	if (st != ST_OK) {
		entry_unref(e);
		return st;
	}
	policy_table_unref(&l->table);
	l->table = next;
	return ST_OK;
}

enum status policy_table_load(const struct view *view, const struct policy_table **ret,
                              struct err *err)
{
	struct loading l = {.view = view, .table = table_new(0), .err = err};
	enum status st;

	if (l.table == NULL)
		return err_set(err, ST_NOMEM, "no memory for the policies");
	st = view_list(view, span_of(NULL, 0), span_of(NULL, 0), 0, load_visit, &l, err);
	if (st != ST_OK) {
		policy_table_unref(&l.table);
		return st;
	}
	*ret = l.table;
	return ST_OK;
}

static enum status check_name(struct span name, struct err *err)
{
	if (name.n == 0 || name.n > POLICY_NAME_MAX || memchr(name.p, '/', name.n) != NULL)
		return err_set(err, ST_INVALID,
		               "a policy's name has 1 to %d characters and no slash",
		               POLICY_NAME_MAX);
	return ST_OK;
}

enum status policy_table_put(const struct policy_table *t, const struct view *view,
                             struct span name, struct span text, int64_t now_ns,
                             const struct policy_table **ret, struct err *err)
{
	const struct policy_entry *before;
	struct entry *e;
	enum status st = check_name(name, err);

	if (st != ST_OK)
		return st;
	before = policy_table_find(t, name);
	st = entry_new(name, text, before == NULL ? 1 : before->version + 1, now_ns, &e, err);
	if (st == ST_INVALID)
		return err_wrap(err, st, "failed to parse policy");
	if (st != ST_OK)
		return st;
	st = put_record(view, &e->public, err);
	if (st == ST_OK)
		st = successor(t, name, e, ret);
	if (st != ST_OK)
		entry_unref(e);
	return st;
}

enum status policy_table_remove(const struct policy_table *t, const struct view *view,
                                struct span name, const struct policy_table **ret, struct err *err)
{
	enum status st;

	if (policy_table_find(t, name) == NULL)
		return ST_NOT_FOUND;
	st = view_delete(view, name, err);
	return st == ST_OK ? successor(t, name, NULL, ret) : st;
}
