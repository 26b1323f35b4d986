#include "cli/memory.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>
#include <jansson.h>

#include "base/bytes.h"

/* In front of each block stands its size, in as much room as keeps the block aligned. */
#define FRONT sizeof(max_align_t)

static void *wiping_malloc(size_t n)
{
	size_t all;
	char *p;

	if (!size_add(n, FRONT, &all))
		return NULL;
	p = malloc(all);
	if (p == NULL)
		return NULL;
	memcpy(p, &n, sizeof n);
	return p + FRONT;
}

static size_t block_size(const char *p)
{
	size_t n;

	memcpy(&n, p - FRONT, sizeof n);
	return n;
}

static void wiping_free(void *block)
{
	char *p = block;

	if (p == NULL)
		return;
	wipe(p, block_size(p));
	free(p - FRONT);
}

static void *wiping_calloc(size_t n, size_t size)
{
	size_t all;
	void *p;

	if (!size_mul(n, size, &all))
		return NULL;
	p = wiping_malloc(all);
	if (p != NULL)
		memset(p, 0, all);
	return p;
}

/* Never in place: what the old block held is wiped. */
static void *wiping_realloc(void *old, size_t n)
{
	void *grown = wiping_malloc(n);
	size_t had;

	if (grown == NULL || old == NULL)
		return grown;
	had = block_size(old);
	memcpy(grown, old, had < n ? had : n);
	wiping_free(old);
	return grown;
}

static char *wiping_strdup(const char *s)
{
	const size_t n = strlen(s) + 1;
	char *copy = wiping_malloc(n);

	return copy == NULL ? NULL : memcpy(copy, s, n);
}

int memory_setup(void)
{
	json_set_alloc_funcs(wiping_malloc, wiping_free);
	if (curl_global_init_mem(CURL_GLOBAL_DEFAULT, wiping_malloc, wiping_free, wiping_realloc,
	                         wiping_strdup, wiping_calloc) != CURLE_OK)
		return -1;
	return 0;
}
