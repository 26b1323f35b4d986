/*
 * The envelope: CALLINFO with what the call gave, DATA with what was sent, HEADERS, PARAMS, and what stands beside them.
 *
 * DATA shows what is known to be harmless, and that something else was sent: names of parameters that may be shown are listed here, all others are masked.
 */
#include <string.h>

#include "api/storedsafe_impl.h"

#define MASK         "********"
#define CODE_TEXTS   "2000"
#define CODE_SESSION "1200"

unsigned safe_http_status(enum status st)
{
	static const unsigned of[ST_COUNT] = {
	    [ST_OK] = 200,      [ST_INVALID] = 400,     [ST_NOT_FOUND] = 404,
	    [ST_EXISTS] = 409,  [ST_CONFLICT] = 409,    [ST_DENIED] = 403,
	    [ST_SEALED] = 503,  [ST_CORRUPT] = 500,     [ST_UNCERTAIN] = 500,
	    [ST_NOMEM] = 503,   [ST_IO] = 500,          [ST_FULL] = 507,
	    [ST_LIMIT] = 400,   [ST_UNSUPPORTED] = 405, [ST_NO_ROUTE] = 404,
	    [ST_BUSY] = 503,    [ST_UNAVAILABLE] = 503, [ST_NEEDS_WRITER] = 500,
	    [ST_PENDING] = 500, [ST_NO_SESSION] = 401,
	};

	return of[st];
}

/* ---- what was sent ---- */

/* Names of parameters, each with its length. */
#define HARMLESS(name)                                    \
	{                                                 \
		(const uint8_t *)(name), sizeof(name) - 1 \
	}
static const struct span harmless[] = {HARMLESS("allow_backup"),
                                       HARMLESS("allow_delete"),
                                       HARMLESS("allow_export"),
                                       HARMLESS("auto_rotate_period"),
                                       HARMLESS("bits"),
                                       HARMLESS("delimeter"),
                                       HARMLESS("delimiter"),
                                       HARMLESS("description"),
                                       HARMLESS("email"),
                                       HARMLESS("extension"),
                                       HARMLESS("fieldname"),
                                       HARMLESS("fullname"),
                                       HARMLESS("groupname"),
                                       HARMLESS("info"),
                                       HARMLESS("key_version"),
                                       HARMLESS("language"),
                                       HARMLESS("length"),
                                       HARMLESS("logintype"),
                                       HARMLESS("max_char"),
                                       HARMLESS("max_operations"),
                                       HARMLESS("max_versions"),
                                       HARMLESS("min_char"),
                                       HARMLESS("min_decryption_version"),
                                       HARMLESS("min_encryption_version"),
                                       HARMLESS("otpprefix"),
                                       HARMLESS("policy"),
                                       HARMLESS("policyid"),
                                       HARMLESS("retire_after"),
                                       HARMLESS("rewrap_only"),
                                       HARMLESS("searchstring"),
                                       HARMLESS("size"),
                                       HARMLESS("state"),
                                       HARMLESS("status"),
                                       HARMLESS("to_version"),
                                       HARMLESS("totp"),
                                       HARMLESS("type"),
                                       HARMLESS("username"),
                                       HARMLESS("vaultid"),
                                       HARMLESS("vaultname"),
                                       HARMLESS("words")};

static bool may_be_shown(struct span name)
{
	for (size_t i = 0; i < sizeof harmless / sizeof *harmless; i++)
		if (span_eq(name, harmless[i]))
			return true;
	return false;
}

/* The token's place is its own. */
static bool is_token(struct span name)
{
	return span_eq_str(name, "token");
}

/* What the envelope is made from: the request, and the route that was found; both may be NULL. */
struct sent {
	const struct request *request;
	const struct route *route;
	const struct path *path;
};

/* The path's segments that are echoed. */
static bool echoed(const struct sent *s, unsigned i, struct span *ret_name, struct span *ret_value)
{
	return s->route != NULL && s->route->echo == ECHO_PATH &&
	       route_segment(s->route, s->path, i, ret_name, ret_value);
}

