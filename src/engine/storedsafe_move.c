/*
 * Keys out of a vault and into one: export, backup, restore.
 *
 * A backup is base64 of: "KTSB" | 1 version 1 | info and transit's backup of the key (transit_backup.h), each with a 4-byte length | SHA-256 of all that.  The checksum tells
 * damage, and what is no backup; it proves nothing about who made it, as nothing in a plaintext backup could.
 */
#include <stdlib.h>
#include <string.h>

#include "crypto/ct.h"
#include "crypto/kdf.h"
#include "engine/storedsafe_key.h"
#include "engine/transit_backup.h"
#include "engine/transit_impl.h"

#define MAGIC        "KTSB"
#define BLOB_VERSION 1
/* Beside the two texts. */
#define BLOB_FIXED (4 + 1 + 4 + 4 + SHA256_LEN)

/* ---- export ---- */

static enum status put_exported(struct key_op *k, uint32_t number, struct err *err)
{
	struct builder *out = &k->op.ans->data;
	struct json_writer w;
	struct version_data d;
	char *text;
	enum status st = key_read_version(&k->place, &k->key->head.id, number, &d, err);

	if (st == ST_NOT_FOUND)
		return err_set(err, ST_INVALID, "version does not exist or cannot be found");
	if (st == ST_OK && version_unusable(d.state) != NULL)
		return err_set(err, ST_INVALID, "%s", version_unusable(d.state));
	if (st != ST_OK)
		return st;
	text = (char *)view_alloc(&k->op.view, BASE64_LEN(d.private_key.n) + 1);
	if (text == NULL)
		return err_set(err, ST_NOMEM, "no locked memory to export a key");
	ct_base64(d.private_key, text);
	json_writer_init(&w, out);
	json_begin_object(&w);
	json_name(&w, "named_keys");
	json_begin_array(&w);
	json_begin_object(&w);
	json_put_string(&w, "name", k->name);
	storedsafe_put_number(&w, "key_version", number);
	json_put_cstr(&w, "type", key_type_info(k->key->head.type)->name);
	json_put_string(&w, "key", span_of(text, BASE64_LEN(d.private_key.n)));
	json_end_object(&w);
	json_end_array(&w);
	json_end_object(&w);
	return answer_data(&k->op, err);
}

/* Argument 2: a version; the latest when there is none. */
enum status storedsafe_export(struct op *op)
{
	struct key_op k;
	struct version_range range;
	struct span version = op->arg[2];
	struct err err = {0};
	enum status st = key_op_existing(&k, op);

	if (st != ST_OK)
		return st;
	if (!k.key->head.exportable)
		return answer_fail(
		    op->ans, ST_DENIED,
		    "the key may not be exported: it was made with allow_export false");
	if (version.n == 0)
		version = span_str("latest");
	st = version_range(&k.op, version, &k.key->head, &range, &err);
	if (st == ST_OK)
		st = put_exported(&k, range.from, &err);
	return st == ST_OK ? (op->ans->status = st) : safe_fail(op, st, &err);
}

/* ---- backup: what the pool does ---- */

struct backing {
	struct slow slow; /* first */
	struct slow_since since;
	struct backup backup;
	struct builder info, text, blob;
	uint64_t object;
	uint64_t changes; /* of the key, when it was copied */
	struct builder data;
	enum status status;
	struct err err;
};

static void seal_blob(struct builder *blob, struct span info, struct span text)
{
	uint8_t sum[SHA256_LEN];
	struct span all;

	builder_str(blob, MAGIC);
	builder_u8(blob, BLOB_VERSION);
	builder_lv(blob, info);
	builder_lv(blob, text);
	all = builder_span(blob);
	sha256(&all, 1, sum);
	builder_add(blob, span_of(sum, sizeof sum));
}

static void put_backup(struct backing *b)
{
	struct json_writer w;

	json_writer_init(&w, &b->data);
	json_begin_object(&w);
	storedsafe_put_number(&w, "version", b->backup.head.latest);
	storedsafe_put_number(&w, "key_version", b->backup.head.latest);
	storedsafe_put_number(&w, "objectid", b->object);
	json_name(&w, "named_keys");
	json_begin_array(&w);
	json_begin_object(&w);
	json_name(&w, "backup");
	builder_u8(&b->data, '"');
	builder_base64(&b->data, builder_span(&b->blob));
	builder_str(&b->data, "\"}]}");
}

