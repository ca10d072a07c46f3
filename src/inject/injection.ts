/**
 * What a template adds to one pod.
 * **In**: a pod, as JSON; metadata of the object that makes it; the configurations. **Out**: containers and volumes, and the status.
 * **Fails**: with an InjectError, if an annotation, the template, or what it makes is wrong.
 */
import { createHash } from 'node:crypto';
import { checkAnnotations, goBoolean, REWRITE_PROBES, STATUS_PORT } from './annotations.ts';
import { withoutAdded, withoutInjection } from './apply.ts';
import { isObject, type JsonObject } from '../text/json-object.ts';
import {
  INJECTED_LISTS,
  type InjectConfig,
  type InjectedList,
  type Injection,
  type Pod,
  PROXY_CONTAINER,
} from './contract.ts';
import { InjectError } from './errors.ts';
import { type MeshConfig, withProxyConfig } from './configs.ts';
import { containerOf, listOf } from './pod.ts';
import { changedProbes, PROBERS_VARIABLE, rewrittenProbes, type RewrittenProbes } from './probes.ts';
import { ExpandedYaml, textOf } from './expanded-yaml.ts';
import { expanded, type Piece } from './template/expand.ts';
import { parseTemplate, type Template } from './template/parse.ts';
import { YamlFault } from './read-yaml.ts';

interface Compiled {
  readonly template: Template;
  /** Of the text before it is expanded, as in Istio. */
  readonly version: string;
  readonly yaml: ExpandedYaml;
}

/** Configurations live long: each template is read once. */
const compiled = new WeakMap<InjectConfig, Compiled>();

export function compiledOf(config: InjectConfig): Compiled {
  let found = compiled.get(config);
  if (found === undefined) {
    const version = createHash('sha256').update(config.template).digest('hex');
    found = { template: parseTemplate(config.template), version, yaml: new ExpandedYaml() };
    compiled.set(config, found);
  }
  return found;
}

export function injectionFor(given: Pod, owner: JsonObject, config: InjectConfig, mesh: MeshConfig): Injection {
  const pod = withoutInjection(given);
  const { template, version, yaml } = compiledOf(config);
  const annotations = (pod.metadata['annotations'] ?? {}) as Readonly<Record<string, string>>;
  checkAnnotations(annotations, config.style);
  const meshConfig = config.style === 'today' ? meshConfigOfPod(mesh, annotations) : mesh;
  const pieces = expanded(template, {
    objectMeta: pod.metadata,
    deploymentMeta: owner,
    spec: pod.spec,
    proxyConfig: meshConfig.defaultConfig,
    meshConfig,
  });
  const made = expandedYamlOf(pieces, yaml);
  const lists = Object.fromEntries(INJECTED_LISTS.map((list) => [list, itemsOf(list, made[list], config)])) as Record<
    InjectedList,
    readonly JsonObject[]
  >;
  const rewritten = probesFor(pod.spec, lists, statusPort(annotations, meshConfig, config));
  return {
    ...withProbers(lists, rewritten.probers),
    first: firstOf(made['first']),
    probes: changedProbes(withoutAdded(given).spec, rewritten.spec),
    status: statusOf(version, lists),
    warnings: rewritten.warnings,
  };
}

type Lists = Readonly<Record<InjectedList, readonly JsonObject[]>>;

const hasProxy = (containers: readonly JsonObject[]): boolean =>
  containers.some(({ name }) => name === PROXY_CONTAINER);

/** The agent's port for probes; 0: the kubelet makes them. */
function statusPort(
  annotations: Readonly<Record<string, string>>,
  { defaultConfig }: MeshConfig,
  { style, rewriteAppHTTPProbe = true }: InjectConfig,
): number {
  const isAsked = goBoolean(annotations[REWRITE_PROBES] ?? '') ?? rewriteAppHTTPProbe;
  if (style === '1.0' || !isAsked) return 0;
  return Number(annotations[STATUS_PORT] ?? defaultConfig['statusPort']);
}

