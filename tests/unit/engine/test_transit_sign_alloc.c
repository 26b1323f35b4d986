/*
 * Memory that runs out while something is signed, verified, MACed, hashed: whichever allocation fails, the call fails, or those of its items that could not be done
 * say so; what is answered is right, and with memory the same call goes well.
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

#define ITEM            "{\"input\":\"aGVsbG8gd29ybGQ=\",\"reference\":\"r\"}"
#define ALLOCATIONS_MAX 3000

static struct {
	size_t left; /* allocations until one fails */
	enum alloc_repeat repeat;
	size_t failed;
} order;

static void arm(void)
{
	alloc_arm(order.left, order.repeat);
}

static void disarm(void)
{
	order.failed += alloc_disarm();
}

/* An item of a batch, or a whole answer, that went well has one of these. */
static bool went_well(const struct json_value *v)
{
	const struct json_value *valid = json_member(v, "valid");

	if (valid != NULL)
		return valid->type == JSON_TRUE;
	return json_member(v, "signature") != NULL || json_member(v, "hmac") != NULL ||
	       json_member(v, "sum") != NULL || json_member(v, "random_bytes") != NULL;
}

/* It is right, or says what there was too little of. */
static void check(struct booth *b, const char *path)
{
	const struct json_value *list = json_member(json_root(&b->data), "batch_results");

	if (b->status != ST_OK) {
		if (b->status != ST_NOMEM && b->status != ST_IO)
			fail_msg("%s: %s %s", path, status_name(b->status), b->answer.err.text);
		return;
	}
	if (list == NULL) {
		if (!went_well(json_root(&b->data)))
			fail_msg("%s with allocation %zu refused: not what it should be", path,
			         order.left);
		return;
	}
	for (size_t i = 0; i < list->count; i++) {
		const char *error = booth_member(b, booth_item(b, i), "error");

		if (error == NULL) {
			if (!went_well(booth_item(b, i)))
				fail_msg("%s with allocation %zu refused: an item is not what it "
				         "should be",
				         path, order.left);
		} else if (strstr(error, "memory") == NULL &&
		           strstr(error, "cannot be read") == NULL &&
		           strstr(error, "could not be made") == NULL)
			fail_msg("%s: %s", path, error);
	}
}

static void starve(struct booth *b, const char *path, const char *body, enum alloc_repeat repeat)
{
	size_t failed = 1;

	order.repeat = repeat;
	for (order.left = 1; failed > 0; order.left++) {
		assert_true(order.left < ALLOCATIONS_MAX);
		order.failed = 0;
		b->before = arm;
		b->after = disarm;
		(void)booth_ask(b, VERB_WRITE, path, body);
		b->before = b->after = NULL;
		failed = order.failed;
		check(b, path);
		assert_true(failed > 0 || b->status == ST_OK);
	}
}

/* "signature" or "hmac" of the last answer as a body for verify, alone and twice in a batch. */
static void verify(struct booth *b, const char *key, const char *name)
{
	char path[64], text[768], one[1024], two[2200];

	booth_keep(b, name, text, sizeof text);
	(void)snprintf(path, sizeof path, "verify/%s", key);
	(void)snprintf(one, sizeof one,
	               "{\"input\":\"aGVsbG8gd29ybGQ=\",\"%s\":\"%s\",\"context\":\"AAAA\"}", name,
	               text);
	(void)snprintf(two, sizeof two, "{\"batch_input\":[%s,%s]}", one, one);
	for (int repeat = ALLOC_ONCE; repeat <= ALLOC_FOR_EVER; repeat++) {
		starve(b, path, one, (enum alloc_repeat)repeat);
		starve(b, path, two, (enum alloc_repeat)repeat);
	}
}

static void make(struct booth *b, const char *what, const char *key, const char *name)
{
	char path[64];

	(void)snprintf(path, sizeof path, "%s/%s", what, key);
	for (int repeat = ALLOC_ONCE; repeat <= ALLOC_FOR_EVER; repeat++) {
		starve(b, path, "{\"batch_input\":[" ITEM "," ITEM "]}", (enum alloc_repeat)repeat);
		starve(b, path, "{\"input\":\"aGVsbG8gd29ybGQ=\"}", (enum alloc_repeat)repeat);
	}
	verify(b, key, name);
}

static void signatures(void **state)
{
	static const char *const types[] = {"ed25519", "ecdsa-p256", "ecdsa-p521", "rsa-2048"};
	struct booth *b = *state;
	char path[64];

	for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
		(void)snprintf(path, sizeof path, "keys/%s", types[i]);
		booth_good(b, path, "{\"type\":\"%s\"}", types[i]);
		make(b, "sign", types[i], "signature");
	}
}

static void keys_of_contexts(void **state)
{
	struct booth *b = *state;

	booth_good(b, "keys/d", "{\"type\":\"ed25519\",\"derived\":true}");
	for (int repeat = ALLOC_ONCE; repeat <= ALLOC_FOR_EVER; repeat++)
		starve(b, "sign/d", "{\"input\":\"aGVsbG8gd29ybGQ=\",\"context\":\"AAAA\"}",
		       (enum alloc_repeat)repeat);
	verify(b, "d", "signature");
}

static void macs_hashes_random(void **state)
{
	struct booth *b = *state;

	booth_good(b, "keys/k", "{}");
	make(b, "hmac", "k", "hmac");
	booth_good(b, "keys/h", "{\"type\":\"hmac\",\"key_size\":64}");
	make(b, "hmac", "h", "hmac");
	for (int repeat = ALLOC_ONCE; repeat <= ALLOC_FOR_EVER; repeat++) {
		starve(b, "hash", "{\"input\":\"AAAA\"}", (enum alloc_repeat)repeat);
		starve(b, "hash/sha3-512", "{\"input\":\"AAAA\"}", (enum alloc_repeat)repeat);
		starve(b, "random/131072", "{}", (enum alloc_repeat)repeat);
	}
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, booth_new, booth_free)

int main(void)
{
	const struct CMUnitTest tests[] = {CASE(signatures), CASE(keys_of_contexts),
	                                   CASE(macs_hashes_random)};

	return cmocka_run_group_tests(tests, booth_process, NULL);
}
