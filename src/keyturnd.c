/*
 * The server: reads the configuration, builds every object, connects them, waits for signals.  Nothing else wires.
 *
 * Order of building: memory, storage, slots, readers, writer, seal, scheduler, audit, metrics, engines, pool, sys, gate, api, http.  Stopping goes the other way:
 * requests under way are answered, the writer closes the store cleanly, then threads end and memory is wiped.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/api.h"
#include "base/log.h"
#include "config.h"
#include "core/floor.h"
#include "core/gate.h"
#include "core/login_first.h"
#include "core/sys.h"
#include "crypto/aead.h"
#include "crypto/ct.h"
#include "crypto/otp.h"
#include "engine/storedsafe.h"
#include "engine/transit.h"
#include "hooks.h"
#include "http/server.h"
#include "notify.h"
#include "options.h"
#include "version.h"

#define MODULE        "keyturnd"
#define STOP_GRACE_MS 30000
/* Slow work that waits for a worker; more is refused. */
#define SLOW_WAITING     256
#define SLOW_THREADS_MAX 128

/* ---- everything there is ---- */

struct daemon {
	struct floor floor; /* first member: what the writer's hooks are given */
	struct options options;
	struct config *config;
	struct storage *storage;
	struct slots *slots;
	struct readers *readers;
	struct writer *writer;
	struct seal *seal;
	struct sched *sched;
	struct engine_table engines; /* that operators can mount */
	struct transit *transit;
	struct storedsafe storedsafe;
	struct upkeep *upkeep;
	struct pool *pool;
	struct audit *audit;
	struct metrics *metrics;
	struct sys *sys;
	struct gate *gate;
	struct api *api;
	struct server *server;
	struct listener_config *listeners;
	struct tls_settings *tls;
	struct server_config http;
	struct hooks *hooks;
	char dev_cert[512], dev_key[512];
};

/* Does a listener ask clients for certificates? */
static bool takes_smartcards(const struct config *c)
{
	for (size_t i = 0; i < c->n_listeners; i++)
		if (c->listeners[i].tls_client_certificate != CONFIG_CLIENT_NONE)
			return true;
	return false;
}

static int64_t seconds(int64_t ns)
{
	return ns / NS_PER_S;
}

/* ---- what tests count with ---- */

static void term_made(void *ctx, uint32_t term)
{
	struct daemon *d = ctx;

	hooks_term_made(d->hooks, term);
}

static void encrypted(void *ctx, uint32_t term)
{
	struct daemon *d = ctx;

	hooks_encrypted(d->hooks, term);
}

/* ---- metrics ---- */

static void barrier_metrics(void *ctx, struct metrics_out *out)
{
	struct daemon *d = ctx;
	struct writer_stats w;

	writer_stats(d->writer, &w);
	metric_put(out, METRIC_COUNTER, "keyturn_barrier_encryptions_total",
	           "records encrypted since the start", w.encryptions);
	metric_put(out, METRIC_COUNTER, "keyturn_barrier_rotations_total",
	           "terms made since the start", w.rotations);
	metric_put(out, METRIC_COUNTER, "keyturn_barrier_rotations_failed_total",
	           "automatic rotations that could not be made durable", w.rotations_failed);
	metric_put(out, METRIC_COUNTER, "keyturn_barrier_unclean_stops_total",
	           "unsealings that found an unclean stop", w.unclean_stops);
	metric_put(out, METRIC_COUNTER, "keyturn_writer_jobs_total", "write requests run", w.jobs);
	metric_put(out, METRIC_COUNTER, "keyturn_writer_groups_total", "groups of writes",
	           w.groups);
	metric_put(out, METRIC_COUNTER, "keyturn_writer_commits_total", "commits made durable",
	           w.commits);
	metric_put(out, METRIC_COUNTER, "keyturn_writer_commits_failed_total",
	           "commits that failed and changed nothing", w.failed);
	metric_put(out, METRIC_COUNTER, "keyturn_writer_commits_unknown_total",
	           "commits whose outcome had to be settled", w.unknown);
	metric_put(out, METRIC_GAUGE, "keyturn_writer_waiting", "write requests that wait",
	           w.waiting);
	metric_put(out, METRIC_GAUGE, "keyturn_barrier_slots_ready",
	           "slots made ahead of rotations to come", w.slots_ready);
	metric_put(out, METRIC_GAUGE, "keyturn_memory_locked_bytes", "guarded memory in use",
	           secret_locked_bytes());
}

