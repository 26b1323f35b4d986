/* Metrics: figures of several sources, as JSON and as Prometheus text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <signal.h>

#include "base/json.h"
#include "core/metrics.h"

#define WHEN_NS (INT64_C(1767323045) * 1000000000 + 678) /* 2026-01-02T03:04:05.000000678Z */

static void barrier(void *ctx, struct metrics_out *out)
{
	const uint64_t *n = ctx;

	metric_put(out, METRIC_COUNTER, "keyturn_barrier_encryptions_total", "Records sealed.", *n);
	metric_put(out, METRIC_GAUGE, "keyturn_barrier_terms", "Terms that exist.", 3);
}

static void process(void *ctx, struct metrics_out *out)
{
	(void)ctx;
	metric_put(out, METRIC_GAUGE, "process_open_fds", "Open descriptors.", UINT64_MAX);
}

static struct metrics *both(uint64_t *n)
{
	struct metrics *m = NULL;

	assert_int_equal(metrics_new(&m), ST_OK);
	metrics_add(m, barrier, n);
	metrics_add(m, process, NULL);
	return m;
}

static void assert_text(struct builder *b, const char *want)
{
	assert_int_equal(builder_status(b), ST_OK);
	builder_u8(b, '\0');
	assert_string_equal((const char *)b->p, want);
}

static void prometheus_text(void **state)
{
	uint64_t n = 12;
	struct metrics *m = both(&n);
	struct builder b = {0};

	(void)state;
	metrics_prometheus(m, &b);
	assert_text(&b, "# HELP keyturn_barrier_encryptions_total Records sealed.\n"
	                "# TYPE keyturn_barrier_encryptions_total counter\n"
	                "keyturn_barrier_encryptions_total 12\n"
	                "# HELP keyturn_barrier_terms Terms that exist.\n"
	                "# TYPE keyturn_barrier_terms gauge\n"
	                "keyturn_barrier_terms 3\n"
	                "# HELP process_open_fds Open descriptors.\n"
	                "# TYPE process_open_fds gauge\n"
	                "process_open_fds 18446744073709551615\n");
	builder_free(&b);
	metrics_free(&m);
	assert_null(m);
}

static void json_text(void **state)
{
	uint64_t n = 12;
	struct metrics *m = both(&n);
	struct builder b = {0};

	(void)state;
	metrics_json(m, WHEN_NS, &b);
	assert_text(&b,
	            "{\"Timestamp\":\"2026-01-02 03:04:05 +0000 UTC\","
	            "\"Gauges\":[{\"Name\":\"keyturn_barrier_terms\",\"Value\":3,\"Labels\":{}},"
	            "{\"Name\":\"process_open_fds\",\"Value\":18446744073709551615,\"Labels\":{}}],"
	            "\"Points\":[],"
	            "\"Counters\":[{\"Name\":\"keyturn_barrier_encryptions_total\",\"Count\":12,"
	            "\"Labels\":{"
	            "}}],"
	            "\"Samples\":[]}");
	builder_free(&b);
	metrics_free(&m);
}

static void asked_each_time(void **state)
{
	uint64_t n = 1;
	struct metrics *m = both(&n);
	struct builder b = {0};
	struct json doc;
	const struct json_value *counter;
	uint64_t shown = 0;

	(void)state;
	metrics_json(m, WHEN_NS, &b);
	builder_reset(&b);
	n = 2;
	metrics_json(m, WHEN_NS, &b);
	json_init(&doc);
	assert_int_equal(json_parse(&doc, b.p, b.n, NULL, NULL), ST_OK);
	counter = json_first(json_member(json_root(&doc), "Counters"));
	assert_int_equal(json_u64(json_member(counter, "Count"), &shown), ST_OK);
	assert_int_equal(shown, 2);
	json_free(&doc);
	builder_free(&b);
	metrics_free(&m);
}

static void no_sources(void **state)
{
	struct metrics *m = NULL;
	struct builder b = {0};

	(void)state;
	assert_int_equal(metrics_new(&m), ST_OK);
	metrics_prometheus(m, &b);
	assert_int_equal(b.n, 0);
	metrics_json(m, 0, &b);
	assert_text(&b,
	            "{\"Timestamp\":\"1970-01-01 00:00:00 +0000 UTC\",\"Gauges\":[],\"Points\":[],"
	            "\"Counters\":[],\"Samples\":[]}");
	builder_free(&b);
	metrics_free(&m);
}

