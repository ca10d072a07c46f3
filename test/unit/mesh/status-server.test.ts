/** Probes of applications through the agent: real servers of every kind, on the other side of a real connection. */
import { Server, ServerCredentials } from '@grpc/grpc-js';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, get as httpGet, type RequestOptions, type Server as HttpServer } from 'node:http';
import { createSecureServer } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readAppProbers } from '../../../src/mesh/sidecar/app-probers.ts';
import { statusHandler } from '../../../src/mesh/sidecar/status-server.ts';
import { type Authority, makeAuthority } from '../../parts/certificates.ts';
import { type Answering, startHttpService, startTcpService } from '../../parts/http-service.ts';
import { type Ends, withEnds } from '../../parts/with-ends.ts';

const STATUS_PORT = 15_020;
const PATH = '/app-health/app/livez';

interface Agent {
  readonly port: number;
  readonly failures: readonly string[];
  /** `STATUS BODY` */
  get(path?: string, options?: RequestOptions): Promise<string>;
}

/** `probers`: by container `app`, or by path. */
async function agentFor(
  ends: Ends,
  prober: object,
  { why, address = '127.0.0.1' }: { readonly why?: string; readonly address?: string } = {},
): Promise<Agent> {
  const failures: string[] = [];
  const server: HttpServer = createServer(
    statusHandler({
      probers: readAppProbers(
        JSON.stringify('httpGet' in prober || 'tcpSocket' in prober || 'grpc' in prober ? { [PATH]: prober } : prober),
        STATUS_PORT,
      ),
      pod: { address, statusPort: STATUS_PORT, from: address === '127.0.0.1' ? '127.0.0.6' : undefined },
      whyNotReady: async () => why,
      onFailure: (path, cause) => failures.push(`${path}: ${cause}`),
    }),
  ).listen(0, '127.0.0.1');
  await once(server, 'listening');
  ends.push(() => {
    server.close();
    server.closeAllConnections();
  });
  const { port } = server.address() as AddressInfo;
  return { port, failures, get: (path = PATH, options = {}) => got(port, path, options) };
}

function got(port: number, path: string, options: RequestOptions): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const headers = { host: `10.0.0.1:${STATUS_PORT}`, ...(options.headers as object) };
  httpGet({ host: '127.0.0.1', port, path, agent: false, ...options, headers }, (response) => {
    text(response).then((body) => resolve(`${response.statusCode} ${body}`), reject);
  }).on('error', reject);
  return promise;
}

const httpApp = async (ends: Ends, answer: Answering): ReturnType<typeof startHttpService> => {
  const app = await startHttpService(answer);
  ends.push(() => app.stop());
  return app;
};
const httpProber = (port: number, path = '/healthz', more: object = {}): object => ({
  httpGet: { port, path, ...more },
});

let authority: Authority;
let tls: { readonly cert: Buffer; readonly key: Buffer };
beforeAll(async () => {
  authority = await makeAuthority();
  const { cert, key } = await authority.issue('app', 'DNS:another-name');
  tls = { cert: readFileSync(cert), key: readFileSync(key) };
});
afterAll(() => authority.remove());

