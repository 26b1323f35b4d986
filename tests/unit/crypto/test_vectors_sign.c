/*
 * Project Wycheproof's vectors (github.com/C2SP/wycheproof, testvectors_v1) against Ed25519, ECDSA in both forms, RSA PKCS#1 v1.5 and RSA-PSS.
 *
 * "Acceptable" are only PKCS#1 v1.5 signatures whose DigestInfo lacks the NULL of its algorithm (flag MissingNull): RFC 8017 lets a verifier take them
 * for old signers.  We refuse them: nothing that signs for us ever made one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "crypto/pkey_sign.h"
#include "crypto/pkey_text.h"
#include "vectors.h"

static enum digest_alg digest_of_group(const json_t *group)
{
	static const struct {
		const char *theirs;
		enum digest_alg alg;
	} names[] = {
	    {"SHA-1", DIGEST_SHA1},        {"SHA-224", DIGEST_SHA2_224},
	    {"SHA-256", DIGEST_SHA2_256},  {"SHA-384", DIGEST_SHA2_384},
	    {"SHA-512", DIGEST_SHA2_512},  {"SHA3-224", DIGEST_SHA3_224},
	    {"SHA3-256", DIGEST_SHA3_256}, {"SHA3-384", DIGEST_SHA3_384},
	    {"SHA3-512", DIGEST_SHA3_512},
	};
	const char *name = json_text(group, "sha");

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (strcmp(names[i].theirs, name) == 0)
			return names[i].alg;
	fail_msg("digest %s", name);
	return DIGEST_ALG_COUNT;
}

/* The key of the group, which is read anew only when the group changes. */
static struct pkey *key_of_group(const json_t *group)
{
	static struct builder last;
	static struct pkey *k;
	struct builder der;

	json_unhex(&der, group, "publicKeyDer");
	if (k == NULL || !span_eq(builder_span(&der), builder_span(&last))) {
		pkey_unref(&k);
		assert_int_equal(pkey_from_spki(builder_span(&der), &k), ST_OK);
		builder_reset(&last);
		builder_add(&last, builder_span(&der));
	}
	builder_free(&der);
	return k;
}

static bool check(const json_t *group, const json_t *test, struct pkey_how *how)
{
	const enum verdict v = json_verdict(test);
	struct pkey *k = key_of_group(group);
	struct builder msg, sig;
	uint8_t hash[DIGEST_LEN_MAX];
	struct span part;
	enum status want = v == VALID ? ST_OK : ST_DENIED;

	if (v == ACCEPTABLE)
		holds(json_has_flag(test, "MissingNull"), "nobody decided what to do with it",
		      test);
	json_unhex(&msg, test, "msg");
	json_unhex(&sig, test, "sig");
	part = builder_span(&msg);
	holds(pkey_verify(k, how, part, builder_span(&sig)) == want, "verdict", test);
	if (pkey_alg(k) != PKEY_ED25519) {
		how->input = PKEY_PREHASHED;
		assert_int_equal(digest_of(how->digest, &part, 1, hash), ST_OK);
		holds(pkey_verify(k, how, span_of(hash, digest_len(how->digest)),
		                  builder_span(&sig)) == want,
		      "verdict, prehashed", test);
	}
	builder_free(&msg);
	builder_free(&sig);
	return true;
}

/* ------------------------------------------------------------ the kinds */

static bool ed25519_run(const json_t *group, const json_t *test)
{
	struct pkey_how how = {0};

	return check(group, test, &how);
}

static bool ecdsa_run(const json_t *group, const json_t *test)
{
	struct pkey_how how = {.digest = digest_of_group(group)};

	return check(group, test, &how);
}

static bool ecdsa_p1363_run(const json_t *group, const json_t *test)
{
	struct pkey_how how = {.digest = digest_of_group(group), .form = PKEY_JWS};

	return check(group, test, &how);
}

static bool pkcs1_run(const json_t *group, const json_t *test)
{
	struct pkey_how how = {.digest = digest_of_group(group), .padding = PKEY_PKCS1};

	return check(group, test, &how);
}

