#include "fault/desk.h"

#include <inttypes.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "barrier/record.h"
#include "base/log.h"
#include "core/floor.h"
#include "core/gate.h"
#include "core/sys.h"
#include "crypto/aead.h"
#include "fault/toy.h"

/* Far in the future, so that the writer's timer never fires of itself: the tests move the clock and wake it. */
#define START_NS  (INT64_C(4102444800) * NS_PER_S) /* 2100-01-01T00:00:00Z */
#define TTL_S     (INT64_C(1000) * 86400)
#define BODY_MAX  ((size_t)64 << 10)
#define TERMS_MAX 512
/* Periodic work of a test needs fewer rounds. */
#define SLICES_MAX 20

struct desk {
	/* what outlives the server */
	struct storage *storage;
	struct slots *slots;
	struct clock_manual clock;
	char shares[DESK_SHARES][128], root[64];
	/* the server */
	struct readers *readers;
	struct writer *writer;
	struct seal *seal;
	struct sched *sched;
	struct engine_table engines;
	struct upkeep *upkeep;
	struct pool *pool;
	struct audit *audit;
	struct metrics *metrics;
	struct sys *sys;
	struct gate *gate;
	struct floor floor;
	struct api *api;
	/* the loop: what other threads post waits here */
	struct loop loop;
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct task *first, **last;
	/* the connection */
	struct exchange x;
	bool finished, begun, resumed;
	struct header headers[1];
	uint8_t sent[BODY_MAX];
	char body[BODY_MAX];
};

int desk_process(void **state)
{
	struct err err = {0};

	(void)state;
	if (secret_setup((size_t)4 << 20, &err) != ST_OK ||
	    log_setup(LOG_OFF, LOG_STANDARD, NULL, &err) != ST_OK ||
	    aead_setup(NULL, &err) != ST_OK) {
		(void)fprintf(stderr, "%s\n", err.text);
		return -1;
	}
	return 0;
}

/* ---- the loop ---- */

static struct desk *of_loop(struct loop *loop)
{
	return (struct desk *)(void *)((char *)loop - offsetof(struct desk, loop));
}

static void post(struct loop *loop, struct task *task)
{
	struct desk *d = of_loop(loop);

	pthread_mutex_lock(&d->lock);
	task->next = NULL;
	*d->last = task;
	d->last = &task->next;
	pthread_cond_signal(&d->more);
	pthread_mutex_unlock(&d->lock);
}

/* One turn: waits until something is posted, and runs it. */
static void turn(struct desk *d)
{
	struct task *t, *next;

	d->loop.turn_end(d->loop.ctx);
	pthread_mutex_lock(&d->lock);
	while (d->first == NULL)
		pthread_cond_wait(&d->more, &d->lock);
	t = d->first;
	d->first = NULL;
	d->last = &d->first;
	pthread_mutex_unlock(&d->lock);
	for (; t != NULL; t = next) {
		next = t->next;
		t->run(t);
	}
}

/* ---- life ---- */

static void start_barrier(struct desk *d)
{
	assert_int_equal(readers_new(d->storage, &d->readers), ST_OK);
	const struct writer_config wc = {.readers = d->readers,
	                                 .storage = d->storage,
	                                 .slots = d->slots,
	                                 .clock = &d->clock.clock,
	                                 .random = &random_system,
	                                 .hooks = floor_hooks(&d->floor)};
	assert_int_equal(writer_new(&wc, &d->writer, NULL), ST_OK);
	assert_int_equal(seal_new(d->writer, &random_system, &d->seal, NULL), ST_OK);
}

