/* Keys from numbers, and numbers from keys: what the kinds share, and Ed25519. */
#include <openssl/err.h>
#include <string.h>

#include "crypto/ct.h"
#include "crypto/pkey_impl.h"

struct span span_strip(struct span s)
{
	while (s.n > 0 && s.p[0] == 0)
		s = span_from(s, 1);
	return s;
}

BIGNUM *number_new(struct span s)
{
	BIGNUM *b = BN_bin2bn(s.p, (int)s.n, NULL);

	if (b != NULL)
		BN_set_flags(b, BN_FLG_CONSTTIME);
	return b;
}

/* ------------------------------------------------------------ an object of OpenSSL */

void gather_begin(struct gathered *g, enum pkey_half half)
{
	*g = (struct gathered){.bld = OSSL_PARAM_BLD_new(), .half = half};
	g->failed = g->bld == NULL;
}

void gather_number(struct gathered *g, const char *name, struct span s)
{
	BIGNUM *b = g->failed ? NULL : number_new(s);

	MUST(g->n < GATHER_MAX);
	if (b == NULL) {
		g->failed = true;
		return;
	}
	/* The builder holds on to it until the key is made. */
	g->numbers[g->n++] = b;
	g->failed = OSSL_PARAM_BLD_push_BN(g->bld, name, b) != 1;
}

void gather_text(struct gathered *g, const char *name, const char *text)
{
	g->failed =
	    g->failed || OSSL_PARAM_BLD_push_utf8_string(g->bld, name, text, strlen(text)) != 1;
}

void gather_bytes(struct gathered *g, const char *name, struct span s)
{
	g->failed = g->failed || OSSL_PARAM_BLD_push_octet_string(g->bld, name, s.p, s.n) != 1;
}

enum status gathered_key(struct gathered *g, const char *type, EVP_PKEY **ret)
{
	OSSL_PARAM *params = g->failed ? NULL : OSSL_PARAM_BLD_to_param(g->bld);
	EVP_PKEY_CTX *c = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
	const int selection = g->half == HALF_BOTH ? EVP_PKEY_KEYPAIR : EVP_PKEY_PUBLIC_KEY;
	EVP_PKEY *made = NULL;
	enum status s = ST_OK;

	(void)secret_starved(); /* what was before is not this call's */
	if (params == NULL || c == NULL || EVP_PKEY_fromdata_init(c) != 1)
		s = pkey_failed(ST_NOMEM);
	else if (EVP_PKEY_fromdata(c, &made, selection, params) != 1)
		s = pkey_failed(ST_INVALID);
	else
		*ret = made;
	EVP_PKEY_CTX_free(c);
	OSSL_PARAM_free(params);
	ERR_clear_error();
	return s;
}

void gather_end(struct gathered *g)
{
	OSSL_PARAM_BLD_free(g->bld);
	for (size_t i = 0; i < g->n; i++)
		BN_clear_free(g->numbers[i]);
}

/* ------------------------------------------------------------ numbers of a key */

enum number_form { NUMBER_SHORT, NUMBER_FULL };

static enum status number_write(const struct pkey *k, const char *name, uint8_t *out, size_t n,
                                enum number_form form, struct span *ret)
{
	BIGNUM *b = NULL;
	int len;

	if (EVP_PKEY_get_bn_param(k->evp, name, &b) != 1)
		return pkey_failed(ST_NOMEM);
	len = form == NUMBER_FULL ? (int)n : BN_num_bytes(b);
	MUST((size_t)len <= n);
	MUST(BN_bn2binpad(b, out, len) == len);
	BN_clear_free(b);
	*ret = span_of(out, (size_t)len);
	return ST_OK;
}

enum status pkey_number(const struct pkey *k, const char *name, uint8_t *out, size_t n,
                        struct span *ret)
{
	return number_write(k, name, out, n, NUMBER_SHORT, ret);
}

enum status pkey_coordinate(const struct pkey *k, const char *name, uint8_t *out, size_t n,
                            struct span *ret)
{
	return number_write(k, name, out, n, NUMBER_FULL, ret);
}

/* ------------------------------------------------------------ Ed25519 */

static enum status ed25519_set(struct pkey *k, const struct pkey_parts *p)
{
	if ((p->d.n != 0 && p->d.n != ED25519_LEN) || (p->x.n != 0 && p->x.n != ED25519_LEN))
		return ST_INVALID;
	if (p->d.n > 0) {
		pkey_ed25519_set(k, p->d.p);
		if (p->x.n > 0 && !ct_equal(p->x, pkey_ed25519_public(k)))
			return ST_INVALID;
		return ST_OK;
	}
	if (p->x.n == 0)
		return ST_INVALID;
	memcpy(k->ed25519 + ED25519_LEN, p->x.p, ED25519_LEN);
	return ST_OK;
}

static enum status ed25519_get(const struct pkey *k, struct pkey_parts *ret)
{
	struct secret *home;
	struct span both;
	enum status s = secret_from(span_of(k->ed25519, sizeof k->ed25519), &home);

	if (s != ST_OK)
		return s;
	both = secret_span(home);
	*ret = (struct pkey_parts){.home = home, .x = span_from(both, ED25519_LEN)};
	if (k->has_private)
		ret->d = span_of(both.p, ED25519_LEN);
	return ST_OK;
}

/* ------------------------------------------------------------ all kinds */

static enum status parts_set(struct pkey *k, const struct pkey_parts *p, enum pkey_trust trust)
{
	switch (pkey_info(k->alg)->kind) {
	case PKEY_KIND_ED25519:
		return ed25519_set(k, p);
	case PKEY_KIND_EC:
		return pkey_ec_set(k, p, trust);
	case PKEY_KIND_RSA:
		return pkey_rsa_set(k, p, trust);
	}
	MUST(false);
	return ST_INVALID;
}

enum status pkey_from_parts(enum pkey_alg alg, const struct pkey_parts *parts,
                            enum pkey_trust trust, struct pkey **ret)
{
	struct pkey *k;
	enum status s;

	MUST((unsigned)alg < PKEY_ALG_COUNT);
	s = pkey_new(alg, &k);
	if (s != ST_OK)
		return s;
	s = parts_set(k, parts, trust);
	if (s != ST_OK) {
		pkey_unref(&k);
		return s;
	}
	*ret = k;
	return ST_OK;
}

enum status pkey_parts(const struct pkey *k, struct pkey_parts *ret)
{
	MUST(k->magic == PKEY_MAGIC);
	switch (pkey_info(k->alg)->kind) {
	case PKEY_KIND_ED25519:
		return ed25519_get(k, ret);
	case PKEY_KIND_EC:
		return pkey_ec_get(k, ret);
	case PKEY_KIND_RSA:
		return pkey_rsa_get(k, ret);
	}
	MUST(false);
	return ST_INVALID;
}

void pkey_parts_free(struct pkey_parts *p)
{
	secret_free(&p->home);
	*p = (struct pkey_parts){0};
}
