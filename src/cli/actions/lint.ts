import { resolve } from 'node:path';
import { counted } from '../../text/counted.ts';
import { builtIns } from '../../adapters/loading/built-in.ts';
import { RULE_CALLS } from '../../attributes/carrier.ts';
import { type Finding, findingsCount } from '../../yaml/findings.ts';
import type { Policy } from '../../core/rules/policy.ts';
import { CliError } from '../cli-error.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { exitOf, findingLines, findingRow, shownPath } from '../findings.ts';
import { loadAndTry } from '../load.ts';
import { checkLimits, holdLimits } from '../limits/limit-files.ts';
import { paintOut } from '../../text/paint.ts';
import { columns, printOut } from '../terminal.ts';

export interface LintFlags {
  readonly quiet?: true;
  readonly all?: true;
  readonly json?: true;
  readonly lenient?: true;
  /** Files of recorded calls. */
  readonly traffic?: readonly string[];
  readonly map?: readonly string[];
}

/** Findings are the output, so they go to stdout. */
export async function lint(configs: readonly string[], flags: LintFlags): Promise<ExitCode> {
  const paths = configs.map((path) => resolve(path));
  if (await holdLimits(paths)) {
    if (flags.traffic !== undefined)
      throw new CliError(
        'CLI_USAGE',
        '--traffic compares a policy with recorded calls; these are files of rate limits',
      );
    return lintLimits(paths, flags);
  }
  const registry = builtIns();
  const { policy, findings: found } = await loadAndTry(configs, registry, flags.lenient);
  const traffic =
    policy === undefined || flags.traffic === undefined
      ? undefined
      : await (await import('./lint-traffic.ts')).policyTraffic(policy, registry, flags.traffic, mapOf(flags));
  const findings = [...found, ...(traffic?.findings ?? [])];
  const exit = exitOf(findings);
  if (flags.json === true) {
    printOut(
      JSON.stringify(
        {
          ok: exit === EXIT.ok,
          revision: policy?.revision ?? null,
          findings: findings.map(findingRow),
          rules: policy === undefined ? [] : ruleRows(policy),
          ...(traffic === undefined ? {} : { traffic: traffic.row }),
        },
        null,
        2,
      ),
    );
    return exit;
  }
  sayFindings(findings, flags);
  traffic?.printNotes();
  if (policy === undefined || flags.quiet === true) return exit;
  if (findings.length > 0) printOut();
  printOut(
    `${paintOut.good('good')}  revision ${policy.revision}: ${counted(policy.rules.length, 'rule')}, ${counted(policy.handlers.size, 'handler')}. Which calls each rule answers:`,
  );
  const rows = ruleRows(policy).map(({ name, action, mode, calls, at }) => [
    name,
    mode === 'enforce' ? action : `${action} (${mode})`,
    RULE_CALLS.map((kind) => (calls.includes(kind) ? kind : '-').padEnd(kind.length)).join(' '),
    at,
  ]);
  for (const line of columns(
    [['rule', 'does', 'answers', 'at'], ...rows],
    [paintOut.name, (text) => text, (text) => text, paintOut.faint],
  ))
    printOut(line);
  if (traffic !== undefined) (await import('./lint-traffic.ts')).printLimits(traffic.coverage);
  return exit;
}

const mapOf = ({ map }: LintFlags): Pick<LintFlags, 'map'> => (map === undefined ? {} : { map });

/** Files of `sluice ratelimit`, recognised by their keys. */
async function lintLimits(paths: readonly string[], flags: LintFlags): Promise<ExitCode> {
  const { findings, files, domains, limits } = await checkLimits(paths);
  const exit = exitOf(findings);
  if (flags.json === true) {
    printOut(
      JSON.stringify({ ok: exit === EXIT.ok, files, domains, limits, findings: findings.map(findingRow) }, null, 2),
    );
    return exit;
  }
  sayFindings(findings, flags);
  if (exit !== EXIT.ok || flags.quiet === true) return exit;
  if (findings.length > 0) printOut();
  printOut(
    `${paintOut.good('good')}  for sluice ratelimit: ${counted(domains, 'domain')} and ${counted(limits, 'limit')} in ${counted(files, 'file')}`,
  );
  return exit;
}

function sayFindings(findings: readonly Finding[], { all }: LintFlags): void {
  for (const line of findingLines(findings, paintOut, all)) printOut(line);
  if (findings.length > 0) printOut(findingsCount(findings));
}

function ruleRows(policy: Policy): { name: string; action: string; mode: string; calls: string[]; at: string }[] {
  return policy.rules.map(({ name, action, onAllow, mode, calls, position }) => ({
    name,
    calls: [...calls],
    action: action?.kind ?? (onAllow === undefined ? 'nothing' : 'changes'),
    mode: mode.kind === 'percent' ? `${mode.percent} %` : mode.kind,
    at: `${shownPath(position.file)}:${position.line}`,
  }));
}