/* Sent otherwise too, it is the path's that is shown. */
static bool is_of_path(const struct sent *s, struct span name)
{
	struct span known, value;

	for (unsigned i = 0; echoed(s, i, &known, &value); i++)
		if (span_eq(known, name))
			return true;
	return false;
}

/* An array or an object is shown when all in it are plain values. */
static bool is_flat(const struct json_value *v)
{
	const struct json_value *item = json_first(v);

	if (v->type != JSON_ARRAY && v->type != JSON_OBJECT)
		return true;
	for (uint32_t i = 0; i < v->count; i++, item = json_next(item))
		if (item->type == JSON_ARRAY || item->type == JSON_OBJECT)
			return false;
	return true;
}

static void put_path(struct json_writer *w, const struct sent *s)
{
	struct span name, value;

	for (unsigned i = 0; echoed(s, i, &name, &value); i++) {
		json_name_span(w, name);
		json_string(w, value);
	}
}

static void put_body(struct json_writer *w, const struct sent *s, const struct json_value *body)
{
	const struct json_value *v = json_first(body);

	for (uint32_t i = 0; i < body->count; i++, v = json_next(v)) {
		if (is_token(v->name) || is_of_path(s, v->name))
			continue;
		json_name_span(w, v->name);
		if (may_be_shown(v->name) && is_flat(v))
			json_copy(w, v);
		else
			json_cstr(w, MASK);
	}
}

/* Another parameter of this name, of the body or earlier in the query. */
static bool was_shown(const struct request *r, unsigned at)
{
	for (unsigned i = 0; i < at; i++)
		if (span_eq(r->query[i].name, r->query[at].name))
			return true;
	return json_member_span(r->data, r->query[at].name) != NULL;
}

static void put_query(struct json_writer *w, const struct sent *s)
{
	const struct request *r = s->request;

	for (unsigned i = 0; i < r->n_query; i++) {
		struct span name = r->query[i].name;

		if (is_token(name) || is_of_path(s, name) || was_shown(r, i))
			continue;
		json_name_span(w, name);
		if (may_be_shown(name))
			json_string(w, r->query[i].value);
		else
			json_cstr(w, MASK);
	}
}

/* An object; nothing in it: an empty array, as clients of this API know it. */
static void put_data(struct json_writer *w, const struct sent *s)
{
	const struct request *r = s->request;
	struct span name, value;
	bool token = r != NULL && r->token.n > 0;

	json_name(w, "DATA");
	if (r == NULL || (!token && r->n_query == 0 && (r->data == NULL || r->data->count == 0) &&
	                  !echoed(s, 0, &name, &value))) {
		json_begin_array(w);
		json_end_array(w);
		return;
	}
	json_begin_object(w);
	put_path(w, s);
	if (r->data != NULL)
		put_body(w, s, r->data);
	put_query(w, s);
	if (token)
		json_put_string(w, "token", r->token);
	json_end_object(w);
}

/* "x-http-token" as "X-Http-Token". */
static struct span canonical(struct span name, char *buf, size_t cap)
{
	bool first = true;

	if (name.n > cap)
		return name;
	for (size_t i = 0; i < name.n; i++) {
		uint8_t c = name.p[i];

		buf[i] = (char)(first && c >= 'a' && c <= 'z' ? c + 'A' - 'a' : c);
		first = c == '-';
	}
	return span_of(buf, name.n);
}

static bool is_credential(struct span header)
{
	return span_eq_str(header, "authorization") || span_eq_str(header, "cookie") ||
	       span_eq_str(header, "proxy-authorization") || span_eq_str(header, "x-vault-token");
}

/* The first of each name. */
static bool is_repeated(const struct exchange *x, size_t at)
{
	for (size_t i = 0; i < at; i++)
		if (span_eq(x->headers[i].name, x->headers[at].name))
			return true;
	return false;
}

