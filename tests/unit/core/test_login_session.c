/* Sessions and the chain of their tokens: which are good when, what is stored, and a long random walk against a model. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <ctype.h>
#include <string.h>

#include "core/login_session.h"
#include "lib/solo.h"

#define S(n)    ((int64_t)(n)*NS_PER_S)
#define START   S(1000000)
#define USER    7
#define TIMEOUT S(3600)
#define TURN    S(900)
#define GRACE   S(300)

static const struct login_settings settings = {TIMEOUT, TURN, GRACE};
static struct solo solo;
static struct hmac_key *key;

/* Each case is one transaction of the writer; what fails in it ends the case. */
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

typedef char text[SESSION_TEXT_LEN + 1];

static void begin(struct view *v, int64_t now_ns, struct session *s, text token, struct err *err)
{
	assert_int_equal(
	    session_start(v, key, &solo.random.random, &settings, USER, 3, now_ns, s, token, err),
	    ST_OK);
}

static enum status find(struct view *v, const char *token, int64_t now_ns, struct session_use *use,
                        struct err *err)
{
	return session_find(v, key, &settings, span_str(token), now_ns, use, err);
}

/* A call at this time: what the gate does with it.  *next: the token it is answered with. */
static enum status call(struct view *v, const char *token, int64_t now_ns, text next,
                        struct err *err)
{
	struct session_use use;
	enum status st = find(v, token, now_ns, &use, err);

	if (st != ST_OK)
		return st;
	if (use.due)
		assert_int_equal(session_touch(v, &settings, &use, now_ns, err), ST_OK);
	memcpy(next, use.next, sizeof use.next);
	return ST_OK;
}

static size_t count(struct view *v, const char *folder, struct err *err);

/* ---- one session ---- */

CASE(a_token_finds_its_session)
{
	struct session_use use;
	struct session s;
	text token;

	begin(v, START, &s, token, err);
	assert_int_equal(strlen(token), SESSION_TEXT_LEN);
	for (const char *p = token; *p != 0; p++)
		assert_true(isalnum((unsigned char)*p));
	assert_int_equal(find(v, token, START, &use, err), ST_OK);
	assert_int_equal(use.session.user, USER);
	assert_string_equal(use.session.name, s.name);
	assert_string_equal(use.session.accessor, s.accessor);
	assert_int_equal(use.session.created_ns, START);
	assert_int_equal(use.number, 0);
	assert_false(use.due);
	assert_string_equal(use.next, token);
}

CASE(sessions_have_nothing_in_common)
{
	struct session a, b;
	text one, two;

	begin(v, START, &a, one, err);
	begin(v, START, &b, two, err);
	assert_string_not_equal(one, two);
	assert_memory_not_equal(one, two, 8);
	assert_string_not_equal(a.name, b.name);
	assert_string_not_equal(a.accessor, b.accessor);
	assert_null(strstr(one, a.accessor));
}

CASE(what_is_no_token)
{
	struct session_use use = {.number = 99};
	struct session s;
	text token, changed;

	begin(v, START, &s, token, err);
	assert_int_equal(find(v, "", START, &use, err), ST_NO_SESSION);
	assert_int_equal(find(v, "root", START, &use, err), ST_NO_SESSION);
	assert_int_equal(
	    session_find(v, key, &settings, span_of(token, SESSION_TEXT_LEN - 1), START, &use, err),
	    ST_NO_SESSION);
	assert_int_equal(session_find(v, key, &settings, span_of(NULL, 0), START, &use, err),
	                 ST_NO_SESSION);
	for (size_t i = 0; i < SESSION_TEXT_LEN; i++) {
		memcpy(changed, token, sizeof changed);
		changed[i] = changed[i] == '0' ? '1' : '0';
		assert_int_equal(find(v, changed, START, &use, err), ST_NO_SESSION);
	}
	assert_int_equal(use.number, 99);
	assert_int_equal(find(v, token, START, &use, err), ST_OK);
}

CASE(another_server_key_knows_no_token)
{
	struct hmac_key *other;
	struct session_use use;
	struct session s;
	text token;

	begin(v, START, &s, token, err);
	assert_int_equal(hmac_key_new(span_str("another key"), &other), ST_OK);
	assert_int_equal(session_find(v, other, &settings, span_str(token), START, &use, err),
	                 ST_NO_SESSION);
	hmac_key_free(&other);
}

