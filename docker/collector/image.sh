#!/usr/bin/env bash
# Puts the image that docker-compose.yml names for the Collector into the local engine: pulled where images can be pulled,
# else built with the Collector's own builder from manifest.yaml, beside this file. Prints what it did; needs docker, and
# Go for the second way. What is built is kept in ${XDG_CACHE_HOME:-~/.cache}/tracebaton, by the hash of the manifest.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
manifest=$here/manifest.yaml
image=$(sed -n 's/^ *image: *\(otel\/opentelemetry-collector-contrib:[0-9.]*\)$/\1/p' "$here/../../docker-compose.yml")
version=$(sed -n 's/^  version: *\([0-9.]*\)$/\1/p' "$manifest")
say() { printf '[collector %3ss] %s\n' "$SECONDS" "$*" >&2; }

if [ "${image##*:}" != "$version" ]; then
  say "docker-compose.yml names '$image', manifest.yaml version '$version': make them one"
  exit 1
fi
hash=$(sha256sum "$manifest" | cut -c1-16)
label=tracebaton.manifest
present=$(docker image inspect -f "{{with .Config.Labels}}{{index . \"$label\"}}{{end}}|{{.Id}}" "$image" 2>/dev/null || true)
case $present in
  "$hash|"*) say "$image is there, built from this manifest"; exit ;;
  "|"*) say "$image is there, not built by this script"; exit ;;
esac
if [ -z "$present" ] && timeout 300 docker pull -q "$image" >/dev/null 2>&1; then
  say "$image pulled"
  exit
fi

go=$(command -v go || echo /usr/local/go/bin/go)
if ! "$go" version >/dev/null 2>&1; then
  say "$image cannot be pulled, and there is no Go to build it with"
  exit 1
fi
cache=${XDG_CACHE_HOME:-$HOME/.cache}/tracebaton/otelcol-$version-$hash
mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9  # one build at a time
if [ ! -x "$cache/otelcol-contrib" ]; then
  work=$(mktemp -d "$cache/build.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  say "building otelcol-contrib $version; minutes, once"
  export CGO_ENABLED=0 GOFLAGS="${GOFLAGS:-} -buildvcs=false"
  PATH=$(dirname "$go"):$PATH
  GOBIN=$work nice -n 10 go install "go.opentelemetry.io/collector/cmd/builder@v$version" >"$work/log" 2>&1 &&
    sed "s|^  version:|  output_path: $work/src\n&|" "$manifest" >"$work/manifest.yaml" &&
    nice -n 10 "$work/builder" --config "$work/manifest.yaml" --ldflags='-s -w' >>"$work/log" 2>&1 ||
    { tail -20 "$work/log" >&2; say "the build failed"; exit 1; }
  mv "$work/src/otelcol-contrib" "$cache/"
  say "built"
fi

# Laid out as the published image is: the program at the root, the certificates, a user without rights, and no shell.
root=$(mktemp -d)
trap 'rm -rf "$root" "${work:-}"' EXIT
mkdir -p "$root/etc/ssl/certs" "$root/etc/otelcol-contrib"
ln "$cache/otelcol-contrib" "$root/" 2>/dev/null || cp "$cache/otelcol-contrib" "$root/"
cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/" 2>/dev/null || true
tar -C "$root" --owner=0 --group=0 -c . | docker import \
  -c 'ENTRYPOINT ["/otelcol-contrib"]' -c 'CMD ["--config", "/etc/otelcol-contrib/config.yaml"]' -c 'USER 10001:10001' \
  -c 'EXPOSE 4317 4318' -c "LABEL $label=$hash" - "$image" >/dev/null
say "$image made from $cache/otelcol-contrib"
