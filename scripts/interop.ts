/**
 * Clients that are not ours against a running server: grpcurl and ghz (grpc-go), h2load and curl (nghttp2). It builds the first two
 * with Go, into .cache; the others are packages of the system. `npm run interop`.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { create, toBinary } from '@bufbuild/protobuf';
import { SILENT } from '../src/cli/log.ts';
import { startServer } from '../src/cli/server.ts';
import { CheckRequestSchema } from '../src/frontends/generated/envoy/service/auth/v3/external_auth_pb.ts';
import { Worker, isMainThread, workerData, parentPort } from 'node:worker_threads';

const CHECK = 'envoy.service.auth.v3.Authorization/Check';
const REQUEST = '{"attributes":{"request":{"http":{"method":"GET","path":"/","host":"a.example"}}}}';

if (!isMainThread) {
  const server = await startServer({ configs: [(workerData as { config: string }).config], grpc: { host: '127.0.0.1', port: 0 }, admin: undefined, log: SILENT });
  parentPort?.postMessage(server.grpcPort);
} else await main();

async function main(): Promise<void> {
  const bin = resolve('.cache/go/bin');
  for (const [name, from] of [['grpcurl', 'github.com/fullstorydev/grpcurl/cmd/grpcurl@latest'], ['ghz', 'github.com/bojand/ghz/cmd/ghz@latest']] as const) {
    if (existsSync(join(bin, name))) continue;
    const { status, error } = spawnSync('go', ['install', from], { stdio: 'inherit', env: { ...process.env, GOBIN: bin } });
    if (error !== undefined || status !== 0) throw new Error(`${name} could not be built; it needs Go in the PATH`, { cause: error });
  }
  // The server has a thread of its own: these programs are waited for.
  const server = new Worker(new URL(import.meta.url), { workerData: { config: 'bench/policy/three-rules.yaml' } });
  const port = await new Promise<number>((resolvePort, reject) => { server.once('message', resolvePort).once('error', reject); });
  const at = `127.0.0.1:${port}`;
  const frame = resolve('.cache/interop-frame');
  const message = toBinary(CheckRequestSchema, create(CheckRequestSchema, { attributes: { request: { http: { method: 'GET', path: '/' } } } }));
  await writeFile(frame, Buffer.concat([Buffer.from([0, 0, 0, 0, message.length]), message]));
  const said = (program: string, ...args: string[]): string => execFileSync(program, args, { encoding: 'utf8' });
  const expect = (what: string, text: string, holds: RegExp): void => {
    if (!holds.test(text)) throw new Error(`${what}: ${text}`);
    console.log(`ok  ${what}`);
  };
  try {
    expect('grpcurl lists services by reflection', said(join(bin, 'grpcurl'), '-plaintext', at, 'list'), /envoy\.service\.auth\.v3\.Authorization/);
    expect('grpcurl checks', said(join(bin, 'grpcurl'), '-plaintext', '-d', REQUEST, at, CHECK), /"okResponse"/);
    for (const [what, args] of [['20 000 calls, 50 at once', ['-n', '20000', '-c', '50']], ['over 10 connections', ['-n', '20000', '-c', '50', '--connections', '10']]] as const) {
      expect(`ghz: ${what}`, said(join(bin, 'ghz'), '--insecure', '--call', CHECK.replace('/', '.'), '-d', REQUEST, ...args, at), /\[OK\]\s+20000 responses/);
    }
    expect('h2load: 50 000 calls', said('h2load', '-n', '50000', '-c', '4', '-m', '32', '-H', 'content-type: application/grpc', '-H', 'te: trailers', '-d', frame, `http://${at}/${CHECK}`), /50000 succeeded, 0 failed/);
    expect('curl is told that this is gRPC', said('curl', '-s', '--http2-prior-knowledge', '-w', ' %{http_code}', `http://${at}/`), /gRPC[^]* 415$/);
  } finally {
    await server.terminate();
  }
}
