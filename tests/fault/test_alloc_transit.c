/* Memory that runs out in the operations of transit: what must hold is told in trial.h.  Counts of uses are not compared: they may rise though an answer fails. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/transit.h"
#include "fault/trial.h"

#define ITEMS 20

static char body[TRIAL_TEXT_MAX];

/* ---- items ---- */

static char
    ciphers[3]
           [256]; /* of version 1: under the plain key, the convergent one, with associated data */

static void must(struct desk *d, const char *path, const char *json)
{
	desk_must(d, 200, HTTP_POST, path, json);
}

static void note_cipher(struct desk *d, const char *path, const char *json, char ret[static 256])
{
	must(d, path, json);
	desk_member(d, "data/ciphertext", ret, 256);
}

/* {"batch_input":[ITEM,ITEM,...]} */
static const char *batch_of(const char *item)
{
	size_t n = (size_t)snprintf(body, sizeof body, "{\"batch_input\":[");

	for (unsigned i = 0; i < ITEMS; i++)
		n += (size_t)snprintf(body + n, sizeof body - n, "%s%s", i > 0 ? "," : "", item);
	(void)snprintf(body + n, sizeof body - n, "]}");
	return body;
}

static const char *item_of(const char *cipher, const char *more)
{
	static char item[512];

	(void)snprintf(item, sizeof item, "{\"ciphertext\":\"%s\"%s}", cipher, more);
	return item;
}

#define TEXT      "\"plaintext\":\"c29tZSB0ZXh0\""
#define CONTEXT   ",\"context\":\"Y29udGV4dA==\",\"associated_data\":\"ZGF0YQ==\""
#define REFERENCE ",\"reference\":\"a \\\"row\\\"\",\"key_version\":1"

static unsigned ask(struct desk *d, const char *path, const char *json)
{
	return desk_ask(d, HTTP_POST, path, desk_root(d), json);
}

static unsigned encrypt(struct desk *d, unsigned n)
{
	(void)n;
	return ask(d, "/v1/transit/encrypt/plain", "{" TEXT "}");
}

static unsigned encrypt_wrapped_lines(struct desk *d, unsigned n)
{
	(void)n;
	return ask(d, "/v1/transit/encrypt/plain", "{\"plaintext\":\"c29tZSB0\\nZXh0\"}");
}

static unsigned encrypt_convergent(struct desk *d, unsigned n)
{
	(void)n;
	return ask(d, "/v1/transit/encrypt/convergent", "{" TEXT CONTEXT "}");
}

static unsigned encrypt_batch(struct desk *d, unsigned n)
{
	(void)n;
	return ask(d, "/v1/transit/encrypt/plain", batch_of("{" TEXT REFERENCE "}"));
}

/* The answer is large. */
static unsigned encrypt_many(struct desk *d, unsigned n)
{
	size_t at = (size_t)snprintf(body, sizeof body, "{\"batch_input\":[");

	(void)n;
	for (unsigned i = 0; i < 150; i++)
		at += (size_t)snprintf(body + at, sizeof body - at, "%s{\"plaintext\":\"QQ==\"}",
		                       i > 0 ? "," : "");
	(void)snprintf(body + at, sizeof body - at, "]}");
	return ask(d, "/v1/transit/encrypt/plain", body);
}

static unsigned decrypt(struct desk *d, unsigned n)
{
	(void)n;
	return ask(d, "/v1/transit/decrypt/plain", item_of(ciphers[0], ""));
}

static unsigned decrypt_convergent(struct desk *d, unsigned n)
{
	(void)n;
	return ask(d, "/v1/transit/decrypt/convergent", item_of(ciphers[1], CONTEXT));
}

static unsigned decrypt_batch(struct desk *d, unsigned n)
{
	(void)n;
	return ask(d, "/v1/transit/decrypt/plain", batch_of(item_of(ciphers[0], "")));
}

static unsigned rewrap(struct desk *d, unsigned n)
{
	(void)n;
	return ask(d, "/v1/transit/rewrap/plain", item_of(ciphers[0], ""));
}

