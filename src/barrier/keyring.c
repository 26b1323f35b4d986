#include "barrier/keyring.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "crypto/ct.h"

#define SEGMENT       256
#define SEGMENTS      (KEYRING_TERMS_MAX / SEGMENT)
#define HEAD_VERSION  1
#define TERM_VERSION  3
#define KEYRING_MAGIC 0x6b657972u

const struct rotate_settings rotate_settings_default = {
    .max_operations = ROTATE_MAX_OPERATIONS_DEFAULT,
    .enabled = true,
};

struct term {
	struct secret *key; /* NULL: retired */
	int64_t install_ns;
	int64_t retire_ns;
	enum term_cause cause;
};

/*
 * Shared by a keyring and its successors; freed with the last of them.  Entries above a keyring's active term are
 * the business of its successors: a keyring never looks at them.  So an entry is written before any reader can
 * hold a keyring that reaches it, and one of a commit that failed is simply written again.
 */
struct table {
	atomic_uint refs;
	struct secret *wrap;
	struct hmac_key *mac;
	uint8_t id[STORE_ID_LEN];
	struct term *segments[SEGMENTS];
};

struct keyring {
	unsigned magic;
	atomic_uint refs;
	struct table *table;
	uint32_t active;
	uint32_t allowance;
	uint8_t terms_mac[SHA256_LEN]; /* exclusive or over all term records */
	struct rotate_settings settings;
};

const char *term_state_name(enum term_state s)
{
	static const char *const names[] = {"active", "decrypt_only", "retired"};

	return names[s];
}

const char *term_cause_name(enum term_cause c)
{
	static const char *const names[] = {"unknown",        "init",     "manual",
	                                    "max_operations", "interval", "import"};

	return c >= CAUSE_INIT && c <= CAUSE_IMPORT ? names[c] : names[0];
}

static void table_unref(struct table *t)
{
	if (atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) != 1)
		return;
	for (size_t i = 0; i < SEGMENTS && t->segments[i] != NULL; i++) {
		for (size_t j = 0; j < SEGMENT; j++)
			secret_free(&t->segments[i][j].key);
		free(t->segments[i]);
	}
	secret_free(&t->wrap);
	hmac_key_free(&t->mac);
	free(t);
}

static struct term *table_at(const struct table *t, uint32_t number)
{
	return &t->segments[number / SEGMENT][number % SEGMENT];
}

/* Put a term in its place; takes the key on success. */
static enum status table_put(struct table *t, uint32_t number, const struct term *term)
{
	struct term **segment = &t->segments[number / SEGMENT];
	struct term *at;

	if (*segment == NULL) {
		*segment = calloc(SEGMENT, sizeof **segment);
		if (*segment == NULL)
			return ST_NOMEM;
	}
	at = table_at(t, number);
	secret_free(&at->key);
	*at = *term;
	return ST_OK;
}

enum status keyring_new(const struct secret *wrap, const struct secret *mac,
                        const uint8_t id[static STORE_ID_LEN], struct keyring **ret)
{
	struct keyring *k = calloc(1, sizeof *k);
	struct table *t = calloc(1, sizeof *t);

	if (k == NULL || t == NULL)
		goto fail0;
	atomic_init(&t->refs, 1);
	memcpy(t->id, id, STORE_ID_LEN);
	if (secret_from(secret_span(wrap), &t->wrap) != ST_OK)
		goto fail0;
	if (hmac_key_new(secret_span(mac), &t->mac) != ST_OK)
		goto fail1;
	k->magic = KEYRING_MAGIC;
	atomic_init(&k->refs, 1);
	k->table = t;
	k->settings = rotate_settings_default;
	*ret = k;
	return ST_OK;
fail1:
	secret_free(&t->wrap);
fail0:
	free(t);
	free(k);
	return ST_NOMEM;
}

const struct keyring *keyring_ref(const struct keyring *k)
{
	struct keyring *mine = (struct keyring *)(uintptr_t)k;

	MUST(k->magic == KEYRING_MAGIC);
	atomic_fetch_add_explicit(&mine->refs, 1, memory_order_relaxed);
	return k;
}

