/* The table, and what its files share. */
#include "engine/storedsafe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "engine/mime.h"
#include "engine/storedsafe_impl.h"

void storedsafe_put_number(struct json_writer *w, const char *name, uint64_t n)
{
	char text[24];
	struct builder b;

	builder_init_fixed(&b, text, sizeof text);
	builder_dec(&b, n);
	json_put_string(w, name, builder_span(&b));
}

enum status storedsafe_next_number(const struct op *op, const char *path, uint64_t *ret,
                                   struct err *err)
{
	struct span record;
	uint64_t last = 0;
	uint8_t be[8];
	struct builder b;
	enum status st = view_get(&op->view, span_str(path), &record, err);

	if (st == ST_OK) {
		struct cursor c = cursor_of(record);

		if (cursor_u64(&c, &last) != ST_OK || cursor_end(&c) != ST_OK || last == UINT64_MAX)
			st = err_set(err, ST_CORRUPT, "the last number of '%s' is damaged", path);
	}
	if (st != ST_OK && st != ST_NOT_FOUND)
		return st;
	builder_init_fixed(&b, be, sizeof be);
	builder_u64(&b, last + 1);
	st = view_put(&op->view, span_str(path), builder_span(&b), err);
	if (st == ST_OK)
		*ret = last + 1;
	return st;
}

enum status storedsafe_characters(struct span text, size_t *ret)
{
	size_t characters = 0;

	for (; text.n > 0; characters++) {
		size_t n = utf8_length(text);

		if (n == 0 || text.p[0] < 0x20 || text.p[0] == 0x7f)
			return ST_INVALID;
		text = span_from(text, n);
	}
	*ret = characters;
	return ST_OK;
}

struct span vault_path(struct vault_path *p, const char *id, const char *rest)
{
	int n = snprintf(p->text, sizeof p->text, "vault/%s/%s", id, rest);

	MUST(n > 0 && (size_t)n < sizeof p->text);
	return span_of(p->text, (size_t)n);
}

/* ---- the table ---- */

/* What sessions need; the level is that in the vault of the path. */
#define ANY_USER                                     \
	{                                            \
		NEED_USER, 0, LEVEL_NONE, LEVEL_NONE \
	}
#define USER_WITH(bits)                                 \
	{                                               \
		NEED_USER, bits, LEVEL_NONE, LEVEL_NONE \
	}
#define MEMBER(level)                           \
	{                                       \
		NEED_USER, 0, level, LEVEL_NONE \
	}
#define MEMBER_MAKES(level, create_level)         \
	{                                         \
		NEED_USER, 0, level, create_level \
	}
#define MEMBER_WITH(bits, level)                   \
	{                                          \
		NEED_USER, bits, level, LEVEL_NONE \
	}

