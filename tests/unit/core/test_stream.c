/*
 * Streams through the gate, with an engine made up here: who may begin one, what a visit sees, what ends it, what the writer is asked for on the way, and
 * what the audit has of it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "lib/house.h"
#include "lib/shout.h"

/* ---- one stream ---- */

struct talk {
	struct gate_call call; /* first member */
	struct house *house;
	struct task start;
	char *path, *query, *token;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	unsigned begun, done, resumed, resumes_seen;
	uint8_t in[4096];
	size_t n;
	enum stream_end end;
	size_t out_full;
	enum stream_step step;
	struct builder out; /* all that was answered; ends in NUL for tests */
};

static void tell(struct talk *t, unsigned *what)
{
	pthread_mutex_lock(&t->lock);
	(*what)++;
	pthread_cond_broadcast(&t->cond);
	pthread_mutex_unlock(&t->lock);
}

static void on_done(struct gate_call *call)
{
	tell((struct talk *)(void *)call, &((struct talk *)(void *)call)->done);
}

static void on_begun(struct gate_call *call)
{
	tell((struct talk *)(void *)call, &((struct talk *)(void *)call)->begun);
}

static void on_resumed(struct gate_call *call)
{
	tell((struct talk *)(void *)call, &((struct talk *)(void *)call)->resumed);
}

static void start(struct task *task)
{
	struct talk *t = (struct talk *)(void *)((char *)task - offsetof(struct talk, start));

	gate_submit(t->house->gate, &t->call);
}

/* Sent, and not waited for.  path: perhaps with "?name=value". */
static struct talk *talk_send(struct house *h, const char *path, const char *token)
{
	struct talk *t = calloc(1, sizeof *t);
	struct request *r = &t->call.req;

	assert_non_null(t);
	t->house = h;
	t->path = strdup(path);
	t->token = strdup(token);
	t->query = strchr(t->path, '?');
	pthread_mutex_init(&t->lock, NULL);
	pthread_cond_init(&t->cond, NULL);
	if (t->query != NULL) {
		char *eq = strchr(t->query, '=');

		*t->query = *eq = 0;
		r->query[0].name = span_str(t->query + 1);
		r->query[0].value = span_str(eq + 1);
		r->n_query = 1;
	}
	assert_int_equal(path_parse(span_str(t->path), &r->path, NULL), ST_OK);
	r->verb = VERB_WRITE;
	r->token = span_str(t->token);
	r->remote = span_str("127.0.0.1:5555");
	answer_init(&t->call.ans);
	t->call.loop = &h->loop.loop;
	t->call.body = GATE_BODY_STREAM;
	t->call.done = on_done;
	t->call.begun = on_begun;
	t->call.resumed = on_resumed;
	t->out_full = 10000;
	t->start.run = start;
	h->loop.loop.post(&h->loop.loop, &t->start);
	return t;
}

/* ST_OK: it has begun. */
static enum status talk_wait(struct talk *t)
{
	pthread_mutex_lock(&t->lock);
	while (t->begun + t->done == 0)
		pthread_cond_wait(&t->cond, &t->lock);
	pthread_mutex_unlock(&t->lock);
	assert_int_equal(t->begun + t->done, 1);
	return t->begun != 0 ? ST_OK : t->call.ans.status;
}

static void talk_free(struct talk **at)
{
	struct talk *t = *at;

	*at = NULL;
	house_flush(t->house);
	assert_null(t->call.stream);
	gate_forget(&t->call);
	answer_free(&t->call.ans);
	builder_free(&t->out);
	pthread_mutex_destroy(&t->lock);
	pthread_cond_destroy(&t->cond);
	free(t->path);
	free(t->token);
	free(t);
}

static struct talk *talk_open(struct house *h, const char *path, const char *token)
{
	struct talk *t = talk_send(h, path, token);

	assert_int_equal(talk_wait(t), ST_OK);
	return t;
}

/* That it is refused, and how. */
static void talk_refused(struct house *h, const char *path, const char *token, enum status want,
                         const char *text)
{
	struct talk *t = talk_send(h, path, token);

	assert_int_equal(talk_wait(t), want);
	if (text != NULL)
		assert_string_equal(err_text(&t->call.ans.err, want), text);
	talk_free(&t);
}

static void visit_on_loop(void *arg)
{
	struct talk *t = arg;
	struct builder out = {0};
	struct stream_visit v = {
	    .in = t->in, .n = t->n, .end = t->end, .out = &out, .out_full = t->out_full};

	builder_str(&out, "before"); /* what http keeps there */
	v.out_full += out.n;
	t->step = gate_stream(&t->call, &v);
	assert_true(v.used <= t->n && memcmp(out.p, "before", 6) == 0);
	memmove(t->in, t->in + v.used, t->n - v.used);
	t->n -= v.used;
	builder_add(&t->out, span_of(out.p + 6, out.n - 6));
	builder_free(&out);
}

static enum stream_step visit(struct talk *t)
{
	house_on_loop(t->house, visit_on_loop, t);
	return t->step;
}

