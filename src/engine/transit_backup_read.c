/*
 * Reading a backup: base64 of {"policy": {..., "keys": {"1": KEY, ...}}, "archived_keys": {"keys": [KEY, ...]}}.
 *
 * The versions from min_decryption_version on are in "keys", all there are in the archive, in order, from min_available_version on (so its first one is
 * version 0, which is empty, when nothing was trimmed).  Each version must be in one of them; "keys" counts when both have it.
 */
#include <stdlib.h>

#include "base/clock.h"
#include "crypto/ct.h"
#include "engine/transit_backup_impl.h"
#include "engine/transit_impl.h"

/* In the reference's policies. */
#define KDF_HKDF_SHA256 1
#define NUMBER_TYPE_VAULT \
	11 /* HashiCorp Vault's number of hmac keys; of the reference's xchacha20-poly1305, which never have a key_size */

/* So that a restored key can go on rotating. */
#define LATEST_MAX (KEY_VERSIONS_MAX / 2)

static const struct json_limits limits = {.depth = 16, .values = 1000000, .string = 1u << 20};

/* ---- the versions ---- */

/* As the reference does when it reads a key whose latest version has none. */
static enum status complete_latest(struct reading *r, const struct random *random)
{
	struct version_data *d = &r->b->versions[r->b->n - 1].data;
	uint8_t *p;

	if (d->state != VERSION_USABLE)
		return err_set(r->err, ST_INVALID,
		               "the latest version of the backup is not usable");
	if (d->mac_key.n > 0)
		return ST_OK;
	p = arena_alloc(&r->b->room, KEY_MAC_LEN);
	if (p == NULL)
		return member_no_memory(r);
	random_fill(random, p, KEY_MAC_LEN);
	d->mac_key = span_of(p, KEY_MAC_LEN);
	return ST_OK;
}

static enum status read_versions(struct reading *r, const struct random *random)
{
	struct backup *b = r->b;
	enum status st = ST_OK;

	b->versions = calloc(b->n, sizeof *b->versions);
	if (b->versions == NULL)
		return member_no_memory(r);
	for (size_t i = 0; st == ST_OK && i < b->n; i++) {
		r->number = b->first + (uint32_t)i;
		st = backup_read_version(r, r->places[i], &b->versions[i]);
	}
	r->number = 0;
	if (st == ST_OK)
		st = complete_latest(r, random);
	if (st == ST_OK && r->info->family == FAMILY_HMAC)
		b->head.key_size = (uint32_t)b->versions[b->n - 1].data.private_key.n;
	return st;
}

/* ---- where the versions are ---- */

static enum status number_of(struct span name, uint32_t *ret)
{
	uint32_t v = 0;

	if (name.n == 0 || name.n > 9)
		return ST_INVALID;
	for (size_t i = 0; i < name.n; i++) {
		if (name.p[i] < '0' || name.p[i] > '9')
			return ST_INVALID;
		v = v * 10 + (uint32_t)(name.p[i] - '0');
	}
	*ret = v;
	return ST_OK;
}

static void place(struct reading *r, uint32_t number, const struct json_value *key)
{
	if (number >= r->b->first && number - r->b->first < r->b->n)
		r->places[number - r->b->first] = key;
}

static enum status find_archived(struct reading *r, const struct json_value *root)
{
	const struct json_value *archive, *list, *v;
	uint32_t number = r->b->head.min_available;
	enum status st = member_object(r, root, "archived_keys", &archive);

	if (st != ST_OK || archive == NULL)
		return st;
	list = json_member(archive, "keys");
	if (!member_given(list))
		return ST_OK;
	if (list->type != JSON_ARRAY)
		return member_wrong(r, "archived_keys", "a list of keys");
	v = json_first(list);
	for (uint32_t i = 0; i < list->count; i++, v = json_next(v), number++)
		place(r, number, v);
	return ST_OK;
}

