/* Users, API keys, devices and failed log-ins in the store, settings, and records that are damaged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>
#include <yubikey.h>

#include "core/login_apikey.h"
#include "core/login_first.h"
#include "core/login_lock.h"
#include "core/login_user.h"
#include "core/login_yubikey.h"
#include "lib/solo.h"

#define S(n)  ((int64_t)(n)*NS_PER_S)
#define START S(1000000)

static struct solo solo;
static struct hmac_key *key;
static void (*body)(struct view *v, struct err *err);

static enum status body_fn(void *arg, struct txn *t, struct err *err)
{
	struct view v;

	(void)arg;
	view_init(&v, t, span_str(LOGIN_PREFIX));
	body(&v, err);
	return ST_OK;
}

static void in_transaction(void (*fn)(struct view *v, struct err *err))
{
	body = fn;
	assert_int_equal(hmac_key_new(span_str("the key of this test"), &key), ST_OK);
	solo_init(&solo, 7);
	solo_start(&solo);
	solo_open(&solo);
	assert_int_equal(solo_write(&solo, body_fn, NULL, NULL), ST_OK);
	solo_free(&solo);
	hmac_key_free(&key);
}

#define CASE(name)                                                \
	static void name##_body(struct view *v, struct err *err); \
	static void name(void **state)                            \
	{                                                         \
		(void)state;                                      \
		in_transaction(name##_body);                      \
	}                                                         \
	static void name##_body(struct view *v, struct err *err)

/* ---- hashes ---- */

CASE(a_hash_is_of_one_kind_and_one_text)
{
	uint8_t a[SHA256_LEN], b[SHA256_LEN];
	char one[LOGIN_HASH_LEN + 1], two[LOGIN_HASH_LEN + 1];

	(void)v;
	(void)err;
	login_hash(key, LOGIN_USERNAME, span_str("eva"), one);
	login_hash(key, LOGIN_APIKEY, span_str("eva"), two);
	assert_int_equal(strlen(one), LOGIN_HASH_LEN);
	assert_string_not_equal(one, two);
	login_mac(key, LOGIN_TOKEN, span_str("ab"), span_str("c"), a);
	login_mac(key, LOGIN_TOKEN, span_str("a"), span_str("bc"), b);
	assert_memory_not_equal(a, b, sizeof a);
}

/* ---- settings ---- */

CASE(settings_come_back_and_have_bounds)
{
	struct login_settings s, other = {S(60), S(20), S(20)};

	assert_int_equal(login_settings_load(v, &s, err), ST_OK);
	assert_int_equal(s.timeout_ns, S(3600));
	assert_int_equal(login_settings_put(v, &other, err), ST_OK);
	assert_int_equal(login_settings_load(v, &s, err), ST_OK);
	assert_memory_equal(&s, &other, sizeof s);
	s.grace_ns = s.rotation_ns + 1;
	assert_int_equal(login_settings_check(&s, err), ST_INVALID);
	s = (struct login_settings){S(1) - 1, S(20), 0};
	assert_int_equal(login_settings_check(&s, err), ST_INVALID);
	s = (struct login_settings){S(1), 0, 0};
	assert_int_equal(login_settings_check(&s, err), ST_INVALID);
	s = (struct login_settings){INT64_MAX, S(20), 0};
	assert_int_equal(login_settings_check(&s, err), ST_INVALID);
	assert_int_equal(view_put(v, span_str("settings"), span_str("short"), err), ST_OK);
	assert_int_equal(login_settings_load(v, &s, err), ST_CORRUPT);
}

/* ---- users ---- */

static struct user eva(void)
{
	return (struct user){.status = USER_ACTIVE | USER_READ,
	                     .created_ns = START,
	                     .username = span_str("eva.svensson"),
	                     .fullname = span_str("Eva Svensson"),
	                     .email = span_str("eva@example.org"),
	                     .passphrase = span_str("$argon2id$x"),
	                     .totp = span_str("12345678901234567890")};
}

