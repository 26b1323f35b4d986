/* encrypt, decrypt, rewrap: one item, or a batch of them; and data keys. */
#include <stdlib.h>
#include <string.h>

#include "crypto/random.h"
#include "engine/transit_impl.h"
#include "engine/transit_batch.h"

/* Items that a thread keeps room for between requests. */
#define KEPT_ITEMS 1024

static const struct transit_manner *manner_of(const struct op *op)
{
	const struct transit *t = op->self;

	return t->config.manner;
}

/* ---- what is asked for ---- */

/* A name's first letter tells which it can be. */
static struct span *member_of(struct crypt_item *i, struct span name)
{
	if (span_eq_str(name, "ciphertext"))
		return &i->ciphertext;
	if (span_eq_str(name, "plaintext"))
		return &i->plaintext;
	if (span_eq_str(name, "context"))
		return &i->context;
	if (span_eq_str(name, "associated_data"))
		return &i->aad;
	if (span_eq_str(name, "reference"))
		return &i->reference;
	return NULL;
}

static enum status version_of(const struct json_value *v, int64_t *ret)
{
	return v->type == JSON_STRING ? request_int_text(v->text, ret) : json_i64(v, ret);
}

enum status batch_item(const struct json_value *o, const char *version, struct crypt_item *i,
                       struct err *err)
{
	const struct json_value *v = json_first(o);

	*i = (struct crypt_item){.key_version = 0};
	for (uint32_t n = 0; n < o->count; n++, v = json_next(v)) {
		struct span *at = member_of(i, v->name);

		if (at != NULL && v->type == JSON_STRING) {
			*at =
			    span_of(v->text.p != NULL ? v->text.p : (const uint8_t *)"", v->text.n);
		} else if (at != NULL && v->type != JSON_NULL) {
			return err_set(err, ST_INVALID, "'%.*s' must be a string", (int)v->name.n,
			               (const char *)v->name.p);
		} else if (span_eq_str(v->name, version) && v->type != JSON_NULL &&
		           version_of(v, &i->key_version) != ST_OK) {
			return err_set(err, ST_INVALID, "'%s' must be an integer", version);
		}
	}
	return ST_OK;
}

/* Room for n items; NULL: no memory. */
static struct crypt_item *room_for(struct transit_thread *t, size_t n)
{
	struct crypt_item *more;

	if (n <= t->n_items)
		return t->items;
	more = reallocarray(NULL, n, sizeof *more);
	if (more == NULL)
		return NULL;
	free(t->items);
	t->items = more;
	t->n_items = n;
	return more;
}

static void give_back(struct transit_thread *t)
{
	if (t->n_items <= KEPT_ITEMS)
		return;
	free(t->items);
	t->items = NULL;
	t->n_items = 0;
}

static enum status read_batch(struct op *op, const struct json_value *list, enum batch_text need,
                              const char *version, struct batch *b, struct err *err)
{
	const struct json_value *v;

	if (list->type != JSON_ARRAY)
		return err_set(err, ST_INVALID,
		               "failed to parse batch input: source data must be an array");
	if (list->count == 0)
		return err_set(err, ST_INVALID, "missing batch input to process");
	if (list->count > BATCH_MAX)
		return err_set(err, ST_INVALID, "batch input has %u items, of at most %u",
		               list->count, BATCH_MAX);
	b->items = room_for(op->thread, list->count);
	if (b->items == NULL)
		return err_set(err, ST_NOMEM, "no memory for the batch");
	b->n = list->count;
	b->many = true;
	v = json_first(list);
	for (size_t i = 0; i < b->n; i++, v = json_next(v)) {
		enum status st;

		if (v->type != JSON_OBJECT)
			return err_set(err, ST_INVALID,
			               "failed to parse batch input: '[%zu]' must be an object", i);
		/* What is missing or of another type is the whole request's mistake, as in the reference. */
		st = batch_item(v, version, &b->items[i], err);
		if (st != ST_OK)
			return err_wrap(err, st, "failed to parse batch input: [%zu]", i);
		if (need == BATCH_PLAINTEXT && b->items[i].plaintext.p == NULL)
			return err_set(err, ST_INVALID,
			               "failed to parse batch input: '[%zu].plaintext' missing "
			               "plaintext to encrypt",
			               i);
		if (need == BATCH_CIPHERTEXT && b->items[i].ciphertext.p == NULL)
			return err_set(err, ST_INVALID,
			               "failed to parse batch input: '[%zu].ciphertext' missing "
			               "ciphertext to decrypt",
			               i);
	}
	return ST_OK;
}

