/* hash and random: what needs no key. */
#include "crypto/random.h"
#include "engine/transit_signing.h"

#define RANDOM_MAX ((int64_t)128 * 1024)

/* How the bytes of an answer are written. */
enum format { FORMAT_HEX, FORMAT_BASE64 };

static enum status format_param(const struct request *r, enum format otherwise, enum format *ret,
                                struct err *err)
{
	struct span text = {0};
	enum status st = request_string(r, "format", &text, err);

	if (st != ST_OK && st != ST_NOT_FOUND)
		return st;
	if (st == ST_NOT_FOUND)
		*ret = otherwise;
	else if (span_eq_str(text, "hex"))
		*ret = FORMAT_HEX;
	else if (span_eq_str(text, "base64"))
		*ret = FORMAT_BASE64;
	else
		return err_set(err, ST_INVALID,
		               "unsupported encoding format %.*s; must be \"hex\" or \"base64\"",
		               (int)text.n, (const char *)text.p);
	return ST_OK;
}

static void put(struct builder *out, enum format f, struct span bytes)
{
	if (f == FORMAT_HEX)
		builder_hex(out, bytes);
	else
		builder_base64(out, bytes);
}

/* ---- hash ---- */

static void hash_item(struct signing *s, struct signing_item *i)
{
	const struct span input = signing_bytes(&s->in, i->input);
	size_t n = digest_len(s->how.digest);
	uint8_t *at = builder_room(&s->out, n);

	if (at == NULL || digest_of(s->how.digest, &input, 1, at) != ST_OK) {
		signing_no_memory(i);
		return;
	}
	i->made = (struct signing_part){.at = s->out.n, .n = n};
	builder_took(&s->out, n);
}

static void put_sum(const struct signing *s, const struct signing_item *i, struct builder *out)
{
	builder_str(out, "\"sum\":\"");
	put(out, s->how.hex ? FORMAT_HEX : FORMAT_BASE64, signing_bytes(&s->out, i->made));
	builder_u8(out, '"');
}

/* The algorithm of the path, else of the body. */
static enum status algorithm_param(const struct op *op, enum digest_alg *ret, struct err *err)
{
	struct span name = op->arg[0];
	enum status st = name.n > 0 ? ST_OK : request_string(op->req, "algorithm", &name, err);

	if (st == ST_NOT_FOUND) {
		*ret = DIGEST_SHA2_256;
		return ST_OK;
	}
	if (st == ST_OK && (digest_find(name, ret) != ST_OK || *ret == DIGEST_SHA1))
		return err_set(err, ST_INVALID, "unsupported algorithm %.*s", (int)name.n,
		               (const char *)name.p);
	return st;
}

static enum status begin_hash(struct op *op, const struct key_place *p, const struct named_key *k,
                              struct signing_asks *a, struct signing *s, struct err *err)
{
	struct signing_item *i = &s->items[0];
	struct signing_ask ask;
	enum format f = FORMAT_HEX;
	enum status st = signing_next(a, &ask, err);

	(void)p;
	(void)k;
	if (st == ST_OK && ask.input.p == NULL)
		return err_set(err, ST_INVALID, "input missing");
	if (st == ST_OK)
		st = format_param(op->req, FORMAT_HEX, &f, err);
	if (st == ST_OK)
		st = algorithm_param(op, &s->how.digest, err);
	if (st != ST_OK)
		return st;
	s->how.hex = f == FORMAT_HEX;
	if (signing_decode(s, ask.input, ITEM_BAD_INPUT, &i->input, i) == ST_OK)
		s->cost_ns = signing_digest_cost(s->how.digest, i->input.n);
	return ST_OK;
}

static const struct signing_kind hashing = {
    .begin = begin_hash, .work = hash_item, .put = put_sum, .on_error = ""};

enum status transit_hash_op(struct op *op)
{
	struct key_place p = key_place_of(op);
	struct signing_asks a = {.req = op->req, .n = 1};
	struct err err = {0};

