/**
 * Requests to a collector.
 * **In**: an encoded Export...ServiceRequest. **Out**: what its answer means. **Fails**: with `Unavailable` if no answer came.
 */
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import type { Call, Host } from 'sluice/plugin';
import { openClient } from '../http/client.ts';
import { type Answer, httpAnswer } from './answers.ts';
import type { OtlpConfig, Signal } from './config.ts';

export interface Exporter {
  send(request: Buffer, call: Call): Promise<Answer>;
  close(): Promise<void>;
}

const CONNECTIONS = 4;
const MAX_ANSWER_BYTES = 64 * 1024;
const GZIP_LEVEL = 1;
const compressed = promisify(gzip) as (bytes: Buffer, options: { level: number }) => Promise<Buffer>;

export async function openExporter(config: OtlpConfig, signal: Signal, host: Host): Promise<Exporter> {
  if (config.protocol === 'grpc') {
    const { openGrpcExporter } = await import('./grpc.ts');
    return openGrpcExporter(config, signal, host);
  }
  const client = await openClient({ ...config, connections: CONNECTIONS }, host);
  const { pathname, search } = new URL(config.url);
  const path = (pathname === '/' ? `/v1/${signal}` : pathname) + search;
  const isGzip = config.compression === 'gzip';
  const headers = [
    ...Object.entries(config.headers).flat(),
    'content-type',
    'application/x-protobuf',
    ...(isGzip ? ['content-encoding', 'gzip'] : []),
  ];
  return {
    async send(request, call) {
      const body = isGzip ? await compressed(request, { level: GZIP_LEVEL }) : request;
      const bounds = { maxBodyBytes: MAX_ANSWER_BYTES, cutsBody: true, signal: call.signal };
      const answer = await client.ask({ method: 'POST', path, headers, body }, bounds);
      return httpAnswer(answer, host.clock.nowMs());
    },
    close: () => client.close(),
  };
}
