/* The JSON writer: what it prints, and that the reader takes it. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/json.h"

static void begin(struct json_writer *w, struct builder *b)
{
	*b = (struct builder){0};
	json_writer_init(w, b);
}

/* The text is as wanted, and the reader takes it; frees b. */
static void expect(struct builder *b, const char *want)
{
	struct json doc;
	struct err err = {0};

	assert_int_equal(builder_status(b), ST_OK);
	if (!span_eq_str(builder_span(b), want))
		fail_msg("got %.*s, want %s", (int)b->n, (char *)b->p, want);
	json_init(&doc);
	assert_int_equal(json_parse(&doc, b->p, b->n, NULL, &err), ST_OK);
	json_free(&doc);
	builder_free(b);
}

static void commas_stand_where_they_belong(void **state)
{
	struct json_writer w;
	struct builder b;

	(void)state;
	begin(&w, &b);
	json_begin_object(&w);
	json_put_string(&w, "s", span_str("v"));
	json_put_cstr(&w, "c", "w");
	json_put_int(&w, "i", -5);
	json_put_uint(&w, "u", 5);
	json_put_bool(&w, "t", 1);
	json_put_bool(&w, "f", 0);
	json_put_null(&w, "z");
	json_name(&w, "l");
	json_begin_array(&w);
	json_begin_array(&w);
	json_end_array(&w);
	json_int(&w, 1);
	json_begin_object(&w);
	json_end_object(&w);
	json_null(&w);
	json_begin_object(&w);
	json_put_null(&w, "a");
	json_end_object(&w);
	json_bool(&w, 1);
	json_uint(&w, 2);
	json_cstr(&w, "x");
	json_end_array(&w);
	json_name_span(&w, span_of("n\0", 2));
	json_string(&w, span_of(NULL, 0));
	json_put_null(&w, "");
	json_end_object(&w);
	expect(&b, "{\"s\":\"v\",\"c\":\"w\",\"i\":-5,\"u\":5,\"t\":true,\"f\":false,\"z\":null,"
	           "\"l\":[[],1,{},null,{\"a\":null},true,2,\"x\"],\"n\\u0000\":\"\",\"\":null}");
}

static void siblings_begin_anew(void **state)
{
	struct json_writer w;
	struct builder b;

	(void)state;
	begin(&w, &b);
	json_begin_array(&w);
	for (int i = 0; i < 2; i++) {
		json_begin_array(&w);
		json_int(&w, i);
		json_int(&w, i);
		json_end_array(&w);
		json_begin_object(&w);
		json_put_int(&w, "a", i);
		json_put_int(&w, "b", i);
		json_end_object(&w);
	}
	json_end_array(&w);
	expect(&b, "[[0,0],{\"a\":0,\"b\":0},[1,1],{\"a\":1,\"b\":1}]");
}

/* What fits to the last byte is written. */
static void strings_fill_a_buffer(void **state)
{
	uint8_t buf[32];

	(void)state;
	for (size_t cap = 0; cap < sizeof(buf); cap++) {
		struct json_writer w;
		struct builder b;
		builder_init_fixed(&b, buf, cap);
		json_writer_init(&w, &b);
		json_cstr(&w, "text");
		assert_int_equal(builder_status(&b), cap >= strlen("\"text\"") ? ST_OK : ST_LIMIT);
		builder_free(&b);
	}
}

static void scalars_stand_alone(void **state)
{
	static const struct {
		int64_t v;
		const char *text;
	} ints[] = {{0, "0"},
	            {1, "1"},
	            {-1, "-1"},
	            {-10, "-10"},
	            {INT64_MAX, "9223372036854775807"},
	            {INT64_MIN, "-9223372036854775808"}};
	struct json_writer w;
	struct builder b;

	(void)state;
	for (size_t i = 0; i < sizeof(ints) / sizeof(ints[0]); i++) {
		begin(&w, &b);
		json_int(&w, ints[i].v);
		expect(&b, ints[i].text);
	}
	begin(&w, &b);
	json_uint(&w, UINT64_MAX);
	expect(&b, "18446744073709551615");
	begin(&w, &b);
	json_bool(&w, 0);
	expect(&b, "false");
	begin(&w, &b);
	json_bool(&w, 256);
	expect(&b, "true");
	begin(&w, &b);
	json_null(&w);
	expect(&b, "null");
}

