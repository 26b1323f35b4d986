/* Escaping, and the addresses and tokens that no request is made with. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cli/client.h"
#include "cli/memory.h"

static void test_escape(void **state)
{
	static const struct {
		const char *plain, *escaped;
	} cases[] = {
	    {"", ""},
	    {"sys/rotate/config", "sys/rotate/config"},
	    {"a-b._~Z9", "a-b._~Z9"},
	    {"a b", "a%20b"},
	    {"a?b=c&d#e", "a%3Fb%3Dc%26d%23e"},
	    {"100%", "100%25"},
	    {"%2e%2e/", "%252e%252e/"},
	    {"../x", "../x"},
	    {"\xc3\xa9\r\n", "%C3%A9%0D%0A"},
	};
	struct builder b = {0};
	size_t i;

	for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		client_escape(&b, span_str(cases[i].plain));
		assert_true(span_eq_str(builder_span(&b), cases[i].escaped));
		builder_reset(&b);
	}
	builder_free(&b);
}

static void test_query(void **state)
{
	json_t *object = json_pack("{s:s,s:s}", "after", "7", "a b", "c&d=e");
	struct builder b = {0};

	client_query(&b, object);
	assert_true(span_eq_str(builder_span(&b), "after=7&a%20b=c%26d%3De"));
	json_decref(object);
	builder_free(&b);
}

static enum status make(const char *address, const char *token)
{
	const struct client_settings settings = {.address = address, .token = span_str(token)};
	struct client *c = NULL;
	struct err err = {0};
	enum status s;

	s = client_new(&settings, &c, &err);
	assert_true((s == ST_OK) == (c != NULL));
	assert_true((s == ST_OK) == (err.text[0] == '\0'));
	client_free(&c);
	assert_null(c);
	return s;
}

static void test_addresses(void **state)
{
	static const char *const good[] = {"https://127.0.0.1:8200", "http://k.example",
	                                   "https://[::1]:8200/", "unix:///run/k.sock"};
	static const char *const bad[] = {"",
	                                  "127.0.0.1:8200",
	                                  "ftp://k",
	                                  "file:///etc/passwd",
	                                  "unix://run/k.sock",
	                                  "unix://",
	                                  "https://u:p@k",
	                                  "https://k/?a=b",
	                                  "https://k#f",
	                                  "https://k k",
	                                  "HTTPS://k",
	                                  "gopher://k"};
	size_t i;

	for (i = 0; i < sizeof good / sizeof good[0]; i++)
		assert_int_equal(make(good[i], "s.x"), ST_OK);
	for (i = 0; i < sizeof bad / sizeof bad[0]; i++)
		if (make(bad[i], "s.x") != ST_INVALID)
			fail_msg("taken: %s", bad[i]);
}

static void test_tokens_cannot_carry_headers(void **state)
{
	static const char *const bad[] = {"a b",  "a\r\nX-Other: 1", "a\n", "\t",
	                                  "\x7f", "\xc3\xa9"};
	size_t i;

	assert_int_equal(make("https://k", ""), ST_OK);
	assert_int_equal(make("https://k", "s.AZaz09-_~!"), ST_OK);
	for (i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_int_equal(make("https://k", bad[i]), ST_INVALID);
}

static void test_nobody_there(void **state)
{
	const struct client_settings settings = {.address = "unix:///nonexistent/k.sock"};
	struct client *c = NULL;
	struct reply r = {0};
	struct err err = {0};

	assert_int_equal(client_new(&settings, &c, &err), ST_OK);
	assert_int_equal(client_call(c, "GET", "sys/health", NULL, NULL, &r, &err), ST_IO);
	assert_non_null(strstr(err.text, "GET unix:///nonexistent/k.sock/v1/sys/health"));
	assert_null(r.url);
	assert_null(r.body);
	reply_free(&r);
	client_free(&c);
}

static int set_up(void **state)
{
	return memory_setup();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_escape),       cmocka_unit_test(test_query),
	    cmocka_unit_test(test_addresses),    cmocka_unit_test(test_tokens_cannot_carry_headers),
	    cmocka_unit_test(test_nobody_there),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
