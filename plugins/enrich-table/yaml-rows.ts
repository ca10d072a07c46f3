/** A list or map of rows in YAML, parsed in slices: the library takes a document at once, 20 ms for a thousand rows. */
import { parse } from 'yaml';
import type { Turn } from 'sluice/plugin';

/** Takes about a millisecond. */
const PART_CHARACTERS = 1024;

/** As the library parses the text, and with its errors. Rejects. */
export async function parseYamlRows(text: string, turn: Turn): Promise<unknown> {
  return (await parsedByParts(text, turn)) ?? (parse(text, { uniqueKeys: true }) as unknown);
}

/** `undefined` for a document that has parts of another kind, refers from one part to another, or has an error. */
async function parsedByParts(text: string, turn: Turn): Promise<unknown> {
  const first = /^(?:[ \t]*(?:#[^\n]*)?\r?\n)*([^\s#])/.exec(text)?.[1];
  if (first === undefined || /["'[{%?&*!|>@`]/.test(first) || /(?:^|[\s[{,:])[&*](?=\S)|^(?:---|\.\.\.)/m.test(text))
    return undefined;
  const rows: unknown[] = [];
  const byKey = new Map<string, unknown>();
  try {
    for (const part of partsOf(text, first === '-' ? /\n(?=-[ \r\n])/g : /\n(?=[^\s#-])/g)) {
      const parsed = parse(part, { uniqueKeys: true }) as unknown;
      if (first === '-' && Array.isArray(parsed)) for (const row of parsed) rows.push(row);
      else if (first !== '-' && typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed)) {
        for (const [key, row] of Object.entries(parsed)) {
          if (byKey.has(key)) return undefined;
          byKey.set(key, row);
        }
      } else return undefined;
      const wait = turn();
      if (wait !== undefined) await wait;
    }
  } catch {
    return undefined;
  }
  return first === '-' ? rows : Object.fromEntries(byKey);
}

/** Cut before rows, which begin in the first column. */
function* partsOf(text: string, beforeRow: RegExp): Generator<string> {
  for (let start = 0; start < text.length;) {
    beforeRow.lastIndex = start + PART_CHARACTERS;
    const end = (beforeRow.exec(text)?.index ?? text.length) + 1;
    yield text.slice(start, end);
    start = end;
  }
}
