/*
 * Memory that runs out.  Each operation of the gate is asked for with its first allocation failing, then its second, and so on until it needs no
 * more; once with that one alone, once with all behind it.  Whatever happens:
 *   - the answer is a success that holds, or an error of the server's (5xx), and then nothing was changed but for what the gate records itself, or the
 *     error says that the change was made;
 *   - the same request, sent again, is carried out;
 *   - the store is sound: it opens with the operator's shares and holds what it held;
 *   - nothing leaks: the heap is the sanitizer's to watch, locked memory is counted here.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fault/trial.h"

/* ---- requests with a number in them ---- */

static char body[TRIAL_TEXT_MAX], token[64];

/* "t7": what the operations and their checks call a token. */
static const char *token_id(const char *letter, unsigned n)
{
	(void)snprintf(token, sizeof token, "%s%u", letter, n);
	return token;
}

static bool alive(struct desk *d, const char *id)
{
	unsigned status = desk_ask(d, HTTP_GET, "/v1/auth/token/lookup-self", id, NULL);

	assert_true(status == 200 || status == 403);
	return status == 200;
}

/* ---- the operations ---- */

/* Requests by the root token without a number. */
#define ASK(name, method, path, json)                                 \
	static unsigned name(struct desk *d, unsigned n)              \
	{                                                             \
		(void)n;                                              \
		return desk_ask(d, method, path, desk_root(d), json); \
	}

ASK(health, HTTP_GET, "/v1/sys/health", NULL)
ASK(seal_status, HTTP_GET, "/v1/sys/seal-status", NULL)
ASK(leader, HTTP_GET, "/v1/sys/leader", NULL)
ASK(init_status, HTTP_GET, "/v1/sys/init", NULL)
ASK(key_status, HTTP_GET, "/v1/sys/key-status", NULL)
ASK(terms, HTTP_GET, "/v1/sys/rotate/terms?limit=3", NULL)
ASK(config_read, HTTP_GET, "/v1/sys/rotate/config", NULL)
ASK(mounts, HTTP_GET, "/v1/sys/mounts", NULL)
ASK(mount_read, HTTP_GET, "/v1/sys/mounts/secret", NULL)
ASK(tune_read, HTTP_GET, "/v1/sys/mounts/secret/tune", NULL)
ASK(policy_list, HTTP_LIST, "/v1/sys/policies/acl", NULL)
ASK(policy_read, HTTP_GET, "/v1/sys/policies/acl/default", NULL)
ASK(kv_read, HTTP_GET, "/v1/secret/large", NULL)
ASK(kv_list, HTTP_GET, "/v1/secret/many?list=true", NULL)
ASK(lookup_self, HTTP_GET, "/v1/auth/token/lookup-self", NULL)
ASK(lookup, HTTP_POST, "/v1/auth/token/lookup", "{\"token\":\"reader\"}")
ASK(capabilities, HTTP_POST, "/v1/sys/capabilities",
    "{\"token\":\"reader\",\"paths\":[\"secret/a\",\"sys/seal\"]}")
ASK(metrics, HTTP_GET, "/v1/sys/metrics", NULL)
ASK(prometheus, HTTP_GET, "/v1/sys/metrics?format=prometheus", NULL)
ASK(audit_hash, HTTP_POST, "/v1/sys/audit-hash/file", "{\"input\":\"some text\"}")
ASK(rotate, HTTP_POST, "/v1/sys/rotate", NULL)

static unsigned capabilities_self(struct desk *d, unsigned n)
{
	(void)n;
	return desk_ask(d, HTTP_POST, "/v1/sys/capabilities-self", "reader",
	                "{\"paths\":[\"secret/a\",\"sys/seal\"]}");
}

static unsigned read_by_policy(struct desk *d, unsigned n)
{
	(void)n;
	return desk_ask(d, HTTP_GET, "/v1/secret/many/1?x=%41", "reader", NULL);
}

/* So many members that the reader takes memory to tell their names apart. */
static unsigned kv_write(struct desk *d, unsigned n)
{
	size_t at = 1;

	body[0] = '{';
	for (unsigned i = 0; i < 70; i++)
		at += (size_t)snprintf(body + at, sizeof body - at,
		                       "\"member-%03u\":\"some text to be kept\",", i);
	(void)snprintf(body + at, sizeof body - at, "\"n\":%u}", n);
	return desk_ask(d, HTTP_POST, trial_target("/v1/secret/w#", n), desk_root(d), body);
}

