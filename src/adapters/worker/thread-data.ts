import type { MemoryRequest } from '../shared-memory-request.ts';

/** What a handler's thread is started with. */
export interface ThreadData {
  /** URL of the module that exports the adapter. */
  readonly module: string;
  /** Of {@link VitalSigns}. */
  readonly signs: SharedArrayBuffer;
  /** Two doubles, the wall clock and the monotonic one in ms; `undefined`: those of the system. */
  readonly clock: SharedArrayBuffer | undefined;
  readonly closeWithinMs: number | undefined;
  readonly restartAfterMs: number | undefined;
}

/** Packed messages, or a request for shared memory. */
export type FromThread = readonly unknown[] | MemoryRequest;
