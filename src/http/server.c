#include "http/server.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "http/listener.h"
#include "http/worker.h"

#define FDS_KEPT_BACK 128 /* for the store, logs, loops: never for connections */
#define FDS_PER_LOOP  4
#define POLL_NS       2000000 /* how often server_stop looks */

struct server {
	struct server_config config; /* defaults filled in */
	struct shared shared;
	struct listener *listeners;
	size_t n_listeners;
	struct worker *workers;
	struct loop **loops;
	struct acceptor *acceptors;
	size_t n_workers;
	enum { NEW, RUNNING, STOPPED } state;
};

static unsigned number_of_cores(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);
	return n < 1 ? 1 : (unsigned)n;
}

static size_t or_size(size_t v, size_t otherwise)
{
	return v != 0 ? v : otherwise;
}

static uint64_t or_ms(uint64_t v, uint64_t otherwise)
{
	return v != 0 ? v : otherwise;
}

static void fill_defaults(struct server_config *c)
{
	if (c->loops == 0)
		c->loops = number_of_cores();
	if (c->loops > SERVER_LOOPS_MAX)
		c->loops = SERVER_LOOPS_MAX;
	c->max_connections = or_size(c->max_connections, 65536);
	c->max_request_line = or_size(c->max_request_line, 8192);
	c->max_headers_bytes = or_size(c->max_headers_bytes, 32768);
	c->max_header_count = or_size(c->max_header_count, HEADERS_MAX);
	c->max_body = or_size(c->max_body, (size_t)32 << 20);
	c->stream_buffer = or_size(c->stream_buffer, (size_t)128 << 10);
	c->idle_timeout_ms = or_ms(c->idle_timeout_ms, 300000);
	c->header_timeout_ms = or_ms(c->header_timeout_ms, 10000);
	c->request_timeout_ms = or_ms(c->request_timeout_ms, 90000);
	c->write_timeout_ms = or_ms(c->write_timeout_ms, 60000);
	if (c->clock == NULL)
		c->clock = &clock_system;
}

static enum status check(const struct server_config *c, struct err *err)
{
	if (c->n_listeners == 0)
		return err_set(err, ST_INVALID, "no listener is configured");
	if (c->max_header_count > HEADERS_MAX)
		return err_set(err, ST_INVALID, "max_header_count is %zu; at most %d",
		               c->max_header_count, HEADERS_MAX);
	if (c->max_request_line > ((size_t)1 << 20) || c->max_headers_bytes > ((size_t)1 << 20))
		return err_set(err, ST_INVALID,
		               "the limits of request line and headers are at most 1 MiB");
	if (c->max_body > BUILDER_MAX_DEFAULT)
		return err_set(err, ST_INVALID, "max_body is at most %zu", BUILDER_MAX_DEFAULT);
	if (c->stream_buffer > BUILDER_MAX_DEFAULT / 4)
		return err_set(err, ST_INVALID, "stream_buffer is at most %zu",
		               BUILDER_MAX_DEFAULT / 4);
	return ST_OK;
}

/* As many files as the system lets us have, and no more connections than that. */
static enum status bound_by_files(struct server_config *c, struct err *err)
{
	struct rlimit r;
	if (getrlimit(RLIMIT_NOFILE, &r) != 0)
		return err_set(err, ST_IO, "cannot read RLIMIT_NOFILE: %s", strerror(errno));
	if (r.rlim_cur < r.rlim_max) {
		struct rlimit more = {.rlim_cur = r.rlim_max, .rlim_max = r.rlim_max};
		if (setrlimit(RLIMIT_NOFILE, &more) == 0)
			r = more;
	}
	size_t kept = FDS_KEPT_BACK + (size_t)c->loops * (FDS_PER_LOOP + c->n_listeners);
	if (r.rlim_cur <= kept)
		return err_set(err, ST_LIMIT, "RLIMIT_NOFILE is %llu; more than %zu are needed",
		               (unsigned long long)r.rlim_cur, kept);
	if (c->max_connections > r.rlim_cur - kept) {
		c->max_connections = (size_t)r.rlim_cur - kept;
		log_info("http", "max_connections is %zu, as RLIMIT_NOFILE is %llu",
		         c->max_connections, (unsigned long long)r.rlim_cur);
	}
	return ST_OK;
}

static enum status open_listeners(struct server *s, struct err *err)
{
	for (size_t i = 0; i < s->config.n_listeners; i++) {
		enum status st =
		    listener_open(&s->listeners[i], &s->config.listeners[i], s->config.loops, err);
		if (st != ST_OK)
			return st;
		s->n_listeners++;
	}
	return ST_OK;
}

static enum status make_workers(struct server *s, struct err *err)
{
	for (size_t i = 0; i < s->config.loops; i++) {
		struct worker *w = &s->workers[i];
		enum status st = worker_init(w, &s->shared, (unsigned)i, err);
		if (st != ST_OK)
			return st;
		s->n_workers++;
		s->loops[i] = &w->loop;
		w->acceptors = s->acceptors + i * s->n_listeners;
		w->n_acceptors = s->n_listeners;
		for (size_t k = 0; k < s->n_listeners; k++) {
			struct listener *l = &s->listeners[k];
			w->acceptors[k].worker = w;
			w->acceptors[k].tls = l->tls;
			w->acceptors[k].fd = listener_fd(l, i);
			w->acceptors[k].family = l->family;
		}
	}
	return ST_OK;
}

