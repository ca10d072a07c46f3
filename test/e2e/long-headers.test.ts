/**
 * Headers at our bounds through a real Envoy that lets pass what it has no answer for: every verdict holds, and what is not set is said.
 * Envoy's own bounds are its defaults: 60 KiB and 100 headers of a request, 60 KiB and 100 headers of an answer by HTTP.
 */
import { readFileSync } from 'node:fs';
import { type IncomingMessage, request } from 'node:http';
import { once } from 'node:events';
import { create, toBinary } from '@bufbuild/protobuf';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CheckRequestSchema } from '../../gen/envoy/service/auth/v3/external_auth_pb.ts';
import { MAX_HEAD, MAX_HEADER, MAX_HEADERS } from '../../src/core/text-bounds.ts';
import { type EnvoyPart, startEnvoy } from '../parts/envoy.ts';
import { freePort } from '../parts/free-port.ts';
import { sendAtOnce } from '../parts/grpc-burst.ts';
import { type Arrived, startUpstream, type Upstream } from '../parts/upstream.ts';
import { grpcAndHttpConfig, type Protocol, PROTOCOLS, ROUTE } from './grpc-and-http-config.ts';
import { type ServedSluice, serveSluice } from './sluice.ts';

const LONGEST = 'a'.repeat(MAX_HEADER);
const headers = (count: number, value: string, prefix = 'x-'): Record<string, string> =>
  Object.fromEntries(Array.from({ length: count }, (_, at) => [`${prefix}${at}`, value]));
/** As many octets as an answer may have: the names have three each. */
const WHOLE = { 'x-0': LONGEST, 'x-1': LONGEST, 'x-2': LONGEST.slice(9) };
const yaml = (value: object): string => JSON.stringify(value);
const POLICY = `
rules:
  - name: denies-at-the-bound
    match: request.url_path == "/denied/long"
    deny: { status: 403, body: "no", headers: ${yaml(WHOLE)} }
  - name: denies-with-many
    match: request.url_path == "/denied/many"
    deny: { status: 403, body: "no", headers: ${yaml(headers(MAX_HEADERS, '1'))} }
  - name: sets-to-the-bound
    match: request.url_path.startsWith("/set")
    onAllow: { request: { set: ${yaml(WHOLE)} } }
  - name: sets-more
    match: request.url_path == "/set/more"
    onAllow: { request: { set: { x-more: "${'b'.repeat(MAX_HEADER)}" } } }
  - name: copies
    match: request.url_path == "/copied"
    onAllow: { request: { set: { x-copy: '\${request.headers[?"x-own"].orValue("")}' } } }
  - name: sets-many
    match: request.url_path == "/many"
    onAllow: { request: { set: ${yaml(headers(MAX_HEADERS, '1'))} } }
  - name: copies-often
    match: request.url_path == "/copied-often"
    onAllow:
      request: { set: ${yaml(headers(4, '${request.headers[?"x-own"].orValue("")}'))} }
  - name: copies-thrice
    match: request.url_path == "/copied-thrice"
    onAllow:
      request: { set: ${yaml(headers(3, '${request.headers[?"x-own"].orValue("")}'))} }
`;

let upstream: Upstream;
let sluice: ServedSluice;
let envoy: EnvoyPart;
const ports: Record<Protocol, number> = { grpc: 0, http: 0 };

beforeAll(async () => {
  upstream = await startUpstream({ maxHeaderSize: 1 << 20 });
  sluice = await serveSluice(POLICY, { args: ['--http', '127.0.0.1:0', '--http-route', ROUTE] });
  const adminPort = await freePort();
  for (const protocol of PROTOCOLS) ports[protocol] = await freePort();
  envoy = await startEnvoy({
    adminPort,
    config: grpcAndHttpConfig({
      adminPort,
      ports,
      sluice: { grpc: sluice.grpcPort, http: sluice.httpPort ?? 0 },
      upstreamPort: upstream.httpPort,
      failureModeAllow: true,
    }),
  });
});
afterAll(async () => {
  await envoy?.stop();
  await sluice?.stop();
  await upstream?.stop();
});

interface Answer {
  readonly status: number | undefined;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}
