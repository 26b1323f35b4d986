/*
 * Keys from DER.  The happy path: the algorithm's object identifiers say what the rest is; its numbers become parts, which pkey_from_parts checks.
 * What can be wrong: the form (anywhere), an algorithm, curve or size that is not in the table, a second statement of curve or public key
 * that contradicts the first.
 */
#include "crypto/der.h"
#include "crypto/pem.h"
#include "crypto/pkey_impl.h"
#include "crypto/pkey_text.h"

/* Everything that a key says about itself before its numbers. */
struct algorithm {
	struct span oid;
	struct cursor params; /* what follows the identifier */
};

static enum status algorithm_read(struct cursor *c, struct algorithm *ret)
{
	struct algorithm a;

	if (der_enter(c, DER_SEQUENCE, &a.params) != ST_OK ||
	    der_read(&a.params, DER_OID, &a.oid) != ST_OK)
		return ST_INVALID;
	*ret = a;
	return ST_OK;
}

/* Nothing, or NULL, for RSA; nothing for Ed25519; whatever it likes for RSA-PSS. */
static bool params_fit(const struct algorithm *a, enum pkey_oid oid)
{
	struct cursor c = a->params;
	struct span s;

	if (oid == OID_RSA_PSS || c.left == 0)
		return true;
	return oid == OID_RSA && der_read(&c, DER_NULL, &s) == ST_OK && s.n == 0 && c.left == 0;
}

static enum status curve_find(struct span oid, enum pkey_alg *ret)
{
	for (enum pkey_alg alg = PKEY_P256; alg <= PKEY_P521; alg++) {
		if (span_eq(oid, pkey_oid(pkey_curve_oid(alg)))) {
			*ret = alg;
			return ST_OK;
		}
	}
	return ST_INVALID;
}

static enum status size_find(struct span n, enum pkey_alg *ret)
{
	for (enum pkey_alg alg = PKEY_RSA2048; alg <= PKEY_RSA4096; alg++) {
		if (n.n == pkey_info(alg)->len) {
			*ret = alg;
			return ST_OK;
		}
	}
	return ST_INVALID;
}

/* The named curve that is all of the parameters. */
static enum status curve_read(struct cursor params, struct span *ret)
{
	struct span oid;

	if (der_read(&params, DER_OID, &oid) != ST_OK || der_end(&params) != ST_OK)
		return ST_INVALID;
	*ret = oid;
	return ST_OK;
}

/* SEC 1, 2.3.4: 4, x, y. */
static enum status point_read(enum pkey_alg alg, struct span point, struct pkey_parts *p)
{
	const size_t len = pkey_info(alg)->len;

	if (point.n != 1 + 2 * len || point.p[0] != 4)
		return ST_INVALID;
	p->x = span_of(point.p + 1, len);
	p->y = span_of(point.p + 1 + len, len);
	return ST_OK;
}

/* ------------------------------------------------------------ public keys */

static enum status public_rsa(struct span key, enum pkey_alg *ret_alg, struct pkey_parts *p)
{
	struct cursor c = cursor_of(key), body;

	if (der_enter(&c, DER_SEQUENCE, &body) != ST_OK || der_end(&c) != ST_OK ||
	    der_uint(&body, &p->n) != ST_OK || der_uint(&body, &p->e) != ST_OK ||
	    der_end(&body) != ST_OK)
		return ST_INVALID;
	return size_find(p->n, ret_alg);
}

static enum status public_ec(const struct algorithm *a, struct span key, enum pkey_alg *ret_alg,
                             struct pkey_parts *p)
{
	struct span oid;

	if (curve_read(a->params, &oid) != ST_OK || curve_find(oid, ret_alg) != ST_OK)
		return ST_INVALID;
	return point_read(*ret_alg, key, p);
}

static enum status public_parts(const struct algorithm *a, struct span key, enum pkey_alg *ret_alg,
                                struct pkey_parts *p)
{
	enum pkey_oid oid;

