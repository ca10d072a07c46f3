/** OPA's plugin for Envoy, to compare with: the three rules and the token of bench/jwt.ts in Rego. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { JWK } from 'jose';
import { freePort } from '../test/parts/free-port.ts';
import { opaProgram } from '../test/parts/opa.ts';
import { type Server, SERVER_CORE } from './check-load.ts';
import { startOnCore } from './process.ts';

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
    await opaProgram(),
  );
  return { name, process, port };
}

const rego = (rules: string, { issuer, audience, keys }: OpaToken): string =>
  rules
    .replace('ISSUER', JSON.stringify(issuer))
    .replace('AUDIENCE', JSON.stringify(audience))
    .replace('KEYS', JSON.stringify(JSON.stringify({ keys })));
