/*
 * A server whose upper floor is a toy, for the tests of http.  Flags: see usage.  Prints one line "listening ADDRESS" for each listener and "ready"; SIGHUP
 * reloads certificates ("reloaded" or "kept: why"); SIGTERM stops gracefully and prints "stopped ..." with counters.
 *
 *   /echo      method, target, query, headers and body, one a line
 *   /body      the body as it came
 *   /late      as /echo, finished by another thread; ?ms=N after so long
 *   /big?n=N   N bytes 'x'
 *   /status?code=N   an answer of that status with a short body
 *   /bad-header      an extra header whose value holds a line end
 *   /stream          a line for a line: toy_stream.c
 *   /streams         what became of the streams so far, as the last line has it
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crypto/secret.h"
#include "http/server.h"
#include "toy.h"

#define GRACE_MS 3000

struct span exchange_header(const struct exchange *x, const char *name)
{
	for (size_t i = 0; i < x->n_headers; i++)
		if (span_eq_str(x->headers[i].name, name))
			return x->headers[i].value;
	return span_of(NULL, 0);
}

unsigned long toy_number(struct span query, const char *name)
{
	char text[64];
	if (span_cstr(query, text, sizeof(text)) != ST_OK)
		return 0;
	const char *at = strstr(text, name);
	return at != NULL ? strtoul(at + strlen(name), NULL, 10) : 0;
}

static void echo(struct exchange *x)
{
	static const char *const methods[] = {"GET",   "HEAD", "POST", "PUT",     "DELETE",
	                                      "PATCH", "LIST", "SCAN", "OPTIONS", "OTHER"};
	struct builder *b = &x->body_out;
	builder_fmt(b, "method=%s\ntarget=", methods[x->method]);
	builder_add(b, x->target);
	builder_str(b, "\nquery=");
	builder_add(b, x->query);
	for (size_t i = 0; i < x->n_headers; i++) {
		builder_str(b, "\nheader ");
		builder_add(b, x->headers[i].name);
		builder_str(b, "=");
		builder_add(b, x->headers[i].value);
	}
	builder_str(b, "\nremote=");
	builder_add(b, x->remote);
	builder_fmt(b, "\nrequests=%u", ((struct memory *)x->state)->requests);
	builder_str(b, "\nbody=");
	builder_add(b, span_of(x->body, x->n_body));
	x->status = 200;
	x->content_type = "text/plain";
	x->extra[0].name = span_str("X-Toy");
	x->extra[0].value = span_str("yes");
	x->n_extra = 1;
}

static void *late_thread(void *arg)
{
	struct api *api = arg;
	pthread_mutex_lock(&api->lock);
	for (;;) {
		if (api->jobs == NULL) {
			if (api->ending)
				break;
			pthread_cond_wait(&api->changed, &api->lock);
			continue;
		}
		struct job *j = api->jobs;
		for (struct job *k = j; k != NULL; k = k->next)
			if (k->due.tv_sec < j->due.tv_sec ||
			    (k->due.tv_sec == j->due.tv_sec && k->due.tv_nsec < j->due.tv_nsec))
				j = k;
		struct timespec now;
		clock_gettime(CLOCK_REALTIME, &now);
		if (now.tv_sec < j->due.tv_sec ||
		    (now.tv_sec == j->due.tv_sec && now.tv_nsec < j->due.tv_nsec)) {
			pthread_cond_timedwait(&api->changed, &api->lock, &j->due);
			continue;
		}
		struct job **p = &api->jobs;
		while (*p != j)
			p = &(*p)->next;
		*p = j->next;
		struct loop *loop = j->x->loop;
		pthread_mutex_unlock(&api->lock);
		loop->post(loop, &j->task);
		pthread_mutex_lock(&api->lock);
	}
	pthread_mutex_unlock(&api->lock);
	return NULL;
}

static void run_late(struct task *t)
{
	struct job *j = (struct job *)(void *)t;
	echo(j->x);
	j->x->finish(j->x);
}

void toy_later(struct api *api, struct exchange *x, void (*run)(struct task *), unsigned long ms)
{
	struct memory *m = x->state;
	m->job.task.run = run;
	m->job.x = x;
	clock_gettime(CLOCK_REALTIME, &m->job.due);
	m->job.due.tv_sec += (time_t)(ms / 1000);
	m->job.due.tv_nsec += (long)(ms % 1000) * 1000000;
	if (m->job.due.tv_nsec >= 1000000000) {
		m->job.due.tv_sec++;
		m->job.due.tv_nsec -= 1000000000;
	}
	api->late++;
	pthread_mutex_lock(&api->lock);
	m->job.next = api->jobs;
	api->jobs = &m->job;
	pthread_cond_signal(&api->changed);
	pthread_mutex_unlock(&api->lock);
}

static void put_streams(const struct api *api, struct builder *b)
{
	const struct toy_streams *s = &api->streams;
	builder_fmt(b, "begun=%lu over=%lu aborted=%lu paused=%lu most=%lu input=%llu output=%llu",
	            s->begun, s->over, s->aborted, s->paused, s->most, s->input, s->output);
}

static void big(struct exchange *x)
{
	size_t n = toy_number(x->query, "n=");
	uint8_t *p = builder_room(&x->body_out, n);
	if (p != NULL) {
		memset(p, 'x', n);
		builder_took(&x->body_out, n);
	}
	x->status = 200;
	x->content_type = "application/octet-stream";
}

static void plain(struct exchange *x, unsigned status, struct span body)
{
	x->status = status;
	x->content_type = "text/plain";
	builder_add(&x->body_out, body);
}

void api_handle(struct api *api, struct exchange *x)
{
	MUST(x->body_out.n == 0 && x->n_extra == 0 && x->target.n > 0 && x->target.p[0] == '/');
	if (x->state == NULL) {
		x->state = calloc(1, sizeof(struct memory));
		MUST(x->state != NULL);
		api->states++;
	}
	((struct memory *)x->state)->requests++;
	if (span_eq_str(x->target, "/late")) {
		toy_later(api, x, run_late, toy_number(x->query, "ms="));
		return;
	}
	if (x->kind == EXCHANGE_STREAM) {
		toy_stream_handle(api, x);
		return;
	}
	if (span_eq_str(x->target, "/big")) {
		big(x);
	} else if (span_eq_str(x->target, "/body")) {
		plain(x, 200, span_of(x->body, x->n_body));
		if (x->n_body > 0)
			memset(x->body, 'z', x->n_body); /* it may be changed in place */
	} else if (span_eq_str(x->target, "/status")) {
		plain(x, (unsigned)toy_number(x->query, "code="), span_str("some text"));
	} else if (span_eq_str(x->target, "/streams")) {
		plain(x, 200, span_of(NULL, 0));
		put_streams(api, &x->body_out);
	} else if (span_eq_str(x->target, "/bad-header")) {
		plain(x, 200, span_str("fine"));
		x->extra[0].name = span_str("X-Bad");
		x->extra[0].value = span_str("a\r\nX-Split: yes");
		x->n_extra = 1;
	} else {
		echo(x);
	}
	x->finish(x);
}