describe('httpGet', () => {
  withEnds('the application is asked as the kubelet asks, and its status and body are the answer', async ({ ends }) => {
    const app = await httpApp(ends, (_, response) => response.writeHead(503).end('not yet'));
    const agent = await agentFor(ends, httpProber(app.port, '/healthz?full=1'));
    const headers = { 'user-agent': 'kube-probe/1.37', 'x-a': ['1', '2'], connection: 'close, x-b', te: 'trailers' };
    expect(await agent.get(PATH, { headers })).toBe('503 not yet');
    const [asked] = app.requests;
    expect(asked).toMatchObject({ method: 'GET', path: '/healthz?full=1', body: '' });
    expect(asked?.headers).toMatchObject({
      host: `10.0.0.1:${app.port}`,
      'user-agent': 'kube-probe/1.37',
      'x-a': '1, 2',
    });
    expect(asked?.headers).toMatchObject({ connection: 'close' });
    expect(asked?.headers['te']).toBe(undefined);
    expect(agent.failures).toEqual([]);
  });

  withEnds('a header Host of the probe stays, and a body of the request goes nowhere', async ({ ends }) => {
    const app = await httpApp(ends, (_, response) => response.end('fine'));
    const agent = await agentFor(ends, httpProber(app.port, 'relative'));
    expect(await agent.get(PATH, { headers: { host: 'shop.example', 'content-length': '0' } })).toBe('200 fine');
    expect(app.requests[0]).toMatchObject({ path: '/relative', headers: { host: 'shop.example' } });
    expect(app.requests[0]?.headers['content-length']).toBe(undefined);
  });

  withEnds('by HTTPS, whatever the certificate says, in HTTP/1.1 and in HTTP/2', async ({ ends }) => {
    const first = await startHttpService((_, response) => response.end('one'), { tls });
    ends.push(() => first.stop());
    expect(await (await agentFor(ends, httpProber(first.port, '/', { scheme: 'HTTPS' }))).get()).toBe('200 one');
    const second = createSecureServer(tls, ({ headers, httpVersion }, response) => {
      response.writeHead(418);
      response.end(`${httpVersion} ${headers[':authority']} ${String(headers['x-a'])} ${headers[':path']}`);
    }).listen(0, '127.0.0.1');
    await once(second, 'listening');
    ends.push(() => void second.close());
    const { port } = second.address() as AddressInfo;
    const agent = await agentFor(ends, httpProber(port, '/x', { scheme: 'HTTPS' }));
    expect(await agent.get(PATH, { headers: { 'x-a': ['1', '2'] } })).toBe(`418 2.0 10.0.0.1:${port} 1, 2 /x`);
  });

  withEnds('of a pod with an IPv6 address, also by redirects', async ({ ends }) => {
    const app = createServer(({ url, headers }, response) => {
      if (url === '/') response.writeHead(301, { location: `http://${headers.host}/next` }).end();
      else response.end(`${url} for ${headers.host}`);
    }).listen(0, '::1');
    await once(app, 'listening');
    ends.push(() => void app.close());
    const { port } = app.address() as AddressInfo;
    const agent = await agentFor(ends, httpProber(port, '/'), { address: '::1' });
    const headers = { host: `[::1]:${STATUS_PORT}` };
    expect(await agent.get(PATH, { headers })).toBe(`200 /next for [::1]:${port}`);
  });

  withEnds('redirects in the pod are followed; one to another host is a success', async ({ ends }) => {
    const app = await httpApp(ends, ({ path }, response) => {
      const to: Readonly<Record<string, string>> = {
        '/relative': '/end',
        '/absolute': `http://127.0.0.1:${app.port}/end`,
        '/elsewhere': 'http://login.example/',
        '/scheme-relative': '//evil.example/',
        '/loop': '/loop',
        '/agent': `http://127.0.0.1:${STATUS_PORT}${PATH}`,
        '/broken': 'http://[',
        '/ftp': 'ftp://127.0.0.1/',
      };
      if (path === '/nowhere') response.writeHead(302).end();
      else if (path === '/choices') response.writeHead(300, { location: '/end' }).end();
      else if (to[path] === undefined) response.writeHead(path === '/end' ? 204 : 404).end();
      else response.writeHead(302, { location: to[path] }).end('moved');
    });
    const paths = [
      '/relative',
      '/absolute',
      '/elsewhere',
      '/scheme-relative',
      '/nowhere',
      '/choices',
      '/loop',
      '/agent',
      '/broken',
      '/ftp',
    ];
    const prober = Object.fromEntries(paths.map((path) => [`/app-health${path}/livez`, httpProber(app.port, path)]));
    const agent = await agentFor(ends, prober);
    const answers: Record<string, string> = {};
    for (const path of paths) answers[path] = await agent.get(`/app-health${path}/livez`);
    expect(answers).toEqual({
      '/relative': '204 ',
      '/absolute': '204 ',
      '/elsewhere': '200 ',
      '/scheme-relative': '200 ',
      '/nowhere': '200 ',
      '/choices': '200 ',
      '/loop': '500 stopped after 10 redirects',
      '/agent': `500 redirects to port ${STATUS_PORT}, which is the agent's own`,
      '/broken': '500 Invalid URL',
      '/ftp': '500 redirects to ftp:, which is not HTTP',
    });
    expect(app.requests.filter(({ path }) => path === '/loop')).toHaveLength(10);
    expect(app.requests.filter(({ path }) => path === '/end').map(({ headers }) => headers.host)).toEqual([
      `10.0.0.1:${app.port}`,
      `127.0.0.1:${app.port}`,
    ]);
  });

  withEnds('of an endless body the beginning is read', async ({ ends }) => {
    const app = await httpApp(ends, (_, response) => {
      const more = (): void => {
        while (!response.destroyed && response.write('x'.repeat(4096)));
      };
      response.on('drain', more);
      more();
    });
    const agent = await agentFor(ends, httpProber(app.port));
    expect(await agent.get()).toBe(`200 ${'x'.repeat(10 * 1024)}`);
    await expect.poll(() => app.connections.open).toBe(0);
  });

  withEnds('an application that hangs, goes, speaks another protocol or is away fails its probe', async ({ ends }) => {
    const app = await httpApp(ends, ({ path }, response) => {
      if (path === '/body') response.write('begun');
      if (path === '/gone') response.destroy();
    });
    const silent = await startTcpService((socket) => socket.resume());
    const other = await startTcpService((socket) => socket.end('220 mail.example\r\n'));
    ends.push(() => silent.stop());
    ends.push(() => other.stop());
    const agent = await agentFor(ends, {
      '/app-health/hangs/livez': { ...httpProber(app.port, '/hangs'), timeoutSeconds: 1 },
      '/app-health/body/livez': httpProber(app.port, '/body'),
      '/app-health/gone/livez': httpProber(app.port, '/gone'),
      '/app-health/tls/livez': httpProber(silent.port, '/', { scheme: 'HTTPS' }),
      '/app-health/mail/livez': httpProber(other.port),
      '/app-health/away/livez': httpProber(1),
    });
    const ask = async (name: string): Promise<string> => agent.get(`/app-health/${name}/livez`);
    expect(await Promise.all(['hangs', 'body', 'tls'].map(ask))).toEqual([
      '500 no answer within 1000 ms',
      '500 no answer within 1000 ms',
      '500 no answer within 1000 ms',
    ]);
    expect(await ask('gone')).toBe('500 socket hang up');
    expect(await ask('mail')).toMatch(/^500 Parse Error/);
    expect(await ask('away')).toMatch(/^500 connect ECONNREFUSED 127.0.0.1:1/);
    expect(agent.failures).toHaveLength(6);
    await expect.poll(() => app.connections.open + silent.connections.open).toBe(0);
  });
});

