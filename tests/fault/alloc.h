/*
 * Allocations that fail on order.  The linker sends those of our objects through here (--wrap, see meson.build): the heap's, and the pool's of locked
 * memory, which OpenSSL's go through as well.  Counted on all threads, while it is armed.
 */
#ifndef TESTS_FAULT_ALLOC_H
#define TESTS_FAULT_ALLOC_H

#include <stddef.h>

enum alloc_repeat { ALLOC_ONCE, ALLOC_FOR_EVER };

/* alloc_arm(nth, repeat): from now on the nth allocation fails, and all behind it if for ever.  alloc_disarm(): back to normal; how many failed. */
void alloc_arm(size_t nth, enum alloc_repeat repeat);
size_t alloc_disarm(void);

/* alloc_locked(): pieces of locked memory that are handed out now. */
size_t alloc_locked(void);

#endif
