/*
 * login: what people show when they log in: `keys` taken apart, one-time codes of both kinds, and what becomes of all of it, on a transaction of the writer that is dropped afterwards.  The pool's
 * work is not run: what it would find out about the passphrase is told by comparing.
 *
 * Input: a byte (bit 0: in one string, `keys`; bit 1: with a logintype; bit 2: by the user that there is), then texts, each behind its length: another username, the passphrase (or keys), API
 * key, code, logintype.  Bytes 1 to 8 in them stand for what is right: words[].
 *   - refused as malformed just when it is (by a naive reading), with a text; else the pool gets just the passphrase that was meant;
 *   - a session begins just when passphrase, API key and code are all right, and its token has its form; all refusals look alike;
 *   - the same again is refused: a code is good once, whatever else was wrong.
 * Besides, of the texts as they are: base32 against a reader that goes bit by bit, and back; ModHex and what a device cannot have sent.
 */
#include <liboath/oath.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yubikey.h>

#include "base/clock.h"
#include "base/json.h"
#include "core/login_apikey.h"
#include "core/login_ops_impl.h"
#include "core/login_session.h"
#include "crypto/otp.h"
#include "fuzz.h"
#include "lib/house.h"

#define SECRET     "12345678901234567890"
#define USER       "someone"
#define PASSPHRASE "correct horse"
#define SHORT_KEY  "abcdefgh"
#define LONG_KEY   "0123456789" SHORT_KEY
#define DEVICE     "cccccccbcdef"
#define TEXT_MAX   4096

static struct house *house;
static struct sched *sched;
static struct login_ops ops;
static int64_t now_ns;

enum {
	TOTP_BEFORE = 1,
	TOTP_NOW,
	TOTP_AFTER,
	YUBICO,
	RIGHT_PASSPHRASE,
	APIKEY_SHORT,
	APIKEY_LONG,
	FILLER,
	WORDS
};
static char words[WORDS][512];

/* ---- what there is ---- */

static void must_ask(const char *path, const char *body)
{
	MUST(house_ask(house, VERB_WRITE, path, house->root, body) == ST_OK);
}

static void make_codes(void)
{
	yubikey_token_st block = {.uid = {1, 2, 3, 4, 5, 6}, .ctr = 1, .use = 1};
	uint8_t key[YUBICO_KEY_LEN];

	for (int i = -1; i <= 1; i++)
		MUST(oath_totp_generate(SECRET, strlen(SECRET),
		                        (time_t)(now_ns / NS_PER_S + i * TOTP_STEP_S), TOTP_STEP_S,
		                        0, TOTP_DIGITS, words[TOTP_NOW + i]) == OATH_OK);
	for (size_t i = 0; i < sizeof key; i++)
		key[i] = (uint8_t)i;
	block.crc = (uint16_t)~yubikey_crc16((const uint8_t *)&block, sizeof block - 2);
	memcpy(words[YUBICO], DEVICE, YUBICO_PUBLIC_LEN);
	yubikey_generate(&block, key, words[YUBICO] + YUBICO_PUBLIC_LEN);
	(void)snprintf(words[RIGHT_PASSPHRASE], sizeof words[0], "%s", PASSPHRASE);
	(void)snprintf(words[APIKEY_SHORT], sizeof words[0], "%s", SHORT_KEY);
	(void)snprintf(words[APIKEY_LONG], sizeof words[0], "%s", LONG_KEY);
	memset(words[FILLER], 'x', 400);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	const struct house_config config = {.driver = &storage_mem};

	(void)argc;
	(void)argv;
	fuzz_process();
	MUST(otp_setup() == ST_OK && sched_new(&sched) == ST_OK);
	house = house_build(&config);
	house_open(house);
	ops = (struct login_ops){.sched = sched, .version = "1"};
	login_ops_setup(&ops);
	now_ns = clock_wall_ns(&house->clock.clock);
	make_codes();
	must_ask("auth/storedsafe/users",
	         "{\"username\":\"" USER
	         "\",\"status\":[0,7],\"fullname\":\"Some One\",\"email\":\"a@example.org\","
	         "\"passphrase\":\"" PASSPHRASE "\"}");
	must_ask("auth/storedsafe/users/" USER "/otp",
	         "{\"type\":\"totp\",\"secret\":\"GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\"}");
	must_ask(
	    "auth/storedsafe/users/" USER "/otp",
	    "{\"type\":\"yubikey\",\"public_id\":\"" DEVICE
	    "\",\"key\":\"000102030405060708090a0b0c0d0e0f\",\"private_id\":\"010203040506\"}");
	must_ask("auth/storedsafe/apikeys/short", "{\"apikey\":\"" SHORT_KEY "\"}");
	must_ask("auth/storedsafe/apikeys/long", "{\"apikey\":\"" LONG_KEY "\"}");
	return 0;
}

