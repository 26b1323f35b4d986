/* Keys as DER and PEM, written from their parts into locked memory. */
#include <string.h>

#include "crypto/ct.h"
#include "crypto/der.h"
#include "crypto/pem.h"
#include "crypto/pkey_impl.h"
#include "crypto/pkey_text.h"

/* An RSA-4096 key as PKCS#8 is 2,375 bytes. */
#define DER_MAX ((size_t)2560)

/* ------------------------------------------------------------ object identifiers */

static const struct {
	const char *bytes;
	size_t n;
} oids[OID_COUNT] = {
    [OID_RSA] = {"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01", 9},         /* 1.2.840.113549.1.1.1 */
    [OID_RSA_PSS] = {"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a", 9},     /* 1.2.840.113549.1.1.10 */
    [OID_EC] = {"\x2a\x86\x48\xce\x3d\x02\x01", 7},                  /* 1.2.840.10045.2.1 */
    [OID_P256] = {"\x2a\x86\x48\xce\x3d\x03\x01\x07", 8},            /* 1.2.840.10045.3.1.7 */
    [OID_P384] = {"\x2b\x81\x04\x00\x22", 5},                        /* 1.3.132.0.34 */
    [OID_P521] = {"\x2b\x81\x04\x00\x23", 5},                        /* 1.3.132.0.35 */
    [OID_ED25519] = {"\x2b\x65\x70", 3},                             /* 1.3.101.112 */
    [OID_ED25519_NSS] = {"\x2b\x06\x01\x04\x01\xda\x47\x0f\x01", 9}, /* 1.3.6.1.4.1.11591.15.1 */
    [OID_RSA_SHA256] = {"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b", 9},  /* 1.2.840.113549.1.1.11 */
    [OID_ECDSA_SHA256] = {"\x2a\x86\x48\xce\x3d\x04\x03\x02", 8},    /* 1.2.840.10045.4.3.2 */
    [OID_ECDSA_SHA384] = {"\x2a\x86\x48\xce\x3d\x04\x03\x03", 8},    /* 1.2.840.10045.4.3.3 */
    [OID_ECDSA_SHA512] = {"\x2a\x86\x48\xce\x3d\x04\x03\x04", 8},    /* 1.2.840.10045.4.3.4 */
};

struct span pkey_oid(enum pkey_oid oid)
{
	return span_of(oids[oid].bytes, oids[oid].n);
}

enum status pkey_oid_find(struct span bytes, enum pkey_oid *ret)
{
	for (enum pkey_oid oid = 0; oid < OID_COUNT; oid++) {
		if (span_eq(bytes, pkey_oid(oid))) {
			*ret = oid;
			return ST_OK;
		}
	}
	return ST_NOT_FOUND;
}

enum pkey_oid pkey_curve_oid(enum pkey_alg alg)
{
	if (alg == PKEY_P256)
		return OID_P256;
	MUST(alg == PKEY_P384 || alg == PKEY_P521);
	return alg == PKEY_P384 ? OID_P384 : OID_P521;
}

/* ------------------------------------------------------------ elements; the last one first, as der.h says */

static void put_oid(struct der_writer *w, enum pkey_oid oid)
{
	der_put(w, DER_OID, pkey_oid(oid));
}

static void put_version(struct der_writer *w, uint8_t version)
{
	der_put_uint(w, span_of(&version, 1));
}

static void put_algorithm(struct der_writer *w, enum pkey_alg alg)
{
	const enum pkey_kind kind = pkey_info(alg)->kind;
	const size_t mark = der_mark(w);

	if (kind == PKEY_KIND_RSA) {
		der_put(w, DER_NULL, span_of(NULL, 0));
		put_oid(w, OID_RSA);
	} else if (kind == PKEY_KIND_EC) {
		put_oid(w, pkey_curve_oid(alg));
		put_oid(w, OID_EC);
	} else {
		put_oid(w, OID_ED25519);
	}
	der_close(w, mark, DER_SEQUENCE);
}

