/* A host put together from the record of another registry. Private to this folder. */
#ifndef HATLAS_RECORD_FOREIGN_H
#define HATLAS_RECORD_FOREIGN_H

#include "record/record.h"

/* Begun with foreign_init, ended with foreign_host. */
struct foreign {
    json_t *fields; /* those of an Atlas host */
    json_t *labels;
    const char *where;
    struct problems *problems;
    bool bad; /* no host can come of it */
};

void foreign_init(struct foreign *foreign, const char *where, struct problems *problems);

/* Adds a fault for which there will be no host. */
void foreign_fault(struct foreign *foreign, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Sets a field to what the record says (borrowed, may be NULL). A number may stand in
 * quotes. */
void foreign_set(struct foreign *foreign, const char *field, const json_t *value);
void foreign_set_number(struct foreign *foreign, const char *field, const json_t *value);

/* Adds a label, unless there is one of that name or the value is none that a label can
 * have. One that is too long or not one line of text is named. */
void foreign_label(struct foreign *foreign, const char *name, const json_t *value);

/* Adds all members of the object (may be NULL, or no object) but those in the
 * NULL-terminated list `known`, which may be NULL. */
void foreign_labels(struct foreign *foreign, const json_t *members,
                    const char *const *known);

/* Makes the host and frees the rest. `options` is raw text for HAProxy, or NULL. */
struct host *foreign_host(struct foreign *foreign, const char *id, const char *options);

#endif
