#include "http/wheel.h"

#include <stddef.h>

#include "base/status.h"

static void ring_init(struct wheel_node *head)
{
	head->next = head->prev = head;
}

static void ring_add(struct wheel_node *head, struct wheel_node *n)
{
	n->prev = head->prev;
	n->next = head;
	head->prev->next = n;
	head->prev = n;
}

/* All of `from` to the end of `to`. */
static void ring_move(struct wheel_node *from, struct wheel_node *to)
{
	if (from->next == from)
		return;
	from->next->prev = to->prev;
	to->prev->next = from->next;
	from->prev->next = to;
	to->prev = from->prev;
	ring_init(from);
}

void wheel_init(struct wheel *w, uint64_t now)
{
	for (size_t i = 0; i < WHEEL_SLOTS; i++)
		ring_init(&w->slots[i]);
	w->now = now;
}

static void link_node(struct wheel *w, struct wheel_node *n)
{
	uint64_t farthest = w->now + WHEEL_SLOTS - 1;
	uint64_t slot = n->deadline > w->now ? n->deadline : w->now + 1;
	n->slot = slot < farthest ? slot : farthest;
	ring_add(&w->slots[n->slot % WHEEL_SLOTS], n);
}

void wheel_set(struct wheel *w, struct wheel_node *n, uint64_t deadline)
{
	n->deadline = deadline;
	if (n->next != NULL && deadline >= n->slot)
		return;
	wheel_del(n);
	link_node(w, n);
}

void wheel_del(struct wheel_node *n)
{
	if (n->next == NULL)
		return;
	n->next->prev = n->prev;
	n->prev->next = n->next;
	n->next = n->prev = NULL;
}

struct wheel_node *wheel_pop(struct wheel_node *ring)
{
	struct wheel_node *n = ring->next;
	if (n == ring)
		return NULL;
	wheel_del(n);
	return n;
}

void wheel_turn(struct wheel *w, uint64_t now, void (*expired)(struct wheel_node *))
{
	struct wheel_node due;
	while (w->now < now) {
		/* after a long stop every slot comes up once, not each missed tick */
		w->now = now - w->now > WHEEL_SLOTS ? now - WHEEL_SLOTS : w->now;
		w->now++;
		ring_init(&due);
		ring_move(&w->slots[w->now % WHEEL_SLOTS], &due);
		for (struct wheel_node *n; (n = wheel_pop(&due)) != NULL;) {
			if (n->deadline <= now)
				expired(n);
			else
				link_node(w, n);
		}
	}
}

void wheel_take_all(struct wheel *w, struct wheel_node *ring)
{
	ring_init(ring);
	for (size_t i = 0; i < WHEEL_SLOTS; i++)
		ring_move(&w->slots[i], ring);
}