CASE(it_ends_when_it_is_not_used)
{
	struct session_use use;
	struct session s;
	text token;

	begin(v, START, &s, token, err);
	assert_int_equal(find(v, token, START + TIMEOUT, &use, err), ST_OK);
	assert_true(use.due);
	assert_int_equal(find(v, token, START + TIMEOUT + TIMEOUT / 64 - 1, &use, err), ST_OK);
	assert_int_equal(find(v, token, START + TIMEOUT + TIMEOUT / 64, &use, err), ST_NO_SESSION);
}

CASE(each_call_makes_it_last_for_the_whole_timeout)
{
	int64_t now_ns = START;
	struct session s;
	text token, next;

	begin(v, now_ns, &s, token, err);
	for (int i = 0; i < 100; i++) {
		now_ns += TIMEOUT - 1;
		assert_int_equal(call(v, token, now_ns, next, err), ST_OK);
	}
	assert_int_equal(count(v, "session/", err), 1);
	assert_int_equal(call(v, token, now_ns + TIMEOUT * 2, next, err), ST_NO_SESSION);
}

CASE(an_end_is_an_end)
{
	struct session_use use;
	struct session s;
	text token, next;

	begin(v, START, &s, token, err);
	assert_int_equal(call(v, token, START + TURN, next, err), ST_OK);
	assert_int_equal(session_end(v, s.name, err), ST_OK);
	assert_int_equal(find(v, token, START + TURN, &use, err), ST_NO_SESSION);
	assert_int_equal(find(v, next, START + TURN, &use, err), ST_NO_SESSION);
	assert_int_equal(session_end(v, s.name, err), ST_OK);
	assert_int_equal(count(v, "session/", err), 0);
	assert_int_equal(count(v, "expiry/", err), 0);
}

/* ---- the chain ---- */

CASE(a_successor_is_told_when_the_token_is_old_and_not_before)
{
	struct session s;
	text token, next, again;

	begin(v, START, &s, token, err);
	assert_int_equal(call(v, token, START + TURN - 1, next, err), ST_OK);
	assert_string_equal(next, token);
	assert_int_equal(call(v, token, START + TURN, next, err), ST_OK);
	assert_string_not_equal(next, token);
	assert_int_equal(call(v, token, START + TURN + S(5), again, err), ST_OK);
	assert_string_equal(again, next); /* all callers get the same */
}

CASE(who_never_changes_its_token_works_on)
{
	int64_t now_ns = START;
	struct session s;
	text token, next;

	begin(v, now_ns, &s, token, err);
	for (int i = 0; i < 200; i++) {
		now_ns += TURN;
		assert_int_equal(call(v, token, now_ns, next, err), ST_OK);
	}
}

CASE(the_grace_of_the_old_one_begins_with_the_first_use_of_the_new_one)
{
	int64_t first = START + TURN + S(1000);
	struct session_use use;
	struct session s;
	text token, next, other;

	begin(v, START, &s, token, err);
	assert_int_equal(call(v, token, START + TURN, next, err), ST_OK);
	assert_int_equal(call(v, token, first - 1, other, err), ST_OK); /* long after it was told */
	assert_int_equal(find(v, next, first, &use, err), ST_OK);
	assert_int_equal(use.number, 1);
	assert_true(use.due);
	assert_int_equal(call(v, next, first, other, err), ST_OK);
	assert_string_equal(other, next);
	assert_int_equal(call(v, token, first + GRACE - 1, other, err), ST_OK);
	assert_string_equal(other, next); /* who comes late is told of it again */
	assert_int_equal(call(v, token, first + GRACE, other, err), ST_NO_SESSION);
	assert_int_equal(call(v, next, first + GRACE, other, err), ST_OK);
}

CASE(no_token_but_the_last_and_its_neighbours_is_good)
{
	int64_t now_ns = START;
	struct session s;
	text tokens[6], next;

	begin(v, now_ns, &s, tokens[0], err);
	for (int i = 1; i < 6; i++) {
		now_ns += TURN;
		assert_int_equal(call(v, tokens[i - 1], now_ns, tokens[i], err), ST_OK);
		assert_int_equal(call(v, tokens[i], now_ns, next, err), ST_OK);
	}
	for (int i = 0; i < 4; i++)
		assert_int_equal(call(v, tokens[i], now_ns, next, err), ST_NO_SESSION);
	assert_int_equal(call(v, tokens[4], now_ns, next, err), ST_OK);
	assert_int_equal(call(v, tokens[5], now_ns, next, err), ST_OK);
}

