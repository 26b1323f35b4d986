/* sign and verify: every combination of parameters, versions and their states, contexts, batches, slow work.  That others verify what we sign is an integration test's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "booth.h"

#define HELLO   "aGVsbG8gd29ybGQ="
#define SIG_MAX 768

enum family { ED, EC, RSA };

static const struct type {
	const char *name;
	enum family family;
	size_t len; /* of a coordinate, or the modulus */
	bool slow;  /* signing is for the pool */
} types[] = {{"ed25519", ED, 32, false},
             {"ecdsa-p256", EC, 32, false},
             {"ecdsa-p384", EC, 48, false},
             {"ecdsa-p521", EC, 66, true},
             {"rsa-2048", RSA, 256, true}};
#define N_TYPES (sizeof types / sizeof *types)

/* The first means none; a name and the length of the digest. */
static const struct {
	const char *name;
	size_t len;
} hashes[] = {{"none", 20},     {"sha1", 20},     {"sha2-224", 28}, {"sha2-256", 32},
              {"sha2-384", 48}, {"sha2-512", 64}, {"sha3-224", 28}, {"sha3-256", 32},
              {"sha3-384", 48}, {"sha3-512", 64}};
static const char *const schemes[] = {"", "pss", "pkcs1v15", "pkcs1v1.5"};
static const char *const marshalings[] = {"asn1", "jws"};
/* Of a 2048-bit key a salt of 190 fits just beside a digest of 64, and 234 beside none that is shorter than 20. */
static const struct {
	const char *text;
	size_t len;
} salts[] = {{"auto", 0}, {"hash", 0}, {"0", 0}, {"-1", 0}, {"1", 1}, {"190", 190}, {"235", 235}};

#define COUNT(a) (sizeof(a) / sizeof *(a))

/* One combination. */
struct how {
	const struct type *type;
	size_t hash, scheme, marshaling, salt;
	bool prehashed;
};

static void members(const struct how *h, char ret[static 256])
{
	(void)snprintf(ret, 256,
	               "\"hash_algorithm\":\"%s\",\"signature_algorithm\":\"%s\","
	               "\"marshaling_algorithm\":\"%s\",\"salt_length\":\"%s\",\"prehashed\":%s",
	               hashes[h->hash].name, schemes[h->scheme], marshalings[h->marshaling],
	               salts[h->salt].text, h->prehashed ? "true" : "false");
}

/* Whether it may be done, by what docs/transit.md says. */
static bool may_be(const struct how *h)
{
	bool pkcs1 = strcmp(schemes[h->scheme], "pkcs1v15") == 0;

	if (h->hash == 0 && (!h->prehashed || !pkcs1))
		return false;
	if (h->type->family != RSA)
		return true;
	if (strcmp(schemes[h->scheme], "pkcs1v1.5") == 0)
		return false;
	return pkcs1 || salts[h->salt].len <= h->type->len - 2 - hashes[h->hash].len;
}

/* Base64 of n bytes that differ with `what`. */
static void input_of(size_t n, unsigned what, char ret[static 128])
{
	uint8_t bytes[64];

	assert_true(n <= sizeof bytes);
	for (size_t i = 0; i < n; i++)
		bytes[i] = (uint8_t)(i * 7 + what);
	base64_encode(span_of(bytes, n), (uint8_t *)ret);
	ret[BASE64_LEN(n)] = 0;
}

static void make_keys(struct booth *b)
{
	char path[64];

	for (size_t i = 0; i < N_TYPES; i++) {
		(void)snprintf(path, sizeof path, "keys/%s", types[i].name);
		booth_good(b, path, "{\"type\":\"%s\"}", types[i].name);
	}
}

static void make_key(struct booth *b, const char *name, const char *type)
{
	char path[64];

	(void)snprintf(path, sizeof path, "keys/%s", name);
	booth_good(b, path, "{\"type\":\"%s\"}", type);
}

static void sign(struct booth *b, const char *key, const char *input, const char *more,
                 char ret[static SIG_MAX])
{
	char path[64];

	(void)snprintf(path, sizeof path, "sign/%s", key);
	booth_good(b, path, "{\"input\":\"%s\"%s}", input, more);
	booth_keep(b, "signature", ret, SIG_MAX);
}

static bool is_valid(struct booth *b, const char *key, const char *input, const char *signature,
                     const char *more)
{
	char path[64];

	(void)snprintf(path, sizeof path, "verify/%s", key);
	booth_good(b, path, "{\"input\":\"%s\",\"signature\":\"%s\"%s}", input, signature, more);
	return booth_true(b, "valid");
}

/* ---- every combination ---- */

