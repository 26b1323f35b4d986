/* Are the member names of an object distinct?  A part of the JSON reader. */
#ifndef BASE_JSON_NAMES_H
#define BASE_JSON_NAMES_H

#include "base/json.h"

/*
 * json_names_check(object, ret_twice): *ret_twice is the first member whose name an earlier one has, or NULL.  Linear time for
 * any names that somebody chooses.  ST_NOMEM; no memory is taken for up to 64 members.
 */
MUST_USE enum status json_names_check(const struct json_value *object, const struct json_value **ret_twice);

#endif
