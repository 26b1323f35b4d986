#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "barrier/slots.h"
#include "rig.h"

static char folder[64];
static const uint8_t id_a[STORE_ID_LEN] = {1}, id_b[STORE_ID_LEN] = {2};

static int make_folder(void **state)
{
	(void)state;
	strcpy(folder, "/tmp/test_slots.XXXXXX");
	return mkdtemp(folder) == NULL;
}

static char *file(int copy)
{
	static char path[2][96];

	snprintf(path[copy], sizeof path[copy], "%s/slots.%d", folder, copy);
	return path[copy];
}

static int drop_folder(void **state)
{
	(void)state;
	unlink(file(0));
	unlink(file(1));
	return rmdir(folder);
}

static struct slots *opened(const char *at, const uint8_t id[static STORE_ID_LEN])
{
	struct err err = {0};
	struct slots *s;

	assert_int_equal(slots_open(at, &s, &err), ST_OK);
	slots_bind(s, id);
	return s;
}

static struct secret *secret_of(uint8_t fill)
{
	struct secret *s;

	assert_int_equal(secret_new(SLOT_SECRET_LEN, &s), ST_OK);
	memset(secret_bytes(s), fill, SLOT_SECRET_LEN);
	return s;
}

static void put(struct slots *s, uint32_t term, uint8_t fill)
{
	struct secret *k = secret_of(fill);
	struct err err = {0};

	assert_int_equal(slots_write(s, term, 1, k, &err), ST_OK);
	secret_free(&k);
}

/* Expects the status; with ST_OK the secret, else that the output was not touched. */
static void expect(struct slots *s, uint32_t term, enum status want, uint8_t fill)
{
	struct secret *k = secret_of(0x5a), *wanted = secret_of(want == ST_OK ? fill : 0x5a);
	struct err err = {0};

	assert_int_equal(slots_read(s, term, k, &err), want);
	assert_memory_equal(secret_bytes(k), secret_bytes(wanted), SLOT_SECRET_LEN);
	secret_free(&k);
	secret_free(&wanted);
}

static void edit(int copy, off_t at, const void *bytes, size_t n)
{
	int fd = open(file(copy), O_WRONLY);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, bytes, n, at), (ssize_t)n);
	close(fd);
}

static void look(int copy, off_t at, void *bytes, size_t n)
{
	int fd = open(file(copy), O_RDONLY);

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, bytes, n, at), (ssize_t)n);
	close(fd);
}

static void keeps_secrets(void **state)
{
	struct slots *s = opened(*state, id_a);

	expect(s, 1, ST_NOT_FOUND, 0);
	for (uint32_t t = 1; t <= 300; t++)
		put(s, t, (uint8_t)t);
	for (uint32_t t = 1; t <= 300; t++)
		expect(s, t, ST_OK, (uint8_t)t);
	put(s, 7, 99); /* a slot above the active term is written again */
	expect(s, 7, ST_OK, 99);
	expect(s, 6, ST_OK, 6);
	expect(s, 301, ST_NOT_FOUND, 0);
	expect(s, 16000000, ST_NOT_FOUND, 0);
	slots_close(&s);
	assert_null(s);
}

static void survive_reopening(void **state)
{
	struct slots *s = opened(folder, id_a);
	struct stat st;

	(void)state;
	put(s, 1, 11);
	put(s, 200, 12);
	slots_close(&s);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(stat(file(i), &st), 0);
		assert_int_equal(st.st_mode & 07777, 0600);
	}
	s = opened(folder, id_a);
	expect(s, 1, ST_OK, 11);
	expect(s, 200, ST_OK, 12);
	expect(s, 2, ST_NOT_FOUND, 0);
	slots_close(&s);
}

static void copies_are_equal(uint32_t term)
{
	uint8_t a[SLOT_SECTOR], b[SLOT_SECTOR];

	look(0, (off_t)term * SLOT_SECTOR, a, sizeof a);
	look(1, (off_t)term * SLOT_SECTOR, b, sizeof b);
	assert_memory_equal(a, b, SLOT_SECTOR);
}

/* Torn at any byte: the sector is new up to there, and old (zero, or another secret) behind. */
static void torn_copy_is_repaired(void **state)
{
	uint8_t good[SLOT_SECTOR], torn[SLOT_SECTOR];
	struct slots *s = opened(folder, id_a);

	(void)state;
	put(s, 3, 33);
	look(0, 3 * SLOT_SECTOR, good, sizeof good);
	for (int copy = 0; copy < 2; copy++) {
		for (size_t cut = 0; cut < 8 + 16 + 4 + 1 + 3 + 32 + 32; cut++) {
			memset(torn, 0xee, sizeof torn);
			memcpy(torn, good, cut);
			edit(copy, 3 * SLOT_SECTOR, torn, sizeof torn);
			expect(s, 3, ST_OK, 33);
			copies_are_equal(3);
			memset(torn, 0, sizeof torn);
			memcpy(torn, good, cut);
			edit(copy, 3 * SLOT_SECTOR, torn, sizeof torn);
			expect(s, 3, ST_OK, 33);
			copies_are_equal(3);
		}
	}
	slots_close(&s);
}

