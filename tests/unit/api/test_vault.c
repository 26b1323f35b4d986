/* The Vault dialect over a real gate: queries, escapes, bodies, headers and methods, good and malformed, and the shape of every answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/wire.h"

/* ---- one exchange ---- */

/* With the root token. */
static unsigned ask(enum http_method method, const char *target, const char *body)
{
	wire_begin();
	wire_header("host", "x");
	wire_header("x-vault-token", wire.house->root);
	return wire_exchange(method, target, span_str(body));
}

/* The answer is an object {"errors":[text]}, and the text is there. */
static void assert_says(const char *part)
{
	assert_int_equal(strncmp(wire.text, "{\"errors\":[\"", 12), 0);
	assert_true(strlen(wire.text) > strlen("{\"errors\":[\"\"]}\n"));
	assert_non_null(strstr(wire.text, part));
	assert_string_equal(wire.x.content_type, "application/json");
}

static bool holds(const char *part)
{
	return strstr(wire.text, part) != NULL;
}

static int setup(void **state)
{
	if (house_process(state) != 0)
		return -1;
	wire_open(house_new(NULL));
	assert_int_equal(ask(HTTP_POST, "/v1/sys/mounts/secret", "{\"type\":\"kv\"}"), 204);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	wire_close();
	return 0;
}

/* ---- paths ---- */

static void a_path_is_decoded_once(void **state)
{
	(void)state;
	assert_int_equal(ask(HTTP_PUT, "/v1/secret/a%20b%25c+d", "{\"v\":1}"), 204);
	assert_int_equal(ask(HTTP_GET, "/v1/secret/a%20b%25c%2bd", ""), 200);
	assert_int_equal(ask(HTTP_GET, "/v1/secret/a%2520b%25c+d", ""), 404);
	assert_int_equal(ask(HTTP_LIST, "/v1/secret", ""), 200);
	assert_true(holds("a b%c+d"));
	assert_int_equal(ask(HTTP_GET, "/v1/%73%65cret/a%20b%25c+d", ""), 200);
	assert_int_equal(ask(HTTP_PUT, "/v1/secret/%C3%A4", "{\"v\":1}"), 204);
	assert_int_equal(ask(HTTP_GET, "/v1/secret/\xc3\xa4", ""), 200);
}

static void paths_refused(void **state)
{
	static const char *const bad[] = {
	    "/v1//",
	    "/v1//secret/a",
	    "/v1/secret//a",
	    "/v1/secret/a//",
	    "/v1/./secret",
	    "/v1/secret/..",
	    "/v1/secret/../sys",
	    "/v1/%2e%2e/sys",
	    "/v1/secret/%2E",
	    "/v1/secret%2fa",
	    "/v1/secret/%2Fa",
	    "/v1/secret/a%00",
	    "/v1/secret/%0a",
	    "/v1/secret/%7F",
	    "/v1/secret/%1",
	    "/v1/secret/%",
	    "/v1/secret/%g0",
	    "/v1/secret/%0g",
	    "/v1/secret/%ff",
	    "/v1/secret/%c3",
	    "/v1/secret/%c0%af",
	    "/v1/secret/%ed%a0%80",
	};
	char target[1200] = "/v1/secret/";

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		assert_int_equal(ask(HTTP_PUT, bad[i], "{\"v\":1}"), 400);
		assert_says("path");
	}
	memset(target + 11, 'a', 494);
	assert_int_equal(ask(HTTP_PUT, target, "{\"v\":1}"), 400);
	assert_says("500");
	memset(target + 11, 'a', 1000);
	assert_int_equal(ask(HTTP_PUT, target, "{\"v\":1}"), 400);
	assert_says("too long");
}

static void what_is_not_of_this_dialect(void **state)
{
	static const char *const other[] = {"/",        "/v1", "/v2/sys/health", "/V1/sys/health",
	                                    "/v1x/sys", "",    "/api/2.0/x",     "*"};

	(void)state;
	for (size_t i = 0; i < sizeof other / sizeof *other; i++) {
		assert_int_equal(ask(HTTP_GET, other[i], ""), 404);
		assert_string_equal(wire.text, "{\"errors\":[]}\n");
	}
	assert_int_equal(ask(HTTP_GET, "/v1/", ""), 404);
	assert_says("no handler for route");
}

/* ---- queries ---- */

