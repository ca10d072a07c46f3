/** Who may take counters away, of those who may look at them: at every port that tells of limits. */
import type { FastifyRequest } from 'fastify';

/** Addresses of this machine alone: who may look from elsewhere may not take counters away. */
const isLocal = (address: string): boolean => address === '::1' || /^(::ffff:)?127\./.test(address);

/** A browser on this machine may show the page of anybody. */
export const mayReset = ({ ip, headers: { origin } }: FastifyRequest): boolean => isLocal(ip) && origin === undefined;

export const RESET_REFUSED = {
  error: 'counters are reset from this machine alone, and not by pages of a browser',
} as const;
