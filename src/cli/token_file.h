/* The file that `login` leaves behind. */
#ifndef CLI_TOKEN_FILE_H
#define CLI_TOKEN_FILE_H

#include "base/bytes.h"

/* token_file_read(home, ret): HOME/.keyturn-token, else HOME/.vault-token; *ret stays empty when there is neither.  ST_IO, ST_NOMEM, ST_LIMIT. */
MUST_USE enum status token_file_read(const char *home, struct builder *ret, struct err *err);
/* token_file_write(home, token, err): replace HOME/.keyturn-token at once, mode 0600.  ST_IO, ST_NOMEM. */
MUST_USE enum status token_file_write(const char *home, struct span token, struct err *err);

#endif
