/* Telling systemd how the service stands (sd_notify(3), systemd.service(5) Type=notify).
 * Without NOTIFY_SOCKET in the environment nothing happens. */
#ifndef HATLAS_AGENT_NOTIFY_H
#define HATLAS_AGENT_NOTIFY_H

struct event_base;
struct notifier;

/* Begins to answer the watchdog, if there is one (sd_watchdog_enabled(3)). */
struct notifier *notifier_new(struct event_base *base);
void notifier_free(struct notifier *notifier);

/* The service is ready, or has taken up its new settings; said once for each. */
void notifier_ready(struct notifier *notifier);
void notifier_reloading(struct notifier *notifier);
void notifier_stopping(struct notifier *notifier);

/* One line for `systemctl status`. */
void notifier_status(struct notifier *notifier, const char *status);

#endif
