/*
 * Keys of the types that authenticate nothing, which only the StoredSafe API offers: what is done with one that is there, whichever call it is; that the
 * Vault API knows no such type, whichever way one asks for it; that memory may run out.
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
#include "crypto/ofb.h"
#include "engine/transit_backup.h"
#include "engine/transit_key.h"

#define TEXT_MAX 4096

static const enum key_type types[] = {KEY_AES128_OFB, KEY_AES256_OFB};
#define TYPES (sizeof types / sizeof *types)

/* ---- keys ---- */

struct making {
	struct booth *booth;
	const char *name;
	enum key_type type;
	size_t cut; /* bytes that the stored key lacks */
};

/* As the engine that offers the type makes one. */
static enum status make(void *arg, struct txn *t, struct err *err)
{
	const struct making *m = arg;
	struct key_head head = {.type = m->type, .exportable = true, .plaintext_backup = true};
	struct key_material material;
	struct version_data data;
	struct view view;
	struct key_place p = {.view = &view,
	                      .mount = span_str("one/"),
	                      .transit = m->booth->transit,
	                      .thread = m->booth->writer,
	                      .random = &random_system,
	                      .now_ns = atomic_load(&m->booth->rig->clock.wall)};
	enum status st;

	view_init(&view, t, span_str("engine/one/"));
	st = key_material_new(m->type, 0, p.random, &material, err);
	if (st != ST_OK)
		return st;
	key_material_data(&material, &data);
	data.private_key.n -= m->cut;
	st = key_make(&p, span_str(m->name), &head, &data, err);
	key_material_free(&material);
	return st;
}

/* The type's name is the key's. */
static const char *make_key(struct booth *b, enum key_type type)
{
	struct making m = {b, key_type_info(type)->name, type, 0};

	assert_int_equal(rig_do(b->rig, make, &m), ST_OK);
	return m.name;
}

/* ---- calls ---- */

/* "vault:v1:..." of these bytes. */
static void encrypt(struct booth *b, const char *key, struct span plain, char ret[static TEXT_MAX])
{
	char path[64], text[TEXT_MAX];

	assert_true(BASE64_LEN(plain.n) < sizeof text);
	base64_encode(plain, (uint8_t *)text);
	text[BASE64_LEN(plain.n)] = 0;
	(void)snprintf(path, sizeof path, "encrypt/%s", key);
	booth_good(b, path, "{\"plaintext\":\"%s\"}", text);
	booth_keep(b, "ciphertext", ret, TEXT_MAX);
}

static size_t unbase64(const char *text, uint8_t *ret, size_t cap)
{
	struct builder b;

	builder_init_fixed(&b, ret, cap);
	assert_int_equal(builder_unbase64(&b, span_str(text)), ST_OK);
	return b.n;
}

static size_t decrypt(struct booth *b, const char *key, const char *cipher,
                      uint8_t ret[static TEXT_MAX])
{
	char path[64];

	(void)snprintf(path, sizeof path, "decrypt/%s", key);
	booth_good(b, path, "{\"ciphertext\":\"%s\"}", cipher);
	return unbase64(booth_text(b, "plaintext"), ret, TEXT_MAX);
}

static void decrypts_to(struct booth *b, const char *key, const char *cipher, struct span plain)
{
	uint8_t got[TEXT_MAX];

	assert_int_equal(decrypt(b, key, cipher, got), plain.n);
	assert_memory_equal(got, plain.p, plain.n);
}

/* What stands behind "vault:vN:". */
static size_t raw_of(const char *cipher, const char *begin, uint8_t ret[static TEXT_MAX])
{
	assert_memory_equal(cipher, begin, strlen(begin));
	return unbase64(cipher + strlen(begin), ret, TEXT_MAX);
}

static struct ofb_key *exported(struct booth *b, const char *key)
{
	const struct json_value *v;
	struct ofb_key *k = NULL;
	uint8_t raw[64];
	char path[64];

