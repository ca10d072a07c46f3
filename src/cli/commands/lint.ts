import { loadBuiltIns } from '../../adapters/built-in.ts';
import { CALL_KINDS } from '../../attributes/carrier.ts';
import type { Policy } from '../../core/rules/policy.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { findingRow, findingsCount, findingText, shownPath } from '../findings.ts';
import { loadAndTry } from '../load.ts';
import type { LintFlags } from '../program.ts';
import { columns, paintOut, say } from '../terminal.ts';

/** Findings go to stdout: they are what was asked for. */
export async function lint(configs: readonly string[], flags: LintFlags): Promise<ExitCode> {
  const { policy, findings } = await loadAndTry(configs, await loadBuiltIns());
  const exit = findings.some(({ severity }) => severity === 'error') ? EXIT.findings : EXIT.ok;
  if (flags.json === true) {
    say(JSON.stringify({ ok: exit === EXIT.ok, revision: policy?.revision ?? null, findings: findings.map(findingRow), rules: policy === undefined ? [] : ruleRows(policy) }, null, 2));
    return exit;
  }
  for (const finding of findings) say(findingText(finding, paintOut));
  if (findings.length > 0) say(findingsCount(findings));
  if (policy === undefined || flags.quiet === true) return exit;
  if (findings.length > 0) say();
  say(`${paintOut.good('good')}  revision ${policy.revision}: ${policy.rules.length} rules, ${policy.handlers.size} handlers. Which calls each rule answers:`);
  const rows = ruleRows(policy).map(({ name, action, mode, calls, at }) => [name, mode === 'enforce' ? action : `${action} (${mode})`, CALL_KINDS.map((kind) => (calls.includes(kind) ? kind : '-').padEnd(kind.length)).join(' '), at]);
  for (const line of columns([['rule', 'does', 'answers', 'at'], ...rows], [paintOut.name, (text) => text, (text) => text, paintOut.faint])) say(line);
  return exit;
}

function ruleRows(policy: Policy): { name: string; action: string; mode: string; calls: string[]; at: string }[] {
  return policy.rules.map(({ name, action, onAllow, mode, calls, position }) => ({
    name, calls: [...calls],
    action: action?.kind ?? (onAllow === undefined ? 'nothing' : 'changes'),
    mode: mode.kind === 'percent' ? `${mode.percent} %` : mode.kind,
    at: `${shownPath(position.file)}:${position.line}`,
  }));
}