/* A builder that is too small fails; it never holds a text that looks whole. */
static void no_room(void **state)
{
	uint64_t n = 12;
	struct metrics *m = both(&n);
	struct builder whole = {0};
	char buf[1024];

	(void)state;
	metrics_json(m, WHEN_NS, &whole);
	for (size_t cap = 0; cap <= whole.n; cap++) {
		struct builder b;

		builder_init_fixed(&b, buf, cap);
		metrics_json(m, WHEN_NS, &b);
		assert_int_equal(builder_status(&b), cap < whole.n ? ST_LIMIT : ST_OK);
	}
	builder_free(&whole);
	metrics_free(&m);
}

/* ---- allocations that fail: linked with --wrap ---- */

/* The one after `left` more fails; then all others do, or none. */
static struct starvation {
	bool on, for_ever, hit;
	size_t left;
} starvation;

void *__real_malloc(size_t n);
void *__wrap_malloc(size_t n);

void *__wrap_malloc(size_t n)
{
	if (starvation.on && starvation.left-- == 0) {
		starvation.hit = true;
		starvation.on = starvation.for_ever;
		starvation.left = 0;
		return NULL;
	}
	return __real_malloc(n);
}

/* It fails, or it is whole. */
static void no_memory_from(bool for_ever)
{
	uint64_t value = 12;
	struct metrics *m = both(&value);
	struct builder whole = {0};
	bool done = false;
	size_t n = 0;

	metrics_json(m, WHEN_NS, &whole);
	for (; !done; n++) {
		struct builder b = {0};

		starvation = (struct starvation){.on = true, .for_ever = for_ever, .left = n};
		metrics_json(m, WHEN_NS, &b);
		starvation.on = false;
		done = !starvation.hit;
		if (builder_status(&b) == ST_OK)
			assert_true(span_eq(builder_span(&b), builder_span(&whole)));
		else
			assert_int_equal(builder_status(&b), ST_NOMEM);
		assert_true(done == (builder_status(&b) == ST_OK));
		builder_free(&b);
	}
	assert_in_range(n, 4, 50); /* three texts at least */
	builder_free(&whole);
	metrics_free(&m);
}

static void no_memory(void **state)
{
	(void)state;
	no_memory_from(true);
	no_memory_from(false);
}

/* ---- programmers' errors ---- */

static void bad_name(void *ctx, struct metrics_out *out)
{
	metric_put(out, METRIC_GAUGE, ctx, "Help.", 1);
}

static void bad_help(void *ctx, struct metrics_out *out)
{
	metric_put(out, METRIC_GAUGE, "good", ctx, 1);
}

static int signal_of(void (*source)(void *ctx, struct metrics_out *out), const char *text)
{
	int status = 0;
	pid_t child = fork();

	if (child == 0) {
		struct metrics *m;
		struct builder b = {0};

		(void)close(STDERR_FILENO);
		if (metrics_new(&m) != ST_OK)
			_exit(1);
		metrics_add(m, source, (void *)(uintptr_t)text);
		(void)signal(SIGABRT, SIG_DFL);
		metrics_prometheus(m, &b);
		_exit(0);
	}
	assert_true(child > 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void names_are_checked(void **state)
{
	static const char *const bad[] = {"",    "1a",  "a-b", "a b", "A",
	                                  "a\n", "a{}", "\"",  "-",   "\xc3\xa9"};

	(void)state;
	assert_int_equal(signal_of(bad_name, "a_1"), 0);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_int_equal(signal_of(bad_name, bad[i]), SIGABRT);
	assert_int_equal(signal_of(bad_help, "Fine: 1 \"of\" {2}."), 0);
	assert_int_equal(signal_of(bad_help, "two\nlines"), SIGABRT);
	assert_int_equal(signal_of(bad_help, "back\\slash"), SIGABRT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(prometheus_text),   cmocka_unit_test(json_text),
	    cmocka_unit_test(asked_each_time),   cmocka_unit_test(no_sources),
	    cmocka_unit_test(no_room),           cmocka_unit_test(no_memory),
	    cmocka_unit_test(names_are_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
