/** Access to resetting counters, at every port that shows limits. */
import type { FastifyRequest } from 'fastify';

/** Others may read the pages, but not reset counters. */
const isLocal = (address: string): boolean => address === '::1' || /^(::ffff:)?127\./.test(address);

/** A request with an Origin comes from a web page, perhaps a hostile one in a browser on this machine. */
export const mayReset = ({ ip, headers: { origin } }: FastifyRequest): boolean => isLocal(ip) && origin === undefined;

export const RESET_REFUSED = {
  error: 'counters can be reset from this machine only, and not by web pages',
} as const;
