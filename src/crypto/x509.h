/*
 * One certificate of somebody (RFC 5280): what it says, and by what it is known again.  It is looked at, not verified: whom to trust is decided elsewhere (http/tls, when a
 * client shows one), and whoever holds a certificate need not hold its key.
 */
#ifndef CRYPTO_X509_H
#define CRYPTO_X509_H

#include "crypto/kdf.h"

struct x509; /* immutable; any thread */

#define X509_DER_MAX  ((size_t)16 << 10) /* bytes of one */
#define X509_NAME_MAX 32                 /* attributes of a name */

/*
 * x509_read(text, ret, err): DER, its base64, or one "CERTIFICATE" block in PEM with any text around it.  ST_INVALID: it is none, it is more than one, another block stands there (a private
 * key), its times or its serial number are malformed, or a name has more than X509_NAME_MAX attributes.  ST_LIMIT: more than X509_DER_MAX.  ST_NOMEM.  x509_free(c): NULL afterwards.
 */
MUST_USE enum status x509_read(struct span text, struct x509 **ret, struct err *err);
void x509_free(struct x509 **c);

/* x509_der(c): as it is written now, which is what it was read from unless that was no strict DER.  x509_fingerprint(c): SHA-256 of that.  x509_serial(c): hexadecimal digits in pairs. */
struct span x509_der(const struct x509 *c);
const uint8_t *x509_fingerprint(const struct x509 *c);
const char *x509_serial(const struct x509 *c);

/* x509_from_s(c), x509_until_s(c): the first and the last second at which it is valid, Unix time. */
int64_t x509_from_s(const struct x509 *c);
int64_t x509_until_s(const struct x509 *c);
/* x509_valid_at(c, now_ns): is it, at this time? */
bool x509_valid_at(const struct x509 *c, int64_t now_ns);

/*
 * x509_each(c, whose, visit, arg): the attributes of a name in their order: type is a short name ("CN", "O", "emailAddress"), or an object identifier in digits; value is UTF-8, as long
 * as visit runs.  A status of visit other than ST_OK ends it and is returned.  ST_NOMEM; ST_CORRUPT: a value that is no text.
 */
enum x509_name { X509_SUBJECT, X509_ISSUER };
typedef enum status x509_visit(void *arg, struct span type, struct span value);
MUST_USE enum status x509_each(const struct x509 *c, enum x509_name whose, x509_visit *visit,
                               void *arg);

#endif
