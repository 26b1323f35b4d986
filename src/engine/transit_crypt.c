/*
 * A symmetric ciphertext is nonce, encrypted text and tag; of types that authenticate nothing, IV and encrypted text.
 * Keys of contexts are derived by HKDF-SHA256 with the context as info; convergent ones take 32 bytes more, under which HMAC-SHA256 of the plaintext gives the nonce: byte for byte what the reference computes (its convergent version 3).
 * With associated data the nonce comes from another derived key and from both, since one nonce for two associated data would
 * give the authentication key away; the reference lets that happen.
 */
#include "engine/transit_crypt_impl.h"

#include <string.h>

#include "crypto/kdf.h"
#include "crypto/ofb.h"
#include "crypto/pkey_crypt.h"
#include "engine/transit_impl.h"

#define CONVERGENT_LEN 32
#define TOO_OLD_TEXT   "ciphertext or signature version is disallowed by policy (too old)"

/* Why a ciphertext cannot be decrypted, where it may be that it was made up. */
static enum status unreadable(struct item_error *e, const char *text)
{
	*e = (struct item_error){.text = text, .unreadable = true};
	return ST_INVALID;
}

static enum status no_answer(struct item_error *e)
{
	*e = (struct item_error){
	    .text = "no memory for the answer", .internal = true, .starved = true};
	return ST_INVALID;
}

static enum status no_memory(struct item_error *e)
{
	*e = (struct item_error){.text = "out of memory", .internal = true, .starved = true};
	return ST_INVALID;
}

/* ---- a run ---- */

void crypt_begin(struct crypt *c, const struct key_place *place, const struct named_key *k,
                 const char *prefix)
{
	c->place = place;
	c->key = k;
	c->head = &k->head;
	c->prefix = prefix;
}

static void count_decrypted(struct crypt *c)
{
	if (c->decrypted > 0)
		uses_decrypted(c->from->uses, c->decrypted, uses_day(c->place->now_ns));
	c->decrypted = 0;
}

static void drop_derived(struct crypt *c)
{
	if (c->derived_key != NULL)
		aead_key_clear(&c->derived_key);
	builder_reset(&c->derived_context);
	key_version_unref(&c->derived_of);
}

void crypt_end(struct crypt *c)
{
	count_decrypted(c);
	crypt_give_back_claims(c);
	drop_derived(c);
	key_version_unref(&c->from);
	key_version_unref(&c->to);
	secret_free(&c->derived);
	builder_free(&c->derived_context);
	builder_free(&c->text);
	builder_free(&c->context);
	builder_free(&c->aad);
	wipe(c->nonces, sizeof c->nonces);
	c->nonces_left = 0;
}

/* Version `number` into *at, which is c->from or c->to. */
enum status crypt_find_version(struct crypt *c, uint32_t number, const struct key_version **at,
                               struct item_error *e)
{
	const struct key_version *v = NULL;
	struct err err = {0};
	enum status st;

	if (*at != NULL && (*at)->number == number)
		return ST_OK;
	if (at == &c->from)
		count_decrypted(c);
	st = key_get_version(c->place, c->key, number, &v, &err);
	if (st == ST_NOT_FOUND)
		return item_fail(e, "no such key version");
	if (st == ST_NOMEM)
		return no_memory(e);
	if (st != ST_OK)
		return item_fail_inside(e, "the key version cannot be read");
	key_version_unref(at);
	*at = key_version_ref(v);
	if (at == &c->to) {
		struct builder b;

		builder_init_fixed(&b, c->begin, sizeof c->begin);
		text_begin(&b, c->prefix, number);
		MUST(builder_status(&b) == ST_OK);
		c->begin_n = b.n;
	}
	return ST_OK;
}

/* ---- keys and nonces ---- */

static bool is_strict(const struct crypt *c)
{
	return c->place->transit->config.manner->strict;
}

static enum status unbase64(const struct crypt *c, struct span text, struct builder *b,
                            struct item_error *e)
{
	size_t at = is_strict(c) ? text_line_end(text) : text.n;

