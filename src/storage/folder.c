#include "storage/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static enum status io_failed(const char *what, const char *path, struct err *err)
{
	return err_set(err, ST_IO, "cannot %s %s: %s", what, path, strerror(errno));
}

enum status folder_sync(int folder, const char *path, struct err *err)
{
	return fsync(folder) == 0 ? ST_OK : io_failed("sync folder", path, err);
}

/* sync_parent(path): a folder just made is a name in its parent, durable once that is synced. */
static enum status sync_parent(int folder, const char *path, struct err *err)
{
	int parent = openat(folder, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	enum status st;

	if (parent < 0)
		return io_failed("open the parent of", path, err);
	st = folder_sync(parent, path, err);
	close(parent);
	return st;
}

/* check_private(folder, path): with access for others, no file mode inside would be a promise. */
static enum status check_private(int folder, const char *path, struct err *err)
{
	struct stat s;

	if (fstat(folder, &s) != 0)
		return io_failed("look at", path, err);
	if (s.st_uid != geteuid())
		return err_set(err, ST_INVALID,
		               "%s (mode %04o) belongs to user %lu, the server runs as %lu", path,
		               (unsigned)s.st_mode & 07777U, (unsigned long)s.st_uid,
		               (unsigned long)geteuid());
	if ((s.st_mode & 077) != 0)
		return err_set(err, ST_INVALID,
		               "%s has mode %04o: others must have no access (chmod 700)", path,
		               (unsigned)s.st_mode & 07777U);
	return ST_OK;
}

static enum status open_checked(const char *path, int *ret_fd, struct err *err)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	enum status st;

	if (fd < 0 && errno == ENOTDIR)
		return err_set(err, ST_INVALID, "%s is not a folder", path);
	if (fd < 0)
		return io_failed("open folder", path, err);
	st = check_private(fd, path, err);
	if (st)
		goto fail;
	*ret_fd = fd;
	return ST_OK;
fail:
	close(fd);
	return st;
}

enum status folder_open(const char *path, int *ret_fd, struct err *err)
{
	enum status st;
	int fd = -1;

	if (mkdir(path, 0700) != 0 && errno != EEXIST)
		return io_failed("create folder", path, err);
	st = open_checked(path, &fd, err);
	if (st)
		return st;
	/* Also when it was there: whoever made it may have died before this line. */
	st = sync_parent(fd, path, err);
	if (st)
		goto fail;
	*ret_fd = fd;
	return ST_OK;
fail:
	close(fd);
	return st;
}

enum status folder_create(const char *path, int *ret_fd, struct err *err)
{
	if (mkdir(path, 0700) != 0 && errno == EEXIST)
		return err_set(err, ST_EXISTS, "%s is there already", path);
	return folder_open(path, ret_fd, err);
}

enum status folder_lock(int folder, const char *path, int *ret_fd, struct err *err)
{
	/*
	 * flock belongs to the open file, so it also holds against a second open in this process.
	 */
	int fd = openat(folder, FOLDER_LOCK_NAME, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	enum status st;

	if (fd < 0)
		return io_failed("open the lock file of", path, err);
	if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
		*ret_fd = fd;
		return ST_OK;
	}
	st = errno == EWOULDBLOCK
	         ? err_set(err, ST_BUSY, "another process uses this folder: %s", path)
	         : io_failed("lock", path, err);
	close(fd);
	return st;
}
