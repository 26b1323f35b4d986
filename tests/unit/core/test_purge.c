/* Purging: marks, slices, that nothing beside what is marked goes, and that a restart in the middle loses nothing of the work. */
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

static struct solo solo;

static int before_each(void **state)
{
	(void)state;
	solo_init(&solo, 1);
	solo_start(&solo);
	solo_open(&solo);
	return 0;
}

static int after_each(void **state)
{
	(void)state;
	solo_free(&solo);
	return 0;
}

static enum status put_fn(void *arg, struct txn *t, struct err *err)
{
	return txn_put(t, span_str(arg), span_str("value"), err);
}

static void put(const char *path)
{
	char own[256];

	(void)snprintf(own, sizeof own, "%s", path);
	assert_int_equal(solo_write(&solo, put_fn, own, NULL), ST_OK);
}

static enum status exists_fn(void *arg, struct txn *t, struct err *err)
{
	return txn_exists(t, span_str(arg), err);
}

static bool is_there(const char *path)
{
	char own[256];

	(void)snprintf(own, sizeof own, "%s", path);
	return solo_write(&solo, exists_fn, own, NULL) == ST_OK;
}

static enum status mark_fn(void *arg, struct txn *t, struct err *err)
{
	return purge_prefix(t, span_str(arg), err);
}

static void mark(const char *prefix)
{
	char own[256];

	(void)snprintf(own, sizeof own, "%s", prefix);
	assert_int_equal(solo_write(&solo, mark_fn, own, NULL), ST_OK);
}

static enum status pending_fn(void *arg, struct txn *t, struct err *err)
{
	(void)arg;
	return purge_pending(t, err);
}

static bool pending(void)
{
	return solo_write(&solo, pending_fn, NULL, NULL) == ST_OK;
}

struct slice {
	size_t most, n;
};

static enum status slice_fn(void *arg, struct txn *t, struct err *err)
{
	struct slice *s = arg;

	return purge_slice(t, s->most, &s->n, err);
}

static enum status slice(size_t most, size_t *ret_n)
{
	struct slice s = {most, SIZE_MAX};
	enum status st = solo_write(&solo, slice_fn, &s, NULL);

	if (st == ST_OK && ret_n != NULL)
		*ret_n = s.n;
	if (st != ST_OK)
		assert_int_equal(s.n, SIZE_MAX);
	return st;
}

/* Until nothing is marked; how many slices that took. */
static size_t purge_all(size_t most)
{
	size_t slices = 0;

	while (slice(most, NULL) == ST_OK)
		assert_true(++slices < 10000);
	assert_false(pending());
	return slices;
}

static void without_a_mark_there_is_nothing_to_do(void **state)
{
	(void)state;
	put("logical/a/x");
	assert_false(pending());
	assert_int_equal(slice(10, NULL), ST_NOT_FOUND);
	assert_true(is_there("logical/a/x"));
}

static void neighbours_stay(void **state)
{
	static const char *const goes[] = {"logical/b/x", "logical/b/x/y/z", "logical/b/ ",
	                                   "logical/b/\x7f"};
	static const char *const stays[] = {"logical/a/x", "logical/b",    "logical/b-/x",
	                                    "logical/b0",  "logical/bb/x", "logical/c/x",
	                                    "logical/B/x", "sys/token/x"};

	(void)state;
	for (size_t i = 0; i < sizeof goes / sizeof *goes; i++)
		put(goes[i]);
	for (size_t i = 0; i < sizeof stays / sizeof *stays; i++)
		put(stays[i]);
	mark("logical/b/");
	assert_true(pending());
	purge_all(100);
	for (size_t i = 0; i < sizeof goes / sizeof *goes; i++)
		assert_false(is_there(goes[i]));
	for (size_t i = 0; i < sizeof stays / sizeof *stays; i++)
		assert_true(is_there(stays[i]));
}

