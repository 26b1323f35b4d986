/* EC keys from their numbers, and back.  That a point lies on its curve and belongs to the private number is checked by OpenSSL. */
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <string.h>

#include "crypto/pkey_impl.h"

#define POINT_MAX (1 + 2 * (size_t)66) /* P-521 */

/* SEC 1, 2.3.3, without compression: 4, x, y. */
static enum status point_write(size_t len, struct span x, struct span y, uint8_t *out)
{
	x = span_strip(x);
	y = span_strip(y);
	if (x.n > len || y.n > len)
		return ST_INVALID;
	memset(out, 0, 1 + 2 * len);
	out[0] = 4;
	if (x.n > 0)
		memcpy(out + 1 + len - x.n, x.p, x.n);
	if (y.n > 0)
		memcpy(out + 1 + 2 * len - y.n, y.p, y.n);
	return ST_OK;
}

static enum status multiply(const EC_GROUP *group, const BIGNUM *d, uint8_t *out, size_t n)
{
	EC_POINT *point = EC_POINT_new(group);
	enum status s = ST_NOMEM;

	if (point != NULL && EC_POINT_mul(group, point, d, NULL, NULL, NULL) == 1 &&
	    EC_POINT_point2oct(group, point, POINT_CONVERSION_UNCOMPRESSED, out, n, NULL) == n)
		s = ST_OK;
	EC_POINT_free(point);
	return s;
}

/* d times the base point. */
static enum status point_compute(enum pkey_alg alg, struct span d, uint8_t *out)
{
	EC_GROUP *group = EC_GROUP_new_by_curve_name(EC_curve_nist2nid(pkey_curve(alg)));
	BIGNUM *b = number_new(d);
	enum status s = ST_NOMEM;

	if (group == NULL || b == NULL)
		goto end;
	s = ST_INVALID;
	if (!BN_is_zero(b) && BN_cmp(b, EC_GROUP_get0_order(group)) < 0)
		s = multiply(group, b, out, 1 + 2 * pkey_info(alg)->len);
end:
	BN_clear_free(b);
	EC_GROUP_free(group);
	ERR_clear_error();
	return s;
}

static enum status point_of(enum pkey_alg alg, const struct pkey_parts *p, uint8_t *out)
{
	if (p->x.n > 0 || p->y.n > 0)
		return point_write(pkey_info(alg)->len, p->x, p->y, out);
	return p->d.n > 0 ? point_compute(alg, p->d, out) : ST_INVALID;
}

/* Range, curve, and where there are both halves, that they belong together. */
static enum status check(const struct pkey *k)
{
	EVP_PKEY_CTX *c = EVP_PKEY_CTX_new_from_pkey(NULL, k->evp, NULL);
	enum status s = ST_NOMEM;
	int good;

	if (c == NULL)
		goto end;
	(void)secret_starved(); /* what was before is not this call's */
	good = k->has_private ? EVP_PKEY_check(c) : EVP_PKEY_public_check(c);
	s = good == 1 ? ST_OK : pkey_failed(ST_INVALID);
end:
	EVP_PKEY_CTX_free(c);
	ERR_clear_error();
	return s;
}

enum status pkey_ec_set(struct pkey *k, const struct pkey_parts *p, enum pkey_trust trust)
{
	const size_t len = pkey_info(k->alg)->len;
	const struct span d = span_strip(p->d);
	uint8_t point[POINT_MAX];
	struct gathered g;
	enum status s;

	if (d.n > len || (p->d.n > 0 && d.n == 0))
		return ST_INVALID;
	s = point_of(k->alg, p, point);
	if (s != ST_OK)
		return s;
	k->has_private = d.n > 0;
	gather_begin(&g, d.n > 0 ? HALF_BOTH : HALF_PUBLIC);
	gather_text(&g, OSSL_PKEY_PARAM_GROUP_NAME, pkey_curve(k->alg));
	gather_bytes(&g, OSSL_PKEY_PARAM_PUB_KEY, span_of(point, 1 + 2 * len));
	if (d.n > 0)
		gather_number(&g, OSSL_PKEY_PARAM_PRIV_KEY, d);
	s = gathered_key(&g, "EC", &k->evp);
	gather_end(&g);
	if (s == ST_OK && trust == PKEY_CHECKED)
		s = check(k);
	return s;
}

enum status pkey_ec_get(const struct pkey *k, struct pkey_parts *ret)
{
	const size_t len = pkey_info(k->alg)->len;
	struct pkey_parts p = {0};
	enum status s;
	uint8_t *out;

	s = secret_new(3 * len, &p.home);
	if (s != ST_OK)
		goto err;
	out = secret_bytes(p.home);
	s = pkey_coordinate(k, OSSL_PKEY_PARAM_EC_PUB_X, out, len, &p.x);
	if (s != ST_OK)
		goto err;
	s = pkey_coordinate(k, OSSL_PKEY_PARAM_EC_PUB_Y, out + len, len, &p.y);
	if (s != ST_OK)
		goto err;
	if (k->has_private) {
		s = pkey_coordinate(k, OSSL_PKEY_PARAM_PRIV_KEY, out + 2 * len, len, &p.d);
		if (s != ST_OK)
			goto err;
	}
	*ret = p;
	return ST_OK;

err:
	secret_free(&p.home);
	return s;
}
