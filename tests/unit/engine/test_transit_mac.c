/* hmac and its verifying, hash, random.  Sums: the examples of FIPS 180-4 and FIPS 202 for "abc". */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "booth.h"

#define HELLO "aGVsbG8gd29ybGQ="

static const char *const algorithms[] = {"sha1",     "sha2-224", "sha2-256", "sha2-384", "sha2-512",
                                         "sha3-224", "sha3-256", "sha3-384", "sha3-512"};
static const size_t lengths[] = {20, 28, 32, 48, 64, 28, 32, 48, 64};
#define N_ALGORITHMS (sizeof algorithms / sizeof *algorithms)

/* Types that need no seconds to make. */
static const char *const keys[] = {"aes128-gcm96",       "aes256-gcm96", "chacha20-poly1305",
                                   "xchacha20-poly1305", "xaes-256-gcm", "hmac"};
#define N_KEYS (sizeof keys / sizeof *keys)

static void make_key(struct booth *b, const char *type)
{
	char path[64];

	(void)snprintf(path, sizeof path, "keys/%s", type);
	booth_good(b, path, "{\"type\":\"%s\",\"key_size\":%d}", type,
	           strcmp(type, "hmac") == 0 ? 32 : 0);
}

static void mac(struct booth *b, const char *key, const char *input, char ret[static 128])
{
	char path[64];

	(void)snprintf(path, sizeof path, "hmac/%s", key);
	booth_good(b, path, "{\"input\":\"%s\"}", input);
	booth_keep(b, "hmac", ret, 128);
}

static bool is_valid(struct booth *b, const char *path, const char *input, const char *hmac,
                     const char *more)
{
	booth_good(b, path, "{\"input\":\"%s\",\"hmac\":\"%s\"%s}", input, hmac, more);
	return booth_true(b, "valid");
}

/* The last digit before the padding changes, and stays a canonical one. */
static void change(char *hmac)
{
	size_t n = strcspn(hmac, "=");

	hmac[n - 1] = hmac[n - 1] == 'A' ? 'Q' : 'A';
}

/* ---- hmac ---- */

static void every_key_and_algorithm(void **state)
{
	struct booth *b = *state;
	char path[64], verify[64], hmac[128], other[128], more[64];

	for (size_t k = 0; k < N_KEYS; k++) {
		make_key(b, keys[k]);
		for (size_t a = 0; a < N_ALGORITHMS; a++) {
			(void)snprintf(path, sizeof path, "hmac/%s", keys[k]);
			booth_good(b, path, "{\"input\":\"" HELLO "\",\"algorithm\":\"%s\"}",
			           algorithms[a]);
			booth_keep(b, "hmac", hmac, sizeof hmac);
			assert_int_equal(strlen(hmac),
			                 strlen("vault:v1:") + BASE64_LEN(lengths[a]));
			(void)snprintf(path, sizeof path, "hmac/%s/%s", keys[k], algorithms[a]);
			booth_good(b, path, "{\"input\":\"" HELLO "\"}");
			assert_string_equal(booth_text(b, "hmac"), hmac);
			/* the three ways to say which */
			(void)snprintf(verify, sizeof verify, "verify/%s/%s", keys[k],
			               algorithms[a]);
			assert_true(is_valid(b, verify, HELLO, hmac, ""));
			(void)snprintf(verify, sizeof verify, "verify/%s", keys[k]);
			(void)snprintf(more, sizeof more, ",\"hash_algorithm\":\"%s\"",
			               algorithms[a]);
			assert_true(is_valid(b, verify, HELLO, hmac, more));
			(void)snprintf(more, sizeof more, ",\"algorithm\":\"%s\"", algorithms[a]);
			assert_true(is_valid(b, verify, HELLO, hmac, more));
			assert_int_equal(is_valid(b, verify, HELLO, hmac, ""),
			                 strcmp(algorithms[a], "sha2-256") == 0);
			/* something is different */
			assert_false(is_valid(b, verify, "", hmac, more));
			memcpy(other, hmac, sizeof other);
			change(other);
			assert_false(is_valid(b, verify, HELLO, other, more));
			assert_false(is_valid(b, verify, HELLO, "vault:v1:", more));
		}
	}
}

