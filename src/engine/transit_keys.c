/* keys/...: making, showing, configuring, rotating, trimming and deleting named keys. */
#include <string.h>

#include "base/clock.h"
#include "engine/transit_impl.h"

/* ---- parameters ---- */

/* A whole number of at least 0 below 2^31; ST_NOT_FOUND: not given, *ret stays. */
static enum status count_param(const struct request *r, const char *name, const char *shown,
                               uint32_t *ret, struct err *err)
{
	int64_t v;
	enum status st = request_int(r, name, &v, err);

	if (st != ST_OK)
		return st;
	if (v < 0)
		return err_set(err, ST_INVALID, "%s cannot be negative", shown);
	if (v > INT32_MAX)
		return err_set(err, ST_INVALID, "%s is too large", shown);
	*ret = (uint32_t)v;
	return ST_OK;
}

/* As given or not. */
static enum status optional(enum status st)
{
	return st == ST_NOT_FOUND ? ST_OK : st;
}

static enum status period_param(const struct request *r, uint32_t *ret, struct err *err)
{
	int64_t ns = 0;
	enum status st = request_duration(r, "auto_rotate_period", &ns, err);

	if (st != ST_OK)
		return optional(st);
	if (ns != 0 && ns / NS_PER_S < KEY_AUTO_ROTATE_LEAST_S)
		return err_set(err, ST_INVALID,
		               "auto rotate period must be 0 to disable or at least an hour");
	if (ns / NS_PER_S > KEY_AUTO_ROTATE_MOST_S)
		return err_set(err, ST_INVALID, "auto rotate period must be at most 100 years");
	*ret = (uint32_t)(ns / NS_PER_S);
	return ST_OK;
}

/* "1": what a flag is once it is true stays true. */
static enum status rising_param(const struct request *r, const char *name, bool *flag,
                                struct err *err)
{
	bool v = false;
	enum status st = optional(request_bool(r, name, &v, err));

	if (st == ST_OK)
		*flag = *flag || v;
	return st;
}

/* How often one version may encrypt. */
static enum status max_operations_param(const struct request *r, const struct key_type_info *info,
                                        enum key_type type, uint64_t *ret, struct err *err)
{
	uint64_t bound = key_type_bound(type) != 0 ? key_type_bound(type) : USES_LIMIT_MAX;
	int64_t v;
	enum status st = request_int(r, "max_operations", &v, err);

	if (st != ST_OK)
		return optional(st);
	if (!key_type_is_cipher(type))
		return err_set(err, ST_INVALID, "max_operations is not valid for keys of type %s",
		               info->name);
	if (v < 0 || (uint64_t)v > bound)
		return err_set(
		    err, ST_INVALID,
		    "max_operations must be in the range [1,%llu], or 0 for the type's own "
		    "bound",
		    (unsigned long long)bound);
	*ret = (uint64_t)v;
	return ST_OK;
}

static enum status versions_param(const struct request *r, struct key_head *h, struct err *err)
{
	int64_t ns;
	enum status st =
	    optional(count_param(r, "max_versions", "max_versions", &h->max_versions, err));

	if (st != ST_OK)
		return st;
	st = request_duration(r, "retire_after", &ns, err);
	if (st != ST_OK)
		return optional(st);
	if (ns < 0)
		return err_set(err, ST_INVALID, "retire_after cannot be negative");
	h->retire_after_s = ns / NS_PER_S;
	return ST_OK;
}

enum status key_limit_params(const struct request *r, struct key_head *h, struct err *err)
{
	enum status st = period_param(r, &h->auto_rotate_s, err);

	if (st == ST_OK)
		st = max_operations_param(r, key_type_info(h->type), h->type, &h->max_operations,
		                          err);
	return st == ST_OK ? versions_param(r, h, err) : st;
}

/* ---- answers ---- */

static enum status fail(struct op *op, enum status st, const struct err *err)
{
	if (st == ST_NEEDS_WRITER || st == ST_PENDING)
		return op->ans->status = st;
	return answer_fail(op->ans, st, "%s", err_text(err, st));
}

