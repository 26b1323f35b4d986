/* export/KIND/NAME[/VERSION]: key material in clear, of keys that are exportable; public halves and certificates of any. */
#include <string.h>

#include "crypto/ct.h"
#include "crypto/pkey_text.h"
#include "engine/transit_impl.h"
#include "engine/transit_material.h"

#define PAGE_MAX 1000
#define TEXT_MAX 8192u /* more than any key has as base64 or PEM */

enum export_kind {
	EXPORT_ENCRYPTION,
	EXPORT_SIGNING,
	EXPORT_HMAC,
	EXPORT_PUBLIC,
	EXPORT_CHAIN,
	EXPORT_KINDS
};
static const char *const kind_names[EXPORT_KINDS] = {"encryption-key", "signing-key", "hmac-key",
                                                     "public-key", "certificate-chain"};

enum export_format { FORMAT_DEFAULT, FORMAT_RAW, FORMAT_DER, FORMAT_PEM, FORMATS };
static const char *const format_names[FORMATS] = {"", "raw", "der", "pem"};

struct exporting {
	enum export_kind kind;
	enum export_format format;
	const struct key_place *p;
	const struct named_key *k;
	const struct key_type_info *info;
	char *text; /* TEXT_MAX bytes, locked */
	struct json_writer w;
	struct err *err;
};

static size_t find_name(struct span text, const char *const *names, size_t n)
{
	size_t i = 0;

	while (i < n && !span_eq_str(text, names[i]))
		i++;
	return i;
}

/* ---- which versions ---- */

static enum status version_text(struct span text, const struct key_head *h, uint32_t *ret,
                                struct err *err)
{
	int64_t v = 0;

	if (span_eq_str(text, "latest")) {
		*ret = h->latest;
		return ST_OK;
	}
	if (text.n > 0 && text.p[0] == 'v')
		text = span_from(text, 1);
	for (size_t i = 0; i < text.n && i <= 10; i++) {
		if (text.p[i] < '0' || text.p[i] > '9')
			return err_set(err, ST_INVALID, "invalid key version");
		v = v * 10 + (text.p[i] - '0');
	}
	if (text.n == 0 || text.n > 10)
		return err_set(err, ST_INVALID, "invalid key version");
	if (v < (int64_t)h->min_decryption)
		return err_set(err, ST_INVALID,
		               "version for export is below minimum decryption version");
	if (v > (int64_t)h->latest)
		return err_set(err, ST_INVALID, "version does not exist or cannot be found");
	*ret = (uint32_t)v;
	return ST_OK;
}

static enum status version_page(struct op *op, const struct key_head *h, uint32_t *ret_from,
                                uint32_t *ret_to, struct err *err)
{
	int64_t after = 0, limit = PAGE_MAX;
	uint32_t from = h->min_decryption;
	enum status st = request_int(op->req, "after", &after, err);

	if (st == ST_OK || st == ST_NOT_FOUND)
		st = request_int(op->req, "limit", &limit, err);
	if (st != ST_OK && st != ST_NOT_FOUND)
		return st;
	if (after < 0 || limit < 0)
		return err_set(err, ST_INVALID, "after and limit must not be negative");
	if (limit == 0 || limit > PAGE_MAX)
		limit = PAGE_MAX;
	if (after >= (int64_t)h->latest)
		from = h->latest + 1;
	else if (after >= (int64_t)from)
		from = (uint32_t)after + 1;
	*ret_from = from;
	*ret_to = h->latest;
	if ((int64_t)h->latest - (int64_t)from >= limit)
		*ret_to = from + (uint32_t)limit - 1;
	return ST_OK;
}

void version_range_warn(struct op *op, const struct key_head *h, const struct version_range *r)
{
	if (!r->alone && r->to < h->latest)
		answer_warn(
		    op->ans,
		    "versions %u to %u of %u are in this answer: after=%u gives those behind",
		    r->from, r->to, h->latest, r->to);
}

enum status version_range(struct op *op, struct span text, const struct key_head *h,
                          struct version_range *ret, struct err *err)
{
	enum status st;

	ret->alone = text.n > 0;
	if (!ret->alone)
		return version_page(op, h, &ret->from, &ret->to, err);
	st = version_text(text, h, &ret->from, err);
	ret->to = ret->from;
	return st;
}

