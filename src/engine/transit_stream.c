/*
 * encrypt-stream, decrypt-stream, rewrap-stream: one JSON object a line in, one a line out, in the same order, for as many lines as a database has rows.  Ours.
 *
 * Lines are taken a few hundred at a time, with one claim of uses for all of them.  What is wrong with a line is said in its answer and does not stop the others.
 */
#include <string.h>

#include "engine/transit_impl.h"

/* Lines that share one claim. */
#define LINES_A_RUN 256
/* A line may be as long as what one request may encrypt is roomy for. */
#define LINE_MAX ((size_t)8 << 20)

static const struct json_limits line_limits = {.depth = 8, .values = 64, .string = LINE_MAX};

/* What is known between two visits: a version that a line names and of which uses are to be reserved, or of which there are none left; 0: none. */
struct stream_state {
	uint32_t lacking, used_up;
};

/* ---- one line ---- */

enum stream_work { STREAM_ENCRYPT, STREAM_DECRYPT, STREAM_REWRAP };

static void put_end(struct builder *out, struct span reference)
{
	struct json_writer w;

	if (reference.n > 0) {
		builder_str(out, ",\"reference\":");
		json_writer_init(&w, out);
		json_string(&w, reference);
	}
	builder_str(out, "}\n");
}

static void put_error(struct builder *out, const struct item_error *e, struct span reference)
{
	builder_str(out, "{\"error\":\"");
	item_error_put(e, out);
	builder_u8(out, '"');
	put_end(out, reference);
}

static void put_version(struct builder *out, uint32_t version)
{
	builder_str(out, "\",\"key_version\":");
	builder_dec(out, version);
}

static enum status encrypt(struct crypt *c, const struct crypt_item *i, struct builder *out,
                           struct item_error *e)
{
	uint32_t version;
	enum status st;

	if (i->plaintext.p == NULL) {
		*e = (struct item_error){.text = "missing plaintext to encrypt"};
		return ST_INVALID;
	}
	builder_str(out, "{\"ciphertext\":\"");
	st = crypt_encrypt(c, i, out, &version, e);
	if (st == ST_OK)
		put_version(out, version);
	return st;
}

static enum status decrypt(struct crypt *c, const struct crypt_item *i, struct builder *out,
                           struct item_error *e)
{
	enum status st;

	builder_str(out, "{\"plaintext\":\"");
	st = crypt_decrypt(c, i, out, e);
	if (st == ST_OK)
		builder_u8(out, '"');
	return st;
}

static enum status rewrap(struct crypt *c, const struct crypt_item *i, struct builder *out,
                          struct item_error *e)
{
	bool rewrapped;
	uint32_t version;
	enum status st;

	builder_str(out, "{\"ciphertext\":\"");
	st = crypt_rewrap(c, i, KEEP_CURRENT, out, &version, &rewrapped, e);
	if (st == ST_OK) {
		put_version(out, version);
		builder_str(out, rewrapped ? ",\"rewrapped\":true" : ",\"rewrapped\":false");
	}
	return st;
}

static enum status work_on(enum stream_work work, struct crypt *c, const struct crypt_item *i,
                           struct builder *out, struct item_error *e)
{
	if (work == STREAM_ENCRYPT)
		return encrypt(c, i, out, e);
	if (i->ciphertext.n == 0) {
		*e = (struct item_error){.text = "missing ciphertext to decrypt"};
		return ST_INVALID;
	}
	return work == STREAM_DECRYPT ? decrypt(c, i, out, e) : rewrap(c, i, out, e);
}

/* The line's object as an item.  ST_INVALID: it is none. */
static enum status read_line(struct json *doc, uint8_t *text, size_t n, struct crypt_item *i,
                             struct item_error *e)
{
	struct err err = {0};
	const struct json_value *root;
	enum status st = json_parse(doc, text, n, &line_limits, &err);

