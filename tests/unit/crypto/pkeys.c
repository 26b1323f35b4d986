#include "pkeys.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

struct pkey *pkeys[PKEY_ALG_COUNT];

int pkeys_setup(void **state)
{
	struct err err = {0};

	(void)state;
	if (secret_setup(SECRET_BUDGET_DEFAULT, &err) != ST_OK)
		return -1;
	for (enum pkey_alg alg = 0; alg < PKEY_ALG_COUNT; alg++)
		if (pkey_generate(alg, &pkeys[alg]) != ST_OK)
			return -1;
	return 0;
}

int pkeys_teardown(void **state)
{
	(void)state;
	for (enum pkey_alg alg = 0; alg < PKEY_ALG_COUNT; alg++)
		pkey_unref(&pkeys[alg]);
	return 0;
}

struct pkey *pkeys_public(enum pkey_alg alg)
{
	struct pkey_parts p, public;
	struct pkey *k = NULL;

	assert_int_equal(pkey_parts(pkeys[alg], &p), ST_OK);
	public = (struct pkey_parts){.x = p.x, .y = p.y, .n = p.n, .e = p.e};
	assert_int_equal(pkey_from_parts(alg, &public, PKEY_CHECKED, &k), ST_OK);
	pkey_parts_free(&p);
	return k;
}
