/* Users: listing, finding, making, editing, deactivating. */
#include <string.h>

#include "core/login_ops_impl.h"
#include "core/login_yubikey.h"

#define SEARCH_MAX ((size_t)15) /* characters of what is searched for that count */

/* ---- showing ---- */

static void put_number(struct json_writer *w, const char *name, uint32_t n)
{
	char text[16];
	struct builder b;

	builder_init_fixed(&b, text, sizeof text);
	builder_dec(&b, n);
	json_put_string(w, name, builder_span(&b));
}

/* Who may make users sees everything about them but secrets; who only shares vaults sees who is who. */
static bool sees_all(const struct op *op)
{
	return op->caller->user == 0 || (op->caller->status & USER_ADMIN) != 0;
}

static void put_user(struct json_writer *w, const struct op *op, const struct user *u)
{
	json_begin_object(w);
	put_number(w, "id", u->id);
	if (sees_all(op)) {
		put_number(w, "status", u->status);
		json_put_string(w, "username", u->username);
	}
	json_put_string(w, "fullname", u->fullname);
	json_put_string(w, "email", u->email);
	if (sees_all(op)) {
		char devices[USER_YUBIKEYS_MAX * (YUBICO_PUBLIC_LEN + 1)];
		struct builder b;

		builder_init_fixed(&b, devices, sizeof devices);
		for (size_t i = 0; i < USER_YUBIKEYS_MAX; i++) {
			if (u->yubikey[i][0] == 0)
				continue;
			if (b.n > 0)
				builder_u8(&b, ',');
			builder_str(&b, u->yubikey[i]);
		}
		json_put_string(w, "otpprefix", builder_span(&b));
		json_put_cstr(w, "fingerprint", "");
	}
	json_end_object(w);
}

static uint8_t lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 'a' - 'A') : c;
}

static bool contains(struct span text, struct span part)
{
	for (size_t at = 0; at + part.n <= text.n; at++) {
		size_t i = 0;

		while (i < part.n && lower(text.p[at + i]) == lower(part.p[i]))
			i++;
		if (i == part.n)
			return true;
	}
	return false;
}

struct listing {
	struct json_writer w;
	const struct op *op;
	struct span part; /* empty: all */
};

static enum status list_one(void *arg, const struct user *u)
{
	struct listing *l = arg;

	if (contains(u->fullname, l->part) || contains(u->email, l->part) ||
	    (sees_all(l->op) && contains(u->username, l->part)))
		put_user(&l->w, l->op, u);
	return ST_OK;
}

static enum status list_users(struct op *op, struct span part)
{
	struct listing l = {.op = op, .part = part};
	enum status st;

	json_writer_init(&l.w, &op->ans->data);
	json_begin_object(&l.w);
	json_name(&l.w, "users");
	json_begin_array(&l.w);
	st = user_each(&op->view, list_one, &l, &op->ans->err);
	if (st != ST_OK)
		return op->ans->status = st;
	json_end_array(&l.w);
	json_end_object(&l.w);
	op->ans->shape = ANSWER_DATA;
	return op->ans->status = builder_status(&op->ans->data);
}

enum status login_ops_user_list(struct op *op)
{
	struct span part = {0};
	enum status st = request_string(op->req, "searchstring", &part, &op->ans->err);

	if (st != ST_OK && st != ST_NOT_FOUND)
		return op->ans->status = st;
	return list_users(op, part);
}

static bool is_number(struct span text)
{
	for (size_t i = 0; i < text.n; i++)
		if (text.p[i] < '0' || text.p[i] > '9')
			return false;
	return text.n > 0;
}

/* By id, or what was found by a part of a name. */
enum status login_ops_user_read(struct op *op)
{
	struct span arg = op->arg[0];
	struct json_writer w;
	struct user u;
	enum status st;

