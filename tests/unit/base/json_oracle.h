/* jansson as the oracle of the JSON reader's test; behind a header of its own, as both libraries use the same names. */
#ifndef TESTS_JSON_ORACLE_H
#define TESTS_JSON_ORACLE_H

#include "base/bytes.h"

enum oracle_verdict {
	ORACLE_TAKEN,
	ORACLE_REFUSED,
	ORACLE_NARROWER /* refused for a reason of jansson's own: a name with a zero byte, a number beyond its types */
};

/* oracle_read(text, dump): jansson's verdict; if taken, the values as bytes that can be compared. */
enum oracle_verdict oracle_read(struct span text, struct builder *dump);

/* How numbers are dumped. */
void oracle_dump_integer(struct builder *b, int64_t v);
void oracle_dump_real(struct builder *b, double v);

#endif
