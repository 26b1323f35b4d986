/*
 * Memory that runs out while users log in, work and log out, and while members, users, codes and API keys are changed: what must hold is told in trial.h.  A log-in that fails
 * for that took no code, and none was counted as a failure.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <liboath/oath.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <yubikey.h>

#include "base/clock.h"
#include "crypto/otp.h"
#include "engine/storedsafe.h"
#include "fault/trial.h"

#define SECRET     "12345678901234567890" /* GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ in base32 */
#define SECRET_32  "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
#define PASSPHRASE "correct horse"
#define APIKEY     "an-api-key-of-34-characters-1234567"
#define DEVICE     "cccccccbcdef"
#define DEVICE_KEY "000102030405060708090a0b0c0d0e0f"
#define TOKEN_N    56

static char body[1024], target[256];

/* ---- passphrases, hashed at a thousandth of the cost; what is stored says so, and is verified at that cost ---- */

int __real_crypto_pwhash_str_alg(char out[crypto_pwhash_STRBYTES], const char *passwd,
                                 unsigned long long n, unsigned long long passes, size_t bytes,
                                 int alg);
int __wrap_crypto_pwhash_str_alg(char out[crypto_pwhash_STRBYTES], const char *passwd,
                                 unsigned long long n, unsigned long long passes, size_t bytes,
                                 int alg);

int __wrap_crypto_pwhash_str_alg(char out[crypto_pwhash_STRBYTES], const char *passwd,
                                 unsigned long long n, unsigned long long passes, size_t bytes,
                                 int alg)
{
	(void)passes;
	(void)bytes;
	return __real_crypto_pwhash_str_alg(out, passwd, n, crypto_pwhash_OPSLIMIT_MIN,
	                                    crypto_pwhash_MEMLIMIT_MIN, alg);
}

/* ---- codes ---- */

static const char *code_of_now(const struct desk *d)
{
	static char code[TOTP_DIGITS + 1];

	assert_int_equal(oath_totp_generate(SECRET, strlen(SECRET),
	                                    (time_t)(desk_now(d) / NS_PER_S), TOTP_STEP_S, 0,
	                                    TOTP_DIGITS, code),
	                 OATH_OK);
	return code;
}

/* The device's next one. */
static const char *press(void)
{
	static char code[YUBICO_OTP_LEN + 1] = DEVICE;
	static uint16_t counter;
	uint8_t key[YUBICO_KEY_LEN];
	yubikey_token_st token = {.uid = {1, 2, 3, 4, 5, 6}, .ctr = ++counter};

	for (size_t i = 0; i < sizeof key; i++)
		key[i] = (uint8_t)i;
	token.crc = (uint16_t)~yubikey_crc16((const uint8_t *)&token, sizeof token - 2);
	yubikey_generate(&token, key, code + YUBICO_PUBLIC_LEN);
	return code;
}

/* ---- sessions ---- */

static char token[TOKEN_N + 1];
static bool told; /* it is what the last log-in gave */

/* The answer's "token", without allocating. */
static void note_token(const struct desk *d)
{
	static const char name[] = "\"token\":\"";
	const char *at = strstr(desk_body(d), name);

	assert_non_null(at);
	memcpy(token, at + strlen(name), TOKEN_N);
	token[TOKEN_N] = 0;
}

static unsigned show(struct desk *d, const char *passphrase, const char *code)
{
	(void)snprintf(
	    body, sizeof body,
	    "{\"username\":\"someone\",\"passphrase\":\"%s\",\"otp\":\"%s\",\"apikey\":\"" APIKEY
	    "\",\"logintype\":\"totp\"}",
	    passphrase, code);
	return desk_ask(d, HTTP_POST, "/api/1.0/auth", NULL, body);
}

static unsigned log_in(struct desk *d, unsigned n)
{
	unsigned status = show(d, PASSPHRASE, code_of_now(d));

	(void)n;
	told = status == 200;
	if (told)
		note_token(d);
	return status;
}

static unsigned log_in_by_keys(struct desk *d, unsigned n)
{
	unsigned status;

	(void)n;
	(void)snprintf(body, sizeof body,
	               "{\"username\":\"someone\",\"keys\":\"" PASSPHRASE APIKEY "%s\"}", press());
	status = desk_ask(d, HTTP_POST, "/api/1.0/auth", NULL, body);
	told = status == 200;
	if (told)
		note_token(d);
	return status;
}

static unsigned with_token(struct desk *d, enum http_method method, const char *path)
{
	(void)snprintf(target, sizeof target, "/api/1.0/%s?token=%s", path, token);
	return desk_ask(d, method, target, NULL, NULL);
}

