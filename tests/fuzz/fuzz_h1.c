/*
 * h1: one connection's life (http/h1.c) between a socket and an upper floor that are both made up here.
 *
 * Input: a byte chooses limits and whether answers are long; a script (a byte of length): what happens, a byte each: bytes arrive, the client takes some
 * of its answer, the upper floor answers late or at once, time runs out, the client closes or vanishes, the server stops; the rest is what the
 * client sends.  After the script all else arrives and is taken.
 *   - the requests handed up are those that h1_parse finds in the bytes, the first ones if more than the pace was disturbed;
 *   - if nothing but the pace was disturbed the answers are the bytes that come when all is delivered, taken and answered at once;
 *   - the connection never stands still without waiting for something, never without a deadline but while the upper floor works, never spins;
 *   - each exchange is answered once and forgotten before its memory goes; nothing is read or written after the end.
 *
 * POST and PUT of what begins with "/s" are streams: a line for a line.  "/sr" is refused, "/s<" is over after its second line; a line that is too long
 * ends any.  A stream counts as a request when it came whole; what was offered of it are the very bytes of its body, and the lines of the answer depend
 * on nothing else.
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "http/conn.h"

#define LONG_ANSWER ((size_t)100 << 10)
#define TURNS_MAX   20000
#define ITEM_MAX    ((size_t)300)

static const struct h1_limits limits[] = {{8192, 32768, 100}, {64, 512, 8}, {300, 2000, 16}};

/* The one connection there is. */
static struct wire {
	struct conn c;
	struct worker w;
	struct shared shared;
	struct server_config config;
	struct span sent;
	size_t arrived, taken; /* of sent: at the socket; read from it */
	size_t room;           /* bytes that the client will take */
	bool eof, broken, late, long_answers;
	struct exchange *busy;     /* handed up, not finished; or a stream that pauses */
	bool open;                 /* a stream has begun and is not over */
	unsigned lines;            /* of it */
	bool paused;               /* before the next line */
	struct builder head, body; /* of the stream: as requests have it, and what was used of it */
	bool known;                /* the exchange was seen by the upper floor and not forgotten */
	struct builder requests, answers;
	bool buried, gone;
} * at;

/* ---- the socket ---- */

enum io conn_read(struct conn *c, void *buf, size_t n, size_t *ret_n)
{
	size_t left = at->arrived - at->taken;

	MUST(n > 0 && c->state == CONN_OPEN && at->busy == NULL);
	if (at->broken)
		return IO_FAILED;
	if (left == 0)
		return at->eof ? IO_EOF : IO_AGAIN;
	n = n < left ? n : left;
	memcpy(buf, at->sent.p + at->taken, n);
	at->taken += n;
	*ret_n = n;
	return IO_OK;
}

enum io conn_write(struct conn *c, struct span first, struct span second, size_t *ret_n)
{
	size_t n;

	MUST(first.n + second.n > 0 && c->state == CONN_OPEN);
	if (at->broken)
		return IO_FAILED;
	if (at->room == 0)
		return IO_AGAIN;
	n = first.n < at->room ? first.n : at->room;
	builder_add(&at->answers, span_of(first.p, n));
	*ret_n = n;
	at->room -= n;
	n = second.n < at->room ? second.n : at->room;
	builder_add(&at->answers, span_of(second.p, n));
	*ret_n += n;
	at->room -= n;
	return IO_OK;
}

bool conn_holds(const struct conn *c)
{
	(void)c;
	return false;
}

void conn_want_read(struct conn *c)
{
	MUST(c->state != CONN_CLOSED);
	c->reading = true;
}

void conn_mute(struct conn *c)
{
	c->reading = false;
}

void conn_want_write(struct conn *c)
{
	MUST(c->state != CONN_CLOSED);
	c->writing = true;
}

void conn_done_writing(struct conn *c)
{
	c->writing = false;
}

void conn_expire_in(struct conn *c, uint64_t ms)
{
	MUST(c->state != CONN_CLOSED);
	wheel_set(&c->worker->wheel, &c->timer, worker_deadline(c->worker, ms));
}

void conn_close(struct conn *c)
{
	if (c->state == CONN_CLOSED)
		return;
	c->state = CONN_CLOSED;
	c->reading = c->writing = false;
	wheel_del(&c->timer);
	if (c->proto->closed(c) == CONN_BURY)
		worker_bury(c->worker, c);
}

void conn_linger(struct conn *c)
{
	MUST(c->state == CONN_OPEN);
	c->state = CONN_LINGER;
	c->writing = false;
	c->reading = true;
	conn_expire_in(c, 2000);
}

