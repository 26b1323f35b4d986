/* The memory of callers: when what is remembered holds and when it is looked up anew. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "core/token_cache.h"
#include "lib/solo.h"

#define NOW (INT64_C(1000000) * NS_PER_S)

static struct solo solo;
static struct token_key *key;

/* What a case works with: a transaction whose world it can change, and a cache. */
struct desk {
	struct txn *t;
	struct view tokens, policies;
	struct token_cache *cache;
	struct err *err;
};

static void (*body)(struct desk *d);

/* A successor of the world, handed to the transaction after change(w). */
static void set_world(struct desk *d, void (*change)(struct core_world *w, struct desk *d))
{
	const struct core_world *now = world_core(txn_world(d->t));
	struct core_world *w;

	assert_int_equal(world_copy(now, &w), ST_OK);
	change(w, d);
	assert_int_equal(txn_set_world(d->t, &w->base), ST_OK);
	world_drop(&w);
}

static void first_world(struct desk *d)
{
	struct core_world *w;

	assert_int_equal(world_copy(NULL, &w), ST_OK);
	w->token_key = token_key_ref(key);
	w->token_gen = world_generation();
	w->policy_gen = world_generation();
	assert_int_equal(policy_table_load(&d->policies, &w->policies, d->err), ST_OK);
	assert_int_equal(txn_set_world(d->t, &w->base), ST_OK);
	world_drop(&w);
}

static enum status body_fn(void *arg, struct txn *t, struct err *err)
{
	struct desk d = {.t = t, .err = err};

	(void)arg;
	view_init(&d.tokens, t, span_str(TOKEN_PREFIX));
	view_init(&d.policies, t, span_str("sys/policy/"));
	assert_int_equal(token_cache_new(&d.cache), ST_OK);
	first_world(&d);
	body(&d);
	token_cache_free(&d.cache);
	assert_null(d.cache);
	return ST_IO; /* undone: the world of this test is no other's */
}

static void in_transaction(void (*fn)(struct desk *d))
{
	body = fn;
	assert_int_equal(token_key_new(span_str("the salt of this test"), &key), ST_OK);
	solo_init(&solo, 5);
	solo_start(&solo);
	solo_open(&solo);
	assert_int_equal(solo_write(&solo, body_fn, NULL, NULL), ST_IO);
	solo_free(&solo);
	token_key_unref(&key);
}

