#include "crypto/kwp.h"

#include <openssl/err.h>

#include "crypto/evp_fetch.h"

enum direction { UNWRAP, WRAP };

/* A context with key and default initial value set; NULL without memory. */
static EVP_CIPHER_CTX *ctx_new(struct span key, enum direction direction)
{
	static EVP_CIPHER *_Atomic wrap_pad;
	const EVP_CIPHER *cipher = evp_fetch_cipher(&wrap_pad, "AES-256-WRAP-PAD");
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();

	MUST(key.n == KWP_KEY_LEN);
	if (c == NULL || cipher == NULL)
		goto err;
	EVP_CIPHER_CTX_set_flags(c, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
	if (EVP_CipherInit_ex2(c, cipher, key.p, NULL, direction == WRAP, NULL) == 1)
		return c;
err:
	EVP_CIPHER_CTX_free(c);
	ERR_clear_error();
	return NULL;
}

enum status kwp_wrap(struct span key, struct span text, uint8_t *ret)
{
	EVP_CIPHER_CTX *c;
	int made = 0;
	bool done;

	if (text.n == 0 || text.n > KWP_TEXT_MAX)
		return ST_LIMIT;
	c = ctx_new(key, WRAP);
	if (c == NULL)
		return ST_NOMEM;
	/* RFC 5649, 4.1: one call, whatever the length. */
	done = EVP_EncryptUpdate(c, ret, &made, text.p, (int)text.n) == 1 &&
	       (size_t)made == KWP_LEN(text.n);
	EVP_CIPHER_CTX_free(c);
	if (done)
		return ST_OK;
	ERR_clear_error();
	wipe(ret, KWP_LEN(text.n));
	return ST_NOMEM;
}

enum status kwp_unwrap(struct span key, struct span wrapped, struct secret **ret)
{
	struct secret *room = NULL, *out = NULL;
	EVP_CIPHER_CTX *c = NULL;
	enum status st;
	int made = 0;

	if (wrapped.n > KWP_LEN(KWP_TEXT_MAX))
		return ST_LIMIT;
	/* RFC 5649, 4.2: at least two semiblocks. */
	if (wrapped.n % 8 != 0 || wrapped.n < 16)
		return ST_CORRUPT;
	st = secret_new(wrapped.n, &room);
	if (st != ST_OK)
		return st;
	c = ctx_new(key, UNWRAP);
	st = ST_NOMEM;
	if (c == NULL)
		goto end;
	(void)secret_starved(); /* what was before is not this call's */
	if (EVP_DecryptUpdate(c, secret_bytes(room), &made, wrapped.p, (int)wrapped.n) != 1 ||
	    made <= 0) {
		st = secret_starved() ? ST_NOMEM : ST_CORRUPT;
		goto end;
	}
	st = secret_from(span_of(secret_bytes(room), (size_t)made), &out);
	if (st == ST_OK)
		*ret = out;
end:
	EVP_CIPHER_CTX_free(c);
	ERR_clear_error();
	secret_free(&room);
	return st;
}