static enum status find_versions(struct reading *r, const struct json_value *root)
{
	const struct json_value *keys, *v;
	uint32_t number;
	enum status st = find_archived(r, root);

	if (st == ST_OK)
		st = member_object(r, r->policy, "keys", &keys);
	if (st != ST_OK || keys == NULL)
		return st;
	v = json_first(keys);
	for (uint32_t i = 0; i < keys->count; i++, v = json_next(v)) {
		if (number_of(v->name, &number) != ST_OK || number > r->b->head.latest)
			return member_wrong(r, "keys",
			                    "versions by their numbers, up to the latest");
		place(r, number, v);
	}
	return ST_OK;
}

/* ---- the policy ---- */

static enum status read_type(struct reading *r, const struct json_value *ours)
{
	struct key_head *h = &r->b->head;
	struct span name = {0};
	int64_t number = 0;
	enum status st = member_int(r, r->policy, "type", BACKUP_TYPE_OURS, INT32_MAX, &number);

	if (st == ST_OK)
		st = member_text(r, ours, "type", &name);
	if (st == ST_OK)
		st = member_u32(r, r->policy, "key_size", KEY_HMAC_MAX, &h->key_size);
	if (st != ST_OK)
		return st;
	if (number == BACKUP_TYPE_OURS)
		st = key_type_find(name, r->offer, &h->type);
	else if (number == NUMBER_TYPE_VAULT && h->key_size != 0)
		h->type = KEY_HMAC;
	else
		st = key_type_of_reference(number, &h->type);
	if (st != ST_OK || !key_type_offered(h->type, r->offer))
		return err_set(r->err, ST_INVALID,
		               "the backup is of a key of an unknown type (%lld)",
		               (long long)number);
	r->info = key_type_info(h->type);
	if (r->info->family != FAMILY_HMAC && h->key_size != 0)
		return err_set(r->err, ST_INVALID,
		               "the backup has a key_size, which keys of type %s do not have",
		               r->info->name);
	return ST_OK;
}

static enum status read_derivation(struct reading *r)
{
	struct key_head *h = &r->b->head;
	int64_t kdf = 0;
	enum status st = member_bool(r, r->policy, "derived", &h->derived);

	if (st == ST_OK)
		st = member_int(r, r->policy, "kdf", 0, INT32_MAX, &kdf);
	if (st == ST_OK)
		st = member_bool(r, r->policy, "convergent_encryption", &h->convergent);
	if (st == ST_OK)
		st = member_int(r, r->policy, "convergent_version", -1, INT32_MAX, &r->convergent);
	if (st != ST_OK)
		return st;
	if (h->derived && kdf != KDF_HKDF_SHA256)
		return err_set(
		    r->err, ST_INVALID,
		    "the backup's key derives keys in an old way (kdf %lld), which is not "
		    "supported",
		    (long long)kdf);
	if (h->derived && !r->info->derives)
		return err_set(r->err, ST_INVALID,
		               "key derivation not supported for keys of type %s", r->info->name);
	if (h->convergent && (!h->derived || r->info->family != FAMILY_AEAD))
		return err_set(
		    r->err, ST_INVALID,
		    "the backup's key encrypts convergently, which only derived keys that "
		    "encrypt can");
	return ST_OK;
}

static enum status read_flags(struct reading *r)
{
	struct key_head *h = &r->b->head;
	const struct {
		const char *name;
		bool *to;
	} flags[] = {{"exportable", &h->exportable},
	             {"deletion_allowed", &h->deletion_allowed},
	             {"allow_plaintext_backup", &h->plaintext_backup},
	             {"Imported", &h->imported},
	             {"AllowImportedKeyRotation", &h->import_rotation},
	             {"soft_deleted", &h->soft_deleted}};
	enum status st = ST_OK;

	for (size_t i = 0; st == ST_OK && i < sizeof flags / sizeof *flags; i++)
		st = member_bool(r, r->policy, flags[i].name, flags[i].to);
	return st;
}