static void wait_resumed(struct talk *t)
{
	pthread_mutex_lock(&t->lock);
	while (t->resumed == t->resumes_seen)
		pthread_cond_wait(&t->cond, &t->lock);
	t->resumes_seen++;
	pthread_mutex_unlock(&t->lock);
	assert_int_equal(t->resumed, t->resumes_seen);
}

static void offer(struct talk *t, const char *text)
{
	assert_true(t->n + strlen(text) <= sizeof t->in);
	memcpy(t->in + t->n, text, strlen(text));
	t->n += strlen(text);
}

/* More of the body, and visits until it wants more or is over. */
static enum stream_step say(struct talk *t, const char *text)
{
	offer(t, text);
	while (visit(t) == STREAM_FULL || t->step == STREAM_PAUSE)
		if (t->step == STREAM_PAUSE)
			wait_resumed(t);
	return t->step;
}

static enum stream_step say_last(struct talk *t, const char *text)
{
	t->end = STREAM_LAST;
	return say(t, text);
}

/* All answers so far, as a string. */
static const char *heard(struct talk *t)
{
	builder_u8(&t->out, 0);
	t->out.n--;
	return (const char *)t->out.p;
}

static void abort_on_loop(void *arg)
{
	gate_stream_abort(&((struct talk *)arg)->call);
}

static void hang_up(struct talk *t)
{
	house_on_loop(t->house, abort_on_loop, t);
}

/* ---- a house ---- */

static char audit_file[] = "/tmp/keyturn-test-stream-XXXXXX";

static struct house *open_house(void)
{
	struct house *h;

	shout_reset();
	assert_int_equal(truncate(audit_file, 0), 0);
	h = house_with(&engine_shout, NULL, audit_file);
	house_open(h);
	assert_int_equal(house_ask(h, VERB_WRITE, "sys/mounts/t", h->root, "{\"type\":\"shout\"}"),
	                 ST_OK);
	return h;
}

/* Each that was begun with has ended. */
static void close_house(struct house **h)
{
	house_free(h);
	assert_int_equal(shout.ended, shout.begun);
	assert_int_equal(shout.dirt, 0);
}

/* A token that may shout. */
static void voice(struct house *h, const char *more, char token[static 64])
{
	char body[128];

	house_policy(h, "voice", "t/*", "create\\\",\\\"update");
	(void)snprintf(body, sizeof body, "{\"policies\":[\"voice\"]%s}", more);
	house_token(h, body, token);
}

/* Lines of the audit that hold all of these. */
static unsigned audited(const char *a, const char *b, const char *c)
{
	FILE *f = fopen(audit_file, "r");
	char *line = NULL;
	size_t cap = 0;
	unsigned n = 0;

	assert_non_null(f);
	while (getline(&line, &cap, f) > 0)
		n += strstr(line, a) != NULL && strstr(line, b) != NULL && strstr(line, c) != NULL;
	free(line);
	(void)fclose(f);
	return n;
}

static enum status get(struct house *h, const char *path)
{
	return house_ask(h, VERB_READ, path, h->root, NULL);
}

static void seal(struct house *h)
{
	assert_int_equal(house_ask(h, VERB_WRITE, "sys/seal", h->root, NULL), ST_OK);
}

static void unseal(struct house *h)
{
	char body[256];

	(void)snprintf(body, sizeof body, "{\"key\":\"%s\"}", h->share);
	assert_int_equal(house_ask(h, VERB_WRITE, "sys/unseal", "", body), ST_OK);
}

static void revoke_token(struct house *h, const char *token)
{
	char body[128];

	(void)snprintf(body, sizeof body, "{\"token\":\"%s\"}", token);
	assert_int_equal(house_ask(h, VERB_WRITE, "auth/token/revoke", h->root, body), ST_OK);
}

/* ---- cases ---- */

static void a_line_for_a_line(void **state)
{
	struct house *h = open_house();
	struct talk *t = talk_open(h, "t/shout-stream/a", h->root);

	(void)state;
	assert_string_equal(gate_stream_kind(&t->call)->content_type, "application/x-ndjson");
	assert_int_equal(say(t, "one\ntw"), STREAM_MORE);
	assert_string_equal(heard(t), "ONE\n");
	assert_int_equal(say(t, "o\r\n"), STREAM_MORE);
	assert_int_equal(say(t, "bad\n"), STREAM_MORE);
	assert_int_equal(say_last(t, "three"), STREAM_OVER);
	assert_string_equal(heard(t), "ONE\nTWO\n{\"error\":\"a bad line\"}\nTHREE\n");
	talk_free(&t);
	close_house(&h);
}

static void an_empty_body_is_an_empty_answer(void **state)
{
	struct house *h = open_house();
	struct talk *t = talk_open(h, "t/shout-stream/a", h->root);

	(void)state;
	assert_int_equal(say_last(t, ""), STREAM_OVER);
	assert_string_equal(heard(t), "");
	talk_free(&t);
	close_house(&h);
}

