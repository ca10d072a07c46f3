/**
 * The same RequestAuthentications by Envoy's jwt_authn filter, configured as istiod does, and by Sluice behind ext_authz, with the same
 * tokens. **In**: a seed, numbers of workloads and requests. **Out**: how many requests passed, and those on which the two differ; the
 * number of those that docs/istio.md lists.
 */
import { Agent, request } from 'node:http';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { stringify } from 'yaml';
import { serveSluice } from '../../e2e/sluice.ts';
import { startEnvoy } from '../envoy.ts';
import { freePort } from '../free-port.ts';
import { Random } from '../random.ts';
import { address, connectionManager, extAuthz, type, withSluice } from './envoy-parts.ts';

const ISSUERS = ['https://a.example', 'https://b.example', 'https://c.example'] as const;
type Issuer = (typeof ISSUERS)[number];
const KINDS = [
  'valid',
  'expired',
  'early',
  'wrong issuer',
  'wrong audience',
  'no audience',
  'wrong key',
  'malformed',
] as const;
const PLACES = ['authorization', 'x-token', 'access_token', 'token', 'session'] as const;
type Place = (typeof PLACES)[number];

interface JwtRule {
  readonly issuer: Issuer;
  readonly jwks: string;
  readonly audiences?: readonly string[];
  readonly fromHeaders?: readonly { readonly name: string; readonly prefix?: string }[];
  readonly fromParams?: readonly string[];
  readonly fromCookies?: readonly string[];
  readonly forwardOriginalToken?: boolean;
}
interface Authentication {
  readonly apiVersion: 'security.istio.io/v1';
  readonly kind: 'RequestAuthentication';
  readonly metadata: { readonly name: string; readonly namespace: string };
  readonly spec: { readonly jwtRules: readonly JwtRule[] };
}
/** A token of a kind in a place. */
interface Sent {
  readonly kind: (typeof KINDS)[number];
  readonly issuer: Issuer;
  readonly place: Place;
}

export interface TokenDifference {
  readonly sent: readonly Sent[];
  readonly envoy: number;
  readonly sluice: number;
  readonly policies: string;
}

type JwtKey = Awaited<ReturnType<typeof generateKeyPair>>['privateKey'];

async function makeKeys(): Promise<(issuer: Issuer, isRight?: boolean) => { key: JwtKey; jwks: string }> {
  const made = await Promise.all(
    [...ISSUERS, 'other'].map(async (name) => {
      const { publicKey, privateKey } = await generateKeyPair('ES256', { extractable: true });
      const jwks = JSON.stringify({ keys: [{ ...(await exportJWK(publicKey)), kid: 'k', alg: 'ES256' }] });
      return [name, { key: privateKey, jwks }] as const;
    }),
  );
  const keys = new Map<string, { key: JwtKey; jwks: string }>(made);
  return (issuer, isRight = true) => keys.get(isRight ? issuer : 'other') as { key: JwtKey; jwks: string };
}
type Keys = Awaited<ReturnType<typeof makeKeys>>;

function tokenOf({ kind, issuer }: Sent, keys: Keys): Promise<string> | string {
  if (kind === 'malformed') return 'not.a-token';
  const now = Math.floor(Date.now() / 1000);
  const token = new SignJWT({
    iss: kind === 'wrong issuer' ? 'https://elsewhere.example' : issuer,
    sub: 'ann',
    ...(kind === 'no audience' ? {} : { aud: kind === 'wrong audience' ? 'bank' : 'shop' }),
    exp: kind === 'expired' ? now - 600 : now + 3600,
    ...(kind === 'early' ? { nbf: now + 600 } : {}),
  });
  return token.setProtectedHeader({ alg: 'ES256', kid: 'k' }).sign(keys(issuer, kind !== 'wrong key').key);
}

function ruleOf(random: Random, issuer: Issuer, keys: Keys): JwtRule {
  const locations = random.one<Partial<JwtRule>>([
    {},
    {},
    { fromHeaders: [{ name: 'x-token' }] },
    { fromHeaders: [{ name: 'Authorization', prefix: 'Bearer ' }, { name: 'x-token' }] },
    { fromParams: ['token'] },
    { fromCookies: ['session'] },
    { fromHeaders: [{ name: 'x-token' }], fromParams: ['token'], fromCookies: ['session'] },
  ]);
  return {
    issuer,
    jwks: keys(issuer).jwks,
    ...(random.chance(2) ? { audiences: ['shop', 'web'] } : {}),
    ...locations,
    ...(random.chance(2) ? { forwardOriginalToken: true } : {}),
  };
}

const randomAuthentications = (random: Random, namespace: string, keys: Keys): Authentication[] =>
  random.list([1, 1, 2, 2, 3], (at) => ({
    apiVersion: 'security.istio.io/v1',
    kind: 'RequestAuthentication',
    metadata: { name: `t${at}`, namespace },
    // Sluice takes an issuer once in an object (docs/istio.md).
    spec: {
      jwtRules: [...new Set(random.list([1, 1, 2], () => random.one(ISSUERS)))].map((one) => ruleOf(random, one, keys)),
    },
  }));

/** One token for each place at most. */
const randomSent = (random: Random): Sent[] => {
  const sent = random.list([0, 1, 1, 1, 1, 2], (): Sent => ({
    kind: random.chance(2) ? 'valid' : random.one(KINDS),
    issuer: random.one(ISSUERS),
    place: random.chance(2) ? 'authorization' : random.one(PLACES),
  }));
  return [...new Map(sent.map((one) => [one.place, one])).values()];
};

