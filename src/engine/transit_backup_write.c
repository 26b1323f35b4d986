/*
 * Writing a backup.  The JSON text is made piece by piece in locked memory, and each piece goes on as base64.  Members and their order are the reference's;
 * "keyturn" holds what is ours.
 */
#include <string.h>

#include "base/clock.h"
#include "crypto/ct.h"
#include "crypto/decimal.h"
#include "engine/transit_backup.h"
#include "engine/transit_impl.h"
#include "engine/transit_material.h"

#define PIECE_MAX          131072u /* more than one version has, certificates and all */
#define TEXT_MAX           4096u   /* more than a key's base64, or a number's digits, have */
#define FORMAT             1
#define KDF_HKDF_SHA256    1
#define CONVERGENT_VERSION 3
#define ZERO_TIME          "0001-01-01T00:00:00Z"

struct writing {
	const struct backup *b;
	const struct key_type_info *info;
	const struct slow_since *since;
	struct builder piece; /* fixed, locked */
	char *text;           /* TEXT_MAX bytes, locked */
	struct json_writer j;
	struct builder *out;
	size_t began; /* length of out before */
	struct err *err;
};

static const char *const state_names[] = {[VERSION_USABLE] = "usable",
                                          [VERSION_DISABLED] = "disabled",
                                          [VERSION_DESTROYED] = "destroyed"};

const char *backup_state_name(enum version_state s)
{
	return state_names[s];
}

enum status backup_state_find(struct span name, enum version_state *ret)
{
	for (size_t i = 0; i < sizeof state_names / sizeof *state_names; i++) {
		if (!span_eq_str(name, state_names[i]))
			continue;
		*ret = (enum version_state)i;
		return ST_OK;
	}
	return ST_NOT_FOUND;
}

static enum status no_memory(struct writing *w)
{
	return err_set(w->err, ST_NOMEM, "no memory for a backup");
}

/* ---- pieces ---- */

/* n bytes of the piece, as base64. */
static void encode(struct writing *w, size_t n)
{
	uint8_t *room = builder_room(w->out, BASE64_LEN(n));

	if (room == NULL)
		return;
	ct_base64(span_of(w->piece.p, n), (char *)room);
	builder_took(w->out, BASE64_LEN(n));
}

/* What makes whole groups of base64 goes out. */
static enum status flush(struct writing *w)
{
	size_t whole = w->piece.n / 3 * 3, left = w->piece.n - whole;
	uint8_t rest[2];

	if (builder_status(&w->piece) != ST_OK)
		return err_set(w->err, ST_INVALID,
		               "a version of the key is too large for a backup");
	encode(w, whole);
	if (left > 0)
		memcpy(rest, w->piece.p + whole, left);
	builder_reset(&w->piece);
	builder_add(&w->piece, span_of(rest, left));
	wipe(rest, sizeof rest);
	if (builder_status(w->out) != ST_OK)
		return no_memory(w);
	return w->out->n - w->began <= BACKUP_TEXT_MAX
	           ? ST_OK
	           : err_set(w->err, ST_INVALID,
	                     "the backup would be longer than %zu bytes, which is more than can be "
	                     "restored: trim old versions",
	                     BACKUP_TEXT_MAX);
}

/* ---- members ---- */

/* "", a string, and null for none. */
static void put_bytes(struct writing *w, const char *name, struct span bytes)
{
	if (bytes.n == 0) {
		json_put_null(&w->j, name);
		return;
	}
	MUST(BASE64_LEN(bytes.n) <= TEXT_MAX);
	ct_base64(bytes, w->text);
	json_put_string(&w->j, name, span_of(w->text, BASE64_LEN(bytes.n)));
}

/* As a value; empty: null. */
static enum status put_number(struct writing *w, struct span number)
{
	size_t n;
	enum status st;

	if (number.n == 0) {
		json_null(&w->j);
		return ST_OK;
	}
	MUST(DECIMAL_LEN(number.n) <= TEXT_MAX);
	st = decimal_text(number, w->text, &n);
	if (st != ST_OK)
		return no_memory(w);
	json_raw(&w->j, span_of(w->text, n));
	return ST_OK;
}