static void both_ends_are_audited(void **state)
{
	struct house *h = open_house();
	struct talk *t = talk_open(h, "t/shout-stream/a", h->root);

	(void)state;
	assert_int_equal(audited("\"type\":\"request\"", "shout-stream/a", ""), 1);
	assert_int_equal(audited("\"type\":\"response\"", "shout-stream/a", ""), 0);
	assert_int_equal(say(t, "one\nbad\n"), STREAM_MORE);
	assert_int_equal(say_last(t, "three\n"), STREAM_OVER);
	assert_int_equal(audited("\"type\":\"response\"", "shout-stream/a",
	                         "\"data\":{\"items\":3,\"failed\":1,\"bytes_in\":14,"
	                         "\"bytes_out\":33}"),
	                 1);
	assert_int_equal(audited("\"type\":\"response\"", "shout-stream/a", "\"error\":"), 0);
	assert_int_equal(
	    audited("shout-stream/a", "\"client_token\":\"hmac-sha256:", "\"mount_point\":\"t/\""),
	    2);
	talk_free(&t);
	close_house(&h);
}

static void who_may_not_is_refused(void **state)
{
	struct house *h = open_house();
	char token[64];

	(void)state;
	house_policy(h, "reader", "t/*", "read");
	house_token(h, "{\"policies\":[\"reader\"]}", token);
	talk_refused(h, "t/shout-stream/a", token, ST_DENIED, "permission denied");
	talk_refused(h, "t/shout-stream/a", "", ST_DENIED, "permission denied");
	talk_refused(h, "t/shout-stream/a", "s.none", ST_DENIED, "permission denied");
	talk_refused(h, "t/shout-stream/missing", h->root, ST_NOT_FOUND, "no such voice");
	talk_refused(h, "t/none", h->root, ST_NO_ROUTE, NULL);
	talk_refused(h, "u/shout-stream/a", h->root, ST_NO_ROUTE, NULL);
	assert_int_equal(shout.begun, 1);
	assert_int_equal(
	    audited("\"type\":\"response\"", "shout-stream/a", "\"error\":\"permission denied\""),
	    3);
	close_house(&h);
}

/* A rule that speaks of parameters cannot be kept line by line: it must not be passed over. */
static void a_rule_for_parameters_forbids_streams(void **state)
{
	struct house *h = open_house();
	char token[64];

	(void)state;
	assert_int_equal(house_ask(h, VERB_WRITE, "sys/policies/acl/bound", h->root,
	                           "{\"policy\":\"{\\\"path\\\":{\\\"t/*\\\":{\\\"capabilities\\\":"
	                           "[\\\"update\\\"],\\\"allowed_parameters\\\":{\\\"*\\\":[]},"
	                           "\\\"denied_parameters\\\":{\\\"context\\\":[]}}}}\"}"),
	                 ST_OK);
	house_token(h, "{\"policies\":[\"bound\"]}", token);
	talk_refused(h, "t/shout-stream/a", token, ST_DENIED, NULL);
	assert_int_equal(shout.begun, 0);
	close_house(&h);
}

/* A body that came whole is none for a stream, and the other way round. */
static void body_and_operation_go_together(void **state)
{
	struct house *h = open_house();

	(void)state;
	assert_int_equal(house_ask(h, VERB_WRITE, "t/shout-stream/a", h->root, "{}"), ST_BUSY);
	assert_string_equal(h->text, "the body of this call is a stream");
	talk_refused(h, "sys/rotate", h->root, ST_BUSY,
	             "what is mounted here has just changed: try again");
	assert_int_equal(shout.begun, 0);
	close_house(&h);
}

struct question {
	struct gate_call call;
	struct house *house;
	bool answer;
};

static void ask_on_loop(void *arg)
{
	struct question *q = arg;

	q->answer = gate_streams(q->house->gate, &q->call);
}

static bool streams(struct house *h, const char *path, enum verb verb)
{
	struct question q = {.house = h, .call = {.loop = &h->loop.loop, .req.verb = verb}};

	assert_int_equal(path_parse(span_str(path), &q.call.req.path, NULL), ST_OK);
	house_on_loop(h, ask_on_loop, &q);
	return q.answer;
}

static void what_a_stream_is_can_be_asked(void **state)
{
	struct house *h = open_house();

	(void)state;
	assert_true(streams(h, "t/shout-stream/a", VERB_WRITE));
	assert_true(streams(h, "t/shout-stream/a/", VERB_WRITE));
	assert_false(streams(h, "t/shout-stream/a", VERB_READ));
	assert_false(streams(h, "t/shout-stream", VERB_WRITE));
	assert_false(streams(h, "u/shout-stream/a", VERB_WRITE));
	assert_false(streams(h, "sys/rotate", VERB_WRITE));
	seal(h);
	/* nobody knows what is mounted where: it might be one, so that a body of any length is refused at once */
	assert_true(streams(h, "t/shout-stream/a", VERB_WRITE));
	assert_true(streams(h, "u/v/w/shout-stream/a", VERB_WRITE));
	assert_false(streams(h, "shout-stream/a", VERB_WRITE));
	assert_false(streams(h, "t/shout-stream/a/b", VERB_WRITE));
	assert_false(streams(h, "sys/unseal", VERB_WRITE));
	talk_refused(h, "t/shout-stream/a", h->root, ST_SEALED, "Vault is sealed");
	close_house(&h);
}