static enum status read_mark(struct reading *r, const char *name, struct key_mark *ret)
{
	const struct json_value *v;
	enum status st = member_object(r, r->policy, name, &v);

	if (st != ST_OK || v == NULL)
		return st;
	st = member_time(r, v, "time", &ret->time_ns);
	return st == ST_OK ? member_u32(r, v, "version", KEY_VERSIONS_MAX, &ret->version) : st;
}

static enum status check_numbers(struct reading *r)
{
	const struct key_head *h = &r->b->head;

	if (h->latest == 0)
		return err_set(r->err, ST_INVALID, "the backup has no version");
	if (h->min_decryption > h->latest || h->min_encryption > h->latest ||
	    h->min_available > h->min_decryption ||
	    (h->min_encryption != 0 && h->min_encryption < h->min_decryption))
		return err_set(r->err, ST_INVALID,
		               "the version numbers of the backup contradict each other");
	if (h->latest - h->min_available >= BACKUP_VERSIONS_MAX + (h->min_available == 0 ? 1 : 0))
		return err_set(r->err, ST_LIMIT,
		               "the backup has more than %u versions, which is more than can be "
		               "restored",
		               BACKUP_VERSIONS_MAX);
	return ST_OK;
}

static enum status read_numbers(struct reading *r)
{
	struct key_head *h = &r->b->head;
	const struct {
		const char *name;
		uint32_t *to;
	} numbers[] = {{"latest_version", &h->latest},
	               {"min_decryption_version", &h->min_decryption},
	               {"min_encryption_version", &h->min_encryption},
	               {"min_available_version", &h->min_available}};
	enum status st = ST_OK;

	for (size_t i = 0; st == ST_OK && i < sizeof numbers / sizeof *numbers; i++)
		st = member_u32(r, r->policy, numbers[i].name, LATEST_MAX, numbers[i].to);
	if (h->min_decryption == 0)
		h->min_decryption = 1;
	if (st == ST_OK)
		st = check_numbers(r);
	if (st != ST_OK)
		return st;
	r->b->first = h->min_available > 0 ? h->min_available : 1;
	r->b->n = h->latest - r->b->first + 1;
	return ST_OK;
}

static enum status read_period(struct reading *r)
{
	int64_t ns = 0;
	enum status st = member_int(r, r->policy, "auto_rotate_period", 0, INT64_MAX, &ns);

	if (st == ST_OK && ns != 0 &&
	    (ns / NS_PER_S < KEY_AUTO_ROTATE_LEAST_S || ns / NS_PER_S > KEY_AUTO_ROTATE_MOST_S))
		return member_wrong(r, "auto_rotate_period",
		                    "0, or from an hour to 100 years, in nanoseconds");
	r->b->head.auto_rotate_s = (uint32_t)(ns / NS_PER_S);
	return st;
}

/* Settings that only we have. */
static enum status read_own_settings(struct reading *r, const struct json_value *ours)
{
	struct key_head *h = &r->b->head;
	enum status st = member_u64(r, ours, "max_operations", USES_LIMIT_MAX, &h->max_operations);

	if (st == ST_OK)
		st = member_u32(r, ours, "max_versions", INT32_MAX, &h->max_versions);
	if (st == ST_OK)
		st = member_int(r, ours, "retire_after", 0, INT64_MAX / NS_PER_S,
		                &h->retire_after_s);
	if (st == ST_OK && h->max_operations != 0 && !key_type_is_cipher(h->type))
		return member_wrong(r, "max_operations", "0 for a key of this type");
	return st;
}

static enum status read_policy(struct reading *r)
{
	const struct json_value *ours;
	struct span prefix = {0};
	enum status st = member_object(r, r->policy, "keyturn", &ours);

