/*
 * From the socket's bytes to an exchange: where bytes go, when they are parsed, where bodies stand.
 *
 * Heads gather in `in`.  A sized body that fits stays behind its head, a larger one gets `body`, into which the socket is read
 * directly; a chunked one is decoded into `chunks`.  Bytes behind the present request wait in `in`.  After a head was parsed nothing
 * moves until the answer is sent, since the exchange points into it.
 */
#include "http/h1.h"

#include <stdlib.h>
#include <string.h>

#define IN_RESERVE      ((size_t)1 << 10) /* free behind each head, so that chunks find room */
#define BODY_FIRST      ((size_t)1 << 20) /* announced bodies get at most this before bytes came */
#define SPARE_H1S_MAX   256
#define BLANK_LINES_MAX 4

/* --- memory -------------------------------------------------------------------- */

struct h1 *h1_take(struct conn *c)
{
	struct worker *w = c->worker;
	struct h1 *h = c->h1;
	if (h != NULL)
		return h;
	if (w->spare_h1s != NULL) {
		h = w->spare_h1s;
		w->spare_h1s = h->next_spare;
		w->n_spare_h1s--;
	} else {
		h = calloc(1, sizeof(*h));
		if (h == NULL)
			return NULL;
	}
	h->conn = c;
	h->in = h->room;
	h->in_cap = sizeof(h->room);
	h->x.remote = span_of(c->remote, c->remote_n);
	h->x.certificate = span_of(c->certificate, c->n_certificate);
	h->x.loop = &w->loop;
	h->x.finish = h1_finish;
	h->x.begin = h1_begin;
	h->x.resume = h1_stream_resume;
	h1_head_reset(&h->head);
	c->h1 = h;
	return h;
}

/* A builder that is kept for the next request unless it grew large. */
void h1_settle(struct builder *b)
{
	if (b->cap > H1_KEEP_MAX)
		builder_free(b);
	else
		builder_reset(b);
}

static void drop_in(struct h1 *h)
{
	wipe(h->in, h->end);
	if (h->in != h->room)
		free(h->in);
	h->in = h->room;
	h->in_cap = sizeof(h->room);
	h->start = h->end = h->msg_n = 0;
}

static void drop_body(struct h1 *h)
{
	if (h->body == NULL)
		return;
	wipe(h->body, h->body_n);
	if (h->body_cap > H1_KEEP_MAX) {
		free(h->body);
		h->body = NULL;
		h->body_cap = 0;
	}
	h->body_n = 0;
}

/* All memory of a connection that closes or has been idle for long. */
void h1_give_back(struct conn *c)
{
	struct h1 *h = c->h1;
	struct worker *w = c->worker;
	if (h == NULL)
		return;
	MUST(h->state != H1_BUSY);
	if (h->known)
		api_forget(w->shared->api, &h->x);
	drop_in(h);
	drop_body(h);
	free(h->body);
	h1_stream_free(h);
	builder_free(&h->chunks);
	builder_free(&h->out);
	builder_free(&h->x.body_first);
	builder_free(&h->x.body_out);
	c->h1 = NULL;
	if (w->n_spare_h1s >= SPARE_H1S_MAX) {
		free(h);
		w->n_freed_h1s++;
		return;
	}
	/* `room` was wiped by drop_in; the rest names no secret but is stale */
	memset(h, 0, offsetof(struct h1, head));
	h->next_spare = w->spare_h1s;
	w->spare_h1s = h;
	w->n_spare_h1s++;
}

void h1_free_spares(struct worker *w)
{
	while (w->spare_h1s != NULL) {
		struct h1 *h = w->spare_h1s;
		w->spare_h1s = h->next_spare;
		free(h);
	}
	w->n_spare_h1s = 0;
}

/* --- the request's bytes ------------------------------------------------------------ */

/* The largest buffer that a head can need; the parser refuses before it is full. */
static size_t large_cap(const struct h1 *h)
{
	const struct h1_limits *l = &h1_worker(h)->shared->limits;
	return l->max_request_line + l->max_headers_bytes + H1_INLINE_IN;
}

/* Room for more of a head: moves it to the front, or to a large buffer. */
static enum status make_room(struct h1 *h)
{
	if (h->start > 0) {
		memmove(h->in, h->in + h->start, h->end - h->start);
		wipe(h->in + h->end - h->start, h->start);
		h->end -= h->start;
		h->start = 0;
		return ST_OK;
	}
	size_t cap = large_cap(h);
	MUST(h->in_cap < cap);
	uint8_t *large = malloc(cap);
	if (large == NULL)
		return ST_NOMEM;
	memcpy(large, h->in, h->end);
	wipe(h->in, h->end);
	if (h->in != h->room)
		free(h->in);
	h->in = large;
	h->in_cap = cap;
	return ST_OK;
}

