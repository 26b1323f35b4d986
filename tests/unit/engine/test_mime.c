/* Kinds of files by their first bytes and their names; any bytes at all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "engine/mime.h"

static struct mime *mime;
static struct err err;

static int setup(void **state)
{
	(void)state;
	return mime_new(&mime, &err) == ST_OK ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	mime_free(&mime);
	return mime == NULL ? 0 : -1;
}

static const char *of(struct span bytes, const char *extension)
{
	const char *type = NULL;

	assert_int_equal(mime_of(mime, bytes, span_str(extension), &type, &err), ST_OK);
	assert_non_null(type);
	return type;
}

#define BYTES(text) span_of(text, sizeof(text) - 1)
#define ZIP                                                                                  \
	BYTES("PK\3\4\24\0\0\0\10\0\0\0!\0\1\2\3\4\5\6\7\10\11\12\13\14\5\0\0\0a.txthello, " \
	      "hello, hello, hello")

static void by_the_bytes(void **state)
{
	(void)state;
	assert_string_equal(of(BYTES("%PDF-1.4\n1 0 obj"), "pdf"), "application/pdf");
	assert_string_equal(of(BYTES("%PDF-1.4\n1 0 obj"), "docx"), "application/pdf");
	assert_string_equal(
	    of(BYTES("\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\10\6\0\0\0"), ""), "image/png");
	assert_string_equal(of(BYTES("\xff\xd8\xff\xe0\0\20JFIF\0\1\1\0\0\1\0\1\0\0"), "jpg"),
	                    "image/jpeg");
	assert_string_equal(of(ZIP, "zip"), "application/zip");
	assert_string_equal(of(BYTES("hello, world\n"), "txt"), "text/plain");
	assert_string_equal(of(BYTES("hello, world\n"), ""), "text/plain");
	assert_string_equal(of(BYTES("\1\2\3\4\5\6\7\10"), "bin"), "application/octet-stream");
	assert_string_equal(of(span_of(NULL, 0), "txt"), "application/x-empty");
}

static void by_the_extension(void **state)
{
	(void)state;
	assert_string_equal(
	    of(ZIP, "docx"),
	    "application/vnd.openxmlformats-officedocument.wordprocessingml.document");
	assert_string_equal(of(ZIP, "XLSX"),
	                    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet");
	assert_string_equal(of(ZIP, "key"), "application/vnd.apple.keynote");
	assert_string_equal(
	    of(BYTES("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
	             ">\0\3\0\xfe\xff\11\0\6\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0"),
	       "doc"),
	    "application/msword");
	assert_string_equal(of(BYTES("a,b\n1,2\n"), "csv"), "text/csv");
	assert_string_equal(of(BYTES("-----BEGIN CERTIFICATE-----\n"), "pem"),
	                    "application/x-pem-file");
	assert_string_equal(of(BYTES("a,b\n1,2\n"), "csvx"), "text/plain");
	assert_string_equal(of(BYTES("a,b\n1,2\n"), "cs"), "text/plain");
}

/* Media types are two words with a slash between them. */
static void any_bytes(void **state)
{
	static const char *const extensions[] = {"", "docx", "csv", "\xff\xfe", "%s%n"};

	(void)state;
	srand(1);
	for (unsigned i = 0; i < 3000; i++) {
		uint8_t bytes[MIME_BYTES_MAX], *exact;
		size_t n = (size_t)rand() % (sizeof bytes + 1);
		const char *type, *slash;

		for (size_t k = 0; k < n; k++)
			bytes[k] = (uint8_t)(rand() % (i % 2 != 0 ? 256 : 128));
		exact = malloc(n > 0 ? n : 1); /* a step past its end is seen */
		assert_non_null(exact);
		if (n > 0)
			memcpy(exact, bytes, n);
		type = of(span_of(exact, n), extensions[i % 5]);
		slash = strchr(type, '/');
		assert_true(slash != NULL && slash > type && slash[1] != 0);
		for (const char *c = type; *c != 0; c++)
			assert_true(*c > ' ' && *c < 0x7f);
		free(exact);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {cmocka_unit_test(by_the_bytes),
	                                          cmocka_unit_test(by_the_extension),
	                                          cmocka_unit_test(any_bytes)};

	return cmocka_run_group_tests(tests, setup, teardown);
}
