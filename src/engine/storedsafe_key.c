/* Named keys of vaults: where they lie, and what calls about them have in common. */
#include "engine/storedsafe_key.h"

#include <string.h>

#include "engine/transit_impl.h"

#define LAST_OBJECT    "last_object"
#define RECORD_VERSION 1

#define NAME_TEXT "invalid key name: 1 to 128 letters, digits, dots, hyphens and underscores"

const struct transit_manner storedsafe_manner = {
    .prefix = "storedsafe:v",
    .batch = "batch",
    .results = "batch",
    .to = "to_version",
    .no_key = "there is no such key in this vault",
    .unreadable = "the ciphertext cannot be decrypted under this key",
    .version_is_text = true,
    .tells_version = true,
    .strict = true};

enum status safe_fail(struct op *op, enum status st, const struct err *err)
{
	if (st == ST_NEEDS_WRITER || st == ST_PENDING)
		return op->ans->status = st;
	return answer_fail(op->ans, st, "%s", err_text(err, st));
}

/* ---- the call, as transit takes it ---- */

static bool is_name(struct span name)
{
	static const char others[] = "._-";

	for (size_t i = 0; i < name.n; i++)
		if (memchr(random_base62, name.p[i], 62) == NULL &&
		    memchr(others, name.p[i], sizeof others - 1) == NULL)
			return false;
	return name.n > 0 && name.n <= KEY_NAME_MAX;
}

enum status key_op_begin(struct key_op *k, struct op *op)
{
	const struct storedsafe *s = op->self;
	const struct safe_thread *t = op->thread;
	struct builder stored;

	k->from = op;
	k->vault = op->arg[0];
	k->name = op->arg[1];
	k->key = NULL;
	/* An id has no dot, so no two keys have one stored name. */
	if (!vault_id_valid(k->vault))
		return answer_fail(op->ans, ST_NOT_FOUND, "no such vault");
	if (!is_name(k->name))
		return answer_fail(op->ans, ST_INVALID, NAME_TEXT);
	builder_init_fixed(&stored, k->stored, sizeof k->stored);
	builder_add(&stored, k->vault);
	builder_u8(&stored, '.');
	builder_add(&stored, k->name);
	MUST(builder_status(&stored) == ST_OK);
	k->op = *op;
	view_below(&k->op.view, &op->view, span_str(SAFE_KEYS));
	k->op.self = s->keys;
	k->op.thread = t->keys;
	k->op.arg[0] = builder_span(&stored);
	for (size_t i = 1; i + 1 < OP_ARGS_MAX; i++)
		k->op.arg[i] = op->arg[i + 1];
	k->place = key_place_of(&k->op);
	return ST_OK;
}

void key_op_end(struct key_op *k)
{
	k->from->wake_ns = k->op.wake_ns;
	k->from->nudge = k->op.nudge;
	k->from->slow = k->op.slow;
	k->from->keep = k->op.keep;
	k->from->changed = k->op.changed;
}

enum status key_op_find(struct key_op *k)
{
	struct err err = {0};
	enum status st = key_find(&k->place, k->op.arg[0], &k->key, &err);

	if (st == ST_NOT_FOUND)
		return answer_fail(k->op.ans, st, "%s", storedsafe_manner.no_key);
	return st == ST_OK ? st : safe_fail(&k->op, st, &err);
}

enum status key_op_existing(struct key_op *k, struct op *op)
{
	enum status st = key_op_begin(k, op);

	return st == ST_OK ? key_op_find(k) : st;
}

/* ---- objects ---- */

#define OBJECT_PATH_MAX (VAULT_ID_MAX + KEY_NAME_MAX + 16)

static struct span object_path(const struct key_op *k, char buf[static OBJECT_PATH_MAX])
{
	struct builder b;

	builder_init_fixed(&b, buf, OBJECT_PATH_MAX);
	builder_str(&b, "vault/");
	builder_add(&b, k->vault);
	builder_str(&b, "/key/");
	builder_add(&b, k->name);
	MUST(builder_status(&b) == ST_OK);
	return builder_span(&b);
}

