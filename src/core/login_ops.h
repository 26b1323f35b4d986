/*
 * The built-in mount "auth/storedsafe/": logging in and out, users, and what the operator needs for them: API keys, one-time codes, settings.  Its paths and answers are neutral; the
 * StoredSafe dialect translates to them, and holders of service tokens reach them by the Vault dialect, as policies allow.
 */
#ifndef CORE_LOGIN_OPS_H
#define CORE_LOGIN_OPS_H

#include "core/login_user.h"
#include "core/sched.h"
#include "engine/engine.h"

/* The mount's object. */
struct login_ops {
	struct sched *sched;
	unsigned expiry_work;
	const char *version; /* of the server */
	bool smartcards;     /* a listener asks for certificates */
};

extern const struct engine engine_login;

/* login_ops_setup(o): registers the expiry of sessions with the scheduler; the other members are set. */
void login_ops_setup(struct login_ops *o);

/* login_find_user(op, id, ret, err): as op->find_user; any mount's op. */
MUST_USE enum status login_find_user(const struct op *op, uint32_t id, struct user_facts *ret,
                                     struct err *err);

#endif
