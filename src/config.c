/*
 * One table of names a block; config_value.c holds the setters.  A file is read in one pass: the plain names of the outermost
 * object, then each kind of block; what must hold between names is checked when all files are read.
 */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "config_value.h"

#define HOUR_NS         (3600 * NS_PER_S)
#define TTL_DEFAULT_NS  (768 * HOUR_NS)
#define FILE_MAX        ((size_t)1 << 20) /* what hcl_parse takes */
#define LOOPS_MAX       128
#define CONNECTIONS_MAX 1000000
#define MAP_SIZE_MIN    (INT64_C(1) << 20)
#define MAP_SIZE_MAX    (INT64_C(1) << 46)

#define TOP(member)   offsetof(struct config, member)
#define AUDIT(member) offsetof(struct config_audit, member)

static const struct config_field top_fields[] = {
    {"api_addr", config_set_url, TOP(api_addr)},
    {"cluster_addr", config_set_url, TOP(cluster_addr)},
    {"cluster_name", config_set_string, TOP(cluster_name)},
    {"pid_file", config_set_string, TOP(pid_file)},
    {"log_level", config_set_level, TOP(log_level)},
    {"log_format", config_set_format, TOP(log_format)},
    {"log_file", config_set_string, TOP(log_file)},
    {"default_lease_ttl", config_set_ttl, TOP(default_lease_ttl_ns), NS_PER_S, 0},
    {"max_lease_ttl", config_set_ttl, TOP(max_lease_ttl_ns), NS_PER_S},
    {"ui", config_set_bool, TOP(ui)},
    {"max_connections", config_set_uint, TOP(max_connections), 0, CONNECTIONS_MAX},
    {"loops", config_set_uint, TOP(loops), 0, LOOPS_MAX},
    {"disable_mlock", config_set_ignored, .note = "keys are always locked into memory"},
    {NULL}};

static const struct config_field lmdb_fields[] = {
    {"path", config_set_string, TOP(storage_path)},
    {"map_size", config_set_size, TOP(storage_map_size), MAP_SIZE_MIN, MAP_SIZE_MAX},
    {NULL}};

static const struct config_field no_fields[] = {{NULL}};

static const struct config_field crypto_fields[] = {{"aes_gcm", config_set_gcm, TOP(gcm)}, {NULL}};

#define METRICS_NOTE "metrics have no such setting here"
static const struct config_field telemetry_fields[] = {
    {"prometheus_retention_time", config_set_duration, TOP(prometheus_retention_ns)},
    {"disable_hostname", config_set_bool, TOP(telemetry_disable_hostname)},
    {"enable_hostname_label", config_set_ignored, .note = METRICS_NOTE},
    {"metrics_prefix", config_set_ignored, .note = METRICS_NOTE},
    {"usage_gauge_period", config_set_ignored, .note = METRICS_NOTE},
    {"maximum_gauge_cardinality", config_set_ignored, .note = METRICS_NOTE},
    {NULL}};

static const struct config_field audit_options[] = {
    {"file_path", config_set_string, AUDIT(file_path)},
    {"mode", config_set_octal, AUDIT(mode)},
    {"log_raw", config_set_bool, AUDIT(log_raw)},
    {"hmac_accessor", config_set_bool, AUDIT(hmac_accessor)},
    {NULL}};

static const struct config_field audit_fields[] = {
    {"description", config_set_string, AUDIT(description)}, {.more = audit_options}};

/* Storage, audit and the small blocks */

static enum status visit_storage(void *arg, const struct span *labels, const struct hcl_value *body,
                                 struct err *err)
{
	struct config_reader *r = arg;
	struct config *c = r->c;
	enum status s;

