/*
 * byok-export/DESTINATION/SOURCE[/VERSION]: key material under somebody else's wrapping key, as import takes it.  DESTINATION is an RSA key, usually the
 * public key of another mount's wrapping_key, imported here; the pool wraps.
 */
#include <stdlib.h>
#include <string.h>

#include "crypto/pkey_text.h"
#include "engine/transit_impl.h"
#include "engine/transit_material.h"
#include "engine/transit_wrapping.h"

/* One version's material, and what it becomes. */
struct wrapping_item {
	uint32_t number;
	struct secret *bytes; /* symmetric material, or PKCS#8 */
	struct builder wrapped;
};

struct wrapping {
	struct slow slow; /* first */
	struct slow_since since;
	const struct key_version *to;
	enum digest_alg hash;
	struct key_id source;
	uint64_t changes; /* of the source */
	size_t n;
	struct wrapping_item *items;
	enum status status;
};

/* ---- what the pool does ---- */

static void wrapping_run(struct slow *work)
{
	struct wrapping *w = (struct wrapping *)(void *)work;

	w->status = ST_OK;
	for (size_t i = 0; w->status == ST_OK && i < w->n; i++) {
		struct wrapping_item *item = &w->items[i];

		w->status =
		    slow_is_over(&w->since)
		        ? ST_UNAVAILABLE
		        : wrap_key(w->to->pkey, w->hash, secret_span(item->bytes), &item->wrapped);
		secret_free(&item->bytes);
	}
}

static void wrapping_free(struct slow **work)
{
	struct wrapping *w = (struct wrapping *)(void *)*work;

	*work = NULL;
	key_version_unref(&w->to);
	for (size_t i = 0; w->items != NULL && i < w->n; i++) {
		secret_free(&w->items[i].bytes);
		builder_free(&w->items[i].wrapped);
	}
	free(w->items);
	free(w);
}

/* ---- what it needs ---- */

static enum status material_of(const struct key_head *h, const struct version_data *d,
                               uint32_t number, struct secret **ret, struct err *err)
{
	struct pkey *k = NULL;
	enum status st;

	if (d->private_key.n == 0)
		return err_set(err, ST_INVALID, "private key not imported for key version %u",
		               number);
	if (key_type_info(h->type)->public_name == NULL)
		return secret_from(d->private_key, ret);
	st = material_pkey(h->type, d, &k, err);
	if (st == ST_OK)
		st = pkey_pkcs8(k, ret);
	pkey_unref(&k);
	return st;
}

static enum status collect(const struct key_place *p, const struct key_head *h,
                           const struct version_range *r, struct wrapping *w, struct err *err)
{
	enum status st = ST_OK;

	for (uint32_t n = r->from; st == ST_OK && n <= r->to; n++) {
		struct version_data d;
		const char *why = NULL;

		st = key_read_version(p, &h->id, n, &d, err);
		if (st == ST_NOT_FOUND)
			st = err_set(err, ST_INVALID, "version does not exist or cannot be found");
		if (st == ST_OK)
			why = version_unusable(d.state);
		if (why != NULL && !r->alone)
			continue;
		if (why != NULL)
			st = err_set(err, ST_INVALID, "%s", why);
		if (st == ST_OK)
			st = material_of(h, &d, n, &w->items[w->n].bytes, err);
		if (st == ST_OK)
			w->items[w->n++].number = n;
	}
	return st == ST_NOMEM ? err_set(err, st, "no locked memory to export a key") : st;
}

static enum status begin(struct op *op, const struct key_place *p, const struct key_head *source,
                         const struct version_range *r, const struct wrapping *what,
                         struct err *err)
{
	struct wrapping *w = calloc(1, sizeof *w);
	struct slow *work;
	enum status st = ST_OK;

	if (w == NULL)
		return err_set(err, ST_NOMEM, "no memory to export a key");
	*w = *what;
	w->slow = (struct slow){.run = wrapping_run, .free = wrapping_free};
	w->since = slow_since(p->transit);
	key_version_ref(w->to);
	if (r->from <= r->to) {
		w->items = calloc(r->to - r->from + 1, sizeof *w->items);
		st = w->items == NULL ? err_set(err, ST_NOMEM, "no memory to export a key")
		                      : collect(p, source, r, w, err);
	}
	if (st == ST_OK) {
		op->slow = &w->slow;
		return ST_PENDING;
	}
	work = &w->slow;
	wrapping_free(&work);
	return st;
}