/* The bytes of a signature are those of its form. */
static void check_form(const struct how *h, const char *signature)
{
	const char *text = signature + strlen("vault:v1:");
	bool url = h->marshaling == 1;
	struct builder bytes = {.max = 0};

	assert_memory_equal(signature, "vault:v1:", 9);
	assert_int_equal(url ? builder_unbase64url(&bytes, span_str(text))
	                     : builder_unbase64(&bytes, span_str(text)),
	                 ST_OK);
	if (h->type->family == ED)
		assert_int_equal(bytes.n, 64);
	else if (h->type->family == RSA)
		assert_int_equal(bytes.n, h->type->len);
	else if (url)
		assert_int_equal(bytes.n, 2 * h->type->len);
	else
		assert_int_equal(bytes.p[0], 0x30);
	builder_free(&bytes);
}

static void one_combination(struct booth *b, const struct how *h)
{
	size_t n = h->prehashed ? hashes[h->hash].len : 11;
	char how[256], more[260], body[512], path[64], input[128], other[128], sig[SIG_MAX];

	members(h, how);
	input_of(n, 1, input);
	input_of(n, 2, other);
	(void)snprintf(path, sizeof path, "sign/%s", h->type->name);
	(void)snprintf(body, sizeof body, "{\"input\":\"%s\",%s}", input, how);
	if (!may_be(h)) {
		booth_refused(b, "", path, "%s", body);
		assert_int_not_equal(b->answer.err.text[0], 0);
		(void)snprintf(path, sizeof path, "verify/%s", h->type->name);
		booth_refused(b, "", path, "{\"signature\":\"vault:v1:AAAA\",%s}", how);
		return;
	}
	booth_good(b, path, "%s", body);
	booth_keep(b, "signature", sig, sizeof sig);
	assert_int_equal(b->slow, h->type->slow);
	check_form(h, sig);
	(void)snprintf(more, sizeof more, ",%s", how);
	assert_true(is_valid(b, h->type->name, input, sig, more));
	assert_int_equal(b->slow, 0);
	assert_false(is_valid(b, h->type->name, other, sig, more));
}

static void every_combination(void **state)
{
	struct booth *b = *state;
	struct how h;

	make_keys(b);
	for (size_t t = 0; t < N_TYPES; t++) {
		size_t n_salts = types[t].family == RSA ? COUNT(salts) : 1;

		for (size_t i = 0; i < COUNT(hashes) * COUNT(schemes) * 2 * 2 * n_salts; i++) {
			h = (struct how){.type = &types[t],
			                 .hash = i % COUNT(hashes),
			                 .scheme = i / COUNT(hashes) % COUNT(schemes),
			                 .marshaling = i / COUNT(hashes) / COUNT(schemes) % 2,
			                 .prehashed =
			                     i / COUNT(hashes) / COUNT(schemes) / 2 % 2 == 1,
			                 .salt = i / COUNT(hashes) / COUNT(schemes) / 4};
			one_combination(b, &h);
		}
	}
}

/* What was signed in one way is not valid in another. */
static void another_way_is_not_valid(void **state)
{
	static const struct {
		const char *key, *how, *other;
	} cases[] = {
	    {"ecdsa-p256", "", ",\"hash_algorithm\":\"sha2-384\""},
	    {"ecdsa-p256", "", ",\"hash_algorithm\":\"sha3-256\""},
	    {"rsa-2048", "", ",\"signature_algorithm\":\"pkcs1v15\""},
	    {"rsa-2048", ",\"signature_algorithm\":\"pkcs1v15\"", ""},
	    {"rsa-2048", "", ",\"hash_algorithm\":\"sha2-512\""},
	    {"rsa-2048", "", ",\"salt_length\":\"hash\""},
	    {"rsa-2048", ",\"salt_length\":20", ",\"salt_length\":21"},
	    {"rsa-2048", ",\"salt_length\":\"hash\"", ",\"salt_length\":\"20\""},
	    {"rsa-2048", ",\"signature_algorithm\":\"pkcs1v15\"",
	     ",\"signature_algorithm\":\"pkcs1v15\",\"hash_algorithm\":\"sha3-256\""},
	};
	struct booth *b = *state;
	char sig[SIG_MAX];

	make_keys(b);
	for (size_t i = 0; i < COUNT(cases); i++) {
		sign(b, cases[i].key, HELLO, cases[i].how, sig);
		assert_true(is_valid(b, cases[i].key, HELLO, sig, cases[i].how));
		assert_false(is_valid(b, cases[i].key, HELLO, sig, cases[i].other));
	}
	/* but these say the same */
	sign(b, "rsa-2048", HELLO, ",\"salt_length\":\"HASH\"", sig);
	assert_true(is_valid(b, "rsa-2048", HELLO, sig, ""));
	assert_true(is_valid(b, "rsa-2048", HELLO, sig, ",\"salt_length\":32"));
	sign(b, "ecdsa-p256", HELLO, ",\"algorithm\":\"sha2-512\"", sig);
	assert_true(is_valid(b, "ecdsa-p256/sha2-512", HELLO, sig, ",\"algorithm\":\"sha1\""));
	assert_true(is_valid(b, "ecdsa-p256", HELLO, sig,
	                     ",\"algorithm\":\"sha1\",\"hash_algorithm\":\"sha2-512\""));
	sign(b, "ed25519", HELLO, "", sig);
	assert_true(is_valid(b, "ed25519", HELLO, sig, ",\"prehashed\":true"));
}

