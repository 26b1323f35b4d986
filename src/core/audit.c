#include "core/audit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <pthread.h>

#include "base/log.h"
#include "core/audit_line.h"

#define DEVICE_NAME_MAX 128
#define MODE_DEFAULT    0600U
#define SALT_LEN        32

struct device {
	char *name, *path;
	unsigned mode;
	bool log_raw, hmac_accessor;
	bool standard; /* standard output: never opened, reopened or closed here */
	/*
	 * The number stays the same for the life of the process: reopening puts the new file under it, so that a thread in the middle
	 * of a write never meets a closed one.
	 */
	int fd;
	/* Held for a write to what is no regular file: the kernel keeps only those to files whole. */
	pthread_mutex_t lock;
	atomic_bool regular;
	atomic_bool torn;    /* the last line has no end: the next one begins with it */
	atomic_bool failing; /* told in the log already */
};

struct audit {
	const struct clock *clock;
	pthread_mutex_t reopening;
	_Atomic uint64_t lines, failures;
	size_t n;
	struct device devices[];
};

struct audit_salts {
	atomic_uint refs;
	const struct audit
	    *audit; /* whose devices they are for; may be gone before the last holder lets go */
	size_t n;
	struct hmac_key *keys[];
};

/* ---- devices ---- */

static enum status failed(struct err *err, const struct device *d, int e)
{
	return err_set(err, ST_IO, "audit device %s: %s: %s", d->name, d->path, strerror(e));
}

/* The file, made with the mode that was asked for, whatever the umask is; -1: errno. */
static int open_or_create(const struct device *d)
{
	/* Not blocking, so that a pipe without a reader is refused and not waited for. */
	const int flags = O_WRONLY | O_APPEND | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
	int fd = open(d->path, flags), e;

	if (fd >= 0 || errno != ENOENT)
		return fd;
	fd = open(d->path, flags | O_CREAT | O_EXCL, MODE_DEFAULT & d->mode);
	if (fd < 0 && errno == EEXIST)
		return open(d->path, flags);
	if (fd >= 0 && fchmod(fd, d->mode) < 0) {
		e = errno;
		(void)close(fd);
		errno = e;
		return -1;
	}
	return fd;
}

static enum status open_file(const struct device *d, int *ret_fd, bool *ret_regular,
                             struct err *err)
{
	int fd = open_or_create(d), e;
	struct stat info;

	if (fd < 0)
		return failed(err, d, errno);
	if (fstat(fd, &info) < 0 || fcntl(fd, F_SETFL, O_APPEND) < 0) {
		e = errno;
		(void)close(fd);
		return failed(err, d, e);
	}
	if (!S_ISREG(info.st_mode) && !S_ISCHR(info.st_mode)) {
		(void)close(fd);
		return err_set(err, ST_IO, "audit device %s: %s: not a regular file", d->name,
		               d->path);
	}
	*ret_fd = fd;
	*ret_regular = S_ISREG(info.st_mode);
	return ST_OK;
}

static enum status open_device(struct device *d, const struct audit_device *config, struct err *err)
{
	struct path path;
	struct stat info;
	struct err why = {0};
	bool regular;
	enum status st;

	*d = (struct device){.fd = -1,
	                     .mode = config->mode != 0 ? config->mode : MODE_DEFAULT,
	                     .log_raw = config->log_raw,
	                     .hmac_accessor = config->hmac_accessor,
	                     .standard = strcmp(config->file_path, "stdout") == 0};
	pthread_mutex_init(&d->lock, NULL);
	/* The name is a path below the salts' prefix. */
	if (path_parse(span_str(config->name), &path, &why) != ST_OK || path.folder ||
	    path.n > DEVICE_NAME_MAX)
		return err_set(err, ST_INVALID, "audit device: \"%s\" is not a good name",
		               config->name);
	d->name = strdup(config->name);
	d->path = strdup(config->file_path);
	if (d->name == NULL || d->path == NULL)
		return err_set(err, ST_NOMEM, "no memory for the audit devices");
	if (d->standard) {
		d->fd = STDOUT_FILENO;
		regular = fstat(d->fd, &info) == 0 && S_ISREG(info.st_mode);
	} else {
		st = open_file(d, &d->fd, &regular, err);
		if (st != ST_OK)
			return st;
	}
	atomic_store(&d->regular, regular);
	return ST_OK;
}