struct named_number {
	const char *name;
	struct span number;
};

static enum status put_numbers(struct writing *w, const struct named_number *numbers, size_t n)
{
	enum status st = ST_OK;

	for (size_t i = 0; st == ST_OK && i < n; i++) {
		json_name(&w->j, numbers[i].name);
		st = put_number(w, numbers[i].number);
	}
	return st;
}

static void put_time(struct writing *w, const char *name, int64_t ns)
{
	if (ns == 0)
		json_put_cstr(&w->j, name, ZERO_TIME);
	else
		rfc3339_put(&w->j, name, ns);
}

static void put_mark(struct writing *w, const char *name, const struct key_mark *m)
{
	if (m->time_ns == 0) {
		json_put_null(&w->j, name);
		return;
	}
	json_name(&w->j, name);
	json_begin_object(&w->j);
	rfc3339_put(&w->j, "time", m->time_ns);
	json_put_uint(&w->j, "version", m->version);
	json_end_object(&w->j);
}

/* ---- a version ---- */

static enum status put_ec(struct writing *w, const struct pkey_parts *k)
{
	const struct named_number numbers[] = {{"ec_x", k->x}, {"ec_y", k->y}, {"ec_d", k->d}};

	return put_numbers(w, numbers, 3);
}

static enum status put_rsa_private(struct writing *w, const struct pkey_parts *k)
{
	const struct named_number whole[] = {{"N", k->n}, {"E", k->e}, {"D", k->d}};
	const struct named_number more[] = {{"Dp", k->dp}, {"Dq", k->dq}, {"Qinv", k->qinv}};
	enum status st;

	json_begin_object(&w->j);
	st = put_numbers(w, whole, 3);
	if (st != ST_OK)
		return st;
	json_name(&w->j, "Primes");
	json_begin_array(&w->j);
	st = put_number(w, k->p);
	if (st == ST_OK)
		st = put_number(w, k->q);
	if (st != ST_OK)
		return st;
	json_end_array(&w->j);
	json_name(&w->j, "Precomputed");
	json_begin_object(&w->j);
	st = put_numbers(w, more, 3);
	if (st != ST_OK)
		return st;
	json_name(&w->j, "CRTValues");
	json_begin_array(&w->j);
	json_end_array(&w->j);
	json_end_object(&w->j);
	json_end_object(&w->j);
	return ST_OK;
}

/* Whole, or the public half, or none. */
static enum status put_rsa(struct writing *w, const struct pkey_parts *k)
{
	const struct named_number half[] = {{"N", k->n}, {"E", k->e}};
	enum status st = ST_OK;

	json_name(&w->j, "rsa_key");
	if (k->p.n > 0)
		st = put_rsa_private(w, k);
	else
		json_null(&w->j);
	if (st != ST_OK)
		return st;
	json_name(&w->j, "rsa_public_key");
	if (k->n.n == 0 || k->p.n > 0) {
		json_null(&w->j);
		return ST_OK;
	}
	json_begin_object(&w->j);
	st = put_numbers(w, half, 2);
	if (st == ST_OK)
		json_end_object(&w->j);
	return st;
}

/* The public half as the reference keeps it beside the numbers; "" for RSA. */
static enum status put_public(struct writing *w, const struct pkey *k)
{
	struct builder text = {.max = 0};
	enum status st = ST_OK;

	if (k != NULL && w->info->family != FAMILY_RSA)
		st = key_public_text(k, &text);
	json_put_string(&w->j, "public_key", builder_span(&text));
	builder_free(&text);
	return st == ST_OK ? st : err_set(w->err, st, "no memory for a backup");
}

static enum status put_chain(struct writing *w, struct span chain)
{
	struct cursor c = cursor_of(chain);
	struct builder text = {.max = 0};
	struct span der;
	enum status st = ST_OK;

	if (chain.n == 0) {
		json_put_null(&w->j, "certificate_chain");
		return ST_OK;
	}
	json_name(&w->j, "certificate_chain");
	json_begin_array(&w->j);
	while (st == ST_OK && c.left > 0) {
		st = cursor_lv(&c, &der);
		if (st != ST_OK)
			break;
		builder_reset(&text);
		builder_base64(&text, der);
		st = builder_status(&text);
		json_string(&w->j, builder_span(&text));
	}
	json_end_array(&w->j);
	builder_free(&text);
	return st == ST_OK ? st : err_set(w->err, st, "a chain of certificates is damaged");
}