static void queries(void **state)
{
	static const struct {
		const char *query;
		unsigned status;
	} cases[] = {
	    {"", 404},
	    {"list=true", 200},
	    {"list=1", 200},
	    {"list=t", 200},
	    {"list=TRUE", 200},
	    {"list=%74rue", 200},
	    {"&&list=true&", 200},
	    {"x=y&list=true", 200},
	    {"=&list=true", 200},
	    {"list=true=", 400},
	    {"list=false", 404},
	    {"list=0", 404},
	    {"list", 404},
	    {"list=", 404},
	    {"LIST=true", 404},
	    {"xlist=true", 404},
	    {"list=tru", 400},
	    {"list=2", 400},
	    {"list=+true", 400},
	    {"list=%", 400},
	    {"list=%7", 400},
	    {"list=%zz", 400},
	    {"%=1", 400},
	    {"a=%00", 400},
	    {"a=%ff", 400},
	    {"a=b%", 400},
	    {"%00", 400},
	    {"1&2&3&4&5&6&7&8&9&a&b&c&d&e&f&list=1", 200},
	    {"1&2&3&4&5&6&7&8&9&a&b&c&d&e&f&g&list=1", 400},
	};
	char target[256];

	(void)state;
	assert_int_equal(ask(HTTP_PUT, "/v1/secret/folder/x", "{\"v\":1}"), 204);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		(void)snprintf(target, sizeof target, "/v1/secret/folder?%s", cases[i].query);
		assert_int_equal(ask(HTTP_GET, target, ""), cases[i].status);
		assert_int_equal(holds("\"keys\":[\"x\"]"), cases[i].status == 200);
		if (cases[i].status == 400)
			assert_says("");
	}
}

static void a_query_is_a_parameter_where_the_body_has_none(void **state)
{
	(void)state;
	assert_int_equal(ask(HTTP_GET, "/v1/sys/health?activecode=299", ""), 299);
	assert_int_equal(ask(HTTP_GET, "/v1/sys/health?activecode=%32%39%38", ""), 298);
	assert_int_equal(ask(HTTP_GET, "/v1/sys/health?activecode=2+9", ""), 400);
	assert_int_equal(ask(HTTP_POST, "/v1/auth/token/create?num_uses=7", "{\"num_uses\":5}"),
	                 200);
	assert_true(holds("\"num_uses\":5"));
	assert_int_equal(ask(HTTP_POST, "/v1/auth/token/create?num_uses=7", "{\"num_uses\":null}"),
	                 200);
	assert_true(holds("\"num_uses\":0"));
	assert_int_equal(ask(HTTP_GET, "/v1/secret/folder/x?list=true", "{\"list\":false}"), 404);
}

/* The body of one request is no part of the next. */
static void nothing_is_left_of_the_request_before(void **state)
{
	(void)state;
	assert_int_equal(ask(HTTP_POST, "/v1/auth/token/create", "{\"num_uses\":5}"), 200);
	assert_true(holds("\"num_uses\":5"));
	assert_int_equal(ask(HTTP_POST, "/v1/auth/token/create", ""), 200);
	assert_true(holds("\"num_uses\":0"));
	assert_int_equal(ask(HTTP_POST, "/v1/auth/token/create?num_uses=3", ""), 200);
	assert_true(holds("\"num_uses\":3"));
	assert_int_equal(ask(HTTP_POST, "/v1/auth/token/create", ""), 200);
	assert_true(holds("\"num_uses\":0"));
	assert_int_equal(ask(HTTP_GET, "/v1/secret/folder/x", "{\"list\":true}"), 200);
	assert_int_equal(ask(HTTP_GET, "/v1/secret/folder", ""), 404);
}

/* ---- bodies ---- */

