/*
 * HTTP/1.1 on a connection: requests one after another, each handed to the upper floor and answered before the next is looked at.
 *
 * Happy path: readable -> one read -> parse -> api_handle, which finishes at once -> head composed -> one write of head
 * and body -> IDLE, with nothing allocated, no timer moved and no event added.
 *
 * Besides that:
 *   pipelining      answers gather in `out` while more requests wait in the buffer; WORK_PER_VISIT bounds one client's share of a turn
 *   late finish     BUSY; the socket is not read meanwhile; finish queues the connection, so nothing recurses
 *   slow reader     SENDING until the socket took everything; nothing is read meanwhile
 *   client leaves   noticed at the next read or write; a BUSY exchange lives on until its finish
 *   refused input   api_reject, Connection: close, lingering close
 *   deadlines       IDLE: silently closed; HEAD, BODY: 408; SENDING: closed
 *
 * Memory: struct h1 belongs to a connection while it is lively; after some idle seconds it is given back (api_forget), and an
 * idle connection costs its struct conn alone.  What held a request or an answer is wiped when that is over.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "http/conn.h"

#define INLINE_IN       ((size_t)8 << 10)
#define IN_RESERVE      ((size_t)1 << 10) /* free behind each head, so that chunks find room */
#define KEEP_MAX        ((size_t)64 << 10) /* buffers larger than this are not kept between requests */
#define BODY_FIRST      ((size_t)1 << 20)  /* announced bodies get at most this before bytes came */
#define BATCH_MAX       ((size_t)16 << 10) /* pipelined answers gathered before a write */
#define BATCH_BODY_MAX  ((size_t)4 << 10)  /* larger bodies are not copied */
#define TLS_COPY_MAX    ((size_t)16 << 10) /* head and body of one TLS record */
#define WORK_PER_VISIT  32                 /* requests answered before others get their turn */
#define READS_PER_VISIT 16
#define SPARE_H1S_MAX   256
#define WARM_MS         4000 /* idle for so long: memory goes back */
#define BLANK_LINES_MAX 4

enum h1_state {
	H1_IDLE,    /* no byte of a request yet */
	H1_HEAD,    /* some */
	H1_BODY,    /* head understood, body incomplete */
	H1_BUSY,    /* the upper floor has the exchange; also after the client left */
	H1_READY,   /* finished or refused: the answer is to be composed */
	H1_SENDING, /* composed, not all taken by the socket */
	H1_ENDED,   /* the connection is closing; nothing is read or answered any more */
	H1_STATES
};

/* Which moves are allowed: [from] has bit `to`. */
#define TO(s) (1u << (s))
static const unsigned moves[H1_STATES] = {
    [H1_IDLE] = TO(H1_HEAD) | TO(H1_ENDED),
    [H1_HEAD] = TO(H1_BODY) | TO(H1_READY) | TO(H1_ENDED),
    [H1_BODY] = TO(H1_BUSY) | TO(H1_READY) | TO(H1_ENDED),
    [H1_BUSY] = TO(H1_READY),
    [H1_READY] = TO(H1_SENDING) | TO(H1_ENDED),
    [H1_SENDING] = TO(H1_IDLE) | TO(H1_ENDED),
    [H1_ENDED] = 0,
};

struct h1 {
	struct exchange x; /* first: the upper floor holds this */
	struct conn *conn;
	struct h1 *next_spare;
	enum h1_state state;
	enum { NOT_HANDLING, HANDLING, FINISHED_IN_CALL } call;
	enum { KEEP_OPEN, CLOSE_PLAIN, CLOSE_LINGER } after; /* what follows this answer */
	bool known;     /* api_handle saw this exchange, so api_forget must */
	bool continued; /* 100 Continue was sent or is not needed */
	bool client_gone;
	unsigned blank_lines;
	uint64_t head_deadline, request_deadline; /* ticks */

	uint8_t *in;               /* `room` or heap */
	size_t in_cap, start, end; /* the present request begins at start; bytes until end */
	size_t msg_n;              /* of in[start..): bytes of the present request */
	uint8_t *body; /* heap, for sized bodies that do not fit behind their head; else NULL */
	size_t body_cap, body_n;
	struct builder chunks; /* chunked bodies */

