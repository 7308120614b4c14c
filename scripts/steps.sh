# What checks of several steps share; read by them. A step that fails is counted, a check that cannot be made is listed at the end.
faults=0
skipped=

step() {
    "$@" || faults=$((faults + 1))
}

skip() {
    skipped="$skipped
SKIPPED: $*"
}

# finish <check> <strict>: the verdict; where <strict> is not empty, what was skipped is a fault.
finish() {
    [ -z "$skipped" ] || echo "$skipped"
    [ -z "$skipped" ] || [ -z "$2" ] || faults=$((faults + 1))
    if [ "$faults" -ne 0 ]; then
        echo "$1: faults in $faults steps" >&2
        exit 1
    fi
    echo "$1: well${skipped:+, as far as it was checked}"
    exit 0
}
