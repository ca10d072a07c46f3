/**
 * A probe of the kind `httpGet`, as the kubelet makes it.
 * **In**: where to ask, the kubelet's request. **Out**: the application's status, and the beginning of its body.
 * **Fails**: with an Error where the application gives no answer.
 */
import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { isIPv6, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import type { Action } from './app-probers.ts';
import { beginningOf, connected, endedBy, http2Over, type ProbedPod } from './probe-connection.ts';

/** As the kubelet has sent it. */
export interface ProbeRequest {
  readonly host: string | undefined;
  /** Alternating names and values. */
  readonly rawHeaders: readonly string[];
}

export interface ProbeAnswer {
  readonly status: number;
  readonly body: string | Uint8Array;
}

/** As the kubelet does. */
const MAX_REDIRECTS = 10;

/** Follows redirects within the pod; a redirect to another host is a success, since the application has answered. */
export async function httpProbe(
  { port, path, isTls }: Extract<Action, { kind: 'http' }>,
  asked: ProbeRequest,
  pod: ProbedPod,
  signal: AbortSignal,
): Promise<ProbeAnswer> {
  const hostname = isIPv6(pod.address) ? `[${pod.address}]` : pod.address;
  let url = new URL(`${isTls ? 'https' : 'http'}://${hostname}:${port}${path}`);
  const headers = endToEnd(asked.rawHeaders);
  let host = hostFor(asked.host ?? url.host, pod.statusPort, port);
  for (let redirects = 0; ; redirects++) {
    const { status, location, body } = await exchange(url, ['host', host, ...headers], pod, signal);
    if (status < 300 || status >= 400) return { status, body };
    const next = location === undefined || !FOLLOWED.includes(status) ? undefined : new URL(location, url);
    if (next === undefined || next.hostname !== url.hostname) return { status: 200, body: '' };
    if (redirects === MAX_REDIRECTS - 1) throw new Error(`stopped after ${MAX_REDIRECTS} redirects`);
    if (!/^https?:$/.test(next.protocol)) throw new Error(`redirects to ${next.protocol}, which is not HTTP`);
    if (portOf(next) === pod.statusPort)
      throw new Error(`redirects to port ${pod.statusPort}, which is the agent's own`);
    // A relative redirect keeps the Host of the probe, as in Go.
    if (/^[a-z][a-z0-9+.-]*:|^\/\//i.test(location ?? '')) host = next.host;
    url = next;
  }
}

const FOLLOWED = [301, 302, 303, 307, 308];

const portOf = ({ port, protocol }: URL): number => (port === '' ? (protocol === 'https:' ? 443 : 80) : Number(port));

/** The kubelet sends the port of the agent in Host, unless the probe sets this header. */
function hostFor(host: string, statusPort: number, port: number): string {
  const suffix = `:${statusPort}`;
  return host.endsWith(suffix) ? `${host.slice(0, -suffix.length)}:${port}` : host;
}

/** Hop-by-hop headers, and those of a body. */
const OF_CONNECTION = new Set(
  'host connection keep-alive proxy-connection proxy-authorization te trailer transfer-encoding upgrade http2-settings content-length expect'.split(
    ' ',
  ),
);

const endToEnd = (rawHeaders: readonly string[]): string[] =>
  rawHeaders.filter((_, at) => !OF_CONNECTION.has((rawHeaders[at - (at % 2)] ?? '').toLowerCase()));

interface Exchanged {
  readonly status: number;
  readonly location: string | undefined;
  readonly body: Uint8Array;
}

async function exchange(url: URL, headers: readonly string[], pod: ProbedPod, signal: AbortSignal): Promise<Exchanged> {
  using socket = await connected(pod, portOf(url), signal);
  const path = `${url.pathname}${url.search}`;
  if (url.protocol !== 'https:') return await exchangeHttp1(socket, path, headers, signal);
  // The kubelet verifies no certificate, and names no server.
  using secure = endedBy(connectTls({ socket, rejectUnauthorized: false, ALPNProtocols: ['h2', 'http/1.1'] }), signal);
  await once(secure, 'secureConnect', { signal });
  const exchangeOver = secure.alpnProtocol === 'h2' ? exchangeHttp2 : exchangeHttp1;
  return await exchangeOver(secure, path, headers, signal);
}

async function exchangeHttp1(
  socket: Socket,
  path: string,
  headers: readonly string[],
  signal: AbortSignal,
): Promise<Exchanged> {
  const call = request({ createConnection: () => socket, path, headers: [...headers] });
  call.on('error', () => undefined); // after the probe as well
  call.end();
  const [response] = (await once(call, 'response', { signal })) as [IncomingMessage];
  const { statusCode: status = 0, headers: received } = response;
  return { status, location: received.location, body: await beginningOf(response) };
}

async function exchangeHttp2(
  socket: TLSSocket,
  path: string,
  headers: readonly string[],
  signal: AbortSignal,
): Promise<Exchanged> {
  using session = http2Over(socket);
  const fields = Object.assign(Object.create(null) as Record<string, string[] | string>, { ':path': path });
  for (let at = 0; at < headers.length; at += 2) {
    const name = (headers[at] ?? '').toLowerCase();
    const value = headers[at + 1] ?? '';
    if (name === 'host') fields[':authority'] = value;
    else fields[name] = [fields[name] ?? [], value].flat();
  }
  const stream = session.request(fields, { endStream: true });
  stream.on('error', () => undefined); // after the probe as well
  const [received] = (await once(stream, 'response', { signal })) as [
    Readonly<Record<string, string | number | undefined>>,
  ];
  const location = received['location'];
  return {
    status: Number(received[':status']),
    location: typeof location === 'string' ? location : undefined,
    body: await beginningOf(stream),
  };
}
