/** Texts that people read, and that hold names and values of any length and of any characters. */
import { visibleControls } from './controls.ts';

/** A path or a URL has that many at most, a sentence far fewer. */
const LONGEST_WORD = 200;
const LONGEST = 2000;

/** One line of bounded length. Of what is too long the middle is left out: the end of a message says what to do. */
export function bounded(message: string): string {
  const line = visibleControls(message).replaceAll('\n', '\\n').replaceAll('\t', '\\t');
  const short =
    line.length > LONGEST_WORD ? line.replaceAll(LONG_WORDS, (word) => withoutMiddle(word, LONGEST_WORD)) : line;
  return withoutMiddle(short, LONGEST);
}
const LONG_WORDS = new RegExp(String.raw`\S{${LONGEST_WORD + 1},}`, 'g');

function withoutMiddle(text: string, most: number): string {
  if (text.length <= most) return text;
  const start = Math.floor(most * 0.6);
  return `${text.slice(0, start)}...${text.slice(start + 3 - most)}`.toWellFormed();
}
