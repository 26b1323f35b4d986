/*
 * /v1/: HashiCorp Vault's and OpenBao's shapes.
 *
 * In: the verb from the method (and ?list=true), the path split once, the token from X-Vault-Token or Authorization: Bearer, the body
 * as a JSON object.  Out: the envelope {request_id, lease_id, renewable, lease_duration, data, wrap_info, warnings, auth}, or {"errors": [...]}.
 */
#include "api/vault.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "api/query.h"

#define PREFIX "/v1/"
/* A connection keeps what a usual request needs, and gives back what an unusual one took. */
#define KEPT_VALUES 2048
#define KEPT_ANSWER ((size_t)256 << 10)

struct vault_state {
	struct exchange_state of;
	struct gate_call call; /* call.owner is the exchange */
	struct json doc;
	char path[PATH_MAX_LEN + 1];
	struct builder query; /* decoded; made large enough before anything points into it */
	bool understood;      /* path, query and verb are this exchange's already */
};

/* ---- answers ---- */

/* Taken before a request is carried out, so that what became of it can be told in any case. */
#define ERROR_ROOM ((size_t)1 << 10)

static void put_error(struct exchange *x, unsigned status, const char *text)
{
	struct json_writer w;

	exchange_reset(x);
	x->status = status;
	x->content_type = "application/json";
	json_writer_init(&w, &x->body_out);
	json_begin_object(&w);
	json_name(&w, "errors");
	json_begin_array(&w);
	if (text[0] != 0)
		json_cstr(&w, text);
	json_end_array(&w);
	json_end_object(&w);
	builder_u8(&x->body_out, '\n');
	if (builder_status(&x->body_out) != ST_OK)
		exchange_reset(x); /* better no text than half of one */
}

static void refuse(struct exchange *x, unsigned status, const char *text)
{
	put_error(x, status, text);
	x->finish(x);
}

static unsigned http_status(enum status st)
{
	static const unsigned of[ST_COUNT] = {
	    [ST_OK] = 200,      [ST_INVALID] = 400,     [ST_NOT_FOUND] = 404,
	    [ST_EXISTS] = 400,  [ST_CONFLICT] = 400,    [ST_DENIED] = 403,
	    [ST_SEALED] = 503,  [ST_CORRUPT] = 500,     [ST_UNCERTAIN] = 500,
	    [ST_NOMEM] = 503,   [ST_IO] = 500,          [ST_FULL] = 507,
	    [ST_LIMIT] = 400,   [ST_UNSUPPORTED] = 405, [ST_NO_ROUTE] = 404,
	    [ST_BUSY] = 503,    [ST_UNAVAILABLE] = 503, [ST_NEEDS_WRITER] = 500,
	    [ST_PENDING] = 500, [ST_NO_SESSION] = 403,
	};

	return of[st];
}

static void put_or_null(struct builder *b, const char *name, struct span value, const char *open,
                        const char *close)
{
	builder_str(b, name);
	if (value.n == 0) {
		builder_str(b, "null");
		return;
	}
	builder_str(b, open);
	builder_add(b, value);
	builder_str(b, close);
}

/* From here on the data is not copied. */
#define LARGE_DATA ((size_t)4 << 10)

static void put_envelope_head(struct builder *b, const struct gate_call *call)
{
	builder_str(b, "\"request_id\":\"");
	builder_str(b, call->req.id);
	builder_str(b, "\",\"lease_id\":\"\",\"renewable\":false,\"lease_duration\":");
	builder_dec(b, call->ans.lease_duration_s);
}

static void put_envelope_tail(struct builder *b, const struct answer *a)
{
	put_or_null(b, ",\"wrap_info\":null,\"warnings\":", builder_span(&a->warnings), "[", "]");
	put_or_null(b, ",\"auth\":", builder_span(&a->auth), "", "");
}

/* The data's own memory is sent, with the envelope before it. */
static void put_envelope_around(struct exchange *x, struct gate_call *call)
{
	struct answer *a = &call->ans;
	struct builder b = x->body_out;

	builder_u8(&x->body_first, '{');
	put_envelope_head(&x->body_first, call);
	put_envelope_tail(&x->body_first, a);
	builder_str(&x->body_first, ",\"data\":");
	x->body_out = a->data;
	a->data = b;
	builder_str(&x->body_out, "}\n");
}

