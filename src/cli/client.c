#include "cli/client.h"

#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

#define ANSWER_MAX        ((size_t)64 << 20)
#define CONNECT_TIMEOUT_S 10L
#define TIMEOUT_S         60L

struct client {
	CURL *curl;
	struct curl_slist *headers; /* hold the token */
	char *base;                 /* "https://HOST:PORT"; no slash at the end */
	char *shown;                /* the address as people wrote it, likewise */
};

/* Percent-encoding (RFC 3986, 2.1 and 2.3). */
void client_escape(struct builder *b, struct span s)
{
	static const char plain[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/";
	size_t i;

	for (i = 0; i < s.n; i++) {
		if (memchr(plain, s.p[i], sizeof plain - 1) != NULL)
			builder_u8(b, s.p[i]);
		else
			builder_fmt(b, "%%%02X", (unsigned)s.p[i]);
	}
}

void client_query(struct builder *b, json_t *object)
{
	const char *name = NULL;
	json_t *value = NULL;

	json_object_foreach(object, name, value)
	{
		if (b->n > 0)
			builder_str(b, "&");
		client_escape(b, span_str(name));
		builder_str(b, "=");
		client_escape(b, span_of(json_string_value(value), json_string_length(value)));
	}
}

/* Nothing that could end a header line, or start another. */
static bool token_good(struct span token)
{
	size_t i;

	for (i = 0; i < token.n; i++)
		if (token.p[i] <= ' ' || token.p[i] >= 0x7f)
			return false;
	return true;
}

static enum status set_headers(struct client *c, struct span token, struct err *err)
{
	static const char *const fixed[] = {"X-Vault-Request: true",
	                                    "Content-Type: application/json",
	                                    "Accept: application/json", "Expect:"};
	struct curl_slist *grown;
	struct builder line = {0};
	enum status s = ST_NOMEM;
	size_t i;

	for (i = 0; i < sizeof fixed / sizeof fixed[0]; i++) {
		grown = curl_slist_append(c->headers, fixed[i]);
		if (grown == NULL)
			goto out;
		c->headers = grown;
	}
	s = ST_OK;
	if (token.n == 0)
		goto out;
	builder_str(&line, "X-Vault-Token: ");
	builder_add(&line, token);
	builder_u8(&line, 0);
	s = builder_status(&line);
	if (s != ST_OK)
		goto out;
	grown = curl_slist_append(c->headers, (const char *)builder_span(&line).p);
	if (grown == NULL) {
		s = ST_NOMEM;
		goto out;
	}
	c->headers = grown;
out:
	builder_free(&line);
	return s == ST_OK ? ST_OK : err_set(err, s, "out of memory");
}

static bool on_loopback(const char *base)
{
	static const char *const hosts[] = {"://localhost", "://127.", "://[::1]"};
	size_t i;

	for (i = 0; i < sizeof hosts / sizeof hosts[0]; i++)
		if (strstr(base, hosts[i]) != NULL)
			return true;
	return false;
}

static enum status set_address(struct client *c, const char *address, struct err *err)
{
	const char *socket = NULL;
	size_t n = strlen(address);

	if (strncmp(address, "unix://", 7) == 0)
		socket = address + 7;
	else if (strncmp(address, "https://", 8) != 0 && strncmp(address, "http://", 7) != 0)
		return err_set(err, ST_INVALID,
		               "address \"%s\": neither https://, http:// nor unix://", address);
	if (strpbrk(address, "@?# ") != NULL || (socket != NULL && socket[0] != '/'))
		return err_set(err, ST_INVALID, "address \"%s\" is malformed", address);
	while (n > 0 && address[n - 1] == '/')
		n--;
	c->shown = strndup(address, n);
	c->base = socket != NULL ? strdup("http://localhost") : strndup(address, n);
	if (c->shown == NULL || c->base == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	if (socket != NULL &&
	    curl_easy_setopt(c->curl, CURLOPT_UNIX_SOCKET_PATH, socket) != CURLE_OK)
		return err_set(err, ST_NOMEM, "out of memory");
	/* a proxy has no business between us and ourselves */
	if (on_loopback(c->base) && curl_easy_setopt(c->curl, CURLOPT_PROXY, "") != CURLE_OK)
		return err_set(err, ST_NOMEM, "out of memory");
	return ST_OK;
}

static enum status set_options(struct client *c, const struct client_settings *settings,
                               struct err *err)
{
	const long check = settings->verify == CLIENT_VERIFY ? 1L : 0L;
	CURL *h = c->curl;
	bool ok;

	/* Redirects are not followed: a token goes nowhere but where it was sent. */
	ok = curl_easy_setopt(h, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
	     curl_easy_setopt(h, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
	     curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
	     curl_easy_setopt(h, CURLOPT_PATH_AS_IS, 1L) == CURLE_OK &&
	     curl_easy_setopt(h, CURLOPT_CONNECTTIMEOUT, CONNECT_TIMEOUT_S) == CURLE_OK &&
	     curl_easy_setopt(h, CURLOPT_TIMEOUT, TIMEOUT_S) == CURLE_OK &&
	     curl_easy_setopt(h, CURLOPT_SSL_VERIFYPEER, check) == CURLE_OK &&
	     curl_easy_setopt(h, CURLOPT_SSL_VERIFYHOST, check * 2L) == CURLE_OK &&
	     curl_easy_setopt(h, CURLOPT_HTTPHEADER, c->headers) == CURLE_OK &&
	     (settings->ca_cert == NULL ||
	      curl_easy_setopt(h, CURLOPT_CAINFO, settings->ca_cert) == CURLE_OK);
	return ok ? ST_OK : err_set(err, ST_NOMEM, "libcurl does not take its options");
}

enum status client_new(const struct client_settings *settings, struct client **ret, struct err *err)
{
	struct client *c;
	enum status s;

	if (!token_good(settings->token))
		return err_set(err, ST_INVALID, "the token holds characters that no token has");
	c = calloc(1, sizeof *c);
	if (c == NULL)
		return err_set(err, ST_NOMEM, "out of memory");
	c->curl = curl_easy_init();
	s = c->curl == NULL ? err_set(err, ST_NOMEM, "out of memory") : ST_OK;
	if (s == ST_OK)
		s = set_address(c, settings->address, err);
	if (s == ST_OK)
		s = set_headers(c, settings->token, err);
	if (s == ST_OK)
		s = set_options(c, settings, err);
	if (s != ST_OK) {
		client_free(&c);
		return s;
	}
	*ret = c;
	return ST_OK;
}

void client_free(struct client **c)
{
	struct client *old = *c;

	if (old == NULL)
		return;
	curl_easy_cleanup(old->curl);
	curl_slist_free_all(old->headers);
	free(old->base);
	free(old->shown);
	free(old);
	*c = NULL;
}

static size_t take_answer(char *data, size_t size, size_t n, void *arg)
{
	struct builder *b = arg;

	builder_add(b, span_of(data, size * n));
	return builder_status(b) == ST_OK ? size * n : 0;
}

static int give_json(const char *text, size_t n, void *arg)
{
	struct builder *b = arg;

	builder_add(b, span_of(text, n));
	return builder_status(b) == ST_OK ? 0 : -1;
}

/* BASE/v1/PATH?QUERY and a NUL. */
static void put_url(struct builder *b, const char *base, const char *path, const char *query)
{
	builder_str(b, base);
	builder_str(b, "/v1/");
	client_escape(b, span_str(path));
	if (query != NULL && query[0] != '\0') {
		builder_str(b, "?");
		builder_str(b, query);
	}
	builder_u8(b, 0);
}

static enum status parse_answer(struct span text, struct reply *r, struct err *err)
{
	json_error_t why;

	if (text.n == 0)
		return ST_OK;
	r->body = json_loadb((const char *)text.p, text.n, JSON_ALLOW_NUL | JSON_DECODE_ANY, &why);
	if (r->body == NULL) /* whole numbers beyond 64 bits */
		r->body =
		    json_loadb((const char *)text.p, text.n,
		               JSON_ALLOW_NUL | JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL, &why);
	if (r->body == NULL && r->status < 400)
		return err_set(err, ST_CORRUPT, "the answer is not JSON: %s", why.text);
	return ST_OK;
}

/* Send what is set up; r->status and the text of the answer. */
static enum status perform(struct client *c, const char *method, const char *url, struct span body,
                           struct builder *answer, struct reply *r, struct err *err)
{
	char why[CURL_ERROR_SIZE] = "";
	long status = 0;
	CURLcode code;
	bool ok;

	ok = curl_easy_setopt(c->curl, CURLOPT_URL, url) == CURLE_OK &&
	     curl_easy_setopt(c->curl, CURLOPT_HTTPGET, 1L) == CURLE_OK &&
	     curl_easy_setopt(c->curl, CURLOPT_CUSTOMREQUEST, method) == CURLE_OK &&
	     curl_easy_setopt(c->curl, CURLOPT_ERRORBUFFER, why) == CURLE_OK &&
	     curl_easy_setopt(c->curl, CURLOPT_WRITEFUNCTION, take_answer) == CURLE_OK &&
	     curl_easy_setopt(c->curl, CURLOPT_WRITEDATA, answer) == CURLE_OK;
	if (ok &&
	    (body.n > 0 || method[0] == 'P')) /* POST, PUT and PATCH say "Content-Length: 0" */
		ok = curl_easy_setopt(c->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.n) ==
		         CURLE_OK &&
		     curl_easy_setopt(c->curl, CURLOPT_POSTFIELDS,
		                      body.n > 0 ? (const char *)body.p : "") == CURLE_OK &&
		     curl_easy_setopt(c->curl, CURLOPT_CUSTOMREQUEST, method) == CURLE_OK;
	code = ok ? curl_easy_perform(c->curl) : CURLE_OUT_OF_MEMORY;
	(void)curl_easy_setopt(c->curl, CURLOPT_ERRORBUFFER, NULL);
	(void)curl_easy_setopt(c->curl, CURLOPT_POSTFIELDS, NULL);
	if (code != CURLE_OK)
		return err_set(err, ST_IO, "%s", why[0] != '\0' ? why : curl_easy_strerror(code));
	(void)curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &status);
	r->status = (unsigned)status;
	return ST_OK;
}

enum status client_call(struct client *c, const char *method, const char *path, const char *query,
                        const json_t *body, struct reply *ret, struct err *err)
{
	struct builder url = {0}, shown = {0}, sent = {0}, answer;
	struct reply r = {0};
	enum status s;

	builder_init(&answer, ANSWER_MAX);
	put_url(&url, c->base, path, query);
	builder_fmt(&shown, "%s ", method);
	put_url(&shown, c->shown, path, query);
	if (body != NULL && json_dump_callback(body, give_json, &sent, JSON_COMPACT) != 0) {
		s = err_set(err, ST_NOMEM, "out of memory");
		goto out;
	}
	s = builder_status(&url);
	if (s == ST_OK)
		s = builder_status(&shown);
	if (s == ST_OK && (r.url = strdup((const char *)builder_span(&shown).p)) == NULL)
		s = ST_NOMEM;
	if (s != ST_OK) {
		(void)err_set(err, s, "out of memory");
		goto out;
	}
	s = perform(c, method, (const char *)builder_span(&url).p, builder_span(&sent), &answer, &r,
	            err);
	if (s == ST_OK)
		s = parse_answer(builder_span(&answer), &r, err);
	if (s != ST_OK)
		(void)err_wrap(err, s, "%s", r.url);
out:
	builder_free(&url);
	builder_free(&shown);
	builder_free(&sent);
	builder_free(&answer);
	if (s != ST_OK)
		reply_free(&r);
	else
		*ret = r;
	return s;
}

/* ---- streams ---- */

/* No end in sight is no failure; standing still is. */
#define STALLED_BYTES_S 1L
#define STALLED_S       120L

struct streaming {
	struct client *client;
	const struct client_stream *s;
	struct builder refusal; /* the answer's text, when it is none to take */
	enum status status;
};

static size_t stream_give(char *to, size_t size, size_t n, void *arg)
{
	struct streaming *x = arg;
	size_t got = x->s->give(x->s->ctx, (uint8_t *)to, size * n, &x->status);

	return x->status == ST_OK ? got : CURL_READFUNC_ABORT;
}

static size_t stream_take(char *data, size_t size, size_t n, void *arg)
{
	struct streaming *x = arg;
	long status = 0;

	(void)curl_easy_getinfo(x->client->curl, CURLINFO_RESPONSE_CODE, &status);
	if (status >= 300)
		return take_answer(data, size, n, &x->refusal);
	x->status = x->s->take(x->s->ctx, span_of(data, size * n));
	return x->status == ST_OK ? size * n : 0;
}

/* The usual headers, but for what says that both bodies are one JSON text. */
static struct curl_slist *stream_headers(const struct client *c)
{
	struct curl_slist *list = curl_slist_append(NULL, "Content-Type: application/x-ndjson"),
	                  *grown;
	const struct curl_slist *h;

	for (h = c->headers; list != NULL && h != NULL; h = h->next) {
		if (strncmp(h->data, "Content-Type:", 13) == 0 ||
		    strncmp(h->data, "Accept:", 7) == 0)
			continue;
		grown = curl_slist_append(list, h->data);
		if (grown == NULL)
			curl_slist_free_all(list);
		list = grown;
	}
	return list;
}

static bool stream_options(struct streaming *x, const char *url, struct curl_slist *headers,
                           char *why)
{
	CURL *h = x->client->curl;

	return curl_easy_setopt(h, CURLOPT_URL, url) == CURLE_OK &&
	       curl_easy_setopt(h, CURLOPT_UPLOAD, 1L) == CURLE_OK &&
	       curl_easy_setopt(h, CURLOPT_CUSTOMREQUEST, "POST") == CURLE_OK &&
	       curl_easy_setopt(h, CURLOPT_HTTPHEADER, headers) == CURLE_OK &&
	       curl_easy_setopt(h, CURLOPT_TIMEOUT, 0L) == CURLE_OK &&
	       curl_easy_setopt(h, CURLOPT_LOW_SPEED_LIMIT, STALLED_BYTES_S) == CURLE_OK &&
	       curl_easy_setopt(h, CURLOPT_LOW_SPEED_TIME, STALLED_S) == CURLE_OK &&
	       curl_easy_setopt(h, CURLOPT_UPLOAD_BUFFERSIZE, 256L << 10) == CURLE_OK &&
	       curl_easy_setopt(h, CURLOPT_BUFFERSIZE, 256L << 10) == CURLE_OK &&
	       curl_easy_setopt(h, CURLOPT_READFUNCTION, stream_give) == CURLE_OK &&
	       curl_easy_setopt(h, CURLOPT_READDATA, x) == CURLE_OK &&
	       curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, stream_take) == CURLE_OK &&
	       curl_easy_setopt(h, CURLOPT_WRITEDATA, x) == CURLE_OK &&
	       curl_easy_setopt(h, CURLOPT_ERRORBUFFER, why) == CURLE_OK;
}

/* As it was, for the calls that follow. */
static void usual_options(struct client *c)
{
	(void)curl_easy_setopt(c->curl, CURLOPT_UPLOAD, 0L);
	(void)curl_easy_setopt(c->curl, CURLOPT_READFUNCTION, NULL);
	(void)curl_easy_setopt(c->curl, CURLOPT_HTTPHEADER, c->headers);
	(void)curl_easy_setopt(c->curl, CURLOPT_TIMEOUT, TIMEOUT_S);
	(void)curl_easy_setopt(c->curl, CURLOPT_LOW_SPEED_LIMIT, 0L);
	(void)curl_easy_setopt(c->curl, CURLOPT_LOW_SPEED_TIME, 0L);
	(void)curl_easy_setopt(c->curl, CURLOPT_ERRORBUFFER, NULL);
}

static enum status stream_perform(struct streaming *x, const char *url, struct reply *r,
                                  struct err *err)
{
	char why[CURL_ERROR_SIZE] = "";
	struct curl_slist *headers = stream_headers(x->client);
	CURLcode code = CURLE_OUT_OF_MEMORY;
	long status = 0;

	if (headers != NULL && stream_options(x, url, headers, why))
		code = curl_easy_perform(x->client->curl);
	(void)curl_easy_getinfo(x->client->curl, CURLINFO_RESPONSE_CODE, &status);
	usual_options(x->client);
	curl_slist_free_all(headers);
	r->status = (unsigned)status;
	/* A refusal may come while we still send, and cut that off. */
	if (code == CURLE_OK || (r->status >= 300 && x->refusal.n > 0))
		return parse_answer(builder_span(&x->refusal), r, err);
	if (x->status != ST_OK)
		return ST_IO; /* it was told there */
	return err_set(err, ST_IO, "%s", why[0] != '\0' ? why : curl_easy_strerror(code));
}

enum status client_stream(struct client *c, const char *path, const struct client_stream *s,
                          struct reply *ret, struct err *err)
{
	struct streaming x = {.client = c, .s = s, .refusal = {.max = ANSWER_MAX}};
	struct builder url = {0}, shown = {0};
	struct reply r = {0};
	enum status st = ST_NOMEM;

	put_url(&url, c->base, path, NULL);
	builder_str(&shown, "POST ");
	put_url(&shown, c->shown, path, NULL);
	if (builder_status(&url) != ST_OK || builder_status(&shown) != ST_OK ||
	    (r.url = strdup((const char *)shown.p)) == NULL)
		(void)err_set(err, st, "out of memory");
	else
		st = stream_perform(&x, (const char *)url.p, &r, err);
	if (st != ST_OK && err->text[0] != '\0')
		(void)err_wrap(err, st, "%s", r.url != NULL ? r.url : path);
	builder_free(&url);
	builder_free(&shown);
	builder_free(&x.refusal);
	if (st != ST_OK)
		reply_free(&r);
	else
		*ret = r;
	return st;
}

void reply_free(struct reply *r)
{
	json_decref(r->body);
	free(r->url);
	*r = (struct reply){0};
}
