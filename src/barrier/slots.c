/*
 * A slot:   8 magic "KTSLOT1\0" | 16 store id | 4 term | 1 state (1 live, 2 destroyed) | 3 zero | 32 secret | 32 SHA-256 of all
 * before | zero up to 512.  Slot of term t stands at t * 512; sector 0 is unused.
 *
 * Ways it can fail: a write torn in one copy (the other is whole: repaired at the next read); a file lost (all of it is repaired
 * from the other); both copies of a slot bad (ST_NOT_FOUND: the term is gone, unseal refuses); no room (ST_FULL before
 * anything of the term was committed).
 */
#include "barrier/slots.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crypto/ct.h"
#include "crypto/kdf.h"

#define COPIES     2
#define GROW_SLOTS 128

enum slot_state { SLOT_NONE = 0, SLOT_LIVE = 1, SLOT_DESTROYED = 2 };

static const char magic[8] = "KTSLOT1";

/* One copy: a file, or (fd < 0) locked memory that grows by whole blocks. */
struct copy {
	int fd;
	off_t size;
	bool suspect; /* a write failed: what reads back may not be durable */
	uint8_t *mem;
	size_t mem_n;
};

struct slots {
	pthread_mutex_t lock; /* guards all, while a call lasts */
	struct copy copy[COPIES];
	uint8_t id[STORE_ID_LEN];
	uint8_t *sectors; /* guarded scratch, SLOTS_AT_ONCE of them */
};

static enum status copy_open(struct copy *c, const char *folder, int number, struct err *err)
{
	char path[4096];
	struct stat st;
	int n = snprintf(path, sizeof path, "%s/slots.%d", folder, number);

	if (n < 0 || (size_t)n >= sizeof path)
		return err_set(err, ST_INVALID, "the folder's name is too long");
	c->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (c->fd < 0)
		return err_set(err, ST_IO, "cannot open %s: %s", path, strerror(errno));
	if (fstat(c->fd, &st) != 0)
		return err_set(err, ST_IO, "cannot look at %s: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode) || (st.st_mode & 077) != 0 || st.st_uid != geteuid())
		return err_set(err, ST_INVALID,
		               "%s must be a plain file of this user with mode 0600", path);
	/* What a killed predecessor wrote may be readable and yet not durable. */
	if (fdatasync(c->fd) != 0)
		return err_set(err, ST_IO, "cannot sync %s: %s", path, strerror(errno));
	c->size = st.st_size;
	return ST_OK;
}

static enum status sync_folder(const char *folder, struct err *err)
{
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int failed;

	if (fd < 0)
		return err_set(err, ST_IO, "cannot open %s: %s", folder, strerror(errno));
	failed = fsync(fd) != 0;
	close(fd);
	return failed ? err_set(err, ST_IO, "cannot sync %s", folder) : ST_OK;
}

enum status slots_open(const char *folder, struct slots **ret, struct err *err)
{
	struct slots *s = calloc(1, sizeof *s);
	enum status st = ST_NOMEM;

