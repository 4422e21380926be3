#!/usr/bin/env bash
# Builds Compose v2 from its own modules, for machines that can install only version 1, into
# ${XDG_CACHE_HOME:-~/.cache}/tracebaton, where the container tests look for it. Does nothing where there is one. Needs Go.
set -euo pipefail
version=2.40.3
say() { printf '[compose %3ss] %s\n' "$SECONDS" "$*" >&2; }

cache=${XDG_CACHE_HOME:-$HOME/.cache}/tracebaton/compose-$version
if docker compose version >/dev/null 2>&1 || [ -x "$cache/docker-compose" ]; then
  say "there is one"
  exit
fi
go=$(command -v go || echo /usr/local/go/bin/go)
"$go" version >/dev/null || { say "there is no Go to build it with"; exit 1; }
mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9
[ -x "$cache/docker-compose" ] && exit
work=$(mktemp -d "$cache/build.XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work"
say "building Compose $version; minutes, once"
export CGO_ENABLED=0 GOFLAGS="${GOFLAGS:-} -buildvcs=false -mod=mod"
# As a dependency of an empty module: `go install` refuses it for the `exclude` lines in its own go.mod.
{ "$go" mod init compose.build && nice -n 10 "$go" get "github.com/docker/compose/v2/cmd@v$version" &&
  nice -n 10 "$go" build -ldflags "-s -w -X github.com/docker/compose/v2/internal.Version=v$version" \
    -o "$work/docker-compose" github.com/docker/compose/v2/cmd; } >log 2>&1 ||
  { tail -20 log >&2; say "the build failed"; exit 1; }
mv docker-compose "$cache/"
say "built"
