/*
 * A group, in order: take what waits; run each job on the overlay; decide whether a rotation is due; make sure that the running mark
 * allows for the group; seal, count, put; hang the snapshot; commit; publish; tell.
 *
 * What can fail, and what then holds: a job (its changes are undone, the others go on); a rotation that a limit demands (the group is
 * refused); memory or storage while the group is applied, or the commit (the group fails, nothing changed, encryptions done are carried
 * into the next group's count); a commit of unknown outcome (readers stop, the storage settles it, then as done or not done).
 */
#include "barrier/writer.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "barrier/record.h"
#include "barrier/txn_impl.h"
#include "base/log.h"

#define MODULE         "writer"
#define JOBS_A_GROUP   512
#define RETRY_FIRST_NS NS_PER_S
#define RETRY_MOST_NS  (300 * NS_PER_S)

enum writer_state { WRITER_CLOSED, WRITER_OPEN, WRITER_STOPPED };

/* Counts of the terms that a group touches; few, so a list. */
struct touched {
	uint32_t term;
	struct usage usage;
};
#define TOUCHED_INLINE 8

struct writer {
	struct writer_config config;
	enum writer_state state;

	/* hand-over */
	_Atomic(struct writer_job *) inbox; /* newest first */
	struct writer_job *taken;           /* oldest first, not yet run */
	int event_fd, timer_fd;
	pthread_t thread;
	bool started;
	atomic_bool stopping;

	/* the open store */
	const struct keyring *keyring;
	const struct world *world;
	struct usage active;  /* of the active term, as committed */
	uint64_t carry;       /* encryptions under it whose commit failed */
	int64_t seen_mono_ns; /* when active.seen_ns was true */
	int64_t retry_at_ns;  /* monotonic; a due rotation failed and is tried again then */
	int64_t retry_wait_ns;
	struct term_keys keys;
	struct arena arena;

	/* the group */
	struct txn txn;
	struct txn_write write;
	struct builder sealed;
	struct touched *touched;
	size_t n_touched, cap_touched;
	uint64_t group_encryptions;

	struct {
		_Atomic uint64_t jobs, groups, commits, failed, unknown, encryptions, rotations,
		    rotations_failed, unclean_stops, waiting;
	} stats;
};

#define COUNT(w, name, n) atomic_fetch_add_explicit(&(w)->stats.name, (n), memory_order_relaxed)

static const struct storage_driver *driver(const struct writer *w)
{
	return w->config.storage->driver;
}

static uint32_t group_records(const struct writer *w)
{
	return w->config.group_records;
}

/* The wall time as the active term has seen it: never goes back, also over a restart. */
static int64_t seen_now(struct writer *w)
{
	int64_t mono = clock_mono_ns(w->config.clock), wall = clock_wall_ns(w->config.clock);
	int64_t least = w->active.seen_ns + (mono - w->seen_mono_ns);

	w->active.seen_ns = wall > least ? wall : least;
	w->seen_mono_ns = mono;
	return w->active.seen_ns;
}

/* ---- the transaction of a group ---- */

static enum status group_begin(struct writer *w, struct err *err)
{
	struct storage_txn *t;
	enum status st = driver(w)->write_begin(w->config.storage, &t, err);

	if (st != ST_OK)
		return st;
	w->txn = (struct txn){
	    .magic = TXN_MAGIC,
	    .storage = t,
	    .keyring = keyring_ref(w->keyring),
	    .world = world_ref(w->world),
	    .keys = &w->keys,
	    .arena = &w->arena,
	    .write = &w->write,
	};
	w->write.now_ns = seen_now(w);
	w->n_touched = 0;
	w->group_encryptions = 0;
	return ST_OK;
}

/* Forget the group's changes; the storage transaction has ended or is aborted here. */
static void group_end(struct writer *w)
{
	if (w->txn.storage != NULL)
		driver(w)->abort(&w->txn.storage);
	for (uint32_t i = w->keyring != NULL ? keyring_active(w->keyring) + 1 : 1;
	     w->txn.keyring != NULL && i <= keyring_active(w->txn.keyring); i++)
		term_keys_forget(&w->keys, i);
	keyring_unref(&w->txn.keyring);
	world_unref(&w->txn.world);
	while (w->write.n_raw > 0)
		builder_free(&w->write.raw[--w->write.n_raw].value);
	w->write.n_events = 0;
	overlay_reset(&w->write.overlay);
	arena_reset(&w->arena);
	w->txn.magic = 0;
}

