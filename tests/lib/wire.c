#include "lib/wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

struct wire wire = {.lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER};

static void finish(struct exchange *x)
{
	struct wire *w = (struct wire *)(void *)x;

	pthread_mutex_lock(&w->lock);
	w->finished++;
	pthread_cond_signal(&w->cond);
	pthread_mutex_unlock(&w->lock);
}

static void handle(void *arg)
{
	(void)arg;
	/* as http asks; none of the engines here has streams */
	if (wire.x.method == HTTP_POST || wire.x.method == HTTP_PUT)
		assert_int_equal(api_streams(wire.api, &wire.x), EXCHANGE_WHOLE);
	api_handle(wire.api, &wire.x);
}

static void forget(void *arg)
{
	(void)arg;
	api_forget(wire.api, &wire.x);
	builder_free(&wire.x.body_first);
	builder_free(&wire.x.body_out);
}

void wire_open(struct house *h)
{
	wire.house = h;
	house_open(h);
	assert_int_equal(api_new(h->gate, &wire.api), ST_OK);
}

void wire_close(void)
{
	house_on_loop(wire.house, forget, NULL);
	api_free(&wire.api);
	house_free(&wire.house);
}

void wire_begin(void)
{
	memset(wire.headers, 0, sizeof wire.headers);
	wire.x.n_headers = 0;
}

void wire_header(const char *name, const char *value)
{
	assert_true(wire.x.n_headers < sizeof wire.headers / sizeof *wire.headers);
	wire.headers[wire.x.n_headers++] = (struct header){span_str(name), span_str(value)};
}

/* What stands before the body and the body itself, as one text. */
static void take_text(const struct exchange *x)
{
	size_t n = x->body_first.n + x->body_out.n;

	assert_true(n < sizeof wire.text);
	if (x->body_first.n > 0)
		memcpy(wire.text, x->body_first.p, x->body_first.n);
	if (x->body_out.n > 0)
		memcpy(wire.text + x->body_first.n, x->body_out.p, x->body_out.n);
	wire.text[n] = 0;
}

unsigned wire_exchange(enum http_method method, const char *target, struct span body)
{
	const char *mark = strchr(target, '?');
	struct exchange *x = &wire.x;

	assert_true(body.n < sizeof wire.body);
	if (body.n > 0)
		memcpy(wire.body, body.p, body.n);
	x->method = method;
	x->target = span_of(target, mark != NULL ? (size_t)(mark - target) : strlen(target));
	x->query = mark != NULL ? span_str(mark + 1) : span_of(NULL, 0);
	x->headers = wire.headers;
	x->body = wire.body;
	x->n_body = body.n;
	x->remote = span_str("127.0.0.1:5555");
	x->loop = &wire.house->loop.loop;
	x->finish = finish;
	x->status = 0;
	x->content_type = NULL;
	builder_reset(&x->body_first);
	builder_reset(&x->body_out);
	wire.finished = 0;
	house_on_loop(wire.house, handle, NULL);
	pthread_mutex_lock(&wire.lock);
	while (wire.finished == 0)
		pthread_cond_wait(&wire.cond, &wire.lock);
	pthread_mutex_unlock(&wire.lock);
	house_flush(wire.house);
	assert_int_equal(wire.finished, 1);
	assert_int_equal(builder_status(&x->body_out), ST_OK);
	take_text(x);
	return x->status;
}