static bool logged_in(struct desk *d, unsigned n)
{
	unsigned status = with_token(d, HTTP_GET, "auth/check");

	(void)n;
	assert_true(status == 200 || status == 401);
	return status == 200;
}

/* A session of which nobody was told cannot be shown. */
static bool began(struct desk *d, unsigned n)
{
	return !told || logged_in(d, n);
}

static bool logged_out(struct desk *d, unsigned n)
{
	return !logged_in(d, n);
}

/* So much later that all sessions have ended and were removed: none is while the store is compared. */
static void end_sessions(struct desk *d, unsigned n)
{
	(void)n;
	for (int i = 0; i < 7; i++)
		desk_later(d);
}

static void begin_session(struct desk *d, unsigned n)
{
	end_sessions(d, n);
	if (log_in(d, n) != 200)
		fail_msg("logging in: %s", desk_body(d));
}

/* Failures are forgotten with this. */
static unsigned refused(struct desk *d, unsigned n)
{
	unsigned status = show(d, "a wrong one", code_of_now(d));

	(void)n;
	return status == 401 && strstr(desk_body(d), "the log-in failed") != NULL ? 200 : status;
}

/* A call that makes the session last. */
static unsigned check(struct desk *d, unsigned n)
{
	(void)n;
	return with_token(d, HTTP_POST, "auth/check");
}

/* The session's token is old enough for a successor; that is now the token. */
static void be_told(struct desk *d, unsigned n)
{
	begin_session(d, n);
	desk_later(d);
	desk_later(d);
	assert_true(logged_in(d, n));
	note_token(d);
}

static unsigned log_out(struct desk *d, unsigned n)
{
	(void)n;
	return with_token(d, HTTP_GET, "auth/logout");
}

/* ---- what the operator does; a '#' is the number of the try ---- */

static unsigned by_root(struct desk *d, enum http_method method, const char *path, const char *json,
                        unsigned n)
{
	return desk_ask(d, method, trial_target(path, n), desk_root(d),
	                json != NULL ? trial_body(json, n) : NULL);
}

#define ASK(name, method, path, json)                     \
	static unsigned name(struct desk *d, unsigned n)  \
	{                                                 \
		return by_root(d, method, path, json, n); \
	}
/* It is there, and shows this. */
#define HOLDS(name, path, text)                                 \
	static bool name(struct desk *d, unsigned n)            \
	{                                                       \
		return trial_found(d, trial_target(path, n)) && \
		       trial_says(d, trial_body(text, n));      \
	}
#define NOT(name, other)                             \
	static bool name(struct desk *d, unsigned n) \
	{                                            \
		return !other(d, n);                 \
	}

#define USERS "/v1/auth/storedsafe/users"
#define KEYS  "/v1/auth/storedsafe/apikeys"
#define VAULT "/v1/storedsafe/vaults/1/members"
#define A_USER(name)                                                                            \
	"{\"username\":\"" name "\",\"status\":[0,7],\"fullname\":\"User number #\",\"email\":" \
	"\"user#@example.org\",\"passphrase\":\"" PASSPHRASE "\"}"

ASK(login_types, HTTP_GET, "/api/1.0/authinfo/logintypes", NULL)
ASK(user_list, HTTP_LIST, USERS, NULL)
ASK(user_read, HTTP_GET, USERS "/someone", NULL)
ASK(user_create, HTTP_POST, USERS, A_USER("newuser#"))
HOLDS(user_created, USERS "/newuser#", "\"User number #\"")
ASK(user_edit, HTTP_POST, USERS "/other", "{\"fullname\":\"Edited #\"}")
HOLDS(user_edited, USERS "/other", "\"Edited #\"")
ASK(user_rename, HTTP_POST, USERS "/olduser#", "{\"username\":\"newname#\"}")
HOLDS(user_renamed, USERS "/newname#", "\"newname#\"")
ASK(user_deactivate, HTTP_DELETE, USERS "/olduser#", NULL)
HOLDS(user_active, USERS "/olduser#", "\"status\":\"129\"")
NOT(user_deactivated, user_active)
ASK(otp_secret, HTTP_POST, USERS "/other/otp", "{\"type\":\"totp\",\"secret\":\"" SECRET_32 "\"}")
ASK(apikey_list, HTTP_LIST, KEYS, NULL)
ASK(apikey_create, HTTP_POST, KEYS "/new#", "{}")
ASK(apikey_revoke, HTTP_DELETE, KEYS "/old#", NULL)
ASK(settings_read, HTTP_GET, "/v1/auth/storedsafe/config", NULL)
ASK(settings, HTTP_POST, "/v1/auth/storedsafe/config", "{\"token_grace\":\"#s\"}")
ASK(member_list, HTTP_LIST, VAULT, NULL)
ASK(member_add, HTTP_POST, VAULT "/2", "{\"status\":1}")
ASK(member_remove, HTTP_DELETE, VAULT "/2", NULL)

