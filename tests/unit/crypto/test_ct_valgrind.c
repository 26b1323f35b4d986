/*
 * Run under valgrind's memcheck: secret bytes are marked as undefined, so every branch and every table index that depends on one is an
 * error that memcheck counts.  The first cases plant such a branch, a table index and a hasty comparison, and so prove that they would be seen.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>
#include <valgrind/memcheck.h>

#include "crypto/aead.h"
#include "crypto/ct.h"
#include "crypto/decimal.h"
#include "crypto/digest.h"
#include "crypto/kdf.h"
#include "crypto/pkey_sign.h"
#include "crypto/pkey_text.h"

#define SECRET(p, n) (void)VALGRIND_MAKE_MEM_UNDEFINED((p), (n))
#define PUBLIC(p, n) (void)VALGRIND_MAKE_MEM_DEFINED((p), (n))

static unsigned seen(void)
{
	return (unsigned)VALGRIND_COUNT_ERRORS;
}

static void a_planted_leak_is_seen(void **state)
{
	static const uint8_t table[256] = {1, 2, 3};
	volatile uint8_t secret = 0x12, sink = 0;
	uint8_t from_table;
	unsigned before;

	(void)state;
	assert_true(RUNNING_ON_VALGRIND);
	SECRET((void *)(uintptr_t)&secret, 1);
	before = seen();
	if (secret == 3)
		sink = 1;
	assert_int_equal(seen(), before + 1);
	from_table = ((const volatile uint8_t *)table)[secret];
	assert_int_equal(seen(), before + 2);
	PUBLIC(&from_table, 1);
	assert_int_equal(from_table, 0);
	assert_int_equal(sink, 0);
}

/* A comparison that stops at the first difference, as nobody must write it: it tells where the difference is. */
static bool hasty_equal(const volatile uint8_t *a, const volatile uint8_t *b, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (a[i] != b[i])
			return false;
	return true;
}

static void a_planted_comparison_is_seen(void **state)
{
	uint8_t a[32] = "token of somebody who is there", b[32] = "token of somebody who is not..";
	unsigned before = seen();
	bool equal, hasty;

	(void)state;
	SECRET(a, sizeof a);
	equal = ct_equal(span_of(a, sizeof a), span_of(b, sizeof b));
	assert_int_equal(seen(), before);
	hasty = hasty_equal(a, b, sizeof a);
	assert_true(seen() > before);
	PUBLIC(&equal, sizeof equal);
	PUBLIC(&hasty, sizeof hasty);
	assert_int_equal(equal, hasty);
}

static void comparing_and_selecting(void **state)
{
	uint8_t a[32], b[32], results[4];
	unsigned before = seen();
	bool equal, differ;

	(void)state;
	memset(a, 0x41, sizeof a);
	memset(b, 0x41, sizeof b);
	SECRET(a, sizeof a);
	SECRET(b, sizeof b);
	equal = ct_equal(span_of(a, 32), span_of(b, 32));
	b[7] ^= 1;
	differ = ct_equal(span_of(a, 32), span_of(b, 32));
	results[0] = ct_select(ct_is_zero((uint8_t)(a[0] ^ b[0])), a[1], 0);
	results[1] = ct_is_zero(a[0]);
	ct_xor(a, b, sizeof a);
	assert_int_equal(seen(), before);
	PUBLIC(&equal, sizeof equal);
	PUBLIC(&differ, sizeof differ);
	PUBLIC(results, sizeof results);
	PUBLIC(a, sizeof a);
	assert_true(equal);
	assert_false(differ);
	assert_int_equal(results[0], 0x41);
	assert_int_equal(results[1], 0);
	assert_int_equal(a[7], 1);
}

static void arithmetic(void **state)
{
	uint8_t secret[2] = {0x57, 0x83}, results[2];
	unsigned before = seen();

	(void)state;
	SECRET(secret, sizeof secret);
	results[0] = gf256_mul(secret[0], secret[1]);
	results[1] = gf256_mul(secret[0], gf256_inv(secret[0]));
	assert_int_equal(seen(), before);
	PUBLIC(results, sizeof results);
	assert_int_equal(results[0], 0xc1);
	assert_int_equal(results[1], 1);
}

