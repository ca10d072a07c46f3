import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Lines } from '../../../src/kubernetes/lines.ts';
import { ListItems } from '../../../src/kubernetes/list-items.ts';

const chunksOf = (text: string, sizes: readonly number[]): Buffer[] => {
  const bytes = Buffer.from(text);
  const chunks: Buffer[] = [];
  for (let at = 0, n = 0; at < bytes.length; n++) {
    const size = sizes[n % sizes.length] ?? 1;
    chunks.push(bytes.subarray(at, at + size));
    at += size;
  }
  return chunks;
};
const sizes = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 10 });
const object = fc.dictionary(fc.string({ unit: 'binary' }), fc.jsonValue(), { maxKeys: 4 });

test('items are those that JSON.parse finds, however the list is cut into chunks', () => {
  fc.assert(
    fc.property(
      fc.array(object),
      object,
      fc.boolean(),
      fc.constantFrom(0, 2),
      sizes,
      (items, metadata, isFirst, indent, cuts) => {
        const list = isFirst ? { items, metadata } : { metadata, kind: 'items', other: [[1], { items: [2] }], items };
        const divider = new ListItems(1_000_000, () => undefined);
        const found: unknown[] = [];
        for (const chunk of chunksOf(JSON.stringify(list, null, indent), cuts))
          for (const item of divider.take(chunk)) found.push(JSON.parse(item));
        expect(found).toEqual(JSON.parse(JSON.stringify(items)));
        expect(divider.end()).toEqual(JSON.parse(JSON.stringify({ ...list, items: [] })));
      },
    ),
  );
});

test('a list that is cut off anywhere is refused', () => {
  const text = '{"kind":"PodList","metadata":{"resourceVersion":"7"},"items":[{"a":"}]"},{"b":{"c":[1]}}]}';
  for (let length = 0; length < text.length; length++) {
    const divider = new ListItems(1000, () => undefined);
    for (const _ of divider.take(Buffer.from(text.slice(0, length)))); // as the caller does
    expect(() => divider.end(), text.slice(0, length)).toThrow(/not whole JSON/);
  }
});

test('an item over the bound is skipped, and those beside it are found', () => {
  let oversized = 0;
  const divider = new ListItems(20, () => oversized++);
  const text = JSON.stringify({ items: [{ a: 1 }, { b: 'x'.repeat(100) }, { c: 1 }, { d: 'y'.repeat(19) }, { e: 1 }] });
  const found = chunksOf(text, [7]).flatMap((chunk) => [...divider.take(chunk)]);
  expect(found).toEqual(['{"a":1}', '{"c":1}', '{"e":1}']);
  expect(oversized).toBe(2);
});

test('lines are found however they are cut, without the last one if it has no end', () => {
  fc.assert(
    fc.property(fc.array(fc.string({ unit: 'binary' })), sizes, (texts, cuts) => {
      const lines = texts.map((text) => JSON.stringify(text));
      const divider = new Lines(100_000, () => undefined);
      const found = chunksOf(`${lines.join('\n')}\n{"half":`, cuts).flatMap((chunk) => [...divider.take(chunk)]);
      expect(found).toEqual(lines);
    }),
  );
});

test('a line over the bound is skipped, also one without end', () => {
  let oversized = 0;
  const divider = new Lines(10, () => oversized++);
  const found = chunksOf(`1\n${'x'.repeat(50)}\n22\n${'y'.repeat(11)}\n3\n${'z'.repeat(1000)}`, [4]).flatMap(
    (chunk) => [...divider.take(chunk)],
  );
  expect(found).toEqual(['1', '22', '3']);
  expect(oversized).toBe(2);
});
