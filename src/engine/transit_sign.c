/*
 * sign, and the verifying of signatures.  Ed25519 signs the input itself; ECDSA and RSA its digest, which the caller may have made already (prehashed).
 */
#include <string.h>
#include <strings.h>

#include "engine/transit_signing.h"

/*
 * What one signature costs, about, in microseconds: on an EPYC, RSA without the vector instructions that newer ones have for it.  Working with the private key
 * of a type that is `slow` is for the pool at any rate.
 */
static const struct {
	uint32_t sign, verify;
} cost_us[KEY_TYPES] = {
    [KEY_ED25519] = {20, 60},  [KEY_P256] = {22, 62},     [KEY_P384] = {770, 650},
    [KEY_P521] = {260, 490},   [KEY_RSA2048] = {700, 20}, [KEY_RSA3072] = {2000, 40},
    [KEY_RSA4096] = {4500, 65}};

/* And the key of a context. */
#define DERIVE_US 40

/* What PKCS #1 v1.5 adds at least. */
#define PKCS1_BYTES 11

static enum status fail(struct signing_item *i, const char *text)
{
	i->error = (struct item_error){.text = text};
	return ST_INVALID;
}

static void fail_inside(struct signing_item *i, const char *text)
{
	i->error = (struct item_error){.text = text, .internal = true};
}

/* ---- the work ---- */

/* The key of the item: its version's own, or the one of its context, which is made. */
static enum status key_of(const struct signing *s, const struct signing_item *i, struct pkey **ret)
{
	struct err err = {0};

	if (i->version->pkey == NULL)
		return key_derive_ed25519(i->version, signing_bytes(&s->in, i->context), ret, &err);
	*ret = pkey_ref(i->version->pkey);
	return ST_OK;
}

/*
 * ECDSA signs any digest, and the reference does not ask how a caller made the one he sends: any algorithm of that length will do.
 */
static enum status how_of(const struct signing *s, struct signing_item *i, struct pkey_how *ret)
{
	*ret = s->how.pkey;
	/* OpenSSL would sign nothing, but not verify it. */
	if (ret->digest == PKEY_DIGEST_NONE && i->input.n == 0)
		return fail(i, "the input is empty");
	if (!s->how.any_digest)
		return ST_OK;
	for (size_t alg = 0; alg < DIGEST_ALG_COUNT; alg++) {
		ret->digest = (enum digest_alg)alg;
		if (digest_len(ret->digest) == i->input.n)
			return ST_OK;
	}
	return fail(i, "the input is no digest: one has 20, 28, 32, 48 or 64 bytes");
}

static enum status add_made(struct builder *b, struct span bytes, struct signing_part *ret)
{
	*ret = (struct signing_part){.at = b->n, .n = bytes.n};
	builder_add(b, bytes);
	return builder_status(b);
}

/* The public key of a context's key, which the caller cannot look up. */
static enum status add_public(struct signing *s, struct signing_item *i, const struct pkey *k)
{
	struct pkey_parts parts;
	enum status st = pkey_parts(k, &parts);

	if (st != ST_OK)
		return st;
	st = add_made(&s->out, parts.x, &i->public_key);
	pkey_parts_free(&parts);
	return st;
}

/* RSA signs no digest of another length than its algorithm's, and without one no input that is longer than the key has room for. */
static enum status check_length(const struct pkey_how *how, const struct pkey *k,
                                struct signing_item *i)
{
	const struct pkey_info *info = pkey_info(pkey_alg(k));

	if (info->kind != PKEY_KIND_RSA || how->input != PKEY_PREHASHED)
		return ST_OK;
	if (how->digest == PKEY_DIGEST_NONE)
		return i->input.n <= info->len - PKCS1_BYTES
		           ? ST_OK
		           : fail(i, "the input is too long for the key");
	return i->input.n == digest_len(how->digest)
	           ? ST_OK
	           : fail(i, "the input is no digest of hash_algorithm: its length differs");
}

static void sign_item(struct signing *s, struct signing_item *i)
{
	uint8_t sig[PKEY_SIG_MAX];
	struct pkey *k = NULL;
	struct pkey_how how;
	size_t n;
	enum status st = how_of(s, i, &how);

	if (st != ST_OK)
		return;
	st = key_of(s, i, &k);
	if (st == ST_OK && check_length(&how, k, i) != ST_OK)
		goto out;
	if (st == ST_OK)
		st = pkey_sign(k, &how, signing_bytes(&s->in, i->input), sig, &n);
	if (st == ST_OK)
		st = add_made(&s->out, span_of(sig, n), &i->made);
	if (st == ST_OK && i->version->pkey == NULL)
		st = add_public(s, i, k);
	if (st == ST_NOMEM)
		signing_no_memory(i);
	else if (st != ST_OK)
		fail_inside(i, "the signature could not be made");
out:
	pkey_unref(&k);
}

