/** Odd files: every way in which YAML can write a value, and ways that it does not allow. */
import { oddBytes } from './odd-bytes.ts';
import { OddScalars } from './odd-scalars.ts';
import type { Random } from '../../test/parts/random.ts';

export interface Ask {
  readonly Domain: string;
  readonly Entries: readonly (readonly [string, string])[];
}

const KEYS = ['a', 'b', 'c', 'a_b', 'k*', '*', 'a*c', '1', 'yes', '0x10', 'a b', 'é'];
const VALUES = [
  '',
  'x',
  'y',
  'x*',
  '*x',
  'x*y',
  '*',
  'x*y*z',
  'x_y',
  '10',
  'yes',
  '1.5',
  '0x10',
  '2001-01-01',
  'a:b',
  '{',
  '#',
  'x #y',
  'null',
  '~',
  'é',
  '😀',
  'a.b',
  '1_000',
  '1e3',
  '-',
];
const VALUES_ASKED = [
  '',
  'x',
  'y',
  'xx',
  'xay',
  'x1y2z',
  'x*',
  'yes',
  '10',
  '16',
  '0x10',
  'x_y',
  '1.5',
  'null',
  '~',
  'é',
  '😀',
  '2001-01-01',
  'hello',
];
const KEYS_ASKED = ['a', 'b', 'c', 'a_b', 'key', 'k*', 'abc', '1', 'yes', '0x10', 'a b', 'é', 'z'];

export const oddAsks = (random: Random): readonly Ask[] =>
  Array.from({ length: 24 }, () => ({
    Domain: random.chance(12) ? 'e' : 'd',
    Entries: random.list([1, 1, 1, 2, 2, 3], () => [random.one(KEYS_ASKED), random.one(VALUES_ASKED)] as const),
  }));

class OddFile {
  readonly #random: Random;
  /** Most oddities make a file invalid; some files must load, too. */
  readonly #isTame: boolean;
  readonly #scalars: OddScalars;
  readonly #mapAnchors: string[] = [];

  constructor(random: Random) {
    this.#random = random;
    this.#isTame = !random.chance(5);
    this.#scalars = new OddScalars(random, this.#isTame);
  }

