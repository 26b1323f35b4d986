/*
 * api: requests of both dialects, the whole way but for the socket: api_handle, gate, writer, engines, a store in memory, audit.
 *
 * Input: 'n' (a store not initialised), 's' (sealed) or 'o' (open), a line end, then up to six requests as text: "METHOD TARGET", header lines, an empty
 * line, the body up to a line "%%".  @root@, @share@ and @last@ in a header or body stand for the root token, the one share, and the token made
 * last.
 *   - each request is answered exactly once, with a status in 200 to 599 that is never 500;
 *   - an answer with JSON is one object, small enough, of its dialect's shape; errors have "errors" or "ERRORS"; 204 has no body; nothing in its headers
 *     can split a line;
 *   - without a token nothing is done or shown but the few things below sys/ that need none;
 *   - what http itself refuses gets an answer of the same shape (api_reject).
 * A store that a request may have changed is not used for the next input.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "fuzz.h"
#include "lib/house.h"

#define REQUESTS_MAX 6
#define FIELDS_MAX   12

enum mode { NEW, SEALED, OPEN, MODES };

struct site {
	struct house *house;
	struct api *api;
};

static struct site sites[MODES];

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	fuzz_process();
	return 0;
}

/* ---- one exchange ---- */

struct call {
	struct exchange x; /* first member */
	struct api *api;
	struct header headers[FIELDS_MAX];
	struct builder target, query, body;
	struct builder values[FIELDS_MAX];
	struct span names[FIELDS_MAX];
	unsigned finished;
	pthread_mutex_t lock;
	pthread_cond_t cond;
};

static void finish(struct exchange *x)
{
	struct call *c = (struct call *)(void *)x;

	pthread_mutex_lock(&c->lock);
	c->finished++;
	pthread_cond_signal(&c->cond);
	pthread_mutex_unlock(&c->lock);
}

static void handle(void *arg)
{
	struct call *c = arg;

	/* as http does; none of the engines here has streams */
	if (c->x.method == HTTP_POST || c->x.method == HTTP_PUT)
		MUST(api_streams(c->api, &c->x) == EXCHANGE_WHOLE);
	api_handle(c->api, &c->x);
}

static void forget(void *arg)
{
	struct call *c = arg;

	MUST(c->finished == 1);
	api_forget(c->api, &c->x);
	MUST(c->x.state == NULL);
}

/* ---- what is put into a request ---- */

static char last_token[128];

/* The text with what stands for secrets replaced; in memory of exactly its size. */
static void fill_in(struct builder *b, struct span text, const struct house *h)
{
	const struct {
		const char *name, *value;
	} known[] = {{"@root@", h->root}, {"@share@", h->share}, {"@last@", last_token}};

	while (text.n > 0) {
		size_t i = 0;

		while (i < 3 && !span_starts(text, span_str(known[i].name)))
			i++;
		if (i < 3)
			builder_str(b, known[i].value);
		else
			builder_u8(b, text.p[0]);
		text = span_from(text, i < 3 ? strlen(known[i].name) : 1);
	}
	MUST(builder_status(b) == ST_OK);
}

static enum http_method method_of(struct span s)
{
	static const char *const names[] = {"GET",   "HEAD", "POST", "PUT",    "DELETE",
	                                    "PATCH", "LIST", "SCAN", "OPTIONS"};
	size_t i = 0;

	while (i < sizeof names / sizeof *names && !span_eq_str(s, names[i]))
		i++;
	return (enum http_method)i;
}

/* What http lets through. */
static bool target_ok(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= 0x20 || s.p[i] >= 0x7f || s.p[i] == '#')
			return false;
	return s.n > 0 && s.p[0] == '/';
}

static bool value_ok(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((s.p[i] < 0x20 && s.p[i] != '\t') || s.p[i] == 0x7f)
			return false;
	return true;
}

/* "METHOD TARGET"; false: not one that http would hand over. */
static bool take_line(struct call *c, struct span line)
{
	const uint8_t *space = line.n > 0 ? memchr(line.p, ' ', line.n) : NULL;

	if (space == NULL)
		return false;
	c->x.method = method_of(span_of(line.p, (size_t)(space - line.p)));
	struct span target = span_from(line, (size_t)(space - line.p) + 1);
	if (!target_ok(target))
		return false;
	const uint8_t *mark = memchr(target.p, '?', target.n);
	size_t n = mark != NULL ? (size_t)(mark - target.p) : target.n;
	builder_add(&c->target, span_of(target.p, n));
	if (mark != NULL)
		builder_add(&c->query, span_from(target, n + 1));
	return true;
}