/** What istiod writes: of the rules of all objects any may accept a token; if none does, each must find none. */
function jwtFilter(workloads: readonly (readonly Authentication[])[]): object {
  const providers: [string, object][] = [];
  const rules = workloads.map((objects, workload) => {
    const names = objects
      .flatMap(({ spec }) => spec.jwtRules)
      .map((rule, at) => {
        const name = `w${workload}-origins-${at}`;
        providers.push([
          name,
          {
            issuer: rule.issuer,
            audiences: rule.audiences ?? [],
            local_jwks: { inline_string: rule.jwks },
            forward: rule.forwardOriginalToken ?? false,
            from_headers: (rule.fromHeaders ?? []).map(({ name: header, prefix = '' }) => ({
              name: header,
              value_prefix: prefix,
            })),
            from_params: rule.fromParams ?? [],
            from_cookies: rule.fromCookies ?? [],
          },
        ]);
        return name;
      });
    const orMissing = names.map((name) => ({
      requires_any: { requirements: [{ provider_name: name }, { allow_missing: {} }] },
    }));
    return {
      match: { prefix: '/', headers: [{ name: 'x-case', string_match: { exact: String(workload) } }] },
      requires:
        orMissing.length === 1
          ? orMissing[0]
          : {
              requires_any: {
                requirements: [
                  ...names.map((name) => ({ provider_name: name })),
                  { requires_all: { requirements: orMissing } },
                ],
              },
            },
    };
  });
  return {
    name: 'jwt',
    typed_config: {
      ...type('envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication'),
      providers: Object.fromEntries(providers),
      rules,
      bypass_cors_preflight: true,
    },
  };
}

/** The differences of docs/istio.md. */
function listedReason(sent: readonly Sent[], envoy: number, sluice: number, objects: number): string | undefined {
  if (sent.length > 1) return 'several tokens';
  return objects > 1 && envoy === 403 && sluice === 401 ? '401 instead of 403' : undefined;
}

export async function compareWithJwtAuthn(options: { seed: number; workloads: number; requests: number }): Promise<{
  readonly policies: number;
  readonly passed: number;
  readonly refused: Readonly<Record<number, number>>;
  readonly differences: readonly TokenDifference[];
  readonly listed: Readonly<Record<string, number>>;
}> {
  const random = new Random(options.seed);
  const keys = await makeKeys();
  const workloads = Array.from({ length: options.workloads }, (_, at) =>
    randomAuthentications(random, `case-${at}`, keys),
  );
  const sluice = await serveSluice(
    workloads
      .flat()
      .map((one) => stringify(one))
      .join('---\n'),
  );
  const [adminPort, envoyPort, sluicePort] = [await freePort(), await freePort(), await freePort()];
  const listener = (port: number, filter: object): object => ({
    name: String(port),
    address: address('127.0.0.1', port),
    filter_chains: [{ filters: [{ name: 'http', typed_config: connectionManager(workloads.length, [filter]) }] }],
  });
  const envoy = await startEnvoy({
    adminPort,
    config: withSluice(adminPort, sluice.grpcPort, [
      listener(envoyPort, jwtFilter(workloads)),
      listener(sluicePort, extAuthz()),
    ]),
  }).catch(async (error: unknown) => {
    await sluice.stop();
    throw error;
  });
  const agent = new Agent({ keepAlive: true });
  const statusOf = async (
    port: number,
    workload: number,
    tokens: readonly (readonly [Place, string])[],
  ): Promise<number> => {
    const query = tokens.filter(([place]) => place === 'access_token' || place === 'token').map((one) => one.join('='));
    const headers: Record<string, string> = { 'x-case': String(workload) };
    for (const [place, token] of tokens)
      if (place === 'authorization') headers['authorization'] = `Bearer ${token}`;
      else if (place === 'x-token') headers['x-token'] = token;
      else if (place === 'session') headers['cookie'] = `a=b; session=${token}`;
    return new Promise((resolve, reject) => {
      const sent = request({
        host: '127.0.0.1',
        port,
        path: query.length === 0 ? '/' : `/?${query.join('&')}`,
        headers,
        agent,
      });
      sent.once('error', reject);
      sent.once('response', (answer) => {
        answer.resume();
        answer.once('end', () => resolve(answer.statusCode ?? 0));
      });
      sent.end();
    });
  };
  try {
    const differences: TokenDifference[] = [];
    const listed: Record<string, number> = {};
    const refused: Record<number, number> = {};
    let passed = 0;
    const pending = Array.from({ length: options.requests }, (_, at) => ({
      workload: at % workloads.length,
      sent: randomSent(random),
    }));
    const work = async (): Promise<void> => {
      for (let one = pending.pop(); one !== undefined; one = pending.pop()) {
        const tokens = await Promise.all(
          one.sent.map(async (each) => [each.place, await tokenOf(each, keys)] as const),
        );
        const byEnvoy = await statusOf(envoyPort, one.workload, tokens);
        const bySluice = await statusOf(sluicePort, one.workload, tokens);
        if (byEnvoy === 200) passed++;
        else refused[byEnvoy] = (refused[byEnvoy] ?? 0) + 1;
        if (byEnvoy === bySluice) continue;
        const objects = workloads[one.workload] ?? [];
        const reason = listedReason(one.sent, byEnvoy, bySluice, objects.length);
        if (reason !== undefined) listed[reason] = (listed[reason] ?? 0) + 1;
        else
          differences.push({
            sent: one.sent,
            envoy: byEnvoy,
            sluice: bySluice,
            policies: stringify(objects.map(({ spec }) => spec.jwtRules.map((rule) => ({ ...rule, jwks: undefined })))),
          });
      }
    };
    await Promise.all(Array.from({ length: 16 }, work));
    return { policies: workloads.flat().length, passed, refused, differences, listed };
  } finally {
    agent.destroy();
    await envoy.stop();
    await sluice.stop();
  }
}