describe('tcpSocket', () => {
  withEnds('a port that accepts is well, one that does not is not', async ({ ends }) => {
    const app = await startTcpService((socket) => socket.resume());
    ends.push(() => app.stop());
    expect(await (await agentFor(ends, { tcpSocket: { port: app.port } })).get()).toBe('200 ');
    await expect.poll(() => app.connections).toEqual({ open: 0, all: 1 });
    expect(await (await agentFor(ends, { tcpSocket: { port: 1 } })).get()).toMatch(/^500 connect ECONNREFUSED/);
  });
});

describe('grpc', () => {
  const path = '/grpc.health.v1.Health/Check';
  const asIs = (bytes: Buffer): Buffer => bytes;
  const serve = async (
    ends: Ends,
    answer: (service: string, agent: unknown) => Buffer | undefined,
  ): Promise<number> => {
    const server = new Server();
    server.addService(
      {
        check: {
          path,
          requestStream: false,
          responseStream: false,
          requestSerialize: asIs,
          requestDeserialize: asIs,
          responseSerialize: asIs,
          responseDeserialize: asIs,
        },
      },
      {
        check: (
          call: { request: Buffer; metadata: { get(name: string): unknown[] } },
          reply: (error: object | null, bytes?: Buffer) => void,
        ) => {
          const bytes = answer(call.request.subarray(2).toString(), call.metadata.get('user-agent')[0]);
          if (bytes === undefined) reply({ code: 5, details: 'unknown service' });
          else reply(null, bytes);
        },
      },
    );
    ends.push(() => server.forceShutdown());
    return new Promise((resolve, reject) => {
      server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) =>
        error === null ? resolve(port) : reject(error),
      );
    });
  };

  withEnds('the service that the probe names is asked for its health', async ({ ends }) => {
    const asked: unknown[] = [];
    const port = await serve(ends, (service, agent) => {
      asked.push([service, agent]);
      return service === 'none' ? undefined : Buffer.from([8, service === 'down' ? 2 : 1]);
    });
    const agent = await agentFor(ends, {
      '/app-health/app/livez': { grpc: { port, service: null } },
      '/app-health/app/readyz': { grpc: { port, service: 'down' } },
      '/app-health/app/startupz': { grpc: { port, service: 'none' } },
    });
    const headers = { 'user-agent': 'kube-probe/1.37' };
    expect(await agent.get(PATH, { headers })).toBe('200 ');
    expect(await agent.get('/app-health/app/readyz')).toBe('500 its health is NOT_SERVING');
    expect(await agent.get('/app-health/app/startupz')).toBe('500 gRPC status 5 unknown service');
    expect(asked).toEqual([
      ['', 'kube-probe/1.37'],
      ['down', undefined],
      ['none', undefined],
    ]);
  });

  withEnds('a server without this service, of another protocol, or that hangs is not well', async ({ ends }) => {
    const bare = new Server();
    ends.push(() => bare.forceShutdown());
    const port = await new Promise<number>((resolve) =>
      bare.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (_, bound) => resolve(bound)),
    );
    const http = await httpApp(ends, (_, response) => response.end());
    const silent = await startTcpService((socket) => socket.resume());
    ends.push(() => silent.stop());
    const agent = await agentFor(ends, {
      '/app-health/bare/livez': { grpc: { port } },
      '/app-health/http/livez': { grpc: { port: http.port } },
      '/app-health/silent/livez': { grpc: { port: silent.port }, timeoutSeconds: 1 },
    });
    expect(await agent.get('/app-health/bare/livez')).toBe('500 it does not implement grpc.health.v1.Health');
    expect(await agent.get('/app-health/http/livez')).toMatch(/^500 Protocol error|^500 /);
    expect(await agent.get('/app-health/silent/livez')).toBe('500 no answer within 1000 ms');
  });
});

