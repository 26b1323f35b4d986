/* Which neutral operation a method and a path of the StoredSafe API mean, and how its answer is dressed. */
#ifndef API_STOREDSAFE_ROUTE_H
#define API_STOREDSAFE_ROUTE_H

#include "api/api.h"

/* What a call has to do with tokens. */
enum route_token {
	ROUTE_OPEN,  /* nothing */
	ROUTE_LOGIN, /* its answer brings one */
	ROUTE_SESSION
};

/* What of the path is echoed: nothing, or its named segments in DATA, and in CALLINFO the one called "name". */
enum route_echo { ECHO_NOTHING, ECHO_PATH };

/* Where the members of an answer go: some beside CALLINFO, by their names, or all into it, as they stand. */
enum route_answer { ROUTE_MEMBERS, ROUTE_PLAIN };

struct route {
	enum http_method method;
	const char *pattern; /* below "/api/1.0/": words, and ":name" for one segment */
	enum verb verb;
	const char *path;    /* of the neutral request; ":name" is what the pattern's matched */
	const char *handler; /* as CALLINFO names it */
	unsigned status;     /* of success */
	enum route_token token;
	const char *file; /* the parameter that the file of a form becomes; NULL: no forms */
	enum route_echo echo;
	enum route_answer answer;
};

/*
 * route_find(method, path, ret, err): ST_NO_ROUTE: nothing is there; ST_UNSUPPORTED: something is, but not with this method; *ret is then one of those.  route_path(r, path, ret,
 * err): the path of the neutral request.
 */
MUST_USE enum status route_find(enum http_method method, const struct path *path,
                                const struct route **ret, struct err *err);
/* route_segment(r, path, i, ret_name, ret_value): the i-th named segment; false: it has not as many. */
bool route_segment(const struct route *r, const struct path *path, unsigned i,
                   struct span *ret_name, struct span *ret_value);
MUST_USE enum status route_path(const struct route *r, const struct path *path, struct path *ret,
                                struct err *err);

#endif
