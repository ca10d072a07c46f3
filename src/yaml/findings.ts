import { bounded } from '../text/bounded.ts';
import { counted } from '../text/counted.ts';
import { type Position, positionText, shortExcerpt } from './source-text.ts';
import type { Node, Place } from './nodes.ts';
import type { RulesErrorCode } from '../core/rules/errors.ts';

export type Severity = 'error' | 'warning';

/** An error or warning about a policy: `file:line:col CODE message`, and the source line with a caret. */
export interface Finding {
  readonly severity: Severity;
  readonly position: Position;
  readonly code: string;
  readonly message: string;
  /** The source line and a caret line, if there is a position to point at. */
  readonly excerpt: string | undefined;
}

/** Errors are all reported; warnings are bounded, since each is retained with its excerpt. */
const MAX_WARNINGS = 1000;

/** In the order of files; within a file from top to bottom. */
export function sortedFindings(found: readonly Finding[], files: readonly string[]): readonly Finding[] {
  const order = new Map(files.map((file, index) => [file, index]));
  const place = (file: string): number => order.get(file) ?? -1;
  return found.toSorted(
    (a, b) =>
      place(a.position.file) - place(b.position.file) ||
      a.position.line - b.position.line ||
      a.position.column - b.position.column,
  );
}

/** Collects the findings about a policy. */
export class Findings {
  readonly #found: Finding[] = [];
  readonly #seen = new Set<string>();
  /** Attributes whose declaration has an error; their uses are not reported again. */
  readonly undeclared: Set<string> = new Set();
  /** Names of handlers whose declaration stands in the wrong place; their uses are not reported again. */
  readonly misplaced: Set<string> = new Set();
  /** Beginnings of values with an error; a reader that expects another value there is not reported again. */
  readonly #explained = new Set<string>();
  readonly #repeats = new Map<string, { readonly at: number; readonly others: Position[] }>();
  #errors = 0;
  #warnings = 0;

  get hasErrors(): boolean {
    return this.#errors > 0;
  }

  sorted(files: readonly string[]): readonly Finding[] {
    const found = [...this.#found];
    for (const { at, others } of this.#repeats.values()) {
      const first = found[at];
      if (first !== undefined && others.length > 0)
        found[at] = { ...first, message: `${first.message} (also at ${placesText(others, first.position.file)})` };
    }
    return sortedFindings(found, files);
  }

  /** What stands under a key that is not known: uses of handlers and attributes declared there are not reported as well. */
  misplace(key: string, value: Node): void {
    for (const name of [key, ...(value.kind === 'map' ? value.entries.keys() : [])]) {
      this.misplaced.add(name);
      if (name.startsWith('my.')) this.undeclared.add(name);
    }
  }

  /** An error at this value is reported: others that begin at it are its consequences. */
  explain({ source, start }: Place): void {
    this.#explained.add(`${source.file}:${start}`);
  }

  /** As `error`; one finding for all places with the same `mistake`, such as all uses of a name that is not declared. */
  once(mistake: string, code: string, place: Place, message: string): void {
    const known = this.#repeats.get(mistake);
    const position = place.source.positionAt(place.start);
    if (known === undefined) {
      this.#repeats.set(mistake, { at: this.#found.length, others: [] });
      this.add('error', code, place, message);
    } else if (![this.#found[known.at]?.position, ...known.others].some((one) => isSame(one, position)))
      known.others.push(position);
  }

  error(code: RulesErrorCode, place: Place, message: string): void {
    this.add('error', code, place, message);
  }

  warn(code: RulesErrorCode, place: Place, message: string): void {
    this.add('warning', code, place, message);
  }

  /** Also for codes of other areas, such as expressions. */
  add(severity: Severity, code: string, { source, start, end }: Place, message: string): void {
    if (this.#explained.has(`${source.file}:${start}`)) return;
    if (severity === 'warning' && ++this.#warnings > MAX_WARNINGS) {
      if (this.#warnings === MAX_WARNINGS + 1)
        this.#push({
          severity,
          position: source.positionAt(start),
          code: MORE_WARNINGS,
          message: `this policy has more than ${MAX_WARNINGS} warnings; the rest is not shown`,
          excerpt: undefined,
        });
      return;
    }
    this.#push({ severity, position: source.positionAt(start), code, message, excerpt: source.excerpt(start, end) });
  }

  /** About a file as a whole. */
  file(code: RulesErrorCode, file: string, message: string): void {
    const position: Position = { file, line: 1, column: 1 };
    this.#push({ severity: 'error', position, code, message, excerpt: undefined });
  }

  /** Adds findings of another reader. */
  take(findings: readonly Finding[]): void {
    for (const finding of findings) this.#push(finding);
  }

  /** A finding is reported once per position; aliases repeat their nodes. */
  #push(given: Finding): void {
    const finding = { ...given, message: bounded(given.message) };
    const {
      position: { file, line, column },
      code,
      message,
    } = finding;
    const key = `${file}:${line}:${column} ${code} ${message}`;
    if (this.#seen.has(key)) return;
    this.#seen.add(key);
    if (finding.severity === 'error') this.#errors++;
    this.#found.push(finding);
  }
}

const isSame = (one: Position | undefined, { file, line, column }: Position): boolean =>
  one?.line === line && one.column === column && one.file === file;

const SHOWN_PLACES = 3;

/** `34:43, 50:37 and 2 more`; with the file's name where it is another one. */
function placesText(places: readonly Position[], file: string): string {
  const shown = places
    .slice(0, SHOWN_PLACES)
    .map((place) => (place.file === file ? `${place.line}:${place.column}` : positionText(place)));
  return places.length > SHOWN_PLACES
    ? `${shown.join(', ')} and ${places.length - SHOWN_PLACES} more`
    : shown.join(', ');
}

const MORE_WARNINGS: RulesErrorCode = 'RULES_MORE_WARNINGS';

/** `file:line:col CODE message`, and the excerpt under it. */
export function findingText({ severity, position, code, message, excerpt }: Finding): string {
  const head = `${bounded(positionText(position))} ${code} ${severity === 'warning' ? 'warning: ' : ''}${message}`;
  return excerpt === undefined ? head : `${head}\n${shortExcerpt(excerpt).replaceAll(/^/gm, '  ')}`;
}

/** `2 errors and 1 warning`. */
export function findingsCount(findings: readonly Finding[]): string {
  const count = (severity: Finding['severity'], word: string): string => {
    const { length } = findings.filter((finding) => finding.severity === severity);
    return counted(length, word);
  };
  const errors = findings.some(({ severity }) => severity === 'error');
  const warnings = findings.some(({ severity }) => severity === 'warning');
  if (errors && warnings) return `${count('error', 'error')} and ${count('warning', 'warning')}`;
  return errors || !warnings ? count('error', 'error') : count('warning', 'warning');
}
