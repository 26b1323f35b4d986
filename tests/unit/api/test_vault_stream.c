/* Streams in the Vault dialect: what is one, what its request may say, how it is refused, and that the rest of the exchange is as always. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "lib/house.h"

/* ---- an engine whose lines go back as they came, after what the query says ---- */

struct echo_state {
	char prefix[16];
};

static enum status echo(struct op *op)
{
	struct echo_state *s = op->stream_state;
	struct span prefix = {0};

	if (span_eq_str(op->arg[0], "missing"))
		return answer_fail(op->ans, ST_NOT_FOUND, "no such echo");
	(void)!request_string(op->req, "prefix", &prefix, &op->ans->err);
	return span_cstr(prefix, s->prefix, sizeof s->prefix);
}

static enum status echo_chunk(struct op *op, struct stream_visit *v)
{
	struct echo_state *s = op->stream_state;
	size_t n, whole;
	uint8_t *line;
	enum status st;

	while ((st = stream_line(v, 20, &line, &n, &whole, &op->ans->err)) == ST_OK) {
		builder_str(v->out, s->prefix);
		builder_add(v->out, span_of(line, n));
		builder_u8(v->out, '\n');
		v->used += whole;
		op->stream_totals->items++;
	}
	return st == ST_NOT_FOUND ? ST_OK : st;
}

static const struct stream_kind echoing = {.content_type = "application/x-ndjson",
                                           .state_n = sizeof(struct echo_state),
                                           .item_max = 20,
                                           .chunk = echo_chunk};

static enum status write_op(struct op *op)
{
	op->ans->shape = ANSWER_EMPTY;
	return ST_OK;
}

static const struct operation operations[] = {
    {"echo", VERB_WRITE, "echo-stream/:name", OP_STREAM, 0, echo, NULL, .stream = &echoing},
    {"write", VERB_WRITE, "write/:name", OP_WRITE, 0, write_op, NULL},
};
static const struct engine engine_echo = {
    .type = "echo", .operations = operations, .n_operations = 2};

/* ---- one exchange, as http leads it ---- */

static struct house *house;
static struct api *api;

static struct wire {
	struct exchange x;
	struct header headers[8];
	unsigned finished, begun, resumed;
	struct stream_visit visit;
	struct builder out;
	enum stream_step step;
	char text[4096];
} wire;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;

static void tell(unsigned *what)
{
	pthread_mutex_lock(&lock);
	(*what)++;
	pthread_cond_signal(&cond);
	pthread_mutex_unlock(&lock);
}

static void finish(struct exchange *x)
{
	tell(&((struct wire *)(void *)x)->finished);
}

static void begin(struct exchange *x)
{
	tell(&((struct wire *)(void *)x)->begun);
}

static void resume(struct exchange *x)
{
	tell(&((struct wire *)(void *)x)->resumed);
}

static void header(const char *name, const char *value)
{
	wire.headers[wire.x.n_headers++] = (struct header){span_str(name), span_str(value)};
}

static void ask_on_loop(void *arg)
{
	(void)arg;
	wire.x.kind = EXCHANGE_WHOLE;
	if (wire.x.method == HTTP_POST || wire.x.method == HTTP_PUT)
		wire.x.kind = api_streams(api, &wire.x);
	api_handle(api, &wire.x);
}

