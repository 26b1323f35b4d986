/*
 * See h1_parse.h.  The only includer of llhttp.
 *
 * What can go wrong, and the answer:
 *   first byte no capital letter, bare LF, CR elsewhere, folded line, control bytes        400
 *   request line without version, or with a malformed one                                  400
 *   version other than 1.0 and 1.1                                                         505
 *   request line or headers too long, too many headers                                     414, 431
 *   verb that nobody knows, CONNECT, "*"                                                   405
 *   Host missing, repeated, malformed, or another than the absolute target's               400
 *   Content-Length malformed, repeated, or together with Transfer-Encoding                 400
 *   Transfer-Encoding other than one "chunked"                                             501
 *   Expect other than 100-continue                                                         417
 */
#include "http/h1_parse.h"

#include <llhttp.h>
#include <string.h>
#include <strings.h>

_Static_assert(sizeof(llhttp_t) <= H1_PARSER_ROOM, "room for the parser");
_Static_assert(LLHTTP_STRICT_MODE == 1, "the parser must be the strict one");

/* Sizes, extensions and trailers of a chunked body may weigh this much, and this many times the body's own bytes. */
#define CHUNK_OVERHEAD_MAX    ((size_t)16 << 10)
#define CHUNK_OVERHEAD_FACTOR 8

void h1_head_reset(struct h1_head *h)
{
	/* the fields need no clearing: n_fields says how many count */
	memset(h, 0, offsetof(struct h1_head, parser));
}

static enum h1_step refuse(struct h1_head *h, unsigned status, const char *text)
{
	h->status = status;
	h->text = text;
	return H1_REFUSED;
}

static llhttp_t *parser_of(struct h1_head *h)
{
	return (llhttp_t *)(void *)h->parser;
}

/* --- what llhttp reports ------------------------------------------------ */

static int on_field(llhttp_t *p, const char *at, size_t n)
{
	struct h1_head *h = p->data;
	if (h->chunks_begun)
		return 0; /* a trailer: checked by the parser, dropped */
	if (h->n_fields == h->max_fields) {
		refuse(h, 431, "too many request headers");
		return HPE_USER;
	}
	struct h1_field *f = &h->fields[h->n_fields];
	f->name = (uint32_t)((const uint8_t *)at - h->base);
	f->name_n = (uint32_t)n;
	f->value = f->name + f->name_n;
	f->value_n = 0;
	h->n_fields++;
	return 0;
}

static int on_value(llhttp_t *p, const char *at, size_t n)
{
	struct h1_head *h = p->data;
	if (h->chunks_begun)
		return 0;
	if (h->n_fields == 0)
		return HPE_USER; /* a value without a name */
	struct h1_field *f = &h->fields[h->n_fields - 1];
	f->value = (uint32_t)((const uint8_t *)at - h->base);
	f->value_n = (uint32_t)n;
	return 0;
}

static int on_headers_complete(llhttp_t *p)
{
	struct h1_head *h = p->data;
	h->keep = llhttp_should_keep_alive(p) && p->http_minor == 1;
	h->content_length = p->content_length;
	h->body = H1_NO_BODY;
	if (p->flags & F_CHUNKED)
		h->body = H1_CHUNKED;
	else if (p->content_length > 0)
		h->body = H1_SIZED;
	p->upgrade = 0; /* no other protocol is spoken here: Upgrade is ignored */
	return HPE_PAUSED;
}

/* A chunk that cannot fit is not waited for.  The last one has no bytes: behind it stand the trailers. */
static int on_chunk_header(llhttp_t *p)
{
	struct h1_head *h = p->data;
	if (p->content_length > h->chunk_max - h->chunk_body) {
		refuse(h, 413, "the request body is too large");
		return HPE_USER;
	}
	if (p->content_length > 0)
		return 0;
	h->trailer = TRAILER_LINE_BEGINS;
	return HPE_PAUSED;
}

static int on_body(llhttp_t *p, const char *at, size_t n)
{
	struct h1_head *h = p->data;
	h->chunk_body += n;
	if (h->chunk_body > h->chunk_max) {
		refuse(h, 413, "the request body is too large");
		return HPE_USER;
	}
	if (h->chunk_to != NULL) {
		if (h->chunk_to != (const uint8_t *)at)
			memmove(h->chunk_to, at, n);
		h->chunk_to += n;
		return 0;
	}
	builder_add(h->chunk_sink, span_of(at, n));
	if (builder_status(h->chunk_sink) != ST_OK) {
		refuse(h, 503, "out of memory");
		return HPE_USER;
	}
	return 0;
}