static void assert_same(const struct user *a, const struct user *b)
{
	assert_int_equal(a->id, b->id);
	assert_int_equal(a->status, b->status);
	assert_int_equal(a->created_ns, b->created_ns);
	assert_int_equal(a->totp_step, b->totp_step);
	assert_true(span_eq(a->username, b->username));
	assert_true(span_eq(a->fullname, b->fullname));
	assert_true(span_eq(a->email, b->email));
	assert_true(span_eq(a->passphrase, b->passphrase));
	assert_true(span_eq(a->totp, b->totp));
	for (size_t i = 0; i < USER_YUBIKEYS_MAX; i++)
		assert_string_equal(a->yubikey[i], b->yubikey[i]);
}

CASE(a_user_comes_back_by_id_and_by_name)
{
	struct user u = eva(), found;

	memcpy(u.yubikey[1], "cccccccbcdef", 12);
	u.totp_step = UINT64_C(1) << 40;
	assert_int_equal(user_create(v, key, &u, err), ST_OK);
	assert_int_equal(u.id, 1);
	assert_int_equal(user_find(v, 1, &found, err), ST_OK);
	assert_same(&u, &found);
	assert_int_equal(user_by_name(v, key, span_str("eva.svensson"), &found, err), ST_OK);
	assert_same(&u, &found);
	assert_int_equal(user_find(v, 2, &found, err), ST_NOT_FOUND);
	assert_int_equal(user_find(v, 0, &found, err), ST_NOT_FOUND);
	assert_int_equal(user_by_name(v, key, span_str("eva"), &found, err), ST_NOT_FOUND);
	assert_int_equal(user_by_name(v, key, span_of(NULL, 0), &found, err), ST_NOT_FOUND);
}

CASE(a_name_is_one_users)
{
	struct user a = eva(), b = eva(), c, found;

	assert_int_equal(user_create(v, key, &a, err), ST_OK);
	assert_int_equal(user_create(v, key, &b, err), ST_EXISTS);
	b.username = span_str("another");
	assert_int_equal(user_create(v, key, &b, err), ST_OK);
	assert_int_equal(b.id, 2);
	c = b;
	c.username = a.username;
	assert_int_equal(user_put(v, key, &b, &c, err), ST_EXISTS);
	c.username = span_str("a new name");
	assert_int_equal(user_put(v, key, &b, &c, err), ST_OK);
	assert_int_equal(user_by_name(v, key, span_str("another"), &found, err), ST_NOT_FOUND);
	assert_int_equal(user_by_name(v, key, span_str("a new name"), &found, err), ST_OK);
	assert_int_equal(found.id, 2);
	b.username = span_str("another"); /* the name is free again, the id is not */
	assert_int_equal(user_create(v, key, &b, err), ST_OK);
	assert_int_equal(b.id, 3);
}

static enum status sum(void *arg, const struct user *u)
{
	*(unsigned *)arg = *(unsigned *)arg * 10 + u->id;
	return u->id == 4 ? ST_LIMIT : ST_OK;
}

CASE(all_users_in_the_order_of_their_ids)
{
	static const char *const names[] = {"zz", "yy", "xx", "ww", "vv"};
	unsigned seen = 0;

	assert_int_equal(user_each(v, sum, &seen, err), ST_OK);
	assert_int_equal(seen, 0);
	for (size_t i = 0; i < 5; i++) {
		struct user u = eva();

		u.username = span_str(names[i]);
		assert_int_equal(user_create(v, key, &u, err), ST_OK);
	}
	assert_int_equal(user_each(v, sum, &seen, err), ST_LIMIT);
	assert_int_equal(seen, 1234);
}

CASE(who_can_log_in)
{
	struct user u = eva();

	(void)v;
	(void)err;
	assert_true(user_can_log_in(&u));
	u.status |= USER_ESCROW;
	assert_false(user_can_log_in(&u));
	u.status = USER_ADMIN | USER_READ;
	assert_false(user_can_log_in(&u));
}

