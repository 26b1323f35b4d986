/*
 * What the fuzz targets share.  A target defines LLVMFuzzerTestOneInput (and LLVMFuzzerInitialize if it has something to set up) and checks
 * with MUST, which aborts.  It is linked with libFuzzer (-Dfuzz=true) or with standalone.c.
 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include "base/bytes.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* fuzz_process(): guarded memory, ciphers, no log; for LLVMFuzzerInitialize. */
void fuzz_process(void);

/* fuzz_copy(s): a heap copy of exactly its size, so that a step past its end is seen; free it.  Never NULL. */
uint8_t *fuzz_copy(struct span s);

/*
 * Taking an input apart; at its end everything is zero or empty.  fuzz_span: at most n bytes.  fuzz_line: up to the next line end, which is dropped.
 * fuzz_lv: a byte of length and at most so many bytes.  fuzz_rest: all that is left.
 */
uint8_t fuzz_u8(struct cursor *c);
uint32_t fuzz_u32(struct cursor *c);
struct span fuzz_span(struct cursor *c, size_t n);
struct span fuzz_lv(struct cursor *c);
struct span fuzz_line(struct cursor *c);
struct span fuzz_rest(struct cursor *c);

/*
 * fuzz_mutate(c, p, cap, n): change the record of n bytes at p (room for cap) as the input says, and return its new length: bytes
 * changed, cut off, appended, moved; or nothing at all.
 */
size_t fuzz_mutate(struct cursor *c, uint8_t *p, size_t cap, size_t n);

#endif
