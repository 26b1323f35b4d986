/* The table of ciphers, the choice of their implementation, and the checks that every call passes. */
#include "crypto/aead.h"

#include <stdatomic.h>
#include <string.h>

#include "crypto/gcm_evp.h"
#include "crypto/secret.h"

#ifdef HAVE_GCM_MB
#include "crypto/gcm_mb.h"
#endif

#define AEAD_MAGIC 0xaead0c1eU

static const struct aead_info infos[AEAD_ALG_COUNT] = {
    [AEAD_AES128_GCM] = {"aes128-gcm", 16, AEAD_GCM_NONCE_LEN, AEAD_GCM_HARD_LIMIT},
    [AEAD_AES256_GCM] = {"aes256-gcm", 32, AEAD_GCM_NONCE_LEN, AEAD_GCM_HARD_LIMIT},
};

/* Best first. */
static const struct aead_impl *const impls[] = {
#ifdef HAVE_GCM_MB
    &gcm_mb,
#endif
    &gcm_evp,
};
#define IMPLS (sizeof impls / sizeof impls[0])

/* For keys made from now on.  Atomic since the first key may be made without aead_setup, on any thread; all would choose the same. */
static const struct aead_impl *_Atomic chosen;

struct aead_key {
	uint32_t magic;
	enum aead_alg alg;
	const struct aead_impl *impl;
	_Alignas(64) uint8_t state[];
};

const struct aead_info *aead_info(enum aead_alg alg)
{
	MUST((unsigned)alg < AEAD_ALG_COUNT);
	return &infos[alg];
}

static const struct aead_impl *impl_best(void)
{
	for (size_t i = 0; i < IMPLS; i++)
		if (impls[i]->usable())
			return impls[i];
	return NULL;
}

static const struct aead_impl *impl_now(void)
{
	const struct aead_impl *impl = atomic_load_explicit(&chosen, memory_order_acquire);

	if (impl != NULL)
		return impl;
	impl = impl_best();
	MUST(impl != NULL); /* OpenSSL's runs everywhere */
	atomic_store_explicit(&chosen, impl, memory_order_release);
	return impl;
}

enum status aead_setup(const char *name, struct err *err)
{
	if (name == NULL) {
		atomic_store(&chosen, NULL);
		(void)impl_now();
		return ST_OK;
	}
	for (size_t i = 0; i < IMPLS; i++) {
		if (strcmp(impls[i]->name, name) != 0)
			continue;
		if (!impls[i]->usable())
			return err_set(
			    err, ST_UNSUPPORTED,
			    "AES-GCM implementation \"%s\": this processor lacks what it needs",
			    name);
		atomic_store(&chosen, impls[i]);
		return ST_OK;
	}
	return err_set(err, ST_UNSUPPORTED,
	               "AES-GCM implementation \"%s\" is not part of this build", name);
}

const char *aead_impl(void)
{
	return impl_now()->name;
}

enum status aead_key_new(enum aead_alg alg, struct span key, struct aead_key **ret)
{
	const struct aead_impl *impl = impl_now();
	enum status s = ST_NOMEM;
	struct aead_key *k;

	if (key.n != aead_info(alg)->key_len)
		return ST_INVALID;
	k = secret_alloc(sizeof(struct aead_key) + impl->state_len);
	if (k == NULL)
		goto err0;
	s = impl->init(k->state, alg, key.p);
	if (s != ST_OK)
		goto err1;
	k->magic = AEAD_MAGIC;
	k->alg = alg;
	k->impl = impl;
	*ret = k;
	return ST_OK;

err1:
	secret_release(k);
err0:
	return s;
}

void aead_key_free(struct aead_key **k)
{
	struct aead_key *key = *k;

	if (key == NULL)
		return;
	MUST(key->magic == AEAD_MAGIC);
	if (key->impl->fini != NULL)
		key->impl->fini(key->state);
	secret_release(key);
	*k = NULL;
}

enum status aead_seal(const struct aead_key *k, struct span nonce, struct span aad,
                      struct span plain, uint8_t *ret)
{
	MUST(k->magic == AEAD_MAGIC);
	MUST(nonce.n == infos[k->alg].nonce_len);
	if (plain.n > AEAD_TEXT_MAX || aad.n > AEAD_TEXT_MAX)
		return ST_LIMIT;
	return k->impl->seal(k->state, nonce.p, aad, plain, ret);
}

enum status aead_open(const struct aead_key *k, struct span nonce, struct span aad,
                      struct span sealed, uint8_t *ret)
{
	MUST(k->magic == AEAD_MAGIC);
	MUST(nonce.n == infos[k->alg].nonce_len);
	if (sealed.n < AEAD_TAG_LEN)
		return ST_CORRUPT;
	if (sealed.n - AEAD_TAG_LEN > AEAD_TEXT_MAX || aad.n > AEAD_TEXT_MAX)
		return ST_LIMIT;
	return k->impl->open(k->state, nonce.p, aad, sealed, ret);
}
