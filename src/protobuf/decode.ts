import { type DescMessage, fromBinary, type MessageShape } from '@bufbuild/protobuf';
import { lenientSchema } from './lenient-schema.ts';
import { Malformed } from './malformed.ts';
import { messageOf } from '../text/message-of.ts';

const OPTIONS = { readUnknownFields: false } as const;

/** Decodes a message of a peer; invalid UTF-8 in its strings becomes U+FFFD. Throws {@link Malformed} for any other bytes. */
export function decoded<D extends DescMessage>(schema: D, bytes: Uint8Array): MessageShape<D> {
  try {
    return fromBinary(schema, bytes, OPTIONS);
  } catch {
    return leniently(schema, bytes);
  }
}

function leniently<D extends DescMessage>(schema: D, bytes: Uint8Array): MessageShape<D> {
  try {
    return fromBinary(lenientSchema(schema), bytes, OPTIONS);
  } catch (error) {
    throw new Malformed(`the request is not a ${schema.typeName}: ${messageOf(error)}`, { cause: error });
  }
}