void api_forget(struct api *api, struct exchange *x)
{
	if (x->state == NULL)
		return;
	free(x->state);
	x->state = NULL;
	api->states--;
}

void api_reject(struct exchange *x, unsigned status, const char *text)
{
	x->status = status;
	x->content_type = "text/plain";
	builder_fmt(&x->body_out, "rejected: %s", text);
}

static void on_turn_end(void *ctx)
{
	((struct api *)ctx)->turns++;
}

static void die(const char *what, enum status s, const struct err *err)
{
	fprintf(stderr, "%s: %s\n", what, err_text(err, s));
	exit(1);
}

/* A reload on SIGHUP; false: stop. */
static bool wait_for_signal(struct server *server)
{
	sigset_t set;
	int sig;
	sigemptyset(&set);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGTERM);
	MUST(sigwait(&set, &sig) == 0);
	if (sig == SIGTERM)
		return false;
	struct err err = {0};
	enum status s = server_reload(server, &err);
	if (s == ST_OK)
		printf("reloaded\n");
	else
		printf("kept: %s\n", err_text(&err, s));
	fflush(stdout);
	return true;
}

static void block_signals(void)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGTERM);
	MUST(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
}

static void usage(void)
{
	fprintf(stderr, "toy_server [-dev DIR] [-tcp ADDR] [-tls ADDR CERT KEY] [-mtls ADDR CERT "
	                "KEY CA] [-tls13 ADDR CERT KEY] "
	                "[-unix PATH] [-NAME NUMBER]...\n");
	exit(2);
}

#define LISTENERS_MAX 8

static struct listener_config listeners[LISTENERS_MAX];
static struct tls_settings tls[LISTENERS_MAX];
static struct server_config config = {.listeners = listeners};

