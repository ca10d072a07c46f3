import { GrpcError, Status } from '../transport.ts';

export interface GrpcStatus {
  readonly code: number;
  readonly details: string;
}

/** The caller learns that the fault is ours, not what it is: that is for our log. */
const OUR_FAULT: GrpcStatus = { code: Status.INTERNAL, details: 'internal error; the log of the server says more' };

/** How a call ends whose handler threw. A status of OK is no way to fail. */
export function statusOf(error: unknown): GrpcStatus {
  if (!(error instanceof GrpcError) || error.code === Status.OK) return OUR_FAULT;
  // Half a surrogate pair has no octets.
  return { code: error.code, details: error.message.toWellFormed() };
}

export const isOurFault = (error: unknown): boolean => statusOf(error) === OUR_FAULT;
