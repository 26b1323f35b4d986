#ifndef CLI_YAML_H
#define CLI_YAML_H

#include <stdbool.h>
#include <stdio.h>

#include <jansson.h>

/* yaml_print(out, v): v as a YAML document, members in their order, with a line end. */
void yaml_print(FILE *out, json_t *v);

#endif