static unsigned rewrap_batch(struct desk *d, unsigned n)
{
	(void)n;
	return ask(d, "/v1/transit/rewrap/convergent", batch_of(item_of(ciphers[1], CONTEXT)));
}

static unsigned datakey(struct desk *d, unsigned n)
{
	(void)n;
	return ask(d, "/v1/transit/datakey/plaintext/plain", "{\"bits\":512}");
}

/* ---- keys ---- */

#define GET(name, path)                                                 \
	static unsigned name(struct desk *d, unsigned n)                \
	{                                                               \
		(void)n;                                                \
		return desk_ask(d, HTTP_GET, path, desk_root(d), NULL); \
	}

GET(read_key, "/v1/transit/keys/plain")
GET(read_public, "/v1/transit/keys/signing")
GET(versions, "/v1/transit/keys/plain/versions")
GET(list, "/v1/transit/keys?list=true")
GET(keys_config, "/v1/transit/config/keys")

static unsigned create(struct desk *d, unsigned n)
{
	return ask(d, trial_target("/v1/transit/keys/new#", n),
	           "{\"type\":\"xchacha20-poly1305\",\"auto_rotate_period\":\"1000h\"}");
}

static bool created(struct desk *d, unsigned n)
{
	char path[64];

	(void)snprintf(path, sizeof path, "/v1/transit/encrypt/new%u", n);
	return trial_found(d, trial_target("/v1/transit/keys/new#", n)) &&
	       ask(d, path, "{" TEXT "}") == 200;
}

static unsigned create_signing(struct desk *d, unsigned n)
{
	return ask(d, trial_target("/v1/transit/keys/new#", n), "{\"type\":\"ed25519\"}");
}

static bool created_signing(struct desk *d, unsigned n)
{
	return trial_found(d, trial_target("/v1/transit/keys/new#", n)) &&
	       trial_says(d, "\"public_key\":");
}

static unsigned upsert(struct desk *d, unsigned n)
{
	return ask(d, trial_target("/v1/transit/encrypt/new#", n), "{" TEXT CONTEXT "}");
}

static bool upserted(struct desk *d, unsigned n)
{
	return trial_found(d, trial_target("/v1/transit/keys/new#", n)) &&
	       trial_says(d, "\"derived\":true");
}

static void make(struct desk *d, unsigned n)
{
	char path[64];

	must(d, trial_target("/v1/transit/keys/k#", n), "{\"max_operations\":10}");
	(void)snprintf(path, sizeof path, "/v1/transit/keys/k%u/config", n);
	must(d, path, "{\"deletion_allowed\":true}");
}

static void make_of_many(struct desk *d, unsigned n)
{
	make(d, n);
	for (unsigned i = 0; i < 3; i++)
		must(d, trial_target("/v1/transit/keys/k#/rotate", n), "{}");
	must(d, trial_target("/v1/transit/keys/k#/config", n),
	     "{\"min_decryption_version\":3,\"min_encryption_version\":3}");
}

/* So that the next encryption needs another version. */
static void use_up(struct desk *d, unsigned n)
{
	make(d, n);
	for (unsigned i = 0; i < 10; i++)
		must(d, trial_target("/v1/transit/encrypt/k#", n), "{" TEXT "}");
}

static bool key_says(struct desk *d, unsigned n, const char *text)
{
	return trial_found(d, trial_target("/v1/transit/keys/k#", n)) && trial_says(d, text);
}

static unsigned rotate(struct desk *d, unsigned n)
{
	return ask(d, trial_target("/v1/transit/keys/k#/rotate", n), "{}");
}

static bool rotated(struct desk *d, unsigned n)
{
	return key_says(d, n, "\"latest_version\":2");
}

/* The version that is used up is the only one until this: it may be made ahead, in the background, as well. */
static unsigned encrypt_next(struct desk *d, unsigned n)
{
	return ask(d, trial_target("/v1/transit/encrypt/k#", n), "{" TEXT "}");
}

static unsigned config(struct desk *d, unsigned n)
{
	return ask(d, trial_target("/v1/transit/keys/k#/config", n),
	           "{\"exportable\":true,\"max_operations\":7,\"auto_rotate_period\":\"2000h\"}");
}

