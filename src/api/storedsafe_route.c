#include "api/storedsafe_route.h"

#include <string.h>

/* Where users and vaults are mounted. */
#define LOGIN "auth/storedsafe/"
#define SAFE  "storedsafe/"

/* Calls about named keys.  Of some the vendor's documents have the vault first, of some the operation: both orders are taken of all. */
#define KEY_ROUTE(method, pattern, verb, path, status, shape)                                   \
	{                                                                                       \
		method, "transparent/" pattern, verb, SAFE "vaults/" path, "EncryptionHandler", \
		    status, ROUTE_SESSION, .echo = ECHO_PATH, .answer = shape                   \
	}
#define KEY(method, pattern, verb, path, status) \
	KEY_ROUTE(method, pattern, verb, path, status, ROUTE_MEMBERS)
#define KEY_EITHER(method, what, rest, verb)                                  \
	KEY(method, ":vaultid/" what rest, verb, ":vaultid/" what rest, 200), \
	    KEY(method, what "/:vaultid" rest, verb, ":vaultid/" what rest, 200)
/* Of one text, or many. */
#define CRYPT(what, rest)                                                                       \
	KEY_ROUTE(HTTP_POST, ":vaultid/" what rest, VERB_WRITE, ":vaultid/" what rest, 200,     \
	          ROUTE_PLAIN),                                                                 \
	    KEY_ROUTE(HTTP_POST, what "/:vaultid" rest, VERB_WRITE, ":vaultid/" what rest, 200, \
	              ROUTE_PLAIN)

/* What is asked for most stands first: the table is searched in its order. */
static const struct route routes[] = {
    CRYPT("encrypt", "/:name"),
    CRYPT("decrypt", "/:name"),
    CRYPT("rewrap", "/:name"),

    {HTTP_POST, "auth", VERB_WRITE, LOGIN "login", "AuthHandler", 200, ROUTE_LOGIN},
    {HTTP_POST, "auth/check", VERB_READ, LOGIN "check", "AuthHandler", 200, ROUTE_SESSION},
    {HTTP_GET, "auth/check", VERB_READ, LOGIN "check", "AuthHandler", 200, ROUTE_SESSION},
    {HTTP_GET, "auth/logout", VERB_WRITE, LOGIN "logout", "AuthHandler", 200, ROUTE_SESSION},
    {HTTP_GET, "authinfo/logintypes", VERB_READ, LOGIN "logintypes", "AuthInfoHandler", 200,
     ROUTE_OPEN},
    {HTTP_GET, "authinfo/smartcard", VERB_READ, LOGIN "smartcard", "AuthInfoHandler", 200,
     ROUTE_OPEN},

    {HTTP_GET, "vault", VERB_LIST, SAFE "vaults", "GroupHandler", 200, ROUTE_SESSION},
    {HTTP_POST, "vault", VERB_WRITE, SAFE "vaults", "VaultHandler", 200, ROUTE_SESSION},
    {HTTP_GET, "vault/:vaultid", VERB_READ, SAFE "vaults/:vaultid", "GroupHandler", 200,
     ROUTE_SESSION},
    {HTTP_PUT, "vault/:vaultid", VERB_WRITE, SAFE "vaults/:vaultid", "VaultHandler", 200,
     ROUTE_SESSION},
    {HTTP_DELETE, "vault/:vaultid", VERB_DELETE, SAFE "vaults/:vaultid", "GroupHandler", 200,
     ROUTE_SESSION},

    {HTTP_GET, "vault/:vaultid/members", VERB_LIST, SAFE "vaults/:vaultid/members",
     "VaultmembersHandler", 200, ROUTE_SESSION},
    {HTTP_POST, "vault/:vaultid/member/:userid", VERB_WRITE, SAFE "vaults/:vaultid/members/:userid",
     "VaultmembersHandler", 200, ROUTE_SESSION},
    {HTTP_PUT, "vault/:vaultid/member/:userid", VERB_PATCH, SAFE "vaults/:vaultid/members/:userid",
     "VaultmembersHandler", 200, ROUTE_SESSION},
    {HTTP_DELETE, "vault/:vaultid/member/:userid", VERB_DELETE,
     SAFE "vaults/:vaultid/members/:userid", "VaultmembersHandler", 200, ROUTE_SESSION},

    {HTTP_GET, "user", VERB_LIST, LOGIN "users", "UserHandler", 200, ROUTE_SESSION},
    {HTTP_POST, "user", VERB_WRITE, LOGIN "users", "UserHandler", 201, ROUTE_SESSION},
    {HTTP_GET, "user/:userid", VERB_READ, LOGIN "users/:userid", "UserHandler", 200, ROUTE_SESSION},
    {HTTP_PUT, "user/:userid", VERB_WRITE, LOGIN "users/:userid", "UserHandler", 200,
     ROUTE_SESSION},
    {HTTP_DELETE, "user/:userid", VERB_DELETE, LOGIN "users/:userid", "UserHandler", 200,
     ROUTE_SESSION},

    {HTTP_GET, "usercert", VERB_READ, LOGIN "certificate", "UserCertHandler", 200, ROUTE_SESSION},
    {HTTP_GET, "usercert/:userid", VERB_READ, LOGIN "users/:userid/certificate", "UserCertHandler",
     200, ROUTE_SESSION},
    {HTTP_POST, "usercert/:userid", VERB_WRITE, LOGIN "users/:userid/certificate",
     "UserCertHandler", 200, ROUTE_SESSION, .file = "user_cert"},
    {HTTP_DELETE, "usercert/:userid", VERB_DELETE, LOGIN "users/:userid/certificate",
     "UserCertHandler", 200, ROUTE_SESSION},

    KEY(HTTP_LIST, ":vaultid/keys", VERB_LIST, ":vaultid/keys", 200),
    KEY(HTTP_GET, ":vaultid/keys", VERB_LIST, ":vaultid/keys", 200),
    KEY(HTTP_POST, ":vaultid/keys/:name", VERB_WRITE, ":vaultid/keys/:name", 201),
    KEY(HTTP_GET, ":vaultid/keys/:name", VERB_READ, ":vaultid/keys/:name", 200),
    KEY(HTTP_PUT, ":vaultid/keys/:name", VERB_WRITE, ":vaultid/keys/:name/config", 200),
    KEY(HTTP_DELETE, ":vaultid/keys/:name", VERB_DELETE, ":vaultid/keys/:name", 200),
    KEY(HTTP_POST, ":vaultid/keys/:name/rotate", VERB_WRITE, ":vaultid/keys/:name/rotate", 201),
    KEY(HTTP_GET, ":vaultid/keys/:name/versions", VERB_READ, ":vaultid/keys/:name/versions", 200),
    KEY(HTTP_PUT, ":vaultid/keys/:name/versions/:key_version", VERB_WRITE,
        ":vaultid/keys/:name/versions/:key_version", 200),
    KEY(HTTP_POST, ":vaultid/keys/:name/versions/:key_version", VERB_WRITE,
        ":vaultid/keys/:name/versions/:key_version", 200),
    CRYPT("datakey", "/plaintext/:name"),
    CRYPT("datakey", "/wrapped/:name"),
    KEY_EITHER(HTTP_GET, "export", "/:name", VERB_READ),
    KEY_EITHER(HTTP_GET, "export", "/:name/:key_version", VERB_READ),
    KEY_EITHER(HTTP_GET, "backup", "/:name", VERB_READ),
    KEY_EITHER(HTTP_POST, "restore", "/:name", VERB_WRITE),

    {HTTP_GET, "utils/statusvalues", VERB_READ, SAFE "utils/statusvalues", "UtilsHandler", 200,
     ROUTE_SESSION},
    {HTTP_GET, "utils/policies", VERB_READ, SAFE "utils/policies", "UtilsHandler", 200,
     ROUTE_SESSION},
    {HTTP_POST, "utils/checkpolicy", VERB_WRITE, SAFE "utils/checkpolicy", "UtilsHandler", 200,
     ROUTE_SESSION},
    {HTTP_POST, "utils/get_mime_type", VERB_WRITE, SAFE "utils/mime_type", "UtilsHandler", 200,
     ROUTE_SESSION},
    {HTTP_GET, "utils/pwgen", VERB_READ, SAFE "utils/pwgen", "UtilsHandler", 200, ROUTE_SESSION},
    {HTTP_GET, "utils/version", VERB_READ, SAFE "utils/version", "UtilsHandler", 200,
     ROUTE_SESSION},
};