	if (r->storages++ > 0)
		return config_bad(r, body->line, body->column, "storage stands twice");
	free(c->storage_path);
	c->storage_path = NULL;
	c->storage_map_size = 0;
	if (span_eq_str(labels[0], "inmem")) {
		c->storage = CONFIG_STORAGE_INMEM;
		return config_read_fields(r, body, no_fields, config_no_blocks, c);
	}
	if (!span_eq_str(labels[0], "lmdb"))
		return config_bad(r, body->line, body->column, "storage is \"lmdb\" or \"inmem\"");
	c->storage = CONFIG_STORAGE_LMDB;
	s = config_read_fields(r, body, lmdb_fields, config_no_blocks, c);
	if (s == ST_OK && c->storage_path == NULL)
		return config_bad(r, body->line, body->column, "storage \"lmdb\" needs a path");
	return s;
}

/* The audit device being read, for its options block. */
struct audit_reader {
	struct config_reader *r;
	struct config_audit *audit;
};

static enum status visit_audit_options(void *arg, const struct span *labels,
                                       const struct hcl_value *body, struct err *err)
{
	struct audit_reader *a = arg;

	return config_read_fields(a->r, body, audit_options, config_no_blocks, a->audit);
}

static const struct config_block audit_blocks[] = {{"options", 0, visit_audit_options}, {NULL, 0}};

static enum status audit_add(struct config *c, struct config_audit **ret)
{
	struct config_audit *grown = reallocarray(c->audits, c->n_audits + 1, sizeof *grown);

	if (grown == NULL)
		return ST_NOMEM;
	c->audits = grown;
	*ret = &grown[c->n_audits++];
	**ret = (struct config_audit){.mode = 0600, .hmac_accessor = true};
	return ST_OK;
}

static enum status visit_audit(void *arg, const struct span *labels, const struct hcl_value *body,
                               struct err *err)
{
	const struct config_field name_field = {.name = "the name of an audit device"};
	const struct hcl_value name = {
	    .type = HCL_STRING, .line = body->line, .column = body->column, .text = labels[1]};
	struct config_reader *r = arg;
	struct audit_reader a = {.r = r};
	enum status s;
	size_t i;

	if (!span_eq_str(labels[0], "file"))
		return config_bad(r, body->line, body->column, "an audit device is \"file\"");
	for (i = 0; i < r->c->n_audits; i++)
		if (span_eq_str(labels[1], r->c->audits[i].name))
			return config_bad(r, body->line, body->column,
			                  "audit device \"%s\" stands twice", r->c->audits[i].name);
	s = audit_add(r->c, &a.audit);
	if (s == ST_OK)
		s = config_set_string(r, &name_field, &name, &a.audit->name);
	if (s == ST_OK)
		s = config_place(r, body->line, body->column, &a.audit->where);
	if (s == ST_OK)
		s = config_read_fields(r, body, audit_fields, audit_blocks, a.audit);
	if (s == ST_OK)
		s = config_read_blocks(r, body, audit_blocks, &a);
	if (s == ST_OK && a.audit->file_path == NULL)
		return config_bad(r, body->line, body->column,
		                  "audit device \"%s\" needs a file_path", a.audit->name);
	return s;
}

static enum status visit_seal(void *arg, const struct span *labels, const struct hcl_value *body,
                              struct err *err)
{
	struct config_reader *r = arg;

	if (!span_eq_str(labels[0], "shamir"))
		return config_bad(r, body->line, body->column, "seal is \"shamir\"");
	return config_read_fields(r, body, no_fields, config_no_blocks, r->c);
}

static enum status visit_telemetry(void *arg, const struct span *labels,
                                   const struct hcl_value *body, struct err *err)
{
	struct config_reader *r = arg;

	return config_read_fields(r, body, telemetry_fields, config_no_blocks, r->c);
}

static enum status visit_crypto(void *arg, const struct span *labels, const struct hcl_value *body,
                                struct err *err)
{
	struct config_reader *r = arg;

	return config_read_fields(r, body, crypto_fields, config_no_blocks, r->c);
}

