/** What the admin port can tell of calls that are over. */
import { expect, test } from 'vitest';
import type { Wire } from '../../../src/attributes/bag.ts';
import { engineOf, PATIENT } from './engine-of.ts';

const POLICY = `
attributes:
  my.token: { type: string, from: [{ contextExtension: token }], secret: true }
rules:
  - { name: no, match: 'request.headers[?"authorization"].orValue("") == "x" || request.path.startsWith("/no") || my.?token.orValue("") == "t"', deny: { body: no } }
`;

test('the newest first, with the reason and what was looked at, secrets hidden', async () => {
  const { http, engine } = await engineOf(POLICY, {});
  await http({ 'request.path': '/no/1' });
  await http({ 'request.path': '/yes', 'request.headers': { authorization: 'x', 'x-a': '1' } });
  const [last, first] = engine.verdicts();
  expect(first).toMatchObject({ call: 'http', outcome: 'deny', rule: 'no', reasons: [{ rule: 'no', text: 'its match applies', shadow: false }], attributes: { 'request.path': '/no/1' } });
  expect(last?.attributes).toMatchObject({ 'request.headers': { authorization: '(secret)', 'x-a': '1' } });
});

test('of what is allowed, one in 50 ms', async () => {
  const { http, engine } = await engineOf(POLICY, {});
  const beganAtMs = performance.now();
  for (let call = 0; call < 1000; call++) await http({ 'request.path': '/yes' });
  const most = 1 + (performance.now() - beganAtMs) / 50;
  const { length } = engine.verdicts();
  expect(length).toBeGreaterThan(0);
  expect(length).toBeLessThanOrEqual(most);
  await new Promise((resolve) => { setTimeout(resolve, 60); });
  await http({ 'request.path': '/yes' });
  expect(engine.verdicts()).toHaveLength(length + 1);
});

test('not more than 512, and not more than 8 MiB of what clients sent', async () => {
  const { http, engine } = await engineOf(POLICY, {});
  for (let call = 0; call < 700; call++) await http({ 'request.path': `/no/${call}` });
  expect(engine.verdicts().map(({ attributes }) => attributes['request.path']).slice(0, 2)).toEqual(['/no/699', '/no/698']);
  expect(engine.verdicts()).toHaveLength(512);

  const heavy = (weight: number): Wire => ({ weight, read: (name) => (name === 'request.path' ? '/no' : name === 'request.headers' ? new Map() : undefined), carried: () => undefined, keep() {} });
  for (let call = 0; call < 10; call++) await engine.check('http', heavy(1024 * 1024), PATIENT);
  expect(engine.verdicts()).toHaveLength(8);
  await engine.check('http', heavy(9 * 1024 * 1024), PATIENT);
  expect(engine.verdicts()).toHaveLength(8);
});