/* The separate body buffer, larger step by step: memory follows the bytes that came, not the length announced. */
static enum status grow_body(struct h1 *h)
{
	size_t want = (size_t)h->head.content_length;
	size_t cap = h->body_cap == 0 ? BODY_FIRST : h->body_cap * 4;
	cap = cap < want ? cap : want;
	uint8_t *p = malloc(cap);
	if (p == NULL)
		return ST_NOMEM;
	if (h->body_n > 0)
		memcpy(p, h->body, h->body_n);
	if (h->body != NULL)
		wipe(h->body, h->body_n);
	free(h->body);
	h->body = p;
	h->body_cap = cap;
	return ST_OK;
}

static bool in_separate_body(const struct h1 *h)
{
	return h->state == H1_BODY && h->head.body == H1_SIZED && h->msg_n == h->head.n;
}

/* Where the next read goes; ST_NOMEM when there is no memory for it. */
static enum status place(struct h1 *h, uint8_t **ret, size_t *ret_n)
{
	if (in_separate_body(h)) {
		if (h->body_n == h->body_cap && grow_body(h) != ST_OK)
			return ST_NOMEM;
		size_t want = (size_t)h->head.content_length;
		*ret = h->body + h->body_n;
		*ret_n = (h->body_cap < want ? h->body_cap : want) - h->body_n;
		return ST_OK;
	}
	size_t reserve = h->state == H1_BODY ? 0 : IN_RESERVE;
	if (h->state != H1_BODY && h->end + reserve >= h->in_cap && make_room(h) != ST_OK)
		return ST_NOMEM;
	*ret = h->in + h->end;
	*ret_n = h->in_cap - reserve - h->end;
	return ST_OK;
}

enum io h1_fill(struct h1 *h)
{
	uint8_t *p;
	size_t n;
	if (place(h, &p, &n) != ST_OK)
		return IO_FAILED;
	size_t got;
	enum io io = conn_read(h->conn, p, n, &got);
	if (io != IO_OK)
		return io;
	if (in_separate_body(h))
		h->body_n += got;
	else
		h->end += got;
	return IO_OK;
}

/* --- from bytes to an exchange -------------------------------------------------------- */