	struct builder out; /* heads, and batched or small bodies */
	size_t out_sent;
	struct span tail; /* body that is sent from where it is, after `out` */

	struct h1_head head;
	struct header headers[HEADERS_MAX];
	uint8_t room[INLINE_IN];
};

static void enter(struct h1 *h, enum h1_state to)
{
	MUST((moves[h->state] & TO(to)) != 0);
	h->state = to;
}

static struct worker *worker(const struct h1 *h)
{
	return h->conn->worker;
}

static const struct server_config *config(const struct h1 *h)
{
	return worker(h)->shared->config;
}

/* --- memory -------------------------------------------------------------------- */

static void finish(struct exchange *x);

static struct h1 *take(struct conn *c)
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
	h->x.loop = &w->loop;
	h->x.finish = finish;
	h1_head_reset(&h->head);
	c->h1 = h;
	return h;
}

/* A builder that is kept for the next request unless it grew large. */
static void settle(struct builder *b)
{
	if (b->cap > KEEP_MAX)
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
	if (h->body_cap > KEEP_MAX) {
		free(h->body);
		h->body = NULL;
		h->body_cap = 0;
	}
	h->body_n = 0;
}

/* All memory of a connection that closes or has been idle for long. */
static void give_back(struct conn *c)
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
	builder_free(&h->chunks);
	builder_free(&h->out);
	builder_free(&h->x.body_out);
	c->h1 = NULL;
	if (w->n_spare_h1s >= SPARE_H1S_MAX) {
		free(h);
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

/* Room for more of a head: moves it to the front, or to the largest buffer that a head can need. */
static enum status make_room(struct h1 *h)
{
	if (h->start > 0) {
		memmove(h->in, h->in + h->start, h->end - h->start);
		wipe(h->in + h->end - h->start, h->start);
		h->end -= h->start;
		h->start = 0;
		return ST_OK;
	}
	MUST(h->in == h->room); /* the parser refuses before the large one is full */
	const struct h1_limits *l = &worker(h)->shared->limits;
	size_t cap = l->max_request_line + l->max_headers_bytes + INLINE_IN;
	uint8_t *large = malloc(cap);
	if (large == NULL)
		return ST_NOMEM;
	memcpy(large, h->in, h->end);
	wipe(h->in, h->end);
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

static enum io fill(struct h1 *h)
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
	static const struct {
		const char *text;
		enum http_method method;
	} known[] = {{"GET", HTTP_GET},     {"POST", HTTP_POST},     {"PUT", HTTP_PUT},
	             {"LIST", HTTP_LIST},   {"DELETE", HTTP_DELETE}, {"HEAD", HTTP_HEAD},
	             {"PATCH", HTTP_PATCH}, {"SCAN", HTTP_SCAN},     {"OPTIONS", HTTP_OPTIONS}};
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (span_eq_str(s, known[i].text))
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
	if (h->head.content_length > config(h)->max_body)
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
	while (h->end + IN_RESERVE > h->in_cap && (h->start > 0 || h->in == h->room))
		if (make_room(h) != ST_OK)
			return ST_NOMEM;
	return ST_OK;
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
	s = h1_head_parse(&h->head, &worker(h)->shared->limits, h->in + h->start,
	                  h->end - h->start);
	/* as much as was understood, so that a refusal can be shaped for who asked */
	h->x.method = method_of(h->head.method);
	h->x.target = h->head.target;
	h->x.query = h->head.query;
	if (s != H1_DONE)
		return s;
	show_head(h);
	enter(h, H1_BODY);
	return begin_body(h);
}

static enum h1_step step_chunks(struct h1 *h)
{
	size_t after = h->start + h->head.n, used;
	enum h1_step s = h1_chunks(&h->head, &h->chunks, config(h)->max_body, h->in + after,
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
static enum h1_step step(struct h1 *h)
{
	enum h1_step s = H1_DONE;
	if (h->state == H1_IDLE) {
		if (h->start == h->end)
			return H1_MORE;
		enter(h, H1_HEAD);
		h->head_deadline = worker_deadline(worker(h), config(h)->header_timeout_ms);
		h->request_deadline = worker_deadline(worker(h), config(h)->request_timeout_ms);
	}
	if (h->state == H1_HEAD)
		s = step_head(h);
	if (s == H1_DONE)
		s = step_body(h);
	return s;
}

/* --- answers ------------------------------------------------------------------------------ */

static void reject(struct h1 *h, unsigned status, const char *text)
{
	struct exchange *x = &h->x;
	x->status = status;
	x->content_type = NULL;
	x->n_extra = 0;
	builder_reset(&x->body_out);
	h->known = true;
	api_reject(x, status, text);
}

/* The client would not see the end of a connection coming, or still sends: let it read the answer first. */
static void decide_end(struct h1 *h)
{
	if (h->after != KEEP_OPEN)
		return;
	if (!h->head.keep)
		h->after = CLOSE_PLAIN;
	else if (worker(h)->stopping)
		h->after = CLOSE_LINGER;
}

/* From the exchange's out fields to bytes to send. */
static void compose(struct h1 *h)
{
	struct exchange *x = &h->x;
	MUST(h->state == H1_READY);
	if (builder_status(&x->body_out) != ST_OK)
		reject(h, 500, "the answer is too large");
	decide_end(h);
	h1_reply_head(&h->out, x, worker(h)->date,
	              h->after == KEEP_OPEN ? REPLY_KEEP : REPLY_CLOSE);
	h->tail = h1_reply_body(x);
	bool more = h->end > h->start + h->msg_n;
	if ((more && h->tail.n <= BATCH_BODY_MAX) ||
	    (h->conn->tls != NULL && h->tail.n <= TLS_COPY_MAX)) {
		builder_add(&h->out, h->tail);
		h->tail = span_of(NULL, 0);
	}
	count(&worker(h)->counters.requests, 1);
	enter(h, H1_SENDING);
}

/* Writes what waits.  IO_OK: nothing is left. */
static enum io flush(struct h1 *h)
{
	if (builder_status(&h->out) != ST_OK)
		return IO_FAILED;
	while (h->out_sent < h->out.n || h->tail.n > 0) {
		struct span first = span_from(builder_span(&h->out), h->out_sent);
		size_t n;
		enum io io = conn_write(h->conn, first, h->tail, &n);
		if (io != IO_OK)
			return io;
		size_t of_first = n < first.n ? n : first.n;
		h->out_sent += of_first;
		h->tail = span_from(h->tail, n - of_first);
	}
	h->out_sent = 0;
	settle(&h->out);
	return IO_OK;
}

/* The answer is sent, or copied: wipe the request and its answer. */
static void next_request(struct h1 *h)
{
	struct exchange *x = &h->x;
	wipe(h->in + h->start, h->msg_n);
	h->start += h->msg_n;
	h->msg_n = 0;
	if (h->start == h->end) {
		h->start = h->end = 0;
		if (h->in != h->room)
			drop_in(h);
	}
	drop_body(h);
	settle(&h->chunks);
	settle(&x->body_out);
	h1_head_reset(&h->head);
	x->target = x->query = span_of(NULL, 0);
	x->headers = NULL;
	x->n_headers = x->n_extra = x->n_body = 0;
	x->body = NULL;
	x->status = 0;
	x->content_type = NULL;
	h->blank_lines = 0;
	h->conn->served = true;
	enter(h, H1_IDLE);
}

static void end(struct h1 *h)
{
	enter(h, H1_ENDED);
	conn_close(h->conn);
}

/* Sends what was composed.  True: the next request may be looked at. */
static bool send_answer(struct h1 *h)
{
	bool more = h->end > h->start + h->msg_n;
	if (h->after == KEEP_OPEN && more && h->tail.n == 0 && h->out.n - h->out_sent < BATCH_MAX) {
		next_request(h); /* one write for several answers; serve() flushes */
		return true;
	}
	switch (flush(h)) {
	case IO_OK:
		break;
	case IO_AGAIN:
		conn_mute(h->conn);
		conn_want_write(h->conn);
		conn_expire_in(h->conn, config(h)->write_timeout_ms);
		return false;
	case IO_EOF:
	case IO_FAILED:
	default:
		end(h);
		return false;
	}
	conn_done_writing(h->conn);
	if (h->after == KEEP_OPEN) {
		next_request(h);
		return true;
	}
	if (h->after == CLOSE_PLAIN) {
		if (h->conn->tls != NULL)
			tls_bye(h->conn->tls);
		end(h);
		return false;
	}
	enter(h, H1_ENDED);
	conn_linger(h->conn);
	return false;
}

/* Composes and sends an answer of http's own; the connection ends with it. */
static void answer_refusal(struct h1 *h, unsigned status, const char *text)
{
	if (h->state == H1_IDLE)
		enter(h, H1_HEAD);
	h->after = CLOSE_LINGER;
	reject(h, status, text);
	enter(h, H1_READY);
	compose(h);
	send_answer(h);
}

/* --- the exchange ---------------------------------------------------------------------------- */

static void finish(struct exchange *x)
{
	struct h1 *h = (struct h1 *)(void *)x;
	MUST(h->state == H1_BUSY && h->call != FINISHED_IN_CALL);
	if (h->call == HANDLING) {
		h->call = FINISHED_IN_CALL;
		return;
	}
	/* not here: the caller may be anywhere, and many may finish at once */
	enter(h, H1_READY);
	worker_again(worker(h), h->conn);
}

/* True: it finished at once. */
static bool handle(struct h1 *h)
{
	enter(h, H1_BUSY);
	h->known = true;
	h->call = HANDLING;
	api_handle(worker(h)->shared->api, &h->x);
	bool finished = h->call == FINISHED_IN_CALL;
	h->call = NOT_HANDLING;
	if (finished)
		enter(h, H1_READY);
	return finished;
}

/* Answers that the client does not take must not pile up: no more requests before they are gone. */
static bool clogged(const struct h1 *h)
{
	return h->out.n > 0 && h->conn->writing;
}

/* How long an idle connection keeps its memory. */
static uint64_t warm_ms(const struct h1 *h)
{
	uint64_t idle = config(h)->idle_timeout_ms;
	return idle < WARM_MS ? idle : WARM_MS;
}

/* After a visit: what does the connection wait for, and how long? */
static void set_deadline(struct h1 *h)
{
	struct conn *c = h->conn;
	struct wheel *wheel = &c->worker->wheel;
	if (clogged(h)) {
		conn_expire_in(c, config(h)->write_timeout_ms);
		return;
	}
	switch (h->state) {
	case H1_IDLE:
		conn_expire_in(c, c->served ? warm_ms(h) : config(h)->header_timeout_ms);
		break;
	case H1_HEAD:
		wheel_set(wheel, &c->timer, h->head_deadline);
		break;
	case H1_BODY:
		wheel_set(wheel, &c->timer, h->request_deadline);
		break;
	case H1_BUSY:
		wheel_set(wheel, &c->timer, WHEEL_NEVER); /* the upper floor has its own limits */
		break;
	case H1_READY:
	case H1_SENDING:
	case H1_ENDED:
	case H1_STATES:
	default:
		break;
	}
}

/* What was gathered must go before waiting for anything.  Not for an answer in SENDING: send_answer does that. */
static void flush_batch(struct h1 *h)
{
	if (h->out.n == 0)
		return;
	switch (flush(h)) {
	case IO_OK:
		break;
	case IO_AGAIN:
		conn_want_write(h->conn);
		break;
	case IO_EOF:
	case IO_FAILED:
	default:
		if (h->state != H1_BUSY)
			enter(h, H1_ENDED);
		conn_close(h->conn);
		break;
	}
}

static void maybe_continue(struct h1 *h)
{
	if (h->state != H1_BODY || h->continued)
		return;
	h->continued = true;
	builder_str(&h->out, "HTTP/1.1 100 Continue\r\n\r\n");
}

/* Serves what the buffer holds, as far as it goes and as much as is fair. */
static void serve(struct h1 *h)
{
	for (unsigned i = 0;; i++) {
		if (i == WORK_PER_VISIT) {
			worker_again(worker(h), h->conn);
			break;
		}
		enum h1_step s = step(h);
		if (s == H1_REFUSED) {
			answer_refusal(h, h->head.status, h->head.text);
			return;
		}
		if (s == H1_MORE || !handle(h))
			break;
		compose(h);
		if (!send_answer(h))
			return;
	}
	maybe_continue(h);
	flush_batch(h);
	if (h->conn->state == CONN_OPEN)
		set_deadline(h);
}

/* --- the connection's calls ----------------------------------------------------------------------- */

static bool reads(const struct h1 *h)
{
	return h->conn->state == CONN_OPEN && h->state <= H1_BODY;
}

static void on_end_of_input(struct h1 *h)
{
	enter(h, H1_ENDED);
	conn_close(h->conn);
}

static void h1_readable(struct conn *c)
{
	struct h1 *h = take(c);
	if (h == NULL) {
		conn_close(c);
		return;
	}
	if (!reads(h) || clogged(h)) {
		conn_mute(c);
		return;
	}
	if (c->queued)
		return; /* its turn comes; what is in the buffer goes first */
	for (unsigned i = 0; i < READS_PER_VISIT; i++) {
		switch (fill(h)) {
		case IO_OK:
			serve(h);
			break;
		case IO_AGAIN:
			set_deadline(h);
			return;
		case IO_EOF:
		case IO_FAILED:
		default:
			on_end_of_input(h);
			return;
		}
		if (!reads(h) || clogged(h) || c->queued)
			return;
		if (!conn_holds(c))
			return;
	}
	worker_again(c->worker, c);
}

/* Goes on after a pause: what is in the buffer first, then the socket. */
static void proceed(struct h1 *h)
{
	struct conn *c = h->conn;
	if (reads(h) && !clogged(h))
		serve(h);
	if (!reads(h) || clogged(h) || c->queued)
		return;
	conn_want_read(c);
	if (conn_holds(c))
		h1_readable(c);
}

static void h1_again(struct conn *c)
{
	struct h1 *h = c->h1;
	if (h == NULL)
		return;
	if (h->state == H1_READY && c->state == CONN_CLOSED) {
		enter(h, H1_ENDED); /* the client went while the upper floor worked */
		worker_bury(c->worker, c);
		return;
	}
	if (c->state != CONN_OPEN)
		return;
	if (h->state == H1_READY) {
		compose(h);
		if (!send_answer(h))
			return;
	}
	proceed(h);
}

static void h1_writable(struct conn *c)
{
	struct h1 *h = c->h1;
	if (h == NULL) {
		conn_done_writing(c);
		return;
	}
	if (h->state == H1_SENDING) {
		if (send_answer(h))
			proceed(h);
		return;
	}
	flush_batch(h);
	if (c->state != CONN_OPEN || clogged(h))
		return;
	conn_done_writing(c);
	proceed(h);
}

static void expired_idle(struct conn *c)
{
	uint64_t idle_ms = c->worker->shared->config->idle_timeout_ms;
	if (c->h1 == NULL || !c->served || idle_ms <= WARM_MS) {
		conn_close(c);
		return;
	}
	give_back(c);
	conn_expire_in(c, idle_ms - WARM_MS);
}

static void h1_expired(struct conn *c)
{
	struct h1 *h = c->h1;
	if (h == NULL || (h->state == H1_IDLE && !clogged(h))) {
		expired_idle(c);
		return;
	}
	switch (h->state) {
	case H1_HEAD:
	case H1_BODY:
		answer_refusal(h, 408, "the request did not arrive in time");
		break;
	case H1_BUSY:
		if (clogged(h))
			conn_close(c);
		else
			set_deadline(h);
		break;
	case H1_READY:
		break; /* queued; h1_again sets the next deadline */
	case H1_IDLE:
	case H1_SENDING:
		end(h);
		break;
	case H1_ENDED:
	case H1_STATES:
	default:
		conn_close(c);
		break;
	}
}

static void h1_stopping(struct conn *c)
{
	struct h1 *h = c->h1;
	if (h == NULL || (h->state == H1_IDLE && h->start == h->end && !clogged(h)))
		conn_close(c);
}

static enum conn_after h1_closed(struct conn *c)
{
	struct h1 *h = c->h1;
	if (h == NULL)
		return CONN_BURY;
	/* READY: queued by finish, h1_again buries it */
	return h->state == H1_BUSY || h->state == H1_READY ? CONN_UNFINISHED : CONN_BURY;
}

const struct proto h1_proto = {
    .readable = h1_readable,
    .writable = h1_writable,
    .again = h1_again,
    .expired = h1_expired,
    .stopping = h1_stopping,
    .closed = h1_closed,
    .release = give_back,
};
