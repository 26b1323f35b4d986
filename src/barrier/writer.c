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
	       w->write.overlay.n + writer_group_records(w) / 16 >= writer_group_records(w) ||
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
	enum status st = writer_group_begin(w, &err);

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
	st = writer_group_commit(w, &err);
	writer_group_end(w);
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
		int64_t at = clock_wall_ns(w->config.clock) + (due - writer_seen_now(w));

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

	if (j == NULL && next_due(w) > writer_seen_now(w))
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

void writer_stats(const struct writer *w, struct writer_stats *ret)
{
#define GET(name) .name = atomic_load_explicit(&w->stats.name, memory_order_relaxed)
	*ret = (struct writer_stats){GET(jobs),      GET(groups),           GET(commits),
	                             GET(failed),    GET(unknown),          GET(encryptions),
	                             GET(rotations), GET(rotations_failed), GET(unclean_stops),
	                             GET(waiting)};
#undef GET
}
