/*
 * Writing a backup.  The JSON text is made piece by piece in locked memory, and each piece goes as base64 into the answer, which is plaintext key material by
 * what the operation is for.  Members and their order are the reference's; "keyturn" holds what is ours.
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

struct backing {
	const struct key_place *p;
	const struct named_key *k;
	const struct key_type_info *info;
	struct builder piece; /* fixed, locked */
	char *text;           /* TEXT_MAX bytes, locked */
	struct json_writer w;
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

/* ---- pieces ---- */

/* n bytes of the piece, as base64. */
static void encode(struct backing *b, size_t n)
{
	uint8_t *room = builder_room(b->out, BASE64_LEN(n));

	if (room == NULL)
		return;
	ct_base64(span_of(b->piece.p, n), (char *)room);
	builder_took(b->out, BASE64_LEN(n));
}

/* What makes whole groups of base64 goes out. */
static enum status flush(struct backing *b)
{
	size_t whole = b->piece.n / 3 * 3, left = b->piece.n - whole;
	uint8_t rest[2];

	if (builder_status(&b->piece) != ST_OK)
		return err_set(b->err, ST_INVALID,
		               "a version of the key is too large for a backup");
	encode(b, whole);
	if (left > 0)
		memcpy(rest, b->piece.p + whole, left);
	builder_reset(&b->piece);
	builder_add(&b->piece, span_of(rest, left));
	wipe(rest, sizeof rest);
	if (builder_status(b->out) != ST_OK)
		return err_set(b->err, builder_status(b->out), "no memory for a backup");
	return b->out->n - b->began <= BACKUP_TEXT_MAX
	           ? ST_OK
	           : err_set(b->err, ST_INVALID,
	                     "the backup would be longer than %zu bytes, which is more than can be "
	                     "restored: trim old versions",
	                     BACKUP_TEXT_MAX);
}

/* ---- members ---- */

/* "", a string, and null for none. */
static void put_bytes(struct backing *b, const char *name, struct span bytes)
{
	if (bytes.n == 0) {
		json_put_null(&b->w, name);
		return;
	}
	MUST(BASE64_LEN(bytes.n) <= TEXT_MAX);
	ct_base64(bytes, b->text);
	json_put_string(&b->w, name, span_of(b->text, BASE64_LEN(bytes.n)));
}

/* As a value; empty: null. */
static enum status put_number(struct backing *b, struct span number)
{
	size_t n;
	enum status st;

	if (number.n == 0) {
		json_null(&b->w);
		return ST_OK;
	}
	MUST(DECIMAL_LEN(number.n) <= TEXT_MAX);
	st = decimal_text(number, b->text, &n);
	if (st != ST_OK)
		return err_set(b->err, st, "no locked memory for a backup");
	json_raw(&b->w, span_of(b->text, n));
	return ST_OK;
}

struct named_number {
	const char *name;
	struct span number;
};

static enum status put_numbers(struct backing *b, const struct named_number *numbers, size_t n)
{
	enum status st = ST_OK;

	for (size_t i = 0; st == ST_OK && i < n; i++) {
		json_name(&b->w, numbers[i].name);
		st = put_number(b, numbers[i].number);
	}
	return st;
}

static void put_time(struct backing *b, const char *name, int64_t ns)
{
	if (ns == 0)
		json_put_cstr(&b->w, name, ZERO_TIME);
	else
		rfc3339_put(&b->w, name, ns);
}

static void put_mark(struct backing *b, const char *name, const struct key_mark *m)
{
	if (m->time_ns == 0) {
		json_put_null(&b->w, name);
		return;
	}
	json_name(&b->w, name);
	json_begin_object(&b->w);
	rfc3339_put(&b->w, "time", m->time_ns);
	json_put_uint(&b->w, "version", m->version);
	json_end_object(&b->w);
}

/* ---- a version ---- */

static enum status put_ec(struct backing *b, const struct pkey_parts *k)
{
	const struct named_number numbers[] = {{"ec_x", k->x}, {"ec_y", k->y}, {"ec_d", k->d}};

	return put_numbers(b, numbers, 3);
}

static enum status put_rsa_private(struct backing *b, const struct pkey_parts *k)
{
	const struct named_number whole[] = {{"N", k->n}, {"E", k->e}, {"D", k->d}};
	const struct named_number more[] = {{"Dp", k->dp}, {"Dq", k->dq}, {"Qinv", k->qinv}};
	enum status st;

