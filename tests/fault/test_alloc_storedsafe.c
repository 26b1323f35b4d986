/*
 * Memory that runs out in calls about the keys of vaults, as a user makes them: what must hold is told in trial.h; and the answer has this API's form, or
 * no text at all.  Counts of uses are not compared: they may rise though an answer fails.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <liboath/oath.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "crypto/otp.h"
#include "engine/storedsafe.h"
#include "fault/trial.h"

#define SECRET     "12345678901234567890"
#define SECRET_32  "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ" /* the same in base32 */
#define PASSPHRASE "correct horse"
#define APIKEY     "an-api-key-of-34-characters-1234567"
#define TOKEN_N    56
#define ITEMS      20

/* Where an operator finds the keys. */
#define VAULT "/v1/storedsafe/vaults/1/"

static char body[TRIAL_TEXT_MAX], backup[TRIAL_TEXT_MAX / 2], token[TOKEN_N + 1];
/* Of version 1: of a key with a tag, and of one without. */
static char ciphers[2][256];

/* ---- calls with a session's token ---- */

/* Without allocating. */
static void check_form(const struct desk *d, unsigned status)
{
	const char *text = desk_body(d);
	const char *want = trial_good(status) ? "\"status\":\"SUCCESS\"" : "\"status\":\"FAIL\"";

	if (text[0] == 0 && status >= 500)
		return;
	if (strncmp(text, "{\"CALLINFO\":{\"errorcodes\":", 25) != 0 ||
	    strstr(text, want) == NULL || strstr(text, "\"PARAMS\":[]") == NULL ||
	    (strstr(text, "\"ERRORS\":[\"") == NULL) != trial_good(status))
		fail_msg("not of this API's form: %u %s", status, text);
}

static unsigned call(struct desk *d, enum http_method method, const char *path, const char *members)
{
	char target[256];
	static char whole[TRIAL_TEXT_MAX + 128];
	unsigned status;

	if (members == NULL) {
		(void)snprintf(target, sizeof target, "/api/1.0/transparent/%s?token=%s", path,
		               token);
		status = desk_ask(d, method, target, NULL, NULL);
	} else {
		(void)snprintf(target, sizeof target, "/api/1.0/transparent/%s", path);
		(void)snprintf(whole, sizeof whole, "{\"token\":\"%s\"%s%s}", token,
		               members[0] != 0 ? "," : "", members);
		status = desk_ask(d, method, target, NULL, whole);
	}
	check_form(d, status);
	return status;
}

static unsigned post(struct desk *d, const char *path, const char *members)
{
	return call(d, HTTP_POST, path, members);
}

static void must(struct desk *d, enum http_method method, const char *path, const char *members)
{
	if (!trial_good(call(d, method, path, members)))
		fail_msg("%s: %s", path, desk_body(d));
}

/* "batch":[ITEM,ITEM,...] */
static const char *batch_of(const char *item)
{
	size_t n = (size_t)snprintf(body, sizeof body, "\"batch\":[");

	for (unsigned i = 0; i < ITEMS; i++)
		n += (size_t)snprintf(body + n, sizeof body - n, "%s{%s}", i > 0 ? "," : "", item);
	(void)snprintf(body + n, sizeof body - n, "]");
	return body;
}

static const char *item_of(const char *cipher, const char *more)
{
	static char item[512];

	(void)snprintf(item, sizeof item, "\"ciphertext\":\"%s\"%s", cipher, more);
	return item;
}

/* ---- items ---- */

#define TEXT      "\"plaintext\":\"c29tZSB0ZXh0\""
#define BOUND     ",\"associated_data\":\"ZGF0YQ==\""
#define REFERENCE ",\"reference\":\"a \\\"row\\\"\",\"key_version\":\"1\""

#define POST(name, path, members)                        \
	static unsigned name(struct desk *d, unsigned n) \
	{                                                \
		(void)n;                                 \
		return post(d, path, members);           \
	}

