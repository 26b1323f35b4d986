/*
 * keys/NAME/import, keys/NAME/import_version: key material from outside, wrapped for the mount's wrapping key, or a public key alone.
 *
 * What is wrapped is opened by the pool, then the writer stores it.  Any of it may fail, and then nothing was changed: bad parameters, a blob for another key or
 * hash function, material of another type, a key that is there already (import) or not (import_version).
 */
#include <stdlib.h>
#include <string.h>

#include "crypto/pkey_text.h"
#include "engine/transit_impl.h"
#include "engine/transit_material.h"
#include "engine/transit_wrapping.h"

static enum status optional(enum status st)
{
	return st == ST_NOT_FOUND ? ST_OK : st;
}

/* ---- what the pool does ---- */

struct importing {
	struct slow slow;        /* first */
	struct secret *wrapping; /* PKCS#8 */
	enum digest_alg hash;
	enum key_type type;
	struct builder blob;
	struct key_material made;
	enum status status;
	struct err err;
};

static void importing_run(struct slow *work)
{
	struct importing *i = (struct importing *)(void *)work;
	struct pkey *k = NULL;
	struct secret *bytes = NULL;
	enum status st = pkey_from_pkcs8(secret_span(i->wrapping), PKEY_TRUSTED, &k);

	if (st == ST_OK)
		st = unwrap_key(k, i->hash, builder_span(&i->blob), &bytes);
	if (st == ST_INVALID)
		st = err_set(&i->err, st,
		             "the ciphertext was not made with this wrapping key and "
		             "hash_function, or is damaged");
	if (st == ST_OK)
		st = material_from_bytes(i->type, secret_span(bytes), &i->made, &i->err);
	secret_free(&bytes);
	pkey_unref(&k);
	i->status = st;
}

static void importing_free(struct slow **work)
{
	struct importing *i = (struct importing *)(void *)*work;

	*work = NULL;
	secret_free(&i->wrapping);
	builder_free(&i->blob);
	key_material_free(&i->made);
	free(i);
}

static enum status importing_fill(struct importing *i, struct op *op, struct span text,
                                  struct err *err)
{
	struct wrapping_record w;
	struct item_error e;
	enum status st = wrapping_hash(op->req, "hash_function", &i->hash, err);

	if (st != ST_OK)
		return st;
	st = text_unbase64(text, &i->blob, &e);
	if (st == ST_NOMEM)
		return err_set(err, st, "no memory to import a key");
	if (st != ST_OK)
		return err_set(err, ST_INVALID, "the ciphertext is %s",
		               st == ST_LIMIT ? "too long" : "not base64");
	if (i->blob.n <= WRAPPED_KEY_LEN)
		return err_set(err, ST_INVALID, "provided ciphertext is too short");
	st = wrapping_read(&op->view, &w, err);
	if (st == ST_NOT_FOUND)
		return err_set(
		    err, ST_INVALID,
		    "the mount has no wrapping key yet: nothing can have been wrapped for "
		    "it");
	if (st == ST_OK)
		st = secret_from(w.private_key, &i->wrapping);
	return st == ST_NOMEM ? err_set(err, st, "no locked memory to import a key") : st;
}

/* Begins it: ST_PENDING; when it was done: ST_OK and the material, which stays the work's, or why not. */
static enum status unwrap_slowly(struct op *op, enum key_type type, struct span text,
                                 const struct key_material **ret, struct err *err)
{
	struct importing *i = (struct importing *)(void *)op->slow;
	struct slow *work;
	enum status st;

	/* Of another type: the key of this name is another one by now. */
	if (i != NULL && i->type == type) {
		if (i->status != ST_OK)
			return err_set(err, i->status, "%s", err_text(&i->err, i->status));
		*ret = &i->made;
		return ST_OK;
	}
	i = calloc(1, sizeof *i);
	if (i == NULL)
		return err_set(err, ST_NOMEM, "no memory to import a key");
	i->slow = (struct slow){.run = importing_run, .free = importing_free};
	i->type = type;
	i->blob.max = WRAPPED_KEY_LEN + MATERIAL_MAX;
	st = importing_fill(i, op, text, err);
	if (st != ST_OK) {
		work = &i->slow;
		importing_free(&work);
		return st;
	}
	op->slow = &i->slow;
	return ST_PENDING;
}

/* ---- the material of a request ---- */

struct imported {
	const struct key_material *m; /* the pool's, or &own */
	struct key_material own;
	bool has_private;
	struct version_data data;
	struct secret *mac_key;
};