/* ---- what is shown ---- */

struct shown {
	bool keys, typed;
	struct builder username, passphrase, apikey, otp, type; /* passphrase: or keys */
	struct builder body;
};

static void fill_in(struct builder *b, struct span text)
{
	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] > 0 && text.p[i] < WORDS) {
			builder_str(b, words[text.p[i]]);
		} else if (text.p[i] < 0x80) {
			builder_u8(b, text.p[i]);
		} else { /* a character of two bytes: JSON holds no others */
			builder_u8(b, (uint8_t)(0xc0 | text.p[i] >> 6));
			builder_u8(b, (uint8_t)(0x80 | (text.p[i] & 0x3f)));
		}
	}
	MUST(builder_status(b) == ST_OK);
}

static void put(struct json_writer *w, const char *name, const struct builder *text)
{
	json_put_string(w, name, builder_span(text));
}

static void read_input(struct cursor *c, struct shown *s)
{
	const uint8_t flags = fuzz_u8(c);
	struct json_writer w;
	struct span other = fuzz_lv(c);

	*s = (struct shown){.keys = (flags & 1) != 0, .typed = (flags & 2) != 0};
	fill_in(&s->username, (flags & 4) != 0 ? span_str(USER) : other);
	fill_in(&s->passphrase, fuzz_lv(c));
	fill_in(&s->apikey, fuzz_lv(c));
	fill_in(&s->otp, fuzz_lv(c));
	fill_in(&s->type, fuzz_lv(c));
	json_writer_init(&w, &s->body);
	json_begin_object(&w);
	put(&w, "username", &s->username);
	put(&w, s->keys ? "keys" : "passphrase", &s->passphrase);
	if (!s->keys) {
		put(&w, "apikey", &s->apikey);
		put(&w, "otp", &s->otp);
		if (s->typed)
			put(&w, "logintype", &s->type);
	}
	json_end_object(&w);
	MUST(builder_status(&s->body) == ST_OK);
}

static void forget(struct shown *s)
{
	builder_free(&s->username);
	builder_free(&s->passphrase);
	builder_free(&s->apikey);
	builder_free(&s->otp);
	builder_free(&s->type);
	builder_free(&s->body);
}

/* ---- a naive reading ---- */

struct meant {
	bool malformed, by_card;
	bool yubico;
	struct span passphrase, apikey, otp;
};

static bool is_apikey(struct span s)
{
	return span_eq_str(s, SHORT_KEY) || span_eq_str(s, LONG_KEY);
}

static void read_keys(struct span keys, struct meant *m)
{
	struct span front;

	m->yubico = true;
	m->malformed = keys.n <= YUBICO_OTP_LEN;
	if (m->malformed)
		return;
	front = span_of(keys.p, keys.n - YUBICO_OTP_LEN);
	m->otp = span_from(keys, front.n);
	m->passphrase = front;
	m->apikey = span_from(front, front.n);
	for (size_t n = 1; n <= front.n; n++) {
		if (!is_apikey(span_from(front, front.n - n)))
			continue;
		m->apikey = span_from(front, front.n - n);
		m->passphrase = span_of(front.p, front.n - n);
		return;
	}
}

