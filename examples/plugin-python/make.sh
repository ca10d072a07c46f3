#!/bin/sh
# Makes gen/ from the contract: `sh make.sh [FOLDER OF PROTOS]`. The contract is protos/ of Sluice's package, or of its repository.
set -eu
cd "$(dirname "$0")"
mkdir -p gen
${PYTHON:-python3} -m grpc_tools.protoc -I "${1:-../../protos}" --python_out=gen --pyi_out=gen --grpc_python_out=gen sluice/plugin/v1/plugin.proto
