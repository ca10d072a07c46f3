/** Errors in files of envoyproxy/ratelimit, with their places, in the reference's words (its test/config). */
import { describe, expect, test } from 'vitest';
import { type ReadOptions, readConfigs } from '../../../src/ratelimit/config/read.ts';
import { Unit } from '../../../src/ratelimit/call.ts';
import { configDump } from '../../../src/ratelimit/config/config-dump.ts';

const OPTIONS: ReadOptions = { mergeDomains: false };
const read = (...texts: string[]) =>
  readConfigs(
    texts.map((text, at) => ({ file: `f${at + 1}.yaml`, text })),
    OPTIONS,
  );
const said = (...texts: string[]): string[] =>
  read(...texts).findings.map(
    ({ position: { file, line, column }, code, message }) => `${file}:${line}:${column} ${code} ${message}`,
  );
const errors = (...texts: string[]): string[] =>
  read(...texts)
    .findings.filter(({ severity }) => severity === 'error')
    .map(({ message }) => message);
const below = (descriptor: string): string => `domain: d\ndescriptors:\n  - ${descriptor.replaceAll('\n', '\n    ')}\n`;

describe('errors that the reference asserts', () => {
  test.each([
    [
      'an empty domain',
      ['descriptors: []'],
      /^f1.yaml:1:1 RATELIMIT_EMPTY_DOMAIN config file cannot have empty domain/,
    ],
    [
      'a domain twice',
      ['domain: test-domain', 'domain: test-domain'],
      /^f2.yaml:1:9 RATELIMIT_DUPLICATE_DOMAIN duplicate domain 'test-domain' in config file; it is in f1.yaml:1 too: put/,
    ],
    ['an empty key', [below('value: v')], /^f1.yaml:3:5 RATELIMIT_EMPTY_KEY descriptor has empty key/],
    [
      'a key twice',
      ['domain: test-domain\ndescriptors:\n  - key: key1\n    value: value1\n  - key: key1\n    value: value1\n'],
      /^f1.yaml:6:12 RATELIMIT_DUPLICATE_KEY duplicate descriptor composite key 'test-domain.key1_value1'/,
    ],
    [
      'a bad unit',
      [below('key: k\nrate_limit: { unit: foo, requests_per_unit: 1 }')],
      /^f1.yaml:4:25 RATELIMIT_UNIT invalid rate limit unit 'foo'/,
    ],
    [
      'replaces itself',
      [below('key: k\nrate_limit: { unit: day, name: a, replaces: [{ name: a }] }')],
      /^f1.yaml:4:58 RATELIMIT_REPLACES replaces should not contain name of same descriptor/,
    ],
    [
      'replaces nothing',
      [below('key: k\nrate_limit: { unit: day, replaces: [{ name: "" }] }')],
      /^f1.yaml:4:49 RATELIMIT_REPLACES should not have an empty replaces entry/,
    ],
    ['bad YAML', ['domain: d\ndescriptors: ["a'], /^f1.yaml:2:\d+ RATELIMIT_YAML error loading config file: yaml: /],
    [
      'a misspelled key',
      [below('key: k\nratelimit: {}')],
      /^f1.yaml:4:5 RATELIMIT_UNKNOWN_KEY config error, unknown key 'ratelimit'.*rate_limit/,
    ],
    [
      'another',
      [below('key: k\nrate_limit: { unit: day, requestsperunit: 2 }')],
      /^f1.yaml:4:30 RATELIMIT_UNKNOWN_KEY config error, unknown key 'requestsperunit'/,
    ],
    [
      'a key that is no text',
      ['domain: d\n0.25: e'],
      /^f1.yaml:2:1 RATELIMIT_KEY_TYPE config error, key is not of type string: 0.25/,
    ],
    [
      'a list of no maps',
      ['domain: d\ndescriptors: [a]'],
      /^f1.yaml:2:15 RATELIMIT_KEY_TYPE config error, yaml file contains list of type other than map: a/,
    ],
    [
      'unlimited, with a unit',
      [below('key: k\nrate_limit: { unlimited: true, unit: day }')],
      /^f1.yaml:4:42 RATELIMIT_UNLIMITED should not specify rate limit unit when unlimited/,
    ],
  ])('%s', (_name, texts, expected) => {
    const all = said(...texts);
    expect(all).toHaveLength(1);
    expect(all[0]).toMatch(expected);
  });
});

