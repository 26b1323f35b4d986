/* keys/NAME as the reference shows it, and what is ours beside. */
#include <string.h>

#include "base/clock.h"
#include "crypto/pkey_text.h"
#include "engine/transit_impl.h"

/* Versions that a key's description shows: the newest ones.  keys/NAME/versions has pages of all. */
#define SHOWN_VERSIONS 256u

static void put_mark(struct json_writer *w, const char *name, const struct key_mark *m)
{
	if (m->time_ns == 0)
		return;
	json_name(w, name);
	json_begin_object(w);
	rfc3339_put(w, "time", m->time_ns);
	json_put_uint(w, "version", m->version);
	json_end_object(w);
}

enum status key_public_text(const struct pkey *k, struct builder *out)
{
	struct pkey_parts parts;
	enum status st;

	if (pkey_alg(k) != PKEY_ED25519)
		return pkey_spki_pem(k, out);
	st = pkey_parts(k, &parts);
	if (st != ST_OK)
		return st;
	builder_base64(out, parts.x);
	pkey_parts_free(&parts);
	return builder_status(out);
}

#define PEM_LINE 48 /* bytes, so 64 characters */

static void put_certificate(struct builder *out, struct span der)
{
	builder_str(out, "-----BEGIN CERTIFICATE-----\n");
	while (der.n > 0) {
		size_t n = der.n < PEM_LINE ? der.n : PEM_LINE;

		builder_base64(out, span_of(der.p, n));
		builder_u8(out, '\n');
		der = span_from(der, n);
	}
	builder_str(out, "-----END CERTIFICATE-----");
}

enum status key_chain_text(struct span chain, struct builder *out)
{
	struct cursor c = cursor_of(chain);
	struct span der;

	while (c.left > 0) {
		if (cursor_lv(&c, &der) != ST_OK)
			return ST_CORRUPT;
		if (out->n > 0)
			builder_u8(out, '\n');
		put_certificate(out, der);
	}
	return builder_status(out);
}

/* The public half of an ed25519 key derived for a context. */
static enum status derived_public(const struct key_version *v, struct span context,
                                  struct builder *out, struct err *err)
{
	struct pkey *k = NULL;
	enum status st = key_derive_ed25519(v, context, &k, err);

	if (st == ST_OK)
		st = key_public_text(k, out);
	pkey_unref(&k);
	return st;
}

static enum status put_public(struct json_writer *w, const struct key_head *h,
                              const struct key_version *v, struct span context, struct err *err)
{
	struct builder text = {.max = 0};
	enum status st = ST_OK;

	if (v->state == VERSION_DESTROYED)
		st = ST_OK;
	else if (h->derived && context.n > 0)
		st = derived_public(v, context, &text, err);
	else if (!h->derived)
		st = key_public_text(v->pkey, &text);
	if (st == ST_OK)
		json_put_string(w, "public_key", builder_span(&text));
	builder_free(&text);
	return st;
}

static enum status put_asymmetric(struct json_writer *w, const struct key_place *p,
                                  const struct named_key *k, uint32_t number, struct span context,
                                  struct err *err)
{
	const struct key_version *v;
	struct version_data d;
	struct builder chain = {.max = 0};
	enum status st = key_read_version(p, &k->head.id, number, &d, err);

	if (st == ST_OK)
		st = key_get_version(p, k, number, &v, err);
	if (st == ST_OK)
		st = key_chain_text(d.chain, &chain);
	if (st != ST_OK)
		goto out;
	json_begin_object(w);
	json_put_string(w, "certificate_chain", builder_span(&chain));
	rfc3339_put(w, "creation_time", d.created_ns);
	json_put_cstr(w, "name", key_type_info(k->head.type)->public_name);
	st = put_public(w, &k->head, v, context, err);
	json_end_object(w);
out:
	builder_free(&chain);
	return st;
}

