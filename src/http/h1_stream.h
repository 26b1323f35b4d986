/*
 * A request whose body is handed on as it comes, and whose answer goes out in chunks meanwhile: the means of one stream, and its turns.  Private
 * to h1*.c.
 *
 * Happy path: head -> h1_stream_new -> api_handle -> h1_stream_begin -> turns (read, decode, visit the upper floor, send) -> the last chunk -> the next
 * request, whose first bytes may have come behind the body.
 *
 * Bounds: what was read and not used, config->stream_buffer or as much as one item needs; one piece of the answer.  Nothing is read before that piece has
 * gone, so a client that does not read is not read from.
 */
#ifndef HTTP_H1_STREAM_H
#define HTTP_H1_STREAM_H

#include "base/message.h"

struct exchange;
struct h1;

/*
 * in: [start, end) is body to be used, [end, raw_end) what came and is not decoded.  After the last chunk [rest, rest_end) belongs to the next request.
 */
struct h1_stream {
	uint8_t *in;
	size_t cap, start, end, raw_end, rest, rest_end;
	size_t touched; /* bytes of it that ever held something */
	uint64_t left;  /* of a sized body: not read yet */
	bool all;       /* the body has come whole */
	bool fresh;     /* the upper floor has not seen what is there, or wants to see it again */
	bool begun, over;
	struct builder out; /* one chunk: room for its size, its bytes, line ends */
};

/* h1_stream_new(h): after the head, before the upper floor is asked: h->stream, with what came of the body.  ST_NOMEM. */
MUST_USE enum status h1_stream_new(struct h1 *h);
/* h1_stream_free(h): wiped; fine when there is none. */
void h1_stream_free(struct h1 *h);

/* h1_stream_begin(h): BUSY -> STREAM: composes the answer's head; a turn follows.  h1_stream_resume(x): the exchange's `resume`. */
void h1_stream_begin(struct h1 *h);
void h1_stream_resume(struct exchange *x);

/*
 * h1_stream_turn(h): in STREAM: as far as is fair, and as the client, who may be slow both ways, lets it.  H1_STREAM_OVER: all was sent, the state is SENDING;
 * h->after is set when the connection cannot go on.  H1_STREAM_WAITS: for the socket, for a turn, for the upper floor, or it was cut off.
 */
enum h1_stream_turn { H1_STREAM_WAITS, H1_STREAM_OVER };
enum h1_stream_turn h1_stream_turn(struct h1 *h);

/* h1_stream_abort(h): the socket is gone: STREAM -> ENDED; the upper floor is told, unless it said itself that it is over. */
void h1_stream_abort(struct h1 *h);

#endif
