#include "booth.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static enum status no_pool(void *ctx, struct slow *work)
{
	(void)ctx;
	(void)work;
	return ST_BUSY;
}

int booth_process(void **state)
{
	return rig_process(state);
}

int booth_new(void **state)
{
	static const struct transit_config config = {.manner = &transit_manner_vault,
	                                             .make_later = no_pool};
	struct booth *b = calloc(1, sizeof *b);

	assert_non_null(b);
	b->rig = rig_new(1000, NULL);
	assert_int_equal(transit_new(&config, &b->transit), ST_OK);
	assert_int_equal(engine_transit.life->thread_new(b->transit, &b->loop), ST_OK);
	assert_int_equal(engine_transit.life->thread_new(b->transit, &b->writer), ST_OK);
	answer_init(&b->answer);
	json_init(&b->data);
	*state = b;
	return 0;
}

int booth_free(void **state)
{
	struct booth *b = *state;

	engine_transit.life->thread_free(&b->loop);
	engine_transit.life->thread_free(&b->writer);
	engine_transit.life->closed(b->transit);
	rig_free(&b->rig);
	transit_free(&b->transit);
	answer_free(&b->answer);
	json_free(&b->data);
	builder_free(&b->shown);
	free(b);
	return 0;
}

/* ---- calls ---- */

/* One call, as the gate would lead it. */
struct call {
	struct booth *booth;
	const struct operation *operation;
	struct request request;
	struct op op;
	struct answer answer;
	struct err err;
	struct json body;
	uint8_t text[];
};

static enum status handle(void *arg, struct txn *t, struct err *err)
{
	struct call *c = arg;
	struct slow *before = c->op.slow;
	enum status st;

	view_init(&c->op.view, t, span_str("engine/one/"));
	c->op.thread = view_can_write(&c->op.view) ? c->booth->writer : c->booth->loop;
	answer_reset(&c->answer);
	if (c->booth->before != NULL)
		c->booth->before();
	st = c->operation->handle(&c->op);
	if (c->booth->after != NULL)
		c->booth->after();
	if (before != NULL && before != c->op.slow)
		before->free(&before);
	if (st != ST_OK)
		return err_set(err, st, "%s", err_text(&c->answer.err, st));
	return st;
}

/* Once, where the table says or, when it must write, on the writer. */
static enum status round_of(struct call *c)
{
	struct rig *r = c->booth->rig;
	enum status st = ST_NEEDS_WRITER;

	if (c->operation->kind == OP_READ)
		st = rig_read(r, handle, c, &c->err);
	return st == ST_NEEDS_WRITER ? rig_do_err(r, handle, c, &c->err) : st;
}

static void do_work(struct call *c)
{
	void (*meanwhile)(struct booth * b) = c->booth->meanwhile;

	if (c->booth->before != NULL)
		c->booth->before();
	c->op.slow->run(c->op.slow);
	if (c->booth->after != NULL)
		c->booth->after();
	c->booth->meanwhile = NULL;
	if (meanwhile != NULL)
		meanwhile(c->booth);
}

static void read_body(struct call *c, const char *body)
{
	struct err err = {0};

	json_init(&c->body);
	if (body == NULL)
		return;
	memcpy(c->text, body, strlen(body));
	if (json_parse(&c->body, c->text, strlen(body), NULL, &err) != ST_OK)
		fail_msg("%s: %s", body, err.text);
	c->request.data = json_root(&c->body);
}

/* What came of it becomes the booth's. */
static void keep(struct booth *b, struct call *c, enum status st, unsigned slow)
{
	struct err err = {0};

	answer_free(&b->answer);
	b->answer = c->answer;
	b->answer.err = c->err;
	/* As the dialects: what there was no memory to write is no answer. */
	if (st == ST_OK)
		st = builder_status(&b->answer.data);
	b->status = st;
	b->slow = slow;
	json_free(&b->data);
	json_init(&b->data);
	if (st == ST_OK && b->answer.data.n > 0)
		assert_int_equal(
		    json_parse(&b->data, b->answer.data.p, b->answer.data.n, NULL, &err), ST_OK);
}

enum status booth_ask(struct booth *b, enum verb verb, const char *path, const char *body)
{
	const struct mount_facts facts = {.path = span_str("one/")};
	struct call *c = calloc(1, sizeof *c + (body != NULL ? strlen(body) : 0) + 1);
	unsigned slow = 0;
	enum status st;

