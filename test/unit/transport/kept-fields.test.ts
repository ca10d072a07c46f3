/** Decoded fields do not change when the buffer of their block is reused. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { HpackDecoder } from '../../../src/transport/h2/hpack-decoder.ts';
import { Random } from '../../parts/random.ts';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

/** A literal without indexing, or with, whose name is new: lengths up to 16 383. */
const text = (value: string): number[] => {
  const bytes = [...Buffer.from(value, 'latin1')];
  if (bytes.length < 127) return [bytes.length, ...bytes];
  const rest = bytes.length - 127;
  return [127, ...(rest < 128 ? [rest] : [(rest & 127) | 128, rest >> 7]), ...bytes];
};

test('fields keep their values, short and long, however many come after them', () => {
  const random = new Random(7);
  const decoder = new HpackDecoder(65_536);
  const names = Array.from({ length: 20 }, (_, n) => `x-name-${n}`);
  const kept: {
    readonly fields: { name: string; value: string }[];
    readonly said: readonly (readonly [string, string])[];
  }[] = [];
  for (let block = 0; block < 300; block++) {
    const said = Array.from({ length: 1 + random.below(6) }, (): [string, string] => [
      names[random.below(names.length)] as string,
      String.fromCharCode(97 + random.below(26)).repeat(random.below(4) === 0 ? random.below(900) : random.below(60)),
    ]);
    // A Buffer, whose own slice() would be a view.
    const bytes = Buffer.from(
      said.flatMap(([name, value]) => [random.below(2) === 0 ? 0x00 : 0x40, ...text(name), ...text(value)]),
    );
    kept.push({ said, fields: decoder.decode(bytes, 0, bytes.length) ?? [] });
    bytes.fill(0xff);
  }
  for (const { fields, said } of kept) expect(fields.map(({ name, value }) => [name, value])).toEqual(said);
});

test('a long value takes a byte of the heap for each character once it was read', () => {
  const LENGTH = 3000;
  const bytes = Buffer.from([0x00, ...text('x-long'), ...text('v'.repeat(LENGTH))]);
  const decoder = new HpackDecoder(65_536);
  const values = Array.from({ length: 500 }, () => '');
  collectGarbage();
  const before = process.memoryUsage().heapUsed;
  for (let at = 0; at < values.length; at++) values[at] = decoder.decode(bytes, 0, bytes.length)?.[0]?.value ?? '';
  collectGarbage();
  expect((process.memoryUsage().heapUsed - before) / values.length).toBeLessThan(2 * LENGTH);
  expect(values.at(-1)).toBe('v'.repeat(LENGTH));
});