/* The head of a request with these headers beside the token; 200 when a stream has begun, else the status of the answer, which is in wire.text. */
static unsigned open_stream(enum http_method method, const char *target, const char *token,
                            const char *name, const char *value)
{
	const char *mark = strchr(target, '?');
	struct exchange *x = &wire.x;

	x->n_headers = 0;
	header("x-vault-token", token);
	if (name != NULL)
		header(name, value);
	x->method = method;
	x->target = span_of(target, mark != NULL ? (size_t)(mark - target) : strlen(target));
	x->query = mark != NULL ? span_str(mark + 1) : span_of(NULL, 0);
	x->headers = wire.headers;
	x->body = NULL;
	x->n_body = 0;
	x->remote = span_str("127.0.0.1:5555");
	x->loop = &house->loop.loop;
	x->finish = finish;
	x->begin = begin;
	x->resume = resume;
	x->status = 0;
	x->content_type = NULL;
	x->item_max = 0;
	builder_reset(&x->body_out);
	wire.finished = wire.begun = 0;
	house_on_loop(house, ask_on_loop, NULL);
	pthread_mutex_lock(&lock);
	while (wire.finished + wire.begun == 0)
		pthread_cond_wait(&cond, &lock);
	pthread_mutex_unlock(&lock);
	assert_int_equal(wire.finished + wire.begun, 1);
	assert_true(x->body_out.n < sizeof wire.text);
	if (x->body_out.n > 0)
		memcpy(wire.text, x->body_out.p, x->body_out.n);
	wire.text[x->body_out.n] = 0;
	if (wire.begun != 0) {
		assert_int_equal(x->kind, EXCHANGE_STREAM);
		assert_string_equal(x->content_type, "application/x-ndjson");
		assert_int_equal(x->item_max, 21);
		assert_int_equal(x->body_out.n, 0);
	}
	return x->status;
}

static unsigned open_it(const char *target)
{
	return open_stream(HTTP_POST, target, house->root, NULL, NULL);
}

static void visit_on_loop(void *arg)
{
	(void)arg;
	wire.step = api_stream(api, &wire.x, &wire.visit);
}

static enum stream_step say(const char *text, enum stream_end end)
{
	static uint8_t in[256];

	memcpy(in, text, strlen(text));
	builder_reset(&wire.out);
	wire.visit = (struct stream_visit){
	    .in = in, .n = strlen(text), .end = end, .out = &wire.out, .out_full = 1000};
	house_on_loop(house, visit_on_loop, NULL);
	builder_u8(&wire.out, 0);
	return wire.step;
}

static const char *heard(void)
{
	return (const char *)wire.out.p;
}

static void abort_on_loop(void *arg)
{
	(void)arg;
	api_abort(api, &wire.x);
}

static void forget_on_loop(void *arg)
{
	(void)arg;
	api_forget(api, &wire.x);
	builder_free(&wire.x.body_out);
	builder_free(&wire.out);
}

static int setup(void **state)
{
	if (house_process(state) != 0)
		return -1;
	house = house_with(&engine_echo, NULL, NULL);
	house_open(house);
	assert_int_equal(api_new(house->gate, &api), ST_OK);
	assert_int_equal(
	    house_ask(house, VERB_WRITE, "sys/mounts/e", house->root, "{\"type\":\"echo\"}"),
	    ST_OK);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	house_on_loop(house, forget_on_loop, NULL);
	api_free(&api);
	house_free(&house);
	return 0;
}

/* ---- cases ---- */

static void a_stream(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(open_it("/v1/e/echo-stream/a?prefix=%3E+"), 200);
		assert_int_equal(say("one\ntwo\nth", STREAM_GOES_ON), STREAM_MORE);
		assert_string_equal(heard(), "> one\n> two\n");
		assert_int_equal(wire.visit.used, 8);
		assert_int_equal(say("three", STREAM_LAST), STREAM_OVER);
		assert_string_equal(heard(), "> three\n");
		/* the next exchange of the connection is another one */
		assert_int_equal(open_it("/v1/e/write/a"), 204);
		assert_int_equal(open_stream(HTTP_GET, "/v1/sys/mounts", house->root, NULL, NULL),
		                 200);
		assert_non_null(strstr(wire.text, "\"e/\""));
	}
}

static void an_abort(void **state)
{
	(void)state;
	assert_int_equal(open_it("/v1/e/echo-stream/a"), 200);
	assert_int_equal(say("one\n", STREAM_GOES_ON), STREAM_MORE);
	house_on_loop(house, abort_on_loop, NULL);
	assert_int_equal(open_it("/v1/e/write/a"), 204);
}

static void a_failure_is_a_line(void **state)
{
	(void)state;
	assert_int_equal(open_it("/v1/e/echo-stream/a"), 200);
	assert_int_equal(say("one\n123456789012345678901\n", STREAM_GOES_ON), STREAM_OVER);
	assert_string_equal(heard(), "one\n{\"stream_error\":\"a line is longer than 20 bytes\"}\n");
	assert_int_equal(open_it("/v1/e/write/a"), 204);
}