static void a_long_item_ends_the_stream(void **state)
{
	static const char longest[] = "0123456789012345678901234567890123456789";
	struct house *h = open_house();
	struct talk *t = talk_open(h, "t/shout-stream/a", h->root);

	(void)state;
	assert_int_equal(strlen(longest), SHOUT_ITEM_MAX);
	assert_int_equal(say(t, longest), STREAM_MORE);
	assert_int_equal(say(t, "\r"), STREAM_MORE);
	assert_int_equal(say(t, "\n"), STREAM_MORE);
	assert_int_equal(say(t, longest), STREAM_MORE);
	assert_int_equal(say(t, "x"), STREAM_OVER);
	assert_non_null(
	    strstr(heard(t), "{\"stream_error\":\"a line is longer than 40 bytes\"}\n"));
	talk_free(&t);
	t = talk_open(h, "t/shout-stream/a", h->root);
	offer(t, "a\n");
	offer(t, longest);
	assert_int_equal(say(t, "x\nb\n"), STREAM_OVER);
	assert_string_equal(heard(t), "A\n{\"stream_error\":\"a line is longer than 40 bytes\"}\n");
	assert_int_equal(audited("\"type\":\"response\"", "\"items\":1,",
	                         "\"error\":\"a line is longer than 40 bytes\""),
	                 2);
	talk_free(&t);
	/* also when the operation does not look */
	t = talk_open(h, "t/deaf-stream", h->root);
	assert_int_equal(say(t, longest), STREAM_MORE);
	assert_int_equal(say(t, "x"), STREAM_MORE);
	assert_int_equal(say(t, "x"), STREAM_OVER);
	assert_string_equal(heard(t), "{\"stream_error\":\"an item is longer than 40 bytes\"}\n");
	talk_free(&t);
	close_house(&h);
}

static void a_full_answer_is_continued(void **state)
{
	struct house *h = open_house();
	struct talk *t = talk_open(h, "t/shout-stream/a", h->root);

	(void)state;
	t->out_full = 1;
	offer(t, "a\nb\nc");
	t->end = STREAM_LAST;
	assert_int_equal(visit(t), STREAM_FULL);
	assert_string_equal(heard(t), "A\n");
	assert_int_equal(visit(t), STREAM_FULL);
	assert_string_equal(heard(t), "A\nB\n");
	assert_int_equal(visit(t), STREAM_OVER);
	assert_string_equal(heard(t), "A\nB\nC\n");
	talk_free(&t);
	close_house(&h);
}

static void a_failure_is_the_last_line(void **state)
{
	struct house *h = open_house();
	struct talk *t = talk_open(h, "t/shout-stream/a", h->root);

	(void)state;
	assert_int_equal(say(t, "a\nstop\nb\n"), STREAM_OVER);
	assert_string_equal(heard(t), "A\n{\"stream_error\":\"stopped as told\"}\n");
	assert_int_equal(audited("\"type\":\"response\"", "\"items\":1,\"failed\":0",
	                         "\"error\":\"stopped as told\""),
	                 1);
	talk_free(&t);
	close_house(&h);
}

/* ---- rights that change on the way ---- */

static void a_revoked_token_ends_its_streams(void **state)
{
	struct house *h = open_house();
	char token[64];
	struct talk *t;

	(void)state;
	voice(h, "", token);
	t = talk_open(h, "t/shout-stream/a", token);
	assert_int_equal(say(t, "a\n"), STREAM_MORE);
	revoke_token(h, token);
	assert_int_equal(say(t, "b\n"), STREAM_OVER);
	assert_string_equal(heard(t), "A\n{\"stream_error\":\"permission denied\"}\n");
	assert_int_equal(
	    audited("\"type\":\"response\"", "\"items\":1,", "\"error\":\"permission denied\""), 1);
	talk_free(&t);
	close_house(&h);
}

static void an_expired_token_ends_its_streams(void **state)
{
	struct house *h = open_house();
	char token[64];
	struct talk *t;

	(void)state;
	voice(h, ",\"ttl\":\"60s\"", token);
	t = talk_open(h, "t/shout-stream/a", token);
	clock_manual_advance(&h->clock, 59 * NS_PER_S); /* and nothing is committed */
	assert_int_equal(say(t, "a\n"), STREAM_MORE);
	clock_manual_advance(&h->clock, 2 * NS_PER_S);
	assert_int_equal(say(t, "b\n"), STREAM_OVER);
	assert_string_equal(heard(t), "A\n{\"stream_error\":\"permission denied\"}\n");
	talk_free(&t);
	close_house(&h);
}

