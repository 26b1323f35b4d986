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
 *   streams         STREAM, and BUSY while the upper floor pauses: h1_stream.c
 *   deadlines       IDLE: silently closed; HEAD, BODY: 408; SENDING, STREAM: closed
 */
#include "http/h1.h"

#define BATCH_MAX       ((size_t)16 << 10) /* pipelined answers gathered before a write */
#define BATCH_BODY_MAX  ((size_t)4 << 10)  /* larger bodies are not copied */
#define TLS_COPY_MAX    ((size_t)16 << 10) /* head and body of one TLS record */
#define HEAD_ROOM       ((size_t)1 << 10)  /* what an answer's head needs */
#define WORK_PER_VISIT  32                 /* requests answered before others get their turn */
#define READS_PER_VISIT 16
#define WARM_MS         4000 /* idle for so long: memory goes back */

/* Which moves are allowed: [from] has bit `to`. */
#define TO(s) (1u << (s))
static const unsigned moves[H1_STATES] = {
    [H1_IDLE] = TO(H1_HEAD) | TO(H1_ENDED),
    [H1_HEAD] = TO(H1_BODY) | TO(H1_READY) | TO(H1_ENDED),
    [H1_BODY] = TO(H1_BUSY) | TO(H1_READY) | TO(H1_ENDED),
    [H1_BUSY] = TO(H1_READY) | TO(H1_STREAM),
    [H1_STREAM] = TO(H1_BUSY) | TO(H1_SENDING) | TO(H1_ENDED),
    [H1_READY] = TO(H1_SENDING) | TO(H1_ENDED),
    [H1_SENDING] = TO(H1_IDLE) | TO(H1_ENDED),
    [H1_ENDED] = 0,
};

void h1_enter(struct h1 *h, enum h1_state to)
{
	MUST((moves[h->state] & TO(to)) != 0);
	h->state = to;
}

/* --- answers ------------------------------------------------------------------------------ */

static void reject(struct h1 *h, unsigned status, const char *text)
{
	struct exchange *x = &h->x;
	x->status = status;
	x->content_type = NULL;
	x->n_extra = 0;
	builder_reset(&x->body_first);
	builder_reset(&x->body_out);
	h->known = true;
	api_reject(x, status, text);
}

/* The client would not see the end of a connection coming, or still sends: let it read the answer first. */
static inline void decide_end(struct h1 *h)
{
	if (h->after != KEEP_OPEN)
		return;
	if (h->stream != NULL && !h->stream->begun && h->head.body != H1_NO_BODY)
		h->after = CLOSE_LINGER; /* its body stays unread */
	else if (!h->head.keep)
		h->after = CLOSE_PLAIN;
	else if (h1_worker(h)->stopping)
		h->after = CLOSE_LINGER;
}

/* From the exchange's out fields to bytes to send. */
static void compose(struct h1 *h)
{
	struct exchange *x = &h->x;
	struct span first;
	MUST(h->state == H1_READY);
	if (builder_status(&x->body_out) != ST_OK)
		reject(h, 500, "the answer is too large");
	decide_end(h);
	h1_reply_head(&h->out, x, h1_worker(h)->date,
	              h->after == KEEP_OPEN ? REPLY_KEEP : REPLY_CLOSE);
	h->tail = h1_reply_body(x, &first);
	builder_add(&h->out, first);
	bool more = h->end > h->start + h->msg_n;
	if ((more && h->tail.n <= BATCH_BODY_MAX) ||
	    (h->conn->tls != NULL && h->tail.n <= TLS_COPY_MAX)) {
		builder_add(&h->out, h->tail);
		h->tail = span_of(NULL, 0);
	}
	count(&h1_worker(h)->counters.requests, 1);
	h1_enter(h, H1_SENDING);
}

static inline bool something_waits(const struct h1 *h)
{
	return h->out.n > 0 || h->tail.n > 0;
}

enum io h1_flush(struct h1 *h)
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
	h1_settle(&h->out);
	return IO_OK;
}

/* The answer is sent, or copied: wipe the request and its answer. */
static void next_request(struct h1 *h)
{
	struct exchange *x = &h->x;
	h1_consumed(h);
	h1_settle(&x->body_first);
	h1_settle(&x->body_out);
	x->target = x->query = span_of(NULL, 0);
	x->headers = NULL;
	x->n_headers = x->n_extra = x->n_body = 0;
	x->body = NULL;
	x->status = 0;
	x->content_type = NULL;
	h->conn->served = true;
	h1_enter(h, H1_IDLE);
}

