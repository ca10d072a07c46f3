import { expect, test } from 'vitest';
import { RequestBag } from '../../../src/attributes/bag.ts';
import { plainRequest } from '../../../src/attributes/plain-request.ts';
import type { CallKind } from '../../../src/attributes/carrier.ts';
import { DecidingParts } from '../../../src/explain/deciding-part.ts';
import { createRegistry } from '../../../src/adapters/registry.ts';
import { loadPolicyText } from '../../../src/core/rules/load.ts';

const HTTP: CallKind = 'http';

async function part(match: string, request: Readonly<Record<string, unknown>>) {
  const source = `rules: [{ name: r, match: ${JSON.stringify(match)}, deny: {} }]`;
  const { policy } = await loadPolicyText(new Map([['p.yaml', source]]), { adapters: createRegistry([]), env: {} });
  if (policy === undefined) throw new Error('the policy has errors');
  const bag = new RequestBag(policy.attributes, plainRequest(policy.attributes, request, HTTP));
  const [rule] = policy.rules;
  if (rule === undefined) throw new Error('no rule');
  const { result, text, failure, read } = new DecidingParts(policy.attributes).of(rule, bag);
  return { result, text, failure, read: read.map((slot) => policy.attributes.at(slot).name) };
}

const GET = { 'request.method': 'GET', 'request.url_path': '/a', 'request.host': 'h' };

test.each([
  ['request.method == "GET" && request.url_path == "/b"', 'does not apply', 'request.url_path == "/b"'],
  ['request.method == "PUT" && request.url_path == "/b"', 'does not apply', 'request.method == "PUT"'],
  ['request.method == "PUT" || request.url_path == "/a"', 'applies', 'request.url_path == "/a"'],
  ['(request.method == "GET" || request.host == "x") && request.host == "h"', 'applies', undefined],
  [
    'request.host == "h" && (request.method == "PUT" || request.host == "x")',
    'does not apply',
    '(request.method == "PUT" || request.host == "x")',
  ],
  ['(request.host == "h") == (request.method == "PUT")', 'does not apply', undefined],
  ['!(request.host == "h")', 'does not apply', undefined],
])('of %s', async (match, result, text) => {
  const found = await part(match, GET);
  expect([found.result, found.text?.replaceAll(/^\(|\)$/g, '')]).toEqual([
    result,
    (text ?? match).replaceAll(/^\(|\)$/g, ''),
  ]);
});

test('a condition that fails names the part, and what it read', async () => {
  expect(await part('request.method == "GET" && request.headers["x-tier"] == "gold"', GET)).toEqual({
    result: 'failed',
    text: 'request.headers["x-tier"]',
    failure: 'no such key: "x-tier"',
    read: ['request.method', 'request.headers'],
  });
});