describe('the agent', () => {
  withEnds('says whether Envoy is ready, and knows no other page', async ({ ends }) => {
    const [ready, waits] = [await agentFor(ends, {}), await agentFor(ends, {}, { why: 'answers 503' })];
    expect(await ready.get('/healthz/ready')).toBe('200 ');
    expect(await waits.get('/healthz/ready')).toBe('503 Envoy is not ready: answers 503');
    expect(await ready.get('/app-health/app/livez?x=1')).toBe('404 no probe at /app-health/app/livez');
    expect(await ready.get('/healthz/ready', { method: 'POST' })).toBe('405 expected GET');
  });

  withEnds('opens few connections for a burst of probes, and answers each', { timeout: 60_000 }, async ({ ends }) => {
    let most = 0;
    const app = await httpApp(ends, (_, response) => {
      most = Math.max(most, app.connections.open);
      response.end();
    });
    const agent = await agentFor(ends, { ...httpProber(app.port), timeoutSeconds: 60 });
    const ask = async (count: number): Promise<string[]> => {
      const answers: string[] = [];
      for (let at = 0; at < count; at++) answers.push(await agent.get());
      return answers;
    };
    const answers = (await Promise.all(Array.from({ length: 500 }, () => ask(2)))).flat();
    expect(new Set(answers)).toEqual(new Set(['200 ']));
    expect(answers).toHaveLength(1000);
    expect(most).toBeLessThanOrEqual(17);
  });

  withEnds('serves others while one container hangs, and lets go of probes whose caller has gone', async ({ ends }) => {
    const hung = await httpApp(ends, () => undefined);
    const well = await httpApp(ends, (_, response) => response.end());
    const agent = await agentFor(ends, {
      '/app-health/hung/livez': { ...httpProber(hung.port), timeoutSeconds: 30 },
      '/app-lifecycle/hung/prestopz': httpProber(hung.port),
      '/app-health/well/livez': httpProber(well.port),
    });
    const gone = new AbortController();
    const asking = Array.from({ length: 100 }, async (_, at) =>
      agent
        .get(at === 0 ? '/app-lifecycle/hung/prestopz' : '/app-health/hung/livez', { signal: gone.signal })
        .catch(() => 'gone'),
    );
    await expect.poll(() => hung.connections.open).toBe(17);
    expect(await agent.get('/app-health/well/livez')).toBe('200 ');
    gone.abort();
    expect(new Set(await Promise.all(asking))).toEqual(new Set(['gone']));
    await expect.poll(() => hung.connections.open).toBe(0);
    await sleep(50); // no probe that waited begins now
    expect(hung.requests.length).toBeLessThanOrEqual(17);
  });
});

