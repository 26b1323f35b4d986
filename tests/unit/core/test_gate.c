/*
 * The gate with a real writer: what holds within one group of writes, when a commit fails or its outcome is unknown, when the audit cannot write,
 * and when the store is sealed while requests wait.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "engine/transit.h"
#include "lib/house.h"

#define MAKER "{\"policies\":[\"maker\"]}"

static struct house *open_house(void)
{
	struct house *h = house_new(NULL);

	house_open(h);
	assert_int_equal(
	    house_ask(h, VERB_WRITE, "sys/mounts/secret", h->root, "{\"type\":\"kv\"}"), ST_OK);
	return h;
}

static enum status get(struct house *h, const char *path, const char *token)
{
	return house_ask(h, VERB_READ, path, token, NULL);
}

static enum status put(struct house *h, const char *path, const char *token)
{
	return house_ask(h, VERB_WRITE, path, token, "{\"v\":1}");
}

static bool alive(struct house *h, const char *token)
{
	return get(h, "auth/token/lookup-self", token) == ST_OK;
}

static void revoke_body(char *body, size_t cap, const char *token)
{
	(void)snprintf(body, cap, "{\"token\":\"%s\"}", token);
}

/* ---- one group ---- */

static void no_child_in_the_group_of_its_parents_end(void **state)
{
	struct house *h = open_house();
	struct house_call *end, *make;
	char token[64], body[128];

	(void)state;
	house_policy(h, "maker", "auth/token/create", "update");
	house_token(h, MAKER, token);
	revoke_body(body, sizeof body, token);
	house_hold(h);
	end = house_send(h, VERB_WRITE, "auth/token/revoke", h->root, body);
	make = house_send(h, VERB_WRITE, "auth/token/create", token, "{}");
	house_release(h);
	assert_int_equal(house_wait(h, &end), ST_OK);
	assert_int_equal(house_wait(h, &make), ST_DENIED);
	assert_string_equal(h->text, "permission denied");
	house_free(&h);
}

static void a_child_made_before_goes_with_its_parent(void **state)
{
	struct house *h = open_house();
	struct house_call *end, *make;
	char token[64], child[64], body[128];

	(void)state;
	house_policy(h, "maker", "auth/token/create", "update");
	house_token(h, MAKER, token);
	revoke_body(body, sizeof body, token);
	house_hold(h);
	make = house_send(h, VERB_WRITE, "auth/token/create", token, "{}");
	end = house_send(h, VERB_WRITE, "auth/token/revoke", h->root, body);
	house_release(h);
	assert_int_equal(house_wait(h, &make), ST_OK);
	house_member(&h->auth, "client_token", child, sizeof child);
	assert_int_equal(house_wait(h, &end), ST_OK);
	assert_false(alive(h, child));
	house_free(&h);
}

static void a_policy_holds_for_what_follows_in_its_group(void **state)
{
	struct house *h = open_house();
	struct house_call *change, *write;
	char token[64];

	(void)state;
	house_policy(h, "writer", "secret/*", "create\\\",\\\"update");
	house_token(h, "{\"policies\":[\"writer\"]}", token);
	assert_int_equal(put(h, "secret/a", token), ST_OK);
	house_hold(h);
	change = house_send(h, VERB_WRITE, "sys/policies/acl/writer", h->root,
	                    "{\"policy\":\"path \\\"x\\\" { policy = \\\"read\\\" }\"}");
	write = house_send(h, VERB_WRITE, "secret/a", token, "{\"v\":2}");
	house_release(h);
	assert_int_equal(house_wait(h, &change), ST_OK);
	assert_int_equal(house_wait(h, &write), ST_DENIED);
	house_free(&h);
}

static void create_is_told_from_update_within_a_group(void **state)
{
	struct house *h = open_house();
	struct house_call *c[3];
	char token[64];

	(void)state;
	house_policy(h, "creator", "secret/*", "create");
	house_token(h, "{\"policies\":[\"creator\"]}", token);
	house_hold(h);
	for (size_t i = 0; i < 3; i++)
		c[i] = house_send(h, VERB_WRITE, "secret/new", token, "{\"v\":1}");
	house_release(h);
	assert_int_equal(house_wait(h, &c[0]), ST_OK);
	assert_int_equal(house_wait(h, &c[1]), ST_DENIED);
	assert_int_equal(house_wait(h, &c[2]), ST_DENIED);
	house_free(&h);
}

