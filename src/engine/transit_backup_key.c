/* One version of a key as a backup tells it: a KEY. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "crypto/cert.h"
#include "engine/transit_backup_impl.h"
#include "engine/transit_impl.h"
#include "engine/transit_material.h"

#define CONVERGENT_VERSION 3

/* ---- material ---- */

static enum status no_key(struct reading *r)
{
	return err_set(r->err, ST_INVALID, "version %u of the backup has no key", r->number);
}

/* Into the room, and the heap's copy wiped. */
static enum status take(struct reading *r, struct key_material *m, struct version_data *d)
{
	struct version_data from;
	enum status st;

	key_material_data(m, &from);
	st = member_keep(r, from.private_key, &d->private_key);
	if (st == ST_OK)
		st = member_keep(r, from.public_key, &d->public_key);
	return st;
}

/* The key of these numbers. */
static enum status take_parts(struct reading *r, const struct pkey_parts *parts,
                              struct version_data *d)
{
	struct key_material m = {.private_key = NULL};
	struct pkey *k = NULL;
	enum status st = pkey_from_parts(r->info->pkey, parts, PKEY_CHECKED, &k);

	if (st == ST_OK)
		st = key_material_from_pkey(r->b->head.type, k, &m);
	if (st == ST_INVALID)
		st = err_set(r->err, st, "the key of version %u of the backup is none of type %s",
		             r->number, r->info->name);
	else if (st != ST_OK)
		st = member_no_memory(r);
	if (st == ST_OK)
		st = take(r, &m, d);
	key_material_free(&m);
	pkey_unref(&k);
	return st;
}

static enum status read_symmetric(struct reading *r, const struct json_value *key,
                                  struct version_data *d)
{
	bool hmac = r->info->family == FAMILY_HMAC;
	size_t least = hmac ? KEY_HMAC_MIN : r->info->key_len;
	size_t most = hmac ? KEY_HMAC_MAX : r->info->key_len;
	enum status st = member_bytes(r, key, "key", &d->private_key);

	if (st != ST_OK)
		return st;
	if (d->private_key.n == 0)
		return no_key(r);
	if (d->private_key.n < least || d->private_key.n > most)
		return err_set(r->err, ST_INVALID,
		               "the key of version %u of the backup has %zu bytes, which no key of "
		               "type %s has",
		               r->number, d->private_key.n, r->info->name);
	if (hmac)
		d->mac_key = d->private_key;
	return ST_OK;
}

/* Seed and public key, or the public key alone. */
static enum status read_ed25519(struct reading *r, const struct json_value *key,
                                struct version_data *d)
{
	struct pkey_parts parts = {.home = NULL};
	struct span whole;
	enum status st = member_bytes(r, key, "key", &whole);

	if (st == ST_OK && whole.n == 0)
		st = member_bytes(r, key, "public_key", &parts.x);
	if (st != ST_OK)
		return st;
	if (whole.n == 0 && (parts.x.n == 0 || r->b->head.derived))
		return no_key(r);
	if (whole.n != 0 && whole.n != KEY_ED25519_LEN)
		return member_wrong(r, "key", "64 bytes");
	if (whole.n != 0) {
		parts.d = span_of(whole.p, KEY_ED25519_LEN / 2);
		parts.x = span_from(whole, KEY_ED25519_LEN / 2);
	}
	return take_parts(r, &parts, d);
}

static enum status read_ec(struct reading *r, const struct json_value *key, struct version_data *d)
{
	size_t n = pkey_info(r->info->pkey)->len;
	struct pkey_parts parts = {.home = NULL};
	enum status st = member_number(r, key, "ec_x", n, &parts.x);

	if (st == ST_OK)
		st = member_number(r, key, "ec_y", n, &parts.y);
	if (st == ST_OK)
		st = member_number(r, key, "ec_d", n, &parts.d);
	if (st != ST_OK)
		return st;
	return parts.x.n == 0 || parts.y.n == 0 ? no_key(r) : take_parts(r, &parts, d);
}

static enum status read_primes(struct reading *r, const struct json_value *rsa, size_t n,
                               struct pkey_parts *ret)
{
	const struct json_value *primes = json_member(rsa, "Primes"), *first;
	enum status st;