/* A point, or an Ed25519 public key, as a BIT STRING. */
static void put_point(struct der_writer *w, enum pkey_alg alg, const struct pkey_parts *p)
{
	const size_t mark = der_mark(w);
	const uint8_t uncompressed = 4;

	der_raw(w, p->y);
	der_raw(w, p->x);
	if (pkey_info(alg)->kind == PKEY_KIND_EC)
		der_raw(w, span_of(&uncompressed, 1));
	der_close_bits(w, mark);
}

static void put_rsa_public(struct der_writer *w, const struct pkey_parts *p)
{
	const size_t mark = der_mark(w);

	der_put_uint(w, p->e);
	der_put_uint(w, p->n);
	der_close(w, mark, DER_SEQUENCE);
}

static void put_spki(struct der_writer *w, enum pkey_alg alg, const struct pkey_parts *p)
{
	const size_t mark = der_mark(w);

	if (pkey_info(alg)->kind == PKEY_KIND_RSA) {
		put_rsa_public(w, p);
		der_close_bits(w, mark);
	} else {
		put_point(w, alg, p);
	}
	put_algorithm(w, alg);
	der_close(w, mark, DER_SEQUENCE);
}

/* RFC 8017, A.1.2. */
static void put_pkcs1(struct der_writer *w, const struct pkey_parts *p)
{
	const struct span numbers[] = {p->qinv, p->dq, p->dp, p->q, p->p, p->d, p->e, p->n};
	const size_t mark = der_mark(w);

	for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
		der_put_uint(w, numbers[i]);
	put_version(w, 0);
	der_close(w, mark, DER_SEQUENCE);
}

/* RFC 5915, 3.  Inside PKCS#8 the curve is named outside. */
enum sec1_place { SEC1_ALONE, SEC1_INSIDE };

static void put_sec1(struct der_writer *w, enum pkey_alg alg, const struct pkey_parts *p,
                     enum sec1_place place)
{
	const size_t mark = der_mark(w);
	size_t inner;

	put_point(w, alg, p);
	der_close(w, mark, DER_CONTEXT(1));
	if (place == SEC1_ALONE) {
		inner = der_mark(w);
		put_oid(w, pkey_curve_oid(alg));
		der_close(w, inner, DER_CONTEXT(0));
	}
	der_put(w, DER_OCTETS, p->d);
	put_version(w, 1);
	der_close(w, mark, DER_SEQUENCE);
}

static void put_pkcs8(struct der_writer *w, enum pkey_alg alg, const struct pkey_parts *p)
{
	const size_t mark = der_mark(w);

	switch (pkey_info(alg)->kind) {
	case PKEY_KIND_RSA:
		put_pkcs1(w, p);
		break;
	case PKEY_KIND_EC:
		put_sec1(w, alg, p, SEC1_INSIDE);
		break;
	case PKEY_KIND_ED25519:
		der_put(w, DER_OCTETS, p->d);
		break;
	}
	der_close(w, mark, DER_OCTETS);
	put_algorithm(w, alg);
	put_version(w, 0);
	der_close(w, mark, DER_SEQUENCE);
}

/* ------------------------------------------------------------ public keys */

static enum status spki_der(const struct pkey *k, uint8_t buf[static DER_MAX], struct span *ret)
{
	struct pkey_parts p;
	struct der_writer w;
	enum status s = pkey_parts(k, &p);

	if (s != ST_OK)
		return s;
	der_writer_init(&w, buf, DER_MAX);
	put_spki(&w, k->alg, &p);
	pkey_parts_free(&p);
	*ret = der_written(&w);
	return ST_OK;
}

enum status pkey_spki(const struct pkey *k, struct builder *out)
{
	uint8_t buf[DER_MAX];
	struct span der;
	enum status s = spki_der(k, buf, &der);

