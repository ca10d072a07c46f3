/** `npm run h2spec`: h2spec (generic, http2, hpack) against our own HTTP/2 server. h2spec is built with Go into .cache. */
import { spawn } from 'node:child_process';
import { listen } from '../src/transport/index.ts';
import { viewOf } from '../src/transport/byte-range.ts';
import { goTool } from './go-tool.ts';

const h2spec = goTool('h2spec', 'github.com/summerwind/h2spec/cmd/h2spec@v2.2.1+incompatible');
const transport = await listen(new Map([['/t.T/Echo', { kind: 'unary', handle: viewOf }]]), {
  host: '127.0.0.1',
  port: 0,
  maxMessageBytes: 64 * 1024,
  onFault: (_path, error) => {
    throw error;
  },
});
const child = spawn(h2spec, ['-h', '127.0.0.1', '-p', String(transport.port), '-o', '3', 'generic', 'http2', 'hpack'], {
  stdio: 'inherit',
});
child.on('exit', (code) => void transport.drain(0).then(() => process.exit(code ?? 1)));