enum status batch_text(const struct request *r, const char *name, struct span *ret, struct err *err)
{
	const struct json_value *v = request_member(r, name);
	enum status st;

	if (v != NULL && v->type == JSON_NUMBER) {
		*ret = v->text;
		return ST_OK;
	}
	st = request_string(r, name, ret, err);
	if (st == ST_OK && ret->p == NULL)
		*ret = span_of("", 0);
	return st == ST_NOT_FOUND ? ST_OK : st;
}

enum status batch_single(const struct request *r, const char *version, struct crypt_item *i,
                         struct err *err)
{
	enum status st = batch_text(r, "plaintext", &i->plaintext, err);

	if (st == ST_OK)
		st = batch_text(r, "ciphertext", &i->ciphertext, err);
	if (st == ST_OK)
		st = batch_text(r, "context", &i->context, err);
	if (st == ST_OK)
		st = batch_text(r, "associated_data", &i->aad, err);
	if (st == ST_OK)
		st = request_int(r, version, &i->key_version, err);
	return st == ST_NOT_FOUND ? ST_OK : st;
}

static enum status read_single(struct op *op, enum batch_text need, const char *version,
                               struct batch *b, struct err *err)
{
	enum status st;

	b->items = room_for(op->thread, 1);
	if (b->items == NULL)
		return err_set(err, ST_NOMEM, "no memory for the request");
	b->items[0] = (struct crypt_item){.key_version = 0};
	b->n = 1;
	b->many = false;
	st = batch_single(op->req, version, &b->items[0], err);
	if (st != ST_OK)
		return st;
	if (need == BATCH_PLAINTEXT && b->items[0].plaintext.p == NULL)
		return err_set(err, ST_INVALID, "missing plaintext to encrypt");
	if (need == BATCH_CIPHERTEXT && b->items[0].ciphertext.n == 0)
		return err_set(err, ST_INVALID, "missing ciphertext to decrypt");
	return ST_OK;
}

/* All items have a context, or none has. */
static enum status check_contexts(const struct batch *b, struct err *err)
{
	for (size_t i = 1; i < b->n; i++)
		if ((b->items[i].context.n > 0) != (b->items[0].context.n > 0))
			return err_set(err, ST_INVALID,
			               "context should be set either in all the request blocks or "
			               "in none");
	return ST_OK;
}

/* What belongs into the items has no meaning beside them. */
static enum status check_beside(const struct op *op, struct err *err)
{
	static const char *const names[] = {"plaintext",       "ciphertext",  "context",
	                                    "associated_data", "key_version", "to_version"};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (request_member(op->req, names[i]) != NULL)
			return err_set(err, ST_INVALID,
			               "'%s' stands beside a batch: it belongs into its items",
			               names[i]);
	return ST_OK;
}

enum status batch_read(struct op *op, enum batch_text need, struct batch *b, struct err *err)
{
	const struct transit_manner *m = manner_of(op);
	const char *version = need == BATCH_ANY ? m->to : BATCH_VERSION;
	const struct json_value *list = request_member(op->req, m->batch);
	bool many = list != NULL && list->type != JSON_NULL;
	enum status st = many && m->strict ? check_beside(op, err) : ST_OK;

	if (st == ST_OK)
		st = many ? read_batch(op, list, need, version, b, err)
		          : read_single(op, need, version, b, err);
	return st == ST_OK ? check_contexts(b, err) : st;
}

/* ---- what is answered ---- */

/*
 * What follows an item's text: nearly always the same, so it is made once for each version.  Version 0: a plaintext, which has none.
 */
struct tail {
	const struct transit_manner *manner;
	char text[64];
	size_t n;
	uint32_t version;
};

static void tail_make(struct tail *t, uint32_t version)
{
	const char *quote = t->manner->version_is_text ? "\"" : "";

	struct builder b;

	builder_init_fixed(&b, t->text, sizeof t->text);
	builder_u8(&b, '"');
	if (version != 0) {
		builder_str(&b, ",\"" BATCH_VERSION "\":");
		builder_str(&b, quote);
		builder_dec(&b, version);
		builder_str(&b, quote);
	}
	MUST(builder_status(&b) == ST_OK);
	t->n = b.n;
	t->version = version;
}