static void make_user(struct desk *d, unsigned n)
{
	desk_must(d, 200, HTTP_POST, USERS, trial_body(A_USER("olduser#"), n));
}

/* Devices are registered once: each try has one of its own. */
static const char *device_of(unsigned n)
{
	static const char digits[] = "cbdefghijklnrtuv";
	static char id[YUBICO_PUBLIC_LEN + 1] = "cccccccccccc";

	for (size_t i = 0; i < 4; i++)
		id[YUBICO_PUBLIC_LEN - 1 - i] = digits[n >> (4 * i) & 15];
	return id;
}

static unsigned otp_device(struct desk *d, unsigned n)
{
	(void)snprintf(body, sizeof body,
	               "{\"type\":\"yubikey\",\"public_id\":\"%s\",\"key\":\"" DEVICE_KEY
	               "\",\"private_id\":\"010203040506\"}",
	               device_of(n));
	return by_root(d, HTTP_POST, USERS "/olduser#/otp", body, n);
}

static bool has_device(struct desk *d, unsigned n)
{
	return trial_found(d, trial_target(USERS "/olduser#", n)) && trial_says(d, device_of(n));
}

static void make_owner_of_device(struct desk *d, unsigned n)
{
	make_user(d, n);
	assert_int_equal(otp_device(d, n), 204);
}

static unsigned otp_remove(struct desk *d, unsigned n)
{
	(void)snprintf(target, sizeof target, USERS "/olduser%u/otp?type=yubikey&public_id=%s", n,
	               device_of(n));
	return desk_ask(d, HTTP_DELETE, target, desk_root(d), NULL);
}

NOT(has_no_device, has_device)

static bool apikey_there(struct desk *d, const char *name)
{
	desk_must(d, 200, HTTP_LIST, KEYS, NULL);
	return trial_says(d, name);
}

static bool apikey_created(struct desk *d, unsigned n)
{
	return apikey_there(d, trial_body("\"new#\"", n));
}

static void make_apikey(struct desk *d, unsigned n)
{
	desk_must(d, 200, HTTP_POST, trial_target(KEYS "/old#", n), "{}");
}

static bool apikey_revoked(struct desk *d, unsigned n)
{
	return !apikey_there(d, trial_body("\"old#\"", n));
}

static bool settings_hold(struct desk *d, unsigned n)
{
	char want[64], got[64];
	const unsigned minutes = n / 60, seconds = n % 60;

	desk_must(d, 200, HTTP_GET, "/v1/auth/storedsafe/config", NULL);
	desk_member(d, "data/token_grace", got, sizeof got);
	(void)snprintf(want, sizeof want, "%um%us", minutes, seconds);
	if (minutes == 0)
		(void)snprintf(want, sizeof want, "%us", seconds);
	else if (seconds == 0)
		(void)snprintf(want, sizeof want, "%um", minutes);
	return strcmp(got, want) == 0;
}

/* ---- members of the vault ---- */

static bool is_member(struct desk *d, const char *level)
{
	desk_must(d, 200, HTTP_LIST, VAULT, NULL);
	return trial_says(d, level);
}

static void let_in(struct desk *d, unsigned n)
{
	(void)by_root(d, HTTP_DELETE, VAULT "/2", NULL, n);
	assert_int_equal(member_add(d, n) / 100, 2);
}

/* By its Admin. */
static unsigned member_edit(struct desk *d, unsigned n)
{
	(void)n;
	(void)snprintf(body, sizeof body, "{\"status\":2,\"token\":\"%s\"}", token);
	return desk_ask(d, HTTP_PUT, "/api/1.0/vault/1/member/2", NULL, body);
}

static void let_in_by_session(struct desk *d, unsigned n)
{
	begin_session(d, n);
	let_in(d, n);
}

static void show_out(struct desk *d, unsigned n)
{
	(void)by_root(d, HTTP_DELETE, VAULT "/2", NULL, n);
}

static bool member_added(struct desk *d, unsigned n)
{
	(void)n;
	return is_member(d, "\"groupstatus\":\"1\"");
}

static bool member_edited(struct desk *d, unsigned n)
{
	(void)n;
	return is_member(d, "\"groupstatus\":\"2\"");
}

static bool member_removed(struct desk *d, unsigned n)
{
	return !member_added(d, n) && !member_edited(d, n);
}

/* ---- all ---- */