	if (at == text.n)
		return text_unbase64(text, b, e);
	*e = (struct item_error){.text = ITEM_BAD_BASE64, .at = at};
	return ST_INVALID;
}

static enum status decode(const struct crypt *c, struct span text, struct builder *b,
                          struct item_error *e)
{
	builder_rewind(b);
	return text.n == 0 ? ST_OK : unbase64(c, text, b, e);
}

static enum status derive(struct crypt *c, const struct key_version *v, struct item_error *e)
{
	const struct key_type_info *info = key_type_info(c->head->type);
	struct span context = builder_span(&c->context), key;

	if (c->derived_of == v && c->derived_key != NULL &&
	    span_eq(builder_span(&c->derived_context), context))
		return ST_OK;
	drop_derived(c);
	if (c->derived == NULL && secret_new(info->key_len + CONVERGENT_LEN, &c->derived) != ST_OK)
		return no_memory(e);
	if (c->derived_room == NULL)
		c->derived_room = view_alloc64(c->place->view, aead_key_size(info->aead));
	if (c->derived_room == NULL)
		return no_memory(e);
	hkdf_sha256(secret_span(v->material), span_of(NULL, 0), context, c->derived);
	key = span_of(secret_bytes(c->derived), info->key_len);
	if (aead_key_place(info->aead, key, c->derived_room, &c->derived_key) != ST_OK)
		return no_memory(e);
	builder_add(&c->derived_context, context);
	if (builder_status(&c->derived_context) != ST_OK)
		return no_memory(e);
	c->derived_of = key_version_ref(v);
	return ST_OK;
}

/* The cipher's key for this item: the version's own, or derived from it. */
static enum status aead_for(struct crypt *c, const struct key_version *v,
                            const struct crypt_item *i, const struct aead_key **ret,
                            struct item_error *e)
{
	enum status st;

	if (!c->head->derived) {
		*ret = v->aead;
		return ST_OK;
	}
	if (i->context.n == 0)
		return item_fail(e, KEY_NO_CONTEXT_TEXT);
	st = decode(c, i->context, &c->context, e);
	if (st == ST_OK)
		st = derive(c, v, e);
	if (st == ST_OK)
		*ret = c->derived_key;
	return st;
}

/* Of n random bytes; drawn for many items at once, as many as were claimed. */
static struct span random_nonce(struct crypt *c, size_t n)
{
	if (c->nonces_left < n) {
		size_t items =
		    c->claims < sizeof c->nonces / n ? (size_t)c->claims + 1 : sizeof c->nonces / n;

		if (items > sizeof c->nonces / n)
			items = sizeof c->nonces / n;
		c->nonces_left = items * n;
		random_fill(c->place->random, c->nonces, c->nonces_left);
	}
	c->nonces_left -= n;
	return span_of(c->nonces + c->nonces_left, n);
}

static void put_u64(uint8_t out[static 8], uint64_t v)
{
	for (size_t i = 0; i < 8; i++)
		out[i] = (uint8_t)(v >> (8 * (7 - i)));
}

/* From the plaintext, so that the same text under the same context gives the same ciphertext. */
static enum status convergent_nonce(struct crypt *c, struct span plain,
                                    uint8_t ret[static SHA256_LEN], struct item_error *e)
{
	static const char label[] = "convergent, with associated data";
	size_t key_len = key_type_info(c->head->type)->key_len;
	struct span base = span_of(secret_bytes(c->derived) + key_len, CONVERGENT_LEN);
	struct span parts[3] = {span_str(label)};
	struct hmac_key *k = NULL;
	uint8_t other[SHA256_LEN], length[8];
	enum status st = hmac_key_new(base, &k);

	if (st == ST_OK && c->aad.n == 0) {
		hmac_sha256(k, &plain, 1, ret);
	} else if (st == ST_OK) {
		hmac_sha256(k, parts, 1, other);
		hmac_key_free(&k);
		st = hmac_key_new(span_of(other, sizeof other), &k);
		put_u64(length, c->aad.n);
		parts[0] = span_of(length, sizeof length);
		parts[1] = builder_span(&c->aad);
		parts[2] = plain;
		if (st == ST_OK)
			hmac_sha256(k, parts, 3, ret);
	}
	hmac_key_free(&k);
	wipe(other, sizeof other);
	return st == ST_OK ? st : no_memory(e);
}

