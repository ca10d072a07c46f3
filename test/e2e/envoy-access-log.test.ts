/** The access logs that a real Envoy writes, in the default formats of Envoy Gateway and Istio, decided by a policy. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startEnvoy } from '../parts/envoy.ts';
import { freePort } from '../parts/free-port.ts';
import { tempFolder } from '../unit/traffic/recording.ts';
import { run } from './command.ts';
import { until } from './sluice.ts';

const COMMON = {
  start_time: '%START_TIME%',
  method: '%REQ(:METHOD)%',
  protocol: '%PROTOCOL%',
  response_code: '%RESPONSE_CODE%',
  response_flags: '%RESPONSE_FLAGS%',
  response_code_details: '%RESPONSE_CODE_DETAILS%',
  connection_termination_details: '%CONNECTION_TERMINATION_DETAILS%',
  upstream_transport_failure_reason: '%UPSTREAM_TRANSPORT_FAILURE_REASON%',
  bytes_received: '%BYTES_RECEIVED%',
  bytes_sent: '%BYTES_SENT%',
  duration: '%DURATION%',
  upstream_host: '%UPSTREAM_HOST%',
  upstream_cluster: '%UPSTREAM_CLUSTER%',
  upstream_local_address: '%UPSTREAM_LOCAL_ADDRESS%',
  downstream_local_address: '%DOWNSTREAM_LOCAL_ADDRESS%',
  downstream_remote_address: '%DOWNSTREAM_REMOTE_ADDRESS%',
  requested_server_name: '%REQUESTED_SERVER_NAME%',
  route_name: '%ROUTE_NAME%',
};
const FORMATS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  gateway: {
    ...COMMON,
    'x-envoy-origin-path': '%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%',
    'x-envoy-upstream-service-time': '%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%',
    'x-forwarded-for': '%REQ(X-FORWARDED-FOR)%',
    'user-agent': '%REQ(USER-AGENT)%',
    'x-request-id': '%REQ(X-REQUEST-ID)%',
    ':authority': '%REQ(:AUTHORITY)%',
  },
  istio: {
    ...COMMON,
    path: '%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%',
    upstream_service_time: '%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%',
    x_forwarded_for: '%REQ(X-FORWARDED-FOR)%',
    user_agent: '%REQ(USER-AGENT)%',
    request_id: '%REQ(X-REQUEST-ID)%',
    authority: '%REQ(:AUTHORITY)%',
  },
  /** An operator's own. */
  own: { ts: '%START_TIME%', verb: '%REQ(:METHOD)%', uri: '%REQ(:PATH)%', tenant: '%REQ(X-TENANT)%', zone: 'a' },
};

const CALLS = 5;
let folder = '';

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-access-log-'));
  const [adminPort, port] = [await freePort(), await freePort()];
  const type = (name: string): object => ({ '@type': `type.googleapis.com/${name}` });
  const address = (number: number): object => ({ socket_address: { address: '127.0.0.1', port_value: number } });
  const connections = {
    ...type('envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager'),
    stat_prefix: 'edge',
    use_remote_address: true,
    access_log: Object.entries(FORMATS).map(([name, json_format]) => ({
      name: 'file',
      typed_config: {
        ...type('envoy.extensions.access_loggers.file.v3.FileAccessLog'),
        path: join(folder, `${name}.json`),
        log_format: { json_format },
      },
    })),
    route_config: {
      virtual_hosts: [
        { name: 'all', domains: ['*'], routes: [{ match: { prefix: '/' }, direct_response: { status: 200 } }] },
      ],
    },
    http_filters: [{ name: 'router', typed_config: type('envoy.extensions.filters.http.router.v3.Router') }],
  };
  const envoy = await startEnvoy({
    adminPort,
    config: {
      admin: { address: address(adminPort) },
      static_resources: {
        listeners: [
          {
            address: address(port),
            filter_chains: [{ filters: [{ name: 'http', typed_config: connections }] }],
          },
        ],
      },
    },
  });
  for (let page = 0; page < CALLS; page++)
    await fetch(`http://127.0.0.1:${port}/list?page=${page}`, {
      method: page === 4 ? 'POST' : 'GET',
      headers: { 'x-forwarded-for': '203.0.113.9', 'x-tenant': 'shop' },
    });
  // Written every ten seconds, and at the end.
  await envoy.stop(5000);
  for (const name of Object.keys(FORMATS))
    await until(`the log ${name}`, async () =>
      (await readFile(join(folder, `${name}.json`), 'utf8')).split('\n').length > CALLS ? true : undefined,
    );
}, 60_000);

afterAll(() => rm(folder, { recursive: true, force: true }));

const policyFile = async (rules: string): Promise<string> => {
  const file = join(await tempFolder(), 'policy.yaml');
  await writeFile(file, `settings: { trustedHops: 1 }\nrules:\n${rules}`);
  return file;
};

test.each(['gateway', 'istio'])(
  'of the format %s has what a policy reads',
  async (name) => {
    const policy = await policyFile(`
  - { name: second, match: 'request.query[?"page"].orValue("") == "2" && request.host == "127.0.0.1"', deny: {} }
  - { name: posts, match: 'request.method == "POST" && request.size >= 0 && request.protocol == "HTTP/1.1"', deny: {} }
  - { name: others, match: 'origin.ip != ip("203.0.113.9") || source.ip != ip("127.0.0.1") || !has(request.id)', deny: {} }
`);
    const { out, err, code } = await run(['replay', policy, join(folder, `${name}.json`), '--summary', '--json']);
    expect({ err, code }).toEqual({ err: '', code: 0 });
    expect(JSON.parse(out)).toMatchObject({
      summary: {
        calls: CALLS,
        verdicts: { allow: 3, 'deny by second': 1, 'deny by posts': 1 },
        notRead: 0,
        ignoredKeys: [],
      },
    });
  },
  60_000,
);

test('of keys of its own is read as the operator says', async () => {
  const policy = await policyFile(`
  - { name: second, match: 'request.query[?"page"].orValue("") == "2" && request.headers["x-tenant"] == "shop"', deny: {} }
`);
  const map = ['ts=request.time', 'verb=request.method', 'uri=request.path', 'tenant=request.headers["x-tenant"]'];
  const args = map.flatMap((one) => ['--map', one]);
  const { out, err } = await run(['diff', '--recorded', policy, join(folder, 'own.json'), ...args]);
  expect(out).toBe(`nothing changes for 0 calls; ${CALLS} without a recorded verdict\n`);
  expect(err).toContain('ignored keys of the access log: zone ');
  const replayed = await run(['replay', policy, join(folder, 'own.json'), ...args, '--summary', '--json']);
  expect(JSON.parse(replayed.out)).toMatchObject({ summary: { verdicts: { allow: 4, 'deny by second': 1 } } });
  const wrong = await run(['replay', policy, join(folder, 'own.json'), '--map', 'ts=request.nonsense']);
  expect([wrong.code, wrong.err]).toEqual([2, expect.stringContaining('--map is "ts=request.nonsense"')]);
}, 60_000);

test('cannot be read without a time', async () => {
  const { code, err } = await run([
    'replay',
    await policyFile('  - { name: all, deny: {} }\n'),
    join(folder, 'own.json'),
  ]);
  expect(code).toBe(3);
  expect(err).toMatch(/own\.json:1 TRAFFIC_NOT_A_CALL start_time is missing[\s\S]*CLI_NO_CALLS no call was read/);
}, 60_000);