	if (pkey_oid_find(a->oid, &oid) != ST_OK)
		return ST_INVALID;
	if (oid == OID_EC)
		return public_ec(a, key, ret_alg, p);
	if (!params_fit(a, oid))
		return ST_INVALID;
	if (oid == OID_RSA || oid == OID_RSA_PSS)
		return public_rsa(key, ret_alg, p);
	if (oid != OID_ED25519)
		return ST_INVALID;
	*ret_alg = PKEY_ED25519;
	p->x = key;
	return ST_OK;
}

/* RFC 5280, 4.1: the algorithm, and the key in a BIT STRING. */
enum status pkey_from_spki(struct span der, struct pkey **ret)
{
	struct cursor c = cursor_of(der), body;
	struct pkey_parts parts = {0};
	enum pkey_alg alg = PKEY_ALG_COUNT;
	struct algorithm a;
	struct span key;

	if (der_enter(&c, DER_SEQUENCE, &body) != ST_OK || der_end(&c) != ST_OK ||
	    algorithm_read(&body, &a) != ST_OK || der_bits(&body, &key) != ST_OK ||
	    der_end(&body) != ST_OK)
		return ST_INVALID;
	if (public_parts(&a, key, &alg, &parts) != ST_OK)
		return ST_INVALID;
	return pkey_from_parts(alg, &parts, PKEY_CHECKED, ret);
}

enum status pkey_from_spki_pem(struct span pem, struct pkey **ret)
{
	struct builder der = {0}, more = {0};
	struct cursor c = cursor_of(pem);
	enum status s = pem_next(&c, "PUBLIC KEY", &der);

	if (s == ST_OK && pem_next(&c, "PUBLIC KEY", &more) != ST_NOT_FOUND)
		s = ST_INVALID;
	if (s == ST_OK)
		s = pkey_from_spki(builder_span(&der), ret);
	builder_free(&der);
	builder_free(&more);
	return s == ST_NOT_FOUND ? ST_INVALID : s;
}

/* ------------------------------------------------------------ private keys */

/* RFC 8017, A.1.2; version 1 has more than two primes. */
static enum status private_rsa(struct span key, enum pkey_alg *ret_alg, struct pkey_parts *p)
{
	struct span *const numbers[] = {&p->n, &p->e,  &p->d,  &p->p,
	                                &p->q, &p->dp, &p->dq, &p->qinv};
	struct cursor c = cursor_of(key), body;
	uint8_t version;

	if (der_enter(&c, DER_SEQUENCE, &body) != ST_OK || der_end(&c) != ST_OK ||
	    der_version(&body, 0, &version) != ST_OK)
		return ST_INVALID;
	for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
		if (der_uint(&body, numbers[i]) != ST_OK || numbers[i]->n == 0)
			return ST_INVALID;
	if (der_end(&body) != ST_OK)
		return ST_INVALID;
	return size_find(p->n, ret_alg);
}

/* RFC 5915, 3: what an EC private key holds. */
struct sec1 {
	struct span d;
	struct span curve, point; /* empty when it has none */
};

static enum status sec1_read(struct span key, struct sec1 *ret)
{
	struct cursor c = cursor_of(key), body, inner;
	struct sec1 s = {0};
	uint8_t version;

	if (der_enter(&c, DER_SEQUENCE, &body) != ST_OK || der_end(&c) != ST_OK ||
	    der_version(&body, 1, &version) != ST_OK || version != 1 ||
	    der_read(&body, DER_OCTETS, &s.d) != ST_OK || s.d.n == 0)
		return ST_INVALID;
	if (der_next_is(&body, DER_CONTEXT(0)) &&
	    (der_enter(&body, DER_CONTEXT(0), &inner) != ST_OK ||
	     curve_read(inner, &s.curve) != ST_OK))
		return ST_INVALID;
	if (der_next_is(&body, DER_CONTEXT(1)) &&
	    (der_enter(&body, DER_CONTEXT(1), &inner) != ST_OK ||
	     der_bits(&inner, &s.point) != ST_OK || der_end(&inner) != ST_OK))
		return ST_INVALID;
	if (der_end(&body) != ST_OK)
		return ST_INVALID;
	*ret = s;
	return ST_OK;
}

