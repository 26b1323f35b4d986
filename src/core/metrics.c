#include "core/metrics.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"

#define SOURCES_MAX 16

struct metrics {
	struct {
		void (*put)(void *ctx, struct metrics_out *out);
		void *ctx;
	} sources[SOURCES_MAX];
	size_t n;
};

/* A printer: sources do not see which one they feed. */
struct metrics_out {
	void (*put)(struct metrics_out *out, enum metric_kind kind, const char *name,
	            const char *help, uint64_t value);
	struct builder *text;         /* Prometheus */
	struct json_writer kinds[2];  /* JSON: an array each, by metric_kind */
	struct builder kinds_text[2]; /* what they write into */
};

enum status metrics_new(struct metrics **ret)
{
	struct metrics *m = calloc(1, sizeof *m);

	if (m == NULL)
		return ST_NOMEM;
	*ret = m;
	return ST_OK;
}

void metrics_free(struct metrics **m)
{
	free(*m);
	*m = NULL;
}

void metrics_add(struct metrics *m, void (*source)(void *ctx, struct metrics_out *out), void *ctx)
{
	MUST(m->n < SOURCES_MAX);
	m->sources[m->n].put = source;
	m->sources[m->n].ctx = ctx;
	m->n++;
}

static void ask(const struct metrics *m, struct metrics_out *out)
{
	for (size_t i = 0; i < m->n; i++)
		m->sources[i].put(m->sources[i].ctx, out);
}

/* Names and helps are constants of the program, so a wrong one is the programmer's: both formats take them as they are. */
static bool is_name(const char *name)
{
	const char *letters = "abcdefghijklmnopqrstuvwxyz_";

	return name[0] != '\0' && strchr(letters, name[0]) != NULL &&
	       name[strspn(name, "abcdefghijklmnopqrstuvwxyz_0123456789")] == '\0';
}

void metric_put(struct metrics_out *out, enum metric_kind kind, const char *name, const char *help,
                uint64_t value)
{
	MUST(kind == METRIC_COUNTER || kind == METRIC_GAUGE);
	MUST(is_name(name) && strpbrk(help, "\\\n") == NULL);
	out->put(out, kind, name, help, value);
}

static void put_prometheus(struct metrics_out *out, enum metric_kind kind, const char *name,
                           const char *help, uint64_t value)
{
	builder_fmt(out->text, "# HELP %s %s\n# TYPE %s %s\n%s ", name, help, name,
	            kind == METRIC_COUNTER ? "counter" : "gauge", name);
	builder_dec(out->text, value);
	builder_u8(out->text, '\n');
}

void metrics_prometheus(const struct metrics *m, struct builder *b)
{
	struct metrics_out out = {.put = put_prometheus, .text = b};

	ask(m, &out);
}

static void put_json(struct metrics_out *out, enum metric_kind kind, const char *name,
                     const char *help, uint64_t value)
{
	struct json_writer *w = &out->kinds[kind];

	(void)help;
	json_begin_object(w);
	json_put_cstr(w, "Name", name);
	json_put_uint(w, kind == METRIC_COUNTER ? "Count" : "Value", value);
	json_name(w, "Labels");
	json_begin_object(w);
	json_end_object(w);
	json_end_object(w);
}

/* "2026-01-02 03:04:05 +0000 UTC": whole seconds, as Go prints a time. */
static void put_timestamp(struct json_writer *w, int64_t wall_ns)
{
	char buf[64];
	struct builder time;

	builder_init_fixed(&time, buf, sizeof buf);
	rfc3339(&time, wall_ns - wall_ns % NS_PER_S);
	MUST(time.n == strlen("2026-01-02T03:04:05Z"));
	buf[strlen("2026-01-02")] = ' ';
	time.n--;
	builder_str(&time, " +0000 UTC");
	json_put_string(w, "Timestamp", builder_span(&time));
}

static void put_list(struct json_writer *w, const char *name, struct span elements)
{
	json_name(w, name);
	json_begin_array(w);
	if (elements.n > 0)
		json_raw(w, elements);
	json_end_array(w);
}

/* The elements of one kind's array, without its brackets: the writer wants an array around them. */
static struct span elements(struct metrics_out *out, enum metric_kind kind)
{
	struct span s;

	json_end_array(&out->kinds[kind]);
	s = builder_span(&out->kinds_text[kind]);
	return s.n < 2 ? s : span_of(s.p + 1, s.n - 2);
}

void metrics_json(const struct metrics *m, int64_t wall_ns, struct builder *b)
{
	struct metrics_out out = {.put = put_json};
	struct json_writer w;

	for (size_t kind = 0; kind < 2; kind++) {
		builder_init(&out.kinds_text[kind], 0);
		json_writer_init(&out.kinds[kind], &out.kinds_text[kind]);
		json_begin_array(&out.kinds[kind]);
	}
	ask(m, &out);
	json_writer_init(&w, b);
	json_begin_object(&w);
	put_timestamp(&w, wall_ns);
	put_list(&w, "Gauges", elements(&out, METRIC_GAUGE));
	put_list(&w, "Points", span_of(NULL, 0));
	put_list(&w, "Counters", elements(&out, METRIC_COUNTER));
	put_list(&w, "Samples", span_of(NULL, 0));
	json_end_object(&w);
	for (size_t kind = 0; kind < 2; kind++) {
		/* What did not fit there must not look like a shorter list here. */
		if (builder_status(&out.kinds_text[kind]) != ST_OK && b->failed == ST_OK)
			b->failed = builder_status(&out.kinds_text[kind]);
		builder_free(&out.kinds_text[kind]);
	}
}
