/*
 * Slot secrets: for each term a random value outside the store, without which the term's sealed key cannot be opened.
 * Overwriting it destroys the term, however many old pages or copies of the store exist.
 *
 * Two files beside the store, slots.0 and slots.1, mode 0600, one 512-byte sector a term (docs/formats.md).  Both copies are
 * written and synced one after the other, so one of them is whole at any moment.  Without a folder (storage in memory) the
 * copies are in memory.  Any thread; calls wait for one another.
 */
#ifndef BARRIER_SLOTS_H
#define BARRIER_SLOTS_H

#include "crypto/secret.h"

#define STORE_ID_LEN    16
#define SLOT_SECRET_LEN 32
#define SLOT_SECTOR     512
#define SLOTS_AT_ONCE   128 /* that one call writes at most */

struct slots;

/* slots_open(folder, ret, err): folder NULL: in memory.  Creates the files when missing.  ST_IO, ST_INVALID (a file that is not ours), ST_NOMEM. */
MUST_USE enum status slots_open(const char *folder, struct slots **ret, struct err *err);
void slots_close(struct slots **s);

/* slots_bind(s, id): the store's identity; slots written or read from now on carry it. */
void slots_bind(struct slots *s, const uint8_t id[static STORE_ID_LEN]);

/* slots_on_disk(s): writing waits for a disk. */
bool slots_on_disk(const struct slots *s);

/*
 * slots_write(s, first, n, secrets, err): the secrets of n terms from `first` on, 1 to SLOTS_AT_ONCE, one behind the other; durable in both copies when
 * ST_OK, by one sync a copy.  ST_IO, ST_FULL, ST_NOMEM: none of the terms may be committed.
 */
MUST_USE enum status slots_write(struct slots *s, uint32_t first, uint32_t n,
                                 const struct secret *secrets, struct err *err);

/*
 * slots_read(s, term, ret, err): the secret; a torn or missing copy is repaired from the good one.  ST_NOT_FOUND: no copy holds this
 * term of this store (missing or foreign); ST_DENIED: it was destroyed.  ST_IO: neither copy can be read, or one not repaired.  ST_NOMEM.
 */
MUST_USE enum status slots_read(struct slots *s, uint32_t term, struct secret *ret,
                                struct err *err);

/*
 * slots_destroy(s, term, err): overwrite both copies in place and sync.  May be repeated.  slots_destroy_again: the same for a term retired
 * earlier; copies that are destroyed already are only read, so that a start with thousands of retired terms does not sync for each.
 */
MUST_USE enum status slots_destroy(struct slots *s, uint32_t term, struct err *err);
MUST_USE enum status slots_destroy_again(struct slots *s, uint32_t term, struct err *err);

#endif
