#include "http/worker.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "http/conn.h"

#define TICK_MS               1000
#define ACCEPTS_PER_EVENT     64
#define ACCEPT_ROUNDS_AT_STOP 64  /* a whole backlog, and an end even when more keep coming */
#define REST_MS               100 /* no accepting for so long when there are no file descriptors */
#define FULL_LOG_NS           (10 * NS_PER_S)
#define TRIM_AFTER            64 /* so many connections gave their memory back; about 2 MB */
#define TRIM_QUIET            32 /* and in the last tick fewer than these */

struct worker *worker_of(struct loop *l)
{
	return (struct worker *)(void *)l;
}

uint64_t worker_deadline(const struct worker *w, uint64_t ms)
{
	/* one more, since the present tick has begun already */
	return w->wheel.now + (ms + TICK_MS - 1) / TICK_MS + 1;
}

void worker_again(struct worker *w, struct conn *c)
{
	if (c->queued)
		return;
	c->queued = true;
	c->next_again = NULL;
	*w->again_end = c;
	w->again_end = &c->next_again;
}

void worker_bury(struct worker *w, struct conn *c)
{
	MUST(c->state == CONN_CLOSED);
	c->next = w->dead;
	w->dead = c;
}

/* --- posted tasks ----------------------------------------------------------- */

static void post(struct loop *l, struct task *t)
{
	struct worker *w = worker_of(l);
	struct task *head = atomic_load_explicit(&w->tasks, memory_order_relaxed);
	do {
		t->next = head;
	} while (!atomic_compare_exchange_weak_explicit(&w->tasks, &head, t, memory_order_release,
	                                                memory_order_relaxed));
	if (head != NULL)
		return; /* who put the first one wakes the loop for all */
	uint64_t one = 1;
	ssize_t n = write(w->wake_fd, &one, sizeof(one));
	MUST(n == (ssize_t)sizeof(one) || errno == EAGAIN);
}

static void run_tasks(struct worker *w)
{
	struct task *t = atomic_exchange_explicit(&w->tasks, NULL, memory_order_acquire);
	struct task *in_order = NULL;
	while (t != NULL) {
		struct task *next = t->next;
		t->next = in_order;
		in_order = t;
		t = next;
	}
	while (in_order != NULL) {
		t = in_order;
		in_order = t->next; /* before it runs: its owner may free it */
		t->run(t);
	}
}

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
	uint64_t n;
	(void)what;
	if (read((int)fd, &n, sizeof(n)) > 0)
		run_tasks(arg);
}

/* --- time --------------------------------------------------------------------- */

static void set_date(struct worker *w)
{
	http_date(clock_wall_ns(w->shared->clock) / NS_PER_S, w->date);
}

static uint64_t tick_now(const struct worker *w)
{
	return (uint64_t)((clock_mono_ns(w->shared->clock) - w->start_ns) /
	                  (NS_PER_S / 1000 * TICK_MS));
}

static void on_expired(struct wheel_node *n)
{
	struct conn *c = conn_of_timer(n);
	if (c->state == CONN_OPEN)
		c->proto->expired(c);
	else
		conn_close(c);
}

/* A crowd has gone.  The allocator keeps what was freed below anything that is still in use, so it is told to let go. */
static void trim(struct worker *w)
{
	size_t in_this_tick = w->n_freed_h1s - w->n_freed_before;
	w->n_freed_before = w->n_freed_h1s;
	if (w->n_freed_h1s < TRIM_AFTER || in_this_tick >= TRIM_QUIET)
		return;
	w->n_freed_h1s = w->n_freed_before = 0;
	(void)malloc_trim(0);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct worker *w = arg;
	(void)fd;
	(void)what;
	set_date(w);
	wheel_turn(&w->wheel, tick_now(w), on_expired);
	trim(w);
}

/* --- accepting ------------------------------------------------------------------ */

static void arm_acceptors(struct worker *w)
{
	for (size_t i = 0; i < w->n_acceptors; i++) {
		struct acceptor *a = &w->acceptors[i];
		if (!a->armed && !w->stopping)
			a->armed = event_add(&a->ev, NULL) == 0;
	}
}

static void disarm_acceptors(struct worker *w)
{
	for (size_t i = 0; i < w->n_acceptors; i++) {
		struct acceptor *a = &w->acceptors[i];
		if (a->armed)
			event_del(&a->ev);
		a->armed = false;
	}
}

