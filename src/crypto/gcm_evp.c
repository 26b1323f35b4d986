/* AES-GCM by OpenSSL EVP, with contexts from the key's shelf. */
#include "crypto/gcm_evp.h"

#include <openssl/err.h>
#include <string.h>

#include "crypto/evp_fetch.h"

/* EVP counts in int. */
#define CHUNK ((size_t)1 << 30)

struct evp_key {
	struct evp_shelf
	    *shelf; /* behind a pointer: a key is const to its users, the shelf is not */
};

const EVP_CIPHER *gcm_evp_cipher(enum aead_alg alg)
{
	static EVP_CIPHER *_Atomic gcm128, *_Atomic gcm256;

	return alg == AEAD_AES128_GCM ? evp_fetch_cipher(&gcm128, "AES-128-GCM")
	                              : evp_fetch_cipher(&gcm256, "AES-256-GCM");
}

static bool evp_usable(void)
{
	return true;
}

static enum status evp_init(void *state, enum aead_alg alg, const uint8_t *key)
{
	struct evp_key *k = state;

	return evp_shelf_new(gcm_evp_cipher(alg), span_of(key, aead_info(alg)->key_len), &k->shelf);
}

static void evp_fini(void *state)
{
	struct evp_key *k = state;

	evp_shelf_free(&k->shelf);
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

/* The default nonce of EVP's GCM is 12 bytes, which is what we use. */
static bool ctx_seal(EVP_CIPHER_CTX *c, const uint8_t *key, const uint8_t *nonce, struct span aad,
                     struct span plain, uint8_t *ret)
{
	uint8_t tail[AEAD_TAG_LEN]; /* GCM writes nothing at the end */
	int made;

	return EVP_CipherInit_ex2(c, NULL, key, nonce, 1, NULL) == 1 && ctx_update(c, aad, NULL) &&
	       ctx_update(c, plain, ret) && EVP_CipherFinal_ex(c, tail, &made) == 1 &&
	       EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, AEAD_TAG_LEN, ret + plain.n) == 1;
}

static enum status ctx_open(EVP_CIPHER_CTX *c, const uint8_t *key, const uint8_t *nonce,
                            struct span aad, struct span text, uint8_t *tag, uint8_t *ret)
{
	uint8_t tail[AEAD_TAG_LEN];
	int made;

	if (EVP_CipherInit_ex2(c, NULL, key, nonce, 0, NULL) != 1 ||
	    EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, AEAD_TAG_LEN, tag) != 1 ||
	    !ctx_update(c, aad, NULL) || !ctx_update(c, text, ret))
		return ST_NOMEM;
	/* Compares the tags in constant time. */
	return EVP_CipherFinal_ex(c, tail, &made) == 1 ? ST_OK : ST_CORRUPT;
}

enum status gcm_evp_seal_by(struct evp_shelf *s, const uint8_t *key, const uint8_t *nonce,
                            struct span aad, struct span plain, uint8_t *ret)
{
	EVP_CIPHER_CTX *c = evp_shelf_take(s);

	if (c == NULL)
		return ST_NOMEM;
	if (!ctx_seal(c, key, nonce, aad, plain, ret)) {
		evp_shelf_drop(c);
		/* What it wrote so far is not handed out. */
		wipe(ret, plain.n + AEAD_TAG_LEN);
		return ST_NOMEM;
	}
	evp_shelf_give(s, c);
	return ST_OK;
}

enum status gcm_evp_open_by(struct evp_shelf *s, const uint8_t *key, const uint8_t *nonce,
                            struct span aad, struct span sealed, uint8_t *ret)
{
	const size_t n = sealed.n - AEAD_TAG_LEN;
	EVP_CIPHER_CTX *c = evp_shelf_take(s);
	uint8_t tag[AEAD_TAG_LEN];
	enum status st = ST_NOMEM;

	if (c != NULL) {
		memcpy(tag, sealed.p + n, AEAD_TAG_LEN); /* the ctrl call takes no const */
		st = ctx_open(c, key, nonce, aad, span_of(sealed.p, n), tag, ret);
	}
	if (st == ST_OK) {
		evp_shelf_give(s, c);
		return ST_OK;
	}
	ERR_clear_error();
	/* After a wrong tag the context is as good as before; after another failure nobody knows. */
	if (st == ST_CORRUPT)
		evp_shelf_give(s, c);
	else
		evp_shelf_drop(c);
	if (n > 0)
		wipe(ret, n);
	return st;
}

static enum status evp_seal(const void *state, const uint8_t *nonce, struct span aad,
                            struct span plain, uint8_t *ret)
{
	const struct evp_key *k = state;

	return gcm_evp_seal_by(k->shelf, NULL, nonce, aad, plain, ret);
}

static enum status evp_open(const void *state, const uint8_t *nonce, struct span aad,
                            struct span sealed, uint8_t *ret)
{
	const struct evp_key *k = state;

	return gcm_evp_open_by(k->shelf, NULL, nonce, aad, sealed, ret);
}

const struct aead_impl gcm_evp = {
    .state_len = sizeof(struct evp_key),
    .usable = evp_usable,
    .init = evp_init,
    .fini = evp_fini,
    .seal = evp_seal,
    .open = evp_open,
};
