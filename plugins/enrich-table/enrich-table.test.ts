import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { eventually, openForTest, testAdapter, testCall } from 'sluice/plugin/testing';
import adapter from './adapter.ts';
import { parseCsv } from './csv.ts';

const folder = mkdtempSync(join(tmpdir(), 'enrich-table-'));
afterAll(() => rmSync(folder, { recursive: true }));
const file = (name: string, text: string): string => {
  writeFileSync(join(folder, name), text);
  return name;
};

const columns = {
  plan: 'string',
  limit: 'int',
  share: 'double',
  active: 'bool',
  since: 'timestamp',
  wait: 'duration',
  from: 'ip',
};
const HEADER = 'tenant,plan,limit,share,active,since,wait,from,note';
file(
  'tenants.csv',
  `\uFEFF${HEADER}\r\nacme,"gold, and more",3,0.5,true,2026-01-31T12:00:00Z,1m30s,10.0.0.1,x\r\nsmall,,,,,,,,\r\n\r\n`,
);
const bad = (name: string, row: string): string => file(name, `${HEADER}\nok,a,1,1,true,,,,\n${row}\n`);
const acme = {
  plan: 'gold, and more',
  limit: 3,
  share: 0.5,
  active: true,
  since: new Date('2026-01-31T12:00:00Z'),
  wait: 90_000,
  from: '10.0.0.1',
};

testAdapter(adapter, {
  runner: { describe, test },
  in: ['process', 'protocol', 'worker', 'grpc'],
  module: new URL('./adapter.ts', import.meta.url),
  folder,
  config: { file: 'tenants.csv', key: 'tenant', columns },
  badConfigs: [
    {
      config: { file: 'tenants.txt', key: 'tenant', columns },
      says: /format: the extension of tenants\.txt is unknown; set the format/,
    },
    { config: { file: 'tenants.csv', key: 'tenant', columns: { plan: 'text' } }, says: /columns\.plan/ },
    { config: { file: 'tenants.csv', key: 'tenant', columns: {} }, says: /expected at least one column/ },
    { config: { file: 'missing.csv', key: 'tenant', columns }, says: /missing\.csv cannot be read: ENOENT/ },
    {
      config: { file: 'tenants.csv', key: 'id', columns: { plna: 'string' } },
      says: /line 1: the header has no column id, plna; it has tenant, plan/,
    },
    {
      config: { file: bad('int.csv', 'b,a,1.5,1,true,,,,'), key: 'tenant', columns },
      says: /int\.csv: line 3, limit: expected a whole number within 2\^53, found "1\.5"/,
    },
    {
      config: { file: bad('twice.csv', 'ok,a,1,1,true,,,,'), key: 'tenant', columns },
      says: /line 3: duplicate key "ok"/,
    },
    {
      config: { file: bad('short.csv', 'b,a'), key: 'tenant', columns },
      says: /line 3: 2 fields, but the header has 9/,
    },
    { config: { file: bad('quote.csv', 'b,"a'), key: 'tenant', columns }, says: /line 3: a quote is not closed/ },
    {
      config: { file: bad('after.csv', 'b,"a"x,,,,,,,'), key: 'tenant', columns },
      says: /line 3: expected a comma or the line's end after the closing quote/,
    },
    {
      config: { file: 'tenants.constructor', key: 'tenant', columns },
      says: /format: the extension of tenants\.constructor is unknown/,
    },
    {
      config: { file: bad('bool.csv', 'b,a,1,1,constructor,,,,'), key: 'tenant', columns },
      says: /line 3, active: expected true or false, found "constructor"/,
    },
    { config: { file: file('empty.csv', ''), key: 'tenant', columns }, says: /empty\.csv: it is empty/ },
    {
      config: { file: 'tenants.csv', maxFileBytes: 20, key: 'tenant', columns },
      says: /it has \d+ bytes; at most 20 are read/,
    },
    {
      config: { file: bad('nokey.csv', ',a,1,1,true,,,,'), key: 'tenant', columns },
      says: /line 3: the key "tenant" is empty/,
    },
    {
      config: { file: bad('time.csv', 'b,,,,,2026-01-31T12:00:00,,,'), key: 'tenant', columns },
      says: /since: expected a time like/,
    },
    {
      config: { file: bad('ip.csv', 'b,,,,,,,10.0.0,'), key: 'tenant', columns },
      says: /from: expected an IP address, found "10\.0\.0"/,
    },
    { config: { file: file('bad.json', '{"a":'), key: 'tenant', columns }, says: /bad\.json: .*JSON/ },
    {
      config: { file: file('scalar.yaml', '3'), key: 'tenant', columns },
      says: /expected a list of rows, or a map from keys to rows/,
    },
  ],
  enrich: {
    known: [
      { input: { key: 'acme' }, output: acme },
      { input: { key: 'small' }, output: {} },
    ],
    unknown: [{ key: 'nobody' }, { key: '' }, { key: 'ACME' }, { key: 'constructor' }],
  },
});