static void on_rested(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	arm_acceptors(arg);
}

/* At most one line in a while, whichever loop it is. */
static void log_full(struct shared *s, const char *why)
{
	int64_t now = clock_mono_ns(s->clock);
	int64_t last = atomic_load_explicit(&s->last_full_log_ns, memory_order_relaxed);
	if (last != 0 && now - last < FULL_LOG_NS)
		return;
	if (atomic_compare_exchange_strong(&s->last_full_log_ns, &last, now))
		log_warn("http", "connections are refused: %s", why);
}

/* Out of descriptors: the waiting connection stays in the queue, so do not poll for it for a moment. */
static void rest(struct worker *w)
{
	static const struct timeval pause = {.tv_usec = REST_MS * 1000};
	log_full(w->shared, "no file descriptors or memory left");
	disarm_acceptors(w);
	if (event_add(&w->rest, &pause) != 0)
		arm_acceptors(w);
}

static void accepted(struct acceptor *a, int fd, const struct sockaddr_storage *peer)
{
	struct shared *s = a->worker->shared;
	size_t before = atomic_fetch_add_explicit(&s->connections, 1, memory_order_relaxed);
	if (before < s->config->max_connections) {
		conn_open(a, fd, peer);
		return;
	}
	atomic_fetch_sub_explicit(&s->connections, 1, memory_order_relaxed);
	close(fd);
	count(&a->worker->counters.refused, 1);
	log_full(s, "max_connections are open");
}

enum accepting { ACCEPT_MORE, ACCEPT_NONE };