static void imported_free(struct imported *i)
{
	key_material_free(&i->own);
	secret_free(&i->mac_key);
}

/* A MAC key of the version's own, unless the key is one. */
static enum status add_mac_key(struct imported *i, enum key_type type, const struct random *random,
                               struct err *err)
{
	enum status st;

	if (key_type_info(type)->family == FAMILY_HMAC) {
		i->data.mac_key = i->data.private_key;
		return ST_OK;
	}
	st = secret_new(KEY_MAC_LEN, &i->mac_key);
	if (st != ST_OK)
		return err_set(err, st, "no locked memory to import a key");
	random_fill(random, secret_bytes(i->mac_key), KEY_MAC_LEN);
	i->data.mac_key = secret_span(i->mac_key);
	return ST_OK;
}

static enum status read_public(const struct request *r, const struct key_head *h,
                               struct imported *ret, struct err *err)
{
	struct span pem = {0};
	enum status st = optional(request_string(r, "public_key", &pem, err));

	if (st != ST_OK)
		return st;
	if (pem.n == 0)
		return err_set(err, ST_INVALID, "ciphertext or public_key is needed");
	if (key_type_info(h->type)->public_name == NULL)
		return err_set(err, ST_INVALID, "provided type does not support public_key import");
	if (h->derived)
		return err_set(err, ST_INVALID,
		               "a public key alone cannot be imported for a derived key, which is "
		               "what keys are derived from and no key pair");
	st = material_from_pem(h->type, pem, &ret->own, err);
	ret->m = &ret->own;
	return st;
}

/* ST_PENDING: the pool first.  ST_NEEDS_WRITER: the rest is for the writer. */
static enum status read_material(struct op *op, const struct key_head *h, struct imported *ret,
                                 struct err *err)
{
	struct span text = {0};
	enum status st = request_string(op->req, "ciphertext", &text, err);

	ret->has_private = st == ST_OK;
	if (st == ST_NOT_FOUND)
		st = read_public(op->req, h, ret, err);
	else if (st == ST_OK)
		st = unwrap_slowly(op, h->type, text, &ret->m, err);
	if (st != ST_OK)
		return st;
	if (!view_can_write(&op->view))
		return ST_NEEDS_WRITER;
	key_material_data(ret->m, &ret->data);
	ret->data.uses_unknown = true;
	return add_mac_key(ret, h->type, op->random, err);
}

/* ---- a new key ---- */

static enum status import_head(const struct request *r, struct key_head *h, struct err *err)
{
	struct span context = {0};
	enum status st = key_head_params(r, h, err);

	if (st == ST_OK)
		st = optional(request_bool(r, "allow_rotation", &h->import_rotation, err));
	if (st == ST_OK)
		st = optional(request_string(r, "context", &context, err));
	if (st != ST_OK)
		return st;
	if (h->convergent)
		return err_set(err, ST_INVALID,
		               "import cannot be used on keys with convergent encryption enabled");
	if (h->auto_rotate_s > 0 && !h->import_rotation)
		return err_set(err, ST_INVALID,
		               "allow_rotation must be set to true if auto-rotation is enabled");
	h->imported = true;
	return ST_OK;
}

static enum status import(struct op *op, const struct key_place *p, struct err *err)
{
	struct imported i = {.m = NULL};
	const struct named_key *k;
	struct key_head head;
	enum status st;

	if (!key_name_valid(op->arg[0]))
		return err_set(err, ST_INVALID, KEY_NAME_TEXT);
	st = import_head(op->req, &head, err);
	if (st != ST_OK)
		return st;
	st = key_find(p, op->arg[0], &k, err);
	if (st == ST_OK)
		return err_set(err, ST_INVALID,
		               "the import path cannot be used with an existing key; use "
		               "import-version to rotate an existing imported key");
	if (st == ST_NOT_FOUND)
		st = read_material(op, &head, &i, err);
	if (st == ST_OK) {
		if (head.type == KEY_HMAC)
			head.key_size = (uint32_t)i.data.private_key.n;
		st = key_make(p, op->arg[0], &head, &i.data, err);
		if (head.due_ns != 0)
			op->wake_ns = head.due_ns;
	}
	imported_free(&i);
	return st;
}

static enum status answer(struct op *op, enum status st, const struct err *err)
{
	if (st == ST_PENDING || st == ST_NEEDS_WRITER)
		return op->ans->status = st;
	if (st != ST_OK)
		return answer_fail(op->ans, st, "%s", err_text(err, st));
	op->ans->shape = ANSWER_EMPTY;
	return op->ans->status = ST_OK;
}

