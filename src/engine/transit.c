#include "engine/transit.h"

#include <stdlib.h>

#include "engine/transit_impl.h"

/* ---- settings of a mount ---- */

#define SETTINGS_PATH    "config"
#define SETTINGS_VERSION 1

enum status transit_settings_read(const struct view *v, struct transit_settings *ret,
                                  struct err *err)
{
	struct transit_settings s = {.cache_size = 0};
	struct span record;
	struct cursor c;
	uint8_t version, disable;
	enum status st = view_get(v, span_str(SETTINGS_PATH), &record, err);

	if (st == ST_NOT_FOUND) {
		*ret = s;
		return ST_OK;
	}
	if (st != ST_OK)
		return st;
	c = cursor_of(record);
	if (cursor_u8(&c, &version) != ST_OK || version != SETTINGS_VERSION ||
	    cursor_u8(&c, &disable) != ST_OK || disable > 1 ||
	    cursor_u32(&c, &s.cache_size) != ST_OK || cursor_end(&c) != ST_OK)
		return err_set(err, ST_CORRUPT, "the settings of the mount are damaged");
	s.disable_upsert = disable == 1;
	*ret = s;
	return ST_OK;
}

static enum status settings_write(const struct view *v, const struct transit_settings *s,
                                  struct err *err)
{
	uint8_t record[8];
	struct builder b;

	builder_init_fixed(&b, record, sizeof record);
	builder_u8(&b, SETTINGS_VERSION);
	builder_u8(&b, s->disable_upsert ? 1 : 0);
	builder_u32(&b, s->cache_size);
	return view_put(v, span_str(SETTINGS_PATH), builder_span(&b), err);
}

static enum status fail(struct op *op, enum status st, const struct err *err)
{
	return st == ST_NEEDS_WRITER ? (op->ans->status = st)
	                             : answer_fail(op->ans, st, "%s", err_text(err, st));
}

static enum status show_keys_config(struct op *op)
{
	struct transit_settings s;
	struct json_writer w;
	struct err err = {0};
	enum status st = transit_settings_read(&op->view, &s, &err);

	if (st != ST_OK)
		return fail(op, st, &err);
	json_writer_init(&w, &op->ans->data);
	json_begin_object(&w);
	json_put_bool(&w, "disable_upsert", s.disable_upsert);
	json_end_object(&w);
	op->ans->shape = ANSWER_DATA;
	return op->ans->status = ST_OK;
}

static enum status set_keys_config(struct op *op)
{
	struct transit_settings s;
	struct err err = {0};
	enum status st = transit_settings_read(&op->view, &s, &err);

	if (st == ST_OK)
		st = request_bool(op->req, "disable_upsert", &s.disable_upsert, &err);
	if (st == ST_OK || st == ST_NOT_FOUND)
		st = settings_write(&op->view, &s, &err);
	return st == ST_OK ? show_keys_config(op) : fail(op, st, &err);
}

static enum status show_cache_config(struct op *op)
{
	struct transit_settings s;
	struct json_writer w;
	struct err err = {0};
	enum status st = transit_settings_read(&op->view, &s, &err);

	if (st != ST_OK)
		return fail(op, st, &err);
	json_writer_init(&w, &op->ans->data);
	json_begin_object(&w);
	json_put_uint(&w, "size", s.cache_size);
	json_end_object(&w);
	op->ans->shape = ANSWER_DATA;
	return op->ans->status = ST_OK;
}

/* Kept and told, as clients set it; each thread keeps as many keys as its own bounds say. */
static enum status set_cache_config(struct op *op)
{
	struct transit_settings s;
	int64_t size = 0;
	struct err err = {0};
	enum status st = transit_settings_read(&op->view, &s, &err);

	if (st == ST_OK)
		st = request_int(op->req, "size", &size, &err);
	if (st != ST_OK && st != ST_NOT_FOUND)
		return fail(op, st, &err);
	if (size != 0 && (size < 10 || size > INT32_MAX))
		return answer_fail(op->ans, ST_INVALID,
		                   "size must be 0 or a value greater or equal to 10");
	s.cache_size = (uint32_t)size;
	st = settings_write(&op->view, &s, &err);
	return st == ST_OK ? show_cache_config(op) : fail(op, st, &err);
}

/* ---- the table ---- */