/* ---- encrypting ---- */

static enum status target_version(const struct crypt *c, const struct crypt_item *i, uint32_t *ret,
                                  struct item_error *e)
{
	const struct key_head *h = c->head;

	if (h->soft_deleted)
		return item_fail(e, KEY_SOFT_DELETED_TEXT);
	if (i->key_version < 0)
		return item_fail(e, "requested version for encryption is negative");
	if (i->key_version > h->latest)
		return item_fail(
		    e, "requested version for encryption is higher than the latest key version");
	if (i->key_version != 0 && i->key_version < h->min_encryption)
		return item_fail(
		    e, "requested version for encryption is less than the minimum encryption key "
		       "version");
	*ret = i->key_version == 0 ? h->latest : (uint32_t)i->key_version;
	return ST_OK;
}

/* c->text: room for a nonce, then the plaintext.  From there to a ciphertext, in place, and on to its base64. */
static enum status seal_text(struct crypt *c, const struct crypt_item *i, size_t nonce_len,
                             struct builder *out, struct item_error *e)
{
	struct span plain = span_from(builder_span(&c->text), nonce_len), nonce;
	uint8_t sum[SHA256_LEN], *at = c->text.p;
	const struct aead_key *key;
	enum status st = aead_for(c, c->to, i, &key, e);

	if (st == ST_OK && c->head->convergent)
		st = convergent_nonce(c, plain, sum, e);
	if (st != ST_OK)
		return st;
	nonce = c->head->convergent ? span_of(sum, nonce_len) : random_nonce(c, nonce_len);
	if (builder_room(&c->text, AEAD_TAG_LEN) == NULL)
		return no_memory(e);
	at = c->text.p;
	memcpy(at, nonce.p, nonce_len);
	st = aead_seal(key, nonce, builder_span(&c->aad), span_of(at + nonce_len, plain.n),
	               at + nonce_len);
	builder_took(&c->text, AEAD_TAG_LEN);
	if (st == ST_LIMIT)
		return item_fail(e, "the plaintext is too long");
	if (st != ST_OK)
		return st == ST_NOMEM ? no_memory(e) : item_fail_inside(e, "encryption failed");
	builder_add(out, span_of(c->begin, c->begin_n));
	builder_base64(out, builder_span(&c->text));
	return ST_OK;
}

/* As seal_text, of a type without tag and associated data. */
static enum status mask_text(struct crypt *c, struct builder *out, struct item_error *e)
{
	struct span iv = random_nonce(c, OFB_IV_LEN);
	uint8_t *at = c->text.p + OFB_IV_LEN;
	enum status st;

	memcpy(c->text.p, iv.p, OFB_IV_LEN);
	st = ofb_crypt(c->to->ofb, c->text.p, span_of(at, c->text.n - OFB_IV_LEN), at);
	if (st == ST_LIMIT)
		return item_fail(e, "the plaintext is too long");
	if (st != ST_OK)
		return st == ST_NOMEM ? no_memory(e) : item_fail_inside(e, "encryption failed");
	builder_add(out, span_of(c->begin, c->begin_n));
	builder_base64(out, builder_span(&c->text));
	return ST_OK;
}

static enum status encrypt_rsa(struct crypt *c, struct builder *out, struct item_error *e)
{
	uint8_t sealed[PKEY_CRYPT_MAX];
	size_t n;
	enum status st =
	    pkey_encrypt(c->to->pkey, DIGEST_SHA2_256, builder_span(&c->text), sealed, &n);

	if (st == ST_OK) {
		builder_add(out, span_of(c->begin, c->begin_n));
		builder_base64(out, span_of(sealed, n));
	}
	if (st == ST_LIMIT)
		return item_fail(e, "the plaintext is too long for the key");
	return st == ST_OK ? st : item_fail_inside(e, "encryption failed");
}