/* What ASN.1 has where two numbers are expected: a SEQUENCE of two INTEGERs. */
static enum status read_number(struct cursor *c)
{
	uint8_t tag, n;
	struct span number;

	if (cursor_u8(c, &tag) != ST_OK || tag != 0x02 || cursor_u8(c, &n) != ST_OK || n == 0 ||
	    n > 127 || cursor_span(c, n, &number) != ST_OK)
		return ST_INVALID;
	/* in the fewest bytes */
	if (n > 1 && (number.p[0] == 0 || number.p[0] == 0xff) &&
	    (number.p[0] ^ number.p[1]) < 0x80)
		return ST_INVALID;
	return ST_OK;
}

/* Its length: below 128 in one byte, else (P-521) in two. */
static enum status read_length(struct cursor *c, uint8_t *ret)
{
	if (cursor_u8(c, ret) != ST_OK)
		return ST_INVALID;
	if (*ret < 0x80)
		return ST_OK;
	return *ret == 0x81 && cursor_u8(c, ret) == ST_OK && *ret >= 0x80 ? ST_OK : ST_INVALID;
}

/* A signature that is none is told from one that is wrong, as the reference does. */
static enum status check_asn1(struct span sig, struct signing_item *i)
{
	struct cursor c = cursor_of(sig), numbers;
	struct span body;
	uint8_t tag, n;

	if (cursor_u8(&c, &tag) != ST_OK || tag != 0x30 || read_length(&c, &n) != ST_OK ||
	    cursor_span(&c, n, &body) != ST_OK)
		return fail(i, "supplied signature is invalid");
	numbers = cursor_of(body);
	if (read_number(&numbers) != ST_OK || read_number(&numbers) != ST_OK ||
	    cursor_end(&numbers) != ST_OK)
		return fail(i, "supplied signature is invalid");
	return cursor_end(&c) == ST_OK ? ST_OK : fail(i, "supplied signature contains extra data");
}

static void verify_item(struct signing *s, struct signing_item *i)
{
	const struct span given = signing_bytes(&s->in, i->given);
	struct pkey *k = NULL;
	struct pkey_how how;
	enum status st = how_of(s, i, &how);

	if (st != ST_OK || (s->how.asn1 && check_asn1(given, i) != ST_OK))
		return;
	st = key_of(s, i, &k);
	if (st == ST_OK)
		st = pkey_verify(k, &how, signing_bytes(&s->in, i->input), given);
	pkey_unref(&k);
	i->valid = st == ST_OK;
	/* No signature belongs to a digest of another length. */
	if (st == ST_NOMEM)
		signing_no_memory(i);
	else if (st != ST_OK && st != ST_DENIED && st != ST_INVALID)
		fail_inside(i, "the signature could not be verified");
}

/* ---- answers ---- */

static void put_signature(const struct signing *s, const struct signing_item *i,
                          struct builder *out)
{
	const struct span sig = signing_bytes(&s->out, i->made);

	builder_str(out, "\"signature\":\"");
	text_begin(out, s->transit->config.manner->prefix, i->version->number);
	if (s->how.url)
		builder_base64url(out, sig);
	else
		builder_base64(out, sig);
	builder_str(out, "\",\"key_version\":");
	builder_dec(out, i->version->number);
	if (i->public_key.n == 0)
		return;
	/* two names, as in the reference */
	builder_str(out, s->many ? ",\"publickey\":\"" : ",\"public_key\":\"");
	builder_base64(out, signing_bytes(&s->out, i->public_key));
	builder_u8(out, '"');
}

/* ---- parameters ---- */

static enum status hash_param(const struct op *op, struct pkey_how *how, struct err *err)
{
	struct span name;
	enum status st = signing_digest_name(op, &name, err);

	if (st != ST_OK)
		return st;
	if (span_eq_str(name, "none"))
		how->digest = PKEY_DIGEST_NONE;
	else if (digest_find(name, &how->digest) != ST_OK)
		return err_set(err, ST_INVALID, "invalid hash algorithm \"%.*s\"", (int)name.n,
		               (const char *)name.p);
	return ST_OK;
}

