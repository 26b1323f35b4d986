#include "core/sched.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"

#define MODULE         "sched"
#define RETRY_FIRST_NS NS_PER_S
#define RETRY_MOST_NS  (300 * NS_PER_S)

struct work {
	const char *name;
	enum status (*run)(void *ctx, struct txn *t, int64_t now_ns, int64_t *ret_next_ns,
	                   struct err *err);
	void *ctx;
	int64_t at_ns;
	int64_t wait_ns;         /* of the last failure; 0: none */
	void (*lost)(void *ctx); /* NULL: nobody asks */
	bool ran;                /* in the last run, without a failure */
};

struct sched {
	struct work works[SCHED_MAX];
	unsigned n;
};

enum status sched_new(struct sched **ret)
{
	struct sched *s = calloc(1, sizeof *s);

	if (s == NULL)
		return ST_NOMEM;
	*ret = s;
	return ST_OK;
}

void sched_free(struct sched **s)
{
	free(*s);
	*s = NULL;
}

unsigned sched_add(struct sched *s, const char *name,
                   enum status (*run)(void *ctx, struct txn *t, int64_t now_ns,
                                      int64_t *ret_next_ns, struct err *err),
                   void *ctx)
{
	MUST(s->n < SCHED_MAX);
	s->works[s->n] = (struct work){.name = name, .run = run, .ctx = ctx, .at_ns = SCHED_NEVER};
	return s->n++;
}

void sched_on_lost(struct sched *s, unsigned number, void (*lost)(void *ctx))
{
	MUST(number < s->n);
	s->works[number].lost = lost;
}

void sched_at(struct sched *s, unsigned number, int64_t at_ns)
{
	MUST(number < s->n);
	if (at_ns < s->works[number].at_ns && s->works[number].wait_ns == 0)
		s->works[number].at_ns = at_ns;
}

void sched_clear(struct sched *s)
{
	for (unsigned i = 0; i < s->n; i++) {
		s->works[i].at_ns = SCHED_NEVER;
		s->works[i].wait_ns = 0;
	}
}

int64_t sched_due_at(void *sched)
{
	const struct sched *s = sched;
	int64_t at = SCHED_NEVER;

	for (unsigned i = 0; i < s->n; i++)
		if (s->works[i].at_ns < at)
			at = s->works[i].at_ns;
	return at;
}

static void run_one(struct work *w, struct txn *t, int64_t now_ns)
{
	struct txn_mark mark;
	struct err err = {0};
	int64_t next = SCHED_NEVER;
	enum status st;

	txn_mark(t, &mark);
	st = w->run(w->ctx, t, now_ns, &next, &err);
	if (st == ST_OK) {
		txn_release(t, &mark);
		w->at_ns = next;
		w->wait_ns = 0;
		w->ran = true;
		return;
	}
	txn_undo(t, &mark);
	w->wait_ns = w->wait_ns == 0 ? RETRY_FIRST_NS : w->wait_ns * 2;
	if (w->wait_ns > RETRY_MOST_NS)
		w->wait_ns = RETRY_MOST_NS;
	w->at_ns = now_ns + w->wait_ns;
	log_warn(MODULE, "%s failed: %s; next try in %lld s", w->name, err_text(&err, st),
	         (long long)(w->wait_ns / NS_PER_S));
}

enum status sched_run(void *sched, struct txn *t, int64_t now_ns, struct err *err)
{
	struct sched *s = sched;

	(void)err;
	for (unsigned i = 0; i < s->n; i++)
		s->works[i].ran = false;
	for (unsigned i = 0; i < s->n; i++)
		if (s->works[i].at_ns <= now_ns)
			run_one(&s->works[i], t, now_ns);
	return ST_OK;
}

void sched_lost(void *sched)
{
	struct sched *s = sched;

	for (unsigned i = 0; i < s->n; i++) {
		struct work *w = &s->works[i];

		if (!w->ran)
			continue;
		w->at_ns = SCHED_NOW;
		if (w->lost != NULL)
			w->lost(w->ctx);
	}
}
