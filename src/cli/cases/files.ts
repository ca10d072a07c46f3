/**
 * **In**: paths of case files and folders. **Out**: every case with its policy, each policy loaded once.
 * **Fails**: with findings: of policies with errors, and of cases with a wrong form.
 */
import { dirname, resolve } from 'node:path';
import type { Registry } from '../../adapters/registry.ts';
import { type CasesDocument, type LoadedPolicy, loadPolicy } from '../../core/rules/load.ts';
import type { Policy } from '../../core/rules/policy.ts';
import type { CliErrorCode } from '../errors.ts';
import { type Case, parseCase } from './schema.ts';
import { readPolicyFiles } from '../../yaml/policy-files.ts';
import type { Position } from '../../yaml/source-text.ts';
import type { Finding } from '../../yaml/findings.ts';

export interface FoundCase {
  readonly case: Case;
  readonly policy: Policy;
  readonly position: Position;
}
export interface FoundCases {
  readonly cases: readonly FoundCase[];
  readonly findings: readonly Finding[];
}

export async function findCases(paths: readonly string[], registry: Registry): Promise<FoundCases> {
  const cases: FoundCase[] = [];
  const findings: Finding[] = [];
  const loaded = new Map<string, Promise<LoadedPolicy>>();
  const load = (path: string): Promise<LoadedPolicy> => {
    const known = loaded.get(path) ?? loadPolicy([path], { adapters: registry, unsetEnv: 'warning' });
    loaded.set(path, known);
    return known;
  };
  for (const path of paths) {
    const whole = await load(resolve(path));
    const read = await readPolicyFiles([resolve(path)]);
    findings.push(...read.findings);
    for (const { file } of read.files) {
      const own = await load(file);
      for (const document of own.cases) {
        const about =
          document.policy === undefined
            ? own.policy === undefined && !hasErrors(own)
              ? whole
              : own
            : await load(resolve(dirname(file), document.policy));
        findings.push(...about.findings.filter(({ severity }) => severity === 'error'));
        if (about.policy !== undefined) collect(document, about.policy, cases, findings);
        else if (!hasErrors(about))
          findings.push(
            problem(
              document.position,
              'the cases have no policy; write policy: PATH beside cases, or put the rules into the same file',
            ),
          );
      }
      if (own.cases.length === 0 && hasErrors(own))
        findings.push(...own.findings.filter(({ severity }) => severity === 'error'));
    }
  }
  return { cases, findings: unique(findings) };
}

const hasErrors = ({ findings }: LoadedPolicy): boolean => findings.some(({ severity }) => severity === 'error');
const problem = (position: Position, message: string): Finding => ({
  severity: 'error',
  position,
  code: 'CLI_CASE' satisfies CliErrorCode,
  message,
  excerpt: undefined,
});

function collect(document: CasesDocument, policy: Policy, cases: FoundCase[], findings: Finding[]): void {
  if (!Array.isArray(document.cases)) {
    findings.push(problem(document.position, 'cases must be a list'));
    return;
  }
  for (const [index, raw] of document.cases.entries()) {
    const parsed = parseCase(raw);
    if (parsed.case !== undefined) cases.push({ case: parsed.case, policy, position: document.positionOf([index]) });
    for (const { path, message } of parsed.problems)
      findings.push(problem(document.positionOf([index, ...path]), message));
  }
}

function unique(findings: readonly Finding[]): Finding[] {
  const unique = new Map(
    findings.map((finding) => [
      `${finding.position.file}:${finding.position.line}:${finding.position.column} ${finding.code} ${finding.message}`,
      finding,
    ]),
  );
  return [...unique.values()];
}
