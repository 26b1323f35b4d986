/*
 * export/KIND/NAME[/VERSION]: key material in clear, of keys that are exportable; public halves and certificates of any.  Many versions that take long are copied
 * on the loop and written by the pool; they are the answer if the key is still what it was then.
 */
#include <stdlib.h>
#include <string.h>

#include "engine/transit_export.h"
#include "engine/transit_impl.h"

#define PAGE_MAX 1000
/* Versions that are exported where the request arrives, though each takes long. */
#define AT_ONCE 16

static const char *const kind_names[EXPORT_KINDS] = {"encryption-key", "signing-key", "hmac-key",
                                                     "public-key", "certificate-chain"};
static const char *const format_names[FORMATS] = {"", "raw", "der", "pem"};

struct exporting {
	struct export_form form;
	const struct key_place *p;
	const struct named_key *k;
	struct version_range range;
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

/* ---- what may be exported ---- */

static const char *kind_unfit(const struct exporting *x)
{
	const struct key_type_info *info = key_type_info(x->form.type);

	if (x->form.kind == EXPORT_ENCRYPTION && !info->encrypts)
		return "encryption not supported for the key";
	if (x->form.kind == EXPORT_SIGNING && !info->signs)
		return "signing not supported for the key";
	if (x->form.kind == EXPORT_CHAIN && !info->signs)
		return "certificate chain not supported for keys that do not support signing";
	if (x->form.kind == EXPORT_PUBLIC && info->public_name == NULL)
		return "the key has no public key";
	if (x->form.kind == EXPORT_PUBLIC && x->k->head.derived)
		return "the public keys of a derived key are those of its contexts: read the key "
		       "with a context";
	return NULL;
}

static enum status check(const struct exporting *x)
{
	const char *why;

	if (!x->k->head.exportable && x->form.kind != EXPORT_PUBLIC && x->form.kind != EXPORT_CHAIN)
		return err_set(x->err, ST_INVALID, "private key material is not exportable");
	if (x->k->head.soft_deleted)
		return err_set(x->err, ST_INVALID, KEY_SOFT_DELETED_TEXT);
	why = kind_unfit(x);
	return why == NULL ? ST_OK : err_set(x->err, ST_INVALID, "%s", why);
}

static enum status begin(struct op *op, struct exporting *x)
{
	struct span format = {0};
	enum status st = request_string(op->req, "format", &format, x->err);

	if (st != ST_OK && st != ST_NOT_FOUND)
		return st;
	x->form.kind = (enum export_kind)find_name(op->arg[0], kind_names, EXPORT_KINDS);
	if (x->form.kind == EXPORT_KINDS)
		return err_set(x->err, ST_INVALID, "invalid export type: %.*s", (int)op->arg[0].n,
		               (const char *)op->arg[0].p);
	x->form.format = (enum export_format)find_name(format, format_names, FORMATS);
	if (x->form.format == FORMATS)
		return err_set(x->err, ST_INVALID, "invalid format: %.*s",
		               (int)(format.n < 64 ? format.n : 64), (const char *)format.p);
	st = key_find(x->p, op->arg[1], &x->k, x->err);
	if (st != ST_OK)
		return st;
	x->form.type = x->k->head.type;
	st = check(x);
	return st == ST_OK ? version_range(op, op->arg[2], &x->k->head, &x->range, x->err) : st;
}

/* ---- a version ---- */

/* Why a version is not in an answer; NULL: it is. */
static const char *why_not(const struct export_form *f, const struct version_data *d)
{
	const char *why = version_unusable(d->state);

	if (why == NULL && f->kind == EXPORT_CHAIN && d->chain.n == 0)
		why = "selected key version does not have a certificate chain imported";
	return why;
}

/* One that is not to be in the answer is left out of many (*ret_there is false), and refused alone. */
static enum status read_version(const struct exporting *x, uint32_t number,
                                struct version_data *ret, bool *ret_there)
{
	const char *why;
	enum status st = key_read_version(x->p, &x->k->head.id, number, ret, x->err);

	if (st == ST_NOT_FOUND)
		return err_set(x->err, ST_INVALID, "version does not exist or cannot be found");
	if (st != ST_OK)
		return st;
	why = why_not(&x->form, ret);
	if (why != NULL && x->range.alone)
		return err_set(x->err, ST_INVALID, "%s", why);
	*ret_there = why == NULL;
	return ST_OK;
}

static enum status put_version(const struct export_form *f, uint32_t number,
                               const struct version_data *d, char *room, struct json_writer *w,
                               struct err *err)
{
	char name[16];
	struct builder text;

	builder_init_fixed(&text, name, sizeof name);
	builder_dec(&text, number);
	json_name_span(w, builder_span(&text));
	return export_value(f, d, room, w, err);
}

static void put_begin(struct json_writer *w, struct builder *b)
{
	json_writer_init(w, b);
	json_begin_object(w);
	json_name(w, "keys");
	json_begin_object(w);
}

static void put_end(struct json_writer *w, struct span name, enum key_type type)
{
	json_end_object(w);
	json_put_string(w, "name", name);
	json_put_cstr(w, "type", key_type_info(type)->name);
	json_end_object(w);
}

/* ---- here and now ---- */

static enum status export_here(struct op *op, const struct exporting *x)
{
	char *room = (char *)view_alloc(x->p->view, EXPORT_ROOM);
	struct json_writer w;
	enum status st = ST_OK;

