import { appendFileSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { type CheckAnswer, Rejected } from 'sluice/plugin';
import { eventually, openForTest, testAdapter, testCall } from 'sluice/plugin/testing';
import adapter from './adapter.ts';
import { parseNetwork } from './list.ts';

const folder = mkdtempSync(join(tmpdir(), 'check-list-'));
afterAll(() => rmSync(folder, { recursive: true }));
writeFileSync(join(folder, 'bad.txt'), '10.0.0.0/8\n\nnonsense\n');
writeFileSync(join(folder, 'commented.txt'), '# of Berlin\n10.0.0.0/8 # office\n');
writeFileSync(join(folder, 'empty.txt'), '\n');
writeFileSync(join(folder, 'large.txt'), 'x'.repeat(200));

testAdapter(adapter, {
  runner: { describe, test },
  in: ['process', 'protocol', 'worker', 'grpc'],
  module: new URL('./adapter.ts', import.meta.url),
  folder,
  config: { kind: 'cidr', values: ['10.0.0.0/8', 'fd00::/8', '192.0.2.1'] },
  badConfigs: [
    { config: {}, says: /expected values, a file or a url/ },
    { config: { kind: 'cidr', values: ['10.0.0.0/33'] }, says: /prefix length of 0 to 32/ },
    { config: { kind: 'cidr', values: ['office'] }, says: /"office" is not a network/ },
    { config: { kind: 'regex', values: ['(a'] }, says: /"\(a" is not an RE2 pattern/ },
    { config: { kind: 'regex', values: [String.raw`(a)\1`] }, says: /is not an RE2 pattern/ },
    {
      config: { kind: 'host', values: ['example.com:80'] },
      says: /"example\.com:80" is not a host; expected a name like shop\.example\.com or \*\.example\.com, without a port/,
    },
    { config: { kind: 'host', values: ['a.*.com'] }, says: /is not a host/ },
    {
      config: { kind: 'regex', values: ['(a?){500}(a{500})$'], maxLength: 60_000 },
      says: /the patterns have \d+ instructions, too many for values of 60000 characters; set maxLength to at most \d+/,
    },
    {
      config: { kind: 'cidr', file: 'commented.txt' },
      says: /commented\.txt: line 2: "10\.0\.0\.0\/8 # office" has a comment after the value; write comments on separate lines/,
    },
    { config: { file: 'empty.txt' }, says: /empty\.txt: it is empty; if that is intended, write a comment into it/ },
    {
      config: { file: 'large.txt', maxFileBytes: 100 },
      says: /large\.txt cannot be read: it has 200 bytes; at most 100 are read/,
    },
    { config: { file: '.' }, says: /cannot be read: it is not a file/ },
    { config: { kind: 'cidr', file: 'bad.txt' }, says: /bad\.txt: line 3: "nonsense" is not a network/ },
    { config: { file: 'missing.txt' }, says: /missing\.txt cannot be read: ENOENT/ },
  ],
  check: {
    allowed: [{ value: '10.1.2.3' }, { value: 'fd12::1' }, { value: '192.0.2.1' }, { value: '::ffff:10.0.0.1' }],
    denied: [{ value: '11.0.0.0' }, { value: 'fe80::1' }, { value: '192.0.2.2' }],
  },
});

async function listed(config: unknown, params?: unknown) {
  const opened = await openForTest(adapter, { config, folder });
  const check = opened.handler.check?.({ rule: 'r', params });
  const ask = (value: string): CheckAnswer => check?.({ value }, testCall()) as CheckAnswer;
  return { ...opened, ask, has: (value: string): boolean => ask(value).kind === 'allow' };
}

describe('check-list', () => {
  test('strings match with or without case', async () => {
    const exact = await listed({ values: ['Ann'] });
    expect([exact.has('Ann'), exact.has('ann'), exact.has('Anna')]).toEqual([true, false, false]);
    const folded = await listed({ values: ['Ann'], ignoreCase: true });
    expect([folded.has('ANN'), folded.has('bob')]).toEqual([true, false]);
  });

  test('prefixes match, including nested ones', async () => {
    const { has } = await listed({ kind: 'prefix', values: ['/a', '/a/b', '/c/', 'ä'] });
    expect(['/a', '/a/z', '/ab', '/c/d', 'äh'].map(has)).toEqual([true, true, true, true, true]);
    expect(['/', '/c', '/b', '', 'a'].map(has)).toEqual([false, false, false, false, false]);
  });

  test('the search for prefixes agrees with trying each', () => {
    const text = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), minLength: 1, maxLength: 4 });
    return fc.assert(
      fc.asyncProperty(fc.array(text, { minLength: 1, maxLength: 8 }), text, async (values, value) => {
        const { has } = await listed({ kind: 'prefix', values });
        expect(has(value)).toBe(values.some((prefix) => value.startsWith(prefix)));
      }),
    );
  });

  test('patterns match anywhere, with or without case', async () => {
    const { has } = await listed({ kind: 'regex', values: ['^/v[0-9]+/', 'admin$'] });
    expect([has('/v2/x'), has('the-admin'), has('/vx/'), has('admins')]).toEqual([true, true, false, false]);
    expect((await listed({ kind: 'regex', values: ['^bot'], ignoreCase: true })).has('BOTx')).toBe(true);
  });

  test('a pattern that would stall a backtracking engine is answered at once', async () => {
    const { has } = await listed({ kind: 'regex', values: ['^(a+)+$'], maxLength: 100_000 });
    expect(has(`${'a'.repeat(20_000)}!`)).toBe(false);
  });

  test('hosts match regardless of case, port and trailing dot', async () => {
    const { has } = await listed({
      kind: 'host',
      values: ['Admin.example.com', '*.shop.example.com', '[2001:DB8::1]', '[::ffff:c000:201]'],
    });
    expect(
      [
        'admin.example.com',
        'ADMIN.EXAMPLE.COM',
        'admin.example.com:8443',
        'admin.example.com.',
        'admin.example.com.:80',
        'a.shop.example.com',
        'A.B.SHOP.example.com:80',
        '[2001:db8::1]:80',
        '[2001:db8:0:0::0001]',
        '192.0.2.1:80',
        '[::ffff:192.0.2.1]',
        '[::FFFF:C000:201]:80',
      ].filter((host) => !has(host)),
    ).toEqual([]);
    expect(
      [
        'shop.example.com',
        '.shop.example.com',
        'xshop.example.com',
        'example.com',
        'admin.example.com.evil',
        '[2001:db8::2]',
        '192.0.2.2',
      ].filter(has),
    ).toEqual([]);
    for (const text of ['', ':80', '2001:db8::1', 'user@admin.example.com', '%61dmin.example.com', '[2001:db8::1]x'])
      expect(() => has(text), text).toThrow(`"${text}" names no host`);
  });

  test('a value too long for patterns fails', async () => {
    for (const params of [{ blocks: true }, { blocks: false }]) {
      const { ask } = await listed({ kind: 'regex', values: ['^bot'], maxLength: 10 }, params);
      expect(ask('0123456789').kind).toBe(params.blocks ? 'allow' : 'deny');
      expect(() => ask('01234567890')).toThrow(Rejected);
      expect(() => ask('01234567890')).toThrow(
        'the value has 11 characters; at most 10 are matched with patterns (maxLength)',
      );
    }
    const { ask } = await listed({ kind: 'cidr', values: ['10.0.0.0/8'] });
    expect(() => ask('x'.repeat(50_000))).toThrow(/^"x{200}\.\.\." is not an IP address$/);
  });

  test('a rule may override blocks, and the reason tells', async () => {
    const { ask } = await listed({ values: ['ann'] }, { blocks: true });
    expect(ask('ann')).toMatchObject({ kind: 'deny', code: 7, reason: 'ann is on the list' });
    expect(ask('bob').kind).toBe('allow');
    const other = await listed({ values: ['ann'], blocks: true }, { blocks: false });
    expect(other.ask('bob')).toMatchObject({ kind: 'deny', reason: 'bob is not on the list' });
  });

  test('a value that is no address fails on a list of networks', async () => {
    for (const params of [{ blocks: true }, { blocks: false }]) {
      const { ask } = await listed({ kind: 'cidr', values: ['10.0.0.0/8'] }, params);
      for (const value of ['', '10.0.0.1:80', 'fe80::1%eth0', '10.0.0.256']) expect(() => ask(value)).toThrow(Rejected);
    }
  });
});

