/* Telling a service manager what the server does: sd_notify(3)'s protocol, without needing systemd. */
#ifndef NOTIFY_H
#define NOTIFY_H

/* notify_manager("READY=1\n"): one datagram to the socket that NOTIFY_SOCKET names; without one, nothing.  A failure is logged. */
void notify_manager(const char *text);

#endif
