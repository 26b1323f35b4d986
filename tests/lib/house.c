#include "lib/house.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/log.h"
#include "crypto/aead.h"

/* Far in the future, so that the writer's timer never fires of itself: tests move the clock and wake it. */
#define START_NS (INT64_C(4102444800) * NS_PER_S) /* 2100-01-01T00:00:00Z */

int house_process(void **state)
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

static void loop_post(struct loop *loop, struct task *task)
{
	struct house_loop *l = (struct house_loop *)(void *)loop;

	pthread_mutex_lock(&l->lock);
	task->next = NULL;
	*l->last = task;
	l->last = &task->next;
	pthread_cond_signal(&l->more);
	pthread_mutex_unlock(&l->lock);
}

/* All that waits; NULL: the end. */
static struct task *loop_take(struct house_loop *l)
{
	struct task *t;

	pthread_mutex_lock(&l->lock);
	while (l->first == NULL && !l->ending)
		pthread_cond_wait(&l->more, &l->lock);
	t = l->first;
	l->first = NULL;
	l->last = &l->first;
	pthread_mutex_unlock(&l->lock);
	return t;
}

static void *loop_main(void *arg)
{
	struct house_loop *l = arg;
	struct task *t, *next;

	while ((t = loop_take(l)) != NULL) {
		for (; t != NULL; t = next) {
			next = t->next;
			t->run(t);
		}
		l->loop.turn_end(l->loop.ctx);
	}
	return NULL;
}

static void loop_start(struct house_loop *l)
{
	assert_int_equal(pthread_create(&l->thread, NULL, loop_main, l), 0);
}

static void loop_stop(struct house_loop *l)
{
	pthread_mutex_lock(&l->lock);
	l->ending = true;
	pthread_cond_signal(&l->more);
	pthread_mutex_unlock(&l->lock);
	pthread_join(l->thread, NULL);
	pthread_mutex_destroy(&l->lock);
	pthread_cond_destroy(&l->more);
}

/* ---- waiting for another thread ---- */

struct signal {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool given;
};

static void signal_init(struct signal *s)
{
	*s = (struct signal){PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false};
}

static void signal_give(struct signal *s)
{
	pthread_mutex_lock(&s->lock);
	s->given = true;
	pthread_cond_broadcast(&s->cond);
	pthread_mutex_unlock(&s->lock);
}

static void signal_await(struct signal *s)
{
	pthread_mutex_lock(&s->lock);
	while (!s->given)
		pthread_cond_wait(&s->cond, &s->lock);
	pthread_mutex_unlock(&s->lock);
}

/* ---- life ---- */

static void build_store(struct house *h)
{
	const struct storage_config config = {0};

	assert_int_equal(faultstore_driver.open(&config, &h->store, NULL), ST_OK);
	assert_int_equal(slots_open(NULL, &h->slots, NULL), ST_OK);
	assert_int_equal(readers_new(h->store, &h->readers), ST_OK);
	const struct writer_config wc = {.readers = h->readers,
	                                 .storage = h->store,
	                                 .slots = h->slots,
	                                 .clock = &h->clock.clock,
	                                 .random = &random_system,
	                                 .hooks = floor_hooks(&h->floor)};
	assert_int_equal(writer_new(&wc, &h->writer, NULL), ST_OK);
	assert_int_equal(seal_new(h->writer, &random_system, &h->seal, NULL), ST_OK);
}