static const struct operation operations[] = {
    /* What is asked for most stands first: the table is searched in its order. */
    {"encrypt", VERB_WRITE, "vaults/:vault/encrypt/:name", OP_READ, 0, storedsafe_encrypt,
     storedsafe_key_exists, .need = MEMBER_MAKES(LEVEL_READ, LEVEL_WRITE)},
    {"decrypt", VERB_WRITE, "vaults/:vault/decrypt/:name", OP_READ, 0, storedsafe_decrypt, NULL,
     .need = MEMBER(LEVEL_READ)},
    {"rewrap", VERB_WRITE, "vaults/:vault/rewrap/:name", OP_READ, 0, storedsafe_rewrap, NULL,
     .need = MEMBER(LEVEL_READ)},
    {"datakey-plaintext", VERB_WRITE, "vaults/:vault/datakey/plaintext/:name", OP_READ, 0,
     storedsafe_datakey_plaintext, NULL, .need = MEMBER(LEVEL_WRITE)},
    {"datakey-wrapped", VERB_WRITE, "vaults/:vault/datakey/wrapped/:name", OP_READ, 0,
     storedsafe_datakey_wrapped, NULL, .need = MEMBER(LEVEL_READ)},
    {"vault-list", VERB_LIST, "vaults", OP_READ, 0, storedsafe_vault_list, NULL, .need = ANY_USER},
    {"vault-create", VERB_WRITE, "vaults", OP_WRITE, 0, storedsafe_vault_create, NULL,
     .need = USER_WITH(USER_WRITE)},
    {"vault-read", VERB_READ, "vaults/:vault", OP_READ, 0, storedsafe_vault_read, NULL,
     .need = MEMBER(LEVEL_READ)},
    {"vault-edit", VERB_WRITE, "vaults/:vault", OP_WRITE, 0, storedsafe_vault_edit, NULL,
     .need = MEMBER(LEVEL_ADMIN)},
    {"vault-delete", VERB_DELETE, "vaults/:vault", OP_WRITE, 0, storedsafe_vault_delete, NULL,
     .need = MEMBER_WITH(USER_WRITE, LEVEL_ADMIN)},
    {"member-list", VERB_LIST, "vaults/:vault/members", OP_READ, 0, storedsafe_member_list, NULL,
     .need = MEMBER(LEVEL_READ)},
    {"member-add", VERB_WRITE, "vaults/:vault/members/:user", OP_WRITE, 0, storedsafe_member_add,
     NULL, .need = MEMBER(LEVEL_ADMIN)},
    {"member-edit", VERB_PATCH, "vaults/:vault/members/:user", OP_WRITE, 0, storedsafe_member_edit,
     NULL, .need = MEMBER(LEVEL_ADMIN)},
    {"member-remove", VERB_DELETE, "vaults/:vault/members/:user", OP_WRITE, 0,
     storedsafe_member_remove, NULL, .need = MEMBER(LEVEL_ADMIN)},
    {"key-list", VERB_LIST, "vaults/:vault/keys", OP_READ, 0, storedsafe_key_list, NULL,
     .need = MEMBER(LEVEL_READ)},
    {"key-create", VERB_WRITE, "vaults/:vault/keys/:name", OP_WRITE, 0, storedsafe_key_create, NULL,
     .need = MEMBER(LEVEL_WRITE)},
    {"key-read", VERB_READ, "vaults/:vault/keys/:name", OP_READ, 0, storedsafe_key_read, NULL,
     .need = MEMBER(LEVEL_READ)},
    {"key-delete", VERB_DELETE, "vaults/:vault/keys/:name", OP_WRITE, 0, storedsafe_key_delete,
     NULL, .need = MEMBER(LEVEL_WRITE)},
    {"key-rotate", VERB_WRITE, "vaults/:vault/keys/:name/rotate", OP_WRITE, 0,
     storedsafe_key_rotate, NULL, .need = MEMBER(LEVEL_WRITE)},
    {"key-config", VERB_WRITE, "vaults/:vault/keys/:name/config", OP_WRITE, 0,
     storedsafe_key_config, NULL, .need = MEMBER(LEVEL_WRITE)},
    {"key-versions", VERB_READ, "vaults/:vault/keys/:name/versions", OP_READ, 0,
     storedsafe_key_versions, NULL, .need = MEMBER(LEVEL_READ)},
    {"key-versions", VERB_LIST, "vaults/:vault/keys/:name/versions", OP_READ, 0,
     storedsafe_key_versions, NULL, .need = MEMBER(LEVEL_READ)},
    {"key-version", VERB_WRITE, "vaults/:vault/keys/:name/versions/:version", OP_WRITE, 0,
     storedsafe_key_version, NULL, .need = MEMBER(LEVEL_ADMIN)},
    {"export", VERB_READ, "vaults/:vault/export/:name", OP_READ, 0, storedsafe_export, NULL,
     .need = MEMBER(LEVEL_ADMIN)},
    {"export", VERB_READ, "vaults/:vault/export/:name/:version", OP_READ, 0, storedsafe_export,
     NULL, .need = MEMBER(LEVEL_ADMIN)},
    {"backup", VERB_READ, "vaults/:vault/backup/:name", OP_WRITE, 0, storedsafe_backup, NULL,
     storedsafe_backup, .need = MEMBER(LEVEL_ADMIN)},
    {"restore", VERB_WRITE, "vaults/:vault/restore/:name", OP_WRITE, 0, storedsafe_restore, NULL,
     storedsafe_restore, .need = MEMBER(LEVEL_WRITE)},
    {"statusvalues", VERB_READ, "utils/statusvalues", OP_READ, 0, storedsafe_statusvalues, NULL,
     .need = ANY_USER},
    {"policies", VERB_READ, "utils/policies", OP_READ, 0, storedsafe_policies, NULL,
     .need = ANY_USER},
    {"checkpolicy", VERB_WRITE, "utils/checkpolicy", OP_READ, 0, storedsafe_checkpolicy, NULL,
     .need = ANY_USER},
    {"mime-type", VERB_WRITE, "utils/mime_type", OP_READ, 0, storedsafe_mime_type, NULL,
     .need = ANY_USER},
    {"version", VERB_READ, "utils/version", OP_READ, 0, storedsafe_version, NULL, .need = ANY_USER},
    {"pwgen", VERB_READ, "utils/pwgen", OP_READ, 0, storedsafe_pwgen, NULL, .need = ANY_USER},
};

/* ---- life: that of the named keys ---- */

static enum status thread_new(void *self, void **ret)
{
	const struct storedsafe *s = self;
	struct safe_thread *t = calloc(1, sizeof *t);
	enum status st;

	if (t == NULL)
		return ST_NOMEM;
	st = engine_transit.life->thread_new(s->keys, &t->keys);
	if (st != ST_OK) {
		free(t);
		return st;
	}
	*ret = t;
	return ST_OK;
}

static void thread_drop(void *thread)
{
	struct safe_thread *t = thread;

	engine_transit.life->thread_drop(t->keys);
	memset(t->levels, 0, sizeof t->levels);
	mime_free(&t->mime);
}

static void thread_free(void **thread)
{
	struct safe_thread *t = *thread;

	if (t == NULL)
		return;
	engine_transit.life->thread_free(&t->keys);
	mime_free(&t->mime);
	free(t);
	*thread = NULL;
}

static enum status tick(void *self, void *thread, const struct view *mount,
                        const struct mount_facts *facts, int64_t now_ns, int64_t *ret_next_ns,
                        struct err *err)
{
	const struct storedsafe *s = self;
	const struct safe_thread *t = thread;
	struct view keys;

	view_below(&keys, mount, span_str(SAFE_KEYS));
	return engine_transit.life->tick(s->keys, t->keys, &keys, facts, now_ns, ret_next_ns, err);
}

static enum status closing(void *self, void *thread, const struct view *mount, struct err *err)
{
	const struct storedsafe *s = self;
	const struct safe_thread *t = thread;
	struct view keys;

	view_below(&keys, mount, span_str(SAFE_KEYS));
	return engine_transit.life->closing(s->keys, t->keys, &keys, err);
}

static void closed(void *self)
{
	const struct storedsafe *s = self;

	engine_transit.life->closed(s->keys);
}

static const struct engine_life life = {.thread_new = thread_new,
                                        .thread_drop = thread_drop,
                                        .thread_free = thread_free,
                                        .tick = tick,
                                        .closing = closing,
                                        .closed = closed};

const struct engine engine_storedsafe = {.type = "storedsafe",
                                         .operations = operations,
                                         .n_operations = sizeof operations / sizeof *operations,
                                         .life = &life,
                                         .level = storedsafe_level};
