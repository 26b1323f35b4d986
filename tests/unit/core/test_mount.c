/* The table of mounts: which one covers a path (against a slow twin), where one may stand, and its records. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "core/mount.h"
#include "lib/solo.h"

static struct solo solo;

static const struct mount_builtin builtin[] = {
    {"sys/", "sys/", &engine_cubbyhole, NULL, "built in"},
    {"auth/token/", "sys/token/", &engine_kv, NULL, "built in too"},
};

static const struct engine_table engines = {.entries = {{&engine_kv, &solo}}, .n = 1};

/* Each case is one transaction of the writer. */
static void (*body)(const struct view *v, const struct mounts **m, struct err *err);

static enum status body_fn(void *arg, struct txn *t, struct err *err)
{
	const struct mounts *m;
	struct view v;

	(void)arg;
	view_init(&v, t, span_str("sys/mount/"));
	assert_int_equal(mounts_load(&v, &engines, builtin, 2, &m, err), ST_OK);
	body(&v, &m, err);
	mounts_unref(&m);
	return ST_OK;
}

static void in_transaction(void (*fn)(const struct view *v, const struct mounts **m,
                                      struct err *err))
{
	body = fn;
	solo_init(&solo, 11);
	solo_start(&solo);
	solo_open(&solo);
	assert_int_equal(solo_write(&solo, body_fn, NULL, NULL), ST_OK);
	solo_free(&solo);
}

