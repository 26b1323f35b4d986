/*
 * Memory that runs out while keys are moved in and out: whichever allocation fails, the call says so and nothing was changed, or it went well; no locked memory
 * stays behind.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../fault/alloc.h"
#include "booth.h"
#include "crypto/pkey_text.h"
#include "engine/transit_wrapping.h"

#define ALLOCATIONS_MAX 5000
#define TEXT_MAX        65536
#define BODY_MAX        (TEXT_MAX + 256)

static struct {
	size_t left; /* allocations until one fails */
	enum alloc_repeat repeat;
	size_t failed;
} order;

static char body[BODY_MAX], text[TEXT_MAX];

static void arm(void)
{
	alloc_arm(order.left, order.repeat);
}

static void disarm(void)
{
	order.failed += alloc_disarm();
}

static bool is_there(struct booth *b, const char *path)
{
	enum status st = booth_ask(b, VERB_READ, path, NULL);

	assert_true(st == ST_OK || st == ST_NOT_FOUND);
	return st == ST_OK;
}

/* The call, with its first allocation refused, then its second, until it needs no more.  makes: the key that is there after it, and only after it; NULL: it makes none. */
static void starve(struct booth *b, enum verb verb, const char *path, const char *json,
                   const char *makes)
{
	size_t failed = 1;
	char gone[64];

	for (order.left = 1; failed > 0; order.left++) {
		assert_true(order.left < ALLOCATIONS_MAX);
		order.failed = 0;
		b->before = arm;
		b->after = disarm;
		(void)booth_ask(b, verb, path, json);
		b->before = b->after = NULL;
		failed = order.failed;
		if (b->status != ST_OK && b->status != ST_NOMEM)
			fail_msg("%s with allocation %zu refused: %s %s", path, order.left,
			         status_name(b->status), b->answer.err.text);
		assert_true(failed > 0 || b->status == ST_OK);
		if (makes != NULL) {
			bool made = b->status == ST_OK;

			assert_int_equal(is_there(b, makes), made);
			(void)snprintf(gone, sizeof gone, "%s/config", makes);
			if (made) {
				booth_good(b, gone, "{\"deletion_allowed\":true}");
				assert_int_equal(booth_ask(b, VERB_DELETE, makes, NULL), ST_OK);
			}
		}
	}
}

/* Pieces of locked memory when the threads have forgotten their keys. */
static size_t locked_pieces(struct booth *b)
{
	engine_transit.life->thread_drop(b->loop);
	engine_transit.life->thread_drop(b->writer);
	return alloc_locked();
}

/* With one allocation refused, with all behind it, and again so when what is made once and kept is there: no locked memory stays behind. */
static void both(struct booth *b, enum verb verb, const char *path, const char *json,
                 const char *makes)
{
	size_t locked = 0;

	order.repeat = ALLOC_ONCE;
	starve(b, verb, path, json, makes);
	order.repeat = ALLOC_FOR_EVER;
	for (int round = 0; round < 2; round++) {
		locked = round == 0 ? 0 : locked_pieces(b);
		starve(b, verb, path, json, makes);
	}
	if (locked_pieces(b) != locked)
		fail_msg("%s: %zu pieces of locked memory before, %zu after", path, locked,
		         alloc_locked());
}

static const char *const types[] = {"aes256-gcm96", "hmac", "ed25519", "ecdsa-p256", "rsa-2048"};
static const char *const kinds[] = {"encryption-key", "hmac-key", "signing-key", "signing-key",
                                    "signing-key"};
#define TYPES (sizeof types / sizeof *types)

static void make_keys(struct booth *b)
{
	char path[64];

	for (size_t i = 0; i < TYPES; i++) {
		(void)snprintf(path, sizeof path, "keys/%s", types[i]);
		booth_good(
		    b, path,
		    "{\"type\":\"%s\",\"exportable\":true,\"allow_plaintext_backup\":true%s}",
		    types[i], i == 1 ? ",\"key_size\":64" : "");
	}
}