static enum status put_raw(struct writer *w, const char *path, const struct builder *value,
                           struct err *err)
{
	enum status st = builder_status(value);

	if (st != ST_OK)
		return err_set(err, st, "no memory for %s", path);
	return driver(w)->put(w->txn.storage, span_str(path), builder_span(value), err);
}

static enum status put_head(struct writer *w, const struct keyring *k, struct err *err)
{
	struct builder head;
	enum status st;

	builder_init(&head, 4096);
	keyring_head(k, &head);
	st = put_raw(w, KEYRING_HEAD_PATH, &head, err);
	builder_free(&head);
	return st;
}

static enum status put_usage(struct writer *w, uint32_t term, const struct usage *u,
                             struct err *err)
{
	char path[32];
	struct builder b;
	enum status st;

	builder_init(&b, 4096);
	usage_encode(keyring_mac_key(w->txn.keyring), term, u, &b);
	snprintf(path, sizeof path, USAGE_PATH, term);
	st = put_raw(w, path, &b, err);
	builder_free(&b);
	return st;
}

/* ---- commit, with all three outcomes ---- */

/* Ends the storage transaction.  ST_OK: durable, and the snapshot that was hung is published.  Else nothing changed. */
static enum status commit(struct writer *w, struct err *err)
{
	struct snapshots *snapshots = readers_snapshots(w->config.readers);
	uint64_t id = driver(w)->id(w->txn.storage);
	enum storage_outcome outcome;
	struct err why = {0};

	outcome = driver(w)->commit(&w->txn.storage, &why);
	if (outcome == STORAGE_UNKNOWN) {
		COUNT(w, unknown, 1);
		log_error(MODULE, "the outcome of commit %llu is unknown (%s): settling it",
		          (unsigned long long)id, why.text);
		readers_stop(w->config.readers);
		while (driver(w)->settle(w->config.storage, id, &outcome, err) != ST_OK) {
			log_error(MODULE, "the storage cannot be reopened (%s): trying again",
			          err_text(err, ST_IO));
			nanosleep(&(struct timespec){.tv_sec = 1}, NULL);
		}
		readers_go(w->config.readers);
		log_warn(MODULE, "commit %llu was %s", (unsigned long long)id,
		         outcome == STORAGE_DONE ? "done" : "not done");
	}
	if (outcome == STORAGE_DONE) {
		COUNT(w, commits, 1);
		if (snapshots->hung != NULL)
			snapshots_publish(snapshots);
		return ST_OK;
	}
	COUNT(w, failed, 1);
	snapshots_unhang(snapshots);
	return err_set(err, why.status == ST_FULL ? ST_FULL : ST_IO,
	               "the write could not be made durable: %s", err_text(&why, ST_IO));
}

/* Take over what the group's transaction made current. */
static void adopt(struct writer *w)
{
	keyring_unref(&w->keyring);
	world_unref(&w->world);
	w->keyring = keyring_ref(w->txn.keyring);
	w->world = world_ref(w->txn.world);
}

/* ---- counting ---- */

static struct usage *touch(struct writer *w, uint32_t term, struct err *err)
{
	struct touched *t;

	for (size_t i = 0; i < w->n_touched; i++)
		if (w->touched[i].term == term)
			return &w->touched[i].usage;
	if (w->n_touched == w->cap_touched) {
		size_t cap = w->cap_touched == 0 ? TOUCHED_INLINE : w->cap_touched * 2;
		struct touched *more = realloc(w->touched, cap * sizeof *more);

		if (more == NULL) {
			err_set(err, ST_NOMEM, "no memory to count records");
			return NULL;
		}
		w->touched = more;
		w->cap_touched = cap;
	}
	t = &w->touched[w->n_touched];
	t->term = term;
	if (term > keyring_active(w->keyring))
		t->usage = (struct usage){.seen_ns = w->write.now_ns};
	else if (usage_load(w->txn.storage, keyring_mac_key(w->txn.keyring), term, &t->usage,
	                    err) != ST_OK)
		return NULL;
	if (term == keyring_active(w->keyring)) {
		t->usage.encryptions += w->carry;
		t->usage.seen_ns = w->write.now_ns;
	}
	w->n_touched++;
	return &t->usage;
}