static void start_core(struct desk *d)
{
	const struct audit_device device = {.name = "file", .file_path = "/dev/null"};

	assert_int_equal(audit_new(&device, 1, &d->clock.clock, &d->audit, NULL), ST_OK);
	assert_int_equal(sched_new(&d->sched), ST_OK);
	assert_int_equal(metrics_new(&d->metrics), ST_OK);
	d->engines =
	    (struct engine_table){.entries = {{&engine_kv, NULL}, {&engine_toy, NULL}}, .n = 2};
	const struct upkeep_config uc = {.engines = &d->engines,
	                                 .sched = d->sched,
	                                 .default_lease_ttl_s = TTL_S,
	                                 .max_lease_ttl_s = TTL_S};
	assert_int_equal(upkeep_new(&uc, &d->upkeep, NULL), ST_OK);
	assert_int_equal(pool_new(1, 16, &d->pool, NULL), ST_OK);
	const struct sys_config sc = {.seal = d->seal,
	                              .sched = d->sched,
	                              .engines = &d->engines,
	                              .upkeep = d->upkeep,
	                              .audit = d->audit,
	                              .metrics = d->metrics,
	                              .clock = &d->clock.clock,
	                              .random = &random_system,
	                              .version = "0.0.0",
	                              .storage_type = "inmem",
	                              .default_lease_ttl_s = TTL_S,
	                              .max_lease_ttl_s = TTL_S};
	assert_int_equal(sys_new(&sc, &d->sys, NULL), ST_OK);
	const struct gate_config gc = {.readers = d->readers,
	                               .writer = d->writer,
	                               .audit = d->audit,
	                               .clock = &d->clock.clock,
	                               .random = &random_system,
	                               .sys = &engine_sys,
	                               .sys_self = d->sys,
	                               .engines = &d->engines,
	                               .upkeep = d->upkeep,
	                               .pool = d->pool,
	                               .token_ended = sys_token_ended,
	                               .default_lease_ttl_s = TTL_S,
	                               .max_lease_ttl_s = TTL_S};
	assert_int_equal(gate_new(&gc, &d->gate, NULL), ST_OK);
	d->floor =
	    (struct floor){.sched = d->sched, .upkeep = d->upkeep, .sys = d->sys, .gate = d->gate};
	metrics_add(d->metrics, gate_metrics, d->gate);
	assert_int_equal(api_new(d->gate, &d->api), ST_OK);
}

static void start(struct desk *d)
{
	start_barrier(d);
	start_core(d);
	d->loop = (struct loop){.post = post};
	d->first = NULL;
	d->last = &d->first;
	assert_int_equal(gate_join(d->gate, &d->loop, NULL), ST_OK);
	assert_int_equal(writer_start(d->writer, NULL), ST_OK);
}

struct stopping {
	struct desk *desk;
	struct task task;
	bool stopped;
};

static void *stop_main(void *arg)
{
	struct stopping *s = arg;

	writer_stop(s->desk->writer);
	post(&s->desk->loop, &s->task);
	return NULL;
}

static void stop_done(struct task *task)
{
	((struct stopping *)(void *)((char *)task - offsetof(struct stopping, task)))->stopped =
	    true;
}

/* The writer closes the store with the help of the loop, so somebody else has to wait for it. */
static void stop(struct desk *d)
{
	struct stopping s = {.desk = d, .task.run = stop_done};
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, stop_main, &s), 0);
	while (!s.stopped)
		turn(d);
	pthread_join(thread, NULL);
	pool_free(&d->pool);
	gate_free(&d->gate);
	api_free(&d->api);
	writer_free(&d->writer);
	seal_free(&d->seal);
	sys_free(&d->sys);
	upkeep_free(&d->upkeep);
	metrics_free(&d->metrics);
	audit_free(&d->audit);
	sched_free(&d->sched);
	readers_free(&d->readers);
}

struct desk *desk_new(void)
{
	const struct storage_config config = {0};
	struct desk *d = calloc(1, sizeof *d);

	assert_non_null(d);
	pthread_mutex_init(&d->lock, NULL);
	pthread_cond_init(&d->more, NULL);
	clock_manual_init(&d->clock, START_NS, NS_PER_S);
	assert_int_equal(storage_mem.open(&config, &d->storage, NULL), ST_OK);
	assert_int_equal(slots_open(NULL, &d->slots, NULL), ST_OK);
	start(d);
	return d;
}

