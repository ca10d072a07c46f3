import { PREFACE } from '../h2/frames.ts';
import type { StrangerKind } from '../transport.ts';

const TLS_HANDSHAKE = 0x16;
const TLS_MAJOR = 0x03;
const REQUEST_LINE = /^[A-Z]{3,16} [^ ]/;
const MAX_READ = 32;

/** The protocol of a peer at a cleartext port, by its first bytes; `undefined` while they match HTTP/2. */
export function strangerKind(first: Uint8Array): StrangerKind | undefined {
  const length = Math.min(first.length, PREFACE.length);
  let same = 0;
  while (same < length && first[same] === PREFACE[same]) same++;
  if (same === length) return undefined;
  if (first[0] === TLS_HANDSHAKE && (first.length < 2 || first[1] === TLS_MAJOR)) return 'tls';
  return REQUEST_LINE.test(
    Buffer.from(first.buffer, first.byteOffset, Math.min(first.length, MAX_READ)).toString('latin1'),
  )
    ? 'http1'
    : 'unknown';
}