/* Some of those that wait.  ACCEPT_MORE: there may be others. */
static enum accepting accept_some(struct acceptor *a)
{
	for (unsigned i = 0; i < ACCEPTS_PER_EVENT; i++) {
		struct sockaddr_storage peer;
		socklen_t n = sizeof(peer);
		int fd = accept4(a->fd, (struct sockaddr *)&peer, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0) {
			accepted(a, fd, &peer);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
			rest(a->worker);
		else if (errno == ECONNABORTED || errno == EINTR)
			continue;
		return ACCEPT_NONE;
	}
	return ACCEPT_MORE;
}

static void on_accept(evutil_socket_t listener, short what, void *arg)
{
	(void)listener;
	(void)what;
	(void)accept_some(arg);
}

/* --- stopping ---------------------------------------------------------------------- */

static struct worker *worker_of_task(struct task *t, size_t offset)
{
	return (struct worker *)(void *)((char *)t - offset);
}

/* Each connection that is not being buried already, once; `each` may close it. */
static void for_all_conns(struct worker *w, void (*each)(struct conn *))
{
	struct wheel_node ring;
	wheel_take_all(&w->wheel, &ring);
	for (struct wheel_node *n; (n = wheel_pop(&ring)) != NULL;) {
		struct conn *c = conn_of_timer(n);
		wheel_set(&w->wheel, n, n->deadline);
		each(c);
	}
}

static void tell_stopping(struct conn *c)
{
	if (c->state == CONN_OPEN)
		c->proto->stopping(c);
	else if (c->state == CONN_HANDSHAKE)
		conn_close(c);
}

static void run_stop(struct task *t)
{
	struct worker *w = worker_of_task(t, offsetof(struct worker, stop_task));
	/* what the kernel accepted for us already still counts as under way */
	for (size_t i = 0; i < w->n_acceptors; i++)
		if (w->acceptors[i].armed)
			for (unsigned k = 0; k < ACCEPT_ROUNDS_AT_STOP &&
			                     accept_some(&w->acceptors[i]) == ACCEPT_MORE;
			     k++)
				;
	w->stopping = true;
	disarm_acceptors(w);
	event_del(&w->rest);
	for_all_conns(w, tell_stopping);
	atomic_store(&w->accepts_no_more, true);
}

static void run_kill(struct task *t)
{
	struct worker *w = worker_of_task(t, offsetof(struct worker, kill_task));
	for_all_conns(w, conn_close);
}

static void run_quit(struct task *t)
{
	struct worker *w = worker_of_task(t, offsetof(struct worker, quit_task));
	w->quitting = true;
}

void worker_stop(struct worker *w)
{
	w->stop_task.run = run_stop;
	post(&w->loop, &w->stop_task);
}

void worker_kill(struct worker *w)
{
	w->kill_task.run = run_kill;
	post(&w->loop, &w->kill_task);
}

void worker_quit(struct worker *w)
{
	if (!w->running)
		return;
	w->quit_task.run = run_quit;
	post(&w->loop, &w->quit_task);
	MUST(pthread_join(w->thread, NULL) == 0);
	w->running = false;
}

/* --- the turn ------------------------------------------------------------------------ */

/* Only those that were queued before: who queues itself again waits for the next turn, behind a look at the sockets. */
static void run_again(struct worker *w)
{
	struct conn *c = w->again;
	w->again = NULL;
	w->again_end = &w->again;
	while (c != NULL) {
		struct conn *next = c->next_again;
		c->queued = false;
		c->proto->again(c);
		c = next;
	}
}

static void bury(struct worker *w)
{
	/* a queued one is still to be visited, so it stays for another turn */
	struct conn *c = w->dead;
	w->dead = NULL;
	while (c != NULL) {
		struct conn *next = c->next;
		if (c->queued)
			worker_bury(w, c);
		else
			conn_free(c);
		c = next;
	}
}

static void turn(struct worker *w)
{
	int flags = w->again != NULL ? EVLOOP_ONCE | EVLOOP_NONBLOCK : EVLOOP_ONCE;
	MUST(event_base_loop(w->base, flags) >= 0);
	run_again(w);
	bury(w);
	if (w->loop.turn_end != NULL)
		w->loop.turn_end(w->loop.ctx);
}

static void *run(void *arg)
{
	struct worker *w = arg;
	while (!w->quitting)
		turn(w);
	return NULL;
}

enum status worker_start(struct worker *w, struct err *err)
{
	static const struct timeval second = {.tv_sec = TICK_MS / 1000};
	set_date(w);
	for (size_t i = 0; i < w->n_acceptors; i++) {
		struct acceptor *a = &w->acceptors[i];
		MUST(event_assign(&a->ev, w->base, a->fd, EV_READ | EV_PERSIST, on_accept, a) == 0);
	}
	if (event_add(&w->tick, &second) != 0 || event_add(&w->wake, NULL) != 0)
		return err_set(err, ST_NOMEM, "cannot set up an event loop");
	arm_acceptors(w);
	int e = pthread_create(&w->thread, NULL, run, w);
	if (e != 0)
		return err_set(err, ST_IO, "cannot start a thread: %s", strerror(e));
	w->running = true;
	return ST_OK;
}

static struct event_base *make_base(void)
{
	struct event_config *config = event_config_new();
	if (config == NULL)
		return NULL;
	/* each base belongs to one thread; other threads only write to its eventfd */
	event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
	struct event_base *base = event_base_new_with_config(config);
	event_config_free(config);
	return base;
}

enum status worker_init(struct worker *w, struct shared *shared, unsigned index, struct err *err)
{
	memset(w, 0, sizeof(*w));
	w->loop.post = post;
	w->loop.index = index;
	w->shared = shared;
	w->again_end = &w->again;
	w->start_ns = clock_mono_ns(shared->clock);
	wheel_init(&w->wheel, 0);
	w->base = make_base();
	if (w->base == NULL)
		return err_set(err, ST_NOMEM, "cannot set up an event loop");
	w->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (w->wake_fd < 0)
		goto err0;
	MUST(event_assign(&w->wake, w->base, w->wake_fd, EV_READ | EV_PERSIST, on_wake, w) == 0);
	MUST(event_assign(&w->tick, w->base, -1, EV_PERSIST, on_tick, w) == 0);
	MUST(event_assign(&w->rest, w->base, -1, 0, on_rested, w) == 0);
	return ST_OK;

err0:
	event_base_free(w->base);
	w->base = NULL;
	return err_set(err, ST_IO, "cannot set up an event loop: %s", strerror(errno));
}

void worker_clear(struct worker *w)
{
	if (w->base == NULL)
		return;
	MUST(!w->running);
	for_all_conns(w, conn_close);
	run_again(w);
	bury(w);
	conn_free_spares(w);
	disarm_acceptors(w);
	event_del(&w->tick);
	event_del(&w->wake);
	event_del(&w->rest);
	event_base_free(w->base);
	w->base = NULL;
	close(w->wake_fd);
}
