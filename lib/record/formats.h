/* The formats, one file each, and what they share. */
#ifndef HATLAS_RECORD_FORMATS_H
#define HATLAS_RECORD_FORMATS_H

#include "record/record.h"

extern const struct record_format record_atlas;
extern const struct record_format record_nerve;
extern const struct record_format record_serverset;
extern const struct record_format record_curator;

/* Returns the object in the data, or NULL with the fault added. */
json_t *record_parse(const char *data, size_t len, const char *where,
                     struct problems *problems);

/* Whether a host can have that id; if not, that is added to the problems. */
bool record_check_id(const char *id, const char *where, struct problems *problems);

#endif
