#include "engine/transit_material.h"

#include "crypto/pkey_text.h"
#include "engine/transit_impl.h"

static enum status of_another_type(enum key_type type, struct err *err)
{
	return err_set(err, ST_INVALID, "the key is not of type %s", key_type_info(type)->name);
}

static enum status symmetric(enum key_type type, struct span bytes, struct key_material *m,
                             struct err *err)
{
	const struct key_type_info *info = key_type_info(type);
	bool hmac = info->family == FAMILY_HMAC;
	enum status st;

	if (hmac ? bytes.n < KEY_HMAC_MIN || bytes.n > KEY_HMAC_MAX : bytes.n != info->key_len)
		return err_set(err, ST_INVALID, "invalid key size %zu bytes for key type %s",
		               bytes.n, info->name);
	st = secret_from(bytes, &m->private_key);
	if (st == ST_OK && hmac)
		st = secret_from(bytes, &m->mac_key);
	return st == ST_OK ? st : err_set(err, st, "no locked memory for a key");
}

/* The key that a text gave, if it is of this type. */
static enum status take(enum key_type type, enum status read, struct pkey *k,
                        struct key_material *m, struct err *err)
{
	enum status st = read;

	if (st == ST_INVALID || (st == ST_OK && pkey_alg(k) != key_type_info(type)->pkey))
		return of_another_type(type, err);
	if (st == ST_OK)
		st = key_material_from_pkey(type, k, m);
	return st == ST_OK ? st : err_set(err, st, "no locked memory for a key");
}

enum status material_from_bytes(enum key_type type, struct span bytes, struct key_material *m,
                                struct err *err)
{
	struct pkey *k = NULL;
	enum status st;

	if (key_type_info(type)->public_name == NULL)
		return symmetric(type, bytes, m, err);
	st = pkey_from_pkcs8(bytes, PKEY_CHECKED, &k);
	st = take(type, st, k, m, err);
	pkey_unref(&k);
	return st;
}

enum status material_from_pem(enum key_type type, struct span pem, struct key_material *m,
                              struct err *err)
{
	struct pkey *k = NULL;
	enum status st = pkey_from_spki_pem(pem, &k);

	if (st == ST_INVALID)
		return err_set(err, st,
		               "the public key cannot be read: it must be one of ours in PEM "
		               "(\"PUBLIC KEY\")");
	st = take(type, st, k, m, err);
	pkey_unref(&k);
	return st;
}

enum status material_pkey(enum key_type type, const struct version_data *d, struct pkey **ret,
                          struct err *err)
{
	const struct key_type_info *info = key_type_info(type);
	struct pkey_parts parts = {.home = NULL};
	enum status st;

	if (d->private_key.n == 0) {
		st = pkey_from_spki(d->public_key, ret);
	} else if (info->family != FAMILY_ED25519) {
		st = pkey_from_pkcs8(d->private_key, PKEY_TRUSTED, ret);
	} else if (d->private_key.n == KEY_ED25519_LEN) {
		parts.d = span_of(d->private_key.p, KEY_ED25519_LEN / 2);
		parts.x = span_from(d->private_key, KEY_ED25519_LEN / 2);
		st = pkey_from_parts(PKEY_ED25519, &parts, PKEY_TRUSTED, ret);
	} else {
		st = ST_CORRUPT;
	}
	if (st == ST_OK)
		return st;
	return st == ST_NOMEM ? err_set(err, st, "no locked memory for a key")
	                      : err_set(err, ST_CORRUPT, "a stored key cannot be read");
}
