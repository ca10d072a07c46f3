/** The call of a decision, as a request that the playground tries again. */
import type { KeptDecision, PlaygroundStart, Why } from './api.ts';
import type { PlayedCall } from './case-text.ts';
import { ask } from './server.ts';

/** Attributes that are sent as they are; others are worked out from them. */
const IS_SENT = /^(connection|destination|source)\.|^request\.(scheme|protocol|size)$/;

/** A case of a call, from what was kept of a decision. */
function callOf(kept: KeptDecision): PlayedCall {
  const { call, method, host, path, peer, principal, requestId, domain, descriptor, attributes } = kept;
  const headers = attributes['request.headers'];
  const known = {
    ...Object.fromEntries(
      Object.entries(attributes).filter(([name, value]) => IS_SENT.test(name) && value !== '(secret)'),
    ),
    'request.method': method,
    'request.host': host,
    'request.path': path,
    'request.id': requestId,
    'source.ip': peer,
    'source.principal': principal,
    'ratelimit.domain': domain,
    'ratelimit.entries': descriptor,
    'request.headers': typeof headers === 'object' && headers !== null ? ownHeaders(headers) : null,
  };
  return {
    call,
    attributes: Object.fromEntries(Object.entries(known).filter(([, value]) => value !== null && value !== undefined)),
  };
}

/** As its proxy sent it, or else from the attributes that rules read. */
export async function callOfDecision(id: string, kept: PlaygroundStart['request']): Promise<PlayedCall> {
  if (kept === null) return callOf((await ask<Why>(`/verdicts/why?id=${encodeURIComponent(id)}`)).verdict);
  const { call, attributes, carried } = kept;
  return { call, attributes, ...(Object.keys(carried).length === 0 ? {} : { carried }) };
}

const ownHeaders = (headers: object): object =>
  Object.fromEntries(Object.entries(headers).filter(([name, value]) => !name.startsWith(':') && value !== '(secret)'));