	if (s != ST_OK)
		return s;
	builder_add(out, der);
	return builder_status(out);
}

enum status pkey_spki_pem(const struct pkey *k, struct builder *out)
{
	static const char label[] = "PUBLIC KEY";
	uint8_t buf[DER_MAX];
	struct span der;
	enum status s = spki_der(k, buf, &der);
	uint8_t *room;

	if (s != ST_OK)
		return s;
	room = builder_room(out, pem_len(label, der.n));
	if (room == NULL)
		return builder_status(out);
	pem_write(label, der, (char *)room);
	builder_took(out, pem_len(label, der.n));
	return ST_OK;
}

/* ------------------------------------------------------------ private keys */

enum form { FORM_PKCS8, FORM_NATIVE };

static void put_private(struct der_writer *w, enum pkey_alg alg, const struct pkey_parts *p,
                        enum form form)
{
	if (form == FORM_PKCS8)
		put_pkcs8(w, alg, p);
	else if (pkey_info(alg)->kind == PKEY_KIND_RSA)
		put_pkcs1(w, p);
	else
		put_sec1(w, alg, p, SEC1_ALONE);
}

/* The DER at the end of a buffer of its own. */
static enum status private_der(const struct pkey *k, enum form form, struct secret **ret_home,
                               struct span *ret)
{
	struct secret *home;
	struct pkey_parts p;
	struct der_writer w;
	enum status s;

	if (!pkey_has_private(k))
		return ST_UNAVAILABLE;
	s = pkey_parts(k, &p);
	if (s != ST_OK)
		return s;
	s = secret_new(DER_MAX, &home);
	if (s == ST_OK) {
		der_writer_init(&w, secret_bytes(home), DER_MAX);
		put_private(&w, k->alg, &p, form);
		*ret_home = home;
		*ret = der_written(&w);
	}
	pkey_parts_free(&p);
	return s;
}

static enum status private_pem(const struct pkey *k, enum form form, const char *label,
                               struct secret **ret)
{
	struct secret *home, *text;
	struct span der;
	enum status s = private_der(k, form, &home, &der);

	if (s != ST_OK)
		return s;
	s = secret_new(pem_len(label, der.n), &text);
	if (s == ST_OK) {
		pem_write(label, der, (char *)secret_bytes(text));
		*ret = text;
	}
	secret_free(&home);
	return s;
}

enum status pkey_pkcs8(const struct pkey *k, struct secret **ret)
{
	struct secret *home;
	struct span der;
	enum status s = private_der(k, FORM_PKCS8, &home, &der);

	if (s != ST_OK)
		return s;
	s = secret_from(der, ret);
	secret_free(&home);
	return s;
}

enum status pkey_pkcs8_pem(const struct pkey *k, struct secret **ret)
{
	return private_pem(k, FORM_PKCS8, "PRIVATE KEY", ret);
}

static enum status ed25519_base64(const struct pkey *k, struct secret **ret)
{
	struct secret *text;
	enum status s;

	if (!k->has_private)
		return ST_UNAVAILABLE;
	s = secret_new(BASE64_LEN(sizeof k->ed25519), &text);
	if (s != ST_OK)
		return s;
	ct_base64(span_of(k->ed25519, sizeof k->ed25519), (char *)secret_bytes(text));
	*ret = text;
	return ST_OK;
}

enum status pkey_export(const struct pkey *k, struct secret **ret)
{
	switch (pkey_info(pkey_alg(k))->kind) {
	case PKEY_KIND_RSA:
		return private_pem(k, FORM_NATIVE, "RSA PRIVATE KEY", ret);
	case PKEY_KIND_EC:
		return private_pem(k, FORM_NATIVE, "EC PRIVATE KEY", ret);
	case PKEY_KIND_ED25519:
		return ed25519_base64(k, ret);
	}
	MUST(false);
	return ST_INVALID;
}
