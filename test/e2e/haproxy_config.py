"""An independent reader of HAProxy's configuration language (configuration manual 2.2,
"Quoting and escaping"), to look at what was rendered with other eyes than hatlas's."""

SECTIONS = {"global", "defaults", "frontend", "backend", "listen", "userlist", "peers",
            "resolvers", "cache", "program", "http-errors", "ring", "mailers"}


class ConfigError(Exception):
    """Text that HAProxy would not read as hatlas meant it."""


def parse(text):
    """Returns a list of sections: (keyword, name, lines), each line a list of words."""
    if not text.endswith("\n"):
        raise ConfigError("the last line has no newline")
    sections = []
    for number, line in enumerate(text.split("\n")[:-1], 1):
        try:
            words = split(line)
        except ConfigError as error:
            raise ConfigError(f"line {number}: {error}: {line!r}") from None
        if not words:
            continue
        if words[0] in SECTIONS:
            sections.append((words[0], words[1] if len(words) > 1 else "", []))
        elif not sections:
            raise ConfigError(f"line {number}: {words[0]} outside of any section")
        else:
            sections[-1][2].append(words)
    return sections


def split(line):
    """Splits one line into words. A variable that HAProxy would expand is an error: hatlas
    never means one."""
    words, word, started, quote = [], [], False, None
    characters = iter(line)
    for c in characters:
        if ord(c) < 32 and c != "\t" or ord(c) == 127:
            raise ConfigError("control character")
        if quote == "'":
            if c == "'":
                quote = None
            else:
                word.append(c)
        elif c == "\\":
            word.append(unescape(next(characters, None)))
            started = True
        elif c == "$" and quote == '"':
            raise ConfigError("variable in double quotes")
        elif c == quote:
            quote = None
        elif quote:
            word.append(c)
        elif c in "'\"":
            quote, started = c, True
        elif c == "#":
            break
        elif c in " \t":
            if started:
                words.append("".join(word))
            word, started = [], False
        else:
            word.append(c)
            started = True
    if quote:
        raise ConfigError("quote never closed")
    if started:
        words.append("".join(word))
    if len(words) > 64:
        raise ConfigError("more than 64 words")
    return words


def unescape(c):
    if c is None:
        raise ConfigError("backslash at the end")
    if c == "x":
        raise ConfigError("hexadecimal escape")
    return {"n": "\n", "r": "\r", "t": "\t"}.get(c, c)


def names(sections):
    """The pairs (keyword, name) in order."""
    return [(keyword, name) for keyword, name, _ in sections]


def section(sections, keyword, name):
    """The lines of one section."""
    for found_keyword, found_name, lines in sections:
        if (found_keyword, found_name) == (keyword, name):
            return lines
    raise KeyError(f"no {keyword} {name}")


def servers(sections, backend):
    """The server lines of a backend as a dict: name → the words after it."""
    lines = section(sections, "backend", backend)
    return {words[1]: words[2:] for words in lines if words[0] == "server"}
