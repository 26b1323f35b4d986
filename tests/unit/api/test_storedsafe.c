/*
 * The StoredSafe dialect over a real gate with a clock set by hand: the envelope, logging in and everything that can be wrong with it, tokens and their
 * successors, what a session may not reach, and the forms of a server that is sealed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <liboath/oath.h>
#include <stdio.h>
#include <string.h>
#include <yubikey.h>

#include "api/storedsafe_impl.h"
#include "core/login_first.h"
#include "engine/storedsafe.h"
#include "lib/wire.h"

#define USER   "evaeva"
#define PASS   "correct horse"
#define APIKEY "an-api-key-of-34-characters-1234567"
#define SECRET "12345678901234567890"

static struct storedsafe engine = {.version = "1.2.3"};

/* ---- asking ---- */

static char token[80]; /* of the session; "": none is sent */

static unsigned ask(enum http_method method, const char *path, const char *body)
{
	char target[300];

	(void)snprintf(target, sizeof target, "/api/1.0/%s", path);
	wire_begin();
	wire_header("host", "safe.example.org");
	if (token[0] != 0)
		wire_header("x-http-token", token);
	return wire_exchange(method, target, span_str(body));
}

static bool holds(const char *part)
{
	return strstr(wire.text, part) != NULL;
}

/* The text behind "NAME":" in the answer. */
static void member(const char *name, char *buf, size_t cap)
{
	char pattern[80];
	const char *at;
	size_t n;

	(void)snprintf(pattern, sizeof pattern, "\"%s\":\"", name);
	at = strstr(wire.text, pattern);
	assert_non_null(at);
	at += strlen(pattern);
	n = strcspn(at, "\"");
	assert_true(n < cap);
	memcpy(buf, at, n);
	buf[n] = 0;
}

/* A failure in the dialect's form, with this status and a text that has this part. */
static void assert_fails(unsigned status, unsigned want, const char *part)
{
	assert_int_equal(status, want);
	assert_true(
	    holds("{\"CALLINFO\":{\"errorcodes\":1,\"errors\":1,\"general\":[],\"handler\":"));
	assert_true(holds("\"status\":\"FAIL\""));
	assert_true(holds("\"ERRORCODES\":{\""));
	assert_true(holds("\"ERRORS\":[\""));
	assert_true(holds("\"PARAMS\":[]"));
	if (!holds(part))
		assert_string_equal(wire.text, part);
}

static void assert_good(unsigned status)
{
	if (status / 100 != 2)
		assert_string_equal(wire.text, "");
	assert_true(holds("{\"CALLINFO\":{\"errorcodes\":0,\"errors\":0,\"general\":["));
	assert_true(holds("\"status\":\"SUCCESS\""));
	assert_false(holds("ERRORS"));
	assert_string_equal(wire.x.content_type, "application/json; charset=UTF-8");
}

/* The operator's way, by the Vault dialect. */
static unsigned operate(enum http_method method, const char *path, const char *body)
{
	char target[300];

	(void)snprintf(target, sizeof target, "/v1/%s", path);
	wire_begin();
	wire_header("x-vault-token", wire.house->root);
	return wire_exchange(method, target, span_str(body));
}

/* ---- one-time codes ---- */

static const char *totp(void)
{
	static char code[7];

	assert_int_equal(oath_totp_generate(SECRET, strlen(SECRET),
	                                    clock_wall_ns(&wire.house->clock.clock) / NS_PER_S, 30,
	                                    0, 6, code),
	                 OATH_OK);
	return code;
}

#define DEVICE "cccccccbcdef"
static const uint8_t device_key[YUBICO_KEY_LEN] = {0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17,
                                                   0x18, 0x19, 0x1a, 0x1b, 0x1c, 0x1d, 0x1e, 0x1f};

static const char *yubico(uint16_t counter)
{
	static char out[YUBICO_OTP_LEN + 1];
	yubikey_token_st t = {.uid = {1, 2, 3, 4, 5, 6}, .ctr = counter};

	t.crc = (uint16_t)~yubikey_crc16((const uint8_t *)&t, sizeof t - 2);
	memcpy(out, DEVICE, YUBICO_PUBLIC_LEN);
	yubikey_generate(&t, device_key, out + YUBICO_PUBLIC_LEN);
	out[YUBICO_OTP_LEN] = 0;
	return out;
}

