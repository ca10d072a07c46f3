/** What a wire has, its line has; and the line read again is the same request. */
import { toBinary } from '@bufbuild/protobuf';
import { describe, expect, test } from 'vitest';
import { CheckRequestSchema } from '../../../gen/envoy/service/auth/v3/external_auth_pb.ts';
import { RateLimitRequestSchema } from '../../../gen/envoy/service/ratelimit/v3/rls_pb.ts';
import { RequestBag, type Wire } from '../../../src/attributes/bag.ts';
import { jsonOfValue } from '../../../src/attributes/json-of-value.ts';
import { VOCABULARY } from '../../../src/attributes/vocabulary.ts';
import { limitRequest } from '../../../src/cli/call/limit-request.ts';
import { CheckWire } from '../../../src/frontends/ext-authz/check-wire.ts';
import { AuthzenWire } from '../../../src/frontends/http/authzen/authzen-wire.ts';
import { DescriptorWire } from '../../../src/frontends/ratelimit/descriptor-wire.ts';
import { LimitScan } from '../../../src/frontends/ratelimit/limit-scan.ts';
import { DECIDED_KINDS, type DecidedKind } from '../../../src/traffic/format.ts';
import { wiresOf } from '../../../src/traffic/recorded-wire.ts';
import { lineOf } from '../../../src/traffic/write-call.ts';
import { CONTEXT_HEADER, contextHeader } from '../../../src/text/context-header.ts';
import { rangeOf } from '../../../src/transport/byte-range.ts';
import { engineOf, PATIENT, type Scripts } from '../core/engine-of.ts';
import { httpCheck, tcpCheck } from '../frontends/messages.ts';
import { fileOf, observed, readAll } from './recording.ts';

const NOW_MS = Date.UTC(2026, 0, 31, 12);
const clock = (): number => NOW_MS;

const limitScan = (): LimitScan =>
  new LimitScan(
    rangeOf(
      toBinary(
        RateLimitRequestSchema,
        limitRequest({
          domain: 'shop',
          descriptors: [
            {
              entries: [
                { key: 'user', value: 'ann' },
                { key: 'user', value: 'bob' },
              ],
              limit: { requestsPerUnit: 5, unit: 'MINUTE' },
            },
            [{ path: '/a' }],
          ],
          hits: 3,
        }),
      ),
    ),
    10,
  );

const checkWire = (message: ReturnType<typeof httpCheck>): CheckWire =>
  new CheckWire(rangeOf(toBinary(CheckRequestSchema, message)), clock);

const WIRES: Readonly<Record<DecidedKind, () => readonly Wire[]>> = {
  http: () => [checkWire(httpCheck())],
  tcp: () => [
    new CheckWire(rangeOf(toBinary(CheckRequestSchema, tcpCheck())), clock, {
      metadata: (key) => (key === CONTEXT_HEADER ? contextHeader({ tier: 'silver' }) : undefined),
    }),
  ],
  authzen: () => [
    new AuthzenWire(
      {
        subject: { type: 'user', id: 'ann', properties: { age: 7, tags: ['a', null] } },
        action: { name: 'read', properties: { soft: true } },
        resource: { type: 'doc', id: '1', properties: { __proto__: 1, owner: 'bob' } },
        context: { at: 'home' },
      },
      0,
      clock,
    ),
  ],
  limit: () => {
    const scan = limitScan();
    return scan.descriptors.map((descriptor) => new DescriptorWire(scan, descriptor, clock));
  },
};

const POLICY = `
attributes:
  my.tier: { type: string, from: { contextExtension: tier } }
  my.n: { type: double, from: { metadata: { namespace: other, path: [n] } } }
  my.trace: { type: string, from: { header: traceparent } }
settings: { trustedHops: 0, trustedCertificateHops: 0 }
rules:
  - { name: nobody, match: "false", calls: [http, tcp, authzen, limit], deny: {} }
`;

async function roundTrip(call: DecidedKind, wires: readonly Wire[], text = POLICY, scripts: Scripts = {}) {
  const made = await engineOf(text, scripts);
  const decided = observed(made);
  await (call === 'limit' ? made.engine.limit(wires, PATIENT) : made.engine.check(call, wires[0] as Wire, PATIENT));
  const [first] = decided;
  if (first === undefined) throw new Error('nothing was decided');
  const line = lineOf(first, { timeMs: NOW_MS, bodies: true }) ?? '';
  const { calls, problems } = await readAll([await fileOf(`${line}\n`)]);
  expect(problems.lines()).toEqual([]);
  const [read] = calls;
  if (read === undefined) throw new Error('nothing was read');
  const bags = wiresOf(read.call).map((wire) => new RequestBag(first.snapshot.attributes, wire));
  return { first, line, call: read.call, bags };
}

/** Attributes that differ on purpose: what they show is secret. */
const HIDDEN = new Set(['connection.peer_certificate', 'request.api_key', 'request.auth.raw_claims']);

