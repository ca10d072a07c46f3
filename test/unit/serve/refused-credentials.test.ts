/** Refused credentials of gateways: counted, and logged for each identity. */
import { expect, test } from 'vitest';
import { RefusedCredentials } from '../../../src/serve/mesh/refused-credentials.ts';
import { lines } from '../../parts/identity/lines.ts';

const refusal = (name: string) => ({ credential: `edge/${name}`, why: 'no label', add: `a label for ${name}` });
const proxy = (account: string) => ({
  id: `router~${account}`,
  identity: `spiffe://cluster.local/ns/edge/sa/${account}`,
});

test('each identity has a line a minute, with what to add, and each refusal is counted', () => {
  const log = lines();
  const refused = new RefusedCredentials(log);
  refused.take(proxy('web'), [refusal('shop'), refusal('bank')]);
  for (let time = 0; time < 100; time++) refused.take(proxy('web'), [refusal('shop')]);
  refused.take(proxy('other'), [refusal('shop')]);
  expect(log.all).toHaveLength(2);
  expect(log.all[0]).toMatch(/^warn a gateway may not have a credential that its Gateways name/);
  for (const part of ['ns/edge/sa/web', 'edge/shop', 'edge/bank', 'no label', 'a label for shop'])
    expect(log.all[0]).toContain(part);
  expect(log.all[1]).toContain('ns/edge/sa/other');
  expect(refused.family.read()).toEqual([{ labels: {}, value: 103 }]);
});

test('identities without end are bounded, and still get lines', () => {
  const log = lines();
  const refused = new RefusedCredentials(log);
  for (let at = 0; at < 2500; at++) refused.take(proxy(`a${at}`), [refusal('shop')]);
  expect(log.all).toHaveLength(2500);
});
