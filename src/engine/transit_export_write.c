/* One version of a key as an export shows it. */
#include "crypto/ct.h"
#include "crypto/pkey_text.h"
#include "engine/transit_export.h"
#include "engine/transit_impl.h"
#include "engine/transit_material.h"

struct exporting {
	const struct export_form *form;
	char *room; /* EXPORT_ROOM bytes, locked */
	struct json_writer *w;
	struct err *err;
};

static const struct key_type_info *info_of(const struct exporting *x)
{
	return key_type_info(x->form->type);
}

static enum status bad_format(struct exporting *x, const char *supported)
{
	return err_set(x->err, ST_INVALID,
	               "unknown format for a key of type %s; supported values are %s",
	               info_of(x)->name, supported);
}

static enum status put_base64(struct exporting *x, struct span bytes)
{
	if (bytes.n > EXPORT_ROOM / 2)
		return err_set(x->err, ST_CORRUPT, "a key is too large to be exported");
	ct_base64(bytes, x->room);
	json_string(x->w, span_of(x->room, BASE64_LEN(bytes.n)));
	return ST_OK;
}

static enum status put_symmetric(struct exporting *x, struct span key)
{
	if (x->form->format == FORMAT_DER || x->form->format == FORMAT_PEM)
		return bad_format(x, "`` or `raw`");
	return put_base64(x, key);
}

/* PEM ends with a line end; the reference has that for RSA keys and not for others. */
static void put_text(struct exporting *x, struct span text)
{
	if (info_of(x)->family != FAMILY_RSA && text.n > 0 && text.p[text.n - 1] == '\n')
		text.n--;
	json_string(x->w, text);
}

static enum status put_private_pkey(struct exporting *x, const struct pkey *k)
{
	struct secret *text = NULL;
	enum status st;

	if (x->form->format == FORMAT_DER)
		st = pkey_pkcs8(k, &text);
	else if (x->form->format == FORMAT_PEM)
		st = pkey_pkcs8_pem(k, &text);
	else
		st = pkey_export(k, &text);
	if (st != ST_OK)
		return err_set(x->err, st, "no locked memory to export a key");
	if (x->form->format == FORMAT_DER)
		st = put_base64(x, secret_span(text));
	else
		put_text(x, secret_span(text));
	secret_free(&text);
	return st;
}

/* The formats of an asymmetric key: only ed25519 has a raw one. */
static enum status check_format(struct exporting *x)
{
	return x->form->format == FORMAT_RAW && info_of(x)->family != FAMILY_ED25519
	           ? bad_format(x, "``, `der` or `pem`")
	           : ST_OK;
}

static enum status put_asymmetric(struct exporting *x, const struct version_data *d)
{
	struct pkey *k = NULL;
	enum status st = check_format(x);

	if (st != ST_OK)
		return st;
	if (d->private_key.n == 0) { /* as the reference answers */
		json_cstr(x->w, "");
		return ST_OK;
	}
	st = material_pkey(x->form->type, d, &k, x->err);
	if (st == ST_OK)
		st = put_private_pkey(x, k);
	pkey_unref(&k);
	return st;
}

static enum status put_public(struct exporting *x, const struct version_data *d)
{
	struct pkey *k = NULL;
	struct builder text = {.max = 0};
	enum status st = check_format(x);

	if (st == ST_OK && x->form->format == FORMAT_DER)
		return put_base64(x, d->public_key);
	if (st == ST_OK)
		st = material_pkey(x->form->type, d, &k, x->err);
	if (st == ST_OK)
		st = x->form->format == FORMAT_PEM ? pkey_spki_pem(k, &text)
		                                   : key_public_text(k, &text);
	if (st == ST_OK)
		put_text(x, builder_span(&text));
	builder_free(&text);
	pkey_unref(&k);
	return st;
}

static enum status put_chain(struct exporting *x, const struct version_data *d)
{
	struct builder pem = {.max = 0};
	enum status st = key_chain_text(d->chain, &pem);

	if (st == ST_OK)
		json_string(x->w, builder_span(&pem));
	builder_free(&pem);
	return st == ST_OK ? st : err_set(x->err, st, "a chain of certificates is damaged");
}

static enum status put_value(struct exporting *x, const struct version_data *d)
{
	switch (x->form->kind) {
	case EXPORT_HMAC:
		return put_symmetric(x, d->mac_key);
	case EXPORT_PUBLIC:
		return put_public(x, d);
	case EXPORT_CHAIN:
		return put_chain(x, d);
	case EXPORT_ENCRYPTION:
	case EXPORT_SIGNING:
	case EXPORT_KINDS:
	default:
		return info_of(x)->public_name == NULL ? put_symmetric(x, d->private_key)
		                                       : put_asymmetric(x, d);
	}
}

/* ---- all of it ---- */

bool export_is_slow(const struct export_form *f)
{
	if (f->kind == EXPORT_CHAIN)
		return true;
	return f->kind != EXPORT_HMAC && key_type_info(f->type)->public_name != NULL &&
	       (f->kind != EXPORT_PUBLIC || f->format != FORMAT_DER);
}

void export_parts(const struct export_form *f, const struct version_data *d,
                  struct version_data *ret)
{
	struct version_data parts = {.state = d->state};

	if (f->kind == EXPORT_HMAC)
		parts.mac_key = d->mac_key;
	else if (f->kind == EXPORT_CHAIN)
		parts.chain = d->chain;
	else
		parts.private_key = d->private_key;
	if (f->kind == EXPORT_PUBLIC)
		parts.public_key = d->public_key;
	*ret = parts;
}

enum status export_value(const struct export_form *f, const struct version_data *d, char *room,
                         struct json_writer *w, struct err *err)
{
	struct exporting x = {.form = f, .room = room, .w = w, .err = err};

	return put_value(&x, d);
}
