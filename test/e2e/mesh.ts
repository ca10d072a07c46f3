/** A real Envoy in front of a small upstream, asking a real `sluice serve`. */
import { connect } from 'node:net';
import { once } from 'node:events';
import { startEnvoy } from '../parts/envoy.ts';
import { envoyConfig } from '../parts/envoy-config.ts';
import { freePort } from '../parts/free-port.ts';
import { type Arrived, startUpstream } from '../parts/upstream.ts';
import { type ServedSluice, serveSluice } from './sluice.ts';

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** The request as the upstream got it, if it answered. */
  arrived(): Arrived;
}

export interface Mesh {
  readonly sluice: ServedSluice;
  /** Envoy's port, for requests that fetch() cannot send. */
  readonly httpPort: number;
  /** Sends a request through Envoy. */
  get(path: string, init?: RequestInit): Promise<Answer>;
  /** Sends text through Envoy's TCP listener and returns the answer; empty if the connection was closed. */
  tcp(text: string): Promise<string>;
  stats(): Promise<Record<string, number>>;
  stop(): Promise<void>;
}

export async function startMesh(
  policy: string,
  options: Parameters<typeof serveSluice>[1] & { readonly ratelimitPort?: number; readonly timeout?: string } = {},
): Promise<Mesh> {
  const upstream = await startUpstream();
  const sluice = await serveSluice(policy, options);
  const [adminPort, httpPort, tcpPort] = [await freePort(), await freePort(), await freePort()];
  const envoy = await startEnvoy({
    config: envoyConfig({
      adminPort,
      httpPort,
      tcpPort,
      sluicePort: sluice.grpcPort,
      upstreamPort: upstream.httpPort,
      tcpUpstreamPort: upstream.tcpPort,
      ...(options.ratelimitPort === undefined ? {} : { ratelimitPort: options.ratelimitPort }),
      ...(options.timeout === undefined ? {} : { timeout: options.timeout }),
    }),
    adminPort,
  });
  return {
    sluice,
    httpPort,
    get: async (path, init) => {
      const response = await fetch(`http://127.0.0.1:${httpPort}${path}`, init);
      const text = await response.text();
      return { status: response.status, headers: response.headers, text, arrived: () => JSON.parse(text) as Arrived };
    },
    tcp: async (text) => {
      const socket = connect({ port: tcpPort, host: '127.0.0.1' });
      socket.on('error', () => socket.destroy());
      await once(socket, 'connect');
      let back = '';
      socket.on('data', (chunk) => {
        back += chunk.toString();
        if (back.length >= text.length) socket.end();
      });
      socket.write(text);
      await once(socket, 'close');
      return back;
    },
    stats: async () => envoy.stats(),
    stop: async () => {
      await envoy.stop();
      await sluice.stop();
      await upstream.stop();
    },
  };
}