/* A later step of the clock, so that there is a code that was not used yet. */
static void later(int64_t seconds)
{
	house_later(wire.house, seconds);
}

static unsigned try_login(const char *user, const char *pass, const char *code, const char *apikey)
{
	char body[400];

	token[0] = 0;
	(void)snprintf(
	    body, sizeof body,
	    "{\"username\":\"%s\",\"passphrase\":\"%s\",\"otp\":\"%s\",\"apikey\":\"%s\","
	    "\"logintype\":\"totp\"}",
	    user, pass, code, apikey);
	return ask(HTTP_POST, "auth", body);
}

static void log_in(void)
{
	later(31);
	assert_good(try_login(USER, PASS, totp(), APIKEY));
	member("token", token, sizeof token);
}

static enum status make_first(void *arg, struct txn *t, struct err *err)
{
	struct login_first f = {.username = USER, .passphrase = PASS, .apikey = APIKEY};

	(void)arg;
	base32_encode(span_str(SECRET), f.totp);
	return login_first_make(t, &random_system, clock_wall_ns(&wire.house->clock.clock), &f,
	                        err);
}

static int setup(void **state)
{
	static const struct transit_config keys = {.manner = &storedsafe_manner};

	if (house_process(state) != 0 || otp_setup() != ST_OK)
		return -1;
	if (transit_new(&keys, &engine.keys) != ST_OK)
		return -1;
	wire_open(house_with(&engine_storedsafe, &engine, NULL));
	assert_int_equal(house_write(wire.house, make_first, NULL), ST_OK);
	assert_int_equal(operate(HTTP_POST, "sys/mounts/storedsafe", "{\"type\":\"storedsafe\"}"),
	                 204);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	wire_close();
	transit_free(&engine.keys);
	return 0;
}

/* ---- the envelope ---- */

static void the_envelope_of_success(void **state)
{
	char want[600];

	(void)state;
	log_in();
	assert_good(ask(HTTP_GET, "utils/version", ""));
	(void)snprintf(
	    want, sizeof want,
	    "{\"CALLINFO\":{\"errorcodes\":0,\"errors\":0,\"general\":[],\"handler\":"
	    "\"UtilsHandler\","
	    "\"status\":\"SUCCESS\",\"token\":\"%s\",\"version\":\"1.2.3\"},\"DATA\":{\"token\":\"%"
	    "s\"},"
	    "\"HEADERS\":{\"Host\":\"safe.example.org\",\"X-Http-Token\":\"%s\"},\"PARAMS\":[]}\n",
	    token, token, token);
	assert_string_equal(wire.text, want);
}

static void the_envelope_of_failure(void **state)
{
	char want[600];

	(void)state;
	log_in();
	assert_int_equal(ask(HTTP_GET, "vault/77", ""), 403);
	(void)snprintf(
	    want, sizeof want,
	    "{\"CALLINFO\":{\"errorcodes\":1,\"errors\":1,\"general\":[],\"handler\":"
	    "\"GroupHandler\","
	    "\"status\":\"FAIL\",\"token\":\"%s\"},\"DATA\":{\"token\":\"%s\"},"
	    "\"ERRORCODES\":{\"2000\":\"Errormessages exists\"},\"ERRORS\":[\"permission denied\"],"
	    "\"HEADERS\":{\"Host\":\"safe.example.org\",\"X-Http-Token\":\"%s\"},\"PARAMS\":[]}\n",
	    token, token, token);
	assert_string_equal(wire.text, want);
}

static void without_a_session_there_is_no_token_and_no_data(void **state)
{
	(void)state;
	token[0] = 0;
	assert_good(ask(HTTP_GET, "authinfo/logintypes", ""));
	assert_string_equal(wire.text,
	                    "{\"CALLINFO\":{\"errorcodes\":0,\"errors\":0,\"general\":[],"
	                    "\"handler\":\"AuthInfoHandler\","
	                    "\"status\":\"SUCCESS\",\"enabled_login_types\":[[\"totp\",\"yubikey_"
	                    "otp\"]]},\"DATA\":[],"
	                    "\"HEADERS\":{\"Host\":\"safe.example.org\"},\"PARAMS\":[]}\n");
}