static void close_device(struct device *d)
{
	if (!d->standard && d->fd >= 0)
		(void)close(d->fd);
	pthread_mutex_destroy(&d->lock);
	free(d->name);
	free(d->path);
}

static bool named(const struct audit *a, struct span name, size_t *ret)
{
	for (size_t i = 0; i < a->n; i++) {
		if (span_eq_str(name, a->devices[i].name)) {
			*ret = i;
			return true;
		}
	}
	return false;
}

enum status audit_new(const struct audit_device *devices, size_t n, const struct clock *clock,
                      struct audit **ret, struct err *err)
{
	struct audit *a = calloc(1, sizeof *a + n * sizeof a->devices[0]);
	enum status st = ST_OK;
	size_t other;

	if (a == NULL)
		return err_set(err, ST_NOMEM, "no memory for the audit devices");
	a->clock = clock;
	pthread_mutex_init(&a->reopening, NULL);
	for (size_t i = 0; i < n && st == ST_OK; i++) {
		if (named(a, span_str(devices[i].name), &other)) {
			st = err_set(err, ST_INVALID, "audit device %s: there are two of this name",
			             devices[i].name);
		} else {
			st = open_device(&a->devices[i], &devices[i], err);
			a->n++;
		}
	}
	if (st != ST_OK) {
		audit_free(&a);
		return st;
	}
	*ret = a;
	return ST_OK;
}

void audit_free(struct audit **a)
{
	if (*a == NULL)
		return;
	for (size_t i = 0; i < (*a)->n; i++)
		close_device(&(*a)->devices[i]);
	pthread_mutex_destroy(&(*a)->reopening);
	free(*a);
	*a = NULL;
}

bool audit_on(const struct audit *a)
{
	return a->n > 0;
}

static void reopen_device(struct device *d)
{
	struct err err = {0};
	bool regular;
	int fd;

	if (d->standard)
		return;
	if (open_file(d, &fd, &regular, &err) != ST_OK) {
		log_error("audit", "cannot reopen, going on with the old file: %s", err.text);
		return;
	}
	if (dup3(fd, d->fd, O_CLOEXEC) < 0) {
		log_error("audit", "cannot reopen, going on with the old file: %s: %s", d->path,
		          strerror(errno));
	} else {
		atomic_store(&d->regular, regular);
		atomic_store(&d->torn, false);
	}
	(void)close(fd);
}

void audit_reopen(struct audit *a)
{
	pthread_mutex_lock(&a->reopening);
	for (size_t i = 0; i < a->n; i++)
		reopen_device(&a->devices[i]);
	pthread_mutex_unlock(&a->reopening);
}

/* ---- writing ---- */

static ssize_t write_once(int fd, struct span s)
{
	ssize_t n;

	do
		n = write(fd, s.p, s.n);
	while (n < 0 && errno == EINTR);
	return n;
}

/* line: an end, the text, and an end; the first one is for a line that was cut. */
static int write_line(struct device *d, struct span line)
{
	bool torn = atomic_exchange(&d->torn, false);
	struct span s = torn ? line : span_from(line, 1);
	ssize_t n = write_once(d->fd, s);
	int e = n < 0 ? errno : ENOSPC;

	if (n >= 0 && (size_t)n == s.n)
		return 0;
	if (n > 0)
		torn = write_once(d->fd, span_str("\n")) != 1;
	if (torn)
		atomic_store(&d->torn, true);
	return e;
}

static int write_device(struct device *d, struct span line)
{
	int e;

	if (atomic_load(&d->regular))
		return write_line(d, line);
	pthread_mutex_lock(&d->lock);
	e = write_line(d, line);
	pthread_mutex_unlock(&d->lock);
	return e;
}