void keyring_unref(const struct keyring **k)
{
	struct keyring *mine = (struct keyring *)(uintptr_t)*k;

	if (mine == NULL)
		return;
	*k = NULL;
	MUST(mine->magic == KEYRING_MAGIC);
	if (atomic_fetch_sub_explicit(&mine->refs, 1, memory_order_acq_rel) != 1)
		return;
	table_unref(mine->table);
	mine->magic = 0;
	free(mine);
}

/* A copy that shares the table, to be changed before anybody else sees it. */
static struct keyring *successor(const struct keyring *from)
{
	struct keyring *k = calloc(1, sizeof *k);

	MUST(from->magic == KEYRING_MAGIC);
	if (k == NULL)
		return NULL;
	k->magic = KEYRING_MAGIC;
	atomic_init(&k->refs, 1);
	k->table = from->table;
	atomic_fetch_add_explicit(&k->table->refs, 1, memory_order_relaxed);
	k->active = from->active;
	k->allowance = from->allowance;
	k->settings = from->settings;
	memcpy(k->terms_mac, from->terms_mac, SHA256_LEN);
	return k;
}

/* HMAC(k, "keyturn term" | number | record) into or out of the running exclusive or. */
static void toggle_term_mac(struct keyring *k, uint32_t number, struct span record)
{
	uint8_t be[4] = {(uint8_t)(number >> 24), (uint8_t)(number >> 16), (uint8_t)(number >> 8),
	                 (uint8_t)number};
	struct span parts[3] = {span_str("keyturn term"), span_of(be, sizeof be), record};
	uint8_t mac[SHA256_LEN];

	hmac_sha256(k->table->mac, parts, 3, mac);
	ct_xor(k->terms_mac, mac, SHA256_LEN);
	wipe(mac, sizeof mac);
}

/* The key under which a term key is sealed: HKDF(term-wrapping key, salt: slot secret). */
static enum status wrapping_key(const struct table *t, const struct secret *slot,
                                struct aead_key **ret)
{
	struct secret *k;
	enum status st = secret_new(TERM_KEY_LEN, &k);

	if (st != ST_OK)
		return st;
	hkdf_sha256(secret_span(t->wrap), secret_span(slot), span_str("keyturn term key v1"), k);
	st = aead_key_new(AEAD_AES256_GCM, secret_span(k), ret);
	secret_free(&k);
	return st;
}

/*
 * Term record: 4 zero (term 0) | 1 version 3 | 4 number | 8 install | 1 cause | 1 state (0 live, 1 retired) | 8 retire | 12 nonce |
 * 32 sealed key | 16 tag.  Associated data: the path and all before the nonce.
 */
#define TERM_FIXED_LEN  (4 + 1 + 4 + 8 + 1 + 1 + 8)
#define TERM_RECORD_LEN (TERM_FIXED_LEN + AEAD_GCM_NONCE_LEN + TERM_KEY_LEN + AEAD_TAG_LEN)
#define TERM_AAD_MAX    (TERM_FIXED_LEN + 32)

static struct span term_aad(struct builder *b, uint32_t number, struct span fixed)
{
	builder_fmt(b, KEYRING_TERM_PATH, number);
	builder_add(b, fixed);
	MUST(builder_status(b) == ST_OK);
	return builder_span(b);
}

static enum status seal_term(const struct table *t, uint32_t number, const struct term *term,
                             const struct secret *slot, const struct random *random,
                             struct builder *out)
{
	uint8_t nonce[AEAD_GCM_NONCE_LEN], aad_buf[TERM_AAD_MAX];
	struct builder aad;
	struct aead_key *k;
	uint8_t *room;
	enum status st = wrapping_key(t, slot, &k);

	if (st != ST_OK)
		return st;
	builder_u32(out, 0);
	builder_u8(out, TERM_VERSION);
	builder_u32(out, number);
	builder_u64(out, (uint64_t)term->install_ns);
	builder_u8(out, (uint8_t)term->cause);
	builder_u8(out, 0);
	builder_u64(out, 0);
	builder_init_fixed(&aad, aad_buf, sizeof aad_buf);
	random_fill(random, nonce, sizeof nonce);
	struct span whole = term_aad(&aad, number, builder_span(out));
	builder_add(out, span_of(nonce, sizeof nonce));
	room = builder_room(out, TERM_KEY_LEN + AEAD_TAG_LEN);
	if (room == NULL) {
		st = builder_status(out);
		goto done;
	}
	st = aead_seal(k, span_of(nonce, sizeof nonce), whole, secret_span(term->key), room);
	if (st == ST_OK)
		builder_took(out, TERM_KEY_LEN + AEAD_TAG_LEN);
done:
	aead_key_free(&k);
	return st;
}

