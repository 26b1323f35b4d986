/*
 * Signing and verifying.  What can go wrong when verifying: the signature has another form or length than the key's (wrong), OpenSSL cannot read
 * it (wrong), it does not belong to the input (wrong), memory runs out (not a verdict).
 */
#include "crypto/pkey_sign.h"

#include <openssl/err.h>
#include <openssl/rsa.h>
#include <sodium.h>
#include <string.h>

#include "crypto/der.h"
#include "crypto/pkey_impl.h"

#define COORDINATE_MAX ((size_t)66)
/* A SEQUENCE of two INTEGERs of P-521. */
#define ASN1_MAX (2 * (COORDINATE_MAX + 4) + 4)

/* ------------------------------------------------------------ what is signed */

/* What OpenSSL is given; it lies in the input or in hash. */
static enum status hashed(const struct pkey_how *how, struct span input,
                          uint8_t hash[static DIGEST_LEN_MAX], struct span *ret)
{
	enum status s;

	if (how->digest == PKEY_DIGEST_NONE) {
		*ret = input;
		return ST_OK;
	}
	if (how->input == PKEY_PREHASHED) {
		if (input.n != digest_len(how->digest))
			return ST_INVALID;
		*ret = input;
		return ST_OK;
	}
	s = digest_of(how->digest, &input, 1, hash);
	if (s == ST_OK)
		*ret = span_of(hash, digest_len(how->digest));
	return s;
}

/* How OpenSSL counts a salt; ST_INVALID for what no key has room for. */
static enum status salt_of(const struct pkey_how *how, int *ret)
{
	if (how->salt < PKEY_SALT_NONE || how->salt > PKEY_SIG_MAX)
		return ST_INVALID;
	if (how->salt == PKEY_SALT_AUTO)
		*ret = RSA_PSS_SALTLEN_AUTO;
	else if (how->salt == PKEY_SALT_HASH)
		*ret = RSA_PSS_SALTLEN_DIGEST;
	else
		*ret = how->salt == PKEY_SALT_NONE ? 0 : how->salt;
	return ST_OK;
}

static enum status use_of(const struct pkey *k, const struct pkey_how *how, enum pkey_op op,
                          struct pkey_use *ret)
{
	*ret = (struct pkey_use){.op = op, .digest = DIGEST_ALG_COUNT};
	if (pkey_info(k->alg)->kind == PKEY_KIND_EC)
		return how->digest == PKEY_DIGEST_NONE ? ST_UNSUPPORTED : ST_OK;
	ret->digest = how->digest;
	if (how->padding == PKEY_PKCS1) {
		ret->padding = PADDING_PKCS1;
		return ST_OK;
	}
	ret->padding = PADDING_PSS;
	if (how->digest == PKEY_DIGEST_NONE)
		return ST_UNSUPPORTED;
	return salt_of(how, &ret->salt_len);
}

/* ------------------------------------------------------------ the two forms of ECDSA */

static bool full_width(struct span number, size_t len, uint8_t *out)
{
	if (number.n > len)
		return false;
	memset(out, 0, len - number.n);
	if (number.n > 0)
		memcpy(out + len - number.n, number.p, number.n);
	return true;
}

/* ASN.1 to r and s; OpenSSL made it. */
static void to_jws(struct span asn1, size_t len, uint8_t *out)
{
	struct cursor c = cursor_of(asn1), body = {0};
	struct span r = {0}, s = {0};

	MUST(der_enter(&c, DER_SEQUENCE, &body) == ST_OK && der_uint(&body, &r) == ST_OK &&
	     der_uint(&body, &s) == ST_OK && der_end(&body) == ST_OK);
	MUST(full_width(r, len, out) && full_width(s, len, out + len));
}

static struct span to_asn1(struct span jws, uint8_t buf[static ASN1_MAX])
{
	const size_t len = jws.n / 2;
	struct der_writer w;
	size_t mark;

	der_writer_init(&w, buf, ASN1_MAX);
	mark = der_mark(&w);
	der_put_uint(&w, span_of(jws.p + len, len));
	der_put_uint(&w, span_of(jws.p, len));
	der_close(&w, mark, DER_SEQUENCE);
	return der_written(&w);
}

/* ------------------------------------------------------------ signing */