describe('other errors of the reference', () => {
  test.each([
    [
      'share_threshold without a star',
      below('key: k\nvalue: v\nshare_threshold: true'),
      /share_threshold can only be used with wildcard values \(containing '\*'\), but found key 'd.k_v'/,
    ],
    ['a number with a point', below('key: k\nvalue: 1.5'), /error checking config: 1.5/],
    [
      'a quoted number',
      below('key: k\nrate_limit: { unit: day, requests_per_unit: "5" }'),
      /"5" is not a whole number/,
    ],
    ['a negative one', below('key: k\nrate_limit: { unit: day, requests_per_unit: -5 }'), /-5 is not a whole number/],
    ['a quoted flag', below('key: k\nshadow_mode: "true"'), /"true" is not true or false/],
    [
      'metadata that is no map',
      below('key: k\nmetadata: [a]\nrate_limit: { unit: day, requests_per_unit: 1 }'),
      /error parsing metadata/,
    ],
    [
      'an outage policy that is none',
      below('key: k\nrate_limit: { unit: day, sluice: { outage: maybe } }'),
      /outage is 'maybe'; expected one of error, open, closed, local/,
    ],
    [
      'a period and a unit',
      below('key: k\nrate_limit: { unit: day, sluice: { per: 15m } }'),
      /a limit has a unit, or sluice: \{ per: ... \}, not both/,
    ],
    [
      'a period that is none',
      below('key: k\nrate_limit: { sluice: { per: soon } }'),
      /per is 'soon'; expected a duration such as 15m or 2h, or one of day, week, month, year/,
    ],
    [
      'a zone that is none',
      below('key: k\nrate_limit: { sluice: { per: month, zone: Mars/Base } }'),
      /zone is 'Mars\/Base', which is not a time zone/,
    ],
    [
      'a zone without a calendar',
      below('key: k\nrate_limit: { sluice: { per: 15m, zone: UTC } }'),
      /zone requires per: day, week, month or year/,
    ],
    [
      'an algorithm that is none',
      below('key: k\nrate_limit: { unit: day, sluice: { algorithm: leaky } }'),
      /algorithm is 'leaky'; expected one of fixed, sliding, gcra, log, concurrency/,
    ],
    ['nothing', '', /config file cannot have empty domain/],
    ['a list', '- a', /expected a map with domain and descriptors/],
  ])('%s', (_name, text, expected) => {
    expect(errors(text)[0]).toMatch(expected);
  });

  test('every error of all files is reported at once', () => {
    expect(said('domain: ""', below('value: v'), below('key: k\nnope: 1'))).toHaveLength(3);
  });

  test('a misplaced key is a warning, and the file loads', () => {
    const { domains, findings } = read(
      below('key: k\nrate_limit: { unit: day, requests_per_unit: 1, shadow_mode: true }'),
    );
    expect(findings.map(({ severity, code, message }) => [severity, code, message])).toEqual([
      [
        'warning',
        'RATELIMIT_MISPLACED_KEY',
        'shadow_mode has no meaning in rate_limit and is ignored; known keys are unit, requests_per_unit, unlimited, name, replaces, sluice',
      ],
    ]);
    expect(domains.get('d')?.children.get('k')?.limit?.shadow).toBe(false);
  });
});

describe('algorithms', () => {
  const sluice = (text: string, rest = 'unit: day, '): string =>
    below(`key: k\nrate_limit: { ${rest}sluice: { ${text} } }`);
  const lease = (text: string): string =>
    `domain: d\ndescriptors:\n  - key: k\n    descriptors:\n      - key: id\n        rate_limit: { ${text} }\n`;
  test.each([
    ['a burst without gcra', sluice('burst: 5'), 'f1.yaml:4:47 RATELIMIT_SLUICE burst requires algorithm: gcra'],
    [
      'a burst of nothing',
      sluice('algorithm: gcra, burst: 0'),
      'f1.yaml:4:64 RATELIMIT_SLUICE burst, the number of requests that may come at once, must be a whole number from 1 (without quotes)',
    ],
    [
      'a burst that is quoted',
      sluice('algorithm: gcra, burst: "5"'),
      'f1.yaml:4:64 RATELIMIT_SLUICE burst, the number of requests that may come at once, must be a whole number from 1 (without quotes)',
    ],
    [
      "a calendar's period",
      sluice('algorithm: log, per: month', ''),
      "f1.yaml:4:50 RATELIMIT_SLUICE per is 'month', a period of varying length; algorithm: log needs a duration such as 15m or 2h",
    ],
    [
      'more than a log is to remember',
      sluice('algorithm: log', 'unit: day, requests_per_unit: 10001, '),
      'f1.yaml:4:49 RATELIMIT_SLUICE requests_per_unit is 10001; algorithm: log stores each request, and allows 10000 at most',
    ],
    [
      'leases with no entry above',
      sluice('algorithm: concurrency, per: 30s', ''),
      'f1.yaml:4:17 RATELIMIT_SLUICE algorithm: concurrency counts by the entries before the last one, which names the holder of a lease; put it below another descriptor',
    ],
    [
      'leases with a unit',
      lease('unit: minute, sluice: { algorithm: concurrency, per: 30s }'),
      'f1.yaml:6:29 RATELIMIT_SLUICE algorithm: concurrency has no unit; write the longest duration of a lease: sluice: { per: 30s }',
    ],
    [
      'leases without a period',
      lease('sluice: { algorithm: concurrency }'),
      'f1.yaml:6:44 RATELIMIT_SLUICE algorithm: concurrency needs per, the longest duration of a lease, such as 30s',
    ],
    [
      'an end without leases',
      sluice('ended_by: over'),
      'f1.yaml:4:50 RATELIMIT_SLUICE ended_by requires algorithm: concurrency',
    ],
    [
      'an end of no name',
      lease('sluice: { algorithm: concurrency, per: 30s, ended_by: "" }'),
      'f1.yaml:6:77 RATELIMIT_SLUICE ended_by is empty; write the key of the entry that ends a lease',
    ],
    [
      'an entry that ends leases already',
      `${lease('requests_per_unit: 5, sluice: { algorithm: concurrency, per: 30s }')}        descriptors: [{ key: stream_done }]\n`,
      "f1.yaml:7:30 RATELIMIT_DUPLICATE_KEY 'd.k.id.stream_done' ends the leases of the limit above it; choose another entry with sluice: { ended_by: KEY }",
    ],
  ])('%s', (_name, text, expected) => {
    expect(said(text)).toEqual([expected]);
  });

  test('each key has its effect on the limit', () => {
    const limitOf = (text: string) => {
      const { domains, findings } = read(text);
      expect(findings).toEqual([]);
      return domains.get('d')?.children.get('k')?.limit;
    };
    expect(limitOf(sluice('algorithm: gcra, burst: 5', 'unit: minute, requests_per_unit: 60, '))).toMatchObject({
      algorithm: 'gcra',
      burst: 5,
      unit: Unit.MINUTE,
      requestsPerUnit: 60,
    });
    expect(limitOf(sluice('algorithm: gcra', 'unit: minute, requests_per_unit: 60, '))).toMatchObject({ burst: 60 });
    expect(limitOf(sluice('algorithm: log, per: 1h', 'requests_per_unit: 3, '))).toMatchObject({
      algorithm: 'log',
      unit: undefined,
      window: { lengthS: 3600 },
    });
    expect(limitOf(sluice('outage: open', 'unit: day, requests_per_unit: 1, '))).toMatchObject({
      algorithm: 'fixed',
      endsLease: false,
    });
  });
});