	(void)snprintf(path, sizeof path, "export/encryption-key/%s/1", key);
	assert_int_equal(booth_ask(b, VERB_READ, path, NULL), ST_OK);
	v = json_member(json_root(&b->data), "keys");
	assert_int_equal(
	    ofb_key_new(span_of(raw, unbase64(booth_member(b, v, "1"), raw, sizeof raw)), &k),
	    ST_OK);
	return k;
}

/* ---- what a key does ---- */

/* IV, then the text under it: no more. */
static void what_is_encrypted(void **state)
{
	static const size_t lens[] = {0, 1, 15, 16, 17, 1000};
	struct booth *b = *state;
	uint8_t plain[1000], raw[TEXT_MAX];
	char cipher[TEXT_MAX];

	random_fill(&random_system, plain, sizeof plain);
	for (size_t i = 0; i < TYPES; i++) {
		const char *key = make_key(b, types[i]);
		struct ofb_key *k = exported(b, key);

		for (size_t l = 0; l < sizeof lens / sizeof *lens; l++) {
			struct span text = span_of(plain, lens[l]);

			encrypt(b, key, text, cipher);
			decrypts_to(b, key, cipher, text);
			assert_int_equal(raw_of(cipher, "vault:v1:", raw), OFB_IV_LEN + text.n);
			assert_int_equal(
			    ofb_crypt(k, raw, span_of(raw + OFB_IV_LEN, text.n), raw + OFB_IV_LEN),
			    ST_OK);
			assert_memory_equal(raw + OFB_IV_LEN, plain, text.n);
		}
		ofb_key_free(&k);
	}
}

static void no_two_ciphertexts_are_alike(void **state)
{
	struct booth *b = *state;
	const char *key = make_key(b, KEY_AES256_OFB);
	uint8_t ivs[20][TEXT_MAX];
	char cipher[TEXT_MAX];

	for (size_t i = 0; i < 20; i++) {
		encrypt(b, key, span_str("the same"), cipher);
		(void)raw_of(cipher, "vault:v1:", ivs[i]);
		for (size_t j = 0; j < i; j++)
			assert_memory_not_equal(ivs[i], ivs[j], OFB_IV_LEN);
	}
}

static void many_at_once(void **state)
{
	struct booth *b = *state;
	const char *key = make_key(b, KEY_AES128_OFB);
	char ciphers[3][TEXT_MAX];

	booth_good(b, "encrypt/aes128-ofb",
	           "{\"batch_input\":[{\"plaintext\":\"YQ==\"},{\"plaintext\":\"YWI=\","
	           "\"associated_data\":\"YQ==\"},{\"plaintext\":\"YWJj\"}]}");
	assert_int_equal(booth_items(b), 3);
	for (size_t i = 0; i < 3; i += 2)
		(void)snprintf(ciphers[i], TEXT_MAX, "%s",
		               booth_member(b, booth_item(b, i), "ciphertext"));
	assert_string_equal(booth_member(b, booth_item(b, 1), "error"),
	                    "associated data needs a key type that authenticates");
	decrypts_to(b, key, ciphers[0], span_str("a"));
	decrypts_to(b, key, ciphers[2], span_str("abc"));
}

