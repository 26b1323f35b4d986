/*
 * transit_text: texts of ciphertexts, signatures and MACs, and base64 as callers send it.
 *
 * Input: any bytes.
 *   - as a text: taken apart just as a naive reading does, under each kind; what is refused leaves the outputs alone; what is made again from a positive
 *     version means the same;
 *   - as base64: bytes, refusals and places of mistakes as those of a reader that goes character by character; a refused text leaves the builder as it was.
 */
#include <stdlib.h>
#include <string.h>

#include "engine/transit_text.h"
#include "fuzz.h"
#include "lib/slow_base64.h"

#define PREFIX "vault:v"

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	fuzz_process();
	return 0;
}

/* ---- texts ---- */

static bool naive_number(struct span s, int64_t *ret)
{
	int64_t v = 0;
	size_t i = s.n > 0 && (s.p[0] == '-' || s.p[0] == '+') ? 1 : 0, digits = s.n - i;

	for (; i < s.n && s.p[i] >= '0' && s.p[i] <= '9'; i++)
		v = digits <= 18 ? v * 10 + (s.p[i] - '0') : 0;
	if (i < s.n || digits == 0 || digits > 18)
		return false;
	*ret = s.p[0] == '-' ? -v : v;
	return true;
}

/* 0: taken; 1 to 3: why not. */
static int naive_parse(struct span s, enum text_kind kind, int64_t *ret_version,
                       struct span *ret_rest)
{
	size_t colon = strlen(PREFIX);

	if (s.n < colon || memcmp(s.p, PREFIX, colon) != 0)
		return 1;
	s = span_from(s, colon);
	for (colon = 0; colon < s.n && s.p[colon] != ':'; colon++)
		;
	if (colon == s.n)
		return 2;
	if (!naive_number(span_of(s.p, colon), ret_version))
		return 3;
	if (*ret_version == 0 && kind == TEXT_CIPHERTEXT)
		*ret_version = 1;
	*ret_rest = span_from(s, colon + 1);
	return 0;
}

static void check_text(struct span text, enum text_kind kind)
{
	static const char *const why[] = {"no prefix", "wrong number of fields",
	                                  "version number could not be decoded"};
	static const char *const names[] = {
	    [TEXT_CIPHERTEXT] = "ciphertext", [TEXT_SIGNATURE] = "signature", [TEXT_HMAC] = "HMAC"};
	struct item_error e = {.text = NULL};
	struct span rest = {0}, want_rest = {0};
	int64_t version = 4711, want = 0;
	int verdict = naive_parse(text, kind, &want, &want_rest);
	enum status st = text_parse(text, PREFIX, kind, &version, &rest, &e);

	MUST(st == (verdict == 0 ? ST_OK : ST_INVALID));
	if (verdict != 0) {
		MUST(version == 4711 && rest.p == NULL && !e.internal);
		MUST(strstr(e.text, why[verdict - 1]) != NULL);
		MUST(strstr(e.text, names[kind]) != NULL);
		return;
	}
	MUST(version == want && rest.p == want_rest.p && rest.n == want_rest.n);
	if (version > 0 && version <= UINT32_MAX) {
		struct builder b = {0};
		int64_t again;

		text_begin(&b, PREFIX, (uint32_t)version);
		builder_add(&b, rest);
		MUST(text_parse(builder_span(&b), PREFIX, kind, &again, &rest, &e) == ST_OK);
		MUST(again == version && span_eq(rest, want_rest));
		builder_free(&b);
	}
}

/* ---- base64 ---- */

static void check_base64(struct span text)
{
	struct builder want = {0}, got = {0}, shown = {0};
	struct item_error e = {.text = NULL};
	size_t at = 0;
	bool fine = slow_base64(text, &want, &at);
	enum status st;

	builder_str(&got, "before");
	st = text_unbase64(text, &got, &e);
	MUST(st == (fine ? ST_OK : ST_INVALID) && builder_status(&got) == ST_OK);
	MUST(memcmp(got.p, "before", 6) == 0);
	if (fine) {
		MUST(span_eq(span_from(builder_span(&got), 6), builder_span(&want)));
	} else {
		MUST(got.n == 6 && e.at == at && !e.internal);
		item_error_put(&e, &shown);
		MUST(span_starts(builder_span(&shown), span_str(ITEM_BAD_BASE64 " ")));
	}
	builder_free(&want);
	builder_free(&got);
	builder_free(&shown);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	uint8_t *copy = fuzz_copy(span_of(data, n));

	check_text(span_of(copy, n), TEXT_CIPHERTEXT);
	check_text(span_of(copy, n), TEXT_SIGNATURE);
	check_text(span_of(copy, n), TEXT_HMAC);
	check_base64(span_of(copy, n));
	free(copy);
	return 0;
}