static void what_was_sent_is_echoed_without_secrets(void **state)
{
	(void)state;
	log_in();
	assert_good(
	    ask(HTTP_POST, "utils/checkpolicy?policyid=8&policyid=9&x=y",
	        "{\"passphrase\":\"hush\",\"unknown\":{\"a\":[\"hush\"]},\"fieldname\":\"f\","
	        "\"description\":[1,[\"hush\"]]}"));
	assert_true(holds(
	    "\"DATA\":{\"passphrase\":\"********\",\"unknown\":\"********\",\"fieldname\":\"f\","
	    "\"description\":\"********\",\"policyid\":\"8\",\"x\":\"********\",\"token\":"));
	assert_false(holds("hush"));
	assert_true(holds("\"policy_id\":8"));
	wire_begin();
	wire_header("authorization", "hush");
	wire_header("cookie", "hush");
	wire_header("x-vault-token", "hush");
	wire_header("user-agent", "one");
	wire_header("user-agent", "two");
	assert_int_equal(wire_exchange(HTTP_GET, "/api/1.0/authinfo/logintypes", span_of(NULL, 0)),
	                 200);
	assert_true(holds("\"HEADERS\":{\"Authorization\":\"********\",\"Cookie\":\"********\","
	                  "\"X-Vault-Token\":\"********\",\"User-Agent\":\"one\"}"));
}

static void what_is_no_resource(void **state)
{
	static const char *const paths[] = {
	    "nope",     "vault/1/members/2",      "auth/x",      "user/1/2", "object/1", "find",
	    "template", "transparent/1/keys/k/x", "usercert/1/2"};

	(void)state;
	log_in();
	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
		assert_fails(ask(HTTP_GET, paths[i], ""), 404, "there is no such resource");
	assert_fails(ask(HTTP_GET, "", ""), 400, "empty");
	assert_fails(ask(HTTP_GET, "vault//x", ""), 400, "empty segment");
	assert_fails(ask(HTTP_GET, "vault/%zz", ""), 400, "escape");
	assert_fails(ask(HTTP_PATCH, "vault/1", ""), 405, "no such method");
	assert_fails(ask(HTTP_GET, "auth", ""), 405, "no such method");
	assert_fails(ask(HTTP_DELETE, "vault", ""), 405, "no such method");
	assert_good(ask(HTTP_GET, "vault/", ""));
}

static void what_is_no_body_and_no_query(void **state)
{
	(void)state;
	log_in();
	assert_fails(ask(HTTP_POST, "vault", "{"), 400, "no JSON");
	assert_fails(ask(HTTP_POST, "vault", "[1]"), 400, "must be a JSON object");
	assert_fails(ask(HTTP_POST, "vault", "vaultname=x"), 400, "no JSON");
	assert_fails(ask(HTTP_POST, "vault", "{\"a\":1,\"a\":2}"), 400, "no JSON");
	assert_fails(ask(HTTP_GET, "vault?a=%", ""), 400, "query");
	assert_fails(ask(HTTP_POST, "vault", "{\"vaultname\":5}"), 400, "vaultname");
}

/* ---- logging in ---- */

static void a_log_in_says_who_it_is(void **state)
{
	(void)state;
	log_in();
	assert_true(holds("\"handler\":\"AuthHandler\""));
	assert_true(holds("\"userid\":\"1\""));
	assert_true(holds("\"username\":\"" USER "\""));
	assert_true(holds("\"userstatus\":\"143\""));
	assert_true(holds("\"timeout\":3600000"));
	assert_true(holds("\"filesupport\":0"));
	assert_true(holds("\"audit\":{\"violations\":[],\"warnings\":[]}"));
	assert_true(holds("\"password\":\"********\""));
	assert_false(holds(PASS));
	assert_false(holds(APIKEY));
}

