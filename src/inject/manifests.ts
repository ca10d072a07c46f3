/**
 * Manifests with sidecars: what `istioctl kube-inject` does.
 * **In**: YAML documents as bytes, and how to inject. **Out**: each document, injected or as it was, and `---` after it.
 * **Fails**: with a ManifestFault at the first document that cannot be injected; what was given before it stays good.
 */
import { isNode } from 'yaml';
import type { Finding } from '../yaml/findings.ts';
import { SourceText } from '../yaml/source-text.ts';
import { whySkipped } from './admission/decision.ts';
import { withInjection } from './apply.ts';
import { isObject, type JsonObject } from '../text/json-object.ts';
import { type InjectConfig, type Pod } from './contract.ts';
import { type DocumentBytes, documentsOf, OversizedDocument } from './documents.ts';
import { InjectError, type InjectErrorCode } from './errors.ts';
import { compiledOf, injectionFor } from './injection.ts';
import type { MeshConfig } from './configs.ts';
import { podOf } from './pod.ts';
import { writeYaml } from './write-yaml.ts';
import { readYaml, type YamlDocument, YamlFault } from './read-yaml.ts';

export interface InjectOptions {
  readonly config: InjectConfig;
  readonly mesh: MeshConfig;
  /** Of the documents, for errors. */
  readonly file: string;
  /** What a person should know of an object that is written all the same. */
  readonly onMessage: (message: string) => void;
}

export class ManifestFault extends Error {
  readonly finding: Finding;

  constructor(finding: Finding) {
    super(finding.message);
    this.finding = finding;
  }
}

const SEPARATOR = '---\n';

export async function* injectManifests(
  chunks: AsyncIterable<Uint8Array>,
  options: InjectOptions,
): AsyncGenerator<Uint8Array | string> {
  compiledOf(options.config); // a template that cannot be read is reported before any document
  try {
    for await (const document of documentsOf(chunks)) {
      yield injectedDocument(document, options) ?? document.bytes;
      yield SEPARATOR;
    }
  } catch (error) {
    if (!(error instanceof OversizedDocument)) throw error;
    const position = { file: options.file, line: error.line, column: 1 };
    throw new ManifestFault({
      severity: 'error',
      position,
      code: 'INJECT_SIZE' satisfies InjectErrorCode,
      message: error.message,
      excerpt: undefined,
    });
  }
}

/** `undefined`: it is of no kind that is injected. */
function injectedDocument({ bytes, line }: DocumentBytes, options: InjectOptions): string | undefined {
  const text = bytes.toString('utf8');
  try {
    const { value, document } = readYaml(text);
    return isObject(value) && isInjected(value)
      ? writeYaml(injectedObject(value, { document, path: [], options }))
      : undefined;
  } catch (error) {
    if (error instanceof YamlFault)
      throw fault('INJECT_YAML', error.offset, `this is not valid YAML: ${error.message}`);
    if (error instanceof ObjectFault) throw fault(error.code, error.offset, error.message);
    throw error;
  }
  function fault(code: InjectErrorCode, offset: number, message: string): ManifestFault {
    const source = new SourceText(options.file, text);
    const { line: inDocument, column } = source.positionAt(offset);
    const position = { file: options.file, line: line + inDocument - 1, column };
    return new ManifestFault({
      severity: 'error',
      position,
      code,
      message,
      excerpt: source.excerpt(offset, offset + 1),
    });
  }
}

/** With its position in the text of the document. */
class ObjectFault extends InjectError {
  readonly offset: number;

  constructor({ code, message, annotation }: InjectError, offset: number) {
    super(code, message, annotation);
    this.offset = offset;
  }
}

type Path = readonly (string | number)[];

