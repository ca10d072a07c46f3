/** Texts for people. */

const clock = new Intl.DateTimeFormat('en-GB', {
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  fractionalSecondDigits: 3,
  hour12: false,
});
const day = new Intl.DateTimeFormat('en-CA', { dateStyle: 'short' });
const whole = new Intl.NumberFormat('en-US');

export const timeOfDay = (time: string): string => clock.format(new Date(time));
export const dateAndTime = (time: string | number): string => {
  const date = new Date(time);
  return `${day.format(date)} ${clock.format(date).slice(0, 8)}`;
};
export const count = (value: number): string => whole.format(value);
/** `1 rule`, `2 rules`. */
export const counted = (value: number, one: string): string => `${count(value)} ${one}${value === 1 ? '' : 's'}`;

const UNITS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['min', 60_000],
  ['s', 1000],
] as const;

/** `3 min`, `12 s`, `0.4 ms`. */
export function duration(ms: number): string {
  for (const [unit, size] of UNITS) if (ms >= size) return `${Math.floor(ms / size)} ${unit}`;
  return `${ms >= 10 ? Math.round(ms) : Number(ms.toPrecision(2))} ms`;
}

export const ago = (time: string | number, now: number): string => {
  const ms = Math.max(0, now - new Date(time).getTime());
  return ms < 1000 ? 'now' : `${duration(ms)} ago`;
};

/** Control characters, and those that change the direction of text or have no width: an attacker's path may hold them. */
const UNSEEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;
const KEPT_IN_BLOCKS = '\n\t';

const codeOf = (unit: string): string => `U+${(unit.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}`;

/** Text and, as `unseen`, the names of characters that cannot be seen. */
export function parts(text: string, isBlock = false): readonly { readonly text: string; readonly isUnseen: boolean }[] {
  const result: { text: string; isUnseen: boolean }[] = [];
  let from = 0;
  for (const { 0: unit, index } of text.matchAll(UNSEEN)) {
    if (isBlock && KEPT_IN_BLOCKS.includes(unit)) continue;
    if (index > from) result.push({ text: text.slice(from, index), isUnseen: false });
    result.push({ text: codeOf(unit), isUnseen: true });
    from = index + unit.length;
  }
  if (from < text.length || result.length === 0) result.push({ text: text.slice(from), isUnseen: false });
  return result;
}

/** For titles and other plain text. */
export const plain = (text: string): string => text.replace(UNSEEN, (unit) => `<${codeOf(unit)}>`);

/** A value in one line. */
export const valueText = (value: unknown): string =>
  typeof value === 'string' ? value : value === null || value === undefined ? 'absent' : JSON.stringify(value);
