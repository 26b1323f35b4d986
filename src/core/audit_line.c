#include "core/audit_line.h"

#include <string.h>

#define HASH_PREFIX "hmac-sha256:"
#define HASH_LEN    (sizeof HASH_PREFIX - 1 + (size_t)2 * SHA256_LEN)

void audit_line_hash(const struct hmac_key *salt, struct span text, struct builder *b)
{
	uint8_t mac[SHA256_LEN];

	hmac_sha256(salt, &text, 1, mac);
	builder_str(b, HASH_PREFIX);
	builder_hex(b, span_of(mac, sizeof mac));
}

/* A string of a token, a body or an answer.  The caller has left it out when it may not be shown at all. */
static void put_string(struct json_writer *w, const struct audit_style *style, struct span text)
{
	char buf[HASH_LEN];
	struct builder hash;

	if (style->log_raw) {
		json_string(w, text);
		return;
	}
	builder_init_fixed(&hash, buf, sizeof buf);
	audit_line_hash(style->salt, text, &hash);
	json_string(w, builder_span(&hash));
}

static bool shows_strings(const struct audit_style *style)
{
	return style->salt != NULL;
}

static void put_hidden(struct json_writer *w, const struct audit_style *style, const char *name,
                       struct span text)
{
	if (text.n == 0 || !shows_strings(style))
		return;
	json_name(w, name);
	put_string(w, style, text);
}

static void put_accessor(struct json_writer *w, const struct audit_style *style, const char *name,
                         struct span accessor)
{
	if (style->hmac_accessor)
		put_hidden(w, style, name, accessor);
	else if (accessor.n > 0 && shows_strings(style))
		json_put_string(w, name, accessor);
}

/* ---- bodies: names, numbers, booleans and null stay, strings are hashed ---- */

static bool leaves_out(const struct audit_style *style, const struct json_value *v)
{
	return v->type == JSON_STRING && !shows_strings(style);
}

static void put_value(struct builder *b, const struct audit_style *style,
                      const struct json_value *v);

/* Each string by a writer of its own: what was read may nest deeper than one writer goes. */
static void put_name(struct builder *b, struct span name)
{
	struct json_writer w;

	json_writer_init(&w, b);
	json_string(&w, name);
	builder_u8(b, ':');
}

static void put_members(struct builder *b, const struct audit_style *style,
                        const struct json_value *container)
{
	const struct json_value *v = json_first(container);
	bool comma = false;

	for (uint32_t i = 0; i < container->count; i++, v = json_next(v)) {
		if (leaves_out(style, v))
			continue;
		if (comma)
			builder_u8(b, ',');
		comma = true;
		if (container->type == JSON_OBJECT)
			put_name(b, v->name);
		put_value(b, style, v);
	}
}

/* Goes as deep as the reader let it, which is JSON_DEPTH_MAX at most. */
static void put_value(struct builder *b, const struct audit_style *style,
                      const struct json_value *v)
{
	struct json_writer w;

	json_writer_init(&w, b);
	switch (v->type) {
	case JSON_OBJECT:
		builder_u8(b, '{');
		put_members(b, style, v);
		builder_u8(b, '}');
		break;
	case JSON_ARRAY:
		builder_u8(b, '[');
		put_members(b, style, v);
		builder_u8(b, ']');
		break;
	case JSON_STRING:
		put_string(&w, style, v->text);
		break;
	case JSON_NULL:
	case JSON_FALSE:
	case JSON_TRUE:
	case JSON_NUMBER:
		json_copy(&w, v);
		break;
	default:
		MUST(v->type <= JSON_OBJECT);
	}
}

/* put_tree(w, style, v): v as the value that w is due to write. */
static void put_tree(struct json_writer *w, const struct audit_style *style,
                     const struct json_value *v)
{
	struct builder text = {0};
	enum status st;

	put_value(&text, style, v);
	st = builder_status(&text);
	if (st == ST_OK) {
		json_raw(w, builder_span(&text));
	} else {
		if (w->b->failed == ST_OK)
			w->b->failed = st;
		json_null(w); /* adds nothing any more; the writer wants its value */
	}
	builder_free(&text);
}

