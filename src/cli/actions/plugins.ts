import { loadBuiltIns } from '../../adapters/loading/built-in.ts';
import { CAPABILITIES } from '../../adapters/contract.ts';
import { CliError } from '../cli-error.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { pluginPage } from '../plugin-page.ts';
import { safeText } from '../../log/safe-text.ts';
import { paintOut } from '../../text/paint.ts';
import { columns, print, printOut } from '../terminal.ts';

export async function listPlugins(): Promise<ExitCode> {
  const registry = await loadBuiltIns();
  const rows = registry.names().map((name) => {
    const adapter = registry.get(name);
    return [
      name,
      CAPABILITIES.filter((capability) => adapter?.serves[capability] !== undefined).join(', '),
      adapter?.summary ?? '',
    ];
  });
  for (const line of columns(rows, [paintOut.name, paintOut.faint])) printOut(line);
  for (const { name, problems } of registry.broken) {
    printOut(`${paintOut.bad(name)}  broken`);
    for (const { code, message } of problems) printOut(`  ${paintOut.bad(code)} ${safeText(message)}`);
  }
  return registry.broken.length === 0 ? EXIT.ok : EXIT.findings;
}

export async function showPlugin(name: string): Promise<ExitCode> {
  const registry = await loadBuiltIns();
  const adapter = registry.get(name);
  const [broken] = registry.broken.filter((one) => one.name === name).flatMap(({ problems }) => problems);
  if (adapter === undefined && broken !== undefined) throw broken;
  if (adapter === undefined)
    throw new CliError(
      'CLI_NO_SUCH_ADAPTER',
      `no adapter is named "${name}"; there are ${registry.names().join(', ')}`,
    );
  print(process.stdout, pluginPage(adapter));
  return EXIT.ok;
}
