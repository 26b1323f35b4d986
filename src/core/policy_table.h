/*
 * All ACL policies of the store, compiled: an immutable table, counted.  A record `sys/policy/NAME` each: JSON with the text, version and time.
 */
#ifndef CORE_POLICY_TABLE_H
#define CORE_POLICY_TABLE_H

#include "barrier/view.h"
#include "core/policy.h"

#define POLICY_NAME_MAX 128

struct policy_entry {
	struct policy *policy;
	struct span name;
	struct span text;
	uint64_t version;
	int64_t modified_ns;
	void *memory; /* of name and text */
};

struct policy_table;

/* policy_table_load(view, ret, err): every record of the view.  ST_CORRUPT names the policy. */
MUST_USE enum status policy_table_load(const struct view *view, const struct policy_table **ret,
                                       struct err *err);
const struct policy_table *policy_table_ref(const struct policy_table *t);
void policy_table_unref(const struct policy_table **t);

/* policy_table_find(t, name): NULL when there is none.  policy_table_count, policy_table_at: in the order of their names. */
const struct policy_entry *policy_table_find(const struct policy_table *t, struct span name);
size_t policy_table_count(const struct policy_table *t);
const struct policy_entry *policy_table_at(const struct policy_table *t, size_t i);

/*
 * policy_table_put(t, view, name, text, now_ns, ret, err): compile, store the record in view, and make the successor table.  ST_INVALID: the text does not
 * compile, or the name is none.  policy_table_remove: likewise without the policy; ST_NOT_FOUND leaves *ret.
 */
MUST_USE enum status policy_table_put(const struct policy_table *t, const struct view *view,
                                      struct span name, struct span text, int64_t now_ns,
                                      const struct policy_table **ret, struct err *err);
MUST_USE enum status policy_table_remove(const struct policy_table *t, const struct view *view,
                                         struct span name, const struct policy_table **ret,
                                         struct err *err);

/* The text that a new store's "default" policy begins with. */
extern const char policy_default_text[];

#endif
