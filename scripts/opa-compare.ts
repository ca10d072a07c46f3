/**
 * `npm run opa:compare`: asks OPA's plugin for Envoy, with the Rego of docs/how-to/from-opa.md, and Sluice, with the rules beside it, about
 * the same calls. Fails where one of them answers otherwise than the table says; both columns differ where the page says that they do.
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startServer } from '../src/serve/policy/server.ts';
import { SILENT } from '../src/log/log.ts';
import { startChild, untilReady } from '../test/parts/child.ts';
import { fencedBlocks } from '../test/parts/fenced-blocks.ts';
import { freePort } from '../test/parts/free-port.ts';
import { opaProgram } from '../test/parts/opa.ts';
import { peerClient } from '../test/e2e/peer-client.ts';

const EDITOR = 'spiffe://cluster.local/ns/web/sa/editor';
const READER = 'spiffe://cluster.local/ns/web/sa/reader';

interface Asked {
  readonly method: string;
  readonly path: string;
  readonly principal?: string;
  /** In `content-length`, and in the size that Envoy sends beside it. */
  readonly size?: number;
}

/** Whether OPA allows a call, and Sluice does. */
const CALLS: readonly (readonly [Asked, opa: boolean, sluice: boolean])[] = [
  [{ method: 'GET', path: '/books/1' }, true, true],
  [{ method: 'GET', path: '/books/1?page=2' }, true, true],
  [{ method: 'GET', path: '/books' }, false, false],
  [{ method: 'HEAD', path: '/books/1' }, false, false],
  [{ method: 'GET', path: '/admin' }, false, false],
  [{ method: 'DELETE', path: '/books/1', principal: EDITOR }, false, false],
  [{ method: 'POST', path: '/books', principal: EDITOR, size: 10 }, true, true],
  [{ method: 'POST', path: '/books', principal: EDITOR, size: 9999 }, true, true],
  [{ method: 'POST', path: '/books', principal: EDITOR, size: 10_000 }, false, false],
  [{ method: 'POST', path: '/books', principal: READER, size: 10 }, false, false],
  [{ method: 'POST', path: '/books', size: 10 }, false, false],
  [{ method: 'POST', path: '/books', principal: EDITOR }, false, false],
  [{ method: 'POST', path: '/books/', principal: EDITOR, size: 10 }, false, false],
  // The path of OPA is as the client sent it.
  [{ method: 'GET', path: '/books/../admin' }, true, false],
  [{ method: 'GET', path: '/books/%2e%2e/admin' }, true, false],
  [{ method: 'GET', path: '//books/1' }, false, true],
  [{ method: 'POST', path: '/books?draft=true', principal: EDITOR, size: 10 }, false, true],
];

const blocks = fencedBlocks('how-to/from-opa.md');
const textOf = (language: string, title: string): string => {
  const block = blocks.find((one) => one.language === language && one.title === title);
  if (block === undefined) throw new Error(`docs/how-to/from-opa.md has no block ${language} ${title}`);
  return block.text;
};

const folder = await mkdtemp(join(tmpdir(), 'sluice-opa-'));
await using stack = new AsyncDisposableStack();
stack.defer(() => rm(folder, { recursive: true }));
const [rego, policy] = [join(folder, 'policy.rego'), join(folder, 'policy')];
await mkdir(policy);
await writeFile(rego, textOf('rego', ''));
await writeFile(join(policy, 'policy.yaml'), textOf('yaml', 'policy.yaml'));

const [port, admin] = [await freePort(), await freePort()];
const opa = startChild(await opaProgram(), [
  'run',
  '--server',
  `--addr=127.0.0.1:${admin}`,
  '--log-level=error',
  `--set=plugins.envoy_ext_authz_grpc.addr=127.0.0.1:${port}`,
  '--set=plugins.envoy_ext_authz_grpc.path=envoy/authz/allow',
  rego,
]);
stack.defer(() => opa.stop());
await untilReady('OPA', opa, async () => (await fetch(`http://127.0.0.1:${admin}/health?plugins`)).ok);
const sluice = await startServer({
  configs: [policy],
  watch: false,
  graceMs: 1000,
  log: SILENT,
  grpc: { host: '127.0.0.1', port: 0 },
  admin: { host: '127.0.0.1', port: 0 },
});
stack.defer(() => sluice.drain());
const peers = [`127.0.0.1:${port}`, `127.0.0.1:${sluice.grpcPort}`].map(peerClient);
stack.defer(() => {
  for (const peer of peers) peer.close();
});

let wrong = 0;
for (const [{ method, path, principal, size }, ...expected] of CALLS) {
  const headers = size === undefined ? {} : { 'content-length': String(size) };
  const allowed = await Promise.all(
    peers.map(async (peer) => {
      const answer = await peer.check({ method, path, size: size ?? -1, headers }, 5000, principal);
      return (answer.status?.code ?? 0) === 0;
    }),
  );
  const isRight = allowed.every((one, at) => one === expected[at]);
  if (!isRight) wrong++;
  const shown = (is: boolean | undefined): string => (is === true ? 'allow' : 'deny');
  console.log(
    `${isRight ? 'as expected' : 'WRONG      '}  OPA ${shown(allowed[0])}  Sluice ${shown(allowed[1])}  ${method} ${path} ${principal ?? ''} ${size ?? ''}`,
  );
}
console.log(`${CALLS.length - wrong} of ${CALLS.length} calls are answered as the table says`);
process.exitCode = wrong === 0 ? 0 : 1;
