/*
 * slots: the two slot files, torn, swapped, foreign, cut and forged.  Input: for each file a byte of how it ends, and for each of three terms a byte of
 * kind with what that needs.
 *   - what slots_read says is what the rules of slots.h give for the two sectors (a destroyed copy wins, a good one is enough);
 *   - afterwards both files hold the same for each term that was readable, and reading again says the same;
 *   - opening and reading never change a sector that no term asked for.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "barrier/slots.h"
#include "crypto/ct.h"
#include "crypto/kdf.h"
#include "fuzz.h"

#define TERMS    3
#define SECTORS  (TERMS + 2)
#define SUMMED   64 /* bytes of a sector before its checksum */
#define AT_TERM  24
#define AT_STATE 28

static char folder[64], path[2][96];
static const uint8_t id[STORE_ID_LEN] = "this store's id";

static void remove_folder(void)
{
	(void)unlink(path[0]);
	(void)unlink(path[1]);
	(void)rmdir(folder);
}

/* In memory where there is such a place: every slot that is repaired is synced. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct stat st;

	(void)argc;
	(void)argv;
	fuzz_process();
	(void)snprintf(folder, sizeof folder, "%s/keyturn-fuzz-XXXXXX",
	               stat("/dev/shm", &st) == 0 ? "/dev/shm" : "/tmp");
	MUST(mkdtemp(folder) != NULL);
	for (int i = 0; i < 2; i++)
		(void)snprintf(path[i], sizeof path[i], "%s/slots.%d", folder, i);
	(void)atexit(remove_folder);
	return 0;
}

static void checksum(uint8_t *sector)
{
	struct span all = span_of(sector, SUMMED);

	sha256(&all, 1, sector + SUMMED);
}

static void good_sector(uint8_t *sector, uint8_t term, uint8_t state, uint8_t secret)
{
	memset(sector, 0, SLOT_SECTOR);
	memcpy(sector, "KTSLOT1", 8);
	memcpy(sector + 8, id, sizeof id);
	sector[AT_TERM + 3] = term;
	sector[AT_STATE] = state;
	memset(sector + 32, secret, state == 1 ? SLOT_SECRET_LEN : 0);
	checksum(sector);
}

static void make_sector(struct cursor *c, uint8_t *sector, uint8_t term)
{
	uint8_t kind = fuzz_u8(c);

	good_sector(sector, term, kind % 16 == 1 ? 2 : 1, kind % 16 == 2 ? 0x22 : 0x11);
	switch (kind % 16) {
	case 3:
		memset(sector, 0, SLOT_SECTOR);
		break;
	case 4: /* torn */
		memset(sector + fuzz_u8(c) * 2, 0, SLOT_SECTOR - (size_t)510);
		break;
	case 5:
		(void)fuzz_mutate(c, sector, SLOT_SECTOR, SLOT_SECTOR);
		break;
	case 6: /* forged, with a checksum that fits */
		(void)fuzz_mutate(c, sector, SUMMED, SUMMED);
		checksum(sector);
		break;
	case 7: /* another store's */
		sector[8] ^= 1;
		checksum(sector);
		break;
	case 8: /* another term's */
		good_sector(sector, (uint8_t)(term + 1), 1, 0x11);
		break;
	default:
		break;
	}
}

/* 0 nothing, 1 live, 2 destroyed: by the letter of the format. */
static unsigned naive_state(const uint8_t *sector, uint8_t term)
{
	uint8_t sum[SHA256_LEN];
	struct span all = span_of(sector, SUMMED);
	const uint8_t number[4] = {0, 0, 0, term};

	sha256(&all, 1, sum);
	if (memcmp(sector, "KTSLOT1", 8) != 0 || memcmp(sector + 8, id, sizeof id) != 0 ||
	    memcmp(sector + AT_TERM, number, 4) != 0 || memcmp(sector + SUMMED, sum, 32) != 0)
		return 0;
	return sector[AT_STATE] <= 2 ? sector[AT_STATE] : 0;
}

static void write_file(int i, const uint8_t *bytes, size_t n)
{
	int fd = open(path[i], O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	MUST(fd >= 0 && write(fd, bytes, n) == (ssize_t)n);
	close(fd);
}

static void read_file(int i, uint8_t *bytes, size_t n)
{
	int fd = open(path[i], O_RDONLY | O_CLOEXEC);

	memset(bytes, 0, n);
	MUST(fd >= 0 && read(fd, bytes, n) >= 0);
	close(fd);
}

static void check_term(struct slots *s, const uint8_t *one, const uint8_t *two, uint8_t term)
{
	unsigned a = naive_state(one, term), b = naive_state(two, term), best = a > b ? a : b;
	static const enum status want[] = {ST_NOT_FOUND, ST_OK, ST_DENIED};
	uint8_t before[SLOT_SECRET_LEN];
	struct secret *secret;
	struct err err = {0};

	memset(before, 0x77, sizeof before);
	for (int again = 0; again < 2; again++) {
		MUST(secret_from(span_of(before, sizeof before), &secret) == ST_OK);
		enum status st = slots_read(s, term, secret, &err);
		MUST(st == want[best]);
		MUST(ct_equal(secret_span(secret),
		              st == ST_OK ? span_of((a == 1 ? one : two) + 32, SLOT_SECRET_LEN)
		                          : span_of(before, sizeof before)));
		secret_free(&secret);
	}
}

/* What lies in the files after the terms were read. */
static void check_files(uint8_t was[2][SECTORS * SLOT_SECTOR])
{
	static uint8_t now[2][SECTORS * SLOT_SECTOR];

	read_file(0, now[0], sizeof now[0]);
	read_file(1, now[1], sizeof now[1]);
	for (uint8_t t = 0; t < SECTORS; t++) {
		size_t at = (size_t)t * SLOT_SECTOR;
		unsigned a = naive_state(was[0] + at, t), b = naive_state(was[1] + at, t);

		if (t == 0 || t > TERMS || (a == 0 && b == 0)) {
			MUST(memcmp(was[0] + at, now[0] + at, SLOT_SECTOR) == 0);
			MUST(memcmp(was[1] + at, now[1] + at, SLOT_SECTOR) == 0);
			continue;
		}
		MUST(naive_state(now[0] + at, t) == (a > b ? a : b));
		MUST(naive_state(now[1] + at, t) == (a > b ? a : b));
		if (a != b) /* one was written over: from the other's secret, or as destroyed */
			MUST((a > b ? a : b) == 2 ||
			     memcmp(now[0] + at + 32, now[1] + at + 32, SLOT_SECRET_LEN) == 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static uint8_t was[2][SECTORS * SLOT_SECTOR];
	struct cursor c = cursor_of(span_of(data, n));
	struct slots *s = NULL;
	struct err err = {0};

	for (int i = 0; i < 2; i++) {
		size_t cut = fuzz_u8(&c) * (size_t)12, whole = sizeof was[i];

		memset(was[i], 0, whole);
		for (uint8_t t = 1; t < SECTORS; t++)
			make_sector(&c, was[i] + (size_t)t * SLOT_SECTOR, t);
		cut = cut < whole ? cut : whole;
		memset(was[i] + whole - cut, 0, cut);
		write_file(i, was[i], whole - cut);
	}
	MUST(slots_open(folder, &s, &err) == ST_OK);
	slots_bind(s, id);
	for (uint8_t t = 1; t <= TERMS; t++)
		check_term(s, was[0] + (size_t)t * SLOT_SECTOR, was[1] + (size_t)t * SLOT_SECTOR,
		           t);
	slots_close(&s);
	check_files(was);
	return 0;
}