/* ---- applying a group ---- */

static enum status apply_change(struct writer *w, const struct change *c, struct err *err)
{
	uint32_t active = keyring_active(w->txn.keyring), old_term;
	const struct aead_key *key;
	struct span old;
	struct usage *u;
	enum status st = driver(w)->get(w->txn.storage, c->path, &old, err);

	if (st == ST_OK) {
		st = record_term(old, &old_term);
		if (st == ST_OK && old_term > 0 && old_term <= active) {
			u = touch(w, old_term, err);
			if (u == NULL)
				return err->status;
			u->records -= u->records > 0 ? 1 : 0;
		} else {
			log_warn(MODULE, "a record that is no record was put into the storage by "
			                 "hand; it is replaced");
		}
	} else if (st != ST_NOT_FOUND) {
		return st;
	}
	if (c->deleted)
		return driver(w)->del(w->txn.storage, c->path, err);
	u = touch(w, active, err);
	if (u == NULL)
		return err->status;
	st = term_keys_get(&w->keys, w->txn.keyring, active, &key, err);
	if (st != ST_OK)
		return st;
	if (w->config.hooks.encrypted != NULL)
		w->config.hooks.encrypted(w->config.hooks.ctx, active);
	w->group_encryptions++;
	COUNT(w, encryptions, 1);
	u->encryptions++;
	u->records++;
	builder_reset(&w->sealed);
	st = record_seal(active, key, w->config.random, c->path, c->value, &w->sealed);
	if (st != ST_OK)
		return err_set(err, st, "a record could not be sealed");
	return driver(w)->put(w->txn.storage, c->path, builder_span(&w->sealed), err);
}

static enum status apply(struct writer *w, struct err *err)
{
	const struct overlay *o = &w->write.overlay;
	enum status st = ST_OK;

	for (size_t i = 0; w->config.hooks.term_made != NULL && i < w->write.n_events; i++)
		w->config.hooks.term_made(w->config.hooks.ctx, w->write.events[i].new_term);
	if (touch(w, keyring_active(w->txn.keyring), err) == NULL)
		return err->status;
	if (w->carry > 0 && touch(w, keyring_active(w->keyring), err) == NULL)
		return err->status;
	for (size_t i = 0; st == ST_OK && i < o->n; i++)
		st = apply_change(w, o->sorted[i], err);
	for (size_t i = 0; st == ST_OK && i < w->write.n_raw; i++)
		st = put_raw(w, w->write.raw[i].path, &w->write.raw[i].value, err);
	/* Terms made and replaced within one group have a record of their own too: none was used. */
	for (uint32_t i = keyring_active(w->keyring) + 1;
	     st == ST_OK && i <= keyring_active(w->txn.keyring); i++)
		if (touch(w, i, err) == NULL)
			st = err->status;
	for (size_t i = 0; st == ST_OK && i < w->n_touched; i++)
		st = put_usage(w, w->touched[i].term, &w->touched[i].usage, err);
	if (st == ST_OK && w->txn.keyring != w->keyring)
		st = put_head(w, w->txn.keyring, err);
	return st;
}

static uint64_t count_puts(const struct overlay *o)
{
	uint64_t n = 0;

	for (size_t i = 0; i < o->n; i++)
		n += o->sorted[i]->deleted ? 0 : 1;
	return n;
}

/* Usage of the transaction's active term as the limits see it. */
static struct usage current_usage(const struct writer *w)
{
	struct usage u = {0};

	if (keyring_active(w->txn.keyring) == keyring_active(w->keyring)) {
		u = w->active;
		u.encryptions += w->carry;
	}
	return u;
}

/*
 * Rotate when a limit or the interval says so.  Room for the whole allowance is kept below the limit, so that not even the count
 * after an unclean stop passes it.
 */
static enum status rotate_when_due(struct writer *w, uint64_t puts, struct err *err)
{
	uint64_t more = puts > group_records(w) ? puts : group_records(w);
	struct usage u = current_usage(w);
	int64_t mono = clock_mono_ns(w->config.clock);
	enum term_cause cause;
	enum status st = rotate_due(w->txn.keyring, &u, w->write.now_ns, more, &cause, err);