static void put_headers(struct json_writer *w, const struct exchange *x)
{
	json_name(w, "HEADERS");
	json_begin_object(w);
	for (size_t i = 0; i < x->n_headers; i++) {
		struct span name = x->headers[i].name;
		char buf[64];

		if (is_repeated(x, i))
			continue;
		json_name_span(w, canonical(name, buf, sizeof buf));
		if (is_credential(name))
			json_cstr(w, MASK);
		else
			json_string(w, x->headers[i].value);
	}
	json_end_object(w);
}

/* ---- what it gave ---- */

/* Members of an answer that stand beside CALLINFO, and their names there. */
static const char *beside(struct span name)
{
	static const char *const names[][2] = {{"vaults", "VAULTS"},   {"vault", "VAULT"},
	                                       {"objects", "OBJECTS"}, {"templates", "TEMPLATES"},
	                                       {"result", "RESULT"},   {"named_keys", "KEYS"}};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (span_eq_str(name, names[i][0]))
			return names[i][1];
	return NULL;
}

enum part { PART_CALLINFO, PART_BESIDE };

static void put_members(struct json_writer *w, const struct json_value *data, enum part part)
{
	const struct json_value *v;

	if (data == NULL || data->type != JSON_OBJECT)
		return;
	v = json_first(data);
	for (uint32_t i = 0; i < data->count; i++, v = json_next(v)) {
		const char *name = beside(v->name);

		if ((name != NULL) != (part == PART_BESIDE))
			continue;
		if (name != NULL)
			json_name(w, name);
		else
			json_name_span(w, v->name);
		json_copy(w, v);
	}
}

/* What the call is answered with. */
struct outcome {
	const char *code; /* of the failure; NULL: success */
	const char *text;
	const char *handler;
	struct span token, general, name; /* name: of the key that the call was about */
	struct span plain;                /* what the call gave, as its text */
	const struct json_value *data;    /* or parsed; NULL: none */
	enum route_token kind;
};

/* The members of an object's text, without its braces. */
static struct span inner(struct span object)
{
	return object.n > 2 ? span_of(object.p + 1, object.n - 2) : span_of(NULL, 0);
}

static void put_callinfo(struct json_writer *w, const struct outcome *o)
{
	bool failed = o->code != NULL;

	json_name(w, "CALLINFO");
	json_begin_object(w);
	json_members(w, span_str(failed ? "\"errorcodes\":1,\"errors\":1,\"general\":["
	                                : "\"errorcodes\":0,\"errors\":0,\"general\":["));
	builder_add(w->b, o->general);
	builder_u8(w->b, ']');
	json_put_cstr(w, "handler", o->handler);
	json_put_cstr(w, "status", failed ? "FAIL" : "SUCCESS");
	if (o->token.n > 0)
		json_put_string(w, "token", o->token);
	if (!failed && o->kind == ROUTE_LOGIN)
		json_put_cstr(w, "password", MASK);
	if (!failed && o->name.n > 0)
		json_put_string(w, "name", o->name);
	if (!failed && inner(o->plain).n > 0)
		json_members(w, inner(o->plain));
	if (!failed)
		put_members(w, o->data, PART_CALLINFO);
	json_end_object(w);
}

static void put_failure(struct json_writer *w, const struct outcome *o)
{
	json_name(w, "ERRORCODES");
	json_begin_object(w);
	json_put_cstr(w, o->code,
	              strcmp(o->code, CODE_SESSION) == 0 ? "Not logged in"
	                                                 : "Errormessages exists");
	json_end_object(w);
	json_name(w, "ERRORS");
	json_begin_array(w);
	json_cstr(w, o->text);
	json_end_array(w);
}

static void put_envelope(struct exchange *x, const struct sent *s, unsigned status,
                         const struct outcome *o)
{
	struct json_writer w;

	exchange_reset(x);
	x->status = status;
	x->content_type = "application/json; charset=UTF-8";
	json_writer_init(&w, &x->body_out);
	json_begin_object(&w);
	put_callinfo(&w, o);
	put_data(&w, s);
	if (o->code != NULL)
		put_failure(&w, o);
	put_headers(&w, x);
	json_name(&w, "PARAMS");
	json_begin_array(&w);
	json_end_array(&w);
	if (o->code == NULL)
		put_members(&w, o->data, PART_BESIDE);
	json_end_object(&w);
	builder_u8(&x->body_out, '\n');
}

