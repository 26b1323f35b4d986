/* Tables, JSON, YAML, and what -field finds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/output.h"
#include "cli/yaml.h"

/* Output that is kept. */
struct kept {
	FILE *out;
	char *text;
	size_t n;
};

static void keep(struct kept *k)
{
	*k = (struct kept){0};
	k->out = open_memstream(&k->text, &k->n);
	assert_non_null(k->out);
}

static void expect(struct kept *k, const char *want)
{
	(void)fclose(k->out);
	if (strcmp(k->text, want) != 0)
		fail_msg("wanted:\n%s\ngot:\n%s", want, k->text);
	free(k->text);
}

static json_t *json(const char *text)
{
	json_t *v = json_loads(text, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);

	assert_non_null(v);
	return v;
}

static void test_table(void **state)
{
	static const char *const head[] = {"Key", "Value"};
	struct table t;
	struct kept k;

	table_init(&t, 2);
	table_head(&t, head);
	table_cell(&t, "a");
	table_cell(&t, "");
	table_cell(&t, "gr\xc3\xb6\xc3\x9f"
	               "e");
	table_fmt(&t, "%d/%d", 1, 3);
	keep(&k);
	assert_int_equal(table_print(&t, k.out), ST_OK);
	expect(&k, "Key      Value\n"
	           "---      -----\n"
	           "a        n/a\n"
	           "gr\xc3\xb6\xc3\x9f"
	           "e    1/3\n");
	table_free(&t);
}

static void test_values_in_tables(void **state)
{
	static const struct {
		const char *json, *shown;
	} cases[] = {
	    {"\"text\"", "text\n"},
	    {"\"\"", "n/a\n"},
	    {"null", "<nil>\n"},
	    {"true", "true\n"},
	    {"false", "false\n"},
	    {"-7", "-7\n"},
	    {"9223372036854775807", "9223372036854775807\n"},
	    {"1.5", "1.5\n"},
	    {"[]", "[]\n"},
	    {"[\"a\",1,null]", "[a 1 <nil>]\n"},
	    {"{\"b\":1,\"a\":{\"c\":[true]}}", "map[a:map[c:[true]] b:1]\n"},
	    {"{}", "map[]\n"},
	    {"\"two\\nlines\\tand a tab\"", "two\nlines\tand a tab\n"},
	    {"\"\\u001b[31mred\\u0000\\u007f\\r\"", "\\x1b[31mred\\x00\\x7f\\x0d\n"},
	};
	struct table t;
	struct kept k;
	json_t *v;
	size_t i;

	for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		v = json(cases[i].json);
		table_init(&t, 1);
		table_json(&t, v);
		keep(&k);
		assert_int_equal(table_print(&t, k.out), ST_OK);
		expect(&k, cases[i].shown);
		table_free(&t);
		json_decref(v);
	}
}

static void test_many_rows(void **state)
{
	struct table t;
	struct kept k;
	size_t i, lines = 0;

	table_init(&t, 2);
	for (i = 0; i < 1000; i++) {
		table_fmt(&t, "%zu", i);
		table_cell(&t, "x");
	}
	keep(&k);
	assert_int_equal(table_print(&t, k.out), ST_OK);
	(void)fclose(k.out);
	for (i = 0; i < k.n; i++)
		lines += k.text[i] == '\n';
	assert_int_equal(lines, 1000);
	assert_non_null(strstr(k.text, "\n999    x\n"));
	free(k.text);
	table_free(&t);
}

static void test_secret(void **state)
{
	static const struct {
		const char *answer, *shown;
	} cases[] = {
	    {"{\"request_id\":\"r\",\"lease_id\":\"\",\"renewable\":false,\"lease_duration\":"
	     "2764800,"
	     "\"data\":{\"zz\":1,\"aa\":\"x\"},\"auth\":null,\"wrap_info\":null}",
	     "Key                 Value\n"
	     "---                 -----\n"
	     "refresh_interval    768h\n"
	     "aa                  x\n"
	     "zz                  1\n"},
	    {"{\"request_id\":\"r\",\"lease_id\":\"l/"
	     "1\",\"renewable\":true,\"lease_duration\":60,\"data\":{}}",
	     "Key                Value\n"
	     "---                -----\n"
	     "lease_id           l/1\n"
	     "lease_duration     1m\n"
	     "lease_renewable    true\n"},
	    {"{\"request_id\":\"r\",\"lease_duration\":0,\"data\":null,\"auth\":{\"client_token\":"
	     "\"s.t\",\"accessor\":\"acc\","
	     "\"policies\":[\"default\",\"p\"],\"token_policies\":[\"default\"],\"metadata\":{"
	     "\"who\":\"me\"},"
	     "\"lease_duration\":0,\"renewable\":false}}",
	     "Key                  Value\n"
	     "---                  -----\n"
	     "token                s.t\n"
	     "token_accessor       acc\n"
	     "token_duration       \xe2\x88\x9e\n"
	     "token_renewable      false\n"
	     "token_policies       [\"default\"]\n"
	     "identity_policies    []\n"
	     "policies             [\"default\" \"p\"]\n"
	     "token_meta_who       me\n"},
	    {"{\"request_id\":\"\",\"data\":null,\"wrap_info\":{\"token\":\"w\",\"accessor\":\"a\","
	     "\"ttl\":60,"
	     "\"creation_time\":\"t\",\"creation_path\":\"p\"}}",
	     "Key                              Value\n"
	     "---                              -----\n"
	     "wrapping_token:                  w\n"
	     "wrapping_accessor:               a\n"
	     "wrapping_token_ttl:              1m\n"
	     "wrapping_token_creation_time:    t\n"
	     "wrapping_token_creation_path:    p\n"},
	    {"{\"initialized\":true}",
	     "Key            Value\n---            -----\ninitialized    true\n"},
	};
	struct kept k;
	json_t *v;
	size_t i;

	for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		v = json(cases[i].answer);
		keep(&k);
		assert_int_equal(output_secret(k.out, v), ST_OK);
		expect(&k, cases[i].shown);
		json_decref(v);
	}
}

