/*
 * transit_batch: the bodies of encrypt, decrypt and rewrap, through the handlers.
 *
 * Input: a line that begins with 'e', 'd' or 'r' (the operation) and goes on with 'p', 'c' or 'n' (a plain key, a convergent one, or none yet); then JSON.  @p@ and @c@ in
 * it stand for ciphertexts of the two keys.
 *   - it is answered, and well or as the caller's mistake, never as the server's;
 *   - an answer is JSON; that to a batch has as many results as the batch has items, in order (the references are those of the items), each with an error or with what it
 *     should have;
 *   - what was encrypted decrypts to what the item says, and an item that is sent alone is answered like the one in the batch: with the same
 *     ciphertext, when the key is convergent.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/transit.h"
#include "fuzz.h"
#include "lib/house.h"

#define ALONE_MAX 3 /* items that are sent again, by themselves */

static struct house *house;
static char ciphers[2][256];

static void must(const char *path, const char *body)
{
	MUST(house_ask(house, VERB_WRITE, path, house->root, body) == ST_OK);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static const struct transit_config config = {.manner = &transit_manner_vault};
	struct transit *transit;

	(void)argc;
	(void)argv;
	fuzz_process();
	MUST(transit_new(&config, &transit) == ST_OK);
	house = house_with(&engine_transit, transit, NULL);
	house_open(house);
	must("sys/mounts/t", "{\"type\":\"transit\"}");
	must("t/keys/plain", "{}");
	must("t/keys/convergent", "{\"derived\":true,\"convergent_encryption\":true}");
	must("t/encrypt/plain", "{\"plaintext\":\"c29tZSB0ZXh0\"}");
	house_member(&house->data, "ciphertext", ciphers[0], sizeof ciphers[0]);
	must("t/encrypt/convergent", "{\"plaintext\":\"c29tZSB0ZXh0\",\"context\":\"Yw==\"}");
	house_member(&house->data, "ciphertext", ciphers[1], sizeof ciphers[1]);
	must("t/keys/plain/rotate", "{}");
	must("t/keys/convergent/rotate", "{}");
	return 0;
}

/* ---- the request ---- */

static void fill_in(struct builder *b, struct span text)
{
	while (text.n > 0) {
		size_t taken = 1;

		if (span_starts(text, span_str("@p@")) || span_starts(text, span_str("@c@"))) {
			builder_str(b, ciphers[text.p[1] == 'c']);
			taken = 3;
		} else {
			builder_u8(b, text.p[0]);
		}
		text = span_from(text, taken);
	}
	builder_u8(b, 0);
	MUST(builder_status(b) == ST_OK);
}

/* As http hands it over: an object, and, here, without a zero byte.  The document points into memory that the next call reuses. */
static bool parse(struct json *doc, const struct builder *body)
{
	static struct builder text;

	builder_reset(&text);
	builder_add(&text, span_of(body->p, body->n - 1));
	return text.n > 0 && memchr(text.p, 0, text.n) == NULL &&
	       json_parse(doc, text.p, text.n, NULL, NULL) == ST_OK &&
	       json_root(doc)->type == JSON_OBJECT;
}

/* ---- the answer ---- */

/* "c29..." as it stands in an item, or empty. */
static struct span text_of(const struct json_value *item, const char *name)
{
	const struct json_value *v = json_member(item, name);

	return v != NULL && v->type == JSON_STRING ? v->text : span_of(NULL, 0);
}

static void put_member(struct json_writer *w, const char *name, struct span text)
{
	if (text.n > 0)
		json_put_string(w, name, text);
}

/* The member `want` of the answer to a call with these members; false: refused. */
static bool ask_alone(const char *path, struct span members[3], const struct json_value *version,
                      const char *want, struct builder *ret)
{
	static const char *const names[] = {"context", "associated_data"};
	struct builder body = {0}, copy = {0};
	struct json_writer w;
	struct json doc;
	enum status st;

	json_writer_init(&w, &body);
	json_begin_object(&w);
	json_put_string(&w, want[0] == 'p' ? "ciphertext" : "plaintext", members[0]);
	for (size_t i = 0; i < 2; i++)
		put_member(&w, names[i], members[i + 1]);
	if (version != NULL && version->type == JSON_STRING)
		json_put_string(&w, "key_version", version->text);
	json_end_object(&w);
	builder_u8(&body, 0);
	MUST(builder_status(&body) == ST_OK);
	st = house_ask(house, VERB_WRITE, path, house->root, (const char *)body.p);
	builder_free(&body);
	MUST(st == ST_OK || st == ST_INVALID);
	if (st != ST_OK)
		return false;
	builder_add(&copy, span_of(house->data.p, house->data.n - 1));
	json_init(&doc);
	MUST(json_parse(&doc, copy.p, copy.n, NULL, NULL) == ST_OK);
	builder_reset(ret);
	builder_add(ret, text_of(json_root(&doc), want));
	json_free(&doc);
	builder_free(&copy);
	return true;
}

