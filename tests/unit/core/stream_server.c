/*
 * All of the server, with a store in memory that is open, and the engine of lib/shout.h at t/: for tests of streams from the socket to an engine, which
 * tests/integration/test_streams.py drives.  stream_server LOOPS AUDIT_FILE [-NAME NUMBER]...  Prints "listening ADDRESS", "root TOKEN", "share KEY" and "ready";
 * SIGTERM stops it gracefully, then it prints "stopped STATUS begun=N ended=N".
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http/server.h"
#include "lib/house.h"
#include "lib/shout.h"

#define GRACE_MS 3000

static const struct listener_config listener = {.kind = LISTENER_TCP, .address = "127.0.0.1:0"};
static struct server_config config = {.listeners = &listener, .n_listeners = 1};

static void set_number(const char *name, const char *value)
{
	static const struct {
		const char *name;
		uint64_t *to;
	} known[] = {{"-request-ms", &config.request_timeout_ms},
	             {"-write-ms", &config.write_timeout_ms}};

	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (strcmp(name, known[i].name) == 0)
			*known[i].to = strtoul(value, NULL, 10);
}

static struct server *start(struct house *h, struct api *api)
{
	struct err err = {0};
	struct server *server;
	struct loop **loops;
	size_t n;

	MUST(server_new(&config, api, &server, &err) == ST_OK);
	loops = server_loops(server, &n);
	for (size_t i = 0; i < n; i++)
		MUST(gate_join(h->gate, loops[i], &err) == ST_OK);
	MUST(server_start(server, &err) == ST_OK);
	printf("listening %s\nroot %s\nshare %s\nready\n", server_address(server, 0), h->root,
	       h->share);
	(void)fflush(stdout);
	return server;
}

static void wait_for_the_end(void)
{
	sigset_t set;
	int sig;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	MUST(sigwait(&set, &sig) == 0);
}

int main(int argc, char **argv)
{
	struct server *server;
	struct house *h;
	struct api *api;
	enum status st;
	sigset_t set;

	MUST(argc >= 3 && house_process(NULL) == 0);
	config.loops = (unsigned)strtoul(argv[1], NULL, 10);
	for (int i = 3; i + 1 < argc; i += 2)
		set_number(argv[i], argv[i + 1]);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	MUST(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
	h = house_with(&engine_shout, NULL, argv[2]);
	house_open(h);
	MUST(house_ask(h, VERB_WRITE, "sys/mounts/t", h->root, "{\"type\":\"shout\"}") == ST_OK);
	MUST(api_new(h->gate, &api) == ST_OK);
	server = start(h, api);
	wait_for_the_end();
	st = server_stop(server, GRACE_MS);
	writer_stop(h->writer); /* the loops must still run */
	server_free(&server);
	house_free(&h);
	api_free(&api);
	printf("stopped %s begun=%u ended=%u dirt=%u\n", status_name(st), shout.begun, shout.ended,
	       shout.dirt);
	return 0;
}
