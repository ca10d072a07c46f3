import type { Node } from './nodes.ts';

/** The items of a List, as `kubectl get -o yaml` prints several objects; `undefined` for any other node. */
export function itemsOfList(root: Node): readonly Node[] | undefined {
  if (root.kind !== 'map') return undefined;
  const [kind, items] = [root.entries.get('kind')?.value, root.entries.get('items')?.value];
  return kind?.kind === 'scalar' && kind.value === 'List' && items?.kind === 'list' ? items.items : undefined;
}