static bool kv_written(struct desk *d, unsigned n)
{
	char want[32];

	(void)snprintf(want, sizeof want, "\"n\":%u}", n);
	return trial_found(d, trial_target("/v1/secret/w#", n)) && trial_says(d, want);
}

static unsigned kv_overwrite(struct desk *d, unsigned n)
{
	return desk_ask(d, HTTP_PUT, "/v1/secret/same", "writer", trial_body("{\"n\":#}", n));
}

static bool kv_overwritten(struct desk *d, unsigned n)
{
	char want[32];

	(void)snprintf(want, sizeof want, "{\"n\":%u}", n);
	return trial_found(d, "/v1/secret/same") && trial_says(d, want);
}

static void put_one(struct desk *d, unsigned n)
{
	desk_must(d, 204, HTTP_POST, trial_target("/v1/secret/d#", n), "{\"v\":1}");
}

static unsigned kv_delete(struct desk *d, unsigned n)
{
	return desk_ask(d, HTTP_DELETE, trial_target("/v1/secret/d#", n), desk_root(d), NULL);
}

static bool kv_deleted(struct desk *d, unsigned n)
{
	return !trial_found(d, trial_target("/v1/secret/d#", n));
}

static char term_before[16];

static void note_term(struct desk *d, unsigned n)
{
	(void)n;
	desk_must(d, 200, HTTP_GET, "/v1/sys/key-status", NULL);
	desk_member(d, "data/term", term_before, sizeof term_before);
}

static bool rotated(struct desk *d, unsigned n)
{
	char term[16];

	(void)n;
	desk_must(d, 200, HTTP_GET, "/v1/sys/key-status", NULL);
	desk_member(d, "data/term", term, sizeof term);
	return atoi(term) == atoi(term_before) + 1;
}

static unsigned config(struct desk *d, unsigned n)
{
	return desk_ask(d, HTTP_POST, "/v1/sys/rotate/config", desk_root(d),
	                trial_body("{\"max_operations\":#,\"interval\":\"48000h\"}", 2000000 + n));
}

static bool configured(struct desk *d, unsigned n)
{
	char want[32];

	(void)snprintf(want, sizeof want, "\"max_operations\":%u", 2000000 + n);
	desk_must(d, 200, HTTP_GET, "/v1/sys/rotate/config", NULL);
	return trial_says(d, want);
}

static unsigned mount(struct desk *d, unsigned n)
{
	return desk_ask(d, HTTP_POST, trial_target("/v1/sys/mounts/m#", n), desk_root(d),
	                "{\"type\":\"kv\",\"description\":\"text\",\"config\":{\"max_lease_ttl\":"
	                "\"1h\",\"default_lease_ttl\":60},\"options\":{\"version\":\"1\"}}");
}

static bool mounted(struct desk *d, unsigned n)
{
	char want[32];

	(void)snprintf(want, sizeof want, "\"m%u/\":{", n);
	desk_must(d, 200, HTTP_GET, "/v1/sys/mounts", NULL);
	return trial_says(d, want);
}

static void mount_one(struct desk *d, unsigned n)
{
	desk_must(d, 204, HTTP_POST, trial_target("/v1/sys/mounts/m#", n), "{\"type\":\"kv\"}");
	desk_must(d, 204, HTTP_POST, trial_target("/v1/m#/a/b", n), "{\"v\":1}");
}

static unsigned unmount(struct desk *d, unsigned n)
{
	return desk_ask(d, HTTP_DELETE, trial_target("/v1/sys/mounts/m#", n), desk_root(d), NULL);
}

static bool unmounted(struct desk *d, unsigned n)
{
	return !mounted(d, n);
}

static unsigned tune(struct desk *d, unsigned n)
{
	return desk_ask(d, HTTP_POST, "/v1/sys/mounts/secret/tune", desk_root(d),
	                trial_body("{\"description\":\"tuned #\"}", n));
}

static bool tuned(struct desk *d, unsigned n)
{
	char want[32];

	(void)snprintf(want, sizeof want, "\"tuned %u\"", n);
	desk_must(d, 200, HTTP_GET, "/v1/sys/mounts/secret", NULL);
	return trial_says(d, want);
}

