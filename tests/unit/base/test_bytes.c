#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/utf8.h"

/*
 * The linker sends the allocations of our objects here (see meson.build): they are counted, one can fail, and each block must be
 * all zeros when it is freed.
 */
void *__real_malloc(size_t n);
void __real_free(void *p);
void *__wrap_malloc(size_t n);
void __wrap_free(void *p);

static size_t allocations; /* so far */
static size_t failing;     /* the one that fails; 0: none */
static size_t freed_dirty; /* blocks that were freed with something in them */
static struct {
	uint8_t *p;
	size_t n;
} blocks[16]; /* those in use */

#define BLOCKS (sizeof(blocks) / sizeof(blocks[0]))

void *__wrap_malloc(size_t n)
{
	if (++allocations == failing)
		return NULL;
	void *p = __real_malloc(n);
	size_t i = 0;
	while (i < BLOCKS && blocks[i].p != NULL)
		i++;
	assert_true(p != NULL && i < BLOCKS);
	blocks[i].p = p;
	blocks[i].n = n;
	return p;
}

void __wrap_free(void *p)
{
	for (size_t i = 0; p != NULL && i < BLOCKS; i++) {
		if (blocks[i].p != p)
			continue;
		for (size_t at = 0; at < blocks[i].n; at++) {
			if (blocks[i].p[at] != 0) {
				freed_dirty++;
				break;
			}
		}
		blocks[i].p = NULL;
	}
	__real_free(p);
}

