/* Finding a record format by its name, and what the formats share. */
#include "record/record.h"
#include "base/json.h"
#include "base/text.h"
#include "record/formats.h"

#include <string.h>

const struct record_format *record_format_find(const char *name) {
    static const struct record_format *const formats[] = {
        &record_atlas, &record_nerve, &record_serverset, &record_curator};
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (!strcmp(name, formats[i]->name))
            return formats[i];
    return NULL;
}

json_t *record_parse(const char *data, size_t len, const char *where,
                     struct problems *problems) {
    struct error error;
    json_t *value = json_parse(data, len, where, &error);
    if (!value) {
        problems_add_error(problems, &error);
    } else if (!json_is_object(value)) {
        problems_add(problems, where, "expected a JSON object, found %s",
                     json_type_name(value));
        json_decref(value);
        value = NULL;
    }
    return value;
}

bool record_check_id(const char *id, const char *where, struct problems *problems) {
    bool good = *id && text_is_clean(id, strlen(id));
    if (!good)
        problems_add(problems, where, "the host's id is not one line of UTF-8 text");
    return good;
}
