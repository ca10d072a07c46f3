import { GrpcError, Status } from '../transport.ts';

export interface GrpcStatus {
  readonly code: number;
  readonly details: string;
  readonly richStatus?: Uint8Array | undefined;
}

/** The cause goes to the log, not to the caller. */
const INTERNAL: GrpcStatus = { code: Status.INTERNAL, details: 'internal error; see the log of the server' };

/** The status of a call whose handler threw. An error with status OK is internal. */
export function statusOf(error: unknown): GrpcStatus {
  if (!(error instanceof GrpcError) || error.code === Status.OK) return INTERNAL;
  // A lone surrogate has no UTF-8 encoding.
  return { code: error.code, details: error.message.toWellFormed(), richStatus: error.richStatus };
}

export const isInternal = (error: unknown): boolean => statusOf(error) === INTERNAL;