static enum status private_ec(const struct algorithm *a, struct span key, enum pkey_alg *ret_alg,
                              struct pkey_parts *p)
{
	struct span oid;
	struct sec1 s;

	if (curve_read(a->params, &oid) != ST_OK || sec1_read(key, &s) != ST_OK ||
	    (s.curve.n > 0 && !span_eq(s.curve, oid)))
		return ST_INVALID;
	p->d = s.d;
	/* As NSS and some hardware write Ed25519: as if it were a curve like the others. */
	if (span_eq(oid, pkey_oid(OID_ED25519)) || span_eq(oid, pkey_oid(OID_ED25519_NSS))) {
		*ret_alg = PKEY_ED25519;
		return ST_OK;
	}
	if (curve_find(oid, ret_alg) != ST_OK)
		return ST_INVALID;
	return s.point.n > 0 ? point_read(*ret_alg, s.point, p) : ST_OK;
}

/* RFC 8410, 7: the seed in an OCTET STRING of its own; the public key may follow at the end. */
static enum status private_ed25519(struct span key, struct span public, struct pkey_parts *p)
{
	struct cursor c = cursor_of(key);

	if (der_read(&c, DER_OCTETS, &p->d) != ST_OK || der_end(&c) != ST_OK || p->d.n == 0)
		return ST_INVALID;
	p->x = public;
	return ST_OK;
}

/* RFC 5958, 2: [0] attributes, which say nothing to us, and in version 1 the public key as [1], a BIT STRING. */
static enum status tail_read(struct cursor *c, uint8_t version, struct span *ret_public)
{
	struct span s;

	if (der_next_is(c, DER_CONTEXT(0)) && der_read(c, DER_CONTEXT(0), &s) != ST_OK)
		return ST_INVALID;
	*ret_public = span_of(NULL, 0);
	if (version == 1 && der_next_is(c, 0x81)) {
		if (der_read(c, 0x81, &s) != ST_OK || s.n < 2 || s.p[0] != 0)
			return ST_INVALID;
		*ret_public = span_from(s, 1);
	}
	return der_end(c);
}

static enum status private_parts(const struct algorithm *a, struct span key, struct span public,
                                 enum pkey_alg *ret_alg, struct pkey_parts *p)
{
	enum pkey_oid oid;

	if (pkey_oid_find(a->oid, &oid) != ST_OK)
		return ST_INVALID;
	if (oid == OID_EC)
		return private_ec(a, key, ret_alg, p);
	if (!params_fit(a, oid))
		return ST_INVALID;
	if (oid == OID_RSA || oid == OID_RSA_PSS)
		return private_rsa(key, ret_alg, p);
	if (oid != OID_ED25519)
		return ST_INVALID;
	*ret_alg = PKEY_ED25519;
	return private_ed25519(key, public, p);
}

enum status pkey_from_pkcs8(struct span der, enum pkey_trust trust, struct pkey **ret)
{
	struct cursor c = cursor_of(der), body;
	struct pkey_parts parts = {0};
	enum pkey_alg alg = PKEY_ALG_COUNT;
	struct algorithm a;
	struct span key, public;
	uint8_t version;

	if (der_enter(&c, DER_SEQUENCE, &body) != ST_OK || der_end(&c) != ST_OK ||
	    der_version(&body, 1, &version) != ST_OK || algorithm_read(&body, &a) != ST_OK ||
	    der_read(&body, DER_OCTETS, &key) != ST_OK ||
	    tail_read(&body, version, &public) != ST_OK)
		return ST_INVALID;
	if (private_parts(&a, key, public, &alg, &parts) != ST_OK)
		return ST_INVALID;
	return pkey_from_parts(alg, &parts, trust, ret);
}