/* What a term record says in clear. */
struct term_fixed {
	struct span fixed, nonce, sealed;
	struct term term;
	bool retired;
};

static enum status parse_term(struct span record, uint32_t number, struct term_fixed *ret)
{
	struct cursor c = cursor_of(record);
	struct term_fixed f = {0};
	uint32_t zero, n;
	uint64_t install, retire;
	uint8_t version, cause, state;

	if (cursor_u32(&c, &zero) != ST_OK || cursor_u8(&c, &version) != ST_OK ||
	    cursor_u32(&c, &n) != ST_OK || cursor_u64(&c, &install) != ST_OK ||
	    cursor_u8(&c, &cause) != ST_OK || cursor_u8(&c, &state) != ST_OK ||
	    cursor_u64(&c, &retire) != ST_OK)
		return ST_CORRUPT;
	f.fixed = span_of(record.p, record.n - c.left);
	if (zero != 0 || version != TERM_VERSION || n != number || cause < CAUSE_INIT ||
	    cause > CAUSE_IMPORT || state > 1)
		return ST_CORRUPT;
	f.retired = state == 1;
	if (!f.retired && (cursor_span(&c, AEAD_GCM_NONCE_LEN, &f.nonce) != ST_OK ||
	                   cursor_span(&c, TERM_KEY_LEN + AEAD_TAG_LEN, &f.sealed) != ST_OK))
		return ST_CORRUPT;
	f.term.install_ns = (int64_t)install;
	f.term.retire_ns = (int64_t)retire;
	f.term.cause = (enum term_cause)cause;
	if (cursor_end(&c) != ST_OK || f.retired != (retire != 0))
		return ST_CORRUPT;
	*ret = f;
	return ST_OK;
}

static enum status open_term(const struct table *t, uint32_t number, const struct term_fixed *f,
                             const struct secret *slot, struct secret **ret)
{
	uint8_t aad_buf[TERM_AAD_MAX];
	struct builder aad;
	struct secret *key;
	struct aead_key *k;
	enum status st = secret_new(TERM_KEY_LEN, &key);

	if (st != ST_OK)
		return st;
	st = wrapping_key(t, slot, &k);
	if (st != ST_OK)
		goto fail;
	builder_init_fixed(&aad, aad_buf, sizeof aad_buf);
	st = aead_open(k, f->nonce, term_aad(&aad, number, f->fixed), f->sealed, secret_bytes(key));
	aead_key_free(&k);
	if (st != ST_OK)
		goto fail;
	*ret = key;
	return ST_OK;
fail:
	secret_free(&key);
	return st;
}

enum status keyring_append(const struct keyring *from, const struct secret *key,
                           const struct secret *slot, enum term_cause cause, int64_t install_ns,
                           const struct random *random, struct keyring **ret,
                           struct builder *record, struct err *err)
{
	struct term term = {.install_ns = install_ns, .cause = cause};
	struct keyring *k = NULL;
	struct secret *again = NULL;
	struct term_fixed f;
	uint32_t number = from->active + 1;
	enum status st;

