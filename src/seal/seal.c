#include "seal/seal.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/aead.h"
#include "crypto/ct.h"
#include "crypto/kdf.h"
#include "seal/shamir.h"

#define CONFIG_VERSION  1
#define ROOT_VERSION    1
#define ROOT_RECORD_LEN (5 + AEAD_GCM_NONCE_LEN + SEAL_KEY_LEN + AEAD_TAG_LEN)

struct seal {
	struct writer *writer;
	const struct random *random;
	pthread_mutex_t lock; /* guards status; only the writer's thread changes it */
	struct seal_status status;
	struct secret *offered[SHAMIR_SHARES_MAX]; /* status.progress of them */
	struct secret *kek;                        /* while OPEN */
	struct secret *root;                       /* while OPEN */
};

/* From which state to which; everything else is a programmer's error. */
static const bool allowed[4][4] = {
    [SEAL_ABSENT] = {[SEAL_SEALED] = true},
    [SEAL_SEALED] = {[SEAL_SEALED] = true, [SEAL_UNSEALING] = true, [SEAL_OPEN] = true},
    [SEAL_UNSEALING] = {[SEAL_UNSEALING] = true, [SEAL_SEALED] = true, [SEAL_OPEN] = true},
    [SEAL_OPEN] = {[SEAL_SEALED] = true},
};

/* What holds in each state; checked after every move, in every build. */
static void check(const struct seal *s)
{
	const struct seal_status *st = &s->status;

	MUST((st->state == SEAL_ABSENT) == (st->threshold == 0));
	MUST((st->state == SEAL_UNSEALING) == (st->progress > 0));
	MUST((st->state == SEAL_UNSEALING) == (st->nonce[0] != 0));
	MUST((st->state == SEAL_OPEN) == (s->kek != NULL) && (s->kek != NULL) == (s->root != NULL));
	MUST(st->progress < st->threshold || st->threshold == 0);
}

static void move(struct seal *s, enum seal_state to)
{
	MUST(allowed[s->status.state][to]);
	pthread_mutex_lock(&s->lock);
	s->status.state = to;
	if (to != SEAL_UNSEALING) {
		s->status.progress = 0;
		s->status.nonce[0] = 0;
	}
	pthread_mutex_unlock(&s->lock);
	check(s);
}

static void forget_offered(struct seal *s)
{
	for (size_t i = 0; i < SHAMIR_SHARES_MAX; i++)
		secret_free(&s->offered[i]);
}

void seal_status(const struct seal *s, struct seal_status *ret)
{
	pthread_mutex_t *lock = (pthread_mutex_t *)(uintptr_t)&s->lock;

	pthread_mutex_lock(lock);
	*ret = s->status;
	pthread_mutex_unlock(lock);
}

/* ---- the two records: configuration (1 version | 1 shares | 1 threshold) and sealed root key ---- */

static enum status parse_config(struct span record, struct seal_status *ret)
{
	struct cursor c = cursor_of(record);
	uint8_t version, shares, threshold;

	if (cursor_u8(&c, &version) != ST_OK || cursor_u8(&c, &shares) != ST_OK ||
	    cursor_u8(&c, &threshold) != ST_OK || cursor_end(&c) != ST_OK ||
	    version != CONFIG_VERSION || threshold == 0 || threshold > shares)
		return ST_CORRUPT;
	*ret = (struct seal_status){.state = SEAL_SEALED, .shares = shares, .threshold = threshold};
	return ST_OK;
}

static void encode_config(struct builder *b, unsigned shares, unsigned threshold)
{
	builder_u8(b, CONFIG_VERSION);
	builder_u8(b, (uint8_t)shares);
	builder_u8(b, (uint8_t)threshold);
}

/* 4 zero | 1 version | 12 nonce | 32 sealed root key | 16 tag, under the KEK; associated data: the path and the first five bytes. */
static struct span root_aad(struct builder *b, struct span head)
{
	builder_str(b, SEAL_ROOT_PATH);
	builder_add(b, head);
	MUST(builder_status(b) == ST_OK);
	return builder_span(b);
}