	*i = (struct crypt_item){.key_version = 0};
	if (st == ST_NOMEM) {
		*e =
		    (struct item_error){.text = "out of memory", .internal = true, .starved = true};
		return ST_INVALID;
	}
	root = st == ST_OK ? json_root(doc) : NULL;
	if (root == NULL || root->type != JSON_OBJECT) {
		*e = (struct item_error){.text = "the line is not a JSON object"};
		return ST_INVALID;
	}
	if (batch_item(root, BATCH_VERSION, i, &err) != ST_OK) {
		*e = (struct item_error){.text = "a member of the line has a wrong type"};
		return ST_INVALID;
	}
	return ST_OK;
}

/* ST_OK: answered, well or not.  ST_NEEDS_WRITER: not yet. */
static enum status answer_line(struct op *op, enum stream_work work, struct crypt *c, uint8_t *text,
                               size_t n, struct builder *out)
{
	struct transit_thread *t = op->thread;
	struct item_error e = {.text = NULL};
	struct crypt_item i;
	size_t before = out->n;
	enum status st = read_line(&t->line, text, n, &i, &e);

	if (st == ST_OK)
		st = work_on(work, c, &i, out, &e);
	if (st == ST_NEEDS_WRITER) {
		builder_cut(out, before);
		return st;
	}
	op->stream_totals->items++;
	if (st == ST_OK) {
		put_end(out, i.reference);
		return ST_OK;
	}
	op->stream_totals->failed++;
	builder_cut(out, before);
	put_error(out, &e, i.reference);
	return ST_OK;
}

/* ---- a run of lines ---- */

/* How many lines are there, of as many as one run takes. */
static size_t count_lines(const struct stream_visit *v)
{
	const uint8_t *p = v->in + v->used, *end = v->in + v->n;
	size_t n = 0;

	while (p < end && n < LINES_A_RUN) {
		const uint8_t *at = memchr(p, '\n', (size_t)(end - p));

		if (at == NULL)
			return v->end == STREAM_LAST ? n + 1 : n;
		p = at + 1;
		n++;
	}
	return n;
}

static bool is_blank(const uint8_t *p, size_t n)
{
	while (n > 0 && (p[n - 1] == ' ' || p[n - 1] == '\r' || p[n - 1] == '\t'))
		n--;
	return n == 0;
}

static enum status run_lines(struct op *op, enum stream_work work, struct crypt *c, size_t lines,
                             struct stream_visit *v, struct err *err)
{
	uint8_t *text;
	size_t n, whole;

	for (size_t i = 0; i < lines && v->out->n < v->out_full; i++) {
		enum status st = stream_line(v, LINE_MAX, &text, &n, &whole, err);

		if (st == ST_OK && !is_blank(text, n))
			st = answer_line(op, work, c, text, n, v->out);
		if (st == ST_NOT_FOUND)
			return ST_OK;
		if (st != ST_OK)
			return st;
		v->used += whole;
	}
	return ST_OK;
}

static enum status find_key(struct op *op, const struct key_place *p, const struct named_key **ret,
                            struct err *err)
{
	enum status st = key_find(p, op->arg[0], ret, err);

	if (st == ST_NOT_FOUND)
		return err_set(err, ST_INVALID, "encryption key not found");
	if (st != ST_OK)
		return st;
	if (!key_type_is_cipher((*ret)->head.type))
		return err_set(err, ST_INVALID,
		               "streams are for symmetric keys, and this one is %s",
		               key_type_info((*ret)->head.type)->name);
	if ((*ret)->head.soft_deleted)
		return err_set(err, ST_INVALID, KEY_SOFT_DELETED_TEXT);
	return ST_OK;
}

/* One claim, and the lines that it is for. */
static enum status one_run(struct op *op, enum stream_work work, const struct key_place *p,
                           size_t lines, struct stream_visit *v, struct err *err)
{
	struct stream_state *state = op->stream_state;
	struct crypt c = {.used_up = state->used_up};
	const struct named_key *k;
	enum status st = find_key(op, p, &k, err);

	if (st != ST_OK)
		return st;
	crypt_begin(&c, p, k, p->transit->config.manner->prefix);
	if (lines > key_bound(&k->head))
		lines = (size_t)key_bound(&k->head);
	if (work != STREAM_DECRYPT)
		st = crypt_claim(&c, op, lines, err);
	if (st == ST_OK)
		st = run_lines(op, work, &c, lines, v, err);
	if (st == ST_NEEDS_WRITER)
		state->lacking = c.lacking;
	crypt_end(&c);
	return st;
}

