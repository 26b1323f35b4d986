/* The first administrator of the StoredSafe API, with an API key, made without HTTP: what -dev needs. */
#ifndef CORE_LOGIN_FIRST_H
#define CORE_LOGIN_FIRST_H

#include "core/login_apikey.h"
#include "core/login_user.h"

/* Texts end in NUL; empty ones are made up.  totp: base32.  wipe it after use. */
struct login_first {
	char username[4 * USER_NAME_MAX + 1];
	char passphrase[PASSPHRASE_MAX + 1];
	char apikey[APIKEY_MAX + 1];
	char totp[BASE32_LEN(TOTP_SECRET_MAX) + 1];
};

/* login_first_parse(text, ret, err): "user:passphrase:apikey:totp"; the passphrase may hold colons.  ST_INVALID. */
MUST_USE enum status login_first_parse(const char *text, struct login_first *ret, struct err *err);

/* login_first_make(t, random, now_ns, f, err): the user, active and with the rights of an administrator, and the API key "dev"; what was empty in f is filled in.  On the writer's
 * transaction; hashes the passphrase there. */
MUST_USE enum status login_first_make(struct txn *t, const struct random *random, int64_t now_ns,
                                      struct login_first *f, struct err *err);

#endif
