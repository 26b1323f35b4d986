/*
 * The shim's two interfaces to the tests (tests/lib/shim.py): the log that it appends to and the control page that it obeys.
 *
 * KEYTURN_SHIM_FOLDER   the data folder, absolute, without a slash at the end; only what happens to it and in it counts
 * KEYTURN_SHIM_LOG      file to append a record to for each such call, after the call returned (absent: none)
 * KEYTURN_SHIM_CONTROL  file of one struct shim_control, mapped (absent: no faults)
 * KEYTURN_SHIM_COUNTS   the counting hook's file: its first SHIM_COUNTERS numbers go into each record (absent: zeros)
 */
#ifndef POWERCUT_SHIM_H
#define POWERCUT_SHIM_H

#include <stdint.h>

#define SHIM_COUNTERS 64

/* Calls.  The numbers are the log's. */
enum shim_call {
	SHIM_CREATE = 1, /* a name that was not there: open with O_CREAT */
	SHIM_OPEN = 2,   /* opened, or tried to; not logged */
	SHIM_WRITE = 3,
	SHIM_TRUNCATE = 4, /* off: the new size */
	SHIM_ALLOCATE = 5, /* off + n: the least size */
	SHIM_SYNC =
	    6, /* fsync, fdatasync, msync, sync_file_range: all that was written to the file before */
	SHIM_MKDIR = 7,
	SHIM_UNLINK = 8,
	SHIM_RENAME = 9, /* data: the new name */
	SHIM_MARK = 10,  /* the test's own record */
};

#define SHIM_DSYNC 1U /* a write that is durable when it returns: O_DSYNC, O_SYNC */
#define SHIM_LOST  2U /* one that failed to be durable: the kernel shows it and counts it as clean */

/* In a mask of calls: only such writes. */
#define SHIM_DSYNC_WRITE 11

/* One record; the name, the data and the counters follow.  Numbers in the machine's order. */
struct shim_record {
	uint32_t n; /* of the whole record */
	uint8_t call;
	uint8_t flags;
	uint16_t name_n;
	uint64_t file; /* inode number */
	uint64_t off;
	uint64_t data_n;
	int64_t result; /* >= 0: what the call returned (bytes written); < 0: -errno */
};

enum shim_action {
	SHIM_NOTHING = 0,
	SHIM_DIE_BEFORE = 1,
	SHIM_DIE_AFTER = 2,
	SHIM_DIE_HALF = 3,    /* in the middle of a write; else before */
	SHIM_FAIL_BEFORE = 4, /* refused: nothing happened */
	SHIM_FAIL_AFTER = 5,  /* it happened, the answer is lost */
	SHIM_FAIL_HALF = 6,   /* half of a write happened; else before */
	SHIM_SHORT = 7, /* half of a write happened and that is what is said; else nothing wrong */
};

/* The test sets all but calls and fired (then is counted down), armed last. */
struct shim_control {
	uint32_t armed;   /* 0: nothing is counted */
	uint32_t action;  /* enum shim_action */
	uint32_t at;      /* the n-th call from arming on, from 1; 0: none, only count */
	uint32_t forever; /* and all after it */
	uint32_t error;   /* errno for SHIM_FAIL_* */
	uint32_t calls;   /* so far */
	uint32_t fired;   /* how often */
	uint32_t mask;    /* bits 1 << enum shim_call: which calls count */
	uint32_t then; /* after the first one hit, refuse so many more calls, whichever they are */
	char only[16]; /* only calls on names that begin so count */
};

#endif
