/*
 * Logging in.  As prepare it asks only whether the name has to wait, and hands the passphrase to the pool; on the writer, with what that found, it asks again and checks everything, so that a code that was shown is taken and a failure is counted, whatever else was wrong.  All refusals look alike, and a name that no user has costs the
 * same work.
 */
#include <inttypes.h>
#include <string.h>

#include "core/login_apikey.h"
#include "core/login_lock.h"
#include "core/login_ops_impl.h"
#include "core/login_session.h"
#include "core/login_yubikey.h"
#include "crypto/ct.h"

/* What was shown. */
struct attempt {
	struct span username, passphrase, apikey, otp;
	enum { SECOND_TOTP, SECOND_YUBIKEY, SECOND_CERTIFICATE } second;
};

/* A code of a device is longer than any other (as clients tell them apart). */
#define TOTP_LONGEST 8

/* Everything in one string: passphrase, API key, code; taken apart from its end, as a passphrase may hold anything. */
static enum status split_keys(struct op *op, struct span keys, struct attempt *a)
{
	size_t n = 0;
	enum status st;

	if (keys.n <= YUBICO_OTP_LEN)
		return answer_fail(op->ans, ST_INVALID,
		                   "keys must hold passphrase, API key and one-time code");
	a->second = SECOND_YUBIKEY;
	a->otp = span_from(keys, keys.n - YUBICO_OTP_LEN);
	keys.n -= YUBICO_OTP_LEN;
	st = login_apikey_behind(&op->view, login_ops_key(op), keys, &n, &op->ans->err);
	if (st != ST_OK && st != ST_DENIED)
		return op->ans->status = st;
	a->apikey = span_from(keys, keys.n - n);
	a->passphrase = span_of(keys.p, keys.n - n);
	return ST_OK;
}

static enum status read_type(struct op *op, struct attempt *a)
{
	struct span type = {0};
	enum status st = request_string(op->req, "logintype", &type, &op->ans->err);

	if (st != ST_OK && st != ST_NOT_FOUND)
		return op->ans->status = st;
	if (type.n == 0)
		a->second = a->otp.n > TOTP_LONGEST ? SECOND_YUBIKEY : SECOND_TOTP;
	else if (span_eq_str(type, "totp"))
		a->second = SECOND_TOTP;
	else if (span_eq_str(type, "yubikey_otp"))
		a->second = SECOND_YUBIKEY;
	else if (span_eq_str(type, "smartcard") || span_eq_str(type, "smc_rest"))
		a->second = SECOND_CERTIFICATE;
	else
		return answer_fail(op->ans, ST_INVALID,
		                   "logintype must be \"totp\", \"yubikey_otp\" or \"smartcard\"");
	return ST_OK;
}

/* The code comes before its type, which may have to be told from it; a certificate needs none. */
static enum status read_second(struct op *op, struct attempt *a)
{
	enum status st = request_string(op->req, "otp", &a->otp, &op->ans->err);

	if (st != ST_OK && st != ST_NOT_FOUND)
		return op->ans->status = st;
	st = read_type(op, a);
	if (st == ST_OK && a->second != SECOND_CERTIFICATE && a->otp.n == 0)
		st = answer_fail(op->ans, ST_INVALID, "otp is missing");
	return st;
}

static enum status read_attempt(struct op *op, struct attempt *ret)
{
	struct attempt a = {.second = SECOND_TOTP};
	struct span keys = {0};
	enum status st = login_ops_text(op, "username", &a.username);

	if (st != ST_OK)
		return st;
	st = request_string(op->req, "keys", &keys, &op->ans->err);
	if (st == ST_OK) {
		st = split_keys(op, keys, &a);
	} else if (st == ST_NOT_FOUND) {
		st = login_ops_text(op, "passphrase", &a.passphrase);
		if (st == ST_OK)
			st = login_ops_text(op, "apikey", &a.apikey);
		if (st == ST_OK)
			st = read_second(op, &a);
	}
	if (st == ST_OK && (a.passphrase.n > PASSPHRASE_MAX || a.username.n > 4 * USER_NAME_MAX))
		st = answer_fail(op->ans, ST_INVALID, "username or passphrase is too long");
	if (st == ST_OK)
		*ret = a;
	return op->ans->status = st;
}

/* The user with this name; id 0 and an empty hash when there is none. */
static enum status find_user(struct op *op, struct span username, struct user *ret)
{
	enum status st = user_by_name(&op->view, login_ops_key(op), username, ret, &op->ans->err);

	if (st == ST_NOT_FOUND) {
		*ret = (struct user){.id = 0};
		st = ST_OK;
	}
	return op->ans->status = st;
}

/* ---- the parts, none of which tells whether another was right ---- */

static enum status take_totp(struct op *op, const struct attempt *a, const struct user *u)
{
	static const uint8_t nobodys[TOTP_SECRET_LEN];
	struct user changed = *u;
	struct span secret = u->totp.n > 0 ? u->totp : span_of(nobodys, sizeof nobodys);
	uint64_t step;
	enum status st = totp_check(secret, a->otp, op->now_ns, u->totp_step, &step);

	if (st != ST_OK || u->totp.n == 0)
		return ST_DENIED;
	changed.totp_step = step;
	return user_put(&op->view, login_ops_key(op), u, &changed, &op->ans->err);
}

static enum status take_code(struct op *op, const struct attempt *a, const struct user *u)
{
	uint32_t owner;
	enum status st;

