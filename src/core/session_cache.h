/*
 * A thread's memory of who its callers with sessions are: session, user, and which of the session's tokens was shown, good as long as the records of session and user are those that
 * it was read from.  What a token was is known by its keyed hash; the token to use next is kept in locked memory.  Bounded; one thread (each loop has one, and the writer).
 */
#ifndef CORE_SESSION_CACHE_H
#define CORE_SESSION_CACHE_H

#include "core/login_session.h"
#include "core/login_user.h"

struct session_cache;

/* One caller; valid until the next session_cache_get or drop. */
struct known_session {
	struct session_use use;
	uint32_t status; /* of the user: USER_ bits */
	char username[4 * USER_NAME_MAX + 1];
};

MUST_USE enum status session_cache_new(struct session_cache **ret);
void session_cache_free(struct session_cache **c);
/* session_cache_drop: forget all (sealing). */
void session_cache_drop(struct session_cache *c);

/*
 * session_cache_get(c, view, key, settings, text, now_ns, ret, err): who shows this token, as session_find and user_find say.  ST_NO_SESSION: nobody who may log in.  ST_CORRUPT,
 * ST_NOMEM, ST_IO.  CT: as session_find; that a token was seen before shows, which is no secret.
 */
MUST_USE enum status session_cache_get(struct session_cache *c, const struct view *view,
                                       const struct hmac_key *key,
                                       const struct login_settings *settings, struct span text,
                                       int64_t now_ns, const struct known_session **ret,
                                       struct err *err);

#endif
