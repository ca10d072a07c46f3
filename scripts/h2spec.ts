/**
 * h2spec (generic, http2, hpack) against our own HTTP/2. It builds h2spec with Go, into .cache. `npm run h2spec`.
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { listen } from '../src/transport/index.ts';

const bin = resolve('.cache/go/bin');
if (!existsSync(join(bin, 'h2spec'))) {
  const { status, error } = spawnSync('go', ['install', 'github.com/summerwind/h2spec/cmd/h2spec@v2.2.1'], { stdio: 'inherit', env: { ...process.env, GOBIN: bin } });
  if (error !== undefined || status !== 0) throw new Error('h2spec could not be built; it needs Go in the PATH', { cause: error });
}
const transport = await listen(new Map([['/t.T/Echo', { kind: 'unary', handle: (request) => request }]]), {
  host: '127.0.0.1', port: 0, maxMessageBytes: 64 * 1024, onFault: (_path, error) => { throw error; },
});
const child = spawn(join(bin, 'h2spec'), ['-h', '127.0.0.1', '-p', String(transport.port), '-o', '3', 'generic', 'http2', 'hpack'], { stdio: 'inherit' });
child.on('exit', (code) => void transport.drain(0).then(() => process.exit(code ?? 1)));
