/**
 * What we need of grpc-js and it does not offer, in one place. The version is pinned, and test/unit/transport asserts
 * each of these by its effect.
 */
import type { ServerDuplexStream } from '@grpc/grpc-js';

interface Inside {
  readonly _readableState?: { highWaterMark: number };
  readonly call?: { readonly decoder?: { readonly readState?: number }; readonly stream?: { readonly aborted: boolean } };
}

/** StreamDecoder's state between two messages (`ReadState.NO_DATA`). */
const BETWEEN_MESSAGES = 0;

/** A stream holds one message that its handler has not asked for, not sixteen: each may be as large as the limit. */
export function readOneAhead(call: ServerDuplexStream<Buffer, Uint8Array>): void {
  const { _readableState: state } = call as Inside;
  if (state !== undefined) state.highWaterMark = 1;
}

/** How the requests ended; grpc-js tells each of these as a good end. */
export function endOf(call: ServerDuplexStream<Buffer, Uint8Array>): 'well' | 'inside a message' | 'gone' {
  const { call: inner } = call as Inside;
  if (call.cancelled || inner?.stream?.aborted === true) return 'gone';
  return (inner?.decoder?.readState ?? BETWEEN_MESSAGES) === BETWEEN_MESSAGES ? 'well' : 'inside a message';
}