/* ---- the call ---- */

static enum status find_destination(const struct key_place *p, struct span name,
                                    const struct key_version **ret, struct err *err)
{
	const struct named_key *k;
	enum status st = key_find(p, name, &k, err);

	if (st == ST_NOT_FOUND)
		return err_set(err, ST_INVALID, "no such destination key to export to");
	if (st != ST_OK)
		return st;
	if (k->head.soft_deleted)
		return err_set(err, ST_INVALID, "for destination key: " KEY_SOFT_DELETED_TEXT);
	if (key_type_info(k->head.type)->family != FAMILY_RSA)
		return err_set(err, ST_INVALID, "unsupported key type in use; must be a rsa key");
	return key_get_version(p, k, k->head.latest, ret, err);
}

static enum status find_source(const struct key_place *p, struct span name,
                               const struct named_key **ret, struct err *err)
{
	enum status st = key_find(p, name, ret, err);

	if (st == ST_NOT_FOUND)
		return err_set(err, ST_INVALID, "no such source key for export");
	if (st != ST_OK)
		return st;
	if (!(*ret)->head.exportable)
		return err_set(err, ST_INVALID, "key is not exportable");
	if ((*ret)->head.soft_deleted)
		return err_set(err, ST_INVALID, "for source key: " KEY_SOFT_DELETED_TEXT);
	return ST_OK;
}

static enum status answer(struct op *op, const struct named_key *source, const struct wrapping *w,
                          struct err *err)
{
	struct json_writer j;
	struct builder text = {.max = 0}, number;
	char name[16];
	enum status st;

	json_writer_init(&j, &op->ans->data);
	json_begin_object(&j);
	json_name(&j, "keys");
	json_begin_object(&j);
	for (size_t i = 0; i < w->n; i++) {
		builder_init_fixed(&number, name, sizeof name);
		builder_dec(&number, w->items[i].number);
		json_name_span(&j, builder_span(&number));
		builder_reset(&text);
		builder_base64(&text, builder_span(&w->items[i].wrapped));
		json_string(&j, builder_span(&text));
	}
	json_end_object(&j);
	json_put_string(&j, "name", source->name);
	json_put_cstr(&j, "type", key_type_info(source->head.type)->name);
	json_end_object(&j);
	st = builder_status(&text);
	builder_free(&text);
	return st == ST_OK ? answer_data(op, err) : err_set(err, st, "no memory to export a key");
}

/* What was wrapped is what is asked for, as it is now. */
static bool is_same(const struct wrapping *a, const struct wrapping *b)
{
	return a->hash == b->hash && a->changes == b->changes &&
	       memcmp(a->source.b, b->source.b, KEY_ID_LEN) == 0 &&
	       a->to->number == b->to->number && memcmp(a->to->id.b, b->to->id.b, KEY_ID_LEN) == 0;
}

static enum status byok(struct op *op, const struct key_place *p, struct err *err)
{
	const struct wrapping *w = (struct wrapping *)(void *)op->slow;
	struct wrapping what = {.n = 0};
	const struct named_key *source;
	struct version_range range;
	enum status st = wrapping_hash(op->req, "hash", &what.hash, err);

	if (st == ST_OK)
		st = find_destination(p, op->arg[0], &what.to, err);
	if (st == ST_OK)
		st = find_source(p, op->arg[1], &source, err);
	if (st == ST_OK)
		st = version_range(op, op->arg[2], &source->head, &range, err);
	if (st != ST_OK)
		return st;
	what.source = source->head.id;
	what.changes = source->head.changes;
	if (w == NULL || !is_same(w, &what))
		return begin(op, p, &source->head, &range, &what, err);
	if (w->status != ST_OK)
		return err_set(err, w->status == ST_NOMEM ? ST_NOMEM : ST_INVALID,
		               "the key cannot be wrapped with this destination key and hash");
	version_range_warn(op, &source->head, &range);
	return answer(op, source, w, err);
}

enum status transit_byok_op(struct op *op)
{
	struct key_place p = key_place_of(op);
	struct err err = {0};
	enum status st = byok(op, &p, &err);

	if (st == ST_OK || st == ST_PENDING || st == ST_NEEDS_WRITER)
		return op->ans->status = st;
	return answer_fail(op->ans, st, "%s", err_text(&err, st));
}
