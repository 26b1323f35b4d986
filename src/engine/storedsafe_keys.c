/* vaults/ID/keys/...: making, showing, configuring, rotating and deleting a vault's keys, and their versions. */
#include "engine/storedsafe_key.h"
#include "engine/transit_impl.h"

/* ---- answers ---- */

/* Beside name, version and object. */
static void put_facts(struct json_writer *w, const struct key_head *h, const struct safe_object *o)
{
	const struct key_type_info *info = key_type_info(h->type);

	json_put_cstr(w, "type", info->name);
	json_put_bool(w, "allow_backup", h->plaintext_backup);
	json_put_bool(w, "allow_export", h->exportable);
	json_put_bool(w, "allow_delete", h->deletion_allowed);
	json_put_bool(w, "supports_signing", info->signs);
	json_put_string(w, "info", o->info);
	json_put_uint(w, "auto_rotate_period", h->auto_rotate_s);
	json_put_uint(w, "max_operations", key_bound(h));
	storedsafe_put_number(w, "min_decryption_version", h->min_decryption);
	storedsafe_put_number(w, "min_encryption_version", h->min_encryption);
}

static void put_entry(struct json_writer *w, struct span name, const struct key_head *h,
                      const struct safe_object *o)
{
	json_begin_object(w);
	json_put_string(w, "name", name);
	storedsafe_put_number(w, "key_version", h->latest);
	storedsafe_put_number(w, "objectid", o->id);
	put_facts(w, h, o);
	json_end_object(w);
}

/* "key_version" and "objectid" of the key as it is now; and when it is due. */
static enum status begin_answer(struct key_op *k, struct json_writer *w, struct safe_object *o)
{
	struct err err = {0};
	enum status st = key_find(&k->place, k->op.arg[0], &k->key, &err);

	if (st == ST_OK)
		st = safe_object_find(k, o, &err);
	if (st != ST_OK)
		return safe_fail(&k->op, st, &err);
	if (k->key->head.due_ns != 0)
		k->op.wake_ns = k->key->head.due_ns;
	builder_reset(&k->op.ans->data);
	json_writer_init(w, &k->op.ans->data);
	json_begin_object(w);
	storedsafe_put_number(w, "key_version", k->key->head.latest);
	storedsafe_put_number(w, "objectid", o->id);
	return ST_OK;
}

static enum status end_answer(struct key_op *k, struct json_writer *w)
{
	json_end_object(w);
	k->op.ans->shape = ANSWER_DATA;
	return k->op.ans->status = builder_status(&k->op.ans->data);
}

static enum status answer_version(struct key_op *k)
{
	struct safe_object o;
	struct json_writer w;
	enum status st = begin_answer(k, &w, &o);

	return st == ST_OK ? end_answer(k, &w) : st;
}

static enum status answer_key(struct key_op *k)
{
	struct safe_object o;
	struct json_writer w;
	enum status st = begin_answer(k, &w, &o);

	if (st != ST_OK)
		return st;
	storedsafe_put_number(&w, "version", k->key->head.latest);
	if (k->op.caller->user == 0) { /* as the Vault API answers: one thing, its members */
		json_put_string(&w, "name", k->name);
		put_facts(&w, &k->key->head, &o);
		return end_answer(k, &w);
	}
	json_name(&w, "named_keys");
	json_begin_array(&w);
	put_entry(&w, k->name, &k->key->head, &o);
	json_end_array(&w);
	return end_answer(k, &w);
}

/* ---- listing ---- */

struct listing {
	struct json_writer w;
	struct op *op;
	enum {
		PART_NAMES,
		PART_ENTRIES,
		PART_INFO
	} part; /* an operator's listing has names and info */
	size_t n, limit;
	bool more; /* than the limit */
	char last[KEY_NAME_MAX + 1];
};

/* Keys of one answer: what a loop lists in some 25 ms. */
#define LIST_MAX 5000u

static enum status list_key(void *arg, struct span name)
{
	struct listing *l = arg;
	struct op one = *l->op;
	struct key_op k;
	struct safe_object o;
	struct err err = {0};
	enum status st;

