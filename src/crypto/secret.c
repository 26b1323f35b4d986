/*
 * Set-up of the process for secrets, and struct secret.  The memory itself: secret_pool.c.
 *
 * What can fail at set-up: core dumps cannot be switched off, the budget cannot be locked, OpenSSL was used before.
 */
#include "crypto/secret.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <sodium.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "crypto/secret_pool.h"

#define SECRET_MAGIC 0x5ec4e7a1U

struct secret {
	uint32_t magic;
	size_t n;
	uint8_t bytes[];
};

/* ------------------------------------------------------------ OpenSSL's allocator */

static _Thread_local bool starved;

bool secret_starved(void)
{
	bool was = starved;

	starved = false;
	return was;
}

static void *ossl_get(size_t n)
{
	void *p = secret_pool_get(n);

	if (p == NULL)
		starved = true;
	return p;
}

static void *ossl_malloc(size_t n, const char *file, int line)
{
	(void)file;
	(void)line;
	return n == 0 ? NULL : ossl_get(n);
}

static void ossl_free(void *p, const char *file, int line)
{
	(void)file;
	(void)line;
	if (p != NULL)
		secret_pool_put(p);
}

/* Grows by a copy into new memory; the old is wiped when it is given back. */
static void *ossl_realloc(void *p, size_t n, const char *file, int line)
{
	size_t room;
	void *grown;

	if (p == NULL)
		return ossl_malloc(n, file, line);
	if (n == 0) {
		ossl_free(p, file, line);
		return NULL;
	}
	room = secret_pool_room(p);
	if (n <= room)
		return p;
	grown = ossl_get(n);
	if (grown == NULL)
		return NULL;
	memcpy(grown, p, room);
	secret_pool_put(p);
	return grown;
}

static enum status ossl_setup(struct err *err)
{
	CRYPTO_malloc_fn now;

	CRYPTO_get_mem_functions(&now, NULL, NULL);
	if (now == ossl_malloc)
		return ST_OK;
	if (CRYPTO_set_mem_functions(ossl_malloc, ossl_realloc, ossl_free) != 1)
		return err_set(err, ST_UNAVAILABLE,
		               "OpenSSL was used before its memory could be put on locked pages");
	return ST_OK;
}

/* ------------------------------------------------------------ set-up */

static enum status dumps_off(struct err *err)
{
	const struct rlimit none = {0, 0};

	if (setrlimit(RLIMIT_CORE, &none) != 0)
		return err_set(err, ST_IO, "cannot set the core dump limit to 0: %s",
		               strerror(errno));
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
		return err_set(err, ST_IO, "cannot make the process undumpable: %s",
		               strerror(errno));
	return ST_OK;
}

static enum status budget_check(size_t budget, struct err *err)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0)
		return err_set(err, ST_IO, "cannot read RLIMIT_MEMLOCK: %s", strerror(errno));
	if (limit.rlim_cur != limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		if (setrlimit(RLIMIT_MEMLOCK, &limit) != 0)
			return err_set(err, ST_IO,
			               "cannot raise RLIMIT_MEMLOCK to its hard limit: %s",
			               strerror(errno));
	}
	if (secret_pool_lockable(budget))
		return ST_OK;
	if (limit.rlim_max == RLIM_INFINITY)
		return err_set(
		    err, ST_LIMIT,
		    "cannot lock %zu KiB of memory for keys, though RLIMIT_MEMLOCK does not limit "
		    "it: too little memory, or a limit of the container",
		    budget >> 10);
	return err_set(
	    err, ST_LIMIT,
	    "cannot lock %zu KiB of memory for keys: RLIMIT_MEMLOCK is %llu KiB; raise it "
	    "(systemd: "
	    "LimitMEMLOCK=, shell: ulimit -l, container: --ulimit memlock=) or give the process "
	    "CAP_IPC_LOCK",
	    budget >> 10, (unsigned long long)limit.rlim_max >> 10);
}

enum status secret_setup(size_t budget, struct err *err)
{
	enum status s;

	s = dumps_off(err);
	if (s != ST_OK)
		return s;
	s = budget_check(budget, err);
	if (s != ST_OK)
		return s;
	s = ossl_setup(err);
	if (s != ST_OK)
		return s;
	if (sodium_init() < 0)
		return err_set(err, ST_UNAVAILABLE, "libsodium cannot be initialised");
	return ST_OK;
}

/* ------------------------------------------------------------ memory */

void *secret_alloc(size_t n)
{
	/* Slots of less than SECRET_ALIGN are not aligned to it. */
	return secret_pool_get(n < SECRET_ALIGN ? SECRET_ALIGN : n);
}

void secret_release(void *p)
{
	if (p != NULL)
		secret_pool_put(p);
}

size_t secret_locked_bytes(void)
{
	return secret_pool_locked();
}

/* ------------------------------------------------------------ struct secret */

enum status secret_new(size_t n, struct secret **ret)
{
	struct secret *s;
	size_t total;

	if (!size_add(n, sizeof(struct secret), &total))
		return ST_NOMEM;
	s = secret_alloc(total);
	if (s == NULL)
		return ST_NOMEM;
	s->magic = SECRET_MAGIC;
	s->n = n;
	*ret = s;
	return ST_OK;
}

enum status secret_from(struct span bytes, struct secret **ret)
{
	struct secret *s;
	enum status st = secret_new(bytes.n, &s);

	if (st != ST_OK)
		return st;
	if (bytes.n > 0)
		memcpy(s->bytes, bytes.p, bytes.n);
	*ret = s;
	return ST_OK;
}

void secret_free(struct secret **s)
{
	if (*s == NULL)
		return;
	MUST((*s)->magic == SECRET_MAGIC);
	secret_release(*s);
	*s = NULL;
}

size_t secret_len(const struct secret *s)
{
	MUST(s->magic == SECRET_MAGIC);
	return s->n;
}

uint8_t *secret_bytes(struct secret *s)
{
	MUST(s->magic == SECRET_MAGIC);
	return s->bytes;
}

struct span secret_span(const struct secret *s)
{
	MUST(s->magic == SECRET_MAGIC);
	return span_of(s->bytes, s->n);
}
