/*
 * The writer's thread: takes jobs in the order of submission, runs them a group at a time, and tells their owners after the commit
 * (writer_commit.c).  Between them it waits for work, for the next due moment, or for a clock that somebody set.
 */
#include "barrier/writer_impl.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"

#define MODULE       "writer"
#define JOBS_A_GROUP 512
/* Waiting for more jobs goes in parts of a commit's time; not where commits are so short that a sleep is no shorter. */
#define GATHER_STEPS         8
#define GATHER_STEP_LEAST_NS (NS_PER_S / 10000)
#define GATHER_STEP_MOST_NS  (NS_PER_S / 500)
#define GROUP_BYTES \
	((size_t)1 << 20) /* plaintext that a group holds in locked memory before it is closed */

/* What the inbox holds when the thread has ended: jobs are refused at once. */
static struct writer_job inbox_closed;

/* ---- jobs ---- */

static void finish(struct writer_job *job, enum status st, const struct err *err)
{
	job->done(job, st, err);
}

/* All that waits in the inbox, oldest first; `leave` stands there then. */
static void drain(struct writer *w, struct writer_job *leave)
{
	struct writer_job *j, *newest;

	newest = atomic_exchange_explicit(&w->inbox, leave, memory_order_acquire);
	while ((j = newest) != NULL) {
		newest = j->next;
		j->next = w->taken;
		w->taken = j;
	}
}

/* The oldest job that waits, or NULL. */
static struct writer_job *peek(struct writer *w)
{
	if (w->taken == NULL)
		drain(w, NULL);
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
	return jobs >= JOBS_A_GROUP || w->arena.used >= GROUP_BYTES ||
	       w->write.overlay.n + writer_group_records(w) / 16 >= writer_group_records(w) ||
	       w->write.n_raw >= TXN_RAW_MAX / 2 || w->write.n_notes >= TXN_NOTES_MAX / 2;
}

/* The upper floor's periodic work, when its time has come. */
enum due_outcome { DUE_NOT, DUE_RAN, DUE_FAILED };

static enum due_outcome run_due(struct writer *w)
{
	const struct writer_hooks *h = &w->config.hooks;
	struct txn_mark mark;
	struct err err = {0};
	enum status st;

	if (h->due == NULL || h->due_at == NULL || h->due_at(h->ctx) > w->write.now_ns ||
	    clock_mono_ns(w->config.clock) < w->due_retry.at_ns)
		return DUE_NOT;
	txn_mark(&w->txn, &mark);
	st = h->due(h->ctx, &w->txn, w->write.now_ns, &err);
	if (st == ST_OK) {
		txn_release(&w->txn, &mark);
		return DUE_RAN;
	}
	txn_undo(&w->txn, &mark);
	log_warn(MODULE, "periodic work failed: %s", err_text(&err, st));
	return DUE_FAILED;
}

/* Without this, work that is due and cannot be committed would be tried again at once, for ever. */
static void due_settle(struct writer *w, enum due_outcome due, enum status st)
{
	const struct writer_hooks *h = &w->config.hooks;

	if (due == DUE_RAN && st != ST_OK && h->due_lost != NULL)
		h->due_lost(h->ctx);
	if (due == DUE_FAILED || (due == DUE_RAN && st != ST_OK))
		backoff_step(&w->due_retry, clock_mono_ns(w->config.clock));
	else if (due == DUE_RAN)
		w->due_retry = (struct backoff){0};
}

/* No transaction could be begun: the oldest job is told so; with none, what is due waits. */
static void group_failed(struct writer *w, enum status st, const struct err *err)
{
	int64_t mono = clock_mono_ns(w->config.clock);
	struct writer_job *j = peek(w);

	log_error(MODULE, "cannot begin a write: %s", err_text(err, st));
	if (j != NULL && j->kind == JOB_WRITE) {
		finish(take(w), st, err);
		return;
	}
	backoff_step(&w->rotation_retry, mono);
	backoff_step(&w->due_retry, mono);
}

static enum status group_start(struct writer *w, struct err *err)
{
	enum status st = writer_group_begin(w, err);

	if (st != ST_OK)
		return st;
	st = writer_allow(w, writer_group_records(w), err);
	if (st != ST_OK)
		writer_group_end(w);
	return st;
}

static uint64_t waiting(const struct writer *w)
{
	return atomic_load_explicit(&w->stats.waiting, memory_order_relaxed);
}

/*
 * Clients that were answered with the last group ask again in a moment; a group begun with the first of them would have the others wait for two
 * commits.  So it is not begun while they keep coming and are not yet as many as before, for half a commit's time at most.
 */
static void gather(const struct writer *w)
{
	int64_t step = w->pace.commit_ns / GATHER_STEPS;
	struct timespec ts = {.tv_nsec = step < GATHER_STEP_MOST_NS ? step : GATHER_STEP_MOST_NS};
	uint64_t before;

	if (step < GATHER_STEP_LEAST_NS)
		return;
	for (int i = 0; i < GATHER_STEPS / 2 && waiting(w) < w->pace.jobs; i++) {
		before = waiting(w);
		nanosleep(&ts, NULL);
		if (waiting(w) == before)
			return;
	}
}

static void group_tell(struct writer_job *first, enum status st, const struct err *err)
{
	struct writer_job *j;

	while ((j = first) != NULL) {
		first = j->next;
		if (j->status == ST_OK)
			finish(j, st, err);
		else
			finish(j, j->status, &j->err);
	}
}