/* ---- what is refused ---- */

static void what_is_refused(void **state)
{
	static const struct {
		const char *path, *body, *why;
	} cases[] = {
	    {"sign/no", "{\"input\":\"\"}", "signing key not found"},
	    {"sign/ed", "{\"input\":\"!\"}",
	     "unable to decode input as base64: illegal base64 data at input byte 0"},
	    {"sign/ed", "{\"input\":{}}", "must be a string"},
	    {"sign/ed", "{\"input\":\"\",\"context\":\"!\"}", "failed to base64-decode context"},
	    {"sign/ed", "{\"input\":\"\",\"hash_algorithm\":\"md5\"}",
	     "invalid hash algorithm \"md5\""},
	    {"sign/ed/md5", "{\"input\":\"\"}", "invalid hash algorithm \"md5\""},
	    {"sign/ed", "{\"input\":\"\",\"marshaling_algorithm\":\"ber\"}",
	     "invalid marshaling type \"ber\""},
	    {"sign/ed", "{\"input\":\"\",\"marshaling_algorithm\":\"\"}",
	     "invalid marshaling type \"\""},
	    {"sign/ed", "{\"input\":\"\",\"salt_length\":\"much\"}",
	     "salt length neither 'auto', 'hash', nor an int: much"},
	    {"sign/ed", "{\"input\":\"\",\"salt_length\":\"-2\"}", "salt length is invalid: -2"},
	    {"sign/ed", "{\"input\":\"\",\"salt_length\":99999999999}",
	     "salt length is invalid: 99999999999"},
	    {"sign/ed", "{\"input\":\"\",\"prehashed\":\"perhaps\"}", "must be true or false"},
	    {"sign/ed", "{\"input\":\"\",\"key_version\":\"x\"}", "must be an integer"},
	    {"sign/ed", "{\"input\":\"\",\"key_version\":-1}",
	     "requested version for signing is negative"},
	    {"sign/ed", "{\"input\":\"\",\"key_version\":2}",
	     "requested version for signing is higher than the latest key version"},
	    {"sign/ed", "{\"batch_input\":7}", "must be an array"},
	    {"sign/ed", "{\"batch_input\":[]}", "missing batch input to process"},
	    {"sign/ed", "{\"batch_input\":[null]}", "'[0]' must be an object"},
	    {"sign/ed", "{\"batch_input\":[{\"input\":\"\",\"context\":false}]}",
	     "'[0].context' must be a string"},
	    {"sign/ec", "{\"input\":\"AAAA\",\"prehashed\":true}", "the input is no digest"},
	    {"sign/ec", "{\"input\":\"\",\"prehashed\":true}", "the input is no digest"},
	    {"verify/ec", "{\"input\":\"AAAA\",\"prehashed\":true,\"signature\":\"vault:v1:\"}",
	     "the input is no digest"},
	    {"verify/no", "{\"signature\":\"vault:v1:AAAA\"}",
	     "signature verification key not found"},
	    {"verify/ed", "{\"signature\":\"\"}", "invalid signature: no prefix"},
	    {"verify/ed", "{\"signature\":\"\",\"hmac\":\"\"}", "invalid signature: no prefix"},
	    {"verify/ed", "{\"signature\":\"x\"}", "invalid signature: no prefix"},
	    {"verify/ed", "{\"signature\":\"vault:v1\"}", "wrong number of fields"},
	    {"verify/ed", "{\"signature\":\"vault:vx:\"}", "version number could not be decoded"},
	    {"verify/ed", "{\"signature\":\"vault:v2:\"}", "invalid signature: version is too new"},
	    {"verify/ed", "{\"signature\":\"vault:v0:\"}",
	     "ciphertext or signature version is disallowed by policy (too old)"},
	    {"verify/ed", "{\"signature\":\"vault:v1:!\"}", "invalid base64 signature value"},
	    {"verify/ed", "{\"signature\":\"vault:v1:-_-_\"}", "invalid base64 signature value"},
	    {"verify/ed", "{\"signature\":\"vault:v1:+AAA\",\"marshaling_algorithm\":\"jws\"}",
	     "invalid base64 signature value"},
	    {"verify/ed", "{\"signature\":\"vault:v1:AA==\",\"marshaling_algorithm\":\"jws\"}",
	     "invalid base64 signature value"},
	    {"verify/ed", "{\"signature\":\"vault:v1:\",\"input\":\"!\"}",
	     "unable to decode input as base64"},
	    {"verify/ed", "{\"signature\":\"vault:v1:\",\"hmac\":\"vault:v1:\"}",
	     "provide one of 'signature' or 'hmac'"},
	    {"verify/ec", "{\"signature\":\"vault:v1:\"}", "supplied signature is invalid"},
	    {"verify/ec", "{\"signature\":\"vault:v1:AAAA\"}", "supplied signature is invalid"},
	    /* 30 06 02 01 01 02 01 01, then: cut off, longer, one number, a length that is not the shortest, an indefinite one, a zero too many, no number */
	    {"verify/ec", "{\"signature\":\"vault:v1:MAYCAQECAQ==\"}",
	     "supplied signature is invalid"},
	    {"verify/ec", "{\"signature\":\"vault:v1:MAYCAQECAQEA\"}",
	     "supplied signature contains extra data"},
	    {"verify/ec", "{\"signature\":\"vault:v1:MAMCAQE=\"}", "supplied signature is invalid"},
	    {"verify/ec", "{\"signature\":\"vault:v1:MIEGAgEBAgEB\"}",
	     "supplied signature is invalid"},
	    {"verify/ec", "{\"signature\":\"vault:v1:MIACAQECAQEAAA==\"}",
	     "supplied signature is invalid"},
	    {"verify/ec", "{\"signature\":\"vault:v1:MAcCAgABAgEB\"}",
	     "supplied signature is invalid"},
	    {"verify/ec", "{\"signature\":\"vault:v1:MAUCAAIBAQ==\"}",
	     "supplied signature is invalid"},
	};
	struct booth *b = *state;

	make_key(b, "ed", "ed25519");
	make_key(b, "ec", "ecdsa-p256");
	for (size_t i = 0; i < COUNT(cases); i++)
		booth_refused(b, cases[i].why, cases[i].path, "%s", cases[i].body);
	assert_false(is_valid(b, "ec", "", "vault:v1:MAYCAQECAQE=", "")); /* well formed */
	assert_false(is_valid(b, "ec", "", "vault:v1:AAAA", ",\"marshaling_algorithm\":\"jws\""));
	assert_false(is_valid(b, "ed", "", "vault:v1:", ""));
}