	json_begin_object(&b->w);
	st = put_numbers(b, whole, 3);
	if (st != ST_OK)
		return st;
	json_name(&b->w, "Primes");
	json_begin_array(&b->w);
	st = put_number(b, k->p);
	if (st == ST_OK)
		st = put_number(b, k->q);
	if (st != ST_OK)
		return st;
	json_end_array(&b->w);
	json_name(&b->w, "Precomputed");
	json_begin_object(&b->w);
	st = put_numbers(b, more, 3);
	if (st != ST_OK)
		return st;
	json_name(&b->w, "CRTValues");
	json_begin_array(&b->w);
	json_end_array(&b->w);
	json_end_object(&b->w);
	json_end_object(&b->w);
	return ST_OK;
}

/* Whole, or the public half, or none. */
static enum status put_rsa(struct backing *b, const struct pkey_parts *k)
{
	const struct named_number half[] = {{"N", k->n}, {"E", k->e}};
	enum status st = ST_OK;

	json_name(&b->w, "rsa_key");
	if (k->p.n > 0)
		st = put_rsa_private(b, k);
	else
		json_null(&b->w);
	if (st != ST_OK)
		return st;
	json_name(&b->w, "rsa_public_key");
	if (k->n.n == 0 || k->p.n > 0) {
		json_null(&b->w);
		return ST_OK;
	}
	json_begin_object(&b->w);
	st = put_numbers(b, half, 2);
	if (st == ST_OK)
		json_end_object(&b->w);
	return st;
}

/* The public half as the reference keeps it beside the numbers; "" for RSA. */
static enum status put_public(struct backing *b, const struct pkey *k)
{
	struct builder text = {.max = 0};
	enum status st = ST_OK;

	if (k != NULL && b->info->family != FAMILY_RSA)
		st = key_public_text(k, &text);
	json_put_string(&b->w, "public_key", builder_span(&text));
	builder_free(&text);
	return st == ST_OK ? st : err_set(b->err, st, "no memory for a backup");
}

static enum status put_chain(struct backing *b, struct span chain)
{
	struct cursor c = cursor_of(chain);
	struct builder text = {.max = 0};
	struct span der;
	enum status st = ST_OK;

	if (chain.n == 0) {
		json_put_null(&b->w, "certificate_chain");
		return ST_OK;
	}
	json_name(&b->w, "certificate_chain");
	json_begin_array(&b->w);
	while (st == ST_OK && c.left > 0) {
		st = cursor_lv(&c, &der);
		if (st != ST_OK)
			break;
		builder_reset(&text);
		builder_base64(&text, der);
		st = builder_status(&text);
		json_string(&b->w, builder_span(&text));
	}
	json_end_array(&b->w);
	builder_free(&text);
	return st == ST_OK ? st : err_set(b->err, st, "a chain of certificates is damaged");
}

static enum status put_ours(struct backing *b, uint32_t number, const struct version_data *d)
{
	const struct uses_of of = key_uses_of(b->p, b->k, number);
	struct uses_counts counts;
	enum status st = uses_counts(b->p->transit->uses, &of, &counts, b->err);

	if (st != ST_OK)
		return st;
	json_name(&b->w, "keyturn");
	json_begin_object(&b->w);
	json_put_cstr(&b->w, "state", backup_state_name(d->state));
	json_put_bool(&b->w, "rewrap_only", d->rewrap_only);
	put_time(b, "destroy_time", d->destroyed_ns);
	json_put_uint(&b->w, "encryptions", counts.encryptions);
	json_put_uint(&b->w, "decryptions", counts.decryptions);
	json_put_uint(&b->w, "last_used_day", counts.last_day);
	json_put_bool(&b->w, "earlier_uses_known", !d->uses_unknown);
	json_end_object(&b->w);
	return ST_OK;
}

