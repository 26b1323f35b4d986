/* An engine for the tests of what engines can be given: slow work, ticks, a last word before the store closes.  Mounted at toy/. */
#ifndef TESTS_FAULT_TOY_H
#define TESTS_FAULT_TOY_H

#include "engine/engine.h"

/*
 * POST slow/NAME, late/NAME: a record of that name after slow work, from prepare or from the handler; GET slow/NAME.  POST wake/NAME: a task, which a tick, woken at once,
 * makes a record done/NAME; GET done/NAME.  POST stream/NAME: each line comes back, after slow work for the first one; the second is not done before slow/NAME was
 * written on the writer.  At the close the record "slow/kept" is written anew, if it is there.
 */
extern const struct engine engine_toy;

#endif