static void bodies(void **state)
{
	static const struct {
		const char *body;
		unsigned status;
		const char *says;
	} cases[] = {
	    {"", 204, ""},
	    {"{}", 204, ""},
	    {" \t\r\n{ } ", 204, ""},
	    {"null", 204, ""},
	    {"\"text\"", 204, ""},
	    {"{\"enabled\":true}", 204, ""},
	    {"[]", 400, "object"},
	    {"7", 400, "object"},
	    {"true", 400, "object"},
	    {"false", 400, "object"},
	    {"{", 400, "failed to decode JSON input"},
	    {"{}x", 400, "failed to decode JSON input"},
	    {"{\"a\":1,\"a\":1}", 400, "failed to decode JSON input"},
	    {"{\"a\":1,\"\\u0061\":1}", 400, "failed to decode JSON input"},
	    {"{'a':1}", 400, "failed to decode JSON input"},
	    {"{\"a\":\"\xff\"}", 400, "failed to decode JSON input"},
	    {"{\"a\":\"\\ud800\"}", 400, "failed to decode JSON input"},
	    {"{\"a\":01}", 400, "failed to decode JSON input"},
	    {"a=b&c=d", 400, "failed to decode JSON input"},
	    {"\xef\xbb\xbf{}", 400, "failed to decode JSON input"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		assert_int_equal(ask(HTTP_POST, "/v1/sys/rotate/config", cases[i].body),
		                 cases[i].status);
		if (cases[i].status != 204)
			assert_says(cases[i].says);
	}
	wire_begin();
	wire_header("x-vault-token", wire.house->root);
	assert_int_equal(wire_exchange(HTTP_POST, "/v1/sys/rotate/config", span_of("{}\0", 3)),
	                 400);
}

/* A connection gives back what one unusual request took. */
static void memory_is_given_back(void **state)
{
	char *body = malloc(200002);
	size_t n = 0;

	(void)state;
	assert_non_null(body);
	n += (size_t)snprintf(body, 200002, "{\"a\":[0");
	while (n < 199990) {
		memcpy(body + n, ",0", 2);
		n += 2;
	}
	memcpy(body + n, "]}", 3);
	assert_int_equal(ask(HTTP_PUT, "/v1/secret/large", body), 204);
	assert_int_equal(ask(HTTP_GET, "/v1/secret/large", ""), 200);
	assert_true(strlen(wire.text) > 199990);
	body[n] = ','; /* malformed at its very end */
	assert_int_equal(ask(HTTP_PUT, "/v1/secret/large", body), 400);
	free(body);
	assert_int_equal(ask(HTTP_GET, "/v1/sys/health", ""), 200);
}

/* ---- headers and methods ---- */

static unsigned self_with(const char *name, const char *value)
{
	wire_begin();
	wire_header(name, value);
	return wire_exchange(HTTP_GET, "/v1/auth/token/lookup-self", span_of(NULL, 0));
}

static void tokens_come_in_two_headers(void **state)
{
	char value[128];

	(void)state;
	assert_int_equal(self_with("x-vault-token", wire.house->root), 200);
	(void)snprintf(value, sizeof value, "Bearer %s", wire.house->root);
	assert_int_equal(self_with("authorization", value), 200);
	(void)snprintf(value, sizeof value, "bEaReR   %s", wire.house->root);
	assert_int_equal(self_with("authorization", value), 200);
	(void)snprintf(value, sizeof value, "Bearer%s", wire.house->root);
	assert_int_equal(self_with("authorization", value), 403);
	assert_int_equal(self_with("authorization", wire.house->root), 403);
	assert_int_equal(self_with("authorization", "Bearer "), 403);
	assert_int_equal(self_with("authorization", "Bearer"), 403);
	assert_int_equal(self_with("authorization", ""), 403);
	assert_int_equal(self_with("cookie", wire.house->root), 403);
	assert_string_equal(wire.text, "{\"errors\":[\"permission denied\"]}\n");
	wire_begin(); /* X-Vault-Token comes first, also when it is wrong */
	wire_header("authorization", value);
	wire_header("x-vault-token", "wrong");
	assert_int_equal(wire_exchange(HTTP_GET, "/v1/auth/token/lookup-self", span_of(NULL, 0)),
	                 403);
}

static unsigned with_header(const char *name, const char *value)
{
	wire_begin();
	wire_header("x-vault-token", wire.house->root);
	wire_header(name, value);
	return wire_exchange(HTTP_GET, "/v1/sys/key-status", span_of(NULL, 0));
}

static void headers_that_ask_for_what_is_not_there(void **state)
{
	(void)state;
	assert_int_equal(with_header("x-vault-namespace", ""), 200);
	assert_int_equal(with_header("x-vault-namespace", "root"), 200);
	assert_int_equal(with_header("x-vault-namespace", "root/"), 200);
	assert_int_equal(with_header("x-vault-namespace", "Root"), 404);
	assert_says("namespace");
	assert_int_equal(with_header("x-vault-namespace", "team"), 404);
	assert_int_equal(with_header("x-vault-wrap-ttl", "0"), 200);
	assert_int_equal(with_header("x-vault-wrap-ttl", "5m"), 400);
	assert_says("wrapping");
	assert_int_equal(with_header("x-vault-request", "true"), 200);
}

static void methods(void **state)
{
	(void)state;
	assert_int_equal(ask(HTTP_PUT, "/v1/secret/m", "{\"v\":1}"), 204);
	assert_string_equal(wire.text, "");
	assert_null(wire.x.content_type);
	assert_int_equal(ask(HTTP_POST, "/v1/secret/m", "{\"v\":2}"), 204);
	assert_int_equal(ask(HTTP_GET, "/v1/secret/m", ""), 200);
	assert_int_equal(ask(HTTP_HEAD, "/v1/secret/m", ""), 200);
	assert_int_equal(ask(HTTP_HEAD, "/v1/secret/missing", ""), 404);
	assert_int_equal(ask(HTTP_LIST, "/v1/secret/", ""), 200);
	assert_int_equal(ask(HTTP_SCAN, "/v1/secret/", ""), 405);
	assert_says("unsupported");
	assert_int_equal(ask(HTTP_DELETE, "/v1/secret/m", ""), 204);
	assert_int_equal(ask(HTTP_OPTIONS, "/v1/secret/m", ""), 405);
	assert_int_equal(ask(HTTP_OTHER, "/v1/secret/m", ""), 405);
	assert_int_equal(ask(HTTP_PATCH, "/v1/secret/m", "{\"v\":1}"), 415);
	wire_begin();
	wire_header("x-vault-token", wire.house->root);
	wire_header("content-type", "application/merge-patch+json; charset=utf-8");
	assert_int_equal(wire_exchange(HTTP_PATCH, "/v1/secret/m", span_str("{\"v\":1}")), 405);
}

/* ---- answers ---- */

/* Strict: no member twice, nothing behind it. */
static void parse_answer(struct json *doc, char *copy)
{
	size_t n = strlen(wire.text);

	memcpy(copy, wire.text, n);
	json_init(doc);
	assert_int_equal(json_parse(doc, (uint8_t *)copy, n, NULL, NULL), ST_OK);
}

static void the_envelope(void **state)
{
	static const char *const names[] = {"request_id",     "lease_id", "renewable",
	                                    "lease_duration", "data",     "wrap_info",
	                                    "warnings",       "auth"};
	static char copy[sizeof wire.text];
	struct json doc;

	(void)state;
	assert_int_equal(ask(HTTP_PUT, "/v1/secret/e", "{\"a\":{\"b\":[1,2.50,\"\\u00e4\"]}}"),
	                 204);
	assert_int_equal(ask(HTTP_GET, "/v1/secret/e", ""), 200);
	assert_string_equal(wire.x.content_type, "application/json");
	parse_answer(&doc, copy);
	assert_int_equal(json_root(&doc)->count, 8);
	for (size_t i = 0; i < 8; i++)
		assert_non_null(json_member(json_root(&doc), names[i]));
	assert_int_equal(json_member(json_root(&doc), "request_id")->text.n, UUID_LEN);
	json_free(&doc);
	assert_true(holds("\"data\":{\"a\":{\"b\":[1,2.50,\"\xc3\xa4\"]}}"));
	assert_true(holds("\"lease_duration\":3600"));
}

/* Large data is not copied into its envelope; nobody can tell. */
static void the_envelope_around_large_data(void **state)
{
	static char copy[sizeof wire.text], value[6000], body[sizeof value + 32];
	struct json doc;

	(void)state;
	memset(value, 'x', sizeof value - 1);
	snprintf(body, sizeof body, "{\"a\":\"%s\"}", value);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(ask(HTTP_PUT, "/v1/secret/large", body), 204);
		assert_int_equal(ask(HTTP_GET, "/v1/secret/large", ""), 200);
		assert_true(wire.x.body_out.n > 6000);
		parse_answer(&doc, copy);
		assert_int_equal(json_root(&doc)->count, 8);
		assert_true(span_eq_str(
		    json_member(json_member(json_root(&doc), "data"), "a")->text, value));
		json_free(&doc);
		assert_int_equal(ask(HTTP_GET, "/v1/secret/e", ""), 200);
		assert_true(holds("\"data\":{\"a\":{\"b\":[1,2.50,\"\xc3\xa4\"]}}"));
	}
}

