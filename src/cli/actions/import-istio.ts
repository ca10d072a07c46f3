import { stringify } from 'yaml';
import { builtIns } from '../../adapters/loading/built-in.ts';
import type { LoadedPolicy } from '../../core/rules/load.ts';
import { type Node, plain } from '../../yaml/nodes.ts';
import { paintErr } from '../../text/paint.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { findingLines } from '../findings.ts';
import { load } from '../load.ts';
import { printErr, printOut } from '../terminal.ts';

/** Prints what Istio's documents in these files come to, as a policy of Sluice's own language. */
export async function importIstio(configs: readonly string[]): Promise<ExitCode> {
  const { policy, findings, imported } = await load(configs, builtIns());
  for (const line of findingLines(findings, paintErr)) printErr(line);
  if (policy === undefined) return EXIT.findings;
  printOut(nativeText(imported).trimEnd());
  return EXIT.ok;
}

/** As YAML, with rules under names that those written by hand may have. */
export function nativeText({ rules, handlers, attributes }: LoadedPolicy['imported']): string {
  const taken = new Set<string>();
  const named = rules.map((rule) => {
    const { name, ...rest } = plain(rule) as { readonly name: string };
    const words = name
      .toLowerCase()
      .replaceAll(/[^a-z0-9]+/g, '-')
      .replaceAll(/^-+|-+$/g, '');
    let unique = words;
    for (let count = 2; taken.has(unique); count++) unique = `${words}-${count}`;
    taken.add(unique);
    return { name: unique, ...rest };
  });
  const merged = (nodes: readonly Node[]): object => Object.assign({}, ...nodes.map(plain)) as object;
  return stringify(
    {
      ...(attributes.length === 0 ? {} : { attributes: merged(attributes) }),
      ...(handlers.length === 0 ? {} : { handlers: merged(handlers) }),
      rules: named,
    },
    { lineWidth: 0 },
  );
}
