/* The members of the writer, for writer, writer_commit and writer_control alone; everything on its thread. */
#ifndef BARRIER_WRITER_IMPL_H
#define BARRIER_WRITER_IMPL_H

#include <pthread.h>

#include "barrier/txn_impl.h"
#include "barrier/writer.h"

enum writer_state { WRITER_CLOSED, WRITER_OPEN, WRITER_STOPPED };

/* Counts of the terms that a group touches; few, so a list. */
struct touched {
	uint32_t term;
	struct usage usage;
};
#define TOUCHED_INLINE 8

/* How the last group went: what the next one may wait for. */
struct pace {
	uint64_t jobs;     /* its own, and those that waited when it was done */
	int64_t commit_ns; /* how long the storage took to commit it */
};

/* When something that failed is tried again. */
struct backoff {
	int64_t at_ns; /* monotonic; 0: nothing failed */
	int64_t wait_ns;
};

struct writer {
	struct writer_config config;
	enum writer_state state;

	/* hand-over */
	_Atomic(struct writer_job *) inbox; /* newest first */
	struct writer_job *taken;           /* oldest first, not yet run */
	int event_fd, timer_fd;
	pthread_t thread;
	bool started;
	atomic_bool stopping;
	struct pace pace;

	/* the open store */
	const struct keyring *keyring;
	const struct world *world;
	struct usage active;           /* of the active term, as committed */
	uint64_t carry;                /* encryptions under it whose commit failed */
	int64_t seen_mono_ns;          /* when active.seen_ns was true */
	struct backoff rotation_retry; /* an automatic rotation failed */
	struct backoff due_retry;      /* the upper floor's periodic work failed */
	struct term_keys keys;
	struct arena arena;

	/* the group */
	struct txn txn;
	struct txn_write write;
	struct builder sealed;
	struct touched *touched;
	size_t n_touched, cap_touched;
	uint64_t group_encryptions;

	struct {
		_Atomic uint64_t jobs, groups, commits, failed, unknown, encryptions, rotations,
		    rotations_failed, unclean_stops, waiting;
	} stats;
};

#define COUNT(w, name, n) atomic_fetch_add_explicit(&(w)->stats.name, (n), memory_order_relaxed)

const struct storage_driver *writer_driver(const struct writer *w);
uint32_t writer_group_records(const struct writer *w);

/* writer_seen_now(w): the wall time as the active term has seen it: never goes back, also over a restart. */
int64_t writer_seen_now(struct writer *w);

/* backoff_step(b, mono_ns): it failed: wait twice as long as the last time, from a second up to five minutes. */
void backoff_step(struct backoff *b, int64_t mono_ns);

/* writer_group_begin: the group's transaction, w->txn.  writer_group_end: forget the group's changes; the storage transaction has ended or is
 * aborted here. */
MUST_USE enum status writer_group_begin(struct writer *w, struct err *err);
void writer_group_end(struct writer *w);

/*
 * writer_allow(w, records, err): make the running mark durable for at least `records`, and count what an earlier group encrypted and could not
 * commit, in a commit of its own before anything is encrypted; the group's transaction (still without changes in the storage) goes on.
 */
MUST_USE enum status writer_allow(struct writer *w, uint32_t records, struct err *err);

/* writer_group_close(w, err): the same for the last group of the store, which clears the running mark and publishes nothing. */
MUST_USE enum status writer_group_close(struct writer *w, struct err *err);

/* writer_group_commit(w, err): commit what the jobs of this group left in the transaction.  ST_OK: durable and published; else nothing changed. */
MUST_USE enum status writer_group_commit(struct writer *w, struct err *err);

/* The steps of it, for the control calls.  writer_apply: seal, count and put all changes.  writer_commit: ends the storage transaction, settles an
 * unknown outcome; ST_OK: durable, and the snapshot that was hung is published.  Else nothing changed. */
MUST_USE enum status writer_apply(struct writer *w, struct err *err);
MUST_USE enum status writer_commit(struct writer *w, struct err *err);
MUST_USE enum status writer_put_head(struct writer *w, const struct keyring *k, struct err *err);
MUST_USE enum status writer_put_usage(struct writer *w, uint32_t term, const struct usage *u,
                                      struct err *err);
/* writer_adopt(w): what the group's transaction made current is the store's now. */
void writer_adopt(struct writer *w);

#endif