	if (st != ST_OK || cause == 0 || (cause == CAUSE_INTERVAL && mono < w->retry_at_ns))
		return st;
	st = rotate_now(&w->txn, cause, err);
	if (st == ST_OK)
		return ST_OK;
	COUNT(w, rotations_failed, 1);
	w->retry_wait_ns = w->retry_wait_ns == 0 ? RETRY_FIRST_NS : w->retry_wait_ns * 2;
	if (w->retry_wait_ns > RETRY_MOST_NS)
		w->retry_wait_ns = RETRY_MOST_NS;
	w->retry_at_ns = mono + w->retry_wait_ns;
	log_error(MODULE, "automatic rotation (%s) failed: %s; next try in %lld s",
	          term_cause_name(cause), err_text(err, st),
	          (long long)(w->retry_wait_ns / NS_PER_S));
	if (cause == CAUSE_INTERVAL)
		return ST_OK;
	return err_wrap(err, ST_UNAVAILABLE,
	                "the active term's limit is reached and no new term can be made");
}

/* Make the running mark durable for at least `records`, in a commit of its own: nothing was encrypted yet. */
static enum status allow(struct writer *w, uint32_t records, struct err *err)
{
	struct keyring *k;
	const struct keyring *held = w->txn.keyring;
	enum status st;

	if (keyring_allowance(w->keyring) >= records)
		return ST_OK;
	/* The overlay holds all changes; the storage transaction is empty and can be ended and begun again. */
	st = keyring_with_allowance(w->keyring, records, &k);
	if (st != ST_OK)
		return err_set(err, st, "no memory");
	w->txn.keyring = k;
	st = put_head(w, k, err);
	if (st == ST_OK)
		st = commit(w, err);
	w->txn.keyring = held;
	if (st != ST_OK) {
		const struct keyring *gone = k;

		keyring_unref(&gone);
		return st;
	}
	keyring_unref(&w->keyring);
	w->keyring = k;
	st = keyring_with_allowance(held, records, &k);
	if (st != ST_OK)
		return err_set(err, st, "no memory");
	keyring_unref(&w->txn.keyring);
	w->txn.keyring = k;
	return driver(w)->write_begin(w->config.storage, &w->txn.storage, err);
}

static void group_committed(struct writer *w)
{
	uint32_t was = keyring_active(w->keyring);
	uint64_t before = w->active.encryptions + w->carry;

	for (size_t i = 0; i < w->n_touched; i++) {
		if (w->touched[i].term == was)
			before = w->touched[i].usage.encryptions;
		if (w->touched[i].term == keyring_active(w->txn.keyring))
			w->active = w->touched[i].usage;
	}
	w->carry = 0;
	adopt(w);
	for (size_t i = 0; i < w->write.n_events; i++) {
		struct rotation_event *e = &w->write.events[i];

		e->old_encryptions = e->old_term == was ? before : 0;
		COUNT(w, rotations, 1);
		w->retry_at_ns = 0;
		w->retry_wait_ns = 0;
		log_info(MODULE, "rotated: term %u is active, cause %s", e->new_term,
		         term_cause_name(e->cause));
		if (w->config.hooks.rotated != NULL)
			w->config.hooks.rotated(w->config.hooks.ctx, e);
	}
}

/* Commit what the jobs of this group left in the transaction. */
static enum status group_commit(struct writer *w, struct err *err)
{
	uint64_t puts = count_puts(&w->write.overlay);
	enum status st = ST_OK;

	if (puts > 0 || w->txn.keyring != w->keyring ||
	    rotate_due_at(w->txn.keyring) <= w->write.now_ns)
		st = rotate_when_due(w, puts, err);
	if (st != ST_OK)
		return st;
	if (w->write.overlay.n == 0 && w->txn.keyring == w->keyring && w->txn.world == w->world)
		return ST_OK;
	if (puts > UINT32_MAX)
		return err_set(err, ST_LIMIT, "too many records at once");
	st = allow(w, puts > group_records(w) ? (uint32_t)puts : group_records(w), err);
	if (st == ST_OK)
		st = apply(w, err);
	if (st == ST_OK)
		st = snapshots_hang(readers_snapshots(w->config.readers),
		                    driver(w)->id(w->txn.storage), w->txn.keyring, w->txn.world);
	if (st == ST_OK)
		st = commit(w, err);
	if (st == ST_OK) {
		group_committed(w);
	} else if (keyring_active(w->txn.keyring) == keyring_active(w->keyring)) {
		w->carry += w->group_encryptions;
	}
	return st;
}

