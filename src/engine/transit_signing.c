#include "engine/transit_signing.h"

#include <stdlib.h>
#include <string.h>

/* Work that takes longer than this is for the pool: a loop serves nobody else meanwhile. */
#define LOOP_NS UINT64_C(1000000)
/* And more than this is too much for one call: others wait for a worker too.  10,000 items of any kind are less. */
#define POOL_NS UINT64_C(60000000000)

/* ---- what is asked for ---- */

static enum status text_of(const struct json_value *v, size_t index, struct span *ret,
                           struct err *err)
{
	if (v->type == JSON_NULL)
		return ST_OK;
	/* A number is taken by its digits, as the reference does. */
	if (v->type != JSON_STRING && v->type != JSON_NUMBER)
		return err_set(err, ST_INVALID,
		               "failed to parse batch input: '[%zu].%.*s' must be a string", index,
		               (int)v->name.n, (const char *)v->name.p);
	*ret = v->text.p != NULL ? v->text : span_of("", 0);
	return ST_OK;
}

static struct span *member_of(struct signing_ask *a, struct span name)
{
	if (span_eq_str(name, "input"))
		return &a->input;
	if (span_eq_str(name, "context"))
		return &a->context;
	if (span_eq_str(name, "signature"))
		return &a->signature;
	if (span_eq_str(name, "hmac"))
		return &a->hmac;
	if (span_eq_str(name, "reference"))
		return &a->reference;
	return NULL;
}

static enum status read_item(const struct json_value *o, size_t index, struct signing_ask *ret,
                             struct err *err)
{
	struct signing_ask a = {.input = {NULL, 0}};
	const struct json_value *v = json_first(o);
	enum status st = ST_OK;

	if (o->type != JSON_OBJECT)
		return err_set(err, ST_INVALID,
		               "failed to parse batch input: '[%zu]' must be an object", index);
	for (uint32_t n = 0; st == ST_OK && n < o->count; n++, v = json_next(v)) {
		struct span *at = member_of(&a, v->name);

		if (at != NULL)
			st = text_of(v, index, at, err);
	}
	if (st == ST_OK)
		*ret = a;
	return st;
}

static enum status read_single(const struct request *r, struct signing_ask *ret, struct err *err)
{
	struct signing_ask a = {.input = {NULL, 0}};
	enum status st = batch_text(r, "input", &a.input, err);

	if (st == ST_OK)
		st = batch_text(r, "context", &a.context, err);
	if (st == ST_OK)
		st = batch_text(r, "signature", &a.signature, err);
	if (st == ST_OK)
		st = batch_text(r, "hmac", &a.hmac, err);
	if (st == ST_OK)
		*ret = a;
	return st;
}

enum status signing_asks(const struct op *op, struct signing_asks *ret, struct err *err)
{
	const struct json_value *list = request_member(op->req, "batch_input");

	*ret = (struct signing_asks){.req = op->req, .n = 1};
	if (list == NULL || list->type == JSON_NULL)
		return ST_OK;
	if (list->type != JSON_ARRAY)
		return err_set(err, ST_INVALID,
		               "failed to parse batch input: source data must be an array");
	if (list->count == 0)
		return err_set(err, ST_INVALID, "missing batch input to process");
	if (list->count > BATCH_MAX)
		return err_set(err, ST_INVALID, "batch input has %u items, of at most %u",
		               list->count, BATCH_MAX);
	ret->list = list;
	ret->n = list->count;
	return ST_OK;
}

enum status signing_next(struct signing_asks *a, struct signing_ask *ret, struct err *err)
{
	enum status st;

	MUST(a->i < a->n);
	if (a->list == NULL) {
		st = read_single(a->req, ret, err);
	} else {
		a->at = a->i == 0 ? json_first(a->list) : json_next(a->at);
		st = read_item(a->at, a->i, ret, err);
	}
	a->i++;
	return st;
}

void signing_rewind(struct signing_asks *a)
{
	a->i = 0;
}

/* ---- what it works with ---- */

static enum status fail(struct signing_item *i, const char *text)
{
	i->error = (struct item_error){.text = text};
	return ST_INVALID;
}

static enum status fail_inside(struct signing_item *i, const char *text)
{
	i->error = (struct item_error){.text = text, .internal = true};
	return ST_INVALID;
}

void signing_no_memory(struct signing_item *i)
{
	(void)fail_inside(i, "out of memory");
	i->error.starved = true;
}

enum status signing_decode(struct signing *s, struct span text, const char *bad,
                           struct signing_part *ret, struct signing_item *i)
{
	size_t before = s->in.n;
	enum status st = text.n > 0 ? text_unbase64(text, &s->in, &i->error) : ST_OK;

	if (st == ST_OK) {
		*ret = (struct signing_part){.at = before, .n = s->in.n - before};
		return ST_OK;
	}
	if (!i->error.internal)
		i->error.text = bad;
	return ST_INVALID;
}

struct span signing_bytes(const struct builder *b, struct signing_part part)
{
	struct cursor c = cursor_of(builder_span(b));
	struct span before, ret = {0};

