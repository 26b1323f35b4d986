/* The shelf of OpenSSL contexts of a key. */
#include <openssl/err.h>
#include <openssl/rsa.h>

#include "crypto/digest_evp.h"
#include "crypto/pkey_impl.h"

static bool use_equal(const struct pkey_use *a, const struct pkey_use *b)
{
	return a->op == b->op && a->padding == b->padding && a->digest == b->digest &&
	       a->salt_len == b->salt_len;
}

static void ctx_free(struct pkey_ctx *c)
{
	if (c == NULL)
		return;
	EVP_PKEY_CTX_free(c->evp);
	secret_release(c);
}

/* ------------------------------------------------------------ setting one up */

static int begin(EVP_PKEY_CTX *c, enum pkey_op op)
{
	switch (op) {
	case OP_SIGN:
		return EVP_PKEY_sign_init(c);
	case OP_VERIFY:
		return EVP_PKEY_verify_init(c);
	case OP_ENCRYPT:
		return EVP_PKEY_encrypt_init(c);
	case OP_DECRYPT:
		return EVP_PKEY_decrypt_init(c);
	}
	MUST(false);
	return 0;
}

static bool set_pss(EVP_PKEY_CTX *c, const struct pkey_use *use)
{
	const EVP_MD *md = digest_evp(use->digest);

	return EVP_PKEY_CTX_set_rsa_padding(c, RSA_PKCS1_PSS_PADDING) == 1 &&
	       EVP_PKEY_CTX_set_signature_md(c, md) == 1 &&
	       EVP_PKEY_CTX_set_rsa_mgf1_md(c, md) == 1 &&
	       EVP_PKEY_CTX_set_rsa_pss_saltlen(c, use->salt_len) == 1;
}

static bool set_pkcs1(EVP_PKEY_CTX *c, const struct pkey_use *use)
{
	return EVP_PKEY_CTX_set_rsa_padding(c, RSA_PKCS1_PADDING) == 1 &&
	       (use->digest == DIGEST_ALG_COUNT ||
	        EVP_PKEY_CTX_set_signature_md(c, digest_evp(use->digest)) == 1);
}

/* MGF1 runs on the same digest; no label. */
static bool set_oaep(EVP_PKEY_CTX *c, const struct pkey_use *use)
{
	const EVP_MD *md = digest_evp(use->digest);

	return EVP_PKEY_CTX_set_rsa_padding(c, RSA_PKCS1_OAEP_PADDING) == 1 &&
	       EVP_PKEY_CTX_set_rsa_oaep_md(c, md) == 1 && EVP_PKEY_CTX_set_rsa_mgf1_md(c, md) == 1;
}

static bool set_padding(EVP_PKEY_CTX *c, const struct pkey_use *use)
{
	switch (use->padding) {
	case PADDING_NONE:
		return true;
	case PADDING_PKCS1:
		return set_pkcs1(c, use);
	case PADDING_PSS:
		return set_pss(c, use);
	case PADDING_OAEP:
		return set_oaep(c, use);
	}
	MUST(false);
	return false;
}

/*
 * The object that a context works on, a reference.  For RSA's private operations each context has its own: what OpenSSL keeps in it to blind them would be shared, and
 * if memory ran out while it is renewed, all that follows would come out wrong.
 */
static EVP_PKEY *ctx_key(const struct pkey *k, enum pkey_op op)
{
	if (pkey_info(k->alg)->kind == PKEY_KIND_RSA && (op == OP_SIGN || op == OP_DECRYPT))
		return EVP_PKEY_dup(k->evp);
	return EVP_PKEY_up_ref(k->evp) == 1 ? k->evp : NULL;
}

static EVP_PKEY_CTX *ctx_evp(const struct pkey *k, enum pkey_op op)
{
	EVP_PKEY *key = ctx_key(k, op);
	EVP_PKEY_CTX *c = key != NULL ? EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL) : NULL;

	/* The context holds on to it. */
	EVP_PKEY_free(key);
	return c;
}

static enum status ctx_new(const struct pkey *k, const struct pkey_use *use, struct pkey_ctx **ret)
{
	struct pkey_ctx *c = secret_alloc(sizeof(struct pkey_ctx));
	bool good;

	if (c == NULL)
		return ST_NOMEM;
	/* A digest that could not be fetched was memory that could not be had. */
	if (use->digest != DIGEST_ALG_COUNT && digest_evp(use->digest) == NULL)
		goto nomem;
	c->use = *use;
	c->evp = ctx_evp(k, use->op);
	if (c->evp == NULL)
		goto nomem;
	good = begin(c->evp, use->op) == 1 && set_padding(c->evp, use);
	/* Some of these say that all is well when they could not do what they should. */
	if (secret_starved())
		goto nomem;
	if (!good) {
		ctx_free(c);
		return pkey_failed(ST_INVALID);
	}
	*ret = c;
	return ST_OK;

nomem:
	ctx_free(c);
	ERR_clear_error();
	return ST_NOMEM;
}

/* ------------------------------------------------------------ the shelf */

static bool place_empty(struct pkey_shelf *s, struct pkey_ctx *c)
{
	for (size_t i = 0; i < PKEY_SHELF; i++) {
		struct pkey_ctx *empty = NULL;

		if (atomic_compare_exchange_strong_explicit(
		        &s->idle[i], &empty, c, memory_order_release, memory_order_relaxed))
			return true;
	}
	return false;
}

enum status pkey_ctx_take(const struct pkey *k, const struct pkey_use *use, struct pkey_ctx **ret)
{
	struct pkey_shelf *s = k->shelf;

	(void)secret_starved(); /* what was before is not this use's */
	for (size_t i = 0; i < PKEY_SHELF; i++) {
		/* Only who has taken one may look at it. */
		struct pkey_ctx *c =
		    atomic_exchange_explicit(&s->idle[i], NULL, memory_order_acquire);

		if (c == NULL)
			continue;
		if (use_equal(&c->use, use)) {
			*ret = c;
			return ST_OK;
		}
		if (!place_empty(s, c))
			ctx_free(c);
	}
	return ctx_new(k, use, ret);
}

static void give_back(const struct pkey *k, struct pkey_ctx *c)
{
	struct pkey_shelf *s = k->shelf;
	unsigned turn;

	if (place_empty(s, c))
		return;
	turn = atomic_fetch_add_explicit(&s->turn, 1, memory_order_relaxed);
	ctx_free(atomic_exchange_explicit(&s->idle[turn % PKEY_SHELF], c, memory_order_acq_rel));
}

enum status pkey_ctx_done(const struct pkey *k, struct pkey_ctx *c, int rc, enum status other)
{
	bool starved = secret_starved();
	enum status s = rc == 1 ? ST_OK : pkey_failed(other);

	if (starved || s == ST_NOMEM) {
		ctx_free(c);
		ERR_clear_error();
		return ST_NOMEM;
	}
	give_back(k, c);
	return s;
}

void pkey_shelf_free(struct pkey_shelf **s)
{
	if (*s == NULL)
		return;
	for (size_t i = 0; i < PKEY_SHELF; i++)
		ctx_free(atomic_load_explicit(&(*s)->idle[i], memory_order_acquire));
	secret_release(*s);
	*s = NULL;
}