/* ---- jobs ---- */

static void finish(struct writer_job *job, enum status st, const struct err *err)
{
	job->done(job, st, err);
}

/* The oldest job that waits, or NULL. */
static struct writer_job *peek(struct writer *w)
{
	struct writer_job *j, *newest;

	if (w->taken != NULL)
		return w->taken;
	newest = atomic_exchange_explicit(&w->inbox, NULL, memory_order_acquire);
	while ((j = newest) != NULL) {
		newest = j->next;
		j->next = w->taken;
		w->taken = j;
	}
	return w->taken;
}

static struct writer_job *take(struct writer *w)
{
	struct writer_job *j = w->taken;

	w->taken = j->next;
	j->next = NULL;
	atomic_fetch_sub_explicit(&w->stats.waiting, 1, memory_order_relaxed);
	COUNT(w, jobs, 1);
	return j;
}

static void run_one(struct writer *w, struct writer_job *j)
{
	struct txn_mark mark;

	txn_mark(&w->txn, &mark);
	j->err = (struct err){0};
	j->status = j->run(j, &w->txn, &j->err);
	if (j->status == ST_OK)
		txn_release(&w->txn, &mark);
	else
		txn_undo(&w->txn, &mark);
}

static bool group_full(const struct writer *w, size_t jobs)
{
	return jobs >= JOBS_A_GROUP ||
	       w->write.overlay.n + group_records(w) / 16 >= group_records(w) ||
	       w->write.n_raw >= TXN_RAW_MAX / 2;
}

static void run_due(struct writer *w)
{
	const struct writer_hooks *h = &w->config.hooks;
	struct txn_mark mark;
	struct err err = {0};

	if (h->due == NULL || h->due_at == NULL || h->due_at(h->ctx) > w->write.now_ns)
		return;
	txn_mark(&w->txn, &mark);
	if (h->due(h->ctx, &w->txn, w->write.now_ns, &err) == ST_OK) {
		txn_release(&w->txn, &mark);
		return;
	}
	txn_undo(&w->txn, &mark);
	log_warn(MODULE, "periodic work failed: %s", err_text(&err, err.status));
}

static void group_run(struct writer *w)
{
	struct writer_job *first = NULL, **last = &first, *j;
	struct err err = {0};
	size_t jobs = 0;
	enum status st = group_begin(w, &err);

	if (st != ST_OK) {
		log_error(MODULE, "cannot begin a write: %s", err_text(&err, st));
		if ((j = peek(w)) != NULL && j->kind == JOB_WRITE)
			finish(take(w), st, &err);
		else
			nanosleep(&(struct timespec){.tv_nsec = 100 * 1000 * 1000}, NULL);
		return;
	}
	COUNT(w, groups, 1);
	while (!group_full(w, jobs) && (j = peek(w)) != NULL && j->kind == JOB_WRITE) {
		take(w);
		run_one(w, j);
		*last = j;
		last = &j->next;
		jobs++;
	}
	if (!group_full(w, jobs))
		run_due(w);
	st = group_commit(w, &err);
	group_end(w);
	while ((j = first) != NULL) {
		first = j->next;
		if (j->status == ST_OK)
			finish(j, st, &err);
		else
			finish(j, j->status, &j->err);
	}
	epoch_poll(readers_epoch(w->config.readers));
}

/* ---- the thread ---- */

/* The next moment at which something is due, as wall time; INT64_MAX: never. */
static int64_t next_due(struct writer *w)
{
	const struct writer_hooks *h = &w->config.hooks;
	int64_t at, upper;

	if (w->state != WRITER_OPEN)
		return INT64_MAX;
	at = rotate_due_at(w->keyring);
	if (at != INT64_MAX && w->retry_at_ns != 0) {
		int64_t retry = w->active.seen_ns + (w->retry_at_ns - w->seen_mono_ns);

		at = retry > at ? retry : at;
	}
	upper = h->due_at != NULL ? h->due_at(h->ctx) : INT64_MAX;
	return upper < at ? upper : at;
}