static void http_metrics(void *ctx, struct metrics_out *out)
{
	struct daemon *d = ctx;
	struct server_stats h;

	server_stats(d->server, &h);
	metric_put(out, METRIC_GAUGE, "keyturn_http_connections", "connections open now",
	           h.connections_now);
	metric_put(out, METRIC_COUNTER, "keyturn_http_connections_total", "connections accepted",
	           h.connections_total);
	metric_put(out, METRIC_COUNTER, "keyturn_http_connections_refused_total",
	           "connections over the limit", h.refused);
	metric_put(out, METRIC_COUNTER, "keyturn_http_requests_total", "requests received",
	           h.requests);
	metric_put(out, METRIC_COUNTER, "keyturn_http_received_bytes_total", "bytes received",
	           h.bytes_in);
	metric_put(out, METRIC_COUNTER, "keyturn_http_sent_bytes_total", "bytes sent", h.bytes_out);
}

static void slow_metrics(void *ctx, struct metrics_out *out)
{
	struct daemon *d = ctx;
	struct pool_stats s;

	pool_stats(d->pool, &s);
	metric_put(out, METRIC_COUNTER, "keyturn_slow_works_total", "slow works given to the pool",
	           s.jobs);
	metric_put(out, METRIC_COUNTER, "keyturn_slow_refused_total",
	           "slow works refused, as too many waited", s.refused);
	metric_put(out, METRIC_GAUGE, "keyturn_slow_waiting", "slow works that wait", s.waiting);
}

static void audit_metrics(void *ctx, struct metrics_out *out)
{
	struct daemon *d = ctx;
	struct audit_stats a;

	audit_stats(d->audit, &a);
	metric_put(out, METRIC_COUNTER, "keyturn_audit_lines_total", "audit lines written",
	           a.lines);
	metric_put(out, METRIC_COUNTER, "keyturn_audit_failures_total",
	           "audit lines that a device could not take", a.failures);
}

/* ---- configuration ---- */

static enum status dev_files(struct daemon *d, struct err *err)
{
	static char made[] = "/tmp/keyturn-dev-tls-XXXXXX";
	const char *dir = d->options.dev_cert_dir;
	int a, b;

	if (dir == NULL && (dir = mkdtemp(made)) == NULL)
		return err_set(err, ST_IO, "cannot make a folder for certificates: %s",
		               strerror(errno));
	a = snprintf(d->dev_cert, sizeof d->dev_cert, "%s/cert.pem", dir);
	b = snprintf(d->dev_key, sizeof d->dev_key, "%s/key.pem", dir);
	if (a < 0 || b < 0 || (size_t)a >= sizeof d->dev_cert || (size_t)b >= sizeof d->dev_key)
		return err_set(err, ST_INVALID, "the folder's name is too long");
	return tls_make_dev_files(dir, err);
}

static enum status load_config(struct daemon *d, struct err *err)
{
	const struct options *o = &d->options;
	enum status st;

	if (!o->dev)
		return config_load(o->configs, o->n_configs, o->mode, &d->config, err);
	st = config_defaults(&d->config);
	if (st != ST_OK)
		return err_set(err, st, "out of memory");
	if (o->dev_storage != NULL) {
		d->config->storage = CONFIG_STORAGE_LMDB;
		d->config->storage_path = strdup(o->dev_storage);
	}
	return config_add_tcp(
	    d->config, o->dev_address != NULL ? o->dev_address : CONFIG_ADDRESS_DEFAULT, NULL, err);
}

