/**
 * Cost of TLS in a check: Sluice and grpc-js (with the same engine) over TLS, with load by h2load (nghttp2), which repeats the same
 * headers. `node bench/tls.ts [SECONDS]` needs h2load, openssl and taskset.
 */
import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { mustBeInstalled } from '../scripts/installed.ts';
import { checkRequest, framed } from './check-request.ts';
import { startOnCore } from './process.ts';

const POLICY = 'bench/policy/three-rules.yaml';
const READY = /gRPC\s+\S*?127\.0\.0\.1:(\d+)/;
mustBeInstalled('h2load', 'nghttp2 (Debian: nghttp2-client)');
mustBeInstalled('openssl', 'OpenSSL');
const seconds = Number(process.argv[2] ?? 4);
const folder = await mkdtemp(join(tmpdir(), 'sluice-bench-'));
const [cert, key, frame] = ['cert.pem', 'key.pem', 'frame'].map((name) => join(folder, name)) as [
  string,
  string,
  string,
];
await writeFile(frame, framed(checkRequest()));
execFileSync(
  'openssl',
  [
    'req',
    '-x509',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:prime256v1',
    '-nodes',
    '-keyout',
    key,
    '-out',
    cert,
    '-days',
    '1',
    '-subj',
    '/CN=localhost',
  ],
  { stdio: 'ignore' },
);
const serve = [
  'src/cli/bin.ts',
  'serve',
  POLICY,
  '--grpc',
  '127.0.0.1:0',
  '--admin',
  '127.0.0.1:0',
  '--log-level',
  'warn',
];
const servers = [
  { name: 'sluice, cleartext', scheme: 'http', running: await startOnCore(0, serve, READY) },
  {
    name: 'sluice, TLS',
    scheme: 'https',
    running: await startOnCore(0, [...serve, '--tls-cert', cert, '--tls-key', key], READY),
  },
  {
    name: 'sluice on grpc-js, TLS',
    scheme: 'https',
    running: await startOnCore(0, ['bench/grpc-js-server.ts', POLICY, cert, key], READY),
  },
];
try {
  console.log('| server, connections x calls at once | requests/s | CPU us/call |\n|---|---|---|');
  for (const [connections, streams] of [
    [4, 16],
    [1, 1],
    [1, 64],
  ] as const) {
    for (const { name, scheme, running } of servers) {
      const before = running.cpuUs();
      const printed = execFileSync(
        'taskset',
        [
          '-c',
          '1',
          'h2load',
          '-c',
          String(connections),
          '-m',
          String(streams),
          '-D',
          String(seconds),
          '-H',
          'content-type: application/grpc',
          '-H',
          'te: trailers',
          '-d',
          frame,
          `${scheme}://127.0.0.1:${running.match[1]}/envoy.service.auth.v3.Authorization/Check`,
        ],
        { encoding: 'utf8' },
      );
      const [, total, succeeded] = /requests: (\d+) total, .* (\d+) succeeded/.exec(printed) ?? [];
      const done = Number(/(\d+) done/.exec(printed)?.[1]);
      if (done !== Number(succeeded) || Number(total) === 0) throw new Error(printed);
      if (connections !== 4)
        console.log(
          `| ${name} ${connections}x${streams} | ${Math.round(done / seconds)} | ${((running.cpuUs() - before) / done).toFixed(1)} |`,
        ); // the first run is the warm-up
    }
  }
} finally {
  for (const { running } of servers) await running.stop();
  await rm(folder, { recursive: true });
}
