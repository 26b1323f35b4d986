/* Key records, byte by byte (docs/formats.md), and where they lie. */
#include <string.h>

#include "engine/transit_impl.h"

#define HEAD_VERSION    1
#define VERSION_VERSION 1

/* Flags of a head. */
enum {
	HEAD_DERIVED = 1u << 0,
	HEAD_CONVERGENT = 1u << 1,
	HEAD_EXPORTABLE = 1u << 2,
	HEAD_PLAINTEXT_BACKUP = 1u << 3,
	HEAD_DELETION_ALLOWED = 1u << 4,
	HEAD_IMPORTED = 1u << 5,
	HEAD_IMPORT_ROTATION = 1u << 6,
	HEAD_SOFT_DELETED = 1u << 7,
	HEAD_FLAGS = (1u << 8) - 1
};

struct span key_head_path(struct span name, char buf[static KEY_PATH_MAX])
{
	struct builder b;

	builder_init_fixed(&b, buf, KEY_PATH_MAX);
	builder_str(&b, "key/");
	builder_add(&b, name);
	return builder_span(&b);
}

struct span key_version_path(const struct key_id *id, uint32_t number,
                             char buf[static KEY_PATH_MAX])
{
	struct builder b;

	builder_init_fixed(&b, buf, KEY_PATH_MAX);
	builder_str(&b, "version/");
	builder_hex(&b, span_of(id->b, sizeof id->b));
	builder_fmt(&b, "/%08x", number);
	return builder_span(&b);
}

struct span key_due_path(int64_t due_ns, struct span name, char buf[static KEY_PATH_MAX])
{
	struct builder b;

	builder_init_fixed(&b, buf, KEY_PATH_MAX);
	builder_fmt(&b, KEY_DUE "%016llx/", (unsigned long long)due_ns);
	builder_add(&b, name);
	return builder_span(&b);
}

static unsigned flags_of(const struct key_head *h)
{
	return (h->derived ? HEAD_DERIVED : 0u) | (h->convergent ? HEAD_CONVERGENT : 0u) |
	       (h->exportable ? HEAD_EXPORTABLE : 0u) |
	       (h->plaintext_backup ? HEAD_PLAINTEXT_BACKUP : 0u) |
	       (h->deletion_allowed ? HEAD_DELETION_ALLOWED : 0u) |
	       (h->imported ? HEAD_IMPORTED : 0u) |
	       (h->import_rotation ? HEAD_IMPORT_ROTATION : 0u) |
	       (h->soft_deleted ? HEAD_SOFT_DELETED : 0u);
}

static void set_flags(struct key_head *h, unsigned flags)
{
	h->derived = (flags & HEAD_DERIVED) != 0;
	h->convergent = (flags & HEAD_CONVERGENT) != 0;
	h->exportable = (flags & HEAD_EXPORTABLE) != 0;
	h->plaintext_backup = (flags & HEAD_PLAINTEXT_BACKUP) != 0;
	h->deletion_allowed = (flags & HEAD_DELETION_ALLOWED) != 0;
	h->imported = (flags & HEAD_IMPORTED) != 0;
	h->import_rotation = (flags & HEAD_IMPORT_ROTATION) != 0;
	h->soft_deleted = (flags & HEAD_SOFT_DELETED) != 0;
}

void key_head_encode(const struct key_head *h, struct builder *b)
{
	builder_u8(b, HEAD_VERSION);
	builder_add(b, span_of(h->id.b, sizeof h->id.b));
	builder_u8(b, (uint8_t)h->type);
	builder_u16(b, (uint16_t)flags_of(h));
	builder_u32(b, h->latest);
	builder_u32(b, h->min_decryption);
	builder_u32(b, h->min_encryption);
	builder_u32(b, h->min_available);
	builder_u32(b, h->key_size);
	builder_u32(b, h->auto_rotate_s);
	builder_u64(b, (uint64_t)h->due_ns);
	builder_u64(b, h->max_operations);
	builder_u32(b, h->max_versions);
	builder_u32(b, h->oldest);
	builder_u64(b, (uint64_t)h->retire_after_s);
	builder_u64(b, h->changes);
	builder_u64(b, (uint64_t)h->backup.time_ns);
	builder_u32(b, h->backup.version);
	builder_u64(b, (uint64_t)h->restored.time_ns);
	builder_u32(b, h->restored.version);
}

static enum status times(struct cursor *c, int64_t *ret)
{
	uint64_t v;

	if (cursor_u64(c, &v) != ST_OK || v > INT64_MAX)
		return ST_CORRUPT;
	*ret = (int64_t)v;
	return ST_OK;
}

/* What no writer of ours would have stored. */
static enum status head_check(const struct key_head *h)
{
	const struct key_type_info *info = key_type_info(h->type);

