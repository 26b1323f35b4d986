#include "core/login_ops.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/login_ops_impl.h"
#include "core/login_session.h"

const struct core_world *login_ops_world(const struct op *op)
{
	return world_core(txn_world(op->view.txn));
}

const struct hmac_key *login_ops_key(const struct op *op)
{
	return token_key_hmac(login_ops_world(op)->login_key);
}

enum status login_ops_text(struct op *op, const char *name, struct span *ret)
{
	struct span text = {0};
	enum status st = request_string(op->req, name, &text, &op->ans->err);

	if (st == ST_NOT_FOUND || (st == ST_OK && text.n == 0))
		return answer_fail(op->ans, ST_INVALID, "%s is missing", name);
	if (st != ST_OK)
		return op->ans->status = st;
	*ret = text;
	return ST_OK;
}

/* A decimal number of at most ten digits; 0: it is none. */
static uint32_t user_id(struct span text)
{
	uint64_t id = 0;

	if (text.n == 0 || text.n > 10)
		return 0;
	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] < '0' || text.p[i] > '9')
			return 0;
		id = id * 10 + (uint64_t)(text.p[i] - '0');
	}
	return id <= UINT32_MAX ? (uint32_t)id : 0;
}

enum status login_ops_user(struct op *op, struct span arg, struct user *ret)
{
	uint32_t id = user_id(arg);
	enum status st = ST_NOT_FOUND;

	if (id != 0)
		st = user_find(&op->view, id, ret, &op->ans->err);
	if (st == ST_NOT_FOUND)
		st = user_by_name(&op->view, login_ops_key(op), arg, ret, &op->ans->err);
	if (st == ST_NOT_FOUND)
		return answer_fail(op->ans, st, "no such user");
	return op->ans->status = st;
}

enum status login_find_user(const struct op *op, uint32_t id, struct user_facts *ret,
                            struct err *err)
{
	struct view users;
	struct user u;
	enum status st;

	view_init(&users, op->view.txn, span_str(LOGIN_PREFIX));
	st = user_find(&users, id, &u, err);
	if (st == ST_OK)
		*ret = (struct user_facts){u.id, u.status, u.username, u.fullname, u.email};
	return st;
}

/* ---- slow work ---- */

static void work_run(struct slow *slow)
{
	struct login_work *w = (struct login_work *)(void *)slow;

	w->status = w->makes ? password_hash(secret_span(w->passphrase), w->hash)
	                     : password_verify(w->hash, secret_span(w->passphrase));
}

static void work_free(struct slow **slow)
{
	struct login_work *w = (struct login_work *)(void *)*slow;

	*slow = NULL;
	secret_free(&w->passphrase);
	wipe(w, sizeof *w);
	free(w);
}

enum status login_work_new(struct span passphrase, struct span hash, struct login_work **ret)
{
	struct login_work *w = calloc(1, sizeof *w);
	enum status st = ST_NOMEM;

	if (w == NULL)
		return st;
	w->slow = (struct slow){.run = work_run, .free = work_free};
	w->status = ST_PENDING;
	w->makes = hash.n == 0;
	st = w->makes ? ST_OK : span_cstr(hash, w->hash, sizeof w->hash);
	if (st == ST_OK)
		st = secret_from(passphrase, &w->passphrase);
	if (st != ST_OK) {
		free(w);
		return st;
	}
	*ret = w;
	return ST_OK;
}

/* ---- a session ---- */

static enum status login_types_op(struct op *op)
{
	const struct login_ops *o = op->self;
	struct json_writer w;

	json_writer_init(&w, &op->ans->data);
	json_begin_object(&w);
	json_name(&w, "enabled_login_types");
	json_begin_array(&w);
	json_begin_array(&w);
	json_cstr(&w, "totp");
	json_cstr(&w, "yubikey_otp");
	if (o->smartcards)
		json_cstr(&w, "smartcard");
	json_end_array(&w);
	json_end_array(&w);
	json_end_object(&w);
	op->ans->shape = ANSWER_DATA;
	return op->ans->status = builder_status(&op->ans->data);
}

enum status login_ops_no_session(struct op *op)
{
	return answer_fail(op->ans, ST_INVALID, "a service token is no session");
}

/* That the gate let it pass is the answer. */
static enum status check_op(struct op *op)
{
	if (op->caller->user == 0)
		return login_ops_no_session(op);
	builder_str(&op->ans->data, "{}");
	op->ans->shape = ANSWER_DATA;
	return op->ans->status = builder_status(&op->ans->data);
}

static enum status logout_op(struct op *op)
{
	enum status st;

	if (op->caller->user == 0)
		return login_ops_no_session(op);
	st = session_end(&op->view, op->caller->hash, &op->ans->err);
	if (st != ST_OK)
		return op->ans->status = st;
	builder_str(&op->ans->data, "{\"logout\":\"Bye bye\"}");
	op->ans->shape = ANSWER_DATA;
	return op->ans->status = builder_status(&op->ans->data);
}

