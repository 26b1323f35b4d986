/*
 * LMDB on a disk that fails.  LMDB and our own code write and flush through the C library; this
 * program's functions of the same names stand before that one's and fail on order.  The meta page
 * is told from all others by its descriptor's O_DSYNC.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "scratch.h"

static const struct storage_driver *const d = &storage_lmdb;

enum fault {
	FAULT_NONE,
	FAULT_PAGES,     /* writing pages */
	FAULT_FLUSH,     /* fdatasync */
	FAULT_META_LOST, /* the meta page is not written */
	/* It is written, an error is told, and LMDB's writing the old one back fails. */
	FAULT_META_KEPT
};

static struct {
	enum fault fault;
	int code; /* errno */
	int met;  /* how often it struck */
} disk;

static bool strikes(enum fault f)
{
	if (disk.fault != f)
		return false;
	disk.met++;
	errno = disk.code;
	return true;
}

static bool is_meta(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	return flags != -1 && (flags & O_DSYNC) != 0;
}

static ssize_t real_pwrite(int fd, const void *p, size_t n, off_t at)
{
	return syscall(SYS_pwrite64, fd, p, n, at);
}

static ssize_t write_at(int fd, const void *p, size_t n, off_t at)
{
	if (is_meta(fd) && strikes(FAULT_META_LOST))
		return -1;
	if (is_meta(fd) && disk.fault == FAULT_META_KEPT) {
		MUST(real_pwrite(fd, p, n, at) == (ssize_t)n);
		strikes(FAULT_META_KEPT);
		return -1;
	}
	/* What comes behind a struck meta page is LMDB's attempt to write the old one back. */
	if (!is_meta(fd) && disk.met > 0 && strikes(FAULT_META_KEPT))
		return -1;
	if (!is_meta(fd) && strikes(FAULT_PAGES))
		return -1;
	return real_pwrite(fd, p, n, at);
}

/* The library says pwrite; with large file offsets our own code's pwrite is called pwrite64. */
ssize_t test_pwrite(int fd, const void *p, size_t n, off_t at) __asm__("pwrite");
ssize_t test_pwrite64(int fd, const void *p, size_t n, off_t at) __asm__("pwrite64");

ssize_t test_pwrite(int fd, const void *p, size_t n, off_t at)
{
	return write_at(fd, p, n, at);
}

ssize_t test_pwrite64(int fd, const void *p, size_t n, off_t at)
{
	return write_at(fd, p, n, at);
}

ssize_t writev(int fd, const struct iovec *v, int n)
{
	return strikes(FAULT_PAGES) ? -1 : syscall(SYS_writev, fd, v, n);
}

ssize_t write(int fd, const void *p, size_t n)
{
	/* Standard output is the test's own. */
	if (fd > 2 && strikes(FAULT_PAGES))
		return -1;
	return syscall(SYS_write, fd, p, n);
}

int fdatasync(int fd)
{
	return strikes(FAULT_FLUSH) ? -1 : (int)syscall(SYS_fdatasync, fd);
}

static void disk_fails(enum fault fault, int code)
{
	disk.fault = fault;
	disk.code = code;
	disk.met = 0;
}

/* disk_recovers: the fault must have been met, else the test has tested nothing. */
static void disk_recovers(void)
{
	assert_true(disk.met > 0);
	disk.fault = FAULT_NONE;
}

/* ---- a store with one record ---- */

struct world {
	struct scratch scratch;
	struct storage *store;
};

static enum status open_world(struct world *w, struct err *err)
{
	struct storage_config config = {.path = w->scratch.store, .map_size = (size_t)16 << 20};

	return d->open(&config, &w->store, err);
}

static int world_make(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	struct err err = {0};

	assert_non_null(w);
	disk.fault = FAULT_NONE;
	scratch_make(&w->scratch);
	assert_int_equal(open_world(w, &err), ST_OK);
	put_one(w->store, "old", "1");
	*state = w;
	return 0;
}

static int world_end(void **state)
{
	struct world *w = *state;

	disk.fault = FAULT_NONE;
	d->close(&w->store);
	scratch_remove(&w->scratch);
	free(w);
	return 0;
}

/*
 * commit_on(store, fault, code, ret_id, err): changes one record and adds another, on a disk that
 * fails at the commit.
 */
static enum storage_outcome commit_on(struct storage *s, enum fault fault, int code,
                                      uint64_t *ret_id, struct err *err)
{
	struct storage_txn *w = begin(s);
	enum storage_outcome outcome;

	*ret_id = d->id(w);
	put(w, "old", "2");
	put(w, "new", "2");
	disk_fails(fault, code);
	outcome = d->commit(&w, err);
	disk_recovers();
	assert_null(w);
	return outcome;
}