static enum status sign_ed25519(const struct pkey *k, const struct pkey_how *how, struct span input,
                                uint8_t *sig, size_t *ret_n)
{
	if (how->input == PKEY_PREHASHED)
		return ST_UNSUPPORTED;
	MUST(crypto_sign_detached(sig, NULL, input.p, input.n, k->ed25519) == 0);
	*ret_n = crypto_sign_BYTES;
	return ST_OK;
}

/* By OpenSSL, into sig, which has PKEY_SIG_MAX bytes. */
static enum status sign_evp(const struct pkey *k, const struct pkey_use *use, struct span text,
                            uint8_t *sig, size_t *ret_n)
{
	size_t n = PKEY_SIG_MAX;
	struct pkey_ctx *c;
	enum status s;

	s = pkey_ctx_take(k, use, &c);
	if (s != ST_OK)
		return s;
	s = pkey_ctx_done(k, c, EVP_PKEY_sign(c->evp, sig, &n, text.p, text.n), ST_INVALID);
	if (s == ST_OK)
		*ret_n = n;
	return s;
}

static enum status sign_jws(const struct pkey *k, const struct pkey_use *use, struct span text,
                            uint8_t *sig, size_t *ret_n)
{
	const size_t len = pkey_info(k->alg)->len;
	uint8_t asn1[PKEY_SIG_MAX];
	enum status s;
	size_t n;

	s = sign_evp(k, use, text, asn1, &n);
	if (s != ST_OK)
		return s;
	to_jws(span_of(asn1, n), len, sig);
	*ret_n = 2 * len;
	return ST_OK;
}

enum status pkey_sign(const struct pkey *k, const struct pkey_how *how, struct span input,
                      uint8_t sig[static PKEY_SIG_MAX], size_t *ret_n)
{
	uint8_t hash[DIGEST_LEN_MAX];
	struct pkey_use use;
	struct span text;
	enum status s;

	MUST(k->magic == PKEY_MAGIC);
	if (!k->has_private)
		return ST_UNAVAILABLE;
	if (k->alg == PKEY_ED25519)
		return sign_ed25519(k, how, input, sig, ret_n);
	s = use_of(k, how, OP_SIGN, &use);
	if (s == ST_OK)
		s = hashed(how, input, hash, &text);
	if (s != ST_OK)
		return s;
	if (pkey_info(k->alg)->kind == PKEY_KIND_EC && how->form == PKEY_JWS)
		return sign_jws(k, &use, text, sig, ret_n);
	return sign_evp(k, &use, text, sig, ret_n);
}

/* ------------------------------------------------------------ verifying */

static enum status verify_ed25519(const struct pkey *k, const struct pkey_how *how,
                                  struct span input, struct span sig)
{
	if (how->input == PKEY_PREHASHED)
		return ST_UNSUPPORTED;
	if (sig.n != crypto_sign_BYTES)
		return ST_DENIED;
	return crypto_sign_verify_detached(sig.p, input.p, input.n, pkey_ed25519_public(k).p) == 0
	           ? ST_OK
	           : ST_DENIED;
}

static enum status verify_evp(const struct pkey *k, const struct pkey_use *use, struct span text,
                              struct span sig)
{
	struct pkey_ctx *c;
	enum status s;

	s = pkey_ctx_take(k, use, &c);
	if (s != ST_OK)
		return s;
	return pkey_ctx_done(k, c, EVP_PKEY_verify(c->evp, sig.p, sig.n, text.p, text.n),
	                     ST_DENIED);
}

enum status pkey_verify(const struct pkey *k, const struct pkey_how *how, struct span input,
                        struct span sig)
{
	const struct pkey_info *info = pkey_info(pkey_alg(k));
	uint8_t hash[DIGEST_LEN_MAX], asn1[ASN1_MAX];
	struct pkey_use use;
	struct span text;
	enum status s;

	if (info->kind == PKEY_KIND_ED25519)
		return verify_ed25519(k, how, input, sig);
	s = use_of(k, how, OP_VERIFY, &use);
	if (s == ST_OK)
		s = hashed(how, input, hash, &text);
	if (s != ST_OK)
		return s;
	if (info->kind == PKEY_KIND_RSA)
		return sig.n == info->len ? verify_evp(k, &use, text, sig) : ST_DENIED;
	if (how->form == PKEY_ASN1)
		return sig.n > 0 ? verify_evp(k, &use, text, sig) : ST_DENIED;
	if (sig.n != 2 * info->len)
		return ST_DENIED;
	return verify_evp(k, &use, text, to_asn1(sig, asn1));
}