static void an_unmounted_engine_takes_nothing_more(void **state)
{
	struct house *h = open_house();
	struct house_call *gone, *again, *late;

	(void)state;
	house_hold(h);
	gone = house_send(h, VERB_DELETE, "sys/mounts/secret", h->root, NULL);
	late = house_send(h, VERB_WRITE, "secret/a", h->root, "{\"v\":1}");
	again = house_send(h, VERB_WRITE, "sys/mounts/secret", h->root, "{\"type\":\"kv\"}");
	house_release(h);
	assert_int_equal(house_wait(h, &gone), ST_OK);
	assert_int_equal(house_wait(h, &late), ST_NO_ROUTE);
	assert_int_equal(house_wait(h, &again), ST_OK);
	house_settle(h);
	assert_int_equal(get(h, "secret/a", h->root), ST_NOT_FOUND);
	assert_int_equal(put(h, "secret/a", h->root), ST_OK);
	assert_int_equal(get(h, "secret/a", h->root), ST_OK);
	house_free(&h);
}

/* Reads of a token with limited uses run on the writer; in one group the last of them ends it. */
static void uses_are_counted_within_a_group(void **state)
{
	struct house *h = open_house();
	struct house_call *c[6];
	char token[64];
	size_t good = 0;

	(void)state;
	assert_int_equal(put(h, "secret/a", h->root), ST_OK);
	house_policy(h, "reader", "secret/*", "read");
	house_token(h, "{\"policies\":[\"reader\"],\"num_uses\":3}", token);
	house_hold(h);
	for (size_t i = 0; i < 6; i++)
		c[i] = house_send(h, i % 2 == 0 ? VERB_READ : VERB_DELETE, "secret/a", token, NULL);
	house_release(h);
	for (size_t i = 0; i < 6; i++)
		good += house_wait(h, &c[i]) == ST_OK;
	assert_int_equal(good, 2); /* read, refused, read: three uses */
	assert_int_equal(get(h, "secret/a", token), ST_DENIED);
	assert_int_equal(get(h, "secret/a", h->root), ST_OK);
	house_free(&h);
}

/* ---- commits that fail ---- */

static void a_failed_commit_fails_its_whole_group(void **state)
{
	struct house *h = open_house();
	struct house_call *write, *make, *mount;

	(void)state;
	house_hold(h);
	write = house_send(h, VERB_WRITE, "secret/a", h->root, "{\"v\":1}");
	make = house_send(h, VERB_WRITE, "auth/token/create", h->root, "{\"id\":\"mine\"}");
	mount = house_send(h, VERB_WRITE, "sys/mounts/more", h->root, "{\"type\":\"kv\"}");
	house_fail_commit(h, FAULTSTORE_NOT_DONE);
	house_release(h);
	assert_int_equal(house_wait(h, &write), ST_IO);
	assert_non_null(strstr(h->text, "durable"));
	assert_int_equal(house_wait(h, &make), ST_IO);
	assert_int_equal(h->auth.n, 1); /* the NUL: no token leaves */
	assert_int_equal(house_wait(h, &mount), ST_IO);
	assert_int_equal(get(h, "secret/a", h->root), ST_NOT_FOUND);
	assert_int_equal(get(h, "more/a", h->root), ST_NO_ROUTE);
	assert_false(alive(h, "mine"));
	assert_int_equal(put(h, "secret/a", h->root), ST_OK);
	house_free(&h);
}

static void a_failed_commit_charges_nobody(void **state)
{
	struct house *h = open_house();
	char token[64];

	(void)state;
	house_policy(h, "reader", "secret/*", "read");
	house_token(h, "{\"policies\":[\"reader\"],\"num_uses\":2}", token);
	house_fail_commit(h, FAULTSTORE_NOT_DONE);
	assert_int_equal(get(h, "secret/a", token), ST_IO);
	house_fail_commit(h, FAULTSTORE_NOT_DONE);
	assert_int_equal(get(h, "nowhere", token), ST_IO); /* refused, but not charged */
	assert_int_equal(get(h, "secret/a", token), ST_NOT_FOUND);
	assert_int_equal(get(h, "secret/a", token), ST_NOT_FOUND);
	assert_int_equal(get(h, "secret/a", token), ST_DENIED);
	house_free(&h);
}