static void slices_are_small_and_add_up(void **state)
{
	char path[64];
	size_t n, sum = 0, slices = 0;

	(void)state;
	for (unsigned i = 0; i < 100; i++) {
		(void)snprintf(path, sizeof path, "logical/b/%u", i);
		put(path);
	}
	mark("logical/b/");
	while (slice(7, &n) == ST_OK) {
		assert_true(n <= 7);
		sum += n;
		slices++;
	}
	assert_int_equal(sum, 100);
	assert_true(slices >= 15);
	assert_false(pending());
}

/* The mark is of the store: a new writer over the same store goes on where the last one stopped. */
static enum status reopen_fn(void *arg, struct txn *t, struct err *err)
{
	static const uint8_t key[TERM_KEY_LEN] = "a key of the tests, not of a use";
	struct secret *k;
	enum status st;

	(void)arg;
	(void)t;
	assert_int_equal(secret_from(span_of(key, sizeof key), &k), ST_OK);
	st = writer_open(solo.writer, k, k, solo_load, NULL, err);
	secret_free(&k);
	return st;
}

static void a_restart_loses_nothing_of_the_work(void **state)
{
	char path[64];

	(void)state;
	for (unsigned i = 0; i < 20; i++) {
		(void)snprintf(path, sizeof path, "logical/b/%02u", i);
		put(path);
	}
	mark("logical/b/");
	mark("logical/c/");
	assert_int_equal(slice(5, NULL), ST_OK);
	solo_restart(&solo);
	solo_start(&solo);
	assert_int_equal(solo_control(&solo, reopen_fn, NULL, NULL), ST_OK);
	assert_true(pending());
	assert_false(is_there("logical/b/04"));
	assert_true(is_there("logical/b/05"));
	put("logical/c/late");
	purge_all(5);
	assert_false(is_there("logical/b/19"));
	assert_false(is_there("logical/c/late"));
}

static void one_mark_twice_is_one(void **state)
{
	(void)state;
	put("logical/b/x");
	mark("logical/b/");
	mark("logical/b/");
	purge_all(100);
	put("logical/b/x");
	assert_int_equal(slice(100, NULL), ST_NOT_FOUND);
	assert_true(is_there("logical/b/x"));
}

static void a_mark_of_no_known_kind_is_taken_away(void **state)
{
	(void)state;
	put("logical/b/x");
	put("sys/purge/odd/thing");
	put("sys/purge/token/short");
	put("sys/purge/tokens");
	mark("logical/b/");
	purge_all(10);
	assert_false(is_there("logical/b/x"));
	assert_false(is_there("sys/purge/odd/thing"));
	assert_false(is_there("sys/purge/token/short"));
}

/* ---- tokens ---- */

static void hash_of(unsigned n, char ret[static TOKEN_HASH_LEN + 1])
{
	(void)snprintf(ret, TOKEN_HASH_LEN + 1, "%064x", n);
}

struct make {
	unsigned n, parent; /* 0: none */
};

static struct token_key *key;
static char made[1000][TOKEN_HASH_LEN + 1];

static enum status make_fn(void *arg, struct txn *t, struct err *err)
{
	const struct make *m = arg;
	struct token token = {.display_name = span_str("t"), .path = span_str("p")};
	char text[129] = "";
	struct view v;
	enum status st;

	view_init(&v, t, span_str(TOKEN_PREFIX));
	if (m->parent != 0)
		memcpy(token.parent, made[m->parent], TOKEN_HASH_LEN);
	st = token_create(&v, key, &solo.random.random, &token, text, err);
	memcpy(made[m->n], token.hash, sizeof token.hash);
	return st;
}

static void make(unsigned n, unsigned parent)
{
	struct make m = {n, parent};

	assert_int_equal(solo_write(&solo, make_fn, &m, NULL), ST_OK);
}

static enum status revoke_fn(void *arg, struct txn *t, struct err *err)
{
	struct view v;

	view_init(&v, t, span_str(TOKEN_PREFIX));
	return token_revoke(&v, arg, err);
}

static bool token_there(unsigned n)
{
	char path[128];

	(void)snprintf(path, sizeof path, "sys/token/id/%s", made[n]);
	return is_there(path);
}