static void rewrapping_over_versions(void **state)
{
	struct booth *b = *state;
	const struct span text = span_str("a text that moves on from version to version");

	for (size_t i = 0; i < TYPES; i++) {
		const char *key = make_key(b, types[i]);
		char cipher[TEXT_MAX], path[64], rotate[64];
		uint8_t before[TEXT_MAX], after[TEXT_MAX];

		(void)snprintf(path, sizeof path, "rewrap/%s", key);
		(void)snprintf(rotate, sizeof rotate, "keys/%s/rotate", key);
		encrypt(b, key, text, cipher);
		(void)raw_of(cipher, "vault:v1:", before);
		booth_good(b, rotate, "{}");
		decrypts_to(b, key, cipher, text);
		booth_good(b, rotate, "{}");
		booth_good(b, path, "{\"ciphertext\":\"%s\",\"key_version\":2}", cipher);
		booth_keep(b, "ciphertext", cipher, sizeof cipher);
		assert_int_equal(raw_of(cipher, "vault:v2:", after), OFB_IV_LEN + text.n);
		assert_memory_not_equal(before, after, OFB_IV_LEN);
		decrypts_to(b, key, cipher, text);
		booth_good(b, path, "{\"ciphertext\":\"%s\"}", cipher);
		booth_keep(b, "ciphertext", cipher, sizeof cipher);
		assert_int_equal(raw_of(cipher, "vault:v3:", after), OFB_IV_LEN + text.n);
		decrypts_to(b, key, cipher, text);
		/* Under the version that it has already it gets another IV. */
		memcpy(before, after, sizeof before);
		booth_good(b, path, "{\"ciphertext\":\"%s\"}", cipher);
		booth_keep(b, "ciphertext", cipher, sizeof cipher);
		(void)raw_of(cipher, "vault:v3:", after);
		assert_memory_not_equal(before, after, OFB_IV_LEN);
		decrypts_to(b, key, cipher, text);
	}
}

static void data_keys(void **state)
{
	struct booth *b = *state;
	const char *key = make_key(b, KEY_AES256_OFB);
	char cipher[TEXT_MAX];
	uint8_t plain[TEXT_MAX];
	size_t n;

	booth_good(b, "datakey/plaintext/aes256-ofb", "{\"bits\":512}");
	n = unbase64(booth_text(b, "plaintext"), plain, sizeof plain);
	assert_int_equal(n, 64);
	booth_keep(b, "ciphertext", cipher, sizeof cipher);
	decrypts_to(b, key, cipher, span_of(plain, n));
	booth_good(b, "datakey/wrapped/aes256-ofb", "{}");
	booth_keep(b, "ciphertext", cipher, sizeof cipher);
	assert_int_equal(decrypt(b, key, cipher, plain), 32);
}

/* ---- what it refuses ---- */

static void associated_data_is_refused(void **state)
{
	static const char why[] = "associated data needs a key type that authenticates";
	struct booth *b = *state;
	const char *key = make_key(b, KEY_AES128_OFB);
	char cipher[TEXT_MAX];

	encrypt(b, key, span_str("text"), cipher);
	booth_refused(b, why, "encrypt/aes128-ofb",
	              "{\"plaintext\":\"YQ==\",\"associated_data\":\"YQ==\"}");
	booth_refused(b, why, "decrypt/aes128-ofb",
	              "{\"ciphertext\":\"%s\",\"associated_data\":\"YQ==\"}", cipher);
	booth_refused(b, why, "rewrap/aes128-ofb",
	              "{\"ciphertext\":\"%s\",\"associated_data\":\"YQ==\"}", cipher);
}

static void damaged_ciphertexts(void **state)
{
	struct booth *b = *state;
	const char *key = make_key(b, KEY_AES128_OFB);
	char cipher[TEXT_MAX];
	uint8_t raw[TEXT_MAX], plain[TEXT_MAX];

	/* Shorter than an IV: nothing, and 15 bytes. */
	booth_refused(b, "invalid ciphertext length", "decrypt/aes128-ofb",
	              "{\"ciphertext\":\"vault:v1:\"}");
	booth_refused(b, "invalid ciphertext length", "decrypt/aes128-ofb",
	              "{\"ciphertext\":\"vault:v1:AAAAAAAAAAAAAAAAAAAA\"}");
	booth_refused(b, "invalid ciphertext length", "rewrap/aes128-ofb",
	              "{\"ciphertext\":\"vault:v1:AAAAAAAAAAAAAAAAAAAA\"}");
	booth_refused(b, "base64", "decrypt/aes128-ofb", "{\"ciphertext\":\"vault:v1:A\"}");
	booth_refused(b, "too new", "decrypt/aes128-ofb", "{\"ciphertext\":\"vault:v2:AAAA\"}");
	/* Of a whole IV and no text: the empty one. */
	decrypts_to(b, key, "vault:v1:AAAAAAAAAAAAAAAAAAAAAA==", span_of(raw, 0));
	/* A bit of the ciphertext is that bit of the plaintext: nobody notices. */
	encrypt(b, key, span_str("text"), cipher);
	assert_int_equal(raw_of(cipher, "vault:v1:", raw), OFB_IV_LEN + 4);
	raw[OFB_IV_LEN + 2] ^= 'x' ^ 's';
	base64_encode(span_of(raw, OFB_IV_LEN + 4), (uint8_t *)cipher + strlen("vault:v1:"));
	assert_int_equal(decrypt(b, key, cipher, plain), 4);
	assert_memory_equal(plain, "test", 4);
}