static enum status marshaling_param(const struct request *r, struct pkey_how *how, struct err *err)
{
	struct span name = span_str("asn1");
	enum status st = request_string(r, "marshaling_algorithm", &name, err);

	if (st != ST_OK && st != ST_NOT_FOUND)
		return st;
	if (span_eq_str(name, "jws"))
		how->form = PKEY_JWS;
	else if (!span_eq_str(name, "asn1"))
		return err_set(err, ST_INVALID, "invalid marshaling type \"%.*s\"", (int)name.n,
		               (const char *)name.p);
	return ST_OK;
}

static bool eq_any_case(struct span s, const char *word)
{
	return s.n == strlen(word) && strncasecmp((const char *)s.p, word, s.n) == 0;
}

/* Numbers stand for themselves, but for 0 and -1, which are the names (as in the reference). */
static enum status salt_param(const struct request *r, struct pkey_how *how, struct err *err)
{
	struct span text = span_str("auto");
	int64_t salt = PKEY_SALT_AUTO;
	enum status st = batch_text(r, "salt_length", &text, err);

	if (st != ST_OK)
		return st;
	if (eq_any_case(text, "hash"))
		salt = PKEY_SALT_HASH;
	else if (!eq_any_case(text, "auto") && request_int(r, "salt_length", &salt, NULL) != ST_OK)
		return err_set(err, ST_INVALID,
		               "salt length neither 'auto', 'hash', nor an int: %.*s", (int)text.n,
		               (const char *)text.p);
	if (salt < PKEY_SALT_HASH || salt > INT32_MAX)
		return err_set(err, ST_INVALID, "salt length is invalid: %lld", (long long)salt);
	how->salt = (int)salt;
	return ST_OK;
}

static enum status scheme_param(const struct request *r, enum key_family family,
                                struct pkey_how *how, struct err *err)
{
	struct span name = {0};
	enum status st = request_string(r, "signature_algorithm", &name, err);

	if (st != ST_OK && st != ST_NOT_FOUND)
		return st;
	if (span_eq_str(name, "pkcs1v15"))
		how->padding = PKEY_PKCS1;
	else if (family == FAMILY_RSA && name.n > 0 && !span_eq_str(name, "pss"))
		return err_set(err, ST_INVALID, "unsupported rsa signature algorithm %.*s",
		               (int)name.n, (const char *)name.p);
	return ST_OK;
}

static enum status how_params(const struct op *op, enum key_family family, struct pkey_how *how,
                              struct err *err)
{
	bool prehashed = false;
	enum status st = hash_param(op, how, err);

	if (st == ST_OK)
		st = marshaling_param(op->req, how, err);
	if (st == ST_OK)
		st = salt_param(op->req, how, err);
	if (st == ST_OK)
		st = scheme_param(op->req, family, how, err);
	if (st == ST_OK)
		st = request_bool(op->req, "prehashed", &prehashed, err);
	if (st != ST_OK && st != ST_NOT_FOUND)
		return st;
	how->input = prehashed ? PKEY_PREHASHED : PKEY_MESSAGE;
	if (how->digest == PKEY_DIGEST_NONE && (!prehashed || how->padding != PKEY_PKCS1))
		return err_set(err, ST_INVALID,
		               "hash_algorithm=none requires both prehashed=true and "
		               "signature_algorithm=pkcs1v15");
	return ST_OK;
}

/* What the parameters mean for a key of this type. */
static enum status how_begin(const struct op *op, const struct named_key *k, struct signing *s,
                             struct err *err)
{
	const enum key_family family = key_type_info(k->head.type)->family;
	struct signing_how *how = &s->how;
	enum status st = how_params(op, family, &how->pkey, err);

	if (st != ST_OK)
		return st;
	how->digest = how->pkey.digest == PKEY_DIGEST_NONE ? DIGEST_SHA2_256 : how->pkey.digest;
	if (family != FAMILY_RSA)
		how->pkey.digest = how->digest;
	how->url = how->pkey.form == PKEY_JWS;
	if (family == FAMILY_ED25519)
		how->pkey.input = PKEY_MESSAGE;
	how->any_digest = family == FAMILY_EC && how->pkey.input == PKEY_PREHASHED;
	how->asn1 = family == FAMILY_EC && how->pkey.form == PKEY_ASN1;
	return ST_OK;
}