#define NO_HASH \
	",\"hash_algorithm\":\"none\",\"prehashed\":true,\"signature_algorithm\":\"pkcs1v15\""

static void long_input(size_t n, char ret[static 512])
{
	uint8_t bytes[256];

	memset(bytes, 'x', sizeof bytes);
	base64_encode(span_of(bytes, n), (uint8_t *)ret);
	ret[BASE64_LEN(n)] = 0;
}

static void what_rsa_refuses(void **state)
{
	static const struct {
		const char *body, *why;
	} cases[] = {
	    {"{\"input\":\"AAAA\",\"prehashed\":true}",
	     "the input is no digest of hash_algorithm: its length differs"},
	    {"{\"input\":\"AAAA\",\"prehashed\":true,\"signature_algorithm\":\"pkcs1v15\"}",
	     "the input is no digest of hash_algorithm"},
	    {"{\"input\":\"AAAA\",\"signature_algorithm\":\"PSS\"}",
	     "unsupported rsa signature algorithm PSS"},
	    {"{\"input\":\"AAAA\",\"salt_length\":223}", "requested salt length 223 is invalid"},
	    {"{\"input\":\"AAAA\",\"hash_algorithm\":\"none\",\"prehashed\":true}",
	     "hash_algorithm=none requires both"},
	};
	struct booth *b = *state;
	char sig[SIG_MAX], input[512];

	make_key(b, "rsa", "rsa-2048");
	for (size_t i = 0; i < COUNT(cases); i++)
		booth_refused(b, cases[i].why, "sign/rsa", "%s", cases[i].body);
	sign(b, "rsa", "AAAA", ",\"salt_length\":222", sig);
	assert_true(is_valid(b, "rsa", "AAAA", sig, ",\"salt_length\":222"));
	/* without a hash the input may be as long as the modulus less 11 bytes */
	long_input(245, input);
	sign(b, "rsa", input, NO_HASH, sig);
	assert_true(is_valid(b, "rsa", input, sig, NO_HASH));
	booth_refused(b, "the input is empty", "sign/rsa", "{\"input\":\"\"" NO_HASH "}");
	booth_refused(b, "the input is empty", "verify/rsa", "{\"signature\":\"%s\"" NO_HASH "}",
	              sig);
	long_input(246, input);
	booth_refused(b, "too long for the key", "sign/rsa", "{\"input\":\"%s\"" NO_HASH "}",
	              input);
}

/* ---- versions ---- */

static void versions_of_a_signature(void **state)
{
	struct booth *b = *state;
	char one[SIG_MAX], two[SIG_MAX];

	make_key(b, "k", "ed25519");
	sign(b, "k", HELLO, "", one);
	booth_good(b, "keys/k/rotate", "{}");
	sign(b, "k", HELLO, "", two);
	assert_memory_equal(two, "vault:v2:", 9);
	assert_true(is_valid(b, "k", HELLO, one, "") && is_valid(b, "k", HELLO, two, ""));
	sign(b, "k", HELLO, ",\"key_version\":\"1\"", two);
	assert_string_equal(two, one);
	one[7] = '2';
	assert_false(is_valid(b, "k", HELLO, one, ""));
	one[7] = '1';
	booth_good(b, "keys/k/config", "{\"min_encryption_version\":2}");
	booth_refused(b, "less than the minimum encryption key version", "sign/k",
	              "{\"input\":\"\",\"key_version\":1}");
	assert_true(is_valid(b, "k", HELLO, one, ""));
	booth_good(b, "keys/k/config", "{\"min_decryption_version\":2}");
	booth_refused(b, "disallowed by policy (too old)", "verify/k", "{\"signature\":\"%s\"}",
	              one);
}

