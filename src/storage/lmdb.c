/*
 * The store in LMDB: one process, one folder.
 *
 *     FOLDER/                mode 0700, ours
 *       keyturn.lock         empty; flock held while the store is open: one process a folder
 *       data.mdb             mode 0600: two meta pages, then the pages of one copy-on-write
 *                            B+ tree (LMDB's unnamed database)
 *       lock.mdb             mode 0600: LMDB's table of readers; worthless once the process is gone
 *       data.mdb.new         data.mdb until its first pages are durable: LMDB opens no file in which
 *                            only some of them are
 *
 * Path and value of a record are key and data of the tree, as they are; there is nothing else in
 * it.  data.mdb grows as pages are used and never shrinks; a copy (copy_to) is a folder of the same
 * form, without the free pages, whose numbers start again at 1.
 *
 * A commit writes the new pages, flushes them, then writes the meta page of the parity of its
 * number (less than a sector) through a descriptor with O_DSYNC.  So there is nothing to replay
 * after a crash: the newer meta page is the state.  Ways to fail:
 *   - no room in the map or on the disk, or no memory, before the meta page: NOT_DONE, the old
 *     state stands;
 *   - another error before the meta page (pages or flush): UNKNOWN.  Nothing was committed, but a
 *     disk that fails is looked at again through fresh files before anything is answered;
 *   - an error at the meta page: UNKNOWN.  The disk may hold the old one or the new one, and the
 *     page cache need not hold what the disk holds.
 * settle() closes the files, writes the meta pages that it finds once more and flushes them, so
 * that cache and disk agree, opens the store again and looks whether its newest number has reached
 * the one asked for.
 *
 * Flags.  MDB_NOTLS: a read transaction belongs to its handle, not to its thread.  MDB_NORDAHEAD:
 * lookups are of single records all over the file; reading ahead would push useful pages out.
 * Never MDB_NOSYNC, MDB_NOMETASYNC (an answer would come before durability), MDB_WRITEMAP (a stray
 * write could reach the file) or MDB_NOMEMINIT (old heap bytes would).
 *
 * What is said here of LMDB's inside was read in its source, release 0.9.24.
 */
#include "storage/storage.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <lmdb.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/folder.h"

#define DATA_NAME        "data.mdb"
#define NEW_NAME         "data.mdb.new"
#define MAP_SIZE_DEFAULT ((size_t)64 << 30)
#define READERS_DEFAULT  126U
/* Beside the callers' readers: copies, and the one that open uses. */
#define READERS_OURS 4U
/* The two meta pages are in here, whatever page size (up to 64 KiB) the file was made with. */
#define META_BYTES ((off_t)2 * 65536)

/* One transaction: a reader's handle, or the only writer. */
struct lmdb_txn {
	struct storage_txn base;
	MDB_txn *txn;       /* NULL: the writer is not open */
	MDB_cursor *cursor; /* for seek; made when first needed */
	struct span at;     /* key under the cursor; empty: none, or it may have moved */
	enum { CURSOR_READY, CURSOR_OF_OLD_SNAPSHOT } cursor_state;
	enum { SNAPSHOT_NONE, SNAPSHOT_HELD } snapshot;
	struct err broken; /* writer: what made it unusable; ST_OK: nothing */
};

struct lmdb {
	struct storage base;
	MDB_env *env; /* NULL: settle could not open it again */
	MDB_dbi dbi;
	char *path; /* absolute */
	size_t map_size;
	unsigned readers;
	int folder;
	int lock;
	_Atomic size_t handles;      /* open readers */
	_Atomic uint64_t committing; /* the highest number whose commit was begun */
	struct lmdb_txn writer;
};

static struct lmdb *lmdb_of(struct storage *s)
{
	MUST(s != NULL && s->driver == &storage_lmdb);
	return (struct lmdb *)s;
}

static struct lmdb_txn *txn_of(struct storage_txn *t)
{
	lmdb_of(t->storage);
	return (struct lmdb_txn *)t;
}

static struct lmdb_txn *reader_of(struct storage_txn *t)
{
	MUST(t != &lmdb_of(t->storage)->writer.base);
	return txn_of(t);
}

static struct lmdb_txn *writer_of(struct storage_txn *t)
{
	struct lmdb *s = lmdb_of(t->storage);

	MUST(t == &s->writer.base && s->writer.txn != NULL);
	return &s->writer;
}

