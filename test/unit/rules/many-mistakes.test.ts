/** A config with tens of thousands of mistakes: each is looked at once, and the first 200 are shown. */
import { expect, test } from 'vitest';
import { z } from 'zod';
import { Findings } from '../../../src/yaml/findings.ts';
import { type MapEntry, type Node, plain } from '../../../src/yaml/nodes.ts';
import { parsedBy } from '../../../src/yaml/schema-findings.ts';
import { SourceText } from '../../../src/yaml/source-text.ts';

const COUNT = 20_000;
const source = new SourceText('p.yaml', 'x'.repeat(10 * COUNT));
let places = 0;
const place = (): Node['place'] => ({ source, start: 3 * places++, end: 3 * places });
const scalar = (value: string | number): Node => ({
  kind: 'scalar',
  place: place(),
  value,
  written: '',
  style: 'plain',
});

/** Counts how often it is gone through. */
class CountedMap extends Map<string, MapEntry> {
  static walks = 0;
  override values(): MapIterator<MapEntry> {
    CountedMap.walks += 1;
    return super.values();
  }
  override keys(): MapIterator<string> {
    CountedMap.walks += 1;
    return super.keys();
  }
}

const mapOf = (members: readonly (readonly [string, Node])[]): Node => ({
  kind: 'map',
  place: place(),
  entries: new CountedMap(members.map(([key, value]) => [key, { key, keyPlace: place(), value }])),
});
const many = <T>(make: (at: number) => T): T[] => Array.from({ length: COUNT }, (_, at) => make(at));

test.each([
  [
    'unknown keys',
    z.strictObject({ a: z.string() }),
    () => mapOf([['a', scalar('x')], ...many((at) => [`k${at}`, scalar('x')] as const)]),
  ],
  [
    'wrong values',
    z.strictObject({ a: z.array(z.string()) }),
    () => mapOf([['a', { kind: 'list', place: place(), items: many(scalar) }]]),
  ],
  [
    'items that lack a key',
    z.array(z.strictObject({ a: z.string(), b: z.string() })),
    (): Node => ({ kind: 'list', place: place(), items: many(() => mapOf([['a', scalar('x')]])) }),
  ],
])('%s', (_, schema, make) => {
  places = 0;
  const node = make();
  const value = plain(node);
  const findings = new Findings();
  CountedMap.walks = 0;
  expect(parsedBy(schema, value, node, 'RULES_CONFIG', 'config', findings)).toBe(undefined);
  expect(CountedMap.walks).toBeLessThan(20);
  const found = findings.sorted([]);
  expect(found.length).toBe(201);
  expect(found.filter(({ message }) => message === `config: ${COUNT - 200} more values or keys are wrong`).length).toBe(
    1,
  );
});
