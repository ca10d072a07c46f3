/** What one connection may cost: bounds on the memory and work that a peer causes without asking anything useful. */
export interface Limits {
  /** Open at once; announced to the peer. */
  readonly maxStreams: number;
  /** The sum of names, values and 32 bytes per field; announced to the peer. A larger one is refused, and the connection lives on. */
  readonly maxHeaderListBytes: number;
  /** Of one encoded header block, CONTINUATION frames included; a larger one ends the connection. */
  readonly maxHeaderBlockBytes: number;
  /** What a stream may send before its handler reads it. */
  readonly streamWindowBytes: number;
  /** Of all streams together, unread or incomplete; beyond it the connection's window stays closed. */
  readonly maxHeldBytes: number;
  /** The same with the decompressed messages of running calls; beyond it a request is refused. */
  readonly maxUnpackedBytes: number;
  /** Of replies that wait for a window; beyond it the connection is closed. */
  readonly maxBlockedBytes: number;
  /** Frames that ask for nothing: how many at once, and how many more each second. */
  readonly idleFrames: number;
  readonly idleFramesPerSecond: number;
}

export const DEFAULT_LIMITS: Limits = {
  maxStreams: 1024,
  maxHeaderListBytes: 16 * 1024,
  maxHeaderBlockBytes: 32 * 1024,
  streamWindowBytes: 64 * 1024,
  maxHeldBytes: 16 * 1024 * 1024,
  maxUnpackedBytes: 32 * 1024 * 1024,
  maxBlockedBytes: 8 * 1024 * 1024,
  idleFrames: 1000,
  idleFramesPerSecond: 100,
};