test('a timeout that no timer can have is the longest', () => {
  const prober = { tcpSocket: { port: 1 }, timeoutSeconds: 2 ** 31 - 1 };
  expect(readAppProbers(JSON.stringify({ [PATH]: prober }), STATUS_PORT).get(PATH)?.timeoutMs).toBe(2 ** 31 - 1);
});

describe('a variable that holds no probes is refused', () => {
  test.each([
    ['{', 'this is not JSON'],
    ['[]', 'Invalid input: expected record'],
    ['{"/other":{"tcpSocket":{"port":1}}}', '/other: expected /app-health/CONTAINER/livez'],
    ['{"/app-health/a/b/livez":{"tcpSocket":{"port":1}}}', 'expected /app-health/CONTAINER/livez'],
    [`{"${PATH}":{}}`, `${PATH}: expected one of httpGet, tcpSocket and grpc`],
    [`{"${PATH}":{"tcpSocket":{"port":1},"grpc":{"port":1}}}`, `${PATH}: expected one of`],
    [`{"${PATH}":{"httpGet":{"port":"http"}}}`, `${PATH}.httpGet.port: Invalid input: expected number`],
    [`{"${PATH}":{"tcpSocket":{"port":65536}}}`, `${PATH}.tcpSocket.port: Too big`],
    [`{"${PATH}":{"httpGet":{"port":80,"scheme":"FTP"}}}`, `${PATH}.httpGet.scheme`],
    [
      `{"${PATH}":{"tcpSocket":{"port":${STATUS_PORT}}}}`,
      `${PATH}: asks port ${STATUS_PORT}, which is the agent's own`,
    ],
    [`{"${PATH}":{"tcpSocket":{"port":80},"timeoutSeconds":-1}}`, `${PATH}.timeoutSeconds`],
  ])('%s', (written, message) => {
    expect(() => readAppProbers(written, STATUS_PORT)).toThrow(message);
  });
});