static void keys_of_the_same_type_differ(void **state)
{
	struct booth *b = *state;
	char one[128], two[128];

	booth_good(b, "keys/one", "{}");
	booth_good(b, "keys/two", "{}");
	mac(b, "one", HELLO, one);
	mac(b, "two", HELLO, two);
	assert_string_not_equal(one, two);
	assert_false(is_valid(b, "verify/two", HELLO, one, ""));
}

static void versions_of_a_mac(void **state)
{
	struct booth *b = *state;
	char one[128], two[128], again[128];

	booth_good(b, "keys/k", "{}");
	mac(b, "k", HELLO, one);
	booth_good(b, "keys/k/rotate", "{}");
	mac(b, "k", HELLO, two);
	assert_memory_equal(two, "vault:v2:", 9);
	assert_string_not_equal(one + 9, two + 9);
	booth_good(b, "hmac/k", "{\"input\":\"" HELLO "\",\"key_version\":1}");
	assert_string_equal(booth_text(b, "hmac"), one);
	assert_true(is_valid(b, "verify/k", HELLO, one, ""));
	assert_true(is_valid(b, "verify/k", HELLO, two, ""));
	memcpy(again, one, sizeof again);
	again[7] = '2'; /* another version's */
	assert_false(is_valid(b, "verify/k", HELLO, again, ""));
	booth_refused(b, "latest key version is 2", "hmac/k", "{\"input\":\"\",\"key_version\":3}");
	booth_refused(b, "cannot be negative", "hmac/k", "{\"input\":\"\",\"key_version\":-1}");
	booth_refused(b, "must be an integer", "hmac/k", "{\"input\":\"\",\"key_version\":\"x\"}");
	booth_refused(b, "version is too new", "verify/k", "{\"hmac\":\"vault:v3:AAAA\"}");
	booth_refused(b, "version is too old", "verify/k", "{\"hmac\":\"vault:v0:AAAA\"}");
	booth_refused(b, "version is too old", "verify/k", "{\"hmac\":\"vault:v-2:AAAA\"}");
	booth_good(b, "keys/k/config", "{\"min_encryption_version\":2}");
	booth_refused(b, "version is too old", "hmac/k", "{\"input\":\"\",\"key_version\":1}");
	assert_true(is_valid(b, "verify/k", HELLO, one, ""));
	booth_good(b, "keys/k/config", "{\"min_decryption_version\":2}");
	booth_refused(b, "version is too old", "verify/k", "{\"hmac\":\"%s\"}", one);
	assert_true(is_valid(b, "verify/k", HELLO, two, ""));
}

static void a_version_that_must_not_be_used(void **state)
{
	struct booth *b = *state;
	char one[128];

	booth_good(b, "keys/k", "{}");
	mac(b, "k", HELLO, one);
	booth_good(b, "keys/k/rotate", "{}");
	booth_good(b, "keys/k/versions/1", "{\"state\":\"disabled\"}");
	booth_refused(b, "is disabled", "hmac/k", "{\"input\":\"\",\"key_version\":1}");
	booth_refused(b, "its MACs are revoked", "verify/k", "{\"hmac\":\"%s\"}", one);
	booth_good(b, "keys/k/versions/1", "{\"state\":\"decrypt_only\"}");
	assert_true(is_valid(b, "verify/k", HELLO, one, ""));
	booth_good(b, "keys/k/config", "{\"deletion_allowed\":true}");
	booth_good(b, "keys/k/versions/1", "{\"state\":\"destroyed\"}");
	booth_refused(b, "was destroyed", "hmac/k", "{\"input\":\"\",\"key_version\":1}");
	booth_refused(b, "was destroyed", "verify/k", "{\"hmac\":\"%s\"}", one);
	mac(b, "k", HELLO, one);
	assert_int_equal(booth_ask(b, VERB_DELETE, "keys/k/soft-delete", NULL), ST_OK);
	booth_refused(b, "soft-deleted", "hmac/k", "{\"input\":\"\"}");
	booth_refused(b, "soft-deleted", "verify/k", "{\"hmac\":\"%s\"}", one);
	booth_good(b, "keys/k/soft-delete-restore", "{}");
	assert_true(is_valid(b, "verify/k", HELLO, one, ""));
}

