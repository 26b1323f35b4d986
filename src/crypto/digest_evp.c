#include "crypto/digest_evp.h"

#include <openssl/err.h>
#include <pthread.h>

static const char *const names[DIGEST_ALG_COUNT] = {
    [DIGEST_SHA1] = "SHA1",         [DIGEST_SHA2_224] = "SHA2-224", [DIGEST_SHA2_256] = "SHA2-256",
    [DIGEST_SHA2_384] = "SHA2-384", [DIGEST_SHA2_512] = "SHA2-512", [DIGEST_SHA3_224] = "SHA3-224",
    [DIGEST_SHA3_256] = "SHA3-256", [DIGEST_SHA3_384] = "SHA3-384", [DIGEST_SHA3_512] = "SHA3-512",
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static EVP_MD *fetched[DIGEST_ALG_COUNT];

static void fetch(void)
{
	for (size_t i = 0; i < DIGEST_ALG_COUNT; i++)
		fetched[i] = EVP_MD_fetch(NULL, names[i], NULL);
	ERR_clear_error();
}

const EVP_MD *digest_evp(enum digest_alg alg)
{
	MUST((unsigned)alg < DIGEST_ALG_COUNT);
	MUST(pthread_once(&once, fetch) == 0);
	return fetched[alg];
}

const char *digest_evp_name(enum digest_alg alg)
{
	MUST((unsigned)alg < DIGEST_ALG_COUNT);
	return names[alg];
}