	MUST(secret_len(key) == TERM_KEY_LEN && secret_len(slot) == SLOT_SECRET_LEN &&
	     record->n == 0);
	if (number >= KEYRING_TERMS_MAX)
		return err_set(err, ST_LIMIT, "this store has all the terms it can have");
	k = successor(from);
	st = k == NULL ? ST_NOMEM : secret_from(secret_span(key), &term.key);
	if (st == ST_OK)
		st = seal_term(k->table, number, &term, slot, random, record);
	if (st != ST_OK)
		goto fail;
	/* Self-check: what will be stored opens to the very key. */
	st = parse_term(builder_span(record), number, &f);
	if (st == ST_OK)
		st = open_term(k->table, number, &f, slot, &again);
	if (st == ST_OK && !ct_equal(secret_span(again), secret_span(key)))
		st = ST_CORRUPT;
	if (st == ST_OK)
		st = table_put(k->table, number, &term);
	if (st != ST_OK)
		goto fail;
	secret_free(&again);
	k->active = number;
	toggle_term_mac(k, number, builder_span(record));
	*ret = k;
	return ST_OK;
fail:
	secret_free(&again);
	secret_free(&term.key);
	if (k != NULL) {
		const struct keyring *gone = k;
		keyring_unref(&gone);
	}
	return err_set(err, st, "the new term %u could not be made: %s", number, status_text(st));
}

enum status keyring_with_settings(const struct keyring *from, const struct rotate_settings *s,
                                  struct keyring **ret)
{
	struct keyring *k = successor(from);

	if (k == NULL)
		return ST_NOMEM;
	k->settings = *s;
	*ret = k;
	return ST_OK;
}

enum status keyring_with_allowance(const struct keyring *from, uint32_t records,
                                   struct keyring **ret)
{
	struct keyring *k = successor(from);

	if (k == NULL)
		return ST_NOMEM;
	k->allowance = records;
	*ret = k;
	return ST_OK;
}

/*
 * Head: 4 zero | 1 version 1 | 16 store id | 4 active | 4 allowance | 8 max_operations | 8 interval | 1 flags (1 enabled, 2 sweep, 4 retire) |
 * 4 sweep_rate | 4 length and interval text | 32 exclusive or of the terms' hashes | 32 HMAC over path and all before.
 */
static void head_mac(const struct hmac_key *mac, struct span body, uint8_t ret[static SHA256_LEN])
{
	struct span parts[2] = {span_str(KEYRING_HEAD_PATH), body};

	hmac_sha256(mac, parts, 2, ret);
}

void keyring_head(const struct keyring *k, struct builder *out)
{
	const struct rotate_settings *s = &k->settings;
	uint8_t mac[SHA256_LEN];

	MUST(out->n == 0);
	builder_u32(out, 0);
	builder_u8(out, HEAD_VERSION);
	builder_add(out, span_of(k->table->id, STORE_ID_LEN));
	builder_u32(out, k->active);
	builder_u32(out, k->allowance);
	builder_u64(out, s->max_operations);
	builder_u64(out, (uint64_t)s->interval_ns);
	builder_u8(out, (uint8_t)((s->enabled ? 1 : 0) | (s->sweep ? 2 : 0) | (s->retire ? 4 : 0)));
	builder_u32(out, s->sweep_rate);
	builder_lv(out, span_str(s->interval_text));
	builder_add(out, span_of(k->terms_mac, SHA256_LEN));
	head_mac(k->table->mac, builder_span(out), mac);
	builder_add(out, span_of(mac, SHA256_LEN));
}

static enum status parse_head(struct span record, const struct hmac_key *mac, struct keyring *ret)
{
	struct cursor c;
	struct span id, text, terms, sum;
	uint8_t version, flags, want[SHA256_LEN];
	uint64_t interval;
	uint32_t zero;
	struct rotate_settings s = {0};

