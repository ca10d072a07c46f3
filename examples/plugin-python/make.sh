#!/bin/sh
# Makes gen/ from the contract: `sh make.sh [FOLDER OF PROTOS]`.
set -eu
cd "$(dirname "$0")"
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
mkdir -p gen
${PYTHON:-python3} -m grpc_tools.protoc -I "$protos" --python_out=gen --pyi_out=gen --grpc_python_out=gen sluice/plugin/v1/plugin.proto
