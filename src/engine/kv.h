/* The handlers of kv version 1, for the engines that are kv below a folder of their own. */
#ifndef ENGINE_KV_H
#define ENGINE_KV_H

#include "engine/engine.h"

/* What differs between kv and those that are built on it. */
enum kv_lease { KV_LEASE, KV_NO_LEASE };

/* Each takes the view to work on; path is the operation's argument 0. */
enum status kv_read(struct op *op, const struct view *view, enum kv_lease lease);
enum status kv_write(struct op *op, const struct view *view);
enum status kv_delete(struct op *op, const struct view *view);
enum status kv_list(struct op *op, const struct view *view);

#endif
