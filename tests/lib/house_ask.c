#include "lib/house_impl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* ---- requests ---- */

struct house_call {
	struct gate_call call; /* first member */
	struct house *house;
	struct task start;
	struct json doc;
	char *path, *query, *token, *body;
	struct latch done;
	unsigned times; /* done was called */
};

static void call_done(struct gate_call *call)
{
	struct house_call *c = (struct house_call *)(void *)call;

	assert_int_equal(c->times++, 0);
	latch_open(&c->done);
}

static void call_start(struct task *task)
{
	struct house_call *c =
	    (struct house_call *)(void *)((char *)task - offsetof(struct house_call, start));

	gate_submit(c->house->gate, &c->call);
}

/* "a=b&c=d", not escaped. */
static void take_query(struct request *r, char *text)
{
	for (char *pair = strtok(text, "&"); pair != NULL; pair = strtok(NULL, "&")) {
		char *eq = strchr(pair, '=');

		assert_non_null(eq);
		*eq = 0;
		r->query[r->n_query].name = span_str(pair);
		r->query[r->n_query++].value = span_str(eq + 1);
	}
}

struct house_call *house_send(struct house *h, enum verb verb, const char *path, const char *token,
                              const char *body)
{
	struct house_call *c = calloc(1, sizeof *c);
	struct request *r = &c->call.req;

	assert_non_null(c);
	c->house = h;
	c->path = strdup(path);
	c->query = strchr(c->path, '?');
	c->token = strdup(token);
	c->body = strdup(body != NULL ? body : "");
	latch_init(&c->done);
	json_init(&c->doc);
	answer_init(&c->call.ans);
	if (c->query != NULL) {
		*c->query = 0;
		take_query(r, c->query + 1);
	}
	assert_int_equal(path_parse(span_str(c->path), &r->path, NULL), ST_OK);
	if (body != NULL) {
		assert_int_equal(
		    json_parse(&c->doc, (uint8_t *)c->body, strlen(c->body), NULL, NULL), ST_OK);
		r->data = json_root(&c->doc);
	}
	random_uuid(&random_system, r->id);
	r->verb = verb;
	r->token = span_str(c->token);
	r->remote = span_str("127.0.0.1:5555");
	r->now_ns = clock_wall_ns(&h->clock.clock);
	c->call.loop = &h->loop.loop;
	c->call.done = call_done;
	c->start.run = call_start;
	house_post(&h->loop.loop, &c->start);
	return c;
}

static void keep(struct builder *to, const struct builder *from)
{
	builder_reset(to);
	builder_add(to, builder_span(from));
	builder_u8(to, 0);
	assert_int_equal(builder_status(to), ST_OK);
}

enum status house_wait(struct house *h, struct house_call **at)
{
	struct house_call *c = *at;
	enum status st;

	*at = NULL;
	latch_await(&c->done);
	st = c->call.ans.status;
	keep(&h->data, &c->call.ans.data);
	keep(&h->auth, &c->call.ans.auth);
	memcpy(h->text, c->call.ans.err.text, sizeof h->text);
	gate_forget(&c->call);
	answer_free(&c->call.ans);
	json_free(&c->doc);
	free(c->path);
	free(c->token);
	free(c->body);
	free(c);
	return st;
}

enum status house_ask(struct house *h, enum verb verb, const char *path, const char *token,
                      const char *body)
{
	struct house_call *c = house_send(h, verb, path, token, body);

	return house_wait(h, &c);
}

void house_member(const struct builder *text, const char *name, char *buf, size_t cap)
{
	struct builder copy = {0};
	const struct json_value *v;
	struct json doc;

	builder_add(&copy, span_of(text->p, text->n - 1));
	json_init(&doc);
	assert_int_equal(json_parse(&doc, copy.p, copy.n, NULL, NULL), ST_OK);
	v = json_member(json_root(&doc), name);
	assert_non_null(v);
	assert_int_equal(span_cstr(v->text, buf, cap), ST_OK);
	json_free(&doc);
	builder_free(&copy);
}

void house_token(struct house *h, const char *body, char buf[static 64])
{
	assert_int_equal(house_ask(h, VERB_WRITE, "auth/token/create", h->root, body), ST_OK);
	house_member(&h->auth, "client_token", buf, 64);
}

void house_policy(struct house *h, const char *name, const char *path, const char *capabilities)
{
	char where[160], body[512];

	(void)snprintf(where, sizeof where, "sys/policies/acl/%s", name);
	(void)snprintf(
	    body, sizeof body,
	    "{\"policy\":\"{\\\"path\\\":{\\\"%s\\\":{\\\"capabilities\\\":[\\\"%s\\\"]}}}\"}",
	    path, capabilities);
	assert_int_equal(house_ask(h, VERB_WRITE, where, h->root, body), ST_OK);
}

void house_open(struct house *h)
{
	char body[256];
	struct json doc;
	const struct json_value *keys;

	assert_int_equal(house_ask(h, VERB_WRITE, "sys/init", "",
	                           "{\"secret_shares\":1,\"secret_threshold\":1}"),
	                 ST_OK);
	json_init(&doc);
	assert_int_equal(json_parse(&doc, h->data.p, h->data.n - 1, NULL, NULL), ST_OK);
	keys = json_member(json_root(&doc), "keys");
	assert_int_equal(span_cstr(json_first(keys)->text, h->share, sizeof h->share), ST_OK);
	assert_int_equal(
	    span_cstr(json_member(json_root(&doc), "root_token")->text, h->root, sizeof h->root),
	    ST_OK);
	json_free(&doc);
	(void)snprintf(body, sizeof body, "{\"key\":\"%s\"}", h->share);
	assert_int_equal(house_ask(h, VERB_WRITE, "sys/unseal", "", body), ST_OK);
}
