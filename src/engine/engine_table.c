/* The table of engines, and what a thread keeps for them. */
#include "engine/engine.h"

size_t engine_find(const struct engine_table *t, struct span type)
{
	size_t i = 0;

	MUST(t->n <= ENGINES_MAX);
	while (i < t->n && !span_eq_str(type, t->entries[i].engine->type))
		i++;
	return i;
}

static const struct engine_life *life_of(const struct engine_table *t, size_t i)
{
	static const struct engine_life none;
	const struct engine_life *life = t->entries[i].engine->life;

	return life != NULL ? life : &none;
}

enum status engine_threads_init(struct engine_threads *x, const struct engine_table *t)
{
	enum status st = ST_OK;

	MUST(t->n <= ENGINES_MAX);
	*x = (struct engine_threads){.table = t};
	for (size_t i = 0; i < t->n && st == ST_OK; i++) {
		if (life_of(t, i)->thread_new != NULL)
			st = life_of(t, i)->thread_new(t->entries[i].self, &x->of[i]);
	}
	if (st != ST_OK)
		engine_threads_free(x);
	return st;
}

void engine_threads_drop(struct engine_threads *x)
{
	for (size_t i = 0; x->table != NULL && i < x->table->n; i++) {
		if (x->of[i] != NULL && life_of(x->table, i)->thread_drop != NULL)
			life_of(x->table, i)->thread_drop(x->of[i]);
	}
}

void engine_threads_free(struct engine_threads *x)
{
	for (size_t i = 0; x->table != NULL && i < x->table->n; i++) {
		if (x->of[i] != NULL && life_of(x->table, i)->thread_free != NULL)
			life_of(x->table, i)->thread_free(&x->of[i]);
	}
	*x = (struct engine_threads){0};
}
