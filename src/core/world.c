#include "core/world.h"

#include <stdlib.h>

struct token_key {
	atomic_uint refs;
	struct hmac_key *hmac;
};

static void destroy(struct world *base)
{
	struct core_world *w = (struct core_world *)(void *)base;

	mounts_unref(&w->mounts);
	policy_table_unref(&w->policies);
	audit_salts_unref(&w->salts);
	token_key_unref(&w->token_key);
	token_key_unref(&w->login_key);
	free(w);
}

const struct core_world *world_core(const struct world *w)
{
	return (const struct core_world *)(const void *)w;
}

enum status world_copy(const struct core_world *from, struct core_world **ret)
{
	struct core_world *w = calloc(1, sizeof *w);

	if (w == NULL)
		return ST_NOMEM;
	if (from != NULL) {
		*w = *from;
		w->mounts = mounts_ref(from->mounts);
		w->policies = policy_table_ref(from->policies);
		w->salts = audit_salts_ref(from->salts);
		w->token_key = token_key_ref(from->token_key);
		w->login_key = token_key_ref(from->login_key);
	}
	atomic_init(&w->base.refs, 1);
	w->base.destroy = destroy;
	*ret = w;
	return ST_OK;
}

void world_drop(struct core_world **w)
{
	const struct world *base = *w != NULL ? &(*w)->base : NULL;

	*w = NULL;
	world_unref(&base);
}

uint64_t world_generation(void)
{
	static _Atomic uint64_t last;

	return atomic_fetch_add_explicit(&last, 1, memory_order_relaxed) + 1;
}

enum status token_key_new(struct span salt, struct token_key **ret)
{
	struct token_key *k = calloc(1, sizeof *k);
	enum status st;

	if (k == NULL)
		return ST_NOMEM;
	atomic_init(&k->refs, 1);
	st = hmac_key_new(salt, &k->hmac);
	if (st != ST_OK) {
		free(k);
		return st;
	}
	*ret = k;
	return ST_OK;
}

enum status token_key_derive(struct span salt, const char *info, struct token_key **ret)
{
	struct secret *key;
	enum status st = secret_new(SHA256_LEN, &key);

	if (st != ST_OK)
		return st;
	hkdf_sha256(salt, span_of(NULL, 0), span_str(info), key);
	st = token_key_new(secret_span(key), ret);
	secret_free(&key);
	return st;
}

struct token_key *token_key_ref(struct token_key *k)
{
	if (k != NULL)
		atomic_fetch_add_explicit(&k->refs, 1, memory_order_relaxed);
	return k;
}

void token_key_unref(struct token_key **k)
{
	struct token_key *mine = *k;

	*k = NULL;
	if (mine == NULL || atomic_fetch_sub_explicit(&mine->refs, 1, memory_order_acq_rel) != 1)
		return;
	hmac_key_free(&mine->hmac);
	free(mine);
}

const struct hmac_key *token_key_hmac(const struct token_key *k)
{
	return k->hmac;
}
