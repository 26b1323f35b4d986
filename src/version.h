/* The version that the programs name. */
#ifndef VERSION_H
#define VERSION_H

#define KEYTURN_VERSION "0.1.0"

#endif