static void other_calls(void **state)
{
	struct booth *b = *state;
	struct making m = {b, "k", KEY_AES256_OFB, 0};

	assert_int_equal(rig_do(b->rig, make, &m), ST_OK);
	booth_refused(b, "", "sign/k", "{\"input\":\"YQ==\"}");
	booth_refused(b, "", "keys/k/csr", "{}");
	booth_good(b, "hmac/k", "{\"input\":\"YQ==\"}");
	assert_int_equal(booth_ask(b, VERB_READ, "export/signing-key/k", NULL), ST_INVALID);
	assert_int_equal(booth_ask(b, VERB_READ, "export/public-key/k", NULL), ST_INVALID);
	assert_int_equal(booth_ask(b, VERB_READ, "export/hmac-key/k", NULL), ST_OK);
	assert_int_equal(booth_ask(b, VERB_READ, "keys/k", NULL), ST_OK);
	assert_string_equal(booth_text(b, "type"), "aes256-ofb");
	assert_true(booth_true(b, "supports_encryption") && booth_true(b, "supports_decryption"));
	assert_false(booth_true(b, "supports_signing") || booth_true(b, "supports_derivation"));
}

static void disabled_and_destroyed_versions(void **state)
{
	struct booth *b = *state;
	const char *key = make_key(b, KEY_AES128_OFB);
	char first[TEXT_MAX], cipher[TEXT_MAX];

	encrypt(b, key, span_str("text"), first);
	booth_good(b, "keys/aes128-ofb/rotate", "{}");
	booth_good(b, "keys/aes128-ofb/versions/1", "{\"state\":\"disabled\"}");
	booth_refused(b, "disabled", "decrypt/aes128-ofb", "{\"ciphertext\":\"%s\"}", first);
	booth_good(b, "keys/aes128-ofb/config", "{\"deletion_allowed\":true}");
	booth_good(b, "keys/aes128-ofb/versions/1", "{\"state\":\"destroyed\"}");
	booth_refused(b, "destroyed", "decrypt/aes128-ofb", "{\"ciphertext\":\"%s\"}", first);
	encrypt(b, key, span_str("text"), cipher);
	decrypts_to(b, key, cipher, span_str("text"));
}

/* A stored key of another length is damaged: what is left of an AES-256 key is none of AES-128. */
static void damaged_keys(void **state)
{
	struct booth *b = *state;
	struct making halved = {b, "halved", KEY_AES256_OFB, 16};
	struct making cut = {b, "cut", KEY_AES128_OFB, 1};

	assert_int_equal(rig_do(b->rig, make, &halved), ST_OK);
	assert_int_equal(rig_do(b->rig, make, &cut), ST_OK);
	assert_int_equal(booth_post(b, "encrypt/halved", "{\"plaintext\":\"YQ==\"}"), ST_IO);
	assert_int_equal(booth_post(b, "encrypt/cut", "{\"plaintext\":\"YQ==\"}"), ST_IO);
}

