/*
 * Users who log in: what their sessions, keys and one-time codes have in common.  All their records lie below "sys/login/" (docs/formats.md):
 *
 *   settings                 how long sessions and their tokens last
 *   user/ID, name/HASH       users (login_user.h)          apikey/..., apikey-name/NAME   applications (login_apikey.h)
 *   yubikey/PUBLICID         devices (login_yubikey.h)     lock/...                       failed log-ins (login_lock.h)
 *   cert/ID, cert-of/HASH    certificates of users (login_cert.h)
 *   session/HASH, expiry/TIME/HASH   sessions (login_session.h)
 *
 * What people know or hold is stored as a hash, except what a code must be computed from (the secrets of TOTP and of Yubico's devices).
 */
#ifndef CORE_LOGIN_H
#define CORE_LOGIN_H

#include "barrier/view.h"
#include "base/clock.h"
#include "crypto/kdf.h"

#define LOGIN_PREFIX   "sys/login/"
#define LOGIN_HASH_LEN 64 /* hex digits */

/* How long things last. */
struct login_settings {
	int64_t timeout_ns;  /* a session ends so long after its last call; at least 1 s */
	int64_t rotation_ns; /* age at which a token gets a successor */
	int64_t
	    grace_ns; /* a token is good for so long after its successor was first used; at most rotation_ns */
};
extern const struct login_settings login_settings_default; /* 1 h, 15 min, 5 min */

/* login_settings_check(s, err): ST_INVALID with the reason.  _load: the default when nothing is stored; ST_CORRUPT.  _put: writer only. */
MUST_USE enum status login_settings_check(const struct login_settings *s, struct err *err);
MUST_USE enum status login_settings_load(const struct view *view, struct login_settings *ret,
                                         struct err *err);
MUST_USE enum status login_settings_put(const struct view *view, const struct login_settings *s,
                                        struct err *err);

/* What a hash is of: no two kinds can be mistaken for each other. */
enum login_kind {
	LOGIN_SESSION,
	LOGIN_TOKEN,
	LOGIN_USERNAME,
	LOGIN_APIKEY,
	LOGIN_CERTIFICATE,
	LOGIN_CALLER /* only in memory (session_cache) */
};

/*
 * login_mac(key, kind, a, b, ret): keyed hash of one or two texts; the key is the world's login_key.  login_hash(key, kind, text, ret): of one, as NUL-terminated hex, a name in
 * the storage.  CT: lengths only.
 */
void login_mac(const struct hmac_key *key, enum login_kind kind, struct span a, struct span b,
               uint8_t ret[static SHA256_LEN]);
void login_hash(const struct hmac_key *key, enum login_kind kind, struct span text,
                char ret[static LOGIN_HASH_LEN + 1]);

/* login_path(p, fmt, ...): the path of a record, below LOGIN_PREFIX; the format is the caller's own and always fits (MUST). */
#define LOGIN_PATH_MAX 200
struct login_path {
	char text[LOGIN_PATH_MAX];
};
struct span login_path(struct login_path *p, const char *fmt, ...) PRINTF_LIKE(2, 3);

#endif