/* A token made in a group that failed leaves no rights behind on the writer for a later one with the same id. */
static void rights_of_a_failed_group_are_forgotten(void **state)
{
	struct house *h = open_house();
	struct house_call *make, *end;

	(void)state;
	house_policy(h, "writer", "secret/*", "create\\\",\\\"update");
	assert_int_equal(house_ask(h, VERB_WRITE, "auth/token/create", h->root,
	                           "{\"id\":\"x\",\"policies\":[\"writer\"]}"),
	                 ST_OK);
	assert_int_equal(put(h, "secret/a", "x"), ST_OK);
	house_hold(h);
	end = house_send(h, VERB_WRITE, "auth/token/revoke", h->root, "{\"token\":\"x\"}");
	make = house_send(h, VERB_WRITE, "secret/b", "x", "{\"v\":1}");
	house_fail_commit(h, FAULTSTORE_NOT_DONE);
	house_release(h);
	assert_int_equal(house_wait(h, &end), ST_IO);
	assert_int_not_equal(house_wait(h, &make), ST_OK);
	assert_int_equal(put(h, "secret/a", "x"), ST_OK);
	assert_int_equal(
	    house_ask(h, VERB_WRITE, "auth/token/revoke", h->root, "{\"token\":\"x\"}"), ST_OK);
	assert_int_equal(put(h, "secret/a", "x"), ST_DENIED);
	house_free(&h);
}

static void an_unknown_outcome_is_settled_first(void **state)
{
	struct house *h = open_house();

	(void)state;
	house_fail_commit(h, FAULTSTORE_UNKNOWN_BUT_DONE);
	assert_int_equal(put(h, "secret/a", h->root), ST_OK);
	assert_int_equal(get(h, "secret/a", h->root), ST_OK);
	house_fail_commit(h, FAULTSTORE_UNKNOWN_AND_NOT_DONE);
	assert_int_equal(put(h, "secret/b", h->root), ST_IO);
	assert_int_equal(get(h, "secret/b", h->root), ST_NOT_FOUND);
	house_free(&h);
}

/* ---- what is due ---- */

static uint64_t names_below(struct house *h, const char *path)
{
	enum status st = house_ask(h, VERB_LIST, path, h->root, NULL);
	uint64_t n = 0;

	if (st == ST_NOT_FOUND)
		return 0;
	assert_int_equal(st, ST_OK);
	for (const uint8_t *p = h->data.p; *p != 0; p++)
		n += *p == ',';
	return n + 1;
}

static void expiry_is_tried_again_after_a_failed_commit(void **state)
{
	struct house *h = open_house();
	struct house_call *write;
	char token[64];
	uint64_t before = names_below(h, "auth/token/accessors");

	(void)state;
	house_token(h, "{\"policies\":[\"default\"],\"ttl\":\"10s\"}", token);
	house_settle(h);
	assert_int_equal(names_below(h, "auth/token/accessors"), before + 1);
	house_hold(h);
	write = house_send(h, VERB_WRITE, "secret/a", h->root, "{\"v\":1}");
	clock_manual_advance(&h->clock, 20 * NS_PER_S);
	house_fail_commit(h, FAULTSTORE_NOT_DONE);
	house_release(h);
	assert_int_equal(house_wait(h, &write), ST_IO); /* the group in which it expires */
	assert_false(alive(h, token));
	house_later(h, 60);
	assert_int_equal(names_below(h, "auth/token/accessors"), before);
	house_free(&h);
}