async function get(path: string, own: Record<string, string> = {}, protocol: Protocol = 'grpc'): Promise<Answer> {
  const options = {
    host: '127.0.0.1',
    port: ports[protocol],
    path,
    headers: own,
    agent: false,
    maxHeaderSize: 1 << 20,
  };
  const sent = request(options).end();
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  let body = '';
  for await (const chunk of response) body += String(chunk);
  return { status: response.statusCode, headers: response.headers, body };
}
const arrived = ({ body }: Answer): Arrived['headers'] => (JSON.parse(body) as Arrived).headers;
const stat = async (name: string): Promise<number> => (await envoy.stats())[name] ?? 0;
const textFailures = async (rule: string): Promise<number> => {
  const page = await (await sluice.admin('/metrics')).text();
  return Number(new RegExp(`^sluice_rule_text_failures_total\\{rule="${rule}"\\} (\\d+)$`, 'm').exec(page)?.[1]);
};

describe('a request', () => {
  test('gets as many octets of headers as an answer may have; what is beyond is left out, and its rule named', async () => {
    expect(arrived(await get('/set'))).toMatchObject(WHOLE);
    const more = await get('/set/more', { 'x-more': 'of the client' });
    expect(more.status).toBe(200);
    expect(arrived(more)).toMatchObject(WHOLE);
    expect(arrived(more)['x-more']).toBeUndefined();
    expect(await textFailures('sets-more')).toBe(1);
    expect(sluice.log.filter((line) => line.includes('a text of a rule is too long'))).toEqual([
      expect.stringMatching(/rule=sets-more text="onAllow request x-more".*undone/),
    ]);
  });

  test('gets no header of 20 KiB', async () => {
    const copied = await get('/copied', { 'x-own': 'a'.repeat(20_480), 'x-copy': 'of the client' });
    expect([copied.status, arrived(copied)['x-copy']]).toEqual([200, undefined]);
    expect(await textFailures('copies')).toBe(1);
  });

  test.each([
    ['as many octets', '/set', headers(3, 'c'.repeat(16_000), 'y-')],
    ['as many headers', '/many', headers(20, '1', 'y-')],
  ])(
    'that has almost %s as Envoy takes is refused by Envoy with ours, and does not pass without',
    async (_, path, own) => {
      const before = await stat('http.grpc.ext_authz.grpc.request_header_limits_reached');
      expect((await get('/others', own)).status).toBe(200);
      expect(await get(path, own)).toMatchObject({ status: 500, body: '' });
      expect(await stat('http.grpc.ext_authz.grpc.request_header_limits_reached')).toBe(before + 1);
    },
  );
});

describe.each(PROTOCOLS)('a denial by %s', (protocol) => {
  test('with as many octets of headers as an answer may have is a denial', async () => {
    const { status, headers: got, body } = await get('/denied/long', {}, protocol);
    expect([status, body]).toEqual([403, 'no']);
    expect(got).toMatchObject(WHOLE);
  });
  test('with as many headers as an answer may have is a denial', async () => {
    const { status, body } = await get('/denied/many', {}, protocol);
    expect([status, body]).toEqual([403, 'no']);
  });
});

test('1 000 calls at once whose headers are at the bound and beyond it are answered within it, in bounded memory', async () => {
  const own = 'd'.repeat(16_000);
  const messageTo = (path: string): Uint8Array =>
    toBinary(
      CheckRequestSchema,
      create(CheckRequestSchema, {
        attributes: { request: { http: { method: 'GET', path, headers: { 'x-own': own } } } },
      }),
    );
  const [within, beyond] = [messageTo('/copied-thrice'), messageTo('/copied-often')];
  const peakMb = (): number =>
    Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${sluice.child.pid}/status`, 'utf8'))?.[1]) / 1024;
  const before = peakMb();
  for (let burst = 0; burst < 5; burst++) {
    const answers = await sendAtOnce(
      sluice.grpcPort,
      '/envoy.service.auth.v3.Authorization/Check',
      Array.from({ length: 1000 }, (_, at) => (at % 2 === 0 ? within : beyond)),
      {},
    );
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set(['0']));
    const bytes = answers.map(({ message }) => message.length).toSorted((a, b) => a - b);
    expect([bytes[0], bytes[499]].every((one) => (one ?? 0) < 1000)).toBe(true);
    expect(bytes[500]).toBeGreaterThan(3 * own.length);
    expect(bytes.at(-1)).toBeLessThan(MAX_HEAD + 1000);
  }
  // All answers together have 117 MiB.
  expect(peakMb() - before).toBeLessThan(100);
}, 60_000);
