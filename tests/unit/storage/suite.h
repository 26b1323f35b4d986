/* What every driver must do: one suite, run against each of them. */
#ifndef UNIT_STORAGE_SUITE_H
#define UNIT_STORAGE_SUITE_H

#include "storage/storage.h"

/* suite_run(driver): each case on a fresh store of that driver; returns how many failed. */
int suite_run(const struct storage_driver *driver);

#endif