	if (!is_number(arg)) {
		if (arg.n > SEARCH_MAX * 4)
			return answer_fail(op->ans, ST_INVALID, "what is searched for is too long");
		return list_users(op, arg);
	}
	st = login_ops_user(op, arg, &u);
	if (st != ST_OK)
		return st;
	json_writer_init(&w, &op->ans->data);
	json_begin_object(&w);
	json_name(&w, "users");
	json_begin_array(&w);
	put_user(&w, op, &u);
	json_end_array(&w);
	json_end_object(&w);
	op->ans->shape = ANSWER_DATA;
	return op->ans->status = builder_status(&op->ans->data);
}

/* ---- what is asked for ---- */

#define BITS_MAX 32

/* Numbers of bits in an array, or their sum. */
static enum status read_status(struct op *op, uint32_t *ret)
{
	const struct json_value *v = request_member(op->req, "status"), *item;
	int64_t bits = 0, bit;
	enum status st;

	if (v == NULL || v->type != JSON_ARRAY) {
		st = request_int(op->req, "status", &bits, &op->ans->err);
		if (st == ST_NOT_FOUND)
			return st;
		if (st != ST_OK || bits < 0 || bits > UINT32_MAX)
			return answer_fail(op->ans, ST_INVALID,
			                   "status must be an array of bit numbers or their sum");
	} else {
		if (v->count > BITS_MAX)
			return answer_fail(op->ans, ST_INVALID, "status has too many bits");
		item = json_first(v);
		for (uint32_t i = 0; i < v->count; i++, item = json_next(item)) {
			if (json_i64(item, &bit) != ST_OK || bit < 0 || bit > 31)
				return answer_fail(op->ans, ST_INVALID,
				                   "status must hold numbers of bits");
			bits |= INT64_C(1) << bit;
		}
	}
	if (((uint32_t)bits & ~USER_STATUS) != 0)
		return answer_fail(op->ans, ST_INVALID,
		                   "status has a bit that is none of a user's");
	*ret = (uint32_t)bits;
	return ST_OK;
}

struct text_rule {
	const char *name;
	size_t min, max;
};

/* ST_NOT_FOUND: it is not there. */
static enum status read_text(struct op *op, const struct text_rule *rule, struct span *ret)
{
	struct span text;
	enum status st = request_string(op->req, rule->name, &text, &op->ans->err);

	if (st == ST_OK)
		st = user_check_text(rule->name, text, rule->min, rule->max, &op->ans->err);
	if (st == ST_OK)
		*ret = text;
	return st;
}

/* The members that were sent, over what u holds. */
static enum status read_members(struct op *op, struct user *u)
{
	static const struct text_rule rules[] = {
	    {"username", USER_NAME_MIN, USER_NAME_MAX},
	    {"fullname", USER_FULLNAME_MIN, USER_FULLNAME_MAX},
	    {"email", USER_EMAIL_MIN, USER_EMAIL_MAX},
	};
	struct span *const to[] = {&u->username, &u->fullname, &u->email};
	enum status st;

	for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
		st = read_text(op, &rules[i], to[i]);
		if (st == ST_NOT_FOUND && u->id == 0)
			return answer_fail(op->ans, ST_INVALID, "%s is missing", rules[i].name);
		if (st != ST_OK && st != ST_NOT_FOUND)
			return op->ans->status = st;
	}
	st = read_status(op, &u->status);
	if (st == ST_NOT_FOUND && u->id == 0)
		return answer_fail(op->ans, ST_INVALID, "status is missing");
	return st == ST_NOT_FOUND ? ST_OK : st;
}

/* A name for a number can be mistaken for an id. */
static enum status check_username(struct op *op, const struct user *u)
{
	if (is_number(u->username))
		return answer_fail(op->ans, ST_INVALID, "a username must not be a number");
	return ST_OK;
}

