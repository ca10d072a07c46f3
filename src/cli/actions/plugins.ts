import { fileURLToPath } from 'node:url';
import { CAPABILITIES } from '../../adapters/contract.ts';
import { ADAPTER_ERRORS } from '../../adapters/errors.ts';
import { loadBuiltIns } from '../../adapters/loading/built-in.ts';
import type { Registry } from '../../adapters/registry.ts';
import type { PolicyPlugins } from '../../core/rules/sections/plugins-section.ts';
import type { Finding } from '../../yaml/findings.ts';
import { CliError } from '../cli-error.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { findingLines, findingRow, shownPath } from '../findings.ts';
import { load } from '../load.ts';
import { pluginPage } from '../plugin-page.ts';
import { meant } from '../../text/nearest.ts';
import { safeText } from '../../log/safe-text.ts';
import { paintErr, paintOut } from '../../text/paint.ts';
import { columns, print, printErr, printOut } from '../terminal.ts';

export interface PluginsFlags {
  readonly json?: true;
}

/** Broken plugins are part of the list, so they go to stdout. */
export async function listPlugins(configs: readonly string[], flags: PluginsFlags): Promise<ExitCode> {
  const { builtIn, registry, findings } = await adaptersOf(configs);
  const rows = registry.names().map((name) => rowOf(name, builtIn, registry));
  const exit = findings.length + registry.broken.length === 0 ? EXIT.ok : EXIT.findings;
  if (flags.json === true) {
    const broken = registry.broken.map(({ name, problems }) => ({
      name,
      problems: problems.map(({ code, message }) => ({ code, message })),
    }));
    printOut(JSON.stringify({ adapters: rows, broken, findings: findings.map(findingRow) }, null, 2));
    return exit;
  }
  const cells = rows.map(({ name, serves, package: from, summary, builtIn: isBuiltIn, module }) => [
    name,
    serves.join(', '),
    `${from?.name ?? ''} ${from?.version ?? ''}`.trim(),
    isBuiltIn ? 'built in' : shownPath(module),
    safeText(summary),
  ]);
  for (const line of columns(cells, [paintOut.name, paintOut.faint, plain, paintOut.faint])) printOut(line);
  for (const { name, problems } of registry.broken) {
    printOut(`${paintOut.bad(name)}  broken`);
    for (const { code, message } of problems) printOut(`  ${paintOut.bad(code)} ${safeText(message)}`);
  }
  for (const line of findingLines(findings, paintOut)) printOut(line);
  return exit;
}

export async function showPlugin(name: string, configs: readonly string[]): Promise<ExitCode> {
  const { builtIn, registry, findings, found } = await adaptersOf(configs);
  const adapter = registry.get(name);
  if (adapter === undefined) {
    for (const line of findingLines(findings, paintErr)) printErr(line);
    const [broken] = registry.broken.filter((one) => one.name === name).flatMap(({ problems }) => problems);
    if (broken !== undefined) throw broken;
    throw new CliError(
      'CLI_NO_SUCH_ADAPTER',
      `no adapter is named "${name}"${meant(name, registry.names())}${configs.length === 0 ? '; for one of a plugin, name the policy, too' : ''}`,
    );
  }
  const { module } = registry.origin(name) ?? {};
  const plugin = found.find((one) => one.module === module)?.name;
  const from =
    builtIn.get(name) === adapter || module === undefined || plugin === undefined
      ? undefined
      : { plugin, module: fileURLToPath(module) };
  print(process.stdout, pluginPage(adapter, from));
  return EXIT.ok;
}

interface Adapters extends Pick<PolicyPlugins, 'registry' | 'found'> {
  readonly builtIn: Registry;
  /** About plugins; other errors of a policy do not matter here. */
  readonly findings: readonly Finding[];
}

/** The built-in adapters, and those of the plugins that a policy names. */
async function adaptersOf(configs: readonly string[]): Promise<Adapters> {
  const builtIn = await loadBuiltIns();
  if (configs.length === 0) return { builtIn, registry: builtIn, found: [], findings: [] };
  const { plugins, findings } = await load(configs, builtIn);
  return {
    builtIn,
    ...plugins,
    findings: findings.filter(({ code }) => code in ADAPTER_ERRORS || code === 'RULES_FILE_UNREADABLE'),
  };
}

interface Row {
  readonly name: string;
  readonly summary: string;
  readonly serves: readonly string[];
  readonly builtIn: boolean;
  readonly package: { readonly name: string; readonly version: string } | null;
  readonly module: string;
}

function rowOf(name: string, builtIn: Registry, registry: Registry): Row {
  const adapter = registry.get(name);
  const { module = '', package: from } = registry.origin(name) ?? {};
  return {
    name,
    summary: adapter?.summary ?? '',
    serves: CAPABILITIES.filter((capability) => adapter?.serves[capability] !== undefined),
    builtIn: builtIn.get(name) === adapter,
    package: from === undefined ? null : { name: from.name, version: from.version },
    module: module === '' ? '' : fileURLToPath(module),
  };
}

const plain = (text: string): string => text;