	if (primes == NULL || primes->type != JSON_ARRAY || primes->count != 2)
		return member_wrong(r, "Primes", "two numbers");
	first = json_first(primes);
	st = member_number_value(r, first, "Primes", n, &ret->p);
	if (st == ST_OK)
		st = member_number_value(r, json_next(first), "Primes", n, &ret->q);
	if (st == ST_OK)
		st = member_number(r, rsa, "D", n, &ret->d);
	return st == ST_OK && (ret->p.n == 0 || ret->q.n == 0 || ret->d.n == 0) ? no_key(r) : st;
}

static enum status read_rsa(struct reading *r, const struct json_value *key, struct version_data *d)
{
	size_t n = pkey_info(r->info->pkey)->len;
	struct pkey_parts parts = {.home = NULL};
	const struct json_value *whole, *half = NULL;
	enum status st = member_object(r, key, "rsa_key", &whole);

	if (st == ST_OK && whole == NULL)
		st = member_object(r, key, "rsa_public_key", &half);
	if (st != ST_OK)
		return st;
	if (whole == NULL && half == NULL)
		return no_key(r);
	st = member_number(r, whole != NULL ? whole : half, "N", n, &parts.n);
	if (st == ST_OK)
		st =
		    member_number(r, whole != NULL ? whole : half, "E", sizeof(uint64_t), &parts.e);
	if (st == ST_OK && whole != NULL)
		st = read_primes(r, whole, n, &parts);
	if (st != ST_OK)
		return st;
	return parts.n.n == 0 || parts.e.n == 0 ? no_key(r) : take_parts(r, &parts, d);
}

static enum status read_material(struct reading *r, const struct json_value *key,
                                 struct version_data *d)
{
	switch (r->info->family) {
	case FAMILY_ED25519:
		return read_ed25519(r, key, d);
	case FAMILY_EC:
		return read_ec(r, key, d);
	case FAMILY_RSA:
		return read_rsa(r, key, d);
	case FAMILY_AEAD:
	case FAMILY_OFB:
	case FAMILY_HMAC:
	default:
		return read_symmetric(r, key, d);
	}
}

/* ---- a version ---- */

static enum status read_mac_key(struct reading *r, const struct json_value *key,
                                struct version_data *d)
{
	enum status st;

	if (r->info->family == FAMILY_HMAC)
		return ST_OK;
	st = member_bytes(r, key, "hmac_key", &d->mac_key);
	if (st == ST_OK && d->mac_key.n != 0 && d->mac_key.n != KEY_MAC_LEN)
		return member_wrong(r, "hmac_key", "32 bytes");
	return st;
}

/* A chain must be of the very key, as when it is set. */
static enum status check_chain(struct reading *r, const struct version_data *d, struct span chain)
{
	struct pkey *k = NULL;
	enum status st;

	if (chain.n > KEY_CHAIN_MAX || r->info->public_name == NULL)
		return member_wrong(r, "certificate_chain", "absent, or a chain of 64 KiB at most");
	st = material_pkey(r->b->head.type, d, &k, r->err);
	if (st != ST_OK)
		return st;
	st = cert_chain_check(k, chain, r->err);
	pkey_unref(&k);
	return st == ST_OK || st == ST_NOMEM
	           ? st
	           : err_wrap(r->err, ST_INVALID,
	                      "\"certificate_chain\" of version %u of the backup", r->number);
}

/* Certificates, each with its length before it. */
static enum status read_chain(struct reading *r, const struct json_value *key,
                              struct version_data *d)
{
	const struct json_value *chain = json_member(key, "certificate_chain"), *v;
	struct builder b = {.max = BACKUP_TEXT_MAX};
	enum status st = ST_OK;

