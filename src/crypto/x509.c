/*
 * What comes from outside goes through OpenSSL's reader once; what is kept is what OpenSSL writes from it, so that a certificate that a client shows in a handshake, which comes by
 * way of OpenSSL too, has the same fingerprint.  What can go wrong: it is no certificate, bytes follow it, a chain or a key stands there instead, a time or a number that nobody can read.
 */
#include "crypto/x509.h"

#include <openssl/err.h>
#include <openssl/x509.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "crypto/pem.h"
#include "crypto/pkey_impl.h"

#define SERIAL_MAX 64                 /* bytes; RFC 5280 allows 20 */
#define TEXT_MAX   (4 * X509_DER_MAX) /* bytes of PEM, with what stands around it */

struct x509 {
	X509 *x;
	uint8_t *der; /* of OpenSSL's memory */
	size_t n_der;
	uint8_t fingerprint[SHA256_LEN];
	char serial[1 + 2 * SERIAL_MAX + 1];
	int64_t from_s, until_s;
};

/* ---- reading ---- */

/* A SEQUENCE with a length of its own; no text begins so. */
static bool looks_like_der(struct span text)
{
	return text.n > 2 && text.p[0] == 0x30 && text.p[1] >= 0x80;
}

static enum status no_certificate(struct err *err)
{
	return err_set(err, ST_INVALID, "this is no certificate in PEM or DER");
}

static enum status too_long(struct err *err)
{
	return err_set(err, ST_LIMIT, "a certificate has at most %zu bytes", X509_DER_MAX);
}

/* The one block; where there is none, base64 of DER. */
static enum status unwrap(struct span pem, struct builder *ret, struct err *err)
{
	static const char label[] = "CERTIFICATE";
	struct cursor c = cursor_of(pem);
	struct builder next = {0};
	enum status st = pem_next(&c, label, ret);

	if (st == ST_NOT_FOUND) {
		st = builder_unbase64(ret, pem);
		return st == ST_INVALID ? no_certificate(err) : st;
	}
	if (st == ST_INVALID)
		return no_certificate(err);
	if (st != ST_OK)
		return st;
	st = pem_next(&c, label, &next);
	builder_free(&next);
	if (st == ST_NOT_FOUND)
		return ST_OK;
	return st == ST_NOMEM ? st
	                      : err_set(err, ST_INVALID,
	                                "this is more than one certificate: give the first alone");
}

static enum status parse(struct span der, struct x509 *c)
{
	const uint8_t *p = der.p;
	int n;

	c->x = d2i_X509(NULL, &p, (long)der.n);
	if (c->x == NULL)
		return pkey_failed(ST_INVALID);
	if (p != der.p + der.n)
		return ST_INVALID;
	n = i2d_X509(c->x, &c->der);
	if (n <= 0)
		return pkey_failed(ST_INVALID);
	c->n_der = (size_t)n;
	return ST_OK;
}

static enum status read_serial(struct x509 *c)
{
	const ASN1_INTEGER *serial = X509_get0_serialNumber(c->x);
	struct span bytes =
	    span_of(ASN1_STRING_get0_data(serial), (size_t)ASN1_STRING_length(serial));
	struct builder b;

	if (bytes.n > SERIAL_MAX)
		return ST_INVALID;
	builder_init_fixed(&b, c->serial, sizeof c->serial - 1);
	if (ASN1_STRING_type(serial) == V_ASN1_NEG_INTEGER)
		builder_u8(&b, '-');
	builder_hex(&b, bytes);
	c->serial[b.n] = 0;
	return builder_status(&b);
}

static enum status read_time(const ASN1_TIME *from, int64_t *ret_s)
{
	struct tm tm;

	if (ASN1_TIME_to_tm(from, &tm) != 1)
		return pkey_failed(ST_INVALID);
	*ret_s = timegm(&tm);
	return ST_OK;
}

static enum status read_facts(struct x509 *c)
{
	struct span der = span_of(c->der, c->n_der);
	enum status st = read_serial(c);

