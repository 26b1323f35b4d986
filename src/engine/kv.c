/*
 * kv version 1.  A record: 1 version 1 | 8 lease in seconds (0: the mount's) | the JSON object as the caller gave it, written anew.
 * So reading needs no parsing: what was stored goes into the answer as it is.
 */
#include "engine/kv.h"

#include <string.h>

#include "base/clock.h"

#define RECORD_VERSION 1

/* A record's path: no trailing slash; that is a folder. */
static bool is_record(struct span path)
{
	return path.n > 0 && path.p[path.n - 1] != '/';
}

enum status kv_read(struct op *op, const struct view *view, enum kv_lease lease)
{
	struct cursor c;
	struct span record;
	uint64_t lease_s;
	uint8_t version;
	enum status st;

	if (!is_record(op->arg[0]))
		return op->ans->status = ST_NOT_FOUND;
	st = view_get(view, op->arg[0], &record, &op->ans->err);
	if (st != ST_OK)
		return op->ans->status = st;
	c = cursor_of(record);
	if (cursor_u8(&c, &version) != ST_OK || version != RECORD_VERSION ||
	    cursor_u64(&c, &lease_s) != ST_OK)
		return answer_fail(op->ans, ST_CORRUPT, "the stored secret has an unknown form");
	builder_add(&op->ans->data, span_of(c.p, c.left));
	op->ans->shape = ANSWER_DATA;
	if (lease == KV_LEASE)
		op->ans->lease_duration_s =
		    lease_s != 0 ? lease_s : (uint64_t)op->mount->default_lease_ttl_s;
	return op->ans->status = builder_status(&op->ans->data);
}

/* "ttl" or "lease" among the data is what a reader is told as lease; anything unreadable is just data. */
static uint64_t lease_of(const struct request *req)
{
	struct err ignored = {0};
	int64_t ns = 0;

	if (request_duration(req, "ttl", &ns, &ignored) != ST_OK &&
	    request_duration(req, "lease", &ns, &ignored) != ST_OK)
		return 0;
	return ns > 0 ? (uint64_t)(ns / NS_PER_S) : 0;
}

enum status kv_write(struct op *op, const struct view *view)
{
	struct builder record = {0};
	struct json_writer w;
	enum status st;

	if (!is_record(op->arg[0]))
		return answer_fail(op->ans, ST_INVALID, "a secret's path must not end in a slash");
	if (op->req->data == NULL || op->req->data->count == 0)
		return answer_fail(op->ans, ST_INVALID, "missing data fields");
	builder_u8(&record, RECORD_VERSION);
	builder_u64(&record, lease_of(op->req));
	json_writer_init(&w, &record);
	json_copy(&w, op->req->data);
	st = builder_status(&record);
	if (st == ST_OK)
		st = view_put(view, op->arg[0], builder_span(&record), &op->ans->err);
	builder_free(&record);
	op->ans->shape = ANSWER_EMPTY;
	return op->ans->status = st;
}

enum status kv_delete(struct op *op, const struct view *view)
{
	op->ans->shape = ANSWER_EMPTY;
	if (!is_record(op->arg[0]))
		return op->ans->status = ST_OK;
	return op->ans->status = view_delete(view, op->arg[0], &op->ans->err);
}

struct listing {
	struct json_writer w;
	size_t n;
};

static enum status list_name(void *arg, struct span name)
{
	struct listing *l = arg;

	json_string(&l->w, name);
	l->n++;
	return ST_OK;
}

enum status kv_list(struct op *op, const struct view *view)
{
	struct listing l = {.n = 0};
	struct span after = {0}, folder = op->arg[0];
	int64_t limit = 0;
	enum status st = request_string(op->req, "after", &after, &op->ans->err);

	if (st == ST_OK || st == ST_NOT_FOUND)
		st = request_int(op->req, "limit", &limit, &op->ans->err);
	if (st != ST_OK && st != ST_NOT_FOUND)
		return op->ans->status = st;
	if (limit < 0)
		return answer_fail(op->ans, ST_INVALID, "limit must not be negative");
	if (op->page_limit != 0 && (limit == 0 || (uint64_t)limit > op->page_limit))
		limit = op->page_limit > INT64_MAX ? INT64_MAX : (int64_t)op->page_limit;
	if (folder.n > 0 && folder.p[folder.n - 1] != '/') {
		uint8_t *p = view_alloc(view, folder.n + 1);

		if (p == NULL)
			return answer_fail(op->ans, ST_NOMEM, "no memory");
		memcpy(p, folder.p, folder.n);
		p[folder.n] = '/';
		folder = span_of(p, folder.n + 1);
	}
	json_writer_init(&l.w, &op->ans->data);
	json_begin_object(&l.w);
	json_name(&l.w, "keys");
	json_begin_array(&l.w);
	st = view_list(view, folder, after, limit > 0 ? (size_t)limit : 0, list_name, &l,
	               &op->ans->err);
	if (st != ST_OK)
		return op->ans->status = st;
	json_end_array(&l.w);
	json_end_object(&l.w);
	op->ans->shape = ANSWER_DATA;
	return op->ans->status = l.n == 0 ? ST_NOT_FOUND : ST_OK;
}

static enum status read_op(struct op *op)
{
	return kv_read(op, &op->view, KV_LEASE);
}

static enum status write_op(struct op *op)
{
	return kv_write(op, &op->view);
}

static enum status delete_op(struct op *op)
{
	return kv_delete(op, &op->view);
}

static enum status list_op(struct op *op)
{
	return kv_list(op, &op->view);
}

static enum status exists_op(struct op *op, struct err *err)
{
	return is_record(op->arg[0]) ? view_exists(&op->view, op->arg[0], err) : ST_NOT_FOUND;
}

static const struct operation operations[] = {
    {"kv-read", VERB_READ, "*", OP_READ, 0, read_op, NULL},
    {"kv-write", VERB_WRITE, "*", OP_WRITE, 0, write_op, exists_op},
    {"kv-delete", VERB_DELETE, "*", OP_WRITE, 0, delete_op, NULL},
    {"kv-list", VERB_LIST, "*", OP_READ, 0, list_op, NULL},
};

const struct engine engine_kv = {"kv", operations, sizeof operations / sizeof *operations};