static void a_changed_policy_ends_streams(void **state)
{
	struct house *h = open_house();
	char token[64];
	struct talk *t;

	(void)state;
	voice(h, "", token);
	t = talk_open(h, "t/shout-stream/a", token);
	house_policy(h, "other", "x/*", "read");
	assert_int_equal(say(t, "a\n"), STREAM_MORE);
	house_policy(h, "voice", "t/*", "read");
	assert_int_equal(say_last(t, "b\n"), STREAM_OVER);
	assert_string_equal(heard(t), "A\n{\"stream_error\":\"permission denied\"}\n");
	talk_free(&t);
	close_house(&h);
}

static void another_mount_in_its_place_ends_streams(void **state)
{
	struct house *h = open_house();
	struct talk *gone = talk_open(h, "t/shout-stream/a", h->root);
	struct talk *t = talk_open(h, "t/shout-stream/a", h->root);

	(void)state;
	assert_int_equal(house_ask(h, VERB_DELETE, "sys/mounts/t", h->root, NULL), ST_OK);
	assert_int_equal(say(gone, "a\n"), STREAM_OVER);
	assert_non_null(strstr(heard(gone), "{\"stream_error\":\"no handler for route"));
	house_settle(h);
	assert_int_equal(house_ask(h, VERB_WRITE, "sys/mounts/t", h->root, "{\"type\":\"shout\"}"),
	                 ST_OK);
	assert_int_equal(say(t, "a\n"), STREAM_OVER);
	assert_string_equal(heard(t),
	                    "{\"stream_error\":\"what is mounted here has changed since the "
	                    "stream began\"}\n");
	talk_free(&gone);
	talk_free(&t);
	close_house(&h);
}

/* ---- limited uses ---- */

static void a_stream_costs_one_use(void **state)
{
	struct house *h = open_house();
	char token[64];
	struct talk *t;

	(void)state;
	voice(h, ",\"num_uses\":3", token);
	t = talk_open(h, "t/shout-stream/a", token);
	for (int i = 0; i < 10; i++)
		assert_int_equal(say(t, "a\n"), STREAM_MORE);
	assert_int_equal(say_last(t, ""), STREAM_OVER);
	talk_free(&t);
	/* what is refused costs one as well */
	talk_refused(h, "t/shout-stream/missing", token, ST_NOT_FOUND, NULL);
	t = talk_open(h, "t/shout-stream/a", token);
	talk_refused(h, "t/shout-stream/a", token, ST_DENIED, "permission denied");
	assert_int_equal(say_last(t, "b\n"), STREAM_OVER);
	assert_string_equal(heard(t), "B\n");
	talk_free(&t);
	talk_refused(h, "t/shout-stream/a", token, ST_DENIED, "permission denied");
	close_house(&h);
}

/* The token has no use left, but lives as long as the stream that took the last one. */
static void the_last_use_lasts_as_long_as_its_stream(void **state)
{
	struct house *h = open_house();
	char token[64], accessor[64], body[128];
	struct talk *t;

	(void)state;
	voice(h, ",\"num_uses\":1", token);
	house_member(&h->auth, "accessor", accessor, sizeof accessor);
	(void)snprintf(body, sizeof body, "{\"accessor\":\"%s\"}", accessor);
	t = talk_open(h, "t/shout-stream/a", token);
	assert_int_equal(say(t, "a\n"), STREAM_MORE);
	assert_int_equal(house_ask(h, VERB_READ, "auth/token/lookup-self", token, NULL), ST_DENIED);
	house_settle(h);
	assert_int_equal(say(t, "b\n"), STREAM_MORE);
	assert_int_equal(house_ask(h, VERB_WRITE, "auth/token/lookup-accessor", h->root, body),
	                 ST_OK);
	assert_int_equal(say_last(t, "c\n"), STREAM_OVER);
	assert_string_equal(heard(t), "A\nB\nC\n");
	talk_free(&t);
	house_settle(h);
	assert_int_not_equal(house_ask(h, VERB_WRITE, "auth/token/lookup-accessor", h->root, body),
	                     ST_OK);
	close_house(&h);
}

static void the_last_use_ends_with_an_abort_too(void **state)
{
	struct house *h = open_house();
	char token[64], accessor[64], body[128];
	struct talk *t;

	(void)state;
	voice(h, ",\"num_uses\":1", token);
	house_member(&h->auth, "accessor", accessor, sizeof accessor);
	(void)snprintf(body, sizeof body, "{\"accessor\":\"%s\"}", accessor);
	t = talk_open(h, "t/shout-stream/a", token);
	hang_up(t);
	talk_free(&t);
	house_settle(h);
	assert_int_not_equal(house_ask(h, VERB_WRITE, "auth/token/lookup-accessor", h->root, body),
	                     ST_OK);
	close_house(&h);
}

