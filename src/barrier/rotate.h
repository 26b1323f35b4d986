/*
 * Rotation of the storage key: prepare a new term, check it, and let it be committed with everything else.
 *
 * The happy path, all on the writer's thread:
 *   1. a random key, in guarded memory;
 *   2. a random slot secret, written and synced, both copies (spares: in a rush of rotations that was done ahead);
 *   3. the key sealed under HKDF(term-wrapping key, slot secret), the sealed image opened again and compared (keyring_append);
 *   4. the group commits term record, head and usage record in one storage transaction with all records of the group, already sealed under
 *      the new term;
 *   5. the successor keyring is published: one atomic pointer.
 * What can fail: 1-3 leave nothing behind but a slot above the active term, which the next rotation overwrites or uses; a failed or unknown
 * commit is the writer's business: the slot is not reused before it is settled, as the writer does nothing before.
 */
#ifndef BARRIER_ROTATE_H
#define BARRIER_ROTATE_H

#include "barrier/keyring.h"
#include "barrier/usage.h"

struct txn;

/* Reported to the upper floor after the commit, for the audit and the metrics. */
struct rotation_event {
	enum term_cause cause;
	uint32_t old_term;
	uint32_t new_term;
	uint64_t old_encryptions; /* filled in at commit */
};

/*
 * rotate_now(t, cause, err): the writer's transaction t goes on with a new active term.  ST_NEEDS_WRITER on a reader's.  ST_IO, ST_FULL (slot
 * files), ST_NOMEM, ST_CORRUPT (self-check), ST_LIMIT, ST_BUSY (too many rotations in one group): t is as it was.
 */
MUST_USE enum status rotate_now(struct txn *t, enum term_cause cause, struct err *err);

/* rotate_check(s, err): ST_INVALID with the text that clients know when the settings are outside their bounds. */
MUST_USE enum status rotate_check(const struct rotate_settings *s, struct err *err);

/*
 * rotate_due(k, u, now_ns, more, ret): must the active term, used as u says, be replaced before `more` further encryptions?  ST_OK: no rotation is due
 * (*ret is 0) or one is (*ret its cause).  ST_UNAVAILABLE: automatic rotation is off and the cipher's hard bound would be passed.
 * Pure.
 */
MUST_USE enum status rotate_due(const struct keyring *k, const struct usage *u, int64_t now_ns,
                                uint64_t more, enum term_cause *ret, struct err *err);

/* rotate_due_at(k): the wall time at which the interval ends; INT64_MAX: none. */
int64_t rotate_due_at(const struct keyring *k);

#endif
