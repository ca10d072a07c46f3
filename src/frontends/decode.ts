import { type DescMessage, fromBinary, type MessageShape } from '@bufbuild/protobuf';
import { GrpcError, Status } from '../transport/transport.ts';

const OPTIONS = { readUnknownFields: false } as const;

/** A message of a peer; INVALID_ARGUMENT where the bytes are none. */
export function decoded<D extends DescMessage>(schema: D, bytes: Uint8Array): MessageShape<D> {
  try {
    return fromBinary(schema, bytes, OPTIONS);
  } catch (error) {
    throw new GrpcError(Status.INVALID_ARGUMENT, `the request is no ${schema.typeName}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}
