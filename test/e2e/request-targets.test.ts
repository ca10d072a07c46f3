/** Paths and hosts come to the values of the table, through gRPC and HTTP, behind real Envoys with and without normalisation. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { type EnvoyPart, startEnvoy } from '../parts/envoy.ts';
import { freePort } from '../parts/free-port.ts';
import { sendRaw } from '../parts/raw-http.ts';
import { startUpstream, type Upstream } from '../parts/upstream.ts';
import { type ServedSluice, serveSluice } from './sluice.ts';
import { type Protocol, ROUTE, grpcAndHttpConfig } from './grpc-and-http-config.ts';

interface PathCase {
  readonly path: string;
  readonly url_path: string;
  readonly strip?: string;
  readonly plain: boolean;
  readonly envoy?: number;
  readonly normalised?: string | number;
}
interface HostCase {
  readonly authority: string;
  readonly host: string;
  readonly port?: number;
}
const TABLE = parse(readFileSync(join(import.meta.dirname, '../parts/request-targets.yaml'), 'utf8')) as {
  readonly paths: readonly PathCase[];
  readonly hosts: readonly HostCase[];
  readonly no_hosts: readonly string[];
};

const POLICY = (pathParameters: string): string => `
settings: { pathParameters: ${pathParameters} }
rules:
  - name: a-host
    match: request.url_path == "/host" && request.host == "[2001:db8::1]"
    deny: { status: 404 }
  - name: values
    match: request.url_path != "/host"
    deny:
      status: 403
      body: "\${request.url_path} \${request.path_is_plain} \${request.host} \${request.?port.orValue(0)}"
`;

let upstream: Upstream;
let sluice: ServedSluice;
let stripping: ServedSluice;
const envoys: EnvoyPart[] = [];
const ports = new Map<'raw' | 'normalising', Readonly<Record<Protocol, number>>>();

beforeAll(async () => {
  upstream = await startUpstream();
  const args = [
    '--http',
    '127.0.0.1:0',
    '--http-route',
    ROUTE,
    '--http-route',
    '/forward=forward',
    '--http-route',
    '/nginx=nginx',
  ];
  [sluice, stripping] = [await serveSluice(POLICY('keep'), { args }), await serveSluice(POLICY('strip'), { args })];
  const normalising = {
    normalize_path: true,
    merge_slashes: true,
    path_with_escaped_slashes_action: 'UNESCAPE_AND_FORWARD',
  };
  for (const [name, paths] of [
    ['raw', {}],
    ['normalising', normalising],
  ] as const) {
    const [adminPort, own] = [await freePort(), { grpc: await freePort(), http: await freePort() }];
    const asked = { grpc: sluice.grpcPort, http: sluice.httpPort ?? 0 };
    const config = grpcAndHttpConfig({ adminPort, ports: own, sluice: asked, upstreamPort: upstream.httpPort, paths });
    envoys.push(await startEnvoy({ adminPort, config }));
    ports.set(name, own);
  }
});
afterAll(async () => {
  await Promise.all(envoys.map(async (envoy) => envoy.stop()));
  await Promise.all([sluice, stripping].map(async (served) => served.stop()));
  await upstream.stop();
});

const WAYS = ['grpc', 'http', '/forward', '/nginx'] as const;
type Way = (typeof WAYS)[number];

/** The body of the answer, or the status of a proxy that did not ask. */
async function answerTo(way: Way, path: string, authority: string, behind: 'raw' | 'normalising' = 'raw', of = sluice) {
  const { status, body } = await ask(way, path, authority, behind, of);
  return status === 403 ? body.trim() : status;
}

async function ask(way: Way, path: string, authority: string, behind: 'raw' | 'normalising' = 'raw', of = sluice) {
  return way === '/forward' || way === '/nginx'
    ? sendRaw(of.httpPort ?? 0, `GET ${way} HTTP/1.1`, presented(way, path, authority))
    : sendRaw(ports.get(behind)?.[way] ?? 0, `GET ${path} HTTP/1.1`, [`host: ${authority}`]);
}