/* The passphrase's hash, made on the pool; ST_PENDING: it is being made.  ST_NOT_FOUND: no passphrase was sent. */
static enum status read_passphrase(struct op *op, struct span *ret)
{
	struct login_work *work = (struct login_work *)(void *)op->slow;
	struct span text;
	enum status st = request_string(op->req, "passphrase", &text, &op->ans->err);

	if (st != ST_OK)
		return st;
	if (text.n == 0 || text.n > PASSPHRASE_MAX)
		return answer_fail(op->ans, ST_INVALID, "passphrase must have 1 to %d bytes",
		                   PASSPHRASE_MAX);
	if (work != NULL) {
		if (work->status != ST_OK)
			return answer_fail(op->ans, work->status,
			                   "the passphrase cannot be hashed");
		*ret = span_str(work->hash);
		return ST_OK;
	}
	st = login_work_new(text, span_of(NULL, 0), &work);
	if (st != ST_OK)
		return answer_fail(op->ans, st, "no memory for a passphrase");
	op->slow = &work->slow;
	return ST_PENDING;
}

/* ---- one-time codes that come with a user ---- */

static enum status add_device(struct op *op, struct user *u, struct span public_id)
{
	size_t at = USER_YUBIKEYS_MAX;
	enum status st;

	for (size_t i = USER_YUBIKEYS_MAX; i-- > 0;) {
		if (span_eq_str(public_id, u->yubikey[i]))
			return ST_OK;
		if (u->yubikey[i][0] == 0)
			at = i;
	}
	if (at == USER_YUBIKEYS_MAX)
		return answer_fail(op->ans, ST_INVALID, "a user has at most %d devices",
		                   USER_YUBIKEYS_MAX);
	st = login_yubikey_assign(&op->view, public_id, u->id, &op->ans->err);
	if (st == ST_NOT_FOUND)
		st = ST_INVALID;
	if (st == ST_OK)
		st = span_cstr(public_id, u->yubikey[at], sizeof u->yubikey[at]);
	return op->ans->status = st;
}

/* yubikey: a code of a device that nobody has; it proves that the device is at hand. */
static enum status add_device_by_code(struct op *op, struct user *u)
{
	struct span otp;
	uint32_t owner;
	enum status st = request_string(op->req, "yubikey", &otp, &op->ans->err);

	if (st == ST_NOT_FOUND || (st == ST_OK && otp.n == 0))
		return ST_OK;
	if (st == ST_OK)
		st = login_yubikey_take(&op->view, otp, &owner, &op->ans->err);
	if (st == ST_DENIED)
		return answer_fail(op->ans, ST_INVALID,
		                   "yubikey is no code of a registered device, or was used before");
	if (st != ST_OK)
		return op->ans->status = st;
	return add_device(op, u, span_of(otp.p, YUBICO_PUBLIC_LEN));
}

static enum status add_device_by_prefix(struct op *op, struct user *u)
{
	struct span prefix;
	enum status st = request_string(op->req, "otpprefix", &prefix, &op->ans->err);

	if (st == ST_NOT_FOUND || (st == ST_OK && prefix.n == 0))
		return ST_OK;
	if (st != ST_OK)
		return op->ans->status = st;
	if (!yubico_public_valid(prefix))
		return answer_fail(op->ans, ST_INVALID, "otpprefix must have 12 letters of ModHex");
	return add_device(op, u, prefix);
}

/* totp: true makes a secret, which the answer tells once. */
static enum status add_totp(struct op *op, struct user *u)
{
	bool wanted = false;
	uint8_t *secret;
	enum status st = request_bool(op->req, "totp", &wanted, &op->ans->err);

	if (st != ST_OK && st != ST_NOT_FOUND)
		return op->ans->status = st;
	if (!wanted)
		return ST_OK;
	secret = view_alloc(&op->view, TOTP_SECRET_LEN);
	if (secret == NULL)
		return answer_fail(op->ans, ST_NOMEM, "no locked memory");
	random_fill(op->random, secret, TOTP_SECRET_LEN);
	u->totp = span_of(secret, TOTP_SECRET_LEN);
	u->totp_step = 0;
	return ST_OK;
}

