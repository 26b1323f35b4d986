/* keys/NAME/csr and keys/NAME/set-certificate: requests for certificates, signed here, and the chains that came of them. */
#include <stdlib.h>
#include <string.h>

#include "crypto/cert.h"
#include "engine/transit_impl.h"
#include "engine/transit_material.h"

/* What both calls are about. */
struct subject {
	const struct named_key *k;
	const struct key_type_info *info;
	uint32_t number;
};

static enum status version_param(const struct request *r, const struct key_head *h, uint32_t *ret,
                                 struct err *err)
{
	struct span word = {0};
	int64_t v = h->latest;
	enum status st = request_string(r, "version", &word, NULL);

	if (st == ST_OK && span_eq_str(word, "latest")) {
		*ret = h->latest;
		return ST_OK;
	}
	st = request_int(r, "version", &v, err);
	if (st != ST_OK && st != ST_NOT_FOUND)
		return st;
	if (v < 1 || v > (int64_t)h->latest || v < (int64_t)h->min_available)
		return err_set(err, ST_INVALID, "no such key version");
	*ret = (uint32_t)v;
	return ST_OK;
}

static enum status find_subject(struct op *op, const struct key_place *p, struct subject *ret,
                                struct err *err)
{
	enum status st = key_find(p, op->arg[0], &ret->k, err);

	if (st == ST_NOT_FOUND)
		return err_set(err, ST_INVALID, "key with provided name '%.*s' not found",
		               (int)op->arg[0].n, (const char *)op->arg[0].p);
	if (st != ST_OK)
		return st;
	ret->info = key_type_info(ret->k->head.type);
	if (!ret->info->signs)
		return err_set(err, ST_INVALID, "key type '%s' does not support signing",
		               ret->info->name);
	if (ret->k->head.derived)
		return err_set(err, ST_INVALID,
		               "operation not supported for keys with derivation enabled");
	if (ret->k->head.soft_deleted)
		return err_set(err, ST_INVALID, KEY_SOFT_DELETED_TEXT);
	return version_param(op->req, &ret->k->head, &ret->number, err);
}

static void begin_answer(struct json_writer *w, struct op *op, const struct subject *s)
{
	json_writer_init(w, &op->ans->data);
	json_begin_object(w);
	json_put_string(w, "name", s->k->name);
	json_put_cstr(w, "type", s->info->name);
}

/* ---- requests ---- */

/* RSA signs slowly, so the pool does it, whatever the type. */
struct signing_request {
	struct slow slow; /* first */
	const struct key_version *version;
	struct builder template;
	struct builder made;
	enum status status;
	struct err err;
};

static void request_run(struct slow *work)
{
	struct signing_request *r = (struct signing_request *)(void *)work;

	r->status = cert_request(r->version->pkey, builder_span(&r->template), &r->made, &r->err);
}

static void request_free(struct slow **work)
{
	struct signing_request *r = (struct signing_request *)(void *)*work;

	*work = NULL;
	key_version_unref(&r->version);
	builder_free(&r->template);
	builder_free(&r->made);
	free(r);
}

static enum status begin_request(struct op *op, const struct key_version *v, struct span template,
                                 struct err *err)
{
	struct signing_request *r = calloc(1, sizeof *r);

	if (r == NULL)
		return err_set(err, ST_NOMEM, "no memory for a request");
	r->slow = (struct slow){.run = request_run, .free = request_free};
	r->version = key_version_ref(v);
	builder_add(&r->template, template);
	if (builder_status(&r->template) != ST_OK) {
		struct slow *work = &r->slow;

		request_free(&work);
		return err_set(err, ST_NOMEM, "no memory for a request");
	}
	op->slow = &r->slow;
	return ST_PENDING;
}

static enum status make_request(struct op *op, const struct key_place *p, struct err *err)
{
	const struct signing_request *r = (struct signing_request *)(void *)op->slow;
	const struct key_version *v;
	struct subject s;
	struct span template = {0};
	struct json_writer w;
	const char *why;
	enum status st = request_string(op->req, "csr", &template, err);

