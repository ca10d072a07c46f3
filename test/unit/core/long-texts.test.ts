/** Texts of a length that a backend or a client chose: answered in time, cut, and not retained. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { allow, deny, Unavailable } from '../../../src/adapters/contract.ts';
import type { Verdict } from '../../../src/core/call.ts';
import { KEEP } from '../../../src/core/history/kept-verdicts.ts';
import { MAX_BODY, MAX_HEADER, MAX_REASON } from '../../../src/core/text-bounds.ts';
import { engineOf, type Script } from './engine-of.ts';

const LONG = 30_000_000;
const POLICY = `
handlers: { h: { adapter: check-script, config: { script: s } } }
rules:
  - name: asks
    check: { handler: h, input: { value: "'a'" } }
    onDeny:
      headers: { x-why: "\${out.reason}", x-path: "\${request.path}\${request.path}" }
      body: "no: \${request.path} \${out.reason}"
    onAllow: { response: { set: { x-path: "\${request.path}" } } }
`;

async function askedOf(check: NonNullable<Script['check']>, path = '/') {
  const { http, engine } = await engineOf(POLICY, { s: { check } });
  return { engine, verdict: await http({ 'request.path': path }), again: async () => http({ 'request.path': path }) };
}

const lengths = ({ body, headers, reasons }: Verdict): number[] => [
  body.length,
  ...headers.map(([, value]) => value.length),
  ...reasons.map(({ text }) => text.length),
];

describe('a refusal', () => {
  test.each([
    ['letters', 'a'],
    ['letters of two bytes', 'é'],
    ['pairs of surrogates', '😀'],
    ['controls', '\n'],
  ])('with a reason of 30 million %s costs no more than its bound', async (_, character) => {
    const reason = character.repeat(LONG / character.length);
    reason.charCodeAt(0); // flat
    const { again } = await askedOf(() => deny(7, reason));
    const costs: number[] = [];
    for (let round = 0; round < 5; round++) {
      const before = process.cpuUsage();
      const verdict = await again();
      const { user, system } = process.cpuUsage(before);
      costs.push(user + system);
      expect(verdict).toMatchObject({ outcome: 'deny', code: 7, status: 403 });
      expect(Math.max(...lengths(verdict))).toBeLessThan(MAX_REASON + 100);
      expect(verdict.body).not.toContain('\ufffd');
      expect(verdict.body.endsWith(character.trim())).toBe(true);
    }
    expect(Math.min(...costs)).toBeLessThan(20_000);
  });

  test('with texts of the client is cut, and stays a refusal', async () => {
    const { verdict } = await askedOf(() => deny(7, 'no'), `/${'é'.repeat(LONG / 10)}`);
    expect(verdict).toMatchObject({ outcome: 'deny', status: 403 });
    expect(verdict.body.length).toBe(MAX_BODY);
    expect(verdict.headers.map(([, value]) => value.length)).toEqual([2, MAX_HEADER]);
  });

  test('with headers of the handler has them cut', async () => {
    const { verdict } = await askedOf(() => deny(7, 'no', { headers: { 'x-more': 'a'.repeat(LONG) } }));
    expect(verdict.outcome).toBe('deny');
    expect(new Map(verdict.headers).get('x-more')?.length).toBe(MAX_HEADER);
  });
});

test('a header for the client of an allowed call is cut', async () => {
  const { verdict } = await askedOf(() => allow(), `/${'a'.repeat(LONG / 10)}`);
  expect(verdict.outcome).toBe('allow');
  expect(verdict.changes.response.set).toEqual([['x-path', `/${'a'.repeat(MAX_HEADER - 1)}`]]);
});

test.each([
  ['an error', () => new Error('a'.repeat(LONG))],
  ['an unavailable backend', () => new Unavailable('a'.repeat(LONG))],
])('the message of %s is cut', async (_, made) => {
  const { verdict } = await askedOf(() => {
    throw made();
  });
  expect(verdict.outcome).toBe('failed');
  expect(Math.max(...lengths(verdict))).toBeLessThan(MAX_REASON + 100);
});

test('kept refusals hold no more memory than stated', async () => {
  // Of an output of its own each, which explanations read, a body of 1 MiB, and a reason.
  let calls = 0;
  const { engine, again } = await askedOf(
    () => deny(7, `${++calls}${'a'.repeat(LONG)}`, { output: { text: `${calls}${'b'.repeat(500_000)}` } }),
    `/${'c'.repeat(MAX_BODY)}`,
  );
  for (let call = 0; call < 40; call++) await again();
  expect(calls).toBe(41);
  const kept = engine.verdicts({ limit: 1000 });
  const ofOne = MAX_BODY + 500_000;
  expect(kept.length).toBeGreaterThan(5);
  expect(kept.length).toBeLessThanOrEqual(KEEP.refused.bytes / ofOne);
});

test('a constant text that is longer does not load', async () => {
  await expect(
    engineOf(`rules:\n  - { name: r, deny: { headers: { x-why: ${'a'.repeat(MAX_HEADER + 1)} } } }`, {}),
  ).rejects.toThrow(/p\.yaml.*EXPRESSION_TEXT_TOO_LONG this text has 16385 characters, more than the 16384/);
});

test('docs/rules.md has the bounds', () => {
  const text = readFileSync(join(import.meta.dirname, '../../../docs/rules.md'), 'utf8');
  const spaced = (number: number): string =>
    number < 10_000 ? String(number) : String(number).replaceAll(/\B(?=(\d{3})+$)/g, ' ');
  expect(text).toContain(
    `a body after ${spaced(MAX_BODY)} characters, each header that a client gets after ${spaced(MAX_HEADER)}, ` +
      `the reason of a handler (\`out.reason\`, verdicts, the log) after ${spaced(MAX_REASON)}.`,
  );
});

test('a constant body is shared, and counts for no verdict', async () => {
  const { http, engine } = await engineOf(`rules:\n  - { name: r, deny: { body: ${'a'.repeat(200_000)} } }`, {});
  for (let call = 0; call < 500; call++) await http();
  expect(engine.verdicts({ limit: 1000 })).toHaveLength(500);
});