static void take_headers(struct call *c, struct cursor *in, const struct house *h)
{
	for (;;) {
		struct span line = fuzz_line(in);
		const uint8_t *colon = line.n > 0 ? memchr(line.p, ':', line.n) : NULL;

		if (line.n == 0)
			return;
		if (colon == NULL || c->x.n_headers == FIELDS_MAX)
			continue;
		struct span name = span_of(line.p, (size_t)(colon - line.p));
		struct span value = span_from(line, name.n + 1);
		while (value.n > 0 && (value.p[0] == ' ' || value.p[0] == '\t'))
			value = span_from(value, 1);
		if (!value_ok(value))
			continue;
		size_t i = c->x.n_headers++;
		fill_in(&c->values[i], value, h);
		c->headers[i].name = name;
		c->headers[i].value = builder_span(&c->values[i]);
	}
}

static void take_body(struct call *c, struct cursor *in, const struct house *h)
{
	struct span all = span_of(in->p, in->left);
	const uint8_t *end = all.n > 0 ? memmem(all.p, all.n, "\n%%\n", 4) : NULL;

	fill_in(&c->body, fuzz_span(in, end != NULL ? (size_t)(end - all.p) : all.n), h);
	(void)fuzz_span(in, end != NULL ? 4 : 0);
}

/* ---- what comes out ---- */

static bool needs_no_token(const struct call *c)
{
	static const char *const open[] = {"sys/health", "sys/seal-status", "sys/leader",
	                                   "sys/init", "sys/unseal"};
	char buf[PATH_MAX_LEN + 1];
	struct span path, raw = builder_span(&c->target);

	if (!span_starts(raw, span_str("/v1/")) ||
	    path_unescape(span_from(raw, 4), buf, sizeof buf, &path, NULL) != ST_OK)
		return false;
	for (size_t i = 0; i < sizeof open / sizeof *open; i++)
		if (span_starts(path, span_str(open[i])))
			return true;
	return false;
}

/* Of the dialect whose answers are envelopes of another shape. */
static bool of_storedsafe(const struct call *c)
{
	return span_starts(builder_span(&c->target), span_str("/api/1.0/"));
}

static bool sets_code(const struct call *c)
{
	return c->query.n > 0 && memmem(c->query.p, c->query.n, "code", 4) != NULL;
}

static void remember_token(const struct json_value *root)
{
	const struct json_value *t = json_member(json_member(root, "auth"), "client_token");

	char text[sizeof last_token];

	if (t != NULL && t->type == JSON_STRING && span_cstr(t->text, text, sizeof text) == ST_OK)
		memcpy(last_token, text, sizeof text);
}

static void check_json(const struct call *c)
{
	static const struct json_limits limits = {
	    .depth = JSON_DEPTH_MAX, .values = 1000000, .string = 1 << 25};
	struct builder whole = {0};
	struct json doc;
	uint8_t *copy;
	size_t n;

	builder_add(&whole, builder_span(&c->x.body_first));
	builder_add(&whole, builder_span(&c->x.body_out));
	copy = fuzz_copy(builder_span(&whole));
	n = whole.n;
	builder_free(&whole);

	json_init(&doc);
	MUST(n > 0 && copy[n - 1] == '\n' && memchr(copy, '\n', n) == copy + n - 1);
	MUST(json_parse(&doc, copy, n, &limits, NULL) == ST_OK);
	MUST(json_root(&doc)->type == JSON_OBJECT);
	const char *name = of_storedsafe(c) ? "ERRORS" : "errors";
	const struct json_value *errors = json_member(json_root(&doc), name);

	MUST(of_storedsafe(c) == (json_member(json_root(&doc), "CALLINFO") != NULL));
	if (errors != NULL)
		MUST(c->x.status >= 400 && errors->type == JSON_ARRAY);
	else if (!sets_code(c))
		MUST(c->x.status < 300 || c->x.status == 429 || c->x.status == 472 ||
		     c->x.status == 473 || c->x.status == 501 || c->x.status == 503);
	if (c->x.status < 300)
		remember_token(json_root(&doc));
	json_free(&doc);
	free(copy);
}