static enum status status_of(int rc)
{
	switch (rc) {
	case MDB_MAP_FULL:
	case MDB_TXN_FULL:
	case ENOSPC:
	case EDQUOT:
		return ST_FULL;
	case ENOMEM:
		return ST_NOMEM;
	case MDB_READERS_FULL:
		return ST_LIMIT;
	case MDB_CORRUPTED:
	case MDB_PAGE_NOTFOUND:
	case MDB_INVALID:
	case MDB_VERSION_MISMATCH:
		return ST_CORRUPT;
	default:
		return ST_IO;
	}
}

static enum status failed(const struct lmdb *s, int rc, const char *what, struct err *err)
{
	return err_set(err, status_of(rc), "store %s: %s: %s", s->path, what, mdb_strerror(rc));
}

/* MDB_val takes pointers to what it only reads without const. */
static MDB_val val_of(struct span s)
{
	return (MDB_val){.mv_size = s.n, .mv_data = (void *)(uintptr_t)s.p};
}

static struct span span_of_val(MDB_val v)
{
	return span_of(v.mv_data, v.mv_size);
}

/* ---- the environment ---- */

/*
 * rewrite(fd, at, buf, n): the bytes that the file shows at `at` written there again.  Returns
 * their count, 0 at the end, -1 with errno.
 */
static ssize_t rewrite(int fd, off_t at, void *buf, size_t n)
{
	ssize_t got = pread(fd, buf, n, at);

	if (got > 0 && pwrite(fd, buf, (size_t)got, at) != got)
		return -1;
	return got;
}

/*
 * pin_meta(s): make the disk hold the meta pages that we are going to read.  Without it a store
 * could be taken for committed (or not) because of a page in the cache that never reached the disk:
 * after a process died between write and flush, or a flush failed (the kernel then counts the page
 * as clean).  Only while LMDB has the file not open.
 */
static enum status pin_meta(const struct lmdb *s, struct err *err)
{
	int fd = openat(s->folder, DATA_NAME, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	uint8_t buf[4096];
	ssize_t n = 1;

	if (fd < 0)
		return failed(s, errno, "cannot open " DATA_NAME, err);
	for (off_t at = 0; n > 0 && at < META_BYTES; at += n)
		n = rewrite(fd, at, buf, sizeof(buf));
	if (n < 0 || fdatasync(fd) != 0) {
		enum status st = failed(s, errno, "cannot flush " DATA_NAME, err);

		close(fd);
		return st;
	}
	close(fd);
	return ST_OK;
}

/* env_configure(s, env), env_enter(s, env): steps of env_up; LMDB's codes. */
static int env_configure(const struct lmdb *s, MDB_env *env)
{
	int rc = mdb_env_set_mapsize(env, s->map_size);

	if (rc == 0)
		rc = mdb_env_set_maxreaders(env, s->readers + READERS_OURS);
	if (rc == 0)
		rc = mdb_env_open(env, s->path, MDB_NOTLS | MDB_NORDAHEAD, 0600);
	if (rc == 0)
		rc = mdb_env_sync(env, 1);
	return rc;
}

static int env_enter(struct lmdb *s, MDB_env *env)
{
	MDB_txn *txn;
	int rc = mdb_txn_begin(env, NULL, MDB_RDONLY, &txn);

	if (rc != 0)
		return rc;
	rc = mdb_dbi_open(txn, NULL, 0, &s->dbi);
	if (rc != 0) {
		mdb_txn_abort(txn);
		return rc;
	}
	atomic_store(&s->committing, (uint64_t)mdb_txn_id(txn));
	return mdb_txn_commit(txn);
}

/* write_first_pages(s, path): a file without records, durable; LMDB's codes. */
static int write_first_pages(const struct lmdb *s, const char *path)
{
	MDB_env *env;
	int rc = mdb_env_create(&env);

	if (rc != 0)
		return rc;
	rc = mdb_env_set_mapsize(env, s->map_size);
	if (rc == 0)
		rc = mdb_env_open(env, path, MDB_NOSUBDIR | MDB_NOLOCK, 0600);
	if (rc == 0)
		rc = mdb_env_sync(env, 1);
	mdb_env_close(env);
	return rc;
}

/* make_data(s): data.mdb, when it is missing. */
static enum status make_data(const struct lmdb *s, struct err *err)
{
	char path[PATH_MAX];
	struct stat there;
	int rc = snprintf(path, sizeof(path), "%s/" NEW_NAME, s->path);

