#include "barrier/snapshot.h"

#include <stdlib.h>

const struct world *world_ref(const struct world *w)
{
	struct world *mine = (struct world *)(uintptr_t)w;

	if (w != NULL)
		atomic_fetch_add_explicit(&mine->refs, 1, memory_order_relaxed);
	return w;
}

void world_unref(const struct world **w)
{
	struct world *mine = (struct world *)(uintptr_t)*w;

	*w = NULL;
	if (mine != NULL && atomic_fetch_sub_explicit(&mine->refs, 1, memory_order_acq_rel) == 1)
		mine->destroy(mine);
}

static void snapshot_destroy(void *object)
{
	struct snapshot *s = object;

	keyring_unref(&s->keyring);
	world_unref(&s->world);
	free(s);
}

enum status snapshots_hang(struct snapshots *s, uint64_t id, const struct keyring *k,
                           const struct world *w)
{
	struct snapshot *new = calloc(1, sizeof *new), *now;

	MUST(s->hung == NULL);
	if (new == NULL)
		return ST_NOMEM;
	new->id = id;
	new->keyring = keyring_ref(k);
	new->world = world_ref(w);
	atomic_init(&new->next, NULL);
	s->hung = new;
	now = atomic_load_explicit(&s->published, memory_order_relaxed);
	if (now != NULL)
		atomic_store_explicit(&now->next, new, memory_order_release);
	return ST_OK;
}

void snapshots_publish(struct snapshots *s)
{
	struct snapshot *old = atomic_load_explicit(&s->published, memory_order_relaxed);

	MUST(s->hung != NULL);
	atomic_store_explicit(&s->published, s->hung, memory_order_release);
	s->hung = NULL;
	if (old != NULL)
		epoch_retire(s->epoch, old, snapshot_destroy);
}

void snapshots_unhang(struct snapshots *s)
{
	struct snapshot *now = atomic_load_explicit(&s->published, memory_order_relaxed);

	if (s->hung == NULL)
		return;
	if (now != NULL)
		atomic_store_explicit(&now->next, NULL, memory_order_release);
	epoch_retire(s->epoch, s->hung, snapshot_destroy);
	s->hung = NULL;
}

void snapshots_clear(struct snapshots *s)
{
	struct snapshot *old = atomic_exchange_explicit(&s->published, NULL, memory_order_acq_rel);

	MUST(s->hung == NULL);
	if (old != NULL)
		epoch_retire(s->epoch, old, snapshot_destroy);
}

const struct snapshot *snapshots_pick(const struct snapshot *start, uint64_t id)
{
	const struct snapshot *next;

	while ((next = atomic_load_explicit(&start->next, memory_order_acquire)) != NULL &&
	       next->id <= id)
		start = next;
	return start;
}