static enum storage_outcome settle(struct storage *s, uint64_t id)
{
	enum storage_outcome outcome = STORAGE_UNKNOWN;
	struct err err = {0};

	assert_int_equal(d->settle(s, id, &outcome, &err), ST_OK);
	return outcome;
}

/* assert_usable(w, id): what is committed next has this number, and is there after reopening. */
static void assert_usable(struct world *w, uint64_t id)
{
	struct err err = {0};

	assert_int_equal(put_one(w->store, "next", "3"), id);
	assert_newest(w->store, "next", "3");
	d->close(&w->store);
	assert_int_equal(open_world(w, &err), ST_OK);
	assert_newest(w->store, "next", "3");
}

static void assert_changed(struct storage *s)
{
	assert_newest(s, "old", "2");
	assert_newest(s, "new", "2");
}

static void assert_unchanged(struct storage *s)
{
	assert_newest(s, "old", "1");
	assert_newest(s, "new", NULL);
}

/* ---- commits ---- */

static void full_disk_is_not_done(struct world *w, enum fault fault, int code)
{
	struct err err = {0};
	uint64_t id;

	assert_int_equal(commit_on(w->store, fault, code, &id, &err), STORAGE_NOT_DONE);
	assert_int_equal(err.status, ST_FULL);
	assert_unchanged(w->store);
	assert_usable(w, id);
	assert_unchanged(w->store);
}

static void no_room_for_pages(void **state)
{
	full_disk_is_not_done(*state, FAULT_PAGES, ENOSPC);
}

static void quota_reached_for_pages(void **state)
{
	full_disk_is_not_done(*state, FAULT_PAGES, EDQUOT);
}

static void no_room_found_at_the_flush(void **state)
{
	full_disk_is_not_done(*state, FAULT_FLUSH, ENOSPC);
}

static void unknown_and_then_not_done(struct world *w, enum fault fault, int code)
{
	struct err err = {0};
	uint64_t id;

	assert_int_equal(commit_on(w->store, fault, code, &id, &err), STORAGE_UNKNOWN);
	assert_true(err.status != ST_OK && err.text[0] != '\0');
	assert_int_equal(settle(w->store, id), STORAGE_NOT_DONE);
	assert_unchanged(w->store);
	assert_usable(w, id);
	assert_unchanged(w->store);
}

static void pages_cannot_be_written(void **state)
{
	unknown_and_then_not_done(*state, FAULT_PAGES, EIO);
}

static void pages_cannot_be_flushed(void **state)
{
	unknown_and_then_not_done(*state, FAULT_FLUSH, EIO);
}

static void meta_page_is_lost(void **state)
{
	unknown_and_then_not_done(*state, FAULT_META_LOST, EIO);
}

static void no_room_for_the_meta_page(void **state)
{
	unknown_and_then_not_done(*state, FAULT_META_LOST, ENOSPC);
}

static void unknown_and_then_done(struct world *w, int code)
{
	struct err err = {0};
	uint64_t id;

	assert_int_equal(commit_on(w->store, FAULT_META_KEPT, code, &id, &err), STORAGE_UNKNOWN);
	assert_int_equal(settle(w->store, id), STORAGE_DONE);
	assert_changed(w->store);
	assert_usable(w, id + 1);
	assert_changed(w->store);
}

static void meta_page_is_kept(void **state)
{
	unknown_and_then_done(*state, EIO);
}

static void meta_page_is_kept_on_a_full_disk(void **state)
{
	unknown_and_then_done(*state, ENOSPC);
}

static void two_failures_one_after_another(void **state)
{
	struct world *w = *state;
	struct err err = {0};
	uint64_t id;

	assert_int_equal(commit_on(w->store, FAULT_META_LOST, EIO, &id, &err), STORAGE_UNKNOWN);
	assert_int_equal(settle(w->store, id), STORAGE_NOT_DONE);
	assert_int_equal(commit_on(w->store, FAULT_META_KEPT, EIO, &id, &err), STORAGE_UNKNOWN);
	assert_int_equal(settle(w->store, id), STORAGE_DONE);
	assert_changed(w->store);
	assert_usable(w, id + 1);
}

/* ---- between the failure and its settling ---- */

