/*
 * HCL: the subset of HCL 1 in which operators write configuration files and policies, and the same trees written as
 * JSON.  Strict: line and column in every error.
 *
 *     key = value        value: string "..." (with escapes), heredoc <<EOT / <<-EOT, number, true, false, [list], {object}
 *     name "label" ... { body }
 *     # // and block comments; commas optional between the items of an object; one needed between those of a list
 *
 * A JSON text (first character '{') gives the same tree as HCL 1's JSON does: for {"path": {"a/b": {...}}} an item `path`
 * that holds an object whose items are the labels; hcl_blocks below hides the difference.
 */
#ifndef BASE_HCL_H
#define BASE_HCL_H

#include "base/bytes.h"

enum hcl_type { HCL_STRING, HCL_NUMBER, HCL_BOOL, HCL_LIST, HCL_OBJECT };

struct hcl_value;

/* One item of an object: `key = value` or `key "label" ... { }` (then value is an HCL_OBJECT). */
struct hcl_item {
	struct span key;
	const struct span *labels;
	size_t n_labels;
	const struct hcl_value *value;
	unsigned line, column;
};

struct hcl_value {
	enum hcl_type type;
	unsigned line, column;
	struct span text;              /* string: unescaped; number and bool: as written */
	const struct hcl_value *list;  /* n elements */
	const struct hcl_item *items;  /* n items, in the order of the text; a key may stand more than once */
	size_t n;
};

struct hcl;

/*
 * hcl_parse(text, ret, err): parse; the tree copies what it needs and is immutable.  ST_INVALID with "At line:column: reason",
 * ST_LIMIT (depth 32, 1 MiB of text), ST_NOMEM.  hcl_root: the outermost object.  Any thread.
 */
MUST_USE enum status hcl_parse(struct span text, struct hcl **ret, struct err *err);
const struct hcl_value *hcl_root(const struct hcl *h);
void hcl_free(struct hcl **h);

/* hcl_find(object, key): the last item with this key, or NULL. */
const struct hcl_item *hcl_find(const struct hcl_value *object, const char *key);

/*
 * hcl_blocks(object, key, n_labels, visit, arg): call visit for each block `key "label"{n_labels} { body }`, in order, whichever of the
 * two spellings (HCL blocks, nested JSON objects or arrays of objects) the text used.  Stops at the first status other than
 * ST_OK and returns it; ST_INVALID with position when labels are missing or too many or the body is no object.
 */
typedef enum status hcl_visit(void *arg, const struct span *labels, const struct hcl_value *body, struct err *err);
MUST_USE enum status hcl_blocks(const struct hcl_value *object, const char *key, size_t n_labels, hcl_visit *visit, void *arg, struct err *err);

#endif
