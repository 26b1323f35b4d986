/* What only the operator does: API keys, secrets of one-time codes, settings. */
#include <string.h>

#include "core/login_apikey.h"
#include "core/login_ops_impl.h"
#include "core/login_yubikey.h"
#include "crypto/ct.h"

/* ---- API keys ---- */

enum status login_ops_apikey_create(struct op *op)
{
	char text[APIKEY_MAX + 1] = "";
	struct span chosen = {0};
	struct json_writer w;
	enum status st = request_string(op->req, "apikey", &chosen, &op->ans->err);

	if (st != ST_OK && st != ST_NOT_FOUND)
		return op->ans->status = st;
	if (span_cstr(chosen, text, sizeof text) != ST_OK)
		return answer_fail(op->ans, ST_INVALID, "an API key has at most %d characters",
		                   APIKEY_MAX);
	st = login_apikey_create(&op->view, login_ops_key(op), op->random, op->arg[0], text,
	                         op->now_ns, &op->ans->err);
	if (st == ST_OK) {
		json_writer_init(&w, &op->ans->data);
		json_begin_object(&w);
		json_put_string(&w, "name", op->arg[0]);
		json_put_cstr(&w, "apikey", text);
		json_end_object(&w);
		op->ans->shape = ANSWER_DATA;
		st = builder_status(&op->ans->data);
	}
	wipe(text, sizeof text);
	return op->ans->status = st;
}

enum part { PART_NAMES, PART_INFO };
struct listing {
	struct json_writer w;
	enum part part;
	size_t n;
};

static enum status list_one(void *arg, struct span name, int64_t created_ns)
{
	struct listing *l = arg;

	l->n++;
	if (l->part == PART_NAMES) {
		json_string(&l->w, name);
		return ST_OK;
	}
	json_name_span(&l->w, name);
	json_begin_object(&l->w);
	rfc3339_put(&l->w, "creation_time", created_ns);
	json_end_object(&l->w);
	return ST_OK;
}

enum status login_ops_apikey_list(struct op *op)
{
	struct listing l = {.part = PART_NAMES};
	enum status st;

	json_writer_init(&l.w, &op->ans->data);
	json_begin_object(&l.w);
	json_name(&l.w, "keys");
	json_begin_array(&l.w);
	st = login_apikey_each(&op->view, list_one, &l, &op->ans->err);
	if (st != ST_OK)
		return op->ans->status = st;
	json_end_array(&l.w);
	json_name(&l.w, "key_info");
	json_begin_object(&l.w);
	l.part = PART_INFO;
	st = login_apikey_each(&op->view, list_one, &l, &op->ans->err);
	if (st != ST_OK)
		return op->ans->status = st;
	json_end_object(&l.w);
	json_end_object(&l.w);
	op->ans->shape = ANSWER_DATA;
	return op->ans->status = l.n == 0 ? ST_NOT_FOUND : builder_status(&op->ans->data);
}

enum status login_ops_apikey_revoke(struct op *op)
{
	enum status st = login_apikey_revoke(&op->view, op->arg[0], &op->ans->err);

	op->ans->shape = ANSWER_EMPTY;
	if (st == ST_NOT_FOUND)
		return answer_fail(op->ans, st, "there is no API key with this name");
	return op->ans->status = st;
}

/* ---- one-time codes ---- */

/* Exactly n bytes as hex, in locked memory. */
static enum status read_hex(struct op *op, const char *name, size_t n, uint8_t **ret)
{
	struct span text;
	uint8_t *bytes;
	size_t got;
	enum status st = login_ops_text(op, name, &text);

	if (st != ST_OK)
		return st;
	bytes = view_alloc(&op->view, n);
	if (bytes == NULL)
		return answer_fail(op->ans, ST_NOMEM, "no locked memory");
	if (ct_unhex(text, bytes, n, &got) != ST_OK || got != n)
		return answer_fail(op->ans, ST_INVALID,
		                   "%s must be %zu bytes in hexadecimal digits", name, n);
	*ret = bytes;
	return ST_OK;
}

/* The given secret, or a new one. */
static enum status read_secret(struct op *op, struct span *ret)
{
	uint8_t *bytes = view_alloc(&op->view, TOTP_SECRET_MAX);
	struct span text;
	size_t n = TOTP_SECRET_LEN;
	enum status st = request_string(op->req, "secret", &text, &op->ans->err);

	if (bytes == NULL)
		return answer_fail(op->ans, ST_NOMEM, "no locked memory");
	if (st == ST_NOT_FOUND) {
		random_fill(op->random, bytes, n);
		st = ST_OK;
	} else if (st == ST_OK && (base32_decode(text, bytes, TOTP_SECRET_MAX, &n) != ST_OK ||
	                           n < TOTP_SECRET_MIN)) {
		st = err_set(&op->ans->err, ST_INVALID, "secret must be %d to %d bytes in base32",
		             TOTP_SECRET_MIN, TOTP_SECRET_MAX);
	}
	if (st == ST_OK)
		*ret = span_of(bytes, n);
	return op->ans->status = st;
}

static enum status set_totp(struct op *op, const struct user *before)
{
	char text[BASE32_LEN(TOTP_SECRET_MAX)];
	struct user u = *before;
	struct json_writer w;
	enum status st = read_secret(op, &u.totp);

	if (st != ST_OK)
		return st;
	u.totp_step = 0;
	st = user_put(&op->view, login_ops_key(op), before, &u, &op->ans->err);
	if (st != ST_OK)
		return op->ans->status = st;
	base32_encode(u.totp, text);
	json_writer_init(&w, &op->ans->data);
	json_begin_object(&w);
	json_put_string(&w, "secret", span_of(text, BASE32_LEN(u.totp.n)));
	json_end_object(&w);
	wipe(text, sizeof text);
	op->ans->shape = ANSWER_DATA;
	return op->ans->status = builder_status(&op->ans->data);
}