static int before_tokens(void **state)
{
	before_each(state);
	return token_key_new(span_str("a salt"), &key) == ST_OK ? 0 : -1;
}

static int after_tokens(void **state)
{
	token_key_unref(&key);
	return after_each(state);
}

/* 1 with 300 children, each with one of its own; 700 is nobody's child. */
static void a_family_goes_in_slices(void **state)
{
	char path[160];
	size_t left = 0;

	(void)state;
	make(1, 0);
	make(700, 0);
	for (unsigned i = 0; i < 300; i++) {
		make(2 + i, 1);
		make(302 + i, 2 + i);
	}
	(void)snprintf(path, sizeof path, "logical/cubbyhole/%s/deep/secret", made[302]);
	put(path);
	assert_int_equal(solo_write(&solo, revoke_fn, made[1], NULL), ST_OK);
	assert_false(token_there(1));
	assert_true(token_there(2)); /* its record; it is dead, as its parent is gone */
	assert_true(purge_all(64) > 20);
	for (unsigned i = 1; i < 602; i++)
		left += token_there(i);
	assert_int_equal(left, 0);
	assert_false(is_there(path));
	assert_true(token_there(700));
}

static void cubbyholes_of_others_stay(void **state)
{
	char mine[160], yours[160];

	(void)state;
	make(1, 0);
	make(2, 0);
	(void)snprintf(mine, sizeof mine, "logical/cubbyhole/%s/a", made[1]);
	(void)snprintf(yours, sizeof yours, "logical/cubbyhole/%s/a", made[2]);
	put(mine);
	put(yours);
	assert_int_equal(solo_write(&solo, revoke_fn, made[1], NULL), ST_OK);
	purge_all(100);
	assert_false(is_there(mine));
	assert_true(is_there(yours));
}

static void a_link_without_its_child_is_no_obstacle(void **state)
{
	char link[160];

	(void)state;
	make(1, 0);
	hash_of(5, made[5]);
	(void)snprintf(link, sizeof link, "sys/token/child/%s/%s", made[1], made[5]);
	put(link);
	assert_int_equal(solo_write(&solo, revoke_fn, made[1], NULL), ST_OK);
	purge_all(100);
	assert_false(is_there(link));
}

static enum status token_pending_fn(void *arg, struct txn *t, struct err *err)
{
	return purge_token_pending(t, arg, err);
}

static void one_can_ask_for_one_token(void **state)
{
	(void)state;
	make(1, 0);
	make(2, 0);
	assert_int_equal(solo_write(&solo, token_pending_fn, made[1], NULL), ST_NOT_FOUND);
	assert_int_equal(solo_write(&solo, revoke_fn, made[1], NULL), ST_OK);
	assert_int_equal(solo_write(&solo, token_pending_fn, made[1], NULL), ST_OK);
	assert_int_equal(solo_write(&solo, token_pending_fn, made[2], NULL), ST_NOT_FOUND);
	purge_all(1);
	assert_int_equal(solo_write(&solo, token_pending_fn, made[1], NULL), ST_NOT_FOUND);
}

#define CASE(name)       cmocka_unit_test_setup_teardown(name, before_each, after_each)
#define TOKEN_CASE(name) cmocka_unit_test_setup_teardown(name, before_tokens, after_tokens)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(without_a_mark_there_is_nothing_to_do),
	    CASE(neighbours_stay),
	    CASE(slices_are_small_and_add_up),
	    CASE(a_restart_loses_nothing_of_the_work),
	    CASE(one_mark_twice_is_one),
	    CASE(a_mark_of_no_known_kind_is_taken_away),
	    TOKEN_CASE(a_family_goes_in_slices),
	    TOKEN_CASE(cubbyholes_of_others_stay),
	    TOKEN_CASE(a_link_without_its_child_is_no_obstacle),
	    TOKEN_CASE(one_can_ask_for_one_token),
	};

	return cmocka_run_group_tests(tests, solo_process, NULL);
}