static void put_ours(struct writing *w, const struct backup_version *v)
{
	json_name(&w->j, "keyturn");
	json_begin_object(&w->j);
	json_put_cstr(&w->j, "state", backup_state_name(v->data.state));
	json_put_bool(&w->j, "rewrap_only", v->data.rewrap_only);
	put_time(w, "destroy_time", v->data.destroyed_ns);
	json_put_uint(&w->j, "encryptions", v->counts.encryptions);
	json_put_uint(&w->j, "decryptions", v->counts.decryptions);
	json_put_uint(&w->j, "last_used_day", v->counts.last_day);
	json_put_bool(&w->j, "earlier_uses_known", !v->data.uses_unknown);
	json_end_object(&w->j);
}

/* A KEY.  Empty, and without what is ours: it stands for version 0. */
static enum status put_key(struct writing *w, const struct backup_version *v, const struct pkey *k)
{
	bool numbers = w->info->family == FAMILY_EC || w->info->family == FAMILY_RSA;
	const struct pkey_parts none = {.home = NULL};
	struct pkey_parts parts = none;
	const struct version_data *d = &v->data;
	enum status st = ST_OK;

	if (k != NULL && numbers)
		st = pkey_parts(k, &parts);
	if (st != ST_OK)
		return no_memory(w);
	json_begin_object(&w->j);
	put_bytes(w, "key", numbers ? span_of(NULL, 0) : d->private_key);
	put_bytes(w, "hmac_key", d->mac_key);
	put_time(w, "time", d->created_ns);
	st = put_ec(w, w->info->family == FAMILY_EC ? &parts : &none);
	if (st == ST_OK)
		st = put_rsa(w, w->info->family == FAMILY_RSA ? &parts : &none);
	pkey_parts_free(&parts);
	if (st == ST_OK)
		st = put_public(w, k);
	if (st != ST_OK)
		return st;
	json_put_int(&w->j, "convergent_version",
	             w->b->head.convergent && v->counted ? CONVERGENT_VERSION : 0);
	json_put_int(&w->j, "creation_time", d->created_ns / NS_PER_S);
	st = put_chain(w, d->chain);
	if (st != ST_OK)
		return st;
	json_put_cstr(&w->j, "external_key_ref", "");
	if (v->counted)
		put_ours(w, v);
	json_end_object(&w->j);
	return ST_OK;
}

static enum status put_version(struct writing *w, const struct backup_version *v)
{
	struct pkey *k = NULL;
	enum status st = ST_OK;

	if (slow_is_over(w->since))
		return err_set(w->err, ST_UNAVAILABLE, "the store was closed");
	if (v->data.state != VERSION_DESTROYED && w->info->public_name != NULL)
		st = material_pkey(w->b->head.type, &v->data, &k, w->err);
	if (st == ST_OK)
		st = put_key(w, v, k);
	pkey_unref(&k);
	return st == ST_OK ? flush(w) : st;
}

static enum status put_keys(struct writing *w)
{
	char name[16];
	struct builder text;
	enum status st = ST_OK;

	json_name(&w->j, "keys");
	json_begin_object(&w->j);
	for (uint32_t n = w->b->head.min_decryption; st == ST_OK && n <= w->b->head.latest; n++) {
		builder_init_fixed(&text, name, sizeof name);
		builder_dec(&text, n);
		json_name_span(&w->j, builder_span(&text));
		st = put_version(w, &w->b->versions[n - w->b->first]);
	}
	if (st == ST_OK)
		json_end_object(&w->j);
	return st;
}

static enum status put_archive(struct writing *w)
{
	const struct backup_version version_0 = {.data.state = VERSION_DESTROYED};
	enum status st = ST_OK;