/* Whether the text of a plaintext can be compared as it is: canonical base64. */
static bool is_plain(struct span text)
{
	return memchr(text.n > 0 ? (const char *)text.p : "", '\n', text.n) == NULL &&
	       memchr(text.n > 0 ? (const char *)text.p : "", '\r', text.n) == NULL;
}

static bool has_zero(struct span s)
{
	return s.n > 0 && memchr(s.p, 0, s.n) != NULL;
}

static void check_encrypted(const char *key, const struct json_value *item,
                            const struct json_value *result)
{
	struct span members[3] = {text_of(result, "ciphertext"), text_of(item, "context"),
	                          text_of(item, "associated_data")};
	const struct json_value *version = json_member(item, "key_version");
	struct builder got = {0};
	char path[64];

	if (has_zero(members[1]) || has_zero(members[2]) || has_zero(text_of(item, "plaintext")))
		return;
	(void)snprintf(path, sizeof path, "t/decrypt/%s", key);
	MUST(ask_alone(path, members, NULL, "plaintext", &got));
	if (is_plain(text_of(item, "plaintext")))
		MUST(span_eq(builder_span(&got), text_of(item, "plaintext")));
	if (strcmp(key, "convergent") == 0 && (version == NULL || version->type == JSON_STRING)) {
		members[0] = text_of(item, "plaintext");
		MUST(ask_alone("t/encrypt/convergent", members, version, "ciphertext", &got));
		MUST(span_eq(builder_span(&got), text_of(result, "ciphertext")));
	}
	builder_free(&got);
}

static void check_result(char operation, const char *key, const struct json_value *item,
                         const struct json_value *result, bool alone)
{
	const char *member = operation == 'd' ? "plaintext" : "ciphertext";
	const struct json_value *reference = json_member(result, "reference");

	MUST(result->type == JSON_OBJECT && reference != NULL && reference->type == JSON_STRING);
	MUST(span_eq(reference->text, text_of(item, "reference")));
	if (json_member(result, "error") != NULL) {
		MUST(text_of(result, "error").n > 0 && text_of(result, member).n == 0);
		return;
	}
	MUST(json_member(result, member) != NULL);
	MUST((json_member(result, "key_version") != NULL) == (operation != 'd'));
	if (operation == 'e' && alone)
		check_encrypted(key, item, result);
}

static void check_answer(char operation, const char *key, const struct json_value *request)
{
	const struct json_value *batch = json_member(request, "batch_input"), *results, *r, *i;
	struct builder copy = {0};
	struct json doc;

	builder_add(&copy, span_of(house->data.p, house->data.n - 1));
	json_init(&doc);
	MUST(json_parse(&doc, copy.p, copy.n, NULL, NULL) == ST_OK);
	results = json_member(json_root(&doc), "batch_results");
	MUST((results != NULL) == (batch != NULL && batch->type == JSON_ARRAY));
	if (results != NULL) {
		MUST(results->type == JSON_ARRAY && results->count == batch->count);
		r = json_first(results);
		i = json_first(batch);
		for (uint32_t k = 0; k < results->count; k++) {
			check_result(operation, key, i, r, k < ALONE_MAX);
			r = json_next(r);
			i = json_next(i);
		}
	} else {
		MUST(json_member(json_root(&doc), operation == 'd' ? "plaintext" : "ciphertext") !=
		     NULL);
	}
	json_free(&doc);
	builder_free(&copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const char *const operations[] = {"encrypt", "decrypt", "rewrap"};
	static unsigned fresh;
	struct cursor in = cursor_of(span_of(data, n));
	struct span line = fuzz_line(&in);
	char operation = line.n > 0 && memchr("edr", line.p[0], 3) != NULL ? (char)line.p[0] : 'e';
	char which = line.n > 1 ? (char)line.p[1] : 'p', key[32], path[64];
	struct builder body = {0};
	struct json doc;
	enum status st;

	(void)snprintf(key, sizeof key,
	               which == 'c'   ? "convergent"
	               : which == 'n' ? "new%u"
	                              : "plain",
	               fresh);
	fresh = (fresh + (which == 'n')) % 1000;
	(void)snprintf(path, sizeof path, "t/%s/%s",
	               operations[operation == 'e'   ? 0
	                          : operation == 'd' ? 1
	                                             : 2],
	               key);
	fill_in(&body, fuzz_rest(&in));
	json_init(&doc);
	if (parse(&doc, &body)) {
		st = house_ask(house, VERB_WRITE, path, house->root, (const char *)body.p);
		MUST(st == ST_OK || st == ST_INVALID);
		if (st == ST_OK)
			check_answer(operation, key, json_root(&doc));
	}
	json_free(&doc);
	builder_free(&body);
	return 0;
}