/* Does f end the process by abort? */
static bool aborts(void (*f)(void))
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		(void)close(STDERR_FILENO);
		(void)signal(SIGABRT, SIG_DFL);
		f();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void span_compare(void **state)
{
	static const struct {
		const char *a, *b;
		int order;
	} cases[] = {
	    {"", "", 0},        {"", "a", -1},     {"a", "", 1},    {"a", "a", 0},
	    {"a", "b", -1},     {"ab", "a", 1},    {"ab", "b", -1}, {"\xff", "a", 1},
	    {"abc", "abd", -1}, {"abc", "abc", 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct span a = span_str(cases[i].a), b = span_str(cases[i].b);
		int order = span_cmp(a, b);
		assert_int_equal((order > 0) - (order < 0), cases[i].order);
		assert_int_equal(span_eq(a, b), cases[i].order == 0);
		assert_int_equal(span_eq_str(a, cases[i].b), cases[i].order == 0);
	}
	assert_true(span_eq(span_of(NULL, 0), span_str("")));
	assert_false(span_eq(span_of("a\0b", 3), span_of("a\0c", 3)));
	assert_false(span_eq_str(span_of("a\0", 2), "a"));
}

static void words_in_any_letters(void **state)
{
	(void)state;
	assert_true(span_eq_word(span_str("Form-DATA"), "form-data"));
	assert_true(span_eq_word(span_str("zip"), "zip"));
	assert_true(span_eq_word(span_of(NULL, 0), ""));
	assert_false(span_eq_word(span_str("form-dat"), "form-data"));
	assert_false(span_eq_word(span_str("form-data "), "form-data"));
	assert_false(span_eq_word(span_of("zi\0", 3), "zip"));
	/* Only letters have two forms: what stands beside them in the table of characters is itself. */
	assert_false(span_eq_word(span_str("@"), "`"));
	assert_false(span_eq_word(span_str("["), "{"));
	assert_false(span_eq_word(span_str("\xc4"), "\xe4"));
	assert_true(span_eq_word(span_str("AZ"), "az"));
}

static void span_parts(void **state)
{
	struct span s = span_str("vault:v1:abc");

	(void)state;
	assert_true(span_starts(s, span_str("vault:")));
	assert_true(span_starts(s, s));
	assert_true(span_starts(s, span_of(NULL, 0)));
	assert_false(span_starts(s, span_str("vaulT:")));
	assert_false(span_starts(span_str("va"), s));
	assert_true(span_ends(s, span_str(":abc")));
	assert_true(span_ends(s, s));
	assert_true(span_ends(s, span_of(NULL, 0)));
	assert_false(span_ends(s, span_str(":abd")));
	assert_false(span_ends(span_str("bc"), s));
	assert_true(span_eq_str(span_from(s, 9), "abc"));
	assert_int_equal(span_from(s, s.n).n, 0);
	assert_int_equal(span_from(span_of(NULL, 0), 0).n, 0);
}

static void from_beyond(void)
{
	(void)span_from(span_str("abc"), 4);
}

static void of_null(void)
{
	(void)span_of(NULL, 1);
}

static void span_preconditions(void **state)
{
	(void)state;
	assert_true(aborts(from_beyond));
	assert_true(aborts(of_null));
}

static void cstr_fits_or_leaves(void **state)
{
	char buf[5] = "zzzz";

	(void)state;
	assert_int_equal(span_cstr(span_str("12345"), buf, sizeof(buf)), ST_LIMIT);
	assert_int_equal(span_cstr(span_of("1\0", 2), buf, sizeof(buf)), ST_INVALID);
	assert_int_equal(span_cstr(span_str(""), buf, 0), ST_LIMIT);
	assert_string_equal(buf, "zzzz");
	assert_int_equal(span_cstr(span_str("1234"), buf, sizeof(buf)), ST_OK);
	assert_string_equal(buf, "1234");
	assert_int_equal(span_cstr(span_of(NULL, 0), buf, sizeof(buf)), ST_OK);
	assert_string_equal(buf, "");
}

static void arithmetic(void **state)
{
	size_t v = 42;

	(void)state;
	assert_false(size_add(SIZE_MAX, 1, &v));
	assert_false(size_mul(SIZE_MAX / 2 + 1, 2, &v));
	assert_int_equal(v, 42);
	assert_true(size_add(SIZE_MAX - 1, 1, &v));
	assert_true(v == SIZE_MAX);
	assert_true(size_mul(SIZE_MAX / 2, 2, &v));
	assert_true(v == SIZE_MAX - 1);
	assert_true(size_mul(SIZE_MAX, 0, &v));
	assert_int_equal(v, 0);
}

/* Good and bad characters: RFC 3629 sections 3 and 4, their borders. */
static void utf8_characters(void **state)
{
	static const char *const good[] = {
	    "a",
	    "\x7f",
	    "\xc2\x80",
	    "\xdf\xbf",
	    "\xe0\xa0\x80",
	    "\xec\xbf\xbf",
	    "\xed\x80\x80",
	    "\xed\x9f\xbf",
	    "\xee\x80\x80",
	    "\xef\xbf\xbf",
	    "\xf0\x90\x80\x80",
	    "\xf3\xbf\xbf\xbf",
	    "\xf4\x80\x80\x80",
	    "\xf4\x8f\xbf\xbf",
	};
	static const char *const bad[] = {
	    "\x80",
	    "\xbf",
	    "\xc0\x80",
	    "\xc1\xbf",
	    "\xc2",
	    "\xc2\x41",
	    "\xc2\xc0",
	    "\xdf\x7f",
	    "\xe0\x80\x80",
	    "\xe0\x9f\xbf",
	    "\xe1\x80",
	    "\xe1\x80\x41",
	    "\xe1\x41\x80",
	    "\xed\xa0\x80",
	    "\xed\xbf\xbf",
	    "\xf0\x80\x80\x80",
	    "\xf0\x8f\xbf\xbf",
	    "\xf1\x80\x80",
	    "\xf1\x80\x80\x7f",
	    "\xf1\x80\xc0\x80",
	    "\xf4\x90\x80\x80",
	    "\xf5\x80\x80\x80",
	    "\xf8\x88\x80\x80\x80",
	    "\xff",
	    "\xfe",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(utf8_length(span_str(good[i])), strlen(good[i]));
		assert_true(utf8_valid(span_str(good[i])));
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(utf8_length(span_str(bad[i])), 0);
		assert_false(utf8_valid(span_str(bad[i])));
	}
	assert_int_equal(utf8_length(span_of(NULL, 0)), 0);
	assert_int_equal(utf8_length(span_of("\0", 1)), 1);
	assert_true(utf8_valid(span_of(NULL, 0)));
	assert_true(utf8_valid(span_str("a\xc3\xa9z\xf0\x9f\x98\x80")));
	assert_false(utf8_valid(span_str("a\xc3\xa9z\xc3")));
}

static void cursor_reads_big_endian(void **state)
{
	static const uint8_t bytes[] = {1,  2,  3,  4,   5,   6,   7, 0xf8, 9, 10, 11,  12,
	                                13, 14, 15, 'x', 'y', 'z', 0, 0,    0, 2,  'h', 'i'};
	struct cursor c = cursor_of(span_of(bytes, sizeof(bytes)));
	uint8_t u8, copy[2];
	uint16_t u16;
	uint32_t u32;
	uint64_t u64;
	struct span s;

	(void)state;
	assert_int_equal(cursor_u8(&c, &u8), ST_OK);
	assert_int_equal(u8, 1);
	assert_int_equal(cursor_u16(&c, &u16), ST_OK);
	assert_int_equal(u16, 0x0203);
	assert_int_equal(cursor_u32(&c, &u32), ST_OK);
	assert_int_equal(u32, 0x04050607);
	assert_int_equal(cursor_u64(&c, &u64), ST_OK);
	assert_true(u64 == UINT64_C(0xf8090a0b0c0d0e0f));
	assert_int_equal(cursor_end(&c), ST_CORRUPT);
	assert_int_equal(cursor_span(&c, 1, &s), ST_OK);
	assert_true(span_eq_str(s, "x"));
	assert_int_equal(cursor_copy(&c, copy, sizeof(copy)), ST_OK);
	assert_memory_equal(copy, "yz", 2);
	assert_int_equal(cursor_lv(&c, &s), ST_OK);
	assert_true(span_eq_str(s, "hi"));
	assert_int_equal(cursor_end(&c), ST_OK);
	assert_int_equal(cursor_span(&c, 0, &s), ST_OK);
	assert_int_equal(s.n, 0);
}

/* Every read of more than is left fails and moves nothing. */
static void cursor_is_all_or_nothing(void **state)
{
	static const uint8_t bytes[7] = {0, 0, 0, 4, 'a', 'b', 'c'};
	uint8_t u8 = 77, copy[8] = "copy";
	uint16_t u16 = 77;
	uint32_t u32 = 77;
	uint64_t u64 = 77;
	struct span s = span_str("kept");

	(void)state;
	for (size_t n = 0; n <= sizeof(bytes); n++) {
		struct cursor c = cursor_of(span_of(bytes, n));
		assert_int_equal(cursor_u64(&c, &u64), ST_CORRUPT);
		assert_int_equal(cursor_lv(&c, &s), ST_CORRUPT);
		assert_int_equal(cursor_span(&c, n + 1, &s), ST_CORRUPT);
		assert_int_equal(cursor_span(&c, SIZE_MAX, &s), ST_CORRUPT);
		assert_int_equal(cursor_copy(&c, copy, n + 1), ST_CORRUPT);
		if (n < 4)
			assert_int_equal(cursor_u32(&c, &u32), ST_CORRUPT);
		if (n < 2)
			assert_int_equal(cursor_u16(&c, &u16), ST_CORRUPT);
		if (n < 1)
			assert_int_equal(cursor_u8(&c, &u8), ST_CORRUPT);
		assert_ptr_equal(c.p, bytes);
		assert_int_equal(c.left, n);
	}
	assert_true(u8 + u64 + u16 + u32 == UINT64_C(4) * 77);
	assert_true(span_eq_str(s, "kept"));
	assert_string_equal((char *)copy, "copy");

	struct cursor none = cursor_of(span_of(NULL, 0));
	assert_int_equal(cursor_u8(&none, &u8), ST_CORRUPT);
	assert_int_equal(cursor_copy(&none, copy, 0), ST_OK);
	assert_int_equal(cursor_end(&none), ST_OK);
}

static void builder_writes_what_the_cursor_reads(void **state)
{
	struct builder b = {0};
	struct span s;
	uint8_t u8;
	uint16_t u16;
	uint32_t u32;
	uint64_t u64;

	(void)state;
	builder_u8(&b, 0xab);
	builder_u16(&b, 0x1234);
	builder_u32(&b, 0xdeadbeef);
	builder_u64(&b, UINT64_C(0x0123456789abcdef));
	builder_lv(&b, span_str("value"));
	builder_lv(&b, span_of(NULL, 0));
	assert_int_equal(builder_status(&b), ST_OK);
	struct cursor c = cursor_of(builder_span(&b));
	assert_int_equal(cursor_u8(&c, &u8), ST_OK);
	assert_int_equal(cursor_u16(&c, &u16), ST_OK);
	assert_int_equal(cursor_u32(&c, &u32), ST_OK);
	assert_int_equal(cursor_u64(&c, &u64), ST_OK);
	assert_int_equal(u8, 0xab);
	assert_int_equal(u16, 0x1234);
	assert_true(u32 == 0xdeadbeef);
	assert_true(u64 == UINT64_C(0x0123456789abcdef));
	assert_int_equal(cursor_lv(&c, &s), ST_OK);
	assert_true(span_eq_str(s, "value"));
	assert_int_equal(cursor_lv(&c, &s), ST_OK);
	assert_int_equal(s.n, 0);
	assert_int_equal(cursor_end(&c), ST_OK);
	builder_free(&b);
	assert_null(b.p);
	assert_int_equal(b.n, 0);
}

static void builder_texts(void **state)
{
	struct builder b;

	(void)state;
	builder_init(&b, 0);
	builder_str(&b, "a");
	builder_str(&b, "");
	builder_dec(&b, 0);
	builder_dec(&b, 1234567890);
	builder_dec(&b, UINT64_MAX);
	builder_fmt(&b, "<%s %05d>", "x", 42);
	assert_true(span_eq_str(builder_span(&b), "a0123456789018446744073709551615<x 00042>"));
	builder_reset(&b);
	assert_int_equal(builder_span(&b).n, 0);
	builder_fmt(&b, "%*d", 511, 1);
	assert_int_equal(b.n, 511);
	builder_fmt(&b, "%*d", 512, 2);
	assert_int_equal(b.n, 511 + 512);
	builder_fmt(&b, "%*d|", 3000, 3);
	assert_int_equal(b.n, 511 + 512 + 3001);
	assert_memory_equal(b.p + b.n - 3, " 3|", 3);
	assert_int_equal(b.p[510], '1');
	assert_int_equal(b.p[511 + 511], '2');
	assert_int_equal(builder_status(&b), ST_OK);
	builder_free(&b);
}

static void builder_grows_to_its_limit_and_stops(void **state)
{
	struct builder b;

	(void)state;
	builder_init(&b, 1000);
	for (size_t i = 0; i < 1000; i++)
		builder_u8(&b, (uint8_t)i);
	assert_int_equal(builder_status(&b), ST_OK);
	builder_add(&b, span_of(NULL, 0));
	assert_int_equal(builder_status(&b), ST_OK);
	builder_u8(&b, 1);
	assert_int_equal(builder_status(&b), ST_LIMIT);
	assert_int_equal(b.n, 1000);
	assert_true(b.cap <= 1000);
	for (size_t i = 0; i < 1000; i++)
		assert_int_equal(b.p[i], (uint8_t)i);
	builder_reset(&b);
	assert_int_equal(builder_status(&b), ST_OK);
	builder_u32(&b, 7);
	assert_int_equal(b.n, 4);
	builder_free(&b);
}

/* What does not fit is not added in part, and nothing is added after it. */
static void add_u16(struct builder *b)
{
	builder_u16(b, 1);
}

static void add_u64(struct builder *b)
{
	builder_u64(b, 1);
}

static void add_lv(struct builder *b)
{
	builder_lv(b, span_str("1234"));
}

static void add_str(struct builder *b)
{
	builder_str(b, "12345");
}

static void add_fmt(struct builder *b)
{
	builder_fmt(b, "%s-%d", "abc", 1);
}

static void add_long_fmt(struct builder *b)
{
	builder_fmt(b, "%600d", 1);
}

static void add_dec(struct builder *b)
{
	builder_dec(b, 12345);
}

static void add_hex(struct builder *b)
{
	builder_hex(b, span_str("abc"));
}

static void add_base64(struct builder *b)
{
	builder_base64(b, span_str("abcd"));
}

static void add_room(struct builder *b)
{
	assert_null(builder_room(b, SIZE_MAX));
}

static void builder_is_all_or_nothing(void **state)
{
	static const struct {
		void (*add)(struct builder *);
		size_t room;
	} cases[] = {{add_u16, 1},    {add_u64, 7},        {add_lv, 7},  {add_str, 4},
	             {add_fmt, 4},    {add_long_fmt, 599}, {add_dec, 4}, {add_hex, 5},
	             {add_base64, 7}, {add_room, 7}};
	uint8_t buf[600];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct builder fixed, heap;
		builder_init_fixed(&fixed, buf, cases[i].room);
		builder_init(&heap, cases[i].room);
		cases[i].add(&fixed);
		cases[i].add(&heap);
		builder_u8(&fixed, 1);
		builder_u8(&heap, 1);
		assert_int_equal(builder_status(&fixed), ST_LIMIT);
		assert_int_equal(builder_status(&heap), ST_LIMIT);
		assert_int_equal(fixed.n, 0);
		assert_int_equal(heap.n, 0);
		assert_null(builder_room(&fixed, 0));
		assert_int_equal(builder_unhex(&fixed, span_str("00")), ST_LIMIT);
		assert_int_equal(builder_unbase64(&fixed, span_str("AAAA")), ST_LIMIT);
		builder_free(&fixed);
		builder_free(&heap);
	}
}

