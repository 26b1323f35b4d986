/*
 * Storage: untrusted bytes by path, in one ordered key space, with transactions.  It sees only
 * ciphertext.  A driver is one const table; its contract stands on the slots.  Keys are 1 to 511
 * bytes, compared as unsigned bytes; values 0 bytes to STORAGE_VALUE_MAX.
 */
#ifndef STORAGE_STORAGE_H
#define STORAGE_STORAGE_H

#include "base/bytes.h"

#define STORAGE_KEY_MAX   511
#define STORAGE_VALUE_MAX ((size_t)64 << 20)

/*
 * What became of a commit.  UNKNOWN: it may be durable or not; nothing may be answered before
 * settle() told.
 */
enum storage_outcome { STORAGE_DONE, STORAGE_NOT_DONE, STORAGE_UNKNOWN };

struct storage_config {
	const char *path; /* folder; NULL for mem */
	size_t map_size;  /* LMDB: size of the sparse map in bytes, 0: the default (64 GiB) */
	unsigned readers; /* handles of readers open at once, at most; 0: 126 */
};

/*
 * For drivers.  storage_check_key, storage_check_record: ST_INVALID for a key, ST_LIMIT for a value
 * that no store takes.
 */
MUST_USE enum status storage_check_key(struct span key, struct err *err);
MUST_USE enum status storage_check_record(struct span key, struct span value, struct err *err);

/* Each driver's own; a driver's struct begins with these. */
struct storage {
	const struct storage_driver *driver;
};
struct storage_txn {
	struct storage *storage;
};

struct storage_driver {
	const char *name; /* as in the configuration: "inmem", "lmdb" */

	/*
	 * open: create what is missing (the last folder of the path, not those above it).  One
	 * process a folder: ST_BUSY with a text that says so.  ST_IO, ST_INVALID (bad folder:
	 * owner, mode), ST_NOMEM. May block.
	 */
	enum status (*open)(const struct storage_config *config, struct storage **ret,
	                    struct err *err);
	/* close: no transaction and no reader's handle may be open.  NULL is fine. */
	void (*close)(struct storage **s);

	/*
	 * Reading.  read_open gives a handle for the calling thread, holding no snapshot; renew
	 * takes the newest committed snapshot in place of the one held (never blocks on a writer
	 * for longer than it takes to publish a commit), reset lets go of it, read_close frees the
	 * handle. id: the number of the snapshot held; numbers of successive commits rise.
	 */
	enum status (*read_open)(struct storage *s, struct storage_txn **ret, struct err *err);
	enum status (*renew)(struct storage_txn *t, struct err *err);
	void (*reset)(struct storage_txn *t);
	void (*read_close)(struct storage_txn **t);

	/*
	 * write_begin: one write transaction at a time, from one thread.  id of it: the number its
	 * commit will have.  A transaction that changed nothing takes no number: its commit is
	 * DONE, and the next transaction has the same id.
	 */
	enum status (*write_begin)(struct storage *s, struct storage_txn **ret, struct err *err);
	uint64_t (*id)(const struct storage_txn *t);

	/*
	 * get: ST_NOT_FOUND, or *ret_value valid until the next put, del, reset or end of this
	 * transaction.
	 */
	enum status (*get)(struct storage_txn *t, struct span key, struct span *ret_value,
	                   struct err *err);
	/*
	 * seek: the first record whose key is >= from (from may be empty: the very first; and
	 * longer than any key).  ST_NOT_FOUND at the end.  Validity as get.  Listing is repeated
	 * seeking; a driver makes seeking to just behind the last result (that key and a zero byte)
	 * cheap.
	 */
	enum status (*seek)(struct storage_txn *t, struct span from, struct span *ret_key,
	                    struct span *ret_value, struct err *err);
	/*
	 * put replaces.  del of a missing key is ST_OK.  The key may be one that get or seek of
	 * this transaction returned; the value may not lie in what they returned.  ST_INVALID
	 * (key), ST_LIMIT (value): refused, the transaction is as it was.  ST_FULL: no room.  After
	 * ST_FULL and all other failures the transaction can only be aborted: further calls may
	 * fail with the same status, and commit never makes half of it durable.
	 */
	enum status (*put)(struct storage_txn *t, struct span key, struct span value,
	                   struct err *err);
	enum status (*del)(struct storage_txn *t, struct span key, struct err *err);

	/*
	 * commit: durable when STORAGE_DONE is returned.  Always ends the transaction and sets *t
	 * to NULL. err set unless DONE.
	 */
	enum storage_outcome (*commit)(struct storage_txn **t, struct err *err);
	void (*abort)(struct storage_txn **t);

	/*
	 * settle(s, id, ret, err): after STORAGE_UNKNOWN of the commit numbered id, with no
	 * transaction open and no handle of a reader left: find out (reopens the files); *ret is
	 * DONE or NOT_DONE, and what it says is durable.  ST_IO: still unknown, call again later;
	 * until then all else fails.
	 */
	enum status (*settle)(struct storage *s, uint64_t id, enum storage_outcome *ret,
	                      struct err *err);
	/*
	 * copy_to(s, folder, err): a consistent copy of the store beside running transactions, in a
	 * new folder (ST_EXISTS); nothing is left of one that failed.  NULL where it makes no
	 * sense.
	 */
	enum status (*copy_to)(struct storage *s, const char *folder, struct err *err);
};

extern const struct storage_driver storage_mem;
extern const struct storage_driver storage_lmdb;

/* storage_driver_named("lmdb" | "inmem"): NULL for other names. */
const struct storage_driver *storage_driver_named(struct span name);

#endif