	if (fstatat(s->folder, DATA_NAME, &there, AT_SYMLINK_NOFOLLOW) == 0)
		return ST_OK;
	if (errno != ENOENT)
		return failed(s, errno, "cannot look at " DATA_NAME, err);
	if (rc < 0 || (size_t)rc >= sizeof(path))
		return failed(s, ENAMETOOLONG, "cannot create", err);
	if (unlinkat(s->folder, NEW_NAME, 0) != 0 && errno != ENOENT)
		return failed(s, errno, "cannot remove " NEW_NAME, err);
	rc = write_first_pages(s, path);
	if (rc == 0 && renameat(s->folder, NEW_NAME, s->folder, DATA_NAME) != 0)
		rc = errno;
	return rc == 0 ? ST_OK : failed(s, rc, "cannot create", err);
}

/* env_up(s): open the files, in a state known to be durable. */
static enum status env_up(struct lmdb *s, struct err *err)
{
	MDB_env *env;
	enum status st = make_data(s, err);
	int rc;

	if (!st)
		st = pin_meta(s, err);
	if (st)
		return st;
	rc = mdb_env_create(&env);
	if (rc != 0)
		return failed(s, rc, "cannot open", err);
	rc = env_configure(s, env);
	if (rc == 0)
		rc = env_enter(s, env);
	if (rc != 0) {
		st = failed(s, rc, "cannot open", err);
		goto fail;
	}
	MUST(mdb_env_get_maxkeysize(env) >= STORAGE_KEY_MAX);
	st = folder_sync(s->folder, s->path, err);
	if (st)
		goto fail;
	s->env = env;
	return ST_OK;
fail:
	mdb_env_close(env);
	return st;
}

static void env_down(struct lmdb *s)
{
	if (s->env != NULL)
		mdb_env_close(s->env);
	s->env = NULL;
}

/* newest(s): the number of the newest commit. */
static uint64_t newest(const struct lmdb *s)
{
	MDB_envinfo info;

	MUST(mdb_env_info(s->env, &info) == 0);
	return info.me_last_txnid;
}

/* ---- open and close ---- */

static void drop_store(struct lmdb *s)
{
	env_down(s);
	if (s->lock >= 0)
		close(s->lock);
	if (s->folder >= 0)
		close(s->folder);
	free(s->path);
	free(s);
}

static size_t whole_pages(size_t n)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	return n > SIZE_MAX - page ? n / page * page : (n + page - 1) / page * page;
}

static enum status lmdb_open(const struct storage_config *config, struct storage **ret,
                             struct err *err)
{
	struct lmdb *s = calloc(1, sizeof(*s));
	enum status st;

	MUST(config->path != NULL);
	if (s == NULL)
		return err_set(err, ST_NOMEM, "no memory for a store");
	s->base.driver = &storage_lmdb;
	s->writer.base.storage = &s->base;
	s->folder = s->lock = -1;
	s->map_size = whole_pages(config->map_size != 0 ? config->map_size : MAP_SIZE_DEFAULT);
	s->readers = config->readers != 0 ? config->readers : READERS_DEFAULT;
	st = folder_open(config->path, &s->folder, err);
	if (st)
		goto fail;
	/* Absolute, because settle opens it again and the process may have changed its folder. */
	s->path = realpath(config->path, NULL);
	if (s->path == NULL) {
		st = err_set(err, ST_IO, "cannot resolve %s: %s", config->path, strerror(errno));
		goto fail;
	}
	st = folder_lock(s->folder, s->path, &s->lock, err);
	if (st)
		goto fail;
	st = env_up(s, err);
	if (st)
		goto fail;
	*ret = &s->base;
	return ST_OK;
fail:
	drop_store(s);
	return st;
}

static void lmdb_close(struct storage **s)
{
	struct lmdb *l;

	if (*s == NULL)
		return;
	l = lmdb_of(*s);
	MUST(atomic_load(&l->handles) == 0 && l->writer.txn == NULL);
	drop_store(l);
	*s = NULL;
}

/* ---- readers ---- */

static enum status lmdb_read_open(struct storage *storage, struct storage_txn **ret,
                                  struct err *err)
{
	struct lmdb *s = lmdb_of(storage);
	struct lmdb_txn *t;
	int rc;

