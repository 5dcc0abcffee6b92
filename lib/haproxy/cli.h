/* One connection to HAProxy's stats socket in interactive mode, where a prompt ends every
 * answer. All commands of one connection reach the same process. */
#ifndef HATLAS_HAPROXY_CLI_H
#define HATLAS_HAPROXY_CLI_H

#include "base/error.h"

struct event_base;
struct cli;

/* A command, its payload included, that is longer than HAProxy's bufsize (16 KiB) is
 * dropped without an answer: send pieces of at most this size. */
enum { CLI_COMMAND_MAX = 12000 };

/* `answer` has no prompt and no white space around it; it is NULL with an error. Both
 * are gone after the call. Called once for each question, from the loop. */
typedef void cli_answered(void *arg, const char *answer, const struct error *error);

/* Makes a connection; that it failed is the answer to the first question. */
struct cli *cli_open(struct event_base *base, const char *socket);

/* Asks one question at a time, without its last newline. After an error every further
 * question has the same answer. An answer may take two seconds to begin, two between its
 * pieces and ten to end. The callback may ask the next question or close. */
void cli_ask(struct cli *cli, const char *command, cli_answered *answered, void *arg);

/* Closes the connection; no callback. NULL is fine. */
void cli_close(struct cli *cli);

#endif
