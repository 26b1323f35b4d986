/* Tokens in the store: records, parents, uses, the order in which they expire, and records that are damaged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "core/purge.h"
#include "core/token.h"
#include "lib/solo.h"

#define NOW (INT64_C(1000000) * NS_PER_S)

static struct solo solo;
static struct token_key *key;

/* Each case is one transaction of the writer; what fails in it ends the case. */
static void (*body)(struct view *v, struct err *err);

static enum status body_fn(void *arg, struct txn *t, struct err *err)
{
	struct view v;

	(void)arg;
	view_init(&v, t, span_str(TOKEN_PREFIX));
	body(&v, err);
	return ST_OK;
}

static void in_transaction(void (*fn)(struct view *v, struct err *err))
{
	body = fn;
	assert_int_equal(token_key_new(span_str("the salt of this test"), &key), ST_OK);
	solo_init(&solo, 7);
	solo_start(&solo);
	solo_open(&solo);
	assert_int_equal(solo_write(&solo, body_fn, NULL, NULL), ST_OK);
	solo_free(&solo);
	token_key_unref(&key);
}

#define CASE(name)                                                \
	static void name##_body(struct view *v, struct err *err); \
	static void name(void **state)                            \
	{                                                         \
		(void)state;                                      \
		in_transaction(name##_body);                      \
	}                                                         \
	static void name##_body(struct view *v, struct err *err)

/* A token of this parent ("": none) that ends at expire_ns (0: never); its hash into ret. */
static enum status make(struct view *v, const char *parent, int64_t expire_ns, int64_t uses,
                        const char *id, char *ret, struct err *err)
{
	struct token t = {.created_ns = NOW,
	                  .expire_ns = expire_ns,
	                  .num_uses = uses,
	                  .renewable = true,
	                  .display_name = span_str("token-me"),
	                  .path = span_str("auth/token/create"),
	                  .meta = span_str("{\"a\":\"b\"}"),
	                  .policies = {span_str("default"), span_str("other")},
	                  .n_policies = 2};
	char text[129] = "";
	enum status st;

	memcpy(t.parent, parent, strlen(parent));
	memcpy(text, id, strlen(id));
	st = token_create(v, key, &solo.random.random, &t, text, err);
	if (st == ST_OK)
		memcpy(ret, t.hash, sizeof t.hash);
	return st;
}

static enum status find(struct view *v, const char *hash, int64_t now_ns, int64_t *until,
                        struct err *err)
{
	struct token t;
	enum status st = token_find(v, hash, now_ns, &t, until, err);

	if (st == ST_OK)
		token_free(&t);
	return st;
}

static enum status there(struct view *v, const char *path, struct err *err)
{
	return view_exists(v, span_str(path), err);
}

static size_t count_records(struct view *v, const char *folder, struct err *err);

/* ---- what is stored is what comes back ---- */

CASE(everything_comes_back)
{
	struct token t, copy;
	char hash[TOKEN_HASH_LEN + 1], again[TOKEN_HASH_LEN + 1];

	assert_int_equal(make(v, "", NOW + 5, 3, "", hash, err), ST_OK);
	assert_int_equal(token_find(v, hash, NOW, &t, NULL, err), ST_OK);
	assert_string_equal(t.hash, hash);
	assert_string_equal(t.parent, "");
	assert_int_equal(strlen(t.accessor), TOKEN_ACCESSOR_LEN);
	assert_int_equal(t.created_ns, NOW);
	assert_int_equal(t.expire_ns, NOW + 5);
	assert_int_equal(t.num_uses, 3);
	assert_true(t.renewable);
	assert_false(t.orphan);
	assert_true(span_eq_str(t.display_name, "token-me"));
	assert_true(span_eq_str(t.meta, "{\"a\":\"b\"}"));
	assert_int_equal(t.n_policies, 2);
	assert_true(span_eq_str(t.policies[1], "other"));
	assert_int_equal(token_by_accessor(v, span_str(t.accessor), again, err), ST_OK);
	assert_string_equal(again, hash);
	assert_int_equal(token_copy(&t, &copy), ST_OK);
	token_free(&t);
	assert_null(t.memory);
	assert_true(span_eq_str(copy.policies[0], "default")); /* in memory of its own */
	token_free(&copy);
	token_free(&copy);
}

CASE(the_longest_of_everything)
{
	static char text[128 + 1];
	struct token t = {.created_ns = INT64_MAX,
	                  .creation_ttl_s = INT64_MAX,
	                  .ttl_s = INT64_MAX,
	                  .expire_ns = INT64_MAX,
	                  .explicit_max_ttl_s = INT64_MAX,
	                  .period_s = INT64_MAX,
	                  .num_uses = INT64_MAX,
	                  .orphan = true},
	             found;
	char id[129];
	int64_t next;

	memset(text, 'p', sizeof text - 1);
	memset(id, 'i', sizeof id - 1);
	id[128] = 0;
	for (; t.n_policies < TOKEN_POLICIES_MAX; t.n_policies++)
		t.policies[t.n_policies] = span_str(text);
	assert_int_equal(token_create(v, key, &solo.random.random, &t, id, err), ST_OK);
	assert_int_equal(token_find(v, t.hash, INT64_MAX - 1, &found, NULL, err), ST_OK);
	assert_int_equal(found.n_policies, TOKEN_POLICIES_MAX);
	assert_int_equal(found.num_uses, INT64_MAX);
	assert_int_equal(found.period_s, INT64_MAX);
	assert_true(found.orphan);
	token_free(&found);
	assert_int_equal(token_next_expiry(v, &next, err), ST_OK);
	assert_int_equal(next, INT64_MAX);
}

CASE(texts_are_new_each_time)
{
	char a[129] = "", b[129] = "";
	struct token t = {0}, u = {0};

	assert_int_equal(token_create(v, key, &solo.random.random, &t, a, err), ST_OK);
	assert_int_equal(token_create(v, key, &solo.random.random, &u, b, err), ST_OK);
	assert_int_equal(strlen(a), TOKEN_TEXT_LEN);
	assert_memory_equal(a, "s.", 2);
	assert_string_not_equal(a, b);
	assert_string_not_equal(t.accessor, u.accessor);
}

CASE(only_a_keyed_hash_names_it)
{
	struct token_key *other;
	char a[TOKEN_HASH_LEN + 1], b[TOKEN_HASH_LEN + 1], hash[TOKEN_HASH_LEN + 1];

	assert_int_equal(token_key_new(span_str("another salt"), &other), ST_OK);
	token_hash(key, span_str("chosen"), a);
	token_hash(other, span_str("chosen"), b);
	assert_string_not_equal(a, b);
	assert_int_equal(make(v, "", 0, 0, "chosen", hash, err), ST_OK);
	assert_string_equal(hash, a);
	assert_int_equal(find(v, b, NOW, NULL, err), ST_NOT_FOUND);
	token_hash(key, span_str("chosen "), b);
	assert_int_equal(find(v, b, NOW, NULL, err), ST_NOT_FOUND);
	token_hash(key, span_of(NULL, 0), b);
	assert_int_equal(find(v, b, NOW, NULL, err), ST_NOT_FOUND);
	token_key_unref(&other);
}

CASE(an_id_is_used_once)
{
	char a[TOKEN_HASH_LEN + 1], b[TOKEN_HASH_LEN + 1];
	size_t n;

	assert_int_equal(make(v, "", 0, 0, "mine", a, err), ST_OK);
	assert_int_equal(make(v, "", 0, 0, "mine", b, err), ST_EXISTS);
	assert_int_equal(token_revoke(v, a, err), ST_OK);
	assert_int_equal(make(v, "", 0, 0, "mine", b, err), ST_EXISTS); /* not purged yet */
	assert_non_null(strstr(err->text, "purged"));
	assert_int_equal(purge_slice(v->txn, 100, &n, err), ST_OK);
	assert_int_equal(make(v, "", 0, 0, "mine", b, err), ST_OK);
}

/* ---- parents ---- */

CASE(an_ancestor_that_ends_ends_all)
{
	char a[65], b[65], c[65];
	int64_t until = 0;

	assert_int_equal(make(v, "", NOW + 30, 0, "", a, err), ST_OK);
	assert_int_equal(make(v, a, NOW + 20, 0, "", b, err), ST_OK);
	assert_int_equal(make(v, b, NOW + 40, 0, "", c, err), ST_OK);
	assert_int_equal(find(v, c, NOW, &until, err), ST_OK);
	assert_int_equal(until, NOW + 20);
	assert_int_equal(find(v, a, NOW, &until, err), ST_OK);
	assert_int_equal(until, NOW + 30);
	assert_int_equal(find(v, c, NOW + 19, NULL, err), ST_OK);
	assert_int_equal(find(v, c, NOW + 20, NULL, err), ST_NOT_FOUND);
	assert_int_equal(find(v, a, NOW + 29, NULL, err), ST_OK);
	assert_int_equal(token_revoke(v, a, err), ST_OK);
	assert_int_equal(find(v, b, NOW, NULL, err), ST_NOT_FOUND);
	assert_int_equal(find(v, c, NOW, NULL, err), ST_NOT_FOUND);
	assert_int_equal(token_revoke(v, a, err), ST_NOT_FOUND);
}

CASE(who_never_ends_says_so)
{
	char a[65], b[65];
	int64_t until = 0;

	assert_int_equal(make(v, "", 0, 0, "", a, err), ST_OK);
	assert_int_equal(make(v, a, 0, 0, "", b, err), ST_OK);
	assert_int_equal(find(v, b, INT64_MAX, &until, err), ST_OK);
	assert_int_equal(until, INT64_MAX);
}

CASE(no_child_of_nobody)
{
	char hash[65], child[65] = "untouched";

	token_hash(key, span_str("nobody"), hash);
	assert_int_equal(make(v, hash, 0, 0, "", child, err), ST_DENIED);
	assert_string_equal(child, "untouched");
	assert_int_equal(count_records(v, "id/", err), 0);
}

CASE(a_line_has_an_end_and_all_of_it_works)
{
	char hash[65], next[65];
	size_t depth = 0;
	enum status st;

	assert_int_equal(make(v, "", 0, 0, "", hash, err), ST_OK);
	while ((st = make(v, hash, 0, 0, "", next, err)) == ST_OK) {
		memcpy(hash, next, sizeof hash);
		assert_int_equal(find(v, hash, NOW, NULL, err), ST_OK);
		assert_true(++depth < 1000);
	}
	assert_int_equal(st, ST_LIMIT);
	assert_int_equal(depth, 64);
}

/* ---- ending ---- */

struct counting {
	struct view *v;
	const char *folder;
	size_t n;
	struct err *err;
};

static enum status count_visit(void *arg, struct span name)
{
	struct counting *c = arg;

	(void)name;
	c->n++;
	return ST_OK;
}

static size_t count_records(struct view *v, const char *folder, struct err *err)
{
	struct counting c = {v, folder, 0, err};

	assert_int_equal(view_list(v, span_str(folder), span_of(NULL, 0), 0, count_visit, &c, err),
	                 ST_OK);
	return c.n;
}

CASE(revoking_leaves_one_mark_and_nothing_else)
{
	static const char *const folders[] = {"id/", "accessor/", "child/", "expiry/", "uses/"};
	char parent[65], hash[65];

	assert_int_equal(make(v, "", 0, 0, "", parent, err), ST_OK);
	assert_int_equal(make(v, parent, NOW + 7, 5, "", hash, err), ST_OK);
	for (size_t i = 0; i < 5; i++)
		assert_int_not_equal(count_records(v, folders[i], err), 0);
	assert_int_equal(token_revoke(v, hash, err), ST_OK);
	assert_int_equal(purge_token_pending(v->txn, hash, err), ST_OK);
	assert_int_equal(count_records(v, "id/", err), 1);
	assert_int_equal(count_records(v, "accessor/", err), 1);
	for (size_t i = 2; i < 5; i++)
		assert_int_equal(count_records(v, folders[i], err), 0);
	assert_int_equal(find(v, parent, NOW, NULL, err), ST_OK);
}

CASE(expiry_goes_in_the_order_of_time)
{
	static const int64_t at[] = {50, 10, 30, 10, 20, 0, INT64_C(1) << 40};
	char hash[7][65];
	int64_t next;
	size_t n;

	for (size_t i = 0; i < 7; i++)
		assert_int_equal(make(v, "", at[i] == 0 ? 0 : NOW + at[i], 0, "", hash[i], err),
		                 ST_OK);
	assert_int_equal(token_next_expiry(v, &next, err), ST_OK);
	assert_int_equal(next, NOW + 10);
	assert_int_equal(token_expire(v, NOW + 9, 100, &n, err), ST_OK);
	assert_int_equal(n, 0);
	assert_int_equal(token_expire(v, NOW + 10, 1, &n, err), ST_OK);
	assert_int_equal(n, 1);
	assert_int_equal(token_next_expiry(v, &next, err), ST_OK);
	assert_int_equal(next, NOW + 10);
	assert_int_equal(token_expire(v, NOW + 30, 100, &n, err), ST_OK);
	assert_int_equal(n, 3);
	assert_int_equal(token_next_expiry(v, &next, err), ST_OK);
	assert_int_equal(next, NOW + 50);
	assert_int_equal(find(v, hash[0], NOW, NULL, err), ST_OK);
	for (size_t i = 1; i < 5; i++)
		assert_int_equal(find(v, hash[i], NOW, NULL, err), ST_NOT_FOUND);
	assert_int_equal(token_expire(v, INT64_MAX, 100, &n, err), ST_OK);
	assert_int_equal(n, 2);
	assert_int_equal(find(v, hash[5], NOW, NULL, err), ST_OK);
	assert_int_equal(token_next_expiry(v, &next, err), ST_OK);
	assert_int_equal(next, INT64_MAX);
}

CASE(a_link_without_its_token_does_not_stop_expiry)
{
	char hash[65], path[160];
	size_t n;
	int64_t next;

	token_hash(key, span_str("gone"), hash);
	(void)snprintf(path, sizeof path, "expiry/%016llx/%s", (unsigned long long)(NOW - 5), hash);
	assert_int_equal(view_put(v, span_str(path), span_of(NULL, 0), err), ST_OK);
	assert_int_equal(make(v, "", NOW - 1, 0, "", hash, err), ST_OK);
	assert_int_equal(token_expire(v, NOW, 10, &n, err), ST_OK);
	assert_int_equal(n, 2);
	assert_int_equal(token_next_expiry(v, &next, err), ST_OK);
	assert_int_equal(next, INT64_MAX);
}

CASE(a_renewal_moves_the_end)
{
	struct token t, after;
	char hash[65];
	int64_t next;
	size_t n;

	assert_int_equal(make(v, "", NOW + 10, 0, "", hash, err), ST_OK);
	assert_int_equal(token_find(v, hash, NOW, &t, NULL, err), ST_OK);
	after = t;
	after.expire_ns = NOW + 90;
	after.ttl_s = 90;
	assert_int_equal(token_update(v, &t, &after, err), ST_OK);
	token_free(&t);
	assert_int_equal(token_expire(v, NOW + 89, 10, &n, err), ST_OK);
	assert_int_equal(n, 0);
	assert_int_equal(token_next_expiry(v, &next, err), ST_OK);
	assert_int_equal(next, NOW + 90);
	assert_int_equal(count_records(v, "expiry/", err), 1);
	assert_int_equal(token_find(v, hash, NOW + 89, &t, NULL, err), ST_OK);
	assert_int_equal(t.ttl_s, 90);
	assert_true(span_eq_str(t.policies[1], "other"));
	token_free(&t);
}

/* ---- uses ---- */

CASE(uses_go_down_to_nothing)
{
	struct token t;
	char hash[65];
	int64_t left;

	assert_int_equal(make(v, "", 0, 2, "", hash, err), ST_OK);
	assert_int_equal(token_find(v, hash, NOW, &t, NULL, err), ST_OK);
	assert_int_equal(token_uses(v, &t, &left, err), ST_OK);
	assert_int_equal(left, 2);
	assert_int_equal(token_use(v, &t, &left, err), ST_OK);
	assert_int_equal(left, 1);
	assert_int_equal(token_use(v, &t, &left, err), ST_OK);
	assert_int_equal(left, 0);
	left = 77;
	assert_int_equal(token_use(v, &t, &left, err), ST_NOT_FOUND);
	assert_int_equal(left, 77);
	assert_int_equal(token_uses(v, &t, &left, err), ST_OK);
	assert_int_equal(left, 0);
	token_free(&t);
}

CASE(unlimited_uses_have_no_record)
{
	struct token t;
	char hash[65];
	int64_t left = 9;

	assert_int_equal(make(v, "", 0, 0, "", hash, err), ST_OK);
	assert_int_equal(token_find(v, hash, NOW, &t, NULL, err), ST_OK);
	assert_int_equal(token_uses(v, &t, &left, err), ST_OK);
	assert_int_equal(left, 0);
	assert_int_equal(there(v, "uses/", err), ST_NOT_FOUND);
	assert_int_equal(count_records(v, "uses/", err), 0);
	token_free(&t);
}

/* ---- what is not right ---- */

CASE(odd_accessors)
{
	static const char *const odd[] = {
	    "", "x", "/", "a/b", "AAAAAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAAAAAAA"};
	char hash[65], ret[65] = "untouched";

	assert_int_equal(make(v, "", 0, 0, "", hash, err), ST_OK);
	for (size_t i = 0; i < sizeof odd / sizeof *odd; i++)
		assert_int_equal(token_by_accessor(v, span_str(odd[i]), ret, err), ST_NOT_FOUND);
	assert_int_equal(token_by_accessor(v, span_of("a\0b", 3), ret, err), ST_NOT_FOUND);
	assert_string_equal(ret, "untouched");
}

/* Cut at any byte, lengthened, or of another version: damaged, never half read. */
CASE(damaged_records)
{
	char hash[65], path[80];
	uint8_t whole[2048];
	struct span record;
	struct token t = {.num_uses = 123};
	size_t n;

	assert_int_equal(make(v, "", 0, 0, "", hash, err), ST_OK);
	(void)snprintf(path, sizeof path, "id/%s", hash);
	assert_int_equal(view_get(v, span_str(path), &record, err), ST_OK);
	n = record.n;
	assert_true(n < sizeof whole);
	memcpy(whole, record.p, n);
	whole[n] = 0;
	for (size_t cut = 0; cut <= n + 1; cut++) {
		assert_int_equal(view_put(v, span_str(path), span_of(whole, cut), err), ST_OK);
		assert_int_equal(token_find(v, hash, NOW, &t, NULL, err),
		                 cut == n ? ST_OK : ST_CORRUPT);
		if (cut == n)
			token_free(&t);
		t = (struct token){.num_uses = 123};
	}
	whole[0]++;
	assert_int_equal(view_put(v, span_str(path), span_of(whole, n), err), ST_OK);
	assert_int_equal(token_find(v, hash, NOW, &t, NULL, err), ST_CORRUPT);
	assert_int_equal(t.num_uses, 123);
	assert_non_null(strstr(err->text, "damaged"));
}

CASE(a_parent_that_is_its_own_child_is_dead)
{
	char a[65], b[65], path[80];
	struct span record;
	uint8_t whole[2048];
	size_t n;

	assert_int_equal(make(v, "", 0, 0, "", a, err), ST_OK);
	assert_int_equal(make(v, a, 0, 0, "", b, err), ST_OK);
	(void)snprintf(path, sizeof path, "id/%s", b);
	assert_int_equal(view_get(v, span_str(path), &record, err), ST_OK);
	n = record.n;
	assert_true(n < sizeof whole);
	memcpy(whole, record.p, n);
	for (size_t i = 0; i + TOKEN_HASH_LEN <= n; i++)
		if (memcmp(whole + i, a, TOKEN_HASH_LEN) == 0)
			memcpy(whole + i, b, TOKEN_HASH_LEN);
	assert_int_equal(view_put(v, span_str(path), span_of(whole, n), err), ST_OK);
	assert_int_equal(find(v, b, NOW, NULL, err), ST_NOT_FOUND);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(everything_comes_back),
	    cmocka_unit_test(the_longest_of_everything),
	    cmocka_unit_test(texts_are_new_each_time),
	    cmocka_unit_test(only_a_keyed_hash_names_it),
	    cmocka_unit_test(an_id_is_used_once),
	    cmocka_unit_test(an_ancestor_that_ends_ends_all),
	    cmocka_unit_test(who_never_ends_says_so),
	    cmocka_unit_test(no_child_of_nobody),
	    cmocka_unit_test(a_line_has_an_end_and_all_of_it_works),
	    cmocka_unit_test(revoking_leaves_one_mark_and_nothing_else),
	    cmocka_unit_test(expiry_goes_in_the_order_of_time),
	    cmocka_unit_test(a_link_without_its_token_does_not_stop_expiry),
	    cmocka_unit_test(a_renewal_moves_the_end),
	    cmocka_unit_test(uses_go_down_to_nothing),
	    cmocka_unit_test(unlimited_uses_have_no_record),
	    cmocka_unit_test(odd_accessors),
	    cmocka_unit_test(damaged_records),
	    cmocka_unit_test(a_parent_that_is_its_own_child_is_dead),
	};

	return cmocka_run_group_tests(tests, solo_process, NULL);
}