static void flipped_byte_in_both(void **state)
{
	uint8_t good[SLOT_SECTOR], bad[SLOT_SECTOR];
	struct slots *s = opened(folder, id_a);

	(void)state;
	put(s, 1, 1);
	look(0, SLOT_SECTOR, good, sizeof good);
	for (size_t i = 0; i < 8 + 16 + 4 + 1 + 3 + 32 + 32; i++) {
		memcpy(bad, good, sizeof bad);
		bad[i] ^= 0x40;
		edit(0, SLOT_SECTOR, bad, sizeof bad);
		edit(1, SLOT_SECTOR, bad, sizeof bad);
		expect(s, 1, ST_NOT_FOUND, 0);
	}
	slots_close(&s);
}

static void one_file_missing(void **state)
{
	(void)state;
	for (int copy = 0; copy < 2; copy++) {
		struct slots *s = opened(folder, id_a);

		put(s, 1, 21);
		put(s, 2, 22);
		slots_close(&s);
		assert_int_equal(unlink(file(copy)), 0);
		s = opened(folder, id_a);
		expect(s, 1, ST_OK, 21);
		expect(s, 2, ST_OK, 22);
		slots_close(&s);
		/* It was made again whole: the other may go now. */
		assert_int_equal(unlink(file(1 - copy)), 0);
		s = opened(folder, id_a);
		expect(s, 1, ST_OK, 21);
		expect(s, 2, ST_OK, 22);
		slots_close(&s);
	}
}

static void short_file(void **state)
{
	struct slots *s = opened(folder, id_a);

	(void)state;
	put(s, 5, 55);
	slots_close(&s);
	assert_int_equal(truncate(file(0), 5 * SLOT_SECTOR + 50), 0);
	s = opened(folder, id_a);
	expect(s, 5, ST_OK, 55);
	copies_are_equal(5);
	slots_close(&s);
}

static void both_missing(void **state)
{
	struct slots *s = opened(folder, id_a);

	(void)state;
	put(s, 1, 21);
	slots_close(&s);
	assert_int_equal(unlink(file(0)), 0);
	assert_int_equal(unlink(file(1)), 0);
	s = opened(folder, id_a);
	expect(s, 1, ST_NOT_FOUND, 0);
	slots_close(&s);
}

static void foreign_store(void **state)
{
	struct slots *s = opened(*state, id_a);

	put(s, 1, 21);
	slots_bind(s, id_b);
	expect(s, 1, ST_NOT_FOUND, 0);
	slots_bind(s, id_a);
	expect(s, 1, ST_OK, 21); /* and it was not touched */
	slots_close(&s);
}

/* A slot moved to another term's place is not that term's. */
static void moved_slot(void **state)
{
	uint8_t sector[SLOT_SECTOR];
	struct slots *s = opened(folder, id_a);

	(void)state;
	put(s, 1, 21);
	look(0, SLOT_SECTOR, sector, sizeof sector);
	edit(0, 2 * SLOT_SECTOR, sector, sizeof sector);
	edit(1, 2 * SLOT_SECTOR, sector, sizeof sector);
	expect(s, 2, ST_NOT_FOUND, 0);
	slots_close(&s);
}

static bool holds(int copy, uint8_t fill)
{
	static uint8_t all[1 << 20];
	uint8_t secret[SLOT_SECRET_LEN];
	int fd = open(file(copy), O_RDONLY);
	ssize_t n = read(fd, all, sizeof all);

	close(fd);
	memset(secret, fill, sizeof secret);
	assert_true(n > 0 && (size_t)n < sizeof all);
	return memmem(all, (size_t)n, secret, sizeof secret) != NULL;
}

static void destroy_leaves_nothing(void **state)
{
	struct err err = {0};
	struct slots *s = opened(folder, id_a);

	(void)state;
	put(s, 1, 0x71);
	put(s, 2, 0x72);
	assert_true(holds(0, 0x71) && holds(1, 0x71));
	assert_int_equal(slots_destroy(s, 1, &err), ST_OK);
	assert_false(holds(0, 0x71) || holds(1, 0x71));
	assert_true(holds(0, 0x72) && holds(1, 0x72));
	expect(s, 1, ST_DENIED, 0);
	assert_int_equal(slots_destroy(s, 1, &err), ST_OK);
	assert_int_equal(slots_destroy_again(s, 1, &err), ST_OK);
	expect(s, 1, ST_DENIED, 0);
	expect(s, 2, ST_OK, 0x72);
	slots_close(&s);
}

