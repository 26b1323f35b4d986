/* What the command line takes in: secrets without echo, files, NAME=VALUE arguments. */
#ifndef CLI_INPUT_H
#define CLI_INPUT_H

#include <jansson.h>

#include "base/bytes.h"

/*
 * input_secret(arg, prompt, ret, err): a secret into *ret (an empty builder; builder_free wipes it).  arg NULL: asked for on the terminal, without
 * echo; "-": the first line of standard input; else arg itself, which is then overwritten so that it does not stay in the list
 * of processes.  ST_INVALID: empty, or no terminal to ask on; ST_IO; ST_NOMEM.
 */
MUST_USE enum status input_secret(char *arg, const char *prompt, struct builder *ret,
                                  struct err *err);

/* input_file(path, ret, err): all of a file ("-": of standard input), at most 32 MiB.  ST_IO, ST_LIMIT, ST_NOMEM. */
MUST_USE enum status input_file(const char *path, struct builder *ret, struct err *err);

/*
 * input_pairs(args, n, ret, err): a JSON object of the arguments "k=v" (v a string; "@FILE": the file's text; "-": standard input;
 * "\@..." a text that begins with @; a name given twice becomes a list), "@FILE" and "-" (a JSON object to merge).
 * ST_INVALID: none of these, no UTF-8, bad JSON; ST_IO; ST_LIMIT; ST_NOMEM.
 */
MUST_USE enum status input_pairs(char *const *args, size_t n, json_t **ret, struct err *err);

#endif
