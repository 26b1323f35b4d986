/* Nudges: a handler on a loop asks that the writer tick its mount soon.  No allocation, no lock; many cost one job. */
#include <string.h>

#include "core/gate_impl.h"

static enum status run(struct writer_job *job, struct txn *t, struct err *err)
{
	struct gate_nudge *n = (struct gate_nudge *)(void *)job;

	(void)t;
	(void)err;
	/* Takes over what the loop did before its last nudge. */
	atomic_exchange_explicit(&n->state, NUDGE_RUNNING, memory_order_acq_rel);
	upkeep_nudge(n->upkeep, n->uuid);
	return ST_OK;
}

static void done(struct writer_job *job, enum status st, const struct err *err)
{
	struct gate_nudge *n = (struct gate_nudge *)(void *)job;
	char uuid[sizeof n->uuid];

	(void)
	    st; /* after a failed commit the tick runs again by itself; a closed store is ticked when it opens */
	(void)err;
	memcpy(uuid, n->uuid, sizeof uuid);
	if (atomic_exchange_explicit(&n->state, NUDGE_FREE, memory_order_acq_rel) == NUDGE_AGAIN)
		upkeep_nudge(n->upkeep, uuid);
}

/* It is on its way, and the writer will see what was done before this. */
static bool takes_along(struct gate_nudge *n)
{
	enum nudge_state now = atomic_load_explicit(&n->state, memory_order_acquire);

	while (now != NUDGE_FREE) {
		if (atomic_compare_exchange_weak_explicit(
		        &n->state, &now, now == NUDGE_RUNNING ? NUDGE_AGAIN : now,
		        memory_order_acq_rel, memory_order_acquire))
			return true;
	}
	return false;
}

static void send(struct gate_nudge *n, struct writer *w)
{
	n->job = (struct writer_job){.run = run, .done = done, .kind = JOB_WRITE};
	atomic_store_explicit(&n->state, NUDGE_WAITING, memory_order_relaxed);
	writer_submit(w, &n->job);
}

void gate_nudge(struct gate_loop *l, struct writer *w, const struct mount *m)
{
	struct gate_nudge *n = NULL;

	for (size_t i = 0; i < GATE_NUDGES; i++) {
		struct gate_nudge *at = &l->nudges[i];

		if (strcmp(at->uuid, m->uuid) == 0 && takes_along(at))
			return;
		if (n == NULL &&
		    atomic_load_explicit(&at->state, memory_order_acquire) == NUDGE_FREE)
			n = at;
	}
	if (n != NULL) {
		memcpy(n->uuid, m->uuid, sizeof n->uuid);
		send(n, w);
	} else if (!takes_along(&l->nudges[GATE_NUDGES])) {
		send(&l->nudges[GATE_NUDGES], w);
	}
}

void gate_nudges_init(struct gate_loop *l, struct upkeep *u)
{
	for (size_t i = 0; i <= GATE_NUDGES; i++) {
		l->nudges[i].upkeep = u;
		atomic_init(&l->nudges[i].state, NUDGE_FREE);
	}
}
