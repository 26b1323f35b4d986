/*
 * Users: who they are, what they may do anywhere, and what they log in with.  A user is never removed, only deactivated, so that its id names nobody else, ever.
 */
#ifndef CORE_LOGIN_USER_H
#define CORE_LOGIN_USER_H

#include "core/login.h"
#include "crypto/otp.h"
#include "engine/engine.h"

/* Lengths in characters, as the API has them. */
#define USER_NAME_MIN     5
#define USER_NAME_MAX     32
#define USER_FULLNAME_MIN 5
#define USER_FULLNAME_MAX 64
#define USER_EMAIL_MIN    5
#define USER_EMAIL_MAX    128
#define USER_YUBIKEYS_MAX 3
#define PASSPHRASE_MAX    1024 /* bytes */

/* Spans of a user that was found lie in the transaction's memory. */
struct user {
	uint32_t id;     /* from 1; 0 before user_create */
	uint32_t status; /* USER_ bits */
	int64_t created_ns;
	struct span username, fullname, email;
	struct span passphrase; /* its hash, as password_hash gives it */
	struct span totp;       /* secret; empty: none */
	uint64_t totp_step;     /* of the last code that was taken */
	uint32_t era; /* rises when sessions must end (user_put); they hold that of their log-in */
	char yubikey[USER_YUBIKEYS_MAX][YUBICO_PUBLIC_LEN + 1]; /* devices; "": none */
};

/* user_check_text(name, text, min, max, err): so many characters and none of control.  ST_INVALID names the parameter. */
MUST_USE enum status user_check_text(const char *name, struct span text, size_t min, size_t max,
                                     struct err *err);

/* user_find(view, id, ret, err), user_by_name(view, key, username, ret, err): ST_NOT_FOUND, ST_CORRUPT.  view: of LOGIN_PREFIX. */
MUST_USE enum status user_find(const struct view *view, uint32_t id, struct user *ret,
                               struct err *err);
/* user_stamp(view, id, ret, err): of its record (view_stamp). */
MUST_USE enum status user_stamp(const struct view *view, uint32_t id,
                                uint8_t ret[static VIEW_STAMP_LEN], struct err *err);
MUST_USE enum status user_by_name(const struct view *view, const struct hmac_key *key,
                                  struct span username, struct user *ret, struct err *err);

/* user_create(view, key, u, err): a new user, u->id filled in.  ST_EXISTS: the name is taken.  Writer only. */
MUST_USE enum status user_create(const struct view *view, const struct hmac_key *key,
                                 struct user *u, struct err *err);
/* user_put(view, key, before, u, err): store changes, of the name too (ST_EXISTS).  before: as found.  When passphrase or TOTP secret is another, a device is taken away, or the user
 * may no longer log in, all its sessions are over, for good.  Writer only. */
MUST_USE enum status user_put(const struct view *view, const struct hmac_key *key,
                              const struct user *before, const struct user *u, struct err *err);

/* user_each(view, visit, arg, err): all users, in the order of their ids; a status other than ST_OK ends it and is returned. */
MUST_USE enum status user_each(const struct view *view,
                               enum status (*visit)(void *arg, const struct user *u), void *arg,
                               struct err *err);

/* user_can_log_in(u): active, and no escrow user. */
bool user_can_log_in(const struct user *u);

#endif