	MUST(cursor_span(&c, part.at, &before) == ST_OK && cursor_span(&c, part.n, &ret) == ST_OK);
	return ret;
}

enum status signing_digest_name(const struct op *op, struct span *ret, struct err *err)
{
	struct span name = op->arg[1];
	enum status st = ST_OK;

	if (name.n == 0)
		st = request_string(op->req, "hash_algorithm", &name, err);
	if (name.n == 0 && (st == ST_OK || st == ST_NOT_FOUND))
		st = request_string(op->req, "algorithm", &name, err);
	if (st != ST_OK && st != ST_NOT_FOUND)
		return st;
	*ret = name.n > 0 ? name : span_str("sha2-256");
	return ST_OK;
}

/*
 * Thousandths of a nanosecond a byte.  Measured on an EPYC with SHA extensions (openssl speed); without them SHA-1 and SHA-256 take three to four times as
 * long.
 */
uint64_t signing_digest_cost(enum digest_alg alg, size_t n)
{
	static const uint32_t ps[DIGEST_ALG_COUNT] = {
	    [DIGEST_SHA1] = 500,      [DIGEST_SHA2_224] = 550,  [DIGEST_SHA2_256] = 550,
	    [DIGEST_SHA2_384] = 1120, [DIGEST_SHA2_512] = 1120, [DIGEST_SHA3_224] = 1850,
	    [DIGEST_SHA3_256] = 1950, [DIGEST_SHA3_384] = 2550, [DIGEST_SHA3_512] = 3650};

	return 500 + (uint64_t)n * ps[alg] / 1000;
}

/* ---- versions ---- */

/* Within the bounds of the key. */
static enum status check_number(const struct key_head *h, const struct signing_kind *kind,
                                int64_t number, struct signing_item *i)
{
	bool makes = kind->negative != NULL;

	if (h->soft_deleted)
		return fail(i, KEY_SOFT_DELETED_TEXT);
	if (number > h->latest)
		return fail(i, kind->above);
	if (makes && number < 0)
		return fail(i, kind->negative);
	if (number < (makes ? h->min_encryption : h->min_decryption))
		return fail(i, kind->below);
	return ST_OK;
}

static enum status find_version(const struct key_place *p, const struct named_key *k,
                                const struct signing_kind *kind, uint32_t number,
                                struct signing_item *i)
{
	const struct key_version *v;
	struct err err = {0};
	enum status st = key_get_version(p, k, number, &v, &err);

	if (st == ST_NOT_FOUND)
		return fail(i, "no such key version");
	if (st != ST_OK)
		return fail_inside(i, "the key version cannot be read");
	if (v->state == VERSION_DESTROYED)
		return fail(i, "this version of the key was destroyed");
	if (v->state == VERSION_DISABLED)
		return fail(i, kind->disabled);
	uses_decrypted(v->uses, 0, uses_day(p->now_ns));
	i->version = key_version_ref(v);
	return ST_OK;
}

enum status signing_version(const struct key_place *p, const struct named_key *k, struct signing *s,
                            int64_t number, struct signing_item *i)
{
	enum status st;

	if (number == 0 && s->kind->negative != NULL)
		number = k->head.latest;
	if (s->last != NULL && s->last->number == number) {
		i->version = key_version_ref(s->last);
		return ST_OK;
	}
	st = check_number(&k->head, s->kind, number, i);
	if (st == ST_OK)
		st = find_version(p, k, s->kind, (uint32_t)number, i);
	if (st == ST_OK)
		s->last = i->version;
	return st;
}

/* What changed while the pool worked: an item whose version must no longer be used fails. */
static void recheck(const struct key_place *p, const struct named_key *k, struct signing *s)
{
	s->last = NULL;
	for (size_t n = 0; n < s->n; n++) {
		struct signing_item *i = &s->items[n];
		const struct key_version *was = i->version;

		if (was == NULL || i->error.text != NULL)
			continue;
		i->version = NULL;
		if (signing_version(p, k, s, was->number, i) != ST_OK)
			s->last = NULL;
		key_version_unref(&was);
	}
}

/* ---- the answer ---- */

void signing_put_valid(const struct signing *s, const struct signing_item *i, struct builder *out)
{
	(void)s;
	builder_str(out, i->valid ? "\"valid\":true" : "\"valid\":false");
}

static void put_reference(struct builder *out, struct span reference)
{
	struct json_writer w;

	builder_str(out, ",\"reference\":");
	json_writer_init(&w, out);
	json_string(&w, reference);
}

static void put_item(const struct signing *s, const struct signing_item *i, struct builder *out)
{
	if (i->error.text == NULL) {
		s->kind->put(s, i, out);
		return;
	}
	builder_str(out, s->kind->on_error);
	builder_str(out, "\"error\":\"");
	item_error_put(&i->error, out);
	builder_u8(out, '"');
}