/* ---- what is stored ---- */

struct looking {
	const struct view *v;
	const char *token;
	size_t n;
	struct err *err;
};

static enum status look(void *arg, struct span name)
{
	struct looking *l = arg;
	struct login_path p;
	struct span record;
	char own[100];

	assert_int_equal(span_cstr(name, own, sizeof own), ST_OK);
	assert_null(strstr(own, l->token));
	assert_int_equal(view_get(l->v, login_path(&p, "session/%s", own), &record, l->err), ST_OK);
	for (size_t at = 0; at + 8 <= SESSION_TEXT_LEN; at++)
		assert_null(memmem(record.p, record.n, l->token + at, 8));
	l->n++;
	return ST_OK;
}

CASE(no_part_of_a_token_is_stored)
{
	struct session s;
	text token, next;
	struct looking l = {v, token, 0, err};

	begin(v, START, &s, token, err);
	assert_int_equal(call(v, token, START + TURN, next, err), ST_OK);
	assert_int_equal(call(v, next, START + TURN, next, err), ST_OK);
	assert_int_equal(view_list(v, span_str("session/"), span_of(NULL, 0), 0, look, &l, err),
	                 ST_OK);
	assert_int_equal(l.n, 1);
}

CASE(a_damaged_record_is_told)
{
	struct session_use use;
	struct session s;
	struct login_path p;
	struct span record;
	text token;
	uint8_t copy[200];

	begin(v, START, &s, token, err);
	assert_int_equal(view_get(v, login_path(&p, "session/%s", s.name), &record, err), ST_OK);
	for (size_t n = 0; n < record.n; n++) {
		memcpy(copy, record.p, record.n);
		assert_int_equal(
		    view_put(v, login_path(&p, "session/%s", s.name), span_of(copy, n), err),
		    ST_OK);
		assert_int_equal(find(v, token, START, &use, err), ST_CORRUPT);
	}
	copy[0] = 2;
	assert_int_equal(
	    view_put(v, login_path(&p, "session/%s", s.name), span_of(copy, record.n), err), ST_OK);
	assert_int_equal(find(v, token, START, &use, err), ST_CORRUPT);
	assert_int_equal(session_end(v, s.name, err), ST_CORRUPT);
}

/* ---- expiry ---- */

static enum status count_one(void *arg, struct span name)
{
	(void)name;
	(*(size_t *)arg)++;
	return ST_OK;
}

static size_t count(struct view *v, const char *folder, struct err *err)
{
	size_t n = 0;

	assert_int_equal(view_list(v, span_str(folder), span_of(NULL, 0), 0, count_one, &n, err),
	                 ST_OK);
	return n;
}

CASE(what_has_ended_is_removed_and_nothing_else)
{
	struct session s[5];
	text token[5], next;
	int64_t at;
	size_t n;

	assert_int_equal(session_next_expiry(v, &at, err), ST_OK);
	assert_int_equal(at, INT64_MAX);
	for (int i = 0; i < 5; i++)
		begin(v, START + S(i), &s[i], token[i], err);
	assert_int_equal(call(v, token[0], START + TIMEOUT, next, err), ST_OK); /* lasts longer */
	assert_int_equal(session_next_expiry(v, &at, err), ST_OK);
	assert_int_equal(at, s[1].expire_ns);
	assert_int_equal(session_expire(v, s[1].expire_ns - 1, 100, &n, err), ST_OK);
	assert_int_equal(n, 0);
	assert_int_equal(session_expire(v, s[3].expire_ns, 2, &n, err), ST_OK);
	assert_int_equal(n, 2);
	assert_int_equal(session_expire(v, s[3].expire_ns, 2, &n, err), ST_OK);
	assert_int_equal(n, 1);
	assert_int_equal(count(v, "session/", err), 2);
	assert_int_equal(count(v, "expiry/", err), 2);
	assert_int_equal(call(v, token[0], s[3].expire_ns, next, err), ST_OK);
	assert_int_equal(call(v, token[4], s[3].expire_ns, next, err), ST_OK);
}

