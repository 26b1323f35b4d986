/* The objects of transit, and what its files share.  Private to engine/transit*. */
#ifndef ENGINE_TRANSIT_IMPL_H
#define ENGINE_TRANSIT_IMPL_H

#include "engine/transit.h"
#include "engine/transit_batch.h"
#include "engine/transit_key.h"

/* Of the process. */
struct transit {
	struct transit_config config;
	struct uses_table *uses;
	struct transit_stock *stock; /* keys that the pool makes for automatic rotations */
	_Atomic uint64_t
	    drops; /* rises when a thread forgets its keys: the store closes, or is opened anew */
};

#define THREAD_KEYS     512
#define THREAD_VERSIONS 1024

/* A key in a thread's cache. */
struct key_slot {
	struct named_key key; /* key.name lies in text */
	uint8_t stamp[VIEW_STAMP_LEN];
	uint64_t number; /* commit as of which the stamp was compared */
	size_t n_prefix;
	char text[]; /* the view's prefix, then the name */
};

/* Of a thread: what it knows.  Slots are found by hash; a second key of the same slot takes the place of the first. */
struct transit_thread {
	struct transit *transit;
	struct key_slot *keys[THREAD_KEYS];
	struct key_version *versions[THREAD_VERSIONS];
	struct crypt_item *items; /* of the present request; room for n_items */
	size_t n_items;
	struct json line; /* of a stream */
};

#define KEY_NAME_TEXT                                                                            \
	"invalid key name: letters, digits and underscores, and between them hyphens and dots; " \
	"at "                                                                                    \
	"most 128 of them"

#define KEY_NO_CONTEXT_TEXT                                                                     \
	"missing 'context' for key derivation; the key was created using a derived key, which " \
	"means "                                                                                \
	"additional, per-request information must be included in order to perform operations "  \
	"with "                                                                                 \
	"the key"

/* transit_record.c */
#define KEY_PATH_MAX (KEY_STORED_MAX + 40)
struct span key_head_path(struct span name, char buf[static KEY_PATH_MAX]);
struct span key_version_path(const struct key_id *id, uint32_t number,
                             char buf[static KEY_PATH_MAX]);
/* "due/XXXXXXXXXXXXXXXX/NAME".  key_due_parse(name, ret): of "XXXXXXXXXXXXXXXX/", the folder's name below due/; ST_CORRUPT. */
#define KEY_DUE "due/"
struct span key_due_path(int64_t due_ns, struct span name, char buf[static KEY_PATH_MAX]);
MUST_USE enum status key_due_parse(struct span name, int64_t *ret_ns);
#define KEY_HEAD_MAX      160
#define KEY_VERSION_FIXED 64 /* of a version's record, without the parts of any length */
void key_head_encode(const struct key_head *h, struct builder *b);
MUST_USE enum status key_head_decode(struct span record, struct key_head *ret);
void key_version_encode(const struct version_data *v, struct builder *b);
MUST_USE enum status key_version_decode(struct span record, struct version_data *ret);

/* transit_cache.c */
MUST_USE enum status transit_thread_new(void *self, void **ret);
void transit_thread_drop(void *thread);
void transit_thread_free(void **thread);

/*
 * transit_change.c: first_name_of(v, folder, ret, err): the first name in a folder; empty: there is none.  As long as a path in the storage can be: one that was
 * planted there must stop nothing.  first_name_remove(v, whole, err): takes away what no writer of ours stored: the record at `whole` (room for
 * FIRST_NAME_MAX), or, when that ends in '/', the first below it.
 */
#define FIRST_NAME_MAX 640
struct first_name {
	char text[FIRST_NAME_MAX];
	struct builder b;
};
MUST_USE enum status first_name_of(const struct view *v, struct span folder, struct first_name *ret,
                                   struct err *err);
MUST_USE enum status first_name_remove(const struct view *v, struct builder *whole,
                                       struct err *err);

/* transit_change.c: key_write_version(p, id, number, v, err): the record alone; the caller writes the head. */
MUST_USE enum status key_write_version(const struct key_place *p, const struct key_id *id,
                                       uint32_t number, const struct version_data *v,
                                       struct err *err);

/*
 * What is done unasked is told to the audit: key_note_begin(w, b, p, name, event, cause), then further members, then key_note_end, which hands the note on and frees b.
 */
void key_note_begin(struct json_writer *w, struct builder *b, const struct key_place *p,
                    struct span name, const char *event, const char *cause);
MUST_USE enum status key_note_end(struct json_writer *w, const struct key_place *p,
                                  struct err *err);

/* transit_retire.c: key_retire_oldest(p, name, head, err): what max_versions asks for, in the transaction that adds a version; head is changed, not yet written. */
MUST_USE enum status key_retire_oldest(const struct key_place *p, struct span name,
                                       struct key_head *head, struct err *err);

/* transit_keys.c: key_head_params(r, h, err): the settings of a key that is to be made, from a request's members.  key_limit_params(r, h, err): those of them that say when it
 * rotates, and what becomes of old versions; h->type is known. */
MUST_USE enum status key_head_params(const struct request *r, struct key_head *h, struct err *err);
MUST_USE enum status key_limit_params(const struct request *r, struct key_head *h, struct err *err);

