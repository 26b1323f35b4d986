/* API keys: one an application, made by the operator; stored as keyed hashes. */
#ifndef CORE_LOGIN_APIKEY_H
#define CORE_LOGIN_APIKEY_H

#include "core/login.h"
#include "crypto/random.h"

#define APIKEY_LEN      40 /* characters of one that is made here */
#define APIKEY_MIN      8
#define APIKEY_MAX      64
#define APIKEY_NAME_MAX 64

/* login_apikey_name_valid(name): 1 to APIKEY_NAME_MAX of [A-Za-z0-9._-], not beginning with a dot. */
bool login_apikey_name_valid(struct span name);

/*
 * login_apikey_create(view, key, random, name, text, now_ns, err): text: in, a key of the caller's choice (printable ASCII without blanks), or "" for a new one, which is written there.
 * ST_EXISTS: the name or the key is in use.  ST_INVALID.  login_apikey_revoke(view, name, err): ST_NOT_FOUND.  Writer only.
 */
MUST_USE enum status login_apikey_create(const struct view *view, const struct hmac_key *key,
                                         const struct random *random, struct span name,
                                         char text[static APIKEY_MAX + 1], int64_t now_ns,
                                         struct err *err);
MUST_USE enum status login_apikey_revoke(const struct view *view, struct span name,
                                         struct err *err);

/* login_apikey_check(view, key, text, err): ST_OK: it is one; ST_DENIED: it is none. */
MUST_USE enum status login_apikey_check(const struct view *view, const struct hmac_key *key,
                                        struct span text, struct err *err);
/* login_apikey_behind(view, key, text, ret_n, err): the API key that text ends in has *ret_n characters; ST_DENIED: it ends in none. */
MUST_USE enum status login_apikey_behind(const struct view *view, const struct hmac_key *key,
                                         struct span text, size_t *ret_n, struct err *err);

/* login_apikey_each(view, visit, arg, err): their names in order, and when they were made. */
MUST_USE enum status login_apikey_each(const struct view *view,
                                       enum status (*visit)(void *arg, struct span name,
                                                            int64_t created_ns),
                                       void *arg, struct err *err);

#endif