/* Is there another parameter of this name, which comes before this one of the query? */
static bool stands_before(const struct request *r, unsigned at)
{
	struct span name = r->query[at].name;

	for (unsigned i = 0; i < at; i++)
		if (span_eq(r->query[i].name, name))
			return true;
	return json_member_span(r->data, name) != NULL;
}

/* The parameters of a request: the body's members, then those of the query that the body does not have. */
static void put_parameters(struct json_writer *w, const struct audit_style *style,
                           const struct request *r)
{
	const struct json_value *v = r->data;

	if (v == NULL && r->n_query == 0)
		return;
	json_name(w, "data");
	json_begin_object(w);
	if (v != NULL && v->type == JSON_OBJECT) {
		uint32_t n = v->count;

		v = json_first(v);
		for (uint32_t i = 0; i < n; i++, v = json_next(v)) {
			if (leaves_out(style, v))
				continue;
			json_name_span(w, v->name);
			put_tree(w, style, v);
		}
	}
	for (unsigned i = 0; i < r->n_query && shows_strings(style); i++) {
		if (stands_before(r, i))
			continue;
		json_name_span(w, r->query[i].name);
		put_string(w, style, r->query[i].value);
	}
	json_end_object(w);
}

/* ---- who and what ---- */

static bool token_known(const struct audit_subject *s)
{
	return s->accessor.n > 0 || s->n_policies > 0;
}

static const char *token_type(const struct audit_subject *s)
{
	if (!token_known(s))
		return "default";
	if (s->req->token_kind == TOKEN_KIND_SESSION)
		return "session";
	return span_starts(s->req->token, span_str("b.")) ? "batch" : "service";
}

static void put_auth(struct json_writer *w, const struct audit_style *style,
                     const struct audit_subject *s)
{
	json_name(w, "auth");
	json_begin_object(w);
	if (token_known(s)) {
		put_hidden(w, style, "client_token", s->req->token);
		put_accessor(w, style, "accessor", s->accessor);
	}
	if (s->display_name.n > 0)
		json_put_string(w, "display_name", s->display_name);
	if (s->n_policies > 0) {
		json_name(w, "policies");
		json_begin_array(w);
		for (size_t i = 0; i < s->n_policies; i++)
			json_string(w, s->policies[i]);
		json_end_array(w);
	}
	json_put_cstr(w, "token_type", token_type(s));
	json_end_object(w);
}

/* "127.0.0.1:5555", "[::1]:5555", "unix" */
static void put_remote(struct json_writer *w, struct span remote)
{
	struct span host = remote;
	uint64_t port = 0;
	size_t at = remote.n, digits;

	while (at > 0 && remote.p[at - 1] >= '0' && remote.p[at - 1] <= '9')
		at--;
	digits = remote.n - at;
	if (digits > 0 && digits <= 5 && at > 0 && remote.p[at - 1] == ':') {
		for (size_t i = at; i < remote.n; i++)
			port = port * 10 + (uint64_t)(remote.p[i] - '0');
		host = span_of(remote.p, at - 1);
	}
	if (host.n >= 2 && host.p[0] == '[' && host.p[host.n - 1] == ']')
		host = span_of(host.p + 1, host.n - 2);
	if (host.n > 0)
		json_put_string(w, "remote_address", host);
	if (host.n < remote.n)
		json_put_uint(w, "remote_port", port);
}

static void put_request(struct json_writer *w, const struct audit_style *style,
                        const struct audit_subject *s)
{
	const struct request *r = s->req;

	json_name(w, "request");
	json_begin_object(w);
	json_put_cstr(w, "id", r->id);
	json_put_cstr(w, "operation", s->operation != NULL ? s->operation : verb_name(r->verb));
	if (s->mount_type != NULL)
		json_put_cstr(w, "mount_type", s->mount_type);
	if (s->mount.n > 0)
		json_put_string(w, "mount_point", s->mount);
	put_hidden(w, style, "client_token", r->token);
	put_accessor(w, style, "client_token_accessor", s->accessor);
	json_put_string(w, "path", path_span(&r->path));
	put_parameters(w, style, r);
	put_remote(w, r->remote);
	json_end_object(w);
}