static void expiry_takes_the_children_along(void **state)
{
	struct house *h = open_house();
	char parent[64];
	uint64_t before = names_below(h, "auth/token/accessors");

	(void)state;
	house_policy(h, "maker", "auth/token/create", "update");
	house_token(h, "{\"policies\":[\"maker\"],\"ttl\":\"10s\"}", parent);
	for (size_t i = 0; i < 100; i++)
		assert_int_equal(house_ask(h, VERB_WRITE, "auth/token/create", parent, "{}"),
		                 ST_OK);
	assert_int_equal(names_below(h, "auth/token/accessors"), before + 101);
	house_later(h, 9);
	assert_true(alive(h, parent));
	house_later(h, 1);
	assert_false(alive(h, parent));
	assert_int_equal(names_below(h, "auth/token/accessors"), before);
	house_free(&h);
}

/* The clock stands still, so that the remaining second is exactly what it is. */
static void renewing_in_the_last_second_gains_nothing(void **state)
{
	struct house *h = open_house();
	char token[64];

	(void)state;
	house_token(h, "{\"policies\":[\"default\"],\"ttl\":\"5s\",\"explicit_max_ttl\":\"10s\"}",
	            token);
	clock_manual_advance(&h->clock, 4 * NS_PER_S);
	assert_int_equal(
	    house_ask(h, VERB_WRITE, "auth/token/renew-self", token, "{\"increment\":\"1h\"}"),
	    ST_OK);
	assert_non_null(strstr((char *)h->auth.p, "\"lease_duration\":6,"));
	clock_manual_advance(&h->clock, 5 * NS_PER_S + NS_PER_S / 2);
	assert_int_equal(house_ask(h, VERB_WRITE, "auth/token/renew-self", token, "{}"), ST_OK);
	clock_manual_advance(&h->clock, NS_PER_S / 2);
	assert_int_equal(house_ask(h, VERB_WRITE, "auth/token/renew-self", token, "{}"), ST_DENIED);
	assert_false(alive(h, token));
	house_free(&h);
}

static void a_renewal_never_passes_the_longest_lease(void **state)
{
	struct house *h = open_house();
	char token[64];

	(void)state;
	house_token(h, "{\"policies\":[\"default\"]}", token); /* 3600 s of at most 7200 */
	for (size_t i = 0; i < 20; i++) {
		clock_manual_advance(&h->clock, 350 * NS_PER_S);
		assert_int_equal(house_ask(h, VERB_WRITE, "auth/token/renew-self", token, "{}"),
		                 ST_OK);
	}
	assert_non_null(strstr((char *)h->auth.p, "\"lease_duration\":200,"));
	house_later(h, 199);
	assert_true(alive(h, token));
	house_later(h, 1);
	assert_false(alive(h, token));
	house_free(&h);
}

static void a_periodic_token_lives_as_long_as_it_is_renewed(void **state)
{
	struct house *h = open_house();
	char token[64];

	(void)state;
	house_token(h, "{\"policies\":[\"default\"],\"period\":\"1h\"}", token);
	for (size_t i = 0; i < 10; i++) {
		clock_manual_advance(&h->clock, 3000 * NS_PER_S);
		assert_int_equal(house_ask(h, VERB_WRITE, "auth/token/renew-self", token,
		                           "{\"increment\":\"9h\"}"),
		                 ST_OK);
		assert_non_null(strstr((char *)h->auth.p, "\"lease_duration\":3600,"));
	}
	house_later(h, 3600);
	assert_false(alive(h, token));
	house_free(&h);
}

/* ---- audit ---- */

static char audit_file[] = "/tmp/keyturn-gate-audit-XXXXXX";

