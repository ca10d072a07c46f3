/** Characters that look like others: from web pages, word processors and mail, they end up in policies. */

/** Blanks of Unicode that are no spaces, and marks of no width; for the brackets of a pattern. */
export const LOOKALIKE_BLANKS = '\\u00a0\\u1680\\u2000-\\u200f\\u202f\\u205f\\u2060\\u3000\\ufeff';

const BLANK = new RegExp(`[${LOOKALIKE_BLANKS}]`, 'gu');

/** `U+00A0`. */
export const codePoint = (character: string): string =>
  `U+${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}`;

/** A name with what cannot be seen in it written out: `match<U+00A0>`. */
export const visible = (text: string): string => text.replaceAll(BLANK, (blank) => `<${codePoint(blank)}>`);

export const hasLookalikeBlank = (text: string): boolean => text.search(BLANK) >= 0;
