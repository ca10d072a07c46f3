#!/bin/sh
# Makes gen/ from the contract and builds ./plugin: `sh make.sh [FOLDER OF PROTOS]`. Needs Go and buf (npm: @bufbuild/buf).
set -eu
cd "$(dirname "$0")"
bin="${GOBIN:-$PWD/bin}"
export GOBIN="$bin" PATH="$bin:$PATH"
command -v protoc-gen-go >/dev/null || go install google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.10
command -v protoc-gen-go-grpc >/dev/null || go install google.golang.org/grpc/cmd/protoc-gen-go-grpc@v1.5.1
# The contract: protos/ of Sluice's repository, or of its package in a node_modules above this folder or in the global one.
protos="${1:-}"
if [ -z "$protos" ]; then
  above="$PWD"
  set -- ../..
  while [ "$above" != / ]; do
    set -- "$@" "$above/node_modules/sluice"
    above="$(dirname "$above")"
  done
  set -- "$@" "$(npm root -g 2>/dev/null || true)/sluice"
  for folder; do
    [ -f "$folder/protos/sluice/plugin/v1/plugin.proto" ] || continue
    protos="$folder/protos"
    break
  done
fi
if [ -z "$protos" ]; then
  echo "the contract is not found: npm install sluice in a folder above, or give its folder: sh make.sh .../sluice/protos" >&2
  exit 1
fi
"${BUF:-buf}" generate "$protos" --path "$protos/sluice" --template buf.gen.yaml
go build -o "${OUT:-plugin}" .