/* The same calls with exactly the room they need. */
static void builder_fills_to_the_last_byte(void **state)
{
	static const struct {
		void (*add)(struct builder *);
		size_t room;
	} cases[] = {{add_u16, 2},        {add_u64, 8}, {add_lv, 8},  {add_str, 5},   {add_fmt, 5},
	             {add_long_fmt, 600}, {add_dec, 5}, {add_hex, 6}, {add_base64, 8}};
	uint8_t buf[601];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct builder b;
		buf[cases[i].room] = 0xee;
		builder_init_fixed(&b, buf, cases[i].room);
		cases[i].add(&b);
		assert_int_equal(builder_status(&b), ST_OK);
		assert_int_equal(b.n, cases[i].room);
		assert_int_equal(buf[cases[i].room], 0xee);
		builder_free(&b);
		builder_init(&b, cases[i].room);
		cases[i].add(&b);
		assert_int_equal(builder_status(&b), ST_OK);
		assert_int_equal(b.n, cases[i].room);
		builder_free(&b);
	}
}

static void room_and_took(void **state)
{
	struct builder b = {0};

	(void)state;
	assert_non_null(builder_room(&b, 0));
	uint8_t *p = builder_room(&b, 5000);
	assert_non_null(p);
	memset(p, 'a', 5000);
	assert_int_equal(b.n, 0);
	builder_took(&b, 4999);
	assert_int_equal(b.n, 4999);
	builder_str(&b, "b");
	assert_int_equal(b.p[4998], 'a');
	assert_int_equal(b.p[4999], 'b');
	builder_free(&b);
	builder_free(&b);
	builder_free(NULL);
}

