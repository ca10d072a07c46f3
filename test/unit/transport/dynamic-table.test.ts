/** The dynamic table beside a list of its entries, by random inserts, sizes and lookups. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { DynamicTable, TABLE_BYTES } from '../../../src/transport/h2/dynamic-table.ts';
import { kindOf } from '../../../src/transport/h2/field.ts';
import { Random } from '../../parts/random.ts';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;
const sizeOf = ([name, value]: readonly [string, string]): number => name.length + value.length + 32;

test('entries are found by their index until newer ones need their room', () => {
  const random = new Random(11);
  const table = new DynamicTable();
  let listed: (readonly [name: string, value: string])[] = []; // newest first
  let limit = TABLE_BYTES;
  const evict = (room: number): void => {
    while (listed.reduce((sum, entry) => sum + sizeOf(entry), 0) > room && listed.length > 0)
      listed = listed.slice(0, -1);
  };
  for (let step = 0; step < 20_000; step++) {
    const lot = random.below(100);
    if (lot === 0) table.resize((limit = random.below(4) === 0 ? random.below(TABLE_BYTES + 1) : TABLE_BYTES));
    if (lot === 0) evict(limit);
    else if (lot < 60) {
      const name = `x-${random.below(40)}`;
      const length = random.below(50) === 0 ? random.below(5000) : random.below(random.below(3) === 0 ? 400 : 20);
      // Few values, so that names come again with the same one.
      const value = String.fromCharCode(97 + random.below(3)).repeat(length);
      const bytes = Buffer.from(`..${value}.`);
      table.insert(name, kindOf(name), bytes, 2, 2 + length, false);
      bytes.fill(0);
      evict(limit - sizeOf([name, value]));
      if (sizeOf([name, value]) <= limit) listed = [[name, value], ...listed];
    } else {
      const index = random.below(listed.length + 3);
      const field = table.at(index);
      expect(field && [field.name, field.value], `step ${step}`).toEqual(index === 0 ? undefined : listed[index - 1]);
    }
  }
});

test('entries of the same name and value that affect a request share a field once it was read', () => {
  const table = new DynamicTable();
  const insert = (value: string): void =>
    table.insert('content-type', kindOf('content-type'), Buffer.from(value), 0, value.length, false);
  insert('envoy');
  const first = table.at(1);
  insert('other');
  insert('envoy');
  expect(table.at(1)).toBe(first);
  expect(table.at(2)?.value).toBe('other');
  insert('envoy');
  expect(table.at(1)?.value).toBe('envoy');
});

test.each([
  ['names', (at: number) => [`:${long(at)}`, ''] as const], // kinds whose last field is remembered
  ['values', (at: number) => [`:x-${at}`, long(at)] as const],
])('evicted entries with long %s leave no memory in use', (_, entryOf) => {
  const TABLES = 60;
  const tables = Array.from({ length: TABLES }, () => new DynamicTable());
  const usedBytes = (): number => {
    collectGarbage();
    collectGarbage(); // buffers are freed beside the first
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    return heapUsed + arrayBuffers;
  };
  const before = usedBytes();
  for (const table of tables)
    for (let at = 0; at < 130; at++) {
      const [name, value] = entryOf(at);
      table.insert(name, kindOf(name), Buffer.from(value), 0, value.length, false);
      table.at(1);
    }
  expect((usedBytes() - before) / TABLES).toBeLessThan(8 * TABLE_BYTES);
  expect(tables.map((table) => table.at(2))).toEqual(tables.map(() => undefined)); // one entry fills a table
});

/** Its own characters, not a view of others'. */
const long = (at: number): string => Buffer.from(`${at}-`.padEnd(3900, 'n')).toString('latin1');
