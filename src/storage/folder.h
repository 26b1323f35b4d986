/* The data folder: ours alone, locked for one process, and there after a power cut. */
#ifndef STORAGE_FOLDER_H
#define STORAGE_FOLDER_H

#include "base/status.h"

/*
 * folder_open(path, ret_fd, err): open the folder, created with mode 0700 when missing (its parent
 * must exist).  ST_INVALID, naming path and mode, when it belongs to another user or group and
 * others have any access; ST_IO.  The caller closes *ret_fd.
 */
MUST_USE enum status folder_open(const char *path, int *ret_fd, struct err *err);
/* folder_create: the same for a folder that must not be there yet: ST_EXISTS. */
MUST_USE enum status folder_create(const char *path, int *ret_fd, struct err *err);

/*
 * folder_lock(folder, path, ret_fd, err): take the lock of the folder until *ret_fd is closed or
 * the process ends.  ST_BUSY when somebody has it, this process included.  path is for the texts.
 */
#define FOLDER_LOCK_NAME "keyturn.lock"
MUST_USE enum status folder_lock(int folder, const char *path, int *ret_fd, struct err *err);

/* folder_sync(folder, path, err): the names in it are durable. */
MUST_USE enum status folder_sync(int folder, const char *path, struct err *err);

#endif
