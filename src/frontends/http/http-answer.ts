/**
 * **In**: a verdict. **Out**: an HTTP answer with the effect that the verdict has through gRPC, as far as the proxy can apply it.
 * **Fails**: with 503 for the outcome `error`, and for changes of the query, which no proxy takes by HTTP.
 */
import type { NetHeaders, Verdict } from '../../core/call.ts';
import { Status } from '../../transport/transport.ts';
import { withGrpcStatus } from '../grpc-status.ts';
import { type HeaderPair, inOneSpelling } from '../header-pairs.ts';
import type { HttpWire } from './http-wire.ts';
import type { Dialect } from './routes.ts';

export interface HttpAnswer {
  readonly status: number;
  /** Names and values in turn; the caller adds to them. */
  readonly headers: string[];
  readonly body: string;
}

/** Envoy's word for the headers that an allowed request loses. */
const TO_REMOVE = 'x-envoy-auth-headers-to-remove';
/** Lines of the answer itself. */
const FRAMING = new Set([
  'connection',
  'content-length',
  'keep-alive',
  'transfer-encoding',
  'upgrade',
  'trailer',
  'te',
]);

export const unavailable = (why: string): HttpAnswer => ({ status: 503, headers: ['content-type', TEXT], body: why });
const TEXT = 'text/plain';

export function httpAnswer(verdict: Verdict, wire: HttpWire): HttpAnswer {
  switch (verdict.outcome) {
    case 'allow':
      return allowed(verdict, wire);
    case 'deny':
      return denial(verdict, deniedStatus(verdict.status, wire.route.dialect), verdict.code, wire);
    // Envoy lets 5xx pass where failure_mode_allow is set, so the denial of a failed rule is none.
    case 'failed':
      return denial(verdict, 403, Status.UNAVAILABLE, wire);
    case 'error':
      return unavailable(`${verdict.rule ?? 'a rule'} could not be decided (verdict ${verdict.id})`);
  }
}

/** NGINX takes 401 and 403 for a denial, and any other status for a failure of the server that it asked. */
const deniedStatus = (status: number, dialect: Dialect): number =>
  dialect === 'nginx' && status !== 401 ? 403 : status;

function allowed({ id, outcome, rule, shadow, changes }: Verdict, wire: HttpWire): HttpAnswer {
  const { request, response, query, metadata } = changes;
  if (query.set.length > 0 || query.remove.length > 0)
    return unavailable(`rules change the query, which HTTP cannot carry (verdict ${id}); ask by gRPC`);
  const headers: string[] = [];
  const write = (name: string, value: string): void => {
    const lower = name.toLowerCase();
    if (FRAMING.has(lower) || lower === 'host' || lower.startsWith(':')) return;
    headers.push(lower, bytesOf(value));
  };
  for (const [name, value] of inOneSpelling(request.set)) write(name, value);
  appendTo(request, wire, write);
  if (response.set.length > 0 || response.append.length > 0) {
    const ofRequest = new Set([...request.set, ...request.append].map(([name]) => name.toLowerCase()));
    for (const [name, value] of [...inOneSpelling(response.set), ...response.append])
      if (!ofRequest.has(name.toLowerCase())) write(name, value);
  }
  if (request.remove.length > 0) headers.push(TO_REMOVE, request.remove.join(', '));
  headers.push('x-sluice-id', id, 'x-sluice-outcome', outcome);
  if (rule !== undefined) headers.push('x-sluice-rule', rule);
  if (shadow.length > 0) headers.push('x-sluice-shadow', shadow.join(', '));
  for (const [name, value] of metadata) headers.push(`x-sluice-metadata-${encodeURIComponent(name)}`, bytesOf(value));
  return { status: 200, headers, body: '' };
}

/** The whole new value, since a proxy's list of headers says for a name either that it is set or that it is appended to. */
function appendTo({ append }: NetHeaders, wire: HttpWire, write: (name: string, value: string) => void): void {
  if (append.length === 0) return;
  const values = new Map<string, string>();
  for (const [name, value] of append) {
    const lower = name.toLowerCase();
    const before = values.get(lower) ?? wire.headers().get(lower);
    values.set(lower, before === undefined ? value : `${before},${value}`);
  }
  for (const [name, value] of values) write(name, value);
}

/** Of the proxies only Envoy makes a gRPC answer of a denial. */
function denial({ headers, body }: Verdict, status: number, code: number, wire: HttpWire): HttpAnswer {
  const isEnvoy = wire.route.dialect === 'envoy';
  const pairs: readonly HeaderPair[] = inOneSpelling(
    isEnvoy ? withGrpcStatus(headers, code, wire.headers().get('content-type')) : headers,
  );
  const lines: string[] = [];
  for (const [name, value] of pairs)
    if (!FRAMING.has(name.toLowerCase())) lines.push(name.toLowerCase(), bytesOf(value));
  if (body !== '' && !lines.includes('content-type')) lines.push('content-type', TEXT);
  return { status, headers: lines, body };
}

/** UTF-8, one character for each byte, as node:http writes header values. */
export const bytesOf = (text: string): string =>
  BEYOND_LATIN.test(text) ? Buffer.from(text, 'utf8').toString('latin1') : text;
const BEYOND_LATIN = /[^\0-\x7f]/;
