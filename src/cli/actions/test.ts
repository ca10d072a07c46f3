import { loadBuiltIns } from '../../adapters/loading/built-in.ts';
import { CliError } from '../cli-error.ts';
import { findCases } from '../cases/files.ts';
import { overGrpc } from '../cases/grpc-driver.ts';
import { realAdapters } from '../cases/real-adapters.ts';
import { runCase } from '../cases/run.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { findingText, shownPath } from '../findings.ts';
import { paintErr, paintOut } from '../../text/paint.ts';
import { printOut, printErr } from '../terminal.ts';

export interface TestFlags {
  readonly through: 'process' | 'grpc';
}

export async function test(paths: readonly string[], flags: TestFlags): Promise<ExitCode> {
  const registry = await loadBuiltIns();
  const { cases, findings } = await findCases(paths, registry);
  for (const finding of findings) printErr(findingText(finding, paintErr));
  if (cases.length === 0 && findings.length === 0)
    throw new CliError(
      'CLI_NO_CASES',
      `no cases in ${paths.join(', ')}; a file of cases has the key cases: at its top level (docs/rules.md, Cases)`,
    );
  const options = {
    adapters: registry,
    open: realAdapters(),
    ...(flags.through === 'grpc' ? { drive: overGrpc } : {}),
  };
  let failed = findings.length;
  for (const {
    case: one,
    policy,
    position: { file, line },
  } of cases) {
    const failures = await runCase(one, policy, options);
    if (failures.length === 0) {
      printOut(`${paintOut.good('ok')}      ${one.name}`);
      continue;
    }
    failed += 1;
    printOut(`${paintOut.bad('failed')}  ${one.name}  ${shownPath(file)}:${line}`);
    for (const failure of failures) printOut(`        ${failure}`);
  }
  printOut(`\n${cases.length} cases, ${failed === 0 ? 'all passed' : `${failed} failed`}`);
  return failed === 0 ? EXIT.ok : EXIT.findings;
}
