#!/usr/bin/env bash
# Proves what images.sh and image.py promise, with a static busybox in place of the programs.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
if [ ! -x /bin/busybox ] || ldd /bin/busybox >/dev/null 2>&1; then
    echo "This needs Debian's package busybox-static" >&2
    exit 1
fi

fail() {
    echo "FAILED: $*" >&2
    exit 1
}
expect() { [ "$2" = "$3" ] || fail "$1: expected $3, found: $2"; }
# refuses WORDS CMD…: the command fails, and says the words.
refuses() {
    local words=$1 said
    shift
    if said=$("$@" 2>&1); then fail "not refused: $*"; fi
    [[ $said == *"$words"* ]] || fail "expected '$words', found: $said"
}
images() { "$here/images.sh" --programs "$place/programs" "$@"; }
programs() {
    install -d "$place/programs"
    for program in olake-api olake-worker sample-connector; do install -m 0755 /bin/busybox "$place/programs/$program"; done
}
# config IMAGE FIELD, and files IMAGE: what an archive says and holds.
config() {
    python3 - "$place/a/$1.tar" "$2" <<'END'
import json, sys, tarfile
with tarfile.open(sys.argv[1]) as archive:
    manifest = json.load(archive.extractfile("manifest.json"))[0]
    config = json.load(archive.extractfile(manifest["Config"]))["config"] | {"Name": manifest["RepoTags"][0]}
    print(json.dumps(config[sys.argv[2]]))
END
}
files() { tar --extract --to-stdout --wildcards --file "$place/a/$1.tar" '*.tar' | tar --list --verbose; }

programs
(umask 022 && images "$place/a" >/dev/null)
(umask 077 && touch -d yesterday "$place"/programs/* && images "$place/b" >/dev/null)
diff -r "$place/a" "$place/b" || fail "the same programs give other bytes"
echo "ok  the same programs give the same bytes"

expect "entrypoint of the API" "$(config olake-api Entrypoint)" '["/olake-api"]'
expect "entrypoint of the worker" "$(config olake-worker Entrypoint)" '["/olake-worker"]'
expect "entrypoint of the connector" "$(config sample-connector Entrypoint)" '["./olake"]'
expect "working directory of the connector" "$(config sample-connector WorkingDir)" '"/home"'
expect "name of the connector" "$(config sample-connector Name)" '"localhost/olakego/source-files:v0.9.4"'
for image in olake-api olake-worker sample-connector; do
    expect "user of $image" "$(config $image User)" '"65532:65532"'
    held=$(files $image)
    [[ $held == *drwxrwxrwt*tmp/* && $held == *etc/ssl/certs/ca-certificates.crt* ]] || fail "$image holds: $held"
done
[[ $(files sample-connector) == *-rwxr-xr-x*home/olake* ]] || fail "the connector's program is not where it belongs"
[[ $(files sample-connector) == *home/data/transitions.csv* ]] || fail "the sample's data are missing"
echo "ok  images are laid out as the Dockerfile says"

cp /bin/ls "$place/programs/olake-api"
refuses "is not static" images "$place/c"
programs
# What is only appended is stripped away.
truncate --size 41M "$place/padding"
objcopy --add-section padding="$place/padding" "$place/programs/olake-worker"
refuses "is larger than" images "$place/c"
rm "$place/programs/olake-api"
refuses "run it with --build" images "$place/c"
echo "ok  programs that are missing, not static or too large are refused"

image() {
    printf 'FROM scratch AS it\n%s\n' "$1" >"$place/Dockerfile"
    python3 "$here/image.py" --dockerfile "$place/Dockerfile" --target "${2:-it}" --built "$place" --context "$place" \
        --name it:1 "$place/it.tar"
}
refuses "Dockerfile:2: RUN is not understood" image "RUN true"
refuses "Dockerfile:2: there is no" image "COPY nothing /"
refuses "Dockerfile:2: of COPY's flags" image "COPY --chown=1 programs /"
refuses "Dockerfile:2: Expecting value" image "ENTRYPOINT /program"
refuses "has no target other" image "USER 1" other
echo "ok  what image.py does not understand is refused"