/* A salt that does not fit the key is each item's error. */
static struct item_error salt_error(const struct named_key *k, struct signing *s)
{
	const struct key_type_info *info = key_type_info(k->head.type);
	const struct pkey_how *how = &s->how.pkey;
	size_t room = pkey_info(info->pkey)->len - 2 - digest_len(s->how.digest);
	struct builder b;

	if (info->family != FAMILY_RSA || how->padding != PKEY_PSS || how->salt <= (int)room)
		return (struct item_error){.text = NULL};
	builder_init_fixed(&b, s->text, sizeof s->text - 1);
	builder_fmt(&b, "requested salt length %d is invalid", how->salt);
	return (struct item_error){.text = s->text};
}

static enum status add_input(struct signing *s, const struct named_key *k,
                             const struct signing_ask *ask, struct signing_item *i)
{
	enum status st;

	if (ask->input.p == NULL && s->many)
		return fail(i, "missing input");
	s->cost_ns += signing_digest_cost(s->how.digest, ask->input.n / 4 * 3);
	s->cost_ns += k->head.derived ? DERIVE_US * 1000 : 0;
	st = signing_decode(s, ask->input, ITEM_BAD_INPUT, &i->input, i);
	if (st == ST_OK)
		st = signing_decode(s, ask->context, "failed to base64-decode context", &i->context,
		                    i);
	if (st == ST_OK && k->head.derived && i->context.n == 0)
		return fail(i, KEY_NO_CONTEXT_TEXT);
	return st;
}

/* ---- sign ---- */

static enum status begin_sign(struct op *op, const struct key_place *p, const struct named_key *k,
                              struct signing_asks *a, struct signing *s, struct err *err)
{
	const struct key_type_info *info = key_type_info(k->head.type);
	struct item_error salt;
	struct signing_ask ask;
	int64_t number = 0;
	enum status st = how_begin(op, k, s, err);

	if (st == ST_OK)
		st = request_int(op->req, "key_version", &number, err);
	if (st != ST_OK && st != ST_NOT_FOUND)
		return st;
	salt = salt_error(k, s);
	for (size_t n = 0; n < s->n; n++) {
		struct signing_item *i = &s->items[n];

		st = signing_next(a, &ask, err);
		if (st != ST_OK)
			return st;
		if (add_input(s, k, &ask, i) != ST_OK ||
		    signing_version(p, k, s, number, i) != ST_OK)
			continue;
		if (!i->version->has_private)
			(void)fail(i,
			           "requested version for signing does not contain a private part");
		else
			i->error = salt;
		s->cost_ns += cost_us[k->head.type].sign * 1000ul;
		s->for_pool = info->slow;
	}
	return ST_OK;
}

static const struct signing_kind signing = {
    .negative = "requested version for signing is negative",
    .above = "requested version for signing is higher than the latest key version",
    .below = "requested version for signing is less than the minimum encryption key version",
    .disabled = "this version of the key is disabled",
    .begin = begin_sign,
    .work = sign_item,
    .put = put_signature,
    .on_error = "\"key_version\":0,"};

static enum status find_key(const struct key_place *p, struct span name, const char *missing,
                            const char *refusal, const struct named_key **ret, struct err *err)
{
	enum status st = key_find(p, name, ret, err);

	if (st == ST_NOT_FOUND)
		return err_set(err, ST_INVALID, "%s", missing);
	if (st == ST_OK && !key_type_info((*ret)->head.type)->signs)
		return err_set(err, ST_INVALID, "key type %s does not support %s",
		               key_type_info((*ret)->head.type)->name, refusal);
	return st;
}

enum status transit_sign_op(struct op *op)
{
	struct key_place p = key_place_of(op);
	const struct named_key *k;
	struct signing_asks a;
	struct err err = {0};
	enum status st = find_key(&p, op->arg[0], "signing key not found", "signing", &k, &err);

	if (st == ST_OK)
		st = signing_asks(op, &a, &err);
	if (st != ST_OK)
		return answer_fail(op->ans, st, "%s", err_text(&err, st));
	return signing_call(op, &p, k, &signing, &a, &err);
}

/* ---- verify ---- */

static enum status add_signature(const struct key_place *p, const struct named_key *k,
                                 struct signing *s, struct span signature, struct signing_item *i)
{
	size_t before = s->in.n;
	struct span rest;
	int64_t number;
	enum status st = text_parse(signature, s->transit->config.manner->prefix, TEXT_SIGNATURE,
	                            &number, &rest, &i->error);

