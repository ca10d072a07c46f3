/** Prints findings for people: `file:line:col CODE message`, the line, and a caret. */
import { relative } from 'node:path';
import { type Finding, findingsCount } from '../yaml/findings.ts';
import { type Position, positionText } from '../yaml/source-text.ts';
import type { LogFormat, OwnLog } from '../log/log.ts';
import { writeLog } from '../log/log-output.ts';
import { safeText } from '../log/safe-text.ts';
import { withoutCredentials } from '../attributes/credentials.ts';
import { type Paint, paintErr } from '../text/paint.ts';

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
      : `\n${safeText(excerpt)
          .split('\n')
          .map((line) => `    ${line}`)
          .join('\n')}`;
  return `${paint.strong(place)} ${word} ${safeText(message)}${below}`;
}

/** For programs. JSON escapes control characters. */
export const findingRow = ({ excerpt, message, ...rest }: Finding): object => ({
  ...rest,
  message: withoutCredentials(message),
  excerpt: excerpt === undefined ? null : withoutCredentials(excerpt),
});

/** Writes findings to the log of a server: as text for people, or as one JSON line each. */
export function logFindings(findings: readonly Finding[], format: LogFormat, log: OwnLog): void {
  if (findings.length === 0) return;
  if (format === 'text') {
    for (const finding of findings) writeLog(`${findingText(finding, paintErr)}\n`);
    return writeLog(`${findingsCount(findings)}\n\n`);
  }
  for (const {
    severity,
    position: { file, line, column },
    code,
    message,
  } of findings) {
    const fields = { code, file, line, column };
    const text = `${shownPosition({ file, line, column })} ${code} ${message}`;
    if (severity === 'error') log.error(text, fields);
    else log.warn(text, fields);
  }
}
