import { tlsProblem } from './tls-problem.ts';

/** The error of a connection that ended before HTTP/2 began. */
export const AT_ONCE = 'it was closed at once';

/** For the operator: why a gRPC server cannot be reached, and what to correct. `where`: its address; `isLate`: the time was over. */
export function whyNotConnected(where: string, error: unknown, isLate: boolean, isTls: boolean): string {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === 'ENOENT' || code === 'ECONNREFUSED')
    return `nothing listens at ${where}; start it, or correct the address`;
  if (isLate) return `${where} does not answer; it may hang, or speak no gRPC ${isTls ? 'over TLS' : 'in cleartext'}`;
  if (code === 'ERR_HTTP2_ERROR' && !isTls)
    return `${where} speaks no HTTP/2 there; it may speak HTTP/1 or TLS: correct the address, or set tls`;
  if (code === 'ECONNRESET' || message === AT_ONCE)
    return `${where} closes connections at once; ${
      isTls
        ? 'it may refuse the client certificate of tls.cert, or ask for one'
        : 'it may speak TLS: set tls, or correct the address'
    }`;
  return `${where} cannot be reached${isTls ? ' over TLS' : ''}: ${(isTls ? tlsProblem(message) : undefined) ?? message}`;
}
