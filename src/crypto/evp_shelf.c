#include "crypto/evp_shelf.h"

#include <openssl/err.h>
#include <stdatomic.h>
#include <string.h>

#include "crypto/secret.h"

/* More than this many threads on one key at once make contexts of their own for a call. */
#define SHELF   8
#define KEY_MAX 32

struct evp_shelf {
	_Atomic(EVP_CIPHER_CTX *) idle[SHELF];
	const EVP_CIPHER *cipher;
	size_t key_n;
	uint8_t key[KEY_MAX];
};

/* A context with the key set; NULL without memory. */
static EVP_CIPHER_CTX *ctx_new(const struct evp_shelf *s)
{
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();

	if (c == NULL)
		return NULL;
	if (EVP_EncryptInit_ex2(c, s->cipher, s->key_n > 0 ? s->key : NULL, NULL, NULL) != 1) {
		evp_shelf_drop(c);
		return NULL;
	}
	return c;
}

enum status evp_shelf_new(const EVP_CIPHER *cipher, struct span key, struct evp_shelf **ret)
{
	struct evp_shelf *s;
	EVP_CIPHER_CTX *c;

	MUST(key.n <= KEY_MAX);
	if (cipher == NULL)
		return ST_NOMEM;
	s = secret_alloc(sizeof(struct evp_shelf));
	if (s == NULL)
		return ST_NOMEM;
	s->cipher = cipher;
	s->key_n = key.n;
	if (key.n > 0)
		memcpy(s->key, key.p, key.n);
	c = ctx_new(s);
	if (c == NULL) {
		secret_release(s);
		return ST_NOMEM;
	}
	evp_shelf_give(s, c);
	*ret = s;
	return ST_OK;
}

void evp_shelf_free(struct evp_shelf **s)
{
	if (*s == NULL)
		return;
	for (size_t i = 0; i < SHELF; i++)
		EVP_CIPHER_CTX_free(atomic_load(&(*s)->idle[i]));
	secret_release(*s);
	*s = NULL;
}

EVP_CIPHER_CTX *evp_shelf_take(struct evp_shelf *s)
{
	for (size_t i = 0; i < SHELF; i++) {
		EVP_CIPHER_CTX *c =
		    atomic_exchange_explicit(&s->idle[i], NULL, memory_order_acquire);

		if (c != NULL)
			return c;
	}
	return ctx_new(s);
}

void evp_shelf_give(struct evp_shelf *s, EVP_CIPHER_CTX *c)
{
	for (size_t i = 0; i < SHELF; i++) {
		EVP_CIPHER_CTX *empty = NULL;

		if (atomic_compare_exchange_strong_explicit(
		        &s->idle[i], &empty, c, memory_order_release, memory_order_relaxed))
			return;
	}
	EVP_CIPHER_CTX_free(c);
}

void evp_shelf_drop(EVP_CIPHER_CTX *c)
{
	ERR_clear_error();
	EVP_CIPHER_CTX_free(c);
}
