#include "http/h1_stream.h"

#include <stdlib.h>
#include <string.h>

#include "http/h1.h"

#define SIZE_ROOM     10 /* "ffffffff" CR LF */
#define VISITS_A_TURN 4

/* --- memory -------------------------------------------------------------------- */

/* Of one piece of the answer; what the upper floor has begun then is still added. */
static size_t out_full(const struct h1 *h)
{
	return h1_config(h)->stream_buffer + h1_config(h)->stream_buffer / 2;
}

/* With less room, what is there moves to the front; and there is so much behind an item of the greatest length. */
static size_t read_least(const struct h1 *h)
{
	return h1_config(h)->stream_buffer / 8 + 1;
}

static size_t least(size_t a, uint64_t b)
{
	return a < b ? a : (size_t)b;
}

/* What came behind the head, into the stream's own buffer: the head must stay where it is. */
static void take_body(struct h1 *h, struct h1_stream *s)
{
	size_t after = h->start + h->head.n;
	size_t n = h->end - after;
	if (h->head.body == H1_SIZED)
		n = least(n, s->left);
	memcpy(s->in, h->in + after, n);
	wipe(h->in + after, n);
	s->raw_end = s->touched = n;
	if (h->head.body == H1_CHUNKED) {
		h->end = after;
		return;
	}
	h->msg_n += n;
	s->end = n;
	s->left -= n;
	s->all = s->left == 0;
	s->fresh = n > 0;
}

enum status h1_stream_new(struct h1 *h)
{
	struct h1_stream *s = calloc(1, sizeof(*s));
	if (s == NULL)
		return ST_NOMEM;
	h->msg_n = h->head.n;
	if (h->head.body == H1_NO_BODY) {
		s->all = s->fresh = true;
		h->stream = s;
		return ST_OK;
	}
	size_t came = h->end - h->start - h->head.n;
	s->cap = h1_config(h)->stream_buffer;
	s->cap = s->cap > came ? s->cap : came;
	if (h->head.body == H1_SIZED) {
		s->left = h->head.content_length;
		s->cap = least(s->cap, s->left);
	}
	s->in = malloc(s->cap);
	if (s->in == NULL) {
		free(s);
		return ST_NOMEM;
	}
	take_body(h, s);
	h->stream = s;
	return ST_OK;
}

void h1_stream_free(struct h1 *h)
{
	struct h1_stream *s = h->stream;
	if (s == NULL)
		return;
	h->stream = NULL;
	wipe(s->in, s->touched);
	free(s->in);
	builder_free(&s->out);
	free(s);
}

/* --- input ------------------------------------------------------------------------ */

/* One item does not fit. */
static enum status grow(struct h1 *h, struct h1_stream *s)
{
	size_t max = h->x.item_max + read_least(h);
	MUST(s->start == 0 && s->end == s->cap && s->cap < max); /* else the upper floor was over */
	size_t cap = least(s->cap * 2, max);
	uint8_t *p = malloc(cap);
	if (p == NULL)
		return ST_NOMEM;
	memcpy(p, s->in, s->end);
	wipe(s->in, s->touched);
	free(s->in);
	s->in = p;
	s->cap = cap;
	return ST_OK;
}

/* Room to read into; all that came has been decoded. */
static enum status make_room(struct h1 *h, struct h1_stream *s)
{
	MUST(s->raw_end == s->end);
	size_t n = s->end - s->start;
	if (s->start > 0 && (n == 0 || s->cap - s->end < read_least(h))) {
		memmove(s->in, s->in + s->start, n);
		s->start = 0;
		s->end = s->raw_end = n;
	}
	return s->end < s->cap ? ST_OK : grow(h, s);
}