void tls_bye(struct tls_conn *t)
{
	(void)t;
	must_fail(__FILE__, __LINE__, "there is no TLS here");
}

/* ---- the worker ---- */

uint64_t worker_deadline(const struct worker *w, uint64_t ms)
{
	return w->wheel.now + ms / 1000 + 2;
}

void worker_again(struct worker *w, struct conn *c)
{
	(void)w;
	c->queued = true;
}

void worker_bury(struct worker *w, struct conn *c)
{
	(void)w;
	MUST(c->state == CONN_CLOSED && !at->buried && at->busy == NULL);
	at->buried = true;
}

/* ---- the upper floor ---- */

static void answer(struct exchange *x)
{
	static const uint8_t zeros[1024];
	size_t n = at->long_answers ? LONG_ANSWER : x->n_body % 50;

	x->status = x->n_body % 7 == 6 ? 204 : 200;
	x->content_type = x->status == 204 ? NULL : "text/plain";
	for (size_t i = 0; x->content_type != NULL && i < n; i += sizeof zeros)
		builder_add(&x->body_out,
		            span_of(zeros, n - i < sizeof zeros ? n - i : sizeof zeros));
	x->finish(x);
}

static void put_head(struct builder *b, const struct exchange *x)
{
	builder_u8(b, (uint8_t)x->method);
	builder_lv(b, x->target);
	builder_lv(b, x->query);
	for (size_t i = 0; i < x->n_headers; i++) {
		builder_lv(b, x->headers[i].name);
		builder_lv(b, x->headers[i].value);
	}
}

static void begin_stream(struct exchange *x)
{
	x->status = 200;
	x->content_type = "text/plain";
	x->item_max = ITEM_MAX;
	at->open = true;
	x->begin(x);
}

static void handle_stream(struct exchange *x)
{
	MUST(!at->open && x->n_body == 0 && (x->method == HTTP_POST || x->method == HTTP_PUT));
	builder_reset(&at->head);
	builder_reset(&at->body);
	at->lines = 0;
	at->paused = false;
	put_head(&at->head, x);
	if (at->busy == x)
		return;
	begin_stream(x);
}

void api_handle(struct api *api, struct exchange *x)
{
	(void)api;
	MUST(at->busy == NULL && at->c.state == CONN_OPEN);
	MUST(x->target.n > 0 && x->target.p[0] == '/' && x->n_headers <= HEADERS_MAX);
	MUST(x->body_out.n == 0 && x->n_extra == 0);
	at->known = true;
	if (at->late)
		at->busy = x;
	if (x->kind == EXCHANGE_STREAM && !span_starts(x->target, span_str("/sr"))) {
		handle_stream(x);
		return;
	}
	put_head(&at->requests, x);
	builder_lv(&at->requests, span_of(x->body, x->n_body));
	/* what the JSON reader may do to it */
	for (size_t i = 0; i < x->n_body; i++)
		x->body[i] ^= 0xff;
	if (at->busy == NULL)
		answer(x);
}

/* ---- streams ---- */

enum exchange_kind api_streams(struct api *api, struct exchange *x)
{
	(void)api;
	MUST(at->busy == NULL && !at->open && x->n_body == 0);
	at->known = true;
	return span_starts(x->target, span_str("/s")) ? EXCHANGE_STREAM : EXCHANGE_WHOLE;
}

/* bad: a last line that no other is, and its request does not count. */
static enum stream_step stream_over(struct stream_visit *v, const char *bad)
{
	at->open = false;
	builder_str(v->out, bad);
	if (bad[0] == 0) {
		builder_add(&at->requests, builder_span(&at->head));
		builder_lv(&at->requests, builder_span(&at->body));
	}
	return STREAM_OVER;
}

static void answer_line(struct stream_visit *v, size_t n)
{
	builder_fmt(v->out, "line %u of %zu", at->lines++, n);
	for (size_t i = 0; at->long_answers && i < LONG_ANSWER / 64; i++)
		builder_u8(v->out, '-');
	builder_u8(v->out, '\n');
}