static void backing_run(struct slow *work)
{
	struct backing *b = (struct backing *)(void *)work;

	b->status = backup_write(&b->backup, &b->text, &b->since, &b->err);
	if (b->status != ST_OK)
		return;
	/* Each lies in ordinary memory, as the answer will; no longer than it is needed. */
	seal_blob(&b->blob, builder_span(&b->info), builder_span(&b->text));
	builder_free(&b->text);
	b->status = builder_status(&b->blob);
	if (b->status == ST_OK) {
		put_backup(b);
		b->status = builder_status(&b->data);
	}
	builder_free(&b->blob);
	if (b->status == ST_LIMIT)
		b->status =
		    err_set(&b->err, ST_INVALID,
		            "the backup would be longer than %zu bytes, which is more than a "
		            "request may have: destroy old versions",
		            BACKUP_TEXT_MAX);
}

static void backing_free(struct slow **work)
{
	struct backing *b = (struct backing *)(void *)*work;

	*work = NULL;
	backup_free(&b->backup);
	builder_free(&b->info);
	builder_free(&b->text);
	builder_free(&b->blob);
	builder_free(&b->data);
	free(b);
}

/* ---- backup: the call ---- */

static enum status begin_backup(struct key_op *k, struct err *err)
{
	struct backing *b = calloc(1, sizeof *b);
	struct safe_object o;
	struct slow *work;
	enum status st;

	if (b == NULL)
		return err_set(err, ST_NOMEM, "no memory for a backup");
	b->slow = (struct slow){.run = backing_run, .free = backing_free};
	b->since = slow_since(k->place.transit);
	b->changes = k->key->head.changes;
	b->data.max = BACKUP_TEXT_MAX;
	st = safe_object_find(k, &o, err);
	if (st == ST_OK) {
		b->object = o.id;
		builder_add(&b->info, o.info);
		st = builder_status(&b->info);
	}
	if (st == ST_OK)
		st = backup_copy(&b->backup, &k->place, k->key, err);
	if (st == ST_OK) {
		k->op.slow = &b->slow;
		return ST_PENDING;
	}
	work = &b->slow;
	backing_free(&work);
	return st;
}

static enum status back_up(struct key_op *k, struct err *err)
{
	struct backing *b = (struct backing *)(void *)k->op.slow;
	struct key_head head = k->key->head;
	enum status st;

	if (b == NULL || b->changes != head.changes ||
	    memcmp(b->backup.head.id.b, head.id.b, KEY_ID_LEN) != 0)
		return begin_backup(k, err);
	if (b->status != ST_OK)
		return err_set(err, b->status, "%s", err_text(&b->err, b->status));
	head.backup = b->backup.head.backup;
	st = key_put_head(&k->place, k->op.arg[0], &head, err);
	if (st != ST_OK)
		return st;
	answer_take(k->op.ans, &b->data);
	return answer_data(&k->op, err);
}

/* Also prepares itself: all versions of a key are copied on the loop, not on the writer. */
enum status storedsafe_backup(struct op *op)
{
	struct key_op k;
	struct err err = {0};
	enum status st = key_op_existing(&k, op);

	if (st != ST_OK)
		return st;
	if (!k.key->head.plaintext_backup)
		return answer_fail(
		    op->ans, ST_DENIED,
		    "the key may not be backed up: it was made with allow_backup false");
	st = back_up(&k, &err);
	key_op_end(&k);
	return st == ST_OK ? (op->ans->status = st) : safe_fail(op, st, &err);
}

/* ---- restore: what the pool does ---- */

struct restoring {
	struct slow slow; /* first */
	struct slow_since since;
	uint8_t *text, *blob; /* locked: base64, and what it encodes */
	size_t n;
	struct span info; /* within blob */
	struct backup backup;
	enum status status;
	struct err err;
};

static enum status no_backup(struct err *err)
{
	return err_set(err, ST_INVALID,
	               "'backup' is no backup of a key that this server can read, or is damaged");
}

/* The blob's two texts. */
static enum status open_blob(struct span blob, struct span *ret_info, struct span *ret_text)
{
	struct cursor c = cursor_of(blob);
	struct span magic, sum, all, info, text;
	uint8_t version, want[SHA256_LEN];

	if (blob.n < BLOB_FIXED || cursor_span(&c, 4, &magic) != ST_OK ||
	    !span_eq_str(magic, MAGIC) || cursor_u8(&c, &version) != ST_OK ||
	    version != BLOB_VERSION || cursor_lv(&c, &info) != ST_OK ||
	    cursor_lv(&c, &text) != ST_OK || cursor_span(&c, SHA256_LEN, &sum) != ST_OK ||
	    cursor_end(&c) != ST_OK)
		return ST_CORRUPT;
	all = span_of(blob.p, blob.n - SHA256_LEN);
	sha256(&all, 1, want);
	if (!span_eq(sum, span_of(want, sizeof want)))
		return ST_CORRUPT;
	*ret_info = info;
	*ret_text = text;
	return ST_OK;
}

