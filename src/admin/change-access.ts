/** Access to what changes a running server: resetting counters, and replacing its policy. At every port that shows limits. */
import type { FastifyRequest } from 'fastify';
import { isAllowedHost } from './host-check.ts';

/**
 * Others may read the pages, but change nothing. A sidecar passes on calls of others from another address of 127.0.0.0/8 (Istio's:
 * 127.0.0.6).
 */
const isLocal = (address: string): boolean => ['127.0.0.1', '::ffff:127.0.0.1', '::1'].includes(address);

/**
 * A request with an Origin comes from a web page: our own, whose Origin is the host that the request names, or perhaps a hostile one in
 * a browser on this machine. A name would prove nothing, since a hostile one may resolve to this address.
 */
const isOwnOrigin = (origin: string, host: string | undefined): boolean =>
  host !== undefined && isAllowedHost(host, 'localhost') && origin.toLowerCase() === `http://${host.toLowerCase()}`;

/**
 * By `Origin`, which a browser sends with a POST and with a script's request to another origin; with other requests to this machine it
 * sends `Sec-Fetch-Site`.
 */
export function isFromOtherPage({ headers: { origin, host, 'sec-fetch-site': site } }: FastifyRequest): boolean {
  if (origin !== undefined) return !isOwnOrigin(origin, host);
  return site !== undefined && site !== 'same-origin' && site !== 'none';
}

export const mayChange = (request: FastifyRequest): boolean => isLocal(request.ip) && !isFromOtherPage(request);

/** For the log: commands name their user in the User-Agent. */
export function whoAsks({ ip, headers }: FastifyRequest): string {
  const agent = headers['user-agent'];
  return agent === undefined ? ip : `${ip} ${agent.slice(0, 200)}`;
}

export const RESET_REFUSED = {
  error: 'counters can be reset from this machine only, and not by web pages of others',
} as const;
export const CHANGE_REFUSED = {
  error: 'the policy can be changed from this machine only, and not by web pages of others',
} as const;
export const LETTERS_REFUSED = {
  error: 'dead letters are shown and settled from this machine only, and not by web pages of others',
} as const;
export const PLAY_REFUSED = {
  error: 'policies can be tried from this machine only, and not by web pages of others',
} as const;
export const RECORD_REFUSED = {
  error: 'calls can be recorded from this machine only, and not by web pages of others',
} as const;
export const OTHER_PAGE_REFUSED = { error: 'web pages of others may not read this' } as const;