static enum stream_step visit(struct exchange *x, struct stream_visit *v)
{
	while (v->used < v->n) {
		uint8_t *p = v->in + v->used;
		size_t n = v->n - v->used, whole = n;
		const uint8_t *lf = memchr(p, '\n', n);

		n = lf != NULL ? (size_t)(lf - p) : n;
		whole = lf != NULL ? n + 1 : n;
		if (n > ITEM_MAX)
			return stream_over(v, "!");
		if (lf == NULL && v->end == STREAM_GOES_ON)
			return STREAM_MORE;
		if (v->out->n >= v->out_full)
			return STREAM_FULL;
		if (at->late && !at->paused) {
			at->paused = true;
			at->busy = x;
			return STREAM_PAUSE;
		}
		at->paused = false;
		builder_add(&at->body, span_of(p, whole));
		memset(p, 0, whole); /* it may be changed in place */
		v->used += whole;
		answer_line(v, n);
		if (span_starts(x->target, span_str("/s<")) && at->lines == 2)
			return stream_over(v, "!");
	}
	return v->end == STREAM_LAST ? stream_over(v, "") : STREAM_MORE;
}

enum stream_step api_stream(struct api *api, struct exchange *x, struct stream_visit *v)
{
	(void)api;
	MUST(at->open && at->busy == NULL && at->c.state == CONN_OPEN &&
	     x->kind == EXCHANGE_STREAM);
	MUST(v->used == 0 && v->out->n < v->out_full);
	return visit(x, v);
}

void api_abort(struct api *api, struct exchange *x)
{
	(void)api;
	MUST(at->open && at->busy == NULL && at->c.state == CONN_CLOSED &&
	     x->kind == EXCHANGE_STREAM);
	at->open = false;
}

void api_forget(struct api *api, struct exchange *x)
{
	(void)api;
	(void)x;
	MUST(at->busy == NULL && !at->open);
	at->known = false;
}

void api_reject(struct exchange *x, unsigned status, const char *text)
{
	MUST(at->busy == NULL && status >= 400 && status < 600 && text != NULL);
	at->known = true;
	x->status = status;
}

static void finish_late(void)
{
	struct exchange *x = at->busy;

	if (x == NULL)
		return;
	at->busy = NULL;
	if (at->open)
		x->resume(x);
	else if (x->kind == EXCHANGE_STREAM && !span_starts(x->target, span_str("/sr")))
		begin_stream(x);
	else
		answer(x);
	MUST(at->c.queued);
}

/* ---- turns ---- */

static void check(void)
{
	const struct conn *c = &at->c;

	MUST(builder_status(&at->answers) == ST_OK);
	if (c->state == CONN_CLOSED) {
		MUST(at->buried || at->busy != NULL);
		return;
	}
	MUST(at->busy != NULL || (c->timer.next != NULL && c->timer.deadline != WHEEL_NEVER));
	/* it waits for something */
	MUST(at->busy != NULL || c->reading || c->writing);
}

static void turn_end(void)
{
	struct conn *c = &at->c;

	if (c->queued) {
		c->queued = false;
		c->proto->again(c);
	}
	if (!c->queued)
		check();
	/* one that is queued is still to be visited, as the worker does */
	if (at->buried && !at->gone && !c->queued) {
		c->proto->release(c);
		MUST(c->h1 == NULL && !at->known);
		at->gone = true;
	}
}

static bool has_input(void)
{
	return at->arrived > at->taken || at->eof || at->broken;
}

static void readable(void)
{
	struct conn *c = &at->c;

	if (!c->reading || !has_input())
		return;
	if (c->state == CONN_OPEN) {
		c->proto->readable(c);
	} else if (c->state == CONN_LINGER) {
		at->taken = at->arrived;
		if (at->eof || at->broken)
			conn_close(c);
	}
	turn_end();
}

static void writable(void)
{
	struct conn *c = &at->c;

	if (!c->writing || (at->room == 0 && !at->broken))
		return;
	if (c->state == CONN_OPEN)
		c->proto->writable(c);
	else
		conn_done_writing(c);
	turn_end();
}

static void expire(void)
{
	struct conn *c = &at->c;

	if (c->state == CONN_CLOSED || c->timer.next == NULL || c->timer.deadline == WHEEL_NEVER)
		return;
	wheel_del(&c->timer);
	if (c->state == CONN_OPEN)
		c->proto->expired(c);
	else
		conn_close(c);
	turn_end();
}

static void stop(void)
{
	struct conn *c = &at->c;

	at->w.stopping = true;
	if (c->state == CONN_OPEN)
		c->proto->stopping(c);
	turn_end();
}

/* One event of the script.  true: more than the pace was disturbed. */
static bool event(uint8_t e)
{
	size_t amount = (size_t)(e >> 3) * 9 + 1;

	switch (e & 7) {
	case 0:
	case 1:
		amount = amount < at->sent.n - at->arrived ? amount : at->sent.n - at->arrived;
		at->arrived += amount;
		readable();
		return false;
	case 2:
		at->room += amount * amount;
		writable();
		return false;
	case 3:
		finish_late();
		turn_end();
		return false;
	case 4:
		at->late = (e >> 3) % 2 == 0;
		return false;
	case 5:
		expire();
		return true;
	case 6:
		at->broken = (e >> 3) % 4 == 0;
		at->eof = true;
		readable();
		writable();
		return true;
	default:
		stop();
		return true;
	}
}