static int on_message_complete(llhttp_t *p)
{
	struct h1_head *h = p->data;
	h->chunk_done = 1;
	return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
    .on_header_field = on_field,
    .on_header_value = on_value,
    .on_headers_complete = on_headers_complete,
    .on_chunk_header = on_chunk_header,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
};

/* --- the request line ----------------------------------------------------- */

static bool is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

static bool is_alnum(uint8_t c)
{
	return is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

/* A host as Host and absolute targets have it: a name or IPv4 address or [IPv6], perhaps with a port; not empty. */
static bool host_ok(struct span s)
{
	size_t i = 0;
	if (s.n > 0 && s.p[0] == '[') {
		for (i = 1; i < s.n && s.p[i] != ']'; i++)
			if (!is_alnum(s.p[i]) && s.p[i] != ':' && s.p[i] != '.')
				return false;
		if (i == s.n || i == 1)
			return false;
		i++;
	} else {
		while (i < s.n && (is_alnum(s.p[i]) || memchr("-._~", s.p[i], 4) != NULL))
			i++;
		if (i == 0)
			return false;
	}
	if (i == s.n)
		return true;
	if (s.p[i] != ':' || s.n - i > 6)
		return false;
	for (i++; i < s.n; i++)
		if (!is_digit(s.p[i]))
			return false;
	return true;
}

/* For each byte of a target: 1 when it may not stand there (controls, space, '#', DEL, beyond ASCII). */
static bool target_byte_ok(uint8_t c)
{
	return c > 0x20 && c < 0x7f && c != '#';
}

/* "http://host/path?query" to its authority and the rest; false when the scheme is another one or the authority is malformed. */
static bool absolute_target(struct h1_head *h, struct span t, struct span *ret_rest)
{
	size_t skip = 0;
	if (t.n >= 7 && strncasecmp((const char *)t.p, "http://", 7) == 0)
		skip = 7;
	else if (t.n >= 8 && strncasecmp((const char *)t.p, "https://", 8) == 0)
		skip = 8;
	if (skip == 0)
		return false;
	struct span rest = span_from(t, skip);
	size_t n = 0;
	while (n < rest.n && rest.p[n] != '/' && rest.p[n] != '?')
		n++;
	h->authority = span_of(rest.p, n);
	*ret_rest = span_from(rest, n);
	return host_ok(h->authority);
}

static enum h1_step take_target(struct h1_head *h, struct span t)
{
	for (size_t i = 0; i < t.n; i++)
		if (!target_byte_ok(t.p[i]))
			return refuse(h, 400, "malformed request target");
	if (t.n == 0)
		return refuse(h, 400, "the request has no target");
	if (span_eq_str(h->method, "CONNECT") || span_eq_str(t, "*"))
		return refuse(h, 405, "method not allowed");
	if (t.p[0] != '/' && !absolute_target(h, t, &t))
		return refuse(h, 400, "malformed request target");
	const uint8_t *mark = t.n > 0 ? memchr(t.p, '?', t.n) : NULL;
	size_t path_n = mark != NULL ? (size_t)(mark - t.p) : t.n;
	h->target = path_n > 0 ? span_of(t.p, path_n) : span_str("/");
	h->query = mark != NULL ? span_from(t, path_n + 1) : span_of(NULL, 0);
	return H1_DONE;
}

static enum h1_step take_version(struct h1_head *h, struct span v)
{
	if (v.n != 8 || memcmp(v.p, "HTTP/", 5) != 0 || !is_digit(v.p[5]) || v.p[6] != '.' ||
	    !is_digit(v.p[7]))
		return refuse(h, 400, "malformed HTTP version");
	if (v.p[5] != '1' || v.p[7] > '1')
		return refuse(h, 505, "only HTTP/1.0 and HTTP/1.1 are spoken here");
	h->minor = (unsigned)(v.p[7] - '0');
	return H1_DONE;
}

/* The line without its line end: VERB SP target SP version, nothing else. */
static enum h1_step take_line(struct h1_head *h, struct span line)
{
	size_t m = 0;
	while (m < line.n && m < sizeof(h->method_text) &&
	       ((line.p[m] >= 'A' && line.p[m] <= 'Z') || line.p[m] == '-'))
		m++;
	if (m == sizeof(h->method_text))
		return refuse(h, 405, "method not allowed");
	if (m == 0 || m == line.n || line.p[m] != ' ')
		return refuse(h, 400, "malformed request line");
	memcpy(h->method_text, line.p, m);
	h->method = span_of(h->method_text, m);
	struct span rest = span_from(line, m + 1);
	const uint8_t *sp = rest.n > 0 ? memchr(rest.p, ' ', rest.n) : NULL;
	if (sp == NULL)
		return refuse(h, 400, "the request line has no HTTP version");
	size_t target_n = (size_t)(sp - rest.p);
	enum h1_step s = take_version(h, span_from(rest, target_n + 1));
	if (s != H1_DONE)
		return s;
	return take_target(h, span_of(rest.p, target_n));
}

/* --- the lines --------------------------------------------------------------- */

/* Room left for what is still missing of the line or the headers? */
static enum h1_step check_sizes(struct h1_head *h, const struct h1_limits *limits, size_t n)
{
	if (h->lines == 0)
		return n >= limits->max_request_line
		           ? refuse(h, 414, "the request line is too long")
		           : H1_MORE;
	if (n - h->line_n >= limits->max_headers_bytes)
		return refuse(h, 431, "the request headers are too large");
	return H1_MORE;
}

/* One line, buf[h->line_start .. at) without its LF, has just become complete.  H1_DONE: it was the empty line. */
static enum h1_step end_line(struct h1_head *h, const struct h1_limits *limits, const uint8_t *buf,
                             size_t at)
{
	size_t n = at - h->line_start;
	if (n == 0 || buf[at - 1] != '\r')
		return refuse(h, 400, "a line of the request head does not end in CR LF");
	n--;
	if (h->lines == 0) {
		if (at >= limits->max_request_line)
			return refuse(h, 414, "the request line is too long");
		h->line_n = at + 1;
	} else {
		if (at + 1 - h->line_n > limits->max_headers_bytes)
			return refuse(h, 431, "the request headers are too large");
		if (n > 0 && (buf[h->line_start] == ' ' || buf[h->line_start] == '\t'))
			return refuse(h, 400, "folded header lines are not accepted");
		if (n > 0 && buf[h->line_start] == ':')
			return refuse(h, 400, "a header has no name"); /* llhttp takes these */
		if (n > 0 && h->lines > limits->max_header_count)
			return refuse(h, 431, "too many request headers");
	}
	h->lines++;
	return h->lines > 1 && n == 0 ? H1_DONE : H1_MORE;
}

/* Looks at the bytes that came since the last time, line by line. */
static enum h1_step scan_lines(struct h1_head *h, const struct h1_limits *limits,
                               const uint8_t *buf, size_t n)
{
	if (n > 0 && (buf[0] < 'A' || buf[0] > 'Z'))
		return refuse(h, 400, "this is not an HTTP request");
	while (h->scanned < n) {
		const uint8_t *lf = memchr(buf + h->scanned, '\n', n - h->scanned);
		if (lf == NULL) {
			h->scanned = n;
			break;
		}
		size_t at = (size_t)(lf - buf);
		enum h1_step s = end_line(h, limits, buf, at);
		if (s == H1_MORE && h->lines == 1) {
			/* checked at once, so that nonsense need not wait for its end; read again when the head is whole */
			s = take_line(h, span_of(buf, at - 1));
			s = s == H1_DONE ? H1_MORE : s;
			h->target = h->query = h->authority = span_of(NULL, 0);
		}
		if (s == H1_REFUSED)
			return s;
		h->scanned = at + 1;
		h->line_start = at + 1;
		if (s == H1_DONE) {
			h->n = at + 1;
			return H1_DONE;
		}
	}
	return check_sizes(h, limits, n);
}

/* --- the whole head ------------------------------------------------------------ */

static struct span field_value(const struct h1_head *h, const struct h1_field *f)
{
	return span_of(h->base + f->value, f->value_n);
}

static bool is_word(struct span s, const char *lower)
{
	return s.n == strlen(lower) && strncasecmp((const char *)s.p, lower, s.n) == 0;
}

/* Lower-cases the name and takes the white space off the value. */
static void tidy(struct h1_field *f, uint8_t *buf)
{
	for (uint32_t i = 0; i < f->name_n; i++) {
		uint8_t c = buf[f->name + i];
		if (c >= 'A' && c <= 'Z')
			buf[f->name + i] = (uint8_t)(c | 0x20);
	}
	while (f->value_n > 0 && (buf[f->value] == ' ' || buf[f->value] == '\t')) {
		f->value++;
		f->value_n--;
	}
	while (f->value_n > 0 &&
	       (buf[f->value + f->value_n - 1] == ' ' || buf[f->value + f->value_n - 1] == '\t'))
		f->value_n--;
}

/* How often the headers came that may come once. */
struct once {
	unsigned host, length, coding;
};

static enum h1_step check_field(struct h1_head *h, const struct h1_field *f, struct once *seen)
{
	if (f->name_n != 4 && f->name_n != 6 && f->name_n != 14 && f->name_n != 17)
		return H1_DONE; /* most names: none of those below */
	struct span name = span_of(h->base + f->name, f->name_n), value = field_value(h, f);
	if (span_eq_str(name, "host")) {
		if (seen->host++ > 0 || !host_ok(value))
			return refuse(h, 400, "the Host header is repeated or malformed");
		if (h->authority.n > 0 &&
		    (h->authority.n != value.n || strncasecmp((const char *)h->authority.p,
		                                              (const char *)value.p, value.n) != 0))
			return refuse(h, 400, "the Host header does not match the request target");
	} else if (span_eq_str(name, "content-length")) {
		if (seen->length++ > 0)
			return refuse(h, 400, "the Content-Length header is repeated");
	} else if (span_eq_str(name, "transfer-encoding")) {
		if (seen->coding++ > 0 || !is_word(value, "chunked") || h->minor == 0)
			return refuse(h, 501,
			              "of the transfer codings only a single chunked is supported");
	} else if (span_eq_str(name, "expect")) {
		if (!is_word(value, "100-continue"))
			return refuse(h, 417, "this expectation is not supported");
		h->expects = h->minor == 1;
	}
	return H1_DONE;
}

static enum h1_step check_fields(struct h1_head *h, uint8_t *buf)
{
	struct once seen = {0, 0, 0};
	for (size_t i = 0; i < h->n_fields; i++) {
		tidy(&h->fields[i], buf);
		enum h1_step s = check_field(h, &h->fields[i], &seen);
		if (s != H1_DONE)
			return s;
	}
	if (seen.host == 0 && h->minor == 1)
		return refuse(h, 400, "the Host header is missing");
	if (seen.length > 0 && seen.coding > 0)
		return refuse(h, 400, "Content-Length and Transfer-Encoding exclude each other");
	if ((seen.coding > 0) != (h->body == H1_CHUNKED))
		return refuse(h, 501, "of the transfer codings only a single chunked is supported");
	return H1_DONE;
}

/* llhttp's verdict as an answer. */
static enum h1_step refused_by_parser(struct h1_head *h, llhttp_errno_t e)
{
	if (h->status != 0)
		return H1_REFUSED;
	switch ((int)e) {
	case HPE_INVALID_METHOD:
		return refuse(h, 405, "method not allowed");
	case HPE_INVALID_URL:
		return refuse(h, 400, "malformed request target");
	case HPE_INVALID_CONTENT_LENGTH:
	case HPE_UNEXPECTED_CONTENT_LENGTH:
		return refuse(h, 400, "malformed, repeated or forbidden Content-Length");
	case HPE_INVALID_TRANSFER_ENCODING:
		return refuse(h, 400, "malformed Transfer-Encoding");
	case HPE_INVALID_CHUNK_SIZE:
		return refuse(h, 400, "malformed chunk size");
	default:
		return refuse(h, 400, "malformed request");
	}
}

/* Vault's two verbs of its own are not in llhttp's table: at the start of a message it sees a twin of equal length. */
static void hide_verb(const struct h1_head *h, uint8_t *buf)
{
	if (span_eq_str(h->method, "LIST"))
		memcpy(buf, "LINK", 4);
	else if (span_eq_str(h->method, "SCAN"))
		memcpy(buf, "LOCK", 4);
}

enum h1_step h1_head_parse(struct h1_head *h, const struct h1_limits *limits, uint8_t *buf,
                           size_t n)
{
	MUST(limits->max_header_count <= H1_FIELDS_MAX && n <= UINT32_MAX);
	enum h1_step s = scan_lines(h, limits, buf, n);
	if (s != H1_DONE)
		return s;
	s = take_line(h, span_of(buf, h->line_n - 2));
	if (s != H1_DONE)
		return s;
	hide_verb(h, buf);
	h->base = buf;
	h->max_fields = limits->max_header_count;
	llhttp_t *p = parser_of(h);
	llhttp_init(p, HTTP_REQUEST, &settings);
	p->data = h;
	llhttp_errno_t e = llhttp_execute(p, (const char *)buf, h->n);
	if (e != HPE_PAUSED)
		return refused_by_parser(h, e);
	/* both must agree where the head ends */
	if (llhttp_get_error_pos(p) != (const char *)buf + h->n || h->minor != p->http_minor)
		return refuse(h, 400, "malformed request");
	return check_fields(h, buf);
}

/* llhttp takes folded lines and lines without a name; in the head end_line refuses them. */
static enum h1_step check_trailers(struct h1_head *h, const uint8_t *buf, size_t n)
{
	for (size_t i = 0; i < n && h->trailer != TRAILERS_END; i++) {
		bool begins = h->trailer == TRAILER_LINE_BEGINS;
		if (begins && (buf[i] == ' ' || buf[i] == '\t'))
			return refuse(h, 400, "folded header lines are not accepted");
		if (begins && buf[i] == ':')
			return refuse(h, 400, "a header has no name");
		if (begins && buf[i] == '\n') /* llhttp takes it for the end */
			return refuse(h, 400, "a line of the trailers does not end in CR LF");
		if (begins && buf[i] == '\r')
			h->trailer = TRAILERS_END;
		else
			h->trailer = buf[i] == '\n' ? TRAILER_LINE_BEGINS : TRAILER_LINE;
	}
	return H1_MORE;
}

/* The parser stops by itself behind the last chunk's size and at the end. */
static enum h1_step run_chunks(struct h1_head *h, const uint8_t *buf, size_t n, size_t *ret_used)
{
	llhttp_t *p = parser_of(h);
	llhttp_resume(p);
	llhttp_errno_t e = llhttp_execute(p, (const char *)buf, n);
	if (e != HPE_OK && e != HPE_PAUSED)
		return refused_by_parser(h, e);
	*ret_used = e == HPE_OK ? n : (size_t)((const uint8_t *)llhttp_get_error_pos(p) - buf);
	return h->chunk_done ? H1_DONE : H1_MORE;
}

static enum h1_step run_trailers(struct h1_head *h, const uint8_t *buf, size_t n, size_t *ret_used)
{
	enum h1_step s = check_trailers(h, buf, n);
	return s == H1_REFUSED ? s : run_chunks(h, buf, n, ret_used);
}

/* buf[0..n) through the parser, which gives the body's bytes to on_body. */
static enum h1_step decode(struct h1_head *h, const uint8_t *buf, size_t n, size_t *ret_used)
{
	MUST(h->body == H1_CHUNKED && !h->chunk_done);
	h->chunks_begun = 1;
	size_t used = 0, more = 0;
	enum h1_step s = H1_MORE;
	if (h->trailer == TRAILER_NONE)
		s = run_chunks(h, buf, n, &used);
	if (s == H1_MORE && h->trailer != TRAILER_NONE && used < n)
		s = run_trailers(h, buf + used, n - used, &more);
	if (s == H1_REFUSED)
		return s;
	used += more;
	h->chunk_raw += used;
	if (h->chunk_raw - h->chunk_body >
	    CHUNK_OVERHEAD_MAX + CHUNK_OVERHEAD_FACTOR * h->chunk_body)
		return refuse(h, 413, "chunk extensions or trailers are too large");
	*ret_used = used;
	return s;
}

enum h1_step h1_chunks(struct h1_head *h, struct builder *sink, size_t max, const uint8_t *buf,
                       size_t n, size_t *ret_used)
{
	h->chunk_sink = sink;
	h->chunk_to = NULL;
	h->chunk_max = max;
	return decode(h, buf, n, ret_used);
}

enum h1_step h1_chunks_in_place(struct h1_head *h, uint8_t *buf, size_t n, size_t *ret_body_n,
                                size_t *ret_used)
{
	h->chunk_to = buf;
	h->chunk_max = SIZE_MAX;
	enum h1_step s = decode(h, buf, n, ret_used);
	if (s != H1_REFUSED)
		*ret_body_n = (size_t)(h->chunk_to - buf);
	return s;
}
