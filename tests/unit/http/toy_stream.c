/*
 * The toy's streams: each line of the body is answered by a line, "answer to " and the line.  POST /stream, and what else it shall do:
 *
 *   refuse=N  an answer of that status instead       begin=N   begins so many ms later
 *   pause=N   a pause after every N lines, of ms=N   over=N    is over after N lines, and says so
 *   item=N    longest line                           out=N     so many bytes of answer a visit
 *   answer=N  answers of so many bytes
 */
#include <stdatomic.h>
#include <string.h>

#include "toy.h"

static void count(_Atomic unsigned long long *counter, size_t n)
{
	atomic_fetch_add(counter, n);
}

static struct toy_stream *stream_of(struct exchange *x)
{
	return &((struct memory *)x->state)->stream;
}

static void begin(struct exchange *x)
{
	x->status = 200;
	x->content_type = "application/x-ndjson";
	x->item_max = stream_of(x)->item;
	x->begin(x);
}

static void begin_late(struct task *t)
{
	begin(((struct job *)(void *)t)->x);
}

void toy_stream_handle(struct api *api, struct exchange *x)
{
	struct toy_stream *s = stream_of(x);
	unsigned long refuse = toy_number(x->query, "refuse=");
	unsigned long late = toy_number(x->query, "begin=");
	MUST(x->kind == EXCHANGE_STREAM && x->n_body == 0);
	if (refuse != 0) {
		x->status = (unsigned)refuse;
		x->content_type = "text/plain";
		builder_str(&x->body_out, "refused\n");
		x->finish(x);
		return;
	}
	*s = (struct toy_stream){.pause = toy_number(x->query, "pause="),
	                         .over = toy_number(x->query, "over="),
	                         .item = toy_number(x->query, "item="),
	                         .out = toy_number(x->query, "out="),
	                         .ms = toy_number(x->query, "ms="),
	                         .answer = toy_number(x->query, "answer="),
	                         .open = true};
	if (s->item == 0)
		s->item = 65536;
	s->until = s->pause;
	api->streams.begun++;
	if (late != 0)
		toy_later(api, x, begin_late, late);
	else
		begin(x);
}

static void answer_line(struct toy_stream *s, struct span line, struct builder *out)
{
	builder_str(out, "answer to ");
	builder_add(out, line);
	for (unsigned long n = 11 + line.n; n < s->answer; n++)
		builder_u8(out, '.');
	builder_u8(out, '\n');
	s->lines++;
}

static enum stream_step over(struct api *api, struct toy_stream *s, struct builder *out,
                             const char *last)
{
	builder_str(out, last);
	s->open = false;
	api->streams.over++;
	return STREAM_OVER;
}

static void resume(struct task *t)
{
	struct exchange *x = ((struct job *)(void *)t)->x;
	stream_of(x)->paused = false;
	x->resume(x);
}

static bool full(const struct toy_stream *s, const struct stream_visit *v, size_t before)
{
	return v->out->n >= v->out_full || (s->out > 0 && v->out->n - before >= s->out);
}

enum exchange_kind api_streams(struct api *api, struct exchange *x)
{
	(void)api;
	return span_eq_str(x->target, "/stream") ? EXCHANGE_STREAM : EXCHANGE_WHOLE;
}

static enum stream_step visit(struct api *api, struct exchange *x, struct stream_visit *v)
{
	struct toy_stream *s = stream_of(x);
	size_t before = v->out->n;
	while (v->used < v->n) {
		struct span rest = span_of(v->in + v->used, v->n - v->used);
		const uint8_t *lf = memchr(rest.p, '\n', rest.n);
		size_t n = lf != NULL ? (size_t)(lf - rest.p) : rest.n;
		if (n > s->item)
			return over(api, s, v->out, "too long\n");
		if (lf == NULL && v->end == STREAM_GOES_ON)
			return STREAM_MORE;
		if (full(s, v, before))
			return STREAM_FULL;
		if (s->pause != 0 && s->lines == s->until) {
			s->until += s->pause;
			s->paused = true;
			api->streams.paused++;
			toy_later(api, x, resume, s->ms);
			return STREAM_PAUSE;
		}
		answer_line(s, span_of(rest.p, n), v->out);
		memset(v->in + v->used, 'z', n); /* it may be changed in place */
		v->used += n + (lf != NULL);
		if (s->over != 0 && s->lines == s->over)
			return over(api, s, v->out, "over\n");
	}
	return v->end == STREAM_LAST ? over(api, s, v->out, "") : STREAM_MORE;
}

enum stream_step api_stream(struct api *api, struct exchange *x, struct stream_visit *v)
{
	struct toy_stream *s = stream_of(x);
	size_t before = v->out->n;
	MUST(s->open && !s->paused && v->used == 0 && v->out->n < v->out_full);
	if (v->n > api->streams.most)
		api->streams.most = v->n;
	enum stream_step step = visit(api, x, v);
	count(&api->streams.input, v->used);
	count(&api->streams.output, v->out->n - before);
	return step;
}

void api_abort(struct api *api, struct exchange *x)
{
	struct toy_stream *s = stream_of(x);
	MUST(s->open && !s->paused);
	s->open = false;
	api->streams.aborted++;
}
