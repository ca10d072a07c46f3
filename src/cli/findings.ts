/** Findings about a policy, as people read them: `file:line:col CODE message`, the line, and a caret. */
import { relative } from 'node:path';
import type { Finding } from '../core/rules/policy.ts';
import { safeText, withoutCredentials } from './safe-text.ts';
import type { Paint } from './terminal.ts';

/** Paths below the working directory are shown relative to it, so that a terminal can open them. */
export function shownPath(file: string, from: string = process.cwd()): string {
  const path = relative(from, file);
  return path === '' || path.startsWith('..') ? file : path;
}

export function findingText({ severity, position, code, message, excerpt }: Finding, paint: Paint): string {
  const place = `${shownPath(position.file)}:${position.line}:${position.column}`;
  const word = severity === 'error' ? paint.bad(code) : paint.warn(`${code} (warning)`);
  const below = excerpt === undefined ? '' : `\n${safeText(excerpt).split('\n').map((line) => `    ${line}`).join('\n')}`;
  return `${paint.strong(place)} ${word} ${safeText(message)}${below}`;
}

/** For programs: a terminal's controls are escaped by JSON itself. */
export const findingRow = ({ excerpt, message, ...rest }: Finding): object => ({ ...rest, message: withoutCredentials(message), excerpt: excerpt === undefined ? null : withoutCredentials(excerpt) });

/** `2 errors and 1 warning`. */
export function findingsCount(findings: readonly Finding[]): string {
  const count = (severity: Finding['severity'], word: string): string => {
    const { length } = findings.filter((finding) => finding.severity === severity);
    return `${length} ${word}${length === 1 ? '' : 's'}`;
  };
  const errors = findings.some(({ severity }) => severity === 'error');
  const warnings = findings.some(({ severity }) => severity === 'warning');
  if (errors && warnings) return `${count('error', 'error')} and ${count('warning', 'warning')}`;
  return errors || !warnings ? count('error', 'error') : count('warning', 'warning');
}