	assert_non_null(c);
	c->booth = b;
	c->request.verb = verb;
	assert_int_equal(path_parse(span_str(path), &c->request.path, NULL), ST_OK);
	read_body(c, body);
	answer_init(&c->answer);
	c->op = (struct op){.req = &c->request,
	                    .ans = &c->answer,
	                    .mount = &facts,
	                    .self = b->transit,
	                    .random = &random_system,
	                    .now_ns = atomic_load(&b->rig->clock.wall),
	                    .wake_ns = INT64_MAX};
	assert_int_equal(
	    engine_match(&engine_transit, &c->request.path, 0, verb, &c->operation, c->op.arg),
	    ST_OK);
	for (st = round_of(c); st == ST_PENDING; st = round_of(c)) {
		assert_true(slow++ < 4);
		do_work(c);
	}
	if (c->op.slow != NULL)
		c->op.slow->free(&c->op.slow);
	keep(b, c, st, slow);
	json_free(&c->body);
	free(c);
	return b->status;
}

static enum status post(struct booth *b, const char *path, const char *format, va_list list)
    PRINTF_LIKE(3, 0);
static enum status post(struct booth *b, const char *path, const char *format, va_list list)
{
	char *body = NULL;
	enum status st;

	assert_true(vasprintf(&body, format, list) >= 0);
	st = booth_ask(b, VERB_WRITE, path, body);
	free(body);
	return st;
}

enum status booth_post(struct booth *b, const char *path, const char *body, ...)
{
	va_list list;
	enum status st;

	va_start(list, body);
	st = post(b, path, body, list);
	va_end(list);
	return st;
}

void booth_good(struct booth *b, const char *path, const char *body, ...)
{
	va_list list;

	va_start(list, body);
	if (post(b, path, body, list) != ST_OK)
		fail_msg("%s %s: %s", path, body, b->answer.err.text);
	va_end(list);
}

void booth_refused(struct booth *b, const char *why, const char *path, const char *body, ...)
{
	va_list list;

	va_start(list, body);
	if (post(b, path, body, list) != ST_INVALID)
		fail_msg("%s %s: %s, not the caller's mistake", path, body, status_name(b->status));
	va_end(list);
	if (strstr(b->answer.err.text, why) == NULL)
		fail_msg("%s %s: \"%s\" does not say \"%s\"", path, body, b->answer.err.text, why);
}

/* ---- answers ---- */

const char *booth_member(struct booth *b, const struct json_value *v, const char *name)
{
	const struct json_value *m = json_member(v, name);

	if (m == NULL)
		return NULL;
	assert_int_equal(m->type, JSON_STRING);
	builder_reset(&b->shown);
	builder_add(&b->shown, m->text);
	builder_u8(&b->shown, 0);
	assert_int_equal(builder_status(&b->shown), ST_OK);
	return (const char *)b->shown.p;
}

const char *booth_text(struct booth *b, const char *name)
{
	const char *text = booth_member(b, json_root(&b->data), name);

	if (text == NULL)
		fail_msg("no %s in the answer", name);
	return text;
}

void booth_keep(struct booth *b, const char *name, char *ret, size_t cap)
{
	const char *text = booth_text(b, name);

	assert_true(strlen(text) < cap);
	memcpy(ret, text, strlen(text) + 1);
}

bool booth_true(struct booth *b, const char *name)
{
	const struct json_value *v = json_member(json_root(&b->data), name);

	assert_true(v != NULL && (v->type == JSON_TRUE || v->type == JSON_FALSE));
	return v->type == JSON_TRUE;
}

static const struct json_value *results(struct booth *b)
{
	const struct json_value *v = json_member(json_root(&b->data), "batch_results");

	assert_true(v != NULL && v->type == JSON_ARRAY);
	return v;
}

size_t booth_items(struct booth *b)
{
	return results(b)->count;
}

const struct json_value *booth_item(struct booth *b, size_t i)
{
	const struct json_value *list = results(b), *v = json_first(list);

	assert_true(i < list->count);
	while (i-- > 0)
		v = json_next(v);
	return v;
}

void booth_last_used(struct booth *b, const char *key, const char *version, char ret[static 16])
{
	char path[160];
	const struct json_value *v;

	(void)snprintf(path, sizeof path, "keys/%s/versions", key);
	assert_int_equal(booth_ask(b, VERB_READ, path, NULL), ST_OK);
	v = json_member(json_member(json_root(&b->data), "versions"), version);
	assert_non_null(v);
	v = json_member(v, "last_used");
	assert_non_null(v);
	assert_true(v->text.n < 16);
	memset(ret, 0, 16);
	if (v->text.n > 0)
		memcpy(ret, v->text.p, v->text.n);
}
