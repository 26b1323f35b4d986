/* Runs a function in a forked child, for what must end a process or needs limits of its own. */
#ifndef TESTS_CRYPTO_CHILD_H
#define TESTS_CRYPTO_CHILD_H

/* child_status(f): the wait status of a child that ran f and left with its result (_exit).  Its stderr is shut. */
int child_status(int (*f)(void));

/* child_exited(f): that child's exit code; fails the test when a signal ended it.  child_signal(f): the signal that ended it, or 0. */
int child_exited(int (*f)(void));
int child_signal(int (*f)(void));

#endif