CASE(lengths_are_of_characters)
{
	(void)v;
	assert_int_equal(user_check_text("n", span_str("åäöåä"), 5, 5, err), ST_OK);
	assert_int_equal(user_check_text("n", span_str("åäöå"), 5, 5, err), ST_INVALID);
	assert_int_equal(user_check_text("n", span_str("åäöåäö"), 5, 5, err), ST_INVALID);
	assert_int_equal(user_check_text("n", span_str("a\nbcde"), 1, 9, err), ST_INVALID);
	assert_int_equal(user_check_text("n", span_str("a\xff"), 1, 9, err), ST_INVALID);
	assert_int_equal(user_check_text("n", span_of(NULL, 0), 1, 9, err), ST_INVALID);
}

CASE(a_damaged_user_is_told)
{
	struct user u = eva(), found;
	struct span record;
	uint8_t copy[400];

	assert_int_equal(user_create(v, key, &u, err), ST_OK);
	assert_int_equal(view_get(v, span_str("user/00000001"), &record, err), ST_OK);
	assert_true(record.n < sizeof copy);
	memcpy(copy, record.p, record.n);
	for (size_t n = 0; n < record.n; n++) {
		assert_int_equal(view_put(v, span_str("user/00000001"), span_of(copy, n), err),
		                 ST_OK);
		assert_int_equal(user_find(v, 1, &found, err), ST_CORRUPT);
	}
	assert_int_equal(view_delete(v, span_str("user/00000001"), err), ST_OK);
	assert_int_equal(user_by_name(v, key, u.username, &found, err), ST_CORRUPT);
}

/* ---- API keys ---- */

static enum status make_key(struct view *v, const char *name, char *text, struct err *err)
{
	return login_apikey_create(v, key, &solo.random.random, span_str(name), text, START, err);
}

CASE(an_api_key_is_good_until_it_is_revoked)
{
	char one[APIKEY_MAX + 1] = "", two[APIKEY_MAX + 1] = "a-chosen-key";

	assert_int_equal(make_key(v, "one", one, err), ST_OK);
	assert_int_equal(strlen(one), APIKEY_LEN);
	assert_int_equal(make_key(v, "two", two, err), ST_OK);
	assert_int_equal(login_apikey_check(v, key, span_str(one), err), ST_OK);
	assert_int_equal(login_apikey_check(v, key, span_str("a-chosen-key"), err), ST_OK);
	assert_int_equal(login_apikey_check(v, key, span_str("a-chosen-kex"), err), ST_DENIED);
	assert_int_equal(login_apikey_check(v, key, span_of(NULL, 0), err), ST_DENIED);
	assert_int_equal(login_apikey_check(v, key, span_of(one, APIKEY_LEN - 1), err), ST_DENIED);
	assert_int_equal(login_apikey_revoke(v, span_str("one"), err), ST_OK);
	assert_int_equal(login_apikey_check(v, key, span_str(one), err), ST_DENIED);
	assert_int_equal(login_apikey_check(v, key, span_str("a-chosen-key"), err), ST_OK);
	assert_int_equal(login_apikey_revoke(v, span_str("one"), err), ST_NOT_FOUND);
	assert_int_equal(login_apikey_revoke(v, span_str("../x"), err), ST_NOT_FOUND);
	assert_int_equal(make_key(v, "one", one, err), ST_OK);
}

CASE(what_is_no_api_key_or_no_name)
{
	static const char *const names[] = {
	    "",
	    ".a",
	    "a/b",
	    "a b",
	    "å",
	    ("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	    "aaaaaaaaa")};
	static const char *const keys[] = {"short", "with blank", "with\tcontrol", "umläuteä"};
	char text[APIKEY_MAX + 1];

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		text[0] = 0;
		assert_int_equal(make_key(v, names[i], text, err), ST_INVALID);
	}
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
		memcpy(text, keys[i], strlen(keys[i]) + 1);
		assert_int_equal(make_key(v, "name", text, err), ST_INVALID);
	}
	memcpy(text, "the-same-key", 13);
	assert_int_equal(make_key(v, "name", text, err), ST_OK);
	assert_int_equal(make_key(v, "other", text, err), ST_EXISTS);
	memcpy(text, "another-key1", 13);
	assert_int_equal(make_key(v, "name", text, err), ST_EXISTS);
}

