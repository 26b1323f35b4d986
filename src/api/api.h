/*
 * Between the wire and the dialects: http hands over one exchange a request, the dialect that its path names translates it, and
 * the answer comes back in the same struct.
 */
#ifndef API_API_H
#define API_API_H

#include "base/bytes.h"
#include "base/loop.h"
#include "base/message.h"

enum http_method {
	HTTP_GET,
	HTTP_HEAD,
	HTTP_POST,
	HTTP_PUT,
	HTTP_DELETE,
	HTTP_PATCH,
	HTTP_LIST,
	HTTP_SCAN,
	HTTP_OPTIONS,
	HTTP_OTHER
};

struct header {
	struct span name;  /* lower case */
	struct span value; /* without white space around it */
};
#define HEADERS_MAX 100

/* How the body comes: whole before api_handle, or by api_stream after it. */
enum exchange_kind { EXCHANGE_WHOLE, EXCHANGE_STREAM };

/*
 * One request and its answer.  http owns it (one a connection, used again for the next request); everything `in` stays
 * valid and unchanged until `finish` was called.
 */
struct exchange {
	/* in */
	enum http_method method;
	struct span target; /* path, not decoded, without query; begins with '/' */
	struct span query;  /* behind the '?', not decoded; empty: none */
	const struct header *headers;
	size_t n_headers;
	uint8_t *
	    body; /* n_body bytes that the dialect may change in place (JSON reader); wiped by http afterwards */
	size_t n_body;
	enum exchange_kind kind; /* EXCHANGE_STREAM: there is no body yet */
	struct span remote;      /* peer: "127.0.0.1:5555", or "unix" */
	struct span certificate; /* that the client showed, DER; it has the key.  Empty: none */
	struct loop *loop;

	/* out; body is reset by http before each request */
	unsigned status;
	const char *content_type; /* NULL: no body */
	struct builder
	    body_first; /* a few bytes that stand before body_out: an envelope around data that is not copied */
	struct builder body_out;
	struct header extra
	    [4]; /* further answer headers; values must live as long as the exchange's body_out or be constant */
	size_t n_extra;
	size_t
	    item_max; /* of a stream that begins: so many bytes are offered at once before it must use some or be over */

	/*
	 * finish(x): send it.  The dialect calls it exactly once an exchange, on the loop's thread, from within api_handle or
	 * later.  http keeps the exchange alive until then even when the client has gone.
	 */
	void (*finish)(struct exchange *x);
	/*
	 * begin(x): instead of finish, where kind is EXCHANGE_STREAM: the answer begins with status and content_type; visits follow (api_stream).
	 * resume(x): a stream that paused may be visited again; on the loop's thread, once a pause, never from within api_stream.
	 */
	void (*begin)(struct exchange *x);
	void (*resume)(struct exchange *x);
	void *
	    state; /* the dialect's own memory of this exchange; kept between requests; freed by api_forget */
};

struct api;
struct gate;

/* api_new(gate, ret): the dialects over a gate, which must outlive it.  ST_NOMEM. */
MUST_USE enum status api_new(struct gate *gate, struct api **ret);
void api_free(struct api **api);

/* exchange_header(x, "x-vault-token"): the first one's value, or the empty span. */
struct span exchange_header(const struct exchange *x, const char *name);

/*
 * api_streams(api, x): does what is asked for take its body as a stream?  Asked for each POST and PUT when its head is there; x has no body yet.  Then x->kind
 * says so, and api_handle is called at once.  When that ends with `finish` the body is not read, and the connection closes.
 *
 * api_stream(api, x, v): a visit, after x->begin, on the loop's thread; nothing of v is kept.  v->n may be 0.  What v->used leaves is offered again, with more
 * behind it.  After STREAM_PAUSE the stream belongs to the upper floor until x->resume.  After STREAM_OVER the exchange is finished.  The answer ends there: the
 * connection is kept only if all input was used and v->end was STREAM_LAST.  When v->out failed the client is cut off, and told nothing more.
 *
 * api_abort(api, x): the client has gone, or what it sent cannot be understood, before the stream was over: it is now.  Never during a pause: then
 * after its end.  Either api_abort or STREAM_OVER ends each stream that began.
 */
enum exchange_kind api_streams(struct api *api, struct exchange *x);
enum stream_step api_stream(struct api *api, struct exchange *x, struct stream_visit *v);
void api_abort(struct api *api, struct exchange *x);

/* api_handle(api, x): on the loop's thread.  Never fails: what cannot be done is answered. */
void api_handle(struct api *api, struct exchange *x);
/* api_forget(api, x): the connection ends; frees x->state.  Never while an exchange is unfinished. */
void api_forget(struct api *api, struct exchange *x);

/*
 * api_reject(x, status, text): fill in a dialect-shaped error for what http itself refuses (413, 431, 408, 400 ...); x->target may be empty
 * when the request line was not understood.  Does not call finish.
 */
void api_reject(struct exchange *x, unsigned status, const char *text);

#endif