	if (st == ST_OK)
		st = signing_version(p, k, s, number, i);
	if (st != ST_OK)
		return st;
	if (!s->how.url)
		return signing_decode(s, rest, "invalid base64 signature value", &i->given, i);
	st = builder_unbase64url(&s->in, rest);
	if (st == ST_INVALID)
		return fail(i, "invalid base64 signature value");
	if (st != ST_OK) {
		signing_no_memory(i);
		return ST_INVALID;
	}
	i->given = (struct signing_part){.at = before, .n = s->in.n - before};
	return ST_OK;
}

static enum status begin_verify(struct op *op, const struct key_place *p, const struct named_key *k,
                                struct signing_asks *a, struct signing *s, struct err *err)
{
	struct item_error salt;
	struct signing_ask ask;
	enum status st = how_begin(op, k, s, err);

	if (st != ST_OK)
		return st;
	salt = salt_error(k, s);
	for (size_t n = 0; n < s->n; n++) {
		struct signing_item *i = &s->items[n];

		st = signing_next(a, &ask, err);
		if (st != ST_OK)
			return st;
		if (add_input(s, k, &ask, i) != ST_OK ||
		    add_signature(p, k, s, ask.signature, i) != ST_OK)
			continue;
		i->error = salt;
		s->cost_ns += cost_us[k->head.type].verify * 1000ul;
	}
	return ST_OK;
}

static const struct signing_kind verifying = {
    .above = "invalid signature: version is too new",
    .below = "ciphertext or signature version is disallowed by policy (too old)",
    .disabled = "this version of the key is disabled: its signatures are revoked",
    .begin = begin_verify,
    .work = verify_item,
    .put = signing_put_valid,
    .on_error = "\"valid\":false,"};

/* What is to be verified: signatures, or MACs; not some of each.  Of two, one of which says nothing, the other is meant. */
enum given { GIVEN_SIGNATURES, GIVEN_MACS };

static enum status what_is_given(struct signing_asks *a, enum given *ret, struct err *err)
{
	size_t signatures = 0, macs = 0, missing = 0;
	const char *why = NULL;
	struct signing_ask ask;

	for (size_t n = 0; n < a->n; n++) {
		enum status st = signing_next(a, &ask, err);

		if (st != ST_OK)
			return st;
		signatures +=
		    ask.signature.n > 0 || (ask.signature.p != NULL && ask.hmac.p == NULL);
		macs += ask.hmac.n > 0 || (ask.hmac.p != NULL && ask.signature.p == NULL);
		missing += ask.signature.p == NULL && ask.hmac.p == NULL;
	}
	signing_rewind(a);
	if (signatures > 0 && macs > 0)
		why = a->list == NULL
		          ? "provide one of 'signature' or 'hmac'"
		          : "elements of batch_input must all provide 'signature' or all "
		            "provide 'hmac'";
	else if (missing > 0 && a->list == NULL)
		why = "neither a 'signature' nor an 'hmac' were given to verify";
	else if (missing > 0 && signatures > 0)
		why = "some elements of batch_input are missing 'signature'";
	else if (missing > 0 && macs > 0)
		why = "some elements of batch_input are missing 'hmac'";
	else if (missing > 0)
		why = "no batch_input elements have 'signature' or 'hmac'";
	if (why != NULL)
		return err_set(err, ST_INVALID, "%s", why);
	*ret = macs > 0 ? GIVEN_MACS : GIVEN_SIGNATURES;
	return ST_OK;
}

enum status transit_verify_op(struct op *op)
{
	struct key_place p = key_place_of(op);
	const struct named_key *k;
	struct signing_asks a;
	enum given given = GIVEN_SIGNATURES;
	struct err err = {0};
	enum status st = signing_asks(op, &a, &err);

	if (st == ST_OK)
		st = what_is_given(&a, &given, &err);
	if (st == ST_OK && given == GIVEN_MACS)
		return transit_verify_mac(op, &a);
	if (st == ST_OK)
		st = find_key(&p, op->arg[0], "signature verification key not found",
		              "verification", &k, &err);
	if (st != ST_OK)
		return answer_fail(op->ans, st, "%s", err_text(&err, st));
	return signing_call(op, &p, k, &verifying, &a, &err);
}