static void a_version_that_must_not_be_used(void **state)
{
	struct booth *b = *state;
	char one[SIG_MAX];

	make_key(b, "k", "ecdsa-p256");
	sign(b, "k", HELLO, "", one);
	booth_good(b, "keys/k/rotate", "{}");
	booth_good(b, "keys/k/versions/1", "{\"state\":\"disabled\"}");
	booth_refused(b, "is disabled", "sign/k", "{\"input\":\"\",\"key_version\":1}");
	booth_refused(b, "its signatures are revoked", "verify/k", "{\"signature\":\"%s\"}", one);
	booth_good(b, "keys/k/versions/1", "{\"state\":\"decrypt_only\"}");
	assert_true(is_valid(b, "k", HELLO, one, ""));
	booth_good(b, "keys/k/config", "{\"deletion_allowed\":true}");
	booth_good(b, "keys/k/versions/1", "{\"state\":\"destroyed\"}");
	booth_refused(b, "was destroyed", "sign/k", "{\"input\":\"\",\"key_version\":1}");
	booth_refused(b, "was destroyed", "verify/k", "{\"signature\":\"%s\"}", one);
	sign(b, "k", HELLO, "", one);
	assert_int_equal(booth_ask(b, VERB_DELETE, "keys/k/soft-delete", NULL), ST_OK);
	booth_refused(b, "soft-deleted", "sign/k", "{\"input\":\"\"}");
	booth_refused(b, "soft-deleted", "verify/k", "{\"signature\":\"%s\"}", one);
	booth_good(b, "keys/k/soft-delete-restore", "{}");
	assert_true(is_valid(b, "k", HELLO, one, ""));
}

static void a_signature_is_a_use(void **state)
{
	struct booth *b = *state;
	char sig[SIG_MAX], one[16], two[16], day[16];

	make_key(b, "k", "ed25519");
	sign(b, "k", HELLO, "", sig);
	booth_good(b, "keys/k/rotate", "{}");
	booth_good(b, "keys/k/rotate", "{}");
	clock_manual_advance(&b->rig->clock, INT64_C(72) * 3600 * NS_PER_S);
	booth_last_used(b, "k", "1", one);
	booth_last_used(b, "k", "2", two);
	booth_good(b, "sign/k", "{\"input\":\"\",\"key_version\":2}");
	booth_last_used(b, "k", "2", day);
	assert_string_not_equal(day, two);
	booth_last_used(b, "k", "1", two);
	assert_string_equal(two, one);
	assert_true(is_valid(b, "k", HELLO, sig, ""));
	booth_last_used(b, "k", "1", one);
	assert_string_equal(one, day);
}

/* ---- contexts ---- */

static void keys_of_contexts(void **state)
{
	struct booth *b = *state;
	char one[SIG_MAX], two[SIG_MAX], public_key[64];
	struct builder bytes = {.max = 0};

	booth_good(b, "keys/d", "{\"type\":\"ed25519\",\"derived\":true}");
	booth_refused(b, "missing 'context' for key derivation", "sign/d", "{\"input\":\"\"}");
	sign(b, "d", HELLO, ",\"context\":\"b25l\"", one);
	booth_keep(b, "public_key", public_key, sizeof public_key);
	assert_int_equal(builder_unbase64(&bytes, span_str(public_key)), ST_OK);
	assert_int_equal(bytes.n, 32);
	sign(b, "d", HELLO, ",\"context\":\"dHdv\"", two);
	assert_string_not_equal(booth_text(b, "public_key"), public_key);
	assert_string_not_equal(one, two);
	sign(b, "d", HELLO, ",\"context\":\"b25l\"", two);
	assert_string_equal(one, two);
	assert_string_equal(booth_text(b, "public_key"), public_key);
	assert_true(is_valid(b, "d", HELLO, one, ",\"context\":\"b25l\""));
	assert_false(is_valid(b, "d", HELLO, one, ",\"context\":\"dHdv\""));
	booth_refused(b, "missing 'context'", "verify/d", "{\"signature\":\"%s\"}", one);
	booth_good(b, "sign/d",
	           "{\"batch_input\":[{\"input\":\"" HELLO "\",\"context\":\"b25l\"},"
	           "{\"input\":\"" HELLO "\"}]}");
	assert_string_equal(booth_member(b, booth_item(b, 0), "publickey"), public_key);
	assert_string_equal(booth_member(b, booth_item(b, 0), "signature"), one);
	assert_non_null(strstr(booth_member(b, booth_item(b, 1), "error"), "missing 'context'"));
	builder_free(&bytes);
	/* a key that is not derived shows none, and passes over a context */
	make_key(b, "k", "ed25519");
	sign(b, "k", HELLO, ",\"context\":\"b25l\"", one);
	assert_null(json_member(json_root(&b->data), "public_key"));
	assert_true(is_valid(b, "k", HELLO, one, ""));
}

