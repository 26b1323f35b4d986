/* ChaCha20-Poly1305 by libsodium: the key is 32 plain bytes in our guarded memory; the library wipes what it derives on the stack. */
#include "crypto/chacha_sodium.h"

#include <sodium.h>
#include <string.h>

#define KEY_LEN 32

struct chacha_key {
	uint8_t key[KEY_LEN];
};

static bool sodium_usable(void)
{
	/* Chooses the fastest code; does nothing when done before. */
	return sodium_init() >= 0;
}

static enum status sodium_key(void *state, enum aead_alg alg, const uint8_t *key)
{
	struct chacha_key *k = state;

	(void)alg;
	MUST(sodium_usable());
	memcpy(k->key, key, KEY_LEN);
	return ST_OK;
}

/* The library checks the tag before it writes, and writes zeros when it is wrong; where there is no text it is handed no pointer. */
static enum status opened(int result, size_t n, uint8_t *ret)
{
	if (result == 0)
		return ST_OK;
	if (n > 0)
		wipe(ret, n);
	return ST_CORRUPT;
}

static enum status chacha_seal(const void *state, const uint8_t *nonce, struct span aad,
                               struct span plain, uint8_t *ret)
{
	const struct chacha_key *k = state;

	MUST(crypto_aead_chacha20poly1305_ietf_encrypt_detached(ret, ret + plain.n, NULL, plain.p,
	                                                        plain.n, aad.p, aad.n, NULL, nonce,
	                                                        k->key) == 0);
	return ST_OK;
}

static enum status chacha_open(const void *state, const uint8_t *nonce, struct span aad,
                               struct span sealed, uint8_t *ret)
{
	const struct chacha_key *k = state;
	const size_t n = sealed.n - AEAD_TAG_LEN;
	uint8_t none[16];

	return opened(
	    crypto_aead_chacha20poly1305_ietf_decrypt_detached(
	        n > 0 ? ret : none, NULL, sealed.p, n, sealed.p + n, aad.p, aad.n, nonce, k->key),
	    n, ret);
}

static enum status xchacha_seal(const void *state, const uint8_t *nonce, struct span aad,
                                struct span plain, uint8_t *ret)
{
	const struct chacha_key *k = state;

	MUST(crypto_aead_xchacha20poly1305_ietf_encrypt_detached(ret, ret + plain.n, NULL, plain.p,
	                                                         plain.n, aad.p, aad.n, NULL, nonce,
	                                                         k->key) == 0);
	return ST_OK;
}

static enum status xchacha_open(const void *state, const uint8_t *nonce, struct span aad,
                                struct span sealed, uint8_t *ret)
{
	const struct chacha_key *k = state;
	const size_t n = sealed.n - AEAD_TAG_LEN;
	uint8_t none[16];

	return opened(
	    crypto_aead_xchacha20poly1305_ietf_decrypt_detached(
	        n > 0 ? ret : none, NULL, sealed.p, n, sealed.p + n, aad.p, aad.n, nonce, k->key),
	    n, ret);
}

const struct aead_impl chacha_sodium = {
    .state_len = sizeof(struct chacha_key),
    .usable = sodium_usable,
    .init = sodium_key,
    .fini = NULL,
    .seal = chacha_seal,
    .open = chacha_open,
};

const struct aead_impl xchacha_sodium = {
    .state_len = sizeof(struct chacha_key),
    .usable = sodium_usable,
    .init = sodium_key,
    .fini = NULL,
    .seal = xchacha_seal,
    .open = xchacha_open,
};