static enum status seal_root(const struct secret *kek, const struct secret *root,
                             const struct random *random, struct builder *out)
{
	uint8_t nonce[AEAD_GCM_NONCE_LEN], aad_buf[32];
	struct builder aad;
	struct aead_key *k;
	uint8_t *room;
	enum status st = aead_key_new(AEAD_AES256_GCM, secret_span(kek), &k);

	if (st != ST_OK)
		return st;
	builder_u32(out, 0);
	builder_u8(out, ROOT_VERSION);
	builder_init_fixed(&aad, aad_buf, sizeof aad_buf);
	struct span head = root_aad(&aad, builder_span(out));
	random_fill(random, nonce, sizeof nonce);
	builder_add(out, span_of(nonce, sizeof nonce));
	room = builder_room(out, SEAL_KEY_LEN + AEAD_TAG_LEN);
	st = room == NULL
	         ? builder_status(out)
	         : aead_seal(k, span_of(nonce, sizeof nonce), head, secret_span(root), room);
	if (st == ST_OK)
		builder_took(out, SEAL_KEY_LEN + AEAD_TAG_LEN);
	aead_key_free(&k);
	return st;
}

/* ST_CORRUPT: not this KEK's, or damaged. */
static enum status open_root(const struct secret *kek, struct span record, struct secret **ret)
{
	uint8_t aad_buf[32];
	struct builder aad;
	struct cursor c = cursor_of(record);
	struct span head, nonce, sealed;
	struct aead_key *k = NULL;
	struct secret *root = NULL;
	enum status st;

	if (cursor_span(&c, 5, &head) != ST_OK ||
	    cursor_span(&c, AEAD_GCM_NONCE_LEN, &nonce) != ST_OK ||
	    cursor_span(&c, SEAL_KEY_LEN + AEAD_TAG_LEN, &sealed) != ST_OK ||
	    cursor_end(&c) != ST_OK)
		return ST_CORRUPT;
	st = secret_new(SEAL_KEY_LEN, &root);
	if (st == ST_OK)
		st = aead_key_new(AEAD_AES256_GCM, secret_span(kek), &k);
	if (st == ST_OK) {
		builder_init_fixed(&aad, aad_buf, sizeof aad_buf);
		st = aead_open(k, nonce, root_aad(&aad, head), sealed, secret_bytes(root));
	}
	aead_key_free(&k);
	if (st != ST_OK) {
		secret_free(&root);
		return st;
	}
	*ret = root;
	return ST_OK;
}

/* The keys that the barrier works with; both fresh secrets. */
static enum status derive(const struct secret *root, struct secret **ret_wrap,
                          struct secret **ret_mac)
{
	struct secret *wrap, *mac;
	enum status st = secret_new(SEAL_KEY_LEN, &wrap);

	if (st != ST_OK)
		return st;
	st = secret_new(SEAL_KEY_LEN, &mac);
	if (st != ST_OK) {
		secret_free(&wrap);
		return st;
	}
	hkdf_sha256(secret_span(root), span_of(NULL, 0), span_str("keyturn term wrapping v1"),
	            wrap);
	hkdf_sha256(secret_span(root), span_of(NULL, 0), span_str("keyturn metadata hash v1"), mac);
	*ret_wrap = wrap;
	*ret_mac = mac;
	return ST_OK;
}

/* ---- life ---- */

enum status seal_new(struct writer *writer, const struct random *random, struct seal **ret,
                     struct err *err)
{
	struct seal *s = calloc(1, sizeof *s);
	struct builder config = {0};
	enum status st;

	if (s == NULL)
		return err_set(err, ST_NOMEM, "no memory for the seal");
	s->writer = writer;
	s->random = random;
	pthread_mutex_init(&s->lock, NULL);
	st = writer_get_raw(writer, SEAL_CONFIG_PATH, &config, err);
	if (st == ST_OK && parse_config(builder_span(&config), &s->status) != ST_OK)
		st = err_set(err, ST_CORRUPT, "the seal's configuration record is damaged");
	builder_free(&config);
	if (st != ST_OK && st != ST_NOT_FOUND) {
		seal_free(&s);
		return st;
	}
	check(s);
	*ret = s;
	return ST_OK;
}

