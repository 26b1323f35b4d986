/* Record "cert/USER": 1 version 1 | lv the certificate, DER.  "cert-of/HASH", HASH of the fingerprint: 4 user. */
#include "core/login_cert.h"

#include <inttypes.h>

#define RECORD_VERSION 1
#define RECORD_MAX     (X509_DER_MAX + 16)

static struct span cert_path(struct login_path *p, uint32_t user)
{
	return login_path(p, "cert/%08" PRIx32, user);
}

static struct span owner_path(struct login_path *p, const struct hmac_key *key,
                              const uint8_t fingerprint[static SHA256_LEN])
{
	char hash[LOGIN_HASH_LEN + 1];

	login_hash(key, LOGIN_CERTIFICATE, span_of(fingerprint, SHA256_LEN), hash);
	return login_path(p, "cert-of/%s", hash);
}

/* The bytes, which lie in the transaction's memory. */
static enum status find_der(const struct view *view, uint32_t user, struct span *ret,
                            struct err *err)
{
	struct login_path p;
	struct span record, der;
	struct cursor c;
	uint8_t version;
	enum status st = view_get(view, cert_path(&p, user), &record, err);

	if (st != ST_OK)
		return st;
	c = cursor_of(record);
	if (cursor_u8(&c, &version) != ST_OK || version != RECORD_VERSION ||
	    cursor_lv(&c, &der) != ST_OK || cursor_end(&c) != ST_OK)
		return err_set(err, ST_CORRUPT, "the record of a certificate is damaged");
	*ret = der;
	return ST_OK;
}

enum status login_cert_find(const struct view *view, uint32_t user, struct x509 **ret,
                            struct err *err)
{
	struct span der;
	enum status st = find_der(view, user, &der, err);

	if (st != ST_OK)
		return st;
	st = x509_read(der, ret, err);
	return st == ST_INVALID || st == ST_LIMIT
	           ? err_wrap(err, ST_CORRUPT, "the record of a certificate")
	           : st;
}

enum status login_cert_owner(const struct view *view, const struct hmac_key *key,
                             const struct x509 *cert, uint32_t *ret_user, struct err *err)
{
	struct login_path p;
	struct span record;
	struct cursor c;
	uint32_t user;
	enum status st = view_get(view, owner_path(&p, key, x509_fingerprint(cert)), &record, err);

	if (st != ST_OK)
		return st;
	c = cursor_of(record);
	if (cursor_u32(&c, &user) != ST_OK || cursor_end(&c) != ST_OK)
		return err_set(err, ST_CORRUPT, "the record of a certificate's owner is damaged");
	*ret_user = user;
	return ST_OK;
}

static enum status put_record(const struct view *view, uint32_t user, const struct x509 *cert,
                              struct err *err)
{
	struct builder record = {.max = RECORD_MAX};
	struct login_path p;
	enum status st;

	builder_u8(&record, RECORD_VERSION);
	builder_lv(&record, x509_der(cert));
	st = builder_status(&record);
	if (st == ST_OK)
		st = view_put(view, cert_path(&p, user), builder_span(&record), err);
	builder_free(&record);
	return st;
}

static enum status put_owner(const struct view *view, const struct hmac_key *key, uint32_t user,
                             const struct x509 *cert, struct err *err)
{
	uint8_t be[4];
	struct login_path p;
	struct builder b;

	builder_init_fixed(&b, be, sizeof be);
	builder_u32(&b, user);
	return view_put(view, owner_path(&p, key, x509_fingerprint(cert)), builder_span(&b), err);
}

enum status login_cert_put(const struct view *view, const struct hmac_key *key, uint32_t user,
                           const struct x509 *cert, struct err *err)
{
	uint32_t owner = user;
	enum status st = login_cert_owner(view, key, cert, &owner, err);

	if (st != ST_OK && st != ST_NOT_FOUND)
		return st;
	if (owner != user)
		return err_set(err, ST_EXISTS, "this certificate belongs to another user");
	st = login_cert_remove(view, key, user, err);
	if (st == ST_OK || st == ST_NOT_FOUND)
		st = put_record(view, user, cert, err);
	return st == ST_OK ? put_owner(view, key, user, cert, err) : st;
}

enum status login_cert_remove(const struct view *view, const struct hmac_key *key, uint32_t user,
                              struct err *err)
{
	uint8_t fingerprint[SHA256_LEN];
	struct login_path p;
	struct span der;
	enum status st = find_der(view, user, &der, err);

	if (st != ST_OK)
		return st;
	sha256(&der, 1, fingerprint); /* what is stored is as it is written */
	st = view_delete(view, owner_path(&p, key, fingerprint), err);
	return st == ST_OK ? view_delete(view, cert_path(&p, user), err) : st;
}
