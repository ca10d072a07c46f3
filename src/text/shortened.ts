/** At most `max` UTF-16 units of a text. A copy where it is longer: a slice would retain the whole text. */
export function shortened(text: string, max: number): string {
  if (text.length <= max) return text;
  const splitsPair = (text.charCodeAt(max - 1) & 0xfc00) === 0xd800;
  return Buffer.from(text.slice(0, splitsPair ? max - 1 : max)).toString();
}

/** The same with `...` in place of the rest, for texts that people read. */
export const ellipsized = (text: string, max: number): string =>
  text.length > max ? `${shortened(text, max)}...` : text;
