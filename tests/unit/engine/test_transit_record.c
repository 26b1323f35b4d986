/*
 * Records of keys: what is written is read; whatever else is in a record is refused, or read as values that its writer could have written (a head is not
 * protected from mistakes of ours by the encryption around it).  Bytes as in docs/formats.md.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/random.h"
#include "engine/transit_impl.h"

/* ---- heads ---- */

static struct key_head full_head(void)
{
	struct key_head h = {.type = KEY_HMAC,
	                     .exportable = true,
	                     .plaintext_backup = true,
	                     .deletion_allowed = true,
	                     .imported = true,
	                     .import_rotation = true,
	                     .soft_deleted = true,
	                     .latest = 0x01020304,
	                     .min_decryption = 0x01020303,
	                     .min_encryption = 0x01020302,
	                     .min_available = 0x01020301,
	                     .key_size = 48,
	                     .auto_rotate_s = 0xfffefdfc,
	                     .due_ns = INT64_MAX,
	                     .max_operations = USES_LIMIT_MAX,
	                     .max_versions = 17,
	                     .oldest = 0x01020300,
	                     .retire_after_s = INT64_C(0x0102030405060708),
	                     .changes = UINT64_MAX,
	                     .backup = {.time_ns = 1, .version = 2},
	                     .restored = {.time_ns = INT64_MAX, .version = UINT32_MAX}};

	for (size_t i = 0; i < sizeof h.id.b; i++)
		h.id.b[i] = (uint8_t)(0xa0 + i);
	return h;
}

static struct key_head small_head(void)
{
	return (struct key_head){.type = KEY_AES256_GCM, .latest = 1, .min_decryption = 1};
}

/* Member by member: the struct has padding. */
static bool same_head(const struct key_head *a, const struct key_head *b)
{
	return memcmp(a->id.b, b->id.b, sizeof a->id.b) == 0 && a->type == b->type &&
	       a->derived == b->derived && a->convergent == b->convergent &&
	       a->exportable == b->exportable && a->plaintext_backup == b->plaintext_backup &&
	       a->deletion_allowed == b->deletion_allowed && a->imported == b->imported &&
	       a->import_rotation == b->import_rotation && a->soft_deleted == b->soft_deleted &&
	       a->latest == b->latest && a->min_decryption == b->min_decryption &&
	       a->min_encryption == b->min_encryption && a->min_available == b->min_available &&
	       a->key_size == b->key_size && a->auto_rotate_s == b->auto_rotate_s &&
	       a->due_ns == b->due_ns && a->max_operations == b->max_operations &&
	       a->max_versions == b->max_versions && a->oldest == b->oldest &&
	       a->retire_after_s == b->retire_after_s && a->changes == b->changes &&
	       a->backup.time_ns == b->backup.time_ns && a->backup.version == b->backup.version &&
	       a->restored.time_ns == b->restored.time_ns &&
	       a->restored.version == b->restored.version;
}

static void encode_head(const struct key_head *h, struct builder *b)
{
	builder_init(b, 0);
	key_head_encode(h, b);
	assert_int_equal(builder_status(b), ST_OK);
	assert_true(b->n <= KEY_HEAD_MAX);
}

static void head_round_trip(const struct key_head *h)
{
	struct builder b;
	struct key_head got;

	encode_head(h, &b);
	assert_int_equal(key_head_decode(builder_span(&b), &got), ST_OK);
	assert_true(same_head(h, &got));
	builder_free(&b);
}

static void heads_are_read_as_written(void **state)
{
	struct key_head h = full_head();

	(void)state;
	head_round_trip(&h);
	h = small_head();
	head_round_trip(&h);
	for (unsigned i = 0; i < KEY_TYPES; i++) {
		h = small_head();
		h.type = (enum key_type)i;
		h.derived = key_type_info(h.type)->derives;
		h.key_size = h.type == KEY_HMAC ? KEY_HMAC_MAX : 0;
		head_round_trip(&h);
	}
	h = small_head();
	h.derived = true;
	head_round_trip(&h);
	h.convergent = true;
	head_round_trip(&h);
}