  metadata(depth = 0): string {
    const random = this.#random;
    if (depth > 2 || !random.chance(3)) {
      return random.one([
        '1',
        '0x10',
        '1.5',
        '1e6',
        '1e21',
        '.5',
        '-1.5e-7',
        '.inf',
        '-.Inf',
        '.nan',
        'true',
        'no',
        'null',
        '~',
        '2001-01-01',
        '2001-01-01T00:00:00Z',
        '2001-1-1 1:1:1',
        '12:30:45',
        '!!binary eA==',
        '!!binary /w==',
        'x',
        '"5"',
        '""',
        '18446744073709551615',
        '9007199254740993',
        '1_0',
        '!x y',
        'é',
        '!!set {}',
        '<<',
        '=',
        this.#scalars.alias() ?? 'x',
      ]);
    }
    if (random.chance(3)) return `[${random.list([0, 1, 2, 3], () => this.metadata(depth + 1)).join(', ')}]`;
    return this.#withAnchor(
      `{${random.list([0, 1, 2, 3], () => `${random.one(['a', 'b', '"c"', '1', '0x10', '1.5', '1e6', 'yes', 'null', '~', '2001-01-01', '"<<"', 'é', '!!binary eA==', '? [x]', '1e21', '-0', '""', '.inf', '18446744073709551615', '__proto__'])} : ${this.metadata(depth + 1)}`).join(', ')}${this.#mergeIn()}}`,
    );
  }

  limit(): string {
    const random = this.#random;
    if (random.chance(this.#isTame ? 200 : 30))
      return random.one(['null', 'Null', 'NULL', '~', '', '[]', '{}', 'x', '"null"', this.#mapAlias() ?? '{}']);
    if (this.#isTame && !random.chance(6)) {
      const unit = random.one([
        'unlimited: yes',
        'unlimited: true, unit: foo',
        'unit: day',
        'unit: MINUTE',
        'unit: Week',
        'unit: month',
        'unit: !!str year',
        'unit: "hour"',
      ]);
      return this.#withAnchor(
        `{ ${unit}, requests_per_unit: ${this.#scalars.number()}, name: ${random.one(['one', 'two', '1', '""'])}${random.chance(4) ? ', replaces: [{name: two3}, {name: 4}]' : ''}${this.#mergeIn()} }`,
      );
    }
    const parts = [
      ...(random.chance(9)
        ? []
        : [
            `unit: ${random.one(['second', 'minute', 'hour', 'day', 'week', 'month', 'year', 'MINUTE', 'Day', '"hour"', 'unknown', 'foo', '', 'weeks', '!!str day'].slice(0, random.chance(4) ? 15 : 10))}`,
          ]),
      ...(random.chance(12) ? [] : [`requests_per_unit: ${this.#scalars.number()}`]),
      ...(random.chance(8) ? [`unlimited: ${this.#scalars.flag()}`] : []),
      ...(random.chance(5) ? [`name: ${this.#scalars.text(['one', 'two', '', '1', 'yes'])}`] : []),
      ...(random.chance(6)
        ? [
            `replaces: ${random.one(['[{name: two}]', '[{name: one}, {name: three}]', '[]', 'null', '[{}]', '[{name: ""}]', '{}', 'x', '[{name: 1}]', '[x]', '[null]', '[{name: two, unit: 3}]'])}`,
          ]
        : []),
      ...(random.chance(20) ? ['requests_per_unit: 3'] : []),
      ...(random.chance(25)
        ? [
            random.one([
              'shadow_mode: true',
              'domain: x',
              'descriptors: []',
              'metadata: {a: 1.5}',
              'key: 1.5',
              'nope: 1',
              '1: 2',
              'yes: 1',
              'null: 1',
            ]),
          ]
        : []),
    ];
    if (random.chance(2)) parts.sort(() => random.below(3) - 1);
    return this.#withAnchor(`{ ${parts.join(', ')}${this.#mergeIn()} }`);
  }

  descriptors(depth: number, indent: string): string {
    const random = this.#random;
    return random
      .list(depth === 0 ? [1, 2, 3, 4] : [0, 1, 2], () => {
        if (random.chance(this.#isTame ? 400 : 60))
          return `${indent}- ${random.one(['null', 'x', '[]', '{}', '1', '"a"', this.#mapAlias() ?? '{}'])}\n`;
        const lines = [
          `key: ${this.#scalars.text(KEYS)}`,
          ...(random.chance(3) ? [] : [`value: ${this.#scalars.text(VALUES)}`]),
          ...(random.chance(4) ? [] : [`rate_limit: ${this.limit()}`]),
          ...(random.chance(12) ? [`shadow_mode: ${this.#scalars.flag()}`] : []),
          ...(random.chance(12) ? [`quota_mode: ${this.#scalars.flag()}`] : []),
          ...(random.chance(8) ? [`detailed_metric: ${this.#scalars.flag()}`] : []),
          ...(random.chance(5) ? [`value_to_metric: ${this.#scalars.flag()}`] : []),
          ...(random.chance(6) ? [`share_threshold: ${this.#scalars.flag()}`] : []),
          ...(random.chance(5)
            ? [
                `metadata: ${random.chance(8) ? random.one(['null', '[]', 'x', '{}', '~', 'Null', '""']) : this.metadata(0).replace(/^(?!&|\{|\[|\*)(.*)$/s, '{m: $1}')}`,
              ]
            : []),
          ...(random.chance(this.#isTame ? 60 : 30)
            ? [
                random.one([
                  'rate_limit: {requests_per_unit: 2}',
                  'rate_limit: null',
                  'rate_limit: NULL',
                  'value: q',
                  'metadata: {z: 1}',
                  'descriptors: []',
                  'unit: day',
                  'nope: 1',
                  'descriptors: null',
                ]),
              ]
            : []),
          ...(random.chance(15) && this.#mapAnchors.length > 0 ? [`<<: *${random.one(this.#mapAnchors)}`] : []),
        ];
        if (random.chance(3)) lines.sort(() => random.below(3) - 1);
        const below = depth < 2 && random.chance(2) ? this.descriptors(depth + 1, `${indent}    `) : '';
        if (below !== '') lines.push(`descriptors:\n${below.replace(/\n$/, '')}`);
        const anchor = random.chance(15)
          ? `&m${this.#mapAnchors.push(`m${this.#mapAnchors.length}`) - 1}\n${indent}  `
          : '';
        return `${indent}- ${anchor}${lines.join(`\n${indent}  `)}\n`;
      })
      .join('');
  }

  whole(): string {
    const random = this.#random;
    const body = [
      `domain: ${random.chance(20) ? this.#scalars.text(['d', 'e', '', '1', 'yes']) : 'd'}`,
      `descriptors:\n${this.descriptors(0, random.chance(3) ? '' : '  ')}`.replace(/\n$/, ''),
    ];
    if (random.chance(10))
      body.push(
        random.one([
          'domain: d',
          'descriptors: []',
          'descriptors:',
          'unit: x',
          '<<: {domain: d}',
          '? domain\n: d',
          '"domain": d',
          'key: {value: [{unit: {name: 5}}]}',
        ]),
      );
    if (random.chance(6)) body.reverse();
    let text = `${body.join('\n')}\n`;
    if (random.chance(8))
      text = `${random.one(['---\n', '# c\n', '%YAML 1.1\n---\n', '\n\n', '--- # c\n', '\uFEFF', '%TAG !e! tag:x,2000:\n---\n', '...\n', '---\n---\n'])}${text}`;
    if (random.chance(8))
      text = `${text}${random.one(['---\ndomain: e\n', '...\n', '---\n', '...\n---\nx: [\n', '# end', '--- x', '---\n: : :\n\t', '... # c\n', '...\nx: y\n'])}`;
    return text;
  }

  #mapAlias(): string | undefined {
    return this.#mapAnchors.length === 0 ? undefined : `*${this.#random.one(this.#mapAnchors)}`;
  }

  #withAnchor(map: string): string {
    if (!this.#random.chance(8)) return map;
    this.#mapAnchors.push(`m${this.#mapAnchors.length}`);
    return `&${this.#mapAnchors.at(-1) ?? ''} ${map}`;
  }

  #mergeIn(): string {
    if (!this.#random.chance(8) || this.#mapAnchors.length === 0) return '';
    const name = this.#random.one(this.#mapAnchors);
    return this.#random.one([
      `, <<: *${name}`,
      `, <<: [*${name}, {requests_per_unit: 4}]`,
      ', <<: {unit: day}',
      `, "<<": *${name}`,
      ', <<: x',
      `, !!merge <<: *${name}`,
      `, ? <<\n : *${name}`,
    ]);
  }
}

export const oddFile = (random: Random): Uint8Array => oddBytes(new OddFile(random).whole(), random);