static void read_members(const struct shown *s, struct meant *m)
{
	const struct span type = builder_span(&s->type);

	m->passphrase = builder_span(&s->passphrase);
	m->apikey = builder_span(&s->apikey);
	m->otp = builder_span(&s->otp);
	m->yubico = m->otp.n > 8;
	if (s->typed && type.n > 0) {
		m->by_card = span_eq_str(type, "smartcard") || span_eq_str(type, "smc_rest");
		m->yubico = span_eq_str(type, "yubikey_otp");
		m->malformed = !m->yubico && !span_eq_str(type, "totp");
	}
	m->malformed |= m->passphrase.n == 0 || m->apikey.n == 0 || m->otp.n == 0;
}

static struct meant meaning(const struct shown *s)
{
	struct meant m = {.malformed = false};

	if (s->keys)
		read_keys(builder_span(&s->passphrase), &m);
	else
		read_members(s, &m);
	m.malformed |= s->username.n == 0 || s->username.n > 4 * USER_NAME_MAX ||
	               m.passphrase.n > PASSPHRASE_MAX;
	return m;
}

static bool code_is_right(const struct meant *m)
{
	if (m->yubico)
		return span_eq_str(m->otp, words[YUBICO]);
	for (int i = TOTP_BEFORE; i <= TOTP_AFTER; i++)
		if (span_eq_str(m->otp, words[i]))
			return true;
	return false;
}

static bool is_good(const struct shown *s, const struct meant *m)
{
	return span_eq_str(builder_span(&s->username), USER) &&
	       span_eq_str(m->passphrase, PASSPHRASE) && is_apikey(m->apikey) && code_is_right(m);
}

/* ---- the operation ---- */

/* Both its parts, as the gate calls them. */
static enum status attempt(struct txn *t, const struct json_value *body, const struct meant *m,
                           struct answer *ans)
{
	const struct request req = {.verb = VERB_WRITE, .data = body, .now_ns = now_ns};
	struct op op = {
	    .req = &req, .ans = ans, .self = &ops, .random = &random_system, .now_ns = now_ns};
	struct login_work *work;
	enum status st;

	view_init(&op.view, t, span_str(LOGIN_PREFIX));
	st = login_ops_login(&op);
	if (st != ST_PENDING) {
		MUST(op.slow == NULL);
		return st;
	}
	work = (struct login_work *)(void *)op.slow;
	MUST(span_eq(secret_span(work->passphrase), m->passphrase));
	work->status = span_eq_str(m->passphrase, PASSPHRASE) && !work->makes ? ST_OK : ST_DENIED;
	answer_reset(ans);
	st = login_ops_login(&op);
	MUST(st == ans->status);
	op.slow->free(&op.slow);
	return st;
}

static void check_token(const struct answer *ans)
{
	const char name[] = "\"client_token\":\"";
	const struct span auth = builder_span(&ans->auth);
	const char *at = memmem(auth.p, auth.n, name, strlen(name));

	MUST(at != NULL);
	at += strlen(name);
	for (size_t i = 0; i < SESSION_TEXT_LEN; i++)
		MUST(strchr("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ",
		            at[i]) != NULL);
	MUST(at[SESSION_TEXT_LEN] == '"');
}

static enum status run(void *arg, struct txn *t, struct err *err)
{
	const struct shown *s = arg;
	const struct meant m = meaning(s);
	uint8_t *copy = fuzz_copy(builder_span(&s->body));
	struct json doc;
	struct answer ans;
	enum status st;

	json_init(&doc);
	answer_init(&ans);
	if (json_parse(&doc, copy, s->body.n, NULL, err) == ST_OK && !m.by_card) {
		st = attempt(t, json_root(&doc), &m, &ans);
		if (m.malformed) {
			MUST(st == ST_INVALID && ans.err.text[0] != 0);
		} else if (is_good(s, &m)) {
			MUST(st == ST_OK);
			check_token(&ans);
		} else {
			MUST(st == ST_NO_SESSION && strcmp(ans.err.text, "the log-in failed") == 0);
		}
		answer_reset(&ans);
		if (!m.malformed)
			MUST(attempt(t, json_root(&doc), &m, &ans) == ST_NO_SESSION);
	}
	json_free(&doc);
	answer_free(&ans);
	free(copy);
	return ST_CONFLICT; /* all of it is dropped */
}