static void build_gate(struct house *h)
{
	const struct upkeep_config uc = {.engines = &h->engines,
	                                 .sched = h->sched,
	                                 .default_lease_ttl_s = 3600,
	                                 .max_lease_ttl_s = 7200};
	assert_int_equal(upkeep_new(&uc, &h->upkeep, NULL), ST_OK);
	assert_int_equal(pool_new(1, HOUSE_WAITING, &h->pool, NULL), ST_OK);
	const struct sys_config sc = {.seal = h->seal,
	                              .sched = h->sched,
	                              .engines = &h->engines,
	                              .upkeep = h->upkeep,
	                              .audit = h->audit,
	                              .metrics = h->metrics,
	                              .clock = &h->clock.clock,
	                              .random = &random_system,
	                              .version = "0.0.0",
	                              .storage_type = "inmem",
	                              .default_lease_ttl_s = 3600,
	                              .max_lease_ttl_s = 7200};

	assert_int_equal(sys_new(&sc, &h->sys, NULL), ST_OK);
	const struct gate_config gc = {.readers = h->readers,
	                               .writer = h->writer,
	                               .audit = h->audit,
	                               .clock = &h->clock.clock,
	                               .random = &random_system,
	                               .sys = &engine_sys,
	                               .sys_self = h->sys,
	                               .engines = &h->engines,
	                               .upkeep = h->upkeep,
	                               .pool = h->pool,
	                               .token_ended = sys_token_ended,
	                               .default_lease_ttl_s = sc.default_lease_ttl_s,
	                               .max_lease_ttl_s = sc.max_lease_ttl_s};
	assert_int_equal(gate_new(&gc, &h->gate, NULL), ST_OK);
	h->floor =
	    (struct floor){.sched = h->sched, .upkeep = h->upkeep, .sys = h->sys, .gate = h->gate};
}

struct house *house_new(const char *audit_file)
{
	return house_with(NULL, NULL, audit_file);
}

struct house *house_with(const struct engine *engine, void *self, const char *audit_file)
{
	const struct audit_device device = {.name = "file", .file_path = audit_file};
	struct house *h = calloc(1, sizeof *h);

	assert_non_null(h);
	h->engines = (struct engine_table){.entries = {{&engine_kv, NULL}, {engine, self}},
	                                   .n = engine != NULL ? 2 : 1};
	clock_manual_init(&h->clock, START_NS, NS_PER_S);
	build_store(h);
	assert_int_equal(
	    audit_new(&device, audit_file != NULL ? 1 : 0, &h->clock.clock, &h->audit, NULL),
	    ST_OK);
	assert_int_equal(sched_new(&h->sched), ST_OK);
	assert_int_equal(metrics_new(&h->metrics), ST_OK);
	build_gate(h);
	h->loop.loop.post = loop_post;
	h->loop.last = &h->loop.first;
	pthread_mutex_init(&h->loop.lock, NULL);
	pthread_cond_init(&h->loop.more, NULL);
	assert_int_equal(gate_join(h->gate, &h->loop.loop, NULL), ST_OK);
	assert_int_equal(writer_start(h->writer, NULL), ST_OK);
	loop_start(&h->loop);
	return h;
}