/** A pod without an agent keeps its probes. */
const probesFor = (spec: JsonObject, { initContainers, containers }: Lists, port: number): RewrittenProbes =>
  port > 0 && (hasProxy(containers) || hasProxy(initContainers))
    ? rewrittenProbes(spec, port)
    : { spec, probers: undefined, warnings: [] };

function withProbers(lists: Lists, probers: string | undefined): Lists {
  if (probers === undefined) return lists;
  const list = hasProxy(lists.containers) ? 'containers' : 'initContainers';
  const variable = { name: PROBERS_VARIABLE, value: probers };
  const items = lists[list].map((item) =>
    item['name'] === PROXY_CONTAINER
      ? { ...item, env: [...((item['env'] ?? []) as readonly unknown[]), variable] }
      : item,
  );
  return { ...lists, [list]: items };
}

const PROXY_CONFIG = 'proxy.istio.io/config';

function meshConfigOfPod(mesh: MeshConfig, annotations: Readonly<Record<string, string>>): MeshConfig {
  const own = annotations[PROXY_CONFIG];
  if (own === undefined) return mesh;
  try {
    return withProxyConfig(mesh, own, `the annotation ${PROXY_CONFIG}`);
  } catch (error) {
    throw error instanceof InjectError ? new InjectError('INJECT_ANNOTATION', error.message, PROXY_CONFIG) : error;
  }
}

function expandedYamlOf(pieces: readonly Piece[], yaml: ExpandedYaml): JsonObject {
  try {
    const value = yaml.valueOf(pieces);
    if (isObject(value)) return value;
  } catch (error) {
    if (!(error instanceof YamlFault)) throw error;
    const text = textOf(pieces);
    const lines = text.slice(0, error.offset).split('\n');
    const shown = (text.split('\n', lines.length).at(-1) ?? '').trim().slice(0, 200);
    throw wrong(`what it makes is not valid YAML in line ${lines.length}: ${error.message}: ${shown}`);
  }
  throw wrong('what it makes is not a map of initContainers, containers, volumes and imagePullSecrets');
}

function itemsOf(list: InjectedList, written: unknown, { style }: InjectConfig): readonly JsonObject[] {
  const isContainer = list === 'initContainers' || list === 'containers';
  return listOf(written ?? null, `what the template makes: ${list}`, (item, where) => {
    if (typeof item['name'] !== 'string' || item['name'] === '') throw wrong(`${list} has an item without a name`);
    if (!isContainer) return item;
    return containerOf(style === 'today' ? item : withoutRestartPolicy(item), where);
  });
}

/**
 * Templates of Istio 1.0 write it where Kubernetes had no such field, and Helm's puts it into the security context: today the first would
 * make the init container a sidecar, and the second is refused.
 */
function withoutRestartPolicy(container: JsonObject): JsonObject {
  const { restartPolicy: _, securityContext, ...others } = container;
  if (!isObject(securityContext)) return securityContext === undefined ? others : { ...others, securityContext };
  const { restartPolicy: __, ...rights } = securityContext;
  return { ...others, securityContext: rights };
}

function firstOf(written: unknown): readonly InjectedList[] {
  if (written === undefined || written === null) return [];
  if (Array.isArray(written) && written.every((list) => INJECTED_LISTS.includes(list as InjectedList)))
    return written as readonly InjectedList[];
  throw wrong(`first is a list of ${INJECTED_LISTS.join(', ')}`);
}

function statusOf(version: string, lists: Readonly<Record<InjectedList, readonly JsonObject[]>>): string {
  const names = INJECTED_LISTS.map((list) => [
    list,
    lists[list].length === 0 ? null : lists[list].map(({ name }) => name),
  ]);
  return JSON.stringify({ version, ...Object.fromEntries(names) });
}

const wrong = (message: string): InjectError => new InjectError('INJECT_TEMPLATE', `the template: ${message}`);