/* A timer at the due moment on the wall clock; it also fires when somebody sets that clock, and everything is looked at again. */
static void arm(struct writer *w, int64_t due)
{
	struct itimerspec ts = {0};

	if (due != INT64_MAX) {
		int64_t at = clock_wall_ns(w->config.clock) + (due - seen_now(w));

		if (at < 1)
			at = 1;
		ts.it_value.tv_sec = at / NS_PER_S;
		ts.it_value.tv_nsec = at % NS_PER_S;
	}
	if (timerfd_settime(w->timer_fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &ts, NULL) !=
	    0)
		log_warn(MODULE, "timer: %s", strerror(errno));
}

static void drain_fd(int fd)
{
	uint64_t n;

	while (read(fd, &n, sizeof n) < 0 && errno == EINTR)
		;
}

static void wait_for_work(struct writer *w, int64_t due)
{
	struct pollfd fds[2] = {{.fd = w->event_fd, .events = POLLIN},
	                        {.fd = w->timer_fd, .events = POLLIN}};

	arm(w, due);
	if (poll(fds, 2, -1) < 0)
		return;
	if (fds[0].revents != 0)
		drain_fd(w->event_fd);
	if (fds[1].revents != 0)
		drain_fd(w->timer_fd);
}

static void run_closed(struct writer *w)
{
	struct err err = {0};

	err_set(&err, ST_SEALED, "Vault is sealed");
	finish(take(w), ST_SEALED, &err);
}

static void run_control(struct writer *w)
{
	struct writer_job *j = take(w);

	j->err = (struct err){0};
	j->status = j->run(j, NULL, &j->err);
	finish(j, j->status, &j->err);
}

/* One round: everything that waits or is due.  Returns false when there was nothing. */
static bool round_once(struct writer *w)
{
	struct writer_job *j = peek(w);

	if (j == NULL && next_due(w) > seen_now(w))
		return false;
	if (j != NULL && j->kind == JOB_CONTROL)
		run_control(w);
	else if (w->state != WRITER_OPEN)
		run_closed(w);
	else
		group_run(w);
	return true;
}

static void *thread_main(void *arg)
{
	struct writer *w = arg;

	for (;;) {
		while (round_once(w))
			;
		if (atomic_load_explicit(&w->stopping, memory_order_acquire) && peek(w) == NULL)
			break;
		wait_for_work(w, next_due(w));
	}
	if (w->state == WRITER_OPEN)
		writer_close(w);
	w->state = WRITER_STOPPED;
	while (peek(w) != NULL)
		run_closed(w);
	return NULL;
}

void writer_submit(struct writer *w, struct writer_job *job)
{
	struct writer_job *head = atomic_load_explicit(&w->inbox, memory_order_relaxed);

	atomic_fetch_add_explicit(&w->stats.waiting, 1, memory_order_relaxed);
	do
		job->next = head;
	while (!atomic_compare_exchange_weak_explicit(&w->inbox, &head, job, memory_order_release,
	                                              memory_order_relaxed));
	if (head == NULL)
		writer_wake(w);
}

void writer_wake(struct writer *w)
{
	uint64_t one = 1;

	while (write(w->event_fd, &one, sizeof one) < 0 && errno == EINTR)
		;
}

enum status writer_new(const struct writer_config *config, struct writer **ret, struct err *err)
{
	struct writer *w = calloc(1, sizeof *w);

	if (w == NULL)
		return err_set(err, ST_NOMEM, "no memory for the writer");
	w->config = *config;
	if (w->config.group_records == 0)
		w->config.group_records = GROUP_RECORDS_DEFAULT;
	w->timer_fd = -1;
	w->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (w->event_fd >= 0)
		w->timer_fd = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);
	if (w->timer_fd < 0) {
		err_set(err, ST_IO, "no event or timer descriptor: %s", strerror(errno));
		writer_free(&w);
		return ST_IO;
	}
	overlay_init(&w->write.overlay, &w->arena);
	w->write.slots = config->slots;
	w->write.random = config->random;
	*ret = w;
	return ST_OK;
}