static void any_part_that_is_wrong_fails_alike(void **state)
{
	char first[2000];

	(void)state;
	later(4000);
	assert_fails(try_login("nobody", PASS, totp(), APIKEY), 401, "the log-in failed");
	(void)snprintf(first, sizeof first, "%s", strstr(wire.text, "ERRORCODES"));
	later(31);
	assert_fails(try_login(USER, "wrong", totp(), APIKEY), 401, "the log-in failed");
	assert_string_equal(strstr(wire.text, "ERRORCODES"), first);
	later(31);
	assert_fails(try_login(USER, PASS, "000000", APIKEY), 401, "the log-in failed");
	assert_string_equal(strstr(wire.text, "ERRORCODES"), first);
	later(31);
	assert_fails(try_login(USER, PASS, totp(), "a-wrong-api-key"), 401, "the log-in failed");
	assert_string_equal(strstr(wire.text, "ERRORCODES"), first);
	assert_false(holds("1200"));
	log_in();
}

static void a_code_that_was_seen_is_taken_whatever_else_was_wrong(void **state)
{
	(void)state;
	later(4000);
	assert_fails(try_login(USER, "wrong", totp(), APIKEY), 401, "failed");
	assert_fails(try_login(USER, PASS, totp(), APIKEY), 401, "failed");
	later(31);
	assert_good(try_login(USER, PASS, totp(), APIKEY));
	assert_fails(try_login(USER, PASS, totp(), APIKEY), 401, "failed");
}

static void what_is_missing_is_named(void **state)
{
	(void)state;
	token[0] = 0;
	assert_fails(ask(HTTP_POST, "auth", ""), 400, "username is missing");
	assert_fails(ask(HTTP_POST, "auth", "{\"username\":\"u\"}"), 400, "passphrase is missing");
	assert_fails(ask(HTTP_POST, "auth", "{\"username\":\"u\",\"passphrase\":\"p\"}"), 400,
	             "apikey is missing");
	assert_fails(
	    ask(HTTP_POST, "auth", "{\"username\":\"u\",\"passphrase\":\"p\",\"apikey\":\"k\"}"),
	    400, "otp is missing");
	assert_fails(ask(HTTP_POST, "auth",
	                 "{\"username\":\"u\",\"passphrase\":\"p\",\"apikey\":\"k\",\"otp\":\"1\","
	                 "\"logintype\":\"smart\"}"),
	             400, "logintype");
	assert_fails(ask(HTTP_POST, "auth", "{\"username\":\"u\",\"keys\":\"short\"}"), 400,
	             "keys");
	assert_fails(ask(HTTP_POST, "auth", "{\"username\":7}"), 400, "username");
}

static void lock_out(const char *user)
{
	for (int i = 0; i < 5; i++)
		assert_fails(try_login(user, "wrong", "000000", APIKEY), 401, "the log-in failed");
	assert_fails(try_login(user, PASS, totp(), APIKEY), 401, "try again in 1 s");
	later(1);
	assert_fails(try_login(user, "wrong", "000000", APIKEY), 401, "the log-in failed");
	assert_fails(try_login(user, PASS, totp(), APIKEY), 401, "try again in 2 s");
}

static void failures_lock_out_and_the_delay_grows(void **state)
{
	(void)state;
	later(4000);
	lock_out(USER);
	lock_out("nobody");
	later(2);
	assert_good(try_login(USER, PASS, totp(), APIKEY));
	later(31);
	assert_fails(try_login(USER, "wrong", totp(), APIKEY), 401, "the log-in failed");
	log_in();
}

