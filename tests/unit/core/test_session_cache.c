/* The memory of sessions says what the records say, whatever changed meanwhile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "core/session_cache.h"
#include "lib/solo.h"

#define S(n)   ((int64_t)(n)*NS_PER_S)
#define START  S(1000000)
#define STEPS  2000
#define TOKENS 6

typedef char text[SESSION_TEXT_LEN + 1];

static struct solo solo;
static struct hmac_key *key;
static struct session_cache *cache;
static struct login_settings settings = {S(3600), S(900), S(300)};
static text tokens[TOKENS]; /* that were ever given; the newest last */
static uint32_t user;
static int64_t now;
static size_t good, bad,
    nexts; /* answers of the cache so far; those whose next token was another */

static uint32_t roll(uint32_t n)
{
	uint32_t v;

	random_fill(&solo.random.random, (uint8_t *)&v, sizeof v);
	return v % n;
}

struct call {
	void (*body)(struct view *v, struct err *err);
};

static enum status run_call(void *arg, struct txn *t, struct err *err)
{
	const struct call *c = arg;
	struct view v;

	view_init(&v, t, span_str(LOGIN_PREFIX));
	c->body(&v, err);
	return ST_OK;
}

static void transact(void (*body)(struct view *v, struct err *err))
{
	struct call c = {body};

	assert_int_equal(solo_write(&solo, run_call, &c, NULL), ST_OK);
}

static void learn(const char *token)
{
	for (size_t i = 0; i < TOKENS; i++)
		if (strcmp(tokens[i], token) == 0)
			return;
	memmove(tokens[0], tokens[1], sizeof tokens - sizeof tokens[0]);
	memcpy(tokens[TOKENS - 1], token, sizeof tokens[0]);
}

/* ---- what happens to the records ---- */

static void make_user(struct view *v, struct err *err)
{
	struct user u = {.status = USER_ACTIVE | USER_READ,
	                 .username = span_str("somebody"),
	                 .fullname = span_str("Some Body"),
	                 .email = span_str("somebody@example.org"),
	                 .passphrase = span_str("hash")};

	assert_int_equal(user_create(v, key, &u, err), ST_OK);
	user = u.id;
}

static void log_in(struct view *v, struct err *err)
{
	struct session s;
	struct user u;
	text token;

	assert_int_equal(user_find(v, user, &u, err), ST_OK);
	assert_int_equal(
	    session_start(v, key, &solo.random.random, &settings, user, u.era, now, &s, token, err),
	    ST_OK);
	learn(token);
}

static void use_one(struct view *v, struct err *err)
{
	struct session_use use;
	enum status st =
	    session_find(v, key, &settings, span_str(tokens[roll(TOKENS)]), now, &use, err);

	if (st != ST_OK)
		return;
	if (use.due)
		assert_int_equal(session_touch(v, &settings, &use, now, err), ST_OK);
	learn(use.next);
}

static void end_one(struct view *v, struct err *err)
{
	struct session_use use;

	if (session_find(v, key, &settings, span_str(tokens[roll(TOKENS)]), now, &use, err) ==
	    ST_OK)
		assert_int_equal(session_end(v, use.session.name, err), ST_OK);
}

static void change_user(struct view *v, struct err *err)
{
	struct user before, u;

	assert_int_equal(user_find(v, user, &before, err), ST_OK);
	u = before;
	if (roll(4) == 0)
		u.passphrase = roll(2) ? span_str("hash") : span_str("another");
	u.status = roll(6) == 0 ? USER_READ : USER_READ | USER_ACTIVE | (roll(2) ? USER_WRITE : 0);
	assert_int_equal(user_put(v, key, &before, &u, err), ST_OK);
}

static void change_settings(struct view *v, struct err *err)
{
	static const struct login_settings all[] = {
	    {S(3600), S(900), S(300)}, {S(3600), S(60), S(10)}, {S(120), S(900), S(0)}};

	(void)v;
	(void)err;
	settings = all[roll(sizeof all / sizeof *all)];
}

