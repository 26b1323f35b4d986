/*
 * AES-GCM by libipsec-mb's direct functions: one call a message, and the expanded key is a plain struct in our guarded memory.
 *
 * One manager serves all threads.  A manager is a queue of jobs, which must not be shared, and beside it a table of function
 * pointers, set once when it is made.  Only the pointers are used here; the functions they name work on the key, the context and
 * the buffers of the call and touch nothing of the manager.
 */
#include "crypto/gcm_mb.h"

#include <intel-ipsec-mb.h>
#include <pthread.h>

#include "crypto/ct.h"

struct mb_key {
	struct gcm_key_data data; /* first: aligned to 64 */
	aes_gcm_enc_dec_t seal, open;
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static IMB_MGR *manager; /* NULL: not usable here */

static bool manager_fits(const IMB_MGR *m)
{
	const uint64_t cpu = IMB_FEATURE_AESNI | IMB_FEATURE_PCLMULQDQ;

	/* Without these the library emulates AES in tables that a secret indexes. */
	if ((m->features & cpu) != cpu || (m->features & IMB_FEATURE_AESNI_EMU) != 0)
		return false;
	if ((m->features & IMB_FEATURE_SELF_TEST) != 0)
		return (m->features & IMB_FEATURE_SELF_TEST_PASS) != 0;
	return true;
}

/* Kept for the life of the process. */
static void manager_make(void)
{
	IMB_MGR *m = alloc_mb_mgr(0);

	if (m == NULL)
		return;
	init_mb_mgr_auto(m, NULL);
	if (imb_get_errno(m) != 0 || !manager_fits(m)) {
		free_mb_mgr(m);
		return;
	}
	manager = m;
}

static bool mb_usable(void)
{
	MUST(pthread_once(&once, manager_make) == 0);
	return manager != NULL;
}

static enum status mb_init(void *state, enum aead_alg alg, const uint8_t *key)
{
	struct mb_key *k = state;

	MUST(mb_usable());
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

/* The library refuses NULL even where nothing is to be read or written, and says so only through an errno nobody can share. */
static const uint8_t nothing[16];

static const uint8_t *readable(struct span s)
{
	return s.n > 0 ? s.p : nothing;
}

static enum status mb_seal(const void *state, const uint8_t *nonce, struct span aad,
                           struct span plain, uint8_t *ret)
{
	const struct mb_key *k = state;
	struct gcm_context_data ctx;

	k->seal(&k->data, &ctx, ret, readable(plain), plain.n, nonce, readable(aad), aad.n,
	        ret + plain.n, AEAD_TAG_LEN);
	wipe(&ctx, sizeof ctx);
	return ST_OK;
}

static enum status mb_open(const void *state, const uint8_t *nonce, struct span aad,
                           struct span sealed, uint8_t *ret)
{
	const struct mb_key *k = state;
	const size_t n = sealed.n - AEAD_TAG_LEN;
	struct gcm_context_data ctx;
	uint8_t tag[AEAD_TAG_LEN], none[16];
	bool good;

	/* The plaintext is written before the tag is known; it is taken back below when the tag is wrong. */
	k->open(&k->data, &ctx, n > 0 ? ret : none, sealed.p, n, nonce, readable(aad), aad.n, tag,
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

const struct aead_impl gcm_mb = {
    .name = "mb",
    .state_len = sizeof(struct mb_key),
    .usable = mb_usable,
    .init = mb_init,
    .fini = NULL,
    .seal = mb_seal,
    .open = mb_open,
};