static void put_tail(struct builder *out, struct tail *t, uint32_t version)
{
	if (t->n == 0 || t->version != version)
		tail_make(t, version);
	builder_add(out, span_of(t->text, t->n));
}

static void put_reference(struct builder *out, const struct transit_manner *m,
                          struct span reference)
{
	struct json_writer w;

	if (reference.n == 0 && !m->fills_items) {
		builder_u8(out, '}');
		return;
	}
	if (reference.n == 0) {
		builder_str(out, ",\"reference\":\"\"}");
		return;
	}
	builder_str(out, ",\"reference\":");
	json_writer_init(&w, out);
	json_string(&w, reference);
	builder_u8(out, '}');
}

/* What may be told of why an item failed. */
static void tellable(struct item_error *e, const struct transit_manner *m)
{
	if (e->unreadable && m->unreadable != NULL)
		e->text = m->unreadable;
}

/* What one operation does to one item: appends its member up to the end of its text; *ret_version: as struct tail. */
typedef enum status item_work(struct crypt *c, const struct crypt_item *i, struct builder *out,
                              uint32_t *ret_version, struct item_error *e);

static enum status encrypt_item(struct crypt *c, const struct crypt_item *i, struct builder *out,
                                uint32_t *ret_version, struct item_error *e)
{
	builder_str(out, "\"ciphertext\":\"");
	return crypt_encrypt(c, i, out, ret_version, e);
}

static enum status no_ciphertext(struct item_error *e)
{
	*e = (struct item_error){.text = "missing ciphertext to decrypt"};
	return ST_INVALID;
}

static enum status rewrap_item(struct crypt *c, const struct crypt_item *i, struct builder *out,
                               uint32_t *ret_version, struct item_error *e)
{
	bool rewrapped;

	if (i->ciphertext.n == 0)
		return no_ciphertext(e);
	builder_str(out, "\"ciphertext\":\"");
	return crypt_rewrap(c, i, ENCRYPT_ANEW, out, ret_version, &rewrapped, e);
}

static enum status decrypt_item(struct crypt *c, const struct crypt_item *i, struct builder *out,
                                uint32_t *ret_version, struct item_error *e)
{
	enum status st;

	if (i->ciphertext.n == 0)
		return no_ciphertext(e);
	builder_str(out, "\"plaintext\":\"");
	st = crypt_decrypt(c, i, out, e);
	*ret_version =
	    st == ST_OK && c->place->transit->config.manner->tells_version ? c->from->number : 0;
	return st;
}

/* How the items of a batch went. */
struct outcome {
	size_t good, mistakes, failures;
};

/* Items before the first are answered whole: the room for all of it at once, so that nothing is moved. */
static bool make_room(struct builder *out, const struct batch *b)
{
	size_t n = 64;

	for (size_t i = 0; i < b->n; i++) {
		const struct crypt_item *it = &b->items[i];

		n += it->plaintext.n + it->ciphertext.n + it->reference.n + 160;
	}
	return builder_room(out, n) != NULL;
}

static enum status run_batch(struct op *op, struct crypt *c, const struct batch *b, item_work *work,
                             const char *on_error, struct outcome *o)
{
	struct builder *out = &op->ans->data;
	struct tail tail = {.manner = manner_of(op)};

	builder_fmt(out, "{\"%s\":[", tail.manner->results);
	for (size_t i = 0; i < b->n; i++) {
		struct item_error e = {.text = NULL};
		uint32_t version;
		size_t before;
		enum status st;

		builder_str(out, i == 0 ? "{" : ",{");
		before = out->n;
		c->opened = b->opened != NULL ? &b->opened[i] : NULL;
		st = work(c, &b->items[i], out, &version, &e);
		if (st == ST_NEEDS_WRITER)
			return st;
		if (st == ST_OK) {
			put_tail(out, &tail, version);
			o->good++;
		} else {
			builder_cut(out, before);
			tellable(&e, tail.manner);
			if (tail.manner->fills_items)
				builder_str(out, on_error);
			builder_str(out, "\"error\":\"");
			item_error_put(&e, out);
			builder_u8(out, '"');
			o->mistakes += !e.internal;
			o->failures += e.internal;
		}
		put_reference(out, tail.manner, b->items[i].reference);
	}
	builder_str(out, "]}");
	op->ans->shape = ANSWER_DATA;
	return ST_OK;
}