void seal_free(struct seal **s)
{
	if (*s == NULL)
		return;
	forget_offered(*s);
	secret_free(&(*s)->kek);
	secret_free(&(*s)->root);
	pthread_mutex_destroy(&(*s)->lock);
	free(*s);
	*s = NULL;
}

enum status seal_check(int64_t shares, int64_t threshold, struct err *err)
{
	const char *why = NULL;

	if (shares < 1)
		why = "shares must be at least one";
	else if (shares > SHAMIR_SHARES_MAX)
		why = "shares must be less than 256";
	else if (threshold < 1)
		why = "threshold must be at least one";
	else if (threshold > shares)
		why = "threshold cannot be larger than shares";
	else if (threshold == 1 && shares > 1)
		why = "threshold must be greater than one for multiple shares";
	return why == NULL ? ST_OK
	                   : err_set(err, ST_INVALID, "invalid seal configuration: %s", why);
}

static enum status split(const struct seal *s, const struct secret *kek, unsigned shares,
                         unsigned threshold, struct secret **ret)
{
	if (shares == 1)
		return secret_from(secret_span(kek), &ret[0]);
	return shamir_split(kek, shares, threshold, s->random, ret);
}

enum status seal_init(struct seal *s, unsigned shares, unsigned threshold,
                      enum status (*populate)(void *ctx, struct txn *t, struct err *err), void *ctx,
                      struct secret **ret_shares, struct err *err)
{
	struct secret *kek = NULL, *root = NULL, *wrap = NULL, *mac = NULL,
	              *parts[SHAMIR_SHARES_MAX] = {0};
	struct builder config = {0}, sealed = {0};
	uint8_t id[STORE_ID_LEN];
	enum status st = seal_check(shares, threshold, err);

	if (st != ST_OK)
		return st;
	if (s->status.state != SEAL_ABSENT)
		return err_set(err, ST_EXISTS, "Vault is already initialized");
	st = secret_new(SEAL_KEY_LEN, &kek);
	if (st == ST_OK)
		st = secret_new(SEAL_KEY_LEN, &root);
	if (st != ST_OK)
		goto out;
	random_fill(s->random, secret_bytes(kek), SEAL_KEY_LEN);
	random_fill(s->random, secret_bytes(root), SEAL_KEY_LEN);
	random_fill(s->random, id, sizeof id);
	st = split(s, kek, shares, threshold, parts);
	if (st == ST_OK)
		st = derive(root, &wrap, &mac);
	if (st != ST_OK)
		goto out;
	encode_config(&config, shares, threshold);
	st = seal_root(kek, root, s->random, &sealed);
	if (st == ST_OK)
		st = builder_status(&config);
	if (st != ST_OK)
		goto out;
	const struct writer_raw raw[2] = {
	    {SEAL_CONFIG_PATH, builder_span(&config)},
	    {SEAL_ROOT_PATH, builder_span(&sealed)},
	};
	st = writer_create(s->writer, wrap, mac, id, raw, 2, populate, ctx, err);
	if (st != ST_OK)
		goto out;
	pthread_mutex_lock(&s->lock);
	s->status.shares = shares;
	s->status.threshold = threshold;
	pthread_mutex_unlock(&s->lock);
	move(s, SEAL_SEALED);
	memcpy(ret_shares, parts, shares * sizeof *parts);
	memset(parts, 0, sizeof parts);
out:
	for (unsigned i = 0; i < shares; i++)
		secret_free(&parts[i]);
	builder_free(&config);
	builder_free(&sealed);
	secret_free(&wrap);
	secret_free(&mac);
	secret_free(&root);
	secret_free(&kek);
	return st;
}

/* ---- unsealing ---- */

static enum status join(struct seal *s, struct secret **ret, struct err *err)
{
	struct secret *kek;
	unsigned n = s->status.threshold;
	enum status st = secret_new(SEAL_KEY_LEN, &kek);

