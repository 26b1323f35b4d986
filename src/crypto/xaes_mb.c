/*
 * XAES-256-GCM by libipsec-mb.  The key is kept as AES round keys and K1.  A message costs two AES blocks, which the library has no
 * direct function for, so they are written out here; then the derived key is expanded in the thread's scratch memory, used by the
 * library's AES-GCM and wiped.
 */
#include "crypto/xaes_mb.h"

#include <string.h>
#include <wmmintrin.h>

#include "crypto/gcm_mb.h"
#include "crypto/scratch.h"
#include "crypto/xaes.h"

#define ROUNDS 14

struct xaes_key {
	__m128i round[ROUNDS + 1]; /* first: aligned to 64 */
	uint8_t k1[16];
};

struct xaes_scratch {
	struct gcm_key_data data; /* first: aligned to 64 */
	_Alignas(16) uint8_t key[32];
};
_Static_assert(sizeof(struct xaes_scratch) <= SCRATCH_BYTES, "fits the scratch memory");

/* FIPS 197, 5.1: two blocks in place, side by side, since each round waits for the one before. */
__attribute__((target("aes"))) static void encrypt2(const struct xaes_key *k,
                                                    uint8_t blocks[static 32])
{
	__m128i a = _mm_loadu_si128((const __m128i *)(const void *)blocks);
	__m128i b = _mm_loadu_si128((const __m128i *)(const void *)(blocks + 16));

	a = _mm_xor_si128(a, k->round[0]);
	b = _mm_xor_si128(b, k->round[0]);
	for (unsigned i = 1; i < ROUNDS; i++) {
		a = _mm_aesenc_si128(a, k->round[i]);
		b = _mm_aesenc_si128(b, k->round[i]);
	}
	a = _mm_aesenclast_si128(a, k->round[ROUNDS]);
	b = _mm_aesenclast_si128(b, k->round[ROUNDS]);
	_mm_storeu_si128((__m128i *)(void *)blocks, a);
	_mm_storeu_si128((__m128i *)(void *)(blocks + 16), b);
}

static enum status xaes_init(void *state, enum aead_alg alg, const uint8_t *key)
{
	const IMB_MGR *m = mb_manager();
	struct xaes_key *k = state;
	struct xaes_scratch *s = scratch_get();

	(void)alg;
	MUST(m != NULL);
	if (s == NULL)
		return ST_NOMEM;
	/* The round keys for decryption are not needed: they go where they are wiped. */
	IMB_AES_KEYEXP_256(m, key, k->round, s->data.expanded_keys);
	memset(s->key, 0, sizeof s->key);
	encrypt2(k, s->key);
	xaes_k1(s->key, k->k1);
	wipe(s, sizeof *s);
	return ST_OK;
}

/* Expands the key of the message with this nonce into s. */
static void derive(const IMB_MGR *m, const struct xaes_key *k, const uint8_t *nonce,
                   struct xaes_scratch *s)
{
	xaes_blocks(k->k1, nonce, s->key);
	encrypt2(k, s->key);
	IMB_AES256_GCM_PRE(m, s->key, &s->data);
}

static enum status xaes_seal(const void *state, const uint8_t *nonce, struct span aad,
                             struct span plain, uint8_t *ret)
{
	const IMB_MGR *m = mb_manager();
	struct xaes_scratch *s = scratch_get();

	if (s == NULL)
		return ST_NOMEM;
	derive(m, state, nonce, s);
	gcm_mb_seal_by(m->gcm256_enc, &s->data, nonce + XAES_NONCE_AT, aad, plain, ret);
	wipe(s, sizeof *s);
	return ST_OK;
}

static enum status xaes_open(const void *state, const uint8_t *nonce, struct span aad,
                             struct span sealed, uint8_t *ret)
{
	const IMB_MGR *m = mb_manager();
	struct xaes_scratch *s = scratch_get();
	enum status st;

	if (s == NULL) {
		if (sealed.n > AEAD_TAG_LEN)
			wipe(ret, sealed.n - AEAD_TAG_LEN);
		return ST_NOMEM;
	}
	derive(m, state, nonce, s);
	st = gcm_mb_open_by(m->gcm256_dec, &s->data, nonce + XAES_NONCE_AT, aad, sealed, ret);
	wipe(s, sizeof *s);
	return st;
}

const struct aead_impl xaes_mb = {
    .state_len = sizeof(struct xaes_key),
    .usable = mb_usable,
    .init = xaes_init,
    .fini = NULL,
    .seal = xaes_seal,
    .open = xaes_open,
};
