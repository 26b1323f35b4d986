/* An implementation of a cipher, as aead.c sees it.  Private to crypto/. */
#ifndef CRYPTO_AEAD_IMPL_H
#define CRYPTO_AEAD_IMPL_H

#include "crypto/aead.h"

/*
 * aead.c has checked every length: key and nonce are as the table says, texts are at most AEAD_TEXT_MAX, `sealed` holds a tag.  `state` lies
 * in guarded memory, aligned to 64, may hold anything before init, and is wiped by aead.c.
 */
struct aead_impl {
	size_t state_len;
	/* True when this processor has what it takes.  Any thread, any number of times. */
	bool (*usable)(void);
	/* Expand the key (key_len bytes of alg).  ST_NOMEM; then fini is not called. */
	enum status (*init)(void *state, enum aead_alg alg, const uint8_t *key);
	/* Give back what init took beyond `state`; NULL when nothing. */
	void (*fini)(void *state);
	/* As aead_seal and aead_open; any number of threads at once on one state.  When open fails for any reason, ret's plaintext bytes are zero. */
	enum status (*seal)(const void *state, const uint8_t *nonce, struct span aad,
	                    struct span plain, uint8_t *ret);
	enum status (*open)(const void *state, const uint8_t *nonce, struct span aad,
	                    struct span sealed, uint8_t *ret);
};

#endif
