/**
 * An injection as a JSON patch (RFC 6902).
 * **In**: a pod as JSON, what is added to it. **Out**: operations in order. **Fails**: never.
 *
 * Order and paths are those of Istio 1.0: the parts of an earlier injection are removed, the highest index first, then each new part is
 * added, and last the status is written. Probes are replaced in between, where the pod's own containers have their indexes.
 */
import { injectedNames } from '../apply.ts';
import { isObject } from '../../text/json-object.ts';
import { INJECTED_LISTS, type InjectedList, type Injection, type Pod, STATUS_ANNOTATION } from '../contract.ts';
import { withDefaults } from './defaults.ts';

export type PatchOperation =
  | { readonly op: 'add' | 'replace'; readonly path: string; readonly value: unknown }
  | { readonly op: 'remove'; readonly path: string };

export function patchOf({ metadata, spec }: Pod, injection: Injection): readonly PatchOperation[] {
  const annotations = isObject(metadata['annotations']) ? metadata['annotations'] : undefined;
  const status = annotations?.[STATUS_ANNOTATION];
  const before = injectedNames(metadata);
  return [
    ...INJECTED_LISTS.flatMap((list) => removals(list, itemsOf(spec[list]), before[list])),
    ...(['initContainers', 'containers'] as const).flatMap((list) =>
      replacements(list, itemsOf(spec[list]), before[list], injection),
    ),
    ...INJECTED_LISTS.flatMap((list) => additions(list, itemsOf(spec[list]), injection)),
    annotations === undefined
      ? { op: 'add', path: '/metadata/annotations', value: { [STATUS_ANNOTATION]: injection.status } }
      : {
          op: typeof status === 'string' && status !== '' ? 'replace' : 'add',
          path: `/metadata/annotations/${STATUS_ANNOTATION.replaceAll('/', '~1')}`,
          value: injection.status,
        },
  ];
}

function removals(list: InjectedList, items: readonly unknown[], names: readonly string[]): readonly PatchOperation[] {
  return items
    .map((item, at) => ({ at, isOld: isNamed(item, names) }))
    .filter(({ isOld }) => isOld)
    .map(({ at }): PatchOperation => ({ op: 'remove', path: `/spec/${list}/${at}` }))
    .toReversed();
}

/** Of fields of the pod's own containers. */
function replacements(
  list: InjectedList,
  items: readonly unknown[],
  removed: readonly string[],
  { probes }: Injection,
): readonly PatchOperation[] {
  const own = items.filter((item) => !isNamed(item, removed));
  return own.flatMap((item, at) => {
    const fields = isObject(item) ? probes.get(item['name'] as string) : undefined;
    return Object.entries(fields ?? {}).map(([field, value]): PatchOperation => ({
      op: 'replace',
      path: `/spec/${list}/${at}/${field}`,
      value,
    }));
  });
}

/** An absent or empty list is added with its first item; a list that removals have emptied is there. */
function additions(list: InjectedList, items: readonly unknown[], injection: Injection): readonly PatchOperation[] {
  const isFirst = injection.first.includes(list);
  return injection[list].map((item, at): PatchOperation => {
    const value = withDefaults(list, item);
    if (items.length === 0 && at === 0) return { op: 'add', path: `/spec/${list}`, value: [value] };
    return { op: 'add', path: `/spec/${list}/${isFirst ? at : '-'}`, value };
  });
}

const itemsOf = (list: unknown): readonly unknown[] => (Array.isArray(list) ? list : []);
const isNamed = (item: unknown, names: readonly string[]): boolean =>
  isObject(item) && names.some((name) => name === item['name']);
