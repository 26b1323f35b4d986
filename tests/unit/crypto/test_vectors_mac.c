/*
 * Project Wycheproof's vectors (github.com/C2SP/wycheproof, testvectors_v1) against HMAC with every digest and HKDF-SHA-256.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "crypto/digest.h"
#include "crypto/kdf.h"
#include "vectors.h"

/* The digest of the file that is being run. */
static enum digest_alg digest;

/* A prepared key is another way to the same result, for SHA-256. */
static void check_prepared(struct span key, struct span msg, const uint8_t *want)
{
	struct hmac_key *k = NULL;
	uint8_t mac[SHA256_LEN];

	assert_int_equal(hmac_key_new(key, &k), ST_OK);
	hmac_sha256(k, &msg, 1, mac);
	assert_memory_equal(mac, want, sizeof mac);
	hmac_key_free(&k);
}

static bool hmac_run(const json_t *group, const json_t *test)
{
	const size_t tag_n = (size_t)json_number(group, "tagSize") / 8;
	struct builder key, msg, tag;
	uint8_t mac[DIGEST_LEN_MAX];
	struct span part;

	json_unhex(&key, test, "key");
	json_unhex(&msg, test, "msg");
	json_unhex(&tag, test, "tag");
	assert_true(tag.n == tag_n && tag_n <= digest_len(digest));
	part = builder_span(&msg);
	assert_int_equal(digest_mac(digest, builder_span(&key), &part, 1, mac), ST_OK);
	holds((memcmp(mac, tag.p, tag_n) == 0) == json_is_valid(test), "mac", test);
	if (digest == DIGEST_SHA2_256)
		check_prepared(builder_span(&key), part, mac);
	builder_free(&key);
	builder_free(&msg);
	builder_free(&tag);
	return true;
}

static void hmac(void **state)
{
	static const struct {
		const char *name;
		enum digest_alg alg;
		size_t tests;
	} files[] = {
	    {"sha1", DIGEST_SHA1, 170},         {"sha224", DIGEST_SHA2_224, 172},
	    {"sha256", DIGEST_SHA2_256, 174},   {"sha384", DIGEST_SHA2_384, 174},
	    {"sha512", DIGEST_SHA2_512, 174},   {"sha3_224", DIGEST_SHA3_224, 172},
	    {"sha3_256", DIGEST_SHA3_256, 174}, {"sha3_384", DIGEST_SHA3_384, 174},
	    {"sha3_512", DIGEST_SHA3_512, 174},
	};
	char name[64];

	(void)state;
	for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
		digest = files[i].alg;
		assert_true(snprintf(name, sizeof name, "hmac_%s_test.json", files[i].name) > 0);
		assert_int_equal(vectors_run(name, hmac_run), files[i].tests);
	}
}

static bool hkdf_run(const json_t *group, const json_t *test)
{
	const size_t n = (size_t)json_number(test, "size");
	struct builder ikm, salt, info, okm;
	struct secret *out = NULL;

	(void)group;
	/* The invalid ones ask for more than 255 * 32 bytes, which is a MUST here and has a test beside the others. */
	if (n > 255 * (size_t)SHA256_LEN) {
		holds(!json_is_valid(test), "too long, but valid", test);
		return false;
	}
	holds(json_is_valid(test), "invalid for another reason than its length", test);
	json_unhex(&ikm, test, "ikm");
	json_unhex(&salt, test, "salt");
	json_unhex(&info, test, "info");
	json_unhex(&okm, test, "okm");
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
	assert_true(vectors_run("hkdf_sha256_test.json", hkdf_run) >= 50);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(hmac), cmocka_unit_test(hkdf)};

	return vectors_main(argc, argv, tests, sizeof tests / sizeof tests[0]);
}