/* Deleted and made again, a key of the same name is another. */
static void another_key_of_the_name(void **state)
{
	struct booth *b = *state;
	char one[128];

	booth_good(b, "keys/k", "{}");
	mac(b, "k", HELLO, one);
	booth_good(b, "keys/k/config", "{\"deletion_allowed\":true}");
	assert_int_equal(booth_ask(b, VERB_DELETE, "keys/k", NULL), ST_OK);
	booth_refused(b, "encryption key not found", "hmac/k", "{\"input\":\"\"}");
	booth_refused(b, "encryption key not found", "verify/k", "{\"hmac\":\"%s\"}", one);
	booth_good(b, "keys/k", "{}");
	assert_false(is_valid(b, "verify/k", HELLO, one, ""));
}

/* Also verifying: who is to tell a forged MAC of a version from a true one needs it. */
static void a_mac_is_a_use(void **state)
{
	struct booth *b = *state;
	char hmac[128], one[16], two[16], day[16];

	booth_good(b, "keys/k", "{}");
	mac(b, "k", HELLO, hmac);
	booth_good(b, "keys/k/rotate", "{}");
	booth_good(b, "keys/k/rotate", "{}");
	clock_manual_advance(&b->rig->clock, INT64_C(72) * 3600 * NS_PER_S);
	booth_last_used(b, "k", "1", one);
	booth_last_used(b, "k", "2", two);
	booth_good(b, "hmac/k", "{\"input\":\"\",\"key_version\":2}");
	booth_last_used(b, "k", "2", day);
	assert_string_not_equal(day, two);
	booth_last_used(b, "k", "1", two);
	assert_string_equal(two, one);
	assert_false(is_valid(b, "verify/k", "", hmac, ""));
	booth_last_used(b, "k", "1", one);
	assert_string_equal(one, day);
}

