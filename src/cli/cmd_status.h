#ifndef CLI_CMD_STATUS_H
#define CLI_CMD_STATUS_H

#include "cli/cli.h"

/* The table of a seal status; `operator unseal` shows the same. */
cli_table cmd_status_table;

#endif
