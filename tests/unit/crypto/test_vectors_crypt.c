/*
 * Project Wycheproof's vectors (github.com/C2SP/wycheproof, testvectors_v1) against AES-KWP and RSA-OAEP.
 *
 * "Acceptable" are ciphertexts that were constructed to be small integers (flag SmallIntegerCiphertext): they are whole and of the modulus' length, so
 * they are decrypted.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "crypto/kwp.h"
#include "crypto/pkey_crypt.h"
#include "crypto/pkey_text.h"
#include "vectors.h"

static bool kwp_run(const json_t *group, const json_t *test)
{
	const bool valid = json_is_valid(test);
	struct builder key, msg, ct;
	struct secret *back = NULL;
	uint8_t wrapped[512];
	enum status s;

	(void)group;
	json_unhex(&key, test, "key");
	json_unhex(&msg, test, "msg");
	json_unhex(&ct, test, "ct");
	if (valid) {
		assert_true(KWP_LEN(msg.n) <= sizeof wrapped);
		assert_int_equal(kwp_wrap(builder_span(&key), builder_span(&msg), wrapped), ST_OK);
		holds(ct.n == KWP_LEN(msg.n) && memcmp(wrapped, ct.p, ct.n) == 0, "wrapped", test);
	}
	s = kwp_unwrap(builder_span(&key), builder_span(&ct), &back);
	holds(s == (valid ? ST_OK : ST_CORRUPT), "verdict", test);
	if (valid)
		holds(span_eq(secret_span(back), builder_span(&msg)), "unwrapped", test);
	secret_free(&back);
	builder_free(&key);
	builder_free(&msg);
	builder_free(&ct);
	return true;
}

static void kwp(void **state)
{
	(void)state;
	assert_int_equal(vectors_run("aes_kwp_test.json", kwp_run), 94);
}

static enum digest_alg digest_of_group(const json_t *group)
{
	static const char *const names[] = {"SHA-1", "SHA-224", "SHA-256", "SHA-384", "SHA-512"};
	const char *name = json_text(group, "sha");

	for (enum digest_alg alg = 0; alg < sizeof names / sizeof names[0]; alg++)
		if (strcmp(names[alg], name) == 0)
			return alg;
	fail_msg("digest %s", name);
	return DIGEST_ALG_COUNT;
}

/* The key of the group, which is read anew only when the group changes. */
static struct pkey *key_of_group(const json_t *group)
{
	static struct builder last;
	static struct pkey *k;
	struct builder der;

	json_unhex(&der, group, "privateKeyPkcs8");
	if (k == NULL || !span_eq(builder_span(&der), builder_span(&last))) {
		pkey_unref(&k);
		assert_int_equal(pkey_from_pkcs8(builder_span(&der), PKEY_CHECKED, &k), ST_OK);
		builder_reset(&last);
		builder_add(&last, builder_span(&der));
	}
	builder_free(&der);
	return k;
}

static bool oaep_run(const json_t *group, const json_t *test)
{
	const enum digest_alg digest = digest_of_group(group);
	const enum verdict v = json_verdict(test);
	struct pkey *k = key_of_group(group);
	uint8_t sealed[PKEY_CRYPT_MAX];
	struct secret *back = NULL;
	struct builder msg, ct;
	enum status s;
	size_t n = 0;

	if (v == ACCEPTABLE)
		holds(json_has_flag(test, "SmallIntegerCiphertext"),
		      "nobody decided what to do with it", test);
	json_unhex(&msg, test, "msg");
	json_unhex(&ct, test, "ct");
	s = pkey_decrypt(k, digest, builder_span(&ct), &back);
	holds(s == (v == INVALID ? ST_CORRUPT : ST_OK), "verdict", test);
	if (v != INVALID) {
		holds(span_eq(secret_span(back), builder_span(&msg)), "decrypted", test);
		secret_free(&back);
		/* The other way, which is random. */
		assert_int_equal(pkey_encrypt(k, digest, builder_span(&msg), sealed, &n), ST_OK);
		assert_int_equal(pkey_decrypt(k, digest, span_of(sealed, n), &back), ST_OK);
		holds(span_eq(secret_span(back), builder_span(&msg)), "there and back", test);
	}
	secret_free(&back);
	builder_free(&msg);
	builder_free(&ct);
	return true;
}

static void oaep(void **state)
{
	(void)state;
	assert_int_equal(vectors_run("rsa_oaep_2048_sha1_mgf1sha1_test.json", oaep_run), 29);
	assert_int_equal(vectors_run("rsa_oaep_2048_sha224_mgf1sha224_test.json", oaep_run), 28);
	assert_int_equal(vectors_run("rsa_oaep_2048_sha256_mgf1sha256_test.json", oaep_run), 29);
	assert_int_equal(vectors_run("rsa_oaep_2048_sha384_mgf1sha384_test.json", oaep_run), 28);
	assert_int_equal(vectors_run("rsa_oaep_2048_sha512_mgf1sha512_test.json", oaep_run), 29);
	assert_int_equal(vectors_run("rsa_oaep_3072_sha256_mgf1sha256_test.json", oaep_run), 29);
	assert_int_equal(vectors_run("rsa_oaep_4096_sha512_mgf1sha512_test.json", oaep_run), 29);
	assert_int_equal(vectors_run("rsa_oaep_misc_test.json", oaep_run), 42);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(kwp), cmocka_unit_test(oaep)};

	return vectors_main(argc, argv, tests, sizeof tests / sizeof tests[0]);
}
