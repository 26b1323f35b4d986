/* What a thread knows of who may do what in which vault: good as long as the record of the membership is the one that it was read from. */
#include <string.h>

#include "engine/storedsafe_impl.h"

static struct level_slot *slot_of(struct safe_thread *t, const struct view *v, const char *id,
                                  uint32_t user)
{
	/* FNV-1a over what tells memberships apart; of the prefix its end, the mount's identifier. */
	uint32_t h = UINT32_C(2166136261) ^ user;

	for (size_t i = v->n > 8 ? v->n - 8 : 0; i < v->n; i++)
		h = (h ^ (uint8_t)v->prefix[i]) * UINT32_C(16777619);
	for (; *id != 0; id++)
		h = (h ^ (uint8_t)*id) * UINT32_C(16777619);
	return &t->levels[h % SAFE_LEVELS];
}

static bool is_of(const struct level_slot *s, const struct view *v, const char *id, uint32_t user)
{
	return s->level != LEVEL_NONE && s->user == user && strcmp(s->id, id) == 0 &&
	       span_eq(span_of(s->prefix, s->n_prefix), span_of(v->prefix, v->n));
}

static void keep(struct level_slot *s, const struct view *v, const char *id, uint32_t user,
                 enum member_level level, const uint8_t stamp[static VIEW_STAMP_LEN])
{
	*s = (struct level_slot){.user = user, .level = level, .n_prefix = v->n};
	memcpy(s->prefix, v->prefix, v->n);
	memcpy(s->id, id, strlen(id));
	memcpy(s->stamp, stamp, sizeof s->stamp);
	s->commit = view_number(v);
}

enum status storedsafe_level(const struct op *op, uint32_t user, enum member_level *ret,
                             struct err *err)
{
	const struct view *v = &op->view;
	uint8_t stamp[VIEW_STAMP_LEN];
	char id[VAULT_ID_MAX + 1];
	struct level_slot *s;
	enum status st;

	if (!vault_id_valid(op->arg[0]) || span_cstr(op->arg[0], id, sizeof id) != ST_OK) {
		*ret = LEVEL_NONE;
		return ST_OK;
	}
	s = slot_of(op->thread, v, id, user);
	/* The writer sees what its group changed under one and the same number. */
	if (is_of(s, v, id, user) && s->commit == view_number(v) && !view_can_write(v)) {
		*ret = s->level;
		return ST_OK;
	}
	st = member_stamp(op, id, user, stamp, err);
	if (st == ST_NOT_FOUND) {
		*ret = LEVEL_NONE;
		return ST_OK;
	}
	if (st != ST_OK)
		return st;
	if (is_of(s, v, id, user) && memcmp(s->stamp, stamp, sizeof stamp) == 0) {
		s->commit = view_number(v);
		*ret = s->level;
		return ST_OK;
	}
	st = member_level(op, op->arg[0], user, ret, err);
	if (st == ST_OK && *ret != LEVEL_NONE)
		keep(s, v, id, user, *ret, stamp);
	return st;
}