static void exports(void **state)
{
	static const char *const formats[] = {"", "der", "pem"};
	struct booth *b = *state;
	char path[96];

	make_keys(b);
	for (size_t i = 0; i < TYPES; i++) {
		for (size_t f = 0; f < (i < 2 ? 1 : 3); f++) {
			(void)snprintf(path, sizeof path, "export/%s/%s", kinds[i], types[i]);
			(void)snprintf(body, sizeof body, "{\"format\":\"%s\"}", formats[f]);
			both(b, VERB_READ, path, body, NULL);
			(void)snprintf(path, sizeof path, "export/public-key/%s/1", types[i]);
			if (i >= 2)
				both(b, VERB_READ, path, body, NULL);
		}
		(void)snprintf(path, sizeof path, "byok-export/rsa-2048/%s", types[i]);
		both(b, VERB_READ, path, NULL, NULL);
	}
}

/* So many that the pool writes them. */
static void exports_of_many(void **state)
{
	struct booth *b = *state;

	make_keys(b);
	for (int i = 0; i < 16; i++)
		booth_good(b, "keys/ecdsa-p256/rotate", "{}");
	both(b, VERB_READ, "export/signing-key/ecdsa-p256", "{}", NULL);
}

static void backups(void **state)
{
	struct booth *b = *state;
	char path[96];

	make_keys(b);
	for (size_t i = 0; i < TYPES; i++) {
		(void)snprintf(path, sizeof path, "backup/%s", types[i]);
		both(b, VERB_READ, path, NULL, NULL);
		booth_keep(b, "backup", text, sizeof text);
		assert_true(snprintf(body, sizeof body, "{\"backup\":\"%s\"}", text) <
		            (int)sizeof body);
		both(b, VERB_WRITE, "restore/copy", body, "keys/copy");
		(void)snprintf(body, sizeof body, "{\"backup\":\"%s\",\"force\":true}", text);
		both(b, VERB_WRITE, "restore", body, NULL);
	}
}

/* A blob for the mount's wrapping key, as the body of an import. */
static void wrap(struct booth *b, const char *type, struct span what)
{
	struct builder blob = {.max = 0};
	struct pkey *k = NULL;

	assert_int_equal(booth_ask(b, VERB_READ, "wrapping_key", NULL), ST_OK);
	assert_int_equal(pkey_from_spki_pem(span_str(booth_text(b, "public_key")), &k), ST_OK);
	assert_int_equal(wrap_key(k, DIGEST_SHA2_256, what, &blob), ST_OK);
	(void)snprintf(text, sizeof text, "%*s", (int)BASE64_LEN(blob.n), "");
	base64_encode(builder_span(&blob), (uint8_t *)text);
	text[BASE64_LEN(blob.n)] = 0;
	(void)snprintf(body, sizeof body, "{\"type\":\"%s\",\"ciphertext\":\"%s\"}", type, text);
	pkey_unref(&k);
	builder_free(&blob);
}

static void imports(void **state)
{
	struct booth *b = *state;
	static const enum pkey_alg algs[] = {PKEY_ED25519, PKEY_P256, PKEY_RSA2048};

	wrap(b, "aes256-gcm96", span_str("0123456789abcdef0123456789abcdef"));
	both(b, VERB_WRITE, "keys/in/import", body, "keys/in");
	for (size_t i = 0; i < 3; i++) {
		struct pkey *k = NULL;
		struct secret *der = NULL;

		assert_int_equal(pkey_generate(algs[i], &k), ST_OK);
		assert_int_equal(pkey_pkcs8(k, &der), ST_OK);
		wrap(b, types[i + 2], secret_span(der));
		both(b, VERB_WRITE, "keys/in/import", body, "keys/in");
		secret_free(&der);
		pkey_unref(&k);
	}
	assert_int_equal(booth_post(b, "keys/in/import", "%s", body), ST_OK);
	both(b, VERB_WRITE, "keys/in/import_version", body, NULL);
}

static void requests(void **state)
{
	struct booth *b = *state;
	char path[64];

	make_keys(b);
	for (size_t i = 2; i < TYPES; i++) {
		(void)snprintf(path, sizeof path, "keys/%s/csr", types[i]);
		both(b, VERB_WRITE, path, "{}", NULL);
	}
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, booth_new, booth_free)

int main(void)
{
	const struct CMUnitTest tests[] = {CASE(exports), CASE(exports_of_many), CASE(backups),
	                                   CASE(imports), CASE(requests)};

	return cmocka_run_group_tests(tests, booth_process, NULL);
}
