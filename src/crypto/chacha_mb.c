/*
 * ChaCha20-Poly1305 by libipsec-mb's direct functions.  The key is 32 plain bytes; what is made of it for one message, the Poly1305 key
 * and for XChaCha20 the subkey, lies in the thread's scratch memory and is wiped.
 */
#include "crypto/chacha_mb.h"

#include <sodium.h>
#include <string.h>

#include "crypto/ct.h"
#include "crypto/mb.h"
#include "crypto/scratch.h"

#define KEY_LEN 32

struct chacha_key {
	uint8_t key[KEY_LEN];
};

struct chacha_scratch {
	struct chacha20_poly1305_context_data ctx;
	uint8_t subkey[KEY_LEN];
	uint8_t nonce[12];
};
_Static_assert(sizeof(struct chacha_scratch) <= SCRATCH_BYTES, "fits the scratch memory");

static enum status chacha_init(void *state, enum aead_alg alg, const uint8_t *key)
{
	struct chacha_key *k = state;

	(void)alg;
	memcpy(k->key, key, KEY_LEN);
	return ST_OK;
}

static void seal_in(struct chacha_scratch *s, const uint8_t *key, const uint8_t *nonce,
                    struct span aad, struct span plain, uint8_t *ret)
{
	const IMB_MGR *m = mb_manager();

	IMB_CHACHA20_POLY1305_INIT(m, key, &s->ctx, nonce, mb_readable(aad), aad.n);
	IMB_CHACHA20_POLY1305_ENC_UPDATE(m, key, &s->ctx, ret, mb_readable(plain), plain.n);
	IMB_CHACHA20_POLY1305_ENC_FINALIZE(m, &s->ctx, ret + plain.n, AEAD_TAG_LEN);
}

static enum status open_in(struct chacha_scratch *s, const uint8_t *key, const uint8_t *nonce,
                           struct span aad, struct span sealed, uint8_t *ret)
{
	const IMB_MGR *m = mb_manager();
	const size_t n = sealed.n - AEAD_TAG_LEN;
	uint8_t tag[AEAD_TAG_LEN], none[16];
	bool good;

	IMB_CHACHA20_POLY1305_INIT(m, key, &s->ctx, nonce, mb_readable(aad), aad.n);
	/* The plaintext is written before the tag is known; it is taken back below when the tag is wrong. */
	IMB_CHACHA20_POLY1305_DEC_UPDATE(m, key, &s->ctx, n > 0 ? ret : none, sealed.p, n);
	IMB_CHACHA20_POLY1305_DEC_FINALIZE(m, &s->ctx, tag, AEAD_TAG_LEN);
	good = ct_equal(span_of(tag, AEAD_TAG_LEN), span_of(sealed.p + n, AEAD_TAG_LEN));
	wipe(tag, sizeof tag);
	if (good)
		return ST_OK;
	if (n > 0)
		wipe(ret, n);
	return ST_CORRUPT;
}

/* Nothing could be derived: no plaintext. */
static enum status open_nomem(struct span sealed, uint8_t *ret)
{
	if (sealed.n > AEAD_TAG_LEN)
		wipe(ret, sealed.n - AEAD_TAG_LEN);
	return ST_NOMEM;
}

static enum status chacha_seal(const void *state, const uint8_t *nonce, struct span aad,
                               struct span plain, uint8_t *ret)
{
	const struct chacha_key *k = state;
	struct chacha_scratch *s = scratch_get();

	if (s == NULL)
		return ST_NOMEM;
	seal_in(s, k->key, nonce, aad, plain, ret);
	wipe(s, sizeof *s);
	return ST_OK;
}

static enum status chacha_open(const void *state, const uint8_t *nonce, struct span aad,
                               struct span sealed, uint8_t *ret)
{
	const struct chacha_key *k = state;
	struct chacha_scratch *s = scratch_get();
	enum status st;

	if (s == NULL)
		return open_nomem(sealed, ret);
	st = open_in(s, k->key, nonce, aad, sealed, ret);
	wipe(s, sizeof *s);
	return st;
}

/* draft-irtf-cfrg-xchacha-03, 2.3: the subkey of the first 16 bytes of the nonce, used with four zero bytes and the other eight. */
static void subkey_derive(struct chacha_scratch *s, const uint8_t *key, const uint8_t *nonce)
{
	MUST(crypto_core_hchacha20(s->subkey, nonce, key, NULL) == 0);
	memset(s->nonce, 0, 4);
	memcpy(s->nonce + 4, nonce + 16, 8);
}

static enum status xchacha_seal(const void *state, const uint8_t *nonce, struct span aad,
                                struct span plain, uint8_t *ret)
{
	const struct chacha_key *k = state;
	struct chacha_scratch *s = scratch_get();

	if (s == NULL)
		return ST_NOMEM;
	subkey_derive(s, k->key, nonce);
	seal_in(s, s->subkey, s->nonce, aad, plain, ret);
	wipe(s, sizeof *s);
	return ST_OK;
}

static enum status xchacha_open(const void *state, const uint8_t *nonce, struct span aad,
                                struct span sealed, uint8_t *ret)
{
	const struct chacha_key *k = state;
	struct chacha_scratch *s = scratch_get();
	enum status st;

	if (s == NULL)
		return open_nomem(sealed, ret);
	subkey_derive(s, k->key, nonce);
	st = open_in(s, s->subkey, s->nonce, aad, sealed, ret);
	wipe(s, sizeof *s);
	return st;
}

const struct aead_impl chacha_mb = {
    .state_len = sizeof(struct chacha_key),
    .usable = mb_usable,
    .init = chacha_init,
    .fini = NULL,
    .seal = chacha_seal,
    .open = chacha_open,
};

const struct aead_impl xchacha_mb = {
    .state_len = sizeof(struct chacha_key),
    .usable = mb_usable,
    .init = chacha_init,
    .fini = NULL,
    .seal = xchacha_seal,
    .open = xchacha_open,
};