POST(encrypt, "1/encrypt/plain", TEXT BOUND)
POST(encrypt_untagged, "1/encrypt/untagged", TEXT)
POST(encrypt_batch, "1/encrypt/plain", batch_of(TEXT REFERENCE))
POST(decrypt, "1/decrypt/plain", item_of(ciphers[0], BOUND))
POST(decrypt_untagged, "1/decrypt/untagged", item_of(ciphers[1], ""))
POST(decrypt_batch, "1/decrypt/plain", batch_of(item_of(ciphers[0], BOUND)))
POST(rewrap, "rewrap/1/plain", item_of(ciphers[0], BOUND ",\"to_version\":\"2\""))
POST(rewrap_batch, "rewrap/1/untagged", batch_of(item_of(ciphers[1], "")))
POST(datakey, "1/datakey/plaintext/plain", "\"bits\":512")
POST(datakey_wrapped, "1/datakey/wrapped/untagged", "")

/* One item is wrong: the others are answered all the same, or nothing is. */
static unsigned decrypt_some(struct desk *d, unsigned n)
{
	(void)n;
	(void)snprintf(body, sizeof body,
	               "\"batch\":[{%s},{\"ciphertext\":\"x\",\"reference\":\"bad\"}]",
	               item_of(ciphers[0], BOUND));
	return post(d, "1/decrypt/plain", body);
}

/* ---- looking ---- */

#define GET(name, path)                                  \
	static unsigned name(struct desk *d, unsigned n) \
	{                                                \
		(void)n;                                 \
		return call(d, HTTP_GET, path, NULL);    \
	}

GET(list, "1/keys")
GET(read_key, "1/keys/plain")
GET(versions, "1/keys/plain/versions")
GET(export, "export/1/plain")
GET(export_version, "export/1/plain/1")
GET(back_up, "backup/1/plain")

/* ---- changing ---- */

static bool says(struct desk *d, unsigned n, const char *path, const char *text)
{
	return trial_found(d, trial_target(path, n)) && trial_says(d, text);
}

static unsigned create(struct desk *d, unsigned n)
{
	return post(
	    d, trial_target("1/keys/new#", n),
	    "\"type\":\"aes256-ofb\",\"info\":\"what it is\",\"auto_rotate_period\":\"1000h\"");
}

static bool created(struct desk *d, unsigned n)
{
	return says(d, n, VAULT "keys/new#", "\"info\":\"what it is\"") &&
	       trial_good(post(d, trial_target("1/encrypt/new#", n), TEXT));
}

static unsigned upsert(struct desk *d, unsigned n)
{
	return post(d, trial_target("1/encrypt/new#", n), TEXT BOUND);
}

static unsigned upsert_batch(struct desk *d, unsigned n)
{
	return post(d, trial_target("1/encrypt/new#", n), batch_of(TEXT));
}

static bool upserted(struct desk *d, unsigned n)
{
	return says(d, n, VAULT "keys/new#", "\"key_version\":\"1\"");
}

static unsigned restore(struct desk *d, unsigned n)
{
	(void)snprintf(body, sizeof body, "\"backup\":\"%s\"", backup);
	return post(d, trial_target("restore/1/new#", n), body);
}

static bool restored(struct desk *d, unsigned n)
{
	char path[64];

	(void)snprintf(path, sizeof path, "1/decrypt/new%u", n);
	return says(d, n, VAULT "keys/new#", "\"key_version\":\"2\"") &&
	       trial_good(post(d, path, item_of(ciphers[0], BOUND)));
}

static void make(struct desk *d, unsigned n)
{
	must(d, HTTP_POST, trial_target("1/keys/k#", n), "\"max_operations\":10");
}

static void make_two(struct desk *d, unsigned n)
{
	make(d, n);
	must(d, HTTP_POST, trial_target("1/keys/k#/rotate", n), "");
}

/* So that the next encryption needs another version. */
static void use_up(struct desk *d, unsigned n)
{
	make(d, n);
	for (unsigned i = 0; i < 10; i++)
		must(d, HTTP_POST, trial_target("1/encrypt/k#", n), TEXT);
}

