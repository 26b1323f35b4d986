/*
 * max_versions: when a key gets one version more than it may have, its oldest are destroyed, but only those that were not used for retire_after; one that was
 * stays, and with it all that are younger, until a later rotation finds it unused.  Each one that is destroyed is told to the audit.
 */
#include "base/clock.h"
#include "engine/transit_impl.h"

#define RETIRES_A_ROTATION 4
#define SECONDS_A_DAY      86400

static enum status note(const struct key_place *p, struct span name, uint32_t number,
                        const struct uses_counts *c, struct err *err)
{
	struct builder b;
	struct json_writer w;

	key_note_begin(&w, &b, p, name, "key_version_destroyed", "max_versions");
	json_put_uint(&w, "version", number);
	json_put_uint(&w, "encryptions", c->encryptions);
	json_put_uint(&w, "decryptions", c->decryptions);
	return key_note_end(&w, p, err);
}

/* Not used for so long: by the day of its last use, or else by its age; of what happened before the key was restored nobody knows. */
static bool is_unused(const struct key_place *p, const struct key_head *h,
                      const struct version_data *d, const struct uses_counts *c)
{
	int64_t since_s = c->last_day != 0 ? ((int64_t)c->last_day + 1) * SECONDS_A_DAY
	                                   : d->created_ns / NS_PER_S;

	if (since_s < h->restored.time_ns / NS_PER_S)
		since_s = h->restored.time_ns / NS_PER_S;
	return p->now_ns / NS_PER_S - since_s >= h->retire_after_s;
}

static enum status retire(const struct key_place *p, struct span name, struct key_head *head,
                          uint32_t number, enum key_purge_state *ret, struct err *err)
{
	const struct uses_of of = {.v = p->view,
	                           .name = name,
	                           .id = &head->id,
	                           .version = number,
	                           .today = uses_day(p->now_ns)};
	struct uses_counts counts;
	struct version_data d;
	enum status st = key_read_version(p, &head->id, number, &d, err);

	*ret = KEY_PURGE_DONE;
	if (st == ST_NOT_FOUND) { /* trimmed */
		*ret = KEY_PURGE_MORE;
		return ST_OK;
	}
	if (st == ST_CORRUPT) /* what is known of it is not enough to destroy it; the key rotates all the same */
		return ST_OK;
	if (st == ST_OK)
		st = uses_counts(p->transit->uses, &of, &counts, err);
	if (st != ST_OK || (d.state != VERSION_DESTROYED && !is_unused(p, head, &d, &counts)))
		return st;
	*ret = KEY_PURGE_MORE;
	if (d.state == VERSION_DESTROYED)
		return ST_OK;
	d = (struct version_data){.state = VERSION_DESTROYED,
	                          .uses_unknown = d.uses_unknown,
	                          .created_ns = d.created_ns,
	                          .destroyed_ns = p->now_ns,
	                          .first_term = d.first_term,
	                          .last_term = view_term(p->view)};
	st = uses_close(p->transit->uses, &of, err);
	if (st == ST_OK)
		st = key_write_version(p, &head->id, number, &d, err);
	return st == ST_OK ? note(p, name, number, &counts, err) : st;
}

enum status key_retire_oldest(const struct key_place *p, struct span name, struct key_head *head,
                              struct err *err)
{
	enum key_purge_state more = KEY_PURGE_MORE;
	uint32_t oldest = head->oldest > head->min_available ? head->oldest : head->min_available;
	enum status st = ST_OK;

	if (oldest == 0)
		oldest = 1;
	for (unsigned i = 0; head->max_versions > 0 && i < RETIRES_A_ROTATION; i++) {
		if (head->latest - oldest + 1 <= head->max_versions)
			break;
		st = retire(p, name, head, oldest, &more, err);
		if (st != ST_OK || more == KEY_PURGE_DONE)
			break;
		oldest++;
		head->oldest = oldest;
	}
	return st;
}
