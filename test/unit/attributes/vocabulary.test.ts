import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { CALL_KINDS, isRecord, RECORD_KINDS, RULE_CALLS } from '../../../src/attributes/carrier.ts';
import { attributesMarkdown } from '../../../src/attributes/document.ts';
import { VOCABULARY } from '../../../src/attributes/vocabulary.ts';

const ROOTS = [
  'request',
  'source',
  'destination',
  'origin',
  'connection',
  'response',
  'context',
  'authzen',
  'ratelimit',
  'trace',
  'metadata',
  'verdict',
  'log',
  'metric',
];

describe('the vocabulary', () => {
  test('names each attribute once, under a root of the rule language', () => {
    const names = VOCABULARY.map(({ name }) => name);
    expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([]);
    expect(names.filter((name) => !ROOTS.includes(name.split('.')[0] ?? ''))).toEqual([]);
  });

  test('no name is the beginning of another', () => {
    const names = new Set(VOCABULARY.map(({ name }) => name));
    expect(
      [...names].filter((name) =>
        name.split('.').some((_, parts, all) => parts > 0 && names.has(all.slice(0, parts).join('.'))),
      ),
    ).toEqual([]);
  });

  test('context extensions carry only string attributes of source, destination and context', () => {
    const filled = VOCABULARY.filter(({ source }) => source.kind === 'built-in' && source.extension === true);
    expect(filled.length).toBeGreaterThan(10);
    expect(
      filled.filter(({ name, type }) => type.kind !== 'string' || !/^(source|destination|context)\./.test(name)),
    ).toEqual([]);
    expect(filled.filter(({ carriedBy }) => carriedBy.http === undefined)).toEqual([]);
  });

  test('has the field of each wire, and marks secret attributes', () => {
    for (const { name, carriedBy, meaning } of VOCABULARY) {
      expect(meaning, name).toMatch(/\S\.$/);
      expect(
        Object.keys(carriedBy).filter((call) => !(RULE_CALLS as readonly string[]).includes(call)),
        name,
      ).toEqual([]);
    }
    expect(
      VOCABULARY.filter(({ secret }) => secret)
        .map(({ name }) => name)
        .toSorted(),
    ).toEqual(['connection.peer_certificate', 'request.api_key', 'request.auth.raw_claims']);
  });

  test('no check carries response.*', () => {
    expect(
      VOCABULARY.filter(
        ({ name, carriedBy }) =>
          name.startsWith('response.') && (carriedBy.http ?? carriedBy.tcp ?? carriedBy.limit) !== undefined,
      ),
    ).toEqual([]);
  });

  test('docs/attributes.md is up to date', () => {
    expect(readFileSync(join(import.meta.dirname, '../../../docs/attributes.md'), 'utf8')).toBe(attributesMarkdown());
  });

  test('knows the calls that record something', () => {
    expect(CALL_KINDS.filter((call) => isRecord(call))).toEqual(RECORD_KINDS);
  });
});
