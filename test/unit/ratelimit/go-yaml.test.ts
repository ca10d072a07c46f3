/** Files as yaml.v2 reads them. The expected results are from envoyproxy/ratelimit's own reader (f2fb157, yaml.v2 2.4.0). */
import { describe, expect, test } from 'vitest';
import { fileText } from '../../../src/ratelimit/config/file-text.ts';
import { readConfigs } from '../../../src/ratelimit/config/read.ts';
import { configDump } from '../../../src/ratelimit/config/config-dump.ts';

const readOctets = (octets: Uint8Array) => {
  const { domains, findings } = readConfigs([fileText('f', octets)], { mergeDomains: false });
  return {
    domains,
    said: findings.map(
      ({ position: { line, column }, severity, code, message }) => `${line}:${column} ${severity} ${code} ${message}`,
    ),
    errors: findings.filter(({ severity }) => severity === 'error').map(({ message }) => message),
    loads: configDump(domains)
      .replaceAll(/ requests_per_unit=|, shadow_mode: false, quota_mode: false/g, ' ')
      .replaceAll('unit=', '')
      .trimEnd()
      .split('\n')
      .map((line) => line.trimEnd()),
  };
};
const read = (text: string) => readOctets(Buffer.from(text));
const withLimit = (limit: string, more = ''): string =>
  `domain: d\ndescriptors:\n  - key: k\n    rate_limit: { unit: day, ${limit} }\n${more}`;

describe('whole numbers', () => {
  test.each([
    ['0x1F', 31],
    ['0X1f', 31],
    ['0x_1', 1],
    ['+0x2', 2],
    ['0o17', 15],
    ['0O7', 7],
    ['017', 15],
    ['0b101', 5],
    ['0B11', 3],
    ['1_000', 1000],
    ['1__0', 10],
    ['1_', 1],
    ['+5', 5],
    ['-0', 0],
    ['00', 0],
    ['4294967295', 4_294_967_295],
    ['!!int "7"', 7],
    ['!!int 0x7', 7],
    ['null', 0],
    ['~', 0],
    ['', 0],
  ])('requests_per_unit: %s is %d', (written, expected) => {
    const { errors, loads } = read(withLimit(`requests_per_unit: ${written}`));
    expect(errors).toEqual([]);
    expect(loads).toEqual([`d.k: DAY ${expected}`]);
  });

  test.each([
    '08',
    '1e2',
    '1.0',
    '4294967296',
    '9223372036854775808',
    '18446744073709551616',
    '"5"',
    '-1',
    '-0b11',
    '_1',
    '0b2',
    '0o8',
    '.5',
    '5.',
    '190:20:30',
    '!!float 7',
    '!!str 7',
    'yes',
    '[]',
    '{}',
    '0b-1',
  ])('requests_per_unit: %s is refused', (written) => {
    expect(read(withLimit(`requests_per_unit: ${written}`)).errors).toHaveLength(1);
  });
});

describe('text', () => {
  test.each([
    ['yes', 'yes'],
    ['0x10', '0x10'],
    ['2001-01-01', '2001-01-01'],
    ['2001-01-01T00:00:00Z', '2001-01-01T00:00:00Z'],
    ['!!binary eA==', 'x'],
    ['!!str 5', '5'],
    ['! x', 'x'],
    ['!local x', 'x'],
    ['!!timestamp 2001-1-1', '2001-1-1'],
    ['"~"', '~'],
    ['12:30:45', '12:30:45'],
    ['<<', '<<'],
    ['=', '='],
    ['1e999', '1e999'],
    ['"one\n two"', 'one two'],
    ['"one\ntwo"', 'one two'],
    ['&a x', 'x'],
  ])('value: %s is %s', (written, expected) => {
    const { errors, domains } = read(`domain: d\ndescriptors:\n  - key: k\n    value: ${written}\n`);
    expect(errors).toEqual([]);
    expect([...(domains.get('d')?.children.keys() ?? [])]).toEqual([`k_${expected}`]);
  });

  test.each([['null'], ['~'], ['NULL'], [''], ['!!null ""']])('value: %s is null', (written) => {
    expect([
      ...(read(`domain: d\ndescriptors:\n  - key: k\n    value: ${written}\n`).domains.get('d')?.children.keys() ?? []),
    ]).toEqual(['k']);
  });

  test.each([
    ['1.5'],
    ['.5'],
    ['1e3'],
    ['.inf'],
    ['18446744073709551615'],
    ['!!int x'],
    ['!!timestamp x'],
    ['!!null x'],
    ['!!binary x'],
    ['!!bool x'],
    ['[x]'],
    ['{key: x}'],
    ['*nowhere'],
    ['"\\ud800"'],
  ])('value: %s is refused', (written) => {
    expect(read(`domain: d\ndescriptors:\n  - key: k\n    value: ${written}\n`).errors).toHaveLength(1);
  });
});

