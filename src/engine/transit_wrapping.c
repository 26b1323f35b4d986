/*
 * wrapping_key: the RSA-4096 key of a mount, under whose public half key material is sent here.  Made once, by the pool, when somebody asks for it
 * first; it never changes.
 */
#include "crypto/kwp.h"
#include "crypto/pkey_crypt.h"
#include "crypto/pkey_text.h"
#include "engine/transit_impl.h"
#include "engine/transit_wrapping.h"

#define WRAPPING_PATH    "wrapping_key"
#define WRAPPING_VERSION 1

enum status wrapping_read(const struct view *v, struct wrapping_record *ret, struct err *err)
{
	struct wrapping_record w;
	struct span record;
	struct cursor c;
	uint8_t version;
	enum status st = view_get(v, span_str(WRAPPING_PATH), &record, err);

	if (st != ST_OK)
		return st;
	c = cursor_of(record);
	if (cursor_u8(&c, &version) != ST_OK || version != WRAPPING_VERSION ||
	    cursor_lv(&c, &w.private_key) != ST_OK || cursor_lv(&c, &w.public_key) != ST_OK ||
	    cursor_end(&c) != ST_OK)
		return err_set(err, ST_CORRUPT, "the wrapping key of the mount is damaged");
	*ret = w;
	return ST_OK;
}

/* The record is made in locked memory. */
static enum status wrapping_write(const struct view *v, const struct key_material *m,
                                  struct err *err)
{
	struct span private_key = secret_span(m->private_key);
	size_t n = 1 + 4 + private_key.n + 4 + m->public_key.n;
	uint8_t *room = view_alloc(v, n);
	struct builder b;

	if (room == NULL)
		return err_set(err, ST_NOMEM, "no locked memory for a key");
	builder_init_fixed(&b, room, n);
	builder_u8(&b, WRAPPING_VERSION);
	builder_lv(&b, private_key);
	builder_lv(&b, builder_span(&m->public_key));
	MUST(builder_status(&b) == ST_OK);
	return view_put(v, span_str(WRAPPING_PATH), builder_span(&b), err);
}

/* The first one to ask has it made; the writer stores it, unless somebody else's was faster. */
static enum status make(struct op *op, struct err *err)
{
	struct key_material m = {.private_key = NULL};
	enum status st;

	if (op->slow != NULL && !view_can_write(&op->view))
		return ST_NEEDS_WRITER;
	st = make_slowly(op, KEY_RSA4096, &m, err);
	if (st == ST_OK)
		st = wrapping_write(&op->view, &m, err);
	op->changed = st == ST_OK;
	key_material_free(&m);
	return st;
}

static enum status answer(struct op *op, struct span public_key, struct err *err)
{
	struct builder text = {.max = 0};
	struct json_writer w;
	struct pkey *k = NULL;
	enum status st = pkey_from_spki(public_key, &k);

	if (st == ST_OK)
		st = pkey_spki_pem(k, &text);
	pkey_unref(&k);
	if (st == ST_OK) {
		json_writer_init(&w, &op->ans->data);
		json_begin_object(&w);
		json_put_string(&w, "public_key", builder_span(&text));
		json_end_object(&w);
	}
	builder_free(&text);
	if (st == ST_OK || st == ST_NOMEM)
		return st == ST_OK ? answer_data(op, err)
		                   : err_set(err, st, "no memory for the answer");
	return err_set(err, st, "the wrapping key of the mount cannot be read");
}

static enum status show(struct op *op, struct err *err)
{
	struct wrapping_record w;
	enum status st = wrapping_read(&op->view, &w, err);

	if (st == ST_NOT_FOUND) {
		st = make(op, err);
		if (st == ST_OK)
			st = wrapping_read(&op->view, &w, err);
	}
	return st == ST_OK ? answer(op, w.public_key, err) : st;
}

enum status transit_wrapping_key_op(struct op *op)
{
	struct err err = {0};
	enum status st = show(op, &err);

	if (st == ST_OK || st == ST_PENDING || st == ST_NEEDS_WRITER)
		return op->ans->status = st;
	return answer_fail(op->ans, st, "%s", err_text(&err, st));
}

/* ---- wrapping ---- */

static enum status find_hash(struct span name, enum digest_alg *ret)
{
	static const struct {
		const char *name;
		enum digest_alg alg;
	} hashes[] = {{"SHA1", DIGEST_SHA1},
	              {"SHA224", DIGEST_SHA2_224},
	              {"SHA256", DIGEST_SHA2_256},
	              {"SHA384", DIGEST_SHA2_384},
	              {"SHA512", DIGEST_SHA2_512}};
	char upper[8];

	if (name.n > sizeof upper)
		return ST_NOT_FOUND;
	for (size_t i = 0; i < name.n; i++)
		upper[i] = (char)(name.p[i] >= 'a' && name.p[i] <= 'z' ? name.p[i] - 'a' + 'A'
		                                                       : name.p[i]);
	for (size_t i = 0; i < sizeof hashes / sizeof *hashes; i++) {
		if (!span_eq_str(span_of(upper, name.n), hashes[i].name))
			continue;
		*ret = hashes[i].alg;
		return ST_OK;
	}
	return ST_NOT_FOUND;
}

enum status wrapping_hash(const struct request *r, const char *name, enum digest_alg *ret,
                          struct err *err)
{
	struct span text = span_str("SHA256");
	enum status st = request_string(r, name, &text, err);

	if (st != ST_OK && st != ST_NOT_FOUND)
		return st;
	return find_hash(text, ret) == ST_OK
	           ? ST_OK
	           : err_set(err, ST_INVALID,
	                     "unknown hash function: it must be SHA1, SHA224, SHA256, SHA384 or "
	                     "SHA512");
}

enum status unwrap_key(const struct pkey *k, enum digest_alg hash, struct span blob,
                       struct secret **ret)
{
	size_t n = pkey_info(pkey_alg(k))->len;
	struct secret *between = NULL;
	enum status st;

	if (blob.n <= n)
		return ST_INVALID;
	st = pkey_decrypt(k, hash, span_of(blob.p, n), &between);
	if (st == ST_OK && secret_len(between) != KWP_KEY_LEN)
		st = ST_INVALID;
	if (st == ST_OK)
		st = kwp_unwrap(secret_span(between), span_from(blob, n), ret);
	secret_free(&between);
	return st == ST_OK || st == ST_NOMEM ? st : ST_INVALID;
}

enum status wrap_key(const struct pkey *k, enum digest_alg hash, struct span text,
                     struct builder *out)
{
	struct secret *between = NULL;
	uint8_t sealed[PKEY_CRYPT_MAX], *room;
	size_t n;
	enum status st = secret_new(KWP_KEY_LEN, &between);

	if (st != ST_OK)
		return st;
	random_fill(&random_system, secret_bytes(between), KWP_KEY_LEN);
	st = pkey_encrypt(k, hash, secret_span(between), sealed, &n);
	if (st != ST_OK)
		goto out;
	builder_add(out, span_of(sealed, n));
	room = builder_room(out, KWP_LEN(text.n));
	st = room == NULL ? builder_status(out) : kwp_wrap(secret_span(between), text, room);
	if (st == ST_OK)
		builder_took(out, KWP_LEN(text.n));
out:
	secret_free(&between);
	return st;
}
