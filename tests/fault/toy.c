#include "fault/toy.h"

#include <stdlib.h>
#include <string.h>

/* ---- slow work ---- */

struct toy_work {
	struct slow slow; /* first member */
	char *text;
};

static void work_run(struct slow *slow)
{
	struct toy_work *w = (struct toy_work *)(void *)slow;

	w->text = strdup("worked"); /* NULL: the handler will see */
}

static void work_free(struct slow **slow)
{
	struct toy_work *w = (struct toy_work *)(void *)*slow;

	*slow = NULL;
	if (w == NULL)
		return;
	free(w->text);
	free(w);
}

static enum status prepare(struct op *op)
{
	struct toy_work *w = calloc(1, sizeof *w);

	if (w == NULL)
		return answer_fail(op->ans, ST_NOMEM, "no memory for work");
	w->slow = (struct slow){work_run, work_free};
	op->slow = &w->slow;
	return ST_PENDING;
}

static enum status work_op(struct op *op)
{
	const struct toy_work *w = (const struct toy_work *)(const void *)op->slow;
	struct view slow;

	if (w == NULL)
		return prepare(op);
	if (w->text == NULL)
		return answer_fail(op->ans, ST_NOMEM, "no memory while at work");
	view_below(&slow, &op->view, span_str("slow/"));
	op->ans->shape = ANSWER_EMPTY;
	return op->ans->status = view_put(&slow, op->arg[0], span_str(w->text), &op->ans->err);
}

/* ---- streams ---- */

struct toy_stream {
	unsigned lines;
	bool reserved;
};

static enum status stream_op(struct op *op)
{
	(void)op;
	return ST_OK;
}

/* What a line needs before it is done. */
static enum status needs(struct op *op, const struct toy_stream *s)
{
	const struct toy_work *w = (const struct toy_work *)(const void *)op->slow;

	if (s->lines == 0 && w == NULL)
		return prepare(op);
	if (s->lines == 0 && w->text == NULL)
		return answer_fail(op->ans, ST_NOMEM, "no memory while at work");
	return s->lines == 1 && !s->reserved ? ST_NEEDS_WRITER : ST_OK;
}

static enum status chunk(struct op *op, struct stream_visit *v)
{
	struct toy_stream *s = op->stream_state;
	size_t n, whole;
	uint8_t *line;
	enum status st;

	while ((st = stream_line(v, 100, &line, &n, &whole, &op->ans->err)) == ST_OK) {
		st = needs(op, s);
		if (st != ST_OK)
			return st;
		builder_add(v->out, span_of(line, n));
		builder_u8(v->out, '\n');
		v->used += whole;
		s->lines++;
		op->stream_totals->items++;
	}
	return st == ST_NOT_FOUND ? ST_OK : st;
}

static enum status reserve(struct op *op)
{
	struct toy_stream *s = op->stream_state;
	struct view slow;
	enum status st;

	view_below(&slow, &op->view, span_str("slow/"));
	st = view_put(&slow, op->arg[0], span_str("reserved"), &op->ans->err);
	s->reserved = st == ST_OK;
	return st;
}

static const struct stream_kind stream = {.content_type = "application/x-ndjson",
                                          .state_n = sizeof(struct toy_stream),
                                          .item_max = 100,
                                          .chunk = chunk,
                                          .reserve = reserve};

/* ---- ticks ---- */

/* A task for the next tick, which comes now. */
static enum status wake_op(struct op *op)
{
	struct view todo;

	view_below(&todo, &op->view, span_str("todo/"));
	op->wake_ns = op->now_ns;
	op->ans->shape = ANSWER_EMPTY;
	return op->ans->status = view_put(&todo, op->arg[0], span_str("x"), &op->ans->err);
}

static enum status tick(void *self, void *thread, const struct view *mount,
                        const struct mount_facts *facts, int64_t now_ns, int64_t *ret_next_ns,
                        struct err *err)
{
	struct view todo, done;
	struct span path;
	char name[64];
	enum status st;

	(void)self;
	(void)thread;
	(void)facts;
	(void)now_ns;
	view_below(&todo, mount, span_str("todo/"));
	view_below(&done, mount, span_str("done/"));
	st = view_first(&todo, &path, err);
	if (st != ST_OK) {
		*ret_next_ns = INT64_MAX;
		return st == ST_NOT_FOUND ? ST_OK : st;
	}
	st = span_cstr(path, name, sizeof name);
	if (st == ST_OK)
		st = view_put(&done, span_str(name), span_str("x"), err);
	if (st == ST_OK)
		st = view_delete(&todo, span_str(name), err);
	if (st == ST_OK)
		st = view_note(mount, span_str("{\"done\":true}"), err);
	*ret_next_ns = INT64_MIN;
	return st;
}

static enum status closing(void *self, void *thread, const struct view *mount, struct err *err)
{
	enum status st = view_exists(mount, span_str("slow/kept"), err);

	(void)self;
	(void)thread;
	if (st == ST_NOT_FOUND)
		return ST_OK;
	return st == ST_OK ? view_put(mount, span_str("slow/kept"), span_str("worked"), err) : st;
}

/* ---- the engine ---- */

static enum status read_below(struct op *op, const char *folder)
{
	struct view v;

	view_below(&v, &op->view, span_str(folder));
	op->ans->shape = ANSWER_TEXT;
	op->ans->content_type = "text/plain";
	return op->ans->status = view_exists(&v, op->arg[0], &op->ans->err);
}

static enum status slow_read_op(struct op *op)
{
	return read_below(op, "slow/");
}

static enum status done_read_op(struct op *op)
{
	return read_below(op, "done/");
}

static const struct operation operations[] = {
    {"slow", VERB_WRITE, "slow/:name", OP_WRITE, 0, work_op, NULL, prepare},
    {"late", VERB_WRITE, "late/:name", OP_WRITE, 0, work_op, NULL, NULL},
    {"slow-read", VERB_READ, "slow/:name", OP_READ, 0, slow_read_op, NULL, NULL},
    {"stream", VERB_WRITE, "stream/:name", OP_STREAM, 0, stream_op, NULL, NULL, &stream},
    {"wake", VERB_WRITE, "wake/:name", OP_WRITE, 0, wake_op, NULL, NULL},
    {"done-read", VERB_READ, "done/:name", OP_READ, 0, done_read_op, NULL, NULL},
};

static const struct engine_life life = {.tick = tick, .closing = closing};

const struct engine engine_toy = {"toy", operations, sizeof operations / sizeof *operations, &life};
