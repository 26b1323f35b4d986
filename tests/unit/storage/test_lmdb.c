#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "scratch.h"
#include "suite.h"

#define MIB ((size_t)1 << 20)

static const struct storage_driver *const d = &storage_lmdb;

static int folder_make(void **state)
{
	struct scratch *s = calloc(1, sizeof(*s));

	assert_non_null(s);
	scratch_make(s);
	*state = s;
	return 0;
}

static int folder_end(void **state)
{
	scratch_remove(*state);
	free(*state);
	return 0;
}

static enum status try_open(const char *path, size_t map_size, struct storage **ret,
                            struct err *err)
{
	struct storage_config config = {.path = path, .map_size = map_size, .readers = 4};

	return d->open(&config, ret, err);
}

static struct storage *open_store(const char *path)
{
	struct storage *s = NULL;
	struct err err = {0};

	assert_int_equal(try_open(path, 16 * MIB, &s, &err), ST_OK);
	return s;
}

static void refuse_open(const char *path, enum status why, const char *text)
{
	struct storage *s = NULL;
	struct err err = {0};

	assert_int_equal(try_open(path, 16 * MIB, &s, &err), why);
	assert_null(s);
	assert_int_equal(err.status, why);
	assert_non_null(strstr(err.text, text));
}

static mode_t mode_of(const char *folder, const char *name)
{
	char path[SCRATCH_PATH_MAX + 32];
	struct stat st;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	assert_int_equal(stat(path, &st), 0);
	return st.st_mode & 07777;
}

/* ---- the folder ---- */

static void records_are_there_after_reopening(void **state)
{
	struct scratch *f = *state;
	struct storage *s = open_store(f->store);
	struct storage_txn *w, *r;
	uint64_t id;

	put_one(s, "a", "1");
	id = put_one(s, "b", "2");
	w = begin(s);
	put(w, "c", "never committed");
	d->abort(&w);
	d->close(&s);
	s = open_store(f->store);
	r = snapshot(s);
	assert_int_equal(d->id(r), id);
	assert_value(r, "a", "1");
	assert_value(r, "b", "2");
	assert_missing(r, "c");
	d->read_close(&r);
	assert_true(put_one(s, "c", "3") > id);
	d->close(&s);
}

static void nobody_else_can_read_the_files(void **state)
{
	struct scratch *f = *state;
	mode_t mask = umask(0);
	struct storage *s = open_store(f->store);

	umask(mask);
	put_one(s, "a", "1");
	assert_int_equal(mode_of(f->folder, "store"), 0700);
	assert_int_equal(mode_of(f->store, "data.mdb"), 0600);
	assert_int_equal(mode_of(f->store, "lock.mdb"), 0600);
	assert_int_equal(mode_of(f->store, "keyturn.lock"), 0600);
	d->close(&s);
}

static void folder_open_to_others_is_refused(void **state)
{
	static const mode_t modes[] = {0701, 0702, 0704, 0710, 0720, 0740, 0755, 0777};
	struct scratch *f = *state;
	struct storage *s;
	char text[8];

	assert_int_equal(mkdir(f->store, 0700), 0);
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		assert_int_equal(chmod(f->store, modes[i]), 0);
		snprintf(text, sizeof(text), "%04o", (unsigned)modes[i]);
		refuse_open(f->store, ST_INVALID, text);
		refuse_open(f->store, ST_INVALID, f->store);
		assert_int_equal(mode_of(f->folder, "store"), modes[i]);
	}
	assert_int_equal(rmdir(f->store), 0); /* nothing was made in it */
	s = open_store(f->store);
	d->close(&s);
}

/* Only root can make a folder of another user; anybody can point at one of root's. */
static void folder_of_another_user_is_refused(void **state)
{
	struct scratch *f = *state;

	if (geteuid() != 0) {
		refuse_open("/", ST_INVALID, "belongs to user 0");
		return;
	}
	assert_int_equal(mkdir(f->store, 0700), 0);
	assert_int_equal(chown(f->store, 12345, (gid_t)-1), 0);
	refuse_open(f->store, ST_INVALID, "belongs to user 12345");
	refuse_open(f->store, ST_INVALID, f->store);
	refuse_open(f->store, ST_INVALID, "0700");
}

static void path_that_is_no_folder_is_refused(void **state)
{
	struct scratch *f = *state;
	char deep[SCRATCH_PATH_MAX];
	int fd;

	scratch_name(f, "not/there", deep);
	refuse_open(deep, ST_IO, deep);
	fd = open(f->store, O_CREAT | O_WRONLY, 0600);
	assert_true(fd >= 0);
	close(fd);
	refuse_open(f->store, ST_INVALID, "is not a folder");
}

