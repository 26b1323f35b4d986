#include "core/floor.h"

#include "core/gate.h"
#include "core/sys.h"

static void rotated(void *ctx, const struct rotation_event *e)
{
	const struct floor *f = ctx;

	sys_rotated(f->sys, e);
}

static void noted(void *ctx, struct span text)
{
	const struct floor *f = ctx;

	sys_noted(f->sys, text);
}

static int64_t due_at(void *ctx)
{
	const struct floor *f = ctx;

	return sched_due_at(f->sched);
}

static enum status due(void *ctx, struct txn *t, int64_t now_ns, struct err *err)
{
	const struct floor *f = ctx;

	return sched_run(f->sched, t, now_ns, err);
}

static void due_lost(void *ctx)
{
	const struct floor *f = ctx;

	sched_lost(f->sched);
}

static void stopped(void *ctx)
{
	const struct floor *f = ctx;

	gate_stopped(f->gate);
}

static enum status closing(void *ctx, struct txn *t, struct err *err)
{
	const struct floor *f = ctx;

	return upkeep_closing(f->upkeep, t, err);
}

static void closed(void *ctx)
{
	const struct floor *f = ctx;

	sys_closed(f->sys);
	gate_closed(f->gate);
}

struct writer_hooks floor_hooks(struct floor *f)
{
	return (struct writer_hooks){.ctx = f,
	                             .rotated = rotated,
	                             .due_at = due_at,
	                             .due = due,
	                             .due_lost = due_lost,
	                             .noted = noted,
	                             .stopped = stopped,
	                             .closing = closing,
	                             .closed = closed};
}
