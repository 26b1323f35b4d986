/*
 * transparent: calls about the keys of a vault by one of its members, the whole way but for the socket.
 *
 * Input: up to six calls as text: "METHOD PATH" (below transparent/), then the body up to a line "%%".  In both @v@ stands for the vault, @c@ and @u@ for ciphertexts of
 * its keys "plain" (with a tag) and "untagged" (without), @b@ for a backup of the first.
 *   - each is answered once, well or as the caller's mistake, in this API's form: one JSON object, whose CALLINFO agrees with its status, ERRORCODES and ERRORS;
 *   - what is not harmless is not echoed;
 *   - what failed changed nothing that can be seen;
 *   - a ciphertext that was given opens under the key that gave it.
 * Inputs that changed something are followed by a new vault with the same keys.
 */
#include <liboath/oath.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/otp.h"
#include "engine/storedsafe.h"
#include "fuzz.h"
#include "lib/wire.h"

#define CALLS_MAX  6
#define SECRET     "12345678901234567890"
#define SECRET_32  "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ" /* the same in base32 */
#define PASSPHRASE "correct horse"
#define APIKEY     "an-api-key-of-34-characters-1234567"
#define TEXT       "\"plaintext\":\"c29tZSB0ZXh0\""
/* Then the store, which keeps all that is made, is made anew. */
#define VAULTS_MAX 1000

static struct storedsafe engine = {.version = "1.2.3"};
static char token[80], vault[33], ciphers[2][256], backup[8192];
static unsigned vaults;

/* ---- a document of an answer ---- */

static struct json doc;

/* Of wire.text; valid until the next one is parsed. */
static const struct json_value *answer(void)
{
	static uint8_t copy[sizeof wire.text];
	size_t n = strlen(wire.text);

	memcpy(copy, wire.text, n);
	MUST(json_parse(&doc, copy, n, NULL, NULL) == ST_OK);
	return json_root(&doc);
}

static void member(const char *of, const char *name, char *buf, size_t cap)
{
	const struct json_value *v = json_member(json_member(answer(), of), name);

	MUST(v != NULL && v->type == JSON_STRING && span_cstr(v->text, buf, cap) == ST_OK);
}

/* Of the only entry of an array beside CALLINFO. */
static void entry(const char *of, const char *name, char *buf, size_t cap)
{
	const struct json_value *v = json_member(answer(), of);

	MUST(v != NULL && v->type == JSON_ARRAY && v->count == 1);
	v = json_member(json_first(v), name);
	MUST(v != NULL && v->type == JSON_STRING && span_cstr(v->text, buf, cap) == ST_OK);
}

/* ---- asking ---- */

static unsigned ask(enum http_method method, const char *path, struct span body)
{
	char target[4096];

	MUST(snprintf(target, sizeof target, "/api/1.0/%s", path) < (int)sizeof target);
	wire_begin();
	wire_header("x-http-token", token);
	return wire_exchange(method, target, body);
}

static void must(enum http_method method, const char *path, const char *body)
{
	MUST(ask(method, path, span_str(body)) / 100 == 2);
}

static unsigned about(enum http_method method, const char *rest, const char *body)
{
	char path[512];

	MUST(snprintf(path, sizeof path, "transparent/%s/%s", vault, rest) < (int)sizeof path);
	return ask(method, path, span_str(body));
}

static void must_about(enum http_method method, const char *rest, const char *body)
{
	MUST(about(method, rest, body) / 100 == 2);
}

/* ---- the scene ---- */

static void operate(const char *path, const char *body)
{
	MUST(house_ask(wire.house, VERB_WRITE, path, wire.house->root, body) == ST_OK);
}

static void log_in(void)
{
	char code[TOTP_DIGITS + 1], body[512];

	MUST(oath_totp_generate(SECRET, strlen(SECRET),
	                        (time_t)(clock_wall_ns(&wire.house->clock.clock) / NS_PER_S),
	                        TOTP_STEP_S, 0, TOTP_DIGITS, code) == OATH_OK);
	(void)snprintf(body, sizeof body,
	               "{\"username\":\"someone\",\"passphrase\":\"" PASSPHRASE
	               "\",\"otp\":\"%s\",\"apikey\":\"" APIKEY "\",\"logintype\":\"totp\"}",
	               code);
	token[0] = 0;
	must(HTTP_POST, "auth", body);
	member("CALLINFO", "token", token, sizeof token);
}