static void took_more_than_room(void)
{
	uint8_t buf[4];
	struct builder b;

	builder_init_fixed(&b, buf, sizeof(buf));
	builder_took(&b, 5);
}

static void torn_builder(void)
{
	uint8_t buf[4];
	struct builder b;

	builder_init_fixed(&b, buf, sizeof(buf));
	b.n = 5;
	builder_u8(&b, 1);
}

static void builder_preconditions(void **state)
{
	(void)state;
	assert_true(aborts(took_more_than_room));
	assert_true(aborts(torn_builder));
}

static void what_a_fixed_builder_held_is_wiped(void **state)
{
	uint8_t buf[8], zero[8] = {0};
	struct builder b;

	(void)state;
	builder_init_fixed(&b, buf, sizeof(buf));
	builder_str(&b, "password");
	assert_memory_equal(buf, "password", 8);
	builder_reset(&b);
	assert_memory_equal(buf, zero, 8);
	builder_str(&b, "password");
	builder_free(&b);
	assert_memory_equal(buf, zero, 8);
	memset(buf, 7, sizeof(buf));
	wipe(buf, 4);
	assert_memory_equal(buf, "\0\0\0\0\7\7\7\7", 8);
	wipe(NULL, 0);
}

/* A cut wipes what it takes away; rewinding leaves it to be written over, or freed. */
static void cut_and_rewound(void **state)
{
	uint8_t buf[8];
	struct builder b = {0};

	(void)state;
	builder_cut(&b, 0);
	builder_init_fixed(&b, buf, sizeof(buf));
	builder_str(&b, "password");
	builder_cut(&b, 4);
	assert_true(span_eq_str(builder_span(&b), "pass"));
	assert_memory_equal(buf, "pass\0\0\0\0", 8);
	builder_cut(&b, 4);
	builder_str(&b, "too long");
	assert_int_equal(builder_status(&b), ST_LIMIT);
	builder_cut(&b, 1);
	assert_int_equal(builder_status(&b), ST_LIMIT); /* a failure stays */
	builder_rewind(&b);
	assert_int_equal(builder_status(&b), ST_OK);
	assert_int_equal(b.n, 0);
	assert_memory_equal(buf, "p", 1);
	builder_free(&b);
	assert_memory_equal(buf, "\0", 1);
}

