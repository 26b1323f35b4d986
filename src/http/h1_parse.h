/*
 * HTTP/1.x bytes to one request head, and chunked bodies to their bytes.  Pure: no sockets, no memory of its own.
 *
 * Happy path: bytes gather in the caller's buffer until the empty line is there; then the whole head goes through llhttp
 * (strict) at once, and through the rules that llhttp leaves to its users: no folded lines, no bare line ends, versions 1.0 and 1.1 only,
 * exactly one well-formed Host, no smuggling by Content-Length and Transfer-Encoding, limits.
 * Whatever is refused comes with the HTTP status to answer and a text; the connection must be closed after it.
 */
#ifndef HTTP_H1_PARSE_H
#define HTTP_H1_PARSE_H

#include "base/bytes.h"

struct h1_limits {
	size_t max_request_line;  /* bytes with its line end; beyond: 414 */
	size_t max_headers_bytes; /* the header lines and the empty line; beyond: 431 */
	size_t max_header_count;  /* at most H1_FIELDS_MAX; beyond: 431 */
};

#define H1_FIELDS_MAX 100

/* One header line: places in the buffer.  The name is lower case by then, the value without white space around it. */
struct h1_field {
	uint32_t name, value; /* offsets from the first byte of the head */
	uint32_t name_n, value_n;
};

enum h1_step {
	H1_MORE, /* needs more bytes */
	H1_DONE,
	H1_REFUSED /* status and text say why */
};

enum h1_body { H1_NO_BODY, H1_SIZED, H1_CHUNKED };

/* How far the lines behind the last chunk were looked at. */
enum h1_trailer { TRAILER_NONE, TRAILER_LINE_BEGINS, TRAILER_LINE, TRAILERS_END };

/* Big enough for the parser's own state; the .c asserts it. */
#define H1_PARSER_ROOM 128

/*
 * One head.  Zero it (h1_head_reset) before each request.  After H1_DONE the first group is set; all offsets and spans are
 * good as long as the bytes do not move.  target and query are empty spans until the request line was understood.
 */
struct h1_head {
	struct span method;
	struct span target; /* begins with '/' */
	struct span query;
	size_t n; /* bytes of the whole head */
	size_t n_fields;
	enum h1_body body;
	uint64_t content_length; /* H1_SIZED */
	unsigned minor;          /* 0 or 1 */
	unsigned keep;           /* 1: the connection may be used again */
	unsigned expects;        /* 1: the client waits for 100 Continue */

	unsigned status; /* after H1_REFUSED */
	const char *text;

	/* how far the search for line ends came */
	size_t line_n, scanned, line_start, lines;
	char method_text[24];
	const uint8_t *base;
	size_t max_fields;
	struct span authority;
	size_t chunk_raw, chunk_body; /* chunked: bytes seen, bytes of body among them */
	struct builder *chunk_sink;
	uint8_t *chunk_to; /* where the next bytes of the body go; NULL: to the sink */
	size_t chunk_max;
	unsigned chunks_begun, chunk_done;
	enum h1_trailer trailer;
	_Alignas(8) unsigned char parser[H1_PARSER_ROOM];
	struct h1_field fields[H1_FIELDS_MAX];
};

void h1_head_reset(struct h1_head *h);

/*
 * h1_head_parse(h, limits, buf, n): buf[0..n) is what came since the message began; call it again with the same bytes and more
 * while it answers H1_MORE (the buffer may have moved meanwhile).  Changes bytes of buf (case of names, two verbs that llhttp does not know).
 * H1_DONE: h->n bytes are the head, what follows is body or the next message.
 */
MUST_USE enum h1_step h1_head_parse(struct h1_head *h, const struct h1_limits *limits, uint8_t *buf,
                                    size_t n);

/*
 * h1_chunks(h, sink, max, buf, n, ret_used): after a head with H1_CHUNKED: decode buf[0..n) onto sink.  ret_used is set on H1_MORE (then it
 * is n) and on H1_DONE (what follows belongs to the next message).  Trailers are checked and dropped.  H1_REFUSED: 400; 413 when the body has more
 * than max bytes or when sizes, extensions and trailers outweigh it; 503 when sink found no memory.
 */
MUST_USE enum h1_step h1_chunks(struct h1_head *h, struct builder *sink, size_t max,
                                const uint8_t *buf, size_t n, size_t *ret_used);

/*
 * h1_chunks_in_place(h, buf, n, ret_body_n, ret_used): the same for a body of any length: its bytes among buf[0..n) are moved to the front, *ret_body_n of
 * them.  Both outputs are set as ret_used above.  A body is decoded by one of the two functions from its beginning to its end.
 */
MUST_USE enum h1_step h1_chunks_in_place(struct h1_head *h, uint8_t *buf, size_t n,
                                         size_t *ret_body_n, size_t *ret_used);

#endif