	if (st == ST_OK || st == ST_NOT_FOUND)
		st = find_subject(op, p, &s, err);
	if (st == ST_OK)
		st = key_get_version(p, s.k, s.number, &v, err);
	if (st != ST_OK)
		return st == ST_NOT_FOUND ? err_set(err, ST_INVALID, "no such key version") : st;
	why = version_unusable(v->state);
	if (why != NULL)
		return err_set(err, ST_INVALID, "%s", why);
	if (!v->has_private)
		return err_set(err, ST_INVALID,
		               "private key not imported for key version selected");
	if (r == NULL || r->version->number != v->number ||
	    memcmp(r->version->id.b, v->id.b, KEY_ID_LEN) != 0)
		return begin_request(op, v, template, err);
	if (r->status != ST_OK)
		return err_set(err, r->status, "could not create the csr: %s",
		               err_text(&r->err, r->status));
	uses_decrypted(v->uses, 0, uses_day(p->now_ns));
	begin_answer(&w, op, &s);
	json_put_string(&w, "csr", builder_span(&r->made));
	json_end_object(&w);
	return answer_data(op, err);
}

enum status transit_csr_op(struct op *op)
{
	struct key_place p = key_place_of(op);
	struct err err = {0};
	enum status st = make_request(op, &p, &err);

	if (st == ST_OK || st == ST_PENDING)
		return op->ans->status = st;
	return answer_fail(op->ans, st, "%s", err_text(&err, st));
}

/* ---- chains ---- */

static enum status check_chain(const struct subject *s, const struct version_data *d,
                               struct span chain, struct err *err)
{
	struct pkey *k = NULL;
	enum status st = material_pkey(s->k->head.type, d, &k, err);

	if (st != ST_OK)
		return st;
	st = cert_chain_check(k, chain, err);
	pkey_unref(&k);
	return st;
}

static enum status set_chain(const struct key_place *p, const struct subject *s, struct span chain,
                             struct err *err)
{
	struct key_head head = s->k->head;
	struct version_data d;
	const char *why;
	enum status st;

	if (chain.n > KEY_CHAIN_MAX)
		return err_set(err, ST_INVALID, "the chain is longer than %u bytes", KEY_CHAIN_MAX);
	st = key_read_version(p, &head.id, s->number, &d, err);
	if (st != ST_OK)
		return st == ST_NOT_FOUND ? err_set(err, ST_INVALID, "no such key version") : st;
	why = version_unusable(d.state);
	if (why != NULL)
		return err_set(err, ST_INVALID, "%s", why);
	st = check_chain(s, &d, chain, err);
	d.chain = chain;
	return st == ST_OK ? key_put_version(p, s->k->name, &head, s->number, &d, err) : st;
}

static enum status set_certificate(struct op *op, const struct key_place *p, struct err *err)
{
	struct builder chain = {.max = BUILDER_MAX_DEFAULT};
	struct subject s;
	struct span pem = {0};
	struct json_writer w;
	enum status st = request_string(op->req, "certificate_chain", &pem, err);

	if (st == ST_OK || st == ST_NOT_FOUND)
		st = find_subject(op, p, &s, err);
	if (st == ST_OK)
		st = cert_chain_read(pem, &chain, err);
	if (st == ST_OK)
		st = set_chain(p, &s, builder_span(&chain), err);
	builder_free(&chain);
	if (st != ST_OK)
		return st == ST_LIMIT ? err_set(err, ST_INVALID, "the chain is too long") : st;
	begin_answer(&w, op, &s);
	json_put_string(&w, "certificate_chain", pem);
	json_end_object(&w);
	return answer_data(op, err);
}

enum status transit_set_certificate_op(struct op *op)
{
	struct key_place p = key_place_of(op);
	struct err err = {0};
	enum status st = set_certificate(op, &p, &err);

	if (st == ST_OK || st == ST_NEEDS_WRITER)
		return op->ans->status = st;
	return answer_fail(op->ans, st, "%s", err_text(&err, st));
}
