/*
 * Locked memory comes in regions: 256 KiB between two guard pages, cut into runs of 16 KiB.  A run serves one slot size; when its
 * last slot is given back it may serve another.  What is larger than a run has a region of its own; a few of these are kept
 * when they come back, since locking pages costs more than anything that is done with them.  The bookkeeping is on the
 * ordinary heap, so that running over the end of a key cannot reach it.
 *
 * Why not sodium_malloc for the regions: it ignores a failed mlock, adds a canary and a page of its own header to each
 * allocation, and does not set MADV_WIPEONFORK.  Mapping the pages ourselves is shorter than checking behind it.
 *
 * Invariant: what is not handed out is all zero.  Pages start zero and slots are wiped when they come back.
 *
 * What can fail: mapping, locking (RLIMIT_MEMLOCK), bookkeeping; each gives NULL, and never memory that is not locked.
 */
#include "crypto/secret_pool.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/bytes.h"

#define RUN_BYTES   ((size_t)16 << 10)
#define REGION_RUNS ((size_t)16)
#define SLOTS_MAX   (RUN_BYTES / 16)
#define WORDS       (SLOTS_MAX / 64)
/* Together, the spare regions hold no more than this. */
#define SPARES           ((size_t)8)
#define SPARES_MAX_BYTES ((size_t)1 << 20)

/* 1152 is an expanded AES-GCM key with its header.  The sizes below 64 exist for OpenSSL's many small objects. */
static const uint16_t class_size[] = {16,   32,   48,   64,   128,  192,  256,  320,
                                      384,  512,  640,  768,  896,  1152, 1344, 1600,
                                      2048, 2688, 3264, 4096, 5440, 8192, 16384};
#define CLASSES (sizeof class_size / sizeof class_size[0])

struct run {
	/* In the list of its class while a slot is free, or among the idle runs. */
	struct run *next, *prev;
	struct region *region;
	size_t class_no;
	size_t used;
	uint64_t free_bits[WORDS]; /* 1: the slot is free */
};

enum region_use { REGION_SLOTS, REGION_LARGE, REGION_SPARE };