describe('aliases and merge keys', () => {
  const file = (second: string): string =>
    `domain: d\ndescriptors:\n  - key: a\n    rate_limit: &one { unit: day, requests_per_unit: 5 }\n  - key: b\n    rate_limit: ${second}\n`;
  test.each([
    ['an alias', '*one', 'd.b: DAY 5'],
    ['a merge', '{ <<: *one }', 'd.b: DAY 5'],
    ['a key after it takes its place', '{ <<: *one, requests_per_unit: 7 }', 'd.b: DAY 7'],
    ['it takes the place of a key before it', '{ requests_per_unit: 7, <<: *one }', 'd.b: DAY 5'],
    ['the first of a list wins', '{ <<: [ { requests_per_unit: 1 }, *one ] }', 'd.b: DAY 1'],
  ])('%s', (_name, second, expected) => {
    const { errors, loads } = read(file(second));
    expect(errors).toEqual([]);
    expect(loads).toEqual(['d.a: DAY 5', expected]);
  });

  test('a merge key brings whole descriptors', () => {
    const { errors, loads } = read(
      'domain: d\ndescriptors:\n  - &one\n    key: a\n    rate_limit: { unit: day, requests_per_unit: 5 }\n  - <<: *one\n    key: b\n  - key: c\n    descriptors: [ *one ]\n',
    );
    expect(errors).toEqual([]);
    expect(loads).toEqual(['d.a: DAY 5', 'd.b: DAY 5', 'd.c.a: DAY 5']);
  });

  test.each([
    ['an anchor that is nowhere', file('*two'), "error loading config file: yaml: unknown anchor 'two' referenced"],
    [
      'an anchor within itself',
      'domain: d\ndescriptors: &a [ { key: k, descriptors: *a } ]\n',
      "error loading config file: yaml: anchor 'a' value contains itself",
    ],
    [
      'a merge of no map',
      file('{ <<: 5 }'),
      'error loading config file: yaml: map merge requires map or sequence of maps as the value',
    ],
    [
      'few lines for billions',
      `domain: d\ndescriptors:\n${Array.from({ length: 9 }, (_, at) => `  - &m${at}\n    key: k${at}\n    descriptors: [${at === 0 ? '{key: x}' : Array.from({ length: 9 }, () => `*m${at - 1}`).join(', ')}]\n`).join('')}`,
      'error loading config file: yaml: document contains excessive aliasing',
    ],
  ])('%s is refused', (_name, text, expected) => {
    expect(read(text).errors).toEqual([expected]);
  });
});

test('metadata holds what a Struct can hold, with keys as Go prints them', () => {
  const { errors, domains } = read(
    withLimit(
      'requests_per_unit: 1',
      '    metadata: { 0x10: 0x10, yes: yes, ~: ~, in: { 0x10: a, 1.5: b, 1e6: c, yes: d, ~: e, 2001-01-01: f, .inf: g, 18446744073709551615: h }, time: 2001-01-01T00:00:00Z, bin: !!binary eA==, list: [1, [x], {1: 2}], large: 9007199254740993 }\n',
    ),
  );
  expect(errors).toEqual([]);
  expect(domains.get('d')?.children.get('k')?.limit?.metadata).toEqual({
    '0x10': 16,
    yes: true,
    '': null,
    in: {
      16: 'a',
      1.5: 'b',
      '1e+06': 'c',
      true: 'd',
      '<nil>': 'e',
      '2001-01-01': 'f',
      '+Inf': 'g',
      '18446744073709551615': 'h',
    },
    time: '2001-01-01T00:00:00Z',
    bin: 'x',
    list: [1, ['x'], { 1: 2 }],
    large: 9_007_199_254_740_992,
  });
});

test('bytes in metadata that are not UTF-8 are refused', () => {
  expect(read(withLimit('requests_per_unit: 1', '    metadata: { a: !!binary /w== }\n')).errors).toEqual([
    'error parsing metadata: invalid UTF-8 in a text',
  ]);
});

test('indentation is ignored within brackets and quotes', () => {
  const { errors, loads } = read(
    'domain: d\ndescriptors:\n  - key: "a\nb"\n    rate_limit: { unit: day,\n# so many\nrequests_per_unit: 5\n}# done\n  - { key: c, rate_limit: {\n?unit: hour, requests_per_unit: 2 } }\n',
  );
  expect(errors).toEqual([]);
  expect(loads).toEqual(['d.a b: DAY 5', 'd.c: HOUR 2']);
});