enum status safe_object_find(const struct key_op *k, struct safe_object *ret, struct err *err)
{
	char path[OBJECT_PATH_MAX];
	struct safe_object o;
	struct span record;
	struct cursor c;
	uint8_t version;
	enum status st = view_get(&k->from->view, object_path(k, path), &record, err);

	if (st != ST_OK && st != ST_NOT_FOUND)
		return st;
	c = cursor_of(record);
	if (st == ST_NOT_FOUND || cursor_u8(&c, &version) != ST_OK || version != RECORD_VERSION ||
	    cursor_u64(&c, &o.id) != ST_OK || cursor_lv(&c, &o.info) != ST_OK ||
	    cursor_end(&c) != ST_OK)
		return err_set(err, ST_CORRUPT, "the record of a vault's key is damaged");
	*ret = o;
	return ST_OK;
}

enum status safe_object_put(const struct key_op *k, const struct safe_object *o, struct err *err)
{
	char path[OBJECT_PATH_MAX];
	struct builder b = {0};
	size_t n;
	enum status st;

	if (storedsafe_characters(o->info, &n) != ST_OK || n > SAFE_INFO_MAX)
		return err_set(err, ST_INVALID,
		               "info must have at most %d characters, none of control",
		               SAFE_INFO_MAX);
	builder_u8(&b, RECORD_VERSION);
	builder_u64(&b, o->id);
	builder_lv(&b, o->info);
	st = builder_status(&b);
	if (st == ST_OK)
		st = view_put(&k->from->view, object_path(k, path), builder_span(&b), err);
	builder_free(&b);
	return st;
}

enum status safe_object_new(const struct key_op *k, struct span info, struct safe_object *ret,
                            struct err *err)
{
	struct safe_object o = {.info = info};
	enum status st = storedsafe_next_number(k->from, LAST_OBJECT, &o.id, err);

	if (st == ST_OK)
		st = safe_object_put(k, &o, err);
	if (st == ST_OK)
		*ret = o;
	return st;
}

enum status safe_object_remove(const struct key_op *k, struct err *err)
{
	char path[OBJECT_PATH_MAX];

	return view_delete(&k->from->view, object_path(k, path), err);
}

/* ---- making ---- */

enum status safe_type_param(const struct op *op, enum key_type *ret, struct err *err)
{
	enum key_type type = KEY_AES128_GCM;
	struct span text = {0};
	enum status st = request_string(op->req, "type", &text, err);

	if (st != ST_OK && st != ST_NOT_FOUND)
		return st;
	if (text.n > 0 && key_type_find(text, OFFER_STOREDSAFE, &type) != ST_OK)
		return err_set(err, ST_INVALID,
		               "unknown key type %.*s: the types are aes128-gcm96, aes256-gcm96, "
		               "aes128-ofb and aes256-ofb",
		               (int)(text.n < 64 ? text.n : 64), (const char *)text.p);
	*ret = type;
	return ST_OK;
}

enum status safe_head_check(const struct key_head *h, struct err *err)
{
	if (h->max_versions == 0 || h->deletion_allowed)
		return ST_OK;
	return err_set(err, ST_INVALID,
	               "max_versions destroys old versions, and the key may not be deleted "
	               "(allow_delete false)");
}

enum status safe_key_make(struct key_op *k, struct key_head *head, struct span info,
                          struct err *err)
{
	struct safe_object object;
	struct key_material m;
	struct version_data v;
	enum status st = key_material_new(head->type, 0, k->op.random, &m, err);

	if (st != ST_OK)
		return st;
	key_material_data(&m, &v);
	st = key_make(&k->place, k->op.arg[0], head, &v, err);
	key_material_free(&m);
	k->op.changed = true;
	if (st == ST_EXISTS)
		return err_set(err, st, "there is a key of this name in the vault already");
	if (st == ST_OK)
		st = safe_object_new(k, info, &object, err);
	return st == ST_OK ? key_find(&k->place, k->op.arg[0], &k->key, err) : st;
}
