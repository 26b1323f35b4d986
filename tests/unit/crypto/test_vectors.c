/*
 * Project Wycheproof's vectors (github.com/C2SP/wycheproof, testvectors_v1) against AES-GCM by every implementation, HMAC-SHA-256
 * and HKDF-SHA-256.  The directory that holds the files, under their own names, is the one argument.
 *
 * Of AES-GCM the groups with a 96-bit nonce, a 128-bit tag and a key of 128 or 256 bits are run: what the table of ciphers has.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "crypto/aead.h"
#include "crypto/kdf.h"
#include "crypto/secret.h"

static const char *vectors_dir;

/* Best first, as aead_setup(NULL) chooses. */
#ifdef __x86_64__
static const char *const impls[] = {"mb", "evp"};
#else
static const char *const impls[] = {"evp"};
#endif
#define IMPLS (sizeof impls / sizeof impls[0])

/* What a test of the file says, by tcId in the message when it is not so. */
static void holds(bool condition, const char *what, const json_t *test)
{
	if (!condition)
		fail_msg("tcId %lld: %s",
		         (long long)json_integer_value(json_object_get(test, "tcId")), what);
}

static void unhex(struct builder *b, const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	assert_non_null(text);
	builder_init(b, 0);
	assert_int_equal(builder_unhex(b, span_str(text)), ST_OK);
}

static bool is_valid(const json_t *test)
{
	const char *result = json_string_value(json_object_get(test, "result"));

	assert_non_null(result);
	assert_true(strcmp(result, "valid") == 0 || strcmp(result, "invalid") == 0);
	return strcmp(result, "valid") == 0;
}

static json_int_t number(const json_t *object, const char *name)
{
	const json_t *n = json_object_get(object, name);

	assert_true(json_is_integer(n));
	return json_integer_value(n);
}

/* Calls run for each test of each group of the file; the number of tests for which it returned true. */
static size_t run_file(const char *name, bool (*run)(const json_t *group, const json_t *test))
{
	json_error_t error;
	json_t *doc, *group, *test;
	size_t i, j, done = 0;
	char path[1024];

	assert_in_range(snprintf(path, sizeof path, "%s/%s", vectors_dir, name), 1,
	                sizeof path - 1);
	doc = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
	if (doc == NULL)
		fail_msg("%s: %s", path, error.text);
	json_array_foreach(json_object_get(doc, "testGroups"), i, group)
	    json_array_foreach(json_object_get(group, "tests"), j, test) done +=
	    run(group, test) ? 1 : 0;
	json_decref(doc);
	return done;
}

/* ------------------------------------------------------------ AES-GCM */

struct gcm_case {
	const json_t *test;
	struct builder key, nonce, aad, plain, sealed; /* sealed: ciphertext and tag */
	bool valid;
};

static void gcm_case_init(struct gcm_case *c, const json_t *test)
{
	struct builder tag;

	c->test = test;
	c->valid = is_valid(test);
	unhex(&c->key, test, "key");
	unhex(&c->nonce, test, "iv");
	unhex(&c->aad, test, "aad");
	unhex(&c->plain, test, "msg");
	unhex(&c->sealed, test, "ct");
	unhex(&tag, test, "tag");
	builder_add(&c->sealed, builder_span(&tag));
	assert_int_equal(builder_status(&c->sealed), ST_OK);
	builder_free(&tag);
}

static void gcm_case_free(struct gcm_case *c)
{
	builder_free(&c->key);
	builder_free(&c->nonce);
	builder_free(&c->aad);
	builder_free(&c->plain);
	builder_free(&c->sealed);
}

/* Opening: `out` holds the sealed text already (in place), or not. */
static void gcm_open(const struct gcm_case *c, const struct aead_key *k, struct span sealed,
                     uint8_t *out)
{
	const size_t n = sealed.n - AEAD_TAG_LEN;
	enum status s = aead_open(k, builder_span(&c->nonce), builder_span(&c->aad), sealed, out);

	if (c->valid) {
		holds(s == ST_OK, "valid, but does not open", c->test);
		holds(memcmp(out, c->plain.p, n) == 0, "opens to other bytes", c->test);
		return;
	}
	holds(s == ST_CORRUPT, "invalid, but opens", c->test);
	for (size_t i = 0; i < n; i++)
		holds(out[i] == 0, "refused, but leaves bytes", c->test);
}