static void yubico_codes_in_both_forms(void **state)
{
	char body[400];

	(void)state;
	assert_int_equal(operate(HTTP_POST, "auth/storedsafe/users/" USER "/otp",
	                         "{\"type\":\"yubikey\",\"public_id\":\"" DEVICE
	                         "\",\"key\":\"101112131415161718191a1b1c1d1e1f\",\"private_id\":"
	                         "\"010203040506\"}"),
	                 204);
	token[0] = 0;
	(void)snprintf(body, sizeof body,
	               "{\"username\":\"" USER "\",\"keys\":\"" PASS APIKEY
	               "%s\",\"apikey\":\"" APIKEY "\"}",
	               yubico(1));
	assert_good(ask(HTTP_POST, "auth", body));
	assert_fails(ask(HTTP_POST, "auth", body), 401, "failed"); /* the same code again */
	(void)snprintf(body, sizeof body,
	               "{\"username\":\"" USER "\",\"keys\":\"" PASS "not-the-key%s\"}", yubico(2));
	assert_fails(ask(HTTP_POST, "auth", body), 401, "failed");
	(void)snprintf(body, sizeof body,
	               "{\"username\":\"" USER "\",\"keys\":\"" PASS APIKEY "%s\"}", yubico(2));
	assert_fails(ask(HTTP_POST, "auth", body), 401, "failed"); /* it was seen */
	(void)snprintf(body, sizeof body,
	               "{\"username\":\"" USER "\",\"passphrase\":\"" PASS "\",\"apikey\":\"" APIKEY
	               "\",\"otp\":\"%s\",\"logintype\":\"yubikey_otp\"}",
	               yubico(3));
	assert_good(ask(HTTP_POST, "auth", body));
	(void)snprintf(body, sizeof body,
	               "{\"username\":\"" USER "\",\"passphrase\":\"" PASS "\",\"apikey\":\"" APIKEY
	               "\",\"otp\":\"%s\"}",
	               yubico(4)); /* long codes are those of devices */
	assert_good(ask(HTTP_POST, "auth", body));
	assert_int_equal(
	    operate(HTTP_DELETE,
	            "auth/storedsafe/users/" USER "/otp?type=yubikey&public_id=" DEVICE, ""),
	    204);
	(void)snprintf(body, sizeof body,
	               "{\"username\":\"" USER "\",\"keys\":\"" PASS APIKEY "%s\"}", yubico(5));
	assert_fails(ask(HTTP_POST, "auth", body), 401, "failed");
}

/* ---- tokens ---- */

static void a_token_can_stand_in_three_places_and_the_header_wins(void **state)
{
	char good[80], body[200], target[200];

	(void)state;
	log_in();
	memcpy(good, token, sizeof good);
	token[0] = 0;
	(void)snprintf(body, sizeof body, "{\"token\":\"%s\"}", good);
	assert_good(ask(HTTP_POST, "auth/check", body));
	assert_true(holds("\"DATA\":{\"token\":\""));
	(void)snprintf(target, sizeof target, "vault?token=%s", good);
	assert_good(ask(HTTP_GET, target, ""));
	memcpy(token, "wrong", 6);
	assert_fails(ask(HTTP_POST, "auth/check", body), 401, "1200");
	memcpy(token, good, sizeof good);
	assert_good(ask(HTTP_POST, "auth/check", "{\"token\":\"wrong\"}"));
	token[0] = 0;
	assert_fails(ask(HTTP_POST, "auth/check", "{\"token\":[]}"), 400, "token");
}

static void no_session_is_1200(void **state)
{
	static const char *const bad[] = {
	    "", "x", "root", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		memcpy(token, bad[i], strlen(bad[i]) + 1);
		assert_fails(ask(HTTP_POST, "auth/check", "{}"), 401, "\"1200\":\"Not logged in\"");
		assert_false(holds("\"FAIL\",\"token\""));
	}
	memcpy(token, wire.house->root, strlen(wire.house->root) + 1); /* the other dialect's */
	assert_fails(ask(HTTP_GET, "vault", ""), 401, "1200");
}

static void a_session_is_no_service_token(void **state)
{
	(void)state;
	log_in();
	wire_begin();
	wire_header("x-vault-token", token);
	assert_int_equal(wire_exchange(HTTP_GET, "/v1/auth/storedsafe/check", span_of(NULL, 0)),
	                 403);
	assert_int_equal(operate(HTTP_GET, "auth/storedsafe/check", ""), 400);
	assert_true(holds("no session"));
}