/* ---- the two ways out ---- */

static const char *handler_of(const struct safe_state *s)
{
	return s != NULL && s->route != NULL ? s->route->handler : "ApiHandler";
}

void safe_put_refusal(struct exchange *x, const struct safe_state *s, unsigned status,
                      const char *text)
{
	struct outcome o = {
	    .code = CODE_TEXTS, .text = text, .handler = handler_of(s), .kind = ROUTE_OPEN};
	const struct sent nothing = {.request = NULL};

	put_envelope(x, &nothing, status, &o);
	if (builder_status(&x->body_out) != ST_OK)
		exchange_reset(x); /* better no text than half of one */
}

/* Texts of the gate that speak of what this API calls something else. */
static const char *failure_text(const struct answer *a)
{
	if (a->status == ST_SEALED)
		return "the server is sealed";
	if (a->status == ST_NO_ROUTE)
		return "this resource is not set up on this server";
	return err_text(&a->err, a->status);
}

/* The server's own text: what there was memory to write may be as large as it is. */
static const struct json_limits own_limits = {JSON_DEPTH_MAX, UINT32_MAX, UINT32_MAX};

static enum status parse_part(struct json *doc, const struct builder *part,
                              const struct json_value **ret)
{
	struct err err = {0};
	enum status st = builder_status(part);

	*ret = NULL;
	if (st != ST_OK || part->n == 0)
		return st;
	st = json_parse(doc, part->p, part->n, &own_limits, &err);
	if (st == ST_OK)
		*ret = json_root(doc);
	return st == ST_INVALID ? ST_CORRUPT : st;
}

/* "name" of the path, where that is echoed. */
static struct span key_name(const struct sent *s)
{
	struct span name, value;

	for (unsigned i = 0; echoed(s, i, &name, &value); i++)
		if (span_eq_str(name, "name"))
			return value;
	return span_of(NULL, 0);
}

/* It was carried out, and the answer cannot be written. */
static void put_no_answer(struct exchange *x, struct safe_state *s)
{
	safe_put_refusal(x, s, 503,
	                 gate_changed(&s->call)
	                     ? "the change was made, but there is no memory for the answer"
	                     : "there is no memory for the answer");
}

static enum status give_result(struct safe_state *s, struct outcome *o)
{
	const struct builder *data = &s->call.ans.data;
	enum status st = builder_status(data);

	if (s->route->answer != ROUTE_PLAIN)
		return parse_part(&s->data, data, &o->data);
	if (st == ST_OK)
		o->plain = builder_span(data);
	return st;
}

void safe_put_answer(struct exchange *x, struct safe_state *s)
{
	struct answer *a = &s->call.ans;
	const struct json_value *auth = NULL, *made;
	const struct sent sent = {.request = &s->call.req, .route = s->route, .path = &s->path};
	struct outcome o = {.handler = handler_of(s),
	                    .kind = s->route->token,
	                    .token = span_str(s->call.next_token),
	                    .general = builder_span(&a->warnings),
	                    .name = key_name(&sent)};
	unsigned status = s->route->status;

	if (a->status != ST_OK) {
		o.code = a->status == ST_NO_SESSION && o.kind == ROUTE_SESSION ? CODE_SESSION
		                                                               : CODE_TEXTS;
		o.text = failure_text(a);
		status = safe_http_status(a->status);
	} else if (give_result(s, &o) != ST_OK || parse_part(&s->auth, &a->auth, &auth) != ST_OK ||
	           builder_status(&a->warnings) != ST_OK) {
		put_no_answer(x, s);
		return;
	}
	made = json_member(auth, "client_token");
	if (made != NULL)
		o.token = made->text;
	put_envelope(x, &sent, status, &o);
	if (builder_status(&x->body_out) != ST_OK)
		put_no_answer(x, s);
}