static void open_house(void)
{
	static const struct transit_config keys = {.manner = &storedsafe_manner};

	MUST(transit_new(&keys, &engine.keys) == ST_OK);
	wire_open(house_with(&engine_storedsafe, &engine, NULL));
	operate("sys/mounts/storedsafe", "{\"type\":\"storedsafe\"}");
	operate("auth/storedsafe/apikeys/tests", "{\"apikey\":\"" APIKEY "\"}");
	operate("auth/storedsafe/users",
	        "{\"username\":\"someone\",\"passphrase\":\"" PASSPHRASE
	        "\",\"status\":131,\"fullname\":\"Some One\",\"email\":\"a@b.c\"}");
	operate("auth/storedsafe/users/someone/otp",
	        "{\"type\":\"totp\",\"secret\":\"" SECRET_32 "\"}");
	log_in();
	vaults = 0;
}

static void open_vault(void)
{
	if (vaults++ == VAULTS_MAX) {
		wire_close();
		transit_free(&engine.keys);
		open_house();
	}
	must(HTTP_POST, "vault", "{\"vaultname\":\"a vault\"}");
	entry("VAULT", "id", vault, sizeof vault);
	must_about(HTTP_POST, "keys/plain", "{\"info\":\"of plain\"}");
	must_about(HTTP_POST, "keys/untagged", "{\"type\":\"aes256-ofb\"}");
	must_about(HTTP_POST, "encrypt/plain", "{" TEXT "}");
	member("CALLINFO", "ciphertext", ciphers[0], sizeof ciphers[0]);
	must_about(HTTP_POST, "encrypt/untagged", "{" TEXT "}");
	member("CALLINFO", "ciphertext", ciphers[1], sizeof ciphers[1]);
	must_about(HTTP_POST, "keys/plain/rotate", "");
	must_about(HTTP_GET, "backup/plain", "");
	entry("KEYS", "backup", backup, sizeof backup);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	fuzz_process();
	MUST(otp_setup() == ST_OK);
	json_init(&doc);
	open_house();
	open_vault();
	return 0;
}

/* ---- a call ---- */

static void fill_in(struct builder *b, struct span text)
{
	const struct {
		const char *name, *value;
	} known[] = {{"@v@", vault}, {"@c@", ciphers[0]}, {"@u@", ciphers[1]}, {"@b@", backup}};

	while (text.n > 0) {
		size_t i = 0;

		while (i < 4 && !span_starts(text, span_str(known[i].name)))
			i++;
		if (i < 4)
			builder_str(b, known[i].value);
		else
			builder_u8(b, text.p[0]);
		text = span_from(text, i < 4 ? 3 : 1);
	}
	MUST(builder_status(b) == ST_OK);
}

static enum http_method method_of(struct span s)
{
	static const struct {
		const char *name;
		enum http_method method;
	} known[] = {{"GET", HTTP_GET},       {"POST", HTTP_POST},   {"PUT", HTTP_PUT},
	             {"DELETE", HTTP_DELETE}, {"PATCH", HTTP_PATCH}, {"LIST", HTTP_LIST}};

	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (span_eq_str(s, known[i].name))
			return known[i].method;
	return HTTP_POST;
}

/* What http lets through. */
static bool target_ok(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= 0x20 || s.p[i] >= 0x7f || s.p[i] == '#')
			return false;
	return s.n > 0 && s.n < 2000;
}

/* ---- what comes out ---- */

static bool is_int(const struct json_value *of, const char *name, int64_t want)
{
	const struct json_value *v = json_member(of, name);
	int64_t n;

	return v != NULL && json_i64(v, &n) == ST_OK && n == want;
}

static void check_form(unsigned status)
{
	const struct json_value *root = answer(), *info = json_member(root, "CALLINFO"),
	                        *errors = json_member(root, "ERRORS"),
	                        *codes = json_member(root, "ERRORCODES"),
	                        *params = json_member(root, "PARAMS"),
	                        *state = json_member(info, "status");
	bool good = status / 100 == 2;

	MUST(status >= 200 && status < 500);
	MUST(info != NULL && state != NULL && span_eq_str(state->text, good ? "SUCCESS" : "FAIL"));
	MUST(is_int(info, "errors", !good) && is_int(info, "errorcodes", !good));
	MUST((errors != NULL) == !good && (codes != NULL) == !good);
	MUST(good || (errors->type == JSON_ARRAY && errors->count == 1 && codes->count == 1 &&
	              json_first(errors)->text.n > 0));
	MUST(params != NULL && params->type == JSON_ARRAY && params->count == 0);
	MUST(json_member(root, "HEADERS") != NULL && json_member(root, "DATA") != NULL);
	MUST(good || json_member(root, "KEYS") == NULL);
}