describe('encodings', () => {
  const text = 'domain: d\ndescriptors:\n  - key: é\n    rate_limit: { unit: day, requests_per_unit: 5 }\n';
  test.each([
    ['UTF-8 with a byte order mark', Buffer.from(`\uFEFF${text}`)],
    ['UTF-16, little end first', Buffer.concat([Buffer.from([0xff, 0xfe]), Buffer.from(text, 'utf16le')])],
    ['UTF-16, big end first', Buffer.concat([Buffer.from([0xfe, 0xff]), Buffer.from(text, 'utf16le').swap16()])],
    ['CR alone', Buffer.from(text.replaceAll('\n', '\r'))],
    ['CR LF', Buffer.from(text.replaceAll('\n', '\r\n'))],
    ['NEL', Buffer.from(text.replaceAll('\n', '\u0085'))],
  ])('%s', (_name, octets) => {
    expect(readOctets(octets)).toMatchObject({ said: [], loads: ['d.é: DAY 5'] });
  });

  test.each([
    [
      'Latin-1',
      Buffer.from(text, 'latin1'),
      '3:10 error RATELIMIT_YAML error loading config file: yaml: byte 0xe9 is not UTF-8; save it as UTF-8',
    ],
    [
      'UTF-8 that is cut',
      Buffer.from(`${text}# é`).subarray(0, -1),
      '5:3 error RATELIMIT_YAML error loading config file: yaml: byte 0xc3 is not UTF-8; save it as UTF-8',
    ],
    [
      'a control character',
      Buffer.from(`${text}# \u0007`),
      '5:3 error RATELIMIT_YAML error loading config file: yaml: control characters are not allowed: U+0007; save it as UTF-8',
    ],
    [
      'UTF-16 without a mark',
      Buffer.from(text, 'utf16le'),
      '3:10 error RATELIMIT_YAML error loading config file: yaml: byte 0xe9 is not UTF-8; save it as UTF-8',
    ],
  ])('%s is refused at its place', (name, octets, expected) => {
    const { said } = readOctets(octets);
    if (name === 'UTF-16 without a mark') expect(said[0]).toMatch(/RATELIMIT_YAML/);
    else expect(said).toEqual([expected]);
  });
});

describe('what the reference ignores silently is a warning', () => {
  test.each([
    [
      'a further document',
      `${withLimit('requests_per_unit: 1')}---\ndomain: e\n`,
      '6:1 warning RATELIMIT_FURTHER_DOCUMENT only the first document of a file is read; this document and its limits are ignored, so put it into a separate file',
    ],
    [
      'descriptors twice',
      `${withLimit('requests_per_unit: 1')}descriptors:\n  - { key: k, rate_limit: { unit: day, requests_per_unit: 1 } }\n`,
      '5:1 warning RATELIMIT_REPEATED_KEY descriptors occurs twice in one map; this one replaces the one above, which is ignored',
    ],
    [
      'requests_per_unit twice',
      withLimit('requests_per_unit: 9, requests_per_unit: 1'),
      '4:52 warning RATELIMIT_REPEATED_KEY requests_per_unit occurs twice in one map; this one replaces the one above, which is ignored',
    ],
    [
      'rate_limit twice',
      withLimit('requests_per_unit: 9', '    rate_limit: { requests_per_unit: 1 }\n'),
      '5:5 warning RATELIMIT_REPEATED_KEY rate_limit occurs twice in one map; this one is merged into the one above, and wins if both set a key',
    ],
    [
      'a merge that puts a key away',
      'domain: d\ndescriptors:\n  - key: k\n    rate_limit: { unit: day, requests_per_unit: 9, <<: { requests_per_unit: 1 } }\n',
      '4:52 warning RATELIMIT_REPEATED_KEY << merges another requests_per_unit, which replaces the one above, which is ignored; put << first',
    ],
  ])('%s', (_name, text, expected) => {
    const { said, loads } = read(text);
    expect(said[0]).toBe(expected);
    expect(loads).toEqual(['d.k: DAY 1']);
  });

  test('requests_per_unit is missing', () => {
    expect(read(withLimit('name: one'))).toMatchObject({
      loads: ['d.k: DAY 0'],
      said: [
        '4:17 warning RATELIMIT_NO_AMOUNT requests_per_unit is missing, which means 0: every request is over this limit; write a number, or 0 if that is intended',
      ],
    });
    expect(read(withLimit('requests_per_unit: 0')).said).toEqual([]);
  });

  test('an unknown unit beside unlimited', () => {
    expect(read('domain: d\ndescriptors:\n  - key: k\n    rate_limit: { unlimited: true, unit: foo }\n')).toMatchObject(
      {
        loads: ['d.k: UNKNOWN 0'],
        said: ["4:42 warning RATELIMIT_UNIT 'foo' is not a unit; unlimited needs none, so remove it"],
      },
    );
  });
});

test('share_threshold accepts a star in the key', () => {
  const { said, domains } = read(
    'domain: d\ndescriptors:\n  - key: k*\n    value: x\n    share_threshold: true\n    rate_limit: { unit: day, requests_per_unit: 1 }\n',
  );
  expect(said).toEqual([]);
  expect(domains.get('d')?.patterns).toHaveLength(1);
});

test('NULL makes an empty limit, null makes none', () => {
  expect(read('domain: d\ndescriptors:\n  - key: k\n    rate_limit: null\n').errors).toEqual([]);
  expect(read('domain: d\ndescriptors:\n  - key: k\n    rate_limit: NULL\n').errors).toEqual([
    "invalid rate limit unit ''; write second, minute, hour, day, week, month or year",
  ]);
});
