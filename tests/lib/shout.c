#include "lib/shout.h"

#include <stdio.h>
#include <stdlib.h>

struct shout shout;

struct shout_state {
	int64_t allowance; /* lines until more must be reserved */
	size_t item_max;
	unsigned handled;
};

/* Slow work: a whisper. */
struct whisper {
	struct slow slow; /* first member */
	bool done;
};

void shout_reset(void)
{
	shout.begun = shout.ended = shout.chunks = shout.dirt = 0;
	shout.whispers_made = shout.whispers_run = shout.whispers_freed = 0;
	shout.reserve_answer = ST_OK;
}

/* ---- opening ---- */

static enum status open_stream(struct op *op, size_t item_max)
{
	struct shout_state *s = op->stream_state;
	struct err err = {0};

	if (s->handled != 0 || s->item_max != 0 || s->allowance != 0)
		shout.dirt++;
	if (span_eq_str(op->arg[0], "writer") && !view_can_write(&op->view))
		return ST_NEEDS_WRITER;
	shout.begun++;
	s->handled = 1;
	MUST(op->stream_totals->items == 0);
	if (span_eq_str(op->arg[0], "missing"))
		return answer_fail(op->ans, ST_NOT_FOUND, "no such voice");
	s->item_max = item_max;
	s->allowance = INT64_MAX;
	if (request_int(op->req, "allow", &s->allowance, &err) == ST_INVALID)
		return answer_fail(op->ans, ST_INVALID, "%s", err.text);
	if (!span_eq_str(op->arg[0], "writer"))
		return ST_OK;
	return view_put(&op->view, span_str("opened"), span_str("1"), &op->ans->err);
}

static enum status shout_op(struct op *op)
{
	return open_stream(op, SHOUT_ITEM_MAX);
}

static enum status long_op(struct op *op)
{
	return open_stream(op, SHOUT_LONG_MAX);
}

static enum status deaf_op(struct op *op)
{
	(void)op;
	return ST_OK;
}

/* ---- slow work ---- */

static void whisper_run(struct slow *slow)
{
	((struct whisper *)(void *)slow)->done = true;
	shout.whispers_run++;
}

static void whisper_free(struct slow **slow)
{
	free(*slow);
	*slow = NULL;
	shout.whispers_freed++;
}

/* ST_OK: the work for this line was done. */
static enum status whisper(struct op *op)
{
	struct whisper *w = (struct whisper *)(void *)op->slow;

	if (w != NULL) {
		MUST(w->done);
		op->slow = NULL;
		return ST_OK;
	}
	w = calloc(1, sizeof *w);
	if (w == NULL)
		return answer_fail(op->ans, ST_NOMEM, "no memory for a whisper");
	w->slow = (struct slow){whisper_run, whisper_free};
	op->slow = &w->slow;
	shout.whispers_made++;
	return ST_PENDING;
}

/* ---- lines ---- */

static void put_line(struct builder *out, const uint8_t *p, size_t n)
{
	uint8_t *to = builder_room(out, n + 1);

	if (to == NULL)
		return;
	for (size_t i = 0; i < n; i++)
		to[i] = (uint8_t)(p[i] - (p[i] >= 'a' && p[i] <= 'z' ? 'a' - 'A' : 0));
	to[n] = '\n';
	builder_took(out, n + 1);
}

/* What a line needs before it is answered. */
static enum status needs(struct op *op, const struct shout_state *s, struct span line)
{
	if (span_eq_str(line, "stop"))
		return answer_fail(op->ans, ST_CONFLICT, "stopped as told");
	if (s->allowance == 0)
		return ST_NEEDS_WRITER;
	return span_eq_str(line, "whisper") ? whisper(op) : ST_OK;
}

static enum status chunk(struct op *op, struct stream_visit *v)
{
	struct shout_state *s = op->stream_state;
	size_t n, whole;
	uint8_t *line;
	enum status st;

	shout.chunks++;
	MUST(!view_can_write(&op->view) && s->item_max != 0);
	while (v->out->n < v->out_full) {
		st = stream_line(v, s->item_max, &line, &n, &whole, &op->ans->err);
		if (st != ST_OK)
			return st == ST_NOT_FOUND ? ST_OK : st;
		st = needs(op, s, span_of(line, n));
		if (st != ST_OK)
			return st;
		s->allowance--;
		v->used += whole;
		op->stream_totals->items++;
		if (span_eq_str(span_of(line, n), "bad")) {
			/* as an engine that uses the answer for the texts of its items */
			op->stream_totals->failed++;
			answer_fail(op->ans, ST_INVALID, "a bad line");
			builder_fmt(v->out, "{\"error\":\"%s\"}\n", op->ans->err.text);
			continue;
		}
		put_line(v->out, line, n);
	}
	return ST_OK;
}

static enum status reserve(struct op *op)
{
	struct shout_state *s = op->stream_state;
	struct span value;
	struct err err = {0};
	enum status st = view_get(&op->view, span_str("reserved"), &value, &err);
	char text[20];

	MUST(view_can_write(&op->view));
	(void)snprintf(text, sizeof text, "%u", st == ST_OK ? (unsigned)(value.p[0] - '0') + 1 : 1);
	st = view_put(&op->view, span_str("reserved"), span_str(text), &op->ans->err);
	if (st == ST_OK && shout.reserve_answer != ST_OK)
		st = answer_fail(op->ans, shout.reserve_answer, "nothing is left");
	if (st == ST_OK)
		s->allowance = 2;
	return st;
}

/* Also for those whose handler was never asked. */
static void end(void *state)
{
	shout.ended += ((struct shout_state *)state)->handled;
}

static enum status deaf_chunk(struct op *op, struct stream_visit *v)
{
	(void)op;
	v->used = v->end == STREAM_LAST ? v->n : 0;
	return ST_OK;
}

static enum status get_op(struct op *op)
{
	struct span value;
	enum status st = view_get(&op->view, op->arg[0], &value, &op->ans->err);

	if (st != ST_OK)
		return st;
	op->ans->shape = ANSWER_TEXT;
	op->ans->content_type = "text/plain";
	builder_add(&op->ans->data, value);
	return ST_OK;
}

/* ---- the engine ---- */

static const struct stream_kind shouting = {.content_type = "application/x-ndjson",
                                            .state_n = sizeof(struct shout_state),
                                            .item_max = SHOUT_ITEM_MAX,
                                            .chunk = chunk,
                                            .reserve = reserve,
                                            .end = end};
static const struct stream_kind long_shouting = {.content_type = "application/x-ndjson",
                                                 .state_n = sizeof(struct shout_state),
                                                 .item_max = SHOUT_LONG_MAX,
                                                 .chunk = chunk,
                                                 .reserve = reserve,
                                                 .end = end};
/* The bare minimum. */
static const struct stream_kind deafness = {
    .content_type = "text/plain", .item_max = SHOUT_ITEM_MAX, .chunk = deaf_chunk};

static const struct operation operations[] = {
    {"shout", VERB_WRITE, "shout-stream/:name", OP_STREAM, 0, shout_op, NULL, NULL, &shouting},
    {"long", VERB_WRITE, "long-stream/:name", OP_STREAM, 0, long_op, NULL, NULL, &long_shouting},
    {"deaf", VERB_WRITE, "deaf-stream", OP_STREAM, 0, deaf_op, NULL, NULL, &deafness},
    {"get", VERB_READ, "get/:name", OP_READ, 0, get_op, NULL, NULL, NULL},
};
const struct engine engine_shout = {.type = "shout",
                                    .operations = operations,
                                    .n_operations = sizeof operations / sizeof *operations};