static void what_is_refused(void **state)
{
	static const struct {
		const char *path, *body, *why;
	} cases[] = {
	    {"hmac/no", "{\"input\":\"\"}", "encryption key not found"},
	    {"hmac/k", "{}", "missing input for HMAC"},
	    {"hmac/k", "{\"input\":null}", "missing input for HMAC"},
	    {"hmac/k", "{\"input\":\"!\"}",
	     "unable to decode input as base64: illegal base64 data at input byte 0"},
	    {"hmac/k", "{\"input\":\"QQ=A\"}", "illegal base64 data at input byte 2"},
	    {"hmac/k", "{\"input\":true}", "must be a string"},
	    {"hmac/k", "{\"input\":[]}", "must be a string"},
	    {"hmac/k", "{\"input\":\"\",\"algorithm\":\"md5\"}", "unsupported algorithm \"md5\""},
	    {"hmac/k", "{\"input\":\"\",\"algorithm\":\"none\"}", "unsupported algorithm \"none\""},
	    {"hmac/k", "{\"input\":\"\",\"algorithm\":5}", "must be a string"},
	    {"hmac/k/SHA2-256", "{\"input\":\"\"}", "unsupported algorithm \"SHA2-256\""},
	    {"hmac/k", "{\"batch_input\":{}}", "must be an array"},
	    {"hmac/k", "{\"batch_input\":[]}", "missing batch input to process"},
	    {"hmac/k", "{\"batch_input\":[1]}", "'[0]' must be an object"},
	    {"hmac/k", "{\"batch_input\":[{\"input\":\"\"},{\"input\":{}}]}",
	     "'[1].input' must be a string"},
	    {"verify/no", "{\"hmac\":\"vault:v1:AAAA\"}", "encryption key not found"},
	    {"verify/k", "{\"hmac\":\"\"}", "invalid HMAC to verify: no prefix"},
	    {"verify/k", "{\"hmac\":\"vault:v\"}", "invalid HMAC: wrong number of fields"},
	    {"verify/k", "{\"hmac\":\"vault:v1\"}", "invalid HMAC: wrong number of fields"},
	    {"verify/k", "{\"hmac\":\"vault:v:AA\"}", "version number could not be decoded"},
	    {"verify/k", "{\"hmac\":\"vault:v1x:AA\"}", "version number could not be decoded"},
	    {"verify/k", "{\"hmac\":\"vault:v1:!\"}",
	     "unable to decode verification HMAC as base64: illegal base64 data at input byte 0"},
	    {"verify/k", "{\"hmac\":\"vault:v1:AAAA:AAAA\"}",
	     "illegal base64 data at input byte 4"},
	    {"verify/k", "{\"hmac\":\"vault:v1:AAAA\",\"input\":\"?\"}",
	     "unable to decode input as base64"},
	    {"verify/k", "{\"hmac\":\"vault:v1:AAAA\",\"hash_algorithm\":\"none\"}",
	     "invalid hash algorithm \"none\""},
	    {"verify/k/md5", "{\"hmac\":\"vault:v1:AAAA\"}", "invalid hash algorithm \"md5\""},
	    {"verify/k", "{}", "neither a 'signature' nor an 'hmac' were given to verify"},
	    {"verify/k", "{\"hmac\":\"a\",\"signature\":\"b\"}",
	     "provide one of 'signature' or 'hmac'"},
	    {"verify/k", "{\"batch_input\":[{\"hmac\":\"a\"},{\"signature\":\"b\"}]}",
	     "elements of batch_input must all provide 'signature' or all provide 'hmac'"},
	    {"verify/k", "{\"batch_input\":[{\"hmac\":\"a\",\"signature\":\"b\"}]}",
	     "elements of batch_input must all provide"},
	    {"verify/k", "{\"batch_input\":[{\"hmac\":\"a\"},{}]}",
	     "some elements of batch_input are missing 'hmac'"},
	    {"verify/k", "{\"batch_input\":[{\"input\":\"\"},{\"signature\":\"b\"}]}",
	     "some elements of batch_input are missing 'signature'"},
	    {"verify/k", "{\"batch_input\":[{},{}]}",
	     "no batch_input elements have 'signature' or 'hmac'"},
	    {"verify/k", "{\"signature\":\"vault:v1:AAAA\"}",
	     "key type aes256-gcm96 does not support verification"},
	    {"sign/k", "{\"input\":\"\"}", "key type aes256-gcm96 does not support signing"},
	};
	struct booth *b = *state;

	booth_good(b, "keys/k", "{}");
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		booth_refused(b, cases[i].why, cases[i].path, "%s", cases[i].body);
}

/* ---- batches ---- */