/* What the socket holds, up to a buffer. */
static enum io fill(struct h1 *h, struct h1_stream *s)
{
	if (make_room(h, s) != ST_OK)
		return IO_FAILED;
	bool sized = h->head.body == H1_SIZED, some = false;
	for (;;) {
		size_t n = s->cap - s->raw_end, got;
		if (sized)
			n = least(n, s->left);
		if (n == 0)
			return IO_OK;
		enum io io = conn_read(h->conn, s->in + s->raw_end, n, &got);
		if (io != IO_OK)
			return some ? IO_OK : io;
		some = true;
		s->raw_end += got;
		if (s->touched < s->raw_end)
			s->touched = s->raw_end;
		if (sized)
			s->left -= got;
		if (!conn_holds(h->conn))
			return IO_OK;
	}
}

/* From what came to what can be used.  ST_INVALID: it is no body. */
static enum status decode(struct h1 *h, struct h1_stream *s)
{
	size_t before = s->end;
	if (h->head.body == H1_SIZED) {
		s->end = s->raw_end;
		s->all = s->left == 0;
	} else {
		size_t body_n, used;
		enum h1_step step = h1_chunks_in_place(&h->head, s->in + s->end,
		                                       s->raw_end - s->end, &body_n, &used);
		if (step == H1_REFUSED)
			return ST_INVALID;
		s->rest = s->end + used;
		s->rest_end = s->raw_end;
		s->end += body_n;
		s->raw_end = s->end;
		s->all = step == H1_DONE;
	}
	s->fresh = s->fresh || s->all || s->end > before;
	return ST_OK;
}

/* --- output ------------------------------------------------------------------------- */

void h1_stream_begin(struct h1 *h)
{
	struct h1_stream *s = h->stream;
	MUST(s != NULL && !s->begun);
	s->begun = true;
	bool nothing_came = s->raw_end == 0;
	if (h->head.expects && !s->all && nothing_came)
		builder_str(&h->out, "HTTP/1.1 100 Continue\r\n\r\n");
	h1_reply_stream_head(&h->out, &h->x, h1_worker(h)->date,
	                     h->head.keep ? REPLY_KEEP : REPLY_CLOSE);
	count(&h1_worker(h)->counters.requests, 1);
	h1_enter(h, H1_STREAM);
	worker_again(h1_worker(h), h->conn);
}

/* The size goes to the end of the room in front of the chunk; where it begins. */
static size_t put_size(uint8_t *room, size_t n)
{
	size_t at = SIZE_ROOM - 2;
	MUST(n > 0 && n <= UINT32_MAX);
	room[SIZE_ROOM - 2] = '\r';
	room[SIZE_ROOM - 1] = '\n';
	for (; n > 0; n >>= 4)
		room[--at] = (uint8_t) "0123456789abcdef"[n & 15];
	return at;
}

/* What the visit made becomes a chunk to be sent. */
static void frame(struct h1 *h, struct h1_stream *s)
{
	size_t n = s->out.n - SIZE_ROOM, at = SIZE_ROOM;
	if (n > 0) {
		builder_str(&s->out, "\r\n");
		at = put_size(s->out.p, n);
	}
	if (s->over)
		builder_str(&s->out, "0\r\n\r\n");
	h->tail = span_from(builder_span(&s->out), at);
}

/* --- turns ----------------------------------------------------------------------------- */

/* Cut off: api_abort is called when the socket is closed (h1_stream_abort), or after a pause. */
static enum h1_stream_turn cut(struct h1 *h)
{
	conn_close(h->conn);
	return H1_STREAM_WAITS;
}

static enum h1_stream_turn wait_for_turn(struct h1 *h)
{
	conn_expire_in(h->conn, h1_config(h)->request_timeout_ms);
	worker_again(h1_worker(h), h->conn);
	return H1_STREAM_WAITS;
}

static enum h1_stream_turn wait_for_input(struct h1 *h)
{
	conn_want_read(h->conn);
	if (conn_holds(h->conn))
		return wait_for_turn(h);
	conn_expire_in(h->conn, h1_config(h)->request_timeout_ms);
	return H1_STREAM_WAITS;
}