	if (!member_given(chain))
		return ST_OK;
	if (chain->type != JSON_ARRAY)
		return member_wrong(r, "certificate_chain", "a list of certificates");
	v = json_first(chain);
	for (uint32_t i = 0; st == ST_OK && i < chain->count; i++, v = json_next(v)) {
		struct span der = {0};

		if (v->type != JSON_STRING)
			st = member_wrong(r, "certificate_chain", "a list of certificates");
		else
			st = member_unbase64(r, "certificate_chain", v->text, &der);
		builder_lv(&b, der);
	}
	if (st == ST_OK && builder_status(&b) != ST_OK)
		st = member_no_memory(r);
	if (st == ST_OK && b.n > 0)
		st = check_chain(r, d, builder_span(&b));
	if (st == ST_OK)
		st = member_keep(r, builder_span(&b), &d->chain);
	builder_free(&b);
	return st;
}

static enum status read_created(struct reading *r, const struct json_value *key,
                                struct version_data *d)
{
	int64_t seconds = 0;
	enum status st = member_time(r, key, "time", &d->created_ns);

	if (st != ST_OK || d->created_ns != 0)
		return st;
	st = member_int(r, key, "creation_time", 0, INT64_MAX / NS_PER_S, &seconds);
	d->created_ns = seconds * NS_PER_S;
	return st;
}

/* What only we write: state and counts. */
static enum status read_ours(struct reading *r, const struct json_value *key,
                             struct backup_version *ret)
{
	const struct json_value *ours;
	struct span state = {0};
	bool known = true;
	enum status st = member_object(r, key, "keyturn", &ours);

	ret->data.uses_unknown = true;
	if (st != ST_OK || ours == NULL)
		return st;
	ret->counted = true;
	st = member_text(r, ours, "state", &state);
	if (st == ST_OK && state.n > 0 && backup_state_find(state, &ret->data.state) != ST_OK)
		st = member_wrong(r, "state", "\"usable\", \"disabled\" or \"destroyed\"");
	if (st == ST_OK)
		st = member_bool(r, ours, "rewrap_only", &ret->data.rewrap_only);
	if (st == ST_OK)
		st = member_time(r, ours, "destroy_time", &ret->data.destroyed_ns);
	if (st == ST_OK)
		st = member_u64(r, ours, "encryptions", USES_LIMIT_MAX, &ret->counts.encryptions);
	if (st == ST_OK)
		st = member_u64(r, ours, "decryptions", INT64_MAX, &ret->counts.decryptions);
	if (st == ST_OK)
		st = member_u32(r, ours, "last_used_day", UINT32_MAX, &ret->counts.last_day);
	if (st == ST_OK)
		st = member_bool(r, ours, "earlier_uses_known", &known);
	ret->data.uses_unknown = !known;
	return st;
}

static enum status read_convergent(struct reading *r, const struct json_value *key)
{
	int64_t version = 0;
	enum status st = member_int(r, key, "convergent_version", -1, INT32_MAX, &version);

	if (st != ST_OK || !r->b->head.convergent)
		return st;
	if (version == 0)
		version = r->convergent == 0 ? 1 : r->convergent;
	return version == CONVERGENT_VERSION
	           ? ST_OK
	           : err_set(r->err, ST_INVALID,
	                     "version %u of the backup encrypts convergently in an old way (%lld), "
	                     "which is not supported",
	                     r->number, (long long)version);
}

enum status backup_read_version(struct reading *r, const struct json_value *key,
                                struct backup_version *ret)
{
	struct span reference = {0};
	enum status st;

	if (slow_is_over(r->since))
		return err_set(r->err, ST_UNAVAILABLE, "the store was closed");
	if (key == NULL || key->type != JSON_OBJECT)
		return err_set(r->err, ST_INVALID, "the backup lacks version %u", r->number);
	st = read_ours(r, key, ret);
	if (st == ST_OK)
		st = read_created(r, key, &ret->data);
	if (st != ST_OK || ret->data.state == VERSION_DESTROYED)
		return st;
	st = member_text(r, key, "external_key_ref", &reference);
	if (st == ST_OK && reference.n > 0)
		return err_set(r->err, ST_INVALID,
		               "version %u of the backup is a key that lies elsewhere", r->number);
	if (st == ST_OK)
		st = read_convergent(r, key);
	if (st == ST_OK)
		st = read_material(r, key, &ret->data);
	if (st == ST_OK)
		st = read_mac_key(r, key, &ret->data);
	return st == ST_OK ? read_chain(r, key, &ret->data) : st;
}
