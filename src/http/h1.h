/*
 * The memory of one HTTP/1.1 connection, shared by h1.c (what happens when), h1_input.c (from the socket's bytes to an exchange) and h1_stream.c
 * (an exchange whose body does not come whole).  Private to these.
 *
 * It belongs to a connection while that is lively; after some idle seconds it is given back (api_forget), and an idle connection costs its
 * struct conn alone.  What held a request or an answer is wiped when that is over.
 */
#ifndef HTTP_H1_H
#define HTTP_H1_H

#include "http/conn.h"
#include "http/h1_stream.h"

#define H1_INLINE_IN ((size_t)8 << 10)
#define H1_KEEP_MAX  ((size_t)64 << 10) /* buffers larger than this are not kept between requests */

enum h1_state {
	H1_IDLE,    /* no byte of a request yet */
	H1_HEAD,    /* some */
	H1_BODY,    /* head understood, body incomplete */
	H1_BUSY,    /* the upper floor has the exchange; also after the client left */
	H1_STREAM,  /* the answer has begun, the body need not have come whole */
	H1_READY,   /* finished or refused: the answer is to be composed */
	H1_SENDING, /* composed, not all taken by the socket */
	H1_ENDED,   /* the connection is closing; nothing is read or answered any more */
	H1_STATES
};

struct h1 {
	struct exchange x; /* first: the upper floor holds this */
	struct conn *conn;
	struct h1 *next_spare;
	enum h1_state state;
	enum { NOT_HANDLING, HANDLING, FINISHED_IN_CALL, BEGUN_IN_CALL } call;
	enum { KEEP_OPEN, CLOSE_PLAIN, CLOSE_LINGER } after; /* what follows this answer */
	bool known;     /* api_handle saw this exchange, so api_forget must */
	bool continued; /* 100 Continue was sent or is not needed */
	unsigned blank_lines;
	uint64_t head_deadline, request_deadline; /* ticks */

	uint8_t *in;               /* `room` or heap */
	size_t in_cap, start, end; /* the present request begins at start; bytes until end */
	size_t msg_n;              /* of in[start..): bytes of the present request */
	uint8_t *body; /* heap, for sized bodies that do not fit behind their head; else NULL */
	size_t body_cap, body_n;
	struct builder chunks;    /* chunked bodies */
	struct h1_stream *stream; /* NULL: the body is gathered */

	struct builder out; /* heads, and batched or small bodies */
	size_t out_sent;
	struct span tail; /* body that is sent from where it is, after `out` */

	struct h1_head head;
	struct header headers[HEADERS_MAX];
	uint8_t room[H1_INLINE_IN];
};

static inline struct worker *h1_worker(const struct h1 *h)
{
	return h->conn->worker;
}

static inline const struct server_config *h1_config(const struct h1 *h)
{
	return h1_worker(h)->shared->config;
}

/* h1_enter(h, to): the next state; aborts when that move is not allowed. */
void h1_enter(struct h1 *h, enum h1_state to);
/* h1_finish(x), h1_begin(x): the exchange's `finish` and `begin`. */
void h1_finish(struct exchange *x);
void h1_begin(struct exchange *x);
/* h1_flush(h): write what waits: `out`, then `tail`.  IO_OK: nothing is left. */
enum io h1_flush(struct h1 *h);

/* h1_take(c): the connection's memory, got when it has none; NULL: no memory.  h1_give_back(c): all of it, wiped; the exchange is forgotten. */
struct h1 *h1_take(struct conn *c);
void h1_give_back(struct conn *c);
/* h1_fill(h): one read from the socket to where the request goes on. */
enum io h1_fill(struct h1 *h);
/* h1_advance(h): parse as far as the bytes reach.  H1_DONE: the exchange is complete, or its body comes as a stream.  H1_REFUSED: head.status and head.text say why. */
MUST_USE enum h1_step h1_advance(struct h1 *h);
/* h1_consumed(h): the present request is over: its bytes are wiped, what follows them is kept. */
void h1_consumed(struct h1 *h);
/* h1_settle(b): a builder between two requests: wiped, and kept unless it grew large. */
void h1_settle(struct builder *b);

#endif