static void strings_are_escaped(void **state)
{
	static const struct {
		const char *s, *text;
	} cases[] = {
	    {"", "\"\""},
	    {"a/b", "\"a/b\""},
	    {"\"\\", "\"\\\"\\\\\""},
	    {"\b\f\n\r\t", "\"\\b\\f\\n\\r\\t\""},
	    {"\x01\x1f\x7f", "\"\\u0001\\u001f\x7f\""},
	    {"\xc3\xa9\xe2\x80\xa8\xf0\x9f\x98\x80", "\"\xc3\xa9\xe2\x80\xa8\xf0\x9f\x98\x80\""},
	    {"<script>&amp;", "\"<script>&amp;\""},
	    {"a text of more than sixteen bytes \n and more after it",
	     "\"a text of more than sixteen bytes \\n and more after it\""},
	    /* what is no UTF-8: a replacement character for each byte */
	    {"a\xff"
	     "b",
	     "\"a\xef\xbf\xbd"
	     "b\""},
	    {"\xc3", "\"\xef\xbf\xbd\""},
	    {"\xc3(", "\"\xef\xbf\xbd(\""},
	    {"\xed\xa0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
	    {"\xf0\x9f\x98", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
	};
	struct json_writer w;
	struct builder b;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		begin(&w, &b);
		json_cstr(&w, cases[i].s);
		expect(&b, cases[i].text);
	}
	begin(&w, &b);
	json_string(&w, span_of("\0x\0", 3));
	expect(&b, "\"\\u0000x\\u0000\"");
	begin(&w, &b);
	json_begin_object(&w);
	json_name(&w, "a\"\n\xff");
	json_begin_array(&w);
	json_end_array(&w);
	json_name(&w, "\x02");
	json_null(&w);
	json_end_object(&w);
	expect(&b, "{\"a\\\"\\n\xef\xbf\xbd\":[],\"\\u0002\":null}");
}

/* Every byte, alone and amid others, comes back from the reader as it was, or as U+FFFD. */
static void every_byte_is_readable(void **state)
{
	(void)state;
	for (unsigned c = 0; c < 256; c++) {
		for (size_t before = 0; before < 20; before++) {
			uint8_t text[24];
			struct json_writer w;
			struct builder b, want = {0};
			struct json doc;
			memset(text, 'x', sizeof(text));
			text[before] = (uint8_t)c;
			begin(&w, &b);
			json_string(&w, span_of(text, sizeof(text)));
			json_init(&doc);
			assert_int_equal(json_parse(&doc, b.p, b.n, NULL, NULL), ST_OK);
			builder_add(&want, span_of(text, before));
			if (c < 0x80)
				builder_u8(&want, (uint8_t)c);
			else
				builder_str(&want, "\xef\xbf\xbd");
			builder_add(&want, span_of(text + before + 1, sizeof(text) - before - 1));
			assert_true(span_eq(json_root(&doc)->text, builder_span(&want)));
			json_free(&doc);
			builder_free(&b);
			builder_free(&want);
		}
	}
}

static void raw_and_copied_values(void **state)
{
	char text[] = "{\"a\" : [1.50, \"\\u000a\\\"\", {}, [], [{\"b\":[null]}], -0], "
	              "\"c\":{\"d\":{}}, \"\":true}";
	struct json doc;
	struct json_writer w;
	struct builder b;

	(void)state;
	json_init(&doc);
	assert_int_equal(json_parse(&doc, (uint8_t *)text, strlen(text), NULL, NULL), ST_OK);
	begin(&w, &b);
	json_begin_object(&w);
	json_name(&w, "raw");
	json_raw(&w, span_str("[1, 2]"));
	json_name(&w, "copy");
	json_copy(&w, json_root(&doc));
	json_name(&w, "scalar");
	json_copy(&w, json_member(json_root(&doc), ""));
	json_name(&w, "list");
	json_begin_array(&w);
	json_copy(&w, json_member(json_root(&doc), "c"));
	json_copy(&w, json_member(json_root(&doc), "a"));
	json_raw(&w, span_str("3"));
	json_copy(&w, json_first(json_member(json_root(&doc), "a")));
	json_end_array(&w);
	json_put_null(&w, "last");
	json_end_object(&w);
	expect(&b, "{\"raw\":[1, "
	           "2],\"copy\":{\"a\":[1.50,\"\\n\\\"\",{},[],[{\"b\":[null]}],-0],\"c\":{\"d\":{}"
	           "},\"\":true},"
	           "\"scalar\":true,\"list\":[{\"d\":{}},[1.50,\"\\n\\\"\",{},[],[{\"b\":[null]}],-"
	           "0],3,1.50],\"last\":null}");
	json_free(&doc);
}

static void nesting_to_the_last_level(void **state)
{
	const struct json_limits limits = {.depth = JSON_DEPTH_MAX, .values = 1000, .string = 10};
	struct json_writer w;
	struct builder b, want = {0};
	struct json doc;
	uint8_t deep[2 * JSON_DEPTH_MAX];

	(void)state;
	memset(deep, '[', JSON_DEPTH_MAX);
	memset(deep + JSON_DEPTH_MAX, ']', JSON_DEPTH_MAX);
	json_init(&doc);
	assert_int_equal(json_parse(&doc, deep, sizeof(deep), &limits, NULL), ST_OK);
	begin(&w, &b);
	for (int i = 0; i < JSON_WRITER_DEPTH; i++) {
		json_begin_array(&w);
		json_int(&w, 1);
		builder_str(&want, i > 0 ? ",[1" : "[1");
	}
	json_copy(&w, json_root(&doc));
	builder_u8(&want, ',');
	builder_add(&want, span_of(deep, sizeof(deep)));
	for (int i = 0; i < JSON_WRITER_DEPTH; i++) {
		json_int(&w, 2);
		json_end_array(&w);
		builder_str(&want, ",2]");
	}
	assert_int_equal(builder_status(&b), ST_OK);
	assert_true(span_eq(builder_span(&b), builder_span(&want)));
	builder_free(&b);
	builder_free(&want);
	json_free(&doc);
}

/* The builder's failure is kept, and writing on does no harm. */
static void a_full_builder_stays_failed(void **state)
{
	uint8_t buf[64];

	(void)state;
	for (size_t cap = 0; cap <= sizeof(buf); cap++) {
		struct json_writer w;
		struct builder b;
		builder_init_fixed(&b, buf, cap);
		json_writer_init(&w, &b);
		json_begin_object(&w);
		json_put_cstr(&w, "name", "a\nb");
		json_put_int(&w, "number", -12345);
		json_name(&w, "list");
		json_begin_array(&w);
		json_bool(&w, 1);
		json_null(&w);
		json_end_array(&w);
		json_end_object(&w);
		assert_int_equal(builder_status(&b), cap >= 50 ? ST_OK : ST_LIMIT);
		assert_true(b.n <= cap);
		if (cap >= 50)
			assert_true(span_eq_str(
			    builder_span(&b),
			    "{\"name\":\"a\\nb\",\"number\":-12345,\"list\":[true,null]}"));
		builder_free(&b);
	}
}

static void value_without_name(struct json_writer *w)
{
	json_begin_object(w);
	json_null(w);
}

static void name_in_array(struct json_writer *w)
{
	json_begin_array(w);
	json_name(w, "a");
}

static void name_outside(struct json_writer *w)
{
	json_name(w, "a");
}

static void two_names(struct json_writer *w)
{
	json_begin_object(w);
	json_name(w, "a");
	json_name(w, "b");
}

static void name_without_value(struct json_writer *w)
{
	json_begin_object(w);
	json_name(w, "a");
	json_end_object(w);
}

static void array_ends_as_object(struct json_writer *w)
{
	json_begin_array(w);
	json_end_object(w);
}

static void object_ends_as_array(struct json_writer *w)
{
	json_begin_object(w);
	json_end_array(w);
}

static void end_of_nothing(struct json_writer *w)
{
	json_end_array(w);
}

static void two_roots(struct json_writer *w)
{
	json_null(w);
	json_null(w);
}

static void too_deep(struct json_writer *w)
{
	for (int i = 0; i <= JSON_WRITER_DEPTH; i++)
		json_begin_array(w);
}

static void wrong_order_aborts(void **state)
{
	static void (*const cases[])(struct json_writer *) = {value_without_name,
	                                                      name_in_array,
	                                                      name_outside,
	                                                      two_names,
	                                                      name_without_value,
	                                                      array_ends_as_object,
	                                                      object_ends_as_array,
	                                                      end_of_nothing,
	                                                      two_roots,
	                                                      too_deep};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int status;
		pid_t pid = fork();
		assert_true(pid >= 0);
		if (pid == 0) {
			struct json_writer w;
			struct builder b;
			(void)close(STDERR_FILENO);
			(void)signal(SIGABRT, SIG_DFL);
			begin(&w, &b);
			cases[i](&w);
			_exit(0);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGABRT)
			fail_msg("case %zu did not abort", i);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(commas_stand_where_they_belong),
	    cmocka_unit_test(siblings_begin_anew),
	    cmocka_unit_test(strings_fill_a_buffer),
	    cmocka_unit_test(scalars_stand_alone),
	    cmocka_unit_test(strings_are_escaped),
	    cmocka_unit_test(every_byte_is_readable),
	    cmocka_unit_test(raw_and_copied_values),
	    cmocka_unit_test(nesting_to_the_last_level),
	    cmocka_unit_test(a_full_builder_stays_failed),
	    cmocka_unit_test(wrong_order_aborts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