describe.concurrent('a file that changes', () => {
  test('a changed file is read again; an invalid one keeps the last good list and makes the handler not ready', async () => {
    const file = join(folder, 'offices.txt');
    writeFileSync(file, '# offices\n10.0.0.0/8\r\n\n');
    const { has, logged, metrics, readiness, close } = await listed({
      kind: 'cidr',
      file: 'offices.txt',
      values: ['192.0.2.1'],
    });
    expect([has('10.0.0.1'), has('192.0.2.1'), has('172.16.0.1')]).toEqual([true, true, false]);

    writeFileSync(`${file}.new`, '172.16.0.0/12\n'); // replaced by a rename, as editors do
    renameSync(`${file}.new`, file);
    await eventually(() => expect([has('172.16.0.1'), has('10.0.0.1'), has('192.0.2.1')]).toEqual([true, false, true]));

    writeFileSync(file, '172.16.0.0/12\nnonsense\n');
    await eventually(() =>
      expect(readiness().why).toMatch(/offices\.txt: line 2: "nonsense" is not a network.*last good/),
    );
    expect(has('172.16.0.1')).toBe(true);
    expect(logged.filter(({ level }) => level === 'warn')).toHaveLength(1);
    expect(await metrics()).toContain('sluice_plugin_bad_file_total{handler="tested"} 1');

    rmSync(file);
    await eventually(() => expect(readiness().why).toMatch(/ENOENT/));
    expect(has('172.16.0.1')).toBe(true);

    writeFileSync(file, '10.0.0.0/8\n');
    await eventually(() => expect([has('10.0.0.1'), readiness().ready]).toEqual([true, true]));
    await close();
  }, 30_000);

  test('is read only after the last write', async () => {
    const file = join(folder, 'growing.txt');
    writeFileSync(file, 'ann\n');
    const { has, logged, close } = await listed({ file: 'growing.txt' });
    writeFileSync(file, 'bob\n');
    for (let line = 0; line < 30; line += 1) {
      appendFileSync(file, `user-${line}\n`);
      await sleep(100);
      expect([has('ann'), has('bob')]).toEqual([true, false]);
    }
    appendFileSync(file, 'last\n');
    await eventually(() => expect([has('ann'), has('bob'), has('last')]).toEqual([false, true, true]));
    expect(logged.map(({ message }) => message)).toEqual(['watched file changed and was read']);
    await close();
  }, 30_000);

  test('keeps the last good list when it becomes empty, huge, a folder or unreadable, with one log line for each problem and its end', async () => {
    const file = join(folder, 'trouble.txt');
    writeFileSync(file, 'ann\n');
    const { has, logged, readiness, close } = await listed({ file: 'trouble.txt', maxFileBytes: 1000 });
    const turnsBad = async (why: RegExp): Promise<void> => {
      await eventually(() =>
        expect(readiness()).toMatchObject({ ready: false, why: expect.stringMatching(why) as unknown }),
      );
      expect(has('ann')).toBe(true);
    };
    writeFileSync(file, '');
    await turnsBad(/it is empty.*its last good content stays in use/);
    writeFileSync(file, 'x'.repeat(2000));
    await turnsBad(/it has 2000 bytes; at most 1000 are read/);
    rmSync(file);
    mkdirSync(file);
    await turnsBad(/it is not a file/);
    rmSync(file, { recursive: true });
    await turnsBad(/ENOENT/);
    writeFileSync(file, 'ann\n');
    await eventually(() => expect(readiness().ready).toBe(true));
    expect(logged.map(({ level, message }) => `${level} ${message}`)).toEqual([
      ...Array.from({ length: 4 }, () => 'warn watched file is invalid; its last good content stays in use'),
      'info watched file is valid again and was read',
    ]);
    await close();
  }, 60_000);
});

describe('networks', () => {
  test.each([
    ['::ffff:10.0.0.0/64', '96 to 128'],
    ['10.0.0.0/8/8', 'not a network'],
    ['10.0.0.0/', '0 to 32'],
    ['fd00::/129', '0 to 128'],
    ['10.0.0', 'not a network'],
  ])('%s is refused', (network, reason) => {
    expect(() => parseNetwork(network)).toThrow(reason);
  });
});
