/* vaults/ID/encrypt/NAME and the like: transit's work, said as this API says it. */
#include "engine/storedsafe_key.h"
#include "engine/transit_impl.h"

enum status storedsafe_key_exists(struct op *op, struct err *err)
{
	struct key_op k;

	/* A name that no key can have is refused by the call itself. */
	return key_op_begin(&k, op) == ST_OK ? key_find(&k.place, k.op.arg[0], &k.key, err)
	                                     : ST_NOT_FOUND;
}

/* The object's number, behind what transit answered. */
static enum status add_object(struct key_op *k)
{
	struct builder *out = &k->op.ans->data;
	struct safe_object o;
	struct err err = {0};
	enum status st = safe_object_find(k, &o, &err);

	if (st != ST_OK)
		return safe_fail(&k->op, st, &err);
	if (builder_status(out) != ST_OK)
		return k->op.ans->status = builder_status(out);
	MUST(out->n > 0 && out->p[out->n - 1] == '}');
	builder_cut(out, out->n - 1);
	builder_str(out, ",\"objectid\":\"");
	builder_dec(out, o.id);
	builder_str(out, "\"}");
	return k->op.ans->status = builder_status(out);
}

enum shown { SHOW_RESULT, SHOW_OBJECT };

static enum status by_transit(struct key_op *k, enum status (*handle)(struct op *),
                              enum shown shown)
{
	enum status st = handle(&k->op);

	if (st == ST_OK && shown == SHOW_OBJECT)
		st = add_object(k);
	key_op_end(k);
	return st;
}

/* ---- encrypt ---- */

/* A key that is missing is made, when the call can be meant for its first version. */
static enum status make_missing(struct key_op *k)
{
	struct key_head head = {
	    .exportable = true, .plaintext_backup = true, .deletion_allowed = true};
	struct vault v;
	struct err err = {0};
	int64_t version = 1;
	enum status st = vault_named(k->from, &v);

	if (st != ST_OK)
		return st;
	st = request_int(k->op.req, "key_version", &version, &err);
	if (st == ST_OK && version != 1)
		return answer_fail(k->op.ans, ST_INVALID,
		                   "there is no such key in this vault, and one that is made now "
		                   "has no version %lld",
		                   (long long)version);
	if (st == ST_OK || st == ST_NOT_FOUND)
		st = safe_type_param(k->from, &head.type, &err);
	if (st == ST_OK)
		st = view_can_write(&k->op.view) ? safe_key_make(k, &head, span_of(NULL, 0), &err)
		                                 : ST_NEEDS_WRITER;
	return st == ST_OK ? st : safe_fail(&k->op, st, &err);
}

enum status storedsafe_encrypt(struct op *op)
{
	struct key_op k;
	struct err err = {0};
	enum status st = key_op_begin(&k, op);

	if (st != ST_OK)
		return st;
	st = key_find(&k.place, k.op.arg[0], &k.key, &err);
	if (st == ST_NOT_FOUND)
		st = make_missing(&k);
	else if (st != ST_OK)
		st = safe_fail(op, st, &err);
	return st == ST_OK ? by_transit(&k, transit_encrypt_op, SHOW_RESULT) : st;
}

/* ---- decrypt, rewrap, data keys ---- */

static enum status of_key(struct op *op, enum status (*handle)(struct op *), enum shown shown)
{
	struct key_op k;
	enum status st = key_op_existing(&k, op);

	return st == ST_OK ? by_transit(&k, handle, shown) : st;
}

enum status storedsafe_decrypt(struct op *op)
{
	return of_key(op, transit_decrypt_op, SHOW_RESULT);
}

enum status storedsafe_rewrap(struct op *op)
{
	return of_key(op, transit_rewrap_op, SHOW_OBJECT);
}

/* transit's path has the kind before the name. */
static enum status datakey(struct op *op, const char *kind)
{
	struct key_op k;
	enum status st = key_op_existing(&k, op);

	if (st != ST_OK)
		return st;
	k.op.arg[1] = k.op.arg[0];
	k.op.arg[0] = span_str(kind);
	return by_transit(&k, transit_datakey_op, SHOW_OBJECT);
}

enum status storedsafe_datakey_plaintext(struct op *op)
{
	return datakey(op, "plaintext");
}

enum status storedsafe_datakey_wrapped(struct op *op)
{
	return datakey(op, "wrapped");
}
