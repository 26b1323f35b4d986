/*
 * Slots made ahead of need, while rotations follow one another so fast that writes would notice their syncs: the secrets of the terms to come,
 * random, written and synced in both copies by a thread of its own.  A rotation finds its slot ready then and waits for no disk.
 *
 * A rush begins with the fourth rotation of which each came within a second of the one before, and ends when a second passes without any.
 * Outside of one nothing is made ahead: a copy of the slot files holds the secrets of no term that is yet to come, so that rotating once is
 * enough after a copy was lost.
 *
 * The happy path: after each group with rotations the writer says which term is active (spares_advance); in a rush, when few slots are left, the
 * thread makes SLOTS_AT_ONCE more, by one write and one sync a copy; spares_get hands them out.
 * Ways it can fail: none is ready (the rotation waits for those that are being made, or makes its own); they cannot be made (logged; the
 * rotation makes its own and says why it cannot; the next one that is committed tries again); a rotation is undone or not committed (its slot
 * stays ready for the next try: it is durable, and no term's); the store is sealed (what is being made is waited for, what is ready is
 * wiped; the slots that no term has are overwritten by the rotations of the next time).
 *
 * With slots in memory nothing is made ahead and there is no thread.
 */
#ifndef BARRIER_SPARES_H
#define BARRIER_SPARES_H

#include "barrier/slots.h"
#include "base/clock.h"
#include "crypto/random.h"

struct spares;

/* spares_new(slots, clock, random, ret, err): all three are kept.  ST_NOMEM.  spares_free: stopped, or never started. */
MUST_USE enum status spares_new(struct slots *slots, const struct clock *clock,
                                const struct random *random, struct spares **ret, struct err *err);
void spares_free(struct spares **s);

/* spares_start(s, err): the thread.  ST_IO.  spares_stop(s): closed, and the thread ends; without one nothing. */
MUST_USE enum status spares_start(struct spares *s, struct err *err);
void spares_stop(struct spares *s);

/*
 * spares_get(s, term, ret, err): the slot secret for a new term, the one behind the active one or behind one that was just got; durable in both
 * copies.  May be asked again for the same term until it is committed.  ST_IO, ST_FULL, ST_NOMEM: the term must not be committed.  The
 * writer's thread.
 */
MUST_USE enum status spares_get(struct spares *s, uint32_t term, struct secret *ret,
                                struct err *err);

/* spares_advance(s, active): all terms up to this one are committed, the outcome of every commit is settled.  The writer's thread. */
void spares_advance(struct spares *s, uint32_t active);

/* spares_close(s): nothing is made any more and nothing is ready; all secrets are wiped when it returns.  The writer's thread. */
void spares_close(struct spares *s);

/* spares_ready(s): how many are ready.  Any thread. */
uint32_t spares_ready(struct spares *s);

#endif