/* Encoding shows nothing.  Decoding shows one thing at its end: whether the text was well-formed. */
static void hex(void **state)
{
	uint8_t raw[16] = {0xde, 0xad, 0xbe, 0xef}, back[16];
	unsigned before = seen();
	enum status s;
	char text[32];
	size_t n = 0;

	(void)state;
	SECRET(raw, sizeof raw);
	ct_hex(span_of(raw, sizeof raw), text);
	assert_int_equal(seen(), before);
	s = ct_unhex(span_of(text, sizeof text), back, sizeof back, &n);
	assert_int_equal(seen(), before + 1);
	assert_int_equal(s, ST_OK);
	assert_int_equal(n, sizeof back);
	PUBLIC(raw, sizeof raw);
	PUBLIC(back, sizeof back);
	assert_memory_equal(raw, back, sizeof raw);
}

static void base64(void **state)
{
	uint8_t raw[31] = {0xde, 0xad, 0xbe, 0xef}, back[31];
	char text[BASE64_LEN(sizeof raw)];
	unsigned before = seen();
	enum status s;
	size_t n = 0;

	(void)state;
	SECRET(raw, sizeof raw);
	ct_base64(span_of(raw, sizeof raw), text);
	assert_int_equal(seen(), before);
	/* The last two characters say how long the key is: public. */
	PUBLIC(text + sizeof text - 2, 2);
	s = ct_unbase64(span_of(text, sizeof text), back, sizeof back, &n);
	assert_int_equal(seen(), before + 1);
	assert_int_equal(s, ST_OK);
	assert_int_equal(n, sizeof back);
	PUBLIC(raw, sizeof raw);
	PUBLIC(back, sizeof back);
	assert_memory_equal(raw, back, sizeof raw);
}

/* What names a token and opens a term: hashes under a key. */
static void hashing(void **state)
{
	uint8_t key[32] = {0}, text[26] = {0}, mac[SHA256_LEN], want[SHA256_LEN];
	struct span part = span_of(text, sizeof text);
	struct secret *derived;
	struct hmac_key *k;
	unsigned before = seen();
	bool same;

	(void)state;
	memset(key, 0x42, sizeof key);
	memcpy(text, "s.AbCdEfGhIjKlMnOpQrStUvWx", sizeof text);
	SECRET(key, sizeof key);
	SECRET(text, sizeof text);
	assert_int_equal(hmac_key_new(span_of(key, sizeof key), &k), ST_OK);
	hmac_sha256(k, &part, 1, mac);
	hmac_sha256(k, &part, 1, want);
	same = ct_equal(span_of(mac, sizeof mac), span_of(want, sizeof want));
	hmac_key_free(&k);
	assert_int_equal(secret_new(32, &derived), ST_OK);
	hkdf_sha256(span_of(key, sizeof key), span_of(text, sizeof text), span_str("label"),
	            derived);
	secret_free(&derived);
	assert_int_equal(seen(), before);
	PUBLIC(&same, sizeof same);
	assert_true(same);
}

/* Text to number shows its length and whether it is one; back it shows how many digits there are, which is one comparison a leading zero. */
static void decimals(void **state)
{
	uint8_t number[40];
	char text[DECIMAL_LEN(sizeof number)], digits[] = "123456789012345678901234567890123456789";
	unsigned before = seen();
	enum status s;
	size_t n = 0;

	(void)state;
	SECRET(digits, sizeof digits - 1);
	PUBLIC(digits, 1);
	s = decimal_parse(span_of(digits, sizeof digits - 1), number, sizeof number);
	assert_in_range(seen() - before, 1, 2); /* it is a number; it fits */
	assert_int_equal(s, ST_OK);
	before = seen();
	assert_int_equal(decimal_text(span_of(number, sizeof number), text, &n), ST_OK);
	assert_int_equal(seen() - before, sizeof text - (sizeof digits - 1) + 1);
	PUBLIC(&n, sizeof n);
	PUBLIC(text, sizeof text);
	assert_int_equal(n, sizeof digits - 1);
	assert_memory_equal(text, "123456789012345678901234567890123456789", n);
}