static void a_batch_is_its_items(void **state)
{
	static const char *const inputs[] = {"", "AA==", HELLO, "!", "AAAA", "A", HELLO};
	struct booth *b = *state;
	struct builder body = {.max = 0}, check = {.max = 0};
	char hmacs[7][128];

	booth_good(b, "keys/k", "{}");
	builder_str(&body, "{\"batch_input\":[{}");
	builder_str(&check, "{\"batch_input\":[{\"hmac\":\"\"}");
	for (size_t i = 0; i < 7; i++) {
		bool good = strlen(inputs[i]) % 4 == 0;

		if (good)
			mac(b, "k", inputs[i], hmacs[i]);
		builder_fmt(&body, ",{\"input\":\"%s\",\"reference\":\"\\\"%zu\\u0001\"}",
		            inputs[i], i);
		builder_fmt(&check, ",{\"input\":\"%s\",\"hmac\":\"%s\",\"reference\":\"%zu\"}",
		            inputs[i], good ? hmacs[i] : "x", i);
	}
	builder_str(&body, "],\"input\":\"ignored\"}");
	builder_str(&check, "]}");
	builder_u8(&body, 0);
	builder_u8(&check, 0);
	booth_good(b, "hmac/k", "%s", (const char *)body.p);
	assert_int_equal(booth_items(b), 8);
	assert_string_equal(booth_member(b, booth_item(b, 0), "error"), "missing input for HMAC");
	assert_string_equal(booth_member(b, booth_item(b, 0), "reference"), "");
	for (size_t i = 0; i < 7; i++) {
		const struct json_value *v = booth_item(b, i + 1);
		char reference[] = "\"0\001";

		reference[1] = (char)('0' + i);
		assert_string_equal(booth_member(b, v, "reference"), reference);
		if (strlen(inputs[i]) % 4 == 0) {
			assert_string_equal(booth_member(b, v, "hmac"), hmacs[i]);
			assert_null(booth_member(b, v, "error"));
		} else {
			assert_non_null(strstr(booth_member(b, v, "error"), "illegal base64 data"));
			assert_null(booth_member(b, v, "hmac"));
		}
	}
	booth_good(b, "verify/k", "%s", (const char *)check.p);
	assert_int_equal(booth_items(b), 8);
	for (size_t i = 0; i < 8; i++) {
		const struct json_value *v = booth_item(b, i), *valid = json_member(v, "valid");
		bool good = i > 0 && strlen(inputs[i - 1]) % 4 == 0;

		assert_int_equal(valid->type, good ? JSON_TRUE : JSON_FALSE);
		assert_int_equal(booth_member(b, v, "error") != NULL, !good);
	}
	builder_free(&body);
	builder_free(&check);
}

/* A MAC of megabytes is for the pool; what it made is not given out when its version is disabled meanwhile. */
static void disable_first(struct booth *b)
{
	booth_good(b, "keys/k/rotate", "{}");
	booth_good(b, "keys/k/versions/1", "{\"state\":\"disabled\"}");
}

static void delete_key(struct booth *b)
{
	booth_good(b, "keys/k/config", "{\"deletion_allowed\":true}");
	assert_int_equal(booth_ask(b, VERB_DELETE, "keys/k", NULL), ST_OK);
	booth_good(b, "keys/k", "{}");
}

static void long_inputs(void **state)
{
	struct booth *b = *state;
	size_t n = (size_t)4 << 20;
	struct builder input = {.max = 0};
	char hmac[128], again[128];

	for (size_t i = 0; i < n; i++)
		builder_u8(&input, 'A');
	builder_u8(&input, 0);
	booth_good(b, "keys/k", "{}");
	booth_good(b, "hmac/k", "{\"input\":\"%s\"}", (const char *)input.p);
	booth_keep(b, "hmac", hmac, sizeof hmac);
	assert_int_equal(b->slow, 1);
	assert_true(is_valid(b, "verify/k", (const char *)input.p, hmac, ""));
	assert_int_equal(b->slow, 1);
	assert_false(is_valid(b, "verify/k", "", hmac, ""));
	assert_int_equal(b->slow, 0);
	b->meanwhile = disable_first;
	booth_refused(b, "is disabled", "hmac/k", "{\"input\":\"%s\"}", (const char *)input.p);
	booth_good(b, "keys/k/versions/1", "{\"state\":\"decrypt_only\"}");
	b->meanwhile = disable_first;
	booth_refused(b, "MACs are revoked", "verify/k", "{\"input\":\"%s\",\"hmac\":\"%s\"}",
	              (const char *)input.p, hmac);
	/* another key meanwhile: the work is done again, under that one */
	b->meanwhile = delete_key;
	booth_good(b, "hmac/k", "{\"input\":\"%s\"}", (const char *)input.p);
	assert_int_equal(b->slow, 2);
	booth_keep(b, "hmac", again, sizeof again);
	assert_memory_equal(again, "vault:v1:", 9);
	assert_true(is_valid(b, "verify/k", (const char *)input.p, again, ""));
	booth_good(b, "hash", "{\"input\":\"%s\"}", (const char *)input.p);
	assert_int_equal(b->slow, 1);
	builder_free(&input);
}