static enum status set_up_log(const struct daemon *d, struct err *err)
{
	enum log_level level = d->config->log_level;

	if (d->options.log_level != NULL &&
	    log_level_parse(span_str(d->options.log_level), &level) != ST_OK)
		return err_set(err, ST_INVALID, "unknown log level %s", d->options.log_level);
	return log_setup(level, d->config->log_format, d->config->log_file, err);
}

static const char *gcm_name(enum config_gcm g)
{
	return g == CONFIG_GCM_MB ? "mb" : g == CONFIG_GCM_EVP ? "evp" : NULL;
}

/* ---- building ---- */

static enum status open_store(struct daemon *d, struct err *err)
{
	const struct config *c = d->config;
	const struct storage_driver *driver =
	    c->storage == CONFIG_STORAGE_LMDB ? &storage_lmdb : &storage_mem;
	const struct storage_config sc = {.path = c->storage_path,
	                                  .map_size = c->storage_map_size,
	                                  .readers = SERVER_LOOPS_MAX + 2};
	enum status st = driver->open(&sc, &d->storage, err);

	if (st == ST_OK)
		st = slots_open(c->storage == CONFIG_STORAGE_LMDB ? c->storage_path : NULL,
		                &d->slots, err);
	if (st == ST_OK && readers_new(d->storage, &d->readers) != ST_OK)
		st = err_set(err, ST_NOMEM, "out of memory");
	return st;
}

static enum status build_barrier(struct daemon *d, struct err *err)
{
	struct writer_config wc = {
	    .readers = d->readers,
	    .storage = d->storage,
	    .slots = d->slots,
	    .clock = &clock_system,
	    .random = &random_system,
	    .hooks = floor_hooks(&d->floor),
	};
	enum status st;

	if (d->hooks != NULL) {
		wc.hooks.term_made = term_made;
		wc.hooks.encrypted = encrypted;
	}
	st = writer_new(&wc, &d->writer, err);
	return st == ST_OK ? seal_new(d->writer, &random_system, &d->seal, err) : st;
}

static enum status build_audit(struct daemon *d, struct err *err)
{
	const struct config *c = d->config;
	struct audit_device *devices = calloc(c->n_audits + 1, sizeof *devices);
	enum status st;

	if (devices == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	for (size_t i = 0; i < c->n_audits; i++)
		devices[i] = (struct audit_device){.name = c->audits[i].name,
		                                   .file_path = c->audits[i].file_path,
		                                   .mode = c->audits[i].mode,
		                                   .log_raw = c->audits[i].log_raw,
		                                   .hmac_accessor = c->audits[i].hmac_accessor};
	st = audit_new(devices, c->n_audits, &clock_system, &d->audit, err);
	free(devices);
	return st;
}

/* Two at least, so that one long work does not hold up all others. */
static unsigned slow_threads(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	return n < 2 ? 2 : n > SLOW_THREADS_MAX ? SLOW_THREADS_MAX : (unsigned)n;
}

static enum status make_later(void *ctx, struct slow *work)
{
	struct daemon *d = ctx;

	return pool_later(d->pool, work);
}

/* Limits are the server's; where listeners differ the roomiest one counts. */
static uint64_t largest_body(const struct config *c)
{
	uint64_t n = 0;

	for (size_t i = 0; i < c->n_listeners; i++)
		if (c->listeners[i].max_request_size > n)
			n = c->listeners[i].max_request_size;
	return n;
}

static enum status build_engines(struct daemon *d, struct err *err)
{
	struct transit_config tc = {
	    .manner = &transit_manner_vault, .make_later = make_later, .ctx = d};