	if (h->latest == 0 || h->latest > KEY_VERSIONS_MAX || h->min_decryption == 0 ||
	    h->min_decryption > h->latest || h->min_encryption > h->latest ||
	    h->min_available > h->min_decryption || h->max_operations > USES_LIMIT_MAX ||
	    h->oldest > h->latest || (h->convergent && !h->derived) ||
	    (h->derived && !info->derives))
		return ST_CORRUPT;
	if (info->family == FAMILY_HMAC &&
	    (h->key_size < KEY_HMAC_MIN || h->key_size > KEY_HMAC_MAX))
		return ST_CORRUPT;
	return ST_OK;
}

enum status key_head_decode(struct span record, struct key_head *ret)
{
	struct cursor c = cursor_of(record);
	struct key_head h = {.latest = 0};
	uint8_t version, type;
	uint16_t flags;

	if (cursor_u8(&c, &version) != ST_OK || version != HEAD_VERSION ||
	    cursor_copy(&c, h.id.b, sizeof h.id.b) != ST_OK || cursor_u8(&c, &type) != ST_OK ||
	    type >= KEY_TYPES || cursor_u16(&c, &flags) != ST_OK || (flags & ~HEAD_FLAGS) != 0 ||
	    cursor_u32(&c, &h.latest) != ST_OK || cursor_u32(&c, &h.min_decryption) != ST_OK ||
	    cursor_u32(&c, &h.min_encryption) != ST_OK ||
	    cursor_u32(&c, &h.min_available) != ST_OK || cursor_u32(&c, &h.key_size) != ST_OK ||
	    cursor_u32(&c, &h.auto_rotate_s) != ST_OK || times(&c, &h.due_ns) != ST_OK ||
	    cursor_u64(&c, &h.max_operations) != ST_OK ||
	    cursor_u32(&c, &h.max_versions) != ST_OK || cursor_u32(&c, &h.oldest) != ST_OK ||
	    times(&c, &h.retire_after_s) != ST_OK || cursor_u64(&c, &h.changes) != ST_OK ||
	    times(&c, &h.backup.time_ns) != ST_OK || cursor_u32(&c, &h.backup.version) != ST_OK ||
	    times(&c, &h.restored.time_ns) != ST_OK ||
	    cursor_u32(&c, &h.restored.version) != ST_OK || cursor_end(&c) != ST_OK)
		return ST_CORRUPT;
	h.type = (enum key_type)type;
	set_flags(&h, flags);
	if (head_check(&h) != ST_OK)
		return ST_CORRUPT;
	*ret = h;
	return ST_OK;
}

/* Flags of a version. */
enum { VERSION_REWRAP_ONLY = 1u << 0, VERSION_USES_UNKNOWN = 1u << 1, VERSION_FLAGS = (1u << 2) - 1 };

void key_version_encode(const struct version_data *v, struct builder *b)
{
	builder_u8(b, VERSION_VERSION);
	builder_u8(b, (uint8_t)v->state);
	builder_u8(b, (uint8_t)((v->rewrap_only ? VERSION_REWRAP_ONLY : 0u) |
	                        (v->uses_unknown ? VERSION_USES_UNKNOWN : 0u)));
	builder_u64(b, (uint64_t)v->created_ns);
	builder_u64(b, (uint64_t)v->destroyed_ns);
	builder_u32(b, v->first_term);
	builder_u32(b, v->last_term);
	builder_lv(b, v->private_key);
	builder_lv(b, v->mac_key);
	builder_lv(b, v->public_key);
	builder_lv(b, v->chain);
}

enum status key_version_decode(struct span record, struct version_data *ret)
{
	struct cursor c = cursor_of(record);
	struct version_data v;
	uint8_t version, state, flags;

	if (cursor_u8(&c, &version) != ST_OK || version != VERSION_VERSION ||
	    cursor_u8(&c, &state) != ST_OK || state > VERSION_DESTROYED ||
	    cursor_u8(&c, &flags) != ST_OK || flags > VERSION_FLAGS ||
	    times(&c, &v.created_ns) != ST_OK || times(&c, &v.destroyed_ns) != ST_OK ||
	    cursor_u32(&c, &v.first_term) != ST_OK || cursor_u32(&c, &v.last_term) != ST_OK ||
	    cursor_lv(&c, &v.private_key) != ST_OK || cursor_lv(&c, &v.mac_key) != ST_OK ||
	    cursor_lv(&c, &v.public_key) != ST_OK || cursor_lv(&c, &v.chain) != ST_OK ||
	    cursor_end(&c) != ST_OK)
		return ST_CORRUPT;
	v.state = (enum version_state)state;
	v.rewrap_only = (flags & VERSION_REWRAP_ONLY) != 0;
	v.uses_unknown = (flags & VERSION_USES_UNKNOWN) != 0;
	*ret = v;
	return ST_OK;
}

enum status key_due_parse(struct span name, int64_t *ret_ns)
{
	uint8_t raw[8];
	struct builder b;
	struct cursor c;

	builder_init_fixed(&b, raw, sizeof raw);
	if (name.n != 17 || name.p[16] != '/' || builder_unhex(&b, span_of(name.p, 16)) != ST_OK)
		return ST_CORRUPT;
	c = cursor_of(builder_span(&b));
	return times(&c, ret_ns);
}