	return signing_call(op, &p, NULL, &hashing, &a, &err);
}

/* ---- random ---- */

static enum status url_bytes(struct span text, int64_t *ret, struct err *err)
{
	int64_t n = 0;

	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] < '0' || text.p[i] > '9' || n > RANDOM_MAX)
			return err_set(
			    err, ST_INVALID,
			    "error parsing url-set byte count: %.*s is no number of bytes",
			    (int)text.n, (const char *)text.p);
		n = n * 10 + (text.p[i] - '0');
	}
	*ret = n;
	return ST_OK;
}

static bool is_source(struct span s)
{
	return span_eq_str(s, "platform") || span_eq_str(s, "seal") || span_eq_str(s, "all");
}

/* random, random/BYTES, random/SOURCE, random/SOURCE/BYTES; what the path does not say stands in the body. */
static enum status what_random(const struct op *op, struct span *ret_source, int64_t *ret_n,
                               struct err *err)
{
	struct span first = op->arg[0], second = op->arg[1], source = span_str("platform");
	int64_t n = 32;
	enum status st;

	if (second.n > 0 || (first.n > 0 && is_source(first))) {
		source = first;
		first = second;
	} else if (first.n == 0) {
		st = request_string(op->req, "source", &source, err);
		if (st != ST_OK && st != ST_NOT_FOUND)
			return st;
	}
	st = first.n > 0 ? url_bytes(first, &n, err) : request_int(op->req, "bytes", &n, err);
	if (st != ST_OK && st != ST_NOT_FOUND)
		return st;
	if (n < 1)
		return err_set(err, ST_INVALID, "'bytes' cannot be less than 1");
	if (n > RANDOM_MAX)
		return err_set(err, ST_INVALID, "'bytes' cannot be more than %d", (int)RANDOM_MAX);
	*ret_source = source;
	*ret_n = n;
	return ST_OK;
}

static enum status check_source(struct op *op, struct span source, struct err *err)
{
	if (!is_source(source) && source.n > 0)
		return err_set(err, ST_INVALID,
		               "unsupported entropy source \"%.*s\"; must be \"platform\" or "
		               "\"seal\", or \"all\"",
		               (int)source.n, (const char *)source.p);
	if (span_eq_str(source, "seal"))
		return err_set(
		    err, ST_INVALID,
		    "source \"seal\" needs a seal that gives random bytes; there is none");
	if (span_eq_str(source, "all"))
		answer_warn(op->ans, "no seal gives random bytes; they are those of the platform");
	return ST_OK;
}

/* They may become somebody's key: drawn in locked memory. */
static enum status random_bytes(struct op *op, struct err *err)
{
	struct builder *out = &op->ans->data;
	enum format f;
	struct span source = {0};
	int64_t n = 0;
	uint8_t *bytes;
	enum status st = what_random(op, &source, &n, err);

	if (st == ST_OK)
		st = format_param(op->req, FORMAT_BASE64, &f, err);
	if (st == ST_OK)
		st = check_source(op, source, err);
	if (st != ST_OK)
		return st;
	bytes = view_alloc(&op->view, (size_t)n);
	if (bytes == NULL)
		return err_set(err, ST_NOMEM, "no locked memory for so many bytes");
	random_fill(op->random, bytes, (size_t)n);
	builder_str(out, "{\"random_bytes\":\"");
	put(out, f, span_of(bytes, (size_t)n));
	builder_str(out, "\"}");
	wipe(bytes, (size_t)n);
	op->ans->shape = ANSWER_DATA;
	return builder_status(out);
}

enum status transit_random_op(struct op *op)
{
	struct err err = {0};
	enum status st = random_bytes(op, &err);

	return st == ST_OK ? (op->ans->status = st)
	                   : answer_fail(op->ans, st, "%s", err_text(&err, st));
}