static void destroyed_wins_over_live(void **state)
{
	uint8_t live[SLOT_SECTOR];
	struct err err = {0};

	(void)state;
	for (int copy = 0; copy < 2; copy++) {
		struct slots *s = opened(folder, id_a);

		put(s, 1, 0x71);
		look(0, SLOT_SECTOR, live, sizeof live);
		assert_int_equal(slots_destroy(s, 1, &err), ST_OK);
		edit(copy, SLOT_SECTOR, live, sizeof live);
		expect(s, 1, ST_DENIED, 0);
		assert_false(holds(0, 0x71) || holds(1, 0x71));
		/* The same by the call that a start makes. */
		edit(copy, SLOT_SECTOR, live, sizeof live);
		assert_int_equal(slots_destroy_again(s, 1, &err), ST_OK);
		assert_false(holds(0, 0x71) || holds(1, 0x71));
		slots_close(&s);
	}
}

static void destroy_again_of_what_never_was(void **state)
{
	struct err err = {0};
	struct slots *s = opened(*state, id_a);

	assert_int_equal(slots_destroy_again(s, 4, &err), ST_OK);
	expect(s, 4, ST_DENIED, 0);
	slots_close(&s);
}

static void refused_files(void **state)
{
	static const mode_t modes[] = {0640, 0604, 0620, 0610, 0666};
	struct err err = {0};
	struct slots *s = opened(folder, id_a);

	(void)state;
	slots_close(&s);
	for (int copy = 0; copy < 2; copy++) {
		for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
			s = (struct slots *)&err;
			assert_int_equal(chmod(file(copy), modes[i]), 0);
			assert_int_equal(slots_open(folder, &s, &err), ST_INVALID);
			assert_ptr_equal(s, &err);
		}
		assert_int_equal(chmod(file(copy), 0600), 0);
	}
	assert_int_equal(slots_open(folder, &s, &err), ST_OK);
	slots_close(&s);
	assert_int_equal(unlink(file(1)), 0);
	assert_int_equal(symlink(file(0), file(1)), 0);
	assert_int_equal(slots_open(folder, &s, &err), ST_IO);
	assert_int_equal(unlink(file(1)), 0);
	assert_int_equal(mkfifo(file(1), 0600), 0);
	assert_int_equal(slots_open(folder, &s, &err), ST_INVALID);
	assert_int_equal(slots_open("/nonexistent/folder", &s, &err), ST_IO);
}

static void no_room(void **state)
{
	struct rlimit old, low = {.rlim_cur = 128 * SLOT_SECTOR};
	struct secret *k = secret_of(9);
	struct err err = {0};
	struct slots *s = opened(folder, id_a);

	(void)state;
	put(s, 1, 1);
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	low.rlim_max = old.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
	assert_int_equal(slots_write(s, 128, 1, k, &err), ST_FULL);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	expect(s, 128, ST_NOT_FOUND, 0);
	expect(s, 1, ST_OK, 1);
	assert_int_equal(slots_write(s, 128, 1, k, &err), ST_OK);
	expect(s, 128, ST_OK, 9);
	slots_close(&s);
	secret_free(&k);
}

int main(void)
{
#define IN_FOLDER(name) cmocka_unit_test_setup_teardown(name, make_folder, drop_folder)
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(keeps_secrets), /* in memory */
	    {"keeps_secrets_in_files", keeps_secrets, make_folder, drop_folder, folder},
	    IN_FOLDER(survive_reopening),
	    IN_FOLDER(torn_copy_is_repaired),
	    IN_FOLDER(flipped_byte_in_both),
	    IN_FOLDER(one_file_missing),
	    IN_FOLDER(short_file),
	    IN_FOLDER(both_missing),
	    cmocka_unit_test(foreign_store),
	    {"foreign_store_in_files", foreign_store, make_folder, drop_folder, folder},
	    IN_FOLDER(moved_slot),
	    IN_FOLDER(destroy_leaves_nothing),
	    IN_FOLDER(destroyed_wins_over_live),
	    cmocka_unit_test(destroy_again_of_what_never_was),
	    IN_FOLDER(refused_files),
	    IN_FOLDER(no_room),
	};

	return cmocka_run_group_tests(tests, rig_process, NULL);
}