static void file_of_something_else_is_corrupt(void **state)
{
	struct scratch *f = *state;
	char path[SCRATCH_PATH_MAX], junk[8192];
	FILE *file;

	assert_int_equal(mkdir(f->store, 0700), 0);
	scratch_name(f, "store/data.mdb", path);
	memset(junk, 'j', sizeof(junk));
	file = fopen(path, "w");
	assert_non_null(file);
	assert_int_equal(fwrite(junk, 1, sizeof(junk), file), sizeof(junk));
	assert_int_equal(fclose(file), 0);
	refuse_open(f->store, ST_CORRUPT, f->store);
}

static void first_start_that_was_cut_short_is_repeated(void **state)
{
	struct scratch *f = *state;
	char path[SCRATCH_PATH_MAX], zeros[4096] = {0};
	struct storage *s;
	FILE *file;

	assert_int_equal(mkdir(f->store, 0700), 0);
	scratch_name(f, "store/data.mdb.new", path);
	file = fopen(path, "w");
	assert_non_null(file);
	assert_int_equal(fwrite(zeros, 1, sizeof(zeros), file), sizeof(zeros));
	assert_int_equal(fclose(file), 0);
	s = open_store(f->store);
	put_one(s, "a", "1");
	d->close(&s);
	assert_int_equal(access(path, F_OK), -1);
	s = open_store(f->store);
	assert_newest(s, "a", "1");
	d->close(&s);
}

static void second_open_in_this_process_is_refused(void **state)
{
	struct scratch *f = *state;
	struct storage *s = open_store(f->store);

	refuse_open(f->store, ST_BUSY, "another process uses this folder");
	put_one(s, "a", "1");
	refuse_open(f->store, ST_BUSY, f->store);
	assert_newest(s, "a", "1");
	d->close(&s);
	s = open_store(f->store);
	assert_newest(s, "a", "1");
	d->close(&s);
}

static void second_process_is_refused(void **state)
{
	struct scratch *f = *state;
	struct storage *s = open_store(f->store), *other = NULL;
	struct err err = {0};
	int how = 0;
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0)
		_exit(try_open(f->store, 16 * MIB, &other, &err) == ST_BUSY ? 0 : 1);
	assert_int_equal(waitpid(child, &how, 0), child);
	assert_int_equal(how, 0);
	d->close(&s);
}

static void relative_path_survives_a_change_of_folder(void **state)
{
	struct scratch *f = *state;
	enum storage_outcome outcome = STORAGE_UNKNOWN;
	struct err err = {0};
	struct storage *s;
	char *home = getcwd(NULL, 0);
	uint64_t id;

	assert_non_null(home);
	assert_int_equal(chdir(f->folder), 0);
	s = open_store("store");
	assert_int_equal(chdir("/"), 0);
	id = put_one(s, "a", "1");
	assert_int_equal(d->settle(s, id, &outcome, &err), ST_OK);
	assert_int_equal(outcome, STORAGE_DONE);
	assert_newest(s, "a", "1");
	d->close(&s);
	assert_int_equal(chdir(home), 0);
	free(home);
}

/* ---- limits ---- */

static void readers_beyond_the_limit_are_refused(void **state)
{
	struct scratch *f = *state;
	struct storage *s = open_store(f->store);
	struct storage_txn *readers[32], *more = NULL;
	struct err err = {0};
	size_t n = 0;

	for (; n < 32 && d->read_open(s, &readers[n], &err) == ST_OK; n++)
		renew(readers[n]);
	assert_in_range(n, 4, 31); /* 4 were asked for */
	assert_int_equal(d->read_open(s, &more, &err), ST_LIMIT);
	assert_null(more);
	d->read_close(&readers[0]);
	assert_int_equal(d->read_open(s, &readers[0], &err), ST_OK);
	while (n > 0)
		d->read_close(&readers[--n]);
	d->close(&s);
}

/* fill_up(w, ret_err): put until it is refused; returns the status. */
static enum status fill_up(struct storage_txn *w, struct err *err)
{
	static const uint8_t value[10000];
	enum status st = ST_OK;

	for (uint32_t i = 0; st == ST_OK && i < 1000; i++)
		st = d->put(w, span_of(&i, sizeof(i)), span_of(value, sizeof(value)), err);
	return st;
}