static void members_at_the_top_as_well(void **state)
{
	static char copy[sizeof wire.text];
	struct json doc;
	const struct json_value *data;

	(void)state;
	assert_int_equal(ask(HTTP_GET, "/v1/sys/key-status", ""), 200);
	parse_answer(&doc, copy);
	data = json_member(json_root(&doc), "data");
	assert_true(data->count >= 3);
	assert_int_equal(json_root(&doc)->count, 8 + data->count);
	json_free(&doc);
	assert_int_equal(
	    ask(HTTP_POST, "/v1/sys/capabilities-self", "{\"paths\":[\"auth\",\"data\",\"x\"]}"),
	    200);
	parse_answer(&doc, copy);
	assert_int_equal(json_root(&doc)->count, 8);
	json_free(&doc);
}

static void warnings_come_with_an_answer(void **state)
{
	(void)state;
	assert_int_equal(
	    ask(HTTP_POST, "/v1/auth/token/create", "{\"policies\":[\"no \\\"such\"]}"), 200);
	assert_true(holds("\"warnings\":[\"Policy \\\"no \\\"such\\\" does"));
	assert_true(holds("\"data\":null"));
}

/* Texts of others stand in errors: they are escaped, and cut without harm. */
static void errors_that_quote_the_request(void **state)
{
	static char copy[sizeof wire.text];
	char body[1200], target[600] = "/v1/";
	struct json doc;

	(void)state;
	assert_int_equal(ask(HTTP_POST, "/v1/sys/mounts/q", "{\"type\":\"\\\"\\u0001<\"}"), 400);
	parse_answer(&doc, copy);
	json_free(&doc);
	(void)snprintf(body, sizeof body, "{\"type\":\"a");
	for (size_t i = 0; i < 200; i++)
		memcpy(body + 10 + 2 * i, "\xc3\xa4", 3);
	memcpy(body + 410, "\"}", 3);
	assert_int_equal(ask(HTTP_POST, "/v1/sys/mounts/q", body), 400);
	parse_answer(&doc, copy);
	json_free(&doc);
	target[4] = 'x';
	for (size_t i = 0; i < 249; i++)
		memcpy(target + 5 + 2 * i, "\xc3\xa4", 3);
	assert_int_equal(ask(HTTP_GET, target, ""), 404);
	assert_says("no handler for route");
	parse_answer(&doc, copy);
	json_free(&doc);
}