#define CASE(name)                                                                               \
	static void name##_body(const struct view *v, const struct mounts **m, struct err *err); \
	static void name(void **state)                                                           \
	{                                                                                        \
		(void)state;                                                                     \
		in_transaction(name##_body);                                                     \
	}                                                                                        \
	static void name##_body(const struct view *v, const struct mounts **m, struct err *err)

static struct mount mount_at(const char *path)
{
	struct mount m = {.engine = &engine_kv};

	(void)snprintf(m.path, sizeof m.path, "%s", path);
	random_uuid(&solo.random.random, m.uuid);
	(void)snprintf(m.accessor, sizeof m.accessor, "kv_%.8s", m.uuid);
	return m;
}

static void put(const struct view *v, const struct mounts **m, const char *path, struct err *err)
{
	struct mount new = mount_at(path);
	const struct mounts *next;

	assert_int_equal(mounts_put(*m, v, &new, &next, err), ST_OK);
	mounts_unref(m);
	*m = next;
}

static const char *found(const struct mounts *m, const char *text)
{
	struct path path;
	const struct mount *at;

	assert_int_equal(path_parse(span_str(text), &path, NULL), ST_OK);
	at = mounts_find(m, &path);
	return at == NULL ? "" : at->path;
}

CASE(names_that_begin_alike)
{
	static const char *const paths[] = {"kv/",   "kv-2/",    "kv2/",    "k/",
	                                    "kv.x/", "kvv/a/b/", "kvv/a0/", "kvv/a./"};
	static const struct {
		const char *path, *mount;
	} cases[] = {
	    {"kv", "kv/"},
	    {"kv/", "kv/"},
	    {"kv/x", "kv/"},
	    {"kv-2", "kv-2/"},
	    {"kv-2/x", "kv-2/"},
	    {"kv2/", "kv2/"},
	    {"k", "k/"},
	    {"k/v", "k/"},
	    {"kv.x/y", "kv.x/"},
	    {"kv-", ""},
	    {"kv-22", ""},
	    {"kvv", ""},
	    {"kvv/a", ""},
	    {"kvv/a/b", "kvv/a/b/"},
	    {"kvv/a/b/c", "kvv/a/b/"},
	    {"kvv/a/bc", ""},
	    {"kvv/a0", "kvv/a0/"},
	    {"kvv/a./x", "kvv/a./"},
	    {"Kv", ""},
	    {"sys", "sys/"},
	    {"sys/x", "sys/"},
	    {"sysx", ""},
	    {"auth", ""},
	    {"auth/token", "auth/token/"},
	    {"auth/tokens", ""},
	    {"x", ""},
	};

	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
		put(v, m, paths[i], err);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		assert_string_equal(found(*m, cases[i].path), cases[i].mount);
}

/* What find should find, told the slow way. */
static const char *slowly(const struct mounts *m, const char *path)
{
	for (size_t i = 0; i < mounts_count(m); i++) {
		const struct mount *at = mounts_at(m, i);

		if (strncmp(path, at->path, at->n) == 0 ||
		    (strlen(path) == at->n - 1 && strncmp(path, at->path, at->n - 1) == 0))
			return at->path;
	}
	return "";
}

static void random_path(char *buf, unsigned most)
{
	static const char letters[] = "ab-/.0/";
	uint8_t r[16];
	size_t n = 0;

	random_fill(&solo.random.random, r, sizeof r);
	for (unsigned i = 0; i < 1 + r[15] % most; i++) {
		char c = letters[r[i] % (sizeof letters - 1)];

		if (c == '/' && (n == 0 || buf[n - 1] == '/'))
			c = 'a';
		if (c == '.')
			c = ',';
		buf[n++] = c;
	}
	buf[n] = 0;
}

CASE(as_a_slow_twin_finds)
{
	char path[20], whole[MOUNT_PATH_MAX + 2];
	size_t some = 0;

	for (unsigned i = 0; i < 200; i++) {
		random_path(path, 6);
		if (mount_check_path(*m, span_str(path), NULL, whole, err) == ST_OK)
			put(v, m, whole, err);
	}
	assert_true(mounts_count(*m) > 20);
	for (unsigned i = 0; i < 5000; i++) {
		random_path(path, 12);
		assert_string_equal(found(*m, path), slowly(*m, path));
		some += found(*m, path)[0] != 0;
	}
	assert_true(some > 500);
	for (size_t i = 1; i < mounts_count(*m); i++)
		assert_true(strcmp(mounts_at(*m, i - 1)->path, mounts_at(*m, i)->path) < 0);
}

CASE(exactly_there_or_not)
{
	put(v, m, "team/kv/", err);
	assert_non_null(mounts_at_path(*m, span_str("team/kv")));
	assert_non_null(mounts_at_path(*m, span_str("team/kv/")));
	assert_int_equal(mounts_at_path(*m, span_str("team/kv"))->segments, 2);
	assert_null(mounts_at_path(*m, span_str("team/kv/x")));
	assert_null(mounts_at_path(*m, span_str("team/kv//")));
	assert_null(mounts_at_path(*m, span_str("team")));
	assert_null(mounts_at_path(*m, span_str("team/k")));
	assert_null(mounts_at_path(*m, span_str("")));
	assert_null(mounts_at_path(*m, span_of(NULL, 0)));
	assert_null(mounts_at_path(*m, span_str("/")));
}

CASE(where_a_mount_may_stand)
{
	static const char *const good[] = {"b",  "b/",  "team2",    "team/b",     "syst", "authx",
	                                   "au", "a b", "\xc3\xa4", "cubbyholes", "x/sys"};
	static const char *const bad[] = {
	    "",        "/",          "//",        "a//b",        "/a",       ".",
	    "..",      "a/../b",     "sys",       "sys/",        "sys/x",    "auth",
	    "auth/x",  "auth/token", "cubbyhole", "cubbyhole/x", "identity", "audit/x",
	    "team/kv", "team/kv/",   "team/kv/x", "team",        "team/",    "a*",
	    "a/+/b",   "*",          "a\n",       "\x7f",        "\xff",     "a//"};
	char ret[MOUNT_PATH_MAX + 2], same[MOUNT_PATH_MAX + 2];
	char longest[MOUNT_PATH_MAX + 2];

	put(v, m, "team/kv/", err);
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		assert_int_equal(mount_check_path(*m, span_str(good[i]), NULL, ret, err), ST_OK);
		assert_int_equal(ret[strlen(ret) - 1], '/');
		assert_int_equal(strncmp(ret, good[i], strlen(good[i])), 0);
	}
	memset(ret, 'u', sizeof ret);
	memcpy(same, ret, sizeof same);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		err->text[0] = 0;
		assert_int_equal(mount_check_path(*m, span_str(bad[i]), NULL, ret, err),
		                 ST_INVALID);
		assert_int_not_equal(err->text[0], 0);
		assert_memory_equal(ret, same, sizeof same);
	}
	memset(longest, 'x', sizeof longest);
	assert_int_equal(mount_check_path(*m, span_of(longest, MOUNT_PATH_MAX), NULL, ret, err),
	                 ST_OK);
	assert_int_equal(strlen(ret), MOUNT_PATH_MAX + 1);
	assert_int_equal(mount_check_path(*m, span_of(longest, MOUNT_PATH_MAX + 1), NULL, ret, err),
	                 ST_INVALID);
	assert_int_equal(mount_check_path(*m, span_str("team/kv/below"),
	                                  mounts_at_path(*m, span_str("team/kv")), ret, err),
	                 ST_OK);
}