/* Each flag alone is its own bit. */
static void each_flag_is_kept(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 8; i++) {
		struct key_head h = small_head();

		h.derived = i == 0 || i == 1;
		h.convergent = i == 1;
		h.exportable = i == 2;
		h.plaintext_backup = i == 3;
		h.deletion_allowed = i == 4;
		h.imported = i == 5;
		h.import_rotation = i == 6;
		h.soft_deleted = i == 7;
		head_round_trip(&h);
	}
}

/* What a decoder gave must be such that the rest of transit can work with it. */
static void sound_head(const struct key_head *h)
{
	const struct key_type_info *info = key_type_info(h->type);

	assert_true(h->latest >= 1 && h->latest <= KEY_VERSIONS_MAX);
	assert_true(h->min_decryption >= 1 && h->min_decryption <= h->latest);
	assert_true(h->min_encryption <= h->latest);
	assert_true(h->min_available <= h->min_decryption);
	assert_true(h->oldest <= h->latest);
	assert_true(h->max_operations <= USES_LIMIT_MAX);
	assert_true(h->due_ns >= 0 && h->retire_after_s >= 0);
	assert_true(h->backup.time_ns >= 0 && h->restored.time_ns >= 0);
	assert_true(info->derives || !h->derived);
	assert_true(h->derived || !h->convergent);
	assert_true(info->family != FAMILY_HMAC ||
	            (h->key_size >= KEY_HMAC_MIN && h->key_size <= KEY_HMAC_MAX));
}

/* Refused, or sound and written again as the same bytes: no two records mean one head. */
static void head_of_any(struct span record)
{
	static const struct key_head untouched = {.latest = 4711};
	struct key_head got = untouched;
	struct builder b;
	enum status st = key_head_decode(record, &got);

	if (st != ST_OK) {
		assert_int_equal(st, ST_CORRUPT);
		assert_true(same_head(&got, &untouched));
		return;
	}
	sound_head(&got);
	encode_head(&got, &b);
	assert_true(span_eq(builder_span(&b), record));
	builder_free(&b);
}

typedef void take_record(struct span record);

/* Exactly as long as it is. */
static void hand(take_record *take, const uint8_t *p, size_t n)
{
	uint8_t *copy = malloc(n > 0 ? n : 1);

	assert_non_null(copy);
	if (n > 0)
		memcpy(copy, p, n);
	take(span_of(copy, n));
	free(copy);
}

static void disturb(take_record *take, struct span record)
{
	uint8_t p[1024];

	assert_true(record.n + 1 < sizeof p);
	for (size_t n = 0; n < record.n; n++)
		hand(take, record.p, n);
	memcpy(p, record.p, record.n);
	p[record.n] = 0;
	hand(take, p, record.n + 1);
	for (size_t i = 0; i < record.n; i++) {
		for (unsigned v = 0; v < 256; v++) {
			p[i] = (uint8_t)v;
			hand(take, p, record.n);
		}
		p[i] = record.p[i];
	}
}

static void no_shorter_head(struct span record)
{
	struct key_head got;

	assert_int_equal(key_head_decode(record, &got), ST_CORRUPT);
}

static void heads_that_were_disturbed(void **state)
{
	const struct key_head heads[] = {full_head(), small_head()};

	(void)state;
	for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
		struct builder b;

		encode_head(&heads[i], &b);
		disturb(head_of_any, builder_span(&b));
		for (size_t n = 0; n < b.n; n++)
			hand(no_shorter_head, b.p, n);
		builder_u8(&b, 0);
		hand(no_shorter_head, b.p, b.n);
		builder_free(&b);
	}
}

/* Values that no writer of ours stores. */
static void heads_that_cannot_be(void **state)
{
	struct key_head h[16];
	struct builder b;
	struct key_head got;
	size_t n = 0;

	(void)state;
	for (size_t i = 0; i < 16; i++)
		h[i] = small_head();
	h[n++].latest = 0;
	h[n++].latest = KEY_VERSIONS_MAX + 1;
	h[n++].min_decryption = 0;
	h[n++].min_decryption = 2;
	h[n++].min_encryption = 2;
	h[n++].min_available = 2;
	h[n++].oldest = 2;
	h[n++].max_operations = USES_LIMIT_MAX + 1;
	h[n++].due_ns = -1;
	h[n++].retire_after_s = -1;
	h[n++].backup.time_ns = INT64_MIN;
	h[n++].convergent = true;
	h[n].type = KEY_P256;
	h[n++].derived = true;
	h[n].type = KEY_HMAC;
	h[n++].key_size = KEY_HMAC_MIN - 1;
	h[n].type = KEY_HMAC;
	h[n++].key_size = KEY_HMAC_MAX + 1;
	for (size_t i = 0; i < n; i++) {
		encode_head(&h[i], &b);
		assert_int_equal(key_head_decode(builder_span(&b), &got), ST_CORRUPT);
		builder_free(&b);
	}
}

