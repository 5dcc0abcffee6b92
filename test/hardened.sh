#!/bin/bash
# Has the release build what the compiler and the linker can do against a fault that is used
# by somebody? hardened.sh FOLDER-OF-THE-BUILD
set -euo pipefail
program=$1/hatlas
faults=0

has() { # what, pattern, command…
    local what=$1 pattern=$2
    shift 2
    "$@" 2>/dev/null | grep -E "$pattern" >/dev/null || miss "$what"
}

has_not() {
    local what=$1 pattern=$2
    shift 2
    ! "$@" 2>/dev/null | grep -E "$pattern" || miss "$what"
}

miss() {
    echo "hardened: $program: $1" >&2
    faults=$((faults + 1))
}

has 'can not be loaded anywhere (PIE)' 'FLAGS_1.* PIE' readelf -dW "$program"
has 'binds lazily (-z now)' 'FLAGS_1.*NOW' readelf -dW "$program"
has 'tables stay writable (-z relro)' GNU_RELRO readelf -lW "$program"
has 'an executable stack' 'GNU_STACK .* RW  ' readelf -lW "$program"
has_not 'memory both writable and executable' 'LOAD .* RWE ' readelf -lW "$program"
has_not 'looks for libraries of its own' 'R(UN)?PATH' readelf -dW "$program"
has 'no stack protector' __stack_chk_fail readelf --dyn-syms -W "$program"
has 'no checked string functions (_FORTIFY_SOURCE)' '__[a-z]+_chk' \
    readelf --dyn-syms -W "$program"
if [ "$(uname -m)" = x86_64 ]; then
    # In our own objects: those of the C library may lack it, and the program then does, too.
    has 'no marks of jump targets (-fcf-protection)' 'x86 feature: IBT, SHSTK' \
        readelf -nW "$1/lib/libhatlas_base.a"
    # A frame of more than a page is touched page by page.
    objdump -d --no-show-raw-insn "$program" | grep -A 1 'sub  *[$]0x1000,%rsp' |
        grep '[$]0x0,(%rsp)' >/dev/null || miss 'no probes of the stack (-fstack-clash-protection)'
fi
exit "$((faults > 0))"
