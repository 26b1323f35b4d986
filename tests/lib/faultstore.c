#include "faultstore.h"

#include <pthread.h>
#include <stdlib.h>

struct fault_txn {
	struct storage_txn base;
	struct storage_txn *inner; /* NULL: the writer is not open */
	enum status broken;
};

struct faultstore {
	struct storage base;
	struct storage *inner;
	struct fault_txn writer;
	pthread_mutex_t lock; /* guards what follows */
	struct faultstore_plan plan;
	enum { ORDER_NONE, ORDER_GIVEN } order;
	enum { SETTLED, UNSETTLED } state;
	size_t calls[FAULTSTORE_CALLS];
	size_t failures;
	size_t handles;
};

static struct faultstore *fault_of(struct storage *s)
{
	MUST(s != NULL && s->driver == &faultstore_driver);
	return (struct faultstore *)s;
}

static struct fault_txn *txn_of(const struct storage_txn *t)
{
	fault_of(t->storage);
	return (struct fault_txn *)(uintptr_t)t;
}

static const struct storage_driver *under(const struct faultstore *f)
{
	return f->inner->driver;
}

static void lock(struct faultstore *f)
{
	MUST(pthread_mutex_lock(&f->lock) == 0);
}

static void unlock(struct faultstore *f)
{
	MUST(pthread_mutex_unlock(&f->lock) == 0);
}

/* strikes(f, call): counts the call; under the lock. */
static bool strikes(struct faultstore *f, enum faultstore_call call)
{
	size_t n = ++f->calls[call];

	if (f->order == ORDER_NONE || f->plan.call != call || n < f->plan.nth ||
	    (n > f->plan.nth && f->plan.repeat == FAULTSTORE_ONCE))
		return false;
	f->failures++;
	return true;
}

/* meet(f, call, err): ST_OK, or the failure that was ordered for this call. */
static enum status meet(struct faultstore *f, enum faultstore_call call, struct err *err)
{
	enum status st = ST_OK;

	lock(f);
	if (strikes(f, call))
		st = f->plan.status;
	unlock(f);
	return st ? err_set(err, st, "failed on order") : ST_OK;
}

/* meet_settled: the same for calls that no store answers while an outcome is unknown. */
static enum status meet_settled(struct faultstore *f, enum faultstore_call call, struct err *err)
{
	enum status st = meet(f, call, err);

	lock(f);
	if (!st && f->state == UNSETTLED)
		st = err_set(err, ST_IO, "the last commit is not settled");
	unlock(f);
	return st;
}

/* meet_whole: the same for calls on a transaction: what broke it stays. */
static enum status meet_whole(struct fault_txn *t, enum faultstore_call call, struct err *err)
{
	enum status st = meet(fault_of(t->base.storage), call, err);

	if (t->broken)
		return err_set(err, t->broken, "a change of this transaction failed");
	return st;
}

/* ---- orders ---- */

void faultstore_order(struct storage *s, const struct faultstore_plan *plan)
{
	struct faultstore *f = fault_of(s);

	MUST(plan->nth > 0 && plan->status != ST_OK && plan->call < FAULTSTORE_CALLS);
	lock(f);
	f->plan = *plan;
	f->order = ORDER_GIVEN;
	f->failures = 0;
	for (int i = 0; i < FAULTSTORE_CALLS; i++)
		f->calls[i] = 0;
	unlock(f);
}

void faultstore_mend(struct storage *s)
{
	struct faultstore *f = fault_of(s);

	lock(f);
	f->order = ORDER_NONE;
	unlock(f);
}

size_t faultstore_calls(struct storage *s, enum faultstore_call call)
{
	struct faultstore *f = fault_of(s);
	size_t n;

	MUST(call < FAULTSTORE_CALLS);
	lock(f);
	n = f->calls[call];
	unlock(f);
	return n;
}

size_t faultstore_failures(struct storage *s)
{
	struct faultstore *f = fault_of(s);
	size_t n;

	lock(f);
	n = f->failures;
	unlock(f);
	return n;
}

