#include "storage/storage.h"

static const struct storage_driver *const drivers[] = {&storage_mem, &storage_lmdb};

const struct storage_driver *storage_driver_named(struct span name)
{
	for (size_t i = 0; i < sizeof(drivers) / sizeof(drivers[0]); i++) {
		if (span_eq_str(name, drivers[i]->name))
			return drivers[i];
	}
	return NULL;
}

enum status storage_check_key(struct span key, struct err *err)
{
	if (key.n == 0)
		return err_set(err, ST_INVALID, "empty storage key");
	if (key.n > STORAGE_KEY_MAX)
		return err_set(err, ST_INVALID, "storage key of %zu bytes, the most is %d", key.n,
		               STORAGE_KEY_MAX);
	return ST_OK;
}

enum status storage_check_record(struct span key, struct span value, struct err *err)
{
	enum status st = storage_check_key(key, err);

	if (st)
		return st;
	if (value.n > STORAGE_VALUE_MAX)
		return err_set(err, ST_LIMIT, "storage value of %zu bytes, the most is %zu",
		               value.n, STORAGE_VALUE_MAX);
	return ST_OK;
}