static void check_masks(void)
{
	static const char *const secret[] = {"plaintext",       "ciphertext", "backup", "batch",
	                                     "associated_data", "key",        "nonce",  "context"};
	const struct json_value *data = json_member(answer(), "DATA"), *v;

	for (size_t i = 0; i < sizeof secret / sizeof *secret; i++) {
		v = json_member(data, secret[i]);
		MUST(v == NULL || (v->type == JSON_STRING && span_eq_str(v->text, "********")));
	}
}

/* The keys of the vault, and what is said of them. */
static void list(struct builder *ret)
{
	const char *at;

	MUST(about(HTTP_LIST, "keys", "") == 200);
	at = strstr(wire.text, "\"KEYS\":");
	MUST(at != NULL);
	builder_reset(ret);
	builder_str(ret, at);
	MUST(builder_status(ret) == ST_OK);
}

/* The ciphertext that was given without associated data opens under its key. */
static void check_opens(struct span body)
{
	char name[200], cipher[6000], rest[256];
	struct builder ask_for = {0};
	const struct json_value *info = json_member(answer(), "CALLINFO"),
	                        *given = json_member(info, "ciphertext"),
	                        *of = json_member(info, "name"),
	                        *at = json_member(json_member(answer(), "DATA"), "vaultid");

	if (given == NULL || of == NULL || at == NULL || !span_eq_str(at->text, vault) ||
	    (body.n > 0 && (memmem(body.p, body.n, "ssociated", 9) != NULL ||
	                    memmem(body.p, body.n, "\\u", 2) != NULL)) ||
	    span_cstr(given->text, cipher, sizeof cipher) != ST_OK ||
	    span_cstr(of->text, name, sizeof name) != ST_OK)
		return;
	builder_str(&ask_for, "{\"ciphertext\":\"");
	builder_str(&ask_for, cipher);
	builder_str(&ask_for, "\"}");
	builder_u8(&ask_for, 0);
	MUST(builder_status(&ask_for) == ST_OK);
	MUST(snprintf(rest, sizeof rest, "decrypt/%s", name) < (int)sizeof rest);
	/* a version may have been forbidden meanwhile; then that is said */
	if (about(HTTP_POST, rest, (const char *)ask_for.p) != 200)
		MUST(strstr(wire.text, "cannot be decrypted under this key") == NULL);
	builder_free(&ask_for);
}

/* false: nothing may have changed. */
static bool run(struct span line, struct span body)
{
	static struct builder before, after;
	const uint8_t *space = line.n > 0 ? memchr(line.p, ' ', line.n) : NULL;
	struct builder path = {0}, sent = {0};
	enum http_method method;
	unsigned status;

	if (space == NULL)
		return false;
	method = method_of(span_of(line.p, (size_t)(space - line.p)));
	line = span_from(line, (size_t)(space - line.p) + 1);
	builder_str(&path, "transparent/");
	fill_in(&path, line);
	if (!target_ok(builder_span(&path))) {
		builder_free(&path);
		return false;
	}
	builder_u8(&path, 0);
	fill_in(&sent, body);
	MUST(builder_status(&path) == ST_OK);
	list(&before);
	status =
	    sent.n < sizeof wire.body ? ask(method, (const char *)path.p, builder_span(&sent)) : 0;
	if (status != 0) {
		check_form(status);
		check_masks();
		if (status / 100 == 2)
			check_opens(builder_span(&sent));
		list(&after);
		MUST(status / 100 == 2 || span_eq(builder_span(&before), builder_span(&after)));
	}
	builder_free(&path);
	builder_free(&sent);
	return status / 100 == 2 && method != HTTP_GET && method != HTTP_LIST;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct cursor in = cursor_of(span_of(data, n));
	bool changed = false;

	for (int i = 0; i < CALLS_MAX && in.left > 0; i++) {
		struct span line = fuzz_line(&in), all = span_of(in.p, in.left);
		const uint8_t *end = all.n > 0 ? memmem(all.p, all.n, "\n%%\n", 4) : NULL;
		struct span body = fuzz_span(&in, end != NULL ? (size_t)(end - all.p) : all.n);

		(void)fuzz_span(&in, end != NULL ? 4 : 0);
		changed = run(line, body) || changed;
	}
	if (changed)
		open_vault();
	return 0;
}