struct region {
	uint8_t *base; /* the first byte after the guard page */
	size_t n;
	enum region_use use;
	uint8_t *object;   /* REGION_LARGE: where the object starts */
	struct run runs[]; /* REGION_RUNS of them, or none unless REGION_SLOTS */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct run *open_runs[CLASSES]; /* runs with a free slot */
static struct run *idle_runs;          /* runs without a class */
static struct region **regions;        /* sorted by base */
static size_t regions_n, regions_cap;
static struct region *spares[SPARES]; /* large regions without an object, wiped */
static size_t spares_bytes;
static size_t locked_bytes;

static size_t page_bytes(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

/* The mapping: a guard page, n bytes, a guard page.  n is a multiple of the page size. */
static uint8_t *pages_map(size_t n)
{
	size_t page = page_bytes();
	uint8_t *map, *base;

	map = mmap(NULL, n + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (map == MAP_FAILED)
		goto err0;
	base = map + page;
	if (mprotect(base, n, PROT_READ | PROT_WRITE) != 0)
		goto err1;
	/* Wiped in a forked child, rather than absent, so that a child that looks gets zeros and not a fault. */
	if (madvise(base, n, MADV_DONTDUMP) != 0 || madvise(base, n, MADV_WIPEONFORK) != 0)
		goto err1;
	/* mlock2 and not mlock: the address sanitizer replaces mlock by a function that does nothing. */
	if (mlock2(base, n, 0) != 0)
		goto err1;
	return base;

err1:
	(void)munmap(map, n + 2 * page);
err0:
	return NULL;
}

static void pages_unmap(uint8_t *base, size_t n)
{
	size_t page = page_bytes();

	MUST(munmap(base - page, n + 2 * page) == 0);
}

static void list_push(struct run **head, struct run *r)
{
	r->prev = NULL;
	r->next = *head;
	if (r->next != NULL)
		r->next->prev = r;
	*head = r;
}

static void list_drop(struct run **head, struct run *r)
{
	if (r->prev != NULL)
		r->prev->next = r->next;
	else
		*head = r->next;
	if (r->next != NULL)
		r->next->prev = r->prev;
	r->next = r->prev = NULL;
}

/* The number of regions whose base is at or before p. */
static size_t regions_upto(const uint8_t *p)
{
	size_t lo = 0, hi = regions_n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if ((uintptr_t)regions[mid]->base <= (uintptr_t)p)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static struct region *region_of(const void *p)
{
	size_t at = regions_upto(p);
	struct region *g;

	MUST(at > 0);
	g = regions[at - 1];
	MUST((uintptr_t)p - (uintptr_t)g->base < g->n);
	return g;
}

static bool regions_reserve(void)
{
	size_t cap = regions_cap == 0 ? 32 : regions_cap * 2;
	struct region **grown;

	if (regions_n < regions_cap)
		return true;
	grown = reallocarray(regions, cap, sizeof(struct region *));
	if (grown == NULL)
		return false;
	regions = grown;
	regions_cap = cap;
	return true;
}

/* A locked region of n bytes and its bookkeeping with room for n_runs; NULL when it cannot be had. */
static struct region *region_try(size_t n, size_t n_runs)
{
	struct region *g;
	size_t at;

	if (!regions_reserve())
		goto err0;
	g = calloc(1, sizeof(struct region) + n_runs * sizeof(struct run));
	if (g == NULL)
		goto err0;
	g->n = n;
	g->use = n_runs > 0 ? REGION_SLOTS : REGION_SPARE;
	g->base = pages_map(n);
	if (g->base == NULL)
		goto err1;
	at = regions_upto(g->base);
	memmove(regions + at + 1, regions + at, (regions_n - at) * sizeof(struct region *));
	regions[at] = g;
	regions_n++;
	locked_bytes += n;
	return g;

err1:
	free(g);
err0:
	return NULL;
}

static void region_drop(struct region *g)
{
	size_t at = regions_upto(g->base);

	MUST(at > 0 && regions[at - 1] == g);
	memmove(regions + at - 1, regions + at, (regions_n - at) * sizeof(struct region *));
	regions_n--;
	locked_bytes -= g->n;
	pages_unmap(g->base, g->n);
	free(g);
}

static struct region *spare_take(size_t at)
{
	struct region *g = spares[at];

	spares[at] = NULL;
	spares_bytes -= g->n;
	return g;
}

/* A spare region of just n bytes, or NULL.  A larger one would leave room before the object, where no guard page stops a writer. */
static struct region *spare_find(size_t n)
{
	for (size_t i = 0; i < SPARES; i++)
		if (spares[i] != NULL && spares[i]->n == n)
			return spare_take(i);
	return NULL;
}

static bool spare_keep(struct region *g)
{
	if (g->n > SPARES_MAX_BYTES - spares_bytes)
		return false;
	for (size_t i = 0; i < SPARES; i++) {
		if (spares[i] != NULL)
			continue;
		spares[i] = g;
		spares_bytes += g->n;
		return true;
	}
	return false;
}

/* As region_try, and once more without the spares when it fails: they may be what fills the limit. */
static struct region *region_new(size_t n, size_t n_runs)
{
	struct region *g = region_try(n, n_runs);

	if (g != NULL || spares_bytes == 0)
		return g;
	for (size_t i = 0; i < SPARES; i++)
		if (spares[i] != NULL)
			region_drop(spare_take(i));
	return region_try(n, n_runs);
}

/* ------------------------------------------------------------ slots */

static bool idle_runs_add(void)
{
	struct region *g = region_new(REGION_RUNS * RUN_BYTES, REGION_RUNS);

	if (g == NULL)
		return false;
	for (size_t i = REGION_RUNS; i-- > 0;) {
		g->runs[i].region = g;
		list_push(&idle_runs, &g->runs[i]);
	}
	return true;
}

/* An idle run becomes one of this class, all slots free. */
static struct run *run_open(size_t class_no)
{
	size_t slots = RUN_BYTES / class_size[class_no];
	struct run *r;

	if (idle_runs == NULL && !idle_runs_add())
		return NULL;
	r = idle_runs;
	list_drop(&idle_runs, r);
	r->class_no = class_no;
	r->used = 0;
	memset(r->free_bits, 0, sizeof r->free_bits);
	for (size_t i = 0; i < slots; i++)
		r->free_bits[i / 64] |= UINT64_C(1) << (i % 64);
	list_push(&open_runs[class_no], r);
	return r;
}

static uint8_t *run_base(const struct run *r)
{
	return r->region->base + (size_t)(r - r->region->runs) * RUN_BYTES;
}

static void *slot_get(size_t class_no)
{
	struct run *r = open_runs[class_no];
	size_t w = 0, bit;

	if (r == NULL)
		r = run_open(class_no);
	if (r == NULL)
		return NULL;
	while (r->free_bits[w] == 0)
		w++;
	bit = (size_t)__builtin_ctzll(r->free_bits[w]);
	r->free_bits[w] &= ~(UINT64_C(1) << bit);
	r->used++;
	if (r->used == RUN_BYTES / class_size[class_no])
		list_drop(&open_runs[class_no], r);
	return run_base(r) + (w * 64 + bit) * class_size[class_no];
}

/* The run that p, the start of a slot in use, belongs to; MUST for anything else. */
static struct run *run_of(struct region *g, const uint8_t *p, size_t *ret_slot)
{
	struct run *r = &g->runs[(size_t)(p - g->base) / RUN_BYTES];
	size_t off = (size_t)(p - run_base(r));
	size_t slot;

	MUST(r->used > 0);
	MUST(off % class_size[r->class_no] == 0);
	slot = off / class_size[r->class_no];
	MUST((r->free_bits[slot / 64] >> (slot % 64) & 1) == 0);
	*ret_slot = slot;
	return r;
}

static void slot_put(struct region *g, uint8_t *p)
{
	size_t slot, slots;
	struct run *r = run_of(g, p, &slot);

	wipe(p, class_size[r->class_no]);
	slots = RUN_BYTES / class_size[r->class_no];
	if (r->used == slots)
		list_push(&open_runs[r->class_no], r);
	r->free_bits[slot / 64] |= UINT64_C(1) << (slot % 64);
	r->used--;
	if (r->used == 0) {
		list_drop(&open_runs[r->class_no], r);
		list_push(&idle_runs, r);
	}
}

static size_t class_for(size_t n)
{
	size_t c = 0;

	while (class_size[c] < n)
		c++;
	return c;
}

/* ------------------------------------------------------------ large objects */

static void *large_get(size_t n)
{
	size_t page = page_bytes(), total, padded;
	struct region *g;

	if (!size_add(n, page - 1, &total) || total > SIZE_MAX / 2)
		return NULL;
	total -= total % page;
	g = spare_find(total);
	if (g == NULL)
		g = region_new(total, 0);
	if (g == NULL)
		return NULL;
	/* At the end, so that reading or writing too far meets the guard page. */
	padded = (n + SECRET_ALIGN - 1) / SECRET_ALIGN * SECRET_ALIGN;
	g->object = g->base + (g->n - padded);
	g->use = REGION_LARGE;
	return g->object;
}

static void large_put(struct region *g, uint8_t *p)
{
	MUST(g->use == REGION_LARGE && p == g->object);
	/* The object reaches to the end of its region; nobody was given what lies before. */
	wipe(p, (size_t)(g->base + g->n - p));
	g->use = REGION_SPARE;
	if (!spare_keep(g))
		region_drop(g);
}

/* ------------------------------------------------------------ what others call */

void *secret_pool_get(size_t n)
{
	void *p;

	MUST(n > 0);
	MUST(pthread_mutex_lock(&lock) == 0);
	p = n > RUN_BYTES ? large_get(n) : slot_get(class_for(n));
	MUST(pthread_mutex_unlock(&lock) == 0);
	return p;
}

void secret_pool_put(void *p)
{
	struct region *g;

	MUST(pthread_mutex_lock(&lock) == 0);
	g = region_of(p);
	if (g->use == REGION_SLOTS)
		slot_put(g, p);
	else
		large_put(g, p);
	MUST(pthread_mutex_unlock(&lock) == 0);
}

size_t secret_pool_room(const void *p)
{
	size_t room, slot;
	struct region *g;

	MUST(pthread_mutex_lock(&lock) == 0);
	g = region_of(p);
	MUST(g->use != REGION_SPARE);
	if (g->use == REGION_LARGE)
		room = (size_t)(g->base + g->n - g->object);
	else
		room = class_size[run_of(g, p, &slot)->class_no];
	MUST(pthread_mutex_unlock(&lock) == 0);
	return room;
}

bool secret_pool_lockable(size_t n)
{
	size_t page = page_bytes(), total;
	uint8_t *base;

	if (!size_add(n, page - 1, &total) || total > SIZE_MAX / 2)
		return false;
	total -= total % page;
	if (total == 0)
		return true;
	base = pages_map(total);
	if (base == NULL)
		return false;
	pages_unmap(base, total);
	return true;
}

size_t secret_pool_locked(void)
{
	size_t n;

	MUST(pthread_mutex_lock(&lock) == 0);
	n = locked_bytes;
	MUST(pthread_mutex_unlock(&lock) == 0);
	return n;
}
