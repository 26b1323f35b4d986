/* Heads of answers, byte by byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "http/h1_reply.h"

#define DATE "Sun, 06 Nov 1994 08:49:37 GMT"

static struct span first;

static void head_is(const struct exchange *x, enum reply_end end, const char *want)
{
	struct builder b = {0};
	h1_reply_head(&b, x, DATE, end);
	assert_int_equal(builder_status(&b), ST_OK);
	assert_int_equal(b.n, strlen(want));
	assert_memory_equal(b.p, want, b.n);
	builder_free(&b);
}

static void test_heads(void **state)
{
	struct exchange x = {.status = 200, .content_type = "application/json"};
	(void)state;
	builder_str(&x.body_out, "{}\n");
	head_is(&x, REPLY_KEEP,
	        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "
	        "3\r\nCache-Control: no-store\r\nDate: " DATE "\r\n\r\n");
	assert_true(span_eq_str(h1_reply_body(&x, &first), "{}\n"));
	x.extra[0].name = span_str("Retry-After");
	x.extra[0].value = span_str("30");
	x.n_extra = 1;
	x.status = 503;
	head_is(&x, REPLY_CLOSE,
	        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: "
	        "application/json\r\nContent-Length: 3\r\nCache-Control: no-store\r\nDate: " DATE
	        "\r\nRetry-After: 30\r\nConnection: close\r\n\r\n");
	x.method = HTTP_HEAD;
	x.n_extra = 0;
	x.status = 599;
	head_is(&x, REPLY_KEEP,
	        "HTTP/1.1 599 Unknown\r\nContent-Type: application/json\r\nContent-Length: "
	        "3\r\nCache-Control: no-store\r\nDate: " DATE "\r\n\r\n");
	assert_int_equal(h1_reply_body(&x, &first).n, 0);
	builder_free(&x.body_out);
}

static void test_body_of_two_parts(void **state)
{
	struct exchange x = {.status = 200, .content_type = "application/json"};
	(void)state;
	builder_str(&x.body_first, "{\"a\":");
	builder_str(&x.body_out, "1}\n");
	head_is(&x, REPLY_KEEP,
	        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "
	        "8\r\nCache-Control: no-store\r\nDate: " DATE "\r\n\r\n");
	assert_true(span_eq_str(h1_reply_body(&x, &first), "1}\n"));
	assert_true(span_eq_str(first, "{\"a\":"));
	x.method = HTTP_HEAD;
	assert_int_equal(h1_reply_body(&x, &first).n, 0);
	assert_int_equal(first.n, 0);
	builder_free(&x.body_first);
	builder_free(&x.body_out);
}

static void test_stream_heads(void **state)
{
	struct exchange x = {.status = 200, .content_type = "application/x-ndjson", .n_extra = 1};
	struct builder b = {0};
	(void)state;
	x.extra[0].name = span_str("X-A");
	x.extra[0].value = span_str("b");
	h1_reply_stream_head(&b, &x, DATE, REPLY_KEEP);
	assert_true(span_eq_str(builder_span(&b),
	                        "HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n"
	                        "Transfer-Encoding: chunked\r\nCache-Control: no-store\r\n"
	                        "Date: " DATE "\r\nX-A: b\r\n\r\n"));
	builder_reset(&b);
	x.n_extra = 0;
	h1_reply_stream_head(&b, &x, DATE, REPLY_CLOSE);
	assert_true(span_ends(builder_span(&b), span_str("\r\nConnection: close\r\n\r\n")));
	builder_free(&b);
}

static void test_without_body(void **state)
{
	struct exchange x = {.status = 204, .content_type = "text/plain"};
	(void)state;
	builder_str(&x.body_out, "ignored");
	head_is(&x, REPLY_KEEP,
	        "HTTP/1.1 204 No Content\r\nCache-Control: no-store\r\nDate: " DATE "\r\n\r\n");
	assert_int_equal(h1_reply_body(&x, &first).n, 0);
	x.status = 304;
	head_is(&x, REPLY_KEEP,
	        "HTTP/1.1 304 Not Modified\r\nCache-Control: no-store\r\nDate: " DATE "\r\n\r\n");
	assert_int_equal(h1_reply_body(&x, &first).n, 0);
	x.status = 404;
	x.content_type = NULL;
	head_is(
	    &x, REPLY_KEEP,
	    "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nCache-Control: no-store\r\nDate: " DATE
	    "\r\n\r\n");
	assert_int_equal(h1_reply_body(&x, &first).n, 0);
	builder_free(&x.body_out);
}

/* What a dialect puts into a header cannot become a line of its own. */
static void test_no_splitting(void **state)
{
	static const char *const bad[] = {"a\r\nb: c", "a\nb", "a\rb"};
	struct exchange x = {.status = 204, .n_extra = 1};
	(void)state;
	for (size_t i = 0; i < 3; i++) {
		x.extra[0].name = span_str("X");
		x.extra[0].value = span_str(bad[i]);
		head_is(&x, REPLY_KEEP,
		        "HTTP/1.1 204 No Content\r\nCache-Control: no-store\r\nDate: " DATE
		        "\r\n\r\n");
		x.extra[0].name = span_str(bad[i]);
		x.extra[0].value = span_str("y");
		head_is(&x, REPLY_KEEP,
		        "HTTP/1.1 204 No Content\r\nCache-Control: no-store\r\nDate: " DATE
		        "\r\n\r\n");
	}
	x.extra[0].name = span_str("X");
	x.extra[0].value = span_of("a\0b", 3);
	head_is(&x, REPLY_KEEP,
	        "HTTP/1.1 204 No Content\r\nCache-Control: no-store\r\nDate: " DATE "\r\n\r\n");
}

static void test_dates(void **state)
{
	static const struct {
		int64_t unix_s;
		const char *text;
	} known[] = {{784111777, DATE},
	             {0, "Thu, 01 Jan 1970 00:00:00 GMT"},
	             {951827696, "Tue, 29 Feb 2000 12:34:56 GMT"},
	             {4107542399, "Sun, 28 Feb 2100 23:59:59 GMT"},
	             {253402300799, "Fri, 31 Dec 9999 23:59:59 GMT"}};
	char text[HTTP_DATE_ROOM];
	(void)state;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		http_date(known[i].unix_s, text);
		assert_string_equal(text, known[i].text);
	}
}

static void test_reasons(void **state)
{
	(void)state;
	assert_string_equal(http_reason(200), "OK");
	assert_string_equal(http_reason(429), "Too Many Requests");
	assert_string_equal(http_reason(299), "Unknown");
	assert_string_equal(http_reason(0), "Unknown");
	assert_string_equal(http_reason(1000), "Unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_heads),
	    cmocka_unit_test(test_body_of_two_parts),        cmocka_unit_test(test_stream_heads),
	    cmocka_unit_test(test_without_body), cmocka_unit_test(test_no_splitting),
	    cmocka_unit_test(test_dates),        cmocka_unit_test(test_reasons),
	};
	return cmocka_run_group_tests_name("http/h1_reply", tests, NULL, NULL);
}
