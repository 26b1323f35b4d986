/*
 * What can go wrong with what comes from outside: it is no PEM, no request or certificate, too many, something follows; the key is another; an authority
 * stands where none should, or the other way round.  OpenSSL reads requests and certificates and says whether they are such; requests are written here,
 * since OpenSSL 3.0 frees what it must not when memory runs out while it signs one.
 */
#include "crypto/cert.h"

#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "crypto/der.h"
#include "crypto/pem.h"
#include "crypto/pkey_impl.h"
#include "crypto/pkey_sign.h"
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
static enum status template_read(struct span pem, struct builder *ret)
{
	struct cursor c = cursor_of(pem);
	enum status s = pem_next(&c, request_label, ret);

	if (s == ST_INVALID) {
		c = cursor_of(pem);
		builder_reset(ret);
		s = pem_next(&c, old_label, ret);
	}
	return s == ST_NOT_FOUND ? ST_INVALID : s;
}

/* OpenSSL's opinion on all of it, names and attributes included. */
static enum status template_check(struct span der)
{
	const uint8_t *p = der.p;
	enum status s = ST_OK;
	X509_REQ *r;

	(void)secret_starved(); /* what was before is not this call's */
	r = d2i_X509_REQ(NULL, &p, (long)der.n);
	if (r == NULL)
		s = pkey_failed(ST_INVALID);
	X509_REQ_free(r);
	return s == ST_OK && p != der.p + der.n ? ST_INVALID : s;
}

/* What is kept of a template, as DER; both may be empty. */
struct kept {
	struct span subject, attributes;
};

/* RFC 2986, 4.1: version, subject, key, attributes.  The names are elements as a whole; of the attributes the contents of [0]. */
static enum status template_keep(struct span der, struct kept *ret)
{
	struct cursor c = cursor_of(der), request, info;
	struct kept k = {0};
	struct span name, key;
	uint8_t version;

	if (der_enter(&c, DER_SEQUENCE, &request) != ST_OK ||
	    der_enter(&request, DER_SEQUENCE, &info) != ST_OK ||
	    der_version(&info, 0, &version) != ST_OK)
		return ST_INVALID;
	k.subject.p = info.p;
	if (der_read(&info, DER_SEQUENCE, &name) != ST_OK)
		return ST_INVALID;
	k.subject.n = (size_t)(info.p - k.subject.p);
	if (der_read(&info, DER_SEQUENCE, &key) != ST_OK)
		return ST_INVALID;
	if (der_next_is(&info, DER_CONTEXT(0)) &&
	    der_read(&info, DER_CONTEXT(0), &k.attributes) != ST_OK)
		return ST_INVALID;
	if (der_end(&info) != ST_OK)
		return ST_INVALID;
	*ret = k;
	return ST_OK;
}

/* Onto der, which ret lies in. */
static enum status template_parse(struct span pem, struct builder *der, struct kept *ret)
{
	enum status s;

	*ret = (struct kept){0};
	if (pem.n == 0)
		return ST_OK;
	s = template_read(pem, der);
	if (s == ST_OK)
		s = template_check(builder_span(der));
	if (s == ST_OK)
		s = template_keep(builder_span(der), ret);
	return s;
}

/* How a key signs a request, and the identifier of that. */
static void request_how(enum pkey_alg alg, struct pkey_how *ret_how, enum pkey_oid *ret_oid)
{
	static const struct {
		enum digest_alg digest;
		enum pkey_oid oid;
	} hows[PKEY_ALG_COUNT] = {
	    [PKEY_ED25519] = {PKEY_DIGEST_NONE, OID_ED25519},
	    [PKEY_P256] = {DIGEST_SHA2_256, OID_ECDSA_SHA256},
	    [PKEY_P384] = {DIGEST_SHA2_384, OID_ECDSA_SHA384},
	    [PKEY_P521] = {DIGEST_SHA2_512, OID_ECDSA_SHA512},
	    [PKEY_RSA2048] = {DIGEST_SHA2_256, OID_RSA_SHA256},
	    [PKEY_RSA3072] = {DIGEST_SHA2_256, OID_RSA_SHA256},
	    [PKEY_RSA4096] = {DIGEST_SHA2_256, OID_RSA_SHA256},
	};

	*ret_how = (struct pkey_how){.digest = hows[alg].digest, .padding = PKEY_PKCS1};
	*ret_oid = hows[alg].oid;
}

static void put_info(struct der_writer *w, const struct kept *k, struct span spki)
{
	const size_t mark = der_mark(w);
	const uint8_t version = 0;

	der_put(w, DER_CONTEXT(0), k->attributes);
	der_raw(w, spki);
	if (k->subject.n > 0)
		der_raw(w, k->subject);
	else
		der_put(w, DER_SEQUENCE, span_of(NULL, 0));
	der_put_uint(w, span_of(&version, 1));
	der_close(w, mark, DER_SEQUENCE);
}

