/**
 * What one connection may cost us. Each bound is on what a peer can make us hold or do without asking anything of use.
 */
export interface Limits {
  /** Open at once; told to the peer, who may not have more. */
  readonly maxStreams: number;
  /** Of names, values and 32 for each field; told to the peer. A larger one is refused, and the connection lives on. */
  readonly maxHeaderListBytes: number;
  /** Of one header block as it is encoded, CONTINUATION frames included; a larger one ends the connection. */
  readonly maxHeaderBlockBytes: number;
  /** What a stream may send before its reader has taken it. */
  readonly streamWindowBytes: number;
  /** Of all streams together that wait for the rest of their message or for their reader: beyond it the connection's window stays shut. */
  readonly maxHeldBytes: number;
  /** The same with what is unpacked for them: beyond it a request is refused. */
  readonly maxUnpackedBytes: number;
  /** Of replies that the peer gives us no window for; beyond it the connection is closed. */
  readonly maxBlockedBytes: number;
  /** Frames that carry nothing at once, and how many more each second. */
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