static unsigned remount(struct desk *d, unsigned n)
{
	(void)snprintf(body, sizeof body, "{\"from\":\"m%u\",\"to\":\"moved%u\"}", n, n);
	return desk_ask(d, HTTP_POST, "/v1/sys/remount", desk_root(d), body);
}

static bool remounted(struct desk *d, unsigned n)
{
	return trial_found(d, trial_target("/v1/moved#/a/b", n));
}

static unsigned policy_write(struct desk *d, unsigned n)
{
	return desk_ask(
	    d, HTTP_PUT, trial_target("/v1/sys/policies/acl/p#", n), desk_root(d),
	    "{\"policy\":\"path \\\"secret/+/x\\\" { capabilities = [\\\"read\\\", \\\"update\\\"] "
	    "allowed_parameters = { \\\"a\\\" = [\\\"b\\\", 1] } required_parameters = [\\\"a\\\"] "
	    "}\"}");
}

static bool policy_written(struct desk *d, unsigned n)
{
	return trial_found(d, trial_target("/v1/sys/policies/acl/p#", n)) &&
	       trial_says(d, "secret/+/x");
}

static void put_policy(struct desk *d, unsigned n)
{
	assert_int_equal(policy_write(d, n), 204);
}

static unsigned policy_delete(struct desk *d, unsigned n)
{
	return desk_ask(d, HTTP_DELETE, trial_target("/v1/sys/policies/acl/p#", n), desk_root(d),
	                NULL);
}

static bool policy_deleted(struct desk *d, unsigned n)
{
	return !trial_found(d, trial_target("/v1/sys/policies/acl/p#", n));
}

static unsigned token_create(struct desk *d, unsigned n)
{
	return desk_ask(
	    d, HTTP_POST, "/v1/auth/token/create", desk_root(d),
	    trial_body("{\"id\":\"t#\",\"policies\":[\"default\",\"unknown\"],\"meta\":{"
	               "\"a\":\"b\"},\"ttl\":\"100h\",\"num_uses\":1000}",
	               n));
}

static bool token_created(struct desk *d, unsigned n)
{
	return alive(d, token_id("t", n));
}

static void make_token(struct desk *d, unsigned n)
{
	desk_must(d, 200, HTTP_POST, "/v1/auth/token/create",
	          trial_body("{\"id\":\"r#\",\"policies\":[\"writer\"],\"ttl\":\"48h\"}", n));
}

static unsigned token_renew(struct desk *d, unsigned n)
{
	return desk_ask(d, HTTP_POST, "/v1/auth/token/renew", desk_root(d),
	                trial_body("{\"token\":\"r#\",\"increment\":\"200h\"}", n));
}

static bool token_renewed(struct desk *d, unsigned n)
{
	char ttl[24];

	assert_true(alive(d, token_id("r", n)));
	desk_member(d, "data/ttl", ttl, sizeof ttl);
	return atol(ttl) > 48 * 3600;
}

/* With a child, which dies as well. */
static void make_family(struct desk *d, unsigned n)
{
	desk_must(d, 200, HTTP_POST, "/v1/auth/token/create",
	          trial_body("{\"id\":\"r#\",\"policies\":[\"root\"]}", n));
	assert_int_equal(desk_ask(d, HTTP_POST, "/v1/auth/token/create", token_id("r", n),
	                          trial_body("{\"id\":\"c#\",\"policies\":[\"root\"]}", n)),
	                 200);
	assert_int_equal(desk_ask(d, HTTP_POST, "/v1/cubbyhole/a", token_id("c", n), "{\"v\":1}"),
	                 204);
}

static unsigned token_revoke(struct desk *d, unsigned n)
{
	return desk_ask(d, HTTP_POST, "/v1/auth/token/revoke", desk_root(d),
	                trial_body("{\"token\":\"r#\"}", n));
}

static bool token_revoked(struct desk *d, unsigned n)
{
	bool child = alive(d, token_id("c", n)), parent = alive(d, token_id("r", n));

	assert_int_equal(child, parent);
	return !parent;
}

static void limited(struct desk *d, unsigned n, unsigned uses)
{
	(void)snprintf(
	    body, sizeof body,
	    "{\"id\":\"u%u\",\"policies\":[\"writer\"],\"ttl\":\"1000h\",\"num_uses\":%u}", n,
	    uses);
	desk_must(d, 200, HTTP_POST, "/v1/auth/token/create", body);
}

static void limited_often(struct desk *d, unsigned n)
{
	limited(d, n, 1000);
}

