#include "core/login_first.h"

#include <string.h>

#include "barrier/txn.h"
#include "core/world.h"

#define PASSPHRASE_MADE 20

/* The text up to `end`, which is behind it. */
static enum status cut(const char **at, const char *end, char *buf, size_t cap)
{
	enum status st = span_cstr(span_of(*at, (size_t)(end - *at)), buf, cap);

	*at = *end == ':' ? end + 1 : end;
	return st;
}

enum status login_first_parse(const char *text, struct login_first *ret, struct err *err)
{
	const char *user = strchr(text, ':'), *totp = strrchr(text, ':'), *apikey = totp;
	struct login_first f = {.username = ""};
	enum status st = ST_INVALID;

	while (apikey != NULL && apikey > text && apikey[-1] != ':')
		apikey--;
	if (user == NULL || apikey == NULL || apikey <= user + 1 || totp <= apikey)
		return err_set(err, st, "it must be user:passphrase:apikey:totp-secret");
	if (cut(&text, user, f.username, sizeof f.username) == ST_OK &&
	    cut(&text, apikey - 1, f.passphrase, sizeof f.passphrase) == ST_OK &&
	    cut(&text, totp, f.apikey, sizeof f.apikey) == ST_OK &&
	    cut(&text, text + strlen(text), f.totp, sizeof f.totp) == ST_OK && f.username[0] != 0 &&
	    f.apikey[0] != 0 && f.totp[0] != 0 && f.passphrase[0] != 0)
		st = ST_OK;
	if (st == ST_OK)
		*ret = f;
	else
		st = err_set(err, st,
		             "one of user, passphrase, API key and secret is too long, or missing");
	wipe(&f, sizeof f);
	return st;
}

static enum status set_totp(struct txn *t, const struct random *random, struct login_first *f,
                            struct user *u, struct err *err)
{
	uint8_t *secret = txn_alloc(t, TOTP_SECRET_MAX);
	size_t n = TOTP_SECRET_LEN;

	if (secret == NULL)
		return err_set(err, ST_NOMEM, "no locked memory");
	if (f->totp[0] == 0) {
		random_fill(random, secret, n);
		base32_encode(span_of(secret, n), f->totp);
		f->totp[BASE32_LEN(n)] = 0;
	} else if (base32_decode(span_str(f->totp), secret, TOTP_SECRET_MAX, &n) != ST_OK ||
	           n < TOTP_SECRET_MIN) {
		return err_set(err, ST_INVALID, "the secret must be %d to %d bytes in base32",
		               TOTP_SECRET_MIN, TOTP_SECRET_MAX);
	}
	u->totp = span_of(secret, n);
	return ST_OK;
}

enum status login_first_make(struct txn *t, const struct random *random, int64_t now_ns,
                             struct login_first *f, struct err *err)
{
	const struct hmac_key *key = token_key_hmac(world_core(txn_world(t))->login_key);
	char hash[PASSWORD_HASH_MAX];
	struct user u = {.status = USER_READ | USER_WRITE | USER_ADMIN | USER_AUDIT | USER_ACTIVE,
	                 .created_ns = now_ns,
	                 .fullname = span_str("First administrator"),
	                 .email = span_str("admin@localhost")};
	struct view logins;
	enum status st;

	if (f->username[0] == 0)
		memcpy(f->username, "admin", sizeof "admin");
	if (f->passphrase[0] == 0)
		random_text(random, random_base62, f->passphrase, PASSPHRASE_MADE);
	u.username = span_str(f->username);
	st = password_hash(span_str(f->passphrase), hash);
	if (st != ST_OK)
		return err_set(err, st, "the passphrase cannot be hashed");
	u.passphrase = span_str(hash);
	view_init(&logins, t, span_str(LOGIN_PREFIX));
	st = set_totp(t, random, f, &u, err);
	if (st == ST_OK)
		st = user_create(&logins, key, &u, err);
	if (st == ST_OK)
		st = login_apikey_create(&logins, key, random, span_str("dev"), f->apikey, now_ns,
		                         err);
	wipe(hash, sizeof hash);
	return st;
}