static void full_map_is_told_and_the_store_stays_good(void **state)
{
	struct scratch *f = *state;
	struct storage *s = NULL;
	struct span got = {0}, key = {0};
	struct storage_txn *w;
	struct err err = {0};

	assert_int_equal(try_open(f->store, MIB - 1, &s, &err), ST_OK); /* rounded up to pages */
	put_one(s, "a", "before");
	w = begin(s);
	assert_int_equal(fill_up(w, &err), ST_FULL);
	assert_int_equal(err.status, ST_FULL);
	/* Whatever is tried now has the same answer. */
	assert_int_equal(d->put(w, span_str("b"), span_str("small"), &err), ST_FULL);
	assert_int_equal(d->del(w, span_str("a"), &err), ST_FULL);
	assert_int_equal(d->get(w, span_str("a"), &got, &err), ST_FULL);
	assert_int_equal(d->seek(w, span_str("a"), &key, &got, &err), ST_FULL);
	err = (struct err){0};
	assert_int_equal(d->commit(&w, &err), STORAGE_NOT_DONE);
	assert_null(w);
	assert_int_equal(err.status, ST_FULL);
	w = begin(s);
	assert_int_equal(fill_up(w, &err), ST_FULL);
	d->abort(&w);
	assert_newest(s, "a", "before");
	put_one(s, "b", "after");
	d->close(&s);
	assert_int_equal(try_open(f->store, MIB, &s, &err), ST_OK);
	assert_newest(s, "a", "before");
	assert_newest(s, "b", "after");
	w = snapshot(s);
	assert_seek(w, "", "a");
	assert_seek(w, "b\x01", NULL);
	d->read_close(&w);
	d->close(&s);
}

static void full_store_grows_with_a_larger_map(void **state)
{
	struct scratch *f = *state;
	struct storage *s = NULL;
	struct storage_txn *w;
	struct err err = {0};

	assert_int_equal(try_open(f->store, MIB, &s, &err), ST_OK);
	w = begin(s);
	assert_int_equal(fill_up(w, &err), ST_FULL);
	d->abort(&w);
	d->close(&s);
	assert_int_equal(try_open(f->store, 32 * MIB, &s, &err), ST_OK);
	w = begin(s);
	assert_int_equal(fill_up(w, &err), ST_OK);
	commit(&w);
	d->close(&s);
	/* A map smaller than the data is no reason to lose any. */
	assert_int_equal(try_open(f->store, MIB, &s, &err), ST_OK);
	w = snapshot(s);
	for (uint32_t i = 0; i < 1000; i++) {
		struct span value = {0};

		assert_int_equal(d->get(w, span_of(&i, sizeof(i)), &value, &err), ST_OK);
		assert_int_equal(value.n, 10000);
	}
	d->read_close(&w);
	d->close(&s);
}

static void default_map_opens(void **state)
{
	struct scratch *f = *state;
	struct storage_config config = {.path = f->store};
	struct storage *s = NULL;
	struct err err = {0};

	assert_int_equal(d->open(&config, &s, &err), ST_OK);
	put_one(s, "a", "1");
	assert_newest(s, "a", "1");
	d->close(&s);
}

/* ---- copies ---- */

static void copy_holds_what_was_committed(void **state)
{
	struct scratch *f = *state;
	struct storage *s = open_store(f->store), *copy;
	struct storage_txn *w;
	struct err err = {0};
	char path[SCRATCH_PATH_MAX];
	mode_t mask;

	scratch_name(f, "copy", path);
	put_one(s, "a", "1");
	put_one(s, "b", "2");
	w = begin(s);
	put(w, "a", "not committed");
	mask = umask(0);
	assert_int_equal(d->copy_to(s, path, &err), ST_OK);
	umask(mask);
	commit(&w);
	assert_int_equal(mode_of(f->folder, "copy"), 0700);
	assert_int_equal(mode_of(path, "data.mdb"), 0600);
	copy = open_store(path);
	assert_newest(copy, "a", "1");
	assert_newest(copy, "b", "2");
	put_one(copy, "c", "3");
	assert_newest(s, "c", NULL);
	assert_newest(s, "a", "not committed");
	d->close(&copy);
	d->close(&s);
}

static void copy_of_an_empty_store_is_one(void **state)
{
	struct scratch *f = *state;
	struct storage *s = open_store(f->store), *copy;
	struct storage_txn *r;
	struct err err = {0};
	char path[SCRATCH_PATH_MAX];

	scratch_name(f, "copy", path);
	assert_int_equal(d->copy_to(s, path, &err), ST_OK);
	copy = open_store(path);
	r = snapshot(copy);
	assert_seek(r, "", NULL);
	d->read_close(&r);
	put_one(copy, "a", "1");
	assert_newest(copy, "a", "1");
	d->close(&copy);
	d->close(&s);
}