/* The members of a KEY; number 0: the empty one that stands for version 0. */
static enum status put_key(struct backing *b, uint32_t number, const struct version_data *d,
                           const struct pkey *k)
{
	bool numbers = b->info->family == FAMILY_EC || b->info->family == FAMILY_RSA;
	const struct pkey_parts none = {.home = NULL};
	struct pkey_parts parts = none;
	enum status st = ST_OK;

	if (k != NULL && numbers)
		st = pkey_parts(k, &parts);
	if (st != ST_OK)
		return err_set(b->err, st, "no locked memory for a backup");
	json_begin_object(&b->w);
	put_bytes(b, "key", numbers ? span_of(NULL, 0) : d->private_key);
	put_bytes(b, "hmac_key", d->mac_key);
	put_time(b, "time", d->created_ns);
	st = put_ec(b, b->info->family == FAMILY_EC ? &parts : &none);
	if (st == ST_OK)
		st = put_rsa(b, &parts);
	pkey_parts_free(&parts);
	if (st == ST_OK)
		st = put_public(b, k);
	if (st != ST_OK)
		return st;
	json_put_int(&b->w, "convergent_version",
	             b->k->head.convergent && number > 0 ? CONVERGENT_VERSION : 0);
	json_put_int(&b->w, "creation_time", d->created_ns / NS_PER_S);
	st = put_chain(b, d->chain);
	if (st != ST_OK)
		return st;
	json_put_cstr(&b->w, "external_key_ref", "");
	if (number > 0)
		st = put_ours(b, number, d);
	if (st == ST_OK)
		json_end_object(&b->w);
	return st;
}

static enum status put_version(struct backing *b, uint32_t number)
{
	struct version_data d = {.state = VERSION_DESTROYED};
	struct pkey *k = NULL;
	enum status st = ST_OK;

	if (number > 0)
		st = key_read_version(b->p, &b->k->head.id, number, &d, b->err);
	if (st == ST_OK && d.state != VERSION_DESTROYED && b->info->public_name != NULL)
		st = material_pkey(b->k->head.type, &d, &k, b->err);
	if (st == ST_OK)
		st = put_key(b, number, &d, k);
	pkey_unref(&k);
	return st == ST_OK ? flush(b) : st;
}

static enum status put_keys(struct backing *b)
{
	char name[16];
	struct builder text;
	enum status st = ST_OK;

	json_name(&b->w, "keys");
	json_begin_object(&b->w);
	for (uint32_t n = b->k->head.min_decryption; st == ST_OK && n <= b->k->head.latest; n++) {
		builder_init_fixed(&text, name, sizeof name);
		builder_dec(&text, n);
		json_name_span(&b->w, builder_span(&text));
		st = put_version(b, n);
	}
	if (st == ST_OK)
		json_end_object(&b->w);
	return st;
}

static enum status put_archive(struct backing *b)
{
	enum status st = ST_OK;

	json_name(&b->w, "archived_keys");
	json_begin_object(&b->w);
	json_name(&b->w, "keys");
	json_begin_array(&b->w);
	for (uint32_t n = b->k->head.min_available; st == ST_OK && n <= b->k->head.latest; n++)
		st = put_version(b, n);
	if (st != ST_OK)
		return st;
	json_end_array(&b->w);
	json_end_object(&b->w);
	return ST_OK;
}

/* ---- the policy ---- */

static void put_own_settings(struct backing *b)
{
	const struct key_head *h = &b->k->head;

	json_name(&b->w, "keyturn");
	json_begin_object(&b->w);
	json_put_int(&b->w, "format", FORMAT);
	json_put_cstr(&b->w, "type", b->info->name);
	json_put_uint(&b->w, "max_operations", h->max_operations);
	json_put_uint(&b->w, "max_versions", h->max_versions);
	json_put_int(&b->w, "retire_after", h->retire_after_s);
	json_end_object(&b->w);
}

static void put_settings(struct backing *b)
{
	const struct key_head *h = &b->k->head;
	struct json_writer *w = &b->w;

	json_put_bool(w, "derived", h->derived);
	json_put_int(w, "kdf", h->derived ? KDF_HKDF_SHA256 : 0);
	json_put_bool(w, "convergent_encryption", h->convergent);
	json_put_bool(w, "exportable", h->exportable);
	json_put_uint(w, "min_decryption_version", h->min_decryption);
	json_put_uint(w, "min_encryption_version", h->min_encryption);
	json_put_uint(w, "latest_version", h->latest);
	json_put_uint(w, "archive_version", h->latest);
	json_put_uint(w, "archive_min_version", h->min_available);
	json_put_uint(w, "min_available_version", h->min_available);
	json_put_bool(w, "deletion_allowed", h->deletion_allowed);
	json_put_int(w, "convergent_version", h->convergent ? -1 : 0);
	json_put_int(w, "type",
	             b->info->reference_number == KEY_NO_NUMBER ? BACKUP_TYPE_OURS
	                                                        : b->info->reference_number);
	put_mark(b, "backup_info", &h->backup);
	put_mark(b, "restore_info", &h->restored);
	json_put_bool(w, "allow_plaintext_backup", h->plaintext_backup);
	json_put_cstr(w, "version_template", "");
	json_put_cstr(w, "storage_prefix", "");
	json_put_int(w, "auto_rotate_period", (int64_t)h->auto_rotate_s * NS_PER_S);
	json_put_bool(w, "Imported", h->imported);
	json_put_bool(w, "AllowImportedKeyRotation", h->import_rotation);
	json_put_bool(w, "soft_deleted", h->soft_deleted);
	put_own_settings(b);
}