/* ---- hash ---- */

static void sums(void **state)
{
	static const struct {
		const char *algorithm, *sum;
	} cases[] = {
	    {"sha2-224", "23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7"},
	    {"sha2-256", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
	    {"sha2-384", "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed"
	                 "8086072ba1e7cc2358baeca134c825a7"},
	    {"sha2-512", "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
	                 "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"},
	    {"sha3-224", "e642824c3f8cf24ad09234ee7d3c766fc9a3a5168d0c94ad73b46fdf"},
	    {"sha3-256", "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532"},
	    {"sha3-384", "ec01498288516fc926459f58e2c6ad8df9b473cb0fc08c2596da7cf0e49be4b2"
	                 "98d88cea927ac7f539f1edf228376d25"},
	    {"sha3-512", "b751850b1a57168a5693cd924b6b096e08f621827444f70d884f5d0240d2712e"
	                 "10e116e9192af3c91a7ec57647e3934057340b4cf408d5a56592f8274eec53f0"}};
	struct booth *b = *state;
	char path[64], base64[128];
	struct builder text = {.max = 0}, bytes = {.max = 0};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		booth_good(b, "hash", "{\"input\":\"YWJj\",\"algorithm\":\"%s\"}",
		           cases[i].algorithm);
		assert_string_equal(booth_text(b, "sum"), cases[i].sum);
		(void)snprintf(path, sizeof path, "hash/%s", cases[i].algorithm);
		booth_good(b, path, "{\"input\":\"YWJj\",\"algorithm\":\"ignored\"}");
		assert_string_equal(booth_text(b, "sum"), cases[i].sum);
		booth_good(b, path, "{\"input\":\"YWJj\",\"format\":\"base64\"}");
		booth_keep(b, "sum", base64, sizeof base64);
		builder_reset(&bytes);
		builder_reset(&text);
		assert_int_equal(builder_unbase64(&bytes, span_str(base64)), ST_OK);
		builder_hex(&text, builder_span(&bytes));
		assert_true(span_eq_str(builder_span(&text), cases[i].sum));
	}
	booth_good(b, "hash", "{\"input\":\"\"}");
	assert_string_equal(booth_text(b, "sum"),
	                    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	builder_free(&text);
	builder_free(&bytes);
}

static void no_sums(void **state)
{
	static const struct {
		const char *path, *body, *why;
	} cases[] = {
	    {"hash", "{}", "input missing"},
	    {"hash", "{\"input\":\"!\"}",
	     "unable to decode input as base64: illegal base64 data at input byte 0"},
	    {"hash", "{\"input\":\"\",\"format\":\"utf8\"}", "must be \"hex\" or \"base64\""},
	    {"hash", "{\"input\":\"\",\"format\":\"\"}", "must be \"hex\" or \"base64\""},
	    {"hash", "{\"input\":\"\",\"format\":1}", "must be a string"},
	    {"hash/sha1", "{\"input\":\"\"}", "unsupported algorithm sha1"},
	    {"hash/md5", "{\"input\":\"\"}", "unsupported algorithm md5"},
	    {"hash", "{\"input\":\"\",\"algorithm\":\"none\"}", "unsupported algorithm none"},
	    {"hash", "{\"input\":\"\",\"algorithm\":\"\"}", "unsupported algorithm "},
	    {"hash", "{\"input\":\"\",\"algorithm\":{}}", "must be a string"},
	};
	struct booth *b = *state;

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		booth_refused(b, cases[i].why, cases[i].path, "%s", cases[i].body);
}

/* ---- random ---- */

static void random_bytes(void **state)
{
	static const struct {
		const char *path, *body;
		size_t n;
	} cases[] = {{"random", "{}", 32},
	             {"random", "{\"bytes\":1}", 1},
	             {"random", "{\"bytes\":\"17\"}", 17},
	             {"random", "{\"bytes\":131072}", 131072},
	             {"random", "{\"source\":\"platform\",\"bytes\":3}", 3},
	             {"random", "{\"source\":\"\"}", 32},
	             {"random", "{\"source\":\"all\"}", 32},
	             {"random/5", "{\"bytes\":9}", 5},
	             {"random/005", "{}", 5},
	             {"random/platform", "{\"bytes\":9}", 9},
	             {"random/all", "{}", 32},
	             {"random/all/131072", "{\"bytes\":9}", 131072},
	             {"random/platform/1", "{\"source\":\"seal\"}", 1}};
	struct booth *b = *state;

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct builder bytes = {.max = 0};

		booth_good(b, cases[i].path, "%s", cases[i].body);
		assert_int_equal(b->answer.warnings.n > 0,
		                 strstr(cases[i].path, "all") != NULL ||
		                     strstr(cases[i].body, "all") != NULL);
		assert_int_equal(builder_unbase64(&bytes, span_str(booth_text(b, "random_bytes"))),
		                 ST_OK);
		assert_int_equal(bytes.n, cases[i].n);
		builder_free(&bytes);
	}
	booth_good(b, "random/20", "{\"format\":\"hex\"}");
	assert_int_equal(strlen(booth_text(b, "random_bytes")), 40);
	assert_int_equal(strspn(booth_text(b, "random_bytes"), "0123456789abcdef"), 40);
}

