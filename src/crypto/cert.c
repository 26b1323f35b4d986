/*
 * Requests and certificates are OpenSSL's structures, read from DER as a whole: what follows one is an error.  What can go wrong with what comes from outside: it is no
 * PEM, no request or certificate, too many; the key is another; an authority stands where none should, or the other way round.
 */
#include "crypto/cert.h"

#include <openssl/err.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "crypto/pem.h"
#include "crypto/pkey_impl.h"
#include "crypto/pkey_text.h"

static const char request_label[] = "CERTIFICATE REQUEST", old_label[] = "NEW CERTIFICATE REQUEST",
                  cert_label[] = "CERTIFICATE";

static enum status pem_add(const char *label, struct span der, struct builder *ret)
{
	const size_t n = pem_len(label, der.n);
	uint8_t *room = builder_room(ret, n);

	if (room == NULL)
		return builder_status(ret);
	pem_write(label, der, (char *)room);
	builder_took(ret, n);
	return ST_OK;
}

/* ------------------------------------------------------------ requests */

/* One block, under today's label or the one of old. */
static enum status template_der(struct span pem, struct builder *ret)
{
	struct cursor c = cursor_of(pem);
	enum status s = pem_next(&c, request_label, ret);

	if (s != ST_INVALID)
		return s;
	c = cursor_of(pem);
	builder_reset(ret);
	return pem_next(&c, old_label, ret);
}

static enum status template_parse(struct span der, X509_REQ **ret)
{
	const uint8_t *p = der.p;
	X509_REQ *r = d2i_X509_REQ(NULL, &p, (long)der.n);

	if (r == NULL)
		return pkey_failed(ST_INVALID);
	if (p != der.p + der.n) {
		X509_REQ_free(r);
		return ST_INVALID;
	}
	*ret = r;
	return ST_OK;
}

static enum status template_read(struct span pem, X509_REQ **ret)
{
	struct builder der = {0};
	enum status s;

	if (pem.n == 0) {
		*ret = X509_REQ_new();
		return *ret != NULL ? ST_OK : pkey_failed(ST_NOMEM);
	}
	s = template_der(pem, &der);
	if (s == ST_OK)
		s = template_parse(builder_span(&der), ret);
	builder_free(&der);
	return s == ST_NOT_FOUND ? ST_INVALID : s;
}

static const EVP_MD *request_md(enum pkey_alg alg)
{
	if (alg == PKEY_ED25519)
		return NULL;
	if (alg == PKEY_P384)
		return EVP_sha384();
	return alg == PKEY_P521 ? EVP_sha512() : EVP_sha256();
}

static enum status request_sign(const struct pkey *k, X509_REQ *r)
{
	EVP_PKEY *evp;
	enum status s = pkey_evp(k, &evp);

	if (s != ST_OK)
		return s;
	if (X509_REQ_set_version(r, 0) != 1 || X509_REQ_set_pubkey(r, evp) != 1 ||
	    X509_REQ_sign(r, evp, request_md(k->alg)) <= 0)
		s = pkey_failed(ST_NOMEM);
	EVP_PKEY_free(evp);
	return s;
}

static enum status request_write(X509_REQ *r, struct builder *ret)
{
	uint8_t *der = NULL;
	int n = i2d_X509_REQ(r, &der);
	enum status s;

	if (n <= 0)
		return pkey_failed(ST_NOMEM);
	s = pem_add(request_label, span_of(der, (size_t)n), ret);
	OPENSSL_free(der);
	return s;
}

enum status cert_request(const struct pkey *k, struct span template, struct builder *ret,
                         struct err *err)
{
	X509_REQ *r = NULL;
	enum status s;

	if (!pkey_has_private(k))
		return err_set(err, ST_UNAVAILABLE, "there is no private key to sign with");
	s = template_read(template, &r);
	if (s == ST_INVALID)
		return err_set(err, s, "the template is no certificate request in PEM");
	if (s == ST_OK)
		s = request_sign(k, r);
	if (s == ST_OK)
		s = request_write(r, ret);
	X509_REQ_free(r);
	return s;
}

/* ------------------------------------------------------------ chains */

static enum status cert_parse(struct span der, X509 **ret)
{
	const uint8_t *p = der.p;
	X509 *x = d2i_X509(NULL, &p, (long)der.n);

	if (x == NULL)
		return pkey_failed(ST_INVALID);
	if (p != der.p + der.n) {
		X509_free(x);
		return ST_INVALID;
	}
	*ret = x;
	return ST_OK;
}

