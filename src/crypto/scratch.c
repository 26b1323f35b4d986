#include "crypto/scratch.h"

#include <pthread.h>

#include "crypto/secret.h"

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t slot;
static __thread void *mine;

static void scratch_free(void *p)
{
	mine = NULL;
	secret_release(p);
}

static void slot_make(void)
{
	MUST(pthread_key_create(&slot, scratch_free) == 0);
}

static void *scratch_new(void)
{
	void *p;

	MUST(pthread_once(&once, slot_make) == 0);
	p = secret_alloc(SCRATCH_BYTES);
	if (p == NULL)
		return NULL;
	if (pthread_setspecific(slot, p) != 0) {
		secret_release(p);
		return NULL;
	}
	mine = p;
	return p;
}

void *scratch_get(void)
{
	return mine != NULL ? mine : scratch_new();
}