static void put_algorithm(struct der_writer *w, enum pkey_oid oid)
{
	const size_t mark = der_mark(w);

	if (oid == OID_RSA_SHA256)
		der_put(w, DER_NULL, span_of(NULL, 0));
	der_put(w, DER_OID, pkey_oid(oid));
	der_close(w, mark, DER_SEQUENCE);
}

/* What is signed, at the end of room. */
static enum status info_write(const struct kept *kept, struct span spki, uint8_t *room, size_t n,
                              struct span *ret)
{
	struct der_writer w;

	der_writer_init(&w, room, n);
	put_info(&w, kept, spki);
	/* Too long for DER as der.h writes it. */
	if (w.failed)
		return ST_INVALID;
	*ret = der_written(&w);
	return ST_OK;
}

/* The request around what is signed, in room, as PEM onto ret. */
static enum status request_write(const struct pkey *k, struct span info, uint8_t *room, size_t n,
                                 struct builder *ret)
{
	uint8_t sig[PKEY_SIG_MAX];
	struct pkey_how how;
	struct der_writer w;
	enum pkey_oid oid;
	enum status s;
	size_t sig_n, mark;

	request_how(pkey_alg(k), &how, &oid);
	s = pkey_sign(k, &how, info, sig, &sig_n);
	if (s != ST_OK)
		return s;
	der_writer_init(&w, room, n);
	mark = der_mark(&w);
	der_raw(&w, span_of(sig, sig_n));
	der_close_bits(&w, mark);
	put_algorithm(&w, oid);
	der_raw(&w, info);
	der_close(&w, mark, DER_SEQUENCE);
	return w.failed ? ST_INVALID : pem_add(request_label, der_written(&w), ret);
}

/* A key, a signature and what is around them. */
#define REQUEST_OWN ((size_t)2048)

static enum status request_make(const struct pkey *k, const struct kept *kept, struct builder *ret)
{
	const size_t n = kept->subject.n + kept->attributes.n + REQUEST_OWN;
	struct builder spki = {0}, info_room = {0}, room = {0};
	uint8_t *first = builder_room(&info_room, n), *second = builder_room(&room, n);
	struct span info;
	enum status s = first != NULL && second != NULL ? pkey_spki(k, &spki) : ST_NOMEM;

	if (s == ST_OK)
		s = info_write(kept, builder_span(&spki), first, n, &info);
	if (s == ST_OK)
		s = request_write(k, info, second, n, ret);
	builder_free(&spki);
	builder_free(&info_room);
	builder_free(&room);
	return s;
}

enum status cert_request(const struct pkey *k, struct span template, struct builder *ret,
                         struct err *err)
{
	struct builder der = {0};
	struct kept kept;
	enum status s;

	if (!pkey_has_private(k))
		return err_set(err, ST_UNAVAILABLE, "there is no private key to sign with");
	s = template_parse(template, &der, &kept);
	if (s == ST_OK)
		s = request_make(k, &kept, ret);
	builder_free(&der);
	if (s == ST_INVALID)
		return err_set(err, s, "the template is no certificate request in PEM");
	return s;
}

/* ------------------------------------------------------------ chains */

static enum status cert_parse(struct span der, X509 **ret)
{
	const uint8_t *p = der.p;
	X509 *x;

	(void)secret_starved(); /* what was before is not this call's */
	x = d2i_X509(NULL, &p, (long)der.n);
	if (x == NULL)
		return pkey_failed(ST_INVALID);
	if (p != der.p + der.n) {
		X509_free(x);
		return ST_INVALID;
	}
	*ret = x;
	return ST_OK;
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
	if (s == ST_OK)
		s = pkey_match(k, theirs);
	pkey_unref(&theirs);
	if (s == ST_INVALID || s == ST_CONFLICT)
		return err_set(err, ST_INVALID, "the first certificate is of another key");
	return s;
}

static enum status too_many(struct err *err)
{
	return err_set(err, ST_LIMIT, "a chain has at most %d certificates", CERT_CHAIN_MAX);
}

static enum status no_cert(size_t place, struct err *err)
{
	return err_set(err, ST_INVALID, "certificate %zu is malformed", place + 1);
}

/* Basic constraints that say so, among extensions that can be read. */
static bool is_authority(uint32_t flags)
{
	return (flags & EXFLAG_CA) != 0 && (flags & EXFLAG_BCONS) != 0 &&
	       (flags & EXFLAG_INVALID) == 0;
}

/* The certificate at this place of the chain. */
static enum status cert_check(const struct pkey *k, X509 *x, size_t place, struct err *err)
{
	uint32_t flags;

	(void)secret_starved(); /* what was before is not this call's */
	flags = X509_get_extension_flags(x);
	/* Extensions that found no memory look like malformed ones. */
	if (secret_starved())
		return pkey_failed(ST_NOMEM);
	if (place > 0)
		return is_authority(flags) ? ST_OK
		                           : err_set(err, ST_INVALID,
		                                     "certificate %zu is not an authority's: only "
		                                     "the first may be of a key",
		                                     place + 1);
	if ((flags & EXFLAG_CA) != 0)
		return err_set(err, ST_INVALID,
		               "the first certificate is an authority's, not one of a key");
	return key_matches(k, x, err);
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
