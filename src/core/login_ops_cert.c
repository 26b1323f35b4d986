/* Certificates of users: showing, registering, removing; whose the one is that a client shows. */
#include <stdio.h>
#include <time.h>

#include "core/login_cert.h"
#include "core/login_ops_impl.h"

/* ---- showing ---- */

/*
 * A name as an object, {"CN": "Eva", "OU": ["a", "b"]}: a type that stands more than once has an array.  For each attribute the whole name is gone through, which has X509_NAME_MAX of
 * them.
 */
struct naming {
	struct json_writer *w;
	const struct x509 *cert;
	enum x509_name whose;
	size_t at; /* attribute that is looked at */
};

/* Attributes of one type. */
struct same_type {
	struct json_writer *w; /* NULL: they are only counted */
	struct span type;
	size_t until; /* only those before this one */
	size_t at, n;
};

static enum status visit_same(void *arg, struct span type, struct span value)
{
	struct same_type *s = arg;

	if (s->at++ >= s->until || !span_eq(type, s->type))
		return ST_OK;
	s->n++;
	if (s->w != NULL)
		json_string(s->w, value);
	return ST_OK;
}

static enum status put_attribute(void *arg, struct span type, struct span value)
{
	struct naming *n = arg;
	struct same_type before = {.type = type, .until = n->at++},
	                 all = {.type = type, .until = SIZE_MAX}, shown = all;
	enum status st = x509_each(n->cert, n->whose, visit_same, &before);

	if (st != ST_OK || before.n > 0)
		return st;
	st = x509_each(n->cert, n->whose, visit_same, &all);
	if (st != ST_OK)
		return st;
	json_name_span(n->w, type);
	if (all.n == 1) {
		json_string(n->w, value);
		return ST_OK;
	}
	json_begin_array(n->w);
	shown.w = n->w;
	st = x509_each(n->cert, n->whose, visit_same, &shown);
	json_end_array(n->w);
	return st;
}

static enum status put_name(struct json_writer *w, const char *name, const struct x509 *cert,
                            enum x509_name whose)
{
	struct naming n = {.w = w, .cert = cert, .whose = whose};
	enum status st;

	json_name(w, name);
	json_begin_object(w);
	st = x509_each(cert, whose, put_attribute, &n);
	json_end_object(w);
	return st;
}

/* RFC 3339; a certificate's years have four digits. */
static void put_time(struct json_writer *w, const char *name, int64_t at_s)
{
	char text[48];
	time_t t = (time_t)at_s;
	struct tm tm;

	MUST(gmtime_r(&t, &tm) != NULL);
	(void)snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02dZ", tm.tm_year + 1900,
	               tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
	json_put_cstr(w, name, text);
}

static enum status put_certificate(struct json_writer *w, const struct x509 *cert)
{
	char fingerprint[2 * SHA256_LEN];
	struct builder hex;
	enum status st;

	builder_init_fixed(&hex, fingerprint, sizeof fingerprint);
	builder_hex(&hex, span_of(x509_fingerprint(cert), SHA256_LEN));
	json_begin_object(w);
	st = put_name(w, "subject", cert, X509_SUBJECT);
	if (st == ST_OK)
		st = put_name(w, "issuer", cert, X509_ISSUER);
	json_put_cstr(w, "serial", x509_serial(cert));
	put_time(w, "validFrom", x509_from_s(cert));
	put_time(w, "validTo", x509_until_s(cert));
	json_put_string(w, "fingerprint", builder_span(&hex));
	json_end_object(w);
	return st;
}

static enum status answer_certificate(struct op *op, const struct x509 *cert)
{
	struct json_writer w;
	enum status st;

	json_writer_init(&w, &op->ans->data);
	json_begin_object(&w);
	json_name(&w, "certificate");
	st = put_certificate(&w, cert);
	json_end_object(&w);
	if (st != ST_OK)
		return answer_fail(op->ans, st, "the certificate's names cannot be shown");
	op->ans->shape = ANSWER_DATA;
	return op->ans->status = builder_status(&op->ans->data);
}

static enum status no_certificate(struct op *op)
{
	return answer_fail(op->ans, ST_NOT_FOUND, "the user has no certificate");
}

static enum status show(struct op *op, uint32_t user)
{
	struct x509 *cert = NULL;
	enum status st = login_cert_find(&op->view, user, &cert, &op->ans->err);