static void end(struct h1 *h)
{
	h1_enter(h, H1_ENDED);
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
	switch (h1_flush(h)) {
	case IO_OK:
		break;
	case IO_AGAIN:
		conn_mute(h->conn);
		conn_want_write(h->conn);
		conn_expire_in(h->conn, h1_config(h)->write_timeout_ms);
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
	h1_enter(h, H1_ENDED);
	conn_linger(h->conn);
	return false;
}

/* Composes and sends an answer of http's own; the connection ends with it. */
static void answer_refusal(struct h1 *h, unsigned status, const char *text)
{
	if (h->state == H1_IDLE)
		h1_enter(h, H1_HEAD);
	h->after = CLOSE_LINGER;
	reject(h, status, text);
	h1_enter(h, H1_READY);
	compose(h);
	send_answer(h);
}

/* --- the exchange ---------------------------------------------------------------------------- */

void h1_finish(struct exchange *x)
{
	struct h1 *h = (struct h1 *)(void *)x;
	MUST(h->state == H1_BUSY && h->call <= HANDLING);
	if (h->call == HANDLING) {
		h->call = FINISHED_IN_CALL;
		return;
	}
	MUST(h->stream == NULL || !h->stream->begun);
	/* not here: the caller may be anywhere, and many may finish at once */
	h1_enter(h, H1_READY);
	worker_again(h1_worker(h), h->conn);
}

void h1_begin(struct exchange *x)
{
	struct h1 *h = (struct h1 *)(void *)x;
	MUST(h->state == H1_BUSY && h->call <= HANDLING && h->stream != NULL);
	if (h->call == HANDLING)
		h->call = BEGUN_IN_CALL;
	else
		h1_stream_begin(h);
}

/* True: it finished at once. */
static bool handle(struct h1 *h)
{
	h1_enter(h, H1_BUSY);
	h->known = true;
	h->call = HANDLING;
	api_handle(h1_worker(h)->shared->api, &h->x);
	bool finished = h->call == FINISHED_IN_CALL, begun = h->call == BEGUN_IN_CALL;
	h->call = NOT_HANDLING;
	if (finished)
		h1_enter(h, H1_READY);
	if (begun)
		h1_stream_begin(h);
	return finished;
}

/* Answers that the client does not take must not pile up: no more requests before they are gone. */
static bool clogged(const struct h1 *h)
{
	return h->conn->writing && something_waits(h);
}

/* How long an idle connection keeps its memory. */
static uint64_t warm_ms(const struct h1 *h)
{
	uint64_t idle = h1_config(h)->idle_timeout_ms;
	return idle < WARM_MS ? idle : WARM_MS;
}

/* After a visit: what does the connection wait for, and how long? */
static void set_deadline(struct h1 *h)
{
	struct conn *c = h->conn;
	struct wheel *wheel = &c->worker->wheel;
	if (clogged(h)) {
		conn_expire_in(c, h1_config(h)->write_timeout_ms);
		return;
	}
	switch (h->state) {
	case H1_IDLE:
		conn_expire_in(c, c->served ? warm_ms(h) : h1_config(h)->header_timeout_ms);
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
	case H1_STREAM:
		conn_expire_in(c, h1_config(h)->request_timeout_ms);
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
	if (!something_waits(h))
		return;
	switch (h1_flush(h)) {
	case IO_OK:
		break;
	case IO_AGAIN:
		conn_want_write(h->conn);
		break;
	case IO_EOF:
	case IO_FAILED:
	default:
		if (h->state != H1_BUSY && h->state != H1_STREAM)
			h1_enter(h, H1_ENDED);
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
			worker_again(h1_worker(h), h->conn);
			break;
		}
		enum h1_step s = h1_advance(h);
		if (s == H1_REFUSED) {
			answer_refusal(h, h->head.status, h->head.text);
			return;
		}
		if (s == H1_MORE)
			break;
		/* Room first: what is carried out must be answered. */
		if (builder_room(&h->out, HEAD_ROOM) == NULL) {
			end(h);
			return;
		}
		if (!handle(h))
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
	h1_enter(h, H1_ENDED);
	conn_close(h->conn);
}

static void proceed(struct h1 *h);

static void stream(struct h1 *h)
{
	if (h1_stream_turn(h) == H1_STREAM_WAITS)
		return;
	decide_end(h);
	if (send_answer(h))
		proceed(h);
}

static void h1_readable(struct conn *c)
{
	struct h1 *h = h1_take(c);
	if (h == NULL) {
		conn_close(c);
		return;
	}
	if (h->state == H1_STREAM) {
		if (!c->queued)
			stream(h);
		return;
	}
	if (!reads(h) || clogged(h)) {
		conn_mute(c);
		return;
	}
	if (c->queued)
		return; /* its turn comes; what is in the buffer goes first */
	for (unsigned i = 0; i < READS_PER_VISIT; i++) {
		switch (h1_fill(h)) {
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
	if (c->state == CONN_CLOSED && (h->state == H1_READY || h->state == H1_STREAM)) {
		/* the client went while the upper floor worked */
		if (h->state == H1_STREAM)
			h1_stream_abort(h);
		else
			h1_enter(h, H1_ENDED);
		worker_bury(c->worker, c);
		return;
	}
	if (c->state != CONN_OPEN)
		return;
	if (h->state == H1_STREAM) {
		stream(h);
		return;
	}
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
	if (h->state == H1_STREAM) {
		stream(h);
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
	h1_give_back(c);
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
	case H1_STREAM:
	case H1_ENDED:
	case H1_STATES:
	default:
		conn_close(c);
		break;
	}
}

static bool is_idle(const struct conn *c)
{
	const struct h1 *h = c->h1;
	return h == NULL || (h->state == H1_IDLE && h->start == h->end && !clogged(h));
}

static void h1_stopping(struct conn *c)
{
	if (is_idle(c))
		h1_readable(c); /* a request that has arrived is still answered */
	if (c->state == CONN_OPEN && is_idle(c))
		conn_close(c);
}

static enum conn_after h1_closed(struct conn *c)
{
	struct h1 *h = c->h1;
	if (h == NULL)
		return CONN_BURY;
	if (h->state == H1_STREAM)
		h1_stream_abort(h);
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
    .release = h1_give_back,
};
