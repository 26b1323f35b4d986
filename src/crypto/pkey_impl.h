/* What a key is made of, for the files of pkey.  Private to them. */
#ifndef CRYPTO_PKEY_IMPL_H
#define CRYPTO_PKEY_IMPL_H

#include <openssl/bn.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <stdatomic.h>

#include "crypto/digest.h"
#include "crypto/pkey.h"

#define PKEY_MAGIC   0x9ce7a1c3U
#define ED25519_LEN  ((size_t)32)
#define PKEY_LEN_MAX ((size_t)512) /* RSA-4096 */

enum pkey_op { OP_SIGN, OP_VERIFY, OP_ENCRYPT, OP_DECRYPT };
enum pkey_padding { PADDING_NONE, PADDING_PKCS1, PADDING_PSS, PADDING_OAEP };

/* What an OpenSSL context was set up for.  EC has the operation alone. */
struct pkey_use {
	enum pkey_op op;
	enum pkey_padding padding;
	enum digest_alg digest; /* DIGEST_ALG_COUNT: none */
	int salt_len;           /* PSS, as OpenSSL counts it */
};

/*
 * Contexts that wait for their next use: setting one up costs a tenth of a P-256 signature, and it may be used by one thread at a time.
 * A call takes one that fits (or makes one) and puts it back; a full shelf lets the oldest go.
 */
#define PKEY_SHELF 8
struct pkey_ctx;
struct pkey_shelf {
	_Atomic(struct pkey_ctx *) idle[PKEY_SHELF];
	_Atomic unsigned turn; /* which place gives way when all are taken */
};

struct pkey {
	uint32_t magic;
	enum pkey_alg alg;
	bool has_private;
	_Atomic uint32_t refs;
	/* EC and RSA; the shelf is behind a pointer, since a key is const to its users and the shelf is not. */
	EVP_PKEY *evp;
	struct pkey_shelf *shelf;
	uint8_t ed25519
	    [2 *
	     ED25519_LEN]; /* seed and public key, as libsodium takes them; a public key alone has no seed */
};

/* pkey_new(alg, ret): with one reference and nothing else.  ST_NOMEM. */
MUST_USE enum status pkey_new(enum pkey_alg alg, struct pkey **ret);

/* pkey_ed25519_set(k, seed): the seed, and the public key that belongs to it.  pkey_ed25519_public(k): the 32 bytes. */
void pkey_ed25519_set(struct pkey *k, const uint8_t seed[static ED25519_LEN]);
struct span pkey_ed25519_public(const struct pkey *k);

/*
 * pkey_ctx_take(k, use, ret): a context for that use.  ST_NOMEM; ST_INVALID when OpenSSL refuses the use (a salt too long).
 * pkey_ctx_done(k, c, rc, other): it was used, with what result by OpenSSL's count.  ST_OK, or `other`: c waits for the next use.  ST_NOMEM: memory was refused on
 * the way: whatever came of it is not to be trusted, even when rc is 1, and c is gone.
 */
struct pkey_ctx {
	EVP_PKEY_CTX *evp;
	struct pkey_use use;
};
MUST_USE enum status pkey_ctx_take(const struct pkey *k, const struct pkey_use *use,
                                   struct pkey_ctx **ret);
MUST_USE enum status pkey_ctx_done(const struct pkey *k, struct pkey_ctx *c, int rc,
                                   enum status other);
void pkey_shelf_free(struct pkey_shelf **s);

/*
 * Making an object of OpenSSL from parameters: numbers are gathered, then made into a key of a type, "EC" or "RSA".  gather_number: s is big-endian
 * and treated as a secret.  gathered_key: ST_INVALID when OpenSSL refuses them, ST_NOMEM also when something could not be gathered.
 */
#define GATHER_MAX 8
struct gathered {
	OSSL_PARAM_BLD *bld;
	BIGNUM *numbers[GATHER_MAX];
	size_t n;
	enum pkey_half { HALF_PUBLIC, HALF_BOTH } half;
	bool failed;
};
void gather_begin(struct gathered *g, enum pkey_half half);
void gather_number(struct gathered *g, const char *name, struct span s);
void gather_text(struct gathered *g, const char *name, const char *text);
void gather_bytes(struct gathered *g, const char *name, struct span s);
MUST_USE enum status gathered_key(struct gathered *g, const char *type, EVP_PKEY **ret);
void gather_end(struct gathered *g);

/* number_new(s): a number for OpenSSL, treated as a secret; NULL without memory. */
BIGNUM *number_new(struct span s);
/* span_strip(s): without leading zeros. */
struct span span_strip(struct span s);

/* The two kinds that OpenSSL computes, each in its own file; k is new and gets its evp. */
MUST_USE enum status pkey_ec_set(struct pkey *k, const struct pkey_parts *p, enum pkey_trust trust);
MUST_USE enum status pkey_ec_get(const struct pkey *k, struct pkey_parts *ret);
MUST_USE enum status pkey_rsa_set(struct pkey *k, const struct pkey_parts *p,
                                  enum pkey_trust trust);
MUST_USE enum status pkey_rsa_get(const struct pkey *k, struct pkey_parts *ret);

/* pkey_number(k, name, out, n, ret): the number of that name into at most n bytes at out, without leading zeros; with pkey_coordinate into just n. */
MUST_USE enum status pkey_number(const struct pkey *k, const char *name, uint8_t *out, size_t n,
                                 struct span *ret);
MUST_USE enum status pkey_coordinate(const struct pkey *k, const char *name, uint8_t *out, size_t n,
                                     struct span *ret);

/* Object identifiers, as DER holds them. */
enum pkey_oid {
	OID_RSA,
	OID_RSA_PSS,
	OID_EC,
	OID_P256,
	OID_P384,
	OID_P521,
	OID_ED25519,
	OID_ED25519_NSS, /* draft-josefsson-pkix-newcurves-01 */
	OID_RSA_SHA256,  /* signatures, from here on */
	OID_ECDSA_SHA256,
	OID_ECDSA_SHA384,
	OID_ECDSA_SHA512,
	OID_COUNT
};
struct span pkey_oid(enum pkey_oid oid);
MUST_USE enum status pkey_oid_find(struct span bytes, enum pkey_oid *ret);
enum pkey_oid pkey_curve_oid(enum pkey_alg alg);

/*
 * pkey_failed(other): after a call of OpenSSL that failed: ST_NOMEM if it was refused memory since secret_starved was asked last, which is done before a call whose failure
 * has a meaning; else `other`.  OpenSSL's own errors do not tell reliably; they are cleared.
 */
enum status pkey_failed(enum status other);

/* pkey_curve(alg): OpenSSL's name of the curve. */
const char *pkey_curve(enum pkey_alg alg);

#endif