static void copy_never_writes_over_something(void **state)
{
	struct scratch *f = *state;
	struct storage *s = open_store(f->store);
	struct err err = {0};
	char path[SCRATCH_PATH_MAX];

	scratch_name(f, "copy", path);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(d->copy_to(s, path, &err), ST_EXISTS);
	assert_int_equal(rmdir(path), 0); /* still empty */
	assert_int_equal(d->copy_to(s, f->store, &err), ST_EXISTS);
	scratch_name(f, "not/there", path);
	assert_int_equal(d->copy_to(s, path, &err), ST_IO);
	put_one(s, "a", "1");
	assert_newest(s, "a", "1");
	d->close(&s);
}

/* ---- a killed process ---- */

/*
 * commit_and_tell(path, pipe): commits numbers one after another, and writes each one after its
 * commit.  Never returns.
 */
static _Noreturn void commit_and_tell(const char *path, int pipe)
{
	struct storage *s = NULL;
	struct storage_txn *w = NULL;
	struct err err = {0};
	uint8_t padding[3000] = {0};

	if (try_open(path, 64 * MIB, &s, &err) != ST_OK)
		_exit(1);
	for (uint32_t i = 0;; i++) {
		struct span number = span_of(&i, sizeof(i));
		uint32_t slot = i % 100;

		if (d->write_begin(s, &w, &err) != ST_OK ||
		    d->put(w, span_str("newest"), number, &err) != ST_OK ||
		    d->put(w, span_of(&slot, sizeof(slot)), span_of(padding, 1 + i % 3000), &err) !=
		        ST_OK ||
		    d->put(w, span_str("same"), number, &err) != ST_OK ||
		    d->commit(&w, &err) != STORAGE_DONE ||
		    write(pipe, &i, sizeof(i)) != (ssize_t)sizeof(i))
			_exit(1);
	}
}

/* kill_after(path, commits): returns the last number that a child told before it was killed. */
static uint32_t kill_after(const char *path, unsigned commits)
{
	uint32_t told = 0, number;
	int ends[2], how = 0;
	pid_t child;

	assert_int_equal(pipe(ends), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		close(ends[0]);
		commit_and_tell(path, ends[1]);
	}
	close(ends[1]);
	for (unsigned i = 0; i < commits; i++)
		assert_int_equal(read(ends[0], &told, sizeof(told)), sizeof(told));
	assert_int_equal(kill(child, SIGKILL), 0);
	/* What it told while we made up our mind counts too. */
	while (read(ends[0], &number, sizeof(number)) == (ssize_t)sizeof(number))
		told = number;
	assert_int_equal(waitpid(child, &how, 0), child);
	assert_true(WIFSIGNALED(how));
	close(ends[0]);
	return told;
}

static void killed_process_loses_nothing_that_it_told(void **state)
{
	struct scratch *f = *state;
	uint64_t seed = 1;

	for (int round = 0; round < 12; round++) {
		uint32_t told = kill_after(f->store, 5 + (unsigned)(step(&seed) % 60)), newest;
		struct storage *s = open_store(f->store);
		struct storage_txn *r = snapshot(s);
		struct span value = {0}, same = {0};
		struct err err = {0};

		assert_int_equal(d->get(r, span_str("newest"), &value, &err), ST_OK);
		assert_int_equal(d->get(r, span_str("same"), &same, &err), ST_OK);
		assert_true(span_eq(value, same));
		assert_int_equal(value.n, sizeof(newest));
		memcpy(&newest, value.p, sizeof(newest));
		assert_in_range(newest, told, told + 1); /* the one after it may have been done */
		d->read_close(&r);
		put_one(s, "round", "done");
		assert_newest(s, "round", "done");
		d->close(&s);
	}
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, folder_make, folder_end)

int main(void)
{
	const struct CMUnitTest cases[] = {
	    CASE(records_are_there_after_reopening),
	    CASE(nobody_else_can_read_the_files),
	    CASE(folder_open_to_others_is_refused),
	    CASE(folder_of_another_user_is_refused),
	    CASE(path_that_is_no_folder_is_refused),
	    CASE(file_of_something_else_is_corrupt),
	    CASE(first_start_that_was_cut_short_is_repeated),
	    CASE(second_open_in_this_process_is_refused),
	    CASE(second_process_is_refused),
	    CASE(relative_path_survives_a_change_of_folder),
	    CASE(readers_beyond_the_limit_are_refused),
	    CASE(full_map_is_told_and_the_store_stays_good),
	    CASE(full_store_grows_with_a_larger_map),
	    CASE(default_map_opens),
	    CASE(copy_holds_what_was_committed),
	    CASE(copy_of_an_empty_store_is_one),
	    CASE(copy_never_writes_over_something),
	    CASE(killed_process_loses_nothing_that_it_told),
	};
	int failures = suite_run(&storage_lmdb);

	return failures + cmocka_run_group_tests_name("lmdb", cases, NULL, NULL);
}