void house_free(struct house **at)
{
	struct house *h = *at;

	*at = NULL;
	writer_stop(h->writer);
	pool_free(&h->pool);
	loop_stop(&h->loop);
	gate_free(&h->gate);
	writer_free(&h->writer);
	seal_free(&h->seal);
	sys_free(&h->sys);
	upkeep_free(&h->upkeep);
	metrics_free(&h->metrics);
	audit_free(&h->audit);
	sched_free(&h->sched);
	readers_free(&h->readers);
	slots_close(&h->slots);
	h->store->driver->close(&h->store);
	builder_free(&h->data);
	builder_free(&h->auth);
	free(h);
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

/* ---- requests ---- */

struct house_call {
	struct gate_call call; /* first member */
	struct house *house;
	struct task start;
	struct json doc;
	char *path, *query, *token, *body;
	struct signal done;
	unsigned times; /* done was called */
};

static void call_done(struct gate_call *call)
{
	struct house_call *c = (struct house_call *)(void *)call;

	assert_int_equal(c->times++, 0);
	signal_give(&c->done);
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
	signal_init(&c->done);
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
	loop_post(&h->loop.loop, &c->start);
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
	signal_await(&c->done);
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

/* ---- other threads' work ---- */

struct errand {
	struct task task; /* first member */
	void (*fn)(void *arg);
	void *arg;
	struct signal done;
};

static void errand_run(struct task *task)
{
	struct errand *e = (struct errand *)(void *)task;

	e->fn(e->arg);
	signal_give(&e->done);
}

void house_on_loop(struct house *h, void (*fn)(void *arg), void *arg)
{
	struct errand e = {.task.run = errand_run, .fn = fn, .arg = arg};

	signal_init(&e.done);
	loop_post(&h->loop.loop, &e.task);
	signal_await(&e.done);
}

struct errand_job {
	struct writer_job job; /* first member */
	enum status (*fn)(void *arg, struct txn *t, struct err *err);
	void *arg;
	enum status status;
	struct signal done;
};

static enum status job_run(struct writer_job *job, struct txn *t, struct err *err)
{
	struct errand_job *j = (struct errand_job *)(void *)job;

	return j->fn(j->arg, t, err);
}

static void job_done(struct writer_job *job, enum status st, const struct err *err)
{
	struct errand_job *j = (struct errand_job *)(void *)job;

	(void)err;
	j->status = st;
	signal_give(&j->done);
}

static void job_start(struct house *h, struct errand_job *j, enum writer_job_kind kind)
{
	j->job = (struct writer_job){.run = job_run, .done = job_done, .kind = kind};
	signal_init(&j->done);
	writer_submit(h->writer, &j->job);
}

enum status house_write(struct house *h,
                        enum status (*fn)(void *arg, struct txn *t, struct err *err), void *arg)
{
	struct errand_job j = {.fn = fn, .arg = arg};

	job_start(h, &j, JOB_WRITE);
	signal_await(&j.done);
	return j.status;
}

enum status house_control(struct house *h,
                          enum status (*fn)(void *arg, struct txn *t, struct err *err), void *arg)
{
	struct errand_job j = {.fn = fn, .arg = arg};

	job_start(h, &j, JOB_CONTROL);
	signal_await(&j.done);
	return j.status;
}

static struct signal held, released;
static struct errand_job holding;

static enum status hold_fn(void *arg, struct txn *t, struct err *err)
{
	(void)arg;
	(void)t;
	(void)err;
	signal_give(&held);
	signal_await(&released);
	return ST_OK;
}

void house_hold(struct house *h)
{
	signal_init(&held);
	signal_init(&released);
	holding = (struct errand_job){.fn = hold_fn};
	job_start(h, &holding, JOB_CONTROL);
	signal_await(&held);
}

static void pass(void *arg)
{
	(void)arg;
}

void house_flush(struct house *h)
{
	house_on_loop(h, pass, NULL);
}

void house_release(struct house *h)
{
	house_flush(h);
	signal_give(&released);
	signal_await(&holding.done);
}

static enum status nothing(void *arg, struct txn *t, struct err *err)
{
	(void)arg;
	(void)t;
	(void)err;
	return ST_OK;
}

static enum status due_fn(void *arg, struct txn *t, struct err *err)
{
	struct house *h = arg;

	(void)t;
	(void)err;
	return sched_due_at(h->sched) <= clock_wall_ns(&h->clock.clock) ? ST_PENDING : ST_OK;
}

void house_settle(struct house *h)
{
	writer_wake(h->writer);
	/* what is due runs behind the jobs of a group */
	do
		(void)house_write(h, nothing, NULL);
	while (house_write(h, due_fn, h) == ST_PENDING);
}

void house_later(struct house *h, int64_t seconds)
{
	clock_manual_advance(&h->clock, seconds * NS_PER_S);
	house_settle(h);
}

void house_fail_commit(struct house *h, enum faultstore_commit how)
{
	const struct faultstore_plan plan = {.call = FAULTSTORE_COMMIT,
	                                     .nth = 1,
	                                     .repeat = FAULTSTORE_ONCE,
	                                     .status = ST_IO,
	                                     .commit = how};

	faultstore_order(h->store, &plan);
}
