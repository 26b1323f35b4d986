/* What clients ask for beside their vaults: bits, policies of passphrases, the version, kinds of files. */
#include "engine/mime.h"
#include "engine/passphrase.h"
#include "engine/pwgen.h"
#include "engine/storedsafe_impl.h"

/* ---- bits ---- */

struct bit {
	const char *name;
	int number;
};

static void put_bits(struct json_writer *w, const char *name, const struct bit *bits, size_t n)
{
	json_name(w, name);
	json_begin_object(w);
	for (size_t i = 0; i < n; i++)
		json_put_int(w, bits[i].name, bits[i].number);
	json_end_object(w);
}

enum status storedsafe_statusvalues(struct op *op)
{
	static const struct bit user[] = {{"Read", 0},   {"Write", 1},   {"Admin", 2},
	                                  {"Audit", 3},  {"Escrow", 4},  {"Changepass", 6},
	                                  {"Active", 7}, {"UG-list", 8}, {"RADIUS", 11}};
	static const struct bit vault[] = {{"Read", 0}, {"Write", 1}, {"Admin", 2}};
	struct json_writer w;

	json_writer_init(&w, &op->ans->data);
	json_begin_object(&w);
	json_name(&w, "statusbits");
	json_begin_object(&w);
	put_bits(&w, "userbits", user, sizeof user / sizeof *user);
	put_bits(&w, "vaultbits", vault, sizeof vault / sizeof *vault);
	json_end_object(&w);
	json_end_object(&w);
	op->ans->shape = ANSWER_DATA;
	return op->ans->status = builder_status(&op->ans->data);
}

enum status storedsafe_version(struct op *op)
{
	const struct storedsafe *s = op->self;
	struct json_writer w;

	json_writer_init(&w, &op->ans->data);
	json_begin_object(&w);
	json_put_cstr(&w, "version", s->version);
	json_end_object(&w);
	op->ans->shape = ANSWER_DATA;
	return op->ans->status = builder_status(&op->ans->data);
}

/* ---- policies ---- */

enum status storedsafe_policies(struct op *op)
{
	size_t n;
	const struct passphrase_policy *p = passphrase_policies(&n);
	struct json_writer w;

	json_writer_init(&w, &op->ans->data);
	json_begin_object(&w);
	json_name(&w, "policies");
	json_begin_array(&w);
	for (size_t i = 0; i < n; i++) {
		json_begin_object(&w);
		json_put_uint(&w, "id", p[i].id);
		json_put_cstr(&w, "name", p[i].name);
		json_name(&w, "rules");
		json_begin_object(&w);
		for (size_t k = 0; k < p[i].n_rules; k++)
			json_put_uint(&w, passphrase_rule_name(&p[i].rules[k]),
			              p[i].rules[k].value);
		json_end_object(&w);
		json_end_object(&w);
	}
	json_end_array(&w);
	json_end_object(&w);
	op->ans->shape = ANSWER_DATA;
	return op->ans->status = builder_status(&op->ans->data);
}

/* By its number, by a vault that the caller may read, or the default. */
static enum status read_policy(struct op *op, const struct passphrase_policy **ret)
{
	struct span vault_id = {0};
	enum member_level level = LEVEL_ADMIN;
	int64_t id = PASSPHRASE_POLICY_DEFAULT;
	struct vault v;
	enum status by_id = request_int(op->req, "policyid", &id, &op->ans->err), by_vault;

	if (by_id != ST_OK && by_id != ST_NOT_FOUND)
		return op->ans->status = by_id;
	by_vault = request_string(op->req, "vaultid", &vault_id, &op->ans->err);
	if (by_vault != ST_OK && by_vault != ST_NOT_FOUND)
		return op->ans->status = by_vault;
	if (by_id == ST_OK && by_vault == ST_OK)
		return answer_fail(op->ans, ST_INVALID, "policyid and vaultid exclude each other");
	if (by_vault == ST_OK) {
		by_vault = vault_find(op, vault_id, &v, &op->ans->err);
		if (by_vault == ST_OK && op->caller->user != 0)
			by_vault =
			    member_level(op, vault_id, op->caller->user, &level, &op->ans->err);
		if (by_vault == ST_NOT_FOUND || level == LEVEL_NONE)
			return answer_fail(op->ans, ST_DENIED, "permission denied");
		if (by_vault != ST_OK)
			return op->ans->status = by_vault;
		id = v.policy;
	}
	*ret = id < 0 ? NULL : passphrase_policy((uint64_t)id);
	if (*ret == NULL)
		return answer_fail(op->ans, ST_INVALID, "there is no such policy");
	return ST_OK;
}

