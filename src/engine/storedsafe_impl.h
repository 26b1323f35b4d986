/* What the files of the engine share. */
#ifndef ENGINE_STOREDSAFE_IMPL_H
#define ENGINE_STOREDSAFE_IMPL_H

#include "engine/storedsafe.h"

#define VAULT_ID_MAX          32
#define VAULT_NAME_MAX        128 /* characters */
#define VAULT_DESCRIPTION_MAX 1024
#define VAULT_MEMBERS_MAX     1000

struct vault {
	char id[VAULT_ID_MAX + 1];
	int64_t created_ns;
	uint32_t policy;               /* of passphrases (passphrase.h) */
	struct span name, description; /* the transaction's */
};

/* vault_id_valid(id): letters and digits.  vault_find(op, id, ret, err): ST_NOT_FOUND: there is none, or this is no id at all.  vault_put(op, v, err): writer only. */
bool vault_id_valid(struct span id);
MUST_USE enum status vault_find(const struct op *op, struct span id, struct vault *ret,
                                struct err *err);
MUST_USE enum status vault_put(const struct op *op, const struct vault *v, struct err *err);
/* vault_named(op, ret): the vault that the path names; ST_NOT_FOUND with the answer filled in. */
MUST_USE enum status vault_named(struct op *op, struct vault *ret);
/* vault_path(p, id, rest): "vault/ID/" and the rest. */
#define VAULT_PATH_MAX 120
struct vault_path {
	char text[VAULT_PATH_MAX];
};
struct span vault_path(struct vault_path *p, const char *id, const char *rest);

/* member_level(op, id, user, ret, err): LEVEL_NONE when it is no member, or there is no such vault. */
MUST_USE enum status member_level(const struct op *op, struct span id, uint32_t user,
                                  enum member_level *ret, struct err *err);
/* member_stamp(op, id, user, ret, err): of the record of a membership (view_stamp); ST_NOT_FOUND. */
MUST_USE enum status member_stamp(const struct op *op, const char *id, uint32_t user,
                                  uint8_t ret[static VIEW_STAMP_LEN], struct err *err);
/* member_put(op, id, user, level, err): the user is a member with this level.  member_remove(op, id, user, err): no longer.  Writer only. */
MUST_USE enum status member_put(const struct op *op, const char *id, uint32_t user,
                                enum member_level level, struct err *err);
MUST_USE enum status member_remove(const struct op *op, const char *id, uint32_t user,
                                   struct err *err);
/* member_remove_all(op, id, err): the vault is going. */
MUST_USE enum status member_remove_all(const struct op *op, const char *id, struct err *err);
/* member_vaults(op, user, visit, arg, err): the ids of the vaults it is a member of; a status other than ST_OK ends it. */
MUST_USE enum status member_vaults(const struct op *op, uint32_t user, view_visit *visit, void *arg,
                                   struct err *err);

/* The folder of all named keys. */
#define SAFE_KEYS "keys/"

/* A membership, as a thread knows it. */
struct level_slot {
	char prefix[VIEW_PREFIX_MAX]; /* of the mount's view; n_prefix bytes */
	size_t n_prefix;
	char id[VAULT_ID_MAX + 1];
	uint32_t user;
	enum member_level level; /* LEVEL_NONE: the slot is empty */
	uint64_t commit;         /* as of which the stamp was compared */
	uint8_t stamp[VIEW_STAMP_LEN];
};
#define SAFE_LEVELS 128

/* What a thread keeps. */
struct safe_thread {
	void *keys; /* of the engine of named keys */
	struct level_slot levels[SAFE_LEVELS];
	struct mime *mime; /* NULL: not needed yet */
};

/* storedsafe_level(op, user, ret, err): as engine.level. */
MUST_USE enum status storedsafe_level(const struct op *op, uint32_t user, enum member_level *ret,
                                      struct err *err);

/* storedsafe_next_number(op, path, ret, err): numbers are given once; the record at path holds the last.  Writer only. */
MUST_USE enum status storedsafe_next_number(const struct op *op, const char *path, uint64_t *ret,
                                            struct err *err);
/* storedsafe_put_number(w, name, n): as a string, which all numbers are in this API that name something.  member_level_name(level): "Write". */
void storedsafe_put_number(struct json_writer *w, const char *name, uint64_t n);
const char *member_level_name(enum member_level level);
/* storedsafe_characters(text, ret): how many there are; ST_INVALID: one of control, or no UTF-8. */
MUST_USE enum status storedsafe_characters(struct span text, size_t *ret);

/* storedsafe_vault.c */
enum status storedsafe_vault_list(struct op *op);
enum status storedsafe_vault_read(struct op *op);
enum status storedsafe_vault_create(struct op *op);
enum status storedsafe_vault_edit(struct op *op);
enum status storedsafe_vault_delete(struct op *op);
/* storedsafe_member.c */
enum status storedsafe_member_list(struct op *op);
enum status storedsafe_member_add(struct op *op);
enum status storedsafe_member_edit(struct op *op);
enum status storedsafe_member_remove(struct op *op);
/* storedsafe_keys.c */
enum status storedsafe_key_list(struct op *op);
enum status storedsafe_key_create(struct op *op);
enum status storedsafe_key_read(struct op *op);
enum status storedsafe_key_delete(struct op *op);
enum status storedsafe_key_rotate(struct op *op);
enum status storedsafe_key_config(struct op *op);
enum status storedsafe_key_versions(struct op *op);
enum status storedsafe_key_version(struct op *op);
/* storedsafe_crypt.c */
enum status storedsafe_key_exists(struct op *op, struct err *err);
enum status storedsafe_encrypt(struct op *op);
enum status storedsafe_decrypt(struct op *op);
enum status storedsafe_rewrap(struct op *op);
enum status storedsafe_datakey_plaintext(struct op *op);
enum status storedsafe_datakey_wrapped(struct op *op);
/* storedsafe_move.c */
enum status storedsafe_export(struct op *op);
enum status storedsafe_backup(struct op *op);
enum status storedsafe_restore(struct op *op);
/* storedsafe_utils.c */
enum status storedsafe_statusvalues(struct op *op);
enum status storedsafe_policies(struct op *op);
enum status storedsafe_checkpolicy(struct op *op);
enum status storedsafe_mime_type(struct op *op);
enum status storedsafe_version(struct op *op);
enum status storedsafe_pwgen(struct op *op);

#endif
