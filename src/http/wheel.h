/*
 * Coarse deadlines: a ring of slots of one tick each.  Setting a later deadline costs one store (the node is put where it belongs when
 * its old slot comes up), so a connection that serves requests is not moved at all.  One thread.
 */
#ifndef HTTP_WHEEL_H
#define HTTP_WHEEL_H

#include <stdint.h>

#define WHEEL_SLOTS 512
#define WHEEL_NEVER UINT64_MAX

/* Embedded in what has a deadline.  Zeroed: in no wheel.  next and prev are both set or both NULL. */
struct wheel_node {
	struct wheel_node *next, *prev;
	uint64_t deadline; /* tick at whose turn it expires */
	uint64_t slot;     /* tick whose slot it waits in; <= deadline */
};

struct wheel {
	struct wheel_node slots[WHEEL_SLOTS]; /* heads of rings */
	uint64_t now;                         /* the last tick turned */
};

void wheel_init(struct wheel *w, uint64_t now);
/* wheel_set(w, node, deadline): expire at that tick (at the next one when it is past), or WHEEL_NEVER.  wheel_del: leave; fine when in no wheel. */
void wheel_set(struct wheel *w, struct wheel_node *n, uint64_t deadline);
void wheel_del(struct wheel_node *n);
/* wheel_turn(w, now, expired): advance to tick `now`; expired(node) for each whose deadline came; it has left the wheel, and may
 * be set again, and others may be removed meanwhile. */
void wheel_turn(struct wheel *w, uint64_t now, void (*expired)(struct wheel_node *));
/* wheel_take_all(w, ring): moves all nodes onto `ring` (an uninitialised head); wheel_pop(ring): takes one off, NULL when empty. */
void wheel_take_all(struct wheel *w, struct wheel_node *ring);
struct wheel_node *wheel_pop(struct wheel_node *ring);

#endif
