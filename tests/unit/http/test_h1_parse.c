/* HTTP/1.x heads and chunked bodies: what is taken, and with which status everything else is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "http/h1_parse.h"

static const struct h1_limits limits = {
    .max_request_line = 200, .max_headers_bytes = 600, .max_header_count = 5};

/* A buffer of exactly the input's length, so that a byte read too far is seen by the sanitizer. */
static uint8_t *copy_of(const char *s, size_t n)
{
	uint8_t *p = malloc(n > 0 ? n : 1);
	assert_non_null(p);
	memcpy(p, s, n);
	return p;
}

static enum h1_step parse_n(struct h1_head *h, uint8_t **ret_buf, const char *s, size_t n)
{
	h1_head_reset(h);
	*ret_buf = copy_of(s, n);
	return h1_head_parse(h, &limits, *ret_buf, n);
}

static void refused(const char *s, size_t n, unsigned status)
{
	struct h1_head h;
	uint8_t *buf;
	enum h1_step step = parse_n(&h, &buf, s, n);
	free(buf);
	if (step != H1_REFUSED || h.status != status)
		fail_msg("step %d status %u instead of %u for: %.*s", (int)step,
		         step == H1_REFUSED ? h.status : 0, status, (int)n, s);
	assert_true(h.text != NULL && h.text[0] != 0);
}
#define REFUSED(status, s) refused(s, sizeof(s) - 1, status)

#define HOST "Host: a\r\n"

static void test_simple(void **state)
{
	static const char text[] = "POST /v1/x%20y?list=true&a=?b HTTP/1.1\r\nHost: "
	                           "example.com:8200\r\nX-Vault-TOKEN: \t s.ABC \t\r\n"
	                           "Empty:\r\nContent-Length: 12\r\n\r\nrest";
	struct h1_head h;
	uint8_t *buf;
	(void)state;
	assert_int_equal(parse_n(&h, &buf, text, sizeof(text) - 1), H1_DONE);
	assert_int_equal(h.n, sizeof(text) - 1 - 4);
	assert_true(span_eq_str(h.method, "POST"));
	assert_true(span_eq_str(h.target, "/v1/x%20y"));
	assert_true(span_eq_str(h.query, "list=true&a=?b"));
	assert_int_equal(h.n_fields, 4);
	const struct h1_field *f = &h.fields[1];
	assert_true(span_eq_str(span_of(buf + f->name, f->name_n), "x-vault-token"));
	assert_true(span_eq_str(span_of(buf + f->value, f->value_n), "s.ABC"));
	assert_int_equal(h.fields[2].value_n, 0);
	assert_int_equal(h.body, H1_SIZED);
	assert_int_equal(h.content_length, 12);
	assert_int_equal(h.keep, 1);
	assert_int_equal(h.expects, 0);
	free(buf);
}

/* At each length short of the whole it asks for more, also when the bytes move between calls. */
static void test_any_split(void **state)
{
	static const char text[] = "LIST /v1/secret HTTP/1.1\r\nHost: a\r\nExpect: "
	                           "100-Continue\r\nTransfer-Encoding: Chunked\r\n\r\n";
	(void)state;
	for (size_t cut = 0; cut < sizeof(text) - 1; cut++) {
		struct h1_head h;
		uint8_t *buf;
		assert_int_equal(parse_n(&h, &buf, text, cut), H1_MORE);
		free(buf);
		buf = copy_of(text, sizeof(text) - 1);
		assert_int_equal(h1_head_parse(&h, &limits, buf, sizeof(text) - 1), H1_DONE);
		assert_true(span_eq_str(h.method, "LIST"));
		assert_true(span_eq_str(h.target, "/v1/secret"));
		assert_int_equal(h.body, H1_CHUNKED);
		assert_int_equal(h.expects, 1);
		free(buf);
	}
}

