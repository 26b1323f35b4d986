/* keys/NAME/versions: what each version is, how often it was used, and changing its state.  Ours: no other system has it. */
#include <string.h>

#include "base/clock.h"
#include "engine/transit_impl.h"

#define PAGE_MAX      1000
#define SECONDS_A_DAY 86400

static enum status fail(struct op *op, enum status st, const struct err *err)
{
	return st == ST_NEEDS_WRITER ? (op->ans->status = st)
	                             : answer_fail(op->ans, st, "%s", err_text(err, st));
}

static const char *state_name(const struct named_key *k, uint32_t number,
                              const struct version_data *d)
{
	switch (d->state) {
	case VERSION_DISABLED:
		return "disabled";
	case VERSION_DESTROYED:
		return d->first_term != 0 ? "destroy_pending" : "destroyed"; /* elsewhere: never stored here */
	case VERSION_USABLE:
	default:
		return number == k->head.latest ? "active" : "decrypt_only";
	}
}

/* The day as its date. */
static void put_day(struct json_writer *w, const char *name, uint32_t day)
{
	char text[40];
	struct builder b;

	if (day == 0) {
		json_put_null(w, name);
		return;
	}
	builder_init_fixed(&b, text, sizeof text);
	rfc3339(&b, (int64_t)day * SECONDS_A_DAY * NS_PER_S);
	json_put_string(w, name, span_of(text, 10));
}

/* The storage terms under which its material may still lie in old pages and copies. */
static void put_terms(struct json_writer *w, const struct version_data *d)
{
	if (d->state != VERSION_DESTROYED || d->first_term == 0)
		return;
	json_name(w, "pending_terms");
	json_begin_object(w);
	json_put_uint(w, "first", d->first_term);
	json_put_uint(w, "last", d->last_term);
	json_end_object(w);
}

static enum status put_version(struct json_writer *w, const struct key_place *p,
                               const struct named_key *k, uint32_t number, struct err *err)
{
	const struct uses_of of = key_uses_of(p, k, number);
	struct uses_counts counts;
	struct version_data d;
	char name[16];
	struct builder text;
	enum status st = key_read_version(p, &k->head.id, number, &d, err);

	if (st == ST_OK)
		st = uses_counts(p->transit->uses, &of, &counts, err);
	if (st != ST_OK)
		return st;
	builder_init_fixed(&text, name, sizeof name);
	builder_dec(&text, number);
	json_name_span(w, builder_span(&text));
	json_begin_object(w);
	rfc3339_put(w, "creation_time", d.created_ns);
	json_put_uint(w, "decryptions", counts.decryptions);
	rfc3339_put(w, "destroy_time", d.destroyed_ns);
	json_put_bool(w, "earlier_uses_known", !d.uses_unknown);
	json_put_uint(w, "encryptions", counts.encryptions);
	put_day(w, "last_used", counts.last_day);
	put_terms(w, &d);
	json_put_bool(w, "rewrap_only", d.rewrap_only);
	json_put_cstr(w, "state", state_name(k, number, &d));
	json_end_object(w);
	return ST_OK;
}

/* Versions behind `after`, at most `limit`. */
static enum status page_of(struct op *op, const struct key_head *h, uint32_t *ret_from,
                           uint32_t *ret_to, struct err *err)
{
	uint32_t first = h->min_available > 0 ? h->min_available : 1;
	int64_t after = 0, limit = PAGE_MAX;
	enum status st = request_int(op->req, "after", &after, err);

	if (st == ST_OK || st == ST_NOT_FOUND)
		st = request_int(op->req, "limit", &limit, err);
	if (st != ST_OK && st != ST_NOT_FOUND)
		return st;
	if (after < 0 || limit < 0)
		return err_set(err, ST_INVALID, "after and limit must not be negative");
	if (limit == 0 || limit > PAGE_MAX)
		limit = PAGE_MAX;
	if (op->page_limit != 0 && (uint64_t)limit > op->page_limit)
		limit = (int64_t)op->page_limit;
	if (after >= (int64_t)h->latest)
		after = h->latest;
	*ret_from = after + 1 > (int64_t)first ? (uint32_t)after + 1 : first;
	*ret_to = h->latest; /* behind the last there are none: from is more than to then */
	if (*ret_from <= h->latest && h->latest - *ret_from >= (uint32_t)limit)
		*ret_to = *ret_from + (uint32_t)limit - 1;
	return ST_OK;
}

static enum status list_versions(struct op *op, const struct key_place *p, struct err *err)
{
	const struct named_key *k;
	struct json_writer w;
	uint32_t from = 0, to = 0;
	char name[16];
	struct builder text;
	enum status st = key_find(p, op->arg[0], &k, err);