	if (record.n < SHA256_LEN)
		return ST_CORRUPT;
	head_mac(mac, span_of(record.p, record.n - SHA256_LEN), want);
	if (!ct_equal(span_from(record, record.n - SHA256_LEN), span_of(want, SHA256_LEN)))
		return ST_CORRUPT;
	c = cursor_of(record);
	if (cursor_u32(&c, &zero) != ST_OK || zero != 0 || cursor_u8(&c, &version) != ST_OK ||
	    version != HEAD_VERSION || cursor_span(&c, STORE_ID_LEN, &id) != ST_OK ||
	    cursor_u32(&c, &ret->active) != ST_OK || cursor_u32(&c, &ret->allowance) != ST_OK ||
	    cursor_u64(&c, &s.max_operations) != ST_OK || cursor_u64(&c, &interval) != ST_OK ||
	    cursor_u8(&c, &flags) != ST_OK || cursor_u32(&c, &s.sweep_rate) != ST_OK ||
	    cursor_lv(&c, &text) != ST_OK || cursor_span(&c, SHA256_LEN, &terms) != ST_OK ||
	    cursor_span(&c, SHA256_LEN, &sum) != ST_OK || cursor_end(&c) != ST_OK)
		return ST_CORRUPT;
	if (ret->active == 0 || ret->active >= KEYRING_TERMS_MAX ||
	    span_cstr(text, s.interval_text, sizeof s.interval_text) != ST_OK)
		return ST_CORRUPT;
	s.interval_ns = (int64_t)interval;
	s.enabled = (flags & 1) != 0;
	s.sweep = (flags & 2) != 0;
	s.retire = (flags & 4) != 0;
	ret->settings = s;
	memcpy(ret->table->id, id.p, STORE_ID_LEN);
	memcpy(ret->terms_mac, terms.p, SHA256_LEN);
	return ST_OK;
}

/* The record of one term and what it says; valid until the transaction changes or ends. */
static enum status get_term(struct storage_txn *t, const struct keyring *k, uint32_t number,
                            struct span *ret_record, struct term_fixed *ret, struct err *err)
{
	char path[32];
	enum status st;

	snprintf(path, sizeof path, KEYRING_TERM_PATH, number);
	st = t->storage->driver->get(t, span_str(path), ret_record, err);
	if (st == ST_NOT_FOUND || (st == ST_OK && parse_term(*ret_record, number, ret) != ST_OK))
		return err_set(err, ST_CORRUPT, "the record of term %u is missing or damaged",
		               number);
	if (st == ST_OK && ret->retired && number == k->active)
		return err_set(err, ST_CORRUPT, "the active term %u is retired", number);
	return st;
}

/*
 * All term records are there and are those that the head's hash covers.  Before this is known nothing they say is acted on: a forged
 * tombstone must not make us overwrite the slot of a live term.
 */
static enum status check_terms(struct storage_txn *t, const struct keyring *k, struct err *err)
{
	struct keyring *seen = successor(k);
	const struct keyring *gone = seen;
	struct term_fixed f;
	struct span record;
	enum status st = ST_OK;

	if (seen == NULL)
		return err_set(err, ST_NOMEM, "no memory for the keyring");
	wipe(seen->terms_mac, SHA256_LEN);
	for (uint32_t i = 1; st == ST_OK && i <= k->active; i++) {
		st = get_term(t, k, i, &record, &f, err);
		if (st == ST_OK)
			toggle_term_mac(seen, i, record);
	}
	if (st == ST_OK &&
	    !ct_equal(span_of(seen->terms_mac, SHA256_LEN), span_of(k->terms_mac, SHA256_LEN)))
		st = err_set(err, ST_CORRUPT,
		             "the term records do not agree with the keyring's head");
	keyring_unref(&gone);
	return st;
}

/* One term into the table, a live one with its slot and key.  Slots that are missing are named in `missing`. */
static enum status load_term(struct storage_txn *t, struct slots *slots, struct keyring *k,
                             uint32_t number, struct secret *slot, struct builder *missing,
                             struct err *err)
{
	struct term_fixed f = {0};
	struct span record;
	enum status st = get_term(t, k, number, &record, &f, err);

	if (st == ST_OK && !f.retired) {
		st = slots_read(slots, number, slot, err);
		if (st == ST_NOT_FOUND || st == ST_DENIED) {
			builder_fmt(missing, "%s%u", missing->n == 0 ? "" : ", ", number);
			return ST_OK;
		}
		if (st == ST_OK)
			st = open_term(k->table, number, &f, slot, &f.term.key);
		if (st == ST_CORRUPT)
			return err_set(err, ST_CORRUPT, "the key of term %u cannot be opened",
			               number);
	}
	if (st == ST_OK)
		st = table_put(k->table, number, &f.term);
	if (st == ST_NOMEM)
		err_set(err, st, "no locked memory for the keyring");
	if (st != ST_OK)
		secret_free(&f.term.key);
	return st;
}