/* How many bytes stand before the text while it is encrypted. */
static size_t nonce_len(const struct crypt *c)
{
	const struct key_type_info *info = key_type_info(c->head->type);

	if (info->family == FAMILY_AEAD)
		return aead_info(info->aead)->nonce_len;
	return info->family == FAMILY_OFB ? OFB_IV_LEN : 0;
}

/* Room for the nonce; the plaintext is added behind it. */
static enum status begin_text(struct crypt *c, struct item_error *e)
{
	size_t n = nonce_len(c);

	builder_rewind(&c->text);
	if (n == 0)
		return ST_OK;
	if (builder_room(&c->text, n) == NULL)
		return no_memory(e);
	builder_took(&c->text, n);
	return ST_OK;
}

static enum status no_aad(const struct key_type_info *info, struct item_error *e)
{
	return item_fail(e, info->family == FAMILY_OFB
	                        ? "associated data needs a key type that authenticates"
	                        : "associated data is not supported by this type of key");
}

/* Of what stands in c->text, under c->to. */
static enum status encrypt_text(struct crypt *c, const struct crypt_item *i, struct builder *out,
                                uint32_t *ret_version, struct item_error *e)
{
	const struct key_type_info *info = key_type_info(c->head->type);
	size_t before = out->n;
	enum status st;

	if (c->to->state != VERSION_USABLE)
		return item_fail(e, "this version of the key is disabled");
	if (i->aad.n > 0 && info->family != FAMILY_AEAD)
		return no_aad(info, e);
	st = decode(c, i->aad, &c->aad, e);
	if (st == ST_OK)
		st = crypt_take_claim(c, e);
	if (st != ST_OK)
		return st;
	if (info->family == FAMILY_AEAD)
		st = seal_text(c, i, nonce_len(c), out, e);
	else if (info->family == FAMILY_OFB)
		st = mask_text(c, out, e);
	else
		st = encrypt_rsa(c, out, e);
	if (st == ST_OK && builder_status(out) != ST_OK)
		st = no_answer(e);
	if (st == ST_OK) {
		*ret_version = c->to->number;
		return st;
	}
	builder_cut(out, before);
	uses_return(c->to->uses, 1); /* nothing was encrypted, or nobody gets it */
	return st;
}

static enum status begin_encrypt(struct crypt *c, const struct crypt_item *i, struct item_error *e)
{
	uint32_t number;
	enum status st;

	if (!key_type_info(c->head->type)->encrypts)
		return item_fail(e, "message encryption not supported for key type");
	st = target_version(c, i, &number, e);
	if (st == ST_OK)
		st = crypt_find_version(c, number, &c->to, e);
	return st == ST_OK ? begin_text(c, e) : st;
}

enum status crypt_encrypt(struct crypt *c, const struct crypt_item *i, struct builder *out,
                          uint32_t *ret_version, struct item_error *ret_error)
{
	enum status st = begin_encrypt(c, i, ret_error);

	if (st == ST_OK && i->plaintext.n > 0)
		st = unbase64(c, i->plaintext, &c->text, ret_error);
	return st == ST_OK ? encrypt_text(c, i, out, ret_version, ret_error) : st;
}

enum status crypt_encrypt_bytes(struct crypt *c, const struct crypt_item *i, struct span plain,
                                struct builder *out, uint32_t *ret_version,
                                struct item_error *ret_error)
{
	enum status st = begin_encrypt(c, i, ret_error);

	if (st != ST_OK)
		return st;
	builder_add(&c->text, plain);
	if (builder_status(&c->text) != ST_OK)
		return no_memory(ret_error);
	return encrypt_text(c, i, out, ret_version, ret_error);
}

/* ---- decrypting ---- */

/* Which version, and the rest of the text decoded into c->text. */
static enum status begin_decrypt(struct crypt *c, const struct crypt_item *i, struct item_error *e)
{
	const struct key_head *h = c->head;
	struct span rest;
	int64_t version;
	enum status st;