	if (s->env == NULL)
		return err_set(err, ST_IO, "store %s: not open after a failure", s->path);
	t = calloc(1, sizeof(*t));
	if (t == NULL)
		return err_set(err, ST_NOMEM, "no memory for a reader");
	t->base.storage = storage;
	rc = mdb_txn_begin(s->env, NULL, MDB_RDONLY, &t->txn);
	if (rc != 0) {
		free(t);
		return failed(s, rc, "no reader", err);
	}
	mdb_txn_reset(t->txn);
	atomic_fetch_add(&s->handles, 1);
	*ret = &t->base;
	return ST_OK;
}

static void lmdb_reset(struct storage_txn *t)
{
	struct lmdb_txn *r = reader_of(t);

	if (r->snapshot == SNAPSHOT_NONE)
		return;
	mdb_txn_reset(r->txn);
	r->snapshot = SNAPSHOT_NONE;
	r->at = (struct span){0};
	r->cursor_state = CURSOR_OF_OLD_SNAPSHOT;
}

/*
 * LMDB takes the newest number, then copies the meta page of that number's parity.  Two commits in
 * between overwrite that page: the transaction would see the later state under the earlier number,
 * or half of a page.  The second of these commits has announced itself in `committing` before it
 * writes, so a snapshot is good when that is at most one ahead of it.  If not, the first of the two
 * is published by now and the next try gets it: no waiting.
 */
static enum status lmdb_renew(struct storage_txn *t, struct err *err)
{
	struct lmdb_txn *r = reader_of(t);
	struct lmdb *s = lmdb_of(t->storage);
	int rc;

	lmdb_reset(t);
	for (;;) {
		rc = mdb_txn_renew(r->txn);
		if (rc != 0)
			return failed(s, rc, "no snapshot", err);
		atomic_thread_fence(memory_order_seq_cst);
		if (atomic_load(&s->committing) <= (uint64_t)mdb_txn_id(r->txn) + 1)
			break;
		mdb_txn_reset(r->txn);
	}
	r->snapshot = SNAPSHOT_HELD;
	return ST_OK;
}

static void lmdb_read_close(struct storage_txn **t)
{
	struct lmdb_txn *r;

	if (*t == NULL)
		return;
	r = reader_of(*t);
	if (r->cursor != NULL)
		mdb_cursor_close(r->cursor);
	mdb_txn_abort(r->txn);
	atomic_fetch_sub(&lmdb_of((*t)->storage)->handles, 1);
	free(r);
	*t = NULL;
}

/* ---- both ---- */

static uint64_t lmdb_id(const struct storage_txn *t)
{
	const struct lmdb_txn *l = (const struct lmdb_txn *)t;

	MUST(l->snapshot == SNAPSHOT_HELD);
	return mdb_txn_id(l->txn);
}

/* usable(t): ST_OK, or what broke this write transaction. */
static enum status usable(const struct lmdb_txn *t, struct err *err)
{
	MUST(t->snapshot == SNAPSHOT_HELD);
	if (t->broken.status)
		return err_set(err, t->broken.status, "%s", t->broken.text);
	return ST_OK;
}

static enum status lmdb_get(struct storage_txn *t, struct span key, struct span *ret_value,
                            struct err *err)
{
	struct lmdb_txn *l = txn_of(t);
	struct lmdb *s = lmdb_of(t->storage);
	enum status st = usable(l, err);
	MDB_val k = val_of(key), v;
	int rc;

	if (!st)
		st = storage_check_key(key, err);
	if (st)
		return st;
	rc = mdb_get(l->txn, s->dbi, &k, &v);
	if (rc == MDB_NOTFOUND)
		return ST_NOT_FOUND;
	if (rc != 0)
		return failed(s, rc, "cannot read", err);
	*ret_value = span_of_val(v);
	return ST_OK;
}

/* ready_cursor(s, t): a cursor that may be used on the snapshot held. */
static int ready_cursor(const struct lmdb *s, struct lmdb_txn *t)
{
	int rc = 0;

	if (t->cursor == NULL)
		rc = mdb_cursor_open(t->txn, s->dbi, &t->cursor);
	else if (t->cursor_state == CURSOR_OF_OLD_SNAPSHOT)
		rc = mdb_cursor_renew(t->txn, t->cursor);
	if (rc == 0)
		t->cursor_state = CURSOR_READY;
	return rc;
}

/* drop_cursor(t): before a change, so that no cursor has to be kept right through it. */
static void drop_cursor(struct lmdb_txn *t)
{
	if (t->cursor != NULL)
		mdb_cursor_close(t->cursor);
	t->cursor = NULL;
	t->at = (struct span){0};
}

