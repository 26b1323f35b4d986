/* Certificates of users: one a user at most, known again by its fingerprint; of a certificate one user at most. */
#ifndef CORE_LOGIN_CERT_H
#define CORE_LOGIN_CERT_H

#include "core/login.h"
#include "crypto/x509.h"

/* login_cert_find(view, user, ret, err): the user's, which the caller frees.  ST_NOT_FOUND, ST_CORRUPT, ST_NOMEM. */
MUST_USE enum status login_cert_find(const struct view *view, uint32_t user, struct x509 **ret,
                                     struct err *err);
/* login_cert_owner(view, key, cert, ret_user, err): whose it is.  ST_NOT_FOUND: nobody's. */
MUST_USE enum status login_cert_owner(const struct view *view, const struct hmac_key *key,
                                      const struct x509 *cert, uint32_t *ret_user, struct err *err);

/*
 * login_cert_put(view, key, user, cert, err): it is the user's from now on, instead of the one before.  ST_EXISTS: another user's.  login_cert_remove(view, key, user, err): the user has none
 * from now on; ST_NOT_FOUND.  Writer only.
 */
MUST_USE enum status login_cert_put(const struct view *view, const struct hmac_key *key,
                                    uint32_t user, const struct x509 *cert, struct err *err);
MUST_USE enum status login_cert_remove(const struct view *view, const struct hmac_key *key,
                                       uint32_t user, struct err *err);

#endif