static void test_yaml(void **state)
{
	json_t *v = json("{\"b\":{\"x\":[1,{\"y\":\"yes\"},[]],\"e\":{}},\"a\":\"plain-text\","
	                 "\"n\":null,\"t\":true,\"odd key\":\"a: b\","
	                 "\"q\":\"\",\"num\":\"12\",\"l\":\"two\\nlines\",\"null\":\"Null\"}");
	struct kept k;

	keep(&k);
	yaml_print(k.out, v);
	expect(&k, "b:\n"
	           "  x:\n"
	           "    - 1\n"
	           "    -\n"
	           "      \"y\": \"yes\"\n"
	           "    - []\n"
	           "  e: {}\n"
	           "a: plain-text\n"
	           "\"n\": null\n"
	           "t: true\n"
	           "\"odd key\": \"a: b\"\n"
	           "q: \"\"\n"
	           "num: \"12\"\n"
	           "l: \"two\\nlines\"\n"
	           "\"null\": \"Null\"\n");
	json_decref(v);
}

static void test_find(void **state)
{
	json_t *answer =
	    json("{\"request_id\":\"r\",\"lease_duration\":5,\"data\":{\"a\":\"x\",\"n\":null}}");
	json_t *login = json("{\"request_id\":\"r\",\"data\":null,\"auth\":{\"client_token\":\"s."
	                     "t\",\"policies\":[\"p\"]}}");
	json_t *bare = json("{\"sealed\":false}");
	json_t *v;

	v = output_find(answer, "a");
	assert_string_equal(json_string_value(v), "x");
	json_decref(v);
	v = output_find(answer, "n");
	assert_true(json_is_null(v));
	json_decref(v);
	v = output_find(answer, "refresh_interval");
	assert_int_equal(json_integer_value(v), 5);
	json_decref(v);
	v = output_find(login, "token");
	assert_string_equal(json_string_value(v), "s.t");
	json_decref(v);
	v = output_find(bare, "sealed");
	assert_true(json_is_false(v));
	json_decref(v);
	assert_null(output_find(answer, "b"));
	assert_null(output_find(answer, "token"));
	json_decref(answer);
	json_decref(login);
	json_decref(bare);
}

static void test_field_is_raw(void **state)
{
	json_t *text = json("\"a\\u0000\\u001b\"");
	json_t *object = json("{\"a\":1}");
	struct kept k;

	keep(&k);
	assert_int_equal(output_field(k.out, OUTPUT_TABLE, text), ST_OK);
	(void)fclose(k.out);
	assert_int_equal(k.n, 3);
	assert_memory_equal(k.text, "a\0\x1b", 3);
	free(k.text);
	keep(&k);
	assert_int_equal(output_field(k.out, OUTPUT_TABLE, object), ST_OK);
	expect(&k, "{\n  \"a\": 1\n}\n");
	keep(&k);
	assert_int_equal(output_field(k.out, OUTPUT_YAML, object), ST_OK);
	expect(&k, "a: 1\n");
	keep(&k);
	assert_int_equal(output_field(k.out, OUTPUT_JSON, text), ST_OK);
	expect(&k, "\"a\\u0000\\u001B\"\n");
	json_decref(text);
	json_decref(object);
}

static void test_formats(void **state)
{
	enum output_format f = OUTPUT_YAML;

	assert_int_equal(output_format_parse("table", &f), ST_OK);
	assert_int_equal(f, OUTPUT_TABLE);
	assert_int_equal(output_format_parse("json", &f), ST_OK);
	assert_int_equal(f, OUTPUT_JSON);
	assert_int_equal(output_format_parse("yaml", &f), ST_OK);
	assert_int_equal(f, OUTPUT_YAML);
	assert_int_equal(output_format_parse("JSON", &f), ST_INVALID);
	assert_int_equal(output_format_parse("", &f), ST_INVALID);
	assert_int_equal(f, OUTPUT_YAML);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_table),        cmocka_unit_test(test_values_in_tables),
	    cmocka_unit_test(test_many_rows),    cmocka_unit_test(test_secret),
	    cmocka_unit_test(test_yaml),         cmocka_unit_test(test_find),
	    cmocka_unit_test(test_field_is_raw), cmocka_unit_test(test_formats),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