/* ---- the table ---- */

/* What sessions need. */
#define ANY_USER                                     \
	{                                            \
		NEED_USER, 0, LEVEL_NONE, LEVEL_NONE \
	}
#define USER_WITH(bits)                                 \
	{                                               \
		NEED_USER, bits, LEVEL_NONE, LEVEL_NONE \
	}

#define SELF_OR(bits)                                   \
	{                                               \
		NEED_SELF, bits, LEVEL_NONE, LEVEL_NONE \
	}

static const struct operation operations[] = {
    {"login", VERB_WRITE, "login", OP_WRITE, OP_NO_TOKEN, login_ops_login, NULL, login_ops_login},
    {"login-types", VERB_READ, "logintypes", OP_READ, OP_NO_TOKEN, login_types_op, NULL},
    {"smartcard-user", VERB_READ, "smartcard", OP_READ, OP_NO_TOKEN, login_ops_smartcard, NULL},
    {"login-check", VERB_READ, "check", OP_READ, 0, check_op, NULL, .need = ANY_USER},
    {"logout", VERB_WRITE, "logout", OP_WRITE, 0, logout_op, NULL, .need = ANY_USER},

    {"user-list", VERB_LIST, "users", OP_READ, 0, login_ops_user_list, NULL,
     .need = USER_WITH(USER_ADMIN | USER_WRITE)},
    {"user-read", VERB_READ, "users/:user", OP_READ, 0, login_ops_user_read, NULL,
     .need = USER_WITH(USER_ADMIN | USER_WRITE)},
    {"user-create", VERB_WRITE, "users", OP_WRITE, 0, login_ops_user_create, NULL,
     .need = USER_WITH(USER_ADMIN)},
    {"user-edit", VERB_WRITE, "users/:user", OP_WRITE, 0, login_ops_user_edit, NULL,
     .need = USER_WITH(USER_ADMIN)},
    {"user-deactivate", VERB_DELETE, "users/:user", OP_WRITE, 0, login_ops_user_deactivate, NULL,
     .need = USER_WITH(USER_ADMIN)},

    {"cert-own", VERB_READ, "certificate", OP_READ, 0, login_ops_cert_own, NULL, .need = ANY_USER},
    {"cert-read", VERB_READ, "users/:user/certificate", OP_READ, 0, login_ops_cert_read, NULL,
     .need = SELF_OR(USER_ADMIN)},
    {"cert-add", VERB_WRITE, "users/:user/certificate", OP_WRITE, 0, login_ops_cert_add, NULL,
     .need = USER_WITH(USER_ADMIN)},
    {"cert-remove", VERB_DELETE, "users/:user/certificate", OP_WRITE, 0, login_ops_cert_remove,
     NULL, .need = USER_WITH(USER_ADMIN)},

    {"user-otp", VERB_WRITE, "users/:user/otp", OP_WRITE, 0, login_ops_otp, NULL},
    {"user-otp-remove", VERB_DELETE, "users/:user/otp", OP_WRITE, 0, login_ops_otp_remove, NULL},
    {"apikey-list", VERB_LIST, "apikeys", OP_READ, 0, login_ops_apikey_list, NULL},
    {"apikey-create", VERB_WRITE, "apikeys/:name", OP_WRITE, 0, login_ops_apikey_create, NULL},
    {"apikey-revoke", VERB_DELETE, "apikeys/:name", OP_WRITE, 0, login_ops_apikey_revoke, NULL},
    {"login-settings-read", VERB_READ, "config", OP_READ, 0, login_ops_settings_read, NULL},
    {"login-settings", VERB_WRITE, "config", OP_WRITE, 0, login_ops_settings, NULL},
};

const struct engine engine_login = {"storedsafe-login", operations,
                                    sizeof operations / sizeof *operations};

/* ---- expiry ---- */

#define EXPIRE_A_SLICE 256

static enum status expiry_work(void *ctx, struct txn *t, int64_t now_ns, int64_t *ret_next_ns,
                               struct err *err)
{
	struct view logins;
	size_t n;
	enum status st;

	(void)ctx;
	view_init(&logins, t, span_str(LOGIN_PREFIX));
	st = session_expire(&logins, now_ns, EXPIRE_A_SLICE, &n, err);
	if (st == ST_OK && n == 0)
		return session_next_expiry(&logins, ret_next_ns, err);
	*ret_next_ns = SCHED_NOW; /* looked at once more: this group's commit may fail */
	return st;
}

void login_ops_setup(struct login_ops *o)
{
	o->expiry_work = sched_add(o->sched, "session expiry", expiry_work, o);
}