static void a_failed_commit_opens_nothing_and_charges_nobody(void **state)
{
	struct house *h = open_house();
	char token[64];
	struct talk *t;

	(void)state;
	voice(h, ",\"num_uses\":1", token);
	house_fail_commit(h, FAULTSTORE_NOT_DONE);
	talk_refused(h, "t/shout-stream/a", token, ST_IO, NULL);
	t = talk_open(h, "t/shout-stream/a", token);
	assert_int_equal(say_last(t, "a\n"), STREAM_OVER);
	assert_string_equal(heard(t), "A\n");
	talk_free(&t);
	close_house(&h);
}

/* ---- the writer ---- */

static void a_stream_may_be_opened_on_the_writer(void **state)
{
	struct house *h = open_house();
	struct talk *t = talk_open(h, "t/shout-stream/writer", h->root);

	(void)state;
	assert_int_equal(get(h, "t/get/opened"), ST_OK);
	assert_int_equal(say_last(t, "a\n"), STREAM_OVER);
	assert_string_equal(heard(t), "A\n");
	talk_free(&t);
	close_house(&h);
}

static void more_is_reserved_on_the_writer(void **state)
{
	struct house *h = open_house();
	struct talk *t = talk_open(h, "t/shout-stream/a?allow=1", h->root);

	(void)state;
	offer(t, "a\nb\nc\nd\n");
	assert_int_equal(visit(t), STREAM_PAUSE);
	assert_string_equal(heard(t), "A\n");
	wait_resumed(t);
	assert_int_equal(get(h, "t/get/reserved"), ST_OK);
	assert_string_equal((char *)h->data.p, "1");
	assert_int_equal(visit(t), STREAM_PAUSE);
	assert_string_equal(heard(t), "A\nB\nC\n");
	wait_resumed(t);
	assert_int_equal(visit(t), STREAM_MORE);
	assert_string_equal(heard(t), "A\nB\nC\nD\n");
	assert_int_equal(say_last(t, "e"), STREAM_OVER);
	assert_int_equal(audited("\"type\":\"response\"", "shout-stream/a", "\"items\":5,"), 1);
	talk_free(&t);
	close_house(&h);
}

static void what_cannot_be_reserved_ends_the_stream(void **state)
{
	struct house *h = open_house();
	struct talk *t = talk_open(h, "t/shout-stream/a?allow=1", h->root);

	(void)state;
	shout.reserve_answer = ST_LIMIT;
	assert_int_equal(say(t, "a\nb\n"), STREAM_OVER);
	assert_string_equal(heard(t), "A\n{\"stream_error\":\"nothing is left\"}\n");
	assert_int_equal(get(h, "t/get/reserved"), ST_NOT_FOUND); /* undone */
	talk_free(&t);
	shout.reserve_answer = ST_OK;
	t = talk_open(h, "t/shout-stream/a?allow=0", h->root);
	house_fail_commit(h, FAULTSTORE_NOT_DONE);
	assert_int_equal(say(t, "a\n"), STREAM_OVER);
	assert_int_equal(strncmp(heard(t), "{\"stream_error\":\"", 17), 0);
	talk_free(&t);
	close_house(&h);
}

static void a_reservation_is_authorized_too(void **state)
{
	struct house *h = open_house();
	char token[64], body[128];
	struct house_call *c;
	struct talk *t;

	(void)state;
	voice(h, "", token);
	(void)snprintf(body, sizeof body, "{\"token\":\"%s\"}", token);
	t = talk_open(h, "t/shout-stream/a?allow=1", token);
	house_hold(h);
	c = house_send(h, VERB_WRITE, "auth/token/revoke", h->root, body);
	house_flush(h);
	offer(t, "a\nb\n");
	assert_int_equal(visit(t), STREAM_PAUSE);
	house_release(h);
	assert_int_equal(house_wait(h, &c), ST_OK);
	wait_resumed(t);
	assert_int_equal(visit(t), STREAM_OVER);
	assert_string_equal(heard(t), "A\n{\"stream_error\":\"permission denied\"}\n");
	assert_int_equal(get(h, "t/get/reserved"), ST_NOT_FOUND);
	talk_free(&t);
	close_house(&h);
}

/* ---- slow work ---- */

static void slow_work_is_done_on_the_way(void **state)
{
	struct house *h = open_house();
	struct talk *t = talk_open(h, "t/shout-stream/a", h->root);

	(void)state;
	offer(t, "a\nwhisper\nb\n");
	assert_int_equal(visit(t), STREAM_PAUSE);
	assert_string_equal(heard(t), "A\n");
	wait_resumed(t);
	assert_int_equal(visit(t), STREAM_MORE);
	assert_string_equal(heard(t), "A\nWHISPER\nB\n");
	/* more of it than one request may have */
	for (int i = 0; i < 3 * OP_ROUNDS_MAX; i++)
		assert_int_equal(say(t, "whisper\nwhisper\n"), STREAM_MORE);
	assert_int_equal(say_last(t, "whisper"), STREAM_OVER);
	talk_free(&t);
	assert_int_equal(shout.whispers_run, 2 + 6 * OP_ROUNDS_MAX);
	close_house(&h);
	assert_int_equal(shout.whispers_freed, shout.whispers_made);
}