const presented = (way: '/forward' | '/nginx', path: string, authority: string): string[] =>
  way === '/nginx'
    ? [`host: ${authority}`, 'x-original-method: GET', `x-original-uri: ${path}`]
    : ['host: sluice', 'x-forwarded-method: GET', `x-forwarded-uri: ${path}`, `x-forwarded-host: ${authority}`];

describe('a path comes to one value', () => {
  for (const { path, url_path, strip, plain, envoy, normalised } of TABLE.paths)
    test(path, async () => {
      const wanted = `${url_path} ${plain} a 0`;
      const found: Record<string, unknown> = {};
      for (const way of WAYS) found[way] = await answerTo(way, path, 'a');
      for (const protocol of ['grpc', 'http'] as const)
        found[`${protocol}, normalising`] = pathOf(await answerTo(protocol, path, 'a', 'normalising'));
      const behind = envoy ?? normalised ?? url_path;
      expect(found).toEqual({
        grpc: envoy ?? wanted,
        http: envoy ?? wanted,
        '/forward': wanted,
        '/nginx': wanted,
        'grpc, normalising': behind,
        'http, normalising': behind,
      });
      if (strip !== undefined)
        expect(await answerTo('/forward', path, 'a', 'raw', stripping)).toBe(`${strip} ${plain} a 0`);
    });
});

const pathOf = (text: string | number): string | number =>
  typeof text === 'string' ? (text.split(' ')[0] ?? '') : text;

describe('a host comes to one value', () => {
  for (const { authority, host, port = 0 } of TABLE.hosts)
    test(authority, async () => {
      for (const way of WAYS) expect(await answerTo(way, '/a', authority), way).toBe(`/a true ${host} ${port}`);
    });

  test('a rule on a host applies to each spelling of an address, and to no other', async () => {
    const statuses = async (authority: string): Promise<readonly number[]> =>
      Promise.all(WAYS.map(async (way) => (await ask(way, '/host', authority)).status));
    for (const authority of ['[2001:db8::1]', '[2001:DB8:0:0:0:0:0:1]:80', '[2001:0db8::0001]'])
      expect(await statuses(authority), authority).toEqual([404, 404, 404, 403]); // NGINX takes 401 and 403 alone
    expect(await statuses('[2001:db8::2]')).toEqual([200, 200, 200, 200]);
  });

  for (const authority of TABLE.no_hosts)
    test(`${authority} names none, and a rule on the host refuses it`, async () => {
      const bytes = Buffer.from(authority).toString('latin1');
      for (const way of WAYS) {
        const { status } = await ask(way, '/host', bytes);
        expect([400, way === 'grpc' ? 503 : 403], way).toContain(status); // 400: a proxy, or node:http, that takes no such host
      }
    });

  test("an absolute target's host is the host, whatever the Host header says", async () => {
    for (const protocol of ['grpc', 'http'] as const)
      expect(await answerTo(protocol, 'http://Other.example:81/x', 'shop.example'), protocol).toBe(
        '/x true other.example 81',
      );
  });
});

test('docs/rules.md has the table', () => {
  const document = readFileSync(join(import.meta.dirname, '../../docs/rules.md'), 'utf8');
  const cell = (text: string | number | undefined): string => (text === undefined ? '' : `\`${text}\``);
  const rows = [
    ...TABLE.paths.map(
      ({ path, url_path, strip, plain }) =>
        `| ${cell(path)} | ${cell(url_path)} | ${cell(strip)} | ${plain ? 'yes' : 'no'} |`,
    ),
    ...TABLE.hosts.map(({ authority, host, port }) => `| ${cell(authority)} | ${cell(host)} | ${cell(port)} |`),
  ];
  expect(rows.filter((row) => !document.includes(`\n${row}\n`))).toEqual([]);
});