static enum status set_device(struct op *op, const struct user *before)
{
	struct user u = *before;
	struct span public_id;
	uint8_t *key, *private_id;
	size_t at = 0;
	enum status st = login_ops_text(op, "public_id", &public_id);

	if (st == ST_OK)
		st = read_hex(op, "key", YUBICO_KEY_LEN, &key);
	if (st == ST_OK)
		st = read_hex(op, "private_id", YUBICO_PRIVATE_LEN, &private_id);
	if (st != ST_OK)
		return st;
	while (at < USER_YUBIKEYS_MAX && u.yubikey[at][0] != 0)
		at++;
	if (at == USER_YUBIKEYS_MAX)
		return answer_fail(op->ans, ST_INVALID, "a user has at most %d devices",
		                   USER_YUBIKEYS_MAX);
	st = login_yubikey_register(&op->view, public_id, key, private_id, &op->ans->err);
	if (st == ST_OK)
		st = login_yubikey_assign(&op->view, public_id, u.id, &op->ans->err);
	if (st == ST_OK)
		st = span_cstr(public_id, u.yubikey[at], sizeof u.yubikey[at]);
	if (st == ST_OK)
		st = user_put(&op->view, login_ops_key(op), before, &u, &op->ans->err);
	op->ans->shape = ANSWER_EMPTY;
	return op->ans->status = st;
}

enum status login_ops_otp(struct op *op)
{
	struct user u;
	struct span type;
	enum status st = login_ops_user(op, op->arg[0], &u);

	if (st == ST_OK)
		st = login_ops_text(op, "type", &type);
	if (st != ST_OK)
		return st;
	if (span_eq_str(type, "totp"))
		return set_totp(op, &u);
	if (span_eq_str(type, "yubikey"))
		return set_device(op, &u);
	return answer_fail(op->ans, ST_INVALID, "type must be \"totp\" or \"yubikey\"");
}

/* The device stays registered, so that none of its codes that were seen can come again. */
static enum status remove_device(struct op *op, struct user *u)
{
	struct span public_id;
	size_t at = 0;
	enum status st = login_ops_text(op, "public_id", &public_id);

	if (st != ST_OK)
		return st;
	while (at < USER_YUBIKEYS_MAX && !span_eq_str(public_id, u->yubikey[at]))
		at++;
	if (at == USER_YUBIKEYS_MAX)
		return answer_fail(op->ans, ST_NOT_FOUND, "the user has no such device");
	u->yubikey[at][0] = 0;
	return op->ans->status = login_yubikey_release(&op->view, public_id, &op->ans->err);
}

enum status login_ops_otp_remove(struct op *op)
{
	struct user before, u;
	struct span type;
	enum status st = login_ops_user(op, op->arg[0], &before);

	if (st == ST_OK)
		st = login_ops_text(op, "type", &type);
	if (st != ST_OK)
		return st;
	u = before;
	if (span_eq_str(type, "totp"))
		u.totp = span_of(NULL, 0);
	else if (span_eq_str(type, "yubikey"))
		st = remove_device(op, &u);
	else
		st = answer_fail(op->ans, ST_INVALID, "type must be \"totp\" or \"yubikey\"");
	if (st == ST_OK)
		st = user_put(&op->view, login_ops_key(op), &before, &u, &op->ans->err);
	op->ans->shape = ANSWER_EMPTY;
	return op->ans->status = st;
}

/* ---- settings ---- */

static void put_duration(struct json_writer *w, const char *name, int64_t ns)
{
	char text[64];
	struct builder b;

	builder_init_fixed(&b, text, sizeof text);
	duration_short(&b, ns);
	json_put_string(w, name, builder_span(&b));
}

enum status login_ops_settings_read(struct op *op)
{
	const struct login_settings *s = &login_ops_world(op)->login;
	struct json_writer w;

	json_writer_init(&w, &op->ans->data);
	json_begin_object(&w);
	put_duration(&w, "session_timeout", s->timeout_ns);
	put_duration(&w, "token_rotation", s->rotation_ns);
	put_duration(&w, "token_grace", s->grace_ns);
	json_end_object(&w);
	op->ans->shape = ANSWER_DATA;
	return op->ans->status = builder_status(&op->ans->data);
}

static enum status read_settings(struct op *op, struct login_settings *s)
{
	static const char *const names[] = {"session_timeout", "token_rotation", "token_grace"};
	int64_t *const to[] = {&s->timeout_ns, &s->rotation_ns, &s->grace_ns};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		enum status st = request_duration(op->req, names[i], to[i], &op->ans->err);

		if (st != ST_OK && st != ST_NOT_FOUND)
			return op->ans->status = st;
	}
	return op->ans->status = login_settings_check(s, &op->ans->err);
}

enum status login_ops_settings(struct op *op)
{
	struct login_settings s = login_ops_world(op)->login;
	struct core_world *w;
	enum status st = read_settings(op, &s);

	op->ans->shape = ANSWER_EMPTY;
	if (st == ST_OK)
		st = login_settings_put(&op->view, &s, &op->ans->err);
	if (st == ST_OK)
		st = world_copy(login_ops_world(op), &w);
	if (st != ST_OK)
		return op->ans->status = st;
	w->login = s;
	st = txn_set_world(op->view.txn, &w->base);
	world_drop(&w);
	return op->ans->status = st;
}
