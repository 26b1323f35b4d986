/* AES-GCM by libipsec-mb's direct functions: one call a message, and the expanded key is a plain struct in our guarded memory. */
#include "crypto/gcm_mb.h"

#include "crypto/ct.h"
#include "crypto/mb.h"

struct mb_key {
	struct gcm_key_data data; /* first: aligned to 64 */
	aes_gcm_enc_dec_t seal, open;
};

static enum status mb_init(void *state, enum aead_alg alg, const uint8_t *key)
{
	const IMB_MGR *manager = mb_manager();
	struct mb_key *k = state;

	MUST(manager != NULL);
	if (alg == AEAD_AES128_GCM) {
		IMB_AES128_GCM_PRE(manager, key, &k->data);
		k->seal = manager->gcm128_enc;
		k->open = manager->gcm128_dec;
	} else {
		IMB_AES256_GCM_PRE(manager, key, &k->data);
		k->seal = manager->gcm256_enc;
		k->open = manager->gcm256_dec;
	}
	return ST_OK;
}

void gcm_mb_seal_by(aes_gcm_enc_dec_t seal, const struct gcm_key_data *key, const uint8_t *nonce,
                    struct span aad, struct span plain, uint8_t *ret)
{
	struct gcm_context_data ctx;

	seal(key, &ctx, ret, mb_readable(plain), plain.n, nonce, mb_readable(aad), aad.n,
	     ret + plain.n, AEAD_TAG_LEN);
	wipe(&ctx, sizeof ctx);
}

enum status gcm_mb_open_by(aes_gcm_enc_dec_t open, const struct gcm_key_data *key,
                           const uint8_t *nonce, struct span aad, struct span sealed, uint8_t *ret)
{
	const size_t n = sealed.n - AEAD_TAG_LEN;
	struct gcm_context_data ctx;
	uint8_t tag[AEAD_TAG_LEN], none[16];
	bool good;

	/* The plaintext is written before the tag is known; it is taken back below when the tag is wrong. */
	open(key, &ctx, n > 0 ? ret : none, sealed.p, n, nonce, mb_readable(aad), aad.n, tag,
	     AEAD_TAG_LEN);
	good = ct_equal(span_of(tag, AEAD_TAG_LEN), span_of(sealed.p + n, AEAD_TAG_LEN));
	wipe(&ctx, sizeof ctx);
	wipe(tag, sizeof tag);
	if (good)
		return ST_OK;
	if (n > 0)
		wipe(ret, n);
	return ST_CORRUPT;
}

static enum status mb_seal(const void *state, const uint8_t *nonce, struct span aad,
                           struct span plain, uint8_t *ret)
{
	const struct mb_key *k = state;

	gcm_mb_seal_by(k->seal, &k->data, nonce, aad, plain, ret);
	return ST_OK;
}

static enum status mb_open(const void *state, const uint8_t *nonce, struct span aad,
                           struct span sealed, uint8_t *ret)
{
	const struct mb_key *k = state;

	return gcm_mb_open_by(k->open, &k->data, nonce, aad, sealed, ret);
}

const struct aead_impl gcm_mb = {
    .state_len = sizeof(struct mb_key),
    .usable = mb_usable,
    .init = mb_init,
    .fini = NULL,
    .seal = mb_seal,
    .open = mb_open,
};
