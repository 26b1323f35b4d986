/* The table of ciphers, the choice of their implementation, and the checks that every call passes. */
#include "crypto/aead.h"

#include <stdatomic.h>
#include <string.h>

#include "crypto/chacha_sodium.h"
#include "crypto/gcm_evp.h"
#include "crypto/secret.h"
#include "crypto/xaes_evp.h"

#ifdef HAVE_MB
#include "crypto/chacha_mb.h"
#include "crypto/gcm_mb.h"
#include "crypto/xaes_mb.h"
#endif

#define AEAD_MAGIC 0xaead0c1eU
#define AEAD_ALIGN ((size_t)64)

static const struct aead_info infos[AEAD_ALG_COUNT] = {
    [AEAD_AES128_GCM] = {"aes128-gcm", 16, AEAD_GCM_NONCE_LEN, AEAD_HARD_LIMIT_96},
    [AEAD_AES256_GCM] = {"aes256-gcm", 32, AEAD_GCM_NONCE_LEN, AEAD_HARD_LIMIT_96},
    [AEAD_CHACHA20_POLY1305] = {"chacha20-poly1305", 32, 12, AEAD_HARD_LIMIT_96},
    [AEAD_XCHACHA20_POLY1305] = {"xchacha20-poly1305", 32, 24, 0},
    [AEAD_XAES256_GCM] = {"xaes-256-gcm", 32, 24, 0},
};

/* An implementation of every cipher. */
struct suite {
	const char *name;
	const struct aead_impl *impls[AEAD_ALG_COUNT];
};

/* Best first. */
static const struct suite suites[] = {
#ifdef HAVE_MB
    {"mb",
     {[AEAD_AES128_GCM] = &gcm_mb,
      [AEAD_AES256_GCM] = &gcm_mb,
      [AEAD_CHACHA20_POLY1305] = &chacha_mb,
      [AEAD_XCHACHA20_POLY1305] = &xchacha_mb,
      [AEAD_XAES256_GCM] = &xaes_mb}},
#endif
    {"evp",
     {[AEAD_AES128_GCM] = &gcm_evp,
      [AEAD_AES256_GCM] = &gcm_evp,
      [AEAD_CHACHA20_POLY1305] = &chacha_sodium,
      [AEAD_XCHACHA20_POLY1305] = &xchacha_sodium,
      [AEAD_XAES256_GCM] = &xaes_evp}},
};
#define SUITES (sizeof suites / sizeof suites[0])

/* For keys made from now on.  Atomic since the first key may be made without aead_setup, on any thread; all would choose the same. */
static const struct suite *_Atomic chosen;

enum aead_home { HOME_GUARDED, HOME_CALLER };

struct aead_key {
	uint32_t magic;
	enum aead_alg alg;
	enum aead_home home;
	const struct aead_impl *impl;
	_Alignas(AEAD_ALIGN) uint8_t state[];
};

const struct aead_info *aead_info(enum aead_alg alg)
{
	MUST((unsigned)alg < AEAD_ALG_COUNT);
	return &infos[alg];
}

static bool suite_usable(const struct suite *s)
{
	for (size_t i = 0; i < AEAD_ALG_COUNT; i++)
		if (!s->impls[i]->usable())
			return false;
	return true;
}

static const struct suite *suite_best(void)
{
	for (size_t i = 0; i < SUITES; i++)
		if (suite_usable(&suites[i]))
			return &suites[i];
	return NULL;
}

static const struct suite *suite_now(void)
{
	const struct suite *s = atomic_load_explicit(&chosen, memory_order_acquire);

	if (s != NULL)
		return s;
	s = suite_best();
	MUST(s != NULL); /* the last one runs everywhere */
	atomic_store_explicit(&chosen, s, memory_order_release);
	return s;
}

enum status aead_setup(const char *name, struct err *err)
{
	if (name == NULL) {
		atomic_store(&chosen, NULL);
		(void)suite_now();
		return ST_OK;
	}
	for (size_t i = 0; i < SUITES; i++) {
		if (strcmp(suites[i].name, name) != 0)
			continue;
		if (!suite_usable(&suites[i]))
			return err_set(
			    err, ST_UNSUPPORTED,
			    "AES-GCM implementation \"%s\": this processor lacks what it needs",
			    name);
		atomic_store(&chosen, &suites[i]);
		return ST_OK;
	}
	return err_set(err, ST_UNSUPPORTED,
	               "AES-GCM implementation \"%s\" is not part of this build", name);
}

const char *aead_impl(void)
{
	return suite_now()->name;
}

/* ------------------------------------------------------------ keys */

static size_t key_size(const struct aead_impl *impl)
{
	size_t n = sizeof(struct aead_key) + impl->state_len;

	return (n + AEAD_ALIGN - 1) / AEAD_ALIGN * AEAD_ALIGN;
}

size_t aead_key_size(enum aead_alg alg)
{
	MUST((unsigned)alg < AEAD_ALG_COUNT);
	return key_size(suite_now()->impls[alg]);
}

static enum status key_init(struct aead_key *k, enum aead_home home, const struct aead_impl *impl,
                            enum aead_alg alg, const uint8_t *key)
{
	enum status s = impl->init(k->state, alg, key);

	if (s != ST_OK)
		return s;
	k->magic = AEAD_MAGIC;
	k->alg = alg;
	k->home = home;
	k->impl = impl;
	return ST_OK;
}

enum status aead_key_new(enum aead_alg alg, struct span key, struct aead_key **ret)
{
	enum status s = ST_INVALID;
	const struct aead_impl *impl;
	struct aead_key *k;

	if (key.n != aead_info(alg)->key_len)
		goto err0;
	impl = suite_now()->impls[alg];
	k = secret_alloc(key_size(impl));
	s = ST_NOMEM;
	if (k == NULL)
		goto err0;
	s = key_init(k, HOME_GUARDED, impl, alg, key.p);
	if (s != ST_OK)
		goto err1;
	*ret = k;
	return ST_OK;

err1:
	secret_release(k);
err0:
	return s;
}

enum status aead_key_place(enum aead_alg alg, struct span key, void *mem, struct aead_key **ret)
{
	const struct aead_impl *impl;
	enum status s;

	MUST((uintptr_t)mem % AEAD_ALIGN == 0);
	if (key.n != aead_info(alg)->key_len)
		return ST_INVALID;
	impl = suite_now()->impls[alg];
	s = key_init(mem, HOME_CALLER, impl, alg, key.p);
	if (s != ST_OK) {
		wipe(mem, key_size(impl));
		return s;
	}
	*ret = mem;
	return ST_OK;
}

/* What the key took beyond its own memory. */
static void key_fini(struct aead_key *k, enum aead_home home)
{
	MUST(k->magic == AEAD_MAGIC && k->home == home);
	if (k->impl->fini != NULL)
		k->impl->fini(k->state);
}

void aead_key_free(struct aead_key **k)
{
	if (*k == NULL)
		return;
	key_fini(*k, HOME_GUARDED);
	secret_release(*k);
	*k = NULL;
}

void aead_key_clear(struct aead_key **k)
{
	if (*k == NULL)
		return;
	key_fini(*k, HOME_CALLER);
	wipe(*k, key_size((*k)->impl));
	*k = NULL;
}

/* ------------------------------------------------------------ messages */

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