/* ---- changing ---- */

enum answer_with { WITHOUT_SECRETS, WITH_TOTP };

static enum status put_changed(struct op *op, const struct user *u, enum answer_with with)
{
	struct json_writer w;

	json_writer_init(&w, &op->ans->data);
	json_begin_object(&w);
	json_put_string(&w, "user_created", u->fullname);
	put_number(&w, "id", u->id);
	json_put_uint(&w, "calculated_status", u->status);
	json_name(&w, "user");
	json_begin_array(&w);
	put_user(&w, op, u);
	json_end_array(&w);
	if (with == WITH_TOTP && u->totp.n > 0) {
		char text[BASE32_LEN(TOTP_SECRET_MAX)];

		base32_encode(u->totp, text);
		json_put_string(&w, "totp_secret", span_of(text, BASE32_LEN(u->totp.n)));
		wipe(text, sizeof text);
	}
	json_end_object(&w);
	op->ans->shape = ANSWER_DATA;
	return op->ans->status = builder_status(&op->ans->data);
}

enum status login_ops_user_create(struct op *op)
{
	struct user u = {.id = 0, .created_ns = op->now_ns}, made;
	enum status st = read_members(op, &u);

	if (st == ST_OK)
		st = check_username(op, &u);
	if (st != ST_OK)
		return st;
	st = user_by_name(&op->view, login_ops_key(op), u.username, &made, &op->ans->err);
	if (st == ST_OK)
		return answer_fail(op->ans, ST_EXISTS,
		                   "there is a user with this username already");
	if (st != ST_NOT_FOUND)
		return op->ans->status = st;
	st = read_passphrase(op, &u.passphrase);
	if (st == ST_NOT_FOUND)
		return answer_fail(op->ans, ST_INVALID, "passphrase is missing");
	if (st == ST_OK)
		st = add_totp(op, &u);
	if (st == ST_OK)
		st = user_create(&op->view, login_ops_key(op), &u, &op->ans->err);
	if (st != ST_OK)
		return op->ans->status = st;
	made = u;
	st = add_device_by_code(op, &u);
	if (st == ST_OK)
		st = user_put(&op->view, login_ops_key(op), &made, &u, &op->ans->err);
	return st == ST_OK ? put_changed(op, &u, WITH_TOTP) : (op->ans->status = st);
}

enum status login_ops_user_edit(struct op *op)
{
	struct user before, u;
	enum status st = login_ops_user(op, op->arg[0], &before);

	if (st != ST_OK)
		return st;
	u = before;
	st = read_members(op, &u);
	if (st == ST_OK)
		st = check_username(op, &u);
	if (st == ST_OK)
		st = read_passphrase(op, &u.passphrase);
	if (st == ST_OK || st == ST_NOT_FOUND)
		st = add_device_by_prefix(op, &u);
	if (st == ST_OK)
		st = user_put(&op->view, login_ops_key(op), &before, &u, &op->ans->err);
	return st == ST_OK ? put_changed(op, &u, WITHOUT_SECRETS) : (op->ans->status = st);
}

enum status login_ops_user_deactivate(struct op *op)
{
	struct user before, u;
	struct json_writer w;
	enum status st = login_ops_user(op, op->arg[0], &before);

	if (st != ST_OK)
		return st;
	u = before;
	u.status &= ~USER_ACTIVE;
	st = user_put(&op->view, login_ops_key(op), &before, &u, &op->ans->err);
	if (st != ST_OK)
		return op->ans->status = st;
	json_writer_init(&w, &op->ans->data);
	json_begin_object(&w);
	json_put_uint(&w, "calculated_status", u.status);
	json_end_object(&w);
	op->ans->shape = ANSWER_DATA;
	return op->ans->status = builder_status(&op->ans->data);
}