/** Absent from a message that has everything: no field carries it, or only a context extension of its name, which the message lacks. */
const isCarried = (name: string, call: DecidedKind): boolean => {
  const field = VOCABULARY.find((row) => row.name === name)?.carriedBy[call];
  return field !== undefined && !field.startsWith('context_extensions[');
};

describe('a recorded call', () => {
  test.each(DECIDED_KINDS)('of the kind %s has every attribute of its wire', async (call) => {
    const { first, bags } = await roundTrip(call, WIRES[call]());
    expect(bags).toHaveLength(first.bags.length);
    const { attributes } = first.snapshot;
    const wrong: string[] = [];
    let present = 0;
    for (const [at, before] of first.bags.entries()) {
      for (const [slot, { name }] of [...attributes.names()].map(
        (_, index) => [index, attributes.at(index)] as const,
      )) {
        const was = attributes.resolve(slot, before);
        const is = attributes.resolve(slot, bags[at] as RequestBag);
        const show = (value: typeof was): string => JSON.stringify(value === undefined ? null : jsonOfValue(value));
        if (was !== undefined) present++;
        if (HIDDEN.has(name) ? (was === undefined) !== (is === undefined) : !sameHeaders(name, show(was), show(is)))
          wrong.push(`${name}: ${show(was)} became ${show(is)}`);
        if (was === undefined && at === 0 && isCarried(name, call))
          wrong.push(`${name} is absent from the message of this test`);
      }
    }
    expect(wrong).toEqual([]);
    expect(present).toBeGreaterThan(call === 'authzen' || call === 'limit' ? 5 : 20);
  });
});

/** The header of the key is hidden. */
const sameHeaders = (name: string, was: string, is: string): boolean =>
  was === is ||
  (/headers?(_values)?$/.test(name) && was.replace(/"x-api-key":(\[?)"k"/, '"x-api-key":$1"(secret)"') === is);

describe('what must not be written', () => {
  const asked = (change: (http: NonNullable<ReturnType<typeof httpOf>>) => void): Wire => {
    const message = httpCheck();
    const http = httpOf(message);
    if (http !== undefined) change(http);
    return checkWire(message);
  };
  const httpOf = ({ attributes }: ReturnType<typeof httpCheck>) => attributes?.request?.http;

  test('secrets of headers and the query are hidden, and everywhere else where the same text stands', async () => {
    const wire = asked((http) => {
      http.path = '/token-abcdef/x?api_key=zyxwvu&a=1';
      http.headers['authorization'] = 'Bearer token-abcdef';
      http.headers['x-copy'] = 'it is token-abcdef';
      http.headers['referer'] = 'https://r/?token=referred';
      http.body = 'zyxwvu';
    });
    const { line, call } = await roundTrip('http', [wire]);
    expect(line).not.toMatch(/abcdef|zyxwvu|referred/);
    expect(call.requests[0]?.attributes).toMatchObject({
      'request.path': '/(secret)/x?api_key=(secret)&a=1',
      'request.body': '(secret)',
      'request.headers': {
        authorization: '(secret)',
        'x-copy': 'it is (secret)',
        referer: 'https://r/?token=(secret)',
      },
    });
  });

  test('a client cannot change the verdict of its record by a secret of the same text', async () => {
    const wire = asked((http) => {
      http.headers['authorization'] = 'Bearer http';
      http.headers['cookie'] = 'allow';
    });
    const { call } = await roundTrip('http', [wire]);
    expect(call.call).toBe('http');
    expect(call.verdict?.outcome).toBe('allow');
  });

  test('bodies are written where they are asked for alone', async () => {
    const made = await engineOf(POLICY, {});
    const decided = observed(made);
    await made.engine.check('http', checkWire(httpCheck()), PATIENT);
    const [first] = decided;
    if (first === undefined) throw new Error('nothing was decided');
    expect(lineOf(first, { timeMs: NOW_MS })).not.toContain('request.body');
    expect(lineOf(first, { timeMs: NOW_MS, bodies: true })).toContain('"request.body":"hello"');
  });

  test('masked attributes are hidden, whatever carries them', async () => {
    const policy = `${POLICY.replace('settings: {', 'settings: { decisions: { mask: [origin.ip, my.tier, my.n, \'request.headers["x-user"]\', \'metadata["private"]\'] },')}`;
    const message = httpCheck();
    const http = httpOf(message);
    if (http === undefined) throw new Error('no request');
    http.headers['x-user'] = 'an';
    const { line, call } = await roundTrip('http', [checkWire(message)], policy);
    expect(line).not.toContain('203.0.113.9');
    expect(call.requests[0]?.carried).toMatchObject({
      contextExtension: { tier: '(masked)' },
      metadata: { other: { n: '(masked)' } },
    });
    expect(call.requests[0]?.attributes['request.headers']).toMatchObject({ 'x-user': '(masked)' });
  });
});