static void content_types(void **state)
{
	static const struct {
		const char *type;
		unsigned status;
	} cases[] = {
	    {"application/x-ndjson", 200},
	    {"application/json", 200},
	    {"Application/X-NDJSON", 200},
	    {"application/x-ndjson; charset=utf-8", 200},
	    {"application/json;charset=utf-8", 200},
	    {"", 200},
	    {"application/x-www-form-urlencoded", 415},
	    {"text/plain", 415},
	    {"application/x-ndjsonx", 415},
	    {"application/x-ndjso", 415},
	    {"application/merge-patch+json", 415},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		assert_int_equal(open_stream(HTTP_POST, "/v1/e/echo-stream/a", house->root,
		                             "content-type", cases[i].type),
		                 cases[i].status);
		if (cases[i].status == 200)
			assert_int_equal(say("", STREAM_LAST), STREAM_OVER);
		else
			assert_string_equal(wire.text,
			                    "{\"errors\":[\"a stream requires "
			                    "Content-Type of application/x-ndjson\"]}\n");
	}
}

static void refused(const char *target, const char *token, unsigned status, const char *text)
{
	assert_int_equal(open_stream(HTTP_POST, target, token, NULL, NULL), status);
	assert_int_equal(wire.begun, 0);
	assert_string_equal(wire.x.content_type, "application/json");
	if (strstr(wire.text, text) == NULL)
		fail_msg("%s: %s", target, wire.text);
}

/* An ordinary answer in the dialect's form. */
static void refusals(void **state)
{
	(void)state;
	refused("/v1/e/echo-stream/a", "s.wrong", 403, "{\"errors\":[\"permission denied\"]}\n");
	refused("/v1/e/echo-stream/missing", house->root, 404, "{\"errors\":");
	refused("/v1/e/echo-stream/a?x=%zz", house->root, 400, "the query is malformed");
	refused("/v1/e/echo-stream/a%00", house->root, 400, "{\"errors\":[\"");
	refused("/v1/none/echo-stream/a", house->root, 404, "no handler for route");
	refused("/v1/", house->root, 404, "no handler for route");
	assert_int_equal(
	    open_stream(HTTP_POST, "/v1/e/echo-stream/a", house->root, "x-vault-wrap-ttl", "60s"),
	    400);
	assert_int_equal(open_stream(HTTP_POST, "/v1/e/echo-stream/a", house->root,
	                             "x-vault-namespace", "other"),
	                 404);
	assert_int_equal(open_stream(HTTP_GET, "/v1/e/echo-stream/a", house->root, NULL, NULL),
	                 405);
	assert_int_equal(open_stream(HTTP_PUT, "/v1/e/echo-stream/a", house->root, NULL, NULL),
	                 200);
	assert_int_equal(say("", STREAM_LAST), STREAM_OVER);
}

/* Refused at once, without its body, whatever that weighs; and what opens the store still has its body. */
static void while_sealed(void **state)
{
	char body[256];

	(void)state;
	assert_int_equal(house_ask(house, VERB_WRITE, "sys/seal", house->root, NULL), ST_OK);
	refused("/v1/e/echo-stream/a", house->root, 503, "{\"errors\":[\"Vault is sealed\"]}\n");
	assert_int_equal(wire.x.kind, EXCHANGE_STREAM);
	refused("/v1/e/write/a", house->root, 503, "{\"errors\":[\"Vault is sealed\"]}\n");
	assert_int_equal(wire.x.kind, EXCHANGE_WHOLE);
	refused("/v1/sys/unseal", "", 400, "{\"errors\":[");
	assert_int_equal(wire.x.kind, EXCHANGE_WHOLE);
	(void)snprintf(body, sizeof body, "{\"key\":\"%s\"}", house->share);
	assert_int_equal(house_ask(house, VERB_WRITE, "sys/unseal", "", body), ST_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_stream),
	    cmocka_unit_test(an_abort),
	    cmocka_unit_test(a_failure_is_a_line),
	    cmocka_unit_test(content_types),
	    cmocka_unit_test(refusals),
	    cmocka_unit_test(while_sealed),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