/* The key as it is now is the answer. */
static enum status answer_key(struct op *op, const struct key_place *p, struct span name)
{
	const struct named_key *k;
	struct err err = {0};
	enum status st = key_find(p, name, &k, &err);

	if (st == ST_OK)
		st = key_show(op, p, k, span_of(NULL, 0), &err);
	if (st != ST_OK)
		return fail(op, st, &err);
	if (k->head.due_ns != 0)
		op->wake_ns = k->head.due_ns;
	return op->ans->status = ST_OK;
}

/* The key that a call is about; `missing` is what the reference says when there is none. */
static enum status find(struct op *op, const struct key_place *p, const char *missing,
                        const struct named_key **ret, struct err *err)
{
	enum status st = key_find(p, op->arg[0], ret, err);

	return st == ST_NOT_FOUND ? err_set(err, ST_INVALID, "%s", missing) : st;
}

/* ---- making ---- */

static enum status hmac_size(const struct request *r, struct key_head *h, struct err *err)
{
	enum status st = count_param(r, "key_size", "key_size", &h->key_size, err);

	if (st != ST_OK && st != ST_NOT_FOUND)
		return st;
	if (h->type != KEY_HMAC)
		return h->key_size == 0
		           ? ST_OK
		           : err_set(err, ST_INVALID, "key_size is not valid for algorithm %s",
		                     key_type_info(h->type)->name);
	if (h->key_size < KEY_HMAC_MIN || h->key_size > KEY_HMAC_MAX)
		return err_set(err, ST_INVALID,
		               "invalid key size for HMAC key, must be between %d and %d bytes",
		               KEY_HMAC_MIN, KEY_HMAC_MAX);
	return ST_OK;
}

enum status key_head_params(const struct request *r, struct key_head *h, struct err *err)
{
	struct span type = {0};
	const struct key_type_info *info;
	enum status st = optional(request_string(r, "type", &type, err));

	*h = (struct key_head){.type = KEY_AES256_GCM};
	if (st == ST_OK)
		st = optional(request_bool(r, "derived", &h->derived, err));
	if (st == ST_OK)
		st = optional(request_bool(r, "convergent_encryption", &h->convergent, err));
	if (st == ST_OK)
		st = rising_param(r, "exportable", &h->exportable, err);
	if (st == ST_OK)
		st = rising_param(r, "allow_plaintext_backup", &h->plaintext_backup, err);
	if (st != ST_OK)
		return st;
	if (!h->derived && h->convergent)
		return err_set(err, ST_INVALID,
		               "convergent encryption requires derivation to be enabled");
	if (type.n > 0 && key_type_find(type, OFFER_VAULT, &h->type) != ST_OK)
		return err_set(err, ST_INVALID, "unknown key type %.*s", (int)type.n,
		               (const char *)type.p);
	info = key_type_info(h->type);
	if (h->derived && !info->derives)
		return err_set(err, ST_INVALID, "key derivation not supported for keys of type %s",
		               info->name);
	if (h->convergent && info->family != FAMILY_AEAD)
		return err_set(err, ST_INVALID,
		               "convergent encryption not supported for keys of type %s",
		               info->name);
	return key_limit_params(r, h, err);
}

/* Material for a key of this kind: the pool's work for those that take long. */
static enum status material_for(struct op *op, const struct key_head *h, struct key_material *ret,
                                struct err *err)
{
	if (!key_type_info(h->type)->slow)
		return key_material_new(h->type, h->key_size, op->random, ret, err);
	return make_slowly(op, h->type, ret, err);
}

static enum status create(struct op *op, const struct key_place *p, struct err *err)
{
	const struct named_key *k;
	struct key_head head;
	struct key_material m = {.private_key = NULL};
	struct version_data v;
	enum status st;