static unsigned rotate(struct desk *d, unsigned n)
{
	return post(d, trial_target("1/keys/k#/rotate", n), "");
}

static unsigned encrypt_next(struct desk *d, unsigned n)
{
	return post(d, trial_target("1/encrypt/k#", n), TEXT);
}

static bool rotated(struct desk *d, unsigned n)
{
	return says(d, n, VAULT "keys/k#", "\"key_version\":\"2\"");
}

static unsigned config(struct desk *d, unsigned n)
{
	return call(d, HTTP_PUT, trial_target("1/keys/k#", n),
	            "\"info\":\"another\",\"max_operations\":7,\"auto_rotate_period\":\"2000h\"");
}

static bool configured(struct desk *d, unsigned n)
{
	return says(d, n, VAULT "keys/k#", "\"info\":\"another\"") &&
	       trial_says(d, "\"max_operations\":7,");
}

static unsigned disable(struct desk *d, unsigned n)
{
	return call(d, HTTP_PUT, trial_target("1/keys/k#/versions/1", n), "\"state\":\"disabled\"");
}

static bool disabled(struct desk *d, unsigned n)
{
	return says(d, n, VAULT "keys/k#/versions", "\"state\":\"disabled\"");
}

static unsigned delete (struct desk *d, unsigned n)
{
	return call(d, HTTP_DELETE, trial_target("1/keys/k#", n), "");
}

static bool deleted(struct desk *d, unsigned n)
{
	return !trial_found(d, trial_target(VAULT "keys/k#", n));
}

static const struct subject subjects[] = {
    {"encrypt", NULL, encrypt, NULL, 0},
    {"encrypt without a tag", NULL, encrypt_untagged, NULL, 0},
    {"encrypt a batch", NULL, encrypt_batch, NULL, 0},
    {"decrypt", NULL, decrypt, NULL, 0},
    {"decrypt without a tag", NULL, decrypt_untagged, NULL, 0},
    {"decrypt a batch", NULL, decrypt_batch, NULL, 0},
    {"decrypt a batch that is partly wrong", NULL, decrypt_some, NULL, 0},
    {"rewrap", NULL, rewrap, NULL, 0},
    {"rewrap a batch", NULL, rewrap_batch, NULL, 0},
    {"data key", NULL, datakey, NULL, 0},
    {"wrapped data key", NULL, datakey_wrapped, NULL, 0},
    {"list", NULL, list, NULL, 0},
    {"read", NULL, read_key, NULL, 0},
    {"versions", NULL, versions, NULL, VARIES},
    {"export", NULL, export, NULL, 0},
    {"export a version", NULL, export_version, NULL, 0},
    {"back up", NULL, back_up, NULL, VARIES},
    {"create", NULL, create, created, 0},
    {"encrypt under a new key", NULL, upsert, upserted, 0},
    {"encrypt a batch under a new key", NULL, upsert_batch, upserted, 0},
    {"restore", NULL, restore, restored, 0},
    {"rotate", make, rotate, rotated, 0},
    {"encrypt, used up", use_up, encrypt_next, rotated, 0},
    {"config", make, config, configured, 0},
    {"version", make_two, disable, disabled, 0},
    {"delete", make_two, delete, deleted, 0},
};

/* ---- a vault of a user who is logged in ---- */

static struct storedsafe engine = {.version = "1.2.3"};

static void log_in(struct desk *d)
{
	char code[TOTP_DIGITS + 1];

	assert_int_equal(oath_totp_generate(SECRET, strlen(SECRET),
	                                    (time_t)(desk_now(d) / NS_PER_S), TOTP_STEP_S, 0,
	                                    TOTP_DIGITS, code),
	                 OATH_OK);
	(void)snprintf(body, sizeof body,
	               "{\"username\":\"someone\",\"passphrase\":\"" PASSPHRASE
	               "\",\"otp\":\"%s\",\"apikey\":\"" APIKEY "\",\"logintype\":\"totp\"}",
	               code);
	desk_must(d, 200, HTTP_POST, "/api/1.0/auth", body);
	desk_member(d, "CALLINFO/token", token, sizeof token);
}

