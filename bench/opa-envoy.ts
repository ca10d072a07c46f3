/** OPA's plugin for Envoy, to compare with: built by Go into the cache on first use, with the three rules and the token of bench/jwt.ts in Rego. */
import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { JWK } from 'jose';
import { freePort } from '../test/parts/free-port.ts';
import { goBuild } from '../test/parts/go-build.ts';
import { type Server, SERVER_CORE } from './check-load.ts';
import { startOnCore } from './process.ts';

const MODULE = 'github.com/open-policy-agent/opa-envoy-plugin';
const VERSION = 'v1.10.0-envoy';
/** Of the module's content. The checksum database does not know each version. */
const SUMS = [
  `${MODULE} ${VERSION} h1:N+Le+sDTrGfqoBNVrSk2CoZNWWxQT9pxA94Lnq3Pn0A=`,
  `${MODULE} ${VERSION}/go.mod h1:aO2UQzpZ0GrorKvwKpF9RefRjCI9eHZi8h8ZiP8e2Yg=`,
];

async function opaEnvoyProgram(): Promise<string> {
  const folder = resolve('.cache/opa-envoy', VERSION);
  const program = join(folder, 'opa-envoy');
  if (existsSync(program)) return program;
  await mkdir(folder, { recursive: true });
  await goBuild({
    folder,
    program: 'opa-envoy',
    requires: `require ${MODULE} ${VERSION}`,
    sums: SUMS,
    from: `${MODULE}/cmd/opa-envoy-plugin`,
  });
  return program;
}

export interface OpaToken {
  readonly issuer: string;
  readonly audience: string;
  readonly keys: readonly JWK[];
  /** Verified tokens that OPA keeps; it keeps none by default. */
  readonly cached: number;
}

/** `folder` gets the policy and the configuration. */
export async function startOpaEnvoy(name: string, folder: string, token: OpaToken): Promise<Server> {
  const port = await freePort();
  const admin = await freePort();
  const policy = join(folder, `${name.replaceAll(' ', '-')}.rego`);
  const config = join(folder, `${name.replaceAll(' ', '-')}.yaml`);
  await writeFile(policy, rego(await readFile(join(import.meta.dirname, 'policy/three-rules.rego'), 'utf8'), token));
  const cache = { inter_query_builtin_value_cache: { named: { io_jwt: { max_num_entries: token.cached } } } };
  await writeFile(
    config,
    JSON.stringify({
      plugins: { envoy_ext_authz_grpc: { addr: `127.0.0.1:${port}`, path: 'envoy/authz/result' } },
      ...(token.cached > 0 && { caching: cache }),
    }),
  );
  const process = await startOnCore(
    SERVER_CORE,
    ['run', '--server', '--addr', `127.0.0.1:${admin}`, '--log-level', 'info', '--config-file', config, policy],
    /Starting gRPC server/,
    await opaEnvoyProgram(),
  );
  return { name, process, port };
}

const rego = (rules: string, { issuer, audience, keys }: OpaToken): string =>
  rules
    .replace('ISSUER', JSON.stringify(issuer))
    .replace('AUDIENCE', JSON.stringify(audience))
    .replace('KEYS', JSON.stringify(JSON.stringify({ keys })));
