#include "fault/desk.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "barrier/record.h"
#include "fault/toy.h"
#include "lib/house.h"

#define TTL_S     (INT64_C(1000) * 86400)
#define BODY_MAX  ((size_t)64 << 10)
#define TERMS_MAX 512
/* Periodic work of a test needs fewer rounds. */
#define SLICES_MAX 20

struct desk {
	struct house *house;
	struct api *api;
	char shares[DESK_SHARES][128], root[64];
	/* the connection */
	struct exchange x;
	bool finished, begun, resumed;
	struct header headers[1];
	uint8_t sent[BODY_MAX];
	char body[BODY_MAX];
};

/* ---- life ---- */

int desk_process(void **state)
{
	return house_process(state);
}

static void open_api(struct desk *d)
{
	assert_int_equal(api_new(d->house->gate, &d->api), ST_OK);
}

static struct desk *with(const struct engine *engine, void *self)
{
	const struct house_config config = {.audit_file = "/dev/null",
	                                    .engine = engine,
	                                    .self = self,
	                                    .driver = &storage_mem,
	                                    .runner = HOUSE_TEST,
	                                    .ttl_s = TTL_S,
	                                    .waiting = 16};
	struct desk *d = calloc(1, sizeof *d);

	assert_non_null(d);
	d->house = house_build(&config);
	open_api(d);
	return d;
}

struct desk *desk_new(void)
{
	return with(&engine_toy, NULL);
}

static struct desk *furnished(struct desk *d)
{
	assert_int_equal(desk_init(d), 200);
	desk_keep(d);
	desk_unseal(d, 0);
	desk_must(d, 204, HTTP_POST, "/v1/sys/mounts/secret", "{\"type\":\"kv\"}");
	return d;
}

struct desk *desk_ready(void)
{
	struct desk *d = furnished(desk_new());

	desk_must(d, 204, HTTP_POST, "/v1/sys/mounts/toy", "{\"type\":\"toy\"}");
	return d;
}

struct desk *desk_ready_with(const struct engine *engine, void *self)
{
	return furnished(with(engine, self));
}

void desk_free(struct desk **at)
{
	struct desk *d = *at;

	*at = NULL;
	api_free(&d->api);
	house_free(&d->house);
	free(d);
}

void desk_restart(struct desk *d)
{
	api_free(&d->api);
	house_restart(d->house);
	open_api(d);
}

/* ---- requests ---- */

static void end_turn(struct desk *d)
{
	struct loop *loop = &d->house->loop.loop;

	loop->turn_end(loop->ctx);
}

static void finish(struct exchange *x)
{
	struct desk *d = (struct desk *)(void *)((char *)x - offsetof(struct desk, x));

	assert_false(d->finished);
	d->finished = true;
}

static struct desk *desk_of(struct exchange *x)
{
	return (struct desk *)(void *)((char *)x - offsetof(struct desk, x));
}

static void begin(struct exchange *x)
{
	assert_false(desk_of(x)->begun);
	desk_of(x)->begun = true;
}

static void resume(struct exchange *x)
{
	assert_false(desk_of(x)->resumed);
	desk_of(x)->resumed = true;
}

/* The body from *at to n is there to be used; true: the stream is over. */
static bool visit(struct desk *d, struct builder *out, size_t *at, size_t n, enum stream_end last)
{
	struct stream_visit v = {
	    .in = d->sent + *at, .n = n - *at, .end = last, .out = out, .out_full = out->cap / 2};
	enum stream_step step = api_stream(d->api, &d->x, &v);

	*at += v.used;
	end_turn(d);
	if (step == STREAM_PAUSE) {
		while (!d->resumed)
			house_turn(d->house);
		d->resumed = false;
		return visit(d, out, at, n, last);
	}
	assert_int_not_equal(step, STREAM_FULL);
	return step == STREAM_OVER;
}

/* Through the whole body. */
static void stream(struct desk *d, size_t n)
{
	struct exchange *x = &d->x;
	struct builder out;
	size_t at = 0;

	builder_init_fixed(&out, d->body, sizeof d->body - 1);
	if (!visit(d, &out, &at, n / 2, STREAM_GOES_ON))
		assert_true(visit(d, &out, &at, n, STREAM_LAST));
	d->body[out.n] = 0;
	if (builder_status(&out) != ST_OK)
		x->status = 503;
	else if (strstr(d->body, "{\"stream_error\":") != NULL)
		x->status = 500;
}

static void take_answer(struct desk *d)
{
	struct exchange *x = &d->x;
	struct span body = x->content_type != NULL ? builder_span(&x->body_out) : span_of(NULL, 0);

	/* What http sends must be whole, or nothing. */
	assert_true(x->content_type == NULL || (builder_status(&x->body_out) == ST_OK &&
	                                        builder_status(&x->body_first) == ST_OK));
	assert_int_equal(span_cstr(builder_span(&x->body_first), d->body, sizeof d->body), ST_OK);
	assert_int_equal(
	    span_cstr(body, d->body + x->body_first.n, sizeof d->body - x->body_first.n), ST_OK);
}

