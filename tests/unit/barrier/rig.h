/*
 * What the tests of the writer share: a store in memory that can fail, slots, readers and a writer with a clock set by hand; calls that
 * run on the writer and wait; the counting of encryptions by the hook; and the recount that must agree with the usage records.
 */
#ifndef TESTS_UNIT_BARRIER_RIG_H
#define TESTS_UNIT_BARRIER_RIG_H

#include "barrier/writer.h"
#include "lib/faultstore.h"

#define RIG_TERMS  4096
#define RIG_EVENTS 4096

/* setup of a test group: guarded memory, quiet log. */
int rig_process(void **state);

struct rig {
	struct storage *store; /* a faultstore */
	struct storage
	    *inner; /* the one in memory behind it, for looks past the barrier; the faultstore's */
	struct clock_manual clock;
	struct random_seeded random;
	struct slots *slots;
	struct readers *readers;
	struct writer *writer;
	struct secret *wrap, *mac;
	uint8_t id[STORE_ID_LEN];
	uint32_t group_records;
	/* by the hooks, on the writer's thread; looked at when it is idle */
	_Atomic uint64_t encrypted[RIG_TERMS];
	struct rotation_event events[RIG_EVENTS];
	_Atomic unsigned n_events;
	_Atomic unsigned closed;
	/* periodic work: due when due_at is reached */
	_Atomic int64_t due_at;
	enum status (*due)(struct rig *r, struct txn *t, struct err *err);
	_Atomic unsigned lost; /* its group was not committed */
	/* at the close; NULL: nothing */
	enum status (*closing)(struct rig *r, struct txn *t, struct err *err);
	/* notes, one after another */
	struct builder notes;
	_Atomic unsigned n_notes;
};

/* rig_new(group_records, slot_folder): a new store, made and opened; slot_folder NULL: slots in memory. */
struct rig *rig_new(uint32_t group_records, const char *slot_folder);
/* rig_closed: the same, made but not opened. */
struct rig *rig_closed(uint32_t group_records, const char *slot_folder);
void rig_free(struct rig **r);

typedef enum status rig_fn(void *arg, struct txn *t, struct err *err);
/* rig_do(r, fn, arg): fn as a job of the writer; its status after the commit. */
enum status rig_do(struct rig *r, rig_fn *fn, void *arg);
enum status rig_do_err(struct rig *r, rig_fn *fn, void *arg, struct err *err);
/* rig_hold(r): the writer waits in a control job; what is submitted until rig_release comes into one group. */
void rig_hold(struct rig *r);
void rig_release(struct rig *r);
/* A job without waiting; rig_wait: its status. */
struct rig_job;
struct rig_job *rig_submit(struct rig *r, rig_fn *fn, void *arg);
enum status rig_wait(struct rig_job **j, struct err *err);

enum status rig_create(struct rig *r, rig_fn *populate, void *arg, struct err *err);
enum status rig_open(struct rig *r, struct err *err);
void rig_close(struct rig *r);
/* rig_stop: a clean stop of the writer, its thread gone.  rig_start: a new writer over the same store, not yet open.  rig_crash: the writer is gone
 * without having stored anything more. */
void rig_stop(struct rig *r);
void rig_start(struct rig *r);
void rig_crash(struct rig *r);
/* rig_settle(r): everything that waits or is due was done. */
void rig_settle(struct rig *r);

/* Shorthands, each one job. */
enum status rig_put(struct rig *r, const char *path, const char *value);
enum status rig_delete(struct rig *r, const char *path);
enum status rig_rotate(struct rig *r);
enum status rig_set(struct rig *r, const struct rotate_settings *s, struct err *err);
/* rig_get(r, path, buf, cap): the value as text by a job of the writer. */
enum status rig_get(struct rig *r, const char *path, char *buf, size_t cap);
struct usage rig_usage(struct rig *r, uint32_t term);
uint32_t rig_active(struct rig *r);
struct rotate_settings rig_settings(struct rig *r);

/*
 * A loop: a thread that runs what is posted and calls turn(arg, reader) again and again, each a turn of its own, until it is stopped.
 * drop: as reader_new.
 */
struct rig_loop;
struct rig_loop *rig_loop_start(struct rig *r, void (*turn)(void *arg, struct reader *reader),
                                void (*drop)(void *arg), void *arg);
void rig_loop_stop(struct rig_loop **l);
/* rig_read(r, fn, arg): fn once on the transaction of a reader of its own; its status, or that of reader_begin. */
enum status rig_read(struct rig *r, rig_fn *fn, void *arg, struct err *err);

/* rig_recount(r): each term's `records` is the number of stored records under it, `encryptions` what the hook counted and `extra` more for
 * the active term. */
void rig_recount(struct rig *r, uint64_t extra);
/* rig_records(r, term): stored records under it, by a look at all of them. */
uint64_t rig_records(struct rig *r, uint32_t term);

#endif