/* transit_show.c: key_show(op, p, k, context, err): the answer's data. */
MUST_USE enum status key_show(struct op *op, const struct key_place *p, const struct named_key *k,
                              struct span context, struct err *err);
/* key_public_text(k, out): a public key as the API shows it: PEM, of ed25519 the base64 of its 32 bytes.  ST_NOMEM.  key_chain_text(chain, out): a stored chain as PEM,
 * without a line end behind it.  ST_CORRUPT, ST_NOMEM. */
struct pkey;
MUST_USE enum status key_public_text(const struct pkey *k, struct builder *out);
MUST_USE enum status key_chain_text(struct span chain, struct builder *out);

/*
 * transit_slow.c: make_slowly(op, type, ret, err): material that takes long, by the pool: ST_PENDING the first time (op->slow is set), then ST_OK.
 * The stock, for rotations that nobody waits for (writer's thread): stock_take(s, type, ret): ST_OK: one was ready; ST_PENDING: it is being made, tick again
 * (transit_config.make_later); ST_BUSY.
 */
MUST_USE enum status make_slowly(struct op *op, enum key_type type, struct key_material *ret,
                                 struct err *err);
/* slow_since(t), slow_is_over(s): for work on the pool that takes long: whether the store has closed since, so that nobody needs it any more; s NULL: never. */
struct slow_since {
	const struct transit *transit;
	uint64_t drops;
};
struct slow_since slow_since(const struct transit *t);
bool slow_is_over(const struct slow_since *s);
struct transit_stock;
MUST_USE enum status stock_new(const struct transit_config *config, struct transit_stock **ret);
void stock_free(struct transit_stock **s);
void stock_clear(struct transit_stock *s);
MUST_USE enum status stock_take(struct transit_stock *s, enum key_type type,
                                struct key_material *ret);

/*
 * transit_export.c: version_range(op, text, h, ret, err): the versions that a call is about: the one that its path names ("7", "v7", "latest"), or those from
 * min_decryption on, a page of them (after, limit).  ST_INVALID.  version_range_warn: says so when there are more.  version_unusable(s): why a version
 * in this state is not given out; NULL: it is.
 */
struct version_range {
	uint32_t from, to; /* from > to: none */
	bool alone;
};
MUST_USE enum status version_range(struct op *op, struct span text, const struct key_head *h,
                                   struct version_range *ret, struct err *err);
void version_range_warn(struct op *op, const struct key_head *h, const struct version_range *r);
const char *version_unusable(enum version_state s);
/* answer_data(op, err): op->ans->data is the answer, if there was memory for all of it; else ST_NOMEM. */
MUST_USE enum status answer_data(struct op *op, struct err *err);

/* transit_crypt.c: key_ed25519(seed, ret): of KEY_SEED_LEN bytes.  key_derive_ed25519(v, context, ret, err): the key of a context. */
MUST_USE enum status key_ed25519(struct span seed, struct pkey **ret);
MUST_USE enum status key_derive_ed25519(const struct key_version *v, struct span context,
                                        struct pkey **ret, struct err *err);

/* transit_tick.c: the life of the engine. */
extern const struct engine_life transit_life;

/* transit.c: settings of a mount (config/keys, cache-config). */
struct transit_settings {
	bool disable_upsert;
	uint32_t cache_size;
};
MUST_USE enum status transit_settings_read(const struct view *v, struct transit_settings *ret,
                                           struct err *err);

/* Handlers, by file. */
enum status transit_key_exists(struct op *op, struct err *err); /* transit_batch.c: argument 0 */
enum status transit_encrypt_op(struct op *op);
enum status transit_decrypt_op(struct op *op);
enum status transit_rewrap_op(struct op *op);
enum status transit_datakey_op(struct op *op);
enum status transit_stream_op(struct op *op); /* transit_stream.c */
extern const struct stream_kind transit_encrypt_stream, transit_decrypt_stream,
    transit_rewrap_stream;
enum status transit_create_op(struct op *op); /* transit_keys.c */
enum status transit_read_op(struct op *op);
enum status transit_list_op(struct op *op);
enum status transit_config_op(struct op *op);
enum status transit_rotate_op(struct op *op);
enum status transit_trim_op(struct op *op);
enum status transit_delete_op(struct op *op);
enum status transit_soft_delete_op(struct op *op);
enum status transit_soft_restore_op(struct op *op);
enum status transit_versions_op(struct op *op); /* transit_versions.c */
enum status transit_version_op(struct op *op);
enum status transit_sign_op(struct op *op); /* transit_sign.c */
enum status transit_verify_op(struct op *op);
enum status transit_hmac_op(struct op *op); /* transit_mac.c */
enum status transit_hash_op(struct op *op); /* transit_hash.c */
enum status transit_random_op(struct op *op);
enum status transit_export_op(struct op *op);
enum status transit_wrapping_key_op(struct op *op);
enum status transit_import_op(struct op *op); /* also prepares itself */
enum status transit_import_version_op(struct op *op);
enum status transit_byok_op(struct op *op);
enum status transit_backup_op(struct op *op);
enum status transit_restore_op(struct op *op);
enum status transit_csr_op(struct op *op); /* transit_cert.c */
enum status transit_set_certificate_op(struct op *op);

#endif