static size_t add_listener(char **a, int left)
{
	size_t i = config.n_listeners;
	size_t want = strcmp(a[0], "-mtls") == 0 ? 4 : strncmp(a[0], "-tls", 4) == 0 ? 3 : 1;
	if (i == LISTENERS_MAX || (size_t)left <= want)
		usage();
	listeners[i].kind = strcmp(a[0], "-unix") == 0 ? LISTENER_UNIX : LISTENER_TCP;
	listeners[i].address = a[1];
	if (want > 1) {
		tls[i].cert_file = a[2];
		tls[i].key_file = a[3];
		tls[i].client = want == 4 ? TLS_CLIENT_MUST : TLS_CLIENT_NOT_ASKED;
		tls[i].client_ca_file = want == 4 ? a[4] : NULL;
		tls[i].min_version = strcmp(a[0], "-tls13") == 0 ? TLS_MIN_13 : TLS_MIN_12;
		listeners[i].tls = &tls[i];
	}
	config.n_listeners++;
	return want;
}

static void set_number(const char *name, const char *value)
{
	unsigned long v = strtoul(value, NULL, 10);
	if (strcmp(name, "-loops") == 0)
		config.loops = (unsigned)v;
	else if (strcmp(name, "-max-connections") == 0)
		config.max_connections = v;
	else if (strcmp(name, "-max-body") == 0)
		config.max_body = v;
	else if (strcmp(name, "-stream-buffer") == 0)
		config.stream_buffer = v;
	else if (strcmp(name, "-max-request-line") == 0)
		config.max_request_line = v;
	else if (strcmp(name, "-max-headers-bytes") == 0)
		config.max_headers_bytes = v;
	else if (strcmp(name, "-max-header-count") == 0)
		config.max_header_count = v;
	else if (strcmp(name, "-idle-ms") == 0)
		config.idle_timeout_ms = v;
	else if (strcmp(name, "-header-ms") == 0)
		config.header_timeout_ms = v;
	else if (strcmp(name, "-request-ms") == 0)
		config.request_timeout_ms = v;
	else if (strcmp(name, "-write-ms") == 0)
		config.write_timeout_ms = v;
	else
		usage();
}

static void read_arguments(int argc, char **argv)
{
	struct err err = {0};
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "-dev") == 0 && i + 1 < argc) {
			enum status s = tls_make_dev_files(argv[++i], &err);
			if (s != ST_OK)
				die("dev files", s, &err);
		} else if (strcmp(argv[i], "-tcp") == 0 || strcmp(argv[i], "-unix") == 0 ||
		           strncmp(argv[i], "-tls", 4) == 0 || strcmp(argv[i], "-mtls") == 0) {
			i += (int)add_listener(argv + i, argc - i);
		} else if (i + 1 < argc) {
			set_number(argv[i], argv[i + 1]);
			i++;
		} else {
			usage();
		}
	}
}

static struct server *start(struct api *api)
{
	struct err err = {0};
	struct server *server;
	size_t n;
	enum status s = server_new(&config, api, &server, &err);
	if (s != ST_OK)
		die("server", s, &err);
	struct loop **loops = server_loops(server, &n);
	for (size_t i = 0; i < n; i++) {
		loops[i]->ctx = api;
		loops[i]->turn_end = on_turn_end;
	}
	s = server_start(server, &err);
	if (s != ST_OK)
		die("start", s, &err);
	for (size_t i = 0; i < config.n_listeners; i++)
		printf("listening %s\n", server_address(server, i));
	printf("ready\n");
	fflush(stdout);
	return server;
}

int main(int argc, char **argv)
{
	static struct api api = {.lock = PTHREAD_MUTEX_INITIALIZER,
	                         .changed = PTHREAD_COND_INITIALIZER};
	struct err err = {0};
	enum status s = secret_setup(SECRET_BUDGET_DEFAULT, &err);
	if (s != ST_OK)
		die("secret memory", s, &err);
	read_arguments(argc, argv);
	block_signals();
	struct server *server = start(&api);
	MUST(pthread_create(&api.thread, NULL, late_thread, &api) == 0);
	while (wait_for_signal(server))
		;
	s = server_stop(server, GRACE_MS);
	pthread_mutex_lock(&api.lock);
	api.ending = true;
	pthread_cond_signal(&api.changed);
	pthread_mutex_unlock(&api.lock);
	MUST(pthread_join(api.thread, NULL) == 0); /* posts what is due first */
	struct server_stats st;
	server_stats(server, &st);
	server_free(&server);
	struct builder b = {0};
	put_streams(&api, &b);
	builder_u8(&b, 0);
	MUST(builder_status(&b) == ST_OK);
	printf("stopped %s connections=%llu total=%llu requests=%llu late=%lu states=%lu turned=%d "
	       "refused=%llu %s\n",
	       status_name(s), (unsigned long long)st.connections_now,
	       (unsigned long long)st.connections_total, (unsigned long long)st.requests, api.late,
	       api.states, api.turns > 0, (unsigned long long)st.refused, (const char *)b.p);
	builder_free(&b);
	return 0;
}