/* The log is told when a device begins to fail and when it works again, not of each line. */
static void note(struct device *d, int e)
{
	if (e != 0 && !atomic_exchange(&d->failing, true))
		log_error("audit", "device %s fails: %s: %s", d->name, d->path, strerror(e));
	else if (e == 0 && atomic_load_explicit(&d->failing, memory_order_relaxed) &&
	         atomic_exchange(&d->failing, false))
		log_info("audit", "device %s works again", d->name);
}

/* What a line is made of. */
struct content {
	enum { REQUEST, RESPONSE, ROTATION, EVENT } type;
	const struct audit_subject *subject;
	const char *why;
	const struct audit_answer *answer;
	const struct rotation_event *event;
	struct span text;
};

static void compose(struct builder *b, const struct audit_style *style, int64_t now_ns,
                    const struct content *c)
{
	switch (c->type) {
	case REQUEST:
		audit_line_request(b, style, now_ns, c->subject, c->why);
		break;
	case RESPONSE:
		audit_line_response(b, style, now_ns, c->subject, c->answer);
		break;
	case ROTATION:
		audit_line_rotation(b, now_ns, c->event);
		break;
	case EVENT:
		audit_line_event(b, now_ns, c->text);
		break;
	default:
		MUST(c->type <= EVENT);
	}
}

static int put_line(struct device *d, const struct hmac_key *salt, int64_t now_ns,
                    const struct content *c)
{
	const struct audit_style style = {salt, d->log_raw, d->hmac_accessor};
	struct builder line = {0};
	int e = ENOMEM;

	builder_u8(&line, '\n');
	compose(&line, &style, now_ns, c);
	builder_u8(&line, '\n');
	if (builder_status(&line) == ST_OK)
		e = write_device(d, builder_span(&line));
	builder_free(&line);
	return e;
}

static enum status put(struct audit *a, const struct audit_salts *salts, const struct content *c,
                       struct err *err)
{
	int64_t now_ns = clock_wall_ns(a->clock);
	size_t written = 0;

	MUST(salts == NULL || salts->audit == a);
	for (size_t i = 0; i < a->n; i++) {
		int e = put_line(&a->devices[i], salts != NULL ? salts->keys[i] : NULL, now_ns, c);

		note(&a->devices[i], e);
		written += e == 0;
		atomic_fetch_add_explicit(e == 0 ? &a->lines : &a->failures, 1,
		                          memory_order_relaxed);
	}
	if (written == 0 && a->n > 0)
		return err_set(err, ST_IO, "no audit device could be written");
	return ST_OK;
}

enum status audit_request(struct audit *a, const struct audit_salts *salts,
                          const struct audit_subject *s, const char *why, struct err *err)
{
	const struct content c = {.type = REQUEST, .subject = s, .why = why};

	return put(a, salts, &c, err);
}

/* Answers are the server's own text, so what it could read once more may be as large as it was. */
static const struct json_limits answer_limits = {JSON_DEPTH_MAX, 16U << 20, UINT32_MAX};

/* The reader unescapes in place: it gets a copy.  What cannot be read stays NULL, and is shown as one string. */
static const struct json_value *parse(struct json *doc, struct builder *copy,
                                      const struct builder *text)
{
	json_init(doc);
	if (text->n == 0)
		return NULL;
	builder_add(copy, builder_span(text));
	if (builder_status(copy) != ST_OK ||
	    json_parse(doc, copy->p, copy->n, &answer_limits, NULL) != ST_OK)
		return NULL;
	return json_root(doc);
}

enum status audit_response(struct audit *a, const struct audit_salts *salts,
                           const struct audit_subject *s, const struct answer *answer,
                           struct err *err)
{
	struct audit_answer parsed = {.answer = answer};
	const struct content c = {.type = RESPONSE, .subject = s, .answer = &parsed};
	struct builder data_copy = {0}, auth_copy = {0};
	struct json data, auth;
	enum status st;

	if (a->n == 0)
		return ST_OK;
	parsed.auth = parse(&auth, &auth_copy, &answer->auth);
	json_init(&data);
	if (answer->shape != ANSWER_TEXT)
		parsed.data = parse(&data, &data_copy, &answer->data);
	st = put(a, salts, &c, err);
	json_free(&data);
	json_free(&auth);
	builder_free(&data_copy);
	builder_free(&auth_copy);
	return st;
}