/* ---- batches ---- */

static void begin_batch(struct builder *body)
{
	builder_reset(body);
	builder_str(body, "{\"batch_input\":[");
}

static const char *end_batch(struct builder *body, const char *more)
{
	if (body->p[body->n - 1] == ',')
		builder_cut(body, body->n - 1);
	builder_fmt(body, "]%s}", more);
	builder_u8(body, 0);
	assert_int_equal(builder_status(body), ST_OK);
	return (const char *)body->p;
}

/* An item's input, of various lengths. */
static void nth_input(size_t i, char ret[static 128])
{
	input_of(i % 40, (unsigned)i, ret);
}

typedef char signature[SIG_MAX];

/* Signs n items in one call; their signatures. */
static signature *sign_batch(struct booth *b, const char *key, size_t n, const char *more)
{
	signature *sigs = calloc(n, sizeof *sigs);
	struct builder body = {.max = 0};
	char path[64], input[128], want[32];

	assert_non_null(sigs);
	begin_batch(&body);
	for (size_t i = 0; i < n; i++) {
		nth_input(i, input);
		builder_fmt(&body, "{\"input\":\"%s\",\"reference\":\"r%zu\"},", input, i);
	}
	(void)snprintf(path, sizeof path, "sign/%s", key);
	booth_good(b, path, "%s", end_batch(&body, more));
	builder_free(&body);
	assert_int_equal(booth_items(b), n);
	for (size_t i = 0; i < n; i++) {
		const struct json_value *v = booth_item(b, i);

		(void)snprintf(want, sizeof want, "r%zu", i);
		assert_string_equal(booth_member(b, v, "reference"), want);
		assert_null(booth_member(b, v, "error"));
		assert_int_equal(json_member(v, "key_version")->type, JSON_NUMBER);
		(void)snprintf(sigs[i], SIG_MAX, "%s", booth_member(b, v, "signature"));
	}
	return sigs;
}

/* Verifies them in one call; every third against another input. */
static void verify_batch(struct booth *b, const char *key, const signature *sigs, size_t n,
                         const char *more)
{
	struct builder body = {.max = 0};
	char path[64], input[128];

	begin_batch(&body);
	for (size_t i = 0; i < n; i++) {
		nth_input(i % 3 == 2 ? i + 1 : i, input);
		builder_fmt(&body, "{\"input\":\"%s\",\"signature\":\"%s\"},", input, sigs[i]);
	}
	(void)snprintf(path, sizeof path, "verify/%s", key);
	booth_good(b, path, "%s", end_batch(&body, more));
	builder_free(&body);
	assert_int_equal(booth_items(b), n);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(json_member(booth_item(b, i), "valid")->type,
		                 i % 3 == 2 ? JSON_FALSE : JSON_TRUE);
		assert_null(booth_member(b, booth_item(b, i), "error"));
	}
}

static void a_batch_is_its_items(void **state)
{
	static const struct {
		const char *key, *more;
		size_t n;
		bool same; /* signing twice gives the same */
	} cases[] = {{"ed25519", "", 1, true},
	             {"ed25519", "", 7, true},
	             {"ed25519", "", 300, true},
	             {"ecdsa-p256", "", 3, false},
	             {"ecdsa-p256", ",\"marshaling_algorithm\":\"jws\"", 200, false},
	             {"ecdsa-p384", ",\"hash_algorithm\":\"sha3-384\"", 9, false},
	             {"ecdsa-p521", "", 9, false},
	             {"rsa-2048", ",\"signature_algorithm\":\"pkcs1v15\"", 9, true},
	             {"rsa-2048", ",\"salt_length\":\"hash\"", 9, false}};
	struct booth *b = *state;
	char input[128], path[64];

	make_keys(b);
	for (size_t c = 0; c < COUNT(cases); c++) {
		signature *sigs = sign_batch(b, cases[c].key, cases[c].n, cases[c].more), one;

		verify_batch(b, cases[c].key, (const signature *)sigs, cases[c].n, cases[c].more);
		for (size_t i = 0; i < cases[c].n; i++) {
			nth_input(i, input);
			(void)snprintf(path, sizeof path, "sign/%s", cases[c].key);
			booth_good(b, path, "{\"input\":\"%s\"%s}", input, cases[c].more);
			booth_keep(b, "signature", one, sizeof one);
			assert_int_equal(strcmp(one, sigs[i]) == 0, cases[c].same);
			assert_true(is_valid(b, cases[c].key, input, sigs[i], cases[c].more));
		}
		free(sigs);
	}
}