static const struct operation operations[] = {
    {"encrypt", VERB_WRITE, "encrypt/:name", OP_READ, 0, transit_encrypt_op, transit_key_exists},
    {"decrypt", VERB_WRITE, "decrypt/:name", OP_READ, 0, transit_decrypt_op, NULL},
    {"rewrap", VERB_WRITE, "rewrap/:name", OP_READ, 0, transit_rewrap_op, NULL},
    {"datakey", VERB_WRITE, "datakey/:kind/:name", OP_READ, 0, transit_datakey_op, NULL},
    {"encrypt-stream", VERB_WRITE, "encrypt-stream/:name", OP_STREAM, 0, transit_stream_op, NULL,
     NULL, &transit_encrypt_stream},
    {"decrypt-stream", VERB_WRITE, "decrypt-stream/:name", OP_STREAM, 0, transit_stream_op, NULL,
     NULL, &transit_decrypt_stream},
    {"rewrap-stream", VERB_WRITE, "rewrap-stream/:name", OP_STREAM, 0, transit_stream_op, NULL,
     NULL, &transit_rewrap_stream},
    {"sign", VERB_WRITE, "sign/:name", OP_READ, 0, transit_sign_op, NULL},
    {"sign", VERB_WRITE, "sign/:name/:urlalgorithm", OP_READ, 0, transit_sign_op, NULL},
    {"verify", VERB_WRITE, "verify/:name", OP_READ, 0, transit_verify_op, NULL},
    {"verify", VERB_WRITE, "verify/:name/:urlalgorithm", OP_READ, 0, transit_verify_op, NULL},
    {"hmac", VERB_WRITE, "hmac/:name", OP_READ, 0, transit_hmac_op, NULL},
    {"hmac", VERB_WRITE, "hmac/:name/:urlalgorithm", OP_READ, 0, transit_hmac_op, NULL},
    {"hash", VERB_WRITE, "hash", OP_READ, 0, transit_hash_op, NULL},
    {"hash", VERB_WRITE, "hash/:urlalgorithm", OP_READ, 0, transit_hash_op, NULL},
    {"random", VERB_WRITE, "random", OP_READ, 0, transit_random_op, NULL},
    {"random", VERB_WRITE, "random/:source", OP_READ, 0, transit_random_op, NULL},
    {"random", VERB_WRITE, "random/:source/:urlbytes", OP_READ, 0, transit_random_op, NULL},
    {"key-list", VERB_LIST, "keys", OP_READ, 0, transit_list_op, NULL},
    {"key-create", VERB_WRITE, "keys/:name", OP_WRITE, 0, transit_create_op, NULL},
    {"key-read", VERB_READ, "keys/:name", OP_READ, 0, transit_read_op, NULL},
    {"key-delete", VERB_DELETE, "keys/:name", OP_WRITE, 0, transit_delete_op, NULL},
    {"key-config", VERB_WRITE, "keys/:name/config", OP_WRITE, 0, transit_config_op, NULL},
    {"key-rotate", VERB_WRITE, "keys/:name/rotate", OP_WRITE, 0, transit_rotate_op, NULL},
    {"key-trim", VERB_WRITE, "keys/:name/trim", OP_WRITE, 0, transit_trim_op, NULL},
    {"key-soft-delete", VERB_DELETE, "keys/:name/soft-delete", OP_WRITE, 0, transit_soft_delete_op,
     NULL},
    {"key-soft-delete-restore", VERB_WRITE, "keys/:name/soft-delete-restore", OP_WRITE, 0,
     transit_soft_restore_op, NULL},
    {"key-versions", VERB_READ, "keys/:name/versions", OP_READ, 0, transit_versions_op, NULL},
    {"key-versions", VERB_LIST, "keys/:name/versions", OP_READ, 0, transit_versions_op, NULL},
    {"key-version", VERB_WRITE, "keys/:name/versions/:version", OP_WRITE, 0, transit_version_op,
     NULL},
    {"export", VERB_READ, "export/:type/:name", OP_READ, 0, transit_export_op, NULL},
    {"export", VERB_READ, "export/:type/:name/:version", OP_READ, 0, transit_export_op, NULL},
    {"byok-export", VERB_READ, "byok-export/:destination/:source", OP_READ, 0, transit_byok_op,
     NULL},
    {"byok-export", VERB_READ, "byok-export/:destination/:source/:version", OP_READ, 0,
     transit_byok_op, NULL},
    {"wrapping-key", VERB_READ, "wrapping_key", OP_READ, 0, transit_wrapping_key_op, NULL},
    {"key-import", VERB_WRITE, "keys/:name/import", OP_WRITE, 0, transit_import_op, NULL,
     transit_import_op},
    {"key-import-version", VERB_WRITE, "keys/:name/import_version", OP_WRITE, 0,
     transit_import_version_op, NULL, transit_import_version_op},
    {"backup", VERB_READ, "backup/:name", OP_WRITE, 0, transit_backup_op, NULL, transit_backup_op},
    {"restore", VERB_WRITE, "restore", OP_WRITE, 0, transit_restore_op, NULL, transit_restore_op},
    {"restore", VERB_WRITE, "restore/:name", OP_WRITE, 0, transit_restore_op, NULL,
     transit_restore_op},
    {"key-csr", VERB_WRITE, "keys/:name/csr", OP_READ, 0, transit_csr_op, NULL},
    {"key-set-certificate", VERB_WRITE, "keys/:name/set-certificate", OP_WRITE, 0,
     transit_set_certificate_op, NULL},
    {"keys-config-read", VERB_READ, "config/keys", OP_READ, 0, show_keys_config, NULL},
    {"keys-config", VERB_WRITE, "config/keys", OP_WRITE, 0, set_keys_config, NULL},
    {"cache-config-read", VERB_READ, "cache-config", OP_READ, 0, show_cache_config, NULL},
    {"cache-config", VERB_WRITE, "cache-config", OP_WRITE, 0, set_cache_config, NULL},
};

const struct transit_manner transit_manner_vault = {.prefix = "vault:v",
                                                    .batch = "batch_input",
                                                    .results = "batch_results",
                                                    .to = "key_version",
                                                    .no_key = "encryption key not found",
                                                    .makes_keys = true,
                                                    .fails_whole = true,
                                                    .fills_items = true};

const struct engine engine_transit = {.type = "transit",
                                      .operations = operations,
                                      .n_operations = sizeof operations / sizeof *operations,
                                      .life = &transit_life};

/* ---- the object ---- */

enum status transit_new(const struct transit_config *config, struct transit **ret)
{
	struct transit *t = calloc(1, sizeof *t);

	if (t == NULL)
		return ST_NOMEM;
	t->config = *config;
	if (uses_table_new(&t->uses) != ST_OK || stock_new(&t->config, &t->stock) != ST_OK) {
		transit_free(&t);
		return ST_NOMEM;
	}
	*ret = t;
	return ST_OK;
}

void transit_free(struct transit **t)
{
	if (*t == NULL)
		return;
	uses_table_free(&(*t)->uses);
	stock_free(&(*t)->stock);
	free(*t);
	*t = NULL;
}
