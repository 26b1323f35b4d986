/* SHA-256 (FIPS 180-4 examples), HMAC (RFC 4231), HKDF (RFC 5869), argon2id. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "child.h"
#include "crypto/kdf.h"

/* The bytes of a hex text, in one of a few buffers that are used in turn. */
static struct span hex(const char *text)
{
	static uint8_t bufs[4][256];
	static unsigned turn;
	struct builder b;

	turn = (turn + 1) % 4;
	builder_init_fixed(&b, bufs[turn], sizeof bufs[turn]);
	assert_int_equal(builder_unhex(&b, span_str(text)), ST_OK);
	return builder_span(&b);
}

static void sha256_examples(void **state)
{
	const struct span abc[] = {span_str("a"), {NULL, 0}, span_str("bc")};
	uint8_t digest[SHA256_LEN];

	(void)state;
	sha256(abc, 3, digest);
	assert_memory_equal(
	    digest, hex("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad").p,
	    SHA256_LEN);
	sha256(NULL, 0, digest);
	assert_memory_equal(
	    digest, hex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855").p,
	    SHA256_LEN);
}

/* ------------------------------------------------------------ RFC 4231; case 5 truncates, which nothing here does */

static const struct {
	const char *key, *data, *mac;
} rfc4231[] = {
    {"0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "4869205468657265",
     "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
    {"4a656665", "7768617420646f2079612077616e7420666f72206e6f7468696e673f",
     "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
    {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
     "dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd"
     "dddddddddddddddddddddddddddddddd",
     "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"},
    {"0102030405060708090a0b0c0d0e0f10111213141516171819",
     "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd"
     "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd",
     "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"},
};

static void mac_of(struct span key, struct span data, uint8_t mac[static SHA256_LEN])
{
	struct hmac_key *k = NULL;

	assert_int_equal(hmac_key_new(key, &k), ST_OK);
	hmac_sha256(k, &data, 1, mac);
	hmac_key_free(&k);
	assert_null(k);
	hmac_key_free(&k);
}

static void hmac_matches_rfc4231(void **state)
{
	uint8_t mac[SHA256_LEN], key[131];

	(void)state;
	for (size_t i = 0; i < sizeof rfc4231 / sizeof rfc4231[0]; i++) {
		mac_of(hex(rfc4231[i].key), hex(rfc4231[i].data), mac);
		assert_memory_equal(mac, hex(rfc4231[i].mac).p, SHA256_LEN);
	}
	memset(key, 0xaa, sizeof key);
	mac_of(span_of(key, sizeof key),
	       span_str("Test Using Larger Than Block-Size Key - Hash Key First"), mac);
	assert_memory_equal(
	    mac, hex("60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54").p,
	    SHA256_LEN);
	mac_of(span_of(key, sizeof key),
	       span_str("This is a test using a larger than block-size key and a larger than "
	                "block-size data. The key needs "
	                "to be hashed before being used by the HMAC algorithm."),
	       mac);
	assert_memory_equal(
	    mac, hex("9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2").p,
	    SHA256_LEN);
}

static void hmac_parts_are_one_message(void **state)
{
	const struct span parts[] = {
	    span_str("what do ya "), {NULL, 0}, span_str("want for"), span_str(" nothing?")};
	struct hmac_key *k = NULL;
	uint8_t mac[SHA256_LEN], again[SHA256_LEN];

	(void)state;
	assert_int_equal(hmac_key_new(span_str("Jefe"), &k), ST_OK);
	hmac_sha256(k, parts, 4, mac);
	assert_memory_equal(mac, hex(rfc4231[1].mac).p, SHA256_LEN);
	/* The prepared key is not used up. */
	hmac_sha256(k, parts, 4, again);
	assert_memory_equal(mac, again, SHA256_LEN);
	hmac_sha256(k, parts, 3, again);
	assert_memory_not_equal(mac, again, SHA256_LEN);
	hmac_key_free(&k);
}

static void hmac_key_lengths_around_a_block(void **state)
{
	uint8_t key[66] = {0}, macs[4][SHA256_LEN];

	(void)state;
	/* Zero bytes behind a key up to a block change nothing (FIPS 198-1); one more byte does. */
	mac_of(span_of(NULL, 0), span_str("x"), macs[0]);
	mac_of(span_of(key, 63), span_str("x"), macs[1]);
	mac_of(span_of(key, 64), span_str("x"), macs[2]);
	mac_of(span_of(key, 65), span_str("x"), macs[3]);
	assert_memory_equal(macs[0], macs[1], SHA256_LEN);
	assert_memory_equal(macs[0], macs[2], SHA256_LEN);
	assert_memory_not_equal(macs[0], macs[3], SHA256_LEN);
}

/* ------------------------------------------------------------ RFC 5869, appendix A.1 to A.3 */

static const struct {
	const char *ikm, *salt, *info, *okm;
} rfc5869[] = {
    {"0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "000102030405060708090a0b0c",
     "f0f1f2f3f4f5f6f7f8f9",
     "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"},
    {"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2"
     "e2f"
     "303132333435363738393a3b3c3d3e3f404142434445464748494a4b4c4d4e4f",
     "606162636465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f808182838485868788898a8b8c8d8"
     "e8f"
     "909192939495969798999a9b9c9d9e9fa0a1a2a3a4a5a6a7a8a9aaabacadaeaf",
     "b0b1b2b3b4b5b6b7b8b9babbbcbdbebfc0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9dadbdcddd"
     "edf"
     "e0e1e2e3e4e5e6e7e8e9eaebecedeeeff0f1f2f3f4f5f6f7f8f9fafbfcfdfeff",
     "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590"
     "e09"
     "da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87"},
    {"0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "", "",
     "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"},
};

static void hkdf_matches_rfc5869(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof rfc5869 / sizeof rfc5869[0]; i++) {
		struct span okm = hex(rfc5869[i].okm);
		struct secret *out = NULL;

		assert_int_equal(secret_new(okm.n, &out), ST_OK);
		hkdf_sha256(hex(rfc5869[i].ikm), hex(rfc5869[i].salt), hex(rfc5869[i].info), out);
		/* hex() has four buffers and the last three calls took three: okm is still there. */
		assert_memory_equal(secret_bytes(out), okm.p, okm.n);
		secret_free(&out);
	}
}

static int hkdf_too_long(void)
{
	struct secret *out = NULL;

	if (secret_new(255 * 32 + 1, &out) != ST_OK)
		return 1;
	hkdf_sha256(span_str("ikm"), span_str("salt"), span_str("info"), out);
	return 0;
}

static void hkdf_length_is_bounded(void **state)
{
	struct secret *longest = NULL, *shorter = NULL;

	(void)state;
	assert_int_equal(secret_new(255 * 32, &longest), ST_OK);
	assert_int_equal(secret_new(33, &shorter), ST_OK);
	hkdf_sha256(span_str("ikm"), span_str("salt"), span_str("info"), longest);
	hkdf_sha256(span_str("ikm"), span_str("salt"), span_str("info"), shorter);
	assert_memory_equal(secret_bytes(longest), secret_bytes(shorter), 33);
	assert_int_equal(child_signal(hkdf_too_long), SIGABRT);
	secret_free(&longest);
	secret_free(&shorter);
}

/* ------------------------------------------------------------ passwords */

static void passwords_verify(void **state)
{
	char hash[PASSWORD_HASH_MAX], other[PASSWORD_HASH_MAX];

	(void)state;
	assert_int_equal(password_hash(span_str("correct horse"), hash), ST_OK);
	assert_non_null(memchr(hash, '\0', sizeof hash));
	assert_int_equal(strncmp(hash, "$argon2id$v=19$m=65536,t=3,p=1$", 31), 0);
	assert_int_equal(password_verify(hash, span_str("correct horse")), ST_OK);
	assert_int_equal(password_verify(hash, span_str("correct hors")), ST_DENIED);
	assert_int_equal(password_verify(hash, span_str("correct horsf")), ST_DENIED);
	assert_int_equal(password_verify(hash, span_of("correct horse", 14)), ST_DENIED);
	assert_int_equal(password_verify(hash, span_of(NULL, 0)), ST_DENIED);
	assert_int_equal(password_hash(span_str("correct horse"), other), ST_OK);
	assert_string_not_equal(hash, other);
}

static void an_empty_password_is_one_too(void **state)
{
	char hash[PASSWORD_HASH_MAX];

	(void)state;
	assert_int_equal(password_hash(span_of(NULL, 0), hash), ST_OK);
	assert_int_equal(password_verify(hash, span_str("")), ST_OK);
	assert_int_equal(password_verify(hash, span_str("x")), ST_DENIED);
}

static void malformed_hashes_are_told_apart(void **state)
{
	static const char *const bad[] = {
	    "",
	    "plain",
	    "$argon2id$",
	    "$argon2i$v=19$m=65536,t=3,p=1$c2FsdHNhbHRzYWx0c2FsdA$"
	    "aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g",
	    "$argon2id$v=18$m=65536,t=3,p=1$c2FsdHNhbHRzYWx0c2FsdA$"
	    "aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g",
	    "$argon2id$v=19$m=x,t=3,p=1$c2FsdHNhbHRzYWx0c2FsdA$"
	    "aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g",
	    "$argon2id$v=19$m=65536,t=3,p=1$",
	    "$argon2id$v=19$m=65536,t=3,p=1$c2FsdHNhbHRzYWx0c2FsdA",
	};
	char hash[PASSWORD_HASH_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_int_equal(password_verify(bad[i], span_str("pw")), ST_INVALID);
	assert_int_equal(password_hash(span_str("pw"), hash), ST_OK);
	hash[strlen(hash) - 2] = '!';
	assert_int_equal(password_verify(hash, span_str("pw")), ST_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(sha256_examples),
	    cmocka_unit_test(hmac_matches_rfc4231),
	    cmocka_unit_test(hmac_parts_are_one_message),
	    cmocka_unit_test(hmac_key_lengths_around_a_block),
	    cmocka_unit_test(hkdf_matches_rfc5869),
	    cmocka_unit_test(hkdf_length_is_bounded),
	    cmocka_unit_test(passwords_verify),
	    cmocka_unit_test(an_empty_password_is_one_too),
	    cmocka_unit_test(malformed_hashes_are_told_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