/* Straight text: everything in it is JSON already. */
static void put_envelope(struct exchange *x, struct gate_call *call)
{
	const struct answer *a = &call->ans;
	struct builder *b = &x->body_out;
	struct span data = builder_span(&a->data);

	if (a->shape != ANSWER_DATA_TOP && data.n > LARGE_DATA) {
		put_envelope_around(x, call);
		return;
	}
	builder_u8(b, '{');
	if (a->shape == ANSWER_DATA_TOP && data.n > 2) {
		builder_add(b, span_of(data.p + 1, data.n - 2));
		builder_u8(b, ',');
	}
	put_envelope_head(b, call);
	put_or_null(b, ",\"data\":", data, "", "");
	put_envelope_tail(b, a);
	builder_str(b, "}\n");
}

/* The data as it is becomes the body: shares of a new store need no memory any more. */
static void put_bare(struct exchange *x, struct answer *a)
{
	struct builder b = x->body_out;

	x->body_out = a->data;
	a->data = b;
	builder_u8(&x->body_out, '\n');
}

static void put_answer(struct exchange *x, struct gate_call *call)
{
	struct answer *a = &call->ans;

	exchange_reset(x);
	x->content_type = "application/json";
	x->status = a->http_status != 0 ? a->http_status : 200;
	switch (a->shape) {
	case ANSWER_EMPTY:
		if (a->warnings.n > 0) {
			put_envelope(x, call);
			break;
		}
		x->status = a->http_status != 0 ? a->http_status : 204;
		x->content_type = NULL;
		break;
	case ANSWER_TEXT:
		x->content_type = a->content_type;
		builder_add(&x->body_out, builder_span(&a->data));
		break;
	case ANSWER_BARE:
		put_bare(x, a);
		break;
	case ANSWER_DATA:
	case ANSWER_DATA_TOP:
	case ANSWER_AUTH:
		put_envelope(x, call);
		break;
	}
}

/* Nothing of the request is left in the state but memory, and of that not much. */
static void give_back(struct vault_state *s)
{
	if (s->call.ans.data.cap > KEPT_ANSWER)
		answer_free(&s->call.ans);
	else
		answer_reset(&s->call.ans);
	if (s->doc.cap > KEPT_VALUES)
		json_free(&s->doc);
	s->call.req.data = NULL;
	s->understood = false;
}

/* Did all of it fit? */
static enum status answer_status(const struct answer *a)
{
	enum status st = builder_status(&a->data);

	if (st == ST_OK)
		st = builder_status(&a->auth);
	return st == ST_OK ? builder_status(&a->warnings) : st;
}

/* It was carried out, and the answer cannot be written. */
static void put_no_answer(struct exchange *x, const struct gate_call *call, enum status why)
{
	const char *made = gate_changed(call) ? "the change was made, but " : "";
	char text[96];

	(void)snprintf(text, sizeof text, "%s%s", made,
	               why == ST_LIMIT ? "the answer is too large"
	                               : "there is no memory for the answer");
	put_error(x, http_status(why == ST_LIMIT ? ST_IO : why), text);
}

static void call_done(struct gate_call *call)
{
	struct exchange *x = call->owner;
	const struct answer *a = &call->ans;
	enum status st;

	if (a->status == ST_OK)
		put_answer(x, call);
	else
		put_error(x, http_status(a->status),
		          a->status == ST_NOT_FOUND ? "" : err_text(&a->err, a->status));
	st = a->status == ST_OK ? answer_status(a) : ST_OK;
	if (st == ST_OK)
		st = builder_status(&x->body_out);
	if (st == ST_OK)
		st = builder_status(&x->body_first);
	if (st != ST_OK)
		put_no_answer(x, call, st);
	give_back(x->state);
	x->finish(x);
}

/* ---- requests ---- */

static struct vault_state *state_of(struct exchange *x)
{
	struct vault_state *s = x->state;

	if (s == NULL) {
		s = calloc(1, sizeof *s);
		if (s == NULL)
			return NULL;
		s->of.dialect = &dialect_vault;
		json_init(&s->doc);
		answer_init(&s->call.ans);
		x->state = s;
	}
	give_back(s);
	return builder_room(&x->body_out, ERROR_ROOM) != NULL ? s : NULL;
}

static void forget(struct exchange *x)
{
	struct vault_state *s = x->state;

	x->state = NULL;
	gate_forget(&s->call);
	answer_free(&s->call.ans);
	json_free(&s->doc);
	builder_free(&s->query);
	wipe(s, sizeof *s);
	free(s);
}

/* GET with ?list=true; the body is not read yet. */
static enum status read_or_list(const struct request *r, enum verb *ret, struct err *err)
{
	struct span text = {0};
	bool list = false;
	enum status st = request_string(r, "list", &text, err);

