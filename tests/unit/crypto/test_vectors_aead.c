/*
 * Project Wycheproof's vectors (github.com/C2SP/wycheproof, testvectors_v1) against AES-GCM, ChaCha20-Poly1305 and XChaCha20-Poly1305 by every
 * implementation; NIST's (CAVP, GCM) against AES-GCM.  vectors/README says where they come from.
 *
 * Of AES-GCM what has a 96-bit nonce, a 128-bit tag and a key of 128 or 256 bits is run: what the table of ciphers has.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/aead.h"
#include "vectors.h"

/* Best first, as aead_setup(NULL) chooses. */
#ifdef __x86_64__
static const char *const impls[] = {"mb", "evp"};
#else
static const char *const impls[] = {"evp"};
#endif
#define IMPLS (sizeof impls / sizeof impls[0])

/* ------------------------------------------------------------ one case */

struct aead_case {
	const char *where;
	long long number;
	enum aead_alg alg;
	struct builder key, nonce, aad, plain, sealed; /* sealed: ciphertext and tag */
	bool valid;
};

static void aead_case_init(struct aead_case *c, enum aead_alg alg, const json_t *test)
{
	struct builder tag;

	c->where = "tcId";
	c->number = json_number(test, "tcId");
	c->alg = alg;
	c->valid = json_is_valid(test);
	json_unhex(&c->key, test, "key");
	json_unhex(&c->nonce, test, "iv");
	json_unhex(&c->aad, test, "aad");
	json_unhex(&c->plain, test, "msg");
	json_unhex(&c->sealed, test, "ct");
	json_unhex(&tag, test, "tag");
	builder_add(&c->sealed, builder_span(&tag));
	assert_int_equal(builder_status(&c->sealed), ST_OK);
	builder_free(&tag);
}

static void aead_case_free(struct aead_case *c)
{
	builder_free(&c->key);
	builder_free(&c->nonce);
	builder_free(&c->aad);
	builder_free(&c->plain);
	builder_free(&c->sealed);
}

static void case_holds(bool condition, const char *what, const struct aead_case *c)
{
	holds_at(condition, what, c->where, c->number);
}

/* Opening: `out` holds the sealed text already (in place), or not. */
static void case_open(const struct aead_case *c, const struct aead_key *k, struct span sealed,
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

static struct aead_key *case_key(const struct aead_case *c, const char *impl)
{
	struct aead_key *k = NULL;

	assert_int_equal(aead_setup(impl, NULL), ST_OK);
	assert_int_equal(aead_key_new(c->alg, builder_span(&c->key), &k), ST_OK);
	return k;
}

/* Opening, both ways: into another buffer and in place. */
static void case_opens(const struct aead_case *c, const char *impl)
{
	const struct span sealed = builder_span(&c->sealed);
	struct aead_key *k = case_key(c, impl);
	uint8_t out[2048];

	assert_true(sealed.n >= AEAD_TAG_LEN && sealed.n <= sizeof out);
	memset(out, 0xcc, sizeof out);
	case_open(c, k, sealed, out);
	memcpy(out, sealed.p, sealed.n);
	case_open(c, k, span_of(out, sealed.n), out);
	aead_key_free(&k);
}

/* Sealing, both ways.  What an invalid case shows is not what sealing gives. */
static void case_seals(const struct aead_case *c, const char *impl)
{
	const struct span nonce = builder_span(&c->nonce), aad = builder_span(&c->aad);
	const struct span plain = builder_span(&c->plain), sealed = builder_span(&c->sealed);
	struct aead_key *k = case_key(c, impl);
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

static bool case_run(enum aead_alg alg, const json_t *test)
{
	struct aead_case c;

	aead_case_init(&c, alg, test);
	for (size_t m = 0; m < IMPLS; m++) {
		case_seals(&c, impls[m]);
		case_opens(&c, impls[m]);
	}
	aead_case_free(&c);
	return true;
}

/* ------------------------------------------------------------ Wycheproof */

static bool gcm_run(const json_t *group, const json_t *test)
{
	const json_int_t key_bits = json_number(group, "keySize");

	if (json_number(group, "ivSize") != 96 || json_number(group, "tagSize") != 128 ||
	    (key_bits != 128 && key_bits != 256))
		return false;
	return case_run(key_bits == 128 ? AEAD_AES128_GCM : AEAD_AES256_GCM, test);
}

static bool chacha_run(const json_t *group, const json_t *test)
{
	(void)group;
	return case_run(AEAD_CHACHA20_POLY1305, test);
}

static bool xchacha_run(const json_t *group, const json_t *test)
{
	(void)group;
	return case_run(AEAD_XCHACHA20_POLY1305, test);
}

static void aes_gcm(void **state)
{
	(void)state;
	/* At least this many, so that a file that changed its form does not pass by running nothing. */
	assert_true(vectors_run("aes_gcm_test.json", gcm_run) >= 100);
}

static void chacha20_poly1305(void **state)
{
	(void)state;
	assert_int_equal(vectors_run("chacha20_poly1305_test.json", chacha_run), 316);
}

static void xchacha20_poly1305(void **state)
{
	(void)state;
	assert_int_equal(vectors_run("xchacha20_poly1305_test.json", xchacha_run), 306);
}

/* ------------------------------------------------------------ AES-GCM, NIST */

/*
 * A file is sections, each with lines "[Keylen = 128]", of cases: lines "Key = hex" and the like, or "FAIL" where a plaintext would
 * stand, ended by an empty line.
 */
struct cavp {
	const char *file;
	struct aead_case c;
	struct builder tag;
	unsigned lines; /* of the case that is being read */
	bool has_text;  /* a PT or a FAIL */
	size_t run, refused;
};

static void cavp_begin(struct cavp *v)
{
	v->c = (struct aead_case){.where = v->file, .valid = true};
	builder_init(&v->tag, 0);
	v->lines = 0;
	v->has_text = false;
}

/* The case is complete: run it, unless nothing stood there. */
static void cavp_end(struct cavp *v)
{
	if (v->lines > 0) {
		const struct aead_case *c = &v->c;

		assert_int_equal(v->lines, 7);
		assert_true(v->has_text);
		assert_true(c->key.n == 16 || c->key.n == 32);
		v->c.alg = c->key.n == 16 ? AEAD_AES128_GCM : AEAD_AES256_GCM;
		assert_true(c->nonce.n == AEAD_GCM_NONCE_LEN && v->tag.n == AEAD_TAG_LEN);
		builder_add(&v->c.sealed, builder_span(&v->tag));
		if (!c->valid)
			assert_int_equal(c->plain.n, 0);
		for (size_t m = 0; m < IMPLS; m++) {
			if (c->valid)
				case_seals(c, impls[m]);
			case_opens(c, impls[m]);
		}
		v->run++;
		v->refused += c->valid ? 0 : 1;
	}
	aead_case_free(&v->c);
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

	vectors_path(file, path, sizeof path);
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

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(aes_gcm),
	    cmocka_unit_test(cavp_encrypt),
	    cmocka_unit_test(cavp_decrypt),
	    cmocka_unit_test(chacha20_poly1305),
	    cmocka_unit_test(xchacha20_poly1305),
	};

	return vectors_main(argc, argv, tests, sizeof tests / sizeof tests[0]);
}
