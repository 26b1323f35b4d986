/*
 * Project Wycheproof's vectors (github.com/C2SP/wycheproof, testvectors_v1) against AES-GCM by every implementation, HMAC-SHA-256
 * and HKDF-SHA-256; NIST's (CAVP, GCM) against AES-GCM.  The directory that holds the files, under their own names, is the one
 * argument; vectors/README says where they come from.
 *
 * Of AES-GCM what has a 96-bit nonce, a 128-bit tag and a key of 128 or 256 bits is run: what the table of ciphers has.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
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

/* What a test of the file says; its number in the message when it is not so. */
static void holds_at(bool condition, const char *what, const char *where, long long number)
{
	if (!condition)
		fail_msg("%s %lld: %s", where, number, what);
}

static void holds(bool condition, const char *what, const json_t *test)
{
	holds_at(condition, what, "tcId", json_integer_value(json_object_get(test, "tcId")));
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
	const char *where;
	long long number;
	struct builder key, nonce, aad, plain, sealed; /* sealed: ciphertext and tag */
	bool valid;
};

static void gcm_case_init(struct gcm_case *c, const json_t *test)
{
	struct builder tag;

	c->where = "aes_gcm_test.json, tcId";
	c->number = number(test, "tcId");
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

static void case_holds(bool condition, const char *what, const struct gcm_case *c)
{
	holds_at(condition, what, c->where, c->number);
}

/* Opening: `out` holds the sealed text already (in place), or not. */
static void gcm_open(const struct gcm_case *c, const struct aead_key *k, struct span sealed,
                     uint8_t *out)
{
	const size_t n = sealed.n - AEAD_TAG_LEN;
	enum status s = aead_open(k, builder_span(&c->nonce), builder_span(&c->aad), sealed, out);

	if (c->valid) {
		case_holds(s == ST_OK, "valid, but does not open", c);
		case_holds(c->plain.n == n, "length", c);
		case_holds(n == 0 || memcmp(out, c->plain.p, n) == 0, "opens to other bytes", c);
		return;
	}
	case_holds(s == ST_CORRUPT, "invalid, but opens", c);
	for (size_t i = 0; i < n; i++)
		case_holds(out[i] == 0, "refused, but leaves bytes", c);
}

static struct aead_key *gcm_key(const struct gcm_case *c, const char *impl)
{
	struct aead_key *k = NULL;

	assert_int_equal(aead_setup(impl, NULL), ST_OK);
	assert_int_equal(aead_key_new(c->key.n == 16 ? AEAD_AES128_GCM : AEAD_AES256_GCM,
	                              builder_span(&c->key), &k),
	                 ST_OK);
	return k;
}

/* Opening, both ways: into another buffer and in place. */
static void gcm_opens(const struct gcm_case *c, const char *impl)
{
	const struct span sealed = builder_span(&c->sealed);
	struct aead_key *k = gcm_key(c, impl);
	uint8_t out[2048];

	assert_true(sealed.n >= AEAD_TAG_LEN && sealed.n <= sizeof out);
	memset(out, 0xcc, sizeof out);
	gcm_open(c, k, sealed, out);
	memcpy(out, sealed.p, sealed.n);
	gcm_open(c, k, span_of(out, sealed.n), out);
	aead_key_free(&k);
}

/* Sealing, both ways.  What an invalid case shows is not what sealing gives. */
static void gcm_seals(const struct gcm_case *c, const char *impl)
{
	const struct span nonce = builder_span(&c->nonce), aad = builder_span(&c->aad);
	const struct span plain = builder_span(&c->plain), sealed = builder_span(&c->sealed);
	struct aead_key *k = gcm_key(c, impl);
	uint8_t out[2048];

	assert_true(sealed.n == plain.n + AEAD_TAG_LEN && sealed.n <= sizeof out);
	assert_int_equal(aead_seal(k, nonce, aad, plain, out), ST_OK);
	case_holds((memcmp(out, sealed.p, sealed.n) == 0) == c->valid, "sealed bytes", c);
	if (plain.n > 0)
		memcpy(out, plain.p, plain.n);
	assert_int_equal(aead_seal(k, nonce, aad, span_of(out, plain.n), out), ST_OK);
	case_holds((memcmp(out, sealed.p, sealed.n) == 0) == c->valid, "sealed bytes, in place", c);
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
	for (size_t m = 0; m < IMPLS; m++) {
		gcm_seals(&c, impls[m]);
		gcm_opens(&c, impls[m]);
	}
	gcm_case_free(&c);
	return true;
}

static void aes_gcm(void **state)
{
	(void)state;
	/* At least this many, so that a file that changed its form does not pass by running nothing. */
	assert_true(run_file("aes_gcm_test.json", gcm_run) >= 100);
}

/* ------------------------------------------------------------ AES-GCM, NIST */

/*
 * A file is sections, each with lines "[Keylen = 128]", of cases: lines "Key = hex" and the like, or "FAIL" where a plaintext would
 * stand, ended by an empty line.
 */
struct cavp {
	const char *file;
	struct gcm_case c;
	struct builder tag;
	unsigned lines; /* of the case that is being read */
	bool has_text;  /* a PT or a FAIL */
	size_t run, refused;
};

static void cavp_begin(struct cavp *v)
{
	v->c = (struct gcm_case){.where = v->file, .valid = true};
	builder_init(&v->tag, 0);
	v->lines = 0;
	v->has_text = false;
}

/* The case is complete: run it, unless nothing stood there. */
static void cavp_end(struct cavp *v)
{
	if (v->lines > 0) {
		const struct gcm_case *c = &v->c;

		assert_int_equal(v->lines, 7);
		assert_true(v->has_text);
		assert_true(c->key.n == 16 || c->key.n == 32);
		assert_true(c->nonce.n == AEAD_GCM_NONCE_LEN && v->tag.n == AEAD_TAG_LEN);
		builder_add(&v->c.sealed, builder_span(&v->tag));
		if (!c->valid)
			assert_int_equal(c->plain.n, 0);
		for (size_t m = 0; m < IMPLS; m++) {
			if (c->valid)
				gcm_seals(c, impls[m]);
			gcm_opens(c, impls[m]);
		}
		v->run++;
		v->refused += c->valid ? 0 : 1;
	}
	gcm_case_free(&v->c);
	builder_free(&v->tag);
	cavp_begin(v);
}

static void cavp_value(struct cavp *v, const char *name, const char *value)
{
	struct {
		const char *name;
		struct builder *b;
	} const fields[] = {{"Key", &v->c.key},   {"IV", &v->c.nonce}, {"AAD", &v->c.aad},
	                    {"CT", &v->c.sealed}, {"Tag", &v->tag},    {"PT", &v->c.plain}};

	v->has_text |= strcmp(name, "PT") == 0;
	if (strcmp(name, "Count") == 0) {
		v->c.number = strtoll(value, NULL, 10);
		return;
	}
	for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
		if (strcmp(name, fields[i].name) == 0) {
			assert_int_equal(fields[i].b->n, 0);
			assert_int_equal(builder_unhex(fields[i].b, span_str(value)), ST_OK);
			return;
		}
	}
	fail_msg("%s %lld: a line \"%s\"", v->file, v->c.number, name);
}

