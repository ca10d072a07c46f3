/** Limits of one connection: bounds on the memory and work that a peer can cause without useful requests. */
export interface Limits {
  /** Maximum of open streams; announced to the peer. */
  readonly maxStreams: number;
  /** The sum of names, values and 32 bytes per field; announced to the peer. A larger one is refused; the connection stays open. */
  readonly maxHeaderListBytes: number;
  /** Of one encoded header block, CONTINUATION frames included; a larger one ends the connection. */
  readonly maxHeaderBlockBytes: number;
  /** Bytes that a stream may send before its handler reads them. */
  readonly streamWindowBytes: number;
  /** Of all streams together, unread or incomplete; beyond it the connection's window stays closed. */
  readonly maxHeldBytes: number;
  /** The same with the decompressed messages of running calls; beyond it a request is refused. */
  readonly maxUnpackedBytes: number;
  /** Of replies that wait for a window; beyond it the connection is closed. */
  readonly maxBlockedBytes: number;
  /** Frames without a request: how many at once, and how many more per second. */
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
