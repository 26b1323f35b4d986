/*
 * The mounts: which engine answers below which path, and under which prefix of the storage.  An immutable table, counted.  A record
 * `sys/mount/UUID` (JSON) for each that operators made; the built-in ones (sys, cubbyhole, auth/token) are always there.
 */
#ifndef CORE_MOUNT_H
#define CORE_MOUNT_H

#include "barrier/view.h"
#include "engine/engine.h"

#define MOUNT_PATH_MAX 128
#define MOUNT_TEXT_MAX 512

struct mount {
	char path[MOUNT_PATH_MAX + 2]; /* "team/kv/" */
	size_t n;
	unsigned segments;
	char prefix[64]; /* in the storage: "logical/UUID/" */
	const struct engine *engine;
	void *self;  /* the engine's object, or the built-in mount's */
	size_t slot; /* of the engine in the table of engines; ENGINES_MAX: built in */
	char uuid[UUID_LEN + 1];
	char accessor[40];
	char description[MOUNT_TEXT_MAX];
	char version[8];             /* options.version as given; "" */
	int64_t default_lease_ttl_s; /* as set; 0: the server's */
	int64_t max_lease_ttl_s;
	bool builtin;
};

struct mounts;

/* What the table needs to know of the server. */
struct mount_builtin {
	const char *path;
	const char *prefix;
	const struct engine *engine;
	void *self;
	const char *description;
};

/* mounts_load(view, engines, builtin, n, ret, err): the built-in mounts and every record of the view.  ST_CORRUPT names the record, also when its engine
 * is not in the table. */
MUST_USE enum status mounts_load(const struct view *view, const struct engine_table *engines,
                                 const struct mount_builtin *builtin, size_t n,
                                 const struct mounts **ret, struct err *err);
const struct mounts *mounts_ref(const struct mounts *m);
void mounts_unref(const struct mounts **m);

/* mounts_find(m, path): the mount whose path the given one is or lies below; NULL: none. */
const struct mount *mounts_find(const struct mounts *m, const struct path *path);
/* mounts_at_path(m, "team/kv"): the mount at exactly this path, with or without the trailing slash. */
const struct mount *mounts_at_path(const struct mounts *m, struct span path);
/* mounts_by_uuid(m, uuid): NULL: none. */
const struct mount *mounts_by_uuid(const struct mounts *m, const char *uuid);
size_t mounts_count(const struct mounts *m);
const struct mount *mounts_at(const struct mounts *m, size_t i);

/* mount_set_engine(m, engines, "kv"): engine, object and slot of the mount; ST_NOT_FOUND: operators can mount no such engine. */
MUST_USE enum status mount_set_engine(struct mount *m, const struct engine_table *engines,
                                      struct span type);
/* mount_get_facts(m, default_lease_ttl_s, max_lease_ttl_s, ret): what its engine may know; the lengths are the server's, which hold where the mount has none.
 * Valid as long as m. */
void mount_get_facts(const struct mount *m, int64_t default_lease_ttl_s, int64_t max_lease_ttl_s,
                     struct mount_facts *ret);

/* mount_check_path(m, path, except, ret, err): may a mount stand here (path with its trailing slash into ret)?  ST_INVALID with the text that clients
 * know: reserved, in use, or below or above another.  except: a mount that does not count, or NULL. */
MUST_USE enum status mount_check_path(const struct mounts *m, struct span path,
                                      const struct mount *except,
                                      char ret[static MOUNT_PATH_MAX + 2], struct err *err);

/* mounts_put(m, view, mount, ret, err): store the record (by its uuid) and make the successor table.  mounts_remove: likewise without it. */
MUST_USE enum status mounts_put(const struct mounts *m, const struct view *view,
                                const struct mount *mount, const struct mounts **ret,
                                struct err *err);
MUST_USE enum status mounts_remove(const struct mounts *m, const struct view *view,
                                   const struct mount *mount, const struct mounts **ret,
                                   struct err *err);

#endif
