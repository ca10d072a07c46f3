/** Node's own modules in a bundle: loaded on first use, and never less than Node has. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { rolldown } from 'rolldown';
import { expect, onTestFinished, test } from 'vitest';
import { builtinsWhenUsed } from '../../../scripts/builtins-in-bundle.ts';

/** The output of a program, bundled from these files; the first is its entry point. */
async function bundled(files: Readonly<Record<string, string>>): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-bundle-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  const bundle = await rolldown({
    input: join(folder, Object.keys(files)[0] ?? ''),
    platform: 'node',
    plugins: [builtinsWhenUsed(/never/)],
    onLog: () => undefined,
  });
  await bundle.write({ file: join(folder, 'out.mjs'), codeSplitting: false });
  const { stdout, stderr } = spawnSync(process.execPath, [join(folder, 'out.mjs')], { encoding: 'utf8' });
  expect(stderr).toBe('');
  return stdout.trim();
}

const PRINT_LOADED = `console.log(process.moduleLoadList.includes('NativeModule tls'));\n`;

test('require() gets functions without loading, and whatever else it asks for', async () => {
  const library = `
    const { connect } = require('tls');
    ${PRINT_LOADED}
    const tls = require('node:tls');
    console.log(typeof connect, typeof tls.TLSSocket, tls.TLSSocket === process.getBuiltinModule('tls').TLSSocket,
      tls.DEFAULT_MIN_VERSION, 'TLSSocket' in tls, Object.keys(tls).includes('Server'), tls.nothing);
    class Own extends tls.TLSSocket {}
    console.log(typeof Own.prototype.getPeerCertificate);
  `;
  expect(await bundled({ 'main.js': `import './library.cjs';`, 'library.cjs': library })).toBe(
    'false\nfunction function true TLSv1.2 true true undefined\nfunction',
  );
});

test('classes, objects and functions have what Node gives them', async () => {
  const main = `
    import https, { Agent, globalAgent } from 'node:https';
    import { constants, crc32 } from 'node:zlib';
    import { exec } from 'node:child_process';
    import { promisify } from 'node:util';
    const agent = new Agent({ keepAlive: true });
    class Own extends Agent { own() { return this.keepAlive; } }
    const own = new Own({ keepAlive: true });
    console.log(agent instanceof Agent, agent instanceof process.getBuiltinModule('https').Agent, own instanceof Agent, own.own());
    console.log(Object.hasOwn(Agent, 'prototype'), Object.keys(Agent).length, { ...Agent });
    console.log(typeof Agent.prototype.createConnection, https.Agent === process.getBuiltinModule('https').Agent);
    console.log(globalAgent instanceof Agent, 'Z_FINISH' in constants, { ...constants }.Z_FINISH, Object.keys(constants).length > 50);
    console.log(crc32('a'), Object.keys(await promisify(exec)('true')).join());
  `;
  expect(await bundled({ 'main.js': main })).toBe(
    'true true true true\ntrue 0 {}\nfunction true\ntrue true 4 true\n3904355907 stdout,stderr',
  );
});

test('a class that is not on the list, and a name that Node lacks, stop the build', async () => {
  await expect(bundled({ 'main.js': `import { TLSSocket } from 'node:tls'; console.log(TLSSocket);` })).rejects.toThrow(
    /TLSSocket/,
  );
  await expect(bundled({ 'main.js': `import { nothing } from 'node:zlib'; console.log(nothing);` })).rejects.toThrow(
    /nothing/,
  );
  await expect(bundled({ 'main.js': `import * as tls from 'node:tls'; console.log(tls.TLSSocket);` })).rejects.toThrow(
    /TLSSocket/,
  );
});