static void test_byte_by_byte(void **state)
{
	static const char text[] = "SCAN / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n";
	struct h1_head h;
	(void)state;
	h1_head_reset(&h);
	for (size_t n = 0; n <= sizeof(text) - 1; n++) {
		uint8_t *buf = copy_of(text, n);
		assert_int_equal(h1_head_parse(&h, &limits, buf, n),
		                 n == sizeof(text) - 1 ? H1_DONE : H1_MORE);
		free(buf);
	}
	assert_true(span_eq_str(h.method, "SCAN"));
	assert_int_equal(h.body, H1_NO_BODY);
}

static void test_verbs(void **state)
{
	static const char *const good[] = {"GET",   "HEAD", "POST",    "PUT",     "DELETE",
	                                   "PATCH", "LIST", "SCAN",    "OPTIONS", "TRACE",
	                                   "LINK",  "LOCK", "M-SEARCH"};
	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct h1_head h;
		uint8_t *buf;
		char text[100];
		struct builder b;
		builder_init_fixed(&b, text, sizeof(text));
		builder_fmt(&b, "%s / HTTP/1.1\r\nHost: a\r\n\r\n", good[i]);
		assert_int_equal(parse_n(&h, &buf, text, b.n), H1_DONE);
		assert_true(span_eq_str(h.method, good[i]));
		free(buf);
	}
	REFUSED(405, "FOO / HTTP/1.1\r\n" HOST "\r\n");
	REFUSED(405, "LISTS / HTTP/1.1\r\n" HOST "\r\n");
	REFUSED(405, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA / HTTP/1.1\r\n" HOST "\r\n");
	REFUSED(405, "CONNECT a:80 HTTP/1.1\r\n" HOST "\r\n");
	REFUSED(505, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
	REFUSED(405, "OPTIONS * HTTP/1.1\r\n" HOST "\r\n");
	REFUSED(405, "GET * HTTP/1.1\r\n" HOST "\r\n");
	REFUSED(400, "get / HTTP/1.1\r\n" HOST "\r\n");
	REFUSED(400, "G\xc3\x89T / HTTP/1.1\r\n" HOST "\r\n");
	REFUSED(400, "\x16\x03\x01\x02");
	REFUSED(400, " GET / HTTP/1.1\r\n");
	REFUSED(400, "GET\t/ HTTP/1.1\r\n" HOST "\r\n");
}

static void test_versions(void **state)
{
	struct h1_head h;
	uint8_t *buf;
	static const char old[] = "GET / HTTP/1.0\r\n\r\n",
	                  kept[] = "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
	                  closing[] = "GET / HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\n";
	(void)state;
	assert_int_equal(parse_n(&h, &buf, old, sizeof(old) - 1), H1_DONE);
	assert_int_equal(h.keep, 0);
	free(buf);
	assert_int_equal(parse_n(&h, &buf, kept, sizeof(kept) - 1), H1_DONE);
	assert_int_equal(h.keep, 0); /* no keep-alive for 1.0 */
	free(buf);
	assert_int_equal(parse_n(&h, &buf, closing, sizeof(closing) - 1), H1_DONE);
	assert_int_equal(h.keep, 0);
	free(buf);
	REFUSED(505, "GET / HTTP/2.0\r\n" HOST "\r\n");
	REFUSED(505, "GET / HTTP/1.2\r\n" HOST "\r\n");
	REFUSED(505, "GET / HTTP/0.9\r\n" HOST "\r\n");
	REFUSED(505, "GET / HTTP/9.9\r\n");
	REFUSED(400, "GET /\r\n");
	REFUSED(400, "GET / \r\n");
	REFUSED(400, "GET / HTTP/1.1 \r\n");
	REFUSED(400, "GET / HTTP/11\r\n");
	REFUSED(400, "GET / HTTP/1.10\r\n");
	REFUSED(400, "GET / http/1.1\r\n");
	REFUSED(400, "GET / RTSP/1.0\r\n");
	REFUSED(400, "GET  / HTTP/1.1\r\n");
	REFUSED(400, "GET /  HTTP/1.1\r\n");
	REFUSED(400, "GET /a b HTTP/1.1\r\n");
	REFUSED(400, "GET\r\n");
	REFUSED(400, "GET / HTTP/1.1\n");
	REFUSED(400, "GET / HTTP/1.1\r\r\n");
}

static void test_targets(void **state)
{
	static const struct {
		const char *text, *target, *query;
	} good[] = {
	    {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "/", ""},
	    {"GET /? HTTP/1.1\r\nHost: a\r\n\r\n", "/", ""},
	    {"GET http://a HTTP/1.1\r\nHost: a\r\n\r\n", "/", ""},
	    {"GET HTTP://A:80?x HTTP/1.1\r\nHost: a:80\r\n\r\n", "/", "x"},
	    {"GET https://a/b/c?d=e HTTP/1.1\r\nHost: a\r\n\r\n", "/b/c", "d=e"},
	    {"GET https://[::1]:8200/b HTTP/1.1\r\nHost: [::1]:8200\r\n\r\n", "/b", ""},
	    {"GET //b HTTP/1.1\r\nHost: a\r\n\r\n", "//b", ""},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct h1_head h;
		uint8_t *buf;
		assert_int_equal(parse_n(&h, &buf, good[i].text, strlen(good[i].text)), H1_DONE);
		assert_true(span_eq_str(h.target, good[i].target));
		assert_true(span_eq_str(h.query, good[i].query));
		free(buf);
	}
	REFUSED(400, "GET /a#b HTTP/1.1\r\n" HOST "\r\n");
	REFUSED(400, "GET /a\x7f HTTP/1.1\r\n" HOST "\r\n");
	REFUSED(400, "GET /a\0b HTTP/1.1\r\n" HOST "\r\n");
	REFUSED(400, "GET /a\xc3\xa4 HTTP/1.1\r\n" HOST "\r\n");
	REFUSED(400, "GET a HTTP/1.1\r\n" HOST "\r\n");
	REFUSED(400, "GET a:80 HTTP/1.1\r\n" HOST "\r\n");
	REFUSED(400, "GET ftp://a/ HTTP/1.1\r\n" HOST "\r\n");
	REFUSED(400, "GET http:///x HTTP/1.1\r\n" HOST "\r\n");
	REFUSED(400, "GET http://u@a/x HTTP/1.1\r\n" HOST "\r\n");
	REFUSED(400, "GET http://b/x HTTP/1.1\r\n" HOST "\r\n");
	REFUSED(400, "GET http://a:81/x HTTP/1.1\r\n" HOST "\r\n");
	REFUSED(400, "GET ?a HTTP/1.1\r\n" HOST "\r\n");
}

static void test_host(void **state)
{
	(void)state;
	REFUSED(400, "GET / HTTP/1.1\r\n\r\n");
	REFUSED(400, "GET / HTTP/1.1\r\nX: y\r\n\r\n");
	REFUSED(400, "GET / HTTP/1.1\r\n" HOST HOST "\r\n");
	REFUSED(400, "GET / HTTP/1.1\r\n" HOST "host: b\r\n\r\n");
	REFUSED(400, "GET / HTTP/1.1\r\nHost:\r\n\r\n");
	REFUSED(400, "GET / HTTP/1.1\r\nHost: a b\r\n\r\n");
	REFUSED(400, "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n");
	REFUSED(400, "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n");
	REFUSED(400, "GET / HTTP/1.1\r\nHost: a,b\r\n\r\n");
	REFUSED(400, "GET / HTTP/1.1\r\nHost: a:80:80\r\n\r\n");
	REFUSED(400, "GET / HTTP/1.1\r\nHost: a:b\r\n\r\n");
	REFUSED(400, "GET / HTTP/1.1\r\nHost: a:123456\r\n\r\n");
	REFUSED(400, "GET / HTTP/1.1\r\nHost: :80\r\n\r\n");
	REFUSED(400, "GET / HTTP/1.1\r\nHost: []\r\n\r\n");
	REFUSED(400, "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n");
	REFUSED(400, "GET / HTTP/1.1\r\nHost: [::1]x\r\n\r\n");
	REFUSED(400, "GET / HTTP/1.1\r\nHost : a\r\n\r\n");
}

static void test_header_lines(void **state)
{
	(void)state;
	REFUSED(400, "GET / HTTP/1.1\r\n" HOST "A: b\r\n c\r\n\r\n");
	REFUSED(400, "GET / HTTP/1.1\r\n" HOST "A:\r\n\tb\r\n\r\n");
	REFUSED(400, "GET / HTTP/1.1\r\n A: b\r\n" HOST "\r\n");
	REFUSED(400, "GET / HTTP/1.1\r\n" HOST "A: b\nC: d\r\n\r\n");
	REFUSED(400, "GET / HTTP/1.1\r\n" HOST "A: b\rC: d\r\n\r\n");
	REFUSED(400, "GET / HTTP/1.1\r\n" HOST "A: b\r\r\n\r\n");
	REFUSED(400, "GET / HTTP/1.1\r\n" HOST "\n");
	REFUSED(400, "GET / HTTP/1.1\r\n" HOST "A: b\0c\r\n\r\n");
	REFUSED(400, "GET / HTTP/1.1\r\n" HOST "A: b\x01\r\n\r\n");
	REFUSED(400, "GET / HTTP/1.1\r\n" HOST "A: b\x7f\r\n\r\n");
	REFUSED(400, "GET / HTTP/1.1\r\n" HOST "A b: c\r\n\r\n");
	REFUSED(400, "GET / HTTP/1.1\r\n" HOST "A\0: c\r\n\r\n");
	REFUSED(400, "GET / HTTP/1.1\r\n" HOST ": c\r\n\r\n");
	REFUSED(400, "GET / HTTP/1.1\r\n" HOST "A\r\n\r\n");
	REFUSED(400, "GET / HTTP/1.1\r\n" HOST "A(: c\r\n\r\n");
}

static void test_framing(void **state)
{
	(void)state;
	REFUSED(400, "POST / HTTP/1.1\r\n" HOST "Content-Length: 1\r\nContent-Length: 1\r\n\r\n");
	REFUSED(400, "POST / HTTP/1.1\r\n" HOST "Content-Length: 1\r\nContent-Length: 2\r\n\r\n");
	REFUSED(400, "POST / HTTP/1.1\r\n" HOST "Content-Length: 1, 1\r\n\r\n");
	REFUSED(400, "POST / HTTP/1.1\r\n" HOST "Content-Length: +1\r\n\r\n");
	REFUSED(400, "POST / HTTP/1.1\r\n" HOST "Content-Length: -1\r\n\r\n");
	REFUSED(400, "POST / HTTP/1.1\r\n" HOST "Content-Length: 0x1\r\n\r\n");
	REFUSED(400, "POST / HTTP/1.1\r\n" HOST "Content-Length: 1 2\r\n\r\n");
	REFUSED(400, "POST / HTTP/1.1\r\n" HOST "Content-Length:\r\n\r\n");
	REFUSED(400, "POST / HTTP/1.1\r\n" HOST "Content-Length: 99999999999999999999999\r\n\r\n");
	REFUSED(400, "POST / HTTP/1.1\r\n" HOST "Content-Length: 18446744073709551616\r\n\r\n");
	REFUSED(400, "POST / HTTP/1.1\r\n" HOST
	             "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n");
	REFUSED(400, "POST / HTTP/1.1\r\n" HOST
	             "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n");
	REFUSED(501, "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip\r\n\r\n");
	REFUSED(501, "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip, chunked\r\n\r\n");
	REFUSED(400, "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked, identity\r\n\r\n");
	REFUSED(501, "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: xchunked\r\n\r\n");
	REFUSED(501, "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: identity\r\n\r\n");
	REFUSED(501, "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding:\r\n\r\n");
	REFUSED(501, "POST / HTTP/1.0\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n");
	REFUSED(400, "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding : chunked\r\n\r\n");
	REFUSED(400, "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: \x0b"
	             "chunked\r\n\r\n");
	REFUSED(417, "POST / HTTP/1.1\r\n" HOST "Expect: 200-ok\r\nContent-Length: 1\r\n\r\n");
}

static void test_repeated_coding(void **state)
{
	struct h1_head h;
	uint8_t *buf;
	static const char text[] = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
	                           "chunked\r\nTransfer-Encoding: chunked\r\n\r\n";
	(void)state;
	assert_int_equal(parse_n(&h, &buf, text, sizeof(text) - 1), H1_REFUSED);
	assert_true(h.status == 400 || h.status == 501);
	free(buf);
}

/* Upgrade is no reason to change protocols. */
static void test_upgrade_ignored(void **state)
{
	static const char text[] =
	    "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: "
	    "h2c\r\nHTTP2-Settings: AA\r\n\r\nGET";
	struct h1_head h;
	uint8_t *buf;
	(void)state;
	assert_int_equal(parse_n(&h, &buf, text, sizeof(text) - 1), H1_DONE);
	assert_int_equal(h.n, sizeof(text) - 4);
	assert_int_equal(h.keep, 1);
	free(buf);
}

static void test_limits(void **state)
{
	struct h1_head h;
	uint8_t *buf;
	char text[2000];
	struct builder b;
	(void)state;
	for (size_t line = 195; line <= 205; line++) {
		builder_init_fixed(&b, text, sizeof(text));
		builder_str(&b, "GET /");
		while (b.n < line - 11)
			builder_u8(&b, 'x');
		builder_str(&b, " HTTP/1.1\r\n");
		assert_int_equal(b.n, line);
		builder_str(&b, HOST "\r\n");
		assert_int_equal(parse_n(&h, &buf, text, b.n), line <= 200 ? H1_DONE : H1_REFUSED);
		assert_true(line <= 200 || h.status == 414);
		free(buf);
	}
	for (size_t headers = 595; headers <= 605; headers++) {
		builder_init_fixed(&b, text, sizeof(text));
		builder_str(&b, "GET / HTTP/1.1\r\n" HOST "X: ");
		while (b.n < headers + 16 - 4)
			builder_u8(&b, 'x');
		builder_str(&b, "\r\n\r\n");
		assert_int_equal(parse_n(&h, &buf, text, b.n),
		                 headers <= 600 ? H1_DONE : H1_REFUSED);
		assert_true(headers <= 600 || h.status == 431);
		free(buf);
	}
	memset(text, 'G', sizeof(text));
	refused(text, 200, 414);
	builder_init_fixed(&b, text, sizeof(text));
	builder_str(&b, "GET / HTTP/1.1\r\n" HOST "1: a\r\n2: a\r\n3: a\r\n4: a\r\n\r\n");
	assert_int_equal(parse_n(&h, &buf, text, b.n), H1_DONE);
	assert_int_equal(h.n_fields, 5);
	free(buf);
	REFUSED(431, "GET / HTTP/1.1\r\n" HOST "1: a\r\n2: a\r\n3: a\r\n4: a\r\n5: a\r\n");
}

/* --- chunked bodies --- */

static const char chunked_head[] =
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";

static void begin_chunks(struct h1_head *h)
{
	uint8_t *buf;
	assert_int_equal(parse_n(h, &buf, chunked_head, sizeof(chunked_head) - 1), H1_DONE);
	free(buf); /* the parser keeps nothing of the head's bytes */
}

static const char some_chunks[] = "5\r\nhello\r\n6;name=\"value\"\r\n "
                                  "world\r\n000A\r\n0123456789\r\n0\r\nTrailer: x\r\nB:\r\n\r\n : ";

static void test_chunks_in_pieces(void **state)
{
	(void)state;
	for (size_t piece = 1; piece < sizeof(some_chunks); piece++) {
		struct h1_head h;
		struct builder sink = {0};
		size_t at = 0, used;
		enum h1_step s = H1_MORE;
		begin_chunks(&h);
		while (s == H1_MORE && at < sizeof(some_chunks) - 1) {
			size_t left = sizeof(some_chunks) - 1 - at, n = left < piece ? left : piece;
			uint8_t *buf = copy_of(some_chunks + at, n);
			s = h1_chunks(&h, &sink, 100, buf, n, &used);
			at += used;
			free(buf);
		}
		assert_int_equal(s, H1_DONE);
		assert_int_equal(at, sizeof(some_chunks) - 1 - 3);
		assert_true(span_eq_str(builder_span(&sink), "hello world0123456789"));
		builder_free(&sink);
	}
}

/* The body comes to the front of each piece, and what follows the message is left as it is. */
static void test_chunks_in_place(void **state)
{
	(void)state;
	for (size_t piece = 1; piece < sizeof(some_chunks); piece++) {
		struct h1_head h;
		struct builder sink = {0};
		size_t at = 0;
		enum h1_step s = H1_MORE;
		begin_chunks(&h);
		while (s == H1_MORE) {
			size_t left = sizeof(some_chunks) - 1 - at, n = left < piece ? left : piece;
			size_t used = 1000, body_n = 1000;
			uint8_t *buf = copy_of(some_chunks + at, n);
			s = h1_chunks_in_place(&h, buf, n, &body_n, &used);
			assert_true(body_n <= used && used <= n && (s == H1_DONE || used == n));
			assert_memory_equal(buf + used, some_chunks + at + used, n - used);
			builder_add(&sink, span_of(buf, body_n));
			at += used;
			free(buf);
		}
		assert_int_equal(s, H1_DONE);
		assert_int_equal(at, sizeof(some_chunks) - 1 - 3);
		assert_true(span_eq_str(builder_span(&sink), "hello world0123456789"));
		builder_free(&sink);
	}
}

/* No limit but on what weighs the body down; outputs are left alone. */
static void test_chunks_in_place_refused(void **state)
{
	static const char huge[] = "ffffffffffffffff\r\nabc", bad[] = "2\r\nabX\r\n";
	struct h1_head h;
	size_t used = 77, body_n = 88;
	uint8_t *buf = copy_of(huge, sizeof(huge) - 1);
	(void)state;
	begin_chunks(&h);
	assert_int_equal(h1_chunks_in_place(&h, buf, sizeof(huge) - 1, &body_n, &used), H1_MORE);
	assert_int_equal(body_n, 3);
	assert_memory_equal(buf, "abc", 3);
	free(buf);
	buf = copy_of(bad, sizeof(bad) - 1);
	used = 77;
	body_n = 88;
	begin_chunks(&h);
	assert_int_equal(h1_chunks_in_place(&h, buf, sizeof(bad) - 1, &body_n, &used), H1_REFUSED);
	assert_int_equal(h.status, 400);
	assert_int_equal(used, 77);
	assert_int_equal(body_n, 88);
	free(buf);
}

static void chunks_refused_in_pieces(const char *s, size_t n, size_t piece, unsigned status)
{
	struct h1_head h;
	struct builder sink = {0};
	size_t used = 0;
	enum h1_step step = H1_MORE;
	begin_chunks(&h);
	for (size_t at = 0; step == H1_MORE && at < n; at += used) {
		size_t part = n - at < piece ? n - at : piece;
		uint8_t *buf = copy_of(s + at, part);
		step = h1_chunks(&h, &sink, 100, buf, part, &used);
		free(buf);
	}
	if (step != H1_REFUSED || h.status != status)
		fail_msg("step %d status %u instead of %u in pieces of %zu for: %.*s", (int)step,
		         h.status, status, piece, (int)n, s);
	builder_free(&sink);
}

static void chunks_refused(const char *s, size_t n, unsigned status)
{
	for (size_t piece = 1; piece <= n; piece++)
		chunks_refused_in_pieces(s, n, piece, status);
}
#define CHUNKS_REFUSED(status, s) chunks_refused(s, sizeof(s) - 1, status)

static void test_chunks_refused(void **state)
{
	(void)state;
	CHUNKS_REFUSED(400, "x\r\n");
	CHUNKS_REFUSED(400, "\r\n");
	CHUNKS_REFUSED(400, "-1\r\n");
	CHUNKS_REFUSED(400, "0x5\r\nhello\r\n");
	CHUNKS_REFUSED(400, "5 \r\nhello\r\n");
	CHUNKS_REFUSED(400, "5\nhello\r\n0\r\n\r\n");
	CHUNKS_REFUSED(400, "5\r\nhello0\r\n");
	CHUNKS_REFUSED(400, "5\r\nhello\n0\r\n\r\n");
	CHUNKS_REFUSED(400, "5\r\nhelloXX0\r\n");
	CHUNKS_REFUSED(400, "5\rX");
	CHUNKS_REFUSED(400, "10000000000000000\r\n");
	CHUNKS_REFUSED(400, "fffffffffffffffff\r\n");
	CHUNKS_REFUSED(400, "5;a\x01=b\r\nhello\r\n");
	CHUNKS_REFUSED(400, "0\r\nBad Trailer: x\r\n\r\n");
	CHUNKS_REFUSED(400, "0\r\nTrailer: \x01\r\n\r\n");
	CHUNKS_REFUSED(400, "0\r\nTrailer: x\r\n y\r\n\r\n");
	CHUNKS_REFUSED(400, "0\r\nTrailer: x\r\n\ty\r\n\r\n");
	CHUNKS_REFUSED(400, "0\r\n Trailer: x\r\n\r\n");
	CHUNKS_REFUSED(400, "0\r\n: x\r\n\r\n");
	CHUNKS_REFUSED(400, "0\r\nTrailer: x\r\n: x\r\n\r\n");
	CHUNKS_REFUSED(400, "0\r\nTrailer: x\n\r\n");
	CHUNKS_REFUSED(400, "0\r\n\n");
	CHUNKS_REFUSED(400, "0\r\nTrailer: x\r\n\n");
	CHUNKS_REFUSED(400, "0\r\nTrailer: x\r\n\rX");
	CHUNKS_REFUSED(400, "0\r\n\rX");
}

static void test_chunks_too_large(void **state)
{
	char text[300];
	struct builder b;
	(void)state;
	builder_init_fixed(&b, text, sizeof(text));
	builder_str(&b, "65\r\n"); /* 101 */
	for (int i = 0; i < 101; i++)
		builder_u8(&b, 'x');
	chunks_refused(text, b.n, 413);
	/* the size alone says it */
	CHUNKS_REFUSED(413, "65\r\n");
	CHUNKS_REFUSED(413, "32\r\n"
	                    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n33\r\n");
	CHUNKS_REFUSED(413, "ffffffffffffffff\r\n");
}

static void overhead_refused(struct span first, struct span then)
{
	struct h1_head h;
	struct builder sink = {0};
	size_t used, total = 0;
	enum h1_step s = H1_MORE;
	begin_chunks(&h);
	assert_int_equal(h1_chunks(&h, &sink, 100, first.p, first.n, &used), H1_MORE);
	while (s == H1_MORE && total < 100000) {
		s = h1_chunks(&h, &sink, 100, then.p, then.n, &used);
		total += then.n;
	}
	assert_int_equal(s, H1_REFUSED);
	assert_int_equal(h.status, 413);
	assert_true(total < 40000);
	builder_free(&sink);
}

static void test_chunk_overhead(void **state)
{
	(void)state;
	overhead_refused(span_str("5;"), span_str("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"));
	overhead_refused(span_str("0\r\n"), span_str("Trailer: aaaaaaaaaaaaaaaaaaaaaaaaa\r\n"));
	overhead_refused(span_str("0"), span_str("00000000000000000000000000000000000"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_simple),
	    cmocka_unit_test(test_any_split),
	    cmocka_unit_test(test_byte_by_byte),
	    cmocka_unit_test(test_verbs),
	    cmocka_unit_test(test_versions),
	    cmocka_unit_test(test_targets),
	    cmocka_unit_test(test_host),
	    cmocka_unit_test(test_header_lines),
	    cmocka_unit_test(test_framing),
	    cmocka_unit_test(test_repeated_coding),
	    cmocka_unit_test(test_upgrade_ignored),
	    cmocka_unit_test(test_limits),
	    cmocka_unit_test(test_chunks_in_pieces),
	    cmocka_unit_test(test_chunks_in_place),
	    cmocka_unit_test(test_chunks_in_place_refused),
	    cmocka_unit_test(test_chunks_refused),
	    cmocka_unit_test(test_chunks_too_large),
	    cmocka_unit_test(test_chunk_overhead),
	};
	return cmocka_run_group_tests_name("http/h1_parse", tests, NULL, NULL);
}