static enum status chunk(struct op *op, enum stream_work work, struct stream_visit *v)
{
	struct stream_state *state = op->stream_state;
	struct key_place p = key_place_of(op);
	struct err err = {0};
	size_t lines, before;
	enum status st;

	do {
		lines = count_lines(v);
		before = v->used;
		/* without a whole line, too long a part of one is still to be found out */
		st = one_run(op, work, &p, lines > 0 ? lines : 1, v, &err);
	} while (st == ST_OK && v->used > before && v->out->n < v->out_full);
	if (st == ST_OK)
		state->used_up = 0; /* at the next visit it may be allowed more */
	if (st == ST_OK || st == ST_NEEDS_WRITER)
		return op->ans->status = st;
	return answer_fail(op->ans, st == ST_LIMIT ? ST_INVALID : st, "%s", err_text(&err, st));
}

/* Of the version that lines name.  That there is none left, or no such version any more, is for their answers to say. */
static enum status reserve_lacking(struct crypt *c, struct stream_state *state, struct err *err)
{
	uint32_t version = state->lacking;
	enum status st = crypt_reserve(c, version, err);

	state->lacking = 0;
	if (st == ST_LIMIT)
		state->used_up = version;
	return st == ST_LIMIT || st == ST_NOT_FOUND ? ST_OK : st;
}

/* On the writer: a block for the lines that follow. */
static enum status reserve(struct op *op)
{
	struct stream_state *state = op->stream_state;
	struct key_place p = key_place_of(op);
	struct crypt c = {.key = NULL};
	const struct named_key *k;
	struct err err = {0};
	uint64_t n = LINES_A_RUN;
	enum status st = find_key(op, &p, &k, &err);

	if (st == ST_OK) {
		crypt_begin(&c, &p, k, p.transit->config.manner->prefix);
		if (n > key_bound(&k->head))
			n = key_bound(&k->head);
		st = state->lacking != 0 ? reserve_lacking(&c, state, &err)
		                         : crypt_claim(&c, op, n, &err);
	}
	crypt_end(&c);
	return st == ST_OK ? (op->ans->status = st)
	                   : answer_fail(op->ans, st, "%s", err_text(&err, st));
}

/* ---- the operations ---- */

enum status transit_stream_op(struct op *op)
{
	struct key_place p = key_place_of(op);
	const struct named_key *k;
	struct err err = {0};
	enum status st = find_key(op, &p, &k, &err);

	return st == ST_OK ? (op->ans->status = st)
	                   : answer_fail(op->ans, st, "%s", err_text(&err, st));
}

static enum status encrypt_chunk(struct op *op, struct stream_visit *v)
{
	return chunk(op, STREAM_ENCRYPT, v);
}

static enum status decrypt_chunk(struct op *op, struct stream_visit *v)
{
	return chunk(op, STREAM_DECRYPT, v);
}

static enum status rewrap_chunk(struct op *op, struct stream_visit *v)
{
	return chunk(op, STREAM_REWRAP, v);
}

#define NDJSON "application/x-ndjson"

const struct stream_kind transit_encrypt_stream = {.content_type = NDJSON,
                                                   .state_n = sizeof(struct stream_state),
                                                   .item_max = LINE_MAX,
                                                   .chunk = encrypt_chunk,
                                                   .reserve = reserve};
const struct stream_kind transit_decrypt_stream = {.content_type = NDJSON,
                                                   .state_n = sizeof(struct stream_state),
                                                   .item_max = LINE_MAX,
                                                   .chunk = decrypt_chunk};
const struct stream_kind transit_rewrap_stream = {.content_type = NDJSON,
                                                  .state_n = sizeof(struct stream_state),
                                                  .item_max = LINE_MAX,
                                                  .chunk = rewrap_chunk,
                                                  .reserve = reserve};