static enum http_method method_of(struct span s)
{
#define METHOD(text)                                  \
	{                                             \
		sizeof(#text) - 1, #text, HTTP_##text \
	}
	static const struct {
		size_t n;
		const char *text;
		enum http_method method;
	} known[] = {METHOD(GET),  METHOD(POST),  METHOD(PUT),  METHOD(LIST),   METHOD(DELETE),
	             METHOD(HEAD), METHOD(PATCH), METHOD(SCAN), METHOD(OPTIONS)};
#undef METHOD
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (s.n == known[i].n && memcmp(s.p, known[i].text, s.n) == 0)
			return known[i].method;
	return HTTP_OTHER;
}

static enum h1_step refuse(struct h1 *h, unsigned status, const char *text)
{
	h->head.status = status;
	h->head.text = text;
	return H1_REFUSED;
}

/* The head's part of the exchange.  Its bytes do not move until the answer is sent. */
static void show_head(struct h1 *h)
{
	struct exchange *x = &h->x;
	const uint8_t *base = h->in + h->start;
	for (size_t i = 0; i < h->head.n_fields; i++) {
		const struct h1_field *f = &h->head.fields[i];
		h->headers[i].name = span_of(base + f->name, f->name_n);
		h->headers[i].value = span_of(base + f->value, f->value_n);
	}
	x->headers = h->headers;
	x->n_headers = h->head.n_fields;
}

/* Blank lines before a request are allowed by RFC 9112 section 2.2; a few. */
static enum h1_step skip_blank_lines(struct h1 *h)
{
	while (h->head.scanned == 0 && h->end - h->start >= 2 &&
	       memcmp(h->in + h->start, "\r\n", 2) == 0) {
		if (h->blank_lines++ == BLANK_LINES_MAX)
			return refuse(h, 400, "this is not an HTTP request");
		h->start += 2;
	}
	if (h->head.scanned == 0 && h->end - h->start == 1 && h->in[h->start] == '\r')
		return H1_MORE;
	return H1_DONE;
}

/* Decides where the body goes; what came of it already is behind the head. */
static enum h1_step begin_body(struct h1 *h)
{
	size_t after = h->start + h->head.n;
	h->msg_n = h->head.n;
	h->continued = !h->head.expects || h->end > after;
	if (h->head.body != H1_SIZED)
		return H1_DONE;
	if (h->head.content_length > h1_config(h)->max_body)
		return refuse(h, 413, "the request body is too large");
	size_t want = (size_t)h->head.content_length;
	if (want <= h->in_cap - after) {
		h->msg_n += want; /* stays behind its head */
		return H1_DONE;
	}
	if (h->body_cap < want && h->body_cap < BODY_FIRST) {
		free(h->body);
		h->body = NULL;
		h->body_cap = 0;
		if (grow_body(h) != ST_OK)
			return refuse(h, 503, "out of memory");
	}
	h->body_n = h->end - after;
	memcpy(h->body, h->in + after, h->body_n);
	wipe(h->in + after, h->body_n);
	h->end = after;
	return H1_DONE;
}

/* A head that came behind a body may stand at the very end of the buffer.  Heads move only before they are parsed. */
static enum status keep_reserve(struct h1 *h)
{
	while (h->end + IN_RESERVE > h->in_cap && (h->start > 0 || h->in_cap < large_cap(h)))
		if (make_room(h) != ST_OK)
			return ST_NOMEM;
	return ST_OK;
}

/* A body that the upper floor takes as it comes is not gathered; it may be of any length. */
static bool streams(struct h1 *h)
{
	struct exchange *x = &h->x;
	if (x->method != HTTP_POST && x->method != HTTP_PUT)
		return false;
	h->known = true;
	x->kind = api_streams(h1_worker(h)->shared->api, x);
	return x->kind == EXCHANGE_STREAM;
}

static enum h1_step begin_stream(struct h1 *h)
{
	if (h->head.minor == 0)
		return refuse(h, 505, "a stream needs HTTP/1.1");
	return h1_stream_new(h) == ST_OK ? H1_DONE : refuse(h, 503, "out of memory");
}

static enum h1_step step_head(struct h1 *h)
{
	enum h1_step s = skip_blank_lines(h);
	if (s != H1_DONE)
		return s;
	if (h->start == h->end) {
		h->start = h->end = 0;
		return H1_MORE;
	}
	if (keep_reserve(h) != ST_OK)
		return refuse(h, 503, "out of memory");
	s = h1_head_parse(&h->head, &h1_worker(h)->shared->limits, h->in + h->start,
	                  h->end - h->start);
	/* as much as was understood, so that a refusal can be shaped for who asked */
	h->x.method = method_of(h->head.method);
	h->x.target = h->head.target;
	h->x.query = h->head.query;
	if (s != H1_DONE)
		return s;
	show_head(h);
	h1_enter(h, H1_BODY);
	return streams(h) ? begin_stream(h) : begin_body(h);
}

static enum h1_step step_chunks(struct h1 *h)
{
	size_t after = h->start + h->head.n, used;
	enum h1_step s = h1_chunks(&h->head, &h->chunks, h1_config(h)->max_body, h->in + after,
	                           h->end - after, &used);
	if (s == H1_REFUSED)
		return s;
	if (s == H1_DONE) {
		h->msg_n = h->head.n + used;
		h->x.body = h->chunks.p;
		h->x.n_body = h->chunks.n;
	} else {
		wipe(h->in + after, used);
		h->end = after;
	}
	return s;
}

static enum h1_step step_body(struct h1 *h)
{
	if (h->stream != NULL)
		return H1_DONE;
	if (h->head.body == H1_CHUNKED)
		return step_chunks(h);
	if (h->head.body == H1_NO_BODY) {
		h->x.body = NULL;
		h->x.n_body = 0;
		return H1_DONE;
	}
	size_t want = (size_t)h->head.content_length;
	if (h->msg_n == h->head.n ? h->body_n < want : h->end - h->start < h->msg_n)
		return H1_MORE;
	h->x.body = h->msg_n == h->head.n ? h->body : h->in + h->start + h->head.n;
	h->x.n_body = want;
	return H1_DONE;
}

/* As far as the bytes reach.  H1_DONE: the exchange is complete. */
enum h1_step h1_advance(struct h1 *h)
{
	enum h1_step s = H1_DONE;
	if (h->state == H1_IDLE) {
		if (h->start == h->end)
			return H1_MORE;
		h1_enter(h, H1_HEAD);
		h->head_deadline = worker_deadline(h1_worker(h), h1_config(h)->header_timeout_ms);
		h->request_deadline =
		    worker_deadline(h1_worker(h), h1_config(h)->request_timeout_ms);
	}
	if (h->state == H1_HEAD)
		s = step_head(h);
	if (s == H1_DONE)
		s = step_body(h);
	return s;
}

/* --- the end of a request ------------------------------------------------------------- */

/* Behind a chunked body that was streamed the next request may have begun: its bytes stand in the stream's buffer, which we keep if they are many. */
static void end_stream(struct h1 *h)
{
	struct h1_stream *s = h->stream;
	size_t n = s->all ? s->rest_end - s->rest : 0;
	if (n > 0) {
		MUST(h->start == h->end && h->in == h->room);
		if (n <= sizeof(h->room) - IN_RESERVE) {
			memcpy(h->in, s->in + s->rest, n);
			h->end = n;
		} else {
			wipe(s->in, s->rest);
			h->in = s->in;
			h->in_cap = s->cap;
			h->start = s->rest;
			h->end = s->rest_end;
			s->in = NULL;
			s->touched = 0;
		}
	}
	h1_stream_free(h);
	h->x.kind = EXCHANGE_WHOLE;
	h->x.item_max = 0;
}

void h1_consumed(struct h1 *h)
{
	wipe(h->in + h->start, h->msg_n);
	h->start += h->msg_n;
	h->msg_n = 0;
	if (h->start == h->end) {
		h->start = h->end = 0;
		if (h->in != h->room)
			drop_in(h);
	}
	if (h->stream != NULL)
		end_stream(h);
	drop_body(h);
	h1_settle(&h->chunks);
	h1_head_reset(&h->head);
	h->blank_lines = 0;
}