CASE(an_api_key_at_the_end_of_a_text)
{
	char one[APIKEY_MAX + 1] = "12345678", two[APIKEY_MAX + 1] = "";
	char joined[200];
	size_t n = 99;

	assert_int_equal(login_apikey_behind(v, key, span_str("x"), &n, err), ST_DENIED);
	assert_int_equal(make_key(v, "one", one, err), ST_OK);
	assert_int_equal(make_key(v, "two", two, err), ST_OK);
	assert_int_equal(login_apikey_behind(v, key, span_str("pass12345678"), &n, err), ST_OK);
	assert_int_equal(n, 8);
	assert_int_equal(login_apikey_behind(v, key, span_str("12345678"), &n, err), ST_OK);
	memcpy(joined, "12345678 ", 9);
	memcpy(joined + 9, two, APIKEY_LEN);
	assert_int_equal(login_apikey_behind(v, key, span_of(joined, 9 + APIKEY_LEN), &n, err),
	                 ST_OK);
	assert_int_equal(n, APIKEY_LEN);
	assert_int_equal(login_apikey_behind(v, key, span_str("pass12345678x"), &n, err),
	                 ST_DENIED);
	assert_int_equal(login_apikey_behind(v, key, span_str("345678"), &n, err), ST_DENIED);
}

static enum status join(void *arg, struct span name, int64_t created_ns)
{
	struct builder *b = arg;

	assert_int_equal(created_ns, START);
	builder_add(b, name);
	builder_u8(b, ',');
	return ST_OK;
}

CASE(the_names_of_all_api_keys)
{
	char text[APIKEY_MAX + 1] = "";
	struct builder b = {0};

	assert_int_equal(make_key(v, "b", text, err), ST_OK);
	text[0] = 0;
	assert_int_equal(make_key(v, "a", text, err), ST_OK);
	assert_int_equal(login_apikey_each(v, join, &b, err), ST_OK);
	assert_true(span_eq_str(builder_span(&b), "a,b,"));
	builder_free(&b);
}

/* ---- devices ---- */

static const uint8_t device_key[YUBICO_KEY_LEN] = "0123456789abcde";
static const uint8_t device_id[YUBICO_PRIVATE_LEN] = {1, 2, 3, 4, 5, 6};
#define DEVICE "cccccccbcdef"

static struct span type_code(uint16_t counter, uint8_t use, char out[YUBICO_OTP_LEN + 1])
{
	yubikey_token_st token = {.ctr = counter, .use = use};

	memcpy(token.uid, device_id, sizeof token.uid);
	token.crc = (uint16_t)~yubikey_crc16((const uint8_t *)&token, sizeof token - 2);
	memcpy(out, DEVICE, YUBICO_PUBLIC_LEN);
	yubikey_generate(&token, device_key, out + YUBICO_PUBLIC_LEN);
	return span_of(out, YUBICO_OTP_LEN);
}

static enum status take(struct view *v, uint16_t counter, uint8_t use, uint32_t *ret_user,
                        struct err *err)
{
	char otp[YUBICO_OTP_LEN + 1];

	return login_yubikey_take(v, type_code(counter, use, otp), ret_user, err);
}

CASE(a_counter_is_accepted_once_and_never_goes_back)
{
	uint32_t user = 99;

	assert_int_equal(take(v, 5, 1, &user, err), ST_DENIED); /* not registered */
	assert_int_equal(login_yubikey_register(v, span_str(DEVICE), device_key, device_id, err),
	                 ST_OK);
	assert_int_equal(take(v, 5, 1, &user, err), ST_OK);
	assert_int_equal(user, 0);
	assert_int_equal(login_yubikey_assign(v, span_str(DEVICE), 7, err), ST_OK);
	assert_int_equal(take(v, 5, 1, &user, err), ST_DENIED);
	assert_int_equal(take(v, 5, 0, &user, err), ST_DENIED);
	assert_int_equal(take(v, 4, 255, &user, err), ST_DENIED);
	assert_int_equal(take(v, 5, 2, &user, err), ST_OK);
	assert_int_equal(user, 7);
	assert_int_equal(take(v, 0x7fff, 255, &user, err), ST_OK); /* the last one there is */
	assert_int_equal(take(v, 0x7fff, 255, &user, err), ST_DENIED);
	assert_int_equal(take(v, 0, 0, &user, err), ST_DENIED);
}