	json_name(&w->j, "archived_keys");
	json_begin_object(&w->j);
	json_name(&w->j, "keys");
	json_begin_array(&w->j);
	if (w->b->head.min_available == 0)
		st = put_version(w, &version_0);
	for (size_t i = 0; st == ST_OK && i < w->b->n; i++)
		st = put_version(w, &w->b->versions[i]);
	if (st != ST_OK)
		return st;
	json_end_array(&w->j);
	json_end_object(&w->j);
	return ST_OK;
}

/* ---- the policy ---- */

static void put_own_settings(struct writing *w)
{
	const struct key_head *h = &w->b->head;

	json_name(&w->j, "keyturn");
	json_begin_object(&w->j);
	json_put_int(&w->j, "format", FORMAT);
	json_put_cstr(&w->j, "type", w->info->name);
	json_put_uint(&w->j, "max_operations", h->max_operations);
	json_put_uint(&w->j, "max_versions", h->max_versions);
	json_put_int(&w->j, "retire_after", h->retire_after_s);
	json_end_object(&w->j);
}

static void put_settings(struct writing *w)
{
	const struct key_head *h = &w->b->head;
	struct json_writer *j = &w->j;

	json_put_bool(j, "derived", h->derived);
	json_put_int(j, "kdf", h->derived ? KDF_HKDF_SHA256 : 0);
	json_put_bool(j, "convergent_encryption", h->convergent);
	json_put_bool(j, "exportable", h->exportable);
	json_put_uint(j, "min_decryption_version", h->min_decryption);
	json_put_uint(j, "min_encryption_version", h->min_encryption);
	json_put_uint(j, "latest_version", h->latest);
	json_put_uint(j, "archive_version", h->latest);
	json_put_uint(j, "archive_min_version", h->min_available);
	json_put_uint(j, "min_available_version", h->min_available);
	json_put_bool(j, "deletion_allowed", h->deletion_allowed);
	json_put_int(j, "convergent_version", h->convergent ? -1 : 0);
	json_put_int(j, "type",
	             w->info->reference_number == KEY_NO_NUMBER ? BACKUP_TYPE_OURS
	                                                        : w->info->reference_number);
	put_mark(w, "backup_info", &h->backup);
	put_mark(w, "restore_info", &h->restored);
	json_put_bool(j, "allow_plaintext_backup", h->plaintext_backup);
	json_put_cstr(j, "version_template", "");
	json_put_cstr(j, "storage_prefix", "");
	json_put_int(j, "auto_rotate_period", (int64_t)h->auto_rotate_s * NS_PER_S);
	json_put_bool(j, "Imported", h->imported);
	json_put_bool(j, "AllowImportedKeyRotation", h->import_rotation);
	json_put_bool(j, "soft_deleted", h->soft_deleted);
	put_own_settings(w);
}

static enum status put_all(struct writing *w)
{
	enum status st;

	json_begin_object(&w->j);
	json_name(&w->j, "policy");
	json_begin_object(&w->j);
	json_put_string(&w->j, "name", w->b->name);
	if (w->b->head.key_size != 0)
		json_put_uint(&w->j, "key_size", w->b->head.key_size);
	st = put_keys(w);
	if (st != ST_OK)
		return st;
	put_settings(w);
	json_end_object(&w->j);
	st = put_archive(w);
	if (st != ST_OK)
		return st;
	json_end_object(&w->j);
	st = flush(w);
	if (st != ST_OK)
		return st;
	encode(w, w->piece.n);
	return builder_status(w->out) == ST_OK
	           ? ST_OK
	           : err_set(w->err, builder_status(w->out), "no memory for a backup");
}

enum status backup_write(const struct backup *b, struct builder *out,
                         const struct slow_since *since, struct err *err)
{
	struct err own = {0};
	struct writing w = {.b = b,
	                    .info = key_type_info(b->head.type),
	                    .since = since,
	                    .out = out,
	                    .began = out->n,
	                    .err = err != NULL ? err : &own};
	uint8_t *room = secret_alloc(PIECE_MAX + TEXT_MAX);
	enum status st;

	if (room == NULL)
		return no_memory(&w);
	builder_init_fixed(&w.piece, room, PIECE_MAX);
	w.text = (char *)room + PIECE_MAX;
	json_writer_init(&w.j, &w.piece);
	st = put_all(&w);
	secret_release(room);
	return st;
}
