/* hmac, and the verifying of one: HMAC under a key of its own that every version of every key has (of an hmac key: the key itself). */
#include "crypto/ct.h"
#include "engine/transit_signing.h"

/* What one costs beside the digest of its input, about. */
#define MAC_NS UINT64_C(500)

/* ---- the work ---- */

static enum status mac_of(const struct signing *s, const struct signing_item *i, uint8_t *ret)
{
	const struct span input = signing_bytes(&s->in, i->input);

	return digest_mac(s->how.digest, secret_span(i->version->mac_key), &input, 1, ret);
}

static void make_item(struct signing *s, struct signing_item *i)
{
	size_t n = digest_len(s->how.digest);
	uint8_t *at = builder_room(&s->out, n);

	if (at == NULL || mac_of(s, i, at) != ST_OK) {
		signing_no_memory(i);
		return;
	}
	i->made = (struct signing_part){.at = s->out.n, .n = n};
	builder_took(&s->out, n);
}

static void check_item(struct signing *s, struct signing_item *i)
{
	uint8_t mac[DIGEST_LEN_MAX];

	if (mac_of(s, i, mac) == ST_OK)
		i->valid = ct_equal(span_of(mac, digest_len(s->how.digest)),
		                    signing_bytes(&s->in, i->given));
	else
		signing_no_memory(i);
	wipe(mac, sizeof mac);
}

static void put_made(const struct signing *s, const struct signing_item *i, struct builder *out)
{
	builder_str(out, "\"hmac\":\"");
	text_begin(out, s->transit->config.manner->prefix, i->version->number);
	builder_base64(out, signing_bytes(&s->out, i->made));
	builder_u8(out, '"');
}

/* ---- what is asked for ---- */

static enum status find_key(const struct key_place *p, struct span name,
                            const struct named_key **ret, struct err *err)
{
	enum status st = key_find(p, name, ret, err);

	return st == ST_NOT_FOUND ? err_set(err, ST_INVALID, "encryption key not found") : st;
}

/* The version's key for MACs is there too. */
static enum status version_with_mac(const struct key_place *p, const struct named_key *k,
                                    struct signing *s, int64_t number, struct signing_item *i)
{
	enum status st = signing_version(p, k, s, number, i);

	if (st != ST_OK || i->version->mac_key != NULL)
		return st;
	i->error.text = "no HMAC key exists for that key version";
	return ST_INVALID;
}

static enum status add_input(struct signing *s, struct signing_item *i, struct span input)
{
	s->cost_ns += MAC_NS + signing_digest_cost(s->how.digest, input.n / 4 * 3);
	return signing_decode(s, input, ITEM_BAD_INPUT, &i->input, i);
}

/* ---- hmac ---- */

/* All items are done under one version; what is wrong with it is the call's mistake. */
static enum status version_of_call(const struct op *op, const struct key_place *p,
                                   const struct named_key *k, struct signing *s,
                                   const struct key_version **ret, struct err *err)
{
	struct signing_item i = {.version = NULL};
	int64_t number = 0;
	enum status st = request_int(op->req, "key_version", &number, err);

	if (st != ST_OK && st != ST_NOT_FOUND)
		return st;
	if (number > k->head.latest && !k->head.soft_deleted)
		return err_set(err, ST_INVALID,
		               "key version does not exist; latest key version is %u",
		               k->head.latest);
	st = version_with_mac(p, k, s, number, &i);
	if (st == ST_OK) {
		*ret = i.version;
		return ST_OK;
	}
	key_version_unref(&i.version);
	return signing_error(&i.error, err);
}

static enum status digest_of_call(const struct op *op, enum digest_alg *ret, struct err *err)
{
	struct span name = op->arg[1];
	enum status st = name.n > 0 ? ST_OK : request_string(op->req, "algorithm", &name, err);

	if (st != ST_OK && st != ST_NOT_FOUND)
		return st;
	*ret = DIGEST_SHA2_256;
	if (name.n > 0 && digest_find(name, ret) != ST_OK)
		return err_set(err, ST_INVALID, "unsupported algorithm \"%.*s\"", (int)name.n,
		               (const char *)name.p);
	return ST_OK;
}