static void gcm_both_ways(const struct gcm_case *c, const char *impl)
{
	const struct span nonce = builder_span(&c->nonce), aad = builder_span(&c->aad);
	const struct span plain = builder_span(&c->plain), sealed = builder_span(&c->sealed);
	struct aead_key *k = NULL;
	uint8_t out[2048];

	assert_true(sealed.n == plain.n + AEAD_TAG_LEN && sealed.n <= sizeof out);
	assert_int_equal(aead_setup(impl, NULL), ST_OK);
	assert_int_equal(aead_key_new(c->key.n == 16 ? AEAD_AES128_GCM : AEAD_AES256_GCM,
	                              builder_span(&c->key), &k),
	                 ST_OK);

	assert_int_equal(aead_seal(k, nonce, aad, plain, out), ST_OK);
	holds((memcmp(out, sealed.p, sealed.n) == 0) == c->valid, "sealed bytes", c->test);
	if (plain.n > 0)
		memcpy(out, plain.p, plain.n);
	assert_int_equal(aead_seal(k, nonce, aad, span_of(out, plain.n), out), ST_OK);
	holds((memcmp(out, sealed.p, sealed.n) == 0) == c->valid, "sealed bytes, in place",
	      c->test);

	memset(out, 0xcc, sizeof out);
	gcm_open(c, k, sealed, out);
	memcpy(out, sealed.p, sealed.n);
	gcm_open(c, k, span_of(out, sealed.n), out);
	aead_key_free(&k);
}

static bool gcm_run(const json_t *group, const json_t *test)
{
	const json_int_t key_bits = number(group, "keySize");
	struct gcm_case c;

	if (number(group, "ivSize") != 96 || number(group, "tagSize") != 128 ||
	    (key_bits != 128 && key_bits != 256))
		return false;
	gcm_case_init(&c, test);
	for (size_t m = 0; m < IMPLS; m++)
		gcm_both_ways(&c, impls[m]);
	gcm_case_free(&c);
	return true;
}

static void aes_gcm(void **state)
{
	(void)state;
	/* At least this many, so that a file that changed its form does not pass by running nothing. */
	assert_true(run_file("aes_gcm_test.json", gcm_run) >= 100);
}

/* ------------------------------------------------------------ HMAC, HKDF */

static bool hmac_run(const json_t *group, const json_t *test)
{
	const size_t tag_n = (size_t)number(group, "tagSize") / 8;
	struct builder key, msg, tag;
	struct hmac_key *k = NULL;
	uint8_t mac[SHA256_LEN];
	struct span part;

	unhex(&key, test, "key");
	unhex(&msg, test, "msg");
	unhex(&tag, test, "tag");
	assert_true(tag.n == tag_n && tag_n <= sizeof mac);
	part = builder_span(&msg);
	assert_int_equal(hmac_key_new(builder_span(&key), &k), ST_OK);
	hmac_sha256(k, &part, 1, mac);
	holds((memcmp(mac, tag.p, tag_n) == 0) == is_valid(test), "mac", test);
	hmac_key_free(&k);
	builder_free(&key);
	builder_free(&msg);
	builder_free(&tag);
	return true;
}

static void hmac(void **state)
{
	(void)state;
	assert_true(run_file("hmac_sha256_test.json", hmac_run) >= 100);
}

static bool hkdf_run(const json_t *group, const json_t *test)
{
	const size_t n = (size_t)number(test, "size");
	struct builder ikm, salt, info, okm;
	struct secret *out = NULL;

	(void)group;
	/* The invalid ones ask for more than 255 * 32 bytes, which is a MUST here and has a test beside the others. */
	if (n > 255 * (size_t)SHA256_LEN) {
		holds(!is_valid(test), "too long, but valid", test);
		return false;
	}
	holds(is_valid(test), "invalid for another reason than its length", test);
	unhex(&ikm, test, "ikm");
	unhex(&salt, test, "salt");
	unhex(&info, test, "info");
	unhex(&okm, test, "okm");
	assert_int_equal(okm.n, n);
	assert_int_equal(secret_new(n, &out), ST_OK);
	hkdf_sha256(builder_span(&ikm), builder_span(&salt), builder_span(&info), out);
	holds(memcmp(secret_bytes(out), okm.p, n) == 0, "derived bytes", test);
	secret_free(&out);
	builder_free(&ikm);
	builder_free(&salt);
	builder_free(&info);
	builder_free(&okm);
	return true;
}

static void hkdf(void **state)
{
	(void)state;
	assert_true(run_file("hkdf_sha256_test.json", hkdf_run) >= 50);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(aes_gcm),
	    cmocka_unit_test(hmac),
	    cmocka_unit_test(hkdf),
	};
	struct err err = {0};

	if (argc != 2) {
		(void)fprintf(stderr, "usage: test_vectors DIRECTORY\n");
		return 2;
	}
	vectors_dir = argv[1];
	if (secret_setup(SECRET_BUDGET_DEFAULT, &err) != ST_OK) {
		(void)fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
