/*
 * mount: the records of mounts and policies, changed and planted, and the paths that are looked up among them.
 *
 * Input: a path (a byte of length), then up to six records: a byte of folder (even: mounts, odd: policies), a name and a value.  A value
 * that begins with '{' stands as it is, any other one becomes the path of a good mount record, or the text of a good policy record.
 *   - loading is ST_OK, or ST_CORRUPT with a text;
 *   - of what is loaded no mount covers another, so that a path has one mount at most; looking a path up finds what a walk over all finds;
 *   - each policy that was loaded has its text, compiled.
 */
#include <stdlib.h>
#include <string.h>

#include "core/mount.h"
#include "core/policy_table.h"
#include "fuzz.h"
#include "lib/solo.h"

static struct solo solo;
static const struct engine engine_system = {.type = "system"}, engine_tokens = {.type = "token"};
static const struct engine_table engines = {.entries = {{&engine_kv, NULL}}, .n = 1};
static const struct mount_builtin builtin[] = {
    {"sys/", "sys/", &engine_system, NULL, "system"},
    {"auth/token/", "sys/token/", &engine_tokens, NULL, "tokens"},
    {"cubbyhole/", "logical/cubbyhole/", &engine_cubbyhole, NULL, "cubbyhole"}};

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	fuzz_process();
	solo_init(&solo, 4);
	solo_start(&solo);
	solo_open(&solo);
	return 0;
}

static void put_mount(struct builder *b, struct span path)
{
	struct json_writer w;

	json_writer_init(&w, b);
	json_begin_object(&w);
	json_put_string(&w, "path", path);
	json_put_cstr(&w, "type", "kv");
	json_put_cstr(&w, "accessor", "kv_x");
	json_put_cstr(&w, "description", "d");
	json_put_cstr(&w, "version", "1");
	json_put_int(&w, "default_lease_ttl", 0);
	json_put_int(&w, "max_lease_ttl", 0);
	json_end_object(&w);
}

static void put_policy(struct builder *b, struct span text)
{
	struct json_writer w;

	json_writer_init(&w, b);
	json_begin_object(&w);
	json_put_int(&w, "version", 1);
	json_put_int(&w, "modified_ns", 2);
	json_put_string(&w, "policy", text);
	json_end_object(&w);
}

static void put_record(struct txn *t, struct cursor *c)
{
	bool policy = fuzz_u8(c) % 2 == 1;
	struct span name = fuzz_lv(c), value = fuzz_lv(c);
	struct builder b = {0};
	struct view v;
	struct err err = {0};

	if (value.n > 0 && value.p[0] == '{')
		builder_add(&b, value);
	else if (policy)
		put_policy(&b, value);
	else
		put_mount(&b, value);
	view_init(&v, t, span_str(policy ? "sys/policy/" : "sys/mount/"));
	if (name.n > 0)
		MUST(view_put(&v, name, builder_span(&b), &err) == ST_OK);
	builder_free(&b);
}

static struct span path_of_mount(const struct mount *m)
{
	return span_of(m->path, m->n);
}

static bool covers(const struct mount *m, struct span path)
{
	return span_starts(path, path_of_mount(m)) || span_eq(path, span_of(m->path, m->n - 1));
}

static void check_lookup(const struct mounts *m, const struct path *path)
{
	const struct mount *found = mounts_find(m, path), *naive = NULL;

	for (size_t i = 0; i < mounts_count(m); i++)
		if (covers(mounts_at(m, i), path_span(path)))
			naive = mounts_at(m, i);
	MUST(found == naive);
}

static void check_mounts(const struct mounts *m, struct span text)
{
	char spelled[MOUNT_PATH_MAX + 2];
	struct path path;
	struct err err = {0};

	MUST(mounts_count(m) >= sizeof builtin / sizeof *builtin);
	for (size_t i = 0; i < mounts_count(m); i++) {
		const struct mount *a = mounts_at(m, i);

		MUST(a->n == strlen(a->path) && a->n >= 2 && a->path[a->n - 1] == '/');
		MUST(a->engine != NULL && a->prefix[strlen(a->prefix) - 1] == '/');
		MUST(mounts_at_path(m, path_of_mount(a)) == a);
		MUST(mounts_at_path(m, span_of(a->path, a->n - 1)) == a);
		for (size_t k = 0; k < mounts_count(m); k++)
			MUST(k == i || !covers(mounts_at(m, k), path_of_mount(a)));
	}
	if (path_parse(text, &path, &err) == ST_OK)
		check_lookup(m, &path);
	if (mount_check_path(m, text, NULL, spelled, &err) == ST_OK) {
		MUST(path_parse(span_str(spelled), &path, &err) == ST_OK && path.folder);
		MUST(mounts_find(m, &path) == NULL);
	}
}

static void check_policies(const struct policy_table *p)
{
	for (size_t i = 0; i < policy_table_count(p); i++) {
		const struct policy_entry *e = policy_table_at(p, i);

		MUST(policy_table_find(p, e->name) == e && e->policy != NULL);
		MUST(span_eq(policy_name(e->policy), e->name));
		MUST(i == 0 || span_cmp(policy_table_at(p, i - 1)->name, e->name) < 0);
	}
}

static enum status job(void *arg, struct txn *t, struct err *err)
{
	struct cursor *c = arg;
	struct span path = fuzz_lv(c);
	const struct mounts *m = NULL;
	const struct policy_table *p = NULL;
	struct view v;

	for (int i = 0; i < 6 && c->left > 0; i++)
		put_record(t, c);
	view_init(&v, t, span_str("sys/mount/"));
	enum status st =
	    mounts_load(&v, &engines, builtin, sizeof builtin / sizeof *builtin, &m, err);
	MUST(st == ST_OK || (st == ST_CORRUPT && m == NULL && err->text[0] != '\0'));
	if (st == ST_OK)
		check_mounts(m, path);
	mounts_unref(&m);
	*err = (struct err){0};
	view_init(&v, t, span_str("sys/policy/"));
	st = policy_table_load(&v, &p, err);
	MUST(st == ST_OK || (st == ST_CORRUPT && p == NULL && err->text[0] != '\0'));
	if (st == ST_OK)
		check_policies(p);
	policy_table_unref(&p);
	return ST_INVALID; /* drops it all */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct cursor c = cursor_of(span_of(data, n));

	MUST(solo_write(&solo, job, &c, NULL) == ST_INVALID);
	return 0;
}
