import { counted } from '../../text/counted.ts';
import { CliError } from '../cli-error.ts';
import { casesOf } from '../cases/index.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { findingLines, shownPath } from '../findings.ts';
import { paintErr, paintOut } from '../../text/paint.ts';
import { printOut, printErr } from '../terminal.ts';

export interface TestFlags {
  readonly through: 'process' | 'grpc';
}

export async function test(paths: readonly string[], flags: TestFlags): Promise<ExitCode> {
  const { findings, count, results } = await casesOf(paths, flags);
  for (const line of findingLines(findings, paintErr)) printErr(line);
  if (count === 0 && findings.length === 0)
    throw new CliError(
      'CLI_NO_CASES',
      `no cases in ${paths.join(', ')}; a file of cases has the key cases: at its top level (docs/rules.md, Cases)`,
    );
  let failed = findings.length;
  for await (const { name, position, failures } of results) {
    if (failures.length === 0) {
      printOut(`${paintOut.good('ok')}      ${name}`);
      continue;
    }
    failed += 1;
    printOut(`${paintOut.bad('failed')}  ${name}  ${shownPath(position.file)}:${position.line}`);
    for (const failure of failures) printOut(`        ${failure}`);
  }
  printOut(`\n${counted(count, 'case')}, ${failed === 0 ? 'all passed' : `${failed} failed`}`);
  return failed === 0 ? EXIT.ok : EXIT.findings;
}