/* The next segment of a pattern; *pattern moves behind it. */
static struct span next_segment(const char **pattern)
{
	const char *end = strchrnul(*pattern, '/');
	struct span s = span_of(*pattern, (size_t)(end - *pattern));

	*pattern = *end == '/' ? end + 1 : end;
	return s;
}

static bool fits(const char *pattern, const struct path *path)
{
	unsigned i;

	if (path->segments > 0 &&
	    pattern[0] != path_segment(path, 0).p[0]) /* no pattern begins with a name */
		return false;
	for (i = 0; i < path->segments && *pattern != 0; i++) {
		struct span want = next_segment(&pattern);

		if (want.p[0] != ':' && !span_eq(want, path_segment(path, i)))
			return false;
	}
	return i == path->segments && *pattern == 0;
}

enum status route_find(enum http_method method, const struct path *path, const struct route **ret,
                       struct err *err)
{
	const struct route *other = NULL;

	for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
		if (!fits(routes[i].pattern, path))
			continue;
		other = &routes[i];
		if (other->method == method) {
			*ret = other;
			return ST_OK;
		}
	}
	if (other == NULL)
		return err_set(err, ST_NO_ROUTE, "there is no such resource");
	*ret = other;
	return err_set(err, ST_UNSUPPORTED, "this resource has no such method");
}

/* What the pattern's segment of this name matched. */
static struct span matched(const struct route *r, const struct path *path, struct span name)
{
	const char *pattern = r->pattern;

	for (unsigned i = 0; *pattern != 0; i++)
		if (span_eq(next_segment(&pattern), name))
			return path_segment(path, i);
	MUST(*pattern != 0); /* a name that the table's pattern does not have */
	return name;
}

bool route_segment(const struct route *r, const struct path *path, unsigned i,
                   struct span *ret_name, struct span *ret_value)
{
	const char *pattern = r->pattern;

	for (unsigned at = 0; *pattern != 0; at++) {
		struct span s = next_segment(&pattern);

		if (s.p[0] != ':' || i-- > 0)
			continue;
		*ret_name = span_from(s, 1);
		*ret_value = path_segment(path, at);
		return true;
	}
	return false;
}

enum status route_path(const struct route *r, const struct path *path, struct path *ret,
                       struct err *err)
{
	char text[PATH_MAX_LEN + 1];
	const char *at = r->path;
	struct builder b;

	builder_init_fixed(&b, text, sizeof text);
	while (*at != 0) {
		struct span s = next_segment(&at);

		builder_add(&b, s.p[0] == ':' ? matched(r, path, s) : s);
		if (*at != 0)
			builder_u8(&b, '/');
	}
	if (builder_status(&b) != ST_OK)
		return err_set(err, ST_INVALID, "the path is too long");
	return path_parse(builder_span(&b), ret, err);
}
