/*
 * Asymmetric keys: Ed25519 (RFC 8032), ECDSA on the NIST curves (FIPS 186-4), RSA (RFC 8017).  Signing: pkey_sign.h; encryption: pkey_crypt.h; DER, PEM:
 * pkey_text.h; certificates: cert.h.
 *
 * A key is immutable once made, counted by reference, and may be used by any number of threads at once.  It lies in locked memory, and so does
 * all that OpenSSL makes of it.  The randomness of key generation and of signatures is OpenSSL's own generator (CTR_DRBG, seeded from
 * getrandom(2)); an Ed25519 seed comes from random_system.
 */
#ifndef CRYPTO_PKEY_H
#define CRYPTO_PKEY_H

#include "crypto/secret.h"

enum pkey_alg {
	PKEY_ED25519,
	PKEY_P256,
	PKEY_P384,
	PKEY_P521,
	PKEY_RSA2048,
	PKEY_RSA3072,
	PKEY_RSA4096,
	PKEY_ALG_COUNT
};

enum pkey_kind { PKEY_KIND_ED25519, PKEY_KIND_EC, PKEY_KIND_RSA };

struct pkey_info {
	const char *name; /* as the Vault API's key types: "ed25519", "ecdsa-p256", "rsa-2048" */
	enum pkey_kind kind;
	size_t len; /* bytes of a public or private value: Ed25519 32, a coordinate, the modulus */
};
const struct pkey_info *pkey_info(enum pkey_alg alg);

struct pkey;

/* pkey_generate(alg, ret): a new private key; the caller has the one reference.  RSA takes from 50 ms to seconds: on the pool.  ST_NOMEM. */
MUST_USE enum status pkey_generate(enum pkey_alg alg, struct pkey **ret);

/* pkey_ref(k): one more reference to k, for pkey_unref.  pkey_unref: the last one wipes and frees.  Any thread. */
struct pkey *pkey_ref(struct pkey *k);
void pkey_unref(struct pkey **k);

enum pkey_alg pkey_alg(const struct pkey *k);
bool pkey_has_private(const struct pkey *k);
/* pkey_match(a, b): ST_OK when algorithm and public key are the same, ST_CONFLICT when not; ST_NOMEM. */
MUST_USE enum status pkey_match(const struct pkey *a, const struct pkey *b);

/*
 * A key as numbers, big-endian; leading zeros do not matter on input.  Which are used depends on the kind:
 *   Ed25519  d (the seed), x (the public key): just 32 bytes each; one of them may be empty
 *   EC       d, x, y; d empty: a public key; x and y empty: computed from d
 *   RSA      n, e, d, p, q, dp, dq, qinv; d to qinv empty: a public key
 */
struct pkey_parts {
	struct span d, x, y;
	struct span n, e, p, q, dp, dq, qinv;
	struct secret *home; /* what the spans lie in, when pkey_parts made them */
};

/*
 * PKEY_CHECKED: all that comes from outside.  The public half must belong to the private one, a point lie on its curve, two primes of equal length
 * multiply to n, d fit e and the primes, a signature verify; dp, dq and qinv are computed, whatever stands there.
 * PKEY_TRUSTED: what a key of ours gave before and a MAC has kept since; what is wrong there may give a key that does not work.
 */
enum pkey_trust { PKEY_CHECKED, PKEY_TRUSTED };

/*
 * pkey_from_parts(alg, parts, trust, ret): a key of just that algorithm: the modulus has all its bits, e is odd, above 1 and below 2^31.  ST_INVALID: the
 * parts are not such a key.  ST_NOMEM.  PKEY_CHECKED costs some signatures.
 */
MUST_USE enum status pkey_from_parts(enum pkey_alg alg, const struct pkey_parts *parts,
                                     enum pkey_trust trust, struct pkey **ret);

/* pkey_parts(k, ret): everything that k has; an Ed25519 value and a coordinate in full length, RSA's numbers without leading zeros.  ST_NOMEM.
 * pkey_parts_free: wiped. */
MUST_USE enum status pkey_parts(const struct pkey *k, struct pkey_parts *ret);
void pkey_parts_free(struct pkey_parts *p);

#endif