CASE(the_first_code_ever_may_be_number_zero)
{
	uint32_t user;

	assert_int_equal(login_yubikey_register(v, span_str(DEVICE), device_key, device_id, err),
	                 ST_OK);
	assert_int_equal(take(v, 0, 0, &user, err), ST_OK);
	assert_int_equal(take(v, 0, 0, &user, err), ST_DENIED);
}

CASE(a_device_is_one_users_and_its_counter_outlives_that)
{
	uint32_t user;

	assert_int_equal(login_yubikey_assign(v, span_str(DEVICE), 7, err), ST_NOT_FOUND);
	assert_int_equal(login_yubikey_assign(v, span_str("nonsense"), 7, err), ST_NOT_FOUND);
	assert_int_equal(
	    login_yubikey_register(v, span_str("nonsense"), device_key, device_id, err),
	    ST_INVALID);
	assert_int_equal(login_yubikey_register(v, span_str(DEVICE), device_key, device_id, err),
	                 ST_OK);
	assert_int_equal(login_yubikey_register(v, span_str(DEVICE), device_key, device_id, err),
	                 ST_EXISTS);
	assert_int_equal(login_yubikey_assign(v, span_str(DEVICE), 7, err), ST_OK);
	assert_int_equal(login_yubikey_assign(v, span_str(DEVICE), 7, err), ST_OK);
	assert_int_equal(login_yubikey_assign(v, span_str(DEVICE), 8, err), ST_EXISTS);
	assert_int_equal(take(v, 9, 9, &user, err), ST_OK);
	assert_int_equal(login_yubikey_release(v, span_str(DEVICE), err), ST_OK);
	assert_int_equal(login_yubikey_assign(v, span_str(DEVICE), 8, err), ST_OK);
	assert_int_equal(take(v, 9, 9, &user, err), ST_DENIED);
	assert_int_equal(take(v, 9, 10, &user, err), ST_OK);
	assert_int_equal(user, 8);
	assert_int_equal(login_yubikey_release(v, span_str("cccccccccccc"), err), ST_OK);
}

/* ---- failed log-ins ---- */

static int64_t waits(struct view *v, const struct lock_who *who, int64_t now_ns, struct err *err)
{
	int64_t wait_s = -1;

	assert_int_equal(login_lock_check(v, key, who, now_ns, &wait_s, err), ST_OK);
	return wait_s;
}

static void miss(struct view *v, const struct lock_who *who, int64_t now_ns, struct err *err)
{
	assert_int_equal(login_lock_failed(v, key, who, now_ns, err), ST_OK);
}

static void grows(struct view *v, const struct lock_who *who, struct err *err)
{
	static const int64_t delays[] = {0,  0,  0,  0,   1,   2,   4,   8,
	                                 16, 32, 64, 128, 256, 512, 900, 900};
	int64_t now_ns = START;

	for (size_t i = 0; i < sizeof delays / sizeof *delays; i++) {
		assert_int_equal(waits(v, who, now_ns, err), 0);
		miss(v, who, now_ns, err);
		assert_int_equal(waits(v, who, now_ns, err), delays[i]);
		if (delays[i] > 0)
			assert_int_equal(waits(v, who, now_ns + S(delays[i]) - 1, err), 1);
		now_ns += S(delays[i]);
	}
	assert_int_equal(waits(v, who, now_ns, err), 0);
	assert_int_equal(login_lock_passed(v, key, who, err), ST_OK);
	miss(v, who, now_ns, err);
	assert_int_equal(waits(v, who, now_ns, err), 0);
}

CASE(the_delay_grows_to_its_most_and_ends_with_a_log_in)
{
	grows(v, &(struct lock_who){.user = 3}, err);
}