/* The salt's length is given; left to be found, every valid signature is valid too. */
static bool pss_run(const json_t *group, const json_t *test)
{
	const int salt = (int)json_number(group, "sLen");
	struct pkey_how how = {.digest = digest_of_group(group)};

	how.salt = salt == 0 ? PKEY_SALT_NONE : salt;
	(void)check(group, test, &how);
	how.input = PKEY_MESSAGE;
	if ((size_t)salt == digest_len(how.digest)) {
		how.salt = PKEY_SALT_HASH;
		(void)check(group, test, &how);
		how.input = PKEY_MESSAGE;
	}
	how.salt = PKEY_SALT_AUTO;
	return json_verdict(test) == VALID ? check(group, test, &how) : true;
}

static void ed25519(void **state)
{
	(void)state;
	assert_int_equal(vectors_run("ed25519_test.json", ed25519_run), 151);
}

static void ecdsa(void **state)
{
	(void)state;
	assert_int_equal(vectors_run("ecdsa_secp256r1_sha256_test.json", ecdsa_run), 484);
	assert_int_equal(vectors_run("ecdsa_secp256r1_sha512_test.json", ecdsa_run), 554);
	assert_int_equal(vectors_run("ecdsa_secp256r1_sha3_256_test.json", ecdsa_run), 482);
	assert_int_equal(vectors_run("ecdsa_secp384r1_sha384_test.json", ecdsa_run), 504);
	assert_int_equal(vectors_run("ecdsa_secp521r1_sha512_test.json", ecdsa_run), 542);
}

static void ecdsa_p1363(void **state)
{
	(void)state;
	assert_int_equal(vectors_run("ecdsa_secp256r1_sha256_p1363_test.json", ecdsa_p1363_run),
	                 262);
	assert_int_equal(vectors_run("ecdsa_secp384r1_sha384_p1363_test.json", ecdsa_p1363_run),
	                 280);
	assert_int_equal(vectors_run("ecdsa_secp521r1_sha512_p1363_test.json", ecdsa_p1363_run),
	                 318);
}

static void rsa_pkcs1(void **state)
{
	(void)state;
	assert_int_equal(vectors_run("rsa_signature_2048_sha256_test.json", pkcs1_run), 259);
	assert_int_equal(vectors_run("rsa_signature_2048_sha3_256_test.json", pkcs1_run), 257);
	assert_int_equal(vectors_run("rsa_signature_3072_sha384_test.json", pkcs1_run), 259);
	assert_int_equal(vectors_run("rsa_signature_4096_sha512_test.json", pkcs1_run), 259);
}

static void rsa_pss(void **state)
{
	(void)state;
	assert_int_equal(vectors_run("rsa_pss_2048_sha1_mgf1_20_test.json", pss_run), 88);
	assert_int_equal(vectors_run("rsa_pss_2048_sha256_mgf1_0_test.json", pss_run), 103);
	assert_int_equal(vectors_run("rsa_pss_2048_sha256_mgf1_32_test.json", pss_run), 108);
	assert_int_equal(vectors_run("rsa_pss_2048_sha384_mgf1_48_test.json", pss_run), 141);
	assert_int_equal(vectors_run("rsa_pss_3072_sha256_mgf1_32_test.json", pss_run), 108);
	assert_int_equal(vectors_run("rsa_pss_4096_sha384_mgf1_48_test.json", pss_run), 141);
	assert_int_equal(vectors_run("rsa_pss_4096_sha512_mgf1_64_test.json", pss_run), 179);
	assert_int_equal(vectors_run("rsa_pss_misc_test.json", pss_run), 30);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(ed25519),   cmocka_unit_test(ecdsa),   cmocka_unit_test(ecdsa_p1363),
	    cmocka_unit_test(rsa_pkcs1), cmocka_unit_test(rsa_pss),
	};

	return vectors_main(argc, argv, tests, sizeof tests / sizeof tests[0]);
}