const char *version_unusable(enum version_state s)
{
	if (s == VERSION_DISABLED)
		return "this version of the key is disabled";
	return s == VERSION_DESTROYED ? "this version of the key was destroyed" : NULL;
}

enum status answer_data(struct op *op, struct err *err)
{
	if (builder_status(&op->ans->data) != ST_OK)
		return err_set(err, ST_NOMEM, "no memory for the answer");
	op->ans->shape = ANSWER_DATA;
	return ST_OK;
}

/* ---- one version ---- */

static enum status bad_format(struct exporting *x, const char *supported)
{
	return err_set(x->err, ST_INVALID,
	               "unknown format for a key of type %s; supported values are %s",
	               x->info->name, supported);
}

static enum status put_base64(struct exporting *x, struct span bytes)
{
	if (bytes.n > TEXT_MAX / 2)
		return err_set(x->err, ST_CORRUPT, "a key is too large to be exported");
	ct_base64(bytes, x->text);
	json_string(&x->w, span_of(x->text, BASE64_LEN(bytes.n)));
	return ST_OK;
}

static enum status put_symmetric(struct exporting *x, struct span key)
{
	if (x->format == FORMAT_DER || x->format == FORMAT_PEM)
		return bad_format(x, "`` or `raw`");
	return put_base64(x, key);
}

/* PEM ends with a line end; the reference has that for RSA keys and not for others. */
static void put_text(struct exporting *x, struct span text)
{
	if (x->info->family != FAMILY_RSA && text.n > 0 && text.p[text.n - 1] == '\n')
		text.n--;
	json_string(&x->w, text);
}

static enum status put_private_pkey(struct exporting *x, const struct pkey *k)
{
	struct secret *text = NULL;
	enum status st;

	if (x->format == FORMAT_DER)
		st = pkey_pkcs8(k, &text);
	else if (x->format == FORMAT_PEM)
		st = pkey_pkcs8_pem(k, &text);
	else
		st = pkey_export(k, &text);
	if (st != ST_OK)
		return err_set(x->err, st, "no locked memory to export a key");
	if (x->format == FORMAT_DER)
		st = put_base64(x, secret_span(text));
	else
		put_text(x, secret_span(text));
	secret_free(&text);
	return st;
}

/* The formats of an asymmetric key: only ed25519 has a raw one. */
static enum status check_format(struct exporting *x)
{
	return x->format == FORMAT_RAW && x->info->family != FAMILY_ED25519
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
		json_cstr(&x->w, "");
		return ST_OK;
	}
	st = material_pkey(x->k->head.type, d, &k, x->err);
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

	if (st == ST_OK && x->format == FORMAT_DER)
		return put_base64(x, d->public_key);
	if (st == ST_OK)
		st = material_pkey(x->k->head.type, d, &k, x->err);
	if (st == ST_OK)
		st = x->format == FORMAT_PEM ? pkey_spki_pem(k, &text) : key_public_text(k, &text);
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
		json_string(&x->w, builder_span(&pem));
	builder_free(&pem);
	return st == ST_OK ? st : err_set(x->err, st, "a chain of certificates is damaged");
}

static enum status put_value(struct exporting *x, const struct version_data *d)
{
	switch (x->kind) {
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
		return x->info->public_name == NULL ? put_symmetric(x, d->private_key)
		                                    : put_asymmetric(x, d);
	}
}

/* ---- the call ---- */

/* Why a version is not in an answer; NULL: it is. */
static const char *why_not(const struct exporting *x, const struct version_data *d)
{
	const char *why = version_unusable(d->state);

	if (why == NULL && x->kind == EXPORT_CHAIN && d->chain.n == 0)
		why = "selected key version does not have a certificate chain imported";
	return why;
}

