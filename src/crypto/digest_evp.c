#include "crypto/digest_evp.h"

#include "crypto/evp_fetch.h"

static const char *const names[DIGEST_ALG_COUNT] = {
    [DIGEST_SHA1] = "SHA1",         [DIGEST_SHA2_224] = "SHA2-224", [DIGEST_SHA2_256] = "SHA2-256",
    [DIGEST_SHA2_384] = "SHA2-384", [DIGEST_SHA2_512] = "SHA2-512", [DIGEST_SHA3_224] = "SHA3-224",
    [DIGEST_SHA3_256] = "SHA3-256", [DIGEST_SHA3_384] = "SHA3-384", [DIGEST_SHA3_512] = "SHA3-512",
};

const EVP_MD *digest_evp(enum digest_alg alg)
{
	static EVP_MD *_Atomic fetched[DIGEST_ALG_COUNT];

	MUST((unsigned)alg < DIGEST_ALG_COUNT);
	return evp_fetch_md(&fetched[alg], names[alg]);
}