#define CASE(name)                               \
	static void name##_body(struct desk *d); \
	static void name(void **state)           \
	{                                        \
		(void)state;                     \
		in_transaction(name##_body);     \
	}                                        \
	static void name##_body(struct desk *d)

static void raise_tokens(struct core_world *w, struct desk *d)
{
	(void)d;
	w->token_gen = world_generation();
}

static const char *policy_text;

static void write_policy(struct core_world *w, struct desk *d)
{
	const struct policy_table *next;

	assert_int_equal(policy_table_put(w->policies, &d->policies, span_str("p"),
	                                  span_str(policy_text), NOW, &next, d->err),
	                 ST_OK);
	policy_table_unref(&w->policies);
	w->policies = next;
	w->policy_gen = world_generation();
}

static void make(struct desk *d, const char *id, int64_t expire_ns, const char *policy,
                 const char *parent)
{
	struct token t = {.created_ns = NOW,
	                  .expire_ns = expire_ns,
	                  .display_name = span_str("token"),
	                  .path = span_str("p"),
	                  .policies = {span_str(policy)},
	                  .n_policies = 1};
	char text[129] = "";

	memcpy(text, id, strlen(id));
	if (parent != NULL)
		token_hash(key, span_str(parent), t.parent);
	assert_int_equal(token_create(&d->tokens, key, &solo.random.random, &t, text, d->err),
	                 ST_OK);
}

static const struct known *get(struct desk *d, const char *id, int64_t now_ns)
{
	const struct known *k = NULL;
	enum status st = token_cache_get(d->cache, d->t, span_str(id), now_ns, &k, d->err);

	assert_true(st == ST_OK || st == ST_NOT_FOUND);
	assert_int_equal(st == ST_OK, k != NULL);
	return k;
}

static bool may_read(const struct known *k, const char *path)
{
	struct acl_verdict v;

	acl_check(k->acl, span_str(path), CAP_READ, NULL, &v);
	return v.allowed;
}

CASE(nobody_is_nobody)
{
	make(d, "me", 0, "p", NULL);
	assert_null(get(d, "you", NOW));
	assert_null(get(d, "", NOW));
	assert_null(get(d, "ME", NOW));
	assert_non_null(get(d, "me", NOW));
	assert_null(get(d, "you", NOW));
}

CASE(who_is_made_later_is_found)
{
	assert_null(get(d, "me", NOW));
	make(d, "me", 0, "p", NULL);
	assert_non_null(get(d, "me", NOW));
}

/* Remembered: the record is not read again while nothing says that it changed. */
CASE(what_is_known_is_not_looked_up)
{
	char path[80] = "id/";
	const struct known *k, *again;

	make(d, "me", 0, "root", NULL);
	k = get(d, "me", NOW);
	token_hash(key, span_str("me"), path + 3);
	assert_int_equal(view_delete(&d->tokens, span_str(path), d->err), ST_OK);
	again = get(d, "me", NOW + 5);
	assert_ptr_equal(again, k);
	token_cache_drop(d->cache);
	assert_null(get(d, "me", NOW));
}

CASE(a_revocation_ends_what_is_known)
{
	char hash[TOKEN_HASH_LEN + 1];

	make(d, "me", 0, "p", NULL);
	make(d, "child", 0, "p", "me");
	assert_non_null(get(d, "me", NOW));
	assert_non_null(get(d, "child", NOW));
	token_hash(key, span_str("me"), hash);
	assert_int_equal(token_revoke(&d->tokens, hash, d->err), ST_OK);
	set_world(d, raise_tokens);
	assert_null(get(d, "me", NOW));
	assert_null(get(d, "child", NOW));
}

CASE(a_policy_changes_the_rights_of_who_is_known)
{
	const struct known *k;

	make(d, "me", 0, "p", NULL);
	k = get(d, "me", NOW);
	assert_false(may_read(k, "a"));
	policy_text = "path \"a\" { policy = \"read\" }";
	set_world(d, write_policy);
	k = get(d, "me", NOW);
	assert_true(may_read(k, "a"));
	policy_text = "path \"b\" { policy = \"read\" }";
	set_world(d, write_policy);
	k = get(d, "me", NOW);
	assert_false(may_read(k, "a"));
	assert_true(may_read(k, "b"));
}

CASE(known_only_until_it_ends)
{
	make(d, "me", NOW + 10, "p", NULL);
	assert_non_null(get(d, "me", NOW));
	assert_non_null(get(d, "me", NOW + 9));
	assert_null(get(d, "me", NOW + 10));
	assert_null(get(d, "me", INT64_MAX));
}

CASE(known_only_until_an_ancestor_ends)
{
	make(d, "a", NOW + 10, "p", NULL);
	make(d, "b", NOW + 50, "p", "a");
	make(d, "c", 0, "p", "b");
	assert_int_equal(get(d, "c", NOW)->until_ns, NOW + 10);
	assert_non_null(get(d, "c", NOW + 9));
	assert_null(get(d, "c", NOW + 10));
}

CASE(known_only_until_a_stanza_expires)
{
	const struct known *k;

	policy_text =
	    "path \"a\" { capabilities = [\"read\"] expiration = \"1970-01-12T13:46:50Z\" }"
	    "\npath \"b\" { capabilities = [\"read\"] }";
	set_world(d, write_policy); /* NOW is 1970-01-12T13:46:40Z */
	make(d, "me", 0, "p", NULL);
	k = get(d, "me", NOW);
	assert_true(may_read(k, "a"));
	k = get(d, "me", NOW + 9 * NS_PER_S);
	assert_true(may_read(k, "a"));
	k = get(d, "me", NOW + 10 * NS_PER_S);
	assert_false(may_read(k, "a"));
	assert_true(may_read(k, "b"));
}

/* More callers than places: those who share one drive each other out, and none gets another's rights. */
CASE(many_callers)
{
	char id[16], policy[16];

	for (unsigned i = 0; i < 1500; i++) {
		(void)snprintf(id, sizeof id, "id%u", i);
		(void)snprintf(policy, sizeof policy, "p%u", i);
		make(d, id, 0, policy, NULL);
	}
	for (unsigned turn = 0; turn < 2; turn++)
		for (unsigned i = 0; i < 1500; i++) {
			const struct known *k;

			(void)snprintf(id, sizeof id, "id%u", i);
			(void)snprintf(policy, sizeof policy, "p%u", i);
			k = get(d, id, NOW);
			assert_non_null(k);
			assert_true(span_eq_str(k->token.policies[0], policy));
		}
}

CASE(root_needs_no_policy_and_a_missing_one_grants_nothing)
{
	const struct known *k;
	struct acl_verdict v;

	make(d, "boss", 0, "root", NULL);
	make(d, "other", 0, "Root", NULL);
	make(d, "none", 0, "nosuch", NULL);
	k = get(d, "boss", NOW);
	acl_check(k->acl, span_str("sys/seal"), CAP_UPDATE, NULL, &v);
	assert_true(v.allowed && v.root && v.sudo);
	k = get(d, "other", NOW);
	acl_check(k->acl, span_str("sys/seal"), CAP_UPDATE, NULL, &v);
	assert_false(v.allowed || v.root || v.sudo);
	k = get(d, "none", NOW);
	assert_int_equal(acl_capabilities(k->acl, span_str("a")), CAP_DENY);
}

CASE(a_damaged_record_is_no_unknown_caller)
{
	char path[80] = "id/";
	const struct known *k = NULL;

	make(d, "me", 0, "p", NULL);
	token_hash(key, span_str("me"), path + 3);
	assert_int_equal(view_put(&d->tokens, span_str(path), span_str("x"), d->err), ST_OK);
	assert_int_equal(token_cache_get(d->cache, d->t, span_str("me"), NOW, &k, d->err),
	                 ST_CORRUPT);
	assert_null(k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(nobody_is_nobody),
	    cmocka_unit_test(who_is_made_later_is_found),
	    cmocka_unit_test(what_is_known_is_not_looked_up),
	    cmocka_unit_test(a_revocation_ends_what_is_known),
	    cmocka_unit_test(a_policy_changes_the_rights_of_who_is_known),
	    cmocka_unit_test(known_only_until_it_ends),
	    cmocka_unit_test(known_only_until_an_ancestor_ends),
	    cmocka_unit_test(known_only_until_a_stanza_expires),
	    cmocka_unit_test(many_callers),
	    cmocka_unit_test(root_needs_no_policy_and_a_missing_one_grants_nothing),
	    cmocka_unit_test(a_damaged_record_is_no_unknown_caller),
	};

	return cmocka_run_group_tests(tests, solo_process, NULL);
}