enum status writer_start(struct writer *w, struct err *err)
{
	int rc = pthread_create(&w->thread, NULL, thread_main, w);

	if (rc != 0)
		return err_set(err, ST_IO, "cannot start the writer's thread: %s", strerror(rc));
	w->started = true;
	return ST_OK;
}

void writer_stop(struct writer *w)
{
	if (!w->started)
		return;
	atomic_store_explicit(&w->stopping, true, memory_order_release);
	writer_wake(w);
	pthread_join(w->thread, NULL);
	w->started = false;
}

void writer_free(struct writer **w)
{
	if (*w == NULL)
		return;
	MUST(!(*w)->started);
	if ((*w)->event_fd >= 0)
		close((*w)->event_fd);
	if ((*w)->timer_fd >= 0)
		close((*w)->timer_fd);
	overlay_free(&(*w)->write.overlay);
	arena_free(&(*w)->arena);
	term_keys_drop(&(*w)->keys);
	builder_free(&(*w)->sealed);
	free((*w)->touched);
	keyring_unref(&(*w)->keyring);
	world_unref(&(*w)->world);
	free(*w);
	*w = NULL;
}

/* ---- control ---- */

enum status writer_get_raw(struct writer *w, const char *path, struct builder *out, struct err *err)
{
	struct storage_txn *t;
	struct span value;
	enum status st = driver(w)->write_begin(w->config.storage, &t, err);

	if (st != ST_OK)
		return st;
	st = driver(w)->get(t, span_str(path), &value, err);
	if (st == ST_OK) {
		builder_add(out, value);
		st = builder_status(out);
	}
	driver(w)->abort(&t);
	return st;
}

/* Drop the open store's keys and objects on this thread. */
static void forget(struct writer *w)
{
	keyring_unref(&w->keyring);
	world_unref(&w->world);
	term_keys_drop(&w->keys);
	arena_free(&w->arena);
	builder_free(&w->sealed);
	w->active = (struct usage){0};
	w->carry = 0;
	w->state = WRITER_CLOSED;
}

enum status writer_create(struct writer *w, const struct secret *wrap, const struct secret *mac,
                          const uint8_t id[static STORE_ID_LEN], const struct writer_raw *raw,
                          size_t n_raw,
                          enum status (*populate)(void *ctx, struct txn *t, struct err *err),
                          void *ctx, struct err *err)
{
	struct keyring *empty;
	struct span head;
	enum status st;

	MUST(w->state == WRITER_CLOSED);
	st = keyring_new(wrap, mac, id, &empty);
	if (st != ST_OK)
		return err_set(err, st, "no memory for the keyring");
	w->keyring = empty;
	w->active.seen_ns = clock_wall_ns(w->config.clock);
	w->seen_mono_ns = clock_mono_ns(w->config.clock);
	slots_bind(w->config.slots, id);
	st = group_begin(w, err);
	if (st != ST_OK)
		goto out;
	st = driver(w)->get(w->txn.storage, span_str(KEYRING_HEAD_PATH), &head, err);
	if (st != ST_NOT_FOUND) {
		st = st == ST_OK ? err_set(err, ST_EXISTS, "Vault is already initialized") : st;
		goto end;
	}
	st = rotate_now(&w->txn, CAUSE_INIT, err);
	if (st == ST_OK)
		st = populate(ctx, &w->txn, err);
	if (st == ST_OK)
		st = apply(w, err);
	for (size_t i = 0; st == ST_OK && i < n_raw; i++)
		st = driver(w)->put(w->txn.storage, span_str(raw[i].path), raw[i].value, err);
	if (st == ST_OK)
		st = commit(w, err);
end:
	group_end(w);
out:
	forget(w);
	return st;
}