CASE(a_link_that_is_nobodys_is_removed)
{
	size_t n;

	assert_int_equal(view_put(v, span_str("expiry/x"), span_of(NULL, 0), err), ST_OK);
	assert_int_equal(view_put(v, span_str("expiry/0/1/2"), span_of(NULL, 0), err), ST_OK);
	assert_int_equal(session_expire(v, START, 100, &n, err), ST_OK);
	assert_int_equal(n, 2);
	assert_int_equal(count(v, "expiry/", err), 0);
}

/* ---- a long random walk ---- */

#define TOKENS 400

/* What should be true. */
struct model {
	text tokens[TOKENS]; /* those that were told so far */
	unsigned told;       /* 0 to told were */
	unsigned current;
	int64_t turned_ns, before_ns, used_ns;
};

static enum status expected(const struct model *m, unsigned i, int64_t now_ns)
{
	if (i + 1 == m->current)
		return now_ns < m->before_ns ? ST_OK : ST_NO_SESSION;
	return i == m->current || i == m->current + 1 ? ST_OK : ST_NO_SESSION;
}

static void walk_step(struct view *v, struct model *m, unsigned i, int64_t now_ns, struct err *err)
{
	enum status want = expected(m, i, now_ns);
	unsigned answer;
	text next;

	assert_int_equal(call(v, m->tokens[i], now_ns, next, err), want);
	if (want != ST_OK)
		return;
	m->used_ns = now_ns;
	if (i > m->current) {
		m->current = i;
		m->turned_ns = now_ns;
		m->before_ns = now_ns + GRACE;
	}
	answer = m->current + (now_ns >= m->turned_ns + TURN ? 1 : 0);
	if (answer > m->told) {
		assert_int_equal(answer, m->told + 1);
		m->told = answer;
		memcpy(m->tokens[answer], next, sizeof next);
	}
	assert_string_equal(next, m->tokens[answer]);
}

CASE(a_random_walk_agrees_with_the_model)
{
	static struct model m;
	struct random_seeded r;
	int64_t now_ns = START;
	struct session s;

	random_seeded_init(&r, 20);
	m = (struct model){.turned_ns = START, .used_ns = START};
	begin(v, START, &s, m.tokens[0], err);
	for (int i = 0; i < 20000 && m.told + 2 < TOKENS; i++) {
		uint8_t dice[4];
		unsigned back;

		random_fill(&r.random, dice, sizeof dice);
		now_ns += S(dice[0] % 8 == 0 ? dice[1] * 10 : dice[1] / 16);
		if (now_ns >= m.used_ns + TIMEOUT)
			now_ns = m.used_ns + TIMEOUT - 1;
		back = dice[2] % 8 == 0 ? dice[3] % 4 : dice[3] % 2; /* mostly the newest ones */
		walk_step(v, &m, m.told >= back ? m.told - back : 0, now_ns, err);
	}
	assert_true(m.told > 50);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_token_finds_its_session),
	    cmocka_unit_test(sessions_have_nothing_in_common),
	    cmocka_unit_test(what_is_no_token),
	    cmocka_unit_test(another_server_key_knows_no_token),
	    cmocka_unit_test(it_ends_when_it_is_not_used),
	    cmocka_unit_test(each_call_makes_it_last_for_the_whole_timeout),
	    cmocka_unit_test(an_end_is_an_end),
	    cmocka_unit_test(a_successor_is_told_when_the_token_is_old_and_not_before),
	    cmocka_unit_test(who_never_changes_its_token_works_on),
	    cmocka_unit_test(the_grace_of_the_old_one_begins_with_the_first_use_of_the_new_one),
	    cmocka_unit_test(no_token_but_the_last_and_its_neighbours_is_good),
	    cmocka_unit_test(no_part_of_a_token_is_stored),
	    cmocka_unit_test(a_damaged_record_is_told),
	    cmocka_unit_test(what_has_ended_is_removed_and_nothing_else),
	    cmocka_unit_test(a_link_that_is_nobodys_is_removed),
	    cmocka_unit_test(a_random_walk_agrees_with_the_model),
	};

	return cmocka_run_group_tests_name("sessions", tests, solo_process, NULL);
}