	if (!key_name_valid(op->arg[0]))
		return err_set(err, ST_INVALID, KEY_NAME_TEXT);
	st = key_head_params(op->req, &head, err);
	if (st == ST_OK)
		st = hmac_size(op->req, &head, err);
	if (st != ST_OK)
		return st;
	st = key_find(p, op->arg[0], &k, err);
	if (st == ST_OK) {
		answer_warn(op->ans, "key %.*s already existed", (int)op->arg[0].n,
		            (const char *)op->arg[0].p);
		return ST_OK;
	}
	if (st == ST_NOT_FOUND)
		st = material_for(op, &head, &m, err);
	if (st != ST_OK)
		return st;
	key_material_data(&m, &v);
	st = key_make(p, op->arg[0], &head, &v, err);
	key_material_free(&m);
	return st;
}

enum status transit_create_op(struct op *op)
{
	struct key_place p = key_place_of(op);
	struct err err = {0};
	enum status st = create(op, &p, &err);

	return st == ST_OK ? answer_key(op, &p, op->arg[0]) : fail(op, st, &err);
}

/* ---- looking ---- */

enum status transit_read_op(struct op *op)
{
	struct key_place p = key_place_of(op);
	struct span text = {0};
	struct builder context = {.max = 0};
	struct item_error e;
	const struct named_key *k;
	struct err err = {0};
	enum status st = optional(request_string(op->req, "context", &text, &err));

	if (st == ST_OK && text.n > 0 && text_unbase64(text, &context, &e) != ST_OK)
		st = err_set(&err, ST_INVALID, "failed to base64-decode context");
	if (st == ST_OK)
		st = key_find(&p, op->arg[0], &k, &err);
	if (st == ST_OK)
		st = key_show(op, &p, k, builder_span(&context), &err);
	builder_free(&context);
	if (st == ST_NOT_FOUND)
		return op->ans->status = st;
	return st == ST_OK ? (op->ans->status = st) : fail(op, st, &err);
}

struct names {
	struct json_writer w;
	size_t n;
};

static enum status add_name(void *arg, struct span name)
{
	struct names *l = arg;

	json_string(&l->w, name);
	l->n++;
	return ST_OK;
}

enum status transit_list_op(struct op *op)
{
	struct names l = {.n = 0};
	struct span after = {0};
	int64_t limit = 0;
	struct err err = {0};
	enum status st = optional(request_string(op->req, "after", &after, &err));

	if (st == ST_OK)
		st = optional(request_int(op->req, "limit", &limit, &err));
	if (st != ST_OK)
		return fail(op, st, &err);
	if (limit < 0)
		limit = 0;
	if (op->page_limit != 0 && (limit == 0 || (uint64_t)limit > op->page_limit))
		limit = op->page_limit > INT64_MAX ? INT64_MAX : (int64_t)op->page_limit;
	json_writer_init(&l.w, &op->ans->data);
	json_begin_object(&l.w);
	json_name(&l.w, "keys");
	json_begin_array(&l.w);
	st = view_list(&op->view, span_str("key/"), after, (size_t)limit, add_name, &l, &err);
	if (st != ST_OK)
		return fail(op, st, &err);
	json_end_array(&l.w);
	json_end_object(&l.w);
	op->ans->shape = ANSWER_DATA;
	return op->ans->status = l.n == 0 ? ST_NOT_FOUND : ST_OK;
}

/* ---- configuring ---- */

static enum status min_versions(const struct request *r, struct key_head *h, struct op *op,
                                struct err *err)
{
	enum status st = count_param(r, "min_decryption_version", "min decryption version",
	                             &h->min_decryption, err);

