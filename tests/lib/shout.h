/*
 * An engine for the tests of streams: each line comes back louder.  At any mount:
 *
 *   POST shout-stream/NAME   lines of at most SHOUT_ITEM_MAX bytes; ?allow=N: after N of them the writer must allow more, two at a time
 *   POST long-stream/NAME    lines of at most SHOUT_LONG_MAX bytes
 *   POST deaf-stream         no answer, whatever comes; never finds the end of a line
 *   GET get/NAME             "reserved": how often the writer was asked; "opened": 1, when shout-stream/writer was opened, which the writer does
 *
 * shout-stream/missing is refused.  Lines: "bad" is one in error, "stop" ends the stream, "whisper" needs slow work.
 */
#ifndef LIB_SHOUT_H
#define LIB_SHOUT_H

#include "engine/engine.h"

#define SHOUT_ITEM_MAX 40
#define SHOUT_LONG_MAX 60000

extern const struct engine engine_shout; /* "shout" */

/* What happened, of all streams.  Each whose handler was asked must come to an end. */
extern struct shout {
	_Atomic unsigned begun, ended, chunks;
	_Atomic unsigned whispers_made, whispers_run, whispers_freed;
	_Atomic unsigned dirt; /* states that were not zeros at first */
	_Atomic enum status
	    reserve_answer; /* set by the test: what the writer says; ST_OK: it allows more */
} shout;
void shout_reset(void);

#endif
