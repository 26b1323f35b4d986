/*
 * import: key material from outside.
 *
 * Input: a byte that says what (modulo 3), a byte of type, then
 *   0  what was wrapped: symmetric material, or PKCS#8
 *   1  a public key in PEM, for types that have one
 *   2  how a good blob is changed (fuzz_mutate)
 * It is ST_OK, or ST_INVALID with a text.  What is taken can be stored, is read again as the same key, and a changed blob gives nothing but what
 * was wrapped.
 */
#include <stdlib.h>
#include <string.h>

#include "crypto/ct.h"
#include "crypto/pkey_text.h"
#include "engine/transit_material.h"
#include "engine/transit_wrapping.h"
#include "fuzz.h"

static struct pkey *wrapping;
static const uint8_t wrapped_text[32] = "what is wrapped in the good blob";
static struct builder blob;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	fuzz_process();
	MUST(pkey_generate(PKEY_RSA2048, &wrapping) == ST_OK);
	MUST(wrap_key(wrapping, DIGEST_SHA2_256, span_of(wrapped_text, sizeof wrapped_text),
	              &blob) == ST_OK);
	return 0;
}

/* As a record holds it, and back. */
static void check_material(enum key_type type, const struct key_material *m)
{
	const struct key_type_info *info = key_type_info(type);
	struct version_data d;
	struct pkey *k = NULL;
	struct key_material again = {.private_key = NULL};
	struct err err = {0};

	key_material_data(m, &d);
	if (info->public_name == NULL) {
		MUST(d.private_key.n > 0 &&
		     (info->key_len == 0 || d.private_key.n == info->key_len));
		MUST(info->family != FAMILY_HMAC || ct_equal(d.private_key, d.mac_key));
		return;
	}
	MUST(material_pkey(type, &d, &k, &err) == ST_OK);
	MUST(pkey_alg(k) == info->pkey && pkey_has_private(k) == (d.private_key.n > 0));
	MUST(key_material_from_pkey(type, k, &again) == ST_OK);
	MUST(span_eq(builder_span(&again.public_key), d.public_key));
	if (d.private_key.n > 0)
		MUST(ct_equal(secret_span(again.private_key), d.private_key));
	key_material_free(&again);
	pkey_unref(&k);
}

typedef enum status read_fn(enum key_type type, struct span text, struct key_material *m,
                            struct err *err);

static void read_material(read_fn *read, enum key_type type, struct span text)
{
	struct key_material m = {.private_key = NULL};
	struct err err = {0};
	uint8_t *copy = fuzz_copy(text);
	enum status st = read(type, span_of(copy, text.n), &m, &err);

	free(copy);
	MUST(st == ST_OK || (st == ST_INVALID && err.text[0] != 0));
	if (st == ST_OK)
		check_material(type, &m);
	key_material_free(&m);
}

static void read_blob(struct cursor *c)
{
	uint8_t changed[1024];
	struct secret *text = NULL;
	size_t n;
	enum status st;

	MUST(blob.n <= sizeof changed / 2);
	memcpy(changed, blob.p, blob.n);
	n = fuzz_mutate(c, changed, sizeof changed, blob.n);
	st = unwrap_key(wrapping, DIGEST_SHA2_256, span_of(changed, n), &text);
	MUST(st == ST_OK || st == ST_INVALID);
	if (st == ST_OK)
		MUST(span_eq(secret_span(text), span_of(wrapped_text, sizeof wrapped_text)));
	secret_free(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct cursor c = cursor_of(span_of(data, n));
	unsigned what = fuzz_u8(&c) % 3;
	enum key_type type = (enum key_type)(fuzz_u8(&c) % KEY_TYPES);

	if (what == 2)
		read_blob(&c);
	else if (what == 0)
		read_material(material_from_bytes, type, fuzz_rest(&c));
	else if (key_type_info(type)->public_name != NULL)
		read_material(material_from_pem, type, fuzz_rest(&c));
	return 0;
}
