/** Lists and maps of texts. */
import type { Findings } from './findings.ts';
import { type Node, nodeText } from './nodes.ts';

/** A list of texts, none of them empty; anything else is a finding. */
export function texts(node: Node | undefined, what: string, findings: Findings): string[] {
  if (node === undefined) return [];
  if (node.kind !== 'list') {
    findings.error('RULES_VALUE', node.place, `${what} must be a list of texts; found ${nodeText(node)}`);
    return [];
  }
  return node.items.flatMap((item) => {
    if (item.kind === 'scalar' && typeof item.value === 'string' && item.value !== '') return [item.value];
    findings.error(
      'RULES_VALUE',
      item.place,
      `${what} must be a list of texts; found ${item.kind === 'scalar' && item.value === '' ? 'empty text' : nodeText(item)}` +
        (item.kind === 'scalar' && typeof item.value === 'number' ? `; quote it: "${item.written}"` : ''),
    );
    return [];
  });
}

export function textMap(node: Node | undefined, what: string, findings: Findings): Map<string, string> {
  const found = new Map<string, string>();
  if (node === undefined) return found;
  if (node.kind !== 'map') {
    findings.error('RULES_VALUE', node.place, `${what} must be a map of texts; found ${nodeText(node)}`);
    return found;
  }
  for (const { key, value } of node.entries.values()) {
    if (value.kind === 'scalar' && typeof value.value === 'string') found.set(key, value.value);
    else findings.error('RULES_VALUE', value.place, `${what}.${key} must be text; found ${nodeText(value)}`);
  }
  return found;
}