/* ---- the comparison ---- */

static void compare(struct view *v, const char *token, struct err *err)
{
	const struct known_session *k = NULL;
	struct session_use use;
	struct user u;
	enum status want = session_find(v, key, &settings, span_str(token), now, &use, err);
	enum status st = session_cache_get(cache, v, key, &settings, span_str(token), now, &k, err);

	if (want == ST_OK) {
		assert_int_equal(user_find(v, use.session.user, &u, err), ST_OK);
		if (!user_can_log_in(&u) || u.era != use.session.era)
			want = ST_NO_SESSION;
	}
	assert_int_equal(st, want);
	if (st != ST_OK) {
		assert_int_equal(st, ST_NO_SESSION);
		bad++;
		return;
	}
	good++;
	assert_int_equal(k->status, u.status);
	assert_true(span_eq_str(u.username, k->username));
	assert_int_equal(k->use.number, use.number);
	assert_int_equal(k->use.due, use.due);
	assert_string_equal(k->use.next, use.next);
	assert_memory_equal(&k->use.session, &use.session, sizeof use.session);
	nexts += strcmp(k->use.next, token) != 0;
}

static void compare_all(struct view *v, struct err *err)
{
	for (size_t i = 0; i < TOKENS; i++)
		compare(v, tokens[i], err);
	compare(v, "no token", err);
	compare(v, "", err);
}

static void a_long_walk(void **state)
{
	static void (*const steps[])(struct view *, struct err *) = {
	    use_one, use_one, use_one, use_one, log_in, end_one, change_user, change_settings};
	static const int64_t pauses[] = {0, S(1), S(29), S(61), S(301), S(901), S(3700)};

	(void)state;
	now = START;
	transact(make_user);
	transact(log_in);
	for (unsigned i = 0; i < STEPS; i++) {
		now += pauses[roll(100) == 0 ? 6 : roll(6)];
		if (roll(2) == 0)
			transact(steps[roll(sizeof steps / sizeof *steps)]);
		transact(compare_all);
		transact(compare_all); /* as it is remembered now */
		if (roll(50) == 0)
			session_cache_drop(cache);
	}
	/* The walk saw what it is for. */
	assert_true(good > STEPS / 4 && bad > STEPS && nexts > 50);
}

/* What an earlier call of the same group changed is seen, though nothing of it has been stored yet. */
static void changes_in_one_group(struct view *v, struct err *err)
{
	const struct known_session *k;
	struct session_use use;

	log_in(v, err);
	compare_all(v, err);
	change_user(v, err);
	compare_all(v, err);
	if (session_find(v, key, &settings, span_str(tokens[TOKENS - 1]), now, &use, err) ==
	    ST_OK) {
		assert_int_equal(session_end(v, use.session.name, err), ST_OK);
		assert_int_equal(session_cache_get(cache, v, key, &settings,
		                                   span_str(tokens[TOKENS - 1]), now, &k, err),
		                 ST_NO_SESSION);
	}
	compare_all(v, err);
}

static void within_a_group(void **state)
{
	(void)state;
	now = START;
	transact(make_user);
	for (unsigned i = 0; i < 50; i++)
		transact(changes_in_one_group);
}

static int set_up(void **state)
{
	(void)state;
	memset(tokens, 0, sizeof tokens);
	good = bad = nexts = 0;
	assert_int_equal(hmac_key_new(span_str("the key of this test"), &key), ST_OK);
	assert_int_equal(session_cache_new(&cache), ST_OK);
	solo_init(&solo, 11);
	solo_start(&solo);
	solo_open(&solo);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	solo_free(&solo);
	session_cache_free(&cache);
	assert_null(cache);
	hmac_key_free(&key);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(a_long_walk, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(within_a_group, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, solo_process, NULL);
}
