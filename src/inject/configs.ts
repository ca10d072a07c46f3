/**
 * The configurations of an injector: Istio's `{ policy, template }`, and the MeshConfig with its defaultConfig, the ProxyConfig.
 * **In**: YAML of a ConfigMap or a file. **Out**: JSON with the defaults of Istio 1.0; further fields stay, for templates that read them.
 * **Fails**: with an InjectError that names the field.
 */
import { z } from 'zod';
import { messageOf } from '../text/message-of.ts';
import { goDurationNanos } from '../time/duration.ts';
import { isObject, type JsonObject } from '../text/json-object.ts';
import { type InjectConfig, type Style } from './contract.ts';
import { InjectError } from './errors.ts';
import { readYaml } from './read-yaml.ts';

export interface MeshConfig extends JsonObject {
  readonly defaultConfig: JsonObject;
}

const duration = z
  .string()
  .refine((text) => goDurationNanos(text) !== undefined, 'expected a duration, such as 45s or 1m0s');
const port = z.int().min(0).max(65535);

/** Where the control plane is, unless the mesh configuration says. */
export const CONTROL_PLANE: Readonly<Record<Style, string>> = {
  '1.0': 'istio-pilot:15007',
  today: 'sluice-mesh.istio-system.svc:15012',
};

const proxyConfig = z.looseObject({
  configPath: z.string().default('/etc/istio/proxy'),
  binaryPath: z.string().default('/usr/local/bin/envoy'),
  serviceCluster: z.string().default('istio-proxy'),
  drainDuration: duration.default('2s'),
  parentShutdownDuration: duration.default('3s'),
  discoveryAddress: z.string(),
  discoveryRefreshDelay: duration.default('1s'),
  zipkinAddress: z.string().default(''),
  connectTimeout: duration.default('1s'),
  statsdUdpAddress: z.string().default(''),
  proxyAdminPort: port.default(15000),
  concurrency: z.int().min(0).default(0),
  controlPlaneAuthPolicy: z.enum(['NONE', 'MUTUAL_TLS']).default('NONE'),
  interceptionMode: z.enum(['REDIRECT', 'TPROXY', 'NONE']).default('REDIRECT'),
  proxyMetadata: z.record(z.string(), z.string()).default({}),
  statusPort: port.default(15020),
  holdApplicationUntilProxyStarts: z.boolean().default(false),
});
const meshConfig = z.looseObject({ proxyListenPort: port.default(15001), defaultConfig: proxyConfig });

export const defaultMeshConfig = (style: Style): MeshConfig => readMeshConfig('', 'the default', style);

/** `where`: what is read, for errors. The ConfigMap that holds the configuration under `mesh` is taken, too. */
export function readMeshConfig(text: string, where: string, style: Style): MeshConfig {
  const written = camelCased(configIn(text, 'mesh', where));
  const own = written['defaultConfig'] ?? {};
  if (!isObject(own)) throw new InjectError('INJECT_CONFIG', `${where}: defaultConfig is not a map`);
  const defaultConfig = { discoveryAddress: CONTROL_PLANE[style], ...camelCased(own) };
  return checked(meshConfig, { ...written, defaultConfig }, where);
}

/** Istio's `{ policy, template }`, or the ConfigMap that holds it under `config`. */
export function readInjectConfig(text: string, where: string, style: Style): InjectConfig {
  const written = configIn(text, 'config', where);
  const { policy = 'enabled', template, rewriteAppHTTPProbe = true } = written;
  if (typeof template !== 'string' || template.trim() === '')
    throw new InjectError('INJECT_CONFIG', `${where} has no template`);
  if (typeof policy !== 'string') throw new InjectError('INJECT_CONFIG', `${where}: policy is not a text`);
  if (typeof rewriteAppHTTPProbe !== 'boolean')
    throw new InjectError('INJECT_CONFIG', `${where}: rewriteAppHTTPProbe is not true or false`);
  const selectors = ['neverInjectSelector', 'alwaysInjectSelector'].map((key) => [
    key,
    selectorsOf(written, key, where),
  ]);
  return { policy, template, style, rewriteAppHTTPProbe, ...Object.fromEntries(selectors) };
}

function selectorsOf(config: JsonObject, key: string, where: string): readonly JsonObject[] {
  const list = config[key] ?? [];
  if (Array.isArray(list) && list.every(isObject)) return list;
  throw new InjectError('INJECT_CONFIG', `${where}: ${key} is not a list of label selectors`);
}

/** Fields of a pod's annotation `proxy.istio.io/config` in place of the mesh's. */
export function withProxyConfig(mesh: MeshConfig, text: string, where: string): MeshConfig {
  const { defaultConfig } = mesh;
  const own = camelCased(configIn(text, undefined, where));
  const { proxyMetadata } = own;
  const merged = {
    ...defaultConfig,
    ...own,
    ...(isObject(proxyMetadata) && {
      proxyMetadata: { ...(defaultConfig['proxyMetadata'] as JsonObject), ...proxyMetadata },
    }),
  };
  return { ...mesh, defaultConfig: checked(proxyConfig, merged, where) };
}

/** The map that a text holds, or the ConfigMap's `key`. */
function configIn(text: string, key: string | undefined, where: string): JsonObject {
  const value = yamlOf(text, where) ?? {};
  if (!isObject(value)) throw new InjectError('INJECT_CONFIG', `${where} is not a map`);
  if (key === undefined || value['kind'] !== 'ConfigMap') return value;
  const inner = isObject(value['data']) ? value['data'][key] : undefined;
  if (typeof inner !== 'string')
    throw new InjectError('INJECT_CONFIG', `${where} is a ConfigMap without the key ${key}`);
  return configIn(inner, undefined, `${where}, key ${key}`);
}

function yamlOf(text: string, where: string): unknown {
  try {
    return readYaml(text).value;
  } catch (error) {
    throw new InjectError('INJECT_CONFIG', `${where} is not YAML: ${messageOf(error)}`);
  }
}

function checked<T>(schema: z.ZodType<T>, value: unknown, where: string): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new InjectError('INJECT_CONFIG', `${where}: ${issue?.path.join('.') ?? ''}: ${issue?.message ?? ''}`);
}

/** Protobuf's JSON takes the names of fields in either case. */
const camelCased = (fields: JsonObject): JsonObject =>
  Object.fromEntries(
    Object.entries(fields).map(([key, value]) => [
      key.replaceAll(/_([a-z])/g, (_, letter: string) => letter.toUpperCase()),
      value,
    ]),
  );