async function table(config: unknown) {
  const opened = await openForTest(adapter, { config, folder });
  const lookup = opened.handler.lookup?.({ rule: 'r', params: undefined });
  return { ...opened, find: (key: string) => lookup?.({ key }, testCall()) };
}

describe('enrich-table', () => {
  test('answers at once', async () => {
    expect((await table({ file: 'tenants.csv', key: 'tenant', columns })).find('acme')).toEqual(acme);
  });

  const written = {
    'list.json': JSON.stringify([
      { tenant: 'acme', plan: 'gold', limit: 3 },
      { tenant: 7, limit: '4' },
    ]),
    'map.json': JSON.stringify({ acme: { plan: 'gold', limit: 3 }, 7: { limit: 4 } }),
    'list.yaml': '- { tenant: acme, plan: gold, limit: 3 }\n- { tenant: 7, limit: 4 }\n',
    'map.yml': 'acme: { plan: gold, limit: 3 }\n7: { limit: 4 }\n',
  };
  for (const [name, text] of Object.entries(written)) {
    test(`rows of ${name}`, async () => {
      const { find } = await table({
        file: file(name, text),
        key: 'tenant',
        columns: { plan: 'string', limit: 'int' },
      });
      expect([find('acme'), find('7'), find('x')]).toEqual([{ plan: 'gold', limit: 3 }, { limit: 4 }, undefined]);
    });
  }

  test('an empty cell is absent in a column named like an inherited property', async () => {
    const { find } = await table({
      file: file('names.csv', 'id,constructor,valueOf\na,,x\n'),
      key: 'id',
      columns: { constructor: 'string', valueOf: 'string' },
    });
    const row = find('a') as Readonly<Record<string, unknown>>;
    expect([row['constructor'], row['valueOf'], row['toString']]).toEqual([undefined, 'x', undefined]);
  });

  test('a changed file is read again; an invalid one keeps the rows', async () => {
    file('watched.csv', 'id,n\na,1\n');
    const { find, readiness, close } = await table({ file: 'watched.csv', key: 'id', columns: { n: 'int' } });
    expect(find('a')).toEqual({ n: 1 });
    file('watched.csv', 'id,n\na,x\n');
    await eventually(() => expect(readiness().why).toMatch(/line 2, n: expected a whole number/));
    expect(find('a')).toEqual({ n: 1 });
    file('watched.csv', 'id,n\na,2\n');
    await eventually(() => expect(find('a')).toEqual({ n: 2 }));
    expect(readiness().ready).toBe(true);
    await close();
  });
});

describe('csv', () => {
  test('text written as in RFC 4180 is read back', () => {
    const cell = fc.string({ unit: fc.constantFrom('a', ',', '"', '\n', '\r', ' ', 'ü') });
    return fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(cell, { minLength: 2, maxLength: 4 }), { minLength: 1, maxLength: 5 }),
        fc.constantFrom('\n', '\r\n'),
        fc.boolean(),
        async (rows, end, isEnded) => {
          const text =
            rows
              .map((row) => row.map((one) => (/[",\r\n]/.test(one) ? `"${one.replaceAll('"', '""')}"` : one)).join(','))
              .join(end) + (isEnded ? end : '');
          expect((await parseCsv(text, () => undefined)).map(({ fields }) => fields)).toEqual(rows);
        },
      ),
      { numRuns: 500 },
    );
  });

  test('lines are counted through quotes and empty lines', async () => {
    expect((await parseCsv('a,b\n\n"x\ny",1\nlast,2', () => undefined)).map(({ line }) => line)).toEqual([1, 3, 5]);
  });
});
