/* Scratch memory for decrypted values: a chain of locked blocks, filled front to back. */
#include "crypto/secret.h"

#include "crypto/secret_pool.h"

#define ARENA_ALIGN ((size_t)16)
/* The first block, kept over resets, fits a slot of the pool; the others have pages of their own, so they are larger. */
#define FIRST_BYTES ((size_t)16 << 10)
#define NEXT_BYTES  ((size_t)64 << 10)

struct arena_block {
	struct arena_block *next;
	size_t cap, used;
	_Alignas(16) uint8_t bytes[];
};

/* A new last block of at least n bytes; NULL and nothing changed when there is no memory. */
static struct arena_block *block_add(struct arena *a, size_t bytes)
{
	struct arena_block *b = secret_pool_get(bytes);

	if (b == NULL)
		return NULL;
	b->cap = bytes - sizeof(struct arena_block);
	if (a->last != NULL)
		a->last->next = b;
	else
		a->first = b;
	a->last = b;
	return b;
}

static struct arena_block *block_with_room(struct arena *a, size_t n)
{
	struct arena_block *b = a->last;
	size_t bytes;

	/* Always a small one first: the first is kept, and one large value must not stay locked for ever. */
	if (b == NULL)
		b = block_add(a, FIRST_BYTES);
	if (b == NULL || b->cap - b->used >= n)
		return b;
	if (!size_add(n, sizeof(struct arena_block), &bytes))
		return NULL;
	return block_add(a, bytes > NEXT_BYTES ? bytes : NEXT_BYTES);
}

uint8_t *arena_alloc(struct arena *a, size_t n)
{
	struct arena_block *b;
	size_t padded;
	uint8_t *p;

	if (!size_add(n, ARENA_ALIGN - 1, &padded))
		return NULL;
	padded -= padded % ARENA_ALIGN;
	b = block_with_room(a, padded);
	if (b == NULL)
		return NULL;
	p = b->bytes + b->used;
	b->used += padded;
	a->used += n;
	return p;
}

void *arena_alloc64(struct arena *a, size_t n)
{
	size_t room;
	uint8_t *p;

	/* What arena_alloc gives is at most this far from a multiple of 64. */
	if (!size_add(n, SECRET_ALIGN - ARENA_ALIGN, &room))
		return NULL;
	p = arena_alloc(a, room);
	if (p == NULL)
		return NULL;
	return p + (SECRET_ALIGN - (uintptr_t)p % SECRET_ALIGN) % SECRET_ALIGN;
}

/* Gives back the blocks from b on, each wiped by the pool. */
static void blocks_free(struct arena_block *b)
{
	while (b != NULL) {
		struct arena_block *next = b->next;

		secret_pool_put(b);
		b = next;
	}
}

void arena_reset(struct arena *a)
{
	struct arena_block *b = a->first;

	a->used = 0;
	if (b == NULL)
		return;
	blocks_free(b->next);
	wipe(b->bytes, b->used);
	b->next = NULL;
	b->used = 0;
	a->last = b;
}

void arena_free(struct arena *a)
{
	blocks_free(a->first);
	*a = (struct arena){0};
}