static void group_run(struct writer *w)
{
	struct writer_job *first = NULL, **last = &first, *j;
	enum due_outcome due = DUE_NOT;
	struct err err = {0};
	size_t jobs = 0;
	enum status st;

	if (peek(w) != NULL)
		gather(w);
	st = group_start(w, &err);
	if (st != ST_OK) {
		group_failed(w, st, &err);
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
		due = run_due(w);
	st = writer_group_commit(w, &err);
	writer_group_end(w);
	w->pace.jobs = jobs + waiting(w);
	due_settle(w, due, st);
	group_tell(first, st, &err);
	epoch_poll(readers_epoch(w->config.readers));
}

/* ---- the thread ---- */

/* The wall time, as the active term sees it, of a monotonic moment. */
static int64_t wall_of(const struct writer *w, int64_t mono_ns)
{
	return w->active.seen_ns + (mono_ns - w->seen_mono_ns);
}

static int64_t not_before(const struct writer *w, int64_t at, const struct backoff *b)
{
	int64_t retry = b->at_ns != 0 ? wall_of(w, b->at_ns) : at;

	return at != INT64_MAX && retry > at ? retry : at;
}

/* The next moment at which something is due, as wall time; INT64_MAX: never. */
static int64_t next_due(const struct writer *w)
{
	const struct writer_hooks *h = &w->config.hooks;
	int64_t rotation, upper = INT64_MAX;

	if (w->state != WRITER_OPEN)
		return INT64_MAX;
	rotation = not_before(w, rotate_due_at(w->keyring), &w->rotation_retry);
	if (h->due != NULL && h->due_at != NULL)
		upper = not_before(w, h->due_at(h->ctx), &w->due_retry);
	return upper < rotation ? upper : rotation;
}

/* A timer at the due moment on the wall clock; it also fires when somebody sets that clock, and everything is looked at again. */
static void arm(struct writer *w, int64_t due)
{
	struct itimerspec ts = {0};

	if (due != INT64_MAX) {
		int64_t at = clock_wall_ns(w->config.clock) + (due - writer_seen_now(w));

		if (at < 1)
			at = 1;
		ts.it_value.tv_sec = at / NS_PER_S;
		ts.it_value.tv_nsec = at % NS_PER_S;
	}
	/* ECANCELED: the clock was set meanwhile; the timer is armed all the same. */
	if (timerfd_settime(w->timer_fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &ts, NULL) !=
	        0 &&
	    errno != ECANCELED)
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
	int64_t now = writer_seen_now(w);

	if (j == NULL && next_due(w) > now)
		return false;
	if (j != NULL && j->kind == JOB_CONTROL)
		run_control(w);
	else if (w->state != WRITER_OPEN)
		run_closed(w);
	else
		group_run(w);
	return true;
}

/* Nothing is taken any more; what came too late is told so. */
static void close_inbox(struct writer *w)
{
	drain(w, &inbox_closed);
	while (w->taken != NULL)
		run_closed(w);
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
	close_inbox(w);
	return NULL;
}

void writer_submit(struct writer *w, struct writer_job *job)
{
	struct writer_job *head = atomic_load_explicit(&w->inbox, memory_order_relaxed);
	struct err err = {0};

	atomic_fetch_add_explicit(&w->stats.waiting, 1, memory_order_relaxed);
	do {
		if (head == &inbox_closed) {
			atomic_fetch_sub_explicit(&w->stats.waiting, 1, memory_order_relaxed);
			err_set(&err, ST_SEALED, "Vault is sealed");
			finish(job, ST_SEALED, &err);
			return;
		}
		job->next = head;
	} while (!atomic_compare_exchange_weak_explicit(&w->inbox, &head, job, memory_order_release,
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
	builder_init(&w->write.notes, TXN_NOTES_MAX * (size_t)(TXN_NOTE_MAX + 4));
	w->write.random = config->random;
	if (spares_new(config->slots, config->clock, config->random, &w->write.spares, err) !=
	    ST_OK) {
		writer_free(&w);
		return ST_NOMEM;
	}
	*ret = w;
	return ST_OK;
}

enum status writer_start(struct writer *w, struct err *err)
{
	enum status st = spares_start(w->write.spares, err);
	int rc;

	if (st != ST_OK)
		return st;
	rc = pthread_create(&w->thread, NULL, thread_main, w);
	if (rc != 0) {
		spares_stop(w->write.spares);
		return err_set(err, ST_IO, "cannot start the writer's thread: %s", strerror(rc));
	}
	w->started = true;
	return ST_OK;
}

void writer_stop(struct writer *w)
{
	if (!w->started) {
		if (atomic_load_explicit(&w->inbox, memory_order_relaxed) != &inbox_closed)
			close_inbox(w);
		return;
	}
	atomic_store_explicit(&w->stopping, true, memory_order_release);
	writer_wake(w);
	pthread_join(w->thread, NULL);
	spares_stop(w->write.spares);
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
	builder_free(&(*w)->write.notes);
	free((*w)->touched);
	keyring_unref(&(*w)->keyring);
	world_unref(&(*w)->world);
	spares_free(&(*w)->write.spares);
	free(*w);
	*w = NULL;
}

void writer_stats(const struct writer *w, struct writer_stats *ret)
{
#define GET(name) .name = atomic_load_explicit(&w->stats.name, memory_order_relaxed)
	*ret = (struct writer_stats){GET(jobs),      GET(groups),           GET(commits),
	                             GET(failed),    GET(unknown),          GET(encryptions),
	                             GET(rotations), GET(rotations_failed), GET(unclean_stops),
	                             GET(waiting)};
	ret->slots_ready = spares_ready(w->write.spares);
#undef GET
}