describe('reading as yaml.v2 does', () => {
  test('all sixteen keys are read', () => {
    const { domains, findings } = read(
      below(`key: k
value: v*
shadow_mode: yes
quota_mode: true
detailed_metric: on
value_to_metric: true
share_threshold: true
metadata: { a: { b: [1, x] } }
rate_limit: { unit: WEEK, requests_per_unit: 010, name: n, unlimited: false, replaces: [{ name: o }] }
descriptors:
  - key: in`),
    );
    expect(findings).toEqual([]);
    const node = domains.get('d')?.children.get('k_v*');
    expect(node).toMatchObject({ isShared: true, isDetailed: true, hasValueInMetric: true });
    expect(node?.limit).toMatchObject({
      fullKey: 'd.k_v*',
      unit: Unit.WEEK,
      requestsPerUnit: 8,
      name: 'n',
      unlimited: false,
      replaces: ['o'],
      shadow: true,
      quota: true,
      metadata: { a: { b: [1, 'x'] } },
    });
    expect([...(node?.children.keys() ?? [])]).toEqual(['in']);
  });

  test('text stays as written', () => {
    const { domains, findings } = read(
      'domain: d\ndescriptors:\n  - key: a\n    value: yes\n  - key: b\n    value: 010\n',
    );
    expect(findings).toEqual([]);
    expect([...(domains.get('d')?.children.keys() ?? [])]).toEqual(['a_yes', 'b_010']);
  });

  test('with MERGE_DOMAIN_CONFIG files add to one domain', () => {
    const { domains, findings } = readConfigs(
      [
        { file: 'a', text: below('key: one') },
        { file: 'b', text: below('key: two') },
      ],
      { ...OPTIONS, mergeDomains: true },
    );
    expect(findings).toEqual([]);
    expect([...(domains.get('d')?.children.keys() ?? [])]).toEqual(['one', 'two']);
    expect(
      readConfigs(
        [
          { file: 'a', text: below('key: one') },
          { file: 'b', text: below('key: one') },
        ],
        { ...OPTIONS, mergeDomains: true },
      ).findings[0]?.message,
    ).toMatch(/duplicate descriptor composite key 'd.one'/);
  });

  test('/rlconfig prints the limits in force', () => {
    expect(
      configDump(
        read(
          below(
            'key: k\nvalue: v\nrate_limit: { unit: minute, requests_per_unit: 10 }\ndescriptors:\n  - key: in\n    shadow_mode: true\n    rate_limit: { unit: day, requests_per_unit: 2 }',
          ),
        ).domains,
      ),
    ).toBe(
      'd.k_v: unit=MINUTE requests_per_unit=10, shadow_mode: false, quota_mode: false\nd.k_v.in: unit=DAY requests_per_unit=2, shadow_mode: true, quota_mode: false\n',
    );
  });
});
