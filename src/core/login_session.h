/*
 * Sessions of users who logged in, and the chain of tokens of each.
 *
 * A token is 56 letters and digits: the session's secret, 24 characters, and a keyed hash of that secret and the token's number n, as 32 hex digits.  So all
 * who hold token n get the same token n+1, nobody can compute it without the server's key, and what is stored of the secret is its keyed hash alone, which names the session.
 *
 * Which tokens are good: the newest one that was used (number n, at first 0), its successor n+1 at any time, and n-1 for the grace period, which begins when n is first
 * used.  Calls are answered with the token to use next: n+1 once n is older than the rotation period, else n.  A client that never changes its token works on: nobody uses
 * the successor.  Times are wall time.
 */
#ifndef CORE_LOGIN_SESSION_H
#define CORE_LOGIN_SESSION_H

#include "core/login.h"
#include "crypto/random.h"

#define SESSION_TEXT_LEN     56
#define SESSION_ACCESSOR_LEN 24

struct session {
	char name[LOGIN_HASH_LEN + 1];           /* of its record */
	char accessor[SESSION_ACCESSOR_LEN + 1]; /* names it in the audit; good for nothing else */
	uint32_t user;
	uint32_t era; /* of the user at its log-in */
	int64_t created_ns;
	int64_t expire_ns; /* ends then, unless it is used */
	uint64_t number;   /* of the newest token that was used */
	int64_t turned_ns; /* when that was first used */
	int64_t before_ns; /* until when the token before it is good */
};

/* A session by one of its tokens. */
struct session_use {
	struct session session;
	uint64_t number;                 /* of the token that was shown */
	bool due;                        /* session_touch is to be called, on the writer */
	uint64_t next_number;            /* of the token to use next */
	char next[SESSION_TEXT_LEN + 1]; /* its text */
};

/* session_start(view, key, random, settings, user, era, now_ns, ret, ret_text, err): a new session and its token 0.  Writer only. */
MUST_USE enum status session_start(const struct view *view, const struct hmac_key *key,
                                   const struct random *random,
                                   const struct login_settings *settings, uint32_t user,
                                   uint32_t era, int64_t now_ns, struct session *ret,
                                   char ret_text[static SESSION_TEXT_LEN + 1], struct err *err);

/*
 * session_find(view, key, settings, text, now_ns, ret, err): the session whose token this is; whether its user may still have it (era) is not asked.  ST_NO_SESSION: none, ended, or not this token any more.  Any transaction.  CT: the
 * text's length and the outcome.
 */
MUST_USE enum status session_find(const struct view *view, const struct hmac_key *key,
                                  const struct login_settings *settings, struct span text,
                                  int64_t now_ns, struct session_use *ret, struct err *err);

/*
 * For who keeps a session that was found: session_stamp(view, name, ret, err): its record's stamp (view_stamp).  session_judge(use, settings, now_ns): what is true of it at another
 * time, as long as the record is the same: due and next_number; ST_NO_SESSION: it has ended, or the token has.  session_next(use, key, text): the text of token next_number; text: any
 * of the session's.
 */
MUST_USE enum status session_stamp(const struct view *view, const char *name,
                                   uint8_t ret[static VIEW_STAMP_LEN], struct err *err);
MUST_USE enum status session_judge(struct session_use *use, const struct login_settings *settings,
                                   int64_t now_ns);
void session_next(struct session_use *use, const struct hmac_key *key, struct span text);

/* session_touch(view, settings, use, now_ns, err): it was used now: lasts for the timeout from now on, and the token that was shown is the newest.  Writer only. */
MUST_USE enum status session_touch(const struct view *view, const struct login_settings *settings,
                                   const struct session_use *use, int64_t now_ns, struct err *err);

/* session_end(view, name, err): fine when there is none.  Writer only. */
MUST_USE enum status session_end(const struct view *view, const char *name, struct err *err);

/*
 * session_next_expiry(view, ret_ns, err): when the next one ends; INT64_MAX: none will.  session_expire(view, now_ns, most, ret_n, err): remove up to `most` whose time has come.
 * Writer only.
 */
MUST_USE enum status session_next_expiry(const struct view *view, int64_t *ret_ns, struct err *err);
MUST_USE enum status session_expire(const struct view *view, int64_t now_ns, size_t most,
                                    size_t *ret_n, struct err *err);

#endif