static void limit_files(rlim_t most)
{
	struct rlimit limit;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = most == 0 ? 1 : limit.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* Counts lines that hold all of the texts. */
static size_t lines_with(const char *a, const char *b)
{
	char line[16384];
	size_t n = 0;
	FILE *f = fopen(audit_file, "r");

	assert_non_null(f);
	while (fgets(line, sizeof line, f) != NULL)
		n += strstr(line, a) != NULL && strstr(line, b) != NULL;
	fclose(f);
	return n;
}

static struct house *audited_house(void)
{
	struct house *h;

	assert_int_equal(truncate(audit_file, 0), 0);
	h = house_new(audit_file);
	house_open(h);
	assert_int_equal(
	    house_ask(h, VERB_WRITE, "sys/mounts/secret", h->root, "{\"type\":\"kv\"}"), ST_OK);
	return h;
}

static void what_cannot_be_audited_is_not_carried_out(void **state)
{
	struct house *h = audited_house();

	(void)state;
	limit_files(0);
	assert_int_equal(put(h, "secret/a", h->root), ST_IO);
	assert_non_null(strstr(h->text, "audited"));
	assert_int_equal(get(h, "secret/a", h->root), ST_IO);
	assert_int_equal(house_ask(h, VERB_READ, "sys/health", "", NULL), ST_OK);
	limit_files(RLIM_INFINITY);
	assert_int_equal(get(h, "secret/a", h->root), ST_NOT_FOUND);
	house_free(&h);
}

static void an_answer_that_cannot_be_audited_is_withheld(void **state)
{
	struct house *h = audited_house();
	struct house_call *write, *make;

	(void)state;
	house_hold(h);
	write = house_send(h, VERB_WRITE, "secret/a", h->root, "{\"v\":1}");
	make = house_send(h, VERB_WRITE, "auth/token/create", h->root, "{}");
	/* both requests are in the audit once the loop has handed them over */
	assert_int_equal(house_ask(h, VERB_READ, "secret/x", h->root, NULL), ST_NOT_FOUND);
	limit_files(0);
	house_release(h);
	assert_int_equal(house_wait(h, &write), ST_IO);
	assert_non_null(strstr(h->text, "the change was made"));
	assert_int_equal(house_wait(h, &make), ST_IO);
	assert_int_equal(h->auth.n, 1);
	limit_files(RLIM_INFINITY);
	assert_int_equal(get(h, "secret/a", h->root), ST_OK);
	house_free(&h);
}

/* An answer to an encryption that cannot be audited: does it say that something was made on the way?  setup: what the key is and was used for, by requests. */
static bool encrypting_says_made(const char *const setup[][2])
{
	static const struct transit_config config = {.manner = &transit_manner_vault};
	struct transit *transit;
	struct house *h;
	struct house_call *encrypt;
	char token[64];
	bool says;

	assert_int_equal(truncate(audit_file, 0), 0);
	assert_int_equal(transit_new(&config, &transit), ST_OK);
	h = house_with(&engine_transit, transit, audit_file);
	house_open(h);
	assert_int_equal(
	    house_ask(h, VERB_WRITE, "sys/mounts/t", h->root, "{\"type\":\"transit\"}"), ST_OK);
	for (size_t i = 0; setup[i][0] != NULL; i++)
		assert_int_equal(house_ask(h, VERB_WRITE, setup[i][0], h->root, setup[i][1]),
		                 ST_OK);
	/* A use of this token is written down: it is the writer that encrypts, whatever there is to make. */
	house_policy(h, "encrypter", "t/encrypt/*", "create\\\",\\\"update");
	house_token(h, "{\"policies\":[\"encrypter\"],\"num_uses\":5}", token);
	house_hold(h);
	encrypt = house_send(
	    h, VERB_WRITE, "t/encrypt/k", token,
	    "{\"batch_input\":[{\"plaintext\":\"\"},{\"plaintext\":\"\"},{\"plaintext\":\"\"}]}");
	house_flush(h);
	limit_files(0);
	house_release(h);
	assert_int_equal(house_wait(h, &encrypt), ST_IO);
	assert_non_null(strstr(h->text, "the answer could not be audited"));
	says = strstr(h->text, "the change was made") != NULL;
	limit_files(RLIM_INFINITY);
	house_free(&h);
	transit_free(&transit);
	return says;
}

static void what_encrypting_made_on_the_way_is_said(void **state)
{
	static const char *const none[][2] = {{NULL, NULL}};
	static const char *const there[][2] = {{"t/keys/k", "{}"}, {NULL, NULL}};
	static const char *const used_up[][2] = {{"t/keys/k", "{}"},
	                                         {"t/keys/k/config", "{\"max_operations\":3}"},
	                                         {"t/encrypt/k", "{\"plaintext\":\"\"}"},
	                                         {NULL, NULL}};

	(void)state;
	assert_true(encrypting_says_made(none));
	assert_true(encrypting_says_made(used_up));
	assert_false(encrypting_says_made(there));
}

static void the_shares_are_never_withheld(void **state)
{
	struct house *h;
	struct house_call *init;

	(void)state;
	assert_int_equal(truncate(audit_file, 0), 0);
	h = house_new(audit_file);
	limit_files(0);
	assert_int_equal(house_ask(h, VERB_WRITE, "sys/init", "",
	                           "{\"secret_shares\":1,\"secret_threshold\":1}"),
	                 ST_IO);
	limit_files(RLIM_INFINITY);
	assert_int_equal(house_ask(h, VERB_READ, "sys/init", "", NULL), ST_OK);
	assert_non_null(strstr((char *)h->data.p, "false"));
	house_hold(h);
	init = house_send(h, VERB_WRITE, "sys/init", "",
	                  "{\"secret_shares\":1,\"secret_threshold\":1}");
	assert_int_equal(house_ask(h, VERB_READ, "sys/init", "", NULL), ST_OK);
	limit_files(0);
	house_release(h);
	assert_int_equal(house_wait(h, &init), ST_OK);
	assert_non_null(strstr((char *)h->data.p, "root_token"));
	limit_files(RLIM_INFINITY);
	house_free(&h);
}

static void both_sides_are_in_the_audit(void **state)
{
	struct house *h = audited_house();
	char token[64];

	(void)state;
	assert_int_equal(put(h, "secret/a", h->root), ST_OK);
	assert_int_equal(lines_with("\"type\":\"request\"", "\"path\":\"secret/a\""), 1);
	assert_int_equal(lines_with("\"type\":\"response\"", "\"path\":\"secret/a\""), 1);
	assert_int_equal(lines_with("\"operation\":\"create\"", "\"path\":\"secret/a\""), 2);
	assert_int_equal(get(h, "secret/b", "wrong"), ST_DENIED);
	assert_int_equal(lines_with("permission denied", "\"path\":\"secret/b\""), 2);
	house_token(h, "{\"policies\":[\"default\"],\"num_uses\":1}", token);
	assert_int_equal(get(h, "secret/c", token), ST_DENIED);
	assert_int_equal(lines_with("permission denied", "\"path\":\"secret/c\""), 2);
	assert_int_equal(lines_with(token, ""), 0);
	assert_int_equal(lines_with(h->root, ""), 0);
	house_free(&h);
}

/* Under a rule about parameters the handler does not see the query, but the audit does. */
static void the_audit_shows_the_query_that_a_rule_hides(void **state)
{
	struct house *h = audited_house();
	char token[64];

	(void)state;
	assert_int_equal(
	    house_ask(h, VERB_WRITE, "sys/policies/acl/bound", h->root,
	              "{\"policy\":\"path \\\"auth/token/create\\\" { capabilities = "
	              "[\\\"update\\\"] denied_parameters = { \\\"num_uses\\\" = [] } }\"}"),
	    ST_OK);
	house_token(h, "{\"policies\":[\"bound\"]}", token);
	assert_int_equal(house_ask(h, VERB_WRITE, "auth/token/create?num_uses=3", token, "{}"),
	                 ST_OK);
	assert_non_null(strstr((char *)h->auth.p, "\"num_uses\":0"));
	assert_int_equal(lines_with("\"type\":\"request\"", "\"num_uses\":\"hmac-sha256:"), 1);
	assert_int_equal(lines_with("\"type\":\"response\"", "\"num_uses\":\"hmac-sha256:"), 1);
	assert_int_equal(house_ask(h, VERB_WRITE, "auth/token/create", token, "{\"num_uses\":3}"),
	                 ST_DENIED);
	house_free(&h);
}

/* ---- sealing ---- */

static void what_waits_behind_a_seal_is_told(void **state)
{
	struct house *h = audited_house();
	struct house_call *before, *seal, *after, *again, *open;
	char body[256];

	(void)state;
	(void)snprintf(body, sizeof body, "{\"key\":\"%s\"}", h->share);
	house_hold(h);
	before = house_send(h, VERB_WRITE, "secret/a", h->root, "{\"v\":1}");
	seal = house_send(h, VERB_WRITE, "sys/seal", h->root, NULL);
	again = house_send(h, VERB_WRITE, "sys/seal", h->root, NULL);
	after = house_send(h, VERB_WRITE, "secret/b", h->root, "{\"v\":1}");
	house_release(h);
	assert_int_equal(house_wait(h, &before), ST_OK);
	assert_int_equal(house_wait(h, &seal), ST_OK);
	/* the seal is carried out behind what waited with it */
	assert_int_equal(house_wait(h, &after), ST_OK);
	assert_int_equal(house_wait(h, &again), ST_OK);
	assert_int_equal(put(h, "secret/c", h->root), ST_SEALED);
	assert_string_equal(h->text, "Vault is sealed");
	open = house_send(h, VERB_WRITE, "sys/unseal", "", body);
	assert_int_equal(house_wait(h, &open), ST_OK);
	assert_int_equal(get(h, "secret/a", h->root), ST_OK);
	assert_int_equal(get(h, "secret/b", h->root), ST_OK);
	assert_int_equal(get(h, "secret/c", h->root), ST_NOT_FOUND);
	house_free(&h);
}

struct late {
	struct house *house;
	struct house_call *write, *read, *refused;
};

/* On the writer's thread: requests that the loop has let through stand behind this when the store is closed. */
static enum status seal_before_them(void *arg, struct txn *t, struct err *err)
{
	struct late *l = arg;

	(void)t;
	(void)err;
	l->write = house_send(l->house, VERB_WRITE, "secret/a", l->house->root, "{\"v\":1}");
	l->read = house_send(l->house, VERB_READ, "secret/a", "few", NULL);
	l->refused = house_send(l->house, VERB_READ, "nowhere", "few", NULL);
	house_flush(l->house);
	seal_close(l->house->seal);
	return ST_OK;
}

static void what_comes_to_a_closed_store_is_told(void **state)
{
	struct house *h = open_house();
	struct late l = {.house = h};
	char body[256];

	(void)state;
	house_policy(h, "reader", "secret/*", "read");
	assert_int_equal(house_ask(h, VERB_WRITE, "auth/token/create", h->root,
	                           "{\"id\":\"few\",\"policies\":[\"reader\"],\"num_uses\":2}"),
	                 ST_OK);
	assert_int_equal(house_control(h, seal_before_them, &l), ST_OK);
	assert_int_equal(house_wait(h, &l.write), ST_SEALED);
	assert_string_equal(h->text, "Vault is sealed");
	assert_int_equal(house_wait(h, &l.read), ST_SEALED);
	assert_int_equal(house_wait(h, &l.refused), ST_SEALED);
	(void)snprintf(body, sizeof body, "{\"key\":\"%s\"}", h->share);
	assert_int_equal(house_ask(h, VERB_WRITE, "sys/unseal", "", body), ST_OK);
	assert_int_equal(get(h, "secret/a", "few"), ST_NOT_FOUND);
	assert_int_equal(get(h, "secret/a", "few"), ST_NOT_FOUND);
	assert_int_equal(get(h, "secret/a", "few"), ST_DENIED);
	house_free(&h);
}

static void two_inits_in_a_row(void **state)
{
	struct house *h = house_new(NULL);
	struct house_call *one, *two;

	(void)state;
	house_hold(h);
	one = house_send(h, VERB_WRITE, "sys/init", "",
	                 "{\"secret_shares\":1,\"secret_threshold\":1}");
	two = house_send(h, VERB_WRITE, "sys/init", "",
	                 "{\"secret_shares\":1,\"secret_threshold\":1}");
	house_release(h);
	assert_int_equal(house_wait(h, &one), ST_OK);
	assert_int_equal(house_wait(h, &two), ST_EXISTS);
	assert_int_equal(h->data.n, 1); /* not a share of a store that is none */
	house_free(&h);
}

static void an_init_that_is_not_durable_gives_no_shares(void **state)
{
	struct house *h = house_new(NULL);

	(void)state;
	house_fail_commit(h, FAULTSTORE_NOT_DONE);
	assert_int_equal(house_ask(h, VERB_WRITE, "sys/init", "",
	                           "{\"secret_shares\":1,\"secret_threshold\":1}"),
	                 ST_IO);
	assert_null(strstr((char *)h->data.p, "root_token"));
	house_open(h);
	house_free(&h);
}

static void nothing_but_these_while_closed(void **state)
{
	struct house *h = house_new(NULL);
	static const char *const open[] = {"sys/health", "sys/seal-status", "sys/leader",
	                                   "sys/init", "sys/health/"};
	static const char *const closed[] = {"sys/mounts",  "sys/metrics", "sys/rotate", "sys",
	                                     "secret/init", "init",        "sys/init/x"};

	(void)state;
	for (size_t i = 0; i < sizeof open / sizeof *open; i++)
		assert_int_equal(house_ask(h, VERB_READ, open[i], "", NULL), ST_OK);
	for (size_t i = 0; i < sizeof closed / sizeof *closed; i++)
		assert_int_equal(house_ask(h, VERB_READ, closed[i], "any", NULL), ST_SEALED);
	assert_int_equal(house_ask(h, VERB_DELETE, "sys/init", "", NULL), ST_UNSUPPORTED);
	assert_int_equal(house_ask(h, VERB_WRITE, "sys/seal", "", NULL), ST_SEALED);
	house_free(&h);
}

/* A stop while requests wait answers each of them. */
static void a_stop_answers_what_waits(void **state)
{
	struct house *h = open_house();
	struct house_call *c[20];
	enum status st;

	(void)state;
	for (size_t i = 0; i < 20; i++)
		c[i] = house_send(h, VERB_WRITE, "secret/a", h->root, "{\"v\":1}");
	writer_stop(h->writer);
	for (size_t i = 0; i < 20; i++) {
		st = house_wait(h, &c[i]);
		assert_true(st == ST_OK || st == ST_SEALED);
	}
	assert_int_equal(put(h, "secret/a", h->root), ST_SEALED);
	house_free(&h);
}

static int setup(void **state)
{
	int fd = mkstemp(audit_file);

	(void)signal(SIGXFSZ, SIG_IGN);
	if (fd < 0)
		return -1;
	close(fd);
	return house_process(state);
}

static int teardown(void **state)
{
	(void)state;
	return unlink(audit_file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(no_child_in_the_group_of_its_parents_end),
	    cmocka_unit_test(a_child_made_before_goes_with_its_parent),
	    cmocka_unit_test(a_policy_holds_for_what_follows_in_its_group),
	    cmocka_unit_test(create_is_told_from_update_within_a_group),
	    cmocka_unit_test(an_unmounted_engine_takes_nothing_more),
	    cmocka_unit_test(uses_are_counted_within_a_group),
	    cmocka_unit_test(a_failed_commit_fails_its_whole_group),
	    cmocka_unit_test(a_failed_commit_charges_nobody),
	    cmocka_unit_test(rights_of_a_failed_group_are_forgotten),
	    cmocka_unit_test(an_unknown_outcome_is_settled_first),
	    cmocka_unit_test(expiry_is_tried_again_after_a_failed_commit),
	    cmocka_unit_test(expiry_takes_the_children_along),
	    cmocka_unit_test(renewing_in_the_last_second_gains_nothing),
	    cmocka_unit_test(a_renewal_never_passes_the_longest_lease),
	    cmocka_unit_test(a_periodic_token_lives_as_long_as_it_is_renewed),
	    cmocka_unit_test(what_cannot_be_audited_is_not_carried_out),
	    cmocka_unit_test(an_answer_that_cannot_be_audited_is_withheld),
	    cmocka_unit_test(the_shares_are_never_withheld),
	    cmocka_unit_test(what_encrypting_made_on_the_way_is_said),
	    cmocka_unit_test(both_sides_are_in_the_audit),
	    cmocka_unit_test(the_audit_shows_the_query_that_a_rule_hides),
	    cmocka_unit_test(what_waits_behind_a_seal_is_told),
	    cmocka_unit_test(what_comes_to_a_closed_store_is_told),
	    cmocka_unit_test(two_inits_in_a_row),
	    cmocka_unit_test(an_init_that_is_not_durable_gives_no_shares),
	    cmocka_unit_test(nothing_but_these_while_closed),
	    cmocka_unit_test(a_stop_answers_what_waits),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
