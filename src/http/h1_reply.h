/* The head of an HTTP/1.1 answer: from an exchange's out fields to bytes. */
#ifndef HTTP_H1_REPLY_H
#define HTTP_H1_REPLY_H

#include "api/api.h"

/* Room for "Sun, 06 Nov 1994 08:49:37 GMT" and a NUL. */
#define HTTP_DATE_ROOM 30

/* http_date(unix_s, ret): IMF-fixdate (RFC 9110 section 5.6.7), always in English. */
void http_date(int64_t unix_s, char ret[static HTTP_DATE_ROOM]);

/* http_reason(status): the standard phrase; "Unknown" for a number without one.  Constant. */
const char *http_reason(unsigned status);

enum reply_end { REPLY_KEEP, REPLY_CLOSE };

/*
 * h1_reply_head(b, x, date, end): append status line and headers for x to b.  The status must be 200..599.  Content-Type when x has one; Content-Length unless
 * the status forbids a body (204, 304); Cache-Control: no-store; Date; x's extra headers, except those that hold
 * a line end or NUL (left out, logged); Connection: close with REPLY_CLOSE.
 */
void h1_reply_head(struct builder *b, const struct exchange *x, const char *date,
                   enum reply_end end);

/* h1_reply_stream_head(b, x, date, end): the same for an answer that goes out in chunks: Transfer-Encoding for Content-Length.  x has a content type, and
 * a status that allows a body. */
void h1_reply_stream_head(struct builder *b, const struct exchange *x, const char *date,
                          enum reply_end end);

/* h1_reply_body(x, ret_first): the bytes that follow the head: body_first, then body_out; or nothing for HEAD, 204, 304 or without content type. */
struct span h1_reply_body(const struct exchange *x, struct span *ret_first);

#endif