CASE(tables_are_never_changed)
{
	const struct mounts *old = mounts_ref(*m), *next;
	struct mount moved;

	put(v, m, "a/", err);
	assert_int_equal(mounts_count(old), 2);
	assert_int_equal(mounts_count(*m), 3);
	mounts_unref(&old);
	assert_null(old);
	old = mounts_ref(*m);
	moved = *mounts_at_path(*m, span_str("a"));
	(void)snprintf(moved.path, sizeof moved.path, "z/y/");
	assert_int_equal(mounts_put(*m, v, &moved, &next, err), ST_OK);
	assert_string_equal(found(old, "a/x"), "a/");
	assert_string_equal(found(next, "a/x"), "");
	assert_string_equal(found(next, "z/y/x"), "z/y/");
	assert_string_equal(mounts_at_path(next, span_str("z/y"))->prefix,
	                    mounts_at_path(old, span_str("a"))->prefix);
	mounts_unref(&old);
	mounts_unref(m);
	*m = next;
	assert_int_equal(mounts_remove(*m, v, mounts_at_path(*m, span_str("z/y")), &next, err),
	                 ST_OK);
	assert_int_equal(mounts_count(*m), 3);
	assert_int_equal(mounts_count(next), 2);
	mounts_unref(&next);
}

CASE(what_is_stored_comes_back)
{
	struct mount a = mount_at("team/a/");
	const struct mounts *next, *again;
	const struct mount *found_a;

	(void)snprintf(a.description, sizeof a.description, "with \"quotes\" and \xc3\xa4");
	(void)snprintf(a.version, sizeof a.version, "1");
	a.default_lease_ttl_s = 60;
	a.max_lease_ttl_s = INT64_MAX;
	assert_int_equal(mounts_put(*m, v, &a, &next, err), ST_OK);
	assert_int_equal(mounts_load(v, &engines, builtin, 2, &again, err), ST_OK);
	found_a = mounts_at_path(again, span_str("team/a"));
	assert_non_null(found_a);
	assert_string_equal(found_a->uuid, a.uuid);
	assert_string_equal(found_a->accessor, a.accessor);
	assert_string_equal(found_a->description, a.description);
	assert_string_equal(found_a->version, "1");
	assert_int_equal(found_a->default_lease_ttl_s, 60);
	assert_int_equal(found_a->max_lease_ttl_s, INT64_MAX);
	assert_ptr_equal(found_a->engine, &engine_kv);
	assert_ptr_equal(found_a->self, &solo);
	assert_int_equal(found_a->slot, 0);
	assert_int_equal(mounts_at_path(again, span_str("sys"))->slot, ENGINES_MAX);
	assert_ptr_equal(mounts_by_uuid(again, a.uuid), found_a);
	assert_null(mounts_by_uuid(again, "none"));
	assert_false(found_a->builtin);
	assert_true(mounts_at_path(again, span_str("sys"))->builtin);
	assert_string_equal(found_a->prefix, mounts_at_path(next, span_str("team/a"))->prefix);
	assert_int_equal(strncmp(found_a->prefix, "logical/", 8), 0);
	mounts_unref(&again);
	mounts_unref(&next);
}

