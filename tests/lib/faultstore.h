/*
 * A store that fails on order: it wraps one of any driver and passes all calls through, but for the
 * n-th of a chosen kind.  The contract of storage.h holds, also for failures: a put that failed
 * breaks its transaction, and after an unknown outcome nothing goes on before settle.
 */
#ifndef LIB_FAULTSTORE_H
#define LIB_FAULTSTORE_H

#include "storage/storage.h"

enum faultstore_call {
	FAULTSTORE_READ_OPEN,
	FAULTSTORE_RENEW,
	FAULTSTORE_WRITE_BEGIN,
	FAULTSTORE_GET,
	FAULTSTORE_SEEK,
	FAULTSTORE_PUT,
	FAULTSTORE_DEL,
	FAULTSTORE_COMMIT,
	FAULTSTORE_SETTLE,
	FAULTSTORE_COPY,
	FAULTSTORE_CALLS
};

enum faultstore_repeat { FAULTSTORE_ONCE, FAULTSTORE_FOR_EVER };

/* What a failing commit answers, and what became of it. */
enum faultstore_commit {
	FAULTSTORE_NOT_DONE,
	FAULTSTORE_UNKNOWN_BUT_DONE,
	FAULTSTORE_UNKNOWN_AND_NOT_DONE
};

struct faultstore_plan {
	enum faultstore_call call;
	size_t nth; /* 1: the next one */
	enum faultstore_repeat repeat;
	enum status status;            /* of the failure */
	enum faultstore_commit commit; /* FAULTSTORE_COMMIT only */
};

/* open: a wrapped store in memory, nothing ordered. */
extern const struct storage_driver faultstore_driver;

/*
 * faultstore_wrap(inner, ret): *ret owns inner and closes it.  inner must have no transaction open.
 * ST_NOMEM.
 */
MUST_USE enum status faultstore_wrap(struct storage *inner, struct storage **ret);

/*
 * faultstore_order(s, plan): from now on, in place of what was ordered before; counts begin at
 * zero.  faultstore_mend: order nothing, and count on.  Any thread.
 */
void faultstore_order(struct storage *s, const struct faultstore_plan *plan);
void faultstore_mend(struct storage *s);

/* Calls of that kind, and failures made, since the last order.  Any thread. */
size_t faultstore_calls(struct storage *s, enum faultstore_call call);
size_t faultstore_failures(struct storage *s);

#endif
