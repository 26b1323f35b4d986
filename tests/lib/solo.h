/*
 * A writer alone, over a store and slots in memory, for unit tests of what stands above the barrier: no loops, no readers.
 */
#ifndef LIB_SOLO_H
#define LIB_SOLO_H

#include "barrier/writer.h"

struct solo {
	struct storage *storage;
	struct clock_manual clock;
	struct random_seeded random;
	struct slots *slots;
	struct readers *readers;
	struct writer *writer;
	bool started;
};

/* setup of a test group: guarded memory, no log. */
int solo_process(void **state);

/* solo_init(s, seed): a new store and a writer without a thread.  solo_start: its thread.  solo_restart: the writer ends cleanly, and a new
 * one without a thread takes the same store and slots.  solo_free: all gone. */
void solo_init(struct solo *s, uint64_t seed);
void solo_start(struct solo *s);
void solo_restart(struct solo *s);
void solo_free(struct solo *s);

/* solo_open(s): a writer that has started: make its store under keys of the test's own, and open it. */
void solo_open(struct solo *s);

/* fn as a job of the writer, waited for; its status, after the commit. */
typedef enum status solo_fn(void *arg, struct txn *t, struct err *err);
enum status solo_write(struct solo *s, solo_fn *fn, void *arg, struct err *err);
enum status solo_control(struct solo *s, solo_fn *fn, void *arg, struct err *err);

/* Records of the storage as they lie there, the writer being idle.  solo_raw_get: appended to out. */
void solo_raw_put(struct solo *s, const char *path, struct span value);
void solo_raw_delete(struct solo *s, const char *path);
void solo_raw_get(struct solo *s, const char *path, struct builder *out);
/* solo_raw_all(s, out): the values of all records, one after another. */
void solo_raw_all(struct solo *s, struct builder *out);

/* A load for writer_open: a world of nothing. */
enum status solo_load(void *ctx, struct txn *t, const struct world **ret_world, struct err *err);

#endif