	l->more = l->n == l->limit;
	if (l->more)
		return ST_OK;
	if (span_cstr(name, l->last, sizeof l->last) != ST_OK)
		return answer_fail(one.ans, ST_CORRUPT,
		                   "what is no key lies among the vault's keys");
	name = span_str(l->last); /* the storage's own is good until the next look into it */
	l->n++;
	if (l->part == PART_NAMES) {
		json_string(&l->w, name);
		return ST_OK;
	}
	one.arg[1] = name;
	st = key_op_existing(&k, &one);
	if (st == ST_NOT_FOUND || st == ST_INVALID)
		return answer_fail(one.ans, ST_CORRUPT, "a key of the vault is missing");
	if (st != ST_OK)
		return st;
	st = safe_object_find(&k, &o, &err);
	if (st != ST_OK)
		return safe_fail(&one, st, &err);
	if (l->part == PART_INFO)
		json_name_span(&l->w, name);
	put_entry(&l->w, name, &k.key->head, &o);
	return ST_OK;
}

struct page {
	struct span after;
	size_t limit;
};

static enum status read_page(struct op *op, struct page *ret)
{
	struct err err = {0};
	int64_t limit = 0;
	enum status st = request_string(op->req, "after", &ret->after, &err);

	if (st == ST_OK || st == ST_NOT_FOUND)
		st = request_int(op->req, "limit", &limit, &err);
	if (st != ST_OK && st != ST_NOT_FOUND)
		return safe_fail(op, st, &err);
	ret->limit = limit > 0 && limit < LIST_MAX ? (size_t)limit : LIST_MAX;
	if (op->page_limit != 0 && ret->limit > op->page_limit)
		ret->limit = (size_t)op->page_limit;
	return ST_OK;
}

static enum status list_part(struct listing *l, const struct vault *v, const struct page *page,
                             struct err *err)
{
	struct vault_path p;
	struct span folder = vault_path(&p, v->id, "key/");

	l->n = 0;
	l->limit = page->limit;
	return view_list(&l->op->view, folder, page->after, page->limit + 1, list_key, l, err);
}

/* Members get a list of entries; operators names, and entries by them, as listings of the Vault API are. */
enum status storedsafe_key_list(struct op *op)
{
	struct listing l = {.op = op, .part = PART_ENTRIES};
	bool operators = op->caller->user == 0;
	struct page page = {.limit = 0};
	struct vault v;
	struct err err = {0};
	enum status st = vault_named(op, &v);

	if (st == ST_OK)
		st = read_page(op, &page);
	if (st != ST_OK)
		return st;
	json_writer_init(&l.w, &op->ans->data);
	json_begin_object(&l.w);
	json_name(&l.w, operators ? "keys" : "named_keys");
	json_begin_array(&l.w);
	if (operators)
		l.part = PART_NAMES;
	st = list_part(&l, &v, &page, &err);
	json_end_array(&l.w);
	if (st == ST_OK && operators) {
		json_name(&l.w, "key_info");
		json_begin_object(&l.w);
		l.part = PART_INFO;
		st = list_part(&l, &v, &page, &err);
		json_end_object(&l.w);
	}
	if (st != ST_OK)
		return op->ans->err.status != ST_OK ? st : safe_fail(op, st, &err);
	json_end_object(&l.w);
	if (l.more)
		answer_warn(op->ans, "there are more keys: after=%s gives those behind", l.last);
	op->ans->shape = ANSWER_DATA;
	if (operators && l.n == 0)
		return op->ans->status = ST_NOT_FOUND;
	return op->ans->status = builder_status(&op->ans->data);
}

/* ---- making ---- */

static enum status flag(const struct request *r, const char *name, bool *ret, struct err *err)
{
	enum status st;

	*ret = true;
	st = request_bool(r, name, ret, err);
	return st == ST_NOT_FOUND ? ST_OK : st;
}

static enum status read_info(const struct request *r, struct span *ret, struct err *err)
{
	enum status st = request_string(r, "info", ret, err);

	return st == ST_NOT_FOUND ? ST_OK : st;
}

static enum status create(struct key_op *k, struct err *err)
{
	const struct request *r = k->op.req;
	struct key_head head = {.id = {{0}}};
	struct span info = {0};
	enum status st = safe_type_param(k->from, &head.type, err);

	if (st == ST_OK)
		st = flag(r, "allow_export", &head.exportable, err);
	if (st == ST_OK)
		st = flag(r, "allow_backup", &head.plaintext_backup, err);
	if (st == ST_OK)
		st = flag(r, "allow_delete", &head.deletion_allowed, err);
	if (st == ST_OK)
		st = read_info(r, &info, err);
	if (st == ST_OK)
		st = key_limit_params(r, &head, err);
	if (st == ST_OK)
		st = safe_head_check(&head, err);
	return st == ST_OK ? safe_key_make(k, &head, info, err) : st;
}