/* Each item fails for itself, and the call is answered well. */
static void errors_of_items(void **state)
{
	static const char *const errors[] = {
	    NULL, "missing input",
	    "unable to decode input as base64: illegal base64 data at input byte 0",
	    "failed to base64-decode context", NULL};
	static const char *const wrong[] = {NULL,
	                                    "invalid signature: no prefix",
	                                    "invalid base64 signature value",
	                                    "supplied signature is invalid",
	                                    "missing input",
	                                    NULL};
	struct booth *b = *state;
	char sig[SIG_MAX];

	make_key(b, "k", "ecdsa-p256");
	booth_good(b, "sign/k",
	           "{\"input\":\"!\",\"batch_input\":[{\"input\":\"" HELLO "\"},{},"
	           "{\"input\":\"AAA\",\"reference\":\"x\"},{\"input\":\"\",\"context\":\"?\"},"
	           "{\"input\":1234,\"more\":[{}]}]}");
	assert_int_equal(booth_items(b), COUNT(errors));
	for (size_t i = 0; i < COUNT(errors); i++) {
		const struct json_value *v = booth_item(b, i);

		assert_int_equal(booth_member(b, v, "signature") != NULL, errors[i] == NULL);
		assert_true(span_eq_str(json_member(v, "key_version")->text,
		                        errors[i] == NULL ? "1" : "0"));
		assert_string_equal(booth_member(b, v, "reference"), i == 2 ? "x" : "");
		if (errors[i] != NULL)
			assert_string_equal(booth_member(b, v, "error"), errors[i]);
	}
	(void)snprintf(sig, sizeof sig, "%s", booth_member(b, booth_item(b, 0), "signature"));
	booth_good(b, "verify/k",
	           "{\"batch_input\":[{\"input\":\"" HELLO "\",\"signature\":\"%s\"},"
	           "{\"input\":\"\",\"signature\":\"\"},"
	           "{\"input\":\"\",\"signature\":\"vault:v1:!\"},"
	           "{\"input\":\"\",\"signature\":\"vault:v1:AAAA\"},"
	           "{\"signature\":\"%s\"},{\"input\":\"\",\"signature\":\"%s\",\"hmac\":null}]}",
	           sig, sig, sig);
	assert_int_equal(booth_items(b), COUNT(wrong));
	for (size_t i = 0; i < COUNT(wrong); i++) {
		const struct json_value *v = booth_item(b, i);
		const char *error = booth_member(b, v, "error");

		assert_int_equal(json_member(v, "valid")->type, i == 0 ? JSON_TRUE : JSON_FALSE);
		assert_int_equal(error != NULL, wrong[i] != NULL);
		if (error != NULL)
			assert_string_equal(error, wrong[i]);
	}
	/* what is wrong with all of them, each item says */
	booth_good(b, "sign/k", "{\"batch_input\":[{\"input\":\"\"},{}],\"key_version\":9}");
	assert_non_null(
	    strstr(booth_member(b, booth_item(b, 0), "error"), "higher than the latest"));
	assert_string_equal(booth_member(b, booth_item(b, 1), "error"), "missing input");
}

/* Signatures of several versions, in turn. */
static void a_batch_of_versions(void **state)
{
	struct booth *b = *state;
	struct builder body = {.max = 0};
	char sigs[4][SIG_MAX];

	make_key(b, "k", "ed25519");
	for (size_t i = 0; i < 4; i++) {
		sign(b, "k", HELLO, "", sigs[i]);
		booth_good(b, "keys/k/rotate", "{}");
	}
	booth_good(b, "keys/k/versions/2", "{\"state\":\"disabled\"}");
	booth_good(b, "keys/k/config", "{\"min_decryption_version\":2}");
	begin_batch(&body);
	for (size_t i = 0; i < 40; i++)
		builder_fmt(&body, "{\"input\":\"" HELLO "\",\"signature\":\"%s\"},", sigs[i % 4]);
	booth_good(b, "verify/k", "%s", end_batch(&body, ""));
	for (size_t i = 0; i < 40; i++) {
		const struct json_value *v = booth_item(b, i);
		const char *error = booth_member(b, v, "error");

		assert_int_equal(json_member(v, "valid")->type,
		                 i % 4 >= 2 ? JSON_TRUE : JSON_FALSE);
		assert_int_equal(error != NULL, i % 4 < 2);
		if (error != NULL)
			assert_non_null(strstr(error, i % 4 == 0 ? "too old" : "revoked"));
	}
	builder_free(&body);
}

/* ---- slow work ---- */

static void disable_first(struct booth *b)
{
	booth_good(b, "keys/k/rotate", "{}");
	booth_good(b, "keys/k/versions/1", "{\"state\":\"disabled\"}");
}

static void raise_minimum(struct booth *b)
{
	booth_good(b, "keys/k/config", "{\"min_decryption_version\":2}");
}