static void slow_work_and_the_end(void **state)
{
	struct house *h = open_house();
	struct talk *t = talk_open(h, "t/shout-stream/a", h->root);

	(void)state;
	offer(t, "whisper\n");
	assert_int_equal(visit(t), STREAM_PAUSE);
	wait_resumed(t);
	hang_up(t); /* with the work unused */
	talk_free(&t);
	assert_int_equal(shout.whispers_freed, 1);
	t = talk_open(h, "t/shout-stream/a", h->root);
	offer(t, "whisper\n");
	assert_int_equal(visit(t), STREAM_PAUSE);
	seal(h); /* waits for the work, or drops it */
	assert_int_equal(shout.whispers_freed, 2);
	wait_resumed(t);
	assert_int_equal(visit(t), STREAM_OVER);
	assert_string_equal(heard(t), "{\"stream_error\":\"Vault is sealed\"}\n");
	talk_free(&t);
	close_house(&h);
}

/* ---- sealing ---- */

static void sealing_ends_streams(void **state)
{
	struct house *h = open_house();
	struct talk *t = talk_open(h, "t/shout-stream/a", h->root);

	(void)state;
	assert_int_equal(say(t, "a\n"), STREAM_MORE);
	seal(h); /* waits for nobody */
	assert_int_equal(say(t, "b\n"), STREAM_OVER);
	assert_string_equal(heard(t), "A\n{\"stream_error\":\"Vault is sealed\"}\n");
	/* there is no key for the strings, but for the numbers none is needed */
	assert_int_equal(
	    audited("\"type\":\"response\"", "\"items\":1,", "\"error\":\"Vault is sealed\""), 1);
	talk_free(&t);
	close_house(&h);
}

static void a_seal_that_is_over_has_ended_streams_all_the_same(void **state)
{
	struct house *h = open_house();
	struct talk *t = talk_open(h, "t/shout-stream/a", h->root);

	(void)state;
	seal(h);
	unseal(h);
	assert_int_equal(say(t, "b\n"), STREAM_OVER);
	assert_string_equal(heard(t), "{\"stream_error\":\"Vault is sealed\"}\n");
	talk_free(&t);
	t = talk_open(h, "t/shout-stream/a", h->root);
	assert_int_equal(say_last(t, "b\n"), STREAM_OVER);
	assert_string_equal(heard(t), "B\n");
	talk_free(&t);
	close_house(&h);
}

struct late {
	struct house *house;
	struct talk *t;
};

/* On the writer's thread: what the stream asks for stands behind this, when the store is closed. */
static enum status seal_before_it(void *arg, struct txn *txn, struct err *err)
{
	struct late *l = arg;

	(void)txn;
	(void)err;
	assert_int_equal(visit(l->t), STREAM_PAUSE);
	seal_close(l->house->seal);
	return ST_OK;
}

static void sealing_while_a_reservation_waits(void **state)
{
	struct house *h = open_house();
	struct late l = {.house = h, .t = talk_open(h, "t/shout-stream/a?allow=0", h->root)};

	(void)state;
	offer(l.t, "a\n");
	assert_int_equal(house_control(h, seal_before_it, &l), ST_OK);
	wait_resumed(l.t);
	assert_int_equal(visit(l.t), STREAM_OVER);
	assert_string_equal(heard(l.t), "{\"stream_error\":\"Vault is sealed\"}\n");
	talk_free(&l.t);
	close_house(&h);
}

static void an_unknown_outcome_ends_streams_or_not_but_cleanly(void **state)
{
	struct house *h = open_house();
	struct talk *t = talk_open(h, "t/shout-stream/a?allow=0", h->root);

	(void)state;
	house_fail_commit(h, FAULTSTORE_UNKNOWN_BUT_DONE);
	assert_int_equal(say(t, "a\n"), STREAM_MORE);
	assert_string_equal(heard(t), "A\n");
	assert_int_equal(get(h, "t/get/reserved"), ST_OK);
	assert_int_equal(say_last(t, "b\n"), STREAM_OVER);
	assert_string_equal(heard(t), "A\nB\n");
	talk_free(&t);
	close_house(&h);
}

/* ---- clients that go, devices that fail ---- */

static void an_abort_is_audited(void **state)
{
	struct house *h = open_house();
	struct talk *t = talk_open(h, "t/shout-stream/a", h->root);

	(void)state;
	assert_int_equal(say(t, "a\nbad\nb"), STREAM_MORE);
	hang_up(t);
	assert_int_equal(audited("\"type\":\"response\"",
	                         "\"items\":2,\"failed\":1,\"bytes_in\":6,",
	                         "\"error\":\"the connection ended before the stream did\""),
	                 1);
	talk_free(&t);
	t = talk_open(h, "t/shout-stream/a", h->root);
	seal(h);
	hang_up(t);
	assert_int_equal(audited("\"type\":\"response\"", "\"items\":0,",
	                         "\"error\":\"the connection ended before the stream did\""),
	                 1);
	talk_free(&t);
	close_house(&h);
}