enum status server_new(const struct server_config *config, struct api *api, struct server **ret,
                       struct err *err)
{
	enum status st;
	struct server *s = calloc(1, sizeof(*s));
	if (s == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	s->config = *config;
	fill_defaults(&s->config);
	st = check(&s->config, err);
	if (st == ST_OK)
		st = bound_by_files(&s->config, err);
	if (st != ST_OK)
		goto err0;
	s->shared.config = &s->config;
	s->shared.clock = s->config.clock;
	s->shared.api = api;
	s->shared.limits.max_request_line = s->config.max_request_line;
	s->shared.limits.max_headers_bytes = s->config.max_headers_bytes;
	s->shared.limits.max_header_count = s->config.max_header_count;
	s->listeners = calloc(s->config.n_listeners, sizeof(*s->listeners));
	s->workers = calloc(s->config.loops, sizeof(*s->workers));
	s->loops = calloc(s->config.loops, sizeof(struct loop *));
	s->acceptors = calloc(s->config.loops * s->config.n_listeners, sizeof(*s->acceptors));
	st = ST_NOMEM;
	if (s->listeners == NULL || s->workers == NULL || s->loops == NULL ||
	    s->acceptors == NULL) {
		err_set(err, st, "out of memory");
		goto err0;
	}
	signal(SIGPIPE, SIG_IGN); /* the TLS library writes to sockets without a flag against it */
	st = open_listeners(s, err);
	if (st == ST_OK)
		st = make_workers(s, err);
	if (st != ST_OK)
		goto err0;
	*ret = s;
	return ST_OK;

err0:
	server_free(&s);
	return st;
}

const char *server_address(const struct server *s, size_t i)
{
	MUST(i < s->n_listeners);
	return s->listeners[i].address;
}

struct loop **server_loops(struct server *s, size_t *ret_n)
{
	*ret_n = s->n_workers;
	return s->loops;
}

enum status server_start(struct server *s, struct err *err)
{
	MUST(s->state == NEW);
	for (size_t i = 0; i < s->n_workers; i++) {
		enum status st = worker_start(&s->workers[i], err);
		if (st != ST_OK) {
			for (size_t k = 0; k < i; k++)
				worker_quit(&s->workers[k]);
			return st;
		}
	}
	s->state = RUNNING;
	for (size_t i = 0; i < s->n_listeners; i++)
		log_info("http", "listening on %s%s", server_address(s, i),
		         s->listeners[i].tls != NULL ? " (TLS)" : "");
	return ST_OK;
}

enum status server_reload(struct server *s, struct err *err)
{
	enum status first = ST_OK;
	for (size_t i = 0; i < s->n_listeners; i++) {
		struct err mine = {0};
		if (s->listeners[i].tls == NULL)
			continue;
		enum status st = tls_reload(s->listeners[i].tls, &mine);
		if (st == ST_OK)
			continue;
		log_error("http", "%s keeps its certificate: %s", server_address(s, i),
		          err_text(&mine, st));
		if (first == ST_OK)
			first = err_set(err, st, "%s", err_text(&mine, st));
	}
	return first;
}

/* --- stopping ------------------------------------------------------------------------ */

static size_t connections(const struct server *s)
{
	return atomic_load_explicit(&s->shared.connections, memory_order_relaxed);
}

static bool all_stopped_accepting(const struct server *s)
{
	for (size_t i = 0; i < s->n_workers; i++)
		if (!atomic_load(&s->workers[i].accepts_no_more))
			return false;
	return true;
}

static bool quiet(const struct server *s)
{
	return all_stopped_accepting(s) && connections(s) == 0;
}

static void nap(void)
{
	struct timespec t = {.tv_nsec = POLL_NS};
	nanosleep(&t, NULL);
}

enum status server_stop(struct server *s, uint64_t grace_ms)
{
	if (s->state != RUNNING)
		return ST_OK;
	s->state = STOPPED;
	for (size_t i = 0; i < s->n_workers; i++)
		worker_stop(&s->workers[i]);
	/* counted in naps, not by the clock, which tests may hold still */
	uint64_t naps = grace_ms * 1000000 / POLL_NS;
	while (!quiet(s) && naps-- > 0)
		nap();
	enum status st = quiet(s) ? ST_OK : ST_BUSY;
	if (st == ST_BUSY)
		for (size_t i = 0; i < s->n_workers; i++)
			worker_kill(&s->workers[i]);
	while (!quiet(s))
		nap();
	for (size_t i = 0; i < s->n_listeners; i++)
		listener_close(&s->listeners[i]);
	return st;
}

void server_free(struct server **sp)
{
	struct server *s = *sp;
	if (s == NULL)
		return;
	for (size_t i = 0; i < s->n_workers; i++)
		worker_quit(&s->workers[i]);
	for (size_t i = 0; i < s->n_workers; i++)
		worker_clear(&s->workers[i]);
	for (size_t i = 0; i < s->n_listeners; i++)
		listener_free(&s->listeners[i]);
	free(s->acceptors);
	free(s->loops);
	free(s->workers);
	free(s->listeners);
	free(s);
	*sp = NULL;
}

void server_stats(const struct server *s, struct server_stats *ret)
{
	struct server_stats sum = {0};
	for (size_t i = 0; i < s->n_workers; i++) {
		const struct counters *c = &s->workers[i].counters;
		sum.connections_now +=
		    atomic_load_explicit(&c->connections_now, memory_order_relaxed);
		sum.connections_total +=
		    atomic_load_explicit(&c->connections_total, memory_order_relaxed);
		sum.requests += atomic_load_explicit(&c->requests, memory_order_relaxed);
		sum.bytes_in += atomic_load_explicit(&c->bytes_in, memory_order_relaxed);
		sum.bytes_out += atomic_load_explicit(&c->bytes_out, memory_order_relaxed);
		sum.refused += atomic_load_explicit(&c->refused, memory_order_relaxed);
	}
	*ret = sum;
}
