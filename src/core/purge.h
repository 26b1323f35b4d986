/*
 * What must go but is too much for one transaction: everything below a prefix (an unmounted engine, a dead token's cubbyhole), the descendants of
 * a revoked token.  One mark is committed with the change itself; the records follow in slices, also after a restart.
 *
 * Marks: "sys/purge/prefix/HEX(prefix)" and "sys/purge/token/HASH", empty records.
 */
#ifndef CORE_PURGE_H
#define CORE_PURGE_H

#include "barrier/txn.h"
#include "barrier/view.h"

/* purge_prefix(t, prefix, err), purge_token(t, hash, err): leave the mark.  Writer only. */
MUST_USE enum status purge_prefix(struct txn *t, struct span prefix, struct err *err);
MUST_USE enum status purge_token(struct txn *t, const char *hash, struct err *err);

/* purge_pending(t, err): ST_OK when there is a mark, ST_NOT_FOUND when not.  purge_token_pending(t, hash, err): the same of one token's. */
MUST_USE enum status purge_pending(struct txn *t, struct err *err);
MUST_USE enum status purge_token_pending(struct txn *t, const char *hash, struct err *err);

/* purge_slice(t, most, ret_n, err): delete up to about `most` records of the first mark, and the mark when nothing is left.  *ret_n: records deleted.
 * Writer only. */
MUST_USE enum status purge_slice(struct txn *t, size_t most, size_t *ret_n, struct err *err);

#endif
