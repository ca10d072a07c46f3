/**
 * `npm run interop`: third-party clients against a running server: grpcurl and ghz (grpc-go), h2load and curl (nghttp2). The first two
 * are built with Go into .cache; the others must be installed.
 */
import { execFileSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { create, toBinary } from '@bufbuild/protobuf';
import { SILENT } from '../src/log/log.ts';
import { startServer } from '../src/serve/policy/server.ts';
import { CheckRequestSchema } from '../gen/envoy/service/auth/v3/external_auth_pb.ts';
import { goTool } from './go-tool.ts';
import { mustBeInstalled } from './installed.ts';

const CHECK = 'envoy.service.auth.v3.Authorization/Check';
const REQUEST = '{"attributes":{"request":{"http":{"method":"GET","path":"/","host":"a.example"}}}}';

if (!isMainThread) {
  const server = await startServer({
    configs: [(workerData as { config: string }).config],
    grpc: { host: '127.0.0.1', port: 0 },
    admin: undefined,
    log: SILENT,
  });
  parentPort?.postMessage(server.grpcPort);
} else await main();

async function main(): Promise<void> {
  mustBeInstalled('h2load', 'nghttp2 (Debian: nghttp2-client)');
  mustBeInstalled('curl', 'curl');
  const grpcurl = goTool('grpcurl', 'github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.4');
  const ghz = goTool('ghz', 'github.com/bojand/ghz/cmd/ghz@v0.93.0');
  // In its own thread, since execFileSync blocks this one.
  const server = new Worker(new URL(import.meta.url), { workerData: { config: 'bench/policy/three-rules.yaml' } });
  const port = await new Promise<number>((resolvePort, reject) => {
    server.once('message', resolvePort).once('error', reject);
  });
  const at = `127.0.0.1:${port}`;
  const frame = resolve('.cache/interop-frame');
  const message = toBinary(
    CheckRequestSchema,
    create(CheckRequestSchema, { attributes: { request: { http: { method: 'GET', path: '/' } } } }),
  );
  await writeFile(frame, Buffer.concat([Buffer.from([0, 0, 0, 0, message.length]), message]));
  const outputOf = (program: string, ...args: string[]): string => execFileSync(program, args, { encoding: 'utf8' });
  const expect = (what: string, text: string, holds: RegExp): void => {
    if (!holds.test(text)) throw new Error(`${what}: ${text}`);
    console.log(`ok  ${what}`);
  };
  try {
    expect(
      'grpcurl lists services by reflection',
      outputOf(grpcurl, '-plaintext', at, 'list'),
      /envoy\.service\.auth\.v3\.Authorization/,
    );
    expect('grpcurl checks', outputOf(grpcurl, '-plaintext', '-d', REQUEST, at, CHECK), /"okResponse"/);
    for (const [what, args] of [
      ['20 000 calls, 50 at once', ['-n', '20000', '-c', '50']],
      ['over 10 connections', ['-n', '20000', '-c', '50', '--connections', '10']],
    ] as const) {
      expect(
        `ghz: ${what}`,
        outputOf(ghz, '--insecure', '--call', CHECK.replace('/', '.'), '-d', REQUEST, ...args, at),
        /\[OK\]\s+20000 responses/,
      );
    }
    expect(
      'h2load: 50 000 calls',
      outputOf(
        'h2load',
        '-n',
        '50000',
        '-c',
        '4',
        '-m',
        '32',
        '-H',
        'content-type: application/grpc',
        '-H',
        'te: trailers',
        '-d',
        frame,
        `http://${at}/${CHECK}`,
      ),
      /50000 succeeded, 0 failed/,
    );
    expect(
      'curl gets a 415 that names gRPC',
      outputOf('curl', '-s', '--http2-prior-knowledge', '-w', ' %{http_code}', `http://${at}/`),
      /gRPC[^]* 415$/,
    );
  } finally {
    await server.terminate();
  }
}
