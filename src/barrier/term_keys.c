#include "barrier/term_keys.h"

enum status term_keys_get(struct term_keys *c, const struct keyring *k, uint32_t term,
                          const struct aead_key **ret, struct err *err)
{
	size_t at = term % TERM_KEYS;
	struct aead_key *key;
	enum status st;

	if (c->number[at] != term || c->key[at] == NULL) {
		st = keyring_key(k, term, &key, err);
		if (st != ST_OK)
			return st;
		aead_key_free(&c->key[at]);
		c->key[at] = key;
		c->number[at] = term;
	}
	*ret = c->key[at];
	return ST_OK;
}

void term_keys_forget(struct term_keys *c, uint32_t term)
{
	size_t at = term % TERM_KEYS;

	if (c->number[at] == term) {
		aead_key_free(&c->key[at]);
		c->number[at] = 0;
	}
}

void term_keys_drop(struct term_keys *c)
{
	for (size_t i = 0; i < TERM_KEYS; i++) {
		aead_key_free(&c->key[i]);
		c->number[i] = 0;
	}
}
