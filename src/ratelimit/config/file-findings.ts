import { bounded } from '../../text/bounded.ts';
import type { Finding, Severity } from '../../yaml/findings.ts';
import type { Position, SourceText } from '../../yaml/source-text.ts';
import type { RatelimitErrorCode } from './errors.ts';
import type { Place } from './go-yaml.ts';

/** Collects the findings of one file, with their places. */
export class FileFindings {
  readonly #source: SourceText;
  readonly #findings: Finding[];
  readonly #reported = new Set<string>();
  /** Errors so far; a reader compares the number before and after a part. */
  errors = 0;

  constructor(source: SourceText, findings: Finding[]) {
    this.#source = source;
    this.#findings = findings;
  }

  error(place: Place, code: RatelimitErrorCode, message: string): void {
    this.errors++;
    this.#add('error', place, code, message);
  }

  warning(place: Place, code: RatelimitErrorCode, message: string): void {
    this.#add('warning', place, code, message);
  }

  textAt({ start, end }: Place): string {
    return this.#source.text.slice(start, end).trim();
  }

  positionOf({ start }: Place): Position {
    return this.#source.positionAt(start);
  }

  /** Once per place; an alias leads to the same place again. */
  #add(severity: Severity, { start, end }: Place, code: RatelimitErrorCode, message: string): void {
    const id = `${start} ${code} ${message}`;
    if (this.#reported.has(id)) return;
    this.#reported.add(id);
    this.#findings.push({
      severity,
      code,
      message: bounded(message),
      position: this.#source.positionAt(start),
      excerpt: this.#source.excerpt(start, end),
    });
  }
}
