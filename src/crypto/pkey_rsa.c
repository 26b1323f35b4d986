/*
 * RSA keys from their numbers, and back.
 *
 * The numbers are checked here: n = p q, and d e = 1 modulo p - 1 and q - 1.  OpenSSL's own check also proves that the primes are prime, which takes
 * 35 ms for RSA-2048; a signature that verifies stands for that.  dp, dq and qinv are computed from the others.
 */
#include <openssl/core_names.h>
#include <openssl/err.h>

#include "crypto/pkey_impl.h"
#include "crypto/pkey_sign.h"

#define E_MAX_BITS 31

static size_t bits_of(struct span s)
{
	s = span_strip(s);
	return s.n == 0 ? 0 : s.n * 8 - (size_t)(__builtin_clz(s.p[0]) - 24);
}

static bool is_odd(struct span s)
{
	return s.n > 0 && (s.p[s.n - 1] & 1) != 0;
}

static bool public_fits(size_t len, const struct pkey_parts *p)
{
	return bits_of(p->n) == len * 8 && is_odd(p->n) && is_odd(p->e) && bits_of(p->e) > 1 &&
	       bits_of(p->e) <= E_MAX_BITS;
}

/* The two primes have half of the bits each, as every generator makes them. */
static bool private_fits(size_t len, const struct pkey_parts *p)
{
	return bits_of(p->p) == len * 4 && bits_of(p->q) == len * 4 && is_odd(p->p) &&
	       is_odd(p->q) && bits_of(p->d) > 1 && bits_of(p->d) <= len * 8;
}

/* What is computed when the others are checked, and only looked at when they are trusted. */
static bool computed_fits(size_t len, const struct pkey_parts *p)
{
	const struct span computed[] = {p->dp, p->dq, p->qinv};

	for (size_t i = 0; i < 3; i++)
		if (bits_of(computed[i]) == 0 || bits_of(computed[i]) > len * 4)
			return false;
	return true;
}

/* ------------------------------------------------------------ checking the private numbers, computing the others */

struct numbers {
	BN_CTX *ctx;
	BIGNUM *n, *e, *d, *p, *q;
	BIGNUM *dp, *dq, *qinv; /* computed */
	BIGNUM *t, *p1, *q1;    /* in between */
};

static bool numbers_begin(struct numbers *b, const struct pkey_parts *p)
{
	*b = (struct numbers){
	    .ctx = BN_CTX_new(),
	    .n = number_new(p->n),
	    .e = number_new(p->e),
	    .d = number_new(p->d),
	    .p = number_new(p->p),
	    .q = number_new(p->q),
	    .dp = BN_new(),
	    .dq = BN_new(),
	    .qinv = BN_new(),
	    .t = BN_new(),
	    .p1 = number_new(p->p),
	    .q1 = number_new(p->q),
	};
	return b->ctx != NULL && b->n != NULL && b->e != NULL && b->d != NULL && b->p != NULL &&
	       b->q != NULL && b->dp != NULL && b->dq != NULL && b->qinv != NULL && b->t != NULL &&
	       b->p1 != NULL && b->q1 != NULL && BN_sub_word(b->p1, 1) == 1 &&
	       BN_sub_word(b->q1, 1) == 1;
}

static void numbers_end(struct numbers *b)
{
	BIGNUM *const all[] = {b->n,  b->e,    b->d, b->p,  b->q, b->dp,
	                       b->dq, b->qinv, b->t, b->p1, b->q1};

	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
		BN_clear_free(all[i]);
	BN_CTX_free(b->ctx);
	ERR_clear_error();
}

/* d e = 1 modulo m? */
static enum status inverse_holds(struct numbers *b, const BIGNUM *m)
{
	if (BN_mod_mul(b->t, b->d, b->e, m, b->ctx) != 1)
		return ST_NOMEM;
	return BN_is_one(b->t) ? ST_OK : ST_INVALID;
}

static enum status numbers_check(struct numbers *b)
{
	enum status s;

	if (BN_mul(b->t, b->p, b->q, b->ctx) != 1)
		return ST_NOMEM;
	if (BN_cmp(b->t, b->n) != 0 || BN_cmp(b->p, b->q) == 0)
		return ST_INVALID;
	s = inverse_holds(b, b->p1);
	return s == ST_OK ? inverse_holds(b, b->q1) : s;
}

static enum status numbers_compute(struct numbers *b)
{
	if (BN_mod(b->dp, b->d, b->p1, b->ctx) != 1 || BN_mod(b->dq, b->d, b->q1, b->ctx) != 1)
		return ST_NOMEM;
	(void)secret_starved(); /* what was before is not this call's */
	/* There is one when the primes are such. */
	if (BN_mod_inverse(b->qinv, b->q, b->p, b->ctx) == NULL)
		return pkey_failed(ST_INVALID);
	return ST_OK;
}