/* ---- open and close ---- */

enum status faultstore_wrap(struct storage *inner, struct storage **ret)
{
	struct faultstore *f = calloc(1, sizeof(*f));

	if (f == NULL || pthread_mutex_init(&f->lock, NULL) != 0) {
		free(f);
		return ST_NOMEM;
	}
	f->base.driver = &faultstore_driver;
	f->writer.base.storage = &f->base;
	f->inner = inner;
	*ret = &f->base;
	return ST_OK;
}

static enum status fault_open(const struct storage_config *config, struct storage **ret,
                              struct err *err)
{
	struct storage *inner;
	enum status st = storage_mem.open(config, &inner, err);

	if (st)
		return st;
	st = faultstore_wrap(inner, ret);
	if (st) {
		storage_mem.close(&inner);
		return err_set(err, st, "no memory for a store");
	}
	return ST_OK;
}

static void fault_close(struct storage **s)
{
	struct faultstore *f;

	if (*s == NULL)
		return;
	f = fault_of(*s);
	MUST(f->handles == 0 && f->writer.inner == NULL);
	under(f)->close(&f->inner);
	MUST(pthread_mutex_destroy(&f->lock) == 0);
	free(f);
	*s = NULL;
}

/* ---- readers ---- */

static enum status fault_read_open(struct storage *s, struct storage_txn **ret, struct err *err)
{
	struct faultstore *f = fault_of(s);
	enum status st = meet_settled(f, FAULTSTORE_READ_OPEN, err);
	struct fault_txn *t;

	if (st)
		return st;
	t = calloc(1, sizeof(*t));
	if (t == NULL)
		return err_set(err, ST_NOMEM, "no memory for a reader");
	t->base.storage = s;
	st = under(f)->read_open(f->inner, &t->inner, err);
	if (st)
		goto fail;
	lock(f);
	f->handles++;
	unlock(f);
	*ret = &t->base;
	return ST_OK;
fail:
	free(t);
	return st;
}

static void fault_reset(struct storage_txn *t)
{
	under(fault_of(t->storage))->reset(txn_of(t)->inner);
}

static enum status fault_renew(struct storage_txn *t, struct err *err)
{
	struct faultstore *f = fault_of(t->storage);
	enum status st = meet_settled(f, FAULTSTORE_RENEW, err);

	if (st) {
		fault_reset(t); /* as a store that failed to get a new one: the old one is gone */
		return st;
	}
	return under(f)->renew(txn_of(t)->inner, err);
}

static void fault_read_close(struct storage_txn **t)
{
	struct faultstore *f;

	if (*t == NULL)
		return;
	f = fault_of((*t)->storage);
	under(f)->read_close(&txn_of(*t)->inner);
	lock(f);
	f->handles--;
	unlock(f);
	free(*t);
	*t = NULL;
}

/* ---- both, and the writer ---- */

static enum status fault_write_begin(struct storage *s, struct storage_txn **ret, struct err *err)
{
	struct faultstore *f = fault_of(s);
	enum status st = meet_settled(f, FAULTSTORE_WRITE_BEGIN, err);

	MUST(f->writer.inner == NULL);
	if (st)
		return st;
	st = under(f)->write_begin(f->inner, &f->writer.inner, err);
	if (st)
		return st;
	f->writer.broken = ST_OK;
	*ret = &f->writer.base;
	return ST_OK;
}

static uint64_t fault_id(const struct storage_txn *t)
{
	return under(fault_of(t->storage))->id(txn_of(t)->inner);
}

static enum status fault_get(struct storage_txn *t, struct span key, struct span *ret_value,
                             struct err *err)
{
	enum status st = meet_whole(txn_of(t), FAULTSTORE_GET, err);

	return st ? st : under(fault_of(t->storage))->get(txn_of(t)->inner, key, ret_value, err);
}

static enum status fault_seek(struct storage_txn *t, struct span from, struct span *ret_key,
                              struct span *ret_value, struct err *err)
{
	enum status st = meet_whole(txn_of(t), FAULTSTORE_SEEK, err);

