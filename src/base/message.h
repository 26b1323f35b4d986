/* The neutral request and answer that both dialects build and every handler takes; the path as checked segments. */
#ifndef BASE_MESSAGE_H
#define BASE_MESSAGE_H

#include "base/json.h"

/* What the caller wants done.  WRITE becomes create or update at the gate, where the operation tells them apart. */
enum verb { VERB_READ, VERB_WRITE, VERB_DELETE, VERB_LIST, VERB_PATCH, VERB_SCAN, VERB_COUNT };
const char *verb_name(enum verb v); /* "read", "update", "delete", "list", "patch", "scan" */

/*
 * A path below the dialect's root, split once: "sys/rotate/config" has three segments.  No leading slash; `folder` tells that one
 * trailing slash was there (text keeps it, the segments do not).  path_parse refuses (ST_INVALID, with the reason): empty
 * segments, "." and "..", bytes below 0x20, 0x7f, invalid UTF-8, more than PATH_MAX_LEN bytes or PATH_SEGMENTS segments.
 */
#define PATH_MAX_LEN 500
#define PATH_SEGMENTS 64

struct path {
	char text[PATH_MAX_LEN + 2]; /* NUL-terminated */
	uint16_t n;                  /* bytes, the trailing slash included */
	uint16_t start[PATH_SEGMENTS];
	uint16_t len[PATH_SEGMENTS];
	uint8_t segments;
	bool folder;
};

/* path_parse(text, ret, err): text is percent-decoded already.  path_unescape(raw, buf, cap, ret, err): decode %XX once; ST_INVALID for a malformed
 * escape, an encoded slash, NUL or control byte. */
MUST_USE enum status path_parse(struct span text, struct path *ret, struct err *err);
MUST_USE enum status path_unescape(struct span raw, char *buf, size_t cap, struct span *ret, struct err *err);
struct span path_span(const struct path *p);
struct span path_segment(const struct path *p, unsigned i);

/* One decoded query parameter. */
struct query {
	struct span name, value;
};
#define QUERY_MAX 16

/* What a token is good for: policies are those of a service token; a user who logged in holds the token of a session. */
enum token_kind { TOKEN_KIND_SERVICE, TOKEN_KIND_SESSION };

struct request {
	char id[37];                    /* UUID, NUL-terminated */
	enum verb verb;
	struct path path;
	struct span token;              /* as sent; empty: none */
	enum token_kind token_kind;
	struct span remote;             /* peer address as text, for audit */
	struct span certificate;        /* that the peer showed, DER: it has the key, which says nothing of who it is; empty: none */
	const struct json_value *data;  /* body object; NULL: none */
	struct query query[QUERY_MAX];
	unsigned n_query;
	int64_t now_ns;                 /* wall time at which the request arrived */
	const struct api_dialect *dialect; /* opaque here; for audit and shaping */
};

/* How the dialect shapes a good answer. */
enum answer_shape {
	ANSWER_EMPTY,    /* no body: 204 */
	ANSWER_DATA,     /* envelope around `data` */
	ANSWER_DATA_TOP, /* envelope around `data`, whose members stand at the top level too */
	ANSWER_BARE,     /* `data` alone, no envelope */
	ANSWER_TEXT,     /* `data` is not JSON; content_type says what */
	ANSWER_AUTH      /* envelope with `auth`, data null */
};

struct answer {
	enum status status;        /* ST_OK, or why not */
	struct err err;            /* text for the caller when not */
	enum answer_shape shape;
	unsigned http_status;      /* 0: the dialect's usual one for status and shape */
	struct builder data;       /* JSON text of the data object (or bare text) */
	struct builder auth;       /* JSON text of the auth object */
	struct builder warnings;   /* JSON text of array elements, comma-separated; empty: null */
	uint64_t lease_duration_s;
	const char *content_type;  /* ANSWER_TEXT only */
};

void answer_init(struct answer *a);
void answer_reset(struct answer *a); /* as new, memory kept and wiped */
void answer_free(struct answer *a);
/* answer_take(a, data): what the builder holds is the answer's data now; the builder is empty then.  Its limit does not stay: the answer may be used again. */
void answer_take(struct answer *a, struct builder *data);
void answer_warn(struct answer *a, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* answer_fail(a, status, fmt, ...): set status and text; returns status. */
enum status answer_fail(struct answer *a, enum status status, const char *fmt, ...) PRINTF_LIKE(3, 4);

/*
 * A stream: a request whose body is handed on as it comes, and whose answer goes out meanwhile.  Who receives it visits who carries it out: it
 * offers what came and was not used yet, and room for more of the answer.
 */
enum stream_end {
	STREAM_GOES_ON, /* more input follows, or may follow */
	STREAM_LAST     /* nothing follows what is offered */
};

struct stream_visit {
	uint8_t *in; /* n bytes; those that are used may be changed in place */
	size_t n;
	enum stream_end end;
	size_t used;         /* set by who is visited: so many from the front are done with */
	struct builder *out; /* the answer is appended here; what stands there is not touched */
	size_t out_full;     /* once out->n has come so far, nothing more is begun */
};

enum stream_step {
	STREAM_MORE,  /* more input is needed; never at the end of it */
	STREAM_FULL,  /* the answer is full enough: visit again when it has gone, whether or not more came */
	STREAM_PAUSE, /* not now: no visit before it is told to go on */
	STREAM_OVER   /* the answer is complete, and nobody holds anything any more; what was not used is not wanted */
};

/*
 * Parameters: a member of the body, else the query parameter of that name.  Each returns ST_NOT_FOUND (and leaves *ret) when
 * there is none or it is null, ST_INVALID with a clear text when it has another type.  Accepted: integers also as decimal strings;
 * booleans also as "true", "false", "1", "0" (strconv.ParseBool's words); durations as seconds or Go strings (duration_parse);
 * lists also as one comma-separated string.
 */
const struct json_value *request_member(const struct request *r, const char *name);
MUST_USE enum status request_string(const struct request *r, const char *name, struct span *ret, struct err *err);
MUST_USE enum status request_int(const struct request *r, const char *name, int64_t *ret, struct err *err);
MUST_USE enum status request_bool(const struct request *r, const char *name, bool *ret, struct err *err);
MUST_USE enum status request_duration(const struct request *r, const char *name, int64_t *ret_ns, struct err *err);
/* request_int_text(s, ret): an integer in its text: decimal digits, perhaps with a sign, and nothing else.  ST_INVALID. */
MUST_USE enum status request_int_text(struct span s, int64_t *ret);
/* request_list: at most cap items; ST_LIMIT beyond. */
MUST_USE enum status request_list(const struct request *r, const char *name, struct span *items, size_t cap, size_t *ret_n, struct err *err);

#endif