	d->storedsafe.version = KEYTURN_VERSION;
	d->storedsafe.max_file_size = largest_body(d->config);
	if (transit_new(&tc, &d->transit) != ST_OK)
		return err_set(err, ST_NOMEM, "out of memory");
	tc.manner = &storedsafe_manner;
	if (transit_new(&tc, &d->storedsafe.keys) != ST_OK)
		return err_set(err, ST_NOMEM, "out of memory");
	d->engines = (struct engine_table){.entries = {{&engine_kv, NULL},
	                                               {&engine_transit, d->transit},
	                                               {&engine_storedsafe, &d->storedsafe}},
	                                   .n = 3};
	const struct upkeep_config uc = {
	    .engines = &d->engines,
	    .sched = d->sched,
	    .default_lease_ttl_s = seconds(d->config->default_lease_ttl_ns),
	    .max_lease_ttl_s = seconds(d->config->max_lease_ttl_ns),
	};
	enum status st = upkeep_new(&uc, &d->upkeep, err);

	return st == ST_OK ? pool_new(slow_threads(), SLOW_WAITING, &d->pool, err) : st;
}

static enum status build_core(struct daemon *d, struct err *err)
{
	const struct config *c = d->config;
	enum status st = build_audit(d, err);

	if (st != ST_OK)
		return st;
	if (sched_new(&d->sched) != ST_OK || metrics_new(&d->metrics) != ST_OK)
		return err_set(err, ST_NOMEM, "out of memory");
	st = build_engines(d, err);
	if (st != ST_OK)
		return st;
	const struct sys_config sc = {
	    .seal = d->seal,
	    .sched = d->sched,
	    .engines = &d->engines,
	    .upkeep = d->upkeep,
	    .audit = d->audit,
	    .metrics = d->metrics,
	    .clock = &clock_system,
	    .random = &random_system,
	    .version = KEYTURN_VERSION,
	    .storage_type = c->storage == CONFIG_STORAGE_LMDB ? "lmdb" : "inmem",
	    .cluster_name = c->cluster_name,
	    .default_lease_ttl_s = seconds(c->default_lease_ttl_ns),
	    .max_lease_ttl_s = seconds(c->max_lease_ttl_ns),
	    .smartcards = takes_smartcards(c),
	};
	st = sys_new(&sc, &d->sys, err);
	if (st != ST_OK)
		return st;
	const struct gate_config gc = {
	    .readers = d->readers,
	    .writer = d->writer,
	    .audit = d->audit,
	    .clock = &clock_system,
	    .random = &random_system,
	    .sys = &engine_sys,
	    .sys_self = d->sys,
	    .engines = &d->engines,
	    .upkeep = d->upkeep,
	    .pool = d->pool,
	    .token_ended = sys_token_ended,
	    .default_lease_ttl_s = sc.default_lease_ttl_s,
	    .max_lease_ttl_s = sc.max_lease_ttl_s,
	};
	st = gate_new(&gc, &d->gate, err);
	d->floor =
	    (struct floor){.sched = d->sched, .upkeep = d->upkeep, .sys = d->sys, .gate = d->gate};
	if (st == ST_OK && api_new(d->gate, &d->api) != ST_OK)
		st = err_set(err, ST_NOMEM, "out of memory");
	return st;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* Limits and deadlines are the server's; where listeners differ the roomiest one counts. */
static void set_limits(struct server_config *h, const struct config_listener *l)
{
	h->max_body = larger(h->max_body, l->max_request_size);
	h->idle_timeout_ms =
	    larger(h->idle_timeout_ms, (uint64_t)l->http_idle_timeout_ns / 1000000);
	h->header_timeout_ms =
	    larger(h->header_timeout_ms, (uint64_t)l->http_read_header_timeout_ns / 1000000);
	h->request_timeout_ms =
	    larger(h->request_timeout_ms, (uint64_t)l->max_request_duration_ns / 1000000);
	h->write_timeout_ms =
	    larger(h->write_timeout_ms, (uint64_t)l->http_write_timeout_ns / 1000000);
}

static enum tls_client client_of(enum config_client_cert c)
{
	static const enum tls_client of[] = {
	    [CONFIG_CLIENT_NONE] = TLS_CLIENT_NOT_ASKED,
	    [CONFIG_CLIENT_REQUEST] = TLS_CLIENT_ASKED,
	    [CONFIG_CLIENT_REQUIRE] = TLS_CLIENT_MUST,
	};