static enum status run_single(struct op *op, struct crypt *c, const struct batch *b,
                              item_work *work)
{
	struct builder *out = &op->ans->data;
	struct item_error e = {.text = NULL};
	struct tail tail = {.manner = manner_of(op)};
	char text[64];
	struct builder shown;
	uint32_t version;
	enum status st;

	builder_u8(out, '{');
	c->opened = b->opened;
	st = work(c, &b->items[0], out, &version, &e);
	op->ans->shape = ANSWER_DATA;
	if (st == ST_OK) {
		put_tail(out, &tail, version);
		builder_u8(out, '}');
	}
	if (st == ST_OK || st == ST_NEEDS_WRITER)
		return st;
	builder_reset(out);
	tellable(&e, tail.manner);
	if (strcmp(e.text, ITEM_BAD_BASE64) != 0)
		return answer_fail(op->ans, item_error_status(&e), "%s", e.text);
	builder_init_fixed(&shown, text, sizeof text - 1);
	item_error_put(&e, &shown);
	text[shown.n] = 0;
	return answer_fail(op->ans, ST_INVALID, "%s", text);
}

/* The status of a batch in which something failed. */
static enum status batch_status(struct op *op, const struct outcome *o)
{
	struct err err = {0};
	unsigned code = o->mistakes > 0 ? 400 : 500;
	int64_t wanted;
	enum status st;

	if (o->mistakes + o->failures == 0)
		return ST_OK;
	if (!manner_of(op)->fails_whole) {
		if (o->failures > 0)
			return answer_fail(op->ans, ST_IO, "the server failed at %zu of %zu items",
			                   o->failures, o->good + o->mistakes + o->failures);
		if (o->good == 0 && op->changed) /* a key, or a version, that nobody needs */
			return answer_fail(op->ans, ST_INVALID,
			                   "all %zu items failed, so nothing was made for them",
			                   o->mistakes);
		answer_warn(op->ans, "%zu of %zu items failed", o->mistakes + o->failures,
		            o->good + o->mistakes + o->failures);
		return ST_OK;
	}
	st = request_int(op->req, "partial_failure_response_code", &wanted, &err);
	if (st == ST_OK && o->good > 0 && wanted >= 200 && wanted <= 599)
		code = (unsigned)wanted;
	else if (st != ST_NOT_FOUND && o->good > 0)
		answer_warn(op->ans,
		            "invalid HTTP response code override from "
		            "partial_failure_response_code, reverting to %u",
		            code);
	op->ans->http_status = code;
	return ST_OK;
}

static enum status done(struct op *op, struct crypt *c, enum status st, struct err *err)
{
	crypt_end(c);
	give_back(op->thread);
	if (st == ST_OK || st == ST_NEEDS_WRITER || st == ST_PENDING ||
	    op->ans->err.status != ST_OK)
		return op->ans->status = st;
	return answer_fail(op->ans, st, "%s", err_text(err, st));
}

/* ---- encrypt ---- */

enum status transit_key_exists(struct op *op, struct err *err)
{
	struct key_place p = key_place_of(op);
	const struct named_key *k;

	return key_find(&p, op->arg[0], &k, err);
}

static enum status no_key(const struct op *op, struct err *err)
{
	return err_set(err, ST_INVALID, "%s", manner_of(op)->no_key);
}