static enum status begin_making(struct op *op, const struct key_place *p, const struct named_key *k,
                                struct signing_asks *a, struct signing *s, struct err *err)
{
	const struct key_version *v = NULL;
	struct signing_ask ask;
	enum status st = version_of_call(op, p, k, s, &v, err);

	if (st == ST_OK)
		st = digest_of_call(op, &s->how.digest, err);
	for (size_t n = 0; st == ST_OK && n < s->n; n++) {
		struct signing_item *i = &s->items[n];

		st = signing_next(a, &ask, err);
		if (st != ST_OK)
			break;
		if (ask.input.p == NULL)
			i->error.text = "missing input for HMAC";
		else if (add_input(s, i, ask.input) == ST_OK)
			i->version = key_version_ref(v);
	}
	key_version_unref(&v);
	return st;
}

static const struct signing_kind making = {
    .negative = "key version does not exist (cannot be negative)",
    .above = "key version does not exist",
    .below = "cannot generate HMAC: version is too old (disallowed by policy)",
    .disabled = "this version of the key is disabled",
    .begin = begin_making,
    .work = make_item,
    .put = put_made,
    .on_error = ""};

enum status transit_hmac_op(struct op *op)
{
	struct key_place p = key_place_of(op);
	const struct named_key *k;
	struct signing_asks a;
	struct err err = {0};
	enum status st = find_key(&p, op->arg[0], &k, &err);

	if (st == ST_OK)
		st = signing_asks(op, &a, &err);
	if (st != ST_OK)
		return answer_fail(op->ans, st, "%s", err_text(&err, st));
	return signing_call(op, &p, k, &making, &a, &err);
}

/* ---- verify ---- */

static enum status add_mac(const struct key_place *p, const struct named_key *k, struct signing *s,
                           struct span hmac, struct signing_item *i)
{
	struct span rest;
	int64_t number;
	enum status st = text_parse(hmac, s->transit->config.manner->prefix, TEXT_HMAC, &number,
	                            &rest, &i->error);

	if (st == ST_OK)
		st = signing_decode(s, rest, ITEM_BAD_HMAC, &i->given, i);
	return st == ST_OK ? version_with_mac(p, k, s, number, i) : st;
}

static enum status begin_checking(struct op *op, const struct key_place *p,
                                  const struct named_key *k, struct signing_asks *a,
                                  struct signing *s, struct err *err)
{
	struct signing_ask ask;
	struct span name;
	enum status st = signing_digest_name(op, &name, err);

	if (st == ST_OK && digest_find(name, &s->how.digest) != ST_OK)
		st = err_set(err, ST_INVALID, "invalid hash algorithm \"%.*s\"", (int)name.n,
		             (const char *)name.p);
	for (size_t n = 0; st == ST_OK && n < s->n; n++) {
		struct signing_item *i = &s->items[n];

		st = signing_next(a, &ask, err);
		if (st != ST_OK)
			break;
		if (ask.input.p == NULL && s->many)
			i->error.text = "missing input";
		else if (add_input(s, i, ask.input) == ST_OK)
			(void)add_mac(p, k, s, ask.hmac, i);
	}
	return st;
}

static const struct signing_kind checking = {
    .above = "invalid HMAC: version is too new",
    .below = "cannot verify HMAC: version is too old (disallowed by policy)",
    .disabled = "this version of the key is disabled: its MACs are revoked",
    .begin = begin_checking,
    .work = check_item,
    .put = signing_put_valid,
    .on_error = "\"valid\":false,"};

enum status transit_verify_mac(struct op *op, struct signing_asks *a)
{
	struct key_place p = key_place_of(op);
	const struct named_key *k;
	struct err err = {0};
	enum status st = find_key(&p, op->arg[0], &k, &err);

	if (st != ST_OK)
		return answer_fail(op->ans, st, "%s", err_text(&err, st));
	return signing_call(op, &p, k, &checking, a, &err);
}
