/* Rotation of the storage key, by hand and by itself: sections 1, 2 and 4 of the rotation calls. */
#include <stdio.h>
#include <string.h>

#include "barrier/rotate.h"
#include "barrier/txn.h"
#include "core/sys_impl.h"

enum status sys_rotate_op(struct op *op)
{
	op->ans->shape = ANSWER_EMPTY;
	return op->ans->status = rotate_now(op->view.txn, CAUSE_MANUAL, &op->ans->err);
}

enum status sys_rotate_config_read_op(struct op *op)
{
	const struct rotate_settings *s = keyring_settings(txn_keyring(op->view.txn));
	struct json_writer w;

	json_writer_init(&w, &op->ans->data);
	json_begin_object(&w);
	json_put_bool(&w, "enabled", s->enabled);
	json_put_cstr(&w, "interval", s->interval_text);
	json_put_uint(&w, "max_operations", s->max_operations);
	json_end_object(&w);
	op->ans->shape = ANSWER_DATA;
	return op->ans->status = builder_status(&op->ans->data);
}

/* What of the interval is shown again: a Go duration as it was written, anything else as the shortest one. */
static enum status set_interval(const struct json_value *v, struct rotate_settings *s,
                                struct err *err)
{
	struct builder b;
	int64_t ns;
	bool plain = false;
	enum status st = ST_OK;

	if (v->type != JSON_STRING && v->type != JSON_NUMBER)
		return err_set(
		    err, ST_INVALID,
		    "interval must be a duration: a string like \"720h\", or a number of seconds");
	if (v->text.n == 0)
		ns = 0;
	else
		st = duration_parse(v->text, &ns, v->type == JSON_STRING ? &plain : NULL);
	if (st != ST_OK)
		return err_set(
		    err, ST_INVALID,
		    "interval: \"%.*s\" is no duration (\"720h\", \"30d\", or a number of seconds)",
		    (int)(v->text.n < 64 ? v->text.n : 64), (const char *)v->text.p);
	if (ns < 0)
		return err_set(err, ST_INVALID, "interval must not be negative");
	s->interval_ns = ns;
	memset(s->interval_text, 0, sizeof s->interval_text);
	if (ns == 0)
		return ST_OK;
	if (plain && span_cstr(v->text, s->interval_text, sizeof s->interval_text) == ST_OK)
		return ST_OK;
	builder_init_fixed(&b, s->interval_text, sizeof s->interval_text - 1);
	duration_short(&b, ns);
	return builder_status(&b);
}

static enum status refuse_later(struct op *op)
{
	static const char *const later[] = {"sweep", "sweep_rate", "retire"};
	struct err ignored = {0};

	for (size_t i = 0; i < sizeof later / sizeof *later; i++) {
		const struct json_value *v = request_member(op->req, later[i]);
		int64_t n = 1;

		if (v == NULL || v->type == JSON_NULL || v->type == JSON_FALSE ||
		    (request_int(op->req, later[i], &n, &ignored) == ST_OK && n == 0))
			continue;
		return answer_fail(
		    op->ans, ST_INVALID,
		    "%s: sweeping and retiring terms are not available in this version", later[i]);
	}
	return ST_OK;
}

enum status sys_rotate_config_op(struct op *op)
{
	struct rotate_settings s = *keyring_settings(txn_keyring(op->view.txn));
	const struct json_value *interval = request_member(op->req, "interval");
	struct err *err = &op->ans->err;
	int64_t most;
	bool enabled;
	enum status st = refuse_later(op);

	op->ans->shape = ANSWER_EMPTY;
	if (st != ST_OK)
		return st;
	st = request_int(op->req, "max_operations", &most, err);
	if (st == ST_OK) {
		s.max_operations = most < 0 ? 0 : (uint64_t)most;
		st = rotate_check(&s, err);
	}
	if (st != ST_OK && st != ST_NOT_FOUND)
		return op->ans->status = st;
	if (interval != NULL && interval->type != JSON_NULL) {
		st = set_interval(interval, &s, err);
		if (st != ST_OK)
			return op->ans->status = st;
	}
	st = request_bool(op->req, "enabled", &enabled, err);
	if (st == ST_OK)
		s.enabled = enabled;
	else if (st != ST_NOT_FOUND)
		return op->ans->status = st;
	st = rotate_check(&s, err);
	if (st == ST_OK)
		st = txn_set_rotation(op->view.txn, &s);
	return op->ans->status = st;
}

