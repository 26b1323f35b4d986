/*
 * The one writing thread.  Write handlers run here one after another, each against the latest state; what they change waits in an
 * overlay and is sealed under the active term, counted and committed a group at a time; then the new snapshot is published, and only
 * then the answers go.  A failed commit fails the whole group and changes nothing; an unknown outcome is settled before
 * anything is answered.
 *
 * States: CLOSED (sealed or not initialised) <-> OPEN; STOPPED at the end.
 */
#ifndef BARRIER_WRITER_H
#define BARRIER_WRITER_H

#include "barrier/reader.h"
#include "barrier/rotate.h"
#include "barrier/slots.h"
#include "base/clock.h"

/* Records that one group seals at most before more is allowed for (docs/operations.md, "Counts"). */
#define GROUP_RECORDS_DEFAULT 1024

struct writer;

/* A piece of work for the writer, embedded in its owner, which keeps it until `done`. */
struct writer_job {
	/* run(job, t, err): on the writer's thread.  Any status but ST_OK drops what it changed; then, and if the commit fails, done is told. */
	enum status (*run)(struct writer_job *job, struct txn *t, struct err *err);
	/* done(job, status, err): on the writer's thread, after the commit.  Must not block. */
	void (*done)(struct writer_job *job, enum status status, const struct err *err);
	/* JOB_WRITE runs inside a group.  JOB_CONTROL runs alone, with t NULL, in any state: the calls marked "control" below are for it. */
	enum writer_job_kind { JOB_WRITE, JOB_CONTROL } kind;
	/* the writer's */
	struct writer_job *next;
	enum status status;
	struct err err;
};

/* What the writer tells the upper floor; all on its thread.  Members may be NULL. */
struct writer_hooks {
	void *ctx;
	/* rotated: a rotation is committed and published, before the answers of its group go. */
	void (*rotated)(void *ctx, const struct rotation_event *e);
	/* due_at: the wall time at which `due` wants to run; INT64_MAX: never.  due: run as a job of a group; its changes are committed with it. */
	int64_t (*due_at)(void *ctx);
	enum status (*due)(void *ctx, struct txn *t, int64_t now_ns, struct err *err);
	/* due_lost: due did its work, but its group could not be committed: nothing of it is there. */
	void (*due_lost)(void *ctx);
	/* noted: what txn_note was given, one call a note, when its change is committed and published, before the answers of its group go. */
	void (*noted)(void *ctx, struct span text);
	/* stopped: the store closes: no loop reads any more, and all have dropped what they cache.  May wait for what else holds keys. */
	void (*stopped)(void *ctx);
	/*
	 * closing: next.  What it changes is committed with the mark of a clean stop,
	 * the last commit; not when it fails, or the commit does: then the mark is set without it.
	 */
	enum status (*closing)(void *ctx, struct txn *t, struct err *err);
	/* closed: the store was sealed, all keys are gone. */
	void (*closed)(void *ctx);
	/* term_made: nothing was encrypted under this term yet; encrypted: a record is about to be encrypted under it (tests count with these). */
	void (*term_made)(void *ctx, uint32_t term);
	void (*encrypted)(void *ctx, uint32_t term);
};

struct writer_config {
	struct readers *readers;
	struct storage *storage;
	struct slots *slots;
	const struct clock *clock;
	const struct random *random;
	uint32_t group_records; /* 0: GROUP_RECORDS_DEFAULT */
	struct writer_hooks hooks;
};

/* writer_new(config, ret, err): CLOSED, no thread yet.  writer_start: the thread.  writer_free: stopped (or never started). */
MUST_USE enum status writer_new(const struct writer_config *config, struct writer **ret,
                                struct err *err);
MUST_USE enum status writer_start(struct writer *w, struct err *err);
void writer_free(struct writer **w);

/* writer_submit(w, job): any thread; never blocks.  Jobs run in the order of submission.  After writer_stop `done` gets ST_SEALED at once, on the caller's thread. */
void writer_submit(struct writer *w, struct writer_job *job);
/* writer_wake(w): look at the clock again (a test moved it). */
void writer_wake(struct writer *w);
/* writer_stop(w): finish what waits, close cleanly, end the thread.  All readers are closed or their loops still run.  Not on a loop's thread. */
void writer_stop(struct writer *w);

/* A record outside the barrier that the seal keeps (sealed root key, share configuration). */
struct writer_raw {
	const char *path;
	struct span value;
};

/*
 * writer_create (control): a new store: term 1, the raw records, and what populate writes, in one transaction.  Stays CLOSED.  ST_EXISTS: there is a
 * keyring already.  wrap, mac: as keyring_new.
 */
MUST_USE enum status writer_create(
    struct writer *w, const struct secret *wrap, const struct secret *mac,
    const uint8_t id[static STORE_ID_LEN], const struct writer_raw *raw, size_t n_raw,
    enum status (*populate)(void *ctx, struct txn *t, struct err *err), void *ctx, struct err *err);

/*
 * writer_open (control): load the keyring, add the allowance of an unclean stop to the active term's count, commit the running mark, load
 * the world (load sets *ret_world, a reference given to the writer; it may also change records), publish.  On failure CLOSED and
 * unchanged.
 */
MUST_USE enum status writer_open(
    struct writer *w, const struct secret *wrap, const struct secret *mac,
    enum status (*load)(void *ctx, struct txn *t, const struct world **ret_world, struct err *err),
    void *ctx, struct err *err);

/*
 * writer_close (control): publish nothing, stop all readers, let the upper floor store its last (closing) and clear the running mark in one commit, drop every
 * key; CLOSED when it returns.  A mark that cannot be cleared is logged: the next start then counts an unclean stop.
 */
void writer_close(struct writer *w);

/* writer_get_raw (control): a record outside the barrier, appended to out; any state.  ST_NOT_FOUND. */
MUST_USE enum status writer_get_raw(struct writer *w, const char *path, struct builder *out,
                                    struct err *err);

struct writer_stats {
	uint64_t jobs, groups, commits, failed, unknown;
	uint64_t encryptions; /* since the process started */
	uint64_t rotations, rotations_failed;
	uint64_t unclean_stops; /* found at unseal */
	uint64_t waiting;       /* jobs not yet taken, about */
	uint64_t slots_ready;   /* made ahead of rotations to come */
};
/* Any thread. */
void writer_stats(const struct writer *w, struct writer_stats *ret);

#endif
