/*
 * Each reader has a slot: 0 while it is offline, else the epoch it saw at its latest quiescent state.  Retiring an object takes
 * the next epoch as its tag; it may go once every slot is offline or has seen the tag.
 *
 * Why that is right.  A reader that saw epoch t read it (acquire) after the writer had unpublished what is tagged t and
 * below (release), so whatever it loads from then on is newer; and it stores the slot (release) after its last use
 * of what it had loaded before.  A reader that comes online is the subtle case: the writer may look at its slot
 * just before it is set.  Both sides therefore touch the slot with a read-modify-write: if the writer's comes first, the reader's
 * takes its value from it and sees everything unpublished before; if it comes second, the writer sees the reader.  The
 * slot's offline mark is an exchange too, so that this chain is never broken by a plain store.  No fences: those
 * are invisible to the thread sanitizer.
 */
#include <stdalign.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include "base/epoch.h"

#define CACHE_LINE 64
#define OFFLINE    ((uint64_t)0)

struct epoch_reader {
	alignas(CACHE_LINE) _Atomic uint64_t seen;
	_Atomic int taken;
	struct epoch *epoch;
};

struct note {
	struct note *next;
	uint64_t tag;
	void *object;
	void (*destroy)(void *);
};

struct epoch {
	struct epoch_reader readers[EPOCH_READERS_MAX];
	alignas(CACHE_LINE) _Atomic uint64_t now; /* from 1 up */
	_Atomic unsigned high;                    /* no slot at or above it was ever taken */
	/* the writer's: oldest first */
	alignas(CACHE_LINE) struct note *first;
	struct note **last;
	size_t waiting;
	int polling; /* a destroy function runs; it may retire more, but not poll */
};

enum status epoch_new(struct epoch **ret)
{
	struct epoch *e = aligned_alloc(CACHE_LINE, sizeof(*e));

	if (e == NULL)
		return ST_NOMEM;
	for (size_t i = 0; i < EPOCH_READERS_MAX; i++) {
		atomic_init(&e->readers[i].seen, OFFLINE);
		atomic_init(&e->readers[i].taken, 0);
		e->readers[i].epoch = e;
	}
	atomic_init(&e->now, 1);
	atomic_init(&e->high, 0);
	e->first = NULL;
	e->last = &e->first;
	e->waiting = 0;
	e->polling = 0;
	*ret = e;
	return ST_OK;
}

void epoch_free(struct epoch **e)
{
	if (*e == NULL)
		return;
	for (size_t i = 0; i < EPOCH_READERS_MAX; i++)
		MUST(atomic_load(&(*e)->readers[i].taken) == 0);
	while (epoch_poll(*e) > 0)
		;
	free(*e);
	*e = NULL;
}

enum status epoch_join(struct epoch *e, struct epoch_reader **ret)
{
	for (unsigned i = 0; i < EPOCH_READERS_MAX; i++) {
		unsigned high;
		int no = 0;

		if (!atomic_compare_exchange_strong(&e->readers[i].taken, &no, 1))
			continue;
		/* The same handshake as for a slot: a writer that looks no further than the old mark comes before us. */
		high = atomic_load(&e->high);
		while (high <= i && !atomic_compare_exchange_weak(&e->high, &high, i + 1))
			;
		*ret = &e->readers[i];
		return ST_OK;
	}
	return ST_LIMIT;
}

void epoch_leave(struct epoch_reader **r)
{
	if (*r == NULL)
		return;
	epoch_offline(*r);
	atomic_store(&(*r)->taken, 0);
	*r = NULL;
}

void epoch_online(struct epoch_reader *r)
{
	uint64_t now = atomic_load_explicit(&r->epoch->now, memory_order_acquire);

	(void)atomic_exchange_explicit(&r->seen, now, memory_order_acq_rel);
}

/* Online already, so the writer cannot overlook the slot: a plain release store is enough, and mostly not even that. */
void epoch_quiet(struct epoch_reader *r)
{
	uint64_t now = atomic_load_explicit(&r->epoch->now, memory_order_acquire);
	uint64_t seen = atomic_load_explicit(&r->seen, memory_order_relaxed);

	MUST(seen != OFFLINE);
	if (seen != now)
		atomic_store_explicit(&r->seen, now, memory_order_release);
}

void epoch_offline(struct epoch_reader *r)
{
	(void)atomic_exchange_explicit(&r->seen, OFFLINE, memory_order_acq_rel);
}

/* The highest tag that every reader has passed. */
static uint64_t passed(struct epoch *e)
{
	uint64_t lowest = UINT64_MAX;
	unsigned high = atomic_fetch_add(&e->high, 0);

	for (unsigned i = 0; i < high; i++) {
		uint64_t seen =
		    atomic_fetch_add_explicit(&e->readers[i].seen, 0, memory_order_acq_rel);

		if (seen != OFFLINE && seen < lowest)
			lowest = seen;
	}
	return lowest;
}

size_t epoch_poll(struct epoch *e)
{
	uint64_t tag;

	if (e->first == NULL || e->polling)
		return e->waiting;
	tag = passed(e);
	e->polling = 1;
	/* Only what waited at the scan: a destroy function may retire more, which a reader that came online since may hold. */
	for (size_t n = e->waiting; n > 0 && e->first->tag <= tag; n--) {
		struct note *note = e->first;

		e->first = note->next;
		if (e->first == NULL)
			e->last = &e->first;
		e->waiting--;
		note->destroy(note->object);
		free(note);
	}
	e->polling = 0;
	return e->waiting;
}

static uint64_t next_epoch(struct epoch *e)
{
	return atomic_fetch_add_explicit(&e->now, 1, memory_order_acq_rel) + 1;
}

/* Short naps: readers pass at the end of a loop turn, within microseconds. */
static void nap(void)
{
	const struct timespec t = {.tv_sec = 0, .tv_nsec = 20000};

	(void)nanosleep(&t, NULL);
}

void epoch_retire(struct epoch *e, void *object, void (*destroy)(void *object))
{
	struct note *note = malloc(sizeof(*note));
	uint64_t tag = next_epoch(e);

	if (note == NULL) {
		while (passed(e) < tag)
			nap();
		destroy(object);
		return;
	}
	*note = (struct note){.tag = tag, .object = object, .destroy = destroy};
	*e->last = note;
	e->last = &note->next;
	e->waiting++;
	(void)epoch_poll(e);
}

void epoch_drain(struct epoch *e)
{
	while (epoch_poll(e) > 0)
		nap();
}