	if (h->soft_deleted)
		return item_fail(e, KEY_SOFT_DELETED_TEXT);
	if (!key_type_info(h->type)->encrypts)
		return item_fail(e, "message decryption not supported for key type");
	st = text_parse(i->ciphertext, c->prefix, TEXT_CIPHERTEXT, &version, &rest, e);
	if (st != ST_OK)
		return unreadable(e, e->text);
	if (is_strict(c) && !text_is_ours(i->ciphertext, c->prefix, version))
		return unreadable(e, "invalid ciphertext: not as it was given out");
	if (version > h->latest)
		return unreadable(e, "invalid ciphertext: version is too new");
	if (version < h->min_decryption) /* below 1 there never was one */
		return version < 1 ? unreadable(e, TOO_OLD_TEXT) : item_fail(e, TOO_OLD_TEXT);
	st = crypt_find_version(c, (uint32_t)version, &c->from, e);
	e->unreadable = st != ST_OK && !e->internal;
	if (st != ST_OK)
		return st;
	builder_rewind(&c->text);
	st = text_unbase64(rest, &c->text, e);
	if (st != ST_OK && !e->internal)
		return unreadable(e, "invalid ciphertext: could not decode base64");
	return st;
}

static enum status open_text(struct crypt *c, const struct crypt_item *i, struct span *ret_plain,
                             struct item_error *e)
{
	size_t n = nonce_len(c);
	const struct aead_key *key;
	struct span nonce, sealed;
	enum status st;

	if (c->text.n < n)
		return unreadable(e, "invalid ciphertext length");
	st = decode(c, i->aad, &c->aad, e);
	if (st == ST_OK)
		st = aead_for(c, c->from, i, &key, e);
	if (st != ST_OK)
		return st;
	nonce = span_of(c->text.p, n);
	sealed = span_from(builder_span(&c->text), n);
	st = sealed.n < AEAD_TAG_LEN
	         ? ST_CORRUPT
	         : aead_open(key, nonce, builder_span(&c->aad), sealed, c->text.p + n);
	if (st != ST_OK)
		return st == ST_NOMEM ? no_memory(e)
		                      : unreadable(e, "cipher: message authentication failed");
	*ret_plain = span_of(c->text.p + n, sealed.n - AEAD_TAG_LEN);
	return ST_OK;
}

/* Nothing says whether it is what was encrypted: anything long enough is a ciphertext. */
static enum status unmask_text(struct crypt *c, struct span *ret_plain, struct item_error *e)
{
	uint8_t *at = c->text.p + OFB_IV_LEN;
	struct span masked;

	if (c->text.n < OFB_IV_LEN)
		return unreadable(e, "invalid ciphertext length");
	masked = span_of(at, c->text.n - OFB_IV_LEN);
	if (ofb_crypt(c->from->ofb, c->text.p, masked, at) != ST_OK)
		return item_fail_inside(e, "decryption failed");
	*ret_plain = masked;
	return ST_OK;
}

/* What the pool made of it takes the ciphertext's place. */
static enum status open_rsa(struct crypt *c, struct span *ret_plain, struct item_error *e)
{
	if (!c->from->has_private)
		return item_fail(
		    e,
		    "cannot decrypt ciphertext, key version does not have a private counterpart");
	MUST(c->opened != NULL);
	if (c->opened->plain == NULL) {
		*e = c->opened->error;
		return ST_INVALID;
	}
	builder_reset(&c->text);
	builder_add(&c->text, secret_span(c->opened->plain));
	if (builder_status(&c->text) != ST_OK)
		return no_memory(e);
	*ret_plain = builder_span(&c->text);
	return ST_OK;
}

/* From c->text, under c->from. */
static enum status open_item(struct crypt *c, const struct crypt_item *i, struct span *ret_plain,
                             struct item_error *e)
{
	const struct key_type_info *info = key_type_info(c->head->type);
	enum status st;