CASE(damaged_records_are_named)
{
	static const char *const damaged[] = {
	    "",
	    "{}",
	    "[]",
	    "null",
	    "{\"path\":\"a/\"}",
	    "{\"path\":\"a/\",\"type\":\"nosuch\",\"accessor\":\"x\",\"description\":\"\","
	    "\"version\":\"\",\"default_lease_ttl\":0,\"max_lease_ttl\":0}",
	    "{\"path\":\"a\",\"type\":\"kv\",\"accessor\":\"x\",\"description\":\"\",\"version\":"
	    "\"\","
	    "\"default_lease_ttl\":0,\"max_lease_ttl\":0}",
	    "{\"path\":\"/"
	    "\",\"type\":\"kv\",\"accessor\":\"x\",\"description\":\"\",\"version\":\"\","
	    "\"default_lease_ttl\":0,\"max_lease_ttl\":0}",
	    "{\"path\":7,\"type\":\"kv\",\"accessor\":\"x\",\"description\":\"\",\"version\":\"\","
	    "\"default_lease_ttl\":0,\"max_lease_ttl\":0}",
	    "{\"path\":\"a/"
	    "\",\"type\":\"kv\",\"accessor\":\"x\",\"description\":\"\",\"version\":\"\","
	    "\"default_lease_ttl\":\"0\",\"max_lease_ttl\":0}",
	    "{\"path\":\"a/"
	    "\",\"type\":\"kv\",\"accessor\":\"x\",\"description\":\"\",\"version\":\"\","
	    "\"default_lease_ttl\":0}",
	};
	static const char uuid[] = "01234567-0123-0123-0123-0123456789ab";
	const struct mounts *again = NULL;

	(void)m;
	for (size_t i = 0; i < sizeof damaged / sizeof *damaged; i++) {
		assert_int_equal(view_put(v, span_str(uuid), span_str(damaged[i]), err), ST_OK);
		assert_int_equal(mounts_load(v, &engines, builtin, 2, &again, err), ST_CORRUPT);
		assert_non_null(strstr(err->text, uuid));
		assert_null(again);
	}
	assert_int_equal(
	    view_put(v, span_str(uuid),
	             span_str("{\"path\":\"a/\",\"type\":\"kv\",\"accessor\":\"x\",\"description\":"
	                      "\"\",\"version\":\"\",\"default_lease_ttl\":0,\"max_lease_ttl\":0}"),
	             err),
	    ST_OK);
	assert_int_equal(mounts_load(v, &engines, builtin, 2, &again, err), ST_OK);
	mounts_unref(&again);
}

static void which_engines_there_are(void **state)
{
	static const char *const others[] = {"cubbyhole", "system", "token", "KV", "", "k", "kv2"};
	struct mount m = {0};

	(void)state;
	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		assert_int_equal(mount_set_engine(&m, &engines, span_str(others[i])), ST_NOT_FOUND);
	assert_null(m.engine);
	assert_int_equal(mount_set_engine(&m, &engines, span_str("kv")), ST_OK);
	assert_ptr_equal(m.engine, &engine_kv);
	assert_ptr_equal(m.self, &solo);
	assert_int_equal(m.slot, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(names_that_begin_alike),
	    cmocka_unit_test(as_a_slow_twin_finds),
	    cmocka_unit_test(exactly_there_or_not),
	    cmocka_unit_test(where_a_mount_may_stand),
	    cmocka_unit_test(tables_are_never_changed),
	    cmocka_unit_test(what_is_stored_comes_back),
	    cmocka_unit_test(damaged_records_are_named),
	    cmocka_unit_test(which_engines_there_are),
	};

	return cmocka_run_group_tests(tests, solo_process, NULL);
}