/* ---- versions ---- */

static struct version_data full_version(void)
{
	return (struct version_data){.state = VERSION_DISABLED,
	                             .rewrap_only = true,
	                             .created_ns = INT64_MAX,
	                             .destroyed_ns = INT64_C(0x0102030405060708),
	                             .first_term = 0x01020304,
	                             .last_term = UINT32_MAX,
	                             .private_key = span_str("the private key"),
	                             .mac_key = span_str("the key for HMAC"),
	                             .public_key = span_str("its public half"),
	                             .chain = span_str("and certificates")};
}

static struct version_data small_version(void)
{
	return (struct version_data){.state = VERSION_USABLE, .created_ns = 1};
}

static bool same_version(const struct version_data *a, const struct version_data *b)
{
	return a->state == b->state && a->rewrap_only == b->rewrap_only &&
	       a->created_ns == b->created_ns && a->destroyed_ns == b->destroyed_ns &&
	       a->first_term == b->first_term && a->last_term == b->last_term &&
	       span_eq(a->private_key, b->private_key) && span_eq(a->mac_key, b->mac_key) &&
	       span_eq(a->public_key, b->public_key) && span_eq(a->chain, b->chain);
}

static void encode_version(const struct version_data *v, struct builder *b)
{
	builder_init(b, 0);
	key_version_encode(v, b);
	assert_int_equal(builder_status(b), ST_OK);
	assert_true(b->n <= KEY_VERSION_FIXED + v->private_key.n + v->mac_key.n + v->public_key.n +
	                        v->chain.n);
}

static void versions_are_read_as_written(void **state)
{
	struct version_data v[3] = {full_version(), small_version(), full_version()}, got;

	(void)state;
	v[2].state = VERSION_DESTROYED;
	v[2].private_key = v[2].mac_key = v[2].public_key = v[2].chain = span_of(NULL, 0);
	for (size_t i = 0; i < 3; i++) {
		struct builder b;

		encode_version(&v[i], &b);
		assert_int_equal(key_version_decode(builder_span(&b), &got), ST_OK);
		assert_true(same_version(&v[i], &got));
		builder_free(&b);
	}
}

static void version_of_any(struct span record)
{
	static const struct version_data untouched = {.created_ns = 4711};
	struct version_data got = untouched;
	struct builder b;
	enum status st = key_version_decode(record, &got);
	size_t parts;

	if (st != ST_OK) {
		assert_int_equal(st, ST_CORRUPT);
		assert_true(same_version(&got, &untouched));
		return;
	}
	assert_true(got.state <= VERSION_DESTROYED && got.created_ns >= 0 && got.destroyed_ns >= 0);
	parts = got.private_key.n + got.mac_key.n + got.public_key.n + got.chain.n;
	assert_true(parts < record.n);
	encode_version(&got, &b);
	assert_true(span_eq(builder_span(&b), record));
	builder_free(&b);
}

static void no_shorter_version(struct span record)
{
	struct version_data got;

	assert_int_equal(key_version_decode(record, &got), ST_CORRUPT);
}

static void versions_that_were_disturbed(void **state)
{
	const struct version_data versions[] = {full_version(), small_version()};

	(void)state;
	for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) {
		struct builder b;

		encode_version(&versions[i], &b);
		disturb(version_of_any, builder_span(&b));
		for (size_t n = 0; n < b.n; n++)
			hand(no_shorter_version, b.p, n);
		builder_u8(&b, 0);
		hand(no_shorter_version, b.p, b.n);
		builder_free(&b);
	}
}