	return of[c];
}

static void set_listener(const struct daemon *d, const struct config_listener *from,
                         struct listener_config *to, struct tls_settings *tls)
{
	*to = (struct listener_config){
	    .kind = from->kind == CONFIG_UNIX ? LISTENER_UNIX : LISTENER_TCP,
	    .address = from->address,
	    .unix_mode = (mode_t)from->socket_mode,
	};
	*tls = (struct tls_settings){
	    .cert_file = from->tls_cert_file,
	    .key_file = from->tls_key_file,
	    .client = client_of(from->tls_client_certificate),
	    .client_ca_file = from->tls_client_ca_file,
	    .min_version = from->tls_min_version == CONFIG_TLS13 ? TLS_MIN_13 : TLS_MIN_12,
	};
	if (d->options.dev_tls) {
		tls->cert_file = d->dev_cert;
		tls->key_file = d->dev_key;
	}
	if (tls->cert_file != NULL)
		to->tls = tls;
}

static enum status build_http(struct daemon *d, struct err *err)
{
	const struct config *c = d->config;
	struct loop **loops;
	size_t n;
	enum status st;

	d->listeners = calloc(c->n_listeners, sizeof *d->listeners);
	d->tls = calloc(c->n_listeners, sizeof *d->tls);
	if (d->listeners == NULL || d->tls == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	d->http = (struct server_config){.listeners = d->listeners,
	                                 .n_listeners = c->n_listeners,
	                                 .loops = c->loops,
	                                 .max_connections = c->max_connections};
	for (size_t i = 0; i < c->n_listeners; i++) {
		set_listener(d, &c->listeners[i], &d->listeners[i], &d->tls[i]);
		set_limits(&d->http, &c->listeners[i]);
	}
	st = server_new(&d->http, d->api, &d->server, err);
	if (st != ST_OK)
		return st;
	loops = server_loops(d->server, &n);
	for (size_t i = 0; st == ST_OK && i < n; i++)
		st = gate_join(d->gate, loops[i], err);
	return st;
}

/* Those that the main thread waits for; blocked before the first thread is made, as each takes over the mask. */
static void block_signals(sigset_t *ret)
{
	sigemptyset(ret);
	sigaddset(ret, SIGHUP);
	sigaddset(ret, SIGINT);
	sigaddset(ret, SIGTERM);
	pthread_sigmask(SIG_BLOCK, ret, NULL);
}

static enum status build(struct daemon *d, struct err *err)
{
	sigset_t signals;
	enum status st = secret_setup(SECRET_BUDGET_DEFAULT, err);

	block_signals(&signals);
	if (st == ST_OK)
		st = aead_setup(gcm_name(d->config->gcm), err);
	if (st == ST_OK && otp_setup() != ST_OK)
		st = err_set(err, ST_UNAVAILABLE, "liboath cannot be used");
	if (st == ST_OK && d->options.dev_tls)
		st = dev_files(d, err);
	if (st == ST_OK)
		st = hooks_new(&d->hooks, err);
	if (st == ST_OK)
		st = open_store(d, err);
	if (st == ST_OK)
		st = build_barrier(d, err);
	if (st == ST_OK)
		st = build_core(d, err);
	if (st == ST_OK)
		st = build_http(d, err);
	if (st != ST_OK)
		return st;
	metrics_add(d->metrics, gate_metrics, d->gate);
	metrics_add(d->metrics, barrier_metrics, d);
	metrics_add(d->metrics, http_metrics, d);
	metrics_add(d->metrics, slow_metrics, d);
	metrics_add(d->metrics, audit_metrics, d);
	return ST_OK;
}

static void tear_down(struct daemon *d)
{
	pool_free(&d->pool); /* its last words go to loops, which still run */
	if (d->server != NULL)
		server_free(&d->server);
	gate_free(&d->gate);
	api_free(&d->api);
	writer_free(&d->writer);
	seal_free(&d->seal);
	sys_free(&d->sys);
	upkeep_free(&d->upkeep);
	transit_free(&d->transit);
	transit_free(&d->storedsafe.keys);
	metrics_free(&d->metrics);
	audit_free(&d->audit);
	sched_free(&d->sched);
	readers_free(&d->readers);
	slots_close(&d->slots);
	if (d->storage != NULL)
		d->storage->driver->close(&d->storage);
	hooks_free(&d->hooks);
	free(d->listeners);
	free(d->tls);
	config_free(&d->config);
}

/* ---- -dev ---- */

/* A control job that the main thread waits for. */
struct dev_job {
	struct writer_job job;
	struct daemon *daemon;
	sem_t finished;
	enum status status;
	struct err err;
	char root[129], key[BASE64_LEN(SEAL_KEY_LEN) + 1];
	struct login_first user;
};

static enum status dev_run(struct writer_job *job, struct txn *t, struct err *err)
{
	struct dev_job *j = (struct dev_job *)(void *)job;
	struct daemon *d = j->daemon;
	struct secret *share = NULL;
	enum status st;