static void held_snapshot_stays_good_and_nothing_new_begins(void **state)
{
	struct world *w = *state;
	struct storage_txn *r = snapshot(w->store), *t = NULL;
	struct err err = {0};
	uint64_t id;

	assert_int_equal(commit_on(w->store, FAULT_META_KEPT, EIO, &id, &err), STORAGE_UNKNOWN);
	assert_value(r, "old", "1");
	assert_missing(r, "new");
	assert_int_equal(d->write_begin(w->store, &t, &err), ST_IO);
	assert_null(t);
	assert_int_equal(d->renew(r, &err), ST_IO);
	d->reset(r);
	d->read_close(&r);
	assert_int_equal(settle(w->store, id), STORAGE_DONE);
	assert_usable(w, id + 1);
}

static void settling_waits_for_the_disk(void **state)
{
	enum storage_outcome outcome = STORAGE_UNKNOWN;
	struct world *w = *state;
	struct storage_txn *t = NULL;
	struct err err = {0};
	char copy[SCRATCH_PATH_MAX];
	uint64_t id;

	scratch_name(&w->scratch, "copy", copy);
	assert_int_equal(commit_on(w->store, FAULT_META_KEPT, EIO, &id, &err), STORAGE_UNKNOWN);
	for (int i = 0; i < 3; i++) {
		err = (struct err){0};
		disk_fails(i == 1 ? FAULT_PAGES : FAULT_FLUSH, i == 2 ? ENOSPC : EIO);
		assert_int_equal(d->settle(w->store, id, &outcome, &err), ST_IO);
		disk_recovers();
		assert_int_equal(err.status, ST_IO);
		assert_true(err.text[0] != '\0');
		assert_int_equal(outcome, STORAGE_UNKNOWN);
		assert_int_equal(d->read_open(w->store, &t, &err), ST_IO);
		assert_int_equal(d->write_begin(w->store, &t, &err), ST_IO);
		assert_int_equal(d->copy_to(w->store, copy, &err), ST_IO);
		assert_null(t);
	}
	assert_int_equal(settle(w->store, id), STORAGE_DONE);
	assert_changed(w->store);
	assert_usable(w, id + 1);
}

static void store_that_never_settled_can_be_closed(void **state)
{
	enum storage_outcome outcome = STORAGE_UNKNOWN;
	struct world *w = *state;
	struct err err = {0};
	uint64_t id;

	assert_int_equal(commit_on(w->store, FAULT_META_LOST, EIO, &id, &err), STORAGE_UNKNOWN);
	disk_fails(FAULT_FLUSH, EIO);
	assert_int_equal(d->settle(w->store, id, &outcome, &err), ST_IO);
	disk_recovers();
	d->close(&w->store);
	assert_int_equal(open_world(w, &err), ST_OK);
	assert_unchanged(w->store);
	assert_usable(w, id);
}

/* ---- open and copy ---- */

static void failed_open_leaves_no_lock(void **state)
{
	static const enum fault faults[] = {FAULT_PAGES, FAULT_FLUSH};
	struct world *w = *state;
	struct err err = {0};

	d->close(&w->store);
	for (int i = 0; i < 2; i++) {
		disk_fails(faults[i], EIO);
		assert_int_equal(open_world(w, &err), ST_IO);
		disk_recovers();
		assert_null(w->store);
	}
	assert_int_equal(open_world(w, &err), ST_OK);
	assert_newest(w->store, "old", "1");
}

static void failed_copy_leaves_nothing(void **state)
{
	struct world *w = *state;
	struct err err = {0};
	struct stat st;
	char copy[SCRATCH_PATH_MAX];

	scratch_name(&w->scratch, "copy", copy);
	disk_fails(FAULT_PAGES, ENOSPC);
	assert_int_equal(d->copy_to(w->store, copy, &err), ST_FULL);
	disk_recovers();
	assert_int_equal(stat(copy, &st), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(d->copy_to(w->store, copy, &err), ST_OK);
	assert_usable(w, 2);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, world_make, world_end)

int main(void)
{
	const struct CMUnitTest cases[] = {
	    CASE(no_room_for_pages),
	    CASE(quota_reached_for_pages),
	    CASE(no_room_found_at_the_flush),
	    CASE(pages_cannot_be_written),
	    CASE(pages_cannot_be_flushed),
	    CASE(meta_page_is_lost),
	    CASE(no_room_for_the_meta_page),
	    CASE(meta_page_is_kept),
	    CASE(meta_page_is_kept_on_a_full_disk),
	    CASE(two_failures_one_after_another),
	    CASE(held_snapshot_stays_good_and_nothing_new_begins),
	    CASE(settling_waits_for_the_disk),
	    CASE(store_that_never_settled_can_be_closed),
	    CASE(failed_open_leaves_no_lock),
	    CASE(failed_copy_leaves_nothing),
	};

	return cmocka_run_group_tests_name("lmdb_fault", cases, NULL, NULL);
}