	if (room == NULL)
		return err_set(x->err, ST_NOMEM, "no locked memory to export a key");
	put_begin(&w, &op->ans->data);
	for (uint32_t n = x->range.from; st == ST_OK && n <= x->range.to; n++) {
		struct version_data d;
		bool there;

		st = read_version(x, n, &d, &there);
		if (st == ST_OK && there)
			st = put_version(&x->form, n, &d, room, &w, x->err);
	}
	if (st != ST_OK)
		return st;
	put_end(&w, x->k->name, x->form.type);
	return answer_data(op, x->err);
}

/* ---- on the pool ---- */

struct page_version {
	uint32_t number;
	struct version_data data; /* what export_value needs of it */
};

struct page {
	struct slow slow; /* first */
	struct slow_since since;
	struct export_form form;
	struct key_id id;
	uint64_t changes;  /* of the key, when it was copied */
	struct arena room; /* what the spans point to */
	struct span name;
	struct page_version *versions;
	size_t n;
	struct builder data; /* the answer's */
	enum status status;
	struct err err;
};

static void page_run(struct slow *work)
{
	struct page *g = (struct page *)(void *)work;
	char *room = (char *)arena_alloc(&g->room, EXPORT_ROOM);
	struct json_writer w;
	enum status st = room != NULL ? ST_OK : ST_NOMEM;

	put_begin(&w, &g->data);
	for (size_t i = 0; st == ST_OK && i < g->n; i++)
		st = slow_is_over(&g->since) ? ST_UNAVAILABLE
		                             : put_version(&g->form, g->versions[i].number,
		                                           &g->versions[i].data, room, &w, &g->err);
	if (st == ST_OK) {
		put_end(&w, g->name, g->form.type);
		st = builder_status(&g->data);
	}
	g->status = st;
}

static void page_free(struct slow **work)
{
	struct page *g = (struct page *)(void *)*work;

	*work = NULL;
	arena_free(&g->room);
	builder_free(&g->data);
	free(g->versions);
	free(g);
}

static enum status keep(struct arena *room, struct span *s)
{
	uint8_t *p;

	if (s->n == 0)
		return ST_OK;
	p = arena_alloc(room, s->n);
	if (p == NULL)
		return ST_NOMEM;
	memcpy(p, s->p, s->n);
	*s = span_of(p, s->n);
	return ST_OK;
}

static enum status copy_version(const struct exporting *x, uint32_t number, struct page *g)
{
	struct page_version *v = &g->versions[g->n];
	struct version_data d;
	bool there;
	enum status st = read_version(x, number, &d, &there);

	if (st != ST_OK || !there)
		return st;
	v->number = number;
	export_parts(&x->form, &d, &v->data);
	g->n++;
	st = keep(&g->room, &v->data.private_key);
	if (st == ST_OK)
		st = keep(&g->room, &v->data.mac_key);
	if (st == ST_OK)
		st = keep(&g->room, &v->data.public_key);
	return st == ST_OK ? keep(&g->room, &v->data.chain) : st;
}

static enum status copy_versions(const struct exporting *x, struct page *g)
{
	enum status st;

	g->slow = (struct slow){.run = page_run, .free = page_free};
	g->since = slow_since(x->p->transit);
	g->form = x->form;
	g->id = x->k->head.id;
	g->changes = x->k->head.changes;
	g->name = x->k->name;
	g->versions = calloc((size_t)x->range.to - x->range.from + 1, sizeof *g->versions);
	st = g->versions == NULL ? ST_NOMEM : keep(&g->room, &g->name);
	for (uint32_t n = x->range.from; st == ST_OK && n <= x->range.to; n++)
		st = copy_version(x, n, g);
	return st == ST_NOMEM ? err_set(x->err, st, "no locked memory to export a key") : st;
}

static bool is_of_now(const struct page *g, const struct key_head *h)
{
	return g->changes == h->changes && memcmp(g->id.b, h->id.b, KEY_ID_LEN) == 0;
}

static enum status export_by_pool(struct op *op, const struct exporting *x)
{
	struct page *g = (struct page *)(void *)op->slow;
	struct slow *work;
	enum status st;

	if (g != NULL && is_of_now(g, &x->k->head)) {
		if (g->status != ST_OK)
			return err_set(x->err, g->status, "%s", err_text(&g->err, g->status));
		answer_take(op->ans, &g->data);
		return answer_data(op, x->err);
	}
	g = calloc(1, sizeof *g);
	if (g == NULL)
		return err_set(x->err, ST_NOMEM, "no memory to export a key");
	st = copy_versions(x, g);
	if (st == ST_OK) {
		op->slow = &g->slow;
		return ST_PENDING;
	}
	work = &g->slow;
	page_free(&work);
	return st;
}

/* ---- the call ---- */

static bool takes_long(const struct exporting *x)
{
	return export_is_slow(&x->form) && x->range.to >= x->range.from &&
	       x->range.to - x->range.from >= AT_ONCE;
}

enum status transit_export_op(struct op *op)
{
	struct key_place p = key_place_of(op);
	struct err err = {0};
	struct exporting x = {.p = &p, .err = &err};
	enum status st = begin(op, &x);

	if (st == ST_OK)
		st = takes_long(&x) ? export_by_pool(op, &x) : export_here(op, &x);
	if (st == ST_OK)
		version_range_warn(op, &x.k->head, &x.range);
	if (st == ST_OK || st == ST_PENDING || (st == ST_NOT_FOUND && err.text[0] == 0))
		return op->ans->status = st;
	builder_reset(&op->ans->data);
	return answer_fail(op->ans, st, "%s", err_text(&err, st));
}