	(void)t;
	st = sys_init(d->sys, 1, 1, d->options.dev_root_token, &share, j->root, err);
	if (st != ST_OK)
		return st;
	ct_base64(secret_span(share), j->key);
	st = sys_unseal(d->sys, secret_span(share), err);
	secret_free(&share);
	return st;
}

static void dev_done(struct writer_job *job, enum status st, const struct err *err)
{
	struct dev_job *j = (struct dev_job *)(void *)job;

	j->status = st;
	j->err = *err;
	sem_post(&j->finished);
}

/* The first mounts and the first user of a development server: what HTTP would do, in a write of its own. */
static enum status dev_mount(struct writer_job *job, struct txn *t, struct err *err)
{
	struct dev_job *j = (struct dev_job *)(void *)job;

	struct sys *sys = j->daemon->sys;
	enum status st = sys_mount_engine(sys, t, "secret", "kv", "key/value secret storage", err);

	if (st == ST_OK)
		st = sys_mount_engine(sys, t, "storedsafe", "storedsafe",
		                      "vaults of the StoredSafe API", err);
	if (st == ST_OK)
		st = login_first_make(t, &random_system, clock_wall_ns(&clock_system), &j->user,
		                      err);
	return st;
}

static enum status dev_do(struct dev_job *j, enum writer_job_kind kind,
                          enum status (*run)(struct writer_job *, struct txn *, struct err *))
{
	j->job = (struct writer_job){.run = run, .done = dev_done, .kind = kind};
	writer_submit(j->daemon->writer, &j->job);
	while (sem_wait(&j->finished) != 0)
		;
	return j->status;
}

static enum status dev_start(struct daemon *d, struct err *err)
{
	struct dev_job j = {.daemon = d};
	const char *user = getenv("KEYTURN_DEV_STOREDSAFE");
	enum status st = ST_OK;