/* All that is left comes and goes. */
static void drain(void)
{
	at->arrived = at->sent.n;
	at->room = SIZE_MAX / 2;
	at->late = false;
	for (int turns = 0; at->c.state != CONN_CLOSED; turns++) {
		bool more = (at->c.reading && has_input()) || at->c.writing || at->c.queued ||
		            at->busy != NULL;

		MUST(turns < TURNS_MAX);
		if (!more)
			break;
		finish_late();
		if (at->c.queued)
			turn_end();
		readable();
		writable();
	}
	/* it listens to the client, or is gone */
	MUST(at->c.state == CONN_CLOSED || (at->c.reading && at->taken == at->arrived));
}

static void begin(struct wire *w, struct span sent, uint8_t how)
{
	*w = (struct wire){.sent = sent, .long_answers = (how & 0x40) != 0};
	at = w;
	w->config = (struct server_config){.max_body = (how & 0x80) != 0 ? 100 : 20000,
	                                   .stream_buffer = (how & 0x20) != 0 ? 64 : 4096,
	                                   .idle_timeout_ms = 300000,
	                                   .header_timeout_ms = 10000,
	                                   .request_timeout_ms = 90000,
	                                   .write_timeout_ms = 60000};
	w->shared.config = &w->config;
	w->shared.limits = limits[how % (sizeof limits / sizeof *limits)];
	w->w.shared = &w->shared;
	wheel_init(&w->w.wheel, 1);
	http_date(1000000000, w->w.date);
	w->c.worker = &w->w;
	w->c.proto = &h1_proto;
	w->c.state = CONN_OPEN;
	w->c.reading = true;
	conn_expire_in(&w->c, w->config.header_timeout_ms);
}

static void end(void)
{
	conn_close(&at->c);
	finish_late();
	turn_end();
	MUST(at->gone && !at->open);
	h1_free_spares(&at->w);
}

/* One chunked body at the front of `left`, onto b; false: it has no end, or a bad one. */
static bool take_chunks(struct span *left, struct builder *b)
{
	for (;;) {
		size_t n = 0, i = 0;

		while (i < left->n && left->p[i] != '\r') {
			uint8_t c = left->p[i++];
			n = n * 16 + (size_t)(c <= '9' ? c - '0' : c - 'a' + 10);
		}
		if (left->n < i + 4 || left->n - i - 4 < n)
			return false;
		struct span data = span_of(left->p + i + 2, n);
		*left = span_from(*left, i + 2 + n);
		MUST(left->p[0] == '\r' && left->p[1] == '\n');
		*left = span_from(*left, 2);
		builder_add(b, data);
		if (n == 0)
			return true;
		if (data.p[n - 1] == '!')
			return false;
	}
}

/* The answers without what the pace decides: 100 Continue, and how a stream was cut into chunks.  Up to the first refusal, and the first stream that ended early. */
static void put_answers(const struct builder *from, struct builder *to)
{
	static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
	struct span left = builder_span(from);

	while (left.n > 0) {
		if (span_starts(left, span_str(go_on))) {
			left = span_from(left, strlen(go_on));
			continue;
		}
		const uint8_t *end = memmem(left.p, left.n, "\r\n\r\n", 4);
		if (end == NULL || span_starts(left, span_str("HTTP/1.1 4")) ||
		    span_starts(left, span_str("HTTP/1.1 5")))
			return;
		struct span head = span_of(left.p, (size_t)(end + 4 - left.p));
		left = span_from(left, head.n);
		size_t before = to->n;
		builder_add(to, head);
		if (memmem(head.p, head.n, "\r\nTransfer-Encoding: chunked\r\n", 30) != NULL) {
			if (!take_chunks(&left, to)) {
				to->n = before;
				return;
			}
			continue;
		}
		const char *length = memmem(head.p, head.n, "\r\nContent-Length: ", 18);
		size_t n = length != NULL ? strtoul(length + 18, NULL, 10) : 0;
		n = n < left.n ? n : left.n;
		builder_add(to, span_of(left.p, n));
		left = span_from(left, n);
	}
}

/* ---- the requests in the bytes, without a connection ---- */