static void seal(struct desk *d, const char *path, const char *members, char ret[static 256])
{
	must(d, HTTP_POST, path, members);
	desk_member(d, "CALLINFO/ciphertext", ret, 256);
}

static void note_backup(struct desk *d)
{
	static const char name[] = "\"backup\":\"";
	const char *at;

	must(d, HTTP_GET, "backup/1/plain", NULL);
	at = strstr(desk_body(d), name);
	assert_non_null(at);
	at += sizeof name - 1;
	(void)snprintf(backup, sizeof backup, "%.*s", (int)strcspn(at, "\""), at);
}

/* Keys of two versions. */
static struct desk *furnished(void)
{
	static const struct transit_config keys = {.manner = &storedsafe_manner};
	struct desk *d;

	transit_free(&engine.keys); /* of the desk before */
	assert_int_equal(transit_new(&keys, &engine.keys), ST_OK);
	d = desk_ready_with(&engine_storedsafe, &engine);
	desk_must(d, 204, HTTP_POST, "/v1/sys/mounts/storedsafe", "{\"type\":\"storedsafe\"}");
	desk_must(d, 200, HTTP_POST, "/v1/auth/storedsafe/apikeys/tests",
	          "{\"apikey\":\"" APIKEY "\"}");
	desk_must(d, 200, HTTP_POST, "/v1/auth/storedsafe/users",
	          "{\"username\":\"someone\",\"passphrase\":\"" PASSPHRASE
	          "\",\"status\":131,\"fullname\":\"Some One\",\"email\":\"a@b.c\"}");
	desk_must(d, 200, HTTP_POST, "/v1/auth/storedsafe/users/someone/otp",
	          "{\"type\":\"totp\",\"secret\":\"" SECRET_32 "\"}");
	/* Long enough that no call's token is another, and a session is written anew only when it is used after a long time. */
	desk_must(d, 204, HTTP_POST, "/v1/auth/storedsafe/config",
	          "{\"session_timeout\":\"8700h\",\"token_rotation\":\"8600h\",\"token_grace\":"
	          "\"1h\"}");
	log_in(d);
	desk_must(d, 200, HTTP_POST, "/v1/storedsafe/vaults",
	          "{\"vaultname\":\"a vault\",\"user\":1}");
	must(d, HTTP_POST, "1/keys/plain", "\"info\":\"of plain\"");
	must(d, HTTP_POST, "1/keys/untagged", "\"type\":\"aes128-ofb\"");
	seal(d, "1/encrypt/plain", TEXT BOUND, ciphers[0]);
	seal(d, "1/encrypt/untagged", TEXT, ciphers[1]);
	must(d, HTTP_POST, "1/keys/plain/rotate", "");
	must(d, HTTP_POST, "1/keys/untagged/rotate", "");
	note_backup(d);
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

/* When no server is there: what a thread takes once and keeps, of each type. */
static size_t locked_at_rest;

static void warm_up(struct desk *d)
{
	must(d, HTTP_POST, "1/encrypt/warm", TEXT ",\"type\":\"aes256-ofb\"");
	must(d, HTTP_POST, "1/encrypt/warm-too", TEXT ",\"type\":\"aes256-gcm96\"");
}

static int process(void **state)
{
	struct desk *d;

	if (desk_process(state) != 0 || otp_setup() != ST_OK)
		return -1;
	d = furnished();
	warm_up(d);
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

static int process_end(void **state)
{
	(void)state;
	transit_free(&engine.keys);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_teardown(one_allocation_fails, none_is_lost),
	    cmocka_unit_test_teardown(all_allocations_fail_from_one_on, none_is_lost),
	};

	return cmocka_run_group_tests(tests, process, process_end);
}