	if (a->second == SECOND_TOTP)
		return take_totp(op, a, u);
	if (a->second == SECOND_CERTIFICATE)
		st = login_ops_presented(op, &owner, NULL);
	else
		st = login_yubikey_take(&op->view, a->otp, &owner, &op->ans->err);
	if (st == ST_OK && (owner == 0 || owner != u->id))
		st = ST_DENIED;
	return st;
}

static enum status refuse(struct op *op, const struct lock_who *who)
{
	enum status st =
	    login_lock_failed(&op->view, login_ops_key(op), who, op->now_ns, &op->ans->err);

	if (st != ST_OK)
		return op->ans->status = st;
	op->keep = true;
	return answer_fail(op->ans, ST_NO_SESSION, "the log-in failed");
}

static void put_answer(struct op *op, const struct user *u, const struct session *s,
                       const char *token)
{
	const struct login_ops *o = op->self;
	struct json_writer w;
	char number[16];
	struct builder b;

	json_writer_init(&w, &op->ans->data);
	json_begin_object(&w);
	builder_init_fixed(&b, number, sizeof number);
	builder_dec(&b, u->id);
	json_put_string(&w, "userid", builder_span(&b));
	json_put_string(&w, "username", u->username);
	json_put_string(&w, "fullname", u->fullname);
	builder_init_fixed(&b, number, sizeof number);
	builder_dec(&b, u->status);
	json_put_string(&w, "userstatus", builder_span(&b));
	json_put_cstr(&w, "fingerprint", "");
	json_put_int(&w, "timeout", login_ops_world(op)->login.timeout_ns / 1000000);
	json_put_int(&w, "filesupport", 0);
	json_name(&w, "audit");
	json_begin_object(&w);
	json_name(&w, "violations");
	json_begin_array(&w);
	json_end_array(&w);
	json_name(&w, "warnings");
	json_begin_array(&w);
	json_end_array(&w);
	json_end_object(&w);
	json_put_cstr(&w, "version", o->version);
	json_end_object(&w);

	json_writer_init(&w, &op->ans->auth);
	json_begin_object(&w);
	json_put_cstr(&w, "client_token", token);
	json_put_cstr(&w, "accessor", s->accessor);
	json_put_string(&w, "display_name", u->username);
	json_end_object(&w);
	op->ans->shape = ANSWER_DATA;
}

static enum status begin_session(struct op *op, const struct user *u, const struct lock_who *who)
{
	struct login_ops *o = op->self;
	const struct core_world *world = login_ops_world(op);
	char token[SESSION_TEXT_LEN + 1];
	struct session s;
	enum status st = login_lock_passed(&op->view, login_ops_key(op), who, &op->ans->err);

	if (st == ST_OK)
		st = session_start(&op->view, login_ops_key(op), op->random, &world->login, u->id,
		                   u->era, op->now_ns, &s, token, &op->ans->err);
	if (st != ST_OK)
		return op->ans->status = st;
	sched_at(o->sched, o->expiry_work, s.expire_ns);
	put_answer(op, u, &s, token);
	wipe(token, sizeof token);
	st = builder_status(&op->ans->data);
	return op->ans->status = st == ST_OK ? builder_status(&op->ans->auth) : st;
}

/* With what the pool found about the passphrase. */
static enum status decide(struct op *op, const struct attempt *a, const struct user *u,
                          const struct lock_who *who)
{
	const struct login_work *work = (const struct login_work *)(const void *)op->slow;
	enum status code, apikey;

	if (work->status != ST_OK && work->status != ST_DENIED)
		return answer_fail(op->ans, work->status, "the passphrase could not be checked");
	if (work->makes != (u->id == 0) || (u->id != 0 && !span_eq_str(u->passphrase, work->hash)))
		return answer_fail(op->ans, ST_BUSY,
		                   "the user was changed meanwhile: log in again");
	code = take_code(op, a, u);
	if (code != ST_OK && code != ST_DENIED)
		return op->ans->status = code;
	apikey = login_apikey_check(&op->view, login_ops_key(op), a->apikey, &op->ans->err);
	if (apikey != ST_OK && apikey != ST_DENIED)
		return op->ans->status = apikey;
	if (u->id == 0 || work->status != ST_OK || code != ST_OK || apikey != ST_OK ||
	    !user_can_log_in(u))
		return refuse(op, who);
	return begin_session(op, u, who);
}

enum status login_ops_login(struct op *op)
{
	struct login_work *work;
	struct attempt a;
	struct lock_who who;
	struct user u;
	int64_t wait_s;
	enum status st = read_attempt(op, &a);

	if (st == ST_OK)
		st = find_user(op, a.username, &u);
	if (st != ST_OK)
		return st;
	who = (struct lock_who){u.id, a.username};
	st = login_lock_check(&op->view, login_ops_key(op), &who, op->now_ns, &wait_s,
	                      &op->ans->err);
	if (st != ST_OK)
		return op->ans->status = st;
	if (wait_s > 0)
		return answer_fail(op->ans, ST_NO_SESSION,
		                   "too many failed log-ins: try again in %" PRId64 " s", wait_s);
	if (op->slow != NULL)
		return decide(op, &a, &u, &who);
	st = login_work_new(a.passphrase, u.id != 0 ? u.passphrase : span_of(NULL, 0), &work);
	if (st != ST_OK)
		return answer_fail(op->ans, st, "no memory for a log-in");
	op->slow = &work->slow;
	return op->ans->status = ST_PENDING;
}