/* The key that encrypting makes when there is none: of a kind that encrypts symmetrically, derived when there is a context. */
static enum status upsert(struct op *op, const struct key_place *p, const struct batch *b,
                          const struct named_key **ret, struct err *err)
{
	struct key_head head = {.type = KEY_AES256_GCM};
	struct key_material m;
	struct version_data v;
	struct span type = {0};
	struct transit_settings settings;
	enum status st = transit_settings_read(p->view, &settings, err);

	if (st != ST_OK)
		return st;
	if (settings.disable_upsert || !manner_of(op)->makes_keys)
		return no_key(op, err);
	if (!key_name_valid(op->arg[0]))
		return err_set(err, ST_INVALID, KEY_NAME_TEXT);
	st = request_bool(op->req, "convergent_encryption", &head.convergent, err);
	if (st == ST_OK || st == ST_NOT_FOUND)
		st = request_string(op->req, "type", &type, err);
	if (st != ST_OK && st != ST_NOT_FOUND)
		return st;
	head.derived = b->items[0].context.n > 0;
	if (head.convergent && !head.derived)
		return err_set(
		    err, ST_INVALID,
		    "convergent encryption requires derivation to be enabled, so context "
		    "is required");
	if (type.n > 0 && key_type_find(type, OFFER_VAULT, &head.type) != ST_OK)
		return err_set(err, ST_INVALID, "unknown key type %.*s", (int)type.n,
		               (const char *)type.p);
	if (key_type_info(head.type)->family != FAMILY_AEAD)
		return err_set(err, ST_INVALID, "key type %s not supported for this operation",
		               key_type_info(head.type)->name);
	if (!view_can_write(p->view))
		return ST_NEEDS_WRITER;
	st = key_material_new(head.type, 0, p->random, &m, err);
	if (st != ST_OK)
		return st;
	key_material_data(&m, &v);
	st = key_make(p, op->arg[0], &head, &v, err);
	key_material_free(&m);
	op->changed = true;
	return st == ST_OK ? key_find(p, op->arg[0], ret, err) : st;
}

static bool may_encrypt(const struct key_head *h)
{
	return key_type_info(h->type)->encrypts && !h->soft_deleted;
}

static enum status run(struct op *op, struct crypt *c, const struct batch *b, item_work *work,
                       const char *on_error, struct outcome *o)
{
	if (!b->many)
		return run_single(op, c, b, work);
	return make_room(&op->ans->data, b) ? run_batch(op, c, b, work, on_error, o) : ST_NOMEM;
}

enum status transit_encrypt_op(struct op *op)
{
	struct key_place p = key_place_of(op);
	struct crypt c = {.key = NULL};
	struct batch b = {.n = 0};
	struct outcome o = {.good = 0};
	struct err err = {0};
	const struct named_key *k;
	enum status st = batch_read(op, BATCH_PLAINTEXT, &b, &err);

	if (st == ST_OK && request_member(op->req, "nonce") != NULL)
		answer_warn(op->ans, "Endpoint ignored these unrecognized parameters: [nonce]");
	if (st == ST_OK)
		st = key_find(&p, op->arg[0], &k, &err);
	if (st == ST_NOT_FOUND)
		st = upsert(op, &p, &b, &k, &err);
	if (st != ST_OK)
		return done(op, &c, st, &err);
	crypt_begin(&c, &p, k, p.transit->config.manner->prefix);
	if (may_encrypt(&k->head))
		st = crypt_claim_items(&c, op, b.items, b.n, &err);
	if (st == ST_OK)
		st = run(op, &c, &b, encrypt_item, "", &o);
	return done(op, &c, st == ST_OK ? batch_status(op, &o) : st, &err);
}

/* ---- decrypt, rewrap ---- */

enum status transit_decrypt_op(struct op *op)
{
	struct key_place p = key_place_of(op);
	struct crypt c = {.key = NULL};
	struct batch b = {.n = 0};
	struct outcome o = {.good = 0};
	struct err err = {0};
	const struct named_key *k;
	enum status st = batch_read(op, BATCH_CIPHERTEXT, &b, &err);

	if (st == ST_OK)
		st = key_find(&p, op->arg[0], &k, &err);
	if (st == ST_NOT_FOUND)
		st = no_key(op, &err);
	if (st == ST_OK && key_type_info(k->head.type)->family == FAMILY_RSA)
		st = rsa_open(op, k, &b, &err);
	if (st != ST_OK)
		return done(op, &c, st, &err);
	crypt_begin(&c, &p, k, p.transit->config.manner->prefix);
	st = run(op, &c, &b, decrypt_item, "\"plaintext\":\"\",", &o);
	return done(op, &c, st == ST_OK ? batch_status(op, &o) : st, &err);
}

/* As the reference: what is wrong with an item is told there alone; what failed here is not the caller's mistake. */
static enum status rewrap_status(struct op *op, const struct outcome *o)
{
	if (!manner_of(op)->fails_whole)
		return batch_status(op, o);
	if (o->failures > 0)
		op->ans->http_status = 500;
	return ST_OK;
}

