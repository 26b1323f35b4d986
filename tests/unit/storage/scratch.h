/* A folder for one test, and small things to say about a store in one line. */
#ifndef UNIT_STORAGE_SCRATCH_H
#define UNIT_STORAGE_SCRATCH_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "storage/storage.h"

#define SCRATCH_PATH_MAX 200

/*
 * A new folder of mode 0700 under TMPDIR or /tmp; store is the name of a folder in it that is not
 * there yet.
 */
struct scratch {
	char folder[SCRATCH_PATH_MAX];
	char store[SCRATCH_PATH_MAX];
};

void scratch_make(struct scratch *s);
/* scratch_remove: with all that is in it. */
void scratch_remove(struct scratch *s);
/* scratch_name(s, name, out): the path of a name in the scratch folder. */
void scratch_name(const struct scratch *s, const char *name, char out[static SCRATCH_PATH_MAX]);

/*
 * A write transaction, a reader's handle with the newest snapshot.  The test fails when they cannot
 * be had.
 */
struct storage_txn *begin(struct storage *s);
struct storage_txn *snapshot(struct storage *s);
void renew(struct storage_txn *t);

/* put, del: must succeed.  commit: must be DONE; returns the number. */
void put(struct storage_txn *t, const char *key, const char *value);
void del(struct storage_txn *t, const char *key);
uint64_t commit(struct storage_txn **t);
/* put_one(s, key, value): in a transaction of its own. */
uint64_t put_one(struct storage *s, const char *key, const char *value);

void assert_value(struct storage_txn *t, const char *key, const char *value);
void assert_missing(struct storage_txn *t, const char *key);
/* assert_seek(t, from, key): key NULL: nothing from there on. */
void assert_seek(struct storage_txn *t, const char *from, const char *key);
void assert_span(struct span s, const char *text);
/* assert_newest(s, key, value): in a snapshot of its own; value NULL: missing. */
void assert_newest(struct storage *s, const char *key, const char *value);

/* step(&state): the next number of a fixed sequence (splitmix64). */
uint64_t step(uint64_t *state);

#endif