/* ---- texts ---- */

/* RFC 4648, 6, with blanks and hyphens between, any case, padding or none; false: it is none. */
static bool naive_base32(struct span text, struct builder *ret)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
	bool bits[TEXT_MAX * 5];
	size_t n = 0;

	while (text.n > 0 && text.p[text.n - 1] == '=')
		text.n--;
	for (size_t i = 0; i < text.n; i++) {
		const char c = (char)text.p[i];
		const char *at = strchr(digits, c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);

		if (c == ' ' || c == '-')
			continue;
		if (c == 0 || at == NULL)
			return false;
		for (int bit = 4; bit >= 0; bit--)
			bits[n++] = ((at - digits) >> bit & 1) != 0;
	}
	for (size_t i = n / 8 * 8; i < n; i++)
		if (bits[i])
			return false;
	for (size_t i = 0; i + 8 <= n; i += 8) {
		uint8_t byte = 0;

		for (size_t bit = 0; bit < 8; bit++)
			byte = (uint8_t)(byte << 1 | bits[i + bit]);
		builder_u8(ret, byte);
	}
	return n >= 8 && n % 8 < 5;
}

static void check_base32(struct span text, size_t cap)
{
	uint8_t *out = malloc(cap + 1);
	struct builder want = {0};
	bool good = naive_base32(text, &want);
	char back[BASE32_LEN(TEXT_MAX) + 8];
	size_t n = SIZE_MAX;
	enum status st;

	MUST(out != NULL);
	st = base32_decode(text, out, cap, &n);
	if (good && want.n <= cap) {
		MUST(st == ST_OK && span_eq(span_of(out, n), builder_span(&want)));
		base32_encode(span_of(out, n), back);
		MUST(base32_decode(span_of(back, BASE32_LEN(n)), out, cap, &n) == ST_OK);
		MUST(span_eq(span_of(out, n), builder_span(&want)));
	} else {
		/* What is too long may be so before it is seen to be none. */
		MUST(st == ST_LIMIT || (st == ST_INVALID && !good));
		MUST(n == SIZE_MAX);
	}
	builder_free(&want);
	free(out);
}

/* No text but the device's own is a code of it. */
static void check_device(struct span text)
{
	uint8_t key[YUBICO_KEY_LEN] = {0}, id[YUBICO_PRIVATE_LEN] = {1, 2, 3, 4, 5, 6};
	uint32_t counter = 77;
	struct span head = span_of(text.p, text.n < YUBICO_PUBLIC_LEN ? text.n : YUBICO_PUBLIC_LEN);
	bool modhex = head.n == YUBICO_PUBLIC_LEN;

	for (size_t i = 0; i < head.n; i++)
		modhex = modhex && head.p[i] != 0 && strchr("cbdefghijklnrtuv", head.p[i]) != NULL;
	MUST(yubico_public_valid(head) == modhex);
	MUST(yubico_open(key, id, text, &counter) == ST_DENIED && counter == 77);
}

static void check_totp(struct span text)
{
	uint64_t step = 77, next = (uint64_t)(now_ns / NS_PER_S) / TOTP_STEP_S + 1;
	int right = 0;

	for (int i = TOTP_BEFORE; i <= TOTP_AFTER; i++)
		right = span_eq_str(text, words[i]) ? i : right;
	if (totp_check(span_str(SECRET), text, now_ns, 0, &step) == ST_OK)
		MUST(right != 0 && step == next + (uint64_t)right - TOTP_AFTER);
	else
		MUST(right == 0 && step == 77);
	MUST(right == 0 || totp_check(span_str(SECRET), text, now_ns, step, &step) == ST_DENIED);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct cursor c = cursor_of(span_of(data, n));
	struct shown s;

	if (n > TEXT_MAX / 4)
		return 0;
	read_input(&c, &s);
	MUST(house_write(house, run, &s) == ST_CONFLICT);
	if (s.otp.n <= TEXT_MAX)
		check_base32(builder_span(&s.otp), s.passphrase.n);
	check_device(builder_span(&s.otp));
	check_totp(builder_span(&s.otp));
	forget(&s);
	return 0;
}
