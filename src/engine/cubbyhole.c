/* kv version 1 below a folder of the calling token's own, which goes with the token. */
#include <string.h>

#include "engine/kv.h"

static void own(const struct op *op, struct view *ret)
{
	char folder[80];
	struct builder b;

	MUST(op->caller != NULL);
	builder_init_fixed(&b, folder, sizeof folder);
	builder_str(&b, op->caller->hash);
	builder_u8(&b, '/');
	view_below(ret, &op->view, builder_span(&b));
}

static enum status read_op(struct op *op)
{
	struct view v;

	own(op, &v);
	return kv_read(op, &v, KV_NO_LEASE);
}

static enum status write_op(struct op *op)
{
	struct view v;

	own(op, &v);
	return kv_write(op, &v);
}

static enum status delete_op(struct op *op)
{
	struct view v;

	own(op, &v);
	return kv_delete(op, &v);
}

static enum status list_op(struct op *op)
{
	struct view v;

	own(op, &v);
	return kv_list(op, &v);
}

static enum status exists_op(struct op *op, struct err *err)
{
	struct view v;

	own(op, &v);
	return op->arg[0].n > 0 ? view_exists(&v, op->arg[0], err) : ST_NOT_FOUND;
}

static const struct operation operations[] = {
    {"cubbyhole-read", VERB_READ, "*", OP_READ, 0, read_op, NULL},
    {"cubbyhole-write", VERB_WRITE, "*", OP_WRITE, 0, write_op, exists_op},
    {"cubbyhole-delete", VERB_DELETE, "*", OP_WRITE, 0, delete_op, NULL},
    {"cubbyhole-list", VERB_LIST, "*", OP_READ, 0, list_op, NULL},
};

const struct engine engine_cubbyhole = {"cubbyhole", operations,
                                        sizeof operations / sizeof *operations};
