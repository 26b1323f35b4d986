#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"

int child_status(int (*f)(void))
{
	int status = -1, null;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		/* cmocka and the sanitizers catch these; the child is to die of them. */
		signal(SIGSEGV, SIG_DFL);
		signal(SIGABRT, SIG_DFL);
		null = open("/dev/null", O_WRONLY);
		if (null < 0 || dup2(null, 2) < 0)
			_exit(99);
		_exit(f());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

int child_exited(int (*f)(void))
{
	int status = child_status(f);

	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

int child_signal(int (*f)(void))
{
	int status = child_status(f);

	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}
