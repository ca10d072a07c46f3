import { type DescMessage, fromBinary, type MessageShape } from '@bufbuild/protobuf';
import { lenientSchema } from './lenient-schema.ts';
import { Malformed } from './malformed.ts';
import { messageOf } from '../text/message-of.ts';

const OPTIONS = { readUnknownFields: false } as const;

/** A message of a peer, with U+FFFD for what is no UTF-8 in its texts. Throws {@link Malformed} where the bytes are none. */
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
    throw new Malformed(`the request is no ${schema.typeName}: ${messageOf(error)}`, { cause: error });
  }
}
