#include "lib/house_impl.h"

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

/* ---- starting ---- */

static int64_t default_ttl(const struct house *h)
{
	return h->config.ttl_s > 0 ? h->config.ttl_s : 3600;
}

static int64_t max_ttl(const struct house *h)
{
	return h->config.ttl_s > 0 ? h->config.ttl_s : 7200;
}

static void build_barrier(struct house *h)
{
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

static void build_means(struct house *h)
{
	const struct audit_device device = {.name = "file", .file_path = h->config.audit_file};
	size_t devices = h->config.audit_file != NULL ? 1 : 0;
	unsigned waiting = h->config.waiting > 0 ? h->config.waiting : HOUSE_WAITING;

	assert_int_equal(audit_new(&device, devices, &h->clock.clock, &h->audit, NULL), ST_OK);
	assert_int_equal(sched_new(&h->sched), ST_OK);
	assert_int_equal(metrics_new(&h->metrics), ST_OK);
	h->engines = (struct engine_table){
	    .entries = {{&engine_kv, NULL}, {h->config.engine, h->config.self}},
	    .n = h->config.engine != NULL ? 2 : 1};
	const struct upkeep_config uc = {.engines = &h->engines,
	                                 .sched = h->sched,
	                                 .default_lease_ttl_s = default_ttl(h),
	                                 .max_lease_ttl_s = max_ttl(h)};
	assert_int_equal(upkeep_new(&uc, &h->upkeep, NULL), ST_OK);
	assert_int_equal(pool_new(1, waiting, &h->pool, NULL), ST_OK);
}

static void build_gate(struct house *h)
{
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
	                              .default_lease_ttl_s = default_ttl(h),
	                              .max_lease_ttl_s = max_ttl(h)};

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
	                               .default_lease_ttl_s = default_ttl(h),
	                               .max_lease_ttl_s = max_ttl(h)};
	assert_int_equal(gate_new(&gc, &h->gate, NULL), ST_OK);
	metrics_add(h->metrics, gate_metrics, h->gate);
	h->floor =
	    (struct floor){.sched = h->sched, .upkeep = h->upkeep, .sys = h->sys, .gate = h->gate};
}

static void start(struct house *h)
{
	build_barrier(h);
	build_means(h);
	build_gate(h);
	house_loop_init(&h->loop, h->config.runner);
	h->loop.loop.index = HOUSE_LOOP;
	assert_int_equal(gate_join(h->gate, &h->loop.loop, NULL), ST_OK);
	assert_int_equal(writer_start(h->writer, NULL), ST_OK);
	house_loop_start(&h->loop);
}

static void stop(struct house *h)
{
	house_writer_stop(h);
	pool_free(&h->pool);
	house_loop_stop(&h->loop);
	gate_free(&h->gate);
	writer_free(&h->writer);
	seal_free(&h->seal);
	sys_free(&h->sys);
	upkeep_free(&h->upkeep);
	metrics_free(&h->metrics);
	audit_free(&h->audit);
	sched_free(&h->sched);
	readers_free(&h->readers);
}

/* ---- life ---- */

struct house *house_build(const struct house_config *config)
{
	const struct storage_driver *driver =
	    config->driver != NULL ? config->driver : &faultstore_driver;
	const struct storage_config sc = {0};
	struct house *h = calloc(1, sizeof *h);

	assert_non_null(h);
	h->config = *config;
	clock_manual_init(&h->clock, START_NS, NS_PER_S);
	assert_int_equal(driver->open(&sc, &h->store, NULL), ST_OK);
	assert_int_equal(slots_open(NULL, &h->slots, NULL), ST_OK);
	start(h);
	return h;
}

struct house *house_new(const char *audit_file)
{
	return house_with(NULL, NULL, audit_file);
}

struct house *house_with(const struct engine *engine, void *self, const char *audit_file)
{
	const struct house_config config = {
	    .audit_file = audit_file, .engine = engine, .self = self};

	return house_build(&config);
}

void house_free(struct house **at)
{
	struct house *h = *at;

	*at = NULL;
	stop(h);
	slots_close(&h->slots);
	h->store->driver->close(&h->store);
	builder_free(&h->data);
	builder_free(&h->auth);
	free(h);
}

void house_restart(struct house *h)
{
	stop(h);
	start(h);
}
