#include "barrier/reader.h"

#include <pthread.h>
#include <stdlib.h>

#include "barrier/txn_impl.h"

struct reader {
	struct task stop; /* first: the loop hands it back */
	struct readers *readers;
	struct loop *loop;
	struct epoch_reader *epoch;
	void (*drop)(void *ctx);
	void *ctx;
	struct storage_txn *storage;      /* NULL: no handle */
	bool online;                      /* in this turn something was read */
	bool held;                        /* storage holds a snapshot */
	const struct snapshot *published; /* as loaded when it was taken */
	struct term_keys keys;
	struct arena arena;
	struct txn txn;
	struct reader *next;
};

struct readers {
	struct storage *storage;
	struct epoch *epoch;
	struct snapshots snapshots;
	atomic_bool stopped;
	pthread_mutex_t lock; /* guards the list and the count of those still to stop */
	pthread_cond_t all_stopped;
	unsigned waiting;
	struct reader *list;
};

enum status readers_new(struct storage *storage, struct readers **ret)
{
	struct readers *r = calloc(1, sizeof *r);

	if (r == NULL)
		return ST_NOMEM;
	if (epoch_new(&r->epoch) != ST_OK) {
		free(r);
		return ST_NOMEM;
	}
	r->storage = storage;
	r->snapshots.epoch = r->epoch;
	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->all_stopped, NULL);
	*ret = r;
	return ST_OK;
}

void readers_free(struct readers **r)
{
	if (*r == NULL)
		return;
	MUST((*r)->list == NULL);
	epoch_free(&(*r)->epoch);
	pthread_cond_destroy(&(*r)->all_stopped);
	pthread_mutex_destroy(&(*r)->lock);
	free(*r);
	*r = NULL;
}

struct snapshots *readers_snapshots(struct readers *r)
{
	return &r->snapshots;
}

struct epoch *readers_epoch(struct readers *r)
{
	return r->epoch;
}

/* On the loop's thread, or after it ended: nothing of the store is left here. */
static void let_go(struct reader *r)
{
	if (r->storage != NULL)
		r->readers->storage->driver->read_close(&r->storage);
	r->held = false;
	r->published = NULL;
	r->txn.magic = 0;
	term_keys_drop(&r->keys);
	arena_free(&r->arena);
	if (r->drop != NULL)
		r->drop(r->ctx);
	if (r->online)
		epoch_offline(r->epoch);
	r->online = false;
}

static void stop_task(struct task *task)
{
	struct reader *r = (struct reader *)(void *)task;
	struct readers *all = r->readers;

	let_go(r);
	pthread_mutex_lock(&all->lock);
	if (--all->waiting == 0)
		pthread_cond_signal(&all->all_stopped);
	pthread_mutex_unlock(&all->lock);
}

enum status reader_new(struct readers *all, struct loop *loop, void (*drop)(void *ctx), void *ctx,
                       struct reader **ret, struct err *err)
{
	struct reader *r = calloc(1, sizeof *r);

	if (r == NULL)
		return err_set(err, ST_NOMEM, "no memory for a reader");
	if (epoch_join(all->epoch, &r->epoch) != ST_OK) {
		free(r);
		return err_set(err, ST_LIMIT, "too many loops");
	}
	r->stop.run = stop_task;
	r->readers = all;
	r->loop = loop;
	r->drop = drop;
	r->ctx = ctx;
	pthread_mutex_lock(&all->lock);
	r->next = all->list;
	all->list = r;
	pthread_mutex_unlock(&all->lock);
	*ret = r;
	return ST_OK;
}

void reader_close(struct reader **r)
{
	struct readers *all;

	if (*r == NULL)
		return;
	all = (*r)->readers;
	let_go(*r);
	epoch_leave(&(*r)->epoch);
	pthread_mutex_lock(&all->lock);
	for (struct reader **at = &all->list; *at != NULL; at = &(*at)->next) {
		if (*at == *r) {
			*at = (*r)->next;
			break;
		}
	}
	pthread_mutex_unlock(&all->lock);
	free(*r);
	*r = NULL;
}

/* Take the newest storage snapshot.  `published` is loaded first, so that the data is never older than it. */
static enum status renew(struct reader *r, const struct snapshot *published, struct err *err)
{
	const struct storage_driver *d = r->readers->storage->driver;
	enum status st = ST_OK;

	if (r->held)
		d->reset(r->storage);
	r->held = false;
	if (r->storage == NULL)
		st = d->read_open(r->readers->storage, &r->storage, err);
	if (st == ST_OK)
		st = d->renew(r->storage, err);
	/* Between an unknown outcome and readers_stop a store answers nobody; nor does one whose disk fails. */
	if (st == ST_IO)
		return err_wrap(err, ST_UNAVAILABLE, "the store cannot be read now");
	if (st != ST_OK)
		return st;
	r->held = true;
	r->published = published;
	return ST_OK;
}

enum status reader_begin(struct reader *r, struct txn **ret, struct err *err)
{
	struct readers *all = r->readers;
	const struct snapshot *published, *mine;
	enum status st;

	if (!r->online) {
		epoch_online(r->epoch);
		r->online = true;
	}
	if (atomic_load_explicit(&all->stopped, memory_order_acquire))
		return atomic_load_explicit(&all->snapshots.published, memory_order_acquire) == NULL
		           ? ST_SEALED
		           : err_set(err, ST_UNAVAILABLE, "the store is being reopened: try again");
	published = atomic_load_explicit(&all->snapshots.published, memory_order_acquire);
	if (published == NULL)
		return ST_SEALED;
	if (!r->held || r->published != published) {
		st = renew(r, published, err);
		if (st != ST_OK)
			return st;
	}
	arena_reset(&r->arena);
	mine = snapshots_pick(published, all->storage->driver->id(r->storage));
	r->txn = (struct txn){
	    .magic = TXN_MAGIC,
	    .storage = r->storage,
	    .keyring = mine->keyring,
	    .world = mine->world,
	    .keys = &r->keys,
	    .arena = &r->arena,
	    .durable = all->storage->driver->id(r->storage) <= published->id,
	};
	*ret = &r->txn;
	return ST_OK;
}

void reader_turn_end(struct reader *r)
{
	if (!r->online)
		return;
	if (r->held)
		r->readers->storage->driver->reset(r->storage);
	r->held = false;
	r->published = NULL;
	r->txn.magic = 0;
	arena_reset(&r->arena);
	epoch_offline(r->epoch);
	r->online = false;
}

void readers_stop(struct readers *all)
{
	atomic_store_explicit(&all->stopped, true, memory_order_release);
	pthread_mutex_lock(&all->lock);
	MUST(all->waiting == 0);
	for (struct reader *r = all->list; r != NULL; r = r->next) {
		all->waiting++;
		r->loop->post(r->loop, &r->stop);
	}
	while (all->waiting > 0)
		pthread_cond_wait(&all->all_stopped, &all->lock);
	pthread_mutex_unlock(&all->lock);
}

void readers_go(struct readers *all)
{
	atomic_store_explicit(&all->stopped, false, memory_order_release);
}
