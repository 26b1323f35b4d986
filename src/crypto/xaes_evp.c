/*
 * XAES-256-GCM by OpenSSL EVP.  Two shelves: AES-256 with the key set, for K1 and the messages' keys; AES-256-GCM without one, given the
 * key of each message, which it keeps (in OpenSSL's locked memory) until the next message or until the key is freed.
 */
#include "crypto/xaes_evp.h"

#include "crypto/evp_fetch.h"
#include "crypto/gcm_evp.h"
#include "crypto/xaes.h"

#define KEY_LEN 32

struct xaes_key {
	struct evp_shelf *block, *gcm;
	uint8_t k1[16];
};

static bool xaes_usable(void)
{
	return true;
}

/* AES-256 of n bytes, a multiple of 16, in place.  ECB needs no new start: each block stands alone. */
static enum status encrypt(struct evp_shelf *s, uint8_t *p, int n)
{
	EVP_CIPHER_CTX *c = evp_shelf_take(s);
	int made;

	if (c == NULL)
		return ST_NOMEM;
	if (EVP_EncryptUpdate(c, p, &made, p, n) != 1 || made != n) {
		evp_shelf_drop(c);
		return ST_NOMEM;
	}
	evp_shelf_give(s, c);
	return ST_OK;
}

static enum status xaes_init(void *state, enum aead_alg alg, const uint8_t *key)
{
	static EVP_CIPHER *_Atomic ecb;
	struct xaes_key *k = state;
	uint8_t l[16] = {0};
	enum status st;

	st = evp_shelf_new(evp_fetch_cipher(&ecb, "AES-256-ECB"), span_of(key, KEY_LEN), &k->block);
	if (st != ST_OK)
		goto err0;
	st = encrypt(k->block, l, sizeof l);
	xaes_k1(l, k->k1);
	wipe(l, sizeof l);
	if (st != ST_OK)
		goto err1;
	st = evp_shelf_new(gcm_evp_cipher(alg), span_of(NULL, 0), &k->gcm);
	if (st != ST_OK)
		goto err1;
	return ST_OK;

err1:
	evp_shelf_free(&k->block);
err0:
	return st;
}

static void xaes_fini(void *state)
{
	struct xaes_key *k = state;

	evp_shelf_free(&k->gcm);
	evp_shelf_free(&k->block);
}

static enum status derive(const struct xaes_key *k, const uint8_t *nonce, uint8_t *key)
{
	xaes_blocks(k->k1, nonce, key);
	return encrypt(k->block, key, KEY_LEN);
}

static enum status xaes_seal(const void *state, const uint8_t *nonce, struct span aad,
                             struct span plain, uint8_t *ret)
{
	const struct xaes_key *k = state;
	uint8_t key[KEY_LEN];
	enum status st = derive(k, nonce, key);

	if (st == ST_OK)
		st = gcm_evp_seal_by(k->gcm, key, nonce + XAES_NONCE_AT, aad, plain, ret);
	wipe(key, sizeof key);
	return st;
}

static enum status xaes_open(const void *state, const uint8_t *nonce, struct span aad,
                             struct span sealed, uint8_t *ret)
{
	const struct xaes_key *k = state;
	uint8_t key[KEY_LEN];
	enum status st = derive(k, nonce, key);

	if (st == ST_OK)
		st = gcm_evp_open_by(k->gcm, key, nonce + XAES_NONCE_AT, aad, sealed, ret);
	else if (sealed.n > AEAD_TAG_LEN)
		wipe(ret, sealed.n - AEAD_TAG_LEN);
	wipe(key, sizeof key);
	return st;
}

const struct aead_impl xaes_evp = {
    .state_len = sizeof(struct xaes_key),
    .usable = xaes_usable,
    .init = xaes_init,
    .fini = xaes_fini,
    .seal = xaes_seal,
    .open = xaes_open,
};