/* just_behind(at, from): no key lies between them: from is at and a zero byte. */
static bool just_behind(struct span at, struct span from)
{
	return at.n > 0 && from.n == at.n + 1 && from.p[at.n] == 0 && span_starts(from, at);
}

static int find(struct lmdb_txn *t, struct span from, MDB_val *k, MDB_val *v)
{
	struct span longest = span_of(from.p, from.n < STORAGE_KEY_MAX ? from.n : STORAGE_KEY_MAX);
	int rc;

	if (from.n == 0)
		return mdb_cursor_get(t->cursor, k, v, MDB_FIRST);
	if (just_behind(t->at, from))
		return mdb_cursor_get(t->cursor, k, v, MDB_NEXT);
	*k = val_of(longest);
	rc = mdb_cursor_get(t->cursor, k, v, MDB_SET_RANGE);
	/* Of all keys from `longest` on, only itself is below a longer `from`. */
	if (rc == 0 && from.n > longest.n && span_eq(span_of_val(*k), longest))
		rc = mdb_cursor_get(t->cursor, k, v, MDB_NEXT);
	return rc;
}

static enum status lmdb_seek(struct storage_txn *t, struct span from, struct span *ret_key,
                             struct span *ret_value, struct err *err)
{
	struct lmdb_txn *l = txn_of(t);
	struct lmdb *s = lmdb_of(t->storage);
	enum status st = usable(l, err);
	MDB_val k = {0}, v = {0};
	int rc;

	if (st)
		return st;
	rc = ready_cursor(s, l);
	if (rc == 0)
		rc = find(l, from, &k, &v);
	l->at = rc == 0 ? span_of_val(k) : (struct span){0};
	if (rc == MDB_NOTFOUND)
		return ST_NOT_FOUND;
	if (rc != 0)
		return failed(s, rc, "cannot read", err);
	*ret_key = span_of_val(k);
	*ret_value = span_of_val(v);
	return ST_OK;
}

/* ---- the writer ---- */

static enum status lmdb_write_begin(struct storage *storage, struct storage_txn **ret,
                                    struct err *err)
{
	struct lmdb *s = lmdb_of(storage);
	int rc;

	MUST(s->writer.txn == NULL);
	if (s->env == NULL)
		return err_set(err, ST_IO, "store %s: not open after a failure", s->path);
	rc = mdb_txn_begin(s->env, NULL, 0, &s->writer.txn);
	if (rc != 0) {
		s->writer.txn = NULL;
		return failed(s, rc, "cannot write", err);
	}
	s->writer.snapshot = SNAPSHOT_HELD;
	*ret = &s->writer.base;
	return ST_OK;
}

/*
 * broke(s, rc, err): LMDB leaves a transaction whose put or del failed half changed; from here it
 * can only be aborted.
 */
static enum status broke(struct lmdb *s, int rc, struct err *err)
{
	failed(s, rc, "cannot write", &s->writer.broken);
	return usable(&s->writer, err);
}

static enum status lmdb_put(struct storage_txn *t, struct span key, struct span value,
                            struct err *err)
{
	struct lmdb_txn *w = writer_of(t);
	struct lmdb *s = lmdb_of(t->storage);
	uint8_t copy[STORAGE_KEY_MAX];
	enum status st = usable(w, err);
	MDB_val k = {.mv_size = key.n, .mv_data = copy}, v = val_of(value);
	int rc;

	if (!st)
		st = storage_check_record(key, value, err);
	if (st)
		return st;
	/* The key may be one that seek returned: it lies in a page that this put moves about. */
	memcpy(copy, key.p, key.n);
	drop_cursor(w);
	rc = mdb_put(w->txn, s->dbi, &k, &v, 0);
	return rc == 0 ? ST_OK : broke(s, rc, err);
}

static enum status lmdb_del(struct storage_txn *t, struct span key, struct err *err)
{
	struct lmdb_txn *w = writer_of(t);
	struct lmdb *s = lmdb_of(t->storage);
	enum status st = usable(w, err);
	MDB_val k = val_of(key);
	int rc;

	if (!st)
		st = storage_check_key(key, err);
	if (st)
		return st;
	drop_cursor(w);
	rc = mdb_del(w->txn, s->dbi, &k, NULL);
	return rc == 0 || rc == MDB_NOTFOUND ? ST_OK : broke(s, rc, err);
}

/* end_writing(s): returns LMDB's transaction, which the caller ends. */
static MDB_txn *end_writing(struct lmdb *s)
{
	MDB_txn *txn = s->writer.txn;

	drop_cursor(&s->writer);
	s->writer = (struct lmdb_txn){.base = s->writer.base};
	return txn;
}