static void limited_once(struct desk *d, unsigned n)
{
	limited(d, n, 1);
}

static unsigned read_limited(struct desk *d, unsigned n)
{
	return desk_ask(d, HTTP_GET, "/v1/secret/same", token_id("u", n), NULL);
}

static unsigned write_limited(struct desk *d, unsigned n)
{
	return desk_ask(d, HTTP_POST, trial_target("/v1/secret/w#", n), token_id("u", n),
	                trial_body("{\"n\":#}", n));
}

/* Refused by the loop and charged by the writer: 403 is the answer that is wanted, so it counts as the success here. */
static unsigned refused_limited(struct desk *d, unsigned n)
{
	unsigned status = desk_ask(d, HTTP_POST, "/v1/sys/rotate", token_id("u", n), NULL);

	return status == 403 ? 200 : status;
}

/* ---- what engines can be given ---- */

static unsigned slow(struct desk *d, unsigned n)
{
	return desk_ask(d, HTTP_POST, trial_target("/v1/toy/slow/#", n), desk_root(d), "{}");
}

static unsigned late(struct desk *d, unsigned n)
{
	return desk_ask(d, HTTP_POST, trial_target("/v1/toy/late/#", n), desk_root(d), "{}");
}

static bool worked(struct desk *d, unsigned n)
{
	return trial_found(d, trial_target("/v1/toy/slow/#", n));
}

static unsigned slow_limited(struct desk *d, unsigned n)
{
	return desk_ask(d, HTTP_POST, trial_target("/v1/toy/slow/#", n), token_id("u", n), "{}");
}

static unsigned wake(struct desk *d, unsigned n)
{
	return desk_ask(d, HTTP_POST, trial_target("/v1/toy/wake/#", n), desk_root(d), "{}");
}

static bool ticked(struct desk *d, unsigned n)
{
	desk_later(d);
	return trial_found(d, trial_target("/v1/toy/done/#", n));
}

static const char lines[] = "one\ntwo\nthree\nfour\n";

static unsigned streamed(struct desk *d, unsigned n)
{
	return desk_ask(d, HTTP_POST, trial_target("/v1/toy/stream/#", n), desk_root(d), lines);
}

static unsigned streamed_limited(struct desk *d, unsigned n)
{
	return desk_ask(d, HTTP_POST, trial_target("/v1/toy/stream/#", n), token_id("u", n), lines);
}

static bool used_up(struct desk *d, unsigned n)
{
	return !alive(d, token_id("u", n));
}

static const struct subject subjects[] = {
    {"health", NULL, health, NULL, 0},
    {"seal-status", NULL, seal_status, NULL, 0},
    {"leader", NULL, leader, NULL, 0},
    {"init-status", NULL, init_status, NULL, 0},
    {"key-status", NULL, key_status, NULL, 0},
    {"terms", NULL, terms, NULL, 0},
    {"rotate-config-read", NULL, config_read, NULL, 0},
    {"mounts", NULL, mounts, NULL, 0},
    {"mount-read", NULL, mount_read, NULL, 0},
    {"tune-read", NULL, tune_read, NULL, 0},
    {"policy-list", NULL, policy_list, NULL, 0},
    {"policy-read", NULL, policy_read, NULL, 0},
    {"kv-read", NULL, kv_read, NULL, 0},
    {"kv-read by policy", NULL, read_by_policy, NULL, 0},
    {"kv-list", NULL, kv_list, NULL, 0},
    {"lookup-self", NULL, lookup_self, NULL, 0},
    {"lookup", NULL, lookup, NULL, 0},
    {"capabilities", NULL, capabilities, NULL, 0},
    {"capabilities-self", NULL, capabilities_self, NULL, 0},
    {"metrics", NULL, metrics, NULL, VARIES},
    {"metrics prometheus", NULL, prometheus, NULL, VARIES},
    {"audit-hash", NULL, audit_hash, NULL, 0},
    {"kv-write", NULL, kv_write, kv_written, 0},
    {"kv-write over", NULL, kv_overwrite, kv_overwritten, 0},
    {"kv-delete", put_one, kv_delete, kv_deleted, 0},
    {"rotate", note_term, rotate, rotated, 0},
    {"rotate-config", NULL, config, configured, 0},
    {"mount", NULL, mount, mounted, 0},
    {"unmount", mount_one, unmount, unmounted, 0},
    {"tune", NULL, tune, tuned, 0},
    {"remount", mount_one, remount, remounted, 0},
    {"policy-write", NULL, policy_write, policy_written, 0},
    {"policy-delete", put_policy, policy_delete, policy_deleted, 0},
    {"token-create", NULL, token_create, token_created, 0},
    {"token-renew", make_token, token_renew, token_renewed, 0},
    {"token-revoke", make_family, token_revoke, token_revoked, 0},
    {"kv-read with uses", limited_often, read_limited, NULL, 0},
    {"kv-write with uses", limited_often, write_limited, kv_written, 0},
    {"refused with uses", limited_often, refused_limited, NULL, 0},
    {"the last use", limited_once, read_limited, used_up, ENDS},
    {"slow", NULL, slow, worked, 0},
    {"slow, found late", NULL, late, worked, 0},
    {"slow with uses", limited_often, slow_limited, worked, 0},
    {"wake", NULL, wake, ticked, 0},
    {"stream", NULL, streamed, worked, STAYS},
    {"stream with uses", limited_often, streamed_limited, worked, STAYS},
    {"stream, the last use", limited_once, streamed_limited, used_up, ENDS},
};