	if (st == ST_OK && h->min_decryption == 0) {
		h->min_decryption = 1;
		answer_warn(op->ans, "key versions start at 1; forcing minimum to 1");
	}
	if (st != ST_OK && st != ST_NOT_FOUND)
		return st;
	if (h->min_decryption > h->latest)
		return err_set(err, ST_INVALID,
		               "cannot set min decryption version of %u, latest key version is %u",
		               h->min_decryption, h->latest);
	st = optional(count_param(r, "min_encryption_version", "min encryption version",
	                          &h->min_encryption, err));
	if (st != ST_OK)
		return st;
	if (h->min_encryption > h->latest)
		return err_set(err, ST_INVALID,
		               "cannot set min encryption version of %u, latest key version is %u",
		               h->min_encryption, h->latest);
	if (h->min_encryption > 0 && h->min_encryption < h->min_decryption)
		return err_set(
		    err, ST_INVALID,
		    "cannot set min encryption/decryption values; min encryption version "
		    "of %u must be greater than or equal to min decryption version of %u",
		    h->min_encryption, h->min_decryption);
	if (h->min_available > 0 && h->min_available > h->min_encryption)
		return err_set(
		    err, ST_INVALID,
		    "min encryption version should not be less than min available version");
	if (h->min_available > h->min_decryption)
		return err_set(
		    err, ST_INVALID,
		    "min decryption version should not be less then min available version");
	return ST_OK;
}

static enum status configure(struct op *op, struct key_head *h, struct err *err)
{
	const struct request *r = op->req;
	enum status st = min_versions(r, h, op, err);

	if (st == ST_OK)
		st = optional(request_bool(r, "deletion_allowed", &h->deletion_allowed, err));
	if (st == ST_OK)
		st = rising_param(r, "exportable", &h->exportable, err);
	if (st == ST_OK)
		st = rising_param(r, "allow_plaintext_backup", &h->plaintext_backup, err);
	if (st == ST_OK)
		st = key_limit_params(r, h, err);
	if (st == ST_OK && h->auto_rotate_s > 0 && h->imported && !h->import_rotation)
		return err_set(err, ST_INVALID, "the key was imported and does not allow rotation");
	return st;
}

/* A limit at or below what is used already rotates in the same transaction. */
static enum status apply_limit(const struct key_place *p, struct span name,
                               const struct key_head *before, struct err *err)
{
	const struct named_key *k;
	struct uses_counts counts;
	struct uses_of of;
	enum status st;

	st = uses_close_all(p->transit->uses, p->view, &before->id, uses_day(p->now_ns),
	                    key_uses_there, err);
	if (st == ST_OK)
		st = key_find(p, name, &k, err);
	if (st != ST_OK)
		return st;
	of = key_uses_of(p, k, k->head.latest);
	st = uses_counts(p->transit->uses, &of, &counts, err);
	if (st == ST_OK && counts.encryptions >= key_bound(&k->head))
		st = key_rotate(p, k, NULL, "max_operations", err);
	return st;
}

enum status transit_config_op(struct op *op)
{
	struct key_place p = key_place_of(op);
	const struct named_key *k;
	struct key_head head, before;
	char missing[KEY_NAME_MAX + 64];
	struct builder text;
	struct err err = {0};
	enum status st;

	builder_init_fixed(&text, missing, sizeof missing - 1);
	builder_fmt(&text, "no existing key named %.*s could be found",
	            (int)(op->arg[0].n < KEY_NAME_MAX ? op->arg[0].n : KEY_NAME_MAX),
	            (const char *)op->arg[0].p);
	missing[text.n] = 0;
	st = find(op, &p, missing, &k, &err);
	if (st != ST_OK)
		return fail(op, st, &err);
	head = before = k->head;
	st = configure(op, &head, &err);
	if (st == ST_OK)
		st = key_put_head(&p, op->arg[0], &head, &err);
	if (st == ST_OK && head.max_operations != before.max_operations)
		st = apply_limit(&p, op->arg[0], &before, &err);
	return st == ST_OK ? answer_key(op, &p, op->arg[0]) : fail(op, st, &err);
}

/* ---- rotating, trimming ---- */

enum status transit_rotate_op(struct op *op)
{
	struct key_place p = key_place_of(op);
	struct key_material m = {.private_key = NULL};
	const struct named_key *k;
	struct err err = {0};
	enum status st = find(op, &p, "key not found", &k, &err);

