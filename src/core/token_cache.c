#include "core/token_cache.h"

#include <stdlib.h>
#include <string.h>

#include "crypto/ct.h"

#define ENTRIES 512

struct token_cache {
	struct known *entries[ENTRIES];
};

enum status token_cache_new(struct token_cache **ret)
{
	struct token_cache *c = calloc(1, sizeof *c);

	if (c == NULL)
		return ST_NOMEM;
	*ret = c;
	return ST_OK;
}

static void entry_free(struct known **k)
{
	if (*k == NULL)
		return;
	token_free(&(*k)->token);
	acl_free(&(*k)->acl);
	free(*k);
	*k = NULL;
}

void token_cache_drop(struct token_cache *c)
{
	for (size_t i = 0; i < ENTRIES; i++)
		entry_free(&c->entries[i]);
}

void token_cache_free(struct token_cache **c)
{
	if (*c == NULL)
		return;
	token_cache_drop(*c);
	free(*c);
	*c = NULL;
}

enum status acl_of(const struct core_world *world, const struct token *token, int64_t now_ns,
                   struct acl **ret, struct err *err)
{
	static const struct span root_text = {NULL, 0};
	struct policy *list[TOKEN_POLICIES_MAX], *root = NULL;
	size_t n = 0;
	enum status st = ST_OK;

	for (size_t i = 0; st == ST_OK && i < token->n_policies; i++) {
		const struct policy_entry *e;

		if (span_eq_str(token->policies[i], "root")) {
			if (root == NULL)
				st = policy_parse(token->policies[i], root_text, &root, err);
			if (st == ST_OK)
				list[n++] = root;
			continue;
		}
		e = policy_table_find(world->policies, token->policies[i]);
		if (e != NULL)
			list[n++] = e->policy;
	}
	if (st == ST_OK)
		st = acl_new(list, n, now_ns, ret);
	policy_unref(&root);
	return st;
}

static enum status fill(struct known *k, struct txn *t, const char *hash, int64_t now_ns,
                        struct err *err)
{
	const struct core_world *w = world_core(txn_world(t));
	struct view tokens;
	enum status st;

	view_init(&tokens, t, span_str(TOKEN_PREFIX));
	st = token_find(&tokens, hash, now_ns, &k->token, &k->until_ns, err);
	if (st != ST_OK)
		return st;
	st = acl_of(w, &k->token, now_ns, &k->acl, err);
	if (st != ST_OK)
		return st;
	if (acl_valid_until_ns(k->acl) < k->until_ns)
		k->until_ns = acl_valid_until_ns(k->acl);
	k->token_gen = w->token_gen;
	k->policy_gen = w->policy_gen;
	return ST_OK;
}

enum status token_cache_get(struct token_cache *c, struct txn *t, struct span text, int64_t now_ns,
                            const struct known **ret, struct err *err)
{
	const struct core_world *w = world_core(txn_world(t));
	char hash[TOKEN_HASH_LEN + 1];
	struct known **at, *k;
	uint16_t index;
	enum status st;

	token_hash(w->token_key, text, hash);
	index = 0;
	for (size_t i = 0; i < 3; i++)
		index =
		    (uint16_t)(index * 16 + (hash[i] <= '9' ? hash[i] - '0' : hash[i] - 'a' + 10));
	at = &c->entries[index % ENTRIES];
	if (*at != NULL && (*at)->token_gen == w->token_gen && (*at)->policy_gen == w->policy_gen &&
	    now_ns < (*at)->until_ns &&
	    ct_equal(span_of((*at)->token.hash, TOKEN_HASH_LEN), span_of(hash, TOKEN_HASH_LEN))) {
		*ret = *at;
		return ST_OK;
	}
	k = calloc(1, sizeof *k);
	if (k == NULL)
		return err_set(err, ST_NOMEM, "no memory for a token");
	st = fill(k, t, hash, now_ns, err);
	if (st != ST_OK) {
		entry_free(&k);
		return st;
	}
	entry_free(at);
	*at = k;
	*ret = k;
	return ST_OK;
}