	if (s == NULL)
		goto fail0;
	pthread_mutex_init(&s->lock, NULL);
	for (int i = 0; i < COPIES; i++)
		s->copy[i].fd = -1;
	s->sectors = secret_alloc((size_t)SLOTS_AT_ONCE * SLOT_SECTOR);
	if (s->sectors == NULL)
		goto fail1;
	for (int i = 0; folder != NULL && i < COPIES; i++) {
		st = copy_open(&s->copy[i], folder, i, err);
		if (st != ST_OK)
			goto fail1;
	}
	if (folder != NULL) {
		st = sync_folder(folder, err);
		if (st != ST_OK)
			goto fail1;
	}
	*ret = s;
	return ST_OK;
fail1:
	slots_close(&s);
fail0:
	return st == ST_NOMEM ? err_set(err, st, "no memory for the slots") : st;
}

void slots_close(struct slots **s)
{
	if (*s == NULL)
		return;
	for (int i = 0; i < COPIES; i++) {
		if ((*s)->copy[i].fd >= 0)
			close((*s)->copy[i].fd);
		secret_release((*s)->copy[i].mem);
	}
	secret_release((*s)->sectors);
	pthread_mutex_destroy(&(*s)->lock);
	free(*s);
	*s = NULL;
}

void slots_bind(struct slots *s, const uint8_t id[static STORE_ID_LEN])
{
	pthread_mutex_lock(&s->lock);
	memcpy(s->id, id, STORE_ID_LEN);
	pthread_mutex_unlock(&s->lock);
}

bool slots_on_disk(const struct slots *s)
{
	return s->copy[0].fd >= 0;
}

/* Fill the at-th scratch sector with a slot; secret empty: a destroyed one. */
static void sector_make(struct slots *s, size_t at, uint32_t term, enum slot_state state,
                        struct span secret)
{
	uint8_t *sector = s->sectors + at * SLOT_SECTOR;
	struct builder b;
	struct span all;

	wipe(sector, SLOT_SECTOR);
	builder_init_fixed(&b, sector, SLOT_SECTOR);
	builder_add(&b, span_of(magic, sizeof magic));
	builder_add(&b, span_of(s->id, STORE_ID_LEN));
	builder_u32(&b, term);
	builder_u8(&b, (uint8_t)state);
	builder_add(&b, span_of("\0\0\0", 3));
	if (secret.n > 0)
		builder_add(&b, secret);
	else
		builder_took(&b, builder_room(&b, SLOT_SECRET_LEN) != NULL ? SLOT_SECRET_LEN : 0);
	all = builder_span(&b);
	MUST(builder_status(&b) == ST_OK);
	sha256(&all, 1, sector + all.n);
}

/* What the first scratch sector holds for this term: ret_secret points into it. */
static enum slot_state sector_read(const struct slots *s, uint32_t term, struct span *ret_secret)
{
	struct cursor c = cursor_of(span_of(s->sectors, SLOT_SECTOR));
	struct span m, id, zero, secret, sum;
	uint8_t digest[SHA256_LEN];
	uint32_t t;
	uint8_t state;

	if (cursor_span(&c, sizeof magic, &m) != ST_OK ||
	    cursor_span(&c, STORE_ID_LEN, &id) != ST_OK || cursor_u32(&c, &t) != ST_OK ||
	    cursor_u8(&c, &state) != ST_OK || cursor_span(&c, 3, &zero) != ST_OK ||
	    cursor_span(&c, SLOT_SECRET_LEN, &secret) != ST_OK)
		return SLOT_NONE;
	struct span all = span_of(s->sectors, SLOT_SECTOR - c.left);
	if (cursor_span(&c, SHA256_LEN, &sum) != ST_OK)
		return SLOT_NONE;
	sha256(&all, 1, digest);
	if (!span_eq(m, span_of(magic, sizeof magic)) ||
	    !span_eq(id, span_of(s->id, STORE_ID_LEN)) || t != term ||
	    (state != SLOT_LIVE && state != SLOT_DESTROYED) ||
	    !ct_equal(sum, span_of(digest, sizeof digest)))
		return SLOT_NONE;
	*ret_secret = secret;
	return (enum slot_state)state;
}

/* What the system said, as a status: no room is ST_FULL. */
static enum status failed(struct err *err, int errnum)
{
	bool full = errnum == ENOSPC || errnum == EFBIG || errnum == EDQUOT;

	return err_set(err, full ? ST_FULL : ST_IO, "slot file: %s", strerror(errnum));
}

static enum status mem_grow(struct copy *c, size_t want, struct err *err)
{
	size_t n = c->mem_n == 0 ? 64 * (size_t)SLOT_SECTOR : c->mem_n;
	uint8_t *p;

