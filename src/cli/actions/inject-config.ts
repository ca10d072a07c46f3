/** The configurations of `sluice inject`: built in, from files, or from ConfigMaps of a cluster. */
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { json } from 'node:stream/consumers';
import { template10 } from '../../inject/built-in/style-1.0.ts';
import { templateToday } from '../../inject/built-in/style-today.ts';
import { goBoolean, TRAFFIC_FLAGS } from '../../inject/annotations.ts';
import type { InjectConfig, Style } from '../../inject/contract.ts';
import { defaultMeshConfig, type MeshConfig, readInjectConfig, readMeshConfig } from '../../inject/configs.ts';
import { ApiConnection } from '../../kubernetes/api-connection.ts';
import { fromKubeconfig, inCluster } from '../../kubernetes/index.ts';
import { messageOf } from '../../text/message-of.ts';
import { CliError } from '../cli-error.ts';
import { DEPRECATED } from '../commands/inject.ts';
import { VERSION } from '../package.ts';

export interface ConfigFlags {
  readonly style: Style;
  readonly image?: string;
  readonly nativeSidecar?: true;
  readonly injectConfigFile?: string;
  readonly meshConfigFile?: string;
  readonly injectConfigMapName?: string;
  readonly meshConfigMapName?: string;
  readonly istioNamespace: string;
  readonly kubeconfig?: string;
  readonly context?: string;
  readonly hub?: string;
  readonly tag?: string;
  readonly coreDump?: string | true;
  readonly imagePullPolicy?: string;
  readonly includeIPRanges?: string;
  readonly excludeIPRanges?: string;
  readonly includeInboundPorts?: string;
  readonly excludeInboundPorts?: string;
  readonly debug?: string | true;
  readonly sidecarProxyUID?: string;
}

export async function configFrom(flags: ConfigFlags): Promise<InjectConfig> {
  refuseDeprecated(flags);
  const { style, injectConfigFile, injectConfigMapName } = flags;
  if (flags.hub === undefined && flags.tag === undefined) {
    if (injectConfigFile !== undefined && injectConfigMapName !== undefined)
      throw new CliError('CLI_USAGE', '--injectConfigFile and --injectConfigMapName are mutually exclusive');
    if (injectConfigFile !== undefined)
      return readInjectConfig(await textOf(injectConfigFile), injectConfigFile, style);
    if (injectConfigMapName !== undefined)
      return readInjectConfig(await configMap(injectConfigMapName, 'config', flags), injectConfigMapName, style);
  }
  return { policy: 'enabled', style, template: style === '1.0' ? builtIn10(flags) : builtInToday(flags) };
}

export async function meshFrom(flags: ConfigFlags): Promise<MeshConfig> {
  const { style, meshConfigFile, meshConfigMapName } = flags;
  if (meshConfigFile !== undefined) return readMeshConfig(await textOf(meshConfigFile), meshConfigFile, style);
  if (meshConfigMapName !== undefined)
    return readMeshConfig(await configMap(meshConfigMapName, 'mesh', flags), meshConfigMapName, style);
  return defaultMeshConfig(style);
}

function refuseDeprecated(flags: ConfigFlags): void {
  const given = DEPRECATED.filter((option) => option.attributeName() in flags);
  const [first] = given;
  if (first === undefined) return;
  const env = process.env['ISTIOCTL_USE_BUILTIN_DEFAULTS'] ?? '';
  if (env.toLowerCase() !== 'true' && env !== '1')
    throw new CliError(
      'CLI_USAGE',
      `${first.long} is deprecated: write the template that you want, and give it by --injectConfigFile; ` +
        '`sluice inject --emitTemplate` prints the built-in one. ISTIOCTL_USE_BUILTIN_DEFAULTS=true takes the flag all the same',
    );
  if (flags.style !== '1.0') throw new CliError('CLI_USAGE', `${first.long} is of --style 1.0`);
  if ((flags.hub ?? '') === '' || (flags.tag ?? '') === '')
    throw new CliError(
      'CLI_USAGE',
      `hub and tag are both required. got hub: '${flags.hub ?? ''}', tag: '${flags.tag ?? ''}'`,
    );
  for (const [name, check] of Object.entries(TRAFFIC_FLAGS)) {
    try {
      check(flags[name as keyof typeof TRAFFIC_FLAGS] ?? '');
    } catch (error) {
      throw new CliError('CLI_USAGE', messageOf(error));
    }
  }
}

const OWN_IMAGE = `sluice-proxy:${VERSION}`;

function builtIn10(flags: ConfigFlags): string {
  const { hub, tag, image = OWN_IMAGE } = flags;
  const debug = isOn('--debug', flags.debug ?? 'false');
  const ofIstio = hub !== undefined && tag !== undefined;
  return template10({
    initImage: ofIstio ? `${hub}/proxy_init:${tag}` : image,
    proxyImage: ofIstio ? `${hub}/${debug ? 'proxy_debug' : 'proxyv2'}:${tag}` : image,
    initCommand: ofIstio ? [] : ['iptables'],
    imagePullPolicy: flags.imagePullPolicy ?? '',
    proxyUid: uidFrom(flags.sidecarProxyUID ?? '1337'),
    includeIPRanges: flags.includeIPRanges ?? '*',
    excludeIPRanges: flags.excludeIPRanges ?? '',
    excludeInboundPorts: flags.excludeInboundPorts ?? '',
    coreDump: ofIstio && isOn('--coreDump', flags.coreDump ?? 'true'),
    debug,
  });
}

const builtInToday = ({ image = OWN_IMAGE, nativeSidecar }: ConfigFlags): string =>
  templateToday({ image, imagePullPolicy: 'IfNotPresent', nativeSidecar: nativeSidecar === true });

function isOn(flag: string, value: string | true): boolean {
  const isTrue = value === true ? true : goBoolean(value);
  if (isTrue !== undefined) return isTrue;
  throw new CliError('CLI_USAGE', `${flag} is "${value}"; expected true or false`);
}

function uidFrom(text: string): number {
  const uid = Number(text);
  if (Number.isSafeInteger(uid) && uid >= 0) return uid;
  throw new CliError('CLI_USAGE', `--sidecarProxyUID is "${text}"; expected the number of a user`);
}

async function textOf(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw new CliError('CLI_FILE', `${file} cannot be read: ${messageOf(error)}`);
  }
}

const ANSWER_MS = 10_000;

async function configMap(name: string, key: string, flags: ConfigFlags): Promise<string> {
  const { istioNamespace, kubeconfig, context } = flags;
  try {
    const read = kubeconfig === undefined ? inCluster({}) : fromKubeconfig(resolve(kubeconfig), context);
    const connection = new ApiConnection(await read());
    try {
      const path = `/api/v1/namespaces/${encodeURIComponent(istioNamespace)}/configmaps/${encodeURIComponent(name)}`;
      const body = await connection.get(path, {
        query: {},
        accept: 'application/json',
        signal: AbortSignal.timeout(ANSWER_MS),
        answerWithinMs: ANSWER_MS,
        silentAfterMs: ANSWER_MS,
      });
      const { data = {} } = (await json(body)) as { readonly data?: Readonly<Record<string, string>> };
      const text = data[key];
      if (text === undefined) throw new Error(`missing configuration map key "${key}"`);
      return text;
    } finally {
      connection.close();
    }
  } catch (error) {
    throw new CliError(
      'CLI_UNREACHABLE',
      `the ConfigMap ${name} of the namespace ${istioNamespace} cannot be read: ${messageOf(error)}`,
    );
  }
}