enum status storedsafe_checkpolicy(struct op *op)
{
	const struct passphrase_policy *p = NULL;
	struct span passphrase;
	struct json_writer w;
	bool valid = true;
	enum status st = request_string(op->req, "passphrase", &passphrase, &op->ans->err);

	if (st == ST_NOT_FOUND)
		return answer_fail(op->ans, ST_INVALID, "passphrase is missing");
	if (st != ST_OK)
		return op->ans->status = st;
	st = read_policy(op, &p);
	if (st != ST_OK)
		return st;
	json_writer_init(&w, &op->ans->data);
	json_begin_object(&w);
	json_put_cstr(&w, "policy_name", p->name);
	json_put_uint(&w, "policy_id", p->id);
	json_name(&w, "rules");
	json_begin_array(&w);
	for (size_t i = 0; i < p->n_rules; i++) {
		bool kept = passphrase_keeps(&p->rules[i], passphrase);

		valid = valid && kept;
		json_begin_object(&w);
		json_put_cstr(&w, "rule", passphrase_rule_name(&p->rules[i]));
		json_put_uint(&w, "value", p->rules[i].value);
		json_put_bool(&w, "valid", kept);
		json_end_object(&w);
	}
	json_end_array(&w);
	json_put_bool(&w, "passphrase_valid", valid);
	json_end_object(&w);
	op->ans->shape = ANSWER_DATA;
	return op->ans->status = builder_status(&op->ans->data);
}

/* ---- kinds of files ---- */

/* This thread's, made when it is first needed: few servers are ever asked. */
static enum status thread_mime(struct op *op, struct mime **ret)
{
	struct safe_thread *t = op->thread;
	enum status st = ST_OK;

	if (t->mime == NULL)
		st = mime_new(&t->mime, &op->ans->err);
	if (st == ST_OK)
		*ret = t->mime;
	return op->ans->status = st;
}

/* What a file is asked about by: its first bytes, and the extension with or without its dot. */
struct file_head {
	uint8_t bytes[BASE64_LEN(MIME_BYTES_MAX)];
	size_t n;
	struct span extension;
	int64_t size; /* -1: not told */
};

static enum status read_extension(struct op *op, struct span *ret)
{
	struct span s;
	enum status st = request_string(op->req, "extension", &s, &op->ans->err);

	if (st == ST_NOT_FOUND)
		return answer_fail(op->ans, ST_INVALID, "extension is missing");
	if (st != ST_OK)
		return op->ans->status = st;
	if (s.n > 0 && s.p[0] == '.')
		s = span_from(s, 1);
	if (s.n > MIME_EXTENSION_MAX)
		return answer_fail(op->ans, ST_INVALID, "extension has more than %d characters",
		                   MIME_EXTENSION_MAX);
	*ret = s;
	return ST_OK;
}

static enum status read_head(struct op *op, struct file_head *h)
{
	struct span text;
	enum status st = request_string(op->req, "data", &text, &op->ans->err);

	if (st == ST_NOT_FOUND)
		return answer_fail(op->ans, ST_INVALID, "data is missing");
	if (st != ST_OK)
		return op->ans->status = st;
	if (text.n > sizeof h->bytes || base64_decode(text, h->bytes, &h->n) != ST_OK ||
	    h->n > MIME_BYTES_MAX)
		return answer_fail(op->ans, ST_INVALID,
		                   "data must be the first %d bytes of the file, in base64",
		                   MIME_BYTES_MAX);
	return ST_OK;
}

static enum status read_file(struct op *op, struct file_head *h)
{
	enum status st = read_extension(op, &h->extension);

	if (st == ST_OK)
		st = read_head(op, h);
	if (st != ST_OK)
		return st;
	h->size = -1;
	st = request_int(op->req, "size", &h->size, &op->ans->err);
	if (st == ST_OK && h->size < 0)
		return answer_fail(op->ans, ST_INVALID, "size is out of range");
	return st == ST_NOT_FOUND ? ST_OK : (op->ans->status = st);
}

enum status storedsafe_mime_type(struct op *op)
{
	const struct storedsafe *s = op->self;
	struct mime *mime = NULL;
	struct json_writer w;
	struct file_head h;
	const char *type;
	enum status st = read_file(op, &h);

	if (st == ST_OK)
		st = thread_mime(op, &mime);
	if (st != ST_OK)
		return st;
	st = mime_of(mime, span_of(h.bytes, h.n), h.extension, &type, &op->ans->err);
	if (st != ST_OK)
		return op->ans->status = st;
	json_writer_init(&w, &op->ans->data);
	json_begin_object(&w);
	json_name(&w, "result");
	json_begin_object(&w);
	json_put_cstr(&w, "mimetype", type);
	if (h.size >= 0)
		json_put_int(&w, "size", h.size);
	json_put_uint(&w, "max_file_size", s->max_file_size);
	json_end_object(&w);
	json_end_object(&w);
	if (h.size >= 0 && (uint64_t)h.size > s->max_file_size)
		answer_warn(op->ans, "the file is larger than this server takes");
	op->ans->shape = ANSWER_DATA;
	return op->ans->status = builder_status(&op->ans->data);
}

