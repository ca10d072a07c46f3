/**
 * Parses the headers of a gRPC request.
 * **In**: a head. **Out**: the requested call, or its refusal. **Fails**: never by throwing.
 */
import type { Head } from '../exchange.ts';
import { type Method, type Methods, Status } from '../transport.ts';

export interface CallHead {
  readonly path: string;
  readonly method: Method;
  /** `undefined` if there is none. */
  readonly timeoutMs: number | undefined;
  readonly encoding: 'identity' | 'gzip';
}

export type Refusal =
  | { readonly kind: 'http'; readonly status: number; readonly text: string }
  | { readonly kind: 'grpc'; readonly code: number; readonly details: string };

const UNITS_MS: ReadonlyMap<string, number> = new Map([
  ['H', 3_600_000],
  ['M', 60_000],
  ['S', 1000],
  ['m', 1],
  ['u', 1e-3],
  ['n', 1e-6],
]);
const MAX_DIGITS = 8;

/** `undefined` if it is not a timeout. No regular expression, since its match would be allocated for each call. */
export function timeoutMsOf(text: string): number | undefined {
  const digits = text.length - 1;
  const unitMs = UNITS_MS.get(text.charAt(digits));
  if (unitMs === undefined || digits < 1 || digits > MAX_DIGITS) return undefined;
  let value = 0;
  for (let at = 0; at < digits; at++) {
    const digit = text.charCodeAt(at) - 0x30;
    if (digit < 0 || digit > 9) return undefined;
    value = value * 10 + digit;
  }
  return value * unitMs;
}

const NOT_GRPC = 'This port speaks gRPC (POST, content-type: application/grpc): use Envoy, grpcurl or `sluice call`.\n';

export function callHead(head: Head, methods: Methods): CallHead | Refusal {
  const { method: verb, path, contentType } = head;
  if (contentType === undefined || !/^application\/grpc(?:$|[+;])/.test(contentType))
    return { kind: 'http', status: 415, text: NOT_GRPC };
  if (verb !== 'POST') return { kind: 'http', status: 405, text: NOT_GRPC };
  const method = methods.get(path);
  if (method === undefined)
    return { kind: 'grpc', code: Status.UNIMPLEMENTED, details: `this server has no method ${path}` };
  const timeout = head.header('grpc-timeout');
  const timeoutMs = timeout === undefined ? undefined : timeoutMsOf(timeout);
  if (timeout !== undefined && timeoutMs === undefined)
    return {
      kind: 'grpc',
      code: Status.INVALID_ARGUMENT,
      details: `grpc-timeout is ${JSON.stringify(timeout)}, which is not a timeout`,
    };
  const encoding = head.header('grpc-encoding') ?? 'identity';
  if (encoding !== 'identity' && encoding !== 'gzip')
    return {
      kind: 'grpc',
      code: Status.UNIMPLEMENTED,
      details: `grpc-encoding ${encoding} is not supported; send identity or gzip`,
    };
  return { path, method, timeoutMs, encoding };
}