static const struct subject subjects[] = {
    {"log-in types", NULL, login_types, NULL, 0},
    {"log in", end_sessions, log_in, began, 0},
    {"log in by keys and a device", end_sessions, log_in_by_keys, began, 0},
    {"log in, refused", begin_session, refused, NULL, STAYS},
    {"check", begin_session, check, NULL, STAYS},
    {"check with the next token", be_told, check, logged_in, STAYS},
    {"log out", begin_session, log_out, logged_out, STAYS},
    {"user-list", NULL, user_list, NULL, 0},
    {"user-read", NULL, user_read, NULL, 0},
    {"user-create", NULL, user_create, user_created, 0},
    {"user-edit", NULL, user_edit, user_edited, 0},
    {"user-edit, another name", make_user, user_rename, user_renamed, 0},
    {"user-deactivate", make_user, user_deactivate, user_deactivated, 0},
    {"user-otp, a secret", NULL, otp_secret, NULL, 0},
    {"user-otp, a device", make_user, otp_device, has_device, 0},
    {"user-otp-remove", make_owner_of_device, otp_remove, has_no_device, 0},
    {"apikey-list", NULL, apikey_list, NULL, 0},
    {"apikey-create", NULL, apikey_create, apikey_created, 0},
    {"apikey-revoke", make_apikey, apikey_revoke, apikey_revoked, 0},
    {"login-settings-read", NULL, settings_read, NULL, 0},
    {"login-settings", NULL, settings, settings_hold, 0},
    {"member-list", NULL, member_list, NULL, 0},
    {"member-add", show_out, member_add, member_added, 0},
    {"member-edit", let_in_by_session, member_edit, member_edited, STAYS},
    {"member-remove", let_in, member_remove, member_removed, 0},
};

static struct storedsafe engine;

/* "someone", who can log in, and has a vault; "other", who cannot. */
static struct desk *furnished(void)
{
	static const struct transit_config config = {.manner = &storedsafe_manner};
	struct desk *d;

	transit_free(&engine.keys); /* of the desk before */
	engine.version = "1.2.3";
	assert_int_equal(transit_new(&config, &engine.keys), ST_OK);
	d = desk_ready_with(&engine_storedsafe, &engine);
	desk_must(d, 204, HTTP_POST, "/v1/sys/mounts/storedsafe", "{\"type\":\"storedsafe\"}");
	desk_must(d, 200, HTTP_POST, KEYS "/tests", "{\"apikey\":\"" APIKEY "\"}");
	desk_must(
	    d, 200, HTTP_POST, USERS,
	    "{\"username\":\"someone\",\"status\":[0,1,7],\"fullname\":\"Some One\",\"email\":"
	    "\"someone@example.org\",\"passphrase\":\"" PASSPHRASE "\"}");
	desk_must(d, 200, HTTP_POST, USERS, A_USER("other"));
	desk_must(d, 200, HTTP_POST, USERS "/someone/otp",
	          "{\"type\":\"totp\",\"secret\":\"" SECRET_32 "\"}");
	desk_must(d, 204, HTTP_POST, USERS "/someone/otp",
	          "{\"type\":\"yubikey\",\"public_id\":\"" DEVICE "\",\"key\":\"" DEVICE_KEY
	          "\",\"private_id\":\"010203040506\"}");
	begin_session(d, 0);
	(void)snprintf(body, sizeof body, "{\"vaultname\":\"a vault\",\"token\":\"%s\"}", token);
	desk_must(d, 200, HTTP_POST, "/api/1.0/vault", body);
	return d;
}

static void run_all(enum alloc_repeat repeat)
{
	for (size_t i = 0; i < sizeof subjects / sizeof *subjects; i++)
		trial_run(&subjects[i], furnished, repeat);
}

static void one_allocation_fails(void **state)
{
	(void)state;
	run_all(ALLOC_ONCE);
}

static void all_allocations_fail_from_one_on(void **state)
{
	(void)state;
	run_all(ALLOC_FOR_EVER);
}

/* When no server is there: what a thread takes once and keeps. */
static size_t locked_at_rest;

static int process(void **state)
{
	struct desk *d;

	if (desk_process(state) != 0 || otp_setup() != ST_OK)
		return -1;
	d = furnished();
	desk_free(&d);
	locked_at_rest = alloc_locked();
	return 0;
}

static int none_is_lost(void **state)
{
	(void)state;
	assert_int_equal(alloc_locked(), locked_at_rest);
	return 0;
}

static int process_end(void **state)
{
	(void)state;
	transit_free(&engine.keys);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_teardown(one_allocation_fails, none_is_lost),
	    cmocka_unit_test_teardown(all_allocations_fail_from_one_on, none_is_lost),
	};

	return cmocka_run_group_tests(tests, process, process_end);
}
