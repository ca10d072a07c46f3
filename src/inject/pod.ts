/**
 * The form of a pod, as far as injection reads or changes it.
 * **In**: metadata and spec as they were written. **Out**: the same, with text where Kubernetes has text. **Fails**: with an InjectError.
 */
import { isObject, type JsonObject } from '../text/json-object.ts';
import { type Pod } from './contract.ts';
import { InjectError } from './errors.ts';

/** `where`: `spec.template`, for errors; empty for a Pod. */
export function podOf(metadata: unknown, spec: unknown, where = ''): Pod {
  const at = (field: string): string => (where === '' ? field : `${where}.${field}`);
  const written = mapOf(metadata, at('metadata'));
  const pod = mapOf(spec, at('spec'));
  return {
    metadata: withTexts(written, ['annotations', 'labels'], at('metadata')),
    spec: {
      ...pod,
      ...listsOf(pod, ['initContainers', 'containers'], at('spec'), containerOf),
      ...listsOf(pod, ['volumes', 'imagePullSecrets'], at('spec'), (item) => item),
    },
  };
}

/** Arguments and values of variables that YAML reads as numbers, truths or nothing are text. */
export function containerOf(container: JsonObject, where: string): JsonObject {
  const changed: Record<string, unknown> = {};
  for (const key of ['args', 'command']) {
    const list = container[key];
    if (list === undefined || list === null) continue;
    if (!Array.isArray(list)) throw wrong(`${where}.${key} is not a list`);
    changed[key] = list.map((item, index) => textOf(item, `${where}.${key}[${index}]`));
  }
  const { env } = container;
  if (Array.isArray(env))
    changed['env'] = env.map((one, index) =>
      isObject(one) && one['value'] !== undefined
        ? { ...one, value: textOf(one['value'], `${where}.env[${index}].value`) }
        : (one as unknown),
    );
  return { ...container, ...changed };
}

type ReadItem = (item: JsonObject, where: string) => JsonObject;

function listsOf(pod: JsonObject, keys: readonly string[], where: string, read: ReadItem): JsonObject {
  const lists: Record<string, readonly JsonObject[]> = {};
  for (const key of keys) {
    const list = pod[key];
    if (list === undefined) continue;
    lists[key] = listOf(list, `${where}.${key}`, read);
  }
  return lists;
}

export function listOf(list: unknown, where: string, read: ReadItem): readonly JsonObject[] {
  if (list === null) return [];
  if (!Array.isArray(list)) throw wrong(`${where} is not a list`);
  return list.map((item: unknown, index) => {
    if (!isObject(item)) throw wrong(`${where}[${index}] is not a map`);
    return read(item, `${where}[${index}]`);
  });
}

function withTexts(metadata: JsonObject, keys: readonly string[], where: string): JsonObject {
  const changed: Record<string, JsonObject> = {};
  for (const key of keys) {
    const map = metadata[key];
    if (map === undefined || map === null) continue;
    changed[key] = Object.fromEntries(
      Object.entries(mapOf(map, `${where}.${key}`)).map(([name, value]) => [
        name,
        textOf(value, `${where}.${key}.${name}`),
      ]),
    );
  }
  return { ...metadata, ...changed };
}

function mapOf(value: unknown, where: string): JsonObject {
  if (value === undefined || value === null) return {};
  if (isObject(value)) return value;
  throw wrong(`${where} is not a map`);
}

function textOf(value: unknown, where: string): string {
  if (value === undefined || value === null) return '';
  if (typeof value === 'object') throw wrong(`${where} is not a text`);
  return String(value as string | number | boolean);
}

const wrong = (message: string): InjectError => new InjectError('INJECT_OBJECT', message);