static bool configured(struct desk *d, unsigned n)
{
	return key_says(d, n, "\"max_operations\":7,");
}

static unsigned trim(struct desk *d, unsigned n)
{
	return ask(d, trial_target("/v1/transit/keys/k#/trim", n), "{\"min_available_version\":3}");
}

static bool trimmed(struct desk *d, unsigned n)
{
	return key_says(d, n, "\"min_available_version\":3");
}

static unsigned delete (struct desk *d, unsigned n)
{
	return desk_ask(d, HTTP_DELETE, trial_target("/v1/transit/keys/k#", n), desk_root(d), NULL);
}

static bool deleted(struct desk *d, unsigned n)
{
	return !trial_found(d, trial_target("/v1/transit/keys/k#", n));
}

static unsigned destroy(struct desk *d, unsigned n)
{
	return ask(d, trial_target("/v1/transit/keys/k#/versions/2", n),
	           "{\"state\":\"destroyed\"}");
}

static bool destroyed(struct desk *d, unsigned n)
{
	return trial_found(d, trial_target("/v1/transit/keys/k#/versions", n)) &&
	       trial_says(d, "destroy_pending");
}

static const struct subject subjects[] = {
    {"encrypt", NULL, encrypt, NULL, 0},
    {"encrypt, lines wrapped", NULL, encrypt_wrapped_lines, NULL, 0},
    {"encrypt convergent", NULL, encrypt_convergent, NULL, 0},
    {"encrypt a batch", NULL, encrypt_batch, NULL, 0},
    {"encrypt many", NULL, encrypt_many, NULL, 0},
    {"decrypt", NULL, decrypt, NULL, 0},
    {"decrypt convergent", NULL, decrypt_convergent, NULL, 0},
    {"decrypt a batch", NULL, decrypt_batch, NULL, 0},
    {"rewrap", NULL, rewrap, NULL, 0},
    {"rewrap a batch", NULL, rewrap_batch, NULL, 0},
    {"data key", NULL, datakey, NULL, 0},
    {"read", NULL, read_key, NULL, 0},
    {"read a public key", NULL, read_public, NULL, 0},
    {"versions", NULL, versions, NULL, VARIES},
    {"list", NULL, list, NULL, 0},
    {"config/keys", NULL, keys_config, NULL, 0},
    {"create", NULL, create, created, 0},
    {"create a signing key", NULL, create_signing, created_signing, 0},
    {"encrypt under a new key", NULL, upsert, upserted, 0},
    {"rotate", make, rotate, rotated, 0},
    {"encrypt, used up", use_up, encrypt_next, rotated, 0},
    {"config", make, config, configured, 0},
    {"trim", make_of_many, trim, trimmed, 0},
    {"delete", make_of_many, delete, deleted, 0},
    {"destroy", make_of_many, destroy, destroyed, 0},
};

static struct transit *transit;

/* Keys of two versions. */
static struct desk *furnished(void)
{
	static const struct transit_config config = {.manner = &transit_manner_vault};
	struct desk *d;

	transit_free(&transit); /* of the desk before */
	assert_int_equal(transit_new(&config, &transit), ST_OK);
	d = desk_ready_with(&engine_transit, transit);
	desk_must(d, 204, HTTP_POST, "/v1/sys/mounts/transit", "{\"type\":\"transit\"}");
	must(d, "/v1/transit/keys/plain", "{}");
	must(d, "/v1/transit/keys/convergent",
	     "{\"derived\":true,\"convergent_encryption\":true,\"type\":\"xaes-256-gcm\"}");
	must(d, "/v1/transit/keys/signing", "{\"type\":\"ed25519\"}");
	note_cipher(d, "/v1/transit/encrypt/plain", "{" TEXT "}", ciphers[0]);
	note_cipher(d, "/v1/transit/encrypt/convergent", "{" TEXT CONTEXT "}", ciphers[1]);
	must(d, "/v1/transit/keys/plain/rotate", "{}");
	must(d, "/v1/transit/keys/convergent/rotate", "{}");
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

static int process_end(void **state)
{
	(void)state;
	transit_free(&transit);
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
