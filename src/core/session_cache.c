#include "core/session_cache.h"

#include <stdlib.h>
#include <string.h>

#include "crypto/ct.h"
#include "crypto/secret.h"

#define ENTRIES 256

struct entry {
	struct known_session
	    known; /* known.use: as of the last call; its next token is next_number's */
	uint8_t mac[SHA256_LEN]; /* of the token's text */
	uint64_t commit;         /* as of which the stamps were compared */
	uint64_t next_number;
	uint8_t session_stamp[VIEW_STAMP_LEN], user_stamp[VIEW_STAMP_LEN];
};

struct session_cache {
	struct entry *entries[ENTRIES]; /* in locked memory */
};

enum status session_cache_new(struct session_cache **ret)
{
	struct session_cache *c = calloc(1, sizeof *c);

	if (c == NULL)
		return ST_NOMEM;
	*ret = c;
	return ST_OK;
}

static void entry_free(struct entry **e)
{
	secret_release(*e);
	*e = NULL;
}

void session_cache_drop(struct session_cache *c)
{
	for (size_t i = 0; i < ENTRIES; i++)
		entry_free(&c->entries[i]);
}

void session_cache_free(struct session_cache **c)
{
	if (*c == NULL)
		return;
	session_cache_drop(*c);
	free(*c);
	*c = NULL;
}

/* The stored records are those that the entry was made from. */
static enum status is_same(const struct view *view, const struct entry *e, bool *ret,
                           struct err *err)
{
	uint8_t session[VIEW_STAMP_LEN], user[VIEW_STAMP_LEN];
	enum status st = session_stamp(view, e->known.use.session.name, session, err);

	if (st == ST_OK)
		st = user_stamp(view, e->known.use.session.user, user, err);
	if (st != ST_OK && st != ST_NOT_FOUND)
		return st;
	*ret = st == ST_OK && memcmp(session, e->session_stamp, sizeof session) == 0 &&
	       memcmp(user, e->user_stamp, sizeof user) == 0;
	return ST_OK;
}

static enum status fill(struct entry *e, const struct view *view, const struct hmac_key *key,
                        const struct login_settings *settings, struct span text, int64_t now_ns,
                        struct err *err)
{
	struct known_session *k = &e->known;
	struct user u;
	enum status st = session_find(view, key, settings, text, now_ns, &k->use, err);

	if (st == ST_OK)
		st = user_find(view, k->use.session.user, &u, err);
	if (st == ST_NOT_FOUND ||
	    (st == ST_OK && (!user_can_log_in(&u) || u.era != k->use.session.era)))
		return ST_NO_SESSION;
	if (st != ST_OK)
		return st;
	k->status = u.status;
	st = span_cstr(u.username, k->username, sizeof k->username);
	if (st != ST_OK)
		return err_set(err, ST_CORRUPT, "the record of a user is damaged");
	e->next_number = k->use.next_number;
	e->commit = view_number(view);
	st = session_stamp(view, k->use.session.name, e->session_stamp, err);
	return st == ST_OK ? user_stamp(view, u.id, e->user_stamp, err) : st;
}

/* Locked memory is taken only for who is somebody. */
static enum status learn(struct entry **at, const struct entry *found, struct err *err)
{
	struct entry *e = secret_alloc(sizeof *e);

	if (e == NULL)
		return err_set(err, ST_NOMEM, "no locked memory for a session");
	*e = *found;
	entry_free(at);
	*at = e;
	return ST_OK;
}

/* What time has done to a session that is known. */
static enum status refresh(struct entry *e, const struct hmac_key *key,
                           const struct login_settings *settings, struct span text, int64_t now_ns)
{
	struct session_use *use = &e->known.use;
	enum status st = session_judge(use, settings, now_ns);

	if (st == ST_OK && use->next_number != e->next_number) {
		session_next(use, key, text);
		e->next_number = use->next_number;
	}
	return st;
}

/* Somebody who is not remembered, or no longer is who it was. */
static enum status meet(struct entry **at, const uint8_t mac[static SHA256_LEN],
                        const struct view *view, const struct hmac_key *key,
                        const struct login_settings *settings, struct span text, int64_t now_ns,
                        struct err *err)
{
	struct entry found = {.commit = 0};
	enum status st = fill(&found, view, key, settings, text, now_ns, err);

	if (st == ST_OK) {
		memcpy(found.mac, mac, SHA256_LEN);
		st = learn(at, &found, err);
	}
	wipe(&found, sizeof found);
	return st;
}

enum status session_cache_get(struct session_cache *c, const struct view *view,
                              const struct hmac_key *key, const struct login_settings *settings,
                              struct span text, int64_t now_ns, const struct known_session **ret,
                              struct err *err)
{
	uint8_t mac[SHA256_LEN];
	struct entry **at;
	bool same = false;
	enum status st = ST_OK;

	if (text.n != SESSION_TEXT_LEN)
		return ST_NO_SESSION;
	login_mac(key, LOGIN_CALLER, text, span_of(NULL, 0), mac);
	at = &c->entries[mac[0] % ENTRIES];
	if (*at != NULL && ct_equal(span_of((*at)->mac, sizeof mac), span_of(mac, sizeof mac))) {
		/* The writer sees what its group changed under one and the same number. */
		same = (*at)->commit == view_number(view) && !view_can_write(view);
		if (!same)
			st = is_same(view, *at, &same, err);
		if (st != ST_OK)
			return st;
	}
	if (same) {
		(*at)->commit = view_number(view);
		st = refresh(*at, key, settings, text, now_ns);
		if (st == ST_OK)
			*ret = &(*at)->known;
		return st;
	}
	st = meet(at, mac, view, key, settings, text, now_ns, err);
	if (st == ST_OK)
		*ret = &(*at)->known;
	return st;
}