/* All terms; then the slots of retired ones are overwritten again: a retirement that a crash cut short is finished. */
static enum status load_terms(struct storage_txn *t, struct slots *slots, struct keyring *k,
                              struct err *err)
{
	struct secret *slot;
	struct builder missing;
	char missing_buf[120];
	enum status st = secret_new(SLOT_SECRET_LEN, &slot);

	if (st != ST_OK)
		return err_set(err, st, "no locked memory for the keyring");
	builder_init_fixed(&missing, missing_buf, sizeof missing_buf);
	for (uint32_t i = 1; st == ST_OK && i <= k->active; i++)
		st = load_term(t, slots, k, i, slot, &missing, err);
	secret_free(&slot);
	if (st == ST_OK && missing.n > 0)
		st = err_set(err, ST_NOT_FOUND,
		             "the slot files lack the terms %.*s%s: restore slots.0 or slots.1",
		             (int)missing.n, missing_buf,
		             builder_status(&missing) == ST_OK ? "" : " and more");
	for (uint32_t i = 1; st == ST_OK && i <= k->active; i++)
		if (table_at(k->table, i)->retire_ns != 0)
			st = slots_destroy_again(slots, i, err);
	return st;
}

enum status keyring_load(struct storage_txn *t, struct slots *slots, const struct secret *wrap,
                         const struct secret *mac, struct keyring **ret, struct err *err)
{
	static const uint8_t no_id[STORE_ID_LEN];
	const struct keyring *gone;
	struct keyring *k;
	struct span head;
	enum status st = keyring_new(wrap, mac, no_id, &k);

	if (st != ST_OK)
		return err_set(err, st, "no memory for the keyring");
	st = t->storage->driver->get(t, span_str(KEYRING_HEAD_PATH), &head, err);
	if (st == ST_NOT_FOUND)
		st = err_set(err, ST_CORRUPT, "the keyring's head is missing");
	else if (st == ST_OK && parse_head(head, k->table->mac, k) != ST_OK)
		st = err_set(err, ST_CORRUPT,
		             "the keyring's head is damaged or of another root key");
	if (st == ST_OK)
		st = check_terms(t, k, err);
	if (st == ST_OK) {
		slots_bind(slots, k->table->id);
		st = load_terms(t, slots, k, err);
	}
	if (st != ST_OK)
		goto fail;
	*ret = k;
	return ST_OK;
fail:
	gone = k;
	keyring_unref(&gone);
	return st;
}

uint32_t keyring_active(const struct keyring *k)
{
	MUST(k->magic == KEYRING_MAGIC);
	return k->active;
}

uint32_t keyring_allowance(const struct keyring *k)
{
	return k->allowance;
}

const struct rotate_settings *keyring_settings(const struct keyring *k)
{
	return &k->settings;
}

const uint8_t *keyring_store_id(const struct keyring *k)
{
	return k->table->id;
}

const struct hmac_key *keyring_mac_key(const struct keyring *k)
{
	return k->table->mac;
}

enum status keyring_info(const struct keyring *k, uint32_t number, struct term_info *ret)
{
	const struct term *t;

	if (number == 0 || number > k->active)
		return ST_NOT_FOUND;
	t = table_at(k->table, number);
	*ret = (struct term_info){
	    .number = number,
	    .state = t->retire_ns != 0     ? TERM_RETIRED
	             : number == k->active ? TERM_ACTIVE
	                                   : TERM_DECRYPT_ONLY,
	    .cause = t->cause,
	    .install_ns = t->install_ns,
	    .retire_ns = t->retire_ns,
	};
	return ST_OK;
}

enum status keyring_key(const struct keyring *k, uint32_t number, struct aead_key **ret,
                        struct err *err)
{
	const struct term *t;

	if (number == 0 || number > k->active)
		return err_set(err, ST_CORRUPT,
		               "a record is under term %u, which this keyring does not have",
		               number);
	t = table_at(k->table, number);
	if (t->key == NULL)
		return err_set(err, ST_CORRUPT,
		               "a record is under term %u, which was retired: its key is destroyed",
		               number);
	if (aead_key_new(AEAD_AES256_GCM, secret_span(t->key), ret) != ST_OK)
		return err_set(err, ST_NOMEM, "no locked memory for the key of term %u", number);
	return ST_OK;
}