static const struct config_block top_blocks[] = {{"storage", 1, visit_storage},
                                                 {"backend", 1, visit_storage},
                                                 {"listener", 1, config_visit_listener},
                                                 {"audit", 2, visit_audit},
                                                 {"seal", 1, visit_seal},
                                                 {"telemetry", 0, visit_telemetry},
                                                 {"crypto", 0, visit_crypto},
                                                 {NULL, 0}};

/* Files */

/* What hcl says begins with "At LINE:COLUMN: "; operators get FILE:LINE:COLUMN like everywhere else. */
static enum status hcl_complaint(struct config_reader *r, enum status s)
{
	const struct err said = *r->err;
	unsigned line, column;
	int after = 0;

	if (sscanf(said.text, "At %u:%u: %n", &line, &column, &after) == 2 && after > 0)
		return err_set(r->err, s, "%s:%u:%u: %.*s", r->file, line, column, 300,
		               said.text + after);
	return err_set(r->err, s, "%s: %.*s", r->file, 300, err_text(&said, s));
}

static enum status read_text(struct config_reader *r, const char *file, struct span text)
{
	const struct hcl_value *root;
	struct hcl *hcl = NULL;
	enum status s;

	r->file = file;
	r->told = false;
	r->storages = 0;
	*r->err = (struct err){0};
	s = hcl_parse(text, &hcl, r->err);
	if (s == ST_OK) {
		root = hcl_root(hcl);
		s = config_read_fields(r, root, top_fields, top_blocks, r->c);
		if (s == ST_OK)
			s = config_read_blocks(r, root, top_blocks, r);
	}
	hcl_free(&hcl);
	r->any_storage = r->any_storage || r->storages > 0;
	if (s != ST_OK && !r->told)
		return hcl_complaint(r, s);
	return s;
}

static enum status read_file(struct config_reader *r, const char *path)
{
	struct builder text;
	FILE *f;
	enum status s;
	size_t n;

	f = fopen(path, "re");
	if (f == NULL)
		return err_set(r->err, ST_IO, "%s: %s", path, strerror(errno));
	builder_init(&text, FILE_MAX + 1);
	do {
		uint8_t part[4096];

		n = fread(part, 1, sizeof part, f);
		builder_add(&text, span_of(part, n));
	} while (n > 0 && builder_status(&text) == ST_OK);
	if (ferror(f))
		s = err_set(r->err, ST_IO, "%s: cannot be read", path);
	else if (builder_status(&text) == ST_LIMIT)
		s = err_set(r->err, ST_LIMIT, "%s: larger than 1 MiB", path);
	else if (builder_status(&text) != ST_OK)
		s = err_set(r->err, ST_NOMEM, "%s: out of memory", path);
	else
		s = read_text(r, path, builder_span(&text));
	builder_free(&text);
	(void)fclose(f);
	return s;
}