static void random_bytes_differ(void **state)
{
	struct booth *b = *state;
	char one[64];

	booth_good(b, "random", "{}");
	booth_keep(b, "random_bytes", one, sizeof one);
	booth_good(b, "random", "{}");
	assert_string_not_equal(booth_text(b, "random_bytes"), one);
}

static void no_random_bytes(void **state)
{
	static const struct {
		const char *path, *body, *why;
	} cases[] = {
	    {"random", "{\"bytes\":0}", "cannot be less than 1"},
	    {"random", "{\"bytes\":-1}", "cannot be less than 1"},
	    {"random", "{\"bytes\":131073}", "cannot be more than 131072"},
	    {"random", "{\"bytes\":9223372036854775807}", "cannot be more than 131072"},
	    {"random", "{\"bytes\":1.5}", "must be an integer"},
	    {"random/0", "{}", "cannot be less than 1"},
	    {"random/131073", "{}", "cannot be more than 131072"},
	    {"random/99999999999999999999999999", "{}", "no number of bytes"},
	    {"random/-1", "{}", "no number of bytes"},
	    {"random/1e3", "{}", "no number of bytes"},
	    {"random/dice", "{}", "no number of bytes"},
	    {"random/dice/3", "{}", "unsupported entropy source \"dice\""},
	    {"random/3/3", "{}", "unsupported entropy source \"3\""},
	    {"random", "{\"source\":\"dice\"}", "unsupported entropy source \"dice\""},
	    {"random/seal", "{}", "needs a seal that gives random bytes"},
	    {"random/seal/3", "{}", "needs a seal that gives random bytes"},
	    {"random", "{\"source\":\"seal\"}", "needs a seal that gives random bytes"},
	    {"random", "{\"format\":\"raw\"}", "unsupported encoding format raw"},
	};
	struct booth *b = *state;

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		booth_refused(b, cases[i].why, cases[i].path, "%s", cases[i].body);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, booth_new, booth_free)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(every_key_and_algorithm),
	    CASE(keys_of_the_same_type_differ),
	    CASE(versions_of_a_mac),
	    CASE(a_version_that_must_not_be_used),
	    CASE(another_key_of_the_name),
	    CASE(a_mac_is_a_use),
	    CASE(what_is_refused),
	    CASE(a_batch_is_its_items),
	    CASE(long_inputs),
	    CASE(sums),
	    CASE(no_sums),
	    CASE(random_bytes),
	    CASE(random_bytes_differ),
	    CASE(no_random_bytes),
	};

	return cmocka_run_group_tests(tests, booth_process, NULL);
}