/* ---- passphrases at random ---- */

/* A number among the parameters, in the query or the body; *ret stays when there is none. */
static enum status read_size(struct op *op, const char *name, size_t *ret)
{
	int64_t n;
	enum status st = request_int(op->req, name, &n, &op->ans->err);

	if (st == ST_NOT_FOUND)
		return ST_OK;
	if (st != ST_OK)
		return op->ans->status = st;
	if (n < 0 || n > UINT16_MAX)
		return answer_fail(op->ans, ST_INVALID, "%s is out of range", name);
	*ret = (size_t)n;
	return ST_OK;
}

/* Under either of two names: one is how a client spells the other. */
static enum status read_delimiter(struct op *op, struct span *ret)
{
	enum status st = request_string(op->req, "delimiter", ret, &op->ans->err);

	if (st == ST_NOT_FOUND)
		st = request_string(op->req, "delimeter", ret, &op->ans->err);
	return st == ST_NOT_FOUND ? ST_OK : (op->ans->status = st);
}

static enum status read_language(struct op *op)
{
	struct span language = span_str("en_US");
	enum status st = request_string(op->req, "language", &language, &op->ans->err);

	if (st != ST_OK && st != ST_NOT_FOUND)
		return op->ans->status = st;
	if (!span_eq_str(language, "en_US"))
		return answer_fail(op->ans, ST_INVALID, "there are words for language en_US only");
	return ST_OK;
}

static enum status read_type(struct op *op, enum pwgen_type *ret)
{
	struct span name = span_str("secure");
	enum status st = request_string(op->req, "type", &name, &op->ans->err);

	if (st != ST_OK && st != ST_NOT_FOUND)
		return op->ans->status = st;
	if (pwgen_type_find(name, ret) != ST_OK)
		return answer_fail(
		    op->ans, ST_INVALID,
		    "type must be pronounceable, diceword, opie, secure, bytes or pin");
	return ST_OK;
}

/* A policy is kept by passphrases of letters, digits and signs alone. */
static enum status read_pwgen_policy(struct op *op, struct pwgen *p)
{
	int64_t id;
	enum status st = request_int(op->req, "policyid", &id, &op->ans->err);

	if (st == ST_NOT_FOUND)
		return ST_OK;
	if (st != ST_OK)
		return op->ans->status = st;
	p->policy = id < 0 ? NULL : passphrase_policy((uint64_t)id);
	if (p->policy == NULL)
		return answer_fail(op->ans, ST_INVALID, "there is no such policy");
	if (p->type != PWGEN_SECURE)
		return answer_fail(op->ans, ST_INVALID, "policyid goes with type secure");
	return ST_OK;
}

static enum status read_pwgen(struct op *op, struct pwgen *p)
{
	enum pwgen_type type = PWGEN_SECURE;
	enum status st = read_type(op, &type);

	if (st != ST_OK)
		return st;
	*p = pwgen_default(type);
	st = read_size(op, "length", &p->length);
	if (st == ST_OK)
		st = read_size(op, "words", &p->words);
	if (st == ST_OK)
		st = read_size(op, "min_char", &p->min_char);
	if (st == ST_OK)
		st = read_size(op, "max_char", &p->max_char);
	if (st == ST_OK)
		st = read_delimiter(op, &p->delimiter);
	if (st == ST_OK)
		st = read_language(op);
	return st == ST_OK ? read_pwgen_policy(op, p) : st;
}

enum status storedsafe_pwgen(struct op *op)
{
	struct builder made = {0};
	struct json_writer w;
	struct pwgen p;
	enum status st = read_pwgen(op, &p);

	if (st != ST_OK)
		return st;
	st = pwgen_make(&p, op->random, &made, &op->ans->err);
	if (st == ST_OK) {
		json_writer_init(&w, &op->ans->data);
		json_begin_object(&w);
		json_put_string(&w, "passphrase", builder_span(&made));
		json_put_uint(&w, "length", p.type == PWGEN_BYTES ? p.length : made.n);
		json_put_cstr(&w, "type", pwgen_type_name(p.type));
		json_end_object(&w);
		op->ans->shape = ANSWER_DATA;
		st = builder_status(&op->ans->data);
	}
	builder_free(&made);
	return op->ans->status = st;
}
