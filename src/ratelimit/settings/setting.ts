/** One environment variable: how its text is read, its default, and its line in docs/ratelimit-settings.md. */
import { goDurationMs } from '../../time/duration.ts';

/** Words of a list are read in any case. A duration is Go's (`150ms`, `1h30m`), kept in milliseconds. */
export type Setting = { readonly name: string; readonly means: string } & (
  | { readonly kind: 'text'; readonly default?: string }
  | { readonly kind: 'flag'; readonly default?: boolean }
  | { readonly kind: 'count' | 'ratio' | 'duration'; readonly default: number }
  | { readonly kind: readonly string[]; readonly default: string }
);

/** Keeps the names and kinds as literal types. */
export const table = <const T extends readonly Setting[]>(...settings: T): T => settings;

/** A flag is off and a text is empty, unless the table says otherwise. */
export const defaultOf = ({
  kind,
  default: initial = kind === 'flag' ? false : '',
}: Setting): string | number | boolean => initial;

/** An invalid setting; the message names it and the expected form. */
export class SettingError extends Error {}

/** As Go's strconv.ParseBool. */
const FLAGS: ReadonlyMap<string, boolean> = new Map([
  ...['1', 't', 'T', 'true', 'TRUE', 'True'].map((text) => [text, true] as const),
  ...['0', 'f', 'F', 'false', 'FALSE', 'False'].map((text) => [text, false] as const),
]);

/** `undefined` if the text is not of the kind. */
export function settingValue(kind: Setting['kind'], text: string): string | number | boolean | undefined {
  switch (kind) {
    case 'text':
      return text;
    case 'flag':
      return FLAGS.get(text);
    case 'count':
      return /^\d{1,15}$/.test(text) ? Number(text) : undefined;
    case 'ratio':
      return /^\d+(\.\d+)?$/.test(text) ? Number(text) : undefined;
    case 'duration':
      return text.startsWith('-') ? undefined : goDurationMs(text);
    default:
      return kind.find((word) => word.toUpperCase() === text.toUpperCase());
  }
}

export function expectedText(kind: Setting['kind']): string {
  switch (kind) {
    case 'text':
      return 'text';
    case 'flag':
      return 'true or false';
    case 'count':
      return 'a whole number';
    case 'ratio':
      return 'a number such as 0.8';
    case 'duration':
      return 'a duration such as 150ms or 24h';
    default:
      return `one of ${kind.join(', ')}`;
  }
}

/** Of a list `NAME:VALUE,...` or `NAME=VALUE,...`; a part without the sign is ignored. */
export const namedValues = (text: string, sign: ':' | '='): ReadonlyMap<string, string> =>
  new Map(
    text
      .split(',')
      .filter((part) => part.includes(sign))
      .map((part) => [part.slice(0, part.indexOf(sign)).trim(), part.slice(part.indexOf(sign) + 1).trim()]),
  );