void audit_rotated(struct audit *a, const struct rotation_event *e)
{
	const struct content c = {.type = ROTATION, .event = e};
	struct err err = {0};

	if (put(a, NULL, &c, &err) != ST_OK)
		log_error("audit", "rotation to term %u is not in the audit: %s", e->new_term,
		          err.text);
}

void audit_noted(struct audit *a, struct span text)
{
	const struct content c = {.type = EVENT, .text = text};
	struct err err = {0};

	if (put(a, NULL, &c, &err) != ST_OK)
		log_error("audit", "an event is not in the audit: %s", err.text);
}

void audit_stats(const struct audit *a, struct audit_stats *ret)
{
	ret->lines = atomic_load_explicit(&a->lines, memory_order_relaxed);
	ret->failures = atomic_load_explicit(&a->failures, memory_order_relaxed);
}

/* ---- salts ---- */

static enum status make_salt(const struct view *view, const struct random *random, const char *name,
                             struct span *ret, struct err *err)
{
	uint8_t *salt = view_alloc(view, SALT_LEN);
	enum status st;

	if (salt == NULL)
		return err_set(err, ST_NOMEM, "no locked memory for an audit salt");
	random_fill(random, salt, SALT_LEN);
	st = view_put(view, span_str(name), span_of(salt, SALT_LEN), err);
	if (st == ST_OK)
		*ret = span_of(salt, SALT_LEN);
	return st;
}

static enum status load_salt(const struct view *view, const struct random *random, const char *name,
                             struct hmac_key **ret, struct err *err)
{
	struct span salt;
	enum status st = view_get(view, span_str(name), &salt, err);

	if (st == ST_NOT_FOUND)
		st = make_salt(view, random, name, &salt, err);
	if (st != ST_OK)
		return st;
	if (salt.n != SALT_LEN)
		return err_set(err, ST_CORRUPT, "the salt of audit device %s is damaged", name);
	st = hmac_key_new(salt, ret);
	return st == ST_OK ? st : err_set(err, st, "no locked memory for an audit salt");
}

enum status audit_load(const struct audit *a, const struct view *view, const struct random *random,
                       const struct audit_salts **ret, struct err *err)
{
	struct audit_salts *s = calloc(1, sizeof *s + a->n * sizeof s->keys[0]);
	const struct audit_salts *dropped = s;
	enum status st = ST_OK;

	if (s == NULL)
		return err_set(err, ST_NOMEM, "no memory for the audit salts");
	atomic_init(&s->refs, 1);
	s->audit = a;
	s->n = a->n;
	for (size_t i = 0; i < a->n && st == ST_OK; i++)
		st = load_salt(view, random, a->devices[i].name, &s->keys[i], err);
	if (st != ST_OK) {
		audit_salts_unref(&dropped);
		return st;
	}
	*ret = s;
	return ST_OK;
}

/* Immutable but for the count. */
static struct audit_salts *counted(const struct audit_salts *s)
{
	return (struct audit_salts *)(uintptr_t)s;
}

const struct audit_salts *audit_salts_ref(const struct audit_salts *s)
{
	if (s != NULL)
		atomic_fetch_add_explicit(&counted(s)->refs, 1, memory_order_relaxed);
	return s;
}

void audit_salts_unref(const struct audit_salts **s)
{
	struct audit_salts *mine = counted(*s);

	*s = NULL;
	if (mine == NULL || atomic_fetch_sub_explicit(&mine->refs, 1, memory_order_acq_rel) != 1)
		return;
	for (size_t i = 0; i < mine->n; i++)
		hmac_key_free(&mine->keys[i]);
	free(mine);
}

enum status audit_hash(const struct audit_salts *s, const char *device, struct span text,
                       struct builder *out)
{
	size_t i;

	if (s == NULL || !named(s->audit, span_str(device), &i))
		return ST_NOT_FOUND;
	audit_line_hash(s->keys[i], text, out);
	return ST_OK;
}
