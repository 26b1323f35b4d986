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
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "http/conn.h"

#define LONG_ANSWER ((size_t)100 << 10)
#define TURNS_MAX   20000

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
	struct exchange *busy; /* handed up, not finished */
	bool known;            /* the exchange was seen by the upper floor and not forgotten */
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

void api_handle(struct api *api, struct exchange *x)
{
	struct builder *b = &at->requests;

	(void)api;
	MUST(at->busy == NULL && at->c.state == CONN_OPEN);
	MUST(x->target.n > 0 && x->target.p[0] == '/' && x->n_headers <= HEADERS_MAX);
	MUST(x->body_out.n == 0 && x->n_extra == 0);
	builder_u8(b, (uint8_t)x->method);
	builder_lv(b, x->target);
	builder_lv(b, x->query);
	for (size_t i = 0; i < x->n_headers; i++) {
		builder_lv(b, x->headers[i].name);
		builder_lv(b, x->headers[i].value);
	}
	builder_lv(b, span_of(x->body, x->n_body));
	/* what the JSON reader may do to it */
	for (size_t i = 0; i < x->n_body; i++)
		x->body[i] ^= 0xff;
	at->known = true;
	at->busy = x;
	if (at->late)
		return;
	at->busy = NULL;
	answer(x);
}

void api_forget(struct api *api, struct exchange *x)
{
	(void)api;
	(void)x;
	MUST(at->busy == NULL);
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
	if (at->buried && !at->gone) {
		MUST(!c->queued);
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
	MUST(at->gone);
	h1_free_spares(&at->w);
}

/* Up to the first refusal, and without what was said in between. */
static struct span good_answers(struct builder *b)
{
	static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
	uint8_t *p;
	size_t n = b->n;

	builder_u8(b, 0); /* never NULL */
	while ((p = memmem(b->p, n, go_on, strlen(go_on))) != NULL) {
		n -= strlen(go_on);
		memmove(p, p + strlen(go_on), n - (size_t)(p - b->p));
	}
	for (const char *bad = "45"; *bad != '\0'; bad++) {
		char head[] = "HTTP/1.1 ?";

		head[9] = *bad;
		p = memmem(b->p, n, head, 10);
		n = p != NULL ? (size_t)(p - b->p) : n;
	}
	return span_of(b->p, n);
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

/* The body behind a head into `body`; false: it is refused, or not all there. */
static bool take_body(struct h1_head *h, size_t max, struct span *left, struct builder *body)
{
	size_t used = 0;

	builder_reset(body);
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
		if (!take_body(&h, w->config.max_body, &left, &body))
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
	struct span want = good_answers(&plain->answers), got = good_answers(&played->answers);
	MUST(disturbed || span_eq(want, got));
	builder_free(&found);
	wire_free(played);
	wire_free(plain);
	return 0;
}