/* What the operations expect to be there. */
static struct desk *furnished(void)
{
	struct desk *d = desk_ready();

	desk_must(d, 204, HTTP_PUT, "/v1/sys/policies/acl/writer",
	          "{\"policy\":\"path \\\"secret/*\\\" { capabilities = [\\\"create\\\", "
	          "\\\"read\\\", \\\"update\\\", \\\"list\\\"] } path \\\"toy/*\\\" { "
	          "capabilities = [\\\"update\\\"] }\"}");
	desk_must(d, 200, HTTP_POST, "/v1/auth/token/create",
	          "{\"id\":\"reader\",\"policies\":[\"writer\"]}");
	desk_must(d, 200, HTTP_POST, "/v1/auth/token/create",
	          "{\"id\":\"writer\",\"policies\":[\"writer\"]}");
	desk_must(d, 204, HTTP_POST, "/v1/secret/same", "{\"n\":0}");
	memset(body, 'x', sizeof body);
	memcpy(body, "{\"v\":\"", 6);
	memcpy(body + 10000, "\"}", 3);
	desk_must(d, 204, HTTP_POST, "/v1/secret/large", body);
	for (unsigned i = 0; i < 40; i++)
		desk_must(d, 204, HTTP_POST, trial_target("/v1/secret/many/#", i), "{\"v\":1}");
	desk_must(d, 204, HTTP_POST, "/v1/sys/rotate", NULL);
	desk_must(d, 204, HTTP_POST, "/v1/toy/slow/kept", "{}");
	return d;
}

static void run_all(enum alloc_repeat repeat)
{
	for (size_t i = 0; i < sizeof subjects / sizeof *subjects; i++)
		trial_run(&subjects[i], furnished, repeat);
}

static void one_allocation_fails(void **state)
{
	(void)state;
	run_all(ALLOC_ONCE);
}

static void all_allocations_fail_from_one_on(void **state)
{
	(void)state;
	run_all(ALLOC_FOR_EVER);
}

/* ---- initialising, unsealing, sealing ---- */

static void init_once(unsigned n, enum alloc_repeat repeat, size_t *ret_failures)
{
	struct desk *d = desk_new();
	unsigned status;

	alloc_arm(n, repeat);
	status = desk_init(d);
	*ret_failures = alloc_disarm();
	if (status != 200) {
		assert_true(status >= 500 && *ret_failures > 0);
		desk_must(d, 200, HTTP_GET, "/v1/sys/init", NULL);
		assert_true(trial_says(d, "\"initialized\":false"));
		assert_int_equal(desk_init(d), 200);
	}
	desk_keep(d);
	desk_unseal(d, n);
	desk_must(d, 200, HTTP_GET, "/v1/auth/token/lookup-self", NULL);
	desk_restart(d);
	desk_unseal(d, n + 1);
	desk_free(&d);
}

/* Once the store is made its shares must reach the operator: an answer of 200 has them, another one means that there is no store. */
static void initialising(void **state)
{
	size_t failures;
	unsigned n = 1;

	(void)state;
	do {
		assert_true(n < TRIAL_NTH_MAX);
		init_once(n, ALLOC_FOR_EVER, &failures);
		init_once(n++, ALLOC_ONCE, &failures);
	} while (failures > 0);
}

