/*
 * Audit: one JSON line per request and one per answer, written before the answer leaves, to every device.  Strings in tokens, bodies and answers
 * are replaced by "hmac-sha256:" and a keyed hash, with a salt per device that is kept in the store, unless the device says log_raw.
 * One device that works is enough; when all fail, the request fails.
 */
#ifndef CORE_AUDIT_H
#define CORE_AUDIT_H

#include "barrier/rotate.h"
#include "barrier/view.h"
#include "base/clock.h"
#include "base/message.h"
#include "crypto/random.h"

struct audit; /* the devices: open files; the process's, also while sealed */
struct
    audit_salts; /* one key a device, in guarded memory; immutable, counted; part of the world, so only while unsealed */

/* As in the configuration: audit "file" "NAME" { file_path, mode, log_raw, hmac_accessor }. */
struct audit_device {
	const char *name;
	const char *file_path; /* a regular file, "stdout", "/dev/null" */
	unsigned mode;         /* of a file that is created; 0600 */
	bool log_raw;
	bool hmac_accessor;
};

/* audit_new(devices, n, clock, ret, err): opens them (O_APPEND, O_NOFOLLOW); ST_IO names device and file;
 * ST_INVALID: a name that is no path, or stands twice.  n may be 0, and a mode 0 (0600).  The strings are copied.  A broken pipe is a failure like others
 * only where SIGPIPE is ignored. */
MUST_USE enum status audit_new(const struct audit_device *devices, size_t n,
                               const struct clock *clock, struct audit **ret, struct err *err);
void audit_free(struct audit **a);
/* audit_reopen(a): SIGHUP; a file that cannot be opened keeps the old descriptor and is logged.  Any thread. */
void audit_reopen(struct audit *a);
/* audit_on(a): is there any device? */
bool audit_on(const struct audit *a);

/*
 * audit_load(a, view, random, ret, err): the salts from the records of `view` (one a device name), made where they are missing (on the writer's transaction).
 * audit_salts_ref, audit_salts_unref: any thread; the last one may come after audit_free.
 */
MUST_USE enum status audit_load(const struct audit *a, const struct view *view,
                                const struct random *random, const struct audit_salts **ret,
                                struct err *err);
const struct audit_salts *audit_salts_ref(const struct audit_salts *s);
void audit_salts_unref(const struct audit_salts **s);

/* audit_hash(s, device, text, out): "hmac-sha256:" and 64 hex digits, for sys/audit-hash.  ST_NOT_FOUND: no such device. */
MUST_USE enum status audit_hash(const struct audit_salts *s, const char *device, struct span text,
                                struct builder *out);

/* Who and what a line is about.  Spans may be empty. */
struct audit_subject {
	const struct request *req; /* id, verb, path, remote, data, token */
	const char *operation;     /* "create" when the gate told it from update; else verb_name */
	const struct span *policies; /* of the token; empty when it is unknown */
	size_t n_policies;
	struct span accessor, display_name;
	struct span mount; /* "secret/", with its type */
	const char *mount_type;
};

/*
 * audit_request(a, salts, s, why, err), audit_response(a, salts, s, answer, err): compose and write a line to each device.  why: text of a refusal
 * that the gate has decided already, or NULL.  salts NULL (sealed): strings are left out altogether.  ST_IO: no device could write.  Any thread;
 * one write(2) a line.  The request's body must still be as parsed.
 */
MUST_USE enum status audit_request(struct audit *a, const struct audit_salts *salts,
                                   const struct audit_subject *s, const char *why, struct err *err);
MUST_USE enum status audit_response(struct audit *a, const struct audit_salts *salts,
                                    const struct audit_subject *s, const struct answer *answer,
                                    struct err *err);

/* audit_rotated(a, e): an automatic (or any) rotation, as a line of type "rotation": cause, terms, counts.  Failures are logged. */
void audit_rotated(struct audit *a, const struct rotation_event *e);

/* audit_noted(a, text): what an engine did unasked, as a line of type "event" that holds the JSON object `text`.  Failures are logged. */
void audit_noted(struct audit *a, struct span text);

struct audit_stats {
	uint64_t lines, failures;
};
void audit_stats(const struct audit *a, struct audit_stats *ret);

#endif
