/*
 * Stands between the server and the kernel (LD_PRELOAD): writes down what happens to the data folder, and makes single calls fail or die.
 *
 * One lock around each call and its record: the log's order is the order of the calls, and a record is there before the server can act on
 * the call's return.  The client appends its own marks to the same file, so an answer that it has seen stands behind all that was done
 * for it.  Files are told apart by inode number; a descriptor is followed from open to close.  The calls are made with syscall(), so
 * nothing here depends on which library comes next.  What a server writes through a shared mapping is not seen: LMDB does so
 * with lock.mdb only, whose content is worth nothing after a cut.
 */
#include "shim.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define FDS_MAX 4096
#define NAME_N  256
#define NO_CALL ((struct call){0})

/* A descriptor in the data folder. */
struct tracked {
	bool used;
	uint8_t flags;
	uint64_t file;
	char name[NAME_N]; /* in the folder; "" the folder itself, ".." the one above */
};

/* What is about to be done. */
struct call {
	enum shim_call call;
	uint8_t flags;
	uint64_t file;
	uint64_t off;
	const char *name;
	const struct iovec *data;
	int data_n;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct tracked fds[FDS_MAX];
static const char *folder;
static int log_fd = -1;
static struct shim_control *control;
static const uint64_t *counts;

/* ---- setting up ---- */

static int sys_open(int at, const char *path, int flags, unsigned mode)
{
	return (int)syscall(SYS_openat, at, path, flags, mode);
}

static _Noreturn void die(void)
{
	syscall(SYS_kill, getpid(), SIGKILL);
	for (;;)
		pause();
}

static void broken(const char *what)
{
	fprintf(stderr, "shim: %s: %s\n", what, strerror(errno));
	abort();
}

static void *map(const char *variable, size_t n, int prot)
{
	const char *path = getenv(variable);
	int fd;
	void *p;

	if (path == NULL)
		return NULL;
	fd = sys_open(AT_FDCWD, path, (prot & PROT_WRITE ? O_RDWR : O_RDONLY) | O_CLOEXEC, 0);
	if (fd < 0)
		broken(path);
	p = mmap(NULL, n, prot, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		broken(path);
	syscall(SYS_close, fd);
	return p;
}

__attribute__((constructor)) static void set_up(void)
{
	const char *path = getenv("KEYTURN_SHIM_LOG");

	folder = getenv("KEYTURN_SHIM_FOLDER");
	if (folder == NULL)
		return;
	if (path != NULL) {
		/* High, so that nobody who closes or counts low descriptors meets it. */
		int fd = sys_open(AT_FDCWD, path, O_WRONLY | O_APPEND | O_CLOEXEC, 0);

		if (fd < 0)
			broken(path);
		log_fd = fcntl(fd, F_DUPFD_CLOEXEC, 512);
		syscall(SYS_close, fd);
	}
	control = map("KEYTURN_SHIM_CONTROL", sizeof *control, PROT_READ | PROT_WRITE);
	counts = map("KEYTURN_SHIM_COUNTS", SHIM_COUNTERS * sizeof *counts, PROT_READ);
}

/* ---- the log ---- */

static size_t total(const struct iovec *iov, int n)
{
	size_t sum = 0;

	for (int i = 0; i < n; i++)
		sum += iov[i].iov_len;
	return sum;
}

static void write_down(const struct call *c, int64_t result)
{
	static const uint64_t zeros[SHIM_COUNTERS];
	struct iovec iov[64 + 3];
	size_t name_n = strlen(c->name), data_n = total(c->data, c->data_n);
	struct shim_record r = {.call = (uint8_t)c->call,
	                        .flags = c->flags,
	                        .name_n = (uint16_t)name_n,
	                        .file = c->file,
	                        .off = c->off,
	                        .data_n = data_n,
	                        .result = result};
	int n = 0;

	if (log_fd < 0)
		return;
	r.n = (uint32_t)(sizeof r + name_n + data_n + sizeof zeros);
	iov[n++] = (struct iovec){&r, sizeof r};
	iov[n++] = (struct iovec){(void *)(uintptr_t)c->name, name_n};
	for (int i = 0; i < c->data_n; i++)
		iov[n++] = c->data[i];
	iov[n++] =
	    (struct iovec){(void *)(uintptr_t)(counts != NULL ? counts : zeros), sizeof zeros};
	if (syscall(SYS_writev, log_fd, iov, n) != (long)r.n)
		broken("log");
}

/* ---- faults ---- */

static bool counted(const struct call *c)
{
	bool kind = (control->mask >> c->call & 1) != 0 ||
	            ((control->mask >> SHIM_DSYNC_WRITE & 1) != 0 &&
	             (c->flags & SHIM_DSYNC) != 0 && c->call == SHIM_WRITE);

	return kind && strncmp(c->name, control->only, strnlen(control->only, 16)) == 0;
}

/* What is to happen to this call. */
static enum shim_action decide(const struct call *c)
{
	uint32_t n;

	if (control == NULL || !control->armed)
		return SHIM_NOTHING;
	if (control->fired > 0 && control->then > 0) {
		control->then--;
		return SHIM_FAIL_BEFORE;
	}
	if (!counted(c))
		return SHIM_NOTHING;
	n = ++control->calls;
	if (control->at == 0 || n < control->at || (n > control->at && !control->forever))
		return SHIM_NOTHING;
	control->fired++;
	return (enum shim_action)control->action;
}

/* The first half of what a write would write. */
static long half(int fd, const struct call *c)
{
	size_t n = total(c->data, c->data_n) / 2, done = 0;

	for (int i = 0; i < c->data_n && done < n; i++) {
		size_t part = c->data[i].iov_len < n - done ? c->data[i].iov_len : n - done;
		struct iovec first = {c->data[i].iov_base, part};
		struct call one = *c;
		long wrote = syscall(SYS_pwrite64, fd, first.iov_base, part, c->off + done);

		if (wrote < 0)
			return wrote;
		one.data = &first;
		one.data_n = 1;
		one.off = c->off + done;
		/* Not taken for durable: the call did not succeed. */
		one.flags = 0;
		write_down(&one, wrote);
		done += (size_t)wrote;
	}
	return (long)done;
}

static long failed(uint32_t error)
{
	errno = (int)error;
	return -1;
}

/*
 * The call through its fault, if any, and into the log.  real: the call itself, which returns -1 with errno.  A write that is made and said
 * to have failed goes into the log as a write that is not durable; a sync that failed as a failed sync.
 */
struct real {
	long (*run)(void *);
	void *arg;
	int fd;
};

static long pass(struct call *c, const struct real *real)
{
	enum shim_action action = decide(c);
	bool write = c->call == SHIM_WRITE;
	long result;

	if (action == SHIM_DIE_HALF && write)
		half(real->fd, c);
	if (action == SHIM_DIE_BEFORE || action == SHIM_DIE_HALF)
		die();
	if ((action == SHIM_FAIL_HALF || action == SHIM_SHORT) && write) {
		long n = half(real->fd, c);

		return action == SHIM_SHORT ? n : failed(control->error);
	}
	if (action == SHIM_FAIL_BEFORE || action == SHIM_FAIL_HALF) {
		if (c->call == SHIM_SYNC)
			write_down(c, -(int64_t)control->error);
		return failed(control->error);
	}
	result = real->run(real->arg);
	if (result >= 0) {
		bool lost = action == SHIM_FAIL_AFTER;

		if (lost)
			c->flags = c->flags & SHIM_DSYNC ? SHIM_LOST : 0;
		else if (action == SHIM_DIE_AFTER)
			c->flags = 0;
		write_down(c, lost && c->call == SHIM_SYNC ? -(int64_t)control->error : result);
	} else if (c->call == SHIM_SYNC) {
		write_down(c, -errno);
	}
	if (action == SHIM_DIE_AFTER)
		die();
	return action == SHIM_FAIL_AFTER ? failed(control->error) : result;
}

/* ---- names ---- */

/* The name in the folder that (at, path) means, into ret; false: it is none. */
static bool ours(int at, const char *path, char ret[static NAME_N])
{
	size_t n = folder != NULL ? strlen(folder) : 0;
	const char *rest = NULL;

	if (n == 0)
		return false;
	if (path[0] == '/' && strncmp(path, folder, n) == 0 && (path[n] == 0 || path[n] == '/'))
		rest = path[n] == 0 ? "" : path + n + 1;
	else if (path[0] != '/' && at >= 0 && at < FDS_MAX && fds[at].used && fds[at].name[0] == 0)
		rest = path;
	if (rest == NULL || strlen(rest) >= NAME_N)
		return false;
	if (strcmp(rest, ".") == 0)
		rest = "";
	memcpy(ret, rest, strlen(rest) + 1);
	return true;
}

struct open_args {
	int at;
	const char *path;
	int flags;
	unsigned mode;
};

static long run_open(void *arg)
{
	struct open_args *a = arg;

	return sys_open(a->at, a->path, a->flags, a->mode);
}

static void track(int fd, int flags, const char *name)
{
	struct stat st;

	if (fd >= FDS_MAX || fstat(fd, &st) != 0)
		broken("a descriptor");
	fds[fd].used = true;
	fds[fd].flags = (flags & (O_DSYNC | O_SYNC)) != 0 ? SHIM_DSYNC : 0;
	fds[fd].file = st.st_ino;
	memcpy(fds[fd].name, name, strlen(name) + 1);
}

/* Created files are written down here, since their number is known only afterwards. */
static int do_open(int at, const char *path, int flags, unsigned mode)
{
	struct open_args args = {at, path, flags, mode};
	const struct real real = {run_open, &args, -1};
	struct call c = NO_CALL;
	char name[NAME_N];
	struct stat st;
	bool made;
	int fd, log = log_fd;

	if (!ours(at, path, name))
		return sys_open(at, path, flags, mode);
	pthread_mutex_lock(&lock);
	made = (flags & O_CREAT) != 0 && fstatat(at, path, &st, AT_SYMLINK_NOFOLLOW) != 0;
	c.call = made ? SHIM_CREATE : SHIM_OPEN;
	c.name = name;
	log_fd =
	    -1; /* the number is not known yet; dying after it loses the record, which is as good as a name never synced */
	fd = (int)pass(&c, &real);
	log_fd = log;
	if (fd >= 0) {
		track(fd, flags, name);
		c.file = fds[fd].file;
		if (made)
			write_down(&c, 0);
		if ((flags & O_TRUNC) != 0 && !made) {
			c.call = SHIM_TRUNCATE;
			write_down(&c, 0);
		}
	}
	pthread_mutex_unlock(&lock);
	return fd;
}

#define MODE_OF(flags, last)                          \
	unsigned mode = 0;                            \
	if (((flags) & (O_CREAT | O_TMPFILE)) != 0) { \
		va_list ap;                           \
		va_start(ap, last);                   \
		mode = va_arg(ap, unsigned);          \
		va_end(ap);                           \
	}

int open(const char *path, int flags, ...)
{
	MODE_OF(flags, flags)
	return do_open(AT_FDCWD, path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
	MODE_OF(flags, flags)
	return do_open(AT_FDCWD, path, flags, mode);
}

int openat(int at, const char *path, int flags, ...)
{
	MODE_OF(flags, flags)
	return do_open(at, path, flags, mode);
}

int openat64(int at, const char *path, int flags, ...)
{
	MODE_OF(flags, flags)
	return do_open(at, path, flags, mode);
}

int __open_2(const char *path, int flags);
int __open_2(const char *path, int flags)
{
	return do_open(AT_FDCWD, path, flags, 0);
}

int __open64_2(const char *path, int flags);
int __open64_2(const char *path, int flags)
{
	return do_open(AT_FDCWD, path, flags, 0);
}

int __openat_2(int at, const char *path, int flags);
int __openat_2(int at, const char *path, int flags)
{
	return do_open(at, path, flags, 0);
}

int __openat64_2(int at, const char *path, int flags);
int __openat64_2(int at, const char *path, int flags)
{
	return do_open(at, path, flags, 0);
}

int close(int fd)
{
	int rc;

	if (fd < 0 || fd >= FDS_MAX || !fds[fd].used)
		return (int)syscall(SYS_close, fd);
	pthread_mutex_lock(&lock);
	fds[fd].used = false;
	rc = (int)syscall(SYS_close, fd);
	pthread_mutex_unlock(&lock);
	return rc;
}

/* Calls on one name, or from one to another. */
struct name_args {
	long number;
	int at, at_to;
	const char *path, *to;
	unsigned last;
};

static long run_name(void *arg)
{
	struct name_args *a = arg;

	return a->to != NULL ? syscall(SYS_renameat2, a->at, a->path, a->at_to, a->to, a->last)
	                     : syscall(a->number, a->at, a->path, a->last);
}

static int do_name(enum shim_call call, struct name_args *a)
{
	const struct real real = {run_name, a, -1};
	struct call c = NO_CALL;
	char name[NAME_N], to[NAME_N];
	struct iovec data = {to, 0};
	int rc;

	if (!ours(a->at, a->path, name))
		return (int)run_name(a);
	if (a->to != NULL) {
		if (!ours(a->at_to, a->to, to))
			broken("a rename out of the folder");
		data.iov_len = strlen(to);
		c.data = &data;
		c.data_n = 1;
	}
	c.call = call;
	c.name = name;
	pthread_mutex_lock(&lock);
	rc = (int)pass(&c, &real);
	pthread_mutex_unlock(&lock);
	return rc;
}

int mkdirat(int at, const char *path, mode_t mode)
{
	return do_name(SHIM_MKDIR, &(struct name_args){SYS_mkdirat, at, 0, path, NULL, mode});
}

int mkdir(const char *path, mode_t mode)
{
	return mkdirat(AT_FDCWD, path, mode);
}

int unlinkat(int at, const char *path, int flags)
{
	return do_name(SHIM_UNLINK,
	               &(struct name_args){SYS_unlinkat, at, 0, path, NULL, (unsigned)flags});
}

int unlink(const char *path)
{
	return unlinkat(AT_FDCWD, path, 0);
}

int rmdir(const char *path)
{
	return unlinkat(AT_FDCWD, path, AT_REMOVEDIR);
}

int renameat2(int at, const char *path, int at_to, const char *to, unsigned flags)
{
	return do_name(SHIM_RENAME, &(struct name_args){SYS_renameat2, at, at_to, path, to, flags});
}

int renameat(int at, const char *path, int at_to, const char *to)
{
	return renameat2(at, path, at_to, to, 0);
}

int rename(const char *path, const char *to)
{
	return renameat2(AT_FDCWD, path, AT_FDCWD, to, 0);
}

/* ---- contents ---- */

struct fd_args {
	long number;
	long a, b, c, d;
};

static long run_fd(void *arg)
{
	struct fd_args *a = arg;

	return syscall(a->number, a->a, a->b, a->c, a->d, 0);
}

static bool is_tracked(int fd)
{
	return fd >= 0 && fd < FDS_MAX && fds[fd].used;
}

static long do_fd(int fd, enum shim_call call, uint64_t off, const struct iovec *data, int data_n,
                  struct fd_args *a)
{
	const struct real real = {run_fd, a, fd};
	struct call c = {call, fds[fd].flags, fds[fd].file, off, fds[fd].name, data, data_n};
	long rc;

	pthread_mutex_lock(&lock);
	rc = pass(&c, &real);
	pthread_mutex_unlock(&lock);
	return rc;
}

static ssize_t do_write(int fd, const struct iovec *iov, int n, uint64_t off, struct fd_args *a)
{
	return is_tracked(fd) ? do_fd(fd, SHIM_WRITE, off, iov, n, a) : run_fd(a);
}

/* Where the descriptor stands; writes there are from one thread at a time. */
static uint64_t position(int fd)
{
	return is_tracked(fd) ? (uint64_t)syscall(SYS_lseek, fd, 0, SEEK_CUR) : 0;
}

ssize_t write(int fd, const void *buf, size_t n)
{
	struct iovec iov = {(void *)(uintptr_t)buf, n};

	return do_write(fd, &iov, 1, position(fd),
	                &(struct fd_args){SYS_write, fd, (long)buf, (long)n, 0});
}

ssize_t writev(int fd, const struct iovec *iov, int n)
{
	return do_write(fd, iov, n, position(fd),
	                &(struct fd_args){SYS_writev, fd, (long)iov, n, 0});
}

ssize_t pwrite(int fd, const void *buf, size_t n, off_t off)
{
	struct iovec iov = {(void *)(uintptr_t)buf, n};

	return do_write(fd, &iov, 1, (uint64_t)off,
	                &(struct fd_args){SYS_pwrite64, fd, (long)buf, (long)n, off});
}

ssize_t pwrite64(int fd, const void *buf, size_t n, off_t off)
{
	return pwrite(fd, buf, n, off);
}

ssize_t pwritev(int fd, const struct iovec *iov, int n, off_t off)
{
	return do_write(fd, iov, n, (uint64_t)off,
	                &(struct fd_args){SYS_pwritev, fd, (long)iov, n, off});
}

ssize_t pwritev64(int fd, const struct iovec *iov, int n, off_t off)
{
	return pwritev(fd, iov, n, off);
}

int ftruncate(int fd, off_t size)
{
	struct fd_args a = {SYS_ftruncate, fd, size, 0, 0};

	return (int)(is_tracked(fd) ? do_fd(fd, SHIM_TRUNCATE, (uint64_t)size, NULL, 0, &a)
	                            : run_fd(&a));
}

int ftruncate64(int fd, off_t size)
{
	return ftruncate(fd, size);
}

int fallocate(int fd, int mode, off_t off, off_t n)
{
	struct fd_args a = {SYS_fallocate, fd, mode, off, n};

	if (is_tracked(fd) && mode != 0)
		broken("fallocate with a mode");
	return (int)(is_tracked(fd) ? do_fd(fd, SHIM_ALLOCATE, (uint64_t)(off + n), NULL, 0, &a)
	                            : run_fd(&a));
}

int fallocate64(int fd, int mode, off_t off, off_t n)
{
	return fallocate(fd, mode, off, n);
}

int posix_fallocate(int fd, off_t off, off_t n)
{
	return fallocate(fd, 0, off, n) == 0 ? 0 : errno;
}

int posix_fallocate64(int fd, off_t off, off_t n)
{
	return posix_fallocate(fd, off, n);
}

static int do_sync(int fd, long number)
{
	struct fd_args a = {number, fd, 0, 0, 0};

	return (int)(is_tracked(fd) ? do_fd(fd, SHIM_SYNC, 0, NULL, 0, &a) : run_fd(&a));
}

int fsync(int fd)
{
	return do_sync(fd, SYS_fsync);
}

int fdatasync(int fd)
{
	return do_sync(fd, SYS_fdatasync);
}

/* Makes no file durable, so it may not be used on one of ours. */
int sync_file_range(int fd, off_t off, off_t n, unsigned flags)
{
	if (is_tracked(fd))
		broken("sync_file_range");
	return (int)syscall(SYS_sync_file_range, fd, off, n, flags);
}