unsigned desk_ask(struct desk *d, enum http_method method, const char *target, const char *token,
                  const char *body)
{
	struct exchange *x = &d->x;
	const char *query = strchr(target, '?');

	*x = (struct exchange){.method = method,
	                       .loop = &d->house->loop.loop,
	                       .finish = finish,
	                       .begin = begin,
	                       .resume = resume};
	x->target = query == NULL ? span_str(target) : span_of(target, (size_t)(query - target));
	x->query = query == NULL ? span_of(NULL, 0) : span_str(query + 1);
	x->remote = span_str("127.0.0.1:5555");
	if (token != NULL) {
		d->headers[0] = (struct header){span_str("x-vault-token"), span_str(token)};
		x->headers = d->headers;
		x->n_headers = 1;
	}
	if (body != NULL) {
		x->n_body = strlen(body);
		assert_true(x->n_body <= sizeof d->sent);
		memcpy(d->sent, body, x->n_body);
		x->body = d->sent;
	}
	size_t n_stream = x->n_body;

	d->finished = d->begun = d->resumed = false;
	if (x->method == HTTP_POST || x->method == HTTP_PUT) /* as http asks */
		x->kind = api_streams(d->api, x);
	if (x->kind == EXCHANGE_STREAM)
		x->n_body = 0;
	api_handle(d->api, x);
	while (!d->finished && !d->begun)
		house_turn(d->house);
	end_turn(d);
	if (d->begun)
		stream(d, n_stream);
	else
		take_answer(d);
	api_forget(d->api, x);
	builder_free(&x->body_first);
	builder_free(&x->body_out);
	return x->status;
}

const char *desk_body(const struct desk *d)
{
	return d->body;
}

void desk_member(const struct desk *d, const char *path, char *buf, size_t cap)
{
	struct json doc;
	const struct json_value *v;
	char text[BODY_MAX], name[64];

	memcpy(text, d->body, sizeof text);
	json_init(&doc);
	assert_int_equal(json_parse(&doc, (uint8_t *)text, strlen(text), NULL, NULL), ST_OK);
	v = json_root(&doc);
	while (*path != 0) {
		size_t n = strcspn(path, "/");

		(void)snprintf(name, sizeof name, "%.*s", (int)n, path);
		v = json_member(v, name);
		assert_non_null(v);
		path += path[n] == '/' ? n + 1 : n;
	}
	assert_int_equal(span_cstr(v->text, buf, cap), ST_OK);
	json_free(&doc);
}

const char *desk_root(const struct desk *d)
{
	return d->root;
}

void desk_must(struct desk *d, unsigned want, enum http_method method, const char *target,
               const char *body)
{
	unsigned got = desk_ask(d, method, target, d->root, body);

	if (got != want)
		fail_msg("%s: wanted %u, got %u: %s", target, want, got, d->body);
}

void desk_keep(struct desk *d)
{
	struct json doc;
	const struct json_value *v;
	char text[BODY_MAX];

	memcpy(text, d->body, sizeof text);
	json_init(&doc);
	assert_int_equal(json_parse(&doc, (uint8_t *)text, strlen(text), NULL, NULL), ST_OK);
	v = json_member(json_root(&doc), "keys");
	assert_non_null(v);
	assert_int_equal(v->count, DESK_SHARES);
	v = json_first(v);
	for (unsigned i = 0; i < DESK_SHARES; i++, v = json_next(v))
		assert_int_equal(span_cstr(v->text, d->shares[i], sizeof d->shares[i]), ST_OK);
	v = json_member(json_root(&doc), "root_token");
	assert_non_null(v);
	assert_int_equal(span_cstr(v->text, d->root, sizeof d->root), ST_OK);
	json_free(&doc);
}

unsigned desk_init(struct desk *d)
{
	return desk_ask(d, HTTP_PUT, "/v1/sys/init", NULL,
	                "{\"secret_shares\":5,\"secret_threshold\":3}");
}

const char *desk_share(const struct desk *d, unsigned i)
{
	return d->shares[i % DESK_SHARES];
}

void desk_unseal(struct desk *d, unsigned from)
{
	char body[256];

	for (unsigned i = 0; i < DESK_THRESHOLD; i++) {
		(void)snprintf(body, sizeof body, "{\"key\":\"%s\"}", desk_share(d, from + i));
		desk_must(d, 200, HTTP_PUT, "/v1/sys/unseal", body);
	}
	assert_true(desk_is_open(d));
}

bool desk_is_open(struct desk *d)
{
	desk_must(d, 200, HTTP_GET, "/v1/sys/seal-status", NULL);
	return strstr(d->body, "\"sealed\":false") != NULL;
}

