/* What the files of login_ops share. */
#ifndef CORE_LOGIN_OPS_IMPL_H
#define CORE_LOGIN_OPS_IMPL_H

#include "core/login_ops.h"
#include "core/world.h"
#include "crypto/x509.h"

/* login_ops_world(op): the world of a call.  login_ops_key(op): the key of all hashes. */
const struct core_world *login_ops_world(const struct op *op);
const struct hmac_key *login_ops_key(const struct op *op);

/* login_ops_text(op, name, ret): a parameter that must be there; ST_INVALID with the answer filled in. */
MUST_USE enum status login_ops_text(struct op *op, const char *name, struct span *ret);

/* login_ops_user(op, arg, ret): the user that the path names, by id or by username; ST_NOT_FOUND with the answer filled in. */
MUST_USE enum status login_ops_user(struct op *op, struct span arg, struct user *ret);

/* login_ops_no_session(op): the refusal of what only a session can ask for; holders of service tokens have none, whatever their policies say. */
enum status login_ops_no_session(struct op *op);

/*
 * Work with a passphrase, for the pool.  login_work_new(passphrase, hash, ret): verify it against the hash; an empty hash: make one, which costs the same.  What it found is in
 * `status` and, when it made one, in `hash`.
 */
struct login_work {
	struct slow slow; /* first */
	struct secret *passphrase;
	char hash[PASSWORD_HASH_MAX];
	bool makes;
	enum status status;
};
MUST_USE enum status login_work_new(struct span passphrase, struct span hash,
                                    struct login_work **ret);

/* login_ops_login.c */
enum status login_ops_login(struct op *op);
/* login_ops_user.c */
enum status login_ops_user_list(struct op *op);
enum status login_ops_user_read(struct op *op);
enum status login_ops_user_create(struct op *op);
enum status login_ops_user_edit(struct op *op);
enum status login_ops_user_deactivate(struct op *op);
/*
 * login_ops_presented(op, ret_user, ret_cert): whose the certificate is that the client showed; ret_cert may be NULL, else the caller frees it.  ST_DENIED: it showed none, or one that is
 * nobody's or not valid at this time.
 */
MUST_USE enum status login_ops_presented(struct op *op, uint32_t *ret_user, struct x509 **ret_cert);

/* login_ops_cert.c */
enum status login_ops_smartcard(struct op *op);
enum status login_ops_cert_own(struct op *op);
enum status login_ops_cert_read(struct op *op);
enum status login_ops_cert_add(struct op *op);
enum status login_ops_cert_remove(struct op *op);
/* login_ops_operator.c */
enum status login_ops_apikey_create(struct op *op);
enum status login_ops_apikey_list(struct op *op);
enum status login_ops_apikey_revoke(struct op *op);
enum status login_ops_otp(struct op *op);
enum status login_ops_otp_remove(struct op *op);
enum status login_ops_settings_read(struct op *op);
enum status login_ops_settings(struct op *op);

#endif