	if (st == ST_OK && (k->head.soft_deleted || (k->head.imported && !k->head.import_rotation)))
		st =
		    key_rotate(&p, k, NULL, NULL, &err); /* says why not, before anything is made */
	else if (st == ST_OK)
		st = material_for(op, &k->head, &m, &err);
	if (st == ST_OK)
		st = key_rotate(&p, k, &m, NULL, &err);
	key_material_free(&m);
	return st == ST_OK ? answer_key(op, &p, op->arg[0]) : fail(op, st, &err);
}

static enum status check_trim(const struct key_head *h, int64_t to, struct err *err)
{
	const char *why = NULL;

	if (to < (int64_t)h->min_available)
		why = "minimum available version cannot be decremented";
	else if (h->min_encryption == 0)
		why = "minimum available version cannot be set when minimum encryption version is "
		      "not "
		      "set";
	else if (to > (int64_t)h->min_encryption)
		why = "minimum available version cannot be greater than minmum encryption version";
	else if (to > (int64_t)h->min_decryption)
		why = "minimum available version cannot be greater than minimum decryption version";
	else if (to == 0)
		why = "minimum available version should be positive";
	return why == NULL ? ST_OK : err_set(err, ST_INVALID, "%s", why);
}

enum status transit_trim_op(struct op *op)
{
	struct key_place p = key_place_of(op);
	const struct named_key *k;
	struct key_head head;
	int64_t to;
	struct err err = {0};
	enum status st = find(op, &p, "invalid key name", &k, &err);

	if (st == ST_OK)
		st = request_int(op->req, "min_available_version", &to, &err);
	if (st == ST_NOT_FOUND)
		st = err_set(&err, ST_INVALID, "missing min_available_version");
	if (st != ST_OK)
		return fail(op, st, &err);
	head = k->head;
	st = check_trim(&head, to, &err);
	if (st == ST_OK)
		st = key_trim(&p, &head, (uint32_t)to, &err);
	if (st == ST_OK) {
		head.min_available = (uint32_t)to;
		st = key_put_head(&p, op->arg[0], &head, &err);
	}
	op->wake_ns = INT64_MIN; /* what was too much for one transaction */
	return st == ST_OK ? answer_key(op, &p, op->arg[0]) : fail(op, st, &err);
}

/* ---- deleting ---- */

enum status transit_delete_op(struct op *op)
{
	struct key_place p = key_place_of(op);
	const struct named_key *k;
	struct err err = {0};
	int n = (int)op->arg[0].n;
	const char *name = (const char *)op->arg[0].p;
	enum status st = key_find(&p, op->arg[0], &k, &err);

	if (st == ST_NOT_FOUND)
		return answer_fail(op->ans, ST_INVALID,
		                   "error deleting policy %.*s: could not delete key; not found", n,
		                   name);
	if (st == ST_OK && !k->head.deletion_allowed)
		return answer_fail(
		    op->ans, ST_INVALID,
		    "error deleting policy %.*s: deletion is not allowed for this key", n, name);
	if (st == ST_OK)
		st = key_delete(&p, op->arg[0], &k->head, &err);
	if (st != ST_OK)
		return fail(op, st, &err);
	op->wake_ns = INT64_MIN;
	op->ans->shape = ANSWER_EMPTY;
	return op->ans->status = ST_OK;
}

static enum status soft_delete(struct op *op, bool to, const char *already)
{
	struct key_place p = key_place_of(op);
	const struct named_key *k;
	struct key_head head;
	struct err err = {0};
	enum status st = key_find(&p, op->arg[0], &k, &err);

	if (st == ST_NOT_FOUND)
		return op->ans->status = st;
	if (st != ST_OK)
		return fail(op, st, &err);
	head = k->head;
	if (head.soft_deleted == to)
		answer_warn(op->ans, "%s", already);
	head.soft_deleted = to;
	st = key_put_head(&p, op->arg[0], &head, &err);
	return st == ST_OK ? answer_key(op, &p, op->arg[0]) : fail(op, st, &err);
}

enum status transit_soft_delete_op(struct op *op)
{
	return soft_delete(op, true, "key was already marked as soft deleted");
}

enum status transit_soft_restore_op(struct op *op)
{
	return soft_delete(op, false, "key was already restored");
}