static int wanted_entry(const struct dirent *e)
{
	const struct span name = span_str(e->d_name);

	return e->d_name[0] != '.' &&
	       (span_ends(name, span_str(".hcl")) || span_ends(name, span_str(".json")));
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static enum status read_folder(struct config_reader *r, const char *path)
{
	struct dirent **entries = NULL;
	enum status s = ST_OK;
	char *file;
	int i, n;

	n = scandir(path, &entries, wanted_entry, by_name);
	if (n < 0)
		return err_set(r->err, ST_IO, "%s: %s", path, strerror(errno));
	if (n == 0)
		s = err_set(r->err, ST_INVALID, "%s: no *.hcl and no *.json in this folder", path);
	for (i = 0; i < n; i++) {
		if (s == ST_OK && asprintf(&file, "%s/%s", path, entries[i]->d_name) < 0)
			s = err_set(r->err, ST_NOMEM, "out of memory");
		else if (s == ST_OK) {
			s = read_file(r, file);
			free(file);
		}
		free(entries[i]);
	}
	free(entries);
	return s;
}

static enum status read_path(struct config_reader *r, const char *path)
{
	struct stat st;

	if (stat(path, &st) != 0)
		return err_set(r->err, ST_IO, "%s: %s", path, strerror(errno));
	return S_ISDIR(st.st_mode) ? read_folder(r, path) : read_file(r, path);
}

/* What must hold when everything is read; `name` is the file or folder read last. */
static enum status check(struct config_reader *r, const char *name)
{
	const struct config *c = r->c;

	if (!r->any_storage)
		return err_set(r->err, ST_INVALID, "%s:1:1: there is no storage block", name);
	if (c->default_lease_ttl_ns > c->max_lease_ttl_ns)
		return err_set(r->err, ST_INVALID,
		               "%s: default_lease_ttl (%llds) is longer than max_lease_ttl (%llds)",
		               r->ttl_place, (long long)(c->default_lease_ttl_ns / NS_PER_S),
		               (long long)(c->max_lease_ttl_ns / NS_PER_S));
	return c->n_listeners > 0 ? ST_OK : config_listener_default(r, name);
}

enum status config_defaults(struct config **ret)
{
	struct config *c = calloc(1, sizeof *c);

	if (c == NULL)
		return ST_NOMEM;
	c->storage = CONFIG_STORAGE_INMEM;
	c->log_level = LOG_INFO;
	c->log_format = LOG_STANDARD;
	c->default_lease_ttl_ns = TTL_DEFAULT_NS;
	c->max_lease_ttl_ns = TTL_DEFAULT_NS;
	c->gcm = CONFIG_GCM_AUTO;
	c->prometheus_retention_ns = 24 * HOUR_NS;
	*ret = c;
	return ST_OK;
}

enum status config_parse(const char *name, struct span text, enum config_mode mode,
                         struct config **ret, struct err *err)
{
	struct err own = {0};
	struct config_reader r = {.mode = mode, .err = err != NULL ? err : &own};
	enum status s;

	s = config_defaults(&r.c);
	if (s != ST_OK)
		return err_set(err, s, "out of memory");
	s = read_text(&r, name, text);
	if (s == ST_OK)
		s = check(&r, name);
	if (s != ST_OK) {
		config_free(&r.c);
		return s;
	}
	*ret = r.c;
	return ST_OK;
}

enum status config_load(const char *const *paths, size_t n_paths, enum config_mode mode,
                        struct config **ret, struct err *err)
{
	struct err own = {0};
	struct config_reader r = {.mode = mode, .err = err != NULL ? err : &own};
	enum status s;
	size_t i;

	if (n_paths == 0)
		return err_set(err, ST_INVALID, "no configuration file was named");
	s = config_defaults(&r.c);
	if (s != ST_OK)
		return err_set(err, s, "out of memory");
	for (i = 0; i < n_paths && s == ST_OK; i++)
		s = read_path(&r, paths[i]);
	if (s == ST_OK)
		s = check(&r, paths[n_paths - 1]);
	if (s != ST_OK) {
		config_free(&r.c);
		return s;
	}
	*ret = r.c;
	return ST_OK;
}

static void audit_free(struct config_audit *a)
{
	free(a->where);
	free(a->name);
	free(a->description);
	free(a->file_path);
}

void config_free(struct config **c)
{
	struct config *old = *c;
	size_t i;

	if (old == NULL)
		return;
	for (i = 0; i < old->n_listeners; i++)
		config_listener_free(&old->listeners[i]);
	for (i = 0; i < old->n_audits; i++)
		audit_free(&old->audits[i]);
	for (i = 0; i < old->n_warnings; i++)
		free(old->warnings[i]);
	free(old->listeners);
	free(old->audits);
	free(old->warnings);
	free(old->storage_path);
	free(old->api_addr);
	free(old->cluster_addr);
	free(old->cluster_name);
	free(old->pid_file);
	free(old->log_file);
	free(old);
	*c = NULL;
}