	while (n < want)
		n *= 2;
	if (n == c->mem_n)
		return ST_OK;
	p = secret_alloc(n);
	if (p == NULL)
		return err_set(err, ST_NOMEM, "no locked memory for the slots");
	if (c->mem_n > 0)
		memcpy(p, c->mem, c->mem_n);
	secret_release(c->mem);
	c->mem = p;
	c->mem_n = n;
	return ST_OK;
}

/* Room is taken ahead in blocks, so that the sync of a slot need not change the file's size. */
static enum status file_grow(struct copy *c, off_t end, struct err *err)
{
	off_t size = c->size;
	int rc;

	while (size < end)
		size += GROW_SLOTS * SLOT_SECTOR;
	if (size == c->size)
		return ST_OK;
	rc = posix_fallocate(c->fd, 0, size);
	if (rc != 0)
		return failed(err, rc);
	c->size = size;
	return ST_OK;
}

static enum status mem_write(struct slots *s, struct copy *c, size_t at, size_t bytes,
                             struct err *err)
{
	enum status st = mem_grow(c, at + bytes, err);

	if (st == ST_OK)
		memcpy(c->mem + at, s->sectors, bytes);
	return st;
}

static enum status file_write(struct slots *s, struct copy *c, off_t at, size_t bytes,
                              struct err *err)
{
	enum status st = file_grow(c, at + (off_t)bytes, err);
	ssize_t n;

	if (st != ST_OK)
		return st;
	do
		n = pwrite(c->fd, s->sectors, bytes, at);
	while (n < 0 && errno == EINTR);
	if (n != (ssize_t)bytes)
		return failed(err, n < 0 ? errno : ENOSPC);
	if (fdatasync(c->fd) != 0)
		return failed(err, errno);
	return ST_OK;
}

/* The first n scratch sectors, for the terms from `first` on. */
static enum status copy_write(struct slots *s, struct copy *c, uint32_t first, size_t n,
                              struct err *err)
{
	off_t at = (off_t)first * SLOT_SECTOR;
	enum status st;

	if (c->fd < 0)
		return mem_write(s, c, (size_t)at, n * SLOT_SECTOR, err);
	st = file_write(s, c, at, n * SLOT_SECTOR, err);
	c->suspect = c->suspect || st != ST_OK;
	return st;
}

/* The sector of a term into scratch; what lies behind the end reads as zeros. */
static enum status copy_read(struct slots *s, struct copy *c, uint32_t term, struct err *err)
{
	off_t at = (off_t)term * SLOT_SECTOR;
	ssize_t n;

	wipe(s->sectors, SLOT_SECTOR);
	if (c->fd < 0) {
		if ((size_t)at + SLOT_SECTOR <= c->mem_n)
			memcpy(s->sectors, c->mem + at, SLOT_SECTOR);
		return ST_OK;
	}
	do
		n = pread(c->fd, s->sectors, SLOT_SECTOR, at);
	while (n < 0 && errno == EINTR);
	return n < 0 ? failed(err, errno) : ST_OK;
}

enum status slots_write(struct slots *s, uint32_t first, uint32_t n, const struct secret *secrets,
                        struct err *err)
{
	struct cursor c = cursor_of(secret_span(secrets));
	struct span secret;
	enum status st = ST_OK;

	MUST(first > 0 && n > 0 && n <= SLOTS_AT_ONCE);
	pthread_mutex_lock(&s->lock);
	for (uint32_t i = 0; i < n; i++) {
		MUST(cursor_span(&c, SLOT_SECRET_LEN, &secret) == ST_OK);
		sector_make(s, i, first + i, SLOT_LIVE, secret);
	}
	for (int i = 0; st == ST_OK && i < COPIES; i++)
		st = copy_write(s, &s->copy[i], first, n, err);
	wipe(s->sectors, (size_t)n * SLOT_SECTOR);
	pthread_mutex_unlock(&s->lock);
	return st;
}

static enum status destroy(struct slots *s, uint32_t term, struct err *err)
{
	enum status st = ST_OK, one;