	if (c->from->state == VERSION_DESTROYED)
		return item_fail(e, "this version of the key was destroyed");
	if (info->family == FAMILY_AEAD)
		st = open_text(c, i, ret_plain, e);
	else if (i->aad.n > 0)
		return no_aad(info, e);
	else if (info->family == FAMILY_OFB)
		st = unmask_text(c, ret_plain, e);
	else
		st = open_rsa(c, ret_plain, e);
	if (st == ST_OK)
		c->decrypted++;
	return st;
}

enum status crypt_decrypt(struct crypt *c, const struct crypt_item *i, struct builder *out,
                          struct item_error *ret_error)
{
	size_t before = out->n;
	struct span plain;
	enum status st = begin_decrypt(c, i, ret_error);

	if (st != ST_OK)
		return st;
	if (c->from->rewrap_only)
		return item_fail(ret_error,
		                 "this version of the key may only be rewrapped: rewrap the "
		                 "ciphertext, then decrypt it");
	if (c->from->state == VERSION_DISABLED)
		return item_fail(ret_error,
		                 "this version of the key is disabled: its ciphertext is revoked");
	st = open_item(c, i, &plain, ret_error);
	if (st != ST_OK)
		return st;
	builder_base64(out, plain);
	if (builder_status(out) == ST_OK)
		return ST_OK;
	builder_cut(out, before);
	return no_answer(ret_error);
}

/* ---- rewrapping ---- */

/* The plaintext stays where the nonce of the new ciphertext leaves it; RSA has none. */
static enum status again(struct crypt *c, const struct crypt_item *i, struct builder *out,
                         uint32_t to, uint32_t *ret_version, struct item_error *e)
{
	size_t tag = key_type_info(c->head->type)->family == FAMILY_AEAD ? AEAD_TAG_LEN : 0;
	enum status st;

	builder_cut(&c->text, c->text.n - tag);
	st = crypt_find_version(c, to, &c->to, e);
	return st == ST_OK ? encrypt_text(c, i, out, ret_version, e) : st;
}

enum status crypt_rewrap(struct crypt *c, const struct crypt_item *i, enum crypt_current how,
                         struct builder *out, uint32_t *ret_version, bool *ret_rewrapped,
                         struct item_error *ret_error)
{
	size_t before = out->n;
	uint32_t to = 0;
	struct span plain;
	enum status st = begin_decrypt(c, i, ret_error);

	if (st == ST_OK)
		st = target_version(c, i, &to, ret_error);
	if (st != ST_OK)
		return st;
	if (c->from->state == VERSION_DISABLED && !c->from->rewrap_only)
		return item_fail(ret_error,
		                 "this version of the key is disabled: its ciphertext is revoked");
	st = open_item(c, i, &plain, ret_error);
	if (st != ST_OK)
		return st;
	if (how == KEEP_CURRENT && to == c->from->number) {
		builder_add(out, i->ciphertext);
		if (builder_status(out) != ST_OK) {
			builder_cut(out, before);
			return no_answer(ret_error);
		}
		*ret_version = to;
		*ret_rewrapped = false;
		return ST_OK;
	}
	st = again(c, i, out, to, ret_version, ret_error);
	if (st == ST_OK)
		*ret_rewrapped = true;
	return st;
}

/* ---- signing keys of contexts ---- */

enum status key_ed25519(struct span seed, struct pkey **ret)
{
	const struct pkey_parts parts = {.d = seed};

	return pkey_from_parts(PKEY_ED25519, &parts, PKEY_TRUSTED, ret);
}

enum status key_derive_ed25519(const struct key_version *v, struct span context, struct pkey **ret,
                               struct err *err)
{
	struct secret *seed = NULL;
	enum status st = secret_new(KEY_SEED_LEN, &seed);

	if (st == ST_OK) {
		hkdf_sha256(secret_span(v->material), span_of(NULL, 0), context, seed);
		st = key_ed25519(secret_span(seed), ret);
	}
	secret_free(&seed);
	return st == ST_OK ? st : err_set(err, st, "the key of the context could not be made");
}