static uint8_t method_of(struct span s)
{
	static const char *const names[] = {"GET",   "HEAD", "POST", "PUT",    "DELETE",
	                                    "PATCH", "LIST", "SCAN", "OPTIONS"};
	uint8_t i = 0;

	while (i < sizeof names / sizeof *names && !span_eq_str(s, names[i]))
		i++;
	return i;
}

static bool is_stream(const struct h1_head *h)
{
	return span_starts(h->target, span_str("/s")) &&
	       (span_eq_str(h->method, "POST") || span_eq_str(h->method, "PUT"));
}

/* Does it end before its body does? */
static bool ends_early(const struct h1_head *h, struct span body)
{
	unsigned lines = 0;

	while (body.n > 0) {
		const uint8_t *lf = memchr(body.p, '\n', body.n);
		size_t n = lf != NULL ? (size_t)(lf - body.p) : body.n;

		if (n > ITEM_MAX || (++lines == 2 && span_starts(h->target, span_str("/s<"))))
			return true;
		body = span_from(body, lf != NULL ? n + 1 : n);
	}
	return false;
}

/* The body behind a head into `body`; false: it is refused, or not all there. */
static bool take_body(struct h1_head *h, size_t max, struct span *left, struct builder *body)
{
	size_t used = 0;

	builder_reset(body);
	if (is_stream(h))
		max = SIZE_MAX;
	if (h->body == H1_SIZED) {
		if (h->content_length > max || h->content_length > left->n)
			return false;
		used = (size_t)h->content_length;
		builder_add(body, span_of(left->p, used));
	} else if (h->body == H1_CHUNKED) {
		if (h1_chunks(h, body, max, left->p, left->n, &used) != H1_DONE)
			return false;
	}
	*left = span_from(*left, used);
	return true;
}

static void find_requests(const struct wire *w, struct builder *b)
{
	uint8_t *copy = fuzz_copy(w->sent);
	struct span left = span_of(copy, w->sent.n);
	struct builder body = {0};
	struct h1_head h = {.keep = 1};

	while (h.keep) {
		for (int i = 0; i < 4 && span_starts(left, span_str("\r\n")); i++)
			left = span_from(left, 2);
		uint8_t *head = copy + (w->sent.n - left.n);
		h1_head_reset(&h);
		if (h1_head_parse(&h, &w->shared.limits, head, left.n) != H1_DONE)
			break;
		left = span_from(left, h.n);
		bool refused = is_stream(&h) && span_starts(h.target, span_str("/sr"));
		if (is_stream(&h) && h.minor == 0)
			break;
		if (refused && h.body != H1_NO_BODY)
			h.keep = 0;
		else if (!take_body(&h, w->config.max_body, &left, &body))
			break;
		if (refused)
			builder_reset(&body);
		else if (is_stream(&h) && ends_early(&h, builder_span(&body)))
			break;
		builder_u8(b, method_of(h.method));
		builder_lv(b, h.target);
		builder_lv(b, h.query);
		for (size_t i = 0; i < h.n_fields; i++) {
			builder_lv(b, span_of(head + h.fields[i].name, h.fields[i].name_n));
			builder_lv(b, span_of(head + h.fields[i].value, h.fields[i].value_n));
		}
		builder_lv(b, builder_span(&body));
	}
	builder_free(&body);
	free(copy);
}

static void wire_free(struct wire *w)
{
	builder_free(&w->requests);
	builder_free(&w->answers);
	builder_free(&w->head);
	builder_free(&w->body);
	free(w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct cursor c = cursor_of(span_of(data, n));
	uint8_t how = fuzz_u8(&c);
	struct span script = fuzz_lv(&c), sent = fuzz_rest(&c);
	struct wire *played = malloc(sizeof *played), *plain = malloc(sizeof *plain);
	struct builder found = {0};
	bool disturbed = false;

	MUST(played != NULL && plain != NULL);
	begin(played, sent, how);
	for (size_t i = 0; i < script.n && played->c.state != CONN_CLOSED; i++)
		disturbed |= event(script.p[i]);
	drain();
	end();
	begin(plain, sent, how);
	drain();
	end();
	find_requests(plain, &found);
	struct span all = builder_span(&found), some = builder_span(&played->requests);
	MUST(span_eq(all, builder_span(&plain->requests)));
	MUST(disturbed ? span_starts(all, some) : span_eq(all, some));
	struct builder want = {0}, got = {0};
	put_answers(&plain->answers, &want);
	put_answers(&played->answers, &got);
	MUST(disturbed || span_eq(builder_span(&want), builder_span(&got)));
	builder_free(&want);
	builder_free(&got);
	builder_free(&found);
	wire_free(played);
	wire_free(plain);
	return 0;
}