/* It is left out of many, and refused alone. */
static enum status put_version(struct exporting *x, uint32_t number,
                               const struct version_range *range)
{
	struct version_data d;
	char name[16];
	struct builder text;
	const char *why;
	enum status st = key_read_version(x->p, &x->k->head.id, number, &d, x->err);

	if (st == ST_NOT_FOUND)
		return err_set(x->err, ST_INVALID, "version does not exist or cannot be found");
	if (st != ST_OK)
		return st;
	why = why_not(x, &d);
	if (why != NULL)
		return range->alone ? err_set(x->err, ST_INVALID, "%s", why) : ST_OK;
	builder_init_fixed(&text, name, sizeof name);
	builder_dec(&text, number);
	json_name_span(&x->w, builder_span(&text));
	return put_value(x, &d);
}

static enum status check_kind(struct exporting *x)
{
	const char *why = NULL;

	if (x->kind == EXPORT_ENCRYPTION && !x->info->encrypts)
		why = "encryption not supported for the key";
	else if (x->kind == EXPORT_SIGNING && !x->info->signs)
		why = "signing not supported for the key";
	else if (x->kind == EXPORT_CHAIN && !x->info->signs)
		why = "certificate chain not supported for keys that do not support signing";
	else if (x->kind == EXPORT_PUBLIC && x->info->public_name == NULL)
		why = "the key has no public key";
	else if (x->kind == EXPORT_PUBLIC && x->k->head.derived)
		why = "the public keys of a derived key are those of its contexts: read the key "
		      "with a context";
	return why == NULL ? ST_OK : err_set(x->err, ST_INVALID, "%s", why);
}

static enum status check(struct exporting *x)
{
	if (!x->k->head.exportable && x->kind != EXPORT_PUBLIC && x->kind != EXPORT_CHAIN)
		return err_set(x->err, ST_INVALID, "private key material is not exportable");
	if (x->k->head.soft_deleted)
		return err_set(x->err, ST_INVALID, KEY_SOFT_DELETED_TEXT);
	return check_kind(x);
}

static enum status begin(struct op *op, struct exporting *x)
{
	struct span format = {0};
	enum status st = request_string(op->req, "format", &format, x->err);

	if (st != ST_OK && st != ST_NOT_FOUND)
		return st;
	x->kind = (enum export_kind)find_name(op->arg[0], kind_names, EXPORT_KINDS);
	if (x->kind == EXPORT_KINDS)
		return err_set(x->err, ST_INVALID, "invalid export type: %.*s", (int)op->arg[0].n,
		               (const char *)op->arg[0].p);
	x->format = (enum export_format)find_name(format, format_names, FORMATS);
	if (x->format == FORMATS)
		return err_set(x->err, ST_INVALID, "invalid format: %.*s",
		               (int)(format.n < 64 ? format.n : 64), (const char *)format.p);
	st = key_find(x->p, op->arg[1], &x->k, x->err);
	if (st != ST_OK)
		return st;
	x->info = key_type_info(x->k->head.type);
	x->text = (char *)view_alloc(x->p->view, TEXT_MAX);
	if (x->text == NULL)
		return err_set(x->err, ST_NOMEM, "no locked memory to export a key");
	return check(x);
}

static enum status export_versions(struct op *op, struct exporting *x)
{
	struct version_range range;
	enum status st = version_range(op, op->arg[2], &x->k->head, &range, x->err);

	if (st != ST_OK)
		return st;
	json_writer_init(&x->w, &op->ans->data);
	json_begin_object(&x->w);
	json_name(&x->w, "keys");
	json_begin_object(&x->w);
	for (uint32_t n = range.from; st == ST_OK && n <= range.to; n++)
		st = put_version(x, n, &range);
	if (st != ST_OK)
		return st;
	json_end_object(&x->w);
	json_put_string(&x->w, "name", x->k->name);
	json_put_cstr(&x->w, "type", x->info->name);
	json_end_object(&x->w);
	version_range_warn(op, &x->k->head, &range);
	return answer_data(op, x->err);
}

enum status transit_export_op(struct op *op)
{
	struct key_place p = key_place_of(op);
	struct err err = {0};
	struct exporting x = {.p = &p, .err = &err};
	enum status st = begin(op, &x);

	if (st == ST_OK)
		st = export_versions(op, &x);
	if (st == ST_OK || (st == ST_NOT_FOUND && err.text[0] == 0))
		return op->ans->status = st;
	builder_reset(&op->ans->data);
	return answer_fail(op->ans, st, "%s", err_text(&err, st));
}