/* The computed numbers into out, half a modulus each, and the parts' spans onto them. */
static void numbers_write(const struct numbers *b, size_t half, uint8_t *out, struct pkey_parts *p)
{
	const struct {
		const BIGNUM *number;
		struct span *place;
	} computed[] = {{b->dp, &p->dp}, {b->dq, &p->dq}, {b->qinv, &p->qinv}};

	for (size_t i = 0; i < 3; i++, out += half) {
		MUST(BN_bn2binpad(computed[i].number, out, (int)half) == (int)half);
		*computed[i].place = span_of(out, half);
	}
}

/* Checks p and sets its dp, dq and qinv, which then lie in out. */
static enum status parts_complete(size_t len, struct pkey_parts *p, uint8_t *out)
{
	enum status s = ST_NOMEM;
	struct numbers b;

	if (numbers_begin(&b, p))
		s = numbers_check(&b);
	if (s == ST_OK)
		s = numbers_compute(&b);
	if (s == ST_OK)
		numbers_write(&b, len / 2, out, p);
	numbers_end(&b);
	return s;
}

/* ------------------------------------------------------------ setting */

static enum status set(struct pkey *k, const struct pkey_parts *p)
{
	struct gathered g;
	enum status s;

	gather_begin(&g, k->has_private ? HALF_BOTH : HALF_PUBLIC);
	gather_number(&g, OSSL_PKEY_PARAM_RSA_N, p->n);
	gather_number(&g, OSSL_PKEY_PARAM_RSA_E, p->e);
	if (k->has_private) {
		gather_number(&g, OSSL_PKEY_PARAM_RSA_D, p->d);
		gather_number(&g, OSSL_PKEY_PARAM_RSA_FACTOR1, p->p);
		gather_number(&g, OSSL_PKEY_PARAM_RSA_FACTOR2, p->q);
		gather_number(&g, OSSL_PKEY_PARAM_RSA_EXPONENT1, p->dp);
		gather_number(&g, OSSL_PKEY_PARAM_RSA_EXPONENT2, p->dq);
		gather_number(&g, OSSL_PKEY_PARAM_RSA_COEFFICIENT1, p->qinv);
	}
	s = gathered_key(&g, "RSA", &k->evp);
	gather_end(&g);
	return s;
}

/* A signature that verifies. */
static enum status try_out(const struct pkey *k)
{
	const struct pkey_how how = {.digest = DIGEST_SHA2_256, .padding = PKEY_PKCS1};
	const struct span text = span_str("a signature to see whether the key fits itself");
	uint8_t sig[PKEY_SIG_MAX];
	enum status s;
	size_t n;

	s = pkey_sign(k, &how, text, sig, &n);
	if (s == ST_OK)
		s = pkey_verify(k, &how, text, span_of(sig, n));
	return s == ST_OK || s == ST_NOMEM ? s : ST_INVALID;
}

static enum status set_checked(struct pkey *k, const struct pkey_parts *p)
{
	const size_t len = pkey_info(k->alg)->len;
	struct pkey_parts whole = *p;
	struct secret *room;
	enum status s;

	s = secret_new(len / 2 * 3, &room);
	if (s != ST_OK)
		return s;
	s = parts_complete(len, &whole, secret_bytes(room));
	if (s == ST_OK)
		s = set(k, &whole);
	if (s == ST_OK)
		s = try_out(k);
	secret_free(&room);
	return s;
}

enum status pkey_rsa_set(struct pkey *k, const struct pkey_parts *p, enum pkey_trust trust)
{
	const size_t len = pkey_info(k->alg)->len;

	k->has_private = p->d.n > 0 || p->p.n > 0 || p->q.n > 0;
	if (!public_fits(len, p) || (k->has_private && !private_fits(len, p)))
		return ST_INVALID;
	if (k->has_private && trust == PKEY_CHECKED)
		return set_checked(k, p);
	if (k->has_private && !computed_fits(len, p))
		return ST_INVALID;
	return set(k, p);
}

/* ------------------------------------------------------------ getting */

enum status pkey_rsa_get(const struct pkey *k, struct pkey_parts *ret)
{
	const size_t len = pkey_info(k->alg)->len;
	struct pkey_parts p = {0};
	const struct {
		const char *name;
		struct span *place;
	} all[] = {
	    {OSSL_PKEY_PARAM_RSA_N, &p.n},          {OSSL_PKEY_PARAM_RSA_E, &p.e},
	    {OSSL_PKEY_PARAM_RSA_D, &p.d},          {OSSL_PKEY_PARAM_RSA_FACTOR1, &p.p},
	    {OSSL_PKEY_PARAM_RSA_FACTOR2, &p.q},    {OSSL_PKEY_PARAM_RSA_EXPONENT1, &p.dp},
	    {OSSL_PKEY_PARAM_RSA_EXPONENT2, &p.dq}, {OSSL_PKEY_PARAM_RSA_COEFFICIENT1, &p.qinv}};
	const size_t n = k->has_private ? sizeof all / sizeof all[0] : 2;
	enum status s = secret_new(n * len, &p.home);

	for (size_t i = 0; s == ST_OK && i < n; i++)
		s = pkey_number(k, all[i].name, secret_bytes(p.home) + i * len, len, all[i].place);
	if (s != ST_OK) {
		secret_free(&p.home);
		return s;
	}
	*ret = p;
	return ST_OK;
}
