/* AES-OFB by OpenSSL EVP, with contexts from the key's shelf. */
#include "crypto/ofb.h"

#include "crypto/evp_fetch.h"
#include "crypto/evp_shelf.h"
#include "crypto/secret.h"

#define OFB_MAGIC 0x0fb0fb0fU
/* EVP counts in int. */
#define CHUNK ((size_t)1 << 30)

struct ofb_key {
	uint32_t magic;
	struct evp_shelf
	    *shelf; /* behind a pointer: a key is const to its users, the shelf is not */
};

/* NULL without memory. */
static const EVP_CIPHER *cipher_for(size_t key_len)
{
	static EVP_CIPHER *_Atomic ofb128, *_Atomic ofb256;

	return key_len == 16 ? evp_fetch_cipher(&ofb128, "AES-128-OFB")
	                     : evp_fetch_cipher(&ofb256, "AES-256-OFB");
}

enum status ofb_key_new(struct span key, struct ofb_key **ret)
{
	struct ofb_key *k;
	enum status st;

	if (key.n != 16 && key.n != 32)
		return ST_INVALID;
	k = secret_alloc(sizeof *k);
	if (k == NULL)
		return ST_NOMEM;
	k->magic = OFB_MAGIC;
	st = evp_shelf_new(cipher_for(key.n), key, &k->shelf);
	if (st != ST_OK) {
		secret_release(k);
		return st;
	}
	*ret = k;
	return ST_OK;
}

void ofb_key_free(struct ofb_key **k)
{
	if (*k == NULL)
		return;
	MUST((*k)->magic == OFB_MAGIC);
	evp_shelf_free(&(*k)->shelf);
	(*k)->magic = 0;
	secret_release(*k);
	*k = NULL;
}

static bool ctx_crypt(EVP_CIPHER_CTX *c, const uint8_t *iv, struct span text, uint8_t *ret)
{
	if (EVP_CipherInit_ex2(c, NULL, NULL, iv, 1, NULL) != 1)
		return false;
	for (size_t at = 0; at < text.n; at += CHUNK) {
		size_t n = text.n - at < CHUNK ? text.n - at : CHUNK;
		int made;

		if (EVP_CipherUpdate(c, ret + at, &made, text.p + at, (int)n) != 1 ||
		    (size_t)made != n)
			return false;
	}
	return true;
}

enum status ofb_crypt(const struct ofb_key *k, const uint8_t iv[static OFB_IV_LEN],
                      struct span text, uint8_t *ret)
{
	EVP_CIPHER_CTX *c;

	MUST(k->magic == OFB_MAGIC);
	if (text.n > OFB_TEXT_MAX)
		return ST_LIMIT;
	c = evp_shelf_take(k->shelf);
	if (c != NULL && ctx_crypt(c, iv, text, ret)) {
		evp_shelf_give(k->shelf, c);
		return ST_OK;
	}
	if (c != NULL)
		evp_shelf_drop(c);
	if (text.n > 0)
		wipe(ret, text.n);
	return ST_NOMEM;
}
