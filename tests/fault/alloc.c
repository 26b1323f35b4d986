#include "fault/alloc.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__real_reallocarray(void *p, size_t n, size_t size);
void *__real_aligned_alloc(size_t align, size_t n);
char *__real_strdup(const char *s);
void *__real_secret_pool_get(size_t n);
void __real_secret_pool_put(void *p);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
void *__wrap_reallocarray(void *p, size_t n, size_t size);
void *__wrap_aligned_alloc(size_t align, size_t n);
char *__wrap_strdup(const char *s);
void *__wrap_secret_pool_get(size_t n);
void __wrap_secret_pool_put(void *p);

static atomic_bool armed;
static atomic_size_t count, first, last, failed, locked;

void alloc_arm(size_t nth, enum alloc_repeat repeat)
{
	atomic_store(&count, 0);
	atomic_store(&failed, 0);
	atomic_store(&first, nth);
	atomic_store(&last, repeat == ALLOC_ONCE ? nth : SIZE_MAX);
	atomic_store(&armed, true);
}

size_t alloc_disarm(void)
{
	atomic_store(&armed, false);
	return atomic_load(&failed);
}

size_t alloc_locked(void)
{
	return atomic_load(&locked);
}

static bool fails_now(void)
{
	size_t mine;

	if (!atomic_load(&armed))
		return false;
	mine = atomic_fetch_add(&count, 1) + 1;
	if (mine < atomic_load(&first) || mine > atomic_load(&last))
		return false;
	atomic_fetch_add(&failed, 1);
	return true;
}

void *__wrap_malloc(size_t n)
{
	return fails_now() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails_now() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
	return fails_now() ? NULL : __real_realloc(p, n);
}

void *__wrap_reallocarray(void *p, size_t n, size_t size)
{
	return fails_now() ? NULL : __real_reallocarray(p, n, size);
}

void *__wrap_aligned_alloc(size_t align, size_t n)
{
	return fails_now() ? NULL : __real_aligned_alloc(align, n);
}

char *__wrap_strdup(const char *s)
{
	return fails_now() ? NULL : __real_strdup(s);
}

void *__wrap_secret_pool_get(size_t n)
{
	void *p = fails_now() ? NULL : __real_secret_pool_get(n);

	if (p != NULL)
		atomic_fetch_add(&locked, 1);
	return p;
}

void __wrap_secret_pool_put(void *p)
{
	atomic_fetch_sub(&locked, 1);
	__real_secret_pool_put(p);
}