/* From here on the audit's file cannot grow. */
static void stop_audit(struct rlimit *before)
{
	struct rlimit r;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, before), 0);
	r = *before;
	r.rlim_cur = 1;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &r), 0);
}

static void an_end_that_cannot_be_audited_is_told(void **state)
{
	struct house *h = open_house();
	struct talk *t = talk_open(h, "t/shout-stream/a", h->root);
	struct talk *lost = talk_open(h, "t/shout-stream/a", h->root);
	struct rlimit before;

	(void)state;
	stop_audit(&before);
	assert_int_equal(say_last(t, "a\n"), STREAM_OVER);
	hang_up(lost);
	talk_refused(h, "t/shout-stream/a", h->root, ST_IO, NULL);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_string_equal(
	    heard(t), "A\n{\"stream_error\":\"the end of the stream could not be audited\"}\n");
	talk_free(&t);
	talk_free(&lost);
	assert_int_equal(shout.begun, 2);
	close_house(&h);
}

/* The figure of this name in sys/metrics. */
static unsigned figure(struct house *h, const char *name)
{
	char line[80];
	const char *at;

	assert_int_equal(house_ask(h, VERB_READ, "sys/metrics?format=prometheus", h->root, NULL),
	                 ST_OK);
	(void)snprintf(line, sizeof line, "\n%s ", name);
	at = strstr((const char *)h->data.p, line);
	assert_non_null(at);
	return (unsigned)strtoul(at + strlen(line), NULL, 10);
}

static void streams_are_counted(void **state)
{
	struct house *h = open_house();
	struct talk *t = talk_open(h, "t/shout-stream/a", h->root);

	(void)state;
	metrics_add(h->metrics, gate_metrics, h->gate);
	assert_int_equal(say(t, "a\nbad\n"), STREAM_MORE);
	assert_int_equal(figure(h, "keyturn_streams"), 1);
	assert_int_equal(figure(h, "keyturn_stream_items_total"), 2);
	assert_int_equal(figure(h, "keyturn_stream_items_failed_total"), 1);
	assert_int_equal(say_last(t, "b"), STREAM_OVER);
	assert_int_equal(figure(h, "keyturn_streams"), 0);
	assert_int_equal(figure(h, "keyturn_streams_total"), 1);
	assert_int_equal(figure(h, "keyturn_stream_items_total"), 3);
	talk_free(&t);
	close_house(&h);
}

static int setup(void **state)
{
	int fd = mkstemp(audit_file);

	(void)signal(SIGXFSZ, SIG_IGN);
	if (fd < 0)
		return -1;
	close(fd);
	return house_process(state);
}

static int teardown(void **state)
{
	(void)state;
	return unlink(audit_file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_line_for_a_line),
	    cmocka_unit_test(an_empty_body_is_an_empty_answer),
	    cmocka_unit_test(both_ends_are_audited),
	    cmocka_unit_test(who_may_not_is_refused),
	    cmocka_unit_test(a_rule_for_parameters_forbids_streams),
	    cmocka_unit_test(body_and_operation_go_together),
	    cmocka_unit_test(what_a_stream_is_can_be_asked),
	    cmocka_unit_test(a_long_item_ends_the_stream),
	    cmocka_unit_test(a_full_answer_is_continued),
	    cmocka_unit_test(a_failure_is_the_last_line),
	    cmocka_unit_test(a_revoked_token_ends_its_streams),
	    cmocka_unit_test(an_expired_token_ends_its_streams),
	    cmocka_unit_test(a_changed_policy_ends_streams),
	    cmocka_unit_test(another_mount_in_its_place_ends_streams),
	    cmocka_unit_test(a_stream_costs_one_use),
	    cmocka_unit_test(the_last_use_lasts_as_long_as_its_stream),
	    cmocka_unit_test(the_last_use_ends_with_an_abort_too),
	    cmocka_unit_test(a_failed_commit_opens_nothing_and_charges_nobody),
	    cmocka_unit_test(a_stream_may_be_opened_on_the_writer),
	    cmocka_unit_test(more_is_reserved_on_the_writer),
	    cmocka_unit_test(what_cannot_be_reserved_ends_the_stream),
	    cmocka_unit_test(a_reservation_is_authorized_too),
	    cmocka_unit_test(slow_work_is_done_on_the_way),
	    cmocka_unit_test(slow_work_and_the_end),
	    cmocka_unit_test(sealing_ends_streams),
	    cmocka_unit_test(a_seal_that_is_over_has_ended_streams_all_the_same),
	    cmocka_unit_test(sealing_while_a_reservation_waits),
	    cmocka_unit_test(an_unknown_outcome_ends_streams_or_not_but_cleanly),
	    cmocka_unit_test(an_abort_is_audited),
	    cmocka_unit_test(an_end_that_cannot_be_audited_is_told),
	    cmocka_unit_test(streams_are_counted),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