static void tokens_are_replaced_by_time_and_the_old_one_has_its_grace(void **state)
{
	char old[80], next[80];

	(void)state;
	log_in();
	memcpy(old, token, sizeof old);
	later(900);
	assert_good(ask(HTTP_POST, "auth/check", "{}"));
	member("token", next, sizeof next);
	assert_string_not_equal(next, old);
	later(900);
	assert_good(ask(HTTP_GET, "vault", "")); /* the old one: nobody used the new one */
	assert_true(holds(next));
	memcpy(token, next, sizeof next);
	assert_good(ask(HTTP_GET, "vault", ""));
	memcpy(token, old, sizeof old);
	later(299);
	assert_good(ask(HTTP_GET, "vault", ""));
	assert_true(holds(next));
	later(1);
	assert_fails(ask(HTTP_GET, "vault", ""), 401, "1200");
	memcpy(token, next, sizeof next);
	assert_good(ask(HTTP_GET, "vault", ""));
	assert_good(ask(HTTP_GET, "auth/logout", ""));
	assert_true(holds("\"logout\":\"Bye bye\""));
	assert_fails(ask(HTTP_GET, "vault", ""), 401, "1200");
}

static void a_refused_call_is_a_use_too(void **state)
{
	char old[80];

	(void)state;
	log_in();
	memcpy(old, token, sizeof old);
	later(900);
	assert_good(ask(HTTP_GET, "vault", ""));
	member("token", token, sizeof token);
	assert_fails(ask(HTTP_GET, "vault/77", ""), 403, "denied"); /* the successor's first use */
	later(300);
	memcpy(token, old, sizeof old);
	assert_fails(ask(HTTP_GET, "vault", ""), 401, "1200");
	log_in();
	for (int i = 0; i < 5; i++) {
		later(3599);
		assert_fails(ask(HTTP_GET, "vault/77", ""), 403, "denied");
	}
	later(3700);
	assert_fails(ask(HTTP_GET, "vault", ""), 401, "1200");
}

static void settings_are_the_operators(void **state)
{
	(void)state;
	assert_int_equal(
	    operate(HTTP_POST, "auth/storedsafe/config", "{\"session_timeout\":\"10s\"}"), 204);
	assert_int_equal(operate(HTTP_GET, "auth/storedsafe/config", ""), 200);
	assert_true(
	    holds("\"session_timeout\":\"10s\",\"token_rotation\":\"15m\",\"token_grace\":\"5m\""));
	assert_int_equal(operate(HTTP_POST, "auth/storedsafe/config", "{\"token_grace\":\"16m\"}"),
	                 400);
	log_in();
	assert_true(holds("\"timeout\":10000"));
	later(11);
	assert_fails(ask(HTTP_GET, "vault", ""), 401, "1200");
	assert_int_equal(operate(HTTP_POST, "auth/storedsafe/config", "{\"session_timeout\":3600}"),
	                 204);
}

/* ---- what a session may not reach ---- */

static void a_deactivated_user_is_out_at_once(void **state)
{
	char admin[80], bobby[80];

	(void)state;
	log_in();
	memcpy(admin, token, sizeof admin);
	assert_good(
	    ask(HTTP_POST, "user",
	        "{\"username\":\"bobby\",\"status\":[0,7],\"fullname\":\"Bobby B\",\"email\":"
	        "\"b@example.org\",\"passphrase\":\"" PASS "\"}"));
	assert_int_equal(
	    operate(HTTP_POST, "auth/storedsafe/users/bobby/otp",
	            "{\"type\":\"totp\",\"secret\":\"GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\"}"),
	    200);
	assert_good(try_login("bobby", PASS, totp(), APIKEY));
	member("token", bobby, sizeof bobby);
	memcpy(token, bobby, sizeof token);
	assert_good(ask(HTTP_GET, "vault", ""));
	assert_true(holds("\"VAULTS\":[]"));
	assert_fails(ask(HTTP_GET, "user", ""), 403, "permission denied");
	assert_fails(ask(HTTP_POST, "vault", "{\"vaultname\":\"x\"}"), 403, "permission denied");
	memcpy(token, admin, sizeof token);
	assert_good(ask(HTTP_DELETE, "user/2", ""));
	memcpy(token, bobby, sizeof token);
	assert_fails(ask(HTTP_GET, "vault", ""), 401, "1200");
	later(31);
	assert_fails(try_login("bobby", PASS, totp(), APIKEY), 401, "the log-in failed");
}