/* Of a kind that a vault has: made up, or from elsewhere, it could be any. */
static enum status check_kind(const struct backup *b, struct err *err)
{
	const struct key_head *h = &b->head;

	if (h->derived || h->convergent || h->soft_deleted)
		return err_set(err, ST_INVALID, "the backup is of a key that a vault cannot have");
	return safe_head_check(h, err);
}

static enum status read_blob(struct restoring *r)
{
	size_t cap = r->n / 4 * 3 + 1, n;
	struct span text;

	r->blob = secret_alloc(cap);
	if (r->blob == NULL)
		return err_set(&r->err, ST_NOMEM, "no locked memory to restore a key");
	if (ct_unbase64(span_of(r->text, r->n), r->blob, cap, &n) != ST_OK ||
	    open_blob(span_of(r->blob, n), &r->info, &text) != ST_OK)
		return no_backup(&r->err);
	r->status =
	    backup_read(&r->backup, text, OFFER_STOREDSAFE, &random_system, &r->since, &r->err);
	return r->status == ST_OK ? check_kind(&r->backup, &r->err) : r->status;
}

static void restoring_run(struct slow *work)
{
	struct restoring *r = (struct restoring *)(void *)work;

	r->status = read_blob(r);
}

static void restoring_free(struct slow **work)
{
	struct restoring *r = (struct restoring *)(void *)*work;

	*work = NULL;
	secret_release(r->text);
	secret_release(r->blob);
	backup_free(&r->backup);
	free(r);
}

/* ---- restore: the call ---- */

/* Begins it: ST_PENDING; when it was done: ST_OK and what was read, or why not. */
static enum status read_slowly(struct key_op *k, struct span text, const struct restoring **ret,
                               struct err *err)
{
	struct restoring *r = (struct restoring *)(void *)k->op.slow;

	if (r != NULL) {
		*ret = r;
		return r->status == ST_OK
		           ? ST_OK
		           : err_set(err, r->status, "%s", err_text(&r->err, r->status));
	}
	r = calloc(1, sizeof *r);
	if (r == NULL)
		return err_set(err, ST_NOMEM, "no memory to restore a key");
	r->slow = (struct slow){.run = restoring_run, .free = restoring_free};
	r->since = slow_since(k->place.transit);
	r->text = secret_alloc(text.n);
	if (r->text == NULL) {
		free(r);
		return err_set(err, ST_NOMEM, "no locked memory to restore a key");
	}
	memcpy(r->text, text.p, text.n);
	r->n = text.n;
	k->op.slow = &r->slow;
	return ST_PENDING;
}

static enum status put_key(struct key_op *k, const struct restoring *r, struct err *err)
{
	struct safe_object o;
	struct key_head head;
	enum status st = key_find(&k->place, k->op.arg[0], &k->key, err);

	if (st == ST_OK)
		return err_set(err, ST_EXISTS, "there is a key of this name in the vault already");
	if (st == ST_NOT_FOUND)
		st = backup_put(&r->backup, &k->place, k->op.arg[0], &head, err);
	if (st == ST_OK)
		st = safe_object_new(k, r->info, &o, err);
	if (st == ST_OK && head.due_ns != 0)
		k->op.wake_ns = head.due_ns;
	return st;
}

static enum status restore(struct key_op *k, struct err *err)
{
	const struct restoring *r = NULL;
	struct span text = {0};
	enum status st = request_string(k->op.req, "backup", &text, err);

	if (st != ST_OK && st != ST_NOT_FOUND)
		return st;
	if (text.n == 0)
		return err_set(err, ST_INVALID, "backup is missing");
	st = read_slowly(k, text, &r, err);
	if (st != ST_OK)
		return st;
	return view_can_write(&k->op.view) ? put_key(k, r, err) : ST_NEEDS_WRITER;
}

/* Also prepares itself. */
enum status storedsafe_restore(struct op *op)
{
	struct vault v;
	struct key_op k;
	struct err err = {0};
	enum status st = vault_named(op, &v);

	if (st == ST_OK)
		st = key_op_begin(&k, op);
	if (st != ST_OK)
		return st;
	st = restore(&k, &err);
	key_op_end(&k);
	if (st != ST_OK)
		return safe_fail(op, st, &err);
	op->ans->shape = ANSWER_EMPTY;
	return op->ans->status = ST_OK;
}