static void what_a_heap_builder_held_is_wiped(void **state)
{
	struct builder b = {0};

	(void)state;
	allocations = freed_dirty = 0;
	for (int i = 0; i < 5000; i++)
		builder_str(&b, "password");
	builder_fmt(&b, "%3000s", "password");
	memset(builder_room(&b, 100), 'x', 100); /* filled, never taken */
	assert_true(allocations > 5);
	assert_int_equal(freed_dirty, 0);
	builder_free(&b);
	assert_int_equal(freed_dirty, 0);

	uint8_t *planted = __wrap_malloc(4); /* the check itself finds what is left */
	memcpy(planted, "\0\0\0x", 4);
	__wrap_free(planted);
	assert_int_equal(freed_dirty, 1);
}

/* Without memory the builder keeps what it has, and says so. */
static void memory_runs_out(void **state)
{
	(void)state;
	for (size_t nth = 1; nth <= 3; nth++) {
		struct builder b = {0};
		allocations = 0;
		failing = nth;
		builder_str(&b, "kept");
		builder_fmt(&b, "%600d", 7); /* grows, and takes memory of its own */
		failing = 0;
		builder_str(&b, "not added");
		assert_int_equal(builder_status(&b), ST_NOMEM);
		assert_true(span_eq_str(builder_span(&b), nth == 1 ? "" : "kept"));
		assert_null(builder_room(&b, 0));
		builder_reset(&b);
		builder_str(&b, "again");
		assert_true(span_eq_str(builder_span(&b), "again"));
		builder_free(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(span_compare),
	    cmocka_unit_test(words_in_any_letters),
	    cmocka_unit_test(span_parts),
	    cmocka_unit_test(span_preconditions),
	    cmocka_unit_test(cstr_fits_or_leaves),
	    cmocka_unit_test(arithmetic),
	    cmocka_unit_test(utf8_characters),
	    cmocka_unit_test(cursor_reads_big_endian),
	    cmocka_unit_test(cursor_is_all_or_nothing),
	    cmocka_unit_test(builder_writes_what_the_cursor_reads),
	    cmocka_unit_test(builder_texts),
	    cmocka_unit_test(builder_grows_to_its_limit_and_stops),
	    cmocka_unit_test(builder_is_all_or_nothing),
	    cmocka_unit_test(builder_fills_to_the_last_byte),
	    cmocka_unit_test(room_and_took),
	    cmocka_unit_test(builder_preconditions),
	    cmocka_unit_test(what_a_fixed_builder_held_is_wiped),
	    cmocka_unit_test(cut_and_rewound),
	    cmocka_unit_test(what_a_heap_builder_held_is_wiped),
	    cmocka_unit_test(memory_runs_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