static void begin_line(struct json_writer *w, struct builder *b, int64_t now_ns, const char *type)
{
	char buf[64];
	struct builder time;

	builder_init_fixed(&time, buf, sizeof buf);
	rfc3339(&time, now_ns);
	json_writer_init(w, b);
	json_begin_object(w);
	json_put_string(w, "time", builder_span(&time));
	json_put_cstr(w, "type", type);
}

void audit_line_request(struct builder *b, const struct audit_style *style, int64_t now_ns,
                        const struct audit_subject *s, const char *why)
{
	struct json_writer w;

	begin_line(&w, b, now_ns, "request");
	put_auth(&w, style, s);
	put_request(&w, style, s);
	if (why != NULL)
		json_put_cstr(&w, "error", why);
	json_end_object(&w);
}

/* ---- answers ---- */

/* The members of an answer's `auth` that name rights, not secrets. */
static bool is_right(struct span name)
{
	static const char *const names[] = {"policies",   "token_policies", "identity_policies",
	                                    "token_type", "entity_id",      "display_name"};

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (span_eq_str(name, names[i]))
			return true;
	return false;
}

static void put_new_auth(struct json_writer *w, const struct audit_style *style,
                         const struct json_value *auth)
{
	const struct json_value *v = json_first(auth);

	json_name(w, "auth");
	json_begin_object(w);
	for (uint32_t i = 0; i < auth->count; i++, v = json_next(v)) {
		if (span_eq_str(v->name, "accessor") && v->type == JSON_STRING) {
			put_accessor(w, style, "accessor", v->text);
		} else if (is_right(v->name) && shows_strings(style)) {
			json_name_span(w, v->name);
			json_copy(w, v);
		} else if (!leaves_out(style, v)) {
			json_name_span(w, v->name);
			put_tree(w, style, v);
		}
	}
	json_end_object(w);
}

/* What is not JSON is one string. */
static void put_part(struct json_writer *w, const struct audit_style *style, const char *name,
                     const struct json_value *parsed, const struct builder *text)
{
	if (parsed == NULL) {
		put_hidden(w, style, name, builder_span(text));
	} else if (!leaves_out(style, parsed)) {
		json_name(w, name);
		put_tree(w, style, parsed);
	}
}

static void put_warnings(struct json_writer *w, const struct audit_style *style,
                         const struct builder *elements)
{
	if (elements->n == 0 || !shows_strings(style))
		return;
	json_name(w, "warnings");
	json_begin_array(w);
	json_raw(w, builder_span(elements));
	json_end_array(w);
}

/* A read of what is not there is no error to those who read the log. */
static bool has_error(const struct answer *a)
{
	return a->status != ST_OK && (a->status != ST_NOT_FOUND || a->err.text[0] != '\0');
}

void audit_line_response(struct builder *b, const struct audit_style *style, int64_t now_ns,
                         const struct audit_subject *s, const struct audit_answer *answer)
{
	const struct answer *a = answer->answer;
	struct json_writer w;

	begin_line(&w, b, now_ns, "response");
	put_auth(&w, style, s);
	put_request(&w, style, s);
	json_name(&w, "response");
	json_begin_object(&w);
	if (answer->auth != NULL && answer->auth->type == JSON_OBJECT)
		put_new_auth(&w, style, answer->auth);
	else
		put_part(&w, style, "auth", NULL, &a->auth);
	put_part(&w, style, "data", answer->data, &a->data);
	put_warnings(&w, style, &a->warnings);
	json_end_object(&w);
	if (has_error(a))
		json_put_cstr(&w, "error", err_text(&a->err, a->status));
	json_end_object(&w);
}

void audit_line_rotation(struct builder *b, int64_t now_ns, const struct rotation_event *e)
{
	struct json_writer w;

	begin_line(&w, b, now_ns, "rotation");
	json_name(&w, "rotation");
	json_begin_object(&w);
	json_put_cstr(&w, "cause", term_cause_name(e->cause));
	json_put_uint(&w, "old_term", e->old_term);
	json_put_uint(&w, "new_term", e->new_term);
	json_put_uint(&w, "old_term_encryptions", e->old_encryptions);
	json_end_object(&w);
	json_end_object(&w);
}

void audit_line_event(struct builder *b, int64_t now_ns, struct span text)
{
	struct json_writer w;

	begin_line(&w, b, now_ns, "event");
	json_name(&w, "event");
	json_raw(&w, text);
	json_end_object(&w);
}
