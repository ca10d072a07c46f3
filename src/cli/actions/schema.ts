import type { Adapter } from '../../adapters/contract.ts';
import { loadBuiltIns } from '../../adapters/loading/built-in.ts';
import type { Registry } from '../../adapters/registry.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { findingLines } from '../findings.ts';
import { load } from '../load.ts';
import type { Schema } from '../schema/json-schema.ts';
import { documentSchema } from '../schema/policy-schema.ts';
import { paintErr } from '../../text/paint.ts';
import { print, printErr } from '../terminal.ts';

/**
 * Without a policy, the schema of the built-in adapters. A policy with errors has a schema, too, since it is used while the policy
 * is written; the errors go to stderr.
 */
export async function schema(configs: readonly string[]): Promise<ExitCode> {
  const builtIn = await loadBuiltIns();
  if (configs.length === 0) {
    print(process.stdout, schemaText(publishedSchema(builtIn)));
    return EXIT.ok;
  }
  const { plugins, policy, findings } = await load(configs, builtIn);
  const errors = findings.filter(({ severity }) => severity === 'error');
  for (const line of findingLines(errors, paintErr)) printErr(line);
  const dialled = [...(policy?.handlers.values() ?? [])].map(({ implementation }) => implementation);
  const adapters = new Map([...dialled, ...adaptersOf(plugins.registry)].map((adapter) => [adapter.name, adapter]));
  print(process.stdout, schemaText(documentSchema([...adapters.values()], { isComplete: errors.length === 0 })));
  return errors.length === 0 ? EXIT.ok : EXIT.findings;
}

/** docs/policy.schema.json: policies with plugins of their own fit it as well. */
export const publishedSchema = (builtIn: Registry): Schema =>
  documentSchema(adaptersOf(builtIn), { isComplete: false });

export const schemaText = (written: Schema): string => `${JSON.stringify(written, null, 1)}\n`;

const adaptersOf = (registry: Registry): readonly Adapter[] =>
  registry.names().flatMap((name) => registry.get(name) ?? []);
