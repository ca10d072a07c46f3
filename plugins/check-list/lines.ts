import type { Turn } from 'sluice/plugin';
import { textLines } from '../values/text-lines.ts';
import { type Kind, shownValue, valueProblem } from './list.ts';

/** The values of a text, one a line, without empty lines and comments. Throws with the line that is invalid. */
export async function valuesOf(text: string, kind: Kind, turn: Turn): Promise<string[]> {
  const values: string[] = [];
  for (const [number, line] of textLines(text)) {
    const value = line.trim();
    if (value === '' || value.startsWith('#')) continue;
    if (/\s#/.test(value))
      throw new Error(
        `line ${number}: "${shownValue(value)}" has a comment after the value; write comments on separate lines that begin with #`,
      );
    const problem = valueProblem(kind, value);
    if (problem !== undefined) throw new Error(`line ${number}: ${problem}`);
    values.push(value);
    const wait = turn();
    if (wait !== undefined) await wait;
  }
  return values;
}