/* After the keyring is loaded: settle an unclean stop, set the running mark, load the world, publish. */
static enum status open_loaded(struct writer *w,
                               enum status (*load)(void *, struct txn *, const struct world **,
                                                   struct err *),
                               void *ctx, struct err *err)
{
	uint32_t unclean = keyring_allowance(w->keyring), active = keyring_active(w->keyring);
	const struct world *world = NULL;
	struct keyring *k;
	enum status st =
	    usage_load(w->txn.storage, keyring_mac_key(w->keyring), active, &w->active, err);

	if (st != ST_OK)
		return st;
	w->seen_mono_ns = clock_mono_ns(w->config.clock);
	w->write.now_ns = seen_now(w);
	w->active.encryptions += unclean;
	st = keyring_with_allowance(w->keyring, group_records(w), &k);
	if (st != ST_OK)
		return err_set(err, st, "no memory for the keyring");
	keyring_unref(&w->txn.keyring);
	w->txn.keyring = k;
	st = put_usage(w, active, &w->active, err);
	if (st == ST_OK)
		st = put_head(w, k, err);
	if (st == ST_OK)
		st = commit(w, err);
	if (st != ST_OK)
		return st;
	adopt(w);
	if (unclean > 0) {
		COUNT(w, unclean_stops, 1);
		log_warn(MODULE,
		         "the server was not stopped cleanly: %u encryptions added to the count of "
		         "term %u",
		         unclean, active);
	}
	st = driver(w)->write_begin(w->config.storage, &w->txn.storage, err);
	if (st == ST_OK)
		st = load(ctx, &w->txn, &world, err);
	if (st == ST_OK)
		st = txn_set_world(&w->txn, world);
	world_unref(&world);
	/* Publishing needs a snapshot hung beside a commit: the world alone is change enough for one. */
	return st == ST_OK ? group_commit(w, err) : st;
}

enum status writer_open(struct writer *w, const struct secret *wrap, const struct secret *mac,
                        enum status (*load)(void *ctx, struct txn *t,
                                            const struct world **ret_world, struct err *err),
                        void *ctx, struct err *err)
{
	struct storage_txn *t;
	struct keyring *k;
	enum status st;

	MUST(w->state == WRITER_CLOSED && w->keyring == NULL);
	st = driver(w)->write_begin(w->config.storage, &t, err);
	if (st != ST_OK)
		return st;
	st = keyring_load(t, w->config.slots, wrap, mac, &k, err);
	driver(w)->abort(&t);
	if (st != ST_OK)
		return st;
	w->keyring = k;
	st = group_begin(w, err);
	if (st == ST_OK) {
		st = open_loaded(w, load, ctx, err);
		group_end(w);
	}
	if (st != ST_OK) {
		forget(w);
		return st;
	}
	w->state = WRITER_OPEN;
	readers_go(w->config.readers);
	return ST_OK;
}

/* A clean stop: the running mark goes, the counts are exact. */
static void clear_mark(struct writer *w)
{
	struct keyring *k;
	struct err err = {0};
	enum status st = group_begin(w, &err);

	if (st != ST_OK)
		goto fail;
	st = keyring_with_allowance(w->keyring, 0, &k);
	if (st == ST_OK) {
		struct usage u = w->active;

		keyring_unref(&w->txn.keyring);
		w->txn.keyring = k;
		u.encryptions += w->carry;
		st = put_usage(w, keyring_active(k), &u, &err);
	}
	if (st == ST_OK)
		st = put_head(w, w->txn.keyring, &err);
	if (st == ST_OK)
		st = commit(w, &err);
	group_end(w);
	if (st == ST_OK)
		return;
fail:
	log_error(MODULE, "the clean stop could not be recorded: %s", err_text(&err, st));
}

void writer_close(struct writer *w)
{
	if (w->state != WRITER_OPEN)
		return;
	w->state = WRITER_CLOSED;
	snapshots_clear(readers_snapshots(w->config.readers));
	clear_mark(w);
	readers_stop(w->config.readers);
	if (w->config.hooks.closed != NULL)
		w->config.hooks.closed(w->config.hooks.ctx);
	forget(w);
	epoch_drain(readers_epoch(w->config.readers));
}

void writer_stats(const struct writer *w, struct writer_stats *ret)
{
#define GET(name) .name = atomic_load_explicit(&w->stats.name, memory_order_relaxed)
	*ret = (struct writer_stats){GET(jobs),      GET(groups),           GET(commits),
	                             GET(failed),    GET(unknown),          GET(encryptions),
	                             GET(rotations), GET(rotations_failed), GET(unclean_stops),
	                             GET(waiting)};
#undef GET
}