	if (st != ST_OK)
		return err_set(err, st, "no locked memory");
	if (n == 1 && secret_len(s->offered[0]) == SEAL_KEY_LEN)
		memcpy(secret_bytes(kek), secret_span(s->offered[0]).p, SEAL_KEY_LEN);
	else
		st = shamir_join(s->offered, n, kek);
	if (st != ST_OK) {
		secret_free(&kek);
		return err_set(err, ST_INVALID, "the unseal keys do not fit together");
	}
	*ret = kek;
	return ST_OK;
}

/* All shares are there: open the root key and the barrier. */
static enum status unseal(struct seal *s,
                          enum status (*load)(void *ctx, struct txn *t,
                                              const struct world **ret_world, struct err *err),
                          void *ctx, struct err *err)
{
	struct secret *kek = NULL, *root = NULL, *wrap = NULL, *mac = NULL;
	struct builder record = {0};
	enum status st = join(s, &kek, err);

	if (st == ST_OK) {
		st = writer_get_raw(s->writer, SEAL_ROOT_PATH, &record, err);
		if (st == ST_NOT_FOUND)
			st = err_set(err, ST_CORRUPT,
			             "the sealed root key is missing from the storage");
	}
	if (st == ST_OK && (record.n != ROOT_RECORD_LEN || record.p[4] != ROOT_VERSION))
		st = err_set(err, ST_CORRUPT, "the sealed root key in the storage is damaged");
	if (st == ST_OK) {
		st = open_root(kek, builder_span(&record), &root);
		if (st == ST_CORRUPT)
			st = err_set(
			    err, ST_INVALID,
			    "unable to unseal: the unseal keys are not those of this store");
	}
	if (st == ST_OK)
		st = derive(root, &wrap, &mac);
	if (st == ST_OK)
		st = writer_open(s->writer, wrap, mac, load, ctx, err);
	secret_free(&wrap);
	secret_free(&mac);
	builder_free(&record);
	if (st != ST_OK) {
		secret_free(&kek);
		secret_free(&root);
		return st;
	}
	s->kek = kek;
	s->root = root;
	return ST_OK;
}

static bool known(const struct seal *s, struct span share)
{
	bool found = false;

	for (unsigned i = 0; i < s->status.progress; i++)
		found |= ct_equal(secret_span(s->offered[i]), share);
	return found;
}

enum status seal_offer(struct seal *s, struct span share,
                       enum status (*load)(void *ctx, struct txn *t, const struct world **ret_world,
                                           struct err *err),
                       void *ctx, struct err *err)
{
	char nonce[UUID_LEN];
	unsigned have = s->status.progress;
	enum status st;

	if (s->status.state == SEAL_ABSENT)
		return err_set(err, ST_UNAVAILABLE, "server is not yet initialized");
	if (s->status.state == SEAL_OPEN)
		return ST_OK;
	if (share.n < SEAL_SHARE_MIN)
		return err_set(err, ST_INVALID, "invalid key: key is shorter than minimum %d bytes",
		               SEAL_SHARE_MIN);
	if (share.n > SEAL_SHARE_MAX)
		return err_set(err, ST_INVALID, "invalid key: key is longer than maximum %d bytes",
		               SEAL_SHARE_MAX);
	if (known(s, share))
		return ST_OK;
	st = secret_from(share, &s->offered[have]);
	if (st != ST_OK)
		return err_set(err, st, "no locked memory");
	if (have + 1 < s->status.threshold) {
		random_uuid(s->random, nonce);
		pthread_mutex_lock(&s->lock);
		if (have == 0)
			memcpy(s->status.nonce, nonce, UUID_LEN);
		s->status.progress = have + 1;
		s->status.state = SEAL_UNSEALING;
		pthread_mutex_unlock(&s->lock);
		check(s);
		return ST_OK;
	}
	st = unseal(s, load, ctx, err);
	forget_offered(s);
	move(s, st == ST_OK ? SEAL_OPEN : SEAL_SEALED);
	return st;
}

void seal_reset(struct seal *s)
{
	if (s->status.state != SEAL_UNSEALING)
		return;
	forget_offered(s);
	move(s, SEAL_SEALED);
}

void seal_close(struct seal *s)
{
	if (s->status.state != SEAL_OPEN)
		return;
	writer_close(s->writer);
	secret_free(&s->kek);
	secret_free(&s->root);
	move(s, SEAL_SEALED);
}
