import { replacedControls } from '../text/controls.ts';
import { nearest } from '../text/nearest.ts';

/** A position in a file, as shown to people: lines and columns count from 1. */
export interface Position {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** `key: value`, in block or flow style; a reference (`{ $env: NAME }`) is not a secret. */
const KEY_AND_VALUE =
  /(?<![\w-])(([\w-]+)["']?\s*:\s+)(?!(?:true|false)\b)("[^"]*"?|'[^']*'?|[^\s{[&*!|>,}"'][^\s,}]*)/gi;
const SECRET_KEY = /password|passphrase|passwd|secret|token|credential|(?:api|private)[-_]?key/i;
/** What a misspelt key may have been meant to be. */
const SECRET_KEYS = ['password', 'passphrase', 'passwd', 'secret', 'token', 'credentials', 'apikey'];
const isSecretKey = (key: string): boolean => SECRET_KEY.test(key) || nearest(key, SECRET_KEYS) !== undefined;

/** `redis://user:password@host`. */
const URL_CREDENTIALS = /(:\/\/)([^\s/"']+)(?=@)/g;

/** A private key in PEM whose lines stand on one, and text that long is rarely anything but one in base64. */
const KEY = /()(-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)|[A-Za-z0-9+/]{48,}={0,2})/g;

/** As much of a line is searched for secrets to the left and to the right of an error. */
const EXCERPT_REACH = 600;
/** As much of a line is shown. */
const SHOWN = 160;
const SHOWN_BEFORE = 60;

/** Of a long line what stands around the carets. Only after secrets are masked: a part of one would not be found. */
export function shortExcerpt(excerpt: string): string {
  const newline = excerpt.lastIndexOf('\n');
  const line = excerpt.slice(0, newline);
  if (newline < 0 || line.length <= SHOWN) return excerpt;
  const carets = excerpt.slice(newline + 1);
  const column = carets.indexOf('^');
  const from = Math.max(0, Math.min(column - SHOWN_BEFORE, line.length - SHOWN));
  const to = from + SHOWN;
  const left = from > 0 ? '...' : '';
  const shown = `${left}${line.slice(from, to)}${to < line.length ? '...' : ''}`.toWellFormed();
  return `${shown}\n${' '.repeat(left.length)}${carets.slice(from, to)}`;
}

/** Keeps the length, so that carets stay aligned. */
function withoutSecrets(line: string): string {
  const hidden = (_: string, before: string, value: string): string => `${before}${'*'.repeat(value.length)}`;
  const named = line.replaceAll(KEY_AND_VALUE, (all: string, before: string, key: string, value: string) =>
    isSecretKey(key) ? hidden(all, before, value) : all,
  );
  return [URL_CREDENTIALS, KEY].reduce((text, pattern) => text.replaceAll(pattern, hidden), named);
}

/** The text of a file, with offsets mapped to lines and columns. */
export class SourceText {
  readonly file: string;
  readonly text: string;
  /** Of a size known beforehand: a list of the lines of many rules would be copied over and over while it grows. */
  readonly #lineStarts: Uint32Array;
  /** Ranges that no excerpt shows. */
  readonly #hidden: { readonly start: number; readonly end: number }[] = [];

  constructor(file: string, text: string) {
    this.file = file;
    this.text = text;
    let lines = 1;
    for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) lines++;
    this.#lineStarts = new Uint32Array(lines);
    for (let line = 1; line < lines; line++) this.#lineStarts[line] = text.indexOf('\n', this.#startOf(line - 1)) + 1;
  }

  /** 1-based; columns count UTF-16 units, as editors do. */
  positionAt(offset: number): Position {
    const line = this.#lineOf(offset);
    return { file: this.file, line: line + 1, column: offset - this.#startOf(line) + 1 };
  }

  /** No excerpt shows this range. */
  hide(start: number, end: number): void {
    this.#hidden.push({ start, end });
  }

  /** The line at `start`, and under it carets up to `end` or the line's end; of a very long line a part. */
  excerpt(start: number, end: number): string | undefined {
    const lineStart = this.#startOf(this.#lineOf(start));
    const newline = this.text.indexOf('\n', lineStart);
    const lineEnd = newline < 0 ? this.text.length : newline;
    // A document may stand on one line, and have a thousand findings.
    const from = Math.max(lineStart, start - EXCERPT_REACH);
    const to = Math.min(lineEnd, start + EXCERPT_REACH);
    const line = this.text.slice(from, to).replace(/\r$/, '');
    if (line.trim() === '') return undefined;
    const before = line.slice(0, start - from).replaceAll(/[^\t]/g, ' ');
    const carets = Math.max(1, Math.min(end - start, line.length - (start - from)));
    const shown = replacedControls(withoutSecrets(this.#withoutHidden(line, from)));
    return `${shown}\n${before}${'^'.repeat(carets)}`;
  }

  #withoutHidden(line: string, at: number): string {
    let shown = line;
    for (const { start, end } of this.#hidden) {
      const from = Math.max(0, start - at);
      const to = Math.min(line.length, end - at);
      if (from < to) shown = shown.slice(0, from) + '*'.repeat(to - from) + shown.slice(to);
    }
    return shown;
  }

  #startOf(line: number): number {
    return this.#lineStarts[line] ?? 0;
  }

  #lineOf(offset: number): number {
    let low = 0;
    let high = this.#lineStarts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.#startOf(middle) <= offset) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}

/** In the place of a text: an object that came without one, such as that of an API server. Its positions have line 0. */
export class TextlessSource extends SourceText {
  constructor(name: string) {
    super(name, '');
  }
  override positionAt(): Position {
    return { file: this.file, line: 0, column: 0 };
  }
  override excerpt(): undefined {
    return undefined;
  }
}

/** `file:line:column`; the file alone where there are no lines. */
export const positionText = ({ file, line, column }: Position): string =>
  line === 0 ? file : `${file}:${line}:${column}`;