enum status storedsafe_key_create(struct op *op)
{
	struct vault v;
	struct key_op k;
	struct err err = {0};
	enum status st = vault_named(op, &v);

	if (st == ST_OK)
		st = key_op_begin(&k, op);
	if (st != ST_OK)
		return st;
	st = create(&k, &err);
	st = st == ST_OK ? answer_version(&k) : safe_fail(op, st, &err);
	key_op_end(&k);
	return st;
}

/* ---- looking, rotating, deleting ---- */

enum status storedsafe_key_read(struct op *op)
{
	struct key_op k;
	enum status st = key_op_existing(&k, op);

	if (st != ST_OK)
		return st;
	st = answer_key(&k);
	op->nudge = k.op.nudge; /* looking plans nothing */
	return st;
}

enum status storedsafe_key_rotate(struct op *op)
{
	struct key_op k;
	struct err err = {0};
	enum status st = key_op_existing(&k, op);

	if (st != ST_OK)
		return st;
	st = key_rotate(&k.place, k.key, NULL, NULL, &err);
	st = st == ST_OK ? answer_version(&k) : safe_fail(op, st, &err);
	key_op_end(&k);
	return st;
}

enum status storedsafe_key_delete(struct op *op)
{
	struct key_op k;
	struct err err = {0};
	enum status st = key_op_existing(&k, op);

	if (st != ST_OK)
		return st;
	if (!k.key->head.deletion_allowed)
		return answer_fail(
		    op->ans, ST_DENIED,
		    "the key may not be deleted: it was made with allow_delete false");
	st = key_delete(&k.place, k.op.arg[0], &k.key->head, &err);
	if (st == ST_OK)
		st = safe_object_remove(&k, &err);
	if (st != ST_OK)
		return safe_fail(op, st, &err);
	op->wake_ns = INT64_MIN; /* what was too much for one transaction */
	op->ans->shape = ANSWER_EMPTY;
	return op->ans->status = ST_OK;
}

/* ---- configuring ---- */

/* What is said when a key is made, for good. */
static enum status check_fixed(struct op *op)
{
	static const char *const fixed[] = {
	    "type",       "allow_export",           "allow_backup",    "allow_delete",
	    "exportable", "allow_plaintext_backup", "deletion_allowed"};

	for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++)
		if (request_member(op->req, fixed[i]) != NULL)
			return answer_fail(op->ans, ST_INVALID,
			                   "%s is said when a key is made, and stays", fixed[i]);
	return ST_OK;
}

static enum status set_info(struct key_op *k, struct err *err)
{
	struct safe_object o;
	enum status st;

	if (request_member(k->op.req, "info") == NULL)
		return ST_OK;
	st = safe_object_find(k, &o, err);
	if (st == ST_OK)
		st = read_info(k->op.req, &o.info, err);
	return st == ST_OK ? safe_object_put(k, &o, err) : st;
}

/* Of the key as it is now. */
static enum status check_settings(struct key_op *k)
{
	struct err err = {0};
	enum status st = key_find(&k->place, k->op.arg[0], &k->key, &err);

	if (st == ST_OK)
		st = safe_head_check(&k->key->head, &err);
	return st == ST_OK ? st : safe_fail(&k->op, st, &err);
}

enum status storedsafe_key_config(struct op *op)
{
	struct key_op k;
	struct err err = {0};
	enum status st = key_op_existing(&k, op);

	if (st == ST_OK)
		st = check_fixed(op);
	if (st != ST_OK)
		return st;
	st = set_info(&k, &err);
	st = st == ST_OK ? transit_config_op(&k.op) : safe_fail(op, st, &err);
	if (st == ST_OK)
		st = check_settings(&k);
	if (st == ST_OK)
		st = answer_key(&k);
	key_op_end(&k);
	return st;
}

/* ---- versions ---- */

/* As transit answers it. */
static enum status by_transit(struct op *op, enum status (*handle)(struct op *))
{
	struct key_op k;
	enum status st = key_op_existing(&k, op);

	if (st != ST_OK)
		return st;
	st = handle(&k.op);
	key_op_end(&k);
	return st;
}

enum status storedsafe_key_versions(struct op *op)
{
	return by_transit(op, transit_versions_op);
}

enum status storedsafe_key_version(struct op *op)
{
	return by_transit(op, transit_version_op);
}