static enum status put_all(struct backing *b)
{
	enum status st;

	json_begin_object(&b->w);
	json_name(&b->w, "policy");
	json_begin_object(&b->w);
	json_put_string(&b->w, "name", b->k->name);
	if (b->k->head.key_size != 0)
		json_put_uint(&b->w, "key_size", b->k->head.key_size);
	st = put_keys(b);
	if (st != ST_OK)
		return st;
	put_settings(b);
	json_end_object(&b->w);
	st = put_archive(b);
	if (st != ST_OK)
		return st;
	json_end_object(&b->w);
	st = flush(b);
	if (st != ST_OK)
		return st;
	encode(b, b->piece.n);
	return builder_status(b->out) == ST_OK
	           ? ST_OK
	           : err_set(b->err, builder_status(b->out), "no memory for a backup");
}

enum status backup_write(const struct key_place *p, const struct named_key *k, struct builder *out,
                         struct err *err)
{
	uint32_t first = k->head.min_available > 0 ? k->head.min_available : 1;
	struct backing b = {.p = p,
	                    .k = k,
	                    .info = key_type_info(k->head.type),
	                    .out = out,
	                    .began = out->n,
	                    .err = err};
	uint8_t *room = view_alloc(p->view, PIECE_MAX + TEXT_MAX);

	if (k->head.latest - first >= BACKUP_VERSIONS_MAX)
		return err_set(
		    err, ST_INVALID,
		    "the key has more than %u versions, which is more than a backup holds: "
		    "trim old ones",
		    BACKUP_VERSIONS_MAX);
	if (room == NULL)
		return err_set(err, ST_NOMEM, "no locked memory for a backup");
	builder_init_fixed(&b.piece, room, PIECE_MAX);
	b.text = (char *)room + PIECE_MAX;
	json_writer_init(&b.w, &b.piece);
	return put_all(&b);
}

/* ---- the call ---- */

static enum status check(const struct key_head *h, struct err *err)
{
	if (h->soft_deleted)
		return err_set(err, ST_INVALID, KEY_SOFT_DELETED_TEXT);
	if (!h->exportable)
		return err_set(err, ST_INVALID, "exporting is disallowed on the policy");
	if (!h->plaintext_backup)
		return err_set(err, ST_INVALID, "plaintext backup is disallowed on the policy");
	return ST_OK;
}

static enum status back_up(struct op *op, const struct key_place *p, struct err *err)
{
	const struct named_key *found;
	struct named_key k;
	struct builder *out = &op->ans->data;
	enum status st = key_find(p, op->arg[0], &found, err);

	if (st == ST_NOT_FOUND)
		return err_set(err, ST_INVALID, "key \"%.*s\" not found", (int)op->arg[0].n,
		               (const char *)op->arg[0].p);
	if (st == ST_OK)
		st = check(&found->head, err);
	if (st != ST_OK)
		return st;
	k = (struct named_key){.head = found->head, .name = op->arg[0]};
	k.head.backup = (struct key_mark){.time_ns = p->now_ns, .version = k.head.latest};
	st = key_put_head(p, op->arg[0], &k.head, err);
	if (st != ST_OK)
		return st;
	builder_str(out, "{\"backup\":\"");
	st = backup_write(p, &k, out, err);
	builder_str(out, "\"}");
	return st;
}

enum status transit_backup_op(struct op *op)
{
	struct key_place p = key_place_of(op);
	struct err err = {0};
	enum status st = back_up(op, &p, &err);

	if (st == ST_NEEDS_WRITER)
		return op->ans->status = st;
	if (st != ST_OK) {
		builder_reset(&op->ans->data);
		return answer_fail(op->ans, st, "%s", err_text(&err, st));
	}
	op->ans->shape = ANSWER_DATA;
	return op->ans->status = ST_OK;
}