static void a_version_does_so_many(void **state)
{
	struct booth *b = *state;
	const char *key = make_key(b, KEY_AES256_OFB);
	char cipher[TEXT_MAX];

	booth_refused(b, "[1,4294967296]", "keys/aes256-ofb/config",
	              "{\"max_operations\":4294967297}");
	booth_good(b, "keys/aes256-ofb/config", "{\"max_operations\":3}");
	for (unsigned i = 0; i < 7; i++) {
		char begin[16];

		encrypt(b, key, span_str("text"), cipher);
		(void)snprintf(begin, sizeof begin, "vault:v%u:", i / 3 + 1);
		assert_memory_equal(cipher, begin, strlen(begin));
		decrypts_to(b, key, cipher, span_str("text"));
	}
}

/* ---- who offers it ---- */

static void the_types_of_each_api(void **state)
{
	static const char *const both[] = {"aes128-gcm96", "aes256-gcm96"};
	static const char *const storedsafe[] = {"aes128-ofb", "aes256-ofb"};
	size_t n[2] = {0, 0};
	enum key_type t;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(key_type_find(span_str(both[i]), OFFER_VAULT, &t), ST_OK);
		assert_int_equal(key_type_find(span_str(both[i]), OFFER_STOREDSAFE, &t), ST_OK);
		assert_int_equal(key_type_find(span_str(storedsafe[i]), OFFER_STOREDSAFE, &t),
		                 ST_OK);
		assert_int_equal(t, types[i]);
		assert_int_equal(key_type_find(span_str(storedsafe[i]), OFFER_VAULT, &t),
		                 ST_NOT_FOUND);
	}
	for (t = 0; t < KEY_TYPES; t++) {
		n[0] += key_type_offered(t, OFFER_VAULT);
		n[1] += key_type_offered(t, OFFER_STOREDSAFE);
	}
	assert_int_equal(n[0], 13);
	assert_int_equal(n[1], 4);
}

static void vault_knows_no_such_type(void **state)
{
	struct booth *b = *state;

	for (size_t i = 0; i < TYPES; i++) {
		const char *name = key_type_info(types[i])->name;
		char why[64];

		(void)snprintf(why, sizeof why, "unknown key type %s", name);
		booth_refused(b, why, "keys/new", "{\"type\":\"%s\"}", name);
		booth_refused(b, why, "encrypt/new", "{\"type\":\"%s\",\"plaintext\":\"\"}", name);
		booth_refused(b, why, "keys/new/import", "{\"type\":\"%s\",\"ciphertext\":\"\"}",
		              name);
		assert_int_equal(booth_ask(b, VERB_READ, "keys/new", NULL), ST_NOT_FOUND);
	}
}

/* Read by the API that has the type; by the other one it is of an unknown type. */
static void backups_go_where_the_type_is(void **state)
{
	static char text[1 << 16];
	struct booth *b = *state;
	struct backup backup = {.n = 0};
	struct err err = {0};
	char path[64];

	for (size_t i = 0; i < TYPES; i++) {
		(void)snprintf(path, sizeof path, "backup/%s", make_key(b, types[i]));
		assert_int_equal(booth_ask(b, VERB_READ, path, NULL), ST_OK);
		booth_keep(b, "backup", text, sizeof text);
		booth_refused(b, "unknown type", "restore/new", "{\"backup\":\"%s\"}", text);
		assert_int_equal(booth_ask(b, VERB_READ, "keys/new", NULL), ST_NOT_FOUND);
		assert_int_equal(backup_read(&backup, span_str(text), OFFER_STOREDSAFE,
		                             &random_system, NULL, &err),
		                 ST_OK);
		assert_int_equal(backup.head.type, types[i]);
		assert_int_equal(backup.versions[0].data.private_key.n,
		                 key_type_info(types[i])->key_len);
		backup_free(&backup);
	}
	booth_good(b, "keys/mac",
	           "{\"type\":\"hmac\",\"key_size\":32,\"exportable\":true,"
	           "\"allow_plaintext_backup\":true}");
	assert_int_equal(booth_ask(b, VERB_READ, "backup/mac", NULL), ST_OK);
	booth_keep(b, "backup", text, sizeof text);
	assert_int_equal(
	    backup_read(&backup, span_str(text), OFFER_STOREDSAFE, &random_system, NULL, &err),
	    ST_INVALID);
	assert_non_null(strstr(err.text, "unknown type"));
}

