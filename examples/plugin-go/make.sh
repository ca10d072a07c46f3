#!/bin/sh
# Makes gen/ from the contract and builds ./plugin: `sh make.sh [FOLDER OF PROTOS]`. Needs Go and buf (npm: @bufbuild/buf).
# The contract is protos/ of Sluice's package, or of its repository.
set -eu
cd "$(dirname "$0")"
bin="${GOBIN:-$PWD/bin}"
export GOBIN="$bin" PATH="$bin:$PATH"
command -v protoc-gen-go >/dev/null || go install google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.10
command -v protoc-gen-go-grpc >/dev/null || go install google.golang.org/grpc/cmd/protoc-gen-go-grpc@v1.5.1
protos="${1:-../../protos}"
"${BUF:-buf}" generate "$protos" --path "$protos/sluice" --template buf.gen.yaml
go build -o "${OUT:-plugin}" .