	sector_make(s, 0, term, SLOT_DESTROYED, span_of(NULL, 0));
	/* The second copy goes even when the first could not be written. */
	for (int i = 0; i < COPIES; i++) {
		one = copy_write(s, &s->copy[i], term, 1, err);
		st = st == ST_OK ? one : st;
	}
	return st;
}

enum status slots_destroy(struct slots *s, uint32_t term, struct err *err)
{
	enum status st;

	MUST(term > 0);
	pthread_mutex_lock(&s->lock);
	st = destroy(s, term, err);
	pthread_mutex_unlock(&s->lock);
	return st;
}

enum status slots_destroy_again(struct slots *s, uint32_t term, struct err *err)
{
	enum slot_state state = SLOT_DESTROYED;
	enum status st = ST_OK;
	struct span secret;

	MUST(term > 0);
	pthread_mutex_lock(&s->lock);
	for (int i = 0; state == SLOT_DESTROYED && i < COPIES; i++) {
		state = s->copy[i].suspect || copy_read(s, &s->copy[i], term, NULL) != ST_OK
		            ? SLOT_NONE
		            : sector_read(s, term, &secret);
		wipe(s->sectors, SLOT_SECTOR);
	}
	if (state != SLOT_DESTROYED)
		st = destroy(s, term, err);
	pthread_mutex_unlock(&s->lock);
	return st;
}

/* Write the better copy over the others. */
static enum status repair(struct slots *s, uint32_t term, const enum slot_state state[COPIES],
                          enum slot_state best, struct span secret, struct err *err)
{
	enum status st = ST_OK;

	for (int i = 0; st == ST_OK && i < COPIES; i++) {
		if (state[i] == best)
			continue;
		sector_make(s, 0, term, best, best == SLOT_LIVE ? secret : span_of(NULL, 0));
		st = copy_write(s, &s->copy[i], term, 1, err);
	}
	return st;
}

/* The secret into `found`, both copies made the same. */
static enum status read_both(struct slots *s, uint32_t term, struct secret *found, struct err *err)
{
	enum slot_state state[COPIES], best = SLOT_NONE;
	enum status st, unread = ST_OK, repaired;
	struct span secret;

	for (int i = 0; i < COPIES; i++) {
		/* A copy that cannot be read is as good as torn, while the other is whole. */
		st = copy_read(s, &s->copy[i], term, err);
		unread = st != ST_OK ? st : unread;
		state[i] = st == ST_OK ? sector_read(s, term, &secret) : SLOT_NONE;
		/* A destroyed copy wins: a retirement that was cut between the copies is finished, not undone. */
		if (state[i] == SLOT_LIVE && best == SLOT_NONE)
			memcpy(secret_bytes(found), secret.p, SLOT_SECRET_LEN);
		if (state[i] > best)
			best = state[i];
	}
	st = ST_OK;
	if (best == SLOT_NONE && unread != ST_OK)
		st = unread;
	else if (best == SLOT_NONE)
		st = err_set(err, ST_NOT_FOUND, "the slot of term %u is missing", term);
	else if (best == SLOT_DESTROYED)
		st = err_set(err, ST_DENIED, "the slot of term %u was destroyed", term);
	if (best != SLOT_NONE) {
		repaired = repair(s, term, state, best, secret_span(found), err);
		st = repaired != ST_OK ? repaired : st;
	}
	return st;
}

enum status slots_read(struct slots *s, uint32_t term, struct secret *ret, struct err *err)
{
	struct secret *found;
	enum status st;

	MUST(term > 0 && secret_len(ret) == SLOT_SECRET_LEN);
	st = secret_new(SLOT_SECRET_LEN, &found);
	if (st != ST_OK)
		return err_set(err, st, "no locked memory for a slot");
	pthread_mutex_lock(&s->lock);
	st = read_both(s, term, found, err);
	wipe(s->sectors, SLOT_SECTOR);
	pthread_mutex_unlock(&s->lock);
	if (st == ST_OK)
		memcpy(secret_bytes(ret), secret_bytes(found), SLOT_SECRET_LEN);
	secret_free(&found);
	return st;
}