	if (st == ST_NOT_FOUND)
		return no_certificate(op);
	if (st != ST_OK)
		return op->ans->status = st;
	st = answer_certificate(op, cert);
	x509_free(&cert);
	return st;
}

/* ---- the operations ---- */

enum status login_ops_cert_own(struct op *op)
{
	if (op->caller->user == 0)
		return login_ops_no_session(op);
	return show(op, op->caller->user);
}

enum status login_ops_cert_read(struct op *op)
{
	struct user u;
	enum status st = login_ops_user(op, op->arg[0], &u);

	return st == ST_OK ? show(op, u.id) : st;
}

/* One that has expired already is a mistake. */
static enum status check(struct op *op, const struct x509 *cert)
{
	if (op->now_ns / NS_PER_S > x509_until_s(cert))
		return answer_fail(op->ans, ST_INVALID, "the certificate has expired");
	return ST_OK;
}

enum status login_ops_cert_add(struct op *op)
{
	struct x509 *cert = NULL;
	struct span text;
	struct user u;
	enum status st = login_ops_user(op, op->arg[0], &u);

	if (st == ST_OK)
		st = login_ops_text(op, "user_cert", &text);
	if (st != ST_OK)
		return st;
	st = x509_read(text, &cert, &op->ans->err);
	if (st != ST_OK)
		return op->ans->status = st == ST_LIMIT ? ST_INVALID : st;
	st = check(op, cert);
	if (st == ST_OK)
		st = op->ans->status =
		    login_cert_put(&op->view, login_ops_key(op), u.id, cert, &op->ans->err);
	if (st == ST_OK)
		st = answer_certificate(op, cert);
	x509_free(&cert);
	return st;
}

/* ---- what a client shows ---- */

enum status login_ops_presented(struct op *op, uint32_t *ret_user, struct x509 **ret_cert)
{
	struct x509 *cert = NULL;
	uint32_t user = 0;
	enum status st;

	if (op->req->certificate.n == 0)
		return ST_DENIED;
	st = x509_read(op->req->certificate, &cert, &op->ans->err);
	if (st == ST_OK)
		st = login_cert_owner(&op->view, login_ops_key(op), cert, &user, &op->ans->err);
	if (st == ST_INVALID || st == ST_LIMIT || st == ST_NOT_FOUND)
		st = ST_DENIED;
	if (st == ST_OK && !x509_valid_at(cert, op->now_ns))
		st = ST_DENIED;
	if (st == ST_OK) {
		*ret_user = user;
		if (ret_cert != NULL) {
			*ret_cert = cert;
			cert = NULL;
		}
	}
	x509_free(&cert);
	return st;
}

static enum status answer_smartcard(struct op *op, const struct user *u, const struct x509 *cert)
{
	struct json_writer w;
	enum status st;

	json_writer_init(&w, &op->ans->data);
	json_begin_object(&w);
	json_put_string(&w, "username", u->username);
	st = put_name(&w, "subject", cert, X509_SUBJECT);
	json_end_object(&w);
	if (st != ST_OK)
		return answer_fail(op->ans, st, "the certificate's names cannot be shown");
	op->ans->shape = ANSWER_DATA;
	return op->ans->status = builder_status(&op->ans->data);
}

enum status login_ops_smartcard(struct op *op)
{
	struct x509 *cert = NULL;
	struct user u;
	uint32_t id;
	enum status st = login_ops_presented(op, &id, &cert);

	if (st == ST_OK)
		st = user_find(&op->view, id, &u, &op->ans->err);
	if (st == ST_OK && !user_can_log_in(&u))
		st = ST_DENIED;
	if (st == ST_OK)
		st = answer_smartcard(op, &u, cert);
	else if (st == ST_DENIED || st == ST_NOT_FOUND)
		st = answer_fail(op->ans, ST_NO_SESSION,
		                 "there is no valid certificate of an active user");
	else
		op->ans->status = st;
	x509_free(&cert);
	return st;
}

/* ---- removing ---- */

enum status login_ops_cert_remove(struct op *op)
{
	struct user u;
	enum status st = login_ops_user(op, op->arg[0], &u);

	if (st != ST_OK)
		return st;
	st = login_cert_remove(&op->view, login_ops_key(op), u.id, &op->ans->err);
	if (st == ST_NOT_FOUND)
		return no_certificate(op);
	op->ans->shape = ANSWER_EMPTY;
	return op->ans->status = st;
}