enum status transit_rewrap_op(struct op *op)
{
	struct key_place p = key_place_of(op);
	struct crypt c = {.key = NULL};
	struct batch b = {.n = 0};
	struct outcome o = {.good = 0};
	struct err err = {0};
	const struct named_key *k;
	enum status st = batch_read(op, BATCH_ANY, &b, &err);

	if (st == ST_OK && !b.many && b.items[0].ciphertext.n == 0)
		st = err_set(&err, ST_INVALID, "missing ciphertext to decrypt");
	if (st == ST_OK)
		st = key_find(&p, op->arg[0], &k, &err);
	if (st == ST_NOT_FOUND)
		st = no_key(op, &err);
	if (st == ST_OK && key_type_info(k->head.type)->family == FAMILY_RSA)
		st = rsa_open(op, k, &b, &err);
	if (st != ST_OK)
		return done(op, &c, st, &err);
	crypt_begin(&c, &p, k, p.transit->config.manner->prefix);
	if (may_encrypt(&k->head))
		st = crypt_claim_items(&c, op, b.items, b.n, &err);
	if (st == ST_OK)
		st = run(op, &c, &b, rewrap_item, "", &o);
	if (st == ST_OK)
		st = rewrap_status(op, &o);
	return done(op, &c, st, &err);
}

/* ---- data keys ---- */

#define DATAKEY_MAX 64

static enum status datakey_bytes(struct op *op, size_t *ret, struct err *err)
{
	int64_t bits = 256;
	enum status st = request_int(op->req, "bits", &bits, err);

	if (st != ST_OK && st != ST_NOT_FOUND)
		return st;
	if (bits != 128 && bits != 256 && bits != 512)
		return err_set(err, ST_INVALID, "invalid bit length");
	*ret = (size_t)bits / 8;
	return ST_OK;
}

/* arg 0: "plaintext" or "wrapped"; arg 1: the key. */
static enum status datakey(struct op *op, struct crypt *c, const struct key_place *p,
                           struct err *err)
{
	struct builder *out = &op->ans->data;
	struct crypt_item i = {.key_version = 0};
	struct item_error e = {.text = NULL};
	const struct named_key *k;
	bool shown = span_eq_str(op->arg[0], "plaintext");
	uint8_t *key = view_alloc(p->view, DATAKEY_MAX);
	struct tail tail = {.manner = manner_of(op)};
	uint32_t version;
	size_t n = 0;
	enum status st;

	if (key == NULL)
		return err_set(err, ST_NOMEM, "no locked memory for a data key");
	if (!shown && !span_eq_str(op->arg[0], "wrapped"))
		return err_set(err, ST_INVALID, "Invalid path, must be 'plaintext' or 'wrapped'");
	st = batch_single(op->req, BATCH_VERSION, &i, err);
	if (st == ST_OK)
		st = key_find(p, op->arg[1], &k, err);
	if (st == ST_NOT_FOUND)
		return no_key(op, err);
	if (st == ST_OK)
		st = datakey_bytes(op, &n, err);
	if (st != ST_OK)
		return st;
	random_fill(op->random, key, n);
	crypt_begin(c, p, k, p->transit->config.manner->prefix);
	if (may_encrypt(&k->head) && i.key_version == 0)
		st = crypt_claim(c, op, 1, err);
	if (st != ST_OK)
		return st;
	builder_str(out, "{\"ciphertext\":\"");
	st = crypt_encrypt_bytes(c, &i, span_of(key, n), out, &version, &e);
	if (st == ST_INVALID)
		return err_set(err, item_error_status(&e), "%s", e.text);
	if (st != ST_OK)
		return st;
	put_tail(out, &tail, version);
	if (shown) {
		builder_str(out, ",\"plaintext\":\"");
		builder_base64(out, span_of(key, n));
		builder_u8(out, '"');
	}
	builder_u8(out, '}');
	op->ans->shape = ANSWER_DATA;
	return ST_OK;
}

enum status transit_datakey_op(struct op *op)
{
	struct key_place p = key_place_of(op);
	struct crypt c = {.key = NULL};
	struct err err = {0};
	enum status st = datakey(op, &c, &p, &err);

	return done(op, &c, st, &err);
}
