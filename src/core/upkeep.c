#include "core/upkeep.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "core/world.h"

#define MODULE         "upkeep"
#define RETRY_FIRST_NS NS_PER_S
#define RETRY_MOST_NS  (300 * NS_PER_S)
/* Mounts ticked in one run, so that a group of writes stays small. */
#define TICKS_A_RUN 16

struct plan {
	char uuid[UUID_LEN + 1]; /* of the mount */
	int64_t at_ns;
	int64_t wait_ns; /* of the last failure; 0: none */
	bool ran;        /* in the last run */
};

struct upkeep {
	struct upkeep_config config;
	struct engine_threads threads; /* the writer's */
	unsigned work;
	int64_t all_at_ns;  /* when every mount is ticked, known or not */
	struct plan *plans; /* n of them, by uuid */
	size_t n, cap;
	size_t cursor; /* where the next run begins, so that none is starved */
};

/* ---- plans ---- */

/* The index of the mount's plan, or where it would stand. */
static size_t place_of(const struct upkeep *u, const char *uuid)
{
	size_t lo = 0, hi = u->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (strcmp(u->plans[mid].uuid, uuid) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static enum status reserve(struct upkeep *u, size_t n)
{
	size_t cap = u->cap < 8 ? 8 : u->cap * 2;
	struct plan *more;

	if (n <= u->cap)
		return ST_OK;
	if (cap < n)
		cap = n;
	more = reallocarray(u->plans, cap, sizeof *more);
	if (more == NULL)
		return ST_NOMEM;
	u->plans = more;
	u->cap = cap;
	return ST_OK;
}

static enum status plan_mount(struct upkeep *u, const char *uuid, int64_t at_ns)
{
	size_t i = place_of(u, uuid);
	struct plan *p;

	if (i == u->n || strcmp(u->plans[i].uuid, uuid) != 0) {
		if (reserve(u, u->n + 1) != ST_OK)
			return ST_NOMEM;
		memmove(&u->plans[i + 1], &u->plans[i], (u->n - i) * sizeof *u->plans);
		u->n++;
		u->plans[i] = (struct plan){.at_ns = SCHED_NEVER};
		memcpy(u->plans[i].uuid, uuid, UUID_LEN);
	}
	p = &u->plans[i];
	if (p->wait_ns == 0 && at_ns < p->at_ns)
		p->at_ns = at_ns;
	return ST_OK;
}

static void plan_all(struct upkeep *u, int64_t at_ns)
{
	if (at_ns < u->all_at_ns)
		u->all_at_ns = at_ns;
	sched_at(u->config.sched, u->work, at_ns);
}

static void plan_one(struct upkeep *u, const char *uuid, int64_t at_ns)
{
	/* What cannot be remembered of one is remembered of all: that needs no memory. */
	if (plan_mount(u, uuid, at_ns) != ST_OK)
		plan_all(u, at_ns);
	else
		sched_at(u->config.sched, u->work, at_ns);
}

static int64_t earliest(const struct upkeep *u)
{
	int64_t at = u->all_at_ns;

	for (size_t i = 0; i < u->n; i++)
		if (u->plans[i].at_ns < at)
			at = u->plans[i].at_ns;
	return at;
}

/* Plans of which nothing is to come any more. */
static void drop_finished(struct upkeep *u)
{
	size_t kept = 0;

	for (size_t i = 0; i < u->n; i++) {
		u->plans[i].ran = false;
		if (u->plans[i].at_ns != SCHED_NEVER)
			u->plans[kept++] = u->plans[i];
	}
	u->n = kept;
}

/* ---- ticks ---- */

static const struct engine_life *life_of(const struct mount *m)
{
	static const struct engine_life none;

	return m->builtin || m->engine->life == NULL ? &none : m->engine->life;
}

static const struct mounts *mounts_of(const struct txn *t)
{
	return world_core(txn_world(t))->mounts;
}

static enum status plan_every_mount(struct upkeep *u, const struct mounts *mounts)
{
	enum status st = ST_OK;

	for (size_t i = 0; i < mounts_count(mounts) && st == ST_OK; i++) {
		const struct mount *m = mounts_at(mounts, i);

		if (life_of(m)->tick != NULL)
			st = plan_mount(u, m->uuid, SCHED_NOW);
	}
	return st;
}

static enum status tick(struct upkeep *u, const struct mount *m, struct txn *t, int64_t now_ns,
                        int64_t *ret_next_ns, struct err *err)
{
	struct mount_facts facts;
	struct view view;

	view_init(&view, t, span_str(m->prefix));
	mount_get_facts(m, u->config.default_lease_ttl_s, u->config.max_lease_ttl_s, &facts);
	return life_of(m)->tick(m->self, upkeep_thread(u, m), &view, &facts, now_ns, ret_next_ns,
	                        err);
}

static void run_plan(struct upkeep *u, struct plan *p, struct txn *t, int64_t now_ns)
{
	const struct mount *m = mounts_by_uuid(mounts_of(t), p->uuid);
	struct txn_mark mark;
	struct err err = {0};
	enum status st;

	p->at_ns = SCHED_NEVER;
	if (m == NULL || life_of(m)->tick == NULL) /* it was unmounted */
		return;
	p->ran = true;
	txn_mark(t, &mark);
	st = tick(u, m, t, now_ns, &p->at_ns, &err);
	if (st == ST_OK) {
		txn_release(t, &mark);
		p->wait_ns = 0;
		return;
	}
	txn_undo(t, &mark);
	p->wait_ns = p->wait_ns == 0 ? RETRY_FIRST_NS : p->wait_ns * 2;
	if (p->wait_ns > RETRY_MOST_NS)
		p->wait_ns = RETRY_MOST_NS;
	p->at_ns = now_ns + p->wait_ns;
	log_warn(MODULE, "the periodic work of %s failed: %s; next try in %lld s", m->path,
	         err_text(&err, st), (long long)(p->wait_ns / NS_PER_S));
}

static enum status run(void *ctx, struct txn *t, int64_t now_ns, int64_t *ret_next_ns,
                       struct err *err)
{
	struct upkeep *u = ctx;
	size_t done = 0, at = 0;

	drop_finished(u);
	if (u->all_at_ns <= now_ns) {
		if (plan_every_mount(u, mounts_of(t)) != ST_OK)
			return err_set(err, ST_NOMEM, "no memory to plan the work of the mounts");
		u->all_at_ns = SCHED_NEVER;
	}
	for (size_t i = 0; i < u->n && done < TICKS_A_RUN; i++) {
		at = (u->cursor + i) % u->n;
		if (u->plans[at].at_ns > now_ns)
			continue;
		run_plan(u, &u->plans[at], t, now_ns);
		done++;
	}
	u->cursor = at + 1;
	*ret_next_ns = earliest(u);
	return ST_OK;
}

/* The group of the last run could not be committed: what ran is due again. */
static void lost(void *ctx)
{
	struct upkeep *u = ctx;

	for (size_t i = 0; i < u->n; i++)
		if (u->plans[i].ran && u->plans[i].wait_ns == 0)
			u->plans[i].at_ns = SCHED_NOW;
}

/* ---- for the gate and sys ---- */

void *upkeep_thread(const struct upkeep *u, const struct mount *m)
{
	return m->slot < ENGINES_MAX ? u->threads.of[m->slot] : NULL;
}

void upkeep_wake(struct upkeep *u, const struct mount *m, int64_t at_ns)
{
	if (life_of(m)->tick != NULL)
		plan_one(u, m->uuid, at_ns);
}

void upkeep_nudge(struct upkeep *u, const char *uuid)
{
	if (uuid[0] == 0)
		plan_all(u, SCHED_NOW);
	else
		plan_one(u, uuid, SCHED_NOW);
}

void upkeep_opened(struct upkeep *u)
{
	u->n = 0;
	u->all_at_ns = SCHED_NEVER;
	plan_all(u, SCHED_NOW);
}

static void close_mount(struct upkeep *u, const struct mount *m, struct txn *t)
{
	struct txn_mark mark;
	struct err err = {0};
	struct view view;
	enum status st;

	view_init(&view, t, span_str(m->prefix));
	txn_mark(t, &mark);
	st = life_of(m)->closing(m->self, upkeep_thread(u, m), &view, &err);
	if (st == ST_OK) {
		txn_release(t, &mark);
		return;
	}
	txn_undo(t, &mark);
	log_warn(MODULE, "what %s kept in memory is not stored: %s", m->path, err_text(&err, st));
}

enum status upkeep_closing(struct upkeep *u, struct txn *t, struct err *err)
{
	const struct mounts *mounts = mounts_of(t);

	(void)err;
	for (size_t i = 0; i < mounts_count(mounts); i++)
		if (life_of(mounts_at(mounts, i))->closing != NULL)
			close_mount(u, mounts_at(mounts, i), t);
	return ST_OK;
}

void upkeep_closed(struct upkeep *u)
{
	const struct engine_table *e = u->config.engines;

	engine_threads_drop(&u->threads);
	for (size_t i = 0; i < e->n; i++) {
		const struct engine_life *life = e->entries[i].engine->life;

		if (life != NULL && life->closed != NULL)
			life->closed(e->entries[i].self);
	}
	u->n = 0;
	u->all_at_ns = SCHED_NEVER;
}

/* ---- life ---- */

enum status upkeep_new(const struct upkeep_config *config, struct upkeep **ret, struct err *err)
{
	struct upkeep *u = calloc(1, sizeof *u);

	if (u == NULL || engine_threads_init(&u->threads, config->engines) != ST_OK) {
		free(u);
		return err_set(err, ST_NOMEM, "no memory for the engines");
	}
	u->config = *config;
	u->all_at_ns = SCHED_NEVER;
	u->work = sched_add(config->sched, "engines", run, u);
	sched_on_lost(config->sched, u->work, lost);
	*ret = u;
	return ST_OK;
}

void upkeep_free(struct upkeep **u)
{
	if (*u == NULL)
		return;
	engine_threads_free(&(*u)->threads);
	free((*u)->plans);
	free(*u);
	*u = NULL;
}
