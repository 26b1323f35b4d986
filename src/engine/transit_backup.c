/*
 * backup/NAME.  The key's records are copied on the loop, the pool makes the text of them, and the writer notes that it was made, if the key is still what it was.
 * The answer is plaintext key material, by what the operation is for.
 */
#include <stdlib.h>
#include <string.h>

#include "engine/transit_backup.h"
#include "engine/transit_impl.h"

/* ---- what the pool does ---- */

struct backing {
	struct slow slow; /* first */
	struct slow_since since;
	struct backup backup;
	uint64_t changes;    /* of the key, when it was copied */
	struct builder data; /* the answer's */
	enum status status;
	struct err err;
};

static void backing_run(struct slow *work)
{
	struct backing *b = (struct backing *)(void *)work;

	builder_str(&b->data, "{\"backup\":\"");
	b->status = backup_write(&b->backup, &b->data, &b->since, &b->err);
	builder_str(&b->data, "\"}");
	if (b->status == ST_OK)
		b->status = builder_status(&b->data);
}

static void backing_free(struct slow **work)
{
	struct backing *b = (struct backing *)(void *)*work;

	*work = NULL;
	backup_free(&b->backup);
	builder_free(&b->data);
	free(b);
}

/* ---- what it needs ---- */

static enum status keep(struct backup *b, struct span *s)
{
	uint8_t *p = arena_alloc(&b->room, s->n + 1);

	if (p == NULL)
		return ST_NOMEM;
	if (s->n > 0)
		memcpy(p, s->p, s->n);
	*s = span_of(p, s->n);
	return ST_OK;
}

static enum status copy_version(const struct key_place *p, const struct named_key *k,
                                uint32_t number, struct backup *b, struct err *err)
{
	struct backup_version *v = &b->versions[number - b->first];
	const struct uses_of of = key_uses_of(p, k, number);
	enum status st = key_read_version(p, &k->head.id, number, &v->data, err);

	v->counted = true;
	if (st == ST_OK)
		st = uses_counts(p->transit->uses, &of, &v->counts, err);
	if (st == ST_OK)
		st = keep(b, &v->data.private_key);
	if (st == ST_OK)
		st = keep(b, &v->data.mac_key);
	if (st == ST_OK)
		st = keep(b, &v->data.public_key);
	return st == ST_OK ? keep(b, &v->data.chain) : st;
}

/* All of it, as of this transaction. */
enum status backup_copy(struct backup *b, const struct key_place *p, const struct named_key *k,
                        struct err *err)
{
	enum status st;

	b->first = k->head.min_available > 0 ? k->head.min_available : 1;
	if (k->head.latest - b->first >= BACKUP_VERSIONS_MAX)
		return err_set(
		    err, ST_INVALID,
		    "the key has more than %u versions, which is more than a backup holds: "
		    "trim old ones",
		    BACKUP_VERSIONS_MAX);
	b->head = k->head;
	b->head.backup = (struct key_mark){.time_ns = p->now_ns, .version = k->head.latest};
	b->name = k->name;
	b->n = k->head.latest - b->first + 1;
	b->versions = calloc(b->n, sizeof *b->versions);
	st = b->versions == NULL ? ST_NOMEM : keep(b, &b->name);
	for (size_t i = 0; st == ST_OK && i < b->n; i++)
		st = copy_version(p, k, b->first + (uint32_t)i, b, err);
	return st == ST_NOMEM ? err_set(err, st, "no locked memory for a backup") : st;
}

static enum status begin(struct op *op, const struct key_place *p, const struct named_key *k,
                         struct err *err)
{
	struct backing *b = calloc(1, sizeof *b);
	struct slow *work;
	enum status st;

	if (b == NULL)
		return err_set(err, ST_NOMEM, "no memory for a backup");
	b->slow = (struct slow){.run = backing_run, .free = backing_free};
	b->since = slow_since(p->transit);
	b->changes = k->head.changes;
	b->data.max = BACKUP_TEXT_MAX + 64;
	st = backup_copy(&b->backup, p, k, err);
	if (st == ST_OK) {
		op->slow = &b->slow;
		return ST_PENDING;
	}
	work = &b->slow;
	backing_free(&work);
	return st;
}

/* ---- the call ---- */

static enum status check(const struct key_head *h, struct err *err)
{
	if (h->soft_deleted)
		return err_set(err, ST_INVALID, KEY_SOFT_DELETED_TEXT);
	if (!h->exportable)
		return err_set(err, ST_INVALID, "exporting is disallowed on the policy");
	if (!h->plaintext_backup)
		return err_set(err, ST_INVALID, "plaintext backup is disallowed on the policy");
	return ST_OK;
}

static enum status back_up(struct op *op, const struct key_place *p, struct err *err)
{
	struct backing *b = (struct backing *)(void *)op->slow;
	const struct named_key *k;
	struct key_head head;
	enum status st = key_find(p, op->arg[0], &k, err);

	if (st == ST_NOT_FOUND)
		return err_set(err, ST_INVALID, "key \"%.*s\" not found", (int)op->arg[0].n,
		               (const char *)op->arg[0].p);
	if (st == ST_OK)
		st = check(&k->head, err);
	if (st != ST_OK)
		return st;
	if (b == NULL || b->changes != k->head.changes ||
	    memcmp(b->backup.head.id.b, k->head.id.b, KEY_ID_LEN) != 0)
		return begin(op, p, k, err);
	if (b->status != ST_OK)
		return err_set(err, b->status, "%s", err_text(&b->err, b->status));
	head = k->head;
	head.backup = b->backup.head.backup;
	st = key_put_head(p, op->arg[0], &head, err);
	if (st != ST_OK)
		return st;
	answer_take(op->ans, &b->data);
	op->ans->shape = ANSWER_DATA;
	return ST_OK;
}

enum status transit_backup_op(struct op *op)
{
	struct key_place p = key_place_of(op);
	struct err err = {0};
	enum status st = back_up(op, &p, &err);

	if (st == ST_OK || st == ST_PENDING || st == ST_NEEDS_WRITER)
		return op->ans->status = st;
	return answer_fail(op->ans, st, "%s", err_text(&err, st));
}
