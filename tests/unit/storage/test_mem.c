#include "scratch.h"
#include "suite.h"

static void name_finds_the_driver(void **state)
{
	(void)state;
	assert_ptr_equal(storage_driver_named(span_str("inmem")), &storage_mem);
	assert_ptr_equal(storage_driver_named(span_str("lmdb")), &storage_lmdb);
	assert_null(storage_driver_named(span_str("")));
	assert_null(storage_driver_named(span_str("LMDB")));
	assert_null(storage_driver_named(span_str("lmdb2")));
	assert_null(storage_driver_named(span_of("lmdb\0", 5)));
}

static void stores_share_nothing(void **state)
{
	struct storage_config config = {0};
	struct storage *a = NULL, *b = NULL;
	struct err err = {0};

	(void)state;
	assert_int_equal(storage_mem.open(&config, &a, &err), ST_OK);
	assert_int_equal(storage_mem.open(&config, &b, &err), ST_OK);
	put_one(a, "k", "v");
	assert_newest(b, "k", NULL);
	assert_newest(a, "k", "v");
	storage_mem.close(&a);
	storage_mem.close(&a);
	storage_mem.close(&b);
}

static void there_is_nothing_to_copy(void **state)
{
	(void)state;
	assert_null(storage_mem.copy_to);
}

int main(void)
{
	const struct CMUnitTest cases[] = {
	    cmocka_unit_test(name_finds_the_driver),
	    cmocka_unit_test(stores_share_nothing),
	    cmocka_unit_test(there_is_nothing_to_copy),
	};
	int failures = suite_run(&storage_mem);

	return failures + cmocka_run_group_tests_name("mem", cases, NULL, NULL);
}