static enum status put_versions(struct json_writer *w, const struct key_place *p,
                                const struct named_key *k, struct span context, struct err *err)
{
	const struct key_head *h = &k->head;
	const struct key_type_info *info = key_type_info(h->type);
	uint32_t from = h->min_decryption;
	char name[16];
	struct builder text;

	if (h->latest - from >= SHOWN_VERSIONS)
		from = h->latest - SHOWN_VERSIONS + 1;
	json_name(w, "keys");
	json_begin_object(w);
	for (uint32_t n = from; n <= h->latest; n++) {
		struct version_data d;
		enum status st = ST_OK;

		builder_init_fixed(&text, name, sizeof name);
		builder_dec(&text, n);
		json_name_span(w, builder_span(&text));
		if (info->public_name != NULL)
			st = put_asymmetric(w, p, k, n, context, err);
		else
			st = key_read_version(p, &h->id, n, &d, err);
		if (st != ST_OK)
			return st;
		if (info->public_name == NULL)
			json_int(w, d.created_ns / NS_PER_S);
	}
	json_end_object(w);
	return ST_OK;
}

static void put_settings(struct json_writer *w, const struct named_key *k)
{
	const struct key_head *h = &k->head;
	const struct key_type_info *info = key_type_info(h->type);

	json_put_bool(w, "allow_plaintext_backup", h->plaintext_backup);
	json_put_uint(w, "auto_rotate_period", h->auto_rotate_s);
	put_mark(w, "backup_info", &h->backup);
	if (h->derived) {
		json_put_bool(w, "convergent_encryption", h->convergent);
		if (h->convergent)
			json_put_int(w, "convergent_encryption_version", -1);
		json_put_cstr(w, "kdf", "hkdf_sha256");
	}
	json_put_bool(w, "deletion_allowed", h->deletion_allowed);
	json_put_bool(w, "derived", h->derived);
	json_put_bool(w, "exportable", h->exportable);
	json_put_bool(w, "imported_key", h->imported);
	if (h->imported)
		json_put_bool(w, "imported_key_allow_rotation", h->import_rotation);
	if (h->key_size != 0)
		json_put_uint(w, "key_size", h->key_size);
	json_put_uint(w, "latest_version", h->latest);
	if (key_type_is_cipher(h->type))
		json_put_uint(w, "max_operations", h->max_operations);
	json_put_uint(w, "max_versions", h->max_versions);
	json_put_uint(w, "min_available_version", h->min_available);
	json_put_uint(w, "min_decryption_version", h->min_decryption);
	json_put_uint(w, "min_encryption_version", h->min_encryption);
	json_put_string(w, "name", k->name);
	if (h->due_ns != 0)
		rfc3339_put(w, "next_rotation", h->due_ns);
	put_mark(w, "restore_info", &h->restored);
	json_put_int(w, "retire_after", h->retire_after_s);
	json_put_bool(w, "soft_deleted", h->soft_deleted);
	json_put_bool(w, "supports_decryption", info->encrypts);
	json_put_bool(w, "supports_derivation", info->derives);
	json_put_bool(w, "supports_encryption", info->encrypts);
	json_put_bool(w, "supports_signing", info->signs);
	json_put_cstr(w, "type", info->name);
}

enum status key_show(struct op *op, const struct key_place *p, const struct named_key *k,
                     struct span context, struct err *err)
{
	struct json_writer w;
	enum status st;

	if (k->head.latest - k->head.min_decryption >= SHOWN_VERSIONS)
		answer_warn(op->ans,
		            "only the newest %u versions are shown: keys/%.*s/versions lists all",
		            SHOWN_VERSIONS, (int)k->name.n, (const char *)k->name.p);
	json_writer_init(&w, &op->ans->data);
	json_begin_object(&w);
	put_settings(&w, k);
	st = put_versions(&w, p, k, context, err);
	if (st != ST_OK)
		return st;
	json_end_object(&w);
	op->ans->shape = ANSWER_DATA;
	return ST_OK;
}
