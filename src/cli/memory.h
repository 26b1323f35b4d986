/* An allocator that wipes what it frees, for the libraries that hold tokens and values on our behalf. */
#ifndef CLI_MEMORY_H
#define CLI_MEMORY_H

/* memory_setup(): jansson and libcurl use it from now on.  Once, first thing in main; 0, or -1 when libcurl does not start. */
int memory_setup(void);

#endif
