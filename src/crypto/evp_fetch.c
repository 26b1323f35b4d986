#include "crypto/evp_fetch.h"

#include <openssl/err.h>
#include <stdatomic.h>

const EVP_CIPHER *evp_fetch_cipher(EVP_CIPHER *_Atomic *place, const char *name)
{
	EVP_CIPHER *there = atomic_load_explicit(place, memory_order_acquire), *made;

	if (there != NULL)
		return there;
	made = EVP_CIPHER_fetch(NULL, name, NULL);
	if (made == NULL) {
		ERR_clear_error();
		return NULL;
	}
	if (atomic_compare_exchange_strong(place, &there, made))
		return made;
	/* Another thread was first. */
	EVP_CIPHER_free(made);
	return there;
}

const EVP_MD *evp_fetch_md(EVP_MD *_Atomic *place, const char *name)
{
	EVP_MD *there = atomic_load_explicit(place, memory_order_acquire), *made;

	if (there != NULL)
		return there;
	made = EVP_MD_fetch(NULL, name, NULL);
	if (made == NULL) {
		ERR_clear_error();
		return NULL;
	}
	if (atomic_compare_exchange_strong(place, &there, made))
		return made;
	EVP_MD_free(made);
	return there;
}
