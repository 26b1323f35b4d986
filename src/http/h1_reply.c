#include "http/h1_reply.h"

#include <string.h>
#include <time.h>

#include "base/log.h"

/* Source of the phrases: RFC 9110 section 15, RFC 6585.  X(status, phrase) */
#define REASONS(X)                                \
	X(200, "OK")                              \
	X(201, "Created")                         \
	X(202, "Accepted")                        \
	X(204, "No Content")                      \
	X(206, "Partial Content")                 \
	X(301, "Moved Permanently")               \
	X(302, "Found")                           \
	X(303, "See Other")                       \
	X(304, "Not Modified")                    \
	X(307, "Temporary Redirect")              \
	X(308, "Permanent Redirect")              \
	X(400, "Bad Request")                     \
	X(401, "Unauthorized")                    \
	X(402, "Payment Required")                \
	X(403, "Forbidden")                       \
	X(404, "Not Found")                       \
	X(405, "Method Not Allowed")              \
	X(406, "Not Acceptable")                  \
	X(408, "Request Timeout")                 \
	X(409, "Conflict")                        \
	X(410, "Gone")                            \
	X(411, "Length Required")                 \
	X(412, "Precondition Failed")             \
	X(413, "Content Too Large")               \
	X(414, "URI Too Long")                    \
	X(415, "Unsupported Media Type")          \
	X(416, "Range Not Satisfiable")           \
	X(417, "Expectation Failed")              \
	X(422, "Unprocessable Content")           \
	X(426, "Upgrade Required")                \
	X(429, "Too Many Requests")               \
	X(431, "Request Header Fields Too Large") \
	X(500, "Internal Server Error")           \
	X(501, "Not Implemented")                 \
	X(502, "Bad Gateway")                     \
	X(503, "Service Unavailable")             \
	X(504, "Gateway Timeout")                 \
	X(505, "HTTP Version Not Supported")      \
	X(507, "Insufficient Storage")

#define STATUS_FIRST 200
#define STATUS_LAST  599

/* Whole status lines by number, so that an answer begins with one copy. */
static const char *const status_lines[STATUS_LAST - STATUS_FIRST + 1] = {
#define LINE(status, phrase) [(status)-STATUS_FIRST] = "HTTP/1.1 " #status " " phrase "\r\n",
    REASONS(LINE)
#undef LINE
};

const char *http_reason(unsigned status)
{
	if (status < STATUS_FIRST || status > STATUS_LAST ||
	    status_lines[status - STATUS_FIRST] == NULL)
		return "Unknown";
	switch (status) {
#define CASE(status, phrase) \
	case status:         \
		return phrase;
		REASONS(CASE)
#undef CASE
	default:
		return "Unknown";
	}
}

void http_date(int64_t unix_s, char ret[static HTTP_DATE_ROOM])
{
	static const char days[][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
	static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
	                                 "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
	time_t t = unix_s;
	struct tm tm;
	MUST(gmtime_r(&t, &tm) != NULL && tm.tm_year >= 0 && tm.tm_year < 8100);
	struct builder b;
	builder_init_fixed(&b, ret, HTTP_DATE_ROOM);
	builder_fmt(&b, "%s, %02d %s %04d %02d:%02d:%02d GMT", days[tm.tm_wday], tm.tm_mday,
	            months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
	builder_u8(&b, 0);
	MUST(builder_status(&b) == ST_OK);
}

static bool forbids_body(unsigned status)
{
	return status == 204 || status == 304;
}

struct span h1_reply_body(const struct exchange *x, struct span *ret_first)
{
	*ret_first = span_of(NULL, 0);
	if (x->method == HTTP_HEAD || x->content_type == NULL || forbids_body(x->status))
		return span_of(NULL, 0);
	*ret_first = builder_span(&x->body_first);
	return builder_span(&x->body_out);
}

/* A header value must not be able to end its line. */
static bool one_line(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] == '\r' || s.p[i] == '\n' || s.p[i] == 0)
			return false;
	return true;
}

static void add_extra(struct builder *b, const struct header *h)
{
	if (h->name.n == 0 || !one_line(h->name) || !one_line(h->value)) {
		log_error("http", "an answer header with a line end in it was left out");
		return;
	}
	builder_add(b, h->name);
	builder_str(b, ": ");
	builder_add(b, h->value);
	builder_str(b, "\r\n");
}

static inline void add_status(struct builder *b, unsigned status)
{
	MUST(status >= STATUS_FIRST && status <= STATUS_LAST);
	const char *line = status_lines[status - STATUS_FIRST];
	if (line != NULL)
		builder_str(b, line);
	else
		builder_fmt(b, "HTTP/1.1 %u Unknown\r\n", status);
}

static inline void add_type(struct builder *b, const char *content_type)
{
	builder_str(b, "Content-Type: ");
	builder_str(b, content_type);
	builder_str(b, "\r\n");
}

/* What every head ends with. */
static inline void add_rest(struct builder *b, const struct exchange *x, const char *date,
                     enum reply_end end)
{
	builder_str(b, "Cache-Control: no-store\r\nDate: ");
	builder_str(b, date);
	builder_str(b, "\r\n");
	MUST(x->n_extra <= sizeof(x->extra) / sizeof(x->extra[0]));
	for (size_t i = 0; i < x->n_extra; i++)
		add_extra(b, &x->extra[i]);
	builder_str(b, end == REPLY_CLOSE ? "Connection: close\r\n\r\n" : "\r\n");
}

void h1_reply_head(struct builder *b, const struct exchange *x, const char *date,
                   enum reply_end end)
{
	add_status(b, x->status);
	if (!forbids_body(x->status)) {
		size_t n = 0;
		if (x->content_type != NULL) {
			add_type(b, x->content_type);
			n = x->body_first.n + x->body_out.n;
		}
		builder_str(b, "Content-Length: ");
		builder_dec(b, n);
		builder_str(b, "\r\n");
	}
	add_rest(b, x, date, end);
}

void h1_reply_stream_head(struct builder *b, const struct exchange *x, const char *date,
                          enum reply_end end)
{
	MUST(!forbids_body(x->status) && x->content_type != NULL);
	add_status(b, x->status);
	add_type(b, x->content_type);
	builder_str(b, "Transfer-Encoding: chunked\r\n");
	add_rest(b, x, date, end);
}
