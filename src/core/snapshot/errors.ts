import type { Finding } from '../rules/yaml/findings.ts';
/** What can go wrong when a policy that loaded is put in force. docs/errors.md is made from this table. */

export const CORE_ERRORS = {
  CORE_HANDLER_OPEN: {
    means: 'A handler of the policy could not be opened, so the policy was not put in force; the last good one stays.',
    fix: "Correct what the message names in the handler's config, or what it needs on this machine.",
  },
  CORE_RULE_PREPARE: {
    means: 'A handler did not take what a rule says to it once, when the policy loads.',
    fix: "Correct the rule's params as the message says; if they are right, tell the plugin's author.",
  },
  CORE_DRAINED: {
    means: 'A policy was to be put in force in an engine that has been told to stop.',
    fix: 'Start a new engine.',
  },
} as const;

export type CoreErrorCode = keyof typeof CORE_ERRORS;

/** A policy that could not be put in force. Its message is all findings, one a line. */
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