/* ---- the writer's time ---- */

void desk_settle(struct desk *d)
{
	/* what has just failed stays due, and waits for a later time */
	for (unsigned i = 0; i < SLICES_MAX && house_due(d->house); i++)
		;
}

int64_t desk_now(const struct desk *d)
{
	return clock_wall_ns(&d->house->clock.clock);
}

void desk_later(struct desk *d)
{
	clock_manual_advance(&d->house->clock, 600 * NS_PER_S);
	desk_settle(d);
}

/* ---- the dump ---- */

static void dump_terms(struct txn *t, struct builder *out)
{
	const struct keyring *k = txn_keyring(t);
	const struct rotate_settings *s = keyring_settings(k);
	struct term_info info;

	builder_fmt(out, "settings %" PRIu64 " %s %d\n", s->max_operations, s->interval_text,
	            s->enabled);
	for (uint32_t i = 1; i <= keyring_active(k); i++) {
		assert_int_equal(keyring_info(k, i, &info), ST_OK);
		builder_fmt(out, "term %u %s %s %" PRId64 "\n", i, term_state_name(info.state),
		            term_cause_name(info.cause), info.install_ns);
	}
}

static void dump_world(const struct core_world *w, struct builder *out)
{
	for (size_t i = 0; i < mounts_count(w->mounts); i++) {
		const struct mount *m = mounts_at(w->mounts, i);

		builder_fmt(out, "mount %s %s %s %s %" PRId64 "\n", m->path, m->uuid, m->accessor,
		            m->description, m->max_lease_ttl_s);
	}
	for (size_t i = 0; i < policy_table_count(w->policies); i++) {
		const struct policy_entry *e = policy_table_at(w->policies, i);

		builder_fmt(out, "policy %.*s %" PRIu64 " ", (int)e->name.n,
		            (const char *)e->name.p, e->version);
		builder_add(out, e->text);
		builder_u8(out, '\n');
	}
}

/* Uses of tokens and of named keys' versions, which rise when an answer fails as well. */
static bool is_count(struct span path)
{
	return span_starts(path, span_str("sys/token/uses/")) ||
	       (path.n > 7 && memmem(path.p, path.n, "/usage/", 7) != NULL);
}

static void dump_records(struct txn *t, struct builder *out)
{
	uint8_t at[STORAGE_KEY_MAX + 1];
	struct span path, value, from = span_of(NULL, 0);

	while (txn_next(t, from, &path, NULL) == ST_OK) {
		memcpy(at, path.p, path.n);
		path = span_of(at, path.n);
		if (!is_count(path)) {
			assert_int_equal(txn_get(t, path, &value, NULL), ST_OK);
			builder_add(out, path);
			builder_u8(out, ' ');
			builder_hex(out, value);
			builder_u8(out, '\n');
		}
		at[path.n] = 0;
		from = span_of(at, path.n + 1);
	}
}

/* The records of each term, counted where they lie. */
static void recount(struct desk *d, struct txn *t)
{
	const struct storage_driver *driver = d->house->store->driver;
	uint8_t at[STORAGE_KEY_MAX + 1];
	struct span key, value, from = span_of(NULL, 0);
	uint64_t found[TERMS_MAX] = {0};
	struct storage_txn *s;
	struct usage u;
	uint32_t term;

	assert_int_equal(driver->read_open(d->house->store, &s, NULL), ST_OK);
	assert_int_equal(driver->renew(s, NULL), ST_OK);
	while (driver->seek(s, from, &key, &value, NULL) == ST_OK) {
		if (!span_starts(key, span_str("core/"))) {
			assert_int_equal(record_term(value, &term), ST_OK);
			assert_true(term < TERMS_MAX);
			found[term]++;
		}
		memcpy(at, key.p, key.n);
		at[key.n] = 0;
		from = span_of(at, key.n + 1);
	}
	driver->read_close(&s);
	for (uint32_t i = 1; i <= keyring_active(txn_keyring(t)); i++) {
		assert_int_equal(txn_usage(t, i, &u, NULL), ST_OK);
		assert_int_equal(u.records, found[i]);
		assert_true(u.encryptions >= u.records);
	}
}

static void never_posted(struct loop *loop, struct task *task)
{
	(void)loop;
	(void)task;
	abort();
}

void desk_dump(struct desk *d, struct builder *out)
{
	struct loop loop = {.post = never_posted};
	struct reader *reader;
	struct txn *t;

	assert_int_equal(reader_new(d->house->readers, &loop, NULL, NULL, &reader, NULL), ST_OK);
	assert_int_equal(reader_begin(reader, &t, NULL), ST_OK);
	builder_reset(out);
	dump_terms(t, out);
	dump_world(world_core(txn_world(t)), out);
	dump_records(t, out);
	recount(d, t);
	reader_turn_end(reader);
	reader_close(&reader);
	assert_int_equal(builder_status(out), ST_OK);
}