	if (st == ST_OK)
		st = read_type(r, ours);
	if (st == ST_OK)
		st = read_derivation(r);
	if (st == ST_OK)
		st = read_flags(r);
	if (st == ST_OK)
		st = read_numbers(r);
	if (st == ST_OK)
		st = read_period(r);
	if (st == ST_OK)
		st = read_mark(r, "backup_info", &r->b->head.backup);
	if (st == ST_OK)
		st = read_own_settings(r, ours);
	if (st == ST_OK)
		st = member_text(r, r->policy, "version_template", &prefix);
	if (st == ST_OK && prefix.n > 0 && !span_eq_str(prefix, "vault:v{{version}}:"))
		return err_set(
		    r->err, ST_INVALID,
		    "the backup's key has a prefix of its own for ciphertexts, which is not "
		    "supported");
	return st;
}

/* ---- the text ---- */

static enum status read_root(struct reading *r, const struct json_value *root,
                             const struct random *random)
{
	struct span name = {0};
	enum status st;

	if (root->type != JSON_OBJECT)
		return err_set(r->err, ST_INVALID, "the backup must be an object");
	st = member_object(r, root, "policy", &r->policy);
	if (st == ST_OK && r->policy == NULL)
		st = member_wrong(r, "policy", "there");
	if (st == ST_OK)
		st = member_text(r, r->policy, "name", &name);
	if (st == ST_OK)
		st = member_keep(r, name, &r->b->name);
	if (st == ST_OK)
		st = read_policy(r);
	if (st != ST_OK)
		return st;
	r->places = calloc(r->b->n, sizeof *r->places);
	if (r->places == NULL)
		return member_no_memory(r);
	st = find_versions(r, root);
	return st == ST_OK ? read_versions(r, random) : st;
}

enum status backup_read_json(struct backup *b, uint8_t *json, size_t n, enum key_offer offer,
                             const struct random *random, const struct slow_since *since,
                             struct err *err)
{
	struct err own = {0};
	struct reading r = {
	    .b = b, .offer = offer, .since = since, .err = err != NULL ? err : &own};
	struct json doc;
	enum status st;

	json_init(&doc);
	st = json_parse(&doc, json, n, &limits, r.err);
	if (st == ST_INVALID)
		st = err_wrap(r.err, st, "the backup");
	if (st == ST_OK)
		st = read_root(&r, json_root(&doc), random);
	free(r.places);
	json_free(&doc);
	if (st != ST_OK)
		backup_free(b);
	return st;
}

/* Line ends within are passed over, as in ciphertexts. */
static struct span without_line_ends(struct span text, uint8_t *out)
{
	size_t n = 0;

	for (size_t i = 0; i < text.n; i++)
		if (text.p[i] != '\n' && text.p[i] != '\r')
			out[n++] = text.p[i];
	return span_of(out, n);
}

enum status backup_read(struct backup *b, struct span text, enum key_offer offer,
                        const struct random *random, const struct slow_since *since,
                        struct err *err)
{
	uint8_t *flat, *json;
	size_t cap, n;
	enum status st;

	if (text.n > BACKUP_TEXT_MAX)
		return err_set(err, ST_LIMIT, "the backup is longer than %zu bytes",
		               BACKUP_TEXT_MAX);
	flat = secret_alloc(text.n + 1);
	if (flat == NULL)
		return err_set(err, ST_NOMEM, "no locked memory for a backup");
	text = without_line_ends(text, flat);
	cap = text.n / 4 * 3;
	json = secret_alloc(cap + 1);
	st = json == NULL ? err_set(err, ST_NOMEM, "no locked memory for a backup")
	                  : ct_unbase64(text, json, cap, &n);
	secret_release(flat);
	if (st == ST_INVALID)
		st = err_set(err, st, "the backup is not base64");
	if (st == ST_OK)
		st = backup_read_json(b, json, n, offer, random, since, err);
	secret_release(json);
	return st;
}

void backup_free(struct backup *b)
{
	free(b->versions);
	arena_free(&b->room);
	*b = (struct backup){.n = 0};
}
