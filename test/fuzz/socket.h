/* One end of a Unix socket that plays the other side: takes what the program under test
 * sends, and sends what the input says. */
#ifndef HATLAS_FUZZ_SOCKET_H
#define HATLAS_FUZZ_SOCKET_H

#include <stdbool.h>
#include <stddef.h>

struct event_base;

/* Returns the path of a socket in the folder of the process. */
const char *socket_path(void);

/* Listens on it, or connects to it; the descriptor does not block. */
int socket_listen(void);
int socket_connect(void);

/* Sends all of it; what the other side no longer takes is left. */
void socket_send(int fd, const void *bytes, size_t len);

/* Turns the loop until nothing is left to do at once. */
void socket_turn(struct event_base *base);

#endif