CASE(a_name_without_a_user_waits_just_the_same)
{
	grows(v, &(struct lock_who){.username = span_str("nobody")}, err);
}

CASE(failures_are_forgotten_after_an_hour)
{
	struct lock_who who = {.user = 3};

	for (int i = 0; i < 4; i++)
		miss(v, &who, START, err);
	miss(v, &who, START + S(3601), err);
	assert_int_equal(waits(v, &who, START + S(3601), err), 0);
	for (int i = 0; i < 4; i++)
		miss(v, &who, START + S(3602), err);
	assert_int_equal(waits(v, &who, START + S(3602), err), 1);
}

CASE(one_waits_and_the_others_do_not)
{
	struct lock_who a = {.user = 3}, b = {.user = 4}, c = {.username = span_str("nobody")};

	for (int i = 0; i < 20; i++)
		miss(v, &a, START, err);
	assert_int_equal(waits(v, &a, START, err), 900);
	assert_int_equal(waits(v, &b, START, err), 0);
	assert_int_equal(waits(v, &c, START, err), 0);
}

CASE(a_clock_that_goes_back_locks_nobody_out_for_longer)
{
	struct lock_who who = {.user = 3};

	for (int i = 0; i < 20; i++)
		miss(v, &who, START, err);
	assert_int_equal(waits(v, &who, START - S(1000000), err), 900);
	assert_int_equal(view_put(v, span_str("lock/user/00000003"), span_str("x"), err), ST_OK);
	assert_int_equal(login_lock_failed(v, key, &who, START, err), ST_CORRUPT);
}

/* ---- the first user, as text ---- */

static void the_first_user_as_text(void **state)
{
	static const char *const bad[] = {"",       "a",    "a:b",    "a:b:c",     ":b:c:d",
	                                  "a::c:d", "::::", "a:b:c:", "a:b::JBSW", "a:b:c:d:"};
	struct login_first f;
	struct err err = {0};

	(void)state;
	assert_int_equal(login_first_parse("eva:pass:phrase:key:JBSW", &f, &err), ST_OK);
	assert_string_equal(f.username, "eva");
	assert_string_equal(f.passphrase, "pass:phrase");
	assert_string_equal(f.apikey, "key");
	assert_string_equal(f.totp, "JBSW");
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(login_first_parse(bad[i], &f, &err), ST_INVALID);
	assert_string_equal(f.username, "eva");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_hash_is_of_one_kind_and_one_text),
	    cmocka_unit_test(settings_come_back_and_have_bounds),
	    cmocka_unit_test(a_user_comes_back_by_id_and_by_name),
	    cmocka_unit_test(a_name_is_one_users),
	    cmocka_unit_test(all_users_in_the_order_of_their_ids),
	    cmocka_unit_test(who_can_log_in),
	    cmocka_unit_test(lengths_are_of_characters),
	    cmocka_unit_test(a_damaged_user_is_told),
	    cmocka_unit_test(an_api_key_is_good_until_it_is_revoked),
	    cmocka_unit_test(what_is_no_api_key_or_no_name),
	    cmocka_unit_test(an_api_key_at_the_end_of_a_text),
	    cmocka_unit_test(the_names_of_all_api_keys),
	    cmocka_unit_test(a_counter_is_accepted_once_and_never_goes_back),
	    cmocka_unit_test(the_first_code_ever_may_be_number_zero),
	    cmocka_unit_test(a_device_is_one_users_and_its_counter_outlives_that),
	    cmocka_unit_test(the_delay_grows_to_its_most_and_ends_with_a_log_in),
	    cmocka_unit_test(a_name_without_a_user_waits_just_the_same),
	    cmocka_unit_test(failures_are_forgotten_after_an_hour),
	    cmocka_unit_test(one_waits_and_the_others_do_not),
	    cmocka_unit_test(a_clock_that_goes_back_locks_nobody_out_for_longer),
	    cmocka_unit_test(the_first_user_as_text),
	};

	return cmocka_run_group_tests_name("login", tests, solo_process, NULL);
}
