import type { Finding } from '../../yaml/findings.ts';
/** Errors of putting a policy in force; docs/errors.md is generated from this table. */

export const CORE_ERRORS = {
  CORE_HANDLER_OPEN: {
    means:
      'A handler of the policy could not be opened, so the policy did not come into force; the last good one stays.',
    fix: "Correct the handler's config as the message says, or provide what it needs on this machine.",
  },
  CORE_RULE_PREPARE: {
    means: 'A handler rejected the params of a rule when the policy was loaded.',
    fix: "Correct the rule's params as the message says; if they are right, report it to the plugin's author.",
  },
  CORE_DRAINED: {
    means: 'A policy was given to an engine that is stopping.',
    fix: 'Start a new engine.',
  },
} as const;

/** The policy could not be put in force. The message lists all findings, one per line. */
export class SnapshotError extends Error {
  readonly findings: readonly Finding[];
  constructor(findings: readonly Finding[]) {
    super(
      findings
        .map(({ position: { file, line, column }, code, message }) => `${file}:${line}:${column} ${code} ${message}`)
        .join('\n'),
    );
    this.name = 'SnapshotError';
    this.findings = findings;
  }
}