static enum h1_stream_turn wait_for_reader(struct h1 *h)
{
	conn_mute(h->conn);
	conn_want_write(h->conn);
	conn_expire_in(h->conn, h1_config(h)->write_timeout_ms);
	return H1_STREAM_WAITS;
}

/* The connection goes on only if the request was read to its end. */
static enum h1_stream_turn finish(struct h1 *h, struct h1_stream *s)
{
	if (!s->all || s->start < s->end)
		h->after = CLOSE_LINGER;
	h1_enter(h, H1_SENDING);
	return H1_STREAM_OVER;
}

static enum stream_step visit(struct h1 *h, struct h1_stream *s)
{
	size_t n = s->end - s->start;
	builder_reset(&s->out);
	/* most answers are not much longer than what they answer; room for that at once spares moving it */
	if (builder_room(&s->out, SIZE_ROOM + least(out_full(h), n + n / 2 + read_least(h))) !=
	    NULL)
		builder_took(&s->out, SIZE_ROOM);
	struct stream_visit v = {.in = s->in + s->start,
	                         .n = n,
	                         .end = s->all ? STREAM_LAST : STREAM_GOES_ON,
	                         .out = &s->out,
	                         .out_full = SIZE_ROOM + out_full(h)};
	enum stream_step step = api_stream(h1_worker(h)->shared->api, &h->x, &v);
	MUST(v.used <= n && (step != STREAM_MORE || !s->all));
	s->start += v.used;
	s->fresh = step == STREAM_FULL;
	s->over = step == STREAM_OVER;
	return step;
}

/* The upper floor sees what came; then its answer is to be sent. */
static enum io use(struct h1 *h, struct h1_stream *s)
{
	enum stream_step step = visit(h, s);
	if (step == STREAM_PAUSE) {
		conn_mute(h->conn);
		wheel_set(&h1_worker(h)->wheel, &h->conn->timer, WHEEL_NEVER);
		h1_enter(h, H1_BUSY);
	}
	if (builder_status(&s->out) == ST_OK)
		frame(h, s);
	return builder_status(&s->out) == ST_OK ? IO_OK : IO_FAILED;
}

enum h1_stream_turn h1_stream_turn(struct h1 *h)
{
	struct h1_stream *s = h->stream;
	unsigned visits = 0, reads = 0;
	for (;;) {
		enum io io = h1_flush(h);
		if (io == IO_AGAIN)
			return wait_for_reader(h);
		if (io != IO_OK)
			return cut(h);
		conn_done_writing(h->conn);
		if (h->state == H1_BUSY)
			return H1_STREAM_WAITS;
		if (s->over)
			return finish(h, s);
		if (s->raw_end > s->end && decode(h, s) != ST_OK)
			return cut(h);
		if (s->fresh) {
			if (visits++ == VISITS_A_TURN)
				return wait_for_turn(h);
			if (use(h, s) != IO_OK)
				return cut(h);
			continue;
		}
		if (reads++ == 1)
			return wait_for_input(h);
		io = fill(h, s);
		if (io == IO_AGAIN)
			return wait_for_input(h);
		if (io != IO_OK)
			return cut(h);
	}
}

void h1_stream_resume(struct exchange *x)
{
	struct h1 *h = (struct h1 *)(void *)x;
	struct h1_stream *s = h->stream;
	MUST(h->state == H1_BUSY && s != NULL && s->begun && !s->over);
	s->fresh = true;
	h1_enter(h, H1_STREAM);
	worker_again(h1_worker(h), h->conn);
}

void h1_stream_abort(struct h1 *h)
{
	struct h1_stream *s = h->stream;
	h1_enter(h, H1_ENDED);
	if (!s->over)
		api_abort(h1_worker(h)->shared->api, &h->x);
	s->over = true;
	h->tail = span_of(NULL, 0);
}