static void lmdb_abort(struct storage_txn **t)
{
	if (*t == NULL)
		return;
	writer_of(*t);
	mdb_txn_abort(end_writing(lmdb_of((*t)->storage)));
	*t = NULL;
}

/* stopped_at_meta(s): LMDB refuses all work after a failed write of a meta page. */
static bool stopped_at_meta(struct lmdb *s)
{
	MDB_txn *txn;

	if (mdb_txn_begin(s->env, NULL, 0, &txn) != 0)
		return true;
	mdb_txn_abort(txn);
	return false;
}

static enum storage_outcome failed_commit(struct lmdb *s, int rc, struct err *err)
{
	enum status st = failed(s, rc, "cannot commit", err);

	if (st != ST_FULL && st != ST_NOMEM)
		return STORAGE_UNKNOWN;
	return stopped_at_meta(s) ? STORAGE_UNKNOWN : STORAGE_NOT_DONE;
}

static enum storage_outcome lmdb_commit(struct storage_txn **t, struct err *err)
{
	struct lmdb_txn *w = writer_of(*t);
	struct lmdb *s = lmdb_of((*t)->storage);
	int rc;

	if (usable(w, err)) {
		lmdb_abort(t);
		return STORAGE_NOT_DONE;
	}
	*t = NULL;
	atomic_store(&s->committing, (uint64_t)mdb_txn_id(w->txn));
	rc = mdb_txn_commit(end_writing(s));
	return rc == 0 ? STORAGE_DONE : failed_commit(s, rc, err);
}

/* ---- after a failure; copies ---- */

static enum status lmdb_settle(struct storage *storage, uint64_t id, enum storage_outcome *ret,
                               struct err *err)
{
	struct lmdb *s = lmdb_of(storage);
	enum status st;

	MUST(atomic_load(&s->handles) == 0 && s->writer.txn == NULL);
	env_down(s);
	st = env_up(s, err);
	if (st) {
		/* Whatever stood in the way: the caller's question is still open. */
		if (err != NULL)
			err->status = ST_IO;
		return ST_IO;
	}
	*ret = newest(s) >= id ? STORAGE_DONE : STORAGE_NOT_DONE;
	return ST_OK;
}

/*
 * copy_data(s, folder): LMDB's own mdb_env_copy would make the file readable for others, as far as
 * the umask lets it.
 */
static enum status copy_data(const struct lmdb *s, int folder, struct err *err)
{
	int fd =
	    openat(folder, DATA_NAME, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	enum status st = ST_OK;
	int rc;

	if (fd < 0)
		return failed(s, errno, "cannot create a copy", err);
	rc = mdb_env_copyfd2(s->env, fd, MDB_CP_COMPACT);
	if (rc == 0 && fsync(fd) != 0)
		rc = errno;
	if (rc != 0)
		st = failed(s, rc, "cannot copy", err);
	if (close(fd) != 0 && !st)
		st = failed(s, errno, "cannot copy", err);
	return st;
}

static enum status lmdb_copy_to(struct storage *storage, const char *path, struct err *err)
{
	struct lmdb *s = lmdb_of(storage);
	enum status st;
	int folder;

	if (s->env == NULL)
		return err_set(err, ST_IO, "store %s: not open after a failure", s->path);
	st = folder_create(path, &folder, err);
	if (st)
		return st;
	st = copy_data(s, folder, err);
	if (st)
		goto fail;
	st = folder_sync(folder, path, err);
	if (st)
		goto fail;
	close(folder);
	return ST_OK;
fail:
	/* Half a copy must not be taken for one. */
	unlinkat(folder, DATA_NAME, 0);
	close(folder);
	rmdir(path);
	return st;
}

const struct storage_driver storage_lmdb = {
    .name = "lmdb",
    .open = lmdb_open,
    .close = lmdb_close,
    .read_open = lmdb_read_open,
    .renew = lmdb_renew,
    .reset = lmdb_reset,
    .read_close = lmdb_read_close,
    .write_begin = lmdb_write_begin,
    .id = lmdb_id,
    .get = lmdb_get,
    .seek = lmdb_seek,
    .put = lmdb_put,
    .del = lmdb_del,
    .commit = lmdb_commit,
    .abort = lmdb_abort,
    .settle = lmdb_settle,
    .copy_to = lmdb_copy_to,
};
