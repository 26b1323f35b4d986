/* What reading a backup is made of.  Private to engine/transit_backup*. */
#ifndef ENGINE_TRANSIT_BACKUP_IMPL_H
#define ENGINE_TRANSIT_BACKUP_IMPL_H

#include "base/json.h"
#include "crypto/random.h"
#include "engine/transit_backup.h"

struct reading {
	struct backup *b;
	const struct json_value *policy;
	const struct json_value **places; /* of each version's KEY, from b->first on */
	const struct key_type_info *info;
	int64_t convergent;   /* convergent_version of the policy */
	uint32_t number;      /* of the version that is being read; 0: none, for texts of errors */
	enum key_offer offer; /* the types that may be in it */
	const struct slow_since *since;
	struct err *err;
};

/*
 * Members of an object (NULL: has none).  Each leaves *ret as it is when the member is absent or null (bytes and numbers: empty), and is ST_INVALID with a text
 * when it is of another type, or out of bounds.  Bytes and numbers are copied into the backup's room: ST_NOMEM.
 */
bool member_given(const struct json_value *v);
MUST_USE enum status member_int(struct reading *r, const struct json_value *o, const char *name,
                                int64_t least, int64_t most, int64_t *ret);
MUST_USE enum status member_u32(struct reading *r, const struct json_value *o, const char *name,
                                uint32_t most, uint32_t *ret);
MUST_USE enum status member_u64(struct reading *r, const struct json_value *o, const char *name,
                                uint64_t most, uint64_t *ret);
MUST_USE enum status member_bool(struct reading *r, const struct json_value *o, const char *name,
                                 bool *ret);
MUST_USE enum status member_text(struct reading *r, const struct json_value *o, const char *name,
                                 struct span *ret);
/* member_object: *ret is NULL when there is none.  member_time: RFC 3339; the reference's zero is 0. */
MUST_USE enum status member_object(struct reading *r, const struct json_value *o, const char *name,
                                   const struct json_value **ret);
MUST_USE enum status member_time(struct reading *r, const struct json_value *o, const char *name,
                                 int64_t *ret);
/* member_bytes: of base64.  member_number: a decimal integer as n bytes; member_number_value: of a value that is found already. */
MUST_USE enum status member_bytes(struct reading *r, const struct json_value *o, const char *name,
                                  struct span *ret);
MUST_USE enum status member_number(struct reading *r, const struct json_value *o, const char *name,
                                   size_t n, struct span *ret);
MUST_USE enum status member_number_value(struct reading *r, const struct json_value *v,
                                         const char *name, size_t n, struct span *ret);

/* member_unbase64(r, name, text, ret), member_keep(r, from, ret): into the room. */
MUST_USE enum status member_unbase64(struct reading *r, const char *name, struct span text,
                                     struct span *ret);
MUST_USE enum status member_keep(struct reading *r, struct span from, struct span *ret);
/* Errors: "NAME of the backup must be WANTED"; no locked memory. */
enum status member_wrong(struct reading *r, const char *name, const char *wanted);
enum status member_no_memory(struct reading *r);

/* transit_backup_key.c: backup_read_version(r, key, ret): the KEY of version r->number; NULL: there is none. */
MUST_USE enum status backup_read_version(struct reading *r, const struct json_value *key,
                                         struct backup_version *ret);

#endif