/* An Ed25519 seed from PKCS#8, through a signature, and out again in each form. */
static void ed25519_keys(void **state)
{
	static const struct pkey_how how = {0};
	uint8_t der[48] = {0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20};
	struct secret *text[3] = {NULL, NULL, NULL};
	struct pkey *k = NULL, *again = NULL;
	uint8_t sig[PKEY_SIG_MAX];
	unsigned before = seen();
	size_t n = 0;

	(void)state;
	memset(der + 16, 0x42, 32);
	SECRET(der + 16, 32);
	assert_int_equal(pkey_from_pkcs8(span_of(der, sizeof der), PKEY_CHECKED, &k), ST_OK);
	assert_int_equal(pkey_sign(k, &how, span_str("text"), sig, &n), ST_OK);
	assert_int_equal(pkey_pkcs8(k, &text[0]), ST_OK);
	assert_int_equal(pkey_pkcs8_pem(k, &text[1]), ST_OK);
	assert_int_equal(pkey_export(k, &text[2]), ST_OK);
	assert_int_equal(seen(), before);
	PUBLIC(secret_bytes(text[0]), secret_len(text[0]));
	assert_int_equal(secret_len(text[0]), sizeof der);
	PUBLIC(der + 16, 32);
	assert_memory_equal(secret_bytes(text[0]), der, sizeof der);
	assert_int_equal(pkey_from_pkcs8(secret_span(text[0]), PKEY_CHECKED, &again), ST_OK);
	PUBLIC(sig, n);
	assert_int_equal(pkey_verify(again, &how, span_str("text"), span_of(sig, n)), ST_OK);
	for (size_t i = 0; i < 3; i++)
		secret_free(&text[i]);
	pkey_unref(&k);
	pkey_unref(&again);
}

static void keyed_digests(void **state)
{
	(void)state;
	for (enum digest_alg alg = 0; alg < DIGEST_ALG_COUNT; alg++) {
		uint8_t key[200] = {0x43}, text[50] = {0x44}, mac[DIGEST_LEN_MAX];
		struct span part = span_of(text, sizeof text);
		unsigned before = seen();

		SECRET(key, sizeof key);
		SECRET(text, sizeof text);
		assert_int_equal(digest_mac(alg, span_of(key, 20), &part, 1, mac), ST_OK);
		assert_int_equal(digest_mac(alg, span_of(key, 200), &part, 1, mac), ST_OK);
		assert_int_equal(digest_of(alg, &part, 1, mac), ST_OK);
		assert_int_equal(seen(), before);
	}
}

/*
 * Keys and texts of every cipher, by the implementation that is chosen here: sealing shows nothing, opening shows one thing, its verdict.
 */
static void ciphers(void **state)
{
	(void)state;
	for (enum aead_alg alg = 0; alg < AEAD_ALG_COUNT; alg++) {
		uint8_t key[32] = {0x41}, text[100] = {0x42}, sealed[116],
		        nonce[AEAD_NONCE_MAX] = {0};
		const struct span n = span_of(nonce, aead_info(alg)->nonce_len), none = {NULL, 0};
		struct aead_key *k = NULL;
		unsigned before = seen();
		enum status s;

		SECRET(key, sizeof key);
		SECRET(text, sizeof text);
		assert_int_equal(aead_key_new(alg, span_of(key, aead_info(alg)->key_len), &k),
		                 ST_OK);
		assert_int_equal(aead_seal(k, n, none, span_of(text, sizeof text), sealed), ST_OK);
		assert_int_equal(seen(), before);
		s = aead_open(k, n, none, span_of(sealed, sizeof sealed), sealed);
		assert_int_equal(seen(), before + 1);
		assert_int_equal(s, ST_OK);
		aead_key_free(&k);
		PUBLIC(text, sizeof text);
		PUBLIC(sealed, sizeof sealed);
		assert_memory_equal(sealed, text, sizeof text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_planted_leak_is_seen),
	    cmocka_unit_test(a_planted_comparison_is_seen),
	    cmocka_unit_test(comparing_and_selecting),
	    cmocka_unit_test(arithmetic),
	    cmocka_unit_test(hex),
	    cmocka_unit_test(base64),
	    cmocka_unit_test(hashing),
	    cmocka_unit_test(decimals),
	    cmocka_unit_test(ed25519_keys),
	    cmocka_unit_test(keyed_digests),
	    cmocka_unit_test(ciphers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