	if (st == ST_OK && text.n > 0)
		st = request_bool(r, "list", &list, err);
	if (st != ST_OK && st != ST_NOT_FOUND)
		return st;
	*ret = list ? VERB_LIST : VERB_READ;
	return ST_OK;
}

/* ST_UNSUPPORTED: no such method here. */
static enum status verb_of(enum http_method m, const struct request *r, enum verb *ret,
                           struct err *err)
{
	static const enum verb of[] = {
	    [HTTP_POST] = VERB_WRITE,  [HTTP_PUT] = VERB_WRITE, [HTTP_DELETE] = VERB_DELETE,
	    [HTTP_PATCH] = VERB_PATCH, [HTTP_LIST] = VERB_LIST, [HTTP_SCAN] = VERB_SCAN,
	};

	if (m == HTTP_GET || m == HTTP_HEAD)
		return read_or_list(r, ret, err);
	if (m == HTTP_OPTIONS || m == HTTP_OTHER)
		return err_set(err, ST_UNSUPPORTED, "unsupported method");
	*ret = of[m];
	return ST_OK;
}

static struct span token_of(const struct exchange *x)
{
	static const char bearer[] = "bearer ";
	struct span token = exchange_header(x, "x-vault-token");

	if (token.n > 0)
		return token;
	token = exchange_header(x, "authorization");
	/* A scheme's name is the same in upper and lower case (RFC 9110, 11.1). */
	if (token.n < strlen(bearer) ||
	    strncasecmp((const char *)token.p, bearer, strlen(bearer)) != 0)
		return span_of(NULL, 0);
	token = span_from(token, strlen(bearer));
	while (token.n > 0 && token.p[0] == ' ')
		token = span_from(token, 1);
	return token;
}

/* A header that asks for what does not exist here must not be passed over in silence. */
static const char *unmet_header(const struct exchange *x, unsigned *status)
{
	struct span ns = exchange_header(x, "x-vault-namespace");
	struct span wrap = exchange_header(x, "x-vault-wrap-ttl");

	if (ns.n > 0 && !span_eq_str(ns, "root") && !span_eq_str(ns, "root/") &&
	    !span_eq_str(ns, "/")) {
		*status = 404;
		return "no such namespace: this server has none but root";
	}
	if (wrap.n > 0 && !span_eq_str(wrap, "0") && !span_eq_str(wrap, "0s")) {
		*status = 400;
		return "response wrapping is not available in this version";
	}
	return NULL;
}

/* The body's members; null, a string (as recorded) or nothing at all are no members. */
static enum status parse_body(struct vault_state *s, struct exchange *x, struct err *err)
{
	const struct json_value *root;
	enum status st;

	s->call.req.data = NULL;
	if (x->n_body == 0)
		return ST_OK;
	st = json_parse(&s->doc, x->body, x->n_body, NULL, err);
	if (st != ST_OK)
		return err_wrap(err, st == ST_LIMIT ? ST_INVALID : st,
		                "failed to decode JSON input");
	root = json_root(&s->doc);
	if (root->type == JSON_OBJECT)
		s->call.req.data = root;
	else if (root->type != JSON_NULL && root->type != JSON_STRING)
		return err_set(err, ST_INVALID, "failed to decode JSON input: an object is needed");
	return ST_OK;
}

static enum status parse_path(struct vault_state *s, struct span target, struct err *err)
{
	struct span text;
	enum status st =
	    path_unescape(span_from(target, strlen(PREFIX)), s->path, sizeof s->path, &text, err);

	return st == ST_OK ? path_parse(text, &s->call.req.path, err) : st;
}

/* Path, query and verb; perhaps they were asked for before.  Else err has the text for an answer. */
static enum status understand(struct vault_state *s, const struct exchange *x, struct err *err)
{
	struct request *r = &s->call.req;
	enum status st;

	if (s->understood)
		return ST_OK;
	if (x->target.n == strlen(PREFIX))
		return err_set(err, ST_NO_ROUTE,
		               "no handler for route \"\". route entry not found.");
	st = query_parse(x->query, &s->query, r);
	if (st != ST_OK)
		return err_set(err, st,
		               st == ST_NOMEM
		                   ? "out of memory"
		                   : "the query is malformed, or has too many parameters");
	st = verb_of(x->method, r, &r->verb, err);
	if (st == ST_OK)
		st = parse_path(s, x->target, err);
	s->understood = st == ST_OK;
	return st;
}

