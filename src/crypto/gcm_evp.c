/*
 * AES-GCM by OpenSSL EVP.  An EVP context holds a key schedule and may be used by one thread at a time.  Making one for each
 * message costs five times the cipher, and one kept in each thread would keep the schedules of keys that were destroyed.  So a key owns
 * a small shelf of contexts: a call takes one (or makes one when the shelf is empty), sets the nonce, and puts it
 * back; freeing the key frees them all.
 */
#include "crypto/gcm_evp.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "crypto/secret.h"

/* More than this many threads on one key at once make contexts of their own for a call. */
#define SHELF 8
/* EVP counts in int. */
#define CHUNK ((size_t)1 << 30)

struct evp_key {
	struct evp_shelf
	    *shelf; /* behind a pointer: a key is const to its users, the shelf is not */
};

struct evp_shelf {
	_Atomic(EVP_CIPHER_CTX *) idle[SHELF];
	const EVP_CIPHER *cipher;
	uint8_t key[32];
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static EVP_CIPHER *ciphers
    [AEAD_ALG_COUNT]; /* fetched once, for the life of the process: a fetch for each context is slow */

static void ciphers_fetch(void)
{
	ciphers[AEAD_AES128_GCM] = EVP_CIPHER_fetch(NULL, "AES-128-GCM", NULL);
	ciphers[AEAD_AES256_GCM] = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
}

static bool evp_usable(void)
{
	MUST(pthread_once(&once, ciphers_fetch) == 0);
	return true;
}

/* A context with the key set, waiting for a nonce; NULL without memory. */
static EVP_CIPHER_CTX *ctx_new(const struct evp_shelf *s)
{
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();

	if (c == NULL)
		return NULL;
	/* The default nonce of GCM is 12 bytes, which is what we use. */
	if (EVP_EncryptInit_ex2(c, s->cipher, s->key, NULL, NULL) != 1) {
		ERR_clear_error();
		EVP_CIPHER_CTX_free(c);
		return NULL;
	}
	return c;
}

static EVP_CIPHER_CTX *ctx_take(struct evp_shelf *s)
{
	for (size_t i = 0; i < SHELF; i++) {
		EVP_CIPHER_CTX *c =
		    atomic_exchange_explicit(&s->idle[i], NULL, memory_order_acquire);

		if (c != NULL)
			return c;
	}
	return ctx_new(s);
}

static void ctx_give(struct evp_shelf *s, EVP_CIPHER_CTX *c)
{
	for (size_t i = 0; i < SHELF; i++) {
		EVP_CIPHER_CTX *empty = NULL;

		if (atomic_compare_exchange_strong_explicit(
		        &s->idle[i], &empty, c, memory_order_release, memory_order_relaxed))
			return;
	}
	EVP_CIPHER_CTX_free(c);
}

static enum status evp_init(void *state, enum aead_alg alg, const uint8_t *key)
{
	struct evp_key *k = state;
	struct evp_shelf *s;
	EVP_CIPHER_CTX *c;

	MUST(evp_usable());
	if (ciphers[alg] == NULL)
		return ST_NOMEM;
	s = secret_alloc(sizeof(struct evp_shelf));
	if (s == NULL)
		return ST_NOMEM;
	s->cipher = ciphers[alg];
	memcpy(s->key, key, aead_info(alg)->key_len);
	c = ctx_new(s);
	if (c == NULL) {
		secret_release(s);
		return ST_NOMEM;
	}
	ctx_give(s, c);
	k->shelf = s;
	return ST_OK;
}

static void evp_fini(void *state)
{
	struct evp_key *k = state;

	for (size_t i = 0; i < SHELF; i++)
		EVP_CIPHER_CTX_free(atomic_load(&k->shelf->idle[i]));
	secret_release(k->shelf);
}

/* Runs s through the context, into out (NULL: as associated data). */
static bool ctx_update(EVP_CIPHER_CTX *c, struct span s, uint8_t *out)
{
	for (size_t at = 0; at < s.n; at += CHUNK) {
		size_t k = s.n - at < CHUNK ? s.n - at : CHUNK;
		int made;

		if (EVP_CipherUpdate(c, out == NULL ? NULL : out + at, &made, s.p + at, (int)k) !=
		    1)
			return false;
	}
	return true;
}

static bool ctx_seal(EVP_CIPHER_CTX *c, const uint8_t *nonce, struct span aad, struct span plain,
                     uint8_t *ret)
{
	uint8_t tail[AEAD_TAG_LEN]; /* GCM writes nothing at the end */
	int made;

	return EVP_CipherInit_ex2(c, NULL, NULL, nonce, 1, NULL) == 1 && ctx_update(c, aad, NULL) &&
	       ctx_update(c, plain, ret) && EVP_CipherFinal_ex(c, tail, &made) == 1 &&
	       EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, AEAD_TAG_LEN, ret + plain.n) == 1;
}

static enum status ctx_open(EVP_CIPHER_CTX *c, const uint8_t *nonce, struct span aad,
                            struct span text, uint8_t *tag, uint8_t *ret)
{
	uint8_t tail[AEAD_TAG_LEN];
	int made;

	if (EVP_CipherInit_ex2(c, NULL, NULL, nonce, 0, NULL) != 1 ||
	    EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, AEAD_TAG_LEN, tag) != 1 ||
	    !ctx_update(c, aad, NULL) || !ctx_update(c, text, ret))
		return ST_NOMEM;
	/* Compares the tags in constant time. */
	return EVP_CipherFinal_ex(c, tail, &made) == 1 ? ST_OK : ST_CORRUPT;
}

static enum status evp_seal(const void *state, const uint8_t *nonce, struct span aad,
                            struct span plain, uint8_t *ret)
{
	const struct evp_key *k = state;
	EVP_CIPHER_CTX *c = ctx_take(k->shelf);

	if (c == NULL)
		return ST_NOMEM;
	if (!ctx_seal(c, nonce, aad, plain, ret)) {
		/* A context in an unknown state is not used again; what it wrote so far is not handed out. */
		ERR_clear_error();
		EVP_CIPHER_CTX_free(c);
		wipe(ret, plain.n + AEAD_TAG_LEN);
		return ST_NOMEM;
	}
	ctx_give(k->shelf, c);
	return ST_OK;
}

static enum status evp_open(const void *state, const uint8_t *nonce, struct span aad,
                            struct span sealed, uint8_t *ret)
{
	const struct evp_key *k = state;
	const size_t n = sealed.n - AEAD_TAG_LEN;
	EVP_CIPHER_CTX *c = ctx_take(k->shelf);
	uint8_t tag[AEAD_TAG_LEN];
	enum status s = ST_NOMEM;

	if (c != NULL) {
		memcpy(tag, sealed.p + n, AEAD_TAG_LEN); /* the ctrl call takes no const */
		s = ctx_open(c, nonce, aad, span_of(sealed.p, n), tag, ret);
	}
	if (s == ST_OK) {
		ctx_give(k->shelf, c);
		return ST_OK;
	}
	ERR_clear_error();
	/* After a wrong tag the context is as good as before; after another failure nobody knows. */
	if (s == ST_CORRUPT)
		ctx_give(k->shelf, c);
	else
		EVP_CIPHER_CTX_free(c);
	if (n > 0)
		wipe(ret, n);
	return s;
}

const struct aead_impl gcm_evp = {
    .name = "evp",
    .state_len = sizeof(struct evp_key),
    .usable = evp_usable,
    .init = evp_init,
    .fini = evp_fini,
    .seal = evp_seal,
    .open = evp_open,
};
