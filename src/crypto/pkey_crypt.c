#include "crypto/pkey_crypt.h"

#include <openssl/err.h>

#include "crypto/pkey_impl.h"

size_t pkey_crypt_max(const struct pkey *k, enum digest_alg digest)
{
	const struct pkey_info *info = pkey_info(pkey_alg(k));

	/* RFC 8017, 7.1.1, step 1b. */
	return info->kind == PKEY_KIND_RSA ? info->len - 2 * digest_len(digest) - 2 : 0;
}

static struct pkey_use use_of(enum pkey_op op, enum digest_alg digest)
{
	return (struct pkey_use){.op = op, .padding = PADDING_OAEP, .digest = digest};
}

enum status pkey_encrypt(const struct pkey *k, enum digest_alg digest, struct span text,
                         uint8_t out[static PKEY_CRYPT_MAX], size_t *ret_n)
{
	const struct pkey_use use = use_of(OP_ENCRYPT, digest);
	const uint8_t nothing = 0;
	size_t n = PKEY_CRYPT_MAX;
	struct pkey_ctx *c;
	enum status s;

	if (pkey_info(pkey_alg(k))->kind != PKEY_KIND_RSA)
		return ST_UNSUPPORTED;
	if (text.n > pkey_crypt_max(k, digest))
		return ST_LIMIT;
	s = pkey_ctx_take(k, &use, &c);
	if (s != ST_OK)
		return s;
	s = pkey_ctx_done(k, c,
	                  EVP_PKEY_encrypt(c->evp, out, &n, text.n > 0 ? text.p : &nothing, text.n),
	                  ST_NOMEM);
	if (s == ST_OK)
		*ret_n = n;
	return s;
}

/* Into room, which has the modulus' length. */
static enum status decrypt(const struct pkey *k, enum digest_alg digest, struct span sealed,
                           struct secret *room, size_t *ret_n)
{
	const struct pkey_use use = use_of(OP_DECRYPT, digest);
	size_t n = secret_len(room);
	struct pkey_ctx *c;
	enum status s;

	s = pkey_ctx_take(k, &use, &c);
	if (s != ST_OK)
		return s;
	s = pkey_ctx_done(
	    k, c, EVP_PKEY_decrypt(c->evp, secret_bytes(room), &n, sealed.p, sealed.n), ST_CORRUPT);
	if (s == ST_OK)
		*ret_n = n;
	return s;
}

enum status pkey_decrypt(const struct pkey *k, enum digest_alg digest, struct span sealed,
                         struct secret **ret)
{
	const struct pkey_info *info = pkey_info(pkey_alg(k));
	struct secret *room;
	enum status s;
	size_t n = 0;

	if (info->kind != PKEY_KIND_RSA)
		return ST_UNSUPPORTED;
	if (!k->has_private)
		return ST_UNAVAILABLE;
	if (sealed.n != info->len)
		return ST_CORRUPT;
	s = secret_new(info->len, &room);
	if (s != ST_OK)
		return s;
	s = decrypt(k, digest, sealed, room, &n);
	if (s == ST_OK)
		s = secret_from(span_of(secret_bytes(room), n), ret);
	secret_free(&room);
	return s;
}