enum status transit_import_op(struct op *op)
{
	struct key_place p = key_place_of(op);
	struct err err = {0};

	return answer(op, import(op, &p, &err), &err);
}

/* ---- a version of a key ---- */

/* The private half of a version that has only the public one. */
static enum status complete(const struct key_place *p, struct span name, struct key_head *head,
                            uint32_t number, struct version_data *d, const struct imported *i,
                            struct err *err)
{
	if (!span_eq(d->public_key, i->data.public_key))
		return err_set(err, ST_INVALID, "cannot import key, key pair does not match");
	d->private_key = i->data.private_key;
	return key_put_version(p, name, head, number, d, err);
}

/* Whether this version is one that a private key can be added to. */
static enum status check_version(const struct key_head *h, const struct version_data *d,
                                 const struct imported *i, struct err *err)
{
	const char *why = NULL;

	if (key_type_info(h->type)->public_name == NULL)
		why = "provided type does not support importing key versions";
	else if (d->state == VERSION_DESTROYED)
		why = "this version of the key was destroyed";
	else if (d->private_key.n != 0)
		why = "private key imported, key version cannot be updated";
	else if (!i->has_private)
		why = "cannot add a public key to a key version that already has a public key set";
	return why == NULL ? ST_OK : err_set(err, ST_INVALID, "%s", why);
}

static enum status import_at(const struct key_place *p, struct span name, struct key_head *head,
                             int64_t number, const struct imported *i, struct err *err)
{
	struct version_data d;
	enum status st;

	if (number < 1 || number > head->latest || number < head->min_available)
		return err_set(err, ST_INVALID, "no such key version");
	st = key_read_version(p, &head->id, (uint32_t)number, &d, err);
	if (st == ST_OK)
		st = check_version(head, &d, i, err);
	return st == ST_OK ? complete(p, name, head, (uint32_t)number, &d, i, err) : st;
}

/* One version more, unless it is what the latest lacks. */
static enum status import_next(const struct key_place *p, struct span name, struct key_head *head,
                               struct imported *i, struct err *err)
{
	struct version_data d;
	enum status st = key_read_version(p, &head->id, head->latest, &d, err);

	if (st != ST_OK)
		return st;
	if (i->has_private && d.state != VERSION_DESTROYED && d.private_key.n == 0 &&
	    d.public_key.n != 0 && span_eq(d.public_key, i->data.public_key))
		return complete(p, name, head, head->latest, &d, i, err);
	if (head->type == KEY_HMAC)
		head->key_size = (uint32_t)i->data.private_key.n;
	return key_add_version(p, name, head, &i->data, err);
}

static enum status check_key(const struct key_head *h, struct err *err)
{
	const char *why = NULL;

	if (!h->imported)
		why = "the import_version endpoint can only be used with an imported key";
	else if (h->convergent)
		why = "import_version cannot be used on keys with convergent encryption enabled";
	else if (h->soft_deleted)
		why = KEY_SOFT_DELETED_TEXT;
	return why == NULL ? ST_OK : err_set(err, ST_INVALID, "%s", why);
}

static enum status import_version(struct op *op, const struct key_place *p, struct err *err)
{
	struct imported i = {.m = NULL};
	const struct named_key *k;
	struct key_head head;
	int64_t number = 0;
	enum status given = request_int(op->req, "version", &number, err);
	enum status st = optional(given);

	if (st != ST_OK)
		return st;
	st = key_find(p, op->arg[0], &k, err);
	if (st == ST_NOT_FOUND)
		return err_set(err, ST_INVALID,
		               "no key found with name %.*s; to import a new key, use the import/ "
		               "endpoint",
		               (int)op->arg[0].n, (const char *)op->arg[0].p);
	if (st != ST_OK)
		return st;
	head = k->head;
	st = check_key(&head, err);
	if (st == ST_OK)
		st = read_material(op, &head, &i, err);
	if (st == ST_OK && given == ST_OK)
		st = import_at(p, op->arg[0], &head, number, &i, err);
	else if (st == ST_OK)
		st = import_next(p, op->arg[0], &head, &i, err);
	imported_free(&i);
	return st;
}

enum status transit_import_version_op(struct op *op)
{
	struct key_place p = key_place_of(op);
	struct err err = {0};

	return answer(op, import_version(op, &p, &err), &err);
}
