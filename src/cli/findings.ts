/** Prints findings for people: `file:line:col CODE message`, the line, and a caret. */
import { relative } from 'node:path';
import { type Finding, findingsCount } from '../yaml/findings.ts';
import { type Position, positionText, shortExcerpt } from '../yaml/source-text.ts';
import type { LogFormat, OwnLog } from '../log/log.ts';
import { writeLog } from '../log/log-output.ts';
import { safeLine, safeText } from '../log/safe-text.ts';
import { withoutCredentials } from '../attributes/credentials.ts';
import { grouped } from '../text/counted.ts';
import { type Paint, paintErr } from '../text/paint.ts';
import { EXIT, type ExitCode } from './exit-codes.ts';

/** Paths below the working directory are shown relative to it, so that a terminal can open them. */
export function shownPath(file: string, from: string = process.cwd()): string {
  const path = relative(from, file);
  return path === '' || path.startsWith('..') ? file : path;
}

const shownPosition = (position: Position): string =>
  position.line === 0 ? position.file : positionText({ ...position, file: shownPath(position.file) });

export function findingText({ severity, position, code, message, excerpt }: Finding, paint: Paint): string {
  const place = shownPosition(position);
  const word = severity === 'error' ? paint.bad(code) : paint.warn(`${code} (warning)`);
  const below =
    excerpt === undefined
      ? ''
      : `\n${safeText(shortExcerpt(excerpt))
          .split('\n')
          .map((line) => `    ${line}`)
          .join('\n')}`;
  return `${paint.strong(safeLine(place))} ${word} ${safeText(message)}${below}`;
}

/** As many as a person reads. */
const MOST_SHOWN = 50;

interface ShownFindings {
  /** In their order. */
  readonly shown: readonly Finding[];
  /** Of each code how many are left out: `and 1950 more of RULES_UNKNOWN_KEY`. */
  readonly rest: readonly string[];
}

/** At most {@link MOST_SHOWN}: errors before warnings, and of each code as many as of the others, so that none hides another. */
export function shownFindings(findings: readonly Finding[]): ShownFindings {
  if (findings.length <= MOST_SHOWN) return { shown: findings, rest: [] };
  const byCode = new Map<string, Finding[]>();
  for (const finding of findings.toSorted(
    (a, b) => Number(a.severity === 'warning') - Number(b.severity === 'warning'),
  )) {
    const ofCode = byCode.get(finding.code);
    if (ofCode === undefined) byCode.set(finding.code, [finding]);
    else ofCode.push(finding);
  }
  const taken = new Set<Finding>();
  for (let turn = 0; taken.size < MOST_SHOWN; turn++)
    for (const ofCode of byCode.values()) {
      const finding = ofCode[turn];
      if (finding !== undefined && taken.size < MOST_SHOWN) taken.add(finding);
    }
  const rest = [...byCode].flatMap(([code, ofCode]) => {
    const left = ofCode.filter((finding) => !taken.has(finding)).length;
    return left === 0 ? [] : [`and ${grouped(left)} more of ${code}`];
  });
  return { shown: findings.filter((finding) => taken.has(finding)), rest };
}

export const exitOf = (findings: readonly Finding[]): ExitCode =>
  findings.some(({ severity }) => severity === 'error') ? EXIT.findings : EXIT.ok;

/** The findings as text for people. */
export function findingLines(findings: readonly Finding[], paint: Paint, areAll = false): readonly string[] {
  const { shown, rest } = areAll ? { shown: findings, rest: [] } : shownFindings(findings);
  return [...shown.map((finding) => findingText(finding, paint)), ...rest];
}

/** For programs. JSON escapes control characters. */
export const findingRow = ({ excerpt, message, ...rest }: Finding): object => ({
  ...rest,
  message: withoutCredentials(message),
  excerpt: excerpt === undefined ? null : withoutCredentials(shortExcerpt(excerpt)),
});

/** Writes findings to the log of a server: as text for people, or as one JSON line each. */
export function logFindings(findings: readonly Finding[], format: LogFormat, log: OwnLog): void {
  if (findings.length === 0) return;
  if (format === 'text') {
    for (const text of findingLines(findings, paintErr)) writeLog(`${text}\n`); // each alone, since a log that is full drops it whole
    return writeLog(`${findingsCount(findings)}\n\n`);
  }
  const { shown, rest } = shownFindings(findings);
  for (const {
    severity,
    position: { file, line, column },
    code,
    message,
  } of shown) {
    const fields = { code, file, line, column };
    const text = `${shownPosition({ file, line, column })} ${code} ${message}`;
    if (severity === 'error') log.error(text, fields);
    else log.warn(text, fields);
  }
  for (const text of rest) log.warn(text, {});
}
