/*
 * x509: a certificate in DER, base64 or PEM.
 *   - what is refused has a text, and nothing comes back;
 *   - what is taken is written as something that is read again to the very same: bytes, fingerprint, serial number, times, names.  So what is stored can be read, and a
 *     certificate has one fingerprint, whichever way it came;
 *   - names are UTF-8, or said to be damaged.
 */
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "crypto/x509.h"
#include "fuzz.h"

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	fuzz_process();
	return 0;
}

static enum status visit(void *arg, struct span type, struct span value)
{
	struct builder *b = arg;

	MUST(type.n > 0 && utf8_valid(value));
	builder_lv(b, type);
	builder_lv(b, value);
	return ST_OK;
}

static void names_of(const struct x509 *c, struct builder *ret)
{
	enum status subject = x509_each(c, X509_SUBJECT, visit, ret),
	            issuer = x509_each(c, X509_ISSUER, visit, ret);

	MUST(subject == ST_OK || subject == ST_CORRUPT);
	MUST(issuer == ST_OK || issuer == ST_CORRUPT);
}

static void check_again(const struct x509 *c)
{
	struct builder names = {0}, again = {0};
	struct x509 *d = NULL;
	struct err err = {0};

	MUST(x509_der(c).n <= X509_DER_MAX);
	MUST(x509_read(x509_der(c), &d, &err) == ST_OK);
	MUST(span_eq(x509_der(c), x509_der(d)));
	MUST(memcmp(x509_fingerprint(c), x509_fingerprint(d), SHA256_LEN) == 0);
	MUST(strcmp(x509_serial(c), x509_serial(d)) == 0);
	MUST(x509_from_s(c) == x509_from_s(d) && x509_until_s(c) == x509_until_s(d));
	names_of(c, &names);
	names_of(d, &again);
	MUST(span_eq(builder_span(&names), builder_span(&again)));
	builder_free(&names);
	builder_free(&again);
	x509_free(&d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	uint8_t *copy = fuzz_copy(span_of(data, n));
	struct x509 *c = NULL;
	struct err err = {0};
	enum status st = x509_read(span_of(copy, n), &c, &err);

	if (st == ST_OK)
		check_again(c);
	else
		MUST((st == ST_INVALID || st == ST_LIMIT) && c == NULL &&
		     err_text(&err, st)[0] != 0);
	x509_free(&c);
	free(copy);
	return 0;
}
