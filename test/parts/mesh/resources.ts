/** Resources of a proxy as tests look at them, and as Envoy itself reads them. */
import type { JsonObject } from '@bufbuild/protobuf';
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Made } from '../../../src/mesh/envoy/made.ts';
import { resourcesOf } from '../../../src/mesh/envoy/resources.ts';
import type { Mesh } from '../../../src/mesh/model/mesh.ts';
import { memberOf } from '../../../src/mesh/resolve/proxy.ts';
import { CLUSTER, LISTENER, ROUTES } from '../../../src/xds/index.ts';
import { compareEncoders } from '../envoy-json-by-library.ts';
import { envoyProgram } from '../fetch.ts';
import { bootstrap } from '../xds-envoy.ts';

/** Of the node with this id and metadata. `identity`: what its stream has proven. */
export function resourcesFor(mesh: Mesh, id: string, metadata: JsonObject, identity?: string): readonly Made[] {
  const member = memberOf({ id, metadata, identity }, mesh);
  if ('wrong' in member) throw new Error(member.wrong);
  return resourcesOf(mesh, member);
}

export const named = (all: readonly Made[], typeUrl: string, name: string): Made['json'] => {
  const found = all.find((one) => one.typeUrl === typeUrl && one.name === name);
  if (found === undefined)
    throw new Error(
      `no ${name}; there are ${all
        .filter((one) => one.typeUrl === typeUrl)
        .map((one) => one.name)
        .join(', ')}`,
    );
  return found.json;
};
export const names = (all: readonly Made[], typeUrl: string): readonly string[] =>
  all.filter((one) => one.typeUrl === typeUrl).map((one) => one.name);

/** What Envoy says to them, after they were encoded: tables stand in their listeners, since validation asks no control plane. */
export async function validate(all: readonly Made[]): Promise<string> {
  for (const { typeUrl, json } of all) compareEncoders(typeUrl, json);
  const folder = await mkdtemp(join(tmpdir(), 'sluice-mesh-'));
  try {
    const tables = new Map(all.filter((one) => one.typeUrl === ROUTES).map((one) => [one.name, one.json]));
    const inlined = (json: unknown): unknown =>
      JSON.parse(
        JSON.stringify(json, (key, value: unknown) => {
          if (typeof value !== 'object' || value === null || !('rds' in value)) return value;
          const { rds, ...others } = value as { rds: { route_config_name: string } };
          return { ...others, route_config: tables.get(rds.route_config_name) };
        }),
      );
    const config = bootstrap({ id: 'validate', xdsPort: 1, adminPort: 0 }) as {
      static_resources: { clusters: object[]; listeners?: unknown };
      dynamic_resources: { lds_config?: object; cds_config?: object };
    };
    const others = ['sluice', 'sds-grpc'].map((name) => ({ name, type: 'STATIC', connect_timeout: '1s' }));
    config.static_resources.clusters.push(
      ...all.filter((one) => one.typeUrl === CLUSTER).map(({ json }) => json),
      ...others,
    );
    config.static_resources.listeners = all.filter((one) => one.typeUrl === LISTENER).map(({ json }) => inlined(json));
    const file = join(folder, 'envoy.json');
    await writeFile(file, JSON.stringify(config));
    const { stdout, stderr } = await promisify(execFile)(await envoyProgram(), [
      '--mode',
      'validate',
      '-c',
      file,
      '--log-level',
      'error',
    ]).catch((error: { stdout: string; stderr: string }) => error);
    return `${stdout}${stderr}`;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
