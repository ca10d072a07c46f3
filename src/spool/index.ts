/**
 * A spool: records of octets that survive the process, in an append-only log of segments.
 * **In**: records. **Out**: the same records, in order, until they are acknowledged; also after a crash, then possibly again.
 * **Fails**: to open, if the folder cannot be made or a living process holds it; never because of content. While open, a disk that fails
 * is tried again.
 */
export { openSpool } from './open-spool.ts';
export {
  DeadLetters,
  type DeadLetter,
  type DeadLetterHead,
  markDone,
  readDeadLetters,
  dropDeadLetters,
  replayDeadLetters,
} from './dead-letters.ts';
export { newerFormat, newerText, spoolOfAside } from './newer.ts';
export { inspectSpool } from './read-only.ts';
export {
  MAX_RECORD_BYTES,
  type Spool,
  type SpoolLog,
  type SpoolOptions,
  type SpoolRecord,
  type SpoolState,
  type Taken,
} from './types.ts';