static void rotate(struct booth *b)
{
	booth_good(b, "keys/k/rotate", "{}");
}

static void make_anew(struct booth *b)
{
	booth_good(b, "keys/k/config", "{\"deletion_allowed\":true}");
	assert_int_equal(booth_ask(b, VERB_DELETE, "keys/k", NULL), ST_OK);
	make_key(b, "k", "ecdsa-p521");
}

static void delete_it(struct booth *b)
{
	booth_good(b, "keys/k/config", "{\"deletion_allowed\":true}");
	assert_int_equal(booth_ask(b, VERB_DELETE, "keys/k", NULL), ST_OK);
}

/* What changes while the pool works: its result counts if its version may still be used, and not otherwise. */
static void what_changes_meanwhile(void **state)
{
	struct booth *b = *state;
	char sig[SIG_MAX];

	make_key(b, "k", "ecdsa-p521");
	b->meanwhile = rotate;
	sign(b, "k", HELLO, "", sig);
	assert_int_equal(b->slow, 1);
	assert_memory_equal(sig, "vault:v1:", 9);
	assert_true(is_valid(b, "k", HELLO, sig, ""));
	b->meanwhile = disable_first;
	booth_refused(b, "is disabled", "sign/k", "{\"input\":\"\",\"key_version\":1}");
	assert_int_equal(b->slow, 1);
	b->meanwhile = make_anew;
	sign(b, "k", HELLO, "", sig);
	assert_int_equal(b->slow, 2); /* of another key */
	assert_true(is_valid(b, "k", HELLO, sig, ""));
	b->meanwhile = delete_it;
	booth_refused(b, "signing key not found", "sign/k", "{\"input\":\"\"}");
}

/* Before the second thing that is done, the first being the handler: the threads forget their keys, as when the store closes. */
static struct booth *closing;
static unsigned done_before;

static void close_it(void)
{
	if (done_before++ == 1)
		engine_transit.life->thread_drop(closing->loop);
}

/* A store that closes waits for one signature, not for a whole batch; a call that is still there afterwards, as the store was opened anew, has its work done again. */
static void work_is_cut_short(void **state)
{
	struct booth *b = *state;
	signature *sigs;

	make_key(b, "k", "ecdsa-p521");
	closing = b;
	done_before = 0;
	b->before = close_it;
	sigs = sign_batch(b, "k", 5, "");
	assert_int_equal(b->slow, 2);
	b->before = NULL;
	verify_batch(b, "k", (const signature *)sigs, 5, "");
	free(sigs);
}

/* 30,000 signatures of RSA-3072 are reckoned to take a minute. */
static void too_much_for_one_call(void **state)
{
	struct booth *b = *state;
	struct builder body = {.max = 0};

	make_key(b, "k", "rsa-3072");
	begin_batch(&body);
	for (size_t i = 0; i < 30100; i++)
		builder_str(&body, "{\"input\":\"\"},");
	booth_refused(b, "send them in parts", "sign/k", "%s", end_batch(&body, ""));
	assert_int_equal(b->slow, 0);
	builder_free(&body);
}

static void a_long_batch_is_slow_work(void **state)
{
	struct booth *b = *state;
	signature *sigs;
	struct builder body = {.max = 0};

	make_key(b, "k", "ecdsa-p384");
	sigs = sign_batch(b, "k", 1, "");
	assert_int_equal(b->slow, 0);
	free(sigs);
	sigs = sign_batch(b, "k", 20, "");
	assert_int_equal(b->slow, 1);
	verify_batch(b, "k", (const signature *)sigs, 20, "");
	assert_int_equal(b->slow, 1);
	booth_good(b, "keys/k/rotate", "{}");
	begin_batch(&body);
	for (size_t i = 0; i < 20; i++)
		builder_fmt(&body, "{\"input\":\"\",\"signature\":\"%s\"},", sigs[i]);
	b->meanwhile = raise_minimum;
	booth_good(b, "verify/k", "%s", end_batch(&body, ""));
	assert_int_equal(b->slow, 1);
	for (size_t i = 0; i < 20; i++)
		assert_non_null(strstr(booth_member(b, booth_item(b, i), "error"), "too old"));
	builder_free(&body);
	free(sigs);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, booth_new, booth_free)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(every_combination),         CASE(another_way_is_not_valid),
	    CASE(what_is_refused),           CASE(what_rsa_refuses),
	    CASE(versions_of_a_signature),   CASE(a_version_that_must_not_be_used),
	    CASE(a_signature_is_a_use),      CASE(keys_of_contexts),
	    CASE(a_batch_is_its_items),      CASE(errors_of_items),
	    CASE(a_batch_of_versions),       CASE(what_changes_meanwhile),
	    CASE(work_is_cut_short),         CASE(too_much_for_one_call),
	    CASE(a_long_batch_is_slow_work),
	};

	return cmocka_run_group_tests(tests, booth_process, NULL);
}