	return st ? st
	          : under(fault_of(t->storage))
	                ->seek(txn_of(t)->inner, from, ret_key, ret_value, err);
}

static enum status fault_put(struct storage_txn *t, struct span key, struct span value,
                             struct err *err)
{
	struct fault_txn *w = txn_of(t);

	w->broken = meet_whole(w, FAULTSTORE_PUT, err);
	return w->broken ? w->broken : under(fault_of(t->storage))->put(w->inner, key, value, err);
}

static enum status fault_del(struct storage_txn *t, struct span key, struct err *err)
{
	struct fault_txn *w = txn_of(t);

	w->broken = meet_whole(w, FAULTSTORE_DEL, err);
	return w->broken ? w->broken : under(fault_of(t->storage))->del(w->inner, key, err);
}

static void fault_abort(struct storage_txn **t)
{
	if (*t == NULL)
		return;
	under(fault_of((*t)->storage))->abort(&txn_of(*t)->inner);
	*t = NULL;
}

/* fail_commit(f, t): as the plan says; takes the transaction. */
static enum storage_outcome fail_commit(struct faultstore *f, struct storage_txn **inner,
                                        const struct faultstore_plan *plan, struct err *err)
{
	struct err ignored = {0};

	if (plan->commit == FAULTSTORE_UNKNOWN_BUT_DONE)
		MUST(under(f)->commit(inner, &ignored) == STORAGE_DONE);
	else
		under(f)->abort(inner);
	err_set(err, plan->status, "failed on order");
	if (plan->commit == FAULTSTORE_NOT_DONE)
		return STORAGE_NOT_DONE;
	lock(f);
	f->state = UNSETTLED;
	unlock(f);
	return STORAGE_UNKNOWN;
}

static enum storage_outcome fault_commit(struct storage_txn **t, struct err *err)
{
	struct fault_txn *w = txn_of(*t);
	struct faultstore *f = fault_of((*t)->storage);
	struct faultstore_plan plan;
	bool struck;

	lock(f);
	plan = f->plan;
	struck = strikes(f, FAULTSTORE_COMMIT);
	unlock(f);
	*t = NULL;
	if (w->broken) {
		under(f)->abort(&w->inner);
		err_set(err, w->broken, "a change of this transaction failed");
		return STORAGE_NOT_DONE;
	}
	if (struck)
		return fail_commit(f, &w->inner, &plan, err);
	return under(f)->commit(&w->inner, err);
}

static enum status fault_settle(struct storage *s, uint64_t id, enum storage_outcome *ret,
                                struct err *err)
{
	struct faultstore *f = fault_of(s);
	enum status st = meet(f, FAULTSTORE_SETTLE, err);

	MUST(f->handles == 0 && f->writer.inner == NULL);
	if (st)
		return st;
	st = under(f)->settle(f->inner, id, ret, err);
	if (st)
		return st;
	lock(f);
	f->state = SETTLED;
	unlock(f);
	return ST_OK;
}

static enum status fault_copy_to(struct storage *s, const char *folder, struct err *err)
{
	struct faultstore *f = fault_of(s);
	enum status st = meet_settled(f, FAULTSTORE_COPY, err);

	if (st)
		return st;
	if (under(f)->copy_to == NULL)
		return err_set(err, ST_UNSUPPORTED, "this store cannot be copied");
	return under(f)->copy_to(f->inner, folder, err);
}

const struct storage_driver faultstore_driver = {
    .name = "fault",
    .open = fault_open,
    .close = fault_close,
    .read_open = fault_read_open,
    .renew = fault_renew,
    .reset = fault_reset,
    .read_close = fault_read_close,
    .write_begin = fault_write_begin,
    .id = fault_id,
    .get = fault_get,
    .seek = fault_seek,
    .put = fault_put,
    .del = fault_del,
    .commit = fault_commit,
    .abort = fault_abort,
    .settle = fault_settle,
    .copy_to = fault_copy_to,
};