static void any_bytes(void **state)
{
	struct random_seeded r;
	uint8_t p[200], n;

	(void)state;
	random_seeded_init(&r, 6);
	for (unsigned i = 0; i < 20000; i++) {
		random_fill(&r.random, &n, 1);
		random_fill(&r.random, p, sizeof p);
		p[0] = 1; /* the version of the format */
		hand(head_of_any, p, n % sizeof p);
		hand(version_of_any, p, n % sizeof p);
	}
}

/* ---- paths ---- */

static void paths_fit(void **state)
{
	const struct key_id id = {.b = {0xff, 0x00, 0x7f}};
	char name[KEY_NAME_MAX], buf[KEY_PATH_MAX];
	struct span longest, path;

	(void)state;
	memset(name, 'n', sizeof name);
	longest = span_of(name, sizeof name);
	path = key_head_path(longest, buf);
	assert_int_equal(path.n, 4 + KEY_NAME_MAX);
	path = key_version_path(&id, UINT32_MAX, buf);
	assert_true(span_eq_str(path, "version/ff007f00000000000000000000000000/ffffffff"));
	path = key_due_path(INT64_MAX, longest, buf);
	assert_int_equal(path.n, 4 + 17 + KEY_NAME_MAX);
	assert_true(span_starts(path, span_str("due/7fffffffffffffff/nnn")));
}

/* So that the first name of a listing is the first that is due. */
static void due_times_are_in_order(void **state)
{
	static const int64_t times[] = {1, 2, 15, 16, 255, 256, INT64_C(1) << 40, INT64_MAX};
	char a[KEY_PATH_MAX], b[KEY_PATH_MAX];
	int64_t got;

	(void)state;
	for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
		struct span path = key_due_path(times[i], span_str("k"), a);

		assert_int_equal(key_due_parse(span_of(path.p + 4, path.n - 5), &got), ST_OK);
		assert_int_equal(got, times[i]);
		if (i > 0)
			assert_true(span_cmp(key_due_path(times[i - 1], span_str("z"), b), path) <
			            0);
	}
}

static void other_due_names_are_refused(void **state)
{
	static const char *const names[] = {"",
	                                    "/",
	                                    "000000000000000/",
	                                    "00000000000000000/",
	                                    "0000000000000000",
	                                    "000000000000000g/",
	                                    "-000000000000000/",
	                                    "8000000000000000/",
	                                    "ffffffffffffffff/",
	                                    "0000000000000000/x"};
	int64_t got = 4711;

	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		assert_int_equal(key_due_parse(span_str(names[i]), &got), ST_CORRUPT);
	assert_int_equal(got, 4711);
}

/* ---- names ---- */

static void names(void **state)
{
	static const char *const fine[] = {"a",    "Z",    "0",   "_",        "a-b", "a.b",
	                                   "a..b", "a--b", "_a_", "A1.b-c_d", "0.0"};
	static const char *const not [] = {"",    "-",        ".",     "..",  "-a",   "a-",
	                                   ".a",  "a.",       "a b",   "a/b", "a\nb", "a+b",
	                                   "a:b", "\xc3\xa4", "a\x7f", "*"};
	char longest[KEY_NAME_MAX + 1];

	(void)state;
	for (size_t i = 0; i < sizeof fine / sizeof *fine; i++)
		assert_true(key_name_valid(span_str(fine[i])));
	for (size_t i = 0; i < sizeof not / sizeof *not ; i++)
		assert_false(key_name_valid(span_str(not [i])));
	assert_false(key_name_valid(span_of("a\0b", 3)));
	memset(longest, 'n', sizeof longest);
	assert_true(key_name_valid(span_of(longest, KEY_NAME_MAX)));
	assert_false(key_name_valid(span_of(longest, KEY_NAME_MAX + 1)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(heads_are_read_as_written),
	    cmocka_unit_test(each_flag_is_kept),
	    cmocka_unit_test(heads_that_were_disturbed),
	    cmocka_unit_test(heads_that_cannot_be),
	    cmocka_unit_test(versions_are_read_as_written),
	    cmocka_unit_test(versions_that_were_disturbed),
	    cmocka_unit_test(any_bytes),
	    cmocka_unit_test(paths_fit),
	    cmocka_unit_test(due_times_are_in_order),
	    cmocka_unit_test(other_due_names_are_refused),
	    cmocka_unit_test(names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
