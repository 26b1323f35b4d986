/*
 * /api/1.0/: the shapes of the StoredSafe REST API.
 *
 * In: method and path by the table of routes, the token from X-Http-Token, else from the body or the query, the body as a JSON object whatever its declared type, but for
 * forms where a file is sent (storedsafe_form.c).
 * Out: the envelope (storedsafe_answer.c).
 */
#include "api/storedsafe.h"

#include <stdlib.h>
#include <string.h>

#include "api/query.h"
#include "api/storedsafe_impl.h"

#define PREFIX "/api/1.0/"
/* A connection keeps what a usual request needs, and gives back what an unusual one took. */
#define KEPT_VALUES 2048
#define KEPT_ANSWER ((size_t)256 << 10)
/* Taken before a request is carried out, so that what became of it can be told in any case. */
#define ERROR_ROOM ((size_t)1 << 10)

static void give_back_doc(struct json *doc)
{
	if (doc->cap > KEPT_VALUES)
		json_free(doc);
}

/* Nothing of the request is left in the state but memory, and of that not much. */
static void give_back(struct safe_state *s)
{
	if (s->call.ans.data.cap > KEPT_ANSWER)
		answer_free(&s->call.ans);
	else
		answer_reset(&s->call.ans);
	give_back_doc(&s->doc);
	give_back_doc(&s->data);
	give_back_doc(&s->auth);
	wipe(s->call.next_token, sizeof s->call.next_token);
	s->call.req.data = NULL;
	s->call.req.n_query = 0;
	s->call.req.token = span_of(NULL, 0);
	s->call.req.certificate = span_of(NULL, 0);
	s->route = NULL;
}

static struct safe_state *state_of(struct exchange *x)
{
	struct safe_state *s = x->state;

	if (s == NULL) {
		s = calloc(1, sizeof *s);
		if (s == NULL)
			return NULL;
		s->of.dialect = &dialect_storedsafe;
		json_init(&s->doc);
		json_init(&s->data);
		json_init(&s->auth);
		answer_init(&s->call.ans);
		x->state = s;
	}
	give_back(s);
	return builder_room(&x->body_out, ERROR_ROOM) != NULL ? s : NULL;
}

static void forget(struct exchange *x)
{
	struct safe_state *s = x->state;

	x->state = NULL;
	gate_forget(&s->call);
	answer_free(&s->call.ans);
	json_free(&s->doc);
	json_free(&s->data);
	json_free(&s->auth);
	builder_free(&s->query);
	wipe(s, sizeof *s);
	free(s);
}

static void put_error(struct exchange *x, unsigned status, const char *text)
{
	safe_put_refusal(x, NULL, status, text);
}

static void refuse(struct exchange *x, struct safe_state *s, unsigned status, const char *text)
{
	safe_put_refusal(x, s, status, text);
	give_back(s);
	x->finish(x);
}

static void call_done(struct gate_call *call)
{
	struct exchange *x = call->owner;
	struct safe_state *s = x->state;

	safe_put_answer(x, s);
	give_back(s);
	x->finish(x);
}

/* ---- requests ---- */

static enum status parse_query(struct safe_state *s, struct span raw, struct err *err)
{
	enum status st = query_parse(raw, &s->query, &s->call.req);

	if (st == ST_OK)
		return st;
	s->call.req.n_query = 0;
	return err_set(err, st == ST_NOMEM ? st : ST_INVALID,
	               "the query is malformed, or has too many parameters");
}

/* Which operation, and the path of the neutral request. */
static enum status parse_path(struct safe_state *s, const struct exchange *x, struct err *err)
{
	enum http_method method = x->method == HTTP_HEAD ? HTTP_GET : x->method;
	struct span text;
	enum status st = path_unescape(span_from(x->target, strlen(PREFIX)), s->text,
	                               sizeof s->text, &text, err);

	if (st == ST_OK)
		st = path_parse(text, &s->path, err);
	if (st == ST_OK)
		st = route_find(method, &s->path, &s->route, err);
	if (st == ST_OK)
		st = route_path(s->route, &s->path, &s->call.req.path, err);
	if (st == ST_OK)
		s->call.req.verb = s->route->verb;
	return st;
}

static enum status parse_body(struct safe_state *s, struct exchange *x, struct err *err)
{
	enum status st;

	if (x->n_body == 0)
		return ST_OK;
	st = safe_parse_form(s, x, err);
	if (st != ST_NOT_FOUND) {
		if (st == ST_OK)
			s->call.req.data = json_root(&s->doc);
		return st;
	}
	st = json_parse(&s->doc, x->body, x->n_body, NULL, err);
	if (st != ST_OK)
		return err_wrap(err, st == ST_LIMIT ? ST_INVALID : st, "the body is no JSON");
	if (json_root(&s->doc)->type != JSON_OBJECT)
		return err_set(err, ST_INVALID, "the body must be a JSON object");
	s->call.req.data = json_root(&s->doc);
	return ST_OK;
}

/* The header wins; the legacy parameter is one of the body or of the query. */
static enum status parse_token(struct safe_state *s, const struct exchange *x, struct err *err)
{
	struct request *r = &s->call.req;
	struct span token = exchange_header(x, "x-http-token");
	enum status st;

	r->token_kind = TOKEN_KIND_SESSION;
	if (s->route->token != ROUTE_SESSION)
		return ST_OK;
	if (token.n == 0) {
		st = request_string(r, "token", &token, err);
		if (st != ST_OK && st != ST_NOT_FOUND)
			return st;
	}
	r->token = token;
	return ST_OK;
}

static void handle(struct api *api, struct exchange *x)
{
	struct safe_state *s = state_of(x);
	struct err err = {0};
	enum status st;

	if (s == NULL) {
		put_error(x, 503, "out of memory");
		x->finish(x);
		return;
	}
	st = parse_path(s, x, &err);
	if (st == ST_OK)
		st = parse_query(s, x->query, &err);
	if (st == ST_OK)
		st = parse_body(s, x, &err);
	if (st == ST_OK)
		st = parse_token(s, x, &err);
	if (st != ST_OK) {
		refuse(x, s, safe_http_status(st), err_text(&err, st));
		return;
	}
	s->call.req.remote = x->remote;
	s->call.req.certificate = x->certificate;
	s->call.loop = x->loop;
	s->call.owner = x;
	s->call.done = call_done;
	gate_submit(api->gate, &s->call);
}

const struct dialect dialect_storedsafe = {
    .prefix = PREFIX, .handle = handle, .error = put_error, .forget = forget};