/* ---- memory ---- */

static struct {
	struct booth *booth;
	size_t left; /* allocations until one fails */
	enum alloc_repeat repeat;
	size_t failed;
} order;

/* The thread has forgotten its keys: whatever the call needs is made. */
static void arm(void)
{
	engine_transit.life->thread_drop(order.booth->loop);
	engine_transit.life->thread_drop(order.booth->writer);
	alloc_arm(order.left, order.repeat);
}

static void disarm(void)
{
	order.failed += alloc_disarm();
}

/* With its first allocation refused, then its second, until it needs no more: it goes well, or says that memory was lacking. */
static void starve(struct booth *b, const char *path, const char *body)
{
	order.failed = 1;
	for (order.left = 1; order.failed > 0; order.left++) {
		assert_true(order.left < 1000);
		order.failed = 0;
		b->before = arm;
		b->after = disarm;
		(void)booth_ask(b, VERB_WRITE, path, body);
		b->before = b->after = NULL;
		if (b->status != ST_OK && (order.failed == 0 || b->status != ST_NOMEM))
			fail_msg("%s with allocation %zu refused: %s %s", path, order.left,
			         status_name(b->status), b->answer.err.text);
	}
	assert_true(order.left > 2);
}

static void starve_all(struct booth *b, enum key_type type)
{
	const char *key = make_key(b, type);
	char cipher[TEXT_MAX], body[TEXT_MAX + 64], path[64];

	order.booth = b;
	encrypt(b, key, span_str("text"), cipher);
	(void)snprintf(body, sizeof body, "{\"ciphertext\":\"%s\"}", cipher);
	for (order.repeat = ALLOC_ONCE; order.repeat <= ALLOC_FOR_EVER; order.repeat++) {
		size_t locked = 0;

		/* Twice: what is made once and kept is there the second time. */
		for (int round = 0; round < 2; round++) {
			(void)snprintf(path, sizeof path, "encrypt/%s", key);
			starve(b, path, "{\"plaintext\":\"dGV4dA==\"}");
			(void)snprintf(path, sizeof path, "decrypt/%s", key);
			starve(b, path, body);
			(void)snprintf(path, sizeof path, "rewrap/%s", key);
			starve(b, path, body);
			(void)snprintf(path, sizeof path, "keys/%s/rotate", key);
			starve(b, path, "{}");
			engine_transit.life->thread_drop(b->loop);
			engine_transit.life->thread_drop(b->writer);
			if (round == 0)
				locked = alloc_locked();
		}
		assert_int_equal(alloc_locked(), locked);
	}
	decrypts_to(b, key, cipher, span_str("text"));
}

static void memory_runs_out(void **state)
{
	starve_all(*state, KEY_AES256_OFB);
}

/* The same of an authenticated cipher, by OpenSSL, whose keys take memory of their own. */
static void memory_runs_out_of_gcm(void **state)
{
	assert_int_equal(aead_setup("evp", NULL), ST_OK);
	starve_all(*state, KEY_AES256_GCM);
	assert_int_equal(aead_setup(NULL, NULL), ST_OK);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, booth_new, booth_free)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(what_is_encrypted),
	    CASE(no_two_ciphertexts_are_alike),
	    CASE(many_at_once),
	    CASE(rewrapping_over_versions),
	    CASE(data_keys),
	    CASE(associated_data_is_refused),
	    CASE(damaged_ciphertexts),
	    CASE(other_calls),
	    CASE(disabled_and_destroyed_versions),
	    CASE(damaged_keys),
	    CASE(a_version_does_so_many),
	    cmocka_unit_test(the_types_of_each_api),
	    CASE(vault_knows_no_such_type),
	    CASE(backups_go_where_the_type_is),
	    CASE(memory_runs_out),
	    CASE(memory_runs_out_of_gcm),
	};

	return cmocka_run_group_tests(tests, booth_process, NULL);
}
