/*
 * Digests and HMAC: "abc" and nothing (FIPS 180-4, FIPS 202, their published example values), RFC 4231 and RFC 2202 for HMAC; then all of them against
 * OpenSSL's one-shot functions over random texts in random parts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <signal.h>
#include <string.h>

#include "child.h"
#include "crypto/digest.h"
#include "crypto/random.h"
#include "crypto/scratch.h"
#include "crypto/secret.h"

static const struct {
	const char *name, *theirs; /* ours, OpenSSL's */
	size_t len, block;
	const char *empty, *abc;
} table[DIGEST_ALG_COUNT] = {
    [DIGEST_SHA1] = {"sha1", "SHA1", 20, 64, "da39a3ee5e6b4b0d3255bfef95601890afd80709",
                     "a9993e364706816aba3e25717850c26c9cd0d89d"},
    [DIGEST_SHA2_224] = {"sha2-224", "SHA224", 28, 64,
                         "d14a028c2a3a2bc9476102bb288234c415a2b01f828ea62ac5b3e42f",
                         "23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7"},
    [DIGEST_SHA2_256] = {"sha2-256", "SHA256", 32, 64,
                         "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
                         "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
    [DIGEST_SHA2_384] = {"sha2-384", "SHA384", 48, 128,
                         "38b060a751ac96384cd9327eb1b1e36a21fdb71114be07434c0cc7bf63f6e1da"
                         "274edebfe76f65fbd51ad2f14898b95b",
                         "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed"
                         "8086072ba1e7cc2358baeca134c825a7"},
    [DIGEST_SHA2_512] = {"sha2-512", "SHA512", 64, 128,
                         "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce"
                         "47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e",
                         "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
                         "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"},
    [DIGEST_SHA3_224] = {"sha3-224", "SHA3-224", 28, 144,
                         "6b4e03423667dbb73b6e15454f0eb1abd4597f9a1b078e3f5b5a6bc7",
                         "e642824c3f8cf24ad09234ee7d3c766fc9a3a5168d0c94ad73b46fdf"},
    [DIGEST_SHA3_256] = {"sha3-256", "SHA3-256", 32, 136,
                         "a7ffc6f8bf1ed76651c14756a061d662f580ff4de43b49fa82d80a4b80f8434a",
                         "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532"},
    [DIGEST_SHA3_384] = {"sha3-384", "SHA3-384", 48, 104,
                         "0c63a75b845e4f7d01107d852e4c2485c51a50aaaa94fc61995e71bbee983a2a"
                         "c3713831264adb47fb6bd1e058d5f004",
                         "ec01498288516fc926459f58e2c6ad8df9b473cb0fc08c2596da7cf0e49be4b2"
                         "98d88cea927ac7f539f1edf228376d25"},
    [DIGEST_SHA3_512] = {"sha3-512", "SHA3-512", 64, 72,
                         "a69f73cca23a9ac5c8b567dc185a756e97c982164fe25859e0d1dcc1475c80a6"
                         "15b2123af1f5f94c11e3e9402c3ac558f500199d95b6d3e301758586281dcd26",
                         "b751850b1a57168a5693cd924b6b096e08f621827444f70d884f5d0240d2712e"
                         "10e116e9192af3c91a7ec57647e3934057340b4cf408d5a56592f8274eec53f0"},
};

static struct span unhex(const char *text, uint8_t *buf, size_t cap)
{
	struct builder b;

	builder_init_fixed(&b, buf, cap);
	assert_int_equal(builder_unhex(&b, span_str(text)), ST_OK);
	return builder_span(&b);
}

static void the_table_says_names_and_lengths(void **state)
{
	(void)state;
	for (enum digest_alg a = 0; a < DIGEST_ALG_COUNT; a++) {
		enum digest_alg found = DIGEST_ALG_COUNT;

		assert_string_equal(digest_name(a), table[a].name);
		assert_int_equal(digest_len(a), table[a].len);
		assert_true(digest_len(a) <= DIGEST_LEN_MAX);
		assert_int_equal(digest_find(span_str(table[a].name), &found), ST_OK);
		assert_int_equal(found, a);
	}
}

static void other_names_are_not_found(void **state)
{
	static const char *const others[] = {"",        "sha2", "SHA2-256",  "sha256",
	                                     "sha-256", "md5",  "sha2-256 ", "sha2-25",
	                                     "none",    "sha3", "sha4-1"};
	enum digest_alg found = DIGEST_SHA3_384;

	(void)state;
	for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
		assert_int_equal(digest_find(span_str(others[i]), &found), ST_NOT_FOUND);
	assert_int_equal(digest_find(span_of("sha1\0", 5), &found), ST_NOT_FOUND);
	assert_int_equal(found, DIGEST_SHA3_384);
}

static void published_digests(void **state)
{
	const struct span abc[] = {span_str("a"), {NULL, 0}, span_str("bc")};

	(void)state;
	for (enum digest_alg a = 0; a < DIGEST_ALG_COUNT; a++) {
		uint8_t got[DIGEST_LEN_MAX + 1], want[DIGEST_LEN_MAX];
		size_t n = digest_len(a);

		memset(got, 0xcc, sizeof got);
		assert_int_equal(digest_of(a, NULL, 0, got), ST_OK);
		assert_memory_equal(got, unhex(table[a].empty, want, sizeof want).p, n);
		assert_int_equal(digest_of(a, abc, 3, got), ST_OK);
		assert_memory_equal(got, unhex(table[a].abc, want, sizeof want).p, n);
		assert_int_equal(got[n], 0xcc);
	}
}

/* ------------------------------------------------------------ HMAC: RFC 2202 for SHA-1, RFC 4231 for SHA-2 */

static const struct {
	enum digest_alg alg;
	const char *mac_2,
	    *mac_6; /* test cases 2 and 6 of RFC 4231; for SHA-1 case 2 of RFC 2202 */
} published[] = {
    {DIGEST_SHA1, "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79", NULL},
    {DIGEST_SHA2_224, "a30e01098bc6dbbf45690f3a7e9e6d0f8bbea2a39e6148008fd05e44",
     "95e9a0db962095adaebe9b2d6f0dbce2d499f112f2d2b7273fa6870e"},
    {DIGEST_SHA2_256, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
     "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
    {DIGEST_SHA2_384,
     "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e8e2240ca5e69e2c78b3239ec"
     "fab21649",
     "4ece084485813e9088d2c63a041bc5b44f9ef1012a2b588f3cd11f05033ac4c60c2ef6ab4030fe8296248df1"
     "63f44952"},
    {DIGEST_SHA2_512,
     "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65"
     "f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
     "80b24263c7c1a3ebb71493c1dd7be8b49b46d1f41b4aeec1121b013783f8f3526b56d037e05f2598bd0fd221"
     "5d6a1e5295e64f73f63f0aec8b915a985d786598"},
};

static void published_macs(void **state)
{
	static const char text_6[] = "Test Using Larger Than Block-Size Key - Hash Key First";
	uint8_t got[DIGEST_LEN_MAX], want[DIGEST_LEN_MAX], key_6[131];

	(void)state;
	memset(key_6, 0xaa, sizeof key_6);
	for (size_t i = 0; i < sizeof published / sizeof published[0]; i++) {
		const enum digest_alg a = published[i].alg;
		const struct span parts[] = {span_str("what do ya "),
		                             span_str("want for nothing?")},
		                  six = span_str(text_6);

		assert_int_equal(digest_mac(a, span_str("Jefe"), parts, 2, got), ST_OK);
		assert_memory_equal(got, unhex(published[i].mac_2, want, sizeof want).p,
		                    digest_len(a));
		if (published[i].mac_6 == NULL)
			continue;
		assert_int_equal(digest_mac(a, span_of(key_6, sizeof key_6), &six, 1, got), ST_OK);
		assert_memory_equal(got, unhex(published[i].mac_6, want, sizeof want).p,
		                    digest_len(a));
	}
}

/* ------------------------------------------------------------ against OpenSSL */

static size_t below(size_t n)
{
	uint32_t r;

	random_fill(&random_system, (uint8_t *)&r, sizeof r);
	return r % n;
}

/* The text in up to five parts, some of them empty. */
static size_t cut(struct span text, struct span parts[5])
{
	size_t at = 0;

	for (size_t i = 0; i < 4; i++) {
		size_t n = below(text.n - at + 1);

		parts[i] = span_of(text.p + at, n);
		at += n;
	}
	parts[4] = span_from(text, at);
	return 5;
}

static void digests_agree_with_openssl(void **state)
{
	static uint8_t text[2000];

	(void)state;
	for (enum digest_alg a = 0; a < DIGEST_ALG_COUNT; a++) {
		const EVP_MD *md = EVP_get_digestbyname(table[a].theirs);

		assert_non_null(md);
		for (size_t n = 0; n < 400; n++) {
			uint8_t got[DIGEST_LEN_MAX], want[EVP_MAX_MD_SIZE];
			size_t len = n < 300 ? n : below(sizeof text), k;
			struct span parts[5];

			random_fill(&random_system, text, len);
			k = cut(span_of(text, len), parts);
			assert_int_equal(digest_of(a, parts, k, got), ST_OK);
			assert_int_equal(EVP_Digest(text, len, want, NULL, md, NULL), 1);
			assert_memory_equal(got, want, digest_len(a));
		}
	}
}

static void macs_agree_with_openssl(void **state)
{
	static uint8_t text[2000], key[400];

	(void)state;
	for (enum digest_alg a = 0; a < DIGEST_ALG_COUNT; a++) {
		const EVP_MD *md = EVP_get_digestbyname(table[a].theirs);

		assert_non_null(md);
		/* All lengths of keys around the block. */
		for (size_t n = 0; n < 300; n++) {
			uint8_t got[DIGEST_LEN_MAX], want[EVP_MAX_MD_SIZE];
			size_t len = below(n < 200 ? 300 : sizeof text), k;
			struct span parts[5];

			random_fill(&random_system, text, len);
			random_fill(&random_system, key, n);
			k = cut(span_of(text, len), parts);
			assert_int_equal(digest_mac(a, span_of(key, n), parts, k, got), ST_OK);
			assert_non_null(HMAC(md, key, (int)n, text, len, want, NULL));
			assert_memory_equal(got, want, digest_len(a));
		}
	}
}

static void the_result_may_lie_where_the_text_was(void **state)
{
	(void)state;
	for (enum digest_alg a = 0; a < DIGEST_ALG_COUNT; a++) {
		uint8_t want[DIGEST_LEN_MAX], text[DIGEST_LEN_MAX] = "some text";
		struct span part = span_of(text, sizeof text);

		assert_int_equal(digest_of(a, &part, 1, want), ST_OK);
		assert_int_equal(digest_of(a, &part, 1, text), ST_OK);
		assert_memory_equal(text, want, digest_len(a));
		assert_int_equal(digest_mac(a, part, &part, 1, want), ST_OK);
		assert_int_equal(digest_mac(a, part, &part, 1, text), ST_OK);
		assert_memory_equal(text, want, digest_len(a));
	}
}

static void nothing_of_a_key_stays(void **state)
{
	const uint8_t *scratch = scratch_get();
	uint8_t key[200], mac[DIGEST_LEN_MAX];

	(void)state;
	assert_non_null(scratch);
	memset(key, 0x99, sizeof key);
	for (enum digest_alg a = 0; a < DIGEST_ALG_COUNT; a++) {
		for (size_t n = 20; n <= sizeof key; n += 180) {
			assert_int_equal(digest_mac(a, span_of(key, n), NULL, 0, mac), ST_OK);
			for (size_t i = 0; i < SCRATCH_BYTES; i++)
				assert_int_equal(scratch[i], 0);
		}
	}
}

static int unknown_alg(void)
{
	uint8_t out[DIGEST_LEN_MAX];

	return (int)digest_of(DIGEST_ALG_COUNT, NULL, 0, out);
}

static int unknown_len(void)
{
	return (int)digest_len(DIGEST_ALG_COUNT);
}

static void misuse_aborts(void **state)
{
	(void)state;
	assert_int_equal(child_signal(unknown_alg), SIGABRT);
	assert_int_equal(child_signal(unknown_len), SIGABRT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_table_says_names_and_lengths),
	    cmocka_unit_test(other_names_are_not_found),
	    cmocka_unit_test(published_digests),
	    cmocka_unit_test(published_macs),
	    cmocka_unit_test(digests_agree_with_openssl),
	    cmocka_unit_test(macs_agree_with_openssl),
	    cmocka_unit_test(the_result_may_lie_where_the_text_was),
	    cmocka_unit_test(nothing_of_a_key_stays),
	    cmocka_unit_test(misuse_aborts),
	};
	struct err err = {0};

	if (secret_setup(SECRET_BUDGET_DEFAULT, &err) != ST_OK)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