/* What curl says of its own accord is none of these. */
static bool is_lines(struct span content_type)
{
	static const char *const types[] = {"application/x-ndjson", "application/json"};
	const uint8_t *semicolon =
	    content_type.n > 0 ? memchr(content_type.p, ';', content_type.n) : NULL;

	if (semicolon != NULL)
		content_type.n = (size_t)(semicolon - content_type.p);
	while (content_type.n > 0 && content_type.p[content_type.n - 1] == ' ')
		content_type.n--;
	for (size_t i = 0; i < sizeof types / sizeof *types; i++)
		if (content_type.n == strlen(types[i]) &&
		    strncasecmp((const char *)content_type.p, types[i], content_type.n) == 0)
			return true;
	return content_type.n == 0;
}

static const char *unmet_type(const struct exchange *x, enum verb verb)
{
	struct span type = exchange_header(x, "content-type");

	if (verb == VERB_PATCH && !span_starts(type, span_str("application/merge-patch+json")))
		return "PATCH requires Content-Type of application/merge-patch+json";
	if (x->kind == EXCHANGE_STREAM && !is_lines(type))
		return "a stream requires Content-Type of application/x-ndjson";
	return NULL;
}

static void begun(struct gate_call *call)
{
	struct exchange *x = call->owner;
	const struct stream_kind *kind = gate_stream_kind(call);

	x->status = 200;
	x->content_type = kind->content_type;
	x->item_max =
	    kind->item_max + 1; /* what is half of a line end may come before the other half */
	x->begin(x);
}

static void resumed(struct gate_call *call)
{
	struct exchange *x = call->owner;

	x->resume(x);
}

static void handle(struct api *api, struct exchange *x)
{
	struct vault_state *s = x->state;
	struct err err = {0};
	struct request *r;
	const char *why;
	unsigned status;
	enum status st;

	if (x->kind == EXCHANGE_WHOLE && (s == NULL || !s->understood))
		s = state_of(x);
	if (s == NULL || (x->kind == EXCHANGE_STREAM && !s->understood)) {
		refuse(x, 503, "out of memory");
		return;
	}
	r = &s->call.req;
	st = understand(s, x, &err);
	s->understood = false;
	if (st != ST_OK) {
		refuse(x, http_status(st), err_text(&err, st));
		return;
	}
	why = unmet_header(x, &status);
	if (why != NULL) {
		refuse(x, status, why);
		return;
	}
	why = unmet_type(x, r->verb);
	if (why != NULL) {
		refuse(x, 415, why);
		return;
	}
	st = parse_body(s, x, &err);
	if (st != ST_OK) {
		give_back(s);
		refuse(x, http_status(st), err_text(&err, st));
		return;
	}
	r->token = token_of(x);
	r->remote = x->remote;
	r->certificate = x->certificate;
	s->call.loop = x->loop;
	s->call.body = x->kind == EXCHANGE_STREAM ? GATE_BODY_STREAM : GATE_BODY_WHOLE;
	s->call.owner = x;
	s->call.done = call_done;
	s->call.begun = begun;
	s->call.resumed = resumed;
	gate_submit(api->gate, &s->call);
}

/* ---- streams ---- */

/* What cannot be understood is refused by handle; without memory at once, before the body might be taken for another one. */
static enum exchange_kind streams(struct api *api, struct exchange *x)
{
	struct vault_state *s = state_of(x);
	struct err err = {0};
	enum status st = s != NULL ? understand(s, x, &err) : ST_NOMEM;

	if (st == ST_NOMEM)
		return EXCHANGE_STREAM;
	if (st != ST_OK)
		return EXCHANGE_WHOLE;
	s->call.loop = x->loop;
	return gate_streams(api->gate, &s->call) ? EXCHANGE_STREAM : EXCHANGE_WHOLE;
}

static enum stream_step stream(struct api *api, struct exchange *x, struct stream_visit *v)
{
	struct vault_state *s = x->state;
	enum stream_step step = gate_stream(&s->call, v);

	(void)api;
	if (step == STREAM_OVER)
		give_back(s);
	return step;
}

static void abort_stream(struct api *api, struct exchange *x)
{
	struct vault_state *s = x->state;

	(void)api;
	gate_stream_abort(&s->call);
	give_back(s);
}

const struct dialect dialect_vault = {.prefix = PREFIX,
                                      .handle = handle,
                                      .error = put_error,
                                      .forget = forget,
                                      .streams = streams,
                                      .stream = stream,
                                      .abort = abort_stream};
