/*
 * Failed log-ins: after a few in a row a name has to wait, each time longer.  Names that no user has wait just the same; they share a bounded number of records, so that guessing
 * names neither fills the store nor tells which ones exist.
 */
#ifndef CORE_LOGIN_LOCK_H
#define CORE_LOGIN_LOCK_H

#include "core/login.h"

#define LOCK_FREE     5 /* failures in a row that cost nothing */
#define LOCK_MOST_S   900
#define LOCK_FORGET_S 3600  /* failures are forgotten so long after the last one */
#define LOCK_NAMES    65536 /* records that names without a user share */

/* Who wants to log in. */
struct lock_who {
	uint32_t user;        /* 0: no user has the name */
	struct span username; /* used then */
};

/* login_lock_check(view, key, who, now_ns, ret_wait_s, err): seconds it has to wait; 0: it may try. */
MUST_USE enum status login_lock_check(const struct view *view, const struct hmac_key *key,
                                      const struct lock_who *who, int64_t now_ns,
                                      int64_t *ret_wait_s, struct err *err);
/* login_lock_failed(view, key, who, now_ns, err): it failed: from the LOCK_FREE-th time in a row on it waits 1 s, 2 s, 4 s ... LOCK_MOST_S.  login_lock_passed(view, key, who, err): forgotten.  Writer only. */
MUST_USE enum status login_lock_failed(const struct view *view, const struct hmac_key *key,
                                       const struct lock_who *who, int64_t now_ns, struct err *err);
MUST_USE enum status login_lock_passed(const struct view *view, const struct hmac_key *key,
                                       const struct lock_who *who, struct err *err);

#endif