static void sealed(void **state)
{
	char body[200];

	(void)state;
	log_in();
	assert_int_equal(operate(HTTP_POST, "sys/seal", ""), 204);
	assert_fails(ask(HTTP_GET, "vault", ""), 503, "the server is sealed");
	assert_fails(try_login(USER, PASS, "123456", APIKEY), 503, "the server is sealed");
	assert_fails(ask(HTTP_GET, "authinfo/logintypes", ""), 503, "the server is sealed");
	(void)snprintf(body, sizeof body, "{\"key\":\"%s\"}", wire.house->share);
	assert_int_equal(operate(HTTP_POST, "sys/unseal", body), 200);
	log_in();
}

static void without_its_mount_there_are_no_vaults(void **state)
{
	(void)state;
	log_in();
	assert_int_equal(
	    operate(HTTP_POST, "sys/remount", "{\"from\":\"storedsafe\",\"to\":\"other\"}"), 200);
	assert_fails(ask(HTTP_GET, "vault", ""), 404, "not set up");
	assert_int_equal(
	    operate(HTTP_POST, "sys/remount", "{\"from\":\"other\",\"to\":\"storedsafe\"}"), 200);
	assert_good(ask(HTTP_GET, "vault", ""));
}

static void what_http_refuses(void **state)
{
	struct exchange x = {.target = span_str("/api/1.0/vault"), .method = HTTP_GET};

	(void)state;
	api_reject(&x, 413, "too large");
	assert_int_equal(x.status, 413);
	assert_non_null(memmem(x.body_out.p, x.body_out.n, "\"ERRORS\":[\"too large\"]", 22));
	builder_free(&x.body_out);
}

/* More values than a request may have: a vault of very many keys. */
static void answers_may_be_large(void **state)
{
	static struct safe_state s;
	static const char end[] = ",0]}\n";
	struct exchange x = {.method = HTTP_GET};
	struct builder *data = &s.call.ans.data;

	assert_int_equal(path_parse(span_str("transparent/1/keys"), &s.path, NULL), ST_OK);
	assert_int_equal(route_find(HTTP_GET, &s.path, &s.route, NULL), ST_OK);
	json_init(&s.data);
	json_init(&s.auth);
	builder_str(data, "{\"named_keys\":[0");
	for (uint32_t i = 0; i < json_limits_default.values; i++)
		builder_str(data, ",0");
	builder_str(data, "]}");
	safe_put_answer(&x, &s);
	assert_int_equal(x.status, 200);
	assert_true(span_ends(builder_span(&x.body_out), span_of(end, sizeof end - 1)));
	builder_free(&x.body_out);
	answer_free(&s.call.ans);
	json_free(&s.data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_envelope_of_success),
	    cmocka_unit_test(the_envelope_of_failure),
	    cmocka_unit_test(without_a_session_there_is_no_token_and_no_data),
	    cmocka_unit_test(what_was_sent_is_echoed_without_secrets),
	    cmocka_unit_test(what_is_no_resource),
	    cmocka_unit_test(what_is_no_body_and_no_query),
	    cmocka_unit_test(a_log_in_says_who_it_is),
	    cmocka_unit_test(any_part_that_is_wrong_fails_alike),
	    cmocka_unit_test(a_code_that_was_seen_is_taken_whatever_else_was_wrong),
	    cmocka_unit_test(what_is_missing_is_named),
	    cmocka_unit_test(failures_lock_out_and_the_delay_grows),
	    cmocka_unit_test(yubico_codes_in_both_forms),
	    cmocka_unit_test(a_token_can_stand_in_three_places_and_the_header_wins),
	    cmocka_unit_test(no_session_is_1200),
	    cmocka_unit_test(a_session_is_no_service_token),
	    cmocka_unit_test(tokens_are_replaced_by_time_and_the_old_one_has_its_grace),
	    cmocka_unit_test(a_refused_call_is_a_use_too),
	    cmocka_unit_test(settings_are_the_operators),
	    cmocka_unit_test(a_deactivated_user_is_out_at_once),
	    cmocka_unit_test(sealed),
	    cmocka_unit_test(without_its_mount_there_are_no_vaults),
	    cmocka_unit_test(what_http_refuses),
	    cmocka_unit_test(answers_may_be_large),
	};

	return cmocka_run_group_tests_name("storedsafe", tests, setup, teardown);
}