/* Basic constraints that say so, among extensions that can be read. */
static bool is_authority(X509 *x)
{
	const uint32_t flags = X509_get_extension_flags(x);

	return (flags & EXFLAG_CA) != 0 && (flags & EXFLAG_BCONS) != 0 &&
	       (flags & EXFLAG_INVALID) == 0;
}

static bool claims_authority(X509 *x)
{
	return (X509_get_extension_flags(x) & EXFLAG_CA) != 0;
}

static enum status key_matches(const struct pkey *k, X509 *x, struct err *err)
{
	struct pkey *theirs = NULL;
	uint8_t *der = NULL;
	int n = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), &der);
	enum status s;

	if (n <= 0)
		return pkey_failed(ST_NOMEM);
	s = pkey_from_spki(span_of(der, (size_t)n), &theirs);
	OPENSSL_free(der);
	if (s == ST_OK && !pkey_same_public(k, theirs))
		s = ST_INVALID;
	pkey_unref(&theirs);
	if (s == ST_INVALID)
		return err_set(err, s, "the first certificate is of another key");
	return s;
}

/* The certificate at this place of the chain. */
static enum status cert_check(const struct pkey *k, X509 *x, size_t place, struct err *err)
{
	if (place > 0)
		return is_authority(x) ? ST_OK
		                       : err_set(err, ST_INVALID,
		                                 "certificate %zu is not an authority's: only the "
		                                 "first may be of a key",
		                                 place + 1);
	if (claims_authority(x))
		return err_set(err, ST_INVALID,
		               "the first certificate is an authority's, not one of a key");
	return key_matches(k, x, err);
}

static enum status too_many(struct err *err)
{
	return err_set(err, ST_LIMIT, "a chain has at most %d certificates", CERT_CHAIN_MAX);
}

static enum status no_cert(size_t place, struct err *err)
{
	return err_set(err, ST_INVALID, "certificate %zu is malformed", place + 1);
}

enum status cert_chain_check(const struct pkey *k, struct span chain, struct err *err)
{
	struct cursor c = cursor_of(chain);
	enum status s = ST_OK;
	size_t place = 0;

	if (chain.n == 0)
		return err_set(err, ST_INVALID, "there is no certificate");
	for (; s == ST_OK && c.left > 0; place++) {
		struct span der;
		X509 *x = NULL;

		if (place == CERT_CHAIN_MAX)
			return too_many(err);
		if (cursor_lv(&c, &der) != ST_OK)
			return no_cert(place, err);
		s = cert_parse(der, &x);
		if (s == ST_INVALID)
			return no_cert(place, err);
		if (s == ST_OK)
			s = cert_check(k, x, place, err);
		X509_free(x);
	}
	return s;
}

/* One block; ST_NOT_FOUND after the last. */
static enum status chain_read_one(struct cursor *c, struct builder *ret)
{
	struct builder der = {0};
	X509 *x = NULL;
	enum status s = pem_next(c, cert_label, &der);

	if (s == ST_OK)
		s = cert_parse(builder_span(&der), &x);
	if (s == ST_OK) {
		builder_lv(ret, builder_span(&der));
		s = builder_status(ret);
	}
	X509_free(x);
	builder_free(&der);
	return s;
}

enum status cert_chain_read(struct span pem, struct builder *ret, struct err *err)
{
	struct cursor c = cursor_of(pem);
	struct builder chain = {0};
	enum status s = ST_OK;
	size_t n = 0;

	while (s == ST_OK && n <= CERT_CHAIN_MAX) {
		s = chain_read_one(&c, &chain);
		n += s == ST_OK ? 1 : 0;
	}
	if (s == ST_INVALID)
		s = no_cert(n, err);
	else if (s == ST_OK)
		s = too_many(err);
	else if (s == ST_NOT_FOUND && n == 0)
		s = err_set(err, ST_INVALID, "there is no certificate in PEM");
	else if (s == ST_NOT_FOUND) {
		builder_add(ret, builder_span(&chain));
		s = builder_status(ret);
	}
	builder_free(&chain);
	return s;
}

enum status cert_chain_pem(struct span chain, struct builder *ret)
{
	struct cursor c = cursor_of(chain);
	enum status s = ST_OK;
	struct span der;

	while (s == ST_OK && c.left > 0) {
		if (cursor_lv(&c, &der) != ST_OK)
			return ST_INVALID;
		s = pem_add(cert_label, der, ret);
	}
	return s;
}
