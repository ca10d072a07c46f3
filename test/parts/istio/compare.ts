/**
 * The same AuthorizationPolicy, or roles of RBAC v1alpha1, by Envoy's own RBAC filter and by Sluice behind ext_authz, with the same
 * requests.
 * **In**: a seed, numbers of workloads and requests. **Out**: how many requests passed, and those on which the two differ.
 */
import { createHmac } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { Agent, request } from 'node:https';
import { stringify } from 'yaml';
import { serveSluice, type ServedSluice } from '../../e2e/sluice.ts';
import { makeAuthority } from '../certificates.ts';
import { startEnvoy } from '../envoy.ts';
import { freePort } from '../free-port.ts';
import { Random } from '../random.ts';
import type { PolicyDocument } from './policy.ts';
import {
  CERTIFICATES,
  type Certificate,
  METADATA,
  randomPolicies,
  type RandomRequest,
  randomRequest,
  TOKENS,
} from './random.ts';
import { address, connectionManager, contextOf, extAuthz, serverTls, type, withSluice } from './envoy-parts.ts';
import { LABELS, RBAC_ON, randomRbac, type RbacWorkload, serviceOf } from './random-rbac.ts';
import { rbacFilters } from './rbac-config.ts';

/** The addresses of the two listeners of each port. */
const RBAC = '127.0.0.1';
const EXT_AUTHZ = '127.0.0.2';

const SECRET = Buffer.from('a key for the tokens of this comparison');
const tokenOf = (payload: Readonly<Record<string, unknown>>): string => {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const signed = `${part({ alg: 'HS256', typ: 'JWT', kid: 'k' })}.${part({ exp: 4_102_444_800, ...payload })}`;
  return `${signed}.${createHmac('sha256', SECRET).update(signed).digest('base64url')}`;
};
const HEADERS_OF_TOKENS = TOKENS.map((payload) => (payload === undefined ? undefined : `Bearer ${tokenOf(payload)}`));

export interface Difference {
  readonly workload: number;
  readonly request: RandomRequest;
  readonly rbac: number;
  readonly sluice: number;
  readonly policies: string;
}
export interface Comparison {
  readonly policies: number;
  readonly requests: number;
  readonly passed: number;
  readonly differences: readonly Difference[];
}

/** `ServiceRole`: roles and bindings of v1alpha1 instead of AuthorizationPolicy. */
export async function compareWithRbac(options: {
  seed: number;
  workloads: number;
  requests: number;
  kind?: 'AuthorizationPolicy' | 'ServiceRole';
}): Promise<Comparison> {
  const random = new Random(options.seed);
  const ports = [await freePort(), await freePort()];
  const names = ports.map(String);
  const isRbac = options.kind === 'ServiceRole';
  const made = Array.from({ length: options.workloads }, (_, at): RbacWorkload => {
    if (isRbac) return randomRbac(random, `case-${at}`, names);
    const policies = randomPolicies(random, `case-${at}`, names);
    return { documents: policies, policies };
  });
  const workloads = made.map(({ policies }) => policies);
  const documents = made.flatMap((one) => one.documents);
  const authority = await makeAuthority();
  let sluice: ServedSluice | undefined;
  let envoy: Awaited<ReturnType<typeof startEnvoy>> | undefined;
  const agents = new Map<string, Agent>();
  try {
    const server = await authority.issue('server', 'DNS:localhost');
    const clients = new Map<Certificate, { cert: string; key: string }>();
    for (const [name, san] of Object.entries(CERTIFICATES) as [Certificate, string | undefined][])
      if (san !== undefined) {
        const { cert, key } = await authority.issue(name, san);
        clients.set(name, { cert: await readFile(cert, 'utf8'), key: await readFile(key, 'utf8') });
      }
    sluice = await serveSluice(
      [{ settings: { path: 'NONE', trustedHops: 1 } }, ...(isRbac ? [RBAC_ON] : []), ...documents]
        .map((one) => stringify(one))
        .join('---\n'),
    );
    const adminPort = await freePort();
    envoy = await startEnvoy({
      adminPort,
      config: envoyConfig({ adminPort, ports, sluicePort: sluice.grpcPort, workloads, server, ca: authority.ca }),
    });
    const agentOf = ({ certificate, sni, from }: RandomRequest): Agent => {
      const key = [certificate, sni, from].join(' ');
      let agent = agents.get(key);
      if (agent === undefined)
        agents.set(
          key,
          (agent = new Agent({
            keepAlive: true,
            rejectUnauthorized: false,
            servername: sni,
            localAddress: from,
            ...clients.get(certificate),
          })),
        );
      return agent;
    };
    const statusOf = async (host: string, workload: number, one: RandomRequest): Promise<number> =>
      new Promise((resolve, reject) => {
        const authorization = HEADERS_OF_TOKENS[one.token];
        const sent = request(
          {
            host,
            port: ports[one.port],
            method: one.method,
            path: one.path,
            servername: one.sni,
            agent: agentOf(one),
            headers: {
              ...one.headers,
              'x-case': String(workload),
              ...(authorization === undefined ? {} : { authorization }),
            },
          },
          (answer) => {
            answer.resume();
            answer.once('end', () => resolve(answer.statusCode ?? 0));
            answer.once('error', reject);
          },
        );
        sent.once('error', reject);
        sent.end();
      });
    const differences: Difference[] = [];
    let passed = 0;
    const pending = Array.from({ length: options.requests }, (_, at) => ({
      workload: at % workloads.length,
      request: randomRequest(random),
    }));
    const work = async (): Promise<void> => {
      for (let one = pending.pop(); one !== undefined; one = pending.pop()) {
        const { workload, request: asked } = one;
        const rbac = await statusOf(RBAC, workload, asked);
        const ours = await statusOf(EXT_AUTHZ, workload, asked);
        if (rbac === 200) passed++;
        if (rbac !== ours)
          differences.push({
            workload,
            request: asked,
            rbac,
            sluice: ours,
            policies: stringify(made[workload]?.documents),
          });
      }
    };
    await Promise.all(Array.from({ length: 16 }, work));
    return { policies: documents.length, requests: options.requests, passed, differences };
  } finally {
    for (const agent of agents.values()) agent.destroy();
    await envoy?.stop();
    await sluice?.stop();
    await authority.remove();
  }
}

