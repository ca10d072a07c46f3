/** Odd files: every way in which YAML can write a value, and ways that it does not allow. */
import type { Random } from './random.ts';

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

const quoted = (text: string): string => JSON.stringify(text).replaceAll('\\ud83d\\ude00', '😀');
const single = (text: string): string => `'${text.replaceAll("'", "''")}'`;

class OddFile {
  readonly #random: Random;
  /** Most oddities make a file invalid; some files must load, too. */
  readonly #isTame: boolean;
  #anchors: string[] = [];
  #mapAnchors: string[] = [];

  constructor(random: Random) {
    this.#random = random;
    this.#isTame = !random.chance(5);
  }

  text(words: readonly string[]): string {
    const random = this.#random;
    const word = random.one(words);
    if (this.#isTame && !random.chance(8))
      return word === '' || /^[*{#&-]|: |[1.]5|1e3|null|~/.test(word) ? quoted(word) : word;
    switch (random.below(14)) {
      case 0:
        return single(word);
      case 1:
      case 2:
        return quoted(word);
      case 3:
        return `!!str ${word === '' ? '""' : quoted(word)}`;
      case 4:
        return random.one([
          '!!binary eA==',
          '!!binary "eHk="',
          '!!binary x',
          '! x',
          '!local x',
          '!!str 5',
          '!!int 5',
          '!!int x',
          '!!float 3',
          '!!null x',
          '!!bool yes',
          '!!timestamp 2001-1-1',
          '!!timestamp x',
          '!<tag:yaml.org,2002:int> 7',
        ]);
      case 5:
        return this.#alias() ?? word;
      case 6: {
        const name = `s${this.#anchors.length}`;
        this.#anchors.push(name);
        return `&${name} ${word === '' ? '""' : quoted(word)}`;
      }
      default:
        return word;
    }
  }

  number(): string {
    const random = this.#random;
    if (this.#isTame)
      return random.one([
        '0x1F',
        '0o17',
        '017',
        '0b101',
        '1_000',
        '+5',
        '-0',
        '4294967295',
        '0X1f',
        '0O7',
        '0B11',
        '+0x2',
        '0x_1',
        '1__0',
        '1_',
        '0',
        '00',
        'null',
        '~',
        '',
        '!!int "7"',
        '!!int 0x7',
        '1 # c\n',
        '1',
        '2',
        '3',
        '4',
        '5',
      ]);
    return random.chance(3)
      ? random.one([
          '0x1F',
          '0o17',
          '017',
          '0b101',
          '1_000',
          '+5',
          '-0',
          '08',
          '1e2',
          '1.0',
          '4294967295',
          '4294967296',
          '9223372036854775808',
          '18446744073709551615',
          '18446744073709551616',
          '"5"',
          '-1',
          '0X1f',
          '0O7',
          '0B11',
          '-0b11',
          '+0x2',
          '0x_1',
          '1__0',
          '_1',
          '1_',
          '0b-1',
          '0b2',
          '0o8',
          'null',
          '~',
          'Null',
          '',
          '.5',
          '5.',
          '0',
          '00',
          '190:20:30',
          '!!int "7"',
          '!!int 0x7',
          '!!float 7',
          '!!str 7',
          'yes',
          '[]',
          '{}',
          '1 # c',
          '1#c',
        ])
      : String(random.below(9));
  }

  flag(): string {
    if (this.#isTame)
      return this.#random.one([
        'true',
        'false',
        'yes',
        'no',
        'on',
        'Off',
        'y',
        'N',
        'TRUE',
        'True',
        'null',
        '~',
        '',
        '!!bool true',
        '!!bool "on"',
      ]);
    return this.#random.one([
      'true',
      'false',
      'yes',
      'no',
      'on',
      'Off',
      'y',
      'N',
      'TRUE',
      'True',
      'null',
      '~',
      '',
      '"true"',
      '1',
      '!!bool true',
      '!!bool "on"',
      'tRUE',
      'YeS',
    ]);
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
        this.#alias() ?? 'x',
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
        `{ ${unit}, requests_per_unit: ${this.number()}, name: ${random.one(['one', 'two', '1', '""'])}${random.chance(4) ? ', replaces: [{name: two3}, {name: 4}]' : ''}${this.#mergeIn()} }`,
      );
    }
    const parts = [
      ...(random.chance(9)
        ? []
        : [
            `unit: ${random.one(['second', 'minute', 'hour', 'day', 'week', 'month', 'year', 'MINUTE', 'Day', '"hour"', 'unknown', 'foo', '', 'weeks', '!!str day'].slice(0, random.chance(4) ? 15 : 10))}`,
          ]),
      ...(random.chance(12) ? [] : [`requests_per_unit: ${this.number()}`]),
      ...(random.chance(8) ? [`unlimited: ${this.flag()}`] : []),
      ...(random.chance(5) ? [`name: ${this.text(['one', 'two', '', '1', 'yes'])}`] : []),
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
          `key: ${this.text(KEYS)}`,
          ...(random.chance(3) ? [] : [`value: ${this.text(VALUES)}`]),
          ...(random.chance(4) ? [] : [`rate_limit: ${this.limit()}`]),
          ...(random.chance(12) ? [`shadow_mode: ${this.flag()}`] : []),
          ...(random.chance(12) ? [`quota_mode: ${this.flag()}`] : []),
          ...(random.chance(8) ? [`detailed_metric: ${this.flag()}`] : []),
          ...(random.chance(5) ? [`value_to_metric: ${this.flag()}`] : []),
          ...(random.chance(6) ? [`share_threshold: ${this.flag()}`] : []),
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
      `domain: ${random.chance(20) ? this.text(['d', 'e', '', '1', 'yes']) : 'd'}`,
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

  #alias(): string | undefined {
    return this.#anchors.length === 0 ? undefined : `*${this.#random.one(this.#anchors)}`;
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

/** Replaces, inserts or removes a byte. */
function broken(text: string, random: Random): string {
  let broken = text;
  for (let times = random.one([1, 1, 2]); times > 0; times--) {
    const at = random.below(broken.length);
    const put = random.one([
      ' ',
      '\t',
      '\n',
      ':',
      '-',
      '#',
      ',',
      '{',
      '}',
      '[',
      ']',
      '"',
      "'",
      '|',
      '>',
      '&',
      '*',
      '!',
      '%',
      '@',
      '`',
      '?',
      '\r',
      '\r\n',
      'x',
      '\u0085',
      ': ',
      '- ',
      ' #',
      '\\',
      '\u0001',
      '\u007f',
      '\u00a0',
      '|\n',
    ]);
    broken = broken.slice(0, at) + (random.chance(4) ? '' : put) + broken.slice(at + random.below(2));
  }
  return broken;
}

/** Encodes the file in an encoding of YAML, or in none of them. */
export function oddFile(random: Random): Uint8Array {
  const whole = new OddFile(random).whole();
  const text = random.chance(5) ? broken(whole, random) : whole;
  if (text.startsWith('\uFEFF')) return Buffer.from(text);
  switch (random.below(40)) {
    case 0:
      return Buffer.concat([Buffer.from([0xff, 0xfe]), Buffer.from(text, 'utf16le')]);
    case 1:
      return Buffer.concat([Buffer.from([0xfe, 0xff]), Buffer.from(text, 'utf16le').swap16()]);
    case 2:
      return Buffer.from(text, 'latin1');
    case 3:
      return Buffer.from(`\uFEFF${text}`);
    case 4:
      return Buffer.from(text, 'utf16le');
    case 5:
      return Buffer.from(text.replaceAll('\n', '\r\n'));
    case 6:
      return Buffer.from(text.replaceAll('\n', '\r'));
    default:
      return Buffer.from(text);
  }
}