	if (X509_NAME_entry_count(X509_get_subject_name(c->x)) > X509_NAME_MAX ||
	    X509_NAME_entry_count(X509_get_issuer_name(c->x)) > X509_NAME_MAX)
		return ST_INVALID;

	if (st == ST_OK)
		st = read_time(X509_get0_notBefore(c->x), &c->from_s);
	if (st == ST_OK)
		st = read_time(X509_get0_notAfter(c->x), &c->until_s);
	if (st == ST_OK)
		sha256(&der, 1, c->fingerprint);
	return st;
}

enum status x509_read(struct span text, struct x509 **ret, struct err *err)
{
	struct builder der = {.max = X509_DER_MAX};
	struct x509 *c = OPENSSL_zalloc(sizeof *c);
	enum status st = ST_OK;

	if (c == NULL)
		return pkey_failed(ST_NOMEM);
	(void)secret_starved(); /* what was before is not this call's */
	if (text.n > TEXT_MAX)
		st = ST_LIMIT;
	else if (looks_like_der(text))
		builder_add(&der, text);
	else
		st = unwrap(text, &der, err);
	if (st == ST_OK)
		st = builder_status(&der);
	if (st == ST_LIMIT)
		st = too_long(err);
	if (st != ST_OK)
		goto err0;
	st = parse(builder_span(&der), c);
	if (st == ST_OK && c->n_der > X509_DER_MAX)
		st = ST_INVALID;
	if (st == ST_OK)
		st = read_facts(c);
	if (st == ST_INVALID)
		st = no_certificate(err);
	if (st != ST_OK)
		goto err0;
	builder_free(&der);
	*ret = c;
	return ST_OK;

err0:
	builder_free(&der);
	x509_free(&c);
	return st;
}

void x509_free(struct x509 **cp)
{
	struct x509 *c = *cp;

	if (c == NULL)
		return;
	X509_free(c->x);
	OPENSSL_free(c->der);
	OPENSSL_free(c);
	*cp = NULL;
}

/* ---- what it says ---- */

struct span x509_der(const struct x509 *c)
{
	return span_of(c->der, c->n_der);
}

const uint8_t *x509_fingerprint(const struct x509 *c)
{
	return c->fingerprint;
}

const char *x509_serial(const struct x509 *c)
{
	return c->serial;
}

int64_t x509_from_s(const struct x509 *c)
{
	return c->from_s;
}

int64_t x509_until_s(const struct x509 *c)
{
	return c->until_s;
}

bool x509_valid_at(const struct x509 *c, int64_t now_ns)
{
	int64_t now_s = now_ns / NS_PER_S;

	return now_s >= c->from_s && now_s <= c->until_s;
}

static enum status visit_entry(const X509_NAME_ENTRY *entry, x509_visit *visit, void *arg)
{
	const ASN1_OBJECT *object = X509_NAME_ENTRY_get_object(entry);
	int nid = OBJ_obj2nid(object), n;
	const char *type;
	uint8_t *value = NULL;
	char digits[128];
	enum status st;

	n = OBJ_obj2txt(digits, sizeof digits, object, 1);
	if (n <= 0 || (size_t)n >= sizeof digits)
		return pkey_failed(ST_CORRUPT);
	type = nid != NID_undef ? OBJ_nid2sn(nid) : digits;
	n = ASN1_STRING_to_UTF8(&value, X509_NAME_ENTRY_get_data(entry));
	if (n < 0)
		return pkey_failed(ST_CORRUPT);
	st = visit(arg, span_str(type), span_of(value, (size_t)n));
	OPENSSL_free(value);
	return st;
}

enum status x509_each(const struct x509 *c, enum x509_name whose, x509_visit *visit, void *arg)
{
	const X509_NAME *name =
	    whose == X509_SUBJECT ? X509_get_subject_name(c->x) : X509_get_issuer_name(c->x);
	int n = X509_NAME_entry_count(name);
	enum status st = ST_OK;

	(void)secret_starved(); /* what was before is not this call's */
	for (int i = 0; i < n && st == ST_OK; i++)
		st = visit_entry(X509_NAME_get_entry(name, i), visit, arg);
	return st;
}