enum status sys_key_status_op(struct op *op)
{
	const struct keyring *k = txn_keyring(op->view.txn);
	uint32_t active = keyring_active(k);
	struct term_info info;
	struct usage u;
	struct json_writer w;
	enum status st = keyring_info(k, active, &info);

	if (st == ST_OK)
		st = txn_usage(op->view.txn, active, &u, &op->ans->err);
	if (st != ST_OK)
		return op->ans->status = st;
	json_writer_init(&w, &op->ans->data);
	json_begin_object(&w);
	json_put_uint(&w, "term", active);
	rfc3339_put(&w, "install_time", info.install_ns);
	json_put_uint(&w, "encryptions", u.encryptions);
	json_end_object(&w);
	op->ans->shape = ANSWER_DATA_TOP;
	return op->ans->status = builder_status(&op->ans->data);
}

static enum status put_term(struct op *op, struct json_writer *w, uint32_t number)
{
	char name[16];
	struct term_info info;
	struct usage u;
	enum status st = keyring_info(txn_keyring(op->view.txn), number, &info);

	if (st == ST_OK)
		st = txn_usage(op->view.txn, number, &u, &op->ans->err);
	if (st != ST_OK)
		return st;
	snprintf(name, sizeof name, "%u", number);
	json_name(w, name);
	json_begin_object(w);
	json_put_cstr(w, "state", term_state_name(info.state));
	rfc3339_put(w, "install_time", info.install_ns);
	rfc3339_put(w, "retire_time", info.retire_ns);
	json_put_uint(w, "encryptions", u.encryptions);
	json_put_uint(w, "records", u.records);
	json_put_cstr(w, "cause", term_cause_name(info.cause));
	json_end_object(w);
	return ST_OK;
}

enum status sys_terms_op(struct op *op)
{
	uint32_t active = keyring_active(txn_keyring(op->view.txn));
	int64_t after = 0, limit = 0;
	uint32_t first, last;
	struct json_writer w;
	enum status st = request_int(op->req, "after", &after, &op->ans->err);

	if (st == ST_OK || st == ST_NOT_FOUND)
		st = request_int(op->req, "limit", &limit, &op->ans->err);
	if (st != ST_OK && st != ST_NOT_FOUND)
		return op->ans->status = st;
	if (after < 0 || limit < 0)
		return answer_fail(op->ans, ST_INVALID, "after and limit must not be negative");
	if (after > active)
		after = active;
	if (op->page_limit != 0 && op->page_limit <= active &&
	    (limit == 0 || (uint64_t)limit > op->page_limit))
		limit = (int64_t)op->page_limit;
	first = (uint32_t)after + 1;
	last = limit == 0 || limit > (int64_t)active - after ? active : (uint32_t)(after + limit);
	json_writer_init(&w, &op->ans->data);
	json_begin_object(&w);
	json_put_uint(&w, "active_term", active);
	json_name(&w, "keys");
	json_begin_array(&w);
	for (uint32_t i = first; i <= last; i++) {
		char text[16];

		snprintf(text, sizeof text, "%u", i);
		json_cstr(&w, text);
	}
	json_end_array(&w);
	json_name(&w, "terms");
	json_begin_object(&w);
	for (uint32_t i = first; i <= last; i++) {
		st = put_term(op, &w, i);
		if (st != ST_OK)
			return op->ans->status = st;
	}
	json_end_object(&w);
	json_end_object(&w);
	op->ans->shape = ANSWER_DATA;
	return op->ans->status = builder_status(&op->ans->data);
}
