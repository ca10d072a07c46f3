/** What is said of a path that leads to no policy, or to what no policy should be read from. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { loadBuiltIns } from '../../../src/adapters/loading/built-in.ts';
import { loadPolicy } from '../../../src/core/rules/load.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sluice-paths-'));
  mkdirSync(join(folder, 'notes'));
  writeFileSync(join(folder, 'notes/policy.txt'), 'rules: []\n');
  mkdirSync(join(folder, 'none'));
  writeFileSync(join(folder, 'none/policy.yaml'), '# no rule yet\n');
  mkdirSync(join(folder, 'pipes'));
  execFileSync('mkfifo', [join(folder, 'pipes/policy.yaml')]);
  for (const [name, bytes] of [
    ['utf-16', Buffer.from('\ufeffrules: []\n', 'utf16le')],
    ['utf-16-without-mark', Buffer.from('rules: []\n', 'utf16le')],
    ['latin-1', Buffer.from('rules:\n  - name: caf\u00e9\n', 'latin1')],
    ['binary', Buffer.from([0x7f, 0x45, 0x4c, 0x46, 0, 0])],
    ['bom', Buffer.from('\ufeffrules:\r\n  - { name: a, deny: {} }\r\n')],
    ['cr', Buffer.from('rules:\r  - { name: a, deny: {} }\r')],
  ] as const)
    writeFileSync(join(folder, `${name}.yaml`), bytes);
  mkdirSync(join(folder, 'log'));
  writeFileSync(join(folder, 'log/a.yaml'), 'rules: [{ name: a, deny: {} }]\n');
  writeFileSync(join(folder, 'log/x.yaml'), '');
  truncateSync(join(folder, 'log/x.yaml'), 2 * 1024 ** 3);
  mkdirSync(join(folder, 'huge'));
  writeFileSync(join(folder, 'sixty.txt'), Buffer.alloc(60 * 1024 ** 2, '#'));
  for (const name of ['a', 'b', 'c', 'd', 'e']) symlinkSync('../sixty.txt', join(folder, `huge/${name}.yaml`));
  symlinkSync('/dev/zero', join(folder, 'zero.yaml'));
  mkdirSync(join(folder, 'folder.yaml'));
  writeFileSync(join(folder, 'folder.yaml/a.yaml'), 'rules: [{ name: a, deny: {} }]\n');
  mkdirSync(join(folder, 'many'));
  for (let at = 0; at <= 10_000; at++) writeFileSync(join(folder, `many/${at}.yaml`), '');
  // Each folder is reached on two ways: by the last, on a million.
  for (let at = 0; at < 20; at++) {
    mkdirSync(join(folder, `links/${at}`), { recursive: true });
    for (const way of ['one', 'two']) symlinkSync(`../${at + 1}`, join(folder, `links/${at}/${way}`));
  }
  mkdirSync(join(folder, 'links/20'));
  mkdirSync(join(folder, 'back'));
  writeFileSync(join(folder, 'back/a.yaml'), 'rules: [{ name: a, deny: {} }]\n');
  symlinkSync('.', join(folder, 'back/up.yaml'));
  writeFileSync(
    join(folder, 'value.yaml'),
    'handlers: { h: { adapter: quota-redis, config: { url: { $file: pipes/policy.yaml } } } }\nrules: [{ name: a, quota: { handler: h, limit: 1, per: 1m, key: [] } }]\n',
  );
  symlinkSync('b.yaml', join(folder, 'a.yaml'));
  symlinkSync('a.yaml', join(folder, 'b.yaml'));
});
afterAll(() => rmSync(folder, { recursive: true }));

const said = async (path: string): Promise<string[]> =>
  (await loadPolicy([join(folder, path)], { adapters: await loadBuiltIns(), env: {} })).findings.map(
    ({ code, message }) => `${code} ${message.replaceAll(folder, 'FOLDER')}`,
  );

test.each<[path: string, ...said: string[]]>([
  ['notes', 'RULES_NO_RULES no file of this folder ends in .yaml or .yml; only such files are read'],
  ['none', 'RULES_NO_RULES the policy has no rule; write at least one under rules:'],
  ['a.yaml', 'RULES_FILE_UNREADABLE cannot be read: its symbolic links lead back to it'],
  ['pipes', 'RULES_FILE_UNREADABLE cannot be read: it is a named pipe; write a file, or name a folder of files'],
  ['utf-16.yaml', 'RULES_FILE_UNREADABLE cannot be read: it is UTF-16 text; save it as UTF-8'],
  [
    'utf-16-without-mark.yaml',
    'RULES_FILE_UNREADABLE cannot be read: it has NUL bytes, so it is no text, or one in UTF-16; save it as UTF-8',
  ],
  [
    'binary.yaml',
    'RULES_FILE_UNREADABLE cannot be read: it has NUL bytes, so it is no text, or one in UTF-16; save it as UTF-8',
  ],
  ['latin-1.yaml', 'RULES_FILE_UNREADABLE cannot be read: it is not UTF-8 text (line 2); save it as UTF-8'],
  ['bom.yaml'],
  ['cr.yaml', 'RULES_YAML this is not valid YAML: its lines end with CR alone; save the file with LF or CRLF'],
  [
    'log',
    'RULES_FILE_UNREADABLE cannot be read: it has 2048 MiB, more than the 64 that are read; divide it, or move it out of the folder',
  ],
  [
    'huge',
    'RULES_FILE_UNREADABLE a policy has at most 256 MiB, and this is beyond; name the folder of the policy alone',
  ],
  ['zero.yaml', 'RULES_FILE_UNREADABLE cannot be read: it is a device or a socket; write a file'],
  ['folder.yaml'],
  [
    'many',
    'RULES_FILE_UNREADABLE a policy has at most 10 000 files, and this is beyond; name the folder of the policy alone',
  ],
  [
    'links',
    'RULES_FILE_UNREADABLE a policy has at most 10 000 folders, and this is beyond; name the folder of the policy alone',
  ],
  ['back'],
  [
    'value.yaml',
    'RULES_CONFIG_FILE FOLDER/pipes/policy.yaml cannot be read: it is a named pipe; write a file, or name a folder of files',
  ],
  ['away', 'RULES_FILE_UNREADABLE cannot be read: no such file or folder'],
])('%s', async (path, ...expected) => {
  expect(await said(path)).toEqual(expected);
});