struct desk *desk_ready(void)
{
	struct desk *d = desk_new();

	assert_int_equal(desk_init(d), 200);
	desk_keep(d);
	desk_unseal(d, 0);
	desk_must(d, 204, HTTP_POST, "/v1/sys/mounts/secret", "{\"type\":\"kv\"}");
	desk_must(d, 204, HTTP_POST, "/v1/sys/mounts/toy", "{\"type\":\"toy\"}");
	return d;
}

void desk_free(struct desk **at)
{
	struct desk *d = *at;

	*at = NULL;
	stop(d);
	slots_close(&d->slots);
	d->storage->driver->close(&d->storage);
	pthread_mutex_destroy(&d->lock);
	pthread_cond_destroy(&d->more);
	free(d);
}

void desk_restart(struct desk *d)
{
	stop(d);
	start(d);
}

/* ---- requests ---- */

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
	d->loop.turn_end(d->loop.ctx);
	if (step == STREAM_PAUSE) {
		while (!d->resumed)
			turn(d);
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

	*x = (struct exchange){
	    .method = method, .loop = &d->loop, .finish = finish, .begin = begin, .resume = resume};
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
		turn(d);
	d->loop.turn_end(d->loop.ctx);
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

struct errand {
	struct writer_job job;
	struct task task;
	struct desk *desk;
	bool done, more;
};

static enum status errand_run(struct writer_job *job, struct txn *t, struct err *err)
{
	struct errand *e = (struct errand *)(void *)((char *)job - offsetof(struct errand, job));

	(void)t;
	(void)err;
	e->more = sched_due_at(e->desk->sched) <= clock_wall_ns(&e->desk->clock.clock);
	return ST_OK;
}

static void errand_back(struct task *task)
{
	((struct errand *)(void *)((char *)task - offsetof(struct errand, task)))->done = true;
}

static void errand_done(struct writer_job *job, enum status st, const struct err *err)
{
	struct errand *e = (struct errand *)(void *)((char *)job - offsetof(struct errand, job));

	(void)st;
	(void)err;
	e->task.run = errand_back;
	post(&e->desk->loop, &e->task);
}

/* A job on the writer that waits its turn; true: something was due when it ran. */
static bool errand(struct desk *d)
{
	struct errand e = {.job = {.run = errand_run, .done = errand_done, .kind = JOB_WRITE},
	                   .desk = d};

	writer_wake(d->writer);
	writer_submit(d->writer, &e.job);
	while (!e.done)
		turn(d);
	return e.more;
}

void desk_settle(struct desk *d)
{
	/* what is due runs behind the jobs of a group; what has just failed stays due, and waits for a later time */
	for (unsigned i = 0; i < SLICES_MAX; i++) {
		(void)errand(d);
		if (!errand(d))
			break;
	}
	(void)errand(d);
}

void desk_later(struct desk *d)
{
	clock_manual_advance(&d->clock, 600 * NS_PER_S);
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

static void dump_records(struct txn *t, struct builder *out)
{
	uint8_t at[STORAGE_KEY_MAX + 1];
	struct span path, value, from = span_of(NULL, 0);

	while (txn_next(t, from, &path, NULL) == ST_OK) {
		memcpy(at, path.p, path.n);
		path = span_of(at, path.n);
		if (!span_starts(path, span_str("sys/token/uses/"))) {
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
	const struct storage_driver *driver = d->storage->driver;
	uint8_t at[STORAGE_KEY_MAX + 1];
	struct span key, value, from = span_of(NULL, 0);
	uint64_t found[TERMS_MAX] = {0};
	struct storage_txn *s;
	struct usage u;
	uint32_t term;

	assert_int_equal(driver->read_open(d->storage, &s, NULL), ST_OK);
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

	assert_int_equal(reader_new(d->readers, &loop, NULL, NULL, &reader, NULL), ST_OK);
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
