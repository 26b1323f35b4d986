/* The table of algorithms, the life of a key, generating one.  Ed25519 is libsodium's, which takes half the time of OpenSSL 3.0's. */
#include "crypto/pkey.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/rsa.h>
#include <sodium.h>

#include "crypto/ct.h"
#include "crypto/pkey_impl.h"
#include "crypto/random.h"
#include "crypto/scratch.h"

static const struct pkey_info infos[PKEY_ALG_COUNT] = {
    [PKEY_ED25519] = {"ed25519", PKEY_KIND_ED25519, ED25519_LEN},
    [PKEY_P256] = {"ecdsa-p256", PKEY_KIND_EC, 32},
    [PKEY_P384] = {"ecdsa-p384", PKEY_KIND_EC, 48},
    [PKEY_P521] = {"ecdsa-p521", PKEY_KIND_EC, 66},
    [PKEY_RSA2048] = {"rsa-2048", PKEY_KIND_RSA, 256},
    [PKEY_RSA3072] = {"rsa-3072", PKEY_KIND_RSA, 384},
    [PKEY_RSA4096] = {"rsa-4096", PKEY_KIND_RSA, 512},
};

const struct pkey_info *pkey_info(enum pkey_alg alg)
{
	MUST((unsigned)alg < PKEY_ALG_COUNT);
	return &infos[alg];
}

const char *pkey_curve(enum pkey_alg alg)
{
	MUST(pkey_info(alg)->kind == PKEY_KIND_EC);
	if (alg == PKEY_P256)
		return "P-256";
	return alg == PKEY_P384 ? "P-384" : "P-521";
}

enum status pkey_failed(enum status other)
{
	ERR_clear_error();
	return secret_starved() ? ST_NOMEM : other;
}

/* ------------------------------------------------------------ life */

enum status pkey_new(enum pkey_alg alg, struct pkey **ret)
{
	struct pkey *k = secret_alloc(sizeof(struct pkey));

	if (k == NULL)
		goto err0;
	if (alg != PKEY_ED25519) {
		k->shelf = secret_alloc(sizeof(struct pkey_shelf));
		if (k->shelf == NULL)
			goto err1;
	}
	k->magic = PKEY_MAGIC;
	k->alg = alg;
	atomic_store(&k->refs, 1);
	*ret = k;
	return ST_OK;

err1:
	secret_release(k);
err0:
	return ST_NOMEM;
}

struct pkey *pkey_ref(struct pkey *k)
{
	MUST(k->magic == PKEY_MAGIC);
	atomic_fetch_add_explicit(&k->refs, 1, memory_order_relaxed);
	return k;
}

void pkey_unref(struct pkey **k)
{
	struct pkey *key = *k;

	if (key == NULL)
		return;
	MUST(key->magic == PKEY_MAGIC);
	*k = NULL;
	if (atomic_fetch_sub_explicit(&key->refs, 1, memory_order_acq_rel) > 1)
		return;
	pkey_shelf_free(&key->shelf);
	EVP_PKEY_free(key->evp);
	secret_release(key);
}

enum pkey_alg pkey_alg(const struct pkey *k)
{
	MUST(k->magic == PKEY_MAGIC);
	return k->alg;
}

bool pkey_has_private(const struct pkey *k)
{
	MUST(k->magic == PKEY_MAGIC);
	return k->has_private;
}

enum status pkey_match(const struct pkey *a, const struct pkey *b)
{
	MUST(a->magic == PKEY_MAGIC && b->magic == PKEY_MAGIC);
	if (a->alg != b->alg)
		return ST_CONFLICT;
	if (a->alg == PKEY_ED25519)
		return ct_equal(pkey_ed25519_public(a), pkey_ed25519_public(b)) ? ST_OK
		                                                                : ST_CONFLICT;
	(void)secret_starved(); /* what was before is not this call's */
	return EVP_PKEY_eq(a->evp, b->evp) == 1 ? ST_OK : pkey_failed(ST_CONFLICT);
}

/* ------------------------------------------------------------ Ed25519 */

void pkey_ed25519_set(struct pkey *k, const uint8_t seed[static ED25519_LEN])
{
	uint8_t public[ED25519_LEN];

	MUST(sodium_init() >= 0);
	MUST(crypto_sign_seed_keypair(public, k->ed25519, seed) == 0);
	k->has_private = true;
}

struct span pkey_ed25519_public(const struct pkey *k)
{
	return span_of(k->ed25519 + ED25519_LEN, ED25519_LEN);
}

/* ------------------------------------------------------------ generating */

static enum status generate_ed25519(struct pkey *k)
{
	uint8_t *seed = scratch_get();

	if (seed == NULL)
		return ST_NOMEM;
	random_fill(&random_system, seed, ED25519_LEN);
	pkey_ed25519_set(k, seed);
	wipe(seed, ED25519_LEN);
	return ST_OK;
}

static enum status generate_evp(struct pkey *k)
{
	if (infos[k->alg].kind == PKEY_KIND_EC)
		k->evp = EVP_EC_gen(pkey_curve(k->alg));
	else
		k->evp = EVP_RSA_gen((unsigned)infos[k->alg].len * 8);
	return k->evp != NULL ? ST_OK : pkey_failed(ST_NOMEM);
}

enum status pkey_generate(enum pkey_alg alg, struct pkey **ret)
{
	enum status s = ST_NOMEM;
	struct pkey *k = NULL;

	MUST((unsigned)alg < PKEY_ALG_COUNT);
	s = pkey_new(alg, &k);
	if (s != ST_OK)
		goto err0;
	k->has_private = true;
	s = alg == PKEY_ED25519 ? generate_ed25519(k) : generate_evp(k);
	if (s != ST_OK)
		goto err1;
	*ret = k;
	return ST_OK;

err1:
	pkey_unref(&k);
err0:
	return s;
}