static void cavp_line(struct cavp *v, char *line)
{
	char *value = strstr(line, " =");

	line[strcspn(line, "\r\n")] = '\0';
	if (line[0] == '#' || line[0] == '[')
		return;
	if (line[0] == '\0') {
		cavp_end(v);
		return;
	}
	v->lines++;
	if (strcmp(line, "FAIL") == 0) {
		v->c.valid = false;
		v->has_text = true;
		return;
	}
	assert_non_null(value);
	value[0] = '\0';
	value += 2;
	cavp_value(v, line, value[0] == ' ' ? value + 1 : value);
}

/* How many cases the file has, and how many of them must be refused. */
static void cavp_file(const char *file, size_t cases, size_t refused)
{
	struct cavp v = {.file = file};
	char path[1024], line[4096];
	FILE *f;

	assert_in_range(snprintf(path, sizeof path, "%s/%s", vectors_dir, file), 1,
	                sizeof path - 1);
	f = fopen(path, "r");
	if (f == NULL)
		fail_msg("cannot open %s", path);
	cavp_begin(&v);
	while (fgets(line, sizeof line, f) != NULL)
		cavp_line(&v, line);
	cavp_end(&v);
	(void)fclose(f);
	assert_int_equal(v.run, cases);
	assert_int_equal(v.refused, refused);
}

static void cavp_encrypt(void **state)
{
	(void)state;
	cavp_file("gcmEncryptExtIV128.rsp", 375, 0);
	cavp_file("gcmEncryptExtIV256.rsp", 375, 0);
}

static void cavp_decrypt(void **state)
{
	(void)state;
	cavp_file("gcmDecrypt128.rsp", 375, 196);
	cavp_file("gcmDecrypt256.rsp", 375, 191);
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
	    cmocka_unit_test(aes_gcm),      cmocka_unit_test(cavp_encrypt),
	    cmocka_unit_test(cavp_decrypt), cmocka_unit_test(hmac),
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
