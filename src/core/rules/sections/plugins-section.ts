/**
 * `plugins:` of a policy; documents are merged.
 * **In**: the lists of plugins, the built-in adapters. **Out**: the adapters of this policy. **Fails**: with a finding at each plugin
 * that cannot be loaded.
 */
import { resolve } from 'node:path';
import type { FoundPlugin, NamedPlugin, PluginProblem, Registry } from '../../../adapters/registry.ts';
import type { Findings } from '../../../yaml/findings.ts';
import { type Node, nodeText, type Place } from '../../../yaml/nodes.ts';

/** `problems` are reported already. */
export interface PolicyPlugins {
  readonly registry: Registry;
  readonly found: readonly FoundPlugin[];
  readonly problems: readonly PluginProblem[];
}

export async function loadedPlugins(
  sections: readonly Node[],
  builtIn: Registry,
  findings: Findings,
): Promise<PolicyPlugins> {
  const entries = sections.flatMap((section) => entriesOf(section, findings));
  if (entries.length === 0) return { registry: builtIn, found: [], problems: [] };
  const loaded = await builtIn.withPlugins(entries);
  for (const { entry, error } of loaded.problems) {
    const place = entries[entry]?.place;
    if (place !== undefined) findings.add('error', error.code, place, error.message);
  }
  return loaded;
}

function entriesOf(section: Node, findings: Findings): (NamedPlugin & { readonly place: Place })[] {
  if (section.kind !== 'list') {
    findings.error(
      'RULES_VALUE',
      section.place,
      `plugins must be a list of packages and paths, such as [sluice-check-revoked, ./check-hours.ts]; found ${nodeText(section)}`,
    );
    return [];
  }
  return section.items.flatMap((item) => {
    if (item.kind === 'scalar' && typeof item.value === 'string' && item.value.trim() !== '')
      return [{ name: item.value, file: resolve(item.place.source.file), place: item.place }];
    findings.error(
      'RULES_VALUE',
      item.place,
      `a plugin must be the name of a package or a path; found ${nodeText(item)}`,
    );
    return [];
  });
}