/* Hands in shares until one is refused; the last status. */
static unsigned hand_in(struct desk *d, unsigned from)
{
	char share[256];
	unsigned status = 200;

	for (unsigned i = 0; status == 200 && i < DESK_THRESHOLD; i++) {
		(void)snprintf(share, sizeof share, "{\"key\":\"%s\"}", desk_share(d, from + i));
		status = desk_ask(d, HTTP_PUT, "/v1/sys/unseal", NULL, share);
	}
	return status;
}

static void unseal_all(enum alloc_repeat repeat)
{
	struct desk *d = furnished();
	struct trial t = {.desk = d, .op = &(const struct subject){.name = "unseal"}};
	struct builder before = {0}, now = {0};

	desk_settle(d);
	desk_dump(d, &before);
	do {
		assert_true(++t.n < TRIAL_NTH_MAX);
		desk_restart(d);
		alloc_arm(t.n, repeat);
		t.status = hand_in(d, t.n);
		desk_settle(d);
		t.failures = alloc_disarm();
		(void)snprintf(t.answer, sizeof t.answer, "%s", desk_body(d));
		desk_later(d);
		if (t.status != 200 && t.status < 500)
			trial_complain(&t, "blames the caller");
		if (t.status == 200 && !desk_is_open(d))
			trial_complain(&t, "does not hold");
		desk_unseal(d, t.n + 1);
		desk_settle(d);
		desk_dump(d, &now);
		trial_compare(&t, &before, &now, "changed something");
	} while (t.failures > 0);
	assert_int_equal(t.status, 200);
	builder_free(&before);
	builder_free(&now);
	desk_free(&d);
}

static void unsealing(void **state)
{
	(void)state;
	unseal_all(ALLOC_ONCE);
	unseal_all(ALLOC_FOR_EVER);
}

static void seal_all(enum alloc_repeat repeat)
{
	struct desk *d = furnished();
	struct trial t = {.desk = d, .op = &(const struct subject){.name = "seal"}};
	struct builder before = {0}, now = {0};
	size_t locked;

	desk_settle(d);
	desk_dump(d, &before);
	desk_must(d, 204, HTTP_POST, "/v1/sys/seal", NULL);
	locked = alloc_locked();
	desk_unseal(d, 0);
	do {
		assert_true(++t.n < TRIAL_NTH_MAX);
		alloc_arm(t.n, repeat);
		t.status = desk_ask(d, HTTP_POST, "/v1/sys/seal", desk_root(d), NULL);
		desk_settle(d);
		t.failures = alloc_disarm();
		(void)snprintf(t.answer, sizeof t.answer, "%s", desk_body(d));
		desk_later(d);
		if (!trial_good(t.status) && (t.status < 500 || t.failures == 0))
			trial_complain(&t, "fails with nothing missing");
		if (desk_is_open(d) == (trial_good(t.status) || trial_says_made(&t)))
			trial_complain(&t, "says what is not so");
		if (desk_is_open(d))
			desk_must(d, 204, HTTP_POST, "/v1/sys/seal", NULL);
		assert_int_equal(alloc_locked(), locked);
		desk_unseal(d, t.n);
		desk_settle(d);
		desk_dump(d, &now);
		trial_compare(&t, &before, &now, "changed something");
	} while (t.failures > 0);
	builder_free(&before);
	builder_free(&now);
	desk_free(&d);
}

static void sealing(void **state)
{
	(void)state;
	seal_all(ALLOC_ONCE);
	seal_all(ALLOC_FOR_EVER);
}

/* ---- locked memory ---- */

/* When no server is there: what a thread takes once and keeps. */
static size_t locked_at_rest;

static int process(void **state)
{
	struct desk *d;

	if (desk_process(state) != 0)
		return -1;
	d = furnished();
	desk_free(&d);
	locked_at_rest = alloc_locked();
	return 0;
}

static int none_is_lost(void **state)
{
	(void)state;
	assert_int_equal(alloc_locked(), locked_at_rest);
	return 0;
}

#define TEST(name) cmocka_unit_test_teardown(name, none_is_lost)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(initialising),
	    TEST(unsealing),
	    TEST(sealing),
	    TEST(one_allocation_fails),
	    TEST(all_allocations_fail_from_one_on),
	};

	return cmocka_run_group_tests(tests, process, NULL);
}
