#include "seal/shamir.h"

#include <string.h>

#include "crypto/ct.h"

/* The distinct x coordinates 1..255 in random order (Fisher and Yates). */
static void shuffle_x(const struct random *random, uint8_t x[static SHAMIR_SHARES_MAX])
{
	for (unsigned i = 0; i < SHAMIR_SHARES_MAX; i++)
		x[i] = (uint8_t)(i + 1);
	for (unsigned i = SHAMIR_SHARES_MAX - 1; i > 0; i--) {
		uint32_t r;
		uint8_t swap;

		random_fill(random, (uint8_t *)&r, sizeof r);
		r %= i + 1; /* the order hides nothing; its slight bias is of no use to anybody */
		swap = x[i];
		x[i] = x[r];
		x[r] = swap;
	}
}

/* Horner's rule from the highest coefficient down to the constant. */
static uint8_t evaluate(const uint8_t *coefficients, unsigned n, uint8_t x)
{
	uint8_t y = 0;

	for (unsigned i = n; i > 0; i--)
		y = (uint8_t)(gf256_mul(y, x) ^ coefficients[i - 1]);
	return y;
}

enum status shamir_split(const struct secret *whole, unsigned shares, unsigned threshold,
                         const struct random *random, struct secret **ret)
{
	struct secret *coefficients;
	uint8_t x[SHAMIR_SHARES_MAX];
	size_t len = secret_len(whole);
	unsigned made = 0;
	enum status st;

	MUST(threshold >= 2 && threshold <= shares && shares <= SHAMIR_SHARES_MAX);
	st = secret_new(threshold, &coefficients);
	if (st != ST_OK)
		return st;
	shuffle_x(random, x);
	for (; made < shares; made++) {
		st = secret_new(len + 1, &ret[made]);
		if (st != ST_OK)
			goto fail;
		secret_bytes(ret[made])[len] = x[made];
	}
	for (size_t at = 0; at < len; at++) {
		uint8_t *c = secret_bytes(coefficients);

		random_fill(random, c, threshold);
		c[0] = secret_span(whole).p[at];
		for (unsigned i = 0; i < shares; i++)
			secret_bytes(ret[i])[at] = evaluate(c, threshold, x[i]);
	}
	secret_free(&coefficients);
	return ST_OK;
fail:
	while (made > 0)
		secret_free(&ret[--made]);
	secret_free(&coefficients);
	return st;
}

/* Lagrange's basis polynomial of share i at zero. */
static uint8_t basis(const uint8_t *x, unsigned n, unsigned i)
{
	uint8_t product = 1;

	for (unsigned j = 0; j < n; j++)
		if (j != i)
			product =
			    gf256_mul(product, gf256_mul(x[j], gf256_inv((uint8_t)(x[j] ^ x[i]))));
	return product;
}

enum status shamir_join(struct secret *const *shares, unsigned n, struct secret *ret)
{
	uint8_t x[SHAMIR_SHARES_MAX];
	size_t len = secret_len(ret);

	MUST(n >= 1 && n <= SHAMIR_SHARES_MAX);
	for (unsigned i = 0; i < n; i++) {
		if (secret_len(shares[i]) != len + 1)
			return ST_INVALID;
		x[i] = secret_span(shares[i]).p[len];
		if (x[i] == 0)
			return ST_INVALID;
		for (unsigned j = 0; j < i; j++)
			if (x[j] == x[i])
				return ST_INVALID;
	}
	memset(secret_bytes(ret), 0, len);
	for (unsigned i = 0; i < n; i++) {
		uint8_t b = basis(x, n, i);

		for (size_t at = 0; at < len; at++)
			secret_bytes(ret)[at] ^= gf256_mul(b, secret_span(shares[i]).p[at]);
	}
	return ST_OK;
}