	if (user != NULL && login_first_parse(user, &j.user, err) != ST_OK)
		return err_wrap(err, ST_INVALID, "KEYTURN_DEV_STOREDSAFE");
	sem_init(&j.finished, 0, 0);
	st = dev_do(&j, JOB_CONTROL, dev_run);
	if (st == ST_OK)
		st = dev_do(&j, JOB_WRITE, dev_mount);
	if (st == ST_OK) {
		printf("A server for trying out: whoever sees this text can open it%s.\n\n"
		       "  export VAULT_ADDR='%s://%s'\n  export VAULT_TOKEN='%s'\n\nUnseal Key: "
		       "%s\nRoot Token: %s\n\nStoredSafe API: user %s, passphrase %s, API key %s, "
		       "TOTP "
		       "secret %s\n",
		       d->options.dev_storage != NULL ? "" : ", and it keeps nothing when it stops",
		       d->options.dev_tls ? "https" : "http", server_address(d->server, 0), j.root,
		       j.key, j.root, j.user.username, j.user.passphrase, j.user.apikey,
		       j.user.totp);
		fflush(stdout);
	} else {
		*err = j.err;
	}
	sem_destroy(&j.finished);
	wipe(&j, sizeof j);
	return st;
}

/* ---- running ---- */

static void reload(struct daemon *d)
{
	struct config *again;
	struct err err = {0};

	notify_manager("RELOADING=1\n");
	if (!d->options.dev && config_load(d->options.configs, d->options.n_configs,
	                                   d->options.mode, &again, &err) == ST_OK) {
		if (d->options.log_level == NULL)
			log_set_level(again->log_level);
		config_free(&again);
	} else if (!d->options.dev) {
		log_error(MODULE, "the configuration cannot be read again, the old one stays: %s",
		          err.text);
	}
	log_reopen();
	audit_reopen(d->audit);
	if (server_reload(d->server, &err) != ST_OK)
		log_error(MODULE, "certificates: %s", err.text);
	log_info(MODULE, "reloaded");
	notify_manager("READY=1\n");
}

static void wait_for_end(struct daemon *d, const sigset_t *signals)
{
	int number;

	for (;;) {
		if (sigwait(signals, &number) != 0)
			continue;
		if (number != SIGHUP)
			break;
		reload(d);
	}
	log_info(MODULE, "stopping on signal %d", number);
}

static enum status write_pid(const char *path, struct err *err)
{
	FILE *f;

	if (path == NULL)
		return ST_OK;
	f = fopen(path, "we");
	if (f == NULL)
		return err_set(err, ST_IO, "cannot write %s: %s", path, strerror(errno));
	fprintf(f, "%ld\n", (long)getpid());
	return fclose(f) == 0 ? ST_OK : err_set(err, ST_IO, "cannot write %s", path);
}

static enum status run(struct daemon *d, struct err *err)
{
	sigset_t signals;
	enum status st;

	block_signals(&signals);
	st = writer_start(d->writer, err);
	if (st == ST_OK && d->options.dev)
		st = dev_start(d, err); /* before anybody is answered */
	if (st == ST_OK)
		st = server_start(d->server, err);
	if (st == ST_OK)
		st = write_pid(d->config->pid_file, err);
	if (st == ST_OK) {
		for (size_t i = 0; i < d->http.n_listeners; i++)
			log_info(MODULE, "listening address=%s%s", server_address(d->server, i),
			         d->listeners[i].tls != NULL ? " tls" : "");
		log_info(MODULE, "keyturn %s ready, AES-GCM by %s", KEYTURN_VERSION, aead_impl());
		notify_manager("READY=1\n");
		wait_for_end(d, &signals);
		notify_manager("STOPPING=1\n");
	}
	if (server_stop(d->server, STOP_GRACE_MS) != ST_OK)
		log_warn(MODULE, "some requests were cut");
	writer_stop(d->writer);
	if (d->config->pid_file != NULL)
		unlink(d->config->pid_file);
	return st;
}

int main(int argc, char **argv)
{
	struct daemon d = {.options = {.mode = CONFIG_STRICT}};
	struct err err = {0};
	enum status st = options_parse(argc, argv, &d.options, &err);

	umask(077);
	if (st != ST_OK) {
		fprintf(stderr, "keyturn server: %s\n\n%s", err.text, options_usage);
		return 2;
	}
	if (d.options.version || d.options.help) {
		printf("%s", d.options.help ? options_usage : "keyturn " KEYTURN_VERSION "\n");
		return 0;
	}
	st = load_config(&d, &err);
	if (st == ST_OK)
		st = set_up_log(&d, &err);
	for (size_t i = 0; st == ST_OK && i < d.config->n_warnings; i++)
		log_warn("config", "%s", d.config->warnings[i]);
	if (st == ST_OK)
		st = build(&d, &err);
	if (st == ST_OK)
		st = run(&d, &err);
	tear_down(&d);
	if (st != ST_OK)
		fprintf(stderr, "keyturn server: %s\n", err_text(&err, st));
	else
		log_info(MODULE, "stopped");
	return st == ST_OK ? 0 : 1;
}