/** Where the pods of a kind are; known by the kind alone, whatever its version, as in Istio. */
interface Place {
  readonly metadata: readonly string[];
  readonly spec: readonly string[];
}
const POD_TEMPLATE: Place = { metadata: ['spec', 'template', 'metadata'], spec: ['spec', 'template', 'spec'] };
const PLACES: Readonly<Record<string, Place>> = {
  Pod: { metadata: ['metadata'], spec: ['spec'] },
  ReplicationController: POD_TEMPLATE,
  Deployment: POD_TEMPLATE,
  DaemonSet: POD_TEMPLATE,
  ReplicaSet: POD_TEMPLATE,
  StatefulSet: POD_TEMPLATE,
  Job: POD_TEMPLATE,
  DeploymentConfig: POD_TEMPLATE,
  // Istio reads labels and annotations of the jobs, not of their pods, and writes its status there.
  CronJob: {
    metadata: ['spec', 'jobTemplate', 'metadata'],
    spec: ['spec', 'jobTemplate', 'spec', 'template', 'spec'],
  },
};
const isInjected = ({ kind }: JsonObject): boolean =>
  typeof kind === 'string' && (kind === 'List' || Object.hasOwn(PLACES, kind));

interface Where {
  readonly document: YamlDocument;
  /** Of the object in the document. */
  readonly path: Path;
  readonly options: InjectOptions;
}

function injectedObject(object: JsonObject, where: Where): JsonObject {
  if (!isInjected(object)) return object;
  const place = PLACES[object['kind'] as string];
  if (place === undefined) return injectedList(object, where);
  try {
    return injectedAt(place, object, where.options);
  } catch (error) {
    if (!(error instanceof InjectError) || error instanceof ObjectFault) throw error;
    const { document, path } = where;
    const { annotation } = error;
    const key = annotation === undefined ? [] : [...place.metadata, 'annotations', annotation];
    throw new ObjectFault(error, offsetOf(document, [...path, ...key]) ?? offsetOf(document, path) ?? 0);
  }
}

function injectedList(list: JsonObject, where: Where): JsonObject {
  const { items } = list;
  if (!Array.isArray(items)) return list;
  return {
    ...list,
    items: items.map((item: unknown, index) =>
      isObject(item) ? injectedObject(item, { ...where, path: [...where.path, 'items', index] }) : item,
    ),
  };
}

function injectedAt(place: Place, object: JsonObject, { config, mesh, onMessage }: InjectOptions): JsonObject {
  const { metadata: owner } = object;
  const pod = podOf(
    valueAt(object, place.metadata),
    valueAt(object, place.spec),
    place.metadata.slice(0, -1).join('.'),
  );
  const name = pod.metadata['name'] ?? (isObject(owner) ? owner['name'] : undefined) ?? '';
  const shown = `${object['kind'] as string} ${JSON.stringify(name)}`;
  const reason = whySkippedManifest(pod, config);
  if (reason !== undefined) {
    onMessage(`Skipping injection because ${shown} has ${reason}`);
    return object;
  }
  const injection = injectionFor(pod, isObject(owner) ? owner : {}, config, mesh);
  for (const warning of injection.warnings) onMessage(`${shown}: ${warning}`);
  const { metadata, spec } = withInjection(pod, injection);
  return withValue(withValue(object, place.metadata, metadata), place.spec, spec);
}

/** Istio 1.0 looks at hostNetwork alone: its annotation `sidecar.istio.io/inject` is the webhook's. */
function whySkippedManifest(pod: Pod, { style }: InjectConfig): string | undefined {
  const reason = whySkipped(pod, '', { policy: 'enabled', style });
  if (reason === 'host_network') return 'host networking enabled';
  return reason === undefined || style === '1.0' ? undefined : 'sidecar injection disabled';
}

const valueAt = (value: unknown, path: readonly string[]): unknown =>
  path.reduce((inner: unknown, key) => (isObject(inner) && Object.hasOwn(inner, key) ? inner[key] : undefined), value);

function withValue(object: JsonObject, [key = '', ...rest]: readonly string[], value: unknown): JsonObject {
  const inner = object[key];
  return { ...object, [key]: rest.length === 0 ? value : withValue(isObject(inner) ? inner : {}, rest, value) };
}

function offsetOf(document: YamlDocument, path: Path): number | undefined {
  const node = path.length === 0 ? document.contents : document.getIn(path, true);
  return isNode(node) ? node.range?.[0] : undefined;
}
