/*
 * Signatures.  Sources: RFC 8032 (Ed25519, the pure form), FIPS 186-4 (ECDSA), RFC 8017 (RSASSA-PSS, RSASSA-PKCS1-v1_5).
 * RSA signs in the order of 250 us (2048 bits) to 1.5 ms (4096), P-384 in 770, P-521 in 260, P-256 in 20, Ed25519 in 16.
 */
#ifndef CRYPTO_PKEY_SIGN_H
#define CRYPTO_PKEY_SIGN_H

#include "crypto/digest.h"
#include "crypto/pkey.h"

/* PKEY_MESSAGE: the input is hashed.  PKEY_PREHASHED: the input is the hash, in the digest's length. */
enum pkey_input { PKEY_MESSAGE, PKEY_PREHASHED };
/* How an ECDSA signature is written: ASN.1 (SEC 1, C.5), or r and s in the curve's length each (IEEE P1363; JWS, RFC 7518). */
enum pkey_form { PKEY_ASN1, PKEY_JWS };
enum pkey_rsa_padding { PKEY_PSS, PKEY_PKCS1 };

/* PKCS#1 v1.5 without a hash: the input is padded as it is (at most the modulus - 11 bytes), with no DigestInfo. */
#define PKEY_DIGEST_NONE DIGEST_ALG_COUNT

/* PSS: the longest salt when signing, any when verifying; as long as the hash; or a number of bytes. */
#define PKEY_SALT_AUTO 0
#define PKEY_SALT_HASH (-1)
#define PKEY_SALT_NONE (-2)

/* How to sign; a zeroed one with a digest is PSS over a message with PKEY_SALT_AUTO, or ASN.1.  What a kind has no use for is ignored; MGF1 has the
 * signature's digest.  Ed25519 signs the input itself: digest is ignored, PKEY_PREHASHED refused. */
struct pkey_how {
	enum digest_alg digest;
	enum pkey_input input;
	enum pkey_form form;
	enum pkey_rsa_padding padding;
	int salt; /* bytes above 0, or one of the names */
};

/* The longest signature: RSA-4096. */
#define PKEY_SIG_MAX 512

/*
 * pkey_sign(k, how, input, sig, ret_n): ret_n bytes at sig.  ST_UNAVAILABLE: no private key.  ST_UNSUPPORTED: prehashed Ed25519, or no digest where one is
 * needed.  ST_INVALID: a prehashed input of another length than the digest's, too long without one, a salt that does not fit.
 * ST_NOMEM.  Any thread.  CT: lengths only, as far as OpenSSL and libsodium.
 */
MUST_USE enum status pkey_sign(const struct pkey *k, const struct pkey_how *how, struct span input,
                               uint8_t sig[static PKEY_SIG_MAX], size_t *ret_n);

/*
 * pkey_verify(k, how, input, sig): ST_OK when sig is k's; ST_DENIED when it is not, malformed ones included.  Otherwise as pkey_sign; a private key is
 * not needed.  Ed25519: S must be below the order of the group, and neither public key nor R of small order.
 */
MUST_USE enum status pkey_verify(const struct pkey *k, const struct pkey_how *how,
                                 struct span input, struct span sig);

#endif
