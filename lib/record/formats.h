/* The formats, one file each. */
#ifndef HATLAS_RECORD_FORMATS_H
#define HATLAS_RECORD_FORMATS_H

#include "record/record.h"

extern const struct record_format record_atlas;

#endif