interface EnvoyOptions {
  readonly adminPort: number;
  readonly ports: readonly number[];
  readonly sluicePort: number;
  readonly workloads: readonly (readonly PolicyDocument[])[];
  readonly server: { readonly cert: string; readonly key: string };
  readonly ca: string;
}

function envoyConfig({ adminPort, ports, sluicePort, workloads, server, ca }: EnvoyOptions): object {
  const listener = (host: string, port: number, checks: readonly object[]): object => ({
    name: `${host}:${port}`,
    address: address(host, port),
    listener_filters: [
      { name: 'tls', typed_config: type('envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector') },
    ],
    filter_chains: [
      {
        transport_socket: serverTls(server, ca),
        filters: [{ name: 'http', typed_config: httpFilters(workloads, checks) }],
      },
    ],
  });
  return withSluice(
    adminPort,
    sluicePort,
    ports.flatMap((port) => [listener(RBAC, port, RBAC_CHECKS), listener(EXT_AUTHZ, port, EXT_AUTHZ_CHECKS)]),
  );
}

const RBAC_FILTER = type('envoy.extensions.filters.http.rbac.v3.RBAC');
const RBAC_CHECKS = [
  { name: 'rbac-deny', typed_config: RBAC_FILTER },
  { name: 'rbac-allow', typed_config: RBAC_FILTER },
];
const EXT_AUTHZ_CHECKS = [
  extAuthz({ metadata_context_namespaces: ['envoy.filters.http.jwt_authn', 'envoy.filters.http.demo'] }),
];

function httpFilters(workloads: readonly (readonly PolicyDocument[])[], checks: readonly object[]): object {
  const providers = ['https://issuer.example/a', 'testing@example.com'].map((issuer, at): [string, object] => [
    `p${at}`,
    {
      issuer,
      forward: true,
      payload_in_metadata: 'payload',
      normalize_payload_in_metadata: { space_delimited_claims: ['scope', 'permission'] },
      local_jwks: {
        inline_string: JSON.stringify({
          keys: [{ kty: 'oct', kid: 'k', alg: 'HS256', k: SECRET.toString('base64url') }],
        }),
      },
    },
  ]);
  const filters = [
    {
      name: 'jwt',
      typed_config: {
        ...type('envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication'),
        providers: Object.fromEntries(providers),
        rules: [
          {
            match: { prefix: '/' },
            requires: {
              requires_any: {
                requirements: [...providers.map(([name]) => ({ provider_name: name })), { allow_missing: {} }],
              },
            },
          },
        ],
      },
    },
    {
      name: 'metadata',
      typed_config: {
        ...type('envoy.extensions.filters.http.set_metadata.v3.Config'),
        metadata: [{ metadata_namespace: 'envoy.filters.http.demo', value: METADATA }],
      },
    },
    ...checks,
  ];
  return connectionManager(
    workloads.length,
    filters,
    checks === RBAC_CHECKS
      ? (at) => rbacOf(workloads[at] ?? [])
      : (at) =>
          contextOf(at, {
            'destination.service.host': serviceOf(`case-${at}`),
            'destination.labels': Object.entries(LABELS)
              .map((label) => label.join('='))
              .join(','),
          }),
  );
}

function rbacOf(policies: readonly PolicyDocument[]): object {
  const { deny, allow } = rbacFilters(policies);
  const perRoute = type('envoy.extensions.filters.http.rbac.v3.RBACPerRoute');
  return { 'rbac-deny': { ...perRoute, rbac: deny }, 'rbac-allow': { ...perRoute, rbac: allow } };
}
