/*
 * restore, restore/NAME: a key from its backup.  The pool reads the text and checks every key; the writer puts all records in one transaction: the key is there
 * whole, or not at all.
 */
#include <stdlib.h>
#include <string.h>

#include "engine/transit_backup.h"
#include "engine/transit_impl.h"

/* ---- what the pool does ---- */

struct restoring {
	struct slow slow; /* first */
	struct slow_since since;
	uint8_t *text; /* locked */
	size_t n;
	struct backup backup;
	enum status status;
	struct err err;
};

static void restoring_run(struct slow *work)
{
	struct restoring *r = (struct restoring *)(void *)work;

	r->status = backup_read(&r->backup, span_of(r->text, r->n), OFFER_VAULT, &random_system,
	                        &r->since, &r->err);
	secret_release(r->text);
	r->text = NULL;
}

static void restoring_free(struct slow **work)
{
	struct restoring *r = (struct restoring *)(void *)*work;

	*work = NULL;
	secret_release(r->text);
	backup_free(&r->backup);
	free(r);
}

/* Begins it: ST_PENDING; when it was done: ST_OK and its backup, or why not. */
static enum status read_slowly(struct op *op, struct span text, const struct backup **ret,
                               struct err *err)
{
	struct restoring *r = (struct restoring *)(void *)op->slow;

	if (r != NULL && r->slow.run == restoring_run) {
		if (r->status != ST_OK)
			return err_set(err, r->status, "%s", err_text(&r->err, r->status));
		*ret = &r->backup;
		return ST_OK;
	}
	r = calloc(1, sizeof *r);
	if (r == NULL)
		return err_set(err, ST_NOMEM, "no memory to restore a key");
	r->slow = (struct slow){.run = restoring_run, .free = restoring_free};
	r->since = slow_since(op->self);
	r->text = secret_alloc(text.n);
	if (r->text == NULL) {
		free(r);
		return err_set(err, ST_NOMEM, "no locked memory to restore a key");
	}
	memcpy(r->text, text.p, text.n);
	r->n = text.n;
	op->slow = &r->slow;
	return ST_PENDING;
}

/* ---- what the writer does ---- */

static enum status put_version(const struct key_place *p, const struct key_head *h, uint32_t number,
                               const struct backup_version *v, struct err *err)
{
	struct version_data d = v->data;
	enum status st;

	/* A version that was destroyed elsewhere was never stored here. */
	if (d.state != VERSION_DESTROYED)
		d.first_term = view_term(p->view);
	st = key_write_version(p, &h->id, number, &d, err);
	if (st == ST_OK && v->counted)
		st = uses_write(p->view, &h->id, number, &v->counts, err);
	return st;
}

/* The latest version's first block of uses, beyond what the backup says; none is left when the limit is reached already: the next use rotates. */
static enum status first_block(const struct key_place *p, struct span name,
                               const struct key_head *h, struct err *err)
{
	const struct named_key k = {.head = *h, .name = name};
	const struct uses_of of = key_uses_of(p, &k, h->latest);
	struct uses *u;
	enum status st;

	if (!key_type_info(h->type)->encrypts)
		return ST_OK;
	st = uses_open(p->transit->uses, &of, &u, err);
	if (st != ST_OK)
		return st;
	st = uses_reserve_more(u, &of, key_bound(h), err);
	uses_unref(&u);
	return st == ST_LIMIT ? ST_OK : st;
}

enum status backup_put(const struct backup *b, const struct key_place *p, struct span name,
                       struct key_head *h, struct err *err)
{
	enum status st = ST_OK;

	*h = b->head;
	random_fill(p->random, h->id.b, sizeof h->id.b);
	h->restored = (struct key_mark){.time_ns = p->now_ns, .version = h->latest};
	for (size_t i = 0; st == ST_OK && i < b->n; i++)
		st = put_version(p, h, b->first + (uint32_t)i, &b->versions[i], err);
	if (st == ST_OK)
		st = first_block(p, name, h, err);
	return st == ST_OK ? key_put_head(p, name, h, err) : st;
}

enum existing { KEEP_EXISTING, REPLACE_EXISTING };

/* Whether a key of this name stands in the way; one that may be replaced is deleted. */
static enum status make_way(const struct key_place *p, struct span name, enum existing existing,
                            struct err *err)
{
	const struct named_key *k;
	enum status st = key_find(p, name, &k, err);

	if (st == ST_NOT_FOUND)
		return ST_OK;
	if (st != ST_OK)
		return st;
	if (existing == KEEP_EXISTING)
		return err_set(err, ST_INVALID, "key \"%.*s\" already exists", (int)name.n,
		               (const char *)name.p);
	return key_delete(p, name, &k->head, err);
}

static enum status restore(struct op *op, const struct key_place *p, struct err *err)
{
	const struct backup *b = NULL;
	struct key_head head;
	struct span text = {0}, name = op->arg[0];
	bool force = false;
	enum status st = request_string(op->req, "backup", &text, err);

	if (st == ST_OK || st == ST_NOT_FOUND)
		st = request_bool(op->req, "force", &force, err);
	if (st != ST_OK && st != ST_NOT_FOUND)
		return st;
	if (text.n == 0)
		return err_set(err, ST_INVALID, "'backup' must be supplied");
	if (name.n == 0) {
		st = request_string(op->req, "name", &name, err);
		if (st != ST_OK && st != ST_NOT_FOUND)
			return st;
	}
	if (name.n > 0 && !key_name_valid(name))
		return err_set(err, ST_INVALID, KEY_NAME_TEXT);
	st = read_slowly(op, text, &b, err);
	if (st != ST_OK)
		return st;
	if (!view_can_write(p->view))
		return ST_NEEDS_WRITER;
	if (name.n == 0)
		name = b->name;
	if (!key_name_valid(name))
		return err_set(err, ST_INVALID, KEY_NAME_TEXT);
	st = make_way(p, name, force ? REPLACE_EXISTING : KEEP_EXISTING, err);
	if (st != ST_OK)
		return st;
	st = backup_put(b, p, name, &head, err);
	op->wake_ns = force ? INT64_MIN : head.due_ns != 0 ? head.due_ns : op->wake_ns;
	return st;
}

enum status transit_restore_op(struct op *op)
{
	struct key_place p = key_place_of(op);
	struct err err = {0};
	enum status st = restore(op, &p, &err);

	if (st == ST_PENDING || st == ST_NEEDS_WRITER)
		return op->ans->status = st;
	if (st != ST_OK)
		return answer_fail(op->ans, st, "%s", err_text(&err, st));
	op->ans->shape = ANSWER_EMPTY;
	return op->ans->status = ST_OK;
}