static void check_answer(const struct call *c)
{
	const struct exchange *x = &c->x;

	MUST(builder_status(&x->body_out) == ST_OK && builder_status(&x->body_first) == ST_OK);
	MUST(x->status >= 200 && x->status <= 599);
	MUST(x->status != 500 || sets_code(c));
	MUST(x->n_extra <= sizeof x->extra / sizeof *x->extra);
	for (size_t i = 0; i < x->n_extra; i++)
		MUST(value_ok(x->extra[i].name) && value_ok(x->extra[i].value));
	if (x->content_type == NULL) {
		MUST(x->status == 204 && x->body_out.n == 0);
	} else {
		/* health answers with the code it is asked for; http then leaves the body out */
		MUST(value_ok(span_str(x->content_type)) && (x->status != 204 || sets_code(c)));
		if (strncmp(x->content_type, "application/json", 16) == 0)
			check_json(c);
	}
	if (exchange_header(x, "x-vault-token").n == 0 &&
	    exchange_header(x, "authorization").n == 0 && x->status < 300)
		MUST(needs_no_token(c));
}

static void check_reject(struct call *c)
{
	static const unsigned statuses[] = {400, 408, 413, 414, 431, 503};

	c->x.status = statuses[c->body.n % (sizeof statuses / sizeof *statuses)];
	unsigned want = c->x.status;
	api_reject(&c->x, want, "what http has to say: \"\\");
	MUST(c->x.status == want && c->finished == 1);
	check_json(c);
}

/* ---- a conversation ---- */

static void call_free(struct call *c)
{
	builder_free(&c->target);
	builder_free(&c->query);
	builder_free(&c->body);
	builder_free(&c->x.body_first);
	builder_free(&c->x.body_out);
	for (size_t i = 0; i < FIELDS_MAX; i++)
		builder_free(&c->values[i]);
	pthread_mutex_destroy(&c->lock);
	pthread_cond_destroy(&c->cond);
	free(c);
}

static void run(struct site *site, struct call *c)
{
	uint8_t *target = fuzz_copy(builder_span(&c->target)),
	        *query = fuzz_copy(builder_span(&c->query)),
	        *body = fuzz_copy(builder_span(&c->body));

	c->x.target = span_of(target, c->target.n);
	c->x.query = span_of(query, c->query.n);
	c->x.body = body;
	c->x.n_body = c->body.n;
	c->x.remote = span_str("127.0.0.1:5555");
	c->x.loop = &site->house->loop.loop;
	c->x.headers = c->headers;
	c->x.finish = finish;
	house_on_loop(site->house, handle, c);
	pthread_mutex_lock(&c->lock);
	while (c->finished == 0)
		pthread_cond_wait(&c->cond, &c->lock);
	pthread_mutex_unlock(&c->lock);
	check_answer(c);
	check_reject(c);
	house_on_loop(site->house, forget, c);
	free(target);
	free(query);
	free(body);
}

/* false: nothing may have changed. */
static bool changes(const struct call *c)
{
	return c->x.method != HTTP_GET && c->x.method != HTTP_HEAD && c->x.method != HTTP_LIST &&
	       c->x.method != HTTP_SCAN;
}

static bool converse(struct site *site, struct cursor *in)
{
	bool changed = false;

	for (int i = 0; i < REQUESTS_MAX && in->left > 0; i++) {
		struct call *c = calloc(1, sizeof *c);

		MUST(c != NULL);
		c->api = site->api;
		pthread_mutex_init(&c->lock, NULL);
		pthread_cond_init(&c->cond, NULL);
		bool good = take_line(c, fuzz_line(in));
		take_headers(c, in, site->house);
		take_body(c, in, site->house);
		if (good)
			run(site, c);
		changed = changed || (good && changes(c));
		call_free(c);
	}
	return changed;
}

static void seal(struct house *h)
{
	MUST(house_ask(h, VERB_WRITE, "sys/seal", h->root, NULL) == ST_OK);
}

static struct site *site_for(enum mode m)
{
	struct site *s = &sites[m];

	if (s->house != NULL)
		return s;
	s->house = house_new("/dev/null");
	if (m != NEW)
		house_open(s->house);
	if (m == OPEN) {
		MUST(house_ask(s->house, VERB_WRITE, "sys/mounts/secret", s->house->root,
		               "{\"type\":\"kv\"}") == ST_OK);
		MUST(house_ask(s->house, VERB_WRITE, "secret/a", s->house->root, "{\"v\":\"x\"}") ==
		     ST_OK);
	}
	if (m == SEALED)
		seal(s->house);
	MUST(api_new(s->house->gate, &s->api) == ST_OK);
	return s;
}

static void site_drop(struct site *s)
{
	api_free(&s->api);
	house_free(&s->house);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct cursor in = cursor_of(span_of(data, n));
	struct span mode = fuzz_line(&in);
	struct site *s = site_for(span_eq_str(mode, "n")   ? NEW
	                          : span_eq_str(mode, "s") ? SEALED
	                                                   : OPEN);

	(void)snprintf(last_token, sizeof last_token, "none");
	if (converse(s, &in))
		site_drop(s);
	return 0;
}
