/** Connections of probes to the application of the same pod. They are destroyed at the end of their scope, or by the probe's signal. */
import { once } from 'node:events';
import { type ClientHttp2Session, connect as connectHttp2 } from 'node:http2';
import { connect, type Socket } from 'node:net';

export interface ProbedPod {
  /** The pod's own, where the kubelet would ask. */
  readonly address: string;
  /** The agent's, which no probe may ask. */
  readonly statusPort: number;
  /** Source address; the interception rules let it pass, so probes reach the application, not Envoy. Absent: no rules are installed. */
  readonly from: string | undefined;
}

export async function connected(
  { address, from }: ProbedPod,
  port: number,
  signal: AbortSignal,
): Promise<Socket & Disposable> {
  signal.throwIfAborted();
  const socket = connect({ host: address, port, ...(from === undefined ? {} : { localAddress: from }) });
  const ended = endedBy(socket, signal);
  await once(socket, 'connect', { signal });
  return ended;
}

export function endedBy<T extends Socket>(socket: T, signal: AbortSignal): T & Disposable {
  const end = (): void => void socket.destroy();
  signal.addEventListener('abort', end, { once: true });
  socket.on('error', () => undefined); // after the probe as well
  return Object.assign(socket, {
    [Symbol.dispose]: () => {
      signal.removeEventListener('abort', end);
      socket.destroy();
    },
  });
}

export function http2Over(socket: Socket): ClientHttp2Session & Disposable {
  const session = connectHttp2('http://localhost', { createConnection: () => socket });
  session.on('error', () => undefined); // its streams fail with it
  return Object.assign(session, { [Symbol.dispose]: () => session.destroy() });
}

/** As much as the kubelet reads. */
const MAX_BODY_BYTES = 10 * 1024;

export async function beginningOf(body: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes >= MAX_BODY_BYTES) break;
  }
  return Buffer.concat(chunks).subarray(0, MAX_BODY_BYTES);
}