static void what_http_itself_refuses(void **state)
{
	struct exchange x = {.target = span_str("/v1/sys/health")};

	(void)state;
	api_reject(&x, 413, "too large");
	assert_int_equal(x.status, 413);
	assert_memory_equal(x.body_out.p, "{\"errors\":[\"too large\"]}", 24);
	x.target = span_of(NULL, 0);
	api_reject(&x, 400, "not \"understood\"");
	assert_int_equal(x.status, 400);
	assert_memory_equal(x.body_out.p, "{\"errors\":[\"not \\\"understood\\\"\"]}", 33);
	builder_free(&x.body_out);
}

static void closed_and_open_again(void **state)
{
	char body[256];

	(void)state;
	assert_int_equal(ask(HTTP_POST, "/v1/sys/seal", ""), 204);
	assert_int_equal(ask(HTTP_GET, "/v1/secret/e", ""), 503);
	assert_says("Vault is sealed");
	assert_int_equal(ask(HTTP_GET, "/v1/sys/health", ""), 503);
	assert_int_equal(ask(HTTP_GET, "/v1/sys/health?sealedcode=200", ""), 200);
	assert_int_equal(ask(HTTP_POST, "/v1/sys/unseal", "{\"key\":\"00\"}"), 400);
	(void)snprintf(body, sizeof body, "{\"key\":\"%s\"}", wire.house->share);
	assert_int_equal(ask(HTTP_PUT, "/v1/sys/unseal", body), 200);
	assert_true(holds("\"sealed\":false"));
	assert_int_equal(ask(HTTP_GET, "/v1/secret/e", ""), 200);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_path_is_decoded_once),
	    cmocka_unit_test(paths_refused),
	    cmocka_unit_test(what_is_not_of_this_dialect),
	    cmocka_unit_test(queries),
	    cmocka_unit_test(a_query_is_a_parameter_where_the_body_has_none),
	    cmocka_unit_test(nothing_is_left_of_the_request_before),
	    cmocka_unit_test(bodies),
	    cmocka_unit_test(memory_is_given_back),
	    cmocka_unit_test(tokens_come_in_two_headers),
	    cmocka_unit_test(headers_that_ask_for_what_is_not_there),
	    cmocka_unit_test(methods),
	    cmocka_unit_test(the_envelope),
	    cmocka_unit_test(the_envelope_around_large_data),
	    cmocka_unit_test(members_at_the_top_as_well),
	    cmocka_unit_test(warnings_come_with_an_answer),
	    cmocka_unit_test(errors_that_quote_the_request),
	    cmocka_unit_test(what_http_itself_refuses),
	    cmocka_unit_test(closed_and_open_again),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