static enum status answer_batch(struct builder *out, struct signing_asks *a,
                                const struct signing *s, struct err *err)
{
	signing_rewind(a);
	builder_str(out, "{\"batch_results\":[");
	for (size_t i = 0; i < s->n; i++) {
		struct signing_ask ask;
		enum status st = signing_next(a, &ask, err);

		if (st != ST_OK)
			return st;
		builder_str(out, i == 0 ? "{" : ",{");
		put_item(s, &s->items[i], out);
		put_reference(out, ask.reference);
		builder_u8(out, '}');
	}
	builder_str(out, "]}");
	return ST_OK;
}

enum status signing_error(const struct item_error *e, struct err *err)
{
	char text[ERR_TEXT_MAX];
	struct builder shown;

	builder_init_fixed(&shown, text, sizeof text - 1);
	item_error_put(e, &shown);
	text[shown.n] = 0;
	return err_set(err, item_error_status(e), "%s", text);
}

static enum status answer_single(struct builder *out, const struct signing *s, struct err *err)
{
	const struct signing_item *i = &s->items[0];

	if (i->error.text != NULL)
		return signing_error(&i->error, err);
	builder_u8(out, '{');
	s->kind->put(s, i, out);
	builder_u8(out, '}');
	return ST_OK;
}

static enum status answer(struct op *op, struct signing_asks *a, const struct signing *s,
                          struct err *err)
{
	struct builder *out = &op->ans->data;
	enum status st = s->many ? answer_batch(out, a, s, err) : answer_single(out, s, err);

	if (st == ST_OK)
		st = builder_status(out);
	op->ans->shape = ANSWER_DATA;
	return st;
}

/* ---- the call ---- */

static struct key_id id_of(const struct named_key *k)
{
	return k != NULL ? k->head.id : (struct key_id){.b = {0}};
}

static void work_on(struct signing *s, size_t i)
{
	if (s->items[i].error.text == NULL)
		s->kind->work(s, &s->items[i]);
}

static uint64_t drops_of(const struct transit *t)
{
	return atomic_load_explicit(&t->drops, memory_order_relaxed);
}

/* On the pool. */
static void run(struct slow *work)
{
	struct signing *s = (struct signing *)(void *)work;

	for (size_t i = 0; i < s->n && !s->cut_short; i++) {
		work_on(s, i);
		s->cut_short = drops_of(s->transit) != s->drops;
	}
}

static void release(struct slow **work)
{
	struct signing *s = (struct signing *)(void *)*work;

	*work = NULL;
	for (size_t i = 0; i < s->n; i++)
		key_version_unref(&s->items[i].version);
	builder_free(&s->in);
	builder_free(&s->out);
	free(s);
}

static enum status make(const struct op *op, const struct signing_kind *kind,
                        const struct signing_asks *a, const struct named_key *k,
                        struct signing **ret)
{
	struct signing *s = calloc(1, sizeof *s + a->n * sizeof *s->items);

	if (s == NULL)
		return ST_NOMEM;
	s->slow = (struct slow){.run = run, .free = release};
	s->kind = kind;
	s->transit = op->self;
	s->drops = drops_of(s->transit);
	s->id = id_of(k);
	s->many = a->list != NULL;
	s->n = a->n;
	*ret = s;
	return ST_OK;
}

/* What the pool did for this call; NULL: nothing yet. */
static struct signing *found(const struct op *op, const struct signing_kind *kind,
                             const struct signing_asks *a, const struct named_key *k)
{
	struct signing *s = (struct signing *)(void *)op->slow;
	struct key_id id = id_of(k);

	if (s == NULL || s->slow.run != run || s->kind != kind || s->n != a->n || s->cut_short ||
	    memcmp(s->id.b, id.b, KEY_ID_LEN) != 0)
		return NULL;
	return s;
}

static enum status do_work(struct op *op, struct signing *s, struct err *err)
{
	if (s->cost_ns > POOL_NS)
		return err_set(err, ST_INVALID,
		               "so many items would take longer than a minute: send them in parts");
	if (s->for_pool || s->cost_ns > LOOP_NS) {
		op->slow = &s->slow;
		return ST_PENDING;
	}
	for (size_t i = 0; i < s->n; i++)
		work_on(s, i);
	return ST_OK;
}

enum status signing_call(struct op *op, const struct key_place *p, const struct named_key *k,
                         const struct signing_kind *kind, struct signing_asks *a, struct err *err)
{
	struct signing *s = found(op, kind, a, k);
	struct slow *work;
	enum status st = ST_OK;

	if (s != NULL) {
		recheck(p, k, s);
	} else {
		st = make(op, kind, a, k, &s);
		if (st == ST_OK)
			st = kind->begin(op, p, k, a, s, err);
		if (st == ST_OK)
			st = do_work(op, s, err);
	}
	if (st == ST_OK)
		st = answer(op, a, s, err);
	/* The call's slow work is freed with it. */
	work = s != NULL && &s->slow != op->slow ? &s->slow : NULL;
	if (work != NULL)
		work->free(&work);
	if (st == ST_OK || st == ST_NEEDS_WRITER || st == ST_PENDING)
		return op->ans->status = st;
	return answer_fail(op->ans, st, "%s", err_text(err, st));
}