	if (st == ST_OK)
		st = page_of(op, &k->head, &from, &to, err);
	if (st != ST_OK)
		return st;
	json_writer_init(&w, &op->ans->data);
	json_begin_object(&w);
	json_name(&w, "keys");
	json_begin_array(&w);
	for (uint32_t n = from; n <= to; n++) {
		builder_init_fixed(&text, name, sizeof name);
		builder_dec(&text, n);
		json_string(&w, builder_span(&text));
	}
	json_end_array(&w);
	json_put_uint(&w, "latest_version", k->head.latest);
	json_put_uint(&w, "max_operations", key_bound(&k->head));
	json_name(&w, "versions");
	json_begin_object(&w);
	for (uint32_t n = from; st == ST_OK && n <= to; n++)
		st = put_version(&w, p, k, n, err);
	if (st != ST_OK)
		return st;
	json_end_object(&w);
	json_end_object(&w);
	op->ans->shape = ANSWER_DATA;
	return ST_OK;
}

enum status transit_versions_op(struct op *op)
{
	struct key_place p = key_place_of(op);
	struct err err = {0};
	enum status st = list_versions(op, &p, &err);

	if (st == ST_OK || st == ST_NOT_FOUND)
		return op->ans->status = st;
	return fail(op, st, &err);
}

/* ---- changing one ---- */

static enum status number_param(struct span text, uint32_t *ret)
{
	uint64_t v = 0;

	if (text.n == 0 || text.n > 10)
		return ST_INVALID;
	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] < '0' || text.p[i] > '9')
			return ST_INVALID;
		v = v * 10 + (uint64_t)(text.p[i] - '0');
	}
	if (v == 0 || v > KEY_VERSIONS_MAX)
		return ST_INVALID;
	*ret = (uint32_t)v;
	return ST_OK;
}

static enum status destroy(const struct key_place *p, const struct named_key *k, uint32_t number,
                           struct version_data *d, struct err *err)
{
	if (!k->head.deletion_allowed)
		return err_set(err, ST_INVALID, "deletion is not allowed for this key");
	if (number == k->head.latest)
		return err_set(err, ST_INVALID,
		               "the latest version cannot be destroyed: rotate the key first");
	d->state = VERSION_DESTROYED;
	d->rewrap_only = false;
	d->destroyed_ns = p->now_ns;
	d->last_term = view_term(p->view);
	d->private_key = d->mac_key = d->public_key = d->chain = span_of(NULL, 0);
	return ST_OK;
}

static enum status set_state(struct op *op, const struct key_place *p, const struct named_key *k,
                             uint32_t number, struct version_data *d, struct err *err)
{
	struct span state = {0};
	enum status st = request_string(op->req, "state", &state, err), told;

	if (st != ST_OK && st != ST_NOT_FOUND)
		return st;
	told = request_bool(op->req, "rewrap_only", &d->rewrap_only, err);
	if (told != ST_OK && told != ST_NOT_FOUND)
		return told;
	if (state.n == 0 && told == ST_NOT_FOUND)
		return err_set(err, ST_INVALID, "state or rewrap_only is needed");
	if (span_eq_str(state, "destroyed"))
		return destroy(p, k, number, d, err);
	if (span_eq_str(state, "disabled")) {
		if (number == k->head.latest)
			return err_set(
			    err, ST_INVALID,
			    "the latest version cannot be disabled: rotate the key first");
		d->state = VERSION_DISABLED;
	} else if (span_eq_str(state, "decrypt_only")) {
		d->state = VERSION_USABLE;
	} else if (state.n > 0) {
		return err_set(err, ST_INVALID,
		               "state must be disabled, decrypt_only or destroyed");
	}
	return ST_OK;
}

static enum status change(struct op *op, const struct key_place *p, struct err *err)
{
	const struct named_key *k;
	struct key_head head;
	struct version_data d;
	struct uses_of of;
	uint32_t number;
	enum status st = key_find(p, op->arg[0], &k, err);

	if (st != ST_OK)
		return st;
	head = k->head;
	if (number_param(op->arg[1], &number) != ST_OK || number > head.latest ||
	    number < head.min_available)
		return err_set(err, ST_INVALID, "no such key version");
	st = key_read_version(p, &head.id, number, &d, err);
	if (st != ST_OK)
		return st;
	if (d.state == VERSION_DESTROYED)
		return err_set(err, ST_INVALID, "this version of the key was destroyed");
	st = set_state(op, p, k, number, &d, err);
	if (st == ST_OK)
		st = key_put_version(p, op->arg[0], &head, number, &d, err);
	of = key_uses_of(p, k, number);
	if (st == ST_OK && d.state != VERSION_USABLE)
		st = uses_close(p->transit->uses, &of, err);
	if (st == ST_OK && d.state == VERSION_DESTROYED)
		answer_warn(
		    op->ans,
		    "the version is unusable now; its material may lie in old pages and copies "
		    "of the store until the storage terms %u to %u are retired",
		    d.first_term, d.last_term);
	return st;
}

enum status transit_version_op(struct op *op)
{
	struct key_place p = key_place_of(op);
	struct err err = {0};
	enum status st = change(op, &p, &err);

	if (st == ST_NOT_FOUND)
		return op->ans->status = st;
	if (st != ST_OK)
		return fail(op, st, &err);
	op->ans->shape = ANSWER_EMPTY;
	return op->ans->status = ST_OK;
}
