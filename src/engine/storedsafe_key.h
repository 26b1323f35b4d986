/*
 * Named keys of vaults.  A key lies where all keys of the mount lie, a mount of transit in itself (transit_key.h) below "keys/", by the name "VAULT.NAME"; what only this
 * API knows of it, the object that it is in its vault, stands beside:
 *
 *   vault/ID/key/NAME   1 version 1 | 8 object id | info with a 4-byte length
 *   last_object         8: the number of objects that were ever made
 *
 * Why all keys lie in one place and not each vault's in its own: what is due in any of them (rotations, blocks of uses) is then found without looking at each vault.
 */
#ifndef ENGINE_STOREDSAFE_KEY_H
#define ENGINE_STOREDSAFE_KEY_H

#include "engine/storedsafe_impl.h"
#include "engine/transit_key.h"

#define SAFE_INFO_MAX 1024 /* characters */

/* The same call, made to the engine of named keys: what transit's handlers take. */
struct key_op {
	struct op op; /* argument 0: the stored name */
	struct op *from;
	struct view keys;
	struct key_place place; /* of op */
	char stored[KEY_STORED_MAX];
	struct span vault, name; /* as the path has them */
	const struct named_key
	    *key; /* key_op_find found it; valid until the thread's next key_find */
};

/*
 * key_op_begin(k, op): the path's first two arguments are a vault and a key's name; a name that no key can have is refused (ST_INVALID, answered).  key_op_find(k): ST_NOT_FOUND:
 * there is no such key, answered.  key_op_end(k): what was said beside the answer (when to tick, slow work, that something was made) is handed on, by
 * whoever called what may say it.
 */
MUST_USE enum status key_op_begin(struct key_op *k, struct op *op);
MUST_USE enum status key_op_find(struct key_op *k);
/* key_op_existing(k, op): both. */
MUST_USE enum status key_op_existing(struct key_op *k, struct op *op);
void key_op_end(struct key_op *k);

/* safe_fail(op, st, err): the answer says so; what is no failure (ST_NEEDS_WRITER, ST_PENDING) goes on. */
enum status safe_fail(struct op *op, enum status st, const struct err *err);

/* The key as an object of its vault. */
struct safe_object {
	uint64_t id;
	struct span info; /* the transaction's */
};
/* safe_object_find(k, ret, err): ST_CORRUPT when there is none.  safe_object_put(k, o, err), safe_object_new(k, info, ret, err), safe_object_remove(k, err): on the writer. */
MUST_USE enum status safe_object_find(const struct key_op *k, struct safe_object *ret,
                                      struct err *err);
MUST_USE enum status safe_object_put(const struct key_op *k, const struct safe_object *o,
                                     struct err *err);
MUST_USE enum status safe_object_new(const struct key_op *k, struct span info,
                                     struct safe_object *ret, struct err *err);
MUST_USE enum status safe_object_remove(const struct key_op *k, struct err *err);

/* safe_key_make(k, head, info, err): a new key of head->type, and its object; it is k->key then.  ST_EXISTS.  Writer only. */
MUST_USE enum status safe_key_make(struct key_op *k, struct key_head *head, struct span info,
                                   struct err *err);
/* safe_head_check(h, err): ST_INVALID: what is set destroys versions of a key that may not be deleted. */
MUST_USE enum status safe_head_check(const struct key_head *h, struct err *err);
/* safe_type_param(op, ret, err): the member "type"; the default when there is none. */
MUST_USE enum status safe_type_param(const struct op *op, enum key_type *ret, struct err *err);

#endif
