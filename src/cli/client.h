/* The HTTP client of the command line: one request, one JSON answer. */
#ifndef CLI_CLIENT_H
#define CLI_CLIENT_H

#include <jansson.h>

#include "base/bytes.h"

/* Whether the server's certificate is checked. */
enum client_verify { CLIENT_VERIFY, CLIENT_SKIP_VERIFY };

struct client_settings {
	const char *address; /* "https://HOST:PORT", "http://...", "unix:///PATH" */
	const char *ca_cert; /* PEM file; NULL: the system's */
	enum client_verify verify;
	struct span token; /* empty: none; copied and wiped by client_free */
};

struct client;

/* client_new(settings, ret, err): connects to nothing yet.  ST_INVALID: an address or token that cannot be; ST_NOMEM. */
MUST_USE enum status client_new(const struct client_settings *settings, struct client **ret,
                                struct err *err);
void client_free(struct client **c);

/* What the server said. */
struct reply {
	unsigned status; /* 200, 403 ... */
	json_t *body;    /* NULL: none, or no JSON (then status >= 400) */
	char *url;       /* "GET https://127.0.0.1:8200/v1/sys/health" */
};

/*
 * client_call(c, method, path, query, body, ret, err): METHOD ADDRESS/v1/PATH?QUERY.  path is escaped here; query ("a=b&c=d", may be NULL) stands
 * as given (client_query makes one); body may be NULL.  ST_OK for every answer of a server, refusals too; ST_IO when
 * there was none; ST_CORRUPT when a good one is not JSON; ST_NOMEM.  reply_free afterwards; a zeroed reply may be freed.
 */
MUST_USE enum status client_call(struct client *c, const char *method, const char *path,
                                 const char *query, const json_t *body, struct reply *ret,
                                 struct err *err);
void reply_free(struct reply *r);

/*
 * A request whose body and whose answer go by piece, at the same time.  give(ctx, to, room, ret): up to room bytes, 0 at the end; *ret other than ST_OK
 * ends the request.  take(ctx, text): a piece of a good answer; a status other than ST_OK ends it.
 */
struct client_stream {
	void *ctx;
	size_t (*give)(void *ctx, uint8_t *to, size_t room, enum status *ret);
	enum status (*take)(void *ctx, struct span text);
};

/*
 * client_stream(c, path, s, ret, err): POST ADDRESS/v1/PATH, application/x-ndjson.  A refusal (400 and above) is in *ret as with client_call, and s took nothing of it.  ST_IO
 * when the connection failed or s ended it (then err has no text).
 */
MUST_USE enum status client_stream(struct client *c, const char *path,
                                   const struct client_stream *s, struct reply *ret,
                                   struct err *err);

/* client_escape(b, s): percent-encode all but unreserved characters and '/'.  client_query(b, object): "name=value&..." of an
 * object's strings. */
void client_escape(struct builder *b, struct span s);
void client_query(struct builder *b, json_t *object);

#endif
